//! The plan of a cache: the commit, the files that are kept, whether they may be, and what they cost.
//!
//! ```text
//! config ─► defaults ─► commit ─► same inputs as before? ─yes─► what was planned stays
//!                        │                │no
//!                        │                ▼
//!               pinned: the one found  card ─► files ─► gates ─► cost, load times
//!               first; follow: now's
//! ```

use std::sync::Arc;

use openmodel_resolve::gates::Gates;
use openmodel_schemas::gguf::gguf_models;
use openmodel_schemas::name::{CommitSha, Revision};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::repository::RepositoryCard;
use openmodel_schemas::snapshot::{Repository, RepositoryType, SnapshotUri};
use openmodel_schemas::spec::CacheSpec;
use openmodel_transfer::select::{PatternError, Selection};
use openmodel_transfer::snapshot::wanted_digest;
use serde::{Deserialize, Serialize};
use tfplug::framework::{Context, Plan, PlanRequest, Private};
use tfplug::serve::log;
use tfplug::value::{Refinement, Value};
use tfplug::{Diagnostic, Diagnostics};

use super::inputs::{asked, patterns, repository, spec};
use super::model::CacheModel;
use super::{change, engine, place, show};
use crate::client::Client;
use crate::{errors, gates};

/// Where what was decided lies in private state.
const DECIDED: &str = "cache";

/// What was decided, kept beside the state: apply and the next plan go by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decided {
    /// The cache.
    pub(crate) spec: CacheSpec,
    /// What it was before this plan; none: there was none.
    pub(crate) before: Option<CacheSpec>,
    /// What updates were cut on their way to: what they have moved is in no state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cut: Vec<CacheSpec>,
}

impl Decided {
    /// What was put aside, if anything.
    pub(crate) fn read(private: &Private) -> Result<Option<Self>, Diagnostic> {
        private.get(DECIDED)
    }

    /// Puts it aside.
    pub(crate) fn write(&self, private: &mut Private) -> Result<(), Diagnostic> {
        private.set(DECIDED, self)
    }
}

/// Decides every planned value.
pub(crate) async fn plan(
    context: &Context<Client>,
    request: PlanRequest<CacheModel>,
) -> Result<Plan<CacheModel>, Diagnostics> {
    let client = context.client()?;
    let PlanRequest {
        prior,
        config,
        proposed,
        mut private,
        ..
    } = request;
    let mut planned = proposed;
    let mut requires_replace = Vec::new();
    planned.effective_labels = client.effective_labels(&config.labels);
    planned.transfer = engine::asked(&config);
    place::fill(
        client,
        &config,
        prior.as_ref(),
        &mut planned,
        &mut requires_replace,
    )
    .await?;
    let wait = |mut planned: CacheModel, input: &str, requires_replace| {
        wait_for(&mut planned, input);
        Ok(Plan {
            planned,
            requires_replace,
            private: None,
        })
    };

    let mut waiting = None;
    let repository = repository(&planned, &mut waiting)?;
    let (Some(repository), false) = (repository, client.hub_is_unknown) else {
        let input = waiting.unwrap_or("the provider's sandbox");
        return wait(planned, input, requires_replace);
    };
    let (before, cut) = match Decided::read(&private)? {
        Some(decided) => (Some(decided.spec), decided.cut),
        None => (None, Vec::new()),
    };
    let Some(revision) = planned.revision.as_known() else {
        return wait(planned, "revision", requires_replace);
    };
    let revision: Revision = revision
        .parse()
        .map_err(|error| errors::bug(&format!("revision: {error}")))?;
    let commit = commit_of(context, prior.as_ref(), &planned, &repository, &revision).await?;
    planned.resolved_revision = Value::Known(commit.to_string());
    let gates = asked(&planned).gates(&mut waiting);
    let spec = spec(&planned, repository.clone(), commit.clone(), &mut waiting)?;
    let Some(mut spec) = spec else {
        return wait(planned, waiting.unwrap_or("project"), requires_replace);
    };
    let Some(catalog) = client.catalog() else {
        return wait(planned, "the provider's catalog", requires_replace);
    };
    place::check(&spec, catalog)?;

    let same = prior.as_ref().filter(|prior| {
        before.as_ref().is_some_and(|before| keeps(before, &spec))
            && same_gates(prior, &planned)
            && prior.retention == planned.retention
            && !engine::asks_anew(prior, &planned)
    });
    if let (Some(prior), Some(before)) = (same, &before) {
        spec.selection.clone_from(&before.selection);
        spec.digest.clone_from(&before.digest);
        keep(prior, &mut planned);
        engine::decide(Some(prior), None, &mut planned, &mut spec)?;
    } else {
        let is_there = prior.is_some();
        let (card, selection) = choose(context, &planned, &gates, &spec, is_there).await?;
        warn_of_formats(context, &planned, &card, &selection);
        spec.selection = selection.digest(card.repository.kind, &card.files);
        let digest = wanted_digest(&selection.files);
        spec.digest = digest
            .map_err(|trouble| on("repository", "Repository cannot be kept", &trouble.message))?;
        show::facts(&card, &selection, &mut planned);
        engine::decide(None, Some(&card), &mut planned, &mut spec)?;
        let theirs = place::look(client, prior.as_ref(), &spec).await?;
        let retained = change::retained(prior.as_ref(), &planned, &spec);
        let places = place::priced(client, &spec, theirs.as_ref(), &retained).await?;
        let bytes = selection.bytes();
        show::figures(&spec, places, bytes, catalog, &mut planned);
    }
    spec.labels = labels(&planned);
    let uris: Vec<SnapshotUri> = spec.places().into_iter().map(|place| place.uri).collect();
    planned.id = uris.first().map(ToString::to_string).into();
    planned.uri = Value::Known(show::uris(&spec));
    planned.manifest_digest = Value::Known(spec.digest.clone());
    planned.drift = show::list([]);
    planned.foreign_objects = prior
        .as_ref()
        .map(|prior| prior.foreign_objects.clone())
        .filter(Value::is_known)
        .unwrap_or_else(|| show::list([]));
    planned.snapshots = show::list(change::retained(prior.as_ref(), &planned, &spec));
    planned.last_change = change::last(client, prior.as_ref(), before.as_ref(), &spec).await?;
    warn_of_foreign(context, &planned);
    Decided { spec, before, cut }.write(&mut private)?;
    Ok(Plan {
        planned,
        requires_replace,
        private: Some(private),
    })
}

