//! The one HTTP transport: credentials, retries, deadlines, errors and redaction, for every API.
//!
//! ```text
//!   Request ──► credential ──► wire ──► 2xx / 304 ─────────────────────────► Response
//!                 ▲              │
//!                 │              ├─► redirect of a read: follow, without the credential elsewhere
//!                 └── wait ◄─────┼─► 429, or not sent: any request       ┐ while attempts and
//!                                ├─► 5xx, or lost: repeatable requests   ┘ the deadline allow
//!                                └─► else ─────────────────────────────────► ApiError
//! ```
//!
//! What may be sent twice: a request that never left, one that was refused with 429, and a
//! repeatable one (GET, DELETE) after 5xx or a lost answer. A POST or PATCH whose answer was lost
//! ends as [`Effect::Unknown`]: only who asked for it can look whether it took effect.

mod endpoints;
mod error;
mod flow;
mod request;
mod retry;
mod wire;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use url::Url;

pub use self::endpoints::{Api, EndpointError, Endpoints};
pub use self::error::{ApiError, Effect};
pub use self::flow::{Flow, FlowError};
pub(crate) use self::request::Credential;
pub use self::request::{Request, Response, path_text, segment};
pub use self::retry::Backoff;
pub(crate) use self::retry::Random;
pub(crate) use self::wire::install_tls_provider;
use self::wire::{Incoming, Lost, Outgoing, Payload, Sockets, Wire};
use crate::Secret;
use crate::auth::{self, Auth};

/// Most redirects followed for one read.
const MOST_REDIRECTS: u32 = 5;

/// What a transport needs to know.
#[derive(Clone)]
pub struct Options {
    /// Where each API lives.
    pub endpoints: Endpoints,
    /// Google credentials.
    pub auth: auth::Options,
    /// Token for the Hub; sent to the Hub's own address and nowhere else.
    pub hugging_face_token: Option<Secret>,
    /// Key for `VirusTotal`; sent to its own address and nowhere else.
    pub virus_total_key: Option<Secret>,
    /// Bound of one exchange.
    pub request_timeout: Duration,
    /// Bound of making a connection.
    pub connect_timeout: Duration,
    /// How requests are repeated.
    pub backoff: Backoff,
    /// Called after each exchange, for debug logs.
    pub on_request: Option<OnRequest>,
}

/// A function that is told of each exchange.
pub type OnRequest = Arc<dyn Fn(&Exchange<'_>) + Send + Sync>;

/// One exchange, without bodies, headers or credentials.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// URL, with its query where it is an API's own: no secret is ever sent in one.
    pub url: &'a str,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// HTTP status, where an answer came.
    pub status: Option<u16>,
    /// What was lost, where none came.
    pub lost: Option<&'a str>,
    /// From sending to the end of the answer.
    pub elapsed: Duration,
}

impl Default for Options {
    /// The vendors' own addresses, application default credentials, no Hub token.
    fn default() -> Self {
        Self {
            endpoints: Endpoints::default(),
            auth: auth::Options::default(),
            hugging_face_token: None,
            virus_total_key: None,
            request_timeout: Duration::from_mins(1),
            connect_timeout: Duration::from_secs(10),
            backoff: Backoff::default(),
            on_request: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("endpoints", &self.endpoints)
            .field("auth", &self.auth)
            .field("hugging_face_token", &self.hugging_face_token)
            .field("virus_total_key", &self.virus_total_key)
            .finish_non_exhaustive()
    }
}

/// Sends requests. Cheap to clone; clones share connections and credentials.
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    options: Options,
    auth: Auth,
    wire: Box<dyn Wire>,
    random: Mutex<Random>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transport").field(&self.0.options).finish()
    }
}

