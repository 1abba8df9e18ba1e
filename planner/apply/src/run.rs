//! The state of executing one graph: a pure fold over [`Event`]s. No I/O, no clock, no chance.
//!
//! ```text
//!  forwards                                   Ours
//!             deps done     started   ┌─────────────────────────────► Done
//!  Waiting ──────────► Ready ───────► Look ◄────────┐                  ▲
//!                                     │  │ Absent,  │ Refused, Unknown │ Done
//!                            Conflict │  │ Broken   │ (after a pause)  │
//!                                     ▼  └────► Perform ───────────────┘
//!                                  Failed ◄── Look, the last one, once refused for good
//!                                             or given up
//!
//!  backwards (a step was refused for good)
//!             started             Done
//!  Done ──────────────► Undoing ────────► Undone
//!                          └────────────► Left        refused for good, or given up
//! ```
//!
//! One refusal for good sends the whole run backwards:
//!
//! ```text
//!  Forward ──refused──► Settling ──steps under way have ended──► Unwinding ──► ended
//!     └─────no answer─► Stopping ──steps under way have ended──► ended, nothing unwound
//! ```
//!
//! Invariants: a step is begun only when all it needs is `Done`; it is performed only right
//! after a look that did not show it; it is undone only when all that stands on it is gone.

use std::collections::BTreeMap;

use openmodel_graph::graph::{ExecutionGraph, StepId};
use openmodel_graph::operation::{Input, Operation};
use serde::{Deserialize, Serialize};

use crate::cloud::{Call, Output};
use crate::event::Event;
use crate::report::{End, Interruption};
use crate::state::{Action, Cause, Move, Phase, Setback, StepState, Task, Try};

/// Executing one graph: where each step stands, and what can be done next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Document")]
pub struct Run {
    graph: ExecutionGraph,
    pub(crate) steps: Vec<StepState>,
    pub(crate) performs: Vec<u32>,
    pub(crate) phase: Phase,
    pub(crate) stopped: Option<Interruption>,
}

impl Run {
    /// A run that has not begun.
    pub fn new(graph: ExecutionGraph) -> Self {
        let mut run = Self {
            steps: vec![StepState::Waiting; graph.len()],
            performs: vec![0; graph.len()],
            phase: Phase::Forward,
            stopped: None,
            graph,
        };
        run.advance();
        run
    }

    /// The graph that is executed.
    pub fn graph(&self) -> &ExecutionGraph {
        &self.graph
    }

    /// Where a step stands; `None` where the graph has no such step.
    pub fn state(&self, step: StepId) -> Option<&StepState> {
        self.steps.get(index(step))
    }

