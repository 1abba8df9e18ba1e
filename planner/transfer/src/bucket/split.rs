//! A body in two parts: what goes into an upload, and what waits.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::ports::{Body, Trouble};

/// A body whose first bytes are dropped, whose next are a stream, and whose last are read afterwards.
#[derive(Clone)]
pub(super) struct Split(Arc<Mutex<Inner>>);

struct Inner {
    body: Body,
    skip: u64,
    send: u64,
    /// What was read beyond the end of the stream.
    over: Bytes,
}

impl Split {
    pub(super) fn new(body: Body, skip: u64, send: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            body,
            skip,
            send,
            over: Bytes::new(),
        })))
    }

    /// The part that is sent.
    pub(super) fn stream(&self) -> BoxStream<'static, io::Result<Bytes>> {
        let shared = Arc::clone(&self.0);
        futures::stream::poll_fn(move |context| {
            let mut inner = shared.lock().unwrap_or_else(PoisonError::into_inner);
            inner.next(context)
        })
        .boxed()
    }

    /// The part behind it, all of it.
    pub(super) async fn rest(&self, into: &mut BytesMut) -> Result<(), Trouble> {
        // Bytes before it that nobody took are not of this part.
        let mut unsent = self.stream();
        while let Some(chunk) = unsent.next().await {
            chunk.map_err(|error| Trouble::passing(error.to_string()))?;
        }
        let mut body = {
            let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            into.extend_from_slice(&inner.over);
            std::mem::replace(&mut inner.body, futures::stream::empty().boxed())
        };
        while let Some(chunk) = body.next().await {
            into.extend_from_slice(&chunk?);
        }
        Ok(())
    }
}

impl Inner {
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        while self.skip + self.send > 0 {
            let Some(chunk) = std::task::ready!(self.body.poll_next_unpin(context)) else {
                return Poll::Ready(None);
            };
            let mut chunk = match chunk {
                Ok(chunk) => chunk,
                Err(trouble) => return Poll::Ready(Some(Err(io::Error::other(trouble)))),
            };
            let skipped = self.skip.min(chunk.len() as u64);
            self.skip -= skipped;
            chunk.advance(usize::try_from(skipped).unwrap_or(usize::MAX));
            let taken = self.send.min(chunk.len() as u64);
            self.send -= taken;
            let taken = chunk.split_to(usize::try_from(taken).unwrap_or(usize::MAX));
            self.over = chunk;
            if !taken.is_empty() {
                return Poll::Ready(Some(Ok(taken)));
            }
        }
        Poll::Ready(None)
    }
}
