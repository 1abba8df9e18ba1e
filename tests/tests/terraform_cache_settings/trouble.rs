//! Cloud Storage says no, two runs want the same at once, and a transfer that takes its time.

use acceptance::python::Python;
use acceptance::terraform::{Bench, one_line, printed};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::world::{BUCKET, World, computed, configuration};

/// An error as Cloud Storage words it.
fn refusal(status: u16, reason: &str, message: &str) -> Value {
    let error = json!({"domain": "global", "reason": reason, "message": message});
    let body = json!({"error": {"code": status, "message": message, "errors": [error]}});
    json!({"respond": {"status": status, "headers": {"Retry-After": "0"}, "body": body}})
}

#[test]
fn a_refused_bucket_or_upload_leaves_nothing_and_is_named() -> Result<()> {
    const QUOTA: &str = "The quota of buckets of this project is used up";
    const BILLING: &str = "The billing account for the owning project is disabled in state absent";
    let world = World::new()?;
    let files = [
        ("a.safetensors", 300_000, 1),
        ("b.safetensors", 300_000, 2),
        ("c.safetensors", 300_000, 3),
    ];
    world.repository("models", "acme/three", &computed(&files))?;
    let theirs = json!({"name": "acme-models", "location": "US-CENTRAL1"});
    let buckets = world.url("/storage/v1/b?project=acme-ml");
    world.http.post(&buckets, &theirs)?;

    let made = json!({"method": "POST", "path": "/storage/v1/b"});
    let sent = json!({"method": "POST", "path": "/upload/*"});
    let in_ours = "location = \"us-central1\"";
    let in_theirs = "bucket = \"acme-models\"";
    // One file after the other: the first is there when the second is refused.
    let one = "transfer = { parallelism = 1 }";
    let there = world.bench.sandbox.inventory();
    let mut without_attribute = Vec::new();
    for (attribute, bucket, message, rule) in [
        (
            in_ours,
            BUCKET,
            QUOTA,
            json!({"match": made, "then": refusal(403, "quotaExceeded", QUOTA)}),
        ),
        (
            in_ours,
            BUCKET,
            BILLING,
            json!({"match": sent, "nth": 2, "times": 100, "then": refusal(403, "accountDisabled", BILLING)}),
        ),
        (
            in_theirs,
            "acme-models",
            BILLING,
            json!({"match": sent, "nth": 2, "times": 100, "then": refusal(403, "accountDisabled", BILLING)}),
        ),
    ] {
        world.fault(&rule)?;
        world.set("acme/three", &format!("{attribute}\n{one}"))?;
        let said = world.bench.terraform_fails(&["apply", "-auto-approve"])?;
        for part in [message, bucket, "nothing is left"] {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }
        assert_eq!(world.bench.sandbox.inventory(), there, "{said}");
        assert!(world.bench.state()?["values"].is_null(), "{said}");
        // Terraform quotes the line of the attribute with its number.
        if !said.contains(&format!(": {attribute}")) {
            without_attribute.push(said);
        }
        world.mend()?;
    }

    // A limit of requests passes.
    let limited = refusal(429, "rateLimitExceeded", "Too many buckets at once");
    world.fault(&json!({"match": made, "times": 2, "then": limited}))?;
    world.apply("acme/three", in_ours)?;
    world.bench.assert_plan_is_empty()?;
    assert!(
        without_attribute.is_empty(),
        "not on an attribute: {without_attribute:#?}"
    );
    Ok(())
}

#[test]
fn two_applies_at_once_make_one_snapshot() -> Result<()> {
    let id = "acme/shared";
    let text = configuration(id, "");
    let world = World::new()?;
    world.bench.workspace.write("main.tf", &text)?;
    let mut other = Bench::of(&text)?;
    other
        .workspace
        .set_env("OPENMODEL_SANDBOX", world.bench.sandbox.url());
    let files = [
        ("a.safetensors", 40_000, 1),
        ("b.safetensors", 40_000, 2),
        ("large.safetensors", 3 << 20, 3),
    ];
    let commit = world.repository("models", id, &computed(&files))?;
    // Whoever comes first has not ended before the other comes.
    let slow =
        json!({"match": {"path": "/_cdn/*large*"}, "times": 1, "then": {"delayMillis": 3_000}});
    world.fault(&slow)?;
    let benches = [&world.bench, &other];
    let workspaces = benches.map(|bench| &bench.workspace);
    let outputs = std::thread::scope(|scope| {
        let runs =
            workspaces.map(|workspace| scope.spawn(|| workspace.run(&["apply", "-auto-approve"])));
        runs.map(|run| run.join().expect("terraform does not panic"))
    });

    let folder = format!("models/{id}/{commit}");
    let uri = json!(format!("gs://{BUCKET}/{folder}"));
    assert_eq!(world.paths(&uri), files.map(|(path, _, _)| path));
    let names: Vec<String> = world
        .assets("Object")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names.len(), files.len() + 2, "nothing else: {names:?}");
    assert_eq!(world.reads_of("large.safetensors"), 1, "one run moves it");
    let read = Python::shared()?
        .client("snapshot.py")
        .args([world.bench.sandbox.url(), BUCKET, &folder, id, &commit])
        .output()?;
    ensure!(read.status.success(), "{}", printed(&read));

    let mut winners = Vec::new();
    for (bench, output) in benches.into_iter().zip(outputs) {
        let output = output?;
        if output.status.success() {
            bench.assert_plan_is_empty()?;
            winners.push(bench);
            continue;
        }
        let said = one_line(&printed(&output));
        let named = said.contains("exists already") && said.contains(&folder);
        ensure!(named, "{said}");
        assert!(bench.state()?["values"].is_null(), "{said}");
    }
    let winner = winners.first().context("neither has it")?;
    winner.terraform(&["destroy", "-auto-approve"])?;
    assert_eq!(world.bench.sandbox.inventory(), json!([]));
    Ok(())
}

#[test]
fn a_long_transfer_says_how_far_it_is() -> Result<()> {
    let mut world = World::new()?;
    let files = [("a.safetensors", 400_000, 1), ("b.safetensors", 600_000, 2)];
    let commit = world.repository("models", "acme/slow", &computed(&files))?;
    let held = json!({"match": {"path": "/_cdn/*/b.safetensors"}, "times": 1, "then": {"delayMillis": 6_000}});
    world.fault(&held)?;
    world.set("acme/slow", "")?;
    world.bench.workspace.set_env("TF_LOG_PROVIDER", "info");
    let output = world.bench.workspace.run(&["apply", "-auto-approve"])?;
    let said = printed(&output);
    ensure!(output.status.success(), "{said}");
    let snapshot = format!("gs://{BUCKET}/models/acme/slow/{commit}: ");
    let says = |parts: &[&str]| {
        let mut lines = said.lines().filter(|line| line.contains(&snapshot));
        lines.any(|line| parts.iter().all(|part| line.contains(part)))
    };
    assert!(says(&["390.6 KiB of 976.6 KiB", " s left"]), "{said}");
    assert!(says(&["2 files", "976.6 KiB", "verified"]), "{said}");
    Ok(())
}
