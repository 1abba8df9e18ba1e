//! `openmodel transfer` into Cloud Storage, killed (SIGKILL) and started again.
//!
//! ```text
//!   twenty buckets, at once:   start ─► kill -9 after so many ms ─► start again ─► the same snapshot in all
//!   two more, a large file:    start ─► kill -9 after a piece is sealed ─► start again: from that piece on
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
const KILLED: &str = "acme/killed";

/// What a file is sealed by: at most so much of it is read twice.
const PIECE: u64 = 256 << 20;

fn command(sandbox: &Sandbox, repository: &str, bucket: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openmodel"));
    let (from, to) = (format!("hf://{repository}"), format!("gs://{bucket}"));
    command
        .args(["transfer", &from, &to])
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

fn computed(size: u64, seed: u64) -> Value {
    json!({"computed": {"size": size, "seed": seed}})
}

fn publish(sandbox: &Sandbox, repository: &str, files: &Value) {
    let path = format!("/sandbox/hub/models/{repository}");
    curl(sandbox, "PUT", &path, &json!({"files": files}));
}

fn make_bucket(sandbox: &Sandbox, name: &str) {
    let bucket = json!({"name": name, "location": "us-central1"});
    curl(sandbox, "POST", "/storage/v1/b?project=acme-ml", &bucket);
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
    let mut first = command(sandbox, KILLED, bucket, &["--max-bandwidth", "4"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    thread::sleep(after);
    first.kill().expect("it is ours");
    let ended = first.wait().expect("it ends");
    let second = command(sandbox, KILLED, bucket, &[]).output();
    let second = second.expect("the binary runs");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.success(), "{bucket}, {after:?}: {said}");
    ended.signal() == Some(9)
}

#[test]
fn killed_at_twenty_moments_it_ends_the_same() {
    let sandbox = Sandbox::start(Options::default()).expect("it starts");
    let files = json!({
        "config.json": {"text": "{}"},
        "model-00001-of-00002.safetensors": computed(3 << 20, 1),
        "model-00002-of-00002.safetensors": computed((3 << 20) + 77, 2),
        "tokenizer.model": computed(1_500_000, 3),
    });
    publish(&sandbox, KILLED, &files);
    let name = |moment: u64| format!("acme-killed-{moment}");
    for moment in 0..=MOMENTS {
        make_bucket(&sandbox, &name(moment));
    }
    let undisturbed = command(&sandbox, KILLED, &name(MOMENTS), &[]).status();
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

/// Bytes of a file that are sealed, by the claim in the bucket; none where there is none.
fn sealed(sandbox: &Sandbox, bucket: &str) -> Option<u64> {
    let claim = objects(sandbox, bucket)
        .into_iter()
        .find(|(name, _)| name.contains("/.openmodel/moving/"))?;
    let name = claim.0.replace('/', "%2F");
    let path = format!("/storage/v1/b/{bucket}/o/{name}?alt=media");
    curl(sandbox, "GET", &path, &Value::Null)["sealed"]["length"].as_u64()
}

/// From which byte on a file of the Hub was read, by each request so far.
fn reads(sandbox: &Sandbox) -> Vec<u64> {
    let log = curl(sandbox, "GET", "/sandbox/requests?api=hub", &Value::Null);
    let entries = log.as_array().cloned().unwrap_or_default();
    let bodies = entries.iter().filter(|entry| {
        let path = entry["path"].as_str().unwrap_or_default();
        path.starts_with("/_cdn/") && entry["method"] == "GET"
    });
    let from = bodies.map(|entry| {
        let range = entry["headers"]["range"].as_str().unwrap_or("bytes=0-");
        let from = range.trim_start_matches("bytes=").trim_end_matches('-');
        from.parse().expect("an open range")
    });
    from.collect()
}

/// Moves a large file, after a first run that is killed once a piece of it is sealed: from where on the file was
/// read to the end, and what is there then.
fn large(killed: bool) -> (u64, Vec<(String, String)>) {
    const REPOSITORY: &str = "acme/large";
    const BUCKET: &str = "acme-large";
    let sandbox = Sandbox::start(Options::default()).expect("it starts");
    let files = json!({"model.safetensors": computed(2 * PIECE + 12_345, 4)});
    publish(&sandbox, REPOSITORY, &files);
    make_bucket(&sandbox, BUCKET);
    let mut from = 0;
    if killed {
        let mut first = command(&sandbox, REPOSITORY, BUCKET, &[])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        while sealed(&sandbox, BUCKET).is_none() {
            let ended = first.try_wait().expect("it is ours");
            assert_eq!(ended, None, "it ended before a piece was sealed");
            thread::sleep(Duration::from_millis(50));
        }
        thread::sleep(Duration::from_millis(730));
        first.kill().expect("it is ours");
        let ended = first.wait().expect("it ends");
        assert_eq!(ended.signal(), Some(9));
        from = sealed(&sandbox, BUCKET).expect("the claim stays");
        assert_eq!(reads(&sandbox), [0]);
        curl(&sandbox, "DELETE", "/sandbox/requests", &Value::Null);
    }
    let last = command(&sandbox, REPOSITORY, BUCKET, &[]).output();
    let last = last.expect("the binary runs");
    let said = String::from_utf8_lossy(&last.stderr);
    assert!(last.status.success(), "{said}");
    assert_eq!(reads(&sandbox), [from]);
    (from, objects(&sandbox, BUCKET))
}

#[test]
fn killed_in_a_large_file_it_goes_on_from_the_last_sealed_piece() {
    thread::scope(|scope| {
        let [whole, killed] = [false, true].map(|killed| scope.spawn(move || large(killed)));
        let (_, wanted) = whole.join().expect("it ends");
        assert_eq!(wanted.len(), 2, "the file and the manifest: {wanted:?}");
        let (from, objects) = killed.join().expect("it ends");
        assert!(from >= PIECE && from.is_multiple_of(PIECE), "{from}");
        assert_eq!(objects, wanted);
    });
}
