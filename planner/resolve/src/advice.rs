//! A refusal that helps: what is at fault, the figures, and which change would hold the load.
//!
//! No advice is written by heart: each is a survey of a changed request that succeeded.

use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::quantity::{Tokens, UsdPerHour};
use openmodel_schemas::spec::{EndpointSpec, Quantization, ShapeRequest, Workload};

use crate::error::{Fault, Field};
use crate::footprint::Footprint;
use crate::survey::{Choice, Reason, Request, Survey, list, show};
use crate::weights::{Weights, weights};

/// Say why no shape that agrees with `fixed` holds the request, and what would.
pub(crate) fn refuse(
    spec: &EndpointSpec,
    card: &ModelCard,
    request: &Request,
    fixed: &ShapeRequest,
    survey: &Survey,
) -> Fault {
    let place = request.place;
    let surface = place.surface.as_str();
    let sold: Vec<&str> = place
        .catalog
        .offers(place.surface)
        .map(|offer| offer.accelerator.as_str())
        .collect();
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
        .map(|rejection| format!("{}: {}", rejection.shape, rejection.reason))
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
                place.region
            ),
        };
    }
    let (field, code) = blame(spec, request, fixed, survey);
    let Workload {
        context_length,
        max_concurrency,
        ..
    } = &request.workload;
    let subject = if *fixed == ShapeRequest::default() {
        format!("No {surface} shape in {} holds", place.region)
    } else {
        "The shape set in the configuration does not hold".to_owned()
    };
    let mut sentences = vec![format!(
        "{subject} {} with context_length = {} and max_concurrency = {max_concurrency}. {verdicts}.",
        card.id, context_length.0
    )];
    if let Some(footprint) = largest_need(survey) {
        sentences.push(format!("The need is {}.", footprint.parts()));
    }
    let help = help(spec, card, request, fixed);
    if help.is_empty() {
        sentences.push("Choose a smaller model.".to_owned());
    }
    sentences.extend(help);
    Fault {
        field,
        code,
        summary: "No shape holds the model and its load",
        detail: sentences.join(" "),
    }
}

/// The input at fault, by the verdict that came closest to holding the load.
fn blame(
    spec: &EndpointSpec,
    request: &Request,
    fixed: &ShapeRequest,
    survey: &Survey,
) -> (Field, &'static str) {
    let closeness = |reason: &Reason| match reason {
        Reason::NotInRegion { .. } => 0,
        Reason::CountUnsupported { .. }
        | Reason::CpuUnsupported { .. }
        | Reason::MemoryUnsupported { .. } => 1,
        Reason::DtypeUnsupported { .. } => 2,
        Reason::TooSmall(_) => 3,
        Reason::HostMemory { .. } => 4,
    };
    let closest = survey
        .rejected
        .iter()
        .map(|rejection| &rejection.reason)
        .max_by_key(|reason| closeness(reason));
    let Some(reason) = closest else {
        return (Field::Shape, "too_small");
    };
    let fixed_accelerator = fixed.accelerator.as_ref().map(|_| Field::ShapeAccelerator);
    let field = match reason {
        Reason::NotInRegion { .. } => Field::Region,
        Reason::CountUnsupported { .. } => Field::ShapeAcceleratorCount,
        Reason::CpuUnsupported { .. } => Field::ShapeCpu,
        Reason::MemoryUnsupported { .. } => Field::ShapeMemory,
        Reason::DtypeUnsupported { .. } => {
            let asked = spec
                .quantization
                .map_or(Field::Model, |_| Field::Quantization);
            fixed_accelerator.unwrap_or(asked)
        }
        Reason::HostMemory { .. } => match (fixed.memory, fixed.cpu) {
            (Some(_), _) => Field::ShapeMemory,
            (None, Some(_)) => Field::ShapeCpu,
            (None, None) => fixed_accelerator.unwrap_or(Field::Model),
        },
        Reason::TooSmall(_) => fixed_accelerator.unwrap_or_else(|| too_much(request)),
    };
    (field, reason.code())
}

/// The part of the load that is too much; the model itself where the least load is.
fn too_much(request: &Request) -> Field {
    let holds = |workload: Workload| {
        !Survey::of(
            &Request {
                workload,
                ..request.clone()
            },
            &ShapeRequest::default(),
        )
        .feasible
        .is_empty()
    };
    let load = &request.workload;
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
            Reason::TooSmall(footprint) => Some(footprint.as_ref()),
            _ => None,
        });
    footprints.max_by_key(|footprint| footprint.usable)
}

