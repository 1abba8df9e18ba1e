//! Several models at once: the cheapest pool of machines, from the same flags.

use anyhow::Result;
use clap::error::ErrorKind;
use openmodel_resolve::joint::JointError;
use openmodel_resolve::market::Catalog;
use openmodel_resolve::pool::{Place, PoolError, pool};
use openmodel_resolve::ranking::Question;
use openmodel_schemas::catalog::PurchaseOption;
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::Tokens;
use openmodel_schemas::spec::{Quantization, Surface};

use super::advice::halves;
use super::arguments::Recommend;
use super::figures::hourly;
use super::model::Facts;
use super::names;
use super::page::makes_images;
use super::pool_page::page;
use crate::terminal;

/// Where a pool is bought where no flag says.
const SURFACE: Surface = Surface::Gke;
const REGION: &str = "us-central1";

/// Answer on the standard output; that nothing holds the models is an error that names one.
pub(super) async fn run(asked: &Recommend, catalog: &Catalog) -> Result<()> {
    refuse(asked)?;
    let place = place(asked)?;
    let facts = Facts::of(asked)?;
    let mut cards = Vec::with_capacity(asked.model.len());
    for wanted in &asked.model {
        let card = facts.card(&wanted.id, &asked.revision).await?;
        cards.push((card, wanted.replicas.unwrap_or(1)));
    }
    let models: Vec<_> = cards
        .iter()
        .map(|(card, replicas)| (card, asked.question(card, None), *replicas))
        .collect();
    let report = pool(&models, &place, catalog)
        .map_err(|error| in_flags(error, asked, &models, &place, catalog))?;
    let text = if asked.json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        // The longest request stands for all.
        let load = models
            .iter()
            .map(|(_, question, _)| &question.workload)
            .max_by_key(|load| (load.context_length, load.output_tokens));
        let images = cards.iter().map(|(card, _)| card);
        let images = images.filter(|card| makes_images(card));
        let images = images.map(|card| card.id.as_str()).collect::<Vec<_>>();
        page(asked, load, &report, &images, terminal::width())
    };
    terminal::print(&text, asked.color)?;
    Ok(())
}

/// The place that the flags name.
fn place(asked: &Recommend) -> Result<Place> {
    let one = |flag: &str, values: &[String]| match values {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        several => Err(wrong(format!(
            "{flag}: a pool has one, not {}",
            several.join(" and ")
        ))),
    };
    let surface = one("--surface", &asked.surface)?;
    let surface = match surface.as_deref() {
        None => SURFACE,
        Some("gke") => Surface::Gke,
        Some("compute") => Surface::Compute,
        Some(other) => {
            let said = format!(
                "--surface: {other} has no machines that models can share: name compute or gke"
            );
            return Err(wrong(said).into());
        }
    };
    let option = one("--option", &asked.option)?;
    let option = match option.as_deref() {
        None => PurchaseOption::OnDemand,
        Some(word) => PurchaseOption::ALL
            .into_iter()
            .find(|option| option.as_str() == word)
            .ok_or_else(|| {
                wrong(format!(
                    "--option: a pool is bought in one way: name it, not {word}"
                ))
            })?,
    };
    let region = one("--region", &asked.region)?;
    Ok(Place {
        surface,
        region: region.as_deref().unwrap_or(REGION).parse()?,
        option,
    })
}

/// Flags that say nothing of a pool.
fn refuse(asked: &Recommend) -> Result<(), clap::Error> {
    let price = "the cheapest is looked for, whatever it costs";
    let facts = "it is of one model: give facts of several with --models";
    let all = [
        (
            "--rps",
            asked.rps.is_some(),
            "say how many replicas there are: MODEL=REPLICAS",
        ),
        (
            "--starts-per-month",
            asked.starts_per_month.is_some(),
            "its machines run all month",
        ),
        ("--max-hourly-cost", asked.max_hourly_cost.is_some(), price),
        (
            "--max-monthly-cost",
            asked.max_monthly_cost.is_some(),
            price,
        ),
        (
            "--objective",
            asked.objective != "cost",
            "the cheapest is looked for, nothing else",
        ),
        (
            "--limit",
            asked.limit.is_some(),
            "all its machines are shown",
        ),
        ("--config", asked.config.is_some(), facts),
        (
            "--draft-model",
            asked.draft_model.is_some(),
            "it drafts for one model: ask about that model alone",
        ),
        (
            "--revision",
            asked.revision.as_str() != "main",
            "its models have no common revision",
        ),
    ];
    for (flag, stated, why) in all {
        if stated {
            return Err(wrong(format!("{flag} is not for a pool of models: {why}")));
        }
    }
    let mut names: Vec<&str> = asked
        .model
        .iter()
        .map(|wanted| wanted.id.as_str())
        .collect();
    names.sort_unstable();
    if let Some([name, _]) = names.array_windows().find(|[one, next]| one == next) {
        let said = format!("{name} is named twice: for two replicas of it say {name}=2");
        return Err(wrong(said));
    }
    Ok(())
}

