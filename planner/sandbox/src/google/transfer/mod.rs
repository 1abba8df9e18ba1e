//! Storage Transfer Service API v1: jobs that copy a list of URLs, or a bucket, into a bucket.
//!
//! ```text
//! transferJobs.run ─► operation ─► runner ─┬ list, spec     what is asked for
//!                          ▲               ├ fetch          URLs, without credentials
//!                          └─ counters ◄───┴ storage        as the project's service agent
//! ```
//!
//! Facts: Discovery document storagetransfer.v1. Refused, as not emulated: schedules, event
//! streams, replication, other sources and sinks, manifests, metadata options, deletion of what is
//! only in the sink. Robots.txt is not read; nothing is logged to Cloud Logging or Pub/Sub.

mod fetch;
mod list;
mod operation;
mod runner;
mod spec;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{Checked, Error, Outcome, page};
use crate::clock::Time;
use crate::ids;
use crate::world::{Work, World, asset};
use operation::{Failure, Operation, Origin, Status};
pub(crate) use runner::Start;

/// Most entries of one page.
const PAGE: usize = 256;

/// All transfers of a sandbox.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Transfer {
    /// By project and name: `acme-ml/transferJobs/1`.
    jobs: BTreeMap<String, Job>,
    /// By name.
    operations: BTreeMap<String, Operation>,
    /// Operations that there ever were.
    started: u64,
    /// What came from a URL: the generation in the sink, and the entity tag that it had there.
    etags: BTreeMap<String, (i64, String)>,
    #[serde(skip)]
    live: BTreeMap<String, Live>,
}

/// The hold on a runner: gone, it stops.
struct Live {
    id: u64,
    order: watch::Sender<Order>,
}

/// What a client wants of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Go,
    Pause,
    Cancel,
}

/// One job.
#[derive(Clone, Serialize, Deserialize)]
struct Job {
    project: String,
    /// `transferJobs/<id>`
    name: String,
    /// What a client has set.
    spec: Map<String, Value>,
    created: Time,
    modified: Time,
    deleted: Option<Time>,
    /// Name of the last operation.
    latest: Option<String>,
}

impl Job {
    fn view(&self) -> Value {
        let mut view = Value::Object(self.spec.clone());
        view["name"] = self.name.as_str().into();
        view["projectId"] = self.project.as_str().into();
        view["creationTime"] = self.created.rfc3339().into();
        view["lastModificationTime"] = self.modified.rfc3339().into();
        if let Some(deleted) = self.deleted {
            view["deletionTime"] = deleted.rfc3339().into();
        }
        if let Some(latest) = &self.latest {
            view["latestOperationName"] = latest.as_str().into();
        }
        view
    }

    fn status(&self) -> &str {
        let status = self.spec.get("status").and_then(Value::as_str);
        status.unwrap_or_default()
    }

    fn transfer(&self) -> Value {
        self.spec.get("transferSpec").cloned().unwrap_or_default()
    }

    /// Who it acts as.
    fn account(&self) -> String {
        let account = self.spec.get("serviceAccount").and_then(Value::as_str);
        let agent = || spec::agent(&self.project);
        account.map_or_else(agent, str::to_owned)
    }

    fn delete(&mut self, now: Time) {
        self.spec.insert("status".to_owned(), "DELETED".into());
        self.deleted = Some(now);
        self.modified = now;
    }
}

/// Answer a checked request.
pub(super) fn answer(world: &mut World, request: &Checked<'_>) -> Outcome {
    match request.method {
        "googleServiceAccounts.get" => {
            let project = world.projects.id(part(request));
            Ok(json!({
                "accountEmail": spec::agent(&project),
                "subjectId": format!("1{:020}", ids::project_number(&project)),
            }))
        }
        "transferJobs.create" => create(world, request),
        "transferJobs.get" => {
            let key = key(world, request, request.call.request.query("projectId"))?;
            Ok(world.transfer.job(&key)?.view())
        }
        "transferJobs.list" => list(world, request),
        "transferJobs.patch" => patch(world, request),
        "transferJobs.delete" => {
            let key = key(world, request, request.call.request.query("projectId"))?;
            let now = world.now();
            world.transfer.job_mut(&key)?.delete(now);
            Ok(json!({}))
        }
        "transferJobs.run" => run(world, request),
        "transferOperations.get" => Ok(world.transfer.operation(request)?.view()),
        "transferOperations.list" => list_operations(world, request),
        "transferOperations.pause" => order(world, request, Order::Pause),
        "transferOperations.resume" => order(world, request, Order::Go),
        "transferOperations.cancel" => order(world, request, Order::Cancel),
        _ => Err(Error::no_route()),
    }
}

