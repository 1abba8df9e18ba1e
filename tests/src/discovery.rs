//! Holds HTTP exchanges to Google's published Discovery documents: contracts we did not write.
//!
//! ```text
//! Exchange ──► method by verb and path ──► path patterns, query names and values
//!                                     ├──► request body   strict: no unknown and no output-only field
//!                                     └──► response body  strict: no unknown field; LROs by their @type
//! ```
//!
//! Of Cloud Storage, which is older than Google's design guide, three things differ: contents travel
//! under `/upload` and `/download`, a `null` in a patch removes a member, errors have a reason in
//! place of a status.
//!
//! What a Discovery document does not say (which fields are required, which exclude each other,
//! rules between values) is not checked here. Nor is a value that a log has redacted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use openmodel_sandbox::Entry;
use serde_json::Value;

use self::document::{Document, Method};
use self::schema::Direction;

mod document;
mod errors;
mod schema;

/// The documents of the APIs we call: the file names in `googleapiclient`'s cache.
const DOCUMENTS: [&str; 8] = [
    "run.v2",
    "secretmanager.v1",
    "storage.v1",
    "storagetransfer.v1",
    "iam.v1",
    "iamcredentials.v1",
    "sts.v1",
    "cloudresourcemanager.v3",
];

/// What the sandbox emulates beside them: the Hub, the services that it runs, and endpoints
/// of Google's that are no API in Discovery's sense.
const ELSEWHERE: [&str; 6] = [
    "hub",
    "run.app",
    "oauth2",
    "metadata",
    "storage.session",
    "storage.xml",
];

/// A request and its answer, as a log recorded them.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path as sent: `/v2/projects/…`.
    pub path: String,
    /// The query's parameters, decoded.
    pub query: Vec<(String, String)>,
    /// The request's JSON; `None` if empty.
    pub request: Option<Value>,
    /// HTTP status of the answer.
    pub status: u16,
    /// The answer's JSON; `None` if empty.
    pub response: Option<Value>,
}

impl Exchange {
    fn violation(&self, part: Part, place: String, what: String) -> Violation {
        let exchange = format!("{} {} {}", self.method, self.path, self.status);
        Violation {
            exchange,
            refused: self.status >= 400,
            part,
            place,
            what,
        }
    }
}

impl From<&Entry> for Exchange {
    fn from(entry: &Entry) -> Self {
        let body = |value: &Value| (!value.is_null()).then(|| value.clone());
        let kind = entry.headers.get("content-type").map_or("", String::as_str);
        let request = body(&entry.request);
        Self {
            method: entry.method.clone(),
            path: entry.path.clone(),
            query: entry.query.clone(),
            request: if kind.starts_with("application/x-www-form-urlencoded") {
                request.map(document::form_as_message)
            } else {
                request
            },
            status: entry.status,
            response: body(&entry.response),
        }
    }
}

/// One breach of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Verb, path and status of the exchange: `POST /v2/… 200`.
    pub exchange: String,
    /// Whether the exchange was refused (status 400 and above).
    pub refused: bool,
    /// Which part of it.
    pub part: Part,
    /// Where in that part: a JSON pointer of a body, `/template/containers/0`.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// A part of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The request's path.
    Path,
    /// The request's query.
    Query,
    /// The request's body.
    Request,
    /// The answer.
    Response,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {:?} {}: {}",
            self.exchange, self.part, self.place, self.what
        )
    }
}

/// What came of checking an exchange.
#[derive(Debug)]
pub struct Checked {
    /// The Discovery id of the method, `run.projects.locations.services.create`; `None` if no
    /// document has it, which is a violation too.
    pub method: Option<String>,
    /// All that is wrong with it.
    pub violations: Vec<Violation>,
}

/// What came of checking a log.
#[derive(Debug, Default)]
pub struct Audit {
    /// The Discovery ids of the methods that were answered with success.
    pub methods: BTreeSet<String>,
    /// All that is wrong, in the order of the log.
    pub violations: Vec<Violation>,
}

/// The Discovery documents, ready to check against.
#[derive(Debug)]
pub struct Contracts {
    documents: Vec<Document>,
}

impl Contracts {
    /// Reads the documents from `googleapiclient`'s cache
    /// ([`Python::discovery_documents`](crate::python::Python::discovery_documents)).
    ///
    /// # Errors
    /// Names the document that is missing or not laid out as expected.
    pub fn load(folder: &Path) -> Result<Self> {
        let documents = DOCUMENTS
            .iter()
            .map(|name| {
                let file = folder.join(format!("{name}.json"));
                let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
                Document::parse(name, &text).with_context(|| file.display().to_string())
            })
            .collect::<Result<_>>()?;
        Ok(Self { documents })
    }

