//! `openmodel_cache` whose files a Cloud Run job moves: tasks that really run, one that is killed, an image
//! that is not there, a token that may not read.

use acceptance::discovery::Contracts;
use acceptance::http::Http;
use acceptance::python::Python;
use acceptance::terraform::{Bench, PROVIDER, planned};
use anyhow::{Context as _, Result};
use openmodel_cli::terraform::built_binary;
use serde_json::{Value, json};

const ADDRESS: &str = "openmodel_cache.model";
const REPOSITORY: &str = "acme/large";
const IMAGE: &str = "us-docker.pkg.dev/acme-ml/tools/openmodel:1";
const BUCKET: &str = "openmodel-acme-ml-us-central1";
const TASKS: usize = 3;
const FILES: u64 = 9;

/// The token of the provider, and the ones of the job: they must be seen nowhere.
const TOKENS: [&str; 3] = ["hf_of_the_provider", "hf_of_the_job", "hf_of_nobody"];

fn configuration(transfer: &str) -> String {
    format!(
        "{PROVIDER}\nresource \"openmodel_cache\" \"model\" {{\n  repository = \"{REPOSITORY}\"\n{transfer}\n}}\n"
    )
}

struct World {
    bench: Bench,
    http: Http,
}

impl World {
    /// A sandbox in which an image is this workspace's `openmodel`, and the Hub has a repository of small
    /// and large files.
    fn new(transfer: &str, gated: bool) -> Result<Self> {
        let mut bench = Bench::of(&configuration(transfer))?;
        bench.workspace.set_env("HF_TOKEN", TOKENS[0]);
        let http = Http::new();
        let world = Self { bench, http };
        let program = built_binary("openmodel", |_| ())?;
        let env = json!({"OPENMODEL_SANDBOX": world.bench.sandbox.url()});
        let images = json!({(IMAGE): {"program": program, "env": env}});
        world.put("/sandbox/run/images", &images)?;
        let nobody = json!({"name": "nobody", "gated": [], "private": []});
        world.put("/sandbox/hub/tokens", &json!({(TOKENS[2]): nobody}))?;
        let files: serde_json::Map<String, Value> = (0..FILES)
            .map(|number| {
                let size = if number < 3 { 3 << 20 } else { 1_000 + number };
                let blob = json!({"computed": {"size": size, "seed": number}});
                (format!("part-{number}.safetensors"), blob)
            })
            .collect();
        let card = if gated {
            json!({"gated": "manual"})
        } else {
            json!({})
        };
        world.put(
            &format!("/sandbox/hub/models/{REPOSITORY}"),
            &json!({"card": card, "files": files}),
        )?;
        Ok(world)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.bench.sandbox.url())
    }

    fn put(&self, path: &str, body: &Value) -> Result<()> {
        self.http.put(&self.url(path), body).map(drop)
    }

    /// A secret with a token; the name of its version.
    fn secret(&self, id: &str, token: &str) -> Result<String> {
        let secrets = self.url("/v1/projects/acme-ml/secrets");
        let made = json!({"replication": {"automatic": {}}});
        self.http.post(&format!("{secrets}?secretId={id}"), &made)?;
        let payload = json!({"payload": {"data": base64(token)}});
        self.http
            .post(&format!("{secrets}/{id}:addVersion"), &payload)?;
        Ok(format!("projects/acme-ml/secrets/{id}/versions/1"))
    }

    fn set(&self, transfer: &str) -> Result<()> {
        let text = configuration(transfer);
        self.bench.workspace.write("main.tf", &text)
    }

    /// How often contents of the repository were asked for.
    fn reads(&self) -> usize {
        let log = self.bench.sandbox.log();
        log.iter()
            .filter(|entry| entry.method == "GET" && entry.path.contains("/resolve/"))
            .count()
    }

    /// The requests of a method of Cloud Run.
    fn calls(&self, operation: &str) -> usize {
        let log = self.bench.sandbox.log();
        let wanted = Some(format!("run.projects.locations.jobs.{operation}"));
        log.iter().filter(|entry| entry.operation == wanted).count()
    }

    /// What the last look at the execution showed.
    fn execution(&self) -> Result<Value> {
        let log = self.bench.sandbox.log();
        let wanted = Some("run.projects.locations.jobs.executions.get".to_owned());
        let last = log.iter().rev().find(|entry| entry.operation == wanted);
        Ok(last.context("a look at an execution")?.response.clone())
    }

    fn inventory(&self) -> String {
        self.bench.sandbox.inventory().to_string()
    }

    /// What was sent to Cloud Run is what Google's Discovery document says.
    fn keeps_the_contract(&self) -> Result<()> {
        let contracts = Contracts::load(&Python::shared()?.discovery_documents()?)?;
        let mut log = self.bench.sandbox.log();
        log.retain(|entry| entry.api == "run");
        let violations = contracts.check_log(&log).violations;
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "{}", lines.join("\n"));
        Ok(())
    }

    /// No token stands in a state, a log, or a description of a job.
    fn keeps_its_secrets(&self) -> Result<()> {
        let state = self.bench.state()?.to_string();
        let log = self.bench.sandbox.log();
        let jobs = log.iter().filter(|entry| entry.path.contains("/jobs"));
        let jobs: Vec<String> = jobs
            .map(|entry| format!("{}{}", entry.request, entry.response))
            .collect();
        for token in TOKENS {
            assert!(!state.contains(token), "{token} is in the state");
            assert!(!jobs.concat().contains(token), "{token} is in a job");
        }
        Ok(())
    }
}

/// Of the standard alphabet; the sandbox's secrets travel so.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.as_bytes()
        .chunks(3)
        .flat_map(|chunk| {
            let byte = |at: usize| usize::from(chunk.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            (0..4).map(move |at| {
                if at > chunk.len() {
                    '='
                } else {
                    char::from(ALPHABET[bits >> (18 - 6 * at) & 63])
                }
            })
        })
        .collect()
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

    let execution = world.execution()?;
    let counts = ["taskCount", "succeededCount", "retriedCount"].map(|name| &execution[name]);
    assert_eq!(counts, [&json!(3), &json!(3), &json!(1)]);
    assert_eq!((world.calls("create"), world.calls("run")), (1, 1));
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
    assert_eq!((world.reads(), world.calls("create")), (moved, 1));
    world.set(&transfer)?;
    world.bench.apply()?;
    assert_eq!(
        (world.reads(), world.calls("create")),
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
    assert_eq!((world.calls("create"), world.calls("run")), (1, 1));
    assert!(!world.inventory().contains("jobs/"), "the job is left");
    world.bench.assert_plan_is_empty()?;
    world.bench.terraform(&["destroy", "-auto-approve"])?;
    assert!(!world.inventory().contains(BUCKET), "{}", world.inventory());
    Ok(())
}
