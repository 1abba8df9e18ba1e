//! Terraform values: what crosses the wire, what lies in state, and what a model struct holds.
//!
//! ```text
//!   MessagePack ─┐                         ┌─ model struct, each field a Value<T>
//!                ├─ (Type) ─► Dynamic ◄────┤
//!   JSON state ──┘                         └─ check, plan pipeline
//! ```
//!
//! [`Dynamic`] is the one representation that every part of the crate shares: it can be null or
//! unknown at any depth, and compares as Terraform compares. A [`Type`] drives both codecs,
//! because the wire does not say by itself whether an array is a list, a set or a tuple.

mod conform;
mod convert;
mod dynamic;
mod json;
mod msgpack;
mod number;
mod order;
mod path;
mod refinement;
mod typed;
mod types;

pub use convert::{ConvertError, from_dynamic, to_dynamic};
pub use dynamic::Dynamic;
pub use json::{decode_json, encode_json};
pub use msgpack::{decode_msgpack, encode_msgpack};
pub use number::{Number, NumberError};
pub(crate) use order::normalize_set;
pub use path::{Path, Step};
pub use refinement::{Bound, Refinement};
pub use typed::Value;
pub use types::{Type, TypeError};

/// Why bytes could not be read as a value of a type, or a value not written.
///
/// Never carries the offending value, only its kind: values may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", path.as_prefix())]
pub struct CodecError {
    /// Where in the value.
    pub path: Path,
    /// What was required and what was found.
    pub message: String,
}

impl CodecError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            path: Path::root(),
            message: message.into(),
        }
    }

    /// The same error one level further out: errors are made at the leaf and gain their path
    /// on the way up, so that the path costs nothing while all is well.
    pub(crate) fn under(mut self, step: Step) -> Self {
        self.path.prepend(step);
        self
    }
}
