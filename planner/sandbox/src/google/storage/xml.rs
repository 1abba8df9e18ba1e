//! The XML API, as far as clients use it to move contents: one object, whole or in parts.
//!
//!   GET | HEAD | PUT | DELETE  /{bucket}/{object}      POST ?uploads, ?uploadId …  ─► parts
//!
//! The bucket may be the host's first name: `models.storage.googleapis.com`.
//! Source: <https://cloud.google.com/storage/docs/xml-api/reference-methods>

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::Error;
use super::condition::{Conditions, integer};
use super::object::{Draft, Object};
use super::parts;
use super::upload::Hashes;
use crate::http::{Reply, Request};
use crate::ids;
use crate::world::{Call, World};

/// What a header says of an object, by its name in the JSON API.
const HEADERS: [(&str, &str); 5] = [
    ("content-type", "contentType"),
    ("cache-control", "cacheControl"),
    ("content-disposition", "contentDisposition"),
    ("content-encoding", "contentEncoding"),
    ("content-language", "contentLanguage"),
];
const CUSTOM: &str = "x-goog-meta-";

/// Bucket and object of a request.
fn place(request: &Request) -> Result<(String, String), Error> {
    let host = request.host.strip_suffix(".storage.googleapis.com");
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let (bucket, object) = match (host, segments.as_slice()) {
        (Some(bucket), object) => (bucket, object),
        (None, [bucket, object @ ..]) => (*bucket, object),
        (None, []) => return Err(Error::no_route()),
    };
    let mut name = object.join("/");
    // An empty last segment is part of the name.
    if request.path.ends_with('/') && !name.is_empty() {
        name.push('/');
    }
    Ok((bucket.to_owned(), name))
}

/// Answer a request to the XML API.
pub(super) fn answer(world: &mut World, call: &Call<'_>) -> Result<Reply, Error> {
    let request = call.request;
    let (bucket, object) = place(request)?;
    let upload = request.query("uploadId");
    world.storage.bucket(&bucket)?;
    match (request.method.as_str(), upload) {
        ("POST", None) if request.query("uploads").is_some() => {
            parts::start(world, call, &bucket, &object)
        }
        ("POST", Some(id)) => parts::complete(world, call, (&bucket, &object, id)),
        ("PUT", Some(id)) => parts::put(world, request, (&bucket, &object, id)),
        ("GET", Some(id)) => parts::list(world, (&bucket, &object, id)),
        ("DELETE", Some(id)) => parts::abort(world, (&bucket, &object, id)),
        ("GET" | "HEAD", None) if !object.is_empty() => get(world, request, &bucket, &object),
        ("PUT", None) if !object.is_empty() => put(world, request, &bucket, &object),
        ("DELETE", None) if !object.is_empty() => {
            let now = world.now();
            let generation = integer("generation", request.query("generation"))?;
            let conditions = Conditions::of_headers(request)?;
            world
                .storage
                .remove(&bucket, &object, generation, conditions, now)?;
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        }
        _ => {
            let text = "The sandbox has no such method of the XML API.";
            Err(Error::legacy(405, Some("MethodNotAllowed"), text))
        }
    }
}

fn get(world: &World, request: &Request, bucket: &str, object: &str) -> Result<Reply, Error> {
    let generation = integer("generation", request.query("generation"))?;
    let conditions = Conditions::of_headers(request)?;
    let found = world.storage.read(bucket, object, generation, conditions)?;
    let mut reply = found.serve(request, &etag(found))?;
    for (name, value) in found.metadata() {
        reply = reply.with(&format!("{CUSTOM}{name}"), value);
    }
    Ok(reply)
}

fn put(world: &mut World, request: &Request, bucket: &str, object: &str) -> Result<Reply, Error> {
    let now = world.now();
    let received = request.received.as_ref().ok_or_else(Error::no_route)?;
    Hashes::of_headers(request)?.check(&received.blob)?;
    let draft = Draft {
        name: object.to_owned(),
        plain: metadata(request),
        storage_class: request.header("x-goog-storage-class").map(str::to_owned),
        key: request
            .header("x-goog-encryption-kms-key-name")
            .map(str::to_owned),
        blob: received.blob.clone(),
        components: None,
    };
    let conditions = Conditions::of_headers(request)?;
    let made = world.storage.create(bucket, draft, conditions, now)?;
    Ok(Reply::empty(StatusCode::OK)
        .with("etag", &etag(made))
        .with("x-goog-generation", &made.generation.to_string())
        .with("x-goog-metageneration", "1")
        .with("x-goog-hash", &made.hashes())
        .with("x-goog-stored-content-length", &made.blob.size.to_string())
        .with("x-goog-stored-content-encoding", "identity")
        .with("content-length", "0"))
}

/// The entity tag of the XML API: the MD5 in hexadecimal, or for want of one the JSON API's.
pub(super) fn etag(object: &Object) -> String {
    let tag = object.blob.md5.map(|md5| ids::hex(&md5));
    let (generation, metageneration) = object.stamp();
    let tag = tag.unwrap_or_else(|| super::rules::etag(Some(generation), metageneration));
    format!("\"{tag}\"")
}

/// The metadata that headers give an object.
pub(super) fn metadata(request: &Request) -> Map<String, Value> {
    let mut plain = Map::new();
    for (header, name) in HEADERS {
        if let Some(value) = request.header(header) {
            plain.insert(name.to_owned(), value.into());
        }
    }
    let custom: Map<String, Value> = request
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix(CUSTOM)?;
            Some((name.to_owned(), value.to_str().ok()?.into()))
        })
        .collect();
    if !custom.is_empty() {
        plain.insert("metadata".to_owned(), custom.into());
    }
    plain
}

/// An error in XML, with a code in place of a reason.
pub(super) fn refuse(request: &Request, error: &Error) -> Reply {
    let status = error.code();
    if status == StatusCode::NOT_MODIFIED || request.method == axum::http::Method::HEAD {
        return Reply::empty(status);
    }
    let bucket = error.message().contains("bucket");
    let code = match status.as_u16() {
        // The XML API's own codes are in capitals; the JSON API's reasons are not.
        _ if error.reason().starts_with(char::is_uppercase) => error.reason(),
        401 => "AuthenticationRequired",
        403 => "AccessDenied",
        404 if bucket => "NoSuchBucket",
        404 => "NoSuchKey",
        412 => "PreconditionFailed",
        429 => "SlowDown",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        400 if error.message().starts_with("Provided") => "BadDigest",
        _ => "InvalidArgument",
    };
    let text = format!(
        "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{}</Message></Error>",
        escaped(error.message())
    );
    Reply::text(status, "application/xml; charset=UTF-8", text)
}

/// A text as XML has it.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
