//! What happens to an endpoint after it was made: changes in place, changes behind our back,
//! replacement, prevention, secrets.

use acceptance::http::Http;
use acceptance::terraform::{Bench, actions, planned};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

const ADDRESS: &str = "openmodel_endpoint.chat";

fn configuration(attributes: &str) -> String {
    format!(
        r#"
terraform {{
  required_providers {{ openmodel = {{ source = "openmodel/openmodel" }} }}
}}
provider "openmodel" {{
  project        = "acme-ml"
  region         = "us-central1"
  default_labels = {{ team = "search" }}
}}
variable "token" {{
  type      = string
  ephemeral = true
  default   = null
}}
resource "openmodel_endpoint" "chat" {{
  name  = "chat"
{attributes}
}}
"#
    )
}

const QWEN: &str = "model = \"Qwen/Qwen2.5-7B-Instruct\"\nworkload = { context_length = 8192, max_concurrency = 8 }\n";

fn applied(attributes: &str) -> Result<Bench> {
    let bench = Bench::of(&configuration(attributes))?;
    bench.apply()?;
    bench.assert_plan_is_empty()?;
    Ok(bench)
}

fn change_to(bench: &Bench, attributes: &str) -> Result<Value> {
    bench
        .workspace
        .write("main.tf", &configuration(attributes))?;
    bench.plan()
}

fn service(bench: &Bench) -> Result<Value> {
    let inventory = bench.sandbox.inventory();
    let services = inventory.as_array().context("a list")?;
    let found = services
        .iter()
        .find(|object| object["type"] == "run.googleapis.com/Service");
    found.cloned().context("there is no service")
}

#[test]
fn a_new_model_or_load_is_a_new_revision_in_place() -> Result<()> {
    let bench = applied(QWEN)?;
    for attributes in [
        "model = \"Qwen/Qwen2.5-7B-Instruct\"\nworkload = { context_length = 4096, max_concurrency = 4 }\n",
        "model = \"Qwen/Qwen3-8B\"\nworkload = { context_length = 4096, max_concurrency = 4 }\n",
        "model = \"Qwen/Qwen3-8B\"\nworkload = { context_length = 4096, max_concurrency = 4 }\n\
         labels = { service = \"chat\" }\nscaling = { min_replicas = 1, max_replicas = 3 }\n\
         access = { invokers = [\"user:a@example.com\"] }\nengine = { env = { A = \"1\" }, args = [\"--seed=1\"] }\n",
        QWEN,
    ] {
        let plan = change_to(&bench, attributes)?;
        assert_eq!(actions(&plan, ADDRESS), ["update"], "{attributes}");
        assert!(
            planned(&plan, ADDRESS)["url"].is_string(),
            "the URL is kept, and known"
        );
        bench.terraform(&["apply", "tfplan"])?;
        bench.assert_plan_is_empty()?;
    }
    Ok(())
}

#[test]
fn a_new_name_or_region_replaces() -> Result<()> {
    let bench = applied(QWEN)?;
    let plan = change_to(&bench, &format!("{QWEN}region = \"europe-west4\"\n"))?;
    assert_eq!(actions(&plan, ADDRESS), ["delete", "create"]);
    bench.terraform(&["apply", "tfplan"])?;
    bench.assert_plan_is_empty()?;
    bench.terraform(&["destroy", "-auto-approve"])?;
    assert_eq!(bench.sandbox.inventory(), json!([]));
    Ok(())
}

#[test]
fn what_is_changed_behind_our_back_is_shown_and_mended() -> Result<()> {
    let bench = applied(&format!(
        "{QWEN}labels = {{ service = \"chat\", absent = null }}\nengine = {{ env = {{ A = \"1\" }} }}\n"
    ))?;
    let url = format!(
        "{}/v2/projects/acme-ml/locations/us-central1/services/chat",
        bench.sandbox.url()
    );
    let client = Http::new();
    let container = "/template/containers/0";
    let changes = [
        (
            "image",
            vec![(format!("{container}/image"), json!("example/other:1"))],
        ),
        (
            "max_replicas",
            vec![("/template/scaling/maxInstanceCount".to_owned(), json!(7))],
        ),
        (
            "labels",
            vec![("/labels/service".to_owned(), json!("other"))],
        ),
        (
            "cpu",
            vec![
                (format!("{container}/resources/limits/cpu"), json!("8")),
                (
                    format!("{container}/resources/limits/memory"),
                    json!("24Gi"),
                ),
            ],
        ),
    ];
    for (what, edits) in changes {
        let mut service = client.get(&url)?;
        for (place, value) in edits {
            *service.pointer_mut(&place).context(place)? = value;
        }
        service.as_object_mut().context("an object")?.remove("etag");
        client.patch(&url, &service)?;
        let plan = bench.plan()?;
        assert_eq!(actions(&plan, ADDRESS), ["update"], "{what}");
        bench.terraform(&["apply", "tfplan"])?;
        bench
            .assert_plan_is_empty()
            .with_context(|| what.to_owned())?;
    }
    // What is seen by a refresh and put right by somebody else is right again.
    let mut service = client.get(&url)?;
    let image = service["template"]["containers"][0]["image"].clone();
    service["template"]["containers"][0]["image"] = json!("example/other:2");
    service.as_object_mut().context("an object")?.remove("etag");
    client.patch(&url, &service)?;
    bench.terraform(&["apply", "-refresh-only", "-auto-approve"])?;
    service["template"]["containers"][0]["image"] = image;
    client.patch(&url, &service)?;
    assert_eq!(actions(&bench.plan()?, ADDRESS), ["no-op"]);
    bench.apply()?;

    // A label that somebody else adds is theirs.
    let mut service = client.get(&url)?;
    service["labels"]["cost-center"] = json!("42");
    service.as_object_mut().context("an object")?.remove("etag");
    client.patch(&url, &service)?;
    bench.assert_plan_is_empty()?;

    client.delete(
        bench.sandbox.url(),
        "/v2/projects/acme-ml/locations/us-central1/services/chat",
    )?;
    assert_eq!(
        actions(&bench.plan()?, ADDRESS),
        ["create"],
        "what is gone is made again"
    );
    bench.terraform(&["apply", "tfplan"])?;
    bench.assert_plan_is_empty()
}

