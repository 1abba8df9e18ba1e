//! Create, update and delete: the placement becomes operations, the operations are run, and what
//! is there afterwards becomes the state, also when not all went well.
//!
//! | end of a run | state | message |
//! |---|---|---|
//! | completed | as planned | – |
//! | refused, a create | none: what was made is gone again | why, and the next move |
//! | refused, an update | what is live now | why, and the next move |
//! | interrupted, or undo failed | what is live now | what exists, what it costs, both ways on |

use std::collections::BTreeMap;
use std::time::Duration;

use openmodel_apply::cloud::Failure;
use openmodel_apply::report::{End, Report};
use openmodel_cloud::google::LiveService;
use openmodel_cloud::{GoogleCloud, Secret};
use openmodel_graph::graph::ExecutionGraph;
use openmodel_graph::operation::{EndpointIdentity, SecretSlot};
use openmodel_resolve::lowering::{TOKEN_SLOT, TOKEN_VARIABLE, manages_token};
use openmodel_resolve::{Change, ManagedToken, lower, lower_delete};
use openmodel_schemas::name::CommitSha;
use openmodel_schemas::spec::EndpointSpec;
use tfplug::framework::{
    Context, CreateRequest, DeleteRequest, Failed, Private, State, TimeoutsModel, UpdateRequest,
};
use tfplug::serve::log;
use tfplug::value::Value;
use tfplug::{Diagnostic, Diagnostics};
use tokio::time::Instant;

use super::frozen::Frozen;
use super::gate::{self, Served};
use super::inputs::{Identity, Inputs, inputs};
use super::model::EndpointModel;
use super::read::{RECORD, Record, from_record, openai_base_url, overlay, without_service};
use super::{identity, schema};
use crate::client::Client;
use crate::deletion;
use crate::errors;
use crate::execute::{execute, refused};

/// When a single look at an endpoint must have answered.
pub(crate) fn read_deadline() -> Instant {
    Instant::now() + Duration::from_mins(2)
}

/// Makes an endpoint.
pub(crate) async fn create(
    context: &Context<Client>,
    request: CreateRequest<EndpointModel>,
) -> Result<State<EndpointModel>, Failed<EndpointModel>> {
    let job = Job::new(
        context,
        "create",
        &request.planned,
        &request.config,
        &request.private,
    )
    .await?;
    let graph = job.lower(&Change::Create)?;
    let report = job.run(context, &graph).await;
    if report.end == End::Completed {
        return job.finished(&report, request.planned, request.private);
    }
    let diagnostic = job.explain(&report);
    if let End::Refused { .. } = report.end {
        return Err(diagnostic.into());
    }
    // Something may exist, so it must be in the state, whatever can be seen of it.
    let (mut state, mut private) = (request.planned, request.private);
    job.frozen.write(&mut private)?;
    match job
        .google
        .read_endpoint(&job.identity, read_deadline())
        .await
    {
        Ok(Some(live)) if job.made(&live) => state = overlay(state, &job.frozen, &live),
        Ok(_) if report.left.is_empty() && report.unsettled.is_empty() => {
            return Err(diagnostic.into());
        }
        // A service of somebody else must not get into the state: it would be replaced.
        Ok(_) | Err(_) => state = without_service(state),
    }
    Err(Failed::with_state(
        State::with_private(state, private),
        diagnostic,
    ))
}

/// Brings an endpoint to its new plan, as a new revision where the container changes.
pub(crate) async fn update(
    context: &Context<Client>,
    request: UpdateRequest<EndpointModel>,
) -> Result<State<EndpointModel>, Failed<EndpointModel>> {
    let job = Job::new(
        context,
        "update",
        &request.planned,
        &request.config,
        &request.private,
    )
    .await?;
    // Where a create was cut before its service was made, this goes on with it.
    let change = match job.live().await? {
        Some(live) => Change::Update {
            token: job.existing_token(&request.prior, &live),
        },
        None => Change::Create,
    };
    let graph = job.lower(&change)?;
    let report = job.run(context, &graph).await;
    if report.end == End::Completed {
        return job.finished(&report, request.planned, request.private);
    }
    let diagnostic = job.explain(&report);
    // What the service itself records is what it was last brought to: the old spec or the new one.
    // The next plan shows what is still to be done.
    let recorded = match job
        .google
        .read_endpoint(&job.identity, read_deadline())
        .await
    {
        Ok(Some(live)) => from_record(&live).ok(),
        Ok(None) | Err(_) => None,
    };
    let mut private = request.private;
    let state = match recorded {
        Some((state, mut frozen)) => {
            frozen.has_secret |= job.frozen.has_secret;
            frozen.write(&mut private)?;
            state
        }
        None => request.prior,
    };
    Err(Failed::with_state(
        State::with_private(state, private),
        diagnostic,
    ))
}

