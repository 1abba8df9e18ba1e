//! `workload`: the load that a model is placed for, as the endpoint and the data sources take it.
//!
//! ```text
//!   configuration ─► defaults that depend on each other ─► checks ─► Workload
//! ```

use openmodel_schemas::name::ModelId;
use openmodel_schemas::quantity::Tokens;
use openmodel_schemas::spec::{Adapters, DraftModel, Goals, Workload};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use tfplug::schema::{Attribute, Validator, at_least, between, required_with};
use tfplug::value::{Number, Value};
use tfplug::{Diagnostic, Diagnostics};

use crate::data_sources::model::parse;
use crate::schema_parts::model_id;

/// A typical request where the configuration does not say: a page of prompt and a paragraph of
/// answer. Shown in the plan as `input_tokens` and `output_tokens`.
const TYPICAL_INPUT: i64 = 1024;
const TYPICAL_OUTPUT: i64 = 256;
/// `max_concurrency` where the configuration does not say.
const DEFAULT_CONCURRENCY: i64 = 8;
/// The path of the draft model.
pub(crate) const DRAFT_MODEL: &str = "workload.draft_model";
/// Bounds of `requests_per_second`, in thousandths.
const MOST_MILLI_REQUESTS: i64 = 1_000_000_000;

/// `workload`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct WorkloadModel {
    pub(crate) context_length: Value<i64>,
    pub(crate) max_concurrency: Value<i64>,
    pub(crate) input_tokens: Value<i64>,
    pub(crate) output_tokens: Value<i64>,
    pub(crate) requests_per_second: Value<Number>,
    pub(crate) starts_per_month: Value<i64>,
    pub(crate) max_ttft_ms: Value<i64>,
    pub(crate) max_tpot_ms: Value<i64>,
    pub(crate) extend_context: Value<bool>,
    pub(crate) adapter_count: Value<i64>,
    pub(crate) adapter_rank: Value<i64>,
    pub(crate) draft_tokens: Value<i64>,
    pub(crate) draft_model: Value<String>,
}

/// Its attributes.
pub(crate) fn attributes() -> [Attribute; 13] {
    let optional = |name: &str, least: i64, most: i64, description: &str| {
        Attribute::number(name)
            .optional()
            .validate(between(least, most))
            .description(description)
    };
    [
        Attribute::number("context_length")
            .required()
            .validate(between(1, 100_000_000))
            .description("Longest sequence, prompt and answer together, in tokens. One must always fit."),
        Attribute::number("max_concurrency")
            .default(DEFAULT_CONCURRENCY)
            .validate(between(1, 1000))
            .description("Sequences one replica works on at once. More need more KV cache, and cost less per token."),
        Attribute::number("input_tokens").optional().computed().validate(at_least(1)).description(
            "Prompt tokens of a typical request. Default: 1024, or what `context_length` leaves.",
        ),
        Attribute::number("output_tokens").optional().computed().validate(at_least(1)).description(
            "Answer tokens of a typical request. Default: 256, or a quarter of a shorter context. Without effect for a \
             model that answers with a vector, a score or an image.",
        ),
        Attribute::number("requests_per_second").optional().validate(rate()).description(
            "Typical requests a second that all replicas together must serve, such as `0.5`. It sets how many \
             replicas the expected cost counts. Unset: what one replica serves.",
        ),
        optional("starts_per_month", 0, 1_000_000, "Starts of each replica in a month: from zero, after a pre-emption \
                  or a rollout. The monthly costs count the time they take. Unset: none."),
        optional("max_ttft_ms", 1, 3_600_000, "Goal: the longest time to the first token at `max_concurrency`, in \
                  milliseconds. Shapes estimated to be slower are rejected, which may cost more."),
        optional("max_tpot_ms", 1, 3_600_000, "Goal: the longest time between tokens at `max_concurrency`, in \
                  milliseconds. Shapes estimated to be slower are rejected, which may cost more."),
        Attribute::bool("extend_context").optional().description(
            "Allow a `context_length` beyond the one the model was made for; answers may get worse. Unset: such a \
             length is an error.",
        ),
        optional("adapter_count", 1, 1000, "LoRA adapters kept in accelerator memory beside the model.")
            .validate(required_with(&["adapter_rank"])),
        optional("adapter_rank", 1, 512, "Largest rank of those adapters. What is reserved is the next of 1, 8, 16, 32, \
                  64, 128, 256, 320 and 512.")
            .validate(required_with(&["adapter_count"])),
        optional("draft_tokens", 1, 16, "Tokens drafted ahead, by `draft_model` or, without one, by the model's own \
                  prediction layers (multi-token prediction), where it has such layers. Their weights, cache and \
                  states count; how much faster it becomes is not known, and not estimated. Default: 5 with a \
                  `draft_model`, otherwise none.")
            .computed(),
        Attribute::string("draft_model").optional().validate(model_id()).description(
            "Smaller model on the Hugging Face Hub that drafts tokens for the model to check (speculative decoding), \
             such as `Qwen/Qwen3-0.6B`: of the same vocabulary and at least as long a context, served by vLLM alone. \
             Its weights and files, as stored, and its cache count. The newest commit of its `main` is taken when it \
             is first planned, and kept until `draft_model` changes.",
        ),
    ]
}

