//! May these files of a repository be moved and served: licence, formats, scans, and who signed them.
//!
//! ```text
//!   RepositoryCard, kept files ─► licence in the list? ─► formats ─► scans ─► Verdict
//!                                                                            ├ refused: not a byte moves
//!                                                                            ├ waiting: the scanners are not done
//!                                                                            └ warnings
//! ```
//!
//! Who signed them is not seen in a card: [`signature`] is given what must be read for it.
//!
//! Only files that are kept decide; of the others it is said if one is unsafe. Whether a gated
//! repository can be read at all is not for this file: `Hub::can_read` asks.

mod formats;
mod scans;
pub mod signature;

use openmodel_schemas::repository::{RepoFile, RepositoryCard, ScanState};
use openmodel_schemas::snapshot::RepositoryType;

pub use formats::{FORMATS, is_format};
use signature::SignatureGate;

/// The attributes, as configurations name them.
const LICENSES: &str = "licenses";
const ON_UNSAFE: &str = "scan.on_unsafe";

/// Most files that a reason names.
const MOST_NAMED: usize = 3;

/// What is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates {
    /// Who asks.
    pub asker: Asker,
    /// Licence identifiers, or names of an `other` one; `None`: any.
    pub licenses: Option<Vec<String>>,
    /// Words of [`FORMATS`], or single endings such as `bin`; `None`: any but pickles.
    pub formats: Option<Vec<String>>,
    /// What verdicts of scanners lead to.
    pub scan: ScanGate,
    /// Whose signature is asked for; `None`: nobody's.
    pub signature: Option<SignatureGate>,
}

/// Who asks: it decides what can be done about a finding, and how the repository's attribute is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Asker {
    /// A cache, which chooses the files that it keeps.
    #[default]
    Cache,
    /// An endpoint, which loads what its engine loads.
    Endpoint,
}

/// What verdicts of scanners lead to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanGate {
    /// Where a scanner says `unsafe` or `suspicious`.
    pub on_unsafe: OnUnsafe,
    /// Where the scanners have said nothing yet, or could not tell.
    pub on_unscanned: OnUnscanned,
}

/// What is done with a file that a scanner does not like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnUnsafe {
    /// Refused: who asks for it nevertheless has to say so.
    #[default]
    Fail,
    /// A warning.
    Warn,
}

/// What is done with a file that no scanner has a verdict on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnUnscanned {
    /// Refused.
    Fail,
    /// Waited for.
    Wait,
    /// A warning. The default: what is let in without further words (anything but pickles) does not run
    /// when it is loaded, and some files are never scanned, so that a stricter default would only teach
    /// people to turn the gate off. Who lets pickles in does well to set `fail`, and is told so.
    #[default]
    Warn,
}

/// What the gates say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why not a byte may move; none: it may.
    pub refused: Vec<Finding>,
    /// What the scanners have still to say before it may.
    pub waiting: Vec<Finding>,
    /// What is worth knowing.
    pub warnings: Vec<Finding>,
}

/// One thing that is against it, or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The attribute that decides it: `scan.on_unsafe`.
    pub attribute: &'static str,
    /// A short text without variable parts.
    pub summary: &'static str,
    /// Which file, the fact, and the next move: full sentences.
    pub detail: String,
}

impl Verdict {
    /// Whether it may be moved now.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.refused.is_empty() && self.waiting.is_empty()
    }
}

/// Files that a scanner outside of the Hub was to be asked about, and was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unasked {
    /// Their paths.
    pub paths: Vec<String>,
    /// Why not, as a part of a sentence.
    pub why: String,
}

/// Judge the files of a repository that are kept.
#[must_use]
pub fn judge(gates: &Gates, card: &RepositoryCard, kept: &[RepoFile]) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.refused.extend(licence(gates, card));
    formats::judge(gates, card, kept, &mut verdict);
    scans::judge(gates, card, kept, &mut verdict);
    left_out(gates, card, kept, &mut verdict);
    code(gates, card, kept, &mut verdict);
    verdict
}

