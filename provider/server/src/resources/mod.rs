//! Resources, a folder each.

pub(crate) mod endpoint;
