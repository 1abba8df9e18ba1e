//! What sizing needs to know of a model at one commit. Immutable: it is cached by commit for ever, so
//! what scanners say is not here but in the [`RepositoryCard`](crate::repository::RepositoryCard).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::name::{CommitSha, ModelId};
use crate::quantity::{Bytes, Parameters};
use crate::repository::{Gating, RepoFile};

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
    /// Parameters that one token meets, where the author states them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_parameters: Option<Parameters>,
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
    /// `transformers`, `diffusers`, `sentence-transformers`, …
    pub library: Option<String>,
    /// `text-generation`, `image-text-to-text`, `feature-extraction`, …
    pub pipeline_tag: Option<String>,
}

impl ModelCard {
    /// A configuration alone, read outside the Hub: nothing else is known, and the commit is
    /// [`CommitSha::null`].
    #[must_use]
    pub fn of_config(id: ModelId, config: ModelConfig) -> Self {
        Self {
            id,
            commit: CommitSha::null(),
            config: Some(config),
            parameters: None,
            active_parameters: None,
            parameters_by_dtype: BTreeMap::new(),
            weights: None,
            files: Vec::new(),
            licence: None,
            gating: Gating::None,
            private: false,
            library: None,
            pipeline_tag: None,
        }
    }
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

/// The essentials of a `config.json`, of the language model where it is nested
/// (`text_config`, `llm_config`, `language_config`, `thinker_config.text_config`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, as the file states it"
)]
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
    /// `num_key_value_heads`; the number of attention heads where it is not stated. The most of
    /// any layer, where they differ.
    pub kv_heads: u64,
    /// The sum of the KV heads over the layers that keep keys and values, where they differ from
    /// layer to layer (`block_configs` of a searched architecture).
    pub kv_heads_total: Option<u64>,
    /// `head_dim`; `hidden_size / num_attention_heads` where it is not stated.
    pub head_dim: u64,
    /// `intermediate_size` of a dense layer. The most of any layer, where they differ.
    pub intermediate_size: u64,
    /// The sum of the intermediate sizes over the dense layers, where they differ.
    pub intermediate_total: Option<u64>,
    /// `vocab_size`.
    pub vocab_size: u64,
    /// Parameters of embeddings that each layer looks up beside the input's (Gemma 3n, Gemma 4 E).
    pub per_layer_embeddings: u64,
    /// `tie_word_embeddings`.
    pub tied_embeddings: bool,
    /// `max_position_embeddings`: the longest context the model was made for.
    pub max_positions: Option<u64>,
    /// `torch_dtype` or `dtype`: `bfloat16`, `float16`, `float32`.
    pub dtype: Option<String>,
    /// How the checkpoint is stored, where it is quantised.
    pub quantization: Option<StoredQuantization>,
    /// Rotary position embeddings stretched beyond their native length.
    pub rope_scaling: Option<RopeScaling>,
    /// Mixture of experts, where the model is one.
    pub experts: Option<Experts>,
    /// What its layers are.
    pub layer_kinds: LayerKinds,
    /// `sliding_window` or `attention_chunk_size` of the windowed layers, in tokens.
    pub window: Option<u64>,
    /// KV heads of the layers with full attention, where they differ from the windowed ones
    /// (`num_global_key_value_heads`).
    pub global_kv_heads: Option<u64>,
    /// Head dimension of the layers with full attention, where it differs (`global_head_dim`).
    pub global_head_dim: Option<u64>,
    /// Dimension of a value head, where it differs from the key's (`v_head_dim`).
    pub value_head_dim: Option<u64>,
    /// Key and value are one tensor in the layers with full attention (`attention_k_eq_v`).
    pub shared_key_value: bool,
    /// Multi-head latent attention, where the model has it.
    pub latent: Option<LatentAttention>,
    /// Compression of the cache by layer (`compress_ratios`), where the model has it: one ratio for
    /// each of `layers`. A layer with a ratio above 0 counts as full: it keeps one entry for so many
    /// tokens, and every token of `window`. A layer with ratio 0 counts as windowed.
    pub compress_ratios: Vec<u64>,
    /// The indexer of sparse attention, whether the attention is latent, compressed or plain.
    pub indexer: Option<Indexer>,
    /// State-space or linear-attention layers, where the model has some.
    pub recurrent: Option<Recurrent>,
    /// The encoder of an encoder-decoder.
    pub encoder: Option<EncoderStack>,
    /// What kind of model it is.
    pub kind: ModelKind,
    /// Multi-token-prediction layers beside `layers` (`num_nextn_predict_layers`).
    pub mtp_layers: u64,
    /// Whether feed-forward layers have two matrices instead of a gated three.
    pub plain_feed_forward: bool,
    /// Mechanisms found in the configuration that no formula covers, by the field that shows
    /// them. A sizing that does not know one must say so rather than guess.
    pub special: Vec<String>,
    /// Whether the model carries a vision tower (`vision_config`).
    pub vision: bool,
    /// Whether the model carries an audio tower (`audio_config`).
    pub audio: bool,
}

/// What a model does, as far as its memory is concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// It generates token after token, and keeps keys and values or a state.
    #[default]
    Decoder,
    /// It reads a text once: embeddings, reranking, classification.
    Encoder,
    /// An encoder's output is attended to by a decoder: Whisper, T5.
    EncoderDecoder,
    /// It makes images or video in denoising steps.
    Diffusion,
}

