//! From a connection to an answer: read the request, apply the faults, ask the world, write the log.
//!
//!   request ─► /sandbox/…  ─► admin
//!          └─► fault? ─► delay ─► refuse, or lose before ─► read the body, or a part of it
//!                                     ─► world ─► lose after ─► body, spoilt or not

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};

use crate::faults::{Action, Canned, Lose, OperationPlan, Rule};
use crate::google::storage::{self, Broken, drained, receive};
use crate::google::{self, Api};
use crate::http::{Content, Line, Reply, Request};
use crate::log::{self, Log};
use crate::store::Store;
use crate::world::{Answer, Call, Service, World};
use crate::{Options, admin, hub, virus_total};

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) base: String,
    world: Mutex<World>,
    log: Mutex<Log>,
    pub(crate) store: Option<Store>,
}

impl Shared {
    pub(crate) fn new(options: Options, base: String, world: World, store: Option<Store>) -> Self {
        Self {
            options,
            base,
            world: Mutex::new(world),
            log: Mutex::default(),
            store,
        }
    }

    // A panic in one request leaves the data whole: each change is made in one step at its end.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Version and bytes of the state file.
    pub(crate) fn snapshot(&self) -> (u64, Vec<u8>) {
        let mut world = self.world();
        world.clock.anchor();
        (
            world.version,
            serde_json::to_vec(&*world).unwrap_or_default(),
        )
    }

    /// Until the world as it is now is on disk; at once when nobody asked for a state file.
    async fn saved(&self) -> Result<(), String> {
        let version = self.world().version;
        match &self.store {
            Some(store) => store.wait_for(version).await,
            None => Ok(()),
        }
    }
}

/// Answer one request of any kind.
pub(crate) async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut request = Request::new(&parts, Bytes::new());
    if request
        .segments
        .first()
        .is_some_and(|first| first == "sandbox")
    {
        if let Err(broken) = receive(&shared, &mut request, incoming(body, None)).await {
            return respond(unread(broken, &line), &Action::default());
        }
        let reply = admin::answer(&shared, &request);
        let reply = match shared.saved().await {
            Ok(()) => reply,
            Err(failure) => google::Error::internal(failure).reply(),
        };
        return respond(reply, &Action::default());
    }
    let rule = shared.world().faults.pick(&request);
    let action = rule
        .as_ref()
        .map(|rule| rule.then.clone())
        .unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(action.delay_millis)).await;
    if action.ignore_range {
        request.headers.remove(header::RANGE);
    }

    let body = incoming(body, action.cut_upload_bytes);
    let read = match (&action.respond, action.lose) {
        // A client that is still sending would not hear an answer; what it sends has no effect.
        (Some(_), _) => drained(body).await,
        (None, Some(Lose::Before)) => Ok(()),
        _ => receive(&shared, &mut request, body).await,
    };
    let reply = match (read, &action.respond, action.lose) {
        (Err(broken), ..) => unread(broken, &line),
        (_, Some(canned), _) => made_up(canned, &request),
        (_, None, Some(Lose::Before)) => Reply::empty(StatusCode::OK),
        _ => ask(&shared, &request, action.operation.as_ref()).await,
    };
    write_down(&shared, &request, &reply, rule.as_ref());
    if action.lose.is_some() {
        line.cut(action.reset);
    }
    respond(reply, &action)
}

/// The body as it comes in; with a limit it breaks off there.
fn incoming(
    body: Body,
    limit: Option<u64>,
) -> impl Stream<Item = Result<Bytes, Broken>> + Unpin + Send {
    let mut left = limit.unwrap_or(u64::MAX);
    let chunks = body.into_data_stream().flat_map(move |chunk| {
        let mut given = Vec::new();
        match chunk {
            Ok(chunk) if (chunk.len() as u64) <= left => {
                left -= chunk.len() as u64;
                given.push(Ok(chunk));
            }
            Ok(chunk) => {
                given.push(Ok(chunk.slice(..usize::try_from(left).unwrap_or(0))));
                given.push(Err(Broken::Cut));
            }
            Err(_) => given.push(Err(Broken::Cut)),
        }
        stream::iter(given)
    });
    chunks.boxed()
}

/// What is answered to a request that could not be read; nobody hears it when the line is cut.
fn unread(broken: Broken, line: &Line) -> Reply {
    match broken {
        Broken::TooLarge => Reply::empty(StatusCode::PAYLOAD_TOO_LARGE),
        Broken::Disk(failure) => google::Error::internal(failure).reply(),
        Broken::Cut => {
            line.cut(false);
            Reply::empty(StatusCode::BAD_REQUEST)
        }
    }
}

/// Ask the world, as often as it says "later", and make the change durable.
async fn ask(shared: &Shared, request: &Request, plan: Option<&OperationPlan>) -> Reply {
    let began = Instant::now();
    let mut may_wait = true;
    let reply = loop {
        let call = Call {
            request,
            base: &shared.base,
            plan,
            may_wait,
        };
        let answer = shared.world().answer(&call);
        match answer {
            Answer::Reply(reply) => break reply,
            Answer::Later(longest) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                may_wait = began.elapsed() < longest;
            }
        }
    };
    match shared.saved().await {
        Ok(()) => reply,
        Err(failure) => google::Error::internal(failure).reply(),
    }
}

