//! Snapshots in Cloud Storage: whether one is complete, where it lies, and whether it serves.

use std::time::Duration;

use openmodel_apply::cloud::{Failure, Outcome, Output, Seen};
use openmodel_schemas::name::Region;
use openmodel_schemas::snapshot::{MANIFEST, Manifest, SnapshotUri};
use serde_json::Value;
use tokio::time::Instant;

use super::buckets::{Bucket, get_bucket};
use super::failure;
use super::lro::Pause;
use super::storage::read_object;
use crate::transport::Transport;

/// What a look may take.
const LOOK: Duration = Duration::from_secs(1);

/// Most missing files that an error names.
const MOST_NAMED: usize = 5;

/// Regions of the pairs that Google chose
/// (<https://cloud.google.com/storage/docs/locations#predefined>).
const PAIRS: [(&str, [&str; 2]); 6] = [
    ("ASIA1", ["asia-northeast1", "asia-northeast2"]),
    ("EUR4", ["europe-north1", "europe-west4"]),
    ("EUR5", ["europe-west1", "europe-west2"]),
    ("EUR7", ["europe-west2", "europe-west3"]),
    ("EUR8", ["europe-west3", "europe-west6"]),
    ("NAM4", ["us-central1", "us-east1"]),
];

/// Regions of Europe that are not in the multi-region EU: London and Zurich.
const NOT_IN_EU: [&str; 2] = ["europe-west2", "europe-west6"];

/// What is there of a snapshot that an endpoint is to serve from.
#[derive(Debug, Clone, PartialEq)]
pub enum SnapshotState {
    /// All that the endpoint needs.
    Complete,
    /// Its bucket; it is being made, or nobody makes it.
    Incomplete,
    /// Not even its bucket.
    NoBucket,
    /// Files whose manifest somebody has changed: whoever makes the snapshot writes it anew.
    Damaged(Failure),
    /// Something that cannot serve the endpoint, and why.
    Unfit(Failure),
}

/// The snapshots' part of the adapter.
#[derive(Clone, Copy)]
pub(crate) struct Snapshots<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) deadline: Instant,
}

/// A snapshot and what an endpoint asks of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) snapshot: &'a SnapshotUri,
    pub(crate) region: &'a Region,
    pub(crate) files: &'a [String],
}

impl Snapshots<'_> {
    /// What is there.
    pub(crate) async fn look(&self, asked: Asked<'_>) -> Result<SnapshotState, Failure> {
        let snapshot = asked.snapshot;
        let request = get_bucket(snapshot.bucket());
        let bucket: Bucket = match self.transport.json(&request, self.deadline).await {
            Ok(bucket) => bucket,
            Err(error) if error.is_not_found() => return Ok(SnapshotState::NoBucket),
            Err(error) => return Err(failure::failure(&error)),
        };
        if !holds(&bucket, asked.region) {
            return Ok(SnapshotState::Unfit(elsewhere(&bucket, asked)));
        }
        let request = read_object(snapshot.bucket(), &snapshot.object(MANIFEST));
        let manifest: Value = match self.transport.send(&request, self.deadline).await {
            // What is no JSON is no manifest either.
            Ok(answer) => answer.json().unwrap_or_default(),
            Err(error) if error.is_not_found() => return Ok(SnapshotState::Incomplete),
            Err(error) => return Err(failure::failure(&error)),
        };
        Ok(state(&manifest, asked))
    }

    /// Looks whether the snapshot is complete.
    pub(crate) async fn observe(&self, asked: Asked<'_>) -> Result<Seen, Failure> {
        Ok(match self.look(asked).await? {
            SnapshotState::Complete => Seen::Ours(Output::named(asked.snapshot.to_string())),
            SnapshotState::Incomplete | SnapshotState::NoBucket => Seen::Absent,
            SnapshotState::Damaged(failure) | SnapshotState::Unfit(failure) => {
                Seen::Conflict(failure)
            }
        })
    }

    /// Waits until the snapshot is complete. A bucket that is not there is not waited for: whoever makes
    /// the snapshot makes its bucket first.
    pub(crate) async fn wait(&self, asked: Asked<'_>) -> Outcome {
        let mut pause = Pause::new();
        loop {
            match self.look(asked).await {
                Ok(SnapshotState::Complete) => {
                    return Outcome::Done(Output::named(asked.snapshot.to_string()));
                }
                Ok(SnapshotState::Incomplete) => {}
                Ok(SnapshotState::NoBucket) => return Outcome::Refused(no_bucket(asked.snapshot)),
                Ok(SnapshotState::Damaged(failure) | SnapshotState::Unfit(failure))
                | Err(failure) => return Outcome::Refused(failure),
            }
            // Who is cut off in the last look cannot say what was waited for.
            let last = self.deadline.checked_sub(LOOK).unwrap_or(self.deadline);
            if !pause.sleep(self.transport, last).await {
                return Outcome::Refused(late(asked.snapshot));
            }
        }
    }
}

