//! Errors in the shape of Google's APIs: `{"error": {"code", "message", "status", "details"}}`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::http::Reply;

/// A refusal, before anything was changed.
#[derive(Debug, Clone)]
pub(crate) struct Error {
    code: u16,
    status: &'static str,
    message: String,
    details: Vec<Value>,
    /// What an older API says in place of a status.
    reason: Option<&'static str>,
}

impl Error {
    fn new(code: u16, status: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            status,
            message: message.into(),
            details: Vec::new(),
            reason: None,
        }
    }

    /// An error of an older API, by its HTTP status; `reason` where the usual one will not do.
    pub(crate) fn legacy(code: u16, reason: Option<&'static str>, message: &str) -> Self {
        let mut error = Self::new(code, "", message);
        error.reason = reason;
        error
    }

    pub(crate) fn code(&self) -> StatusCode {
        StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The reason of an older API; empty where the usual one will do.
    pub(crate) fn reason(&self) -> &'static str {
        self.reason.unwrap_or_default()
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }

    /// One or more fields that are wrong, with `google.rpc.BadRequest`.
    pub(crate) fn bad_request(violations: &[Violation]) -> Self {
        let lines: Vec<&str> = violations.iter().map(|v| v.description.as_str()).collect();
        let fields = violations
            .iter()
            .map(|v| json!({"field": v.field, "description": v.description}))
            .collect::<Vec<_>>();
        let mut error = Self::invalid(lines.join("\n"));
        error.details.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": fields,
        }));
        error
    }

    /// One field whose value the service does not take.
    pub(crate) fn field(field: &str, description: impl Into<String>) -> Self {
        let description = format!("{field}: {}", description.into());
        Self::bad_request(&[Violation {
            field: field.to_owned(),
            description,
        }])
    }

    pub(crate) fn precondition(message: impl Into<String>) -> Self {
        Self::new(400, "FAILED_PRECONDITION", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "NOT_FOUND", message)
    }

    pub(crate) fn exists(message: impl Into<String>) -> Self {
        Self::new(409, "ALREADY_EXISTS", message)
    }

    /// Somebody else was faster: read again and try again.
    pub(crate) fn aborted(message: impl Into<String>) -> Self {
        Self::new(409, "ABORTED", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "INTERNAL", message)
    }

    pub(crate) fn no_route() -> Self {
        Self::not_found("The sandbox has no method at this path.")
    }

    pub(crate) fn unauthenticated() -> Self {
        let mut error = Self::new(
            401,
            "UNAUTHENTICATED",
            "Request is missing required authentication credential. Expected OAuth 2 access token, \
             login cookie or other valid authentication credential. See \
             https://developers.google.com/identity/sign-in/web/devconsole-project.",
        );
        error.details.push(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "CREDENTIALS_MISSING",
            "domain": "googleapis.com",
        }));
        error
    }

    /// The error that belongs to an HTTP status (`google/rpc/code.proto`).
    pub(crate) fn of_status(status: StatusCode, message: &str) -> Self {
        let name = match status.as_u16() {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ABORTED",
            429 => "RESOURCE_EXHAUSTED",
            499 => "CANCELLED",
            501 => "UNIMPLEMENTED",
            503 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            code if code < 500 => "UNKNOWN",
            _ => "INTERNAL",
        };
        Self::new(status.as_u16(), name, message)
    }

    /// In the shape of the APIs that are older than `google.rpc.Status`: with `errors` and a
    /// `reason`, without a status (<https://cloud.google.com/storage/docs/json_api/v1/status-codes>).
    pub(crate) fn legacy_reply(self) -> Reply {
        if self.code == 304 {
            return Reply::empty(self.code());
        }
        let usual = match self.code {
            401 => "required",
            403 => "forbidden",
            404 => "notFound",
            409 => "conflict",
            412 => "conditionNotMet",
            416 => "requestedRangeNotSatisfiable",
            429 => "rateLimitExceeded",
            501 => "notImplemented",
            500.. => "backendError",
            _ => "invalid",
        };
        let mut one = json!({
            "message": self.message,
            "domain": "global",
            "reason": self.reason.unwrap_or(usual),
        });
        let place = match self.code {
            401 => Some("Authorization"),
            412 => Some("If-Match"),
            _ => None,
        };
        if let Some(place) = place {
            one["locationType"] = "header".into();
            one["location"] = place.into();
        }
        let error = json!({"code": self.code, "message": self.message, "errors": [one]});
        Reply::json(self.code(), json!({"error": error}))
    }

    pub(crate) fn reply(self) -> Reply {
        let code = self.code();
        let mut error = json!({"code": self.code, "message": self.message, "status": self.status});
        if !self.details.is_empty() {
            error["details"] = Value::Array(self.details);
        }
        let reply = Reply::json(code, json!({"error": error}));
        if code == StatusCode::UNAUTHORIZED {
            return reply.with(
                "www-authenticate",
                "Bearer realm=\"https://accounts.google.com/\"",
            );
        }
        reply
    }
}

/// A field that is wrong (`google.rpc.BadRequest.FieldViolation`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) field: String,
    pub(crate) description: String,
}
