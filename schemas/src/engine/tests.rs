//! The embedded engines hold what their rows promise: sources, words, images, versions.

use std::collections::BTreeSet;

use super::*;
use crate::fresh::check;

/// The planner's words for formats (`Format::as_str`).
const FORMATS: [&str; 11] = [
    "float32",
    "bfloat16",
    "float16",
    "fp8",
    "int8",
    "int4",
    "mxfp4",
    "nvfp4",
    "bitsandbytes",
    "bitsandbytes-8bit",
    "gguf",
];

const GPUS: [&str; 12] = [
    "nvidia-t4",
    "nvidia-v100",
    "nvidia-l4",
    "nvidia-rtx-pro-6000",
    "nvidia-a100-40gb",
    "nvidia-a100-80gb",
    "nvidia-h100-80gb",
    "nvidia-h100-mega-80gb",
    "nvidia-h200-141gb",
    "nvidia-b200",
    "nvidia-gb200",
    "nvidia-gb300",
];

const TPUS: [&str; 4] = ["tpu-v5e", "tpu-v5p", "tpu-v6e", "tpu7x"];

fn document() -> EnginesDocument {
    serde_json::from_str(EMBEDDED_ENGINES).expect("the engines are readable")
}

/// The numbers of a version, which compare as the version does.
fn numbers(version: &str) -> Vec<u32> {
    version
        .split('.')
        .map(|part| part.parse().expect("a version is numbers with dots"))
        .collect()
}

/// The engine that `auto` tries first for a kind of model.
fn first(kind: ModelKind, accelerator: AcceleratorKind) -> Option<String> {
    document()
        .engines
        .into_iter()
        .find(|engine| engine.serves.contains(&kind) && engine.accelerator == accelerator)
        .map(|engine| engine.name)
}

#[test]
fn the_checked_in_schema_is_the_one_these_types_generate() {
    check(
        &schemars::schema_for!(EnginesDocument),
        "engines.schema.json",
        ENGINES_SCHEMA,
    );
}

#[test]
fn the_engines_survive_a_round_trip() {
    let document = document();
    let text = serde_json::to_string(&document).expect("serialises");
    assert_eq!(
        serde_json::from_str::<EnginesDocument>(&text).expect("reads back"),
        document
    );
}

#[test]
fn every_row_names_a_source_and_every_source_has_a_row() {
    let document = document();
    let mut named = BTreeSet::new();
    for engine in &document.engines {
        let rows = engine.memory.iter().map(|row| &row.source);
        let images = engine.images.iter().chain(&engine.sidecars);
        let images = images.map(|row| &row.source);
        let drafts = engine.draft_models.iter().map(|row| &row.source);
        let streamers = engine.streamer.iter().map(|row| &row.source);
        named.extend(
            rows.chain(images)
                .chain(drafts)
                .chain(streamers)
                .chain([&engine.source, &engine.host_source]),
        );
    }
    named.extend(document.classes.values().map(|row| &row.source));
    assert_eq!(named, document.sources.keys().collect());
}

#[test]
fn names_are_unique() {
    let names: Vec<_> = document().engines.into_iter().map(|row| row.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

#[test]
fn formats_are_known_words_and_what_is_made_can_be_loaded() {
    for engine in document().engines {
        for format in &engine.formats {
            let name = &engine.name;
            assert!(FORMATS.contains(&format.as_str()), "{name}: {format}");
        }
        for format in &engine.makes {
            assert!(engine.formats.contains(format), "{}: {format}", engine.name);
        }
        assert!(
            engine.makes.is_empty() || engine.flags.quantization.is_some(),
            "{} makes formats without a word to ask for them",
            engine.name
        );
        for ours in engine.words.quantization.keys() {
            assert!(engine.makes.contains(ours), "{}: {ours}", engine.name);
        }
    }
}

#[test]
fn memory_rows_start_at_the_first_version_and_ascend() {
    for engine in document().engines {
        let from: Vec<_> = engine.memory.iter().map(|row| numbers(&row.from)).collect();
        assert_eq!(from.first(), Some(&vec![0]), "{}", engine.name);
        assert!(from.is_sorted_by(|a, b| a < b), "{}", engine.name);
        for row in &engine.memory {
            let steps: Vec<_> = row.steps.iter().map(|step| step.from_gib).collect();
            assert!(
                steps.first().is_some_and(|least| *least <= 0.0),
                "{}",
                engine.name
            );
            assert!(steps.is_sorted_by(|a, b| a < b), "{}", engine.name);
        }
    }
}

#[test]
fn images_are_fixed_and_of_the_version() {
    for engine in document().engines {
        for image in engine.images.iter().chain(&engine.sidecars) {
            let image = &image.image;
            let (_, name) = image.rsplit_once('/').expect("a registry or an owner");
            match name.split_once(':') {
                Some((_, tag)) => assert!(
                    tag.contains(&engine.version),
                    "{image} is not of version {}",
                    engine.version
                ),
                // Google's deep learning containers carry the version in their name.
                None => assert!(
                    image.contains("/deeplearning-platform-release/"),
                    "{image} has no tag"
                ),
            }
        }
    }
}

#[test]
fn images_list_known_accelerators_each_once_and_a_catch_all_last() {
    for engine in document().engines {
        let known: &[&str] = match engine.accelerator {
            AcceleratorKind::Gpu => &GPUS,
            AcceleratorKind::Tpu => &TPUS,
        };
        let mut seen = BTreeSet::new();
        for accelerator in engine.images.iter().flat_map(|row| &row.accelerators) {
            let name = &engine.name;
            assert!(
                known.contains(&accelerator.as_str()),
                "{name}: {accelerator}"
            );
            assert!(seen.insert(accelerator), "{name} lists {accelerator} twice");
        }
        let catch_all = engine
            .images
            .iter()
            .position(|row| row.accelerators.is_empty());
        assert!(
            catch_all.is_none_or(|at| at + 1 == engine.images.len()),
            "an image of {} is never reached",
            engine.name
        );
    }
}

#[test]
fn every_engine_can_be_told_its_model() {
    for engine in document().engines {
        assert!(
            engine.flags.model.is_some() || engine.variables.model.is_some(),
            "{}",
            engine.name
        );
    }
}

#[test]
fn auto_tries_first_what_is_maintained() {
    use AcceleratorKind::{Gpu, Tpu};
    for (kind, accelerator, name) in [
        (ModelKind::Decoder, Gpu, Some("vllm")),
        (ModelKind::Encoder, Gpu, Some("tei")),
        (ModelKind::EncoderDecoder, Gpu, Some("vllm")),
        (ModelKind::Diffusion, Gpu, Some("diffusers")),
        (ModelKind::Decoder, Tpu, Some("vllm-tpu")),
        (ModelKind::Encoder, Tpu, None),
    ] {
        assert_eq!(first(kind, accelerator).as_deref(), name);
    }
    let unmaintained = document()
        .engines
        .iter()
        .map(|engine| engine.unmaintained_since.is_some())
        .collect::<Vec<_>>();
    assert!(
        unmaintained.is_sorted(),
        "an engine without maintenance stands before a maintained one"
    );
}
