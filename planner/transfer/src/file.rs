//! Move one file: read in order, digest on the way, keep in pieces, verify, join.
//!
//! ```text
//!   origin ──► chunks ──┬─► digests (a thread) ──────► the Hub's digest?
//!      ▲                └─► body of the next piece ──► the store's CRC32C?  ──► join ──► CRC32C?
//!      └── broken off: opened again where it was
//! ```
//!
//! A wrong byte never stays: what was written of a file whose digest is wrong is removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::digest::{Crc32c, Digests, Running};
use crate::pieces::{Cutting, Piece};
use crate::ports::{Body, Found, Identity, Kept, Kind, Origin, Part, Store, Trouble, Wanted};

/// Chunks between reader, digests and writer: with some 64 KiB each they are what a stream holds in
/// memory.
const IN_FLIGHT: usize = 8;

/// How often a step is tried without any progress.
const ATTEMPTS: u32 = 8;

/// How often a file is read anew whose bytes were wrong.
const READINGS: u32 = 2;

/// Waits between attempts.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The first wait; each that follows is twice as long.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_mins(1),
        }
    }
}

/// Bytes moved so far, of all files.
#[derive(Debug, Default)]
pub struct Meter {
    read: AtomicU64,
    written: AtomicU64,
}

impl Meter {
    /// Bytes read from the origin, some of them twice.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes kept and verified by the store.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

/// Moves files from one place to another.
#[derive(Clone)]
pub struct Mover {
    /// Where they come from.
    pub origin: Arc<dyn Origin>,
    /// Where they go.
    pub store: Arc<dyn Store>,
    /// Which files are cut.
    pub cutting: Cutting,
    /// How long it waits.
    pub patience: Patience,
    /// What it moved.
    pub meter: Arc<Meter>,
}

impl Mover {
    /// Move a file, or find that it is there.
    pub async fn file(&self, file: &Wanted) -> Result<Kept, Trouble> {
        let mut readings = 0;
        let mut attempt = 0;
        loop {
            let before = self.meter.written();
            let trouble = match self.once(file).await {
                Ok(kept) => return Ok(kept),
                Err(Failed::WrongBytes(trouble)) => {
                    readings += 1;
                    if readings >= READINGS {
                        return Err(trouble);
                    }
                    continue;
                }
                Err(Failed::Trouble(trouble)) => trouble,
            };
            if self.meter.written() > before {
                attempt = 0;
            }
            attempt += 1;
            self.wait(&trouble, attempt).await?;
        }
    }

    /// Wait before the next attempt, or give up.
    async fn wait(&self, trouble: &Trouble, attempt: u32) -> Result<(), Trouble> {
        let said = match trouble.kind {
            Kind::Final => return Err(trouble.clone()),
            Kind::Passing(said) => said,
        };
        if attempt >= ATTEMPTS {
            return Err(Trouble::last(format!(
                "{}; tried {ATTEMPTS} times",
                trouble.message
            )));
        }
        let doubled = self.patience.first * 2_u32.saturating_pow(attempt.saturating_sub(1));
        tokio::time::sleep(said.unwrap_or(doubled).min(self.patience.longest)).await;
        Ok(())
    }

    async fn once(&self, file: &Wanted) -> Result<Kept, Failed> {
        let cut = self.cutting.of(file.size.0);
        let (sealed, loose) = match self.store.find(file).await? {
            Found::Whole(kept) => return Ok(kept),
            Found::Pieces { sealed, loose } => (sealed, loose),
        };
        for piece in &loose {
            self.store.remove(piece).await?;
        }
        let mut digests = match sealed.last() {
            Some((_, state)) => {
                Running::take_up(state).map_err(|error| Trouble::last(error.to_string()))?
            }
            None => fresh(file),
        };
        let mut kept: Vec<Kept> = sealed.into_iter().map(|(kept, _)| kept).collect();
        let all: Vec<Piece> = cut.pieces().collect();
        for piece in all.into_iter().skip(kept.len()) {
            let part = if cut.is_whole() {
                Part::Whole
            } else {
                Part::Piece(piece)
            };
            let (written, after) = self.part(file, part, piece, digests).await?;
            self.meter
                .written
                .fetch_add(piece.length, Ordering::Relaxed);
            if let (Part::Piece(_), Some(state)) = (part, after.put_down()) {
                self.store.seal(file, &written, &state).await?;
            }
            digests = after;
            kept.push(written);
        }
        let digests = digests.finish();
        if let Err(wrong) = matches(file, &digests) {
            for kept in &kept {
                self.store.remove(kept).await?;
            }
            return Err(Failed::WrongBytes(wrong));
        }
        let whole = self.store.join(file, &kept).await?;
        if whole.crc32c != digests.crc32c {
            self.store.remove(&whole).await?;
            return Err(Trouble::passing(format!(
                "{}: the joined pieces have another CRC32C than the file",
                file.path
            ))
            .into());
        }
        for part in kept.iter().filter(|part| part.name != whole.name) {
            self.store.remove(part).await?;
        }
        Ok(whole)
    }