fn licence(gates: &Gates, card: &RepositoryCard) -> Option<Finding> {
    let allowed = gates.licenses.as_ref()?;
    let has = &card.licence;
    let listed = |name: &String| allowed.contains(name);
    // Several are the terms of several parts, and each of them is kept.
    let by_id = !has.ids.is_empty() && has.ids.iter().all(listed);
    let by_name = has.id() == Some("other") && has.name.as_ref().is_some_and(listed);
    if by_id || by_name {
        return None;
    }
    if has.ids.is_empty() {
        return Some(Finding {
            attribute: LICENSES,
            summary: "Licence is not known",
            detail: format!(
                "{} states no licence, and licenses allows {} only. Ask its authors, choose another \
                 repository, or leave licenses out.",
                card.repository.id,
                listing(allowed)
            ),
        });
    }
    let by_its_name = has.name.as_ref().filter(|_| has.id() == Some("other"));
    let missing: Vec<String> = if let Some(name) = by_its_name {
        vec![format!("{name:?}")]
    } else {
        let missing = has.ids.iter().filter(|id| !listed(id));
        missing.map(|id| format!("{id:?}")).collect()
    };
    Some(Finding {
        attribute: LICENSES,
        summary: "Licence is not allowed",
        detail: format!(
            "The licence of {} is {has}; licenses allows {}. Choose another repository, or add {} if its \
             terms suit you.",
            card.repository.id,
            listing(allowed),
            missing.join(" and ")
        ),
    })
}

fn left_out(gates: &Gates, card: &RepositoryCard, kept: &[RepoFile], verdict: &mut Verdict) {
    let is_kept = |path: &str| kept.iter().any(|file| file.path == path);
    let bad = |file: &&RepoFile| {
        !is_kept(&file.path) && scans::state(card, &file.path) >= Some(ScanState::Suspicious)
    };
    let unsafe_files: Vec<&str> = card
        .files
        .iter()
        .filter(bad)
        .map(|file| file.path.as_str())
        .collect();
    if !unsafe_files.is_empty() {
        verdict.warnings.push(Finding {
            attribute: ON_UNSAFE,
            summary: "A scanner reports a file that is left out",
            detail: format!(
                "Scanners report {}. It is not {}; but look whether you trust {}.",
                naming(&unsafe_files),
                match gates.asker {
                    Asker::Cache => "kept",
                    Asker::Endpoint => "loaded",
                },
                card.repository.id
            ),
        });
    }
}

/// Code of the repository's own runs only where an engine is told to trust it.
fn code(gates: &Gates, card: &RepositoryCard, kept: &[RepoFile], verdict: &mut Verdict) {
    let python: Vec<&str> = kept
        .iter()
        .map(|file| file.path.as_str())
        .filter(|path| formats::ending(path).as_deref() == Some("py"))
        .collect();
    // The code of an application is what it is; a dataset's is not run by what loads it any more.
    let model = card.repository.kind == RepositoryType::Model;
    if !model || (python.is_empty() && !card.custom_code) {
        return;
    }
    let what = if python.is_empty() {
        "its configuration names classes elsewhere".to_owned()
    } else {
        naming(&python)
    };
    verdict.warnings.push(Finding {
        attribute: match gates.asker {
            Asker::Cache => "repository",
            Asker::Endpoint => "model",
        },
        summary: "The repository brings code of its own",
        detail: format!(
            "{} brings code: {what}. An engine runs it only with --trust-remote-code; read it before you set that.",
            card.repository.id
        ),
    });
}

/// The file's page on the Hub, where the reports are.
fn page(card: &RepositoryCard, path: &str) -> String {
    let repository = &card.repository;
    let place = match repository.kind {
        RepositoryType::Model => repository.id.to_string(),
        _ => repository.to_string(),
    };
    format!("https://huggingface.co/{place}/blob/{}/{path}", card.commit)
}

/// `a, b, c and 4 more`.
fn naming(paths: &[&str]) -> String {
    let shown = paths
        .iter()
        .take(MOST_NAMED)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match paths.len().saturating_sub(MOST_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn listing(words: &[String]) -> String {
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

#[cfg(test)]
mod tests;
