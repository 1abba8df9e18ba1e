//! Memory a model needs under a load, on each of its devices and on their host.
//!
//! ```text
//!   usable ┬─ engine's share (utilisation) ┬─ weights       of the fullest rank
//!          │                               ├─ activations   at the largest step
//!          │                               ├─ overhead      runtime, collectives, graphs
//!          │                               └─ KV cache      what is left of the share
//!          └─ outside of the share: graphs of older versions, the warm-up of the sampler
//! ```
//!
//! **A load fits** when all of these do:
//! 1. one sequence of `context_length` tokens (an engine refuses to start otherwise);
//! 2. `max_concurrency` sequences of `input_tokens + output_tokens`, all at once;
//! 3. what an engine allocates outside of its share.
//!
//! The formulas are those of vLLM's start-up profiling; their constants stand in
//! `schemas/catalog/engines.json` with their sources.

use openmodel_schemas::catalog::{AcceleratorKind, AcceleratorRow};
use openmodel_schemas::engine::{EngineRow, GraphsRow, MemoryRow};
use openmodel_schemas::model_card::ModelKind;
use openmodel_schemas::quantity::{Bytes, Tokens};
use openmodel_schemas::report::Memory;
use openmodel_schemas::spec::Adapters;

use crate::adapters;
use crate::architecture::{Architecture, product};
use crate::cache::{Cache, Layout};
use crate::drafting::{CHECK_BYTES_PER_LOGIT, Draft};
use crate::format::Format;
use crate::parallel::Parallelism;
use crate::weights::Weights;

/// The device a rank runs on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Device {
    pub(crate) kind: AcceleratorKind,
    /// Memory an engine can see.
    pub(crate) usable: Bytes,
}

impl Device {
    /// One device of an accelerator, or some eighths of it.
    pub(crate) fn of(accelerator: &AcceleratorRow, eighths: u32) -> Self {
        let whole = Bytes::from_gib(accelerator.usable_gib);
        Self {
            kind: accelerator.kind,
            usable: Bytes(whole.0 / 8 * u64::from(eighths.clamp(1, 8))),
        }
    }
}

/// What an engine is asked to hold. What is not stated is the engine's default.
#[derive(Debug, Clone)]
pub(crate) struct Demand<'a> {
    /// Longest sequence.
    pub(crate) context: u64,
    /// Sequences that are to be in memory at once, and their length.
    pub(crate) typical: Option<(u64, u64)>,
    /// Most sequences of one step.
    pub(crate) sequences: Option<u64>,
    /// Most tokens of one step.
    pub(crate) batched_tokens: Option<u64>,
    /// Share of the usable memory, as a fraction.
    pub(crate) utilization: Option<f64>,
    /// Bytes of an element of keys and values.
    pub(crate) kv_element: u64,
    /// Whether no graphs are captured.
    pub(crate) eager: bool,
    /// Low-rank adapters in memory at once.
    pub(crate) adapters: Option<Adapters>,
    /// Tokens drafted ahead.
    pub(crate) drafted: Option<u64>,
    /// The model that drafts them; none: the model's own prediction layers.
    pub(crate) draft: Option<Draft<'a>>,
}

/// What a model needs of one device, and of the host beside it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Footprint {
    /// Memory an engine can see.
    pub(crate) usable: Bytes,
    /// The engine's share of it.
    pub(crate) share: Bytes,
    /// Weights as loaded, of the fullest rank.
    pub(crate) weights: Bytes,
    /// Peak activations.
    pub(crate) activations: Bytes,
    /// Runtime, collectives and graphs, inside of the share or outside.
    pub(crate) overhead: Bytes,
    /// Of activations and overhead, what lies outside of the share.
    outside: Bytes,
    /// What must be free outside of the share at start-up beside `outside`.
    warm_up: Bytes,
    /// What sequences keep.
    pub(crate) cache: Cache,
    /// KV cache and states the load needs.
    pub(crate) kv_cache: Bytes,
    /// Longest sequence.
    pub(crate) context: u64,
    /// Host memory.
    pub(crate) host: Bytes,
    /// Sequences of one step.
    pub(crate) sequences: u64,
    /// Tokens of one step.
    pub(crate) batched_tokens: u64,
    /// The share as a fraction.
    pub(crate) utilization: f64,
}

