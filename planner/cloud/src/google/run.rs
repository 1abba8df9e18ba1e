//! Cloud Run v2: requests, and a service as the API answers it, as far as we read it.

use std::collections::BTreeMap;

use openmodel_graph::operation::{EndpointIdentity, Tags};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::policy::Resource;
use crate::transport::{Api, Request, path_text};

/// Who may call a service holds this role.
pub(crate) const INVOKER: &str = "roles/run.invoker";

/// Makes a service.
pub(crate) fn create(identity: &EndpointIdentity, body: Value) -> Request {
    let parent = format!(
        "projects/{}/locations/{}",
        identity.project, identity.region
    );
    Request::post(
        Api::Run,
        format!("/v2/{}/services", path_text(&parent)),
        body,
    )
    .query("serviceId", identity.name.as_str())
}

/// Reads a service.
pub(crate) fn get(name: &str) -> Request {
    Request::get(Api::Run, format!("/v2/{}", path_text(name)))
}

/// Reads a revision, by its full name.
pub(crate) fn get_revision(name: &str) -> Request {
    Request::get(Api::Run, format!("/v2/{}", path_text(name)))
}

/// Replaces a service by a body that was made from what was read. With `force`, a revision is
/// made although nothing in its template changed: the last one of these failed.
pub(crate) fn replace(name: &str, body: Value, force: bool) -> Request {
    let request = Request::patch(Api::Run, format!("/v2/{}", path_text(name)), body);
    if force {
        request.query("forceNewRevision", "true")
    } else {
        request
    }
}

/// Replaces a service's own labels, and leaves its template alone, so that no revision is made.
pub(crate) fn relabel(service: &Service, labels: &Tags) -> Request {
    let body = serde_json::json!({"name": service.name, "etag": service.etag, "labels": labels});
    Request::patch(Api::Run, format!("/v2/{}", path_text(&service.name)), body)
        .query("updateMask", "labels")
}

/// Deletes a service.
pub(crate) fn delete(name: &str) -> Request {
    Request::delete(Api::Run, format!("/v2/{}", path_text(name)))
}

/// Who may do what with a service.
pub(crate) fn policy(name: &str) -> Resource<'_> {
    Resource {
        api: Api::Run,
        version: "v2",
        name,
    }
}

/// The endpoint that a service's full name belongs to.
pub(crate) fn identity(name: &str) -> Option<EndpointIdentity> {
    let parts: Vec<&str> = name.split('/').collect();
    let [
        "projects",
        project,
        "locations",
        region,
        "services",
        service,
    ] = parts[..]
    else {
        return None;
    };
    Some(EndpointIdentity {
        project: project.parse().ok()?,
        region: region.parse().ok()?,
        name: service.parse().ok()?,
    })
}

/// `GoogleCloudRunV2Service`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) etag: String,
    pub(crate) labels: Tags,
    pub(crate) annotations: Tags,
    #[serde(deserialize_with = "int64")]
    pub(crate) generation: i64,
    #[serde(deserialize_with = "int64")]
    observed_generation: i64,
    pub(crate) reconciling: bool,
    pub(crate) terminal_condition: Option<Condition>,
    conditions: Vec<Condition>,
    pub(crate) uri: String,
    pub(crate) latest_ready_revision: String,
    pub(crate) latest_created_revision: String,
    pub(crate) scaling: Scaling,
    pub(crate) template: Template,
}

/// `GoogleCloudRunV2Revision`: why it does not serve.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Revision {
    conditions: Vec<Condition>,
    /// Where its log is shown.
    pub(crate) log_uri: String,
}

impl Revision {
    /// The failed condition that says most.
    pub(crate) fn telling_condition(&self) -> Option<&Condition> {
        telling(&self.conditions)
    }
}

/// `GoogleCloudRunV2Condition`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Condition {
    pub(crate) state: String,
    pub(crate) message: String,
    reason: String,
    revision_reason: String,
}

impl Condition {
    /// The word for why, the revision's own first: it is the more exact one.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.exact_reason()
            .or(Some(self.reason.as_str()).filter(|reason| !reason.is_empty()))
    }

    /// The word for why, unless it only says that a revision failed.
    pub(crate) fn exact_reason(&self) -> Option<&str> {
        let says_something = |reason: &&str| {
            !reason.is_empty()
                && !reason.ends_with("_UNDEFINED")
                && !["UNKNOWN", "REVISION_FAILED"].contains(reason)
        };
        [&self.revision_reason, &self.reason]
            .into_iter()
            .map(String::as_str)
            .find(says_something)
    }

    fn has_failed(&self) -> bool {
        self.state == "CONDITION_FAILED"
    }
}

