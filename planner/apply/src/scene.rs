//! Short words for tests of the fold: small graphs, and events with a chosen content.

use openmodel_graph::graph::{GraphBuilder, StepId};
use openmodel_graph::operation::{Input, Operation};

use crate::cloud::{Failure, Outcome, Output, Seen};
use crate::event::Event;
use crate::run::Run;
use crate::state::{Action, StepState};

pub(crate) const S0: StepId = StepId(0);
pub(crate) const S1: StepId = StepId(1);
pub(crate) const S2: StepId = StepId(2);

/// A run that makes these many secrets, which do not depend on each other, and a grant on the
/// first of them.
pub(crate) fn secrets_and_a_grant(count: u32) -> Run {
    let mut builder = GraphBuilder::new("x");
    for number in 0..count {
        builder.step(Operation::CreateSecret {
            project: "acme-ml".parse().expect("a project id"),
            secret_id: format!("secret-{number}"),
            labels: [].into(),
        });
    }
    builder.step(Operation::GrantSecretAccess {
        secret: Input::OutputOf(S0),
    });
    Run::new(builder.freeze().expect("a graph"))
}

impl Run {
    /// Begins a step and sees nothing there: it is performed now.
    pub(crate) fn perform(&mut self, step: StepId) {
        self.apply(Event::Started(step));
        self.look(step, Seen::Absent);
    }

    pub(crate) fn look(&mut self, step: StepId, seen: Seen) {
        self.apply(Event::Looked { step, seen });
    }

    pub(crate) fn answer(&mut self, step: StepId, outcome: Outcome) {
        self.apply(Event::Answered { step, outcome });
    }

    /// Performs a step with success.
    pub(crate) fn make(&mut self, step: StepId) {
        self.perform(step);
        self.answer(step, Outcome::Done(output(step)));
    }

    /// Has a step refused for good, without an effect.
    pub(crate) fn refuse(&mut self, step: StepId) {
        self.perform(step);
        self.answer(step, Outcome::Refused(lasting()));
        self.look(step, Seen::Absent);
    }

    /// What can be done now.
    pub(crate) fn can(&self) -> Vec<(StepId, Action)> {
        self.ready()
            .into_iter()
            .map(|task| (task.step, task.action))
            .collect()
    }

    pub(crate) fn is_at(&self, step: StepId) -> &StepState {
        self.state(step).expect("a step of the graph")
    }
}

pub(crate) fn output(step: StepId) -> Output {
    Output {
        id: format!("made by {step}"),
        facts: serde_json::Value::Null,
    }
}

pub(crate) fn lasting() -> Failure {
    Failure::lasting("PERMISSION_DENIED", "never")
}

pub(crate) fn passing() -> Failure {
    Failure::passing("UNAVAILABLE", "later")
}
