//! Where each step of a run stands. The picture of how they follow each other is in
//! [`run`](crate::run).

use openmodel_graph::graph::StepId;
use serde::{Deserialize, Serialize};

use crate::cloud::{Failure, Output};

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// A step that it needs is not done.
    Waiting,
    /// It can be begun.
    Ready,
    /// It is under way.
    Running(Try),
    /// Its effect is there.
    Done(Output),
    /// It was not done, and will not be tried again.
    Failed {
        /// Why.
        failure: Failure,
        /// What is known of the effect.
        cause: Cause,
        /// The broken object that it left.
        remains: Option<Output>,
    },
    /// Its effect is being taken back.
    Undoing {
        /// What is to go.
        output: Output,
        /// Setbacks so far.
        setbacks: u32,
        /// The last of them.
        setback: Option<Failure>,
    },
    /// Its effect is not there: taken back, gone with what it was made on, or, as a look
    /// showed, never made.
    Undone,
    /// Its effect could not be taken back.
    Left {
        /// What is still there.
        output: Output,
        /// Why.
        failure: Failure,
    },
}

/// What is known of the effect of a step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Certainly no effect, apart from a broken object that a look showed.
    Refused,
    /// Certainly no effect: something that is not ours stands in the way.
    Conflict,
    /// Nothing is known.
    Unanswered,
}

/// A step under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Try {
    /// Whether the step is looked at now, or performed.
    pub next: Move,
    /// Setbacks so far; the executor gives up when they are too many.
    pub setbacks: u32,
    /// The cloud's last answer to `perform`, where it was not `Done`.
    pub answer: Option<Answer>,
    /// Why the last look showed nothing.
    pub blind: Option<Failure>,
    /// Whether this is the look that decides: the step is not performed again.
    pub last: bool,
    /// The broken object that was seen.
    pub remains: Option<Output>,
}

impl Try {
    /// The first look at a step, or the last and only one.
    pub(crate) const fn look(last: bool) -> Self {
        Self {
            next: Move::Look,
            setbacks: 0,
            answer: None,
            blind: None,
            last,
            remains: None,
        }
    }

    /// Whether the step may have had an effect, were it only a broken object, that nobody has
    /// seen.
    pub(crate) const fn in_doubt(&self) -> bool {
        matches!(self.next, Move::Perform) || self.answer.is_some()
    }
}

/// What a step under way does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    /// Looks.
    Look,
    /// Performs, after a look.
    Perform,
}

/// An answer that was not `Done`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What the cloud said.
    pub failure: Failure,
    /// Whether it is certain that there was no effect.
    pub certain: bool,
}

/// Which way the run goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// Doing.
    Forward,
    /// That step was refused for good: what is under way ends, nothing new begins.
    Settling(Setback),
    /// That step was refused for good, and nothing is under way: what was made is taken back.
    Unwinding(Setback),
    /// That step got no answer: what is under way ends, nothing is taken back.
    Stopping(Setback),
}

/// What turned a run around.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Setback {
    pub(crate) step: StepId,
    pub(crate) failure: Failure,
}

/// Something that can be done now.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// For which step.
    pub step: StepId,
    /// What.
    pub action: Action,
    /// Whether the step is not under way yet: [`Event::Started`](crate::event::Event::Started) or
    /// [`Event::UndoStarted`](crate::event::Event::UndoStarted) comes first.
    pub fresh: bool,
    /// Number and last failure of its setbacks, where it must pause before.
    pub setback: Option<(u32, Failure)>,
}

/// What to do for a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// [`Cloud::observe`](crate::cloud::Cloud::observe).
    Look,
    /// [`Cloud::perform`](crate::cloud::Cloud::perform).
    Perform,
    /// [`Cloud::undo`](crate::cloud::Cloud::undo).
    Undo(Output),
}
