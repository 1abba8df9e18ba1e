//! How fast a replica answers: time per output token, time to the first one, each as a range.
//!
//! ```text
//!   ModelSpeed ─┐                 what the hardware needs at its peak   (terms)
//!   DeviceSpeed ├─► Prepared ──►  × factors learned from measured rows  (anchor)
//!   Setup ──────┘      │
//!   Load ──────────────┴────────► Speed { TPOT, TTFT: low..estimate..high, basis }
//! ```
//!
//! A decode step of `B` sequences with `c` tokens of context each, on `g` = tensor × data
//! accelerators, takes the sum of eleven terms, in milliseconds. `W` are bytes of weights, `k` of
//! `E` experts answer a token, `A` are the parameters it meets, `I` and `O` its tokens in and out:
//!
//! | term | at peak |
//! |---|---|
//! | dense | `W_dense / tensor / bandwidth` |
//! | experts | `W_experts × (1 − (1 − k/E)^B) / g / bandwidth` |
//! | kv | `B/data × (c × kv / min(tensor, kv heads) + 2 × state / tensor) / bandwidth`; MLA is not split |
//! | compute | `(2 A + 4 c × attention width) × B / g / flops` |
//! | prefill | `B / (O + lockstep) × prompt`, `prompt = (2 A I + 2 I² × attention width) / g / flops` |
//! | layers, step | 2.7 µs a kernel of a layer (9 dense, 15 `MoE`, 17 hybrid, 19 MLA, 31 with an indexer), 1 ms a step: launches, whatever the batch |
//! | link | 20 µs × √log2 g a layer |
//! | traffic | `4 × hidden × layers` bytes a token over the link; between ranks of attention `1.5 k × hidden × layers` |
//! | activations | `2 × layers × hidden × (6 + 4 k) + 12 × attention width / tensor` bytes a token, between kernels |
//! | host | 20 µs a sequence of one rank of attention |
//!
//! The tokens that `traffic` and `activations` count are those of one rank: `B/data` of the step,
//! and `B / (O + lockstep) × I / data` of the prompts that are read in it. Where attention has more
//! ranks than a host has devices, prompts are read elsewhere and delay no step.
//!
//! TTFT adds up a start of 30 ms, `prompt`, what its tokens move over the link and between kernels,
//! one reading of all weights for every 8,192 tokens, 200 µs a layer of 15 kernels, a tenth of the
//! prompts of the other `B − 1` sequences to the power of 0.7 (some come while others decode), and
//! TPOT. Where memory holds only `M` of `B` sequences, `M` run, and on average a request waits for
//! `B/M − 1` others from their first to their last token.
//!
//! Each term is multiplied by a factor of its own: a base, times what engine, accelerator,
//! family, number format and spread change, times what the model, its engine, its accelerator and
//! its very setup change where they were measured. No measured time is stored. As every term
//! grows with batch and context, and factors are positive, so do TPOT and TTFT, in and beyond
//! what was measured. The range is where six of seven left-out rows lay; it widens from
//! `measured` over `fitted` to `roofline`, and with the distance of prompt, answer and batch from
//! those measured; at more than four times (as logs, added up) a setup is no longer `measured`.
//!
//! The constants come from `planner/resolve/fit/throughput.py`, which also tells their errors.

mod anchor;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod sample;
mod terms;
#[cfg(test)]
mod tests;

use openmodel_schemas::throughput::ThroughputDocument;

use self::anchor::Anchor;
use self::terms::Coefficients;

