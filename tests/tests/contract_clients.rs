//! The sandbox under clients we did not write: Google's and Hugging Face's own, and gcloud.
//!
//! What the clients must see is said in `tests/clients/*.py`; here they are run, and what the
//! sandbox answered them is held to Google's Discovery documents.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use acceptance::discovery::{Contracts, Part};
use acceptance::python::Python;
use openmodel_sandbox::{Options, Sandbox};

static PYTHON: LazyLock<Python> =
    LazyLock::new(|| Python::shared().expect("a Python with the clients"));

static CONTRACTS: LazyLock<Contracts> = LazyLock::new(|| {
    let documents = PYTHON.discovery_documents().expect("Discovery documents");
    Contracts::load(&documents).expect("documents that can be read")
});

fn sandbox(options: Options) -> Sandbox {
    Sandbox::start(options).expect("a sandbox")
}

/// Sets something on the sandbox's own side: `PUT /sandbox/{what}`.
#[track_caller]
fn tell(sandbox: &Sandbox, what: &str, body: &serde_json::Value) {
    let mut line = std::net::TcpStream::connect(sandbox.addr()).expect("the sandbox's port");
    let body = body.to_string();
    write!(
        line,
        "PUT /sandbox/{what} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("a line that is open");
    let mut answer = String::new();
    line.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Runs a command to its end; fails with all that it said.
#[track_caller]
fn succeed(command: &mut Command) -> Output {
    let output = command.output().expect("the client starts");
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Holds what the sandbox answered to Discovery. A request that was refused may have been wrong:
/// the scripts ask for that.
#[track_caller]
fn keeps_the_contract(sandbox: &Sandbox, at_least: &[&str]) {
    let mut audit = CONTRACTS.check_log(&sandbox.log());
    audit
        .violations
        .retain(|violation| !(violation.refused && violation.part == Part::Request));
    let lines: Vec<String> = audit.violations.iter().map(ToString::to_string).collect();
    assert!(
        lines.is_empty(),
        "against {:?}:\n{}",
        CONTRACTS.revisions(),
        lines.join("\n")
    );
    for method in at_least {
        assert!(
            audit.methods.contains(*method),
            "{method} was not called: {:?}",
            audit.methods
        );
    }
}

/// A folder of its own for a test, empty.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("removable");
    }
    std::fs::create_dir_all(&folder).expect("writable");
    folder
}

#[test]
fn google_run_client() {
    let sandbox = sandbox(Options::default());
    succeed(PYTHON.client("cloud_run.py").arg(sandbox.url()));
    assert_eq!(sandbox.inventory(), serde_json::json!([]));
    keeps_the_contract(
        &sandbox,
        &[
            "run.projects.locations.operations.wait",
            "run.projects.locations.services.setIamPolicy",
            "run.projects.locations.services.testIamPermissions",
            "run.projects.locations.services.revisions.list",
            "run.projects.locations.services.delete",
        ],
    );
}

#[test]
fn google_run_client_of_jobs() {
    let sandbox = sandbox(Options::default());
    let images =
        serde_json::json!({"us-docker.pkg.dev/acme-ml/tools/shell:1": {"program": "/bin/sh"}});
    tell(&sandbox, "run/images", &images);
    succeed(PYTHON.client("cloud_run_jobs.py").arg(sandbox.url()));
    assert_eq!(sandbox.inventory(), serde_json::json!([]));
    keeps_the_contract(
        &sandbox,
        &[
            "run.projects.locations.jobs.create",
            "run.projects.locations.jobs.patch",
            "run.projects.locations.jobs.run",
            "run.projects.locations.jobs.setIamPolicy",
            "run.projects.locations.jobs.executions.cancel",
            "run.projects.locations.jobs.executions.delete",
            "run.projects.locations.jobs.executions.list",
            "run.projects.locations.jobs.executions.tasks.get",
            "run.projects.locations.jobs.executions.tasks.list",
            "run.projects.locations.operations.wait",
        ],
    );
}

#[test]
fn google_storage_transfer_client() {
    let sandbox = sandbox(Options::default());
    let repository = serde_json::json!({"files": {
        "config.json": {"text": "{}"},
        "model.safetensors": {"computed": {"size": 100_000, "seed": 7}},
    }});
    tell(&sandbox, "hub/models/acme/weights", &repository);
    succeed(PYTHON.client("storage_transfer.py").arg(sandbox.url()));
    assert_eq!(sandbox.inventory(), serde_json::json!([]));
    keeps_the_contract(
        &sandbox,
        &[
            "storagetransfer.googleServiceAccounts.get",
            "storagetransfer.transferJobs.create",
            "storagetransfer.transferJobs.delete",
            "storagetransfer.transferJobs.list",
            "storagetransfer.transferJobs.patch",
            "storagetransfer.transferJobs.run",
            "storagetransfer.transferOperations.cancel",
            "storagetransfer.transferOperations.get",
            "storagetransfer.transferOperations.list",
            "storagetransfer.transferOperations.pause",
            "storagetransfer.transferOperations.resume",
        ],
    );
}

#[test]
fn google_secret_manager_client() {
    let sandbox = sandbox(Options::default());
    succeed(PYTHON.client("secret_manager.py").arg(sandbox.url()));
    assert_eq!(sandbox.inventory(), serde_json::json!([]));
    keeps_the_contract(
        &sandbox,
        &[
            "secretmanager.projects.secrets.versions.access",
            "secretmanager.projects.secrets.versions.destroy",
            "secretmanager.projects.secrets.delete",
        ],
    );
}

#[test]
fn google_storage_client() {
    let sandbox = sandbox(Options::default());
    // So that a copy of a few megabytes takes several calls.
    tell(
        &sandbox,
        "storage",
        &serde_json::json!({"rewriteBytesPerCall": 4 << 20}),
    );
    let mut client = PYTHON.client("storage.py");
    succeed(client.arg(sandbox.url()).arg(scratch("storage")));
    assert_eq!(sandbox.inventory(), serde_json::json!([]));
    keeps_the_contract(
        &sandbox,
        &[
            "storage.buckets.setIamPolicy",
            "storage.objects.insert",
            "storage.objects.list",
            "storage.objects.compose",
            "storage.objects.rewrite",
            "storage.objects.restore",
            "storage.buckets.delete",
        ],
    );
}

#[test]
fn google_storage_client_from_discovery() {
    let sandbox = sandbox(Options::default());
    succeed(PYTHON.client("storage_discovery.py").arg(sandbox.url()));
    assert_eq!(sandbox.inventory(), serde_json::json!([]));
    keeps_the_contract(
        &sandbox,
        &[
            "storage.anywhereCaches.insert",
            "storage.anywhereCaches.disable",
            "storage.buckets.operations.get",
            "storage.objects.insert",
            "storage.objects.get",
        ],
    );
}

#[test]
fn google_token_clients() {
    let sandbox = sandbox(Options::default());
    succeed(PYTHON.client("tokens.py").arg(sandbox.url()));
    keeps_the_contract(
        &sandbox,
        &[
            "iamcredentials.projects.serviceAccounts.generateAccessToken",
            "iamcredentials.projects.serviceAccounts.generateIdToken",
            "sts.token",
        ],
    );
}

#[test]
fn hugging_face_client() {
    let sandbox = sandbox(Options::default());
    let repository = serde_json::json!({
        "card": {"xet": true, "scan": {"files": {"model.safetensors": {"status": "unsafe"}}}},
        "files": {"model.safetensors": {"computed": {"size": 100_000, "seed": 7}}},
    });
    tell(&sandbox, "hub/models/acme/weights", &repository);
    let mut client = PYTHON.client("hub.py");
    client
        .env("HF_ENDPOINT", sandbox.url())
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HOME", scratch("hub-home"))
        .arg(scratch("hub"));
    succeed(&mut client);
}

/// gcloud, if it is installed, on a sandbox of its own that takes anonymous requests.
struct Gcloud {
    program: PathBuf,
    folder: PathBuf,
    sandbox: Sandbox,
}

impl Gcloud {
    fn find(name: &str) -> Option<Self> {
        let Some(program) = on_path("gcloud") else {
            let note = "gcloud is not installed: the sandbox was not driven with it";
            writeln!(std::io::stderr(), "{note}").expect("stderr");
            return None;
        };
        let options = Options {
            allow_anonymous: true,
            ..Options::default()
        };
        Some(Self {
            program,
            folder: scratch(name),
            sandbox: sandbox(options),
        })
    }

    /// Runs it; what it prints.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let url = self.sandbox.url();
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .arg("--quiet")
            .stdin(Stdio::null())
            .env("CLOUDSDK_CONFIG", self.folder.join("configuration"))
            .env("CLOUDSDK_CORE_PROJECT", "acme-ml")
            .env("CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "true")
            .env("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true")
            .env(
                "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER",
                format!("{url}/"),
            )
            .env(
                "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE",
                format!("{url}/storage/v1/"),
            );
        let output = succeed(&mut command);
        String::from_utf8(output.stdout).expect("gcloud writes UTF-8")
    }
}

#[test]
fn gcloud_secrets() {
    let Some(gcloud) = Gcloud::find("gcloud") else {
        return;
    };
    let payload = gcloud.folder.join("payload");
    std::fs::write(&payload, "open sesame").expect("writable");
    let run = |arguments: &[&str]| gcloud.run(&[&["secrets"], arguments].concat());
    let file = format!("--data-file={}", payload.display());
    run(&["create", "token", "--replication-policy=automatic"]);
    let added = run(&["versions", "add", "token", &file, "--format=json"]);
    assert!(added.contains("/secrets/token/versions/1"), "{added}");
    let seen = run(&["versions", "access", "latest", "--secret=token"]);
    assert_eq!(seen, "open sesame");
    run(&["delete", "token"]);
    assert_eq!(gcloud.sandbox.inventory(), serde_json::json!([]));
    keeps_the_contract(
        &gcloud.sandbox,
        &[
            "secretmanager.projects.secrets.addVersion",
            "secretmanager.projects.secrets.create",
            "secretmanager.projects.secrets.delete",
            "secretmanager.projects.secrets.versions.access",
        ],
    );
}

#[test]
fn gcloud_storage() {
    let Some(gcloud) = Gcloud::find("gcloud-storage") else {
        return;
    };
    let run = |arguments: &[&str]| gcloud.run(&[&["storage"], arguments].concat());
    let path = |name: &str| gcloud.folder.join(name).display().to_string();
    // The second is long enough for a resumable upload; both end in what could be a line end.
    let small = b"small\r".to_vec();
    let large: Vec<u8> = (0..9_000_000_u32).map(|at| at.to_le_bytes()[1]).collect();
    std::fs::write(path("small"), &small).expect("writable");
    std::fs::write(path("large"), &large).expect("writable");
    run(&["buckets", "create", "gs://models", "--location=us-central1"]);
    run(&[
        "cp",
        &path("small"),
        &path("large"),
        "gs://models/snapshot/",
    ]);
    let listed = run(&["ls", "--recursive", "gs://models"]);
    assert!(listed.contains("gs://models/snapshot/large"), "{listed}");
    for (name, content) in [("small", &small), ("large", &large)] {
        let (from, to) = (format!("gs://models/snapshot/{name}"), path("back"));
        run(&["cp", &from, &to]);
        assert!(std::fs::read(&to).expect("a file") == *content, "{name}");
    }
    run(&["rm", "--recursive", "gs://models"]);
    assert_eq!(gcloud.sandbox.inventory(), serde_json::json!([]));
    keeps_the_contract(
        &gcloud.sandbox,
        &[
            "storage.buckets.insert",
            "storage.objects.insert",
            "storage.objects.list",
            "storage.buckets.delete",
        ],
    );
}

fn on_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
