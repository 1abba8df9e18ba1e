//! Who moves the files: what the configuration asks for, filled in by size.

use openmodel_resolve::caching::engine::{Choice, Engine, Load, choose, job_region};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::repository::{Gating, RepositoryCard};
use openmodel_schemas::spec::{CacheSpec, TransferEngine, TransferJob};
use openmodel_transfer::repository::PARALLELISM;
use tfplug::value::{Refinement, Value};
use tfplug::{Diagnostic, Diagnostics};

use super::model::{CacheModel, TransferModel};
use crate::schema_parts::named;

/// How an image for a job is made, as long as there is no public one.
pub(crate) const BUILD: &str = "There is no public image of openmodel. Build one from the root of its repository and \
     push it to where the job may read it: docker build -t REGION-docker.pkg.dev/PROJECT/REPOSITORY/openmodel . && \
     docker push REGION-docker.pkg.dev/PROJECT/REPOSITORY/openmodel";

/// That a job has an image, and that nothing is set which the engine would pass over in silence.
pub(crate) fn validate(config: &CacheModel) -> Diagnostics {
    let mut found = Diagnostics::new();
    let Some(transfer) = config.transfer.as_known() else {
        return found;
    };
    let engine = match &transfer.engine {
        Value::Known(word) => named(&Engine::ALL, Engine::as_str, word),
        // By size: the job above 84 GiB, where it has an image.
        Value::Null if transfer.image.is_null() => Some(Engine::Local),
        Value::Null | Value::Unknown(_) => None,
    };
    match engine {
        Some(Engine::CloudRunJob) if transfer.image.is_null() => found.push(
            Diagnostic::error("Image is not set")
                .at("transfer.image")
                .detail(format!(
                    "engine = \"cloud_run_job\" runs openmodel in a container. {BUILD}"
                )),
        ),
        Some(engine @ (Engine::Local | Engine::StorageTransfer)) => {
            for (path, is_set) in of_jobs(transfer) {
                if is_set {
                    found.push(unused(path, engine));
                }
            }
        }
        _ => {}
    }
    if engine == Some(Engine::StorageTransfer) && transfer.max_bandwidth_mib.is_known() {
        found.push(
            Diagnostic::error("Storage Transfer Service has no limit")
                .at("transfer.max_bandwidth_mib")
                .detail(
                    "It fetches as fast as it can. Leave max_bandwidth_mib out, or choose another engine.",
                ),
        );
    }
    found
}

