//! Google Cloud with the hands that move files: what the executor of a cache works with.
//!
//! ```text
//!   RunTransferJob     all files there? ─no─► Google Cloud's own adapter runs the job
//!   RunStorageTransfer  all there, or waiting to be verified? ─no─► the list, then Google Cloud's own adapter
//!   MirrorSnapshot     manifest there, and all it lists? ─no─► move what is missing ─► manifest, marked with the key
//!   MarkSnapshotReady  the record of the cache beside it, the mark `ready` on it
//!   DeleteSnapshot     what the manifest lists
//!   others             Google Cloud's own adapter
//! ```
//!
//! A transfer that is cut keeps what it has verified: the next run goes on from there. One that is refused
//! for good leaves nothing, as long as no manifest was there before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openmodel_apply::cloud::{Call, Cloud, Failure, Outcome, Output, Seen};
use openmodel_cloud::GoogleCloud;
use openmodel_cloud::google::{KEY_LABEL, NEAR_LABEL, PHASE_LABEL, Phase, near};
use openmodel_graph::key::StepKey;
use openmodel_graph::operation::{Carrier, MirrorSpec, Operation};
use openmodel_schemas::name::{ProjectId, Zone};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::repository::{RepoFile, RepositoryCard};
use openmodel_schemas::snapshot::SnapshotUri;
use openmodel_transfer::bucket::BucketStore;
use openmodel_transfer::file::Meter;
use openmodel_transfer::hub::HubOrigin;
use openmodel_transfer::mirror::{Mirror, MovedElsewhere};
use openmodel_transfer::ports::{Kind, Origin, Trouble};
use openmodel_transfer::select::Patterns;
use openmodel_transfer::snapshot::{Marked, wanted_digest};
use openmodel_transfer::throttle::Throttle;
use tfplug::serve::log;
use tokio::time::Instant;

use self::report::{reported, said, watched};

mod report;

/// Code of a failure whose reason is that the bucket is not there: more than `NOT_FOUND`, which may be of
/// anything.
pub(crate) const NO_BUCKET: &str = "BUCKET_NOT_FOUND";

/// Code of a failure whose reason is that the bucket may not be read or written.
pub(crate) const DENIED: &str = "BUCKET_DENIED";

/// How long a transfer waits that was tried as often as a file is, before all of it is tried again.
const REST: Duration = Duration::from_secs(30);

/// How long a transfer of Storage Transfer Service may take to end.
const ENDING: Duration = Duration::from_mins(5);

/// Google Cloud, and the repository whose files are moved.
pub(crate) struct Mirroring {
    pub(crate) google: GoogleCloud,
    /// The facts of the repository at the commit; none where files are only removed.
    pub(crate) card: Option<Arc<RepositoryCard>>,
    /// What is written beside the manifest: enough to import the cache.
    pub(crate) record: Vec<u8>,
}

impl Cloud for Mirroring {
    async fn observe(&self, call: &Call, deadline: Instant) -> Result<Seen, Failure> {
        match &call.operation {
            Operation::MirrorSnapshot {
                snapshot,
                mirror,
                take,
                ..
            } => self.look(snapshot, mirror, *take, &call.key).await,
            Operation::RunTransferJob {
                snapshot,
                mirror,
                take,
                ..
            }
            | Operation::RunStorageTransfer {
                snapshot,
                mirror,
                take,
                ..
            } => {
                match self.look_at_files(call, snapshot, mirror, *take).await? {
                    // All files are there; a job may be left of a run that was cut.
                    Seen::Ours(_) => self.google.observe(call, deadline).await,
                    seen => Ok(seen),
                }
            }
            Operation::MarkSnapshotReady {
                snapshot, zones, ..
            } => {
                let store = self.open(snapshot).await.map_err(failure)?;
                let ready = store.is_marked_ready(&self.record, &ready(zones)).await;
                Ok(if ready.map_err(failure)? {
                    Seen::Ours(Output::named(snapshot.to_string()))
                } else {
                    Seen::Absent
                })
            }
            Operation::DeleteSnapshot {
                snapshot,
                unfinished,
                ..
            } => {
                let store = match self.open(snapshot).await {
                    Ok(store) => store,
                    Err(trouble) if trouble.kind == Kind::NoBucket => {
                        return Ok(Seen::Ours(Output::named(snapshot.to_string())));
                    }
                    Err(trouble) => return Err(failure(trouble)),
                };
                let stays = *unfinished && is_ready(&store);
                let gone = stays || store.is_gone();
                Ok(if gone {
                    Seen::Ours(Output::named(snapshot.to_string()))
                } else {
                    Seen::Absent
                })
            }
            _ => self.google.observe(call, deadline).await,
        }
    }

