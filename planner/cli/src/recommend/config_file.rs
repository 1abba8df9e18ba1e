//! A model's `config.json` as it lies on a disk, in the words of a file of model facts.
//!
//! The names are mostly the same; what differs is where they stand and how layers are told.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::ModelId;
use openmodel_schemas::quantity::{Bytes, Parameters};
use serde_json::{Map, Value, json};

use crate::models_file;

/// The card of a model whose configuration is in a file.
pub(super) fn card(
    id: &ModelId,
    path: &Path,
    parameters: Option<Parameters>,
    weights: Option<Bytes>,
) -> Result<ModelCard> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let config: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    let row = row(&config);
    for field in ["architecture", "num_hidden_layers", "hidden_size"] {
        ensure!(
            row.contains_key(field),
            "{} is no config.json of a language model: {} is missing",
            path.display(),
            if field == "architecture" {
                "architectures"
            } else {
                field
            }
        );
    }
    let mut row = Value::Object(row);
    row["model_id"] = json!(id.as_str());
    if let Some(weights) = weights {
        row["safetensors_bytes"] = json!(weights.0);
    }
    let mut card = models_file::card(&row)?;
    card.parameters = parameters;
    Ok(card)
}

/// Parts that hold the language model of a model with several.
const NESTED: [&str; 3] = ["text_config", "llm_config", "language_config"];

/// Other names, after the one of a file of facts.
const NAMES: [(&str, &[&str]); 9] = [
    ("torch_dtype", &["torch_dtype", "dtype"]),
    (
        "num_experts",
        &["num_experts", "n_routed_experts", "num_local_experts"],
    ),
    (
        "experts_per_token",
        &["num_experts_per_tok", "num_experts_per_token", "moe_top_k"],
    ),
    (
        "mtp_layers",
        &["num_nextn_predict_layers", "mtp_num_hidden_layers"],
    ),
    (
        "conv_kernel",
        &["conv_kernel", "linear_conv_kernel_dim", "mamba_d_conv"],
    ),
    ("ssm_state_size", &["ssm_state_size", "mamba_d_state"]),
    ("mamba_num_heads", &["mamba_num_heads", "mamba_n_heads"]),
    ("mamba_head_dim", &["mamba_head_dim", "mamba_d_head"]),
    ("mamba_n_groups", &["n_groups", "mamba_n_groups"]),
];

fn row(config: &Value) -> Map<String, Value> {
    let part = NESTED
        .iter()
        .find_map(|name| config.get(name))
        .or_else(|| config.pointer("/thinker_config/text_config"))
        .unwrap_or(config);
    let get = |name: &str| {
        part.get(name)
            .or_else(|| config.get(name))
            .filter(|value| !value.is_null())
    };
    let own = part.as_object().cloned().unwrap_or_default();
    let mut row: Map<String, Value> = own
        .into_iter()
        .filter(|(_, value)| !value.is_object() && !value.is_array() && !value.is_null())
        .collect();
    for (name, others) in NAMES {
        if let Some(value) = others.iter().find_map(|other| get(other)) {
            row.insert(name.to_owned(), value.clone());
        }
    }
    let architecture = config
        .pointer("/architectures/0")
        .or_else(|| part.pointer("/architectures/0"));
    if let Some(architecture) = architecture {
        row.insert("architecture".to_owned(), architecture.clone());
    }
    if let Some(method) = get("quantization_config").and_then(|stored| stored.get("quant_method")) {
        row.insert("quant_method".to_owned(), method.clone());
    }
    for (name, tower) in [
        ("has_vision", "vision_config"),
        ("has_audio", "audio_config"),
    ] {
        row.insert(name.to_owned(), json!(config.get(tower).is_some()));
    }
    let name = architecture.and_then(Value::as_str).unwrap_or_default();
    kinds(&mut row, get("layer_types").and_then(Value::as_array), name);
    row
}

/// Counts of layers by kind, and the class of attention.
fn kinds(row: &mut Map<String, Value>, types: Option<&Vec<Value>>, architecture: &str) {
    let number = |name: &str| row.get(name).and_then(Value::as_u64);
    let layers = number("num_hidden_layers").unwrap_or(0);
    let family = row.get("model_type").and_then(Value::as_str).unwrap_or("");
    let every = number("sliding_window_pattern").or(match family {
        "gemma2" => Some(2),
        "gemma3" | "gemma3_text" => Some(6),
        _ => None,
    });
    let slides = number("sliding_window").is_some()
        && row.get("use_sliding_window") != Some(&Value::Bool(false));
    let of_kind = |word: &str| {
        types.map_or(0, |types| {
            let named = |kind: &&Value| kind.as_str().is_some_and(|kind| kind.contains(word));
            types.iter().filter(named).count() as u64
        })
    };
    let (sliding, recurrent) = match (types, every) {
        (Some(_), _) => (
            of_kind("sliding") + of_kind("chunked"),
            of_kind("linear") + of_kind("mamba"),
        ),
        (None, Some(every)) if slides && every > 0 => (layers - layers / every, 0),
        _ => (0, 0),
    };
    let class = if row.get("is_encoder_decoder") == Some(&Value::Bool(true)) {
        "encdec"
    } else if ["Bert", "Roberta"]
        .iter()
        .any(|word| architecture.contains(word))
    {
        "encoder"
    } else if recurrent > 0 {
        "hybrid_ssm"
    } else {
        "gqa"
    };
    row.insert("sliding_layers".to_owned(), json!(sliding));
    row.insert("linear_or_mamba_layers".to_owned(), json!(recurrent));
    row.insert(
        "full_attention_layers".to_owned(),
        json!(layers.saturating_sub(sliding + recurrent)),
    );
    row.insert("attention_class".to_owned(), json!(class));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_configuration_is_read_like_a_flat_one() {
        let row = row(&json!({
            "architectures": ["Gemma3ForConditionalGeneration"],
            "text_config": {
                "model_type": "gemma3_text", "num_hidden_layers": 62, "hidden_size": 5376,
                "sliding_window": 1024, "rope_scaling": { "factor": 8.0 },
            },
            "vision_config": {},
        }));
        assert_eq!(row["architecture"], "Gemma3ForConditionalGeneration");
        assert_eq!(row["sliding_layers"], 52);
        assert_eq!(row["full_attention_layers"], 10);
        assert_eq!(row["has_vision"], true);
        assert!(!row.contains_key("rope_scaling"));
    }

    #[test]
    fn layers_are_counted_by_their_types() {
        let types = ["linear_attention", "linear_attention", "full_attention"];
        let row = row(&json!({
            "architectures": ["Qwen3NextForCausalLM"], "num_hidden_layers": 3,
            "layer_types": types, "n_routed_experts": 8,
        }));
        assert_eq!(row["linear_or_mamba_layers"], 2);
        assert_eq!(row["full_attention_layers"], 1);
        assert_eq!(row["num_experts"], 8);
        assert_eq!(row["attention_class"], "hybrid_ssm");
    }
}
