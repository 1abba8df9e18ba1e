//! The gates of an endpoint without a cache, the word of `VirusTotal` on an endpoint and a cache, and a
//! snapshot read by its address.

use acceptance::http::Http;
use acceptance::terraform::{Bench, PROVIDER, one_line, printed};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

const MODEL: &str = "Qwen/Qwen2.5-7B-Instruct";
const TINY: &str = "openmodel/tiny-random-llama";
const WEIGHTS: &str = "model-00001-of-00004.safetensors";
const KEY: &str = "vt_very_secret_key";

struct World {
    bench: Bench,
    http: Http,
}

impl World {
    fn new() -> Result<Self> {
        Ok(Self {
            bench: Bench::of(&endpoint(""))?,
            http: Http::new(),
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.bench.sandbox.url())
    }

    /// What the Hub's scanners say of the model from now on.
    fn scan(&self, scan: &Value) -> Result<()> {
        let url = self.url(&format!("/sandbox/hub/models/{MODEL}"));
        self.http.patch(&url, &json!({"scan": scan})).map(drop)
    }

    /// That `VirusTotal` knows these weights as bad.
    fn infect(&self, model: &str, path: &str) -> Result<()> {
        let tree = self
            .http
            .get(&self.url(&format!("/api/models/{model}/tree/main")))?;
        let tree = tree.as_array().context("a tree")?;
        let file = tree.iter().find(|file| file["path"] == path);
        let sha256 = file.and_then(|file| file["lfs"]["oid"].as_str());
        let known = json!({sha256.context("a large file")?: {"malicious": 9, "undetected": 51}});
        self.http
            .put(&self.url("/sandbox/virus-total"), &known)
            .map(drop)
    }

    /// What a plan that succeeds prints.
    fn plans(&self, configuration: &str) -> Result<String> {
        self.bench.workspace.write("main.tf", configuration)?;
        let output = self.bench.workspace.run(&["plan", "-out=tfplan"])?;
        let said = one_line(&printed(&output));
        ensure!(output.status.success(), "{said}");
        Ok(said)
    }

    #[track_caller]
    fn refuses(&self, configuration: &str, parts: &[&str]) -> Result<()> {
        self.bench.workspace.write("main.tf", configuration)?;
        let message = self.bench.terraform_fails(&["plan"])?;
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
        Ok(())
    }
}

fn endpoint(attributes: &str) -> String {
    format!(
        "{PROVIDER}\nresource \"openmodel_endpoint\" \"chat\" {{\n  name = \"chat\"\n  model = \"{MODEL}\"\n  \
         workload = {{ context_length = 8192, max_concurrency = 8 }}\n{attributes}\n}}\n"
    )
}

fn cache(attributes: &str) -> String {
    format!(
        "{PROVIDER}\nresource \"openmodel_cache\" \"tiny\" {{\n  repository = \"{TINY}\"\n{attributes}\n}}\n"
    )
}

#[test]
fn an_endpoint_without_a_cache_has_the_gates_too() -> Result<()> {
    let world = World::new()?;
    let refuses = |attributes: &str, parts: &[&str]| world.refuses(&endpoint(attributes), parts);
    refuses(
        "licenses = [\"mit\"]",
        &[
            "Licence is not allowed",
            "The licence of Qwen",
            "apache-2.0",
        ],
    )?;
    refuses(
        "formats = [\"gguf\"]",
        &[
            "Format is not allowed",
            WEIGHTS,
            "Choose another repository",
        ],
    )?;
    refuses("formats = [\"docx\"]", &["Unknown format"])?;
    world.plans(&endpoint(
        "licenses = [\"apache-2.0\"]\nformats = [\"safetensors\"]",
    ))?;

    world.scan(&json!({"files": {WEIGHTS: {"status": "unsafe"}}}))?;
    refuses("", &["A scanner reports the file", WEIGHTS, "is unsafe"])?;
    let said = world.plans(&endpoint("scan = { on_unsafe = \"warn\" }"))?;
    assert!(
        said.contains("Warning: A scanner reports the file"),
        "{said}"
    );

    world.scan(&json!({"files": {WEIGHTS: {"status": "queued"}}}))?;
    let said = world.plans(&endpoint(""))?;
    assert!(
        said.contains("Warning: The Hub's scanners are not done"),
        "{said}"
    );
    refuses(
        "scan = { on_unscanned = \"fail\" }",
        &["The Hub's scanners are not done", WEIGHTS],
    )?;
    // What is waited for is waited for by the apply, and nothing is made before.
    let waits = |create: &str| {
        endpoint(&format!(
            "scan = {{ on_unscanned = \"wait\" }}\ntimeouts = {{ create = \"{create}\" }}"
        ))
    };
    world.plans(&waits("3s"))?;
    let message = world.bench.terraform_fails(&["apply", "tfplan"])?;
    assert!(message.contains("Not scanned yet"), "{message}");
    assert_eq!(world.bench.sandbox.inventory(), json!([]));
    world.plans(&waits("10m"))?;
    world.scan(&json!({}))?;
    world.bench.terraform(&["apply", "tfplan"])?;
    world.bench.assert_plan_is_empty()?;

    // What runs is not judged again as long as it stays the same; a new gate is.
    world.scan(&json!({"files": {WEIGHTS: {"status": "unsafe"}}}))?;
    world.bench.assert_plan_is_empty()?;
    refuses(
        "licenses = [\"apache-2.0\"]",
        &["A scanner reports the file"],
    )?;
    world.scan(&json!({}))?;
    world
        .bench
        .terraform(&["state", "rm", "openmodel_endpoint.chat"])?;
    world.bench.workspace.write("main.tf", &waits("10m"))?;
    world
        .bench
        .terraform(&["import", "openmodel_endpoint.chat", "chat"])?;
    world.bench.assert_plan_is_empty()
}

#[test]
fn code_of_a_repository_is_judged_where_the_engine_runs_it() -> Result<()> {
    let world = World::new()?;
    let url = world.url(&format!("/sandbox/hub/models/{MODEL}"));
    let code = json!({"modeling_qwen.py": {"text": "import os\n"}});
    world.http.post(&url, &json!({"files": code}))?;
    world.scan(&json!({"files": {"modeling_qwen.py": {"status": "unsafe"}}}))?;
    world.plans(&endpoint(""))?;
    let trusting = endpoint("engine = { args = [\"--trust-remote-code\"] }");
    world.refuses(
        &trusting,
        &["A scanner reports the file", "modeling_qwen.py"],
    )
}

#[test]
fn virus_total_is_asked_with_a_key_that_nobody_sees() -> Result<()> {
    let mut world = World::new()?;
    world.infect(MODEL, WEIGHTS)?;
    world.plans(&endpoint(""))?;
    world.bench.workspace.set_env("VTCLI_APIKEY", KEY);
    let found = [
        "A scanner reports the file",
        "VirusTotal (your key)",
        "9 of 60 engines",
    ];
    world.refuses(&endpoint(""), &found)?;
    world.infect(TINY, "model.safetensors")?;
    world.refuses(&cache(""), &found)?;

    world.bench.workspace.set_env("TF_LOG", "TRACE");
    world.bench.workspace.set_env("TF_LOG_PROVIDER", "TRACE");
    let configured = |attributes: &str| {
        let key = format!("  virus_total_api_key = \"{KEY}\"\n  region");
        cache(attributes).replacen("  region", &key, 1)
    };
    let text = configured("scan = { on_unsafe = \"warn\" }");
    world.bench.workspace.write("main.tf", &text)?;
    let mut shown = String::new();
    for arguments in [
        &["plan", "-out=tfplan"][..],
        &["apply", "tfplan"],
        &["plan"],
        &["show", "-json"],
    ] {
        let output = world.bench.workspace.run(arguments)?;
        shown.push_str(&printed(&output));
        ensure!(output.status.success(), "{shown}");
    }
    ensure!(shown.contains("VirusTotal (your key)"), "it was not asked");
    // Terraform's own trace of its configuration is not ours.
    let lines: Vec<&str> = shown.lines().filter(|line| line.contains(KEY)).collect();
    assert!(lines.is_empty(), "the key is in what was shown: {lines:#?}");
    let state = std::fs::read_to_string(world.bench.workspace.folder().join("terraform.tfstate"))?;
    assert!(!state.contains(KEY), "the key is in the state");
    let log = format!("{:?}", world.bench.sandbox.log());
    assert!(log.contains("x-apikey") && !log.contains(KEY));
    Ok(())
}

#[test]
fn a_snapshot_is_read_by_its_address() -> Result<()> {
    let world = World::new()?;
    let configuration = |uri: &str| {
        cache(&format!(
            "}}\ndata \"openmodel_snapshot\" \"tiny\" {{\n  uri = {uri}"
        ))
    };
    let with = configuration("openmodel_cache.tiny.id");
    world.bench.workspace.write("main.tf", &with)?;
    world.bench.apply()?;
    world.bench.assert_plan_is_empty()?;
    let state = world.bench.state()?;
    let resources = state["values"]["root_module"]["resources"].as_array();
    let of = |mode: &str| {
        let found = resources
            .into_iter()
            .flatten()
            .find(|one| one["mode"] == mode);
        found.map(|one| &one["values"]).context("a resource")
    };
    let (cache, read) = (of("managed")?, of("data")?);
    for same in [
        "repository",
        "repository_type",
        "bytes",
        "manifest_digest",
        "license",
        "location",
    ] {
        assert_eq!(cache[same], read[same], "{same}");
    }
    assert_eq!(cache["resolved_revision"], read["commit"]);
    assert_eq!(
        (&read["complete"], &read["drift"]),
        (&json!(true), &json!([]))
    );
    let files = read["files"].as_array().context("files")?;
    assert_eq!(cache["files"], files.len());
    for file in files {
        assert!(
            file["sha256"].is_string() != file["git_oid"].is_string(),
            "{file}"
        );
    }

    // Altered behind our back.
    let uri = read["uri"].as_str().context("an address")?;
    let (bucket, folder) = uri[5..].split_once('/').context("a folder")?;
    for name in ["config.json", "notes.txt"] {
        let name = format!("{folder}/{name}").replace('/', "%2F");
        let path = format!("/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}");
        world
            .http
            .post(&world.url(&path), &json!({"other": true}))?;
    }
    let alone = |uri: &str| {
        format!(
            "{PROVIDER}\ndata \"openmodel_snapshot\" \"tiny\" {{ uri = \"{uri}\" }}\noutput \"it\" {{ value = data.openmodel_snapshot.tiny }}\n"
        )
    };
    world.bench.workspace.write("main.tf", &alone(uri))?;
    let plan = world.bench.plan()?;
    let it = &plan["planned_values"]["outputs"]["it"]["value"];
    assert_eq!(it["complete"], false);
    let drift = it["drift"][0].as_str().context("drift")?;
    assert!(drift.starts_with("config.json was altered"), "{drift}");
    assert_eq!(it["foreign_objects"], json!(["notes.txt"]));

    let other = format!("gs://{bucket}/models/{TINY}/{}", "0".repeat(40));
    let near = format!("Near it lies {uri}");
    world.refuses(&alone(&other), &["Snapshot is not there", &near, "uri = "])?;
    let nowhere = other.replace(bucket, "no-such-bucket");
    world.refuses(&alone(&nowhere), &["There is no bucket no-such-bucket"])?;
    world.refuses(&alone("gs://acme"), &["Not a snapshot"])
}
