//! The choice is the best there is, nothing is lost, and no configuration makes it panic.

use std::collections::BTreeSet;

use openmodel_schemas::model_card::{
    Experts, LatentAttention, LayerKinds, ModelConfig, ModelKind, Recurrent,
};
use openmodel_schemas::quantity::{Parameters, Tokens, Usd, UsdPerHour};
use openmodel_schemas::report::RankedShape;
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::fit::fit;
use crate::market::Sale;
use crate::start::{Origin, Start};
use crate::survey::storage;
use crate::testing;

fn ranked(card: &ModelCard, question: &Question) -> Ranking {
    rank(card, question, testing::catalog(), usize::MAX).unwrap_or_else(|error| panic!("{error}"))
}

fn all(ranking: &Ranking) -> impl Iterator<Item = &RankedShape> {
    ranking.chosen.iter().chain(&ranking.runners_up)
}

/// The lowest expected month over every sale of the catalog, found one by one, in decimals; `price`
/// says what an hour of a sale counts.
fn brute_force(
    card: &ModelCard,
    question: &Question,
    price: impl Fn(&Sale) -> Option<UsdPerHour>,
) -> Option<Decimal> {
    let catalog = testing::catalog();
    let formats = if question.quantizations.is_empty() {
        vec![None]
    } else {
        question.quantizations.clone()
    };
    let need = Need::of(card, None, &question.workload, None, &formats, None).ok()?;
    let mut best: Option<Decimal> = None;
    for sale in catalog.sales() {
        let region = sale
            .region
            .is_some_and(|region| question.regions.contains(region));
        let option = question.options.contains(&sale.option);
        let Some(hourly) = price(&sale).filter(|_| region && option && sale.confirmed) else {
            continue;
        };
        if question.workload.max_concurrency > sale.offer.max_concurrency.unwrap_or(u32::MAX) {
            continue;
        }
        let Ok(fits) = fit(&need, sale.shape, sale.accelerator, Objective::Cost, false) else {
            continue;
        };
        for fit in fits {
            let files = need.files(fit.variant);
            let host = if sale.surface == Surface::CloudRun {
                fit.footprint.host
            } else {
                fit.footprint.host.saturating_sub(files)
            };
            let memory = openmodel_schemas::quantity::Bytes::gib(sale.shape.memory_gib.into());
            let held = host <= memory * u64::from(sale.shape.hosts)
                || sale.surface == Surface::HuggingFace;
            if !held {
                continue;
            }
            let stored = storage(catalog, files, sale.surface, sale.region).unwrap_or_default();
            let cluster = if sale.surface == Surface::Gke {
                Decimal::from(73)
            } else {
                Decimal::ZERO
            };
            let origin = if sale.surface == Surface::HuggingFace {
                Origin::Hub
            } else {
                Origin::Bucket
            };
            let starts = question.workload.starts_per_month.unwrap_or(0).into();
            let starting = Start::of(files, origin).cost(hourly, starts);
            let month = hourly.per_month().0 + starting.unwrap_or_default() + stored + cluster;
            best = Some(best.map_or(month, |best| best.min(month)));
        }
    }
    best
}

