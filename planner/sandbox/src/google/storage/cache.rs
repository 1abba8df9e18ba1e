//! Anywhere Cache: a cache of a bucket in a zone, made and changed by long-running operations.
//!
//! ```text
//! insert ─LRO─► running ◄─resume── paused
//!                  └──disable──► disabled ──an hour──► gone
//! ```
//!
//! Source: <https://cloud.google.com/storage/docs/anywhere-cache>; the hour from the page of
//! `AnywhereCaches: disable` (2025-09-04). Users report 62 to 80 minutes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::bucket::Bucket;
use super::{Checked, Error, Outcome, location};
use crate::clock::Time;
use crate::faults::OperationPlan;
use crate::world::World;

/// Between "disable" and the cache's end.
const GRACE: Duration = Duration::from_hours(1);
/// Time to live of an entry, in seconds: the default, and what is allowed.
const TTL: u64 = 86_400;
const TTLS: std::ops::RangeInclusive<u64> = 3_600..=604_800;
const POLICIES: [&str; 2] = ["admit-on-first-miss", "admit-on-second-miss"];

/// One cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Cache {
    ttl: u64,
    policy: String,
    ingest_on_write: bool,
    state: State,
    created: Time,
    updated: Time,
    /// When a disabled one goes.
    ends: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Creating,
    Running,
    Paused,
    Disabled,
}

/// An operation on a cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Operation {
    id: String,
    zone: String,
    /// `CreateAnywhereCacheMetadata` or the one of an update.
    metadata: String,
    started: Time,
    ends: Time,
    failure: Option<OperationPlan>,
    change: Change,
    /// Base URL, for the view of the cache in the answer.
    base: String,
    /// The cache as it was when the operation ended.
    result: Option<Value>,
}

/// What a body says of a cache.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Change {
    ttl: Option<u64>,
    policy: Option<String>,
    ingest_on_write: Option<bool>,
}

impl Change {
    fn of(body: &Value) -> Result<Self, Error> {
        let ttl = body["ttl"].as_str().map(|text| {
            let seconds = text
                .strip_suffix('s')
                .and_then(|number| number.parse::<u64>().ok());
            seconds
                .filter(|seconds| TTLS.contains(seconds))
                .ok_or_else(|| {
                    let text = format!(
                        "Invalid ttl {text}: from {}s to {}s.",
                        TTLS.start(),
                        TTLS.end()
                    );
                    Error::legacy(400, None, &text)
                })
        });
        let policy = body["admissionPolicy"].as_str().map(str::to_owned);
        if let Some(other) = policy
            .as_deref()
            .filter(|policy| !POLICIES.contains(policy))
        {
            let text = format!(
                "Invalid admission policy {other}: one of {}.",
                POLICIES.join(", ")
            );
            return Err(Error::legacy(400, None, &text));
        }
        Ok(Self {
            ttl: ttl.transpose()?,
            policy,
            ingest_on_write: body["ingestOnWrite"].as_bool(),
        })
    }
}

impl Cache {
    fn apply(&mut self, change: &Change, now: Time) {
        self.ttl = change.ttl.unwrap_or(self.ttl);
        self.policy = change.policy.clone().unwrap_or_else(|| self.policy.clone());
        self.ingest_on_write = change.ingest_on_write.unwrap_or(self.ingest_on_write);
        self.updated = now;
    }

    fn view(&self, bucket: &str, zone: &str, pending: bool, base: &str) -> Value {
        let state = match self.state {
            State::Creating => "creating",
            State::Running => "running",
            State::Paused => "paused",
            State::Disabled => "disabled",
        };
        json!({
            "kind": "storage#anywhereCache",
            "id": format!("{bucket}/{zone}"),
            "anywhereCacheId": zone,
            "selfLink": format!("{base}/storage/v1/b/{bucket}/anywhereCaches/{zone}"),
            "bucket": bucket,
            "zone": zone,
            "ttl": format!("{}s", self.ttl),
            "admissionPolicy": self.policy,
            "ingestOnWrite": self.ingest_on_write,
            "state": state,
            "createTime": self.created.rfc3339_millis(),
            "updateTime": self.updated.rfc3339_millis(),
            "pendingUpdate": pending,
        })
    }

    pub(super) fn summary(&self) -> Value {
        json!({
            "ttl": format!("{}s", self.ttl),
            "admissionPolicy": self.policy,
            "state": format!("{:?}", self.state).to_lowercase(),
        })
    }
}

