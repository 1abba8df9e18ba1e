//! The adapters against contracts we did not write: every request of theirs, and every answer
//! the sandbox gave, is what Google's Discovery documents say.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use acceptance::discovery::{Contracts, Exchange, Part};
use acceptance::python::Python;
use openmodel_apply::executor::{self, apply};
use openmodel_apply::report::{End, Report};
use openmodel_apply::run::Run;
use openmodel_cloud::google::SnapshotState;
use openmodel_cloud::transport::{self, Api, Endpoints, Request};
use openmodel_cloud::{GoogleCloud, Secret, Transport, auth};
use openmodel_graph::graph::GraphBuilder;
use openmodel_graph::operation::{
    EndpointIdentity, Input, Operation, SecretSlot, ServiceSpec, Tags,
};
use openmodel_sandbox::{Options, Sandbox};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::report::{Volume, VolumeSource};
use openmodel_schemas::snapshot::{MANIFEST, SnapshotUri, content_digest};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Every method of Google's APIs that openmodel calls. The test fails for one that is missing
/// here, and for one here that was not exercised.
const METHODS: [&str; 27] = [
    "cloudresourcemanager.projects.get",
    "iamcredentials.projects.serviceAccounts.generateAccessToken",
    "iamcredentials.projects.serviceAccounts.generateIdToken",
    "run.projects.locations.operations.get",
    "run.projects.locations.services.create",
    "run.projects.locations.services.delete",
    "run.projects.locations.services.get",
    "run.projects.locations.services.getIamPolicy",
    "run.projects.locations.services.patch",
    "run.projects.locations.services.setIamPolicy",
    "secretmanager.projects.secrets.addVersion",
    "secretmanager.projects.secrets.create",
    "secretmanager.projects.secrets.delete",
    "secretmanager.projects.secrets.get",
    "secretmanager.projects.secrets.getIamPolicy",
    "secretmanager.projects.secrets.patch",
    "secretmanager.projects.secrets.setIamPolicy",
    "secretmanager.projects.secrets.versions.destroy",
    "secretmanager.projects.secrets.versions.get",
    "secretmanager.projects.secrets.versions.list",
    "storage.buckets.get",
    "storage.buckets.getIamPolicy",
    "storage.buckets.insert",
    "storage.buckets.setIamPolicy",
    "storage.objects.get",
    "storage.objects.insert",
    "sts.token",
];

const ACCOUNT: &str = "deploy@acme-ml.iam.gserviceaccount.com";

static CONTRACTS: LazyLock<Contracts> = LazyLock::new(|| {
    let python = Python::shared().expect("a Python with google-api-python-client");
    let documents = python.discovery_documents().expect("Discovery documents");
    Contracts::load(&documents).expect("documents that can be read")
});

/// A sandbox whose long-running operations are looked at three times.
fn sandbox() -> Sandbox {
    let operation_time = Duration::from_secs(50);
    Sandbox::start(Options {
        operation_time,
        ..Options::default()
    })
    .expect("a sandbox")
}

fn transport(sandbox: &Sandbox, auth: auth::Options) -> Transport {
    let endpoints = Endpoints::sandbox(sandbox.url()).expect("the sandbox's URL");
    Transport::new(transport::Options {
        endpoints,
        auth,
        ..transport::Options::default()
    })
}

fn cloud(sandbox: &Sandbox, token: &str) -> GoogleCloud {
    let auth = auth::Options {
        sandbox: true,
        ..auth::Options::default()
    };
    let secrets = BTreeMap::from([(slot(), Secret::new(token))]);
    GoogleCloud::new(transport(sandbox, auth), secrets)
}

