//! Cloud Storage: objects of objects, copies to elsewhere, caches near the machines.

use crate::common::World;
use crate::storage::{BUCKET, names, refused};
use serde_json::{Value, json};

#[tokio::test]
async fn composing_puts_parts_together_and_checks_their_generations() {
    let world = World::start().with_bucket("models", "US").await;
    let first = world.put("models", "p1", b"12345", "").await.ok();
    world.put("models", "p2", b"6789", "").await.ok();
    let compose = format!("{BUCKET}/o/whole/compose?ifGenerationMatch=0");
    let with = |generation: &str| {
        json!({
            "destination": {"contentType": "text/plain", "metadata": {"k": "v"}},
            "sourceObjects": [
                {"name": "p1", "objectPreconditions": {"ifGenerationMatch": generation}},
                {"name": "p2"},
            ],
        })
    };
    assert_eq!(world.post(&compose, with("7")).await.status, 412);
    let generation = first["generation"].as_str().expect("a number");
    let whole = world.post(&compose, with(generation)).await.ok();
    assert_eq!(
        (&whole["componentCount"], &whole["md5Hash"]),
        (&json!(2), &Value::Null)
    );
    assert_eq!(
        (&whole["crc32c"], &whole["size"]),
        (&json!("4waSgw=="), &json!("9"))
    );
    assert_eq!(whole["metadata"], json!({"k": "v"}));
    assert_eq!(world.content("models", "whole").await.text(), "123456789");
    assert_eq!(
        world.post(&compose, with(generation)).await.status,
        412,
        "it is there"
    );
    let many: Vec<Value> = (0..33).map(|_| json!({"name": "p1"})).collect();
    let many = world
        .post(
            &format!("{BUCKET}/o/m/compose"),
            json!({"sourceObjects": many}),
        )
        .await;
    assert_eq!(refused(&many).0, 400);
    let none = world
        .post(
            &format!("{BUCKET}/o/m/compose"),
            json!({"sourceObjects": [{"name": "x"}]}),
        )
        .await;
    assert_eq!(refused(&none).0, 404);
    // Composed again, it counts what it was made of; the sources go when asked.
    let body =
        json!({"sourceObjects": [{"name": "whole"}, {"name": "p1"}], "deleteSourceObjects": true});
    let twice = world
        .post(&format!("{BUCKET}/o/twice/compose"), body)
        .await
        .ok();
    assert_eq!(twice["componentCount"], 3);
    assert_eq!(
        names(&world.get(&format!("{BUCKET}/o")).await.ok()),
        ["p2", "twice"]
    );
}

#[tokio::test]
async fn a_rewrite_takes_several_calls_across_locations_and_one_within() {
    const MIB: usize = 1 << 20;
    let world = World::start().with_bucket("models", "US-CENTRAL1").await;
    let world = world.with_bucket("europe", "EUROPE-WEST4").await;
    let content = vec![7; 2 * MIB + 1];
    let source = world.put("models", "a", &content, "").await.ok();
    let to = |bucket: &str| {
        format!("{BUCKET}/o/a/rewriteTo/b/{bucket}/o/copy?maxBytesRewrittenPerCall={MIB}")
    };
    let odd = world
        .post(&to("europe").replace(&MIB.to_string(), "1000"), json!({}))
        .await;
    assert_eq!(refused(&odd).0, 400);
    let mut token = String::new();
    let mut written = Vec::new();
    let done = loop {
        let answer = world
            .post(&format!("{}&rewriteToken={token}", to("europe")), json!({}))
            .await
            .ok();
        written.push(answer["totalBytesRewritten"].clone());
        if answer["done"] == true {
            break answer;
        }
        assert_eq!(
            world.get("/storage/v1/b/europe/o/copy").await.status,
            404,
            "not yet"
        );
        answer["rewriteToken"]
            .as_str()
            .expect("a token")
            .clone_into(&mut token);
    };
    assert_eq!(
        written,
        [json!("1048576"), json!("2097152"), json!("2097153")]
    );
    assert_eq!(done["resource"]["crc32c"], source["crc32c"]);
    assert_eq!(world.content("europe", "copy").await.body, content);
    let used = world
        .post(&format!("{}&rewriteToken={token}", to("europe")), json!({}))
        .await;
    assert_eq!(refused(&used).0, 400, "a token is good once");

    // A token leads on only the copy that it was given for.
    let begun = world.post(&to("europe"), json!({})).await.ok();
    let token = begun["rewriteToken"].as_str().expect("a token");
    let other = to("europe").replace(&MIB.to_string(), &(2 * MIB).to_string());
    let other = world
        .post(&format!("{other}&rewriteToken={token}"), json!({}))
        .await;
    assert_eq!(refused(&other).0, 400);

    let near = world
        .post(&to("models"), json!({"metadata": {"k": "v"}}))
        .await
        .ok();
    assert_eq!(
        (&near["done"], &near["resource"]["metadata"]),
        (&json!(true), &json!({"k": "v"}))
    );
    let guarded = format!("{}&ifGenerationMatch=0", to("models"));
    assert_eq!(world.post(&guarded, json!({})).await.status, 412);
    let stale = format!("{}&ifSourceGenerationMatch=1", to("models"));
    assert_eq!(world.post(&stale, json!({})).await.status, 412);
    let copy = world
        .post(&format!("{BUCKET}/o/a/copyTo/b/europe/o/second"), json!({}))
        .await
        .ok();
    assert_eq!(
        (&copy["bucket"], &copy["contentType"]),
        (&json!("europe"), &json!("text/x-test"))
    );
}

