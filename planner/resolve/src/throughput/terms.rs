//! The terms of a step and of a first token at the hardware's peak, times their factors.

use openmodel_schemas::throughput::ThroughputDocument;

use super::anchor::Anchor;
use super::{Arithmetic, Attention, DeviceSpeed, Load, ModelSpeed, Setup, tame};

/// Tokens of a prompt that one pass over the weights takes in.
const CHUNK_TOKENS: f64 = 8192.0;
/// Devices of a host. Where attention has more ranks, prompts are read on other devices than
/// answers are written on (rack-scale systems), so they do not delay them.
const HOST_RANKS: u32 = 8;
/// Kernels that a `MoE`'s layer launches, of which a model's other ones are a multiple.
const MOE_KERNELS: f64 = 15.0;
/// `NVLink4`, one way: slower links also take longer to answer.
const FAST_LINK_GB_S: f64 = 450.0;
/// Waits grow less than the prompts before: some arrive while others decode.
const QUEUE: f64 = 0.7;
/// No time is longer than this, in milliseconds: some thirty years.
const FOREVER: f64 = 1e12;

/// What does not depend on the load: times in milliseconds, factors included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Coefficients {
    /// Of a step whatever its batch: dense weights, layers, link, the step itself.
    step: f64,
    /// Reading all routed experts.
    experts: f64,
    /// ln(1 − k/E): what a sequence leaves of the experts that are not read.
    idle: f64,
    /// Per sequence in a step: arithmetic.
    sequence: f64,
    /// Per sequence of one rank of attention: what the host does.
    host: f64,
    /// Per token of one rank of attention, of a step and of the prompts in it: over the link, and
    /// between kernels.
    token: f64,
    /// Per sequence and token of context: attention's arithmetic.
    attention: f64,
    /// Per sequence and token in full caches, and in windows; per sequence for its state.
    kv: f64,
    window_kv: f64,
    state: f64,
    /// A prompt by its tokens, and by the square of them, before the factors.
    prompt: f64,
    prompt_square: f64,
    /// What a token of a prompt moves over the link and between kernels, before the factors.
    moved: f64,
    /// Factor of other requests' prompts in a step, and of its own and others' in TTFT.
    prefill: f64,
    own_prompt: f64,
    own_moved: f64,
    queue: f64,
    /// Of TTFT: its start, a reading of all weights, and how many steps of waiting.
    start: f64,
    weights: f64,
    wait: f64,
    /// Ways of data and pipeline parallelism.
    data: f64,
    pipeline: f64,
    window_tokens: f64,
    sparse_tokens: f64,
    lockstep: f64,
    /// Whether prompts are read on other devices.
    apart: bool,
}

impl Coefficients {
    pub(crate) fn new(
        model: &ModelSpeed,
        device: &DeviceSpeed<'_>,
        setup: &Setup<'_>,
        constants: &ThroughputDocument,
        anchor: &Anchor,
    ) -> Self {
        let big = |value| tame(value, 0.0, 1e16);
        let tensor = f64::from(setup.tensor.max(1));
        let data = f64::from(setup.data.max(1));
        let together = tensor * data;
        let bandwidth = tame(device.bandwidth_gb_s, 1.0, 1e9) * 1e6;
        let flops = peak(device, setup.arithmetic) * 1e9;
        let attention_flops = peak(device, Arithmetic::Bf16) * 1e9;
        let link = tame(device.link_gb_s, 1.0, 1e9);

        let experts = tame(model.experts, 0.0, 1e6);
        let chosen = if experts > 0.0 {
            tame(model.experts_per_token / experts, 0.0, 1.0)
        } else {
            0.0
        };
        let dense = big(model.dense_parameters);
        let routed = big(model.expert_parameters);
        let active = 2.0 * (dense + routed * chosen);
        let dense_read =
            dense * tame(setup.dense_bytes_per_parameter, 0.0, 16.0) / tensor / bandwidth;
        let expert_read =
            routed * tame(setup.expert_bytes_per_parameter, 0.0, 16.0) / together / bandwidth;
        let shards = match model.attention {
            Attention::Latent => 1.0,
            Attention::Heads | Attention::Hybrid => tensor.min(tame(model.kv_heads, 1.0, 1e6)),
        };
        let layers = tame(model.layers, 0.0, 1e6);
        let launched = layers * kernels(model) / MOE_KERNELS;
        let hidden = layers * tame(model.hidden, 0.0, 1e9);
        let per_token = tame(model.experts_per_token, 0.0, 1e6);
        let attended = big(model.attention_width);
        let width = 4.0 * attended;
        let (hops, traffic) = if together > 1.0 {
            let slow = (FAST_LINK_GB_S / link).sqrt().max(1.0);
            // Two all-reduces a layer; or to a token's experts in 8 bits, and back in 16.
            let times = if setup.data > 1 {
                1.5 * per_token.max(2.0)
            } else {
                4.0
            };
            (
                layers * 0.02 * together.log2().sqrt() * slow,
                times * hidden * (1.0 - 1.0 / together) / (link * 1e6),
            )
        } else {
            (0.0, 0.0)
        };
        let between =
            2.0 * (hidden * (6.0 + 4.0 * per_token) + 6.0 * attended / tensor) / bandwidth;

        let [
            dense_factor,
            experts_factor,
            kv_factor,
            compute_factor,
            prefill,
            layers_factor,
            link_factor,
            traffic_factor,
            host_factor,
            step_factor,
            activations_factor,
        ] = anchor.tpot.map(f64::exp);
        let [
            start,
            own_prompt,
            weights,
            ttft_layers,
            queue,
            wait,
            own_moved,
        ] = anchor.ttft.map(f64::exp);
        Self {
            step: dense_read * dense_factor
                + launched * 0.04 * layers_factor
                + hops * link_factor
                + step_factor,
            experts: expert_read * experts_factor,
            idle: (1.0 - chosen).ln().max(-700.0),
            sequence: active / together / flops * compute_factor,
            host: 0.02 * host_factor,
            token: traffic * traffic_factor + between * activations_factor,
            attention: width / together / attention_flops * compute_factor,
            kv: big(model.kv_bytes_per_token) / shards / bandwidth * kv_factor,
            window_kv: big(model.window_kv_bytes_per_token) / shards / bandwidth * kv_factor,
            state: 2.0 * big(model.state_bytes) / tensor / bandwidth * kv_factor,
            prompt: active / together / flops,
            prompt_square: width / 2.0 / together / attention_flops,
            moved: between + traffic,
            prefill,
            own_prompt,
            own_moved,
            queue,
            start: 30.0 * start + 0.2 * launched * ttft_layers,
            weights: (dense_read + expert_read) * weights,
            wait,
            data,
            pipeline: f64::from(setup.pipeline.max(1)),
            window_tokens: tame(model.window_tokens, 0.0, 1e9),
            sparse_tokens: tame(model.sparse_tokens, 0.0, 1e9),
            lockstep: constants.lockstep_tokens,
            apart: setup.data > HOST_RANKS,
        }
    }