fn rate() -> Validator {
    Validator::new(
        "A number above 0, of at most three decimals.",
        |args, found| {
            let Some(number) = args.value.as_number() else {
                return;
            };
            if parse_rate(number).is_none() {
                found.push(
                Diagnostic::error("Number is out of range")
                    .at(args.path.clone())
                    .detail(format!(
                        "`{}` must be between 0.001 and 1000000 with at most three decimals, not {}.",
                        args.path,
                        args.shown()
                    )),
            );
            }
        },
    )
}

fn parse_rate(number: &Number) -> Option<Decimal> {
    let rate: Decimal = number.to_string().parse().ok()?;
    let milli = rate.checked_mul(Decimal::from(1000))?;
    let fits =
        milli.is_integer() && milli >= Decimal::ONE && milli <= Decimal::from(MOST_MILLI_REQUESTS);
    fits.then(|| rate.normalize())
}

/// Fills in what depends on other values, from the configuration alone.
pub(crate) fn with_typical_request(mut workload: WorkloadModel) -> WorkloadModel {
    if workload.max_concurrency.is_null() {
        workload.max_concurrency = Value::Known(DEFAULT_CONCURRENCY);
    }
    let context = workload.context_length.as_known().copied();
    // The shares of a context that is too short for the typical request: a quarter for the answer.
    if workload.output_tokens.is_null() {
        workload.output_tokens = match (context, &workload.input_tokens) {
            (Some(context), Value::Known(input)) => {
                Value::Known(TYPICAL_OUTPUT.min(context - input).max(1))
            }
            (Some(context), Value::Null) => Value::Known(TYPICAL_OUTPUT.min(context / 4).max(1)),
            _ => Value::unknown(),
        };
    }
    if workload.input_tokens.is_null() {
        workload.input_tokens = match (context, &workload.output_tokens) {
            (Some(context), Value::Known(output)) => {
                Value::Known(TYPICAL_INPUT.min(context - output).max(1))
            }
            _ => Value::unknown(),
        };
    }
    if workload.draft_tokens.is_null() {
        workload.draft_tokens = match workload.draft_model {
            Value::Known(_) => Value::Known(DraftModel::TOKENS.into()),
            Value::Null => Value::Null,
            Value::Unknown(_) => Value::unknown(),
        };
    }
    workload
}

/// The draft model, where one is known.
pub(crate) fn draft_model(workload: &Value<WorkloadModel>) -> Result<Option<ModelId>, Diagnostics> {
    let name = workload
        .as_known()
        .filter(|workload| workload.draft_model.is_known());
    name.map(|workload| parse(&workload.draft_model, DRAFT_MODEL))
        .transpose()
}

/// Checks of its values against each other.
pub(crate) fn validate(workload: &Value<WorkloadModel>, found: &mut Diagnostics) {
    let Some(workload) = workload.as_known() else {
        return;
    };
    // What is unknown may be anything, what is unset is filled in to fit.
    let tokens = |value: &Value<i64>| match value {
        Value::Known(tokens) => Some(*tokens),
        Value::Null => Some(0),
        Value::Unknown(_) => None,
    };
    if let (Some(context), Some(input), Some(output)) = (
        workload.context_length.as_known(),
        tokens(&workload.input_tokens),
        tokens(&workload.output_tokens),
    )
        // A context that is none is an error of its own.
        && *context > 0
        && input.saturating_add(output) > *context
    {
        found.push(
            Diagnostic::error("Typical request is longer than the context").at("workload").detail(format!(
                "A request of {input} input and {output} output tokens does not fit a context_length of {context} \
                 tokens. Raise context_length, or lower input_tokens or output_tokens.",
            )),
        );
    }
}

