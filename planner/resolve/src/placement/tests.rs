//! What a user sees for real models, and what holds for any.

use std::fmt::Write as _;

use openmodel_schemas::model_card::ModelConfig;
use openmodel_schemas::quantity::{Bytes, Parameters, Tokens};
use openmodel_schemas::report::Shape;
use openmodel_schemas::spec::{Quantization, Workload};
use proptest::prelude::*;

use super::*;
use crate::testing;

fn show(shape: &Shape) -> String {
    let Shape {
        accelerator,
        accelerator_count,
        cpu,
        memory,
    } = shape;
    format!(
        "{accelerator} x{accelerator_count}, {cpu} vCPU, {} GiB",
        memory.as_gib()
    )
}

/// A placement as a text picture.
fn show_placement(placement: &Placement) -> String {
    let Placement {
        shape,
        memory: m,
        cost,
        recommendation: r,
        serving,
        ..
    } = placement;
    let month = |usd: Option<Usd>| usd.map_or("unknown".to_owned(), |usd| usd.to_string());
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").expect("a string takes it");
    line(format!("shape    {}", show(shape)));
    line(format!(
        "cost     {}, a month {} to {}",
        price(cost.hourly),
        month(cost.monthly_min),
        month(cost.monthly_max)
    ));
    line(format!(
        "memory   {} = weights {} + kv {} + activations {} + overhead {} + headroom {}; room for {}",
        m.usable, m.weights, m.kv_cache, m.activations, m.overhead, m.headroom, m.kv_capacity
    ));
    line(format!("basis    {}", m.basis));
    line(format!("chosen   {}", r.chosen));
    line(format!("reason   {}", r.reason));
    for (word, candidates) in [("else", &r.runners_up), ("not", &r.rejected)] {
        for candidate in candidates {
            let Candidate {
                shape,
                hourly,
                code,
                reason,
            } = candidate;
            line(format!(
                "{word:<8} {shape} ({}) {code}: {reason}",
                price(*hourly)
            ));
        }
    }
    line(format!(
        "serves   {} {}",
        serving.image,
        serving.args[8..].join(" ")
    ));
    text
}

