//! What endpoints cost together: sums in decimals, unknown kept unknown.

use openmodel_schemas::quantity::Usd;
use openmodel_schemas::report::{Cost, Placement};

/// The sum over several placements. A sum with an unknown part is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// 730 hours at the smallest number of replicas.
    pub monthly_min: Option<Usd>,
    /// 730 hours at the largest number of replicas.
    pub monthly_max: Option<Usd>,
}

/// Add up what placements cost.
#[must_use]
pub fn estimate(placements: &[Placement]) -> Estimate {
    let sum = |part: fn(&Cost) -> Option<Usd>| {
        placements
            .iter()
            .map(|placement| part(&placement.cost))
            .try_fold(Usd::default(), |sum, part| {
                part.and_then(|part| sum.0.checked_add(part.0)).map(Usd)
            })
    };
    Estimate {
        monthly_min: sum(|cost| cost.monthly_min),
        monthly_max: sum(|cost| cost.monthly_max),
    }
}