impl Operation {
    fn view(&self, bucket: &str) -> Value {
        let done = self.result.is_some();
        let mut view = json!({
            "kind": "storage#operation",
            "name": format!("projects/_/buckets/{bucket}/operations/{}", self.id),
            "selfLink": format!("{}/storage/v1/b/{bucket}/operations/{}", self.base, self.id),
            "metadata": {
                "@type": format!("type.googleapis.com/google.storage.control.v2.{}", self.metadata),
                "commonMetadata": {
                    "createTime": self.started.rfc3339_millis(),
                    "type": if self.metadata.starts_with("Create") { "create-anywhere-cache" } else { "update-anywhere-cache" },
                },
                "anywhereCacheId": self.zone,
                "zone": self.zone,
            },
            "done": done,
        });
        if let Some(failure) = self.failure.as_ref().filter(|_| done) {
            view["error"] = json!({"code": failure.code, "message": failure.message});
        } else if let Some(result) = &self.result {
            view["response"] = result.clone();
            view["response"]["@type"] =
                "type.googleapis.com/google.storage.control.v2.AnywhereCache".into();
        }
        view
    }
}

impl Bucket {
    /// End the operations whose time has come, and drop the caches whose hour is over.
    pub(super) fn settle_caches(&mut self, name: &str, now: Time) {
        for operation in &mut self.operations {
            if operation.result.is_some() || operation.ends > now {
                continue;
            }
            let zone = &operation.zone;
            let failed = operation.failure.is_some();
            if let Some(cache) = self.caches.get_mut(zone) {
                match (cache.state, failed) {
                    (State::Creating, true) => drop(self.caches.remove(zone)),
                    (State::Creating, false) => cache.state = State::Running,
                    (_, false) => cache.apply(&operation.change, operation.ends),
                    (_, true) => {}
                }
            }
            let view = self
                .caches
                .get(zone)
                .map(|cache| cache.view(name, zone, false, &operation.base));
            operation.result = Some(view.unwrap_or_else(|| json!({})));
        }
        self.caches
            .retain(|_, cache| cache.ends.is_none_or(|end| now < end));
    }

    fn pending(&self, zone: &str) -> bool {
        let mut open = self
            .operations
            .iter()
            .filter(|operation| operation.result.is_none());
        open.any(|operation| operation.zone == zone)
    }

    fn cache_view(&self, bucket: &str, zone: &str, base: &str) -> Outcome {
        let cache = self.caches.get(zone).ok_or_else(|| missing(bucket, zone))?;
        let updating = self.pending(zone) && cache.state != State::Creating;
        Ok(cache.view(bucket, zone, updating, base))
    }
}

/// `b/{bucket}/anywhereCaches…`
pub(super) fn answer(world: &mut World, method: &str, checked: &Checked<'_>) -> Outcome {
    let now = world.now();
    let (name, zone) = (checked.path(0), checked.path(1));
    let base = checked.call.base;
    match method {
        "anywhereCaches.insert" => insert(world, checked),
        "anywhereCaches.update" => {
            let change = Change::of(&checked.body)?;
            world.storage.bucket(name)?.cache_view(name, zone, base)?;
            start(world, checked, zone, "UpdateAnywhereCacheMetadata", change)
        }
        "anywhereCaches.get" => {
            let view = world.storage.bucket(name)?.cache_view(name, zone, base)?;
            wait(world, &[&view]);
            Ok(view)
        }
        "anywhereCaches.list" => {
            let bucket = world.storage.bucket(name)?;
            let zones = bucket.caches.keys().cloned().collect();
            let (zones, next) = super::list::page(checked.request(), zones)?;
            let views = zones.iter().map(|zone| bucket.cache_view(name, zone, base));
            let views = views.collect::<Result<Vec<Value>, Error>>()?;
            wait(world, &views.iter().collect::<Vec<_>>());
            let mut answer = json!({"kind": "storage#anywhereCaches"});
            if !views.is_empty() {
                answer["items"] = views.into();
            }
            if let Some(next) = next {
                answer["nextPageToken"] = next.into();
            }
            Ok(answer)
        }
        verb => {
            let bucket = world.storage.bucket_mut(name)?;
            let cache = bucket
                .caches
                .get_mut(zone)
                .ok_or_else(|| missing(name, zone))?;
            let (state, ends) = match (verb, cache.state) {
                (_, State::Creating) => return Err(not_now(zone, "is being created")),
                ("anywhereCaches.pause", State::Disabled) => {
                    return Err(not_now(zone, "is disabled: resume it first"));
                }
                ("anywhereCaches.pause", _) => (State::Paused, None),
                ("anywhereCaches.resume", _) => (State::Running, None),
                // A second time changes nothing, not the time of its end either.
                (_, State::Disabled) => (State::Disabled, cache.ends),
                _ => (State::Disabled, Some(now.plus(GRACE))),
            };
            (cache.state, cache.ends, cache.updated) = (state, ends, now);
            bucket.cache_view(name, zone, base)
        }
    }
}

