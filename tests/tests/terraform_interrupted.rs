//! An apply that is cut: by SIGKILL at every request that changes something, by its time limit,
//! by refusals. The next apply ends in the same inventory as an undisturbed run: nothing twice,
//! nothing orphaned.
//!
//! ```text
//! apply ──► request n is held by the sandbox ──► kill -9 the provider ──► let it go ──► apply again
//! ```

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use acceptance::terraform::{Bench, printed};
use acceptance::{difference, http_client, inventory_without_times};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

const CONFIGURATION: &str = r#"
terraform {
  required_providers { openmodel = { source = "openmodel/openmodel" } }
}
provider "openmodel" {
  project = "acme-ml"
  region  = "us-central1"
}
resource "openmodel_endpoint" "chat" {
  name     = "chat"
  model    = "Qwen/Qwen2.5-7B-Instruct"
  workload = { context_length = 8192 }
  access   = { public = true }

  hugging_face_token_wo         = "hf_token"
  hugging_face_token_wo_version = 1
}
"#;

/// Small files, each sent in one request: a claim of a killed run on a large one would stand for half a minute.
const CACHE: &str = r#"
terraform {
  required_providers { openmodel = { source = "openmodel/openmodel" } }
}
provider "openmodel" {
  project = "acme-ml"
  region  = "us-central1"
}
resource "openmodel_cache" "model" {
  repository = "openmodel/tiny-random-llama"
}
"#;

/// Paths of Google's APIs that an endpoint needs.
const GOOGLE: &str = "^/v[12]/";
/// Paths of Cloud Storage.
const STORAGE: &str = "^/(upload/)?storage/";
const ADDRESS: &str = "openmodel_endpoint.chat";

/// Moments at which the apply of a cache is killed, spread over all its requests.
const MOMENTS: usize = 10;

#[test]
fn a_kill_at_any_request_and_a_second_apply_end_as_an_undisturbed_run() -> Result<()> {
    let undisturbed = Bench::of(CONFIGURATION)?;
    undisturbed.apply()?;
    let wanted = inventory_without_times(&undisturbed.sandbox);
    let requests = undisturbed
        .sandbox
        .log()
        .iter()
        .filter(|entry| is_google(&entry.path))
        .count();
    ensure!(
        requests >= 8,
        "secret, version, grants, service, ready and looks before: only {requests} requests"
    );

    // A request that is held has had no effect; the one before it has had all of its.
    for nth in 1..=requests {
        let what = format!("killed at request {nth} of {requests}");
        let bench = Bench::of(CONFIGURATION)?;
        kill_at(&bench, &["apply", "-auto-approve"], GOOGLE, nth).with_context(|| what.clone())?;
        finish(
            &bench,
            ADDRESS,
            "projects/acme-ml/locations/us-central1/services/chat",
        )
        .with_context(|| what.clone())?;
        let found = inventory_without_times(&bench.sandbox);
        ensure!(
            found == wanted,
            "{what}:
{}",
            difference(&wanted, &found)
        );
        bench.assert_plan_is_empty().with_context(|| what.clone())?;
        bench.terraform(&["destroy", "-auto-approve"])?;
        assert_eq!(bench.sandbox.inventory(), json!([]), "{what}");
    }
    Ok(())
}

