//! The plan of an endpoint: the model's facts, the choice of shape, and what it costs.
//!
//! ```text
//! config ─► defaults ─► commit of the revision ─► same inputs as before? ─yes─► frozen placement
//!                         (Hub, cached)                    │no
//!                                                          ▼
//!                                  model card ─► place ─► gates ─► planned values, private placement
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use openmodel_cloud::google::SnapshotState;
use openmodel_resolve::place;
use openmodel_schemas::name::{CommitSha, EndpointName, ModelId, ProjectId, Region, Revision};
use openmodel_schemas::report::Placement;
use openmodel_schemas::snapshot::{Repository, SnapshotUri};
use openmodel_schemas::spec::{DraftModel, EndpointSpec};
use tfplug::Diagnostics;
use tfplug::framework::{Context, Plan, PlanRequest};
use tfplug::serve::log;
use tfplug::value::{Path, Refinement, Value};
use tokio::time::Instant;

use super::advice;
use super::frozen::{Frozen, digest, fingerprint};
use super::gate::{self, Served};
use super::inputs::{Identity, Inputs, fill_defaults, inputs, parse};
use super::model::{EndpointModel, EngineModel, ShapeModel};
use crate::client::Client;
use crate::{errors, workload};

/// How long a plan looks for a snapshot.
const LOOK: Duration = Duration::from_secs(30);

/// Decides every planned value.
pub(crate) async fn plan(
    context: &Context<Client>,
    request: PlanRequest<EndpointModel>,
) -> Result<Plan<EndpointModel>, Diagnostics> {
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
    fill_defaults(&config, &mut planned);
    place_in(
        client,
        &config,
        prior.as_ref(),
        &mut planned,
        &mut requires_replace,
    )?;
    planned.effective_labels = client.effective_labels(&config.labels);
    planned.status = Value::from("ready");

    let mut found = Diagnostics::new();
    let mut waiting = None;
    let name: Option<EndpointName> = parse(&planned.name, "name", &mut waiting, &mut found);
    let project: Option<ProjectId> = parse(&planned.project, "project", &mut waiting, &mut found);
    let region: Option<Region> = parse(&planned.region, "region", &mut waiting, &mut found);
    let model: Option<ModelId> = parse(&planned.model, "model", &mut None, &mut found);
    let revision: Option<Revision> = parse(&planned.revision, "revision", &mut None, &mut found);
    if found.has_errors() {
        return Err(found);
    }
    planned.id = match (&project, &region, &name) {
        (Some(project), Some(region), Some(name)) => Value::Known(format!(
            "projects/{project}/locations/{region}/services/{name}"
        )),
        _ => Value::unknown_with("projects/"),
    };

    let frozen = Frozen::read(&private)?;
    let cached = config.cache.as_known();
    let cached = cached.and_then(|uri| uri.parse::<SnapshotUri>().ok());
    let commit = match (&model, &revision) {
        // A snapshot that is not known yet says which commit is served, where nothing else does.
        _ if config.revision.is_null() && config.cache.is_unknown() => {
            planned.resolved_revision = Value::unknown();
            None
        }
        (Some(model), Some(revision)) if !client.hub_is_unknown => match cached {
            Some(uri) if config.revision.is_null() && uri.repository().id == *model => {
                Some(uri.commit())
            }
            _ => Some(commit_of(client, prior.as_ref(), frozen.as_ref(), model, revision).await?),
        },
        _ => None,
    };
    let (Some(commit), Some(region), Some(model)) = (commit, region, model) else {
        wait(
            &mut planned,
            &config,
            "model, revision, cache, region or the provider's sandbox",
        );
        return Ok(Plan {
            planned,
            requires_replace,
            private: None,
        });
    };
    planned.resolved_revision = Value::Known(commit.to_string());

    let identity = Identity {
        region,
        project: project.map_or_else(|| stand_in("unknown-yet"), Ok)?,
        name: name.map_or_else(|| stand_in("unknown-yet"), Ok)?,
    };
    let draft_model = draft_model(client, frozen.as_ref(), &planned).await?;
    let spec = match inputs(&config, &planned, &commit, draft_model, identity)? {
        Inputs::Known(spec) => *spec,
        Inputs::Waiting(input) => {
            wait(&mut planned, &config, input);
            return Ok(Plan {
                planned,
                requires_replace,
                private: None,
            });
        }
    };

    let inputs = fingerprint(&spec);
    let has_secret = frozen.as_ref().is_some_and(|frozen| frozen.has_secret);
    let before = frozen.clone();
    let mut frozen = match (frozen, &prior) {
        (Some(frozen), Some(prior))
            if frozen.inputs == inputs && frozen.advice == digest(prior) =>
        {
            planned.memory = prior.memory.clone();
            planned.performance = prior.performance.clone();
            planned.load_time = prior.load_time.clone();
            planned.cost = prior.cost.clone();
            planned.recommendation = prior.recommendation.clone();
            frozen
        }
        _ => {
            let Some(catalog) = client.catalog() else {
                wait(&mut planned, &config, "the provider's catalog");
                return Ok(Plan {
                    planned,
                    requires_replace,
                    private: None,
                });
            };
            let card = client
                .hub()
                .card(&model, &commit.clone().into())
                .await
                .map_err(|error| errors::hub(client, &error))?;
            let draft = match &spec.workload.draft_model {
                Some(draft) => {
                    let revision = draft.commit.clone().into();
                    let card = client.hub().card(&draft.model, &revision).await;
                    Some(card.map_err(|error| errors::hub_of_draft(client, &error))?)
                }
                None => None,
            };
            let placement = place(&spec, &card, draft.as_deref(), catalog)
                .map_err(|error| errors::resolve(&error))?;
            // Boxed: a plan that looks for a snapshot holds more than one that does not.
            Box::pin(check_snapshot(client, &spec, &placement)).await?;
            advice::show(&placement, &mut planned);
            Frozen {
                inputs,
                shape: placement.shape,
                serving: placement.serving,
                loading: placement.loading,
                draft_model: spec.workload.draft_model.clone(),
                args: sets(&config, |engine| engine.args.is_known())
                    .then(|| spec.engine.args.clone()),
                env: sets(&config, |engine| engine.env.is_known()).then(|| spec.engine.env.clone()),
                advice: digest(&planned),
                has_secret,
                waits: false,
            }
        }
    };
    frozen.waits = match (&prior, &before) {
        (Some(prior), Some(before)) if gate::is_judged(prior, before, &planned, &frozen) => {
            before.waits
        }
        _ => {
            let served = Served {
                model: &model,
                commit: &commit,
                quantization: spec.quantization,
                frozen: &frozen,
            };
            gate::pass(context, &planned, prior.is_some(), &served).await?
        }
    };
    advice::show_container(&frozen, &config, &mut planned);
    // The service's URL is fixed when it is created.
    let same = prior.as_ref().filter(|prior| prior.id == planned.id);
    let kept = |url: Option<&Value<String>>| match url {
        Some(url) if url.is_known() => url.clone(),
        _ => Value::unknown_with("http"),
    };
    planned.url = kept(same.map(|prior| &prior.url));
    planned.openai_base_url = kept(same.map(|prior| &prior.openai_base_url));
    frozen.write(&mut private)?;
    Ok(Plan {
        planned,
        requires_replace,
        private: Some(private),
    })
}

