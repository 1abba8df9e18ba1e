//! Bodies that flow: requests and answers of any size, in a few chunks of memory.
//!
//! ```text
//!   Request ──► credential ──► wire ──► 2xx ─────────────────────────► Flow (status, headers, chunks)
//!                                │ redirect of a read: follow, without the credential elsewhere
//!                                └──► else ──────────────────────────► ApiError
//! ```
//!
//! Each is sent once: whoever moves bytes knows where to go on, and tries again from there.

use std::fmt;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::wire::{Flowing, Incoming, Outgoing, Payload};
use super::{
    ApiError, MOST_REDIRECTS, Request, Response, Transport, lost_error, redirect, refused,
    same_origin, too_many_redirects,
};

/// An answer whose body is still on the way.
pub struct Flow {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body; an error ends it.
    pub body: BoxStream<'static, Result<Bytes, FlowError>>,
}

/// A body that broke off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FlowError(pub String);

impl Flow {
    /// A header's value, where it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flow({})", self.status)
    }
}

impl Transport {
    /// Sends a read once, and gives its body as it comes. The transport's `request_timeout` bounds how
    /// long the other side may stand still. A 403 is transient where it is of an address that the read was
    /// sent on to.
    pub async fn open(&self, request: &Request) -> Result<Flow, ApiError> {
        let first = request.url(&self.0.options.endpoints);
        let mut url = first.clone();
        for _ in 0..=MOST_REDIRECTS {
            let body = Payload::of(request.body_bytes());
            let flowing = self.flow(request, &first, &url, body).await?;
            if flowing.status.is_success() {
                return Ok(flow(flowing));
            }
            let incoming = whole(request, flowing).await;
            let Some(next) = redirect(request, &url, &incoming) else {
                let mut error = refused(request, &incoming);
                // A signed address that is good no more: the next that is given may be.
                error.transient |=
                    incoming.status == StatusCode::FORBIDDEN && !same_origin(&first, &url);
                return Err(error);
            };
            url = next;
        }
        Err(too_many_redirects(request))
    }

    /// Sends a request whose body flows, so many bytes, once. Besides success, `308` is an answer: Cloud
    /// Storage says with it how far an upload is.
    pub async fn upload(
        &self,
        request: &Request,
        length: u64,
        body: BoxStream<'static, Result<Bytes, std::io::Error>>,
    ) -> Result<Response, ApiError> {
        self.put(request, Payload::Flowing(body, length)).await
    }

    /// Sends what the request itself carries, once; `308` is an answer, as for [`upload`](Self::upload).
    pub async fn put_once(&self, request: &Request) -> Result<Response, ApiError> {
        self.put(request, Payload::of(request.body_bytes())).await
    }

    async fn put(&self, request: &Request, body: Payload) -> Result<Response, ApiError> {
        let url = request.url(&self.0.options.endpoints);
        let flowing = self.flow(request, &url, &url, body).await?;
        let Incoming {
            status,
            headers,
            body,
        } = whole(request, flowing).await;
        if status.is_success() || status == StatusCode::PERMANENT_REDIRECT {
            return Ok(Response {
                status,
                headers,
                body,
            });
        }
        Err(ApiError::refused(request, status, &headers, &body))
    }

    async fn flow(
        &self,
        request: &Request,
        first: &str,
        url: &str,
        body: Payload,
    ) -> Result<Flowing, ApiError> {
        let started = Instant::now();
        let longest = self.0.options.request_timeout;
        let mut headers = request.headers.clone();
        if same_origin(first, url) {
            self.add_credential(request, &mut headers, started + longest)
                .await?;
        }
        let outgoing = Outgoing {
            method: request.method.clone(),
            url: url.to_owned(),
            headers,
            body,
            largest: request.largest,
            timeout: longest,
        };
        match self.0.wire.flow(outgoing).await {
            Ok(flowing) => {
                let status = flowing.status.as_u16();
                self.report(request, url, 1, Some(status), None, started);
                Ok(flowing)
            }
            Err(lost) => {
                let error = lost_error(request, lost);
                self.report(request, url, 1, None, Some(&error.message), started);
                Err(error)
            }
        }
    }
}

fn flow(flowing: Flowing) -> Flow {
    Flow {
        status: flowing.status,
        headers: flowing.headers,
        body: flowing.body.map_err(|lost| FlowError(lost.words())).boxed(),
    }
}

/// An answer whose body is short: the text of an error, a resource.
async fn whole(request: &Request, mut flowing: Flowing) -> Incoming {
    let mut body = Vec::new();
    while let Some(Ok(chunk)) = flowing.body.next().await {
        body.extend_from_slice(&chunk);
        if body.len() as u64 > request.largest {
            break;
        }
    }
    Incoming {
        status: flowing.status,
        headers: flowing.headers,
        body: body.into(),
    }
}
