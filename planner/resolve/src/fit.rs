//! Whether the devices of a shape hold a need, and by which spread, engine and format.
//!
//! ```text
//!   variant ─► engine? ─► data type? ─► spreads ─► divisible? ─► memory? ─► pace, goals ─► Fit
//!                 └──────────┴────────────────────────┴────────────┴────────────┴───────► Reason
//! ```

use openmodel_schemas::catalog::{AcceleratorKind, AcceleratorRow, ShapeRow};
use openmodel_schemas::engine::EngineRow;
use openmodel_schemas::spec::Objective;

use crate::drafting::Draft;
use crate::engines::{image, memory, serves, takes_draft_models};
use crate::footprint::{Device, Footprint};
use crate::format::Format;
use crate::need::{Able, Need, Variant};
use crate::pace::{Pace, pace};
use crate::parallel::{Indivisible, Parallelism, check};
use crate::reason::Reason;
use crate::serving::lacks_bf16;

/// A way to hold a need on the devices of a shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fit {
    /// Place of the format in the need's list.
    pub(crate) variant: usize,
    pub(crate) engine: &'static EngineRow,
    pub(crate) parallelism: Parallelism,
    pub(crate) footprint: Footprint,
    /// How fast it is; `None` for models that do not generate token after token.
    pub(crate) pace: Option<Pace>,
}

/// The ways to hold a need on a shape, one for each format that fits: the spread that serves the
/// objective, or where speed is not asked for, the one with the least time between tokens (the
/// widest cut of the layers).
pub(crate) fn fit(
    need: &Need,
    shape: &ShapeRow,
    accelerator: &AcceleratorRow,
    objective: Objective,
    paced: bool,
) -> Result<Vec<Fit>, Reason> {
    let mut fits = Vec::new();
    let mut closest = None;
    for (index, variant) in need.variants.iter().enumerate() {
        match one(need, index, variant, shape, accelerator, (objective, paced)) {
            Ok(fit) => fits.push(fit),
            Err(reason) => {
                if closest
                    .as_ref()
                    .is_none_or(|other| came_closer(&reason, other))
                {
                    closest = Some(reason);
                }
            }
        }
    }
    match closest {
        Some(reason) if fits.is_empty() => Err(reason),
        _ => Ok(fits),
    }
}

/// Whether a format came closer to holding the need than another did.
pub(crate) fn came_closer(reason: &Reason, other: &Reason) -> bool {
    let step = |reason: &Reason| match reason {
        Reason::MissesGoal { .. } | Reason::DraftIndivisible(_) => 3,
        Reason::TooSmall { .. } => 2,
        Reason::Indivisible(_) => 1,
        _ => 0,
    };
    match (reason, other) {
        (
            Reason::TooSmall { footprint: own, .. },
            Reason::TooSmall {
                footprint: other, ..
            },
        ) => own.needs() < other.needs(),
        _ => step(reason) > step(other),
    }
}

