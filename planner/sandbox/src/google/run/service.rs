//! A service and its revisions: what was asked for, what became of it, and how the API shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::error::Error;
use super::super::policy::Policy;
use super::Place;
use super::condition::{Condition, Reason, State};
use crate::clock::Time;
use crate::faults::OperationPlan;
use crate::ids;
use crate::world::{World, number_of};

/// One service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) project: String,
    pub(crate) location: String,
    pub(crate) id: String,
    uid: String,
    created: Time,
    pub(super) updated: Time,
    /// Counts the specs; `observed` is the last one that was worked off.
    pub(super) generation: u64,
    observed: u64,
    /// What a client may set, with the server's defaults.
    pub(super) spec: Value,
    /// By short name.
    pub(crate) revisions: BTreeMap<String, Revision>,
    /// How many revisions there ever were: part of the next one's name.
    revision_count: u64,
    latest_created: String,
    latest_ready: Option<String>,
    /// Where traffic goes: (short name, percent, tag), resolved when the spec was worked off.
    pub(crate) traffic: Vec<Route>,
    ready: Condition,
    pub(crate) policy: Policy,
    writes: u64,
}

/// One target of the traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Route {
    pub(crate) revision: String,
    pub(crate) percent: u64,
    pub(crate) tag: Option<String>,
    latest: bool,
}

/// One revision: a template that does not change any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Revision {
    name: String,
    uid: String,
    created: Time,
    pub(crate) template: Value,
    ready: Condition,
}

impl Service {
    pub(super) fn new(world: &mut World, place: &Place, spec: Value) -> Self {
        let now = world.now();
        Self {
            project: place.project.clone(),
            location: place.location.clone(),
            id: place.id.clone(),
            uid: world.fresh("service", &place.service()),
            created: now,
            updated: now,
            generation: 1,
            observed: 0,
            spec,
            revisions: BTreeMap::new(),
            revision_count: 0,
            latest_created: String::new(),
            latest_ready: None,
            traffic: Vec::new(),
            ready: Condition::reconciling(now),
            policy: Policy::default(),
            writes: 0,
        }
    }

    /// Full resource name.
    pub(crate) fn name(&self) -> String {
        format!(
            "projects/{}/locations/{}/services/{}",
            self.project, self.location, self.id
        )
    }

    /// The first label of its host: `chat-123456789012` of `chat-123456789012.us-central1.run.app`.
    pub(crate) fn host_label(&self) -> String {
        format!("{}-{}", self.id, number_of(&self.project))
    }

    pub(super) fn reconciling(&self) -> bool {
        self.ready.state == State::Reconciling
    }

    /// Whether anybody may call it without a token.
    pub(crate) fn is_public(&self) -> bool {
        self.spec["invokerIamDisabled"] == true
            || self.policy.grants("roles/run.invoker", "allUsers")
    }

    /// A mark of this version of the service.
    pub(super) fn etag(&self) -> String {
        ids::etag(self.writes, &[&self.uid, &self.generation.to_string()])
    }

    /// Make a revision of the template, unless the newest one is of the same.
    pub(super) fn revise(&mut self, seed: u64, now: Time, force: bool) -> Result<(), Error> {
        let template = &self.spec["template"];
        let wanted = template["revision"].as_str().unwrap_or_default().to_owned();
        let settings = without(template, "revision");
        let newest = self.revisions.get(&self.latest_created);
        let same = newest.is_some_and(|revision| revision.template == settings);
        if same && !force && (wanted.is_empty() || wanted == self.latest_created) {
            return Ok(());
        }
        if let Some(known) = self.revisions.get(&wanted) {
            if known.template == settings && wanted == self.latest_created && !force {
                return Ok(());
            }
            return Err(Error::exists(format!(
                "Revision named '{wanted}' with different configuration already exists."
            )));
        }
        self.revision_count += 1;
        let name = if wanted.is_empty() {
            let letters = ids::letters(seed, &[&self.name(), &self.revision_count.to_string()], 3);
            format!("{}-{:05}-{letters}", self.id, self.revision_count)
        } else {
            wanted
        };
        let uid = ids::uuid(
            seed,
            &["revision", &self.uid, &self.revision_count.to_string()],
        );
        let ready = Condition::reconciling(now);
        let revision = Revision {
            name: name.clone(),
            uid,
            created: now,
            template: settings,
            ready,
        };
        self.revisions.insert(name.clone(), revision);
        self.latest_created = name;
        Ok(())
    }

