//! Cloud Storage: the JSON API v1 with its uploads and downloads, and the XML API for transfers.
//!
//! ```text
//! /storage/v1/…            JSON      ─┐                 ┌ bucket, cache, folder
//! /upload/storage/v1/…     contents  ─┼─ this module ───┼ object, list, compose, rewrite
//! /download/storage/v1/…   contents  ─┘                 └ upload, resumable
//! /{bucket}/{object}       XML       ─── xml, parts
//! ```
//!
//! Sources: Discovery storage.v1; Google's documentation of the two APIs (2026). Not emulated:
//! ACLs, HMAC keys and signed URLs, customer-supplied keys, gzip transcoding, lifecycle rules and
//! retention (kept and shown, not carried out), folders of hierarchical namespaces, notifications,
//! gRPC.

mod agent;
mod bucket;
mod cache;
mod compose;
mod condition;
mod fields;
mod folder;
mod intake;
mod list;
mod location;
mod object;
mod parts;
mod related;
mod resumable;
mod rewrite;
mod rules;
mod upload;
mod xml;

use std::collections::BTreeMap;

use axum::http::{Method as Verb, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::discovery::{self, Method, Route};
use super::{Error, Outcome, authorised, schema};
use crate::admin::{Refusal, body};
use crate::clock::Time;
use crate::http::{Reply, Request};
use crate::world::{Call, World};
pub(super) use agent::{Found, Need};
use bucket::Bucket;
pub(crate) use intake::{Broken, drained, receive};
use resumable::Session;
use rewrite::Rewrite;

/// All of Cloud Storage in a sandbox.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Storage {
    settings: Settings,
    /// By name, which is one name space for all projects.
    buckets: BTreeMap<String, Bucket>,
    /// Copies under way, by their token.
    rewrites: BTreeMap<String, Rewrite>,
    /// The newest generation, so that the next is larger.
    newest: i64,
    /// Resumable uploads by id. They do not outlive the process.
    #[serde(skip)]
    sessions: BTreeMap<String, Session>,
}

/// What may be set from outside.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Settings {
    /// Hash and count contents without keeping them: for measurements of many gigabytes.
    discard_content: bool,
    /// Bytes that one call of rewrite moves to another location or storage class.
    rewrite_bytes_per_call: u64,
    /// Virtual seconds that a resumable upload may take; a week, as documented.
    upload_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            discard_content: false,
            rewrite_bytes_per_call: 1 << 30,
            upload_seconds: 7 * 24 * 3_600,
        }
    }
}

/// A request that Discovery knows and whose query and body are well formed.
struct Checked<'a> {
    call: &'a Call<'a>,
    /// The variables of the path.
    path: Vec<String>,
    body: Value,
}

impl Checked<'_> {
    fn request(&self) -> &Request {
        self.call.request
    }

    fn path(&self, at: usize) -> &str {
        self.path.get(at).map(String::as_str).unwrap_or_default()
    }
}

/// Whether a path, when no host says so, is the XML API's: a bucket and an object.
pub(crate) fn is_object_path(segments: &[String]) -> bool {
    segments.len() >= 2 && rules::name_fault(&segments[0]).is_none()
}

/// Whether a request is for the XML API.
pub(crate) fn is_xml(request: &Request) -> bool {
    plain(&request.segments).is_none()
}

/// The name in the log: the XML API and the protocol inside a resumable upload are not Discovery's.
pub(crate) fn log_name(request: &Request) -> &'static str {
    if is_xml(request) {
        "storage.xml"
    } else if request.query("upload_id").is_some() {
        "storage.session"
    } else {
        "storage"
    }
}

/// The path without what says "upload" or "download"; nothing for the XML API.
fn plain(segments: &[String]) -> Option<&[String]> {
    let parts: Vec<&str> = segments.iter().map(String::as_str).take(4).collect();
    match parts.as_slice() {
        ["storage", "v1", ..] => Some(segments),
        ["upload" | "download", "storage", "v1", ..] => Some(&segments[1..]),
        ["resumable", "upload", "storage", "v1"] => Some(&segments[2..]),
        _ => None,
    }
}

/// The Discovery method of a request; nothing for the protocol inside a resumable upload.
pub(super) fn method_id(request: &Request) -> Option<String> {
    if request.query("upload_id").is_some() {
        return None;
    }
    let document = discovery::document("storage.v1")?;
    let route = document.route(&request.method, plain(&request.segments)?)?;
    Some(route.method.id.clone())
}

/// An error in the shape of the API that the request is for.
pub(crate) fn refuse(request: &Request, error: Error) -> Reply {
    if is_xml(request) {
        xml::refuse(request, &error)
    } else {
        error.legacy_reply()
    }
}

/// Answer a request to Cloud Storage.
pub(super) fn answer(world: &mut World, call: &Call<'_>) -> Reply {
    let now = world.now();
    for (name, bucket) in &mut world.storage.buckets {
        bucket.settle(name, now);
    }
    let outcome = if is_xml(call.request) {
        authorised(world, call).and_then(|()| xml::answer(world, call))
    } else if call.request.query("upload_id").is_some() {
        // The address of a session is its own credential.
        resumable::answer(world, call)
    } else {
        json_api(world, call)
    };
    outcome.unwrap_or_else(|error| refuse(call.request, error))
}

