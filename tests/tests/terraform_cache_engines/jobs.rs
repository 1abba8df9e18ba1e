//! Tasks of a Cloud Run job that really run, one that is killed, an image that is not there, a token that may
//! not read.

use acceptance::terraform::planned;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::world::{ADDRESS, BUCKET, FILES, IMAGE, TOKENS, World};

const TASKS: usize = 3;

/// What the last look at the execution showed.
fn execution(world: &World) -> Result<Value> {
    let log = world.bench.sandbox.log();
    let wanted = Some("run.projects.locations.jobs.executions.get".to_owned());
    let last = log.iter().rev().find(|entry| entry.operation == wanted);
    Ok(last.context("a look at an execution")?.response.clone())
}

/// How often a job was made and run.
fn started(world: &World) -> (usize, usize) {
    let calls = |verb: &str| world.calls(&format!("run.projects.locations.jobs.{verb}"));
    (calls("create"), calls("run"))
}

#[test]
fn tasks_move_the_files_and_one_that_is_killed_is_started_again_alone() -> Result<()> {
    let transfer = format!(
        "transfer = {{\n  engine = \"cloud_run_job\"\n  image = \"{IMAGE}\"\n  tasks = {TASKS}\n}}"
    );
    let world = World::new(&transfer, false)?;
    world.put(
        "/sandbox/run/kills",
        &json!([{"task": 1, "attempt": 0, "afterMillis": 0}]),
    )?;
    let plan = world.bench.plan()?;
    insta::assert_json_snapshot!(planned(&plan, ADDRESS)["transfer"], @r#"
    {
      "engine": "cloud_run_job",
      "hugging_face_token_secret": null,
      "image": "us-docker.pkg.dev/acme-ml/tools/openmodel:1",
      "max_bandwidth_mib": null,
      "parallelism": 8,
      "reason": "asked for",
      "service_account": null,
      "tasks": 3
    }
    "#);
    let id = planned(&plan, ADDRESS)["id"].as_str().context("an id")?;
    assert_eq!(world.reads(), 0, "the plan reads no content");
    world.bench.terraform(&["apply", "tfplan"])?;

    let execution = execution(&world)?;
    let counts = ["taskCount", "succeededCount", "retriedCount"].map(|name| &execution[name]);
    assert_eq!(counts, [&json!(3), &json!(3), &json!(1)]);
    assert_eq!(started(&world), (1, 1));
    let moved = world.reads();
    let listed = world
        .http
        .get(&world.url(&format!("/storage/v1/b/{BUCKET}/o")))?;
    let names = listed["items"].as_array().context("objects")?;
    let folder = id.strip_prefix("gs://").context("an address")?;
    let folder = folder.strip_prefix(BUCKET).context("the bucket")?;
    let parts = names
        .iter()
        .filter_map(|object| object["name"].as_str())
        .filter(|name| format!("/{name}").starts_with(&format!("{folder}/part-")));
    assert_eq!(parts.count(), usize::try_from(FILES)?);
    assert!(
        !names
            .iter()
            .any(|object| object["name"].to_string().contains("/moving/")),
        "claims are left: {listed}"
    );
    assert!(!world.inventory().contains("jobs/"), "the job is left");

    world.bench.assert_plan_is_empty()?;
    world.keeps_its_secrets()?;
    world.keeps_the_contract()?;
    // Who verifies asks the Hub for nothing more, and a change of hands moves nothing.
    world.set("transfer = { engine = \"local\" }")?;
    world.bench.apply()?;
    world.bench.assert_plan_is_empty()?;
    assert_eq!((world.reads(), started(&world).0), (moved, 1));
    world.set(&transfer)?;
    world.bench.apply()?;
    assert_eq!(
        (world.reads(), started(&world).0),
        (moved, 1),
        "all is there: no job is made"
    );

    let first = names
        .iter()
        .find(|object| object["name"].to_string().contains("part-4"));
    let first = first.and_then(|object| object["name"].as_str());
    let first = first.context("an object")?.replace('/', "%2F");
    world
        .http
        .remove(&world.url(&format!("/storage/v1/b/{BUCKET}/o/{first}")))?;
    world.bench.apply()?;
    assert_eq!(
        world.reads(),
        moved + 1,
        "the missing file alone is moved again"
    );
    world.bench.assert_plan_is_empty()?;
    world.bench.terraform(&["destroy", "-auto-approve"])?;
    assert!(!world.inventory().contains(BUCKET), "{}", world.inventory());
    Ok(())
}

#[test]
fn what_a_job_cannot_do_is_said_and_nothing_is_left() -> Result<()> {
    let world = World::new("transfer = { engine = \"cloud_run_job\" }", true)?;
    let said = world.bench.terraform_fails(&["plan"])?;
    for part in ["Image is not set", "engine =", "docker build -t"] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }

    let job = |image: &str, more: &str| {
        format!("transfer = {{\n  engine = \"cloud_run_job\"\n  image = \"{image}\"\n{more}\n}}")
    };
    world.set(&job(IMAGE, ""))?;
    let said = world.bench.terraform_fails(&["plan"])?;
    for part in [
        "Job has no Hub token",
        "hugging_face_token_secret",
        "secretAccessor",
    ] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }

    world.set(&job(IMAGE, "  tasks = 4\n  max_bandwidth_mib = 3\n  hugging_face_token_secret = \"projects/p/secrets/s/versions/1\""))?;
    let said = world.bench.terraform_fails(&["plan"])?;
    for part in ["4 tasks share 3 MiB/s", "max_bandwidth_mib"] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }

    let good = world.secret("good", TOKENS[1])?;
    let bad = world.secret("bad", TOKENS[2])?;
    let token = |version: &str| format!("  hugging_face_token_secret = \"{version}\"");
    let missing = "us-docker.pkg.dev/acme-ml/tools/nothing:1";
    world.set(&job(missing, &token(&good)))?;
    let said = world.bench.terraform_fails(&["apply", "-auto-approve"])?;
    for part in [missing, "transfer.image", "nothing is left"] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    let nothing_left = |world: &World| {
        let inventory = world.inventory();
        for part in ["jobs/", BUCKET] {
            assert!(!inventory.contains(part), "{part} is left: {inventory}");
        }
    };
    nothing_left(&world);

    world.set(&job(IMAGE, &format!("  tasks = 2\n{}", token(&bad))))?;
    let said = world.bench.terraform_fails(&["apply", "-auto-approve"])?;
    for part in [
        "did not move all files",
        "task 0: exit code 1",
        "task 1: exit code 1",
        "log: http",
        "transfer.hugging_face_token_secret holds a token",
    ] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    nothing_left(&world);

    world.set(&job(IMAGE, &token(&good)))?;
    world.bench.apply()?;
    world.bench.assert_plan_is_empty()?;
    world.keeps_its_secrets()
}

