//! Into a folder.

use std::path::Path;
use std::sync::Arc;

use openmodel_transfer::file::{How, Mover};
use openmodel_transfer::folder::Folder;
use openmodel_transfer::ports::Trouble;
use openmodel_transfer::repository::{Moved, bytes, move_all};
use openmodel_transfer::select::Patterns;
use serde_json::{Value, json};

use crate::others::Meanwhile;
use crate::world::{World, computed};

async fn run(world: &World, folder: &Path) -> Result<Vec<Moved>, Trouble> {
    let selected = Patterns::default()
        .select(world.card.repository.kind, &world.card.files)
        .expect("files that serve");
    let store = Folder::new(folder);
    let _held = store.hold(&selected.files, &world.card.files).await?;
    move_all(&world.mover(Arc::new(store)), &selected.files, 4).await
}

/// Everything below a folder but our notes.
fn listing(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != ".openmodel" {
            names.push(name);
        }
    }
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_that_serve_arrive_and_are_not_fetched_twice() {
    let world = World::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let moved = run(&world, folder.path()).await.expect("nothing is wrong");
    let names: Vec<&str> = moved.iter().map(|one| one.file.path.as_str()).collect();
    assert_eq!(listing(folder.path()), names);
    assert!(
        names.contains(&"model.safetensors") && names.contains(&"config.json"),
        "{names:?}"
    );
    for one in &moved {
        let there = std::fs::metadata(folder.path().join(&one.file.path)).expect("it is there");
        assert_eq!(there.len(), one.file.size.0, "{}", one.file.path);
    }
    assert!(bytes(&moved).0 > 0);
    let mover = world.mover(Arc::new(Folder::new(folder.path())));
    move_all(&mover, &world.card.files, 4)
        .await
        .expect("they are there");
    let rest: u64 = world
        .card
        .files
        .iter()
        .filter(|file| !names.contains(&file.path.as_str()))
        .map(|file| file.size.0)
        .sum();
    assert_eq!(mover.meter.read(), rest, "only what was left out is read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_refuses_for_a_while_is_waited_for() {
    let world = World::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let busy = json!({"status": 429, "headers": {"Retry-After": "0"}});
    world
        .fault(json!({"match": {"path": "*/resolve/*"}, "times": 100, "then": {"respond": busy}}))
        .await;
    run(&world, folder.path()).await.expect("it passes");
    assert!(listing(folder.path()).contains(&"model.safetensors".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_openmodel_did_not_write_is_kept_or_refused_and_never_written_over() {
    let files = json!({
        "config.json": {"text": "{}"},
        "model.safetensors": computed(70_000, 1),
        "tokenizer.json": {"text": "{\"a\": 1}"},
    });
    let mut world = World::with("acme/one", files).await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.json");
    // One of another size, and one of the same.
    for mine in ["mine", "[]"] {
        std::fs::write(&config, mine).expect("it can be written");
        let trouble = run(&world, folder.path()).await.expect_err("it is mine");
        assert!(trouble.is_lasting(), "{trouble}");
        assert!(trouble.message.starts_with("config.json: "), "{trouble}");
        assert!(
            trouble
                .message
                .ends_with("Remove it, or choose another folder"),
            "{trouble}"
        );
        assert_eq!(std::fs::read_to_string(&config).expect("it is there"), mine);
        assert_eq!(listing(folder.path()), ["config.json"]);
    }
    let log = world
        .send("GET", "/sandbox/requests?api=hub", Value::Null)
        .await;
    assert!(
        !log.to_string().contains("/resolve/"),
        "something was fetched: {log}"
    );
    // The wanted one stays as it is.
    std::fs::write(&config, "{}").expect("it can be written");
    let written = std::fs::metadata(&config).and_then(|there| there.modified());
    let moved = run(&world, folder.path()).await.expect("nothing is wrong");
    let how: Vec<How> = moved.iter().map(|one| one.how).collect();
    assert_eq!(how, [How::Found, How::Read, How::Read]);
    let now = std::fs::metadata(&config).and_then(|there| there.modified());
    assert_eq!(now.expect("it is there"), written.expect("it was there"));

    // Of the next commit, what openmodel wrote gives way; what it found does not.
    let commit = |files: Value| ("/sandbox/hub/models/acme/one", json!({"files": files}));
    let (path, changed) = commit(json!({"tokenizer.json": {"text": "{}"}}));
    world.send("POST", path, changed).await;
    world.follow().await;
    run(&world, folder.path()).await.expect("nothing is wrong");
    let tokenizer = std::fs::read_to_string(folder.path().join("tokenizer.json"));
    assert_eq!(tokenizer.expect("it is there"), "{}");
    let (path, changed) = commit(json!({"config.json": {"text": "{\"b\": 2}"}}));
    world.send("POST", path, changed).await;
    world.follow().await;
    let trouble = run(&world, folder.path()).await.expect_err("it is mine");
    assert!(trouble.message.starts_with("config.json: "), "{trouble}");
    assert_eq!(std::fs::read_to_string(&config).expect("it is there"), "{}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_put_there_meanwhile_is_not_written_over() {
    let world = World::with("acme/one", json!({"config.json": {"text": "{}"}})).await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.json");
    let mine = config.clone();
    let put = async move { std::fs::write(mine, "[]").expect("it can be written") };
    let mover = Mover {
        origin: Arc::new(Meanwhile::at("config.json", Arc::new(world.origin()), put)),
        ..world.mover(Arc::new(Folder::new(folder.path())))
    };
    let trouble = move_all(&mover, &world.card.files, 1).await;
    let trouble = trouble.expect_err("it is mine");
    assert!(trouble.is_lasting(), "{trouble}");
    assert_eq!(std::fs::read_to_string(&config).expect("it is there"), "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_one_runs_at_a_time_and_what_an_earlier_one_left_is_told() {
    let mut world = World::with(
        "acme/stale",
        json!({"nested/a.safetensors": computed(300_000, 1), "b.safetensors": computed(300_000, 2)}),
    )
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    run(&world, folder.path()).await.expect("nothing is wrong");
    std::fs::write(folder.path().join("mine.safetensors"), "mine").expect("a file of the user's");

    let change =
        json!({"files": {"c.safetensors": computed(10, 3)}, "remove": ["nested/a.safetensors"]});
    world
        .send("POST", "/sandbox/hub/models/acme/stale", change)
        .await;
    world.follow().await;
    let store = Folder::new(folder.path());
    // Of the files that stay, one is not asked for this time.
    let files = world.card.files.as_slice();
    let held = store
        .hold(&files[1..], files)
        .await
        .expect("nobody is there");
    assert_eq!(held.stale, ["nested/a.safetensors"]);
    let refused = store.hold(files, files).await.expect_err("it is held");
    assert!(refused.is_lasting(), "{refused}");
    assert!(
        refused.message.contains("another run writes into it"),
        "{refused}"
    );
    drop(held);
    store.hold(files, files).await.expect("it is free");
}
