//! A user's own terms: what replicas add to the bill, beside what they cost by the list.
//!
//! ```text
//!   replicas × list price
//!     ─ machines that are paid for already       (on demand on Compute Engine and GKE)
//!     ─ list price that committed spending covers    (on demand)
//!     ─ the largest percentage that matches, of what is left
//!     = added to the bill
//! ```
//!
//! The file says what nothing else uses: two endpoints that are planned beside each other each count
//! on all of it.

use std::sync::LazyLock;

use jsonschema::Validator;
use openmodel_schemas::catalog::{PurchaseOption, ShapeRow};
use openmodel_schemas::discounts::{DISCOUNTS_SCHEMA, DiscountDocument};
use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::UsdPerHour;
use openmodel_schemas::report::CostLine;
use openmodel_schemas::spec::Surface;
use rust_decimal::Decimal;

use super::load::{compiled, document};
use super::{Catalog, CatalogError, Sale};
use crate::reason::list;

/// What errors call the document.
const FILE: &str = "discount file";

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| compiled(DISCOUNTS_SCHEMA));

const NO_SUCH_REGION: &str = "the catalog sells nothing in a region of this name";

/// Surfaces that use machines of Compute Engine as they are paid for there.
const MACHINES: [Surface; 2] = [Surface::Compute, Surface::Gke];

impl Catalog {
    /// The same catalog with a user's terms, read and checked: names of the catalog, percentages
    /// that leave a price.
    pub fn with_discounts(mut self, bytes: &[u8]) -> Result<Self, CatalogError> {
        let mut terms: DiscountDocument = document(FILE, bytes, &SCHEMA)?;
        self.check(&mut terms)?;
        self.discounts = Some(terms);
        Ok(self)
    }

    /// Whether a user's terms are known.
    #[must_use]
    pub const fn has_discounts(&self) -> bool {
        self.discounts.is_some()
    }

    /// What an hour of so many replicas adds to the bill, each costing `hourly` by the list; `None`
    /// without a discount file.
    pub(crate) fn added(
        &self,
        sale: &Sale,
        hourly: UsdPerHour,
        replicas: u32,
    ) -> Option<UsdPerHour> {
        self.discounts
            .as_ref()
            .map(|terms| reduce(terms, sale, hourly, replicas, |_| {}))
    }

    /// What each term takes off an hour of so many replicas; empty where none matches.
    pub(crate) fn taken_off(
        &self,
        sale: &Sale,
        hourly: UsdPerHour,
        replicas: u32,
    ) -> Vec<CostLine> {
        let mut lines = Vec::new();
        if let Some(terms) = &self.discounts {
            reduce(terms, sale, hourly, replicas, |line| {
                lines.push(line.shown());
            });
        }
        lines
    }

    /// What an hour of several machines adds to the bill, each so often and at so much by the list,
    /// and what each term takes off; `None` without a discount file. No committed dollar is spent
    /// twice.
    pub(crate) fn bill(
        &self,
        machines: &[(&Sale, UsdPerHour, u32)],
    ) -> Option<(UsdPerHour, Vec<CostLine>)> {
        let mut left = self.discounts.clone()?;
        let mut lines = Vec::new();
        let mut sum = UsdPerHour::default();
        for (sale, hourly, count) in machines {
            let mut spent = Vec::new();
            let rest = reduce(&left, sale, *hourly, *count, |line| {
                if let Term::Committed { index, dollars } = line.term {
                    spent.push((index, dollars));
                }
                lines.push(line.shown());
            });
            for (index, dollars) in spent {
                left.committed_spending[index].unused_hourly -= dollars;
            }
            sum.0 += rest.0;
        }
        Some((sum, lines))
    }

    /// Replace names by the catalog's own, and refuse those it has not.
    fn check(&self, terms: &mut DiscountDocument) -> Result<(), CatalogError> {
        let hundred = Decimal::ONE_HUNDRED;
        let refuse = |row: String, field: &str, value: String, problem: String| CatalogError {
            document: FILE,
            row,
            field: field.to_owned(),
            value,
            problem,
        };
        for (index, row) in terms.discounts.iter_mut().enumerate() {
            let at = format!("discounts[{index}]");
            if row.percent <= Decimal::ZERO || row.percent > hundred {
                let problem = "a discount is above 0 and at most 100 percent".to_owned();
                return Err(refuse(at, "percent", row.percent.to_string(), problem));
            }
            for name in &mut row.accelerators {
                let Some(known) = self.accelerator(name) else {
                    let problem = "the catalog has no accelerator of this name".to_owned();
                    return Err(refuse(at, "accelerators", name.clone(), problem));
                };
                name.clone_from(&known.name);
            }
            if let Some(region) = row.regions.iter().find(|region| !self.has_region(region)) {
                let problem = NO_SUCH_REGION.to_owned();
                return Err(refuse(at, "regions", region.to_string(), problem));
            }
        }
        let mut seen: Vec<(String, String, Region)> = Vec::new();
        for (index, row) in terms.paid.iter_mut().enumerate() {
            let at = format!("paid[{index}]");
            let found = match self.parse_shape(&row.shape) {
                Ok(found) => found,
                Err(error) => {
                    return Err(refuse(at, "shape", row.shape.clone(), error.to_string()));
                }
            };
            let machines: Vec<&ShapeRow> = (found.shapes.iter().copied())
                .filter(|shape| {
                    MACHINES
                        .iter()
                        .any(|surface| self.sales_of(*surface, shape).len() > 0)
                })
                .collect();
            let [shape] = machines.as_slice() else {
                let names: Vec<&str> = machines.iter().map(|shape| shape.name.as_str()).collect();
                let problem = match names.as_slice() {
                    [] => "Compute Engine has no such shape".to_owned(),
                    names => format!("it means several shapes: name one of {}", list(names)),
                };
                return Err(refuse(at, "shape", row.shape.clone(), problem));
            };
            let sold = |region: &Region| {
                MACHINES.iter().any(|surface| {
                    self.regions_of(*surface, shape)
                        .any(|other| other == region)
                })
            };
            if !sold(&row.region) {
                let problem = if self.has_region(&row.region) {
                    format!("{} is not there", shape.name)
                } else {
                    NO_SUCH_REGION.to_owned()
                };
                return Err(refuse(at, "region", row.region.to_string(), problem));
            }
            row.shape.clone_from(&shape.name);
            let key = (row.name.clone(), row.shape.clone(), row.region.clone());
            if seen.contains(&key) {
                let problem = "it is stated twice; add up what is free in one row".to_owned();
                return Err(refuse(at, "name", row.name.clone(), problem));
            }
            seen.push(key);
        }
        for (index, row) in terms.committed_spending.iter().enumerate() {
            let at = format!("committed_spending[{index}]");
            if let Some(region) = row.regions.iter().find(|region| !self.has_region(region)) {
                let problem = NO_SUCH_REGION.to_owned();
                return Err(refuse(at, "regions", region.to_string(), problem));
            }
            if row.percent >= hundred {
                let problem = "committed usage still costs something: below 100 percent".to_owned();
                return Err(refuse(at, "percent", row.percent.to_string(), problem));
            }
        }
        Ok(())
    }
}