/// The answer that a rule makes up, in the error shape of the API when it gives no body.
fn made_up(canned: &Canned, request: &Request) -> Reply {
    let status = StatusCode::from_u16(canned.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = match (&canned.body, Service::of(request)) {
        (Some(body), _) => Reply::json(status, body.clone()),
        (None, _) if status.is_success() => Reply::empty(status),
        (None, Service::Google(Api::Storage)) => storage::refuse(
            request,
            google::Error::of_status(status, "An injected fault."),
        ),
        (None, Service::Hub) => hub::error(status, None, "An injected fault."),
        (None, Service::VirusTotal) => {
            virus_total::error(status, "TransientError", "An injected fault.")
        }
        (None, _) => google::Error::of_status(status, "An injected fault.").reply(),
    };
    for (name, value) in &canned.headers {
        reply = reply.with(name, value);
    }
    reply
}

fn write_down(shared: &Shared, request: &Request, reply: &Reply, rule: Option<&Rule>) {
    let service = Service::of(request);
    let time = shared.world().now().rfc3339();
    let name = match service {
        Service::Google(Api::Storage) => storage::log_name(request),
        other => other.name(),
    };
    let mut entry = log::entry(request, reply, name, time);
    if let Service::Google(api) = service {
        entry.operation = google::method_id(api, request);
    }
    entry.fault = rule.map(|rule| rule.id.clone());
    if rule.is_some_and(|rule| rule.then.lose == Some(Lose::Before)) {
        entry.status = 0;
    }
    shared.log().push(entry);
}

/// Turn a reply into a response, with its body slowed or broken off where a rule says so.
fn respond(reply: Reply, action: &Action) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = reply.status;
    for (name, value) in reply.headers {
        let many = name == HeaderName::from_static("set-cookie") || name == header::LINK;
        if many {
            response.headers_mut().append(name, value);
        } else {
            response.headers_mut().insert(name, value);
        }
    }
    let (size, chunks) = body(reply.content);
    let spoilt = action.slow.is_some() || action.truncate_bytes.is_some();
    if let Some(size) = size.filter(|size| *size > 0 || !spoilt) {
        response
            .headers_mut()
            .entry(header::CONTENT_LENGTH)
            .or_insert_with(|| size.into());
    }
    let chunks = match action.flip_byte {
        Some(place) => flipped(chunks, place).map(Ok).boxed(),
        None => chunks.map(Ok).boxed(),
    };
    let chunks = match action.truncate_bytes {
        Some(left) => truncated(chunks, left).boxed(),
        None => chunks,
    };
    *response.body_mut() = match action.slow {
        Some(slow) => {
            let pause = Duration::from_millis(slow.pause_millis);
            Body::from_stream(trickled(chunks, slow.chunk_bytes.max(1), pause))
        }
        None => Body::from_stream(chunks),
    };
    response
}

type Chunk = Result<Bytes, std::io::Error>;

/// Length, where it is known, and the chunks of a body.
fn body(content: Content) -> (Option<u64>, stream::BoxStream<'static, Bytes>) {
    let one = |bytes: Bytes| {
        let size = bytes.len() as u64;
        (Some(size), stream::iter([bytes]).boxed())
    };
    match content {
        // A HEAD or 304 answer may carry the length of what it does not send.
        Content::Empty => (None, stream::empty().boxed()),
        Content::Json(value) => one(value.to_string().into()),
        Content::Text(text) => one(text.into()),
        Content::Events(events) => {
            let events = events
                .into_iter()
                .map(|event| Bytes::from(format!("data: {event}\n\n")));
            (None, stream::iter(events).boxed())
        }
        Content::File(piece) => (Some(piece.size()), stream::iter(piece).boxed()),
    }
}

/// A body of which one bit is another.
fn flipped(
    chunks: stream::BoxStream<'static, Bytes>,
    place: u64,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let mut before = 0;
    chunks.map(move |chunk| {
        let at = usize::try_from(place.wrapping_sub(before)).unwrap_or(usize::MAX);
        before += chunk.len() as u64;
        if at >= chunk.len() {
            return chunk;
        }
        let mut spoilt = chunk.to_vec();
        spoilt[at] ^= 1;
        spoilt.into()
    })
}

/// The first `left` bytes of a longer body, then an error, which closes the connection.
fn truncated(
    chunks: stream::BoxStream<'static, Chunk>,
    left: u64,
) -> impl Stream<Item = Chunk> + Send + 'static {
    stream::unfold(Some((chunks, left)), |state| async move {
        let (mut chunks, left) = state?;
        let chunk = chunks.next().await?.ok()?;
        if left == 0 {
            // An error at once would take back what waits to be written.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let broken = std::io::Error::new(std::io::ErrorKind::BrokenPipe, "cut by a rule");
            return Some((Err(broken), None));
        }
        let kept = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let rest = chunk.slice(kept..);
        let after = stream::iter((!rest.is_empty()).then_some(Ok(rest)))
            .chain(chunks)
            .boxed();
        Some((Ok(chunk.slice(..kept)), Some((after, left - kept as u64))))
    })
}

/// The same bytes in small pieces, with a pause before each.
fn trickled(
    chunks: stream::BoxStream<'static, Chunk>,
    size: usize,
    pause: Duration,
) -> impl Stream<Item = Chunk> + Send + 'static {
    let split = move |chunk: Chunk| match chunk {
        Ok(chunk) => {
            let starts = (0..chunk.len()).step_by(size);
            starts
                .map(|at| Ok(chunk.slice(at..chunk.len().min(at + size))))
                .collect()
        }
        Err(error) => vec![Err(error)],
    };
    chunks
        .flat_map(move |chunk| stream::iter(split(chunk)))
        .then(move |piece| async move {
            tokio::time::sleep(pause).await;
            piece
        })
}
