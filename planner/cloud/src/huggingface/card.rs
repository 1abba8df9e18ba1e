//! A repository's facts, its configuration and its index put together into one model card.

use std::collections::{BTreeMap, BTreeSet};

use openmodel_schemas::gguf::gguf_models;
use openmodel_schemas::model_card::{
    ModelCard, ModelConfig, StoredQuantization, WeightBasis, WeightBytes,
};
use openmodel_schemas::quantity::{Bytes, Parameters};
use openmodel_schemas::repository::{RepoFile, RepositoryCard};

use super::calls::{Safetensors, WeightIndex};

/// The index that names the weight files an engine loads.
pub(crate) const INDEX_FILE: &str = "model.safetensors.index.json";

/// The one weight file of a small repository.
const SINGLE_FILE: &str = "model.safetensors";

/// Puts the model's card together. `index` is there where the repository has [`INDEX_FILE`].
/// The error names the field that does not fit the rest.
pub(crate) fn assemble(
    repository: RepositoryCard,
    safetensors: Safetensors,
    config: Option<ModelConfig>,
    index: Option<&WeightIndex>,
) -> Result<ModelCard, String> {
    let weights = weights(&repository.files, index)?;
    let config = config.map(|config| in_gguf(config, &repository.files));
    let total = safetensors
        .total
        .or_else(|| Some(safetensors.parameters.values().sum()).filter(|sum| *sum > 0));
    Ok(ModelCard {
        id: repository.repository.id,
        commit: repository.commit,
        config,
        parameters: total.map(Parameters),
        active_parameters: None,
        parameters_by_dtype: safetensors.parameters,
        weights,
        licence: repository.licence.id().map(str::to_owned),
        files: repository.files,
        gating: repository.gating,
        private: repository.private,
        library: repository.library,
        pipeline_tag: repository.pipeline_tag,
    })
}

/// The bytes an engine loads. A repository often carries the same weights twice or thrice
/// (`.bin` beside `.safetensors`, `original/`), so only what the index names is counted.
fn weights(files: &[RepoFile], index: Option<&WeightIndex>) -> Result<Option<WeightBytes>, String> {
    let sizes: BTreeMap<&str, Bytes> = files
        .iter()
        .map(|file| (file.path.as_str(), file.size))
        .collect();
    let found = |bytes, basis| Ok(Some(WeightBytes { bytes, basis }));
    if let Some(index) = index {
        let named: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();
        let mut sum = Bytes(0);
        for name in named {
            let size = sizes
                .get(name)
                .ok_or_else(|| format!("it names {name}, which is not in the repository"))?;
            sum = sum + *size;
        }
        return found(sum, WeightBasis::SafetensorsIndex);
    }
    if let Some(size) = sizes.get(SINGLE_FILE) {
        return found(*size, WeightBasis::SingleSafetensors);
    }
    let sum = |wanted: &dyn Fn(&str) -> bool| -> (usize, Bytes) {
        let at_root = files
            .iter()
            .filter(|file| !file.path.contains('/') && wanted(&file.path));
        at_root.fold((0, Bytes(0)), |(count, sum), file| {
            (count + 1, sum + file.size)
        })
    };
    for (count, bytes) in [
        sum(&|path| has_ending(path, "safetensors")),
        sum(&|path| path.starts_with("pytorch_model") && has_ending(path, "bin")),
    ] {
        if count > 0 {
            return found(bytes, WeightBasis::OtherFiles);
        }
    }
    // Which of several GGUF models is loaded is not to be seen from here.
    match gguf_models(files).as_slice() {
        [model] => found(model.bytes(), WeightBasis::OtherFiles),
        _ => Ok(None),
    }
}

fn has_ending(path: &str, ending: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, last)| last == ending)
}

