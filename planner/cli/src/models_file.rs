//! Model facts from a file: a JSON list with one flat object a model.
//!
//! The fields are those of published collections of model facts: sizes of `config.json` by their
//! usual names, layer kinds already counted, parameters in billions, bytes of the safetensors
//! files where known. A field that is null or missing is not known.

mod facts;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use openmodel_schemas::model_card::{
    EncoderStack, Experts, Indexer, LatentAttention, LayerKinds, ModelCard, ModelConfig, ModelKind,
    Recurrent, RopeScaling, StoredQuantization, WeightBasis, WeightBytes,
};
use openmodel_schemas::quantity::{Bytes, Parameters};
use serde_json::Value;

/// Facts of many models, found by name.
#[derive(Debug, Default)]
pub struct ModelsFile {
    cards: Vec<ModelCard>,
    by_name: BTreeMap<String, usize>,
    /// What is wrong with the facts of a model, by its name: it costs that model alone.
    faults: BTreeMap<String, String>,
}

impl ModelsFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let rows: Vec<Value> = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a JSON list of models", path.display()))?;
        let mut file = Self::default();
        for (index, row) in rows.iter().enumerate() {
            let card =
                card(row).with_context(|| format!("{}, model {}", path.display(), index + 1))?;
            if let Err(fault) = facts::check(row, &card) {
                file.faults.insert(card.id.to_string(), fault);
            }
            file.add(card);
        }
        Ok(file)
    }

    /// A model by its name on the Hub: exactly, then without case, then without its owner.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&ModelCard> {
        let name = name.to_lowercase();
        let index = self
            .by_name
            .get(&name)
            .or_else(|| self.by_name.get(last(&name)))?;
        self.cards.get(*index)
    }

    /// Whether the facts of a model of this file can be those of one.
    pub fn check(&self, card: &ModelCard) -> Result<()> {
        match self.faults.get(card.id.as_str()) {
            None => Ok(()),
            Some(fault) => bail!("{}: {fault}", card.id),
        }
    }

    /// The names of all models.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.cards.iter().map(|card| card.id.as_str())
    }

    /// All models, in the order of the file.
    #[must_use]
    pub fn cards(&self) -> &[ModelCard] {
        &self.cards
    }

    fn add(&mut self, card: ModelCard) {
        let name = card.id.as_str().to_lowercase();
        let index = self.cards.len();
        self.by_name.entry(last(&name).to_owned()).or_insert(index);
        self.by_name.insert(name, index);
        self.cards.push(card);
    }
}

/// The part of a name after its owner.
fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// A row's fields.
struct Row<'a>(&'a Value);

impl<'a> Row<'a> {
    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    /// A number in billions.
    fn billions(&self, name: &str) -> Option<u64> {
        let billions = self.0.get(name)?.as_f64()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "float casts saturate"
        )]
        Some((billions * 1e9).round() as u64)
    }
}

/// A model from one object of such a list.
pub(crate) fn card(row: &Value) -> Result<ModelCard> {
    let row = Row(row);
    let id = row.text("model_id").context("model_id is missing")?;
    let config = config(&row);
    let parameters = row.billions("params_total_b").map(Parameters);
    let weights = row.number("safetensors_bytes").map(|bytes| WeightBytes {
        bytes: Bytes(bytes),
        basis: WeightBasis::SafetensorsIndex,
    });
    Ok(ModelCard {
        parameters,
        active_parameters: row.billions("params_active_b").map(Parameters),
        weights,
        pipeline_tag: row
            .text("attention_class")
            .filter(|class| class.contains("embedding"))
            .map(|_| "feature-extraction".to_owned()),
        ..ModelCard::of_config(id.parse()?, config)
    })
}

