//! A dozen families' configurations, cut down to the fields that count, with their real values.

use serde_json::json;

use super::*;

#[track_caller]
fn parse(config: &Value) -> ModelConfig {
    parse_config(config).expect("a language model")
}

#[track_caller]
fn fails(config: &Value) -> String {
    parse_config(config)
        .expect_err("no language model")
        .to_string()
}

fn llama() -> Value {
    json!({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128_256,
        "max_position_embeddings": 131_072, "tie_word_embeddings": false, "torch_dtype": "bfloat16"})
}

#[test]
fn llama_is_plain() {
    let expected = ModelConfig {
        architecture: "LlamaForCausalLM".to_owned(),
        model_type: "llama".to_owned(),
        hidden_size: 4096,
        layers: 32,
        attention_heads: 32,
        kv_heads: 8,
        head_dim: 128,
        intermediate_size: 14336,
        vocab_size: 128_256,
        max_positions: Some(131_072),
        dtype: Some("bfloat16".to_owned()),
        ..ModelConfig::default()
    };
    assert_eq!(parse(&llama()), expected);
}

#[test]
fn qwen_states_a_window_that_it_does_not_use() {
    let config = parse(
        &json!({"model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944,
        "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152_064,
        "max_position_embeddings": 32768, "sliding_window": 131_072, "use_sliding_window": false, "max_window_layers": 28}),
    );
    assert_eq!(
        (
            config.sliding_window,
            config.full_attention_layers,
            config.head_dim
        ),
        (None, None, 128)
    );
    assert!(!config.tied_embeddings);
}

#[test]
fn gemma_2_slides_in_every_second_layer_and_ties_without_saying_so() {
    let config = parse(
        &json!({"model_type": "gemma2", "hidden_size": 3584, "intermediate_size": 14336,
        "num_hidden_layers": 42, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 256,
        "vocab_size": 256_000, "max_position_embeddings": 8192, "sliding_window": 4096}),
    );
    assert_eq!(
        (config.sliding_window, config.full_attention_layers),
        (Some(4096), Some(21))
    );
    assert!(config.tied_embeddings && config.special.is_empty());
    assert_eq!(config.head_dim, 256);
}

#[test]
fn gemma_3_is_nested_and_leaves_out_what_its_class_assumes() {
    let config = parse(
        &json!({"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
        "torch_dtype": "bfloat16", "vision_config": {"hidden_size": 1152, "num_hidden_layers": 27},
        "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
            "num_hidden_layers": 34, "sliding_window": 1024}}),
    );
    assert_eq!((config.hidden_size, config.layers), (2560, 34));
    assert_eq!(
        (
            config.attention_heads,
            config.kv_heads,
            config.head_dim,
            config.vocab_size
        ),
        (8, 4, 256, 262_208)
    );
    assert_eq!(
        (config.sliding_window, config.full_attention_layers),
        (Some(1024), Some(5))
    );
    assert_eq!(config.dtype.as_deref(), Some("bfloat16"));
    assert!(config.vision && config.tied_embeddings && config.special.is_empty());
}

#[test]
fn a_mixture_of_experts() {
    let config = parse(
        &json!({"model_type": "qwen3_moe", "hidden_size": 2048, "intermediate_size": 6144,
        "moe_intermediate_size": 768, "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4,
        "head_dim": 128, "vocab_size": 151_936, "num_experts": 128, "num_experts_per_tok": 8, "decoder_sparse_step": 1,
        "mlp_only_layers": [], "max_position_embeddings": 40960}),
    );
    let experts = Experts {
        count: 128,
        per_token: 8,
        intermediate_size: 768,
        shared: 0,
        dense_layers: 0,
    };
    assert_eq!((config.experts, config.special), (Some(experts), vec![]));

    let mut mixtral = llama();
    mixtral["num_local_experts"] = json!(8);
    mixtral["num_experts_per_tok"] = json!(2);
    let experts = Experts {
        count: 8,
        per_token: 2,
        intermediate_size: 14336,
        ..Experts::default()
    };
    assert_eq!(parse(&mixtral).experts, Some(experts));
}

#[test]
fn a_wide_shared_expert_counts_as_several() {
    let mut config = llama();
    for (name, value) in [
        ("num_experts", 60),
        ("num_experts_per_tok", 4),
        ("moe_intermediate_size", 1408),
        ("shared_expert_intermediate_size", 5632),
    ] {
        config[name] = json!(value);
    }
    assert_eq!(
        parse(&config).experts.map(|experts| experts.shared),
        Some(4)
    );
    config["shared_expert_intermediate_size"] = json!(5000);
    assert_eq!(parse(&config).special, ["shared_expert_intermediate_size"]);
}

