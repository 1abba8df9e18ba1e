//! Making, changing, finishing and deleting a Cloud Run service.
//!
//! ```text
//!            POST                      LRO done, CONDITION_SUCCEEDED          labels only
//!   absent ───────► provisioning ────────────────────────────────► serving ──────────────► ready
//!                        ▲   │ CONDITION_FAILED                        ▲                     │
//!                        │   ▼                                         └────── PATCH ────────┘
//!                        └─ broken   (PATCH, forcing a new revision)         (provisioning)
//! ```
//!
//! `openmodel-key` names the step that last shaped the service, `openmodel-phase` how far it is:
//! a run that was killed is continued by the next one with the same key.

use openmodel_apply::cloud::{Failure, Outcome, Output, Seen};
use openmodel_graph::key::StepKey;
use openmodel_graph::operation::{EndpointIdentity, ServiceSpec};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::failure::{self, Obstacle};
use super::lro::{self, End, Lro, Pause};
use super::marks::{self, PHASE_LABEL, Phase};
use super::run::{self, Condition, Rest, Revision, Service};
use super::service_body;
use crate::transport::{ApiError, Request, Transport};

/// How often a service that others change at the same time is read and written again.
const MOST_CONFLICTS: u32 = 5;

/// The Cloud Run part of the adapter.
#[derive(Clone, Copy)]
pub(crate) struct Services<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) deadline: Instant,
}

/// What to bring a service to.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) identity: &'a EndpointIdentity,
    pub(crate) spec: &'a ServiceSpec,
    pub(crate) key: &'a StepKey,
}

