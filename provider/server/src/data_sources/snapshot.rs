//! `data.openmodel_snapshot`: a snapshot as it lies in Cloud Storage, and whether all of it is there.

use std::collections::BTreeMap;
use std::time::Duration;

use openmodel_schemas::snapshot::{Manifest, ManifestFile, SnapshotUri};
use openmodel_transfer::bucket::BucketStore;
use openmodel_transfer::inventory::beside;
use openmodel_transfer::ports::Trouble;
use openmodel_transfer::snapshot::{Difference, find};
use serde::{Deserialize, Serialize};
use tfplug::framework::{Context, DataSource};
use tfplug::schema::{Attribute, Schema};
use tfplug::value::{Type, Value};
use tfplug::{Diagnostic, Diagnostics};
use tokio::time::Instant;

use crate::client::Client;
use crate::errors::sentence;
use crate::gates::Texts;
use crate::schema_parts::snapshot;

/// How long a bucket is asked for.
const LOOK: Duration = Duration::from_mins(2);

/// `data "openmodel_snapshot"`.
pub(crate) struct SnapshotDataSource;

/// Its attributes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SnapshotModel {
    pub(crate) id: Value<String>,
    pub(crate) uri: Value<String>,
    pub(crate) repository: Value<String>,
    pub(crate) repository_type: Value<String>,
    pub(crate) commit: Value<String>,
    pub(crate) location: Value<String>,
    pub(crate) license: Value<String>,
    pub(crate) bytes: Value<i64>,
    pub(crate) manifest_digest: Value<String>,
    pub(crate) files: Value<Vec<Value<FileModel>>>,
    pub(crate) complete: Value<bool>,
    pub(crate) drift: Value<Texts>,
    pub(crate) foreign_objects: Value<Texts>,
}

/// One element of `files`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct FileModel {
    pub(crate) path: Value<String>,
    pub(crate) size_bytes: Value<i64>,
    pub(crate) sha256: Value<String>,
    pub(crate) git_oid: Value<String>,
    pub(crate) crc32c: Value<String>,
}

impl DataSource for SnapshotDataSource {
    const TYPE: &'static str = "snapshot";
    type Client = Client;
    type Model = SnapshotModel;

    fn schema(&self) -> Schema {
        let text = |name: &str, description: &str| {
            Attribute::string(name).computed().description(description)
        };
        let number = |name: &str, description: &str| {
            Attribute::number(name).computed().description(description)
        };
        let texts = |name: &str, description: &str| {
            Attribute::list_of(name, Type::String)
                .computed()
                .description(description)
        };
        Schema::new(
            "A snapshot in Cloud Storage: what it is of, and whether all of its files are there unaltered, by one \
             listing. It may be of an `openmodel_cache` of another configuration, or one that `openmodel transfer` made.",
        )
        .attributes([
            text("id", "The address, without a slash at its end."),
            Attribute::string("uri").required().validate(snapshot()).description(
                "Address: `gs://{bucket}/[{prefix}/]models/{repository}/{commit}`, as `openmodel_cache` gives it in \
                 `id` and `uri`.",
            ),
            text("repository", "Repository on the Hub, such as `Qwen/Qwen2.5-7B-Instruct`."),
            text("repository_type", "`model`, `dataset` or `space`."),
            text("commit", "The commit that it is of."),
            text("location", "Place of the bucket, such as `us-central1` or `eu`."),
            text("license", "Licence as the repository's card stated it; null where it stated none."),
            number("bytes", "Bytes of all its files."),
            text(
                "manifest_digest",
                "SHA-256 over digest, size and path of each file: equal where two snapshots are.",
            ),
            Attribute::list_of_objects(
                "files",
                [
                    text("path", "Path in the repository and in the snapshot."),
                    number("size_bytes", "Size."),
                    text("sha256", "SHA-256 in hexadecimal; null for a file that the Hub keeps in Git itself."),
                    text("git_oid", "Git's id of such a file; null for the others."),
                    text("crc32c", "Cloud Storage's CRC32C, in its own writing."),
                ],
            )
            .computed()
            .description("Its files, by path."),
            Attribute::bool("complete")
                .computed()
                .description("Whether each file is there as it was written."),
            texts("drift", "Files that are missing or altered, and how."),
            texts("foreign_objects", "Objects in its folder that it does not list. An engine may load them."),
        ])
    }

