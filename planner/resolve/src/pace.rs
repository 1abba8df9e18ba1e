//! How fast a model is on devices: the throughput model, fed with a card, a catalog row and a
//! spread.

use std::sync::LazyLock;

use openmodel_schemas::catalog::AcceleratorRow;
use openmodel_schemas::engine::EngineRow;
use openmodel_schemas::model_card::{ModelCard, ModelKind, Recurrent};
use openmodel_schemas::quantity::Tokens;
use openmodel_schemas::report::Range;
use openmodel_schemas::spec::Quantization;
use openmodel_schemas::throughput::{EMBEDDED_THROUGHPUT, ThroughputDocument};

use crate::architecture::{Architecture, ParameterCount, product};
use crate::cache::{Cache, Layout};
use crate::engines::engine;
use crate::error::Field;
use crate::footprint::Device;
use crate::format::{Compute, Format};
use crate::memory::{MemoryError, MemoryQuery, memory_of};
use crate::need::{Need, Variant};
use crate::parallel::Parallelism;
use crate::throughput::{
    Arithmetic, Attention, Basis, DeviceSpeed, Load, ModelSpeed, Prepared, Setup, Speed,
};
use crate::weights::Weights;

/// Latency and throughput of one replica at the need's concurrency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    pub(crate) ttft_ms: Range,
    pub(crate) tpot_ms: Range,
    pub(crate) output_tokens_per_second: Range,
    pub(crate) requests_per_second: Range,
    /// `measured`, `fitted` or `roofline`.
    pub(crate) basis: &'static str,
}

/// What is asked of a setup that is named, without a catalog or a price.
#[derive(Debug, Clone, PartialEq)]
pub struct PaceQuery<'a> {
    /// The accelerator.
    pub accelerator: &'a AcceleratorRow,
    /// Engine name.
    pub engine: String,
    /// Format of the linear layers; none leaves the checkpoint as it is.
    pub quantization: Option<Quantization>,
    /// Format of the routed experts, where it is another one.
    pub expert_quantization: Option<Quantization>,
    /// Ranks that split each layer.
    pub tensor: u32,
    /// Stages that split the layers.
    pub pipeline: u32,
    /// Ranks with attention and a cache of their own.
    pub data: u32,
    /// Ranks that share out whole experts; 1 where experts are split like the rest.
    pub expert: u32,
    /// Sequences in flight in the whole replica.
    pub batch: f64,
    /// Prompt tokens of a request.
    pub input_tokens: f64,
    /// Answer tokens of a request.
    pub output_tokens: f64,
}

/// An estimate of speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PaceAnswer {
    /// Time to the first token, in milliseconds.
    pub ttft_ms: Range,
    /// Time between tokens, in milliseconds.
    pub tpot_ms: Range,
    /// Tokens of answers in a second, of the whole replica.
    pub output_tokens_per_second: Range,
    /// `measured`, `fitted` or `roofline`.
    pub basis: &'static str,
}

/// How fast a model is in a setup. Requests that memory does not hold at once wait.
///
/// # Errors
///
/// The model has too few facts, or the setup's memory does not hold a single request.
pub fn pace_of(card: &ModelCard, query: &PaceQuery) -> Result<PaceAnswer, MemoryError> {
    let architecture = Architecture::of(card)?;
    let weights = Weights::of(card, architecture, None)?;
    let asked = |quantization: Option<Quantization>| {
        quantization.map_or(weights.format, Format::of_request)
    };
    let dense = asked(query.quantization);
    let experts = asked(query.expert_quantization.or(query.quantization));
    let deciding = if architecture.config.experts.is_some() {
        experts
    } else {
        dense
    };
    let setup = Setup {
        engine: &query.engine,
        tensor: query.tensor,
        pipeline: query.pipeline,
        data: query.data,
        expert: query.expert,
        dense_bytes_per_parameter: dense.bytes_per_weight(),
        expert_bytes_per_parameter: experts.bytes_per_weight(),
        arithmetic: arithmetic(deciding, query.accelerator),
    };
    let load = Load {
        batch: query.batch,
        input_tokens: query.input_tokens,
        output_tokens: query.output_tokens,
        room: room(card, query, setup.arithmetic)?,
    };
    let model = model(card, architecture);
    let speed = Prepared::new(&model, &device(query.accelerator), &setup, constants()).at(load);
    let pace = Pace::of(speed);
    Ok(PaceAnswer {
        ttft_ms: pace.ttft_ms,
        tpot_ms: pace.tpot_ms,
        output_tokens_per_second: pace.output_tokens_per_second,
        basis: pace.basis,
    })
}

