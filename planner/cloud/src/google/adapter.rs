//! Google Cloud as the executor sees it: which operation is which steps.

use std::collections::BTreeMap;

use openmodel_apply::cloud::{Call, Cloud, Failure, Outcome, Output, Seen};
use openmodel_graph::operation::{
    EndpointIdentity, Input, Operation, SecretSlot, transfer_job_name,
};
use openmodel_schemas::name::{ProjectId, Region};
use openmodel_schemas::snapshot::{ARRIVED, ARRIVING, SnapshotUri};
use tokio::time::Instant;

use super::access::Access;
use super::buckets::Bucket;
use super::caches::{Caches, Near};
use super::failure;
use super::job_calls;
use super::jobs::Jobs;
use super::live::LiveService;
use super::marks;
use super::run;
use super::secrets::Secrets;
use super::services::{Services, Wanted};
use super::snapshots::{Asked, SnapshotState, Snapshots};
use super::storage_transfer::StorageTransfers;
use super::storage_transfer_calls::Places;
use crate::transport::Api;
use crate::{Secret, Transport};

/// Google Cloud, with the secrets that the graph's slots stand for.
#[derive(Debug, Clone)]
pub struct GoogleCloud {
    transport: Transport,
    secrets: BTreeMap<SecretSlot, Secret>,
}

impl GoogleCloud {
    /// An adapter over a transport. `secrets` holds the value of each slot of the graph it will
    /// be handed; without a graph, or for one without slots, it is empty.
    #[must_use]
    pub fn new(transport: Transport, secrets: BTreeMap<SecretSlot, Secret>) -> Self {
        Self { transport, secrets }
    }

    /// The transport it sends through.
    #[must_use]
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// An endpoint's service as it is, with who may call it; `None` where there is none.
    pub async fn read_endpoint(
        &self,
        identity: &EndpointIdentity,
        deadline: Instant,
    ) -> Result<Option<LiveService>, Failure> {
        let name = identity.service();
        let (services, access) = (self.services(deadline), self.access(deadline));
        let (service, invokers) = futures::join!(services.find(&name), access.invokers(&name));
        match service? {
            Some(service) => Ok(Some(LiveService::new(&service, invokers?))),
            None => Ok(None),
        }
    }

    /// Whether the secret that holds an endpoint's Hub token is there.
    pub async fn has_token_secret(
        &self,
        identity: &EndpointIdentity,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let found = self
            .secrets(deadline)
            .find(&identity.token_secret())
            .await?;
        Ok(found.is_some_and(|secret| marks::is_managed(&secret.labels)))
    }

    /// What is there of a snapshot that an endpoint in a region is to serve from, if it needs these files
    /// of it.
    pub async fn look_at_snapshot(
        &self,
        snapshot: &SnapshotUri,
        region: &Region,
        files: &[String],
        deadline: Instant,
    ) -> Result<SnapshotState, Failure> {
        let asked = Asked {
            snapshot,
            region,
            files,
        };
        self.snapshots(deadline).look(asked).await
    }

    /// Ends the transfers of Storage Transfer Service into a snapshot's folder, and deletes their jobs.
    pub async fn end_storage_transfer(
        &self,
        project: &ProjectId,
        snapshot: &SnapshotUri,
        deadline: Instant,
    ) -> Outcome {
        let transfers = self.storage_transfers(project, deadline);
        transfers.delete(snapshot).await
    }

    fn snapshots(&self, deadline: Instant) -> Snapshots<'_> {
        Snapshots {
            transport: &self.transport,
            deadline,
        }
    }

    /// A bucket as it is; `None` where there is none.
    pub async fn read_bucket(
        &self,
        name: &str,
        deadline: Instant,
    ) -> Result<Option<Bucket>, Failure> {
        self.caches(deadline).find(name).await
    }

    fn caches(&self, deadline: Instant) -> Caches<'_> {
        Caches {
            transport: &self.transport,
            deadline,
        }
    }

    fn storage_transfers<'a>(
        &'a self,
        project: &'a ProjectId,
        deadline: Instant,
    ) -> StorageTransfers<'a> {
        StorageTransfers {
            transport: &self.transport,
            project,
            deadline,
        }
    }

    fn jobs(&self, deadline: Instant) -> Jobs<'_> {
        Jobs {
            transport: &self.transport,
            deadline,
        }
    }

    /// The address of the Hub, where it is not the usual one.
    fn other_hub(&self) -> Option<&str> {
        let url = self.transport.endpoints().url(Api::Hub);
        (url != Api::Hub.default_url()).then_some(url)
    }

    fn services(&self, deadline: Instant) -> Services<'_> {
        Services {
            transport: &self.transport,
            deadline,
        }
    }

    fn secrets(&self, deadline: Instant) -> Secrets<'_> {
        Secrets {
            transport: &self.transport,
            deadline,
        }
    }

    fn access(&self, deadline: Instant) -> Access<'_> {
        Access {
            transport: &self.transport,
            deadline,
        }
    }

    /// Marks a service ready, after what it no longer reads is destroyed.
    async fn mark_ready(&self, name: &str, deadline: Instant) -> Outcome {
        let services = self.services(deadline);
        let service = match services.find(name).await {
            Ok(Some(service)) => service,
            Ok(None) => return Outcome::Refused(failure::gone(name)),
            Err(failure) => return Outcome::Refused(failure),
        };
        if let Some(identity) = run::identity(name)
            && let Err(failure) = self.secrets(deadline).sweep(&identity, &service).await
        {
            return Outcome::Refused(failure);
        }
        services.mark_ready(service).await
    }

    async fn add_version(
        &self,
        call: &Call,
        secret: &Input,
        slot: &SecretSlot,
        deadline: Instant,
    ) -> Outcome {
        let Some(value) = self.secrets.get(slot) else {
            return Outcome::Refused(Failure::lasting(
                "INTERNAL",
                format!("nobody gave a value for the secret {:?}", slot.0),
            ));
        };
        match known(secret) {
            Ok(name) => {
                self.secrets(deadline)
                    .add_version(name, value, &call.key)
                    .await
            }
            Err(failure) => Outcome::Refused(failure),
        }
    }
}

