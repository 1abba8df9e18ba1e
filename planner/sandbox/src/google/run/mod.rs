//! Cloud Run Admin API v2: services, revisions, jobs, operations, IAM.
//!
//!   create, patch ─► spec checked, defaults ─► generation + 1, revision ─► operation
//!                                                                            │ virtual time
//!   get ◄─ Ready, traffic, url ◄──────────── settle ◄────────────────────────┘
//!
//! A service is what was asked for (`spec`) plus what became of it; what `get` shows is computed
//! from both. Facts: Discovery document run.v2.

mod admin;
mod condition;
pub(crate) mod jobs;
mod limits;
mod operation;
mod service;
mod spec;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Checked, Error, Outcome, page, policy};
use crate::clock::Time;
use crate::ids;
use crate::world::{World, asset};
pub(crate) use admin::administer;
use jobs::Jobs;
use limits::Quota;
use operation::{Change, Operation};
pub(crate) use service::{Revision, Service};

/// All of Cloud Run in a sandbox.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Run {
    /// By full name, `projects/*/locations/*/services/*`.
    services: BTreeMap<String, Service>,
    /// By full name, `projects/*/locations/*/operations/*`.
    operations: BTreeMap<String, Operation>,
    /// Operations under way, by the time they end.
    running: BTreeSet<(Time, String)>,
    quotas: Vec<Quota>,
    #[serde(default)]
    jobs: Jobs,
    /// Requests that services have answered: whose turn it is when traffic is split.
    turns: u64,
}

/// What a method says: its answer, or "wait".
pub(crate) enum Progress {
    Done(Value),
    Wait(Duration),
}

/// Answer a checked request.
pub(super) fn answer(world: &mut World, request: &Checked<'_>) -> Result<Progress, Error> {
    let now = world.now();
    world.run.settle(now);
    let place = Place::of(world, request);
    let body = &request.body;
    let done = match request.method {
        "services.create" => create(world, request, &place),
        "services.get" => get(world, request, &place),
        "services.list" => list(world, request, &place),
        "services.patch" => patch(world, request, &place),
        "services.delete" => delete(world, request, &place),
        "services.getIamPolicy" => Ok(world.run.service(&place)?.policy.view()),
        "services.setIamPolicy" => world.run.service_mut(&place)?.policy.set(body),
        "services.testIamPermissions" => policy::test(body),
        "revisions.get" => get_revision(world, &place),
        "revisions.list" => list_revisions(world, request, &place),
        "revisions.delete" => delete_revision(world, request, &place),
        "operations.get" => get_operation(world, &place),
        "operations.list" => list_operations(world, request, &place),
        "operations.delete" => delete_operation(world, &place),
        "operations.wait" => return wait(world, request, &place),
        name if ["jobs.", "executions.", "tasks."]
            .iter()
            .any(|collection| name.starts_with(collection)) =>
        {
            jobs::answer(world, request, &place)
        }
        _ => Err(Error::no_route()),
    };
    done.map(Progress::Done)
}

/// Where a request points: project, location, and what lies there.
#[derive(Clone)]
struct Place {
    project: String,
    location: String,
    /// Service, job or operation; empty for a collection.
    id: String,
    /// Revision of the service, or execution of the job.
    child: String,
    /// Task of the execution.
    task: String,
}

impl Place {
    fn of(world: &mut World, request: &Checked<'_>) -> Self {
        let part = |at: usize| request.path.get(at).cloned().unwrap_or_default();
        let project = world.projects.id(&part(0));
        Self {
            project,
            location: part(1),
            id: part(2),
            child: part(3),
            task: part(4),
        }
    }

    fn parent(&self) -> String {
        format!("projects/{}/locations/{}", self.project, self.location)
    }

    fn service(&self) -> String {
        format!("{}/services/{}", self.parent(), self.id)
    }

    fn job(&self) -> String {
        format!("{}/jobs/{}", self.parent(), self.id)
    }

    fn operation(&self) -> String {
        format!("{}/operations/{}", self.parent(), self.id)
    }

