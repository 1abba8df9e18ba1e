//! `require_signature` with the real terraform, on models that the official tool signed: what is signed is
//! planned in silence, and what is not is refused before a byte moves, on the attribute.

use std::path::{Path, PathBuf};

use acceptance::http::Http;
use acceptance::python::Python;
use acceptance::terraform::{Bench, PROVIDER, one_line, printed};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

const TINY: &str = "openmodel/tiny-random-llama";
const SIGNATURE: &str = "require_signature = { public_keys = [file(\"release.pub\")] }";

struct World {
    bench: Bench,
    http: Http,
    /// Keys, and the model as it was signed.
    folder: PathBuf,
}

impl World {
    /// A sandbox whose tiny model its release team has signed.
    fn new(name: &str, curve: &str) -> Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let bench = Bench::of(&cache(""))?;
        let mut client = Python::shared()?.client("sign_model.py");
        let output = client
            .env("HF_ENDPOINT", bench.sandbox.url())
            .env("HF_HUB_DISABLE_XET", "1")
            .env("HF_HOME", folder.join("home"))
            .arg(TINY)
            .arg(&folder)
            .arg(curve)
            .output()?;
        ensure!(output.status.success(), "{}", printed(&output));
        let world = Self {
            bench,
            http: Http::new(),
            folder,
        };
        world.key("release.pub")?;
        Ok(world)
    }

    /// The release team's public key, beside the configuration.
    fn key(&self, name: &str) -> Result<()> {
        let key = std::fs::read_to_string(self.folder.join("release.pub"))?;
        self.bench.workspace.write(name, &key)
    }

    /// The signature, uploaded.
    fn sign(&self) -> Result<()> {
        let signature = std::fs::read_to_string(self.folder.join("model/model.sig"))?;
        self.commit(&json!({"files": {"model.sig": {"text": signature}}}))
    }

    /// A commit on top of the model's main branch.
    fn commit(&self, body: &Value) -> Result<()> {
        let url = format!("{}/sandbox/hub/models/{TINY}", self.bench.sandbox.url());
        self.http.post(&url, body).map(drop)
    }

    fn write(&self, configuration: &str) -> Result<()> {
        self.bench.workspace.write("main.tf", configuration)
    }

    fn plans(&self, configuration: &str) -> Result<()> {
        self.write(configuration)?;
        let output = self.bench.workspace.run(&["plan"])?;
        let said = one_line(&printed(&output));
        ensure!(output.status.success(), "{said}");
        ensure!(
            !said.contains("Warning"),
            "silence, when all is well: {said}"
        );
        Ok(())
    }

    #[track_caller]
    fn refuses(&self, configuration: &str, parts: &[&str]) -> Result<()> {
        self.write(configuration)?;
        let said = self.bench.terraform_fails(&["plan"])?;
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }
        assert!(!said.contains("BEGIN PUBLIC KEY"), "{said}");
        Ok(())
    }

    /// The id of the only resource.
    fn id(&self) -> Result<String> {
        let state = self.bench.state()?;
        let id = &state["values"]["root_module"]["resources"][0]["values"]["id"];
        Ok(id.as_str().context("an id")?.to_owned())
    }

    /// How many contents the Hub has sent so far.
    fn reads(&self) -> usize {
        let log = self.bench.sandbox.log();
        let read = |path: &str| path.contains("/resolve/") || path.contains("/_cdn/");
        log.iter().filter(|entry| read(&entry.path)).count()
    }
}

fn cache(attributes: &str) -> String {
    format!(
        "{PROVIDER}\nresource \"openmodel_cache\" \"tiny\" {{\n  repository = \"{TINY}\"\n{attributes}\n}}\n"
    )
}

fn endpoint(attributes: &str) -> String {
    format!(
        "{PROVIDER}\nresource \"openmodel_endpoint\" \"chat\" {{\n  name = \"chat\"\n  model = \"{TINY}\"\n  workload \
         = {{ context_length = 128, max_concurrency = 8 }}\n{attributes}\n}}\n"
    )
}

#[test]
fn only_what_the_release_team_signed_is_planned() -> Result<()> {
    let world = World::new("signature", "P-256")?;
    for configuration in [cache(SIGNATURE), endpoint(SIGNATURE)] {
        let parts = [
            "There is no signature",
            "has no model.sig",
            "require_signature",
        ];
        world.refuses(&configuration, &parts)?;
    }
    world.sign()?;
    world.bench.workspace.write("other.pub", OTHER)?;
    let other = SIGNATURE.replace("release.pub", "other.pub");
    let parts = [
        "Signed with another key",
        "public_keys has 3f822f899ca5143b",
    ];
    for (of, address) in [
        (cache as fn(&str) -> String, "openmodel_cache.tiny"),
        (endpoint, "openmodel_endpoint.chat"),
    ] {
        world.refuses(&of(&other), &parts)?;
        world.plans(&of(SIGNATURE))?;
        world.bench.apply()?;
        world.bench.assert_plan_is_empty()?;
        // What is there is judged again when its gate changes.
        world.refuses(&of(&other), &parts)?;
        world.plans(&of(&SIGNATURE.replace('[', "[file(\"other.pub\"), ")))?;
        // An import knows it too.
        world.write(&of(SIGNATURE))?;
        let id = world.id()?;
        world.bench.terraform(&["state", "rm", address])?;
        world.bench.terraform(&["import", address, &id])?;
        world.bench.assert_plan_is_empty()?;
        world.bench.terraform(&["destroy", "-auto-approve"])?;
    }

    // One file more: code, which an engine would run.
    world.commit(&json!({"files": {"modeling_tiny.py": {"text": "import os"}}}))?;
    let more = ["Files are not signed", "does not sign modeling_tiny.py"];
    world.refuses(&cache(SIGNATURE), &more)?;
    world.refuses(&endpoint(SIGNATURE), &more)?;
    world.plans(&cache(&format!("exclude = [\"*.py\"]\n{SIGNATURE}")))?;
    // A page would be no harm, and is not signed either.
    let page = json!({"files": {"PAGE.md": {"text": "x"}}, "remove": ["modeling_tiny.py"]});
    world.commit(&page)?;
    world.refuses(&cache(SIGNATURE), &["does not sign PAGE.md"])?;

    // Files that differ, in Git and in large-file storage.
    let config = std::fs::read_to_string(world.folder.join("model/config.json"))?;
    let changed = json!({"files": {
        "config.json": {"text": format!("{config} ")},
        "model.safetensors": {"computed": {"size": 70_000, "seed": 9}},
    }, "remove": ["PAGE.md"]});
    world.commit(&changed)?;
    let reads = world.reads();
    let differ = [
        "Files differ from what was signed",
        "config.json was signed with SHA-256",
        "model.safetensors was",
    ];
    world.refuses(&cache(SIGNATURE), &differ)?;
    // The signature is kept by what it is; of the others what is in Git and new was read.
    assert_eq!(world.reads(), reads + 1);
    assert_eq!(world.bench.sandbox.inventory(), json!([]));
    Ok(())
}

