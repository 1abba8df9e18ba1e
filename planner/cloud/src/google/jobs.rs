//! The Cloud Run job that moves the files of a snapshot: made, run, awaited and deleted.
//!
//! ```text
//!            POST        :run               execution ended
//!   absent ───────► job ───────► running ─────────────────────┬─ well ──► deleted: done
//!                    ▲ of another step: deleted               └─ badly ─► deleted: refused, with its tasks
//! ```
//!
//! The job's name is made from the snapshot, its label `openmodel-key` names the step: a run that was cut is
//! continued by the next one, which finds the execution and goes on waiting. Cloud Run starts a failed
//! task again; the other tasks, and the files that a task has finished, are left as they are.

use openmodel_apply::cloud::{Failure, Outcome, Output, Seen};
use tokio::time::Instant;

use super::job_calls::{self as calls, Ended, Execution, Job, Task, TaskPage, Wanted};
use super::lro::{self, End, Lro, Pause};
use super::{failure, marks};
use crate::transport::{Request, Transport};

/// Most failed tasks that a message names.
const NAMED: usize = 5;

/// The jobs' part of the adapter.
#[derive(Clone, Copy)]
pub(crate) struct Jobs<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) deadline: Instant,
}

impl Jobs<'_> {
    /// Looks whether a job is left that moves the files; whether they are there, who has them says.
    pub(crate) async fn observe(&self, name: &str) -> Result<Seen, Failure> {
        Ok(match self.find(name).await? {
            None => Seen::Ours(Output::named(name)),
            Some(job) if marks::is_managed(&job.labels) => Seen::Absent,
            Some(_) => Seen::Conflict(foreign(name)),
        })
    }

    /// Has the files moved: by the execution that runs already, or a new one.
    pub(crate) async fn run(&self, wanted: Wanted<'_>) -> Outcome {
        match self.move_files(&wanted).await {
            Ok(()) => Outcome::Done(Output::named(wanted.name)),
            Err(outcome) => outcome,
        }
    }

    /// Deletes the job, if it is ours, and what runs of it.
    pub(crate) async fn delete(&self, name: &str) -> Outcome {
        match self.find(name).await {
            Ok(Some(job)) if marks::is_managed(&job.labels) => {}
            Ok(_) => return Outcome::Done(Output::named(name)),
            Err(failure) => return Outcome::Refused(failure),
        }
        match self.remove(name).await {
            Ok(()) => Outcome::Done(Output::named(name)),
            Err(outcome) => outcome,
        }
    }

    async fn move_files(&self, wanted: &Wanted<'_>) -> Result<(), Outcome> {
        let name = wanted.name;
        let job = self.made(wanted).await?;
        if let Some(execution) = job.latest(name) {
            let (_, ended) = self.ended(&execution).await?;
            if ended == Ended::Well {
                return self.remove(name).await;
            }
            // The run that started it was cut before it heard of that: its tasks have another try.
        }
        let lro = self.operation(&calls::run(name)).await?;
        let execution = match lro.target() {
            Some(execution) => execution.to_owned(),
            None => self
                .find(name)
                .await
                .map_err(Outcome::Unknown)?
                .and_then(|job| job.latest(name))
                .ok_or_else(|| Outcome::Unknown(unseen(name)))?,
        };
        let (seen, ended) = self.ended(&execution).await?;
        let Ended::Badly(why) = ended else {
            return self.remove(name).await;
        };
        let mut failure = self.explain(wanted, &execution, &seen, &why).await;
        if self.remove(name).await.is_err() {
            failure.message += "\nThe job could not be deleted; the next apply does.";
        }
        Err(Outcome::Refused(failure))
    }

    /// The job, made where it is not there. One that an earlier step made moves the same files to the same
    /// place: while it runs it is as good as ours, else it is no longer wanted.
    async fn made(&self, wanted: &Wanted<'_>) -> Result<Job, Outcome> {
        let name = wanted.name;
        if let Some(job) = self.settled(name).await? {
            if !marks::is_managed(&job.labels) {
                return Err(Outcome::Refused(foreign(name)));
            }
            let ours = marks::bears(&job.labels, wanted.key);
            if job.failure().is_none() && (ours || self.runs(&job, name).await?) {
                return Ok(job);
            }
            self.remove(name).await?;
        }
        let lro = self.operation(&calls::create(wanted)).await?;
        let end = lro::wait(self.transport, lro, self.deadline).await;
        let end = end.map_err(|error| Outcome::Unknown(failure::failure(&error)))?;
        let job = self.settled(name).await?.unwrap_or_default();
        let why = match (&end, job.failure()) {
            (End::Done, None) => return Ok(job),
            (End::Failed(failure), _) => failure.message.clone(),
            (End::Done, Some(why)) => why.to_owned(),
        };
        self.remove(name).await?;
        Err(Outcome::Refused(Failure {
            hint: Some(format!(
                "Check transfer.image = {:?}: the image must be there, and the account of the job must be allowed to \
                 read it (roles/artifactregistry.reader).",
                wanted.job.image
            )),
            ..Failure::lasting(
                "FAILED_PRECONDITION",
                format!("Cloud Run gave up on {name}: {why}"),
            )
        }))
    }

    async fn runs(&self, job: &Job, name: &str) -> Result<bool, Outcome> {
        let Some(latest) = job.latest(name) else {
            return Ok(false);
        };
        let request = calls::execution(&latest);
        match self
            .transport
            .json::<Execution>(&request, self.deadline)
            .await
        {
            Ok(execution) => Ok(execution.ended().is_none()),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(Outcome::Unknown(failure::failure(&error))),
        }
    }

    /// The job, once Cloud Run has worked off what was asked of it.
    async fn settled(&self, name: &str) -> Result<Option<Job>, Outcome> {
        let mut pause = Pause::new();
        loop {
            match self.find(name).await {
                Ok(Some(job)) if job.reconciling => {}
                Ok(found) => return Ok(found),
                Err(failure) => return Err(Outcome::Refused(failure)),
            }
            if !pause.sleep(self.transport, self.deadline).await {
                return Err(Outcome::Unknown(late(name, "is still being made")));
            }
        }
    }

    /// Waits for the end of an execution.
    async fn ended(&self, name: &str) -> Result<(Execution, Ended), Outcome> {
        let mut pause = Pause::new();
        loop {
            let request = calls::execution(name);
            let read = self.transport.json::<Execution>(&request, self.deadline);
            match read.await {
                Ok(execution) => {
                    if let Some(ended) = execution.ended() {
                        return Ok((execution, ended));
                    }
                }
                Err(error) if error.transient => {}
                Err(error) => return Err(Outcome::Unknown(failure::failure(&error))),
            }
            if !pause.sleep(self.transport, self.deadline).await {
                return Err(Outcome::Unknown(late(name, "still moves files")));
            }
        }
    }

    /// Why files were not moved: the tasks that failed, with their ends and where their logs are.
    async fn explain(
        &self,
        wanted: &Wanted<'_>,
        execution: &str,
        seen: &Execution,
        why: &str,
    ) -> Failure {
        let tasks = self.failed_tasks(execution).await;
        let mut lines: Vec<String> = tasks
            .iter()
            .take(NAMED)
            .map(|task| format!("task {}: {}; log: {}", task.index, task.end(), task.log_uri))
            .collect();
        if tasks.len() > NAMED {
            lines.push(format!("and {} more", tasks.len() - NAMED));
        }
        if lines.is_empty() {
            lines.push(format!("log: {}", seen.log_uri));
        }
        let who = wanted.job.service_account.as_deref();
        let token = match wanted.job.token_secret {
            Some(_) => {
                "transfer.hugging_face_token_secret holds a token that may read the repository"
            }
            None => "the repository can be read without a token",
        };
        Failure {
            hint: Some(format!(
                "The logs say why. Check that {token}, and that {} may write to gs://{} (roles/storage.objectUser). \
                 Cloud Run had tried each of these tasks {} times.",
                who.unwrap_or("the project's default compute account"),
                wanted.snapshot.bucket(),
                calls::ATTEMPTS
            )),
            ..Failure::lasting(
                "ABORTED",
                format!(
                    "the job {} did not move all files to {}: {why}\n{}",
                    wanted.name,
                    wanted.snapshot,
                    lines.join("\n")
                ),
            )
        }
    }

    /// The tasks that failed; none where nobody says.
    async fn failed_tasks(&self, execution: &str) -> Vec<Task> {
        let (mut failed, mut token) = (Vec::new(), String::new());
        loop {
            let request = calls::tasks(execution, &token);
            let page: Result<TaskPage, _> = self.transport.json(&request, self.deadline).await;
            let Ok(page) = page else { return failed };
            failed.extend(page.tasks.into_iter().filter(Task::has_failed));
            if page.next_page_token.is_empty() {
                failed.sort_by_key(|task: &Task| task.index);
                return failed;
            }
            token = page.next_page_token;
        }
    }

    async fn find(&self, name: &str) -> Result<Option<Job>, Failure> {
        match self.transport.json(&calls::get(name), self.deadline).await {
            Ok(job) => Ok(Some(job)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(failure::failure(&error)),
        }
    }

    async fn remove(&self, name: &str) -> Result<(), Outcome> {
        let request = calls::delete(name);
        let lro: Lro = match self.transport.json(&request, self.deadline).await {
            Ok(lro) => lro,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(Outcome::Unknown(failure::failure(&error))),
        };
        match lro::wait(self.transport, lro, self.deadline).await {
            Ok(End::Done) => Ok(()),
            Ok(End::Failed(failure)) => Err(Outcome::Unknown(Failure {
                message: format!("{name} could not be deleted: {}", failure.message),
                ..failure
            })),
            Err(error) => Err(Outcome::Unknown(failure::failure(&error))),
        }
    }

    async fn operation(&self, request: &Request) -> Result<Lro, Outcome> {
        let sent = self.transport.json(request, self.deadline).await;
        sent.map_err(|error| failure::outcome(&error))
    }
}

