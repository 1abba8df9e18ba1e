//! A cloud in memory that loses answers, refuses, is slow, and takes down each thing that an
//! executor must never do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use openmodel_apply::cloud::{Call, Cloud, Failure, Outcome, Output, Seen};
use openmodel_graph::graph::{ExecutionGraph, StepId};
use openmodel_graph::key::StepKey;
use openmodel_graph::operation::{Input, Operation};
use tokio::time::{Instant, sleep};

/// How the cloud misbehaves. What happens to a call is a function of the seed, the step's key
/// and how often the step was called so, not of the order in which steps come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    /// Percentage of calls that go wrong in a way that passes; of each step's calls of a kind
    /// only the first two do.
    pub(crate) trouble: u64,
    /// Steps that are refused for good, and whether a broken object stays behind.
    pub(crate) refused: BTreeMap<StepId, bool>,
    /// Steps whose place is taken by something that is not ours.
    pub(crate) taken: BTreeSet<StepId>,
    /// Steps whose undo is refused for good.
    pub(crate) stuck: BTreeSet<StepId>,
    /// Steps whose answers are always lost: before the effect, or after it.
    pub(crate) silent: BTreeMap<StepId, Lost>,
    /// Longest that a call takes before and after its effect, in milliseconds.
    pub(crate) slow: u64,
}

/// When an answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    Before,
    After,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Verb {
    Observe,
    Perform,
    Undo,
}

/// What is in the cloud: the id of each object by the key it bears, and whether it is broken.
pub(crate) type Inventory = BTreeMap<StepKey, (String, bool)>;

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) objects: Inventory,
    /// How often each step had its effect.
    pub(crate) effects: BTreeMap<StepKey, u32>,
    /// What must never happen, but did.
    pub(crate) offences: Vec<String>,
    looked: BTreeSet<StepKey>,
    calls: BTreeMap<(StepKey, Verb), u64>,
    under_way: usize,
    pub(crate) widest: usize,
}

pub(crate) struct Fake {
    graph: ExecutionGraph,
    pub(crate) script: Script,
    world: Mutex<World>,
}

impl Fake {
    pub(crate) fn new(graph: ExecutionGraph, script: Script) -> Self {
        Self {
            graph,
            script,
            world: Mutex::default(),
        }
    }

    pub(crate) fn graph(&self) -> &ExecutionGraph {
        &self.graph
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world
            .lock()
            .expect("no call panics while it holds the world")
    }

    /// Forgets what was looked at: a new executor has not looked at anything.
    pub(crate) fn begin(&self) {
        self.world().looked.clear();
    }

    pub(crate) fn inventory(&self) -> Inventory {
        self.world().objects.clone()
    }

    /// The objects that bear the key of a step that creates.
    pub(crate) fn created(&self) -> BTreeSet<StepId> {
        let creates = self
            .graph
            .steps()
            .filter(|(_, operation)| operation.creates());
        creates
            .map(|(step, _)| step)
            .filter(|step| self.has(*step))
            .collect()
    }

    pub(crate) fn has(&self, step: StepId) -> bool {
        self.key(step)
            .is_some_and(|key| self.world().objects.contains_key(key))
    }

    fn key(&self, step: StepId) -> Option<&StepKey> {
        self.graph.key(step)
    }

    fn roll(&self, key: &StepKey, verb: Verb, count: u64, what: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.script.seed, key, verb, count, what).hash(&mut hasher);
        hasher.finish()
    }

    /// Counts the call, and says what passing trouble it meets, as a number to choose by.
    fn trouble(&self, call: &Call, verb: Verb) -> (u64, Option<u64>) {
        let mut world = self.world();
        let calls = world.calls.entry((call.key.clone(), verb)).or_default();
        let count = *calls;
        *calls += 1;
        let happens = self.roll(&call.key, verb, count, "whether") % 100 < self.script.trouble;
        let kind = self.roll(&call.key, verb, count, "which");
        (count, (happens && count < 2).then_some(kind))
    }

    async fn wait(&self, call: &Call, verb: Verb, count: u64, when: &str) {
        let millis = self.roll(&call.key, verb, count, when) % (self.script.slow + 1);
        sleep(Duration::from_millis(millis)).await;
    }

    fn enter(&self) -> UnderWay<'_> {
        let mut world = self.world();
        world.under_way += 1;
        world.widest = world.widest.max(world.under_way);
        UnderWay(self)
    }

    /// Everything a step needs must be there, whole, before the step is even looked at.
    fn check_needs(&self, call: &Call, verb: Verb) {
        let whole = |step: &StepId| {
            let world = self.world();
            self.key(*step)
                .and_then(|key| world.objects.get(key))
                .is_some_and(|found| !found.1)
        };
        let missing: Vec<StepId> = self
            .graph
            .dependencies(call.step)
            .into_iter()
            .filter(|step| !whole(step))
            .collect();
        if !missing.is_empty() {
            self.offend(format!("{verb:?} of {} before {missing:?}", call.step));
        }
    }

    fn offend(&self, offence: String) {
        self.world().offences.push(offence);
    }

    fn output(id: &str) -> Output {
        Output {
            id: id.to_owned(),
            facts: serde_json::Value::Null,
        }
    }

    /// Brings the effect about. What is not an object of its own is made *on* the first input,
    /// and goes with it.
    fn effect(&self, call: &Call, broken: bool) -> Output {
        let object = call.operation.creates() || call.operation.presupposes();
        let host = match call.operation.inputs().first() {
            Some(Input::Known(host)) if !object => format!("{host}/"),
            _ => String::new(),
        };
        let id = format!("{host}{}-{}", call.operation.name(), call.step);
        let mut world = self.world();
        if world
            .objects
            .get(&call.key)
            .is_some_and(|(_, broken)| !broken)
        {
            world
                .offences
                .push(format!("{} had its effect twice", call.step));
        }
        *world.effects.entry(call.key.clone()).or_default() += 1;
        world.objects.insert(call.key.clone(), (id.clone(), broken));
        Self::output(&id)
    }
}

