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
    if let Some(name) = &asked.engine {
        let engines: EnginesDocument = serde_json::from_str(EMBEDDED_ENGINES)?;
        let known: Vec<&str> = engines
            .engines
            .iter()
            .map(|row| row.name.as_str())
            .collect();
        if !known.contains(&name.as_str()) {
            let near = nearest(name, known.iter().copied());
            return Err(unknown("--engine <ENGINE>", name, &known, near).into());
        }
    }
    Ok(())
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

/// A refusal of the planner, on the flag at fault and in the words of the flags.
pub(super) fn in_flags(error: &MemoryError) -> anyhow::Error {
    let mut detail = error.detail.clone();
    for (attribute, flag) in WORDS {
        detail = detail.replace(&format!("{attribute} = "), &format!("{flag} "));
        detail = detail.replace(attribute, flag);
    }
    if error.code == "context_too_long" {
        detail += " To stretch it beyond that, add --extend-context.";
    }
    let flag = flag(error.field).map_or_else(String::new, |flag| format!("{flag}: "));
    anyhow::anyhow!("{flag}{}\n\n  {detail}", error.summary)
}

/// Attributes of an endpoint, and the flags that stand for them.
const WORDS: [(&str, &str); 7] = [
    ("context_length", "--context"),
    ("max_concurrency", "--concurrency"),
    ("input_tokens", "--input-tokens"),
    ("output_tokens", "--output-tokens"),
    ("requests_per_second", "--rps"),
    ("engine.name", "--engine"),
    ("quantization", "--quantization"),
];

const fn flag(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::Licence => "--allow-license",
        Field::Region => "--region",
        Field::ContextLength => "--context",
        Field::MaxConcurrency => "--concurrency",
        Field::InputTokens => "--input-tokens",
        Field::RequestsPerSecond => "--rps",
        Field::MaxTtft => "--max-ttft-ms",
        Field::MaxTpot => "--max-tpot-ms",
        Field::Adapters => "--lora",
        Field::DraftTokens => "--draft-tokens",
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
        | Field::Token => return None,
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
}
