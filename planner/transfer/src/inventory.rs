//! What lies in a bucket: its snapshots, and what is left of runs that never finished one.
//!
//! ```text
//!   one listing ─► by folder ─┬─ with a manifest                      a snapshot
//!                             ├─ files of a run, or claims, alone     unfinished: it costs, and nobody can use it
//!                             └─ else                                 not ours
//! ```

use std::collections::BTreeMap;

use openmodel_cloud::Transport;
use openmodel_cloud::google::storage::{Object, list_matching, list_objects};
use openmodel_cloud::transport::ApiError;
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::snapshot::{ARRIVED, ARRIVING, MANIFEST, SnapshotUri};

use crate::arrived::FETCHED_BY;
use crate::bucket::{IDENTITY, MOVING, list};
use crate::ports::Trouble;
use crate::snapshot::{OWN, RECORD};

/// A folder of a snapshot, and what lies in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its address.
    pub uri: SnapshotUri,
    /// Whether its manifest is there: without one it is none yet, or never will be.
    pub is_finished: bool,
    /// Whether `openmodel_cache` made it, so that it can be imported.
    pub has_record: bool,
    /// Files in the folder, foreign ones too.
    pub files: u64,
    /// Files that a run claims, or that wait to be verified.
    pub moving: u64,
    /// The project whose Storage Transfer job fetched files into it, and may still.
    pub fetched_by: Option<String>,
    /// Bytes of all objects in the folder, by storage class.
    pub bytes: BTreeMap<String, Bytes>,
    /// When the manifest was written or marked; of one without, the last change of any object (RFC 3339).
    pub updated: String,
}

impl Found {
    /// Bytes of all objects in the folder.
    #[must_use]
    pub fn size(&self) -> Bytes {
        self.bytes.values().copied().sum()
    }
}