    async fn perform(&self, call: &Call, deadline: Instant) -> Outcome {
        match &call.operation {
            Operation::MirrorSnapshot {
                snapshot, mirror, ..
            } => {
                let moving = self.mirror(snapshot, mirror, &call.key);
                match tokio::time::timeout_at(deadline, moving).await {
                    Ok(Ok(())) => Outcome::Done(Output::named(snapshot.to_string())),
                    Ok(Err(trouble)) => Outcome::Refused(failure(trouble)),
                    Err(_) => Outcome::Unknown(Failure::passing(
                        "DEADLINE_EXCEEDED",
                        format!("{snapshot} was not complete when the time was up"),
                    )),
                }
            }
            Operation::RunTransferJob { snapshot, job, .. } => {
                let tasks = job.tasks;
                let line = format!("{snapshot}: {tasks} tasks of a Cloud Run job move the files");
                log::info("cache", &line, &[]);
                loop {
                    let cleared = async { clear(&self.open(snapshot).await?).await };
                    let before = match cleared.await {
                        Ok(before) => before,
                        Err(trouble) => return outcome(snapshot, Err(trouble)),
                    };
                    if let Some(end) = self.carried(snapshot, before, call, deadline).await {
                        return end;
                    }
                }
            }
            Operation::RunStorageTransfer {
                snapshot,
                project,
                mirror,
                ..
            } => Box::pin(self.fetch(call, snapshot, project, mirror, deadline)).await,
            Operation::MarkSnapshotReady {
                snapshot, zones, ..
            } => {
                let marked = async {
                    let store = self.open(snapshot).await?;
                    store.mark(&self.record, &ready(zones)).await
                };
                outcome(snapshot, marked.await)
            }
            Operation::DeleteSnapshot {
                snapshot,
                unfinished,
                ..
            } => outcome(snapshot, self.remove(snapshot, *unfinished).await),
            _ => self.google.perform(call, deadline).await,
        }
    }

    async fn undo(&self, call: &Call, done: &Output, deadline: Instant) -> Outcome {
        match &call.operation {
            Operation::RunTransferJob { snapshot, .. }
            | Operation::RunStorageTransfer { snapshot, .. } => {
                match self.google.undo(call, done, deadline).await {
                    Outcome::Done(_) => outcome(snapshot, self.remove(snapshot, false).await),
                    not_done => not_done,
                }
            }
            Operation::MirrorSnapshot { snapshot, .. } => {
                outcome(snapshot, self.remove(snapshot, false).await)
            }
            _ => self.google.undo(call, done, deadline).await,
        }
    }
}

impl Mirroring {
    /// A snapshot in its folder, as it is to be, is ours if this step wrote it or the cache has it already.
    async fn look(
        &self,
        snapshot: &SnapshotUri,
        mirror: &MirrorSpec,
        take: bool,
        key: &StepKey,
    ) -> Result<Seen, Failure> {
        let Some((store, Some(found))) = self.found(snapshot).await? else {
            return Ok(Seen::Absent);
        };
        let marks = &found.marks;
        let begun = marks.get(KEY_LABEL).map(String::as_str) == Some(key.as_str())
            && marks.get(PHASE_LABEL).map(String::as_str) == Some(Phase::Provisioning.as_str());
        if !take && !begun {
            return Ok(Seen::Conflict(taken(snapshot)));
        }
        Ok(seen(snapshot, is_whole(&store, &found, mirror)))
    }

