//! Running the real Terraform in a folder of its own, against a provider of this process.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tfplug::serve::debug::{Attached, REATTACH};
use tokio::process::Command;

/// A folder with a configuration and, after an apply, a state.
pub(crate) struct Workspace {
    folder: tempfile::TempDir,
    reattach: String,
}

/// What one command did.
pub(crate) struct Run {
    pub(crate) succeeded: bool,
    errors: Vec<String>,
    /// Standard output and error, for the message of a failing test.
    pub(crate) output: String,
}

impl Workspace {
    /// A fresh folder with this `main.tf`.
    pub(crate) fn new(provider: &Attached, configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let workspace = Self {
            folder,
            reattach: provider.reattach().to_owned(),
        };
        workspace.write("main.tf", configuration);
        // Whatever the machine's own CLI configuration says, it is not about this.
        workspace.write("terraform.rc", "");
        workspace
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the folder can be written");
    }

    /// Begins with the state of another folder.
    pub(crate) fn with_state_of(self, other: &Self) -> Self {
        std::fs::copy(
            other.path("terraform.tfstate"),
            self.path("terraform.tfstate"),
        )
        .expect("a state");
        self
    }

    /// The state as it lies in the file.
    pub(crate) fn state(&self) -> Value {
        let text = std::fs::read_to_string(self.path("terraform.tfstate")).expect("a state");
        serde_json::from_str(&text).expect("the state is JSON")
    }

    /// Runs a command such as `plan`, with more arguments. Errors are part of the result.
    pub(crate) async fn run(&self, command: &str, arguments: &[&str]) -> Run {
        let terraform = terraform();
        let output = Command::new(&terraform)
            .args([command, "-json", "-input=false"])
            .args(arguments)
            .current_dir(self.folder.path())
            .env(REATTACH, &self.reattach)
            .env("TF_CLI_CONFIG_FILE", self.path("terraform.rc"))
            .env("CHECKPOINT_DISABLE", "1")
            .env_remove("TF_LOG")
            .env_remove("TF_LOG_PROVIDER")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap_or_else(|error| {
                panic!(
                    "this test runs the real Terraform, and {} does not start: {error}. \
                     Install Terraform 1.11 or later, or set TERRAFORM_BIN to its path",
                    terraform.display()
                )
            });
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = text.lines().filter_map(error_in).collect();
        let stderr = String::from_utf8_lossy(&output.stderr);
        Run {
            succeeded: output.status.success(),
            errors,
            output: text + &stderr,
        }
    }
}

impl Run {
    /// The texts of all errors.
    pub(crate) fn errors(&self) -> Vec<&str> {
        self.errors.iter().map(String::as_str).collect()
    }

    /// The errors that name a block, in one of the forms in which Terraform names it.
    pub(crate) fn errors_about(&self, name: &str) -> Vec<&str> {
        self.errors()
            .into_iter()
            .filter(|error| names(error, name))
            .collect()
    }
}

/// Whether a text has `name` as a whole word, which `plan_map` is not in `plan_map_key`.
fn names(text: &str, name: &str) -> bool {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(start, _)| {
        !text[..start].ends_with(part_of_word)
            && !text[start + name.len()..].starts_with(part_of_word)
    })
}

/// An error in a line of `-json` output, with the object that it is about and the block it points
/// into where Terraform says them; `None` for lines about other things.
fn error_in(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let diagnostic = line
        .get("diagnostic")
        .filter(|diagnostic| diagnostic["severity"] == "error")?;
    let text = |path: &str| {
        diagnostic
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let parts = ["/summary", "/detail", "/address", "/snippet/context"].map(text);
    Some(parts.join(" | ").replace('\n', " "))
}

fn terraform() -> PathBuf {
    std::env::var_os("TERRAFORM_BIN")
        .map_or_else(|| Path::new("terraform").to_path_buf(), PathBuf::from)
}
