//! Objects: what they are, where a bucket keeps their generations, and reading them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::bucket::Bucket;
use super::condition::{Conditions, integer};
use super::rules::{check_key, etag, merge, storage_class};
use super::{Checked, Error, Outcome, Storage};
use crate::blob::Blob;
use crate::clock::Time;
use crate::http::{self, Reply, Request};
use crate::world::World;

/// Members that a client sets and may change later.
const PLAIN: [&str; 9] = [
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "customTime",
    "eventBasedHold",
    "metadata",
    "temporaryHold",
];

/// One generation of an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) name: String,
    pub(super) generation: i64,
    metageneration: u64,
    plain: Map<String, Value>,
    pub(super) storage_class: String,
    key: Option<String>,
    pub(super) blob: Blob,
    /// Of how many objects it was composed; nothing when it was uploaded in one.
    pub(super) components: Option<u32>,
    created: Time,
    updated: Time,
    /// When it stopped being the live generation.
    deleted: Option<Time>,
    /// Until when a soft-deleted one is kept.
    hard_delete: Option<Time>,
}

/// What an object is made of, before it has a generation.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) plain: Map<String, Value>,
    pub(super) storage_class: Option<String>,
    pub(super) key: Option<String>,
    pub(super) blob: Blob,
    pub(super) components: Option<u32>,
}

impl Object {
    pub(super) fn stamp(&self) -> (i64, u64) {
        (self.generation, self.metageneration)
    }

    pub(super) fn is_kept(&self, now: Time) -> bool {
        self.hard_delete.is_none_or(|end| now < end)
    }

    /// The members that a client sets, for a copy.
    pub(super) fn plain(&self) -> &Map<String, Value> {
        &self.plain
    }

    /// As the API shows it.
    pub(super) fn view(&self, bucket: &str, base: &str) -> Value {
        let path = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let place = format!("b/{bucket}/o/{}", path(&self.name));
        let created = self.created.rfc3339_millis();
        let mut view = json!({
            "kind": "storage#object",
            "id": format!("{bucket}/{}/{}", self.name, self.generation),
            "selfLink": format!("{base}/storage/v1/{place}"),
            "mediaLink": format!(
                "{base}/download/storage/v1/{place}?generation={}&alt=media",
                self.generation
            ),
            "name": self.name,
            "bucket": bucket,
            "generation": self.generation.to_string(),
            "metageneration": self.metageneration.to_string(),
            "storageClass": self.storage_class,
            "size": self.blob.size.to_string(),
            "crc32c": self.blob.crc32c_base64(),
            "etag": self.etag(),
            "timeCreated": created,
            "timeFinalized": created,
            "timeStorageClassUpdated": created,
            "updated": self.updated.rfc3339_millis(),
        });
        for (name, value) in &self.plain {
            view[name] = value.clone();
        }
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                view[name] = value;
            }
        };
        set("md5Hash", self.blob.md5_base64().map(Value::from));
        set("componentCount", self.components.map(Value::from));
        // The version of the key that did it; the sandbox's keys have one.
        let version = self
            .key
            .as_ref()
            .map(|key| format!("{key}/cryptoKeyVersions/1"));
        set("kmsKeyName", version.map(Value::from));
        let deleted = self.deleted.map(|time| Value::from(time.rfc3339_millis()));
        if let Some(end) = self.hard_delete {
            set("softDeleteTime", deleted);
            set("hardDeleteTime", Some(end.rfc3339_millis().into()));
        } else {
            set("timeDeleted", deleted);
        }
        view
    }

    fn etag(&self) -> String {
        etag(Some(self.generation), self.metageneration)
    }

    /// For the inventory: without times, and so without generations.
    pub(super) fn summary(&self) -> Value {
        let mut data = json!({
            "size": self.blob.size.to_string(),
            "crc32c": self.blob.crc32c_base64(),
            "storageClass": self.storage_class,
        });
        for (name, value) in &self.plain {
            data[name] = value.clone();
        }
        if let Some(key) = &self.key {
            data["kmsKeyName"] = key.as_str().into();
        }
        data
    }

    /// `crc32c=…,md5=…`, the value of `x-goog-hash`.
    pub(super) fn hashes(&self) -> String {
        let crc32c = format!("crc32c={}", self.blob.crc32c_base64());
        let md5 = self.blob.md5_base64();
        md5.map_or(crc32c.clone(), |md5| format!("{crc32c},md5={md5}"))
    }

    /// Its bytes, or the part that the request's `Range` asks for.
    pub(super) fn serve(&self, request: &Request, etag: &str) -> Result<Reply, Error> {
        if let Some(fault) = self.blob.fault() {
            return Err(Error::legacy(400, None, fault));
        }
        let plain = |name: &str| self.plain.get(name).and_then(Value::as_str);
        let encoding = plain("contentEncoding").unwrap_or("identity");
        let mut reply = http::serve(request, Arc::new(self.blob.clone()), etag)
            .with("x-goog-hash", &self.hashes())
            .with("x-goog-generation", &self.generation.to_string())
            .with("x-goog-metageneration", &self.metageneration.to_string())
            .with("x-goog-stored-content-length", &self.blob.size.to_string())
            .with("x-goog-stored-content-encoding", encoding)
            .with("x-goog-storage-class", &self.storage_class)
            .with(
                "content-type",
                plain("contentType").unwrap_or("application/octet-stream"),
            );
        for (name, header) in [
            ("cacheControl", "cache-control"),
            ("contentDisposition", "content-disposition"),
            ("contentEncoding", "content-encoding"),
            ("contentLanguage", "content-language"),
        ] {
            if let Some(value) = plain(name) {
                reply = reply.with(header, value);
            }
        }
        Ok(reply)
    }

    /// Custom metadata, name and value.
    pub(super) fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        let members = self.plain.get("metadata").and_then(Value::as_object);
        members
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
    }
}

