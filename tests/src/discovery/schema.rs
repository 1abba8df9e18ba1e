//! Discovery schemas as JSON Schema (draft 2020-12), and bodies held to them.
//!
//! Discovery's dialect is that of JSON Schema draft 3, and of its protobuf origin. The rules of
//! the translation:
//!
//! | Discovery | JSON Schema |
//! |---|---|
//! | `$ref: X` | `#/$defs/X` |
//! | an object | `additionalProperties: false`, unless it declares some |
//! | `type: any` | anything |
//! | `readOnly` | refused in a request |
//! | `string` of format `int64`, `uint64` | digits; in a request also a number |
//! | `google-datetime`, `google-duration`, `google-fieldmask`, `byte` | their pattern |
//! | an object "with type URL" (`google.protobuf.Any`) | checked again, by its `@type` |

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

/// What the sandbox's log writes in place of a secret.
const REDACTED: &str = "[redacted]";
/// The phrase by which Discovery describes a `google.protobuf.Any`, and nothing else.
const ANY: &str = "Contains field @type with type URL.";

/// Which way a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    /// To the service: output-only fields are refused.
    Request,
    /// From the service.
    Response,
}

/// The schemas of one document. Each is translated when it is first needed.
pub(super) struct Schemas {
    discovery: Map<String, Value>,
    compiled: Mutex<HashMap<(String, Direction), Arc<Validator>>>,
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.discovery.keys()).finish()
    }
}

impl Schemas {
    pub(super) fn new(discovery: Map<String, Value>) -> Self {
        Self {
            discovery,
            compiled: Mutex::default(),
        }
    }

    /// What is wrong with a body, each with its place in it.
    pub(super) fn check(
        &self,
        name: &str,
        body: &Value,
        direction: Direction,
    ) -> Vec<(String, String)> {
        let mut found = Vec::new();
        self.check_at("", name, body, direction, &mut found);
        found
    }

    fn check_at(
        &self,
        at: &str,
        name: &str,
        body: &Value,
        direction: Direction,
        found: &mut Vec<(String, String)>,
    ) {
        let validator = match self.validator(name, direction) {
            Ok(validator) => validator,
            Err(what) => return found.push((format!("{at}/"), what)),
        };
        for error in validator.iter_errors(body) {
            if error.instance().as_str() == Some(REDACTED) {
                continue;
            }
            let what = match error.kind() {
                ValidationErrorKind::FalseSchema => {
                    "is output-only and must not be sent".to_owned()
                }
                _ => error.to_string(),
            };
            found.push((
                format!(
                    "{at}/{}",
                    error.instance_path().as_str().trim_start_matches('/')
                ),
                what,
            ));
        }
        for (inner, typed) in typed_messages(body) {
            self.check_typed(&format!("{at}{inner}"), typed, direction, found);
        }
    }

    /// A `google.protobuf.Any`: an object that names its own type.
    fn check_typed(
        &self,
        at: &str,
        typed: &Map<String, Value>,
        direction: Direction,
        found: &mut Vec<(String, String)>,
    ) {
        let url = typed
            .get("@type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(message) = url.strip_prefix("type.googleapis.com/") else {
            return found.push((
                at.to_owned(),
                format!("@type {url:?} is not type.googleapis.com/…"),
            ));
        };
        // Error details are no part of the APIs' own documents; nor is what Cloud Storage says of
        // its operations, which is of its gRPC API.
        let storage = message.strip_prefix("google.storage.control.v2.");
        if message.starts_with("google.rpc.")
            || storage.is_some_and(|name| name.ends_with("Metadata"))
        {
            return;
        }
        let Some(name) = self.name_of(message) else {
            return found.push((
                at.to_owned(),
                format!("the document has no schema for @type {message}"),
            ));
        };
        let mut body = typed.clone();
        body.remove("@type");
        self.check_at(at, &name, &Value::Object(body), direction, found);
    }

    /// `google.cloud.run.v2.Service` is `GoogleCloudRunV2Service` in some documents and
    /// `Service` in others.
    fn name_of(&self, message: &str) -> Option<String> {
        let upper = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
        let long = message
            .split('.')
            .filter(|part| !part.is_empty())
            .map(upper)
            .collect::<String>();
        let short = message.rsplit('.').next().unwrap_or_default().to_owned();
        [long, short]
            .into_iter()
            .find(|name| self.discovery.contains_key(name))
    }