#[test]
fn a_cache_that_is_killed_at_any_request_ends_as_an_undisturbed_one() -> Result<()> {
    let undisturbed = Bench::of(CACHE)?;
    undisturbed.apply()?;
    let id = undisturbed.state()?["values"]["root_module"]["resources"][0]["values"]["id"]
        .as_str()
        .context("an id")?
        .to_owned();
    let storage = |path: &str| path.starts_with("/storage/") || path.starts_with("/upload/");
    let log = undisturbed.sandbox.log();
    let requests = log.iter().filter(|entry| storage(&entry.path)).count();
    ensure!(requests > MOMENTS, "only {requests} requests");
    let wanted = objects(&undisturbed)?;
    for moment in 0..MOMENTS {
        let nth = 1 + moment * (requests - 1) / (MOMENTS - 1);
        let what = format!("killed at request {nth} of {requests}");
        let bench = Bench::of(CACHE)?;
        kill_at(&bench, &["apply", "-auto-approve"], STORAGE, nth).with_context(|| what.clone())?;
        finish(&bench, "openmodel_cache.model", &id).with_context(|| what.clone())?;
        assert_eq!(objects(&bench)?, wanted, "{what}");
        bench.assert_plan_is_empty().with_context(|| what.clone())?;
        bench.terraform(&["destroy", "-auto-approve"])?;
        assert_eq!(bench.sandbox.inventory(), json!([]), "{what}");
    }
    Ok(())
}

/// Names, checksums and notes of all objects in the bucket, but for what changes with the time.
fn objects(bench: &Bench) -> Result<Vec<Value>> {
    let url = format!(
        "{}/storage/v1/b/openmodel-acme-ml-us-central1/o",
        bench.sandbox.url()
    );
    let listed = send(http_client().get(url).bearer_auth("x"))?;
    let items = listed["items"].as_array().context("objects")?.iter();
    Ok(items
        .map(|object| {
            // The manifest lists generations, which count the time.
            let is_manifest = object["name"].to_string().contains("manifest.json");
            let crc32c = if is_manifest {
                &Value::Null
            } else {
                &object["crc32c"]
            };
            json!([object["name"], crc32c, object["metadata"]])
        })
        .collect())
}

/// Applies again. After a kill in the last moment the resource is finished, but not in the state:
/// then the apply refuses it and names the import that takes it over.
fn finish(bench: &Bench, address: &str, id: &str) -> Result<()> {
    let output = bench.workspace.run(&["apply", "-auto-approve"])?;
    if output.status.success() {
        return Ok(());
    }
    let text = printed(&output);
    ensure!(
        text.contains("exists already") && text.contains("import {"),
        "the second apply failed:\n{text}"
    );
    bench.terraform(&["import", address, id])?;
    bench.apply()?;
    Ok(())
}

fn kill_at(bench: &Bench, arguments: &[&str], paths: &str, nth: usize) -> Result<()> {
    let rule = json!({
        "id": "hold",
        "match": { "pathRegex": paths },
        "nth": nth,
        "then": { "delayMillis": 60_000 },
    });
    post(bench, "/sandbox/faults", &rule)?;
    let mut apply = start(bench, arguments)?;
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_held(bench)? {
        ensure!(
            apply.try_wait()?.is_none(),
            "apply ended before request {nth}"
        );
        ensure!(Instant::now() < deadline, "no request was held");
        sleep(Duration::from_millis(5));
    }
    let killed = kill_providers(&bench.workspace.folder())?;
    ensure!(killed > 0, "no provider process was found");
    apply.wait()?;
    send(http_client().delete(format!("{}/sandbox/faults", bench.sandbox.url())))?;
    Ok(())
}

#[test]
fn an_apply_whose_time_is_up_keeps_what_exists_and_continues_after_untaint() -> Result<()> {
    let slow = CONFIGURATION.replace("access   =", "timeouts = { create = \"2s\" }\n  access   =");
    let bench = Bench::of(&slow)?;
    // The service never becomes ready while the clock stands still.
    put(&bench, "/sandbox/clock", &json!({ "mode": "manual" }))?;
    let message = bench.terraform_fails(&["apply", "-auto-approve"])?;
    for part in [
        "not created completely",
        "These exist",
        "services/chat",
        "terraform untaint",
        "replaces",
    ] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    let state = bench.state()?;
    let endpoint = &state["values"]["root_module"]["resources"][0];
    assert_eq!(
        (&endpoint["tainted"], &endpoint["values"]["status"]),
        (&json!(true), &json!("provisioning"))
    );

    put(&bench, "/sandbox/clock", &json!({ "mode": "auto" }))?;
    bench.terraform(&["untaint", ADDRESS])?;
    bench.apply()?;
    bench.assert_plan_is_empty()?;
    assert_eq!(
        bench.state()?["values"]["root_module"]["resources"][0]["values"]["status"],
        "ready"
    );
    bench.terraform(&["destroy", "-auto-approve"])?;
    assert_eq!(bench.sandbox.inventory(), json!([]));
    Ok(())
}

