//! The Hub adapter beside Hugging Face's own client, on the same sandbox: they see the same.

use std::path::Path;

use acceptance::http_client;
use acceptance::python::Python;
use openmodel_cloud::huggingface::HubOptions;
use openmodel_cloud::transport::{self, Endpoints};
use openmodel_cloud::{Hub, Secret, Transport};
use openmodel_sandbox::{Options, Sandbox};
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::Revision;
use openmodel_schemas::repository::{FileScan, RepositoryCard};
use openmodel_schemas::snapshot::{Repository, RepositoryType};
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
        "library": card.library,
        "pipeline_tag": card.pipeline_tag,
        "architecture": card.config.as_ref().map(|config| &config.architecture),
    })
}

/// A repository's card, in the words of `clients/repository_card.py`.
fn repository_facts(card: &RepositoryCard) -> Value {
    let mut facts = serde_json::to_value(card).expect("JSON");
    let of_scans = |fact: fn(&FileScan) -> Value| -> Value {
        let scans = card.scans.iter();
        scans
            .map(|(path, scan)| (path.clone(), fact(scan)))
            .collect()
    };
    facts["states"] = of_scans(|scan| json!(scan.state));
    facts["imports"] = of_scans(|scan| json!(scan.imports));
    if card.repository.kind != RepositoryType::Model {
        // Hugging Face's client does not ask for it.
        facts["scan"] = Value::Null;
    }
    // To the millisecond, as the Hub has it.
    let when = card
        .last_modified
        .as_deref()
        .and_then(|text| text.get(..23));
    facts["last_modified"] = json!(when);
    let facts = facts.as_object_mut().expect("an object");
    facts.remove("scans");
    Value::Object(facts.clone())
}

async fn put(sandbox: &Sandbox, repository: &Repository, body: &Value) {
    let url = format!("{}/sandbox/hub/{repository}", sandbox.url());
    let answer = http_client().put(url).json(body).send().await;
    assert!(answer.expect("an answer").status().is_success());
}

fn hub_of(sandbox: &Sandbox) -> Hub {
    Hub::new(
        Transport::new(transport::Options {
            endpoints: Endpoints::sandbox(sandbox.url()).expect("the sandbox's URL"),
            hugging_face_token: Some(Secret::new("hf_accepted")),
            ..transport::Options::default()
        }),
        HubOptions::default(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_of_any_kind_says_what_hugging_faces_client_says() {
    let sandbox = Sandbox::start(Options::default()).expect("a sandbox");
    let of = |kind, id: &str| Repository {
        kind,
        id: id.parse().expect("an id"),
    };
    let adapter = of(RepositoryType::Model, "acme/lora");
    let import = json!({"module": "os", "name": "system", "safety": "dangerous"});
    let bad = json!({"status": "unsafe", "pickleImportScan": {"status": "unsafe", "pickleImports": [import]}});
    let body = json!({
        "card": {
            "license": "other", "licenseName": "acme", "licenseLink": "https://acme.example/terms",
            "baseModel": "Qwen/Qwen3-8B", "libraryName": "peft", "tags": ["custom_code"], "gated": "auto",
            "scan": {"files": {"a.bin": bad}, "issues": [{"path": "a.bin", "level": "unsafe"}]},
        },
        "files": {"a.bin": {"computed": {"size": 70_000, "seed": 3}}, "adapter_config.json": {"text": "{}"}},
    });
    put(&sandbox, &adapter, &body).await;
    let space = of(RepositoryType::Space, "acme/app");
    let files: serde_json::Map<String, Value> = (0..120)
        .map(|n| (format!("pages/{n}.py"), json!({"text": n.to_string()})))
        .collect();
    let body = json!({"card": {"license": "mit", "scan": {"done": false}}, "files": files});
    put(&sandbox, &space, &body).await;
    let repositories = [
        adapter,
        space,
        of(RepositoryType::Dataset, "openmodel/tiny-prompts"),
        of(RepositoryType::Model, "Qwen/Qwen3-30B-A3B"),
    ];

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("repository-card");
    let python = Python::shared().expect("a Python with huggingface_hub");
    let mut client = python.client("repository_card.py");
    for repository in &repositories {
        client.args([repository.kind.as_str(), repository.id.as_str()]);
    }
    client
        .env("HF_ENDPOINT", sandbox.url())
        .env("HF_HOME", folder);
    let output = client.output().expect("the client starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let theirs: Value = serde_json::from_slice(&output.stdout).expect("JSON");

    let hub = hub_of(&sandbox);
    for repository in &repositories {
        let card = hub.repository(repository, &Revision::main()).await;
        let card = card.expect("a card");
        let name = format!("{} {}", repository.kind, repository.id);
        assert_eq!(repository_facts(&card), theirs[&name], "{name}");
    }
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

    let hub = hub_of(&sandbox);
    let main = "main".parse().expect("a revision");
    for repository in REPOSITORIES {
        let id = repository.parse().expect("a model id");
        let card = hub.card(&id, &main).await.expect(repository);
        assert_eq!(facts(&card), theirs[repository], "{repository}");
    }
}
