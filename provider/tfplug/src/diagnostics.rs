//! What the user is told: errors and warnings, each at a place in the configuration.
//!
//! ```
//! use tfplug::{Diagnostic, Diagnostics};
//!
//! let mut found = Diagnostics::new();
//! found.push(
//!     Diagnostic::error("Name is too long")
//!         .at("name")
//!         .detail("A name has at most 63 characters, this one has 70. Shorten it."),
//! );
//! assert!(found.has_errors());
//! ```
//!
//! A summary is short and without variable parts, so that equal problems read alike; the detail
//! is full sentences: who, where, why, and the next move.

use std::fmt;

use crate::value::Path;

/// Does it stop Terraform?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Stops the run.
    Error,
    /// Is shown, and the run goes on.
    Warning,
}

/// One message to the user.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Does it stop Terraform?
    pub severity: Severity,
    /// Short, no variable parts, no full stop.
    pub summary: String,
    /// Full sentences; ends with what to do.
    pub detail: String,
    /// The attribute it is about; `None`: the whole block.
    pub path: Option<Path>,
}

impl Diagnostic {
    /// An error, which stops the run.
    pub fn error(summary: impl Into<String>) -> Self {
        Self::new(Severity::Error, summary.into())
    }

    /// A warning, which is only shown.
    pub fn warning(summary: impl Into<String>) -> Self {
        Self::new(Severity::Warning, summary.into())
    }

    /// The attribute it is about.
    #[must_use]
    pub fn at(mut self, path: impl Into<Path>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// What happened, why, and the next move, in full sentences.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    fn new(severity: Severity, summary: String) -> Self {
        Self {
            severity,
            summary,
            detail: String::new(),
            path: None,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })?;
        if let Some(path) = &self.path {
            write!(f, " at {path}")?;
        }
        write!(f, ": {}", self.summary)?;
        if self.detail.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.detail)
        }
    }
}

/// Messages to the user, in the order in which they were found.
///
/// It is also the error type of the framework's calls: `?` works on a [`Diagnostic`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Is there none at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Is there an error among them?
    pub fn has_errors(&self) -> bool {
        self.0
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, more: I) {
        self.0.extend(more);
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_do_not_stop_and_errors_do() {
        let mut found = Diagnostics::from(Diagnostic::warning("Region is far away"));
        assert!(!found.has_errors());
        found.push(
            Diagnostic::error("No such region")
                .at("region")
                .detail("Use `us-central1`."),
        );
        assert!(found.has_errors());
        assert_eq!(
            found.to_string(),
            "warning: Region is far away\nerror at region: No such region: Use `us-central1`."
        );
    }
}