fn config(row: &Row) -> ModelConfig {
    let architecture = row.text("architecture").unwrap_or_default().to_owned();
    let class = row.text("attention_class").unwrap_or_default().to_owned();
    let layers = row.number("num_hidden_layers").unwrap_or(0);
    let kinds = LayerKinds {
        full: row.number("full_attention_layers").unwrap_or(layers),
        windowed: row.number("sliding_layers").unwrap_or(0),
        recurrent: row.number("linear_or_mamba_layers").unwrap_or(0),
        shared: row.number("num_kv_shared_layers").unwrap_or(0),
        ..LayerKinds::default()
    };
    // Kinds that are counted with the sharing layers among them add up to more than there are.
    let sum = kinds.full + kinds.windowed + kinds.recurrent;
    let kinds = LayerKinds {
        full: if sum > layers {
            layers.saturating_sub(kinds.windowed + kinds.recurrent)
        } else {
            kinds.full
        },
        shared: kinds.shared.min(layers.saturating_sub(sum)),
        ..kinds
    };
    let hidden_size = row.number("hidden_size").unwrap_or(0);
    let heads = row.number("num_attention_heads").unwrap_or(0);
    let latent = row.number("kv_lora_rank").map(|kv_rank| LatentAttention {
        kv_rank,
        q_rank: row.number("q_lora_rank"),
        rope_dim: row.number("qk_rope_head_dim").unwrap_or(64),
        nope_dim: row.number("qk_nope_head_dim").unwrap_or(128),
        value_dim: row.number("v_head_dim").unwrap_or(128),
    });
    let kind = if class.contains("diffusion") {
        ModelKind::Diffusion
    } else if class.contains("encdec") {
        ModelKind::EncoderDecoder
    } else if class.contains("encoder") {
        ModelKind::Encoder
    } else {
        ModelKind::Decoder
    };
    let max_positions = row.number("max_position_embeddings");
    let intermediate = row.number("intermediate_size").unwrap_or(0);
    let experts = experts(row, layers, intermediate);
    let special = if class.contains("hybrid_ssm") || class == "ssm" || kinds.recurrent == 0 {
        Vec::new()
    } else {
        vec!["linear_or_mamba_layers".to_owned()]
    };
    ModelConfig {
        model_type: row.text("model_type").unwrap_or_default().to_owned(),
        hidden_size,
        layers,
        attention_heads: heads,
        kv_heads: row.number("num_key_value_heads").unwrap_or(heads),
        head_dim: row
            .number("head_dim")
            .or_else(|| hidden_size.checked_div(heads))
            .unwrap_or(0),
        intermediate_size: intermediate,
        vocab_size: row.number("vocab_size").unwrap_or(0),
        tied_embeddings: row
            .flag("tie_word_embeddings")
            .unwrap_or_else(|| architecture.starts_with("Gemma")),
        max_positions,
        dtype: row.text("torch_dtype").map(str::to_owned),
        quantization: row
            .text("quant_method")
            .or_else(|| implied_method(row))
            .map(|method| quantization(method, row, latent.is_some())),
        rope_scaling: rope_scaling(&architecture),
        experts,
        layer_kinds: kinds,
        window: row
            .number("sliding_window")
            .or(row.number("attention_chunk_size"))
            .filter(|_| kinds.windowed > 0),
        global_kv_heads: row.number("num_global_key_value_heads"),
        global_head_dim: row.number("global_head_dim"),
        value_head_dim: row
            .number("v_head_dim")
            .filter(|_| latent.is_none() && class.contains("chunked")),
        shared_key_value: false,
        latent,
        indexer: row
            .number("index_topk")
            .filter(|_| latent.is_some())
            .map(|topk| Indexer {
                dim: INDEX_DIM,
                layers: kinds.full,
                topk: Some(topk),
            }),
        kv_heads_total: None,
        intermediate_total: None,
        per_layer_embeddings: 0,
        compress_ratios: Vec::new(),
        recurrent: recurrent(row, hidden_size),
        encoder: (kind == ModelKind::EncoderDecoder).then_some(EncoderStack {
            layers,
            positions: ENCODER_POSITIONS,
        }),
        kind,
        mtp_layers: row.number("mtp_layers").unwrap_or(0),
        plain_feed_forward: PLAIN.iter().any(|family| architecture.starts_with(family)),
        special,
        vision: row.flag("has_vision").unwrap_or(false)
            || architecture.ends_with("ForConditionalGeneration")
                && architecture.starts_with("Gemma3"),
        audio: row.flag("has_audio").unwrap_or(false),
        architecture,
    }
}

/// `index_head_dim` of the sparse indexers of `DeepSeek` V3.2 and GLM-5.
const INDEX_DIM: u64 = 128;

/// Frames of Whisper's encoder.
const ENCODER_POSITIONS: u64 = 1500;

/// Families whose feed-forward layers have two matrices.
const PLAIN: [&str; 7] = [
    "Phi",
    "Falcon",
    "Bert",
    "XLMRoberta",
    "Whisper",
    "NemotronH",
    "GPT",
];

/// Of the families whose configurations stretch their positions, those that do so in every
/// published checkpoint: gemma-3 by eight, linearly, in its layers with full attention.
fn rope_scaling(architecture: &str) -> Option<RopeScaling> {
    (architecture == "Gemma3ForConditionalGeneration").then(|| RopeScaling {
        kind: "linear".to_owned(),
        factor: Some(8.0),
        original_positions: None,
    })
}

