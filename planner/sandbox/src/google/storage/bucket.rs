//! Buckets: made, read, changed, deleted, and their IAM policies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::policy::{self, Policy};
use super::cache::{Cache, Operation};
use super::condition::Conditions;
use super::folder::Folder;
use super::object::Object;
use super::parts::Upload;
use super::rules::{check_key, check_labels, etag, merge, name_fault, storage_class};
use super::{Checked, Error, Outcome, Storage, location};
use crate::clock::Time;
use crate::world::{World, asset, number_of};

/// Seconds that deleted objects are kept unless the bucket says otherwise: seven days.
const SOFT_DELETE: u64 = 604_800;
/// Members of a bucket that are kept as the client gives them.
const PLAIN: [&str; 13] = [
    "autoclass",
    "billing",
    "cors",
    "defaultEventBasedHold",
    "encryption",
    "hierarchicalNamespace",
    "labels",
    "lifecycle",
    "logging",
    "retentionPolicy",
    "rpo",
    "versioning",
    "website",
];

/// One bucket with all that is in it.
#[derive(Serialize, Deserialize)]
pub(super) struct Bucket {
    /// Id of its project; nothing when it belongs to somebody else.
    project: Option<String>,
    pub(super) settings: Settings,
    generation: i64,
    metageneration: u64,
    created: Time,
    updated: Time,
    policy: Policy,
    /// The live objects by name.
    pub(super) objects: BTreeMap<String, Object>,
    /// Earlier generations, where the bucket keeps them.
    pub(super) noncurrent: Vec<Object>,
    pub(super) soft_deleted: Vec<Object>,
    /// By zone.
    pub(super) caches: BTreeMap<String, Cache>,
    pub(super) operations: Vec<Operation>,
    /// Managed folders by name, which ends in a slash.
    #[serde(default)]
    pub(super) folders: BTreeMap<String, Folder>,
    /// Unfinished uploads of the XML API by id.
    pub(super) uploads: BTreeMap<String, Upload>,
}

/// What its owner decides.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) location: String,
    pub(super) storage_class: String,
    /// Uniform bucket-level access.
    uniform: bool,
    public_access_prevention: String,
    soft_delete_seconds: u64,
    soft_delete_since: Time,
    /// What is kept and shown as it was given.
    plain: Map<String, Value>,
}

impl Settings {
    /// Those of a bucket of which nothing is said but where it lies.
    fn new(location: String, now: Time) -> Self {
        Self {
            location,
            storage_class: "STANDARD".to_owned(),
            uniform: false,
            public_access_prevention: "inherited".to_owned(),
            soft_delete_seconds: SOFT_DELETE,
            soft_delete_since: now,
            plain: Map::new(),
        }
    }

    /// Take over what a body says; a `null` goes back to the default.
    fn apply(&mut self, body: &Value, now: Time) -> Result<(), Error> {
        let Some(members) = body.as_object() else {
            return Ok(());
        };
        for (name, value) in members {
            match name.as_str() {
                "storageClass" => self.storage_class = storage_class(value.as_str())?,
                "iamConfiguration" => self.apply_access(value)?,
                "softDeletePolicy" => self.apply_soft_delete(value, now)?,
                "location" => {
                    let wanted = value.as_str().unwrap_or_default().to_ascii_uppercase();
                    if wanted != self.location {
                        let text = "The location of a bucket cannot be changed by an update.";
                        return Err(Error::legacy(400, None, text));
                    }
                }
                "encryption" => {
                    check_key(value["defaultKmsKeyName"].as_str())?;
                    merge(&mut self.plain, name, value);
                }
                "labels" => {
                    merge(&mut self.plain, name, value);
                    check_labels(self.plain.get(name))?;
                }
                _ if PLAIN.contains(&name.as_str()) => merge(&mut self.plain, name, value),
                // What only the service sets, and what is not emulated.
                _ => {}
            }
        }
        Ok(())
    }