/// The commit that is kept. A pinned one stays until the revision changes, or the cache is replaced (Terraform
/// plans and applies that as if nothing had been there); where the Hub cannot be asked a followed one stays too.
async fn commit_of(
    context: &Context<Client>,
    prior: Option<&CacheModel>,
    planned: &CacheModel,
    repository: &Repository,
    revision: &Revision,
) -> Result<CommitSha, Diagnostics> {
    let same = prior.filter(|prior| {
        prior.repository == planned.repository
            && prior.repository_type == planned.repository_type
            && prior.revision == planned.revision
    });
    let before = same.and_then(|prior| prior.resolved_revision.as_known()?.parse().ok());
    let pinned = planned.tracking.as_known().map(String::as_str) != Some("follow");
    match before {
        Some(commit) if pinned && revision.as_commit().is_none() => return Ok(commit),
        _ => {}
    }
    let client = context.client()?;
    match (client.commit(repository, revision, None).await, before) {
        (Ok(commit), _) => Ok(commit),
        (Err(error), None) => Err(errors::hub_of_cache(client, &error)),
        (Err(error), Some(before)) => {
            context.warn(
                Diagnostic::warning("It is not known whether the branch has moved")
                    .at("tracking")
                    .detail(format!(
                        "{} The cache stays at {before} until the Hub says more.",
                        errors::sentence(&error.to_string())
                    )),
            );
            Ok(before)
        }
    }
}

/// The files that are kept: read from the Hub, and let through by the gates.
async fn choose(
    context: &Context<Client>,
    planned: &CacheModel,
    gates: &Gates,
    spec: &CacheSpec,
    is_there: bool,
) -> Result<(Arc<RepositoryCard>, Selection), Diagnostics> {
    let client = context.client()?;
    let revision = spec.commit.clone().into();
    let unread = |error| {
        if is_there {
            context.warn(gates::can_go());
        }
        errors::hub_of_cache(client, &error)
    };
    let card = client.hub().repository(&spec.repository, &revision).await;
    let card = card.map_err(unread)?;
    let patterns = patterns(planned, &mut None);
    let selection = patterns.select(card.repository.kind, &card.files);
    let selection = selection.map_err(|error| {
        let path = match &error {
            PatternError::Broken { list, .. } | PatternError::MatchesNothing { list, .. } => *list,
            PatternError::NothingLeft(_) => "exclude",
        };
        on(
            path,
            "Pattern does not fit the repository",
            &error.to_string(),
        )
    })?;
    client.hub().can_read(&card).await.map_err(unread)?;
    // What is waited for is asked again during the apply.
    gates::pass(context, gates, &card, &selection.files, is_there, unread).await?;
    Ok((card, selection))
}

