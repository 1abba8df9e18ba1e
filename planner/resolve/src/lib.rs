//! Decides where an open model runs, what it needs and what it costs.
//!
//! ```text
//!   EndpointSpec + ModelCard + Catalog ──► place ──► Placement ──► lower ──► ExecutionGraph
//! ```
//!
//! Pure functions: time, prices, environment and randomness come in as arguments, and nothing
//! is read or written. After this crate no meaningful choice is left.
//!
//! | module | says |
//! |---|---|
//! | [`catalog`] | what is sold where, at which price |
//! | `architecture`, `weights`, `footprint` | what a model needs |
//! | `survey`, `placement`, `advice` | which shape holds it, and what would help if none does |
//! | `estimate` | what it costs |
//! | `serving`, [`lowering`] | what is run, and the operations that bring it about |

mod architecture;
mod cache;
mod engines;
mod error;
mod footprint;
mod format;
pub mod memory;
mod parallel;
mod weights;

pub use crate::error::{Field, ResolveError};
pub use crate::weights::{DtypeWeights, weights_by_dtype};
