//! Serving engines: what each serves and on what, its images, and the constants of its memory.
//!
//! ```text
//!   sources ◄── engines, in the order `auto` prefers them; `serves` decides which of them count
//!                  ├─► images by accelerator, sidecars
//!                  ├─► command, arguments, flags or variables, words
//!                  └─► memory by version
//! ```
//!
//! These are the rows of `catalog/engines.json` as they are written down. They ship in the
//! binary: unlike prices, a constant of a formula belongs to the formula.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::AcceleratorKind;
use crate::catalog::Source;
use crate::model_card::ModelKind;

/// The engines that ship in the binary.
pub const EMBEDDED_ENGINES: &str = include_str!("../catalog/engines.json");

/// The JSON Schema of an engines document, for a user's own file.
pub const ENGINES_SCHEMA: &str = include_str!("../json/engines.schema.json");

/// All engines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EnginesDocument {
    /// Where the schema of this document lies.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Where facts come from, by the id that rows name.
    pub sources: BTreeMap<String, Source>,
    /// Model classes that engines are known to serve, by the id that rows name.
    pub classes: BTreeMap<String, ClassesRow>,
    /// The engines, in the order in which `auto` prefers them.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub engines: Vec<EngineRow>,
}

/// A serving engine at the version its images hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EngineRow {
    /// Its name: `vllm`.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub name: String,
    /// The version its images hold: numbers with dots; llama.cpp's build number.
    #[cfg_attr(test, schemars(regex(pattern = VERSION)))]
    pub version: String,
    /// The day its maintenance ended, where it has: `2026-03-21`. `auto` tries such an engine
    /// last; a user who names it should be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>", regex(pattern = DAY)))]
    pub unmaintained_since: Option<String>,
    /// Kind of accelerator it runs on.
    pub accelerator: AcceleratorKind,
    /// Kinds of models it serves.
    #[cfg_attr(test, schemars(with = "Vec<ModelKindWord>", length(min = 1)))]
    pub serves: Vec<ModelKind>,
    /// Ids of the classes it is known to serve.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub classes: Vec<String>,
    /// Formats of weights it loads: `bfloat16`, `fp8`, `int4`, …
    #[cfg_attr(test, schemars(with = "Vec<FormatWord>", length(min = 1)))]
    pub formats: Vec<String>,
    /// Classes of models that are not held in float16, and so not on accelerators without bfloat16:
    /// vLLM refuses them (`_FLOAT16_NOT_SUPPORTED_MODELS`), because their activations overflow it,
    /// which they do in other engines too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs_bfloat16: Vec<String>,
    /// Formats it can make of 16-bit weights while loading.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Vec<FormatWord>"))]
    pub makes: Vec<String>,
    /// Least NVIDIA compute capability, without its dot.
    #[serde(default)]
    pub min_compute_capability: u32,
    /// Whether it serves models with recurrent layers.
    #[serde(default)]
    pub recurrent: bool,
    /// Whether it splits layers into pipeline stages. Without a word for their number it spreads
    /// the layers over all devices it sees.
    #[serde(default)]
    pub pipeline: bool,
    /// Most ranks that split a layer.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub max_tensor: u32,
    /// Images; the first that lists the accelerator, or lists none, is taken. Without one it does
    /// not run there.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub images: Vec<ImageRow>,
    /// Images of containers that must run beside it. A surface of one container cannot run it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<ImageRow>,
    /// Words that take the place of the image's entrypoint; none: the entrypoint takes the flags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Words that stand before its flags, whatever the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Port it listens on, said by its flag where it has one.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub port: u16,
    /// Path that answers 200 once the model is loaded.
    #[cfg_attr(test, schemars(regex(pattern = "^/")))]
    pub health_path: String,
    /// Draft models by its word for speculation; none: it takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft_models: Option<DraftModelsRow>,
    /// Its streamer of weights from Cloud Storage; none: it has none, or its image is not known to
    /// hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streamer: Option<StreamerRow>,
    /// Environment every container gets.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The words of its command line.
    pub flags: FlagsRow,
    /// The same choices by environment variable, for an image that takes no command line.
    #[serde(default, skip_serializing_if = "FlagsRow::is_empty")]
    pub variables: FlagsRow,
    /// Its words for values, where they differ from ours.
    #[serde(default, skip_serializing_if = "WordsRow::is_empty")]
    pub words: WordsRow,
    /// Whether its word for the longest sequence takes the tokens of all sequences together.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub context_of_all: bool,
    /// Accelerator memory, by version; the last row whose `from` is not above the version counts.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub memory: Vec<MemoryRow>,
    /// Resident memory of its processes beside the weight files, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub host_gib: f64,
    /// Id of the source of the host memory.
    pub host_source: String,
    /// Id of the source of what is not sourced in a row of its own.
    pub source: String,
}

