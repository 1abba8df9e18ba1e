//! A private Python under `target/python`, with the clients that `requirements.txt` pins.
//!
//! Made by the first test that asks, reused by all others and by later runs; made anew when the
//! requirements, the system's Python or the folder change. Tests of several processes may ask at
//! once: a file lock lets one build while the others wait.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// A virtual environment that is ready for use.
#[derive(Debug, Clone)]
pub struct Python {
    folder: PathBuf,
}

impl Python {
    /// The environment of this checkout, built if need be (about 20 seconds, from `PyPI`).
    ///
    /// # Errors
    /// When there is no `python3` with `venv`, or pip cannot install; says what to do.
    pub fn shared() -> Result<Self> {
        Self::at(&target_folder()?.join("python"), REQUIREMENTS)
    }

    /// A command that runs one of `tests/clients/*.py`, with nothing of the user's own settings
    /// for Google or Hugging Face.
    pub fn client(&self, script: &str) -> Command {
        let mut command = Command::new(self.folder.join("bin/python"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let of_a_client = ["GOOGLE_", "GCE_", "CLOUDSDK_", "HF_", "HUGGING", "PYTHON"];
            if of_a_client.iter().any(|prefix| text.starts_with(prefix))
                || text.to_lowercase().ends_with("_proxy")
            {
                command.env_remove(&name);
            }
        }
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("clients")
                .join(script),
        );
        command
    }

    /// Where `googleapiclient` keeps Google's Discovery documents: `<api>.<version>.json`.
    ///
    /// # Errors
    /// When the package is not laid out as it was in 2.202.0.
    pub fn discovery_documents(&self) -> Result<PathBuf> {
        let libraries = self.folder.join("lib");
        for entry in fs::read_dir(&libraries).with_context(|| libraries.display().to_string())? {
            let documents = entry?
                .path()
                .join("site-packages/googleapiclient/discovery_cache/documents");
            if documents.is_dir() {
                return Ok(documents);
            }
        }
        bail!(
            "no googleapiclient/discovery_cache/documents below {}: is google-api-python-client pinned?",
            libraries.display()
        )
    }

    fn at(root: &Path, requirements: &str) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| root.display().to_string())?;
        let folder = root.join("venv");
        // Nobody reads it: it is only compared.
        let stamp = format!(
            "{:?} {} {}",
            Sha256::digest(requirements),
            system_python()?,
            folder.display()
        );
        let stamp_file = folder.join("stamp");

        let lock = root.join("lock");
        let lock = File::create(&lock).with_context(|| lock.display().to_string())?;
        lock.lock().context("the lock of target/python")?;
        if fs::read_to_string(&stamp_file).is_ok_and(|found| found == stamp) {
            return Ok(Self { folder });
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        let mut venv = Command::new("python3");
        succeed(
            venv.args(["-m", "venv"]).arg(&folder),
            "python3 cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv",
        )?;
        let list = root.join("requirements.txt");
        fs::write(&list, requirements).with_context(|| list.display().to_string())?;
        let mut pip = Command::new(folder.join("bin/python"));
        succeed(
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-input",
                "--disable-pip-version-check",
            ])
            .arg("--requirement")
            .arg(&list),
            "pip cannot install tests/requirements.txt. It needs PyPI, or a mirror named by PIP_INDEX_URL",
        )?;
        // Last: a build that was cut off leaves no stamp and is made again.
        fs::write(&stamp_file, stamp).with_context(|| stamp_file.display().to_string())?;
        Ok(Self { folder })
    }
}

/// The version of the system's `python3`.
fn system_python() -> Result<String> {
    let output = succeed(
        Command::new("python3").arg("--version"),
        "the contract tests drive Google's and Hugging Face's Python clients: install python3 (3.10 or newer)",
    )?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a command to its end; its messages and the next move are in the error.
fn succeed(command: &mut Command, next_move: &str) -> Result<Output> {
    let shown = format!("{command:?}");
    let output = command
        .output()
        .with_context(|| format!("{shown} does not start. {next_move}"))?;
    ensure!(
        output.status.success(),
        "{shown} failed. {next_move}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}

/// Cargo's target folder, wherever configuration has put it: the one this test binary lies in.
fn target_folder() -> Result<PathBuf> {
    let binary = std::env::current_exe().context("this test's own path")?;
    binary
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map(Path::to_owned)
        .with_context(|| {
            format!(
                "{} does not lie in a cargo target folder: run it with cargo test",
                binary.display()
            )
        })
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// A scratch folder below `target`, empty at first.
    fn scratch(name: &str) -> PathBuf {
        let folder = target_folder()
            .expect("a target folder")
            .join("tmp")
            .join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("removable");
        }
        folder
    }

    #[test]
    fn is_built_once_however_many_ask_and_again_when_the_requirements_change() {
        let root = scratch("python-once");
        let mark = root.join("venv/mark");
        Python::at(&root, "# nothing\n").expect("a virtual environment");
        fs::write(&mark, "").expect("writable");
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| Python::at(&root, "# nothing\n").expect("a virtual environment"));
            }
        });
        assert!(
            mark.exists(),
            "it was built again for the same requirements"
        );
        Python::at(&root, "# something else\n").expect("a virtual environment");
        assert!(!mark.exists(), "it was kept for other requirements");
    }

    #[test]
    fn a_failed_build_is_named_and_not_taken_for_a_finished_one() {
        let root = scratch("python-failed");
        let error = Python::at(&root, "./not-there\n").expect_err("no such package");
        let text = format!("{error:#}");
        assert!(
            text.contains("pip cannot install") && text.contains("not-there"),
            "{text}"
        );
        assert!(root.join("venv").exists() && !root.join("venv/stamp").exists());
    }
}
