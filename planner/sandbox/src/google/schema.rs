//! Field check: what Google's front end refuses before a service sees the request.
//!
//! Unknown names, wrong types and unknown enum values are 400 with one field violation each, in
//! the words of the real front end. What passes is made canonical: members that are read-only
//! are dropped as the real services do, names become camelCase, enum numbers become names,
//! 64-bit integers become strings.

use base64::Engine as _;
use bytes::Bytes;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::discovery::{Document, Field, Method};
use super::error::{Error, Violation};

/// Parameters that every method takes (the `parameters` member of each Discovery document).
const COMMON: [&str; 14] = [
    "$.xgafv",
    "$alt",
    "$prettyPrint",
    "access_token",
    "alt",
    "callback",
    "fields",
    "key",
    "oauth_token",
    "prettyPrint",
    "quotaUser",
    "uploadType",
    "upload_protocol",
    "$apiVersion",
];

/// Refuse a query parameter that the method does not have, or of the wrong type.
pub(crate) fn check_query(method: &Method, query: &[(String, String)]) -> Result<(), Error> {
    let mut violations = Vec::new();
    for (name, value) in query {
        if COMMON.contains(&name.as_str()) {
            continue;
        }
        let camel = camel_case(name);
        match method
            .query
            .get(name)
            .or_else(|| method.query.get(&camel))
            .map(String::as_str)
        {
            None => violations.push(Violation {
                field: String::new(),
                description: format!(
                    "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query \
                     parameter. Field '{name}' could not be found in request message."
                ),
            }),
            Some("boolean")
                if !matches!(
                    value.to_ascii_lowercase().as_str(),
                    "true" | "false" | "1" | "0" | ""
                ) =>
            {
                violations.push(wrong_type(
                    &snake_case(name),
                    "TYPE_BOOL",
                    &Value::from(value.as_str()),
                ));
            }
            Some("integer") if value.parse::<i32>().is_err() => {
                violations.push(wrong_type(
                    &snake_case(name),
                    "TYPE_INT32",
                    &Value::from(value.as_str()),
                ));
            }
            Some(_) => {}
        }
    }
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Error::bad_request(&violations))
    }
}

/// Check a body, and return it in canonical form.
pub(crate) fn check_body(
    document: &Document,
    method: &Method,
    body: &Bytes,
) -> Result<Value, Error> {
    let value: Value = if body.iter().all(u8::is_ascii_whitespace) {
        Value::Object(Map::new())
    } else {
        serde_json::from_slice(body)
            .map_err(|error| Error::invalid(format!("Invalid JSON payload received. {error}")))?
    };
    let Some(schema) = method
        .request
        .as_deref()
        .and_then(|name| document.schema(name))
    else {
        return Ok(value);
    };
    if !value.is_object() {
        return Err(Error::invalid(
            "Invalid JSON payload received. Unknown name \"\": Root element must be a message.",
        ));
    }
    let mut check = Check {
        document,
        violations: Vec::new(),
    };
    let path = method.body.clone().unwrap_or_default();
    let clean = check.value(schema, value, &path);
    if check.violations.is_empty() {
        Ok(clean)
    } else {
        Err(Error::bad_request(&check.violations))
    }
}

/// Hold an answer of ours against its schema. One that breaks it is a defect of the sandbox, and
/// is reported as such instead of being sent.
pub(crate) fn check_answer(
    document: &Document,
    method: &Method,
    answer: &Value,
) -> Result<(), Error> {
    let mut check = Check {
        document,
        violations: Vec::new(),
    };
    let schema = method.response.as_deref();
    if let Some(schema) = schema.and_then(|name| document.schema(name)) {
        check.value(schema, answer.clone(), "");
    }
    // An operation carries messages of any type, which name it.
    for member in ["metadata", "response"] {
        let mut inner = answer[member].clone();
        let kind = inner
            .as_object_mut()
            .and_then(|members| members.remove("@type"));
        let name = kind
            .as_ref()
            .and_then(Value::as_str)
            .and_then(|kind| kind.rsplit('.').next());
        let schema = name.and_then(|name| {
            let run = document.schema(&format!("GoogleCloudRunV2{name}"));
            run.or_else(|| document.schema(name))
        });
        if let Some(schema) = schema {
            check.value(schema, inner, member);
        }
    }
    let faults: Vec<String> = check
        .violations
        .into_iter()
        .map(|v| v.description)
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::internal(format!(
        "The sandbox's answer to {} breaks the API's schema: {}",
        method.id,
        faults.join("; ")
    )))
}