/// Whether a region lies in the place of a bucket. A kind of place that is not known holds all: it is not
/// ours to refuse.
fn holds(bucket: &Bucket, region: &Region) -> bool {
    let (place, region) = (bucket.location.to_ascii_uppercase(), region.as_str());
    match bucket.location_type.as_str() {
        "region" => place.eq_ignore_ascii_case(region),
        "dual-region" => {
            let chosen = bucket.custom_placement_config.as_ref();
            let chosen = chosen.map(|placement| &placement.data_locations);
            let chosen = chosen.filter(|regions| !regions.is_empty());
            match (chosen, PAIRS.iter().find(|(name, _)| *name == place)) {
                (Some(regions), _) => regions.iter().any(|one| one.eq_ignore_ascii_case(region)),
                (None, Some((_, regions))) => regions.contains(&region),
                (None, None) => true,
            }
        }
        "multi-region" => match place.as_str() {
            "US" => region.starts_with("us-"),
            "EU" => region.starts_with("europe-") && !NOT_IN_EU.contains(&region),
            "ASIA" => region.starts_with("asia-"),
            _ => true,
        },
        _ => true,
    }
}

/// What a snapshot with this manifest is.
fn state(manifest: &Value, asked: Asked<'_>) -> SnapshotState {
    let snapshot = asked.snapshot;
    let wrong = |why: &str, hint: &str| {
        let message = format!("the manifest of {snapshot} {why}");
        hinted("FAILED_PRECONDITION", message, hint.to_owned())
    };
    if manifest["version"].is_number() && manifest["version"] != Manifest::VERSION {
        return SnapshotState::Unfit(wrong(
            &format!(
                "has version {}, and this openmodel reads {}",
                manifest["version"],
                Manifest::VERSION
            ),
            "Upgrade openmodel, or make the snapshot again.",
        ));
    }
    let again = "Apply its openmodel_cache again, which makes it anew.";
    let manifest: Manifest = match serde_json::from_value(manifest.clone()) {
        Ok(manifest) => manifest,
        Err(error) => {
            let why = format!("cannot be read: {error}");
            return SnapshotState::Damaged(wrong(&why, again));
        }
    };
    if !manifest.is_sound() {
        let why = "lists other files than it was written with";
        return SnapshotState::Damaged(wrong(why, again));
    }
    if manifest.repository != *snapshot.repository() || manifest.commit != snapshot.commit() {
        let why = format!("is of {} at {}", manifest.repository, manifest.commit);
        return SnapshotState::Damaged(wrong(&why, again));
    }
    let has = |path: &String| manifest.files.iter().any(|file| file.path == *path);
    let missing: Vec<&str> = asked
        .files
        .iter()
        .filter(|path| !has(path))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return SnapshotState::Complete;
    }
    let more = match missing.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = missing[..missing.len().min(MOST_NAMED)].join(", ");
    SnapshotState::Unfit(hinted(
        "FAILED_PRECONDITION",
        format!("{snapshot} lacks what the engine needs: {named}{more}"),
        "Change include and exclude of its openmodel_cache so that these files are kept."
            .to_owned(),
    ))
}

fn elsewhere(bucket: &Bucket, asked: Asked<'_>) -> Failure {
    let region = asked.region;
    hinted(
        "FAILED_PRECONDITION",
        format!(
            "bucket {} lies in {} ({}), and the endpoint in {region}: each start would load from afar",
            asked.snapshot.bucket(),
            bucket.location,
            bucket.location_type
        ),
        format!(
            "Set cache to the snapshot of this region, openmodel_cache.NAME.uri[\"{region}\"], and {region} in regions \
             of that cache."
        ),
    )
}

fn no_bucket(snapshot: &SnapshotUri) -> Failure {
    hinted(
        "NOT_FOUND",
        format!("the bucket of {snapshot} is not there"),
        "Set cache to the id of an openmodel_cache, so that it is made before the endpoint."
            .to_owned(),
    )
}

/// Lasting: waiting again would only pass the deadline, and then nobody says what was waited for.
fn late(snapshot: &SnapshotUri) -> Failure {
    hinted(
        "DEADLINE_EXCEEDED",
        format!("{snapshot} is not complete, and the time is up"),
        "See whether its openmodel_cache was applied; raise the endpoint's timeouts and apply again."
            .to_owned(),
    )
}

fn hinted(code: &str, message: String, hint: String) -> Failure {
    let mut failure = Failure::lasting(code, message);
    failure.hint = Some(hint);
    failure
}

#[cfg(test)]
mod tests {
    use openmodel_schemas::quantity::Bytes;
    use openmodel_schemas::snapshot::content_digest;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(location: &str, kind: &str, regions: &[&str], region: &str, expect: bool) {
        let bucket: Bucket = serde_json::from_value(json!({
            "location": location, "locationType": kind,
            "customPlacementConfig": {"dataLocations": regions},
        }))
        .expect("a bucket");
        let region = region.parse().expect("a region");
        assert_eq!(holds(&bucket, &region), expect, "{location} {region}");
    }