/// Model classes, by the names that `architectures` of a `config.json` (or `_class_name` of a
/// `model_index.json`) gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClassesRow {
    /// Least NVIDIA compute capability they are served on, without its dot, where it is more than
    /// the engine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_compute_capability: Option<u32>,
    /// The names, in ascending order.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub names: Vec<String>,
    /// Id of the source.
    pub source: String,
}

/// An image of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ImageRow {
    /// Accelerators whose driver runs it; none: all.
    #[serde(default)]
    pub accelerators: Vec<String>,
    /// Image reference with a fixed tag, or with the version in its name.
    #[cfg_attr(test, schemars(regex(pattern = "^[^ /]+/[^ ]+$")))]
    pub image: String,
    /// Id of the source.
    pub source: String,
}

/// Since when an engine takes a smaller model that drafts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DraftModelsRow {
    /// The first version that is known to: `0.19`.
    #[cfg_attr(test, schemars(regex(pattern = VERSION)))]
    pub from: String,
    /// Id of the source.
    pub source: String,
}

/// How an engine streams safetensors from Cloud Storage (Run:ai Model Streamer), its model being a
/// `gs://` address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StreamerRow {
    /// The first version whose image can do it without the Hub: `0.20`.
    #[cfg_attr(test, schemars(regex(pattern = VERSION)))]
    pub from: String,
    /// Words that switch it on.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub arguments: Vec<String>,
    /// Environment variable that bounds its buffers, in bytes.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub memory_variable: String,
    /// Id of the source.
    pub source: String,
}

/// The words of an engine's command line; an engine that lacks one has no such choice. A value
/// is a word of its own, except after a word that ends in `=`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct FlagsRow {
    /// The model, by its name on the Hub; by its path too where `model_path` is missing.
    pub model: Option<String>,
    /// The model, by a path.
    pub model_path: Option<String>,
    /// Its commit.
    pub revision: Option<String>,
    /// The name clients call it by.
    pub served_name: Option<String>,
    /// The port.
    pub port: Option<String>,
    /// Longest sequence.
    pub context_length: Option<String>,
    /// Most sequences at once.
    pub sequences: Option<String>,
    /// Most tokens of one step.
    pub batched_tokens: Option<String>,
    /// Its share of accelerator memory, as a fraction.
    pub utilization: Option<String>,
    /// Ranks that split a layer.
    pub tensor: Option<String>,
    /// Pipeline stages.
    pub pipeline: Option<String>,
    /// Data-parallel ranks.
    pub data: Option<String>,
    /// Turns expert parallelism on; takes no value.
    pub expert: Option<String>,
    /// Ranks that share the experts; takes their number.
    pub expert_ranks: Option<String>,
    /// Data type of unquantised weights.
    pub dtype: Option<String>,
    /// Quantisation made while loading.
    pub quantization: Option<String>,
    /// Data type of the KV cache.
    pub kv_dtype: Option<String>,
    /// The kind of runner, for a model that answers with vectors or scores.
    pub runner: Option<String>,
    /// Turns low-rank adapters on; takes no value. Without it none are served.
    pub adapters: Option<String>,
    /// Most adapters in memory at once.
    pub max_adapters: Option<String>,
    /// Largest rank of an adapter.
    pub adapter_rank: Option<String>,
    /// Drafting ahead, as JSON. Without it there is none.
    pub speculation: Option<String>,
    /// Changes of the model's configuration, as JSON.
    pub overrides: Option<String>,
}

