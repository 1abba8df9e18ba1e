//! Cloud Storage, JSON API v1: requests and answers of objects and uploads.
//!
//! ```text
//!   small   insert_object   one request: description and bytes, checked against their CRC32C
//!   large   open_upload ─► put_chunk … ─► put_chunk with x-goog-hash: the object is there, or nothing
//! ```
//!
//! Every write says which content it expects to replace (`ifGenerationMatch`; 0: none), so that two runs
//! never overwrite one another's. Source: <https://cloud.google.com/storage/docs/json_api/v1>.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, header};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::Secret;
use crate::transport::{Api, Request, Response, segment};

/// A chunk of an upload that is not its last is a whole number of these.
/// <https://cloud.google.com/storage/docs/performing-resumable-uploads#chunked-upload>
pub const CHUNK_UNIT: u64 = 256 << 10;

/// Largest small object that is read into memory: a manifest of a hundred thousand files.
const LARGEST_DOCUMENT: u64 = 64 << 20;

/// What is read of an object.
const OBJECT_FIELDS: &str = "name,generation,size,crc32c,metadata,updated,storageClass";

/// An object, without its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Object {
    /// Full name.
    pub name: String,
    /// Which content of that name.
    #[serde(deserialize_with = "number")]
    pub generation: i64,
    /// Bytes.
    #[serde(deserialize_with = "number")]
    pub size: u64,
    /// CRC32C: Base64 of four bytes, the highest first.
    pub crc32c: String,
    /// What its writer noted.
    pub metadata: BTreeMap<String, String>,
    /// When it or its metadata last changed (RFC 3339).
    pub updated: String,
    /// `STANDARD`, `NEARLINE`, …
    pub storage_class: String,
}

/// One page of a listing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectPage {
    /// Objects in the order of their names.
    pub items: Vec<Object>,
    /// Where the next page begins; empty: there is none.
    pub next_page_token: String,
}

/// Answer to [`rewrite`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rewrite {
    /// Whether all bytes are copied.
    pub done: bool,
    /// How to go on, where they are not.
    pub rewrite_token: Option<String>,
    /// The copy.
    pub resource: Option<Object>,
}

/// How an object that is to be is described.
#[derive(Debug, Clone, Copy)]
pub struct Description<'a> {
    /// Bucket.
    pub bucket: &'a str,
    /// Full name.
    pub name: &'a str,
    /// What its writer notes.
    pub metadata: &'a BTreeMap<String, String>,
    /// Storage class; none: the bucket's.
    pub storage_class: Option<&'a str>,
}

impl Description<'_> {
    fn body(&self) -> Value {
        let mut body = json!({
            "name": self.name,
            "metadata": self.metadata,
            "contentType": content_type(self.name),
        });
        if let Some(class) = self.storage_class {
            body["storageClass"] = json!(class);
        }
        body
    }
}

/// A name and the generation that is meant.
#[derive(Debug, Clone, Copy)]
pub struct Exact<'a> {
    /// Bucket.
    pub bucket: &'a str,
    /// Full name.
    pub name: &'a str,
    /// Which content of that name.
    pub generation: i64,
}

/// Lists objects: those under a prefix, by pages of a thousand.
#[must_use]
pub fn list_objects(bucket: &str, prefix: &str, page_token: &str) -> Request {
    list(bucket, page_token).query("prefix", prefix)
}

/// Lists objects whose names match a glob (`**` crosses slashes).
#[must_use]
pub fn list_matching(bucket: &str, glob: &str, page_token: &str) -> Request {
    list(bucket, page_token).query("matchGlob", glob)
}

/// Reads an object's description.
#[must_use]
pub fn get_object(bucket: &str, name: &str) -> Request {
    Request::get(Api::Storage, object_path(bucket, name)).query("fields", OBJECT_FIELDS)
}

/// Reads a small object's bytes.
#[must_use]
pub fn read_object(bucket: &str, name: &str) -> Request {
    Request::get(Api::Storage, object_path(bucket, name))
        .query("alt", "media")
        .at_most(LARGEST_DOCUMENT)
}

