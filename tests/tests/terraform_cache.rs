//! An endpoint that serves from a snapshot in Cloud Storage: what the plan shows and refuses, what the
//! apply waits for and makes, and what is seen of it afterwards.

use std::time::Duration;

use acceptance::http::Http;
use acceptance::terraform::{Bench, PROVIDER, actions, one_line, planned, printed};
use anyhow::{Context as _, Result, ensure};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::snapshot::content_digest;
use serde_json::{Value, json};

const ADDRESS: &str = "openmodel_endpoint.chat";
const MODEL: &str = "Qwen/Qwen2.5-7B-Instruct";

fn configuration(attributes: &str) -> String {
    format!(
        "{PROVIDER}\nresource \"openmodel_endpoint\" \"chat\" {{\n  name = \"chat\"\n  model = \"{MODEL}\"\n  \
         workload = {{ context_length = 8192, max_concurrency = 8 }}\n{attributes}\n}}\n"
    )
}

/// A sandbox, and who makes snapshots in it.
struct World {
    bench: Bench,
    http: Http,
}

impl World {
    fn new() -> Result<Self> {
        let bench = Bench::of(&configuration(""))?;
        let http = Http::new();
        Ok(Self { bench, http })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.bench.sandbox.url())
    }

    fn commit(&self) -> Result<String> {
        let info = self.http.get(&self.url(&format!("/api/models/{MODEL}")))?;
        let commit = info["sha"].as_str().context("a commit")?;
        Ok(commit.to_owned())
    }

    fn uri(&self, bucket: &str) -> Result<String> {
        Ok(format!("gs://{bucket}/models/{MODEL}/{}", self.commit()?))
    }

    fn bucket(&self, name: &str, location: &str) -> Result<()> {
        let url = self.url("/storage/v1/b?project=acme-ml");
        let body = json!({"name": name, "location": location});
        self.http.post(&url, &body).map(drop)
    }

    /// Writes the manifest of a snapshot without the files that are left out.
    fn manifest(&self, bucket: &str, left_out: &[&str]) -> Result<()> {
        let commit = self.commit()?;
        let tree = self.url(&format!("/api/models/{MODEL}/tree/{commit}?recursive=true"));
        let tree = self.http.get(&tree)?;
        let (mut files, mut kept) = (Vec::new(), Vec::new());
        for entry in tree.as_array().context("a tree")? {
            let path = entry["path"].as_str().context("a path")?;
            if entry["type"] == "file" && !left_out.contains(&path) {
                kept.push((
                    "git:0",
                    Bytes(entry["size"].as_u64().context("a size")?),
                    path,
                ));
                files.push(
                    json!({"path": path, "size": entry["size"], "identity": "git:0",
                    "crc32c": "AAAAAA==", "generation": 1}),
                );
            }
        }
        let manifest = json!({"version": 1, "repository": {"type": "model", "id": MODEL},
            "commit": commit, "digest": content_digest(kept), "files": files});
        let name = format!(
            "models%2F{}%2F{commit}%2F.openmodel%2Fmanifest.json",
            MODEL.replace('/', "%2F")
        );
        let url = self.url(&format!(
            "/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}"
        ));
        self.http.post(&url, &manifest).map(drop)
    }

    fn set(&self, attributes: &str) -> Result<()> {
        self.bench
            .workspace
            .write("main.tf", &configuration(attributes))
    }

    fn plan(&self, attributes: &str) -> Result<Value> {
        self.set(attributes)?;
        self.bench.plan()
    }

    #[track_caller]
    fn refuses(&self, attributes: &str, parts: &[&str]) -> Result<()> {
        self.set(attributes)?;
        let message = self.bench.terraform_fails(&["plan"])?;
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
        Ok(())
    }

    fn service(&self) -> Result<Value> {
        let path = "/v2/projects/acme-ml/locations/us-central1/services/chat";
        self.http.get(&self.url(path))
    }
}

