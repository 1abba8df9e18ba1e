//! The repositories that every sandbox starts with (`data/models.json`).
//!
//! Configurations, licences, gates and parameter counts are those of the real repositories;
//! weights are computed as they are read. For the tiny `openmodel/…` repositories every stated
//! digest is true of the bytes served. For the others, whose gigabytes nobody wants to hash, the
//! SHA-256 of a weight file is a digest of its repository, name and size: right in form, always
//! the same, and not the digest of the bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::repo::{Blob, Card, File, Gate, Kind, Repo, sha256};
use super::tensors::{self, Tensor};
use super::weights::{self, Weights};
use crate::http::Source;
use crate::ids;

/// Date of the one commit of each; the true dates differ from day to day.
const DATE: &str = "2026-01-01T00:00:00.000Z";

/// One entry of the data file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    license: String,
    #[serde(default)]
    license_name: Option<String>,
    gated: Gate,
    pipeline_tag: String,
    library_name: String,
    tags: Vec<String>,
    #[serde(default)]
    base_model: Option<String>,
    config: Value,
    /// What others have published of it; held against the computed tensors by a test.
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "for the test of the data"))]
    parameters: Option<u64>,
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "for the test of the data"))]
    stated_bytes: Option<u64>,
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "for the test of the data"))]
    stated_parameters_billion: Option<f64>,
}

/// A repository with its files.
type Built = (Repo, BTreeMap<String, File>);

/// A repository of the catalog, built when it is first asked for.
#[derive(Default)]
struct Slot(OnceLock<Built>);

static MODELS: LazyLock<BTreeMap<String, (Entry, Slot)>> = LazyLock::new(|| {
    // A file that does not parse is caught by the tests below, before anything is shipped.
    let models: Vec<Entry> =
        serde_json::from_str(include_str!("../../data/models.json")).unwrap_or_default();
    models
        .into_iter()
        .map(|model| (model.id.clone(), (model, Slot::default())))
        .collect()
});

static DATASETS: LazyLock<BTreeMap<String, Built>> =
    LazyLock::new(|| BTreeMap::from([("openmodel/tiny-prompts".to_owned(), prompts())]));

/// A repository by kind and id.
pub(crate) fn repo(kind: Kind, id: &str) -> Option<&'static Repo> {
    built(kind, id).map(|(repo, _)| repo)
}

/// A file of a repository that the sandbox brings with it.
pub(crate) fn file(kind: Kind, id: &str, path: &str) -> Option<File> {
    built(kind, id)?.1.get(path).cloned()
}

/// The ids of the repositories of a kind that the sandbox brings with it.
pub(crate) fn ids(kind: Kind) -> Vec<String> {
    match kind {
        Kind::Models => MODELS.keys().cloned().collect(),
        Kind::Datasets => DATASETS.keys().cloned().collect(),
        Kind::Spaces => Vec::new(),
    }
}

fn built(kind: Kind, id: &str) -> Option<&'static Built> {
    match kind {
        Kind::Datasets => DATASETS.get(id),
        // The sandbox brings none.
        Kind::Spaces => None,
        Kind::Models => {
            let (model, slot) = MODELS.get(id)?;
            Some(slot.0.get_or_init(|| build(model)))
        }
    }
}

fn build(model: &Entry) -> Built {
    let tensors = tensors::of(&model.config);
    let mut parameters = BTreeMap::new();
    for tensor in &tensors {
        *parameters.entry(tensor.dtype.to_owned()).or_insert(0) += tensor.parameters();
    }
    let card = Card {
        gated: model.gated,
        license: Some(model.license.clone()),
        license_name: model.license_name.clone(),
        base_model: model.base_model.clone(),
        pipeline_tag: Some(model.pipeline_tag.clone()),
        library_name: Some(model.library_name.clone()),
        tags: model.tags.clone(),
        parameters,
        ..Card::default()
    };
    let files = files(model, &tensors);
    let blobs = files
        .keys()
        .map(|path| (path.clone(), Blob::BuiltIn))
        .collect();
    (Repo::new(Kind::Models, &model.id, card, blobs, DATE), files)
}

