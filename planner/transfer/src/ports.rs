//! What the engine asks of where bytes come from and of where they go; it knows neither vendor.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openmodel_schemas::quantity::Bytes as Size;
use serde::{Deserialize, Serialize};

use crate::digest::{Crc32c, Digest, Digests, Midstate};

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

/// `sha256:HEX` or `git:HEX`, as manifests and notes write it.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => write!(f, "sha256:{digest}"),
            Self::Blob(digest) => write!(f, "git:{digest}"),
        }
    }
}

/// Where bytes are read from.
pub trait Origin: Send + Sync {
    /// The bytes of a file from an offset to its end.
    fn open<'a>(&'a self, file: &'a Wanted, offset: u64) -> BoxFuture<'a, Result<Body, Trouble>>;
}

/// Where bytes are kept. Nothing that is there is ever written over, and nothing is readable under a
/// file's name before all of it is verified.
///
/// ```text
///   begin ─► Whole | Busy | From(state) ─► append ─► seal ─► append ─► … ─► finish
///                                             └─ wrong bytes: discard     └─ given up: release
/// ```
pub trait Store: Send + Sync {
    /// What lies there of a file. Where that is not all of it, the file is this run's until it is
    /// finished, discarded or released.
    fn begin<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<Begun, Trouble>>;

    /// Keep the next bytes of a file: those that follow what is sealed or was appended.
    fn append<'a>(
        &'a self,
        file: &'a Wanted,
        span: Span,
        body: Body,
    ) -> BoxFuture<'a, Result<(), Trouble>>;

    /// Note the digests' state after what was appended: a later run goes on from there.
    fn seal<'a>(
        &'a self,
        file: &'a Wanted,
        after: &'a Midstate,
    ) -> BoxFuture<'a, Result<(), Trouble>>;

    /// Make the file readable under its name: its bytes are right. A store whose bytes have another
    /// CRC32C keeps nothing.
    fn finish<'a>(
        &'a self,
        file: &'a Wanted,
        digests: &'a Digests,
    ) -> BoxFuture<'a, Result<Kept, Trouble>>;

    /// Drop what was appended: its bytes are wrong.
    fn discard<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<(), Trouble>>;

    /// Keep what is sealed, and let any run go on with it at once.
    fn release<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<(), Trouble>>;
}

/// Some bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub offset: u64,
    /// How many.
    pub length: u64,
}

impl Span {
    /// One past the last.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.offset + self.length
    }
}

/// A file that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which content of its name: Cloud Storage's generation; 0 in a folder.
    pub generation: i64,
    /// What the store computed of its bytes.
    pub crc32c: Crc32c,
}

/// What lies in a store of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// All of it, verified by who wrote it.
    Whole(Kept),
    /// All of it now: the store had the same bytes elsewhere.
    Copied(Kept),
    /// What is sealed; nothing of it otherwise.
    From(Option<Midstate>),
    /// Another run moves it now.
    Busy,
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
    /// It is refused, and may not be the next time: tried again a few times, then final.
    Doubtful,
    /// It may pass, and was tried as often as a file is.
    Spent,
    /// Trying again changes nothing.
    Final,
    /// The bucket may not be read or written, for want of rights, quota or a bill that is paid, and trying again
    /// changes nothing.
    Denied,
    /// The bucket is not there, and trying again changes nothing.
    NoBucket,
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

    /// Whether trying again changes nothing.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        matches!(self.kind, Kind::Final | Kind::Denied | Kind::NoBucket)
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