impl Services<'_> {
    /// The service, or `None` where there is none.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Service>, Failure> {
        match self.transport.json(&run::get(name), self.deadline).await {
            Ok(service) => Ok(Some(service)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(failure::failure(&error)),
        }
    }

    /// Looks whether our service is there, and waits while it is being made.
    pub(crate) async fn observe_created(
        &self,
        identity: &EndpointIdentity,
        key: &StepKey,
    ) -> Result<Seen, Failure> {
        let Some(service) = self.find(&identity.service()).await? else {
            return Ok(Seen::Absent);
        };
        match obstacle(&service, key) {
            Some(obstacle) => Ok(Seen::Conflict(failure::taken(identity, obstacle))),
            None => self.observe_resting(service).await,
        }
    }

    /// Looks whether the service was brought to this step's spec, and waits while it moves. One
    /// that is finished and still to be changed was changed by others since: it is written again.
    pub(crate) async fn observe_updated(
        &self,
        identity: &EndpointIdentity,
        key: &StepKey,
    ) -> Result<Seen, Failure> {
        match self.find(&identity.service()).await? {
            Some(service)
                if marks::bears(&service.labels, key)
                    && Phase::of(&service.labels) == Some(Phase::Provisioning) =>
            {
                self.observe_resting(service).await
            }
            _ => Ok(Seen::Absent),
        }
    }

    /// Looks whether the service is marked ready.
    pub(crate) async fn observe_ready(&self, name: &str) -> Result<Seen, Failure> {
        match self.find(name).await? {
            Some(service) if Phase::of(&service.labels) == Some(Phase::Ready) => {
                Ok(Seen::Ours(output(&service)))
            }
            _ => Ok(Seen::Absent),
        }
    }

    /// Looks whether the service is gone.
    pub(crate) async fn observe_deleted(
        &self,
        identity: &EndpointIdentity,
    ) -> Result<Seen, Failure> {
        let name = identity.service();
        Ok(match self.find(&name).await? {
            None => Seen::Ours(nothing(name)),
            Some(service) if marks::is_managed(&service.labels) => Seen::Absent,
            Some(_) => Seen::Conflict(failure::not_ours(identity)),
        })
    }

    /// Makes the service. One of ours that failed before is brought to life instead.
    pub(crate) async fn create(&self, wanted: Wanted<'_>) -> Outcome {
        let Wanted {
            identity,
            spec,
            key,
        } = wanted;
        let request = run::create(identity, service_body::body(identity, spec, key, None));
        match self.transport.json(&request, self.deadline).await {
            Ok(lro) => self.finish(identity, lro).await,
            Err(error) if error.already_exists() => {
                let bears_key = |service: &Service| match obstacle(service, key) {
                    None => Ok(()),
                    Some(obstacle) => Err(failure::taken(identity, obstacle)),
                };
                self.replace(wanted, bears_key).await
            }
            Err(error) => failure::outcome(&error),
        }
    }

    /// Brings the service to a new spec.
    pub(crate) async fn update(&self, wanted: Wanted<'_>) -> Outcome {
        self.replace(wanted, |_| Ok(())).await
    }

    /// Marks a service ready, as it was read.
    pub(crate) async fn mark_ready(&self, service: Service) -> Outcome {
        let mut service = service;
        for _ in 0..MOST_CONFLICTS {
            if Phase::of(&service.labels) == Some(Phase::Ready) {
                return Outcome::Done(output(&service));
            }
            let mut labels = service.labels.clone();
            labels.insert(PHASE_LABEL.to_owned(), Phase::Ready.as_str().to_owned());
            let request = run::relabel(&service, &labels);
            match self.transport.json(&request, self.deadline).await {
                Err(error) if error.is_conflict() => {}
                Err(error) => return failure::outcome(&error),
                Ok(lro) => {
                    let ended = self.ended(&service.name, lro).await;
                    return ended
                        .err()
                        .unwrap_or_else(|| Outcome::Done(output(&service)));
                }
            }
            service = match self.find(&service.name).await {
                Ok(Some(service)) => service,
                Ok(None) => return Outcome::Refused(failure::gone(&service.name)),
                Err(failure) => return Outcome::Refused(failure),
            };
        }
        contended(&service.name)
    }

    /// Deletes the service and waits until it is gone.
    pub(crate) async fn delete(&self, name: &str) -> Outcome {
        let done = || Outcome::Done(nothing(name.to_owned()));
        match self.transport.json(&run::delete(name), self.deadline).await {
            Err(error) if error.is_not_found() => done(),
            // Something else is being done to it: a little later it can be deleted.
            Err(error) if error.is_conflict() => Outcome::Refused(Failure {
                transient: true,
                ..failure::failure(&error)
            }),
            Err(error) => failure::outcome(&error),
            Ok(lro) => match self.ended(name, lro).await {
                Ok(()) => done(),
                Err(outcome) => outcome,
            },
        }
    }

    /// Deletes the service if this step made it. One that bears another key is not ours to undo.
    pub(crate) async fn undo(&self, identity: &EndpointIdentity, key: &StepKey) -> Outcome {
        let name = identity.service();
        match self.find(&name).await {
            Err(failure) => Outcome::Refused(failure),
            Ok(Some(service)) if marks::bears(&service.labels, key) => self.delete(&name).await,
            Ok(_) => Outcome::Done(nothing(name)),
        }
    }

    /// Reads, lays the spec over what is there, writes; again where somebody wrote in between.
    async fn replace(
        &self,
        wanted: Wanted<'_>,
        may: impl Fn(&Service) -> Result<(), Failure> + Send + Sync,
    ) -> Outcome {
        let Wanted {
            identity,
            spec,
            key,
        } = wanted;
        let name = identity.service();
        for _ in 0..MOST_CONFLICTS {
            let (current, service) = match self.read_raw(&name).await {
                Ok(read) => read,
                Err(error) if error.is_not_found() => {
                    return Outcome::Refused(failure::gone(&name));
                }
                Err(error) => return Outcome::Refused(failure::failure(&error)),
            };
            if let Err(failure) = may(&service) {
                return Outcome::Refused(failure);
            }
            // The same template makes no new revision, unless the last try with it failed.
            let force = marks::bears(&service.labels, key) && service.rest() == Rest::Failed;
            let body = service_body::body(identity, spec, key, Some(&current));
            let request = run::replace(&name, body, force);
            match self.transport.json(&request, self.deadline).await {
                Err(error) if error.is_conflict() => {}
                Err(error) => return failure::outcome(&error),
                Ok(lro) => return self.finish(identity, lro).await,
            }
        }
        contended(&name)
    }

    /// The service with every field, and as far as we know them.
    async fn read_raw(&self, name: &str) -> Result<(Value, Service), ApiError> {
        let request: Request = run::get(name);
        let response = self.transport.send(&request, self.deadline).await?;
        let malformed = |error| ApiError::malformed(&request, response.status, &error);
        Ok((
            response.json().map_err(malformed)?,
            response.json().map_err(malformed)?,
        ))
    }

    /// Waits for the operation, then for the service itself.
    async fn finish(&self, identity: &EndpointIdentity, lro: Lro) -> Outcome {
        let name = identity.service();
        let ended = self.ended(&name, lro).await;
        if let Err(outcome @ Outcome::Unknown(_)) = ended {
            return outcome;
        }
        // The service says more than the operation, whichever way it ended.
        match self.rest(&name).await {
            Ok(Some(service)) if service.rest() == Rest::Serving => Outcome::Done(output(&service)),
            Ok(Some(service)) => Outcome::Refused(self.explain(&service).await),
            Ok(None) => ended
                .err()
                .unwrap_or_else(|| Outcome::Unknown(failure::gone(&name))),
            Err(failure) => Outcome::Unknown(failure),
        }
    }

    /// Waits for an operation; an error is the outcome of the call that began it.
    async fn ended(&self, name: &str, lro: Lro) -> Result<(), Outcome> {
        match lro::wait(self.transport, lro, self.deadline).await {
            Ok(End::Done) => Ok(()),
            Ok(End::Failed(failure)) => {
                let message = format!("Cloud Run gave up on {name}: {}", failure.message);
                Err(Outcome::Refused(Failure { message, ..failure }))
            }
            Err(error) => Err(Outcome::Unknown(failure::failure(&error))),
        }
    }

    async fn observe_resting(&self, service: Service) -> Result<Seen, Failure> {
        let service = match service.rest() {
            Rest::Moving => match self.rest(&service.name).await? {
                Some(service) => service,
                None => return Ok(Seen::Absent),
            },
            _ => service,
        };
        Ok(match service.rest() {
            Rest::Failed => Seen::Broken(output(&service), self.explain(&service).await),
            _ => Seen::Ours(output(&service)),
        })
    }

    /// Why a service does not serve its spec. Where it only says that its revision failed, the
    /// revision is asked, which also knows where its log is.
    async fn explain(&self, service: &Service) -> Failure {
        let condition = service.telling_condition();
        if condition.is_some_and(|condition| condition.exact_reason().is_some()) {
            return broken(&service.name, condition, "");
        }
        let id = service
            .latest_created_revision
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let request = run::get_revision(&format!("{}/revisions/{id}", service.name));
        match self
            .transport
            .json::<Revision>(&request, self.deadline)
            .await
        {
            Ok(revision) => broken(
                &service.name,
                revision.telling_condition().or(condition),
                &revision.log_uri,
            ),
            // The revision may be gone; what the service says stands.
            Err(_) => broken(&service.name, condition, ""),
        }
    }

    /// The service once it has come to rest; `None` where it is gone.
    async fn rest(&self, name: &str) -> Result<Option<Service>, Failure> {
        let mut pause = Pause::new();
        loop {
            match self.find(name).await? {
                Some(service) if service.rest() == Rest::Moving => {}
                settled => return Ok(settled),
            }
            if !pause.sleep(self.transport, self.deadline).await {
                let message = format!("{name} is still being brought up, and the time is up");
                let mut failure = Failure::passing("DEADLINE_EXCEEDED", message);
                failure.hint = Some(
                    "Raise the resource's timeouts and apply again: the next run continues."
                        .to_owned(),
                );
                return Err(failure);
            }
        }
    }
}

