//! Move one file: read in order, digest on the way, keep span by span, verify, make readable.
//!
//! ```text
//!   origin ──► chunks ──┬─► digests (a thread) ──► seal after each span … the Hub's digest? ──► finish
//!      ▲                └─► body of the span ──► store
//!      └── broken off: opened again where it was
//! ```
//!
//! SHA-256 goes from the first byte to the last, so a file is one stream. A run that is killed is
//! continued after the last span that was sealed: at most one is read twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::digest::{Digests, Running};
use crate::ports::{Begun, Body, Identity, Kept, Origin, Span, Store, Trouble, Wanted};
use crate::throttle::Throttle;
pub use patience::Patience;
use patience::Tries;

mod patience;

/// Bytes between two seals: at the rate of one stream from the Hub they are read again in seconds, and
/// Cloud Storage takes one note a second about a file.
pub const SPAN: u64 = 256 << 20;

/// Chunks between reader, digests and writer, and as many at the digests: with up to some 400 KiB each,
/// as a fast connection gives them, they are what a stream holds in memory.
const IN_FLIGHT: usize = 4;

/// How often a file is read anew whose bytes were wrong.
const READINGS: u32 = 2;

/// Bytes moved so far, of all files.
#[derive(Debug, Default)]
pub struct Meter {
    read: AtomicU64,
    there: AtomicU64,
    under_way: AtomicU64,
    left_to_others: AtomicU64,
}

impl Meter {
    /// Bytes read from the origin, some of them twice.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes that are in the store or on their way into it.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.there() + self.under_way.load(Ordering::Relaxed)
    }

    /// Bytes that are in the store, whoever brought them.
    #[must_use]
    pub fn there(&self) -> u64 {
        self.there.load(Ordering::Relaxed)
    }

    /// Files that another run has claimed; this one looks at them again until they are there, or free.
    #[must_use]
    pub fn left_to_others(&self) -> u64 {
        self.left_to_others.load(Ordering::Relaxed)
    }

    /// So many files are left to others now.
    pub(crate) fn leave_to_others(&self, files: usize) {
        let files = u64::try_from(files).unwrap_or(u64::MAX);
        self.left_to_others.store(files, Ordering::Relaxed);
    }

    /// All files are tried anew: what is in the store is found again, and counts once.
    pub(crate) fn begin_again(&self) {
        self.there.store(0, Ordering::Relaxed);
    }
}

/// Moves files from one place to another.
#[derive(Clone)]
pub struct Mover {
    /// Where they come from.
    pub origin: Arc<dyn Origin>,
    /// Where they go.
    pub store: Arc<dyn Store>,
    /// Bytes between two seals.
    pub span: u64,
    /// How long it waits.
    pub patience: Patience,
    /// Most bytes a second, of all files; none: as many as there are.
    pub throttle: Option<Arc<Throttle>>,
    /// What it moved.
    pub meter: Arc<Meter>,
}

/// How a file came to be where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It was there.
    Found,
    /// The store had the same bytes elsewhere, and copied them.
    Copied,
    /// It was read from the origin.
    Read,
}

impl Mover {
    /// Move a file, or find that it is there; `None`: another run moves it now.
    pub async fn file(&self, file: &Wanted) -> Result<Option<(Kept, How)>, Trouble> {
        let moved = self.persistently(file).await;
        if moved.is_err() {
            // What it says of itself is less than why the file was given up.
            let _ = self.store.release(file).await;
        }
        moved
    }

    async fn persistently(&self, file: &Wanted) -> Result<Option<(Kept, How)>, Trouble> {
        let mut readings = 0;
        let mut tries = Tries::default();
        let mut furthest = 0;
        loop {
            let before = furthest;
            let trouble = match self.once(file, &mut furthest).await {
                Ok(moved) => return Ok(moved),
                Err(Failed::WrongBytes(trouble)) => {
                    readings += 1;
                    if readings >= READINGS {
                        return Err(trouble);
                    }
                    continue;
                }
                Err(Failed::Trouble(trouble)) => trouble,
            };
            if furthest > before {
                tries = Tries::default();
            }
            self.patience.wait(&trouble, &mut tries).await?;
        }
    }

