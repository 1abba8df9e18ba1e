//! Create, update and delete: the graph of a cache, run until it is done, refused or cut.
//!
//! | end of a run | state | what lies in Cloud Storage |
//! |---|---|---|
//! | completed | as planned | the snapshots |
//! | refused, a create | none | nothing of it |
//! | refused, an update | what was before | the snapshots before; what others of its places got goes with the next change |
//! | interrupted | as planned, tainted or to be mended | what was verified: the next apply goes on from there |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openmodel_apply::cloud::Failure;
use openmodel_apply::report::{End, Report};
use openmodel_graph::graph::ExecutionGraph;
use openmodel_graph::operation::Operation;
use openmodel_resolve::caching::lowering::{Leaving, identity, lower_cache, lower_cache_delete};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::repository::RepositoryCard;
use openmodel_schemas::spec::CacheSpec;
use openmodel_transfer::select::Patterns;
use tfplug::framework::{
    Context, CreateRequest, DeleteRequest, Failed, Private, State, UpdateRequest,
};
use tfplug::serve::log;
use tfplug::{Diagnostic, Diagnostics};
use tokio::time::Instant;

use super::model::CacheModel;
use super::plan::Decided;
use super::read::Record;
use super::{change, inputs, place, schema, show};
use crate::client::Client;
use crate::deletion;
use crate::errors;
use crate::execute::{execute, refused};
use crate::gates;
use crate::mirroring::{DENIED, Mirroring, NO_BUCKET};

/// Makes a cache.
pub(crate) async fn create(
    context: &Context<Client>,
    request: CreateRequest<CacheModel>,
) -> Result<State<CacheModel>, Failed<CacheModel>> {
    let mut planned = request.planned;
    let job = Job::new(context, "create", &mut planned, &request.private).await?;
    let graph = job.lower(false, &Leaving::default())?;
    let report = job.run(context, &graph).await;
    if report.end == End::Completed {
        return Ok(State::with_private(planned, request.private));
    }
    let diagnostic = job.explain(&graph, &report);
    if let End::Refused { .. } = report.end {
        return Err(diagnostic.into());
    }
    Err(Failed::with_state(
        State::with_private(planned, request.private),
        diagnostic,
    ))
}

/// Brings a cache to its new plan: another commit, other places, or what is missing.
pub(crate) async fn update(
    context: &Context<Client>,
    request: UpdateRequest<CacheModel>,
) -> Result<State<CacheModel>, Failed<CacheModel>> {
    let mut planned = request.planned;
    let job = Job::new(context, "update", &mut planned, &request.private).await?;
    let before = job.decided.before.clone();
    let before = before.unwrap_or_else(|| job.decided.spec.clone());
    let now = (&planned, &job.decided.spec);
    let cut = &job.decided.cut;
    let leaving = change::leaving(&request.prior, &before, cut, Some(now));
    let graph = job.lower(true, &leaving)?;
    let report = job.run(context, &graph).await;
    let mut private = request.private;
    if report.end == End::Completed {
        let decided = Decided {
            before: None,
            cut: Vec::new(),
            ..job.decided
        };
        decided.write(&mut private)?;
        return Ok(State::with_private(planned, private));
    }
    // What is not done shows again in the next plan; what was moved for it goes with the next change.
    let mut cut = job.decided.cut.clone();
    cut.retain(|spec| *spec != job.decided.spec);
    cut.push(job.decided.spec.clone());
    let decided = Decided {
        spec: before,
        before: None,
        cut,
    };
    decided.write(&mut private)?;
    Err(Failed::with_state(
        State::with_private(request.prior, private),
        job.explain(&graph, &report),
    ))
}