    /// Write one piece, and carry the digests past it.
    async fn part(
        &self,
        file: &Wanted,
        part: Part,
        piece: Piece,
        before: Running,
    ) -> Result<(Kept, Running), Failed> {
        let (sender, receiver) = mpsc::channel(IN_FLIGHT);
        let body: Body = ReceiverStream::new(receiver).boxed();
        let write = self.store.write(file, part, body);
        let read = self.read(file, piece, before, sender);
        let (written, read) = tokio::join!(write, read);
        // Where both failed, the reader knows why: a body that ended early is its doing.
        let read = match (read, &written) {
            (Err(Stopped::Reader(trouble)), _) => return Err(trouble.into()),
            (Err(Stopped::Writer), Ok(_)) => None,
            (Err(Stopped::Writer), Err(trouble)) => return Err(trouble.clone().into()),
            (Ok(read), _) => Some(read),
        };
        let written = written?;
        let Some((after, crc32c)) = read else {
            self.store.remove(&written).await?;
            let why = format!("{}: the store stopped reading before the end", file.path);
            return Err(Trouble::passing(why).into());
        };
        if written.crc32c != crc32c || written.length != piece.length {
            self.store.remove(&written).await?;
            let why = format!(
                "{}: the store kept other bytes than it was given (CRC32C {:08x}, given {crc32c:08x})",
                file.path,
                written.crc32c.0,
                crc32c = crc32c.0,
            );
            return Err(Trouble::passing(why).into());
        }
        Ok((written, after))
    }

    /// Read a piece, opened again wherever it breaks off, into the body and the digests.
    async fn read(
        &self,
        file: &Wanted,
        piece: Piece,
        digests: Running,
        body: mpsc::Sender<Result<Bytes, Trouble>>,
    ) -> Result<(Running, Crc32c), Stopped> {
        let hasher = Hasher::start(digests);
        let mut done = 0;
        let mut attempt = 0;
        while done < piece.length {
            let before = done;
            let ended = self.pump(file, piece, &mut done, &hasher, &body).await;
            let trouble = match ended {
                Ok(()) => break,
                Err(Stopped::Writer) => return Err(Stopped::Writer),
                Err(Stopped::Reader(trouble)) => trouble,
            };
            if done > before {
                attempt = 0;
            }
            attempt += 1;
            if let Err(trouble) = self.wait(&trouble, attempt).await {
                // The writer sees that the body is not whole.
                let _ = body.send(Err(trouble.clone())).await;
                return Err(Stopped::Reader(trouble));
            }
        }
        drop(body);
        Ok(hasher.finish().await)
    }

    /// Read on until the piece is whole or the origin breaks off.
    async fn pump(
        &self,
        file: &Wanted,
        piece: Piece,
        done: &mut u64,
        hasher: &Hasher,
        body: &mpsc::Sender<Result<Bytes, Trouble>>,
    ) -> Result<(), Stopped> {
        let opened = self.origin.open(file, piece.offset + *done).await;
        let mut chunks = opened.map_err(Stopped::Reader)?;
        while let Some(chunk) = chunks.next().await {
            let mut chunk = chunk.map_err(Stopped::Reader)?;
            let left = piece.length - *done;
            // What follows belongs to the next piece.
            chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            *done += chunk.len() as u64;
            self.meter
                .read
                .fetch_add(chunk.len() as u64, Ordering::Relaxed);
            hasher.take(chunk.clone()).await;
            body.send(Ok(chunk)).await.map_err(|_| Stopped::Writer)?;
            if *done == piece.length {
                return Ok(());
            }
        }
        let why = format!(
            "{}: the origin ended after {} of {} bytes",
            file.path,
            piece.offset + *done,
            file.size.0
        );
        Err(Stopped::Reader(Trouble::passing(why)))
    }
}

/// Digests on a thread of their own: the reader goes on meanwhile.
struct Hasher {
    sender: mpsc::Sender<Bytes>,
    thread: tokio::task::JoinHandle<(Running, Crc32c)>,
}

impl Hasher {
    fn start(mut whole: Running) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Bytes>(IN_FLIGHT);
        let thread = tokio::task::spawn_blocking(move || {
            let before = whole.length();
            let start = whole.crc32c();
            while let Some(chunk) = receiver.blocking_recv() {
                whole.update(&chunk);
            }
            // The piece's own checksum, out of that of the file before and after it.
            let own = whole.crc32c().without(start, whole.length() - before);
            (whole, own)
        });
        Self { sender, thread }
    }

    async fn take(&self, chunk: Bytes) {
        // The thread ends only after the sender is gone.
        let _ = self.sender.send(chunk).await;
    }

    async fn finish(self) -> (Running, Crc32c) {
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

fn fresh(file: &Wanted) -> Running {
    match file.identity {
        Identity::Sha256(_) => Running::new(),
        Identity::Blob(_) => Running::of_blob(file.size.0),
    }
}

fn matches(file: &Wanted, digests: &Digests) -> Result<(), Trouble> {
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
        "{}: the Hub says that it has {stated}, and the bytes it gave have {has}. Nothing of it was kept; try \
         again later, or another revision",
        file.path
    )))
}