impl Cloud for GoogleCloud {
    async fn observe(&self, call: &Call, deadline: Instant) -> Result<Seen, Failure> {
        let (services, secrets, access) = (
            self.services(deadline),
            self.secrets(deadline),
            self.access(deadline),
        );
        match &call.operation {
            Operation::CreateSecret {
                project, secret_id, ..
            } => {
                secrets
                    .observe_created(project.as_str(), secret_id, &call.key)
                    .await
            }
            Operation::AddSecretVersion { secret, .. } => {
                secrets.observe_version(known(secret)?, &call.key).await
            }
            Operation::GrantSecretAccess { secret } => access.observe_grant(known(secret)?).await,
            Operation::GrantBucketRead {
                project, bucket, ..
            } => access.observe_bucket(bucket, project.as_str()).await,
            Operation::AwaitSnapshot {
                snapshot,
                region,
                files,
            } => {
                let asked = Asked {
                    snapshot,
                    region,
                    files,
                };
                self.snapshots(deadline).observe(asked).await
            }
            Operation::CreateBucket { bucket, .. } => {
                self.caches(deadline).observe_bucket(bucket).await
            }
            Operation::RunTransferJob {
                snapshot,
                project,
                job,
                ..
            } => {
                let name = transfer_job_name(project, &job.region, snapshot);
                self.jobs(deadline).observe(&name).await
            }
            Operation::DeleteTransferJob {
                snapshot,
                project,
                region,
                ..
            } => {
                let name = transfer_job_name(project, region, snapshot);
                self.jobs(deadline).observe(&name).await
            }
            Operation::RunStorageTransfer {
                snapshot, project, ..
            } => {
                let transfers = self.storage_transfers(project, deadline);
                transfers.observe(snapshot).await
            }
            Operation::SetAnywhereCache { .. } => {
                let near = near(&call.operation)?;
                self.caches(deadline).observe_near(near).await
            }
            Operation::DeleteAnywhereCache {
                bucket, zone, own, ..
            } => self.caches(deadline).observe_far(bucket, zone, own).await,
            // Whether it is empty is seen when it is to go.
            Operation::DeleteBucket { bucket, .. } => {
                let found = self.caches(deadline).find(bucket).await?;
                Ok(found.map_or_else(|| Seen::Ours(Output::named(bucket)), |_| Seen::Absent))
            }
            Operation::MirrorSnapshot { .. }
            | Operation::MarkSnapshotReady { .. }
            | Operation::DeleteSnapshot { .. } => Err(moves(&call.operation)),
            Operation::CreateService { identity, .. } => {
                services.observe_created(identity, &call.key).await
            }
            Operation::UpdateService { identity, .. } => {
                services.observe_updated(identity, &call.key).await
            }
            Operation::SetInvokers { service, members } => {
                access.observe_invokers(known(service)?, members).await
            }
            Operation::MarkReady { service, .. } => services.observe_ready(known(service)?).await,
            Operation::DeleteService { identity } => services.observe_deleted(identity).await,
            Operation::DeleteSecret { secret, .. } => secrets.observe_deleted(secret).await,
        }
    }

