//! Running a transfer: what there is to do, then object by object, a few at once.
//!
//! ```text
//! URL list ──┐                        ┌ skipped: the sink has it
//!            ├─► objects ─► each one ─┼ copied
//! bucket ────┘   (paused, cancelled)  └ failed: counted, with a sample
//! ```

use std::sync::Arc;

use axum::http::StatusCode;
use futures::{StreamExt as _, stream};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::super::error::Error;
use super::super::storage::{Found, Need};
use super::fetch::{self, Head};
use super::list::{self, Entry};
use super::operation::{Amount, Failure, Operation, Status};
use super::{Order, spec};
use crate::blob::Blob;
use crate::clock::Time;
use crate::http::Source as _;
use crate::server::Shared;
use crate::world::World;

/// Objects that are moved at once.
const AT_ONCE: usize = 4;
/// Largest URL list in bytes.
const LIST: u64 = 64 << 20;

/// An operation that is to be run.
pub(crate) struct Start {
    pub(super) operation: String,
    /// Which start of an operation this is, in this process.
    pub(super) id: u64,
    /// Gone: stop and say nothing.
    pub(super) order: watch::Receiver<Order>,
}

/// What is asked for.
struct Plan {
    spec: Value,
    account: String,
}

/// When an object that the sink has is written again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overwrite {
    Different,
    Never,
    Always,
}

impl Plan {
    fn text(&self, place: &str, member: &str) -> &str {
        self.spec[place][member].as_str().unwrap_or_default()
    }

    fn overwrite(&self) -> Overwrite {
        let options = &self.spec["transferOptions"];
        match options["overwriteWhen"].as_str() {
            Some("NEVER") => Overwrite::Never,
            Some("ALWAYS") => Overwrite::Always,
            Some("DIFFERENT") => Overwrite::Different,
            _ if options["overwriteObjectsAlreadyExistingInSink"] == true => Overwrite::Always,
            _ => Overwrite::Different,
        }
    }

    /// The name that an object gets in the sink.
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.text("gcsDataSink", "path"))
    }

    /// Whether the prefixes of a job let an object of a bucket through.
    fn wants(&self, name: &str) -> bool {
        let conditions = &self.spec["objectConditions"];
        let begins = |list: &str| {
            let prefixes = conditions[list].as_array()?.iter();
            let mut prefixes = prefixes.filter_map(Value::as_str);
            Some(prefixes.any(|prefix| name.starts_with(prefix)))
        };
        begins("includePrefixes") != Some(false) && begins("excludePrefixes") != Some(true)
    }
}

/// What became of an object.
enum Done {
    Skipped(u64),
    Copied(u64),
    Moved(u64),
    Failed(u64, Failure),
}

impl Start {
    /// Transfer everything, or until it is cancelled.
    pub(crate) async fn run(self, shared: Arc<Shared>) {
        let plan = self.with(&shared, |world, _| {
            let operation = world.transfer.operations.get(&self.operation)?;
            Some(Plan {
                spec: operation.spec.clone(),
                account: operation.account.clone(),
            })
        });
        let Some(Some(plan)) = plan else {
            return;
        };
        let mut order = self.order.clone();
        let aborted = tokio::select! {
            () = self.transfer(&shared, &plan) => false,
            _ = order.wait_for(|order| *order == Order::Cancel) => true,
        };
        self.with(&shared, |world, now| {
            if let Some(operation) = world.transfer.operations.get_mut(&self.operation) {
                operation.end(aborted, now);
            }
            world.transfer.live.remove(&self.operation);
        });
    }

    async fn transfer(&self, shared: &Shared, plan: &Plan) {
        let allowed = self.with(shared, |world, _| {
            spec::check_access(&plan.spec, &plan.account, &world.storage)
        });
        let sink = format!("gs://{}", plan.text("gcsDataSink", "bucketName"));
        if let Some(Err(error)) = allowed {
            return self.fail(shared, refused(&sink, &error));
        }
        if plan.spec["gcsDataSource"].is_object() {
            let (bucket, path) = (
                plan.text("gcsDataSource", "bucketName"),
                plan.text("gcsDataSource", "path"),
            );
            let found = self.with(shared, |world, _| world.storage.found(bucket, path));
            let found = found.into_iter().flatten();
            let found = found.filter(|found| plan.wants(&found.name[path.len()..]));
            let each = |found: Found| async move {
                self.turn().await;
                self.object(shared, plan, &found);
            };
            stream::iter(found).for_each_concurrent(AT_ONCE, each).await;
            return;
        }
        let entries = match self.list(shared, plan).await {
            Ok(entries) => entries,
            Err(failure) => return self.fail(shared, failure),
        };
        let each = |entry: Entry| async move {
            self.turn().await;
            self.url(shared, plan, &entry).await;
        };
        stream::iter(entries)
            .for_each_concurrent(AT_ONCE, each)
            .await;
    }

