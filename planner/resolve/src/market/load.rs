//! From bytes to rows: JSON, then its schema, then the types; each refusal with its place.

use std::sync::LazyLock;

use jsonschema::Validator;
use openmodel_schemas::catalog::{CATALOG_SCHEMA, CatalogDocument};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::CatalogError;

/// Compiled once: it takes longer than to check a catalog with it.
static SCHEMA: LazyLock<Validator> = LazyLock::new(|| compiled(CATALOG_SCHEMA));

/// What errors call the document.
pub(super) const CATALOG: &str = "catalog";

/// A checked-in schema, ready to check with.
pub(super) fn compiled(schema: &str) -> Validator {
    let schema: Value = serde_json::from_str(schema).expect("a test reads the embedded schema");
    jsonschema::validator_for(&schema).expect("a test compiles the embedded schema")
}

/// Read a catalog and hold it against its schema.
pub(super) fn catalog(bytes: &[u8]) -> Result<CatalogDocument, CatalogError> {
    document(CATALOG, bytes, &SCHEMA)
}

/// Read a document, called `what` in errors, and hold it against its schema.
pub(super) fn document<T: DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
    schema: &Validator,
) -> Result<T, CatalogError> {
    let unreadable = |error: &serde_json::Error, problem| CatalogError {
        document: what,
        row: "document".to_owned(),
        field: format!("line {}, column {}", error.line(), error.column()),
        value: "unreadable".to_owned(),
        problem,
    };
    // Some editors put a mark at the start of a file.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| unreadable(&error, format!("it is not JSON: {error}")))?;
    check_schema(what, schema, &value)?;
    serde_json::from_value(value).or_else(|_| {
        // What the types refuse and the schema lets pass is rare; read from the text, its error
        // has a place.
        serde_json::from_slice(bytes).map_err(|error| unreadable(&error, error.to_string()))
    })
}

fn check_schema(what: &'static str, schema: &Validator, value: &Value) -> Result<(), CatalogError> {
    let Err(error) = schema.validate(value) else {
        return Ok(());
    };
    let path = error.instance_path().to_string();
    let mut parts = path.split('/').skip(1);
    let row = match (parts.next(), parts.next()) {
        (Some(table @ ("places" | "sources")), Some(id)) => format!("{table}.{id}"),
        (Some(list), Some(index)) => format!("{list}[{index}]"),
        _ => "document".to_owned(),
    };
    let rest: Vec<&str> = parts.collect();
    let field = if rest.is_empty() {
        path.trim_start_matches('/').to_owned()
    } else {
        rest.join(".")
    };
    Err(CatalogError {
        document: what,
        row,
        field: if field.is_empty() {
            "document".to_owned()
        } else {
            field
        },
        value: error.instance().to_string().chars().take(80).collect(),
        problem: error.to_string().chars().take(300).collect(),
    })
}
