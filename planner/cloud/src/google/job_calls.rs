//! Cloud Run jobs, v2: requests, the body of a job that moves files, and answers, as far as we read them.

use openmodel_graph::key::StepKey;
use openmodel_graph::operation::{MirrorSpec, Tags};
use openmodel_schemas::snapshot::{Repository, RepositoryType, SnapshotUri};
use openmodel_schemas::spec::TransferJob;
use serde::Deserialize;
use serde_json::{Value, json};

use super::marks;
use super::secret_manager::secret_of_version;
use crate::transport::{Api, Request, path_text};

/// How often Cloud Run starts a task until it gives it up; the other tasks are left as they are.
pub(crate) const ATTEMPTS: u32 = 4;

/// Longest attempt of a task: what Cloud Run allows without asking.
/// <https://cloud.google.com/run/docs/configuring/task-timeout>
const TASK_TIMEOUT: &str = "86400s";

/// vCPUs and memory of a task: two streams' worth of hashing, and spans of all files in flight.
const LIMITS: (&str, &str) = ("2", "2Gi");

/// What a job is to be.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Full name.
    pub(crate) name: &'a str,
    pub(crate) job: &'a TransferJob,
    pub(crate) snapshot: &'a SnapshotUri,
    pub(crate) mirror: &'a MirrorSpec,
    pub(crate) labels: &'a Tags,
    pub(crate) key: &'a StepKey,
    /// Where the Hub is, where it is not at its usual address.
    pub(crate) hub: Option<&'a str>,
}

/// Makes a job; answers with an operation.
pub(crate) fn create(wanted: &Wanted<'_>) -> Request {
    let (parent, id) = wanted
        .name
        .rsplit_once("/jobs/")
        .unwrap_or((wanted.name, ""));
    let path = format!("/v2/{}/jobs", path_text(parent));
    Request::post(Api::Run, path, body(wanted)).query("jobId", id)
}

/// Reads a job.
pub(crate) fn get(name: &str) -> Request {
    Request::get(Api::Run, format!("/v2/{}", path_text(name)))
}

/// Deletes a job and its executions; answers with an operation.
pub(crate) fn delete(name: &str) -> Request {
    Request::delete(Api::Run, format!("/v2/{}", path_text(name)))
}

/// Starts an execution; answers with an operation that ends with it.
pub(crate) fn run(name: &str) -> Request {
    Request::post(Api::Run, format!("/v2/{}:run", path_text(name)), json!({}))
}

/// Reads an execution.
pub(crate) fn execution(name: &str) -> Request {
    Request::get(Api::Run, format!("/v2/{}", path_text(name)))
}

/// The tasks of an execution.
pub(crate) fn tasks(execution: &str, token: &str) -> Request {
    let request = Request::get(Api::Run, format!("/v2/{}/tasks", path_text(execution)));
    if token.is_empty() {
        request
    } else {
        request.query("pageToken", token)
    }
}

fn body(wanted: &Wanted<'_>) -> Value {
    let Wanted { job, .. } = wanted;
    let mut env = Vec::new();
    if let Some(url) = wanted.hub {
        env.push(json!({"name": "HF_ENDPOINT", "value": url}));
    }
    if let Some(version) = &job.token_secret {
        let (secret, number) = secret_of_version(version).unwrap_or((version, "latest"));
        env.push(json!({
            "name": "HF_TOKEN",
            "valueSource": {"secretKeyRef": {"secret": secret, "version": number}},
        }));
    }
    let mut container = json!({
        "image": job.image,
        "args": args(wanted),
        "resources": {"limits": {"cpu": LIMITS.0, "memory": LIMITS.1}},
    });
    if !env.is_empty() {
        container["env"] = env.into();
    }
    let mut template = json!({
        "containers": [container],
        "maxRetries": ATTEMPTS - 1,
        "timeout": TASK_TIMEOUT,
        "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2",
    });
    if let Some(account) = &job.service_account {
        template["serviceAccount"] = json!(account);
    }
    json!({
        "labels": marks::labels(wanted.labels, None, wanted.key),
        "client": "openmodel",
        "clientVersion": env!("CARGO_PKG_VERSION"),
        "template": {"taskCount": job.tasks, "parallelism": job.tasks, "template": template},
    })
}

