//! `openmodel snapshots` as it is typed, against the sandbox's Cloud Storage.

use std::process::Command;

use openmodel_sandbox::{Options, Sandbox};
use serde_json::{Value, json};

const TINY: &str = "hf://openmodel/tiny-random-llama";
const MADE: &str = "openmodel-acme-ml-us-central1";

fn run(sandbox: &Sandbox, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_openmodel"))
        .args(arguments)
        .env("OPENMODEL_SANDBOX", sandbox.url())
        .env_remove("GOOGLE_PROJECT")
        .env_remove("GOOGLE_CLOUD_PROJECT")
        .env_remove("GCLOUD_PROJECT")
        .envs(variables.iter().copied())
        .output()
        .expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout) + &text(&output.stderr),
    )
}

#[track_caller]
fn good(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let (code, said) = run(sandbox, arguments, &[]);
    assert_eq!(code, Some(0), "{arguments:?}: {said}");
    said
}

fn bucket(sandbox: &Sandbox, name: &str, labels: &Value) {
    let body = json!({"name": name, "location": "us-central1", "labels": labels}).to_string();
    post(sandbox, "/storage/v1/b?project=acme-ml", &body);
}

fn post(sandbox: &Sandbox, path: &str, body: &str) {
    let made = Command::new("curl")
        .args(["-sf", "-X", "POST", "-d", body])
        .args(["-H", "Content-Type: application/json"])
        .args(["-H", "Authorization: Bearer t"])
        .arg(format!("{}{path}", sandbox.url()))
        .output()
        .expect("curl runs");
    assert!(made.status.success(), "{path}");
}

/// A project with a finished snapshot, one that a task began, and one in a bucket of the user's.
fn project() -> Sandbox {
    let sandbox = Sandbox::start(Options::default()).expect("it starts");
    bucket(&sandbox, MADE, &json!({"openmodel-managed": "true"}));
    bucket(&sandbox, "openmodel-of-somebody", &json!({}));
    bucket(&sandbox, "acme-models", &json!({}));
    let cache = json!({"zone": "us-central1-a"}).to_string();
    let path = format!("/storage/v1/b/{MADE}/anywhereCaches");
    post(&sandbox, &path, &cache);
    for to in [format!("gs://{MADE}"), "gs://acme-models/a".to_owned()] {
        good(&sandbox, &["transfer", TINY, &to]);
    }
    let begun = [("CLOUD_RUN_TASK_INDEX", "0"), ("CLOUD_RUN_TASK_COUNT", "3")];
    let to = format!("gs://{MADE}/begun");
    let (code, said) = run(&sandbox, &["transfer", TINY, &to, "--task"], &begun);
    assert_eq!(code, Some(0), "{said}");
    sandbox
}

fn addresses(json: &str) -> Vec<(String, bool)> {
    let all: Value = serde_json::from_str(json).expect("JSON");
    let buckets = all["buckets"].as_array().expect("buckets");
    let snapshots = buckets
        .iter()
        .flat_map(|bucket| bucket["snapshots"].as_array().expect("snapshots"));
    snapshots
        .map(|one| {
            let uri = one["uri"].as_str().expect("an address");
            (uri.to_owned(), one["finished"] == true)
        })
        .collect()
}

