//! The Hub as a client sees it: metadata, trees, files, ranges, gates, renamed repositories.

use crate::common::World;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const LLAMA: &str = "/api/models/meta-llama/Llama-3.1-8B-Instruct";
const TINY: &str = "openmodel/tiny-random-llama";

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.concat()
}

#[tokio::test]
async fn metadata_is_that_of_the_real_model() {
    let world = World::start();
    let info = world
        .anonymous(&format!("{LLAMA}?blobs=true&securityStatus=true"))
        .await
        .ok();
    assert_eq!(info["gated"], "manual");
    assert_eq!(info["cardData"]["license"], "llama3.1");
    assert_eq!(info["config"]["model_type"], "llama");
    assert_eq!(info["safetensors"]["total"], 8_030_261_248_u64);
    assert_eq!(info["safetensors"]["parameters"]["BF16"], 8_030_261_248_u64);
    assert_eq!(info["securityRepoStatus"]["scansDone"], true);
    let siblings = info["siblings"].as_array().expect("files");
    let shards: Vec<&Value> = siblings.iter().filter(|s| s["lfs"].is_object()).collect();
    assert_eq!(shards.len(), 4);
    assert_eq!(
        shards[0]["lfs"]["sha256"].as_str().expect("a digest").len(),
        64
    );
    assert_eq!(info["sha"].as_str().expect("a commit").len(), 40);

    let some = world
        .anonymous(&format!("{LLAMA}?expand[]=gated&expand[]=safetensors"))
        .await
        .ok();
    let mut members: Vec<&String> = some.as_object().expect("members").keys().collect();
    members.sort();
    assert_eq!(members, ["_id", "gated", "id", "safetensors"]);
    let both = world
        .anonymous(&format!("{LLAMA}?expand[]=gated&blobs=true"))
        .await;
    assert_eq!(both.status, 400);
}

