//! What the checked-in JSON Schemas have in common, for the tests of their types.

/// The words of [`Surface`], for the schema.
#[derive(schemars::JsonSchema)]
#[schemars(rename = "Surface", rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum SurfaceWord {
    CloudRun,
    Vertex,
    Gke,
    Compute,
    HuggingFace,
}

/// The schema in `schemas/json/` is the one that the types generate;
/// `UPDATE_SCHEMAS=1 cargo test -p openmodel-schemas` writes it anew.
#[track_caller]
pub(crate) fn check(schema: &schemars::Schema, name: &str, checked_in: &str) {
    let fresh = serde_json::to_string_pretty(schema).expect("a schema is JSON") + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        let path = format!("{}/json/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, &fresh).expect("the schema can be written");
    } else {
        assert!(
            fresh == checked_in,
            "schemas/json/{name} is stale: run UPDATE_SCHEMAS=1 cargo test -p openmodel-schemas"
        );
    }
}