#[test]
fn an_apply_whose_time_is_up_is_gone_on_with_and_the_job_runs_once() -> Result<()> {
    let job = |more: &str| {
        format!("transfer = {{\n  engine = \"cloud_run_job\"\n  image = \"{IMAGE}\"\n}}\n{more}")
    };
    let world = World::new(&job("timeouts = { create = \"4s\" }"), false)?;
    // One file takes longer than the apply may.
    let held =
        json!({"match": {"pathRegex": "/resolve/"}, "times": 1, "then": {"delayMillis": 60_000}});
    world.http.post(&world.url("/sandbox/faults"), &held)?;
    let said = world.bench.terraform_fails(&["apply", "-auto-approve"])?;
    assert!(said.contains("not created completely"), "{said}");
    assert!(world.inventory().contains("jobs/"), "the job is not there");

    world.set(&job(""))?;
    world.bench.terraform(&["untaint", ADDRESS])?;
    world.bench.apply()?;
    assert_eq!(started(&world), (1, 1));
    assert!(!world.inventory().contains("jobs/"), "the job is left");
    world.bench.assert_plan_is_empty()?;
    world.bench.terraform(&["destroy", "-auto-approve"])?;
    assert!(!world.inventory().contains(BUCKET), "{}", world.inventory());
    Ok(())
}
