//! The Hub's requests, in their order, and what is made of the answers.

use openmodel_schemas::model_card::{ModelKind, StoredQuantization};
use openmodel_schemas::quantity::Bytes;
use serde_json::json;

use super::*;
use crate::transport::script::{self, Answer, with_headers};

const SHA: &str = "0e9e39f249a16976918f6564b8830bc894c89659";

fn id() -> ModelId {
    "acme/tiny".parse().expect("an id")
}

fn main() -> Revision {
    "main".parse().expect("a revision")
}

fn hub(options: HubOptions, answers: Vec<Answer>) -> (Hub, script::Seen) {
    let (transport, seen) = script::transport(answers);
    (Hub::new(transport, options), seen)
}

fn moved() -> Answer {
    with_headers(
        200,
        &[("etag", "W/\"1\"")],
        json!({"id": "acme/tiny", "sha": SHA}),
    )
}

/// In the order in which they are asked for side by side.
fn repository() -> Vec<Answer> {
    let link = "<https://huggingface.co/x?cursor=2>; rel=\"next\"";
    let file =
        |path: &str, size: u64| json!({"type": "file", "oid": "o", "path": path, "size": size});
    vec![
        script::json(200, json!({"id": "acme/tiny", "sha": SHA, "gated": false})),
        with_headers(200, &[("link", link)], json!([file("config.json", 10)])),
        script::json(200, json!([file("model.safetensors", 1000)])),
        script::json(
            200,
            json!({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 100}),
        ),
        with_headers(
            404,
            &[("x-error-code", "EntryNotFound")],
            json!({"error": "Entry not found"}),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_branch_is_resolved_and_read_at_its_commit() {
    let mut answers = vec![moved()];
    answers.extend(repository());
    let (hub, seen) = hub(HubOptions::default(), answers);
    let card = hub.card(&id(), &main()).await.expect("a card");
    assert_eq!(card.commit.as_str(), SHA);
    assert_eq!(card.files.len(), 2);
    assert_eq!(
        card.weights.as_ref().map(|weights| weights.bytes),
        Some(Bytes(1000))
    );
    assert_eq!(card.config.as_ref().map(|config| config.layers), Some(2));
    insta::assert_snapshot!(seen.lines().join("\n"), @"
    GET https://huggingface.co/api/models/acme/tiny/revision/main?expand%5B%5D=sha
    GET https://huggingface.co/api/models/acme/tiny/revision/0e9e39f249a16976918f6564b8830bc894c89659?securityStatus=true
    GET https://huggingface.co/api/models/acme/tiny/tree/0e9e39f249a16976918f6564b8830bc894c89659?recursive=true
    GET https://huggingface.co/api/models/acme/tiny/tree/0e9e39f249a16976918f6564b8830bc894c89659?recursive=true&cursor=2
    GET https://huggingface.co/acme/tiny/resolve/0e9e39f249a16976918f6564b8830bc894c89659/config.json
    GET https://huggingface.co/acme/tiny/resolve/0e9e39f249a16976918f6564b8830bc894c89659/model.safetensors.index.json
    ");
    // Asked once per process.
    hub.card(&id(), &main()).await.expect("a card");
    assert_eq!(seen.lines().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn the_next_run_asks_only_whether_the_branch_moved_and_offline_not_even_that() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = |offline| HubOptions {
        cache: Some(folder.path().to_owned()),
        offline,
    };
    let mut answers = vec![moved()];
    answers.extend(repository());
    let first = hub(options(false), answers)
        .0
        .card(&id(), &main())
        .await
        .expect("a card");

    let (again, seen) = hub(options(false), vec![script::json(304, json!({}))]);
    assert_eq!(again.card(&id(), &main()).await, Ok(Arc::clone(&first)));
    assert_eq!(seen.header("if-none-match"), [Some("W/\"1\"".to_owned())]);

    let (offline, seen) = hub(options(true), vec![]);
    assert_eq!(offline.card(&id(), &main()).await, Ok(Arc::clone(&first)));
    let commit: Revision = SHA.parse().expect("a revision");
    assert_eq!(offline.card(&id(), &commit).await, Ok(first));
    assert!(seen.lines().is_empty());
    let other = offline
        .card(&"acme/other".parse().expect("an id"), &main())
        .await;
    assert!(matches!(other, Err(HubError::Offline { .. })), "{other:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gated_repository_without_access_says_where_to_get_it() {
    let refused = || {
        with_headers(
            401,
            &[("x-error-code", "GatedRepo")],
            json!({"error": "Access is restricted"}),
        )
    };
    let (hub, _) = hub(
        HubOptions::default(),
        vec![
            moved(),
            script::json(
                200,
                json!({"id": "acme/tiny", "sha": SHA, "gated": "manual"}),
            ),
            script::json(200, json!([])),
            refused(),
            refused(),
        ],
    );
    let error = hub.card(&id(), &main()).await.expect_err("gated");
    let url = "https://huggingface.co/acme/tiny".to_owned();
    assert_eq!(
        error,
        HubError::Gated {
            id: id(),
            url,
            has_token: false
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_config_that_is_no_models_names_its_field() {
    let mut answers = vec![moved()];
    answers.extend(repository());
    answers[4] = script::json(200, json!({"hidden_size": "wide"}));
    let error = hub(HubOptions::default(), answers)
        .0
        .card(&id(), &main())
        .await
        .expect_err("no model");
    let HubError::Malformed { field, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(field, "config.json: hidden_size");
}

fn no_such_file() -> Answer {
    with_headers(
        404,
        &[("x-error-code", "EntryNotFound")],
        json!({"error": "Entry not found"}),
    )
}

/// A repository of these files, whose `config.json` is this or is missing.
fn repository_of(files: &[&str], config: Option<Value>) -> Vec<Answer> {
    let file = |path: &&str| json!({"type": "file", "oid": "o", "path": path, "size": 10});
    let files: Vec<Value> = files.iter().map(file).collect();
    vec![
        moved(),
        script::json(200, json!({"id": "acme/tiny", "sha": SHA, "gated": false})),
        script::json(200, Value::Array(files)),
        config.map_or_else(no_such_file, |config| script::json(200, config)),
        no_such_file(),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_is_read_from_its_index() {
    let mut answers = repository_of(&["model_index.json"], None);
    answers.push(script::json(200, json!({"_class_name": "FluxPipeline"})));
    let (hub, seen) = hub(HubOptions::default(), answers);
    let card = hub.card(&id(), &main()).await.expect("a card");
    let config = card.config.as_ref().expect("a pipeline");
    assert_eq!(
        (config.architecture.as_str(), config.kind),
        ("FluxPipeline", ModelKind::Diffusion)
    );
    let asked = format!("GET https://huggingface.co/acme/tiny/resolve/{SHA}/model_index.json");
    assert_eq!(seen.lines().last(), Some(&asked));

    let answers = repository_of(&["model.gguf"], None);
    let (hub, seen) = super::tests::hub(HubOptions::default(), answers);
    let card = hub.card(&id(), &main()).await.expect("a card");
    assert_eq!((card.config.as_ref(), seen.lines().len()), (None, 5));
}

#[tokio::test(start_paused = true)]
async fn a_quantisation_that_the_configuration_does_not_state() {
    let config = json!({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 100});
    let mut answers = repository_of(&["hf_quant_config.json"], Some(config));
    let stated = json!({"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "group_size": 16,
        "exclude_modules": ["lm_head"]});
    answers.push(script::json(
        200,
        json!({"producer": {"name": "modelopt"}, "quantization": stated}),
    ));
    let (hub, _) = hub(HubOptions::default(), answers);
    let card = hub.card(&id(), &main()).await.expect("a card");
    let config = card.config.as_ref().expect("a model");
    let expected = StoredQuantization {
        method: "modelopt".to_owned(),
        bits: Some(4),
        float: Some(true),
        group_size: Some(16),
        kv_bits: Some(8),
        ..StoredQuantization::default()
    };
    assert_eq!(config.quantization, Some(expected));
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_does_not_answer_is_asked_once_by_many() {
    let (hub, seen) = hub(
        HubOptions::default(),
        (0..5).map(|_| Answer::Lost(false)).collect(),
    );
    for _ in 0..3 {
        let error = hub
            .resolve(&Repository::model(id()), &main())
            .await
            .expect_err("no answer");
        assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    }
    assert_eq!(seen.lines().len(), 5);
}
