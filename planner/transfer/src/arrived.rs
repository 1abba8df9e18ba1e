//! Files that Storage Transfer Service fetched, verified where they wait and moved to their names.
//!
//! ```text
//!   list ─► Storage Transfer Service ─► .openmodel/arrived/HOST/PATH ─► read once: SHA-256, CRC32C
//!                                                                         │ the Hub's digest?
//!                                            removed ◄─no─────────────────┴─yes─► copied to its name (rewrite)
//! ```
//!
//! The service knows no SHA-256, so each file is read back once; the copy inside Cloud Storage moves no byte
//! through this process. What does not wait here is read from the Hub, as ever: small files (one reading, and not
//! two), one whose bytes were wrong, one that was to be copied from where it lies no more. What a cut run has
//! read of a file is noted on it, so that the next one goes on from there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};
use openmodel_cloud::google::storage::{self, Exact, Object};
use openmodel_cloud::huggingface::address;
use openmodel_cloud::transport::Api;
use openmodel_schemas::name::{CommitSha, ProjectId};
use openmodel_schemas::repository::RepoFile;
use openmodel_schemas::snapshot::{ARRIVED, ARRIVING, Repository};
use tokio::time::Instant;
use url::Url;

use crate::bucket::{BucketStore, SMALL, Source, complete};
use crate::digest::{Digests, Midstate};
use crate::ports::{Begun, Body, Kept, Origin, Span, Store, Trouble, Wanted};

/// First line of a list of addresses.
/// <https://cloud.google.com/storage-transfer/docs/create-url-list>
const FORMAT: &str = "TsvHttpData-1.0";

/// The note on the list of whose job fetches it: who removes the list ends the job.
pub(crate) const FETCHED_BY: &str = "openmodel-project";

/// The note on a file that waits of how far it was read.
const READ: &str = "openmodel-read";

/// Bound of one small request.
const REQUEST: Duration = Duration::from_mins(2);

/// A snapshot's folder whose large files wait in it to be verified. It is both: where they come from and
/// where they go.
pub struct Arrived {
    store: Arc<BucketStore>,
    /// Where the others come from.
    hub: Arc<dyn Origin>,
    /// What waits, by the path of its file.
    waiting: HashMap<String, Object>,
    /// What waits no more: it had other bytes than the Hub's, or another run has moved it.
    gone: Mutex<HashSet<String>>,
}

impl Arrived {
    /// What waits in a folder of these files.
    pub(crate) fn new(
        store: Arc<BucketStore>,
        hub: Arc<dyn Origin>,
        repository: &Repository,
        files: &[RepoFile],
    ) -> Result<Self, Trouble> {
        let base = hub_url(&store)?;
        let commit = store.uri().commit();
        let mut waiting = HashMap::new();
        for file in files {
            let names = names(&base, repository, &commit, &file.path);
            let found = names
                .iter()
                .find_map(|name| store.listed().get(&format!("{ARRIVED}{name}")));
            // One of another size was cut, or is an error page: it is fetched again.
            if let Some(object) = found.filter(|object| object.size == file.size.0) {
                waiting.insert(file.path.clone(), object.clone());
            }
        }
        Ok(Self {
            store,
            hub,
            waiting,
            gone: Mutex::default(),
        })
    }

    /// The files that have to be fetched: large, not there, not copied from elsewhere, not waiting.
    pub(crate) fn lacking(&self, files: &[RepoFile]) -> Result<Vec<Wanted>, Trouble> {
        let mut lacking = self.store.missing(files)?;
        lacking.retain(|file| {
            file.size.0 > SMALL
                && !self.store.is_elsewhere(file)
                && !self.waiting.contains_key(&file.path)
        });
        Ok(lacking)
    }

    /// Write the list of what is to be fetched, by a job of a project.
    pub(crate) async fn write_list(
        &self,
        project: &ProjectId,
        repository: &Repository,
        files: &[Wanted],
    ) -> Result<(), Trouble> {
        let base = self.store.transport().endpoints().url(Api::Hub).to_owned();
        let commit = self.store.uri().commit();
        let line = |file: &Wanted| {
            let path = address(repository, &commit, &file.path);
            format!("{base}{path}\t{}\n", file.size.0)
        };
        let mut lines: Vec<String> = files.iter().map(line).collect();
        lines.sort();
        let list = format!("{FORMAT}\n{}", lines.concat());
        let marks = BTreeMap::from([(FETCHED_BY.to_owned(), project.to_string())]);
        self.store.replace(ARRIVING, &marks, list.as_bytes()).await
    }

