//! Figures as the attributes show them: decimal text, each kind with the digits that matter.
//! Why text: `docs/decisions/0005-flat-advice.md`.

use openmodel_schemas::quantity::{Bytes, Usd, UsdPerHour};
use openmodel_schemas::report::{ColdStart, CostLine, Performance, Range};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};
use tfplug::schema::Attribute;
use tfplug::value::Value;

/// `performance`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PerformanceModel {
    pub(crate) ttft_ms: Value<String>,
    pub(crate) ttft_ms_range: Value<String>,
    pub(crate) tpot_ms: Value<String>,
    pub(crate) tpot_ms_range: Value<String>,
    pub(crate) output_tokens_per_second: Value<String>,
    pub(crate) requests_per_second: Value<String>,
    pub(crate) basis: Value<String>,
}

/// The attribute `performance`.
pub(crate) fn performance_attribute() -> Attribute {
    let text = |name: &str, text: &str| Attribute::string(name).computed().description(text);
    Attribute::object(
        "performance",
        [
            text("ttft_ms", "Time to the first token, in milliseconds."),
            text("ttft_ms_range", "Its range, such as `310.0 to 620.0`."),
            text("tpot_ms", "Time between tokens, in milliseconds."),
            text("tpot_ms_range", "Its range."),
            text("output_tokens_per_second", "Answer tokens a second of one replica."),
            text("requests_per_second", "Typical requests a second of one replica."),
            text(
                "basis",
                "`measured`: anchored to measurements of this model on this accelerator; `fitted`: constants \
                 fitted on its family; `roofline`: physics, on an accelerator nobody measured.",
            ),
        ],
    )
    .computed()
    .description(
        "Estimated speed of one replica at `max_concurrency` with typical requests, as decimal text. A range \
         holds four of five measurements. Null where no estimate is known.",
    )
}

/// How fast a replica is.
pub(crate) fn performance(performance: Option<&Performance>) -> Value<PerformanceModel> {
    performance
        .map(|performance| PerformanceModel {
            ttft_ms: estimate(performance.ttft_ms, 1),
            ttft_ms_range: range(performance.ttft_ms),
            tpot_ms: estimate(performance.tpot_ms, 1),
            tpot_ms_range: range(performance.tpot_ms),
            output_tokens_per_second: estimate(performance.output_tokens_per_second, 0),
            requests_per_second: estimate(performance.requests_per_second, 3),
            basis: performance.basis.as_str().into(),
        })
        .into()
}

fn estimate(range: Range, digits: usize) -> Value<String> {
    Value::Known(format!("{:.digits$}", range.estimate))
}

fn range(range: Range) -> Value<String> {
    Value::Known(format!("{:.1} to {:.1}", range.low, range.high))
}

/// GiB with two decimals, as the engines' logs show them.
pub(crate) fn gib(bytes: Bytes) -> Value<String> {
    Value::Known(format!("{:.2}", bytes.as_gib()))
}

/// Four decimals: prices per hour have that many digits that matter.
pub(crate) fn hourly(price: Option<UsdPerHour>) -> Value<String> {
    price.map(|price| money(price.0, 4)).into()
}

/// A monthly amount, to the cent.
pub(crate) fn amount(amount: Option<Usd>) -> Value<String> {
    amount.map(|amount| money(amount.0, 2)).into()
}

/// A price of a million tokens; small models cost a fraction of a cent.
pub(crate) fn per_million(amount: Option<Usd>) -> Value<String> {
    amount.map(|amount| money(amount.0, 4)).into()
}

/// `1 x nvidia-l4: $0.6721/h, $0.0001867 per second (…)`.
pub(crate) fn cost_line(line: &CostLine) -> String {
    let price = line
        .hourly
        .map_or_else(|| "price not known".to_owned(), |price| price.to_string());
    format!("{}: {price}, {}", line.item, line.source)
}

/// `36 to 495 s, $0.0387 at 133 s`.
pub(crate) fn cold_start(start: &ColdStart) -> String {
    let cost = start.usd.map_or_else(String::new, |usd| {
        format!(", ${} at {:.0} s", money(usd.0, 4), start.seconds.estimate)
    });
    format!("{}{cost}", seconds(start.seconds))
}

/// `36 to 495 s`.
pub(crate) fn seconds(range: Range) -> String {
    format!("{:.0} to {:.0} s", range.low, range.high)
}

/// A count as Terraform's number.
pub(crate) fn number(number: Option<u64>) -> Value<i64> {
    number.and_then(|number| i64::try_from(number).ok()).into()
}

fn money(amount: Decimal, digits: u32) -> String {
    let mut rounded = amount.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(digits);
    rounded.to_string()
}
