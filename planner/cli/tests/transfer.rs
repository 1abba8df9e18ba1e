//! `openmodel transfer` as it is typed, from the sandbox's Hub.

use std::path::Path;
use std::process::{Command, Output};

use openmodel_sandbox::{Options, Sandbox};

fn command(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openmodel"));
    command
        .arg("transfer")
        .args(arguments)
        .env("OPENMODEL_SANDBOX", sandbox.url())
        .env_remove("HF_TOKEN");
    command
}

fn run(sandbox: &Sandbox, arguments: &[&str], folder: &Path) -> Output {
    let output = command(sandbox, arguments).arg(folder).output();
    output.expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const TINY: &str = "hf://openmodel/tiny-random-llama";

#[test]
fn a_model_arrives_in_a_folder_and_the_second_run_reads_nothing() {
    let sandbox = Sandbox::start(Options::default()).expect("it starts");
    let folder = tempfile::tempdir().expect("a folder");
    let first = run(&sandbox, &[TINY], folder.path());
    assert!(first.status.success(), "{}", text(&first.stderr));
    let said = text(&first.stdout);
    assert!(
        said.starts_with("openmodel/tiny-random-llama at "),
        "{said}"
    );
    assert!(said.contains("verified"), "{said}");
    assert!(folder.path().join("model.safetensors").exists());
    let second = text(&run(&sandbox, &[TINY], folder.path()).stdout);
    assert!(second.contains(" 0 bytes read"), "{second}");
    // What was altered is fetched again, alone.
    let config = folder.path().join("config.json");
    let length = std::fs::metadata(&config).expect("it is there").len();
    let other = "x".repeat(usize::try_from(length).expect("it is small"));
    std::fs::write(config, other).expect("it can be written");
    let third = text(&run(&sandbox, &[TINY], folder.path()).stdout);
    assert!(!third.contains(" 0 bytes read"), "{third}");
    let config = std::fs::read_to_string(folder.path().join("config.json"));
    assert!(config.expect("it is there").contains("LlamaForCausalLM"));
}

#[test]
fn what_cannot_be_copied_is_said_by_name() {
    let sandbox = Sandbox::start(Options::default()).expect("it starts");
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |arguments: &[&str], code: i32| {
        let output = run(&sandbox, arguments, folder.path());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        text(&output.stderr)
    };
    let gated = refused(&["hf://openmodel/tiny-gated-llama"], 1);
    assert!(gated.contains("HF_TOKEN"), "{gated}");
    let slip = refused(&[TINY, "--include", "*.safetensor"], 1);
    assert!(
        slip.contains("*.safetensor") && slip.contains("model.safetensors"),
        "{slip}"
    );
    let nothing = refused(&["hf://openmodel/no-such-model"], 1);
    assert!(nothing.contains("openmodel/no-such-model"), "{nothing}");
    refused(&["s3://acme/tiny"], 2);
    refused(&[TINY, "--parallel", "0"], 2);
    refused(&[TINY, "--max-bandwidth", "0"], 2);
    let names = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(names, 0, "something was left");
}

#[test]
fn a_snapshot_is_made_in_a_bucket_by_one_process_or_by_tasks() {
    let sandbox = Sandbox::start(Options::default()).expect("it starts");
    let said = |command: &mut Command| {
        let output = command.output().expect("the binary runs");
        let said = text(&output.stdout) + &text(&output.stderr);
        (output.status.code(), said)
    };
    let to = |prefix: &str| format!("gs://acme-models/{prefix}");
    // There is no such bucket yet.
    let (code, refused) = said(&mut command(&sandbox, &[TINY, &to("a")]));
    assert_eq!(code, Some(1));
    assert!(refused.contains("Is gs://acme-models there?"), "{refused}");

    let bucket = r#"{"name": "acme-models", "location": "us-central1"}"#;
    let made = Command::new("curl")
        .args(["-sf", "-X", "POST", "-d", bucket])
        .args([
            "-H",
            "Content-Type: application/json",
            "-H",
            "Authorization: Bearer t",
        ])
        .arg(format!("{}/storage/v1/b?project=acme-ml", sandbox.url()))
        .output()
        .expect("curl runs");
    assert!(made.status.success(), "{}", text(&made.stderr));
    for index in ["0", "1", "2"] {
        let mut task = command(&sandbox, &[TINY, &to("a"), "--task"]);
        task.env("CLOUD_RUN_TASK_INDEX", index)
            .env("CLOUD_RUN_TASK_COUNT", "3");
        let (code, said) = said(&mut task);
        assert_eq!(code, Some(0), "{said}");
    }
    // All files are there now; what is missing is the manifest.
    let (code, first) = said(&mut command(&sandbox, &[TINY, &to("a")]));
    assert_eq!(code, Some(0), "{first}");
    assert!(
        first.contains(" in gs://acme-models/a/models/openmodel/tiny-random-llama/"),
        "{first}"
    );
    assert!(first.contains(" 0 bytes read"), "{first}");
    let (_, second) = said(&mut command(&sandbox, &[TINY, &to("b")]));
    assert!(
        second.contains("copied inside Cloud Storage, 0 bytes read"),
        "{second}"
    );
    let (code, alone) = said(&mut command(&sandbox, &[TINY, &to("a"), "--task"]));
    assert_eq!(code, Some(1));
    assert!(
        alone.contains("--task needs CLOUD_RUN_TASK_INDEX"),
        "{alone}"
    );
}