/// Reads an object's bytes from an offset to its end, if it is still that content.
#[must_use]
pub fn read_object_from(object: Exact<'_>, offset: u64) -> Request {
    let range = HeaderValue::try_from(format!("bytes={offset}-"));
    Request::get(Api::Storage, object_path(object.bucket, object.name))
        .query("alt", "media")
        .query("generation", object.generation.to_string())
        .header(header::RANGE, range.expect("digits are a header value"))
}

/// Makes a small object in one request, in place of `expected` (0: where there is none).
#[must_use]
pub fn insert_object(
    description: &Description<'_>,
    crc32c: &str,
    bytes: &[u8],
    expected: i64,
) -> Request {
    const BOUNDARY: &str = "openmodel-b6f1d0c2a94e";
    let mut described = description.body();
    described["crc32c"] = json!(crc32c);
    let kind = content_type(description.name);
    let mut body = Vec::with_capacity(bytes.len() + 1024);
    body.extend_from_slice(
        format!(
            "--{BOUNDARY}\r\nContent-Type: application/json\r\n\r\n{described}\r\n--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n"
        )
        .as_bytes(),
    );
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    let media_type = format!("multipart/related; boundary={BOUNDARY}");
    upload(Request::post(
        Api::Storage,
        upload_path(description.bucket),
        Value::Null,
    ))
    .raw(&media_type, body)
    .query("uploadType", "multipart")
    .query("ifGenerationMatch", expected.to_string())
    .query("fields", OBJECT_FIELDS)
    // What was made by a request whose answer was lost is no longer "none": the next is refused.
    .repeatable()
}

/// Opens an upload of so many bytes, where there is no object of that name yet. The answer's `Location`
/// holds the [id](upload_id).
#[must_use]
pub fn open_upload(description: &Description<'_>, size: u64) -> Request {
    let length = HeaderValue::from(size);
    upload(Request::post(
        Api::Storage,
        upload_path(description.bucket),
        description.body(),
    ))
    .query("uploadType", "resumable")
    .query("name", description.name)
    .query("ifGenerationMatch", "0")
    .header(HeaderName::from_static("x-upload-content-length"), length)
    // An upload that is opened and never used costs nothing and is forgotten after a week.
    .repeatable()
}

/// The id of an upload that was opened: whoever has it can write to it.
#[must_use]
pub fn upload_id(opened: &Response) -> Option<Secret> {
    let location = url::Url::parse(opened.header("location")?).ok()?;
    let id = location
        .query_pairs()
        .find(|(name, _)| name == "upload_id")?;
    Some(Secret::new(id.1))
}

/// Puts bytes into an upload: `length` of them from `offset`, of `total`. The last carries the CRC32C of
/// the whole, and Cloud Storage makes the object only if it is that of what it has.
#[must_use]
pub fn put_chunk(
    upload: Upload<'_>,
    offset: u64,
    length: u64,
    total: u64,
    crc32c: Option<&str>,
) -> Request {
    let range = if length == 0 {
        format!("bytes */{total}")
    } else {
        format!("bytes {offset}-{}/{total}", offset + length - 1)
    };
    let request = upload.put(&range);
    let hash = crc32c.and_then(|crc32c| HeaderValue::try_from(format!("crc32c={crc32c}")).ok());
    match hash {
        Some(hash) => request.header(HeaderName::from_static("x-goog-hash"), hash),
        None => request,
    }
}

/// Asks how far an upload of so many bytes is.
#[must_use]
pub fn upload_status(upload: Upload<'_>, total: u64) -> Request {
    upload.put(&format!("bytes */{total}"))
}

/// Gives an upload up.
#[must_use]
pub fn cancel_upload(upload: Upload<'_>) -> Request {
    Request::delete(Api::Storage, upload_path(upload.bucket))
        .query("uploadType", "resumable")
        .query("name", upload.name)
        .secret_query("upload_id", upload.id.clone())
}

