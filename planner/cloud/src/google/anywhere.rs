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
pub struct AnywhereCache {
    /// `us-central1-a`.
    pub zone: String,
    /// `creating`, `running`, `paused` or `disabled`.
    pub state: String,
    /// `86400s`.
    pub ttl: String,
    /// `admit-on-first-miss` or `admit-on-second-miss`.
    pub admission_policy: String,
}

/// The caches of a bucket: at most one in a zone, so one page holds them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct AnywherePage {
    /// The caches.
    pub items: Vec<AnywhereCache>,
}

/// Lists the caches of a bucket.
#[must_use]
pub fn list_caches(bucket: &str) -> Request {
    Request::get(Api::Storage, caches(bucket)).query("pageSize", "100")
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