    /// Until the transfer is not paused.
    async fn turn(&self) {
        // Gone is seen by whoever runs this.
        drop(
            self.order
                .clone()
                .wait_for(|order| *order == Order::Go)
                .await,
        );
    }

    /// The entries of the URL list.
    async fn list(&self, shared: &Shared, plan: &Plan) -> Result<Vec<Entry>, Failure> {
        let url = plan.text("httpDataSource", "listUrl");
        let failure = |code, details: String| Failure {
            code,
            url: shown(url),
            details,
        };
        let blob = if let Some(place) = url.strip_prefix("gs://") {
            let (bucket, name) = place.split_once('/').unwrap_or((place, ""));
            let found = self.with(shared, |world, _| {
                let needs = [Need::Read];
                let lacks = world.storage.lacks(bucket, &plan.account, &needs);
                if lacks.is_some_and(|lacks| !lacks.is_empty()) {
                    let text = format!(
                        "Service account {} does not have required permission {}.",
                        plan.account,
                        Need::Read.permission()
                    );
                    return Err(failure("PERMISSION_DENIED", text));
                }
                let found = world.storage.find(bucket, name);
                let missing = || failure("NOT_FOUND", "There is no such object.".to_owned());
                Ok(found.ok_or_else(missing)?.blob)
            });
            found.unwrap_or_else(|| Err(failure("ABORTED", String::new())))?
        } else {
            let head = fetch::open(url, false).await?;
            let strong = head
                .etag
                .as_ref()
                .is_some_and(|etag| !etag.starts_with("W/"));
            if !strong {
                let text = "The server returned no strong ETag for the URL list.".to_owned();
                return Err(failure("FAILED_PRECONDITION", text));
            }
            fetch::read(url, head, true).await?.blob
        };
        if let Some(fault) = blob.fault() {
            return Err(failure("DATA_LOSS", fault.to_owned()));
        }
        if blob.size > LIST {
            let text = format!("The URL list has more than {LIST} bytes.");
            return Err(failure("INVALID_ARGUMENT", text));
        }
        let text = String::from_utf8(blob.read(0..blob.size).to_vec());
        let text = text.map_err(|_| "The URL list is not UTF-8.".to_owned());
        text.and_then(|text| list::parse(&text))
            .map_err(|details| failure("INVALID_ARGUMENT", details))
    }

    /// Transfer what lies at a URL.
    async fn url(&self, shared: &Shared, plan: &Plan, entry: &Entry) {
        let bucket = plan.text("gcsDataSink", "bucketName");
        let name = plan.name(&entry.name());
        let there = self.with(shared, |world, _| world.storage.find(bucket, &name));
        let Some(there) = there else {
            return;
        };
        let overwrite = plan.overwrite();
        let listed = entry.size.unwrap_or(0);
        if let Some(there) = &there {
            let same = entry.md5.is_some()
                && entry.md5 == there.blob.md5
                && entry.size.is_none_or(|size| size == there.blob.size);
            if overwrite == Overwrite::Never || (same && overwrite == Overwrite::Different) {
                return self.done(shared, Done::Skipped(there.blob.size));
            }
        }
        let head = match fetch::open(entry.url.as_str(), true).await {
            Ok(head) => head,
            Err(failure) => return self.done(shared, Done::Failed(listed, failure)),
        };
        let (size, etag) = (head.size, head.etag.clone());
        let key = format!("{bucket}/{name}");
        // Without an MD5 in the list, what tells is the entity tag that it had the last time.
        if let (Some(there), Some(etag), None, Overwrite::Different) =
            (&there, &etag, entry.md5, overwrite)
        {
            let known = self.with(shared, |world, _| {
                let known = world.transfer.etags.get(&key)?;
                Some(*known == (there.generation, etag.clone()))
            });
            if known == Some(Some(true)) {
                return self.done(shared, Done::Skipped(size));
            }
        }
        let keep = shared.world().storage.keeps();
        let (blob, plain) = match content(entry, head, keep).await {
            Ok(content) => content,
            Err(failure) => return self.done(shared, Done::Failed(size, failure)),
        };
        let put = self.with(shared, |world, now| {
            let generation = world.storage.put(bucket, &name, (blob, plain), now)?;
            if let Some(etag) = etag {
                world.transfer.etags.insert(key, (generation, etag));
            }
            Ok(())
        });
        match put {
            Some(Ok(())) => self.done(shared, Done::Copied(size)),
            Some(Err(error)) => {
                let failure = refused(&format!("gs://{bucket}/{name}"), &error);
                self.done(shared, Done::Failed(size, failure));
            }
            None => {}
        }
    }