    /// Which revision of each document is the contract: `run.v2` → `20261031`.
    pub fn revisions(&self) -> BTreeMap<&str, &str> {
        self.documents
            .iter()
            .map(|document| (document.name(), document.revision()))
            .collect()
    }

    /// Checks a request and its answer.
    pub fn check(&self, exchange: &Exchange) -> Checked {
        // Several APIs may know a path (`/v1/projects/…/locations`); the one that fits best counts.
        let candidates = self.documents.iter().filter_map(|document| {
            let method = document.find(&exchange.method, plain(&exchange.path))?;
            let violations = violations(document, method, exchange);
            Some(Checked {
                method: Some(method.id.clone()),
                violations,
            })
        });
        candidates
            .min_by_key(|checked| checked.violations.len())
            .unwrap_or_else(|| Checked {
                method: None,
                violations: vec![exchange.violation(
                    Part::Path,
                    String::new(),
                    format!(
                        "no method of {} has this verb and path",
                        DOCUMENTS.join(", ")
                    ),
                )],
            })
    }

    /// Checks all that a sandbox's log has of Google's APIs.
    pub fn check_log(&self, log: &[Entry]) -> Audit {
        let mut audit = Audit::default();
        for entry in log.iter().filter(|entry| !ELSEWHERE.contains(&entry.api)) {
            let exchange = Exchange::from(entry);
            let checked = self.check(&exchange);
            audit.violations.extend(checked.violations);
            if entry.operation.is_some() && entry.operation != checked.method {
                let what = format!(
                    "taken for {:?}, it is {:?}",
                    entry.operation, checked.method
                );
                audit
                    .violations
                    .push(exchange.violation(Part::Path, String::new(), what));
            }
            audit
                .methods
                .extend(checked.method.filter(|_| entry.status < 400));
        }
        audit
    }
}

/// The path that Discovery has for one that a content travels on (`mediaUpload`, `useMediaDownloadService`).
fn plain(path: &str) -> &str {
    let media = ["/upload", "/download", "/resumable/upload"];
    let rest = media.iter().find_map(|start| path.strip_prefix(start));
    rest.filter(|rest| rest.starts_with("/storage/v1/"))
        .unwrap_or(path)
}

fn violations(document: &Document, method: &Method, exchange: &Exchange) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut report = |part, place, what| found.push(exchange.violation(part, place, what));
    if let Some(what) = method.check_path(plain(&exchange.path)) {
        report(Part::Path, String::new(), what);
    }
    for what in document.check_query(method, &exchange.query) {
        report(Part::Query, String::new(), what);
    }
    let legacy = method.is_legacy();
    let request = exchange.request.clone();
    let request = request.map(|body| if legacy { without_nulls(body) } else { body });
    let request = request.as_ref();
    for (place, what) in document.check_body(method.request.as_deref(), request, Direction::Request)
    {
        report(Part::Request, place, what);
    }
    let refused = exchange.status >= 400;
    let answer = if refused {
        errors::check(
            exchange.status,
            exchange.response.as_ref(),
            if method.speaks_oauth() {
                errors::Shape::OAuth
            } else if legacy {
                errors::Shape::Reason
            } else {
                errors::Shape::Status
            },
        )
    } else if legacy && carries_content(exchange) {
        Vec::new()
    } else {
        document.check_body(
            method.response.as_deref(),
            exchange.response.as_ref(),
            Direction::Response,
        )
    };
    for (place, what) in answer {
        report(Part::Response, place, what);
    }
    let unchanged = legacy && exchange.status == 304;
    if !refused && exchange.status >= 300 && !unchanged {
        report(
            Part::Response,
            String::new(),
            format!("Google's APIs do not answer {}", exchange.status),
        );
    }
    found
}

/// Whether an answer is no JSON by design: a content, the address of an upload, "not modified".
fn carries_content(exchange: &Exchange) -> bool {
    let asks =
        |name: &str, value: &str| exchange.query.iter().any(|(n, v)| n == name && v == value);
    exchange.response.is_none()
        && (asks("alt", "media") || asks("uploadType", "resumable") || exchange.status == 304)
}

/// A patch without the members that it removes.
fn without_nulls(body: Value) -> Value {
    match body {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| !value.is_null());
            kept.map(|(name, value)| (name, without_nulls(value)))
                .collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}