/// Sequences that the memory of a setup holds at once, when each is half way through its answer;
/// infinity where the memory in that format is not known.
fn room(card: &ModelCard, query: &PaceQuery, arithmetic: Arithmetic) -> Result<f64, MemoryError> {
    let held = (query.input_tokens + query.output_tokens / 2.0).clamp(1.0, MOST_TOKENS);
    // The engines whose memory is known stand for those whose is not.
    let name = engine(&query.engine).map_or("vllm", |row| &row.name);
    let asked = |utilization| MemoryQuery {
        utilization,
        quantization: query.expert_quantization.or(query.quantization),
        tensor: query.tensor,
        pipeline: query.pipeline,
        data: query.data,
        expert: query.expert > 1,
        engine: name.to_owned(),
        context_length: Some(Tokens(whole(held))),
        // The measured runs kept caches of 8 bits wherever weights have no more: with 16, memory
        // would have held half of what ran at once (`fit/throughput.py`, `held`).
        kv_bits: (arithmetic != Arithmetic::Bf16).then_some(8),
        ..MemoryQuery::on(
            query.accelerator.kind,
            Device::of(query.accelerator, 8).usable,
        )
    };
    let mut tokens = Tokens(0);
    // Who runs a model that fits only just gives the engine all there is.
    for utilization in [None, Some(WHOLE_DEVICE)] {
        let Ok(memory) = memory_of(card, &asked(utilization)) else {
            return Ok(f64::INFINITY);
        };
        let requests = float(memory.kv_tokens.0) / held * f64::from(query.data.max(1));
        if memory.kv_per_token.0 == 0 {
            return Ok(f64::INFINITY);
        }
        if requests >= 1.0 {
            return Ok(requests);
        }
        tokens = memory.kv_tokens;
    }
    Err(MemoryError {
        field: Field::ShapeAcceleratorCount,
        code: "too_small",
        summary: "No room for a request",
        detail: format!(
            "{} ranks on {} hold {} tokens beside the weights, less than a prompt of {} and half \
             an answer of {}. Spread the model over more devices.",
            f64::from(query.tensor) * f64::from(query.pipeline) * f64::from(query.data),
            query.accelerator.name,
            tokens.0,
            query.input_tokens,
            query.output_tokens,
        ),
    })
}

/// The share of a device's memory that an engine can be given at most, as a fraction.
const WHOLE_DEVICE: f64 = 0.98;

/// Longer than any sequence.
const MOST_TOKENS: f64 = 1e12;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what a count can be"
)]
fn whole(count: f64) -> u64 {
    count.clamp(0.0, MOST_TOKENS).ceil() as u64
}

