//! How a run ended, and what exists after it.

use std::collections::BTreeMap;
use std::fmt;

use openmodel_graph::graph::StepId;
use serde::{Deserialize, Serialize};

use crate::cloud::{Failure, Output};
use crate::run::Run;

/// The outcome of a run, complete enough to write state and to tell the user both ways on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub end: End,
    /// What the steps that are done gave, whether this run made it or found it.
    pub outputs: BTreeMap<StepId, Output>,
    /// Objects of this graph that exist although the run did not complete.
    pub left: Vec<Left>,
    /// Steps of which nobody knows whether they had their effect: an answer was lost or not
    /// waited for, and no look followed.
    pub unsettled: Vec<StepId>,
    /// How often each step was performed. Zero: it was found, or not reached.
    pub attempts: BTreeMap<StepId, u32>,
}

/// The four ways in which a run ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Every step is done.
    Completed,
    /// A step was refused for good, and what this run had made is gone again.
    Refused {
        /// The step.
        step: StepId,
        /// Why.
        failure: Failure,
    },
    /// The run was ended from outside, or the cloud gave no answer. Nothing was unwound, so
    /// that the next run can continue.
    Interrupted {
        /// By whom or what.
        why: Interruption,
    },
    /// A step was refused for good, and not all that this run had made could be taken back:
    /// [`Report::left`] says what is still there, and why.
    UndoFailed {
        /// The step that was refused.
        step: StepId,
        /// Why it was refused.
        failure: Failure,
    },
}

/// Why a run was ended before its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interruption {
    /// The caller asked for it.
    Cancelled,
    /// The time for it was up.
    Deadline,
    /// A step was tried until the attempts were used up, and whether it had its effect could
    /// not be seen.
    Unanswered {
        /// The step.
        step: StepId,
        /// The last failure.
        failure: Failure,
    },
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("it was cancelled"),
            Self::Deadline => f.write_str("its time was up"),
            Self::Unanswered { step, failure } => write!(f, "{step} got no answer: {failure}"),
        }
    }
}

impl From<&Interruption> for Failure {
    fn from(why: &Interruption) -> Self {
        match why {
            Interruption::Cancelled => Self::passing("CANCELLED", why.to_string()),
            Interruption::Deadline => Self::passing("DEADLINE_EXCEEDED", why.to_string()),
            Interruption::Unanswered { failure, .. } => failure.clone(),
        }
    }
}

/// An object that exists after a run that did not complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Left {
    /// The step that makes it.
    pub step: StepId,
    /// The object.
    pub output: Output,
    /// Why it could not be taken back; `None` where the run was interrupted and did not try.
    pub failure: Option<Failure>,
}

impl Report {
    /// The report of a run with this end.
    pub(crate) fn new(run: &Run, end: End) -> Self {
        Self {
            outputs: run.outputs(),
            left: if end == End::Completed {
                vec![]
            } else {
                run.left()
            },
            unsettled: run.unsettled(),
            attempts: run
                .graph()
                .steps()
                .map(|(step, _)| (step, run.performed(step)))
                .collect(),
            end,
        }
    }
}
