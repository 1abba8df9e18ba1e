//! What these tests share: a sandbox, an endpoint, its graphs, and a way to run them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use openmodel_apply::backoff::Backoff;
use openmodel_apply::executor::{self, Options};
use openmodel_apply::report::Report;
use openmodel_apply::run::Run;
use openmodel_cloud::transport::{self, Endpoints};
use openmodel_cloud::{GoogleCloud, Hub, Secret, Transport, auth, huggingface};
use openmodel_graph::graph::{ExecutionGraph, GraphBuilder, StepId};
use openmodel_graph::operation::{
    EndpointIdentity, Input, Operation, SecretSlot, ServiceSpec, Tags,
};
use openmodel_sandbox::Sandbox;
use openmodel_schemas::quantity::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The value that nothing may ever show.
pub(crate) const TOKEN: &str = "hf_do_not_show_me";

/// A sandbox and an adapter that talks to it.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) cloud: GoogleCloud,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(openmodel_sandbox::Options {
            strict_secret_access: true,
            ..openmodel_sandbox::Options::default()
        })
    }

    pub(crate) fn with(options: openmodel_sandbox::Options) -> Self {
        let sandbox = Sandbox::start(options).expect("a sandbox");
        let secrets = BTreeMap::from([(SecretSlot("token".to_owned()), Secret::new(TOKEN))]);
        let cloud = GoogleCloud::new(transport(&sandbox, None), secrets);
        Self { sandbox, cloud }
    }

    /// Runs a graph to its end.
    pub(crate) async fn apply(&self, graph: &ExecutionGraph) -> Report {
        let mut run = Run::new(graph.clone());
        executor::apply(
            &mut run,
            &self.cloud,
            options(),
            std::future::pending(),
            &|_| {},
        )
        .await
    }

    /// Runs a graph until so many events have happened, then drops it where it stands. Says
    /// whether it was cut before its end.
    pub(crate) async fn apply_and_cut(&self, graph: &ExecutionGraph, events: usize) -> bool {
        let (seen, stop) = (AtomicUsize::new(0), Notify::new());
        let on_event = |_: &_| {
            if seen.fetch_add(1, Ordering::SeqCst) + 1 == events {
                stop.notify_one();
            }
        };
        let mut run = Run::new(graph.clone());
        let running = executor::apply(
            &mut run,
            &self.cloud,
            options(),
            std::future::pending(),
            &on_event,
        );
        tokio::select! {
            biased;
            () = stop.notified() => true,
            _ = running => false,
        }
    }

    /// Tells the sandbox something under `/sandbox`.
    pub(crate) async fn tell(&self, method: &str, path: &str, body: &Value) {
        let body = body.to_string();
        let request = format!(
            "{method} /sandbox/{path} HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut socket = tokio::net::TcpStream::connect(self.sandbox.addr())
            .await
            .expect("a connection");
        socket.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }

    pub(crate) async fn fault(&self, rule: Value) {
        self.tell("POST", "faults", &rule).await;
    }

    /// What exists and matters: destroyed versions are nothing but a number that is used up.
    pub(crate) fn inventory(&self) -> Vec<Value> {
        let all = self.sandbox.inventory();
        let mut kept: Vec<Value> = all.as_array().expect("a list").clone();
        kept.retain(|asset| asset["data"]["state"] != "DESTROYED");
        let mut text = Value::Array(kept).to_string();
        // Numbers of versions and revisions count attempts.
        for number in 2..9 {
            text = text.replace(&format!("versions/{number}\""), "versions/1\"");
            text = text.replace(&format!("\"version\":\"{number}\""), "\"version\":\"1\"");
            text = text.replace(
                &format!("\"openmodel-version\":\"{number}\""),
                "\"openmodel-version\":\"1\"",
            );
        }
        serde_json::from_str(&text).expect("JSON")
    }

    /// How many enabled versions there are of the endpoint's token.
    pub(crate) fn enabled_versions(&self) -> usize {
        let all = self.sandbox.inventory();
        all.as_array()
            .into_iter()
            .flatten()
            .filter(|asset| asset["data"]["state"] == "ENABLED")
            .count()
    }
}

pub(crate) fn transport(sandbox: &Sandbox, token: Option<&str>) -> Transport {
    Transport::new(transport::Options {
        hugging_face_token: token.map(Secret::new),
        ..transport_options(sandbox)
    })
}

/// One that may ask `VirusTotal`.
pub(crate) fn with_virus_total(sandbox: &Sandbox, key: Option<&str>) -> Transport {
    Transport::new(transport::Options {
        virus_total_key: key.map(Secret::new),
        ..transport_options(sandbox)
    })
}

fn transport_options(sandbox: &Sandbox) -> transport::Options {
    transport::Options {
        endpoints: Endpoints::sandbox(sandbox.url()).expect("a base URL"),
        auth: auth::Options {
            sandbox: true,
            ..auth::Options::default()
        },
        backoff: transport::Backoff {
            base: Duration::from_millis(5),
            ..transport::Backoff::default()
        },
        ..transport::Options::default()
    }
}