    /// One try. `furthest` is where the last span ends that any try has sealed: the meter counts other files
    /// too, and what a try adds to it goes with the try.
    async fn once(&self, file: &Wanted, furthest: &mut u64) -> Result<Option<(Kept, How)>, Failed> {
        let mut progress = Progress::new(&self.meter);
        let state = match self.store.begin(file).await? {
            Begun::Busy => return Ok(None),
            Begun::Whole(kept) => {
                progress.done(file.size.0);
                return Ok(Some((kept, How::Found)));
            }
            Begun::Copied(kept) => {
                progress.done(file.size.0);
                return Ok(Some((kept, How::Copied)));
            }
            Begun::From(state) => state,
        };
        let mut digests = match &state {
            Some(state) => {
                Running::take_up(state).map_err(|error| Trouble::last(error.to_string()))?
            }
            None => fresh(file),
        };
        progress.add(digests.length());
        let mut reading = Reading::new(&self.meter);
        loop {
            let offset = digests.length();
            let span = Span {
                offset,
                length: self.span.min(file.size.0 - offset),
            };
            digests = self.span(file, span, digests, &mut reading).await?;
            reading.arrived();
            progress.add(span.length);
            if span.end() == file.size.0 {
                break;
            }
            if let Some(state) = digests.put_down() {
                self.store.seal(file, &state).await?;
                *furthest = span.end().max(*furthest);
            }
        }
        let digests = digests.finish();
        if let Err(wrong) = matches(file, &digests) {
            self.store.discard(file).await?;
            return Err(Failed::WrongBytes(wrong));
        }
        let kept = self.store.finish(file, &digests).await?;
        progress.done(file.size.0);
        Ok(Some((kept, How::Read)))
    }

    /// Move one span, and carry the digests past it.
    async fn span(
        &self,
        file: &Wanted,
        span: Span,
        before: Running,
        reading: &mut Reading<'_>,
    ) -> Result<Running, Failed> {
        let (sender, receiver) = mpsc::channel(IN_FLIGHT);
        let body: Body = ReceiverStream::new(receiver).boxed();
        let write = self.store.append(file, span, body);
        let read = self.read(file, span, before, reading, sender);
        let (written, read) = tokio::join!(write, read);
        // Where both failed, the reader knows why: a body that ended early is its doing.
        match (read, written) {
            (Err(Stopped::Reader(trouble)), _) | (_, Err(trouble)) => Err(trouble.into()),
            (Ok(after), Ok(())) => Ok(after),
            (Err(Stopped::Writer), Ok(())) => {
                let why = format!("{}: the store stopped reading before the end", file.path);
                Err(Trouble::passing(why).into())
            }
        }
    }

    /// Read a span, opened again wherever it breaks off, into the body and the digests.
    async fn read(
        &self,
        file: &Wanted,
        span: Span,
        digests: Running,
        reading: &mut Reading<'_>,
        body: mpsc::Sender<Result<Bytes, Trouble>>,
    ) -> Result<Running, Stopped> {
        let hasher = Hasher::start(digests);
        let mut done = 0;
        let mut tries = Tries::default();
        while done < span.length {
            let before = done;
            let ended = self
                .pump(file, span, &mut done, reading, &hasher, &body)
                .await;
            let trouble = match ended {
                Ok(()) => break,
                Err(Stopped::Writer) => return Err(Stopped::Writer),
                Err(Stopped::Reader(trouble)) => trouble,
            };
            reading.close();
            if done > before {
                tries = Tries::default();
            }
            if let Err(trouble) = self.patience.wait(&trouble, &mut tries).await {
                // The writer sees that the body is not whole.
                let _ = body.send(Err(trouble.clone())).await;
                return Err(Stopped::Reader(trouble));
            }
        }
        drop(body);
        Ok(hasher.finish().await)
    }

    /// Read on until the span is whole or the origin breaks off.
    async fn pump(
        &self,
        file: &Wanted,
        span: Span,
        done: &mut u64,
        reading: &mut Reading<'_>,
        hasher: &Hasher,
        body: &mpsc::Sender<Result<Bytes, Trouble>>,
    ) -> Result<(), Stopped> {
        if reading.body.is_none() {
            let opened = self.origin.open(file, span.offset + *done).await;
            reading.body = Some(opened.map_err(Stopped::Reader)?);
        }
        while let Some(chunk) = reading.next().await {
            let mut chunk = chunk.map_err(Stopped::Reader)?;
            let left = usize::try_from(span.length - *done).unwrap_or(usize::MAX);
            // What follows belongs to the next span.
            reading.over = chunk.split_off(left.min(chunk.len()));
            *done += chunk.len() as u64;
            reading.under_way.add(chunk.len() as u64);
            self.meter
                .read
                .fetch_add(chunk.len() as u64, Ordering::Relaxed);
            if let Some(throttle) = &self.throttle {
                throttle.take(chunk.len() as u64).await;
            }
            hasher.take(chunk.clone()).await;
            body.send(Ok(chunk)).await.map_err(|_| Stopped::Writer)?;
            if *done == span.length {
                return Ok(());
            }
        }
        let why = format!(
            "{}: the origin ended after {} of {} bytes",
            file.path,
            span.offset + *done,
            file.size.0
        );
        Err(Stopped::Reader(Trouble::passing(why)))
    }
}

