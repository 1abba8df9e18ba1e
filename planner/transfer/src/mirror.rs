//! A snapshot made: the chosen files of a repository moved to a folder of Cloud Storage, then its manifest.
//!
//! ```text
//!   one process    to:     every file, then the manifest
//!   N tasks        share:  each task its own files, the same in every attempt    ─► then to: finds all, publishes
//!   Storage Transfer Service   lack: what it has to fetch                        ─► then to: verifies, publishes
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use openmodel_cloud::Transport;
use openmodel_schemas::name::ProjectId;
use openmodel_schemas::repository::RepoFile;
use openmodel_schemas::snapshot::{Manifest, Repository, RepositoryType, SnapshotUri};

use crate::arrived::Arrived;
use crate::bucket::BucketStore;
use crate::file::{Meter, Mover, Patience, SPAN};
use crate::ports::{Body, Origin, Store, Trouble, Wanted};
use crate::repository::{Moved, move_all};
use crate::select::Patterns;
use crate::snapshot::{manifest, sources};
use crate::throttle::Throttle;

/// What is mirrored, and how.
#[derive(Clone)]
pub struct Mirror {
    /// How Cloud Storage is reached.
    pub transport: Transport,
    /// Where the bytes come from.
    pub origin: Arc<dyn Origin>,
    /// Whether Storage Transfer Service brings the large files.
    pub arrive: bool,
    /// The repository.
    pub repository: Repository,
    /// Its licence, as its card states it.
    pub license: Option<String>,
    /// The files that are kept.
    pub files: Vec<RepoFile>,
    /// What is noted on the manifest's object.
    pub marks: BTreeMap<String, String>,
    /// Files in flight at once; of little ones more.
    pub parallelism: usize,
    /// Most bytes a second.
    pub throttle: Option<Arc<Throttle>>,
    /// What was moved so far: read in all tries, there in this one.
    pub meter: Arc<Meter>,
}

/// One of several tasks that share the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// From 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Mirror {
    /// Make the snapshot, or find that it is there. What these buckets have of the repository already is
    /// copied from them.
    pub async fn to(
        &self,
        uri: &SnapshotUri,
        storage_class: Option<&str>,
        near: &[String],
    ) -> Result<(Manifest, Vec<Moved>), Trouble> {
        let store = self.store(uri, storage_class, near).await?;
        let mover = if self.arrive {
            let arrived = Arc::new(self.arrived(store.clone())?);
            self.mover(arrived.clone(), arrived)
        } else {
            self.mover(self.origin.clone(), store.clone())
        };
        let moved = move_all(&mover, &self.files, self.parallelism).await?;
        let manifest = manifest(uri, self.license.clone(), &moved);
        store.publish(&manifest, &self.marks).await?;
        Ok((manifest, moved))
    }

    /// Move one task's share of the files. There is no snapshot after it.
    pub async fn share(
        &self,
        uri: &SnapshotUri,
        storage_class: Option<&str>,
        near: &[String],
        task: Task,
    ) -> Result<Vec<Moved>, Trouble> {
        let store = self.store(uri, storage_class, near).await?;
        let files = task.share(&self.files);
        let mover = self.mover(self.origin.clone(), store);
        move_all(&mover, &files, self.parallelism).await
    }

    /// How many files Storage Transfer Service has to fetch before [`to`](Self::to). `list_for`: their list is
    /// written, where there are any, for a job of this project.
    pub async fn lack(
        &self,
        uri: &SnapshotUri,
        near: &[String],
        list_for: Option<&ProjectId>,
    ) -> Result<usize, Trouble> {
        let arrived = self.arrived(self.store(uri, None, near).await?)?;
        let lacking = arrived.lacking(&self.files)?;
        if let Some(project) = list_for.filter(|_| !lacking.is_empty()) {
            let written = arrived.write_list(project, &self.repository, &lacking);
            written.await?;
        }
        Ok(lacking.len())
    }

    fn arrived(&self, store: Arc<BucketStore>) -> Result<Arrived, Trouble> {
        Arrived::new(store, self.origin.clone(), &self.repository, &self.files)
    }

    async fn store(
        &self,
        uri: &SnapshotUri,
        storage_class: Option<&str>,
        near: &[String],
    ) -> Result<Arc<BucketStore>, Trouble> {
        let known = sources(&self.transport, uri, near).await?;
        let store = BucketStore::open(self.transport.clone(), uri.clone()).await?;
        let class = storage_class.map(str::to_owned);
        Ok(Arc::new(
            store.with_storage_class(class).with_sources(known),
        ))
    }

    fn mover(&self, origin: Arc<dyn Origin>, store: Arc<dyn Store>) -> Mover {
        self.meter.begin_again();
        Mover {
            origin,
            store,
            span: SPAN,
            patience: Patience::default(),
            throttle: self.throttle.clone(),
            meter: self.meter.clone(),
        }
    }
}

