//! Jobs of Cloud Run: their executions and tasks, which are processes of this machine.
//!
//! ```text
//! create, patch ─► spec checked, defaults ─► generation + 1 ─► operation ─► Ready, or no such image
//! run ─► execution, operation ─► runner ─► launch (a process an attempt) ─► both are done
//! ```
//!
//! How a task ends is up to the process; its timeout is in real time. Not emulated: volumes,
//! several containers, execution tokens of a job, limits of CPU and memory.

mod execution;
mod job;
mod launch;
mod runner;
mod spec;

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::sync::watch;

use super::super::{Checked, Error, Outcome, page, policy};
use super::condition::{Condition, Reason};
use super::operation::{self, Change};
use super::{Place, check_etag, listing, start};
use crate::clock::Time;
use crate::faults::OperationPlan;
use crate::world::{Work, World, asset};
pub(crate) use execution::Execution;
pub(crate) use job::Job;
use launch::{Image, Kill};
pub(crate) use runner::Start;

/// Most bytes of a task's output that are shown.
const SHOWN: u64 = 64 << 10;

/// All jobs of a sandbox.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Jobs {
    /// By full name, `projects/*/locations/*/jobs/*`.
    by_name: BTreeMap<String, Job>,
    /// By the name of an image, or its beginning.
    pub(super) images: BTreeMap<String, Image>,
    pub(super) kills: Vec<Kill>,
    /// Executions whose tasks run now, by full name.
    #[serde(skip)]
    live: BTreeMap<String, Live>,
    /// Output of tasks, by the full name of their execution.
    #[serde(skip)]
    logs: BTreeMap<String, Vec<Log>>,
}

/// The hold on a runner: gone, it kills its processes.
struct Live {
    id: u64,
    stop: watch::Sender<bool>,
}

/// The output of one attempt, in a temporary file.
struct Log {
    task: usize,
    attempt: u32,
    output: Arc<NamedTempFile>,
}

/// Answer a checked request.
pub(super) fn answer(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let body = &request.body;
    let base = request.call.base;
    match request.method {
        "jobs.create" => create(world, request, place),
        "jobs.get" => get(world, place),
        "jobs.list" => list(world, request, place),
        "jobs.patch" => patch(world, request, place),
        "jobs.delete" => delete(world, request, place),
        "jobs.run" => run(world, request, place),
        "jobs.getIamPolicy" => Ok(world.run.jobs.job(place)?.policy.view()),
        "jobs.setIamPolicy" => world.run.jobs.job_mut(place)?.policy.set(body),
        "jobs.testIamPermissions" => policy::test(body),
        "executions.get" => Ok(world.run.jobs.find(place)?.view(base)),
        "executions.list" => list_executions(world, request, place),
        "executions.cancel" => cancel(world, request, place),
        "executions.delete" => delete_execution(world, request, place),
        "tasks.get" => {
            let execution = world.run.jobs.find(place)?;
            let index = execution.task_index(&place.task);
            let index = index.ok_or_else(|| place.missing("TASK", &place.task))?;
            Ok(execution.task_view(index, base))
        }
        "tasks.list" => list_tasks(world, request, place),
        _ => Err(Error::no_route()),
    }
}

impl Jobs {
    fn job(&self, place: &Place) -> Result<&Job, Error> {
        let missing = || place.missing("JOB", &place.id);
        self.by_name.get(&place.job()).ok_or_else(missing)
    }

    fn job_mut(&mut self, place: &Place) -> Result<&mut Job, Error> {
        let missing = || place.missing("JOB", &place.id);
        self.by_name.get_mut(&place.job()).ok_or_else(missing)
    }

    fn find(&self, place: &Place) -> Result<&Execution, Error> {
        let found = self.job(place)?.executions.get(&place.child);
        found.ok_or_else(|| place.missing("EXECUTION", &place.child))
    }

    /// A job by full name.
    pub(super) fn get(&self, name: &str) -> Option<&Job> {
        self.by_name.get(name)
    }

    /// An execution by full name.
    pub(super) fn execution(&self, name: &str) -> Option<&Execution> {
        let (job, id) = name.split_once("/executions/")?;
        self.by_name.get(job)?.executions.get(id)
    }

    fn execution_mut(&mut self, name: &str) -> Option<&mut Execution> {
        let (job, id) = name.split_once("/executions/")?;
        self.by_name.get_mut(job)?.executions.get_mut(id)
    }

    /// Work off the spec of a job, or fail to; why it failed.
    pub(super) fn settle(
        &mut self,
        name: &str,
        generation: u64,
        failure: Option<&OperationPlan>,
        now: Time,
    ) -> Result<(), (i32, String)> {
        let Some(job) = self.by_name.get_mut(name) else {
            return Err((10, "The job was deleted in the meantime.".to_owned()));
        };
        // A later change has taken over; this one is then told how things stand.
        if job.generation != generation {
            return Ok(());
        }
        if let Some(failure) = failure {
            job.settle(Condition::planned(now, failure, Reason::Common));
            return Err((failure.code, failure.message.clone()));
        }
        if launch::find(&self.images, job.image()).is_none() {
            let message = missing_image(job.image());
            let reason = Reason::Common("CONTAINER_MISSING".to_owned());
            job.settle(Condition::failed(now, &message, Some(reason)));
            return Err((5, message));
        }
        job.settle(Condition::succeeded(now));
        Ok(())
    }