/// What only a job uses, and whether it is set. A variable is not known in `terraform validate`, and may be null.
fn of_jobs(transfer: &TransferModel) -> [(&'static str, bool); 4] {
    [
        ("transfer.image", transfer.image.is_known()),
        ("transfer.tasks", transfer.tasks.is_known()),
        (
            "transfer.service_account",
            transfer.service_account.is_known(),
        ),
        (
            "transfer.hugging_face_token_secret",
            transfer.hugging_face_token_secret.is_known(),
        ),
    ]
}

fn unused(path: &str, engine: Engine) -> Diagnostic {
    let name = path.rsplit('.').next().unwrap_or(path);
    Diagnostic::error("Setting is of a job, and none runs")
        .at(path)
        .detail(format!(
            "Only the tasks of engine = \"cloud_run_job\" use {name}; {}. Set that engine and image, or leave {name} out.",
            match engine {
                Engine::Local => "here the machine that runs Terraform moves the files",
                _ => "here Storage Transfer Service moves the files",
            }
        ))
}

/// `transfer` as the configuration has it, with the default that no size changes.
pub(crate) fn asked(config: &CacheModel) -> Value<TransferModel> {
    let mut model = match &config.transfer {
        Value::Known(model) => model.clone(),
        Value::Null => TransferModel::default(),
        Value::Unknown(refinement) => return Value::Unknown(refinement.clone()),
    };
    if model.parallelism.is_null() {
        model.parallelism = Value::Known(i64::try_from(PARALLELISM).unwrap_or(1));
    }
    Value::Known(model)
}

/// Leaves what follows from an unknown input unknown.
pub(crate) fn wait_for(planned: &mut CacheModel) {
    let Value::Known(model) = &mut planned.transfer else {
        return;
    };
    if model.engine.is_null() {
        model.engine = Value::Unknown(Refinement::default().with_not_null());
    }
    if model.tasks.is_null() {
        model.tasks = Value::unknown();
    }
    model.reason = Value::Unknown(Refinement::default().with_not_null());
}

/// Whether the configuration asks for an engine that the repository must be looked at for: whether it is public.
pub(crate) fn asks_anew(prior: &CacheModel, planned: &CacheModel) -> bool {
    let word = |model: &CacheModel| model.transfer.as_known()?.engine.as_known().cloned();
    let now = word(planned);
    now.as_deref() == Some(Engine::StorageTransfer.as_str()) && now != word(prior)
}

/// Decides who moves the files. `before`: the same files are there already; what was decided stays, unless
/// the configuration says otherwise. `card`: what the Hub says, where it was asked.
pub(crate) fn decide(
    before: Option<&CacheModel>,
    card: Option<&RepositoryCard>,
    planned: &mut CacheModel,
    spec: &mut CacheSpec,
) -> Result<(), Diagnostics> {
    let number = |value: &Value<i64>| {
        let number = value.as_known();
        number.and_then(|number| u64::try_from(*number).ok())
    };
    let bytes = Bytes(number(&planned.bytes).unwrap_or(0));
    let files = number(&planned.files).and_then(|files| usize::try_from(files).ok());
    let Value::Known(model) = &mut planned.transfer else {
        return Ok(());
    };
    let engine_of = |model: &TransferModel| {
        let word = model.engine.as_known()?;
        named(&Engine::ALL, Engine::as_str, word)
    };
    let tasks_of = |model: &TransferModel| u32::try_from(number(&model.tasks)?).ok();
    let limit = spec.transfer.max_bandwidth_mib;
    let kept_tasks =
        |prior| tasks_of(prior).filter(|tasks| limit.is_none_or(|limit| *tasks <= limit));
    let image = model.image.as_known().cloned();
    let prior = before.and_then(|before| before.transfer.as_known());
    let kept = prior.and_then(engine_of).filter(|engine| match engine {
        Engine::Local => true,
        Engine::CloudRunJob => image.is_some(),
        // Only ever asked for.
        Engine::StorageTransfer => false,
    });
    let engine = engine_of(model).or(kept);
    let same_engine = prior.filter(|prior| engine_of(prior) == engine);
    let token_secret = model.hugging_face_token_secret.as_known().cloned();
    let is_closed = card.is_some_and(|card| card.private || card.gating != Gating::None);
    let lacks_token = is_closed && token_secret.is_none();
    let Choice {
        engine,
        tasks,
        mut reason,
    } = choose(&Load {
        bytes,
        files: files.unwrap_or(1),
        engine,
        tasks: tasks_of(model).or_else(|| same_engine.and_then(kept_tasks)),
        max_bandwidth_mib: limit,
        has_image: image.is_some(),
        lacks_token,
    });
    if let Some(said) = same_engine
        .filter(|prior| tasks_of(prior).unwrap_or(1) == tasks)
        .and_then(|prior| prior.reason.as_known())
    {
        reason.clone_from(said);
    }
    model.engine = Value::Known(engine.as_str().to_owned());
    if model.tasks.is_null() && engine == Engine::CloudRunJob {
        model.tasks = Value::Known(i64::from(tasks));
    }
    model.reason = Value::Known(reason);
    spec.transfer.engine = match (engine, image) {
        (Engine::CloudRunJob, Some(image)) => {
            if lacks_token {
                return Err(closed(spec).into());
            }
            if let Some(limit) = spec
                .transfer
                .max_bandwidth_mib
                .filter(|limit| *limit < tasks)
            {
                return Err(slow(tasks, limit).into());
            }
            TransferEngine::CloudRunJob(TransferJob {
                region: job_region(&spec.location).ok_or_else(|| nowhere(spec))?,
                image,
                tasks,
                service_account: model.service_account.as_known().cloned(),
                token_secret,
            })
        }
        (Engine::StorageTransfer, _) => {
            if is_closed {
                return Err(not_public(spec).into());
            }
            TransferEngine::StorageTransfer
        }
        _ => TransferEngine::Local,
    };
    Ok(())
}

fn closed(spec: &CacheSpec) -> Diagnostic {
    Diagnostic::error("Job has no Hub token")
        .at("transfer.hugging_face_token_secret")
        .detail(format!(
            "{} is gated or private, and a job gets no token from the provider: that would lie readable in the job's \
             description. Put one into Secret Manager, let the job's account read it \
             (roles/secretmanager.secretAccessor), and set hugging_face_token_secret to its version; or set engine = \
             \"local\".",
            spec.repository.id
        ))
}

fn slow(tasks: u32, limit: u32) -> Diagnostic {
    Diagnostic::error("Limit is less than a MiB/s for each task")
        .at("transfer.max_bandwidth_mib")
        .detail(format!(
            "{tasks} tasks share {limit} MiB/s, and each takes one at least. Set tasks = {limit} or less, leave it out, or \
             raise max_bandwidth_mib."
        ))
}

fn not_public(spec: &CacheSpec) -> Diagnostic {
    Diagnostic::error("Storage Transfer Service cannot read the repository")
        .at("transfer.engine")
        .detail(format!(
            "{} is gated or private, and Storage Transfer Service reads without a token. Set engine = \"local\", or \
             \"cloud_run_job\" with hugging_face_token_secret.",
            spec.repository.id
        ))
}

fn nowhere(spec: &CacheSpec) -> Diagnostic {
    Diagnostic::error("Job has no region")
        .at("transfer.engine")
        .detail(format!(
            "{} is no region, and this provider does not know which regions lie in it. Set engine = \"local\".",
            spec.location
        ))
}
