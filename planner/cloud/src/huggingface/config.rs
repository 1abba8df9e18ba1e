//! What a `config.json` says of a language model, in the terms of the sizing formulas.
//!
//! Fields are those of `transformers`, with the older names of GPT-2, MPT, BLOOM, GLM and
//! DBRX. What the plain grouped-query formulas do not cover is not guessed at: its field is
//! listed in [`ModelConfig::special`].

use openmodel_schemas::model_card::{Experts, ModelConfig};
use serde_json::Value;

use super::config_fields::Fields;

/// A field without which, or with whose value, a model cannot be sized.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct ConfigError {
    /// The field, or `the file`.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

impl ConfigError {
    pub(crate) fn new(field: &str, detail: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            detail: detail.into(),
        }
    }
}

const HIDDEN: &[&str] = &["hidden_size", "n_embd", "d_model", "dim"];
const LAYERS: &[&str] = &["num_hidden_layers", "n_layer", "n_layers", "num_layers"];
const HEADS: &[&str] = &["num_attention_heads", "n_head", "n_heads", "num_heads"];
const KV_HEADS: &[&str] = &[
    "num_key_value_heads",
    "num_kv_heads",
    "n_head_kv",
    "kv_n_heads",
    "multi_query_group_num",
];
const HEAD_DIM: &[&str] = &["head_dim", "kv_channels", "d_kv"];
const INTERMEDIATE: &[&str] = &[
    "intermediate_size",
    "n_inner",
    "ffn_hidden_size",
    "d_ff",
    "ffn_dim",
];
const VOCABULARY: &[&str] = &["vocab_size", "padded_vocab_size"];
const POSITIONS: &[&str] = &[
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "max_sequence_length",
];
const EXPERTS: &[&str] = &[
    "num_experts",
    "n_routed_experts",
    "num_local_experts",
    "moe_num_experts",
];
const EXPERTS_PER_TOKEN: &[&str] = &[
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "moe_top_k",
    "moe_k",
];
const SHARED_EXPERTS: &[&str] = &[
    "n_shared_experts",
    "num_shared_experts",
    "moe_num_shared_experts",
];

/// Fields that show a mechanism which plain grouped-query attention over equal layers is not.
const SPECIAL: [&str; 37] = [
    // Latent and sparse attention.
    "kv_lora_rank",
    "index_topk",
    "compress_ratios",
    // State-space, linear and recurrent layers.
    "mamba_d_state",
    "mamba_num_heads",
    "mamba_n_heads",
    "ssm_state_size",
    "state_size",
    "attention_hidden_size",
    "linear_attn_config",
    "linear_num_key_heads",
    "linear_num_value_heads",
    "lru_width",
    "conv_L_cache",
    // Layers of more than one kind.
    "full_attention_interval",
    "attn_layer_period",
    "attn_layer_indices",
    "layers_block_type",
    "block_types",
    "hybrid_override_pattern",
    "hybrid_layer_pattern",
    "block_configs",
    "num_key_value_heads_per_layer",
    "attention_chunk_size",
    "swa_num_key_value_heads",
    "swa_head_dim",
    "global_head_dim",
    "num_global_key_value_heads",
    "num_kv_shared_layers",
    "cross_attention_layers",
    "hidden_size_per_layer_input",
    "altup_num_inputs",
    // Experts in some layers only, in another pattern than "the first ones are dense".
    "expert_layer_period",
    "moe_layer_start_index",
    "moe_layers",
    // Two stacks.
    "is_encoder_decoder",
    "encoder_layers",
];

/// Families whose class ties the embeddings where the configuration does not say.
const TIED_BY_DEFAULT: [&str; 14] = [
    "bloom",
    "cohere",
    "cohere2",
    "falcon",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "gpt2",
    "gpt_bigcode",
    "mpt",
    "opt",
    "starcoder2",
    "t5",
];

