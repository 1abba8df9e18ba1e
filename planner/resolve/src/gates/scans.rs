//! What the scanners say of the files that are kept, and what that leads to.

use openmodel_schemas::repository::{RepoFile, RepositoryCard, ScanState, ScanStatus};

use super::formats::lets_pickles_in;
use super::{
    Asker, Finding, Gates, ON_UNSAFE, OnUnsafe, OnUnscanned, Unasked, Verdict, naming, page,
};

const ON_UNSCANNED: &str = "scan.on_unscanned";

/// Next moves where nobody has said anything yet.
const LATER: &str = "Apply later, or set scan.on_unscanned = \"wait\" or \"warn\".";
const WAITS: &str = "The apply waits for them, as scan.on_unscanned = \"wait\" asks.";

pub(super) fn judge(
    gates: &Gates,
    card: &RepositoryCard,
    kept: &[RepoFile],
    verdict: &mut Verdict,
) {
    let (mut silent, mut queued, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for file in kept {
        let path = file.path.as_str();
        match state(card, path) {
            Some(ScanState::Safe) => {}
            Some(found @ (ScanState::Unsafe | ScanState::Suspicious)) => {
                let finding = Finding {
                    attribute: ON_UNSAFE,
                    summary: "A scanner reports the file",
                    detail: format!(
                        "{path} is {found}{}. See {} before anything else: {}take another revision; only if the \
                         report is known to be wrong, set scan.on_unsafe = \"warn\".",
                        report(card, path),
                        page(card, path),
                        match gates.asker {
                            Asker::Cache => "leave it out with exclude, or ",
                            Asker::Endpoint => "",
                        }
                    ),
                };
                match gates.scan.on_unsafe {
                    OnUnsafe::Fail => verdict.refused.push(finding),
                    OnUnsafe::Warn => verdict.warnings.push(finding),
                }
            }
            Some(ScanState::Caution) => verdict.warnings.push(Finding {
                attribute: ON_UNSAFE,
                summary: "A scanner advises caution",
                detail: format!("{path}{}: see {}.", report(card, path), page(card, path)),
            }),
            Some(ScanState::Queued) => queued.push(path),
            Some(ScanState::Unscanned) => silent.push(path),
            Some(ScanState::Error) | None => unknown.push(path),
        }
    }
    let coming: Vec<&str> = queued.iter().chain(&silent).copied().collect();
    unscanned(gates, &coming, &unknown, card, verdict);
}

/// Files that nobody has a verdict on: some will have one, of others the Hub cannot tell.
fn unscanned(
    gates: &Gates,
    coming: &[&str],
    unknown: &[&str],
    card: &RepositoryCard,
    verdict: &mut Verdict,
) {
    let later = |next: &str| Finding {
        attribute: ON_UNSCANNED,
        summary: "The Hub's scanners are not done",
        detail: format!("Not scanned yet: {}. {next}", naming(coming)),
    };
    let never = |next: &str| Finding {
        attribute: ON_UNSCANNED,
        summary: "No scanner has a verdict",
        detail: format!(
            "The Hub gives no verdict on {} (its scanners failed, it is a mirror, or it was read offline). {next}",
            naming(unknown)
        ),
    };
    let warn = if lets_pickles_in(gates) {
        "formats lets pickles in, which run code when they are loaded: set scan.on_unscanned = \"fail\" or \"wait\"."
    } else {
        "Set scan.on_unscanned to \"wait\" or \"fail\" to be stricter."
    };
    let no_wait = format!(
        "There is nothing to wait for: look at {}, and set scan.on_unscanned = \"warn\" to go on.",
        page(card, unknown.first().copied().unwrap_or_default())
    );
    let (coming, unknown) = (!coming.is_empty(), !unknown.is_empty());
    match gates.scan.on_unscanned {
        OnUnscanned::Fail => {
            verdict.refused.extend(coming.then(|| later(LATER)));
            verdict.refused.extend(unknown.then(|| never(&no_wait)));
        }
        OnUnscanned::Wait => {
            verdict.waiting.extend(coming.then(|| later(WAITS)));
            verdict.refused.extend(unknown.then(|| never(&no_wait)));
        }
        OnUnscanned::Warn => {
            verdict.warnings.extend(coming.then(|| later(warn)));
            verdict.warnings.extend(unknown.then(|| never(warn)));
        }
    }
}

impl Verdict {
    /// Adds what a scanner outside of the Hub was to be asked and was not.
    pub fn unasked(&mut self, gates: &Gates, unasked: &Unasked) {
        let paths: Vec<&str> = unasked.paths.iter().map(String::as_str).collect();
        let finding = |next: &str| Finding {
            attribute: ON_UNSCANNED,
            summary: "VirusTotal was not asked about all files",
            detail: format!("Not looked up: {}: {}. {next}", naming(&paths), unasked.why),
        };
        match gates.scan.on_unscanned {
            OnUnscanned::Fail => self.refused.push(finding(LATER)),
            OnUnscanned::Wait => self.waiting.push(finding(WAITS)),
            OnUnscanned::Warn => self.warnings.push(finding(
                "Set scan.on_unscanned to \"wait\" or \"fail\" to be stricter.",
            )),
        }
    }
}

/// The worst verdict on a file; where the Hub said nothing of it alone, that on the repository.
pub(super) fn state(card: &RepositoryCard, path: &str) -> Option<ScanState> {
    let reported = |files: &[String]| files.iter().any(|file| file == path);
    let of_all = match &card.scan {
        ScanStatus::Safe => Some(ScanState::Safe),
        ScanStatus::Unsafe { files } if reported(files) => Some(ScanState::Unsafe),
        ScanStatus::Pending => Some(ScanState::Queued),
        ScanStatus::Unsafe { .. } | ScanStatus::Unknown => None,
    };
    match card.scans.get(path) {
        // Reported for the repository, though the file's own entry says less.
        Some(scan) if of_all == Some(ScanState::Unsafe) => {
            Some(scan.worst().max(ScanState::Suspicious))
        }
        Some(scan) => Some(scan.worst()),
        None => of_all,
    }
}

/// ` by ClamAV (Eicar-Test)`, and what a pickle would import.
fn report(card: &RepositoryCard, path: &str) -> String {
    let Some(scan) = card.scans.get(path) else {
        return " by the Hub's scanners".to_owned();
    };
    let found = scan
        .scanners
        .iter()
        .filter(|report| report.state >= ScanState::Caution);
    let words: Vec<String> = found
        .map(|report| match &report.message {
            Some(message) => format!("{} ({message})", report.scanner),
            None => report.scanner.clone(),
        })
        .collect();
    let bad = scan
        .imports
        .iter()
        .filter(|import| import.safety != "innocuous");
    let imports: Vec<&str> = bad.map(|import| import.name.as_str()).collect();
    let by = if words.is_empty() {
        " by the Hub's scanners".to_owned()
    } else {
        format!(" by {}", words.join(", "))
    };
    if imports.is_empty() {
        by
    } else {
        format!("{by}; it imports {}", imports.join(", "))
    }
}