/// Changes that would hold the load, one sentence each.
fn help(
    spec: &EndpointSpec,
    card: &ModelCard,
    request: &Request,
    fixed: &ShapeRequest,
) -> Vec<String> {
    let free = ShapeRequest::default();
    let mut help = Vec::new();
    if *fixed != free
        && let Some(choice) = first(request, &free)
    {
        help.push(format!(
            "{} holds it: remove the parts of shape that differ.",
            priced(&choice)
        ));
        return help;
    }
    help.extend(in_fp8(spec, card, request, fixed));
    help.extend(with_less_load(request, fixed));
    help.extend(elsewhere(request, fixed));
    help
}

/// Halves of the load until it fits: shorter sequences first, then fewer at once.
fn with_less_load(request: &Request, fixed: &ShapeRequest) -> Vec<String> {
    let load = &request.workload;
    let typical = load.input_tokens.0.saturating_add(load.output_tokens.0);
    let shorter = halves(load.context_length.0)
        .take_while(|length| *length >= typical)
        .find_map(|length| {
            let workload = Workload {
                context_length: Tokens(length),
                ..load.clone()
            };
            let choice = first(
                &Request {
                    workload,
                    ..request.clone()
                },
                fixed,
            )?;
            Some(format!(
                "With context_length = {length} it fits {}.",
                priced(&choice)
            ))
        });
    let fewer = halves(u64::from(load.max_concurrency)).find_map(|sequences| {
        let max_concurrency = u32::try_from(sequences).ok()?;
        let workload = Workload {
            max_concurrency,
            ..load.clone()
        };
        let choice = first(
            &Request {
                workload,
                ..request.clone()
            },
            fixed,
        )?;
        Some(format!(
            "With max_concurrency = {sequences} it fits {}.",
            priced(&choice)
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
fn in_fp8(
    spec: &EndpointSpec,
    card: &ModelCard,
    request: &Request,
    fixed: &ShapeRequest,
) -> Option<String> {
    let stored_16_bits = request.architecture.config.quant_method.is_none();
    let fp8 = weights(
        card,
        request.architecture,
        Some(Quantization::Fp8),
        request.engine,
    )
    .ok()
    .filter(|_| stored_16_bits)?;
    let with = |weights: Weights| {
        first(
            &Request {
                weights,
                ..request.clone()
            },
            fixed,
        )
    };
    if let Some(choice) = spec.quantization.is_none().then(|| with(fp8)).flatten() {
        let needs = choice.footprint.needs();
        return Some(format!(
            "With quantization = \"fp8\" it needs {needs} and fits {}.",
            priced(&choice)
        ));
    }
    let choice = with(Weights {
        files: fp8.loaded,
        ..fp8
    })?;
    Some(format!(
        "A repository of this model stored as fp8 has about {} of weights, needs {} and fits {}; \
         quantization = \"fp8\" alone does not help, because {} of files lie in host memory while loading.",
        fp8.loaded,
        choice.footprint.needs(),
        priced(&choice),
        fp8.files
    ))
}

/// Regions that sell an accelerator which holds the load and is not sold here.
fn elsewhere(request: &Request, fixed: &ShapeRequest) -> Option<String> {
    let place = request.place;
    let mut regions: Vec<_> = place
        .catalog
        .offers(place.surface)
        .flat_map(|offer| offer.regions.iter().map(|row| &row.region))
        .filter(|region| *region != place.region)
        .collect();
    regions.sort();
    regions.dedup();
    regions.retain(|region| {
        let place = crate::estimate::Place { region, ..place };
        first(
            &Request {
                place,
                ..request.clone()
            },
            fixed,
        )
        .is_some()
    });
    (!regions.is_empty()).then(|| format!("In {} a shape holds it.", list(&regions)))
}

fn first<'a>(request: &Request<'a>, fixed: &ShapeRequest) -> Option<Choice<'a>> {
    Survey::of(request, fixed).feasible.into_iter().next()
}

fn priced(choice: &Choice) -> String {
    format!("{} ({})", show(&choice.shape), price(choice.hourly))
}

/// A price in words; `price not known` is one.
pub(crate) fn price(hourly: Option<UsdPerHour>) -> String {
    hourly.map_or_else(|| "price not known".to_owned(), |hourly| hourly.to_string())
}
