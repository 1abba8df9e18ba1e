//! Memory of a model on devices that are named, without a catalog or a price: what an engine's
//! start-up log would say.

use openmodel_schemas::catalog::AcceleratorKind;
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::quantity::{Bytes, Tokens};
use openmodel_schemas::spec::{Adapters, Quantization};

use crate::adapters;
use crate::architecture::Architecture;
use crate::drafting;
use crate::engines::{doubt, engine, engines, memory};
use crate::error::{Fault, Field};
use crate::footprint::{Demand, Device, Footprint};
use crate::format::Format;
use crate::parallel::{Parallelism, check};
use crate::weights::Weights;

/// What is asked: a model on devices, served by an engine. What is not stated is the engine's
/// default.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of an engine, each on its own"
)]
pub struct MemoryQuery {
    /// Format of the linear layers; none leaves the checkpoint as it is.
    pub quantization: Option<Quantization>,
    /// Whether unquantised weights and the cache are held in 32 bits.
    pub float32: bool,
    /// GPU or TPU.
    pub accelerator: AcceleratorKind,
    /// Memory an engine can see on one device.
    pub usable: Bytes,
    /// Ranks that split each layer.
    pub tensor: u32,
    /// Stages that split the layers.
    pub pipeline: u32,
    /// Ranks with attention and a cache of their own.
    pub data: u32,
    /// Whole experts on each rank.
    pub expert: bool,
    /// Engine name.
    pub engine: String,
    /// Engine version; none takes the newest known.
    pub engine_version: Option<String>,
    /// Longest sequence; none takes the model's own limit.
    pub context_length: Option<Tokens>,
    /// Sequences to be in memory at once, and their mean length.
    pub concurrency: Option<(u32, Tokens)>,
    /// Most sequences of one step.
    pub max_sequences: Option<u64>,
    /// Most tokens of one step.
    pub max_batched_tokens: Option<u64>,
    /// Share of the usable memory, as a fraction.
    pub utilization: Option<f64>,
    /// Bits of an element of the KV cache; none takes the checkpoint's.
    pub kv_bits: Option<u64>,
    /// Whether no graphs are captured.
    pub eager: bool,
    /// Low-rank adapters in memory at once.
    pub adapters: Option<Adapters>,
    /// Tokens drafted ahead by the model's own prediction layers.
    pub draft_tokens: Option<u32>,
    /// Whether the engine cuts the context to what fits (`--max-model-len auto`).
    pub cut_context: bool,
}

impl MemoryQuery {
    /// One device of so much usable memory, with the newest vLLM's defaults.
    #[must_use]
    pub fn on(accelerator: AcceleratorKind, usable: Bytes) -> Self {
        Self {
            quantization: None,
            float32: false,
            accelerator,
            usable,
            tensor: 1,
            pipeline: 1,
            data: 1,
            expert: false,
            engine: match accelerator {
                AcceleratorKind::Gpu => "vllm",
                AcceleratorKind::Tpu => "vllm-tpu",
            }
            .to_owned(),
            engine_version: None,
            context_length: None,
            concurrency: None,
            max_sequences: None,
            max_batched_tokens: None,
            utilization: None,
            kv_bits: None,
            eager: false,
            adapters: None,
            draft_tokens: None,
            cut_context: false,
        }
    }
}

/// What the fullest device holds.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryAnswer {
    /// Weights as loaded.
    pub weights: Bytes,
    /// Peak activations.
    pub activations: Bytes,
    /// Runtime, collectives and graphs.
    pub overhead: Bytes,
    /// Everything in the engine's share but the KV cache.
    pub total_non_kv: Bytes,
    /// The engine's share.
    pub share: Bytes,
    /// Memory left for the KV cache.
    pub kv_cache: Bytes,
    /// Bytes of one token when every layer keeps it.
    pub kv_per_token: Bytes,
    /// Least and most bytes that one sequence of the context length keeps; they differ where
    /// windowed or compressed layers may or may not give back what they do not need.
    pub sequence: (Bytes, Bytes),
    /// Bytes of recurrent state of one sequence.
    pub state_per_sequence: Bytes,
    /// Tokens the KV cache holds, as the engine counts them.
    pub kv_tokens: Tokens,
    /// Longest sequence assumed.
    pub context_length: Tokens,
    /// Sequences of one step assumed.
    pub max_sequences: u64,
    /// Tokens of one step assumed.
    pub max_batched_tokens: u64,
    /// Share assumed, as a fraction.
    pub utilization: f64,
    /// Whether the engine starts and holds the load.
    pub fits: bool,
    /// Why it does not, or with how much to spare.
    pub reason: String,
    /// How the figures were made.
    pub basis: String,
}

