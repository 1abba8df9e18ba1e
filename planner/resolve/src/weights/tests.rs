//! Weights of known models in each format.

use openmodel_schemas::model_card::{
    Experts, ModelConfig, RopeScaling, StoredQuantization, WeightBytes,
};
use openmodel_schemas::quantity::Parameters;

use super::*;
use crate::testing;

#[track_caller]
fn of(card: &ModelCard, quantization: Option<Quantization>) -> Weights {
    let architecture = Architecture::of(card).expect("known");
    Weights::of(card, architecture, quantization).expect("known")
}

fn per_device(card: &ModelCard, quantization: Option<Quantization>, spread: Parallelism) -> f64 {
    let architecture = Architecture::of(card).expect("known");
    let gib = of(card, quantization)
        .per_device(architecture, spread)
        .as_gib();
    (gib * 100.0).round() / 100.0
}

/// Start-up logs of vLLM 0.19 on H100 (llm-d-planner PR#205), in GiB on each device.
#[test]
#[expect(clippy::float_cmp, reason = "rounded to the digits of the logs")]
fn weights_are_those_of_the_logs() {
    let llama = testing::llama_8b();
    let one = Parallelism::ONE;
    assert_eq!(per_device(&llama, None, one), 14.99);
    assert_eq!(per_device(&llama, Some(Quantization::Fp8), one), 8.49);
    assert_eq!(per_device(&llama, None, Parallelism::tensor(2)), 7.51);
    assert_eq!(per_device(&llama, None, Parallelism::tensor(4)), 3.77);
    let stages = |pipeline| Parallelism {
        pipeline,
        ..Parallelism::ONE
    };
    assert_eq!(per_device(&llama, None, stages(2)), 7.51);
    assert_eq!(per_device(&llama, None, stages(4)), 4.26);
    assert_eq!(per_device(&testing::gemma_9b(), None, one), 17.22);
    assert_eq!(per_device(&testing::qwen3_30b_moe(), None, one), 56.88);
}

#[test]
fn checkpoints_in_32_bits_are_loaded_in_16() {
    let mut card = testing::llama_8b();
    card.parameters_by_dtype = [("F32".to_owned(), 8_030_261_248)].into();
    card.weights = Some(WeightBytes {
        bytes: Bytes(8_030_261_248 * 4),
        basis: WeightBasis::SafetensorsIndex,
    });
    card.config.as_mut().expect("it has one").dtype = Some("float32".to_owned());
    let weights = of(&card, None);
    assert_eq!(weights.files.to_string(), "29.92 GiB");
    assert_eq!(weights.loaded().to_string(), "14.96 GiB");
}

#[test]
fn a_quantised_checkpoint_stays_as_stored_and_cannot_be_quantised_otherwise() {
    let stored = |method: &str, bits| StoredQuantization {
        method: method.to_owned(),
        bits: Some(bits),
        ..StoredQuantization::default()
    };
    let mut card = testing::llama_8b();
    card.weights = Some(WeightBytes {
        bytes: Bytes::from_gib(5.3),
        basis: WeightBasis::SafetensorsIndex,
    });
    let config = |card: &mut ModelCard, stored| {
        card.config.as_mut().expect("it has one").quantization = Some(stored);
    };
    config(&mut card, stored("awq", 4));
    assert_eq!(of(&card, None).loaded().to_string(), "5.30 GiB");
    let architecture = Architecture::of(&card).expect("known");
    let fault =
        Weights::of(&card, architecture, Some(Quantization::Fp8)).expect_err("twice quantised");
    assert_eq!(
        (fault.field, fault.code),
        (Field::Quantization, "already_quantized")
    );
    config(&mut card, stored("fp8", 8));
    assert_eq!(
        of(&card, Some(Quantization::Fp8)).loaded().to_string(),
        "5.30 GiB"
    );
    config(&mut card, stored("mystery", 3));
    let architecture = Architecture::of(&card).expect("known");
    let fault = Weights::of(&card, architecture, None).expect_err("unknown");
    assert_eq!(fault.code, "unknown_quantization");
}

#[test]
fn without_an_index_the_parameters_count_and_then_the_formula() {
    let mut card = testing::llama_8b();
    card.weights = None;
    card.parameters = Some(Parameters(8_030_261_248));
    let counted = of(&card, None);
    assert_eq!(
        (counted.basis, counted.files),
        ("parameter count", Bytes(16_060_522_496))
    );
    card.parameters = None;
    let computed = of(&card, None);
    assert_eq!(
        (computed.basis, computed.files.to_string()),
        ("parameter formula", "14.96 GiB".to_owned())
    );
}

#[test]
fn stretched_positions_take_memory() {
    // gemma-3-4b: 131,072 positions stretched by eight, head dimension 256: half a GiB.
    let mut card = testing::gemma_9b();
    let config = card.config.as_mut().expect("it has one");
    config.max_positions = Some(131_072);
    let plain = per_device(&card, None, Parallelism::ONE);
    card.config.as_mut().expect("it has one").rope_scaling = Some(RopeScaling {
        kind: "linear".to_owned(),
        factor: Some(8.0),
        original_positions: None,
    });
    let stretched = per_device(&card, None, Parallelism::ONE);
    assert!(
        (stretched - plain - 0.5).abs() < 0.02,
        "{plain} {stretched}"
    );
}

#[test]
fn whole_experts_are_spread_over_all_ranks() {
    let card = testing::qwen3_30b_moe();
    let ranks = |data, expert| {
        per_device(
            &card,
            None,
            Parallelism {
                tensor: 2,
                pipeline: 1,
                data,
                expert,
            },
        )
    };
    assert!(ranks(4, true) < ranks(4, false) / 2.0);
}

#[test]
fn an_incomplete_configuration_still_has_the_bytes_of_its_files() {
    let mut card = testing::llama_8b();
    let config = card.config.as_mut().expect("it has one");
    *config = ModelConfig {
        vocab_size: 0,
        intermediate_size: 0,
        ..config.clone()
    };
    assert_eq!(of(&card, None).loaded().to_string(), "14.96 GiB");
    card.config.as_mut().expect("it has one").experts = Some(Experts::default());
    assert_eq!(of(&card, None).loaded().to_string(), "14.96 GiB");
}

#[test]
fn a_card_lists_its_weights_by_dtype() {
    let shown: Vec<String> = weights_by_dtype(&testing::gemma_9b())
        .iter()
        .map(|weights| format!("{} {}", weights.dtype, weights.bytes))
        .collect();
    assert_eq!(
        shown,
        ["stored 17.21 GiB", "bfloat16 17.21 GiB", "fp8 9.46 GiB"]
    );
}

/// Layers that predict further tokens are added once: to files that do not hold them.
#[test]
fn prediction_layers_are_not_counted_twice() {
    let mut card = testing::llama_8b();
    card.config.as_mut().expect("it has one").mtp_layers = 1;
    // A layer of Llama-3.1-8B and the projection of two hidden states, in 16 bits.
    let layer: u64 = 2 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14_336 + 2 * 4096)
        + 2 * 2 * 4096 * 4096;
    let one = Parallelism::ONE;
    assert_eq!(of(&card, None).prediction(one), Bytes(layer));
    if let Some(weights) = &mut card.weights {
        weights.bytes = weights.bytes + Bytes(layer);
    }
    assert_eq!(of(&card, None).prediction(one), Bytes(0));
    assert_eq!(of(&testing::llama_8b(), None).prediction(one), Bytes(0));
}
