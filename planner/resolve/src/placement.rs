//! Choose where a model runs: the cheapest shape whose memory holds its footprint.
//!
//! ```text
//!   spec + card ──► request ──► survey ──► cheapest ──► budget? ──► Placement
//!       │              │           └── none ──► what is at fault, and what would help
//!       └──────────────┴── nonsense ──► ResolveError on its input
//! ```
//!
//! An unpriced shape is chosen only where nothing priced holds the load. What the user fixes of
//! the shape wins, and the recommendation is shown beside it.

use openmodel_schemas::model_card::{Gating, ModelCard};
use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::{Usd, UsdPerHour};
use openmodel_schemas::report::{Candidate, Cost, Placement, Recommendation};
use openmodel_schemas::shape::EngineRow;
use openmodel_schemas::spec::{EndpointSpec, ShapeRequest, TokenSource};
use rust_decimal::Decimal;

use crate::advice::{price, refuse};
use crate::architecture::Architecture;
use crate::catalog::Catalog;
use crate::error::{Fault, Field, ResolveError};
use crate::estimate::Place;
use crate::serving::serving;
use crate::survey::{Choice, Rejection, Request, Survey, list, show};
use crate::weights::weights;

/// Most alternatives a plan shows: its reader is busy.
const RUNNERS_UP: usize = 3;

/// Decide where and how one endpoint runs.
pub fn place(
    spec: &EndpointSpec,
    card: &ModelCard,
    catalog: &Catalog,
) -> Result<Placement, ResolveError> {
    decide(spec, card, catalog).map_err(|fault| fault.of(&spec.name))
}

fn decide(spec: &EndpointSpec, card: &ModelCard, catalog: &Catalog) -> Result<Placement, Fault> {
    let engine = engine(spec, catalog)?;
    let architecture = Architecture::of(card)?;
    check(spec, card, catalog)?;
    let request = Request {
        place: Place {
            catalog,
            surface: spec.surface,
            region: &spec.region,
        },
        engine,
        architecture,
        weights: weights(card, architecture, spec.quantization, engine)?,
        workload: spec.workload.clone(),
    };
    let free = ShapeRequest::default();
    let survey = Survey::of(&request, &free);
    let fixed_survey = (spec.shape != free).then(|| Survey::of(&request, &spec.shape));
    let considered = fixed_survey.as_ref().unwrap_or(&survey);
    let Some(choice) = considered.feasible.first() else {
        return Err(refuse(spec, card, &request, &spec.shape, considered));
    };
    let cost = request.place.cost(&choice.shape, spec.scaling);
    let recommended = survey.feasible.first().unwrap_or(choice);
    within_budget(spec, &request, choice, recommended, &cost)?;
    Ok(Placement {
        surface: spec.surface,
        shape: choice.shape.clone(),
        memory: choice.footprint.memory(basis(&request)),
        cost,
        recommendation: recommendation(&request, choice, recommended, &survey),
        serving: serving(spec, architecture, engine, &choice.shape, &choice.footprint)?,
    })
}

fn engine<'a>(spec: &EndpointSpec, catalog: &'a Catalog) -> Result<&'a EngineRow, Fault> {
    catalog.engine(spec.engine.name.as_deref()).ok_or_else(|| {
        let known: Vec<&str> = catalog.document().engines.iter().map(|row| row.name.as_str()).collect();
        Fault {
            field: Field::Engine,
            code: "unknown_engine",
            summary: "Unknown engine",
            detail: format!(
                "There is no engine {:?}; known are {}. Choose one of these, or leave engine.name out.",
                spec.engine.name.as_deref().unwrap_or_default(),
                list(&known)
            ),
        }
    })
}