#[tokio::test]
async fn a_gated_repository_shows_its_facts_and_keeps_its_files() {
    let world = World::start();
    let file = "/meta-llama/Llama-3.1-8B-Instruct/resolve/main/config.json";
    assert_eq!(
        world.anonymous(&format!("{LLAMA}/tree/main")).await.status,
        200
    );
    let refused = world.anonymous(file).await;
    assert_eq!(
        (refused.status, refused.header("x-error-code")),
        (401, "GatedRepo")
    );
    let config = world.get(file).await.ok();
    assert_eq!(config["num_hidden_layers"], 32);

    // A token whose owner has not accepted the terms, and one that is no token.
    let tokens = json!({"a-token": {"name": "ann", "gated": []}, "bad": {"valid": false}});
    world
        .call("PUT", "/sandbox/hub/tokens", Some(tokens))
        .await
        .ok();
    let refused = world.get(file).await;
    assert_eq!(
        (refused.status, refused.header("x-error-code")),
        (403, "GatedRepo")
    );
    assert_eq!(world.get("/api/whoami-v2").await.ok()["name"], "ann");
    let bad = world
        .send(world.request("GET", LLAMA).bearer_auth("bad"))
        .await;
    assert_eq!(
        bad.header("x-error-message"),
        "Invalid credentials in Authorization header"
    );

    world
        .call(
            "PATCH",
            "/sandbox/hub/models/meta-llama/Llama-3.1-8B-Instruct",
            Some(json!({"gated": false})),
        )
        .await
        .ok();
    assert_eq!(world.anonymous(file).await.status, 200);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_hubs_words() {
    let world = World::start();
    let cases = [
        ("/api/models/no/such".to_owned(), 404, "RepoNotFound"),
        (
            format!("/api/models/{TINY}/revision/nope"),
            404,
            "RevisionNotFound",
        ),
        (
            format!("/{TINY}/resolve/main/nope.txt"),
            404,
            "EntryNotFound",
        ),
        (
            format!("/{TINY}/resolve/nope/config.json"),
            404,
            "RevisionNotFound",
        ),
        (
            format!("/api/models/{TINY}/tree/main/nope"),
            404,
            "EntryNotFound",
        ),
    ];
    for (path, status, code) in cases {
        let answer = world.get(&path).await;
        assert_eq!(
            (answer.status, answer.header("x-error-code")),
            (status, code),
            "{path}"
        );
    }
    let missing = world.anonymous("/api/models/no/such").await;
    assert_eq!(
        (missing.status, missing.header("x-error-code")),
        (401, "RepoNotFound")
    );
}

#[tokio::test]
async fn every_byte_of_a_tiny_repository_is_true() {
    let world = World::start();
    for (kind, id, prefix) in [
        ("models", TINY, ""),
        ("datasets", "openmodel/tiny-prompts", "/datasets"),
    ] {
        let tree = world
            .get(&format!("/api/{kind}/{id}/tree/main?recursive=true"))
            .await
            .ok();
        let files = tree
            .as_array()
            .expect("files")
            .iter()
            .filter(|item| item["type"] == "file");
        let mut large = 0;
        for item in files {
            let path = item["path"].as_str().expect("a path");
            let answer = world
                .get(&format!("{prefix}/{id}/resolve/v1.0/{path}"))
                .await;
            let bytes = if item["lfs"].is_object() {
                large += 1;
                assert_eq!(answer.status, 302);
                assert_eq!(answer.header("x-linked-size"), item["size"].to_string());
                // The signed address needs no token, and no other signature will do.
                let location = answer.header("location");
                assert_eq!(
                    world
                        .anonymous(&location.replace("Signature=", "Signature=0"))
                        .await
                        .status,
                    403
                );
                let bytes = world.anonymous(location).await.body;
                assert_eq!(
                    world.get(location).await.status,
                    400,
                    "a token does not belong there"
                );
                assert_eq!(
                    sha256(&bytes),
                    item["lfs"]["oid"].as_str().expect("a digest")
                );
                bytes
            } else {
                assert_eq!(
                    answer.header("etag"),
                    format!("\"{}\"", item["oid"].as_str().expect("an id"))
                );
                answer.body
            };
            assert_eq!(
                bytes.len() as u64,
                item["size"].as_u64().expect("a size"),
                "{path}"
            );
        }
        assert_eq!(large, 1, "{id}");
    }
}

#[tokio::test]
async fn a_weight_file_can_be_read_at_any_place() {
    let world = World::start();
    let id = "Qwen/Qwen2.5-72B-Instruct";
    let index = world
        .get(&format!("/{id}/resolve/main/model.safetensors.index.json"))
        .await
        .ok();
    assert_eq!(index["metadata"]["total_size"], 145_412_407_296_u64);
    let shard = index["weight_map"]["model.embed_tokens.weight"]
        .as_str()
        .expect("a shard");
    let head = world
        .send(world.request("HEAD", &format!("/{id}/resolve/main/{shard}")))
        .await;
    assert_eq!(head.status, 302);
    let location = head.header("location").to_owned();
    let size: u64 = head.header("x-linked-size").parse().expect("a size");
    let range = async |range: &str| {
        world
            .send(world.request("GET", &location).header("range", range))
            .await
    };
    let start = range("bytes=0-7").await;
    assert_eq!(start.status, 206);
    assert_eq!(start.header("content-range"), format!("bytes 0-7/{size}"));
    let length = u64::from_le_bytes(start.body.try_into().expect("eight bytes"));
    let header = range(&format!("bytes=8-{}", 7 + length)).await;
    let header: Value = serde_json::from_slice(&header.body).expect("a safetensors header");
    assert_eq!(
        header["model.embed_tokens.weight"]["shape"],
        json!([152_064, 8_192])
    );
    let last = range("bytes=-16").await;
    assert_eq!((last.status, last.body.len()), (206, 16));
    assert_eq!(
        last.header("content-range"),
        format!("bytes {}-{}/{size}", size - 16, size - 1)
    );
    let beyond = range(&format!("bytes={size}-")).await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
}

#[tokio::test]
async fn trees_come_in_pages() {
    let world = World::start();
    let files: serde_json::Map<String, Value> = (0..120)
        .map(|n| (format!("data/{n:03}.txt"), json!({"text": n.to_string()})))
        .collect();
    let body = json!({"files": files});
    world
        .call("PUT", "/sandbox/hub/datasets/me/many", Some(body))
        .await
        .ok();
    let mut path = "/api/datasets/me/many/tree/main?recursive=true&expand=true".to_owned();
    let mut sizes = Vec::new();
    loop {
        let page = world.get(&path).await;
        let link = page.header("link").to_owned();
        let items = page.ok();
        assert_eq!(items[0]["lastCommit"]["title"], "initial commit");
        sizes.push(items.as_array().expect("items").len());
        match link.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
            Some((next, rel)) => {
                assert_eq!(rel, "; rel=\"next\"");
                next.clone_into(&mut path);
            }
            None => break,
        }
    }
    assert_eq!(sizes, [50, 50, 21], "120 files and their directory");
    let top = world.get("/api/datasets/me/many/tree/main").await.ok();
    assert_eq!(top[0]["type"], "directory");
    assert_eq!(top.as_array().expect("items").len(), 1);
    let request = world.request("POST", "/api/datasets/me/many/paths-info/main");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let chosen = world
        .send(request.body("paths=data%2F007.txt&paths=nope&expand=True"))
        .await
        .ok();
    assert_eq!(chosen.as_array().expect("items").len(), 1);
    assert_eq!(chosen[0]["securityFileStatus"]["status"], "safe");
}

