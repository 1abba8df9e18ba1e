//! The rules that Terraform's core will apply to an answer, applied before it is sent.
//!
//! Terraform answers a broken rule with "Provider produced …", far from the cause. In debug
//! builds, hence in every test, the same rules speak here, with rule, place and values. A release
//! build leaves the last word to Terraform.

use crate::check::{self, Violation};
use crate::schema::Schema;
use crate::value::{Dynamic, Path};
use crate::{Diagnostic, Diagnostics};

const ACTIVE: bool = cfg!(debug_assertions);

pub(super) fn plan(
    schema: &Schema,
    prior: &Dynamic,
    config: &Dynamic,
    planned: &Dynamic,
    requires_replace: &[Path],
) -> Result<(), Diagnostics> {
    judge("Provider produced an invalid plan", || {
        let mut found = check::plan(schema, prior, config, planned);
        found.extend(check::replace_paths(prior, planned, requires_replace));
        found
    })
}

pub(super) fn applied(
    schema: &Schema,
    planned: &Dynamic,
    new: &Dynamic,
) -> Result<(), Diagnostics> {
    judge("Provider produced an inconsistent result", || {
        check::applied(schema, planned, new)
    })
}

pub(super) fn read(schema: &Schema, state: &Dynamic) -> Result<(), Diagnostics> {
    judge("Provider produced an invalid state", || {
        check::read(schema, state)
    })
}

pub(super) fn imported(schema: &Schema, state: &Dynamic) -> Result<(), Diagnostics> {
    judge("Provider produced an invalid import", || {
        check::imported(schema, state)
    })
}

pub(super) fn upgraded(schema: &Schema, state: &Dynamic) -> Result<(), Diagnostics> {
    judge("Provider produced an invalid upgraded state", || {
        check::upgraded(schema, state)
    })
}

pub(super) fn data(schema: &Schema, result: &Dynamic) -> Result<(), Diagnostics> {
    judge("Provider produced an invalid result", || {
        check::data(schema, result)
    })
}

pub(super) fn ephemeral(
    schema: &Schema,
    config: &Dynamic,
    result: &Dynamic,
) -> Result<(), Diagnostics> {
    judge("Provider produced an invalid result", || {
        check::ephemeral(schema, config, result)
    })
}

fn judge(summary: &str, check: impl FnOnce() -> Vec<Violation>) -> Result<(), Diagnostics> {
    let found = if ACTIVE { check() } else { Vec::new() };
    if found.is_empty() {
        return Ok(());
    }
    let diagnostic = |Violation {
                          rule,
                          path,
                          message,
                      }| {
        Diagnostic::error(summary).at(path).detail(format!(
            "The answer breaks a rule of Terraform ({rule}): {message}. This is a bug in the \
             provider, please report it."
        ))
    };
    Err(found.into_iter().map(diagnostic).collect())
}