    /// Start working off the spec.
    pub(super) fn begin(&mut self, now: Time) {
        self.writes += 1;
        self.ready = Condition::reconciling(now);
    }

    /// The spec is worked off, or could not be.
    pub(super) fn settle(&mut self, now: Time, failure: Option<&OperationPlan>) {
        self.observed = self.generation;
        let condition = failure.map_or_else(
            || Condition::succeeded(now),
            |failure| Condition::planned(now, failure, Reason::Revision),
        );
        if let Some(revision) = self.revisions.get_mut(&self.latest_created)
            && revision.ready.state != State::Succeeded
        {
            revision.ready = condition.clone();
        }
        if failure.is_none() {
            self.latest_ready = Some(self.latest_created.clone());
            self.traffic = self.routes();
            self.ready = condition;
        } else {
            self.ready = condition.because(Reason::Common("REVISION_FAILED".to_owned()));
        }
    }

    /// The spec's traffic, with `LATEST` resolved.
    fn routes(&self) -> Vec<Route> {
        let targets = self.spec["traffic"].as_array().into_iter().flatten();
        targets
            .map(|target| {
                let latest = target["type"] == "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST";
                let named = target["revision"].as_str().unwrap_or_default();
                Route {
                    revision: if latest {
                        self.latest_created.clone()
                    } else {
                        named.to_owned()
                    },
                    percent: target["percent"].as_u64().unwrap_or_default(),
                    tag: target["tag"]
                        .as_str()
                        .filter(|tag| !tag.is_empty())
                        .map(str::to_owned),
                    latest,
                }
            })
            .collect()
    }

    /// A revision that serves, or is the newest, cannot be deleted.
    pub(super) fn check_unused(&self, revision: &str) -> Result<(), Error> {
        if revision == self.latest_created {
            return Err(Error::precondition(format!(
                "Revision '{revision}' is the latest created revision of service '{}' and cannot be \
                 deleted.",
                self.id
            )));
        }
        if self.traffic.iter().any(|route| route.revision == revision) {
            return Err(Error::precondition(format!(
                "Revision '{revision}' is referenced by the traffic of service '{}' and cannot be \
                 deleted.",
                self.id
            )));
        }
        Ok(())
    }

    /// URL of the service, or of one of its tags, on the sandbox's own port.
    fn url(&self, base: &str, tag: Option<&str>) -> String {
        let tag = tag.map(|tag| format!("{tag}---")).unwrap_or_default();
        format!(
            "{base}/run.app/{tag}{}-{}",
            self.host_label(),
            self.location
        )
    }

    /// The service as the API shows it. Members at their default are absent, as in protobuf's JSON.
    pub(super) fn view(&self, base: &str) -> Value {
        let mut view = self.spec.clone();
        let uri = self.url(base, None);
        let own_host = format!("https://{}.{}.run.app", self.host_label(), self.location);
        let mut output = json!({
            "name": self.name(),
            "uid": self.uid,
            "generation": self.generation.to_string(),
            "createTime": self.created.rfc3339(),
            "updateTime": self.updated.rfc3339(),
            "creator": "sandbox@example.com",
            "lastModifier": "sandbox@example.com",
            "latestCreatedRevision": self.revision_name(&self.latest_created),
            "terminalCondition": self.ready.view("Ready"),
            "conditions": [self.ready.view("RoutesReady"), self.ready.view("ConfigurationsReady")],
            "etag": self.etag(),
        });
        if self.observed > 0 {
            output["observedGeneration"] = self.observed.to_string().into();
        }
        if let Some(ready) = &self.latest_ready {
            output["latestReadyRevision"] = self.revision_name(ready).into();
            output["uri"] = uri.clone().into();
            output["urls"] = json!([uri, own_host]);
        }
        if self.reconciling() {
            output["reconciling"] = true.into();
        }
        if !self.traffic.is_empty() {
            let statuses = self
                .traffic
                .iter()
                .map(|route| self.traffic_status(route, base));
            output["trafficStatuses"] = statuses.collect();
        }
        extend(&mut view, output);
        view
    }

