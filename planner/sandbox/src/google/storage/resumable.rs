//! Resumable uploads: a session that takes an object in chunks and knows how far it is.
//!
//! ```text
//! POST …&uploadType=resumable  {metadata}          ─► 200, Location: …&upload_id=…
//! PUT  Content-Range: bytes 0-524287/1000000       ─► 308, Range: bytes=0-524287
//! PUT  Content-Range: bytes */1000000              ─► 308, Range: how far it is
//! PUT  Content-Range: bytes 524288-999999/1000000  ─► 200, the object
//! DELETE                                           ─► 499
//! ```
//!
//! Source: <https://cloud.google.com/storage/docs/performing-resumable-uploads>. A session is lost
//! when the sandbox stops; it is then unknown (404), and clients start again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Method as Verb, StatusCode};
use serde_json::Value;

use super::condition::Conditions;
use super::object::Draft;
use super::upload::Hashes;
use super::{Error, Storage};
use crate::blob::Writer;
use crate::clock::Time;
use crate::http::{Reply, Request};
use crate::world::{Call, World};

/// Chunks but the last are a multiple of this many bytes.
pub(super) const BLOCK: usize = 256 << 10;

/// Where the bytes of a session go; nothing once it is finished.
pub(super) type Progress = Arc<Mutex<Option<Writer>>>;

/// One upload.
pub(super) struct Session {
    pub(super) bucket: String,
    /// The object it will be; its content is empty until then.
    pub(super) draft: Draft,
    pub(super) conditions: Conditions,
    pub(super) hashes: Hashes,
    /// `X-Upload-Content-Length`.
    pub(super) announced: Option<u64>,
    pub(super) expires: Time,
    pub(super) progress: Progress,
    state: State,
}

enum State {
    Open,
    /// The object, told again to a client that did not hear of it.
    Done(Value),
    Cancelled,
}

/// What a `Content-Range` of an upload says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Place of the first byte in the object.
    pub(super) start: u64,
    /// One past the last byte; nothing when the header does not say.
    end: Option<u64>,
    /// Size of the object, once the client knows it.
    total: Option<u64>,
    /// It carries no bytes and asks how far the upload is.
    query: bool,
}

impl Chunk {
    pub(super) fn of(request: &Request) -> Result<Self, Error> {
        let text = request.header("content-range");
        let wrong = |text: &str| {
            let text = format!("Failed to parse Content-Range header: {text}");
            Error::legacy(400, None, &text)
        };
        text.map_or(Ok(Self::whole()), |text| {
            Self::parse(text).ok_or_else(|| wrong(text))
        })
    }

    /// Without the header a body is the whole object.
    fn whole() -> Self {
        Self {
            start: 0,
            end: None,
            total: None,
            query: false,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let total = match total {
            "*" => None,
            number => Some(number.parse().ok()?),
        };
        if range == "*" {
            return Some(Self {
                start: 0,
                end: Some(0),
                total,
                query: true,
            });
        }
        let (first, last) = range.split_once('-')?;
        let start: u64 = first.parse().ok()?;
        let end = match last {
            "*" => None,
            number => Some(number.parse::<u64>().ok()?.checked_add(1)?),
        };
        let sound = end.is_none_or(|end| end > start && total.is_none_or(|total| end <= total));
        sound.then_some(Self {
            start,
            end,
            total,
            query: false,
        })
    }

    /// Whether the object is at its end with a chunk that was read up to `place`.
    pub(super) fn is_last(&self, place: u64) -> bool {
        match (self.end, self.total) {
            _ if self.query => false,
            (_, Some(total)) => place == total,
            (end, None) => end.is_none(),
        }
    }
}

impl Session {
    pub(super) fn new(
        bucket: &str,
        draft: Draft,
        conditions: Conditions,
        hashes: Hashes,
        announced: Option<u64>,
        expires: Time,
        keep: bool,
    ) -> Self {
        Self {
            bucket: bucket.to_owned(),
            draft,
            conditions,
            hashes,
            announced,
            expires,
            progress: Arc::new(Mutex::new(Some(Writer::new(keep)))),
            state: State::Open,
        }
    }

    fn size(&self) -> u64 {
        let writer = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        writer.as_ref().map_or(0, Writer::size)
    }
}

impl Storage {
    /// Where the bytes of an open session go.
    pub(super) fn progress(&self, id: &str) -> Option<Progress> {
        let session = self.sessions.get(id)?;
        matches!(session.state, State::Open).then(|| Arc::clone(&session.progress))
    }

