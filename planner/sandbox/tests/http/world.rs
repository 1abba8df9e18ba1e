//! The sandbox itself: faults, state file, request log, secrets, tokens, clients without a token.

use std::time::Duration;

use crate::common::{SERVICES, World, vllm};
use openmodel_sandbox::Options;
use serde_json::{Value, json};

async fn fault(world: &World, rule: Value) {
    world.post("/sandbox/faults", rule).await.ok();
}

#[tokio::test]
async fn an_answer_is_lost_before_the_effect_or_after_it() {
    let world = World::start();
    for (lose, id, left) in [("before", "a", 0), ("after", "b", 1)] {
        let rule = json!({"match": {"query": format!("serviceId={id}")}, "times": 1, "then": {"lose": lose}});
        fault(&world, rule).await;
        let path = format!("{SERVICES}?serviceId={id}");
        let request = world.request("POST", &path).bearer_auth("t").json(&vllm());
        let error = request.send().await.expect_err("no answer");
        assert!(!error.is_timeout() && error.status().is_none(), "{error:?}");
        let list = world.get(SERVICES).await.ok();
        let count = list["services"].as_array().map_or(0, Vec::len);
        assert_eq!(count, left, "{lose}");
        let lost = world
            .sandbox
            .log()
            .into_iter()
            .find(|e| e.fault.is_some() && e.method == "POST");
        assert_eq!(
            lost.expect("it is in the log").status,
            if left == 0 { 0 } else { 200 }
        );
        world.call("DELETE", "/sandbox/requests", None).await.ok();
    }
}

#[tokio::test]
async fn a_connection_is_reset() {
    let world = World::start();
    fault(
        &world,
        json!({"match": {"path": "/api/*"}, "times": 1, "then": {"lose": "before", "reset": true}}),
    )
    .await;
    let error = world
        .request("GET", "/api/models/a/b")
        .send()
        .await
        .expect_err("no answer");
    let text = format!("{error:?}");
    assert!(text.contains("ConnectionReset"), "{text}");
}

#[tokio::test]
async fn a_made_up_answer_has_the_shape_of_the_api() {
    let world = World::start();
    let then = json!({"respond": {"status": 429, "headers": {"Retry-After": "7"}}});
    fault(
        &world,
        json!({"match": {"method": "GET"}, "times": 2, "then": then}),
    )
    .await;
    let google = world.get(SERVICES).await;
    assert_eq!(google.header("retry-after"), "7");
    assert_eq!(google.error().1, "RESOURCE_EXHAUSTED");
    let hub = world.get("/api/models/a/b").await;
    assert_eq!(
        (hub.status, hub.json()["error"].as_str()),
        (429, Some("An injected fault."))
    );
    assert_eq!(world.get(SERVICES).await.status, 200);
    let rules = world.get("/sandbox/faults").await.ok();
    assert_eq!(
        (&rules[0]["seen"], &rules[0]["fired"]),
        (&json!(3), &json!(2))
    );
}

#[tokio::test]
async fn a_body_is_cut_short_or_trickles() {
    let world = World::start();
    let file = "/openmodel/tiny-random-llama/resolve/main/tokenizer.json";
    let whole = world.get(file).await.body;
    fault(
        &world,
        json!({"id": "cut", "match": {"path": file}, "times": 1, "then": {"truncateBytes": 100}}),
    )
    .await;
    let mut answer = world.request("GET", file).send().await.expect("a head");
    let mut got = 0;
    let end = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => got += chunk.len(),
            other => break other,
        }
    };
    assert_eq!(got, 100);
    end.expect_err("the connection ends before the body does");
    let slow = json!({"chunkBytes": 512, "pauseMillis": 1});
    fault(
        &world,
        json!({"id": "slow", "match": {"path": file}, "times": 1, "then": {"slow": slow}}),
    )
    .await;
    assert_eq!(world.get(file).await.body, whole);
}

