//! What other services of Google's do in buckets, as the account that they act as.
//!
//! Only bindings of the bucket count: the sandbox knows no policies of projects, and no custom
//! roles. Source: <https://cloud.google.com/storage/docs/access-control/iam-roles>

use serde_json::{Map, Value};

use super::condition::Conditions;
use super::object::Draft;
use super::{Error, Storage};
use crate::blob::Blob;
use crate::clock::Time;

/// What an account may need to do in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Need {
    /// `storage.buckets.get`
    Bucket,
    /// `storage.objects.get`
    Read,
    /// `storage.objects.list`
    List,
    /// `storage.objects.create`
    Create,
    /// `storage.objects.delete`
    Delete,
}

impl Need {
    /// The permission's name.
    pub(in super::super) fn permission(self) -> &'static str {
        match self {
            Self::Bucket => "storage.buckets.get",
            Self::Read => "storage.objects.get",
            Self::List => "storage.objects.list",
            Self::Create => "storage.objects.create",
            Self::Delete => "storage.objects.delete",
        }
    }

    /// The roles that have it, after `roles/storage.`.
    fn roles(self) -> &'static [&'static str] {
        match self {
            Self::Bucket => &[
                "admin",
                "legacyBucketOwner",
                "legacyBucketReader",
                "legacyBucketWriter",
            ],
            Self::Read => &[
                "admin",
                "legacyObjectOwner",
                "legacyObjectReader",
                "objectAdmin",
                "objectUser",
                "objectViewer",
            ],
            Self::List => &[
                "admin",
                "legacyBucketOwner",
                "legacyBucketReader",
                "legacyBucketWriter",
                "objectAdmin",
                "objectUser",
                "objectViewer",
            ],
            Self::Create => &[
                "admin",
                "legacyBucketOwner",
                "legacyBucketWriter",
                "objectAdmin",
                "objectCreator",
                "objectUser",
            ],
            Self::Delete => &[
                "admin",
                "legacyBucketOwner",
                "legacyBucketWriter",
                "objectAdmin",
                "objectUser",
            ],
        }
    }
}

/// An object as another service finds it.
pub(in super::super) struct Found {
    pub(in super::super) name: String,
    pub(in super::super) generation: i64,
    pub(in super::super) blob: Blob,
    /// The members that a client sets.
    pub(in super::super) plain: Map<String, Value>,
}

impl Storage {
    /// What an account lacks in a bucket; nothing when there is no such bucket.
    pub(in super::super) fn lacks(
        &self,
        bucket: &str,
        account: &str,
        needs: &[Need],
    ) -> Option<Vec<Need>> {
        let bucket = self.buckets.get(bucket)?;
        let member = format!("serviceAccount:{account}");
        let has = |need: &Need| {
            let roles = need.roles().iter();
            let mut roles = roles.map(|role| format!("roles/storage.{role}"));
            roles.any(|role| bucket.grants(&role, &member))
        };
        Some(needs.iter().copied().filter(|need| !has(need)).collect())
    }

    /// Whether contents are kept, or only hashed and counted.
    pub(in super::super) fn keeps(&self) -> bool {
        !self.settings.discard_content
    }

    /// The live objects whose names begin so.
    pub(in super::super) fn found(&self, bucket: &str, prefix: &str) -> Vec<Found> {
        let Some(bucket) = self.buckets.get(bucket) else {
            return Vec::new();
        };
        let objects = bucket.objects.range(prefix.to_owned()..);
        let objects = objects.take_while(|(name, _)| name.starts_with(prefix));
        let found = objects.map(|(name, object)| Found {
            name: name.clone(),
            generation: object.generation,
            blob: object.blob.clone(),
            plain: object.plain().clone(),
        });
        found.collect()
    }

    /// The live object of a name.
    pub(in super::super) fn find(&self, bucket: &str, name: &str) -> Option<Found> {
        let object = self.buckets.get(bucket)?.objects.get(name)?;
        Some(Found {
            name: name.to_owned(),
            generation: object.generation,
            blob: object.blob.clone(),
            plain: object.plain().clone(),
        })
    }

    /// Write an object, whatever is there; its generation.
    pub(in super::super) fn put(
        &mut self,
        bucket: &str,
        name: &str,
        (blob, plain): (Blob, Map<String, Value>),
        now: Time,
    ) -> Result<i64, Error> {
        let draft = Draft {
            name: name.to_owned(),
            plain,
            storage_class: None,
            key: None,
            blob,
            components: None,
        };
        let object = self.create(bucket, draft, Conditions::default(), now)?;
        Ok(object.generation)
    }

    /// Delete the live object of a name, if it is still this generation.
    pub(in super::super) fn delete(
        &mut self,
        bucket: &str,
        found: &Found,
        now: Time,
    ) -> Result<(), Error> {
        let same = Conditions {
            generation: Some(found.generation),
            ..Conditions::default()
        };
        self.remove(bucket, &found.name, None, same, now)
    }
}