fn foreign(name: &str) -> Failure {
    Failure {
        hint: Some("Delete it if nothing uses it, or choose another prefix.".to_owned()),
        ..Failure::lasting(
            "ALREADY_EXISTS",
            format!("the job {name} exists already, and openmodel did not make it"),
        )
    }
}

fn late(name: &str, state: &str) -> Failure {
    Failure {
        hint: Some("Apply again: it goes on waiting. Or raise the timeout.".to_owned()),
        ..Failure::passing(
            "DEADLINE_EXCEEDED",
            format!("the job {name} {state}, and the time is up"),
        )
    }
}

fn unseen(name: &str) -> Failure {
    Failure::passing(
        "UNAVAILABLE",
        format!("the job {name} was started, and its execution is not seen yet"),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openmodel_graph::operation::{MirrorSpec, Operation};
    use openmodel_schemas::spec::TransferJob;
    use serde_json::{Value, json};

    use super::*;
    use crate::google::testing::call;
    use crate::transport::script::{self, Answer};

    const NAME: &str = "projects/acme-ml/locations/us-central1/jobs/openmodel-transfer-1";
    const EXECUTION: &str =
        "projects/acme-ml/locations/us-central1/jobs/openmodel-transfer-1/executions/run";

    fn operation() -> Operation {
        Operation::RunTransferJob {
            snapshot: format!("gs://acme/llms/datasets/org/rows/{}", "ab".repeat(20))
                .parse()
                .expect("an address"),
            project: "acme-ml".parse().expect("a project"),
            job: Box::new(TransferJob {
                region: "us-central1".parse().expect("a region"),
                image: "us-docker.pkg.dev/acme-ml/tools/openmodel:1".to_owned(),
                tasks: 4,
                service_account: Some("mover@acme-ml.iam.gserviceaccount.com".to_owned()),
                token_secret: Some("projects/acme-ml/secrets/hub/versions/3".to_owned()),
            }),
            mirror: Box::new(MirrorSpec {
                include: vec!["*.parquet".to_owned()],
                exclude: vec!["-old/".to_owned()],
                digest: "0".to_owned(),
                storage_class: Some("NEARLINE".to_owned()),
                near: Vec::new(),
                parallelism: 8,
                max_bandwidth_mib: Some(100),
                moved_by: None,
            }),
            labels: [("team".to_owned(), "ml".to_owned())].into(),
            take: false,
            after: Vec::new(),
        }
    }

    async fn run(answers: Vec<Answer>) -> (Outcome, Vec<String>, Value) {
        let (transport, seen) = script::transport(answers);
        let call = call(operation());
        let Operation::RunTransferJob {
            snapshot,
            job,
            mirror,
            labels,
            ..
        } = &call.operation
        else {
            panic!("another operation")
        };
        let wanted = Wanted {
            name: NAME,
            job,
            snapshot,
            mirror,
            labels,
            key: &call.key,
            hub: None,
        };
        let jobs = Jobs {
            transport: &transport,
            deadline: Instant::now() + Duration::from_hours(1),
        };
        let outcome = jobs.run(wanted).await;
        let short = |line: String| line.replace("https://run.googleapis.com/v2", "");
        let lines = seen.lines().into_iter().map(short).collect();
        let body = calls::create(&wanted).body_bytes().unwrap_or_default();
        (outcome, lines, serde_json::from_slice(&body).expect("JSON"))
    }

    fn there(latest: &str) -> Answer {
        let labels = marks::labels(&[].into(), None, &call(operation()).key);
        let mut job = json!({"name": NAME, "labels": labels});
        if !latest.is_empty() {
            job["latestCreatedExecution"] = json!({"name": latest});
        }
        script::json(200, job)
    }

    fn execution(state: &str) -> Answer {
        let completed = json!({"type": "Completed", "state": state, "message": "Task 2 failed."});
        script::json(
            200,
            json!({"conditions": [completed], "logUri": "https://logs/all"}),
        )
    }

    fn done(metadata: &Value) -> Answer {
        script::json(200, json!({"done": true, "metadata": metadata}))
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_is_made_run_awaited_and_deleted() {
        let (outcome, lines, body) = run(vec![
            script::json(404, json!({})),
            done(&json!({})),
            there(""),
            done(&json!({"name": EXECUTION})),
            execution("CONDITION_RECONCILING"),
            execution("CONDITION_SUCCEEDED"),
            done(&json!({})),
        ])
        .await;
        assert_eq!(outcome, Outcome::Done(Output::named(NAME)));
        insta::assert_snapshot!(lines.join("\n"), @"
        GET /projects/acme-ml/locations/us-central1/jobs/openmodel-transfer-1
        POST /projects/acme-ml/locations/us-central1/jobs?jobId=openmodel-transfer-1
        GET /projects/acme-ml/locations/us-central1/jobs/openmodel-transfer-1
        POST /projects/acme-ml/locations/us-central1/jobs/openmodel-transfer-1:run
        GET /projects/acme-ml/locations/us-central1/jobs/openmodel-transfer-1/executions/run
        GET /projects/acme-ml/locations/us-central1/jobs/openmodel-transfer-1/executions/run
        DELETE /projects/acme-ml/locations/us-central1/jobs/openmodel-transfer-1
        ");
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).expect("JSON"), @r#"
        {
          "client": "openmodel",
          "clientVersion": "0.1.0",
          "labels": {
            "openmodel-key": "68e25ca4d075845f0436a4400bcc9ac6",
            "openmodel-managed": "true",
            "openmodel-phase": "provisioning",
            "team": "ml"
          },
          "template": {
            "parallelism": 4,
            "taskCount": 4,
            "template": {
              "containers": [
                {
                  "args": [
                    "transfer",
                    "hf://datasets/org/rows@abababababababababababababababababababab",
                    "gs://acme/llms",
                    "--task",
                    "--parallel=8",
                    "--include=*.parquet",
                    "--exclude=-old/",
                    "--storage-class=NEARLINE",
                    "--max-bandwidth=25"
                  ],
                  "env": [
                    {
                      "name": "HF_TOKEN",
                      "valueSource": {
                        "secretKeyRef": {
                          "secret": "projects/acme-ml/secrets/hub",
                          "version": "3"
                        }
                      }
                    }
                  ],
                  "image": "us-docker.pkg.dev/acme-ml/tools/openmodel:1",
                  "resources": {
                    "limits": {
                      "cpu": "2",
                      "memory": "2Gi"
                    }
                  }
                }
              ],
              "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2",
              "maxRetries": 3,
              "serviceAccount": "mover@acme-ml.iam.gserviceaccount.com",
              "timeout": "86400s"
            }
          }
        }
        "#);
    }

    #[tokio::test(start_paused = true)]
    async fn an_execution_that_runs_is_found_and_awaited() {
        let (outcome, lines, _) = run(vec![
            there("run"),
            execution("CONDITION_RECONCILING"),
            execution("CONDITION_SUCCEEDED"),
            done(&json!({})),
        ])
        .await;
        assert_eq!(outcome, Outcome::Done(Output::named(NAME)));
        assert!(
            !lines.iter().any(|line| line.starts_with("POST")),
            "{lines:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn failed_tasks_are_named_with_their_ends_and_the_job_goes() {
        let failed = json!({"type": "Completed", "state": "CONDITION_FAILED"});
        let task = |index: u32, condition: &Value| {
            json!({
                "index": index,
                "logUri": format!("https://logs/{index}"),
                "conditions": [condition],
                "lastAttemptResult": {"exitCode": 1, "status": {"message": "It exited with an error."}},
            })
        };
        let fine = json!({"type": "Completed", "state": "CONDITION_SUCCEEDED"});
        let tasks = json!({"tasks": [task(2, &failed), task(1, &fine)]});
        let (outcome, lines, _) = run(vec![
            there(""),
            done(&json!({"name": EXECUTION})),
            execution("CONDITION_FAILED"),
            script::json(200, tasks),
            done(&json!({})),
        ])
        .await;
        let Outcome::Refused(failure) = outcome else {
            panic!("{outcome:?}")
        };
        insta::assert_snapshot!(failure, @"
        ABORTED: the job projects/acme-ml/locations/us-central1/jobs/openmodel-transfer-1 did not move all files to gs://acme/llms/datasets/org/rows/abababababababababababababababababababab: Task 2 failed.
        task 2: exit code 1: It exited with an error.; log: https://logs/2
        The logs say why. Check that transfer.hugging_face_token_secret holds a token that may read the repository, and that mover@acme-ml.iam.gserviceaccount.com may write to gs://acme (roles/storage.objectUser). Cloud Run had tried each of these tasks 4 times.
        ");
        assert_eq!(
            lines.last().map(String::as_str),
            Some(&*format!("DELETE /{NAME}"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_of_somebody_else_is_left_alone() {
        let (outcome, lines, _) = run(vec![script::json(200, json!({"name": NAME}))]).await;
        let Outcome::Refused(failure) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(failure.message.contains("did not make it"), "{failure}");
        assert_eq!(lines.len(), 1);
    }
}
