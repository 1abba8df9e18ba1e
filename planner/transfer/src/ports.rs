//! What the engine asks of where bytes come from and of where they go; it knows neither vendor.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openmodel_schemas::quantity::Bytes as Size;
use serde::{Deserialize, Serialize};

use crate::digest::{Crc32c, Digest, Midstate};
use crate::pieces::Piece;

/// Bytes on their way, in order; a trouble ends them.
pub type Body = BoxStream<'static, Result<Bytes, Trouble>>;

/// A file that is wanted, as the Hub describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Path inside the repository.
    pub path: String,
    /// Size in bytes.
    pub size: Size,
    /// What its content must be.
    pub identity: Identity,
}

/// What the Hub says the content of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// SHA-256 of a file in large-file storage.
    Sha256(Digest<32>),
    /// Git's object id of a file in the repository itself.
    Blob(Digest<20>),
}

/// Where bytes are read from.
pub trait Origin: Send + Sync {
    /// The bytes of a file from an offset to its end.
    fn open<'a>(&'a self, file: &'a Wanted, offset: u64) -> BoxFuture<'a, Result<Body, Trouble>>;
}

/// Where bytes are kept. Nothing that is there is ever written over.
pub trait Store: Send + Sync {
    /// What lies there of a file.
    fn find<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<Found, Trouble>>;

    /// Keep the whole of a small file, or a piece of a large one. A body that ends early leaves
    /// nothing.
    fn write<'a>(
        &'a self,
        file: &'a Wanted,
        part: Part,
        body: Body,
    ) -> BoxFuture<'a, Result<Kept, Trouble>>;

    /// Write the digests' state after a piece beside it: it is verified, and needs not be read again.
    fn seal<'a>(
        &'a self,
        file: &'a Wanted,
        piece: &'a Kept,
        after: &'a Midstate,
    ) -> BoxFuture<'a, Result<(), Trouble>>;

    /// Make one object of all that was written of a file, in its order, under the file's own name; its
    /// parts may go on to exist.
    fn join<'a>(
        &'a self,
        file: &'a Wanted,
        pieces: &'a [Kept],
    ) -> BoxFuture<'a, Result<Kept, Trouble>>;

    /// Drop what was written, if it is still that.
    fn remove<'a>(&'a self, kept: &'a Kept) -> BoxFuture<'a, Result<(), Trouble>>;
}

/// What is written at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of a file.
    Whole,
    /// One of several pieces.
    Piece(Piece),
}

/// Something that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its name in the store.
    pub name: String,
    /// Which content of that name: Cloud Storage's generation.
    pub generation: i64,
    /// Bytes.
    pub length: u64,
    /// What the store computed of its bytes.
    pub crc32c: Crc32c,
}

/// What lies in a store of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// All of it, verified by who wrote it: its identity stands beside it.
    Whole(Kept),
    /// Some of its pieces.
    Pieces {
        /// The first, without a gap, each with the digests' state after it.
        sealed: Vec<(Kept, Midstate)>,
        /// Others, of which nobody knows whether they are right.
        loose: Vec<Kept>,
    },
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What may be done about it.
    pub kind: Kind,
    /// A sentence: who, what, and the next move.
    pub message: String,
}

/// What may be done about a trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It may pass: try again, after so long where the other side says so.
    Passing(Option<Duration>),
    /// Trying again changes nothing.
    Final,
}

impl Trouble {
    /// It may pass.
    #[must_use]
    pub fn passing(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Passing(None),
            message: message.into(),
        }
    }

    /// It will not pass.
    #[must_use]
    pub fn last(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Final,
            message: message.into(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Trouble {}
