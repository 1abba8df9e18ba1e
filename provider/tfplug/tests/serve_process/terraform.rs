//! The same binary under the real Terraform: its handshake, its log, its report of a crash.

use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::client::ROLE;

/// Has Terraform take the provider from a folder, without init.
const SETTINGS: &str = r#"
provider_installation {
  dev_overrides {
    "openmodel/probe" = "FOLDER"
  }
}
"#;

const CONFIGURATION: &str = r#"
terraform {
  required_providers {
    probe = { source = "openmodel/probe" }
  }
}
data "probe_panic" "it" {}
"#;

/// Terraform itself, in a folder of its own, with this binary as its provider `probe`.
async fn terraform(arguments: &[&str], more: &[(&str, &str)]) -> (Output, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let own = std::env::current_exe().expect("the path of this test");
    std::os::unix::fs::symlink(own, path("terraform-provider-probe")).expect("a link");
    let settings = SETTINGS.replace("FOLDER", &folder.path().display().to_string());
    std::fs::write(path("terraform.rc"), settings).expect("the folder can be written");
    std::fs::write(path("main.tf"), CONFIGURATION).expect("the folder can be written");

    let program = std::env::var_os("TERRAFORM_BIN").unwrap_or_else(|| "terraform".into());
    let output = Command::new(&program)
        .args(arguments)
        .current_dir(folder.path())
        .envs([(ROLE, "1"), ("CHECKPOINT_DISABLE", "1")])
        .env("TF_CLI_CONFIG_FILE", path("terraform.rc"))
        .envs(more.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let output = output.unwrap_or_else(|error| {
        panic!(
            "this test runs the real Terraform, and {} does not start: {error}. \
             Install Terraform 1.11 or later, or set TERRAFORM_BIN to its path",
            program.display()
        )
    });
    (output, folder)
}

pub(crate) async fn real_terraform() {
    let more = [("TF_LOG_PROVIDER", "info"), ("TF_LOG_PATH", "log")];
    let (output, folder) = terraform(&["providers", "schema", "-json"], &more).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.contains("registry.terraform.io/openmodel/probe"),
        "{text}"
    );
    // Terraform took the line apart: the level is its own, the message stands alone.
    let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
    let line = log
        .lines()
        .find(|line| line.contains("the schema was asked for"))
        .expect("our line");
    assert!(
        line.contains("[INFO]  provider.terraform-provider-probe: the schema was asked for:"),
        "{line}"
    );
    assert!(
        line.contains("@module=probe") && line.contains("answer=probe_panic"),
        "{line}"
    );
}

pub(crate) async fn real_terraform_and_a_panic() {
    let (output, _folder) = terraform(&["plan", "-no-color"], &[]).await;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for expected in [
        "Stack trace from the",
        "panic: the probe panics whenever it is read",
        "crashed!",
    ] {
        assert!(
            text.contains(expected),
            "{expected:?} is missing in:\n{text}"
        );
    }
}