/// All snapshots of a bucket below a prefix (a folder without a slash at its end; empty: the whole bucket),
/// in the order of their addresses.
///
/// # Errors
/// A bucket that is not there or cannot be listed.
pub async fn inventory(
    transport: &Transport,
    bucket: &str,
    prefix: &str,
) -> Result<Vec<Found>, ApiError> {
    let below = match prefix {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let objects = list(transport, |token| list_objects(bucket, &below, token)).await?;
    let mut folders: BTreeMap<SnapshotUri, Vec<(String, Object)>> = BTreeMap::new();
    for object in objects {
        if let Some((uri, path)) = folder_of(bucket, &object.name) {
            folders.entry(uri).or_default().push((path, object));
        }
    }
    let found = folders.into_iter();
    Ok(found
        .filter_map(|(uri, objects)| found_in(uri, &objects))
        .collect())
}

/// The other snapshots of a repository, beside this one in its bucket.
///
/// # Errors
/// A bucket that is not there or cannot be listed.
pub async fn beside(transport: &Transport, uri: &SnapshotUri) -> Result<Vec<SnapshotUri>, Trouble> {
    let glob = format!("{}/*/{MANIFEST}", uri.repository_folder());
    let page = |token: &str| list_matching(uri.bucket(), &glob, token);
    let manifests = list(transport, page).await;
    let manifests = manifests.map_err(|error| Trouble::last(error.to_string()))?;
    let uris = manifests.iter();
    Ok(uris
        .filter_map(|object| Some(folder_of(uri.bucket(), &object.name)?.0))
        .filter(|other| other != uri)
        .collect())
}

fn found_in(uri: SnapshotUri, objects: &[(String, Object)]) -> Option<Found> {
    let at = |path: &str| objects.iter().find(|(other, _)| other == path);
    let manifest = at(MANIFEST);
    let is_moving = |path: &str| path.starts_with(MOVING) || path.starts_with(ARRIVED);
    let ours = |(path, object): &(String, Object)| {
        path.starts_with(OWN) || object.metadata.contains_key(IDENTITY)
    };
    if manifest.is_none() && !objects.iter().any(ours) {
        return None;
    }
    let count = |wanted: &dyn Fn(&str) -> bool| {
        let paths = objects.iter().filter(|(path, _)| wanted(path));
        u64::try_from(paths.count()).unwrap_or(u64::MAX)
    };
    let mut bytes: BTreeMap<String, Bytes> = BTreeMap::new();
    for (_, object) in objects {
        let of_class = bytes.entry(object.storage_class.clone()).or_default();
        *of_class = Bytes(of_class.0 + object.size);
    }
    let last = || objects.iter().map(|(_, object)| &object.updated).max();
    let updated = manifest.map(|(_, object)| &object.updated).or_else(last);
    Some(Found {
        uri,
        is_finished: manifest.is_some(),
        has_record: at(RECORD).is_some(),
        files: count(&|path| !path.starts_with(OWN)),
        moving: count(&is_moving),
        fetched_by: at(ARRIVING).and_then(|(_, list)| list.metadata.get(FETCHED_BY).cloned()),
        bytes,
        updated: updated.cloned().unwrap_or_default(),
    })
}

/// The snapshot's folder that an object lies in, and its path there.
fn folder_of(bucket: &str, name: &str) -> Option<(SnapshotUri, String)> {
    let mut folder = format!("gs://{bucket}");
    let mut rest = name;
    while let Some((part, behind)) = rest.split_once('/') {
        folder.push('/');
        folder.push_str(part);
        rest = behind;
        let is_last = part.len() >= 40 && part.as_bytes()[..40].iter().all(u8::is_ascii_hexdigit);
        if is_last && let Ok(uri) = folder.parse() {
            return Some((uri, rest.to_owned()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "0e9e39f249a16976918f6564b8830bc894c89659";

    fn object(name: String, size: u64, ours: bool) -> (String, Object) {
        let (_, path) = folder_of("acme", &name).expect("in a snapshot");
        let identity = ("openmodel-identity".to_owned(), "git:1".to_owned());
        let object = Object {
            name,
            size,
            metadata: BTreeMap::from_iter(ours.then_some(identity)),
            updated: format!("2026-11-2{size}T00:00:00Z"),
            storage_class: "STANDARD".to_owned(),
            ..Object::default()
        };
        (path, object)
    }

    #[test]
    fn an_object_lies_in_the_folder_of_its_snapshot_or_in_none() {
        let of = |name: &str| {
            let found = folder_of("acme", name);
            found.map(|(uri, path)| format!("{uri} {path}"))
        };
        assert_eq!(
            of(&format!("a/models/org/name/{SHA}-0a/unet/x.bin")),
            Some(format!("gs://acme/a/models/org/name/{SHA}-0a unet/x.bin"))
        );
        for nothing in [
            "readme.md".to_owned(),
            format!("{SHA}/x.bin"),
            format!("models/org/name/{SHA}"),
            format!("blobs/org/name/{SHA}/x.bin"),
        ] {
            assert_eq!(of(&nothing), None);
        }
    }

    #[test]
    fn a_folder_is_a_snapshot_unfinished_or_of_others() {
        let at = |path: &str| format!("models/org/name/{SHA}/{path}");
        let uri: SnapshotUri = format!("gs://acme/models/org/name/{SHA}")
            .parse()
            .expect("a snapshot");
        let file = || object(at("x.bin"), 3, true);
        let manifest = object(at(MANIFEST), 1, false);
        let record = object(at(RECORD), 2, false);
        let whole = found_in(uri.clone(), &[file(), manifest, record]).expect("a snapshot");
        assert!(whole.is_finished && whole.has_record);
        assert_eq!((whole.files, whole.size()), (1, Bytes(6)));
        assert_eq!(whole.updated, "2026-11-21T00:00:00Z");
        let claim = object(at(".openmodel/moving/y.bin"), 4, false);
        let cut = found_in(uri.clone(), &[file(), claim]).expect("an unfinished one");
        assert!(!cut.is_finished && !cut.has_record);
        assert_eq!((cut.files, cut.moving), (1, 1));
        assert_eq!(cut.updated, "2026-11-24T00:00:00Z");
        assert_eq!(found_in(uri, &[object(at("x.bin"), 3, false)]), None);
    }
}