/// `transfer hf://ORG/NAME@COMMIT gs://BUCKET/PREFIX --task …`: the arguments of the binary `openmodel`.
fn args(wanted: &Wanted<'_>) -> Vec<String> {
    let Wanted {
        snapshot, mirror, ..
    } = wanted;
    let place = [snapshot.bucket(), snapshot.prefix()].join("/");
    let mut args = vec![
        "transfer".to_owned(),
        format!(
            "hf://{}@{}",
            source(snapshot.repository()),
            snapshot.commit()
        ),
        format!("gs://{}", place.trim_end_matches('/')),
        "--task".to_owned(),
        format!("--parallel={}", mirror.parallelism),
    ];
    // As one argument each: a pattern may begin with a dash.
    let patterns = |name: &str, list: &[String]| -> Vec<String> {
        list.iter()
            .map(|pattern| format!("--{name}={pattern}"))
            .collect()
    };
    args.extend(patterns("include", &mirror.include));
    args.extend(patterns("exclude", &mirror.exclude));
    if let Some(class) = &mirror.storage_class {
        args.push(format!("--storage-class={class}"));
    }
    if let Some(all) = mirror.max_bandwidth_mib {
        // The plan sees to it that there is one MiB for each task.
        let each = (all / wanted.job.tasks.max(1)).max(1);
        args.push(format!("--max-bandwidth={each}"));
    }
    args
}

fn source(repository: &Repository) -> String {
    match repository.kind {
        RepositoryType::Model => repository.id.to_string(),
        kind => format!("{}/{}", kind.plural(), repository.id),
    }
}

/// `GoogleCloudRunV2Job`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Job {
    pub(crate) labels: Tags,
    pub(crate) reconciling: bool,
    terminal_condition: Condition,
    pub(crate) latest_created_execution: Option<Latest>,
}

/// `GoogleCloudRunV2ExecutionReference`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Latest {
    name: String,
}

/// `GoogleCloudRunV2Execution`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Execution {
    completion_time: Option<String>,
    pub(crate) log_uri: String,
    conditions: Vec<Condition>,
}

/// `GoogleCloudRunV2Condition`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    state: String,
    message: String,
}

/// One page of tasks.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct TaskPage {
    pub(crate) tasks: Vec<Task>,
    pub(crate) next_page_token: String,
}

/// `GoogleCloudRunV2Task`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Task {
    pub(crate) index: u32,
    pub(crate) log_uri: String,
    conditions: Vec<Condition>,
    last_attempt_result: Attempt,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Attempt {
    status: AttemptStatus,
    exit_code: i32,
    term_signal: i32,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct AttemptStatus {
    message: String,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All tasks succeeded.
    Well,
    /// Why not.
    Badly(String),
}

impl Job {
    /// Why it cannot run, where Cloud Run has given it up.
    pub(crate) fn failure(&self) -> Option<&str> {
        let failed = self.terminal_condition.state == "CONDITION_FAILED";
        failed.then_some(self.terminal_condition.message.as_str())
    }

    /// Full name of the last execution.
    pub(crate) fn latest(&self, name: &str) -> Option<String> {
        let latest = self.latest_created_execution.as_ref()?;
        let id = latest.name.rsplit('/').next()?;
        (!id.is_empty()).then(|| format!("{name}/executions/{id}"))
    }
}

impl Execution {
    /// How it ended; none while it runs.
    pub(crate) fn ended(&self) -> Option<Ended> {
        let mut conditions = self.conditions.iter();
        let completed = conditions.find(|condition| condition.kind == "Completed");
        match completed.map(|condition| (condition.state.as_str(), &condition.message)) {
            Some(("CONDITION_SUCCEEDED", _)) => Some(Ended::Well),
            Some(("CONDITION_FAILED", why)) => Some(Ended::Badly(why.clone())),
            _ => self
                .completion_time
                .as_ref()
                .map(|_| Ended::Badly("it ended, and Cloud Run does not say how".to_owned())),
        }
    }
}

impl Task {
    /// Whether it has failed for good.
    pub(crate) fn has_failed(&self) -> bool {
        let mut conditions = self.conditions.iter();
        conditions
            .any(|condition| condition.kind == "Completed" && condition.state == "CONDITION_FAILED")
    }

    /// `exit code 1: The container exited with an error.`
    pub(crate) fn end(&self) -> String {
        let Attempt {
            status,
            exit_code,
            term_signal,
        } = &self.last_attempt_result;
        let how = match (exit_code, term_signal) {
            (0, 0) => String::new(),
            (0, signal) => format!("signal {signal}: "),
            (code, _) => format!("exit code {code}: "),
        };
        format!("{how}{}", status.message)
    }
}
