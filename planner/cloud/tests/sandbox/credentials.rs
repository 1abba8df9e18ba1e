//! Every kind of credentials file, each against the sandbox's token endpoints.

use openmodel_cloud::transport::{self, Endpoints};
use openmodel_cloud::{GoogleCloud, Secret, Transport, auth};
use serde_json::{Value, json};

use super::world::{World, identity, soon};

/// A transport with these credentials. The environment is not a sandbox as far as they know.
fn with(world: &World, credentials: &Value) -> Transport {
    Transport::new(transport::Options {
        endpoints: Endpoints::sandbox(world.sandbox.url()).expect("a base URL"),
        auth: auth::Options {
            credentials: Some(Secret::new(credentials.to_string())),
            ..auth::Options::default()
        },
        ..transport::Options::default()
    })
}

async fn gives_a_token(world: &World, credentials: &Value) {
    let transport = with(world, credentials);
    let token = transport.auth().access_token().await.expect("a token");
    assert!(
        token.expose().starts_with("ya29.sandbox-"),
        "{}",
        credentials["type"]
    );
    let cloud = GoogleCloud::new(transport, [].into());
    assert_eq!(cloud.read_endpoint(&identity(), soon()).await, Ok(None));
}

fn authorized_user(world: &World) -> Value {
    json!({"type": "authorized_user", "client_id": "id", "client_secret": "s", "refresh_token": "1//r",
        "token_uri": format!("{}/token", world.sandbox.url())})
}

fn impersonation_url(world: &World) -> String {
    let account = "ci@acme-ml.iam.gserviceaccount.com";
    format!(
        "{}/v1/projects/-/serviceAccounts/{account}:generateAccessToken",
        world.sandbox.url()
    )
}

#[tokio::test]
async fn a_users_refresh_token_is_exchanged() {
    let world = World::new();
    gives_a_token(&world, &authorized_user(&world)).await;
}

#[tokio::test]
async fn an_outside_identity_is_exchanged_and_may_act_as_an_account() {
    let world = World::new();
    let folder = tempfile::tempdir().expect("a folder");
    let subject = folder.path().join("token");
    std::fs::write(&subject, "a.jwt.of.ours").expect("written");
    let mut file = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/ci",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/v1/token", world.sandbox.url()),
        "credential_source": {"file": subject},
    });
    gives_a_token(&world, &file).await;
    file["service_account_impersonation_url"] = json!(impersonation_url(&world));
    gives_a_token(&world, &file).await;
}

#[tokio::test]
async fn a_file_may_say_which_account_to_act_as() {
    let world = World::new();
    let file = json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": impersonation_url(&world),
        "source_credentials": authorized_user(&world),
        "delegates": [],
    });
    gives_a_token(&world, &file).await;
}

#[tokio::test]
async fn an_account_that_is_acted_as_proves_who_calls() {
    let world = World::new();
    let transport = Transport::new(transport::Options {
        endpoints: Endpoints::sandbox(world.sandbox.url()).expect("a base URL"),
        auth: auth::Options {
            sandbox: true,
            impersonate_service_account: Some("ci@acme-ml.iam.gserviceaccount.com".to_owned()),
            ..auth::Options::default()
        },
        ..transport::Options::default()
    });
    let token = transport
        .auth()
        .id_token(&transport, "https://chat.run.app", soon())
        .await;
    let token = token.expect("a token");
    assert_eq!(
        token.expose().split('.').count(),
        3,
        "a signed token has three parts"
    );
}