/// What is wrong with a request whatever the shape.
fn check(spec: &EndpointSpec, card: &ModelCard, catalog: &Catalog) -> Result<(), Fault> {
    let fault = |field, code, summary, detail| {
        Err(Fault {
            field,
            code,
            summary,
            detail,
        })
    };
    let load = &spec.workload;
    let (context, sequences) = (load.context_length.0, load.max_concurrency);
    if context == 0 {
        let detail =
            "context_length = 0 holds no token. Set the longest prompt and answer together."
                .to_owned();
        return fault(
            Field::ContextLength,
            "invalid_load",
            "Context length is zero",
            detail,
        );
    }
    let positions = card.config.as_ref().and_then(|config| config.max_positions);
    if let Some(positions) = positions.filter(|positions| context > *positions) {
        let detail = format!(
            "{} was made for sequences of at most {positions} tokens (max_position_embeddings); \
             context_length = {context} is longer. Set context_length to at most {positions}.",
            card.id
        );
        return fault(
            Field::ContextLength,
            "context_too_long",
            "Context is longer than the model allows",
            detail,
        );
    }
    let most = catalog
        .offers(spec.surface)
        .map(|offer| offer.max_concurrency)
        .max()
        .unwrap_or(u32::MAX);
    if sequences == 0 || sequences > most {
        let detail = format!(
            "max_concurrency = {sequences}, but an instance on {} takes 1 to {most} requests at once. \
             Choose a number in between; more load needs more replicas.",
            spec.surface.as_str()
        );
        return fault(
            Field::MaxConcurrency,
            "invalid_load",
            "Concurrency is out of bounds",
            detail,
        );
    }
    let (input, output) = (load.input_tokens.0, load.output_tokens.0);
    if input.saturating_add(output) > context {
        let detail = format!(
            "A typical request of {input} tokens in and {output} out is longer than \
             context_length = {context}. Raise context_length, or lower input_tokens or output_tokens."
        );
        return fault(
            Field::InputTokens,
            "invalid_load",
            "Typical request is longer than the context",
            detail,
        );
    }
    let (least, replicas) = (spec.scaling.min_replicas, spec.scaling.max_replicas);
    if replicas == 0 || least > replicas {
        let detail = format!(
            "min_replicas = {least} and max_replicas = {replicas} leave no number of replicas. \
             Set max_replicas to at least 1 and to at least min_replicas."
        );
        return fault(
            Field::Scaling,
            "invalid_scaling",
            "Replica bounds contradict",
            detail,
        );
    }
    if (card.gating != Gating::None || card.private) && spec.token == TokenSource::None {
        let why = if card.private { "private" } else { "gated" };
        let detail = format!(
            "{} is {why}: the container can download it only with a token of an account that has \
             access. Set hugging_face_token_wo, or hugging_face_token_secret with the name of a Secret \
             Manager secret.",
            card.id
        );
        return fault(
            Field::Token,
            "token_missing",
            "Model needs a Hugging Face token",
            detail,
        );
    }
    Ok(())
}

/// Budgets hold for the largest number of replicas, gross of credits and discounts.
fn within_budget(
    spec: &EndpointSpec,
    request: &Request,
    choice: &Choice,
    recommended: &Choice,
    cost: &Cost,
) -> Result<(), Fault> {
    let show_hour = |usd| UsdPerHour(usd).to_string();
    let show_month = |usd| format!("{} a month", Usd(usd));
    let hour = Limit {
        field: Field::BudgetHourly,
        attribute: "max_hourly_cost",
        most: spec.budget.max_hourly_cost,
        hours: Decimal::ONE,
        show: &show_hour,
    };
    let month = Limit {
        field: Field::BudgetMonthly,
        attribute: "max_monthly_cost",
        most: spec.budget.max_monthly_cost,
        hours: Decimal::from(730),
        show: &show_month,
    };
    for limit in [hour, month] {
        let Some(most) = limit.most else { continue };
        let Some(UsdPerHour(hourly)) = cost.hourly else {
            return Err(unpriced(spec, request, choice, cost, &limit));
        };
        let replicas = spec.scaling.max_replicas;
        let one = hourly.saturating_mul(limit.hours);
        let times = |replicas: u32| one.saturating_mul(Decimal::from(replicas));
        if times(replicas) <= most {
            continue;
        }
        let affordable = (1..replicas)
            .rev()
            .find(|replicas| times(*replicas) <= most);
        let cheaper = recommended.hourly.filter(|cheaper| cheaper.0 < hourly);
        let help = match (affordable, cheaper) {
            (_, Some(cheaper)) => format!("{} holds it too, at {cheaper} a replica.", show(&recommended.shape)),
            (Some(replicas), None) => format!("Set max_replicas = {replicas}, or raise the limit."),
            (None, None) => "It is the cheapest shape with a known price that holds the load: raise the limit, lower \
                             the load, or choose a smaller model."
                .to_owned(),
        };
        return Err(Fault {
            field: limit.field,
            code: "over_budget",
            summary: "Cost is over the budget",
            detail: format!(
                "{} on {} costs {} for each replica, {} with max_replicas = {replicas}; {} is {}. {help}",
                spec.model,
                show(&choice.shape),
                (limit.show)(one),
                (limit.show)(times(replicas)),
                limit.attribute,
                (limit.show)(most)
            ),
        });
    }
    Ok(())
}

/// One limit of a budget.
struct Limit<'a> {
    field: Field,
    attribute: &'static str,
    most: Option<Decimal>,
    hours: Decimal,
    show: &'a dyn Fn(Decimal) -> String,
}

fn unpriced(
    spec: &EndpointSpec,
    request: &Request,
    choice: &Choice,
    cost: &Cost,
    limit: &Limit,
) -> Fault {
    let unknown = cost.lines.iter().find(|line| line.hourly.is_none());
    let (item, why) = unknown.map_or(("it", ""), |line| {
        (line.item.as_str(), line.source.as_str())
    });
    Fault {
        field: limit.field,
        code: "unpriced",
        summary: "Budget cannot be checked: a price is not known",
        detail: format!(
            "{} holds {}, but its cost is not known: {item}: {why}. Remove {}, choose a region with known \
             prices ({}), or give a catalog that has the price.",
            show(&choice.shape),
            spec.model,
            limit.attribute,
            list(&priced_regions(request))
        ),
    }
}

