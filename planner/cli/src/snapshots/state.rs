//! The snapshots that Terraform states have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use openmodel_schemas::snapshot::SnapshotUri;
use serde_json::Value;

/// How the types begin whose resources hold snapshots.
const OURS: &str = "openmodel_";

/// All snapshots that resources and data sources of ours name in these states: those that caches keep, and
/// those that endpoints serve from.
pub(super) fn snapshots(states: &[PathBuf]) -> Result<BTreeSet<SnapshotUri>> {
    let mut all = BTreeSet::new();
    for path in states {
        all.extend(read(path).with_context(|| path.display().to_string())?);
    }
    Ok(all)
}

fn read(path: &Path) -> Result<BTreeSet<SnapshotUri>> {
    let text = fs::read(path)?;
    let state: Value = serde_json::from_slice(&text).context("it is no JSON")?;
    // `terraform show -json` writes the first, a state file the second.
    if state.get("format_version").is_none() && state.get("terraform_version").is_none() {
        bail!(
            "it is no Terraform state; give what `terraform show -json` prints, or a .tfstate file"
        );
    }
    let mut found = BTreeSet::new();
    resources(&state, &mut found);
    Ok(found)
}

/// Looks for resources of ours, however deep their modules are.
fn resources(value: &Value, found: &mut BTreeSet<SnapshotUri>) {
    let is_ours = value["type"]
        .as_str()
        .is_some_and(|kind| kind.starts_with(OURS));
    match value {
        _ if is_ours => texts(value, found),
        Value::Object(members) => members.values().for_each(|member| resources(member, found)),
        Value::Array(items) => items.iter().for_each(|item| resources(item, found)),
        _ => {}
    }
}

fn texts(value: &Value, found: &mut BTreeSet<SnapshotUri>) {
    match value {
        Value::String(text) => found.extend(text.parse::<SnapshotUri>()),
        Value::Object(members) => members.values().for_each(|member| texts(member, found)),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(state: &Value) -> Result<Vec<String>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("state.json");
        fs::write(&path, state.to_string())?;
        let found = snapshots(&[path])?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    fn uri(name: &str) -> String {
        format!("gs://acme/models/org/{name}/{}", "0".repeat(40))
    }

    #[test]
    fn both_forms_of_a_state_are_read_and_only_resources_of_ours() {
        let shown = json!({"format_version": "1.0", "values": {
            "outputs": {"x": {"type": "string", "value": uri("output")}},
            "root_module": {
                "resources": [{"type": "google_storage_bucket_object", "values": {"name": uri("other")}}],
                "child_modules": [{"resources": [{"type": "openmodel_cache",
                    "values": {"id": uri("a"), "uri": {"eu": uri("b")}, "snapshots": [uri("c")]}}]}]}}});
        assert_eq!(of(&shown).expect("a state"), [uri("a"), uri("b"), uri("c")]);
        let stored = json!({"version": 4, "terraform_version": "1.14.0", "resources": [
            {"mode": "managed", "type": "openmodel_endpoint", "instances": [{"attributes": {"cache": uri("d")}}]}]});
        assert_eq!(of(&stored).expect("a state"), [uri("d")]);
        assert!(
            of(&json!({"format_version": "1.0"}))
                .expect("an empty state")
                .is_empty()
        );
        let error = of(&json!({"resources": []})).expect_err("no state");
        assert!(format!("{error:#}").contains("terraform show -json"));
    }
}