    /// Take a job away, with its executions; its tasks are killed.
    pub(super) fn remove(&mut self, name: &str) -> Option<Job> {
        let job = self.by_name.remove(name)?;
        for execution in job.executions.values() {
            self.forget(&execution.name);
        }
        Some(job)
    }

    /// Take an execution away; its tasks are killed.
    pub(super) fn remove_execution(&mut self, name: &str) -> Option<Execution> {
        let (job, id) = name.split_once("/executions/")?;
        self.forget(name);
        self.by_name.get_mut(job)?.executions.remove(id)
    }

    fn forget(&mut self, execution: &str) {
        self.live.remove(execution);
        self.logs.remove(execution);
    }

    /// After a restart from a state file nothing runs any more.
    pub(super) fn interrupt(&mut self, now: Time) {
        let jobs = self.by_name.values_mut();
        for execution in jobs.flat_map(|job| job.executions.values_mut()) {
            execution.interrupt(now);
        }
    }

    /// The output of the tasks of an execution: the end of each, where it is long.
    pub(super) fn logs(&self, execution: &str, task: Option<usize>) -> Option<Value> {
        self.execution(execution)?;
        let logs = self.logs.get(execution).into_iter().flatten();
        let logs = logs.filter(|log| task.is_none_or(|task| task == log.task));
        let logs =
            logs.map(|log| json!({"task": log.task, "attempt": log.attempt, "output": log.text()}));
        Some(logs.collect())
    }

    /// Jobs and executions that exist, without times and ids.
    pub(super) fn inventory(&self) -> Vec<Value> {
        let mut assets = Vec::new();
        for (name, job) in &self.by_name {
            assets.push(asset("run.googleapis.com/Job", name, &job.summary()));
            for execution in job.executions.values() {
                let kind = "run.googleapis.com/Execution";
                assets.push(asset(kind, &execution.name, &execution.summary()));
            }
        }
        assets
    }
}

impl Log {
    fn text(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = self.output.reopen()?;
            let size = file.metadata()?.len();
            file.seek(SeekFrom::Start(size.saturating_sub(SHOWN)))?;
            let mut bytes = Vec::new();
            file.take(SHOWN).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("The sandbox cannot read the output: {error}"),
        }
    }
}

/// What Cloud Run says of an image that it cannot pull.
fn missing_image(image: &str) -> String {
    format!("Image '{image}' not found.")
}

fn create(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let id = request.call.request.query("jobId").unwrap_or_default();
    let place = &Place {
        id: id.to_owned(),
        ..place.clone()
    };
    if world.run.jobs.by_name.contains_key(&place.job()) {
        let text = format!("Resource '{}' already exists.", place.id);
        return Err(Error::exists(text));
    }
    make(world, request, place)
}

/// A job that is new.
fn make(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    spec::check_job_id(&place.id)?;
    let job = Job::new(world, place, spec::complete(&request.body, &place.project));
    change(world, request, place, job, "create")
}

fn patch(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let Some(current) = world.run.jobs.by_name.get(&place.job()).cloned() else {
        if request.call.request.flag("allowMissing") {
            return make(world, request, place);
        }
        return Err(place.missing("JOB", &place.id));
    };
    check_etag(&current.id, &current.etag(), request.body["etag"].as_str())?;
    let mut changed = current.clone();
    changed.spec = spec::complete(&request.body, &place.project);
    if changed.spec != current.spec {
        changed.generation += 1;
    }
    change(world, request, place, changed, "update")
}

/// Put a job in place that is new or has a new spec, and start the operation.
fn change(
    world: &mut World,
    request: &Checked<'_>,
    place: &Place,
    mut job: Job,
    verb: &str,
) -> Outcome {
    let strict = world.strict_secret_access;
    spec::check(&job.spec, place, &world.secrets, strict)?;
    job.begin(world.now());
    if request.call.request.flag("validateOnly") {
        let view = operation::any("Job", job.view());
        return Ok(validated(world, place, &view));
    }
    let change = Change::ApplyJob {
        generation: job.generation,
        failure: failure(request),
    };
    world.run.jobs.by_name.insert(place.job(), job);
    Ok(start(world, request, place, place.job(), change, verb))
}

/// The operation of a request that was only checked.
fn validated(world: &mut World, place: &Place, view: &Value) -> Value {
    let id = world.fresh("operation", &place.job());
    let name = Place {
        id,
        ..place.clone()
    }
    .operation();
    json!({"name": name, "done": true, "metadata": view, "response": view})
}

/// How a fault rule wants the operation of this request to fail.
fn failure(request: &Checked<'_>) -> Option<OperationPlan> {
    request.call.plan.filter(|plan| plan.code != 0).cloned()
}

