//! `openmodel evaluate`: our estimates beside measured rows, one JSON line a row.

mod context;
pub mod memory;
mod rows;
pub mod shapes;
pub mod throughput;
