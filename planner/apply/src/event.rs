//! What can happen to a run. A run is the fold of its events, and these are all of them.

use std::fmt;
use std::time::Duration;

use openmodel_graph::graph::StepId;
use serde::{Deserialize, Serialize};

use crate::cloud::{Failure, Outcome, Seen};
use crate::report::Interruption;

/// One thing that happened. `Display` is a line for a progress log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// An executor takes the run up. What was under way when it was left is begun again, with
    /// a look.
    Resumed,
    /// A step that was ready is begun, with a look.
    Started(StepId),
    /// A step is begun to be taken back.
    UndoStarted(StepId),
    /// A look showed something.
    Looked {
        /// The step looked for.
        step: StepId,
        /// What is there.
        seen: Seen,
    },
    /// A look showed nothing, not even absence.
    Blind {
        /// The step looked for.
        step: StepId,
        /// Why nothing was seen.
        failure: Failure,
    },
    /// The cloud answered to `perform`.
    Answered {
        /// The step performed.
        step: StepId,
        /// The answer.
        outcome: Outcome,
    },
    /// The cloud answered to `undo`.
    UndoAnswered {
        /// The step taken back.
        step: StepId,
        /// The answer.
        outcome: Outcome,
    },
    /// The next try waits. For the log only: it does not change the run.
    Paused {
        /// The step that waits.
        step: StepId,
        /// For how long.
        pause: Duration,
    },
    /// A step has been set back too often.
    GivenUp(StepId),
    /// The run ends here: nothing more is done, and nothing is unwound.
    Stopped(Interruption),
}

impl Event {
    /// The step it happened to; `None` for what happens to the whole run.
    pub const fn step(&self) -> Option<StepId> {
        match self {
            Self::Started(step)
            | Self::UndoStarted(step)
            | Self::Looked { step, .. }
            | Self::Blind { step, .. }
            | Self::Answered { step, .. }
            | Self::UndoAnswered { step, .. }
            | Self::Paused { step, .. }
            | Self::GivenUp(step) => Some(*step),
            Self::Resumed | Self::Stopped(_) => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = self.step() {
            write!(f, "{step} ")?;
        }
        match self {
            Self::Resumed => f.write_str("begin"),
            Self::Started(_) => f.write_str("started"),
            Self::UndoStarted(_) => f.write_str("is taken back"),
            Self::Looked {
                seen: Seen::Absent, ..
            } => f.write_str("looked: absent"),
            Self::Looked {
                seen: Seen::Ours(output),
                ..
            } => {
                write!(f, "looked: ours, {}", output.id)
            }
            Self::Looked {
                seen: Seen::Broken(output, failure),
                ..
            } => {
                write!(f, "looked: broken, {}: {failure}", output.id)
            }
            Self::Looked {
                seen: Seen::Conflict(failure),
                ..
            } => {
                write!(f, "looked: in the way: {failure}")
            }
            Self::Blind { failure, .. } => write!(f, "could not look: {failure}"),
            Self::Answered {
                outcome: Outcome::Done(output),
                ..
            } => {
                write!(f, "done: {}", output.id)
            }
            Self::UndoAnswered {
                outcome: Outcome::Done(output),
                ..
            } => {
                write!(f, "undone: {}", output.id)
            }
            Self::Answered {
                outcome: Outcome::Refused(failure),
                ..
            } => {
                write!(f, "refused: {failure}")
            }
            Self::Answered {
                outcome: Outcome::Unknown(failure),
                ..
            } => {
                write!(f, "answer unknown: {failure}")
            }
            Self::UndoAnswered {
                outcome: Outcome::Refused(failure),
                ..
            } => {
                write!(f, "undo refused: {failure}")
            }
            Self::UndoAnswered {
                outcome: Outcome::Unknown(failure),
                ..
            } => {
                write!(f, "undo, answer unknown: {failure}")
            }
            Self::Paused { pause, .. } => write!(f, "waits {pause:.1?}"),
            Self::GivenUp(_) => f.write_str("given up"),
            Self::Stopped(why) => write!(f, "stopped: {why}"),
        }
    }
}
