//! The embedded catalog obeys its own JSON Schema, and the schema refuses broken rows.

use openmodel_schemas::shape::{CATALOG_SCHEMA, EMBEDDED_CATALOG};
use serde_json::{Value, json};

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(CATALOG_SCHEMA).expect("the schema is JSON");
    jsonschema::validator_for(&schema).expect("the schema is a schema")
}

fn catalog() -> Value {
    serde_json::from_str(EMBEDDED_CATALOG).expect("the catalog is JSON")
}

#[test]
fn the_embedded_catalog_obeys_the_schema() {
    let schema = schema();
    let catalog = catalog();
    let errors: Vec<String> = schema
        .iter_errors(&catalog)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn the_schema_refuses_broken_rows() {
    let schema = schema();
    for (pointer, bad) in [
        ("/prices/0/usd_per_second", json!("-1")),
        ("/prices/0/usd_per_second", json!(0.1)),
        ("/prices/0/item/kind", json!("disk")),
        ("/offers/0/surface", json!("moon")),
        ("/offers/0/counts", json!([0])),
        ("/accelerators/0/usable_gib", json!(0)),
        ("/engines/0/memory/utilization_percent", json!(100)),
        ("/engines/0/images/0/image", json!("vllm/vllm-openai")),
        ("/date", json!("yesterday")),
        ("/currency", json!("EUR")),
        ("/version", json!(2)),
    ] {
        let mut catalog = catalog();
        *catalog.pointer_mut(pointer).expect("the row is there") = bad.clone();
        assert!(
            !schema.is_valid(&catalog),
            "{pointer} = {bad} should be refused"
        );
    }
}
