//! What a replica costs, and of which parts: each with its unit price, source and date.

use openmodel_schemas::catalog::{
    Confidence, PriceRow, PricedItem, PurchaseOption, ShapeRow, Source,
};
use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::{Bytes, UsdPerHour};
use openmodel_schemas::report::CostLine;
use openmodel_schemas::spec::Surface;
use rust_decimal::Decimal;

use super::index::{SECONDS_PER_HOUR, cloud_run_parts};
use super::{Catalog, Sale};

/// One replica, as it is bought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Purchase<'a> {
    /// The surface.
    pub surface: Surface,
    /// The shape.
    pub shape: &'a ShapeRow,
    /// The way it is bought.
    pub option: PurchaseOption,
    /// Where.
    pub region: Option<&'a Region>,
    /// vCPUs of the host; counts on Cloud Run alone.
    pub cpu: u32,
    /// Memory of the host; counts on Cloud Run alone.
    pub memory: Bytes,
    /// Whether Cloud Run spreads its instances over zones.
    pub zonal_redundancy: bool,
}

/// A price with how sure it is and where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Priced<'a> {
    /// One replica for an hour.
    pub hourly: UsdPerHour,
    /// Of the least sure part.
    pub confidence: Confidence,
    /// Of the oldest part.
    pub source: Option<&'a Source>,
}

/// A part of a replica that has a price of its own.
struct Part {
    name: String,
    item: PricedItem,
    /// Units of the item that the replica takes in an hour.
    per_hour: Decimal,
    /// The unit that is shown, and how many of the item's units one of it is.
    unit: (&'static str, Decimal),
    /// Whether it is the cluster's, not the replica's.
    shared: bool,
}

impl<'a> From<Sale<'a>> for Purchase<'a> {
    /// With the shape's most memory, and without zonal redundancy: that costs more, has a quota
    /// of its own, and a replica that fails is started in another zone anyway.
    fn from(sale: Sale<'a>) -> Self {
        Self {
            surface: sale.surface,
            shape: sale.shape,
            option: sale.option,
            region: sale.region,
            cpu: sale.shape.cpu,
            memory: Bytes::gib(sale.shape.memory_gib.into()),
            zonal_redundancy: false,
        }
    }
}

impl Catalog {
    /// What one replica costs in an hour; `None` where the price of any part is not known. The
    /// fee of a GKE cluster is not in it: a cluster has one however many replicas it runs.
    ///
    /// ```
    /// use openmodel_resolve::market::{Catalog, Purchase};
    /// use openmodel_schemas::{catalog::PurchaseOption, spec::Surface};
    ///
    /// let catalog = Catalog::embedded();
    /// let shape = catalog.shape("a3-highgpu-8g").expect("a machine");
    /// let region = "us-central1".parse().expect("a region");
    /// let sale = catalog
    ///     .sale(Surface::Gke, shape, PurchaseOption::OnDemand, &region)
    ///     .expect("GKE sells it there");
    /// let priced = catalog.hourly(&Purchase::from(sale)).expect("it is priced");
    /// assert_eq!(priced.hourly.to_string(), "$88.4900/h");
    /// ```
    #[must_use]
    pub fn hourly(&self, purchase: &Purchase<'_>) -> Option<Priced<'_>> {
        let mut total = Priced {
            hourly: UsdPerHour::default(),
            confidence: Confidence::High,
            source: None,
        };
        for part in own_parts(purchase) {
            let (hourly, row) = self.part(&part, purchase)?;
            total.hourly = UsdPerHour(total.hourly.0.checked_add(hourly.0)?);
            total.confidence = total.confidence.max(row.confidence);
            let source = self.source(&row.source);
            total.source = match (total.source, source) {
                (Some(old), Some(new)) if new.date >= old.date => Some(old),
                (old, new) => new.or(old),
            };
        }
        Some(total)
    }

    /// What zonal redundancy adds to one replica in an hour; `None` where it is not known or
    /// not sold.
    #[must_use]
    pub fn zonal_redundancy(&self, purchase: &Purchase<'_>) -> Option<UsdPerHour> {
        if purchase.surface != Surface::CloudRun {
            return None;
        }
        let [with, without] = [true, false].map(|zonal_redundancy| {
            self.hourly(&Purchase {
                zonal_redundancy,
                ..*purchase
            })
        });
        let extra = with?.hourly.0.checked_sub(without?.hourly.0)?;
        Some(UsdPerHour(extra))
    }

    /// The parts of one replica, each with its price; on GKE also the cluster's fee, which
    /// [`Catalog::hourly`] leaves out.
    #[must_use]
    pub fn lines(&self, purchase: &Purchase<'_>) -> Vec<CostLine> {
        let parts = own_parts(purchase).into_iter().chain(fee(purchase));
        parts.map(|part| self.line(&part, purchase)).collect()
    }

    /// The date of the oldest price of a replica; the catalog's where it has none.
    #[must_use]
    pub fn price_date(&self, purchase: &Purchase<'_>) -> &str {
        let dates = own_parts(purchase).into_iter().filter_map(|part| {
            let (_, row) = self.part(&part, purchase)?;
            self.source(&row.source).map(|source| source.date.as_str())
        });
        dates.min().unwrap_or_else(|| self.date())
    }

    /// Where a price stands, with its date.
    pub(crate) fn whence(&self, row: &PriceRow) -> String {
        self.source(&row.source).map_or_else(
            || row.source.clone(),
            |source| match row.confidence {
                Confidence::High => {
                    let at = source.at.trim_start_matches("https://");
                    format!("{at}, {}", source.date)
                }
                // Whoever relies on it should read how it came about.
                Confidence::Medium => {
                    format!("{}, {}; medium confidence", source.name, source.date)
                }
                Confidence::Low => format!("{}, {}; low confidence", source.name, source.date),
            },
        )
    }

    fn part(&self, part: &Part, purchase: &Purchase<'_>) -> Option<(UsdPerHour, &PriceRow)> {
        let (usd, row) = self.item(&part.item, option(&part.item, purchase), purchase.region)?;
        let hourly = usd.checked_mul(part.per_hour)?;
        Some((UsdPerHour(hourly.normalize()), row))
    }

    fn line(&self, part: &Part, purchase: &Purchase<'_>) -> CostLine {
        let Some((hourly, row)) = self.part(part, purchase) else {
            let place = purchase.region.map_or("any region", Region::as_str);
            return CostLine {
                item: part.name.clone(),
                hourly: None,
                source: format!("no price known in {place} (catalog of {})", self.date()),
            };
        };
        let (unit, units) = part.unit;
        let usd = hourly.0.checked_div(part.per_hour);
        let usd = usd
            .and_then(|usd| usd.checked_mul(units))
            .unwrap_or_default();
        let whence = self.whence(row);
        let shared = if part.shared {
            "; one for the whole cluster, in no replica's cost"
        } else {
            ""
        };
        CostLine {
            item: part.name.clone(),
            hourly: Some(hourly),
            source: format!("${} per {unit} ({whence}){shared}", usd.normalize()),
        }
    }
}

/// How a purchase option is called in a sentence.
fn words(option: PurchaseOption) -> &'static str {
    match option {
        PurchaseOption::OnDemand => "on demand",
        PurchaseOption::Spot => "Spot",
        PurchaseOption::FlexStart => "flex-start",
        PurchaseOption::Calendar => "calendar mode",
        PurchaseOption::Commitment1y => "1-year commitment",
        PurchaseOption::Commitment3y => "3-year commitment",
    }
}

