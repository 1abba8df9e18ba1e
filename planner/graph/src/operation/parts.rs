//! What operations are given: buckets, files, services.

use std::collections::BTreeMap;
use std::fmt;

use openmodel_schemas::name::{ProjectId, Region};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::report::Volume;
use openmodel_schemas::snapshot::SnapshotUri;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Input, Tags};

/// A bucket that is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketSpec {
    /// Name, one in all the world.
    pub name: String,
    /// Region, dual-region or multi-region, in lower case.
    pub location: String,
    /// Storage class of objects that name none: `STANDARD`.
    pub storage_class: String,
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`, where the user gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// Labels of the user; ours are added when performed.
    pub labels: Tags,
}

/// The files of a repository that a snapshot holds, and how they are moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorSpec {
    /// Patterns of files that are kept; empty: those that serve.
    pub include: Vec<String>,
    /// Patterns of files that are left out.
    pub exclude: Vec<String>,
    /// The digest that its manifest must have.
    pub digest: String,
    /// Storage class of the objects; none: the bucket's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Buckets whose snapshots of the repository are copied from.
    pub near: Vec<String>,
    /// Files in flight at once.
    pub parallelism: u32,
    /// Most MiB a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bandwidth_mib: Option<u32>,
    /// Who has moved the files before this. After a job nothing is read from the Hub any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_by: Option<Carrier>,
}

/// Who moves the files of a snapshot in place of the process that makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carrier {
    /// A Cloud Run job, by its full name: it verifies what it moves.
    Job(String),
    /// Jobs of Storage Transfer Service, by what their names begin with: they verify nothing.
    StorageTransfer(String),
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(name) => write!(f, "the job {name}"),
            Self::StorageTransfer(name) => write!(f, "Storage Transfer Service ({name})"),
        }
    }
}

/// `projects/P/locations/R/jobs/ID`: the full name of the job that moves a snapshot's files. The id is made
/// from the snapshot's address, so that whoever knows that finds it.
#[must_use]
pub fn transfer_job_name(project: &ProjectId, region: &Region, snapshot: &SnapshotUri) -> String {
    let id = carrier_id(snapshot);
    format!("projects/{project}/locations/{region}/jobs/{id}")
}

/// `transferJobs/ID`: what the names of the Storage Transfer jobs of a snapshot begin with. A name is taken for
/// 30 days after its job is deleted, so a number follows.
#[must_use]
pub fn storage_transfer_name(snapshot: &SnapshotUri) -> String {
    format!("transferJobs/{}", carrier_id(snapshot))
}

fn carrier_id(snapshot: &SnapshotUri) -> String {
    let digest = Sha256::digest(snapshot.to_string().as_bytes());
    format!("openmodel-transfer-{}", hex::encode(&digest[..12]))
}

/// A Cloud Run service with one serving container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Image reference.
    pub image: String,
    /// Entrypoint; empty keeps the image's own.
    pub command: Vec<String>,
    /// Arguments.
    pub args: Vec<String>,
    /// Plain environment variables.
    pub env: Tags,
    /// Environment variables read from secret versions (full names).
    pub secret_env: BTreeMap<String, Input>,
    /// What is mounted into the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// vCPUs.
    pub cpu: u32,
    /// Host memory.
    pub memory: Bytes,
    /// GPU type: `nvidia-l4`.
    pub accelerator: String,
    /// GPUs per instance.
    pub accelerator_count: u32,
    /// Whether instances are spread over zones at the higher price.
    pub zonal_redundancy: bool,
    /// Port the container listens on.
    pub port: u16,
    /// Path that answers 200 once the model is loaded.
    pub health_path: String,
    /// Requests an instance takes at once.
    pub concurrency: u32,
    /// Smallest number of instances.
    pub min_replicas: u32,
    /// Largest number of instances.
    pub max_replicas: u32,
    /// Labels of the user; ours (`openmodel-*`) are added when performed.
    pub labels: Tags,
    /// Annotations, such as the frozen spec and advice (`openmodel.dev/…`).
    pub annotations: Tags,
}