impl Footprint {
    /// The footprint of a model under a load.
    pub(crate) fn of(
        architecture: Architecture,
        weights: &Weights,
        parallelism: Parallelism,
        device: Device,
        constants: &MemoryRow,
        engine: &EngineRow,
        demand: &Demand,
    ) -> Self {
        let c = architecture.config;
        let usable = device.usable;
        let step = constants
            .steps
            .iter()
            .rfind(|row| row.from_gib <= usable.as_gib())
            .or(constants.steps.first());
        let sequences = demand
            .sequences
            .or(step.map(|row| row.sequences))
            .unwrap_or(1)
            .max(1);
        let batched_tokens = if let Some(stated) = demand.batched_tokens {
            stated
        } else {
            let default = step.map_or(2048, |row| row.tokens);
            let step = if constants.chunked_prefill && c.kind == ModelKind::Decoder {
                default
            } else {
                default.max(demand.context)
            };
            step.max(sequences)
        };
        let utilization = demand
            .utilization
            .unwrap_or(constants.utilization_percent / 100.0);
        let layout = Layout {
            hybrid: constants.hybrid_cache,
            element: demand.kv_element,
            tpu: device.kind == AcceleratorKind::Tpu,
            batched_tokens,
        };
        // An engine made for encoders alone runs a decoder that answers once without a cache.
        let cacheless = architecture.once && !engine.serves.contains(&ModelKind::Decoder);
        let cache = if cacheless {
            Cache::none(layout)
        } else {
            Cache::of(architecture, parallelism, layout)
        };
        let spread = Draft::spread(parallelism);
        let cache = match demand.drafted {
            Some(tokens) => cache.checking(architecture, parallelism, tokens),
            None => cache,
        };
        let cache = match (demand.draft, demand.drafted) {
            (Some(draft), _) => cache.beside(&Cache::of(draft.architecture, spread, layout)),
            (None, Some(_)) => cache.predicting(architecture, parallelism),
            (None, None) => cache,
        };
        let typical = demand
            .typical
            .map_or(Bytes(0), |(count, tokens)| cache.request(tokens) * count);
        let activations = activations(
            architecture,
            weights.format,
            parallelism,
            constants,
            sequences,
            batched_tokens,
            (cacheless, demand.drafted.is_some()),
        );
        // It runs after the model, in the memory that the model's step gave back.
        let activations = demand.draft.map_or(activations, |draft| {
            activations.max(self::activations(
                draft.architecture,
                draft.weights.format,
                spread,
                constants,
                sequences,
                batched_tokens,
                (false, false),
            ))
        });
        let runtime = Bytes::from_gib(if parallelism.tensor > 1 {
            constants.tensor_runtime_gib
        } else {
            constants.runtime_gib
        });
        let graphs = if demand.eager || cacheless || c.kind != ModelKind::Decoder {
            Bytes(0)
        } else {
            let drafted = demand
                .draft
                .map_or(0, |draft| draft.architecture.config.layers);
            graphs(&constants.graphs, architecture, weights.format, drafted)
        };
        let (outside, warm_up) = if constants.activations_outside {
            (activations + graphs, Bytes(0))
        } else if constants.graphs.counted || c.kind != ModelKind::Decoder {
            (Bytes(0), Bytes(0))
        } else {
            (
                graphs,
                warm_up(
                    architecture,
                    weights.format,
                    parallelism,
                    sequences,
                    batched_tokens,
                ),
            )
        };
        let adapters = demand.adapters.map_or(Bytes(0), |adapters| {
            adapters::bytes(architecture, adapters, parallelism)
        });
        let (beside, files) = match (demand.draft, demand.drafted) {
            (Some(draft), _) => (
                draft.weights.per_device(draft.architecture, spread),
                draft.weights.files,
            ),
            (None, Some(_)) => (weights.prediction(parallelism), Bytes(0)),
            (None, None) => (Bytes(0), Bytes(0)),
        };
        Self {
            usable,
            share: part(usable, utilization),
            weights: weights.per_device(architecture, parallelism) + adapters + beside,
            activations,
            overhead: runtime + graphs,
            outside,
            warm_up,
            kv_cache: cache.request(demand.context).max(typical),
            cache,
            context: demand.context,
            host: weights.files + files + Bytes::from_gib(engine.host_gib),
            sequences,
            batched_tokens,
            utilization,
        }
    }