#[test]
fn a_branch_that_moves_upstream_is_a_change_to_approve() -> Result<()> {
    let bench = applied(QWEN)?;
    let before =
        bench.state()?["values"]["root_module"]["resources"][0]["values"]["resolved_revision"]
            .clone();
    Http::new().post(
        &format!(
            "{}/sandbox/hub/models/Qwen/Qwen2.5-7B-Instruct",
            bench.sandbox.url()
        ),
        &json!({ "title": "a new commit" }),
    )?;
    let plan = bench.plan()?;
    assert_eq!(actions(&plan, ADDRESS), ["update"]);
    assert_ne!(planned(&plan, ADDRESS)["resolved_revision"], before);
    bench.terraform(&["apply", "tfplan"])?;
    bench.assert_plan_is_empty()
}

#[test]
fn a_draft_model_is_served_beside_its_model_and_keeps_its_commit() -> Result<()> {
    let with = |model: &str, draft: &str| {
        format!(
            "model = \"{model}\"\nworkload = {{ context_length = 4096, max_concurrency = 4{draft} }}\n"
        )
    };
    let draft = ", draft_model = \"Qwen/Qwen2.5-0.5B-Instruct\"";
    let bench = applied(&with("Qwen/Qwen3-8B", draft))?;
    let url = format!(
        "{}/v2/projects/acme-ml/locations/us-central1/services/chat",
        bench.sandbox.url()
    );
    let speculation = || -> Result<Option<Value>> {
        let service = Http::new().get(&url)?;
        let args = service["template"]["containers"][0]["args"]
            .as_array()
            .context("arguments")?;
        let flag = args.iter().position(|arg| arg == "--speculative-config");
        let told = flag.and_then(|flag| args.get(flag + 1)?.as_str());
        told.map(|told| serde_json::from_str(told).context("JSON"))
            .transpose()
    };
    let told = speculation()?.context("a draft model")?;
    assert_eq!(told["model"], "Qwen/Qwen2.5-0.5B-Instruct");
    assert_eq!(told["num_speculative_tokens"], 5);
    assert_eq!(told["revision"].as_str().map(str::len), Some(40));

    // A commit upstream is no reason to serve anything anew.
    let repository = "sandbox/hub/models/Qwen/Qwen2.5-0.5B-Instruct";
    Http::new().post(
        &format!("{}/{repository}", bench.sandbox.url()),
        &json!({ "title": "a new commit" }),
    )?;
    bench.assert_plan_is_empty()?;
    bench.terraform(&["state", "rm", ADDRESS])?;
    bench.terraform(&["import", ADDRESS, "chat"])?;
    bench.assert_plan_is_empty()?;

    let plan = change_to(&bench, &with("Qwen/Qwen3-8B", ""))?;
    assert_eq!(actions(&plan, ADDRESS), ["update"]);
    let gib = |workload: &Value| -> f64 {
        let text = workload["memory"]["weights_gib"].as_str();
        text.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
    };
    let before = gib(&plan["resource_changes"][0]["change"]["before"]);
    let alone = gib(planned(&plan, ADDRESS));
    assert!(before > alone + 0.9, "{before} and {alone}");
    bench.terraform(&["apply", "tfplan"])?;
    bench.assert_plan_is_empty()?;
    assert_eq!(speculation()?, None);

    let cases = [
        ("Qwen/Qwen2.5-7B-Instruct", draft, "151936"),
        (
            "Qwen/Qwen3-8B",
            ", draft_model = \"Qwen/absent\"",
            "Model not found",
        ),
    ];
    for (model, draft, part) in cases {
        let attributes = configuration(&with(model, draft));
        bench.workspace.write("main.tf", &attributes)?;
        let message = bench.terraform_fails(&["plan"])?;
        assert!(
            message.contains(part) && message.contains("draft_model"),
            "{message}"
        );
    }
    Ok(())
}

