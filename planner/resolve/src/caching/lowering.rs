//! Turn a cache into operations.
//!
//! ```text
//!   CreateBucket ─► MirrorSnapshot (from the Hub) ─┬─► MirrorSnapshot (a copy) ─┬─► MarkSnapshotReady
//!         │            ▲                           └─► SetAnywhereCache ────────┘
//!         └─► RunTransferJob or RunStorageTransfer, where others move the files: MirrorSnapshot finds them
//!   DeleteTransferJob ─► DeleteSnapshot ─► DeleteAnywhereCache ─► DeleteBucket
//! ```
//!
//! The first place gets the files from the Hub, the others copy them from it. An old snapshot goes only
//! after the new one is ready: whatever serves from it has been told by then.

use openmodel_graph::graph::{ExecutionGraph, GraphBuilder, GraphError, StepId};
use openmodel_graph::operation::{
    BucketSpec, Carrier, MirrorSpec, Operation, storage_transfer_name, transfer_job_name,
};
use openmodel_schemas::name::{ProjectId, Region, Zone};
use openmodel_schemas::snapshot::SnapshotUri;
use openmodel_schemas::spec::{CachePlace, CacheSpec, TransferEngine};

/// Storage class of the buckets that openmodel makes, where nobody names one.
pub const STORAGE_CLASS: &str = "STANDARD";

/// What of a cache is no longer wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Cloud Run jobs that may still move files.
    pub jobs: Vec<LeavingJob>,
    /// Snapshots.
    pub snapshots: Vec<SnapshotUri>,
    /// What was begun of others, and never finished.
    pub unfinished: Vec<SnapshotUri>,
    /// Anywhere Caches, by their buckets.
    pub anywhere_caches: Vec<(String, Zone)>,
    /// Snapshots that stay: those Anywhere Caches are not for them any more.
    pub staying: Vec<SnapshotUri>,
    /// Buckets that openmodel made, and that may be empty then.
    pub buckets: Vec<String>,
}

/// A Cloud Run job that may still move the files of a snapshot. One of Storage Transfer Service is ended by who
/// removes the files: the folder says that there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeavingJob {
    /// The snapshot.
    pub snapshot: SnapshotUri,
    /// Project of the job.
    pub project: ProjectId,
    /// Its region.
    pub region: Region,
}

/// The operations that make a cache, or bring one to a new state. `take`: it is there already, and its
/// finished snapshots are its own.
pub fn lower_cache(
    spec: &CacheSpec,
    take: bool,
    leaving: &Leaving,
) -> Result<ExecutionGraph, GraphError> {
    let mut graph = GraphBuilder::new(identity(spec));
    let places = spec.places();
    let mut mirrored = Vec::new();
    let mut made = Vec::new();
    for place in &places {
        let mut after: Vec<StepId> = mirrored.first().copied().into_iter().collect();
        if place.makes_bucket {
            after.push(graph.step(Operation::CreateBucket {
                project: spec.project.clone(),
                bucket: Box::new(bucket(spec, place)),
            }));
        }
        let mut mirror = mirror(spec, place, &places);
        if mirrored.is_empty()
            && let Some((step, carrier)) = carry(spec, place, &mirror, take, &after)
        {
            after.push(graph.step(step));
            mirror.moved_by = Some(carrier);
        }
        let mirror = graph.step(Operation::MirrorSnapshot {
            snapshot: place.uri.clone(),
            mirror: Box::new(mirror),
            take,
            after,
        });
        mirrored.push(mirror);
        for zone in zones(spec, place, places.len() == 1) {
            if let Some(near) = &spec.anywhere_cache {
                made.push(graph.step(Operation::SetAnywhereCache {
                    snapshot: place.uri.clone(),
                    zone,
                    ttl_seconds: near.ttl_seconds,
                    admission_policy: near.admission_policy.clone(),
                    take,
                    after: vec![mirror],
                }));
            }
        }
    }
    made.extend(mirrored);
    let ready: Vec<StepId> = places
        .iter()
        .map(|place| {
            graph.step(Operation::MarkSnapshotReady {
                snapshot: place.uri.clone(),
                zones: zones(spec, place, places.len() == 1),
                after: made.clone(),
            })
        })
        .collect();
    leave(&mut graph, leaving, &ready);
    graph.freeze()
}

/// The operations that remove what is leaving of a cache.
pub fn lower_cache_delete(identity: &str, leaving: &Leaving) -> Result<ExecutionGraph, GraphError> {
    let mut graph = GraphBuilder::new(identity);
    leave(&mut graph, leaving, &[]);
    graph.freeze()
}