    /// Copy an object of a bucket, and take it away there where that is asked for.
    fn object(&self, shared: &Shared, plan: &Plan, found: &Found) {
        let from = plan.text("gcsDataSource", "bucketName");
        let to = plan.text("gcsDataSink", "bucketName");
        let path = plan.text("gcsDataSource", "path");
        let name = plan.name(&found.name[path.len()..]);
        let size = found.blob.size;
        let moves = plan.spec["transferOptions"]["deleteObjectsFromSourceAfterTransfer"] == true;
        let overwrite = plan.overwrite();
        let done = self.with(shared, |world, now| {
            if let Some(there) = world.storage.find(to, &name) {
                let same = (there.blob.size, there.blob.crc32c) == (size, found.blob.crc32c);
                if overwrite == Overwrite::Never || (same && overwrite == Overwrite::Different) {
                    return Done::Skipped(size);
                }
            }
            let content = (found.blob.clone(), found.plain.clone());
            if let Err(error) = world.storage.put(to, &name, content, now) {
                return Done::Failed(size, refused(&format!("gs://{to}/{name}"), &error));
            }
            if !moves {
                return Done::Copied(size);
            }
            match world.storage.delete(from, found, now) {
                Ok(()) => Done::Moved(size),
                Err(error) => Done::Failed(
                    size,
                    refused(&format!("gs://{from}/{}", found.name), &error),
                ),
            }
        });
        if let Some(done) = done {
            self.done(shared, done);
        }
    }

    /// Count what became of an object.
    fn done(&self, shared: &Shared, done: Done) {
        let one = |bytes| Amount { objects: 1, bytes };
        self.on(shared, |operation| match done {
            Done::Skipped(bytes) => operation.count("FromSourceSkippedBySync", one(bytes)),
            Done::Copied(bytes) => {
                operation.count("FoundFromSource", one(bytes));
                operation.count("CopiedToSink", one(bytes));
            }
            Done::Moved(bytes) => {
                operation.count("FoundFromSource", one(bytes));
                operation.count("CopiedToSink", one(bytes));
                operation.count("DeletedFromSource", one(bytes));
            }
            Done::Failed(bytes, failure) => {
                operation.count("FoundFromSource", one(bytes));
                operation.count("FromSourceFailed", one(bytes));
                operation.fail(failure);
            }
        });
    }

    /// Nothing can be transferred.
    fn fail(&self, shared: &Shared, failure: Failure) {
        self.on(shared, |operation| operation.fail(failure));
    }

    fn on(&self, shared: &Shared, change: impl FnOnce(&mut Operation)) {
        self.with(shared, |world, _| {
            if let Some(operation) = world.transfer.operations.get_mut(&self.operation) {
                change(operation);
            }
        });
    }

    /// Change the world, if the operation is still this start's.
    fn with<T>(&self, shared: &Shared, change: impl FnOnce(&mut World, Time) -> T) -> Option<T> {
        let mut world = shared.world();
        let live = world.transfer.live.get(&self.operation)?;
        if live.id != self.id {
            return None;
        }
        world.version += 1;
        let now = world.clock.tick();
        Some(change(&mut world, now))
    }
}

/// The content of a URL, held to what the list says of it.
async fn content(
    entry: &Entry,
    head: Head,
    keep: bool,
) -> Result<(Blob, Map<String, Value>), Failure> {
    let failure = |code, details: String| Failure {
        code,
        url: shown(entry.url.as_str()),
        details,
    };
    let size = head.size;
    if let Some(listed) = entry.size.filter(|listed| *listed != size) {
        let text = format!("The URL list says {listed} bytes, the server {size}.");
        return Err(failure("FAILED_PRECONDITION", text));
    }
    let fetched = fetch::read(entry.url.as_str(), head, keep).await?;
    if fetched.blob.size != size {
        let text = format!("The server sent {} bytes of {size}.", fetched.blob.size);
        return Err(failure("UNAVAILABLE", text));
    }
    if entry.md5.is_some() && entry.md5 != fetched.blob.md5 {
        let text = "The MD5 of the URL list is not that of the transferred bytes.";
        return Err(failure("DATA_LOSS", text.to_owned()));
    }
    let mut plain = Map::new();
    if let Some(media_type) = fetched.media_type {
        plain.insert("contentType".to_owned(), json!(media_type));
    }
    Ok((fetched.blob, plain))
}

/// A URL without its query, which may hold a signature.
pub(super) fn shown(url: &str) -> String {
    url.split('?').next().unwrap_or_default().to_owned()
}

/// A refusal of Cloud Storage as an error of a transfer.
fn refused(url: &str, error: &Error) -> Failure {
    let code = match error.code() {
        StatusCode::NOT_FOUND => "NOT_FOUND",
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
            "PERMISSION_DENIED"
        }
        StatusCode::PRECONDITION_FAILED => "FAILED_PRECONDITION",
        _ => "UNKNOWN",
    };
    Failure {
        code,
        url: url.to_owned(),
        details: error.message().to_owned(),
    }
}

/// The orders that an operation takes now.
pub(super) fn may(operation: &Operation, order: Order) -> bool {
    match order {
        Order::Pause => operation.status == Status::Running,
        Order::Go => operation.status == Status::Paused,
        Order::Cancel => !operation.is_over(),
    }
}
