//! Which files of a repository an engine reads: a snapshot that lacks one does not serve.

use openmodel_schemas::engine::EngineRow;
use openmodel_schemas::model_card::{ModelCard, ModelKind};

use crate::engines;

/// What engines read beside the weights, where the repository has it.
const BESIDE: [&str; 21] = [
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "config_sentence_transformers.json",
    "generation_config.json",
    "merges.txt",
    MODULES,
    "preprocessor_config.json",
    "processor_config.json",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tekken.json",
    "tiktoken.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
    "vocab.json",
    "vocab.txt",
];

/// The schedule of a pipeline's steps.
const SCHEDULER: &str = "scheduler_config.json";

/// Lists the modules of a model of Sentence Transformers, each with a folder such as `1_Pooling`.
const MODULES: &str = "modules.json";

/// Weights by the Hub's own names, in the order in which engines prefer them, and their index.
const WEIGHTS: [(&str, &str); 3] = [
    ("model", "safetensors"),
    ("", "safetensors"),
    ("pytorch_model", "bin"),
];

/// Paths of the files that the engine of this name loads of a repository, in order; none where that is not
/// known: of several GGUF models the arguments choose one.
#[must_use]
pub fn loaded_files(card: &ModelCard, engine: &str) -> Vec<String> {
    engines::engine(engine).map_or_else(Vec::new, |engine| needed(card, engine))
}

/// Paths of the files that an engine needs of a repository, in order; none where its files are not
/// known.
pub(crate) fn needed(card: &ModelCard, engine: &EngineRow) -> Vec<String> {
    let is_diffusion = card
        .config
        .as_ref()
        .is_some_and(|config| config.kind == ModelKind::Diffusion);
    let mut paths = if engine.formats.iter().any(|format| format == "gguf") {
        gguf(card)
    } else if is_diffusion {
        of_pipeline(card)
    } else {
        let beside = names(card).filter(|path| BESIDE.contains(path));
        let files = beside.chain(weights(card)).chain(modules(card));
        files.map(str::to_owned).collect()
    };
    paths.sort();
    paths.dedup();
    paths
}

/// Whether the weights are there as safetensors.
pub(crate) fn has_safetensors(card: &ModelCard) -> bool {
    card.files.is_empty()
        || names(card).any(|path| has_ending(path, "safetensors") && !is_copy(path))
}

/// The one GGUF model of a repository, by its files in order; empty where there is none or several.
pub(crate) fn gguf(card: &ModelCard) -> Vec<String> {
    // The encoder of images lies beside its model.
    let mut files: Vec<&str> = names(card)
        .filter(|path| has_ending(path, "gguf") && !path.contains("mmproj"))
        .collect();
    files.sort_unstable();
    // `m-00001-of-00002.gguf` and its like are one model.
    let model = |path: &str| {
        let stem = path.trim_end_matches(".gguf");
        let part = stem.rsplit_once("-of-").and_then(|(rest, count)| {
            let (name, _) = rest.rsplit_once('-')?;
            count.parse::<u32>().ok().map(|_| name.to_owned())
        });
        part.unwrap_or_else(|| stem.to_owned())
    };
    let mut models: Vec<String> = files.iter().map(|path| model(path)).collect();
    models.dedup();
    if models.len() == 1 {
        files.into_iter().map(str::to_owned).collect()
    } else {
        Vec::new()
    }
}

/// The parts of a pipeline: what its index names lies in folders; a variant of them has two dots.
fn of_pipeline(card: &ModelCard) -> Vec<String> {
    let part = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        let weights = name.strip_suffix(".index.json").unwrap_or(name);
        path.contains('/')
            && (BESIDE.contains(&name)
                || name == SCHEDULER
                || (has_ending(weights, "safetensors") && weights.matches('.').count() == 1))
    };
    paths(card)
        .filter(|path| *path == "model_index.json" || part(path))
        .map(str::to_owned)
        .collect()
}

