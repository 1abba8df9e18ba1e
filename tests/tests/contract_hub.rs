//! The Hub adapter beside Hugging Face's own client, on the same sandbox: they see the same.

use std::path::Path;

use acceptance::python::Python;
use openmodel_cloud::huggingface::HubOptions;
use openmodel_cloud::transport::{self, Endpoints};
use openmodel_cloud::{Hub, Secret, Transport};
use openmodel_sandbox::{Options, Sandbox};
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::repository::ScanStatus;
use serde_json::{Value, json};

/// Dense and mixture of experts, sharded and in one file, gated and open, quantised, nested.
const REPOSITORIES: [&str; 7] = [
    "Qwen/Qwen2.5-7B-Instruct",
    "Qwen/Qwen3-30B-A3B",
    "google/gemma-2-9b-it",
    "google/gemma-3-4b-it",
    "meta-llama/Llama-3.1-8B-Instruct",
    "openai/gpt-oss-20b",
    "openmodel/tiny-random-llama",
];

/// A card, in the words of `clients/model_card.py`.
fn facts(card: &ModelCard) -> Value {
    let mut files = serde_json::to_value(&card.files).expect("JSON");
    let list = files.as_array_mut().expect("a list");
    list.sort_by_key(|file| file["path"].to_string());
    json!({
        "id": card.id,
        "commit": card.commit,
        "parameters": card.parameters,
        "parameters_by_dtype": card.parameters_by_dtype,
        "weight_bytes": card.weights.as_ref().map(|weights| weights.bytes),
        "files": files,
        "licence": card.licence,
        "gating": card.gating,
        "private": card.private,
        "safe": card.scan == ScanStatus::Safe,
        "library": card.library,
        "pipeline_tag": card.pipeline_tag,
        "architecture": card.config.as_ref().map(|config| &config.architecture),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_card_says_what_hugging_faces_client_says() {
    let sandbox = Sandbox::start(Options::default()).expect("a sandbox");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("model-card");
    let python = Python::shared().expect("a Python with huggingface_hub");
    let output = python
        .client("model_card.py")
        .arg(&folder)
        .args(REPOSITORIES)
        .env("HF_ENDPOINT", sandbox.url())
        .env("HF_HOME", folder.join("home"))
        .env("HF_TOKEN", "hf_accepted")
        .output()
        .expect("the client starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let theirs: Value = serde_json::from_slice(&output.stdout).expect("JSON");

    let hub = Hub::new(
        Transport::new(transport::Options {
            endpoints: Endpoints::sandbox(sandbox.url()).expect("the sandbox's URL"),
            hugging_face_token: Some(Secret::new("hf_accepted")),
            ..transport::Options::default()
        }),
        HubOptions::default(),
    );
    let main = "main".parse().expect("a revision");
    for repository in REPOSITORIES {
        let id = repository.parse().expect("a model id");
        let card = hub.card(&id, &main).await.expect(repository);
        assert_eq!(facts(&card), theirs[repository], "{repository}");
    }
}