/// The failed condition with the most exact reason, else the first failed one.
fn telling(conditions: &[Condition]) -> Option<&Condition> {
    let failed = || conditions.iter().filter(|condition| condition.has_failed());
    failed()
        .find(|condition| condition.exact_reason().is_some())
        .or_else(|| failed().next())
}

/// `GoogleCloudRunV2ServiceScaling` and `…RevisionScaling`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Scaling {
    pub(crate) min_instance_count: u32,
    pub(crate) max_instance_count: u32,
}

/// `GoogleCloudRunV2RevisionTemplate`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Template {
    pub(crate) scaling: Scaling,
    pub(crate) containers: Vec<Container>,
    pub(crate) node_selector: NodeSelector,
    pub(crate) gpu_zonal_redundancy_disabled: bool,
    pub(crate) max_instance_request_concurrency: u32,
    pub(crate) service_account: String,
    pub(crate) volumes: Vec<RunVolume>,
}

/// `GoogleCloudRunV2Volume`, as far as we make them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RunVolume {
    pub(crate) name: String,
    pub(crate) gcs: Option<Gcs>,
    pub(crate) empty_dir: Option<EmptyDir>,
}

/// `GoogleCloudRunV2GCSVolumeSource`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Gcs {
    pub(crate) bucket: String,
    pub(crate) read_only: bool,
    pub(crate) mount_options: Vec<String>,
}

/// `GoogleCloudRunV2EmptyDirVolumeSource`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct EmptyDir {
    pub(crate) size_limit: String,
}

/// `GoogleCloudRunV2VolumeMount`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct VolumeMount {
    pub(crate) name: String,
    pub(crate) mount_path: String,
}

/// `GoogleCloudRunV2NodeSelector`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct NodeSelector {
    pub(crate) accelerator: String,
}

/// `GoogleCloudRunV2Container`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Container {
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<EnvVar>,
    pub(crate) resources: Resources,
    pub(crate) ports: Vec<Port>,
    pub(crate) startup_probe: Probe,
    pub(crate) volume_mounts: Vec<VolumeMount>,
}

/// `GoogleCloudRunV2ResourceRequirements`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Resources {
    pub(crate) limits: BTreeMap<String, String>,
}

/// `GoogleCloudRunV2ContainerPort`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Port {
    pub(crate) container_port: u16,
}

/// `GoogleCloudRunV2Probe`, as far as it asks over HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Probe {
    pub(crate) http_get: HttpGet,
}

/// `GoogleCloudRunV2HTTPGetAction`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct HttpGet {
    pub(crate) path: String,
}

/// `GoogleCloudRunV2EnvVar`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct EnvVar {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) value_source: Option<ValueSource>,
}

/// `GoogleCloudRunV2EnvVarSource`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ValueSource {
    pub(crate) secret_key_ref: SecretKeySelector,
}

/// `GoogleCloudRunV2SecretKeySelector`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct SecretKeySelector {
    pub(crate) secret: String,
    pub(crate) version: String,
}

/// Whether a service has come to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Still on its way to the spec last written.
    Moving,
    /// It serves that spec.
    Serving,
    /// It will not serve that spec.
    Failed,
}

impl Service {
    /// Whether the service has come to rest with the spec last written. The conditions of an
    /// earlier generation do not count.
    pub(crate) fn rest(&self) -> Rest {
        if self.reconciling || self.observed_generation != self.generation {
            return Rest::Moving;
        }
        match self
            .terminal_condition
            .as_ref()
            .map(|condition| condition.state.as_str())
        {
            Some("CONDITION_SUCCEEDED") => Rest::Serving,
            Some("CONDITION_FAILED") => Rest::Failed,
            _ => Rest::Moving,
        }
    }

    /// The condition that says most about a failure: the terminal one may only repeat that
    /// there is one.
    pub(crate) fn telling_condition(&self) -> Option<&Condition> {
        let exact = |condition: &&Condition| condition.exact_reason().is_some();
        let terminal = self.terminal_condition.as_ref();
        terminal
            .filter(exact)
            .or_else(|| telling(&self.conditions).filter(exact))
            .or(terminal)
    }

    /// The container that takes requests: the one with a port, else the first.
    pub(crate) fn serving_container(&self) -> Option<&Container> {
        let containers = &self.template.containers;
        containers
            .iter()
            .find(|container| !container.ports.is_empty())
            .or(containers.first())
    }

    /// Environment variables read from secrets, as full version names.
    pub(crate) fn secret_env(&self) -> BTreeMap<String, String> {
        let project = self.name.split('/').nth(1).unwrap_or_default();
        let variables = self
            .serving_container()
            .map(|container| container.env.as_slice())
            .unwrap_or_default();
        let mut found = BTreeMap::new();
        for variable in variables {
            let Some(source) = &variable.value_source else {
                continue;
            };
            let SecretKeySelector { secret, version } = &source.secret_key_ref;
            let version = if version.is_empty() {
                "latest"
            } else {
                version
            };
            let full = if secret.starts_with("projects/") {
                format!("{secret}/versions/{version}")
            } else {
                format!("projects/{project}/secrets/{secret}/versions/{version}")
            };
            found.insert(variable.name.clone(), full);
        }
        found
    }
}

