//! `openmodel_shapes`, the functions and the goals of an endpoint, with the real terraform.

use acceptance::terraform::{Bench, PROVIDER, planned};
use anyhow::Result;
use serde_json::Value;

/// One `data.openmodel_shapes.chat` with these attributes beside its model, put out as a whole.
fn shapes(attributes: &str) -> String {
    format!(
        "{PROVIDER}\ndata \"openmodel_shapes\" \"chat\" {{\n  model = \"Qwen/Qwen2.5-7B-Instruct\"\n{attributes}\n}}\n\
         output \"all\" {{ value = data.openmodel_shapes.chat }}\n"
    )
}

fn endpoint(attributes: &str) -> String {
    format!(
        "{PROVIDER}\nresource \"openmodel_endpoint\" \"chat\" {{\n  name = \"chat\"\n  \
         model = \"Qwen/Qwen2.5-7B-Instruct\"\n{attributes}\n}}\n"
    )
}

fn output<'a>(plan: &'a Value, name: &str) -> &'a Value {
    &plan["planned_values"]["outputs"][name]["value"]
}

#[track_caller]
fn refuses(bench: &Bench, configuration: &str, parts: &[&str]) -> Result<()> {
    bench.workspace.write("main.tf", configuration)?;
    let message = bench.terraform_fails(&["plan"])?;
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    Ok(())
}

#[test]
fn shapes_are_ranked_priced_and_explained() -> Result<()> {
    let bench = Bench::of(&shapes(
        "workload = { context_length = 8192, max_concurrency = 16 }\nregions = [\"us-central1\"]\nlimit = 4",
    ))?;
    let plan = bench.plan()?;
    let all = output(&plan, "all");
    let ranked = all["shapes"].as_array().expect("a list");
    assert_eq!(ranked.len(), 4);
    assert_eq!(ranked[0], all["chosen"]);
    let month = |shape: &Value| -> f64 {
        let text = shape["monthly_expected"].as_str();
        text.and_then(|text| text.parse().ok()).unwrap_or(f64::MAX)
    };
    assert!(
        ranked
            .windows(2)
            .all(|pair| month(&pair[0]) <= month(&pair[1])),
        "the cheapest comes first"
    );
    for shape in ranked {
        let gib = |name: &str| -> f64 {
            let text = shape[name].as_str();
            text.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
        };
        let parts = [
            "weights_gib",
            "kv_cache_gib",
            "activations_gib",
            "overhead_gib",
            "headroom_gib",
        ];
        let sum: f64 = parts.into_iter().map(gib).sum();
        assert!((sum - gib("usable_gib")).abs() < 0.05, "{shape}");
        assert_eq!(shape["region"], "us-central1");
    }
    let rejected = all["rejected"].as_object().expect("a map");
    assert!(!rejected.is_empty());
    assert!(all["reason"].is_string() && all["price_date"].is_string());
    assert_eq!(all["currency"], "USD");
    let args = all["args"].to_string();
    assert!(args.contains("--max-model-len"), "{args}");
    bench.terraform(&["apply", "tfplan"])?;
    bench.assert_plan_is_empty()
}

#[test]
fn shapes_hold_a_draft_model_too() -> Result<()> {
    let load = |draft: &str| {
        let attributes = format!(
            "workload = {{ context_length = 8192{draft} }}\naccelerators = [\"nvidia-a100-80gb\"]\n\
             regions = [\"us-central1\"]"
        );
        shapes(&attributes).replace("Qwen2.5-7B-Instruct", "Qwen3-14B")
    };
    let bench = Bench::of(&load(", draft_model = \"Qwen/Qwen2.5-0.5B-Instruct\""))?;
    let weights = |plan: &Value| -> f64 {
        let text = output(plan, "all")["chosen"]["weights_gib"].as_str();
        text.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
    };
    let both = bench.plan()?;
    let args = output(&both, "all")["args"].to_string();
    assert!(args.contains("draft_model"), "{args}");
    bench.workspace.write("main.tf", &load(""))?;
    let alone = bench.plan()?;
    // 494,032,768 parameters in 16 bits.
    let added = weights(&both) - weights(&alone);
    assert!((0.9..1.1).contains(&added), "{added}");
    Ok(())
}

