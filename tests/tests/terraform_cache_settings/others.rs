//! What others do to a snapshot's manifest, to its repository and to the Hub after it was made.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use acceptance::terraform::{actions, one_line, printed};

use crate::world::{ADDRESS, TINY, World, computed};

const MANIFEST: &str = ".openmodel/manifest.json";

/// An endpoint of the cache, after its block.
const ENDPOINT: &str = "}\nresource \"openmodel_endpoint\" \"chat\" {\n  name = \"chat\"\n  model = \
                        openmodel_cache.model.repository\n  cache = openmodel_cache.model.id\n  workload = { \
                        context_length = 256, max_concurrency = 2 }\n";

/// Address of an object of a snapshot, for reading and for writing.
fn object(world: &World, uri: &Value, path: &str) -> Result<(String, String)> {
    let uri = uri.as_str().context("an address")?;
    let (bucket, folder) = uri
        .trim_start_matches("gs://")
        .split_once('/')
        .context("a folder")?;
    let name = format!("{folder}/{path}").replace('/', "%2F");
    Ok((
        world.url(&format!("/storage/v1/b/{bucket}/o/{name}?alt=media")),
        world.url(&format!(
            "/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}"
        )),
    ))
}

/// What a plan prints.
fn plan(world: &World) -> Result<String> {
    let output = world.bench.workspace.run(&["plan", "-no-color"])?;
    Ok(one_line(&printed(&output)))
}

#[test]
fn a_manifest_that_was_changed_or_broken_is_seen_and_written_anew() -> Result<()> {
    let world = World::new()?;
    let state = world.apply(TINY, "")?;
    let (read, write) = object(&world, &state["id"], MANIFEST)?;
    let whole = world.http.get(&read)?;

    let mut changed = whole.clone();
    changed["files"][0]["size"] = json!(1);
    let mut shorter = whole.clone();
    shorter["files"].as_array_mut().context("files")?.pop();
    for damage in [changed, shorter, json!({"x": 1})] {
        world.http.post(&write, &damage)?;
        let plan = world.bench.plan()?;
        assert_eq!(actions(&plan, ADDRESS), ["update"], "{damage}");
        world.bench.terraform(&["apply", "tfplan"])?;
        let digest = |manifest: &Value| manifest["digest"].clone();
        assert_eq!(digest(&world.http.get(&read)?), digest(&whole));
        world.bench.assert_plan_is_empty()?;
    }
    assert_eq!(world.reads_of("model.safetensors"), 1, "it was there");

    // One that lists other files, and says so consistently, is not the one that was written.
    let other = world.apply(TINY, "exclude = [\"tokenizer*\"]")?;
    let (read, _) = object(&world, &other["id"], MANIFEST)?;
    let foreign = world.http.get(&read)?;
    world.apply(TINY, "")?;
    world.http.post(&write, &foreign)?;
    let plan = world.bench.plan()?;
    assert_eq!(actions(&plan, ADDRESS), ["update"]);
    world.bench.terraform(&["apply", "tfplan"])?;

    // One apply mends the cache, then serves from it.
    world.http.post(&write, &json!({"x": 1}))?;
    world.set(TINY, ENDPOINT)?;
    world.bench.apply()?;
    world.bench.assert_plan_is_empty()?;
    world.http.post(&write, &json!({"x": 1}))?;
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
    let said = plan(&world)?;
    assert!(
        said.contains("It is not known whether the branch has moved"),
        "{said}"
    );
    assert!(said.contains("No changes"), "{said}");
    world.mend()?;
    assert!(!plan(&world)?.contains("Warning"), "the Hub is there again");

    let disabled = json!({"disabled": true});
    let url = world.url(&format!("/sandbox/hub/models/{REPOSITORY}"));
    world.http.patch(&url, &disabled)?;
    let said = plan(&world)?;
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
