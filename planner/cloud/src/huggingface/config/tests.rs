//! Small cases, each about one field; models of the Hub are in `tests/models.rs`, and what nobody
//! should upload in `tests/any.rs`.

use openmodel_schemas::model_card::{Experts, Indexer, Recurrent, RopeScaling, StoredQuantization};
use serde_json::json;

use super::*;

mod any;
mod models;

#[track_caller]
fn parse(config: &Value) -> ModelConfig {
    parse_config(config).expect("a model")
}

#[track_caller]
fn fails(config: &Value) -> String {
    parse_config(config).expect_err("no model").to_string()
}

fn llama() -> Value {
    json!({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128_256,
        "max_position_embeddings": 131_072, "tie_word_embeddings": false, "torch_dtype": "bfloat16"})
}

/// Llama with other fields.
fn llama_with(fields: &Value) -> Value {
    let mut config = llama();
    let fields = fields.as_object().expect("an object").clone();
    config.as_object_mut().expect("an object").extend(fields);
    config
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
        layer_kinds: LayerKinds {
            full: 32,
            ..LayerKinds::default()
        },
        ..ModelConfig::default()
    };
    assert_eq!(parse(&llama()), expected);
}

/// Full layers, windowed layers, and the window.
fn windows(fields: &Value) -> (u64, u64, Option<u64>) {
    let config = parse(&llama_with(fields));
    (
        config.layer_kinds.full,
        config.layer_kinds.windowed,
        config.window,
    )
}

#[test]
fn windows_in_all_layers() {
    let mistral = |window: u64| json!({"model_type": "mistral", "sliding_window": window});
    assert_eq!(windows(&mistral(4096)), (0, 32, Some(4096)));
    // As long as the longest context: it cuts nothing off.
    assert_eq!(windows(&mistral(131_072)), (32, 0, None));
    assert_eq!(windows(&mistral(0)), (32, 0, None));
    // A family that is not known to slide is taken to keep everything.
    assert_eq!(windows(&json!({"sliding_window": 4096})), (32, 0, None));
}

#[test]
fn windows_in_some_layers() {
    let pattern =
        |pattern: Value| json!({"sliding_window": 4096, "sliding_window_pattern": pattern});
    assert_eq!(windows(&pattern(json!(4))), (8, 24, Some(4096)));
    assert_eq!(windows(&pattern(json!("LLLG"))), (8, 24, Some(4096)));
    assert_eq!(
        windows(&json!({"model_type": "gpt_oss", "sliding_window": 128})),
        (16, 16, Some(128))
    );
    let qwen = |used: bool| json!({"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": used, "max_window_layers": 20});
    assert_eq!(windows(&qwen(true)), (20, 12, Some(4096)));
    assert_eq!(windows(&qwen(false)), (32, 0, None));
    let mut rope = vec![1; 32];
    rope[3] = 0;
    assert_eq!(
        windows(&json!({"attention_chunk_size": 8192, "no_rope_layers": rope})),
        (1, 31, Some(8192))
    );
    // Kinds of layers without the length of a window.
    let kinds = vec!["sliding_attention"; 32];
    assert_eq!(windows(&json!({"layer_types": kinds})), (32, 0, None));
}

#[test]
fn layers_of_other_kinds() {
    let kinds = |fields: Value| {
        let kinds = parse(&llama_with(&fields)).layer_kinds;
        (kinds.full, kinds.recurrent, kinds.shared, kinds.cross)
    };
    let mamba = json!({"mamba_d_state": 16, "mamba_d_conv": 4, "attn_layer_period": 8, "attn_layer_offset": 4});
    assert_eq!(kinds(mamba), (4, 28, 0, 0));
    let delta = json!({"linear_num_value_heads": 32, "full_attention_interval": 4});
    assert_eq!(kinds(delta), (8, 24, 0, 0));
    let indices = json!({"attn_layer_indices": [9, 18, 27], "mamba_n_heads": 128, "mamba_d_head": "auto", "mamba_d_state": 256});
    assert_eq!(kinds(indices), (3, 29, 0, 0));
    assert_eq!(
        kinds(json!({"cross_attention_layers": [3, 8]})),
        (30, 0, 0, 2)
    );
    assert_eq!(kinds(json!({"num_kv_shared_layers": 12})), (20, 0, 12, 0));
    assert_eq!(
        kinds(json!({"use_cla": true, "cla_share_factor": 2})),
        (16, 0, 16, 0)
    );
    let lightning = json!({"attn_type_list": (0..32).map(|layer| u64::from(layer % 8 == 7)).collect::<Vec<_>>()});
    assert_eq!(kinds(lightning), (4, 28, 0, 0));
    // A list may go on for the layers of multi-token prediction.
    assert_eq!(
        kinds(json!({"layer_types": vec!["full_attention"; 33]})),
        (32, 0, 0, 0)
    );
}

