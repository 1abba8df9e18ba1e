//! What is to be placed: a model, its load, and the formats its weights may be held in.

use openmodel_schemas::engine::EngineRow;
use openmodel_schemas::model_card::{ModelCard, ModelKind};
use openmodel_schemas::spec::{Quantization, Workload};

use rust_decimal::Decimal;

use crate::adapters;
use crate::architecture::Architecture;
use crate::drafting;
use crate::engines::{engine, engines, serves};
use crate::error::{Fault, Field};
use crate::footprint::Demand;
use crate::pace::model;
use crate::parallel::Parallelism;
use crate::reason::list;
use crate::throughput::ModelSpeed;
use crate::weights::Weights;

/// Whatever is to be placed.
#[derive(Debug, Clone)]
pub(crate) struct Need<'a> {
    pub(crate) card: &'a ModelCard,
    pub(crate) architecture: Architecture<'a>,
    pub(crate) workload: Workload,
    /// The engine that is asked for, or all that are known to serve the model's class, in the
    /// order in which `auto` prefers them.
    pub(crate) able: Vec<Able>,
    /// Whether the user brings the image, so that no accelerator lacks one.
    pub(crate) own_image: bool,
    /// The formats that are allowed, in the order of preference among equals.
    pub(crate) variants: Vec<Variant>,
    /// Bytes of an element of the KV cache.
    pub(crate) kv_element: u64,
    /// What of the model its speed depends on.
    pub(crate) speed: ModelSpeed,
}

/// An engine that may serve the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Able {
    pub(crate) engine: &'static EngineRow,
    /// Least NVIDIA compute capability it serves the model's class on, without its dot.
    pub(crate) min_compute_capability: u32,
}

/// The weights in one format.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Variant {
    /// What is asked of the engine; none loads the checkpoint as it is.
    pub(crate) quantization: Option<Quantization>,
    pub(crate) weights: Weights,
}

impl<'a> Need<'a> {
    /// Check a load against its model.
    pub(crate) fn of(
        card: &'a ModelCard,
        workload: &Workload,
        engine_name: Option<&str>,
        quantizations: &[Option<Quantization>],
        kv_bits: Option<u64>,
    ) -> Result<Self, Fault> {
        let named = engine_name.map(known_engine).transpose()?;
        let architecture = Architecture::of(card)?;
        check(card, workload, architecture)?;
        let able = able(card, architecture, named)?;
        let cacheless = matches!(
            architecture.config.kind,
            ModelKind::Encoder | ModelKind::Diffusion
        );
        if let Some(bits) = kv_bits.filter(|_| cacheless) {
            return Err(no_cache(card, bits));
        }
        let variants = quantizations
            .iter()
            .map(|quantization| {
                let weights = Weights::of(card, architecture, *quantization)?;
                // What no engine makes of 16 bits while loading is asked of a checkpoint that is
                // stored so.
                let made = quantization
                    .is_none_or(|asked| matches!(asked, Quantization::Fp8 | Quantization::Bnb4));
                let weights = if made { weights } else { weights.as_stored() };
                Ok(Variant {
                    quantization: *quantization,
                    weights,
                })
            })
            .collect::<Result<Vec<_>, Fault>>()?;
        let stored_bits = architecture
            .config
            .quantization
            .as_ref()
            .and_then(|stored| stored.kv_bits);
        Ok(Self {
            card,
            architecture,
            workload: workload.clone(),
            able,
            own_image: false,
            variants,
            kv_element: match kv_bits.or(stored_bits) {
                Some(8) => 1,
                _ => 2,
            },
            speed: model(card, architecture),
        })
    }

    /// The same with another load, for advice.
    pub(crate) fn with(&self, workload: Workload) -> Self {
        Self {
            workload,
            ..self.clone()
        }
    }

    /// What the engine is asked to hold on each data-parallel rank.
    pub(crate) fn demand(&self, parallelism: Parallelism) -> Demand {
        let load = &self.workload;
        let sequences = u64::from(load.max_concurrency)
            .div_ceil(u64::from(parallelism.data.max(1)))
            .max(1);
        let typical = load
            .input_tokens
            .0
            .saturating_add(if self.architecture.once {
                0
            } else {
                load.output_tokens.0
            })
            .max(1);
        Demand {
            context: load.context_length.0.max(1),
            typical: Some((sequences, typical)),
            sequences: Some(sequences),
            batched_tokens: None,
            utilization: None,
            kv_element: self.kv_element,
            eager: false,
            adapters: load.adapters,
            drafted: load.draft_tokens.map(u64::from),
        }
    }
}