/// What the content of each file is that these patterns keep of a repository of this kind, by its path. A file
/// that cannot be kept is left out: who moves it says why.
#[must_use]
pub fn identities(
    kind: RepositoryType,
    files: &[RepoFile],
    include: &[String],
    exclude: &[String],
) -> BTreeMap<String, String> {
    let patterns = Patterns {
        include: include.to_vec(),
        exclude: exclude.to_vec(),
    };
    let kept = patterns
        .select(kind, files)
        .map(|selection| selection.files);
    let kept = kept.unwrap_or_default();
    let wanted = kept.iter().filter_map(|file| Wanted::of(file).ok());
    wanted
        .map(|file| (file.path, file.identity.to_string()))
        .collect()
}

impl Task {
    /// The files of this task: the largest first, each to the task that has the least so far. A function
    /// of the listing alone, so that every attempt and every task agrees.
    #[must_use]
    pub fn share(self, files: &[RepoFile]) -> Vec<RepoFile> {
        let mut sorted: Vec<&RepoFile> = files.iter().collect();
        sorted.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
        let mut load = vec![0_u64; self.count.max(1)];
        let mut mine = Vec::new();
        for file in sorted {
            let least = (0..load.len()).min_by_key(|task| load[*task]).unwrap_or(0);
            // A file costs some requests, however small it is.
            load[least] += file.size.0 + (1 << 20);
            if least == self.index {
                mine.push(file.clone());
            }
        }
        mine
    }
}

/// Where nothing is read any more: others have moved the files, and what is missing is missing.
#[derive(Debug, Clone)]
pub struct MovedElsewhere {
    /// Who should have moved them: `the job projects/…`.
    pub by: String,
}

impl Origin for MovedElsewhere {
    fn open<'a>(&'a self, file: &'a Wanted, _offset: u64) -> BoxFuture<'a, Result<Body, Trouble>> {
        let message = format!("{}: {} ended, and it is not there", file.path, self.by);
        Box::pin(async { Err(Trouble::last(message)) })
    }
}

#[cfg(test)]
mod tests {
    use openmodel_schemas::quantity::Bytes;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tasks_share_all_files_and_none_has_much_more_than_another(
            sizes in proptest::collection::vec(0_u64..10_000_000_000, 0..60),
            count in 1_usize..12,
        ) {
            let files: Vec<RepoFile> = sizes
                .iter()
                .enumerate()
                .map(|(number, size)| RepoFile {
                    path: format!("{number}.bin"),
                    size: Bytes(*size),
                    sha256: None,
                    git_oid: String::new(),
                })
                .collect();
            let shares: Vec<Vec<RepoFile>> = (0..count)
                .map(|index| Task { index, count }.share(&files))
                .collect();
            let mut all: Vec<String> = shares.iter().flatten().map(|file| file.path.clone()).collect();
            all.sort();
            let mut expected: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
            expected.sort();
            prop_assert_eq!(all, expected);
            let load = |share: &Vec<RepoFile>| share.iter().map(|file| file.size.0 + (1 << 20)).sum::<u64>();
            let (most, least) = (shares.iter().map(load).max(), shares.iter().map(load).min());
            let largest = sizes.iter().max().map_or(0, |size| size + (1 << 20));
            prop_assert!(most.unwrap_or(0) - least.unwrap_or(0) <= largest);
        }
    }
}