    fn apply_access(&mut self, given: &Value) -> Result<(), Error> {
        if let Some(enabled) = given["uniformBucketLevelAccess"]["enabled"].as_bool() {
            self.uniform = enabled;
        }
        match given["publicAccessPrevention"].as_str() {
            None => {}
            Some(one @ ("enforced" | "inherited")) => {
                one.clone_into(&mut self.public_access_prevention);
            }
            Some("unspecified") => "inherited".clone_into(&mut self.public_access_prevention),
            Some(other) => {
                let text = format!("Invalid argument: publicAccessPrevention {other}");
                return Err(Error::legacy(400, None, &text));
            }
        }
        Ok(())
    }

    /// Seven to ninety days, or none.
    fn apply_soft_delete(&mut self, given: &Value, now: Time) -> Result<(), Error> {
        let seconds = match &given["retentionDurationSeconds"] {
            Value::Null => SOFT_DELETE,
            Value::String(text) => text.parse().unwrap_or(u64::MAX),
            other => other.as_u64().unwrap_or(u64::MAX),
        };
        if seconds != 0 && !(SOFT_DELETE..=7_776_000).contains(&seconds) {
            let text =
                "The soft delete retention duration must be 0 or from 604800 to 7776000 seconds.";
            return Err(Error::legacy(400, None, text));
        }
        if seconds != self.soft_delete_seconds {
            (self.soft_delete_seconds, self.soft_delete_since) = (seconds, now);
        }
        Ok(())
    }
}

impl Bucket {
    /// A bucket that belongs to somebody else: the name is taken, and nobody here may use it.
    pub(super) fn foreign(now: Time) -> Self {
        Self {
            project: None,
            settings: Settings::new("US".to_owned(), now),
            generation: now.micros(),
            metageneration: 1,
            created: now,
            updated: now,
            policy: Policy::default(),
            objects: BTreeMap::new(),
            noncurrent: Vec::new(),
            soft_deleted: Vec::new(),
            caches: BTreeMap::new(),
            operations: Vec::new(),
            folders: BTreeMap::new(),
            uploads: BTreeMap::new(),
        }
    }

    pub(super) fn may_use(&self, name: &str) -> Result<(), Error> {
        if self.project.is_some() {
            return Ok(());
        }
        let text = format!(
            "The caller does not have storage.buckets.get access to the Google Cloud Storage \
             bucket {name}. Permission 'storage.buckets.get' denied on resource (or it may not \
             exist)."
        );
        Err(Error::legacy(403, None, &text))
    }

    /// Let pass what passes with time: soft-deleted objects, caches and their operations.
    pub(super) fn settle(&mut self, name: &str, now: Time) {
        self.soft_deleted.retain(|object| object.is_kept(now));
        self.settle_caches(name, now);
    }

    /// Whether a member holds a role here.
    pub(super) fn grants(&self, role: &str, member: &str) -> bool {
        self.policy.grants(role, member)
    }

    pub(super) fn keeps_versions(&self) -> bool {
        self.settings
            .plain
            .get("versioning")
            .is_some_and(|versioning| versioning["enabled"] == true)
    }

    pub(super) fn soft_delete_seconds(&self) -> u64 {
        self.settings.soft_delete_seconds
    }

    /// The key that objects are encrypted with unless they name one.
    pub(super) fn default_key(&self) -> Option<&str> {
        self.settings.plain.get("encryption")?["defaultKmsKeyName"].as_str()
    }