fn get(world: &mut World, place: &Place) -> Outcome {
    if world.run.jobs.job(place)?.reconciling() {
        world.clock.look();
        let now = world.now();
        world.run.settle(now);
    }
    Ok(world.run.jobs.job(place)?.view())
}

fn list(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let jobs = world.run.jobs.by_name.iter().filter(|(_, job)| {
        job.project == place.project && [&job.location, "-"].contains(&place.location.as_str())
    });
    let found = jobs.map(|(name, job)| (name.clone(), job)).collect();
    let (jobs, next) = page(request.call, found, 1000)?;
    let views = jobs.iter().map(|job| job.view()).collect();
    Ok(listing("jobs", views, next))
}

fn delete(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let job = world.run.jobs.job(place)?;
    check_etag(&job.id, &job.etag(), request.call.request.query("etag"))?;
    if request.call.request.flag("validateOnly") {
        let view = operation::any("Job", job.view());
        return Ok(validated(world, place, &view));
    }
    let change = Change::DeleteJob {
        failure: failure(request),
    };
    Ok(start(world, request, place, place.job(), change, "delete"))
}

/// `jobs.run`: the operation ends when the execution does.
fn run(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let now = world.now();
    let job = world.run.jobs.job(place)?;
    check_etag(&job.id, &job.etag(), request.body["etag"].as_str())?;
    let template = spec::overridden(&job.spec["template"], &request.body["overrides"])?;
    let strict = world.strict_secret_access;
    spec::check_execution(&template, place, &world.secrets, strict)?;
    if let Some(failure) = failure(request) {
        let change = Change::RefuseRun { failure };
        return Ok(start(world, request, place, place.job(), change, "run"));
    }
    let (seed, uid) = (world.seed, world.fresh("execution", &place.job()));
    if request.body["validateOnly"] == true {
        let id = format!("{}-00000", place.id);
        let execution = Execution::new(&place.job(), &id, uid, template, now);
        let view = operation::any("Execution", execution.view(request.call.base));
        return Ok(validated(world, place, &view));
    }
    let job = world.run.jobs.job_mut(place)?;
    let id = job.next_run(seed);
    let execution = Execution::new(&place.job(), &id, uid, template, now);
    let name = execution.name.clone();
    job.executions.insert(id, execution);
    begin(world, &name);
    Ok(start(world, request, place, name, Change::Execute, "run"))
}

/// Hand an execution over to a runner.
fn begin(world: &mut World, name: &str) {
    static STARTS: AtomicU64 = AtomicU64::new(0);
    let id = STARTS.fetch_add(1, Ordering::Relaxed);
    let (stop, receiver) = watch::channel(false);
    let live = Live { id, stop };
    world.run.jobs.live.insert(name.to_owned(), live);
    world.work.push(Work::Execution(Start {
        execution: name.to_owned(),
        id,
        stop: receiver,
    }));
}

fn list_executions(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let jobs = world.run.jobs.by_name.values().filter(|job| {
        job.project == place.project
            && job.location == place.location
            && [&job.id, "-"].contains(&place.id.as_str())
    });
    let found = jobs.flat_map(|job| job.executions.iter());
    let found = found.map(|(id, execution)| (id.clone(), execution));
    let (executions, next) = page(request.call, found.collect(), 1000)?;
    let views = executions.iter();
    let views = views.map(|execution| execution.view(request.call.base));
    Ok(listing("executions", views.collect(), next))
}

fn cancel(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let execution = world.run.jobs.find(place)?;
    let name = execution.name.clone();
    check_etag(
        execution.id(),
        &execution.etag(),
        request.body["etag"].as_str(),
    )?;
    if execution.is_over() {
        let text = format!("Execution '{}' is already completed.", place.child);
        return Err(Error::precondition(text));
    }
    if request.body["validateOnly"] == true {
        let view = operation::any("Execution", execution.view(request.call.base));
        return Ok(validated(world, place, &view));
    }
    if let Some(execution) = world.run.jobs.execution_mut(&name) {
        execution.cancelled = true;
    }
    if let Some(live) = world.run.jobs.live.get(&name) {
        live.stop.send_replace(true);
    }
    Ok(start(
        world,
        request,
        place,
        name,
        Change::Execute,
        "cancel",
    ))
}

fn delete_execution(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let execution = world.run.jobs.find(place)?;
    let name = execution.name.clone();
    let given = request.call.request.query("etag");
    check_etag(execution.id(), &execution.etag(), given)?;
    if request.call.request.flag("validateOnly") {
        let view = operation::any("Execution", execution.view(request.call.base));
        return Ok(validated(world, place, &view));
    }
    let change = Change::DeleteExecution;
    Ok(start(world, request, place, name, change, "delete"))
}

fn list_tasks(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let execution = world.run.jobs.find(place)?;
    // The key is what a page token holds and must grow with the index.
    let found = (0..execution.tasks.len()).map(|index| (format!("{index:05}"), index));
    let (tasks, next) = page(request.call, found.collect(), 1000)?;
    let views = tasks.into_iter();
    let views = views.map(|index| execution.task_view(index, request.call.base));
    Ok(listing("tasks", views.collect(), next))
}
