//! Anywhere Caches of `openmodel_cache` with the real terraform: made, changed, shared and taken away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use acceptance::http::Http;
use acceptance::terraform::{Bench, PROVIDER};
use anyhow::Result;
use serde_json::{Value, json};

const TINY: &str = "openmodel/tiny-random-llama";
const OTHER: &str = "acme/other";
const MOVING: &str = "acme/moving";
const BUCKET: &str = "openmodel-acme-ml-us-central1";
const ZONE: &str = "us-central1-a";

struct World {
    bench: Bench,
    http: Http,
}

impl World {
    /// Caches by name: repository, and what else it says.
    fn new(caches: &[(&str, &str, &str)]) -> Result<Self> {
        let world = Self {
            bench: Bench::of(&configuration(caches))?,
            http: Http::new(),
        };
        world.repository(OTHER, 7)?;
        Ok(world)
    }

    fn repository(&self, id: &str, seed: u64) -> Result<()> {
        let url = self.url(&format!("/sandbox/hub/models/{id}"));
        self.http.put(&url, &files(seed)).map(drop)
    }

    /// A commit on its main branch.
    fn commit(&self, id: &str, seed: u64) -> Result<()> {
        let url = self.url(&format!("/sandbox/hub/models/{id}"));
        self.http.post(&url, &files(seed)).map(drop)
    }

    fn set(&self, caches: &[(&str, &str, &str)]) -> Result<()> {
        let text = configuration(caches);
        self.bench.workspace.write("main.tf", &text)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.bench.sandbox.url())
    }

    /// Runs terraform while hours pass in the sandbox: an Anywhere Cache takes one to go.
    fn while_hours_pass<T>(&self, run: impl FnOnce() -> T) -> T {
        let over = AtomicBool::new(false);
        let (url, hour) = (self.url("/sandbox/clock/advance"), json!({"seconds": 3600}));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(200));
                    self.http.post(&url, &hour).expect("an hour passes");
                }
            });
            let done = run();
            over.store(true, Ordering::Relaxed);
            done
        })
    }

    fn apply(&self) -> Result<()> {
        self.while_hours_pass(|| self.bench.apply()).map(drop)
    }

    fn destroy(&self) -> Result<()> {
        let destroyed = || self.bench.terraform(&["destroy", "-auto-approve"]);
        self.while_hours_pass(destroyed).map(drop)
    }

    /// The time to live of the cache in a zone, in Google's writing; nothing where there is none.
    fn ttl(&self, zone: &str) -> Option<String> {
        let url = self.url(&format!("/storage/v1/b/{BUCKET}/anywhereCaches/{zone}"));
        let cache = self.http.get(&url).ok()?;
        assert_eq!(cache["state"], "running", "{cache}");
        cache["ttl"].as_str().map(str::to_owned)
    }

    #[track_caller]
    fn nothing_left(&self) {
        let inventory = self.bench.sandbox.inventory().to_string();
        assert!(!inventory.contains(BUCKET), "left: {inventory}");
    }
}

fn files(seed: u64) -> Value {
    let blob = json!({"computed": {"size": 300_000, "seed": seed}});
    json!({"files": {"model.safetensors": blob}})
}

fn configuration(caches: &[(&str, &str, &str)]) -> String {
    let blocks = caches.iter().map(|(name, repository, more)| {
        format!(
            "resource \"openmodel_cache\" \"{name}\" {{\n  repository = \"{repository}\"\n{more}\n}}\n"
        )
    });
    format!("{PROVIDER}\n{}", blocks.collect::<String>())
}

fn near(zones: &str, hours: u32) -> String {
    format!("anywhere_cache = {{ zones = [{zones}], ttl_hours = {hours} }}")
}

#[test]
fn it_goes_with_the_block_that_asked_for_it_and_nothing_is_left() -> Result<()> {
    let two = near("\"us-central1-a\", \"us-central1-b\"", 24);
    let world = World::new(&[("one", TINY, &two)])?;
    world.apply()?;
    assert_eq!(world.ttl(ZONE).as_deref(), Some("86400s"));
    assert_eq!(world.ttl("us-central1-b").as_deref(), Some("86400s"));

    world.set(&[("one", TINY, &near("\"us-central1-a\"", 48))])?;
    world.apply()?;
    world.bench.assert_plan_is_empty()?;
    assert_eq!(world.ttl(ZONE).as_deref(), Some("172800s"));
    assert_eq!(world.ttl("us-central1-b"), None);

    world.set(&[("one", TINY, "")])?;
    world.apply()?;
    world.bench.assert_plan_is_empty()?;
    assert_eq!(world.ttl(ZONE), None);
    world.destroy()?;
    world.nothing_left();
    Ok(())
}

#[test]
fn what_another_cache_was_made_with_stays_until_that_goes() -> Result<()> {
    let zone = near("\"us-central1-a\"", 24);
    let follow = "tracking = \"follow\"";
    let with_zone = format!("{follow}\n{zone}");
    let world = World::new(&[("one", MOVING, &with_zone), ("two", OTHER, &zone)])?;
    world.repository(MOVING, 1)?;
    world.apply()?;
    world.commit(MOVING, 2)?;
    world.apply()?;

    world.set(&[("one", MOVING, follow), ("two", OTHER, &zone)])?;
    world.apply()?;
    assert!(world.ttl(ZONE).is_some(), "the other cache lost it");

    // What is left of the first cache in the bucket does not hold it, an earlier snapshot neither.
    world.set(&[("one", MOVING, follow)])?;
    world.apply()?;
    assert_eq!(world.ttl(ZONE), None);

    // Both at once: whoever comes last takes the bucket, when the other's has gone.
    world.set(&[("one", MOVING, follow), ("two", OTHER, &zone)])?;
    world.apply()?;
    world.destroy()?;
    world.nothing_left();
    Ok(())
}

#[test]
fn a_refused_create_takes_it_back() -> Result<()> {
    let two = near("\"us-central1-a\", \"us-central1-b\"", 24);
    let world = World::new(&[("one", TINY, &two)])?;
    let refused = json!({
        "match": {"method": "POST", "path": "*/anywhereCaches"}, "nth": 2,
        "then": {"respond": {"status": 400, "body": {"error": {"code": 400, "message": "No capacity here."}}}},
    });
    world.http.post(&world.url("/sandbox/faults"), &refused)?;
    let said =
        world.while_hours_pass(|| world.bench.terraform_fails(&["apply", "-auto-approve"]))?;
    for part in ["No capacity here", "anywhere_cache", "nothing is left"] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    world.nothing_left();
    Ok(())
}

#[test]
fn one_that_somebody_else_made_is_named_where_it_keeps_the_bucket() -> Result<()> {
    let world = World::new(&[("one", TINY, "")])?;
    world.apply()?;
    let url = world.url(&format!("/storage/v1/b/{BUCKET}/anywhereCaches"));
    world.http.post(&url, &json!({"zone": ZONE}))?;
    let said = world.bench.terraform_fails(&["destroy", "-auto-approve"])?;
    for part in [
        BUCKET,
        ZONE,
        "anywhere-caches disable",
        "still in the state",
    ] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    Ok(())
}
