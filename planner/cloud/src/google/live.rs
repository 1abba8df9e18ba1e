//! A service as it is: what Terraform's read compares with what it remembers.

use std::collections::BTreeMap;

use openmodel_graph::operation::Tags;
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::report::{Volume, VolumeSource};

use super::marks::{self, KEY_LABEL, Phase};
use super::run::{Rest, RunVolume, Service, VolumeMount};

/// The live state of an endpoint's Cloud Run service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveService {
    /// Full name, as the API answers it.
    pub name: String,
    /// All labels, ours among them.
    pub labels: Tags,
    /// All annotations, ours among them (`openmodel.dev/…`).
    pub annotations: Tags,
    /// Whether it bears `openmodel-managed=true`.
    pub managed: bool,
    /// How far it is; `None` where nobody said.
    pub phase: Option<Phase>,
    /// Key of the step that last shaped it.
    pub key: Option<String>,
    /// URL; `None` until it first served.
    pub uri: Option<String>,
    /// Whether it serves the spec last written.
    pub readiness: Readiness,
    /// Counts the specs written.
    pub generation: i64,
    /// Image of the serving container.
    pub image: String,
    /// Entrypoint; empty where it is the image's own.
    pub command: Vec<String>,
    /// Arguments.
    pub args: Vec<String>,
    /// Plain environment variables.
    pub env: Tags,
    /// Environment variables read from secrets: full version names.
    pub secret_env: BTreeMap<String, String>,
    /// Our volumes, in the order of their names.
    pub volumes: Vec<Volume>,
    /// vCPUs; `None` where they are no whole number.
    pub cpu: Option<u32>,
    /// Host memory.
    pub memory: Option<Bytes>,
    /// GPU type.
    pub accelerator: Option<String>,
    /// GPUs per instance.
    pub accelerator_count: u32,
    /// Whether instances are spread over zones at the higher price.
    pub zonal_redundancy: bool,
    /// Port the container listens on.
    pub port: Option<u16>,
    /// Path of the startup probe.
    pub health_path: Option<String>,
    /// Requests an instance takes at once.
    pub concurrency: u32,
    /// Smallest number of instances.
    pub min_replicas: u32,
    /// Largest number of instances.
    pub max_replicas: u32,
    /// Email of the account it runs as; `None` for the project's default.
    pub service_account: Option<String>,
    /// Members that hold `roles/run.invoker`, sorted.
    pub invokers: Vec<String>,
}

/// Whether a service serves the spec last written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Serving,
    /// It is on its way.
    Moving,
    /// It will not; an earlier revision may still serve.
    Failed {
        /// Cloud Run's word, such as `HEALTH_CHECK_CONTAINER_ERROR`.
        reason: Option<String>,
        /// Cloud Run's sentence.
        message: String,
    },
}

impl LiveService {
    pub(crate) fn new(service: &Service, invokers: Vec<String>) -> Self {
        let container = service.serving_container().cloned().unwrap_or_default();
        let template = &service.template;
        let limit = |name: &str| container.resources.limits.get(name).map(String::as_str);
        Self {
            name: service.name.clone(),
            managed: marks::is_managed(&service.labels),
            phase: Phase::of(&service.labels),
            key: service.labels.get(KEY_LABEL).cloned(),
            labels: service.labels.clone(),
            annotations: service.annotations.clone(),
            uri: text(&service.uri),
            readiness: readiness(service),
            generation: service.generation,
            env: container
                .env
                .iter()
                .filter(|variable| variable.value_source.is_none())
                .map(|variable| (variable.name.clone(), variable.value.clone()))
                .collect(),
            secret_env: service.secret_env(),
            volumes: volumes(&template.volumes, &container.volume_mounts),
            cpu: limit("cpu").and_then(cpu),
            memory: limit("memory").and_then(memory),
            accelerator: text(&template.node_selector.accelerator),
            accelerator_count: limit("nvidia.com/gpu")
                .and_then(|count| count.parse().ok())
                .unwrap_or(0),
            zonal_redundancy: !template.gpu_zonal_redundancy_disabled,
            port: container.ports.first().map(|port| port.container_port),
            health_path: text(&container.startup_probe.http_get.path),
            image: container.image,
            command: container.command,
            args: container.args,
            concurrency: template.max_instance_request_concurrency,
            min_replicas: service
                .scaling
                .min_instance_count
                .max(template.scaling.min_instance_count),
            max_replicas: match (
                service.scaling.max_instance_count,
                template.scaling.max_instance_count,
            ) {
                (0, of_revision) => of_revision,
                (of_service, 0) => of_service,
                (of_service, of_revision) => of_service.min(of_revision),
            },
            service_account: text(&template.service_account),
            invokers,
        }
    }
}