    /// The object that waits to be verified as a file.
    fn waiting(&self, file: &Wanted) -> Option<&Object> {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let object = self.waiting.get(&file.path)?;
        (!gone.contains(&file.path)).then_some(object)
    }

    /// It waits no more: the next attempt finds it under its name, or reads it from the Hub.
    fn forget(&self, file: &Wanted) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.insert(file.path.clone());
    }

    /// Another run has moved it meanwhile.
    fn moved(&self, file: &Wanted) -> Trouble {
        self.forget(file);
        Trouble::passing(format!("{}: it waits no more", file.path))
    }

    fn exact<'a>(&'a self, object: &'a Object) -> Exact<'a> {
        Exact {
            bucket: self.store.uri().bucket(),
            name: &object.name,
            generation: object.generation,
        }
    }

    async fn begin_file(&self, file: &Wanted) -> Result<Begun, Trouble> {
        let Some(object) = self.waiting(file) else {
            return self.store.begin(file).await;
        };
        if let Some(begun) = self.store.settled(file).await? {
            return Ok(begun);
        }
        let noted = object.metadata.get(READ);
        // A note that cannot be read costs a second reading.
        Ok(Begun::From(
            noted.and_then(|state| serde_json::from_str(state).ok()),
        ))
    }

    async fn finish_file(
        &self,
        file: &Wanted,
        object: &Object,
        digests: &Digests,
    ) -> Result<Kept, Trouble> {
        if digests.crc32c.to_string() != object.crc32c {
            return Err(Trouble::passing(format!(
                "{}: what was read has CRC32C {}, and Cloud Storage has {}",
                file.path, digests.crc32c, object.crc32c
            )));
        }
        let source = Source {
            bucket: self.store.uri().bucket().to_owned(),
            name: object.name.clone(),
            generation: object.generation,
            crc32c: object.crc32c.clone(),
        };
        let kept = if let Some(kept) = self.store.copy(file, &source).await? {
            kept
        } else {
            // Another run was faster, and has removed what waited.
            let there = self.store.find(file).await?;
            let there = there.ok_or_else(|| self.moved(file))?;
            self.store.whole_as(file, &there, &source.crc32c)?
        };
        self.store.delete(&object.name, object.generation).await?;
        Ok(kept)
    }
}

impl BucketStore {
    /// The project whose Storage Transfer job fetched files into the folder when it was opened, and may still.
    #[must_use]
    pub fn fetched_by(&self) -> Option<ProjectId> {
        let list = self.listed().get(ARRIVING)?;
        list.metadata.get(FETCHED_BY)?.parse().ok()
    }
}

impl Origin for Arrived {
    fn open<'a>(&'a self, file: &'a Wanted, offset: u64) -> BoxFuture<'a, Result<Body, Trouble>> {
        let Some(object) = self.waiting(file) else {
            return self.hub.open(file, offset);
        };
        Box::pin(async move {
            let request = storage::read_object_from(self.exact(object), offset);
            let opened = self.store.transport().open(&request).await;
            let flow = match opened {
                Ok(flow) => flow,
                Err(error) if error.is_not_found() => return Err(self.moved(file)),
                Err(error) => return Err(self.store.trouble(&file.path, &error)),
            };
            let path = file.path.clone();
            let body = flow
                .body
                .map_err(move |error| Trouble::passing(format!("{path}: {error}")));
            Ok(body.boxed())
        })
    }
}

impl Store for Arrived {
    fn begin<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<Begun, Trouble>> {
        Box::pin(self.begin_file(file))
    }

