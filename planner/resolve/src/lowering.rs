//! Turn a decision into operations.
//!
//! ```text
//!   CreateSecret ─► GrantSecretAccess ─► AddSecretVersion ─► CreateService ─► SetInvokers ─► MarkReady
//! ```
//!
//! ```text
//!   GrantBucketRead, AwaitSnapshot ─► CreateService
//! ```
//!
//! A snapshot stands before the service that mounts it, and takes the place of the Hub: such a service
//! gets no token. The secret is there only where the endpoint manages a Hub token of its own. Access to it is
//! granted before its version is added, so that a service which reads the version finds it
//! readable. Nothing here decides: what the placement says is what the operations say.

use std::collections::BTreeMap;

use openmodel_graph::graph::{ExecutionGraph, GraphBuilder, GraphError, StepId};
use openmodel_graph::operation::{
    EndpointIdentity, Input, Operation, SecretSlot, ServiceSpec, Tags,
};
use openmodel_schemas::report::{Loading, Serving, Shape};
use openmodel_schemas::spec::{Access, EndpointSpec, TokenSource};

/// Name of the secret value that the adapter must be handed beside the graph.
pub const TOKEN_SLOT: &str = "hugging_face_token";

/// Environment variable the container reads its Hub token from.
pub const TOKEN_VARIABLE: &str = "HF_TOKEN";

/// How an endpoint changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is made.
    Create,
    /// It is there and gets a new revision.
    Update {
        /// The token secret of ours that it has now, if it has one.
        token: Option<ManagedToken>,
    },
}

/// A token secret of ours that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedToken {
    /// The `hugging_face_token_wo_version` it was filled for.
    pub version: i64,
    /// Full name of the secret version the service reads.
    pub secret_version: String,
}

/// The operations that create or update an endpoint. `annotations` go to the service as they
/// are.
pub fn lower(
    spec: &EndpointSpec,
    shape: &Shape,
    serving: &Serving,
    loading: Option<&Loading>,
    change: &Change,
    annotations: Tags,
) -> Result<ExecutionGraph, GraphError> {
    let identity = identity(spec);
    let mut graph = GraphBuilder::new(identity.to_string());
    let existing = match change {
        Change::Create => None,
        Change::Update { token } => token.as_ref(),
    };
    let after = snapshot(spec, loading, &mut graph);
    let token = token(spec, &identity, existing, &mut graph);
    let service = Box::new(service(spec, shape, serving, token, annotations));
    let service = graph.step(match change {
        Change::Create => Operation::CreateService {
            identity: identity.clone(),
            service,
            after,
        },
        Change::Update { .. } => Operation::UpdateService {
            identity: identity.clone(),
            service,
            after,
        },
    });
    let mut before_ready = Vec::new();
    let members = members(&spec.access);
    if *change != Change::Create || !members.is_empty() {
        before_ready.push(graph.step(Operation::SetInvokers {
            service: Input::OutputOf(service),
            members,
        }));
    }
    let unused = existing.is_some() && !manages_token(spec);
    if unused {
        let secret = identity.token_secret();
        before_ready.push(graph.step(Operation::DeleteSecret {
            secret,
            after: vec![service],
        }));
    }
    graph.step(Operation::MarkReady {
        service: Input::OutputOf(service),
        after: before_ready,
    });
    graph.freeze()
}

/// The operations that delete an endpoint, and its token secret where it has one of ours.
pub fn lower_delete(
    identity: &EndpointIdentity,
    has_managed_token: bool,
) -> Result<ExecutionGraph, GraphError> {
    let mut graph = GraphBuilder::new(identity.to_string());
    let service = graph.step(Operation::DeleteService {
        identity: identity.clone(),
    });
    if has_managed_token {
        graph.step(Operation::DeleteSecret {
            secret: identity.token_secret(),
            after: vec![service],
        });
    }
    graph.freeze()
}

/// The names an endpoint's objects are made from.
#[must_use]
pub fn identity(spec: &EndpointSpec) -> EndpointIdentity {
    EndpointIdentity {
        project: spec.project.clone(),
        region: spec.region.clone(),
        name: spec.name.clone(),
    }
}

/// Whether the endpoint has a token secret of its own.
#[must_use]
pub fn manages_token(spec: &EndpointSpec) -> bool {
    spec.cache.is_none() && matches!(spec.token, TokenSource::Managed { .. })
}

