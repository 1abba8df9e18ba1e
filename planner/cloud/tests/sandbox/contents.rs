//! What is read of a repository to hold it against its signature: once, as listed, and again without the Hub.

use std::path::Path;

use openmodel_cloud::huggingface::HubOptions;
use openmodel_cloud::{Hub, HubError};
use openmodel_schemas::name::Revision;
use openmodel_schemas::repository::{RepoFile, RepositoryCard};
use openmodel_schemas::snapshot::Repository;
use serde_json::{Value, json};

use super::world::{World, transport};

const ID: &str = "acme/signed";

/// SHA-256 of `{}`, of `[]` and of nothing, as `sha256sum` prints them.
const BRACES: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const BRACKETS: &str = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945";
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn hub(world: &World, folder: &Path, offline: bool) -> Hub {
    Hub::new(
        transport(&world.sandbox, None),
        HubOptions {
            cache: Some(folder.to_owned()),
            offline,
        },
    )
}

async fn card(hub: &Hub) -> RepositoryCard {
    let repository = Repository::model(ID.parse().expect("an id"));
    let card = hub.repository(&repository, &Revision::main()).await;
    (*card.expect("a card")).clone()
}

fn text(content: &str) -> Value {
    json!({"text": content})
}

fn file<'a>(card: &'a RepositoryCard, path: &str) -> &'a RepoFile {
    let found = card.files.iter().find(|file| file.path == path);
    found.expect("a file")
}

fn in_git(card: &RepositoryCard) -> Vec<&RepoFile> {
    let files = card.files.iter();
    files.filter(|file| file.sha256.is_none()).collect()
}

/// Paths of the contents that the Hub has sent so far.
fn reads(world: &World) -> Vec<String> {
    let log = world.sandbox.log();
    let read = log.iter().filter_map(|entry| {
        let (_, rest) = entry.path.split_once("/resolve/")?;
        Some(rest.split_once('/')?.1.to_owned())
    });
    let mut read: Vec<String> = read.collect();
    read.sort();
    read
}

#[tokio::test]
async fn what_lies_in_git_is_read_once_and_hashed() {
    let world = World::new();
    let body = json!({"files": {
        "config.json": text("{}"), "empty.txt": text(""), "model.sig": text("signed"),
        "model.safetensors": {"computed": {"size": 70_000, "seed": 3}},
    }});
    world.tell("PUT", &format!("hub/models/{ID}"), &body).await;
    let folder = tempfile::tempdir().expect("a folder");
    let online = hub(&world, folder.path(), false);
    let listed = card(&online).await;
    let all = in_git(&listed);
    let of = |path: &str| file(&listed, path).git_oid.clone();
    for _ in 0..2 {
        let digests = online.digests(&listed, &all).await.expect("digests");
        assert_eq!(digests[&of("config.json")], BRACES);
        assert_eq!(digests[&of("empty.txt")], NOTHING);
        let signature = file(&listed, "model.sig");
        let signature = online.signature(&listed, signature).await;
        assert_eq!(signature.expect("a signature"), "signed");
    }
    // The signature as a signature, and as one of the files.
    let once = ["config.json", "empty.txt", "model.sig", "model.sig"];
    assert_eq!(reads(&world), once);

    // One in large-file storage comes from another host.
    let large = file(&listed, "model.safetensors");
    let content = online.signature(&listed, large).await.expect("content");
    assert_eq!(content.len(), 70_000);

    // Another process, without the Hub.
    let offline = hub(&world, folder.path(), true);
    let again = offline.digests(&listed, &all).await.expect("digests");
    assert_eq!(again, online.digests(&listed, &all).await.expect("digests"));
    let signature = offline.signature(&listed, file(&listed, "model.sig")).await;
    assert_eq!(signature.expect("a signature"), "signed");

    // The next commit reads what it changed.
    let change = json!({"files": {"config.json": text("[]")}});
    world
        .tell("POST", &format!("hub/models/{ID}"), &change)
        .await;
    let online = hub(&world, folder.path(), false);
    let next = card(&online).await;
    let all = in_git(&next);
    let error = offline.digests(&next, &all).await.expect_err("not read");
    assert!(matches!(error, HubError::Offline { .. }), "{error}");
    let digests = online.digests(&next, &all).await.expect("digests");
    assert_eq!(digests[&file(&next, "config.json").git_oid], BRACKETS);
    assert_eq!(reads(&world).len(), once.len() + 2);
}

#[tokio::test]
async fn other_bytes_than_are_listed_are_not_used() {
    let world = World::new();
    let body = json!({"files": {"config.json": text("{}"), "model.sig": text("signed")}});
    world.tell("PUT", &format!("hub/models/{ID}"), &body).await;
    let folder = tempfile::tempdir().expect("a folder");
    let hub = hub(&world, folder.path(), false);
    let listed = card(&hub).await;
    let signature = file(&listed, "model.sig");
    let other = RepoFile {
        git_oid: "0".repeat(40),
        ..signature.clone()
    };
    let longer = RepoFile {
        size: openmodel_schemas::quantity::Bytes(7),
        git_oid: signature.git_oid.clone(),
        ..signature.clone()
    };
    let altered = |error: HubError| {
        let text = error.to_string();
        assert!(text.contains("serves other bytes as model.sig"), "{text}");
    };
    altered(hub.digests(&listed, &[&other]).await.expect_err("altered"));
    altered(hub.signature(&listed, &other).await.expect_err("altered"));
    altered(hub.digests(&listed, &[&longer]).await.expect_err("altered"));
    let large = RepoFile {
        sha256: Some(NOTHING.to_owned()),
        ..signature.clone()
    };
    altered(hub.signature(&listed, &large).await.expect_err("altered"));
}
