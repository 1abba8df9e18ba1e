//! What shapes cost: lines with unit price and source, sums in decimals, unknown kept unknown.

use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::{Usd, UsdPerHour};
use openmodel_schemas::report::{Cost, CostLine, Placement, Shape};
use openmodel_schemas::shape::PricedItem;
use openmodel_schemas::spec::{Scaling, Surface};
use rust_decimal::Decimal;

use crate::catalog::Catalog;

const SECONDS_PER_HOUR: u32 = 3600;

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

/// Where something is bought.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) surface: Surface,
    pub(crate) region: &'a Region,
}

impl Place<'_> {
    /// One replica for an hour; `None` where the price of any part is not known.
    pub(crate) fn hourly(&self, shape: &Shape) -> Option<UsdPerHour> {
        let mut sum = Decimal::ZERO;
        for (item, quantity) in items(shape) {
            sum = sum.checked_add(self.hourly_of(&item, quantity)?.0)?;
        }
        Some(UsdPerHour(sum))
    }

    /// What zonal redundancy adds to one replica in an hour.
    pub(crate) fn zonal_redundancy(&self, shape: &Shape) -> Option<UsdPerHour> {
        let count = Decimal::from(shape.accelerator_count);
        let [with, without] = [true, false].map(|zonal_redundancy| {
            let item = PricedItem::Accelerator {
                accelerator: shape.accelerator.clone(),
                zonal_redundancy,
            };
            self.hourly_of(&item, count)
        });
        Some(UsdPerHour(with?.0 - without?.0))
    }

    /// The cost of replicas of a shape.
    pub(crate) fn cost(&self, shape: &Shape, scaling: Scaling) -> Cost {
        let hourly = self.hourly(shape);
        let monthly = |replicas: u32| match (replicas, hourly) {
            (0, _) => Some(Usd(Decimal::ZERO)),
            (_, hourly) => hourly.map(|hourly| (hourly * replicas).per_month()),
        };
        let dates = items(shape).into_iter().filter_map(|(item, _)| {
            let price = self.catalog.price(self.surface, self.region, &item)?;
            self.catalog
                .source(&price.source)
                .map(|source| source.date.as_str())
        });
        Cost {
            currency: self.catalog.document().currency.clone(),
            hourly,
            monthly_min: monthly(scaling.min_replicas),
            monthly_max: monthly(scaling.max_replicas),
            price_date: dates
                .min()
                .unwrap_or_else(|| self.catalog.date())
                .to_owned(),
            lines: items(shape)
                .into_iter()
                .map(|(item, quantity)| self.line(&item, quantity))
                .collect(),
        }
    }

    fn hourly_of(&self, item: &PricedItem, quantity: Decimal) -> Option<UsdPerHour> {
        let price = self.catalog.price(self.surface, self.region, item)?;
        let per_hour = price
            .usd_per_second
            .checked_mul(Decimal::from(SECONDS_PER_HOUR))?;
        per_hour
            .checked_mul(quantity)
            .map(|usd| UsdPerHour(usd.normalize()))
    }

    fn line(&self, item: &PricedItem, quantity: Decimal) -> CostLine {
        let quantity = quantity.normalize();
        let (name, unit) = match item {
            PricedItem::Accelerator {
                accelerator,
                zonal_redundancy,
            } => {
                let spread = if *zonal_redundancy {
                    "zonal redundancy"
                } else {
                    "no zonal redundancy"
                };
                (format!("{quantity} x {accelerator} ({spread})"), "second")
            }
            PricedItem::Vcpu => (format!("{quantity} vCPU"), "vCPU-second"),
            PricedItem::MemoryGib => (format!("{quantity} GiB memory"), "GiB-second"),
        };
        let source = match self.catalog.price(self.surface, self.region, item) {
            Some(price) => {
                let whence = self.catalog.source(&price.source).map_or_else(
                    || price.source.clone(),
                    |source| {
                        format!(
                            "{}, {}",
                            source.at.trim_start_matches("https://"),
                            source.date
                        )
                    },
                );
                format!("${} per {unit} ({whence})", price.usd_per_second)
            }
            None => format!(
                "no price known in {} (catalog of {})",
                self.region,
                self.catalog.date()
            ),
        };
        CostLine {
            item: name,
            hourly: self.hourly_of(item, quantity),
            source,
        }
    }
}