/// Whether a field path such as `template.containers` or `template.max_instance_request_concurrency`
/// leads somewhere in a schema; its canonical form if so.
pub(crate) fn field_path(document: &Document, schema: &str, path: &str) -> Option<Vec<String>> {
    let mut field = document.schema(schema)?;
    let mut found = Vec::new();
    for name in path.split('.') {
        if let Some(reference) = &field.reference {
            field = document.schema(reference)?;
        }
        if field.additional_properties.is_some() {
            found.push(name.to_owned());
            continue;
        }
        let (name, next) = lookup(field, name)?;
        found.push(name.to_owned());
        field = next;
    }
    Some(found)
}

struct Check<'a> {
    document: &'a Document,
    violations: Vec<Violation>,
}

impl Check<'_> {
    /// The canonical form of a value; null where it is wrong.
    fn value(&mut self, field: &Field, value: Value, path: &str) -> Value {
        if let Some(name) = &field.reference {
            let Some(schema) = self.document.schema(name) else {
                return value;
            };
            return match value {
                Value::Object(_) => self.value(schema, value, path),
                other => self.wrong(path, &message_type(name), &other),
            };
        }
        match field.kind.as_deref().unwrap_or("object") {
            "object" => match value {
                Value::Object(members) => self.members(field, members, path),
                other => self.wrong(path, "TYPE_MESSAGE", &other),
            },
            "array" => match (value, &field.items) {
                (Value::Array(values), Some(item)) => {
                    let values = values.into_iter().enumerate();
                    values
                        .map(|(at, value)| self.value(item, value, &format!("{path}[{at}]")))
                        .collect()
                }
                (other, _) => self.wrong(path, "TYPE_MESSAGE", &other),
            },
            "any" => value,
            _ => self.scalar(field, value, path),
        }
    }

    fn members(&mut self, field: &Field, members: Map<String, Value>, path: &str) -> Value {
        let mut clean = Map::new();
        for (name, value) in members {
            // In protobuf's JSON a null member is an absent one; in older patches it removes one.
            if value.is_null() {
                if self.document.is_legacy() {
                    clean.insert(name, value);
                }
                continue;
            }
            if let Some(kind) = &field.additional_properties {
                let value = self.value(kind, value, &format!("{path}[{name}]"));
                clean.insert(name, value);
                continue;
            }
            let Some((canonical, kind)) = lookup(field, &name) else {
                self.unknown(&name, path);
                continue;
            };
            let inner = join(path, &snake_case(canonical));
            if value.is_array()
                && kind.kind.as_deref() != Some("array")
                && kind.kind.as_deref() != Some("any")
            {
                self.not_repeating(&name, path);
                continue;
            }
            let value = self.value(kind, value, &inner);
            if !kind.read_only {
                clean.insert(canonical.to_owned(), value);
            }
        }
        Value::Object(clean)
    }

    fn scalar(&mut self, field: &Field, value: Value, path: &str) -> Value {
        if let Some(names) = &field.names {
            return self.name(names, &value, path);
        }
        let format = field.format.as_deref().unwrap_or_default();
        match (field.kind.as_deref(), format) {
            (Some("boolean"), _) if !value.is_boolean() => self.wrong(path, "TYPE_BOOL", &value),
            (Some("boolean"), _) => value,
            (Some("integer"), _) => match number(&value).and_then(|n| i32::try_from(n).ok()) {
                Some(number) => Value::from(number),
                None => self.wrong(path, "TYPE_INT32", &value),
            },
            (Some("number"), _) => match float(&value) {
                Some(number) => Value::from(number),
                None => self.wrong(path, "TYPE_DOUBLE", &value),
            },
            (_, "int64" | "uint64") => match number(&value) {
                Some(number) if format == "int64" || number >= 0 => Value::from(number.to_string()),
                _ => self.wrong(
                    path,
                    if format == "int64" {
                        "TYPE_INT64"
                    } else {
                        "TYPE_UINT64"
                    },
                    &value,
                ),
            },
            (_, _) => match value {
                Value::String(text) if is_format(format, &text) => Value::String(text),
                other => self.wrong(path, wire_type(format), &other),
            },
        }
    }

    /// An enum by name, or by its place in the list of names.
    fn name(&mut self, names: &[String], value: &Value, path: &str) -> Value {
        let found = match value {
            Value::String(text) => names.iter().find(|name| *name == text),
            Value::Number(number) => number
                .as_u64()
                .and_then(|at| names.get(usize::try_from(at).unwrap_or(usize::MAX))),
            _ => None,
        };
        match found {
            Some(name) => Value::from(name.as_str()),
            None => self.wrong(path, "TYPE_ENUM", value),
        }
    }

    fn unknown(&mut self, name: &str, path: &str) {
        let place = if path.is_empty() {
            String::new()
        } else {
            format!(" at '{path}'")
        };
        self.violations.push(Violation {
            field: path.to_owned(),
            description: format!(
                "Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field."
            ),
        });
    }

    fn not_repeating(&mut self, name: &str, path: &str) {
        let place = if path.is_empty() {
            String::new()
        } else {
            format!(" at '{path}'")
        };
        self.violations.push(Violation {
            field: path.to_owned(),
            description: format!(
                "Invalid JSON payload received. Unknown name \"{name}\"{place}: Proto field is not \
                 repeating, cannot start list."
            ),
        });
    }

    fn wrong(&mut self, path: &str, kind: &str, value: &Value) -> Value {
        self.violations.push(wrong_type(path, kind, value));
        Value::Null
    }
}

