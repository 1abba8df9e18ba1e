//! What the tests of this folder share: an endpoint, its operations, a call.

use std::collections::BTreeMap;

use openmodel_apply::cloud::Call;
use openmodel_graph::graph::GraphBuilder;
use openmodel_graph::operation::{EndpointIdentity, Input, Operation, ServiceSpec, Tags};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::report::{Volume, VolumeSource};

pub(crate) fn identity() -> EndpointIdentity {
    EndpointIdentity {
        project: "acme-ml".parse().expect("a project"),
        region: "us-central1".parse().expect("a region"),
        name: "chat".parse().expect("a name"),
    }
}

pub(crate) fn service_spec() -> ServiceSpec {
    let tags = |pairs: &[(&str, &str)]| -> Tags {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    ServiceSpec {
        image: "vllm/vllm-openai:v0.19.0".to_owned(),
        command: vec!["vllm".to_owned()],
        args: vec!["serve".to_owned(), "--port=8000".to_owned()],
        env: tags(&[("HF_HOME", "/tmp/hf")]),
        secret_env: BTreeMap::from([(
            "HF_TOKEN".to_owned(),
            Input::Known("projects/7/secrets/token/versions/3".to_owned()),
        )]),
        volumes: vec![
            Volume {
                name: "openmodel-cache".to_owned(),
                mount_path: "/mnt/models-cache".to_owned(),
                source: VolumeSource::Memory {
                    size: Bytes(1_500 << 20),
                },
            },
            Volume {
                name: "openmodel-models".to_owned(),
                mount_path: "/mnt/models".to_owned(),
                source: VolumeSource::Bucket {
                    bucket: "acme".to_owned(),
                    mount_options: vec!["implicit-dirs".to_owned()],
                },
            },
        ],
        cpu: 8,
        memory: Bytes::gib(32),
        accelerator: "nvidia-l4".to_owned(),
        accelerator_count: 1,
        zonal_redundancy: false,
        port: 8000,
        health_path: "/health".to_owned(),
        concurrency: 16,
        min_replicas: 1,
        max_replicas: 3,
        labels: tags(&[("team", "ml")]),
        annotations: tags(&[("openmodel.dev/spec", "{}")]),
    }
}

pub(crate) fn create_service() -> Operation {
    Operation::CreateService {
        identity: identity(),
        service: Box::new(service_spec()),
        after: Vec::new(),
    }
}

/// The call of a graph that has only this operation.
pub(crate) fn call(operation: Operation) -> Call {
    let mut graph = GraphBuilder::new(identity().to_string());
    let step = graph.step(operation.clone());
    let key = graph
        .freeze()
        .expect("a graph")
        .key(step)
        .expect("a step")
        .clone();
    Call {
        step,
        key,
        operation,
    }
}