/// Deletes an endpoint, unless its policy is to abandon it.
pub(crate) async fn delete(
    context: &Context<Client>,
    request: DeleteRequest<EndpointModel>,
) -> Result<(), Failed<EndpointModel>> {
    let state = request.state;
    let identity = identity(&state)?;
    if deletion::abandons(&state.deletion_policy) {
        log::info(
            "endpoint",
            &format!("{identity} is abandoned: it runs on, and costs"),
            &[],
        );
        return Ok(());
    }
    let has_secret = Frozen::read(&request.private)?.is_some_and(|frozen| frozen.has_secret);
    let graph =
        lower_delete(&identity, has_secret).map_err(|error| errors::bug(&error.to_string()))?;
    let google = context.client()?.google(BTreeMap::new())?;
    let limit = schema::TIMEOUTS.of(&state.timeouts, "delete");
    let report = execute(context, &google, &graph, limit).await;
    match &report.end {
        End::Completed => Ok(()),
        End::Refused { failure, .. } | End::UndoFailed { failure, .. } => {
            Err(refused("Endpoint cannot be deleted", failure, "It is still in the state.").into())
        }
        End::Interrupted { why } => Err(Diagnostic::error("Deletion was interrupted")
            .detail(format!(
                "Deleting {identity} did not end: {why}. It may still exist and cost. `terraform destroy` goes on."
            ))
            .into()),
    }
}

/// A live endpoint that cannot be read.
pub(crate) fn unreadable(identity: &EndpointIdentity, failure: &Failure) -> Diagnostic {
    refused(
        "Endpoint cannot be read",
        failure,
        &format!("It was asked for {}.", identity.service()),
    )
}

/// All that one create or update works with.
struct Job {
    identity: EndpointIdentity,
    spec: EndpointSpec,
    frozen: Frozen,
    google: GoogleCloud,
    record: String,
    timeouts: Value<TimeoutsModel>,
    /// US dollars per hour and replica.
    hourly: Option<String>,
    /// `create` or `update`.
    operation: &'static str,
}

impl Job {
    async fn new(
        context: &Context<Client>,
        operation: &'static str,
        planned: &EndpointModel,
        config: &EndpointModel,
        private: &Private,
    ) -> Result<Self, Diagnostics> {
        let client = context.client()?;
        let identity = identity(planned)?;
        let commit: CommitSha = planned
            .resolved_revision
            .as_known()
            .and_then(|commit| commit.parse().ok())
            .ok_or_else(|| errors::bug("the plan has no commit"))?;
        let names = Identity {
            project: identity.project.clone(),
            region: identity.region.clone(),
            name: identity.name.clone(),
        };
        let mut frozen =
            Frozen::read(private)?.ok_or_else(|| errors::bug("the plan has no placement"))?;
        let draft_model = frozen.draft_model.clone();
        let mut spec = match inputs(config, planned, &commit, draft_model, names)? {
            Inputs::Known(spec) => *spec,
            Inputs::Waiting(input) => {
                return Err(errors::bug(&format!("{input} is unknown at apply")).into());
            }
        };
        if frozen.waits {
            let served = Served {
                model: &spec.model,
                commit: &spec.commit,
                quantization: spec.quantization,
                frozen: &frozen,
            };
            let limit = schema::TIMEOUTS.of(&planned.timeouts, operation);
            gate::wait(client, planned, &served, Instant::now() + limit).await?;
            frozen.waits = false;
        }
        spec.labels =
            super::inputs::text_map(&planned.effective_labels, "effective_labels", &mut None);
        frozen.has_secret |= manages_token(&spec);
        let token = config.hugging_face_token_wo.as_known().map(|token| {
            log::conceal(token);
            (
                SecretSlot(TOKEN_SLOT.to_owned()),
                Secret::new(token.clone()),
            )
        });
        let google = client.google(token.into_iter().collect())?;
        let record = Record::new(planned, &frozen)
            .to_annotation()
            .map_err(|error| errors::bug(&error.to_string()))?;
        Ok(Self {
            identity,
            spec,
            frozen,
            google,
            record,
            timeouts: planned.timeouts.clone(),
            hourly: planned
                .cost
                .as_known()
                .and_then(|cost| cost.hourly.as_known().cloned()),
            operation,
        })
    }

    /// Whether a service is the one that this create makes: it bears this very record.
    fn made(&self, live: &LiveService) -> bool {
        live.managed && live.annotations.get(RECORD) == Some(&self.record)
    }

