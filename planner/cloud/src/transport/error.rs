//! What went wrong with a request, in the words of the API, and whether it can have had an effect.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::endpoints::Api;
use super::request::Request;
use super::retry;

/// Longest error text kept from an answer that is not in a known shape, in characters.
const LONGEST_RAW_TEXT: usize = 300;

/// Headers in which Google and the Hub name a request, best first.
const REQUEST_ID_HEADERS: [&str; 3] =
    ["x-goog-request-id", "x-request-id", "x-cloud-trace-context"];

/// Whether a request that failed can have changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Certainly not: it was refused, never left, or only reads.
    None,
    /// Nobody knows: look before trying again.
    Unknown,
}

/// A request that did not succeed.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// The API.
    pub api: Api,
    /// Method and path: `POST /v2/projects/…`. Without the query.
    pub call: String,
    /// HTTP status; `None` where no answer came.
    pub status: Option<StatusCode>,
    /// Canonical code: Google's `status` word, or the one that fits the HTTP status.
    pub code: String,
    /// The API's message, or what happened on the way.
    pub message: String,
    /// Google's `ErrorInfo.reason` (`SERVICE_DISABLED`), or the Hub's `X-Error-Code`.
    pub reason: Option<String>,
    /// Google's `ErrorInfo.metadata`: which permission, service, quota.
    pub metadata: serde_json::Map<String, Value>,
    /// The id support asks for.
    pub request_id: Option<String>,
    /// Whether it can have changed something.
    pub effect: Effect,
    /// Whether the same request may succeed later.
    pub transient: bool,
    /// How long the API asks to wait.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// An error that arose before anything was sent, or outside a request.
    pub(crate) fn local(request: &Request, code: &str, message: impl Into<String>) -> Self {
        Self {
            api: request.api,
            call: call(request),
            status: None,
            code: code.to_owned(),
            message: message.into(),
            reason: None,
            metadata: serde_json::Map::new(),
            request_id: None,
            effect: Effect::None,
            transient: false,
            retry_after: None,
        }
    }

    /// No answer came. `sent` says whether the request may have reached the server.
    pub(crate) fn lost(request: &Request, sent: bool, timed_out: bool, message: String) -> Self {
        let code = if timed_out {
            "DEADLINE_EXCEEDED"
        } else {
            "UNAVAILABLE"
        };
        let effect = if sent && !request.is_safe() {
            Effect::Unknown
        } else {
            Effect::None
        };
        Self {
            effect,
            transient: true,
            ..Self::local(request, code, message)
        }
    }

    /// An answer that is not a success.
    pub(crate) fn refused(
        request: &Request,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Self {
        let google = Google::parse(body);
        let text = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let reason = google.reason.or_else(|| text("x-error-code"));
        let message = google
            .message
            .or_else(|| text("x-error-message"))
            .unwrap_or_else(|| raw_text(status, request, body));
        // An etag that moved on is no matter of time: read again, then write again.
        let transient = status == StatusCode::TOO_MANY_REQUESTS
            || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED);
        let unknown = status.is_server_error() && !request.is_safe();
        Self {
            status: Some(status),
            code: google.code.unwrap_or_else(|| code_of(status).to_owned()),
            reason,
            metadata: google.metadata,
            request_id: REQUEST_ID_HEADERS.iter().find_map(|name| text(name)),
            effect: if unknown {
                Effect::Unknown
            } else {
                Effect::None
            },
            transient,
            retry_after: retry::asked_wait(headers).or(google.retry_delay),
            ..Self::local(request, "", message)
        }
    }

    /// An answer of success whose body is not what the API promises.
    pub(crate) fn malformed(
        request: &Request,
        status: StatusCode,
        error: &serde_json::Error,
    ) -> Self {
        let effect = if request.is_safe() {
            Effect::None
        } else {
            Effect::Unknown
        };
        let message = format!("the answer is not the JSON that was expected: {error}");
        Self {
            status: Some(status),
            effect,
            ..Self::local(request, "DATA_LOSS", message)
        }
    }

    /// Whether the API says that there is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status == Some(StatusCode::NOT_FOUND)
    }

    /// Whether the object changed since it was read (a stale etag): read again, then write again.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self.code.as_str(), "ABORTED")
            || self.status == Some(StatusCode::PRECONDITION_FAILED)
    }

    /// Whether an object of that name exists already.
    #[must_use]
    pub fn already_exists(&self) -> bool {
        self.code == "ALREADY_EXISTS"
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} ({}",
            self.api.title(),
            self.message.trim_end_matches('.'),
            self.code
        )?;
        if let Some(reason) = &self.reason {
            write!(f, ", {reason}")?;
        }
        if let Some(status) = self.status {
            write!(f, ", HTTP {}", status.as_u16())?;
        }
        write!(f, "; {}", self.call)?;
        if let Some(id) = &self.request_id {
            write!(f, "; request {id}")?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for ApiError {}

/// What Google's error body says, as far as it has the shape of `google.rpc.Status`.
#[derive(Default)]
struct Google {
    code: Option<String>,
    message: Option<String>,
    reason: Option<String>,
    metadata: serde_json::Map<String, Value>,
    retry_delay: Option<Duration>,
}

impl Google {
    fn parse(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Body {
            error: Value,
        }
        let Ok(Body { error }) = serde_json::from_slice::<Body>(body) else {
            return Self::default();
        };
        // The Hub and the OAuth endpoints answer `{"error": "text"}`.
        if let Some(text) = error.as_str() {
            return Self {
                message: Some(text.to_owned()),
                ..Self::default()
            };
        }
        let word =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let mut found = Self {
            code: word(&error, "status"),
            message: word(&error, "message").filter(|text| !text.is_empty()),
            ..Self::default()
        };
        for detail in error
            .get("details")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let kind = detail
                .get("@type")
                .and_then(Value::as_str)
                .unwrap_or_default();
            match kind.rsplit('.').next().unwrap_or_default() {
                "ErrorInfo" => {
                    found.reason = word(detail, "reason");
                    if let Some(Value::Object(metadata)) = detail.get("metadata") {
                        found.metadata.clone_from(metadata);
                    }
                }
                "RetryInfo" => {
                    found.retry_delay = word(detail, "retryDelay").and_then(|text| seconds(&text));
                }
                "BadRequest" => found.add_violations(detail),
                _ => {}
            }
        }
        found
    }

    /// The fields that a `BadRequest` blames, where the message does not name them itself.
    fn add_violations(&mut self, detail: &Value) {
        let message = self.message.get_or_insert_default();
        for violation in detail
            .get("fieldViolations")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let text = |key: &str| {
                violation
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            if !message.contains(text("description")) {
                *message = format!("{message}; {}: {}", text("field"), text("description"));
            }
        }
    }
}