/// A file that is being read: the next span goes on where the one before ended.
struct Reading<'a> {
    body: Option<Body>,
    /// What was read beyond the end of a span.
    over: Bytes,
    under_way: UnderWay<'a>,
}

impl<'a> Reading<'a> {
    fn new(meter: &'a Meter) -> Self {
        Self {
            body: None,
            over: Bytes::new(),
            under_way: UnderWay::new(meter),
        }
    }

    async fn next(&mut self) -> Option<Result<Bytes, Trouble>> {
        if !self.over.is_empty() {
            return Some(Ok(std::mem::take(&mut self.over)));
        }
        self.body.as_mut()?.next().await
    }

    /// It broke off: what comes next is asked for anew.
    fn close(&mut self) {
        self.body = None;
        self.over = Bytes::new();
    }

    /// What was on its way is there.
    fn arrived(&mut self) {
        self.under_way = UnderWay::new(self.under_way.meter);
    }
}

/// What an attempt at a file adds to the meter, and takes back when it fails.
struct Progress<'a> {
    meter: &'a Meter,
    added: u64,
    done: bool,
}

impl<'a> Progress<'a> {
    const fn new(meter: &'a Meter) -> Self {
        Self {
            meter,
            added: 0,
            done: false,
        }
    }

    fn add(&mut self, bytes: u64) {
        self.added += bytes;
        self.meter.there.fetch_add(bytes, Ordering::Relaxed);
    }

    /// All of the file is there.
    fn done(mut self, size: u64) {
        self.add(size - self.added);
        self.done = true;
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.meter.there.fetch_sub(self.added, Ordering::Relaxed);
        }
    }
}

/// Bytes of a span that are on their way, as long as they are.
struct UnderWay<'a> {
    meter: &'a Meter,
    bytes: AtomicU64,
}

impl<'a> UnderWay<'a> {
    const fn new(meter: &'a Meter) -> Self {
        Self {
            meter,
            bytes: AtomicU64::new(0),
        }
    }

    fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.meter.under_way.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        self.meter.under_way.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Digests on a thread of their own: the reader goes on meanwhile.
struct Hasher {
    sender: mpsc::Sender<Bytes>,
    thread: tokio::task::JoinHandle<Running>,
}

impl Hasher {
    fn start(mut digests: Running) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Bytes>(IN_FLIGHT);
        let thread = tokio::task::spawn_blocking(move || {
            // All that wait at once: to wake a thread for each costs more than to find them.
            let mut chunks = Vec::with_capacity(IN_FLIGHT);
            while receiver.blocking_recv_many(&mut chunks, IN_FLIGHT) > 0 {
                for chunk in chunks.drain(..) {
                    digests.update(&chunk);
                }
            }
            digests
        });
        Self { sender, thread }
    }

    async fn take(&self, chunk: Bytes) {
        // The thread ends only after the sender is gone.
        let _ = self.sender.send(chunk).await;
    }

    async fn finish(self) -> Running {
        drop(self.sender);
        self.thread.await.expect("the digests do not panic")
    }
}

/// Who stopped reading.
enum Stopped {
    /// The origin, for good.
    Reader(Trouble),
    /// The store took no more.
    Writer,
}

/// Why a file was not moved.
enum Failed {
    WrongBytes(Trouble),
    Trouble(Trouble),
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Digests that a file is compared by.
pub(crate) fn fresh(file: &Wanted) -> Running {
    match file.identity {
        Identity::Sha256(_) => Running::new(),
        Identity::Blob(_) => Running::of_blob(file.size.0),
    }
}

/// The bytes are those that the Hub lists.
pub(crate) fn matches(file: &Wanted, digests: &Digests) -> Result<(), Trouble> {
    let (stated, has) = match file.identity {
        Identity::Sha256(stated) if stated != digests.sha256 => {
            (format!("the SHA-256 {stated}"), digests.sha256.to_string())
        }
        Identity::Blob(stated) if Some(stated) != digests.blob => (
            format!("the Git object id {stated}"),
            digests
                .blob
                .map_or_else(String::new, |blob| blob.to_string()),
        ),
        _ => return Ok(()),
    };
    Err(Trouble::last(format!(
        "{}: the Hub says that it has {stated}, and the bytes it gave have {has}. Nothing of it was kept. Try \
         again later, or take another revision; if it stays so, tell the repository's owner",
        file.path
    )))
}