    /// Whether the files are in their folder, for a step that only moves them. Those of Storage Transfer Service
    /// wait there to be verified.
    async fn look_at_files(
        &self,
        call: &Call,
        snapshot: &SnapshotUri,
        mirror: &MirrorSpec,
        take: bool,
    ) -> Result<Seen, Failure> {
        let Some((store, found)) = self.found(snapshot).await? else {
            return Ok(Seen::Absent);
        };
        let there = if let Some(found) = found {
            if !take && is_ready(&store) {
                return Ok(Seen::Conflict(taken(snapshot)));
            }
            is_whole(&store, &found, mirror)
        } else if let Operation::RunStorageTransfer { .. } = call.operation {
            let prepared = self.prepare(snapshot, mirror, &call.key);
            let prepared = prepared.map_err(failure)?;
            let lacking = prepared.lack(snapshot, &mirror.near, None).await;
            lacking.map_err(failure)? == 0
        } else {
            let files = self.files(snapshot, mirror).map_err(failure)?;
            store.missing(&files).map_err(failure)?.is_empty()
        };
        Ok(seen(snapshot, there))
    }

    /// The folder of a snapshot, and its manifest where there is one. Without its bucket there is neither: the
    /// bucket's step comes before, or it is the user's and is gone.
    async fn found(
        &self,
        snapshot: &SnapshotUri,
    ) -> Result<Option<(BucketStore, Option<Marked>)>, Failure> {
        let store = match self.open(snapshot).await {
            Ok(store) => store,
            Err(trouble) if trouble.kind == Kind::NoBucket => return Ok(None),
            Err(trouble) => return Err(failure(trouble)),
        };
        let marked = store.marked().await.map_err(failure)?;
        Ok(Some((store, marked)))
    }

    /// Storage Transfer Service fetches what is not there and cannot be copied.
    async fn fetch(
        &self,
        call: &Call,
        snapshot: &SnapshotUri,
        project: &ProjectId,
        mirror: &MirrorSpec,
        deadline: Instant,
    ) -> Outcome {
        loop {
            let listed = async {
                let before = clear(&self.open(snapshot).await?).await?;
                let prepared = self.prepare(snapshot, mirror, &call.key)?;
                let lacking = prepared.lack(snapshot, &mirror.near, Some(project));
                Ok::<_, Trouble>((before, lacking.await?))
            };
            let (before, files) = match listed.await {
                Ok(listed) => listed,
                Err(trouble) => return outcome(snapshot, Err(trouble)),
            };
            // A job that is left goes before the files are verified.
            if files == 0 {
                return Outcome::Done(Output::named(snapshot.to_string()));
            }
            let line = format!("{snapshot}: Storage Transfer Service fetches {files} files");
            log::info("cache", &line, &[]);
            if let Some(end) = self.carried(snapshot, before, call, deadline).await {
                return end;
            }
        }
    }

    /// Others move the files; `None`: not all of them now, and it may go another time. What they have moved goes
    /// where they failed for good and no snapshot was there before.
    async fn carried(
        &self,
        snapshot: &SnapshotUri,
        before: Option<Marked>,
        call: &Call,
        deadline: Instant,
    ) -> Option<Outcome> {
        let performing = self.google.perform(call, deadline);
        let all = self.bytes(call);
        let mut failure = match watched(self, snapshot, all, performing).await {
            Outcome::Refused(failure) => failure,
            other => return Some(other),
        };
        if failure.transient {
            log::warn("cache", &format!("{snapshot}: {failure}"), &[]);
            tokio::time::sleep(REST).await;
            return None;
        }
        if before.is_none()
            && let Err(trouble) = self.remove(snapshot, false).await
        {
            let left = format!("\nWhat it had moved is still there: {trouble}");
            failure.message.push_str(&left);
        }
        Some(Outcome::Refused(failure))
    }

    /// End what Storage Transfer Service still fetches into the folder.
    async fn end_transfers(&self, store: &BucketStore) -> Result<(), Trouble> {
        let Some(project) = store.fetched_by() else {
            return Ok(());
        };
        let deadline = Instant::now() + ENDING;
        let ended = self
            .google
            .end_storage_transfer(&project, store.uri(), deadline);
        match ended.await {
            Outcome::Done(_) => Ok(()),
            Outcome::Refused(failure) if !failure.transient => {
                Err(Trouble::last(failure.to_string()))
            }
            Outcome::Refused(failure) | Outcome::Unknown(failure) => {
                Err(Trouble::passing(failure.to_string()))
            }
        }
    }