/// The volumes of our making. One that is not what we make of it (another path, written to) is another.
fn volumes(volumes: &[RunVolume], mounts: &[VolumeMount]) -> Vec<Volume> {
    let mut ours: Vec<Volume> = volumes
        .iter()
        .filter(|volume| volume.name.starts_with(Volume::PREFIX))
        .filter_map(|volume| {
            let mount = mounts.iter().find(|mount| mount.name == volume.name)?;
            let source = match (&volume.gcs, &volume.empty_dir) {
                (Some(gcs), _) if gcs.read_only => VolumeSource::Bucket {
                    bucket: gcs.bucket.clone(),
                    mount_options: gcs.mount_options.clone(),
                },
                (None, Some(dir)) => VolumeSource::Memory {
                    size: memory(&dir.size_limit)?,
                },
                _ => return None,
            };
            Some(Volume {
                name: volume.name.clone(),
                mount_path: mount.mount_path.clone(),
                source,
            })
        })
        .collect();
    ours.sort_by(|a, b| a.name.cmp(&b.name));
    ours
}

fn readiness(service: &Service) -> Readiness {
    match service.rest() {
        Rest::Serving => Readiness::Serving,
        Rest::Moving => Readiness::Moving,
        Rest::Failed => {
            let condition = service.telling_condition();
            Readiness::Failed {
                reason: condition
                    .and_then(|condition| condition.reason())
                    .map(str::to_owned),
                message: condition
                    .map(|condition| condition.message.clone())
                    .unwrap_or_default(),
            }
        }
    }
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// `4` or `4000m`.
fn cpu(text: &str) -> Option<u32> {
    match text.strip_suffix('m') {
        None => text.parse().ok(),
        Some(milli) => milli
            .parse::<u32>()
            .ok()
            .filter(|milli| milli % 1000 == 0)
            .map(|milli| milli / 1000),
    }
}

/// A Kubernetes quantity of bytes: `16Gi`, `512Mi`, `2G`, `1073741824`.
fn memory(text: &str) -> Option<Bytes> {
    const UNITS: [(&str, u64); 8] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
    ];
    let unit = UNITS
        .into_iter()
        .find_map(|(name, bytes)| Some((text.strip_suffix(name)?, bytes)));
    let (number, bytes) = unit.unwrap_or((text, 1));
    number.parse::<u64>().ok()?.checked_mul(bytes).map(Bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::google::service_body;
    use crate::google::testing::{call, create_service, identity, service_spec};

    #[test]
    fn what_was_written_is_what_is_read() {
        let spec = service_spec();
        let mut body = service_body::body(&identity(), &spec, &call(create_service()).key, None);
        body["name"] = json!(identity().service());
        body["uri"] = json!("https://chat.run.app");
        body["generation"] = json!("1");
        body["observedGeneration"] = json!("1");
        body["terminalCondition"] = json!({"state": "CONDITION_SUCCEEDED"});
        let service: Service = serde_json::from_value(body).expect("a service");
        let live = LiveService::new(&service, vec!["allUsers".to_owned()]);

        assert_eq!(
            (live.image, live.command, live.args),
            (spec.image, spec.command, spec.args)
        );
        assert_eq!(live.env, spec.env);
        assert_eq!(live.volumes, spec.volumes);
        assert_eq!(
            live.secret_env["HF_TOKEN"],
            "projects/7/secrets/token/versions/3"
        );
        assert_eq!((live.cpu, live.memory), (Some(spec.cpu), Some(spec.memory)));
        assert_eq!(
            (live.accelerator, live.accelerator_count),
            (Some(spec.accelerator), spec.accelerator_count)
        );
        assert_eq!(live.zonal_redundancy, spec.zonal_redundancy);
        assert_eq!(
            (live.port, live.health_path),
            (Some(spec.port), Some(spec.health_path))
        );
        assert_eq!(live.concurrency, spec.concurrency);
        assert_eq!(
            (live.min_replicas, live.max_replicas),
            (spec.min_replicas, spec.max_replicas)
        );
        assert_eq!(
            (live.managed, live.phase),
            (true, Some(Phase::Provisioning))
        );
        assert_eq!(
            live.key.as_deref(),
            Some(call(create_service()).key.as_str())
        );
        assert_eq!(live.readiness, Readiness::Serving);
        assert_eq!(live.uri.as_deref(), Some("https://chat.run.app"));
    }

    #[test]
    fn quantities_of_others_are_read_too() {
        assert_eq!(
            (cpu("4"), cpu("8000m"), cpu("500m")),
            (Some(4), Some(8), None)
        );
        assert_eq!(memory("512Mi"), Some(Bytes(512 << 20)));
        assert_eq!(memory("2G"), Some(Bytes(2_000_000_000)));
        assert_eq!(memory("1024"), Some(Bytes(1024)));
        assert_eq!(memory("99999999999999999999Gi"), None);
        assert_eq!(memory("lots"), None);
    }

    #[test]
    fn an_empty_answer_is_an_empty_service_and_no_panic() {
        let live = LiveService::new(&Service::default(), Vec::new());
        assert_eq!(
            (live.image.as_str(), live.accelerator, live.phase),
            ("", None, None)
        );
    }
}