    async fn perform(&self, call: &Call, deadline: Instant) -> Outcome {
        let (services, secrets, access) = (
            self.services(deadline),
            self.secrets(deadline),
            self.access(deadline),
        );
        match &call.operation {
            Operation::CreateSecret {
                project,
                secret_id,
                labels,
            } => {
                secrets
                    .create(project.as_str(), secret_id, labels, &call.key)
                    .await
            }
            Operation::AddSecretVersion {
                secret, payload, ..
            } => self.add_version(call, secret, payload, deadline).await,
            Operation::GrantSecretAccess { secret } => match known(secret) {
                Ok(secret) => access.grant(secret).await,
                Err(failure) => Outcome::Refused(failure),
            },
            Operation::GrantBucketRead {
                project, bucket, ..
            } => access.grant_bucket(bucket, project.as_str()).await,
            Operation::AwaitSnapshot {
                snapshot,
                region,
                files,
            } => {
                let asked = Asked {
                    snapshot,
                    region,
                    files,
                };
                self.snapshots(deadline).wait(asked).await
            }
            Operation::CreateBucket { project, bucket } => {
                let caches = self.caches(deadline);
                caches
                    .create_bucket(project.as_str(), bucket, &call.key)
                    .await
            }
            Operation::RunTransferJob {
                snapshot,
                project,
                job,
                mirror,
                labels,
                ..
            } => {
                let wanted = job_calls::Wanted {
                    name: &transfer_job_name(project, &job.region, snapshot),
                    job,
                    snapshot,
                    mirror,
                    labels,
                    key: &call.key,
                    hub: self.other_hub(),
                };
                self.jobs(deadline).run(wanted).await
            }
            Operation::DeleteTransferJob {
                snapshot,
                project,
                region,
                ..
            } => {
                let name = transfer_job_name(project, region, snapshot);
                self.jobs(deadline).delete(&name).await
            }
            Operation::RunStorageTransfer {
                snapshot, project, ..
            } => {
                let places = Places {
                    snapshot,
                    list: &snapshot.object(ARRIVING),
                    folder: &snapshot.object(ARRIVED),
                };
                self.storage_transfers(project, deadline).run(places).await
            }
            Operation::SetAnywhereCache { .. } => match near(&call.operation) {
                Ok(near) => self.caches(deadline).set_near(near).await,
                Err(failure) => Outcome::Refused(failure),
            },
            Operation::DeleteAnywhereCache {
                bucket, zone, own, ..
            } => self.caches(deadline).remove_near(bucket, zone, own).await,
            Operation::DeleteBucket { bucket, .. } => {
                self.caches(deadline).delete_bucket(bucket).await
            }
            Operation::MirrorSnapshot { .. }
            | Operation::MarkSnapshotReady { .. }
            | Operation::DeleteSnapshot { .. } => Outcome::Refused(moves(&call.operation)),
            Operation::CreateService {
                identity, service, ..
            }
            | Operation::UpdateService {
                identity, service, ..
            } => {
                if let Some(failure) = service
                    .secret_env
                    .values()
                    .find_map(|input| known(input).err())
                {
                    return Outcome::Refused(failure);
                }
                let wanted = Wanted {
                    identity,
                    spec: service,
                    key: &call.key,
                };
                match &call.operation {
                    Operation::CreateService { .. } => services.create(wanted).await,
                    _ => services.update(wanted).await,
                }
            }
            Operation::SetInvokers { service, members } => match known(service) {
                Ok(service) => access.set_invokers(service, members).await,
                Err(failure) => Outcome::Refused(failure),
            },
            Operation::MarkReady { service, .. } => match known(service) {
                Ok(service) => self.mark_ready(service, deadline).await,
                Err(failure) => Outcome::Refused(failure),
            },
            Operation::DeleteService { identity } => services.delete(&identity.service()).await,
            Operation::DeleteSecret { secret, .. } => secrets.delete(secret).await,
        }
    }

    async fn undo(&self, call: &Call, output: &Output, deadline: Instant) -> Outcome {
        match &call.operation {
            Operation::CreateSecret {
                project, secret_id, ..
            } => {
                self.secrets(deadline)
                    .undo(project.as_str(), secret_id, &call.key)
                    .await
            }
            Operation::CreateService { identity, .. } => {
                self.services(deadline).undo(identity, &call.key).await
            }
            Operation::CreateBucket { bucket, .. } => {
                self.caches(deadline)
                    .undo_bucket(&bucket.name, &call.key)
                    .await
            }
            Operation::RunTransferJob {
                snapshot,
                project,
                job,
                ..
            } => {
                let name = transfer_job_name(project, &job.region, snapshot);
                self.jobs(deadline).delete(&name).await
            }
            Operation::SetAnywhereCache { snapshot, zone, .. } => {
                let caches = self.caches(deadline);
                caches.undo_near(snapshot, zone, output).await
            }
            // Nothing of its own is left by what does not create.
            _ => Outcome::Done(output.clone()),
        }
    }
}

/// How the Anywhere Cache of an operation shall be.
fn near(operation: &Operation) -> Result<Near<'_>, Failure> {
    match operation {
        Operation::SetAnywhereCache {
            snapshot,
            zone,
            ttl_seconds,
            admission_policy,
            ..
        } => Ok(Near {
            bucket: snapshot.bucket(),
            zone,
            ttl_seconds: *ttl_seconds,
            policy: admission_policy,
        }),
        other => Err(moves(other)),
    }
}

/// Operations that move files are performed by who has the files.
fn moves(operation: &Operation) -> Failure {
    let name = operation.name();
    Failure::lasting(
        "INTERNAL",
        format!("{name} was handed to Google Cloud alone"),
    )
}

/// The executor fills inputs in before it calls; one that is not is its defect, said and survived.
fn known(input: &Input) -> Result<&str, Failure> {
    match input {
        Input::Known(name) => Ok(name),
        Input::OutputOf(step) => Err(Failure::lasting(
            "INTERNAL",
            format!("the output of step {} is not known yet", step.0),
        )),
    }
}