    /// Move what is missing, with rests, until it is there or refused for good.
    async fn mirror(
        &self,
        snapshot: &SnapshotUri,
        spec: &MirrorSpec,
        key: &StepKey,
    ) -> Result<(), Trouble> {
        let mirror = self.prepare(snapshot, spec, key)?;
        let store = self.open(snapshot).await?;
        self.end_transfers(&store).await?;
        let before = match &spec.moved_by {
            None => clear(&store).await?,
            // What its job has just moved differs from an earlier manifest too.
            Some(_) => store.marked().await?,
        };
        loop {
            let class = spec.storage_class.as_deref();
            let moving = mirror.to(snapshot, class, &spec.near);
            let trouble = match reported(snapshot, &mirror, moving).await {
                Ok((_, moved)) => {
                    said(snapshot, &mirror.meter, &moved);
                    return Ok(());
                }
                Err(trouble) => trouble,
            };
            if trouble.is_lasting() {
                if before.is_none() {
                    self.remove(snapshot, false).await?;
                }
                return Err(trouble);
            }
            log::warn("cache", &format!("{snapshot}: {trouble}"), &[]);
            tokio::time::sleep(REST).await;
        }
    }

    fn prepare(
        &self,
        snapshot: &SnapshotUri,
        spec: &MirrorSpec,
        key: &StepKey,
    ) -> Result<Mirror, Trouble> {
        let files = self.files(snapshot, spec)?;
        let card = self.card()?;
        let transport = self.google.transport().clone();
        let origin: Arc<dyn Origin> = match &spec.moved_by {
            Some(carrier @ Carrier::Job(_)) => Arc::new(MovedElsewhere {
                by: carrier.to_string(),
            }),
            Some(Carrier::StorageTransfer(_)) | None => Arc::new(HubOrigin {
                transport: transport.clone(),
                repository: card.repository.clone(),
                commit: snapshot.commit(),
            }),
        };
        Ok(Mirror {
            origin,
            arrive: matches!(spec.moved_by, Some(Carrier::StorageTransfer(_))),
            transport,
            repository: card.repository.clone(),
            license: card.licence.id().map(str::to_owned),
            files,
            marks: BTreeMap::from([
                (KEY_LABEL.to_owned(), key.to_string()),
                (
                    PHASE_LABEL.to_owned(),
                    Phase::Provisioning.as_str().to_owned(),
                ),
            ]),
            parallelism: usize::try_from(spec.parallelism).unwrap_or(1),
            throttle: spec
                .max_bandwidth_mib
                .map(|mib| Arc::new(Throttle::new(u64::from(mib) << 20))),
            meter: Arc::new(Meter::default()),
        })
    }

    fn card(&self) -> Result<&RepositoryCard, Trouble> {
        let card = self.card.as_deref();
        card.ok_or_else(|| Trouble::last("the repository was not read"))
    }

    /// The files of a snapshot, as they were planned.
    fn files(&self, snapshot: &SnapshotUri, spec: &MirrorSpec) -> Result<Vec<RepoFile>, Trouble> {
        let card = self.card()?;
        let patterns = Patterns {
            include: spec.include.clone(),
            exclude: spec.exclude.clone(),
        };
        let selection = patterns.select(card.repository.kind, &card.files);
        let selection = selection.map_err(|error| Trouble::last(error.to_string()))?;
        if wanted_digest(&selection.files)? != spec.digest {
            return Err(Trouble::last(format!(
                "{}: the Hub lists other files at {} than it did while planning; plan again",
                card.repository.id,
                snapshot.commit()
            )));
        }
        Ok(selection.files)
    }