#[test]
fn an_endpoint_serves_from_its_snapshot_and_never_asks_the_hub() -> Result<()> {
    let world = World::new()?;
    world.bucket("acme-models", "US")?;
    world.manifest("acme-models", &[])?;
    let uri = world.uri("acme-models")?;
    let cache = format!("cache = \"{uri}\"");

    let plan = world.plan(&cache)?;
    let chat = planned(&plan, ADDRESS);
    assert_eq!(chat["loader"], "streamer");
    assert_eq!(chat["resolved_revision"], world.commit()?);
    let times: Vec<String> = ["hub", "fuse", "streamer", "reason"]
        .map(|name| format!("{name} = {}", chat["load_time"][name]))
        .into();
    insta::assert_snapshot!(times.join("\n"), @r#"
    hub = "25 to 381 s"
    fuse = "9 to 142 s"
    streamer = "9 to 49 s"
    reason = "streamer: a start of about 58 s, $0.02; fuse: a start of about 72 s, $0.02"
    "#);
    world.bench.terraform(&["apply", "tfplan"])?;
    world.bench.assert_plan_is_empty()?;

    let service = world.service()?;
    let container = &service["template"]["containers"][0];
    let text = container.to_string();
    assert!(text.contains(&format!("\"--model\",\"{uri}\"")), "{text}");
    assert!(
        text.contains(&format!("\"--served-model-name\",\"{MODEL}\"")),
        "{text}"
    );
    assert!(
        text.contains(r#"{"name":"HF_HUB_OFFLINE","value":"1"}"#),
        "{text}"
    );
    assert!(
        !text.contains("HF_TOKEN") && !text.contains("--revision"),
        "{text}"
    );
    let policy = world
        .http
        .get(&world.url("/storage/v1/b/acme-models/iam"))?
        .to_string();
    assert!(policy.contains("roles/storage.objectViewer"), "{policy}");

    world.bench.terraform(&["state", "rm", ADDRESS])?;
    world.bench.terraform(&["import", ADDRESS, "chat"])?;
    world.bench.assert_plan_is_empty()
}

#[test]
fn a_mounted_bucket_is_a_new_revision_and_its_drift_is_seen_and_mended() -> Result<()> {
    let world = World::new()?;
    world.bench.apply()?;
    let from_hub = world.bench.plan()?;
    let chat = planned(&from_hub, ADDRESS);
    assert_eq!(
        (&chat["cache"], &chat["loader"]),
        (&Value::Null, &Value::Null)
    );
    let reason = chat["load_time"]["reason"].as_str().context("a line")?;
    assert!(
        reason.starts_with("hub: from an openmodel_cache"),
        "{reason}"
    );

    world.bucket("acme-models", "US-CENTRAL1")?;
    world.manifest("acme-models", &[])?;
    let mounted = format!(
        "cache = \"{}\"\nloader = \"fuse\"",
        world.uri("acme-models")?
    );
    let plan = world.plan(&mounted)?;
    assert_eq!(actions(&plan, ADDRESS), ["update"]);
    world.bench.terraform(&["apply", "tfplan"])?;
    world.bench.assert_plan_is_empty()?;

    let service = world.service()?;
    let template = &service["template"];
    let (cache, models) = (&template["volumes"][0], &template["volumes"][1]);
    assert_eq!(cache["emptyDir"]["medium"], "MEMORY");
    assert_eq!(models["gcs"]["bucket"], "acme-models");
    assert_eq!(models["gcs"]["readOnly"], true);
    let path = format!("/mnt/models/models/{MODEL}/{}", world.commit()?);
    let args = template["containers"][0]["args"].to_string();
    assert!(args.contains(&path), "{args}");

    let mut edited = service.clone();
    world.bucket("other-models", "US-CENTRAL1")?;
    edited["template"]["volumes"][1]["gcs"]["readOnly"] = json!(false);
    edited.as_object_mut().context("an object")?.remove("etag");
    let url = world.url("/v2/projects/acme-ml/locations/us-central1/services/chat");
    world.http.patch(&url, &edited)?;
    let plan = world.bench.plan()?;
    assert_eq!(actions(&plan, ADDRESS), ["update"]);
    world.bench.terraform(&["apply", "tfplan"])?;
    world.bench.assert_plan_is_empty()?;
    assert_eq!(world.service()?["template"]["volumes"], template["volumes"]);

    let plan = world.plan("")?;
    assert_eq!(actions(&plan, ADDRESS), ["update"]);
    world.bench.terraform(&["apply", "tfplan"])?;
    world.bench.assert_plan_is_empty()?;
    assert_eq!(world.service()?["template"]["volumes"], Value::Null);
    Ok(())
}

#[test]
fn what_cannot_serve_is_refused_on_its_attribute() -> Result<()> {
    let world = World::new()?;
    let commit = world.commit()?;
    world.bucket("acme-eu", "EUROPE-WEST4")?;
    world.bucket("acme-us", "US")?;
    world.manifest("acme-us", &["tokenizer.json"])?;
    let other = "0".repeat(40);
    let of = |bucket: &str| format!("cache = \"gs://{bucket}/models/{MODEL}/{commit}\"");
    let good = of("acme-us");
    let cases: [(String, &[&str]); 10] = [
        (
            "cache = \"gs://acme-us/models/Qwen\"".to_owned(),
            &[
                "Not a snapshot",
                "gs://BUCKET/[PREFIX/]models/ORG/NAME/COMMIT",
            ],
        ),
        (
            format!("cache = \"gs://acme-us/datasets/{MODEL}/{commit}\""),
            &[
                "Snapshot is not of a model",
                "cache = \"gs://acme-us/datasets",
            ],
        ),
        (
            format!("cache = \"gs://acme-us/models/Qwen/Qwen3-8B/{other}\""),
            &[
                "Snapshot is of another model",
                "Set model = \"Qwen/Qwen3-8B\"",
            ],
        ),
        (
            format!("cache = \"gs://acme-us/models/{MODEL}/{other}\"\nrevision = \"main\""),
            &["Snapshot is of another revision", &other, &commit],
        ),
        (of("acme-eu"), &["EUROPE-WEST4", "uri[\"us-central1\"]"]),
        (
            good.clone(),
            &["lacks what the engine needs", "tokenizer.json"],
        ),
        (
            "loader = \"fuse\"".to_owned(),
            &["loader = \"fuse\"", "cache"],
        ),
        (
            format!("{good}\nloader = \"streamer\"\nquantization = \"bitsandbytes\""),
            &["loader = \"streamer\"", "a loader of their own"],
        ),
        (
            format!("{good}\nhugging_face_token_secret = \"projects/p/secrets/s/versions/1\""),
            &["hugging_face_token_secret", "cache"],
        ),
        (
            format!("{good}\nengine = {{ env = {{ HF_TOKEN = \"x\" }} }}"),
            &["never asks the Hub", "engine.env"],
        ),
    ];
    for (attributes, parts) in cases {
        world.refuses(&attributes, parts)?;
    }
    Ok(())
}

#[test]
fn an_apply_waits_for_the_snapshot_and_gives_up_in_time() -> Result<()> {
    let world = World::new()?;
    let uri = world.uri("acme-models")?;
    world.plan(&format!("cache = \"{uri}\""))?;
    let message = world.bench.terraform_fails(&["apply", "tfplan"])?;
    assert!(message.contains("is not there"), "{message}");
    assert!(!message.contains("They exist") && world.bench.state()?["values"].is_null());

    world.bucket("acme-models", "US")?;
    world.plan(&format!(
        "cache = \"{uri}\"\ntimeouts = {{ create = \"3s\" }}"
    ))?;
    let message = world.bench.terraform_fails(&["apply", "tfplan"])?;
    assert!(
        message.contains("is not complete, and the time is up"),
        "{message}"
    );

    world.plan(&format!("cache = \"{uri}\""))?;
    let looks = || {
        let log = world.bench.sandbox.log();
        log.iter()
            .filter(|entry| entry.path.contains("manifest.json"))
            .count()
    };
    let before = looks();
    let output = std::thread::scope(|scope| {
        let apply = scope.spawn(|| world.bench.workspace.run(&["apply", "tfplan"]));
        while looks() < before + 2 && !apply.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
        }
        world.manifest("acme-models", &[])?;
        apply
            .join()
            .map_err(|_| anyhow::anyhow!("the apply panicked"))?
    })?;
    ensure!(output.status.success(), "{}", one_line(&printed(&output)));
    world.bench.assert_plan_is_empty()
}
