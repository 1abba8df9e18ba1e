//! The live service as Terraform's state: what was changed behind our back shows as a difference.
//!
//! What has no trace in the service (workload, budget, advice) comes from the state; after an
//! import, from the record that every create and update leaves on the service as an annotation.

use std::collections::{BTreeMap, BTreeSet};

use openmodel_cloud::google::{LiveService, Phase, Readiness};
use openmodel_resolve::lowering::TOKEN_VARIABLE;
use openmodel_schemas::report::{Serving, Shape};
use serde::{Deserialize, Serialize};
use tfplug::Diagnostic;
use tfplug::value::Value;

use super::advice;
use super::frozen::Frozen;
use super::model::{EndpointModel, EngineModel, ScalingModel, ShapeModel, StringMap};

/// Annotation that holds the [`Record`].
pub(crate) const RECORD: &str = "openmodel.dev/endpoint";
/// `roles/run.invoker` for everyone.
const EVERYONE: &str = "allUsers";

/// What an endpoint was made from: enough to import it with an empty plan. No secrets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Raised when older records can no longer be read.
    version: u32,
    /// The state, without what the service itself says.
    model: EndpointModel,
    /// What was decided.
    frozen: Frozen,
}

impl Record {
    const VERSION: u32 = 1;

    /// Of a planned endpoint.
    pub(crate) fn new(planned: &EndpointModel, frozen: &Frozen) -> Self {
        let mut model = planned.clone();
        for result in [
            &mut model.id,
            &mut model.url,
            &mut model.openai_base_url,
            &mut model.status,
        ] {
            *result = Value::Null;
        }
        model.hugging_face_token_wo = Value::Null;
        model.shape = Value::Null;
        Self {
            version: Self::VERSION,
            model,
            frozen: frozen.clone(),
        }
    }

    /// As the annotation's text.
    pub(crate) fn to_annotation(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Of a service that one of our runs has made.
    fn of(live: &LiveService) -> Result<Self, Diagnostic> {
        let refuse = |why: &str| {
            Diagnostic::error("Service is not an openmodel endpoint").detail(format!(
                "{} {why}. Only services that openmodel made can be imported; delete this one, or choose another \
                 name for the endpoint.",
                live.name
            ))
        };
        let text = live
            .annotations
            .get(RECORD)
            .ok_or_else(|| refuse(&format!("has no annotation {RECORD}")))?;
        let record: Self = serde_json::from_str(text)
            .map_err(|error| refuse(&format!("has a damaged annotation {RECORD}: {error}")))?;
        if record.version == Self::VERSION {
            Ok(record)
        } else {
            Err(refuse(&format!(
                "was written by another version of openmodel (record version {})",
                record.version
            )))
        }
    }

    /// The state as it was planned, and what was decided.
    fn into_state(self) -> (EndpointModel, Frozen) {
        (self.model, self.frozen)
    }
}

/// The state of a service from its own record and what it is now, and what was decided for it.
pub(crate) fn from_record(live: &LiveService) -> Result<(EndpointModel, Frozen), Diagnostic> {
    let (state, frozen) = Record::of(live)?.into_state();
    Ok((overlay(state, &frozen, live), frozen))
}

/// Lays what the service is now over the state. What is as it was decided shows as decided, also
/// where an earlier refresh had seen it otherwise.
pub(crate) fn overlay(state: EndpointModel, frozen: &Frozen, live: &LiveService) -> EndpointModel {
    let mut model = state;
    model.id = Value::from(live.name.as_str());
    model.url = Value::from(live.uri.clone());
    model.openai_base_url = Value::from(live.uri.as_deref().map(openai_base_url));
    model.shape = Value::Known(advice::shape(&frozen.shape));
    model.engine = Value::Known(engine(frozen));
    overlay_shape(&mut model, &frozen.shape, live);
    let shown = overlay_container(&mut model, frozen, live);
    let token = overlay_token(&mut model, live);
    overlay_load(&mut model, live);
    overlay_access(&mut model, live);
    overlay_labels(&mut model, live);
    model.status = Value::from(match status(live) {
        "ready" if !(shown && token && same_frame(&frozen.serving, live)) => "drifted",
        status => status,
    });
    model
}

/// The state of an endpoint whose service is not there, though its token secret is: a create or a
/// delete was cut. What is left is kept in sight until it is finished or gone.
pub(crate) fn without_service(state: EndpointModel) -> EndpointModel {
    EndpointModel {
        url: Value::Null,
        openai_base_url: Value::Null,
        status: Value::from("provisioning"),
        ..state
    }
}

/// `base_url` for OpenAI clients.
pub(crate) fn openai_base_url(url: &str) -> String {
    format!("{}/v1", url.trim_end_matches('/'))
}

fn status(live: &LiveService) -> &'static str {
    match (&live.readiness, live.phase) {
        (Readiness::Serving, Some(Phase::Ready)) => "ready",
        (Readiness::Failed { .. }, _) => "failed",
        _ => "provisioning",
    }
}

