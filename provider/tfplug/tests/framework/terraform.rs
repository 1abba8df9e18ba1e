//! The real Terraform: with the example provider installed from a mirror, as users install it, and
//! with a provider of this process attached.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;
use tfplug::framework::Service;
use tfplug::serve::ServeOptions;
use tfplug::serve::debug::{REATTACH, attach};

use crate::boxes::{Boxes, Shelf};

/// A folder in which Terraform runs.
struct Workspace {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Workspace {
    fn new(configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let workspace = Self {
            folder,
            environment: Vec::new(),
        };
        workspace.write("terraform.rc", "");
        workspace.write("main.tf", configuration);
        workspace
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the folder can be written");
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    /// Runs Terraform; gives its exit status and everything it said.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let binary = std::env::var("TERRAFORM_BIN").unwrap_or_else(|_| "terraform".to_owned());
        let output = Command::new(&binary)
            .args(arguments)
            .args(["-no-color"])
            .current_dir(self.folder.path())
            .env("TF_CLI_CONFIG_FILE", self.path("terraform.rc"))
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_IN_AUTOMATION", "1")
            .env_remove("TF_LOG")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output();
        let Output {
            status,
            stdout,
            stderr,
        } = output.unwrap_or_else(|error| {
            panic!(
                "this test runs the real Terraform, and {binary} does not start: {error}. Install \
                 Terraform 1.11 or later, or set TERRAFORM_BIN to its path"
            )
        });
        let said = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (status.code(), said.concat())
    }

    #[track_caller]
    fn succeeds(&self, arguments: &[&str]) -> String {
        let (status, said) = self.run(arguments);
        assert_eq!(status, Some(0), "terraform {arguments:?}:\n{said}");
        said
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str]) -> String {
        let (status, said) = self.run(arguments);
        assert_eq!(status, Some(1), "terraform {arguments:?}:\n{said}");
        said.split_whitespace()
            .filter(|word| !word.starts_with(['│', '╷', '╵']))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Nothing to do, says `terraform plan`.
    #[track_caller]
    fn assert_settled(&self) {
        self.succeeds(&["plan", "-detailed-exitcode"]);
    }

    fn outputs(&self) -> Json {
        serde_json::from_str(&self.succeeds(&["output", "-json"])).expect("outputs are JSON")
    }
}

/// The example, built by the same cargo that built this test.
fn example() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo tells this test about its package would look like a change to build scripts that
    // watch it (`ring`), and all would be built anew.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    let built = cargo
        .args([
            "build",
            "--quiet",
            "--package",
            "tfplug",
            "--example",
            "note",
        ])
        .status()
        .expect("cargo starts");
    assert!(built.success(), "the example does not build");
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("a test is in target/<profile>/deps");
    profile
        .join("examples")
        .join(format!("note{}", std::env::consts::EXE_SUFFIX))
}

/// Lays out a mirror with the example, and points Terraform at it and at nothing else.
fn install(workspace: &Workspace, provider: &Path) {
    let said = workspace.succeeds(&["version", "-json"]);
    let version: Json = serde_json::from_str(&said).expect("the version is JSON");
    let platform = version["platform"]
        .as_str()
        .expect("Terraform names its platform");
    let folder = workspace
        .path("mirror/registry.terraform.io/tfplug/example/0.1.0")
        .join(platform);
    std::fs::create_dir_all(&folder).expect("the folder can be written");
    std::fs::copy(provider, folder.join("terraform-provider-example_v0.1.0"))
        .expect("it can be copied");
    let mirror = workspace.path("mirror").display().to_string();
    workspace.write(
        "terraform.rc",
        &format!("provider_installation {{\n  filesystem_mirror {{ path = {mirror:?} }}\n}}\n"),
    );
}

const NOTE: &str = r#"
terraform {
  required_providers { example = { source = "tfplug/example" } }
}
resource "example_note" "hello" {
  path = "hello.txt"
  text = provider::example::shout("hello")
}
resource "example_note" "empty" { path = "empty.txt" }
output "id" { value = example_note.hello.id }
output "prefix_known" { value = startswith(example_note.hello.id, "note:") }
"#;

