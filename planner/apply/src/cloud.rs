//! The one door out: what a vendor's adapter does for the executor, and what it may answer.
//!
//! ```text
//!              ┌─ observe ─► Absent | Ours | Broken | Conflict      (no effect, ever)
//!  executor ───┼─ perform ─► Done | Refused | Unknown
//!              └─ undo    ─► Done | Refused | Unknown
//! ```
//!
//! An adapter never decides whether to try again after an answer: it says what it knows, and the
//! executor looks before it repeats anything.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use openmodel_graph::graph::StepId;
use openmodel_graph::key::StepKey;
use openmodel_graph::operation::Operation;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// One step as the cloud gets it: all that it needs is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Which step of the graph.
    pub step: StepId,
    /// What the object is marked with, so that any later run recognises it.
    pub key: StepKey,
    /// What to do; every [`Input`](openmodel_graph::operation::Input) in it is `Known`.
    pub operation: Operation,
}

/// What a step made or found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// What `Input::OutputOf` of this step stands for: the object's full name.
    pub id: String,
    /// What the caller wants to know beside it, such as the service's `uri`. Never a secret.
    pub facts: serde_json::Value,
}

impl Output {
    /// An object of which its name is all that is told.
    pub fn named(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            facts: serde_json::Value::Null,
        }
    }
}

/// What a look at the cloud shows. Looking has no effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// The operation's effect is not there. `perform` will bring it about.
    Absent,
    /// The effect is there and bears our key: nothing is left to do.
    Ours(Output),
    /// An object with our key is there, and its construction has failed for good, as that of a
    /// service whose container does not start. `perform` repairs it; `undo` removes it.
    Broken(Output, Failure),
    /// Something that is not ours, or that is finished and in use, stands in the way.
    /// The failure says what it is and how to take it over. Certainly nothing was changed.
    Conflict(Failure),
}

/// A cloud's answer to a call that is to have an effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The effect is there.
    Done(Output),
    /// The effect is certainly not there, and will not come later. A look may still show
    /// [`Seen::Broken`]: then what is there is named, and unwound.
    Refused(Failure),
    /// The answer was lost, or the time was up: look before trying again.
    Unknown(Failure),
}

/// Why a call did not do what it should. Holds no secret: it is shown and logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Canonical code of `google.rpc.Code`: `PERMISSION_DENIED`.
    pub code: String,
    /// What happened, to which object, in a sentence.
    pub message: String,
    /// The vendor's id of the request, for its support.
    pub request_id: Option<String>,
    /// Whether the same call may succeed a little later.
    pub transient: bool,
    /// The vendor's wish for how long to wait before the next try.
    pub retry_after: Option<Duration>,
    /// The next move, in a sentence.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure that stays: trying again will not help.
    pub fn lasting(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            request_id: None,
            transient: false,
            retry_after: None,
            hint: None,
        }
    }

    /// A failure that may pass.
    pub fn passing(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            transient: true,
            ..Self::lasting(code, message)
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n{hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// A cloud that can be looked at and changed.
///
/// `deadline` is when the executor stops listening: a call that cannot end before it answers
/// [`Outcome::Unknown`] (or a transient failure of a look) by then. Any of the futures may be
/// dropped at any await, so a call must leave nothing behind that a look with the same key does
/// not find.
pub trait Cloud: Send + Sync {
    /// Looks whether the call's effect is there. Waits while our object is still under
    /// construction. A failure means that nothing could be seen; it is repeated when transient.
    fn observe(
        &self,
        call: &Call,
        deadline: Instant,
    ) -> impl Future<Output = Result<Seen, Failure>> + Send;

    /// Brings the effect about, and waits until it is complete. Called only after a look that
    /// showed [`Seen::Absent`] or [`Seen::Broken`].
    fn perform(&self, call: &Call, deadline: Instant) -> impl Future<Output = Outcome> + Send;

    /// Takes the effect back; `Done` too where nothing is there. Called only for operations
    /// that [create](Operation::creates), with what a look or `perform` gave. Trying it again
    /// does no harm.
    fn undo(
        &self,
        call: &Call,
        output: &Output,
        deadline: Instant,
    ) -> impl Future<Output = Outcome> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_who_and_the_next_move() {
        let failure = Failure {
            request_id: Some("abc".to_owned()),
            hint: Some("Ask for the role roles/run.admin.".to_owned()),
            ..Failure::lasting(
                "PERMISSION_DENIED",
                "run.services.create is denied on acme-ml",
            )
        };
        assert_eq!(
            failure.to_string(),
            "PERMISSION_DENIED: run.services.create is denied on acme-ml (request abc)\n\
             Ask for the role roles/run.admin."
        );
    }
}
