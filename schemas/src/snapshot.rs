//! A snapshot: the files of a repository at one commit, as they lie in Cloud Storage.
//!
//! ```text
//!   gs://BUCKET/[PREFIX/]models/ORG/NAME/COMMIT[-SELECTION]/        the snapshot's folder
//!       config.json, model-00001-of-00002.safetensors, …           the files, by their own names
//!       .openmodel/manifest.json                                    written last: before it, there is no snapshot
//!       .openmodel/moving/PATH                                      who moves a large file now, and how far it is
//!       .openmodel/arriving.tsv, .openmodel/arrived/HOST/PATH        what Storage Transfer Service fetches now
//! ```
//!
//! Two caches of one repository that choose other files have folders of their own: the short digest of
//! the choice stands behind the commit. The choice that is made where nobody chooses has none.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::name::{CommitSha, ModelId};
use crate::quantity::Bytes;

/// The manifest's name in the snapshot's folder.
pub const MANIFEST: &str = ".openmodel/manifest.json";

/// Where files wait in the snapshot's folder that Storage Transfer Service has fetched and nobody has verified.
pub const ARRIVED: &str = ".openmodel/arrived/";

/// The list of addresses that Storage Transfer Service fetches, in the snapshot's folder.
pub const ARRIVING: &str = ".openmodel/arriving.tsv";

/// What a repository holds.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum RepositoryType {
    /// A model, or an adapter of one.
    #[default]
    Model,
    /// A dataset.
    Dataset,
    /// The code of an application.
    Space,
}

impl RepositoryType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Model, Self::Dataset, Self::Space];

    /// The word used in configurations: `model`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
            Self::Space => "space",
        }
    }

    /// The word of the Hub's addresses and of the bucket's folders: `models`.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
            Self::Space => "spaces",
        }
    }
}

impl fmt::Display for RepositoryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A repository of the Hub.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Repository {
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: RepositoryType,
    /// `organisation/name`: the Hub has one rule for all of its kinds.
    pub id: ModelId,
}

impl Repository {
    /// A model's.
    #[must_use]
    pub const fn model(id: ModelId) -> Self {
        Self {
            kind: RepositoryType::Model,
            id,
        }
    }
}

/// `models/ORG/NAME`: its folder in a bucket.
impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.plural(), self.id)
    }
}

/// Where a snapshot lies: `gs://BUCKET/FOLDER`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotUri {
    bucket: String,
    prefix: String,
    repository: Repository,
    /// The commit, and the digest of the choice of files where there is one.
    last: String,
}

/// Why a text names no snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotUriError {
    text: String,
    why: String,
}

impl fmt::Display for SnapshotUriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a snapshot: {}. Its form is gs://BUCKET/[PREFIX/]models/ORG/NAME/COMMIT, as \
             openmodel_cache gives it in id and uri",
            self.text, self.why
        )
    }
}

impl std::error::Error for SnapshotUriError {}

impl SnapshotUri {
    /// The snapshot of a repository at a commit, of the files that a digest of so many digits chooses;
    /// `None`: those that are chosen where nobody says otherwise.
    #[must_use]
    pub fn new(
        bucket: &str,
        prefix: &str,
        repository: Repository,
        commit: &CommitSha,
        selection: Option<&str>,
    ) -> Self {
        Self {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            repository,
            last: match selection {
                Some(digest) => format!("{commit}-{digest}"),
                None => commit.to_string(),
            },
        }
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What stands before the repository's folder; without slashes at its ends, and perhaps empty.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The repository.
    #[must_use]
    pub const fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The commit.
    #[must_use]
    pub fn commit(&self) -> CommitSha {
        self.last[..40].parse().expect("checked when it was made")
    }

    /// The repository's folder, which holds its snapshots: `models/ORG/NAME`, without a slash at the end.
    #[must_use]
    pub fn repository_folder(&self) -> String {
        if self.prefix.is_empty() {
            self.repository.to_string()
        } else {
            format!("{}/{}", self.prefix, self.repository)
        }
    }

    /// The snapshot's folder, without a slash at the end.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{}/{}", self.repository_folder(), self.last)
    }

    /// The full name of an object in it.
    #[must_use]
    pub fn object(&self, path: &str) -> String {
        format!("{}/{path}", self.folder())
    }
}

impl fmt::Display for SnapshotUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gs://{}/{}", self.bucket, self.folder())
    }
}

impl FromStr for SnapshotUri {
    type Err = SnapshotUriError;

