//! Storage Transfer Service: a job that fetches the files of a snapshot by a list of addresses, run, awaited and
//! deleted.
//!
//! ```text
//!   its agent may write? ─no─► granted
//!            create       run                operation ended
//!   absent ─────────► job ─────► in progress ───────────────┬─ well ──► deleted: done
//!                      ▲ of a run that was cut: awaited     └─ badly ─► deleted: refused, with the files
//! ```
//!
//! Jobs have no labels; ours are known by what their names begin with, which is made from the snapshot. A
//! deleted job keeps its name for 30 days, so the next one has the next number.
//! <https://cloud.google.com/storage-transfer/docs/create-url-list>,
//! <https://cloud.google.com/storage-transfer/docs/sink-cloud-storage>, 2026.

use std::time::Duration;

use openmodel_apply::cloud::{Failure, Outcome, Output, Seen};
use openmodel_graph::operation::storage_transfer_name;
use openmodel_schemas::name::ProjectId;
use openmodel_schemas::snapshot::SnapshotUri;
use serde_json::Value;
use tokio::time::Instant;

use super::access::bucket_policy;
use super::failure;
use super::lro::Pause;
use super::policy::with_member;
use super::storage_transfer_calls::{self as calls, Agent, Job, JobPage, Operation, Places};
use crate::transport::{ApiError, Transport};

/// What lets the service's agent see a bucket, list, write and read its objects.
const ROLES: [&str; 2] = [
    "roles/storage.legacyBucketWriter",
    "roles/storage.legacyObjectReader",
];

/// How long a grant may take until it is seen everywhere.
/// <https://cloud.google.com/iam/docs/access-change-propagation>
const PROPAGATION: Duration = Duration::from_mins(7);

/// The part of the adapter that Storage Transfer Service is.
#[derive(Clone, Copy)]
pub(crate) struct StorageTransfers<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) project: &'a ProjectId,
    pub(crate) deadline: Instant,
}