fn files(model: &Entry, tensors: &[Tensor]) -> BTreeMap<String, File> {
    let tiny = model.id.starts_with("openmodel/");
    let text = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
    let mut small = vec![
        (
            ".gitattributes",
            "*.safetensors filter=lfs diff=lfs merge=lfs -text\n".to_owned(),
        ),
        ("README.md", readme(model)),
        ("config.json", text(&model.config)),
        (
            "generation_config.json",
            text(&generation_config(&model.config)),
        ),
        ("tokenizer.json", text(&tokenizer())),
        ("tokenizer_config.json", text(&tokenizer_config(model))),
    ];
    let checkpoint = weights::checkpoint(tensors, &model.id);
    if let Some(index) = &checkpoint.index {
        small.push(("model.safetensors.index.json", text(index)));
    }
    let small = small
        .into_iter()
        .map(|(path, text)| (path.to_owned(), File::small(text.into())));
    let large = checkpoint.files.into_iter().map(|(path, weights)| {
        let sha256 = if tiny {
            weights.sha256()
        } else {
            stated_sha256(&model.id, &path, &weights)
        };
        (path, File::large(Arc::new(weights), sha256))
    });
    small.chain(large).collect()
}

/// What stands for the SHA-256 of a file that is too large to hash.
fn stated_sha256(id: &str, path: &str, weights: &Weights) -> String {
    ids::hex(&ids::digest(
        0,
        &["stated sha256", id, path, &weights.size().to_string()],
    ))
}

fn readme(model: &Entry) -> String {
    let front = [
        ("license", Some(&model.license)),
        ("license_name", model.license_name.as_ref()),
        ("base_model", model.base_model.as_ref()),
        ("library_name", Some(&model.library_name)),
        ("pipeline_tag", Some(&model.pipeline_tag)),
    ];
    let front = front
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}: {}\n", value?)));
    format!(
        "---\n{}---\n\n# {}\n\nThis repository is emulated by the openmodel sandbox: its \
         configuration is the published one, its weights are computed.\n",
        front.collect::<String>(),
        model.id
    )
}

fn generation_config(config: &Value) -> Value {
    let mut generation = json!({"_from_model_config": true});
    for name in [
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
        "transformers_version",
    ] {
        if let Some(value) = config.get(name).filter(|value| !value.is_null()) {
            generation[name] = value.clone();
        }
    }
    generation
}

/// A tokenizer of the 256 bytes: valid, and small.
fn tokenizer() -> Value {
    let vocabulary = (0..256_u32).map(|id| (format!("<0x{id:02X}>"), Value::from(id)));
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": {"type": "ByteFallback"},
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "byte_fallback": true,
            "vocab": vocabulary.collect::<serde_json::Map<_, _>>(),
            "merges": [],
        },
    })
}

fn tokenizer_config(model: &Entry) -> Value {
    let text = model.config.get("text_config").unwrap_or(&model.config);
    let mut config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template":
            "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}",
    });
    if let Some(length) = text.get("max_position_embeddings") {
        config["model_max_length"] = length.clone();
    }
    config
}

