//! Under construction.

pub mod check;
mod diagnostics;
pub mod framework;
pub mod prelude;
pub mod schema;
pub mod serve;
pub mod value;
pub mod wire;

pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use framework::testing;
pub use serve::log;
