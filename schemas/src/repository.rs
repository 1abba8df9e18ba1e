//! The facts of any Hub repository at one commit: model, dataset or space.
//!
//! ```text
//!   of the commit, for ever      files, last_modified
//!   as the Hub has it now        gating, private, licence, …, scan, scans: asked again by each run
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::{CommitSha, ModelId};
use crate::quantity::Bytes;
use crate::snapshot::Repository;

/// A repository at a commit: its files, its terms, and what scanners say of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryCard {
    /// The repository, by the name the Hub answers with (a renamed repository has its new name).
    pub repository: Repository,
    /// The commit.
    pub commit: CommitSha,
    /// When the commit was made: RFC 3339.
    pub last_modified: Option<String>,
    /// Every file, by path.
    pub files: Vec<RepoFile>,
    /// Under which terms it is given.
    pub licence: Licence,
    /// Whether the Hub asks for acceptance of terms before files can be read.
    pub gating: Gating,
    /// Whether the repository is private.
    pub private: bool,
    /// What the Hub's scanners say of the repository as a whole.
    pub scan: ScanStatus,
    /// What they say of each file, by path. A file that is not here: the Hub said nothing of it.
    pub scans: BTreeMap<String, FileScan>,
    /// `transformers`, `peft`, `diffusers`, …
    pub library: Option<String>,
    /// `text-generation`, `feature-extraction`, …
    pub pipeline_tag: Option<String>,
    /// What an adapter, a quantisation or a fine-tune was made from.
    pub base_models: Vec<ModelId>,
    /// Whether the Hub marks it as one that loads only with code of its own (`custom_code`).
    pub custom_code: bool,
}

/// One file of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoFile {
    /// Path inside the repository.
    pub path: String,
    /// Size in bytes.
    pub size: Bytes,
    /// SHA-256 of the content, for files in large-file storage.
    pub sha256: Option<String>,
    /// Git blob id (`sha1("blob " + size + "\0" + content)`, of the pointer for large files).
    pub git_oid: String,
}

/// The terms that a repository's card states.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// Identifiers such as `apache-2.0`, `llama3.1` or `other`; datasets sometimes have several.
    pub ids: Vec<String>,
    /// The name of an `other` one.
    pub name: Option<String>,
    /// Where the text of an `other` one is.
    pub link: Option<String>,
}

impl Licence {
    /// The first identifier, which is the only one of most.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.ids.first().map(String::as_str)
    }
}

/// `apache-2.0`, `other (gemma, https://…)`, `unknown`.
impl fmt::Display for Licence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ids.is_empty() {
            return f.write_str("unknown");
        }
        f.write_str(&self.ids.join(", "))?;
        let more: Vec<&str> = [&self.name, &self.link]
            .into_iter()
            .filter_map(|text| text.as_deref())
            .collect();
        if more.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", more.join(", "))
    }
}

/// Whether a repository's files wait behind terms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gating {
    /// Open to everyone.
    #[default]
    None,
    /// Access is granted at once to who accepts the terms.
    Auto,
    /// The owner grants each access by hand.
    Manual,
}

/// What the Hub's scanners say of a repository. The Hub's own words: a missing badge means "not yet
/// scanned".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ScanStatus {
    /// All scans are done and none found an issue.
    Safe,
    /// Scanners reported these files.
    Unsafe {
        /// Paths with issues.
        files: Vec<String>,
    },
    /// Scans are queued or running.
    Pending,
    /// The Hub says nothing about scans.
    #[default]
    Unknown,
}

/// What the Hub's scanners say of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileScan {
    /// The Hub's own verdict.
    pub state: ScanState,
    /// What each scanner says.
    pub scanners: Vec<ScannerReport>,
    /// What a pickle would import when it is loaded.
    pub imports: Vec<PickleImport>,
}

/// A scanner's word on a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannerReport {
    /// As people call it: `ClamAV`, `VirusTotal`.
    pub scanner: String,
    /// Its verdict.
    pub state: ScanState,
    /// What it found, in its own words.
    pub message: Option<String>,
}

/// What a pickle imports: `os.system`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PickleImport {
    /// `module.name`.
    pub name: String,
    /// `innocuous`, `suspicious` or `dangerous`, by the Hub.
    pub safety: String,
}

/// A verdict on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanState {
    /// Scanned, and nothing was found.
    Safe,
    /// Nobody has looked yet.
    Unscanned,
    /// The scan is on its way.
    Queued,
    /// The scanner could not tell.
    Error,
    /// Worth a look.
    Caution,
    /// It may do harm.
    Suspicious,
    /// It does harm.
    Unsafe,
}

impl ScanState {
    /// The Hub's word; `None` for one that is not known here.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Some(match word {
            "safe" => Self::Safe,
            "unscanned" => Self::Unscanned,
            "queued" => Self::Queued,
            "error" => Self::Error,
            "caution" => Self::Caution,
            "suspicious" => Self::Suspicious,
            "unsafe" => Self::Unsafe,
            _ => return None,
        })
    }

    /// The Hub's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Unscanned => "unscanned",
            Self::Queued => "queued",
            Self::Error => "error",
            Self::Caution => "caution",
            Self::Suspicious => "suspicious",
            Self::Unsafe => "unsafe",
        }
    }
}

impl fmt::Display for ScanState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FileScan {
    /// The worst that anyone says of it. A scanner that has not looked says nothing: most look at some
    /// kinds of files only, and the Hub's own verdict waits for those that count.
    #[must_use]
    pub fn worst(&self) -> ScanState {
        let found = self.scanners.iter().map(|report| report.state);
        found
            .filter(|state| *state >= ScanState::Caution)
            .chain([self.state])
            .max()
            .unwrap_or(self.state)
    }
}
