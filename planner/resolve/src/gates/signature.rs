//! Did someone who may sign these files: `OpenSSF` Model Signing (`model.sig`), compared with what is kept.
//!
//! ```text
//!   SignatureGate ─► bundle: which file ─► (read) ─► verify ─► Signed ─► to_read: files in Git ─► (read, hashed)
//!                                                                └──────► judge: each kept file, its digest ◄┘
//! ```
//!
//! What is signed and left out by a cache's patterns is no matter; what is kept and not signed is refused, and so
//! is a repository that lacks what was signed. Files that no engine
//! reads may be left out by the signature itself (`ignore_paths`); one that serves never is.

mod bundle;
mod key;

use std::collections::BTreeMap;

use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::repository::{RepoFile, RepositoryCard};

use super::formats::ending;
use super::{Asker, Finding, MOST_NAMED, naming};

pub use key::{KeyError, PublicKey};

/// The attributes, as configurations name them.
const GATE: &str = "require_signature";
const KEYS: &str = "require_signature.public_keys";
const FILE: &str = "require_signature.file";

/// Bound of the signature's file: it has some 250 bytes for each file that is signed.
const LARGEST: Bytes = Bytes(8 << 20);

/// Bounds of what is read of one repository to hash what the Hub keeps in Git, where it knows no SHA-256:
/// far above any model, and a third of the 3,000 reads that the Hub grants an anonymous caller in five minutes.
const MOST_READ: usize = 1_000;
const MOST_BYTES: Bytes = Bytes(256 << 20);

/// Digits of a digest that are shown.
const DIGITS: usize = 16;

/// Endings of what no engine reads: pages and pictures. `.txt` is not among them: vocabularies have it.
const APART: [&str; 10] = [
    "md", "pdf", "png", "jpg", "jpeg", "gif", "svg", "webp", "bib", "cff",
];

/// Names of what no engine reads, wherever it lies.
const TERMS: [&str; 4] = ["LICENSE", "LICENSE.txt", "NOTICE", "NOTICE.txt"];

/// What `model_signing` never signs, unless it is told to.
const OF_GIT: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];

/// Whose signature is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureGate {
    /// One of them must have signed.
    pub keys: Vec<PublicKey>,
    /// Path of the signature inside the repository.
    pub file: String,
}

/// What was signed, by one of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// SHA-256 in hexadecimal, by path.
    files: BTreeMap<String, String>,
    /// Paths of files and folders that were left out when it was signed.
    ignored: Vec<String>,
}

