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

use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::{Usd, UsdPerHour};
use openmodel_schemas::report::{Candidate, Cost, Loading, Placement, Recommendation};
use openmodel_schemas::repository::Gating;
use openmodel_schemas::snapshot::RepositoryType;
use openmodel_schemas::spec::{
    Budget, CacheBinding, EndpointSpec, Objective, ShapeRequest, Surface, TokenSource,
};
use rust_decimal::Decimal;

use crate::advice::refuse;
use crate::behind::behind;
use crate::error::{Fault, Field, ResolveError};
use crate::gguf;
use crate::loader::{Source, choose, load_time};
use crate::market::Catalog;
use crate::need::Need;
use crate::needed::needed;
use crate::reason::list;
use crate::serving::serving;
use crate::show::{basis, performance, price};
use crate::survey::{Choice, Rejection, Scope, Survey};

/// Most alternatives a plan shows: its reader is busy.
const RUNNERS_UP: usize = 3;

/// Decide where and how one endpoint runs, from the facts of its model and of its draft model,
/// where its load names one.
pub fn place(
    spec: &EndpointSpec,
    card: &ModelCard,
    draft: Option<&ModelCard>,
    catalog: &Catalog,
) -> Result<Placement, ResolveError> {
    decide(spec, card, draft, catalog).map_err(|fault| fault.of(&spec.name))
}

fn decide(
    spec: &EndpointSpec,
    card: &ModelCard,
    draft: Option<&ModelCard>,
    catalog: &Catalog,
) -> Result<Placement, Fault> {
    let engine = spec.engine.name.as_deref();
    let need = Need {
        own_image: spec.engine.image.is_some(),
        ..Need::of(
            card,
            draft,
            &spec.workload,
            engine,
            &[spec.quantization],
            None,
        )?
    };
    check(spec, catalog)?;
    check_stored(spec, card)?;
    let draft = need.draft.map(|draft| draft.card);
    match &spec.cache {
        Some(cache) => check_cache(spec, cache, card)?,
        None => {
            for card in [Some(card), draft].into_iter().flatten() {
                check_token(spec, card)?;
            }
        }
    }
    let request = Request {
        spec,
        need: &need,
        surfaces: [spec.surface],
        regions: [spec.region.clone()],
    };
    let free = ShapeRequest::default();
    let survey = request.survey(catalog, &free);
    let fixed_survey = (spec.shape != free).then(|| request.survey(catalog, &spec.shape));
    let considered = fixed_survey.as_ref().unwrap_or(&survey);
    let Some(choice) = considered.first() else {
        return Err(refuse(&request, catalog, considered));
    };
    let fit = &considered.fits[choice.fit];
    let taken = spec
        .cache
        .as_ref()
        .map(|cache| choose(&need, fit, cache.loader).map(|loader| (cache, loader)))
        .transpose()?;
    let source = taken.map(|(cache, loader)| Source {
        uri: &cache.uri,
        loader,
        room: (choice.memory + need.files(fit.variant)).saturating_sub(fit.footprint.host),
    });
    let cost = choice.cost(catalog, &need, fit, Some(spec.scaling));
    let recommended = survey.first().unwrap_or_else(|| choice.clone());
    within_budget(&request, catalog, &choice, &recommended, &cost)?;
    let accelerator = choice.sale.accelerator;
    Ok(Placement {
        surface: spec.surface,
        shape: choice.shape(),
        memory: fit.footprint.memory(basis(&need, fit)),
        performance: fit.pace.map(performance),
        recommendation: recommendation(&request, catalog, &choice, &recommended, &survey),
        serving: serving(
            &need,
            fit,
            accelerator,
            Some(&spec.commit),
            &spec.engine,
            source,
        )?,
        loading: taken.map(|(_, loader)| Loading {
            loader,
            files: needed(card, fit.engine, spec.quantization),
        }),
        load_time: load_time(
            &need,
            fit,
            taken.map(|(cache, loader)| (loader, cache.loader.is_some())),
            choice.hourly,
        ),
        cost,
    })
}

/// An endpoint and what it needs, with the one place it may be.
pub(crate) struct Request<'a> {
    pub(crate) spec: &'a EndpointSpec,
    pub(crate) need: &'a Need<'a>,
    pub(crate) surfaces: [Surface; 1],
    pub(crate) regions: [Region; 1],
}

impl Request<'_> {
    /// All verdicts on shapes that agree with `fixed`. Budgets are held against the choice
    /// afterwards: an endpoint over its budget is an error with the figures, not a smaller shape.
    pub(crate) fn survey<'c>(&self, catalog: &'c Catalog, fixed: &ShapeRequest) -> Survey<'c> {
        self.survey_of(self.need, &self.regions, catalog, fixed)
    }

    /// The same for a changed need or place.
    pub(crate) fn survey_of<'c>(
        &self,
        need: &Need,
        regions: &[Region],
        catalog: &'c Catalog,
        fixed: &ShapeRequest,
    ) -> Survey<'c> {
        let scope = Scope {
            catalog,
            surfaces: &self.surfaces,
            regions,
            options: &[],
            accelerators: &[],
            fixed,
            scaling: Some(self.spec.scaling),
            objective: self.spec.objective.unwrap_or(Objective::Cost),
            stored: false,
            cache: self.spec.cache.as_ref(),
            most: 0,
            budget: &Budget::default(),
        };
        Survey::of(need, &scope)
    }
}

