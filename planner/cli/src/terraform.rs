//! The real `terraform` with our provider: found, built, laid out, run.
//!
//! ```text
//! work/
//! ├── terraform.rc             only the mirror, no registry
//! ├── mirror/registry.terraform.io/openmodel/openmodel/0.1.0/linux_amd64/terraform-provider-…
//! └── configuration/           the .tf files; terraform runs here
//! ```

use std::env::consts::{ARCH, EXE_SUFFIX, OS};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use tempfile::TempDir;

/// Registry address of the provider.
pub const PROVIDER_SOURCE: &str = "registry.terraform.io/openmodel/openmodel";
/// Version of the provider, the same for every crate of the workspace.
pub const PROVIDER_VERSION: &str = env!("CARGO_PKG_VERSION");
const PROVIDER_BINARY: &str = "terraform-provider-openmodel";

/// What the caller's environment may hold that would change what is run here:
/// variables, logs, attached providers, projects, credentials.
const FOREIGN: [&str; 7] = [
    "TF_",
    "GOOGLE_",
    "GCLOUD_",
    "CLOUDSDK_",
    "HF_",
    "OPENMODEL_",
    "VTCLI_",
];

/// The oldest minor version of Terraform 1 that has write-only attributes.
const OLDEST_MINOR: u64 = 11;

/// Finds the `terraform` binary: `TERRAFORM_BIN`, else the first on `PATH`, of version 1.11 or newer.
///
/// # Errors
/// Says where it looked and what to do when there is none, or when it is too old.
pub fn find_terraform() -> Result<PathBuf> {
    let binary = if let Some(path) = std::env::var_os("TERRAFORM_BIN").filter(|p| !p.is_empty()) {
        let path = PathBuf::from(path);
        ensure!(
            path.is_file(),
            "TERRAFORM_BIN is {}, which is not a file. Point it at the terraform binary, or unset it to use PATH",
            path.display()
        );
        path
    } else {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths)
            .map(|folder| folder.join(format!("terraform{EXE_SUFFIX}")))
            .find(|candidate| candidate.is_file())
            .ok_or_else(|| {
                anyhow!(
                    "no terraform on PATH. Install Terraform 1.{OLDEST_MINOR} or newer \
                     (https://developer.hashicorp.com/terraform/install), or set TERRAFORM_BIN to the binary"
                )
            })?
    };
    let output = Command::new(&binary)
        .args(["version", "-json"])
        .env("CHECKPOINT_DISABLE", "1")
        .env_remove("TF_CLI_CONFIG_FILE")
        .output()
        .with_context(|| format!("{} does not start", binary.display()))?;
    let version: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{} version -json gave no JSON", binary.display()))?;
    let version = version["terraform_version"].as_str().unwrap_or("unknown");
    let mut numbers = version
        .split('.')
        .map_while(|part| part.parse::<u64>().ok());
    let recent = match (numbers.next(), numbers.next()) {
        (Some(1), Some(minor)) => minor >= OLDEST_MINOR,
        (Some(major), _) => major > 1,
        _ => false,
    };
    ensure!(
        recent,
        "{} is Terraform {version}; 1.{OLDEST_MINOR} or newer is needed for write-only attributes",
        binary.display()
    );
    Ok(binary)
}

/// The provider's binary: built by cargo while the clone this program was built from is there, else
/// the one that lies beside this program.
///
/// # Errors
/// Says what was tried, with cargo's own output when the build fails.
pub fn provider_binary(on_build: impl FnOnce(&str)) -> Result<PathBuf> {
    let here = std::env::current_exe().context("this program's own path")?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if workspace.join("provider/server/Cargo.toml").is_file() {
        return built_binary(PROVIDER_BINARY, on_build);
    }
    let beside = here.with_file_name(format!("{PROVIDER_BINARY}{EXE_SUFFIX}"));
    ensure!(
        beside.is_file(),
        "{} is not there. Put the provider's binary beside this one, or run from a clone with cargo",
        beside.display()
    );
    Ok(beside)
}