    fn view(&self, name: &str, base: &str) -> Value {
        let set = &self.settings;
        let mut access = json!({
            "bucketPolicyOnly": {"enabled": set.uniform},
            "uniformBucketLevelAccess": {"enabled": set.uniform},
            "publicAccessPrevention": set.public_access_prevention,
        });
        if set.uniform {
            // It cannot be switched off any more after ninety days.
            let locked = self.created.plus(std::time::Duration::from_hours(90 * 24));
            access["uniformBucketLevelAccess"]["lockedTime"] = locked.rfc3339_millis().into();
            access["bucketPolicyOnly"]["lockedTime"] = locked.rfc3339_millis().into();
        }
        let mut soft = json!({"retentionDurationSeconds": set.soft_delete_seconds.to_string()});
        if set.soft_delete_seconds > 0 {
            soft["effectiveTime"] = set.soft_delete_since.rfc3339_millis().into();
        }
        let mut view = json!({
            "kind": "storage#bucket",
            "id": name,
            "name": name,
            "selfLink": format!("{base}/storage/v1/b/{name}"),
            "projectNumber": number_of(self.project.as_deref().unwrap_or_default()),
            "location": set.location,
            "locationType": location::kind(&set.location),
            "storageClass": set.storage_class,
            "generation": self.generation.to_string(),
            "metageneration": self.metageneration.to_string(),
            "etag": etag(None, self.metageneration),
            "timeCreated": self.created.rfc3339_millis(),
            "updated": self.updated.rfc3339_millis(),
            "iamConfiguration": access,
            "softDeletePolicy": soft,
        });
        for (name, value) in &set.plain {
            view[name] = value.clone();
        }
        view
    }

    /// What exists in it and the bucket itself, for the inventory.
    pub(super) fn inventory(&self, name: &str) -> Vec<Value> {
        if self.project.is_none() {
            return Vec::new();
        }
        let set = &self.settings;
        let mut data = json!({
            "location": set.location,
            "storageClass": set.storage_class,
            "uniformBucketLevelAccess": set.uniform,
            "publicAccessPrevention": set.public_access_prevention,
            "softDeleteSeconds": set.soft_delete_seconds,
            "bindings": self.policy.bindings(),
        });
        for (name, value) in &set.plain {
            data[name] = value.clone();
        }
        let kind = |what: &str| format!("storage.googleapis.com/{what}");
        let mut assets = vec![asset(&kind("Bucket"), name, &data)];
        let noncurrent = self.noncurrent.iter().map(|object| (object, true));
        let live = self.objects.values().map(|object| (object, false));
        for (object, noncurrent) in live.chain(noncurrent) {
            let mut data = object.summary();
            if noncurrent {
                data["noncurrent"] = true.into();
            }
            assets.push(asset(
                &kind("Object"),
                &format!("{name}/{}", object.name),
                &data,
            ));
        }
        for (zone, cache) in &self.caches {
            assets.push(asset(
                &kind("AnywhereCache"),
                &format!("{name}/{zone}"),
                &cache.summary(),
            ));
        }
        for folder in self.folders.keys() {
            let name = format!("{name}/{folder}");
            assets.push(asset(&kind("ManagedFolder"), &name, &json!({})));
        }
        for upload in self.uploads.values() {
            let data = json!({"parts": upload.parts.len()});
            assets.push(asset(
                &kind("MultipartUpload"),
                &format!("{name}/{}", upload.object),
                &data,
            ));
        }
        assets
    }

    fn stamp(&self) -> (i64, u64) {
        (self.generation, self.metageneration)
    }
}

/// `b?project=`
pub(super) fn insert(world: &mut World, checked: &Checked<'_>) -> Outcome {
    let project = checked.request().query("project").unwrap_or_default();
    if project.is_empty() {
        return Err(Error::legacy(
            400,
            Some("required"),
            "Required parameter: project",
        ));
    }
    let project = world.projects.id(project);
    let now = world.now();
    let body = &checked.body;
    let name = body["name"].as_str().unwrap_or_default();
    if let Some(fault) = name_fault(name) {
        return Err(fault);
    }
    if let Some(taken) = world.storage.buckets.get(name) {
        let text = if taken.project.as_ref() == Some(&project) {
            "Your previous request to create the named bucket succeeded and you already own it."
        } else {
            "The requested bucket name is not available. The bucket namespace is shared by all \
             users of the system. Please select a different name and try again."
        };
        return Err(Error::legacy(409, None, text));
    }
    let mut bucket = Bucket::foreign(now);
    let location = location::check(body["location"].as_str().unwrap_or("US"))?;
    bucket.settings = Settings::new(location, now);
    bucket.settings.apply(body, now)?;
    bucket.generation = world.storage.generation(now);
    bucket.policy = first_policy(&project);
    bucket.project = Some(project);
    let view = bucket.view(name, checked.call.base);
    world.storage.buckets.insert(name.to_owned(), bucket);
    Ok(view)
}

