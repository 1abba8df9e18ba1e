//! Jobs of Cloud Run as a client sees them: tasks that really run, are tried again, time out, are
//! killed.

use std::path::Path;
use std::time::Duration;

use openmodel_sandbox::Options;
use serde_json::{Value, json};

use crate::common::World;

const JOBS: &str = "/v2/projects/acme-ml/locations/us-central1/jobs";
const IMAGE: &str = "us-docker.pkg.dev/acme-ml/tools/copier:1";

/// A sandbox in which the image is a shell.
async fn shell() -> World {
    let world = World::start();
    images(&world).await;
    world
}

async fn images(world: &World) {
    let images = json!({
        "us-docker.pkg.dev/acme-ml/": {"program": "/bin/sh", "env": {"FROM_IMAGE": "yes"}},
    });
    let answer = world.call("PUT", "/sandbox/run/images", Some(images));
    answer.await.ok();
}

/// A job of so many tasks that runs a script.
fn job(tasks: u32, retries: u32, script: &str) -> Value {
    json!({
        "labels": {"openmodel-managed": "true"},
        "template": {"taskCount": tasks, "template": {
            "maxRetries": retries,
            "containers": [{"image": IMAGE, "args": ["-c", script]}],
        }},
    })
}

async fn create(world: &World, id: &str, body: Value) -> Value {
    let operation = world.post(&format!("{JOBS}?jobId={id}"), body).await.ok();
    world.finish(operation).await
}

/// Runs a job to its end: its operation.
async fn run(world: &World, id: &str, body: Value) -> Value {
    let operation = world.post(&format!("{JOBS}/{id}:run"), body).await.ok();
    over(world, &operation).await
}

async fn over(world: &World, operation: &Value) -> Value {
    let name = operation["name"].as_str().expect("a name");
    let path = format!("/v2/{name}:wait");
    let done = world.post(&path, json!({"timeout": "60s"})).await.ok();
    assert_eq!(done["done"], true, "{done}");
    done
}

/// The full name of the execution that an operation is about.
fn execution(operation: &Value) -> String {
    let name = operation["metadata"]["name"].as_str();
    name.expect("the name of an execution").to_owned()
}

async fn tasks(world: &World, execution: &str) -> Vec<Value> {
    let listed = world.get(&format!("/v2/{execution}/tasks")).await.ok();
    listed["tasks"].as_array().expect("tasks").clone()
}

async fn output(world: &World, execution: &str) -> Vec<(u64, u64, String)> {
    let path = format!("/sandbox/run/executions/{execution}/logs");
    let logs = world.get(&path).await.ok();
    let one = |log: &Value| {
        let number = |name: &str| log[name].as_u64().expect("a number");
        let text = log["output"].as_str().expect("a text").to_owned();
        (number("task"), number("attempt"), text)
    };
    let mut found: Vec<_> = logs.as_array().expect("logs").iter().map(one).collect();
    found.sort();
    found
}

