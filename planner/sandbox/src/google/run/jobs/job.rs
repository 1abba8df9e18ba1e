//! A job: what was asked for, whether it can run, and how the API shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::super::policy::Policy;
use super::super::Place;
use super::super::condition::{Condition, State};
use super::execution::Execution;
use crate::clock::Time;
use crate::ids;
use crate::world::World;

/// One job with its executions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(super) project: String,
    pub(super) location: String,
    pub(super) id: String,
    uid: String,
    created: Time,
    pub(super) updated: Time,
    pub(super) generation: u64,
    observed: u64,
    /// What a client may set, with the server's defaults.
    pub(super) spec: Value,
    ready: Condition,
    pub(super) policy: Policy,
    /// By short name.
    pub(super) executions: BTreeMap<String, Execution>,
    /// How many there ever were: part of the next one's name.
    pub(super) runs: u64,
    /// Short name of the last one.
    pub(super) latest: Option<String>,
    writes: u64,
}

impl Job {
    pub(super) fn new(world: &mut World, place: &Place, spec: Value) -> Self {
        let now = world.now();
        Self {
            project: place.project.clone(),
            location: place.location.clone(),
            id: place.id.clone(),
            uid: world.fresh("job", &place.job()),
            created: now,
            updated: now,
            generation: 1,
            observed: 0,
            spec,
            ready: Condition::reconciling(now),
            policy: Policy::default(),
            executions: BTreeMap::new(),
            runs: 0,
            latest: None,
            writes: 0,
        }
    }

    /// Full resource name.
    pub(super) fn name(&self) -> String {
        format!(
            "projects/{}/locations/{}/jobs/{}",
            self.project, self.location, self.id
        )
    }

    pub(super) fn etag(&self) -> String {
        ids::etag(self.writes, &[&self.uid, &self.generation.to_string()])
    }

    pub(super) fn reconciling(&self) -> bool {
        self.ready.state == State::Reconciling
    }

    /// Start working off the spec.
    pub(super) fn begin(&mut self, now: Time) {
        self.writes += 1;
        self.updated = now;
        self.ready = Condition::reconciling(now);
    }

    /// The spec is worked off, or could not be.
    pub(super) fn settle(&mut self, ready: Condition) {
        self.observed = self.generation;
        self.ready = ready;
    }

    /// The short name of the next execution.
    pub(super) fn next_run(&mut self, seed: u64) -> String {
        self.runs += 1;
        let letters = ids::letters(seed, &[&self.name(), &self.runs.to_string()], 5);
        let id = format!("{}-{letters}", self.id);
        self.latest = Some(id.clone());
        id
    }

    /// The image of its one container.
    pub(super) fn image(&self) -> &str {
        image(&self.spec["template"]["template"])
    }

    /// The job as the API shows it.
    pub(in super::super) fn view(&self) -> Value {
        let mut view = self.spec.clone();
        let mut output = json!({
            "name": self.name(),
            "uid": self.uid,
            "generation": self.generation.to_string(),
            "createTime": self.created.rfc3339(),
            "updateTime": self.updated.rfc3339(),
            "creator": "sandbox@example.com",
            "lastModifier": "sandbox@example.com",
            "terminalCondition": self.ready.view("Ready"),
            "etag": self.etag(),
        });
        if self.observed > 0 {
            output["observedGeneration"] = self.observed.to_string().into();
        }
        if self.runs > 0 {
            output["executionCount"] = self.runs.into();
        }
        let latest = self.latest.as_ref();
        if let Some(latest) = latest.and_then(|id| self.executions.get(id)) {
            output["latestCreatedExecution"] = latest.reference();
        }
        if self.reconciling() {
            output["reconciling"] = true.into();
        }
        if let (Some(members), Value::Object(output)) = (view.as_object_mut(), output) {
            members.extend(output);
        }
        view
    }

    /// What the inventory says of it.
    pub(super) fn summary(&self) -> Value {
        let mut summary = self.spec.clone();
        summary["state"] = self.ready.state.name().into();
        summary["bindings"] = self.policy.bindings();
        summary
    }
}

/// The image of the one container of a task.
pub(super) fn image(task: &Value) -> &str {
    task["containers"][0]["image"].as_str().unwrap_or_default()
}