    fn append<'a>(
        &'a self,
        file: &'a Wanted,
        span: Span,
        mut body: Body,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        if self.waiting(file).is_none() {
            return self.store.append(file, span, body);
        }
        Box::pin(async move {
            let mut length = 0;
            while let Some(chunk) = body.next().await {
                length += chunk?.len() as u64;
            }
            complete(file, span, length)
        })
    }

    fn seal<'a>(
        &'a self,
        file: &'a Wanted,
        after: &'a Midstate,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        let Some(object) = self.waiting(file) else {
            return self.store.seal(file, after);
        };
        Box::pin(async move {
            let state = serde_json::to_string(after);
            let state = state.map_err(|error| Trouble::last(error.to_string()))?;
            let note = BTreeMap::from([(READ.to_owned(), state)]);
            let request = storage::patch_metadata(self.exact(object), &note);
            let noted = self
                .store
                .transport()
                .send(&request, Instant::now() + REQUEST);
            noted
                .await
                .map(drop)
                .map_err(|error| self.store.trouble(&file.path, &error))
        })
    }

    fn finish<'a>(
        &'a self,
        file: &'a Wanted,
        digests: &'a Digests,
    ) -> BoxFuture<'a, Result<Kept, Trouble>> {
        let Some(object) = self.waiting(file) else {
            return self.store.finish(file, digests);
        };
        Box::pin(self.finish_file(file, object, digests))
    }

    fn discard<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<(), Trouble>> {
        let Some(object) = self.waiting(file) else {
            return self.store.discard(file);
        };
        Box::pin(async move {
            self.store.delete(&object.name, object.generation).await?;
            self.forget(file);
            Ok(())
        })
    }

    fn release<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<(), Trouble>> {
        if self.waiting(file).is_none() {
            return self.store.release(file);
        }
        Box::pin(async { Ok(()) })
    }
}

fn hub_url(store: &BucketStore) -> Result<Url, Trouble> {
    let url = store.transport().endpoints().url(Api::Hub);
    Url::parse(url).map_err(|error| Trouble::last(format!("{url}: {error}")))
}

/// The names that the service may give a file: host and path of its address. Google does not say whether a
/// port stands in it, or the path in its encoded form.
fn names(base: &Url, repository: &Repository, commit: &CommitSha, path: &str) -> Vec<String> {
    let host = base.host_str().unwrap_or_default();
    let mut hosts = vec![host.to_owned()];
    hosts.extend(base.port().map(|port| format!("{host}:{port}")));
    let root = base.path().trim_end_matches('/');
    let plain = format!("{}{path}", address(repository, commit, ""));
    let paths = [address(repository, commit, path), plain];
    let names = hosts.iter().flat_map(|host| {
        let paths = paths.iter();
        paths.map(move |path| format!("{host}{root}{path}"))
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use openmodel_schemas::snapshot::RepositoryType;

    use super::*;

    #[test]
    fn a_file_is_found_under_each_name_that_the_service_may_give_it() {
        let repository = Repository {
            kind: RepositoryType::Dataset,
            id: "org/rows".parse().expect("an id"),
        };
        let commit = "0e9e39f249a16976918f6564b8830bc894c89659"
            .parse()
            .expect("a commit");
        let names = |base: &str| {
            let base = Url::parse(base).expect("an address");
            names(&base, &repository, &commit, "a b/c.bin").join("\n")
        };
        insta::assert_snapshot!(names("https://huggingface.co"), @"
        huggingface.co/datasets/org/rows/resolve/0e9e39f249a16976918f6564b8830bc894c89659/a%20b/c.bin
        huggingface.co/datasets/org/rows/resolve/0e9e39f249a16976918f6564b8830bc894c89659/a b/c.bin
        ");
        insta::assert_snapshot!(names("https://hub.acme.example:8443/mirror/"), @"
        hub.acme.example/mirror/datasets/org/rows/resolve/0e9e39f249a16976918f6564b8830bc894c89659/a%20b/c.bin
        hub.acme.example/mirror/datasets/org/rows/resolve/0e9e39f249a16976918f6564b8830bc894c89659/a b/c.bin
        hub.acme.example:8443/mirror/datasets/org/rows/resolve/0e9e39f249a16976918f6564b8830bc894c89659/a%20b/c.bin
        hub.acme.example:8443/mirror/datasets/org/rows/resolve/0e9e39f249a16976918f6564b8830bc894c89659/a b/c.bin
        ");
    }
}