/// Removes what the manifests of a cache list, unless its policy is to abandon them.
pub(crate) async fn delete(
    context: &Context<Client>,
    request: DeleteRequest<CacheModel>,
) -> Result<(), Failed<CacheModel>> {
    let state = request.state;
    let id = state.id.as_known().cloned().unwrap_or_default();
    if deletion::abandons(&state.deletion_policy) {
        log::info(
            "cache",
            &format!("{id} is abandoned: it stays, and costs"),
            &[],
        );
        return Ok(());
    }
    let decided = Decided::read(&request.private)?
        .ok_or_else(|| errors::bug("the state of a cache does not say what was decided"))?;
    let leaving = change::leaving(&state, &decided.spec, &decided.cut, None);
    let graph = lower_cache_delete(&identity(&decided.spec), &leaving)
        .map_err(|error| errors::bug(&error.to_string()))?;
    let cloud = Mirroring {
        google: context.client()?.google(BTreeMap::new())?,
        card: None,
        record: Vec::new(),
    };
    let limit = schema::TIMEOUTS.of(&state.timeouts, "delete");
    let report = execute(context, &cloud, &graph, limit).await;
    match &report.end {
        End::Completed => Ok(()),
        End::Refused { failure, .. } | End::UndoFailed { failure, .. } => {
            Err(refused("Cache cannot be deleted", failure, "It is still in the state.").into())
        }
        End::Interrupted { why } => Err(Diagnostic::error("Deletion was interrupted")
            .detail(format!(
                "Deleting {id} did not end: {why}. What is left may still cost. `terraform destroy` goes on."
            ))
            .into()),
    }
}

/// All that one create or update works with.
struct Job {
    decided: Decided,
    cloud: Mirroring,
    limit: Duration,
    operation: &'static str,
}

impl Job {
    async fn new(
        context: &Context<Client>,
        operation: &'static str,
        planned: &mut CacheModel,
        private: &Private,
    ) -> Result<Self, Diagnostics> {
        let client = context.client()?;
        let decided = Decided::read(private)?
            .ok_or_else(|| errors::bug("the plan of a cache does not say what was decided"))?;
        let limit = schema::TIMEOUTS.of(&planned.timeouts, operation);
        let card = scanned(client, planned, &decided, Instant::now() + limit).await?;
        if !planned.scan_status.is_known() {
            planned.scan_status = show::scan_status(&card).into();
        }
        if planned.cost.is_unknown() {
            priced(client, planned, &decided.spec).await?;
        }
        let record = Record::new(planned, &decided).to_bytes();
        Ok(Self {
            cloud: Mirroring {
                google: client.google(BTreeMap::new())?,
                card: Some(card),
                record: record.map_err(|error| errors::bug(&error.to_string()))?,
            },
            limit,
            operation,
            decided,
        })
    }

    fn lower(&self, take: bool, leaving: &Leaving) -> Result<ExecutionGraph, Diagnostic> {
        lower_cache(&self.decided.spec, take, leaving)
            .map_err(|error| errors::bug(&error.to_string()))
    }

    async fn run(&self, context: &Context<Client>, graph: &ExecutionGraph) -> Report {
        execute(context, &self.cloud, graph, self.limit).await
    }

    fn explain(&self, graph: &ExecutionGraph, report: &Report) -> Diagnostic {
        let operation = self.operation;
        let place = identity(&self.decided.spec);
        match &report.end {
            End::Completed => errors::bug("a completed run was taken for a failed one"),
            End::Refused { step, failure } => {
                let after = if operation == "create" {
                    "What this run had moved, if anything, was removed again; nothing is left."
                } else {
                    "The snapshots that were there before stay as they are."
                };
                match &self.decided.spec.bucket {
                    Some(bucket) if failure.code == NO_BUCKET => no_bucket(bucket, after),
                    _ => {
                        let said =
                            refused(&format!("Cache cannot be {operation}d"), failure, after);
                        match graph
                            .operation(*step)
                            .and_then(|step| self.attribute(step, failure))
                        {
                            Some(path) => said.at(path),
                            None => said,
                        }
                    }
                }
            }
            End::UndoFailed { failure, .. } => {
                let left: Vec<&str> = report
                    .left
                    .iter()
                    .map(|left| left.output.id.as_str())
                    .collect();
                let after = format!(
                    "These could not be removed again, and cost: {}. `terraform apply` tries again.",
                    left.join(", ")
                );
                refused(
                    &format!("Cache was not {operation}d, and something is left"),
                    failure,
                    &after,
                )
            }
            End::Interrupted { why } => {
                let may_be_there = !report.left.is_empty() || !report.unsettled.is_empty();
                if operation == "create" && !may_be_there {
                    return Diagnostic::error("Cache was not created").detail(format!(
                        "{place}: {why}. Nothing of it is there. `terraform apply` begins anew."
                    ));
                }
                let ways_on = if operation == "create" {
                    "Two ways on: `terraform untaint` for this address and `terraform apply` go on where this run \
                     stopped; `terraform apply` alone removes what is there and begins anew."
                } else {
                    "`terraform apply` goes on where this run stopped."
                };
                Diagnostic::error(format!("Cache was not {operation}d completely")).detail(format!(
                    "{place}: {why}. Files that were verified stay in the bucket and cost what their storage costs. \
                     {ways_on}"
                ))
            }
        }
    }

