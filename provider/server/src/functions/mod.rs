//! Functions, a file each. They run without a configured provider: prices are those of the
//! catalog that ships in the binary.

pub(crate) mod memory_estimate;
pub(crate) mod monthly_cost;
mod options;
pub(crate) mod parse_model_id;
pub(crate) mod parse_shape;
