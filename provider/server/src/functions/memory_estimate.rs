//! `provider::openmodel::memory_estimate`: what a model needs on named accelerators.

use openmodel_resolve::market::Catalog;
use openmodel_resolve::memory::{MemoryAnswer, MemoryQuery, memory_of, memory_on};
use openmodel_schemas::quantity::{Bytes, Tokens};
use openmodel_schemas::spec::{Adapters, Quantization};
use serde::{Deserialize, Serialize};
use tfplug::framework::{Function, FunctionError, Parameter, Signature};
use tfplug::value::{Dynamic, Type, Value};

use super::options::{OPTIONS, Options, error};
use crate::facts::{self, Beside};
use crate::show::{gib, number};

/// `provider::openmodel::memory_estimate(facts, options)`.
pub(crate) struct MemoryEstimate;

/// Its arguments.
#[derive(Deserialize)]
pub(crate) struct Arguments {
    facts: String,
    options: Dynamic,
}

/// Its result; sizes of the fullest device.
#[derive(Debug, Serialize, PartialEq)]
pub(crate) struct Estimate {
    fits: bool,
    reason: String,
    usable_gib: Value<String>,
    weights_gib: Value<String>,
    activations_gib: Value<String>,
    overhead_gib: Value<String>,
    kv_cache_gib: Value<String>,
    kv_capacity_tokens: Value<i64>,
    kv_cache_bytes_per_token: Value<i64>,
    sequence_gib_min: Value<String>,
    sequence_gib_max: Value<String>,
    state_bytes_per_sequence: Value<i64>,
    context_length: Value<i64>,
    max_num_seqs: Value<i64>,
    max_num_batched_tokens: Value<i64>,
    memory_utilization: Value<String>,
    basis: String,
}

const KNOWN: [&str; 20] = [
    "accelerator",
    "accelerator_count",
    "context_length",
    "max_concurrency",
    "sequence_length",
    "quantization",
    "kv_cache_bits",
    "engine",
    "engine_version",
    "tensor_parallel",
    "pipeline_parallel",
    "data_parallel",
    "max_num_seqs",
    "max_num_batched_tokens",
    "eager",
    "adapter_count",
    "adapter_rank",
    "draft_tokens",
    "parameters",
    "weight_bytes",
];

impl Function for MemoryEstimate {
    const NAME: &'static str = "memory_estimate";
    type Arguments = Arguments;
    type Output = Estimate;

