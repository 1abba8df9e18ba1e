//! What the table of serving engines says that a schema must know: which names it may take.

use std::sync::LazyLock;

use openmodel_schemas::catalog::AcceleratorKind;
use openmodel_schemas::engine::{EMBEDDED_ENGINES, EngineRow, EnginesDocument};
use openmodel_schemas::spec::Quantization;
use tfplug::Diagnostic;
use tfplug::schema::Validator;

/// The engines that ship in the binary.
pub(crate) fn engines() -> &'static [EngineRow] {
    static ENGINES: LazyLock<EnginesDocument> = LazyLock::new(|| {
        serde_json::from_str(EMBEDDED_ENGINES).expect("a test reads the embedded engines")
    });
    &ENGINES.engines
}

/// Engines that serve a model of the Hub from one container with GPUs, as an endpoint runs them.
pub(crate) fn of_endpoints() -> impl Iterator<Item = &'static EngineRow> {
    engines().iter().filter(|engine| {
        engine.accelerator == AcceleratorKind::Gpu
            && engine.sidecars.is_empty()
            && (engine.flags.model.is_some() || engine.variables.model.is_some())
    })
}

/// Formats that an endpoint can be asked for: those that one of these engines makes of a 16-bit checkpoint
/// while loading, and those that tell a repository's GGUF models apart.
pub(crate) fn quantizations() -> Vec<&'static str> {
    let is_made =
        |format: &str| of_endpoints().any(|engine| engine.makes.iter().any(|made| made == format));
    Quantization::ALL
        .into_iter()
        .filter(|format| format.gguf().is_some() || is_made(format.as_str()))
        .map(Quantization::as_str)
        .collect()
}

/// Their names.
pub(crate) fn names(engines: impl Iterator<Item = &'static EngineRow>) -> Vec<&'static str> {
    engines.map(|engine| engine.name.as_str()).collect()
}

/// An engine by its name, and its version where that is stated: `vllm@0.19`.
pub(crate) fn versioned(text: &str) -> (&str, Option<&str>) {
    match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    }
}

/// Accepts the name of a known engine, alone or with a version; the planner reads the version.
pub(crate) fn at_a_version() -> Validator {
    let known = names(engines().iter());
    let rule = format!(
        "One of {}, alone or with a version such as `vllm@0.19`.",
        known.join(", ")
    );
    Validator::new(rule.clone(), move |args, found| {
        let Some(text) = args.value.as_str() else {
            return;
        };
        if !known.contains(&versioned(text).0) {
            let said = format!("{text:?} is no known engine. {rule}");
            found.push(
                Diagnostic::error("Engine is not known")
                    .at(args.path.clone())
                    .detail(said),
            );
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_run_engines_of_one_container_with_gpus() {
        let names = names(of_endpoints());
        for name in ["vllm", "sglang", "tei", "tgi"] {
            assert!(names.contains(&name), "{name}");
        }
        for name in ["vllm-tpu", "jetstream"] {
            assert!(!names.contains(&name), "{name}");
        }
    }

    #[test]
    fn formats_are_those_some_engine_makes_or_loads_by_their_name() {
        let formats = quantizations();
        for format in ["fp8", "bitsandbytes", "gguf-q4_k_m"] {
            assert!(formats.contains(&format), "{format}");
        }
        assert!(!formats.contains(&"awq"));
    }
}
