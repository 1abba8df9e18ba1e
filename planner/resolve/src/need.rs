//! What is to be placed: a model, its load, and the formats its weights may be held in.

use openmodel_schemas::engine::EngineRow;
use openmodel_schemas::model_card::{ModelCard, ModelKind};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::spec::{Quantization, Workload};

use rust_decimal::Decimal;

use crate::adapters;
use crate::architecture::Architecture;
use crate::drafting::{self, Draft};
use crate::engines::{engine, engines, serves};
use crate::error::{Fault, Field};
use crate::footprint::Demand;
use crate::gguf;
use crate::pace::model;
use crate::parallel::Parallelism;
use crate::reason::list;
use crate::task::generates;
use crate::throughput::ModelSpeed;
use crate::weights::Weights;

/// Whatever is to be placed.
#[derive(Debug, Clone)]
pub(crate) struct Need<'a> {
    pub(crate) card: &'a ModelCard,
    pub(crate) architecture: Architecture<'a>,
    pub(crate) workload: Workload,
    /// The model that drafts for it.
    pub(crate) draft: Option<Draft<'a>>,
    /// The engine that is asked for, or all that are known to serve the model's class, in the
    /// order in which `auto` prefers them.
    pub(crate) able: Vec<Able>,
    /// Whether the user brings the image, so that no accelerator lacks one.
    pub(crate) own_image: bool,
    /// Its version, where one is asked for.
    pub(crate) engine_version: Option<String>,
    /// Whether the user names the engine.
    pub(crate) named: bool,
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
    /// Check a load against its model, and the model that drafts for it, where the load names one.
    pub(crate) fn of(
        card: &'a ModelCard,
        draft: Option<&'a ModelCard>,
        workload: &Workload,
        engine_name: Option<&str>,
        quantizations: &[Option<Quantization>],
        kv_bits: Option<u64>,
    ) -> Result<Self, Fault> {
        let named = engine_name.map(known_engine).transpose()?;
        let architecture = Architecture::of(card)?;
        check(card, workload, architecture)?;
        let draft = workload
            .draft_model
            .as_ref()
            .map(|named| Draft::of(named, draft, card, architecture, workload))
            .transpose()?;
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
                let stored = gguf::of_variant(card, *quantization)?;
                let weights = Weights::of(card, architecture, *quantization)?;
                // What no engine makes of 16 bits while loading is asked of a checkpoint that is
                // stored so.
                let made = quantization
                    .is_none_or(|asked| matches!(asked, Quantization::Fp8 | Quantization::Bnb4));
                let weights = match stored {
                    Some(model) if weights.format.is_gguf() => weights.of_files(model.bytes()),
                    _ if made => weights,
                    _ => weights.as_stored(),
                };
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
            draft,
            able,
            own_image: false,
            engine_version: None,
            named: named.is_some(),
            variants,
            kv_element: match kv_bits.or(stored_bits) {
                Some(8) => 1,
                _ => 2,
            },
            speed: model(card, architecture),
        })
    }

    /// The same with the engine at a version that is not the newest known.
    pub(crate) fn at_version(mut self, version: Option<&str>) -> Result<Self, Fault> {
        let Some(stated) = version else {
            return Ok(self);
        };
        let number = stated.strip_prefix('v').unwrap_or(stated);
        let is_number = number
            .split('.')
            .all(|part| part.starts_with(|c: char| c.is_ascii_digit()));
        if !self.named || !is_number {
            return Err(Fault {
                field: Field::Engine,
                code: "unknown_engine",
                summary: "Engine version cannot be read",
                detail: format!(
                    "{stated:?} is not a version of an engine. Name the engine and numbers with dots, such as \
                     0.19.0, or leave the version out for the newest known."
                ),
            });
        }
        self.engine_version = Some(number.to_owned());
        Ok(self)
    }

    /// The version of an engine that is sized for: the one that is asked for, else the newest
    /// known.
    pub(crate) fn version<'b>(&'b self, engine: &'b EngineRow) -> &'b str {
        self.engine_version.as_deref().unwrap_or(&engine.version)
    }

    /// The same with another load, for advice.
    pub(crate) fn with(&self, workload: Workload) -> Self {
        Self {
            workload,
            ..self.clone()
        }
    }

    /// Bytes of the weight files in one of the formats, with those of a draft model.
    pub(crate) fn files(&self, variant: usize) -> Bytes {
        let draft = self.draft.map_or(Bytes(0), |draft| draft.weights.files);
        self.variants[variant].weights.files + draft
    }

    /// What the engine is asked to hold on each data-parallel rank.
    pub(crate) fn demand(&self, parallelism: Parallelism) -> Demand<'a> {
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
            draft: self.draft,
        }
    }
}

/// Longer than any sequence: ten times what the longest published model was made for (Llama 4
/// Scout, 10,485,760 tokens).
const LONGEST_CONTEXT: u64 = 100_000_000;

/// More requests a second than any service of one model has.
const MOST_REQUESTS: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