/// The last part of the path.
fn part<'a>(request: &'a Checked<'_>) -> &'a str {
    request.path.first().map_or("", String::as_str)
}

/// The key of the job that a request names.
fn key(world: &mut World, request: &Checked<'_>, project: Option<&str>) -> Result<String, Error> {
    let project = project.filter(|project| !project.is_empty());
    let project = project.ok_or_else(|| Error::invalid("project_id is required."))?;
    let project = world.projects.id(project);
    Ok(format!("{project}/transferJobs/{}", part(request)))
}

impl Transfer {
    fn job(&self, key: &str) -> Result<&Job, Error> {
        self.jobs.get(key).ok_or_else(|| missing(key))
    }

    fn job_mut(&mut self, key: &str) -> Result<&mut Job, Error> {
        self.jobs.get_mut(key).ok_or_else(|| missing(key))
    }

    fn operation(&self, request: &Checked<'_>) -> Result<&Operation, Error> {
        let name = format!("transferOperations/{}", part(request));
        let missing = || Error::not_found(format!("Operation {name} was not found."));
        self.operations.get(&name).ok_or_else(missing)
    }

    /// After a restart from a state file nothing runs any more.
    pub(crate) fn interrupt(&mut self, now: Time) {
        let operations = self.operations.values_mut();
        for operation in operations.filter(|operation| !operation.is_over()) {
            operation.fail(Failure {
                code: "UNAVAILABLE",
                url: String::new(),
                details: "The sandbox was stopped while the transfer ran.".to_owned(),
            });
            operation.end(false, now);
        }
    }

    /// Jobs that exist, without times.
    pub(crate) fn inventory(&self) -> Vec<Value> {
        let jobs = self.jobs.iter().filter(|(_, job)| job.deleted.is_none());
        let kind = "storagetransfer.googleapis.com/TransferJob";
        let jobs = jobs.map(|(key, job)| asset(kind, key, &Value::Object(job.spec.clone())));
        jobs.collect()
    }
}

fn missing(key: &str) -> Error {
    Error::not_found(format!("Transfer job {key} was not found."))
}

/// A job's name: `transferJobs/` and letters, digits, `-._~`, a letter or digit last.
fn check_name(name: &str) -> Result<(), Error> {
    let id = name.strip_prefix("transferJobs/").unwrap_or_default();
    let plain = |letter: u8| letter.is_ascii_alphanumeric();
    let fits = id
        .bytes()
        .all(|letter| plain(letter) || b"-._~".contains(&letter))
        && id.bytes().last().is_some_and(plain)
        && name.len() <= 128
        && !id.starts_with("OPI");
    if fits {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "Invalid job name: '{name}'. It must start with transferJobs/, have at most 128 letters, \
         digits and -._~, and end with a letter or a digit."
    )))
}

