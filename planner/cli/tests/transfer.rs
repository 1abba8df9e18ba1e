//! `openmodel transfer` as it is typed, from the sandbox's Hub.

use std::path::Path;
use std::process::{Command, Output};

use openmodel_sandbox::{Options, Sandbox};

fn run(sandbox: &Sandbox, arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_openmodel"))
        .arg("transfer")
        .args(arguments)
        .arg(folder)
        .env("OPENMODEL_SANDBOX", sandbox.url())
        .env_remove("HF_TOKEN")
        .output()
        .expect("the binary runs")
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
    assert!(second.contains(" 0.00 MiB read"), "{second}");
    // What was altered is fetched again, alone.
    let config = folder.path().join("config.json");
    let length = std::fs::metadata(&config).expect("it is there").len();
    let other = "x".repeat(usize::try_from(length).expect("it is small"));
    std::fs::write(config, other).expect("it can be written");
    let third = text(&run(&sandbox, &[TINY], folder.path()).stdout);
    assert!(
        !third.contains(" 0.00 MiB read") || third.contains("verified"),
        "{third}"
    );
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
    let names = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(names, 0, "something was left");
}
