//! The container that serves a model: image, arguments and environment.

use openmodel_schemas::report::{Serving, Shape};
use openmodel_schemas::shape::EngineRow;
use openmodel_schemas::spec::EndpointSpec;

use crate::architecture::Architecture;
use crate::error::{Fault, Field};
use crate::footprint::Footprint;

/// What vLLM is started with. The user's arguments follow ours, and the last one counts; the
/// user's environment wins over ours.
pub(crate) fn serving(
    spec: &EndpointSpec,
    architecture: Architecture,
    engine: &EngineRow,
    shape: &Shape,
    footprint: &Footprint,
) -> Result<Serving, Fault> {
    let image = match &spec.engine.image {
        Some(image) => image.clone(),
        None => catalog_image(engine, &shape.accelerator)?,
    };
    let mut args = flags(&[
        ("--model", spec.model.to_string()),
        ("--revision", spec.commit.to_string()),
        ("--served-model-name", spec.model.to_string()),
        ("--port", engine.port.to_string()),
        (
            "--max-model-len",
            spec.workload.context_length.0.to_string(),
        ),
        ("--max-num-seqs", spec.workload.max_concurrency.to_string()),
        (
            "--max-num-batched-tokens",
            footprint.batched_tokens.to_string(),
        ),
        (
            "--gpu-memory-utilization",
            format!("0.{:02}", engine.memory.utilization_percent),
        ),
    ]);
    if architecture.config.dtype.as_deref() == Some("float32") {
        args.extend(flags(&[("--dtype", "bfloat16".to_owned())]));
    }
    if let Some(quantization) = spec.quantization {
        args.extend(flags(&[(
            "--quantization",
            quantization.as_str().to_owned(),
        )]));
    }
    let generated_args = args.len();
    args.extend(spec.engine.args.iter().cloned());
    let mut env = engine.env.clone();
    env.extend(spec.engine.env.clone());
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

fn flags(pairs: &[(&str, String)]) -> Vec<String> {
    pairs
        .iter()
        .flat_map(|(flag, value)| [(*flag).to_owned(), value.clone()])
        .collect()
}

fn catalog_image(engine: &EngineRow, accelerator: &str) -> Result<String, Fault> {
    let runs = |names: &[String]| names.iter().any(|name| name == accelerator);
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
