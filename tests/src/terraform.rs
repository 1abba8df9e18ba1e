//! The real `terraform` with our provider against a sandbox, as one thing to hold in a test.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use openmodel_cli::terraform::{Workspace, find_terraform, provider_binary};
use openmodel_sandbox::{Options, Sandbox};
use serde_json::Value;

/// A configuration's beginning: our provider, with a project and a region.
pub const PROVIDER: &str = r#"
terraform {
  required_providers { openmodel = { source = "openmodel/openmodel" } }
}
provider "openmodel" {
  project = "acme-ml"
  region  = "us-central1"
}
"#;

/// The repository's root.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A sandbox, and a folder in which terraform runs against it.
pub struct Bench {
    /// The emulated clouds.
    pub sandbox: Sandbox,
    /// Where terraform runs.
    pub workspace: Workspace,
}

impl Bench {
    /// With the sandbox's defaults.
    ///
    /// # Errors
    /// When terraform is missing, or the provider does not build.
    pub fn new() -> Result<Self> {
        Self::with(Options::default())
    }

    /// With a sandbox of your own making.
    ///
    /// # Errors
    /// When terraform is missing, or the provider does not build.
    pub fn with(options: Options) -> Result<Self> {
        let (terraform, provider) = binaries()?;
        let sandbox = Sandbox::start(options).context("the sandbox")?;
        let mut workspace = Workspace::new(terraform, provider)?;
        workspace.set_env("OPENMODEL_SANDBOX", sandbox.url());
        Ok(Self { sandbox, workspace })
    }

    /// One configuration, initialised.
    ///
    /// # Errors
    /// As [`Bench::new`], and when `terraform init` fails.
    pub fn of(configuration: &str) -> Result<Self> {
        let bench = Self::new()?;
        bench.workspace.write("main.tf", configuration)?;
        bench.terraform(&["init"])?;
        Ok(bench)
    }

    /// Runs a command that must succeed; its stdout.
    ///
    /// # Errors
    /// When it fails: with all that it printed.
    pub fn terraform(&self, arguments: &[&str]) -> Result<String> {
        let output = self.workspace.run(arguments)?;
        ensure!(
            output.status.success(),
            "terraform {} failed:\n{}",
            arguments.join(" "),
            printed(&output)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command that must fail; all that it printed, with line breaks and borders taken out,
    /// so that a sentence can be looked for.
    ///
    /// # Errors
    /// When it succeeds.
    pub fn terraform_fails(&self, arguments: &[&str]) -> Result<String> {
        let output = self.workspace.run(arguments)?;
        ensure!(
            !output.status.success(),
            "terraform {} succeeded:\n{}",
            arguments.join(" "),
            printed(&output)
        );
        Ok(one_line(&printed(&output)))
    }

    /// Plans, and gives the plan as JSON.
    ///
    /// # Errors
    /// When the plan fails.
    pub fn plan(&self) -> Result<Value> {
        self.terraform(&["plan", "-out=tfplan"])?;
        Ok(serde_json::from_str(
            &self.terraform(&["show", "-json", "tfplan"])?,
        )?)
    }

    /// Plans and applies.
    ///
    /// # Errors
    /// When either fails.
    pub fn apply(&self) -> Result<String> {
        self.terraform(&["apply", "-auto-approve"])
    }

    /// The state as JSON.
    ///
    /// # Errors
    /// When there is none.
    pub fn state(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.terraform(&["show", "-json"])?)?)
    }

    /// That a plan changes nothing: neither with a refresh nor without, neither a resource nor an
    /// output.
    ///
    /// # Errors
    /// With the plan's text when it would change something.
    pub fn assert_plan_is_empty(&self) -> Result<()> {
        for arguments in [
            &["plan", "-detailed-exitcode", "-refresh=false"][..],
            &["plan", "-detailed-exitcode"],
        ] {
            let output = self.workspace.run(arguments)?;
            ensure!(
                output.status.code() == Some(0),
                "the plan is not empty:\n{}",
                printed(&output)
            );
        }
        Ok(())
    }
}

/// What a command printed, stdout first.
#[must_use]
pub fn printed(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Terraform breaks lines at 78 columns and draws a border; this takes both out.
#[must_use]
pub fn one_line(text: &str) -> String {
    let words = text
        .lines()
        .map(|line| line.trim_start_matches(['│', '╷', '╵', ' ']).trim_end());
    words
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The planned values of a resource.
#[must_use]
pub fn planned<'a>(plan: &'a Value, address: &str) -> &'a Value {
    change(plan, address).map_or(&Value::Null, |change| &change["change"]["after"])
}

/// The actions that a plan has for a resource.
#[must_use]
pub fn actions(plan: &Value, address: &str) -> Vec<String> {
    let actions = change(plan, address).and_then(|change| change["change"]["actions"].as_array());
    actions
        .into_iter()
        .flatten()
        .filter_map(|action| action.as_str().map(str::to_owned))
        .collect()
}

fn change<'a>(plan: &'a Value, address: &str) -> Option<&'a Value> {
    plan["resource_changes"]
        .as_array()?
        .iter()
        .find(|change| change["address"] == address)
}

/// Terraform and the provider: found and built once for each test binary.
fn binaries() -> Result<(&'static Path, &'static Path)> {
    static BINARIES: OnceLock<Result<(PathBuf, PathBuf), String>> = OnceLock::new();
    let found = BINARIES.get_or_init(|| {
        let terraform = find_terraform().map_err(|error| format!("{error:#}"))?;
        let provider = provider_binary(|_| ()).map_err(|error| format!("{error:#}"))?;
        Ok((terraform, provider))
    });
    match found {
        Ok((terraform, provider)) => Ok((terraform, provider)),
        Err(error) => Err(anyhow::anyhow!(error.clone())),
    }
}