/// What is wrong with a load, whatever the shape.
fn check(card: &ModelCard, load: &Workload, architecture: Architecture) -> Result<(), Fault> {
    check_lengths(card, load, architecture)?;
    check_rates(card, load, architecture)?;
    if let Some(lora) = load.adapters {
        adapters::check(lora)?;
    }
    if let Some(tokens) = load.draft_tokens.filter(|_| load.draft_model.is_none()) {
        drafting::check(card, tokens)?;
    }
    Ok(())
}

const fn invalid(field: Field, summary: &'static str, detail: String) -> Fault {
    Fault {
        field,
        code: "invalid_load",
        summary,
        detail,
    }
}

/// The context, and the typical request in it.
fn check_lengths(
    card: &ModelCard,
    load: &Workload,
    architecture: Architecture,
) -> Result<(), Fault> {
    let context = load.context_length.0;
    // An encoder answers with numbers, and a pipeline with an image.
    let kind = architecture.config.kind;
    let answers = generates(card);
    let least = if answers { 2 } else { 1 };
    if !(least..=LONGEST_CONTEXT).contains(&context) {
        let detail = format!(
            "context_length = {context} is not the length of any request. Set the longest prompt and answer together, \
             from {least} to {LONGEST_CONTEXT} tokens."
        );
        let summary = "Context length is out of bounds";
        return Err(invalid(Field::ContextLength, summary, detail));
    }
    let positions = card.config.as_ref().and_then(|config| config.max_positions);
    if let Some(positions) =
        positions.filter(|positions| context > *positions && !load.extend_context)
    {
        return Err(Fault {
            field: Field::ContextLength,
            code: "context_too_long",
            summary: "Context is longer than the model allows",
            detail: format!(
                "{} was made for sequences of at most {positions} tokens (max_position_embeddings); \
                 context_length = {context} is longer. Set context_length to at most {positions}.",
                card.id
            ),
        });
    }
    let (input, output) = (load.input_tokens.0, load.output_tokens.0);
    if input == 0 {
        let detail =
            "input_tokens = 0 asks nothing. Set the prompt tokens of a typical request, at \
                      least 1, or leave input_tokens out."
                .to_owned();
        return Err(invalid(Field::InputTokens, "Prompt is empty", detail));
    }
    if output == 0 && answers {
        let detail = format!(
            "output_tokens = 0 is no answer, and {} answers token after token. Set the answer tokens \
             of a typical request, at least 1, or leave output_tokens out.",
            card.id
        );
        return Err(invalid(Field::OutputTokens, "Answer is empty", detail));
    }
    // An image has no length; a vector or a score is no answer.
    let output = if architecture.once { 0 } else { output };
    let sequences = kind != ModelKind::Diffusion;
    if sequences && input.saturating_add(output) > context {
        let own = if positions == Some(context) {
            ", the longest that the model was made for"
        } else {
            ""
        };
        let detail = format!(
            "A typical request of {input} tokens in and {output} out is longer than \
             context_length = {context}{own}. Raise context_length, or lower input_tokens or output_tokens."
        );
        // What takes most of the room is what does not fit.
        let field = if output > input {
            Field::OutputTokens
        } else {
            Field::InputTokens
        };
        let summary = "Typical request is longer than the context";
        return Err(invalid(field, summary, detail));
    }
    Ok(())
}

/// Requests at once and a second, and the goals of speed.
fn check_rates(card: &ModelCard, load: &Workload, architecture: Architecture) -> Result<(), Fault> {
    if load.max_concurrency == 0 {
        let detail =
            "max_concurrency = 0 serves nobody. Set the requests in flight at once, at least 1."
                .to_owned();
        let summary = "Concurrency is out of bounds";
        return Err(invalid(Field::MaxConcurrency, summary, detail));
    }
    let generates = architecture.role() == ModelKind::Decoder;
    let goals = [
        (Field::MaxTtft, "max_ttft_ms", load.goals.max_ttft_ms),
        (Field::MaxTpot, "max_tpot_ms", load.goals.max_tpot_ms),
    ];
    let rate = load.requests_per_second;
    let asked = goals.map(|(field, what, goal)| (field, what, goal.is_some()));
    let rates = [(
        Field::RequestsPerSecond,
        "requests_per_second",
        rate.is_some(),
    )];
    for (field, what, asked) in asked.into_iter().chain(rates) {
        if asked && !generates {
            return Err(Fault {
                field,
                code: "unknown_speed",
                summary: "Speed is unknown",
                detail: format!(
                    "The speed of {} cannot be told: there is no estimate for models that do not \
                     generate token after token. Leave {what} out.",
                    card.id
                ),
            });
        }
    }
    for (field, what, goal) in goals {
        if goal == Some(0) {
            let detail = format!(
                "{what} = 0: nothing is that fast. Set whole milliseconds, at least 1, or leave \
                 {what} out."
            );
            return Err(invalid(field, "Goal cannot be met", detail));
        }
    }
    if let Some(rate) = rate.filter(|rate| *rate <= Decimal::ZERO || *rate > MOST_REQUESTS) {
        let detail = format!(
            "requests_per_second = {rate}: more than 0 and at most {MOST_REQUESTS} are expected. Set the \
             requests a second that all replicas together must serve, or leave requests_per_second \
             out for what one replica serves."
        );
        let summary = "Requested load is out of bounds";
        return Err(invalid(Field::RequestsPerSecond, summary, detail));
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
