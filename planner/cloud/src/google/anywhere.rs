//! Anywhere Cache, in the JSON API of Cloud Storage: requests and answers.
//!
//! A cache is made by a long-running operation. One that is disabled goes an hour later; users saw 62 to
//! 80 minutes. <https://cloud.google.com/storage/docs/anywhere-cache>

use serde::Deserialize;
use serde_json::json;

use crate::transport::{Api, Request, segment};

/// A bucket's cache in a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AnywhereCache {
    /// `creating`, `running`, `paused` or `disabled`.
    pub(crate) state: String,
    /// `86400s`.
    pub(crate) ttl: String,
    /// `admit-on-first-miss` or `admit-on-second-miss`.
    pub(crate) admission_policy: String,
}

/// Makes a cache; answers with an operation.
pub(crate) fn insert(bucket: &str, zone: &str, ttl_seconds: u64, policy: &str) -> Request {
    let body = json!({
        "zone": zone,
        "ttl": format!("{ttl_seconds}s"),
        "admissionPolicy": policy,
    });
    Request::post(Api::Storage, caches(bucket), body)
}

/// Reads a cache.
pub(crate) fn get(bucket: &str, zone: &str) -> Request {
    Request::get(Api::Storage, cache(bucket, zone))
}

/// Changes a cache; answers with an operation.
pub(crate) fn patch(bucket: &str, zone: &str, ttl_seconds: u64, policy: &str) -> Request {
    let body = json!({"ttl": format!("{ttl_seconds}s"), "admissionPolicy": policy});
    Request::patch(Api::Storage, cache(bucket, zone), body)
}

/// Takes a cache out of use; it goes an hour later.
pub(crate) fn disable(bucket: &str, zone: &str) -> Request {
    let path = format!("{}/disable", cache(bucket, zone));
    Request::post(Api::Storage, path, json!({})).repeatable()
}

fn caches(bucket: &str) -> String {
    format!("/storage/v1/b/{}/anywhereCaches", segment(bucket))
}

fn cache(bucket: &str, zone: &str) -> String {
    format!("{}/{}", caches(bucket), segment(zone))
}