#[test]
fn an_interrupt_keeps_what_exists_and_leaves_no_process() -> Result<()> {
    let bench = Bench::of(CONFIGURATION)?;
    put(&bench, "/sandbox/clock", &json!({ "mode": "manual" }))?;
    let mut apply = start(&bench, &["apply", "-auto-approve"])?;
    let deadline = Instant::now() + Duration::from_mins(1);
    // The service was asked for, and is being waited for.
    while !bench
        .sandbox
        .log()
        .iter()
        .any(|entry| entry.path.contains("/operations/"))
    {
        ensure!(
            apply.try_wait()?.is_none(),
            "apply ended before it was interrupted"
        );
        ensure!(Instant::now() < deadline, "the service was never asked for");
        sleep(Duration::from_millis(5));
    }
    ensure!(
        Command::new("kill")
            .args(["-INT", &apply.id().to_string()])
            .status()?
            .success()
    );
    ensure!(!apply.wait()?.success(), "an interrupted apply fails");
    assert_eq!(
        kill_providers(&bench.workspace.folder())?,
        0,
        "a provider process was left"
    );
    let state = bench.state()?;
    let endpoint = &state["values"]["root_module"]["resources"][0];
    assert_eq!(
        endpoint["values"]["status"], "provisioning",
        "what exists is in the state"
    );

    put(&bench, "/sandbox/clock", &json!({ "mode": "auto" }))?;
    bench.terraform(&["untaint", ADDRESS])?;
    bench.apply()?;
    bench.assert_plan_is_empty()
}

#[test]
fn a_refusal_leaves_nothing_and_no_state() -> Result<()> {
    let bench = Bench::of(CONFIGURATION)?;
    let rule = json!({
        "match": { "method": "POST", "pathRegex": "/services$" },
        "then": { "respond": { "status": 403, "body": { "error": {
            "code": 403, "status": "PERMISSION_DENIED",
            "message": "Permission 'run.services.create' denied on resource 'projects/acme-ml'" } } } },
    });
    post(&bench, "/sandbox/faults", &rule)?;
    let message = bench.terraform_fails(&["apply", "-auto-approve"])?;
    for part in [
        "Endpoint cannot be created",
        "run.services.create",
        "nothing is left",
    ] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    assert_eq!(
        bench.sandbox.inventory(),
        json!([]),
        "the secret was unwound"
    );
    assert!(bench.terraform(&["state", "list"])?.is_empty());
    Ok(())
}

#[test]
fn a_destroy_that_was_killed_is_finished_by_the_next() -> Result<()> {
    let undisturbed = Bench::of(CONFIGURATION)?;
    undisturbed.apply()?;
    let applied = undisturbed.sandbox.log().len();
    undisturbed.terraform(&["destroy", "-auto-approve"])?;
    let requests = undisturbed.sandbox.log()[applied..]
        .iter()
        .filter(|entry| is_google(&entry.path))
        .count();
    for nth in 1..=requests {
        let bench = Bench::of(CONFIGURATION)?;
        bench.apply()?;
        kill_at(&bench, &["destroy", "-auto-approve"], GOOGLE, nth)
            .with_context(|| format!("request {nth} of {requests}"))?;
        bench.terraform(&["destroy", "-auto-approve"])?;
        assert_eq!(
            bench.sandbox.inventory(),
            json!([]),
            "killed at request {nth} of {requests}"
        );
    }
    Ok(())
}