impl Cloud for Fake {
    async fn observe(&self, call: &Call, _: Instant) -> Result<Seen, Failure> {
        let _under_way = self.enter();
        self.check_needs(call, Verb::Observe);
        let (count, trouble) = self.trouble(call, Verb::Observe);
        self.wait(call, Verb::Observe, count, "before").await;
        if trouble.is_some() {
            return Err(Failure::passing("UNAVAILABLE", "try later"));
        }
        let seen = {
            let mut world = self.world();
            world.looked.insert(call.key.clone());
            match world.objects.get(&call.key) {
                _ if self.script.taken.contains(&call.step) => {
                    Seen::Conflict(Failure::lasting("ALREADY_EXISTS", "it is not ours"))
                }
                None => Seen::Absent,
                Some((id, false)) => Seen::Ours(Self::output(id)),
                Some((id, true)) => {
                    let failure = Failure::lasting("FAILED_PRECONDITION", "it does not start");
                    Seen::Broken(Self::output(id), failure)
                }
            }
        };
        self.wait(call, Verb::Observe, count, "after").await;
        Ok(seen)
    }

    async fn perform(&self, call: &Call, _: Instant) -> Outcome {
        let _under_way = self.enter();
        self.check_needs(call, Verb::Perform);
        if !self.world().looked.remove(&call.key) {
            self.offend(format!("{} was performed without a look", call.step));
        }
        let (count, trouble) = self.trouble(call, Verb::Perform);
        self.wait(call, Verb::Perform, count, "before").await;
        let lost = match (
            self.script.silent.get(&call.step),
            trouble.map(|kind| kind % 3),
        ) {
            (Some(lost), _) => Some(*lost),
            (None, None) => None,
            (None, Some(0)) => Some(Lost::Before),
            (None, Some(1)) => Some(Lost::After),
            (None, Some(_)) => {
                let retry_after = Some(Duration::from_millis(30));
                return Outcome::Refused(Failure {
                    retry_after,
                    ..Failure::passing("RESOURCE_EXHAUSTED", "slower, please")
                });
            }
        };
        let unknown = Outcome::Unknown(Failure::passing("UNAVAILABLE", "the answer was lost"));
        if lost == Some(Lost::Before) {
            return unknown;
        }
        if let Some(broken) = self.script.refused.get(&call.step) {
            if *broken {
                self.effect(call, true);
            }
            return Outcome::Refused(Failure::lasting("PERMISSION_DENIED", "never"));
        }
        let output = self.effect(call, false);
        self.wait(call, Verb::Perform, count, "after").await;
        if lost == Some(Lost::After) {
            unknown
        } else {
            Outcome::Done(output)
        }
    }

    async fn undo(&self, call: &Call, output: &Output, _: Instant) -> Outcome {
        let _under_way = self.enter();
        if !call.operation.creates() {
            self.offend(format!("{} was undone, but creates nothing", call.step));
        }
        for user in above(&self.graph, call.step) {
            if self.graph.operation(user).is_some_and(Operation::creates) && self.has(user) {
                self.offend(format!("{} was undone beneath {user}", call.step));
            }
        }
        let (count, trouble) = self.trouble(call, Verb::Undo);
        self.wait(call, Verb::Undo, count, "before").await;
        let unknown = Outcome::Unknown(Failure::passing("UNAVAILABLE", "the answer was lost"));
        if self.script.stuck.contains(&call.step) {
            return Outcome::Refused(Failure::lasting("PERMISSION_DENIED", "it stays"));
        }
        if trouble.is_some_and(|kind| kind % 2 == 0) {
            return unknown;
        }
        let parts = format!("{}/", output.id);
        self.world()
            .objects
            .retain(|_, (id, _)| *id != output.id && !id.starts_with(&parts));
        self.wait(call, Verb::Undo, count, "after").await;
        if trouble.is_some() {
            unknown
        } else {
            Outcome::Done(output.clone())
        }
    }
}

/// A call that is being answered, or that was dropped.
struct UnderWay<'a>(&'a Fake);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.world().under_way -= 1;
    }
}

/// All that needs this step, directly or not.
fn above(graph: &ExecutionGraph, step: StepId) -> BTreeSet<StepId> {
    let mut found = BTreeSet::new();
    let mut open = vec![step];
    while let Some(step) = open.pop() {
        open.extend(
            graph
                .dependents(step)
                .into_iter()
                .filter(|user| found.insert(*user)),
        );
    }
    found
}