    fn from_str(text: &str) -> Result<Self, SnapshotUriError> {
        let wrong = |why: &str| SnapshotUriError {
            text: text.to_owned(),
            why: why.to_owned(),
        };
        let rest = text
            .strip_prefix("gs://")
            .ok_or_else(|| wrong("it does not begin with gs://"))?;
        let parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(wrong("a part of it is empty"));
        }
        let kind_of = |word: &str| {
            RepositoryType::ALL
                .into_iter()
                .find(|kind| kind.plural() == word)
        };
        // From the end: a prefix may hold any of these words. A legacy name has one part; no organisation
        // has one of these words for its name, as the Hub's own addresses begin with them.
        let (kind, at) = [3, 4]
            .into_iter()
            .filter_map(|back| parts.len().checked_sub(back))
            .filter(|at| *at > 0)
            .find_map(|at| Some((kind_of(parts[at])?, at)))
            .ok_or_else(|| wrong("it names no repository"))?;
        let last = parts[parts.len() - 1];
        let commit = last.get(..40).unwrap_or_default();
        let choice = last.get(40..).unwrap_or_default();
        if commit.parse::<CommitSha>().is_err() {
            return Err(wrong("it does not end in a commit"));
        }
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !choice.is_empty() && !choice.strip_prefix('-').is_some_and(digits) {
            return Err(wrong("it does not end in a commit"));
        }
        let id = parts[at + 1..parts.len() - 1].join("/");
        Ok(Self {
            bucket: parts[0].to_owned(),
            prefix: parts[1..at].join("/"),
            repository: Repository {
                kind,
                id: id.parse().map_err(|error| wrong(&format!("{error}")))?,
            },
            last: last.to_owned(),
        })
    }
}

impl TryFrom<String> for SnapshotUri {
    type Error = SnapshotUriError;

    fn try_from(text: String) -> Result<Self, SnapshotUriError> {
        text.parse()
    }
}

impl From<SnapshotUri> for String {
    fn from(uri: SnapshotUri) -> Self {
        uri.to_string()
    }
}

/// What a snapshot is: written last, so where it is, all of its files are, each verified.
///
/// It says nothing of when or by whom it was written: two runs that make one snapshot write the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`Manifest::VERSION`]; another number is another form of this document.
    pub version: u32,
    /// The repository.
    pub repository: Repository,
    /// The commit.
    pub commit: CommitSha,
    /// Licence identifier, as the repository's card states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// [`content_digest`] of the files: what was asked for, whatever bucket it lies in.
    pub digest: String,
    /// The files, in the order of their paths.
    pub files: Vec<ManifestFile>,
}

/// A file of a snapshot, as the Hub and as Cloud Storage describe it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Path inside the repository and inside the snapshot's folder.
    pub path: String,
    /// Bytes.
    pub size: Bytes,
    /// `sha256:HEX`, or `git:HEX` for a file that the Hub keeps in Git itself.
    pub identity: String,
    /// Cloud Storage's CRC32C, in its own writing (Base64 of four bytes, the highest first).
    pub crc32c: String,
    /// Cloud Storage's generation: another one is another object.
    pub generation: i64,
}

impl Manifest {
    /// The form of this document that is written and read.
    pub const VERSION: u32 = 1;

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Whether it lists what it was written for: one that somebody has changed does not.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let files = self.files.iter();
        let files = files.map(|file| (file.identity.as_str(), file.size, file.path.as_str()));
        content_digest(files) == self.digest
    }
}

/// SHA-256, in hexadecimal, over the lines `IDENTITY SIZE PATH` of files, in the order of paths. Known before
/// anything is moved.
pub fn content_digest<'a>(files: impl IntoIterator<Item = (&'a str, Bytes, &'a str)>) -> String {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_unstable_by_key(|(_, _, path)| *path);
    let mut digest = Sha256::new();
    for (identity, size, path) in files {
        digest.update(format!("{identity} {} {path}\n", size.0));
    }
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "0e9e39f249a16976918f6564b8830bc894c89659";

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for (text, bucket, prefix, repository) in [
            (
                format!("gs://acme/models/org/name/{SHA}"),
                "acme",
                "",
                "models/org/name",
            ),
            (
                format!("gs://acme/a/models/datasets/gpt2/{SHA}-0a1b2c3d"),
                "acme",
                "a/models",
                "datasets/gpt2",
            ),
            (
                format!("gs://acme/models/models/x/{SHA}"),
                "acme",
                "models",
                "models/x",
            ),
        ] {
            let uri: SnapshotUri = text.parse().expect("it is one");
            assert_eq!(uri.to_string(), text);
            assert_eq!((uri.bucket(), uri.prefix()), (bucket, prefix));
            assert_eq!(uri.repository().to_string(), repository);
            assert_eq!(uri.commit().as_str(), SHA);
        }
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        for text in [
            "acme/models/org/name".to_owned(),
            "gs://acme".to_owned(),
            format!("gs://models/org/name/{SHA}"),
            "gs://acme/models/org/name/main".to_owned(),
            format!("gs://acme/models/org/name/{SHA}-"),
            format!("gs://acme/models//name/{SHA}"),
            format!("gs://acme/models/{SHA}"),
        ] {
            let error = text.parse::<SnapshotUri>().expect_err(&text).to_string();
            assert!(error.contains("is not a snapshot"), "{error}");
        }
    }
}
