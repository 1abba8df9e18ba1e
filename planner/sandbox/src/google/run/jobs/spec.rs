//! The part of a job that a client sets: the server's defaults, what is refused, overrides of a run.
//!
//! Sources: Discovery run.v2 (`Job`, `ExecutionTemplate`, `TaskTemplate`, `Overrides`); Cloud Run's
//! pages on task timeouts, retries and environment variables of jobs (2026).

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::super::error::Error;
use super::super::super::secret_manager::Secrets;
use super::super::spec::{check_container, check_marks, default, drop_empty_maps, is_name, prune};
use super::super::{Place, default_account, limits};

/// Environment variables that Cloud Run sets itself in a task.
const RESERVED: [&str; 5] = [
    "CLOUD_RUN_JOB",
    "CLOUD_RUN_EXECUTION",
    "CLOUD_RUN_TASK_INDEX",
    "CLOUD_RUN_TASK_COUNT",
    "CLOUD_RUN_TASK_ATTEMPT",
];
const MOST_TASKS: i64 = 10_000;
const MOST_RETRIES: i64 = 10;
/// Seven days.
const LONGEST_TASK: u64 = 168 * 3_600;

/// A job id: a letter first, no hyphen last, fewer than 50 characters (Discovery, `jobId`).
pub(super) fn check_job_id(id: &str) -> Result<(), Error> {
    if is_name(id) && id.len() < 50 {
        return Ok(());
    }
    Err(Error::field(
        "job_id",
        "must start with a letter, cannot end with a hyphen, and must contain fewer than 50 \
         lowercase letters, digits and hyphens",
    ))
}

/// The spec with the values that the server fills in.
pub(super) fn complete(body: &Value, project: &str) -> Value {
    let mut spec = body.as_object().cloned().unwrap_or_default();
    spec.remove("name");
    spec.remove("etag");
    default(&mut spec, "launchStage", json!("GA"));
    let mut execution = object(spec.remove("template"));
    default(&mut execution, "taskCount", json!(1));
    let mut task = object(execution.remove("template"));
    default(&mut task, "maxRetries", json!(3));
    default(&mut task, "timeout", json!("600s"));
    default(&mut task, "serviceAccount", json!(default_account(project)));
    let gen2 = json!("EXECUTION_ENVIRONMENT_GEN2");
    default(&mut task, "executionEnvironment", gen2);
    let containers = task.get_mut("containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        if let Some(container) = container.as_object_mut() {
            default(container, "resources", json!({}));
            if let Some(resources) = container["resources"].as_object_mut() {
                default(resources, "limits", json!({}));
                if let Some(limits) = resources["limits"].as_object_mut() {
                    default(limits, "cpu", json!("1000m"));
                    default(limits, "memory", json!("512Mi"));
                }
            }
        }
    }
    // No retries is something else than nothing said about them.
    let retries = task.remove("maxRetries").unwrap_or_default();
    prune(&mut task);
    task.insert("maxRetries".to_owned(), retries);
    prune(&mut execution);
    drop_empty_maps(&mut execution);
    execution.insert("template".to_owned(), task.into());
    prune(&mut spec);
    drop_empty_maps(&mut spec);
    spec.insert("template".to_owned(), execution.into());
    spec.into()
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// Refuse a spec that Cloud Run would refuse.
pub(super) fn check(
    spec: &Value,
    place: &Place,
    secrets: &Secrets,
    strict: bool,
) -> Result<(), Error> {
    check_marks(spec, "")?;
    check_marks(&spec["template"], "template.")?;
    for token in ["startExecutionToken", "runExecutionToken"] {
        if spec[token].is_string() {
            let text = "is not emulated by the sandbox: start executions with jobs.run";
            return Err(Error::field(token, text));
        }
    }
    check_execution(&spec["template"], place, secrets, strict)
}