/// The members of a body that a client may set.
pub(super) fn settable(body: &Value) -> Map<String, Value> {
    let mut plain = Map::new();
    for name in PLAIN {
        if let Some(value) = body.get(name) {
            merge(&mut plain, name, value);
        }
    }
    plain
}

/// What is against an object's name (<https://cloud.google.com/storage/docs/objects#naming>).
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let text = match name {
        "" => "Required",
        "." | ".." => "Invalid object name.",
        name if name.len() > 1024 => "The specified object name is longer than 1024 bytes.",
        name if name.contains(['\r', '\n']) || name.starts_with(".well-known/acme-challenge/") => {
            "Disallowed unicode characters present in object name."
        }
        _ => return Ok(()),
    };
    Err(Error::legacy(400, None, &format!("{text} ('{name}')")))
}

impl Bucket {
    /// The live generation, or the one that is asked for.
    pub(super) fn find(&self, name: &str, generation: Option<i64>) -> Option<&Object> {
        let live = self.objects.get(name);
        let Some(generation) = generation else {
            return live;
        };
        let mut all = live.into_iter().chain(&self.noncurrent);
        all.find(|object| object.name == name && object.generation == generation)
    }

    fn find_mut(&mut self, name: &str, generation: Option<i64>) -> Option<&mut Object> {
        let live = self.objects.get_mut(name);
        let Some(generation) = generation else {
            return live;
        };
        let mut all = live.into_iter().chain(&mut self.noncurrent);
        all.find(|object| object.name == name && object.generation == generation)
    }

    /// Put the live generation away: kept beside it, soft-deleted, or gone.
    fn retire(&mut self, name: &str, now: Time) {
        let Some(mut object) = self.objects.remove(name) else {
            return;
        };
        object.deleted = Some(now);
        if self.keeps_versions() {
            self.noncurrent.push(object);
        } else {
            self.bury(object, now);
        }
    }

