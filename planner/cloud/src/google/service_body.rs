//! The body of a service: what an endpoint needs, laid over what is there.
//!
//! Updating replaces the whole service, so that a field which left the configuration leaves the
//! service too. What openmodel does not manage (a VPC connector, a sidecar, somebody's labels)
//! is copied from what was read. What only the server may set is left out.

use openmodel_graph::key::StepKey;
use openmodel_graph::operation::{EndpointIdentity, Input, ServiceSpec, Tags};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::report::{Volume, VolumeSource};
use serde_json::{Map, Value, json};

use super::marks::{self, ANNOTATION_PREFIX, LABEL_KEYS_ANNOTATION};
use super::secret_manager::secret_of_version;

/// Fields of a service that only the server sets, by the Discovery document (`readOnly`).
const OUTPUT_ONLY: [&str; 19] = [
    "conditions",
    "createTime",
    "creator",
    "deleteTime",
    "expireTime",
    "generation",
    "lastModifier",
    "latestCreatedRevision",
    "latestReadyRevision",
    "observedGeneration",
    "reconciling",
    "satisfiesPzs",
    "terminalCondition",
    "threatDetectionEnabled",
    "trafficStatuses",
    "uid",
    "updateTime",
    "uri",
    "urls",
];

/// Longest answer time Cloud Run allows: a long generation streams for minutes.
const REQUEST_TIMEOUT: &str = "3600s";

/// A replica is asked every ten seconds, for half an hour: downloading and loading tens of
/// gigabytes takes minutes, and a replica that is killed in the middle begins anew.
const PROBE_PERIOD_SECONDS: u32 = 10;
const PROBE_TIMEOUT_SECONDS: u32 = 5;
const PROBE_FAILURES: u32 = 180;

