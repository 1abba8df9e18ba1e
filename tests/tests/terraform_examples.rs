//! Every folder of `examples/` with the real terraform, as it stands: init, validate, plan, apply,
//! an empty second plan, import with an empty plan, destroy, and nothing left.

use std::fs;
use std::path::{Path, PathBuf};

use acceptance::terraform::{Bench, repository};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

#[test]
fn every_example_plans_applies_imports_and_leaves_nothing() -> Result<()> {
    let folders = examples()?;
    ensure!(folders.len() >= 6, "examples are missing: {folders:?}");
    for folder in folders {
        walk_through(&folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

fn walk_through(folder: &Path) -> Result<()> {
    let mut bench = Bench::new()?;
    // For the gated model; the sandbox takes any token for one that has accepted the terms.
    bench.workspace.set_env("HF_TOKEN", "hf_sandbox");
    bench.workspace.copy_from(folder)?;
    if !folder.join("main.tf").is_file() && !folder.ends_with("examples/provider") {
        // The registry's examples leave out what every configuration has.
        bench
            .workspace
            .copy_from(&repository().join("examples/provider"))?;
    }
    bench.terraform(&["fmt", "-check"])?;
    bench.terraform(&["init"])?;
    bench.terraform(&["validate"])?;
    bench.plan()?;
    bench.terraform(&["apply", "tfplan"])?;
    bench.assert_plan_is_empty()?;
    let state = bench.state()?;
    for resource in resources(&state) {
        import_again(&bench, resource)?;
    }
    bench.terraform(&["destroy", "-auto-approve"])?;
    assert_eq!(bench.sandbox.inventory(), json!([]), "something was left");
    Ok(())
}

/// Forgets a resource and imports it, by every form of its id; each time the plan is empty.
fn import_again(bench: &Bench, resource: &Value) -> Result<()> {
    let address = resource["address"].as_str().context("an address")?;
    let id = resource["values"]["id"].as_str().context("an id")?;
    let part = |name: &str| {
        resource["values"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let mut ids = vec![id.to_owned()];
    if resource["type"] == "openmodel_endpoint" {
        ids.push(format!(
            "{}/{}/{}",
            part("project"),
            part("region"),
            part("name")
        ));
    }
    for id in ids {
        bench.terraform(&["state", "rm", address])?;
        bench.terraform(&["import", address, &id])?;
        bench.assert_plan_is_empty()?;
        let imported = bench.state()?;
        let imported = resources(&imported)
            .find(|other| other["address"] == address)
            .context("it was imported")?;
        assert_eq!(
            imported["values"], resource["values"],
            "import differs from what apply stored"
        );
    }
    Ok(())
}

fn resources(state: &Value) -> impl Iterator<Item = &Value> {
    let resources = state["values"]["root_module"]["resources"].as_array();
    resources
        .into_iter()
        .flatten()
        .filter(|resource| resource["mode"] == "managed")
}

/// Folders under `examples/` that hold a `.tf` file.
fn examples() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![repository().join("examples")];
    while let Some(folder) = waiting.pop() {
        let mut holds_configuration = false;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "tf") {
                holds_configuration = true;
            }
        }
        if holds_configuration {
            found.push(folder);
        }
    }
    found.sort();
    Ok(found)
}
