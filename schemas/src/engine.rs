//! Serving engines: what each serves and on what, its images, and the constants of its memory.
//!
//! These are the rows of `catalog/engines.json` as they are written down. They ship in the
//! binary: unlike prices, a constant of a formula belongs to the formula.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::AcceleratorKind;
use crate::model_card::ModelKind;
use crate::shape::Source;

/// The engines that ship in the binary.
pub const EMBEDDED_ENGINES: &str = include_str!("../catalog/engines.json");

/// All engines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnginesDocument {
    /// Where facts come from, by the id that rows name.
    pub sources: BTreeMap<String, Source>,
    /// The engines, in the order in which `auto` prefers them.
    pub engines: Vec<EngineRow>,
}

/// A serving engine at the version its images hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineRow {
    /// Its name: `vllm`.
    pub name: String,
    /// The version its images hold.
    pub version: String,
    /// Kind of accelerator it runs on.
    pub accelerator: AcceleratorKind,
    /// Kinds of models it serves.
    pub serves: Vec<ModelKind>,
    /// Formats of weights it multiplies: `bfloat16`, `fp8`, `int4`, …
    pub formats: Vec<String>,
    /// Formats it can make of 16-bit weights while loading.
    #[serde(default)]
    pub makes: Vec<String>,
    /// Least NVIDIA compute capability, without its dot.
    #[serde(default)]
    pub min_compute_capability: u32,
    /// Whether it serves models with recurrent layers.
    #[serde(default)]
    pub recurrent: bool,
    /// Whether it splits layers into pipeline stages.
    #[serde(default)]
    pub pipeline: bool,
    /// Most ranks that split a layer.
    pub max_tensor: u32,
    /// Whether it serves low-rank adapters.
    #[serde(default)]
    pub adapters: bool,
    /// Whether it drafts tokens with a smaller model or the model's own prediction layers.
    #[serde(default)]
    pub speculative: bool,
    /// Images; the first that lists the accelerator, or lists none, is taken.
    pub images: Vec<ImageRow>,
    /// Port it listens on.
    pub port: u16,
    /// Path that answers 200 once the model is loaded.
    pub health_path: String,
    /// Environment every container gets.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The words of its command line.
    pub flags: FlagsRow,
    /// Accelerator memory, by version; the last row whose `from` is not above the version counts.
    pub memory: Vec<MemoryRow>,
    /// Resident memory of its processes beside the weight files, in GiB.
    pub host_gib: f64,
    /// Id of the source of what is not sourced in a row of its own.
    pub source: String,
}

/// An image of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRow {
    /// Accelerators whose driver runs it; none: all.
    #[serde(default)]
    pub accelerators: Vec<String>,
    /// Image reference with a fixed tag.
    pub image: String,
    /// Id of the source.
    pub source: String,
}

/// The words of an engine's command line; an engine that lacks one has no such choice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlagsRow {
    /// The model.
    pub model: Option<String>,
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
    /// Data type of unquantised weights.
    pub dtype: Option<String>,
    /// Quantisation made while loading.
    pub quantization: Option<String>,
    /// Data type of the KV cache.
    pub kv_dtype: Option<String>,
}

/// Constants of an engine's use of accelerator memory, from one version on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryRow {
    /// The first version they hold for: `0.22`.
    pub from: String,
    /// Share of the usable memory the engine takes by default, in percent.
    pub utilization_percent: f64,
    /// Whether activations and graphs lie outside of that share (SGLang's static fraction).
    #[serde(default)]
    pub activations_outside: bool,
    /// Bytes the sampler's warm-up takes for each logit (sequence × vocabulary).
    pub sampler_bytes_per_logit: f64,
    /// Copies of the hidden state of one step, in 16 bits.
    pub hidden_copies: f64,
    /// Activations whatever the model, in GiB.
    pub step_gib: f64,
    /// CUDA context and libraries on a device alone, in GiB.
    pub runtime_gib: f64,
    /// The same with tensor parallelism: buffers of collective operations, in GiB.
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
    pub steps: Vec<StepRow>,
    /// Id of the source.
    pub source: String,
}

/// Memory of captured graphs: `base + per_layer × layers` (GiB) with all batch sizes captured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphsRow {
    /// Whether they are counted in the engine's share, or come on top of it.
    pub counted: bool,
    /// The least, in GiB.
    pub floor_gib: f64,
    /// Independent of the model, in GiB.
    pub base_gib: f64,
    /// For each layer, in GiB.
    pub per_layer_gib: f64,
    /// More for a mixture of experts, in GiB.
    pub experts_gib: f64,
}

/// Tokens and sequences an engine processes in one step by default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRow {
    /// Applies from this much usable accelerator memory, in GiB.
    pub from_gib: f64,
    /// Tokens.
    pub tokens: u64,
    /// Sequences.
    pub sequences: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_names_a_source_that_is_there() {
        let document: EnginesDocument =
            serde_json::from_str(EMBEDDED_ENGINES).expect("the engines are readable");
        for engine in &document.engines {
            let rows = engine.memory.iter().map(|row| &row.source);
            let images = engine.images.iter().map(|row| &row.source);
            for source in rows.chain(images).chain([&engine.source]) {
                assert!(
                    document.sources.contains_key(source),
                    "{}: {source}",
                    engine.name
                );
            }
        }
    }
}
