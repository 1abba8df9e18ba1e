//! Into a folder.

use std::path::Path;
use std::sync::Arc;

use openmodel_transfer::folder::Folder;
use openmodel_transfer::ports::Trouble;
use openmodel_transfer::repository::{Moved, bytes, move_all};
use openmodel_transfer::select::Patterns;
use serde_json::json;

use crate::world::World;

async fn run(world: &World, folder: &Path) -> Result<Vec<Moved>, Trouble> {
    let selected = Patterns::default()
        .select(world.card.repository.kind, &world.card.files)
        .expect("files that serve");
    let mover = world.mover(Arc::new(Folder::new(folder)));
    move_all(&mover, &selected.files, 4).await
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