    fn validator(&self, name: &str, direction: Direction) -> Result<Arc<Validator>, String> {
        let key = (name.to_owned(), direction);
        let mut compiled = self
            .compiled
            .lock()
            .map_err(|_| "a test panicked while it held the schemas")?;
        if let Some(validator) = compiled.get(&key) {
            return Ok(Arc::clone(validator));
        }
        let schema = self.json_schema(name, direction);
        let built = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .build(&schema);
        let validator =
            Arc::new(built.map_err(|error| format!("{name} is no JSON Schema: {error}"))?);
        compiled.insert(key, Arc::clone(&validator));
        Ok(validator)
    }

    fn json_schema(&self, name: &str, direction: Direction) -> Value {
        let definitions: Map<String, Value> = self
            .discovery
            .iter()
            .map(|(name, schema)| (name.clone(), translate(schema, direction)))
            .collect();
        json!({"$ref": format!("#/$defs/{name}"), "$defs": definitions})
    }
}

/// One Discovery schema as JSON Schema.
fn translate(schema: &Value, direction: Direction) -> Value {
    if direction == Direction::Request && schema["readOnly"] == true {
        return json!(false);
    }
    if let Some(name) = schema["$ref"].as_str() {
        return json!({"$ref": format!("#/$defs/{name}")});
    }
    let format = schema["format"].as_str().unwrap_or_default();
    match schema["type"].as_str().unwrap_or("any") {
        "any" => json!(true),
        "object" => object(schema, direction),
        "array" => json!({"type": "array", "items": translate(&schema["items"], direction)}),
        "integer" if format == "uint32" => {
            json!({"type": "integer", "minimum": 0, "maximum": u32::MAX})
        }
        "integer" => json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX}),
        "string" => string(schema, format, direction),
        other => json!({"type": other}),
    }
}

fn object(schema: &Value, direction: Direction) -> Value {
    let translated =
        |(name, schema): (&String, &Value)| (name.clone(), translate(schema, direction));
    let properties: Map<String, Value> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(translated)
        .collect();
    let others = match schema.get("additionalProperties") {
        Some(others) => translate(others, direction),
        None => json!(false),
    };
    let mut object =
        json!({"type": "object", "properties": properties, "additionalProperties": others});
    if is_any(schema) {
        object["required"] = json!(["@type"]);
    }
    object
}

fn string(schema: &Value, format: &str, direction: Direction) -> Value {
    if let Some(values) = schema["enum"].as_array() {
        return json!({"enum": values});
    }
    let pattern = match format {
        // Services write 64-bit numbers as text, and read both.
        "int64" | "uint64" if direction == Direction::Request => {
            return json!({"type": ["string", "integer"], "pattern": r"^-?\d+$"});
        }
        "int64" => r"^-?\d+$",
        "uint64" => r"^\d+$",
        "byte" => r"^[A-Za-z0-9+/_-]*={0,2}$",
        "google-datetime" => r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$",
        "google-duration" => r"^-?\d+(\.\d{1,9})?s$",
        "google-fieldmask" => r"^(\*|\w+(\.[\w-]+)*)(,\w+(\.[\w-]+)*)*$",
        _ => match schema["pattern"].as_str() {
            Some(pattern) => pattern,
            None => return json!({"type": "string"}),
        },
    };
    json!({"type": "string", "pattern": pattern})
}

fn is_any(schema: &Value) -> bool {
    schema["additionalProperties"]["description"]
        .as_str()
        .is_some_and(|text| text.contains(ANY))
}

/// The outermost objects in a body that name their type, with their places.
fn typed_messages(body: &Value) -> Vec<(String, &Map<String, Value>)> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), body)];
    while let Some((at, value)) = open.pop() {
        match value {
            Value::Object(members) if members.contains_key("@type") => found.push((at, members)),
            Value::Object(members) => {
                open.extend(
                    members
                        .iter()
                        .map(|(name, value)| (format!("{at}/{name}"), value)),
                );
            }
            Value::Array(items) => {
                open.extend(
                    items
                        .iter()
                        .enumerate()
                        .map(|(index, value)| (format!("{at}/{index}"), value)),
                );
            }
            _ => {}
        }
    }
    found
}