fn cards() -> impl Strategy<Value = ModelCard> {
    prop_oneof![
        Just(testing::llama_8b()),
        Just(testing::llama_70b()),
        Just(testing::gemma_9b()),
        Just(testing::qwen_7b()),
        Just(testing::qwen3_30b_moe()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_choice_is_the_cheapest_of_all_sales(
        card in cards(),
        context in 2048_u64..32_768,
        concurrency in 1_u32..64,
        fp8 in any::<bool>(),
        spot in any::<bool>(),
    ) {
        let mut question = Question::of(testing::load(context, concurrency));
        question.regions = vec!["us-central1".parse().expect("a region")];
        question.workload.extend_context = true;
        question.options = vec![if spot { PurchaseOption::Spot } else { PurchaseOption::OnDemand }];
        if fp8 {
            question.quantizations = vec![None, Some(Quantization::Fp8)];
        }
        let ranking = ranked(&card, &question);
        let best = ranking.chosen.as_ref().and_then(|best| best.cost.monthly_expected);
        prop_assert_eq!(best.map(|usd| usd.0), brute_force(&card, &question, |sale| sale.hourly));
        // In order, unpriced ones last, nothing twice.
        let months: Vec<Option<Usd>> = all(&ranking)
            .filter(|shape| shape.confirmed)
            .map(|shape| shape.cost.monthly_expected)
            .collect();
        let in_order = months.windows(2).all(|pair| match (pair[0], pair[1]) {
            (Some(a), Some(b)) => a <= b,
            (None, Some(_)) => false,
            _ => true,
        });
        prop_assert!(in_order);
        let names: BTreeSet<String> = all(&ranking)
            .map(|shape| format!("{:?} {} {:?} {} {}", shape.surface, shape.shape, shape.region, shape.purchase_option, shape.weights))
            .collect();
        prop_assert_eq!(names.len(), all(&ranking).count());
        // And twice the same.
        prop_assert_eq!(ranked(&card, &question), ranking);
    }

    #[test]
    fn with_a_users_terms_it_is_what_adds_least_to_the_bill(
        card in cards(),
        concurrency in 1_u32..64,
        starts in 0_u32..3000,
        percent in 1_u32..=100,
        accelerator in prop_oneof![Just("nvidia-l4"), Just("nvidia-h100-80gb"), Just("tpu-v6e")],
        paid in prop_oneof![Just("g2-standard-48"), Just("a3-highgpu-8g"), Just("a2-ultragpu-1g")],
        free in 0_u32..2,
    ) {
        let terms = serde_json::json!({
            "version": 1,
            "discounts": [{"name": "edp", "percent": percent.to_string(), "accelerators": [accelerator]}],
            "paid": [{
                "name": "prod", "kind": "reservation", "shape": paid, "region": "us-central1", "free": free,
            }],
        });
        let catalog = testing::catalog().clone().with_discounts(terms.to_string().as_bytes());
        let catalog = catalog.expect("the terms are sound");
        let mut question = Question::of(testing::load(4096, concurrency));
        question.regions = vec!["us-central1".parse().expect("a region")];
        question.options = vec![PurchaseOption::OnDemand];
        question.workload.starts_per_month = Some(starts);
        let ranking = rank(&card, &question, &catalog, usize::MAX).expect("it can be asked");
        let best = ranking.chosen.and_then(|best| best.cost.marginal?.monthly_expected);
        let expect = brute_force(&card, &question, |sale| {
            let machines = [Surface::Compute, Surface::Gke].contains(&sale.surface);
            let kept = if machines && sale.shape.name == paid && free > 0 {
                0
            } else if sale.accelerator.name == accelerator {
                100 - percent
            } else {
                100
            };
            sale.hourly.map(|hourly| UsdPerHour(hourly.0 * Decimal::new(kept.into(), 2)))
        });
        // Starts are rounded to a millionth of a dollar, once from the sum and once from the parts.
        let apart = best.zip(expect).map(|(best, expect)| (best.0 - expect).abs());
        prop_assert!(apart.is_none_or(|apart| apart <= Decimal::new(1, 5)), "{best:?} {expect:?}");
        prop_assert_eq!(best.is_some(), expect.is_some());
    }

    #[test]
    fn no_configuration_makes_it_panic(
        card in mutated(),
        context in 1_u64..2_000_000,
        concurrency in 0_u32..2000,
        fp8 in any::<bool>(),
    ) {
        let mut question = Question::of(testing::load(context, concurrency));
        question.workload.input_tokens = Tokens(1);
        question.workload.output_tokens = Tokens(1);
        question.workload.extend_context = fp8;
        if fp8 {
            question.quantizations = vec![Some(Quantization::Fp8), Some(Quantization::Awq)];
        }
        match rank(&card, &question, testing::catalog(), 3) {
            Ok(ranking) => {
                for shape in all(&ranking) {
                    let m = &shape.memory;
                    prop_assert!(m.weights + m.kv_cache <= m.usable, "{shape:?}");
                    prop_assert!(shape.cost.hourly.is_none_or(|usd| usd.0 > Decimal::ZERO));
                    if let Some(pace) = &shape.performance {
                        prop_assert!(pace.tpot_ms.low <= pace.tpot_ms.high);
                        prop_assert!(pace.tpot_ms.estimate.is_finite());
                    }
                }
            }
            Err(error) => prop_assert!(error.detail.ends_with('.'), "{}", error.detail),
        }
    }
}

/// A card with numbers bent, kinds of layers and mechanisms added at random.
fn mutated() -> impl Strategy<Value = ModelCard> {
    let number =
        || prop_oneof![6 => 1..200_000_u64, 1 => Just(0), 1 => Just(u64::MAX), 1 => Just(1 << 31)];
    (
        cards(),
        proptest::collection::vec((0..16_usize, number()), 0..5),
        0..6_usize,
        any::<bool>(),
    )
        .prop_map(|(mut card, changes, mechanism, files)| {
            let mut config = card.config.take().unwrap_or_default();
            for (which, number) in changes {
                bend(&mut config, which, number);
                if which == 15 {
                    card.parameters = Some(Parameters(number));
                }
            }
            add(&mut config, mechanism);
            if files {
                card.weights = None;
            }
            card.config = Some(config);
            card
        })
}

fn bend(config: &mut ModelConfig, which: usize, number: u64) {
    match which {
        0 => config.hidden_size = number,
        1 => config.layers = number,
        2 => config.attention_heads = number,
        3 => config.kv_heads = number,
        4 => config.head_dim = number,
        5 => config.intermediate_size = number,
        6 => config.vocab_size = number,
        7 => config.max_positions = Some(number),
        8 => config.window = Some(number),
        9 => config.layer_kinds.windowed = number,
        10 => config.layer_kinds.full = number,
        11 => config.global_head_dim = Some(number),
        12 => config.mtp_layers = number,
        13 => {
            if let Some(experts) = &mut config.experts {
                experts.count = number;
            }
        }
        14 => {
            if let Some(experts) = &mut config.experts {
                experts.per_token = number;
            }
        }
        _ => {}
    }
}

fn add(config: &mut ModelConfig, mechanism: usize) {
    match mechanism {
        1 => {
            config.latent = Some(LatentAttention {
                kv_rank: 512,
                q_rank: None,
                rope_dim: 64,
                nope_dim: 128,
                value_dim: 128,
            });
        }
        2 => {
            config.layer_kinds = LayerKinds {
                full: config.layers / 4,
                recurrent: config.layers - config.layers / 4,
                ..LayerKinds::default()
            };
            config.recurrent = Some(Recurrent::DeltaNet {
                key_heads: 16,
                value_heads: 32,
                key_dim: 128,
                value_dim: 128,
                conv: 4,
                state_bytes: 4,
            });
        }
        3 => config.kind = ModelKind::Encoder,
        4 => config.kind = ModelKind::Diffusion,
        5 => {
            config.experts = Some(Experts {
                count: 64,
                per_token: 4,
                intermediate_size: 1024,
                layers: config.layers,
                ..Experts::default()
            });
        }
        _ => {}
    }
}

#[test]
fn goals_rule_out_what_is_too_slow_and_latency_prefers_the_fastest() {
    let card = testing::llama_70b();
    let mut question = Question::of(testing::load(8192, 16));
    question.regions = vec!["us-central1".parse().expect("a region")];
    question.objective = Objective::Latency;
    let fast = ranked(&card, &question);
    let tpot = |shape: &RankedShape| {
        let pace = shape.performance.as_ref().expect("a decoder has a speed");
        pace.tpot_ms.estimate
    };
    let best = tpot(fast.chosen.as_ref().expect("something holds it"));
    assert!(
        all(&fast)
            .filter(|shape| shape.confirmed && shape.cost.hourly.is_some())
            .filter(|shape| shape.purchase_option == "on_demand")
            .all(|shape| tpot(shape) >= best)
    );
    question.objective = Objective::Cost;
    question.workload.goals.max_tpot_ms = Some(30);
    let ranking = ranked(&card, &question);
    assert!(all(&ranking).all(|shape| tpot(shape) <= 30.0));
    assert!(
        ranking
            .rejected
            .iter()
            .any(|rejected| rejected.code == "misses_goal")
    );
}

#[test]
fn replicas_follow_from_the_requested_load() {
    let card = testing::llama_8b();
    let mut question = Question::of(testing::load(8192, 16));
    question.regions = vec!["us-central1".parse().expect("a region")];
    question.workload.requests_per_second = Some(Decimal::from(20));
    let ranking = ranked(&card, &question);
    let best = ranking.chosen.expect("something holds it");
    let one = best
        .performance
        .expect("it has a speed")
        .requests_per_second
        .estimate;
    let needed = (20.0 / one).ceil();
    assert!(
        (f64::from(best.replicas) - needed).abs() < 0.5,
        "{} {needed}",
        best.replicas
    );
    let scaling = Scaling {
        min_replicas: 0,
        max_replicas: 1,
    };
    question.scaling = Some(scaling);
    let bounded = ranked(&card, &question);
    assert!(
        bounded
            .rejected
            .iter()
            .any(|rejected| rejected.code == "too_many_replicas")
    );
}

#[test]
fn licences_that_are_not_allowed_are_refused() {
    let mut question = Question::of(testing::load(8192, 16));
    question.licences = vec!["mit".to_owned()];
    let error = rank(&testing::llama_8b(), &question, testing::catalog(), 3)
        .expect_err("apache-2.0 is not mit");
    assert_eq!((error.field, error.code), (Field::Licence, "licence"));
}
