//! From Terraform's words to ours: the configured values as checked types, defaults filled in.
//!
//! A value may be unknown while planning. Then what depends on it stays unknown, and nothing else.

use std::collections::BTreeMap;
use std::str::FromStr;

use openmodel_schemas::name::{CommitSha, EndpointName, ModelId, NameError, ProjectId, Region};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::snapshot::SnapshotUriError;
use openmodel_schemas::spec::{
    Access, Budget, CacheBinding, DraftModel, EndpointSpec, EngineSpec, Loader, Objective,
    Quantization, Scaling, ShapeRequest, Surface, TokenSource,
};
use rust_decimal::Decimal;
use tfplug::value::Value;
use tfplug::{Diagnostic, Diagnostics};

use super::model::{AccessModel, EndpointModel, EngineModel, ScalingModel, ShapeModel, StringMap};
use crate::schema_parts::named;
use crate::workload::{self, known, with_typical_request};

/// The inputs of a placement, or the attribute they wait for.
pub(crate) enum Inputs {
    /// All known.
    Known(Box<EndpointSpec>),
    /// This attribute is not known before apply.
    Waiting(&'static str),
}

/// Fills `planned` with the defaults that depend on other values, from the configuration alone:
/// what is no longer configured goes back to its default.
pub(crate) fn fill_defaults(config: &EndpointModel, planned: &mut EndpointModel) {
    planned.workload = config.workload.clone().map(with_typical_request);
    planned.scaling = or_default(&config.scaling, default_scaling);
    planned.access = or_default(&config.access, default_access);
}

fn or_default<T: Clone + Default>(config: &Value<T>, fill: fn(T) -> T) -> Value<T> {
    match config {
        Value::Known(given) => Value::Known(fill(given.clone())),
        Value::Null => Value::Known(fill(T::default())),
        Value::Unknown(refinement) => Value::Unknown(refinement.clone()),
    }
}

fn default_scaling(mut scaling: ScalingModel) -> ScalingModel {
    if scaling.min_replicas.is_null() {
        // The default would contradict a smaller `max_replicas` in no case: that is at least 1.
        scaling.min_replicas = Value::Known(0);
    }
    if scaling.max_replicas.is_null() {
        scaling.max_replicas = match scaling.min_replicas {
            Value::Known(min) => Value::Known(min.max(1)),
            _ => Value::unknown(),
        };
    }
    scaling
}

fn default_access(mut access: AccessModel) -> AccessModel {
    if access.public.is_null() {
        access.public = Value::Known(false);
    }
    if access.invokers.is_null() {
        access.invokers = Value::Known(Vec::new());
    }
    access
}

/// Checks of values against each other; what a single value must be stands in the schema.
pub(crate) fn validate(config: &EndpointModel) -> Diagnostics {
    let mut found = Diagnostics::new();
    workload::validate(&config.workload, &mut found);
    if let Some(scaling) = config.scaling.as_known()
        && let (Some(min), Some(max)) = (
            scaling.min_replicas.as_known(),
            scaling.max_replicas.as_known(),
        )
        && min > max
    {
        found.push(Diagnostic::error("Replica bounds cross").at("scaling.min_replicas").detail(format!(
            "min_replicas is {min} and max_replicas is {max}. Lower the first or raise the second."
        )));
    }
    let has_token = !config.hugging_face_token_secret.is_null()
        || !config.hugging_face_token_wo_version.is_null();
    if has_token
        && let Some(engine) = config.engine.as_known()
        && engine
            .env
            .as_known()
            .is_some_and(|env| env.contains_key("HF_TOKEN"))
    {
        found.push(Diagnostic::error("Two sources of the Hub token").at("engine.env").detail(
            "HF_TOKEN in engine.env would be stored in the state, and the token's own arguments set it already. \
             Remove it from engine.env.",
        ));
    }
    if config.cache.is_known()
        && let Some(engine) = config.engine.as_known()
        && engine
            .env
            .as_known()
            .is_some_and(|env| env.contains_key("HF_TOKEN"))
    {
        found.push(Diagnostic::error("Token of a Hub that is never asked").at("engine.env").detail(
            "An endpoint with a cache serves from its snapshot and never asks the Hub, so it gets no token. Remove \
             HF_TOKEN from engine.env.",
        ));
    }
    if let Some(access) = config.access.as_known()
        && access.public.as_known() == Some(&true)
        && access
            .invokers
            .as_known()
            .is_some_and(|members| !members.is_empty())
    {
        found.push(Diagnostic::error("Invokers of a public endpoint").at("access.invokers").detail(
            "With public = true everyone may call the endpoint, so the list would promise a limit that is not \
             there. Remove invokers, or set public = false.",
        ));
    }
    found
}

/// The inputs of a placement: `planned` has project, region and the defaults; the parts that the
/// planner may choose come from `config`.
///
/// `commit` is the commit that `revision` stands for. The name and the project may still be
/// unknown: they have no part in the choice, and the spec then has a stand-in for each.
/// `draft_model` is the one that the load names, at the commit that is served.
pub(crate) fn inputs(
    config: &EndpointModel,
    planned: &EndpointModel,
    commit: &CommitSha,
    draft_model: Option<DraftModel>,
    identity: Identity,
) -> Result<Inputs, Diagnostics> {
    let mut found = Diagnostics::new();
    let mut waiting = None;

    let workload = workload::spec(&planned.workload, draft_model, &mut waiting);
    let scaling = known(&planned.scaling, "scaling", &mut waiting)
        .cloned()
        .unwrap_or_default();
    let min = known_number(&scaling.min_replicas, "scaling.min_replicas", &mut waiting);
    let max = known_number(&scaling.max_replicas, "scaling.max_replicas", &mut waiting);

    // Who may call, the budget and what the engine is given beside its own arguments have no part in
    // the choice: while they are unknown it is shown all the same, and made again at apply.
    let mut aside = None;
    let access = known(&planned.access, "access", &mut aside)
        .cloned()
        .unwrap_or_default();
    let model = parse::<ModelId>(&planned.model, "model", &mut waiting, &mut found);
    let spec = (|| {
        Some(EndpointSpec {
            project: identity.project,
            region: identity.region,
            name: identity.name,
            model: model?,
            commit: commit.clone(),
            surface: Surface::CloudRun,
            workload,
            quantization: quantization(&config.quantization, &mut waiting),
            shape: shape(&config.shape, &mut waiting),
            engine: engine(&config.engine, &mut waiting),
            scaling: Scaling {
                min_replicas: u32::try_from(min).unwrap_or(u32::MAX),
                max_replicas: u32::try_from(max).unwrap_or(u32::MAX),
            },
            access: Access {
                public: *known(&access.public, "access.public", &mut aside).unwrap_or(&false),
                invokers: texts(&access.invokers, "access.invokers", &mut aside),
            },
            budget: budget(config, &mut aside, &mut found),
            objective: objective(&planned.objective, &mut waiting),
            token: token(config, planned),
            cache: cache(config, &mut waiting, &mut found),
            labels: BTreeMap::new(),
        })
    })();
    if found.has_errors() {
        return Err(found);
    }
    Ok(match (spec, waiting) {
        (Some(spec), None) => Inputs::Known(Box::new(spec)),
        (_, waiting) => Inputs::Waiting(waiting.unwrap_or("model")),
    })
}

/// What an endpoint is called, with stand-ins for what is not known yet.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) project: ProjectId,
    pub(crate) region: Region,
    pub(crate) name: EndpointName,
}