/// Whole shapes have prices by option; all else is bought in one way.
fn option(item: &PricedItem, purchase: &Purchase<'_>) -> PurchaseOption {
    match item {
        PricedItem::Shape { .. } => purchase.option,
        _ => PurchaseOption::OnDemand,
    }
}

fn own_parts(purchase: &Purchase<'_>) -> Vec<Part> {
    match purchase.surface {
        Surface::CloudRun => instance(purchase),
        _ => vec![machine(purchase)],
    }
}

fn instance(purchase: &Purchase<'_>) -> Vec<Part> {
    let gib = Decimal::from(purchase.memory.0) / Decimal::from(1_u64 << 30);
    let accelerator = &purchase.shape.accelerator;
    let count = purchase.shape.count;
    let redundancy = purchase.zonal_redundancy;
    cloud_run_parts(accelerator, count, purchase.cpu, gib, redundancy)
        .into_iter()
        .map(|(item, quantity)| {
            let quantity = quantity.normalize();
            let (name, unit) = match &item {
                PricedItem::CloudRunVcpu => (format!("{quantity} vCPU"), "vCPU-second"),
                PricedItem::CloudRunMemoryGib => (format!("{quantity} GiB memory"), "GiB-second"),
                _ => {
                    let spread = if redundancy { "" } else { "no " };
                    let name = format!("{quantity} x {accelerator} ({spread}zonal redundancy)");
                    (name, "second")
                }
            };
            Part {
                name,
                item,
                per_hour: quantity * SECONDS_PER_HOUR,
                unit: (unit, Decimal::ONE),
                shared: false,
            }
        })
        .collect()
}

/// A whole machine, slice or replica.
fn machine(purchase: &Purchase<'_>) -> Part {
    let shape = purchase.shape;
    let surface = match purchase.surface {
        Surface::Gke => Surface::Compute,
        other => other,
    };
    let accelerators = format!("{} x {}", shape.count, shape.accelerator);
    let what = match (&shape.machine_type, &shape.topology) {
        (Some(machine), Some(topology)) if shape.hosts > 1 => {
            format!("{} x {machine}, topology {topology}", shape.hosts)
        }
        (Some(machine), _) if shape.name.starts_with(&format!("{machine}+")) => {
            format!("{} x {machine} with {accelerators}", shape.hosts)
        }
        (Some(machine), _) => format!("{} x {machine}", shape.hosts),
        (None, _) => format!("1 replica with {accelerators}"),
    };
    let hour = match purchase.surface {
        Surface::Vertex if shape.hosts == 1 => ("node-hour", Decimal::ONE),
        Surface::HuggingFace => ("replica-hour", Decimal::ONE),
        _ if shape.topology.is_some() => ("chip-hour", Decimal::ONE / Decimal::from(shape.count)),
        _ => ("hour", Decimal::ONE),
    };
    Part {
        name: format!("{what} ({})", words(purchase.option)),
        item: PricedItem::Shape {
            surface,
            shape: shape.name.clone(),
        },
        per_hour: Decimal::ONE,
        unit: hour,
        shared: false,
    }
}

fn fee(purchase: &Purchase<'_>) -> Option<Part> {
    (purchase.surface == Surface::Gke).then(|| Part {
        name: "management of the GKE cluster".to_owned(),
        item: PricedItem::GkeCluster,
        per_hour: Decimal::ONE,
        unit: ("cluster and hour", Decimal::ONE),
        shared: true,
    })
}
