//! Place several models in one region together: the cheapest machines, and who sits where.
//!
//! ```text
//!   sales there ─► machines, kinds ─┐
//!                                   ├─► joint::pool ─► Mix ─► PoolReport
//!   models ─► needs ─► ways ────────┘
//!                        └─► Rejection (kept, shown)
//! ```
//!
//! A **kind** is what a replica can be placed on: a GPU, of which it takes 1, 2, 4, 8 or 16 alone
//! or a share of one's memory; a part of a GPU; all chips of a TPU host, which GKE and libtpu give
//! to one process. A **way** is a kind with how much of it.
//!
//! **Shares** are of memory only: vLLM keeps to its `--gpu-memory-utilization`, whoever runs beside
//! it. How fast it is there is not known, so a model with goals of speed is alone on its
//! accelerators. The shares of one leave free together what an engine alone leaves free.

mod report;
mod stock;
#[cfg(test)]
mod tests;
mod ways;

use openmodel_schemas::catalog::PurchaseOption;
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::Region;
use openmodel_schemas::report::PoolReport;
use openmodel_schemas::spec::Surface;

use self::report::report;
use self::stock::Stock;
use self::ways::Candidate;
use crate::error::Fault;
use crate::joint::{self, JointError, Limits};
use crate::market::Catalog;
use crate::memory::MemoryError;
use crate::ranking::Question;

/// Where a pool is bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Compute Engine or GKE: the surfaces whose machines hold what one likes.
    pub surface: Surface,
    /// The region.
    pub region: Region,
    /// The way all machines are bought.
    pub option: PurchaseOption,
}

/// Why there is no pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Something is wrong with what is asked of a model.
    #[error("{model}: {error}")]
    Model {
        /// The model.
        model: String,
        /// What is wrong.
        error: MemoryError,
    },
    /// The surface does not let models share its machines.
    #[error("{} has no machines that models can share; compute and gke have", .0.as_str())]
    Surface(Surface),
    /// There is nothing to choose from.
    #[error(
        "nothing is sold on {} in {} {} at a known price",
        .0.surface.as_str(), .0.region, crate::show::option(.0.option)
    )]
    NothingSold(Place),
    /// The models do not fit, or the search did not end.
    #[error(transparent)]
    Joint(#[from] JointError),
}

/// The cheapest machines of a place that hold so many replicas of each model.
///
/// Of a question, the load, accelerators, formats, engine, cache and licences count; the place, the
/// number of replicas and the objective (cost) are the pool's. The order of the models changes
/// nothing.
pub fn pool(
    models: &[(&ModelCard, Question, u32)],
    place: &Place,
    catalog: &Catalog,
) -> Result<PoolReport, PoolError> {
    if !matches!(place.surface, Surface::Compute | Surface::Gke) {
        return Err(PoolError::Surface(place.surface));
    }
    let stock = Stock::of(place, catalog);
    if stock.sales.is_empty() {
        return Err(PoolError::NothingSold(place.clone()));
    }
    let mut candidates = models
        .iter()
        .map(|(card, question, replicas)| {
            Candidate::of(card, question, *replicas, place, &stock, catalog)
                .map_err(|fault| refused(card, fault))
        })
        .collect::<Result<Vec<_>, _>>()?;
    candidates.sort_by(|a, b| a.card.id.cmp(&b.card.id));
    let tenants: Vec<_> = candidates.iter().map(Candidate::tenant).collect();
    let mix = joint::pool(&tenants, &stock.machines(), Limits::default())?;
    Ok(report(&mix, &candidates, &stock, place, catalog))
}

fn refused(card: &ModelCard, fault: Fault) -> PoolError {
    PoolError::Model {
        model: card.id.to_string(),
        error: fault.into(),
    }
}