    /// Milliseconds per output token. The stages of a pipeline each hold a part of the batch.
    pub(crate) fn tpot(&self, load: &Load) -> f64 {
        let batch = (load.batch.min(load.room) / self.pipeline).max(1.0);
        let mine = (batch / self.data).max(1.0);
        let context = load.input_tokens + load.output_tokens / 2.0;
        let read = if self.sparse_tokens > 0.0 {
            // The index is read in full, at about a tenth of the bytes.
            context.min(self.sparse_tokens + 0.1 * context)
        } else {
            context
        };
        let cached = self.kv * read + self.window_kv * context.min(self.window_tokens) + self.state;
        let others = if self.apart {
            0.0
        } else {
            batch / (load.output_tokens + self.lockstep)
        };
        let tpot = self.step
            + self.experts * -(batch * self.idle).exp_m1()
            + mine * (cached + self.host)
            + batch * (self.sequence + self.attention * context)
            + (mine + others * load.input_tokens / self.data) * self.token
            + others * self.prompt(load.input_tokens) * self.prefill;
        tpot.min(FOREVER)
    }

    /// Milliseconds to the first token, given those per output token, mean of all requests: those
    /// that memory does not hold wait until one that it holds is done.
    pub(crate) fn ttft(&self, load: &Load, tpot: f64) -> f64 {
        let held = load.batch.min(load.room);
        let prompt = self.prompt(load.input_tokens);
        let moved = self.moved * load.input_tokens;
        let ttft = self.start
            + prompt * self.own_prompt
            + moved * self.own_moved
            + (0.1 * (held - 1.0) * (prompt + moved)).powf(QUEUE) * self.queue
            + self.weights * (load.input_tokens / CHUNK_TOKENS).ceil()
            + tpot * self.wait;
        let waiting = load.batch / held - 1.0;
        (ttft + waiting * (ttft + (load.output_tokens - 1.0) * tpot)).min(FOREVER)
    }

    fn prompt(&self, tokens: f64) -> f64 {
        let attended = if self.sparse_tokens > 0.0 {
            tokens.min(self.sparse_tokens)
        } else {
            tokens
        };
        tokens * (self.prompt + self.prompt_square * attended)
    }
}

/// Kernels of a layer, an estimate of ours: norms, projections, attention, MLP and collectives;
/// router and permutations of a `MoE`; compression of MLA; the indexer of sparse attention;
/// convolution and gates of a state.
fn kernels(model: &ModelSpeed) -> f64 {
    match model.attention {
        _ if model.sparse_tokens > 0.0 => 31.0,
        Attention::Latent => 19.0,
        Attention::Hybrid => 17.0,
        Attention::Heads if model.experts > 0.0 => MOE_KERNELS,
        Attention::Heads => 9.0,
    }
}

/// TFLOP/s of the widest arithmetic at hand that is no narrower than asked for.
fn peak(device: &DeviceSpeed<'_>, arithmetic: Arithmetic) -> f64 {
    let fp8 = device.fp8_tflops.max(device.bf16_tflops);
    let tflops = match arithmetic {
        Arithmetic::Bf16 => device.bf16_tflops,
        Arithmetic::Fp8 => fp8,
        Arithmetic::Fp4 => device.fp4_tflops.max(fp8),
    };
    tame(tflops, 1.0, 1e9)
}