/// The steps that make sure of the snapshot an endpoint serves from.
fn snapshot(
    spec: &EndpointSpec,
    loading: Option<&Loading>,
    graph: &mut GraphBuilder,
) -> Vec<StepId> {
    let Some(cache) = &spec.cache else {
        return Vec::new();
    };
    let granted = graph.step(Operation::GrantBucketRead {
        project: spec.project.clone(),
        bucket: cache.uri.bucket().to_owned(),
    });
    let complete = graph.step(Operation::AwaitSnapshot {
        snapshot: cache.uri.clone(),
        region: spec.region.clone(),
        files: loading.map_or_else(Vec::new, |loading| loading.files.clone()),
    });
    vec![granted, complete]
}

/// The secret version the container reads its token from.
fn token(
    spec: &EndpointSpec,
    identity: &EndpointIdentity,
    existing: Option<&ManagedToken>,
    graph: &mut GraphBuilder,
) -> Option<Input> {
    let version = match &spec.token {
        _ if spec.cache.is_some() => return None,
        TokenSource::None => return None,
        // The user's secret, and the user's to share: its policy is not ours to change.
        TokenSource::Secret { version } => {
            return Some(Input::Known(version.clone()));
        }
        TokenSource::Managed { version } => *version,
    };
    let payload = SecretSlot(TOKEN_SLOT.to_owned());
    match existing {
        Some(existing) if existing.version == version => {
            Some(Input::Known(existing.secret_version.clone()))
        }
        Some(_) => {
            let secret = Input::Known(identity.token_secret());
            let added = graph.step(Operation::AddSecretVersion {
                secret,
                payload,
                version,
            });
            Some(Input::OutputOf(added))
        }
        None => {
            let secret = graph.step(Operation::CreateSecret {
                project: identity.project.clone(),
                secret_id: identity.token_secret_id(),
                labels: spec.labels.clone(),
            });
            let granted = graph.step(Operation::GrantSecretAccess {
                secret: Input::OutputOf(secret),
            });
            let secret = Input::OutputOf(granted);
            let added = graph.step(Operation::AddSecretVersion {
                secret,
                payload,
                version,
            });
            Some(Input::OutputOf(added))
        }
    }
}

fn service(
    spec: &EndpointSpec,
    shape: &Shape,
    serving: &Serving,
    token: Option<Input>,
    annotations: Tags,
) -> ServiceSpec {
    let secret_env: BTreeMap<String, Input> = token
        .map(|input| (TOKEN_VARIABLE.to_owned(), input))
        .into_iter()
        .collect();
    let mut env = serving.env.clone();
    env.retain(|name, _| !secret_env.contains_key(name));
    ServiceSpec {
        image: serving.image.clone(),
        command: serving.command.clone(),
        args: serving.args.clone(),
        env,
        secret_env,
        volumes: serving.volumes.clone(),
        cpu: shape.cpu,
        memory: shape.memory,
        accelerator: shape.accelerator.clone(),
        accelerator_count: shape.accelerator_count,
        zonal_redundancy: false,
        port: serving.port,
        health_path: serving.health_path.clone(),
        concurrency: spec.workload.max_concurrency,
        min_replicas: spec.scaling.min_replicas,
        max_replicas: spec.scaling.max_replicas,
        labels: spec.labels.clone(),
        annotations,
    }
}

/// IAM members that may call the endpoint, sorted, each once.
fn members(access: &Access) -> Vec<String> {
    let public = access.public.then(|| "allUsers".to_owned());
    let mut members: Vec<String> = public
        .into_iter()
        .chain(access.invokers.iter().cloned())
        .collect();
    members.sort();
    members.dedup();
    members
}

#[cfg(test)]
mod tests {
    use openmodel_graph::graph::ExecutionGraph;

    use super::*;
    use crate::{place, testing};

    fn graph(token: TokenSource, change: &Change, invokers: &[&str]) -> ExecutionGraph {
        let card = testing::llama_8b();
        let mut spec = testing::spec(&card, 8192, 8);
        spec.token = token;
        spec.access.invokers = invokers.iter().map(ToString::to_string).collect();
        let placement = place(&spec, &card, None, testing::catalog()).expect("it fits");
        lower(
            &spec,
            &placement.shape,
            &placement.serving,
            placement.loading.as_ref(),
            change,
            [("openmodel.dev/spec".to_owned(), "{}".to_owned())].into(),
        )
        .expect("the graph is sound")
    }

    fn service(graph: &ExecutionGraph) -> &ServiceSpec {
        let found = graph.steps().find_map(|(_, operation)| match operation {
            Operation::CreateService { service, .. } | Operation::UpdateService { service, .. } => {
                Some(service)
            }
            _ => None,
        });
        found.expect("a graph of an endpoint has its service")
    }