/// Reads a `config.json`.
pub fn parse_config(config: &Value) -> Result<ModelConfig, ConfigError> {
    let fields = Fields::new(config)?;
    let special = special(&fields)?;
    let needed = |names: &[&str]| -> Result<u64, ConfigError> {
        let missing = || ConfigError::new(names[0], "it is missing");
        fields
            .number_or_family(names)?
            .filter(|number| *number > 0)
            .ok_or_else(missing)
    };
    // A model without attention says so in `special`; its head counts mean nothing.
    let unless_special = |names: &[&str]| {
        if special.is_empty() {
            needed(names)
        } else {
            Ok(fields.number_or_family(names)?.unwrap_or(0))
        }
    };
    let hidden_size = needed(HIDDEN)?;
    let layers = needed(LAYERS)?;
    let attention_heads = unless_special(HEADS)?;
    let kv_heads = kv_heads(&fields)?.unwrap_or(attention_heads);
    let head_dim = match fields.number_or_family(HEAD_DIM)? {
        Some(stated) if stated > 0 => stated,
        _ => hidden_size.checked_div(attention_heads).unwrap_or(0),
    };
    let max_positions = fields.number_or_family(POSITIONS)?;
    let (sliding_window, full_attention_layers) = sliding(&fields, layers, max_positions)?;
    let experts = experts(&fields)?;
    let intermediate_size = match fields.number_or_family(INTERMEDIATE)? {
        Some(stated) if stated > 0 => stated,
        // GPT-2's classes and their heirs widen by four.
        _ if matches!(
            fields.model_type(),
            "gpt2" | "gpt_bigcode" | "bloom" | "falcon" | "mpt" | "gptj"
        ) =>
        {
            4 * hidden_size
        }
        _ if experts.is_some() || !special.is_empty() => 0,
        _ => return Err(ConfigError::new(INTERMEDIATE[0], "it is missing")),
    };
    let (quant_method, quant_bits) = quantization(&fields);
    Ok(ModelConfig {
        architecture: fields.architecture(),
        model_type: fields.model_type().to_owned(),
        hidden_size,
        layers,
        attention_heads,
        kv_heads,
        head_dim,
        intermediate_size,
        vocab_size: unless_special(VOCABULARY)?,
        tied_embeddings: fields
            .flag("tie_word_embeddings")
            .unwrap_or_else(|| TIED_BY_DEFAULT.contains(&fields.model_type())),
        max_positions,
        dtype: fields
            .text(&["torch_dtype", "dtype"])
            .map(|dtype| dtype.trim_start_matches("torch.").to_owned()),
        quant_method,
        quant_bits,
        experts,
        sliding_window,
        full_attention_layers,
        special,
        vision: ["vision_config", "visual", "mm_vision_tower"]
            .iter()
            .any(|name| fields.is_set(name)),
        audio: ["audio_config", "speech_config"]
            .iter()
            .any(|name| fields.is_set(name)),
    })
}

fn kv_heads(fields: &Fields<'_>) -> Result<Option<u64>, ConfigError> {
    // Falcon's first architecture, and StarCoder: one for all, whatever else is stated.
    let one_for_all = fields.flag("multi_query") == Some(true)
        && fields.flag("new_decoder_architecture") != Some(true);
    if one_for_all && fields.value(&["multi_query_group_num"]).is_none() {
        return Ok(Some(1));
    }
    Ok(fields
        .number_or_family(KV_HEADS)?
        .filter(|number| *number > 0))
}

/// The window, and the number of layers with full attention where not all slide.
fn sliding(
    fields: &Fields<'_>,
    layers: u64,
    max_positions: Option<u64>,
) -> Result<(Option<u64>, Option<u64>), ConfigError> {
    let window = fields
        .number_or_family(&["sliding_window"])?
        .filter(|window| *window > 0);
    // A window as long as the longest context cuts nothing off.
    let window = window.filter(|window| max_positions.is_none_or(|longest| *window < longest));
    if window.is_none() || fields.flag("use_sliding_window") == Some(false) {
        return Ok((None, None));
    }
    if let Some(kinds) = fields.list("layer_types") {
        let full = kinds
            .iter()
            .filter(|kind| *kind == "full_attention")
            .count() as u64;
        return Ok(if full == layers {
            (None, None)
        } else {
            (window, Some(full))
        });
    }
    if let Some(pattern) = fields
        .text(&["sliding_window_pattern"])
        .filter(|pattern| !pattern.is_empty())
    {
        let full = pattern
            .bytes()
            .cycle()
            .zip(0..layers)
            .filter(|(kind, _)| *kind == b'G')
            .count() as u64;
        return Ok((window, Some(full)));
    }
    let every = match fields.model_type() {
        "gemma2" => Some(2),
        "gemma3" | "gemma3_text" => Some(6),
        _ => None,
    };
    if let Some(every) = fields
        .number(&["sliding_window_pattern"])?
        .filter(|every| *every > 0)
        .or(every)
    {
        return Ok((window, Some(layers / every)));
    }
    let first_full = fields.number(&["max_window_layers"])?;
    Ok((
        window,
        first_full
            .filter(|first| *first > 0)
            .map(|first| first.min(layers)),
    ))
}