/// Project and region: the configuration's, else the provider's. Where the provider's has changed,
/// the endpoint moves, and that is a replacement.
fn place_in(
    client: &Client,
    config: &EndpointModel,
    prior: Option<&EndpointModel>,
    planned: &mut EndpointModel,
    requires_replace: &mut Vec<Path>,
) -> Result<(), Diagnostics> {
    let mut found = Diagnostics::new();
    let mut choose = |name: &'static str,
                      config: &Value<String>,
                      default: &Value<String>,
                      prior: Option<&Value<String>>| {
        let chosen = if config.is_null() {
            default.clone()
        } else {
            config.clone()
        };
        if chosen.is_null() {
            found.push(errors::unset(name));
        }
        if let Some(prior) = prior
            && config.is_null()
            && *prior != chosen
        {
            requires_replace.push(Path::from(name));
        }
        chosen
    };
    planned.project = choose(
        "project",
        &config.project,
        &client.project,
        prior.map(|p| &p.project),
    );
    planned.region = choose(
        "region",
        &config.region,
        &client.region,
        prior.map(|p| &p.region),
    );
    if found.has_errors() {
        Err(found)
    } else {
        Ok(())
    }
}

/// The commit that a revision stands for now, or at which the endpoint runs.
async fn commit_of(
    client: &Client,
    prior: Option<&EndpointModel>,
    frozen: Option<&Frozen>,
    model: &ModelId,
    revision: &Revision,
) -> Result<CommitSha, Diagnostics> {
    let before = prior.filter(|prior| {
        frozen.is_some()
            && prior.model.as_known().map(String::as_str) == Some(model.as_str())
            && prior.revision.as_known().map(String::as_str) == Some(revision.as_str())
    });
    let before = before.and_then(|prior| prior.resolved_revision.as_known()?.parse().ok());
    let repository = Repository::model(model.clone());
    let commit = client.commit(&repository, revision, before).await;
    commit.map_err(|error| errors::hub(client, &error))
}