/// What is wrong with a load, whatever the shape.
fn check(card: &ModelCard, load: &Workload, architecture: Architecture) -> Result<(), Fault> {
    let fault = |field, code, summary, detail| {
        Err(Fault {
            field,
            code,
            summary,
            detail,
        })
    };
    let context = load.context_length.0;
    if context == 0 {
        return fault(
            Field::ContextLength,
            "invalid_load",
            "Context length is zero",
            "context_length = 0 holds no token. Set the longest prompt and answer together."
                .to_owned(),
        );
    }
    let positions = card.config.as_ref().and_then(|config| config.max_positions);
    if let Some(positions) =
        positions.filter(|positions| context > *positions && !load.extend_context)
    {
        let detail = format!(
            "{} was made for sequences of at most {positions} tokens (max_position_embeddings); \
             context_length = {context} is longer. Set context_length to at most {positions}.",
            card.id
        );
        return fault(
            Field::ContextLength,
            "context_too_long",
            "Context is longer than the model allows",
            detail,
        );
    }
    if load.max_concurrency == 0 {
        return fault(
            Field::MaxConcurrency,
            "invalid_load",
            "Concurrency is out of bounds",
            "max_concurrency = 0 serves nobody. Set the requests in flight at once, at least 1."
                .to_owned(),
        );
    }
    let (input, output) = (load.input_tokens.0, load.output_tokens.0);
    // An image has no length; a vector or a score is no answer.
    let output = if architecture.once { 0 } else { output };
    let sequences = architecture.config.kind != ModelKind::Diffusion;
    if sequences && input.saturating_add(output) > context {
        let detail = format!(
            "A typical request of {input} tokens in and {output} out is longer than \
             context_length = {context}. Raise context_length, or lower input_tokens or output_tokens."
        );
        return fault(
            Field::InputTokens,
            "invalid_load",
            "Typical request is longer than the context",
            detail,
        );
    }
    let generates = architecture.role() == ModelKind::Decoder;
    let untold = |what: &str| {
        format!(
            "The speed of {} cannot be told: there is no estimate for models that do not generate \
             token after token. Leave {what} out.",
            card.id
        )
    };
    for (field, what, asked) in [
        (
            Field::MaxTtft,
            "max_ttft_ms",
            load.goals.max_ttft_ms.is_some(),
        ),
        (
            Field::MaxTpot,
            "max_tpot_ms",
            load.goals.max_tpot_ms.is_some(),
        ),
        (
            Field::RequestsPerSecond,
            "requests_per_second",
            load.requests_per_second.is_some(),
        ),
    ] {
        if asked && !generates {
            return fault(field, "unknown_speed", "Speed is unknown", untold(what));
        }
    }
    if let Some(lora) = load.adapters {
        adapters::check(lora)?;
    }
    if let Some(tokens) = load.draft_tokens {
        drafting::check(card, tokens)?;
    }
    if let Some(rate) = load.requests_per_second.filter(Decimal::is_sign_negative) {
        return fault(
            Field::RequestsPerSecond,
            "invalid_load",
            "Requested load is negative",
            format!(
                "requests_per_second = {rate} is no load. Set the requests a second that all \
                 replicas together must serve, or leave it out."
            ),
        );
    }
    Ok(())
}

fn no_cache(card: &ModelCard, bits: u64) -> Fault {
    Fault {
        field: Field::KvCache,
        code: "no_kv_cache",
        summary: "Model keeps no KV cache",
        detail: format!(
            "{} reads its input once and keeps no keys and values, so none can be held in {bits} bits. Leave the \
             format of the KV cache out.",
            card.id
        ),
    }
}

/// The engines that may serve a model: the one that is named, whatever is known of it, or all that
/// are known to serve its class.
fn able(
    card: &ModelCard,
    architecture: Architecture,
    named: Option<&'static EngineRow>,
) -> Result<Vec<Able>, Fault> {
    let class = &architecture.config.architecture;
    let able = |engine: &'static EngineRow| {
        serves(engine, class, architecture.role()).map(|least| Able {
            engine,
            min_compute_capability: least,
        })
    };
    if let Some(engine) = named {
        return Ok(vec![able(engine).unwrap_or(Able {
            engine,
            min_compute_capability: 0,
        })]);
    }
    let found: Vec<Able> = engines().engines.iter().filter_map(able).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let candidates: Vec<String> = engines()
        .engines
        .iter()
        .filter(|engine| engine.serves.contains(&architecture.role()))
        .map(|engine| format!("{} {}", engine.name, engine.version))
        .collect();
    Err(Fault {
        field: Field::Model,
        code: "unknown_architecture",
        summary: "No engine is known to serve the model",
        detail: format!(
            "{} has {}, which none of {} is known to serve. Choose another model; or, if you know that an engine \
             serves it, name that engine (engine.name): the model is then sized by the fields \
             of its configuration alone.",
            card.id,
            architecture.stated_class(),
            list(&candidates)
        ),
    })
}

fn known_engine(name: &str) -> Result<&'static EngineRow, Fault> {
    engine(name).ok_or_else(|| {
        let known: Vec<&str> = engines()
            .engines
            .iter()
            .map(|row| row.name.as_str())
            .collect();
        Fault {
            field: Field::Engine,
            code: "unknown_engine",
            summary: "Unknown engine",
            detail: format!(
                "There is no engine {name:?}; known are {}. Choose one of these, or leave \
                 engine.name out.",
                known.join(", ")
            ),
        }
    })
}