/// What a new bucket allows: its project's owners, editors and viewers what they always may.
fn first_policy(project: &str) -> Policy {
    let owners = [
        format!("projectEditor:{project}"),
        format!("projectOwner:{project}"),
    ];
    let viewers = [format!("projectViewer:{project}")];
    let bindings = json!([
        {"role": "roles/storage.legacyBucketOwner", "members": owners},
        {"role": "roles/storage.legacyBucketReader", "members": viewers},
    ]);
    let mut policy = Policy::default();
    // Well formed, as it stands above.
    drop(policy.set(&json!({"policy": {"bindings": bindings}})));
    policy
}

/// `b/{bucket}`
pub(super) fn get(world: &World, checked: &Checked<'_>) -> Outcome {
    let bucket = world.storage.bucket(checked.path(0))?;
    Conditions::of(checked.request(), "")?.allow_read(bucket.stamp())?;
    Ok(bucket.view(checked.path(0), checked.call.base))
}

/// `b?project=&prefix=&maxResults=&pageToken=`
pub(super) fn list(world: &mut World, checked: &Checked<'_>) -> Outcome {
    let request = checked.request();
    let project = world
        .projects
        .id(request.query("project").unwrap_or_default());
    let prefix = request.query("prefix").unwrap_or_default();
    let mine = world.storage.buckets.iter().filter(|(name, bucket)| {
        bucket.project.as_ref() == Some(&project) && name.starts_with(prefix)
    });
    let found: Vec<String> = mine.map(|(name, _)| name.clone()).collect();
    let (names, next) = super::list::page(request, found)?;
    let mut answer = json!({"kind": "storage#buckets"});
    let views: Vec<Value> = names
        .iter()
        .filter_map(|name| {
            Some(
                world
                    .storage
                    .buckets
                    .get(name)?
                    .view(name, checked.call.base),
            )
        })
        .collect();
    if !views.is_empty() {
        answer["items"] = views.into();
    }
    if let Some(next) = next {
        answer["nextPageToken"] = next.into();
    }
    Ok(answer)
}

/// `PATCH b/{bucket}` changes what the body names; `PUT` replaces all of it.
pub(super) fn change(world: &mut World, checked: &Checked<'_>, whole: bool) -> Outcome {
    let now = world.now();
    let name = checked.path(0);
    let bucket = world.storage.bucket_mut(name)?;
    Conditions::of(checked.request(), "")?.allow(Some(bucket.stamp()))?;
    let mut changed = bucket.settings.clone();
    if whole {
        changed = Settings::new(changed.location, now);
    }
    changed.apply(&checked.body, now)?;
    bucket.settings = changed;
    bucket.metageneration += 1;
    bucket.updated = now;
    Ok(bucket.view(name, checked.call.base))
}

/// `DELETE b/{bucket}`: only an empty one. Soft-deleted objects go with it.
pub(super) fn delete(world: &mut World, checked: &Checked<'_>) -> Outcome {
    let name = checked.path(0);
    let bucket = world.storage.bucket(name)?;
    Conditions::of(checked.request(), "")?.allow(Some(bucket.stamp()))?;
    let held = bucket.objects.len() + bucket.noncurrent.len() + bucket.folders.len();
    if held > 0 {
        let text = "The bucket you tried to delete is not empty.";
        return Err(Error::legacy(409, None, text));
    }
    if !bucket.caches.is_empty() {
        // The status is the sandbox's own choice: Google documents only that it is refused.
        let text = "The bucket you tried to delete has Anywhere Caches; disable them and wait \
                    until they are gone.";
        return Err(Error::legacy(409, None, text));
    }
    world.storage.buckets.remove(name);
    Ok(Value::Null)
}