/// The draft model of the load, at the commit it was first planned with: another one would be
/// downloaded anew, and answers would stay what they are.
async fn draft_model(
    client: &Client,
    frozen: Option<&Frozen>,
    planned: &EndpointModel,
) -> Result<Option<DraftModel>, Diagnostics> {
    let Some(model) = workload::draft_model(&planned.workload)? else {
        return Ok(None);
    };
    let kept = frozen
        .and_then(|frozen| frozen.draft_model.as_ref())
        .filter(|kept| kept.model == model);
    if let Some(kept) = kept {
        return Ok(Some(kept.clone()));
    }
    let repository = Repository::model(model);
    match client.hub().resolve(&repository, &Revision::main()).await {
        Ok(commit) => Ok(Some(DraftModel {
            model: repository.id,
            commit,
        })),
        Err(error) => Err(errors::hub_of_draft(client, &error)),
    }
}

/// Refuses a snapshot that is there and cannot serve. One that is not there yet may be made by the same
/// apply, which then looks again; so it does where nothing can be seen now.
async fn check_snapshot(
    client: &Client,
    spec: &EndpointSpec,
    placement: &Placement,
) -> Result<(), Diagnostics> {
    let (Some(cache), Some(loading)) = (&spec.cache, &placement.loading) else {
        return Ok(());
    };
    if client.waits_for().is_some() {
        return Ok(());
    }
    let google = client.google(BTreeMap::new())?;
    let deadline = Instant::now() + LOOK;
    let look = google.look_at_snapshot(&cache.uri, &spec.region, &loading.files, deadline);
    match look.await {
        Ok(SnapshotState::Unfit(failure)) => Err(errors::snapshot(&failure).into()),
        Ok(SnapshotState::Complete) => Ok(()),
        Ok(SnapshotState::Incomplete | SnapshotState::NoBucket) => {
            let text = format!("{} is not complete yet; the apply waits for it", cache.uri);
            log::info("endpoint", &text, &[]);
            Ok(())
        }
        // The same apply may mend its cache first.
        Ok(SnapshotState::Damaged(failure)) | Err(failure) => {
            let text = format!("{} is checked at apply: {failure}", cache.uri);
            log::warn("endpoint", &text, &[]);
            Ok(())
        }
    }
}

/// Leaves what the advice would fill unknown, and tells the log what it waits for.
fn wait(planned: &mut EndpointModel, config: &EndpointModel, input: &str) {
    log::info(
        "endpoint",
        &format!("shape, memory and cost are known once {input} is known"),
        &[],
    );
    let never_null = Refinement::default().with_not_null();
    planned.memory = Value::Unknown(never_null.clone());
    planned.performance = Value::unknown();
    planned.load_time = Value::Unknown(never_null.clone());
    planned.loader = if config.cache.is_null() {
        Value::Null
    } else {
        unless_set(&config.loader)
    };
    planned.cost = Value::Unknown(never_null.clone());
    planned.recommendation = Value::Unknown(never_null);
    if !planned.resolved_revision.is_known() {
        planned.resolved_revision = Value::Unknown(Refinement::default().with_not_null());
    }
    planned.shape = match &config.shape {
        Value::Known(shape) => Value::Known(ShapeModel {
            accelerator: unless_set(&shape.accelerator),
            accelerator_count: unless_set(&shape.accelerator_count),
            cpu: unless_set(&shape.cpu),
            memory_gib: unless_set(&shape.memory_gib),
        }),
        _ => Value::Unknown(Refinement::default().with_not_null()),
    };
    planned.engine = match &config.engine {
        Value::Known(engine) => Value::Known(EngineModel {
            name: unless_set(&engine.name),
            image: unless_set(&engine.image),
            args: engine.args.clone(),
            env: engine.env.clone(),
        }),
        _ => Value::Unknown(Refinement::default().with_not_null()),
    };
}

fn unless_set<T: Clone>(config: &Value<T>) -> Value<T> {
    if config.is_null() {
        Value::unknown()
    } else {
        config.clone()
    }
}

/// A name that has no part in the choice, while the real one is not known.
fn stand_in<T: std::str::FromStr<Err = openmodel_schemas::name::NameError>>(
    text: &str,
) -> Result<T, Diagnostics> {
    text.parse()
        .map_err(|error: openmodel_schemas::name::NameError| errors::bug(&error.to_string()).into())
}

/// Whether the configuration sets something of the engine.
fn sets(config: &EndpointModel, what: impl Fn(&EngineModel) -> bool) -> bool {
    config.engine.as_known().is_some_and(what)
}
