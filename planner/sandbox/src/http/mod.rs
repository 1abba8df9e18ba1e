//! One request as the emulated services see it, and one reply.

mod file;
mod wire;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::Value;

pub(crate) use file::{Piece, Source, serve};
pub(crate) use wire::{Door, Line};

use crate::blob::Blob;

/// A request, read to its end.
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Without the port, in lower case; some Google clients send none.
    pub(crate) host: String,
    /// As sent, percent-encoded.
    pub(crate) path: String,
    /// The parts of the path between slashes, decoded one by one (`feature%2Fx` is one).
    pub(crate) segments: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The content that an upload carries, which may be too long for `body`.
    pub(crate) received: Option<Received>,
}

/// The content of an upload.
pub(crate) struct Received {
    pub(crate) blob: Blob,
    /// The media type that came with it.
    pub(crate) media_type: Option<String>,
}

impl Request {
    pub(crate) fn new(parts: &Parts, body: Bytes) -> Self {
        let host = parts
            .headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
            .or_else(|| parts.uri.host())
            .unwrap_or_default();
        let path = parts.uri.path().to_owned();
        let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        Self {
            method: parts.method.clone(),
            host: host
                .split(':')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase(),
            segments: path
                .split('/')
                .filter(|part| !part.is_empty())
                .map(decode)
                .collect(),
            path,
            query: query.into_owned().collect(),
            headers: parts.headers.clone(),
            body,
            received: None,
        }
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A boolean parameter; absent is false.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.query(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The bearer token, or the `access_token` parameter that Google takes as well.
    pub(crate) fn token(&self) -> Option<&str> {
        let bearer = self.header("authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        bearer
            .or_else(|| self.query("access_token"))
            .filter(|token| !token.is_empty())
    }

    pub(crate) fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }

    /// Members of a body in JSON or in form encoding; repeated form fields become arrays.
    pub(crate) fn fields(&self) -> serde_json::Map<String, Value> {
        if let Ok(Value::Object(fields)) = serde_json::from_slice(&self.body) {
            return fields;
        }
        let mut fields = serde_json::Map::new();
        for (name, value) in url::form_urlencoded::parse(&self.body).into_owned() {
            let value = Value::String(value);
            match fields.get_mut(&name) {
                None => drop(fields.insert(name, value)),
                Some(Value::Array(all)) => all.push(value),
                Some(one) => *one = Value::Array(vec![one.take(), value]),
            }
        }
        fields
    }
}

fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// What a reply carries.
pub(crate) enum Content {
    Empty,
    Json(Value),
    Text(String),
    /// Server-sent events, one string each, without the `data: ` in front.
    Events(Vec<String>),
    File(Piece),
}

/// An answer, before faults are applied to it.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) content: Content,
}

impl Reply {
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content: Content::Empty,
        }
    }

    pub(crate) fn json(status: StatusCode, value: Value) -> Self {
        let reply = Self {
            status,
            headers: Vec::new(),
            content: Content::Json(value),
        };
        reply.with("content-type", "application/json; charset=utf-8")
    }

    pub(crate) fn ok(value: Value) -> Self {
        Self::json(StatusCode::OK, value)
    }

    pub(crate) fn text(status: StatusCode, media_type: &str, text: impl Into<String>) -> Self {
        let reply = Self {
            status,
            headers: Vec::new(),
            content: Content::Text(text.into()),
        };
        reply.with("content-type", media_type)
    }

    pub(crate) fn events(events: Vec<String>) -> Self {
        let content = Content::Events(events);
        let reply = Self {
            status: StatusCode::OK,
            headers: Vec::new(),
            content,
        };
        reply.with("content-type", "text/event-stream; charset=utf-8")
    }

    /// Add a header; one that HTTP does not allow is left out.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (name.parse(), value.parse()) {
            self.headers.push((name, value));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, body: &'static str) -> Request {
        let (parts, ()) = axum::http::Request::builder()
            .uri(uri)
            .header("host", "Run.GoogleAPIs.com:443")
            .header("authorization", "bearer  abc")
            .body(())
            .expect("a request")
            .into_parts();
        Request::new(&parts, Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn a_path_is_split_before_it_is_decoded() {
        let request = request("/api/models/a/b/revision/feature%2Fx?blobs=true", "");
        assert_eq!(
            request.segments,
            ["api", "models", "a", "b", "revision", "feature/x"]
        );
        assert!(request.flag("blobs"));
        assert_eq!(request.host, "run.googleapis.com");
        assert_eq!(request.token(), Some("abc"));
    }

    #[test]
    fn a_form_and_a_json_body_say_the_same() {
        let form = request("/", "paths=a&paths=b&expand=True").fields();
        let json = request("/", r#"{"paths":["a","b"],"expand":"True"}"#).fields();
        assert_eq!(form, json);
    }
}