/// The body that makes or replaces the service of an endpoint. `current` is what is there now.
pub(crate) fn body(
    identity: &EndpointIdentity,
    spec: &ServiceSpec,
    key: &StepKey,
    current: Option<&Value>,
) -> Value {
    let mut service = object(current);
    for field in OUTPUT_ONLY {
        service.remove(field);
    }
    let name = identity.name.as_str();
    let labels = marks::labels(&spec.labels, Some(name), key);
    service.insert(
        "labels".to_owned(),
        json!(over(&service, "labels", &labels, &former_keys(&service))),
    );
    service.insert("annotations".to_owned(), json!(annotations(&service, spec)));
    service.insert("client".to_owned(), json!("openmodel"));
    service.insert("clientVersion".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    // The minimum is the service's, so that a new one makes no new revision.
    service.insert(
        "scaling".to_owned(),
        json!({"minInstanceCount": spec.min_replicas}),
    );
    service.insert(
        "traffic".to_owned(),
        json!([{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]),
    );
    let template = template(
        identity,
        spec,
        service.get("template"),
        &former_keys(&object(current)),
    );
    service.insert("template".to_owned(), Value::Object(template));
    Value::Object(service)
}

fn template(
    identity: &EndpointIdentity,
    spec: &ServiceSpec,
    current: Option<&Value>,
    former: &[String],
) -> Map<String, Value> {
    let mut template = object(current);
    // A name that is taken is refused; without one the server makes the next.
    template.remove("revision");
    template.remove("client");
    template.remove("clientVersion");
    // Key and phase change without a new revision, so they are the service's alone.
    let mut labels = spec.labels.clone();
    labels.insert(marks::MANAGED_LABEL.to_owned(), "true".to_owned());
    labels.insert(marks::NAME_LABEL.to_owned(), identity.name.to_string());
    template.insert(
        "labels".to_owned(),
        json!(over(&template, "labels", &labels, former)),
    );
    template.insert(
        "scaling".to_owned(),
        json!({"maxInstanceCount": spec.max_replicas}),
    );
    template.insert("timeout".to_owned(), json!(REQUEST_TIMEOUT));
    template.insert(
        "executionEnvironment".to_owned(),
        json!("EXECUTION_ENVIRONMENT_GEN2"),
    );
    template.insert(
        "maxInstanceRequestConcurrency".to_owned(),
        json!(spec.concurrency),
    );
    template.insert(
        "nodeSelector".to_owned(),
        json!({"accelerator": spec.accelerator}),
    );
    template.insert(
        "gpuZonalRedundancyDisabled".to_owned(),
        json!(!spec.zonal_redundancy),
    );
    let mut volumes = others(template.get("volumes"));
    volumes.extend(spec.volumes.iter().map(volume));
    set_list(&mut template, "volumes", volumes);
    let containers = containers(spec, template.get("containers"));
    template.insert("containers".to_owned(), Value::Array(containers));
    template
}

fn containers(spec: &ServiceSpec, current: Option<&Value>) -> Vec<Value> {
    let mut containers = current
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let has_port = |container: &Value| {
        container["ports"]
            .as_array()
            .is_some_and(|ports| !ports.is_empty())
    };
    let serving = containers.iter().position(has_port).unwrap_or(0);
    if containers.is_empty() {
        containers.push(json!({}));
    }
    for container in &mut containers {
        if let Some(fields) = container.as_object_mut() {
            fields.remove("buildInfo");
        }
    }
    containers[serving] = Value::Object(container(spec, object(containers.get(serving))));
    containers
}

fn container(spec: &ServiceSpec, mut container: Map<String, Value>) -> Map<String, Value> {
    let mut mounts = others(container.get("volumeMounts"));
    mounts.extend(
        spec.volumes
            .iter()
            .map(|volume| json!({"name": volume.name, "mountPath": volume.mount_path})),
    );
    set_list(&mut container, "volumeMounts", mounts);
    let mut set = |name: &str, value: Value| match &value {
        Value::Array(items) if items.is_empty() => {
            container.remove(name);
        }
        _ => {
            container.insert(name.to_owned(), value);
        }
    };
    set("image", json!(spec.image));
    set("command", json!(spec.command));
    set("args", json!(spec.args));
    set("env", Value::Array(env(spec)));
    set("ports", json!([{"containerPort": spec.port}]));
    set(
        "resources",
        json!({
            "limits": {
                "cpu": spec.cpu.to_string(),
                "memory": memory(spec.memory),
                "nvidia.com/gpu": spec.accelerator_count.to_string(),
            },
            // A GPU is billed as long as its instance lives; so is the CPU beside it.
            "cpuIdle": false,
        }),
    );
    set(
        "startupProbe",
        json!({
            "httpGet": {"path": spec.health_path, "port": spec.port},
            "periodSeconds": PROBE_PERIOD_SECONDS,
            "timeoutSeconds": PROBE_TIMEOUT_SECONDS,
            "failureThreshold": PROBE_FAILURES,
        }),
    );
    container
}

/// Volumes or mounts that are not of our making.
fn others(current: Option<&Value>) -> Vec<Value> {
    let ours = |one: &Value| {
        one["name"]
            .as_str()
            .is_some_and(|name| name.starts_with(Volume::PREFIX))
    };
    let mut all = current
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    all.retain(|one| !ours(one));
    all
}

fn set_list(holder: &mut Map<String, Value>, name: &str, items: Vec<Value>) {
    if items.is_empty() {
        holder.remove(name);
    } else {
        holder.insert(name.to_owned(), Value::Array(items));
    }
}

fn volume(volume: &Volume) -> Value {
    match &volume.source {
        VolumeSource::Bucket {
            bucket,
            mount_options,
        } => json!({
            "name": volume.name,
            "gcs": {"bucket": bucket, "readOnly": true, "mountOptions": mount_options},
        }),
        VolumeSource::Memory { size } => json!({
            "name": volume.name,
            "emptyDir": {"medium": "MEMORY", "sizeLimit": memory(*size)},
        }),
    }
}

fn env(spec: &ServiceSpec) -> Vec<Value> {
    let plain = spec
        .env
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}));
    let secret = spec.secret_env.iter().filter_map(|(name, version)| {
        // The adapter refuses an input that is not known before it comes here.
        let Input::Known(version) = version else { return None };
        let (secret, number) = secret_of_version(version).unwrap_or((version, "latest"));
        Some(json!({"name": name, "valueSource": {"secretKeyRef": {"secret": secret, "version": number}}}))
    });
    plain.chain(secret).collect()
}