fn slot() -> SecretSlot {
    SecretSlot("hugging_face_token".to_owned())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn identity() -> EndpointIdentity {
    EndpointIdentity {
        project: "acme-ml".parse().expect("a project"),
        region: "us-central1".parse().expect("a region"),
        name: "chat".parse().expect("a name"),
    }
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// A service with every field of its spec in use.
fn service(concurrency: u32, token: Input) -> Box<ServiceSpec> {
    Box::new(ServiceSpec {
        image: "us-docker.pkg.dev/acme-ml/serving/vllm:1".to_owned(),
        command: vec!["vllm".to_owned(), "serve".to_owned()],
        args: vec!["--max-model-len=8192".to_owned()],
        env: tags(&[("VLLM_LOGGING_LEVEL", "INFO")]),
        secret_env: BTreeMap::from([("HF_TOKEN".to_owned(), token)]),
        volumes: Vec::new(),
        cpu: 8,
        memory: Bytes::gib(32),
        accelerator: "nvidia-l4".to_owned(),
        accelerator_count: 1,
        zonal_redundancy: false,
        port: 8000,
        health_path: "/health".to_owned(),
        concurrency,
        min_replicas: 1,
        max_replicas: 2,
        labels: tags(&[("team", "search")]),
        annotations: tags(&[(
            "openmodel.dev/spec",
            "{\"model\":\"Qwen/Qwen2.5-7B-Instruct\"}",
        )]),
    })
}

/// Runs a graph of the endpoint to its end.
async fn run(cloud: &GoogleCloud, build: impl FnOnce(&mut GraphBuilder)) -> Report {
    let mut builder = GraphBuilder::new(identity().to_string());
    build(&mut builder);
    let mut run = Run::new(builder.freeze().expect("a graph"));
    let options = executor::Options {
        deadline: Duration::from_mins(1),
        ..executor::Options::default()
    };
    apply(&mut run, cloud, options, std::future::pending(), &|_| {}).await
}

#[track_caller]
fn completed(report: &Report) {
    assert_eq!(report.end, End::Completed, "{report:#?}");
}

fn create(graph: &mut GraphBuilder) {
    let secret = graph.step(Operation::CreateSecret {
        project: identity().project,
        secret_id: identity().token_secret_id(),
        labels: tags(&[("team", "search")]),
    });
    let granted = graph.step(Operation::GrantSecretAccess {
        secret: Input::OutputOf(secret),
    });
    let version = graph.step(Operation::AddSecretVersion {
        secret: Input::OutputOf(granted),
        payload: slot(),
        version: 1,
    });
    let service = service(16, Input::OutputOf(version));
    let service = graph.step(Operation::CreateService {
        identity: identity(),
        service,
        after: Vec::new(),
    });
    finish(
        graph,
        service,
        &[
            "allUsers",
            "serviceAccount:app@acme-ml.iam.gserviceaccount.com",
        ],
    );
}

fn update(graph: &mut GraphBuilder) {
    let version = graph.step(Operation::AddSecretVersion {
        secret: Input::Known(identity().token_secret()),
        payload: slot(),
        version: 2,
    });
    let service = service(32, Input::OutputOf(version));
    let service = graph.step(Operation::UpdateService {
        identity: identity(),
        service,
        after: Vec::new(),
    });
    finish(
        graph,
        service,
        &["serviceAccount:app@acme-ml.iam.gserviceaccount.com"],
    );
}

fn finish(graph: &mut GraphBuilder, service: openmodel_graph::graph::StepId, members: &[&str]) {
    let invokers = graph.step(Operation::SetInvokers {
        service: Input::OutputOf(service),
        members: members.iter().map(|&member| member.to_owned()).collect(),
    });
    graph.step(Operation::MarkReady {
        service: Input::OutputOf(service),
        after: vec![invokers],
    });
}

fn delete(graph: &mut GraphBuilder) {
    let service = graph.step(Operation::DeleteService {
        identity: identity(),
    });
    graph.step(Operation::DeleteSecret {
        secret: identity().token_secret(),
        after: vec![service],
    });
}

/// The whole life of an endpoint, and the reads between.
async fn live_and_die(sandbox: &Sandbox) {
    let (first, second) = (cloud(sandbox, "hf_first"), cloud(sandbox, "hf_second"));
    completed(&run(&first, create).await);
    let refused = run(&first, create).await;
    assert!(
        matches!(refused.end, End::Refused { .. }),
        "a finished endpoint is not taken over: {refused:#?}"
    );
    let live = first
        .read_endpoint(&identity(), soon())
        .await
        .expect("an answer")
        .expect("a service");
    assert_eq!(
        (live.generation > 0, live.invokers.len()),
        (true, 2),
        "{live:#?}"
    );

    completed(&run(&second, update).await);
    completed(&run(&second, update).await);
    let live = second
        .read_endpoint(&identity(), soon())
        .await
        .expect("an answer")
        .expect("a service");
    assert_eq!(live.invokers.len(), 1, "{live:#?}");

    // A secret named by the project's id, as a user names one: its number is looked up.
    let grant = |graph: &mut GraphBuilder| {
        let secret = Input::Known(identity().token_secret());
        graph.step(Operation::GrantSecretAccess { secret });
    };
    completed(&run(&second, grant).await);

    completed(&run(&second, delete).await);
    completed(&run(&second, delete).await);
    assert_eq!(second.read_endpoint(&identity(), soon()).await, Ok(None));
    assert_eq!(sandbox.inventory(), json!([]));
}

/// A service that mounts a snapshot: its bucket is there, its manifest comes while it is waited for.
async fn serve_from_a_snapshot(sandbox: &Sandbox) {
    let client = acceptance::http_client();
    let post = async |path: &str, body: &Value| {
        let request = client.post(format!("{}{path}", sandbox.url()));
        let answer = request.bearer_auth("a-token").json(body).send().await;
        assert!(answer.expect("an answer").status().is_success(), "{path}");
    };
    let commit = "0e9e39f249a16976918f6564b8830bc894c89659";
    let snapshot: SnapshotUri = format!("gs://acme-models/models/Qwen/Qwen3-8B/{commit}")
        .parse()
        .expect("a snapshot");
    let bucket = json!({"name": "acme-models", "location": "US"});
    post("/storage/v1/b?project=acme-ml", &bucket).await;

    let (cloud, region) = (cloud(sandbox, "hf_first"), identity().region);
    let look = || cloud.look_at_snapshot(&snapshot, &region, &[], soon());
    assert_eq!(look().await, Ok(SnapshotState::Incomplete));
    let manifest = json!({"version": 1, "repository": {"type": "model", "id": "Qwen/Qwen3-8B"}, "commit": commit,
        "digest": content_digest([]), "files": []});
    let name = snapshot.object(MANIFEST).replace('/', "%2F");
    let path = format!("/upload/storage/v1/b/acme-models/o?uploadType=media&name={name}");
    post(&path, &manifest).await;
    assert_eq!(look().await, Ok(SnapshotState::Complete));

    let serve = |graph: &mut GraphBuilder| {
        let complete = graph.step(Operation::AwaitSnapshot {
            snapshot: snapshot.clone(),
            region: region.clone(),
            files: Vec::new(),
        });
        let granted = graph.step(Operation::GrantBucketRead {
            project: identity().project,
            bucket: "acme-models".to_owned(),
            after: vec![complete],
        });
        let mut service = service(16, Input::Known(String::new()));
        service.secret_env.clear();
        service.volumes = vec![
            Volume {
                name: "openmodel-cache".to_owned(),
                mount_path: "/mnt/models-cache".to_owned(),
                source: VolumeSource::Memory {
                    size: Bytes::gib(16),
                },
            },
            Volume {
                name: "openmodel-models".to_owned(),
                mount_path: "/mnt/models".to_owned(),
                source: VolumeSource::Bucket {
                    bucket: "acme-models".to_owned(),
                    mount_options: vec!["cache-dir=cr-volume:openmodel-cache".to_owned()],
                },
            },
        ];
        let service = graph.step(Operation::CreateService {
            identity: identity(),
            service,
            after: vec![granted],
        });
        finish(graph, service, &["allUsers"]);
    };
    completed(&run(&cloud, serve).await);
    let live = cloud.read_endpoint(&identity(), soon()).await;
    let live = live.expect("an answer").expect("a service");
    assert_eq!(live.volumes.len(), 2, "{live:#?}");
}

/// Every way to a token that can be pointed at a sandbox.
async fn ask_for_tokens(sandbox: &Sandbox) {
    let url = sandbox.url();
    let subject = tempfile();
    let federated = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/github",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{url}/v1/token"),
        "service_account_impersonation_url":
            format!("{url}/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"),
        "credential_source": {"file": subject},
    });
    let user = json!({
        "type": "authorized_user",
        "client_id": "id",
        "client_secret": "secret",
        "refresh_token": "refresh",
        "token_uri": format!("{url}/token"),
    });
    for credentials in [federated, user] {
        let credentials = Some(Secret::new(credentials.to_string()));
        let transport = transport(
            sandbox,
            auth::Options {
                credentials,
                ..auth::Options::default()
            },
        );
        let token = transport.auth().access_token().await.expect("a token");
        assert!(!token.expose().is_empty());
    }
    let impersonating = auth::Options {
        access_token: Some(Secret::new("caller")),
        impersonate_service_account: Some(ACCOUNT.to_owned()),
        ..auth::Options::default()
    };
    let transport = transport(sandbox, impersonating);
    let audience = "https://chat-1.us-central1.run.app";
    let token = transport
        .auth()
        .id_token(&transport, audience, soon())
        .await
        .expect("an identity token");
    assert_eq!(token.expose().matches('.').count(), 2, "a JWT");
}

