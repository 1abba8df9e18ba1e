//! A sandbox with repositories of our own, and what is seen of a cache in it.

use std::collections::BTreeSet;

use acceptance::http::Http;
use acceptance::terraform::{Bench, PROVIDER, one_line, printed};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

pub(crate) const ADDRESS: &str = "openmodel_cache.model";
pub(crate) const TINY: &str = "openmodel/tiny-random-llama";
pub(crate) const BUCKET: &str = "openmodel-acme-ml-us-central1";

/// An endpoint of the cache, after its attributes; its own may follow.
pub(crate) const ENDPOINT: &str = "}\nresource \"openmodel_endpoint\" \"chat\" {\n  name = \"chat\"\n  model = \
                                   openmodel_cache.model.repository\n  cache = openmodel_cache.model.id\n  \
                                   workload = { context_length = 256, max_concurrency = 2 }\n";

/// Attributes stand at the beginning of their lines: an error on one quotes it so.
pub(crate) fn configuration(repository: &str, attributes: &str) -> String {
    format!(
        "{PROVIDER}\nresource \"openmodel_cache\" \"model\" {{\n  repository = \"{repository}\"\n{attributes}\n}}\n"
    )
}

/// Files by path, each so many bytes of its own.
pub(crate) fn computed(files: &[(&str, u64, u64)]) -> Value {
    let entries = files.iter().map(|(path, size, seed)| {
        let blob = json!({"computed": {"size": size, "seed": seed}});
        ((*path).to_owned(), blob)
    });
    Value::Object(entries.collect())
}

pub(crate) struct World {
    pub(crate) bench: Bench,
    pub(crate) http: Http,
}

/// A copy inside Cloud Storage.
pub(crate) struct Copied {
    pub(crate) from: String,
    /// Full name of what was copied.
    pub(crate) name: String,
    pub(crate) to: String,
}