    fn missing(&self, kind: &str, id: &str) -> Error {
        Error::not_found(format!(
            "Resource '{id}' of kind '{kind}' in region '{}' in project '{}' does not exist.",
            self.location, self.project
        ))
    }
}

impl Run {
    fn service(&self, place: &Place) -> Result<&Service, Error> {
        self.services
            .get(&place.service())
            .ok_or_else(|| place.missing("SERVICE", &place.id))
    }

    fn service_mut(&mut self, place: &Place) -> Result<&mut Service, Error> {
        let missing = || place.missing("SERVICE", &place.id);
        self.services.get_mut(&place.service()).ok_or_else(missing)
    }

    /// All services, for the data plane.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    /// The number of this request to the data plane.
    pub(crate) fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// Let all operations end whose time has come, in the order of their times.
    pub(crate) fn settle(&mut self, now: Time) {
        while let Some((at, name)) = self.running.first().cloned() {
            if at > now {
                break;
            }
            self.running.pop_first();
            if let Some(mut operation) = self.operations.remove(&name) {
                let deletes = operation.finish(&mut self.services, &mut self.jobs, at);
                self.operations.insert(name, operation);
                if deletes {
                    self.sweep(at);
                }
            }
        }
    }

    /// Let the operations end that wait for an execution which is over, or is gone.
    fn sweep(&mut self, now: Time) {
        for operation in self.operations.values_mut() {
            if operation.waits(&self.jobs) == Some(false) {
                operation.finish(&mut self.services, &mut self.jobs, now);
            }
        }
    }

    /// After a restart from a state file: the processes of tasks are gone with the old sandbox.
    pub(crate) fn interrupt(&mut self, now: Time) {
        self.jobs.interrupt(now);
        self.sweep(now);
    }

    fn start(&mut self, operation: Operation) -> String {
        let name = operation.name.clone();
        if let Some(ends) = operation.ends {
            self.running.insert((ends, name.clone()));
        }
        self.operations.insert(name.clone(), operation);
        name
    }

    /// Services, revisions, jobs and executions that exist, without times and ids.
    pub(crate) fn inventory(&self) -> Vec<Value> {
        let mut assets = self.jobs.inventory();
        for (name, service) in &self.services {
            assets.push(asset(
                "run.googleapis.com/Service",
                name,
                &service.summary(),
            ));
            for (id, revision) in &service.revisions {
                let name = format!("{name}/revisions/{id}");
                assets.push(asset(
                    "run.googleapis.com/Revision",
                    &name,
                    &revision.summary(),
                ));
            }
        }
        assets
    }
}

fn create(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let id = match request.call.request.query("serviceId").unwrap_or_default() {
        "" => format!(
            "service-{}",
            &world.fresh("service id", &place.parent())[..8]
        ),
        id => id.to_owned(),
    };
    let place = &Place {
        id,
        ..place.clone()
    };
    spec::check_service_id(&place.id)?;
    if world.run.services.contains_key(&place.service()) {
        return Err(Error::exists(format!(
            "Resource '{}' already exists.",
            place.id
        )));
    }
    let spec = spec::complete(&request.body, &place.project);
    let service = Service::new(world, place, spec);
    change(world, request, place, service, "create", false)
}

fn patch(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let Some(current) = world.run.services.get(&place.service()).cloned() else {
        if request.call.request.flag("allowMissing") {
            spec::check_service_id(&place.id)?;
            let service = Service::new(world, place, spec::complete(&request.body, &place.project));
            return change(world, request, place, service, "create", false);
        }
        return Err(place.missing("SERVICE", &place.id));
    };
    check_etag(&current.id, &current.etag(), request.body["etag"].as_str())?;
    let mask = request.call.request.query("updateMask").unwrap_or_default();
    let merged = spec::merge(&current.spec, &request.body, mask)?;
    let mut changed = current.clone();
    changed.spec = spec::complete(&merged, &place.project);
    if changed.spec != current.spec {
        changed.generation += 1;
    }
    let force = request.call.request.flag("forceNewRevision");
    change(world, request, place, changed, "update", force)
}

