//! Repositories of every kind on the sandbox's Hub: scans, access, and names that do not exist.

use openmodel_cloud::huggingface::{HubOptions, content};
use openmodel_cloud::virus_total::VirusTotal;
use openmodel_cloud::{Hub, HubError};
use openmodel_schemas::name::Revision;
use openmodel_schemas::repository::{RepositoryCard, ScanState, ScanStatus};
use openmodel_schemas::snapshot::{Repository, RepositoryType};
use serde_json::{Value, json};

use super::world::{TOKEN, World, hub, soon, transport, with_virus_total};

fn named(kind: RepositoryType, id: &str) -> Repository {
    Repository {
        kind,
        id: id.parse().expect("an id"),
    }
}

fn model(id: &str) -> Repository {
    named(RepositoryType::Model, id)
}

async fn read(hub: &Hub, repository: &Repository) -> Result<RepositoryCard, HubError> {
    let read = hub.repository(repository, &Revision::main()).await;
    read.map(|card| (*card).clone())
}

/// A text in each file, in large-file storage or in Git.
fn files(paths: &[&str]) -> Value {
    let text = |path: &&str| ((*path).to_owned(), json!({"text": "text"}));
    Value::Object(paths.iter().map(text).collect())
}

#[tokio::test]
async fn a_dataset_and_a_space_are_read_as_a_model_is() {
    let world = World::new();
    let space = named(RepositoryType::Space, "acme/app");
    let body = json!({"card": {"license": "mit"}, "files": files(&["app.py", "README.md"])});
    world.tell("PUT", &format!("hub/{space}"), &body).await;
    let hub = hub(&world.sandbox, None);
    let card = read(&hub, &space).await.expect("a space");
    assert_eq!(
        (card.repository, card.licence.id()),
        (space.clone(), Some("mit"))
    );
    let paths: Vec<&str> = card.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["README.md", "app.py"]);

    let data = named(RepositoryType::Dataset, "openmodel/tiny-prompts");
    let card = read(&hub, &data).await.expect("a dataset");
    assert_eq!(card.scan, ScanStatus::Safe);
    assert_eq!(card.scans["data/embeddings.bin"].state, ScanState::Safe);
    assert!(card.last_modified.is_some());
    // Its files lie under addresses of their own.
    let transport = transport(&world.sandbox, None);
    for (card, path) in [
        (card, "data/prompts.jsonl"),
        (read(&hub, &space).await.expect("a space"), "app.py"),
    ] {
        let request = content(&card.repository, &card.commit, path, 0);
        let flow = transport.open(&request).await.expect(path);
        assert_eq!(flow.header("x-repo-commit"), Some(card.commit.as_str()));
    }
}

#[tokio::test]
async fn an_adapter_says_what_it_adapts_and_an_other_licence_its_name() {
    let world = World::new();
    let adapter = model("acme/lora");
    let body = json!({"card": {"baseModel": "Qwen/Qwen3-8B", "license": "other", "licenseName": "acme-terms",
        "licenseLink": "https://acme.example/terms", "libraryName": "peft", "tags": ["custom_code"]},
        "files": files(&["adapter_config.json"])});
    world.tell("PUT", &format!("hub/{adapter}"), &body).await;
    let card = read(&hub(&world.sandbox, None), &adapter)
        .await
        .expect("a card");
    assert_eq!(card.base_models, ["Qwen/Qwen3-8B".parse().expect("an id")]);
    assert_eq!(
        card.licence.to_string(),
        "other (acme-terms, https://acme.example/terms)"
    );
    assert_eq!(card.library.as_deref(), Some("peft"));
    assert!(card.custom_code);
}

