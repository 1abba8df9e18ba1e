//! Facts that cannot be those of any model: a field of the wrong kind would count as missing, and
//! a contradiction would be the estimate of another model.

use openmodel_resolve::check_facts;
use openmodel_schemas::model_card::ModelCard;
use serde_json::Value;

/// Fields that count something; of those marked, there is at least one.
const COUNTS: [(&str, bool); 30] = [
    ("hidden_size", true),
    ("num_hidden_layers", true),
    ("num_attention_heads", true),
    ("num_key_value_heads", true),
    ("head_dim", true),
    ("vocab_size", true),
    ("safetensors_bytes", true),
    ("intermediate_size", false),
    ("max_position_embeddings", true),
    ("num_experts", false),
    ("experts_per_token", false),
    ("moe_intermediate_size", false),
    ("n_shared_experts", false),
    ("kv_lora_rank", true),
    ("q_lora_rank", false),
    ("qk_rope_head_dim", false),
    ("qk_nope_head_dim", false),
    ("v_head_dim", true),
    ("full_attention_layers", false),
    ("sliding_layers", false),
    ("linear_or_mamba_layers", false),
    ("num_kv_shared_layers", false),
    ("sliding_window", false),
    ("attention_chunk_size", false),
    ("num_global_key_value_heads", true),
    ("global_head_dim", true),
    ("ssm_state_size", true),
    ("mamba_num_heads", true),
    ("linear_num_key_heads", true),
    ("mtp_layers", false),
];

/// Larger than any dimension of any model; bytes and parameters are bounded by each other.
const LARGEST: u64 = 1 << 50;

/// Methods of quantisation that such files name.
const METHODS: [&str; 12] = [
    "awq",
    "awq_marlin",
    "bitsandbytes",
    "compressed-tensors",
    "fbgemm_fp8",
    "fp8",
    "gptq",
    "gptq_marlin",
    "modelopt",
    "mxfp4",
    "nvfp4",
    "torchao",
];

const DTYPES: [&str; 9] = [
    "auto",
    "bf16",
    "bfloat16",
    "float16",
    "float32",
    "fp16",
    "fp32",
    "fp8",
    "float8_e4m3fn",
];

/// The first field of a row that makes no sense, with its value.
pub(super) fn check(row: &Value, card: &ModelCard) -> Result<(), String> {
    let value = |name: &str| row.get(name).filter(|value| !value.is_null());
    for (name, positive) in COUNTS {
        let Some(value) = value(name) else { continue };
        let least = u64::from(positive);
        if !value
            .as_u64()
            .is_some_and(|count| (least..=LARGEST).contains(&count))
        {
            return Err(format!("{name} is {value}, which is no count from {least}"));
        }
    }
    for name in ["params_total_b", "params_active_b"] {
        let Some(value) = value(name) else { continue };
        if !value
            .as_f64()
            .is_some_and(|billions| billions > 0.0 && billions < 1e6)
        {
            return Err(format!(
                "{name} is {value}, which is no number of billions above 0"
            ));
        }
    }
    for (name, words) in [("torch_dtype", &DTYPES[..]), ("quant_method", &METHODS[..])] {
        let Some(value) = value(name) else { continue };
        let word = value.as_str().map(str::to_lowercase);
        if !word.is_some_and(|word| word.is_empty() || words.contains(&word.as_str())) {
            return Err(format!("{name} is {value}; known are {}", words.join(", ")));
        }
    }
    let count = |name: &str| value(name).and_then(Value::as_u64);
    if let Some(longest) = count("max_position_embeddings").filter(|longest| *longest < 2) {
        return Err(format!(
            "max_position_embeddings is {longest}, which leaves no room for a token and its answer"
        ));
    }
    if let (Some(each), Some(all)) = (count("experts_per_token"), count("num_experts"))
        && each > all
        && all > 0
    {
        return Err(format!(
            "experts_per_token is {each}, and num_experts is {all}"
        ));
    }
    if let (Some(width), Some(heads), None, None) = (
        count("hidden_size"),
        count("num_attention_heads"),
        count("head_dim"),
        count("kv_lora_rank"),
    ) && !width.is_multiple_of(heads)
    {
        return Err(format!(
            "hidden_size is {width}, no multiple of num_attention_heads, which is {heads}, and there is no head_dim"
        ));
    }
    // Experts beside recurrent layers have a width that such files leave out (`moe_latent_size`).
    if count("num_experts").is_some() && count("linear_or_mamba_layers").is_some() {
        return Ok(());
    }
    check_facts(card).map_err(|error| {
        let field = if error.of_bytes {
            "safetensors_bytes"
        } else {
            "params_total_b"
        };
        format!("{field}: {error}")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, proptest};
    use serde_json::json;

    use super::*;
    use crate::models_file::card;

    fn row() -> Value {
        json!({
            "model_id": "own/8B", "architecture": "LlamaForCausalLM", "hidden_size": 4096,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
            "head_dim": null, "intermediate_size": 14336, "vocab_size": 128_256,
            "max_position_embeddings": 131_072, "torch_dtype": "bfloat16", "quant_method": null,
            "params_total_b": 8.03, "safetensors_bytes": 16_060_556_376_u64,
        })
    }

    fn checked(row: &Value) -> Result<(), String> {
        check(row, &card(row).expect("it has a name"))
    }

    #[test]
    fn a_fact_that_makes_no_sense_is_named() {
        assert_eq!(checked(&row()), Ok(()));
        for (field, value) in [
            ("num_key_value_heads", json!(0)),
            ("hidden_size", json!(-4096)),
            ("hidden_size", json!(4100)),
            ("num_hidden_layers", json!(1.5)),
            ("vocab_size", json!("many")),
            ("max_position_embeddings", json!(1)),
            ("torch_dtype", json!("q17")),
            ("quant_method", json!("foo")),
            ("params_total_b", json!(0)),
            ("params_total_b", json!(70)),
            ("safetensors_bytes", json!(1)),
            ("safetensors_bytes", json!(1_000_000_000_000_u64)),
        ] {
            let mut row = row();
            row[field] = value.clone();
            let said = checked(&row).expect_err(field);
            assert!(said.starts_with(field), "{field}: {said}");
        }
        let mut experts = row();
        experts["num_experts"] = json!(4);
        experts["experts_per_token"] = json!(8);
        assert_eq!(
            checked(&experts),
            Err("experts_per_token is 8, and num_experts is 4".to_owned())
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Any number in any field is read, or refused by the name of some field.
        #[test]
        fn no_number_is_a_panic(at in 0_usize..30, number in -10_i64..=i64::MAX) {
            let mut row = row();
            row[COUNTS[at].0] = json!(number);
            if let Err(said) = checked(&row) {
                let fields = row.as_object().expect("an object");
                assert!(fields.keys().any(|name| said.starts_with(name.as_str())), "{said}");
            }
        }
    }
}
