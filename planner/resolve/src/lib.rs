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
//! | [`joint`] | which machines hold several models together at the lowest price |
//! | `estimate` | what it costs |
//! | `serving`, [`lowering`] | what is run, and the operations that bring it about |

mod advice;
mod architecture;
pub mod catalog;
mod error;
mod estimate;
mod footprint;
mod guard;
pub mod joint;
pub mod lowering;
mod placement;
mod serving;
mod survey;
#[cfg(test)]
mod testing;
mod weights;

use std::collections::BTreeMap;

use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::{CommitSha, ModelId};
use openmodel_schemas::report::Placement;
use openmodel_schemas::spec::EndpointSpec;

pub use crate::catalog::{Catalog, CatalogError};
pub use crate::error::{Field, ResolveError};
pub use crate::estimate::{Estimate, estimate};
pub use crate::lowering::{Change, ManagedToken, lower, lower_delete};
pub use crate::placement::place;
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
            Some(card) => place(spec, card, catalog),
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
