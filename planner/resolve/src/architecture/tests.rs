//! Bytes of the cache and shares of the weights, on the architectures of known models.

use openmodel_schemas::model_card::Experts;

use super::*;
use crate::testing;

#[test]
fn parameters_by_formula_are_those_of_the_checkpoints() {
    let count = |card: &ModelCard| {
        let architecture = Architecture::of(card).expect("known");
        architecture.parameters().expect("complete").total()
    };
    // The Hub's own counts; the formula leaves out biases and the last norm.
    for (card, billions) in [
        (testing::llama_8b(), 8.030),
        (testing::llama_70b(), 70.554),
        (testing::gemma_9b(), 9.242),
        (testing::qwen_7b(), 7.616),
        (testing::qwen3_30b_moe(), 30.532),
    ] {
        #[expect(clippy::cast_precision_loss, reason = "compared to four digits")]
        let got = count(&card) as f64 / 1e9;
        assert!(
            (got - billions).abs() / billions < 0.001,
            "{}: {got} B",
            card.id
        );
    }
}

#[test]
fn latent_attention_and_dense_layers_add_up_to_deepseek_v3() {
    let mut card = testing::llama_8b();
    card.config = Some(ModelConfig {
        architecture: "DeepseekV3ForCausalLM".to_owned(),
        hidden_size: 7168,
        layers: 61,
        attention_heads: 128,
        kv_heads: 128,
        head_dim: 192,
        intermediate_size: 18_432,
        vocab_size: 129_280,
        latent: Some(LatentAttention {
            kv_rank: 512,
            q_rank: Some(1536),
            rope_dim: 64,
            nope_dim: 128,
            value_dim: 128,
        }),
        experts: Some(Experts {
            count: 256,
            per_token: 8,
            intermediate_size: 2048,
            shared: 1,
            dense_layers: 3,
            ..Experts::default()
        }),
        ..ModelConfig::default()
    });
    let architecture = Architecture::of(&card).expect("known");
    let total = architecture.parameters().expect("complete").total();
    // 671.03 billion, without the 14 billion of the prediction layer.
    assert!(total.abs_diff(671_026_000_000) < 200_000_000, "{total}");
    let active = architecture.active_parameters().expect("complete");
    assert!(active.abs_diff(37_000_000_000) < 1_000_000_000, "{active}");
}

#[test]
fn leading_dense_layers_of_a_mixture_are_dense() {
    let total = |card: &ModelCard| {
        let architecture = Architecture::of(card).expect("known");
        architecture.parameters().expect("complete").total()
    };
    let mut card = testing::qwen3_30b_moe();
    let all_experts = total(&card);
    let config = card.config.as_mut().expect("it has one");
    config.experts = config.experts.take().map(|experts| Experts {
        dense_layers: 1,
        ..experts
    });
    // One layer swaps 128 experts of 768 and their router for one of 6,144.
    assert_eq!(
        all_experts - total(&card),
        3 * 2048 * (128 * 768 - 6144) + 2048 * 128
    );
}

#[test]
fn what_is_beyond_the_formulas_is_said_with_its_field() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut ModelCard), field: &str) {
        let mut card = testing::llama_8b();
        change(&mut card);
        let fault = Architecture::of(&card).expect_err("beyond the formulas");
        assert_eq!(
            (fault.code, fault.field),
            ("unknown_architecture", Field::Model)
        );
        assert!(fault.detail.contains(field), "{}", fault.detail);
    }
    fn config(card: &mut ModelCard) -> &mut ModelConfig {
        card.config.as_mut().expect("it has one")
    }
    check(
        |card| card.config = None,
        "config.json: the repository has none",
    );
    check(
        |card| config(card).special = vec!["altup_num_inputs".to_owned()],
        "altup_num_inputs: this mechanism",
    );
    check(
        |card| config(card).kv_heads = 0,
        "num_key_value_heads: it is missing",
    );
    check(
        |card| config(card).kv_heads = 7,
        "7 does not divide num_attention_heads = 32",
    );
    check(|card| config(card).layers = 0, "num_hidden_layers");
    check(
        |card| config(card).vocab_size = u64::MAX,
        "vocab_size: 18446744073709551615 cannot be true",
    );
    check(
        |card| {
            config(card).layer_kinds = LayerKinds {
                full: 30,
                windowed: 30,
                ..LayerKinds::default()
            };
        },
        "less than the 60",
    );
    check(
        |card| {
            config(card).layer_kinds = LayerKinds {
                windowed: 32,
                ..LayerKinds::default()
            };
        },
        "sliding_window",
    );
}