/// How fast a need is met by a spread over devices; `None` for models that do not generate token
/// after token.
pub(crate) fn pace(
    need: &Need,
    variant: &Variant,
    engine: &EngineRow,
    parallelism: Parallelism,
    accelerator: &AcceleratorRow,
    eighths: u32,
) -> Option<Pace> {
    if need.architecture.role() != ModelKind::Decoder {
        return None;
    }
    let format = variant.weights.format;
    let dense = if variant.weights.mix.experts_only {
        Format::Bf16
    } else {
        format
    };
    let experts = variant.weights.mix.experts.unwrap_or(format);
    let setup = Setup {
        engine: measured_engine(&engine.name),
        tensor: parallelism.tensor,
        pipeline: parallelism.pipeline,
        data: parallelism.data,
        expert: if parallelism.expert {
            parallelism.expert_ranks()
        } else {
            1
        },
        dense_bytes_per_parameter: dense.bytes_per_weight(),
        expert_bytes_per_parameter: experts.bytes_per_weight(),
        arithmetic: arithmetic(experts, accelerator),
    };
    let load = Load {
        batch: f64::from(need.workload.max_concurrency),
        input_tokens: float(need.workload.input_tokens.0),
        output_tokens: float(need.workload.output_tokens.0),
        // What is paced was found to hold these requests.
        room: f64::INFINITY,
    };
    let whole = device(accelerator);
    // A part of an accelerator has its part of everything.
    let part = f64::from(eighths) / 8.0;
    let device = DeviceSpeed {
        bandwidth_gb_s: whole.bandwidth_gb_s * part,
        bf16_tflops: whole.bf16_tflops * part,
        fp8_tflops: whole.fp8_tflops * part,
        fp4_tflops: whole.fp4_tflops * part,
        ..whole
    };
    let speed = Prepared::new(&need.speed, &device, &setup, constants()).at(load);
    Some(Pace::of(speed))
}

impl Pace {
    fn of(speed: Speed) -> Self {
        let range = |range: crate::throughput::Range| Range {
            low: range.low,
            estimate: range.estimate,
            high: range.high,
        };
        Self {
            ttft_ms: range(speed.ttft_ms),
            tpot_ms: range(speed.tpot_ms),
            output_tokens_per_second: range(speed.output_tokens_per_second()),
            requests_per_second: range(speed.requests_per_second()),
            basis: match speed.basis {
                Basis::Measured => "measured",
                Basis::Fitted => "fitted",
                Basis::Roofline => "roofline",
            },
        }
    }
}

/// What of a model its speed depends on.
pub(crate) fn model(card: &ModelCard, architecture: Architecture) -> ModelSpeed {
    let c = architecture.config;
    let kinds = architecture.layers();
    let formula = architecture.parameters();
    let total = card
        .parameters
        .map(|parameters| parameters.0)
        .or(formula.map(ParameterCount::total))
        .unwrap_or(0);
    let active = card
        .active_parameters
        .map(|parameters| parameters.0)
        .or(architecture.active_parameters())
        .unwrap_or(total)
        .min(total);
    let (experts, per_token) = c
        .experts
        .as_ref()
        .map_or((0, 0), |experts| (experts.count, experts.per_token));
    // Of `total − active`, each of the experts that do not answer has one part.
    let one = if experts > per_token {
        float(total - active) / float(experts - per_token)
    } else {
        0.0
    };
    let layout = Layout {
        hybrid: true,
        element: 2,
        tpu: false,
        batched_tokens: 0,
    };
    let cache = Cache::of(architecture, Parallelism::ONE, layout);
    let upper = float(cache.per_token().0);
    let full = float(cache.full_per_token().0);
    let window = c.window.unwrap_or(0);
    ModelSpeed {
        layers: float(c.layers),
        hidden: float(c.hidden_size),
        dense_parameters: (float(active) - float(per_token) * one).max(0.0),
        expert_parameters: float(experts) * one,
        experts: float(experts),
        experts_per_token: float(per_token),
        attention: if kinds.recurrent > 0 {
            Attention::Hybrid
        } else if c.latent.is_some() {
            Attention::Latent
        } else {
            Attention::Heads
        },
        kv_bytes_per_token: full,
        window_kv_bytes_per_token: upper - full,
        window_tokens: float(if kinds.windowed > 0 { window } else { 0 }),
        sparse_tokens: float(c.indexer.and_then(|indexer| indexer.topk).unwrap_or(0)),
        kv_heads: float(c.kv_heads),
        attention_width: float(product(&[
            if kinds.full > 0 { kinds.full } else { c.layers },
            c.attention_heads,
            c.head_dim,
        ])),
        state_bytes: c.recurrent.map_or(0.0, |state| {
            let (elements, bytes) = match state {
                Recurrent::Mamba1 {
                    inner,
                    state,
                    state_bytes,
                    ..
                } => (product(&[inner, state]), state_bytes),
                Recurrent::Mamba2 {
                    heads,
                    head_dim,
                    state,
                    state_bytes,
                    ..
                } => (product(&[heads, head_dim, state]), state_bytes),
                Recurrent::DeltaNet {
                    value_heads,
                    key_dim,
                    value_dim,
                    state_bytes,
                    ..
                } => (product(&[value_heads, key_dim, value_dim]), state_bytes),
            };
            float(product(&[kinds.recurrent, elements, bytes]))
        }),
    }
}