impl World {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            bench: Bench::of(&configuration(TINY, ""))?,
            http: Http::new(),
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.bench.sandbox.url())
    }

    pub(crate) fn set(&self, repository: &str, attributes: &str) -> Result<()> {
        let text = configuration(repository, attributes);
        self.bench.workspace.write("main.tf", &text)
    }

    /// Sets it, applies it, and gives what the state has of it.
    pub(crate) fn apply(&self, repository: &str, attributes: &str) -> Result<Value> {
        self.set(repository, attributes)?;
        self.bench.apply()?;
        self.state()
    }

    /// What the state has of the cache.
    pub(crate) fn state(&self) -> Result<Value> {
        let file = self.bench.workspace.folder().join("terraform.tfstate");
        let state: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
        let instance = &state["resources"][0]["instances"][0];
        let values = instance.get("attributes").context("no cache is in it")?;
        Ok(values.clone())
    }

    /// Destroys it, and nothing is left.
    pub(crate) fn destroy(&self) -> Result<()> {
        self.bench.terraform(&["destroy", "-auto-approve"])?;
        assert_eq!(self.bench.sandbox.inventory(), json!([]));
        Ok(())
    }

    /// That a command fails, and says all of this.
    #[track_caller]
    pub(crate) fn refuses(&self, command: &[&str], parts: &[&str]) -> Result<()> {
        let message = self.bench.terraform_fails(command)?;
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
        Ok(())
    }

    /// A repository of the sandbox's Hub, whose kind is `models`, `datasets` or `spaces`; its commit.
    pub(crate) fn repository(&self, kind: &str, id: &str, files: &Value) -> Result<String> {
        let url = self.url(&format!("/sandbox/hub/{kind}/{id}"));
        head(&self.http.put(&url, &json!({"files": files}))?)
    }

    /// A commit on the main branch of a model; its digest.
    pub(crate) fn commit(&self, id: &str, files: &[(&str, u64, u64)]) -> Result<String> {
        let url = self.url(&format!("/sandbox/hub/models/{id}"));
        let body = json!({"files": computed(files)});
        head(&self.http.post(&url, &body)?)
    }

    /// What the Hub's scanners say of a model from now on.
    pub(crate) fn scan(&self, id: &str, scan: &Value) -> Result<()> {
        let url = self.url(&format!("/sandbox/hub/models/{id}"));
        self.http.patch(&url, &json!({"scan": scan})).map(drop)
    }

    pub(crate) fn fault(&self, rule: &Value) -> Result<()> {
        self.http.post(&self.url("/sandbox/faults"), rule).map(drop)
    }

    pub(crate) fn mend(&self) -> Result<()> {
        self.http.remove(&self.url("/sandbox/faults")).map(drop)
    }

    /// What exists of a kind, `Bucket` or `Object`: names, and what they are. An object's name begins with its
    /// bucket's.
    pub(crate) fn assets(&self, kind: &str) -> Vec<(String, Value)> {
        let kind = format!("storage.googleapis.com/{kind}");
        let inventory = self.bench.sandbox.inventory();
        let all = inventory.as_array().into_iter().flatten();
        all.filter(|asset| asset["type"] == kind.as_str())
            .filter_map(|asset| Some((asset["name"].as_str()?.to_owned(), asset["data"].clone())))
            .collect()
    }

    /// The files in the folder of a snapshot, without openmodel's own.
    pub(crate) fn paths(&self, uri: &Value) -> Vec<String> {
        let folder = uri.as_str().unwrap_or_default().trim_start_matches("gs://");
        let objects = self.assets("Object").into_iter();
        let inside = objects.filter_map(|(name, _)| {
            let path = name.strip_prefix(folder)?.strip_prefix('/')?;
            Some(path.to_owned())
        });
        inside
            .filter(|path| !path.starts_with(".openmodel/"))
            .collect()
    }

    /// The addresses of all snapshots of which anything lies in Cloud Storage.
    pub(crate) fn snapshots(&self) -> BTreeSet<String> {
        let objects = self.assets("Object").into_iter();
        let folder = |name: String| name.splitn(6, '/').take(5).collect::<Vec<_>>().join("/");
        objects
            .map(|(name, _)| format!("gs://{}", folder(name)))
            .collect()
    }

    /// Requests for contents of files whose names end so, that the Hub has answered.
    pub(crate) fn reads_of(&self, end: &str) -> usize {
        let log = self.bench.sandbox.log();
        log.iter()
            .filter(|entry| entry.method == "GET" && entry.path.contains("/resolve/"))
            .filter(|entry| entry.path.ends_with(end))
            .count()
    }

    /// The copies inside Cloud Storage, but for the first so many.
    pub(crate) fn copies_after(&self, known: usize) -> Vec<Copied> {
        let log = self.bench.sandbox.log();
        let copies = log.iter().filter(|entry| entry.status == 200);
        let copies = copies.filter_map(|entry| {
            let (from, to) = entry.path.split_once("/rewriteTo/b/")?;
            let (from, name) = from.strip_prefix("/storage/v1/b/")?.split_once("/o/")?;
            Some(Copied {
                from: from.to_owned(),
                name: name.replace("%2F", "/"),
                to: to.split_once("/o/")?.0.to_owned(),
            })
        });
        copies.skip(known).collect()
    }

    /// What a plan prints.
    pub(crate) fn plan_says(&self) -> Result<String> {
        let output = self.bench.workspace.run(&["plan", "-no-color"])?;
        Ok(one_line(&printed(&output)))
    }

    /// Somebody deletes a file of a snapshot.
    pub(crate) fn lose(&self, uri: &Value, path: &str) -> Result<()> {
        let (bucket, name) = object(uri, path)?;
        let url = self.url(&format!("/storage/v1/b/{bucket}/o/{name}"));
        self.http.remove(&url).map(drop)
    }

    /// A document of a snapshot.
    pub(crate) fn read(&self, uri: &Value, path: &str) -> Result<Value> {
        let (bucket, name) = object(uri, path)?;
        let url = self.url(&format!("/storage/v1/b/{bucket}/o/{name}?alt=media"));
        self.http.get(&url)
    }

    /// Somebody writes a document over one of a snapshot.
    pub(crate) fn overwrite(&self, uri: &Value, path: &str, content: &Value) -> Result<()> {
        let (bucket, name) = object(uri, path)?;
        let url = self.url(&format!(
            "/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}"
        ));
        self.http.post(&url, content).map(drop)
    }
}

/// Bucket and name, as an address has them, of an object of a snapshot.
fn object(uri: &Value, path: &str) -> Result<(String, String)> {
    let uri = uri.as_str().context("an address")?;
    let (bucket, folder) = uri
        .trim_start_matches("gs://")
        .split_once('/')
        .context("a folder")?;
    let name = format!("{folder}/{path}").replace('/', "%2F");
    Ok((bucket.to_owned(), name))
}

/// The commit of the main branch, as the sandbox answers a change.
fn head(answer: &Value) -> Result<String> {
    let commit = answer["branches"]["main"].as_str();
    Ok(commit.context("a commit")?.to_owned())
}
