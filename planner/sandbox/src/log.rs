//! The request log: what was asked and answered, without secrets.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::Value;

use crate::http::{Content, Reply, Request};

/// Entries kept; older ones are dropped.
const KEPT: usize = 20_000;
/// Text bodies are cut after this many characters.
const TEXT: usize = 4_096;
/// Of longer JSON answers, lists of a thousand services for one, only the size is kept.
const JSON: usize = 256 << 10;
const REDACTED: &str = "[redacted]";

/// One request and its answer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Place in the log, from 1.
    pub number: u64,
    /// Virtual time of the answer, RFC 3339.
    pub time: String,
    /// Which emulated API answered: `run`, `secretmanager`, `storage`, `storage.session` (inside a
    /// resumable upload), `storage.xml`, `hub`, …
    pub api: &'static str,
    /// The Discovery method, such as `run.projects.locations.services.create`, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// HTTP method.
    pub method: String,
    /// Host header without its port.
    pub host: String,
    /// Path, percent-encoded as sent.
    pub path: String,
    /// Query parameters; credentials in them are redacted.
    pub query: Vec<(String, String)>,
    /// Request headers; credentials are redacted.
    pub headers: BTreeMap<String, String>,
    /// Request body: JSON, or text, or null.
    pub request: Value,
    /// Status of the answer, also where the answer was lost; 0 where the request was.
    pub status: u16,
    /// Answer: JSON, or text, or null for files; of a very long one only its size.
    pub response: Value,
    /// The fault rule that had its way with this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The log of one sandbox.
#[derive(Default)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    written: u64,
}

impl Log {
    pub(crate) fn push(&mut self, mut entry: Entry) {
        self.written += 1;
        entry.number = self.written;
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

/// Write down a request and its answer.
pub(crate) fn entry(request: &Request, reply: &Reply, api: &'static str, time: String) -> Entry {
    let headers = request.headers.iter().map(|(name, value)| {
        let secret = matches!(
            name.as_str(),
            "authorization" | "cookie" | "x-goog-api-key" | "x-apikey"
        );
        let value = if secret {
            REDACTED
        } else {
            value.to_str().unwrap_or(REDACTED)
        };
        (name.as_str().to_owned(), value.to_owned())
    });
    let query = request.query.iter().map(|(name, value)| {
        let value = if is_secret(name) { REDACTED } else { value };
        (name.clone(), value.to_owned())
    });
    Entry {
        number: 0,
        time,
        api,
        operation: None,
        method: request.method.to_string(),
        host: request.host.clone(),
        path: request.path.clone(),
        query: query.collect(),
        headers: headers.collect(),
        request: request_body(request),
        status: reply.status.as_u16(),
        response: match &reply.content {
            Content::Json(value) => match value.to_string().len() {
                0..=JSON => redact(value),
                size => Value::String(format!("[{size} bytes of JSON]")),
            },
            Content::Text(text) => Value::String(text.chars().take(TEXT).collect()),
            Content::Events(events) => Value::from(events.clone()),
            Content::Empty | Content::File(_) => Value::Null,
        },
        fault: None,
    }
}

fn request_body(request: &Request) -> Value {
    let form = request
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if form {
        return redact(&Value::Object(request.fields()));
    }
    match serde_json::from_slice::<Value>(&request.body) {
        Ok(value) => redact(&value),
        Err(_) if request.body.is_empty() => Value::Null,
        // A body that is not what the API takes may hold anything: say only its size.
        Err(_) => Value::String(format!("[{} bytes that are not JSON]", request.body.len())),
    }
}

/// Members that carry a credential in one of the emulated APIs.
fn is_secret(name: &str) -> bool {
    let plain = name.replace('_', "").to_ascii_lowercase();
    matches!(
        plain.as_str(),
        "accesstoken"
            | "idtoken"
            | "token"
            | "refreshtoken"
            | "subjecttoken"
            | "actortoken"
            | "assertion"
            | "clientsecret"
            | "key"
            | "signature"
            | "uploadid"
    )
}

/// `redacted` in base64, where the API has bytes.
const REDACTED_BYTES: &str = "cmVkYWN0ZWQ=";

/// A copy without credentials and without the payload of secrets.
fn redact(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let kept = match (name.as_str(), value) {
                    // Secret Manager's payload: its form is kept, its value is not.
                    ("payload", Value::Object(parts)) => {
                        let mut parts = parts.clone();
                        if let Some(data) = parts.get_mut("data") {
                            *data = Value::from(REDACTED_BYTES);
                        }
                        Value::Object(parts)
                    }
                    (name, Value::String(_)) if is_secret(name) || name == "payload" => {
                        Value::from(REDACTED)
                    }
                    (_, other) => redact(other),
                };
                (name.clone(), kept)
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(redact).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use bytes::Bytes;
    use serde_json::json;

    #[test]
    fn no_credential_reaches_the_log() {
        let (parts, ()) = axum::http::Request::builder()
            .method("POST")
            .uri("/v1/projects/p/secrets/s:addVersion?key=s3cret")
            .header("authorization", "Bearer s3cret")
            .body(())
            .expect("a request")
            .into_parts();
        let body = json!({"payload": {"data": "s3cret"}, "list": [{"refresh_token": "s3cret"}]});
        let request = Request::new(&parts, Bytes::from(body.to_string()));
        let reply = Reply::json(
            StatusCode::OK,
            json!({"accessToken": "s3cret", "name": "kept"}),
        );
        let entry = entry(&request, &reply, "secretmanager", String::new());
        let text = serde_json::to_string(&entry).expect("JSON");
        assert!(!text.contains("s3cret"), "{text}");
        assert!(text.contains("kept"), "{text}");
    }
}