/// A binary of this clone, built in the profile that this one was built in.
///
/// # Errors
/// Says what did not work, with cargo's own output when the build fails.
pub fn built_binary(name: &str, on_build: impl FnOnce(&str)) -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let release = !cfg!(debug_assertions);
    let mut command = Command::new(cargo);
    // What cargo tells a program that it runs about its package would look like a change to `ring`'s
    // build script: it and all that stands on it would be built anew each time.
    for (variable, _) in std::env::vars_os() {
        let variable = variable.to_string_lossy().into_owned();
        if variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_") {
            command.env_remove(variable);
        }
    }
    command.args([
        "build",
        "--quiet",
        "--bin",
        name,
        "--message-format=json-render-diagnostics",
    ]);
    if release {
        command.arg("--release");
    }
    on_build(&format!(
        "cargo build {}--bin {name}",
        if release { "--release " } else { "" }
    ));
    let output = command
        .current_dir(&workspace)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| {
            format!("cargo does not start; it is needed to build {name} from this clone")
        })?;
    ensure!(
        output.status.success(),
        "{name} does not build; cargo's messages stand above"
    );
    // Cargo names the file itself: the target folder may be moved by configuration.
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .find(|path| path.file_stem() == Some(OsStr::new(name)))
        .ok_or_else(|| anyhow!("cargo built {name} but named no executable"))
}

/// A folder in which the real `terraform` runs with our provider and nothing from a registry.
#[derive(Debug)]
pub struct Workspace {
    root: TempDir,
    terraform: PathBuf,
    variables: Vec<(OsString, OsString)>,
    colour: bool,
}

impl Workspace {
    /// Lays the mirror and the CLI configuration, and copies a folder of `.tf` files.
    ///
    /// # Errors
    /// Any file that cannot be read or written, by name.
    pub fn new(terraform: &Path, provider: &Path) -> Result<Self> {
        let root = tempfile::Builder::new()
            .prefix("openmodel-")
            .tempdir()
            .context("a temporary folder")?;
        let platform = format!("{}_{}", platform_os()?, platform_arch()?);
        let folder = root
            .path()
            .join("mirror")
            .join(PROVIDER_SOURCE)
            .join(PROVIDER_VERSION)
            .join(platform);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let binary = folder.join(format!("{PROVIDER_BINARY}_v{PROVIDER_VERSION}{EXE_SUFFIX}"));
        // A hard link where the file system allows it; a 60 MB debug binary is not worth copying.
        if fs::hard_link(provider, &binary).is_err() {
            fs::copy(provider, &binary).with_context(|| provider.display().to_string())?;
        }
        let mirror = root.path().join("mirror");
        let rc = format!(
            "disable_checkpoint = true\nprovider_installation {{\n  filesystem_mirror {{\n    path = {:?}\n  }}\n}}\n",
            mirror.display().to_string()
        );
        fs::write(root.path().join("terraform.rc"), rc).context("terraform.rc")?;
        fs::create_dir(root.path().join("configuration")).context("the configuration's folder")?;
        Ok(Self {
            root,
            terraform: terraform.to_owned(),
            variables: Vec::new(),
            colour: false,
        })
    }

    /// Where terraform runs.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.root.path().join("configuration")
    }

    /// Lets terraform colour its output.
    pub fn set_colour(&mut self, colour: bool) {
        self.colour = colour;
    }

    /// Sets an environment variable for every command from now on.
    pub fn set_env(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.variables.push((name.into(), value.into()));
    }

    /// Writes one file of the configuration.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.folder().join(name), text).with_context(|| name.to_owned())
    }

    /// Copies every file of a folder into the configuration.
    ///
    /// # Errors
    /// When the folder cannot be read or a file cannot be written.
    pub fn copy_from(&self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), self.folder().join(entry.file_name()))?;
            }
        }
        Ok(())
    }

    /// A terraform command, ready to run: no questions, nothing of the user's own
    /// Terraform settings.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.terraform);
        for (name, _) in std::env::vars_os() {
            if FOREIGN
                .iter()
                .any(|prefix| name.to_string_lossy().starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir(self.folder())
            .env("TF_CLI_CONFIG_FILE", self.root.path().join("terraform.rc"))
            .env("TF_IN_AUTOMATION", "1")
            .env("TF_INPUT", "0")
            .env("CHECKPOINT_DISABLE", "1")
            .env("OPENMODEL_CACHE_DIR", self.root.path().join("cache"))
            .stdin(Stdio::null());
        if !self.colour {
            command.env("TF_CLI_ARGS", "-no-color");
        }
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }

    /// Runs a terraform command to its end.
    ///
    /// # Errors
    /// Only when it does not start; a failed command is in the [`Output`].
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.command(arguments)
            .output()
            .with_context(|| format!("{} does not start", self.terraform.display()))
    }
}

fn platform_os() -> Result<&'static str> {
    match OS {
        "linux" => Ok("linux"),
        "macos" => Ok("darwin"),
        "windows" => Ok("windows"),
        other => bail!("Terraform has no name for the system {other}"),
    }
}

fn platform_arch() -> Result<&'static str> {
    match ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("Terraform has no name for the processor {other}"),
    }
}