    fn signature(&self) -> Signature {
        let of = |names: &[&'static str], r#type: &Type| -> Vec<(&'static str, Type)> {
            names.iter().map(|name| (*name, r#type.clone())).collect()
        };
        let texts = [
            "reason",
            "usable_gib",
            "weights_gib",
            "activations_gib",
            "overhead_gib",
            "kv_cache_gib",
            "sequence_gib_min",
            "sequence_gib_max",
            "memory_utilization",
            "basis",
        ];
        let numbers = [
            "kv_capacity_tokens",
            "kv_cache_bytes_per_token",
            "state_bytes_per_sequence",
            "context_length",
            "max_num_seqs",
            "max_num_batched_tokens",
        ];
        let returns = Type::object(
            of(&texts, &Type::String)
                .into_iter()
                .chain(of(&numbers, &Type::Number))
                .chain(of(&["fits"], &Type::Bool)),
        );
        Signature::new("Accelerator memory of a model under a load", returns)
            .description(
                "What the fullest device holds when an engine serves a model, and whether that fits. Sizes are GiB as \
                 decimal text: `weights_gib`, `activations_gib`, `overhead_gib`, and `kv_cache_gib`, the room left for \
                 the KV cache, of `kv_capacity_tokens`. `sequence_gib_min` and `sequence_gib_max` bound what one \
                 sequence of `context_length` keeps; they differ for models with windowed layers or a state.\n\n\
                 `options` is an object; only `accelerator` is required (`nvidia-l4`, `h100`, `v6e`, …). The others: \
                 `accelerator_count` (1), `context_length` (the model's own limit), `max_concurrency` with \
                 `sequence_length` (sequences in memory at once, and their mean length), `quantization` (`fp8`, `awq`, …), \
                 `kv_cache_bits` (8 or 16), `engine` (`vllm`, or `vllm-tpu` on TPUs), `engine_version` (the newest known), \
                 `tensor_parallel`, `pipeline_parallel` and `data_parallel` (the first spread over all accelerators that \
                 fits), `max_num_seqs`, `max_num_batched_tokens` and `eager` (the engine's defaults), `adapter_count` with \
                 `adapter_rank` (LoRA adapters kept beside the model, and their largest rank: `weights_gib` holds what \
                 the engine reserves for them), `draft_tokens` (tokens drafted ahead by the model's own prediction \
                 layers, whose weights, cache and states count); and beside a \
                 `config.json`, which has neither, `parameters` and `weight_bytes` (counted from it).",
            )
            .parameter(Parameter::new("facts", Type::String).description(
                "Text of the model's `config.json`, such as `file(\"config.json\")`, or `facts` of a \
                 `data.openmodel_model`.",
            ))
            .parameter(Parameter::new(OPTIONS, Type::Dynamic).description("Object of options."))
    }

    fn call(&self, arguments: Arguments) -> Result<Estimate, FunctionError> {
        let options = Options::read(&arguments.options, &KNOWN)?;
        let beside = Beside {
            parameters: options.count("parameters")?,
            weight_bytes: options.count("weight_bytes")?,
        };
        let card = facts::from_text(&arguments.facts, None, beside)
            .map_err(|why| FunctionError::new(why).at("facts"))?;
        let (query, devices) = query(&options)?;
        let spread = options.small("tensor_parallel")?.is_some()
            || options.small("pipeline_parallel")?.is_some()
            || options.small("data_parallel")?.is_some();
        let ranks = query
            .tensor
            .saturating_mul(query.pipeline)
            .saturating_mul(query.data);
        if spread && ranks != devices {
            return Err(error(format!(
                "tensor_parallel × pipeline_parallel × data_parallel is {ranks}, and there are {devices} devices. Make \
                 them equal, or leave the three out."
            )));
        }
        let answer = if spread {
            memory_of(&card, &query)
        } else {
            memory_on(&card, &query, devices)
        };
        let answer = answer.map_err(|why| {
            let at = if why.field == openmodel_resolve::Field::Model {
                "facts"
            } else {
                OPTIONS
            };
            FunctionError::new(format!("{}: {}", why.summary, why.detail)).at(at)
        })?;
        Ok(show(&answer, query.usable))
    }
}

/// The query, and how many devices there are.
fn query(options: &Options<'_>) -> Result<(MemoryQuery, u32), FunctionError> {
    let catalog = Catalog::embedded();
    let known = || {
        let rows = &catalog.document().accelerators;
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        names.join(", ")
    };
    let Some(name) = options.text("accelerator")? else {
        return Err(error(format!(
            "accelerator is required: one of {}.",
            known()
        )));
    };
    let Some(row) = catalog.accelerator(name) else {
        return Err(error(format!(
            "There is no accelerator {name:?}; known are {}.",
            known()
        )));
    };
    let count = options.small("accelerator_count")?.unwrap_or(1);
    let mut query = MemoryQuery::on(row.kind, Bytes::from_gib(row.usable_gib));
    if let Some(engine) = options.text("engine")? {
        engine.clone_into(&mut query.engine);
    }
    query.engine_version = options.text("engine_version")?.map(str::to_owned);
    query.quantization = options.word("quantization", &Quantization::ALL, Quantization::as_str)?;
    query.context_length = options.count("context_length")?.map(Tokens);
    query.kv_bits = options.count("kv_cache_bits")?;
    if query.kv_bits.is_some_and(|bits| bits != 8 && bits != 16) {
        return Err(error("kv_cache_bits must be 8 or 16."));
    }
    query.tensor = options.small("tensor_parallel")?.unwrap_or(1);
    query.pipeline = options.small("pipeline_parallel")?.unwrap_or(1);
    query.data = options.small("data_parallel")?.unwrap_or(1);
    query.max_sequences = options.count("max_num_seqs")?;
    query.max_batched_tokens = options.count("max_num_batched_tokens")?;
    query.eager = options.flag("eager")?;
    let length = options.count("sequence_length")?.map(Tokens);
    query.concurrency = match (options.small("max_concurrency")?, length) {
        (Some(count), Some(length)) => Some((count, length)),
        (Some(count), None) => {
            // Without a mean length each is as long as it may be.
            let context = query.context_length.ok_or_else(|| {
                error("max_concurrency needs the length of the sequences: set sequence_length or context_length.")
            })?;
            Some((count, context))
        }
        (None, Some(_)) => {
            return Err(error(
                "sequence_length needs max_concurrency: the sequences that are so long.",
            ));
        }
        (None, None) => None,
    };
    query.draft_tokens = options.small("draft_tokens")?;
    query.adapters = match (
        options.small("adapter_count")?,
        options.small("adapter_rank")?,
    ) {
        (Some(count), Some(rank)) => Some(Adapters { count, rank }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(error(
                "adapter_count needs the largest rank of the adapters: set adapter_rank.",
            ));
        }
        (None, Some(_)) => {
            return Err(error(
                "adapter_rank needs the adapters in memory at once: set adapter_count.",
            ));
        }
    };
    if query.max_sequences.is_none() {
        query.max_sequences = query.concurrency.map(|(count, _)| count.into());
    }
    Ok((query, count.saturating_mul(row.devices)))
}

fn show(answer: &MemoryAnswer, usable: Bytes) -> Estimate {
    let (least, most) = answer.sequence;
    Estimate {
        fits: answer.fits,
        reason: answer.reason.clone(),
        usable_gib: gib(usable),
        weights_gib: gib(answer.weights),
        activations_gib: gib(answer.activations),
        overhead_gib: gib(answer.overhead),
        kv_cache_gib: gib(answer.kv_cache),
        kv_capacity_tokens: number(Some(answer.kv_tokens.0)),
        kv_cache_bytes_per_token: number(Some(answer.kv_per_token.0)),
        sequence_gib_min: gib(least),
        sequence_gib_max: gib(most),
        state_bytes_per_sequence: number(Some(answer.state_per_sequence.0)),
        context_length: number(Some(answer.context_length.0)),
        max_num_seqs: number(Some(answer.max_sequences)),
        max_num_batched_tokens: number(Some(answer.max_batched_tokens)),
        memory_utilization: Value::Known(format!("{:.2}", answer.utilization)),
        basis: answer.basis.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA: &str = include_str!("../../tests/llama-3.1-8b.json");

    fn estimate(options: &[(&str, Dynamic)]) -> Result<Estimate, FunctionError> {
        MemoryEstimate.call(Arguments {
            facts: LLAMA.to_owned(),
            options: Dynamic::object(options.iter().cloned()),
        })
    }

    #[test]
    fn an_8b_model_fits_an_l4_with_a_short_context_only() {
        let l4 = ("accelerator", Dynamic::from("L4"));
        let short =
            estimate(&[l4.clone(), ("context_length", Dynamic::from(8192))]).expect("an estimate");
        assert!(short.fits, "{}", short.reason);
        assert_eq!(short.kv_cache_bytes_per_token, Value::Known(131_072));
        let long = estimate(&[l4]).expect("an estimate");
        assert!(!long.fits, "{}", long.reason);
    }

    #[test]
    fn adapters_are_weights_and_go_in_pairs() {
        let h100 = || ("accelerator", Dynamic::from("h100"));
        let adapters = |count: i64, rank: i64| {
            let options = [
                h100(),
                ("adapter_count", Dynamic::from(count)),
                ("adapter_rank", Dynamic::from(rank)),
            ];
            estimate(&options).expect("an estimate").weights_gib
        };
        let plain = estimate(&[h100()]).expect("an estimate").weights_gib;
        assert_ne!(adapters(8, 16), plain);
        // A slot of rank 24 has 32.
        assert_eq!(adapters(8, 24), adapters(8, 32));
        for (name, other) in [
            ("adapter_count", "adapter_rank"),
            ("adapter_rank", "adapter_count"),
        ] {
            let error = estimate(&[h100(), (name, Dynamic::from(8))]).expect_err(other);
            assert!(error.to_string().contains(other), "{error}");
        }
    }

    #[test]
    fn tokens_are_drafted_by_layers_that_the_model_has() {
        let options = [
            ("accelerator", Dynamic::from("h100")),
            ("draft_tokens", Dynamic::from(2)),
        ];
        let error = estimate(&options).expect_err("Llama has none");
        assert!(
            error.to_string().contains("num_nextn_predict_layers"),
            "{error}"
        );
    }

    #[test]
    fn slips_are_errors_that_list_what_is_known() {
        let l4 = || ("accelerator", Dynamic::from("L4"));
        let cases: [(&[(&str, Dynamic)], &str); 7] = [
            (&[], "accelerator is required"),
            (&[("accelerator", Dynamic::from("l5"))], "nvidia-l4"),
            (&[l4(), ("contextlength", Dynamic::from(1))], "known are"),
            (
                &[l4(), ("context_length", Dynamic::from(-1))],
                "whole number",
            ),
            (&[l4(), ("quantization", Dynamic::from("fp7"))], "fp8"),
            (&[l4(), ("engine", Dynamic::from("vlm"))], "vllm"),
            (&[l4(), ("tensor_parallel", Dynamic::from(3))], "1 devices"),
        ];
        for (options, part) in cases {
            let error = estimate(options).expect_err(part).to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
