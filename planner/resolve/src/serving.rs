//! The container that serves a model: image, arguments and environment.

use std::collections::BTreeMap;

use openmodel_schemas::engine::{EngineRow, FlagsRow};
use openmodel_schemas::name::CommitSha;
use openmodel_schemas::report::Serving;
use openmodel_schemas::spec::EngineSpec;

use crate::error::{Fault, Field};
use crate::fit::Fit;
use crate::format::Format;
use crate::need::Need;

/// What an engine is started with. The user's arguments follow ours, and the last one counts; the
/// user's environment wins over ours.
pub(crate) fn serving(
    need: &Need,
    fit: &Fit,
    accelerator: &str,
    commit: Option<&CommitSha>,
    user: &EngineSpec,
) -> Result<Serving, Fault> {
    let engine = fit.engine;
    let image = match &user.image {
        Some(image) => image.clone(),
        None => image(engine, accelerator)?,
    };
    let mut args = engine.arguments.clone();
    args.extend(arguments(need, fit, commit));
    let generated_args = args.len();
    args.extend(user.args.iter().cloned());
    let mut env = engine.env.clone();
    env.extend(variables(need, fit, commit));
    env.extend(user.env.clone());
    Ok(Serving {
        engine: engine.name.clone(),
        engine_version: engine.version.clone(),
        image,
        command: engine.command.clone(),
        args,
        generated_args,
        env,
        port: engine.port,
        health_path: engine.health_path.clone(),
    })
}

/// Our arguments, in the engine's words; what it has no word for is left out. A word that ends in
/// `=` takes its value in the same word.
fn arguments(need: &Need, fit: &Fit, commit: Option<&CommitSha>) -> Vec<String> {
    let mut args = Vec::new();
    for (flag, value) in values(&fit.engine.flags, need, fit, commit) {
        if flag.ends_with('=') {
            args.push(format!("{flag}{value}"));
        } else {
            args.extend([flag, value]);
        }
    }
    if fit.parallelism.expert {
        args.extend(fit.engine.flags.expert.clone());
    }
    args
}

/// The same choices as environment variables, for an image that takes no command line.
fn variables(
    need: &Need,
    fit: &Fit,
    commit: Option<&CommitSha>,
) -> impl Iterator<Item = (String, String)> {
    values(&fit.engine.variables, need, fit, commit).into_iter()
}

/// The words an engine has, with our values.
fn values(
    flags: &FlagsRow,
    need: &Need,
    fit: &Fit,
    commit: Option<&CommitSha>,
) -> Vec<(String, String)> {
    let footprint = &fit.footprint;
    let spread = fit.parallelism;
    let variant = &need.variants[fit.variant];
    let words = &fit.engine.words;
    let word = |words: &BTreeMap<String, String>, ours: &str| {
        words.get(ours).cloned().unwrap_or_else(|| ours.to_owned())
    };
    let several = |ranks: u32| (ranks > 1).then(|| ranks.to_string());
    let context = if fit.engine.context_of_all {
        footprint.context.saturating_mul(footprint.sequences)
    } else {
        footprint.context
    };
    let config = need.architecture.config;
    let widened =
        config.dtype.as_deref() == Some("float32") && variant.weights.format == Format::Bf16;
    let made = variant
        .quantization
        .filter(|_| config.quantization.is_none());
    let all = [
        (&flags.model, Some(need.card.id.to_string())),
        (&flags.revision, commit.map(ToString::to_string)),
        (&flags.served_name, Some(need.card.id.to_string())),
        (&flags.port, Some(fit.engine.port.to_string())),
        (&flags.context_length, Some(context.to_string())),
        (&flags.sequences, Some(footprint.sequences.to_string())),
        (
            &flags.batched_tokens,
            Some(footprint.batched_tokens.to_string()),
        ),
        (&flags.utilization, Some(fraction(footprint.utilization))),
        (&flags.tensor, several(spread.tensor)),
        (&flags.pipeline, several(spread.pipeline)),
        (&flags.data, several(spread.data)),
        (
            &flags.expert_ranks,
            spread.expert.then(|| spread.expert_ranks().to_string()),
        ),
        (&flags.dtype, widened.then(|| word(&words.dtype, "bfloat16"))),
        (
            &flags.quantization,
            made.map(|made| word(&words.quantization, made.as_str())),
        ),
        (
            &flags.kv_dtype,
            (need.kv_element == 1).then(|| word(&words.kv_dtype, "fp8")),
        ),
    ];
    all.into_iter()
        .filter_map(|(flag, value)| Some((flag.clone()?, value?)))
        .collect()
}

/// A fraction with two digits: `0.92`.
fn fraction(share: f64) -> String {
    format!("{share:.2}")
}

fn image(engine: &EngineRow, accelerator: &str) -> Result<String, Fault> {
    let runs = |names: &[String]| names.is_empty() || names.iter().any(|name| name == accelerator);
    let image = engine
        .images
        .iter()
        .find(|row| runs(&row.accelerators))
        .map(|row| row.image.clone());
    image.ok_or_else(|| Fault {
        field: Field::Engine,
        code: "no_image",
        summary: "No image of the engine for this accelerator",
        detail: format!(
            "The catalog has no image of {} {} for {accelerator}. Set engine.image to one whose CUDA \
             version the driver runs.",
            engine.name, engine.version
        ),
    })
}