    /// Whether sequences keep anything between steps.
    pub(crate) fn keeps(&self) -> bool {
        self.cache.request(1) > Bytes(0)
    }

    /// Everything in the share but the KV cache.
    pub(crate) fn fixed(&self) -> Bytes {
        (self.weights + self.activations + self.overhead).saturating_sub(self.outside)
    }

    /// What the engine's share must hold.
    pub(crate) fn needs(&self) -> Bytes {
        self.fixed() + self.kv_cache
    }

    /// Whether the share holds the load, and the rest of the memory what lies outside.
    pub(crate) fn fits(&self) -> bool {
        self.needs() <= self.share && self.starts()
    }

    /// Whether the memory outside of the share holds what is allocated there.
    pub(crate) fn starts(&self) -> bool {
        // Small cards' defaults were never seen to fail for it.
        self.warm_up == Bytes(0) && self.outside <= self.usable
            || self.outside + self.warm_up <= self.usable.saturating_sub(self.share)
    }

    /// What must be free outside of the share, and what is.
    pub(crate) fn outside(&self) -> (Bytes, Bytes) {
        (
            self.outside + self.warm_up,
            self.usable.saturating_sub(self.share),
        )
    }

    /// Memory left for the KV cache.
    pub(crate) fn room(&self) -> Bytes {
        self.share.saturating_sub(self.fixed())
    }

    /// Tokens the engine will have room for, as it counts them.
    pub(crate) fn kv_capacity(&self) -> Tokens {
        Tokens(self.cache.capacity(self.room(), self.context))
    }

    /// The figures as they are shown, for a load that fits.
    pub(crate) fn memory(&self, basis: String) -> Memory {
        Memory {
            usable: self.usable,
            weights: self.weights,
            kv_cache: self.kv_cache,
            activations: self.activations,
            overhead: self.overhead,
            headroom: self
                .usable
                .saturating_sub(self.weights + self.activations + self.overhead + self.kv_cache),
            kv_capacity: self.kv_capacity(),
            basis,
        }
    }

    /// The parts of the need in words.
    pub(crate) fn parts(&self) -> String {
        format!(
            "weights {}, KV cache {}, activations {}, overhead {}",
            self.weights, self.kv_cache, self.activations, self.overhead
        )
    }
}

/// Peak activations: the larger of the sampler's warm-up with one step of hidden states, which
/// rules with many sequences (`c·S·V + h·B·H·2 + 1.35·B·k·(max(2·Iₑ, H) + Iₑ)·2`), and of one
/// feed-forward layer in a step, which rules with few (`1.08·B·(2·H + 3·I)·2`; 0.77 GiB for
/// CodeLlama-7B, 2.07 GiB for a step of 20,000 tokens in Llama-3.1-8B). Fused 4-bit experts keep
/// no such buffers.
fn activations(
    architecture: Architecture,
    format: Format,
    parallelism: Parallelism,
    constants: &MemoryRow,
    sequences: u64,
    batched: u64,
    (cacheless, drafts): (bool, bool),
) -> Bytes {
    let c = architecture.config;
    let element = if format == Format::Fp32 { 4.0 } else { 2.0 };
    let tower = if c.vision || c.audio { TOWER_GIB } else { 0.0 };
    let step = Bytes::from_gib(constants.step_gib + tower);
    // Attention scores are not kept with flash attention: `tokens · (12·H + I)`.
    let read_once = || {
        let row = product(&[12, c.hidden_size]).saturating_add(c.intermediate_size);
        scale(product(&[batched, row]), element) + step
    };
    match c.kind {
        ModelKind::Decoder if cacheless => return read_once(),
        ModelKind::Decoder | ModelKind::EncoderDecoder => {}
        ModelKind::Encoder => return read_once(),
        // One image of 1,024² at a time: a fixed working set, as SDXL and FLUX show.
        ModelKind::Diffusion => return Bytes::from_gib(DIFFUSION_GIB),
    }
    let ranks = u64::from(parallelism.tensor.max(1));
    let vocabulary = if c.vocab_size == 0 {
        ASSUMED_VOCABULARY
    } else {
        c.vocab_size
    };
    // Nothing is sampled of vectors and scores: vLLM warms up the pooler instead.
    let sampled = if architecture.once { 0 } else { sequences };
    let sampler = scale(
        product(&[sampled, vocabulary]),
        constants.sampler_bytes_per_logit + if drafts { CHECK_BYTES_PER_LOGIT } else { 0.0 },
    );
    let hidden = scale(
        product(&[batched, c.hidden_size]),
        constants.hidden_copies * element,
    );
    let experts = expert_step(architecture, format, ranks, batched);
    // A TPU's program is compiled to fit: nothing is profiled.
    if constants.hidden_copies == 0.0 {
        return step;
    }
    let dense = if c.experts.is_none() {
        let row = c
            .hidden_size
            .saturating_mul(2)
            .saturating_add((c.intermediate_size / ranks).saturating_mul(3));
        scale(product(&[batched, row]), 1.08 * element)
    } else {
        Bytes(0)
    };
    (sampler + hidden + experts).max(dense) + step
}