fn create(world: &mut World, request: &Checked<'_>) -> Outcome {
    let now = world.now();
    let body = &request.body;
    let project = body["projectId"].as_str().unwrap_or_default();
    if project.is_empty() {
        return Err(Error::invalid("project_id is required."));
    }
    let project = world.projects.id(project);
    if !matches!(body["status"].as_str(), Some("ENABLED" | "DISABLED")) {
        let text = "status must be ENABLED or DISABLED in a new job.";
        return Err(Error::invalid(text));
    }
    let name = match body["name"].as_str().unwrap_or_default() {
        "" => {
            let id = world.fresh("transfer job", &project);
            let digits = id.bytes().map(|byte| u64::from(byte % 10));
            let number = digits
                .take(19)
                .fold(1, |sum, digit| sum * 10 % 10_u64.pow(18) + digit);
            format!("transferJobs/{number}")
        }
        name => name.to_owned(),
    };
    check_name(&name)?;
    let job = Job {
        project,
        name,
        spec: spec::settable(body)?,
        created: now,
        modified: now,
        deleted: None,
        latest: None,
    };
    spec::check(&job.spec)?;
    spec::check_access(&job.transfer(), &job.account(), &world.storage)?;
    let key = format!("{}/{}", job.project, job.name);
    if world.transfer.jobs.contains_key(&key) {
        let text = format!("A job with the name {} already exists.", job.name);
        return Err(Error::exists(text));
    }
    let view = job.view();
    world.transfer.jobs.insert(key, job);
    Ok(view)
}

/// The JSON of `filter`, with the project's id.
fn filter(world: &mut World, request: &Checked<'_>, known: &[&str]) -> Outcome {
    let text = request.call.request.query("filter").unwrap_or_default();
    let filter: Value = serde_json::from_str(text).unwrap_or_default();
    let members = filter.as_object();
    let members = members.ok_or_else(|| Error::invalid("filter must be a JSON object."))?;
    if let Some(name) = members.keys().find(|name| !known.contains(&name.as_str())) {
        let text = format!("filter: {name} is not emulated by the sandbox.");
        return Err(Error::invalid(text));
    }
    let project = filter["projectId"].as_str().unwrap_or_default();
    if project.is_empty() {
        return Err(Error::invalid("filter: projectId is required."));
    }
    let project = world.projects.id(project);
    let mut filter = filter.clone();
    filter["projectId"] = project.into();
    Ok(filter)
}

/// Whether a list of a filter is absent, or has this text, in either case.
fn has(list: &Value, text: &str) -> bool {
    let Some(list) = list.as_array().filter(|list| !list.is_empty()) else {
        return true;
    };
    let mut list = list.iter().filter_map(Value::as_str);
    list.any(|one| one.eq_ignore_ascii_case(text))
}

fn list(world: &mut World, request: &Checked<'_>) -> Outcome {
    let filter = filter(world, request, &["projectId", "jobNames", "jobStatuses"])?;
    let jobs = world.transfer.jobs.iter().filter(|(_, job)| {
        filter["projectId"] == job.project.as_str()
            && has(&filter["jobNames"], &job.name)
            && has(&filter["jobStatuses"], job.status())
    });
    let found = jobs.map(|(key, job)| (key.clone(), job)).collect();
    let (jobs, next) = page(request.call, found, PAGE)?;
    let views = jobs.iter().map(|job| job.view()).collect();
    Ok(listing("transferJobs", views, next))
}

fn listing(member: &str, items: Vec<Value>, next: Option<String>) -> Value {
    let mut page = json!({});
    if !items.is_empty() {
        page[member] = items.into();
    }
    if let Some(next) = next {
        page["nextPageToken"] = next.into();
    }
    page
}

fn patch(world: &mut World, request: &Checked<'_>) -> Outcome {
    let now = world.now();
    let body = &request.body;
    let key = key(world, request, body["projectId"].as_str())?;
    let mut job = world.transfer.job(&key)?.clone();
    let given = spec::settable(&body["transferJob"])?;
    let mask = body["updateTransferJobFieldMask"]
        .as_str()
        .unwrap_or_default();
    let named: Vec<String> = match mask {
        "" => given.keys().cloned().collect(),
        mask => mask.split(',').map(|name| camel(name.trim())).collect(),
    };
    for name in &named {
        if !spec::CHANGEABLE.contains(&name.as_str()) {
            let text = format!("The field {name} of a transfer job cannot be updated.");
            return Err(Error::invalid(text));
        }
        match given.get(name) {
            Some(value) => drop(job.spec.insert(name.clone(), value.clone())),
            None => drop(job.spec.remove(name)),
        }
    }
    job.modified = now;
    match job.status() {
        "ENABLED" | "DISABLED" => {
            spec::check(&job.spec)?;
            spec::check_access(&job.transfer(), &job.account(), &world.storage)?;
            job.deleted = None;
        }
        "DELETED" => job.delete(now),
        _ => {
            return Err(Error::invalid(
                "status must be ENABLED, DISABLED or DELETED.",
            ));
        }
    }
    let view = job.view();
    world.transfer.jobs.insert(key, job);
    Ok(view)
}

