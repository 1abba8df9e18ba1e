//! Inside Cloud Storage: what other snapshots have is copied from the nearest that has it.

use openmodel_schemas::snapshot::SnapshotUri;
use openmodel_transfer::file::How;
use serde_json::{Value, json};

use crate::world::{BUCKET, World, computed};

/// A bucket of another region.
const FAR: &str = "acme-models-eu";

/// A model of two shards, and the commit after it, which changes the second.
async fn world() -> World {
    let world = World::with(
        "acme/two",
        json!({
            "model-00001-of-00002.safetensors": computed(40_000, 1),
            "model-00002-of-00002.safetensors": computed(40_000, 2),
        }),
    );
    let world = world.await;
    let bucket = json!({"name": FAR, "location": "europe-west4"});
    world
        .send("POST", "/storage/v1/b?project=acme-ml", bucket)
        .await;
    world
}

async fn change(world: &mut World) {
    let changed = json!({"files": {"model-00002-of-00002.safetensors": computed(40_000, 3)}});
    world
        .send("POST", "/sandbox/hub/models/acme/two", changed)
        .await;
    world.follow().await;
}

fn uri(world: &World, bucket: &str) -> SnapshotUri {
    SnapshotUri::new(bucket, "", world.repository(), &world.card.commit, None)
}

/// From which bucket into which each copy went.
async fn copies(world: &World) -> Vec<(String, String)> {
    let log = world
        .send("GET", "/sandbox/requests?api=storage", Value::Null)
        .await;
    let paths = log.as_array().into_iter().flatten();
    paths
        .filter_map(|entry| {
            let (from, to) = entry["path"].as_str()?.split_once("/rewriteTo/b/")?;
            let from = from.strip_prefix("/storage/v1/b/")?.split('/').next()?;
            Some((from.to_owned(), to.split('/').next()?.to_owned()))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_region_copies_what_has_not_changed_from_its_own_bucket() {
    let mut world = world().await;
    let near = [BUCKET, FAR].map(str::to_owned);
    let far = [FAR, BUCKET].map(str::to_owned);
    for changes in [true, false] {
        let mirror = world.mirror();
        for (bucket, order) in [(BUCKET, &near), (FAR, &far)] {
            let made = mirror.to(&uri(&world, bucket), None, order).await;
            made.expect("nothing is wrong");
        }
        if changes {
            world.send("DELETE", "/sandbox/requests", Value::Null).await;
            change(&mut world).await;
        }
    }
    let mut copies = copies(&world).await;
    copies.sort();
    let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(
        copies,
        [
            pair(BUCKET, BUCKET),
            // What has changed is read from the Hub once, whatever the regions.
            pair(BUCKET, FAR),
            pair(FAR, FAR),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_file_is_copied_from_another_commit_that_has_it() {
    let mut world = world().await;
    let order = [BUCKET.to_owned()];
    let (first, before) = (world.mirror(), uri(&world, BUCKET));
    change(&mut world).await;
    let (second, after) = (world.mirror(), uri(&world, BUCKET));
    for (mirror, uri) in [(&first, &before), (&second, &after)] {
        let made = mirror.to(uri, None, &order).await;
        made.expect("nothing is wrong");
    }
    // The names of commits are in one order or the other.
    for (mirror, uri) in [(&first, &before), (&second, &after)] {
        let name = uri.object("model-00001-of-00002.safetensors");
        let object = format!("/storage/v1/b/{BUCKET}/o/{}", name.replace('/', "%2F"));
        world.send("DELETE", &object, Value::Null).await;
        let (_, moved) = mirror.to(uri, None, &order).await.expect("it is mended");
        let how: Vec<How> = moved.iter().map(|one| one.how).collect();
        assert_eq!(how, [How::Copied, How::Found], "{uri}");
    }
}
