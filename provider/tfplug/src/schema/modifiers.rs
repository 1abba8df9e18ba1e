//! Plan modifiers: what a change of one attribute means for the plan.
//!
//! | modifier | when to use it |
//! |---|---|
//! | `requires_replace` | the remote object cannot take the new value in place |
//! | `requires_replace_if` | … only some changes of it |
//! | `use_state_for_unknown` | fixed at creation: ids, addresses |
//! | `use_non_null_state_for_unknown` | appears late, then fixed |
//! | `PlanModifier::new` | a rule of your own about one attribute |
//!
//! Rules about several attributes belong into [`Resource::plan`](crate::framework::Resource::plan).

use std::fmt;
use std::sync::Arc;

use crate::Diagnostics;
use crate::value::{Dynamic, Path};

/// A change that may force replacement.
#[derive(Clone, Copy)]
pub struct ReplaceArgs<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// The value in the configuration; null where it is not configured.
    pub config: &'a Dynamic,
    /// The value in the state.
    pub prior: &'a Dynamic,
    /// The planned value, which differs from the prior one and may be unknown.
    pub planned: &'a Dynamic,
}

/// What a modifier of your own sees and may change.
pub struct ModifyArgs<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// The value in the configuration; null where it is not configured.
    pub config: &'a Dynamic,
    /// The value in the state; `None` where the object around it was not there before.
    pub prior: Option<&'a Dynamic>,
    /// The planned value; a configured value must stay as it is.
    pub planned: &'a mut Dynamic,
    /// Is anything about the resource going to change?
    pub resource_changes: bool,
    /// Errors and warnings.
    pub diagnostics: &'a mut Diagnostics,
}

/// A rule about a planned value.
#[derive(Clone)]
pub struct PlanModifier(Rule);

#[derive(Clone)]
enum Rule {
    Replace {
        reason: Option<String>,
        condition: Option<Condition>,
    },
    UseState {
        also_null: bool,
    },
    Custom {
        description: String,
        modify: Modify,
    },
}

type Condition = Arc<dyn Fn(&ReplaceArgs<'_>) -> bool + Send + Sync>;
type Modify = Arc<dyn Fn(&mut ModifyArgs<'_>) + Send + Sync>;

impl PlanModifier {
    /// Any change replaces the resource.
    pub fn requires_replace() -> Self {
        Self(Rule::Replace {
            reason: None,
            condition: None,
        })
    }

    /// A change replaces the resource where the condition holds; the reason completes "Changing
    /// this replaces the resource …".
    pub fn requires_replace_if(
        reason: impl Into<String>,
        condition: impl Fn(&ReplaceArgs<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self(Rule::Replace {
            reason: Some(reason.into()),
            condition: Some(Arc::new(condition)),
        })
    }

    /// Plans the prior value, null included, in place of an unknown one.
    pub fn use_state_for_unknown() -> Self {
        Self(Rule::UseState { also_null: true })
    }

    /// Plans the prior value, unless it is null, in place of an unknown one.
    pub fn use_non_null_state_for_unknown() -> Self {
        Self(Rule::UseState { also_null: false })
    }

    /// A rule of your own; the description is a Markdown sentence for the documentation, empty
    /// where there is nothing to tell.
    pub fn new(
        description: impl Into<String>,
        modify: impl Fn(&mut ModifyArgs<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self(Rule::Custom {
            description: description.into(),
            modify: Arc::new(modify),
        })
    }

    /// What the user should know of it.
    pub fn description(&self) -> Option<String> {
        match &self.0 {
            Rule::Replace { reason: None, .. } => {
                Some("Changing this replaces the resource.".to_owned())
            }
            Rule::Replace {
                reason: Some(reason),
                ..
            } => Some(format!("Changing this replaces the resource {reason}.")),
            Rule::UseState { .. } => None,
            Rule::Custom { description, .. } => Some(description.clone()),
        }
    }

    /// Does this change replace the resource?
    pub(crate) fn replaces(&self, args: &ReplaceArgs<'_>) -> bool {
        match &self.0 {
            Rule::Replace { condition, .. } => condition.as_ref().is_none_or(|holds| holds(args)),
            Rule::UseState { .. } | Rule::Custom { .. } => false,
        }
    }

    /// Changes the planned value by this rule.
    pub(crate) fn modify(&self, args: &mut ModifyArgs<'_>) {
        match &self.0 {
            Rule::Replace { .. } => {}
            Rule::UseState { also_null } => {
                // An unknown in the configuration is the user's, and may turn out as anything.
                if let Some(prior) = args.prior
                    && args.planned.is_unknown()
                    && args.config.is_null()
                    && (*also_null || !prior.is_null())
                {
                    *args.planned = prior.clone();
                }
            }
            Rule::Custom { modify, .. } => modify(args),
        }
    }
}

impl fmt::Debug for PlanModifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::Replace { reason, .. } => f.debug_tuple("RequiresReplace").field(reason).finish(),
            Rule::UseState { also_null } => f.debug_tuple("UseState").field(also_null).finish(),
            Rule::Custom { description, .. } => f.debug_tuple("Custom").field(description).finish(),
        }
    }
}