/// How many bytes an upload has, by an answer of `308`: `Range: bytes=0-42`.
#[must_use]
pub fn persisted(answer: &Response) -> u64 {
    let last = answer
        .header("range")
        .and_then(|range| range.rsplit('-').next())
        .and_then(|last| last.parse::<u64>().ok());
    last.map_or(0, |last| last + 1)
}

/// An upload that is open.
#[derive(Debug, Clone, Copy)]
pub struct Upload<'a> {
    /// Bucket.
    pub bucket: &'a str,
    /// Full name of the object it will be.
    pub name: &'a str,
    /// Its id.
    pub id: &'a Secret,
}

impl Upload<'_> {
    fn put(self, range: &str) -> Request {
        let range = HeaderValue::try_from(range).expect("digits are a header value");
        Request::put(Api::Storage, upload_path(self.bucket))
            .query("uploadType", "resumable")
            .query("name", self.name)
            .secret_query("upload_id", self.id.clone())
            .header(header::CONTENT_RANGE, range)
    }
}

/// Copies an object inside Cloud Storage, where there is none of that name yet; large copies between
/// places take several calls, each with the token of the one before.
#[must_use]
pub fn rewrite(from: Exact<'_>, to: &Description<'_>, token: Option<&str>) -> Request {
    let path = format!(
        "{}/rewriteTo/b/{}/o/{}",
        object_path(from.bucket, from.name),
        segment(to.bucket),
        segment(to.name)
    );
    // The description is the copy's: its name stands in the path.
    let mut body = to.body();
    if let Some(body) = body.as_object_mut() {
        body.remove("name");
    }
    let request = Request::post(Api::Storage, path, body)
        .query("sourceGeneration", from.generation.to_string())
        .query("ifGenerationMatch", "0")
        .repeatable();
    match token {
        Some(token) => request.query("rewriteToken", token),
        None => request,
    }
}

/// Sets what an object's writer notes, if it is still that content.
#[must_use]
pub fn patch_metadata(object: Exact<'_>, metadata: &BTreeMap<String, String>) -> Request {
    Request::patch(
        Api::Storage,
        object_path(object.bucket, object.name),
        json!({"metadata": metadata}),
    )
    .query("ifGenerationMatch", object.generation.to_string())
    .query("fields", OBJECT_FIELDS)
    .repeatable()
}

/// Deletes an object, if it is still that content.
#[must_use]
pub fn delete_object(object: Exact<'_>) -> Request {
    Request::delete(Api::Storage, object_path(object.bucket, object.name))
        .query("ifGenerationMatch", object.generation.to_string())
}

fn list(bucket: &str, page_token: &str) -> Request {
    let path = format!("/storage/v1/b/{}/o", segment(bucket));
    let request = Request::get(Api::Storage, path)
        .query("maxResults", "1000")
        .query("fields", format!("nextPageToken,items({OBJECT_FIELDS})"));
    if page_token.is_empty() {
        request
    } else {
        request.query("pageToken", page_token)
    }
}

fn object_path(bucket: &str, name: &str) -> String {
    format!("/storage/v1/b/{}/o/{}", segment(bucket), segment(name))
}

fn upload_path(bucket: &str) -> String {
    format!("/upload/storage/v1/b/{}/o", segment(bucket))
}

/// Uploads say what they are: without it the bytes of a JSON file would be shown as a download.
fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("json") => "application/json",
        Some("md" | "txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn upload(request: Request) -> Request {
    request.at_most(1 << 20)
}