/// Parses a known text; an unknown one is remembered as what the plan waits for.
pub(crate) fn parse<T: FromStr<Err = NameError>>(
    value: &Value<String>,
    path: &'static str,
    waiting: &mut Option<&'static str>,
    found: &mut Diagnostics,
) -> Option<T> {
    match known(value, path, waiting)?.parse() {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            found.push(
                Diagnostic::error("Invalid value")
                    .at(path)
                    .detail(format!("{error}.")),
            );
            None
        }
    }
}

fn quantization(value: &Value<String>, waiting: &mut Option<&'static str>) -> Option<Quantization> {
    known(value, "quantization", waiting)?.parse().ok()
}

fn objective(value: &Value<String>, waiting: &mut Option<&'static str>) -> Option<Objective> {
    let word = known(value, "objective", waiting)?;
    named(&Objective::ALL, Objective::as_str, word)
}

fn shape(value: &Value<ShapeModel>, waiting: &mut Option<&'static str>) -> ShapeRequest {
    let Some(shape) = known(value, "shape", waiting) else {
        return ShapeRequest::default();
    };
    let mut number = |value: &Value<i64>, path| {
        known(value, path, waiting).map(|n| u32::try_from(*n).unwrap_or(u32::MAX))
    };
    ShapeRequest {
        accelerator_count: number(&shape.accelerator_count, "shape.accelerator_count"),
        cpu: number(&shape.cpu, "shape.cpu"),
        memory: number(&shape.memory_gib, "shape.memory_gib").map(|gib| Bytes::gib(gib.into())),
        accelerator: known(&shape.accelerator, "shape.accelerator", waiting).cloned(),
    }
}