    /// What of the configuration asks for a step that failed so.
    fn attribute(&self, operation: &Operation, failure: &Failure) -> Option<&'static str> {
        let spec = &self.decided.spec;
        let place = |bucket: &str| {
            if bucket != spec.places().swap_remove(0).uri.bucket() {
                "regions"
            } else if spec.bucket.is_some() {
                "bucket"
            } else {
                "location"
            }
        };
        Some(match operation {
            Operation::CreateBucket { bucket, .. } => place(&bucket.name),
            Operation::RunTransferJob { snapshot, .. }
            | Operation::RunStorageTransfer { snapshot, .. }
            | Operation::MirrorSnapshot { snapshot, .. }
            | Operation::MarkSnapshotReady { snapshot, .. }
                if failure.code == DENIED =>
            {
                place(snapshot.bucket())
            }
            Operation::SetAnywhereCache { .. } => "anywhere_cache.zones",
            Operation::RunTransferJob { .. } | Operation::RunStorageTransfer { .. } => {
                "transfer.engine"
            }
            _ => return None,
        })
    }
}

/// What it costs, now that the bucket is there whose class decides it.
async fn priced(
    client: &Client,
    planned: &mut CacheModel,
    spec: &CacheSpec,
) -> Result<(), Diagnostics> {
    let retained = inputs::texts(&planned.snapshots, "snapshots", &mut None);
    let Some(places) = place::priced(client, spec, None, &retained).await? else {
        let bucket = spec.bucket.as_deref().unwrap_or_default();
        return Err(no_bucket(bucket, "Nothing was begun.").into());
    };
    let catalog = client.catalog();
    let catalog = catalog.ok_or_else(|| errors::bug("the catalog is not known while applying"))?;
    let bytes = planned.bytes.as_known();
    let bytes = bytes.and_then(|bytes| u64::try_from(*bytes).ok());
    show::figures(
        spec,
        Some(places),
        Bytes(bytes.unwrap_or_default()),
        catalog,
        planned,
    );
    Ok(())
}

fn no_bucket(bucket: &str, after: &str) -> Diagnostic {
    Diagnostic::error("Bucket is not there")
        .at("bucket")
        .detail(format!(
            "There is no bucket {bucket}. Make it before this cache, or leave bucket out and openmodel makes one. {after}"
        ))
}

/// The repository, once its scanners have said what the gates wait for.
async fn scanned(
    client: &Client,
    planned: &CacheModel,
    decided: &Decided,
    deadline: Instant,
) -> Result<Arc<RepositoryCard>, Diagnostics> {
    let spec = &decided.spec;
    let revision = spec.commit.clone().into();
    let unread = |error| errors::hub_of_cache(client, &error);
    let card = client.hub().repository(&spec.repository, &revision).await;
    let card = card.map_err(unread)?;
    let patterns = Patterns {
        include: spec.include.clone(),
        exclude: spec.exclude.clone(),
    };
    let selection = patterns
        .select(card.repository.kind, &card.files)
        .map_err(|error| errors::bug(&error.to_string()))?;
    let gates = inputs::asked(planned).gates(&mut None);
    gates::wait(client, &gates, card, &selection.files, unread, deadline).await
}