fn experts(row: &Row, layers: u64, intermediate: u64) -> Option<Experts> {
    let count = row.number("num_experts").filter(|count| *count > 1)?;
    let intermediate_size = row.number("moe_intermediate_size").unwrap_or(intermediate);
    // DeepSeek-style models begin with dense layers; the facts do not count them, but such
    // models state both widths and shared experts.
    let total = row.billions("params_total_b");
    let dense_layers = leading_dense(row, layers, total);
    Some(Experts {
        count,
        per_token: row.number("experts_per_token").unwrap_or(1),
        intermediate_size,
        shared: row.number("n_shared_experts").unwrap_or(0),
        dense_layers,
        ..Experts::default()
    })
}

/// Dense layers, by family: three in `DeepSeek` V3 and GLM-5, one in V2-Lite and Kimi.
fn leading_dense(row: &Row, _layers: u64, _total: Option<u64>) -> u64 {
    match row.text("architecture").unwrap_or_default() {
        "DeepseekV3ForCausalLM" | "DeepseekV32ForCausalLM" | "GlmMoeDsaForCausalLM" => 3,
        "DeepseekV2ForCausalLM"
        | "KimiVLForConditionalGeneration"
        | "KimiK25ForConditionalGeneration" => 1,
        _ => 0,
    }
}

/// The method of a checkpoint whose facts leave it out: by its name, else by the bytes of a
/// parameter.
fn implied_method(row: &Row) -> Option<&'static str> {
    let name = row.text("model_id").unwrap_or_default().to_lowercase();
    let named = [
        ("nvfp4", "modelopt"),
        ("mxfp4", "mxfp4"),
        ("fp8", "fp8"),
        ("awq", "awq"),
        ("w4a16", "awq"),
        ("gptq", "gptq"),
        ("int4", "gptq"),
        ("bnb-4bit", "bitsandbytes"),
    ];
    if let Some((_, method)) = named.iter().find(|(word, _)| name.contains(word)) {
        return Some(method);
    }
    let bytes = row.number("safetensors_bytes")?;
    let parameters = row.billions("params_total_b").filter(|count| *count > 0)?;
    match bytes.saturating_mul(100) / parameters {
        // Four bits and what is left in 16: the routed experts of Kimi K2.5 and DeepSeek V4.
        50..80 => Some("compressed-tensors"),
        80..140 => Some("fp8"),
        _ => None,
    }
}

fn quantization(method: &str, row: &Row, latent: bool) -> StoredQuantization {
    let method = method.to_lowercase();
    let four_bit =
        method == "modelopt" && !row.text("model_id").unwrap_or_default().contains("FP8");
    let experts_only = method == "mxfp4" || latent && four_bit;
    StoredQuantization {
        bits: match method.as_str() {
            "fp8" => Some(8),
            "modelopt" if !four_bit => Some(8),
            _ => Some(4),
        },
        float: Some(!matches!(
            method.as_str(),
            "gptq" | "awq" | "compressed-tensors"
        )),
        group_size: match method.as_str() {
            "compressed-tensors" => Some(32),
            _ => None,
        },
        kv_bits: None,
        experts_only: experts_only || method == "compressed-tensors",
        method,
        ..StoredQuantization::default()
    }
}

fn recurrent(row: &Row, hidden_size: u64) -> Option<Recurrent> {
    if let Some(key_heads) = row.number("linear_num_key_heads") {
        return Some(Recurrent::DeltaNet {
            key_heads,
            value_heads: row.number("linear_num_value_heads").unwrap_or(key_heads),
            key_dim: row.number("linear_key_head_dim").unwrap_or(128),
            value_dim: row.number("linear_value_head_dim").unwrap_or(128),
            conv: row.number("conv_kernel").unwrap_or(4),
            state_bytes: 4,
        });
    }
    if let Some(heads) = row.number("mamba_num_heads") {
        return Some(Recurrent::Mamba2 {
            heads,
            head_dim: row.number("mamba_head_dim").unwrap_or(64),
            groups: row.number("mamba_n_groups").unwrap_or(8),
            state: row.number("ssm_state_size").unwrap_or(128),
            conv: row.number("conv_kernel").unwrap_or(4),
            state_bytes: 4,
        });
    }
    let layers = row
        .number("linear_or_mamba_layers")
        .filter(|count| *count > 0)?;
    debug_assert!(layers > 0);
    match row.number("ssm_state_size") {
        Some(state) => Some(Recurrent::Mamba1 {
            inner: hidden_size * 2,
            state,
            conv: row.number("conv_kernel").unwrap_or(4),
            state_bytes: 4,
        }),
        // Families whose facts leave the state out have it like their larger siblings: a matrix
        // of 128 × 128 for each of as many heads as the width holds.
        None => Some(Recurrent::DeltaNet {
            key_heads: (hidden_size / 128).max(1),
            value_heads: (hidden_size / 128).max(1),
            key_dim: 128,
            value_dim: 128,
            conv: 4,
            state_bytes: 4,
        }),
    }
}