    async fn read(
        &self,
        context: &Context<Client>,
        config: SnapshotModel,
    ) -> Result<SnapshotModel, Diagnostics> {
        let client = context.client()?;
        let text = config.uri.as_known().map(String::as_str);
        let uri: SnapshotUri = text
            .unwrap_or_default()
            .parse()
            .map_err(|error| on_uri("Not a snapshot", &error))?;
        let google = client.google(BTreeMap::new())?;
        let transport = google.transport();
        let bucket = google.read_bucket(uri.bucket(), Instant::now() + LOOK);
        let bucket = bucket
            .await
            .map_err(|failure| on_uri("Snapshot cannot be read", &failure))?;
        let Some(bucket) = bucket else {
            let why = format!("There is no bucket {}", uri.bucket());
            return Err(on_uri("Snapshot is not there", &why).into());
        };
        let unreadable = |trouble: Trouble| on_uri("Snapshot cannot be read", &trouble);
        let Some(manifest) = find(transport, &uri).await.map_err(unreadable)? else {
            let others = beside(transport, &uri).await.map_err(unreadable)?;
            return Err(on_uri("Snapshot is not there", &nearest(&uri, &others)).into());
        };
        let store = BucketStore::open(transport.clone(), uri.clone()).await;
        let store = store.map_err(unreadable)?;
        let differences = store.compare(&manifest);
        let location = bucket.location.to_ascii_lowercase();
        Ok(show(config, &uri, &manifest, location, &differences))
    }
}

fn show(
    config: SnapshotModel,
    uri: &SnapshotUri,
    manifest: &Manifest,
    location: String,
    differences: &[Difference],
) -> SnapshotModel {
    let texts = |mendable: bool, text: fn(&Difference) -> String| {
        let wanted = differences
            .iter()
            .filter(|one| one.is_mendable() == mendable);
        Value::Known(wanted.map(|one| Value::Known(text(one))).collect())
    };
    let files = manifest
        .files
        .iter()
        .map(|file| Value::Known(file_model(file)));
    SnapshotModel {
        id: Value::Known(uri.to_string()),
        uri: config.uri,
        repository: Value::Known(manifest.repository.id.to_string()),
        repository_type: manifest.repository.kind.as_str().into(),
        commit: Value::Known(manifest.commit.to_string()),
        location: Value::Known(location),
        license: manifest.license.clone().into(),
        bytes: number(manifest.bytes().0),
        manifest_digest: Value::Known(manifest.digest.clone()),
        files: Value::Known(files.collect()),
        complete: Value::Known(!differences.iter().any(Difference::is_mendable)),
        drift: texts(true, ToString::to_string),
        foreign_objects: texts(false, |one| one.path().to_owned()),
    }
}

fn file_model(file: &ManifestFile) -> FileModel {
    let digest = |kind: &str| Value::from(file.identity.strip_prefix(kind).map(str::to_owned));
    FileModel {
        path: file.path.as_str().into(),
        size_bytes: number(file.size.0),
        sha256: digest("sha256:"),
        git_oid: digest("git:"),
        crc32c: file.crc32c.as_str().into(),
    }
}

/// What is there of the repository instead.
fn nearest(uri: &SnapshotUri, others: &[SnapshotUri]) -> String {
    let wanted = uri.to_string();
    let alike = |other: &String| strsim::jaro_winkler(other, &wanted);
    let others = others.iter().map(ToString::to_string);
    if others.clone().any(|other| other == wanted) {
        return format!(
            "The manifest of {wanted} was changed or is broken. Apply its openmodel_cache, or run its `openmodel \
             transfer`, again: it is written anew"
        );
    }
    let nearest = others.max_by(|a, b| alike(a).total_cmp(&alike(b)));
    let (bucket, folder) = (uri.bucket(), uri.repository_folder());
    match nearest {
        Some(other) => format!("There is no snapshot {wanted}. Near it lies {other}"),
        None => format!(
            "There is no snapshot {wanted}, nor any other in gs://{bucket}/{folder}. Apply its openmodel_cache first, \
             or make one with `openmodel transfer`"
        ),
    }
}

fn number(number: u64) -> Value<i64> {
    Value::Known(i64::try_from(number).unwrap_or(i64::MAX))
}

fn on_uri(summary: &str, why: &dyn std::fmt::Display) -> Diagnostic {
    Diagnostic::error(summary)
        .at("uri")
        .detail(sentence(&why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn struct_and_schema_agree() {
        tfplug::testing::assert_model_matches::<SnapshotModel>(&SnapshotDataSource.schema());
    }
}
