//! Data sources, a file each.

pub mod model;
