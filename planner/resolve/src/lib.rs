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
//! | `start`, `loader`, `needed` | how long it takes to begin, how a snapshot is loaded, which of its files |
//! | `facts` | whether facts stated by hand belong together |
//! | `need`, `fit`, `survey`, `reason` | which shapes hold it, and why not the others |
//! | [`ranking`], `placement`, `behind`, `advice` | the choice, why not the next, and what would help if there is none |
//! | [`gates`] | whether a repository's files may be moved and served: licence, formats, scans, signature |
//! | [`caching`] | what a cache of a repository costs, and how fast its files load |
//! | [`joint`], [`pool`] | the cheapest pool for several models: the search, and the question around it |
//! | `serving`, [`lowering`] | what is run, and the operations that bring it about |

mod adapters;
mod advice;
mod architecture;
mod behind;
mod cache;
pub mod caching;
mod drafting;
mod engines;
mod error;
mod estimate;
mod facts;
mod fit;
mod footprint;
mod format;
pub mod gates;
mod gguf;
pub mod joint;
#[cfg(test)]
mod kinds;
mod loader;
pub mod lowering;
pub mod market;
pub mod memory;
mod need;
mod needed;
pub mod pace;
mod parallel;
mod placement;
pub mod pool;
pub mod ranking;
mod reason;
mod serving;
mod show;
mod start;
mod survey;
mod task;
#[cfg(test)]
mod testing;
mod throughput;
mod weights;

use std::collections::BTreeMap;

use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::{CommitSha, ModelId};
use openmodel_schemas::report::Placement;
use openmodel_schemas::spec::EndpointSpec;

pub use crate::error::{Field, ResolveError};
pub use crate::estimate::{Estimate, estimate};
pub use crate::facts::{FactError, check_facts};
pub use crate::lowering::{Change, ManagedToken, lower, lower_delete};
pub use crate::market::{Catalog, CatalogError};
pub use crate::needed::loaded_files;
pub use crate::placement::place;
pub use crate::task::generates;
pub use crate::weights::{DtypeWeights, weights_by_dtype};

/// What is known of the world.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Model cards, by the model and commit that the specs name.
    pub cards: BTreeMap<(ModelId, CommitSha), ModelCard>,
}

/// All decisions about a list of endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolution {
    /// One for each spec, in their order.
    pub placements: Vec<Placement>,
    /// What they cost together.
    pub estimate: Estimate,
}

/// Decide on all endpoints, or say everything that is wrong with them.
pub fn resolve(
    specs: &[EndpointSpec],
    observed: &Observed,
    catalog: &Catalog,
) -> Result<Resolution, Vec<ResolveError>> {
    let mut placements = Vec::with_capacity(specs.len());
    let mut errors = Vec::new();
    for spec in specs {
        let key = (spec.model.clone(), spec.commit.clone());
        let placed = match observed.cards.get(&key) {
            Some(card) => {
                let named = spec.workload.draft_model.as_ref();
                let key = named.map(|draft| (draft.model.clone(), draft.commit.clone()));
                let draft = key.and_then(|key| observed.cards.get(&key));
                place(spec, card, draft, catalog)
            }
            None => Err(not_observed(spec)),
        };
        match placed {
            Ok(placement) => placements.push(placement),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(Resolution {
            estimate: estimate(&placements),
            placements,
        })
    } else {
        Err(errors)
    }
}

fn not_observed(spec: &EndpointSpec) -> ResolveError {
    ResolveError {
        endpoint: spec.name.clone(),
        field: Field::Model,
        code: "unknown_model",
        summary: "Facts of the model are missing",
        detail: format!(
            "{} at commit {} was not read from the Hub. Read its card first.",
            spec.model, spec.commit
        ),
    }
}
