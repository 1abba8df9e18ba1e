//! Decides where an open model runs, what it needs and what it costs.
//!
//! ```text
//!   ModelCard + load ──► need ──► fit (devices) ──► survey (market) ──► ranking, Placement
//!                                    │                                        │
//!                          footprint, pace                        lower ──► ExecutionGraph
//! ```
//!
//! Pure functions: time, prices, environment and randomness come in as arguments, and nothing
//! is read or written. After this crate no meaningful choice is left.
//!
//! | module | says |
//! |---|---|
//! | [`market`] | what is sold where, at which price |
//! | `architecture`, `format`, `weights`, `cache`, `parallel`, `footprint`, [`memory`] | what a model needs |
//! | `throughput`, `pace` | how fast it is |
//! | `need`, `fit`, `survey`, `reason` | which shapes hold it, and why not the others |
//! | [`ranking`], `placement`, `advice` | the choice, and what would help if there is none |
//! | [`joint`] | the cheapest pool for several models |
//! | `serving`, [`lowering`] | what is run, and the operations that bring it about |

mod architecture;
mod cache;
mod engines;
mod error;
mod fit;
mod footprint;
mod format;
pub mod market;
pub mod memory;
mod need;
mod pace;
mod parallel;
mod reason;
mod survey;
mod weights;

pub use crate::error::{Field, ResolveError};
pub use crate::weights::{DtypeWeights, weights_by_dtype};
