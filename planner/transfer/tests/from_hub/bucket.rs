//! Into Cloud Storage.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use openmodel_schemas::snapshot::MANIFEST;
use openmodel_transfer::digest::Digest;
use openmodel_transfer::file::{How, Mover};
use openmodel_transfer::hub::HubOrigin;
use openmodel_transfer::mirror::Mirror;
use openmodel_transfer::ports::{Body, Origin, Trouble, Wanted};
use openmodel_transfer::repository::{bytes, move_all};
use openmodel_transfer::snapshot::{Difference, find};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::{SPAN, World, computed};

/// Five spans and a bit, so that the end is no whole unit.
const LARGE: u64 = 5 * SPAN + 12_345;

fn files() -> Value {
    json!({
        "config.json": {"text": "{}"},
        "empty.json": {"text": ""},
        "model-00001-of-00002.safetensors": computed(LARGE, 1),
        "model-00002-of-00002.safetensors": computed(4 * SPAN + 1, 2),
        "tokenizer.model": computed(70_000, 3),
    })
}

/// The Hub, asked so late each time that what it said before holds no more.
struct Late(HubOrigin, String);

impl Origin for Late {
    fn open<'a>(&'a self, file: &'a Wanted, offset: u64) -> BoxFuture<'a, Result<Body, Trouble>> {
        Box::pin(async move {
            let later = reqwest::Client::new()
                .post(format!("{}/sandbox/clock/advance", self.1))
                .json(&json!({"seconds": 120}));
            later.send().await.expect("it answers");
            self.0.open(file, offset).await
        })
    }
}