#[test]
fn states() {
    let state = |fields: Value| parse(&llama_with(&fields)).recurrent.expect("a state");
    let auto = state(
        json!({"model_type": "bamba", "attn_layer_indices": [9], "mamba_n_heads": 128, "mamba_d_head": "auto",
        "mamba_d_state": 256, "mamba_n_groups": 1, "mamba_expand": 2, "mamba_ssm_cache_dtype": "float32"}),
    );
    let expected = Recurrent::Mamba2 {
        heads: 128,
        head_dim: 64,
        groups: 1,
        state: 256,
        conv: 4,
        state_bytes: 4,
    };
    assert_eq!(auto, expected);
    let own = state(
        json!({"model_type": "kimi_linear", "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
        "linear_attn_config": {"full_attn_layers": [4, 8, 32], "num_heads": 32, "head_dim": 128, "short_conv_kernel_size": 4}}),
    );
    let expected = Recurrent::DeltaNet {
        key_heads: 32,
        value_heads: 32,
        key_dim: 128,
        value_dim: 128,
        conv: 4,
        state_bytes: 4,
    };
    assert_eq!(own, expected);
    let original =
        parse(&json!({"d_model": 2560, "n_layer": 64, "vocab_size": 50277, "ssm_cfg": {}}));
    let expected = Recurrent::Mamba1 {
        inner: 5120,
        state: 16,
        conv: 4,
        state_bytes: 2,
    };
    assert_eq!(original.recurrent, Some(expected));
}

#[test]
fn heads_that_differ_from_layer_to_layer() {
    let mut by_layer = vec![4; 32];
    by_layer[0] = 1;
    let config = parse(&llama_with(&json!({"num_key_value_heads": by_layer})));
    assert_eq!((config.kv_heads, config.kv_heads_total), (4, Some(125)));
    let block = |group: Value, no_op: bool, mult: f64| json!({"attention": {"n_heads_in_group": group, "no_op": no_op}, "ffn": {"ffn_mult": mult, "no_op": false}});
    let blocks = json!([
        block(json!(8), false, 5.25),
        block(json!(null), true, 0.5),
        block(json!(16), false, 5.25)
    ]);
    let searched = llama_with(
        &json!({"num_hidden_layers": 3, "num_key_value_heads": null, "intermediate_size": null, "block_configs": blocks}),
    );
    let config = parse(&searched);
    assert_eq!((config.kv_heads, config.kv_heads_total), (4, Some(6)));
    assert_eq!(config.layer_kinds.full, 2);
    assert_eq!(
        (config.intermediate_size, config.intermediate_total),
        (14_336, Some(2 * 14_336 + 1536))
    );
}

#[test]
fn experts_in_some_layers() {
    let layers = |fields: Value| {
        let mut config = llama_with(
            &json!({"num_experts": 16, "num_experts_per_tok": 2, "moe_intermediate_size": 512}),
        );
        let fields = fields.as_object().expect("an object").clone();
        config.as_object_mut().expect("an object").extend(fields);
        let experts = parse(&config).experts.expect("experts");
        (experts.layers, experts.dense_layers)
    };
    assert_eq!(layers(json!({})), (32, 0));
    assert_eq!(
        layers(json!({"first_k_dense_replace": 3, "moe_layer_freq": 1})),
        (29, 3)
    );
    assert_eq!(
        layers(json!({"first_k_dense_replace": 1, "moe_layer_freq": 2})),
        (15, 17)
    );
    assert_eq!(layers(json!({"decoder_sparse_step": 2})), (16, 16));
    assert_eq!(layers(json!({"mlp_only_layers": [0, 5]})), (30, 2));
    assert_eq!(layers(json!({"interleave_moe_layer_step": 2})), (16, 16));
    assert_eq!(
        layers(json!({"expert_layer_period": 2, "expert_layer_offset": 1})),
        (16, 16)
    );
    assert_eq!(layers(json!({"moe_layers_enum": "4, 5,6"})), (3, 29));
    assert_eq!(layers(json!({"moe_layers": [1, 3]})), (2, 30));
    let words: Vec<&str> = (0..32)
        .map(|layer| if layer == 2 { "dense" } else { "sparse" })
        .collect();
    assert_eq!(layers(json!({"mlp_layer_types": words})), (31, 1));
    let unbundled = json!({"num_hidden_layers": 6, "hybrid_override_pattern": "MEM*E-", "mamba_num_heads": 64, "mamba_head_dim": 64, "ssm_state_size": 128});
    assert_eq!(layers(unbundled), (2, 1));
}