/// What of a model its speed depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ModelSpeed {
    /// Number of layers.
    pub(crate) layers: f64,
    /// Width of the residual stream.
    pub(crate) hidden: f64,
    /// Parameters that every token meets: all but the routed experts.
    pub(crate) dense_parameters: f64,
    /// Parameters of all routed experts together.
    pub(crate) expert_parameters: f64,
    /// Routed experts of a layer; 0 for a dense model.
    pub(crate) experts: f64,
    /// Routed experts that answer a token.
    pub(crate) experts_per_token: f64,
    /// How it remembers.
    pub(crate) attention: Attention,
    /// Bytes that a token adds to the cache of all layers that attend to everything, at 16 bits.
    pub(crate) kv_bytes_per_token: f64,
    /// Bytes that a token adds to the cache of all layers with a sliding window, at 16 bits.
    pub(crate) window_kv_bytes_per_token: f64,
    /// Tokens in the sliding window; 0 for none.
    pub(crate) window_tokens: f64,
    /// Tokens that sparse attention picks (`index_topk`); 0 for attention to everything.
    pub(crate) sparse_tokens: f64,
    /// Key and value heads.
    pub(crate) kv_heads: f64,
    /// Layers that attend to everything × attention heads × width of a head.
    pub(crate) attention_width: f64,
    /// Recurrent state of one sequence, in bytes.
    pub(crate) state_bytes: f64,
}

/// How a model remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attention {
    /// Keys and values by head: MHA, GQA, MQA, with or without windows.
    Heads,
    /// One compressed vector for all heads (MLA), which tensor parallelism does not split.
    Latent,
    /// Some layers are recurrent: Mamba, linear attention.
    Hybrid,
}

/// What of an accelerator speed depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DeviceSpeed<'a> {
    /// Canonical name, as `nvidia-h100-80gb`.
    pub(crate) name: &'a str,
    /// NVIDIA compute capability, as 9.0; 0 for others.
    pub(crate) compute_capability: f64,
    /// Memory bandwidth, in GB/s.
    pub(crate) bandwidth_gb_s: f64,
    /// Dense TFLOP/s at 16 bits.
    pub(crate) bf16_tflops: f64,
    /// Dense TFLOP/s at 8 bits; 0 if it has none.
    pub(crate) fp8_tflops: f64,
    /// Dense TFLOP/s at 4 bits; 0 if it has none.
    pub(crate) fp4_tflops: f64,
    /// GB/s to its neighbours, one way: 450 for `NVLink4`, 900 for `NVLink5`, 32 for `PCIe` 4.
    pub(crate) link_gb_s: f64,
}

/// How a model is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Setup<'a> {
    /// `vllm`, `sglang`, `trtllm`; for another one, what they have in common is taken.
    pub(crate) engine: &'a str,
    /// Ways of tensor parallelism, of attention.
    pub(crate) tensor: u32,
    /// Ways of pipeline parallelism.
    pub(crate) pipeline: u32,
    /// Ways of attention data parallelism within a replica.
    pub(crate) data: u32,
    /// Ways of expert parallelism; 1 if experts are split like the rest.
    pub(crate) expert: u32,
    /// Bytes of a weight outside of the routed experts.
    pub(crate) dense_bytes_per_parameter: f64,
    /// Bytes of a weight of the routed experts.
    pub(crate) expert_bytes_per_parameter: f64,
    /// Numbers of the matrix products: of the experts, if there are any.
    pub(crate) arithmetic: Arithmetic,
}

/// Numbers that are multiplied. 8-bit integers count as fp8; weight-only formats as bf16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    /// 16 bits.
    Bf16,
    /// 8 bits.
    Fp8,
    /// 4 bits.
    Fp4,
}

/// What a replica is asked to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    /// Sequences in flight in the whole replica.
    pub(crate) batch: f64,
    /// Tokens in, per request.
    pub(crate) input_tokens: f64,
    /// Tokens out, per request.
    pub(crate) output_tokens: f64,
    /// Sequences of this length that memory holds at once; infinity where it is known to hold all.
    pub(crate) room: f64,
}

/// A time in milliseconds, or a rate per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: f64,
    pub(crate) estimate: f64,
    pub(crate) high: f64,
}