fn one(
    need: &Need,
    index: usize,
    variant: &Variant,
    shape: &ShapeRow,
    accelerator: &AcceleratorRow,
    (objective, paced): (Objective, bool),
) -> Result<Fit, Reason> {
    let format = variant.weights.format;
    let drafts = need.draft.map(|draft| draft.weights.format);
    if let Some(has) = accelerator.compute_capability {
        for format in [Some(format), drafts].into_iter().flatten() {
            let needs = format.min_compute_capability();
            if has < needs {
                return Err(Reason::DtypeUnsupported {
                    format: format.as_str(),
                    needs,
                    has,
                });
            }
        }
    }
    let narrow_float = matches!(format, Format::Fp8 | Format::Mxfp4 | Format::Nvfp4);
    if accelerator.kind == AcceleratorKind::Tpu && narrow_float && accelerator.tflops.fp8 == 0.0 {
        return Err(Reason::NoHardware {
            format: format.as_str(),
        });
    }
    let devices = shape.count.saturating_mul(accelerator.devices);
    let engine = choose_engine(need, variant, accelerator, devices)?;
    let constants = memory(engine, need.version(engine));
    let device = Device::of(accelerator, shape.eighths);
    let mut best: Option<Fit> = None;
    let mut small: Option<(Footprint, Parallelism)> = None;
    let mut split: Option<Indivisible> = None;
    // What keeps off a spread that holds the need.
    let mut barred: Option<Reason> = None;
    for parallelism in spreads(devices, engine, need) {
        if let Err(why) = check(need.architecture, format, parallelism, accelerator.kind) {
            split.get_or_insert(why);
            continue;
        }
        let footprint = Footprint::of(
            need.architecture,
            &variant.weights,
            parallelism,
            device,
            constants,
            engine,
            &need.demand(parallelism),
        );
        if !footprint.fits() {
            let smallest = small
                .as_ref()
                .is_none_or(|(other, _)| footprint.needs() < other.needs());
            if smallest {
                small = Some((footprint, parallelism));
            }
            continue;
        }
        if let Some(why) = need
            .draft
            .and_then(|draft| cut(draft, parallelism, accelerator))
        {
            barred.get_or_insert(Reason::DraftIndivisible(why));
            continue;
        }
        if !paced {
            return Ok(Fit {
                variant: index,
                engine,
                parallelism,
                footprint,
                pace: None,
            });
        }
        let pace = pace(
            need,
            variant,
            engine,
            parallelism,
            accelerator,
            shape.eighths,
        );
        if let Some(reason) = pace.and_then(|pace| misses(need, pace)) {
            barred.get_or_insert(reason);
            continue;
        }
        let better = match (&best, pace) {
            (None, _) => true,
            (Some(best), Some(pace)) => best.pace.is_some_and(|other| match objective {
                Objective::Latency => pace.tpot_ms.estimate < other.tpot_ms.estimate,
                _ => pace.requests_per_second.estimate > other.requests_per_second.estimate,
            }),
            (Some(_), None) => false,
        };
        if better {
            best = Some(Fit {
                variant: index,
                engine,
                parallelism,
                footprint,
                pace,
            });
        }
    }
    best.ok_or_else(|| match (barred, small, split) {
        (Some(barred), ..) => barred,
        (None, Some((footprint, parallelism)), _) => Reason::TooSmall {
            footprint: Box::new(footprint),
            parallelism,
        },
        (None, None, Some(why)) => Reason::Indivisible(why),
        (None, None, None) => Reason::EngineLacksIt {
            engine: engine.name.clone(),
            what: format!("a model on {devices} devices"),
        },
    })
}

/// Why a draft model cannot be spread beside its model.
fn cut(
    draft: Draft,
    parallelism: Parallelism,
    accelerator: &AcceleratorRow,
) -> Option<Indivisible> {
    let spread = Draft::spread(parallelism);
    check(
        draft.architecture,
        draft.weights.format,
        spread,
        accelerator.kind,
    )
    .err()
}

/// Spreads of a model over all devices of a shape: fewest cuts of the cache first.
fn spreads(devices: u32, engine: &EngineRow, need: &Need) -> impl Iterator<Item = Parallelism> {
    let experts = need.architecture.config.experts.is_some();
    // Stages and a draft model together are not known to be served (vLLM's page of speculative
    // decoding: not up to 0.15).
    let pipeline = engine.pipeline && need.draft.is_none();
    let copied = engine.flags.data.is_some();
    let widest = engine.max_tensor.max(1);
    let tensors = (1..=devices.min(widest))
        .rev()
        .filter(move |tensor| devices.is_multiple_of(*tensor));
    tensors.flat_map(move |tensor| {
        let rest = devices / tensor;
        let plain = Parallelism::tensor(tensor);
        let alone = (rest == 1).then_some(plain);
        let by_experts = (rest == 1 && experts && tensor > 1).then_some(Parallelism {
            expert: true,
            ..plain
        });
        let staged = (rest > 1 && pipeline).then_some(Parallelism {
            pipeline: rest,
            ..plain
        });
        let copies = (rest > 1 && copied).then_some(Parallelism {
            data: rest,
            expert: experts,
            ..plain
        });
        [alone, by_experts, copies, staged].into_iter().flatten()
    })
}

/// The engine that is asked for, or the first that serves the model in its format.
fn choose_engine(
    need: &Need,
    variant: &Variant,
    accelerator: &AcceleratorRow,
    devices: u32,
) -> Result<&'static EngineRow, Reason> {
    // How far an engine came says which one to name: the last of these it passed.
    let mut closest: Option<(u8, &str, String)> = None;
    for able in &need.able {
        match lacks(need, variant, accelerator, devices, able) {
            None => return Ok(able.engine),
            Some((passed, what)) => {
                if closest.as_ref().is_none_or(|(most, ..)| passed > *most) {
                    closest = Some((passed, &able.engine.name, what));
                }
            }
        }
    }
    let (_, engine, what) = closest.unwrap_or((
        0,
        "no engine here",
        format!("models on {}", accelerator.name),
    ));
    Err(Reason::EngineLacksIt {
        engine: engine.to_owned(),
        what,
    })
}