/// A small dataset with a text file and a computed one.
fn prompts() -> Built {
    let id = "openmodel/tiny-prompts";
    let lines = ["What is a model?", "Name three colours.", "Say nothing."]
        .map(|prompt| json!({"prompt": prompt, "max_tokens": 16}).to_string() + "\n");
    let readme = "---\nlicense: cc0-1.0\n---\n\n# tiny-prompts\n\nThree prompts, for tests.\n";
    let parquet = Weights::plain(4_096, 3);
    let digest = parquet.sha256();
    let files = BTreeMap::from([
        ("README.md".to_owned(), File::small(Bytes::from(readme))),
        (
            "data/prompts.jsonl".to_owned(),
            File::small(lines.concat().into()),
        ),
        (
            "data/embeddings.bin".to_owned(),
            File::large(Arc::new(parquet), digest),
        ),
    ]);
    let card = Card {
        license: Some("cc0-1.0".to_owned()),
        tags: vec!["size_categories:n<1K".to_owned()],
        ..Card::default()
    };
    let blobs = files
        .keys()
        .map(|path| (path.clone(), Blob::BuiltIn))
        .collect();
    (Repo::new(Kind::Datasets, id, card, blobs, DATE), files)
}

/// The digest of the files of a commit: what tells two versions of an answer apart.
pub(crate) fn etag(body: &[u8]) -> String {
    format!("W/\"{}\"", &sha256(body)[..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_tensors_agree_with_what_is_published() {
        assert!(MODELS.len() >= 24, "{}", MODELS.len());
        for (id, (model, _)) in MODELS.iter() {
            let tensors = tensors::of(&model.config);
            let elements: u64 = tensors.iter().map(Tensor::elements).sum();
            let bytes: u64 = tensors.iter().map(Tensor::bytes).sum();
            assert!(elements > 0, "{id} has no tensors");
            if let Some(parameters) = model.parameters {
                assert_eq!(elements, parameters, "{id}: parameters");
            }
            if let Some(stated) = model.stated_bytes {
                // Most published sizes are GiB with two decimals.
                assert!(
                    bytes.abs_diff(stated) < (1 << 30) / 50,
                    "{id}: {bytes} bytes, {stated} stated"
                );
            }
            if let Some(stated) = model
                .stated_parameters_billion
                .filter(|_| model.parameters.is_some())
            {
                let billions =
                    f64::from(u32::try_from(elements / 1_000_000).expect("fits")) / 1000.0;
                assert!(
                    (billions - stated).abs() < 0.02,
                    "{id}: {billions} B, {stated} B stated"
                );
            }
        }
    }

    #[test]
    fn gpt_oss_has_exactly_its_published_bytes_and_parameters() {
        let repo = repo(Kind::Models, "openai/gpt-oss-20b").expect("a repository");
        let bytes: u64 = tensors::of(&MODELS["openai/gpt-oss-20b"].0.config)
            .iter()
            .map(Tensor::bytes)
            .sum();
        assert_eq!(bytes, 13_761_264_768);
        assert_eq!(repo.card.parameters["U8"], 19_707_494_400);
        assert_eq!(repo.card.parameters["BF16"], 1_804_459_584);
    }

    #[test]
    fn the_index_adds_up_to_the_weights() {
        let id = "meta-llama/Llama-3.1-8B-Instruct";
        let index = file(Kind::Models, id, "model.safetensors.index.json").expect("an index");
        let index: Value =
            serde_json::from_slice(&index.source.read(0..index.size())).expect("JSON");
        assert_eq!(index["metadata"]["total_size"], 16_060_522_496_u64);
        assert_eq!(
            index["weight_map"]["lm_head.weight"],
            "model-00004-of-00004.safetensors"
        );
        let shard = file(Kind::Models, id, "model-00001-of-00004.safetensors").expect("a shard");
        assert!(
            (4_900_000_000..5_100_000_000).contains(&shard.size()),
            "{}",
            shard.size()
        );
    }

    #[test]
    fn every_digest_of_a_tiny_repository_is_true() {
        for (kind, id, path) in [
            (
                Kind::Models,
                "openmodel/tiny-random-llama",
                "model.safetensors",
            ),
            (
                Kind::Datasets,
                "openmodel/tiny-prompts",
                "data/embeddings.bin",
            ),
        ] {
            let file = file(kind, id, path).expect(path);
            let bytes = file.source.read(0..file.size());
            assert_eq!(file.lfs.expect("an LFS file").0, sha256(&bytes));
        }
    }
}