/// What keeps a create with this key from continuing what is there.
fn obstacle(service: &Service, key: &StepKey) -> Option<Obstacle> {
    if !marks::is_managed(&service.labels) {
        return Some(Obstacle::Foreign);
    }
    match Phase::of(&service.labels) {
        Some(Phase::Provisioning) if marks::bears(&service.labels, key) => None,
        Some(Phase::Provisioning) => Some(Obstacle::Unfinished),
        _ => Some(Obstacle::Finished),
    }
}

fn output(service: &Service) -> Output {
    Output {
        id: service.name.clone(),
        facts: json!({
            "uri": service.uri,
            "generation": service.generation,
            "latest_ready_revision": service.latest_ready_revision,
        }),
    }
}

fn nothing(name: String) -> Output {
    Output {
        id: name,
        facts: Value::Null,
    }
}

/// The failure that a condition tells of.
fn broken(name: &str, condition: Option<&Condition>, log_uri: &str) -> Failure {
    let reason = condition.and_then(|condition| condition.reason());
    let text = condition.map_or("no reason given", |condition| condition.message.as_str());
    let message = match reason {
        Some(reason) => format!("Cloud Run could not bring up {name}: {reason}: {text}"),
        None => format!("Cloud Run could not bring up {name}: {text}"),
    };
    let hint = failure::text_hint(&message);
    let hint = if log_uri.is_empty() {
        hint
    } else {
        Some(
            format!("{} Log: {log_uri}", hint.unwrap_or_default())
                .trim()
                .to_owned(),
        )
    };
    // A grant on a secret takes some minutes to be seen everywhere.
    let transient = matches!(
        reason,
        Some("SECRETS_ACCESS_CHECK_FAILED" | "IMMEDIATE_RETRY" | "POSTPONED_RETRY")
    );
    Failure {
        hint,
        transient,
        ..Failure::lasting("FAILED_PRECONDITION", message)
    }
}

fn contended(name: &str) -> Outcome {
    let message = format!("{name} was changed by others {MOST_CONFLICTS} times in a row");
    Outcome::Refused(Failure::passing("ABORTED", message))
}
