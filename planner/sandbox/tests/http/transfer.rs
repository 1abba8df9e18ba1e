//! Storage Transfer Service as a client sees it: URL lists and buckets copied into a bucket.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use crate::common::World;

const REPO: &str = "acme/weights";
const JOBS: &str = "/v1/transferJobs";

/// A sandbox with a repository of two files, and a bucket that the service may write to.
async fn ready(card: Value) -> World {
    let world = World::start().with_bucket("models", "us-central1").await;
    let files = json!({
        "model.safetensors": {"computed": {"size": 300_000, "seed": 7}},
        "config.json": {"text": "{}"},
    });
    let body = json!({"card": card, "files": files});
    let path = format!("/sandbox/hub/models/{REPO}");
    world.call("PUT", &path, Some(body)).await.ok();
    grant(&world, "models", &["legacyBucketReader", "objectAdmin"]).await;
    world
}

/// Let the service's account play these roles in a bucket, and no others.
async fn grant(world: &World, bucket: &str, roles: &[&str]) {
    let account = world.get("/v1/googleServiceAccounts/acme-ml").await.ok();
    let account = account["accountEmail"].as_str().expect("an address");
    let member = format!("serviceAccount:{account}");
    let bindings: Vec<Value> = roles
        .iter()
        .map(|role| json!({"role": format!("roles/storage.{role}"), "members": [member]}))
        .collect();
    let path = format!("/storage/v1/b/{bucket}/iam");
    let policy = json!({"bindings": bindings});
    world.call("PUT", &path, Some(policy)).await.ok();
}

fn url(world: &World, file: &str) -> String {
    format!("{}/{REPO}/resolve/main/{file}", world.sandbox.url())
}

