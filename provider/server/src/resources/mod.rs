//! Resources, a folder each.

pub(crate) mod cache;
pub(crate) mod endpoint;
