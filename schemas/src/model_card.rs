//! The facts of a Hub repository at one commit. Immutable: it is cached by commit for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::name::{CommitSha, ModelId};
use crate::quantity::{Bytes, Parameters};

/// A repository at a commit: what it is, how large, under which terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// The repository, by the name the Hub answers with (a renamed repository has its new name).
    pub id: ModelId,
    /// The commit all other facts belong to.
    pub commit: CommitSha,
    /// What `config.json` says. `None` where the repository has none (GGUF-only, diffusers).
    pub config: Option<ModelConfig>,
    /// Parameters by the safetensors headers, as the Hub counts them (`safetensors.total`).
    pub parameters: Option<Parameters>,
    /// Parameters per stored dtype (`BF16`, `F32`, `U8`, …), from `safetensors.parameters`.
    pub parameters_by_dtype: BTreeMap<String, u64>,
    /// Bytes of the weights an engine loads, and how that is known.
    pub weights: Option<WeightBytes>,
    /// Every file of the snapshot.
    pub files: Vec<RepoFile>,
    /// Licence identifier from the card's metadata, such as `apache-2.0` or `llama3.1`.
    pub licence: Option<String>,
    /// Whether the Hub asks for acceptance of terms before files can be read.
    pub gating: Gating,
    /// Whether the repository is private.
    pub private: bool,
    /// What the Hub's scanners say of the files.
    pub scan: ScanStatus,
    /// `transformers`, `diffusers`, `sentence-transformers`, …
    pub library: Option<String>,
    /// `text-generation`, `image-text-to-text`, `feature-extraction`, …
    pub pipeline_tag: Option<String>,
}

/// Bytes of the weight files that an engine loads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightBytes {
    /// The sum.
    pub bytes: Bytes,
    /// Where the sum comes from, best first.
    pub basis: WeightBasis,
}

/// Where a sum of weight bytes comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightBasis {
    /// The files named in `model.safetensors.index.json`: duplicates beside them are not counted.
    SafetensorsIndex,
    /// The one `model.safetensors` of the repository.
    SingleSafetensors,
    /// Files of another format (`.bin`, `.gguf`, …), by their names.
    OtherFiles,
}

/// One file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoFile {
    /// Path inside the repository.
    pub path: String,
    /// Size in bytes.
    pub size: Bytes,
    /// SHA-256 of the content, for files in large-file storage.
    pub sha256: Option<String>,
    /// Git blob id (`sha1("blob " + size + "\0" + content)`, of the pointer for large files).
    pub git_oid: String,
}

/// Whether a repository's files wait behind terms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gating {
    /// Open to everyone.
    #[default]
    None,
    /// Access is granted at once to who accepts the terms.
    Auto,
    /// The owner grants each access by hand.
    Manual,
}

/// What the Hub's scanners say. The Hub's own words: a missing badge means "not yet scanned".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ScanStatus {
    /// All scans are done and none found an issue.
    Safe,
    /// Scanners reported these files.
    Unsafe {
        /// Paths with issues.
        files: Vec<String>,
    },
    /// Scans are queued or running.
    Pending,
    /// The Hub says nothing about scans.
    #[default]
    Unknown,
}

/// The essentials of a `config.json`, of the language model where it is nested
/// (`text_config`, `llm_config`, `language_config`, `thinker_config.text_config`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelConfig {
    /// `architectures[0]`, such as `LlamaForCausalLM`.
    pub architecture: String,
    /// `model_type`, such as `llama`.
    pub model_type: String,
    /// `hidden_size`.
    pub hidden_size: u64,
    /// `num_hidden_layers`.
    pub layers: u64,
    /// `num_attention_heads`.
    pub attention_heads: u64,
    /// `num_key_value_heads`; the number of attention heads where it is not stated.
    pub kv_heads: u64,
    /// `head_dim`; `hidden_size / num_attention_heads` where it is not stated.
    pub head_dim: u64,
    /// `intermediate_size` of a dense layer.
    pub intermediate_size: u64,
    /// `vocab_size`.
    pub vocab_size: u64,
    /// `tie_word_embeddings`.
    pub tied_embeddings: bool,
    /// `max_position_embeddings`: the longest context the model was made for.
    pub max_positions: Option<u64>,
    /// `torch_dtype` or `dtype`: `bfloat16`, `float16`, `float32`.
    pub dtype: Option<String>,
    /// `quantization_config.quant_method` where the checkpoint is stored quantised.
    pub quant_method: Option<String>,
    /// `quantization_config.bits`.
    pub quant_bits: Option<u64>,
    /// Mixture of experts, where the model is one.
    pub experts: Option<Experts>,
    /// `sliding_window`, where it is used.
    pub sliding_window: Option<u64>,
    /// Number of layers with full attention, where layers differ.
    pub full_attention_layers: Option<u64>,
    /// Mechanisms found in the configuration that the plain grouped-query formulas do not
    /// cover, by the field that shows them (`kv_lora_rank`, `mamba_d_state`, …). A sizing
    /// that does not know one must say so rather than guess.
    pub special: Vec<String>,
    /// Whether the model carries a vision tower (`vision_config`).
    pub vision: bool,
    /// Whether the model carries an audio tower (`audio_config`).
    pub audio: bool,
}

/// A mixture of experts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experts {
    /// Routed experts per layer.
    pub count: u64,
    /// Experts a token is routed to.
    pub per_token: u64,
    /// Intermediate size of one expert.
    pub intermediate_size: u64,
    /// Shared experts, always used.
    pub shared: u64,
    /// Leading dense layers (`first_k_dense_replace`).
    pub dense_layers: u64,
}
