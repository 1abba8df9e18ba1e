//! Whatever stands in a `config.json` and in the flags of a load, the answer is a ranking or an
//! error that names a field: nothing panics, nothing overflows.

use std::path::Path;

use openmodel_cloud::parse_config;
use openmodel_resolve::market::Catalog;
use openmodel_resolve::ranking::{Question, rank};
use openmodel_resolve::{Field, check_facts};
use openmodel_schemas::model_card::{ModelCard, WeightBasis, WeightBytes};
use openmodel_schemas::quantity::{Bytes, Parameters, Tokens};
use openmodel_schemas::spec::{Goals, Workload};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};

const FIELDS: [&str; 14] = [
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "sliding_window",
    "num_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "num_nextn_predict_layers",
    "kv_lora_rank",
];

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (0_u32..40).prop_map(|bits| json!(1_u64 << bits)),
        2 => (1_u64..20_000).prop_map(|number| json!(number)),
        1 => (-5_i64..3).prop_map(|number| json!(number)),
        1 => Just(json!("4096")),
        1 => Just(json!(1.5)),
        1 => Just(Value::Null),
    ]
}

/// A number of any size, small ones as often as large ones.
fn number() -> impl Strategy<Value = u64> {
    (0_u32..64, any::<u64>()).prop_map(|(bits, number)| number >> bits)
}

fn load() -> impl Strategy<Value = Workload> {
    (
        number(),
        number(),
        number(),
        any::<u32>(),
        any::<Option<u32>>(),
        any::<Option<i64>>(),
        any::<bool>(),
    )
        .prop_map(
            |(context, input, output, concurrency, goal, rate, extend_context)| {
                // Half of the loads are near what is usual.
                let usual = concurrency % 2 == 0;
                Workload {
                    context_length: Tokens(if usual { 8192 } else { context }),
                    input_tokens: Tokens(if usual { input % 4096 } else { input }),
                    output_tokens: Tokens(if usual { output % 4096 } else { output }),
                    max_concurrency: concurrency,
                    starts_per_month: None,
                    requests_per_second: rate.filter(|_| !usual).map(|rate| Decimal::new(rate, 6)),
                    extend_context,
                    goals: Goals {
                        max_ttft_ms: goal.filter(|_| !usual),
                        max_tpot_ms: None,
                    },
                    adapters: None,
                    draft_tokens: None,
                    draft_model: None,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_input_is_ranked_or_refused_by_name(
        changes in proptest::collection::vec((0..FIELDS.len(), value()), 0..3),
        load in load(),
        facts in (proptest::option::of(number()), proptest::option::of(number())),
    ) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config.json");
        let text = std::fs::read(path).expect("the fixture");
        let mut config: Value = serde_json::from_slice(&text).expect("it is JSON");
        for (at, value) in &changes {
            config[FIELDS[*at]] = value.clone();
        }
        let config = match parse_config(&config) {
            Ok(config) => config,
            Err(error) => {
                // What is at fault is a field of the file, or one that it lacks now.
                prop_assert!(!changes.is_empty(), "{}", error);
                let named = FIELDS.contains(&error.field.as_str()) || error.detail.contains("missing");
                prop_assert!(named, "{}", error);
                return Ok(());
            }
        };
        let mut card = ModelCard::of_config("own/model".parse().expect("a name"), config);
        card.parameters = facts.0.map(Parameters);
        card.weights = facts.1.map(|bytes| WeightBytes {
            bytes: Bytes(bytes),
            basis: WeightBasis::SafetensorsIndex,
        });
        if let Err(error) = check_facts(&card) {
            prop_assert!(error.to_string().contains("stated"), "{}", error);
            (card.parameters, card.weights) = (None, None);
        }
        match rank(&card, &Question::of(load), Catalog::embedded(), 3) {
            Ok(ranking) => prop_assert!(ranking.chosen.is_some() || !ranking.rejected.is_empty()),
            Err(error) => {
                let named = matches!(
                    error.field,
                    Field::Model
                        | Field::ContextLength
                        | Field::InputTokens
                        | Field::OutputTokens
                        | Field::MaxConcurrency
                        | Field::RequestsPerSecond
                        | Field::MaxTtft
                );
                prop_assert!(named && !error.detail.is_empty(), "{:?}", error);
            }
        }
    }
}