#[test]
fn a_list_shows_what_there_is_what_it_costs_and_what_is_unfinished() {
    let sandbox = project();
    let project = ["--project", "acme-ml"];
    let said = good(&sandbox, &[&["snapshots", "list"], &project[..]].concat());
    let listed = addresses(&good(
        &sandbox,
        &[&["snapshots", "list", "--json"], &project[..]].concat(),
    ));
    let [(whole, true), (begun, false)] = listed.as_slice() else {
        panic!("{listed:?}");
    };
    assert!(begun.starts_with(&format!(
        "gs://{MADE}/begun/models/openmodel/tiny-random-llama/"
    )));
    assert!(whole.starts_with(&format!("gs://{MADE}/models/openmodel/tiny-random-llama/")));
    let commit = whole.rsplit('/').next().expect("a commit");
    let said = said.replace(commit, "COMMIT");
    let said = without_days(&said);
    insta::assert_snapshot!(said, @"
    gs://openmodel-acme-ml-us-central1 in us-central1
      gs://openmodel-acme-ml-us-central1/models/openmodel/tiny-random-llama/COMMIT
        6 files, 35.3 KiB, under $0.01 a month, DAY
      gs://openmodel-acme-ml-us-central1/begun/models/openmodel/tiny-random-llama/COMMIT
        unfinished, serves nobody: 2 files, 27.3 KiB, under $0.01 a month, DAY
      Anywhere Cache in us-central1-a: creating; it costs by what is in it, which is not known

    1 snapshot, 1 unfinished; 62.7 KiB, under $0.01 a month by prices of DAY. Soft-deleted and earlier versions of objects are not counted.
    ");
    // A bucket of one's own is named; its folders too.
    let own = good(&sandbox, &["snapshots", "list", "gs://acme-models/a"]);
    assert!(
        own.contains("gs://acme-models/a/models/openmodel/tiny-random-llama/"),
        "{own}"
    );
    let none = good(&sandbox, &["snapshots", "list", "gs://acme-models/b"]);
    assert!(none.contains("no snapshots"), "{none}");
}

/// Days are the sandbox's or the prices', and change.
fn without_days(text: &str) -> String {
    let is_day =
        |word: &str| word.len() == 10 && word.starts_with("20") && word.matches('-').count() == 2;
    let lines = text.lines().map(|line| {
        let words = line.split(' ').map(|word| {
            let bare = word.trim_end_matches(['.', ',']);
            if is_day(bare) {
                word.replace(bare, "DAY")
            } else {
                word.to_owned()
            }
        });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn orphans_are_those_that_no_state_has() {
    let sandbox = project();
    let folder = tempfile::tempdir().expect("a folder");
    let state = |name: &str, uri: &str| {
        let path = folder.path().join(name);
        let resource = json!({"type": "openmodel_cache", "values": {"id": uri}});
        let state =
            json!({"format_version": "1.0", "values": {"root_module": {"resources": [resource]}}});
        std::fs::write(&path, state.to_string()).expect("it is written");
        path.display().to_string()
    };
    let all = addresses(&good(
        &sandbox,
        &["snapshots", "list", "--json", "--project", "acme-ml"],
    ));
    let (whole, begun) = (&all[0].0, &all[1].0);
    let first = state("a.json", whole);
    let orphans = |states: &[&str]| {
        let arguments = ["snapshots", "orphans", "--project", "acme-ml", "--state"];
        good(&sandbox, &[&arguments[..], states].concat())
    };
    let said = orphans(&[&first]);
    assert!(
        said.contains(&format!("gcloud storage rm --recursive '{begun}/**'")),
        "{said}"
    );
    assert!(
        !said.contains(&format!("{whole}\n")) && !said.contains("terraform import"),
        "{said}"
    );
    let second = state("b.json", begun);
    assert!(orphans(&[&first, &second]).contains("No orphans"));

    let wrong = folder.path().join("wrong.json");
    std::fs::write(&wrong, "{}").expect("it is written");
    let wrong = wrong.display().to_string();
    let refused = |arguments: &[&str]| {
        let (code, said) = run(&sandbox, arguments, &[]);
        assert_ne!(code, Some(0), "{said}");
        said
    };
    let said = refused(&[
        "snapshots",
        "orphans",
        "--project",
        "acme-ml",
        "--state",
        &wrong,
    ]);
    assert!(
        said.contains("wrong.json") && said.contains("terraform show -json"),
        "{said}"
    );
    let said = refused(&["snapshots", "list"]);
    assert!(said.contains("--project"), "{said}");
    let said = refused(&["snapshots", "list", "gs://no-such-bucket"]);
    assert!(
        said.contains("gs://no-such-bucket cannot be read"),
        "{said}"
    );
}