    /// Takes in what happened. An event that does not fit where its step stands changes nothing.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Resumed => self.resume(),
            Event::Started(step) => self.start(step),
            Event::UndoStarted(step) => self.start_undo(step),
            Event::Looked { step, seen } => self.looked(step, seen),
            Event::Blind { step, failure } => self.blind(step, failure),
            Event::Answered { step, outcome } => self.answered(step, outcome),
            Event::UndoAnswered { step, outcome } => self.undo_answered(step, outcome),
            Event::GivenUp(step) => self.given_up(step),
            Event::Stopped(why) => self.stop(why),
            Event::Paused { .. } => {}
        }
        self.advance();
    }

    /// All that can be done now: what is under way first, then what can begin, by step.
    pub fn ready(&self) -> Vec<Task> {
        if self.stopped.is_some() {
            return vec![];
        }
        let mut tasks: Vec<Task> = self.ids().filter_map(|step| self.under_way(step)).collect();
        let fresh = |step, action| Task {
            step,
            action,
            fresh: true,
            setback: None,
        };
        if self.begins_steps() {
            let can_begin = self
                .ids()
                .filter(|step| self.at(*step) == &StepState::Ready);
            tasks.extend(can_begin.map(|step| fresh(step, Action::Look)));
        }
        tasks.extend(
            self.undoable()
                .into_iter()
                .map(|(step, output)| fresh(step, Action::Undo(output))),
        );
        tasks
    }

    /// The step as the cloud gets it; `None` while an input is not known.
    pub fn call(&self, step: StepId) -> Option<Call> {
        let known = |source: StepId| match self.state(source) {
            Some(StepState::Done(output) | StepState::Left { output, .. }) => {
                Ok(Input::Known(output.id.clone()))
            }
            _ => Err(()),
        };
        Some(Call {
            step,
            key: self.graph.key(step)?.clone(),
            operation: self.graph.operation(step)?.with_inputs(known).ok()?,
        })
    }

    /// How the run ended; `None` while something is under way or can be done.
    pub fn end(&self) -> Option<End> {
        match (&self.phase, &self.stopped) {
            (Phase::Forward | Phase::Stopping(_), Some(why)) => {
                Some(End::Interrupted { why: why.clone() })
            }
            (Phase::Settling(refused) | Phase::Unwinding(refused), Some(_)) => {
                Some(End::UndoFailed {
                    step: refused.step,
                    failure: refused.failure.clone(),
                })
            }
            (Phase::Unwinding(refused), None) if self.ready().is_empty() => {
                let Setback { step, failure } = refused.clone();
                Some(if self.left().is_empty() && self.unsettled().is_empty() {
                    End::Refused { step, failure }
                } else {
                    End::UndoFailed { step, failure }
                })
            }
            (Phase::Forward, None) => {
                let done = self
                    .steps
                    .iter()
                    .all(|state| matches!(state, StepState::Done(_)));
                done.then_some(End::Completed)
            }
            (Phase::Settling(_) | Phase::Unwinding(_) | Phase::Stopping(_), None) => None,
        }
    }

    /// Whether the run takes back what it made.
    pub fn is_unwinding(&self) -> bool {
        matches!(self.phase, Phase::Unwinding(_))
    }

    /// What the steps that are done gave.
    pub fn outputs(&self) -> BTreeMap<StepId, Output> {
        let output = |step| match self.at(step) {
            StepState::Done(output) => Some((step, output.clone())),
            _ => None,
        };
        self.ids().filter_map(output).collect()
    }

    /// How often a step was performed by this run.
    pub fn performed(&self, step: StepId) -> u32 {
        self.performs.get(index(step)).copied().unwrap_or_default()
    }

    /// Steps that may have had an effect that nobody has seen.
    pub fn unsettled(&self) -> Vec<StepId> {
        let in_doubt = |step: &StepId| match self.at(*step) {
            StepState::Running(attempt) => self.is_unwinding() || attempt.in_doubt(),
            // An earlier run may have left it, and unwinding could not look for it.
            StepState::Waiting | StepState::Ready => {
                self.is_unwinding() && self.owns_what_it_found()
            }
            StepState::Failed { cause, .. } => *cause == Cause::Unanswered,
            _ => false,
        };
        self.ids().filter(in_doubt).collect()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = StepId> {
        self.graph.steps().map(|(step, _)| step)
    }

    /// Where a step of the graph stands.
    pub(crate) fn at(&self, step: StepId) -> &StepState {
        &self.steps[index(step)]
    }

    pub(crate) fn set(&mut self, step: StepId, state: StepState) {
        self.steps[index(step)] = state;
    }

    pub(crate) fn is(&self, step: StepId, property: fn(&Operation) -> bool) -> bool {
        self.graph.operation(step).is_some_and(property)
    }

    /// Whether all that a step needs is done.
    pub(crate) fn needs_are_done(&self, step: StepId) -> bool {
        let done = |step: StepId| matches!(self.at(step), StepState::Done(_));
        self.graph.dependencies(step).into_iter().all(done)
    }

    pub(crate) fn any_running(&self) -> bool {
        self.steps
            .iter()
            .any(|state| matches!(state, StepState::Running(_)))
    }

    fn under_way(&self, step: StepId) -> Option<Task> {
        let (action, setbacks, failure) = match self.at(step) {
            StepState::Running(Try {
                next: Move::Perform,
                ..
            }) => (Action::Perform, 0, None),
            StepState::Running(attempt) => {
                let answer = attempt.answer.as_ref().map(|answer| &answer.failure);
                (
                    Action::Look,
                    attempt.setbacks,
                    attempt.blind.as_ref().or(answer),
                )
            }
            StepState::Undoing {
                output,
                setbacks,
                setback,
            } => (Action::Undo(output.clone()), *setbacks, setback.as_ref()),
            _ => return None,
        };
        let setback = failure
            .filter(|_| setbacks > 0)
            .map(|failure| (setbacks, failure.clone()));
        Some(Task {
            step,
            action,
            fresh: false,
            setback,
        })
    }
}

/// Position of a step in the lists of a run.
pub(crate) fn index(step: StepId) -> usize {
    usize::try_from(step.0).unwrap_or(usize::MAX)
}

