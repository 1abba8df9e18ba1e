//! Functions, a file each.

pub(crate) mod parse_model_id;
