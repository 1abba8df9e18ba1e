//! `openmodel evaluate`: our estimates beside measured rows, one JSON line a row.

mod context;
mod hardware;
pub mod memory;
mod models;
mod names;
mod rows;
pub mod shapes;
pub mod throughput;

pub use self::models::Models;
pub use self::rows::RowsFile;

/// What is printed beside the answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Show {
    /// A line of error statistics at the end.
    pub summary: bool,
    /// More fields in each line: how the figures were made.
    pub detail: bool,
}