/// How a checkpoint is stored (`quantization_config`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredQuantization {
    /// `quant_method`, lower case: `fp8`, `awq`, `gptq`, `mxfp4`, `modelopt`,
    /// `compressed-tensors`, `bitsandbytes`, `gguf`, …
    pub method: String,
    /// Bits of a weight, where stated.
    pub bits: Option<u64>,
    /// Bits of an expert's weight, where they differ from those of the rest (`expert_dtype`, mixed
    /// precision).
    pub expert_bits: Option<u64>,
    /// Whether the bits are of a floating-point number, where stated (`type: float`,
    /// `quant_algo: NVFP4`).
    pub float: Option<bool>,
    /// Weights that share a scale: `group_size`, or the product of `weight_block_size`.
    pub group_size: Option<u64>,
    /// Bits of the KV cache the checkpoint asks for (`kv_cache_scheme`).
    pub kv_bits: Option<u64>,
    /// Whether only the experts' weights are quantised (`mxfp4`, and where the list of modules
    /// that are not converted names attention).
    pub experts_only: bool,
    /// Whether attention's projections are left as they were, in a model with or without experts.
    pub attention_kept: bool,
}

/// Rotary position embeddings stretched beyond their native length (`rope_scaling`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RopeScaling {
    /// `rope_type`: `linear`, `dynamic`, `yarn`, `llama3`, `longrope`, …
    pub kind: String,
    /// `factor`.
    pub factor: Option<f64>,
    /// `original_max_position_embeddings`.
    pub original_positions: Option<u64>,
}

/// What the layers of a model are. Their sum, less `both`, is at most `layers`: what is missing has
/// neither keys and values nor a state (feed-forward layers of Nemotron-H).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerKinds {
    /// Full attention, with keys and values of their own.
    pub full: u64,
    /// Attention to a window or chunk, with keys and values of their own.
    pub windowed: u64,
    /// State-space or linear attention.
    pub recurrent: u64,
    /// Attention over another layer's keys and values (`num_kv_shared_layers`).
    pub shared: u64,
    /// Cross-attention over an encoder's output, instead of attention to itself (Llama 3.2 Vision).
    pub cross: u64,
    /// Layers with full attention and a state side by side: counted in `full` and in `recurrent`
    /// (Falcon-H1, Zamba).
    pub both: u64,
}

/// Multi-head latent attention: one compressed vector stands for keys and values of all heads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LatentAttention {
    /// `kv_lora_rank`.
    pub kv_rank: u64,
    /// `q_lora_rank`; queries are not compressed where it is missing.
    pub q_rank: Option<u64>,
    /// `qk_rope_head_dim`.
    pub rope_dim: u64,
    /// `qk_nope_head_dim`.
    pub nope_dim: u64,
    /// `v_head_dim`.
    pub value_dim: u64,
}

/// The indexer of sparse attention: it keeps a key of its own for each token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Indexer {
    /// `index_head_dim`.
    pub dim: u64,
    /// Layers with an indexer of their own; the others look through another's (`indexer_types`).
    pub layers: u64,
    /// `index_topk`: tokens that it picks, where stated.
    pub topk: Option<u64>,
}

/// The state of a recurrent layer, kept per sequence and not per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Recurrent {
    /// Mamba 1: one state per channel. A short convolution alone (LFM2) has a `state` of 0.
    Mamba1 {
        /// Inner channels.
        inner: u64,
        /// `mamba_d_state`.
        state: u64,
        /// `mamba_d_conv`.
        conv: u64,
        /// Bytes of an element of the state.
        state_bytes: u64,
    },
    /// Mamba 2: one state per head.
    Mamba2 {
        /// `mamba_num_heads`.
        heads: u64,
        /// `mamba_head_dim`.
        head_dim: u64,
        /// `n_groups`.
        groups: u64,
        /// `ssm_state_size`.
        state: u64,
        /// `conv_kernel`.
        conv: u64,
        /// Bytes of an element of the state (`mamba_ssm_cache_dtype`).
        state_bytes: u64,
    },
    /// Gated delta nets, Kimi delta attention, and lightning attention (which has no convolution:
    /// `conv` is 0): a matrix per value head.
    DeltaNet {
        /// `linear_num_key_heads`.
        key_heads: u64,
        /// `linear_num_value_heads`.
        value_heads: u64,
        /// `linear_key_head_dim`.
        key_dim: u64,
        /// `linear_value_head_dim`.
        value_dim: u64,
        /// `linear_conv_kernel_dim`.
        conv: u64,
        /// Bytes of an element of the state.
        state_bytes: u64,
    },
}

/// The encoder of an encoder-decoder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EncoderStack {
    /// `encoder_layers`.
    pub layers: u64,
    /// Positions of its output that the decoder attends to: 1,500 frames for Whisper.
    pub positions: u64,
}

/// A mixture of experts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Experts {
    /// Routed experts per layer.
    pub count: u64,
    /// Experts a token is routed to.
    pub per_token: u64,
    /// Intermediate size of one expert.
    pub intermediate_size: u64,
    /// Width of an expert's input and output, where it is not the hidden size
    /// (`moe_latent_size`, `routed_expert_hidden_size`).
    pub latent_size: Option<u64>,
    /// Shared experts, always used.
    pub shared: u64,
    /// Intermediate size of all shared experts of a layer together.
    pub shared_intermediate_size: u64,
    /// Layers with experts.
    pub layers: u64,
    /// Layers with a dense feed-forward part instead of experts, leading
    /// (`first_k_dense_replace`) or in between. Layers without any (the mixers of Nemotron-H) count
    /// in neither.
    pub dense_layers: u64,
    /// Whether layers with experts have a dense feed-forward part of `intermediate_size` besides
    /// (Gemma 4, Arctic).
    pub beside_dense: bool,
}
