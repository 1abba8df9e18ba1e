//! Storage Transfer Service, v1: requests, the body of a job that fetches a list of addresses, and answers, as
//! far as we read them. Facts: Discovery document storagetransfer.v1.

use openmodel_schemas::name::ProjectId;
use openmodel_schemas::snapshot::SnapshotUri;
use serde::Deserialize;
use serde_json::json;

use crate::transport::{Api, Request, path_text, segment};

/// Most jobs of one page of a listing.
const PAGE: &str = "256";

/// Codes of files that may arrive another time.
const PASSING: [&str; 7] = [
    "ABORTED",
    "CANCELLED",
    "DEADLINE_EXCEEDED",
    "INTERNAL",
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
    "UNKNOWN",
];

/// Where a job finds its list, and puts what it fetches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    /// The snapshot that the files will be of.
    pub(crate) snapshot: &'a SnapshotUri,
    /// Full name of the object with the list.
    pub(crate) list: &'a str,
    /// Folder of what arrives, with a slash at its end.
    pub(crate) folder: &'a str,
}

/// Reads who a project's transfers act as.
pub(crate) fn agent(project: &ProjectId) -> Request {
    let path = format!("/v1/googleServiceAccounts/{}", segment(project.as_str()));
    Request::get(Api::StorageTransfer, path)
}

/// Lists the jobs of a project; those that were deleted too, whose names are still taken.
pub(crate) fn list(project: &ProjectId, page_token: &str) -> Request {
    let filter = json!({
        "projectId": project.as_str(),
        "jobStatuses": ["ENABLED", "DISABLED", "DELETED"],
    });
    let request = Request::get(Api::StorageTransfer, "/v1/transferJobs")
        .query("filter", filter.to_string())
        .query("pageSize", PAGE);
    if page_token.is_empty() {
        request
    } else {
        request.query("pageToken", page_token)
    }
}

/// Makes a job without a schedule: it does nothing before it is [run](run).
pub(crate) fn create(project: &ProjectId, name: &str, places: Places<'_>) -> Request {
    let Places {
        snapshot,
        list,
        folder,
    } = places;
    let bucket = snapshot.bucket();
    let body = json!({
        "name": name,
        "projectId": project.as_str(),
        "description": format!("openmodel fetches {snapshot}"),
        "status": "ENABLED",
        "transferSpec": {
            "httpDataSource": {"listUrl": format!("gs://{bucket}/{list}")},
            "gcsDataSink": {"bucketName": bucket, "path": folder},
        },
    });
    Request::post(Api::StorageTransfer, "/v1/transferJobs", body)
}

/// Starts a job; answers with an operation.
pub(crate) fn run(project: &ProjectId, name: &str) -> Request {
    let path = format!("/v1/{}:run", path_text(name));
    let body = json!({"projectId": project.as_str()});
    Request::post(Api::StorageTransfer, path, body)
}

/// Deletes a job; what it does now goes on.
pub(crate) fn delete(project: &ProjectId, name: &str) -> Request {
    Request::delete(Api::StorageTransfer, format!("/v1/{}", path_text(name)))
        .query("projectId", project.as_str())
}

/// Reads an operation.
pub(crate) fn operation(name: &str) -> Request {
    Request::get(Api::StorageTransfer, format!("/v1/{}", path_text(name)))
}

/// Ends an operation before its time.
pub(crate) fn cancel(name: &str) -> Request {
    let path = format!("/v1/{}:cancel", path_text(name));
    Request::post(Api::StorageTransfer, path, json!({}))
}

/// `GoogleServiceAccount`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Agent {
    /// E-mail.
    pub(crate) account_email: String,
}

/// One page of jobs.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct JobPage {
    pub(crate) transfer_jobs: Vec<Job>,
    pub(crate) next_page_token: String,
}

/// `TransferJob`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Job {
    pub(crate) name: String,
    status: String,
    /// The last operation; empty: there was none.
    pub(crate) latest_operation_name: String,
}

/// `Operation` with the metadata of a transfer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) done: bool,
    error: Option<Status>,
    metadata: Metadata,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    status: String,
    error_breakdowns: Vec<Breakdown>,
}

/// `ErrorSummary`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Breakdown {
    #[serde(rename = "errorCode")]
    code: String,
    #[serde(rename = "errorCount")]
    count: String,
    #[serde(rename = "errorLogEntries")]
    samples: Vec<Entry>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Entry {
    url: String,
    error_details: Vec<String>,
}

/// How an operation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// What, and samples of it.
    pub(crate) why: String,
    /// Whether all of it may pass.
    pub(crate) passing: bool,
}

impl Job {
    /// Whether it was not deleted.
    pub(crate) fn is_there(&self) -> bool {
        self.status != "DELETED"
    }
}

impl Operation {
    /// How it failed; none: it did not, or is not done.
    pub(crate) fn failed(&self) -> Option<Failed> {
        let Metadata {
            status,
            error_breakdowns: breakdowns,
        } = &self.metadata;
        if self.error.is_none()
            && breakdowns.is_empty()
            && status != "FAILED"
            && status != "ABORTED"
        {
            return None;
        }
        let message = self.error.as_ref().map(|error| error.message.as_str());
        // With samples the message only says that there are some.
        let message = message.filter(|_| breakdowns.is_empty());
        let mut lines = vec![format!("{} {}", self.name, message.unwrap_or(status))];
        for Breakdown {
            code,
            count,
            samples,
        } in breakdowns
        {
            lines.push(format!("{count} x {code}"));
            lines.extend(samples.iter().map(Entry::line));
        }
        let mut codes = breakdowns.iter().map(|one| one.code.as_str());
        Some(Failed {
            why: lines.join("\n"),
            // Cancelled by somebody, or by a run of ours that was undone: it may go another time.
            passing: codes.all(|code| PASSING.contains(&code)),
        })
    }
}

impl Entry {
    /// `https://host/path: The server answered HTTP 404.` A query may hold a signature.
    fn line(&self) -> String {
        let url = self.url.split('?').next().unwrap_or_default();
        format!("  {url}: {}", self.error_details.join(" "))
    }
}
