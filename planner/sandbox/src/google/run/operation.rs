//! Long-running operations: what they change when their time has come.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::jobs::{Job, Jobs};
use super::service::Service;
use crate::clock::Time;
use crate::faults::OperationPlan;

/// One operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Operation {
    pub(super) name: String,
    /// Full name of the service, job or execution that it is about.
    pub(super) target: String,
    /// Only for operations on a revision.
    pub(super) revision: String,
    /// Base URL, for the view of the service in the answer.
    pub(super) base: String,
    /// When it ends; nothing where it ends with an execution.
    pub(super) ends: Option<Time>,
    pub(super) change: Change,
    pub(super) outcome: Option<Finished>,
}

/// What it does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Change {
    /// Bring a generation of a service into being, or fail to.
    Apply {
        generation: u64,
        failure: Option<OperationPlan>,
    },
    Delete {
        failure: Option<OperationPlan>,
    },
    DeleteRevision,
    /// Bring a generation of a job into being, or fail to.
    ApplyJob {
        generation: u64,
        failure: Option<OperationPlan>,
    },
    DeleteJob {
        failure: Option<OperationPlan>,
    },
    /// Wait until an execution is over.
    Execute,
    /// A run that a fault rule lets fail before anything is started.
    RefuseRun {
        failure: OperationPlan,
    },
    DeleteExecution,
}

/// How it ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Finished {
    metadata: Value,
    result: Result<Value, Value>,
}

impl Operation {
    /// End it, at its time; whether it was one that takes away what others may wait for.
    pub(super) fn finish(
        &mut self,
        services: &mut BTreeMap<String, Service>,
        jobs: &mut Jobs,
        now: Time,
    ) -> bool {
        let finished = match &self.change {
            Change::Apply {
                generation,
                failure,
            } => self.apply(services, *generation, failure.as_ref(), now),
            Change::Delete {
                failure: Some(failure),
            }
            | Change::DeleteJob {
                failure: Some(failure),
            }
            | Change::RefuseRun { failure } => Finished {
                metadata: json!({}),
                result: Err(status(failure.code, &failure.message)),
            },
            Change::Delete { failure: None } => self.delete(services, now),
            Change::DeleteRevision => self.delete_revision(services, now),
            Change::ApplyJob {
                generation,
                failure,
            } => self.apply_job(jobs, *generation, failure.as_ref(), now),
            Change::DeleteJob { failure: None } => {
                let job = jobs.remove(&self.target).map(|job| job.view());
                self.deleted("Job", job, now)
            }
            Change::Execute => self.executed(jobs),
            Change::DeleteExecution => {
                let execution = jobs.remove_execution(&self.target);
                let view = execution.map(|execution| execution.view(&self.base));
                self.deleted("Execution", view, now)
            }
        };
        self.outcome = Some(finished);
        matches!(
            self.change,
            Change::DeleteJob { failure: None } | Change::DeleteExecution
        )
    }

    /// Whether the execution that it waits for still runs; nothing when it waits for none.
    pub(super) fn waits(&self, jobs: &Jobs) -> Option<bool> {
        let waits = matches!(self.change, Change::Execute) && self.outcome.is_none();
        let execution = || jobs.execution(&self.target);
        waits.then(|| execution().is_some_and(|execution| !execution.is_over()))
    }

    fn apply_job(
        &self,
        jobs: &mut Jobs,
        generation: u64,
        failure: Option<&OperationPlan>,
        now: Time,
    ) -> Finished {
        let settled = jobs.settle(&self.target, generation, failure, now);
        let view = jobs.get(&self.target).map(Job::view);
        let view = any("Job", view.unwrap_or_default());
        Finished {
            metadata: view.clone(),
            result: settled
                .map(|()| view)
                .map_err(|(code, message)| status(code, &message)),
        }
    }

    /// A failed execution is an error of its operation; a cancelled one is not.
    fn executed(&self, jobs: &Jobs) -> Finished {
        let Some(execution) = jobs.execution(&self.target) else {
            return Finished {
                metadata: json!({}),
                result: Err(status(10, "The execution was deleted in the meantime.")),
            };
        };
        let view = any("Execution", execution.view(&self.base));
        Finished {
            metadata: view.clone(),
            result: match execution.failure() {
                Some(message) => Err(status(2, message)),
                None => Ok(view),
            },
        }
    }

    fn deleted(&self, message: &str, view: Option<Value>, now: Time) -> Finished {
        let mut view = view.unwrap_or_else(|| json!({"name": self.target}));
        view["deleteTime"] = now.rfc3339().into();
        let view = any(message, view);
        Finished {
            metadata: view.clone(),
            result: Ok(view),
        }
    }

    fn apply(
        &self,
        services: &mut BTreeMap<String, Service>,
        generation: u64,
        failure: Option<&OperationPlan>,
        now: Time,
    ) -> Finished {
        let Some(service) = services.get_mut(&self.target) else {
            let gone = json!({"code": 10, "message": "The service was deleted in the meantime."});
            return Finished {
                metadata: json!({}),
                result: Err(gone),
            };
        };
        // A later change has taken over; this one is then told how things stand.
        if service.generation == generation {
            service.settle(now, failure);
        }
        let view = any("Service", service.view(&self.base));
        let result = match failure {
            Some(failure) => Err(status(failure.code, &failure.message)),
            None => Ok(view.clone()),
        };
        Finished {
            metadata: view,
            result,
        }
    }

    fn delete(&self, services: &mut BTreeMap<String, Service>, now: Time) -> Finished {
        let service = services.remove(&self.target);
        let view = service.map(|service| service.view(&self.base));
        self.deleted("Service", view, now)
    }

    fn delete_revision(&self, services: &mut BTreeMap<String, Service>, now: Time) -> Finished {
        let name = format!("{}/revisions/{}", self.target, self.revision);
        let mut view = json!({"name": name});
        if let Some(service) = services.get_mut(&self.target)
            && let Some(revision) = service.revisions.remove(&self.revision)
        {
            view = revision.view(service);
        }
        self.deleted("Revision", Some(view), now)
    }

    /// The operation as the API shows it.
    pub(super) fn view(&self, services: &BTreeMap<String, Service>, jobs: &Jobs) -> Value {
        match &self.outcome {
            Some(Finished {
                metadata,
                result: Ok(response),
            }) => {
                json!({"name": self.name, "metadata": metadata, "done": true, "response": response})
            }
            Some(Finished {
                metadata,
                result: Err(error),
            }) => {
                json!({"name": self.name, "metadata": metadata, "done": true, "error": error})
            }
            None => {
                let service = services.get(&self.target);
                let service = service.map(|it| any("Service", it.view(&self.base)));
                let job = || jobs.get(&self.target).map(|job| any("Job", job.view()));
                let execution = || {
                    let execution = jobs.execution(&self.target)?;
                    Some(any("Execution", execution.view(&self.base)))
                };
                let view = service.or_else(job).or_else(execution);
                json!({"name": self.name, "metadata": view.unwrap_or_else(|| json!({}))})
            }
        }
    }
}

/// A `google.protobuf.Any` of a Cloud Run message.
pub(super) fn any(message: &str, value: Value) -> Value {
    let mut value = if value.is_object() { value } else { json!({}) };
    value["@type"] = format!("type.googleapis.com/google.cloud.run.v2.{message}").into();
    value
}

fn status(code: i32, message: &str) -> Value {
    json!({"code": code, "message": message})
}