#[tokio::test]
async fn a_branch_moves_and_caches_notice() {
    let world = World::start();
    let path = format!("/api/models/{TINY}/revision/main");
    let first = world.get(&path).await;
    let etag = first.header("etag").to_owned();
    let known = || world.send(world.request("GET", &path).header("if-none-match", &etag));
    assert_eq!(known().await.status, 304);
    let sha = first.json()["sha"].as_str().expect("a commit").to_owned();

    let commit =
        json!({"files": {"new.txt": {"text": "new"}}, "remove": ["README.md"], "title": "second"});
    world
        .post(&format!("/sandbox/hub/models/{TINY}"), commit)
        .await
        .ok();
    let second = known().await;
    assert_eq!(second.status, 200);
    assert_ne!(second.json()["sha"], sha.as_str());
    assert_eq!(
        world
            .get(&format!("/{TINY}/resolve/main/new.txt"))
            .await
            .text(),
        "new"
    );
    assert_eq!(
        world
            .get(&format!("/{TINY}/resolve/main/README.md"))
            .await
            .status,
        404
    );
    // What was fetched by commit stays what it was.
    assert_eq!(
        world
            .get(&format!("/{TINY}/resolve/{sha}/README.md"))
            .await
            .status,
        200
    );
    let refs = world.get(&format!("/api/models/{TINY}/refs")).await.ok();
    assert_eq!(refs["tags"][0]["targetCommit"], sha.as_str());
}

#[tokio::test]
async fn a_renamed_repository_redirects() {
    let world = World::start();
    let body = json!({"files": {}, "card": {"movedTo": TINY}});
    world
        .call("PUT", "/sandbox/hub/models/old/name", Some(body))
        .await
        .ok();
    let answer = world
        .get("/api/models/old/name/revision/main?blobs=true")
        .await;
    assert_eq!(answer.status, 307);
    assert_eq!(
        answer.header("location"),
        format!("/api/models/{TINY}/revision/main?blobs=true")
    );
    let answer = world.get("/old/name/resolve/main/config.json").await;
    assert_eq!(
        answer.header("location"),
        format!("/{TINY}/resolve/main/config.json")
    );
}

#[tokio::test]
async fn a_private_repository_does_not_exist_for_others() {
    let world = World::start();
    let body = json!({"files": {"a": {"text": "b"}}, "card": {"private": true}});
    world
        .call("PUT", "/sandbox/hub/models/me/secret", Some(body))
        .await
        .ok();
    assert_eq!(world.anonymous("/api/models/me/secret").await.status, 401);
    assert_eq!(world.get("/me/secret/resolve/main/a").await.text(), "b");
    let tokens = json!({"a-token": {"private": []}});
    world
        .call("PUT", "/sandbox/hub/tokens", Some(tokens))
        .await
        .ok();
    let answer = world.get("/me/secret/resolve/main/a").await;
    assert_eq!(
        (answer.status, answer.header("x-error-code")),
        (404, "RepoNotFound")
    );
}

#[tokio::test]
async fn the_rate_limit_is_announced_and_enforced_when_asked() {
    let world = World::start();
    let path = format!("/api/models/{TINY}");
    let answer = world.anonymous(&path).await;
    assert!(
        answer.header("ratelimit").starts_with("\"api\";r=499;t="),
        "{}",
        answer.header("ratelimit")
    );
    assert_eq!(
        answer.header("ratelimit-policy"),
        "\"fixed window\";\"api\";q=500;w=300"
    );
    world
        .call("PUT", "/sandbox/hub/limits", Some(json!({"api": 2})))
        .await
        .ok();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(world.anonymous(&path).await.status);
    }
    assert_eq!(seen, [200, 200, 429]);
    assert_eq!(
        world.get(&path).await.status,
        200,
        "each caller has its own window"
    );
}

#[tokio::test]
async fn the_host_names_the_service_too() {
    let world = World::start();
    let request = world
        .request("GET", &format!("/api/models/{TINY}"))
        .header("host", "huggingface.co");
    assert_eq!(world.send(request).await.ok()["id"], TINY);
    let request = world
        .request("GET", &format!("/api/models/{TINY}"))
        .header("host", "run.googleapis.com");
    assert_eq!(world.send(request).await.error().1, "NOT_FOUND");
}