/// Why there is no answer: the input at fault, and the next move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{summary}: {detail}")]
pub struct MemoryError {
    /// The input at fault.
    pub field: Field,
    /// Reason code.
    pub code: &'static str,
    /// A few words without variable parts.
    pub summary: &'static str,
    /// Full sentences.
    pub detail: String,
}

impl From<Fault> for MemoryError {
    fn from(fault: Fault) -> Self {
        Self {
            field: fault.field,
            code: fault.code,
            summary: fault.summary,
            detail: fault.detail,
        }
    }
}

/// What is to be known of a figure of zero (sizing.md, 3.4).
pub(crate) const NO_ACTIVATIONS: &str =
    "; activations on TPUs are not known and counted as none: they take of what is left free";

/// What the fullest device holds, and whether that fits.
pub fn memory_of(card: &ModelCard, query: &MemoryQuery) -> Result<MemoryAnswer, MemoryError> {
    let architecture = Architecture::of(card)?;
    if let Some(lora) = query.adapters {
        adapters::check(lora)?;
    }
    if let Some(tokens) = query.draft_tokens {
        drafting::check(card, tokens)?;
    }
    let row = engine(&query.engine).ok_or_else(|| unknown_engine(&query.engine))?;
    let version = query.engine_version.as_deref().unwrap_or(&row.version);
    let constants = memory(row, version);
    let weights = if query.float32 {
        Weights::in_format(card, architecture, Format::Fp32)?
    } else {
        Weights::of(card, architecture, query.quantization)?
    };
    let parallelism = Parallelism {
        tensor: query.tensor.max(1),
        pipeline: query.pipeline.max(1),
        data: query.data.max(1),
        expert: query.expert,
    };
    let native = architecture.config.max_positions;
    let context = query
        .context_length
        .map(|tokens| tokens.0)
        .or(native)
        .unwrap_or(DEFAULT_CONTEXT)
        .max(1);
    let kv_element = match query.kv_bits.or(stored_kv_bits(architecture)) {
        Some(8) => 1,
        _ if query.float32 => 4,
        _ => 2,
    };
    let demand = Demand {
        context,
        typical: query
            .concurrency
            .map(|(count, tokens)| (u64::from(count), tokens.0)),
        sequences: query.max_sequences,
        batched_tokens: query.max_batched_tokens,
        utilization: query.utilization,
        kv_element,
        eager: query.eager,
        adapters: query.adapters,
        drafted: query.draft_tokens.map(u64::from),
        draft: None,
    };
    let device = Device {
        kind: query.accelerator,
        usable: query.usable,
    };
    let footprint = Footprint::of(
        architecture,
        &weights,
        parallelism,
        device,
        constants,
        row,
        &demand,
    );
    let split = check(architecture, weights.format, parallelism, query.accelerator);
    let (fits, reason) = match &split {
        Err(indivisible) => (false, format!("indivisible: {indivisible}")),
        Ok(()) => verdict(&footprint, query.cut_context),
    };
    Ok(MemoryAnswer {
        weights: footprint.weights,
        activations: footprint.activations,
        overhead: footprint.overhead,
        total_non_kv: footprint.fixed(),
        share: footprint.share,
        kv_cache: footprint.room(),
        kv_per_token: footprint.cache.per_token(),
        sequence: footprint.cache.bounds(context),
        state_per_sequence: footprint.cache.per_sequence(),
        kv_tokens: footprint.kv_capacity(),
        context_length: Tokens(context),
        max_sequences: footprint.sequences,
        max_batched_tokens: footprint.batched_tokens,
        utilization: footprint.utilization,
        fits,
        reason,
        basis: format!(
            "{} {version} (constants {}); weights by {}{}{}",
            row.name,
            match constants.from.as_str() {
                "0" => "of all its versions",
                from => from,
            },
            weights.basis,
            if row.accelerator == AcceleratorKind::Tpu {
                NO_ACTIVATIONS
            } else {
                ""
            },
            doubt(row, version, architecture)
        ),
    })
}