/// A file with a subject token, as a pipeline's runner leaves one.
fn tempfile() -> String {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("subject-token");
    std::fs::write(&file, "subject-token").expect("writable");
    file.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_and_every_answer_keeps_googles_contract() {
    let sandbox = sandbox();
    live_and_die(&sandbox).await;
    serve_from_a_snapshot(&sandbox).await;
    ask_for_tokens(&sandbox).await;

    let audit = CONTRACTS.check_log(&sandbox.log());
    assert_eq!(
        audit.methods.iter().map(String::as_str).collect::<Vec<_>>(),
        METHODS
    );
    let lines: Vec<String> = audit.violations.iter().map(ToString::to_string).collect();
    assert!(
        lines.is_empty(),
        "against {:?}:\n{}",
        CONTRACTS.revisions(),
        lines.join("\n")
    );
}

/// What the contract forbids, the sandbox refuses: neither is more lenient than the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_doctored_request_is_refused_by_the_contract_and_by_the_sandbox() {
    let doctored: [(&str, &str, Value); 6] = [
        ("/template/containers/0", "gpu", json!(1)),
        ("/template", "accelerator", json!("nvidia-l4")),
        ("/template", "timeout", json!(300)),
        ("/template", "maxInstanceRequestConcurrency", json!("many")),
        (
            "/template/containers/0",
            "args",
            json!({"max-model-len": 8192}),
        ),
        ("", "ingress", json!("INGRESS_TRAFFIC_EVERYONE")),
    ];
    let sandbox = sandbox();
    let cloud = cloud(&sandbox, "hf_first");
    completed(&run(&cloud, create).await);
    let sent = sandbox.log().into_iter().find(|entry| {
        entry.operation.as_deref() == Some("run.projects.locations.services.create")
            && entry.status == 200
    });
    let sent = Exchange::from(&sent.expect("the create"));
    assert_eq!(CONTRACTS.check(&sent).violations, []);
    let body = sent.request.clone().expect("a body");
    for (at, name, value) in doctored {
        let mut body = body.clone();
        body.pointer_mut(at).expect("the place to doctor")[name] = value;
        let request =
            Request::post(Api::Run, sent.path.clone(), body.clone()).query("serviceId", "other");
        let error = cloud
            .transport()
            .send(&request, soon())
            .await
            .expect_err(name);
        assert!(
            error.status.is_some_and(|status| status == 400),
            "{name}: {error}"
        );
        let checked = CONTRACTS.check(&Exchange {
            request: Some(body),
            ..sent.clone()
        });
        assert!(
            checked
                .violations
                .iter()
                .any(|found| found.part == Part::Request),
            "{name}: {checked:?}"
        );
    }
}