/// What a prediction rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Basis {
    /// This model was measured in this setup on this accelerator.
    Measured,
    /// The accelerator and the engine were measured, with other models or setups.
    Fitted,
    /// One of them was not: what the hardware could do, and what engines lose elsewhere.
    Roofline,
}

/// How fast a replica answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Speed {
    /// Milliseconds per output token, after the first.
    pub(crate) tpot_ms: Range,
    /// Milliseconds to the first token.
    pub(crate) ttft_ms: Range,
    /// What both rest on.
    pub(crate) basis: Basis,
    load: Load,
}

impl Speed {
    /// Requests that a replica finishes in a second, when it is kept at this load.
    pub(crate) fn requests_per_second(&self) -> Range {
        let rate = |ttft: f64, tpot: f64| {
            self.load.batch * 1e3 / (ttft + (self.load.output_tokens - 1.0) * tpot)
        };
        Range {
            low: rate(self.ttft_ms.high, self.tpot_ms.high),
            estimate: rate(self.ttft_ms.estimate, self.tpot_ms.estimate),
            high: rate(self.ttft_ms.low, self.tpot_ms.low),
        }
    }

    /// Output tokens of a replica in a second, when it is kept at this load.
    pub(crate) fn output_tokens_per_second(&self) -> Range {
        let requests = self.requests_per_second();
        Range {
            low: requests.low * self.load.output_tokens,
            estimate: requests.estimate * self.load.output_tokens,
            high: requests.high * self.load.output_tokens,
        }
    }
}

/// A model on an accelerator in a setup, ready to be asked about loads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Prepared<'a> {
    coefficients: Coefficients,
    anchor: Anchor<'a>,
}

impl<'a> Prepared<'a> {
    /// Look up the factors and work out what does not depend on the load.
    pub(crate) fn new(
        model: &ModelSpeed,
        device: &DeviceSpeed<'_>,
        setup: &Setup<'_>,
        constants: &'a ThroughputDocument,
    ) -> Self {
        let anchor = Anchor::find(model, device, setup, constants);
        Self {
            coefficients: Coefficients::new(model, device, setup, constants, &anchor),
            anchor,
        }
    }

    /// How fast it is under a load.
    pub(crate) fn at(&self, load: Load) -> Speed {
        let load = Load {
            batch: tame(load.batch, 1.0, 1e6),
            input_tokens: tame(load.input_tokens, 1.0, 1e9),
            output_tokens: tame(load.output_tokens, 1.0, 1e9),
            room: tame(load.room, 1.0, f64::INFINITY),
        };
        let at = |load: &Load| {
            let tpot = self.coefficients.tpot(load);
            (tpot, self.coefficients.ttft(load, tpot))
        };
        let with_room = |times: f64| Load {
            room: (load.room * times).max(1.0),
            ..load
        };
        let times = at(&load);
        let (roomy, tight) = if load.room > load.batch * ROOM_DOUBT {
            (times, times)
        } else {
            (at(&with_room(ROOM_DOUBT)), at(&with_room(1.0 / ROOM_DOUBT)))
        };
        let trust = self.anchor.trust(&load);
        Speed {
            tpot_ms: range([tight.0, times.0, roomy.0], trust.tpot),
            ttft_ms: range([roomy.1, times.1, tight.1], trust.ttft),
            basis: trust.basis,
            load,
        }
    }
}

/// How many times more or fewer sequences memory may hold than is thought: the reserve of engines
/// differs, and requests are not all as long as their mean.
const ROOM_DOUBT: f64 = 1.25;

fn range([least, estimate, most]: [f64; 3], [low, high]: [f64; 2]) -> Range {
    Range {
        low: least.min(estimate) * low.exp(),
        estimate,
        high: most.max(estimate) * high.exp(),
    }
}

/// A number within bounds, whatever came in: predictions of nonsense are nonsense, not panics.
fn tame(value: f64, least: f64, most: f64) -> f64 {
    if value.is_nan() {
        least
    } else {
        value.clamp(least, most)
    }
}