#[test]
fn nothing_that_holds_is_an_answer_and_a_slip_is_an_error() -> Result<()> {
    let load = "workload = { context_length = 8192, max_concurrency = 16 }\n";
    let none = format!("{load}accelerators = [\"t4\"]\nmax_hourly_cost = \"0.10\"");
    let bench = Bench::of(&shapes(&none))?;
    let plan = bench.plan()?;
    let all = output(&plan, "all");
    assert_eq!(all["chosen"], Value::Null);
    assert_eq!(all["shapes"], serde_json::json!([]));
    assert!(
        all["rejected"].to_string().contains("over_budget")
            || all["rejected"].to_string().contains("too_small")
    );
    let cases: [(&str, &[&str]); 7] = [
        ("regions = [\"us-central9\"]", &["regions", "us-central1"]),
        ("accelerators = [\"l5\"]", &["accelerators", "nvidia-l4"]),
        (
            "allowed_licenses = [\"mit\"]",
            &["allowed_licenses", "apache-2.0"],
        ),
        ("engine = \"vlm\"", &["engine", "vllm@0.19"]),
        ("engine = \"vllm@new\"", &["engine", "0.19.0"]),
        ("parameters = 7000000000", &["parameters", "facts"]),
        ("facts = \"{}\"", &["facts", "config.json"]),
    ];
    for (attributes, parts) in cases {
        refuses(&bench, &shapes(&format!("{load}{attributes}")), parts)?;
    }
    refuses(
        &bench,
        &shapes("workload = { context_length = 9000000 }"),
        &["context_length", "extend_context"],
    )
}

#[test]
fn facts_in_the_configuration_need_no_hub() -> Result<()> {
    let config = r#"{
      "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
      "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
      "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072,
      "torch_dtype": "bfloat16"
    }"#;
    let bench = Bench::of(&shapes(
        "facts = file(\"config.json\")\nparameters = 8030261248\nworkload = { context_length = 8192 }\n\
         surfaces = [\"cloud_run\"]",
    ))?;
    bench.workspace.write("config.json", config)?;
    let plan = bench.plan()?;
    let all = output(&plan, "all");
    assert_eq!(all["chosen"]["accelerator"], "nvidia-l4");
    assert_eq!(all["resolved_revision"], Value::Null);
    assert!(bench.sandbox.log().is_empty(), "the Hub was asked");
    Ok(())
}

#[test]
fn functions_size_and_price_without_a_configured_provider() -> Result<()> {
    let of = |outputs: &str| {
        format!(
            "terraform {{\n  required_providers {{ openmodel = {{ source = \"openmodel/openmodel\" }} }}\n}}\n{outputs}"
        )
    };
    let config = r#"jsonencode({
      architectures = ["LlamaForCausalLM"], model_type = "llama", hidden_size = 4096,
      intermediate_size = 14336, num_hidden_layers = 32, num_attention_heads = 32,
      num_key_value_heads = 8, vocab_size = 128256, max_position_embeddings = 131072
    })"#;
    let bench = Bench::of(&of(&format!(
        "output \"memory\" {{ value = provider::openmodel::memory_estimate({config}, {{ accelerator = \"L4\", \
         context_length = 8192 }}) }}\n\
         output \"cost\" {{ value = provider::openmodel::monthly_cost(\"g2-standard-12\", {{ region = \"us-central1\" }}) }}\n\
         output \"shape\" {{ value = provider::openmodel::parse_shape(\"H100:8\") }}\n"
    )))?;
    let plan = bench.plan()?;
    let memory = output(&plan, "memory");
    assert_eq!(memory["fits"], true, "{memory}");
    assert_eq!(memory["kv_cache_bytes_per_token"], 131_072);
    let cost = output(&plan, "cost");
    assert!(
        cost["monthly"].is_string() && cost["price_date"].is_string(),
        "{cost}"
    );
    assert_eq!(output(&plan, "shape")["accelerator_count"], 8);
    let cases: [(&str, &[&str]); 4] = [
        (
            "provider::openmodel::parse_shape(\"g2-standard-13\")",
            &["did you mean"],
        ),
        (
            "provider::openmodel::monthly_cost(\"g2-standard-12\", {})",
            &["options", "region is required"],
        ),
        (
            "provider::openmodel::memory_estimate(\"{}\", { accelerator = \"L4\" })",
            &["facts", "config.json"],
        ),
        (
            "provider::openmodel::memory_estimate(\"{}\", { acelerator = \"L4\" })",
            &["options", "known are accelerator"],
        ),
    ];
    for (call, parts) in cases {
        refuses(
            &bench,
            &of(&format!("output \"bad\" {{ value = {call} }}")),
            parts,
        )?;
    }
    Ok(())
}

