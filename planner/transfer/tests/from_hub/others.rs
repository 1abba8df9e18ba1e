//! What others do in the bucket while a run moves files.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use openmodel_transfer::file::{How, Mover};
use openmodel_transfer::mirror::Mirror;
use openmodel_transfer::ports::{Body, Origin, Trouble, Wanted};
use openmodel_transfer::repository::move_all;
use openmodel_transfer::snapshot::find;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::world::{BUCKET, SPAN, World, computed};

const PATH: &str = "model.safetensors";

/// Files that go in one request, and as an upload.
const SMALL: u64 = 70_000;
const LARGE: u64 = 5 * SPAN + 12_345;

/// The Hub; before it opens this file for the first time, something happens.
pub(crate) struct Meanwhile {
    hub: Arc<dyn Origin>,
    path: &'static str,
    first: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl Meanwhile {
    pub(crate) fn at(
        path: &'static str,
        hub: Arc<dyn Origin>,
        first: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let first = Mutex::new(Some(first.boxed()));
        Self { hub, path, first }
    }
}

impl Origin for Meanwhile {
    fn open<'a>(&'a self, file: &'a Wanted, offset: u64) -> BoxFuture<'a, Result<Body, Trouble>> {
        Box::pin(async move {
            if file.path == self.path
                && let Some(first) = self.first.lock().await.take()
            {
                first.await;
            }
            self.hub.open(file, offset).await
        })
    }
}

async fn one_file(size: u64) -> World {
    World::with("acme/one", json!({PATH: computed(size, 1)})).await
}

/// Move the files of a world in which something happens meanwhile.
async fn run(
    world: &World,
    meanwhile: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Trouble> {
    let mover = world.mover(Arc::new(world.store("").await));
    let mover = Mover {
        origin: Arc::new(Meanwhile::at(PATH, mover.origin.clone(), meanwhile)),
        ..mover
    };
    move_all(&mover, &world.card.files, 1).await.map(drop)
}

/// The checksum that Cloud Storage shows of the file is that of the Hub's bytes.
async fn check(world: &World) {
    let reference = world.run("reference").await.expect("nothing is wrong");
    let run = world.run("").await.expect("it is there");
    assert_eq!(run.read, 0);
    let crc32c = |files: &[openmodel_schemas::snapshot::ManifestFile]| {
        files
            .iter()
            .map(|file| file.crc32c.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        crc32c(&run.manifest.files),
        crc32c(&reference.manifest.files)
    );
}

async fn post(url: String, body: Vec<u8>) {
    let request = reqwest::Client::new().post(url).bearer_auth("t").body(body);
    let answer = request.send().await.expect("it answers");
    assert!(answer.status().is_success(), "{}", answer.status());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_other_bytes_is_not_the_file_whatever_its_note_says() {
    for size in [SMALL, LARGE] {
        let world = one_file(size).await;
        let (base, name) = (world.sandbox.url().to_owned(), world.uri("").object(PATH));
        let sha256 = world.card.files[0].sha256.clone().expect("a file in LFS");
        let forged = async move {
            let url = format!("{base}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={name}");
            post(url, vec![7; usize::try_from(size).expect("it is small")]).await;
            let url = format!(
                "{base}/storage/v1/b/{BUCKET}/o/{}",
                name.replace('/', "%2F")
            );
            let note = json!({"metadata": {"openmodel-identity": format!("sha256:{sha256}")}});
            let request = reqwest::Client::new()
                .patch(url)
                .bearer_auth("t")
                .json(&note);
            let answer = request.send().await.expect("it answers");
            assert!(answer.status().is_success(), "{}", answer.status());
        };
        let trouble = run(&world, forged).await.expect_err("it is another");
        assert!(trouble.is_lasting(), "{trouble}");
        let said = format!("{PATH}: another object lies at gs://{BUCKET}/");
        assert!(trouble.message.starts_with(&said), "{trouble}");
        let kept = world.content(&world.uri("").object(PATH)).await;
        assert!(kept.iter().all(|byte| *byte == 7), "it was written over");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_a_reader_of_the_claim_finishes_is_removed_and_the_file_moved_again() {
    let world = one_file(LARGE).await;
    let (base, name) = (world.sandbox.url().to_owned(), world.uri("").object(PATH));
    let claim = world.uri("").object(&format!(".openmodel/moving/{PATH}"));
    let stolen = async move {
        let client = reqwest::Client::new();
        let url = format!(
            "{base}/storage/v1/b/{BUCKET}/o/{}?alt=media",
            claim.replace('/', "%2F")
        );
        let claim = client
            .get(url)
            .bearer_auth("t")
            .send()
            .await
            .expect("it answers");
        let claim: Value = claim.json().await.expect("a claim");
        let id = claim["upload"].as_str().expect("an id");
        // No other credential is needed.
        let url = format!(
            "{base}/upload/storage/v1/b/{BUCKET}/o?uploadType=resumable&name={name}&upload_id={id}"
        );
        let bytes = vec![7; usize::try_from(LARGE).expect("it is small")];
        let answer = client
            .put(url)
            .body(bytes)
            .send()
            .await
            .expect("it answers");
        assert!(answer.status().is_success(), "{}", answer.status());
    };
    run(&world, stolen).await.expect("it ends well");
    check(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_other_bytes_is_not_believed() {
    for (size, method, nth) in [(SMALL, "POST", 1), (LARGE, "PUT", 6)] {
        let world = one_file(size).await;
        let sha256 = world.card.files[0].sha256.clone().expect("a file in LFS");
        let object = json!({
            "name": world.uri("").object(PATH),
            "generation": "7",
            "size": size.to_string(),
            "crc32c": "AAAAAA==",
            "metadata": {"openmodel-identity": format!("sha256:{sha256}")},
        });
        let then = json!({"respond": {"status": 200, "body": object}});
        let rule =
            json!({"match": {"method": method, "path": "/upload/*"}, "nth": nth, "then": then});
        world.fault(rule).await;
        run(&world, async {}).await.expect("it ends well");
        let rules = world.send("GET", "/sandbox/faults", Value::Null).await;
        assert_eq!(rules[0]["fired"], 1);
        // What it spoke of is asked to go.
        let log = world
            .send("GET", "/sandbox/requests?api=storage", Value::Null)
            .await;
        let query = json!([["ifGenerationMatch", "7"]]);
        let gone = |entry: &&Value| entry["method"] == "DELETE" && entry["query"] == query;
        let entries = log.as_array().into_iter().flatten();
        assert_eq!(entries.filter(gone).count(), 1, "{log}");
        check(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_last_answer_costs_no_second_reading() {
    let world = one_file(LARGE).await;
    let lost = json!({"match": {"method": "PUT", "path": "/upload/*"}, "nth": 6, "then": {"lose": "after"}});
    world.fault(lost).await;
    let mover = world.mover(Arc::new(world.store("").await));
    move_all(&mover, &world.card.files, 1)
        .await
        .expect("it ends well");
    assert_eq!(mover.meter.read(), LARGE);
    check(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_goes_before_the_manifest_is_written_is_moved_again() {
    let files = json!({"config.json": {"text": "{}"}, PATH: computed(SMALL, 1)});
    let world = World::with("acme/one", files).await;
    let uri = world.uri("");
    let object = uri.object(PATH).replace('/', "%2F");
    let url = format!("{}/storage/v1/b/{BUCKET}/o/{object}", world.sandbox.url());
    let removed = async move {
        let request = reqwest::Client::new().delete(url).bearer_auth("t");
        let answer = request.send().await.expect("it answers");
        assert!(answer.status().is_success(), "{}", answer.status());
    };
    // One after the other, the smallest last: the first is there when the last is opened.
    let origin = Meanwhile::at("config.json", Arc::new(world.origin()), removed);
    let mirror = Mirror {
        origin: Arc::new(origin),
        parallelism: 1,
        ..world.mirror()
    };
    let trouble = mirror.to(&uri, None, &[]).await.err();
    let trouble = trouble.expect("a file is gone");
    assert!(!trouble.is_lasting(), "{trouble}");
    assert!(trouble.message.contains(PATH), "{trouble}");
    assert_eq!(find(&world.transport, &uri).await, Ok(None));
    let (manifest, moved) = mirror.to(&uri, None, &[]).await.expect("it ends well");
    let how: Vec<How> = moved.iter().map(|one| one.how).collect();
    assert_eq!(how, [How::Found, How::Read]);
    let store = world.store("").await;
    assert_eq!(store.compare(&manifest), Vec::new());
}
