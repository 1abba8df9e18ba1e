//! The socket under the transport, behind a trait so that tests need none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, Method, StatusCode};

/// What leaves.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Payload,
    /// Largest body read.
    pub(crate) largest: u64,
    /// For the whole exchange.
    pub(crate) timeout: Duration,
}

/// What a request carries.
pub(crate) enum Payload {
    /// Nothing.
    None,
    /// Bytes that are there.
    Whole(Bytes),
    /// So many bytes on their way.
    Flowing(BoxStream<'static, Result<Bytes, std::io::Error>>, u64),
}

impl Payload {
    /// Bytes, where there are any.
    pub(crate) fn of(bytes: Option<Bytes>) -> Self {
        bytes.map_or(Self::None, Self::Whole)
    }
}

/// What comes back.
pub(crate) struct Incoming {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Bytes on their way.
pub(crate) type Chunks = BoxStream<'static, Result<Bytes, Lost>>;

/// What comes back while its body is still on the way.
pub(crate) struct Flowing {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Chunks,
}

/// Why nothing came back.
#[derive(Debug)]
pub(crate) enum Lost {
    /// No answer; `sent` says whether the request may have reached the server.
    NoAnswer {
        sent: bool,
        timed_out: bool,
        message: String,
    },
    /// The body is larger than the request allows.
    TooLarge,
    /// The client could not be made.
    NoClient(String),
}

/// Carries one request and its answer, once.
pub(crate) trait Wire: Send + Sync {
    /// With bodies that are held whole.
    fn exchange(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<Incoming, Lost>>;

    /// With an answer that flows, of any size. `outgoing.timeout` bounds how long the other side may
    /// stand still, not the whole.
    fn flow(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<Flowing, Lost>>;
}

/// Real sockets: HTTP/2 where TLS offers it, HTTP/1.1 elsewhere; connections are kept and shared.
pub(crate) struct Sockets {
    connect_timeout: Duration,
    /// No API is reached over TLS, so that no trust store is needed or read.
    plain: bool,
    client: Mutex<Option<reqwest::Client>>,
}

impl Sockets {
    pub(crate) fn new(connect_timeout: Duration, plain: bool) -> Self {
        Self {
            connect_timeout,
            plain,
            client: Mutex::new(None),
        }
    }

    /// Made on the first request: a provider that only validates never reads the trust store.
    fn client(&self) -> Result<reqwest::Client, Lost> {
        let mut slot = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        install_tls_provider();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("openmodel/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(Duration::from_mins(1))
            .tcp_keepalive(Duration::from_secs(30))
            .http2_keep_alive_interval(Duration::from_secs(30))
            // The transport follows redirects itself: it knows which may be followed, and which
            // must not carry a credential.
            .redirect(reqwest::redirect::Policy::none());
        if self.plain {
            let trust_nobody = rustls::ClientConfig::builder()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth();
            builder = builder.tls_backend_preconfigured(trust_nobody);
        }
        let client = builder
            .build()
            .map_err(|error| Lost::NoClient(chain(&error)))?;
        Ok(slot.insert(client).clone())
    }
}

impl Wire for Sockets {
    fn exchange(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<Incoming, Lost>> {
        Box::pin(async move {
            let request = self
                .client()?
                .request(outgoing.method, outgoing.url)
                .headers(outgoing.headers)
                .timeout(outgoing.timeout);
            let request = carrying(request, outgoing.body);
            let mut answer = request.send().await.map_err(lost)?;
            if answer
                .content_length()
                .is_some_and(|length| length > outgoing.largest)
            {
                return Err(Lost::TooLarge);
            }
            let mut body = BytesMut::new();
            while let Some(chunk) = answer.chunk().await.map_err(lost)? {
                if (body.len() + chunk.len()) as u64 > outgoing.largest {
                    return Err(Lost::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Incoming {
                status: answer.status(),
                headers: answer.headers().clone(),
                body: body.freeze(),
            })
        })
    }

    fn flow(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<Flowing, Lost>> {
        Box::pin(async move {
            let longest = outgoing.timeout;
            let request = self
                .client()?
                .request(outgoing.method, outgoing.url)
                .headers(outgoing.headers);
            let (body, progress) = watched(outgoing.body);
            let send = carrying(request, body).send();
            let answer = unless_stuck(send, &progress, longest)
                .await?
                .map_err(lost)?;
            Ok(Flowing {
                status: answer.status(),
                headers: answer.headers().clone(),
                body: unless_still(answer.bytes_stream().map_err(lost).boxed(), longest),
            })
        })
    }
}

impl Lost {
    /// In a few words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::NoAnswer { message, .. } | Self::NoClient(message) => message.clone(),
            Self::TooLarge => "the answer is too large".to_owned(),
        }
    }
}

fn carrying(request: reqwest::RequestBuilder, body: Payload) -> reqwest::RequestBuilder {
    match body {
        Payload::None => request,
        Payload::Whole(bytes) => request.body(bytes),
        // With its length, so that it is not sent in chunks.
        Payload::Flowing(stream, length) => request
            .header(http::header::CONTENT_LENGTH, length)
            .body(reqwest::Body::wrap_stream(stream)),
    }
}

/// A body that counts the chunks that were taken of it.
fn watched(body: Payload) -> (Payload, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    let Payload::Flowing(stream, length) = body else {
        return (body, taken);
    };
    let count = Arc::clone(&taken);
    let stream = stream.inspect(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    (Payload::Flowing(stream.boxed(), length), taken)
}

/// What comes of a request, unless the other side neither took nor gave anything for so long.
async fn unless_stuck<T>(
    answer: impl Future<Output = T>,
    progress: &AtomicU64,
    longest: Duration,
) -> Result<T, Lost> {
    tokio::pin!(answer);
    let mut seen = progress.load(Ordering::Relaxed);
    loop {
        if let Ok(answer) = tokio::time::timeout(longest, &mut answer).await {
            return Ok(answer);
        }
        let now = progress.load(Ordering::Relaxed);
        if now == seen {
            return Err(still(longest));
        }
        seen = now;
    }
}

/// A stream that ends with an error where it stands still for so long.
fn unless_still(chunks: Chunks, longest: Duration) -> Chunks {
    futures::stream::unfold(Some(chunks), move |chunks| async move {
        let mut chunks = chunks?;
        match tokio::time::timeout(longest, chunks.next()).await {
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(chunks))),
            Ok(Some(Err(lost))) => Some((Err(lost), None)),
            Ok(None) => None,
            Err(_) => Some((Err(still(longest)), None)),
        }
    })
    .boxed()
}

/// The other side stood still for so long.
fn still(longest: Duration) -> Lost {
    Lost::NoAnswer {
        sent: true,
        timed_out: true,
        message: format!("nothing came for {} s", longest.as_secs()),
    }
}

/// Names ring as the process's TLS provider, unless the binary named one before.
pub(crate) fn install_tls_provider() {
    // An error says that there is one already, which is what we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn lost(error: reqwest::Error) -> Lost {
    let sent = !error.is_connect() && !error.is_builder();
    let timed_out = error.is_timeout();
    Lost::NoAnswer {
        sent,
        timed_out,
        message: chain(&error.without_url()),
    }
}

/// An error and its causes: reqwest's own text ends before the reason.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    text
}
