//! Configurations that contradict themselves, and those that only look so.

use super::*;

#[test]
fn what_only_looks_like_a_contradiction_is_read() {
    for fields in [
        json!({"hidden_size": 4100, "head_dim": 128}),
        json!({"architectures": ["MistralForCausalLM"]}),
        json!({"architectures": ["LlamaForCausalLMEagle3"]}),
        json!({"architectures": ["OwnForCausalLM"]}),
        json!({"model_type": "kimi_k2", "architectures": ["DeepseekV3ForCausalLM"]}),
        json!({"torch_dtype": "torch.float8_e4m3fn"}),
        json!({"num_key_value_heads": vec![8; 32]}),
        json!({"rope_scaling": {}}),
        json!({"rope_parameters": {"rope_theta": 1e6}}),
        json!({"rope_parameters": {"sliding_attention": {"rope_type": "default"}}}),
        json!({"quantization_config": {"quant_method": "exl2", "bits": 3.5}}),
        json!({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": -1}}),
        json!({"quantization_config": {"quant_method": "modelopt_fp4"}}),
        json!({"quantization_config": {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}}),
        json!({"quantization_config": {"quant_method": "modelopt", "quant_algo": "W8A8_SQ_PER_CHANNEL"}}),
        json!({"quantization_config": {"quant_method": "modelopt", "quant_algo": "FP8_PB_WO"}}),
    ] {
        parse(&llama_with(&fields));
    }
}

/// How `ModelOpt` quantised is checked as what `config.json` says of it.
#[test]
fn a_quantisation_beside_the_configuration_that_no_format_has() {
    let config = parse(&llama());
    for (file, expected) in [
        (
            json!({"quantization": {"quant_algo": "Q17"}}),
            "quantization.quant_algo: \"Q17\" is no known algorithm",
        ),
        (
            json!({"quantization": {"quant_algo": "NVFP4", "group_size": 0}}),
            "quantization.group_size: 0 is no number of weights",
        ),
        (
            json!({"quantization": {"quant_algo": "INT4", "bits": 99}}),
            "quantization.bits: 99 is no number of bits",
        ),
        (
            json!({"quant_method": "q17"}),
            "quantization.quant_method: \"q17\" is no known method",
        ),
        (
            json!({"quantization": "NVFP4"}),
            "quantization: it is not an object",
        ),
        (json!([]), "the file: it is not a JSON object"),
    ] {
        let error = parse_hf_quant_config(&file, &config).expect_err("it is refused");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    for plain in [
        json!({"quantization": {"quant_algo": "NO_QUANT"}}),
        json!({"quantization": {"quant_algo": null}}),
        json!({}),
    ] {
        assert_eq!(parse_hf_quant_config(&plain, &config), Ok(None), "{plain}");
    }
}

#[test]
fn what_is_missing_or_contradicts_itself_is_named() {
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
    assert_eq!(
        without("intermediate_size"),
        "intermediate_size: it is missing"
    );
    assert_eq!(fails(&json!([])), "the file: it is not a JSON object");
    let with = |fields: Value| fails(&llama_with(&fields));
    assert_eq!(
        with(json!({"hidden_size": 0})),
        "hidden_size: 0 is none: it must be at least 1"
    );
    for (fields, expected) in [
        (
            json!({"quantization_config": "fp8"}),
            "quantization_config: \"fp8\" is not an object",
        ),
        (
            json!({"quantization_config": {"quant_method": "gptq", "bits": 0}}),
            "quantization_config.bits: 0 is no number of bits from 1 to 32",
        ),
        (
            json!({"quantization_config": {"quant_method": "awq", "bits": "four"}}),
            "quantization_config.bits: \"four\" is no number of bits from 1 to 32",
        ),
        (
            json!({"quantization_config": {"quant_method": "gptq", "bits": 3.5}}),
            "quantization_config.bits: 3.5 is no number of bits from 1 to 32",
        ),
        (
            json!({"quantization_config": {"quant_method": "q17", "bits": 4}}),
            "quantization_config.quant_method: \"q17\" is no known method, so the size of a weight is not known. To size it by its files, give its config.json without quantization_config, and the bytes of its weight files",
        ),
        (
            json!({"quantization_config": {"quant_method": "modelopt", "quant_algo": 4}}),
            "quantization_config.quant_algo: 4 is no known algorithm, so the size of a weight is not known. To size it by its files, give its config.json without quantization_config, and the bytes of its weight files",
        ),
        (
            json!({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 0}}),
            "quantization_config.group_size: 0 is no number of weights from 1, nor -1 for a whole channel",
        ),
        (
            json!({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": -5}}),
            "quantization_config.group_size: -5 is no number of weights from 1, nor -1 for a whole channel",
        ),
        (
            json!({"hidden_size": [1]}),
            "hidden_size: [1] is not one count for all layers",
        ),
        (
            json!({"num_hidden_layers": [32]}),
            "num_hidden_layers: [32] is not one count for all layers",
        ),
        (
            json!({"rope_scaling": {"a": 1}}),
            "rope_scaling: {\"a\":1} has no rope_type and no factor",
        ),
        (
            json!({"torch_dtype": "q17"}),
            "torch_dtype: \"q17\" is no type of weights such as bfloat16",
        ),
        (
            json!({"num_key_value_heads": 0}),
            "num_key_value_heads: 0 is none: it must be at least 1",
        ),
        (
            json!({"num_hidden_layers": 0}),
            "num_hidden_layers: 0 is none: it must be at least 1",
        ),
        (
            json!({"intermediate_size": 0}),
            "intermediate_size: 0 is none: it must be at least 1",
        ),
        (
            json!({"head_dim": 0}),
            "head_dim: 0 is none: it must be at least 1",
        ),
        (
            json!({"max_position_embeddings": 0}),
            "max_position_embeddings: 0 leaves no room for a token and its answer",
        ),
        (
            json!({"max_position_embeddings": 1}),
            "max_position_embeddings: 1 leaves no room for a token and its answer",
        ),
        (
            json!({"hidden_size": 4100}),
            "hidden_size: 4100 is not a multiple of num_attention_heads, which is 32, and no head_dim is stated",
        ),
        (
            json!({"architectures": ["Qwen2ForCausalLM"]}),
            "model_type: \"llama\" contradicts architectures, which is Qwen2ForCausalLM, a class of \"qwen2\": the two \
             are loaded as different models",
        ),
        (json!({"layer_types": 5}), "layer_types: 5 is not a list"),
        (
            json!({"rope_scaling": "x"}),
            "rope_scaling: \"x\" is not an object",
        ),
        (
            json!({"tie_word_embeddings": "abc"}),
            "tie_word_embeddings: \"abc\" is not true or false",
        ),
    ] {
        assert_eq!(with(fields), expected);
    }
    assert_eq!(
        with(json!({"hidden_size": -1})),
        "hidden_size: -1 is not a count"
    );
    assert_eq!(
        with(json!({"num_hidden_layers": "x".repeat(200)})).len(),
        97
    );
    assert_eq!(
        with(json!({"num_hidden_layers": 1_000_000})),
        "num_hidden_layers: 1000000 is more than any model has"
    );
    assert_eq!(
        with(json!({"num_key_value_heads": 7})),
        "num_key_value_heads: 7 does not divide num_attention_heads, which is 32"
    );
    assert_eq!(
        with(json!({"layer_types": ["full_attention"]})),
        "layer_types: it is about 1 layers, and num_hidden_layers is 32"
    );
    assert_eq!(
        with(json!({"hybrid_override_pattern": "MX"})),
        "hybrid_override_pattern: 'X' is not a kind of layer: M, *, - or E"
    );
    assert_eq!(
        with(json!({"num_experts": 4, "num_experts_per_tok": 8})),
        "num_experts_per_tok: 8 is more than the 4 experts there are"
    );
    assert_eq!(
        with(json!({"attn_layer_period": 4, "attn_layer_offset": 4})),
        "attn_layer_offset: 4 is not below attn_layer_period, which is 4"
    );
    assert_eq!(
        with(json!({"num_kv_shared_layers": 33})),
        "num_kv_shared_layers: 33 is more than num_hidden_layers, which is 32"
    );
}
