//! What a transfer job may be: its fields, its source and sink, and who may touch them.
//!
//! Sources: Discovery storagetransfer.v1; Google's page on the access that the service agent needs
//! (<https://cloud.google.com/storage-transfer/docs/source-cloud-storage>, 2026).

use serde_json::{Map, Value};

use super::super::error::Error;
use super::super::storage::{Need, Storage};
use crate::ids;

/// Members of a job that a client sets.
const SETTABLE: [&str; 6] = [
    "description",
    "loggingConfig",
    "notificationConfig",
    "serviceAccount",
    "status",
    "transferSpec",
];
/// Those of them that `patch` takes.
pub(super) const CHANGEABLE: [&str; 5] = [
    "description",
    "loggingConfig",
    "notificationConfig",
    "status",
    "transferSpec",
];
/// Parts of a specification that the sandbox carries out.
const EMULATED: [&str; 5] = [
    "gcsDataSink",
    "gcsDataSource",
    "httpDataSource",
    "objectConditions",
    "transferOptions",
];

/// The account that a project's transfers act as.
pub(super) fn agent(project: &str) -> String {
    format!(
        "project-{}@storage-transfer-service.iam.gserviceaccount.com",
        ids::project_number(project)
    )
}

/// The members of a body that are kept; refuses those that the sandbox would not carry out.
pub(super) fn settable(body: &Value) -> Result<Map<String, Value>, Error> {
    let mut kept = Map::new();
    for (name, value) in body.as_object().into_iter().flatten() {
        if SETTABLE.contains(&name.as_str()) {
            kept.insert(name.clone(), value.clone());
        } else if !matches!(name.as_str(), "name" | "projectId" | "latestOperationName") {
            return Err(not_emulated(name));
        }
    }
    Ok(kept)
}

fn not_emulated(what: &str) -> Error {
    Error::invalid(format!(
        "{what} is not emulated by the sandbox: leave it out. Transfers start by transferJobs.run, \
         from httpDataSource or gcsDataSource to gcsDataSink."
    ))
}

/// Refuse a job that the service would refuse.
pub(super) fn check(spec: &Map<String, Value>) -> Result<(), Error> {
    let description = spec.get("description").and_then(Value::as_str);
    if description.is_some_and(|text| text.len() > 1024) {
        return Err(Error::invalid("description has at most 1024 bytes."));
    }
    let transfer = spec.get("transferSpec").unwrap_or(&Value::Null);
    let members = transfer.as_object();
    let unknown = members.into_iter().flatten().map(|(name, _)| name.as_str());
    if let Some(unknown) = unknown.into_iter().find(|name| !EMULATED.contains(name)) {
        return Err(not_emulated(unknown));
    }
    let sources = ["gcsDataSource", "httpDataSource"];
    if sources
        .iter()
        .filter(|name| transfer[**name].is_object())
        .count()
        != 1
    {
        return Err(Error::invalid(
            "transferSpec needs exactly one data source.",
        ));
    }
    check_place(transfer, "gcsDataSink")?;
    if transfer["gcsDataSource"].is_object() {
        check_place(transfer, "gcsDataSource")?;
    } else {
        let list = transfer["httpDataSource"]["listUrl"]
            .as_str()
            .unwrap_or_default();
        if !["http://", "https://", "gs://"]
            .iter()
            .any(|scheme| list.starts_with(scheme))
        {
            let text = "httpDataSource.listUrl must be an http, https or gs URL.";
            return Err(Error::invalid(text));
        }
    }
    check_options(transfer)
}

fn check_place(transfer: &Value, name: &str) -> Result<(), Error> {
    let place = &transfer[name];
    if place["bucketName"].as_str().unwrap_or_default().is_empty() {
        return Err(Error::invalid(format!("{name}.bucketName is required.")));
    }
    let path = place["path"].as_str().unwrap_or_default();
    if path.starts_with('/') || !(path.is_empty() || path.ends_with('/')) {
        let text = format!("{name}.path must be empty or end with '/', and not begin with it.");
        return Err(Error::invalid(text));
    }
    if place["managedFolderTransferEnabled"] == true {
        return Err(not_emulated("managedFolderTransferEnabled"));
    }
    Ok(())
}

fn check_options(transfer: &Value) -> Result<(), Error> {
    let options = &transfer["transferOptions"];
    for name in ["deleteObjectsUniqueInSink", "metadataOptions"] {
        if !matches!(options[name], Value::Null | Value::Bool(false)) {
            return Err(not_emulated(name));
        }
    }
    let conditions = transfer["objectConditions"].as_object();
    let known = ["includePrefixes", "excludePrefixes"];
    let names = conditions.into_iter().flatten().map(|(name, _)| name);
    if let Some(other) = names
        .into_iter()
        .find(|name| !known.contains(&name.as_str()))
    {
        return Err(not_emulated(other));
    }
    let deletes = options["deleteObjectsFromSourceAfterTransfer"] == true;
    if deletes && transfer["httpDataSource"].is_object() {
        let text = "deleteObjectsFromSourceAfterTransfer needs a source that can be written to.";
        return Err(Error::invalid(text));
    }
    Ok(())
}

/// Refuse what the account of a transfer may not do in its buckets.
pub(super) fn check_access(
    transfer: &Value,
    account: &str,
    storage: &Storage,
) -> Result<(), Error> {
    let deletes = transfer["transferOptions"]["deleteObjectsFromSourceAfterTransfer"] == true;
    let source: &[Need] = if deletes {
        &[Need::Bucket, Need::List, Need::Read, Need::Delete]
    } else {
        &[Need::Bucket, Need::List, Need::Read]
    };
    let sink = [Need::Bucket, Need::List, Need::Create, Need::Delete];
    for (place, needs) in [("gcsDataSource", source), ("gcsDataSink", &sink)] {
        let Some(bucket) = transfer[place]["bucketName"].as_str() else {
            continue;
        };
        let Some(lacks) = storage.lacks(bucket, account, needs) else {
            return Err(Error::not_found(format!("Bucket {bucket} was not found.")));
        };
        if lacks.contains(&Need::Bucket) {
            return Err(Error::precondition(format!(
                "Failed to obtain the location of the Google Cloud Storage (GCS) bucket {bucket} \
                 due to insufficient permissions.  Please verify that the necessary permissions \
                 have been granted."
            )));
        }
        if !lacks.is_empty() {
            let lacks: Vec<_> = lacks.into_iter().map(Need::permission).collect();
            return Err(Error::precondition(format!(
                "Service account {account} does not have required permissions {{{}}} for bucket \
                 {bucket}.",
                lacks.join(", ")
            )));
        }
    }
    Ok(())
}
