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
use std::mem;

use openmodel_graph::graph::{ExecutionGraph, StepId};
use openmodel_graph::operation::{Input, Operation};
use serde::{Deserialize, Serialize};

use crate::cloud::{Call, Failure, Outcome, Output, Seen};
use crate::event::Event;
use crate::report::{End, Interruption};
use crate::state::{Action, Answer, Cause, Move, Phase, Setback, StepState, Task, Try};

/// Executing one graph: where each step stands, and what can be done next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Document")]
pub struct Run {
    graph: ExecutionGraph,
    pub(crate) steps: Vec<StepState>,
    performs: Vec<u32>,
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
            Some(StepState::Done(output)) => Ok(Input::Known(output.id.clone())),
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

    /// Takes the state out of a step that is under way, to be replaced by what comes next.
    fn take_try(&mut self, step: StepId) -> Option<Try> {
        match self.steps.get_mut(index(step)) {
            Some(state @ StepState::Running(_)) => match mem::replace(state, StepState::Waiting) {
                StepState::Running(attempt) => Some(attempt),
                _ => None,
            },
            _ => None,
        }
    }

    fn start(&mut self, step: StepId) {
        if self.state(step) == Some(&StepState::Ready) && self.begins_steps() {
            self.set(step, StepState::Running(Try::look(self.is_unwinding())));
        }
    }

    fn looked(&mut self, step: StepId, seen: Seen) {
        let Some(mut attempt) = self.take_try(step) else {
            return;
        };
        attempt.blind = None;
        let broken = match seen {
            Seen::Ours(output) => return self.set(step, StepState::Done(output)),
            Seen::Conflict(failure) => {
                let cause = Cause::Conflict;
                return self.set(
                    step,
                    StepState::Failed {
                        failure,
                        cause,
                        remains: None,
                    },
                );
            }
            Seen::Absent => None,
            Seen::Broken(output, failure) => Some((output, failure)),
        };
        let next = match (attempt.last, attempt.answer, broken) {
            (true, Some(Answer { failure, certain }), broken) => StepState::Failed {
                failure,
                cause: if certain {
                    Cause::Refused
                } else {
                    Cause::Unanswered
                },
                remains: broken.map(|(output, _)| output),
            },
            (false, answer, broken) if self.phase == Phase::Forward => {
                self.performs[index(step)] += 1;
                StepState::Running(Try {
                    next: Move::Perform,
                    answer,
                    remains: broken.map(|(output, _)| output),
                    ..attempt
                })
            }
            (_, _, Some((output, failure))) => StepState::Failed {
                failure,
                cause: Cause::Refused,
                remains: Some(output),
            },
            (true, None, None) => StepState::Undone,
            (false, _, None) => StepState::Ready,
        };
        self.set(step, next);
    }

    fn blind(&mut self, step: StepId, failure: Failure) {
        let Some(mut attempt) = self.take_try(step) else {
            return;
        };
        let next = if failure.transient {
            attempt.setbacks += 1;
            attempt.blind = Some(failure);
            StepState::Running(attempt)
        } else {
            // Where nothing was performed, being refused a look is being refused the step.
            let cause = match &attempt.answer {
                None if attempt.last => Cause::Unanswered,
                None => Cause::Refused,
                Some(answer) if answer.certain => Cause::Refused,
                Some(_) => Cause::Unanswered,
            };
            let failure = attempt.answer.map_or(failure, |answer| answer.failure);
            StepState::Failed {
                failure,
                cause,
                remains: attempt.remains,
            }
        };
        self.set(step, next);
    }

