//! From commit to commit: which snapshots stay, what is copied and not read again, and what outlives the
//! resource.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::world::{ADDRESS, BUCKET, TINY, World, computed};

const MOVING: &str = "acme/moving";
const FILES: [(&str, u64, u64); 4] = [
    ("a.safetensors", 40_000, 1),
    ("b.safetensors", 40_000, 2),
    ("c.safetensors", 40_000, 3),
    ("d.safetensors", 40_000, 4),
];

/// A repository whose file `d` changes with each commit.
fn moving() -> Result<World> {
    let world = World::new()?;
    world.repository("models", MOVING, &computed(&FILES))?;
    Ok(world)
}

fn move_on(world: &World, seed: u64) -> Result<String> {
    let commit = world.commit(MOVING, &[("d.safetensors", 50_000, seed)])?;
    Ok(format!("gs://{BUCKET}/models/{MOVING}/{commit}"))
}

#[test]
fn as_many_earlier_snapshots_stay_as_retention_says() -> Result<()> {
    let world = moving()?;
    let none = "tracking = \"follow\"\nretention = 0";
    let two = "tracking = \"follow\"\nretention = 2";
    let keeps = |attributes: &str, newest_first: &[&String]| -> Result<()> {
        let state = world.apply(MOVING, attributes)?;
        assert_eq!(state["snapshots"], json!(newest_first));
        let there: BTreeSet<String> = newest_first.iter().map(ToString::to_string).collect();
        assert_eq!(world.snapshots(), there);
        Ok(())
    };
    world.apply(MOVING, none)?;
    let second = move_on(&world, 102)?;
    keeps(none, &[&second])?;
    let third = move_on(&world, 103)?;
    keeps(two, &[&third, &second])?;
    let fourth = move_on(&world, 104)?;
    keeps(two, &[&fourth, &third, &second])?;
    let fifth = move_on(&world, 105)?;
    keeps(two, &[&fifth, &fourth, &third])?;
    world.bench.assert_plan_is_empty()?;
    world.destroy()
}

#[test]
fn a_replacement_of_a_pinned_cache_shows_the_commit_that_it_goes_on_to() -> Result<()> {
    let world = moving()?;
    let first = world.apply(MOVING, "revision = \"main\"")?;
    let next = move_on(&world, 102)?;
    world.bench.assert_plan_is_empty()?;
    let replace = format!("-replace={ADDRESS}");
    let said = world
        .bench
        .terraform(&["apply", "-auto-approve", &replace])?;
    let shown = said.contains("resolved_revision") && said.contains(&next);
    assert!(shown, "{said}");
    let second = world.state()?;
    assert_eq!(second["id"], json!(next));
    assert_ne!(second["id"], first["id"]);
    assert_eq!(json!(world.snapshots()), json!([second["id"]]));
    world.bench.assert_plan_is_empty()
}

#[test]
fn each_region_copies_what_it_has_and_the_hub_is_read_once() -> Result<()> {
    const FAR: &str = "openmodel-acme-ml-europe-west4";
    let world = moving()?;
    let attributes = "tracking = \"follow\"\nregions = [\"europe-west4\"]";
    world.apply(MOVING, attributes)?;
    move_on(&world, 102)?;
    let (reads, copies) = (world.reads_of(""), world.copies_after(0).len());
    let state = world.apply(MOVING, attributes)?;
    assert_eq!(world.reads_of("") - reads, 1, "one file has changed");

    let mut ways: BTreeMap<(String, String), usize> = BTreeMap::new();
    for copied in world.copies_after(copies) {
        *ways.entry((copied.from, copied.to)).or_default() += 1;
    }
    let way = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let expected = [
        (way(BUCKET, BUCKET), 3),
        (way(FAR, FAR), 3),
        (way(BUCKET, FAR), 1),
    ];
    assert_eq!(ways, BTreeMap::from(expected), "only the new file crosses");
    for place in ["us-central1", "europe-west4"] {
        let paths = world.paths(&state["uri"][place]);
        assert_eq!(paths, FILES.map(|(path, _, _)| path), "{place}");
    }
    world.bench.assert_plan_is_empty()
}