#[tokio::test]
async fn every_file_of_a_long_listing_has_its_verdict_and_it_is_read_anew() {
    let world = World::new();
    let many = named(RepositoryType::Dataset, "acme/many");
    let paths: Vec<String> = (0..1_205).map(|n| format!("rows/{n:05}.csv")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let bad = "rows/01203.csv";
    let report = json!({"status": "unsafe", "virusTotalScan": {"status": "unsafe", "reportLabel": "9/60 vendors"}});
    let body = json!({"card": {"scan": {"files": {bad: report}}}, "files": files(&paths)});
    world.tell("PUT", &format!("hub/{many}"), &body).await;
    let hub = hub(&world.sandbox, None);
    let card = read(&hub, &many).await.expect("a card");
    assert_eq!((card.files.len(), card.scans.len()), (1_205, 1_205));
    let scan = &card.scans[bad];
    assert_eq!(scan.state, ScanState::Unsafe);
    let by = scan
        .scanners
        .iter()
        .find(|report| report.scanner == "VirusTotal");
    assert_eq!(
        by.and_then(|report| report.message.as_deref()),
        Some("9/60 vendors")
    );
    let safe = card
        .scans
        .values()
        .filter(|scan| scan.state == ScanState::Safe);
    assert_eq!(safe.count(), 1_204);

    world
        .tell(
            "PATCH",
            &format!("hub/{many}"),
            &json!({"scan": {"done": false}}),
        )
        .await;
    assert_eq!(read(&hub, &many).await.expect("once a run"), card);
    let again = hub.rescan(&card).await.expect("asked again");
    assert_eq!(
        (again.scan, again.scans[bad].state),
        (ScanStatus::Pending, ScanState::Queued)
    );
}

#[tokio::test]
async fn what_scanners_said_is_not_believed_in_another_run() {
    let world = World::new();
    let folder = tempfile::tempdir().expect("a folder");
    let run = |offline| {
        let options = HubOptions {
            cache: Some(folder.path().to_owned()),
            offline,
        };
        Hub::new(transport(&world.sandbox, None), options)
    };
    let repository = model("openmodel/tiny-random-llama");
    let first = read(&run(false), &repository).await.expect("a card");
    assert_eq!(first.scan, ScanStatus::Safe);
    let issues =
        json!({"scan": {"issues": [{"path": "model.safetensors", "level": "suspicious"}]}});
    world
        .tell("PATCH", &format!("hub/{repository}"), &issues)
        .await;
    let second = read(&run(false), &repository).await.expect("a card");
    assert_eq!(
        second.scans["model.safetensors"].state,
        ScanState::Suspicious
    );
    // The listing of a commit stays what it is: it is not asked for again.
    let listed = world
        .sandbox
        .log()
        .into_iter()
        .filter(|entry| entry.path.contains("/tree/"));
    assert_eq!(listed.count(), 1);
    let offline = read(&run(true), &repository).await.expect("it was read");
    assert_eq!(offline.files, first.files);
    assert_eq!(
        (offline.scan, offline.scans.len()),
        (ScanStatus::Unknown, 0)
    );
}

#[tokio::test]
async fn who_may_list_a_gated_repository_may_not_always_read_it() {
    let world = World::new();
    let gated = model("meta-llama/Llama-3.1-8B-Instruct");
    let tokens = json!({"hf_accepted": {"name": "in"}, "hf_other": {"name": "out", "gated": []}});
    world.tell("PUT", "hub/tokens", &tokens).await;
    let can = async |token: Option<&str>| {
        let hub = hub(&world.sandbox, token);
        let card = read(&hub, &gated).await.expect("everyone sees it");
        hub.can_read(&card).await
    };
    assert_eq!(can(Some("hf_accepted")).await, Ok(()));
    for token in [Some("hf_other"), None] {
        let error = can(token).await.expect_err("no access");
        assert!(
            matches!(error, HubError::Gated { has_token, .. } if has_token == token.is_some()),
            "{error}"
        );
    }
    // An open one is not asked about.
    let asked = world.sandbox.log().len();
    let hub = hub(&world.sandbox, None);
    let card = read(&hub, &model("Qwen/Qwen3-8B")).await.expect("a card");
    let before = world.sandbox.log().len();
    assert!(before > asked);
    hub.can_read(&card).await.expect("it is open");
    assert_eq!(world.sandbox.log().len(), before);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told_what_is_near_it() {
    let world = World::new();
    let hub = hub(&world.sandbox, None);
    let mut said = Vec::new();
    for repository in [
        model("Qwen/Qwen3-8BB"),
        model("meta-lama/Llama-3.1-8B-Instruct"),
        model("meta-llama/Lama-3.1-8B-Instruct"),
        model("openmodel/tiny-prompts"),
        named(RepositoryType::Dataset, "openmodel/tiny-promts"),
        model("zzz/qqq"),
    ] {
        said.push(
            read(&hub, &repository)
                .await
                .expect_err("nothing there")
                .to_string(),
        );
    }
    insta::assert_snapshot!(said.join("\n"), @"
    the Hub has no model Qwen/Qwen3-8BB, or it is private. Did you mean Qwen/Qwen3-8B, Qwen/Qwen3-4B or Qwen/Qwen3-14B? Check the name; for a private one set hugging_face_token or HF_TOKEN
    the Hub has no model meta-lama/Llama-3.1-8B-Instruct, or it is private. Did you mean meta-llama/Llama-3.1-8B-Instruct, meta-llama/Llama-3.1-70B-Instruct or meta-llama/Llama-3.2-1B-Instruct? Check the name; for a private one set hugging_face_token or HF_TOKEN
    the Hub has no model meta-llama/Lama-3.1-8B-Instruct, or it is private. Did you mean meta-llama/Llama-3.1-8B-Instruct, meta-llama/Llama-3.1-70B-Instruct or meta-llama/Llama-3.2-1B-Instruct? Check the name; for a private one set hugging_face_token or HF_TOKEN
    the Hub has no model openmodel/tiny-prompts, or it is private. There is a dataset openmodel/tiny-prompts: if that is meant, ask for it as a dataset. Check the name; for a private one set hugging_face_token or HF_TOKEN
    the Hub has no dataset openmodel/tiny-promts, or it is private. Did you mean openmodel/tiny-prompts? Check the name; for a private one set hugging_face_token or HF_TOKEN
    the Hub has no model zzz/qqq, or it is private. Check the name; for a private one set hugging_face_token or HF_TOKEN
    ");
}

#[tokio::test]
async fn what_virus_total_knows_stands_beside_what_the_hub_says() {
    let world = World::new();
    let repository = model("openmodel/tiny-random-llama");
    let card = read(&hub(&world.sandbox, None), &repository)
        .await
        .expect("a card");
    let weights = card
        .files
        .iter()
        .find(|file| file.path == "model.safetensors");
    let sha256 = weights
        .and_then(|file| file.sha256.clone())
        .expect("a large file");
    let known = json!({sha256: {"malicious": 9, "undetected": 51}});
    world.tell("PUT", "virus-total", &known).await;
    let deadline = soon();
    let files = card.files.clone();
    let with_key = |key: Option<&str>| VirusTotal::new(with_virus_total(&world.sandbox, key));
    let asked = with_key(Some(TOKEN))
        .add_to(card.clone(), &files, deadline)
        .await;
    let asked = asked.expect("an answer").card;
    assert_eq!(asked.scans["model.safetensors"].worst(), ScanState::Unsafe);
    assert_eq!(asked.scans["config.json"], card.scans["config.json"]);
    let requests = world.sandbox.log();
    let shown = format!("{requests:?}");
    assert!(shown.contains("x-apikey") && !shown.contains(TOKEN));
    let error = with_key(None).add_to(card, &files, deadline).await;
    let error = error.expect_err("no key").to_string();
    assert!(
        error.contains("VirusTotal: X-Apikey header is missing"),
        "{error}"
    );
}

#[tokio::test]
async fn a_repository_that_the_hub_has_closed_says_so() {
    let world = World::new();
    world
        .tell(
            "PATCH",
            "hub/models/openmodel/tiny-random-llama",
            &json!({"disabled": true}),
        )
        .await;
    let hub = hub(&world.sandbox, Some("hf_any"));
    let error = read(&hub, &model("openmodel/tiny-random-llama")).await;
    let error = error.expect_err("closed");
    assert!(matches!(error, HubError::Disabled { .. }), "{error}");
}
