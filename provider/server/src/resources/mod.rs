//! Resources, a folder each.

pub mod endpoint;