#[test]
fn keys_on_every_curve_and_a_signature_elsewhere() -> Result<()> {
    for curve in ["P-384", "P-521"] {
        let world = World::new(&format!("signature-{curve}"), curve)?;
        world.sign()?;
        world.plans(&cache(SIGNATURE))?;
        let signature = std::fs::read_to_string(world.folder.join("model/model.sig"))?;
        let moved = json!({"files": {"signatures/release.sig": {"text": signature}}, "remove": ["model.sig"]});
        world.commit(&moved)?;
        world.refuses(&cache(SIGNATURE), &["has no model.sig"])?;
        let there = SIGNATURE.replace(" }", ", file = \"signatures/release.sig\" }");
        world.plans(&cache(&there))?;
    }
    Ok(())
}

#[test]
fn slips_are_errors_of_validate_and_what_is_not_known_yet_is_waited_for() -> Result<()> {
    let world = World::new("signature-waits", "P-256")?;
    world.sign()?;
    let validate = |attributes: &str, parts: &[&str]| -> Result<()> {
        for configuration in [cache(attributes), endpoint(attributes)] {
            world.write(&configuration)?;
            let said = world.bench.terraform_fails(&["validate"])?;
            for part in parts {
                assert!(said.contains(part), "{part:?} is not in: {said}");
            }
        }
        Ok(())
    };
    world
        .bench
        .workspace
        .write("none.pub", "ssh-ed25519 AAAA release@acme")?;
    validate(
        "require_signature = { public_keys = [file(\"release.pub\"), file(\"none.pub\")] }",
        &[
            "Not a public key that signs models",
            "public_keys[1]",
            "BEGIN PUBLIC KEY-----",
        ],
    )?;
    let private = std::fs::read_to_string(world.folder.join("release.key"))?;
    world.bench.workspace.write("release.key", &private)?;
    validate(
        &SIGNATURE.replace("release.pub", "release.key"),
        &["It is a private key"],
    )?;
    validate("require_signature = { public_keys = [] }", &["public_keys"])?;
    validate(
        &SIGNATURE.replace(" }", ", file = \"../model.sig\" }"),
        &["Not a path inside a repository"],
    )?;

    world.bench.workspace.write("other.pub", OTHER)?;
    for (configuration, file) in [
        (cache(""), "other.pub"),
        (endpoint(""), "other.pub"),
        (endpoint(""), "release.pub"),
    ] {
        let later = format!(
            "require_signature = {{ public_keys = [terraform_data.key.output] }}\n}}\nresource \"terraform_data\" \"key\" {{\n  input = file(\"{file}\")\n"
        );
        let at = configuration.rfind('}').context("a resource")?;
        world.write(&format!("{}{later}}}\n", &configuration[..at]))?;
        world.bench.terraform(&["plan"])?;
        if file == "release.pub" {
            world.bench.apply()?;
            world.bench.assert_plan_is_empty()?;
        } else {
            let said = world.bench.terraform_fails(&["apply", "-auto-approve"])?;
            assert!(said.contains("Signed with another key"), "{said}");
            assert_eq!(world.bench.sandbox.inventory(), json!([]));
            world
                .bench
                .terraform(&["state", "rm", "terraform_data.key"])?;
        }
    }
    Ok(())
}

#[test]
fn what_nobody_signed_can_still_be_destroyed_and_the_refusal_says_how() -> Result<()> {
    let world = World::new("signature-destroy", "P-256")?;
    world.write(&cache(""))?;
    world.bench.apply()?;
    let said = ["There is no signature", "terraform destroy -refresh=false"];
    world.refuses(&cache(SIGNATURE), &said)?;
    world.bench.terraform_fails(&["destroy", "-auto-approve"])?;
    world
        .bench
        .terraform(&["destroy", "-auto-approve", "-refresh=false"])?;
    assert_eq!(world.bench.sandbox.inventory(), json!([]));
    Ok(())
}

/// A key that signed nothing here.
const OTHER: &str = include_str!("../../planner/resolve/fixtures/signatures/p256.pub");