/// What an engine does not serve, after how many checks that it passed.
fn lacks(
    need: &Need,
    variant: &Variant,
    accelerator: &AcceleratorRow,
    devices: u32,
    able: &Able,
) -> Option<(u8, String)> {
    let engine = able.engine;
    let config = need.architecture.config;
    if engine.accelerator != accelerator.kind {
        let what = match accelerator.kind {
            AcceleratorKind::Gpu => "models on GPUs",
            AcceleratorKind::Tpu => "models on TPUs",
        };
        return Some((0, what.to_owned()));
    }
    if !engine.serves.contains(&need.architecture.role()) {
        return Some((1, format!("models such as {}", config.architecture)));
    }
    if need.architecture.layers().recurrent > 0 && !engine.recurrent {
        return Some((2, "models with recurrent layers".to_owned()));
    }
    let word = word(variant.weights.format, accelerator.kind);
    if !engine.formats.iter().any(|format| format == word) {
        return Some((3, format!("weights in {word}")));
    }
    let least = engine
        .min_compute_capability
        .max(able.min_compute_capability);
    if let Some(has) = accelerator.compute_capability.filter(|has| *has < least) {
        let what = if has < engine.min_compute_capability {
            format!("models on {}", accelerator.name)
        } else {
            format!("{} on {}", config.architecture, accelerator.name)
        };
        return Some((4, what));
    }
    let held_as_fp16 = matches!(variant.weights.format, Format::Bf16) && lacks_bf16(accelerator);
    if held_as_fp16 && engine.needs_bfloat16.contains(&config.architecture) {
        return Some((
            4,
            format!(
                "{} in float16, and {} has no bfloat16",
                config.architecture, accelerator.name
            ),
        ));
    }
    if !need.own_image && image(engine, &accelerator.name).is_none() {
        return Some((
            5,
            format!(
                "models on {}: no image of it is known there",
                accelerator.name
            ),
        ));
    }
    // Without a way to spread, the engine runs on one of them and leaves the others idle.
    let spreads = engine.max_tensor > 1 || engine.pipeline || engine.flags.data.is_some();
    if devices > 1 && !spreads {
        return Some((5, format!("a model on {devices} devices")));
    }
    if need.workload.adapters.is_some() && engine.flags.adapters.is_none() {
        return Some((6, "low-rank adapters by arguments known here".to_owned()));
    }
    if need.workload.draft_tokens.is_some() && engine.flags.speculation.is_none() {
        return Some((6, "drafted tokens by arguments known here".to_owned()));
    }
    let what = lacks_draft(need, need.draft?, accelerator, engine)?;
    Some((6, what))
}

/// What an engine that serves the model does not serve of its draft model.
fn lacks_draft(
    need: &Need,
    draft: Draft,
    accelerator: &AcceleratorRow,
    engine: &EngineRow,
) -> Option<String> {
    let version = need.version(engine);
    if !takes_draft_models(engine, version) {
        return Some(format!("draft models at version {version}"));
    }
    let word = word(draft.weights.format, accelerator.kind);
    if !engine.formats.iter().any(|format| format == word) {
        return Some(format!("a draft model with weights in {word}"));
    }
    let class = &draft.architecture.config.architecture;
    let least = serves(engine, class, draft.architecture.role());
    let known = need.named || least.is_some();
    let lacks = accelerator
        .compute_capability
        .is_some_and(|has| has < least.unwrap_or(0));
    (!known || lacks).then(|| format!("{class} as a draft model on {}", accelerator.name))
}

/// The word an engine lists a format by: 16 and 32 bits are loaded in the accelerator's own.
const fn word(format: Format, kind: AcceleratorKind) -> &'static str {
    match (format, kind) {
        (Format::Fp16 | Format::Fp32, AcceleratorKind::Tpu) => "bfloat16",
        (other, _) => other.as_str(),
    }
}

/// The goal that is missed, if one is.
fn misses(need: &Need, pace: Pace) -> Option<Reason> {
    let goals = need.workload.goals;
    let slower = |goal, asked: Option<u32>, estimate: f64| {
        let asked_ms = asked?;
        (estimate > f64::from(asked_ms)).then_some(Reason::MissesGoal {
            goal,
            asked_ms,
            estimate_ms: estimate,
        })
    };
    slower(
        "time to the first token",
        goals.max_ttft_ms,
        pace.ttft_ms.estimate,
    )
    .or_else(|| {
        slower(
            "time between tokens",
            goals.max_tpot_ms,
            pace.tpot_ms.estimate,
        )
    })
}