    fn traffic_status(&self, route: &Route, base: &str) -> Value {
        let mut status = Map::new();
        let kind = if route.latest { "LATEST" } else { "REVISION" };
        status.insert(
            "type".into(),
            format!("TRAFFIC_TARGET_ALLOCATION_TYPE_{kind}").into(),
        );
        if !route.latest {
            status.insert("revision".into(), route.revision.clone().into());
        }
        if route.percent > 0 {
            status.insert("percent".into(), route.percent.into());
        }
        if let Some(tag) = &route.tag {
            status.insert("tag".into(), tag.clone().into());
            status.insert("uri".into(), self.url(base, Some(tag)).into());
        }
        Value::Object(status)
    }

    fn revision_name(&self, id: &str) -> String {
        format!("{}/revisions/{id}", self.name())
    }

    /// What the inventory says of it.
    pub(super) fn summary(&self) -> Value {
        let mut summary = self.spec.clone();
        extend(
            &mut summary,
            json!({
                "state": self.ready.state.name(),
                "latestCreatedRevision": self.latest_created,
                "latestReadyRevision": self.latest_ready,
                "bindings": self.policy.bindings(),
            }),
        );
        summary
    }

    /// Instances that it may have at most, for quotas.
    pub(super) fn most_instances(&self) -> u64 {
        self.spec["template"]["scaling"]["maxInstanceCount"]
            .as_u64()
            .unwrap_or(100)
    }
}

impl Revision {
    /// Short name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The revision as the API shows it.
    pub(super) fn view(&self, service: &Service) -> Value {
        let mut view = without(&self.template, "healthCheckDisabled");
        extend(
            &mut view,
            json!({
                "name": service.revision_name(&self.name),
                "uid": self.uid,
                "generation": "1",
                "createTime": self.created.rfc3339(),
                "updateTime": self.ready.at.rfc3339(),
                "service": service.id,
                "creator": "sandbox@example.com",
                "launchStage": service.spec["launchStage"],
                "conditions": [
                    self.ready.view("Ready"),
                    self.ready.view("ResourcesAvailable"),
                    self.ready.view("ContainerHealthy"),
                ],
                "observedGeneration": "1",
                "etag": ids::etag(0, &[&self.uid]),
            }),
        );
        if self.ready.state == State::Reconciling {
            view["reconciling"] = true.into();
        }
        view
    }

    /// What the inventory says of it.
    pub(super) fn summary(&self) -> Value {
        json!({"state": self.ready.state.name()})
    }
}

/// The traffic of a spec must name revisions that there are, and add up to all of it.
pub(super) fn check_traffic(service: &Service) -> Result<(), Error> {
    let routes = service.routes();
    if let Some(route) = routes
        .iter()
        .find(|route| !service.revisions.contains_key(&route.revision))
    {
        return Err(Error::field(
            "traffic",
            format!(
                "Revision '{}' of service '{}' does not exist.",
                route.revision, service.id
            ),
        ));
    }
    let total: u64 = routes.iter().map(|route| route.percent).sum();
    if total != 100 {
        return Err(Error::field(
            "traffic",
            format!("Traffic percentages must add up to 100, not {total}."),
        ));
    }
    let mut tags: Vec<&String> = routes
        .iter()
        .filter_map(|route| route.tag.as_ref())
        .collect();
    tags.sort();
    if tags.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Error::field(
            "traffic",
            "Each traffic tag can be used only once.",
        ));
    }
    Ok(())
}

fn without(value: &Value, member: &str) -> Value {
    let mut copy = value.clone();
    if let Some(members) = copy.as_object_mut() {
        members.remove(member);
    }
    copy
}

fn extend(value: &mut Value, more: Value) {
    if let (Some(members), Value::Object(more)) = (value.as_object_mut(), more) {
        members.extend(more);
    }
}