/// The priced parts of one replica. Zonal redundancy is off: it costs more, has a quota of its
/// own, and a replica that fails is started in another zone anyway.
fn items(shape: &Shape) -> [(PricedItem, Decimal); 3] {
    let gpu = PricedItem::Accelerator {
        accelerator: shape.accelerator.clone(),
        zonal_redundancy: false,
    };
    let gib = Decimal::from(shape.memory.0) / Decimal::from(1_u64 << 30);
    [
        (gpu, Decimal::from(shape.accelerator_count)),
        (PricedItem::Vcpu, Decimal::from(shape.cpu)),
        (PricedItem::MemoryGib, gib),
    ]
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use openmodel_schemas::quantity::Bytes;

    use super::*;

    fn shown(region: &str, accelerator: &str, cpu: u32, memory: u64, scaling: Scaling) -> String {
        let region: Region = region.parse().expect("a region");
        let place = Place {
            catalog: crate::testing::catalog(),
            surface: Surface::CloudRun,
            region: &region,
        };
        let shape = Shape {
            accelerator: accelerator.to_owned(),
            accelerator_count: 1,
            cpu,
            memory: Bytes::gib(memory),
        };
        let cost = place.cost(&shape, scaling);
        let mut text = String::new();
        let price =
            |hourly: Option<UsdPerHour>| hourly.map_or("unknown".to_owned(), |usd| usd.to_string());
        for line in &cost.lines {
            writeln!(
                text,
                "{:<42} {:>10}  {}",
                line.item,
                price(line.hourly),
                line.source
            )
            .expect("a string");
        }
        let month = |usd: Option<Usd>| usd.map_or("unknown".to_owned(), |usd| usd.to_string());
        let (min, max) = (month(cost.monthly_min), month(cost.monthly_max));
        writeln!(
            text,
            "{} {} min {min} max {max} ({})",
            cost.currency,
            price(cost.hourly),
            cost.price_date
        )
        .expect("a string");
        text
    }

    #[test]
    fn prices_are_those_of_the_list() {
        // 4 vCPU, 16 GiB and an L4 are $1.04652 an hour by the transcribed list.
        insta::assert_snapshot!(shown("us-central1", "nvidia-l4", 4, 16, Scaling { min_replicas: 1, max_replicas: 3 }), @r"
        1 x nvidia-l4 (no zonal redundancy)         $0.6721/h  $0.0001867 per second (cloud.google.com/run/pricing, 2026-08)
        4 vCPU                                      $0.2592/h  $0.000018 per vCPU-second (cloud.google.com/run/pricing, 2026-08)
        16 GiB memory                               $0.1152/h  $0.000002 per GiB-second (cloud.google.com/run/pricing, 2026-08)
        USD $1.0465/h min $763.96 max $2291.88 (2026-08)
        ");
    }

    #[test]
    fn an_unknown_price_is_never_zero_but_no_replica_costs_nothing() {
        insta::assert_snapshot!(shown("us-central1", "nvidia-rtx-pro-6000", 20, 80, Scaling { min_replicas: 0, max_replicas: 1 }), @r"
        1 x nvidia-rtx-pro-6000 (no zonal redundancy)    unknown  no price known in us-central1 (catalog of 2026-11-20)
        20 vCPU                                     $1.2960/h  $0.000018 per vCPU-second (cloud.google.com/run/pricing, 2026-08)
        80 GiB memory                               $0.5760/h  $0.000002 per GiB-second (cloud.google.com/run/pricing, 2026-08)
        USD unknown min $0.00 max unknown (2026-08)
        ");
    }
}