/// Looks at an execution until it is as it should be.
async fn until(world: &World, execution: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..2_000 {
        let seen = world.get(&format!("/v2/{execution}")).await.ok();
        if wanted(&seen) {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the execution never was as it should be");
}

#[tokio::test]
async fn a_job_runs_its_tasks_with_what_cloud_run_tells_them() {
    let world = shell().await;
    let script = "echo $CLOUD_RUN_TASK_INDEX/$CLOUD_RUN_TASK_COUNT $CLOUD_RUN_TASK_ATTEMPT \
                  $CLOUD_RUN_JOB $CLOUD_RUN_EXECUTION $FROM_IMAGE $COLOR; echo error >&2";
    let mut body = job(2, 0, script);
    body["template"]["template"]["containers"][0]["env"] =
        json!([{"name": "COLOR", "value": "red"}]);
    let made = create(&world, "copy", body).await["response"].clone();
    assert_eq!(made["terminalCondition"]["state"], "CONDITION_SUCCEEDED");
    assert_eq!(made["template"]["template"]["maxRetries"], 0);
    assert_eq!(made["template"]["template"]["timeout"], "600s");
    assert_eq!(made.get("latestCreatedExecution"), None);

    let overrides = json!({"overrides": {"taskCount": 3, "containerOverrides": [
        {"env": [{"name": "COLOR", "value": "blue"}]},
    ]}});
    let done = run(&world, "copy", overrides).await;
    let seen = &done["response"];
    assert_eq!(
        seen["@type"],
        "type.googleapis.com/google.cloud.run.v2.Execution"
    );
    assert_eq!(
        (&seen["taskCount"], &seen["succeededCount"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(seen["conditions"][0]["type"], "Completed");
    assert_eq!(seen["conditions"][0]["state"], "CONDITION_SUCCEEDED");
    assert!(seen["completionTime"].is_string() && seen.get("runningCount").is_none());
    let name = execution(&done);
    let id = name.rsplit('/').next().expect("an id");
    let expect = |task: u64| (task, 0, format!("{task}/3 0 copy {id} yes blue\nerror\n"));
    assert_eq!(
        output(&world, &name).await,
        [expect(0), expect(1), expect(2)]
    );
    let log = world
        .get(seen["logUri"].as_str().expect("an address"))
        .await;
    assert_eq!(log.ok().as_array().map(Vec::len), Some(3));

    let job = world.get(&format!("{JOBS}/copy")).await.ok();
    assert_eq!(job["executionCount"], 1);
    assert_eq!(job["latestCreatedExecution"]["name"], id);
    assert_eq!(
        job["latestCreatedExecution"]["completionStatus"],
        "EXECUTION_SUCCEEDED"
    );
    assert_eq!(
        job["template"]["taskCount"], 2,
        "an override changes no job"
    );

    let removed = world.call("DELETE", &format!("{JOBS}/copy"), None).await;
    world.finish(removed.ok()).await;
    assert_eq!(world.get(&format!("/v2/{name}")).await.status, 404);
    assert_eq!(world.sandbox.inventory(), json!([]));
}

#[tokio::test]
async fn a_failed_task_alone_is_tried_again() {
    let world = shell().await;
    let script = "test $CLOUD_RUN_TASK_INDEX != 1 || test $CLOUD_RUN_TASK_ATTEMPT = 2 || exit 7";
    create(&world, "copy", job(3, 2, script)).await;
    let done = run(&world, "copy", json!({})).await;
    assert_eq!(done["response"]["succeededCount"], 3, "{done}");
    assert_eq!(done["response"]["retriedCount"], 1);
    let name = execution(&done);
    let seen = tasks(&world, &name).await;
    let retried = |task: &Value| task["retried"].as_u64().unwrap_or(0);
    assert_eq!(seen.iter().map(retried).collect::<Vec<_>>(), [0, 2, 0]);
    let attempts: Vec<_> = output(&world, &name).await;
    let attempts: Vec<_> = attempts
        .iter()
        .map(|(task, attempt, _)| (*task, *attempt))
        .collect();
    assert_eq!(attempts, [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0)]);

    // One try too few: that task fails, and so does the execution; the others do their work.
    let few = json!({"overrides": {"containerOverrides": [{"args": ["-c", "exit $CLOUD_RUN_TASK_INDEX"]}]}});
    let done = run(&world, "copy", few).await;
    let id = execution(&done)
        .rsplit('/')
        .next()
        .expect("an id")
        .to_owned();
    assert_eq!(
        done["error"]["message"],
        format!("Task {id}-task1 failed with message: The container exited with an error.")
    );
    let seen = world.get(&format!("/v2/{}", execution(&done))).await.ok();
    assert_eq!(seen["failedCount"], 2);
    assert_eq!(seen["succeededCount"], 1);
    assert_eq!(
        seen["conditions"][0]["executionReason"],
        "NON_ZERO_EXIT_CODE"
    );
    let task = world
        .get(&format!("/v2/{}/tasks/{id}-task2", execution(&done)))
        .await
        .ok();
    assert_eq!((&task["index"], &task["retried"]), (&json!(2), &json!(2)));
    assert_eq!(task["lastAttemptResult"]["exitCode"], 2);
    assert_eq!(task["conditions"][0]["state"], "CONDITION_FAILED");
}

#[tokio::test]
async fn a_kill_hits_one_attempt_of_one_task() {
    let world = shell().await;
    let kills = json!([{"job": "copy", "task": 1, "attempt": 0, "afterMillis": 20}]);
    world
        .call("PUT", "/sandbox/run/kills", Some(kills))
        .await
        .ok();
    // Without the kill the first attempt of task 1 would go on for ever.
    let script = "test $CLOUD_RUN_TASK_INDEX$CLOUD_RUN_TASK_ATTEMPT != 10 || sleep 600";
    create(&world, "copy", job(2, 1, script)).await;
    let done = run(&world, "copy", json!({})).await;
    assert_eq!(done["response"]["succeededCount"], 2, "{done}");
    assert_eq!(done["response"]["retriedCount"], 1);
}

#[tokio::test]
async fn a_task_that_takes_too_long_is_killed_with_all_that_it_started() {
    let world = shell().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mark = folder.path().join("child");
    let script = format!("sh -c 'echo $$ > {}; sleep 600' & wait", mark.display());
    create(&world, "copy", job(1, 0, &script)).await;
    let timeout = json!({"overrides": {"timeout": "1s"}});
    let done = run(&world, "copy", timeout).await;
    let message = done["error"]["message"].as_str().expect("a message");
    assert!(
        message.ends_with("The configured timeout was reached."),
        "{message}"
    );
    let task = &tasks(&world, &execution(&done)).await[0];
    assert_eq!(task["lastAttemptResult"]["status"]["code"], 4);
    assert_eq!(task["lastAttemptResult"]["termSignal"], 9);
    gone(&mark).await;
}

/// Until the process whose number a file holds is no more.
async fn gone(file: &Path) {
    let id = std::fs::read_to_string(file).expect("a process was started");
    let status = Path::new("/proc").join(id.trim()).join("status");
    for _ in 0..2_000 {
        let state = std::fs::read_to_string(&status).unwrap_or_default();
        if state.is_empty() || state.contains("State:\tZ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("process {id} lives on");
}

#[tokio::test]
async fn no_more_tasks_run_at_once_than_the_job_allows() {
    let world = shell().await;
    let folder = tempfile::tempdir().expect("a folder");
    // Each task looks how many others there are while it is there.
    let script = format!(
        "cd {}; touch $CLOUD_RUN_TASK_INDEX; sleep 0.05; ls | wc -l; rm $CLOUD_RUN_TASK_INDEX",
        folder.path().display()
    );
    let mut body = job(6, 0, &script);
    body["template"]["parallelism"] = json!(2);
    create(&world, "copy", body).await;
    let done = run(&world, "copy", json!({})).await;
    assert_eq!(done["response"]["parallelism"], 2);
    let seen = output(&world, &execution(&done)).await;
    let most = seen
        .iter()
        .map(|(_, _, text)| text.trim().parse::<u32>().expect("a number"));
    let most = most.max();
    assert!(
        seen.len() == 6 && most.is_some_and(|most| most <= 2),
        "{most:?}"
    );
}

#[tokio::test]
async fn cancel_and_delete_kill_what_runs() {
    let world = shell().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mark = |id: &str| folder.path().join(id);
    let script = format!(
        "echo $$ > {}/$CLOUD_RUN_EXECUTION; exec sleep 600",
        folder.path().display()
    );
    let mut body = job(3, 3, &script);
    body["template"]["parallelism"] = json!(1);
    create(&world, "copy", body).await;

    let first = world
        .post(&format!("{JOBS}/copy:run"), json!({}))
        .await
        .ok();
    let name = execution(&first);
    let id = name.rsplit('/').next().expect("an id").to_owned();
    let started = || std::fs::read_to_string(mark(&id)).is_ok_and(|text| text.ends_with('\n'));
    let seen = until(&world, &name, |seen| seen["runningCount"] == 1 && started()).await;
    assert_eq!(seen["conditions"][0]["state"], "CONDITION_RECONCILING");
    let job = world.get(&format!("{JOBS}/copy")).await.ok();
    assert_eq!(
        job["latestCreatedExecution"]["completionStatus"],
        "EXECUTION_RUNNING"
    );

    let cancel = world
        .post(&format!("/v2/{name}:cancel"), json!({}))
        .await
        .ok();
    let cancelled = over(&world, &cancel).await["response"].clone();
    assert_eq!(cancelled["cancelledCount"], 3, "{cancelled}");
    assert_eq!(cancelled["conditions"][0]["executionReason"], "CANCELLED");
    // As Cloud Run has it: the operation of a cancelled run is no error.
    let run = over(&world, &first).await;
    assert_eq!(run["response"]["cancelledCount"], 3, "{run}");
    gone(&mark(&id)).await;
    let again = world.post(&format!("/v2/{name}:cancel"), json!({})).await;
    assert_eq!(again.error().1, "FAILED_PRECONDITION");

    let second = world
        .post(&format!("{JOBS}/copy:run"), json!({}))
        .await
        .ok();
    let name = execution(&second);
    let id = name.rsplit('/').next().expect("an id").to_owned();
    let started = || std::fs::read_to_string(mark(&id)).is_ok_and(|text| text.ends_with('\n'));
    until(&world, &name, |_| started()).await;
    let delete = world
        .call("DELETE", &format!("{JOBS}/copy"), None)
        .await
        .ok();
    world.finish(delete).await;
    gone(&mark(&id)).await;
    let lost = over(&world, &second).await;
    assert_eq!(lost["error"]["code"], 10, "{lost}");
    assert_eq!(world.sandbox.inventory(), json!([]));
}

#[tokio::test]
async fn the_end_of_a_sandbox_is_the_end_of_its_tasks() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        state_file: Some(folder.path().join("state")),
        ..Options::default()
    };
    let mark = folder.path().join("mark");
    let script = format!("echo $$ > {}; exec sleep 600", mark.display());
    let world = World::with(options.clone());
    images(&world).await;
    create(&world, "copy", job(1, 0, &script)).await;
    let operation = world
        .post(&format!("{JOBS}/copy:run"), json!({}))
        .await
        .ok();
    let name = execution(&operation);
    until(&world, &name, |seen| {
        seen["runningCount"] == 1
            && std::fs::read_to_string(&mark).is_ok_and(|text| text.ends_with('\n'))
    })
    .await;
    world.sandbox.shutdown();
    gone(&mark).await;

    let world = World::with(options);
    let seen = world.get(&format!("/v2/{name}")).await.ok();
    assert_eq!(seen["cancelledCount"], 1, "{seen}");
    let done = over(&world, &operation).await;
    let message = done["error"]["message"].as_str().expect("a message");
    assert!(message.contains("sandbox was stopped"), "{message}");
}

#[tokio::test]
async fn an_image_that_stands_for_nothing_cannot_be_pulled() {
    let world = World::start();
    let done = create(&world, "copy", job(1, 0, "true")).await;
    let text = format!("Image '{IMAGE}' not found.");
    assert_eq!(done["error"]["message"], text);
    let seen = world.get(&format!("{JOBS}/copy")).await.ok();
    assert_eq!(seen["terminalCondition"]["state"], "CONDITION_FAILED");
    assert_eq!(seen["terminalCondition"]["reason"], "CONTAINER_MISSING");
    let done = run(&world, "copy", json!({})).await;
    assert_eq!(done["error"]["message"], text);
    let seen = world.get(&format!("/v2/{}", execution(&done))).await.ok();
    let ready = &seen["conditions"][3];
    assert_eq!(ready["type"], "ContainerReady");
    assert_eq!(ready["reason"], "CONTAINER_MISSING");
}

#[tokio::test]
async fn a_secret_reaches_the_task_and_nothing_else() {
    let world = shell().await;
    let mut body = job(1, 0, "case $HF_TOKEN in hf_secre?) ;; *) exit 1 ;; esac");
    body["template"]["template"]["serviceAccount"] = json!("job@acme-ml.iam.gserviceaccount.com");
    body["template"]["template"]["containers"][0]["env"] = json!([
        {"name": "HF_TOKEN", "valueSource": {"secretKeyRef": {"secret": "hf", "version": "latest"}}},
    ]);
    let refused = world
        .post(&format!("{JOBS}?jobId=copy"), body.clone())
        .await;
    assert!(
        refused
            .error()
            .2
            .contains("/secrets/hf/versions/latest was not found")
    );

    let secrets = "/v1/projects/acme-ml/secrets";
    let replication = json!({"replication": {"automatic": {}}});
    world
        .post(&format!("{secrets}?secretId=hf"), replication)
        .await
        .ok();
    let payload = json!({"payload": {"data": "aGZfc2VjcmV0"}});
    world
        .post(&format!("{secrets}/hf:addVersion"), payload)
        .await
        .ok();
    create(&world, "copy", body).await;
    let done = run(&world, "copy", json!({})).await;
    assert_eq!(done["response"]["succeededCount"], 1, "{done}");
    let log = serde_json::to_string(&world.sandbox.log()).expect("JSON");
    assert!(!log.contains("hf_secret"));

    // With its access rules on, an account that may not read it starts nothing.
    let strict = json!({"strictSecretAccess": true});
    world.call("PUT", "/sandbox/auth", Some(strict)).await.ok();
    let refused = world.post(&format!("{JOBS}/copy:run"), json!({})).await;
    assert!(refused.error().2.contains("Permission denied on secret"));
}

#[tokio::test]
async fn what_no_job_can_be_is_refused() {
    let world = shell().await;
    let (execution, task) = ("/template", "/template/template");
    for (place, member, value, words) in [
        (execution, "taskCount", json!(10_001), "from 1 to 10000"),
        (execution, "parallelism", json!(-1), "must not be negative"),
        (task, "maxRetries", json!(11), "from 0 to 10"),
        (task, "timeout", json!("604801s"), "from 1s to 604800s"),
        (task, "containers", json!([]), "exactly one container"),
    ] {
        let mut body = job(1, 0, "true");
        body.pointer_mut(place).expect("a template")[member] = value;
        let (code, status, text) = world
            .post(&format!("{JOBS}?jobId=copy"), body)
            .await
            .error();
        assert_eq!((code, status.as_str()), (400, "INVALID_ARGUMENT"));
        assert!(text.contains(words), "{text}");
    }
    let mut reserved = job(1, 0, "true");
    reserved["template"]["template"]["containers"][0]["env"] =
        json!([{"name": "CLOUD_RUN_TASK_INDEX", "value": "1"}]);
    let refused = world.post(&format!("{JOBS}?jobId=copy"), reserved).await;
    assert!(refused.error().2.contains("reserved env names"));

    let first = create(&world, "copy", job(1, 0, "true")).await["response"].clone();
    let again = world
        .post(&format!("{JOBS}?jobId=copy"), job(1, 0, "true"))
        .await;
    assert_eq!(again.error().1, "ALREADY_EXISTS");
    let mut change = job(2, 0, "true");
    change["etag"] = json!("\"stale\"");
    let stale = world
        .call("PATCH", &format!("{JOBS}/copy"), Some(change.clone()))
        .await;
    assert_eq!(stale.error().1, "ABORTED");
    change["etag"] = first["etag"].clone();
    let operation = world
        .call("PATCH", &format!("{JOBS}/copy"), Some(change))
        .await
        .ok();
    let second = world.finish(operation).await["response"].clone();
    assert_eq!(second["generation"], "2");
    assert_eq!(second["observedGeneration"], "2");
    assert_eq!(second["template"]["taskCount"], 2);
}

#[tokio::test]
async fn a_rule_lets_a_run_fail_before_a_task_has_begun() {
    let world = shell().await;
    create(&world, "copy", job(1, 0, "true")).await;
    let rule = json!({
        "match": {"path": "*/jobs/copy:run"}, "times": 1,
        "then": {"operation": {"code": 8, "message": "Quota exceeded."}},
    });
    world.post("/sandbox/faults", rule).await.ok();
    let done = run(&world, "copy", json!({})).await;
    assert_eq!(
        done["error"],
        json!({"code": 8, "message": "Quota exceeded."})
    );
    let job = world.get(&format!("{JOBS}/copy")).await.ok();
    assert_eq!(job.get("executionCount"), None);
    let done = run(&world, "copy", json!({})).await;
    assert_eq!(done["response"]["succeededCount"], 1);
}