/// Give a service that is new or has a new spec its revision, and start the operation.
fn change(
    world: &mut World,
    request: &Checked<'_>,
    place: &Place,
    mut service: Service,
    verb: &str,
    force: bool,
) -> Outcome {
    spec::check(
        &service.spec,
        place,
        &world.secrets,
        world.strict_secret_access,
    )?;
    limits::check(&world.run, &service)?;
    let now = world.now();
    service.updated = now;
    service.revise(world.seed, now, force)?;
    service::check_traffic(&service)?;
    let planned = request.call.plan.filter(|plan| plan.code != 0).cloned();
    let failure = planned.or_else(|| volumes::failure(&service.spec["template"], &world.storage));
    service.begin(now);
    if request.call.request.flag("validateOnly") {
        let view = service.view(request.call.base);
        let name = Place {
            id: world.fresh("operation", &place.service()),
            ..place.clone()
        }
        .operation();
        return Ok(json!({
            "name": name,
            "done": true,
            "metadata": operation::any("Service", view.clone()),
            "response": operation::any("Service", view),
        }));
    }
    let generation = service.generation;
    world.run.services.insert(place.service(), service);
    Ok(start(
        world,
        request,
        place,
        place.service(),
        Change::Apply {
            generation,
            failure,
        },
        verb,
    ))
}

fn delete(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let service = world.run.service(place)?;
    let given = request.call.request.query("etag");
    check_etag(&service.id, &service.etag(), given)?;
    if request.call.request.flag("validateOnly") {
        let view = service.view(request.call.base);
        let name = Place {
            id: world.fresh("operation", &place.service()),
            ..place.clone()
        }
        .operation();
        return Ok(
            json!({"name": name, "done": true, "response": operation::any("Service", view)}),
        );
    }
    let failure = request.call.plan.filter(|plan| plan.code != 0).cloned();
    Ok(start(
        world,
        request,
        place,
        place.service(),
        Change::Delete { failure },
        "delete",
    ))
}

fn start(
    world: &mut World,
    request: &Checked<'_>,
    place: &Place,
    target: String,
    change: Change,
    verb: &str,
) -> Value {
    let now = world.now();
    let takes = request
        .call
        .plan
        .and_then(|plan| plan.seconds)
        .map(Duration::from_secs);
    let id = world.fresh("operation", &format!("{verb} {target}"));
    let ends = now.plus(takes.unwrap_or(world.operation_time));
    let operation = Operation {
        name: Place {
            id,
            ..place.clone()
        }
        .operation(),
        target,
        revision: place.child.clone(),
        base: request.call.base.to_owned(),
        // An execution takes as long as its tasks do.
        ends: (!matches!(change, Change::Execute)).then_some(ends),
        change,
        outcome: None,
    };
    let name = world.run.start(operation);
    world.run.settle(now);
    world.run.operations[&name].view(&world.run.services, &world.run.jobs)
}

fn get(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    if world.run.service(place)?.reconciling() {
        world.clock.look();
        let now = world.now();
        world.run.settle(now);
    }
    Ok(world.run.service(place)?.view(request.call.base))
}

fn list(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let everywhere = place.location == "-";
    let found = world.run.services.iter().filter(|(_, service)| {
        service.project == place.project && (everywhere || service.location == place.location)
    });
    let found = found
        .map(|(name, service)| (name.clone(), service))
        .collect();
    let (services, next) = page(request.call, found, 1000)?;
    let views: Vec<Value> = services
        .iter()
        .map(|service| service.view(request.call.base))
        .collect();
    Ok(listing("services", views, next))
}

fn get_revision(world: &World, place: &Place) -> Outcome {
    let service = world.run.service(place)?;
    let revision = service.revisions.get(&place.child);
    let revision = revision.ok_or_else(|| place.missing("REVISION", &place.child))?;
    Ok(revision.view(service))
}

fn list_revisions(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let project = &place.project;
    let services = world.run.services.values().filter(|service| {
        service.project == *project
            && service.location == place.location
            && (place.id == "-" || service.id == place.id)
    });
    let found = services.flat_map(|service| {
        service
            .revisions
            .iter()
            .map(move |(id, revision)| (id.clone(), (service, revision)))
    });
    let (revisions, next) = page(request.call, found.collect(), 1000)?;
    let views: Vec<Value> = revisions
        .iter()
        .map(|(service, revision)| revision.view(service))
        .collect();
    Ok(listing("revisions", views, next))
}

