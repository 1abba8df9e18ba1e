//! Names in flags: those that are unknown, with what is known; and refusals of the planner in
//! the words of the flags.

use clap::Args as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use openmodel_resolve::Field;
use openmodel_resolve::market::Catalog;
use openmodel_resolve::memory::MemoryError;
use openmodel_schemas::engine::{EMBEDDED_ENGINES, EnginesDocument};
use openmodel_schemas::name::Region;

use super::arguments::Recommend;

/// Whether the catalog and the engines know every name.
pub(super) fn check(asked: &Recommend, catalog: &Catalog) -> Result<(), anyhow::Error> {
    for name in &asked.accelerator {
        if catalog.accelerator(name).is_none() {
            let rows = &catalog.document().accelerators;
            let known: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            // An alias may be what was meant.
            let all = rows
                .iter()
                .flat_map(|row| std::iter::once(&row.name).chain(&row.aliases));
            let near = nearest(name, all.map(String::as_str));
            let near = near
                .and_then(|near| catalog.accelerator(near))
                .map(|row| row.name.as_str());
            return Err(unknown("--accelerator <ACCELERATOR>", name, &known, near).into());
        }
    }
    if !asked.region.is_empty() {
        let mut known: Vec<&str> = catalog
            .sales()
            .filter_map(|sale| sale.region)
            .map(Region::as_str)
            .collect();
        known.sort_unstable();
        known.dedup();
        let stranger = asked
            .region
            .iter()
            .map(String::as_str)
            .find(|region| !known.contains(region));
        if let Some(name) = stranger {
            let near = nearest(name, known.iter().copied());
            return Err(unknown("--region <REGION>", name, &known, near).into());
        }
    }
    if let Some((name, _)) = asked.engine() {
        let engines = engines()?;
        let known: Vec<&str> = engines
            .engines
            .iter()
            .map(|row| row.name.as_str())
            .collect();
        if !known.contains(&name) {
            let near = nearest(name, known.iter().copied());
            return Err(unknown("--engine <ENGINE[@VERSION]>", name, &known, near).into());
        }
    }
    Ok(())
}

fn engines() -> serde_json::Result<EnginesDocument> {
    serde_json::from_str(EMBEDDED_ENGINES)
}

/// Whether an engine can be told which share of the memory is its own.
pub(super) fn takes_share(engine: &str) -> bool {
    engines().is_ok_and(|known| {
        let mut rows = known.engines.iter();
        rows.any(|row| row.name == engine && row.flags.utilization.is_some())
    })
}

/// The most similar name, where one is similar at all.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const SIMILAR: f64 = 0.75;
    let name = name.to_lowercase();
    known
        .map(|known| (strsim::jaro_winkler(&name, &known.to_lowercase()), known))
        .filter(|(score, _)| *score >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// As clap says it of the flags whose values it knows.
fn unknown(flag: &str, value: &str, known: &[&str], near: Option<&str>) -> clap::Error {
    let command =
        Recommend::augment_args(clap::Command::new("recommend").bin_name("openmodel recommend"));
    let text = |text: &str| ContextValue::String(text.to_owned());
    let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(&command);
    error.insert(ContextKind::InvalidArg, text(flag));
    error.insert(ContextKind::InvalidValue, text(value));
    let known = known.iter().map(ToString::to_string).collect();
    error.insert(ContextKind::ValidValue, ContextValue::Strings(known));
    if let Some(near) = near {
        error.insert(ContextKind::SuggestedValue, text(near));
    }
    error
}

/// A refusal of the planner, on the flag at fault and in the words of the flags; `assumed` are the
/// lengths that no flag stated.
pub(super) fn in_flags(error: &MemoryError, assumed: &[String]) -> anyhow::Error {
    let mut detail = in_words(&error.detail);
    if error.code == "context_too_long" {
        detail += " To stretch it beyond that, add --extend-context.";
    }
    // It speaks of three lengths, and not all of them were typed.
    if detail.starts_with("A typical request of ") && !assumed.is_empty() {
        detail += " Assumed, where no flag says: ";
        detail += &assumed.join(", ");
        detail.push('.');
    }
    let flag = flag(error.field).map_or_else(String::new, |flag| format!("{flag}: "));
    anyhow::anyhow!("{flag}{}\n\n  {detail}", error.summary)
}

/// A text with the flags in place of the attributes: `context_length = 8` is `--context 8`. Only
/// whole words are attributes: `quantization_config` is a field of a model's.
fn in_words(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut said = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let inside = said.ends_with(is_word);
        let attribute = WORDS.iter().find_map(|(attribute, flag)| {
            let after = rest.strip_prefix(attribute).filter(|_| !inside)?;
            // A word of plain English is an attribute where it has a value.
            let meant = attribute.contains(['_', '.'])
                || after.starts_with(" = ")
                || said.ends_with("Remove ");
            (meant && !after.starts_with(is_word)).then_some((*flag, after))
        });
        if let Some((flag, after)) = attribute {
            said += flag;
            rest = after;
            // A flag's value stands behind it.
            if let Some(value) = after.strip_prefix(" = ") {
                said.push(' ');
                rest = value;
            }
        } else {
            let mut letters = rest.chars();
            said.extend(letters.next());
            rest = letters.as_str();
        }
    }
    said
}