/// A field mask's name as JSON has it, with or without underscores.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

fn run(world: &mut World, request: &Checked<'_>) -> Outcome {
    static STARTS: AtomicU64 = AtomicU64::new(0);
    let now = world.now();
    let key = key(world, request, request.body["projectId"].as_str())?;
    let transfer = &mut world.transfer;
    let job = transfer.job(&key)?.clone();
    if job.status() != "ENABLED" {
        let text = format!("Job {} is {}, not ENABLED.", job.name, job.status());
        return Err(Error::precondition(text));
    }
    let latest = job
        .latest
        .as_ref()
        .and_then(|name| transfer.operations.get(name));
    if let Some(active) = latest.filter(|latest| !latest.is_over()) {
        let text = format!("Operation {} of the job is still active.", active.name);
        return Err(Error::precondition(text));
    }
    transfer.started += 1;
    let origin = Origin {
        project: &job.project,
        job: &job.name,
        number: transfer.started,
    };
    let mut operation = Operation::new(&origin, job.transfer(), job.account(), now);
    let name = operation.name.clone();
    let known = transfer.job_mut(&key)?;
    known.latest = Some(name.clone());
    if let Some(plan) = request.call.plan.filter(|plan| plan.code != 0) {
        operation.fail(Failure {
            code: "INTERNAL",
            url: String::new(),
            details: plan.message.clone(),
        });
        operation.end(false, now);
    } else {
        let id = STARTS.fetch_add(1, Ordering::Relaxed);
        let (order, receiver) = watch::channel(Order::Go);
        transfer.live.insert(name.clone(), Live { id, order });
        world.work.push(Work::Transfer(Start {
            operation: name.clone(),
            id,
            order: receiver,
        }));
    }
    let view = operation.view();
    world.transfer.operations.insert(name, operation);
    Ok(view)
}

fn list_operations(world: &mut World, request: &Checked<'_>) -> Outcome {
    let known = [
        "projectId",
        "jobNames",
        "operationNames",
        "transferStatuses",
    ];
    let filter = filter(world, request, &known)?;
    let operations = world.transfer.operations.values().filter(|operation| {
        filter["projectId"] == operation.project.as_str()
            && has(&filter["jobNames"], &operation.job)
            && has(&filter["operationNames"], &operation.name)
            && has(&filter["transferStatuses"], operation.status.name())
    });
    // Newest first; the key is what a page token holds and must grow.
    let key = |operation: &Operation| format!("{:020}", u64::MAX - operation.number);
    let mut found: Vec<_> = operations.map(|one| (key(one), one)).collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let (operations, next) = page(request.call, found, PAGE)?;
    let views = operations
        .iter()
        .map(|operation| operation.view())
        .collect();
    Ok(listing("operations", views, next))
}

/// Pause, resume or cancel.
fn order(world: &mut World, request: &Checked<'_>, order: Order) -> Outcome {
    let operation = world.transfer.operation(request)?;
    let name = operation.name.clone();
    if !runner::may(operation, order) {
        let text = format!("Operation {name} is in state {}.", operation.status.name());
        return Err(Error::precondition(text));
    }
    if let Some(live) = world.transfer.live.get(&name) {
        live.order.send_replace(order);
    }
    if let Some(operation) = world.transfer.operations.get_mut(&name) {
        operation.status = match order {
            Order::Go => Status::Running,
            Order::Pause => Status::Paused,
            Order::Cancel => operation.status,
        };
    }
    Ok(json!({}))
}
