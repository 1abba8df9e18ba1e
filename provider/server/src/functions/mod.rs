//! Functions, a file each.

pub mod parse_model_id;
