//! A user's own terms beside the list prices of the catalog: negotiated discounts, capacity that is
//! paid for already, committed spending that is not used up.
//!
//! ```text
//!   list price × replicas ─► paid capacity ─► committed spending ─► discount ─► what is added to the bill
//!        gross                 costs 0           costs 0             percent         marginal
//! ```

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::catalog::PurchaseOption;
#[cfg(test)]
use crate::catalog::{RegionText, UsdText};
#[cfg(test)]
use crate::fresh::SurfaceWord;
use crate::name::Region;
use crate::spec::Surface;

/// The JSON Schema of a discount file.
pub const DISCOUNTS_SCHEMA: &str = include_str!("../json/discounts.schema.json");

/// A discount file as it is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DiscountDocument {
    /// Where the schema of this document lies.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Version of this format; 1.
    #[cfg_attr(test, schemars(range(min = 1, max = 1)))]
    pub version: u32,
    /// Percentages off the list price. Where several match, the largest holds; they do not add up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<Discount>,
    /// Machines that are paid for whether used or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paid: Vec<PaidCapacity>,
    /// Committed spending that other usage leaves over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub committed_spending: Vec<CommittedSpending>,
}

/// A percentage off the list price. An empty list of anything means all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Discount {
    /// What the plan calls it: a contract's number, for example.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub name: String,
    /// Percent off, as decimal text: above 0, at most 100.
    #[cfg_attr(test, schemars(with = "UsdText"))]
    pub percent: Decimal,
    /// Surfaces it holds on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(with = "Vec<SurfaceWord>"))]
    pub surfaces: Vec<Surface>,
    /// Accelerators, by any of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accelerators: Vec<String>,
    /// Regions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(with = "Vec<RegionText>"))]
    pub regions: Vec<Region>,
    /// Ways to buy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<PurchaseOption>,
}

/// Machines of Compute Engine that are paid for whether used or not; Compute Engine and GKE use
/// them, bought on demand. Vertex AI adds a fee of its own to reserved machines that no list names,
/// so nothing is taken off there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PaidCapacity {
    /// The reservation's or the commitment's name.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub name: String,
    /// How it is paid.
    pub kind: PaidKind,
    /// The shape: `a3-highgpu-8g`, `ct6e-standard-4t/2x4`, or what else `parse_shape` reads and means one.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub shape: String,
    /// Where; a reservation's zone lies in it.
    #[cfg_attr(test, schemars(with = "RegionText"))]
    pub region: Region,
    /// How many of the shape nothing else uses.
    pub free: u32,
}

/// How capacity is paid for beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PaidKind {
    /// A reservation of machines.
    Reservation,
    /// A resource-based committed use discount.
    Commitment,
}

impl PaidKind {
    /// In a sentence.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reservation => "reservation",
            Self::Commitment => "commitment",
        }
    }
}

/// A spend-based committed use discount: so many dollars an hour are paid whether used or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CommittedSpending {
    /// The commitment's name.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub name: String,
    /// US dollars of an hour that are committed and not used up, as decimal text.
    #[cfg_attr(test, schemars(with = "UsdText"))]
    pub unused_hourly: Decimal,
    /// Percent that committed usage costs less than on demand, as decimal text: from 0 to below
    /// 100. An unused dollar covers `1 / (1 - percent / 100)` dollars of list price.
    #[cfg_attr(test, schemars(with = "UsdText"))]
    pub percent: Decimal,
    /// Surfaces it covers; at least one.
    #[cfg_attr(test, schemars(with = "Vec<SurfaceWord>", length(min = 1)))]
    pub surfaces: Vec<Surface>,
    /// Regions it covers; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(with = "Vec<RegionText>"))]
    pub regions: Vec<Region>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::check;

    #[test]
    fn the_checked_in_schema_is_the_one_these_types_generate() {
        check(
            &schemars::schema_for!(DiscountDocument),
            "discounts.schema.json",
            DISCOUNTS_SCHEMA,
        );
    }
}
