//! Volumes of a template: which are taken, and which let an instance start.
//!
//! A volume that cannot be is refused at once. One whose bucket is not there, or cannot be read by the
//! revision's account, is found out by the instance: then the revision fails.
//!
//! Sources: Discovery run.v2 (`Volume`); Cloud Run's pages on Cloud Storage and in-memory volumes (2026).

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::error::Error;
use super::super::storage::Storage;
use super::limits::amount;
use crate::faults::OperationPlan;

/// Folders that no volume may hide.
const TAKEN: [&str; 3] = ["/dev", "/proc", "/sys"];

/// What a volume may be made of (Discovery, `Volume`).
const SOURCES: [&str; 6] = [
    "cloudSqlInstance",
    "emptyDir",
    "filestore",
    "gcs",
    "nfs",
    "secret",
];

/// `FAILED_PRECONDITION`.
const FAILED_PRECONDITION: i32 = 9;

/// Refuse volumes that no instance can have.
pub(super) fn check(template: &Value) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    for (at, volume) in list(&template["volumes"]).iter().enumerate() {
        let path = format!("template.volumes[{at}]");
        let name = volume["name"].as_str().unwrap_or_default();
        if name.is_empty() || !names.insert(name) {
            return Err(Error::field(&path, "a name is required, and used once"));
        }
        let sources = SOURCES.iter().filter(|one| volume.get(**one).is_some());
        if sources.count() != 1 {
            return Err(Error::field(&path, "exactly one source is required"));
        }
        if let Some(gcs) = volume.get("gcs") {
            check_bucket(gcs, template, &format!("{path}.gcs"))?;
        }
        if let Some(limit) = volume["emptyDir"].get("sizeLimit") {
            amount(limit, &format!("{path}.empty_dir.size_limit"))?;
        }
    }
    Ok(())
}

/// Refuse mounts of volumes that there are not, and at places that are taken.
pub(super) fn check_mounts(container: &Value, template: &Value, path: &str) -> Result<(), Error> {
    let volumes = list(&template["volumes"]);
    let mut places = BTreeSet::new();
    for mount in list(&container["volumeMounts"]) {
        let path = format!("{path}.volume_mounts");
        if !volumes.iter().any(|volume| volume["name"] == mount["name"]) {
            let text = format!("no volume is named {}", mount["name"]);
            return Err(Error::field(&path, text));
        }
        let place = mount["mountPath"].as_str().unwrap_or_default();
        let hides = |taken: &&str| place == *taken || place.starts_with(&format!("{taken}/"));
        if !place.starts_with('/') || TAKEN.iter().any(hides) || !places.insert(place) {
            let text = format!("'{place}' is not a path at which a volume can be mounted");
            return Err(Error::field(&path, text));
        }
    }
    Ok(())
}

fn check_bucket(gcs: &Value, template: &Value, path: &str) -> Result<(), Error> {
    if gcs["bucket"].as_str().unwrap_or_default().is_empty() {
        return Err(Error::field(&format!("{path}.bucket"), "is required"));
    }
    for option in list(&gcs["mountOptions"]) {
        let option = option.as_str().unwrap_or_default();
        let refuse = |why: &str| {
            let text = format!("'{option}': {why}");
            Err(Error::field(&format!("{path}.mount_options"), text))
        };
        if option.is_empty() || option.starts_with('-') {
            return refuse("options are given without leading dashes");
        }
        if let Some(place) = option.strip_prefix("cache-dir=") {
            let volumes = list(&template["volumes"]);
            let known = place.strip_prefix("cr-volume:").is_some_and(|name| {
                volumes
                    .iter()
                    .any(|volume| volume["name"] == name && volume.get("emptyDir").is_some())
            });
            if !known {
                return refuse("a cache lies in an in-memory volume, cr-volume:NAME");
            }
        }
    }
    if template["executionEnvironment"] == "EXECUTION_ENVIRONMENT_GEN1" {
        return Err(Error::field(path, "needs the second generation"));
    }
    Ok(())
}

/// Why the instances of a template do not start, where a bucket of theirs cannot be mounted.
pub(super) fn failure(template: &Value, storage: &Storage) -> Option<OperationPlan> {
    let account = template["serviceAccount"].as_str().unwrap_or_default();
    let why = list(&template["volumes"]).iter().find_map(|volume| {
        let bucket = volume["gcs"]["bucket"].as_str()?;
        storage.unreadable(bucket, account)
    })?;
    Some(OperationPlan {
        seconds: None,
        code: FAILED_PRECONDITION,
        message: format!(
            "The user-provided container failed to start: mounting a volume failed: {why}"
        ),
        reason: Some("HEALTH_CHECK_CONTAINER_ERROR".to_owned()),
    })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