impl StorageTransfers<'_> {
    /// Looks whether a job is left of the snapshot; whether its files are there, who has them says.
    pub(crate) async fn observe(&self, snapshot: &SnapshotUri) -> Result<Seen, Failure> {
        let name = storage_transfer_name(snapshot);
        let jobs = self.jobs(&name).await;
        let jobs = jobs.map_err(|error| failure::failure(&error))?;
        Ok(if jobs.iter().any(Job::is_there) {
            Seen::Absent
        } else {
            Seen::Ours(Output::named(&name))
        })
    }

    /// Has the files fetched: by the operation that runs already, or a new one.
    pub(crate) async fn run(&self, places: Places<'_>) -> Outcome {
        match self.fetch(places).await {
            Ok(()) => Outcome::Done(Output::named(storage_transfer_name(places.snapshot))),
            Err(outcome) => outcome,
        }
    }

    /// Ends what runs, and deletes the jobs.
    pub(crate) async fn delete(&self, snapshot: &SnapshotUri) -> Outcome {
        let name = storage_transfer_name(snapshot);
        let end = async {
            let jobs = self.jobs(&name).await;
            for job in jobs.map_err(|error| failure::outcome(&error))? {
                if job.is_there() {
                    self.end(&job).await?;
                }
            }
            Ok(Output::named(&name))
        };
        end.await.map_or_else(|outcome| outcome, Outcome::Done)
    }

    async fn fetch(&self, places: Places<'_>) -> Result<(), Outcome> {
        let granted = self.grant(places.snapshot.bucket()).await?;
        let patience = if granted { PROPAGATION } else { Duration::ZERO };
        let patient = (Instant::now() + patience).min(self.deadline);
        let mut pause = Pause::new();
        loop {
            let refused = match self.started(places).await {
                Ok((job, operation)) => return self.awaited(places, &job, &operation).await,
                Err(Refused::Other(outcome)) => return Err(outcome),
                Err(Refused::ByAccess(failure)) => failure,
            };
            if !pause.sleep(self.transport, patient).await {
                return Err(Outcome::Refused(refused));
            }
        }
    }

    /// Lets the project's agent write to the bucket; says whether it could not before.
    async fn grant(&self, bucket: &str) -> Result<bool, Outcome> {
        let agent: Agent = self
            .transport
            .json(&calls::agent(self.project), self.deadline)
            .await
            .map_err(|error| failure::outcome(&error))?;
        let member = format!("serviceAccount:{}", agent.account_email);
        let policy = bucket_policy(bucket);
        let change = |policy: &Value| -> Option<Value> {
            let mut changed = None;
            for role in ROLES {
                let next = with_member(changed.as_ref().unwrap_or(policy), role, &member);
                changed = next.or(changed);
            }
            changed
        };
        let Ok(before) = policy.read(self.transport, self.deadline).await else {
            // Who may not read it may not change it: the service says whether its agent may write.
            return Ok(false);
        };
        if change(&before).is_none() {
            return Ok(false);
        }
        let changed = policy.change(self.transport, self.deadline, change).await;
        changed.map(|()| true).map_err(|outcome| match outcome {
            Outcome::Refused(mut refusal) => {
                let [bucket_role, object_role] = ROLES;
                refusal.hint = Some(format!(
                    "Storage Transfer Service writes as {}: let it hold {bucket_role} and {object_role} on \
                     gs://{bucket}, or let who applies this change the bucket's policy.",
                    agent.account_email
                ));
                Outcome::Refused(refusal)
            }
            other => other,
        })
    }

    /// The operation that fetches, and its job; both are made where they are not there.
    async fn started(&self, places: Places<'_>) -> Result<(String, String), Refused> {
        let prefix = storage_transfer_name(places.snapshot);
        let jobs = self.jobs(&prefix).await.map_err(|error| refusal(&error))?;
        let job = if let Some(job) = jobs.iter().find(|job| job.is_there()) {
            if self.is_of_use(job).await? {
                return Ok((job.name.clone(), job.latest_operation_name.clone()));
            }
            job.name.clone()
        } else {
            // Those that were deleted long ago are listed no more.
            let number = |job: &Job| job.name.rsplit('-').next()?.parse::<u64>().ok();
            let last = jobs.iter().filter_map(number).max().unwrap_or(0);
            let name = format!("{prefix}-{}", last + 1);
            let request = calls::create(self.project, &name, places);
            match self.transport.json::<Job>(&request, self.deadline).await {
                Ok(_) => {}
                // Another run was faster.
                Err(error) if error.already_exists() => {}
                Err(error) => return Err(refusal(&error)),
            }
            name
        };
        let request = calls::run(self.project, &job);
        let run = self.transport.json::<Operation>(&request, self.deadline);
        match run.await {
            Ok(operation) => Ok((job, operation.name)),
            Err(error) => match self.latest(&prefix, &job).await {
                // Another run has started it already.
                Some(latest) => Ok((job, latest)),
                None => Err(refusal(&error)),
            },
        }
    }

    /// Whether what a job does, or has done, is as good as a new start.
    async fn is_of_use(&self, job: &Job) -> Result<bool, Refused> {
        if job.latest_operation_name.is_empty() {
            return Ok(false);
        }
        let request = calls::operation(&job.latest_operation_name);
        let read = self.transport.json::<Operation>(&request, self.deadline);
        let operation = match read.await {
            Ok(operation) => operation,
            // It ended long ago, and is forgotten.
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(refusal(&error)),
        };
        // One that has ended well is of a run that was cut before it heard of that.
        Ok(operation.failed().is_none())
    }

    /// The operation of a job that was started meanwhile.
    async fn latest(&self, prefix: &str, name: &str) -> Option<String> {
        let jobs = self.jobs(prefix).await.ok()?;
        let mut jobs = jobs.into_iter();
        let job = jobs.find(|job| job.name == name && job.is_there())?;
        let runs = self.is_of_use(&job).await.unwrap_or(false);
        runs.then_some(job.latest_operation_name)
    }

    /// Waits for the end of an operation, and deletes the job.
    async fn awaited(&self, places: Places<'_>, job: &str, operation: &str) -> Result<(), Outcome> {
        let mut pause = Pause::new();
        let ended = loop {
            let request = calls::operation(operation);
            let read = self.transport.json::<Operation>(&request, self.deadline);
            match read.await {
                Ok(read) if read.done => break read,
                Ok(_) => {}
                Err(error) if error.transient => {}
                Err(error) => return Err(lost(error)),
            }
            if !pause.sleep(self.transport, self.deadline).await {
                return Err(Outcome::Unknown(late(places.snapshot)));
            }
        };
        let deleted = self.remove(job).await;
        let Some(failed) = ended.failed() else {
            return deleted;
        };
        let mut failure = if failed.passing {
            Failure::passing("UNAVAILABLE", String::new())
        } else {
            Failure::lasting("ABORTED", String::new())
        };
        failure.message = format!(
            "Storage Transfer Service did not fetch all files of {}: {}",
            places.snapshot, failed.why
        );
        let next = if failed.passing {
            "The Hub does not answer, or limits what one may read: it is asked again."
        } else {
            "It reads without a token, and takes no file that the Hub's robots.txt denies it. Another transfer.engine \
             fetches the same files: \"local\" or \"cloud_run_job\"."
        };
        failure.hint = Some(next.to_owned());
        Err(Outcome::Refused(failure))
    }

    /// Ends what a job does, and deletes it.
    async fn end(&self, job: &Job) -> Result<(), Outcome> {
        if !job.latest_operation_name.is_empty() {
            let request = calls::cancel(&job.latest_operation_name);
            // Over already: there is nothing to end.
            let _ = self.transport.send(&request, self.deadline).await;
            let mut pause = Pause::new();
            let request = calls::operation(&job.latest_operation_name);
            loop {
                let read = self.transport.json::<Operation>(&request, self.deadline);
                match read.await {
                    Ok(read) if read.done => break,
                    Err(error) if error.is_not_found() => break,
                    Ok(_) => {}
                    Err(error) if error.transient => {}
                    Err(error) => return Err(lost(error)),
                }
                if !pause.sleep(self.transport, self.deadline).await {
                    let name = &job.latest_operation_name;
                    return Err(Outcome::Unknown(Failure::passing(
                        "DEADLINE_EXCEEDED",
                        format!("{name} was cancelled and has not ended, and the time is up"),
                    )));
                }
            }
        }
        self.remove(&job.name).await
    }

    async fn remove(&self, job: &str) -> Result<(), Outcome> {
        let request = calls::delete(self.project, job);
        match self.transport.send(&request, self.deadline).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(lost(error)),
        }
    }

    /// The jobs whose names begin so, deleted ones too.
    async fn jobs(&self, prefix: &str) -> Result<Vec<Job>, ApiError> {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let request = calls::list(self.project, &token);
            let page: JobPage = self.transport.json(&request, self.deadline).await?;
            let ours = |job: &Job| {
                let number = job.name.strip_prefix(prefix);
                number.is_some_and(|number| number.starts_with('-'))
            };
            all.extend(page.transfer_jobs.into_iter().filter(ours));
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            token = page.next_page_token;
        }
    }
}

