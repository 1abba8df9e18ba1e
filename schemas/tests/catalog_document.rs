//! The embedded catalog obeys its own JSON Schema, and the schema refuses broken rows.

use openmodel_schemas::catalog::{CATALOG_SCHEMA, EMBEDDED_CATALOG};
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
        ("/prices/0/usd", json!({"us-central1": "-1"})),
        ("/prices/0/usd", json!({"us-central1": 0.1})),
        ("/prices/0/usd", json!({"us-central1": "1e2"})),
        ("/prices/0/usd", json!({"us-central1-a": "1"})),
        ("/prices/0/usd", json!({"US-central1": "1"})),
        ("/prices/0/item/kind", json!("moon")),
        ("/prices/0/option", json!("reserved")),
        ("/offers/0/surface", json!("moon")),
        ("/offers/0/options", json!([])),
        ("/offers/0/shapes", json!([])),
        ("/offers/0/regions", json!({"moon": null})),
        ("/accelerators/0/usable_gib", json!(0)),
        ("/accelerators/0/devices", json!(0)),
        ("/accelerators/0/kind", json!("fpga")),
        ("/shapes/0/eighths", json!(9)),
        ("/shapes/0/hosts", json!(0)),
        ("/shapes/0/topology", json!("2by4")),
        ("/shapes/0/colour", json!("green")),
        ("/places/g2/zones/0", json!("us-central1")),
        ("/sources/run-gpu/date", json!("yesterday")),
        ("/date", json!("2026-11")),
        ("/currency", json!("EUR")),
        ("/version", json!(1)),
    ] {
        let mut catalog = catalog();
        let (parent, field) = pointer.rsplit_once('/').expect("a path");
        let parent = catalog.pointer_mut(parent).expect("the row is there");
        match parent {
            Value::Array(list) => list[field.parse::<usize>().expect("a place")] = bad.clone(),
            parent => parent[field] = bad.clone(),
        }
        assert!(
            !schema.is_valid(&catalog),
            "{pointer} = {bad} should be refused"
        );
    }
}