    fn answered(&mut self, step: StepId, outcome: Outcome) {
        let Some(mut attempt) = self.take_try(step) else {
            return;
        };
        if attempt.next != Move::Perform {
            return self.set(step, StepState::Running(attempt));
        }
        let (failure, certain) = match outcome {
            Outcome::Done(output) => return self.set(step, StepState::Done(output)),
            Outcome::Refused(failure) => (failure, true),
            Outcome::Unknown(failure) => (failure, false),
        };
        attempt.next = Move::Look;
        if certain && !failure.transient {
            attempt.last = true;
            attempt.setbacks = 0;
        } else {
            attempt.setbacks += 1;
        }
        attempt.answer = Some(Answer { failure, certain });
        self.set(step, StepState::Running(attempt));
    }

    fn given_up(&mut self, step: StepId) {
        if let Some(mut attempt) = self.take_try(step) {
            let next = match attempt.blind.take() {
                None => {
                    attempt.last = true;
                    attempt.setbacks = 0;
                    StepState::Running(attempt)
                }
                Some(blind) => StepState::Failed {
                    failure: attempt.answer.map_or(blind, |answer| answer.failure),
                    cause: Cause::Unanswered,
                    remains: attempt.remains,
                },
            };
            self.set(step, next);
        } else if let Some(StepState::Undoing {
            output,
            setback: Some(failure),
            ..
        }) = self.state(step).cloned()
        {
            self.set(step, StepState::Left { output, failure });
        }
    }

    fn stop(&mut self, why: Interruption) {
        if self.end().is_none() {
            self.stop_unwinding(&why);
            self.stopped = Some(why);
        }
    }

    /// Forgets what was under way: the cloud knows better. What is done stays done as long as
    /// all that it stands on does.
    fn resume(&mut self) {
        self.phase = Phase::Forward;
        self.stopped = None;
        for step in self.graph.order().to_vec() {
            if self.at(step) == &StepState::Undone {
                self.performs[index(step)] = 0;
            }
            let stays = matches!(self.at(step), StepState::Done(_)) && self.needs_are_done(step);
            if !stays {
                self.set(step, StepState::Waiting);
            }
        }
    }

    /// Draws the conclusions from what has just been taken in.
    fn advance(&mut self) {
        if self.stopped.is_some() {
            return;
        }
        if self.phase == Phase::Forward {
            self.turn_around();
        }
        if !self.any_running() {
            match self.phase.clone() {
                Phase::Settling(refused) => self.begin_unwinding(refused),
                Phase::Stopping(Setback { step, failure }) => {
                    self.stopped = Some(Interruption::Unanswered { step, failure });
                }
                Phase::Forward | Phase::Unwinding(_) => {}
            }
        }
        match self.phase {
            Phase::Forward => self.wake(),
            Phase::Unwinding(_) => self.advance_unwinding(),
            Phase::Settling(_) | Phase::Stopping(_) => {}
        }
    }

    /// Leaves the way forward once a step has failed.
    fn turn_around(&mut self) {
        let failed = self.ids().find_map(|step| match self.at(step) {
            StepState::Failed { failure, cause, .. } => Some((
                Setback {
                    step,
                    failure: failure.clone(),
                },
                *cause,
            )),
            _ => None,
        });
        match failed {
            Some((setback, Cause::Unanswered)) => self.phase = Phase::Stopping(setback),
            Some((setback, Cause::Refused | Cause::Conflict)) => {
                self.phase = Phase::Settling(setback);
            }
            None => {}
        }
    }

    /// Makes ready what waits for nothing any more.
    pub(crate) fn wake(&mut self) {
        for step in self.ids().collect::<Vec<_>>() {
            if self.at(step) == &StepState::Waiting && self.needs_are_done(step) {
                self.set(step, StepState::Ready);
            }
        }
    }

    /// Whether steps that are ready may begin: always forwards; backwards, where they are only
    /// looked at, for what an earlier run left.
    fn begins_steps(&self) -> bool {
        match self.phase {
            Phase::Forward => true,
            Phase::Unwinding(_) => self.owns_what_it_found(),
            Phase::Settling(_) | Phase::Stopping(_) => false,
        }
    }
}

fn index(step: StepId) -> usize {
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
