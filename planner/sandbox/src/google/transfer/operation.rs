//! A transfer that runs or has run: how far it is, what it counted, what failed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Time;

/// Samples of one error code that are kept (Discovery, `errorLogEntries`).
const SAMPLES: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Status {
    Running,
    Paused,
    Success,
    Failed,
    Aborted,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Running => "IN_PROGRESS",
            Self::Paused => "PAUSED",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
            Self::Aborted => "ABORTED",
        }
    }
}

/// Why an object, or all of them, could not be transferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// A name of `google.rpc.Code`.
    pub(super) code: &'static str,
    /// What it is about.
    pub(super) url: String,
    pub(super) details: String,
}

/// Objects and bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Amount {
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

/// One run of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Operation {
    /// `transferOperations/transferJobs-<job>-<number>`
    pub(super) name: String,
    pub(super) project: String,
    /// `transferJobs/<job>`
    pub(super) job: String,
    /// Counts all operations, for their order.
    pub(super) number: u64,
    pub(super) spec: Value,
    /// Who it acts as.
    pub(super) account: String,
    started: Time,
    ended: Option<Time>,
    pub(super) status: Status,
    /// By the API's names, which end in what is counted.
    counters: BTreeMap<String, u64>,
    /// By code.
    errors: BTreeMap<String, Errors>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Errors {
    count: u64,
    /// What each is about, and what was the matter.
    samples: Vec<(String, String)>,
}

/// What makes an operation one of its own.
pub(super) struct Origin<'a> {
    pub(super) project: &'a str,
    pub(super) job: &'a str,
    pub(super) number: u64,
}

impl Operation {
    pub(super) fn new(origin: &Origin<'_>, spec: Value, account: String, now: Time) -> Self {
        let job = origin.job.replace('/', "-");
        Self {
            name: format!("transferOperations/{job}-{}", origin.number),
            project: origin.project.to_owned(),
            job: origin.job.to_owned(),
            number: origin.number,
            spec,
            account,
            started: now,
            ended: None,
            status: Status::Running,
            counters: BTreeMap::new(),
            errors: BTreeMap::new(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// Count objects and their bytes: `FoundFromSource`, `CopiedToSink`, ….
    pub(super) fn count(&mut self, what: &str, amount: Amount) {
        for (unit, number) in [("objects", amount.objects), ("bytes", amount.bytes)] {
            if number > 0 {
                *self.counters.entry(format!("{unit}{what}")).or_default() += number;
            }
        }
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        let errors = self.errors.entry(failure.code.to_owned()).or_default();
        errors.count += 1;
        if errors.samples.len() < SAMPLES {
            errors.samples.push((failure.url, failure.details));
        }
    }

    /// It has come to its end; a failed object makes it fail.
    pub(super) fn end(&mut self, aborted: bool, now: Time) {
        self.ended = Some(now);
        self.status = match () {
            () if aborted => Status::Aborted,
            () if self.errors.is_empty() => Status::Success,
            () => Status::Failed,
        };
    }

    /// As the API shows it: a long-running operation.
    pub(super) fn view(&self) -> Value {
        let mut metadata = json!({
            "@type": "type.googleapis.com/google.storagetransfer.v1.TransferOperation",
            "name": self.name,
            "projectId": self.project,
            "transferSpec": self.spec,
            "startTime": self.started.rfc3339(),
            "status": self.status.name(),
            "transferJobName": self.job,
        });
        let counters = self.counters.iter();
        let counters = counters.map(|(name, number)| (name.clone(), number.to_string().into()));
        metadata["counters"] = Value::Object(counters.collect());
        if !self.errors.is_empty() {
            metadata["errorBreakdowns"] = self.errors.iter().map(breakdown).collect();
        }
        let mut view = json!({"name": self.name});
        if let Some(ended) = self.ended {
            metadata["endTime"] = ended.rfc3339().into();
            view["done"] = true.into();
            match self.status {
                Status::Success => {
                    view["response"] =
                        json!({"@type": "type.googleapis.com/google.protobuf.Empty"});
                }
                Status::Aborted => {
                    view["error"] = json!({"code": 1, "message": "The transfer was cancelled."});
                }
                _ => {
                    let count: u64 = self.errors.values().map(|errors| errors.count).sum();
                    let text = format!("{count} errors: see errorBreakdowns of the operation.");
                    view["error"] = json!({"code": 2, "message": text});
                }
            }
        }
        view["metadata"] = metadata;
        view
    }
}

fn breakdown((code, errors): (&String, &Errors)) -> Value {
    let samples = errors.samples.iter();
    let samples = samples.map(|(url, details)| json!({"url": url, "errorDetails": [details]}));
    json!({
        "errorCode": code,
        "errorCount": errors.count.to_string(),
        "errorLogEntries": samples.collect::<Value>(),
    })
}
