//! Operations as one line of a picture.

use std::fmt;

use super::{Carrier, Operation, ServiceSpec};

/// One step of the text picture: `SetInvokers(s0.id, ["allUsers"])`. Shows what tells this
/// operation from its like; a service's arguments and annotations are left out.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name())?;
        match self {
            Self::CreateSecret {
                project, secret_id, ..
            } => write!(f, "{project}, {secret_id}")?,
            Self::AddSecretVersion {
                secret,
                payload,
                version,
            } => {
                write!(f, "{secret}, {} v{version}", payload.0)?;
            }
            Self::GrantSecretAccess { secret } => write!(f, "{secret}")?,
            Self::GrantBucketRead {
                project, bucket, ..
            } => write!(f, "{project}, {bucket}")?,
            Self::AwaitSnapshot {
                snapshot,
                region,
                files,
            } => write!(f, "{snapshot}, {region}, {} files", files.len())?,
            Self::CreateService {
                identity, service, ..
            }
            | Self::UpdateService {
                identity, service, ..
            } => write!(f, "{identity}, {service}")?,
            Self::SetInvokers { service, members } => write!(f, "{service}, {members:?}")?,
            Self::MarkReady { service, .. } => write!(f, "{service}")?,
            Self::CreateBucket { project, bucket } => write!(
                f,
                "{project}, {}, {}, {}",
                bucket.name, bucket.location, bucket.storage_class
            )?,
            Self::RunTransferJob {
                snapshot,
                project,
                job,
                ..
            } => write!(
                f,
                "{snapshot}, {project}, {}, {} tasks, {}",
                job.region, job.tasks, job.image
            )?,
            Self::DeleteTransferJob {
                snapshot,
                project,
                region,
                ..
            } => write!(f, "{snapshot}, {project}, {region}")?,
            Self::RunStorageTransfer {
                snapshot, project, ..
            } => write!(f, "{snapshot}, {project}")?,
            Self::MirrorSnapshot {
                snapshot, mirror, ..
            } => {
                let digest = mirror.digest.get(..8).unwrap_or(&mirror.digest);
                write!(f, "{snapshot}, {digest}")?;
                if let Some(Carrier::Job(name) | Carrier::StorageTransfer(name)) = &mirror.moved_by
                {
                    let id = name.rsplit('/').next().unwrap_or(name);
                    write!(f, ", moved by {id}")?;
                }
                if !mirror.near.is_empty() {
                    write!(f, ", near {}", mirror.near.join(", "))?;
                }
            }
            Self::SetAnywhereCache {
                snapshot,
                zone,
                ttl_seconds,
                admission_policy,
                ..
            } => {
                let bucket = snapshot.bucket();
                write!(f, "{bucket}, {zone}, {ttl_seconds} s, {admission_policy}")?;
            }
            Self::MarkSnapshotReady {
                snapshot, zones, ..
            } => {
                write!(f, "{snapshot}")?;
                for zone in zones {
                    write!(f, ", near {zone}")?;
                }
            }
            Self::DeleteSnapshot {
                snapshot,
                unfinished,
                ..
            } => {
                write!(f, "{snapshot}")?;
                if *unfinished {
                    f.write_str(", unless it is finished")?;
                }
            }
            Self::DeleteAnywhereCache { bucket, zone, .. } => write!(f, "{bucket}, {zone}")?,
            Self::DeleteBucket { bucket, .. } => f.write_str(bucket)?,
            Self::DeleteService { identity } => write!(f, "{identity}")?,
            Self::DeleteSecret { secret, .. } => write!(f, "{secret}")?,
        }
        f.write_str(")")?;
        for (position, step) in self.after().iter().enumerate() {
            write!(f, "{} {step}", if position == 0 { " after" } else { "," })?;
        }
        Ok(())
    }
}

/// What a glance needs: `nvidia-l4 x 1, 8 vCPU, 32 GiB, IMAGE, HF_TOKEN = s1.id`.
impl fmt::Display for ServiceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            accelerator,
            accelerator_count,
            cpu,
            memory,
            image,
            ..
        } = self;
        write!(
            f,
            "{accelerator} x {accelerator_count}, {cpu} vCPU, {memory}, {image}"
        )?;
        self.secret_env
            .iter()
            .try_for_each(|(name, input)| write!(f, ", {name} = {input}"))?;
        self.volumes
            .iter()
            .try_for_each(|volume| write!(f, ", {}", volume.mount_path))
    }
}
