//! Graphs to execute: any graph that only creates, and the few that users meet.

use std::collections::BTreeSet;

use openmodel_graph::graph::{ExecutionGraph, GraphBuilder, StepId};
use openmodel_graph::operation::{EndpointIdentity, Input, Operation, SecretSlot, ServiceSpec};
use openmodel_schemas::quantity::Bytes;
use proptest::prelude::*;

/// Any graph of up to 9 steps in which everything is created by the graph, or made on
/// something that is.
pub(crate) fn any_graph() -> impl Strategy<Value = ExecutionGraph> {
    let step = (0_u8..5, proptest::collection::vec(any::<u8>(), 0..4));
    proptest::collection::vec(step, 1..10).prop_map(|steps| graph(&steps))
}

fn graph(steps: &[(u8, Vec<u8>)]) -> ExecutionGraph {
    let mut builder = GraphBuilder::new("acme-ml/us-central1/any");
    let mut earlier: Vec<StepId> = Vec::new();
    let mut ready = BTreeSet::new();
    for (number, (kind, choices)) in steps.iter().enumerate() {
        let chosen: Vec<StepId> = choices
            .iter()
            .filter_map(|choice| Some(earlier[usize::from(*choice).checked_rem(earlier.len())?]))
            .collect();
        let operation = match (kind, chosen.split_first()) {
            (0, _) | (_, None) => secret(&format!("secret-{number}")),
            (1, Some(_)) => {
                let env = chosen.iter().enumerate();
                let env = env.map(|(n, step)| (format!("V{n}"), Input::OutputOf(*step)));
                service(&format!("service-{number}"), env)
            }
            (2, Some((host, _))) => Operation::SetInvokers {
                service: Input::OutputOf(*host),
                members: vec![format!("user:{number}@example.com")],
            },
            (3, Some((host, after))) if ready.insert(*host) => Operation::MarkReady {
                service: Input::OutputOf(*host),
                after: after.to_vec(),
            },
            (_, Some((host, _))) => {
                version(Input::OutputOf(*host), i64::try_from(number).unwrap_or(0))
            }
        };
        earlier.push(builder.step(operation));
    }
    builder.freeze().expect("steps refer to earlier ones only")
}

/// The creation of a gated endpoint: secret, version, service, invokers.
pub(crate) fn creation() -> ExecutionGraph {
    let mut builder = GraphBuilder::new("acme-ml/us-central1/chat");
    let token = builder.step(secret("token"));
    let value = builder.step(version(Input::OutputOf(token), 1));
    let env = [("HF_TOKEN".to_owned(), Input::OutputOf(value))];
    let chat = builder.step(service("chat", env));
    builder.step(invokers(Input::OutputOf(chat)));
    builder.freeze().expect("steps refer to earlier ones only")
}

/// The update of an endpoint that gets a token for the first time: secret, version, service,
/// invokers.
pub(crate) fn update() -> ExecutionGraph {
    let mut builder = GraphBuilder::new("acme-ml/us-central1/chat");
    let token = builder.step(secret("token"));
    let value = builder.step(version(Input::OutputOf(token), 1));
    let env = [("HF_TOKEN".to_owned(), Input::OutputOf(value))];
    let Operation::CreateService {
        identity,
        service,
        after,
    } = service("chat", env)
    else {
        unreachable!("a service is created by CreateService")
    };
    let chat = builder.step(Operation::UpdateService {
        identity,
        service,
        after,
    });
    builder.step(invokers(Input::OutputOf(chat)));
    builder.freeze().expect("steps refer to earlier ones only")
}

fn secret(id: &str) -> Operation {
    Operation::CreateSecret {
        project: "acme-ml".parse().expect("a project id"),
        secret_id: id.to_owned(),
        labels: [].into(),
    }
}

fn version(secret: Input, version: i64) -> Operation {
    Operation::AddSecretVersion {
        secret,
        payload: SecretSlot("token".to_owned()),
        version,
    }
}

fn invokers(service: Input) -> Operation {
    Operation::SetInvokers {
        service,
        members: vec!["allUsers".to_owned()],
    }
}

fn service(name: &str, env: impl IntoIterator<Item = (String, Input)>) -> Operation {
    Operation::CreateService {
        identity: EndpointIdentity {
            project: "acme-ml".parse().expect("a project id"),
            region: "us-central1".parse().expect("a region"),
            name: name.parse().expect("an endpoint name"),
        },
        service: Box::new(ServiceSpec {
            image: "vllm/vllm-openai:v0.11.0".to_owned(),
            command: vec![],
            args: vec![],
            env: [].into(),
            secret_env: env.into_iter().collect(),
            volumes: Vec::new(),
            cpu: 8,
            memory: Bytes::gib(32),
            accelerator: "nvidia-l4".to_owned(),
            accelerator_count: 1,
            zonal_redundancy: false,
            port: 8000,
            health_path: "/health".to_owned(),
            concurrency: 8,
            min_replicas: 0,
            max_replicas: 1,
            labels: [].into(),
            annotations: [].into(),
        }),
        after: vec![],
    }
}
