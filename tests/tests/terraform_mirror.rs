//! `openmodel_cache` with the real terraform: what a plan shows, an apply moves, a look finds and a destroy
//! removes.

use acceptance::http::Http;
use acceptance::python::Python;
use acceptance::terraform::{Bench, PROVIDER, actions, planned, printed};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

const ADDRESS: &str = "openmodel_cache.model";
const TINY: &str = "openmodel/tiny-random-llama";
const BUCKET: &str = "openmodel-acme-ml-us-central1";

fn configuration(repository: &str, attributes: &str) -> String {
    format!(
        "{PROVIDER}\nresource \"openmodel_cache\" \"model\" {{\n  repository = \"{repository}\"\n{attributes}\n}}\n"
    )
}

struct World {
    bench: Bench,
    http: Http,
}

impl World {
    fn new(repository: &str, attributes: &str) -> Result<Self> {
        let bench = Bench::of(&configuration(repository, attributes))?;
        Ok(Self {
            bench,
            http: Http::new(),
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.bench.sandbox.url())
    }

    fn set(&self, repository: &str, attributes: &str) -> Result<()> {
        let text = configuration(repository, attributes);
        self.bench.workspace.write("main.tf", &text)
    }

    /// A repository of the sandbox's Hub: files by path, each so many bytes of its own.
    fn repository(&self, id: &str, files: &[(&str, u64, u64)]) -> Result<()> {
        let url = self.url(&format!("/sandbox/hub/models/{id}"));
        self.http
            .put(&url, &json!({"files": computed(files)}))
            .map(drop)
    }

    /// A commit on its main branch.
    fn commit(&self, id: &str, files: &[(&str, u64, u64)], remove: &[&str]) -> Result<()> {
        let url = self.url(&format!("/sandbox/hub/models/{id}"));
        let body = json!({"files": computed(files), "remove": remove});
        self.http.post(&url, &body).map(drop)
    }

    fn bucket(&self, name: &str, location: &str) -> Result<()> {
        let url = self.url("/storage/v1/b?project=acme-ml");
        let body = json!({"name": name, "location": location});
        self.http.post(&url, &body).map(drop)
    }

    fn objects(&self, bucket: &str) -> Result<Vec<String>> {
        let list = self
            .http
            .get(&self.url(&format!("/storage/v1/b/{bucket}/o")))?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let names = items.iter().filter_map(|item| item["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    fn object(&self, bucket: &str, name: &str) -> String {
        let name = name.replace('/', "%2F");
        self.url(&format!("/storage/v1/b/{bucket}/o/{name}"))
    }

    fn put_object(&self, bucket: &str, name: &str, content: &Value) -> Result<()> {
        let name = name.replace('/', "%2F");
        let url = self.url(&format!(
            "/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}"
        ));
        self.http.post(&url, content).map(drop)
    }

    /// Requests for contents that the Hub has answered so far.
    fn reads(&self) -> usize {
        self.reads_of("")
    }

    /// Those of files whose names end so.
    fn reads_of(&self, end: &str) -> usize {
        let log = self.bench.sandbox.log();
        log.iter()
            .filter(|entry| entry.method == "GET" && entry.path.contains("/resolve/"))
            .filter(|entry| entry.path.ends_with(end))
            .count()
    }

    fn state(&self) -> Result<Value> {
        let state = self.bench.state()?;
        let resources = &state["values"]["root_module"]["resources"];
        let resources = resources.as_array().context("resources")?;
        let ours = resources.iter().find(|one| one["address"] == ADDRESS);
        Ok(ours.context("the cache")?["values"].clone())
    }

    #[track_caller]
    fn refuses(&self, repository: &str, attributes: &str, parts: &[&str]) -> Result<()> {
        self.set(repository, attributes)?;
        let message = self.bench.terraform_fails(&["plan"])?;
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
        Ok(())
    }
}

fn computed(files: &[(&str, u64, u64)]) -> Value {
    let entries = files.iter().map(|(path, size, seed)| {
        let blob = json!({"computed": {"size": size, "seed": seed}});
        ((*path).to_owned(), blob)
    });
    Value::Object(entries.collect())
}

#[test]
fn a_repository_is_mirrored_served_from_imported_and_removed() -> Result<()> {
    let world = World::new(TINY, "")?;
    let plan = world.bench.plan()?;
    let cache = planned(&plan, ADDRESS);
    let commit = cache["resolved_revision"].as_str().context("a commit")?;
    let uri = format!("gs://{BUCKET}/models/{TINY}/{commit}");
    assert_eq!(cache["id"], uri);
    assert_eq!(cache["uri"]["us-central1"], uri);
    insta::assert_snapshot!(
        [
            "files", "bytes", "left_out", "license", "scan_status", "location", "drift", "last_change"
        ]
        .map(|name| format!("{name} = {}", cache[name]))
        .join("\n"),
        @r#"
    files = 6
    bytes = 34679
    left_out = "1 file, 50 bytes: configures Git (1)"
    license = "apache-2.0"
    scan_status = "safe"
    location = "us-central1"
    drift = []
    last_change = null
    "#
    );
    assert_eq!(
        cache["cost"]["monthly_by_place"],
        json!({"us-central1": "0.00"})
    );
    world.bench.terraform(&["apply", "tfplan"])?;
    world.bench.assert_plan_is_empty()?;

    let bucket = world
        .http
        .get(&world.url(&format!("/storage/v1/b/{BUCKET}")))?;
    assert_eq!(
        bucket["iamConfiguration"]["publicAccessPrevention"],
        "enforced"
    );
    assert_eq!(
        bucket["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"],
        true
    );
    assert_eq!(bucket["labels"]["openmodel-managed"], "true");
    let folder = format!("models/{TINY}/{commit}");
    let read = Python::shared()?
        .client("snapshot.py")
        .args([world.bench.sandbox.url(), BUCKET, &folder, TINY, commit])
        .output()?;
    ensure!(read.status.success(), "{}", printed(&read));

    // An endpoint of it, in the same configuration.
    let reads = world.reads_of(".safetensors");
    let endpoint = "}\nresource \"openmodel_endpoint\" \"chat\" {\n  name = \"chat\"\n  model = \
                    openmodel_cache.model.repository\n  cache = openmodel_cache.model.id\n  workload = { \
                    context_length = 256, max_concurrency = 2 }\n";
    world.set(TINY, endpoint)?;
    world.bench.apply()?;
    world.bench.assert_plan_is_empty()?;
    // The plan reads what the model says of itself; nobody reads its weights from the Hub any more.
    assert_eq!(world.reads_of(".safetensors"), reads);

    world.set(TINY, "")?;
    world.bench.apply()?;
    world.bench.terraform(&["state", "rm", ADDRESS])?;
    world.bench.terraform(&["import", ADDRESS, &uri])?;
    world.bench.assert_plan_is_empty()?;
    world.bench.terraform(&["destroy", "-auto-approve"])?;
    let gone = world
        .http
        .get(&world.url(&format!("/storage/v1/b/{BUCKET}")));
    assert!(gone.is_err(), "the bucket is still there: {gone:?}");
    Ok(())
}

#[test]
fn a_branch_that_moves_is_shown_and_the_changed_file_moves_alone() -> Result<()> {
    let id = "acme/twenty";
    let paths: Vec<String> = (1..=20)
        .map(|number| format!("model-{number:05}-of-00020.safetensors"))
        .collect();
    let files: Vec<(&str, u64, u64)> = paths
        .iter()
        .zip(1..)
        .map(|(path, seed)| (path.as_str(), 40_000, seed))
        .collect();
    let world = World::new(TINY, "")?;
    world.repository(id, &files)?;
    world.set(id, "tracking = \"follow\"")?;
    world.bench.apply()?;
    let first = world.state()?;
    world.bench.assert_plan_is_empty()?;

    world.commit(
        id,
        &[(&paths[6], 50_000, 99), ("model-extra.safetensors", 10, 7)],
        &[&paths[19]],
    )?;
    let plan = world.bench.plan()?;
    assert_eq!(actions(&plan, ADDRESS), ["update"]);
    let cache = planned(&plan, ADDRESS);
    assert_eq!(cache["last_change"]["from"], first["resolved_revision"]);
    assert_eq!(cache["last_change"]["to"], cache["resolved_revision"]);
    assert_eq!(
        cache["last_change"]["files"],
        json!([
            "~ model-00007-of-00020.safetensors",
            "- model-00020-of-00020.safetensors",
            "+ model-extra.safetensors"
        ])
    );
    let reads = world.reads();
    world.bench.terraform(&["apply", "tfplan"])?;
    world.bench.assert_plan_is_empty()?;
    assert_eq!(world.reads() - reads, 2, "two files are new");
    // The earlier snapshot stays, until there is another one.
    let second = world.state()?;
    assert_eq!(second["snapshots"], json!([second["id"], first["id"]]));
    world.commit(id, &[(&paths[7], 50_000, 98)], &[])?;
    world.bench.apply()?;
    let third = world.state()?;
    assert_eq!(third["snapshots"], json!([third["id"], second["id"]]));
    let earliest = first["resolved_revision"].as_str().context("a commit")?;
    let objects = world.objects(BUCKET)?;
    assert!(objects.iter().all(|name| !name.contains(earliest)));
    world.bench.assert_plan_is_empty()?;

    // Pinned, a branch may move as it likes.
    world.set(id, "")?;
    world.bench.apply()?;
    world.commit(id, &[(&paths[8], 50_000, 97)], &[])?;
    world.bench.assert_plan_is_empty()?;
    world.bench.terraform(&["destroy", "-auto-approve"])?;
    assert!(world.objects(BUCKET).is_err(), "the bucket is still there");
    Ok(())
}

#[test]
fn what_others_change_is_named_and_mended_alone() -> Result<()> {
    let world = World::new(TINY, "")?;
    world.bench.apply()?;
    let state = world.state()?;
    let commit = state["resolved_revision"].as_str().context("a commit")?;
    let name = |path: &str| format!("models/{TINY}/{commit}/{path}");
    world
        .http
        .remove(&world.object(BUCKET, &name("tokenizer.json")))?;
    world
        .http
        .remove(&world.object(BUCKET, &name(".openmodel/cache.json")))?;
    world.put_object(BUCKET, &name("config.json"), &json!({"other": true}))?;
    world.put_object(BUCKET, &name("extra.safetensors"), &json!("mine"))?;
    let plan = world.bench.plan()?;
    assert_eq!(actions(&plan, ADDRESS), ["update"]);
    let changes = plan["resource_changes"].as_array().context("changes")?;
    let before = &changes[0]["change"]["before"];
    assert_eq!(
        before["drift"],
        json!([
            "the record beside the manifest is missing or damaged",
            "config.json was altered (14 bytes, listed 650)",
            "tokenizer.json is missing"
        ])
    );
    assert_eq!(planned(&plan, ADDRESS)["drift"], json!([]));
    let text = world.bench.terraform(&["plan"])?;
    assert!(text.contains("Foreign objects in the snapshot"), "{text}");
    let reads = world.reads();
    world.bench.terraform(&["apply", "tfplan"])?;
    assert_eq!(world.reads() - reads, 2);
    world.bench.assert_plan_is_empty()?;
    // What is foreign is left alone, and keeps the bucket.
    world.bench.terraform(&["destroy", "-auto-approve"])?;
    assert_eq!(world.objects(BUCKET)?, [name("extra.safetensors")]);
    Ok(())
}

#[test]
fn further_regions_are_copies_and_a_zone_gets_its_cache() -> Result<()> {
    let world = World::new(
        TINY,
        "regions = [\"europe-west4\"]\nanywhere_cache = { zones = [\"us-central1-a\"] }",
    )?;
    let plan = world.bench.plan()?;
    let cache = planned(&plan, ADDRESS);
    let places = cache["uri"].as_object().context("a map")?;
    assert_eq!(
        places.keys().collect::<Vec<_>>(),
        ["europe-west4", "us-central1"]
    );
    world.bench.terraform(&["apply", "tfplan"])?;
    world.bench.assert_plan_is_empty()?;
    let files = usize::try_from(cache["files"].as_u64().context("a number")?)?;
    assert_eq!(world.reads(), files, "each file is read once for both");
    let near = world.url(&format!(
        "/storage/v1/b/{BUCKET}/anywhereCaches/us-central1-a"
    ));
    assert_eq!(world.http.get(&near)?["state"], "running");

    world.set(TINY, "anywhere_cache = { zones = [\"us-central1-a\"] }")?;
    world.bench.apply()?;
    world.bench.assert_plan_is_empty()?;
    assert!(
        world.objects("openmodel-acme-ml-europe-west4").is_err(),
        "the further bucket is still there"
    );
    assert!(!world.objects(BUCKET)?.is_empty());
    Ok(())
}

#[test]
fn a_bucket_of_the_users_is_used_and_left() -> Result<()> {
    let world = World::new(TINY, "")?;
    world.bucket("acme-models", "EUROPE-WEST4")?;
    world.put_object("acme-models", "notes.txt", &json!("mine"))?;
    world.set(TINY, "bucket = \"acme-models\"\nprefix = \"llms/small\"")?;
    let plan = world.bench.plan()?;
    assert_eq!(planned(&plan, ADDRESS)["location"], "europe-west4");
    world.bench.terraform(&["apply", "tfplan"])?;
    world.bench.assert_plan_is_empty()?;
    world.bench.terraform(&["destroy", "-auto-approve"])?;
    assert_eq!(world.objects("acme-models")?, ["notes.txt"]);
    Ok(())
}

#[test]
fn what_cannot_be_kept_is_refused_on_its_attribute_before_a_byte_moves() -> Result<()> {
    let world = World::new(TINY, "")?;
    world
        .http
        .put(
            &world.url("/sandbox/storage/foreign/taken-by-others"),
            &json!({}),
        )
        .map(drop)?;
    world.repository("acme/pickles", &[("pytorch_model.bin", 100, 1)])?;
    let cases: [(&str, &str, &[&str]); 12] = [
        (
            "openmodel/tiny-random-lama",
            "",
            &["Repository not found", "openmodel/tiny-random-llama"],
        ),
        (TINY, "revision = \"v9\"", &["Revision not found", "v9"]),
        (
            TINY,
            "include = [\"*.safetensor\"]",
            &["matches none of", "model.safetensors"],
        ),
        (
            TINY,
            "bucket = \"taken-by-others\"",
            &["Bucket cannot be used", "belongs to somebody else"],
        ),
        (
            TINY,
            "bucket = \"no-such-bucket\"",
            &["Bucket is not there", "set location"],
        ),
        (
            TINY,
            "location = \"us-central9\"",
            &["Place is not known", "us-central1"],
        ),
        (
            TINY,
            "regions = [\"us-central1\"]",
            &["Place is named twice", "us-central1"],
        ),
        (
            TINY,
            "kms_key = \"projects/acme/locations/europe-west4/keyRings/r/cryptoKeys/k\"",
            &["Key lies elsewhere", "us-central1", "kms_key"],
        ),
        (
            TINY,
            "timeouts = { create = \"0s\" }",
            &["No time at all", "timeouts.create"],
        ),
        (TINY, "licenses = [\"mit-0\"]", &["mit-0", "licence"]),
        ("acme/pickles", "", &["pytorch_model.bin", "formats"]),
        ("openmodel/tiny-gated-llama", "", &["gated", "HF_TOKEN"]),
    ];
    for (repository, attributes, parts) in cases {
        world.refuses(repository, attributes, parts)?;
    }
    assert!(world.objects(BUCKET).is_err(), "something was made");
    Ok(())
}

#[test]
fn a_hub_that_lies_is_refused_and_leaves_nothing() -> Result<()> {
    let world = World::new(TINY, "")?;
    world.repository("acme/lies", &[("model.safetensors", 3_000_000, 1)])?;
    let rule = json!({"match": {"path": "/_cdn/*"}, "then": {"flipByte": 1000}});
    world.http.post(&world.url("/sandbox/faults"), &rule)?;
    world.set("acme/lies", "")?;
    let message = world.bench.terraform_fails(&["apply", "-auto-approve"])?;
    assert!(
        message.contains("model.safetensors: the Hub says that it has the SHA-256"),
        "{message}"
    );
    assert!(message.contains("nothing is left"), "{message}");
    assert!(world.objects(BUCKET).is_err(), "the bucket is still there");
    assert!(world.bench.state()?["values"].is_null());
    Ok(())
}
