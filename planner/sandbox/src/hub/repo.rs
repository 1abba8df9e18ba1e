//! Repositories: what they are, their commits, and their files.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::catalog;
use super::weights::Weights;
use crate::http::Source;
use crate::ids;

/// Models, datasets or spaces; each in its own part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Models,
    Datasets,
    Spaces,
}

impl Kind {
    pub(crate) fn of(text: &str) -> Option<Self> {
        match text {
            "models" => Some(Self::Models),
            "datasets" => Some(Self::Datasets),
            "spaces" => Some(Self::Spaces),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Datasets => "datasets",
            Self::Spaces => "spaces",
        }
    }
}

/// Who may read the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Gate {
    #[default]
    Open,
    Auto,
    Manual,
}

impl Gate {
    /// As the API has it: false, "auto" or "manual".
    pub(crate) fn view(self) -> Value {
        match self {
            Self::Open => Value::Bool(false),
            Self::Auto => "auto".into(),
            Self::Manual => "manual".into(),
        }
    }
}

impl Serialize for Gate {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        self.view().serialize(out)
    }
}

impl<'de> Deserialize<'de> for Gate {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        match &Value::deserialize(input)? {
            Value::Bool(false) => Ok(Self::Open),
            Value::String(text) if text == "auto" => Ok(Self::Auto),
            Value::String(text) if text == "manual" => Ok(Self::Manual),
            _ => Err(serde::de::Error::custom(
                "gated is false, \"auto\" or \"manual\"",
            )),
        }
    }
}

/// What a repository says of itself, apart from its files.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Card {
    pub(crate) gated: Gate,
    pub(crate) private: bool,
    pub(crate) disabled: bool,
    /// The new id of a repository that was renamed.
    pub(crate) moved_to: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) license_name: Option<String>,
    pub(crate) license_link: Option<String>,
    pub(crate) base_model: Option<String>,
    pub(crate) pipeline_tag: Option<String>,
    pub(crate) library_name: Option<String>,
    pub(crate) tags: Vec<String>,
    /// `{dtype: count}`, as the Hub has it from safetensors headers.
    pub(crate) parameters: BTreeMap<String, u64>,
    pub(crate) scan: Scan,
    /// Large files are kept in Xet: they have a hash of it, and are served by a redirect as well.
    /// The Xet protocol itself is not emulated.
    pub(crate) xet: bool,
}

/// What the Hub's scanners say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Scan {
    pub(crate) done: bool,
    pub(crate) issues: Vec<Issue>,
    /// By path: members of `securityFileStatus` that stand in place of the usual ones, such as
    /// `{"status": "suspicious", "virusTotalScan": {"status": "unsafe"}}`.
    pub(crate) files: BTreeMap<String, serde_json::Map<String, Value>>,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            done: true,
            issues: Vec::new(),
            files: BTreeMap::new(),
        }
    }
}

/// A file that a scanner does not like.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issue {
    pub(crate) path: String,
    /// `unsafe`, `suspicious`, `caution`, `error`, `queued`
    pub(crate) level: String,
}

/// A repository with its history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Repo {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) card: Card,
    commits: Vec<Commit>,
    pub(crate) branches: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
}

/// All files at one point of the history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Commit {
    pub(crate) sha: String,
    pub(crate) title: String,
    /// RFC 3339.
    pub(crate) date: String,
    files: BTreeMap<String, Blob>,
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Blob {
    Text(String),
    Base64(String),
    /// Computed bytes: so many, from this seed. A large file, kept as LFS.
    Computed {
        size: u64,
        seed: u64,
    },
    /// The file of this name of the repository that the sandbox brings with it.
    BuiltIn,
    /// A computed file with its digest, so that it is hashed once.
    Hashed {
        size: u64,
        seed: u64,
        sha256: String,
    },
}

/// A file, ready to be described and served.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) source: Arc<dyn Source>,
    /// Git's SHA-1 of the blob; of the pointer, for LFS.
    pub(crate) oid: String,
    /// SHA-256 and size of the pointer, for LFS.
    pub(crate) lfs: Option<(String, u64)>,
}

impl File {
    /// A small file, kept in git.
    pub(crate) fn small(bytes: Bytes) -> Self {
        Self {
            oid: git_oid(&bytes),
            source: Arc::new(bytes),
            lfs: None,
        }
    }

    /// A large file, kept in LFS under this SHA-256.
    pub(crate) fn large(source: Arc<dyn Source>, sha256: String) -> Self {
        let pointer = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {}\n",
            source.size()
        );
        Self {
            source,
            oid: git_oid(pointer.as_bytes()),
            lfs: Some((sha256, pointer.len() as u64)),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.source.size()
    }

    /// The entity tag that the Hub links to: SHA-256 for LFS, else the git id.
    pub(crate) fn etag(&self) -> String {
        self.lfs
            .as_ref()
            .map_or(&self.oid, |(sha256, _)| sha256)
            .clone()
    }
}

impl Repo {
    /// A repository with one commit, on `main` and under the tag `v1.0`.
    pub(crate) fn new(
        kind: Kind,
        id: &str,
        card: Card,
        files: BTreeMap<String, Blob>,
        date: &str,
    ) -> Self {
        let mut repo = Self {
            kind,
            id: id.to_owned(),
            card,
            commits: Vec::new(),
            branches: BTreeMap::new(),
            tags: BTreeMap::new(),
        };
        let sha = repo.commit("main", "initial commit", files, date);
        repo.tags.insert("v1.0".to_owned(), sha);
        repo
    }