fn wrong_type(path: &str, kind: &str, value: &Value) -> Violation {
    let shown = match value {
        Value::Object(_) | Value::Array(_) => String::new(),
        other => format!(", {other}"),
    };
    Violation {
        field: path.to_owned(),
        description: format!("Invalid value at '{path}' ({kind}){shown}"),
    }
}

fn lookup<'a>(field: &'a Field, name: &str) -> Option<(&'a str, &'a Field)> {
    let camel = camel_case(name);
    let found = field
        .properties
        .get_key_value(name)
        .or_else(|| field.properties.get_key_value(&camel))?;
    Some((found.0.as_str(), found.1))
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Whether a text is of the format that Discovery gives for it.
fn is_format(format: &str, text: &str) -> bool {
    match format {
        "google-duration" => text.strip_suffix('s').is_some_and(|number| {
            !number.contains(['e', 'E', '+']) && number.parse::<f64>().is_ok()
        }),
        "google-datetime" | "date-time" => OffsetDateTime::parse(text, &Rfc3339).is_ok(),
        "byte" => decode_base64(text).is_some(),
        _ => true,
    }
}

/// Base64 of either alphabet, padded or not, as protobuf's JSON takes it.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let plain: String = text
        .trim_end_matches('=')
        .chars()
        .map(|letter| match letter {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(plain)
        .ok()
}

fn wire_type(format: &str) -> &'static str {
    match format {
        "google-duration" => "type.googleapis.com/google.protobuf.Duration",
        "google-datetime" | "date-time" => "type.googleapis.com/google.protobuf.Timestamp",
        "google-fieldmask" => "type.googleapis.com/google.protobuf.FieldMask",
        "byte" => "TYPE_BYTES",
        _ => "TYPE_STRING",
    }
}

fn message_type(schema: &str) -> String {
    match schema.strip_prefix("GoogleCloudRunV2") {
        Some(name) => format!("type.googleapis.com/google.cloud.run.v2.{name}"),
        None => "TYPE_MESSAGE".to_owned(),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::super::discovery;
    use super::*;
    use axum::http::Method as Verb;
    use serde_json::json;

    fn check(body: &Value) -> Result<Value, String> {
        let document = discovery::document("run.v2").expect("a document");
        let segments = ["v2", "projects", "p", "locations", "l", "services"].map(str::to_owned);
        let route = document.route(&Verb::POST, &segments).expect("a method");
        check_body(document, route.method, &Bytes::from(body.to_string()))
            .map_err(|error| format!("{error:?}"))
    }

    #[track_caller]
    fn refused(body: &Value, words: &str) {
        let error = check(body).expect_err("must be refused");
        assert!(
            error.replace("\\\"", "\"").contains(words),
            "{error}\nlacks {words}"
        );
    }

    #[test]
    fn unknown_names_are_refused_in_the_words_of_the_real_front_end() {
        refused(
            &json!({"template": {"x": 1}}),
            "Invalid JSON payload received. Unknown name \"x\" at 'service.template': Cannot find field.",
        );
        refused(
            &json!({"x": 1}),
            "Unknown name \"x\" at 'service': Cannot find field.",
        );
        refused(
            &json!({"template": {"containers": [{"resources": {"gpu": 1}}]}}),
            "Unknown name \"gpu\" at 'service.template.containers[0].resources'",
        );
    }

    #[test]
    fn wrong_types_are_refused() {
        refused(
            &json!({"template": {"maxInstanceRequestConcurrency": "many"}}),
            "Invalid value at 'service.template.max_instance_request_concurrency' (TYPE_INT32), \"many\"",
        );
        refused(
            &json!({"ingress": "OPEN"}),
            "Invalid value at 'service.ingress' (TYPE_ENUM), \"OPEN\"",
        );
        refused(
            &json!({"labels": {"a": 1}}),
            "Invalid value at 'service.labels[a]' (TYPE_STRING), 1",
        );
        refused(
            &json!({"template": {"timeout": "5m"}}),
            "google.protobuf.Duration",
        );
        refused(
            &json!({"template": "x"}),
            "type.googleapis.com/google.cloud.run.v2.RevisionTemplate",
        );
        refused(
            &json!({"description": ["a"]}),
            "Proto field is not repeating, cannot start list.",
        );
        refused(
            &json!({"invokerIamDisabled": "true"}),
            "(TYPE_BOOL), \"true\"",
        );
    }

    #[test]
    fn what_passes_is_canonical() {
        let clean = check(&json!({
            "ingress": 1,
            "uid": "mine",
            "generation": 5,
            "description": null,
            "invoker_iam_disabled": true,
            "template": {"max_instance_request_concurrency": "8", "timeout": "300s"},
        }));
        let expect = json!({
            "ingress": "INGRESS_TRAFFIC_ALL",
            "invokerIamDisabled": true,
            "template": {"maxInstanceRequestConcurrency": 8, "timeout": "300s"},
        });
        assert_eq!(clean, Ok(expect));
    }

    #[test]
    fn a_parameter_must_belong_to_the_method() {
        let document = discovery::document("run.v2").expect("a document");
        let segments = ["v2", "projects", "p", "locations", "l", "services"].map(str::to_owned);
        let method = document
            .route(&Verb::POST, &segments)
            .expect("a method")
            .method;
        let query = |name: &str, value: &str| [(name.to_owned(), value.to_owned())];
        assert!(check_query(method, &query("serviceId", "a")).is_ok());
        assert!(check_query(method, &query("service_id", "a")).is_ok());
        assert!(check_query(method, &query("$alt", "json;enum-encoding=int")).is_ok());
        assert!(check_query(method, &query("validateOnly", "maybe")).is_err());
        let error = check_query(method, &query("servceId", "a")).expect_err("misspelt");
        assert!(format!("{error:?}").contains("Cannot bind query parameter"));
    }

    #[test]
    fn field_masks_are_looked_up_in_the_schema() {
        let document = discovery::document("run.v2").expect("a document");
        let path = |text| field_path(document, "GoogleCloudRunV2Service", text);
        let found = path("template.max_instance_request_concurrency").expect("a field");
        assert_eq!(found, ["template", "maxInstanceRequestConcurrency"]);
        assert_eq!(path("labels.team").expect("a label"), ["labels", "team"]);
        assert_eq!(path("template.nonsense"), None);
    }
}