fn overlay_shape(model: &mut EndpointModel, shape: &Shape, live: &LiveService) {
    let same = live.accelerator.as_deref() == Some(shape.accelerator.as_str())
        && live.accelerator_count == shape.accelerator_count
        && live.cpu == Some(shape.cpu)
        && live.memory == Some(shape.memory);
    if !same {
        model.shape = Value::Known(ShapeModel {
            accelerator: live.accelerator.clone().into(),
            accelerator_count: Value::Known(live.accelerator_count.into()),
            cpu: live.cpu.map(i64::from).into(),
            memory_gib: live
                .memory
                .and_then(|memory| i64::try_from(memory.0 >> 30).ok())
                .into(),
        });
    }
}

/// The engine as it was decided and configured.
fn engine(frozen: &Frozen) -> EngineModel {
    let texts = |args: &[String]| args.iter().map(|arg| Value::from(arg.as_str())).collect();
    EngineModel {
        name: frozen.serving.engine.as_str().into(),
        image: frozen.serving.image.as_str().into(),
        args: frozen.args.as_deref().map(texts).into(),
        env: frozen.env.as_ref().map(text_map).into(),
    }
}

fn text_map(map: &BTreeMap<String, String>) -> StringMap {
    map.iter()
        .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
        .collect()
}

/// Shows a changed container; false where a change has no attribute to show it.
fn overlay_container(model: &mut EndpointModel, frozen: &Frozen, live: &LiveService) -> bool {
    let Value::Known(engine) = &mut model.engine else {
        return true;
    };
    let serving = &frozen.serving;
    if live.image != serving.image {
        engine.image = Value::from(live.image.as_str());
    }
    let mut shown = true;
    if live.args != serving.args {
        // What stands after our own arguments is the user's; where ours were changed too, the
        // whole line is shown.
        let (ours, users) = serving
            .args
            .split_at(serving.generated_args.min(serving.args.len()));
        let line = live.args.strip_prefix(ours).unwrap_or(&live.args);
        shown &= line != users;
        engine.args = Value::Known(line.iter().map(|arg| Value::from(arg.as_str())).collect());
    }
    if live.env != serving.env {
        let users = frozen.env.clone().unwrap_or_default();
        let generated = |key: &str, value: &str| {
            !users.contains_key(key) && serving.env.get(key).is_some_and(|ours| ours == value)
        };
        let mut rest = live.env.clone();
        rest.retain(|key, value| !generated(key, value));
        shown &= rest != users;
        engine.env = Value::Known(text_map(&rest));
    }
    shown
}

/// Whether the container's frame, which no attribute shows, is as it was decided.
fn same_frame(serving: &Serving, live: &LiveService) -> bool {
    live.command == serving.command
        && live.port == Some(serving.port)
        && live.health_path.as_deref() == Some(serving.health_path.as_str())
        && live.volumes == serving.volumes
        && !live.zonal_redundancy
}

/// Shows a changed source of the Hub token; false where a change has no attribute to show it.
fn overlay_token(model: &mut EndpointModel, live: &LiveService) -> bool {
    let secret = live.secret_env.get(TOKEN_VARIABLE);
    if model.hugging_face_token_secret.is_known() {
        model.hugging_face_token_secret = secret.cloned().into();
        return true;
    }
    let managed = model.hugging_face_token_wo_version.is_known();
    let ours = secret.is_some_and(|secret| secret.contains("-hugging-face-token/versions/"));
    if managed && !ours {
        model.hugging_face_token_wo_version = Value::Null;
        return true;
    }
    managed || secret.is_none()
}

fn overlay_load(model: &mut EndpointModel, live: &LiveService) {
    model.scaling = Value::Known(ScalingModel {
        min_replicas: Value::Known(live.min_replicas.into()),
        max_replicas: Value::Known(live.max_replicas.into()),
    });
    if let Value::Known(workload) = &mut model.workload {
        workload.max_concurrency = Value::Known(live.concurrency.into());
    }
}

fn overlay_access(model: &mut EndpointModel, live: &LiveService) {
    let Value::Known(access) = &mut model.access else {
        return;
    };
    let public = live.invokers.iter().any(|member| member == EVERYONE);
    access.public = Value::Known(public);
    let members: BTreeSet<&str> = live
        .invokers
        .iter()
        .map(String::as_str)
        .filter(|member| *member != EVERYONE)
        .collect();
    access.invokers = Value::Known(members.into_iter().map(Value::from).collect());
}

/// Only labels that are ours to manage: what others add is left alone and not shown.
fn overlay_labels(model: &mut EndpointModel, live: &LiveService) {
    let current = |managed: &StringMap| -> StringMap {
        let now = managed.iter().filter_map(|(key, value)| {
            // A null element is none of the service's labels, and stays what it is.
            let now = if value.is_null() {
                Value::Null
            } else {
                Value::from(live.labels.get(key)?.as_str())
            };
            Some((key.clone(), now))
        });
        now.collect()
    };
    if let Value::Known(labels) = &mut model.labels {
        *labels = current(labels);
    }
    if let Value::Known(labels) = &mut model.effective_labels {
        *labels = current(labels);
    }
}