/// What one term takes off.
struct Line<'a> {
    name: &'a str,
    usd: Decimal,
    term: Term<'a>,
}

enum Term<'a> {
    Paid {
        kind: &'static str,
        used: u32,
        free: u32,
        shape: &'a str,
    },
    Committed {
        /// Place of its row, and how much of it is used.
        index: usize,
        dollars: Decimal,
    },
    Percent {
        percent: Decimal,
        of: Decimal,
    },
}

impl Line<'_> {
    /// As a line of a bill: what is taken off is negative.
    fn shown(&self) -> CostLine {
        CostLine {
            item: self.item(),
            hourly: Some(UsdPerHour(-self.usd.normalize())),
            source: self.source().to_owned(),
        }
    }

    fn item(&self) -> String {
        let name = self.name;
        match &self.term {
            Term::Paid {
                kind,
                used,
                free,
                shape,
            } => format!("{kind} {name}: {used} of {free} free {shape}"),
            Term::Committed { .. } => format!("committed spending {name}"),
            Term::Percent { percent, of } => format!(
                "discount {name}: {} % of {}",
                percent.normalize(),
                UsdPerHour(*of)
            ),
        }
    }

    const fn source(&self) -> &'static str {
        match self.term {
            Term::Paid { .. } | Term::Committed { .. } => {
                "paid whether used or not, by the discount file"
            }
            Term::Percent { .. } => "by the discount file",
        }
    }
}

/// Take off what the terms take off, telling each; the rest is added to the bill.
fn reduce<'a>(
    terms: &'a DiscountDocument,
    sale: &Sale,
    hourly: UsdPerHour,
    replicas: u32,
    mut tell: impl FnMut(Line<'a>),
) -> UsdPerHour {
    let on_demand = sale.option == PurchaseOption::OnDemand;
    let mut left = replicas;
    let of_machine = MACHINES.contains(&sale.surface) && on_demand;
    for row in terms.paid.iter().filter(|_| of_machine) {
        let used = left.min(row.free);
        if used == 0 || row.shape != sale.shape.name || sale.region != Some(&row.region) {
            continue;
        }
        left -= used;
        tell(Line {
            name: &row.name,
            usd: (hourly * used).0,
            term: Term::Paid {
                kind: row.kind.as_str(),
                used,
                free: row.free,
                shape: &row.shape,
            },
        });
    }
    let mut rest = (hourly * left).0;
    let spending = terms.committed_spending.iter().enumerate();
    for (index, row) in spending.filter(|_| on_demand) {
        let here = row.surfaces.contains(&sale.surface) && within(&row.regions, sale.region);
        let kept = Decimal::ONE - row.percent / Decimal::ONE_HUNDRED;
        let covers = row.unused_hourly.checked_div(kept).unwrap_or_default();
        let usd = rest.min(covers.round_dp(9));
        if !here || usd.is_zero() {
            continue;
        }
        rest -= usd;
        tell(Line {
            name: &row.name,
            usd,
            term: Term::Committed {
                index,
                dollars: usd * kept,
            },
        });
    }
    let matching = terms.discounts.iter().filter(|row| {
        (row.surfaces.is_empty() || row.surfaces.contains(&sale.surface))
            && (row.accelerators.is_empty() || row.accelerators.contains(&sale.accelerator.name))
            && (row.options.is_empty() || row.options.contains(&sale.option))
            && within(&row.regions, sale.region)
    });
    // Of those that are alike, the first in the file: `max_by_key` alone would take the last.
    let best = matching.rev().max_by_key(|row| row.percent);
    if let Some(row) = best.filter(|_| !rest.is_zero()) {
        let usd = (rest * row.percent / Decimal::ONE_HUNDRED).round_dp(9);
        tell(Line {
            name: &row.name,
            usd,
            term: Term::Percent {
                percent: row.percent,
                of: rest,
            },
        });
        rest -= usd;
    }
    UsdPerHour(rest.normalize())
}

/// Whether a list of regions, where it has any, has this one.
fn within<R: PartialEq>(regions: &[R], region: Option<&R>) -> bool {
    regions.is_empty() || region.is_some_and(|region| regions.contains(region))
}