/// The load itself, with its draft model at a commit; `waiting` gets the first part that is not
/// known yet.
pub(crate) fn spec(
    workload: &Value<WorkloadModel>,
    draft_model: Option<DraftModel>,
    waiting: &mut Option<&'static str>,
) -> Workload {
    let model = known(workload, "workload", waiting)
        .cloned()
        .unwrap_or_default();
    let mut number = |value: &Value<i64>, path: &'static str| {
        known(value, path, waiting).and_then(|number| u64::try_from(*number).ok())
    };
    let context = number(&model.context_length, "workload.context_length");
    let concurrency = number(&model.max_concurrency, "workload.max_concurrency");
    let input = number(&model.input_tokens, "workload.input_tokens");
    let output = number(&model.output_tokens, "workload.output_tokens");
    let starts = number(&model.starts_per_month, "workload.starts_per_month");
    let ttft = number(&model.max_ttft_ms, "workload.max_ttft_ms");
    let tpot = number(&model.max_tpot_ms, "workload.max_tpot_ms");
    let count = number(&model.adapter_count, "workload.adapter_count");
    let rank = number(&model.adapter_rank, "workload.adapter_rank");
    let draft = number(&model.draft_tokens, "workload.draft_tokens");
    known(&model.draft_model, DRAFT_MODEL, waiting);
    let rate = known(
        &model.requests_per_second,
        "workload.requests_per_second",
        waiting,
    );
    let extend = known(&model.extend_context, "workload.extend_context", waiting);
    Workload {
        context_length: Tokens(context.unwrap_or_default()),
        max_concurrency: narrow(concurrency.unwrap_or_default()),
        input_tokens: Tokens(input.unwrap_or_default()),
        output_tokens: Tokens(output.unwrap_or_default()),
        requests_per_second: rate.and_then(parse_rate),
        starts_per_month: starts.map(narrow),
        extend_context: extend.copied().unwrap_or_default(),
        adapters: count.zip(rank).map(|(count, rank)| Adapters {
            count: narrow(count),
            rank: narrow(rank),
        }),
        draft_tokens: draft.map(narrow),
        draft_model,
        goals: Goals {
            max_ttft_ms: ttft.map(narrow),
            max_tpot_ms: tpot.map(narrow),
        },
    }
}

/// A known value; what is unknown is remembered as what the plan waits for.
pub(crate) fn known<'a, T>(
    value: &'a Value<T>,
    path: &'static str,
    waiting: &mut Option<&'static str>,
) -> Option<&'a T> {
    if value.is_unknown() {
        waiting.get_or_insert(path);
    }
    value.as_known()
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_at_most_three_decimals_and_is_above_zero() {
        let rate = |text: &str| parse_rate(&text.parse().expect("a number"));
        assert_eq!(rate("0.500"), Some(Decimal::new(5, 1)));
        assert_eq!(rate("12"), Some(Decimal::from(12)));
        for nothing in ["0", "-1", "0.0005", "1e9", "1e300"] {
            assert_eq!(rate(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_draft_model_drafts_a_usual_number_of_tokens() {
        let drafted = |tokens: Value<i64>, model: Value<String>| {
            let workload = WorkloadModel {
                draft_tokens: tokens,
                draft_model: model,
                ..WorkloadModel::default()
            };
            with_typical_request(workload).draft_tokens
        };
        let name = || Value::from("Qwen/Qwen3-0.6B");
        assert_eq!(drafted(Value::Null, name()), Value::Known(5));
        assert_eq!(drafted(Value::Known(3), name()), Value::Known(3));
        assert_eq!(drafted(Value::Null, Value::Null), Value::Null);
        assert!(drafted(Value::Null, Value::unknown()).is_unknown());
    }

    #[test]
    fn the_plan_waits_for_a_draft_model_that_is_not_known() {
        let workload = |draft_model: Value<String>| {
            Value::Known(WorkloadModel {
                draft_model,
                ..WorkloadModel::default()
            })
        };
        let mut waiting = None;
        spec(&workload(Value::unknown()), None, &mut waiting);
        assert_eq!(waiting, Some(DRAFT_MODEL));
        let mut waiting = None;
        spec(&workload(Value::Null), None, &mut waiting);
        assert_eq!(waiting, None);
        let named = |value| draft_model(&workload(value));
        assert_eq!(named(Value::unknown()).expect("it may be any"), None);
        let found = named(Value::from("Qwen/Qwen3-0.6B")).expect("it is a name");
        assert_eq!(found.as_ref().map(ModelId::as_str), Some("Qwen/Qwen3-0.6B"));
        assert!(named(Value::from("no name")).is_err());
    }

    #[test]
    fn a_typical_request_fits_its_context() {
        for context in [1, 2, 5, 100, 1279, 1280, 8192] {
            let workload = with_typical_request(WorkloadModel {
                context_length: Value::Known(context),
                ..WorkloadModel::default()
            });
            let tokens = |value: &Value<i64>| value.as_known().copied().unwrap_or_default();
            let (input, output) = (
                tokens(&workload.input_tokens),
                tokens(&workload.output_tokens),
            );
            assert!(input >= 1 && output >= 1, "{context}");
            assert!(input + output <= context.max(2), "{context}");
        }
    }
}