fn delete_revision(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let service = world.run.service(place)?;
    if !service.revisions.contains_key(&place.child) {
        return Err(place.missing("REVISION", &place.child));
    }
    service.check_unused(&place.child)?;
    Ok(start(
        world,
        request,
        place,
        place.service(),
        Change::DeleteRevision,
        "delete revision",
    ))
}

fn get_operation(world: &mut World, place: &Place) -> Outcome {
    let name = place.operation();
    let missing = || Error::not_found(format!("Operation {name} was not found."));
    if world
        .run
        .operations
        .get(&name)
        .ok_or_else(missing)?
        .outcome
        .is_none()
    {
        world.clock.look();
        let now = world.now();
        world.run.settle(now);
    }
    let operation = world.run.operations.get(&name).ok_or_else(missing)?;
    Ok(operation.view(&world.run.services, &world.run.jobs))
}

/// `operations.wait`: in automatic time the wait itself lets the time pass.
fn wait(world: &mut World, request: &Checked<'_>, place: &Place) -> Result<Progress, Error> {
    let name = place.operation();
    let missing = || Error::not_found(format!("Operation {name} was not found."));
    let operation = world.run.operations.get(&name).ok_or_else(missing)?;
    let come = match operation.ends {
        Some(ends) => world.clock.wait_until(ends),
        None => operation.outcome.is_some(),
    };
    let now = world.now();
    world.run.settle(now);
    if !come && request.call.may_wait {
        let seconds = request.body["timeout"].as_str().and_then(|text| {
            text.strip_suffix('s')
                .and_then(|number| number.parse::<f64>().ok())
        });
        let longest = Duration::try_from_secs_f64(seconds.unwrap_or(30.0)).unwrap_or_default();
        return Ok(Progress::Wait(longest));
    }
    let operation = world.run.operations.get(&name).ok_or_else(missing)?;
    Ok(Progress::Done(
        operation.view(&world.run.services, &world.run.jobs),
    ))
}

fn list_operations(world: &mut World, request: &Checked<'_>, place: &Place) -> Outcome {
    let start = format!("{}/operations/", place.parent());
    let found = world
        .run
        .operations
        .iter()
        .filter(|(name, _)| name.starts_with(&start));
    let found = found
        .map(|(name, operation)| (name.clone(), operation))
        .collect();
    let (operations, next) = page(request.call, found, 100)?;
    let views: Vec<Value> = operations
        .iter()
        .map(|operation| operation.view(&world.run.services, &world.run.jobs))
        .collect();
    Ok(listing("operations", views, next))
}

fn delete_operation(world: &mut World, place: &Place) -> Outcome {
    let name = place.operation();
    let missing = || Error::not_found(format!("Operation {name} was not found."));
    let operation = world.run.operations.get(&name).ok_or_else(missing)?;
    if operation.outcome.is_none() {
        return Err(Error::precondition(format!(
            "Operation {name} is still running."
        )));
    }
    world.run.operations.remove(&name);
    Ok(json!({}))
}

/// An etag that is given must be the current one.
fn check_etag(id: &str, current: &str, given: Option<&str>) -> Result<(), Error> {
    match given.filter(|etag| !etag.is_empty()) {
        Some(given) if given != current => Err(Error::aborted(format!(
            "Conflict for resource '{id}': version '{given}' was specified but current version is \
             '{current}'."
        ))),
        _ => Ok(()),
    }
}

fn listing(member: &str, items: Vec<Value>, next: Option<String>) -> Value {
    let mut page = serde_json::Map::new();
    if !items.is_empty() {
        page.insert(member.to_owned(), items.into());
    }
    if let Some(next) = next {
        page.insert("nextPageToken".to_owned(), next.into());
    }
    Value::Object(page)
}

/// The account that revisions run as when the template names none.
fn default_account(project: &str) -> String {
    format!(
        "{}-compute@developer.gserviceaccount.com",
        ids::project_number(project)
    )
}