#[test]
fn gpt_oss_alternates_and_is_stored_at_four_bits() {
    let kinds: Vec<&str> = (0..24)
        .map(|layer| {
            if layer % 2 == 0 {
                "sliding_attention"
            } else {
                "full_attention"
            }
        })
        .collect();
    let config = parse(
        &json!({"model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880,
        "num_hidden_layers": 24, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64,
        "vocab_size": 201_088, "num_local_experts": 32, "num_experts_per_tok": 4, "experts_per_token": 4,
        "sliding_window": 128, "max_position_embeddings": 131_072, "layer_types": kinds,
        "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}}),
    );
    assert_eq!(
        (config.sliding_window, config.full_attention_layers),
        (Some(128), Some(12))
    );
    assert_eq!(
        (config.quant_method.as_deref(), config.quant_bits),
        (Some("mxfp4"), Some(4))
    );
    assert!(config.special.is_empty());
}

#[test]
fn deepseek_shows_latent_attention_and_its_dense_layers() {
    let config = parse(
        &json!({"model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432,
        "moe_intermediate_size": 2048, "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128,
        "vocab_size": 129_280, "n_routed_experts": 256, "num_experts_per_tok": 8, "n_shared_experts": 1,
        "first_k_dense_replace": 3, "moe_layer_freq": 1, "kv_lora_rank": 512, "q_lora_rank": 1536,
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}),
    );
    assert_eq!(config.special, ["kv_lora_rank"]);
    let experts = Experts {
        count: 256,
        per_token: 8,
        intermediate_size: 2048,
        shared: 1,
        dense_layers: 3,
    };
    assert_eq!(config.experts, Some(experts));
    assert_eq!(config.quant_bits, Some(8));
}

#[test]
fn what_the_plain_formulas_do_not_cover_is_named() {
    let special = |fields: Value| {
        let mut config = llama();
        config
            .as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("an object").clone());
        parse(&config).special
    };
    assert_eq!(
        special(json!({"attn_layer_period": 8, "mamba_d_state": 16})),
        ["mamba_d_state", "attn_layer_period"]
    );
    assert_eq!(
        special(json!({"linear_num_key_heads": 16, "full_attention_interval": 4})),
        ["linear_num_key_heads", "full_attention_interval"]
    );
    assert_eq!(
        special(json!({"layer_types": ["linear_attention", "full_attention"]})),
        ["layer_types"]
    );
    assert_eq!(
        special(json!({"attention_chunk_size": 8192, "interleave_moe_layer_step": 2})),
        ["attention_chunk_size", "interleave_moe_layer_step"]
    );
    assert_eq!(
        special(json!({"num_key_value_heads": [8, 4, 8]})),
        ["num_key_value_heads"]
    );
    assert_eq!(
        special(
            json!({"num_kv_shared_layers": 0, "is_encoder_decoder": false, "kv_lora_rank": null})
        ),
        [""; 0]
    );
    assert_eq!(
        special(json!({"mlp_layer_types": ["dense", "sparse", "dense"]})),
        ["mlp_layer_types"]
    );
    assert_eq!(special(json!({"moe_layer_freq": [0, 1, 1]})), [""; 0]);
}

#[test]
fn a_model_without_attention_needs_no_heads() {
    let config = parse(
        &json!({"model_type": "falcon_mamba", "hidden_size": 4096, "num_hidden_layers": 64,
        "state_size": 16, "vocab_size": 65024}),
    );
    assert_eq!(
        (config.special, config.attention_heads, config.head_dim),
        (vec!["state_size".to_owned()], 0, 0)
    );
}

#[test]
fn older_names() {
    let gpt2 = parse(
        &json!({"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257}),
    );
    assert_eq!(
        (
            gpt2.hidden_size,
            gpt2.kv_heads,
            gpt2.intermediate_size,
            gpt2.max_positions
        ),
        (768, 12, 3072, Some(1024))
    );
    assert!(gpt2.tied_embeddings);
    let falcon = parse(
        &json!({"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71,
        "num_kv_heads": 71, "multi_query": true, "new_decoder_architecture": false, "vocab_size": 65024}),
    );
    assert_eq!((falcon.kv_heads, falcon.head_dim), (1, 64));
    let dbrx = parse(
        &json!({"model_type": "dbrx", "d_model": 6144, "n_heads": 48, "n_layers": 40, "max_seq_len": 32768,
        "vocab_size": 100_352, "attn_config": {"kv_n_heads": 8},
        "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4}}),
    );
    let experts = Experts {
        count: 16,
        per_token: 4,
        intermediate_size: 10752,
        ..Experts::default()
    };
    assert_eq!((dbrx.kv_heads, dbrx.experts), (8, Some(experts)));
}

#[test]
fn windows_of_other_families() {
    let window = |fields: Value| {
        let mut config = llama();
        config
            .as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("an object").clone());
        let config = parse(&config);
        (config.sliding_window, config.full_attention_layers)
    };
    assert_eq!(window(json!({"sliding_window": 4096})), (Some(4096), None));
    assert_eq!(window(json!({"sliding_window": 262_144})), (None, None));
    assert_eq!(
        window(json!({"sliding_window": 4096, "sliding_window_pattern": 4})),
        (Some(4096), Some(8))
    );
    assert_eq!(
        window(json!({"sliding_window": 4096, "sliding_window_pattern": "LLLG"})),
        (Some(4096), Some(8))
    );
    assert_eq!(
        window(
            json!({"sliding_window": 4096, "use_sliding_window": true, "max_window_layers": 20})
        ),
        (Some(4096), Some(20))
    );
}

#[test]
fn quantisations() {
    let bits = |stated: Value| {
        let mut config = llama();
        config["quantization_config"] = stated;
        let config = parse(&config);
        (config.quant_method.unwrap_or_default(), config.quant_bits)
    };
    assert_eq!(
        bits(json!({"quant_method": "awq", "bits": 4})),
        ("awq".to_owned(), Some(4))
    );
    assert_eq!(
        bits(json!({"quant_method": "bitsandbytes", "load_in_4bit": true})),
        ("bitsandbytes".to_owned(), Some(4))
    );
    let groups = json!({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8}}}});
    assert_eq!(bits(groups), ("compressed-tensors".to_owned(), Some(8)));
}

#[test]
fn an_omni_models_thinker_is_the_language_model() {
    let config = parse(&json!({"model_type": "qwen2_5_omni", "thinker_config": {
        "audio_config": {"d_model": 1280}, "vision_config": {"hidden_size": 1280}, "text_config": llama()}}));
    assert_eq!(
        (config.hidden_size, config.vision, config.audio),
        (4096, true, true)
    );
}

#[test]
fn what_is_missing_or_no_number_is_named() {
    let without = |field: &str| {
        let mut config = llama();
        config.as_object_mut().expect("an object").remove(field);
        fails(&config)
    };
    assert_eq!(
        without("num_hidden_layers"),
        "num_hidden_layers: it is missing"
    );
    assert_eq!(without("vocab_size"), "vocab_size: it is missing");
    assert_eq!(fails(&json!([])), "the file: it is not a JSON object");
    let mut config = llama();
    config["hidden_size"] = json!(-1);
    assert_eq!(fails(&config), "hidden_size: -1 is not a count");
    config["hidden_size"] = json!(1e300);
    assert!(fails(&config).contains("is not a count"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]

    /// Whatever somebody uploads as a `config.json`, reading it ends in an answer.
    #[test]
    fn any_value_in_any_field_is_survived(
        field in proptest::sample::select(vec![
            "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
            "sliding_window", "sliding_window_pattern", "max_window_layers", "layer_types", "num_experts",
            "num_experts_per_tok", "moe_intermediate_size", "shared_expert_intermediate_size", "mlp_only_layers",
            "mlp_layer_types", "moe_layer_freq", "quantization_config", "text_config", "architectures",
        ]),
        value in proptest::sample::select(vec![
            json!(null), json!(0), json!(1), json!(7.0), json!(-3), json!(1.5), json!(u64::MAX), json!("x"), json!(""),
            json!([]), json!([1, "a", null]), json!([0, 1, 0]), json!({}), json!({"num_hidden_layers": 0}), json!(true),
        ]),
        second in proptest::sample::select(vec![json!(0), json!(2), json!({}), json!([3, 1])]),
    ) {
        let mut config = llama();
        config["num_experts"] = second;
        config[field] = value;
        if let Ok(parsed) = parse_config(&config) {
            proptest::prop_assert!(parsed.hidden_size > 0 && parsed.layers > 0);
        }
    }
}