fn device(accelerator: &AcceleratorRow) -> DeviceSpeed<'_> {
    let tflops = accelerator.tflops;
    DeviceSpeed {
        name: &accelerator.name,
        compute_capability: f64::from(accelerator.compute_capability.unwrap_or(0)) / 10.0,
        bandwidth_gb_s: accelerator.bandwidth_gb_s,
        // Hardware without bf16 computes in fp16.
        bf16_tflops: tflops.bf16.max(tflops.fp16),
        fp8_tflops: tflops.fp8,
        fp4_tflops: tflops.fp4,
        // Links are listed by both ways together.
        link_gb_s: (accelerator.interconnect.gb_s / 2.0).max(PCIE_GB_S),
    }
}

/// One way of a PCI Express 4 slot: what joins devices where nothing else does.
const PCIE_GB_S: f64 = 32.0;

/// What the matrix units compute with; a format they do not have is widened to 16 bits.
fn arithmetic(format: Format, accelerator: &AcceleratorRow) -> Arithmetic {
    let tflops = accelerator.tflops;
    match format.compute() {
        Compute::Fp4 if tflops.fp4 > 0.0 => Arithmetic::Fp4,
        Compute::Fp8 if tflops.fp8 > 0.0 => Arithmetic::Fp8,
        Compute::Int8 if tflops.int8 > 0.0 => Arithmetic::Fp8,
        _ => Arithmetic::Bf16,
    }
}

/// The engine whose measurements an engine's are like.
fn measured_engine(name: &str) -> &str {
    match name {
        "vllm-tpu" => "vllm",
        other => other,
    }
}

fn constants() -> &'static ThroughputDocument {
    static CONSTANTS: LazyLock<ThroughputDocument> = LazyLock::new(|| {
        serde_json::from_str(EMBEDDED_THROUGHPUT).expect("a test reads the embedded constants")
    });
    &CONSTANTS
}

#[expect(clippy::cast_precision_loss, reason = "speeds are estimates")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{catalog, llama_8b};

    fn query(batch: f64, input_tokens: f64) -> PaceQuery<'static> {
        PaceQuery {
            accelerator: catalog().accelerator("nvidia-l4").expect("in the fixture"),
            engine: "vllm".to_owned(),
            quantization: None,
            expert_quantization: None,
            tensor: 1,
            pipeline: 1,
            data: 1,
            expert: 1,
            batch,
            input_tokens,
            output_tokens: 512.0,
        }
    }

    #[test]
    fn requests_that_memory_does_not_hold_wait() {
        let at = |batch| pace_of(&llama_8b(), &query(batch, 1024.0)).expect("an L4 holds it");
        let (few, many) = (at(4.0), at(256.0));
        // 256 × 1,280 tokens × 128 KiB are 40 GiB.
        assert!(
            many.ttft_ms.estimate > 10.0 * few.ttft_ms.estimate,
            "{many:?}"
        );
        assert!(
            many.tpot_ms.estimate < 4.0 * few.tpot_ms.estimate,
            "{many:?}"
        );
    }

    #[test]
    fn a_prompt_that_memory_does_not_hold_is_refused() {
        let error = pace_of(&llama_8b(), &query(1.0, 100_000.0)).expect_err("13 GB of cache");
        assert_eq!(error.code, "too_small");
        assert!(error.detail.contains("a prompt of 100000"), "{error}");
        assert!(error.detail.contains("nvidia-l4"), "{error}");
    }
}
