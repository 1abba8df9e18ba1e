//! What `terraform plan` shows: shape, memory, cost and reasons where they are known; an error on
//! its attribute, with the next move, where the endpoint must not be made.

use acceptance::terraform::{Bench, PROVIDER, actions, planned, repository};
use anyhow::{Context as _, Result};
use serde_json::Value;

/// One endpoint with the given attributes beside its name.
fn endpoint(attributes: &str) -> String {
    format!(
        "{PROVIDER}\nresource \"openmodel_endpoint\" \"chat\" {{\n  name = \"chat\"\n{attributes}\n}}\n"
    )
}

fn bench(attributes: &str) -> Result<Bench> {
    Bench::of(&endpoint(attributes))
}

/// Plans must fail with a message that has each of these parts.
#[track_caller]
fn refuses(bench: &Bench, parts: &[&str]) -> Result<()> {
    let message = bench.terraform_fails(&["plan"])?;
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    Ok(())
}

#[test]
fn three_well_known_models_are_put_on_an_l4_and_explained() -> Result<()> {
    let models = [
        ("meta-llama/Llama-3.1-8B-Instruct", "8192", "16"),
        ("google/gemma-2-9b-it", "4096", "4"),
        ("Qwen/Qwen2.5-7B-Instruct", "8192", "16"),
    ];
    let mut bench = bench("")?;
    bench.workspace.set_env("HF_TOKEN", "hf_sandbox");
    for (model, context, concurrency) in models {
        bench.workspace.write(
            "main.tf",
            &endpoint(&format!(
                "model = \"{model}\"\nworkload = {{ context_length = {context}, max_concurrency = {concurrency} }}\n\
                 hugging_face_token_secret = \"projects/acme-ml/secrets/hf/versions/1\""
            )),
        )?;
        let plan = bench.plan()?;
        let chat = planned(&plan, "openmodel_endpoint.chat");
        assert_eq!(chat["shape"]["accelerator"], "nvidia-l4", "{model}");
        let number = |group: &str, name: &str| -> f64 {
            let text = chat[group][name].as_str();
            text.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
        };
        let parts = [
            "weights_gib",
            "kv_cache_gib",
            "activations_gib",
            "overhead_gib",
            "headroom_gib",
        ];
        let sum: f64 = parts.iter().map(|part| number("memory", part)).sum();
        assert!(
            (sum - number("memory", "usable_gib")).abs() < 0.05,
            "{model}: the parts sum to {sum}"
        );
        assert!(number("memory", "weights_gib") > 10.0, "{model}");
        assert!(
            chat["cost"]["hourly"].is_string() && chat["cost"]["price_date"].is_string(),
            "{model}"
        );
        assert_eq!(
            chat["cost"]["monthly_min"], "0.00",
            "scaled to zero, {model} costs nothing"
        );
        let reason = chat["recommendation"]["reason"]
            .as_str()
            .unwrap_or_default();
        assert!(!reason.is_empty(), "{model} is explained");
        let others = [
            &chat["recommendation"]["runners_up"],
            &chat["recommendation"]["rejected"],
        ];
        assert!(
            others
                .iter()
                .any(|map| map.as_object().is_some_and(|map| !map.is_empty())),
            "{model}"
        );
    }
    Ok(())
}

#[test]
fn the_plan_reads_well() -> Result<()> {
    let bench = bench(
        "model = \"Qwen/Qwen2.5-7B-Instruct\"\nworkload = { context_length = 8192, max_concurrency = 16 }",
    )?;
    let plan = bench.terraform(&["plan"])?;
    let path = repository().join("README.md");
    let readme = std::fs::read_to_string(&path)?;
    let (head, rest) = readme.split_once("```text\n").context("README's plan")?;
    let (block, tail) = rest.split_once("\n```").context("its end")?;
    if std::env::var_os("OPENMODEL_BLESS").is_some() {
        let start = plan.find("  # openmodel_endpoint").context("the plan")?;
        let end = plan.find("to destroy.").context("its end")? + "to destroy.".len();
        let fresh = &plan[start..end];
        std::fs::write(&path, format!("{head}```text\n{fresh}\n```{tail}"))?;
    } else {
        assert!(
            plan.contains(block),
            "README.md shows another plan: `just bless` copies the new one"
        );
    }
    insta::assert_snapshot!(plan);
    Ok(())
}

#[test]
fn a_70b_model_is_refused_with_the_sizes_and_what_would_help() -> Result<()> {
    let bench =
        bench("model = \"Qwen/Qwen2.5-72B-Instruct\"\nworkload = { context_length = 4096 }")?;
    refuses(
        &bench,
        &[
            "on main.tf line",
            "GiB",
            "nvidia-rtx-pro-6000",
            "quantization",
        ],
    )
}