/// What Cloud Run reads as a Kubernetes quantity: `16Gi`, or MiB where it is no whole GiB.
fn memory(size: Bytes) -> String {
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    if size.0.is_multiple_of(GIB) {
        format!("{}Gi", size.0 / GIB)
    } else {
        format!("{}Mi", size.0.div_ceil(MIB))
    }
}

/// Our annotations replaced, those of others kept.
fn annotations(service: &Map<String, Value>, spec: &ServiceSpec) -> Tags {
    let mut annotations = tags(service, "annotations");
    annotations.retain(|name, _| !name.starts_with(ANNOTATION_PREFIX));
    annotations.extend(spec.annotations.clone());
    let keys: Vec<&str> = spec.labels.keys().map(String::as_str).collect();
    annotations.insert(LABEL_KEYS_ANNOTATION.to_owned(), keys.join(","));
    annotations
}

/// The user's label keys of the last time, as we noted them.
fn former_keys(service: &Map<String, Value>) -> Vec<String> {
    let noted = tags(service, "annotations")
        .remove(LABEL_KEYS_ANNOTATION)
        .unwrap_or_default();
    noted
        .split(',')
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `wanted` laid over what is there, without the `former` keys that are no longer wanted.
fn over(holder: &Map<String, Value>, field: &str, wanted: &Tags, former: &[String]) -> Tags {
    let mut labels = tags(holder, field);
    labels.retain(|name, _| !former.contains(name));
    labels.extend(wanted.clone());
    labels
}

fn tags(holder: &Map<String, Value>, field: &str) -> Tags {
    let fields = holder
        .get(field)
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    fields
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn object(value: Option<&Value>) -> Map<String, Value> {
    value
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::google::testing::{call, create_service, identity, service_spec};
    use crate::transport::{Api, Request};

    fn made(spec: &ServiceSpec, current: Option<&Value>) -> Value {
        body(&identity(), spec, &call(create_service()).key, current)
    }

    #[test]
    fn a_new_service_says_all_that_it_needs() {
        let mut body = made(&service_spec(), None);
        body["clientVersion"] = json!("VERSION");
        body["labels"]["openmodel-key"] = json!("KEY");
        let request = Request::post(Api::Run, "/", body);
        insta::assert_snapshot!(request, @r#"
        POST run /
        {
          "annotations": {
            "openmodel.dev/label-keys": "team",
            "openmodel.dev/spec": "{}"
          },
          "client": "openmodel",
          "clientVersion": "VERSION",
          "labels": {
            "openmodel-key": "KEY",
            "openmodel-managed": "true",
            "openmodel-name": "chat",
            "openmodel-phase": "provisioning",
            "team": "ml"
          },
          "scaling": {
            "minInstanceCount": 1
          },
          "template": {
            "containers": [
              {
                "args": [
                  "serve",
                  "--port=8000"
                ],
                "command": [
                  "vllm"
                ],
                "env": [
                  {
                    "name": "HF_HOME",
                    "value": "/tmp/hf"
                  },
                  {
                    "name": "HF_TOKEN",
                    "valueSource": {
                      "secretKeyRef": {
                        "secret": "projects/7/secrets/token",
                        "version": "3"
                      }
                    }
                  }
                ],
                "image": "vllm/vllm-openai:v0.19.0",
                "ports": [
                  {
                    "containerPort": 8000
                  }
                ],
                "resources": {
                  "cpuIdle": false,
                  "limits": {
                    "cpu": "8",
                    "memory": "32Gi",
                    "nvidia.com/gpu": "1"
                  }
                },
                "startupProbe": {
                  "failureThreshold": 180,
                  "httpGet": {
                    "path": "/health",
                    "port": 8000
                  },
                  "periodSeconds": 10,
                  "timeoutSeconds": 5
                },
                "volumeMounts": [
                  {
                    "mountPath": "/mnt/models-cache",
                    "name": "openmodel-cache"
                  },
                  {
                    "mountPath": "/mnt/models",
                    "name": "openmodel-models"
                  }
                ]
              }
            ],
            "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2",
            "gpuZonalRedundancyDisabled": true,
            "labels": {
              "openmodel-managed": "true",
              "openmodel-name": "chat",
              "team": "ml"
            },
            "maxInstanceRequestConcurrency": 16,
            "nodeSelector": {
              "accelerator": "nvidia-l4"
            },
            "scaling": {
              "maxInstanceCount": 3
            },
            "timeout": "3600s",
            "volumes": [
              {
                "emptyDir": {
                  "medium": "MEMORY",
                  "sizeLimit": "1500Mi"
                },
                "name": "openmodel-cache"
              },
              {
                "gcs": {
                  "bucket": "acme",
                  "mountOptions": [
                    "implicit-dirs"
                  ],
                  "readOnly": true
                },
                "name": "openmodel-models"
              }
            ]
          },
          "traffic": [
            {
              "percent": 100,
              "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
            }
          ]
        }
        "#);
    }

    #[test]
    fn an_update_keeps_what_others_set_and_drops_what_left_the_configuration() {
        let mut current = made(&service_spec(), None);
        current["uid"] = json!("u-1");
        current["generation"] = json!("4");
        current["etag"] = json!("\"e\"");
        current["ingress"] = json!("INGRESS_TRAFFIC_INTERNAL_ONLY");
        current["labels"]["owner"] = json!("somebody");
        current["annotations"]["example.com/note"] = json!("kept");
        current["template"]["revision"] = json!("chat-00004");
        current["template"]["vpcAccess"] = json!({"egress": "ALL_TRAFFIC"});
        current["template"]["containers"]
            .as_array_mut()
            .expect("a list")
            .insert(0, json!({"image": "sidecar"}));
        current["template"]["containers"][1]["volumeMounts"]
            .as_array_mut()
            .expect("ours are mounted")
            .push(json!({"name": "v"}));
        current["template"]["volumes"]
            .as_array_mut()
            .expect("ours are there")
            .push(json!({"name": "v"}));

        let mut spec = service_spec();
        spec.labels = Tags::from([("tier".to_owned(), "gold".to_owned())]);
        spec.annotations.clear();
        spec.command.clear();
        spec.env.clear();
        spec.secret_env.clear();
        spec.volumes.clear();
        let updated = made(&spec, Some(&current));

        assert_eq!(updated["etag"], "\"e\"");
        assert_eq!(updated["ingress"], "INGRESS_TRAFFIC_INTERNAL_ONLY");
        assert!(updated.get("uid").is_none() && updated.get("generation").is_none());
        let labels: Vec<&String> = updated["labels"]
            .as_object()
            .expect("labels")
            .keys()
            .collect();
        let expected = [
            "openmodel-key",
            "openmodel-managed",
            "openmodel-name",
            "openmodel-phase",
            "owner",
            "tier",
        ];
        assert_eq!(labels, expected);
        assert!(updated["template"]["labels"].get("team").is_none());
        assert_eq!(updated["annotations"]["example.com/note"], "kept");
        assert!(updated["annotations"].get("openmodel.dev/spec").is_none());
        let template = &updated["template"];
        assert!(template.get("revision").is_none());
        assert_eq!(template["vpcAccess"]["egress"], "ALL_TRAFFIC");
        assert_eq!(template["containers"][0], json!({"image": "sidecar"}));
        let serving = &template["containers"][1];
        // Volumes of others stay, ours go with what they were for.
        assert_eq!(serving["volumeMounts"], json!([{"name": "v"}]));
        assert_eq!(template["volumes"], json!([{"name": "v"}]));
        assert!(serving.get("command").is_none() && serving.get("env").is_none());
    }

    #[test]
    fn key_and_phase_are_not_part_of_a_revision() {
        let body = made(&service_spec(), None);
        let labels = body["template"]["labels"].as_object().expect("labels");
        assert!(!labels.contains_key("openmodel-key") && !labels.contains_key("openmodel-phase"));
    }

    #[test]
    fn memory_is_a_quantity() {
        assert_eq!(memory(Bytes::gib(16)), "16Gi");
        assert_eq!(memory(Bytes(1_500 << 20)), "1500Mi");
    }
}