impl SignatureGate {
    /// The signature's file in the repository.
    pub fn bundle<'a>(&self, card: &'a RepositoryCard) -> Result<&'a RepoFile, Finding> {
        let found = card.files.iter().find(|file| file.path == self.file);
        let place = place(card);
        let file = found.ok_or_else(|| Finding {
            attribute: FILE,
            summary: "There is no signature",
            detail: format!(
                "{place} has no {}. Who releases it signs the folder with `model_signing sign key FOLDER --private_key \
                 KEY --signature FOLDER/model.sig` and uploads that too. Choose a repository or revision that is \
                 signed, or set file to where its signature lies.",
                self.file
            ),
        })?;
        if file.size > LARGEST {
            return Err(Finding {
                attribute: FILE,
                summary: "Signature is too large",
                detail: format!(
                    "{} of {place} has {} bytes, and no signature has more than {}. Set file to the path of the \
                     signature.",
                    self.file, file.size.0, LARGEST.0
                ),
            });
        }
        Ok(file)
    }

    /// What the signature's content signs, if one of the keys made it.
    pub fn verify(&self, card: &RepositoryCard, content: &[u8]) -> Result<Signed, Finding> {
        use bundle::BundleError as Error;
        bundle::open(content, &self.keys).map_err(|error| {
            let (attribute, summary) = match &error {
                Error::NotABundle(_) => (FILE, "Signature cannot be read"),
                Error::Keyless(_) | Error::Form(_) => {
                    (FILE, "Signature is of a kind that is not verified")
                }
                Error::OtherKey { .. } => (KEYS, "Signed with another key"),
                Error::Wrong { .. } | Error::Inconsistent(_) => (GATE, "Signature is wrong"),
            };
            Finding {
                attribute,
                summary,
                detail: format!("{} of {} {error}", self.file, place(card)),
            }
        })
    }

    /// Holds files against what was signed. `digests` has the SHA-256, by Git id, of the files that
    /// [`Signed::to_read`] names.
    #[must_use]
    pub fn judge(
        &self,
        signed: &Signed,
        asker: Asker,
        card: &RepositoryCard,
        files: &[RepoFile],
        digests: &BTreeMap<String, String>,
    ) -> Vec<Finding> {
        let (mut unsigned, mut excused, mut differ) = (Vec::new(), Vec::new(), Vec::new());
        for file in files.iter().filter(|file| file.path != self.file) {
            let path = file.path.as_str();
            match signed.files.get(path) {
                Some(signed) => {
                    let has = file.sha256.as_ref().or_else(|| digests.get(&file.git_oid));
                    let has = has.map_or("unknown", String::as_str);
                    if !has.eq_ignore_ascii_case(signed) {
                        differ.push((path, signed.as_str(), has));
                    }
                }
                None if is_within(path, &OF_GIT) && is_apart(path) => {}
                None if is_within(path, &signed.ignored) => {
                    if !is_apart(path) {
                        excused.push(path);
                    }
                }
                None => unsigned.push(path),
            }
        }
        let there = |path: &str| card.files.iter().any(|file| file.path == path);
        let gone = signed.files.keys().map(String::as_str);
        let gone: Vec<&str> = gone
            .filter(|path| *path != self.file && !there(path))
            .collect();
        let place = place(card);
        let move_on = match asker {
            Asker::Cache => "leave out with exclude what is not needed",
            Asker::Endpoint => {
                "serve from an openmodel_cache that leaves out what is not needed and has require_signature itself"
            }
        };
        let mut found = Vec::new();
        if !differ.is_empty() {
            found.push(Finding {
                attribute: GATE,
                summary: "Files differ from what was signed",
                detail: format!(
                    "{place}: {}. Take the revision that was signed, or have this one signed; if nobody of yours \
                     changed them, do not use them.",
                    differing(&differ)
                ),
            });
        }
        if !gone.is_empty() {
            found.push(Finding {
                attribute: GATE,
                summary: "Signed files are missing",
                detail: format!(
                    "{} of {place} signs {}, and the repository has them no more: without them it may serve otherwise. \
                     Take the revision that was signed, or have this one signed.",
                    self.file,
                    names(&gone)
                ),
            });
        }
        if !unsigned.is_empty() {
            found.push(Finding {
                attribute: GATE,
                summary: "Files are not signed",
                detail: format!(
                    "{} of {place} does not sign {}. Have them signed, or {move_on}; if nobody of yours added them, do \
                     not use them.",
                    self.file,
                    names(&unsigned)
                ),
            });
        }
        if !excused.is_empty() {
            found.push(Finding {
                attribute: GATE,
                summary: "The signature leaves out files that serve",
                detail: format!(
                    "ignore_paths in {} of {place} leaves out {}. Only pages and pictures may be left out: have the \
                     folder signed with them, or {move_on}.",
                    self.file,
                    names(&excused)
                ),
            });
        }
        found
    }
}