/// Regions in which the load fits a shape with a known price.
fn priced_regions(request: &Request) -> Vec<String> {
    let place = request.place;
    let mut regions: Vec<_> = place
        .catalog
        .offers(place.surface)
        .flat_map(|offer| offer.regions.iter().map(|row| &row.region))
        .collect();
    regions.sort();
    regions.dedup();
    let priced = |region: &&Region| {
        let place = Place { region, ..place };
        let survey = Survey::of(
            &Request {
                place,
                ..request.clone()
            },
            &ShapeRequest::default(),
        );
        survey
            .feasible
            .first()
            .is_some_and(|choice| choice.hourly.is_some())
    };
    let found: Vec<String> = regions
        .into_iter()
        .filter(priced)
        .map(ToString::to_string)
        .collect();
    if found.is_empty() {
        vec!["none in this catalog".to_owned()]
    } else {
        found
    }
}

fn recommendation(
    request: &Request,
    choice: &Choice,
    recommended: &Choice,
    survey: &Survey,
) -> Recommendation {
    let (priced, unpriced): (Vec<_>, Vec<_>) = survey
        .feasible
        .iter()
        .partition(|choice| choice.hourly.is_some());
    let region = request.place.region;
    let mut reason = Vec::new();
    if choice.shape != recommended.shape {
        reason.push(format!(
            "The shape is set in the configuration: {} at {}; recommended is {} at {}.",
            show(&choice.shape),
            price(choice.hourly),
            show(&recommended.shape),
            price(recommended.hourly)
        ));
    }
    reason.push(match (priced.len(), unpriced.len()) {
        (0, 1) => {
            format!("It is the only shape that holds the load; its price in {region} is not known.")
        }
        (0, many) => format!(
            "It is the smallest of {many} shapes that hold the load; no price in {region} is known."
        ),
        (1, 0) => "It is the only shape that holds the load.".to_owned(),
        (1, _) => "It is the only shape with a known price that holds the load.".to_owned(),
        (many, _) => {
            format!("It is the cheapest of {many} shapes with a known price that hold the load.")
        }
    });
    let note = recommended
        .offer
        .regions
        .iter()
        .find(|row| row.region == *region)
        .and_then(|row| row.note.as_deref());
    if let Some(note) = note {
        reason.push(format!(
            "{region} offers {} {note}.",
            recommended.shape.accelerator
        ));
    }
    reason.push(match request.place.zonal_redundancy(&recommended.shape) {
        Some(more) => {
            format!("Zonal redundancy is off: it costs {more} more and has a quota of its own.")
        }
        None => "Zonal redundancy is off: it costs more and has a quota of its own.".to_owned(),
    });
    let others = survey
        .feasible
        .iter()
        .filter(|other| other.shape != recommended.shape);
    Recommendation {
        chosen: show(&recommended.shape),
        reason: reason.join(" "),
        runners_up: others
            .take(RUNNERS_UP)
            .map(|other| runner_up(other, recommended, region.as_str()))
            .collect(),
        rejected: survey.rejected.iter().map(Rejection::candidate).collect(),
    }
}

fn runner_up(other: &Choice, recommended: &Choice, region: &str) -> Candidate {
    let (code, reason) = match (other.hourly, recommended.hourly) {
        (Some(other), Some(recommended)) if other > recommended => (
            "costs_more",
            format!("costs {} more", UsdPerHour(other.0 - recommended.0)),
        ),
        (Some(_), Some(_)) => ("costs_the_same", "costs the same and is larger".to_owned()),
        (None, Some(_)) => ("unpriced", format!("its price in {region} is not known")),
        (_, None) => (
            "larger",
            format!("is larger; no price in {region} is known"),
        ),
    };
    Candidate {
        shape: show(&other.shape),
        hourly: other.hourly,
        code: code.to_owned(),
        reason,
    }
}

fn basis(request: &Request) -> String {
    let engine = request.engine;
    let kv = if request.architecture.config.sliding_window.is_some() {
        "KV cache an upper bound, with sliding-window layers counted in full"
    } else {
        "KV cache exact"
    };
    let fitted = request.place.catalog.source(&engine.memory.source);
    format!(
        "{} {} at {} % of usable memory; weights by {}; {kv}; activations and graphs fitted on start-up logs of {}",
        engine.name,
        engine.version,
        engine.memory.utilization_percent,
        request.weights.basis,
        fitted.map_or("an unknown date", |source| source.date.as_str())
    )
}

#[cfg(test)]
mod tests;