    /// The token secret of ours that the service has now.
    fn existing_token(&self, prior: &EndpointModel, live: &LiveService) -> Option<ManagedToken> {
        let ours = format!("/secrets/{}/versions/", self.identity.token_secret_id());
        let reads = live
            .secret_env
            .get(TOKEN_VARIABLE)
            .filter(|name| name.contains(&ours));
        match reads {
            Some(secret_version) => Some(ManagedToken {
                // Versions of ours count from 1: 0 is none that the configuration can mean.
                version: prior
                    .hugging_face_token_wo_version
                    .as_known()
                    .copied()
                    .unwrap_or(0),
                secret_version: secret_version.clone(),
            }),
            // Not read any more, and not wanted: it may still be there to be deleted.
            None if self.frozen.has_secret && !manages_token(&self.spec) => Some(ManagedToken {
                version: 0,
                secret_version: String::new(),
            }),
            None => None,
        }
    }

    fn lower(&self, change: &Change) -> Result<ExecutionGraph, Diagnostic> {
        let annotations = BTreeMap::from([(RECORD.to_owned(), self.record.clone())]);
        lower(
            &self.spec,
            &self.frozen.shape,
            &self.frozen.serving,
            self.frozen.loading.as_ref(),
            change,
            annotations,
        )
        .map_err(|error| errors::bug(&error.to_string()))
    }

    async fn run(&self, context: &Context<Client>, graph: &ExecutionGraph) -> Report {
        let limit = schema::TIMEOUTS.of(&self.timeouts, self.operation);
        execute(context, &self.google, graph, limit).await
    }

    async fn live(&self) -> Result<Option<LiveService>, Diagnostic> {
        self.google
            .read_endpoint(&self.identity, read_deadline())
            .await
            .map_err(|failure| unreadable(&self.identity, &failure))
    }

    /// The plan, with what only the finished service knows.
    fn finished(
        &self,
        report: &Report,
        planned: EndpointModel,
        mut private: Private,
    ) -> Result<State<EndpointModel>, Failed<EndpointModel>> {
        let mut frozen = self.frozen.clone();
        frozen.has_secret = manages_token(&self.spec);
        frozen.write(&mut private)?;
        let mut outputs = report.outputs.values();
        let url = outputs.find_map(|output| output.facts["uri"].as_str());
        let mut state = planned;
        state.openai_base_url = Value::from(url.map(openai_base_url));
        state.url = Value::from(url.map(str::to_owned));
        Ok(State::with_private(state, private))
    }

    fn explain(&self, report: &Report) -> Diagnostic {
        let operation = self.operation;
        match &report.end {
            End::Completed => errors::bug("a completed run was taken for a failed one"),
            End::Refused { failure, .. } => {
                let after = if self.creates() {
                    "What this run had made was removed again; nothing is left."
                } else {
                    "What was changed before the refusal stays; plan again to see what is left to do."
                };
                refused(&format!("Endpoint cannot be {operation}d"), failure, after)
            }
            End::UndoFailed { failure, .. } => refused(
                &format!("Endpoint was not {operation}d, and something is left"),
                failure,
                &self.ways_on(report),
            ),
            End::Interrupted { why } => {
                let detail = format!("{}: {why}. {}", self.identity, self.ways_on(report));
                Diagnostic::error(format!("Endpoint was not {operation}d completely"))
                    .detail(detail)
            }
        }
    }

    fn creates(&self) -> bool {
        self.operation == "create"
    }

    /// What exists, what it costs, and how to go on.
    fn ways_on(&self, report: &Report) -> String {
        let left: Vec<&str> = report
            .left
            .iter()
            .map(|left| left.output.id.as_str())
            .collect();
        let exists = match (left.is_empty(), report.unsettled.is_empty()) {
            (false, true) => format!("These exist: {}.", left.join(", ")),
            (false, false) => format!("These exist, and perhaps more: {}.", left.join(", ")),
            (true, _) => "Whether anything exists could not be seen.".to_owned(),
        };
        let cost = match (self.spec.scaling.min_replicas, &self.hourly) {
            (0, _) => "Without traffic they cost nothing for compute.".to_owned(),
            (replicas, Some(hourly)) => {
                format!(
                    "A running service costs ${hourly} per hour and replica, for at least {replicas}."
                )
            }
            (_, None) => "What a running service costs per hour is not known.".to_owned(),
        };
        let ways_on = if self.creates() {
            "Two ways on: `terraform untaint` for this address and `terraform apply` continue where this run stopped; \
             `terraform apply` alone replaces what is there."
        } else {
            "`terraform apply` continues where this run stopped; until then the revision that served before serves."
        };
        format!("{exists} {cost} {ways_on}")
    }
}