fn experts(fields: &Fields<'_>) -> Result<Option<Experts>, ConfigError> {
    let Some(count) = fields.number(EXPERTS)?.filter(|count| *count > 1) else {
        return Ok(None);
    };
    let missing = |name: &str| ConfigError::new(name, "it is missing, in a mixture of experts");
    let per_token = fields
        .number(EXPERTS_PER_TOKEN)?
        .ok_or_else(|| missing(EXPERTS_PER_TOKEN[0]))?;
    let own_size = fields.number(&["moe_intermediate_size", "moe_ffn_hidden_size"])?;
    let intermediate_size = match own_size {
        Some(size) if size > 0 => size,
        _ => fields
            .number_or_family(INTERMEDIATE)?
            .ok_or_else(|| missing("moe_intermediate_size"))?,
    };
    // Qwen's MoE states one wide shared expert: as many of the usual width.
    let wide = fields
        .number(&["shared_expert_intermediate_size"])?
        .unwrap_or(0);
    let shared = match fields.number(SHARED_EXPERTS)? {
        Some(stated) => stated,
        None => wide.checked_div(intermediate_size).unwrap_or(0),
    };
    Ok(Some(Experts {
        count,
        per_token,
        intermediate_size,
        shared,
        dense_layers: leading_dense(fields)?.unwrap_or(0),
    }))
}

/// How many layers are dense before the experts begin; `None` where the dense ones are not the
/// first.
fn leading_dense(fields: &Fields<'_>) -> Result<Option<u64>, ConfigError> {
    if let Some(first) = fields.number(&["first_k_dense_replace"])? {
        return Ok(Some(first));
    }
    let dense: Vec<u64> = if let Some(kinds) = fields.list("mlp_layer_types") {
        (0..)
            .zip(kinds)
            .filter(|(_, kind)| *kind == "dense")
            .map(|(layer, _)| layer)
            .collect()
    } else {
        fields
            .list("mlp_only_layers")
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect()
    };
    let leading = (0..)
        .zip(&dense)
        .all(|(position, layer)| position == *layer);
    Ok(leading.then_some(dense.len() as u64))
}

fn special(fields: &Fields<'_>) -> Result<Vec<String>, ConfigError> {
    let mut found: Vec<&str> = SPECIAL
        .into_iter()
        .filter(|name| fields.is_set(name))
        .collect();
    let plain = ["full_attention", "sliding_attention"];
    let is_plain = |kind: &Value| kind.as_str().is_some_and(|kind| plain.contains(&kind));
    if fields
        .list("layer_types")
        .is_some_and(|kinds| !kinds.iter().all(is_plain))
    {
        found.push("layer_types");
    }
    for step in [
        "moe_layer_freq",
        "decoder_sparse_step",
        "interleave_moe_layer_step",
    ] {
        let every_layer = match fields.value(&[step]) {
            None => true,
            // A list of zeros and ones: plain where no dense layer follows one with experts.
            Some((_, Value::Array(items))) => {
                !items.windows(2).any(|pair| pair[0] == 1 && pair[1] == 0)
            }
            Some((_, value)) => value.as_u64().is_none_or(|every| every <= 1),
        };
        if !every_layer {
            found.push(step);
        }
    }
    if leading_dense(fields)?.is_none() {
        found.push(if fields.list("mlp_layer_types").is_some() {
            "mlp_layer_types"
        } else {
            "mlp_only_layers"
        });
    }
    let wide = fields
        .number(&["shared_expert_intermediate_size"])?
        .unwrap_or(0);
    if let Some(size) = fields
        .number(&["moe_intermediate_size"])?
        .filter(|size| *size > 0)
        && !wide.is_multiple_of(size)
    {
        found.push("shared_expert_intermediate_size");
    }
    for names in [HEADS, KV_HEADS, INTERMEDIATE] {
        if fields.varies(names) {
            found.push(names[0]);
        }
    }
    Ok(found.into_iter().map(str::to_owned).collect())
}

fn quantization(fields: &Fields<'_>) -> (Option<String>, Option<u64>) {
    let Some(stated) = fields.part("quantization_config") else {
        return (None, None);
    };
    let text = |name: &str| stated.get(name).and_then(Value::as_str);
    let on = |name: &str| stated.get(name).and_then(Value::as_bool) == Some(true);
    let method = text("quant_method")
        .or(text("quant_algo"))
        .map(str::to_lowercase);
    let group = stated
        .get("config_groups")
        .and_then(Value::as_object)
        .and_then(|groups| groups.values().next());
    let bits = stated
        .get("bits")
        .and_then(Value::as_u64)
        .or_else(|| group?.get("weights")?.get("num_bits")?.as_u64())
        .or_else(
            || match (method.as_deref(), on("load_in_4bit"), on("load_in_8bit")) {
                (_, true, _) | (Some("mxfp4" | "nvfp4"), ..) => Some(4),
                (_, _, true) | (Some("fp8" | "fbgemm_fp8"), ..) => Some(8),
                _ => None,
            },
        );
    (method, bits)
}

#[cfg(test)]
mod tests;