#[test]
fn an_endpoint_that_is_there_already_is_refused_with_the_import_block() -> Result<()> {
    let bench = applied(QWEN)?;
    let before = bench.sandbox.inventory();
    bench.terraform(&["state", "rm", ADDRESS])?;
    let message = bench.terraform_fails(&["apply", "-auto-approve"])?;
    for part in [
        "exists already",
        "import {",
        "projects/acme-ml/locations/us-central1/services/chat",
    ] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    assert_eq!(bench.sandbox.inventory(), before, "nothing was touched");
    Ok(())
}

#[test]
fn deletion_can_be_prevented_or_abandoned() -> Result<()> {
    let bench = applied(&format!("{QWEN}deletion_policy = \"PREVENT\"\n"))?;
    let message = bench.terraform_fails(&["plan", "-destroy"])?;
    assert!(message.contains("Deletion is prevented"), "{message}");
    bench.workspace.write(
        "main.tf",
        &configuration(&format!(
            "{QWEN}deletion_policy = \"PREVENT\"\nregion = \"europe-west4\"\n"
        )),
    )?;
    let message = bench.terraform_fails(&["plan"])?;
    assert!(
        message.contains("Deletion is prevented"),
        "a replacement deletes too: {message}"
    );

    change_to(&bench, &format!("{QWEN}deletion_policy = \"ABANDON\"\n"))?;
    bench.terraform(&["apply", "tfplan"])?;
    bench.terraform(&["destroy", "-auto-approve"])?;
    service(&bench).map(drop)
}

#[test]
fn a_token_reaches_the_service_and_nothing_that_is_stored_or_shown() -> Result<()> {
    const SECRET: &str = "hf_very_secret_value";
    let gated = "model = \"meta-llama/Llama-3.1-8B-Instruct\"\nworkload = { context_length = 8192 }\n\
                 hugging_face_token_wo = var.token\nhugging_face_token_wo_version = 1\n";
    let mut bench = Bench::of(&configuration(gated))?;
    bench.workspace.set_env("HF_TOKEN", SECRET);
    bench.workspace.set_env("TF_VAR_token", SECRET);
    bench.workspace.set_env("TF_LOG", "TRACE");
    bench.workspace.set_env("TF_LOG_PROVIDER", "TRACE");
    let mut shown = String::new();
    for arguments in [
        &["plan", "-out=tfplan"][..],
        &["apply", "tfplan"],
        &["plan"],
        &["show", "-json", "tfplan"],
    ] {
        let output = bench.workspace.run(arguments)?;
        shown.push_str(&acceptance::terraform::printed(&output));
        assert!(output.status.success(), "{shown}");
    }
    let lines: Vec<&str> = shown.lines().filter(|line| line.contains(SECRET)).collect();
    assert!(
        lines.is_empty(),
        "the token is in what was shown: {lines:#?}"
    );
    for file in ["terraform.tfstate", "tfplan"] {
        let bytes = std::fs::read(bench.workspace.folder().join(file))?;
        let found = bytes
            .windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes());
        assert!(!found, "the token is in {file}");
    }
    let inventory = bench.sandbox.inventory().to_string();
    assert!(
        inventory.contains("hugging-face-token"),
        "the secret exists: {inventory}"
    );
    assert!(
        !inventory.contains(SECRET),
        "the inventory shows no payloads"
    );

    // A new version of the token is a change in place; an endpoint without one loses its secret.
    bench.workspace.set_env("TF_LOG", "");
    bench.workspace.set_env("TF_LOG_PROVIDER", "");
    let plan = change_to(&bench, &gated.replace("_version = 1", "_version = 2"))?;
    assert_eq!(actions(&plan, ADDRESS), ["update"]);
    bench.terraform(&["apply", "tfplan"])?;
    bench.assert_plan_is_empty()?;
    change_to(&bench, QWEN)?;
    bench.terraform(&["apply", "tfplan"])?;
    assert!(
        !bench
            .sandbox
            .inventory()
            .to_string()
            .contains("hugging-face-token"),
        "an unused secret stays behind"
    );
    bench.terraform(&["destroy", "-auto-approve"])?;
    assert_eq!(bench.sandbox.inventory(), json!([]));
    Ok(())
}

#[test]
fn another_engine_serves_with_its_own_words_and_gives_way_in_place() -> Result<()> {
    let sglang = format!("{QWEN}engine = {{ name = \"sglang\" }}\n");
    let bench = applied(&sglang)?;
    let served = service(&bench)?.to_string();
    for word in ["lmsysorg/sglang", "--context-length", "30000"] {
        assert!(served.contains(word), "{word} is not in {served}");
    }
    let plan = change_to(&bench, QWEN)?;
    assert_eq!(actions(&plan, ADDRESS), ["update"]);
    bench.terraform(&["apply", "tfplan"])?;
    bench.assert_plan_is_empty()?;
    let served = service(&bench)?.to_string();
    assert!(served.contains("--max-model-len"), "{served}");
    assert!(!served.contains("lmsysorg"), "{served}");
    bench.terraform(&["destroy", "-auto-approve"])?;
    assert_eq!(bench.sandbox.inventory(), json!([]));
    Ok(())
}