    fn bury(&mut self, mut object: Object, now: Time) {
        let seconds = self.soft_delete_seconds();
        if seconds > 0 {
            object.deleted = Some(now);
            object.hard_delete = Some(now.plus(Duration::from_secs(seconds)));
            self.soft_deleted.push(object);
        }
    }

    fn remove(&mut self, name: &str, generation: Option<i64>, now: Time) {
        let live = self.objects.get(name).map(|object| object.generation);
        match generation {
            None => self.retire(name, now),
            Some(one) if live == Some(one) => {
                if let Some(object) = self.objects.remove(name) {
                    self.bury(object, now);
                }
            }
            Some(one) => {
                let is_it = |object: &Object| object.name == name && object.generation == one;
                if let Some(at) = self.noncurrent.iter().position(is_it) {
                    let object = self.noncurrent.remove(at);
                    self.bury(object, now);
                }
            }
        }
    }
}

impl Storage {
    /// Make a draft the live generation of its name, if the conditions hold; what it became.
    pub(super) fn create(
        &mut self,
        bucket: &str,
        draft: Draft,
        conditions: Conditions,
        now: Time,
    ) -> Result<&Object, Error> {
        check_name(&draft.name)?;
        check_key(draft.key.as_deref())?;
        let (class, key) = self.defaults(bucket)?;
        let class = match &draft.storage_class {
            Some(class) => storage_class(Some(class))?,
            None => class,
        };
        let generation = self.generation(now);
        let into = self.bucket_mut(bucket)?;
        conditions.allow(into.objects.get(&draft.name).map(Object::stamp))?;
        into.retire(&draft.name, now);
        let object = Object {
            name: draft.name.clone(),
            generation,
            metageneration: 1,
            plain: draft.plain,
            storage_class: class,
            key: draft.key.or(key),
            blob: draft.blob,
            components: draft.components,
            created: now,
            updated: now,
            deleted: None,
            hard_delete: None,
        };
        Ok(into
            .objects
            .entry(draft.name)
            .insert_entry(object)
            .into_mut())
    }

    /// An object that is there and whose conditions hold for a reader.
    pub(super) fn read(
        &self,
        bucket: &str,
        name: &str,
        generation: Option<i64>,
        conditions: Conditions,
    ) -> Result<&Object, Error> {
        let found = self.bucket(bucket)?.find(name, generation);
        let object = found.ok_or_else(|| missing(bucket, name))?;
        conditions.allow_read(object.stamp())?;
        Ok(object)
    }

    /// Delete a generation, or the live one.
    pub(super) fn remove(
        &mut self,
        bucket: &str,
        name: &str,
        generation: Option<i64>,
        conditions: Conditions,
        now: Time,
    ) -> Result<(), Error> {
        let place = self.bucket_mut(bucket)?;
        let found = place
            .find(name, generation)
            .ok_or_else(|| missing(bucket, name))?;
        conditions.allow(Some(found.stamp()))?;
        let held = ["temporaryHold", "eventBasedHold"];
        if held
            .iter()
            .any(|hold| found.plain.get(*hold) == Some(&Value::Bool(true)))
        {
            let text =
                format!("Object '{bucket}/{name}' is under active hold and cannot be deleted.");
            return Err(Error::legacy(403, None, &text));
        }
        place.remove(name, generation, now);
        Ok(())
    }
}

pub(super) fn missing(bucket: &str, name: &str) -> Error {
    Error::legacy(404, None, &format!("No such object: {bucket}/{name}"))
}

fn generation(checked: &Checked<'_>) -> Result<Option<i64>, Error> {
    integer("generation", checked.request().query("generation"))
}