/// Whether a cache keeps the same files in the same places.
fn keeps(before: &CacheSpec, now: &CacheSpec) -> bool {
    let core = |spec: &CacheSpec| CacheSpec {
        selection: None,
        digest: String::new(),
        labels: std::collections::BTreeMap::new(),
        transfer: now.transfer.clone(),
        ..spec.clone()
    };
    core(before) == core(now)
}

fn same_gates(prior: &CacheModel, planned: &CacheModel) -> bool {
    prior.licenses == planned.licenses
        && prior.formats == planned.formats
        && prior.scan == planned.scan
        && prior.require_signature == planned.require_signature
}

/// What was planned stays as it was planned, prices above all.
fn keep(prior: &CacheModel, planned: &mut CacheModel) {
    planned.files = prior.files.clone();
    planned.bytes = prior.bytes.clone();
    planned.left_out = prior.left_out.clone();
    planned.license = prior.license.clone();
    planned.scan_status = prior.scan_status.clone();
    planned.cost = prior.cost.clone();
    planned.load_time = prior.load_time.clone();
}

fn labels(planned: &CacheModel) -> std::collections::BTreeMap<String, String> {
    let labels = planned.effective_labels.as_known().into_iter().flatten();
    labels
        .filter_map(|(key, value)| Some((key.clone(), value.as_known()?.clone())))
        .collect()
}

fn warn_of_foreign(context: &Context<Client>, planned: &CacheModel) {
    let foreign = super::inputs::texts(&planned.foreign_objects, "foreign_objects", &mut None);
    if foreign.is_empty() {
        return;
    }
    let id = planned.id.as_known().map_or("", String::as_str);
    context.warn(
        Diagnostic::warning("Foreign objects in the snapshot")
            .at("foreign_objects")
            .detail(format!(
                "In {id} lie objects that no manifest lists: {}. An engine that reads the folder may load them. \
                 openmodel leaves them alone; remove them if nobody needs them there.",
                foreign.join(", ")
            )),
    );
}

/// One model in several GGUF formats is kept whole where nobody says which of them is served.
fn warn_of_formats(
    context: &Context<Client>,
    planned: &CacheModel,
    card: &RepositoryCard,
    selection: &Selection,
) {
    let models = gguf_models(&selection.files);
    let is_chosen = !planned.include.is_null() || !planned.exclude.is_null();
    let [first, _, ..] = models.as_slice() else {
        return;
    };
    if is_chosen || card.repository.kind != RepositoryType::Model {
        return;
    }
    let bytes = models
        .iter()
        .fold(Bytes(0), |sum, model| sum + model.bytes());
    context.warn(
        Diagnostic::warning("Several GGUF models are kept")
            .at("include")
            .detail(format!(
                "{} has {} GGUF models, {bytes} together, and an engine serves one. Set include to what is served, \
                 such as [\"config.json\", \"{}*\"].",
                card.repository.id,
                models.len(),
                first.name
            )),
    );
}

/// Leaves what follows from an unknown input unknown.
fn wait_for(planned: &mut CacheModel, input: &str) {
    let text = format!("files, cost and load times are known once {input} is known");
    log::info("cache", &text, &[]);
    let not_null = || Refinement::default().with_not_null();
    engine::wait_for(planned);
    planned.id = Value::unknown_with("gs://");
    planned.uri = Value::Unknown(not_null());
    planned.files = Value::Unknown(not_null());
    planned.bytes = Value::Unknown(not_null());
    planned.left_out = Value::unknown();
    planned.manifest_digest = Value::Unknown(not_null());
    planned.license = Value::unknown();
    planned.scan_status = Value::unknown();
    planned.drift = Value::Unknown(not_null());
    planned.foreign_objects = Value::Unknown(not_null());
    planned.snapshots = Value::Unknown(not_null());
    planned.last_change = Value::unknown();
    planned.cost = Value::Unknown(not_null());
    planned.load_time = Value::Unknown(not_null());
    if !planned.resolved_revision.is_known() {
        planned.resolved_revision = Value::Unknown(not_null());
    }
}

fn on(path: &str, summary: &str, why: &str) -> Diagnostics {
    Diagnostic::error(summary)
        .at(path)
        .detail(errors::sentence(why))
        .into()
}
