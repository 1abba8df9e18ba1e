//! A request as a plain value, and its answer. Made by pure functions, shown without secrets.

use std::fmt::{self, Write as _};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::endpoints::{Api, Endpoints};
use crate::Secret;

/// Largest answer read, unless a request says otherwise: far above any page or object we ask for.
const LARGEST_ANSWER: u64 = 64 << 20;

/// Whose credential a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// The one that acts: the impersonated account where one is set, a Hub token for the Hub.
    Caller,
    /// The one behind an impersonation.
    Source,
}

/// An HTTP request to one API.
#[derive(Clone)]
pub struct Request {
    pub(crate) api: Api,
    pub(crate) method: Method,
    pub(crate) credential: Credential,
    pub(crate) headers: HeaderMap,
    pub(crate) largest: u64,
    path: String,
    query: Vec<(&'static str, String)>,
    /// A part of the query that opens something to whoever has it.
    secret_query: Option<(&'static str, Secret)>,
    body: Body,
    sensitive: bool,
    repeatable: bool,
}

/// What a request carries.
#[derive(Clone)]
enum Body {
    None,
    Json(Value),
    Raw(Bytes),
}

impl Request {
    /// Reads. `path` begins with a slash; what comes from outside goes through [`path_text`]
    /// or [`segment`].
    pub fn get(api: Api, path: impl Into<String>) -> Self {
        Self::new(api, Method::GET, path.into(), None)
    }

    /// Makes or calls something. A lost answer is not sent again.
    pub fn post(api: Api, path: impl Into<String>, body: Value) -> Self {
        Self::new(api, Method::POST, path.into(), Some(body))
    }

    /// Changes something. A lost answer is not sent again: the first may have changed the etag.
    pub fn patch(api: Api, path: impl Into<String>, body: Value) -> Self {
        Self::new(api, Method::PATCH, path.into(), Some(body))
    }

    /// Puts something: [`json`](Self::json), [`raw`](Self::raw) bytes, or what
    /// [`Transport::upload`](super::Transport::upload) streams.
    pub fn put(api: Api, path: impl Into<String>) -> Self {
        Self::new(api, Method::PUT, path.into(), None)
    }

    /// Deletes.
    pub fn delete(api: Api, path: impl Into<String>) -> Self {
        Self::new(api, Method::DELETE, path.into(), None)
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Adds a query parameter that opens something to whoever has it: no log, message or `Debug` shows it.
    #[must_use]
    pub fn secret_query(mut self, name: &'static str, value: Secret) -> Self {
        self.secret_query = Some((name, value));
        self
    }

    /// Carries JSON.
    #[must_use]
    pub fn json(mut self, body: Value) -> Self {
        self.headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        self.body = Body::Json(body);
        self
    }

    /// Carries bytes of a media type in place of JSON.
    #[must_use]
    pub fn raw(mut self, media_type: &str, bytes: impl Into<Bytes>) -> Self {
        if let Ok(value) = HeaderValue::try_from(media_type) {
            self.headers.insert(header::CONTENT_TYPE, value);
        }
        self.body = Body::Raw(bytes.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Hides the bodies of request and answer from errors, logs and `Debug`.
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// Says that a POST does no harm twice (it computes a token, for instance).
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Bounds the answer's size in bytes.
    #[must_use]
    pub fn at_most(mut self, bytes: u64) -> Self {
        self.largest = bytes;
        self
    }

    /// Sends it as the credential behind an impersonation.
    #[must_use]
    pub(crate) fn with_source_credential(mut self) -> Self {
        self.credential = Credential::Source;
        self
    }

    /// Whether it may be sent again after its answer was lost.
    pub(crate) fn may_repeat(&self) -> bool {
        self.repeatable || self.method.is_idempotent()
    }

    /// Whether it changes nothing, however it ends.
    pub(crate) fn is_safe(&self) -> bool {
        self.repeatable || self.method.is_safe()
    }

    pub(crate) fn is_sensitive(&self) -> bool {
        self.sensitive
    }

    /// Path and query.
    pub(crate) fn target(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        let start = format!("{}?", self.path);
        let length = start.len();
        let mut pairs = url::form_urlencoded::Serializer::for_suffix(start, length);
        for (name, value) in &self.query {
            pairs.append_pair(name, value);
        }
        pairs.finish()
    }

    pub(crate) fn url(&self, endpoints: &Endpoints) -> String {
        let shown = self.shown_url(endpoints);
        let Some((name, value)) = &self.secret_query else {
            return shown;
        };
        let joint = if shown.contains('?') { '&' } else { '?' };
        format!("{shown}{joint}{name}={}", segment(value.expose()))
    }

    /// The URL as a log may show it.
    pub(crate) fn shown_url(&self, endpoints: &Endpoints) -> String {
        format!("{}{}", endpoints.url(self.api), self.target())
    }

    pub(crate) fn body_bytes(&self) -> Option<Bytes> {
        match &self.body {
            Body::None => None,
            Body::Json(body) => Some(Bytes::from(body.to_string())),
            Body::Raw(bytes) => Some(bytes.clone()),
        }
    }

    fn new(api: Api, method: Method, path: String, body: Option<Value>) -> Self {
        let request = Self {
            api,
            method,
            credential: Credential::Caller,
            headers: HeaderMap::new(),
            largest: LARGEST_ANSWER,
            path,
            query: Vec::new(),
            secret_query: None,
            body: Body::None,
            sensitive: false,
            repeatable: false,
        };
        match body {
            Some(body) => request.json(body),
            None => request,
        }
    }
}

/// Method, API and target on one line; the body below it, or `(hidden)`.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, self.api.name(), self.target())?;
        match &self.body {
            Body::None => Ok(()),
            _ if self.sensitive => f.write_str("\n(hidden)"),
            Body::Json(body) => write!(f, "\n{:#}", sorted(body)),
            Body::Raw(bytes) => write!(f, "\n({} bytes)", bytes.len()),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({self})")
    }
}

/// An answer with a status of success, or `304 Not Modified`.
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Response {
    /// A header's value, where it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body read as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status, self.body.len())
    }
}

/// The same value with names in order, whatever order this build of `serde_json` keeps.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            fields
                .into_iter()
                .map(|(name, value)| (name.clone(), sorted(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        plain => plain.clone(),
    }
}

/// One path segment from outside: everything but unreserved characters is percent-encoded, the
/// slash too.
#[must_use]
pub fn segment(text: &str) -> String {
    encode(text, b"")
}

/// A resource name from outside (`projects/p/secrets/s`): slashes and colons stay.
#[must_use]
pub fn path_text(text: &str) -> String {
    encode(text, b"/:@")
}

fn encode(text: &str, also_plain: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also_plain.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_shows_method_target_and_body() {
        let request =
            Request::post(Api::Run, "/v2/x", json!({"a": 1})).query("serviceId", "chat bot");
        insta::assert_snapshot!(request, @r#"
        POST run /v2/x?serviceId=chat+bot
        {
          "a": 1
        }
        "#);
        assert_eq!(
            request.url(&Endpoints::default()),
            "https://run.googleapis.com/v2/x?serviceId=chat+bot"
        );
    }

    #[test]
    fn a_sensitive_body_is_never_shown() {
        let request =
            Request::post(Api::SecretManager, "/v1/x", json!({"data": "aGYi"})).sensitive();
        assert_eq!(
            format!("{request:?}"),
            "Request(POST secret_manager /v1/x\n(hidden))"
        );
    }

    #[test]
    fn a_secret_of_the_query_is_sent_and_never_shown() {
        let request = Request::put(Api::Storage, "/upload")
            .query("name", "a b")
            .secret_query("upload_id", Secret::new("s/1"))
            .raw("application/octet-stream", "abc");
        assert_eq!(
            request.url(&Endpoints::default()),
            "https://storage.googleapis.com/upload?name=a+b&upload_id=s%2F1"
        );
        let shown = "https://storage.googleapis.com/upload?name=a+b";
        assert_eq!(request.shown_url(&Endpoints::default()), shown);
        assert_eq!(
            format!("{request:?}"),
            "Request(PUT storage /upload?name=a+b\n(3 bytes))"
        );
    }

    #[test]
    fn names_from_outside_cannot_leave_their_place() {
        assert_eq!(segment("refs/pr/7"), "refs%2Fpr%2F7");
        assert_eq!(path_text("projects/p?x#y z"), "projects/p%3Fx%23y%20z");
    }

    #[test]
    fn only_what_is_harmless_twice_is_repeatable() {
        let body = || json!({});
        assert!(Request::get(Api::Run, "/").may_repeat());
        assert!(Request::delete(Api::Run, "/").may_repeat());
        assert!(!Request::post(Api::Run, "/", body()).may_repeat());
        assert!(!Request::patch(Api::Run, "/", body()).may_repeat());
        assert!(
            Request::post(Api::Run, "/", body())
                .repeatable()
                .may_repeat()
        );
    }
}