/// A run as it is read: not trusted to fit together.
#[derive(Deserialize)]
struct Document {
    graph: ExecutionGraph,
    steps: Vec<StepState>,
    performs: Vec<u32>,
    phase: Phase,
    stopped: Option<Interruption>,
}

impl TryFrom<Document> for Run {
    type Error = String;

    fn try_from(document: Document) -> Result<Self, String> {
        let Document {
            graph,
            steps,
            performs,
            phase,
            stopped,
        } = document;
        if steps.len() != graph.len() || performs.len() != graph.len() {
            return Err(format!(
                "the run has {} states and {} counts for the {} steps of its graph; begin a new \
                 run, which finds what is there",
                steps.len(),
                performs.len(),
                graph.len()
            ));
        }
        Ok(Self {
            graph,
            steps,
            performs,
            phase,
            stopped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::{Failure, Outcome, Seen};
    use openmodel_graph::graph::GraphBuilder;

    /// Two steps, the second with the output of the first.
    fn run() -> Run {
        let mut builder = GraphBuilder::new("acme-ml/us-central1/chat");
        let first = builder.step(Operation::GrantSecretAccess {
            secret: Input::Known("projects/1/secrets/a".to_owned()),
        });
        builder.step(Operation::GrantSecretAccess {
            secret: Input::OutputOf(first),
        });
        Run::new(builder.freeze().expect("a graph"))
    }

    fn done(id: &str) -> Outcome {
        Outcome::Done(Output {
            id: id.to_owned(),
            facts: serde_json::Value::Null,
        })
    }

    const FIRST: StepId = StepId(0);
    const SECOND: StepId = StepId(1);

    #[test]
    fn a_step_is_called_with_the_output_of_the_step_before() {
        let mut run = run();
        assert_eq!(run.call(SECOND), None);
        run.apply(Event::Started(FIRST));
        run.apply(Event::Looked {
            step: FIRST,
            seen: Seen::Absent,
        });
        run.apply(Event::Answered {
            step: FIRST,
            outcome: done("projects/1/secrets/b"),
        });
        let call = run.call(SECOND).expect("its input is known");
        assert_eq!(
            call.operation,
            Operation::GrantSecretAccess {
                secret: Input::Known("projects/1/secrets/b".to_owned())
            }
        );
        assert_eq!(Some(&call.key), run.graph().key(SECOND));
        let ready: Vec<StepId> = run.ready().into_iter().map(|task| task.step).collect();
        assert_eq!(ready, [SECOND]);
    }

    #[test]
    fn an_event_that_does_not_fit_changes_nothing() {
        let failure = || Failure::lasting("INTERNAL", "odd");
        let begun = run();
        let mut looking = run();
        looking.apply(Event::Started(FIRST));
        for before in [begun, looking] {
            for step in [SECOND, StepId(7)] {
                let mut run = before.clone();
                run.apply(Event::Started(step));
                run.apply(Event::UndoStarted(step));
                run.apply(Event::Looked {
                    step,
                    seen: Seen::Conflict(failure()),
                });
                run.apply(Event::Blind {
                    step,
                    failure: failure(),
                });
                run.apply(Event::Answered {
                    step,
                    outcome: Outcome::Refused(failure()),
                });
                run.apply(Event::UndoAnswered {
                    step,
                    outcome: done("x"),
                });
                run.apply(Event::GivenUp(step));
                assert_eq!(run, before);
            }
            let mut run = before.clone();
            run.apply(Event::Answered {
                step: FIRST,
                outcome: done("x"),
            });
            assert_eq!(run, before, "no answer comes before a look");
        }
    }

    #[test]
    fn a_run_that_has_ended_cannot_be_stopped() {
        let mut run = Run::new(GraphBuilder::new("x").freeze().expect("no steps"));
        run.apply(Event::Stopped(Interruption::Cancelled));
        assert_eq!(run.end(), Some(End::Completed));
    }

    #[test]
    fn a_document_whose_parts_do_not_fit_is_refused() {
        let mut document = serde_json::to_value(run()).expect("a run can be written");
        document["steps"] = serde_json::json!([]);
        let error = serde_json::from_value::<Run>(document).expect_err("no states for two steps");
        assert_eq!(
            error.to_string(),
            "the run has 0 states and 2 counts for the 2 steps of its graph; begin a new run, \
             which finds what is there"
        );
    }
}
