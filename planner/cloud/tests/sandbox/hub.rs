//! Reading the sandbox's Hub: real configurations, terms, names that do not exist.

use openmodel_cloud::HubError;
use openmodel_schemas::model_card::{ModelCard, WeightBasis};
use openmodel_schemas::name::{ModelId, Revision};
use openmodel_schemas::repository::Gating;

use super::world::{World, hub};

async fn card(
    world: &World,
    id: &str,
    revision: &str,
    token: Option<&str>,
) -> Result<ModelCard, HubError> {
    let id: ModelId = id.parse().expect("an id");
    let revision: Revision = revision.parse().expect("a revision");
    hub(&world.sandbox, token)
        .card(&id, &revision)
        .await
        .map(|card| (*card).clone())
}

#[tokio::test]
async fn a_gated_model_is_read_with_a_token_and_explained_without() {
    let world = World::new();
    let id = "meta-llama/Llama-3.1-8B-Instruct";
    let found = card(&world, id, "main", Some("hf_any"))
        .await
        .expect("a card");
    let config = found.config.expect("a config");
    assert_eq!(
        (
            config.layers,
            config.kv_heads,
            config.head_dim,
            config.vocab_size
        ),
        (32, 8, 128, 128_256)
    );
    assert_eq!(found.gating, Gating::Manual);
    assert_eq!(found.licence.as_deref(), Some("llama3.1"));
    let weights = found.weights.expect("weights");
    assert_eq!(weights.basis, WeightBasis::SafetensorsIndex);
    assert!(
        (16_060_522_496..16_070_000_000).contains(&weights.bytes.0),
        "{weights:?}"
    );

    let error = card(&world, id, "main", None).await.expect_err("gated");
    assert!(
        matches!(
            error,
            HubError::Gated {
                has_token: false,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("Accept the terms at"), "{error}");
}

#[tokio::test]
async fn every_model_of_the_sandbox_can_be_read() {
    let models: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../../sandbox/data/models.json")).expect("JSON");
    let world = World::new();
    assert!(models.len() >= 20);
    for model in models {
        let id = model["id"].as_str().expect("an id");
        let found = card(&world, id, "main", Some("hf_any")).await.expect(id);
        assert!(found.config.is_some() && found.weights.is_some(), "{id}");
        if let Some(stated) = model["parameters"].as_u64() {
            assert_eq!(found.parameters.map(|count| count.0), Some(stated), "{id}");
        }
        let same = card(&world, id, found.commit.as_str(), Some("hf_any"))
            .await
            .expect(id);
        assert_eq!(same, found, "{id} by its commit");
    }
}

#[tokio::test]
async fn names_that_do_not_exist_are_told_apart() {
    let world = World::new();
    let error = card(&world, "acme/no-such-model", "main", Some("hf_any"))
        .await
        .expect_err("no such model");
    assert!(matches!(error, HubError::NotFound { .. }), "{error}");
    let error = card(&world, "acme/no-such-model", "main", None)
        .await
        .expect_err("no such model");
    assert!(matches!(error, HubError::NotFound { .. }), "{error}");
    let error = card(&world, "Qwen/Qwen3-8B", "no-such-branch", Some("hf_any"))
        .await
        .expect_err("no such branch");
    assert!(
        matches!(error, HubError::RevisionNotFound { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_hub_that_is_down_is_unreachable() {
    let world = World::new();
    let hub = hub(&world.sandbox, None);
    world.sandbox.shutdown();
    let (id, revision) = (
        "Qwen/Qwen3-8B".parse().expect("an id"),
        "main".parse().expect("a revision"),
    );
    let error = hub.card(&id, &revision).await.expect_err("nobody there");
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
}
