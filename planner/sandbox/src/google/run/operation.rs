//! Long-running operations: what they change when their time has come.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::service::Service;
use crate::clock::Time;
use crate::faults::OperationPlan;

/// One operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) service: String,
    /// Only for operations on a revision.
    pub(super) revision: String,
    /// Base URL, for the view of the service in the answer.
    pub(super) base: String,
    pub(super) ends: Time,
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
}

/// How it ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Finished {
    metadata: Value,
    result: Result<Value, Value>,
}

impl Operation {
    /// End it, at its time.
    pub(super) fn finish(&mut self, services: &mut BTreeMap<String, Service>, now: Time) {
        let finished = match &self.change {
            Change::Apply {
                generation,
                failure,
            } => self.apply(services, *generation, failure.as_ref(), now),
            Change::Delete {
                failure: Some(failure),
            } => Finished {
                metadata: json!({}),
                result: Err(status(failure)),
            },
            Change::Delete { failure: None } => self.delete(services, now),
            Change::DeleteRevision => self.delete_revision(services, now),
        };
        self.outcome = Some(finished);
    }

    fn apply(
        &self,
        services: &mut BTreeMap<String, Service>,
        generation: u64,
        failure: Option<&OperationPlan>,
        now: Time,
    ) -> Finished {
        let Some(service) = services.get_mut(&self.service) else {
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
        let result = failure.map_or_else(|| Ok(view.clone()), |failure| Err(status(failure)));
        Finished {
            metadata: view,
            result,
        }
    }

    fn delete(&self, services: &mut BTreeMap<String, Service>, now: Time) -> Finished {
        let mut view = match services.remove(&self.service) {
            Some(service) => service.view(&self.base),
            None => json!({"name": self.service}),
        };
        view["deleteTime"] = now.rfc3339().into();
        let view = any("Service", view);
        Finished {
            metadata: view.clone(),
            result: Ok(view),
        }
    }

    fn delete_revision(&self, services: &mut BTreeMap<String, Service>, now: Time) -> Finished {
        let mut view = json!({"name": format!("{}/revisions/{}", self.service, self.revision)});
        if let Some(service) = services.get_mut(&self.service)
            && let Some(revision) = service.revisions.remove(&self.revision)
        {
            view = revision.view(service);
        }
        view["deleteTime"] = now.rfc3339().into();
        let view = any("Revision", view);
        Finished {
            metadata: view.clone(),
            result: Ok(view),
        }
    }

    /// The operation as the API shows it.
    pub(super) fn view(&self, services: &BTreeMap<String, Service>) -> Value {
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
                let service = services.get(&self.service);
                let view = service.map(|service| service.view(&self.base));
                json!({"name": self.name, "metadata": any("Service", view.unwrap_or_default())})
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

fn status(failure: &OperationPlan) -> Value {
    json!({"code": failure.code, "message": failure.message})
}
