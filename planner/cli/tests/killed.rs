//! `openmodel transfer` into Cloud Storage, killed (SIGKILL) at twenty moments and started again.
//!
//! ```text
//!   twenty buckets, at once:   start ─► kill -9 after so many ms ─► start again ─► the same snapshot in all
//! ```
//!
//! The second run waits until the claims of the first have not changed for half a minute.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use openmodel_sandbox::{Options, Sandbox};
use serde_json::{Value, json};

const MOMENTS: u64 = 20;
const SOURCE: &str = "hf://acme/killed";

fn command(sandbox: &Sandbox, bucket: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openmodel"));
    command
        .args(["transfer", SOURCE, &format!("gs://{bucket}")])
        .args(more)
        .env("OPENMODEL_SANDBOX", sandbox.url())
        .env_remove("HF_TOKEN");
    command
}

fn curl(sandbox: &Sandbox, method: &str, path: &str, body: &Value) -> Value {
    let output = Command::new("curl")
        .args(["-sf", "-X", method, "-d", &body.to_string()])
        .args(["-H", "Content-Type: application/json"])
        .args(["-H", "Authorization: Bearer t"])
        .arg(format!("{}{path}", sandbox.url()))
        .output()
        .expect("curl runs");
    assert!(output.status.success(), "{method} {path}");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// Name and checksum of each object of a bucket.
fn objects(sandbox: &Sandbox, bucket: &str) -> Vec<(String, String)> {
    let path = format!("/storage/v1/b/{bucket}/o");
    let listed = curl(sandbox, "GET", &path, &Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = listed["items"].as_array().cloned().unwrap_or_default();
    let mut found: Vec<_> = items
        .iter()
        .map(|object| (text(&object["name"]), text(&object["crc32c"])))
        .collect();
    // It lists generations, which count the time.
    for (name, crc32c) in &mut found {
        if name.ends_with("manifest.json") {
            crc32c.clear();
        }
    }
    found
}

/// Starts a transfer, kills it after a while, and transfers again; whether the kill came before its end.
fn killed_and_started_again(sandbox: &Sandbox, bucket: &str, after: Duration) -> bool {
    let mut first = command(sandbox, bucket, &["--max-bandwidth", "4"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    thread::sleep(after);
    first.kill().expect("it is ours");
    let ended = first.wait().expect("it ends");
    let second = command(sandbox, bucket, &[]).output();
    let second = second.expect("the binary runs");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.success(), "{bucket}, {after:?}: {said}");
    ended.signal() == Some(9)
}

#[test]
fn killed_at_twenty_moments_it_ends_the_same() {
    let sandbox = Sandbox::start(Options::default()).expect("it starts");
    let computed = |size: u64, seed: u64| json!({"computed": {"size": size, "seed": seed}});
    let files = json!({
        "config.json": {"text": "{}"},
        "model-00001-of-00002.safetensors": computed(3 << 20, 1),
        "model-00002-of-00002.safetensors": computed((3 << 20) + 77, 2),
        "tokenizer.model": computed(1_500_000, 3),
    });
    let repository = json!({"files": files});
    curl(
        &sandbox,
        "PUT",
        "/sandbox/hub/models/acme/killed",
        &repository,
    );
    let name = |moment: u64| format!("acme-killed-{moment}");
    for moment in 0..=MOMENTS {
        let bucket = json!({"name": name(moment), "location": "us-central1"});
        curl(&sandbox, "POST", "/storage/v1/b?project=acme-ml", &bucket);
    }
    let undisturbed = command(&sandbox, &name(MOMENTS), &[]).status();
    assert!(undisturbed.expect("the binary runs").success());
    let wanted = objects(&sandbox, &name(MOMENTS));
    assert_eq!(wanted.len(), 5, "four files and the manifest: {wanted:?}");

    let killed = thread::scope(|scope| {
        let runs: Vec<_> = (0..MOMENTS)
            .map(|moment| {
                let (sandbox, bucket) = (&sandbox, name(moment));
                // Spread over the two seconds that a transfer takes, and off the beat.
                let after = Duration::from_millis(60 + moment * 90 + moment * moment * 37 % 53);
                scope.spawn(move || killed_and_started_again(sandbox, &bucket, after))
            })
            .collect();
        let ends = runs.into_iter().map(|run| run.join().expect("it ends"));
        ends.filter(|killed| *killed).count()
    });
    assert!(killed >= 10, "only {killed} were killed before their end");
    for moment in 0..MOMENTS {
        assert_eq!(objects(&sandbox, &name(moment)), wanted, "{moment}");
    }
}
