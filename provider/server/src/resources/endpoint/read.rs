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
use super::model::{EndpointModel, ScalingModel, ShapeModel, StringMap};
use super::plan::Frozen;

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
        let mut model = self.model;
        let config = model.clone();
        advice::show_container(
            &self.frozen.shape,
            &self.frozen.serving,
            &config,
            &mut model,
        );
        (model, self.frozen)
    }
}

/// The state of a service from its own record and what it is now, and what was decided for it.
pub(crate) fn from_record(live: &LiveService) -> Result<(EndpointModel, Frozen), Diagnostic> {
    let (state, frozen) = Record::of(live)?.into_state();
    Ok((overlay(state, &frozen, live), frozen))
}

/// Lays what the service is now over the state.
pub(crate) fn overlay(state: EndpointModel, frozen: &Frozen, live: &LiveService) -> EndpointModel {
    let mut model = state;
    model.id = Value::from(live.name.as_str());
    model.url = Value::from(live.uri.clone());
    model.openai_base_url = Value::from(live.uri.as_deref().map(openai_base_url));
    model.status = Value::from(status(live));
    overlay_shape(&mut model, &frozen.shape, live);
    overlay_container(&mut model, &frozen.serving, live);
    overlay_token(&mut model, live);
    overlay_load(&mut model, live);
    overlay_access(&mut model, live);
    overlay_labels(&mut model, live);
    model
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

fn overlay_container(model: &mut EndpointModel, serving: &Serving, live: &LiveService) {
    let Value::Known(engine) = &mut model.engine else {
        return;
    };
    if live.image != serving.image {
        engine.image = Value::from(live.image.as_str());
    }
    if live.args != serving.args {
        // What stands after our own arguments is the user's; where ours were changed too, the
        // whole line is shown.
        let (ours, _) = serving
            .args
            .split_at(serving.generated_args.min(serving.args.len()));
        let shown = live.args.strip_prefix(ours).unwrap_or(&live.args);
        engine.args = Value::Known(shown.iter().map(|arg| Value::from(arg.as_str())).collect());
    }
    if live.env != serving.env {
        let users = engine.env.as_known().cloned().unwrap_or_default();
        let ours = |key: &str, value: &str| {
            !users.contains_key(key)
                && serving
                    .env
                    .get(key)
                    .is_some_and(|generated| generated == value)
        };
        let shown: StringMap = live
            .env
            .iter()
            .filter(|(key, value)| !ours(key, value))
            .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
            .collect();
        engine.env = Value::Known(shown);
    }
}

fn overlay_token(model: &mut EndpointModel, live: &LiveService) {
    let secret = live.secret_env.get(TOKEN_VARIABLE);
    if model.hugging_face_token_secret.is_known() {
        model.hugging_face_token_secret = secret.cloned().into();
    } else if secret.is_none() {
        model.hugging_face_token_wo_version = Value::Null;
    }
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
        let live: &BTreeMap<String, String> = &live.labels;
        managed
            .keys()
            .filter_map(|key| Some((key.clone(), Value::from(live.get(key)?.as_str()))))
            .collect()
    };
    if let Value::Known(labels) = &mut model.labels {
        *labels = current(labels);
    }
    if let Value::Known(labels) = &mut model.effective_labels {
        *labels = current(labels);
    }
}