    /// Open a session; when it ends.
    pub(super) fn upload_time(&self) -> Duration {
        Duration::from_secs(self.settings.upload_seconds)
    }
}

/// A request to the address of a session; its bytes are in the session by now.
pub(super) fn answer(world: &mut World, call: &Call<'_>) -> Result<Reply, Error> {
    let now = world.now();
    let id = call
        .request
        .query("upload_id")
        .unwrap_or_default()
        .to_owned();
    let unknown = || Error::legacy(404, None, "The upload session is not known: start again.");
    let session = world.storage.sessions.get_mut(&id).ok_or_else(unknown)?;
    if now >= session.expires {
        return Err(Error::legacy(
            410,
            Some("gone"),
            "The upload session has expired: start again.",
        ));
    }
    match (&session.state, &call.request.method) {
        (State::Cancelled, _) => return Err(unknown()),
        (State::Done(object), &Verb::PUT) => return Ok(Reply::ok(object.clone())),
        (State::Open, &Verb::PUT) => {}
        (State::Open, &Verb::DELETE) => {
            session.state = State::Cancelled;
            *session
                .progress
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = None;
            // Google's own status for a request that its client has closed.
            let status = StatusCode::from_u16(499).unwrap_or(StatusCode::GONE);
            return Ok(Reply::empty(status));
        }
        _ => {
            return Err(Error::legacy(
                400,
                None,
                "An upload session takes PUT and DELETE.",
            ));
        }
    }
    let chunk = Chunk::of(call.request)?;
    let size = session.size();
    if chunk.start > size {
        let text = format!(
            "Invalid request. According to the Content-Range header, the upload offset is {} \
             byte(s), which exceeds already uploaded size of {size} byte(s).",
            chunk.start
        );
        return Err(Error::legacy(503, None, &text));
    }
    if let (Some(announced), Some(total)) = (session.announced, chunk.total)
        && announced != total
    {
        let text = format!(
            "Invalid request. The total size {total} is not the announced one, {announced}."
        );
        return Err(Error::legacy(400, None, &text));
    }
    let ends = match chunk.total {
        Some(total) => size == total,
        None => chunk.end.is_none(),
    };
    if ends {
        return finish(world, call, &id, now);
    }
    if chunk.total.is_some_and(|total| size > total) {
        let text = "Invalid request. More bytes were uploaded than the object has.";
        return Err(Error::legacy(400, None, text));
    }
    let length = chunk.end.map_or(0, |end| end - chunk.start);
    if !chunk.query && length < BLOCK as u64 {
        let text = format!(
            "Invalid request. The number of bytes uploaded is required to be equal or greater than \
             {BLOCK}, except for the final request (it's recommended to be the exact multiple of \
             {BLOCK}). The received request contained {length} bytes, which does not meet this \
             requirement."
        );
        return Err(Error::legacy(400, None, &text));
    }
    let reply = Reply::empty(StatusCode::PERMANENT_REDIRECT).with("content-length", "0");
    // Nothing stored is no range.
    Ok(match size {
        0 => reply,
        size => reply.with("range", &format!("bytes=0-{}", size - 1)),
    })
}

/// All bytes are there: check them and make the object.
fn finish(world: &mut World, call: &Call<'_>, id: &str, now: Time) -> Result<Reply, Error> {
    let gone = || Error::legacy(404, None, "The upload session is not known: start again.");
    // Whatever is wrong now stays wrong: the session ends either way.
    let mut session = world.storage.sessions.remove(id).ok_or_else(gone)?;
    let writer = session
        .progress
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let blob = writer.ok_or_else(gone)?.finish();
    session
        .hashes
        .and(&Hashes::of_headers(call.request)?)
        .check(&blob)?;
    if session
        .announced
        .is_some_and(|announced| announced != blob.size)
    {
        let text = "Invalid request. The object has not the announced size.";
        return Err(Error::legacy(400, None, text));
    }
    let draft = Draft {
        name: session.draft.name.clone(),
        plain: std::mem::take(&mut session.draft.plain),
        storage_class: session.draft.storage_class.take(),
        key: session.draft.key.take(),
        components: None,
        blob,
    };
    let object = world
        .storage
        .create(&session.bucket, draft, session.conditions, now)?;
    let view = object.view(&session.bucket, call.base);
    session.state = State::Done(view.clone());
    world.storage.sessions.insert(id.to_owned(), session);
    Ok(Reply::ok(view))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(u64, Option<u64>, Option<u64>, bool)>) {
        let found = Chunk::parse(text);
        let found = found.map(|chunk| (chunk.start, chunk.end, chunk.total, chunk.query));
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn a_content_range_says_where_the_bytes_go() {
        check("bytes 0-9/10", Some((0, Some(10), Some(10), false)));
        check("bytes 5-9/*", Some((5, Some(10), None, false)));
        check("bytes 5-*/*", Some((5, None, None, false)));
        check("bytes */10", Some((0, Some(0), Some(10), true)));
        check("bytes */*", Some((0, Some(0), None, true)));
        check("bytes 5-4/10", None);
        check("bytes 5-10/10", None);
        check("0-9/10", None);
    }

    #[test]
    fn the_last_chunk_reaches_the_total() {
        let chunk = |text| Chunk::parse(text).expect("a range");
        assert!(chunk("bytes 0-9/10").is_last(10));
        assert!(!chunk("bytes 0-9/20").is_last(10));
        assert!(!chunk("bytes 0-9/10").is_last(9), "cut off");
        assert!(!chunk("bytes 0-9/*").is_last(10));
        assert!(!chunk("bytes */10").is_last(0));
        assert!(Chunk::whole().is_last(7));
        assert!(
            chunk("bytes 5-*/*").is_last(7),
            "a stream whose end is the body's"
        );
    }
}