/// Attributes of an endpoint, and the flags that stand for them.
const WORDS: [(&str, &str); 25] = [
    ("context_length", "--context"),
    ("max_concurrency", "--concurrency"),
    ("input_tokens", "--input-tokens"),
    ("output_tokens", "--output-tokens"),
    ("requests_per_second", "--rps"),
    ("max_ttft_ms", "--max-ttft-ms"),
    ("max_tpot_ms", "--max-tpot-ms"),
    ("draft_tokens", "--draft-tokens"),
    ("draft_model", "--draft-model"),
    ("extend_context", "--extend-context"),
    ("adapter_count", "--lora"),
    ("adapter_rank", "--lora"),
    ("engine.name", "--engine"),
    ("engine", "--engine"),
    ("quantizations", "--quantization"),
    ("quantization", "--quantization"),
    ("kv_cache_dtype", "--kv-cache"),
    ("surface", "--surface"),
    ("region", "--region"),
    ("shape.accelerator", "--accelerator"),
    ("budget.max_hourly_cost", "--max-hourly-cost"),
    ("budget.max_monthly_cost", "--max-monthly-cost"),
    ("max_hourly_cost", "--max-hourly-cost"),
    ("max_monthly_cost", "--max-monthly-cost"),
    ("allowed_licenses", "--allow-license"),
];

const fn flag(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::Licence => "--allow-license",
        Field::Region => "--region",
        Field::ContextLength => "--context",
        Field::MaxConcurrency => "--concurrency",
        Field::InputTokens => "--input-tokens",
        Field::OutputTokens => "--output-tokens",
        Field::RequestsPerSecond => "--rps",
        Field::MaxTtft => "--max-ttft-ms",
        Field::MaxTpot => "--max-tpot-ms",
        Field::Adapters => "--lora",
        Field::DraftTokens => "--draft-tokens",
        Field::DraftModel => "--draft-model",
        Field::KvCache => "--kv-cache",
        Field::Quantization => "--quantization",
        Field::ShapeAccelerator => "--accelerator",
        Field::Engine => "--engine",
        Field::BudgetHourly => "--max-hourly-cost",
        Field::BudgetMonthly => "--max-monthly-cost",
        Field::Model
        | Field::Shape
        | Field::ShapeAcceleratorCount
        | Field::ShapeCpu
        | Field::ShapeMemory
        | Field::Scaling
        | Field::Token
        | Field::Cache
        | Field::Loader => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_close_or_none() {
        let known = ["us-central1", "us-east4", "europe-west4"];
        let near = |name| nearest(name, known.into_iter());
        assert_eq!(near("us-central"), Some("us-central1"));
        assert_eq!(near("eu-west4"), Some("europe-west4"));
        assert_eq!(near("mars"), None);
    }

    #[test]
    fn attributes_are_said_as_flags_wherever_they_stand() {
        for (text, said) in [
            ("context_length = 8: too long.", "--context 8: too long."),
            (
                "Raise context_length, or leave draft_tokens out.",
                "Raise --context, or leave --draft-tokens out.",
            ),
            (
                "With quantization = \"fp8\" the engine has",
                "With --quantization \"fp8\" the engine has",
            ),
            (
                "quantization_config.bits is 3",
                "quantization_config.bits is 3",
            ),
            ("ß max_input_tokens, région", "ß max_input_tokens, région"),
            ("leave engine.name out", "leave --engine out"),
        ] {
            assert_eq!(in_words(text), said);
        }
    }
}
