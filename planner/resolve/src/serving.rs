//! The container that serves a model: image, arguments and environment.

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
    let mut args = arguments(need, fit, commit);
    let generated_args = args.len();
    args.extend(user.args.iter().cloned());
    let mut env = engine.env.clone();
    env.extend(user.env.clone());
    Ok(Serving {
        engine: engine.name.clone(),
        engine_version: engine.version.clone(),
        image,
        command: Vec::new(),
        args,
        generated_args,
        env,
        port: engine.port,
        health_path: engine.health_path.clone(),
    })
}

/// Our arguments, in the engine's words; what it has no word for is left out.
fn arguments(need: &Need, fit: &Fit, commit: Option<&CommitSha>) -> Vec<String> {
    let FlagsRow {
        model,
        revision,
        served_name,
        port,
        context_length,
        sequences,
        batched_tokens,
        utilization,
        tensor,
        pipeline,
        data,
        expert,
        dtype,
        quantization,
        kv_dtype,
    } = &fit.engine.flags;
    let footprint = &fit.footprint;
    let spread = fit.parallelism;
    let variant = &need.variants[fit.variant];
    let mut args = Vec::new();
    let mut add = |flag: &Option<String>, value: String| {
        if let Some(flag) = flag {
            args.extend([flag.clone(), value]);
        }
    };
    add(model, need.card.id.to_string());
    if let Some(commit) = commit {
        add(revision, commit.to_string());
    }
    add(served_name, need.card.id.to_string());
    add(port, fit.engine.port.to_string());
    add(context_length, footprint.context.to_string());
    add(sequences, footprint.sequences.to_string());
    add(batched_tokens, footprint.batched_tokens.to_string());
    add(utilization, fraction(footprint.utilization));
    for (flag, ranks) in [
        (tensor, spread.tensor),
        (pipeline, spread.pipeline),
        (data, spread.data),
    ] {
        if ranks > 1 {
            add(flag, ranks.to_string());
        }
    }
    let config = need.architecture.config;
    if config.dtype.as_deref() == Some("float32") && variant.weights.format == Format::Bf16 {
        add(dtype, "bfloat16".to_owned());
    }
    if let Some(asked) = variant.quantization {
        add(quantization, asked.as_str().to_owned());
    }
    if need.kv_element == 1 {
        add(kv_dtype, "fp8".to_owned());
    }
    if spread.expert {
        args.extend(expert.clone());
    }
    args
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