/// Why an operation was not started.
enum Refused {
    /// The agent may not do it, or is not yet known to.
    ByAccess(Failure),
    Other(Outcome),
}

fn refusal(error: &ApiError) -> Refused {
    if error.message.to_ascii_lowercase().contains("permission") {
        Refused::ByAccess(failure::failure(error))
    } else {
        Refused::Other(failure::outcome(error))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the argument of map_err")]
fn lost(error: ApiError) -> Outcome {
    Outcome::Unknown(failure::failure(&error))
}

fn late(snapshot: &SnapshotUri) -> Failure {
    Failure {
        hint: Some("Apply again: it goes on waiting. Or raise the timeout.".to_owned()),
        ..Failure::passing(
            "DEADLINE_EXCEEDED",
            format!(
                "Storage Transfer Service still fetches the files of {snapshot}, and the time is up"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::transport::script::{self, Answer};

    const AGENT: &str = "project-7@storage-transfer-service.iam.gserviceaccount.com";
    const OPERATION: &str = "transferOperations/transferJobs-1-1";

    fn snapshot() -> SnapshotUri {
        format!("gs://acme/models/org/name/{}", "ab".repeat(20))
            .parse()
            .expect("an address")
    }

    fn policy(granted: bool) -> Answer {
        let member = format!("serviceAccount:{AGENT}");
        let bindings: Vec<Value> = ROLES
            .iter()
            .filter(|_| granted)
            .map(|role| json!({"role": role, "members": [member]}))
            .collect();
        script::json(200, json!({"etag": "CAE=", "bindings": bindings}))
    }

    fn jobs(found: &[(u32, &str, &str)]) -> Answer {
        let prefix = storage_transfer_name(&snapshot());
        let jobs: Vec<Value> = found
            .iter()
            .map(|(number, status, operation)| {
                let name = format!("{prefix}-{number}");
                json!({"name": name, "status": status, "latestOperationName": operation})
            })
            .collect();
        script::json(200, json!({"transferJobs": jobs}))
    }

    fn operation(done: bool, more: &Value) -> Answer {
        script::json(
            200,
            json!({"name": OPERATION, "done": done, "metadata": more}),
        )
    }

    fn agent() -> Answer {
        script::json(200, json!({"accountEmail": AGENT}))
    }

    fn refused(status: u16, message: &str) -> Answer {
        script::json(
            status,
            json!({"error": {"code": status, "message": message}}),
        )
    }

    async fn run(answers: Vec<Answer>) -> (Outcome, Vec<String>) {
        let (transport, seen) = script::transport(answers);
        let project = "acme-ml".parse().expect("a project");
        let transfers = StorageTransfers {
            transport: &transport,
            project: &project,
            deadline: Instant::now() + Duration::from_hours(1),
        };
        let outcome = transfers
            .run(Places {
                snapshot: &snapshot(),
                list: "a/arriving.tsv",
                folder: "a/arrived/",
            })
            .await;
        let short = |line: String| line.replace("https://storagetransfer.googleapis.com/v1", "");
        (outcome, seen.lines().into_iter().map(short).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn the_agent_is_let_in_and_the_next_free_name_is_taken() {
        let (outcome, lines) = run(vec![
            agent(),
            policy(false),
            policy(false),
            script::json(200, json!({})),
            jobs(&[(7, "DELETED", "")]),
            // The grant is not seen everywhere yet.
            refused(400, "Service account does not have required permissions"),
            jobs(&[(7, "DELETED", "")]),
            script::json(200, json!({})),
            operation(false, &json!({})),
            operation(false, &json!({"status": "IN_PROGRESS"})),
            operation(true, &json!({"status": "SUCCESS"})),
            script::json(200, json!({})),
        ])
        .await;
        assert_eq!(
            outcome,
            Outcome::Done(Output::named(storage_transfer_name(&snapshot())))
        );
        insta::assert_snapshot!(lines.join("\n"), @"
        GET /googleServiceAccounts/acme-ml
        GET https://storage.googleapis.com/storage/v1/b/acme/iam?optionsRequestedPolicyVersion=3
        GET https://storage.googleapis.com/storage/v1/b/acme/iam?optionsRequestedPolicyVersion=3
        PUT https://storage.googleapis.com/storage/v1/b/acme/iam
        GET /transferJobs?filter=%7B%22jobStatuses%22%3A%5B%22ENABLED%22%2C%22DISABLED%22%2C%22DELETED%22%5D%2C%22projectId%22%3A%22acme-ml%22%7D&pageSize=256
        POST /transferJobs
        GET /transferJobs?filter=%7B%22jobStatuses%22%3A%5B%22ENABLED%22%2C%22DISABLED%22%2C%22DELETED%22%5D%2C%22projectId%22%3A%22acme-ml%22%7D&pageSize=256
        POST /transferJobs
        POST /transferJobs/openmodel-transfer-e21f5947721fbcfe06ac5c72-8:run
        GET /transferOperations/transferJobs-1-1
        GET /transferOperations/transferJobs-1-1
        DELETE /transferJobs/openmodel-transfer-e21f5947721fbcfe06ac5c72-8?projectId=acme-ml
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_not_let_the_agent_in_hears_which_roles_it_needs() {
        let (outcome, _) = run(vec![
            agent(),
            policy(false),
            policy(false),
            refused(
                403,
                "caller does not have storage.buckets.setIamPolicy access",
            ),
        ])
        .await;
        let Outcome::Refused(failure) = outcome else {
            panic!("{outcome:?}")
        };
        insta::assert_snapshot!(failure, @"
        PERMISSION_DENIED: Cloud Storage refused PUT /storage/v1/b/acme/iam: caller does not have storage.buckets.setIamPolicy access
        Storage Transfer Service writes as project-7@storage-transfer-service.iam.gserviceaccount.com: let it hold roles/storage.legacyBucketWriter and roles/storage.legacyObjectReader on gs://acme, or let who applies this change the bucket's policy.
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_is_slower_by_a_moment_waits_for_what_the_other_has_started() {
        let taken = json!({"error": {"code": 409, "status": "ALREADY_EXISTS", "message": "taken"}});
        let (outcome, lines) = run(vec![
            agent(),
            policy(true),
            jobs(&[]),
            script::json(409, taken),
            refused(400, "Operation of the job is still active."),
            jobs(&[(1, "ENABLED", OPERATION)]),
            operation(false, &json!({"status": "IN_PROGRESS"})),
            operation(true, &json!({"status": "SUCCESS"})),
            script::json(200, json!({})),
        ])
        .await;
        assert!(
            matches!(outcome, Outcome::Done(_)),
            "{outcome:?}: {lines:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_transfer_that_ended_while_nobody_looked_is_not_run_again() {
        let (outcome, lines) = run(vec![
            agent(),
            policy(true),
            jobs(&[(1, "DELETED", ""), (2, "ENABLED", OPERATION)]),
            operation(true, &json!({"status": "SUCCESS"})),
            operation(true, &json!({"status": "SUCCESS"})),
            script::json(200, json!({})),
        ])
        .await;
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        assert!(
            !lines.iter().any(|line| line.starts_with("POST")),
            "{lines:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn files_that_did_not_arrive_are_named_without_what_signs_their_address() {
        let failed = |code: &str| {
            json!({"status": "FAILED", "errorBreakdowns": [{
                "errorCode": code,
                "errorCount": "2",
                "errorLogEntries": [{
                    "url": "https://huggingface.co/org/name/resolve/main/a.bin?Signature=secret",
                    "errorDetails": ["HTTP 404"],
                }],
            }]})
        };
        let answers = |code: &str| {
            vec![
                agent(),
                policy(true),
                jobs(&[]),
                script::json(200, json!({})),
                operation(false, &json!({})),
                operation(true, &failed(code)),
                script::json(200, json!({})),
            ]
        };
        let (outcome, _) = run(answers("NOT_FOUND")).await;
        let Outcome::Refused(failure) = outcome else {
            panic!("{outcome:?}")
        };
        insta::assert_snapshot!(failure, @r#"
        ABORTED: Storage Transfer Service did not fetch all files of gs://acme/models/org/name/abababababababababababababababababababab: transferOperations/transferJobs-1-1 FAILED
        2 x NOT_FOUND
          https://huggingface.co/org/name/resolve/main/a.bin: HTTP 404
        It reads without a token, and takes no file that the Hub's robots.txt denies it. Another transfer.engine fetches the same files: "local" or "cloud_run_job".
        "#);
        assert!(!failure.transient);
        let (outcome, _) = run(answers("UNAVAILABLE")).await;
        assert!(
            matches!(&outcome, Outcome::Refused(failure) if failure.transient),
            "{outcome:?}"
        );
    }
}
