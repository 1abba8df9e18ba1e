//! Data sources, a file each.

pub(crate) mod model;
pub(crate) mod shapes;
pub(crate) mod snapshot;
