//! Conditions: how far a resource of Cloud Run has come, and why not further.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Time;
use crate::faults::OperationPlan;

/// One condition, apart from its type.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Condition {
    pub(super) state: State,
    pub(super) at: Time,
    pub(super) message: String,
    reason: Option<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    Reconciling,
    Succeeded,
    Failed,
}

/// Why it failed, by the member of the API that says so.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Reason {
    /// `reason`
    Common(String),
    /// `revisionReason`
    Revision(String),
    /// `executionReason`
    Execution(String),
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Reconciling => "CONDITION_RECONCILING",
            Self::Succeeded => "CONDITION_SUCCEEDED",
            Self::Failed => "CONDITION_FAILED",
        }
    }
}

impl Condition {
    pub(super) fn reconciling(at: Time) -> Self {
        Self {
            state: State::Reconciling,
            at,
            message: String::new(),
            reason: None,
        }
    }

    pub(super) fn succeeded(at: Time) -> Self {
        Self {
            state: State::Succeeded,
            ..Self::reconciling(at)
        }
    }

    pub(super) fn failed(at: Time, message: &str, reason: Option<Reason>) -> Self {
        Self {
            state: State::Failed,
            at,
            message: message.to_owned(),
            reason,
        }
    }

    /// Failed as a fault rule has it.
    pub(super) fn planned(
        at: Time,
        failure: &OperationPlan,
        reason: impl FnOnce(String) -> Reason,
    ) -> Self {
        Self::failed(at, &failure.message, failure.reason.clone().map(reason))
    }

    /// The same failure for another reason.
    pub(super) fn because(self, reason: Reason) -> Self {
        Self {
            reason: Some(reason),
            ..self
        }
    }

    /// As the API shows it, under this type.
    pub(super) fn view(&self, kind: &str) -> Value {
        let mut view = json!({
            "type": kind,
            "state": self.state.name(),
            "lastTransitionTime": self.at.rfc3339(),
        });
        if self.state == State::Failed {
            view["severity"] = "ERROR".into();
            view["message"] = self.message.clone().into();
        }
        match &self.reason {
            Some(Reason::Common(reason)) => view["reason"] = reason.as_str().into(),
            Some(Reason::Revision(reason)) => view["revisionReason"] = reason.as_str().into(),
            Some(Reason::Execution(reason)) => view["executionReason"] = reason.as_str().into(),
            None => {}
        }
        view
    }
}