/// `b/{bucket}/storageLayout`
pub(super) fn layout(world: &World, checked: &Checked<'_>) -> Outcome {
    let bucket = world.storage.bucket(checked.path(0))?;
    let folders = bucket.settings.plain.get("hierarchicalNamespace").cloned();
    Ok(json!({
        "kind": "storage#storageLayout",
        "bucket": checked.path(0),
        "location": bucket.settings.location,
        "locationType": location::kind(&bucket.settings.location),
        "hierarchicalNamespace": folders.unwrap_or_else(|| json!({"enabled": false})),
    }))
}

/// `b/{bucket}/iam`
pub(super) fn policy(world: &World, checked: &Checked<'_>) -> Outcome {
    let bucket = world.storage.bucket(checked.path(0))?;
    Ok(policy_view(checked.path(0), bucket.policy.view()))
}

/// `PUT b/{bucket}/iam`
pub(super) fn set_policy(world: &mut World, checked: &Checked<'_>) -> Outcome {
    let bucket = world.storage.bucket_mut(checked.path(0))?;
    let prevented = bucket.settings.public_access_prevention == "enforced";
    let text = checked.body["bindings"].to_string();
    if prevented && (text.contains("\"allUsers\"") || text.contains("\"allAuthenticatedUsers\"")) {
        let text = "The member bindings allUsers and allAuthenticatedUsers are not allowed since \
                    public access prevention is enforced.";
        return Err(Error::legacy(412, Some("conditionNotMet"), text));
    }
    let view = bucket.policy.set(&json!({"policy": checked.body}))?;
    bucket.metageneration += 1;
    Ok(policy_view(checked.path(0), view))
}

fn policy_view(bucket: &str, mut view: Value) -> Value {
    view["kind"] = "storage#policy".into();
    view["resourceId"] = format!("projects/_/buckets/{bucket}").into();
    view
}

/// `b/{bucket}/iam/testPermissions?permissions=`
pub(super) fn permissions(world: &World, checked: &Checked<'_>) -> Outcome {
    world.storage.bucket(checked.path(0))?;
    let asked = checked.request().query.iter();
    let asked: Vec<&str> = asked
        .filter(|(name, _)| name == "permissions")
        .map(|(_, value)| value.as_str())
        .collect();
    let mut answer = policy::test(&json!({"permissions": asked}))?;
    answer["kind"] = "storage#testIamPermissionsResponse".into();
    Ok(answer)
}

/// Roles that let an account read objects.
const READERS: [&str; 6] = [
    "roles/storage.admin",
    "roles/storage.legacyObjectOwner",
    "roles/storage.legacyObjectReader",
    "roles/storage.objectAdmin",
    "roles/storage.objectUser",
    "roles/storage.objectViewer",
];

impl Storage {
    /// Why a service's account cannot read a bucket's objects; nothing where it can.
    pub(in crate::google) fn unreadable(&self, name: &str, account: &str) -> Option<String> {
        let Ok(bucket) = self.bucket(name) else {
            return Some(format!("bucket {name} does not exist"));
        };
        let member = format!("serviceAccount:{account}");
        let may = READERS.iter().any(|role| {
            [member.as_str(), "allUsers", "allAuthenticatedUsers"]
                .iter()
                .any(|who| bucket.policy.grants(role, who))
        });
        (!may).then(|| {
            format!("{account} does not have storage.objects.list access to bucket {name}")
        })
    }

    /// The storage class and key that a new object gets, as far as its bucket decides them.
    pub(super) fn defaults(&self, bucket: &str) -> Result<(String, Option<String>), Error> {
        let bucket = self.bucket(bucket)?;
        let key = bucket.default_key().map(str::to_owned);
        Ok((bucket.settings.storage_class.clone(), key))
    }
}