    #[test]
    fn a_region_lies_in_its_bucket_or_not() {
        check("US-CENTRAL1", "region", &[], "us-central1", true);
        check("US-EAST4", "region", &[], "us-central1", false);
        check("US", "multi-region", &[], "us-central1", true);
        check("US", "multi-region", &[], "northamerica-northeast1", false);
        check("EU", "multi-region", &[], "europe-west4", true);
        check("EU", "multi-region", &[], "europe-west2", false);
        check("ASIA", "multi-region", &[], "us-central1", false);
        check("NAM4", "dual-region", &[], "us-east1", true);
        check("NAM4", "dual-region", &[], "us-east4", false);
        check(
            "US",
            "dual-region",
            &["US-WEST1", "US-EAST4"],
            "us-east4",
            true,
        );
        check(
            "US",
            "dual-region",
            &["US-WEST1", "US-EAST4"],
            "us-east1",
            false,
        );
    }

    #[test]
    fn a_manifest_says_whether_the_snapshot_serves() {
        let commit = "0e9e39f249a16976918f6564b8830bc894c89659";
        let snapshot: SnapshotUri = format!("gs://acme/models/Qwen/Qwen3-8B/{commit}")
            .parse()
            .expect("a snapshot");
        let region = "us-central1".parse().expect("a region");
        let files = ["config.json", "model.safetensors", "tokenizer.json"].map(str::to_owned);
        let asked = Asked {
            snapshot: &snapshot,
            region: &region,
            files: &files,
        };
        let file = |path: &str| json!({"path": path, "size": 1, "identity": "git:1", "crc32c": "AAAAAA==", "generation": 1});
        let manifest = |version: u32, id: &str, paths: &[&str]| {
            let files: Vec<Value> = paths.iter().map(|path| file(path)).collect();
            let digest = content_digest(paths.iter().map(|path| ("git:1", Bytes(1), *path)));
            json!({"version": version, "repository": {"type": "model", "id": id}, "commit": commit,
                "digest": digest, "files": files})
        };
        let mut altered = manifest(
            1,
            "Qwen/Qwen3-8B",
            &["config.json", "model.safetensors", "tokenizer.json"],
        );
        altered["files"][1]["size"] = json!(2);
        let all = ["config.json", "model.safetensors", "tokenizer.json"];
        let whole = manifest(1, "Qwen/Qwen3-8B", &all);
        assert_eq!(state(&whole, asked), SnapshotState::Complete);
        let shown = [
            manifest(1, "Qwen/Qwen3-8B", &["config.json"]),
            manifest(2, "Qwen/Qwen3-8B", &all),
            manifest(1, "Qwen/Qwen3-4B", &all),
            altered,
            json!({"version": 1}),
            Value::Null,
        ]
        .map(|manifest| match state(&manifest, asked) {
            SnapshotState::Unfit(failure) => format!("unfit {failure}"),
            SnapshotState::Damaged(failure) => format!("damaged {failure}"),
            other => format!("{other:?}"),
        })
        .join("\n");
        insta::assert_snapshot!(shown, @"
        unfit FAILED_PRECONDITION: gs://acme/models/Qwen/Qwen3-8B/0e9e39f249a16976918f6564b8830bc894c89659 lacks what the engine needs: model.safetensors, tokenizer.json
        Change include and exclude of its openmodel_cache so that these files are kept.
        unfit FAILED_PRECONDITION: the manifest of gs://acme/models/Qwen/Qwen3-8B/0e9e39f249a16976918f6564b8830bc894c89659 has version 2, and this openmodel reads 1
        Upgrade openmodel, or make the snapshot again.
        damaged FAILED_PRECONDITION: the manifest of gs://acme/models/Qwen/Qwen3-8B/0e9e39f249a16976918f6564b8830bc894c89659 is of models/Qwen/Qwen3-4B at 0e9e39f249a16976918f6564b8830bc894c89659
        Apply its openmodel_cache again, which makes it anew.
        damaged FAILED_PRECONDITION: the manifest of gs://acme/models/Qwen/Qwen3-8B/0e9e39f249a16976918f6564b8830bc894c89659 lists other files than it was written with
        Apply its openmodel_cache again, which makes it anew.
        damaged FAILED_PRECONDITION: the manifest of gs://acme/models/Qwen/Qwen3-8B/0e9e39f249a16976918f6564b8830bc894c89659 cannot be read: missing field `repository`
        Apply its openmodel_cache again, which makes it anew.
        damaged FAILED_PRECONDITION: the manifest of gs://acme/models/Qwen/Qwen3-8B/0e9e39f249a16976918f6564b8830bc894c89659 cannot be read: invalid type: null, expected struct Manifest
        Apply its openmodel_cache again, which makes it anew.
        ");
    }
}