    /// Put a commit with exactly these files at the head of a branch; its SHA-1.
    pub(crate) fn commit(
        &mut self,
        branch: &str,
        title: &str,
        files: BTreeMap<String, Blob>,
        date: &str,
    ) -> String {
        let files: BTreeMap<String, Blob> = files
            .into_iter()
            .map(|(path, blob)| (path, blob.hashed()))
            .collect();
        let parent = self.branches.get(branch).cloned().unwrap_or_default();
        let number = self.commits.len().to_string();
        let content = serde_json::to_string(&files).unwrap_or_default();
        let sha = ids::hex(&ids::digest(
            0,
            &["commit", &self.id, &parent, &number, &content],
        ))[..40]
            .to_owned();
        let (title, date) = (title.to_owned(), date.to_owned());
        self.commits.push(Commit {
            sha: sha.clone(),
            title,
            date,
            files,
        });
        self.branches.insert(branch.to_owned(), sha.clone());
        sha
    }

    /// The commit of a branch, a tag, or a SHA-1 of at least seven digits.
    pub(crate) fn resolve(&self, revision: &str) -> Option<&Commit> {
        let named = self
            .branches
            .get(revision)
            .or_else(|| self.tags.get(revision));
        let plain = revision.len() >= 7 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.commits.iter().rev().find(|commit| match named {
            Some(sha) => commit.sha == *sha,
            None => plain && commit.sha.starts_with(revision),
        })
    }

    /// The files of a commit by path.
    pub(crate) fn files(&self, commit: &Commit) -> BTreeMap<String, File> {
        commit
            .files
            .iter()
            .filter_map(|(path, blob)| Some((path.clone(), self.load(path, blob)?)))
            .collect()
    }

    /// The hash that Xet knows a file by; it stands for one, it is not computed as Xet's are.
    pub(crate) fn xet_hash(&self, file: &File) -> Option<String> {
        let (sha256, _) = file.lfs.as_ref().filter(|_| self.card.xet)?;
        Some(ids::hex(&ids::digest(0, &["xet", sha256])))
    }

    /// One file of a commit.
    pub(crate) fn file(&self, commit: &Commit, path: &str) -> Option<File> {
        self.load(path, commit.files.get(path)?)
    }

    fn load(&self, path: &str, blob: &Blob) -> Option<File> {
        Some(match blob {
            Blob::Text(text) => File::small(Bytes::from(text.clone())),
            Blob::Base64(text) => File::small(
                base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .ok()?
                    .into(),
            ),
            Blob::Computed { size, seed } => {
                let weights = Weights::plain(*size, *seed);
                let sha256 = weights.sha256();
                File::large(Arc::new(weights), sha256)
            }
            Blob::Hashed { size, seed, sha256 } => {
                File::large(Arc::new(Weights::plain(*size, *seed)), sha256.clone())
            }
            Blob::BuiltIn => catalog::file(self.kind, &self.id, path)?,
        })
    }
}

impl Commit {
    pub(crate) fn blobs(&self) -> BTreeMap<String, Blob> {
        self.files.clone()
    }
}

impl Blob {
    fn hashed(self) -> Self {
        match self {
            Self::Computed { size, seed } => {
                let sha256 = Weights::plain(size, seed).sha256();
                Self::Hashed { size, seed, sha256 }
            }
            other => other,
        }
    }

    /// Why it cannot be stored, if so.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        const LARGEST: u64 = 1 << 30;
        match self {
            Self::Base64(text)
                if base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .is_err() =>
            {
                Some("is not base64")
            }
            Self::Computed { size, .. } if *size > LARGEST => Some("is larger than 1 GiB"),
            Self::BuiltIn => Some("cannot be given as built in"),
            Self::Hashed { .. } => Some("takes its digest from its bytes: use computed"),
            _ => None,
        }
    }
}

/// `{type: …, oid, size, path, lfs, xetHash}` of a file, as the tree has it.
pub(crate) fn describe(repo: &Repo, path: &str, file: &File) -> Value {
    let mut item = json!({"type": "file", "oid": file.oid, "size": file.size(), "path": path});
    if let Some((sha256, pointer)) = &file.lfs {
        item["lfs"] = json!({"oid": sha256, "size": file.size(), "pointerSize": pointer});
    }
    if let Some(hash) = repo.xet_hash(file) {
        item["xetHash"] = hash.into();
    }
    item
}

/// Git's id of a blob.
fn git_oid(bytes: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", bytes.len()));
    hash.update(bytes);
    ids::hex(&hash.finalize())
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    ids::hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_ids_are_those_of_git() {
        // `printf 'hello\n' | git hash-object --stdin`
        assert_eq!(
            git_oid(b"hello\n"),
            "ce013625030ba8dba906f756967f9e9ca394464a"
        );
    }

    #[test]
    fn a_branch_moves_and_its_tag_stays() {
        let files =
            |text: &str| BTreeMap::from([("a.txt".to_owned(), Blob::Text(text.to_owned()))]);
        let mut repo = Repo::new(
            Kind::Models,
            "a/b",
            Card::default(),
            files("1"),
            "2026-01-01T00:00:00Z",
        );
        let first = repo.resolve("main").expect("a branch").sha.clone();
        let second = repo.commit("main", "change", files("2"), "2026-01-02T00:00:00Z");
        assert_ne!(first, second);
        assert_eq!(repo.resolve("main").expect("a branch").sha, second);
        assert_eq!(repo.resolve("v1.0").expect("a tag").sha, first);
        assert_eq!(repo.resolve(&first[..8]).expect("a short id").sha, first);
        assert!(repo.resolve("nowhere").is_none());
        let old = repo.resolve(&first).expect("a commit");
        assert_eq!(
            repo.file(old, "a.txt").expect("a file").source.read(0..1),
            "1"
        );
    }
}