fn placed(card: &ModelCard, spec: &EndpointSpec) -> Placement {
    place(spec, card, None, testing::catalog()).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(card: &ModelCard, spec: &EndpointSpec) -> ResolveError {
    place(spec, card, None, testing::catalog()).expect_err("it should be refused")
}

#[test]
fn llama_8b_runs_on_an_l4() {
    let card = testing::llama_8b();
    insta::assert_snapshot!(show_placement(&placed(&card, &testing::spec(&card, 8192, 16))), @"
    shape    nvidia-l4 x1, 6 vCPU, 24 GiB
    cost     $1.2337/h, a month $0.00 to $900.62
    memory   22.03 GiB = weights 14.99 GiB + kv 1.50 GiB + activations 0.32 GiB + overhead 0.52 GiB + headroom 4.70 GiB; room for 36352 tokens
    basis    vllm 0.27.1 at 92 % of usable memory; weights by safetensors index; KV cache exact; activations and graphs fitted on start-up logs of 2026-08
    chosen   nvidia-l4 x1, 6 vCPU, 24 GiB
    reason   It is the cheapest of 2 shapes with a known price that hold the load. us-central1 offers nvidia-l4 by invitation. Zonal redundancy is off: it costs $0.3751/h more and has a quota of its own.
    else     nvidia-l4 x1, 8 vCPU, 32 GiB ($1.4209/h) costs_more: costs $0.1872/h more
    else     nvidia-rtx-pro-6000 x1, 20 vCPU, 80 GiB (price not known) unpriced: its price in us-central1 is not known
    not      nvidia-l4 x1, 4 vCPU, 16 GiB ($1.0465/h) host_memory: needs 19.96 GiB of host memory (14.96 GiB of weight files lie in it), has 16.00 GiB
    serves   vllm/vllm-openai:v0.27.1-cu129 --max-model-len 8192 --max-num-seqs 16 --max-num-batched-tokens 2048 --gpu-memory-utilization 0.92
    ");
}

#[test]
fn gemma_9b_runs_on_an_l4_under_a_lighter_load() {
    let card = testing::gemma_9b();
    insta::assert_snapshot!(show_placement(&placed(&card, &testing::spec(&card, 4096, 8))), @"
    shape    nvidia-l4 x1, 6 vCPU, 24 GiB
    cost     $1.2337/h, a month $0.00 to $900.62
    memory   22.03 GiB = weights 17.22 GiB + kv 1.99 GiB + activations 0.31 GiB + overhead 0.54 GiB + headroom 1.97 GiB; room for 6832 tokens
    basis    vllm 0.27.1 at 92 % of usable memory; weights by safetensors index; KV cache as the engine allocates it for windowed layers; activations and graphs fitted on start-up logs of 2026-08
    chosen   nvidia-l4 x1, 6 vCPU, 24 GiB
    reason   It is the cheapest of 2 shapes with a known price that hold the load. us-central1 offers nvidia-l4 by invitation. Zonal redundancy is off: it costs $0.3751/h more and has a quota of its own.
    else     nvidia-l4 x1, 8 vCPU, 32 GiB ($1.4209/h) costs_more: costs $0.1872/h more
    else     nvidia-rtx-pro-6000 x1, 20 vCPU, 80 GiB (price not known) unpriced: its price in us-central1 is not known
    not      nvidia-l4 x1, 4 vCPU, 16 GiB ($1.0465/h) host_memory: needs 22.21 GiB of host memory (17.21 GiB of weight files lie in it), has 16.00 GiB
    serves   vllm/vllm-openai:v0.27.1-cu129 --max-model-len 4096 --max-num-seqs 8 --max-num-batched-tokens 2048 --gpu-memory-utilization 0.92
    ");
}

#[test]
fn qwen_7b_runs_on_an_l4() {
    let card = testing::qwen_7b();
    insta::assert_snapshot!(show_placement(&placed(&card, &testing::spec(&card, 8192, 16))), @"
    shape    nvidia-l4 x1, 6 vCPU, 24 GiB
    cost     $1.2337/h, a month $0.00 to $900.62
    memory   22.03 GiB = weights 14.19 GiB + kv 0.66 GiB + activations 0.37 GiB + overhead 0.52 GiB + headroom 6.30 GiB; room for 97168 tokens
    basis    vllm 0.27.1 at 92 % of usable memory; weights by safetensors index; KV cache exact; activations and graphs fitted on start-up logs of 2026-08
    chosen   nvidia-l4 x1, 6 vCPU, 24 GiB
    reason   It is the cheapest of 2 shapes with a known price that hold the load. us-central1 offers nvidia-l4 by invitation. Zonal redundancy is off: it costs $0.3751/h more and has a quota of its own.
    else     nvidia-l4 x1, 8 vCPU, 32 GiB ($1.4209/h) costs_more: costs $0.1872/h more
    else     nvidia-rtx-pro-6000 x1, 20 vCPU, 80 GiB (price not known) unpriced: its price in us-central1 is not known
    not      nvidia-l4 x1, 4 vCPU, 16 GiB ($1.0465/h) host_memory: needs 19.19 GiB of host memory (14.19 GiB of weight files lie in it), has 16.00 GiB
    serves   vllm/vllm-openai:v0.27.1-cu129 --max-model-len 8192 --max-num-seqs 16 --max-num-batched-tokens 2048 --gpu-memory-utilization 0.92
    ");
}

#[test]
fn an_unpriced_gpu_is_taken_where_nothing_priced_holds_the_load() {
    let card = testing::qwen3_30b_moe();
    insta::assert_snapshot!(show_placement(&placed(&card, &testing::spec(&card, 8192, 16))), @"
    shape    nvidia-rtx-pro-6000 x1, 20 vCPU, 80 GiB
    cost     price not known, a month $0.00 to unknown
    memory   94.97 GiB = weights 56.88 GiB + kv 1.12 GiB + activations 0.62 GiB + overhead 0.66 GiB + headroom 35.69 GiB; room for 319088 tokens
    basis    vllm 0.27.1 at 92 % of usable memory; weights by safetensors index; KV cache exact; activations and graphs fitted on start-up logs of 2026-08
    chosen   nvidia-rtx-pro-6000 x1, 20 vCPU, 80 GiB
    reason   It is the only shape that holds the load; its price in us-central1 is not known. Zonal redundancy is off: it costs more and has a quota of its own.
    not      nvidia-l4 x1 (price not known) too_small: needs 58.91 GiB, the engine has 20.27 GiB of its 22.03 GiB
    serves   vllm/vllm-openai:v0.27.1 --max-model-len 8192 --max-num-seqs 16 --max-num-batched-tokens 8192 --gpu-memory-utilization 0.92
    ");
}

#[test]
fn a_region_without_known_prices_gets_the_smallest_shape() {
    let card = testing::llama_8b();
    let spec = EndpointSpec {
        region: "europe-west4".parse().expect("a region"),
        ..testing::spec(&card, 8192, 8)
    };
    insta::assert_snapshot!(show_placement(&placed(&card, &spec)), @"
    shape    nvidia-l4 x1, 6 vCPU, 24 GiB
    cost     price not known, a month $0.00 to unknown
    memory   22.03 GiB = weights 14.99 GiB + kv 1.00 GiB + activations 0.32 GiB + overhead 0.52 GiB + headroom 5.20 GiB; room for 36352 tokens
    basis    vllm 0.27.1 at 92 % of usable memory; weights by safetensors index; KV cache exact; activations and graphs fitted on start-up logs of 2026-08
    chosen   nvidia-l4 x1, 6 vCPU, 24 GiB
    reason   It is the smallest of 3 shapes that hold the load; no price in europe-west4 is known. Zonal redundancy is off: it costs more and has a quota of its own.
    else     nvidia-l4 x1, 8 vCPU, 32 GiB (price not known) larger: is larger; no price in europe-west4 is known
    else     nvidia-rtx-pro-6000 x1, 20 vCPU, 80 GiB (price not known) larger: is larger; no price in europe-west4 is known
    not      nvidia-l4 x1, 4 vCPU, 16 GiB (price not known) host_memory: needs 19.96 GiB of host memory (14.96 GiB of weight files lie in it), has 16.00 GiB
    serves   vllm/vllm-openai:v0.27.1-cu129 --max-model-len 8192 --max-num-seqs 8 --max-num-batched-tokens 2048 --gpu-memory-utilization 0.92
    ");
}

#[test]
fn a_shape_of_the_users_wins_and_stands_beside_the_recommendation() {
    let card = testing::llama_8b();
    let mut spec = testing::spec(&card, 8192, 8);
    spec.shape.memory = Some(Bytes::gib(30));
    insta::assert_snapshot!(show_placement(&placed(&card, &spec)), @"
    shape    nvidia-l4 x1, 8 vCPU, 30 GiB
    cost     $1.4065/h, a month $0.00 to $1026.76
    memory   22.03 GiB = weights 14.99 GiB + kv 1.00 GiB + activations 0.32 GiB + overhead 0.52 GiB + headroom 5.20 GiB; room for 36352 tokens
    basis    vllm 0.27.1 at 92 % of usable memory; weights by safetensors index; KV cache exact; activations and graphs fitted on start-up logs of 2026-08
    chosen   nvidia-l4 x1, 6 vCPU, 24 GiB
    reason   The shape is set in the configuration: nvidia-l4 x1, 8 vCPU, 30 GiB at $1.4065/h; recommended is nvidia-l4 x1, 6 vCPU, 24 GiB at $1.2337/h. It is the cheapest of 2 shapes with a known price that hold the load. us-central1 offers nvidia-l4 by invitation. Zonal redundancy is off: it costs $0.3751/h more and has a quota of its own.
    else     nvidia-l4 x1, 8 vCPU, 32 GiB ($1.4209/h) costs_more: costs $0.1872/h more
    else     nvidia-rtx-pro-6000 x1, 20 vCPU, 80 GiB (price not known) unpriced: its price in us-central1 is not known
    not      nvidia-l4 x1, 4 vCPU, 16 GiB ($1.0465/h) host_memory: needs 19.96 GiB of host memory (14.96 GiB of weight files lie in it), has 16.00 GiB
    serves   vllm/vllm-openai:v0.27.1-cu129 --max-model-len 8192 --max-num-seqs 8 --max-num-batched-tokens 2048 --gpu-memory-utilization 0.92
    ");
}

#[test]
fn a_70b_model_is_refused_with_sizes_and_what_would_help() {
    let card = testing::llama_70b();
    insta::assert_snapshot!(refused(&card, &testing::spec(&card, 8192, 8)), @r#"chat: No shape holds the model and its load: No cloud_run shape in us-central1 holds meta-llama/Llama-3.3-70B-Instruct with context_length = 8192 and max_concurrency = 8. nvidia-l4 x1: needs 135.09 GiB, the engine has 20.27 GiB of its 22.03 GiB; nvidia-rtx-pro-6000 x1: needs 136.36 GiB, the engine has 87.37 GiB of its 94.97 GiB. The need is weights 131.45 GiB, KV cache 2.50 GiB, activations 1.79 GiB, overhead 0.62 GiB. A repository of this model stored as fp8 has about 67.68 GiB of weights, needs 72.63 GiB and fits nvidia-rtx-pro-6000 x1, 20 vCPU, 80 GiB (price not known); quantization = "fp8" alone does not help, because 131.42 GiB of files lie in host memory while loading."#);
}

#[test]
fn refusals_name_the_input_and_the_next_move() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut EndpointSpec), field: Field, code: &str) -> String {
        let card = testing::llama_8b();
        let mut spec = testing::spec(&card, 8192, 8);
        change(&mut spec);
        let error = refused(&card, &spec);
        assert_eq!((error.field, error.code), (field, code), "{error}");
        error.detail
    }
    #[track_caller]
    fn load(change: impl FnOnce(&mut Workload), field: Field) -> String {
        check(|spec| change(&mut spec.workload), field, "invalid_load")
    }
    let gib = |count| Some(Bytes::gib(count));
    let text = |text: &str| Some(text.to_owned());
    let dollars = |cents| Some(Decimal::new(cents, 2));
    let all = [
        check(
            |s| s.workload.context_length = Tokens(200_000),
            Field::ContextLength,
            "context_too_long",
        ),
        check(
            |s| {
                s.workload.context_length = Tokens(131_072);
                s.region = "us-east4".parse().expect("a region");
            },
            Field::ContextLength,
            "too_small",
        ),
        check(
            |s| {
                s.workload.max_concurrency = 512;
                s.region = "us-east4".parse().expect("a region");
            },
            Field::MaxConcurrency,
            "too_small",
        ),
        load(|load| load.max_concurrency = 0, Field::MaxConcurrency),
        load(|load| load.input_tokens = Tokens(8000), Field::InputTokens),
        load(
            |load| load.output_tokens = Tokens(8000),
            Field::OutputTokens,
        ),
        load(|load| load.input_tokens = Tokens(0), Field::InputTokens),
        load(|load| load.output_tokens = Tokens(0), Field::OutputTokens),
        load(|load| load.context_length = Tokens(1), Field::ContextLength),
        load(
            |load| {
                load.context_length = Tokens(u64::MAX);
                load.extend_context = true;
            },
            Field::ContextLength,
        ),
        load(
            |load| load.requests_per_second = Some(Decimal::ZERO),
            Field::RequestsPerSecond,
        ),
        load(
            |load| load.requests_per_second = Some(Decimal::MAX),
            Field::RequestsPerSecond,
        ),
        load(|load| load.goals.max_tpot_ms = Some(0), Field::MaxTpot),
        check(
            |s| s.scaling.max_replicas = 0,
            Field::Scaling,
            "invalid_scaling",
        ),
        check(
            |s| s.engine.name = text("llama.cpp"),
            Field::Engine,
            "unknown_engine",
        ),
        check(
            |s| s.region = "us-west1".parse().expect("a region"),
            Field::Region,
            "not_in_region",
        ),
        check(
            |s| s.shape.accelerator = text("nvidia-h100"),
            Field::ShapeAccelerator,
            "unknown_accelerator",
        ),
        check(
            |s| s.shape.accelerator_count = Some(2),
            Field::ShapeAcceleratorCount,
            "count_unsupported",
        ),
        check(|s| s.shape.cpu = Some(4), Field::ShapeCpu, "host_memory"),
        check(
            |s| s.shape.cpu = Some(5),
            Field::ShapeCpu,
            "cpu_unsupported",
        ),
        check(
            |s| s.shape.memory = gib(17),
            Field::ShapeMemory,
            "host_memory",
        ),
        check(
            |s| s.shape.memory = gib(64),
            Field::ShapeMemory,
            "memory_unsupported",
        ),
        check(
            |s| {
                s.shape.accelerator = text("nvidia-rtx-pro-6000");
                s.region = "us-east4".parse().expect("a region");
            },
            Field::Region,
            "not_in_region",
        ),
        check(
            |s| s.budget.max_hourly_cost = dollars(100),
            Field::BudgetHourly,
            "over_budget",
        ),
        check(
            |s| {
                s.budget.max_monthly_cost = dollars(200_000);
                s.scaling.max_replicas = 4;
            },
            Field::BudgetMonthly,
            "over_budget",
        ),
        check(
            |s| {
                s.budget.max_hourly_cost = dollars(130);
                s.shape.cpu = Some(8);
            },
            Field::BudgetHourly,
            "over_budget",
        ),
        check(
            |s| {
                s.budget.max_hourly_cost = dollars(900);
                s.region = "europe-west4".parse().expect("a region");
            },
            Field::BudgetHourly,
            "unpriced",
        ),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    meta-llama/Llama-3.1-8B-Instruct was made for sequences of at most 131072 tokens (max_position_embeddings); context_length = 200000 is longer. Set context_length to at most 131072.
    No cloud_run shape in us-east4 holds meta-llama/Llama-3.1-8B-Instruct with context_length = 131072 and max_concurrency = 8. nvidia-l4 x1: needs 31.83 GiB, the engine has 20.27 GiB of its 22.03 GiB; nvidia-rtx-pro-6000 x1: not sold in us-east4; it is in asia-south2, asia-southeast1, europe-west4, us-central1. The need is weights 14.99 GiB, KV cache 16.00 GiB, activations 0.32 GiB, overhead 0.52 GiB. With context_length = 32768 it fits nvidia-l4 x1, 6 vCPU, 24 GiB (price not known). In asia-south2, asia-southeast1, europe-west4, us-central1 a shape holds it.
    No cloud_run shape in us-east4 holds meta-llama/Llama-3.1-8B-Instruct with context_length = 8192 and max_concurrency = 512. nvidia-l4 x1: needs 64.06 GiB, the engine has 20.27 GiB of its 22.03 GiB; nvidia-rtx-pro-6000 x1: not sold in us-east4; it is in asia-south2, asia-southeast1, europe-west4, us-central1. The need is weights 14.99 GiB, KV cache 48.00 GiB, activations 0.55 GiB, overhead 0.52 GiB. With max_concurrency = 32 it fits nvidia-l4 x1, 6 vCPU, 24 GiB (price not known). In asia-south2, asia-southeast1, europe-west4, us-central1 a shape holds it.
    max_concurrency = 0 serves nobody. Set the requests in flight at once, at least 1.
    A typical request of 8000 tokens in and 256 out is longer than context_length = 8192. Raise context_length, or lower input_tokens or output_tokens.
    A typical request of 512 tokens in and 8000 out is longer than context_length = 8192. Raise context_length, or lower input_tokens or output_tokens.
    input_tokens = 0 asks nothing. Set the prompt tokens of a typical request, at least 1, or leave input_tokens out.
    output_tokens = 0 is no answer, and meta-llama/Llama-3.1-8B-Instruct answers token after token. Set the answer tokens of a typical request, at least 1, or leave output_tokens out.
    context_length = 1 is not the length of any request. Set the longest prompt and answer together, from 2 to 100000000 tokens.
    context_length = 18446744073709551615 is not the length of any request. Set the longest prompt and answer together, from 2 to 100000000 tokens.
    requests_per_second = 0: more than 0 and at most 1000000 are expected. Set the requests a second that all replicas together must serve, or leave requests_per_second out for what one replica serves.
    requests_per_second = 79228162514264337593543950335: more than 0 and at most 1000000 are expected. Set the requests a second that all replicas together must serve, or leave requests_per_second out for what one replica serves.
    max_tpot_ms = 0: nothing is that fast. Set whole milliseconds, at least 1, or leave max_tpot_ms out.
    min_replicas = 0 and max_replicas = 0 leave no number of replicas. Set max_replicas to at least 1 and to at least min_replicas.
    There is no engine "llama.cpp"; known are tei, vllm, vllm-tpu, sglang, llama-cpp, diffusers, tgi, jetstream. Choose one of these, or leave engine.name out.
    cloud_run does not sell an accelerator in us-west1. nvidia-l4 x1: not sold in us-west1; it is in asia-south1, asia-southeast1, europe-west1, europe-west4, us-central1, us-east4; nvidia-rtx-pro-6000 x1: not sold in us-west1; it is in asia-south2, asia-southeast1, europe-west4, us-central1. Choose one of these regions.
    cloud_run has no accelerator "nvidia-h100"; it has nvidia-l4, nvidia-rtx-pro-6000. Choose one of these.
    The shape set in the configuration does not hold meta-llama/Llama-3.1-8B-Instruct with context_length = 8192 and max_concurrency = 8. nvidia-l4: 2 in one instance are not sold, only 1; nvidia-rtx-pro-6000: 2 in one instance are not sold, only 1. nvidia-l4 x1, 6 vCPU, 24 GiB ($1.2337/h) holds it: remove the parts of shape that differ.
    The shape set in the configuration does not hold meta-llama/Llama-3.1-8B-Instruct with context_length = 8192 and max_concurrency = 8. nvidia-l4 x1, 4 vCPU, 16 GiB: needs 19.96 GiB of host memory (14.96 GiB of weight files lie in it), has 16.00 GiB; nvidia-rtx-pro-6000 x1: 4 vCPU are not sold with it, only 20. nvidia-l4 x1, 6 vCPU, 24 GiB ($1.2337/h) holds it: remove the parts of shape that differ.
    The shape set in the configuration does not hold meta-llama/Llama-3.1-8B-Instruct with context_length = 8192 and max_concurrency = 8. nvidia-l4 x1: 5 vCPU are not sold with it, only 4, 6, 8; nvidia-rtx-pro-6000 x1: 5 vCPU are not sold with it, only 20. nvidia-l4 x1, 6 vCPU, 24 GiB ($1.2337/h) holds it: remove the parts of shape that differ.
    The shape set in the configuration does not hold meta-llama/Llama-3.1-8B-Instruct with context_length = 8192 and max_concurrency = 8. nvidia-l4 x1, 6 vCPU, 17 GiB: needs 19.96 GiB of host memory (14.96 GiB of weight files lie in it), has 17.00 GiB; nvidia-l4 x1, 8 vCPU, 17 GiB: needs 19.96 GiB of host memory (14.96 GiB of weight files lie in it), has 17.00 GiB; nvidia-rtx-pro-6000 x1: 17.00 GiB of host memory are not sold, only 80 GiB with 20 vCPU. nvidia-l4 x1, 6 vCPU, 24 GiB ($1.2337/h) holds it: remove the parts of shape that differ.
    The shape set in the configuration does not hold meta-llama/Llama-3.1-8B-Instruct with context_length = 8192 and max_concurrency = 8. nvidia-l4 x1: 64.00 GiB of host memory are not sold, only 16 GiB with 4 vCPU, 16 to 24 GiB with 6 vCPU, 16 to 32 GiB with 8 vCPU; nvidia-rtx-pro-6000 x1: 64.00 GiB of host memory are not sold, only 80 GiB with 20 vCPU. nvidia-l4 x1, 6 vCPU, 24 GiB ($1.2337/h) holds it: remove the parts of shape that differ.
    cloud_run does not sell nvidia-rtx-pro-6000 in us-east4. nvidia-rtx-pro-6000 x1: not sold in us-east4; it is in asia-south2, asia-southeast1, europe-west4, us-central1. Choose one of these regions.
    meta-llama/Llama-3.1-8B-Instruct on nvidia-l4 x1, 6 vCPU, 24 GiB costs $1.2337/h for each replica, $1.2337/h with max_replicas = 1; max_hourly_cost is $1.0000/h. It is the cheapest shape with a known price that holds the load: raise the limit, lower the load, or choose a smaller model.
    meta-llama/Llama-3.1-8B-Instruct on nvidia-l4 x1, 6 vCPU, 24 GiB costs $900.62 a month for each replica, $3602.46 a month with max_replicas = 4; max_monthly_cost is $2000.00 a month. Set max_replicas = 2, or raise the limit.
    meta-llama/Llama-3.1-8B-Instruct on nvidia-l4 x1, 8 vCPU, 32 GiB costs $1.4209/h for each replica, $1.4209/h with max_replicas = 1; max_hourly_cost is $1.3000/h. nvidia-l4 x1, 6 vCPU, 24 GiB holds it too, at $1.2337/h a replica.
    nvidia-l4 x1, 6 vCPU, 24 GiB holds meta-llama/Llama-3.1-8B-Instruct, but its cost is not known: 1 x nvidia-l4 (no zonal redundancy): no price known in europe-west4 (catalog of 2026-11-20). Remove max_hourly_cost, choose a region with known prices (us-central1), or give a catalog that has the price.
    "#);
}

#[test]
fn a_gated_model_needs_a_token() {
    let card = ModelCard {
        gating: Gating::Manual,
        ..testing::llama_8b()
    };
    let mut spec = testing::spec(&card, 8192, 8);
    let error = refused(&card, &spec);
    assert_eq!((error.field, error.code), (Field::Token, "token_missing"));
    spec.token = TokenSource::Managed { version: 1 };
    placed(&card, &spec);
}

#[test]
fn what_the_user_adds_to_the_engine_comes_last_and_wins() {
    let card = testing::llama_8b();
    let mut spec = testing::spec(&card, 8192, 8);
    spec.quantization = Some(Quantization::Fp8);
    spec.engine.image = Some("registry.acme.com/vllm:1".to_owned());
    spec.engine.args = vec!["--enable-prefix-caching".to_owned()];
    spec.engine.env = [("VLLM_NO_USAGE_STATS".to_owned(), "0".to_owned())].into();
    let serving = placed(&card, &spec).serving;
    assert_eq!(serving.image, "registry.acme.com/vllm:1");
    assert_eq!(
        serving.args[serving.generated_args..],
        ["--enable-prefix-caching"]
    );
    assert_eq!(
        serving.args[..serving.generated_args]
            .last()
            .map(String::as_str),
        Some("fp8")
    );
    assert_eq!(serving.env["VLLM_NO_USAGE_STATS"], "0");
    assert_eq!(serving.env["HF_XET_CHUNK_CACHE_SIZE_BYTES"], "0");
}

#[test]
fn all_errors_are_collected_before_returning() {
    let (llama, large) = (testing::llama_8b(), testing::llama_70b());
    let specs = [
        testing::spec(&llama, 8192, 8),
        testing::spec(&large, 8192, 8),
        testing::spec(&testing::qwen_7b(), 8192, 8),
    ];
    let mut observed = crate::Observed::default();
    for card in [llama, large] {
        observed
            .cards
            .insert((card.id.clone(), card.commit.clone()), card);
    }
    let errors = crate::resolve(&specs, &observed, testing::catalog()).expect_err("two are wrong");
    let codes: Vec<&str> = errors.iter().map(|error| error.code).collect();
    assert_eq!(codes, ["too_small", "unknown_model"]);
    let resolution =
        crate::resolve(&specs[..1], &observed, testing::catalog()).expect("the first is right");
    assert_eq!(
        resolution
            .estimate
            .monthly_min
            .map(|usd| usd.to_string())
            .as_deref(),
        Some("$0.00")
    );
}

/// Any card: a real one with its numbers bent, some of them to nonsense.
fn cards() -> impl Strategy<Value = ModelCard> {
    let card = prop_oneof![
        Just(testing::llama_8b()),
        Just(testing::llama_70b()),
        Just(testing::gemma_9b()),
        Just(testing::qwen3_30b_moe()),
    ];
    let number = || prop_oneof![4 => 1..200_000_u64, 1 => Just(0), 1 => Just(u64::MAX)];
    (card, 0..9_usize, number(), any::<bool>(), any::<bool>()).prop_map(
        |(mut card, which, number, weights, fp32)| {
            let mut config = card.config.take().unwrap_or_default();
            let ModelConfig {
                hidden_size,
                layers,
                attention_heads,
                kv_heads,
                head_dim,
                ..
            } = &mut config;
            match which {
                0 => *hidden_size = number,
                1 => *layers = number,
                2 => *attention_heads = number,
                3 => *kv_heads = number,
                4 => *head_dim = number,
                5 => config.intermediate_size = number,
                6 => config.vocab_size = number,
                7 => card.parameters = Some(Parameters(number)),
                _ => {}
            }
            if fp32 {
                config.dtype = Some("float32".to_owned());
            }
            if weights {
                card.weights = None;
            }
            card.config = Some(config);
            card
        },
    )
}

fn loads() -> impl Strategy<Value = (u64, u32, u64, u64)> {
    (1..150_000_u64, 0..300_u32, 0..4_000_u64, 0..4_000_u64)
}

/// The cheapest priced host of the cheapest accelerator that holds the load, or the smallest
/// unpriced one, found the long way round: over the catalog's rows, one by one.
fn brute_force(spec: &EndpointSpec, card: &ModelCard, catalog: &Catalog) -> Option<String> {
    use crate::architecture::Architecture;
    use crate::engines::{engine, memory};
    use crate::footprint::{Device, Footprint};
    use crate::parallel::Parallelism;
    use crate::weights::Weights;

    let architecture = Architecture::of(card).ok()?;
    let need = Need::of(card, None, &spec.workload, None, &[spec.quantization], None).ok()?;
    let weights = Weights::of(card, architecture, spec.quantization).ok()?;
    let vllm = engine("vllm")?;
    let mut best: Option<(bool, Decimal, u32, u32, String)> = None;
    for offer in &catalog.document().offers {
        if offer.surface != Surface::CloudRun || !offer.regions.contains_key(&spec.region) {
            continue;
        }
        for name in &offer.shapes {
            let row = catalog.shape(name)?;
            let accelerator = catalog.accelerator(&row.accelerator)?;
            let footprint = Footprint::of(
                architecture,
                &weights,
                Parallelism::ONE,
                Device::of(accelerator, 8),
                memory(vllm, &vllm.version),
                vllm,
                &need.demand(Parallelism::ONE),
            );
            let shape = Shape {
                accelerator: row.accelerator.clone(),
                accelerator_count: 1,
                cpu: row.cpu,
                memory: Bytes::gib(u64::from(row.memory_gib)),
            };
            if !footprint.fits() || footprint.host > shape.memory {
                continue;
            }
            let sale = catalog.sale(
                Surface::CloudRun,
                row,
                openmodel_schemas::catalog::PurchaseOption::OnDemand,
                &spec.region,
            )?;
            let rank = (
                sale.hourly.is_none(),
                sale.hourly.map_or(Decimal::ZERO, |usd| usd.0),
                u32::from(accelerator.name != "nvidia-l4"),
                row.cpu,
                show(&shape),
            );
            if best.as_ref().is_none_or(|best| rank < *best) {
                best = Some(rank);
            }
        }
    }
    best.map(|best| best.4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_card_and_no_load_panics_and_the_choice_is_the_cheapest_that_holds(
        card in cards(),
        (context, concurrency, input, output) in loads(),
        fp8 in any::<bool>(),
        region in prop_oneof![Just("us-central1"), Just("europe-west4"), Just("us-east4"), Just("us-west1")],
    ) {
        let mut spec = testing::spec(&card, context, concurrency);
        spec.region = region.parse().expect("a region");
        spec.workload.input_tokens = Tokens(input);
        spec.workload.output_tokens = Tokens(output);
        spec.quantization = fp8.then_some(Quantization::Fp8);
        let catalog = testing::catalog();
        match place(&spec, &card, None, catalog) {
            Ok(placement) => {
                prop_assert_eq!(Some(show(&placement.shape)), brute_force(&spec, &card, catalog));
                let m = &placement.memory;
                let sum = m.weights + m.kv_cache + m.activations + m.overhead + m.headroom;
                prop_assert_eq!(sum, m.usable, "the parts are the whole");
                let wanted = spec.workload.context_length.0;
                prop_assert!(m.kv_capacity.0 >= wanted, "one longest sequence fits");
                prop_assert!(m.kv_capacity.0 >= (input + output) * u64::from(concurrency), "typical ones fit");
                prop_assert!(placement.cost.lines.iter().all(|line| line.hourly.is_none_or(|usd| usd.0 > Decimal::ZERO)));
            }
            Err(error) => {
                prop_assert!(!error.detail.is_empty() && error.detail.ends_with('.'), "{}", error.detail);
                let nothing_holds = matches!(error.code, "too_small" | "host_memory" | "not_in_region");
                if nothing_holds {
                    prop_assert_eq!(brute_force(&spec, &card, catalog), None, "{}", error.detail);
                }
            }
        }
    }
}