fn json_api(world: &mut World, call: &Call<'_>) -> Result<Reply, Error> {
    let request = call.request;
    let document = discovery::document("storage.v1").ok_or_else(Error::no_route)?;
    let route = plain(&request.segments).and_then(|path| document.route(&request.method, path));
    let Route { method, path } = route.ok_or_else(|| {
        Error::legacy(
            404,
            None,
            "The sandbox has no method of Cloud Storage at this path.",
        )
    })?;
    authorised(world, call)?;
    schema::check_query(method, &request.query)?;
    let body = if request.method == Verb::GET || request.method == Verb::DELETE {
        Value::Null
    } else {
        schema::check_body(document, method, &request.body)?
    };
    let checked = Checked { call, path, body };
    if method.short() == "objects.insert" {
        return upload::insert(world, &checked, method);
    }
    if method.short() == "objects.get" && request.query("alt") == Some("media") {
        return object::media(world, &checked);
    }
    let answer = route_json(world, method, &checked)?;
    shaped(method, answer, request)
}

fn route_json(world: &mut World, method: &Method, checked: &Checked<'_>) -> Outcome {
    match method.short() {
        "buckets.insert" => bucket::insert(world, checked),
        "buckets.get" => bucket::get(world, checked),
        "buckets.list" => bucket::list(world, checked),
        "buckets.patch" => bucket::change(world, checked, false),
        "buckets.update" => bucket::change(world, checked, true),
        "buckets.delete" => bucket::delete(world, checked),
        "buckets.getStorageLayout" => bucket::layout(world, checked),
        "buckets.getIamPolicy" => bucket::policy(world, checked),
        "buckets.setIamPolicy" => bucket::set_policy(world, checked),
        "buckets.testIamPermissions" => bucket::permissions(world, checked),
        "objects.get" => object::get(world, checked),
        "objects.list" => list::list(world, checked),
        "objects.patch" => object::change(world, checked, false),
        "objects.update" => object::change(world, checked, true),
        "objects.delete" => object::delete(world, checked),
        "objects.restore" => object::restore(world, checked),
        "objects.compose" => compose::compose(world, checked),
        "objects.rewrite" => rewrite::rewrite(world, checked),
        "objects.copy" => rewrite::copy(world, checked),
        "operations.get" | "operations.list" => cache::operations(world, checked),
        name if name.starts_with("managedFolders.") => folder::answer(world, name, checked),
        name if name.starts_with("anywhereCaches.") => cache::answer(world, name, checked),
        _ => Err(Error::no_route()),
    }
}

/// An answer that keeps to its schema, cut down to the `fields` that were asked for.
fn shaped(method: &'static Method, answer: Value, request: &Request) -> Result<Reply, Error> {
    if method.response.is_none() {
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    }
    let document = discovery::document("storage.v1").ok_or_else(Error::no_route)?;
    schema::check_answer(document, method, &answer)?;
    let answer = match request.query("fields") {
        Some(fields) => fields::select(answer, fields)?,
        None => answer,
    };
    Ok(Reply::ok(answer))
}

impl Storage {
    /// A bucket that the caller may use.
    fn bucket(&self, name: &str) -> Result<&Bucket, Error> {
        let bucket = self.buckets.get(name).ok_or_else(no_bucket)?;
        bucket.may_use(name)?;
        Ok(bucket)
    }

    fn bucket_mut(&mut self, name: &str) -> Result<&mut Bucket, Error> {
        let bucket = self.buckets.get_mut(name).ok_or_else(no_bucket)?;
        bucket.may_use(name)?;
        Ok(bucket)
    }

    /// The number of a new generation: the time in microseconds, or one more than the last.
    fn generation(&mut self, now: Time) -> i64 {
        self.newest = now.micros().max(self.newest + 1);
        self.newest
    }

    /// Buckets, objects, caches and unfinished uploads of the XML API (which are paid for),
    /// without times and generations.
    pub(crate) fn inventory(&mut self, now: Time) -> Vec<Value> {
        let mut assets = Vec::new();
        for (name, bucket) in &mut self.buckets {
            bucket.settle(name, now);
            assets.extend(bucket.inventory(name));
        }
        assets
    }
}

fn no_bucket() -> Error {
    Error::legacy(404, None, "The specified bucket does not exist.")
}

/// Requests under `/sandbox/storage`.
pub(crate) fn administer(
    world: &mut World,
    verb: &str,
    path: &[&str],
    request: &Request,
) -> Result<Value, Refusal> {
    let now = world.now();
    match (verb, path) {
        ("GET", []) => {}
        ("PUT", []) => world.storage.settings = body(request)?,
        ("PUT", ["foreign", name]) => {
            let bucket = Bucket::foreign(now);
            world.storage.buckets.insert((*name).to_owned(), bucket);
        }
        _ => return Err(Refusal::NoRoute),
    }
    Ok(json!(world.storage.settings))
}
