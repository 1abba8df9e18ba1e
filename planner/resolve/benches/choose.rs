//! What a recommendation costs: time and allocations over the whole embedded catalog, on one core.
//!
//! `cargo bench -p openmodel-resolve --bench choose` prints medians beside the goals.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures and prints"
)]

use std::alloc::System;
use std::hint::black_box;
use std::time::{Duration, Instant};

use openmodel_resolve::Catalog;
use openmodel_resolve::pool::{Place, pool};
use openmodel_resolve::ranking::{Question, rank};
use openmodel_schemas::catalog::{EMBEDDED_CATALOG, PurchaseOption};
use openmodel_schemas::model_card::{
    Experts, LatentAttention, ModelCard, ModelConfig, StoredQuantization,
};
use openmodel_schemas::quantity::{Parameters, Tokens};
use openmodel_schemas::spec::{Goals, Quantization, Surface, Workload};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RUNS: usize = 51;

fn main() {
    println!("{:<46}{:>12}{:>14}   goal", "", "median", "allocated");
    let (time, bytes) = measure(|| {
        black_box(Catalog::parse(EMBEDDED_CATALOG.as_bytes()).is_ok());
    });
    row("catalog: read, schema, guards", time, bytes, "5 ms");
    let catalog = Catalog::embedded();
    for (name, card, quantizations) in cards() {
        let mut question = Question::of(load());
        question.options = PurchaseOption::ALL.to_vec();
        question.quantizations = quantizations;
        let ranking = rank(&card, &question, catalog, 10).expect("it can be ranked");
        let (time, bytes) = measure(|| {
            black_box(rank(&card, &question, catalog, 10).is_ok());
        });
        let formats = question.quantizations.len();
        let what = format!("rank: {name}, {formats} formats, every offer");
        row(&what, time, bytes, "2 ms, 5 MB");
        assert!(ranking.chosen.is_some(), "{name} is held somewhere");
    }
    let models: Vec<ModelCard> = (0..20)
        .map(|index| {
            let [(_, mut small, _), (_, mut large, _), _] = cards();
            let id = format!("acme/model-{index}").parse().expect("an id");
            if index % 4 == 3 {
                large.id = id;
                large
            } else {
                small.id = id;
                small
            }
        })
        .collect();
    let asked: Vec<_> = models
        .iter()
        .map(|card| (card, Question::of(load()), 1))
        .collect();
    let place = Place {
        surface: Surface::Gke,
        region: "us-central1".parse().expect("a region"),
        option: PurchaseOption::OnDemand,
    };
    let (time, bytes) = measure(|| {
        black_box(pool(&asked, &place, catalog).is_ok());
    });
    row("pool: 20 models, one replica each", time, bytes, "1 s");
    let report = pool(&asked, &place, catalog).expect("they can be placed");
    assert!(report.optimal, "the pool is the cheapest");
}

fn row(what: &str, time: Duration, bytes: usize, goal: &str) {
    let ms = time.as_secs_f64() * 1e3;
    let mb = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1e6;
    println!("{what:<46}{ms:>9.3} ms{mb:>11.2} MB   {goal}");
}

/// Median time of a call, and the bytes that one allocates.
fn measure(mut call: impl FnMut()) -> (Duration, usize) {
    call();
    let region = Region::new(GLOBAL);
    call();
    let bytes = region.change().bytes_allocated;
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed()
        })
        .collect();
    times.sort();
    (times[RUNS / 2], bytes)
}

fn load() -> Workload {
    Workload {
        context_length: Tokens(8192),
        max_concurrency: 16,
        input_tokens: Tokens(1024),
        output_tokens: Tokens(256),
        requests_per_second: None,
        starts_per_month: None,
        extend_context: false,
        adapters: None,
        draft_tokens: None,
        draft_model: None,
        goals: Goals::default(),
    }
}

fn cards() -> [(&'static str, ModelCard, Vec<Option<Quantization>>); 3] {
    let plain = |hidden_size, layers, heads, kv_heads, intermediate_size| ModelConfig {
        architecture: "LlamaForCausalLM".to_owned(),
        hidden_size,
        layers,
        attention_heads: heads,
        kv_heads,
        head_dim: 128,
        intermediate_size,
        vocab_size: 128_256,
        max_positions: Some(131_072),
        dtype: Some("bfloat16".to_owned()),
        ..ModelConfig::default()
    };
    let deepseek = ModelConfig {
        architecture: "DeepseekV3ForCausalLM".to_owned(),
        head_dim: 192,
        vocab_size: 129_280,
        max_positions: Some(163_840),
        quantization: Some(StoredQuantization {
            method: "fp8".to_owned(),
            bits: Some(8),
            ..StoredQuantization::default()
        }),
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
        ..plain(7168, 61, 128, 128, 18_432)
    };
    let formats = vec![
        None,
        Some(Quantization::Fp8),
        Some(Quantization::Awq),
        Some(Quantization::Nvfp4),
    ];
    [
        (
            "Llama-3.1-8B",
            card(8_030_261_248, plain(4096, 32, 32, 8, 14_336)),
            formats.clone(),
        ),
        (
            "Llama-3.3-70B",
            card(70_553_706_496, plain(8192, 80, 64, 8, 28_672)),
            formats,
        ),
        ("DeepSeek-R1", card(671_026_419_200, deepseek), vec![None]),
    ]
}

fn card(parameters: u64, config: ModelConfig) -> ModelCard {
    ModelCard {
        parameters: Some(Parameters(parameters)),
        ..ModelCard::of_config("acme/model".parse().expect("an id"), config)
    }
}
