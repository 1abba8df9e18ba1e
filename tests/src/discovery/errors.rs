//! The shape of refusals, which Discovery leaves out: Google's (AIP-193) and OAuth's (RFC 6749).

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

/// What is wrong with the body of a refusal, each with its place in it.
pub(super) fn check(status: u16, body: Option<&Value>, oauth: bool) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut want = |holds: bool, at: &str, what: &str| {
        if !holds {
            found.push((at.to_owned(), what.to_owned()));
        }
    };
    let error = &body.unwrap_or(&Value::Null)["error"];
    if oauth && error.is_string() {
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
    fn places(status: u16, body: Option<&Value>, oauth: bool, expect: &[&str]) {
        let found = check(status, body, oauth);
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
        places(404, Some(&good), false, &[]);
        places(400, Some(&good), false, &["/error/code", "/error/status"]);
        places(404, None, false, &["/error"]);
        places(404, Some(&json!({"detail": "no"})), false, &["/error"]);
        let bad =
            json!({"error": {"code": 404, "message": "", "status": "NOT_FOUND", "details": [{}]}});
        places(
            404,
            Some(&bad),
            false,
            &["/error/message", "/error/details"],
        );
    }

    #[test]
    fn a_token_endpoint_may_refuse_as_oauth_does() {
        let body = json!({"error": "invalid_grant", "error_description": "expired"});
        places(400, Some(&body), true, &[]);
        places(400, Some(&body), false, &["/error"]);
    }
}