fn insert(world: &mut World, checked: &Checked<'_>) -> Outcome {
    let now = world.now();
    let change = Change::of(&checked.body)?;
    let zone = checked.body["zone"].as_str().unwrap_or_default().to_owned();
    let bucket = world.storage.bucket_mut(checked.path(0))?;
    if !location::holds(&bucket.settings.location, &zone) {
        let text = format!(
            "The zone '{zone}' is not one of the bucket's location {}.",
            bucket.settings.location
        );
        return Err(Error::legacy(400, None, &text));
    }
    if bucket.caches.contains_key(&zone) {
        let text = format!("An Anywhere Cache exists in zone {zone} of this bucket.");
        return Err(Error::legacy(409, None, &text));
    }
    let mut cache = Cache {
        ttl: TTL,
        policy: POLICIES[0].to_owned(),
        ingest_on_write: false,
        state: State::Creating,
        created: now,
        updated: now,
        ends: None,
    };
    cache.apply(&change, now);
    bucket.caches.insert(zone.clone(), cache);
    start(world, checked, &zone, "CreateAnywhereCacheMetadata", change)
}

/// Begin an operation; the sandbox's usual time unless a fault rule has its own.
fn start(
    world: &mut World,
    checked: &Checked<'_>,
    zone: &str,
    metadata: &str,
    change: Change,
) -> Outcome {
    let now = world.now();
    let plan = checked.call.plan;
    let seconds = plan.and_then(|plan| plan.seconds).map(Duration::from_secs);
    let name = checked.path(0);
    let operation = Operation {
        id: world.fresh("cache operation", &format!("{name}/{zone}")),
        zone: zone.to_owned(),
        metadata: metadata.to_owned(),
        started: now,
        ends: now.plus(seconds.unwrap_or(world.operation_time)),
        failure: plan.filter(|plan| plan.code != 0).cloned(),
        change,
        base: checked.call.base.to_owned(),
        result: None,
    };
    let view = operation.view(name);
    world.storage.bucket_mut(name)?.operations.push(operation);
    Ok(view)
}

/// `b/{bucket}/operations[/{id}]`
pub(super) fn operations(world: &mut World, checked: &Checked<'_>) -> Outcome {
    let (name, id) = (checked.path(0), checked.path.get(1));
    let bucket = world.storage.bucket(name)?;
    let views: Vec<Value> = bucket
        .operations
        .iter()
        .filter(|operation| id.is_none_or(|id| operation.id == *id))
        .map(|operation| operation.view(name))
        .collect();
    if views.iter().any(|view| view["done"] == false) {
        world.clock.look();
    }
    match id {
        None => Ok(json!({"kind": "storage#operations", "operations": views})),
        Some(id) => views.into_iter().next().ok_or_else(|| {
            Error::legacy(404, None, &format!("The operation {id} does not exist."))
        }),
    }
}

/// Time passes for a client that looks at what is not settled yet.
fn wait(world: &mut World, views: &[&Value]) {
    let unsettled = |view: &&Value| {
        view["state"] == "creating" || view["state"] == "disabled" || view["pendingUpdate"] == true
    };
    if views.iter().any(unsettled) {
        world.clock.look();
    }
}

fn missing(bucket: &str, zone: &str) -> Error {
    Error::legacy(
        404,
        None,
        &format!("The Anywhere Cache {bucket}/{zone} does not exist."),
    )
}

fn not_now(zone: &str, what: &str) -> Error {
    Error::legacy(
        412,
        Some("conditionNotMet"),
        &format!("The Anywhere Cache in {zone} {what}."),
    )
}
