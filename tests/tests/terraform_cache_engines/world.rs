//! A sandbox with a repository and an image of openmodel, and what is seen of it.

use acceptance::discovery::Contracts;
use acceptance::http::Http;
use acceptance::python::Python;
use acceptance::terraform::{Bench, PROVIDER};
use anyhow::Result;
use openmodel_cli::terraform::built_binary;
use serde_json::{Value, json};

pub(crate) const ADDRESS: &str = "openmodel_cache.model";
pub(crate) const REPOSITORY: &str = "acme/large";
pub(crate) const IMAGE: &str = "us-docker.pkg.dev/acme-ml/tools/openmodel:1";
pub(crate) const BUCKET: &str = "openmodel-acme-ml-us-central1";
pub(crate) const FILES: u64 = 9;

/// The token of the provider, and the ones of the job: they must be seen nowhere.
pub(crate) const TOKENS: [&str; 3] = ["hf_of_the_provider", "hf_of_the_job", "hf_of_nobody"];

pub(crate) fn configuration(transfer: &str) -> String {
    format!(
        "{PROVIDER}\nresource \"openmodel_cache\" \"model\" {{\n  repository = \"{REPOSITORY}\"\n{transfer}\n}}\n"
    )
}

pub(crate) struct World {
    pub(crate) bench: Bench,
    pub(crate) http: Http,
}

impl World {
    /// A sandbox in which an image is this workspace's `openmodel`, and the Hub has a repository of small
    /// and large files.
    pub(crate) fn new(transfer: &str, gated: bool) -> Result<Self> {
        let mut bench = Bench::of(&configuration(transfer))?;
        bench.workspace.set_env("HF_TOKEN", TOKENS[0]);
        let http = Http::new();
        let world = Self { bench, http };
        let program = built_binary("openmodel", |_| ())?;
        let env = json!({"OPENMODEL_SANDBOX": world.bench.sandbox.url()});
        let images = json!({(IMAGE): {"program": program, "env": env}});
        world.put("/sandbox/run/images", &images)?;
        let nobody = json!({"name": "nobody", "gated": [], "private": []});
        world.put("/sandbox/hub/tokens", &json!({(TOKENS[2]): nobody}))?;
        let files: serde_json::Map<String, Value> = (0..FILES)
            .map(|number| {
                let size = if number < 3 { 3 << 20 } else { 1_000 + number };
                let blob = json!({"computed": {"size": size, "seed": number}});
                (format!("part-{number}.safetensors"), blob)
            })
            .collect();
        let card = if gated {
            json!({"gated": "manual"})
        } else {
            json!({})
        };
        world.put(
            &format!("/sandbox/hub/models/{REPOSITORY}"),
            &json!({"card": card, "files": files}),
        )?;
        Ok(world)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.bench.sandbox.url())
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<()> {
        self.http.put(&self.url(path), body).map(drop)
    }

    /// A secret with a token; the name of its version.
    pub(crate) fn secret(&self, id: &str, token: &str) -> Result<String> {
        let secrets = self.url("/v1/projects/acme-ml/secrets");
        let made = json!({"replication": {"automatic": {}}});
        self.http.post(&format!("{secrets}?secretId={id}"), &made)?;
        let payload = json!({"payload": {"data": base64(token)}});
        self.http
            .post(&format!("{secrets}/{id}:addVersion"), &payload)?;
        Ok(format!("projects/acme-ml/secrets/{id}/versions/1"))
    }

    pub(crate) fn set(&self, transfer: &str) -> Result<()> {
        let text = configuration(transfer);
        self.bench.workspace.write("main.tf", &text)
    }

    /// How often contents of the repository were asked for.
    pub(crate) fn reads(&self) -> usize {
        let log = self.bench.sandbox.log();
        log.iter()
            .filter(|entry| entry.method == "GET" && entry.path.contains("/resolve/"))
            .count()
    }

    /// The requests of a method: `run.projects.locations.jobs.create`.
    pub(crate) fn calls(&self, method: &str) -> usize {
        let log = self.bench.sandbox.log();
        let wanted = Some(method.to_owned());
        log.iter().filter(|entry| entry.operation == wanted).count()
    }

    pub(crate) fn inventory(&self) -> String {
        self.bench.sandbox.inventory().to_string()
    }

    /// What was sent is what Google's Discovery document says.
    pub(crate) fn keeps_the_contract(&self) -> Result<()> {
        let contracts = Contracts::load(&Python::shared()?.discovery_documents()?)?;
        let mut log = self.bench.sandbox.log();
        log.retain(|entry| ["run", "storagetransfer"].contains(&entry.api));
        let violations = contracts.check_log(&log).violations;
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "{}", lines.join("\n"));
        Ok(())
    }

    /// No token stands in a state, a log, or a description of a job.
    pub(crate) fn keeps_its_secrets(&self) -> Result<()> {
        let state = self.bench.state()?.to_string();
        let log = self.bench.sandbox.log();
        let jobs = log.iter().filter(|entry| entry.path.contains("/jobs"));
        let jobs: Vec<String> = jobs
            .map(|entry| format!("{}{}", entry.request, entry.response))
            .collect();
        for token in TOKENS {
            assert!(!state.contains(token), "{token} is in the state");
            assert!(!jobs.concat().contains(token), "{token} is in a job");
        }
        Ok(())
    }
}

/// Of the standard alphabet; the sandbox's secrets travel so.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.as_bytes()
        .chunks(3)
        .flat_map(|chunk| {
            let byte = |at: usize| usize::from(chunk.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            (0..4).map(move |at| {
                if at > chunk.len() {
                    '='
                } else {
                    char::from(ALPHABET[bits >> (18 - 6 * at) & 63])
                }
            })
        })
        .collect()
}