#[tokio::test]
async fn a_sandbox_continues_from_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = || Options {
        state_file: Some(folder.path().join("state.json")),
        operation_time: Duration::from_secs(40),
        ..Options::default()
    };
    let world = World::with(options());
    world.create("ready", vllm()).await;
    let operation = world
        .post(&format!("{SERVICES}?serviceId=under-way"), vllm())
        .await
        .ok();
    let commit = json!({"files": {"new.txt": {"text": "new"}}});
    world
        .post("/sandbox/hub/models/openmodel/tiny-random-llama", commit)
        .await
        .ok();
    // What was answered is on disk already: a sandbox that is killed has lost nothing.
    let file = std::fs::read_to_string(folder.path().join("state.json")).expect("a file");
    assert!(file.contains("services/under-way") && file.contains("new.txt"));
    let before = world.sandbox.inventory();
    world.sandbox.shutdown();

    let world = World::with(options());
    assert_eq!(world.sandbox.inventory(), before);
    let done = world.finish(operation).await;
    assert_eq!(
        done["response"]["terminalCondition"]["state"],
        "CONDITION_SUCCEEDED"
    );
    let service = world.get(&format!("{SERVICES}/ready")).await.ok();
    assert!(
        service["uri"]
            .as_str()
            .expect("a URL")
            .starts_with(world.sandbox.url()),
        "the new port"
    );
    let file = world
        .get("/openmodel/tiny-random-llama/resolve/main/new.txt")
        .await;
    assert_eq!(file.text(), "new");
    world.post("/sandbox/reset", json!({})).await.ok();
    assert_eq!(world.sandbox.inventory(), json!([]));
}

#[tokio::test]
async fn the_same_requests_give_the_same_world() {
    let run = async || {
        let world = World::start();
        let service = world.create("chat", vllm()).await;
        (
            world.sandbox.inventory(),
            service["uid"].clone(),
            service["createTime"].clone(),
        )
    };
    assert_eq!(run().await, run().await);
}

#[tokio::test]
async fn secrets_have_versions_and_keep_them_out_of_sight() {
    let world = World::start();
    let secrets = "/v1/projects/acme-ml/secrets";
    let created = world
        .post(
            &format!("{secrets}?secretId=token"),
            json!({"replication": {"automatic": {}}, "labels": {"a": "b"}}),
        )
        .await
        .ok();
    let name = created["name"].as_str().expect("a name");
    assert!(
        !name.contains("acme-ml") && name.ends_with("/secrets/token"),
        "by project number: {name}"
    );
    let payload = |data: &str| json!({"payload": {"data": data}});
    let token = format!("{secrets}/token");
    world
        .post(&format!("{token}:addVersion"), payload("c3VwZXItc2VjcmV0"))
        .await
        .ok();
    let second = world
        .post(&format!("{token}:addVersion"), payload("YW5vdGhlci1vbmU="))
        .await
        .ok();
    assert!(
        second["name"]
            .as_str()
            .expect("a name")
            .ends_with("/versions/2")
    );
    let latest = world
        .get(&format!("{token}/versions/latest:access"))
        .await
        .ok();
    assert_eq!(latest["payload"]["data"], "YW5vdGhlci1vbmU=");
    // By number as well as by id.
    let first = world
        .get(&format!("/v1/{name}/versions/1:access"))
        .await
        .ok();
    assert_eq!(first["payload"]["data"], "c3VwZXItc2VjcmV0");

    world
        .post(&format!("{token}/versions/1:destroy"), json!({}))
        .await
        .ok();
    let gone = world
        .get(&format!("{token}/versions/1:access"))
        .await
        .error();
    assert_eq!((gone.0, gone.1.as_str()), (400, "FAILED_PRECONDITION"));
    let versions = world.get(&format!("{token}/versions")).await.ok();
    assert_eq!(versions["versions"][0]["state"], "ENABLED");
    assert_eq!(versions["versions"][1]["state"], "DESTROYED");

    let patch = json!({"labels": {"a": "c"}});
    world
        .call("PATCH", &format!("{token}?updateMask=labels"), Some(patch))
        .await
        .ok();
    let stale = format!("{token}?etag=%22stale%22");
    assert_eq!(
        world.call("DELETE", &stale, None).await.error().1,
        "FAILED_PRECONDITION"
    );

    let log = world
        .get("/sandbox/requests?api=secretmanager")
        .await
        .text();
    assert!(log.contains("addVersion"), "{log}");
    for secret in ["c3VwZXItc2VjcmV0", "YW5vdGhlci1vbmU=", "a-token"] {
        assert!(!log.contains(secret), "{secret} is in the log");
        assert!(!world.sandbox.inventory().to_string().contains(secret));
    }
    world.call("DELETE", &token, None).await.ok();
    assert_eq!(world.sandbox.inventory(), json!([]));
}