/// The same over all devices of a machine, however the model spreads over them: the first spread
/// that fits, widest cut of the layers first; where none does, the one that comes closest.
pub fn memory_on(
    card: &ModelCard,
    query: &MemoryQuery,
    devices: u32,
) -> Result<MemoryAnswer, MemoryError> {
    let experts = card
        .config
        .as_ref()
        .is_some_and(|config| config.experts.is_some());
    let mut closest: Option<MemoryAnswer> = None;
    for (tensor, rest) in (1..=devices.max(1))
        .rev()
        .filter(|tensor| devices.is_multiple_of(*tensor))
        .map(|tensor| (tensor, devices / tensor))
    {
        let spreads = [
            (1, rest, experts && rest > 1),
            (rest, 1, false),
            (1, rest, experts),
        ];
        for (pipeline, data, expert) in spreads {
            let answer = memory_of(
                card,
                &MemoryQuery {
                    tensor,
                    pipeline,
                    data,
                    expert,
                    ..query.clone()
                },
            )?;
            if answer.fits {
                return Ok(answer);
            }
            let closer = closest.as_ref().is_none_or(|other| {
                // A need that cannot be spread so says less than one that is too large.
                (other.reason.starts_with("indivisible"), answer.total_non_kv)
                    < (answer.reason.starts_with("indivisible"), other.total_non_kv)
            });
            if closer {
                closest = Some(answer);
            }
        }
    }
    closest.ok_or_else(|| MemoryError {
        field: Field::ShapeAcceleratorCount,
        code: "invalid_shape",
        summary: "No devices",
        detail: "A machine without devices holds no model. State how many it has.".to_owned(),
    })
}

/// Context of a model that states no limit.
const DEFAULT_CONTEXT: u64 = 4096;

fn stored_kv_bits(architecture: Architecture) -> Option<u64> {
    architecture
        .config
        .quantization
        .as_ref()
        .and_then(|stored| stored.kv_bits)
}

fn verdict(footprint: &Footprint, cut_context: bool) -> (bool, String) {
    let (needs, share) = (footprint.needs(), footprint.share);
    if footprint.fixed() > share {
        let fixed = footprint.fixed();
        return (
            false,
            format!("too_small: {fixed} before any KV cache, the engine has {share}"),
        );
    }
    if cut_context && footprint.kv_capacity().0 > 0 && footprint.starts() {
        let tokens = footprint.kv_capacity().0;
        return (
            true,
            format!("fits with a context of at most {tokens} tokens"),
        );
    }
    if needs > share {
        return (
            false,
            format!(
                "too_small: the load keeps {}, {} is left for it ({} tokens)",
                footprint.kv_cache,
                footprint.room(),
                footprint.kv_capacity().0
            ),
        );
    }
    if !footprint.starts() {
        let (needs, has) = footprint.outside();
        return (
            false,
            format!(
                "too_small: graphs and the sampler's warm-up need {needs} outside of the engine's \
                 share, {has} is there; lower its share"
            ),
        );
    }
    let spare = share.saturating_sub(needs);
    (
        true,
        format!("fits with {spare} to spare in the engine's share"),
    )
}

fn unknown_engine(name: &str) -> MemoryError {
    let known: Vec<&str> = engines()
        .engines
        .iter()
        .map(|row| row.name.as_str())
        .collect();
    MemoryError {
        field: Field::Engine,
        code: "unknown_engine",
        summary: "Unknown engine",
        detail: format!(
            "There is no engine {name:?}; known are {}. Choose one of these.",
            known.join(", ")
        ),
    }
}
