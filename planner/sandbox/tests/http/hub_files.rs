//! The Hub's files as a copier meets them: scan states, Xet, links that expire, rate limits.

use crate::common::World;
use serde_json::{Value, json};

const REPO: &str = "acme/weights";

/// A repository of a kind with a large and a small file.
async fn with_repo(world: &World, kind: &str, card: Value) {
    let files = json!({
        "model.safetensors": {"computed": {"size": 300_000, "seed": 7}},
        "config.json": {"text": "{}"},
    });
    let body = json!({"card": card, "files": files});
    let path = format!("/sandbox/hub/{kind}/{REPO}");
    world.call("PUT", &path, Some(body)).await.ok();
}

/// Items of the tree by path.
async fn item(world: &World, path: &str, expand: bool) -> Value {
    let tree = world
        .get(&format!("/api/models/{REPO}/tree/main?expand={expand}"))
        .await
        .ok();
    let mut items = tree.as_array().expect("a list").iter();
    items
        .find(|item| item["path"] == path)
        .expect("a file")
        .clone()
}

#[tokio::test]
async fn each_file_says_what_its_scanners_say() {
    let world = World::start();
    let scan = json!({
        "done": true,
        "issues": [],
        "files": {"model.safetensors": {
            "status": "suspicious",
            "virusTotalScan": {"status": "unsafe", "message": "3/60"},
        }},
    });
    with_repo(&world, "models", json!({"scan": scan})).await;
    assert_eq!(
        item(&world, "config.json", false).await["securityFileStatus"],
        Value::Null
    );
    let small = &item(&world, "config.json", true).await["securityFileStatus"];
    assert_eq!(small["status"], "safe");
    let large = &item(&world, "model.safetensors", true).await["securityFileStatus"];
    assert_eq!(large["status"], "suspicious");
    assert_eq!(
        large["virusTotalScan"],
        json!({"status": "unsafe", "message": "3/60"})
    );
    assert_eq!(large["avScan"]["status"], "safe", "what is not said stays");
    let waiting = json!({"scan": {"done": false}});
    world
        .call(
            "PATCH",
            &format!("/sandbox/hub/models/{REPO}"),
            Some(waiting),
        )
        .await
        .ok();
    let asked = json!({"paths": ["config.json"], "expand": true});
    let info = world
        .post(&format!("/api/models/{REPO}/paths-info/main"), asked)
        .await
        .ok();
    assert_eq!(info[0]["securityFileStatus"]["status"], "queued");
}

#[tokio::test]
async fn a_file_in_xet_has_its_hash_and_the_old_way_still_works() {
    let world = World::start();
    with_repo(&world, "models", json!({})).await;
    assert_eq!(
        item(&world, "model.safetensors", false).await["xetHash"],
        Value::Null
    );
    with_repo(&world, "models", json!({"xet": true})).await;
    let large = item(&world, "model.safetensors", false).await;
    let hash = large["xetHash"].as_str().expect("a hash");
    assert_eq!(hash.len(), 64);
    assert_eq!(
        item(&world, "config.json", false).await["xetHash"],
        Value::Null,
        "small ones are in git"
    );
    let file = world
        .get(&format!("/{REPO}/resolve/main/model.safetensors"))
        .await;
    assert_eq!((file.status, file.header("x-xet-hash")), (302, hash));
    assert!(
        file.header("link").contains("rel=\"xet-auth\""),
        "{}",
        file.header("link")
    );
    let bytes = world.anonymous(file.header("location")).await.body;
    assert_eq!(bytes.len(), 300_000);
}

#[tokio::test]
async fn a_signed_link_takes_ranges_until_it_expires() {
    let world = World::start();
    with_repo(&world, "spaces", json!({})).await;
    world
        .call(
            "PUT",
            "/sandbox/hub/links",
            Some(json!({"lifetimeSeconds": 60})),
        )
        .await
        .ok();
    let path = format!("/spaces/{REPO}/resolve/main/model.safetensors");
    let link = world.get(&path).await.header("location").to_owned();
    let read = async |link: &str| {
        let request = world
            .request("GET", link)
            .header("range", "bytes=1000-1999");
        world.send(request).await
    };
    let part = read(&link).await;
    assert_eq!((part.status, part.body.len()), (206, 1_000));
    world
        .post("/sandbox/clock/advance", json!({"seconds": 61}))
        .await
        .ok();
    let late = read(&link).await;
    assert!(
        late.status == 403 && late.text().contains("expired"),
        "{}",
        late.text()
    );
    let forged = link.replace("Expires=", "Expires=9");
    assert_eq!(read(&forged).await.status, 403, "the end is signed");
    let again = world.get(&path).await.header("location").to_owned();
    assert_eq!(read(&again).await.body, part.body);
}

#[tokio::test]
async fn a_rate_limit_ends_with_its_window() {
    let world = World::start();
    with_repo(&world, "models", json!({})).await;
    let limits = json!({"resolvers": 1, "windowSeconds": 1});
    world
        .call("PUT", "/sandbox/hub/limits", Some(limits))
        .await
        .ok();
    let path = format!("/{REPO}/resolve/main/config.json");
    let first = world.get(&path).await;
    assert_eq!(
        first.header("ratelimit-policy"),
        "\"fixed window\";\"resolvers\";q=1;w=1"
    );
    // However slow the machine is: a refusal comes, and after it an answer.
    let until = async |status: u16| {
        for _ in 0..500 {
            let answer = world.get(&path).await;
            if answer.status == status {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("no {status}");
    };
    let refused = until(429).await;
    assert!(
        refused
            .header("ratelimit")
            .starts_with("\"resolvers\";r=0;t=")
    );
    until(200).await;
}
