//! Fetching a URL as the service does: without credentials, by a Range request, redirects followed.
//!
//! Google documents that a server must take Range requests and give a Content-Length. Whether
//! redirects are followed, and how often a failed request is repeated, it does not say; people
//! transfer from the Hub, whose files are redirects, so they are followed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{StatusCode, header};
use reqwest::{Client, Response};

use super::operation::Failure;
use super::runner::shown;
use crate::blob::{Blob, Writer};

/// Requests for one URL, where the server is overloaded or the connection breaks.
const TRIES: u32 = 3;

/// What a server gave.
pub(super) struct Fetched {
    pub(super) blob: Blob,
    pub(super) media_type: Option<String>,
}

/// What a server says before its content.
pub(super) struct Head {
    response: Option<Response>,
    /// In bytes.
    pub(super) size: u64,
    pub(super) etag: Option<String>,
    pub(super) media_type: Option<String>,
}

/// The one client of the process, made when it is needed.
fn client() -> Result<Client, reqwest::Error> {
    static CLIENT: Mutex<Option<Client>> = Mutex::new(None);
    let mut slot = CLIENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(client) = &*slot {
        return Ok(client.clone());
    }
    // A second time is no harm.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .user_agent("openmodel-sandbox (Storage Transfer Service)")
        .connect_timeout(Duration::from_secs(10))
        // A connection of a test's runtime must not outlive it in another one.
        .pool_max_idle_per_host(0)
        .build()?;
    Ok(slot.insert(client).clone())
}

/// The code for an HTTP status (`google/rpc/code.proto`).
fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 | 410 => "NOT_FOUND",
        416 => "OUT_OF_RANGE",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        503 | 502 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        400..=499 => "FAILED_PRECONDITION",
        _ => "UNKNOWN",
    }
}

/// Ask for a URL; `ranged` as the service asks for objects.
pub(super) async fn open(url: &str, ranged: bool) -> Result<Head, Failure> {
    let failure = |code, details: String| Failure {
        code,
        url: shown(url),
        details,
    };
    let client = client().map_err(|error| failure("INTERNAL", error.without_url().to_string()))?;
    let mut tried = 0;
    let response = loop {
        tried += 1;
        let mut request = client.get(url);
        if ranged {
            request = request.header(header::RANGE, "bytes=0-");
        }
        let again = match request.send().await {
            Ok(response) if !again(response.status()) => break response,
            Ok(response) => failed(url, response.status()),
            Err(error) => failure("UNAVAILABLE", error.without_url().to_string()),
        };
        if tried == TRIES {
            return Err(again);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let text = |name| response.headers().get(name)?.to_str().ok();
    let etag = text(header::ETAG).map(str::to_owned);
    let media_type = text(header::CONTENT_TYPE).map(str::to_owned);
    let status = response.status();
    // Of an empty object no range can be had.
    let empty = status == StatusCode::RANGE_NOT_SATISFIABLE
        && text(header::CONTENT_RANGE) == Some("bytes */0");
    if !status.is_success() && !empty {
        return Err(failed(url, status));
    }
    if ranged && !empty && status != StatusCode::PARTIAL_CONTENT {
        let text = "The server does not support Range requests.";
        return Err(failure("FAILED_PRECONDITION", text.to_owned()));
    }
    let size = if empty {
        Some(0)
    } else {
        response.content_length()
    };
    let size = size.ok_or_else(|| {
        let text = "The server returned no Content-Length.";
        failure("FAILED_PRECONDITION", text.to_owned())
    })?;
    Ok(Head {
        response: (!empty).then_some(response),
        size,
        etag,
        media_type,
    })
}

fn again(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

fn failed(url: &str, status: StatusCode) -> Failure {
    Failure {
        code: code(status),
        url: shown(url),
        details: format!("The server answered HTTP {}.", status.as_u16()),
    }
}

/// Read the content to its end.
pub(super) async fn read(url: &str, head: Head, keep: bool) -> Result<Fetched, Failure> {
    let failure = |code, details: String| Failure {
        code,
        url: shown(url),
        details,
    };
    let mut writer = Writer::new(keep);
    if let Some(mut response) = head.response {
        loop {
            let chunk = response.chunk().await;
            let chunk =
                chunk.map_err(|error| failure("UNAVAILABLE", error.without_url().to_string()))?;
            let Some(chunk) = chunk else {
                break;
            };
            let written = writer.write(&chunk);
            written.map_err(|error| failure("INTERNAL", error.to_string()))?;
        }
    }
    Ok(Fetched {
        blob: writer.finish(),
        media_type: head.media_type,
    })
}