/// What the modules of a model say of themselves: `1_Pooling/config.json`.
fn modules(card: &ModelCard) -> impl Iterator<Item = &str> {
    let has_modules = names(card).any(|path| path == MODULES);
    let of_module = move |path: &&str| {
        let number = path.split_once('_').map(|(number, _)| number);
        has_modules
            && path.matches('/').count() == 1
            && path.ends_with("/config.json")
            && number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    paths(card).filter(of_module)
}

fn weights(card: &ModelCard) -> Vec<&str> {
    let files = WEIGHTS.iter().find_map(|(start, ending)| {
        let files: Vec<&str> = names(card)
            .filter(|path| path.starts_with(start) && !is_copy(path))
            .filter(|path| {
                has_ending(path, ending) || path.ends_with(&format!("{ending}.index.json"))
            })
            .collect();
        let found = files.iter().any(|path| has_ending(path, ending));
        found.then_some(files)
    });
    files.unwrap_or_default()
}

/// Files beside the card, without those in folders.
fn names(card: &ModelCard) -> impl Iterator<Item = &str> {
    paths(card).filter(|path| !path.contains('/'))
}

fn paths(card: &ModelCard) -> impl Iterator<Item = &str> {
    card.files.iter().map(|file| file.path.as_str())
}

/// Mistral's and Meta's name for the same weights in another layout.
fn is_copy(path: &str) -> bool {
    path.starts_with("consolidated")
}

fn has_ending(path: &str, ending: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, last)| last == ending)
}

#[cfg(test)]
mod tests {
    use openmodel_schemas::quantity::Bytes;
    use openmodel_schemas::repository::RepoFile;

    use super::*;
    use crate::engines::engine;
    use crate::testing;

    fn card(paths: &[&str]) -> ModelCard {
        let file = |path: &&str| RepoFile {
            path: (*path).to_owned(),
            size: Bytes(1),
            sha256: None,
            git_oid: String::new(),
        };
        ModelCard {
            files: paths.iter().map(file).collect(),
            ..testing::llama_8b()
        }
    }

    #[track_caller]
    fn check(name: &str, paths: &[&str], expect: &[&str]) {
        let engine = engine(name).expect("an engine");
        assert_eq!(needed(&card(paths), engine), expect);
    }

    #[test]
    fn a_model_needs_its_configuration_its_tokenizer_and_its_weights_once() {
        check(
            "vllm",
            &[
                "README.md",
                "config.json",
                "consolidated.safetensors",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
                "original/config.json",
                "pytorch_model.bin",
                "tokenizer.json",
            ],
            &[
                "config.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
                "tokenizer.json",
            ],
        );
        check(
            "vllm",
            &["config.json", "pytorch_model.bin"],
            &["config.json", "pytorch_model.bin"],
        );
    }

    #[test]
    fn a_model_of_sentences_needs_its_vocabulary_and_its_modules() {
        check(
            "vllm",
            &[
                "1_Pooling/config.json",
                "config.json",
                "model.safetensors",
                "modules.json",
                "onnx/config.json",
                "vocab.txt",
            ],
            &[
                "1_Pooling/config.json",
                "config.json",
                "model.safetensors",
                "modules.json",
                "vocab.txt",
            ],
        );
    }

    #[test]
    fn a_gguf_model_is_its_parts_and_several_are_none() {
        let parts = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
        check(
            "llama-cpp",
            &[parts[0], parts[1], "mmproj-f16.gguf"],
            &parts,
        );
        check("llama-cpp", &["m-Q4_K_M.gguf", "m-Q8_0.gguf"], &[]);
    }

    #[test]
    fn a_pipeline_needs_its_parts_and_no_variant_of_them() {
        let mut card = card(&[
            "model_index.json",
            "sample.png",
            "scheduler/scheduler_config.json",
            "tokenizer/merges.txt",
            "unet/config.json",
            "unet/diffusion_pytorch_model.fp16.safetensors.index.json",
            "unet/diffusion_pytorch_model.safetensors",
            "unet/diffusion_pytorch_model.safetensors.index.json",
            "unet/diffusion_pytorch_model.fp16.safetensors",
        ]);
        if let Some(config) = &mut card.config {
            config.kind = ModelKind::Diffusion;
        }
        let engine = engine("diffusers").expect("an engine");
        assert_eq!(
            needed(&card, engine),
            [
                "model_index.json",
                "scheduler/scheduler_config.json",
                "tokenizer/merges.txt",
                "unet/config.json",
                "unet/diffusion_pytorch_model.safetensors",
                "unet/diffusion_pytorch_model.safetensors.index.json",
            ]
        );
    }
}
