//! One attempt of a task as a process of this machine: which program, with what, until when.
//!
//!   image ─► program   args, env, secrets ─► process ─► exit, or killed: timeout, cancel, a fault
//!
//! The sandbox cannot pull images: `PUT /sandbox/run/images` says which program an image stands
//! for. The process sees nothing of the sandbox's own environment but what that says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::execution::Attempt;
use crate::google::secret_manager::Secrets;

/// What a container has where nothing else is said.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program that an image stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Image {
    /// Takes the place of the image's entry point.
    program: PathBuf,
    /// What the image sets; the container's own variables are put over it.
    #[serde(default)]
    env: BTreeMap<String, String>,
}

/// A fault: the process of a task is killed some time after it has begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Kill {
    /// Id of the job; any when absent.
    #[serde(default)]
    job: Option<String>,
    task: usize,
    /// The first is 0, as in `CLOUD_RUN_TASK_ATTEMPT`.
    attempt: u32,
    after_millis: u64,
}

impl Kill {
    /// After how long, if it is meant for this attempt.
    pub(super) fn after(&self, job: &str, task: usize, attempt: u32) -> Option<Duration> {
        let meant = self.job.as_ref().is_none_or(|wanted| wanted == job)
            && (self.task, self.attempt) == (task, attempt);
        meant.then(|| Duration::from_millis(self.after_millis))
    }
}

/// The image that is meant: the exact name, or else the longest beginning.
pub(super) fn find<'a>(images: &'a BTreeMap<String, Image>, image: &str) -> Option<&'a Image> {
    let known = images.iter().filter(|(name, _)| image.starts_with(*name));
    known.max_by_key(|(name, _)| name.len()).map(|(_, it)| it)
}

/// What Cloud Run tells a task of itself.
pub(super) struct Identity<'a> {
    pub(super) project: &'a str,
    pub(super) job: &'a str,
    pub(super) execution: &'a str,
    pub(super) task: usize,
    pub(super) tasks: usize,
    pub(super) attempt: u32,
}

/// A process that is ready to be started.
pub(super) struct Launch {
    pub(super) program: PathBuf,
    args: Vec<String>,
    /// With the payloads of secrets: never logged, never kept.
    env: BTreeMap<String, String>,
    pub(super) timeout: Duration,
    pub(super) kill: Option<Duration>,
    /// Where both outputs go.
    pub(super) output: Arc<NamedTempFile>,
}

impl Launch {
    /// Of a container. Fails with what a task would say that cannot be started.
    pub(super) fn new(
        image: &Image,
        task: &Value,
        secrets: &Secrets,
        identity: &Identity<'_>,
    ) -> Result<Self, String> {
        let container = &task["containers"][0];
        let texts = |name: &str| {
            let texts = container[name].as_array().into_iter().flatten();
            texts.filter_map(Value::as_str).map(str::to_owned)
        };
        let mut env = BTreeMap::from([
            ("PATH".to_owned(), PATH.to_owned()),
            ("HOME".to_owned(), "/root".to_owned()),
        ]);
        env.extend(image.env.clone());
        for variable in container["env"].as_array().into_iter().flatten() {
            let name = variable["name"].as_str().unwrap_or_default();
            let wanted = &variable["valueSource"]["secretKeyRef"];
            let value = match wanted["secret"].as_str() {
                Some(secret) => {
                    let version = wanted["version"].as_str().unwrap_or("latest");
                    secrets.payload(identity.project, secret, version)?
                }
                None => variable["value"].as_str().unwrap_or_default().to_owned(),
            };
            env.insert(name.to_owned(), value);
        }
        for (name, value) in [
            ("CLOUD_RUN_JOB", identity.job.to_owned()),
            ("CLOUD_RUN_EXECUTION", identity.execution.to_owned()),
            ("CLOUD_RUN_TASK_INDEX", identity.task.to_string()),
            ("CLOUD_RUN_TASK_COUNT", identity.tasks.to_string()),
            ("CLOUD_RUN_TASK_ATTEMPT", identity.attempt.to_string()),
        ] {
            env.insert(name.to_owned(), value);
        }
        let output = NamedTempFile::new()
            .map_err(|error| format!("The sandbox has no place for the task's output: {error}"))?;
        Ok(Self {
            program: image.program.clone(),
            // The first of `command` is a path in the image, for which the program stands.
            args: texts("command").skip(1).chain(texts("args")).collect(),
            env,
            timeout: super::spec::timeout(task).unwrap_or_default(),
            kill: None,
            output: Arc::new(output),
        })
    }

    /// Run it to its end. It is killed when it takes too long, when a fault wants it, and when
    /// `stop` changes or is gone.
    pub(super) async fn run(&self, stop: &mut watch::Receiver<bool>) -> Attempt {
        let mut process = match self.start() {
            Ok(process) => process,
            Err(error) => {
                let message = format!(
                    "The sandbox cannot start {}: {error}. PUT /sandbox/run/images says which \
                     program an image stands for.",
                    self.program.display()
                );
                return failed(13, message);
            }
        };
        let never = Duration::MAX;
        let attempt = tokio::select! {
            status = process.child.wait() => return match status {
                Ok(status) => ended(status),
                Err(error) => failed(13, format!("The sandbox has lost the process: {error}")),
            },
            () = tokio::time::sleep(self.timeout) => {
                failed(4, "The configured timeout was reached.".to_owned())
            }
            () = tokio::time::sleep(self.kill.unwrap_or(never)) => {
                failed(2, "The container exited with an error.".to_owned())
            }
            () = stopped(stop) => failed(1, "The execution was cancelled.".to_owned()),
        };
        process.kill();
        // It is dead; what is left of it is taken away.
        drop(process.child.wait().await);
        Attempt {
            signal: Some(9),
            ..attempt
        }
    }

    fn start(&self) -> std::io::Result<Process> {
        let output = self.output.reopen()?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        command.spawn().map(|child| Process { child })
    }
}

/// Until somebody wants it to stop, or nobody could any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// A process with all that it has started; killed when dropped before its end.
struct Process {
    child: Child,
}

impl Process {
    fn kill(&mut self) {
        // No id any more once it has been waited for: the number may then be somebody else's.
        #[cfg(unix)]
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok())
            && let Some(group) = rustix::process::Pid::from_raw(id)
        {
            // Fails only when all of it has ended by itself.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        drop(self.child.start_kill());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn ended(status: std::process::ExitStatus) -> Attempt {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    if status.success() {
        return Attempt {
            exit: Some(0),
            ..Attempt::default()
        };
    }
    Attempt {
        exit: status.code(),
        signal,
        ..failed(2, "The container exited with an error.".to_owned())
    }
}

pub(super) fn failed(code: i32, message: String) -> Attempt {
    Attempt {
        code,
        message,
        ..Attempt::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_of_an_images_name_decides() {
        let image = |program: &str| Image {
            program: program.into(),
            env: BTreeMap::new(),
        };
        let images = BTreeMap::from([
            ("eu-docker.pkg.dev/".to_owned(), image("/any")),
            ("eu-docker.pkg.dev/p/r/job:1".to_owned(), image("/exact")),
            ("eu-docker.pkg.dev/p/".to_owned(), image("/project")),
        ]);
        let found = |name: &str| find(&images, name).map(|image| image.program.clone());
        assert_eq!(found("eu-docker.pkg.dev/p/r/job:1"), Some("/exact".into()));
        assert_eq!(found("eu-docker.pkg.dev/p/other"), Some("/project".into()));
        assert_eq!(found("eu-docker.pkg.dev/q"), Some("/any".into()));
        assert_eq!(found("docker.io/q"), None);
    }
}