/// The job that moves the files to the first place, where one does.
#[must_use]
pub fn transfer_job(spec: &CacheSpec) -> Option<LeavingJob> {
    let TransferEngine::CloudRunJob(job) = &spec.transfer.engine else {
        return None;
    };
    Some(LeavingJob {
        snapshot: spec.places().swap_remove(0).uri,
        project: spec.project.clone(),
        region: job.region.clone(),
    })
}

/// What a cache is called in the keys of its steps: the folder of its repository in the first place.
#[must_use]
pub fn identity(spec: &CacheSpec) -> String {
    let first = spec.places().swap_remove(0).uri;
    format!("gs://{}/{}", first.bucket(), first.repository_folder())
}

/// The zones of the cache that lie in a place. One place alone is that of all zones: whether a multi-region
/// holds them is for Cloud Storage to say.
#[must_use]
pub fn zones(spec: &CacheSpec, place: &CachePlace, alone: bool) -> Vec<Zone> {
    let Some(near) = &spec.anywhere_cache else {
        return Vec::new();
    };
    let inside = |zone: &&Zone| alone || zone.region().as_str() == place.location;
    near.zones.iter().filter(inside).cloned().collect()
}

/// The step in which others move the files to a place, and who they are.
fn carry(
    spec: &CacheSpec,
    place: &CachePlace,
    mirror: &MirrorSpec,
    take: bool,
    after: &[StepId],
) -> Option<(Operation, Carrier)> {
    let (snapshot, project) = (place.uri.clone(), spec.project.clone());
    let (mirror, after) = (Box::new(mirror.clone()), after.to_vec());
    match &spec.transfer.engine {
        TransferEngine::Local => None,
        TransferEngine::CloudRunJob(job) => {
            let name = transfer_job_name(&project, &job.region, &snapshot);
            let step = Operation::RunTransferJob {
                snapshot,
                project,
                job: Box::new(job.clone()),
                mirror,
                labels: spec.labels.clone(),
                take,
                after,
            };
            Some((step, Carrier::Job(name)))
        }
        TransferEngine::StorageTransfer => {
            let carrier = Carrier::StorageTransfer(storage_transfer_name(&snapshot));
            let step = Operation::RunStorageTransfer {
                snapshot,
                project,
                mirror,
                take,
                after,
            };
            Some((step, carrier))
        }
    }
}

fn leave(graph: &mut GraphBuilder, leaving: &Leaving, ready: &[StepId]) {
    let mut after = ready.to_vec();
    for job in &leaving.jobs {
        after.push(graph.step(Operation::DeleteTransferJob {
            snapshot: job.snapshot.clone(),
            project: job.project.clone(),
            region: job.region.clone(),
            after: ready.to_vec(),
        }));
    }
    let still = after.clone();
    let finished = leaving.snapshots.iter().map(|snapshot| (snapshot, false));
    let unfinished = leaving.unfinished.iter().map(|snapshot| (snapshot, true));
    for (snapshot, unfinished) in finished.chain(unfinished) {
        after.push(graph.step(Operation::DeleteSnapshot {
            snapshot: snapshot.clone(),
            unfinished,
            after: still.clone(),
        }));
    }
    let mut last = after.clone();
    for (bucket, zone) in &leaving.anywhere_caches {
        last.push(graph.step(Operation::DeleteAnywhereCache {
            bucket: bucket.clone(),
            zone: zone.clone(),
            own: leaving.staying.clone(),
            after: after.clone(),
        }));
    }
    for bucket in &leaving.buckets {
        graph.step(Operation::DeleteBucket {
            bucket: bucket.clone(),
            after: last.clone(),
        });
    }
}

fn bucket(spec: &CacheSpec, place: &CachePlace) -> BucketSpec {
    BucketSpec {
        name: place.uri.bucket().to_owned(),
        location: place.location.clone(),
        storage_class: STORAGE_CLASS.to_owned(),
        kms_key: spec.kms_key.clone(),
        labels: spec.labels.clone(),
    }
}