pub(crate) fn hub(sandbox: &Sandbox, token: Option<&str>) -> Hub {
    Hub::new(
        transport(sandbox, token),
        huggingface::HubOptions::default(),
    )
}

pub(crate) fn options() -> Options {
    let retry = Backoff {
        base: Duration::from_millis(5),
        cap: Duration::from_millis(20),
        attempts: 6,
    };
    Options {
        retry,
        deadline: Duration::from_mins(1),
        ..Options::default()
    }
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

pub(crate) fn identity() -> EndpointIdentity {
    EndpointIdentity {
        project: "acme-ml".parse().expect("a project"),
        region: "us-central1".parse().expect("a region"),
        name: "chat".parse().expect("a name"),
    }
}

pub(crate) fn service_spec() -> ServiceSpec {
    let tags = |name: &str, value: &str| Tags::from([(name.to_owned(), value.to_owned())]);
    ServiceSpec {
        image: "vllm/vllm-openai:v0.19.0".to_owned(),
        command: Vec::new(),
        args: vec!["--model=Qwen/Qwen3-8B".to_owned()],
        env: tags("HF_HOME", "/tmp/hf"),
        secret_env: BTreeMap::new(),
        volumes: Vec::new(),
        cpu: 8,
        memory: Bytes::gib(32),
        accelerator: "nvidia-l4".to_owned(),
        accelerator_count: 1,
        zonal_redundancy: false,
        port: 8000,
        health_path: "/health".to_owned(),
        concurrency: 16,
        min_replicas: 0,
        max_replicas: 2,
        labels: tags("team", "ml"),
        annotations: tags("openmodel.dev/spec", "{}"),
    }
}

/// Secret, grant, version, service, invokers, ready.
pub(crate) fn creation(spec: ServiceSpec) -> ExecutionGraph {
    creation_with(spec, 1)
}

/// The same, with another value of the token.
pub(crate) fn creation_with(spec: ServiceSpec, token_version: i64) -> ExecutionGraph {
    let mut graph = GraphBuilder::new(identity().to_string());
    let secret = graph.step(Operation::CreateSecret {
        project: identity().project,
        secret_id: identity().token_secret_id(),
        labels: spec.labels.clone(),
    });
    let grant = graph.step(Operation::GrantSecretAccess {
        secret: Input::OutputOf(secret),
    });
    let version = add_version(&mut graph, Input::OutputOf(grant), token_version);
    let mut spec = spec;
    spec.secret_env
        .insert("HF_TOKEN".to_owned(), Input::OutputOf(version));
    let service = graph.step(Operation::CreateService {
        identity: identity(),
        service: Box::new(spec),
        after: Vec::new(),
    });
    finish(graph, service, &["allUsers"])
}

/// A new version of the token, the service with another spec, invokers, ready.
pub(crate) fn update(spec: ServiceSpec, token_version: i64, invokers: &[&str]) -> ExecutionGraph {
    let mut graph = GraphBuilder::new(identity().to_string());
    let version = add_version(
        &mut graph,
        Input::Known(identity().token_secret()),
        token_version,
    );
    let mut spec = spec;
    spec.secret_env
        .insert("HF_TOKEN".to_owned(), Input::OutputOf(version));
    let service = graph.step(Operation::UpdateService {
        identity: identity(),
        service: Box::new(spec),
        after: Vec::new(),
    });
    finish(graph, service, invokers)
}

pub(crate) fn deletion() -> ExecutionGraph {
    let mut graph = GraphBuilder::new(identity().to_string());
    let service = graph.step(Operation::DeleteService {
        identity: identity(),
    });
    graph.step(Operation::DeleteSecret {
        secret: identity().token_secret(),
        after: vec![service],
    });
    graph.freeze().expect("a graph")
}

fn add_version(graph: &mut GraphBuilder, secret: Input, version: i64) -> StepId {
    graph.step(Operation::AddSecretVersion {
        secret,
        payload: SecretSlot("token".to_owned()),
        version,
    })
}

fn finish(mut graph: GraphBuilder, service: StepId, invokers: &[&str]) -> ExecutionGraph {
    let members = invokers.iter().map(|member| (*member).to_owned()).collect();
    let invokers = graph.step(Operation::SetInvokers {
        service: Input::OutputOf(service),
        members,
    });
    graph.step(Operation::MarkReady {
        service: Input::OutputOf(service),
        after: vec![invokers],
    });
    graph.freeze().expect("a graph")
}

/// A rule that fails the operation which this request starts, once.
pub(crate) fn container_fails(method: &str) -> Value {
    json!({"match": {"method": method, "pathRegex": "/services"}, "nth": 1, "then": {"operation": {
        "code": 9, "message": "The user-provided container failed to start and listen on the port",
        "reason": "HEALTH_CHECK_CONTAINER_ERROR"}}})
}