#[test]
fn goals_that_cannot_be_met_are_errors_on_their_attribute() -> Result<()> {
    let bench = Bench::of(&endpoint("workload = { context_length = 8192 }"))?;
    let cases: [(&str, &[&str]); 6] = [
        (
            "workload = { context_length = 8192, max_tpot_ms = 1 }",
            &["No shape is fast enough", "workload = {", "at most 1 ms"],
        ),
        (
            "workload = { context_length = 8192, max_ttft_ms = 1 }",
            &["No shape is fast enough", "workload = {"],
        ),
        (
            "workload = { context_length = 8192, requests_per_second = 50 }",
            &["Load needs more replicas", "max_replicas ="],
        ),
        (
            "workload = { context_length = 8192, requests_per_second = 0.0001 }",
            &["requests_per_second", "0.001"],
        ),
        (
            "workload = { context_length = 8192, draft_tokens = 2 }",
            &["Model cannot draft tokens", "workload = {"],
        ),
        (
            "workload = { context_length = 8192, adapter_count = 2 }",
            &["adapter_rank"],
        ),
    ];
    for (attributes, parts) in cases {
        refuses(&bench, &endpoint(attributes), parts)?;
    }
    Ok(())
}

#[test]
fn a_change_of_objective_load_or_goal_is_decided_anew() -> Result<()> {
    let load = |more: &str| {
        endpoint(&format!(
            "workload = {{ context_length = 8192, max_concurrency = 16{more} }}\nscaling = {{ max_replicas = 8 }}"
        ))
    };
    let bench = Bench::of(&load(""))?;
    bench.apply()?;
    bench.assert_plan_is_empty()?;
    bench
        .workspace
        .write("main.tf", &load(", requests_per_second = 1.5"))?;
    let plan = bench.plan()?;
    let chat = planned(&plan, "openmodel_endpoint.chat");
    let amount = |name: &str| -> f64 {
        let text = chat["cost"][name].as_str();
        text.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
    };
    assert!(
        amount("monthly_expected") > amount("hourly") * 730.0 * 1.5,
        "the load needs more than one replica: {}",
        chat["cost"]
    );
    assert!(amount("monthly_expected") <= amount("monthly_max"));
    assert!(chat["performance"]["tpot_ms"].is_string());
    bench.terraform(&["apply", "tfplan"])?;
    bench.assert_plan_is_empty()?;
    bench.workspace.write(
        "main.tf",
        &endpoint(
            "workload = { context_length = 8192, max_concurrency = 16 }\nobjective = \"latency\"",
        ),
    )?;
    let plan = bench.plan()?;
    let chat = planned(&plan, "openmodel_endpoint.chat");
    let reason = chat["recommendation"]["reason"].as_str();
    assert!(
        reason.is_some_and(|reason| reason.contains("the shortest time between tokens")),
        "{reason:?}"
    );
    bench.terraform(&["apply", "tfplan"])?;
    bench.assert_plan_is_empty()
}