/// As clap says it of flags.
fn wrong(said: String) -> clap::Error {
    clap::Error::raw(ErrorKind::ArgumentConflict, said + "\n")
}

/// A model, what is asked of it, and how many replicas.
type Asked<'a> = (&'a ModelCard, Question, u32);

/// A refusal of the planner, in the words of the flags.
fn in_flags(
    error: PoolError,
    flags: &Recommend,
    models: &[Asked],
    place: &Place,
    catalog: &Catalog,
) -> anyhow::Error {
    match error {
        PoolError::Model { model, error } => {
            let of = models.iter().find(|(card, _, _)| card.id.as_str() == model);
            let assumed = of.map(|(_, question, _)| flags.assumed(&question.workload));
            names::in_flags(&error, &assumed.unwrap_or_default()).context(model)
        }
        PoolError::Joint(JointError::NothingHolds { tenant, reasons }) => {
            let mut said = format!("no machine of the pool's place holds {tenant}:\n");
            for reason in reasons {
                said += "\n  ";
                said += &reason;
            }
            let asked = models
                .iter()
                .find(|(card, _, _)| card.id.as_str() == tenant);
            let help = asked.map_or_else(Vec::new, |asked| advice(asked, place, catalog));
            said += "\n\n";
            if help.is_empty() {
                said += "No other --accelerator, --option, --region, --context, --concurrency or format alone holds it.";
            }
            said += &help.join("\n");
            anyhow::anyhow!(said)
        }
        other => other.into(),
    }
}

/// What holds a model that nothing holds: each a question that was changed and asked again.
fn advice((card, question, _): &Asked, place: &Place, catalog: &Catalog) -> Vec<String> {
    let on = |question: &Question, place: &Place| {
        let report = pool(&[(*card, question.clone(), 1)], place, catalog).ok()?;
        let machine = report.machines.first()?;
        let price = hourly(report.hourly);
        Some(format!("{} for {price} an hour", machine.shape))
    };
    let with = |words: &str, question: &Question, place: &Place| {
        on(question, place).map(|machine| format!("With {words} it fits {machine}."))
    };
    let changed = |change: &dyn Fn(&mut Question)| {
        let mut question = question.clone();
        change(&mut question);
        question
    };
    let mut help = Vec::new();
    if !question.accelerators.is_empty() {
        let free = changed(&|question| question.accelerators.clear());
        help.extend(with("another --accelerator", &free, place));
    }
    // A checkpoint that is quantised is not made another while loading.
    let quantised = card
        .config
        .as_ref()
        .is_some_and(|config| config.quantization.is_some());
    if !quantised && !question.quantizations.contains(&Some(Quantization::Fp8)) {
        let fp8 = changed(&|question| question.quantizations = vec![Some(Quantization::Fp8)]);
        help.extend(with("--quantization fp8", &fp8, place));
    }
    if place.option != PurchaseOption::Spot {
        let spot = Place {
            option: PurchaseOption::Spot,
            ..place.clone()
        };
        help.extend(with("--option spot", question, &spot));
    }
    let mut regions: Vec<&Region> = catalog
        .sales_on(place.surface)
        .filter_map(|sale| sale.region)
        .collect();
    regions.sort_unstable();
    regions.dedup();
    help.extend(regions.into_iter().find_map(|region| {
        let there = Place {
            region: region.clone(),
            ..place.clone()
        };
        with(&format!("--region {region}"), question, &there)
    }));
    let load = &question.workload;
    let typical = load.input_tokens.0.saturating_add(load.output_tokens.0);
    help.extend(
        halves(load.context_length.0)
            .take_while(|context| *context >= typical)
            .find_map(|context| {
                let shorter =
                    changed(&|question| question.workload.context_length = Tokens(context));
                with(&format!("--context {context}"), &shorter, place)
            }),
    );
    help.extend(halves(load.max_concurrency.into()).find_map(|sequences| {
        let sequences = u32::try_from(sequences).ok()?;
        let fewer = changed(&|question| question.workload.max_concurrency = sequences);
        with(&format!("--concurrency {sequences}"), &fewer, place)
    }));
    help
}
