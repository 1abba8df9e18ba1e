//! The device's Cloud Storage: objects by name, small ones with their bytes, large ones without.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::device::{Answer, Device};
use crate::link::{Head, Link};

/// What lies in the bucket, whatever it is called.
#[derive(Default)]
pub(crate) struct Bucket {
    objects: Mutex<BTreeMap<String, Object>>,
    uploads: Mutex<HashMap<String, Upload>>,
    counter: AtomicU64,
}

#[derive(Clone)]
struct Object {
    described: Value,
    /// Of a small one.
    bytes: Vec<u8>,
}

/// An upload that is open.
struct Upload {
    name: String,
    description: Value,
    /// CRC32C so far, where it is looked at.
    crc32c: u32,
    length: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn answer(device: &Device, link: &mut Link, head: &Head) -> io::Result<Answer> {
    let uploads = head.path.starts_with("/upload/");
    if let (true, Some(id)) = (uploads, head.asked("upload_id")) {
        return device.bucket.put(device, link, head, id);
    }
    let body = link.body(head.length())?;
    let Some((_, path)) = head.path.split_once("/storage/v1/b/") else {
        return Ok(Answer::nothing());
    };
    let (bucket, rest) = path.split_once('/').unwrap_or((path, ""));
    let name = rest.strip_prefix("o/").unwrap_or_default();
    Ok(match (head.method.as_str(), rest) {
        ("POST", "o") if head.asked("uploadType") == Some("resumable") => {
            device.bucket.open(device, bucket, head, &body)
        }
        ("POST", "o") => device.bucket.insert(head, &body),
        ("GET", "o") => device.bucket.list(head),
        ("GET", "") => Answer::json(&json!({
            "kind": "storage#bucket", "id": bucket, "name": bucket,
            "location": "US-CENTRAL1", "storageClass": "STANDARD", "metageneration": "1",
        })),
        ("GET", _) => device.bucket.get(head, name),
        ("DELETE", _) => match lock(&device.bucket.objects).remove(name) {
            Some(_) => Answer::of(204, "application/json", ""),
            None => Answer::nothing(),
        },
        _ => Answer::nothing(),
    })
}

impl Bucket {
    fn list(&self, head: &Head) -> Answer {
        let prefix = head.asked("prefix").unwrap_or_default();
        let objects = lock(&self.objects);
        // Nobody who is measured has anything to find by a glob.
        let none = head.asked("matchGlob").is_some();
        let found = objects
            .iter()
            .filter(|(name, _)| !none && name.starts_with(prefix));
        let items: Vec<&Value> = found.map(|(_, object)| &object.described).collect();
        Answer::json(&json!({"kind": "storage#objects", "items": items}))
    }

    fn get(&self, head: &Head, name: &str) -> Answer {
        let Some(object) = lock(&self.objects).get(name).cloned() else {
            return Answer::nothing();
        };
        if head.asked("alt") != Some("media") {
            return Answer::json(&object.described);
        }
        let generation = object.described["generation"].as_str().unwrap_or_default();
        Answer::of(200, "application/octet-stream", object.bytes)
            .with("x-goog-generation", generation)
            .with("x-goog-metageneration", "1")
    }

    /// A small object: a body of two parts, its description and its bytes.
    fn insert(&self, head: &Head, body: &[u8]) -> Answer {
        let kind = head.header("content-type").unwrap_or_default();
        let boundary = kind
            .split_once("boundary=")
            .map_or("", |(_, rest)| rest)
            .trim_matches('"');
        let parts = parts(body, boundary);
        let [description, bytes] = parts.as_slice() else {
            return Answer::of(400, "text/plain", "two parts are expected");
        };
        let description: Value = serde_json::from_slice(description).unwrap_or_default();
        let name = description["name"]
            .as_str()
            .or(head.asked("name"))
            .unwrap_or_default();
        let crc32c = crc32c::crc32c(bytes);
        self.keep(
            name,
            &description,
            bytes.len() as u64,
            crc32c,
            bytes.clone(),
        )
    }

