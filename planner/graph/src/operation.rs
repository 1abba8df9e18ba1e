//! The primitive cloud calls, as data. An operation says what shall be, never how to call it.
//!
//! Secrets are not data: an operation names the [`SecretSlot`] that holds one, and the adapter
//! that performs it is handed the value beside the graph.

use std::collections::BTreeMap;
use std::fmt;

use openmodel_schemas::name::{EndpointName, ProjectId, Region, Zone};
use openmodel_schemas::snapshot::SnapshotUri;
use openmodel_schemas::spec::TransferJob;
use serde::{Deserialize, Serialize};

use crate::graph::StepId;

pub use parts::{
    BucketSpec, Carrier, MirrorSpec, ServiceSpec, storage_transfer_name, transfer_job_name,
};

mod parts;
mod show;

/// Labels or annotations.
pub type Tags = BTreeMap<String, String>;

/// A value that is known now, or that an earlier step will give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Known when the graph is made.
    Known(String),
    /// The `id` of what that step makes.
    OutputOf(StepId),
}

impl Input {
    /// The step it comes from, where it is not known yet.
    #[must_use]
    pub const fn source(&self) -> Option<StepId> {
        match self {
            Self::Known(_) => None,
            Self::OutputOf(step) => Some(*step),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(text) => f.write_str(text),
            Self::OutputOf(step) => write!(f, "{step}.id"),
        }
    }
}

/// The name of a secret value that travels beside the graph, never in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretSlot(pub String);

/// Where an endpoint lives: all that its objects' names are made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EndpointIdentity {
    /// Google Cloud project.
    pub project: ProjectId,
    /// Region.
    pub region: Region,
    /// Name, unique in project and region.
    pub name: EndpointName,
}

impl EndpointIdentity {
    /// `projects/P/locations/R/services/N`: the full name of its Cloud Run service.
    #[must_use]
    pub fn service(&self) -> String {
        format!(
            "projects/{}/locations/{}/services/{}",
            self.project, self.region, self.name
        )
    }

    /// Id of the Secret Manager secret that holds its Hub token. Secrets are global to a
    /// project, so the region is part of the id.
    #[must_use]
    pub fn token_secret_id(&self) -> String {
        format!("openmodel-{}-{}-hugging-face-token", self.region, self.name)
    }

    /// `projects/P/secrets/ID`: the full name of that secret.
    #[must_use]
    pub fn token_secret(&self) -> String {
        format!(
            "projects/{}/secrets/{}",
            self.project,
            self.token_secret_id()
        )
    }
}

impl fmt::Display for EndpointIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.project, self.region, self.name)
    }
}

