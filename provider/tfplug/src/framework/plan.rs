//! The plan pipeline: from what Terraform proposes to what the provider plans, as a pure function.
//!
//! ```text
//! proposed ─► defaults ─► write-only null ─► differs from prior? ─yes─► computed: unknown
//!                                                   │                        │
//!                                                   └─no──► plan modifiers ◄─┘
//!                                                              │
//!                                             planned, requires_replace, diagnostics
//! ```
//!
//! A change that changes nothing stays so: values become "known after apply" only where something
//! that the user configures is going to change.

use super::walk::{Node, Place, pairs, walk};
use crate::Diagnostics;
use crate::schema::{Attribute, Block, ModifyArgs, PlanModifier, ReplaceArgs, Schema};
use crate::value::{Dynamic, Path, Step};

/// What the pipeline makes of a proposed change.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The planned values.
    pub planned: Dynamic,
    /// Attributes whose change replaces the resource.
    pub requires_replace: Vec<Path>,
    /// Errors and warnings of plan modifiers.
    pub diagnostics: Diagnostics,
}

/// Runs the pipeline on a create or update. `prior` is null for a create; `proposed` is
/// Terraform's merge of configuration and prior state.
pub fn propose(schema: &Schema, config: &Dynamic, prior: &Dynamic, proposed: Dynamic) -> Proposal {
    let mut planned = proposed;
    apply_defaults(&schema.block, config, &mut planned);
    remove_write_only(&schema.block, &mut planned);
    let resource_changes = prior.is_null() || planned != *prior;
    if resource_changes {
        mark_unknown(&schema.block, config, &mut planned);
    }
    let diagnostics = run_modifiers(&schema.block, config, prior, &mut planned, resource_changes);
    let requires_replace = requires_replace(schema, config, prior, &planned);
    Proposal {
        planned,
        requires_replace,
        diagnostics,
    }
}

/// Puts the default wherever the configuration is null.
pub fn apply_defaults(block: &Block, config: &Dynamic, planned: &mut Dynamic) {
    walk(block, config, None, planned, &mut |node, place| {
        let Node::Attribute(attribute) = node else {
            return true;
        };
        if !place.config.is_null() {
            return true;
        }
        if let Some(default) = &attribute.default {
            *place.planned = default.clone();
        }
        false
    });
}

/// Sets every write-only value to null: such a value is in the configuration and nowhere else.
pub fn remove_write_only(block: &Block, value: &mut Dynamic) {
    walk(block, &Dynamic::Null, None, value, &mut |node, place| {
        if let Node::Attribute(Attribute {
            write_only: true, ..
        }) = node
        {
            *place.planned = Dynamic::Null;
            return false;
        }
        true
    });
}

/// Every path at which the schema says that this change replaces the resource.
pub fn requires_replace(
    schema: &Schema,
    config: &Dynamic,
    prior: &Dynamic,
    planned: &Dynamic,
) -> Vec<Path> {
    let mut found = Vec::new();
    if !prior.is_null() && !planned.is_null() {
        pairs(&schema.block, config, prior, planned, &mut |node, place| {
            if place.prior == place.planned {
                return false;
            }
            let args = ReplaceArgs {
                path: place.path,
                config: place.config,
                prior: place.prior,
                planned: place.planned,
            };
            if modifiers(node)
                .iter()
                .any(|modifier| modifier.replaces(&args))
            {
                push_replace(&mut found, place.path);
            }
            true
        });
    }
    found
}

/// Adds a path in the form that Terraform takes: the wire has no step into a set, so a change in
/// an element is a change of the set.
pub(super) fn push_replace(paths: &mut Vec<Path>, path: &Path) {
    let addressable = path
        .steps()
        .iter()
        .take_while(|step| !matches!(step, Step::Element(_)));
    let path = Path(addressable.cloned().collect());
    if !paths.contains(&path) {
        paths.push(path);
    }
}

/// Marks what the provider will decide: computed, and not configured.
fn mark_unknown(block: &Block, config: &Dynamic, planned: &mut Dynamic) {
    walk(block, config, None, planned, &mut |node, place| {
        let Node::Attribute(attribute) = node else {
            return true;
        };
        if !place.config.is_null() {
            return true;
        }
        if attribute.computed && attribute.default.is_none() {
            *place.planned = Dynamic::Unknown(attribute.refinement.clone());
        }
        false
    });
}

fn run_modifiers(
    block: &Block,
    config: &Dynamic,
    prior: &Dynamic,
    planned: &mut Dynamic,
    resource_changes: bool,
) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    let prior = (!prior.is_null()).then_some(prior);
    walk(
        block,
        config,
        prior,
        planned,
        &mut |node, place: Place<'_>| {
            for modifier in modifiers(node) {
                modifier.modify(&mut ModifyArgs {
                    path: place.path,
                    config: place.config,
                    prior: place.prior,
                    planned: place.planned,
                    resource_changes,
                    diagnostics: &mut diagnostics,
                });
            }
            true
        },
    );
    diagnostics
}

fn modifiers(node: Node<'_>) -> &[PlanModifier] {
    match node {
        Node::Attribute(attribute) => &attribute.plan_modifiers,
        Node::Block(block) => &block.plan_modifiers,
    }
}
