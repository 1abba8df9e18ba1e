//! The schema of `data.openmodel_shapes`.

use openmodel_schemas::catalog::PurchaseOption;
use openmodel_schemas::name::{Region, Revision};
use openmodel_schemas::spec::{Objective, Quantization, Surface};
use tfplug::schema::{Attribute, Schema, at_least, between, each, length, one_of};
use tfplug::value::Type;

use crate::engines;
use crate::schema_parts::{checked, model_id, money, no_nulls};
use crate::workload;

/// The word for weights as the checkpoint has them.
pub(crate) const AS_STORED: &str = "none";
/// Shapes in `shapes` where `limit` does not say.
const DEFAULT_LIMIT: i64 = 10;

/// The schema.
pub(crate) fn schema() -> Schema {
    Schema::new(
        "Every shape that is sold for a model under a load, ranked: which machine, where, how bought, how it is \
         served, how fast, for how much, and why the others do not hold it. Prices are those of the provider's \
         `catalog`, read anew each time; an `openmodel_endpoint` keeps the ones it was planned with.",
    )
    .attributes(question())
    .attributes(choices())
    .attributes(limits())
    .attributes(answer())
}

fn question() -> [Attribute; 6] {
    [
        Attribute::string("model")
            .required()
            .validate(model_id())
            .description("Repository on the Hugging Face Hub, such as `Qwen/Qwen2.5-7B-Instruct`."),
        Attribute::string("revision")
            .default("main")
            .validate(checked::<Revision>("A branch, tag or commit."))
            .description("Branch, tag or commit."),
        Attribute::string("facts").optional().validate(length(2, 4 << 20)).description(
            "Facts of the model in place of the Hub's, for a model that is private or not published: the text of its \
             `config.json`, or `facts` of a `data.openmodel_model`. The Hub is then not asked.",
        ),
        Attribute::number("parameters")
            .optional()
            .validate(at_least(1))
            .description("Number of parameters, beside a `config.json` in `facts`. Unset: counted from it."),
        Attribute::number("weight_bytes")
            .optional()
            .validate(at_least(1))
            .description("Bytes of the weight files, beside a `config.json` in `facts`."),
        Attribute::object("workload", workload::attributes())
            .required()
            .description("The load that a shape must hold."),
    ]
}

fn choices() -> [Attribute; 6] {
    let words = |name: &str, words: &[&str], description: &str| {
        Attribute::list_of(name, Type::String)
            .optional()
            .validate(no_nulls())
            .validate(each(one_of(words)))
            .description(description)
    };
    let quantizations: Vec<&str> = std::iter::once(AS_STORED)
        .chain(Quantization::ALL.map(Quantization::as_str))
        .collect();
    [
        words(
            "surfaces",
            &Surface::ALL.map(Surface::as_str),
            "Where it may run. Default: everywhere.",
        ),
        Attribute::list_of("regions", Type::String)
            .optional()
            .validate(no_nulls())
            .validate(each(checked::<Region>("A region such as `us-central1`.")))
            .description("Regions. Default: all."),
        words(
            "purchase_options",
            &PurchaseOption::ALL.map(PurchaseOption::as_str),
            "How it may be bought. Default: `on_demand` where that is sold.",
        ),
        Attribute::list_of("accelerators", Type::String)
            .optional()
            .validate(no_nulls())
            .description(
                "Accelerators by any of their names, such as `nvidia-l4` or `v6e`. Default: all.",
            ),
        words(
            "quantizations",
            &quantizations,
            "Formats of weights that are allowed; `none` is the checkpoint's own. Default: that alone.",
        ),
        Attribute::string("engine")
            .optional()
            .validate(engines::at_a_version())
            .description(
                "Serving engine, at a version that is sized for or at the newest known: `vllm`, `vllm@0.19`. Default: \
                 the first that serves the model.",
            ),
    ]
}

fn limits() -> [Attribute; 5] {
    let limit = |name: &str, description: &str| {
        Attribute::string(name)
            .optional()
            .validate(money())
            .description(description)
    };
    [
        Attribute::string("objective")
            .default(Objective::default().as_str())
            .validate(one_of(&Objective::ALL.map(Objective::as_str)))
            .description(
                "What the best is the best at: the lowest expected `cost` of a month, the lowest `cost_per_token` when \
                 busy, the shortest time between tokens (`latency`), or the most tokens a second (`throughput`).",
            ),
        Attribute::list_of("allowed_licenses", Type::String)
            .optional()
            .validate(no_nulls())
            .description(
                "Licences that are allowed, such as `apache-2.0`. A model with another, or with none that is known, \
                 is an error. Default: all.",
            ),
        limit("max_hourly_cost", "Most US dollars an hour for all replicas, such as `\"2.50\"`. Dearer shapes are rejected."),
        limit("max_monthly_cost", "Most US dollars for 730 hours of all replicas. Dearer shapes are rejected."),
        Attribute::number("limit")
            .default(DEFAULT_LIMIT)
            .validate(between(1, 1000))
            .description("Most elements of `shapes`."),
    ]
}

