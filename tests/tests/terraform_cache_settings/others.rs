//! What others do to a snapshot's manifest, to its repository and to the Hub after it was made.

use acceptance::terraform::actions;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::world::{ADDRESS, ENDPOINT, TINY, World, computed};

const MANIFEST: &str = ".openmodel/manifest.json";

#[test]
fn a_manifest_that_was_changed_or_broken_is_seen_and_written_anew() -> Result<()> {
    let world = World::new()?;
    let state = world.apply(TINY, "")?;
    let uri = &state["id"];
    let whole = world.read(uri, MANIFEST)?;

    let mut changed = whole.clone();
    changed["files"][0]["size"] = json!(1);
    let mut shorter = whole.clone();
    shorter["files"].as_array_mut().context("files")?.pop();
    for damage in [changed, shorter, json!({"x": 1})] {
        world.overwrite(uri, MANIFEST, &damage)?;
        let plan = world.bench.plan()?;
        assert_eq!(actions(&plan, ADDRESS), ["update"], "{damage}");
        world.bench.terraform(&["apply", "tfplan"])?;
        let digest = |manifest: &Value| manifest["digest"].clone();
        assert_eq!(digest(&world.read(uri, MANIFEST)?), digest(&whole));
        world.bench.assert_plan_is_empty()?;
    }
    assert_eq!(world.reads_of("model.safetensors"), 1, "it was there");

    // One that lists other files, and says so consistently, is not the one that was written.
    let other = world.apply(TINY, "exclude = [\"tokenizer*\"]")?;
    let foreign = world.read(&other["id"], MANIFEST)?;
    world.apply(TINY, "")?;
    world.overwrite(uri, MANIFEST, &foreign)?;
    let plan = world.bench.plan()?;
    assert_eq!(actions(&plan, ADDRESS), ["update"]);
    world.bench.terraform(&["apply", "tfplan"])?;

    // One apply mends the cache, then serves from it.
    world.overwrite(uri, MANIFEST, &json!({"x": 1}))?;
    world.set(TINY, ENDPOINT)?;
    world.bench.apply()?;
    world.bench.assert_plan_is_empty()?;
    world.overwrite(uri, MANIFEST, &json!({"x": 1}))?;
    world.destroy()
}

#[test]
fn a_renamed_repository_is_kept_and_served_by_the_name_that_is_configured() -> Result<()> {
    let world = World::new()?;
    world.repository(
        "models",
        "acme/old",
        &computed(&[("model.safetensors", 10, 1)]),
    )?;
    let moved = json!({"movedTo": TINY});
    world
        .http
        .patch(&world.url("/sandbox/hub/models/acme/old"), &moved)?;
    world.set("acme/old", ENDPOINT)?;
    world.bench.apply()?;
    world.bench.assert_plan_is_empty()?;
    world.destroy()
}

#[test]
fn a_followed_branch_that_cannot_be_looked_up_is_said_and_what_is_there_stays() -> Result<()> {
    const REPOSITORY: &str = "acme/gone";
    let world = World::new()?;
    let files = [("model.safetensors", 40_000, 1)];
    world.repository("models", REPOSITORY, &computed(&files))?;
    let follow = "tracking = \"follow\"";
    world.apply(REPOSITORY, follow)?;

    let down = json!({"match": {"pathRegex": "/api/"}, "times": 10_000, "then": {"respond": {"status": 503}}});
    world.fault(&down)?;
    let said = world.plan_says()?;
    assert!(
        said.contains("It is not known whether the branch has moved"),
        "{said}"
    );
    assert!(said.contains("No changes"), "{said}");
    world.mend()?;
    assert!(
        !world.plan_says()?.contains("Warning"),
        "the Hub is there again"
    );

    let disabled = json!({"disabled": true});
    let url = world.url(&format!("/sandbox/hub/models/{REPOSITORY}"));
    world.http.patch(&url, &disabled)?;
    let said = world.plan_says()?;
    assert!(
        said.contains("Warning: It is not known") && said.contains("No changes"),
        "{said}"
    );
    world.set(REPOSITORY, &format!("{follow}\nlicenses = [\"mit\"]"))?;
    world.refuses(
        &["plan"],
        &["Repository is disabled", "terraform destroy -refresh=false"],
    )?;
    world.set(REPOSITORY, follow)?;
    world.destroy()
}