#[tokio::test]
async fn a_cache_is_made_by_an_operation_and_goes_an_hour_after_it_was_disabled() {
    let world = World::start().with_bucket("models", "US").await;
    let caches = format!("{BUCKET}/anywhereCaches");
    for bad in [
        json!({"zone": "europe-west4-a"}),
        json!({"zone": "us-central1-a", "ttl": "60s"}),
        json!({"zone": "us-central1-a", "admissionPolicy": "always"}),
    ] {
        assert_eq!(
            refused(&world.post(&caches, bad.clone()).await).0,
            400,
            "{bad}"
        );
    }
    let operation = world
        .post(&caches, json!({"zone": "us-central1-a"}))
        .await
        .ok();
    let name = operation["name"].as_str().expect("a name");
    let place = name
        .strip_prefix("projects/_/buckets/models")
        .expect("of the bucket")
        .to_owned();
    assert_eq!(
        world
            .post(&caches, json!({"zone": "us-central1-a"}))
            .await
            .status,
        409,
        "one a zone"
    );
    let cache = format!("{caches}/us-central1-a");
    let finish = async |place: &str| {
        for _ in 0..5 {
            let operation = world.get(&format!("{BUCKET}{place}")).await.ok();
            if operation["done"] == true {
                return operation;
            }
        }
        panic!("{place} is not done");
    };
    let done = finish(&place).await;
    assert_eq!(done["response"]["state"], "running");
    assert_eq!(done["response"]["ttl"], "86400s");
    let update = world
        .call("PATCH", &cache, Some(json!({"ttl": "7200s"})))
        .await
        .ok();
    let place = update["name"]
        .as_str()
        .expect("a name")
        .replace("projects/_/buckets/models", "");
    finish(&place).await;
    assert_eq!(world.get(&cache).await.ok()["ttl"], "7200s");
    for (verb, state) in [
        ("pause", "paused"),
        ("resume", "running"),
        ("disable", "disabled"),
    ] {
        let answer = world.post(&format!("{cache}/{verb}"), json!({})).await.ok();
        assert_eq!(answer["state"], state);
    }
    let advance = async |seconds: u64| {
        world
            .post("/sandbox/clock/advance", json!({"seconds": seconds}))
            .await
            .ok();
    };
    advance(1_800).await;
    assert_eq!(
        world.call("DELETE", BUCKET, None).await.status,
        409,
        "it has a cache"
    );
    // Disabling again does not start the hour again.
    world
        .post(&format!("{cache}/disable"), json!({}))
        .await
        .ok();
    advance(1_801).await;
    assert_eq!(world.get(&caches).await.ok()["items"], Value::Null);
    assert_eq!(world.call("DELETE", BUCKET, None).await.status, 204);
    assert_eq!(world.sandbox.inventory(), json!([]));
}

#[tokio::test]
async fn a_cache_that_cannot_be_made_is_gone_and_the_inventory_names_what_is_there() {
    let world = World::start().with_bucket("models", "US-CENTRAL1").await;
    let caches = format!("{BUCKET}/anywhereCaches");
    let fault = json!({
        "match": {"method": "POST", "path": "*/anywhereCaches"},
        "nth": 2,
        "then": {"operation": {"code": 8, "message": "no room in the zone", "seconds": 10}},
    });
    world.post("/sandbox/faults", fault).await.ok();
    for zone in ["us-central1-a", "us-central1-b"] {
        world.post(&caches, json!({"zone": zone})).await.ok();
    }
    world
        .post("/sandbox/clock/advance", json!({"seconds": 30}))
        .await
        .ok();
    let operations = world.get(&format!("{BUCKET}/operations")).await.ok();
    assert_eq!(operations["operations"][0]["response"]["state"], "running");
    let failed = &operations["operations"][1];
    assert_eq!(
        (
            &failed["done"],
            &failed["error"]["code"],
            &failed["response"]
        ),
        (&json!(true), &json!(8), &Value::Null)
    );
    world.put("models", "a", b"123456789", "").await.ok();
    let inventory = world.sandbox.inventory();
    let list: Vec<(&str, &str)> = inventory
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|asset| Some((asset["type"].as_str()?, asset["name"].as_str()?)))
        .collect();
    assert_eq!(
        list,
        [
            (
                "storage.googleapis.com/AnywhereCache",
                "models/us-central1-a"
            ),
            ("storage.googleapis.com/Bucket", "models"),
            ("storage.googleapis.com/Object", "models/a"),
        ]
    );
    assert_eq!(inventory[2]["data"]["crc32c"], "4waSgw==");
}