/// `1.5s`, as JSON writes a `google.protobuf.Duration`.
fn seconds(text: &str) -> Option<Duration> {
    let number: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(number).ok()
}

fn call(request: &Request) -> String {
    let target = request.target();
    let path = target.split('?').next().unwrap_or_default();
    format!("{} {path}", request.method)
}

fn raw_text(status: StatusCode, request: &Request, body: &[u8]) -> String {
    let reason = status.canonical_reason().unwrap_or("no reason given");
    let body = String::from_utf8_lossy(body);
    let body = body.trim();
    if body.is_empty() || request.is_sensitive() || body.starts_with('<') {
        return reason.to_owned();
    }
    let start: String = body.chars().take(LONGEST_RAW_TEXT).collect();
    format!("{reason}: {start}")
}

/// The canonical code of an HTTP status, as `google.rpc.Code` maps them.
fn code_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        412 => "FAILED_PRECONDITION",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(
        request: &Request,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &Value,
    ) -> ApiError {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a header value"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        ApiError::refused(request, status, &map, body.to_string().as_bytes())
    }

    fn create() -> Request {
        Request::post(Api::Run, "/v2/projects/p/locations/r/services", json!({}))
            .query("serviceId", "chat")
    }

    #[test]
    fn a_google_error_keeps_code_reason_and_request_id() {
        let body = json!({"error": {
            "code": 403, "status": "PERMISSION_DENIED", "message": "Cloud Run Admin API has not been used.",
            "details": [{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED",
                "metadata": {"service": "run.googleapis.com"}
            }]
        }});
        let error = refused(&create(), 403, &[("x-goog-request-id", "r-1")], &body);
        assert_eq!(error.effect, Effect::None);
        assert!(!error.transient);
        assert_eq!(error.metadata["service"], "run.googleapis.com");
        insta::assert_snapshot!(error, @"Cloud Run: Cloud Run Admin API has not been used (PERMISSION_DENIED, SERVICE_DISABLED, HTTP 403; POST /v2/projects/p/locations/r/services; request r-1)");
    }

    #[test]
    fn a_server_error_leaves_open_whether_a_write_took_effect() {
        assert_eq!(
            refused(&create(), 503, &[], &json!({})).effect,
            Effect::Unknown
        );
        let read = Request::get(Api::Run, "/v2/x");
        let error = refused(&read, 503, &[], &json!({}));
        assert_eq!(error.effect, Effect::None);
        assert!(error.transient);
    }

    #[test]
    fn a_lost_write_is_unknown_only_once_it_was_sent() {
        let lost = |sent| ApiError::lost(&create(), sent, false, "connection reset".to_owned());
        assert_eq!(lost(true).effect, Effect::Unknown);
        assert_eq!(lost(false).effect, Effect::None);
    }

    #[test]
    fn a_bad_request_names_the_field_once() {
        let body = json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "Invalid value",
            "details": [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [
                {"field": "template.containers[0].image", "description": "required"}]}]}});
        let error = refused(&create(), 400, &[], &body);
        assert_eq!(
            error.message,
            "Invalid value; template.containers[0].image: required"
        );
    }

    #[test]
    fn retry_info_and_hub_headers_are_read() {
        let body = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slow down",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}]}});
        assert_eq!(
            refused(&create(), 429, &[], &body).retry_after,
            Some(Duration::from_millis(1500))
        );

        let hub = Request::get(Api::Hub, "/api/models/a/b");
        let error = refused(
            &hub,
            403,
            &[("x-error-code", "GatedRepo")],
            &json!({"error": "Access is restricted"}),
        );
        assert_eq!(error.reason.as_deref(), Some("GatedRepo"));
        assert_eq!(error.message, "Access is restricted");
    }

    #[test]
    fn a_page_of_html_is_not_repeated_to_the_user() {
        let error = ApiError::refused(
            &create(),
            StatusCode::BAD_GATEWAY,
            &HeaderMap::new(),
            b"<html>oops</html>",
        );
        assert_eq!(error.message, "Bad Gateway");
    }
}