impl Transport {
    /// A transport. Does nothing yet: sockets, trust store and credentials wait for the first
    /// request.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let wire = Sockets::new(options.connect_timeout, options.endpoints.all_plain());
        Self::over(options, Box::new(wire))
    }

    /// Base URLs in use.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.0.options.endpoints
    }

    /// Google credentials in use.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.0.auth
    }

    /// Whether requests to the Hub carry a token.
    #[must_use]
    pub fn has_hugging_face_token(&self) -> bool {
        self.0.options.hugging_face_token.is_some()
    }

    /// Sends a request and reads its answer as JSON.
    pub async fn json<T: DeserializeOwned>(
        &self,
        request: &Request,
        deadline: Instant,
    ) -> Result<T, ApiError> {
        let response = self.send(request, deadline).await?;
        response
            .json()
            .map_err(|error| ApiError::malformed(request, response.status, &error))
    }

    /// Sends a request, again where that is safe and may help, until `deadline`.
    pub async fn send(&self, request: &Request, deadline: Instant) -> Result<Response, ApiError> {
        let mut attempt = 1;
        loop {
            let error = match self.attempt(request, attempt, deadline).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let backoff = &self.0.options.backoff;
            if attempt >= backoff.attempts || !may_try_again(request, &error) {
                return Err(error);
            }
            attempt += 1;
            let wait = error.retry_after.unwrap_or_else(|| {
                let mut random = self.0.random.lock().unwrap_or_else(PoisonError::into_inner);
                backoff.wait(attempt, &mut random)
            });
            if Instant::now() + wait >= deadline {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// A random share of a duration, so that pollers that started together part.
    pub(crate) fn jittered(&self, wait: Duration) -> Duration {
        let mut random = self.0.random.lock().unwrap_or_else(PoisonError::into_inner);
        wait.mul_f64(0.5 + random.unit() / 2.0)
    }

    fn over(options: Options, wire: Box<dyn Wire>) -> Self {
        let seed = RandomState::new().hash_one("openmodel");
        let auth = Auth::new(options.auth.clone());
        Self(Arc::new(Inner {
            options,
            auth,
            wire,
            random: Mutex::new(Random::new(seed)),
        }))
    }

    /// One attempt, redirects included.
    async fn attempt(
        &self,
        request: &Request,
        attempt: u32,
        deadline: Instant,
    ) -> Result<Response, ApiError> {
        let first = request.url(&self.0.options.endpoints);
        let mut url = first.clone();
        for _ in 0..=MOST_REDIRECTS {
            let mut headers = request.headers.clone();
            if same_origin(&first, &url) {
                self.add_credential(request, &mut headers, deadline).await?;
            }
            let incoming = self
                .exchange(request, &url, headers, attempt, deadline)
                .await?;
            if incoming.status.is_success() || incoming.status.as_u16() == 304 {
                let Incoming {
                    status,
                    headers,
                    body,
                } = incoming;
                return Ok(Response {
                    status,
                    headers,
                    body,
                });
            }
            match redirect(request, &url, &incoming) {
                Some(next) => url = next,
                None => return Err(refused(request, &incoming)),
            }
        }
        Err(too_many_redirects(request))
    }

    async fn exchange(
        &self,
        request: &Request,
        url: &str,
        headers: HeaderMap,
        attempt: u32,
        deadline: Instant,
    ) -> Result<Incoming, ApiError> {
        let started = Instant::now();
        let left = deadline.saturating_duration_since(started);
        if left.is_zero() {
            let message = "the deadline passed before the request was sent".to_owned();
            return Err(ApiError::lost(request, false, true, message));
        }
        let outcome = self
            .0
            .wire
            .exchange(Outgoing {
                method: request.method.clone(),
                url: url.to_owned(),
                headers,
                body: Payload::of(request.body_bytes()),
                largest: request.largest,
                timeout: left.min(self.0.options.request_timeout),
            })
            .await;
        let error = match outcome {
            Ok(incoming) => {
                let status = incoming.status.as_u16();
                self.report(request, url, attempt, Some(status), None, started);
                return Ok(incoming);
            }
            Err(lost) => lost_error(request, lost),
        };
        self.report(request, url, attempt, None, Some(&error.message), started);
        Err(error)
    }

    /// Adds `Authorization`, and the project that pays for quota. The Hub gets its own token,
    /// Google its own; never one the other's.
    async fn add_credential(
        &self,
        request: &Request,
        headers: &mut HeaderMap,
        deadline: Instant,
    ) -> Result<(), ApiError> {
        let options = &self.0.options;
        let (name, text, what) = match request.api {
            Api::Hub => {
                let token = options.hugging_face_token.as_ref();
                let text = token.map(|token| format!("Bearer {}", token.expose()));
                (header::AUTHORIZATION, text, "the Hugging Face token")
            }
            Api::VirusTotal => {
                let key = options.virus_total_key.as_ref();
                let text = key.map(|key| key.expose().to_owned());
                (
                    HeaderName::from_static("x-apikey"),
                    text,
                    "the VirusTotal key",
                )
            }
            Api::Run
            | Api::SecretManager
            | Api::IamCredentials
            | Api::ResourceManager
            | Api::Storage
            | Api::StorageTransfer => {
                let found = self.0.auth.headers(request.credential, deadline).await;
                headers.extend(found.map_err(|error| error.into_api_error(request))?);
                return Ok(());
            }
        };
        if let Some(text) = text {
            let mut value = HeaderValue::try_from(text).map_err(|_| {
                let message =
                    format!("{what} has characters that none has; is there a line break in it?");
                ApiError::local(request, "UNAUTHENTICATED", message)
            })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(())
    }

    fn report(
        &self,
        request: &Request,
        url: &str,
        attempt: u32,
        status: Option<u16>,
        lost: Option<&str>,
        started: Instant,
    ) {
        if let Some(on_request) = &self.0.options.on_request {
            let method = request.method.as_str();
            // Where a read was sent on to is often signed: its query opens the file to anyone.
            let shown = if request.url(&self.0.options.endpoints) == url {
                request.shown_url(&self.0.options.endpoints)
            } else {
                url.split('?').next().unwrap_or_default().to_owned()
            };
            on_request(&Exchange {
                method,
                url: &shown,
                attempt,
                status,
                lost,
                elapsed: started.elapsed(),
            });
        }
    }
}

fn refused(request: &Request, incoming: &Incoming) -> ApiError {
    ApiError::refused(request, incoming.status, &incoming.headers, &incoming.body)
}

fn too_many_redirects(request: &Request) -> ApiError {
    let why = format!("more than {MOST_REDIRECTS} redirects");
    ApiError::local(request, "FAILED_PRECONDITION", why)
}

/// Why no answer came, as an error of the request.
fn lost_error(request: &Request, lost: Lost) -> ApiError {
    match lost {
        Lost::NoAnswer {
            sent,
            timed_out,
            message,
        } => ApiError::lost(request, sent, timed_out, format!("no answer: {message}")),
        Lost::TooLarge => ApiError {
            effect: if request.is_safe() {
                Effect::None
            } else {
                Effect::Unknown
            },
            ..ApiError::local(
                request,
                "OUT_OF_RANGE",
                format!("the answer is larger than {} bytes", request.largest),
            )
        },
        Lost::NoClient(message) => ApiError::local(
            request,
            "FAILED_PRECONDITION",
            format!(
                "no TLS client can be made ({message}): install ca-certificates or set SSL_CERT_FILE"
            ),
        ),
    }
}

fn may_try_again(request: &Request, error: &ApiError) -> bool {
    let never_processed = match error.status {
        Some(status) => status == http::StatusCode::TOO_MANY_REQUESTS,
        None => error.effect == Effect::None,
    };
    error.transient && (never_processed || request.may_repeat())
}

/// Where a read is sent on to. Writes are never redirected: their bodies were meant for one host.
fn redirect(request: &Request, from: &str, incoming: &Incoming) -> Option<String> {
    if !incoming.status.is_redirection() || !request.method.is_safe() {
        return None;
    }
    let to = incoming.headers.get(header::LOCATION)?.to_str().ok()?;
    let next = Url::parse(from).ok()?.join(to).ok()?;
    // From TLS to plain text would show the answer to everyone on the way.
    let downgrade = from.starts_with("https:") && next.scheme() != "https";
    (!downgrade).then(|| next.to_string())
}

fn same_origin(one: &str, other: &str) -> bool {
    match (Url::parse(one), Url::parse(other)) {
        (Ok(one), Ok(other)) => one.origin() == other.origin(),
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod script;
#[cfg(test)]
mod tests;