/// A primitive cloud call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all_fields = "snake_case")]
pub enum Operation {
    /// Make an empty Secret Manager secret. Output: its full name with the project *number*,
    /// as the API answers it.
    CreateSecret {
        /// Project.
        project: ProjectId,
        /// Secret id.
        secret_id: String,
        /// Labels of the user; the executor's key and ours are added when performed.
        labels: Tags,
    },
    /// Add a version to a secret. Output: the version's full name.
    AddSecretVersion {
        /// The secret's full name.
        secret: Input,
        /// The value, beside the graph.
        payload: SecretSlot,
        /// Counts changes of the value: part of the step's key, so that a new value is a new
        /// version and a repeated step is not.
        version: i64,
    },
    /// Let the project's default compute service account read a secret.
    /// Output: the secret's full name.
    GrantSecretAccess {
        /// The secret's full name, with the project number.
        secret: Input,
    },
    /// Let the default compute service account of a project read a bucket's objects.
    /// Output: the bucket's name.
    GrantBucketRead {
        /// The project whose account it is.
        project: ProjectId,
        /// The bucket, of this project or another.
        bucket: String,
        /// Steps that must be done before: what is to be read has been looked at.
        after: Vec<StepId>,
    },
    /// Wait until a snapshot is complete, and check that it serves. Output: its address.
    AwaitSnapshot {
        /// The snapshot.
        snapshot: SnapshotUri,
        /// The region that its bucket must hold.
        region: Region,
        /// Paths of the files it must have.
        files: Vec<String>,
    },
    /// Make a bucket, or find the one that openmodel made before. Output: its name.
    CreateBucket {
        /// Project that owns it.
        project: ProjectId,
        /// What.
        bucket: Box<BucketSpec>,
    },
    /// Let the tasks of a Cloud Run job move the files of a repository into a snapshot's folder, wait until
    /// they have, and delete the job. Output: the job's full name.
    RunTransferJob {
        /// The snapshot.
        snapshot: SnapshotUri,
        /// Project of the job.
        project: ProjectId,
        /// How.
        job: Box<TransferJob>,
        /// What.
        mirror: Box<MirrorSpec>,
        /// Labels of the user; ours are added when performed.
        labels: Tags,
        /// Whether a finished snapshot that lies there is this cache's.
        take: bool,
        /// Steps that must be done before: its bucket is there.
        after: Vec<StepId>,
    },
    /// Delete the job that moves the files of a snapshot, where a run was cut that waited for it. Done too
    /// where there is none.
    DeleteTransferJob {
        /// The snapshot.
        snapshot: SnapshotUri,
        /// Project of the job.
        project: ProjectId,
        /// Its region.
        region: Region,
        /// Steps that must be done before.
        after: Vec<StepId>,
    },
    /// Let Storage Transfer Service fetch the files of a repository into a snapshot's folder, where they wait to be
    /// verified, until it has, and delete its job. Output: what the job's name begins with.
    RunStorageTransfer {
        /// The snapshot.
        snapshot: SnapshotUri,
        /// Project of the job.
        project: ProjectId,
        /// What.
        mirror: Box<MirrorSpec>,
        /// Whether a finished snapshot that lies there is this cache's.
        take: bool,
        /// Steps that must be done before: its bucket is there.
        after: Vec<StepId>,
    },
    /// Move the files of a repository into a snapshot's folder, then write its manifest. Output: the
    /// snapshot's address.
    MirrorSnapshot {
        /// The snapshot.
        snapshot: SnapshotUri,
        /// What.
        mirror: Box<MirrorSpec>,
        /// Whether a finished snapshot that lies there is taken: it is this cache's.
        take: bool,
        /// Steps that must be done before: its bucket is there, and what is copied from another one.
        after: Vec<StepId>,
    },
    /// Keep the objects of a snapshot's bucket near the accelerators of a zone (Anywhere Cache), where that is
    /// not done already. Output: `BUCKET/ZONE`.
    SetAnywhereCache {
        /// The snapshot that it is for.
        snapshot: SnapshotUri,
        /// The zone.
        zone: Zone,
        /// Seconds that an object stays which nobody reads.
        ttl_seconds: u64,
        /// `admit-on-first-miss` or `admit-on-second-miss`.
        admission_policy: String,
        /// The cache is there already, and what is near it may be its own.
        take: bool,
        /// Steps that must be done before: its bucket is there.
        after: Vec<StepId>,
    },
    /// Mark a snapshot `openmodel-phase=ready`: all that belongs to its cache is there. Output: its address.
    MarkSnapshotReady {
        /// The snapshot.
        snapshot: SnapshotUri,
        /// Zones in which an Anywhere Cache is near it: noted, so that none goes which it needs.
        zones: Vec<Zone>,
        /// Steps that must be done before.
        after: Vec<StepId>,
    },
    /// Delete the objects that a snapshot's manifest lists, and the manifest first. Done too where there
    /// is none.
    DeleteSnapshot {
        /// The snapshot.
        snapshot: SnapshotUri,
        /// Whether a finished one stays: what is to go was begun by a run that was cut.
        unfinished: bool,
        /// Steps that must be done before.
        after: Vec<StepId>,
    },
    /// Take a bucket's Anywhere Cache out of a zone, and wait until it is gone. Done too where there is
    /// none, and where another snapshot in the bucket was made with it.
    DeleteAnywhereCache {
        /// The bucket.
        bucket: String,
        /// The zone.
        zone: Zone,
        /// Snapshots of the cache that stay, and do without.
        own: Vec<SnapshotUri>,
        /// Steps that must be done before: the snapshot is gone.
        after: Vec<StepId>,
    },
    /// Delete a bucket that openmodel made, if nothing is in it. Done too where something is.
    DeleteBucket {
        /// Its name.
        bucket: String,
        /// Steps that must be done before: the snapshot is gone.
        after: Vec<StepId>,
    },
    /// Make a Cloud Run service and wait until it serves. Output: its full name.
    CreateService {
        /// Where.
        identity: EndpointIdentity,
        /// What.
        service: Box<ServiceSpec>,
        /// Steps that must be done before: what it mounts must be there.
        after: Vec<StepId>,
    },
    /// Bring a Cloud Run service to a new spec and wait until it serves. Output: its full name.
    UpdateService {
        /// Where.
        identity: EndpointIdentity,
        /// What.
        service: Box<ServiceSpec>,
        /// Steps that must be done before: what it mounts must be there.
        after: Vec<StepId>,
    },
    /// Set who may invoke a service: exactly these members hold `roles/run.invoker`; other
    /// roles of the policy stay. Output: the service's full name.
    SetInvokers {
        /// The service's full name.
        service: Input,
        /// IAM members; `allUsers` for a public endpoint.
        members: Vec<String>,
    },
    /// Mark a finished service `openmodel-phase=ready`. Output: its full name.
    MarkReady {
        /// The service's full name.
        service: Input,
        /// Steps that must be done before, beside the service itself.
        after: Vec<StepId>,
    },
    /// Delete a Cloud Run service. Done too where there is none.
    DeleteService {
        /// Where.
        identity: EndpointIdentity,
    },
    /// Delete a secret with all its versions. Done too where there is none.
    DeleteSecret {
        /// Its full name.
        secret: String,
        /// Steps that must be done before: a service reads its secret until it is gone.
        after: Vec<StepId>,
    },
}