    #[test]
    fn a_new_endpoint_with_its_own_token() {
        let graph = graph(
            TokenSource::Managed { version: 1 },
            &Change::Create,
            &["user:b@acme.com", "user:a@acme.com"],
        );
        insta::assert_snapshot!(graph, @r#"
        s0 = CreateSecret(acme-ml, openmodel-us-central1-chat-hugging-face-token)
        s1 = GrantSecretAccess(s0.id)
        s2 = AddSecretVersion(s1.id, hugging_face_token v1)
        s3 = CreateService(acme-ml/us-central1/chat, nvidia-l4 x 1, 6 vCPU, 24.00 GiB, vllm/vllm-openai:v0.27.1-cu129, HF_TOKEN = s2.id)
        s4 = SetInvokers(s3.id, ["user:a@acme.com", "user:b@acme.com"])
        s5 = MarkReady(s3.id) after s4
        "#);
    }

    #[test]
    fn a_new_endpoint_without_token_and_callers() {
        insta::assert_snapshot!(graph(TokenSource::None, &Change::Create, &[]), @r"
        s0 = CreateService(acme-ml/us-central1/chat, nvidia-l4 x 1, 6 vCPU, 24.00 GiB, vllm/vllm-openai:v0.27.1-cu129)
        s1 = MarkReady(s0.id)
        ");
    }

    #[test]
    fn an_endpoint_of_a_snapshot_waits_for_it_and_has_no_token() {
        let card = testing::llama_8b();
        let mut spec = testing::spec(&card, 8192, 8);
        spec.token = TokenSource::Managed { version: 1 };
        spec.cache = Some(openmodel_schemas::spec::CacheBinding {
            uri: format!("gs://acme/models/{}/{}", card.id, testing::COMMIT)
                .parse()
                .expect("a snapshot"),
            loader: Some(openmodel_schemas::spec::Loader::Fuse),
        });
        let placement = place(&spec, &card, None, testing::catalog()).expect("it fits");
        let graph = |change: &Change| {
            let (shape, serving) = (&placement.shape, &placement.serving);
            let loading = placement.loading.as_ref();
            lower(&spec, shape, serving, loading, change, Tags::new()).expect("sound")
        };
        insta::assert_snapshot!(graph(&Change::Create), @"
        s0 = GrantBucketRead(acme-ml, acme)
        s1 = AwaitSnapshot(gs://acme/models/meta-llama/Llama-3.1-8B-Instruct/0e9e39f249a16976918f6564b8830bc894c89659, us-central1, 0 files)
        s2 = CreateService(acme-ml/us-central1/chat, nvidia-l4 x 1, 6 vCPU, 24.00 GiB, vllm/vllm-openai:v0.27.1-cu129, /mnt/models-cache, /mnt/models) after s0, s1
        s3 = MarkReady(s2.id)
        ");
        // The token of the time before goes once the service does not read it.
        let token = Some(ManagedToken {
            version: 1,
            secret_version: "projects/7/secrets/s/versions/1".to_owned(),
        });
        insta::assert_snapshot!(graph(&Change::Update { token }), @"
        s0 = GrantBucketRead(acme-ml, acme)
        s1 = AwaitSnapshot(gs://acme/models/meta-llama/Llama-3.1-8B-Instruct/0e9e39f249a16976918f6564b8830bc894c89659, us-central1, 0 files)
        s2 = UpdateService(acme-ml/us-central1/chat, nvidia-l4 x 1, 6 vCPU, 24.00 GiB, vllm/vllm-openai:v0.27.1-cu129, /mnt/models-cache, /mnt/models) after s0, s1
        s3 = SetInvokers(s2.id, [])
        s4 = DeleteSecret(projects/acme-ml/secrets/openmodel-us-central1-chat-hugging-face-token) after s2
        s5 = MarkReady(s2.id) after s3, s4
        ");
    }

    #[test]
    fn the_service_says_what_the_placement_says() {
        let graph = graph(
            TokenSource::Secret {
                version: "projects/p/secrets/s/versions/3".to_owned(),
            },
            &Change::Create,
            &[],
        );
        insta::assert_json_snapshot!(service(&graph), @r#"
        {
          "image": "vllm/vllm-openai:v0.27.1-cu129",
          "command": [],
          "args": [
            "--model",
            "meta-llama/Llama-3.1-8B-Instruct",
            "--revision",
            "0e9e39f249a16976918f6564b8830bc894c89659",
            "--served-model-name",
            "meta-llama/Llama-3.1-8B-Instruct",
            "--port",
            "8000",
            "--max-model-len",
            "8192",
            "--max-num-seqs",
            "8",
            "--max-num-batched-tokens",
            "2048",
            "--gpu-memory-utilization",
            "0.92"
          ],
          "env": {
            "HF_XET_CHUNK_CACHE_SIZE_BYTES": "0",
            "VLLM_NO_USAGE_STATS": "1"
          },
          "secret_env": {
            "HF_TOKEN": {
              "known": "projects/p/secrets/s/versions/3"
            }
          },
          "cpu": 6,
          "memory": 25769803776,
          "accelerator": "nvidia-l4",
          "accelerator_count": 1,
          "zonal_redundancy": false,
          "port": 8000,
          "health_path": "/health",
          "concurrency": 8,
          "min_replicas": 0,
          "max_replicas": 1,
          "labels": {
            "team": "search"
          },
          "annotations": {
            "openmodel.dev/spec": "{}"
          }
        }
        "#);
    }

    #[test]
    fn an_update_adds_a_version_only_for_a_new_token() {
        let token = |version| Change::Update {
            token: Some(ManagedToken {
                version,
                secret_version: "projects/7/secrets/s/versions/1".to_owned(),
            }),
        };
        insta::assert_snapshot!(graph(TokenSource::Managed { version: 1 }, &token(1), &[]), @r"
        s0 = UpdateService(acme-ml/us-central1/chat, nvidia-l4 x 1, 6 vCPU, 24.00 GiB, vllm/vllm-openai:v0.27.1-cu129, HF_TOKEN = projects/7/secrets/s/versions/1)
        s1 = SetInvokers(s0.id, [])
        s2 = MarkReady(s0.id) after s1
        ");
        insta::assert_snapshot!(graph(TokenSource::Managed { version: 2 }, &token(1), &[]), @r"
        s0 = AddSecretVersion(projects/acme-ml/secrets/openmodel-us-central1-chat-hugging-face-token, hugging_face_token v2)
        s1 = UpdateService(acme-ml/us-central1/chat, nvidia-l4 x 1, 6 vCPU, 24.00 GiB, vllm/vllm-openai:v0.27.1-cu129, HF_TOKEN = s0.id)
        s2 = SetInvokers(s1.id, [])
        s3 = MarkReady(s1.id) after s2
        ");
        insta::assert_snapshot!(graph(TokenSource::None, &token(1), &[]), @r"
        s0 = UpdateService(acme-ml/us-central1/chat, nvidia-l4 x 1, 6 vCPU, 24.00 GiB, vllm/vllm-openai:v0.27.1-cu129)
        s1 = SetInvokers(s0.id, [])
        s2 = DeleteSecret(projects/acme-ml/secrets/openmodel-us-central1-chat-hugging-face-token) after s0
        s3 = MarkReady(s0.id) after s1, s2
        ");
        insta::assert_snapshot!(graph(TokenSource::Managed { version: 1 }, &Change::Update { token: None }, &[]), @r"
        s0 = CreateSecret(acme-ml, openmodel-us-central1-chat-hugging-face-token)
        s1 = GrantSecretAccess(s0.id)
        s2 = AddSecretVersion(s1.id, hugging_face_token v1)
        s3 = UpdateService(acme-ml/us-central1/chat, nvidia-l4 x 1, 6 vCPU, 24.00 GiB, vllm/vllm-openai:v0.27.1-cu129, HF_TOKEN = s2.id)
        s4 = SetInvokers(s3.id, [])
        s5 = MarkReady(s3.id) after s4
        ");
    }

    #[test]
    fn a_deletion_takes_the_service_first_and_its_secret_after() {
        let identity = identity(&testing::spec(&testing::llama_8b(), 8192, 8));
        let show = |secret| lower_delete(&identity, secret).expect("sound").to_string();
        insta::assert_snapshot!(show(true), @r"
        s0 = DeleteService(acme-ml/us-central1/chat)
        s1 = DeleteSecret(projects/acme-ml/secrets/openmodel-us-central1-chat-hugging-face-token) after s0
        ");
        insta::assert_snapshot!(show(false), @"s0 = DeleteService(acme-ml/us-central1/chat)");
    }

    #[test]
    fn a_public_endpoint_lets_everyone_call_once() {
        let access = Access {
            public: true,
            invokers: vec!["user:a@acme.com".to_owned(), "allUsers".to_owned()],
        };
        assert_eq!(members(&access), ["allUsers", "user:a@acme.com"]);
    }
}
