//! What makes files in Cloud Storage a snapshot: a manifest, written when all of them are there.
//!
//! ```text
//!   sources   what other snapshots of the repository have already: copied, not read again
//!   publish   one more listing, then the manifest; then what is left of claims goes
//!   compare   one listing against the manifest: missing, altered, foreign
//!   remove    what the manifest lists, and nothing else; the manifest first
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use openmodel_cloud::Transport;
use openmodel_cloud::google::storage::{self, Description, Object};
use openmodel_cloud::transport::ApiError;
use openmodel_schemas::repository::RepoFile;
use openmodel_schemas::snapshot::{MANIFEST, Manifest, ManifestFile, SnapshotUri, content_digest};
use serde::Deserialize;
use tokio::time::Instant;

use crate::bucket::{BucketStore, IDENTITY, Source, list};
use crate::digest::Crc32c;
use crate::ports::{Trouble, Wanted};
use crate::repository::Moved;

/// What openmodel keeps of its own beside the files of a snapshot.
pub(crate) const OWN: &str = ".openmodel/";

/// The record of the cache that a snapshot belongs to: enough to import it.
pub(crate) const RECORD: &str = ".openmodel/cache.json";

/// Bound of one small request.
const REQUEST: Duration = Duration::from_mins(2);

/// How an object differs from the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The manifest lists it, and it is not there.
    Missing {
        /// Path in the snapshot.
        path: String,
    },
    /// It is there with another content.
    Altered {
        /// Path in the snapshot.
        path: String,
        /// The content that lies there.
        generation: i64,
        /// What is other: `size 3, listed 4`.
        what: String,
    },
    /// It is there, and the manifest does not list it.
    Foreign {
        /// Path in the snapshot.
        path: String,
    },
}

impl Difference {
    /// Whether the files are moved again for it. What is foreign is left alone.
    #[must_use]
    pub const fn is_mendable(&self) -> bool {
        !matches!(self, Self::Foreign { .. })
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Missing { path } | Self::Altered { path, .. } | Self::Foreign { path } => path,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => write!(f, "{path} is missing"),
            Self::Altered { path, what, .. } => write!(f, "{path} was altered ({what})"),
            Self::Foreign { path } => write!(f, "{path} is foreign: no manifest lists it"),
        }
    }
}

/// A manifest and what is noted on its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// The manifest.
    pub manifest: Manifest,
    /// The notes.
    pub marks: BTreeMap<String, String>,
}

/// The digest of a choice of files as the Hub lists them.
pub fn wanted_digest(files: &[RepoFile]) -> Result<String, Trouble> {
    let wanted = files
        .iter()
        .map(Wanted::of)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(digest(&wanted))
}

fn digest(files: &[Wanted]) -> String {
    let identities: Vec<String> = files.iter().map(|file| file.identity.to_string()).collect();
    let lines = files.iter().zip(&identities);
    content_digest(lines.map(|(file, identity)| (identity.as_str(), file.size, file.path.as_str())))
}