#[test]
fn errors_stand_on_their_attribute_with_the_next_move() -> Result<()> {
    let qwen = "model = \"Qwen/Qwen2.5-7B-Instruct\"\nworkload = { context_length = 8192 }\n";
    let cases: [(&str, &[&str]); 14] = [
        (
            &format!("{qwen}engine = {{ env = {{ A = null }} }}"),
            &["engine = {", "Element is null"],
        ),
        (
            &format!("{qwen}engine = {{ name = \"vlm\" }}"),
            &["engine = {", "must be one of"],
        ),
        (
            &format!("{qwen}access = {{ invokers = [\"allUsers\"] }}"),
            &["Everyone is not an invoker", "access.public = true"],
        ),
        (
            &format!("{qwen}labels = {{ openmodel-key = \"x\" }}"),
            &["Invalid label", "openmodel's own"],
        ),
        (
            &format!("{qwen}labels = {{ team = \"Search Team\" }}"),
            &["Invalid label", "lower-case"],
        ),
        (
            &format!("{qwen}budget = {{ max_hourly_cost = \"0.50\" }}"),
            &["budget = {", "max_hourly_cost", "0.50"],
        ),
        (
            &format!("{qwen}budget = {{ max_monthly_cost = \"10.00\" }}"),
            &["max_monthly_cost", "10.00"],
        ),
        (
            "model = \"nobody/nothing\"\nworkload = { context_length = 8192 }",
            &[
                "Model not found",
                "model = \"nobody/nothing\"",
                "nobody/nothing",
            ],
        ),
        (
            "model = \"google/gemma-2-9b-it\"\nworkload = { context_length = 4096 }",
            &["Model is gated", "google/gemma-2-9b-it", "token"],
        ),
        (
            &format!("{qwen}revision = \"no-such-branch\""),
            &["Revision not found", "revision = \"no-such-branch\""],
        ),
        (
            &format!("{qwen}region = \"europe-west9\""),
            &["region = \"europe-west9\"", "us-central1"],
        ),
        (
            "model = \"Qwen/Qwen2.5-32B-Instruct\"\nworkload = { context_length = 4096 }\nshape = { accelerator = \"nvidia-l4\" }",
            &["shape", "nvidia-l4", "GiB"],
        ),
        (
            "model = \"Qwen/Qwen2.5-7B-Instruct\"\nworkload = { context_length = 9000000 }",
            &["context_length", "9000000"],
        ),
        (
            "model = \"a b/c\"\nworkload = { context_length = 100, input_tokens = 90, output_tokens = 90 }",
            &["is not a Hugging Face model id", "longer than the context"],
        ),
    ];
    let bench = bench("")?;
    for (attributes, parts) in cases {
        bench.workspace.write("main.tf", &endpoint(attributes))?;
        refuses(&bench, parts)?;
    }
    assert_eq!(bench.sandbox.inventory(), serde_json::json!([]));
    Ok(())
}

#[test]
fn what_depends_on_an_unknown_model_is_unknown_and_the_rest_is_known() -> Result<()> {
    let configuration = format!(
        "{PROVIDER}\nresource \"terraform_data\" \"choice\" {{ input = \"Qwen/Qwen2.5-7B-Instruct\" }}\n{}",
        "resource \"openmodel_endpoint\" \"chat\" {\n  name = \"chat\"\n  model = terraform_data.choice.output\n  \
         workload = { context_length = 8192 }\n}\n\
         output \"known\" { value = startswith(openmodel_endpoint.chat.url, \"http\") }\n"
    );
    let bench = Bench::of(&configuration)?;
    let plan = bench.plan()?;
    let unknown = &plan["resource_changes"]
        .as_array()
        .expect("changes")
        .iter()
        .find(|change| change["address"] == "openmodel_endpoint.chat")
        .expect("the endpoint")["change"]["after_unknown"];
    for computed in [
        "memory",
        "cost",
        "recommendation",
        "shape",
        "resolved_revision",
        "url",
    ] {
        assert_eq!(
            unknown[computed],
            Value::Bool(true),
            "{computed} waits for the model"
        );
    }
    let chat = planned(&plan, "openmodel_endpoint.chat");
    assert_eq!(
        chat["id"],
        "projects/acme-ml/locations/us-central1/services/chat"
    );
    assert_eq!(chat["scaling"]["max_replicas"], 1);
    assert_eq!(
        plan["planned_values"]["outputs"]["known"]["value"], true,
        "a refined unknown says how it starts"
    );
    bench.apply()?;
    bench.assert_plan_is_empty()
}

#[test]
fn an_unknown_name_does_not_hide_the_cost() -> Result<()> {
    let configuration = format!(
        "{PROVIDER}\nresource \"terraform_data\" \"name\" {{ input = \"chat\" }}\n\
         resource \"openmodel_endpoint\" \"chat\" {{\n  name = terraform_data.name.output\n  \
         model = \"Qwen/Qwen2.5-7B-Instruct\"\n  workload = {{ context_length = 8192 }}\n}}\n"
    );
    let bench = Bench::of(&configuration)?;
    let plan = bench.plan()?;
    let chat = planned(&plan, "openmodel_endpoint.chat");
    assert_eq!(chat["shape"]["accelerator"], "nvidia-l4");
    assert!(chat["cost"]["hourly"].is_string());
    bench.apply()?;
    bench.assert_plan_is_empty()
}