    fn open(&self, device: &Device, bucket: &str, head: &Head, body: &[u8]) -> Answer {
        let description: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = description["name"]
            .as_str()
            .or(head.asked("name"))
            .unwrap_or_default();
        let id = self.counter.fetch_add(1, Ordering::Relaxed).to_string();
        let upload = Upload {
            name: name.to_owned(),
            description: description.clone(),
            crc32c: 0,
            length: 0,
        };
        lock(&self.uploads).insert(id.clone(), upload);
        let place = format!(
            "{}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={id}",
            device.url
        );
        Answer::of(200, "text/plain", "").with("Location", place)
    }

    /// Some bytes of an upload, or the question how many it has.
    fn put(&self, device: &Device, link: &mut Link, head: &Head, id: &str) -> io::Result<Answer> {
        let length = head.length();
        let mut crc32c = lock(&self.uploads)
            .get(id)
            .map_or(0, |upload| upload.crc32c);
        if device.look {
            link.look(length, |bytes| {
                crc32c = crc32c::crc32c_append(crc32c, bytes);
            })?;
        } else {
            link.swallow(length)?;
        }
        let mut uploads = lock(&self.uploads);
        let Some(upload) = uploads.get_mut(id) else {
            return Ok(Answer::nothing());
        };
        upload.crc32c = crc32c;
        upload.length += length;
        let total = head
            .header("content-range")
            .and_then(|range| range.rsplit('/').next());
        if total
            .and_then(|total| total.parse().ok())
            .unwrap_or(upload.length)
            != upload.length
            || total == Some("*")
        {
            return Ok(unfinished(head, upload.length));
        }
        let Some(upload) = uploads.remove(id) else {
            return Ok(Answer::nothing());
        };
        let known = device
            .samples
            .iter()
            .find(|sample| upload.name.ends_with(&sample.path));
        if let (false, Some(sample)) = (device.look, known) {
            crc32c = sample.crc32c;
        }
        let stated = head
            .header("x-goog-hash")
            .and_then(|hash| hash.split_once("crc32c="));
        if stated.is_some_and(|(_, stated)| !stated.starts_with(&written(crc32c))) {
            return Ok(Answer::of(400, "text/plain", "another CRC32C"));
        }
        Ok(self.keep(
            &upload.name,
            &upload.description,
            upload.length,
            crc32c,
            Vec::new(),
        ))
    }

    fn keep(
        &self,
        name: &str,
        description: &Value,
        size: u64,
        crc32c: u32,
        bytes: Vec<u8>,
    ) -> Answer {
        let generation = 1_700_000_000_000_000 + self.counter.fetch_add(1, Ordering::Relaxed);
        let described = json!({
            "kind": "storage#object",
            "id": name,
            "name": name,
            "bucket": "bench",
            "generation": generation.to_string(),
            "metageneration": "1",
            "size": size.to_string(),
            "crc32c": written(crc32c),
            "contentType": "application/octet-stream",
            "storageClass": "STANDARD",
            "metadata": description["metadata"],
            "timeCreated": "2025-01-01T00:00:00Z",
            "updated": "2025-01-01T00:00:00Z",
        });
        let object = Object {
            described: described.clone(),
            bytes,
        };
        lock(&self.objects).insert(name.to_owned(), object);
        Answer::json(&described)
    }
}

/// As Cloud Storage writes it.
fn written(crc32c: u32) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(crc32c.to_be_bytes())
}

/// How far an upload is. Google's Go client, which rclone has, wants no 308.
fn unfinished(head: &Head, length: u64) -> Answer {
    let answer = if head.header("x-guploader-no-308").is_some() {
        Answer::of(200, "text/plain", "").with("X-HTTP-Status-Code-Override", "308")
    } else {
        Answer::of(308, "text/plain", "")
    };
    match length.checked_sub(1) {
        Some(last) => answer.with("Range", format!("bytes=0-{last}")),
        None => answer,
    }
}

/// The bodies of the parts of a multipart body.
fn parts(body: &[u8], boundary: &str) -> Vec<Vec<u8>> {
    let find = |place: usize, what: &[u8]| {
        let found = body[place..]
            .windows(what.len())
            .position(|window| window == what);
        found.map(|found| place + found)
    };
    let mark = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut place = find(0, mark.as_bytes());
    while let Some(from) = place {
        let next = find(from + mark.len(), mark.as_bytes());
        let first = find(from, b"\r\n\r\n").map(|found| found + 4);
        if let (Some(first), Some(next)) = (first, next)
            && first < next
        {
            parts.push(body[first..next - 2].to_vec());
        }
        place = next;
    }
    parts
}