#[test]
fn the_example_lives_under_terraform_from_init_to_destroy() {
    let workspace = Workspace::new(NOTE);
    install(&workspace, &example());
    workspace.succeeds(&["init"]);
    workspace.succeeds(&["validate"]);

    let plan = workspace.succeeds(&["plan"]);
    assert!(
        plan.contains("Plan: 2 to add, 0 to change, 0 to destroy."),
        "{plan}"
    );
    assert!(plan.contains(r#"+ text = "HELLO""#), "{plan}");
    assert!(plan.contains(r#"+ text = "Nothing yet.""#), "{plan}");
    assert!(
        plan.contains("+ id           = (known after apply)"),
        "{plan}"
    );
    assert!(
        plan.contains("+ prefix_known = true"),
        "the refinement is known in the plan: {plan}"
    );

    workspace.succeeds(&["apply", "-auto-approve"]);
    assert_eq!(workspace.read("hello.txt").as_deref(), Some("HELLO"));
    assert_eq!(workspace.outputs()["id"]["value"], "note:hello.txt");
    workspace.assert_settled();

    // Behind Terraform's back.
    workspace.write("hello.txt", "other");
    let plan = workspace.succeeds(&["plan"]);
    assert!(plan.contains(r#"~ text = "other" -> "HELLO""#), "{plan}");
    workspace.succeeds(&["apply", "-auto-approve"]);

    workspace.succeeds(&["state", "rm", "example_note.hello"]);
    workspace.succeeds(&["import", "example_note.hello", "hello.txt"]);
    workspace.assert_settled();

    workspace.write("main.tf", &NOTE.replace("empty.txt", "moved.txt"));
    let plan = workspace.succeeds(&["plan"]);
    assert!(
        plan.contains(r#"~ path = "empty.txt" -> "moved.txt" # forces replacement"#),
        "{plan}"
    );
    workspace.succeeds(&["apply", "-auto-approve"]);
    workspace.assert_settled();

    workspace.succeeds(&["destroy", "-auto-approve"]);
    assert_eq!(
        (workspace.read("hello.txt"), workspace.read("moved.txt")),
        (None, None)
    );
}

const BOXES: &str = r#"
terraform {
  required_providers { test = { source = "tfplug/test" } }
}
provider "test" { room = terraform_data.room.output }
resource "terraform_data" "room" { input = "attic" }
variable "behaviour" { default = null }
variable "policy" { default = "DELETE" }
variable "size" { default = 2 }
resource "test_box" "a" {
  name              = "a"
  size              = var.size
  behaviour         = var.behaviour
  policy            = var.policy
  lids              = [{}, { color = "blue" }]
  labels            = { made = terraform_data.room.id }
  secret_wo         = ephemeral.test_key.a.code
  secret_wo_version = 1
  timeouts          = { create = "5m" }
}
ephemeral "test_key" "a" { name = "a" }
data "test_box" "a" { name = test_box.a.name }
output "all" { value = provider::test::join("/", data.test_box.a.room, test_box.a.lids[1].lock) }
output "length" { value = test_box.a.secret_length }
output "weight" { value = test_box.a.weight }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn everything_a_provider_can_have_works_under_terraform() {
    let shelf = Shelf::default();
    let service = Service::new(Boxes {
        shelf: shelf.clone(),
    });
    let options = ServeOptions {
        address: "registry.terraform.io/tfplug/test",
        version: "0.1.0",
    };
    let provider = attach(service, &options).expect("a socket can be opened");
    let mut workspace = Workspace::new(BOXES);
    workspace
        .environment
        .push((REATTACH.to_owned(), provider.reattach().to_owned()));

    let life = tokio::task::spawn_blocking(move || live_with_boxes(&workspace, &shelf));
    life.await.expect("the test ran through");
    provider.stop().await.expect("it stops");
}

fn live_with_boxes(workspace: &Workspace, shelf: &Shelf) {
    workspace.succeeds(&["init"]);
    workspace.succeeds(&["validate"]);
    let invalid = workspace.fails(&["plan", "-var=size=101"]);
    assert!(invalid.contains("Too large"), "{invalid}");
    let plan = workspace.succeeds(&["plan"]);
    assert!(
        plan.contains("+ weight = 20"),
        "computed, and known in the plan: {plan}"
    );
    assert!(plan.contains("(write-only attribute)"), "{plan}");

    // A panic, and an error after the object was made: both leave a tainted object and no orphan.
    for (behaviour, text) in [
        ("panic", "a hole in the shelf"),
        ("break", "Label fell off"),
    ] {
        let variable = format!("-var=behaviour={behaviour}");
        let failed = workspace.fails(&["apply", "-auto-approve", &variable]);
        assert!(failed.contains(text), "{failed}");
        assert!(shelf.get("a").is_some(), "it was made before the error");
        let plan = workspace.succeeds(&["plan"]);
        assert!(plan.contains("test_box.a is tainted"), "{plan}");
    }

    workspace.succeeds(&["apply", "-auto-approve"]);
    workspace.assert_settled();
    let outputs = workspace.outputs();
    assert_eq!(outputs["all"]["value"], "attic/lock-1");
    assert_eq!(outputs["length"]["value"], "code of a".len());
    let state = workspace
        .read("terraform.tfstate")
        .expect("there is a state");
    assert!(
        !state.contains("code of a"),
        "neither ephemeral nor write-only values are stored"
    );

    workspace.succeeds(&[
        "apply",
        "-auto-approve",
        "-var=size=3",
        "-var=policy=PREVENT",
    ]);
    assert_eq!(workspace.outputs()["weight"]["value"], 30);
    let refused = workspace.fails(&["destroy", "-auto-approve"]);
    assert!(refused.contains("Deletion is prevented"), "{refused}");
    workspace.succeeds(&["apply", "-auto-approve"]);

    workspace.succeeds(&["state", "rm", "test_box.a"]);
    workspace.write(
        "import.tf",
        "import {\n  to = test_box.a\n  id = \"box/a\"\n}\n",
    );
    workspace.succeeds(&["apply", "-auto-approve"]);
    workspace.assert_settled();
    workspace.succeeds(&["destroy", "-auto-approve"]);
    assert!(shelf.names().is_empty());
}