/// Refuse an execution that cannot be: of a job, or of a run with overrides.
pub(super) fn check_execution(
    execution: &Value,
    place: &Place,
    secrets: &Secrets,
    strict: bool,
) -> Result<(), Error> {
    let number = |holder: &Value, name: &str| holder[name].as_i64().unwrap_or(0);
    if !(1..=MOST_TASKS).contains(&number(execution, "taskCount")) {
        let text = format!("must be from 1 to {MOST_TASKS}");
        return Err(Error::field("template.task_count", text));
    }
    if number(execution, "parallelism") < 0 {
        let text = "must not be negative";
        return Err(Error::field("template.parallelism", text));
    }
    let task = &execution["template"];
    if !(0..=MOST_RETRIES).contains(&number(task, "maxRetries")) {
        let text = format!("must be from 0 to {MOST_RETRIES}");
        return Err(Error::field("template.template.max_retries", text));
    }
    let longest = Duration::from_secs(LONGEST_TASK);
    if !timeout(task).is_some_and(|timeout| !timeout.is_zero() && timeout <= longest) {
        let text = format!("must be from 1s to {LONGEST_TASK}s");
        return Err(Error::field("template.template.timeout", text));
    }
    let containers = task["containers"].as_array().map(Vec::as_slice);
    let [container] = containers.unwrap_or_default() else {
        let text = "the sandbox runs jobs of exactly one container";
        return Err(Error::field("template.template.containers", text));
    };
    let path = "template.template.containers[0]";
    check_container(container, path, task, place, secrets, strict, &RESERVED)?;
    limits::check_template(task, &place.location)
}

/// How long an attempt of a task may take.
pub(super) fn timeout(task: &Value) -> Option<Duration> {
    let seconds = task["timeout"].as_str()?.strip_suffix('s')?;
    Duration::try_from_secs_f64(seconds.parse().ok()?).ok()
}

/// The template of an execution with the overrides of `jobs.run` put over it.
pub(super) fn overridden(template: &Value, overrides: &Value) -> Result<Value, Error> {
    let mut execution = template.clone();
    if let Some(count) = overrides.get("taskCount") {
        execution["taskCount"] = count.clone();
    }
    if let Some(timeout) = overrides.get("timeout") {
        execution["template"]["timeout"] = timeout.clone();
    }
    let given = overrides["containerOverrides"].as_array();
    for (at, given) in given.into_iter().flatten().enumerate() {
        let name = given["name"].as_str().unwrap_or_default();
        let containers = execution["template"]["containers"].as_array_mut();
        let mut containers = containers.into_iter().flatten();
        let found = containers.find(|container| name.is_empty() || container["name"] == name);
        let Some(container) = found.and_then(Value::as_object_mut) else {
            let path = format!("overrides.container_overrides[{at}].name");
            let text = format!("the job has no container '{name}'");
            return Err(Error::field(&path, text));
        };
        override_container(container, given);
    }
    Ok(execution)
}

fn override_container(container: &mut Map<String, Value>, given: &Value) {
    if given["clearArgs"] == true {
        container.remove("args");
    }
    let args = given["args"].as_array().filter(|args| !args.is_empty());
    if let Some(args) = args {
        container.insert("args".to_owned(), args.clone().into());
    }
    let given = given["env"].as_array().into_iter().flatten();
    for variable in given {
        let env = container.entry("env").or_insert_with(|| json!([]));
        let Some(env) = env.as_array_mut() else {
            continue;
        };
        env.retain(|known| known["name"] != variable["name"]);
        env.push(variable.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Value {
        json!({"template": {"template": {"containers": [{
            "image": "a", "args": ["one"], "env": [{"name": "A", "value": "1"}],
        }]}}})
    }

    #[test]
    fn defaults_are_those_of_the_service_and_no_retries_stay_none() {
        let spec = complete(&job(), "acme-ml");
        assert_eq!(spec["template"]["taskCount"], 1);
        assert_eq!(spec["template"]["template"]["maxRetries"], 3);
        assert_eq!(spec["template"]["template"]["timeout"], "600s");
        assert_eq!(complete(&spec, "acme-ml"), spec);
        let mut none = job();
        none["template"]["template"]["maxRetries"] = json!(0);
        let spec = complete(&none, "acme-ml");
        assert_eq!(spec["template"]["template"]["maxRetries"], 0);
    }

    #[test]
    fn overrides_replace_arguments_and_merge_variables() {
        let template = complete(&job(), "acme-ml")["template"].clone();
        let overrides = json!({"taskCount": 3, "containerOverrides": [{
            "args": ["two", "three"],
            "env": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}],
        }]});
        let execution = overridden(&template, &overrides).expect("a container");
        let container = &execution["template"]["containers"][0];
        assert_eq!(execution["taskCount"], 3);
        assert_eq!(container["args"], json!(["two", "three"]));
        assert_eq!(
            container["env"],
            json!([{"name": "A", "value": "2"}, {"name": "B", "value": "3"}])
        );
        let clear = json!({"containerOverrides": [{"clearArgs": true}]});
        let execution = overridden(&template, &clear).expect("a container");
        assert_eq!(execution["template"]["containers"][0].get("args"), None);
        let other = json!({"containerOverrides": [{"name": "other"}]});
        overridden(&template, &other).expect_err("no such container");
    }
}
