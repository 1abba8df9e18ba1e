//! The shape of refusals, which Discovery leaves out: Google's (AIP-193), its older one, and
//! OAuth's (RFC 6749).

use serde_json::Value;

/// The canonical codes and the HTTP status each is sent with (`google/rpc/code.proto`).
const CODES: [(&str, u16); 16] = [
    ("INVALID_ARGUMENT", 400),
    ("FAILED_PRECONDITION", 400),
    ("OUT_OF_RANGE", 400),
    ("UNAUTHENTICATED", 401),
    ("PERMISSION_DENIED", 403),
    ("NOT_FOUND", 404),
    ("ABORTED", 409),
    ("ALREADY_EXISTS", 409),
    ("RESOURCE_EXHAUSTED", 429),
    ("CANCELLED", 499),
    ("INTERNAL", 500),
    ("UNKNOWN", 500),
    ("DATA_LOSS", 500),
    ("UNIMPLEMENTED", 501),
    ("UNAVAILABLE", 503),
    ("DEADLINE_EXCEEDED", 504),
];

/// Which shape an API's refusals have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A canonical code, as AIP-193 has it.
    Status,
    /// A list of errors with a reason each
    /// (<https://cloud.google.com/storage/docs/json_api/v1/status-codes>).
    Reason,
    /// RFC 6749, or the first.
    OAuth,
}

/// What is wrong with the body of a refusal, each with its place in it.
pub(super) fn check(status: u16, body: Option<&Value>, shape: Shape) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut want = |holds: bool, at: &str, what: &str| {
        if !holds {
            found.push((at.to_owned(), what.to_owned()));
        }
    };
    let error = &body.unwrap_or(&Value::Null)["error"];
    if shape == Shape::OAuth && error.is_string() {
        return found;
    }
    want(
        error.is_object(),
        "/error",
        "an object with code, message and status belongs here",
    );
    if error.is_object() {
        want(
            error["code"] == status,
            "/error/code",
            "it repeats the HTTP status",
        );
        want(
            error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "/error/message",
            "it is a text",
        );
        if shape == Shape::Reason {
            let first = &error["errors"][0];
            for member in ["message", "domain", "reason"] {
                want(
                    first[member].as_str().is_some_and(|text| !text.is_empty()),
                    "/error/errors/0",
                    "it has a message, a domain and a reason",
                );
            }
            return found;
        }
        let code = error["status"].as_str().unwrap_or_default();
        want(
            http_status(code) == Some(status),
            "/error/status",
            "it is the canonical code of this HTTP status",
        );
        let details = error
            .get("details")
            .map(|details| details.as_array().map(Vec::as_slice));
        let typed = |details: &[Value]| details.iter().all(|detail| detail["@type"].is_string());
        want(
            details.is_none_or(|list| list.is_some_and(typed)),
            "/error/details",
            "a list of objects with @type",
        );
    }
    found
}

fn http_status(code: &str) -> Option<u16> {
    CODES
        .iter()
        .find(|(name, _)| *name == code)
        .map(|(_, status)| *status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn places(status: u16, body: Option<&Value>, shape: Shape, expect: &[&str]) {
        let found = check(status, body, shape);
        assert_eq!(
            found.iter().map(|(at, _)| at.as_str()).collect::<Vec<_>>(),
            expect,
            "{found:?}"
        );
    }

    #[test]
    fn a_refusal_has_googles_shape() {
        let good = json!({"error": {"code": 404, "message": "no", "status": "NOT_FOUND",
            "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo"}]}});
        places(404, Some(&good), Shape::Status, &[]);
        places(
            400,
            Some(&good),
            Shape::Status,
            &["/error/code", "/error/status"],
        );
        places(404, None, Shape::Status, &["/error"]);
        places(
            404,
            Some(&json!({"detail": "no"})),
            Shape::Status,
            &["/error"],
        );
        let bad =
            json!({"error": {"code": 404, "message": "", "status": "NOT_FOUND", "details": [{}]}});
        places(
            404,
            Some(&bad),
            Shape::Status,
            &["/error/message", "/error/details"],
        );
    }

    #[test]
    fn a_token_endpoint_may_refuse_as_oauth_does() {
        let body = json!({"error": "invalid_grant", "error_description": "expired"});
        places(400, Some(&body), Shape::OAuth, &[]);
        places(400, Some(&body), Shape::Status, &["/error"]);
    }

    #[test]
    fn an_older_api_gives_a_reason() {
        let good = json!({"error": {"code": 412, "message": "no",
            "errors": [{"message": "no", "domain": "global", "reason": "conditionNotMet"}]}});
        places(412, Some(&good), Shape::Reason, &[]);
        places(412, Some(&good), Shape::Status, &["/error/status"]);
        let bad = json!({"error": {"code": 412, "message": "no", "errors": []}});
        places(412, Some(&bad), Shape::Reason, &["/error/errors/0"; 3]);
    }
}