/// A configuration beside one GGUF model, and no weights of another kind, says nothing of how these
/// are stored: the name of the model does.
fn in_gguf(mut config: ModelConfig, files: &[RepoFile]) -> ModelConfig {
    let models = gguf_models(files);
    let [model] = models.as_slice() else {
        return config;
    };
    let is_other =
        |file: &RepoFile| has_ending(&file.path, "safetensors") || has_ending(&file.path, "bin");
    if files.iter().any(is_other) || config.quantization.is_some() {
        return config;
    }
    if let Some(bits) = model.bits() {
        config.quantization = Some(StoredQuantization {
            method: "gguf".to_owned(),
            bits: Some(bits),
            ..StoredQuantization::default()
        });
    }
    config
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::facts::tests::of_files;
    use super::*;

    fn card(
        files: &[(&str, u64)],
        safetensors: Value,
        index: Option<Value>,
    ) -> Result<ModelCard, String> {
        let safetensors = serde_json::from_value(safetensors).expect("counts");
        let index = index.map(|index| serde_json::from_value(index).expect("an index"));
        assemble(of_files(files), safetensors, None, index.as_ref())
    }

    #[test]
    fn only_the_files_of_the_index_are_weights() {
        let files = [
            ("model-00001-of-00002.safetensors", 100),
            ("model-00002-of-00002.safetensors", 50),
            ("original/consolidated.00.pth", 150),
            ("pytorch_model.bin", 150),
        ];
        let index = json!({"metadata": {"total_size": 149}, "weight_map": {
            "a": "model-00001-of-00002.safetensors", "b": "model-00001-of-00002.safetensors",
            "c": "model-00002-of-00002.safetensors"}});
        let card = card(&files, json!({}), Some(index)).expect("a card");
        let expected = WeightBytes {
            bytes: Bytes(150),
            basis: WeightBasis::SafetensorsIndex,
        };
        assert_eq!(card.weights, Some(expected));
        assert_eq!(card.files.len(), 4);
        assert_eq!(
            card.files[0].sha256.as_deref(),
            Some("sha-model-00001-of-00002.safetensors")
        );
    }

    #[test]
    fn an_index_that_names_a_missing_file_is_not_believed() {
        let index = json!({"weight_map": {"a": "gone.safetensors"}});
        let error =
            card(&[("model.safetensors", 1)], json!({}), Some(index)).expect_err("it does not fit");
        assert_eq!(
            error,
            "it names gone.safetensors, which is not in the repository"
        );
    }

    #[test]
    fn weights_without_an_index() {
        let weights = |files: &[(&str, u64)]| card(files, json!({}), None).expect("a card").weights;
        let of = |bytes, basis| {
            Some(WeightBytes {
                bytes: Bytes(bytes),
                basis,
            })
        };
        assert_eq!(
            weights(&[("model.safetensors", 7), ("pytorch_model.bin", 9)]),
            of(7, WeightBasis::SingleSafetensors)
        );
        assert_eq!(
            weights(&[("consolidated.safetensors", 7)]),
            of(7, WeightBasis::OtherFiles)
        );
        assert_eq!(
            weights(&[("pytorch_model-1.bin", 4), ("pytorch_model-2.bin", 5)]),
            of(9, WeightBasis::OtherFiles)
        );
        assert_eq!(weights(&[("m.gguf", 3)]), of(3, WeightBasis::OtherFiles));
        assert_eq!(weights(&[("q4.gguf", 3), ("q8.gguf", 6)]), None);
        assert_eq!(weights(&[("README.md", 3)]), None);
    }

    #[test]
    fn the_one_gguf_file_says_how_it_is_stored() {
        let stored = |paths: &[&str]| {
            let files: Vec<_> = paths.iter().map(|path| (*path, 3)).collect();
            let files = of_files(&files).files;
            let stored = in_gguf(ModelConfig::default(), &files).quantization?;
            Some((stored.method, stored.bits?))
        };
        let gguf = |bits| Some(("gguf".to_owned(), bits));
        assert_eq!(
            stored(&["config.json", "Llama-3.1-8B-Q4_K_M.gguf"]),
            gguf(4)
        );
        assert_eq!(stored(&["m.IQ3_XS.gguf"]), gguf(3));
        assert_eq!(stored(&["m-q8_0.gguf"]), gguf(8));
        for other in [
            &["m-f16.gguf"][..],
            &["m-Q4_K_M.gguf", "m-Q8_0.gguf"],
            &["m-Q4_K_M.gguf", "model.safetensors"],
            &["model.safetensors"],
        ] {
            assert_eq!(stored(other), None, "{other:?}");
        }
    }

    #[test]
    fn parameters_are_the_stated_total() {
        let counted = card(
            &[],
            json!({"parameters": {"BF16": 8, "F32": 2}, "total": 10}),
            None,
        );
        let counted = counted.expect("a card");
        assert_eq!(counted.parameters, Some(Parameters(10)));
        assert_eq!(counted.parameters_by_dtype["BF16"], 8);
    }
}
