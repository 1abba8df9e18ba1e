//! Which files of a repository an engine reads: a snapshot that lacks one does not serve.

use openmodel_schemas::engine::EngineRow;
use openmodel_schemas::model_card::{ModelCard, ModelKind};
use openmodel_schemas::spec::Quantization;

use crate::{engines, gguf};

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
/// known. Of several GGUF models `quantization` chooses one.
#[must_use]
pub fn loaded_files(
    card: &ModelCard,
    engine: &str,
    quantization: Option<Quantization>,
) -> Vec<String> {
    engines::engine(engine).map_or_else(Vec::new, |engine| needed(card, engine, quantization))
}

/// Paths of the files that an engine needs of a repository, in order; none where its files are not
/// known.
pub(crate) fn needed(
    card: &ModelCard,
    engine: &EngineRow,
    quantization: Option<Quantization>,
) -> Vec<String> {
    let is_diffusion = card
        .config
        .as_ref()
        .is_some_and(|config| config.kind == ModelKind::Diffusion);
    let mut paths = if gguf::reads(engine) {
        let model = gguf::served(card, quantization);
        let files = model.into_iter().flat_map(|model| model.files);
        files.map(|file| file.path.clone()).collect()
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

/// Whether a file's name ends so, behind its last dot.
pub(crate) fn has_ending(path: &str, ending: &str) -> bool {
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
        assert_eq!(needed(&card(paths), engine, None), expect);
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
    fn a_gguf_model_is_its_parts_and_of_several_one_is_asked_for() {
        let parts = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
        check(
            "llama-cpp",
            &[parts[0], parts[1], "mmproj-f16.gguf"],
            &parts,
        );
        let several = ["config.json", "m-Q4_K_M.gguf", "m-Q8_0.gguf"];
        check("llama-cpp", &several, &[]);
        let loaded = loaded_files(&card(&several), "llama-cpp", Some(Quantization::GgufQ8_0));
        assert_eq!(loaded, ["m-Q8_0.gguf"]);
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
            needed(&card, engine, None),
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