/// A job that copies what a list in the bucket says.
fn job(name: &str, more: &Value) -> Value {
    let mut job = json!({
        "name": format!("transferJobs/{name}"),
        "projectId": "acme-ml",
        "status": "ENABLED",
        "transferSpec": {
            "httpDataSource": {"listUrl": "gs://models/list.tsv"},
            "gcsDataSink": {"bucketName": "models", "path": "in/"},
        },
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        job["transferSpec"][name] = value.clone();
    }
    job
}

async fn list(world: &World, lines: &[String]) {
    let text = format!("TsvHttpData-1.0\n{}\n", lines.join("\n"));
    world
        .put("models", "list.tsv", text.as_bytes(), "")
        .await
        .ok();
}

async fn start(world: &World, name: &str) -> String {
    let path = format!("{JOBS}/{name}:run");
    let operation = world
        .post(&path, json!({"projectId": "acme-ml"}))
        .await
        .ok();
    operation["name"].as_str().expect("a name").to_owned()
}

/// Looks at an operation until it is done.
async fn over(world: &World, operation: &str) -> Value {
    for _ in 0..2_000 {
        let seen = world.get(&format!("/v1/{operation}")).await.ok();
        if seen["done"] == true {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{operation} never ended");
}

/// Runs a job to its end: the metadata of its operation.
async fn run(world: &World, name: &str) -> Value {
    let operation = start(world, name).await;
    over(world, &operation).await["metadata"].clone()
}

/// Code, count and first URL of each kind of error.
fn errors(metadata: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let errors = metadata["errorBreakdowns"].as_array().into_iter().flatten();
    errors
        .map(|error| {
            let first = &error["errorLogEntries"][0]["url"];
            (
                text(&error["errorCode"]),
                text(&error["errorCount"]),
                text(first),
            )
        })
        .collect()
}

fn md5(content: &[u8]) -> String {
    STANDARD.encode(Md5::digest(content))
}

#[tokio::test]
async fn a_list_of_urls_becomes_objects_named_by_host_and_path() {
    let world = ready(json!({})).await;
    let large = url(&world, "model.safetensors");
    // Without a token the Hub sends to a signed address elsewhere, which is followed.
    let signed = world.anonymous(&large).await;
    assert_eq!(signed.status, 302);
    let content = world.anonymous(signed.header("location")).await.body;
    let small = format!("{}\t2\t{}", url(&world, "config.json"), md5(b"{}"));
    list(
        &world,
        &[small, format!("{large}\t300000\t{}", md5(&content))],
    )
    .await;

    let made = world.post(JOBS, job("copy", &json!({}))).await.ok();
    assert_eq!(made["status"], "ENABLED");
    assert!(made["creationTime"].is_string() && made.get("latestOperationName").is_none());
    let operation = start(&world, "copy").await;
    let done = over(&world, &operation).await;
    assert_eq!(
        done["response"]["@type"],
        "type.googleapis.com/google.protobuf.Empty"
    );
    let metadata = &done["metadata"];
    assert_eq!(metadata["status"], "SUCCESS", "{metadata}");
    assert_eq!(metadata["transferJobName"], "transferJobs/copy");
    assert_eq!(
        metadata["counters"],
        json!({
            "bytesFoundFromSource": "300002", "bytesCopiedToSink": "300002",
            "objectsFoundFromSource": "2", "objectsCopiedToSink": "2",
        })
    );
    let name = "in%2F127.0.0.1%2Facme%2Fweights%2Fresolve%2Fmain%2Fmodel.safetensors";
    assert_eq!(world.content("models", name).await.body, content);
    let object = world
        .get(&format!("/storage/v1/b/models/o/{name}"))
        .await
        .ok();
    assert_eq!(object["md5Hash"], md5(&content));
    let job = world
        .get(&format!("{JOBS}/copy?projectId=acme-ml"))
        .await
        .ok();
    assert_eq!(job["latestOperationName"], operation.as_str());
    // It asked without any credential.
    let log = world.sandbox.log();
    let mut fetched = log.iter().filter(|entry| {
        entry.api == "hub"
            && entry
                .headers
                .get("range")
                .is_some_and(|range| range == "bytes=0-")
    });
    assert!(fetched.clone().count() >= 2);
    assert!(fetched.all(|entry| !entry.headers.contains_key("authorization")));

    // A second run finds all of it there, by its MD5.
    let again = run(&world, "copy").await;
    assert_eq!(
        again["counters"],
        json!({"bytesFromSourceSkippedBySync": "300002", "objectsFromSourceSkippedBySync": "2"})
    );
}

#[tokio::test]
async fn what_differs_from_the_list_or_cannot_be_had_fails_alone() {
    let world = ready(json!({})).await;
    let gated = json!({"card": {"gated": "manual"}, "files": {"a": {"text": "a"}}});
    world
        .call("PUT", "/sandbox/hub/models/acme/gated", Some(gated))
        .await
        .ok();
    let base = world.sandbox.url();
    let good = url(&world, "config.json");
    let mut lines = [
        format!("{base}/acme/gated/resolve/main/a"),
        format!("{good}?as=good"),
        format!("{good}?as=wrong-md5\t2\t{}", md5(b"other")),
        format!("{good}?as=wrong-size\t3"),
        url(&world, "missing.json"),
    ];
    lines.sort();
    list(&world, &lines).await;
    world.post(JOBS, job("copy", &json!({}))).await.ok();
    let metadata = run(&world, "copy").await;
    assert_eq!(metadata["status"], "FAILED");
    let one = |code: &str, url: &str| (code.to_owned(), "1".to_owned(), url.to_owned());
    assert_eq!(
        errors(&metadata),
        [
            one("DATA_LOSS", &good),
            one("FAILED_PRECONDITION", &good),
            one("NOT_FOUND", &url(&world, "missing.json")),
            one(
                "UNAUTHENTICATED",
                &format!("{base}/acme/gated/resolve/main/a")
            ),
        ]
    );
    assert_eq!(metadata["counters"]["objectsCopiedToSink"], "1");
    assert_eq!(metadata["counters"]["objectsFromSourceFailed"], "4");
    let name = "in%2F127.0.0.1%2Facme%2Fweights%2Fresolve%2Fmain%2Fconfig.json";
    assert_eq!(world.content("models", name).await.text(), "{}");
}

#[tokio::test]
async fn a_list_that_is_none_fails_the_operation() {
    let world = ready(json!({})).await;
    world.post(JOBS, job("copy", &json!({}))).await.ok();
    let missing = run(&world, "copy").await;
    assert_eq!(errors(&missing)[0].0, "NOT_FOUND");
    list(
        &world,
        &[url(&world, "model.safetensors"), url(&world, "config.json")],
    )
    .await;
    let unsorted = run(&world, "copy").await;
    assert_eq!(errors(&unsorted)[0].0, "INVALID_ARGUMENT");
    let why = &unsorted["errorBreakdowns"][0]["errorLogEntries"][0]["errorDetails"][0];
    assert!(
        why.as_str().is_some_and(|why| why.contains("Line 3")),
        "{why}"
    );

    // By HTTP it must be there for everybody.
    let spec =
        json!({"httpDataSource": {"listUrl": format!("{}/models/list.tsv", world.sandbox.url())}});
    world.post(JOBS, job("private", &spec)).await.ok();
    let private = run(&world, "private").await;
    assert_eq!(errors(&private)[0].0, "UNAUTHENTICATED");
    let list = format!("TsvHttpData-1.0\n{}\n", url(&world, "config.json"));
    let body = json!({"files": {"list.tsv": {"text": list}}});
    world
        .call("PUT", "/sandbox/hub/models/acme/lists", Some(body))
        .await
        .ok();
    let address = format!("{}/acme/lists/resolve/main/list.tsv", world.sandbox.url());
    let spec = json!({"httpDataSource": {"listUrl": address}});
    world.post(JOBS, job("public", &spec)).await.ok();
    assert_eq!(run(&world, "public").await["status"], "SUCCESS");
}

#[tokio::test]
async fn the_service_agent_needs_its_permissions() {
    let world = ready(json!({})).await;
    grant(&world, "models", &["objectAdmin"]).await;
    let (code, status, text) = world.post(JOBS, job("copy", &json!({}))).await.error();
    assert_eq!((code, status.as_str()), (400, "FAILED_PRECONDITION"));
    assert!(text.contains("due to insufficient permissions"), "{text}");
    grant(&world, "models", &["legacyBucketReader"]).await;
    let (_, _, text) = world.post(JOBS, job("copy", &json!({}))).await.error();
    assert!(
        text.contains("{storage.objects.create, storage.objects.delete}"),
        "{text}"
    );
    grant(&world, "models", &["legacyBucketReader", "objectAdmin"]).await;
    world.post(JOBS, job("copy", &json!({}))).await.ok();
    // Taken away again, it is the operation that fails.
    grant(&world, "models", &[]).await;
    let metadata = run(&world, "copy").await;
    assert_eq!(errors(&metadata)[0].0, "PERMISSION_DENIED");

    let elsewhere = json!({"gcsDataSink": {"bucketName": "nowhere"}});
    let missing = world.post(JOBS, job("other", &elsewhere)).await;
    assert_eq!(missing.error().1, "NOT_FOUND");
}

#[tokio::test]
async fn a_bucket_is_copied_and_emptied_where_that_is_asked_for() {
    let world = ready(json!({}))
        .await
        .with_bucket("old", "us-central1")
        .await;
    grant(&world, "old", &["legacyBucketReader", "objectAdmin"]).await;
    for name in ["a/1", "a/2", "a/tmp/3", "b/4"] {
        world
            .put("old", &name.replace('/', "%2F"), name.as_bytes(), "")
            .await
            .ok();
    }
    world.put("models", "in%2F2", b"mine", "").await.ok();
    let mut body = job(
        "copy",
        &json!({
            "gcsDataSource": {"bucketName": "old", "path": "a/"},
            "objectConditions": {"excludePrefixes": ["tmp/"]},
            "transferOptions": {"overwriteWhen": "NEVER", "deleteObjectsFromSourceAfterTransfer": true},
        }),
    );
    body["transferSpec"]
        .as_object_mut()
        .expect("an object")
        .remove("httpDataSource");
    world.post(JOBS, body.clone()).await.ok();
    let metadata = run(&world, "copy").await;
    assert_eq!(metadata["status"], "SUCCESS", "{metadata}");
    assert_eq!(metadata["counters"]["objectsCopiedToSink"], "1");
    assert_eq!(metadata["counters"]["objectsDeletedFromSource"], "1");
    assert_eq!(metadata["counters"]["objectsFromSourceSkippedBySync"], "1");
    assert_eq!(world.content("models", "in%2F1").await.text(), "a/1");
    assert_eq!(world.content("models", "in%2F2").await.text(), "mine");
    let left = world.get("/storage/v1/b/old/o").await.ok();
    assert_eq!(crate::storage::names(&left), ["a/2", "a/tmp/3", "b/4"]);

    // Told to, it writes over what is there.
    let mut spec = body["transferSpec"].clone();
    spec["transferOptions"] = json!({"overwriteWhen": "ALWAYS"});
    let patch = json!({
        "projectId": "acme-ml",
        "transferJob": {"transferSpec": spec},
        "updateTransferJobFieldMask": "transfer_spec",
    });
    world
        .call("PATCH", &format!("{JOBS}/copy"), Some(patch))
        .await
        .ok();
    run(&world, "copy").await;
    assert_eq!(world.content("models", "in%2F2").await.text(), "a/2");
}

#[tokio::test]
async fn a_transfer_is_paused_resumed_and_cancelled() {
    let world = ready(json!({})).await;
    let list = format!("TsvHttpData-1.0\n{}\n", url(&world, "config.json"));
    let body = json!({"files": {"list.tsv": {"text": list}}});
    world
        .call("PUT", "/sandbox/hub/models/acme/lists", Some(body))
        .await
        .ok();
    let address = format!("{}/acme/lists/resolve/main/list.tsv", world.sandbox.url());
    let spec = json!({"httpDataSource": {"listUrl": address}});
    world.post(JOBS, job("copy", &spec)).await.ok();

    // Paused while the list is still on its way, it fetches nothing.
    let slow =
        json!({"id": "slow", "match": {"path": "*/list.tsv"}, "then": {"delayMillis": 1_000}});
    world.post("/sandbox/faults", slow).await.ok();
    let operation = start(&world, "copy").await;
    world
        .post(&format!("/v1/{operation}:pause"), json!({}))
        .await
        .ok();
    let listed = || {
        world
            .sandbox
            .log()
            .iter()
            .any(|entry| entry.path.ends_with("/list.tsv"))
    };
    while !listed() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let seen = world.get(&format!("/v1/{operation}")).await.ok();
    assert_eq!(seen["metadata"]["status"], "PAUSED");
    assert_eq!(seen.get("done"), None);
    let twice = world
        .post(&format!("{JOBS}/copy:run"), json!({"projectId": "acme-ml"}))
        .await;
    assert_eq!(twice.error().1, "FAILED_PRECONDITION");
    world
        .post(&format!("/v1/{operation}:resume"), json!({}))
        .await
        .ok();
    assert_eq!(
        over(&world, &operation).await["metadata"]["status"],
        "SUCCESS"
    );
    let again = world
        .post(&format!("/v1/{operation}:cancel"), json!({}))
        .await;
    assert_eq!(again.error().1, "FAILED_PRECONDITION");

    let never =
        json!({"id": "slow", "match": {"path": "*/list.tsv"}, "then": {"delayMillis": 600_000}});
    world.post("/sandbox/faults", never).await.ok();
    let operation = start(&world, "copy").await;
    world
        .post(&format!("/v1/{operation}:cancel"), json!({}))
        .await
        .ok();
    let done = over(&world, &operation).await;
    assert_eq!(done["metadata"]["status"], "ABORTED");
    assert_eq!(done["error"]["code"], 1);

    let filter = r#"{"projectId":"acme-ml","jobNames":["transferJobs/copy"],"transferStatuses":["aborted"]}"#;
    let path = format!(
        "/v1/transferOperations?filter={}",
        filter.replace('"', "%22")
    );
    let listed = world.get(&path).await.ok();
    assert_eq!(
        listed["operations"].as_array().map(Vec::len),
        Some(1),
        "{listed}"
    );
    assert_eq!(listed["operations"][0]["name"], operation.as_str());
}

#[tokio::test]
async fn what_the_sandbox_would_not_carry_out_is_refused() {
    let world = ready(json!({})).await;
    let mut scheduled = job("copy", &json!({}));
    scheduled["schedule"] = json!({"scheduleStartDate": {"year": 2026, "month": 1, "day": 1}});
    let (code, _, text) = world.post(JOBS, scheduled).await.error();
    assert!(
        code == 400 && text.contains("schedule is not emulated"),
        "{text}"
    );
    for (more, words) in [
        (
            json!({"awsS3DataSource": {"bucketName": "a"}}),
            "awsS3DataSource is not emulated",
        ),
        (
            json!({"gcsDataSink": {"bucketName": "models", "path": "in"}}),
            "end with '/'",
        ),
        (
            json!({"httpDataSource": {"listUrl": "list.tsv"}}),
            "http, https or gs",
        ),
        (
            json!({"transferOptions": {"deleteObjectsUniqueInSink": true}}),
            "is not emulated",
        ),
    ] {
        let (code, _, text) = world.post(JOBS, job("copy", &more)).await.error();
        assert!(code == 400 && text.contains(words), "{text}");
    }
    let nameless = world.post(JOBS, job("-", &json!({}))).await;
    assert!(nameless.error().2.contains("Invalid job name"));

    world.post(JOBS, job("copy", &json!({}))).await.ok();
    let again = world.post(JOBS, job("copy", &json!({}))).await;
    assert_eq!(again.error().1, "ALREADY_EXISTS");
    let path = format!("{JOBS}/copy?projectId=acme-ml");
    world.call("DELETE", &path, None).await.ok();
    assert_eq!(world.get(&path).await.ok()["status"], "DELETED");
    let run = world
        .post(&format!("{JOBS}/copy:run"), json!({"projectId": "acme-ml"}))
        .await;
    assert_eq!(run.error().1, "FAILED_PRECONDITION");
    let kinds = world.sandbox.inventory();
    let kinds: Vec<_> = kinds
        .as_array()
        .expect("assets")
        .iter()
        .map(|one| &one["type"])
        .collect();
    assert_eq!(kinds, ["storage.googleapis.com/Bucket"]);
}