/// What is wrong with a request whatever the shape.
fn check(spec: &EndpointSpec, catalog: &Catalog) -> Result<(), Fault> {
    let fault = |field, code, summary, detail| {
        Err(Fault {
            field,
            code,
            summary,
            detail,
        })
    };
    let sequences = spec.workload.max_concurrency;
    let most = catalog
        .sales_on(spec.surface)
        .filter_map(|sale| sale.offer.max_concurrency)
        .max()
        .unwrap_or(u32::MAX);
    if sequences > most {
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
    Ok(())
}

/// Whether a format that no engine makes while loading is one that the repository holds.
fn check_stored(spec: &EndpointSpec, card: &ModelCard) -> Result<(), Fault> {
    let asked = spec.quantization.filter(|asked| asked.gguf().is_some());
    let Some(asked) = asked.filter(|asked| gguf::served(card, Some(*asked)).is_none()) else {
        return Ok(());
    };
    Err(Fault {
        field: Field::Quantization,
        code: "not_stored_so",
        summary: "Repository has no such GGUF model",
        detail: format!(
            "quantization = \"{}\" serves a model that is stored so, and {} has no GGUF files. Set model to a \
             repository that has them, or remove quantization.",
            asked.as_str(),
            card.id
        ),
    })
}

/// Whether a snapshot is one of what is to be served.
fn check_cache(spec: &EndpointSpec, cache: &CacheBinding, card: &ModelCard) -> Result<(), Fault> {
    let fault = |summary, detail| {
        Err(Fault {
            field: Field::Cache,
            code: "another_snapshot",
            summary,
            detail,
        })
    };
    let (uri, kept) = (&cache.uri, cache.uri.repository());
    if kept.kind != RepositoryType::Model {
        let detail = format!(
            "{uri} is a snapshot of a {}, and an endpoint serves a model. Set cache to the id of an \
             openmodel_cache whose repository_type is model.",
            kept.kind
        );
        return fault("Snapshot is not of a model", detail);
    }
    // A renamed repository answers to both names.
    if kept.id != spec.model && kept.id != card.id {
        let detail = format!(
            "{uri} is a snapshot of {}, and model is {}. Set model = \"{}\", or cache to a snapshot of {}.",
            kept.id, spec.model, kept.id, spec.model
        );
        return fault("Snapshot is of another model", detail);
    }
    if uri.commit() != spec.commit {
        let detail = format!(
            "{uri} is a snapshot of commit {}, and revision stands for commit {}. Remove revision, and the \
             snapshot's commit is served; or bring both to one commit.",
            uri.commit(),
            spec.commit
        );
        return fault("Snapshot is of another revision", detail);
    }
    if spec.surface != Surface::CloudRun {
        let detail = format!(
            "An endpoint on {} does not serve from a snapshot; one on {} does. Remove cache.",
            spec.surface.as_str(),
            Surface::CloudRun.as_str()
        );
        return fault("Surface does not serve from a snapshot", detail);
    }
    if let Some(draft) = &spec.workload.draft_model {
        let detail = format!(
            "A replica that serves from a snapshot does not ask the Hub, and {uri} does not hold the draft model \
             {}. Remove workload.draft_model, or cache.",
            draft.model
        );
        return fault("Snapshot has no draft model", detail);
    }
    Ok(())
}

/// Whether the container can download a model.
fn check_token(spec: &EndpointSpec, card: &ModelCard) -> Result<(), Fault> {
    if (card.gating == Gating::None && !card.private) || spec.token != TokenSource::None {
        return Ok(());
    }
    let why = if card.private { "private" } else { "gated" };
    Err(Fault {
        field: Field::Token,
        code: "token_missing",
        summary: "Model needs a Hugging Face token",
        detail: format!(
            "{} is {why}: the container can download it only with a token of an account that has \
             access. Set hugging_face_token_wo, or hugging_face_token_secret with the name of a Secret \
             Manager secret.",
            card.id
        ),
    })
}

/// Budgets hold for the largest number of replicas, gross of credits and discounts.
fn within_budget(
    request: &Request,
    catalog: &Catalog,
    choice: &Choice,
    recommended: &Choice,
    cost: &Cost,
) -> Result<(), Fault> {
    let spec = request.spec;
    let show_hour = |usd| UsdPerHour(usd).to_string();
    let show_month = |usd| format!("{} a month", Usd(usd));
    let hour = Limit {
        field: Field::BudgetHourly,
        attribute: "max_hourly_cost",
        most: spec.budget.max_hourly_cost,
        of_hour: &|hour| hour.0,
        digits: 4,
        show: &show_hour,
    };
    let month = Limit {
        field: Field::BudgetMonthly,
        attribute: "max_monthly_cost",
        most: spec.budget.max_monthly_cost,
        of_hour: &|hour| {
            let month = choice.month_at(hour, spec.workload.starts_per_month.unwrap_or(0));
            month.map_or(Decimal::MAX, |month| month.0)
        },
        digits: 2,
        show: &show_month,
    };
    for limit in [hour, month] {
        let Some(most) = limit.most else { continue };
        let Some(hourly) = cost.hourly else {
            return Err(unpriced(request, catalog, choice, cost, &limit));
        };
        let replicas = spec.scaling.max_replicas;
        // A limit that equals what is shown is kept: both are rounded alike.
        let times = |replicas: u32| (limit.of_hour)(hourly * replicas).round_dp(limit.digits);
        if times(replicas) <= most {
            continue;
        }
        let affordable = (1..replicas)
            .rev()
            .find(|replicas| times(*replicas) <= most);
        let cheaper = recommended.hourly.filter(|cheaper| *cheaper < hourly);
        let help = match (affordable, cheaper) {
            (_, Some(cheaper)) => format!("{} holds it too, at {cheaper} a replica.", recommended.line()),
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
                choice.line(),
                (limit.show)((limit.of_hour)(hourly)),
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
    /// What counts of all replicas' hour.
    of_hour: &'a dyn Fn(UsdPerHour) -> Decimal,
    digits: u32,
    show: &'a dyn Fn(Decimal) -> String,
}

fn unpriced(
    request: &Request,
    catalog: &Catalog,
    choice: &Choice,
    cost: &Cost,
    limit: &Limit,
) -> Fault {
    let unknown = cost.lines.iter().find(|line| line.hourly.is_none());
    let (item, why) = unknown.map_or(("it", ""), |line| {
        (line.item.as_str(), line.source.as_str())
    });
    let elsewhere = match priced_regions(request, catalog).as_slice() {
        [] => String::new(),
        regions => format!(", choose a region with known prices ({})", list(regions)),
    };
    Fault {
        field: limit.field,
        code: "unpriced",
        summary: "Budget cannot be checked: a price is not known",
        detail: format!(
            "{} holds {}, but its cost is not known: {item}: {why}. Remove {}{}, or give a catalog that has \
             the price.",
            choice.line(),
            request.spec.model,
            limit.attribute,
            elsewhere
        ),
    }
}

/// Regions in which the load fits a shape with a known price.
fn priced_regions(request: &Request, catalog: &Catalog) -> Vec<String> {
    let everywhere = request.survey_of(request.need, &[], catalog, &ShapeRequest::default());
    let mut regions: Vec<String> = everywhere
        .choices()
        .filter(|choice| choice.hourly.is_some())
        .filter_map(|choice| choice.sale.region.map(ToString::to_string))
        .collect();
    regions.sort();
    regions.dedup();
    regions
}

fn recommendation(
    request: &Request,
    catalog: &Catalog,
    choice: &Choice,
    recommended: &Choice,
    survey: &Survey,
) -> Recommendation {
    let (priced, unpriced): (Vec<_>, Vec<_>) =
        survey.choices().partition(|choice| choice.hourly.is_some());
    let region = &request.spec.region;
    let objective = request.spec.objective.unwrap_or_default();
    let mut reason = Vec::new();
    if choice.line() != recommended.line() {
        reason.push(format!(
            "The shape is set in the configuration: {} at {}; recommended is {} at {}.",
            choice.line(),
            price(choice.hourly),
            recommended.line(),
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
            let best = match objective {
                Objective::Cost => "the cheapest",
                Objective::CostPerToken => "the cheapest by the token",
                Objective::Latency => "the one with the shortest time between tokens",
                Objective::Throughput => "the one with the most tokens a second",
            };
            format!("It is {best} of {many} shapes with a known price that hold the load.")
        }
    });
    if let Some(note) = recommended.sale.note() {
        reason.push(format!(
            "{region} offers {} {note}.",
            recommended.sale.accelerator.name
        ));
    }
    reason.push(match catalog.zonal_redundancy(&recommended.purchase()) {
        Some(more) => {
            format!("Zonal redundancy is off: it costs {more} more and has a quota of its own.")
        }
        None => "Zonal redundancy is off: it costs more and has a quota of its own.".to_owned(),
    });
    let others = survey
        .choices()
        .filter(|other| other.line() != recommended.line());
    Recommendation {
        chosen: recommended.line(),
        reason: reason.join(" "),
        runners_up: others
            .take(RUNNERS_UP)
            .map(|other| runner_up(survey, &other, recommended, objective))
            .collect(),
        rejected: survey.rejected.iter().map(Rejection::candidate).collect(),
    }
}

fn runner_up(
    survey: &Survey,
    other: &Choice,
    recommended: &Choice,
    objective: Objective,
) -> Candidate {
    let (code, reason) = behind(survey, other, recommended, objective);
    Candidate {
        shape: other.line(),
        hourly: other.hourly,
        code: code.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests;