/// Its own bucket may hold another snapshot of the repository; the first place holds this one.
fn mirror(spec: &CacheSpec, place: &CachePlace, places: &[CachePlace]) -> MirrorSpec {
    let mut near = vec![place.uri.bucket().to_owned()];
    let others = places.iter().map(|other| other.uri.bucket().to_owned());
    for other in others {
        if !near.contains(&other) {
            near.push(other);
        }
    }
    MirrorSpec {
        include: spec.include.clone(),
        exclude: spec.exclude.clone(),
        digest: spec.digest.clone(),
        storage_class: spec.storage_class.clone(),
        near,
        parallelism: spec.transfer.parallelism,
        max_bandwidth_mib: spec.transfer.max_bandwidth_mib,
        moved_by: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use openmodel_schemas::snapshot::{Repository, RepositoryType};
    use openmodel_schemas::spec::{AnywhereCacheSpec, TransferJob, TransferSpec};

    use super::*;

    fn spec() -> CacheSpec {
        CacheSpec {
            project: "acme-ml".parse().expect("a project"),
            repository: Repository {
                kind: RepositoryType::Model,
                id: "org/name".parse().expect("an id"),
            },
            commit: "0e9e39f249a16976918f6564b8830bc894c89659"
                .parse()
                .expect("a commit"),
            include: Vec::new(),
            exclude: Vec::new(),
            selection: None,
            digest: "ab".repeat(32),
            bucket: None,
            prefix: String::new(),
            location: "us-central1".to_owned(),
            regions: Vec::new(),
            storage_class: None,
            kms_key: None,
            anywhere_cache: None,
            transfer: TransferSpec {
                parallelism: 8,
                max_bandwidth_mib: None,
                engine: TransferEngine::Local,
            },
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn one_place_is_a_bucket_and_a_snapshot() {
        let graph = lower_cache(&spec(), false, &Leaving::default()).expect("a graph");
        insta::assert_snapshot!(graph, @"
        s0 = CreateBucket(acme-ml, openmodel-acme-ml-us-central1, us-central1, STANDARD)
        s1 = MirrorSnapshot(gs://openmodel-acme-ml-us-central1/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659, abababab, near openmodel-acme-ml-us-central1) after s0
        s2 = MarkSnapshotReady(gs://openmodel-acme-ml-us-central1/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659) after s1
        ");
        assert!(graph.is_creation());
    }

    #[test]
    fn further_places_copy_the_first_and_each_zone_is_near_its_own() {
        let spec = CacheSpec {
            bucket: Some("acme-models".to_owned()),
            regions: vec!["europe-west4".parse().expect("a region")],
            anywhere_cache: Some(AnywhereCacheSpec {
                zones: ["us-central1-a", "europe-west4-b"]
                    .map(|zone| zone.parse().expect("a zone"))
                    .to_vec(),
                ttl_seconds: 86_400,
                admission_policy: "admit-on-first-miss".to_owned(),
            }),
            ..spec()
        };
        let graph = lower_cache(&spec, false, &Leaving::default()).expect("a graph");
        insta::assert_snapshot!(graph, @"
        s0 = MirrorSnapshot(gs://acme-models/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659, abababab, near acme-models, openmodel-acme-ml-europe-west4)
        s1 = SetAnywhereCache(acme-models, us-central1-a, 86400 s, admit-on-first-miss) after s0
        s2 = CreateBucket(acme-ml, openmodel-acme-ml-europe-west4, europe-west4, STANDARD)
        s3 = MirrorSnapshot(gs://openmodel-acme-ml-europe-west4/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659, abababab, near openmodel-acme-ml-europe-west4, acme-models) after s0, s2
        s4 = SetAnywhereCache(openmodel-acme-ml-europe-west4, europe-west4-b, 86400 s, admit-on-first-miss) after s3
        s5 = MarkSnapshotReady(gs://acme-models/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659, near us-central1-a) after s1, s4, s0, s3
        s6 = MarkSnapshotReady(gs://openmodel-acme-ml-europe-west4/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659, near europe-west4-b) after s1, s4, s0, s3
        ");
    }

    #[test]
    fn a_job_moves_the_files_of_the_first_place_before_they_are_verified() {
        let spec = CacheSpec {
            bucket: Some("acme-models".to_owned()),
            regions: vec!["europe-west4".parse().expect("a region")],
            transfer: TransferSpec {
                engine: TransferEngine::CloudRunJob(TransferJob {
                    region: "us-central1".parse().expect("a region"),
                    image: "us-docker.pkg.dev/acme-ml/tools/openmodel:1".to_owned(),
                    tasks: 3,
                    service_account: None,
                    token_secret: None,
                }),
                ..spec().transfer
            },
            ..spec()
        };
        let graph = lower_cache(&spec, false, &Leaving::default()).expect("a graph");
        insta::assert_snapshot!(graph, @"
        s0 = RunTransferJob(gs://acme-models/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659, acme-ml, us-central1, 3 tasks, us-docker.pkg.dev/acme-ml/tools/openmodel:1)
        s1 = MirrorSnapshot(gs://acme-models/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659, abababab, moved by openmodel-transfer-9f18537de480ec9a3db5b5e4, near acme-models, openmodel-acme-ml-europe-west4) after s0
        s2 = CreateBucket(acme-ml, openmodel-acme-ml-europe-west4, europe-west4, STANDARD)
        s3 = MirrorSnapshot(gs://openmodel-acme-ml-europe-west4/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659, abababab, near openmodel-acme-ml-europe-west4, acme-models) after s1, s2
        s4 = MarkSnapshotReady(gs://acme-models/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659) after s1, s3
        s5 = MarkSnapshotReady(gs://openmodel-acme-ml-europe-west4/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659) after s1, s3
        ");
        assert!(graph.is_creation());
        let first = spec.places().swap_remove(0).uri;
        let all = Leaving {
            jobs: transfer_job(&spec).into_iter().collect(),
            snapshots: vec![first],
            ..Leaving::default()
        };
        let graph = lower_cache_delete(&identity(&spec), &all).expect("a graph");
        insta::assert_snapshot!(graph, @"
        s0 = DeleteTransferJob(gs://acme-models/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659, acme-ml, us-central1)
        s1 = DeleteSnapshot(gs://acme-models/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659) after s0
        ");
    }

    #[test]
    fn storage_transfer_fetches_before_the_process_verifies() {
        let spec = CacheSpec {
            bucket: Some("acme-models".to_owned()),
            transfer: TransferSpec {
                engine: TransferEngine::StorageTransfer,
                ..spec().transfer
            },
            ..spec()
        };
        let graph = lower_cache(&spec, false, &Leaving::default()).expect("a graph");
        insta::assert_snapshot!(graph, @"
        s0 = RunStorageTransfer(gs://acme-models/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659, acme-ml)
        s1 = MirrorSnapshot(gs://acme-models/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659, abababab, moved by openmodel-transfer-9f18537de480ec9a3db5b5e4, near acme-models) after s0
        s2 = MarkSnapshotReady(gs://acme-models/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659) after s1
        ");
        assert!(graph.is_creation());
    }

    #[test]
    fn what_leaves_goes_after_the_new_is_ready_and_the_bucket_last() {
        let old = spec().places().swap_remove(0).uri;
        let leaving = Leaving {
            snapshots: vec![old.clone()],
            ..Leaving::default()
        };
        let new = CacheSpec {
            commit: "1e9e39f249a16976918f6564b8830bc894c89659"
                .parse()
                .expect("a commit"),
            ..spec()
        };
        let graph = lower_cache(&new, true, &leaving).expect("a graph");
        insta::assert_snapshot!(graph, @"
        s0 = CreateBucket(acme-ml, openmodel-acme-ml-us-central1, us-central1, STANDARD)
        s1 = MirrorSnapshot(gs://openmodel-acme-ml-us-central1/models/org/name/1e9e39f249a16976918f6564b8830bc894c89659, abababab, near openmodel-acme-ml-us-central1) after s0
        s2 = MarkSnapshotReady(gs://openmodel-acme-ml-us-central1/models/org/name/1e9e39f249a16976918f6564b8830bc894c89659) after s1
        s3 = DeleteSnapshot(gs://openmodel-acme-ml-us-central1/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659) after s2
        ");
        let all = Leaving {
            jobs: Vec::new(),
            snapshots: vec![old],
            unfinished: new.places().into_iter().map(|place| place.uri).collect(),
            staying: Vec::new(),
            anywhere_caches: vec![(
                "openmodel-acme-ml-us-central1".to_owned(),
                "us-central1-a".parse().expect("a zone"),
            )],
            buckets: vec!["openmodel-acme-ml-us-central1".to_owned()],
        };
        let graph = lower_cache_delete(&identity(&new), &all).expect("a graph");
        insta::assert_snapshot!(graph, @"
        s0 = DeleteSnapshot(gs://openmodel-acme-ml-us-central1/models/org/name/0e9e39f249a16976918f6564b8830bc894c89659)
        s1 = DeleteSnapshot(gs://openmodel-acme-ml-us-central1/models/org/name/1e9e39f249a16976918f6564b8830bc894c89659, unless it is finished)
        s2 = DeleteAnywhereCache(openmodel-acme-ml-us-central1, us-central1-a) after s0, s1
        s3 = DeleteBucket(openmodel-acme-ml-us-central1) after s0, s1, s2
        ");
    }
}