/// `GET b/{bucket}/o/{object}`
pub(super) fn get(world: &World, checked: &Checked<'_>) -> Outcome {
    let (bucket, name) = (checked.path(0), checked.path(1));
    let generation = generation(checked)?;
    let conditions = Conditions::of(checked.request(), "")?;
    if checked.request().flag("softDeleted") {
        let Some(generation) = generation else {
            let text = "A soft-deleted object is read by its generation.";
            return Err(Error::legacy(400, Some("required"), text));
        };
        let found = buried(world.storage.bucket(bucket)?, name, generation);
        let object = found.ok_or_else(|| missing(bucket, name))?;
        conditions.allow_read(object.stamp())?;
        return Ok(object.view(bucket, checked.call.base));
    }
    let object = world.storage.read(bucket, name, generation, conditions)?;
    Ok(object.view(bucket, checked.call.base))
}

fn buried<'a>(bucket: &'a Bucket, name: &str, generation: i64) -> Option<&'a Object> {
    let mut all = bucket.soft_deleted.iter();
    all.find(|object| object.name == name && object.generation == generation)
}

/// `GET b/{bucket}/o/{object}?alt=media`
pub(super) fn media(world: &World, checked: &Checked<'_>) -> Result<Reply, Error> {
    let (bucket, name) = (checked.path(0), checked.path(1));
    let conditions = Conditions::of(checked.request(), "")?;
    let object = world
        .storage
        .read(bucket, name, generation(checked)?, conditions)?;
    let reply = object.serve(checked.request(), &object.etag())?;
    if reply.status != StatusCode::RANGE_NOT_SATISFIABLE {
        return Ok(reply);
    }
    let text = "The requested range cannot be satisfied.";
    let place = format!("bytes */{}", object.blob.size);
    Ok(Error::legacy(416, None, text)
        .legacy_reply()
        .with("content-range", &place))
}

/// `PATCH` changes what the body names, `PUT` replaces the metadata.
pub(super) fn change(world: &mut World, checked: &Checked<'_>, whole: bool) -> Outcome {
    let now = world.now();
    let (bucket, name) = (checked.path(0), checked.path(1));
    let generation = generation(checked)?;
    let conditions = Conditions::of(checked.request(), "")?;
    let found = world.storage.bucket_mut(bucket)?.find_mut(name, generation);
    let object = found.ok_or_else(|| missing(bucket, name))?;
    conditions.allow(Some(object.stamp()))?;
    if whole {
        object.plain.clear();
    }
    for name in PLAIN {
        if let Some(value) = checked.body.get(name) {
            merge(&mut object.plain, name, value);
        }
    }
    object.metageneration += 1;
    object.updated = now;
    Ok(object.view(bucket, checked.call.base))
}

/// `DELETE b/{bucket}/o/{object}`
pub(super) fn delete(world: &mut World, checked: &Checked<'_>) -> Outcome {
    let now = world.now();
    let conditions = Conditions::of(checked.request(), "")?;
    let (bucket, name) = (checked.path(0), checked.path(1));
    world
        .storage
        .remove(bucket, name, generation(checked)?, conditions, now)?;
    Ok(Value::Null)
}

/// `POST b/{bucket}/o/{object}/restore?generation=`: a soft-deleted one is live again, under a new
/// generation.
pub(super) fn restore(world: &mut World, checked: &Checked<'_>) -> Outcome {
    let now = world.now();
    let (bucket, name) = (checked.path(0), checked.path(1));
    let generation = generation(checked)?
        .ok_or_else(|| Error::legacy(400, Some("required"), "Required parameter: generation"))?;
    let conditions = Conditions::of(checked.request(), "")?;
    let found = buried(world.storage.bucket(bucket)?, name, generation).cloned();
    let object = found.ok_or_else(|| missing(bucket, name))?;
    let draft = Draft {
        name: object.name,
        plain: object.plain,
        storage_class: Some(object.storage_class),
        key: object.key,
        blob: object.blob,
        components: object.components,
    };
    let view = world
        .storage
        .create(bucket, draft, conditions, now)?
        .view(bucket, checked.call.base);
    let kept = &mut world.storage.bucket_mut(bucket)?.soft_deleted;
    kept.retain(|object| object.name != name || object.generation != generation);
    Ok(view)
}
