//! What holds for every value, type, schema, plan and state: proptest draws them.

mod arbitrary;
mod checks;
mod values;