#[test]
fn unknown_callers_and_variables_hide_neither_cost_nor_budget() -> Result<()> {
    let with_budget = |budget: &str| {
        format!(
            "{PROVIDER}\nresource \"terraform_data\" \"app\" {{ input = \"app@acme-ml.iam.gserviceaccount.com\" }}\n\
             resource \"openmodel_endpoint\" \"chat\" {{\n  name = \"chat\"\n  \
             model = \"Qwen/Qwen2.5-7B-Instruct\"\n  workload = {{ context_length = 8192 }}\n  \
             access = {{ invokers = [\"serviceAccount:${{terraform_data.app.output}}\"] }}\n  \
             engine = {{ env = {{ APP = terraform_data.app.output }} }}\n  \
             budget = {{ max_hourly_cost = \"{budget}\" }}\n}}\n"
        )
    };
    let bench = Bench::of(&with_budget("0.10"))?;
    refuses(&bench, &["over the budget", "max_hourly_cost"])?;
    bench.workspace.write("main.tf", &with_budget("9.99"))?;
    let plan = bench.plan()?;
    assert!(planned(&plan, "openmodel_endpoint.chat")["cost"]["hourly"].is_string());
    bench.terraform(&["apply", "tfplan"])?;
    bench.assert_plan_is_empty()
}

#[test]
fn a_fixed_shape_wins_and_is_priced_beside_the_recommendation() -> Result<()> {
    let bench = bench(
        "model = \"Qwen/Qwen2.5-0.5B-Instruct\"\nworkload = { context_length = 4096 }\n\
         shape = { cpu = 8, memory_gib = 32 }",
    )?;
    let plan = bench.plan()?;
    let chat = planned(&plan, "openmodel_endpoint.chat");
    assert_eq!(
        (&chat["shape"]["cpu"], &chat["shape"]["memory_gib"]),
        (&8.into(), &32.into())
    );
    let chosen = chat["recommendation"]["chosen"]
        .as_str()
        .unwrap_or_default();
    assert!(
        chosen.contains("16 GiB"),
        "the cheaper shape is named: {chosen}"
    );
    Ok(())
}

#[test]
fn validate_needs_no_network_and_plan_no_write() -> Result<()> {
    let mut bench =
        bench("model = \"Qwen/Qwen2.5-7B-Instruct\"\nworkload = { context_length = 8192 }")?;
    let plan = bench.plan()?;
    assert_eq!(actions(&plan, "openmodel_endpoint.chat"), ["create"]);
    for entry in bench.sandbox.log() {
        // The Hub is asked by POST what its scanners say: a list of files is no address.
        let is_question = entry.path.contains("/paths-info/");
        assert!(
            is_question || matches!(entry.method.as_str(), "GET" | "HEAD"),
            "plan sent {} {}",
            entry.method,
            entry.path
        );
    }
    bench
        .workspace
        .set_env("OPENMODEL_SANDBOX", "http://127.0.0.1:9");
    bench.terraform(&["validate"])?;
    Ok(())
}

#[test]
fn functions_data_sources_and_ephemeral_resources_answer() -> Result<()> {
    let bench = Bench::of(&format!(
        "{PROVIDER}\n\
         data \"openmodel_model\" \"qwen\" {{ model = \"Qwen/Qwen2.5-7B-Instruct\" }}\n\
         ephemeral \"openmodel_access_token\" \"caller\" {{}}\n\
         output \"licence\" {{ value = data.openmodel_model.qwen.licence }}\n\
         output \"parameters\" {{ value = data.openmodel_model.qwen.parameters }}\n\
         output \"commit\" {{ value = length(data.openmodel_model.qwen.resolved_revision) }}\n\
         output \"name\" {{ value = provider::openmodel::parse_model_id(\"Qwen/Qwen2.5-7B-Instruct\").name }}\n"
    ))?;
    let plan = bench.plan()?;
    let output = |name: &str| &plan["planned_values"]["outputs"][name]["value"];
    assert_eq!(output("licence"), "apache-2.0");
    assert!(
        output("parameters")
            .as_u64()
            .is_some_and(|count| count > 7_000_000_000)
    );
    assert_eq!(output("commit"), 40);
    assert_eq!(output("name"), "Qwen2.5-7B-Instruct");
    bench.workspace.write(
        "bad.tf",
        "output \"bad\" { value = provider::openmodel::parse_model_id(\"a b\") }",
    )?;
    refuses(&bench, &["is not a Hugging Face model id"])
}
