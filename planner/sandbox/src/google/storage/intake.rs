//! Taking in the body of a request before the world is asked: streamed where it is a content.
//!
//! ```text
//! uploadType=multipart   metadata ─► request.body    content ─► Blob
//! uploadType=media, XML PUT                          content ─► Blob
//! upload_id=…            Content-Range says where    content ─► the session's writer
//! anything else          request.body, at most 32 MiB
//! ```
//!
//! No lock is held meanwhile. Of a body that breaks off, a resumable session keeps whole blocks of
//! 256 KiB and nothing else keeps anything.

use std::sync::PoisonError;

use axum::http::Method as Verb;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};

use super::related::Related;
use super::resumable::{BLOCK, Chunk, Progress};
use crate::blob::Writer;
use crate::google::Api;
use crate::http::{Received, Request};
use crate::server::Shared;
use crate::world::Service;

/// Largest body that is not a content; the real services take less.
const BODY: usize = 32 << 20;

/// Why a request was not read to its end.
pub(crate) enum Broken {
    TooLarge,
    /// The client has gone, or a rule has cut the connection.
    Cut,
    /// The sandbox cannot store it, for this reason.
    Disk(String),
}

/// Read the body of a request to its end, into the request or into its upload session.
pub(crate) async fn receive(
    shared: &Shared,
    request: &mut Request,
    body: impl Stream<Item = Result<Bytes, Broken>> + Unpin,
) -> Result<(), Broken> {
    let keep = !shared.world().storage.settings.discard_content;
    match plan(request) {
        Plan::Buffer => request.body = buffered(body).await?,
        Plan::Session(id) => {
            let progress = shared.world().storage.progress(&id);
            match (progress, Chunk::of(request)) {
                (Some(progress), Ok(chunk)) => in_session(&progress, &chunk, body).await?,
                // The answer will say what is wrong; the body is read so that it is heard.
                _ => drained(body).await?,
            }
        }
        Plan::Media => {
            let media_type = request.header("content-type").map(str::to_owned);
            let blob = content(Writer::new(keep), body).await?.finish();
            request.received = Some(Received { blob, media_type });
        }
        Plan::Related(related) => related_parts(request, related, keep, body).await?,
    }
    Ok(())
}

enum Plan {
    Buffer,
    Media,
    Related(Related),
    Session(String),
}

fn plan(request: &Request) -> Plan {
    if Service::of(request) != Service::Google(Api::Storage) {
        return Plan::Buffer;
    }
    if super::is_xml(request) {
        return if request.method == Verb::PUT {
            Plan::Media
        } else {
            Plan::Buffer
        };
    }
    if let Some(id) = request
        .query("upload_id")
        .filter(|_| request.method == Verb::PUT)
    {
        return Plan::Session(id.to_owned());
    }
    match request.query("uploadType") {
        Some("media") => Plan::Media,
        Some("multipart") => request
            .header("content-type")
            .and_then(Related::of)
            .map_or(Plan::Buffer, Plan::Related),
        _ => Plan::Buffer,
    }
}

async fn buffered(
    mut body: impl Stream<Item = Result<Bytes, Broken>> + Unpin,
) -> Result<Bytes, Broken> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.next().await {
        whole.extend_from_slice(&chunk?);
        if whole.len() > BODY {
            return Err(Broken::TooLarge);
        }
    }
    Ok(whole.freeze())
}

/// Read and forget.
pub(crate) async fn drained(
    mut body: impl Stream<Item = Result<Bytes, Broken>> + Unpin,
) -> Result<(), Broken> {
    while let Some(chunk) = body.next().await {
        chunk?;
    }
    Ok(())
}

async fn content(
    mut writer: Writer,
    mut body: impl Stream<Item = Result<Bytes, Broken>> + Unpin,
) -> Result<Writer, Broken> {
    while let Some(chunk) = body.next().await {
        write(&mut writer, &chunk?)?;
    }
    Ok(writer)
}

fn write(writer: &mut Writer, bytes: &[u8]) -> Result<(), Broken> {
    let failed = |error| Broken::Disk(format!("the sandbox cannot store a content: {error}"));
    writer.write(bytes).map_err(failed)
}

async fn related_parts(
    request: &mut Request,
    mut related: Related,
    keep: bool,
    mut body: impl Stream<Item = Result<Bytes, Broken>> + Unpin,
) -> Result<(), Broken> {
    let mut writer = Writer::new(keep);
    let mut wrong = false;
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        match related.push(&chunk) {
            Ok(bytes) if !wrong => write(&mut writer, &bytes)?,
            Ok(_) => {}
            Err(_) => wrong = true,
        }
    }
    // Without a content the handler refuses the request.
    if let Ok((head, rest)) = related
        .finish()
        .map_err(drop)
        .and_then(|end| (!wrong).then_some(end).ok_or(()))
    {
        write(&mut writer, &rest)?;
        request.body = head.metadata.into();
        let (blob, media_type) = (writer.finish(), head.media_type);
        request.received = Some(Received { blob, media_type });
    }
    Ok(())
}

/// Append what the session does not have yet. A block is written when it is whole; the rest only
/// at the end of an upload that came to its end. A client that was cut off may come back while its
/// first request is still being read: whoever is further has its way, as the bytes are the same.
async fn in_session(
    progress: &Progress,
    chunk: &Chunk,
    mut body: impl Stream<Item = Result<Bytes, Broken>> + Unpin,
) -> Result<(), Broken> {
    let mut place = chunk.start;
    // What is held back here follows on the first `base` bytes of the object.
    let (mut block, mut base) = (Vec::new(), 0);
    while let Some(bytes) = body.next().await {
        let bytes = bytes?;
        let mut writer = progress.lock().unwrap_or_else(PoisonError::into_inner);
        // A finished upload has no place for these bytes: the answer says so.
        let Some(writer) = writer.as_mut() else {
            continue;
        };
        if writer.size() != base {
            base = writer.size();
            block.clear();
        }
        let known = base + block.len() as u64;
        let end = place + bytes.len() as u64;
        if place <= known && end > known {
            let skip = usize::try_from(known - place).unwrap_or(usize::MAX);
            block.extend_from_slice(&bytes[skip..]);
        }
        place = end;
        let whole = block.len() - block.len() % BLOCK;
        if whole > 0 {
            write(writer, &block[..whole])?;
            block.drain(..whole);
            base = writer.size();
        }
    }
    if chunk.is_last(place) {
        let mut writer = progress.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writer.as_mut().filter(|writer| writer.size() == base) {
            write(writer, &block)?;
        }
    }
    Ok(())
}
