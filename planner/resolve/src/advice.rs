//! A refusal that helps: what is at fault, the figures, and which change would hold the load.
//!
//! No advice is written by heart: each is a survey of a changed request that succeeded.

use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::Tokens;
use openmodel_schemas::spec::{Quantization, ShapeRequest, Workload};

use crate::error::{Fault, Field};
use crate::footprint::Footprint;
use crate::market::Catalog;
use crate::need::{Need, Variant};
use crate::placement::Request;
use crate::reason::{Reason, list};
use crate::show::price;
use crate::survey::{Choice, Survey};
use crate::weights::Weights;

/// Say why no shape that agrees with what the user fixed holds the request, and what would.
pub(crate) fn refuse(request: &Request, catalog: &Catalog, survey: &Survey) -> Fault {
    let fixed = &request.spec.shape;
    let surface = request.spec.surface.as_str();
    let mut sold: Vec<&str> = catalog
        .sales_on(request.spec.surface)
        .map(|sale| sale.accelerator.name.as_str())
        .collect();
    sold.sort_unstable();
    sold.dedup();
    if let Some(name) = fixed
        .accelerator
        .as_deref()
        .filter(|name| !sold.contains(name))
    {
        return Fault {
            field: Field::ShapeAccelerator,
            code: "unknown_accelerator",
            summary: "Unknown accelerator",
            detail: format!(
                "{surface} has no accelerator {name:?}; it has {}. Choose one of these.",
                list(&sold)
            ),
        };
    }
    let verdicts: Vec<String> = survey
        .rejected
        .iter()
        .map(|rejection| format!("{}: {}", rejection.line(), rejection.reason))
        .collect();
    let verdicts = verdicts.join("; ");
    if survey
        .rejected
        .iter()
        .all(|rejection| matches!(rejection.reason, Reason::NotInRegion { .. }))
    {
        let what = fixed.accelerator.as_deref().unwrap_or("an accelerator");
        return Fault {
            field: Field::Region,
            code: "not_in_region",
            summary: "Region does not have the accelerator",
            detail: format!(
                "{surface} does not sell {what} in {}. {verdicts}. Choose one of these regions.",
                request.spec.region
            ),
        };
    }
    let (field, code) = blame(request, catalog, survey);
    let Workload {
        context_length,
        max_concurrency,
        ..
    } = &request.need.workload;
    let subject = if *fixed == ShapeRequest::default() {
        format!("No {surface} shape in {} holds", request.spec.region)
    } else {
        "The shape set in the configuration does not hold".to_owned()
    };
    let id = &request.need.card.id;
    let mut sentences = vec![match field {
        Field::MaxTtft | Field::MaxTpot => format!(
            "{id} fits, but is not fast enough on any {surface} shape in {} with max_concurrency = \
             {max_concurrency}. {verdicts}.",
            request.spec.region
        ),
        _ => format!(
            "{subject} {id} with context_length = {} and max_concurrency = {max_concurrency}. {verdicts}.",
            context_length.0
        ),
    }];
    if let Some(footprint) = largest_need(survey) {
        sentences.push(format!("The need is {}.", footprint.parts()));
    }
    let help = help(request, catalog, survey);
    if help.is_empty() {
        let next = match field {
            Field::Engine => "Leave engine.name out, or name another engine.",
            _ => "Choose a smaller model.",
        };
        sentences.push(next.to_owned());
    }
    sentences.extend(help);
    Fault {
        field,
        code,
        summary: match field {
            Field::MaxTtft | Field::MaxTpot => "No shape is fast enough",
            Field::Scaling => "Load needs more replicas",
            _ => "No shape holds the model and its load",
        },
        detail: sentences.join(" "),
    }
}

