//! `VirusTotal`: what is known of a file by its SHA-256. It knows what it was told under `/sandbox`.
//!
//! Source: `VirusTotal`'s reference of its API, version 3 (2026): Files, Errors.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::http::{Reply, Request};

/// Verdicts by SHA-256.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct VirusTotal(BTreeMap<String, Stats>);

/// How many engines say what of a file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Stats {
    malicious: u64,
    suspicious: u64,
    undetected: u64,
    harmless: u64,
    timeout: u64,
    confirmed_timeout: u64,
    failure: u64,
    type_unsupported: u64,
}

impl VirusTotal {
    /// From now on it knows these files.
    pub(crate) fn set(&mut self, files: BTreeMap<String, Stats>) {
        self.0 = files;
    }

    /// `GET /api/v3/files/{sha256}`
    pub(crate) fn answer(&self, request: &Request) -> Reply {
        if request.header("x-apikey").is_none_or(str::is_empty) {
            return error(
                StatusCode::UNAUTHORIZED,
                "AuthenticationRequiredError",
                "X-Apikey header is missing",
            );
        }
        let parts: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        let ["api", "v3", "files", sha256] = parts.as_slice() else {
            return error(
                StatusCode::NOT_FOUND,
                "NotFoundError",
                "Resource not found.",
            );
        };
        let Some(stats) = self.0.get(*sha256).filter(|_| request.is_read()) else {
            let text = format!("File \"{sha256}\" not found");
            return error(StatusCode::NOT_FOUND, "NotFoundError", &text);
        };
        Reply::ok(json!({"data": {
            "id": sha256,
            "type": "file",
            "attributes": {"sha256": sha256, "last_analysis_stats": stats},
        }}))
    }
}

/// Whether a path is one of `VirusTotal`'s.
pub(crate) fn is_path(request: &Request) -> bool {
    let start: Vec<&str> = request
        .segments
        .iter()
        .take(2)
        .map(String::as_str)
        .collect();
    start == ["api", "v3"]
}

pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Reply {
    Reply::json(status, json!({"error": {"code": code, "message": message}}))
}