impl FlagsRow {
    /// Whether no choice has a word.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An engine's words for values, by ours; what has none is said with our word.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct WordsRow {
    /// Data types of unquantised weights.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dtype: BTreeMap<String, String>,
    /// Quantisations made while loading.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub quantization: BTreeMap<String, String>,
    /// Data types of the KV cache.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kv_dtype: BTreeMap<String, String>,
}

impl WordsRow {
    /// Whether the engine speaks as we do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Constants of an engine's use of accelerator memory, from one version on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MemoryRow {
    /// The first version they hold for: `0.22`.
    #[cfg_attr(test, schemars(regex(pattern = VERSION)))]
    pub from: String,
    /// Share of the usable memory the engine takes by default, in percent.
    #[cfg_attr(test, schemars(range(min = 1, max = 100)))]
    pub utilization_percent: f64,
    /// Whether activations and graphs lie outside of that share (the static fraction of `SGLang`).
    #[serde(default)]
    pub activations_outside: bool,
    /// Bytes the sampler's warm-up takes for each logit (sequence × vocabulary).
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub sampler_bytes_per_logit: f64,
    /// Copies of the hidden state of one step, in 16 bits.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub hidden_copies: f64,
    /// Activations whatever the model, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub step_gib: f64,
    /// CUDA context and libraries on a device alone, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub runtime_gib: f64,
    /// The same with tensor parallelism: buffers of collective operations, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub tensor_runtime_gib: f64,
    /// Captured graphs.
    pub graphs: GraphsRow,
    /// Whether prompts are cut into chunks by default. Where not, a step is as long as the
    /// longest sequence.
    pub chunked_prefill: bool,
    /// Whether windowed layers give back what has left their window.
    pub hybrid_cache: bool,
    /// Tokens and sequences of one step, by the accelerator's usable memory; the last row that
    /// applies counts.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub steps: Vec<StepRow>,
    /// Id of the source.
    pub source: String,
}

/// Memory of captured graphs: `base + per_layer × layers` (GiB) with all batch sizes captured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GraphsRow {
    /// Whether they are counted in the engine's share, or come on top of it.
    pub counted: bool,
    /// The least, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub floor_gib: f64,
    /// Independent of the model, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub base_gib: f64,
    /// For each layer, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub per_layer_gib: f64,
    /// More for a mixture of experts, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub experts_gib: f64,
}

/// Tokens and sequences an engine processes in one step by default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StepRow {
    /// Applies from this much usable accelerator memory, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub from_gib: f64,
    /// Tokens.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub tokens: u64,
    /// Sequences.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub sequences: u64,
}

#[cfg(test)]
const VERSION: &str = r"^\d+(\.\d+)*$";

#[cfg(test)]
const DAY: &str = r"^20\d\d-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?$";

/// The words of [`ModelKind`], for the schema.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[schemars(rename = "ModelKind", rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum ModelKindWord {
    Decoder,
    Encoder,
    EncoderDecoder,
    Diffusion,
}

/// The words of the planner's formats of weights, for the schema.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[schemars(rename = "Format", rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum FormatWord {
    Float32,
    Bfloat16,
    Float16,
    Fp8,
    Int8,
    Int4,
    Mxfp4,
    Nvfp4,
    Bitsandbytes,
    #[schemars(rename = "bitsandbytes-8bit")]
    Bitsandbytes8bit,
    Gguf,
}

#[cfg(test)]
mod tests;
