//! What is asked for of a cache: a repository, kept as a snapshot in one or more places.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::name::{CommitSha, ProjectId, Region, Zone};
use crate::snapshot::{Repository, SnapshotUri};

/// A cache: the chosen files of a repository at a commit, in Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSpec {
    /// Google Cloud project that owns the buckets openmodel makes.
    pub project: ProjectId,
    /// The repository.
    pub repository: Repository,
    /// The commit that is kept.
    pub commit: CommitSha,
    /// Patterns of files that are kept; empty: those that serve.
    pub include: Vec<String>,
    /// Patterns of files that are left out.
    pub exclude: Vec<String>,
    /// Names the choice of files, where it is not the usual one.
    pub selection: Option<String>,
    /// Digest of the manifest: what the snapshot must be.
    pub digest: String,
    /// A bucket of the user's for the first place; none: one that openmodel makes.
    pub bucket: Option<String>,
    /// What stands before the repository's folder.
    pub prefix: String,
    /// The first place: region, dual-region or multi-region, in lower case.
    pub location: String,
    /// Further places.
    pub regions: Vec<Region>,
    /// Storage class; none: `STANDARD` in buckets that openmodel makes, the bucket's own in others.
    pub storage_class: Option<String>,
    /// Key of the buckets that openmodel makes.
    pub kms_key: Option<String>,
    /// Anywhere Caches.
    pub anywhere_cache: Option<AnywhereCacheSpec>,
    /// How the files are moved.
    pub transfer: TransferSpec,
    /// Labels of the buckets that openmodel makes.
    pub labels: BTreeMap<String, String>,
}

/// Caches of the bucket near the accelerators of some zones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnywhereCacheSpec {
    /// The zones, each in a place of the cache.
    pub zones: Vec<Zone>,
    /// Seconds that an object stays which nobody reads.
    pub ttl_seconds: u64,
    /// `admit-on-first-miss` or `admit-on-second-miss`.
    pub admission_policy: String,
}

/// How files are moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferSpec {
    /// Files in flight at once.
    pub parallelism: u32,
    /// Most MiB a second; none: as many as there are.
    pub max_bandwidth_mib: Option<u32>,
    /// Who moves them from the Hub.
    pub engine: TransferEngine,
}

/// Who moves files from the Hub into Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "engine", rename_all = "snake_case")]
pub enum TransferEngine {
    /// The process that asks for it.
    Local,
    /// Tasks of a Cloud Run job.
    CloudRunJob(TransferJob),
    /// Storage Transfer Service, by a list of addresses; the process that asks verifies what arrives.
    StorageTransfer,
}

/// The Cloud Run job that moves files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferJob {
    /// Its region.
    pub region: Region,
    /// Image with the binary `openmodel` as its entry point.
    pub image: String,
    /// Tasks that share the files.
    pub tasks: u32,
    /// E-mail of the account that it runs as; none: the project's default compute account.
    pub service_account: Option<String>,
    /// `projects/P/secrets/S/versions/V` of the Hub token; none: the Hub is asked without one.
    pub token_secret: Option<String>,
}

/// A place of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePlace {
    /// Region, dual-region or multi-region, in lower case.
    pub location: String,
    /// Whether openmodel makes the bucket.
    pub makes_bucket: bool,
    /// The snapshot there.
    pub uri: SnapshotUri,
}

impl CacheSpec {
    /// Where the snapshot lies: the first place, then the further ones.
    #[must_use]
    pub fn places(&self) -> Vec<CachePlace> {
        let place = |location: &str, bucket: Option<&String>| CachePlace {
            location: location.to_owned(),
            makes_bucket: bucket.is_none(),
            uri: SnapshotUri::new(
                &bucket.map_or_else(|| bucket_name(&self.project, location), Clone::clone),
                &self.prefix,
                self.repository.clone(),
                &self.commit,
                self.selection.as_deref(),
            ),
        };
        let first = place(&self.location, self.bucket.as_ref());
        let further = self.regions.iter();
        let further = further.map(|region| place(region.as_str(), None));
        [first].into_iter().chain(further).collect()
    }
}

/// The bucket that openmodel makes for all caches of a project in a place. Buckets have one space of
/// names for all the world, and no more than 63 characters: a project of a domain is written without its
/// colon and dots (<https://cloud.google.com/storage/docs/buckets#naming>).
#[must_use]
pub fn bucket_name(project: &ProjectId, location: &str) -> String {
    let project = project.as_str().replace([':', '.'], "-");
    let name = format!("openmodel-{project}-{}", location.to_ascii_lowercase());
    // `openmodel-`, 30 and 23 characters: only a project of a domain is longer.
    name.chars().take(63).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_a_name_that_cloud_storage_takes() {
        let name =
            |project: &str, location| bucket_name(&project.parse().expect("a project"), location);
        assert_eq!(name("acme-ml", "US"), "openmodel-acme-ml-us");
        assert_eq!(
            name("example.com:acme-ml", "us-central1"),
            "openmodel-example-com-acme-ml-us-central1"
        );
        assert_eq!(
            name("a23456789012345678901234567890", "northamerica-northeast1").len(),
            63
        );
    }
}