    /// Bytes of the files that others move.
    fn bytes(&self, call: &Call) -> Bytes {
        let (Operation::RunTransferJob {
            snapshot, mirror, ..
        }
        | Operation::RunStorageTransfer {
            snapshot, mirror, ..
        }) = &call.operation
        else {
            return Bytes::default();
        };
        let files = self.files(snapshot, mirror).unwrap_or_default();
        files.iter().map(|file| file.size).sum()
    }

    /// Remove a snapshot, and what was begun of one; `unfinished`: one that is finished is another's, and stays.
    async fn remove(&self, snapshot: &SnapshotUri, unfinished: bool) -> Result<(), Trouble> {
        let store = match self.open(snapshot).await {
            Ok(store) => store,
            Err(trouble) if trouble.kind == Kind::NoBucket => return Ok(()),
            Err(trouble) => return Err(trouble),
        };
        if unfinished && is_ready(&store) {
            return Ok(());
        }
        self.end_transfers(&store).await?;
        let left = store.remove().await?;
        if !left.is_empty() {
            log::warn(
                "cache",
                &format!(
                    "{snapshot}: these are not of the snapshot and stay: {}",
                    left.join(", ")
                ),
                &[],
            );
        }
        Ok(())
    }

    async fn open(&self, snapshot: &SnapshotUri) -> Result<BucketStore, Trouble> {
        BucketStore::open(self.google.transport().clone(), snapshot.clone()).await
    }
}

fn ready(zones: &[Zone]) -> BTreeMap<String, String> {
    let zones: Vec<&str> = zones.iter().map(Zone::as_str).collect();
    BTreeMap::from([
        (PHASE_LABEL.to_owned(), Phase::Ready.as_str().to_owned()),
        (NEAR_LABEL.to_owned(), near(&zones)),
    ])
}

/// Remove what was altered since the snapshot was finished; the manifest, where there is one.
async fn clear(store: &BucketStore) -> Result<Option<Marked>, Trouble> {
    let before = store.marked().await?;
    if let Some(before) = &before {
        store.clear(&store.compare(&before.manifest)).await?;
    }
    Ok(before)
}

/// Whether a snapshot is finished, with all that belongs to its cache.
fn is_ready(store: &BucketStore) -> bool {
    let phase = store.marks().and_then(|marks| marks.get(PHASE_LABEL));
    phase.map(String::as_str) == Some(Phase::Ready.as_str())
}

/// Whether the files of a manifest are those that are wanted, and are there as it lists them.
fn is_whole(store: &BucketStore, found: &Marked, wanted: &MirrorSpec) -> bool {
    let differs = || store.compare(&found.manifest).into_iter();
    found.manifest.digest == wanted.digest && !differs().any(|one| one.is_mendable())
}

fn seen(snapshot: &SnapshotUri, there: bool) -> Seen {
    if there {
        Seen::Ours(Output::named(snapshot.to_string()))
    } else {
        Seen::Absent
    }
}

fn taken(snapshot: &SnapshotUri) -> Failure {
    Failure {
        hint: Some(format!(
            "If an openmodel_cache made it that no state has any more, take it up: `terraform import \
             openmodel_cache.NAME {snapshot}`. Else let its owner keep it and use its address, or choose another prefix."
        )),
        ..Failure::lasting(
            "ALREADY_EXISTS",
            format!("the snapshot {snapshot} exists already, and this resource did not make it"),
        )
    }
}

fn outcome(snapshot: &SnapshotUri, done: Result<(), Trouble>) -> Outcome {
    match done {
        Ok(()) => Outcome::Done(Output::named(snapshot.to_string())),
        Err(trouble) if trouble.is_lasting() => Outcome::Refused(failure(trouble)),
        Err(trouble) => Outcome::Unknown(failure(trouble)),
    }
}

pub(crate) fn failure(trouble: Trouble) -> Failure {
    match trouble.kind {
        Kind::Final => Failure::lasting("FAILED_PRECONDITION", trouble.message),
        Kind::NoBucket => Failure::lasting(NO_BUCKET, trouble.message),
        Kind::Denied => Failure::lasting(DENIED, trouble.message),
        Kind::Passing(_) | Kind::Doubtful | Kind::Spent => {
            Failure::passing("UNAVAILABLE", trouble.message)
        }
    }
}