/// The input at fault, by the verdict that came closest to holding the load.
fn blame(request: &Request, catalog: &Catalog, survey: &Survey) -> (Field, &'static str) {
    let closeness = |reason: &Reason| match reason {
        Reason::NotInRegion { .. } | Reason::NotSoldSo { .. } => 0,
        Reason::CountUnsupported { .. }
        | Reason::CpuUnsupported { .. }
        | Reason::MemoryUnsupported { .. }
        | Reason::SurfaceLimit { .. } => 1,
        Reason::DtypeUnsupported { .. }
        | Reason::NoHardware { .. }
        | Reason::EngineLacksIt { .. } => 2,
        Reason::TooSmall { .. } | Reason::Indivisible(_) => 3,
        Reason::HostMemory { .. } | Reason::DraftIndivisible(_) => 4,
        Reason::MissesGoal { .. }
        | Reason::TooManyReplicas { .. }
        | Reason::OverHourly { .. }
        | Reason::OverMonthly { .. }
        | Reason::Unpriced { .. } => 5,
    };
    let closest = survey
        .rejected
        .iter()
        .map(|rejection| &rejection.reason)
        .max_by_key(|reason| closeness(reason));
    let Some(reason) = closest else {
        return (Field::Shape, "too_small");
    };
    let fixed = &request.spec.shape;
    let fixed_accelerator = fixed.accelerator.as_ref().map(|_| Field::ShapeAccelerator);
    let field = match reason {
        Reason::NotInRegion { .. } | Reason::NotSoldSo { .. } => Field::Region,
        Reason::CountUnsupported { .. } => Field::ShapeAcceleratorCount,
        Reason::CpuUnsupported { .. } => Field::ShapeCpu,
        Reason::MemoryUnsupported { .. } => Field::ShapeMemory,
        Reason::SurfaceLimit { .. } => Field::MaxConcurrency,
        Reason::EngineLacksIt { .. } if request.spec.engine.name.is_some() => Field::Engine,
        Reason::DtypeUnsupported { .. }
        | Reason::NoHardware { .. }
        | Reason::EngineLacksIt { .. } => {
            let asked = request
                .spec
                .quantization
                .map_or(Field::Model, |_| Field::Quantization);
            fixed_accelerator.unwrap_or(asked)
        }
        Reason::HostMemory { .. } => match (fixed.memory, fixed.cpu) {
            (Some(_), _) => Field::ShapeMemory,
            (None, Some(_)) => Field::ShapeCpu,
            (None, None) => fixed_accelerator.unwrap_or(Field::Model),
        },
        Reason::TooSmall { .. } | Reason::Indivisible(_) => {
            fixed_accelerator.unwrap_or_else(|| too_much(request, catalog))
        }
        Reason::DraftIndivisible(_) => Field::DraftModel,
        Reason::MissesGoal { goal, .. } if goal.contains("first") => Field::MaxTtft,
        Reason::MissesGoal { .. } => Field::MaxTpot,
        Reason::TooManyReplicas { .. } => Field::Scaling,
        Reason::OverHourly { .. } | Reason::Unpriced { .. } => Field::BudgetHourly,
        Reason::OverMonthly { .. } => Field::BudgetMonthly,
    };
    (field, reason.code())
}

/// The part of the load that is too much; the model itself where the least load is.
fn too_much(request: &Request, catalog: &Catalog) -> Field {
    let holds = |workload: Workload| {
        let need = request.need.with(workload);
        first(request, &need, catalog, &ShapeRequest::default()).is_some()
    };
    let load = &request.need.workload;
    if holds(Workload {
        max_concurrency: 1,
        ..load.clone()
    }) {
        return Field::MaxConcurrency;
    }
    let one = Tokens(1);
    let least = Workload {
        context_length: one,
        max_concurrency: 1,
        input_tokens: one,
        output_tokens: Tokens(0),
        ..load.clone()
    };
    if holds(least) {
        Field::ContextLength
    } else {
        Field::Model
    }
}

fn largest_need<'s>(survey: &'s Survey) -> Option<&'s Footprint> {
    let footprints = survey
        .rejected
        .iter()
        .filter_map(|rejection| match &rejection.reason {
            Reason::TooSmall { footprint, .. } => Some(footprint.as_ref()),
            _ => None,
        });
    footprints.max_by_key(|footprint| footprint.usable)
}

/// Changes that would hold the load, one sentence each.
fn help(request: &Request, catalog: &Catalog, survey: &Survey) -> Vec<String> {
    let fixed = &request.spec.shape;
    let free = ShapeRequest::default();
    let mut help = Vec::new();
    help.extend(with_more_replicas(survey));
    help.extend(with_weaker_goal(survey));
    if *fixed != free
        && let Some(choice) = first(request, request.need, catalog, &free)
    {
        help.push(format!(
            "{} holds it: remove the parts of shape that differ.",
            priced(&choice)
        ));
        return help;
    }
    help.extend(in_fp8(request, catalog));
    help.extend(without_draft(request, catalog));
    help.extend(with_less_load(request, catalog));
    help.extend(elsewhere(request, catalog));
    help
}

/// The least number of replicas that serves the requested load.
fn with_more_replicas(survey: &Survey) -> Option<String> {
    let needed = survey
        .rejected
        .iter()
        .filter_map(|rejection| match rejection.reason {
            Reason::TooManyReplicas { needed, .. } => Some((needed, rejection.line())),
            _ => None,
        });
    needed
        .min_by_key(|(needed, _)| *needed)
        .map(|(needed, line)| format!("With max_replicas = {needed} it fits {line}."))
}