fn answer() -> [Attribute; 10] {
    let text = |name: &str, text: &str| Attribute::string(name).computed().description(text);
    [
        text("id", "`{model}@{resolved_revision}`."),
        text("resolved_revision", "The commit that was sized; null with `facts` that name none."),
        Attribute::object("chosen", shape())
            .computed()
            .description("The best shape; null where none holds the load."),
        Attribute::list_of_objects("shapes", shape())
            .computed()
            .description("The shapes that hold the load, the best first: `shapes[0]` is `chosen`."),
        Attribute::map_of("rejected", Type::String)
            .computed()
            .description("Shapes that do not hold it, by surface and shape, each with reason code and reason."),
        text("reason", "Why `chosen` is the best, or that nothing holds the load."),
        text("image", "Container image of the engine on `chosen`; null where there is none."),
        Attribute::list_of("args", Type::String)
            .computed()
            .description("Arguments of that container."),
        text("currency", "ISO code of all amounts."),
        text("price_date", "Day the catalog of prices was put together."),
    ]
}

fn shape() -> Vec<Attribute> {
    let text = |name: &str, text: &str| Attribute::string(name).computed().description(text);
    let number = |name: &str, text: &str| Attribute::number(name).computed().description(text);
    let flag = |name: &str, text: &str| Attribute::bool(name).computed().description(text);
    vec![
        text("surface", "Where it runs."),
        text("shape", "Its name in the catalog."),
        text(
            "machine_type",
            "Compute Engine machine type, where the surface shows its machines.",
        ),
        text("accelerator", "Accelerator."),
        number("accelerator_count", "Accelerators of one replica."),
        text(
            "accelerator_part",
            "The part of one accelerator that the machine has, such as `1/2`; null for whole ones.",
        ),
        number("cpu", "vCPUs of one host."),
        number("memory_gib", "Memory of one host, in GiB."),
        text("region", "Region; null where the seller lists none."),
        flag(
            "region_confirmed",
            "Whether the vendor says that the hardware stands there.",
        ),
        text("purchase_option", "How it is bought."),
        text("note", "What a buyer must know, such as `by invitation`."),
        number("replicas", "Replicas the load needs."),
        text("engine", "Serving engine."),
        text("engine_version", "Version the sizing assumed."),
        text("weights_format", "Format of the weights in memory."),
        text(
            "quantization",
            "What the engine makes of the checkpoint; null leaves it as it is.",
        ),
        number("tensor_parallel", "Ranks that split each layer."),
        number("pipeline_parallel", "Stages that split the layers."),
        number(
            "data_parallel",
            "Ranks with attention and a cache of their own.",
        ),
        flag(
            "expert_parallel",
            "Whether experts are whole on their ranks.",
        ),
        number("max_model_len", "Longest sequence, in tokens."),
        number("max_num_seqs", "Most sequences of one step."),
        number("max_num_batched_tokens", "Most tokens of one step."),
        number("kv_cache_bits", "Bits of an element of the KV cache."),
        text(
            "memory_utilization",
            "The engine's share of accelerator memory, as a fraction.",
        ),
        text(
            "usable_gib",
            "What the engine sees of one device, below its nominal size.",
        ),
        text("weights_gib", "Weights as loaded on the fullest device."),
        text("kv_cache_gib", "KV cache the load needs there."),
        text("activations_gib", "Peak activations."),
        text("overhead_gib", "Context and graphs, allocator, runtime."),
        text("headroom_gib", "What is left."),
        number("kv_capacity_tokens", "Tokens the KV cache can hold."),
        text(
            "ttft_ms",
            "Time to the first token, in milliseconds; null where no estimate is known.",
        ),
        text(
            "ttft_ms_range",
            "Its range, which holds four of five measurements.",
        ),
        text("tpot_ms", "Time between tokens, in milliseconds."),
        text("tpot_ms_range", "Its range."),
        text(
            "output_tokens_per_second",
            "Answer tokens a second of one replica.",
        ),
        text(
            "requests_per_second",
            "Typical requests a second of one replica.",
        ),
        text("performance_basis", "`measured`, `fitted` or `roofline`."),
        text(
            "hourly",
            "One replica for an hour; null where no price is known.",
        ),
        text(
            "monthly_expected",
            "730 hours of `replicas`, with storage of the weights and `starts_per_month`.",
        ),
        text(
            "marginal_monthly_expected",
            "What that adds to the bill by the provider's `discounts`; null without them.",
        ),
        text(
            "cold_start",
            "How long a replica takes to its first answer, and what that time costs.",
        ),
        text(
            "per_million_output_tokens",
            "A million answer tokens when busy, their prompts included.",
        ),
        text(
            "per_million_input_tokens",
            "The same cost, by a million prompt tokens.",
        ),
        text(
            "price_confidence",
            "`high` (a vendor's list), `medium` (derived by a rule), `low` (inferred).",
        ),
        text("code", "`chosen`, `costs_more`, `slower`, `unpriced`, …"),
        text("reason", "Why it is not the first."),
    ]
}