#[test]
fn what_an_earlier_snapshot_has_is_not_fetched_again() -> Result<()> {
    let world = moving()?;
    let follow = "tracking = \"follow\"";
    let first = world.apply(MOVING, follow)?;
    move_on(&world, 102)?;
    let second = world.apply(MOVING, follow)?;

    world.lose(&second["id"], "b.safetensors")?;
    let (reads, copies) = (world.reads_of(""), world.copies_after(0).len());
    world.bench.apply()?;
    assert_eq!(world.reads_of("") - reads, 0, "the Hub was read");
    let copied: Vec<String> = world
        .copies_after(copies)
        .into_iter()
        .map(|copied| format!("gs://{}/{}", copied.from, copied.name))
        .collect();
    let source = format!("{}/b.safetensors", first["id"].as_str().unwrap_or_default());
    assert_eq!(copied, [source]);
    assert_eq!(world.paths(&second["id"]), FILES.map(|(path, _, _)| path));
    world.bench.assert_plan_is_empty()
}

#[test]
fn a_cache_may_not_go_or_goes_without_its_files() -> Result<()> {
    let world = World::new()?;
    let prevent = "deletion_policy = \"PREVENT\"";
    let state = world.apply(TINY, prevent)?;
    let uri = state["id"].as_str().unwrap_or_default();
    let there = world.bench.sandbox.inventory();
    let refusal = ["Deletion is prevented", uri, prevent];
    world.refuses(&["destroy", "-auto-approve"], &refusal)?;
    // A replacement deletes too.
    world.set(TINY, &format!("{prevent}\nprefix = \"elsewhere\""))?;
    world.refuses(&["plan"], &refusal)?;
    assert_eq!(world.bench.sandbox.inventory(), there);

    world.apply(TINY, "deletion_policy = \"ABANDON\"")?;
    let paths = world.paths(&state["id"]);
    assert_eq!(json!(paths.len()), state["files"]);
    world.bench.terraform(&["destroy", "-auto-approve"])?;
    assert_eq!(world.bench.state()?["values"], Value::Null);
    assert_eq!(world.paths(&state["id"]), paths);
    Ok(())
}

#[test]
fn an_earlier_snapshot_is_looked_at_and_costs() -> Result<()> {
    let world = moving()?;
    let follow = "tracking = \"follow\"";
    let first = world.apply(MOVING, follow)?;
    move_on(&world, 102)?;
    let second = world.apply(MOVING, follow)?;
    let lines = second["cost"]["lines"].to_string();
    assert!(lines.contains("the earlier snapshot"), "{lines}");

    world.lose(&first["id"], "a.safetensors")?;
    let said = world.bench.terraform(&["plan"])?;
    for part in ["Earlier snapshot is damaged", "a.safetensors", "No changes"] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }

    // Where the newest is lost altogether, the cache is still there, and mended.
    let files = world.paths(&second["id"]);
    let own = [".openmodel/manifest.json", ".openmodel/cache.json"];
    for path in files.iter().map(String::as_str).chain(own) {
        world.lose(&second["id"], path)?;
    }
    world.bench.apply()?;
    assert_eq!(world.paths(&second["id"]), files);
    world.bench.assert_plan_is_empty()?;
    world.destroy()
}

#[test]
fn what_a_bucket_that_is_not_there_yet_costs_is_known_once_it_is() -> Result<()> {
    let world = World::new()?;
    let attributes = "bucket = \"acme-later\"\nlocation = \"us-central1\"";
    world.set(TINY, attributes)?;
    let plan = world.bench.plan()?;
    let changes = &plan["resource_changes"][0]["change"];
    assert_eq!(changes["after_unknown"]["cost"], true);
    let url = world.url("/storage/v1/b?project=acme-ml");
    let bucket =
        json!({"name": "acme-later", "location": "us-central1", "storageClass": "NEARLINE"});
    world.http.post(&url, &bucket)?;
    world.bench.terraform(&["apply", "tfplan"])?;
    let state = world.state()?;
    let line = state["cost"]["lines"][0].as_str().context("a line")?;
    assert!(line.contains("NEARLINE storage"), "{line}");
    world.bench.assert_plan_is_empty()
}