fn engine(value: &Value<EngineModel>, waiting: &mut Option<&'static str>) -> EngineSpec {
    let Some(engine) = known(value, "engine", waiting) else {
        return EngineSpec::default();
    };
    EngineSpec {
        name: known(&engine.name, "engine.name", waiting).cloned(),
        image: known(&engine.image, "engine.image", waiting).cloned(),
        args: texts(&engine.args, "engine.args", &mut None),
        env: text_map(&engine.env, "engine.env", &mut None),
    }
}

fn budget(
    config: &EndpointModel,
    waiting: &mut Option<&'static str>,
    found: &mut Diagnostics,
) -> Budget {
    let Some(budget) = known(&config.budget, "budget", waiting) else {
        return Budget::default();
    };
    let mut amount = |value: &Value<String>, path: &'static str| {
        let text = known(value, path, waiting)?;
        let amount = text.parse::<Decimal>();
        if amount.is_err() {
            found.push(Diagnostic::error("Invalid amount").at(path).detail(format!(
                "{text:?} is not an amount of US dollars such as \"900.00\"."
            )));
        }
        amount.ok()
    };
    Budget {
        max_hourly_cost: amount(&budget.max_hourly_cost, "budget.max_hourly_cost"),
        max_monthly_cost: amount(&budget.max_monthly_cost, "budget.max_monthly_cost"),
    }
}

/// The snapshot to serve from, and how.
fn cache(
    config: &EndpointModel,
    waiting: &mut Option<&'static str>,
    found: &mut Diagnostics,
) -> Option<CacheBinding> {
    let text = known(&config.cache, "cache", waiting)?;
    let loader = known(&config.loader, "loader", waiting);
    match text.parse() {
        Ok(uri) => Some(CacheBinding {
            uri,
            loader: loader.and_then(|word| named(&Loader::ALL, Loader::as_str, word)),
        }),
        Err(error) => {
            let error: SnapshotUriError = error;
            found.push(
                Diagnostic::error("Not a snapshot")
                    .at("cache")
                    .detail(format!("{error}.")),
            );
            None
        }
    }
}

/// The write-only value itself is in the configuration only; its version says that there is one.
/// An unknown one counts as set: what it will be has no part in the choice.
fn token(config: &EndpointModel, planned: &EndpointModel) -> TokenSource {
    match (
        &config.hugging_face_token_secret,
        &planned.hugging_face_token_wo_version,
    ) {
        (Value::Known(version), _) => TokenSource::Secret {
            version: version.clone(),
        },
        (Value::Unknown(_), _) => TokenSource::Secret {
            version: String::new(),
        },
        (Value::Null, Value::Known(version)) => TokenSource::Managed { version: *version },
        (Value::Null, Value::Unknown(_)) => TokenSource::Managed { version: 0 },
        (Value::Null, Value::Null) => TokenSource::None,
    }
}

/// Known texts of a list or set.
pub(crate) fn texts(
    value: &Value<Vec<Value<String>>>,
    path: &'static str,
    waiting: &mut Option<&'static str>,
) -> Vec<String> {
    let items = known(value, path, waiting)
        .map(Vec::as_slice)
        .unwrap_or_default();
    items
        .iter()
        .filter_map(|item| known(item, path, waiting).cloned())
        .collect()
}

/// Known texts of a map.
pub(crate) fn text_map(
    value: &Value<StringMap>,
    path: &'static str,
    waiting: &mut Option<&'static str>,
) -> BTreeMap<String, String> {
    let Some(map) = known(value, path, waiting) else {
        return BTreeMap::new();
    };
    map.iter()
        .filter_map(|(key, item)| Some((key.clone(), known(item, path, waiting)?.clone())))
        .collect()
}

/// A number that the schema has bounded; 0 only beside something that is waited for.
fn known_number(value: &Value<i64>, path: &'static str, waiting: &mut Option<&'static str>) -> u64 {
    known(value, path, waiting)
        .and_then(|number| u64::try_from(*number).ok())
        .unwrap_or_default()
}