#[tokio::test]
async fn tokens_are_given_and_needed() {
    let world = World::start();
    let refused = world.anonymous(SERVICES).await;
    assert_eq!(
        (refused.error().0, refused.error().1.as_str()),
        (401, "UNAUTHENTICATED")
    );

    let form = |body: &'static str| {
        let request = world.request("POST", "/token");
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    };
    let refresh = "grant_type=refresh_token&refresh_token=r&client_id=i&client_secret=s";
    let token = world.send(form(refresh)).await.ok();
    let token = token["access_token"].as_str().expect("a token");
    assert_eq!(
        world
            .send(world.request("GET", SERVICES).bearer_auth(token))
            .await
            .status,
        200
    );
    assert_eq!(
        world.send(form("grant_type=refresh_token")).await.json()["error"],
        "invalid_request"
    );

    let exchange = json!({
        "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": "//iam.googleapis.com/x",
        "subjectToken": "t",
        "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt",
        "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
    });
    assert_eq!(
        world.post("/v1/token", exchange).await.ok()["token_type"],
        "Bearer"
    );

    let account = "/v1/projects/-/serviceAccounts/robot@acme-ml.iam.gserviceaccount.com";
    let scope =
        json!({"scope": ["https://www.googleapis.com/auth/cloud-platform"], "lifetime": "300s"});
    let other = world
        .post(&format!("{account}:generateAccessToken"), scope)
        .await
        .ok();
    assert!(other["expireTime"].is_string());
    let id = world
        .post(
            &format!("{account}:generateIdToken"),
            json!({"audience": "https://chat"}),
        )
        .await
        .ok();
    assert_eq!(id["token"].as_str().expect("a token").split('.').count(), 3);

    let metadata = "/computeMetadata/v1/instance/service-accounts/default/token";
    assert_eq!(world.anonymous(metadata).await.status, 403);
    let asked = world
        .send(
            world
                .request("GET", metadata)
                .header("metadata-flavor", "Google"),
        )
        .await;
    assert_eq!(asked.header("metadata-flavor"), "Google");
    assert_eq!(asked.ok()["token_type"], "Bearer");
    let project = world.get("/v3/projects/acme-ml").await.ok();
    assert_eq!(project["projectId"], "acme-ml");

    let log = serde_json::to_string(&world.sandbox.log()).expect("JSON");
    assert!(!log.contains(token), "no token is in the log");

    world
        .call(
            "PUT",
            "/sandbox/auth",
            Some(json!({"allowAnonymous": true})),
        )
        .await
        .ok();
    assert_eq!(world.anonymous(SERVICES).await.status, 200);
}

#[tokio::test]
async fn the_log_names_the_method_and_the_fault() {
    let world = World::start();
    fault(
        &world,
        json!({"id": "count", "match": {"method": "POST"}, "then": {}}),
    )
    .await;
    world.create("chat", vllm()).await;
    let log = world.sandbox.log();
    assert_eq!(
        log[0].operation.as_deref(),
        Some("run.projects.locations.services.create")
    );
    assert_eq!(log[0].fault.as_deref(), Some("count"));
    assert_eq!(log[0].request["template"]["timeout"], Value::Null);
    assert_eq!(log[0].headers["authorization"], "[redacted]");
    assert_eq!(
        log[1].operation.as_deref(),
        Some("run.projects.locations.operations.get")
    );
    assert!(log.iter().all(|entry| !entry.path.starts_with("/sandbox")));
}

#[tokio::test]
async fn an_unknown_path_is_google_shaped() {
    let world = World::start();
    for path in [
        "/",
        "/v7/projects/p",
        "/v2/projects/p/locations/l/spaceships",
    ] {
        assert_eq!(world.get(path).await.error().1, "NOT_FOUND", "{path}");
    }
    assert_eq!(world.get("/sandbox/nonsense").await.status, 404);
}