/// An int64: a string in Google's JSON, a number in the JSON of others.
fn int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(body: Value) -> Service {
        serde_json::from_value(body).expect("a service")
    }

    #[test]
    fn requests() {
        let name = "projects/acme-ml/locations/us-central1/services/chat";
        let identity = identity(name).expect("an identity");
        let read = service(json!({"name": name, "etag": "\"7\""}));
        let labels = Tags::from([("openmodel-phase".to_owned(), "ready".to_owned())]);
        let text = [
            create(&identity, json!({})),
            get(name),
            get_revision(&format!("{name}/revisions/chat-00001-abc")),
            replace(name, json!({}), false),
            replace(name, json!({}), true),
            relabel(&read, &labels),
            delete(name),
            policy(name).get_policy(),
        ]
        .map(|request| request.to_string())
        .join("\n");
        insta::assert_snapshot!(text, @r#"
        POST run /v2/projects/acme-ml/locations/us-central1/services?serviceId=chat
        {}
        GET run /v2/projects/acme-ml/locations/us-central1/services/chat
        GET run /v2/projects/acme-ml/locations/us-central1/services/chat/revisions/chat-00001-abc
        PATCH run /v2/projects/acme-ml/locations/us-central1/services/chat
        {}
        PATCH run /v2/projects/acme-ml/locations/us-central1/services/chat?forceNewRevision=true
        {}
        PATCH run /v2/projects/acme-ml/locations/us-central1/services/chat?updateMask=labels
        {
          "etag": "\"7\"",
          "labels": {
            "openmodel-phase": "ready"
          },
          "name": "projects/acme-ml/locations/us-central1/services/chat"
        }
        DELETE run /v2/projects/acme-ml/locations/us-central1/services/chat
        GET run /v2/projects/acme-ml/locations/us-central1/services/chat:getIamPolicy?options.requestedPolicyVersion=3
        "#);
    }

    #[test]
    fn a_service_rests_only_with_the_generation_last_written() {
        let at = |observed: &str, reconciling: bool, state: &str| {
            service(json!({"generation": "3", "observedGeneration": observed, "reconciling": reconciling,
                "terminalCondition": {"type": "Ready", "state": state}}))
            .rest()
        };
        assert_eq!(at("3", false, "CONDITION_SUCCEEDED"), Rest::Serving);
        assert_eq!(at("3", false, "CONDITION_FAILED"), Rest::Failed);
        assert_eq!(at("2", false, "CONDITION_SUCCEEDED"), Rest::Moving);
        assert_eq!(at("3", true, "CONDITION_FAILED"), Rest::Moving);
        assert_eq!(at("3", false, "CONDITION_RECONCILING"), Rest::Moving);
    }

    #[test]
    fn the_more_exact_condition_explains_a_failure() {
        let failed = service(json!({
            "terminalCondition": {"state": "CONDITION_FAILED", "message": "Revision is not ready", "reason": "REVISION_FAILED"},
            "conditions": [
                {"state": "CONDITION_SUCCEEDED", "reason": "X"},
                {"state": "CONDITION_FAILED", "message": "did not start", "revisionReason": "HEALTH_CHECK_CONTAINER_ERROR",
                 "reason": "COMMON_REASON_UNDEFINED"}
            ]
        }));
        let condition = failed.telling_condition().expect("a condition");
        assert_eq!(condition.reason(), Some("HEALTH_CHECK_CONTAINER_ERROR"));
    }

    #[test]
    fn secrets_are_named_in_full() {
        let found = service(json!({"name": "projects/p/locations/r/services/s", "template": {"containers": [{"env": [
            {"name": "A", "valueSource": {"secretKeyRef": {"secret": "token", "version": "2"}}},
            {"name": "B", "valueSource": {"secretKeyRef": {"secret": "projects/7/secrets/b"}}},
            {"name": "C", "value": "plain"}
        ]}]}}))
        .secret_env();
        let expected = [
            ("A", "projects/p/secrets/token/versions/2"),
            ("B", "projects/7/secrets/b/versions/latest"),
        ];
        assert_eq!(
            found,
            expected
                .map(|(name, version)| (name.to_owned(), version.to_owned()))
                .into()
        );
    }

    #[test]
    fn only_a_full_service_name_is_an_identity() {
        assert!(
            identity("projects/acme-ml/locations/us-central1/services/chat/revisions/1").is_none()
        );
        assert!(identity("projects/acme-ml/locations/us-central1/jobs/chat").is_none());
    }
}