/// The manifest of files that are there.
#[must_use]
pub fn manifest(uri: &SnapshotUri, license: Option<String>, moved: &[Moved]) -> Manifest {
    let wanted: Vec<Wanted> = moved.iter().map(|one| one.file.clone()).collect();
    let mut files: Vec<ManifestFile> = moved
        .iter()
        .map(|one| ManifestFile {
            path: one.file.path.clone(),
            size: one.file.size,
            identity: one.file.identity.to_string(),
            crc32c: one.kept.crc32c.to_string(),
            generation: one.kept.generation,
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Manifest {
        version: Manifest::VERSION,
        // A renamed repository keeps the name that the folder has.
        repository: uri.repository().clone(),
        commit: uri.commit(),
        license,
        digest: digest(&wanted),
        files,
    }
}

/// Where other snapshots of the same repository, in any of these buckets, have contents: by their identity.
/// Of several the first, in the order of the buckets: the snapshot's own stands first, as it costs no traffic.
pub async fn sources(
    transport: &Transport,
    uri: &SnapshotUri,
    buckets: &[String],
) -> Result<HashMap<String, Source>, Trouble> {
    let glob = format!("**{}/*/{MANIFEST}", uri.repository());
    // What this snapshot's own manifest lists may be what is missing.
    let own = uri.object(MANIFEST);
    let mut all = HashMap::new();
    for bucket in buckets {
        let page = |token: &str| storage::list_matching(bucket, &glob, token);
        let manifests = match list(transport, page).await {
            Ok(manifests) => manifests,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(Trouble::last(format!("gs://{bucket}: {error}"))),
        };
        for object in manifests {
            if bucket == uri.bucket() && object.name == own {
                continue;
            }
            let Ok(Some(manifest)) = read(transport, bucket, &object.name).await else {
                // One that cannot be read saves nothing; it does no harm.
                continue;
            };
            let folder = object.name.trim_end_matches(MANIFEST);
            for file in manifest.files {
                all.entry(file.identity).or_insert_with(|| Source {
                    bucket: bucket.clone(),
                    name: format!("{folder}{}", file.path),
                    generation: file.generation,
                    crc32c: file.crc32c,
                });
            }
        }
    }
    Ok(all)
}

/// The manifest of a snapshot; `None`: there is no such snapshot, or its manifest is damaged, and whoever makes
/// the snapshot writes it anew.
pub async fn find(transport: &Transport, uri: &SnapshotUri) -> Result<Option<Manifest>, Trouble> {
    read(transport, uri.bucket(), &uri.object(MANIFEST)).await
}

impl BucketStore {
    /// Write the manifest: now the snapshot exists. `marks` are noted on its object. A manifest that is
    /// there and says the same stays as it is; another one is of files that are no more. Where a file is not
    /// there any more as it was moved, nothing is written, and the files are to be moved again.
    pub async fn publish(
        &self,
        manifest: &Manifest,
        marks: &BTreeMap<String, String>,
    ) -> Result<(), Trouble> {
        self.confirm(manifest).await?;
        let bytes = serde_json::to_vec_pretty(manifest).map_err(|error| broken(&error))?;
        match self.write(MANIFEST, marks, &bytes, 0).await {
            Ok(()) => {}
            Err(error) if error.is_conflict() => {
                let there = find(self.transport(), self.uri()).await?;
                if there.as_ref() != Some(manifest) {
                    // That of an earlier run lists generations that are no more.
                    self.replace(MANIFEST, marks, &bytes).await?;
                }
            }
            Err(error) => return Err(self.trouble("", &error)),
        }
        self.sweep().await
    }

    /// Every file is there as it was moved. Another run that makes the same snapshot, and is refused, removes
    /// what bears our note, files of this run too.
    async fn confirm(&self, manifest: &Manifest) -> Result<(), Trouble> {
        let there = self.list().await?;
        let is_there = |file: &ManifestFile| {
            let object = there.get(&file.path);
            object.is_some_and(|object| object.generation == file.generation)
        };
        match manifest.files.iter().find(|file| !is_there(file)) {
            None => Ok(()),
            Some(file) => Err(Trouble::passing(format!(
                "{}: {} was removed or replaced while other files moved; the next run moves it again",
                self.uri(),
                file.path
            ))),
        }
    }

    /// Write a document of our own in place of the one that is there.
    pub(crate) async fn replace(
        &self,
        path: &str,
        marks: &BTreeMap<String, String>,
        bytes: &[u8],
    ) -> Result<(), Trouble> {
        let there = self.object(path).await?;
        let expected = there.map_or(0, |object| object.generation);
        match self.write(path, marks, bytes, expected).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_conflict() => Err(Trouble::passing(format!(
                "{}: another run writes {path} too",
                self.uri()
            ))),
            Err(error) => Err(self.trouble("", &error)),
        }
    }

    /// Write a document of our own in place of that content of it; 0: where there is none.
    async fn write(
        &self,
        path: &str,
        marks: &BTreeMap<String, String>,
        bytes: &[u8],
        expected: i64,
    ) -> Result<(), ApiError> {
        let name = self.uri().object(path);
        let description = Description {
            bucket: self.uri().bucket(),
            name: &name,
            metadata: marks,
            storage_class: Some("STANDARD"),
        };
        let crc32c = Crc32c(crc32c::crc32c(bytes)).to_string();
        let request = storage::insert_object(&description, &crc32c, bytes, expected);
        self.transport().send(&request, soon()).await.map(drop)
    }

    /// The manifest and its notes; `None`: there is no snapshot.
    pub async fn marked(&self) -> Result<Option<Marked>, Trouble> {
        let Some(manifest) = find(self.transport(), self.uri()).await? else {
            return Ok(None);
        };
        let object = self.object(MANIFEST).await?;
        Ok(object.map(|object| Marked {
            manifest,
            marks: object.metadata,
        }))
    }

    /// Write the record of the cache, then lay notes over those of the manifest's object.
    pub async fn mark(
        &self,
        record: &[u8],
        marks: &BTreeMap<String, String>,
    ) -> Result<(), Trouble> {
        self.replace(RECORD, &BTreeMap::new(), record).await?;
        let manifest = self.object(MANIFEST).await?.ok_or_else(|| {
            let uri = self.uri();
            Trouble::last(format!("{uri}: its manifest was removed meanwhile"))
        })?;
        let mut notes = manifest.metadata;
        notes.extend(marks.clone());
        let exact = storage::Exact {
            bucket: self.uri().bucket(),
            name: &manifest.name,
            generation: manifest.generation,
        };
        let request = storage::patch_metadata(exact, &notes);
        let noted = self.transport().send(&request, soon()).await;
        noted.map(drop).map_err(|error| self.trouble("", &error))
    }

    /// Whether the manifest's object has these notes, and the record is this one.
    pub async fn is_marked_ready(
        &self,
        record: &[u8],
        marks: &BTreeMap<String, String>,
    ) -> Result<bool, Trouble> {
        let (manifest, there) = (self.object(MANIFEST).await?, self.object(RECORD).await?);
        let noted = manifest.is_some_and(|object| {
            let has = |(name, value)| object.metadata.get(name) == Some(value);
            marks.iter().all(has)
        });
        let crc32c = Crc32c(crc32c::crc32c(record)).to_string();
        Ok(noted && there.is_some_and(|object| object.crc32c == crc32c))
    }

    /// The record of the cache that the snapshot belongs to.
    pub async fn record(&self) -> Result<Option<Vec<u8>>, Trouble> {
        let request = storage::read_object(self.uri().bucket(), &self.uri().object(RECORD));
        match self.transport().send(&request, soon()).await {
            Ok(answer) => Ok(Some(answer.body.to_vec())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(self.trouble("", &error)),
        }
    }

    /// What was noted on the manifest; `None`: there was none.
    #[must_use]
    pub fn marks(&self) -> Option<&BTreeMap<String, String>> {
        let manifest = self.listed().get(MANIFEST);
        manifest.map(|manifest| &manifest.metadata)
    }

    /// Whether nothing of the snapshot was there: no manifest, and nothing that a run wrote.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let ours =
            |(path, object): (&String, &Object)| path.starts_with(OWN) || is_of_a_run(object);
        !self.listed().iter().any(ours)
    }

    async fn object(&self, path: &str) -> Result<Option<Object>, Trouble> {
        let request = storage::get_object(self.uri().bucket(), &self.uri().object(path));
        match self.transport().json(&request, soon()).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(self.trouble("", &error)),
        }
    }

    /// Remove what is left of claims, and of what Storage Transfer Service brought: no run needs them once the
    /// manifest is there.
    async fn sweep(&self) -> Result<(), Trouble> {
        let prefix = self.uri().object(OWN);
        let kept = [MANIFEST, RECORD].map(|path| self.uri().object(path));
        let page = |token: &str| storage::list_objects(self.uri().bucket(), &prefix, token);
        let left = list(self.transport(), page).await;
        let mut left = left.map_err(|error| self.trouble("", &error))?;
        left.retain(|object| !kept.contains(&object.name));
        for object in left {
            self.delete(&object.name, object.generation).await?;
        }
        Ok(())
    }

    /// How what lay there differs from a manifest.
    #[must_use]
    pub fn compare(&self, manifest: &Manifest) -> Vec<Difference> {
        let mut there = self.listed().clone();
        there.retain(|path, _| !path.starts_with(OWN));
        let mut found = Vec::new();
        for file in &manifest.files {
            let path = file.path.clone();
            match there.remove(&file.path) {
                None => found.push(Difference::Missing { path }),
                Some(object) => {
                    if let Some(what) = altered(file, &object) {
                        let generation = object.generation;
                        found.push(Difference::Altered {
                            path,
                            generation,
                            what,
                        });
                    }
                }
            }
        }
        found.extend(there.into_keys().map(|path| Difference::Foreign { path }));
        found.sort_by(|a, b| a.path().cmp(b.path()));
        found
    }

    /// The files that were not there whole. Another object under a file's name is a trouble.
    pub fn missing(&self, files: &[RepoFile]) -> Result<Vec<Wanted>, Trouble> {
        let mut missing = Vec::new();
        for file in files {
            let wanted = Wanted::of(file)?;
            if let Some(object) = self.listed().get(&wanted.path) {
                self.whole(&wanted, object)?;
            } else {
                missing.push(wanted);
            }
        }
        Ok(missing)
    }

    /// Remove altered objects, so that the files are moved again.
    pub async fn clear(&self, differences: &[Difference]) -> Result<(), Trouble> {
        for difference in differences {
            if let Difference::Altered {
                path, generation, ..
            } = difference
            {
                self.delete(&self.uri().object(path), *generation).await?;
            }
        }
        Ok(())
    }

    /// Remove the snapshot: its manifest, so that there is none any more, then what it lists. Where there
    /// is none, a run was cut before it: what such a run wrote goes, known by the note it bears. Other
    /// objects stay; their paths are returned.
    pub async fn remove(&self) -> Result<Vec<String>, Trouble> {
        let manifest = find(self.transport(), self.uri()).await?;
        let mut there = self.listed().clone();
        for own in [MANIFEST, RECORD] {
            if let Some(object) = there.remove(own) {
                self.delete(&object.name, object.generation).await?;
            }
        }
        for file in manifest.iter().flat_map(|manifest| &manifest.files) {
            if there
                .get(&file.path)
                .is_some_and(|object| object.generation == file.generation)
                && let Some(object) = there.remove(&file.path)
            {
                self.delete(&object.name, object.generation).await?;
            }
        }
        if manifest.is_none() {
            for object in there.values().filter(|object| is_of_a_run(object)) {
                self.delete(&object.name, object.generation).await?;
            }
            there.retain(|_, object| !is_of_a_run(object));
        }
        self.sweep().await?;
        there.retain(|path, _| !path.starts_with(OWN));
        Ok(there.into_keys().collect())
    }
}