#[test]
fn a_wide_shared_expert() {
    let shared = |fields: Value| {
        let mut all =
            json!({"num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 1408});
        let fields = fields.as_object().expect("an object").clone();
        all.as_object_mut().expect("an object").extend(fields);
        let experts = parse(&llama_with(&all)).experts.expect("experts");
        (experts.shared, experts.shared_intermediate_size)
    };
    assert_eq!(
        shared(json!({"shared_expert_intermediate_size": 5632})),
        (4, 5632)
    );
    assert_eq!(
        shared(json!({"shared_expert_intermediate_size": 5000})),
        (4, 5000)
    );
    assert_eq!(shared(json!({"n_shared_experts": 2})), (2, 2816));
    assert_eq!(
        shared(json!({"n_shared_experts": null, "shared_expert_intermediate_size": 0})),
        (0, 0)
    );
}

#[test]
fn an_indexer_beside_plain_attention() {
    let sparse = json!({"sparse_attention_config": {"sparse_index_dim": 128, "sparse_attention_freq": [0, 0, 1, 1]}});
    let expected = Indexer {
        dim: 128,
        layers: 2,
        topk: None,
    };
    assert_eq!(parse(&llama_with(&sparse)).indexer, Some(expected));
}

#[track_caller]
fn is_stored(
    found: &StoredQuantization,
    method: &str,
    bits: u64,
    float: Option<bool>,
    group: Option<u64>,
) {
    assert_eq!(
        (
            found.method.as_str(),
            found.bits,
            found.float,
            found.group_size
        ),
        (method, Some(bits), float, group)
    );
}

#[test]
fn quantisations() {
    let stored = |stated: Value| {
        let config = llama_with(&json!({"quantization_config": stated}));
        parse(&config).quantization.expect("a quantised checkpoint")
    };
    is_stored(
        &stored(json!({"quant_method": "awq", "bits": 4, "group_size": 128})),
        "awq",
        4,
        Some(false),
        Some(128),
    );
    is_stored(
        &stored(json!({"quant_method": "gptq", "bits": 8, "group_size": -1})),
        "gptq",
        8,
        Some(false),
        None,
    );
    is_stored(
        &stored(json!({"load_in_4bit": true, "bnb_4bit_quant_type": "nf4"})),
        "bitsandbytes",
        4,
        None,
        Some(64),
    );
    is_stored(
        &stored(json!({"quant_method": "bitsandbytes", "load_in_8bit": true})),
        "bitsandbytes",
        8,
        Some(false),
        None,
    );
    is_stored(
        &stored(json!({"quant_method": "fbgemm_fp8"})),
        "fbgemm_fp8",
        8,
        Some(true),
        None,
    );
    is_stored(
        &stored(json!({"quant_method": "fp8", "weight_block_size": [128, 128]})),
        "fp8",
        8,
        Some(true),
        Some(16_384),
    );
    let group = |weights: Value| json!({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}});
    is_stored(
        &stored(group(
            json!({"num_bits": 8, "type": "int", "strategy": "channel"}),
        )),
        "compressed-tensors",
        8,
        Some(false),
        None,
    );
    is_stored(
        &stored(group(
            json!({"num_bits": 4, "type": "float", "group_size": 16}),
        )),
        "compressed-tensors",
        4,
        Some(true),
        Some(16),
    );
    let mut with_cache = group(json!({"num_bits": 8, "type": "float"}));
    with_cache["kv_cache_scheme"] = json!({"num_bits": 8, "type": "float"});
    assert_eq!(stored(with_cache).kv_bits, Some(8));
    is_stored(
        &stored(json!({"quant_algo": "W4A16_AWQ", "group_size": 64})),
        "modelopt",
        4,
        Some(false),
        Some(64),
    );
    assert_eq!(
        stored(json!({"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"})).kv_bits,
        Some(8)
    );
    assert_eq!(
        parse(&llama_with(&json!({"quantization_config": {}}))).quantization,
        None
    );
}

#[test]
fn modules_that_are_left_as_they_were() {
    let kept = |names: Value| {
        let stated = json!({"quant_method": "fp8", "modules_to_not_convert": names});
        let config = parse(&llama_with(&json!({"quantization_config": stated})));
        config
            .quantization
            .expect("a quantised checkpoint")
            .attention_kept
    };
    assert!(kept(json!(["re:.*self_attn.*", "lm_head"])));
    assert!(kept(json!(["model.layers.*.self_attn"])));
    assert!(!kept(json!([
        "lm_head",
        "model.layers.0.self_attn.kv_a_layernorm",
        "vision_tower.self_attn.*"
    ])));
    // One layer's of 32 are few.
    assert!(!kept(json!(["model.layers.0.self_attn*"])));
    let all: Vec<String> = (0..32)
        .map(|layer| format!("model.layers.{layer}.self_attn*"))
        .collect();
    assert!(kept(json!(all)));
}

#[test]
fn stretched_positions() {
    let scaling = |stated: Value| parse(&llama_with(&stated)).rope_scaling;
    let yarn = RopeScaling {
        kind: "yarn".to_owned(),
        factor: Some(4.0),
        original_positions: Some(32_768),
    };
    let stated =
        json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768});
    assert_eq!(scaling(json!({"rope_scaling": stated})), Some(yarn.clone()));
    let nested = json!({"full_attention": stated, "sliding_attention": {"rope_type": "default"}});
    assert_eq!(scaling(json!({"rope_parameters": nested})), Some(yarn));
    assert_eq!(
        scaling(json!({"rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}})),
        None
    );
    assert_eq!(
        scaling(json!({"rope_scaling": null, "rope_parameters": {"rope_type": "default"}})),
        None
    );
    let error = fails(&llama_with(
        &json!({"rope_scaling": {"type": "linear", "factor": 0}}),
    ));
    assert_eq!(error, "rope_scaling: a factor of 0 stretches nothing");
}

#[test]
fn what_no_formula_covers_is_named() {
    let special = |fields: Value| parse(&llama_with(&fields)).special;
    assert_eq!(special(json!({"lru_width": 2560})), ["lru_width"]);
    assert_eq!(
        special(json!({"layer_types": vec!["hyena"; 32]})),
        ["layer_types"]
    );
    // A state, and no word of which layers keep it.
    assert_eq!(special(json!({"mamba_d_state": 16})), ["mamba_d_state"]);
    let apart = json!({"num_experts": [64, 32], "num_experts_per_tok": 6});
    assert_eq!(special(apart), ["num_experts"]);
    assert_eq!(
        special(
            json!({"num_kv_shared_layers": 0, "is_encoder_decoder": false, "kv_lora_rank": null})
        ),
        [""; 0]
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
    assert!(gpt2.tied_embeddings && gpt2.plain_feed_forward);
    let dbrx = parse(
        &json!({"model_type": "dbrx", "d_model": 6144, "n_heads": 48, "n_layers": 40, "max_seq_len": 32768,
        "vocab_size": 100_352, "attn_config": {"kv_n_heads": 8},
        "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4}}),
    );
    let experts = Experts {
        count: 16,
        per_token: 4,
        intermediate_size: 10752,
        layers: 40,
        ..Experts::default()
    };
    assert_eq!((dbrx.kv_heads, dbrx.experts), (8, Some(experts)));
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
fn a_pipeline_is_known_by_its_class() {
    let index = json!({"_class_name": "FluxPipeline", "_diffusers_version": "0.30.0", "transformer": ["diffusers", "FluxTransformer2DModel"]});
    let config = parse_model_index(&index).expect("a pipeline");
    assert_eq!(
        (config.architecture.as_str(), config.kind),
        ("FluxPipeline", ModelKind::Diffusion)
    );
    let own = json!({"_class_name": ["pipeline", "OwnPipeline"]});
    assert_eq!(
        parse_model_index(&own).expect("a pipeline").architecture,
        "OwnPipeline"
    );
    let error = parse_model_index(&json!({"_class_name": 3})).expect_err("no class");
    assert_eq!(error.to_string(), "_class_name: it is missing");
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
