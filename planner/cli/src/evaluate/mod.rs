//! `openmodel evaluate`: our estimates beside measured rows, one JSON line a row.

pub mod memory;
mod rows;
