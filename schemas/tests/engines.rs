//! The embedded engines obey their own JSON Schema, and the schema refuses broken rows.

use std::collections::BTreeSet;

use openmodel_schemas::engine::{EMBEDDED_ENGINES, ENGINES_SCHEMA, EnginesDocument};
use serde_json::{Value, json};

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(ENGINES_SCHEMA).expect("the schema is JSON");
    jsonschema::validator_for(&schema).expect("the schema is a schema")
}

fn engines() -> Value {
    serde_json::from_str(EMBEDDED_ENGINES).expect("the engines are JSON")
}

#[test]
fn the_embedded_engines_obey_the_schema() {
    let schema = schema();
    let engines = engines();
    let errors: Vec<String> = schema
        .iter_errors(&engines)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn classes_are_in_order_and_all_of_them_are_named() {
    let document: EnginesDocument = serde_json::from_str(EMBEDDED_ENGINES).expect("readable");
    for (id, row) in &document.classes {
        assert!(row.names.is_sorted_by(|a, b| a < b), "{id}");
    }
    let named = document.engines.iter().flat_map(|engine| &engine.classes);
    assert_eq!(
        named.collect::<BTreeSet<_>>(),
        document.classes.keys().collect()
    );
}

#[test]
fn the_schema_refuses_broken_rows() {
    let schema = schema();
    for (pointer, bad) in [
        ("/engines/0/version", json!("latest")),
        ("/engines/0/serves", json!([])),
        ("/engines/0/serves/0", json!("poet")),
        ("/engines/0/formats/0", json!("fp7")),
        ("/engines/0/accelerator", json!("cpu")),
        ("/engines/0/images/0/image", json!("unqualified")),
        ("/engines/0/health_path", json!("health")),
        ("/engines/0/port", json!(0)),
        ("/engines/0/flags", json!({ "modell": "--model" })),
        ("/engines/0/memory", json!([])),
        ("/engines/0/memory/0/utilization_percent", json!(101)),
        ("/engines/0/memory/0/steps/0/tokens", json!(0)),
        ("/engines/0/unmaintained_since", json!("yesterday")),
    ] {
        let mut broken = engines();
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        match broken.pointer_mut(parent).expect("the place exists") {
            Value::Object(fields) => {
                fields.insert(key.to_owned(), bad.clone());
            }
            Value::Array(items) => items[key.parse::<usize>().expect("an index")] = bad.clone(),
            _ => panic!("{parent} holds no values"),
        }
        assert!(!schema.is_valid(&broken), "{pointer} = {bad} is accepted");
    }
}