fn is_of_a_run(object: &Object) -> bool {
    object.metadata.contains_key(IDENTITY)
}

/// What is other than a manifest says.
fn altered(file: &ManifestFile, object: &Object) -> Option<String> {
    if object.size != file.size.0 {
        return Some(format!("{} bytes, listed {}", object.size, file.size.0));
    }
    if object.crc32c != file.crc32c {
        let (has, listed) = (&object.crc32c, &file.crc32c);
        return Some(format!("CRC32C {has}, listed {listed}"));
    }
    if object.generation != file.generation {
        return Some("written again with the same bytes".to_owned());
    }
    None
}

/// The form of a manifest, whatever else it says.
#[derive(Deserialize)]
struct Form {
    version: u32,
}

async fn read(
    transport: &Transport,
    bucket: &str,
    name: &str,
) -> Result<Option<Manifest>, Trouble> {
    let at = |why: &dyn fmt::Display| Trouble::last(format!("gs://{bucket}/{name}: {why}"));
    let answer = match transport
        .send(&storage::read_object(bucket, name), soon())
        .await
    {
        Ok(answer) => answer,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(at(&error)),
    };
    let read = Manifest::VERSION;
    if let Ok(Form { version }) = answer.json()
        && version != read
    {
        return Err(at(&format!(
            "it is a manifest of form {version}, and this version of openmodel reads form {read}; update openmodel"
        )));
    }
    Ok(answer.json().ok().filter(Manifest::is_sound))
}

fn broken(error: &serde_json::Error) -> Trouble {
    Trouble::last(error.to_string())
}

fn soon() -> Instant {
    Instant::now() + REQUEST
}