/// A number as Google's JSON writes it: in a text.
fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr + Deserialize<'de>,
    T::Err: std::fmt::Display,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Text(String),
        Number(T),
    }
    match Either::deserialize(deserializer)? {
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
        Either::Number(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Endpoints;

    fn shown(request: &Request) -> String {
        let headers: Vec<String> = request
            .headers
            .iter()
            .filter(|(name, _)| *name != header::CONTENT_TYPE)
            .map(|(name, value)| format!("\n{name}: {}", value.to_str().unwrap_or("?")))
            .collect();
        format!("{request}{}", headers.concat())
    }

    #[test]
    fn an_upload_expects_that_there_is_no_object_and_hides_its_id() {
        let metadata = BTreeMap::from([("openmodel-identity".to_owned(), "sha256:ab".to_owned())]);
        let description = Description {
            bucket: "acme",
            name: "models/a b/x.safetensors",
            metadata: &metadata,
            storage_class: Some("STANDARD"),
        };
        let id = Secret::new("s3cret");
        let upload = Upload {
            bucket: "acme",
            name: description.name,
            id: &id,
        };
        let last = put_chunk(upload, 262_144, 10, 262_154, Some("AAAAAA=="));
        insta::assert_snapshot!(
            [shown(&open_upload(&description, 262_154)), shown(&last), shown(&upload_status(upload, 262_154))].join("\n\n"),
            @r#"
        POST storage /upload/storage/v1/b/acme/o?uploadType=resumable&name=models%2Fa+b%2Fx.safetensors&ifGenerationMatch=0
        {
          "contentType": "application/octet-stream",
          "metadata": {
            "openmodel-identity": "sha256:ab"
          },
          "name": "models/a b/x.safetensors",
          "storageClass": "STANDARD"
        }
        x-upload-content-length: 262154

        PUT storage /upload/storage/v1/b/acme/o?uploadType=resumable&name=models%2Fa+b%2Fx.safetensors
        content-range: bytes 262144-262153/262154
        x-goog-hash: crc32c=AAAAAA==

        PUT storage /upload/storage/v1/b/acme/o?uploadType=resumable&name=models%2Fa+b%2Fx.safetensors
        content-range: bytes */262154
        "#
        );
        assert!(last.url(&Endpoints::default()).contains("upload_id=s3cret"));
    }

    #[test]
    fn a_small_object_is_one_request() {
        let description = Description {
            bucket: "acme",
            name: "config.json",
            metadata: &BTreeMap::new(),
            storage_class: None,
        };
        let request = insert_object(&description, "yZRlqg==", b"{}", 0);
        let body = request.body_bytes().expect("a body");
        insta::assert_snapshot!(
            format!("{request}\n{}", String::from_utf8_lossy(&body)),
            @r#"
        POST storage /upload/storage/v1/b/acme/o?uploadType=multipart&ifGenerationMatch=0&fields=name%2Cgeneration%2Csize%2Ccrc32c%2Cmetadata%2Cupdated%2CstorageClass
        (243 bytes)
        --openmodel-b6f1d0c2a94e
        Content-Type: application/json

        {"contentType":"application/json","crc32c":"yZRlqg==","metadata":{},"name":"config.json"}
        --openmodel-b6f1d0c2a94e
        Content-Type: application/json

        {}
        --openmodel-b6f1d0c2a94e--
        "#
        );
    }

    #[test]
    fn a_copy_names_the_content_it_means() {
        let from = Exact {
            bucket: "acme",
            name: "a/x",
            generation: 7,
        };
        let to = Description {
            bucket: "acme-eu",
            name: "b/x",
            metadata: &BTreeMap::new(),
            storage_class: None,
        };
        insta::assert_snapshot!(
            [rewrite(from, &to, Some("t")).to_string(), delete_object(from).to_string()].join("\n"),
            @r#"
        POST storage /storage/v1/b/acme/o/a%2Fx/rewriteTo/b/acme-eu/o/b%2Fx?sourceGeneration=7&ifGenerationMatch=0&rewriteToken=t
        {
          "contentType": "application/octet-stream",
          "metadata": {}
        }
        DELETE storage /storage/v1/b/acme/o/a%2Fx?ifGenerationMatch=7
        "#
        );
    }

    #[test]
    fn numbers_are_read_from_texts() {
        let object: Object =
            serde_json::from_value(json!({"name": "x", "generation": "7", "size": "12"}))
                .expect("an object");
        assert_eq!((object.generation, object.size), (7, 12));
    }
}