impl Operation {
    /// The operation's name as it is shown: `CreateService`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CreateSecret { .. } => "CreateSecret",
            Self::AddSecretVersion { .. } => "AddSecretVersion",
            Self::GrantSecretAccess { .. } => "GrantSecretAccess",
            Self::GrantBucketRead { .. } => "GrantBucketRead",
            Self::AwaitSnapshot { .. } => "AwaitSnapshot",
            Self::CreateBucket { .. } => "CreateBucket",
            Self::RunTransferJob { .. } => "RunTransferJob",
            Self::DeleteTransferJob { .. } => "DeleteTransferJob",
            Self::RunStorageTransfer { .. } => "RunStorageTransfer",
            Self::MirrorSnapshot { .. } => "MirrorSnapshot",
            Self::SetAnywhereCache { .. } => "SetAnywhereCache",
            Self::MarkSnapshotReady { .. } => "MarkSnapshotReady",
            Self::DeleteSnapshot { .. } => "DeleteSnapshot",
            Self::DeleteAnywhereCache { .. } => "DeleteAnywhereCache",
            Self::DeleteBucket { .. } => "DeleteBucket",
            Self::CreateService { .. } => "CreateService",
            Self::UpdateService { .. } => "UpdateService",
            Self::SetInvokers { .. } => "SetInvokers",
            Self::MarkReady { .. } => "MarkReady",
            Self::DeleteService { .. } => "DeleteService",
            Self::DeleteSecret { .. } => "DeleteSecret",
        }
    }

    /// Whether undoing a run must undo this operation: it makes something that was not there.
    #[must_use]
    pub const fn creates(&self) -> bool {
        matches!(
            self,
            Self::CreateSecret { .. }
                | Self::CreateService { .. }
                | Self::CreateBucket { .. }
                | Self::RunTransferJob { take: false, .. }
                | Self::RunStorageTransfer { take: false, .. }
                | Self::MirrorSnapshot { take: false, .. }
                | Self::SetAnywhereCache { take: false, .. }
        )
    }

    /// Whether the operation changes or removes something that was made before this graph.
    #[must_use]
    pub const fn presupposes(&self) -> bool {
        matches!(
            self,
            Self::UpdateService { .. }
                | Self::DeleteService { .. }
                | Self::DeleteSecret { .. }
                | Self::RunTransferJob { take: true, .. }
                | Self::DeleteTransferJob { .. }
                | Self::RunStorageTransfer { take: true, .. }
                | Self::MirrorSnapshot { take: true, .. }
                | Self::SetAnywhereCache { take: true, .. }
                | Self::DeleteSnapshot { .. }
                | Self::DeleteAnywhereCache { .. }
                | Self::DeleteBucket { .. }
        )
    }

    /// The inputs, always in the same order.
    #[must_use]
    pub fn inputs(&self) -> Vec<&Input> {
        match self {
            Self::AddSecretVersion { secret, .. } | Self::GrantSecretAccess { secret } => {
                vec![secret]
            }
            Self::CreateService { service, .. } | Self::UpdateService { service, .. } => {
                service.secret_env.values().collect()
            }
            Self::SetInvokers { service, .. } | Self::MarkReady { service, .. } => vec![service],
            Self::CreateSecret { .. }
            | Self::GrantBucketRead { .. }
            | Self::AwaitSnapshot { .. }
            | Self::CreateBucket { .. }
            | Self::RunTransferJob { .. }
            | Self::DeleteTransferJob { .. }
            | Self::RunStorageTransfer { .. }
            | Self::MirrorSnapshot { .. }
            | Self::SetAnywhereCache { .. }
            | Self::MarkSnapshotReady { .. }
            | Self::DeleteSnapshot { .. }
            | Self::DeleteAnywhereCache { .. }
            | Self::DeleteBucket { .. }
            | Self::DeleteService { .. }
            | Self::DeleteSecret { .. } => vec![],
        }
    }

    /// The operation with each `OutputOf` replaced by what `resolve` gives for that step, in the
    /// order of [`inputs`](Self::inputs). Stops at the first error.
    pub fn with_inputs<E>(
        &self,
        mut resolve: impl FnMut(StepId) -> Result<Input, E>,
    ) -> Result<Self, E> {
        let mut operation = self.clone();
        for input in operation.inputs_mut() {
            if let Input::OutputOf(step) = input {
                *input = resolve(*step)?;
            }
        }
        Ok(operation)
    }

    /// The steps that must only have been done before, whatever their output.
    #[must_use]
    pub fn after(&self) -> &[StepId] {
        match self {
            Self::GrantBucketRead { after, .. }
            | Self::CreateService { after, .. }
            | Self::RunTransferJob { after, .. }
            | Self::DeleteTransferJob { after, .. }
            | Self::RunStorageTransfer { after, .. }
            | Self::MirrorSnapshot { after, .. }
            | Self::SetAnywhereCache { after, .. }
            | Self::MarkSnapshotReady { after, .. }
            | Self::DeleteSnapshot { after, .. }
            | Self::DeleteAnywhereCache { after, .. }
            | Self::DeleteBucket { after, .. }
            | Self::UpdateService { after, .. }
            | Self::MarkReady { after, .. }
            | Self::DeleteSecret { after, .. } => after,
            _ => &[],
        }
    }

    /// All the steps that must have been done before: those of the inputs, then `after`.
    #[must_use]
    pub fn needs(&self) -> Vec<StepId> {
        let sources = self.inputs().into_iter().filter_map(Input::source);
        sources.chain(self.after().iter().copied()).collect()
    }

    fn inputs_mut(&mut self) -> Vec<&mut Input> {
        match self {
            Self::AddSecretVersion { secret, .. } | Self::GrantSecretAccess { secret } => {
                vec![secret]
            }
            Self::CreateService { service, .. } | Self::UpdateService { service, .. } => {
                service.secret_env.values_mut().collect()
            }
            Self::SetInvokers { service, .. } | Self::MarkReady { service, .. } => vec![service],
            Self::CreateSecret { .. }
            | Self::GrantBucketRead { .. }
            | Self::AwaitSnapshot { .. }
            | Self::CreateBucket { .. }
            | Self::RunTransferJob { .. }
            | Self::DeleteTransferJob { .. }
            | Self::RunStorageTransfer { .. }
            | Self::MirrorSnapshot { .. }
            | Self::SetAnywhereCache { .. }
            | Self::MarkSnapshotReady { .. }
            | Self::DeleteSnapshot { .. }
            | Self::DeleteAnywhereCache { .. }
            | Self::DeleteBucket { .. }
            | Self::DeleteService { .. }
            | Self::DeleteSecret { .. } => vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_filled_in_and_known_ones_stay() {
        let grant = |secret| Operation::GrantSecretAccess { secret };
        let fill = |step: StepId| Ok::<_, String>(Input::Known(format!("output of {step}")));
        let known = grant(Input::Known("secrets/a".to_owned()));
        assert_eq!(known.with_inputs(fill), Ok(known.clone()));
        assert_eq!(
            grant(Input::OutputOf(StepId(3))).with_inputs(fill),
            Ok(grant(Input::Known("output of s3".to_owned())))
        );
        let refuse = |step: StepId| Err(format!("{step} is not done"));
        assert_eq!(
            grant(Input::OutputOf(StepId(3))).with_inputs(refuse),
            Err("s3 is not done".to_owned())
        );
    }

    #[test]
    fn ordering_edges_follow_the_inputs() {
        let ready = Operation::MarkReady {
            service: Input::OutputOf(StepId(4)),
            after: vec![StepId(2), StepId(1)],
        };
        assert_eq!(ready.needs(), [StepId(4), StepId(2), StepId(1)]);
        assert_eq!(ready.to_string(), "MarkReady(s4.id) after s2, s1");
    }
}