impl Signed {
    /// The files of which the Hub knows no SHA-256, and that must be read to be judged. One that was not
    /// signed is refused unread.
    pub fn to_read<'a>(
        &self,
        card: &RepositoryCard,
        files: &'a [RepoFile],
    ) -> Result<Vec<&'a RepoFile>, Finding> {
        let unknown =
            |file: &&RepoFile| file.sha256.is_none() && self.files.contains_key(&file.path);
        let files: Vec<&RepoFile> = files.iter().filter(unknown).collect();
        let bytes: Bytes = files.iter().map(|file| file.size).sum();
        if files.len() <= MOST_READ && bytes <= MOST_BYTES {
            return Ok(files);
        }
        Err(Finding {
            attribute: GATE,
            summary: "Too many files to compare",
            detail: format!(
                "{} keeps {} files of {} bytes in Git itself, where the Hub knows no SHA-256 and each has to be read; \
                 a plan reads at most {MOST_READ} files and {} bytes. Put large files in LFS or Xet, or keep fewer in an \
                 openmodel_cache with exclude.",
                place(card),
                files.len(),
                bytes.0,
                MOST_BYTES.0
            ),
        })
    }
}

/// The files that must be signed: those that a cache keeps, and for an endpoint all. An engine that reads the
/// Hub chooses by what it finds there (a chat template, an adapter, code, another format), so one file more
/// can change what is served.
#[must_use]
pub fn must_be_signed<'a>(
    asker: Asker,
    card: &'a RepositoryCard,
    kept: &'a [RepoFile],
) -> &'a [RepoFile] {
    match asker {
        Asker::Cache => kept,
        Asker::Endpoint => &card.files,
    }
}

/// Whether a text is the path of a file inside a folder, written in the one way there is.
#[must_use]
pub fn is_plain(path: &str) -> bool {
    let odd = |part: &str| matches!(part, "" | "." | "..");
    !path.split('/').any(odd) && !path.contains(['\\', '\0'])
}

/// Whether a path is one of these, or lies in one of them.
fn is_within<T: AsRef<str>>(path: &str, places: &[T]) -> bool {
    places.iter().any(|place| {
        let place = place.as_ref().trim_end_matches('/');
        let rest = path.strip_prefix(place);
        rest.is_some_and(|rest| !place.is_empty() && (rest.is_empty() || rest.starts_with('/')))
    })
}

/// Whether no engine reads it, whatever it does with the others.
fn is_apart(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let of_git = matches!(path, ".gitattributes" | ".gitignore") || is_github(path);
    let page = ending(path).is_some_and(|ending| APART.contains(&ending.as_str()));
    of_git || page || TERMS.contains(&name)
}

/// Whether it configures what GitHub does with the repository.
fn is_github(path: &str) -> bool {
    path.starts_with(".github/") && matches!(ending(path).as_deref(), Some("yml" | "yaml"))
}

/// `acme/tiny at 0e9e39f249a1`.
fn place(card: &RepositoryCard) -> String {
    let commit = card.commit.as_str();
    format!(
        "{} at {}",
        card.repository.id,
        commit.get(..12).unwrap_or(commit)
    )
}

fn differing(files: &[(&str, &str, &str)]) -> String {
    let line = |(path, signed, has): &(&str, &str, &str)| {
        format!(
            "{} was signed with SHA-256 {}… and has {}…",
            shown(path),
            short(signed),
            short(has)
        )
    };
    let lines: Vec<String> = files.iter().take(MOST_NAMED).map(line).collect();
    match files.len().saturating_sub(MOST_NAMED) {
        0 => lines.join("; "),
        more => format!("{}; and {more} more", lines.join("; ")),
    }
}

/// Names in a message, few of them.
fn names(paths: &[&str]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| shown(path)).collect();
    naming(&shown.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A text of somebody else's in a message: what does not print is escaped, and what is long is cut.
fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut plain = String::new();
    for c in text.chars().take(LONGEST) {
        match c {
            '\'' | '"' => plain.push(c),
            c => plain.extend(c.escape_debug()),
        }
    }
    plain
}

/// The start of a digest.
fn short(digest: &str) -> &str {
    digest.get(..DIGITS).unwrap_or(digest)
}

#[cfg(test)]
mod tests;