/// The least that a goal of speed would have to allow.
fn with_weaker_goal(survey: &Survey) -> Option<String> {
    let missed = survey
        .rejected
        .iter()
        .filter_map(|rejection| match rejection.reason {
            Reason::MissesGoal {
                goal, estimate_ms, ..
            } => Some((goal, estimate_ms.ceil(), rejection.line())),
            _ => None,
        });
    let (goal, ms, line) = missed.min_by(|a, b| a.1.total_cmp(&b.1))?;
    let attribute = if goal.contains("first") {
        "max_ttft_ms"
    } else {
        "max_tpot_ms"
    };
    Some(format!("With {attribute} = {ms:.0} it fits {line}."))
}

/// What holds the model alone, where one that drafts is asked for.
fn without_draft(request: &Request, catalog: &Catalog) -> Option<String> {
    request.need.draft?;
    let alone = Need {
        draft: None,
        ..request.need.with(Workload {
            draft_model: None,
            draft_tokens: None,
            ..request.need.workload.clone()
        })
    };
    let choice = first(request, &alone, catalog, &request.spec.shape)?;
    Some(format!("Without draft_model it fits {}.", priced(&choice)))
}

/// Halves of the load until it fits: shorter sequences first, then fewer at once.
fn with_less_load(request: &Request, catalog: &Catalog) -> Vec<String> {
    let load = &request.need.workload;
    let fits = |workload: Workload| {
        let need = request.need.with(workload);
        let choice = first(request, &need, catalog, &request.spec.shape)?;
        Some(priced(&choice))
    };
    let typical = load.input_tokens.0.saturating_add(load.output_tokens.0);
    let shorter = halves(load.context_length.0)
        .take_while(|length| *length >= typical)
        .find_map(|length| {
            let shape = fits(Workload {
                context_length: Tokens(length),
                ..load.clone()
            })?;
            Some(format!("With context_length = {length} it fits {shape}."))
        });
    let fewer = halves(u64::from(load.max_concurrency)).find_map(|sequences| {
        let shape = fits(Workload {
            max_concurrency: u32::try_from(sequences).ok()?,
            ..load.clone()
        })?;
        Some(format!(
            "With max_concurrency = {sequences} it fits {shape}."
        ))
    });
    shorter.into_iter().chain(fewer).collect()
}

/// `number / 2`, `number / 4`, … down to 1.
fn halves(number: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(number / 2), |number| Some(number / 2))
        .take_while(|number| *number > 0)
}

/// fp8 made while loading, or, where the 16-bit files are too large for the host, a repository
/// that is stored so.
fn in_fp8(request: &Request, catalog: &Catalog) -> Option<String> {
    let need = request.need;
    if need.architecture.config.quantization.is_some() {
        return None;
    }
    let fp8 = Weights::of(need.card, need.architecture, Some(Quantization::Fp8)).ok()?;
    let with = |weights: Weights| {
        let variants = vec![Variant {
            quantization: Some(Quantization::Fp8),
            weights,
        }];
        let changed = Need {
            variants,
            ..need.clone()
        };
        let survey = request.survey_of(&changed, &request.regions, catalog, &request.spec.shape);
        let choice = survey.first()?;
        let needs = survey.fits[choice.fit].footprint.needs();
        Some((needs, priced(&choice)))
    };
    let loads = request
        .spec
        .quantization
        .is_none()
        .then(|| with(fp8))
        .flatten();
    if let Some((needs, shape)) = loads {
        return Some(format!(
            "With quantization = \"fp8\" it needs {needs} and fits {shape}."
        ));
    }
    let (needs, shape) = with(fp8.as_stored())?;
    Some(format!(
        "A repository of this model stored as fp8 has about {} of weights, needs {needs} and fits {shape}; \
         quantization = \"fp8\" alone does not help, because {} of files lie in host memory while loading.",
        fp8.loaded(),
        fp8.files
    ))
}

/// Regions that sell an accelerator which holds the load and is not sold here.
fn elsewhere(request: &Request, catalog: &Catalog) -> Option<String> {
    let survey = request.survey_of(request.need, &[], catalog, &request.spec.shape);
    let mut regions: Vec<&Region> = survey
        .choices()
        .filter_map(|choice| choice.sale.region)
        .filter(|region| **region != request.spec.region)
        .collect();
    regions.sort();
    regions.dedup();
    (!regions.is_empty()).then(|| format!("In {} a shape holds it.", list(&regions)))
}

fn first<'c>(
    request: &Request,
    need: &Need,
    catalog: &'c Catalog,
    fixed: &ShapeRequest,
) -> Option<Choice<'c>> {
    let survey = request.survey_of(need, &request.regions, catalog, fixed);
    survey.first()
}

fn priced(choice: &Choice) -> String {
    format!("{} ({})", choice.line(), price(choice.hourly))
}