/// What a tower for images or sound adds to activations, in GiB (gemma-3 at 4B and 27B).
const TOWER_GIB: f64 = 0.2;

/// Working set of a diffusion pipeline for one image of 1,024², in GiB (SDXL: 8 to 10 GB at
/// 6.9 GB of weights).
const DIFFUSION_GIB: f64 = 3.0;

/// Vocabulary of a model whose configuration does not state it: that of the largest common
/// families but one.
const ASSUMED_VOCABULARY: u64 = 152_064;

/// Buffers of routed experts in one step.
fn expert_step(architecture: Architecture, format: Format, ranks: u64, batched: u64) -> Bytes {
    let c = architecture.config;
    match &c.experts {
        Some(e) if format != Format::Mxfp4 => {
            let width = e.intermediate_size / ranks;
            let row = width
                .saturating_mul(2)
                .max(c.hidden_size)
                .saturating_add(width);
            scale(product(&[batched, e.per_token, row]), 1.35 * 2.0)
        }
        _ => Bytes(0),
    }
}

/// Captured graphs. Kernels of 4-bit float experts keep workspaces of their own in them
/// (gpt-oss-20b: 1.84 GiB where 1.1 are usual). Layers of a draft model are captured like the
/// model's own.
fn graphs(
    constants: &GraphsRow,
    architecture: Architecture,
    format: Format,
    drafted: u64,
) -> Bytes {
    let c = architecture.config;
    let layers = c.layers.saturating_add(drafted);
    let mut gib = constants.base_gib
        + constants.per_layer_gib * f64::from(u32::try_from(layers).unwrap_or(u32::MAX).min(1000));
    if c.experts.is_some() {
        gib += constants.experts_gib;
        if format == Format::Mxfp4 && constants.experts_gib > 0.0 {
            gib += 0.75;
        }
    }
    Bytes::from_gib(gib.max(constants.floor_gib))
}

/// What versions that leave graphs out of the share need beside them when they warm the sampler
/// up: a 32-bit copy of all logits, and what their allocators hold (gpt-oss-20b at 0.95 of one
/// H100 failed for 786 MiB; gemma-3-27b started).
fn warm_up(
    architecture: Architecture,
    format: Format,
    parallelism: Parallelism,
    sequences: u64,
    batched: u64,
) -> Bytes {
    let c = architecture.config;
    let logits = Bytes(product(&[sequences, c.vocab_size, 4]));
    let experts = match &c.experts {
        // The same buffers as in a profiled step, here of fused kernels too.
        Some(_) => expert_step(
            architecture,
            if format == Format::Mxfp4 {
                Format::Bf16
            } else {
                format
            },
            u64::from(parallelism.tensor.max(1)),
            batched,
        ),
        None => Bytes(0),
    };
    // Below a large card's defaults nothing of this was seen to matter.
    if sequences <= 256 {
        return Bytes(0);
    }
    logits + experts + Bytes::from_gib(1.2)
}

fn part(bytes: Bytes, fraction: f64) -> Bytes {
    Bytes::from_gib(bytes.as_gib() * fraction.clamp(0.0, 1.0))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float casts saturate; sizes below 8 PiB are exact enough"
)]
fn scale(count: u64, factor: f64) -> Bytes {
    Bytes((count as f64 * factor).round() as u64)
}