/// The snapshot is there as the Hub has it, and nothing else is.
async fn check(world: &World, prefix: &str) {
    let uri = world.uri(prefix);
    let manifest = find(&world.transport, &uri).await.expect("it answers");
    let manifest = manifest.expect("a manifest");
    let mut expected: Vec<String> = manifest
        .files
        .iter()
        .map(|file| uri.object(&file.path))
        .chain([uri.object(MANIFEST)])
        .collect();
    expected.sort();
    let mut objects = world.objects().await;
    objects.retain(|name| name.starts_with(&uri.folder()));
    assert_eq!(objects, expected);
    for file in &world.card.files {
        let Some(sha256) = &file.sha256 else { continue };
        let bytes = world.content(&uri.object(&file.path)).await;
        let has: Digest<32> = Digest(Sha256::digest(&bytes).into());
        assert_eq!(&has.to_string(), sha256, "{}", file.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_what_the_hub_lists_and_is_not_fetched_twice() {
    let world = World::with("acme/two", files()).await;
    let run = world.run("").await.expect("nothing is wrong");
    assert!(run.moved.iter().all(|one| one.how == How::Read));
    check(&world, "").await;
    let again = world.run("").await.expect("it is there");
    assert_eq!(again.read, 0);
    assert_eq!(again.manifest, run.manifest);
    assert!(again.moved.iter().all(|one| one.how == How::Found));
    // Under another prefix the bytes are copied inside Cloud Storage.
    let copied = world.run("team/a").await.expect("nothing is wrong");
    assert_eq!(copied.read, 0);
    assert!(copied.moved.iter().all(|one| one.how == How::Copied));
    assert_eq!(copied.manifest.digest, run.manifest.digest);
    check(&world, "team/a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_revision_moves_the_changed_file_alone() {
    let mut files = serde_json::Map::new();
    for number in 1..=20 {
        let path = format!("model-{number:05}-of-00020.safetensors");
        files.insert(path, computed(40_000 + number, number));
    }
    let mut world = World::with("acme/twenty", files.into()).await;
    world.run("").await.expect("nothing is wrong");
    let changed = json!({"files": {"model-00007-of-00020.safetensors": computed(50_000, 99)}});
    world
        .send("POST", "/sandbox/hub/models/acme/twenty", changed)
        .await;
    world.follow().await;
    let run = world.run("").await.expect("nothing is wrong");
    assert_eq!(run.read, 50_000);
    let read: Vec<&str> = run
        .moved
        .iter()
        .filter(|one| one.how == How::Read)
        .map(|one| one.file.path.as_str())
        .collect();
    assert_eq!(read, ["model-00007-of-00020.safetensors"]);
    check(&world, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_try_has_moved_counts_once() {
    let files = json!({"config.json": {"text": "{}"}, "model.safetensors": computed(SPAN + 1, 1)});
    let world = World::with("acme/one", files).await;
    let refused = json!({"respond": {"status": 404}});
    world
        .fault(json!({"match": {"path": "*/resolve/*/config.json"}, "nth": 1, "then": refused}))
        .await;
    // One file after the other, the smallest last.
    let mirror = Mirror {
        parallelism: 1,
        ..world.mirror()
    };
    let (uri, near) = (world.uri(""), []);
    let trouble = mirror.to(&uri, None, &near).await.err();
    let trouble = trouble.expect("a file is refused");
    assert!(trouble.message.contains("config.json"), "{trouble}");
    let (_, moved) = mirror.to(&uri, None, &near).await.expect("it ends well");
    let how: Vec<How> = moved.iter().map(|one| one.how).collect();
    assert_eq!(how, [How::Read, How::Found]);
    assert_eq!(mirror.meter.moved(), bytes(&moved).0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_make_one_snapshot_and_read_each_file_once() {
    let world = World::with("acme/two", files()).await;
    let (one, other) = tokio::join!(world.run(""), world.run(""));
    let (one, other) = (one.expect("it ends well"), other.expect("it ends well"));
    assert_eq!(one.manifest, other.manifest);
    check(&world, "").await;
    let large: u64 = LARGE + 4 * SPAN + 1;
    let small: u64 = world.card.files.iter().map(|file| file.size.0).sum::<u64>() - large;
    let read = one.read + other.read;
    // Small files are not claimed: both may read them.
    assert!(
        (large + small..=large + 2 * small).contains(&read),
        "{read} bytes read of {large} + {small}"
    );
}

/// Kills come at any moment: what is left is continued, and at most one span of each stream is read twice.
#[tokio::test(flavor = "multi_thread")]
async fn killed_twenty_times_it_ends_the_same() {
    let world = World::with("acme/two", files()).await;
    let slow = json!({"match": {"path": "/_cdn/*"}, "then": {"slow": {"chunkBytes": 65536, "pauseMillis": 2}}});
    world.fault(slow).await;
    let mut read = 0;
    let mut random = 7_u64;
    for _ in 0..20 {
        // A small generator is enough for moments.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_millis(20 + (random >> 33) % 120);
        let store = Arc::new(world.store("").await);
        let mover = world.mover(store);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (killed, files) = (mover.clone(), world.card.files.clone());
        runtime.spawn(async move { move_all(&killed, &files, 2).await });
        tokio::time::sleep(moment).await;
        runtime.shutdown_background();
        read += mover.meter.read();
        // Claims of the dead stand for a while.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let run = world.run("").await.expect("it ends well");
    read += run.read;
    check(&world, "").await;
    let all: u64 = world.card.files.iter().map(|file| file.size.0).sum();
    let twice = read.saturating_sub(all);
    // Two streams, 20 kills; a chunk of each that was under way counts as read.
    assert!(
        twice <= 20 * 2 * (SPAN + (1 << 20)),
        "{twice} bytes were read twice"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_breaks_off_and_lies_about_ranges_is_survived() {
    let world = World::with("acme/two", files()).await;
    let content = "/_cdn/*safetensors";
    for (nth, then) in [
        (1, json!({"truncateBytes": 300_000})),
        (2, json!({"ignoreRange": true})),
        (3, json!({"respond": {"status": 503}})),
        (4, json!({"lose": "after", "reset": true})),
        (5, json!({"truncateBytes": 100_000})),
    ] {
        world
            .fault(json!({"match": {"path": content}, "nth": nth, "then": then}))
            .await;
    }
    world.run("").await.expect("it ends well");
    check(&world, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_serves_another_size_than_it_lists_is_refused_by_name() {
    let other = json!({"status": 200, "body": "other"});
    let range =
        json!({"status": 206, "headers": {"Content-Range": "bytes 0-6/7"}, "body": "other"});
    for answer in [other, range] {
        let file = json!({"model.safetensors": computed(SPAN, 1)});
        let world = World::with("acme/other", file).await;
        world
            .fault(json!({"match": {"path": "/_cdn/*"}, "nth": 1, "then": {"respond": answer}}))
            .await;
        let trouble = world.run("").await.err().expect("it is refused");
        let said = format!("model.safetensors: the Hub lists {SPAN} bytes and serves 7.");
        assert!(trouble.message.starts_with(&said), "{trouble}");
        assert!(trouble.is_lasting(), "{trouble}");
        assert_eq!(world.objects().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_address_that_has_expired_is_not_used_again() {
    let world = World::with("acme/one", json!({"model.safetensors": computed(LARGE, 1)})).await;
    world
        .send("PUT", "/sandbox/hub/links", json!({"lifetimeSeconds": 60}))
        .await;
    let content = json!({"path": "/_cdn/*"});
    for nth in [1, 2, 3] {
        let then = json!({"truncateBytes": 300_000});
        world
            .fault(json!({"match": content, "nth": nth, "then": then}))
            .await;
    }
    let store = Arc::new(world.store("").await);
    let mover = Mover {
        origin: Arc::new(Late(world.origin(), world.sandbox.url().to_owned())),
        ..world.mover(store)
    };
    let moved = move_all(&mover, &world.card.files, 1).await;
    assert_eq!(moved.expect("it ends well").len(), world.card.files.len());
    let log = world
        .send("GET", "/sandbox/requests?api=hub", Value::Null)
        .await;
    let refused = |entry: &&Value| entry["status"] == 403;
    let entries = log.as_array().into_iter().flatten();
    assert_eq!(entries.filter(refused).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_address_that_is_refused_is_asked_for_anew() {
    let world = World::with("acme/two", files()).await;
    let refused = json!({"respond": {"status": 403}});
    world
        .fault(json!({"match": {"path": "/_cdn/*model-00001*"}, "times": 3, "then": refused}))
        .await;
    world.run("").await.expect("it ends well");
    check(&world, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_hub_is_final_at_once_and_that_of_a_signed_address_after_eight() {
    for (path, tries) in [("*/resolve/*", 1), ("/_cdn/*", 8)] {
        let file = json!({"model.safetensors": computed(LARGE, 1)});
        let world = World::with("acme/gated", file).await;
        let refused = json!({"respond": {"status": 403}});
        world
            .fault(json!({"match": {"path": path}, "then": refused}))
            .await;
        let trouble = world.run("").await.err().expect("it is refused");
        assert!(trouble.is_lasting(), "{trouble}");
        assert!(trouble.message.contains("HTTP 403"), "{trouble}");
        let rules = world.send("GET", "/sandbox/faults", Value::Null).await;
        assert_eq!(rules[0]["fired"], tries, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_storage_that_cuts_uploads_and_loses_answers_is_survived() {
    let world = World::with("acme/two", files()).await;
    for (method, path, nth, then) in [
        ("PUT", "/upload/*", 1, json!({"cutUploadBytes": 300_000})),
        ("PUT", "/upload/*", 4, json!({"lose": "after"})),
        ("PUT", "/upload/*", 6, json!({"respond": {"status": 503}})),
        ("POST", "/upload/*", 2, json!({"lose": "after"})),
        ("POST", "/upload/*", 5, json!({"respond": {"status": 429}})),
        ("DELETE", "*", 1, json!({"lose": "after"})),
    ] {
        world
            .fault(json!({"match": {"method": method, "path": path}, "nth": nth, "then": then}))
            .await;
    }
    world.run("").await.expect("it ends well");
    check(&world, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_read_again_and_a_wrong_digest_is_refused_by_name() {
    let world = World::with("acme/two", files()).await;
    let flip =
        json!({"match": {"path": "/_cdn/*model-00001*"}, "nth": 2, "then": {"flipByte": 1000}});
    world.fault(flip).await;
    world.run("").await.expect("it ends well");
    check(&world, "").await;

    // A file that is never what the Hub lists.
    let world = World::with(
        "acme/wrong",
        json!({"model.safetensors": computed(LARGE, 1)}),
    )
    .await;
    world
        .fault(json!({"match": {"path": "/_cdn/*"}, "then": {"flipByte": 1000}}))
        .await;
    let trouble = world.run("").await.err().expect("it is refused");
    assert!(
        trouble.message.contains("model.safetensors: the Hub says"),
        "{trouble}"
    );
    assert_eq!(world.objects().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_from_the_manifest_is_named_and_mended_alone() {
    let world = World::with("acme/two", files()).await;
    let run = world.run("").await.expect("nothing is wrong");
    let uri = world.uri("");
    let object = |path: &str| {
        let name = uri.object(path).replace('/', "%2F");
        format!("/storage/v1/b/{}/o/{name}", uri.bucket())
    };
    let store = world.store("").await;
    assert_eq!(store.compare(&run.manifest), Vec::new());
    world
        .send("DELETE", &object("config.json"), Value::Null)
        .await;
    for (path, bytes) in [("tokenizer.model", "other"), ("notes.txt", "mine")] {
        let name = uri.object(path);
        let url = format!(
            "/upload/storage/v1/b/{}/o?uploadType=media&name={name}",
            uri.bucket()
        );
        world.send("POST", &url, json!(bytes)).await;
    }
    let store = world.store("").await;
    let found = store.compare(&run.manifest);
    let lines: Vec<String> = found.iter().map(Difference::to_string).collect();
    assert_eq!(
        lines,
        [
            "config.json is missing",
            "notes.txt is foreign: no manifest lists it",
            "tokenizer.model was altered (7 bytes, listed 70000)",
        ]
    );
    store.clear(&found).await.expect("it is removed");
    let mended = world.run("").await.expect("nothing is wrong");
    assert_eq!(mended.read, 70_000 + 2);
    let store = world.store("").await;
    let found = store.compare(&mended.manifest);
    assert_eq!(found.len(), 1, "what is foreign stays: {found:?}");
    // And it goes but for what is not ours.
    let left = store.remove().await.expect("it is removed");
    assert_eq!(left, ["notes.txt"]);
    assert_eq!(world.objects().await, [uri.object("notes.txt")]);
    assert_eq!(find(&world.transport, &uri).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_somebody_else_is_never_written_over() {
    let world = World::with("acme/two", files()).await;
    let name = world.uri("").object("model-00001-of-00002.safetensors");
    let url = format!("/upload/storage/v1/b/acme-models/o?uploadType=media&name={name}");
    world.send("POST", &url, json!("mine")).await;
    let trouble = world.run("").await.err().expect("it is refused");
    assert!(
        trouble
            .message
            .contains("another object lies at gs://acme-models/"),
        "{trouble}"
    );
    assert_eq!(world.content(&name).await, b"\"mine\"");
}
