//! Serving engines: the table that ships in the binary, looked up by name and version.

use std::sync::LazyLock;

use openmodel_schemas::engine::{EMBEDDED_ENGINES, EngineRow, EnginesDocument, MemoryRow};
use openmodel_schemas::model_card::ModelKind;

use crate::architecture::Architecture;
use crate::task::base;

/// The engines that ship in the binary.
pub(crate) fn engines() -> &'static EnginesDocument {
    static ENGINES: LazyLock<EnginesDocument> = LazyLock::new(|| {
        serde_json::from_str(EMBEDDED_ENGINES).expect("a test reads the embedded engines")
    });
    &ENGINES
}

/// An engine by its name.
pub(crate) fn engine(name: &str) -> Option<&'static EngineRow> {
    engines().engines.iter().find(|row| row.name == name)
}

/// The least NVIDIA compute capability, without its dot, on which an engine is known to serve a
/// class in a role; `None` where it is not known to serve it at all.
pub(crate) fn serves(engine: &EngineRow, class: &str, role: ModelKind) -> Option<u32> {
    if !engine.serves.contains(&role) {
        return None;
    }
    let listed = |class: &str| {
        let mut rows = engine
            .classes
            .iter()
            .filter_map(|id| engines().classes.get(id));
        let row = rows.find(|row| {
            row.names
                .binary_search_by(|name| name.as_str().cmp(class))
                .is_ok()
        });
        row.map(|row| row.min_compute_capability.unwrap_or(0))
    };
    // An engine that generates too makes the class with another head of the one it lists.
    let converts = role == ModelKind::Encoder && engine.serves.contains(&ModelKind::Decoder);
    listed(class).or_else(|| {
        let base = base(class).filter(|_| converts)?;
        ["ForCausalLM", "ForConditionalGeneration"]
            .into_iter()
            .find_map(|head| listed(&format!("{base}{head}")))
    })
}

/// What is not known of an engine at a version other than the one whose classes and arguments the
/// table has.
pub(crate) fn other_version(engine: &EngineRow, version: &str) -> Option<String> {
    (version != engine.version).then(|| {
        format!(
            "classes and arguments are those of {} {}: what {version} serves is not known",
            engine.name, engine.version
        )
    })
}

/// What is not known of a model whose class an engine is not known to serve, or of the engine at
/// that version, for the basis of an estimate; empty where both are known.
pub(crate) fn doubt(engine: &EngineRow, version: &str, architecture: Architecture) -> String {
    let version =
        other_version(engine, version).map_or_else(String::new, |words| format!("; {words}"));
    let class = &architecture.config.architecture;
    if serves(engine, class, architecture.role()).is_some() {
        return version;
    }
    format!(
        "{version}; it has {}, which {} {} is not known to serve: sized by the fields of its configuration alone",
        architecture.stated_class(),
        engine.name,
        engine.version
    )
}

/// The image of an engine for an accelerator.
pub(crate) fn image<'a>(engine: &'a EngineRow, accelerator: &str) -> Option<&'a str> {
    let runs = |names: &[String]| names.is_empty() || names.iter().any(|name| name == accelerator);
    let row = engine.images.iter().find(|row| runs(&row.accelerators))?;
    Some(&row.image)
}

/// Whether an engine takes a draft model at a version. A version that cannot be read counts as the
/// newest.
pub(crate) fn takes_draft_models(engine: &EngineRow, version: &str) -> bool {
    engine
        .draft_models
        .as_ref()
        .is_some_and(|row| reached(&row.from, version))
}

/// Whether a version is not older than another. One that cannot be read counts as the newest.
pub(crate) fn reached(from: &str, version: &str) -> bool {
    match (parse(from), parse(version)) {
        (None, _) => false,
        (Some(from), Some(version)) => from <= version,
        (Some(_), None) => true,
    }
}

/// The memory constants of an engine at a version: those of the last row that is not newer.
/// A version that cannot be read counts as the newest.
pub(crate) fn memory<'a>(engine: &'a EngineRow, version: &str) -> &'a MemoryRow {
    let wanted = parse(version);
    let known = |row: &&MemoryRow| match (&wanted, parse(&row.from)) {
        (Some(wanted), Some(from)) => from <= *wanted,
        _ => true,
    };
    engine
        .memory
        .iter()
        .rfind(known)
        .or(engine.memory.first())
        .expect("a test proves that each engine has a row")
}

/// `0.19.0` as [0, 19, 0]; `0.11.x` as [0, 11]; `~0.23` as [0, 23].
fn parse(version: &str) -> Option<Vec<u32>> {
    let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    let parts: Vec<u32> = digits
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect();
    (!parts.is_empty()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_has_memory_constants() {
        assert!(engines().engines.iter().all(|row| !row.memory.is_empty()));
    }

    #[test]
    fn draft_models_are_taken_from_a_version_on() {
        let takes = |name, version| takes_draft_models(engine(name).expect("it is there"), version);
        assert!(takes("vllm", "0.27.1") && takes("vllm", "0.19.0") && takes("vllm", "nightly"));
        assert!(!takes("vllm", "0.12.0") && !takes("vllm-tpu", "0.29.0"));
    }

    #[test]
    fn constants_are_those_of_the_version() {
        let vllm = engine("vllm").expect("it is there");
        for (version, from) in [
            ("0.19.0", "0.17"),
            ("0.11.x", "0.8"),
            ("~0.23", "0.22"),
            ("0.6.4", "0"),
            ("0.21", "0.21"),
            ("nightly", "0.22"),
            ("99", "0.22"),
        ] {
            assert_eq!(memory(vllm, version).from, from, "{version}");
        }
    }
}