#[test]
fn a_service_of_somebody_else_is_never_touched() -> Result<()> {
    let bench = Bench::of(CONFIGURATION)?;
    bench.apply()?;
    bench.terraform(&["state", "rm", ADDRESS])?;
    // Theirs from now on: no mark of ours is left.
    let url = format!(
        "{}/v2/projects/acme-ml/locations/us-central1/services/chat",
        bench.sandbox.url()
    );
    let mut service = send(http_client().get(&url).bearer_auth("x"))?;
    service["labels"] = json!({ "theirs": "true" });
    service["annotations"] = json!({});
    service.as_object_mut().context("an object")?.remove("etag");
    send(http_client().patch(&url).bearer_auth("x").json(&service))?;
    let before = bench.sandbox.inventory();
    for _ in 0..2 {
        let message = bench.terraform_fails(&["apply", "-auto-approve"])?;
        assert!(message.contains("not made by openmodel"), "{message}");
        assert!(
            bench.terraform(&["state", "list"])?.is_empty(),
            "it got into the state"
        );
    }
    let services = |inventory: &Value| inventory.to_string().contains("\"theirs\":\"true\"");
    assert!(services(&before) && services(&bench.sandbox.inventory()));
    Ok(())
}

#[test]
fn refusals_that_pass_are_waited_out() -> Result<()> {
    let bench = Bench::of(CONFIGURATION)?;
    for status in [429, 503] {
        let rule = json!({
            "match": { "pathRegex": GOOGLE },
            "times": 3,
            "then": { "respond": { "status": status, "headers": { "Retry-After": "0" } } },
        });
        post(&bench, "/sandbox/faults", &rule)?;
    }
    bench.apply()?;
    bench.assert_plan_is_empty()
}

/// Whether a request is one of an apply to Google, not of a plan to the Hub.
fn is_google(path: &str) -> bool {
    path.starts_with("/v1/") || path.starts_with("/v2/")
}

fn start(bench: &Bench, arguments: &[&str]) -> Result<Child> {
    let mut command: Command = bench.workspace.command(arguments);
    Ok(command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?)
}

/// Whether the rule `hold` has caught its request.
fn is_held(bench: &Bench) -> Result<bool> {
    let faults = send(http_client().get(format!("{}/sandbox/faults", bench.sandbox.url())))?;
    Ok(faults.to_string().contains("\"fired\":1"))
}

/// Kills every process whose binary lies in the mirror beside `folder`.
fn kill_providers(folder: &Path) -> Result<usize> {
    let mirror = folder.parent().context("the workspace")?.join("mirror");
    let mut killed = 0;
    for process in fs::read_dir("/proc").context("this test reads /proc")? {
        let process = process?.path();
        let Ok(binary) = fs::read_link(process.join("exe")) else {
            continue;
        };
        let command = fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        let ours =
            binary.starts_with(&mirror) || command.contains("terraform-provider-openmodel_v");
        let here = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder);
        if ours && here {
            let pid = process
                .file_name()
                .and_then(|name| name.to_str())
                .context("a pid")?
                .to_owned();
            ensure!(
                Command::new("kill").args(["-9", &pid]).status()?.success(),
                "kill -9 {pid}"
            );
            killed += 1;
        }
    }
    Ok(killed)
}

fn post(bench: &Bench, path: &str, body: &Value) -> Result<Value> {
    send(
        http_client()
            .post(format!("{}{path}", bench.sandbox.url()))
            .json(body),
    )
}

fn put(bench: &Bench, path: &str, body: &Value) -> Result<Value> {
    send(
        http_client()
            .put(format!("{}{path}", bench.sandbox.url()))
            .json(body),
    )
}

fn send(request: reqwest::RequestBuilder) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            bail!("the sandbox answered {status}: {text}");
        }
        Ok(if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)?
        })
    })
}
