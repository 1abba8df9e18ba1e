//! Guards of the prices: of something that is sold there, in a sane amount, in the right order.
//!
//! A list that was scraped wrong shows itself: Spot above on demand, a placeholder such as
//! 700.0, a price where no hardware stands. None of these may reach a plan.

use std::cmp::Ordering;

use openmodel_schemas::catalog::{PriceRow, PricedItem, PurchaseOption};
use openmodel_schemas::name::Region;
use openmodel_schemas::spec::Surface;
use rust_decimal::Decimal;

use super::guard::Row;
use super::index::{Entry, SECONDS_PER_HOUR};
use super::{Catalog, CatalogError, Sale};

/// One accelerator costs between these an hour. The dearest sold is about 16, the cheapest Spot
/// about 0.2; what lies outside is a placeholder of some list or in another unit.
const ACCELERATOR_HOUR: (Decimal, Decimal) = (cents(1), cents(4000));

/// Parts of an accelerator are sold in eighths, and held against the price of the whole.
const EIGHTH: Decimal = Decimal::from_parts(125, 0, 0, false, 3);

/// The "no price" of SkyPilot's lists.
const SENTINEL: Decimal = cents(70_000);

/// A price of which the dearer one must not be below the cheaper one.
const ORDER: [(PurchaseOption, PurchaseOption); 5] = [
    (PurchaseOption::Spot, PurchaseOption::OnDemand),
    (PurchaseOption::FlexStart, PurchaseOption::OnDemand),
    (PurchaseOption::Commitment1y, PurchaseOption::OnDemand),
    (PurchaseOption::Commitment3y, PurchaseOption::OnDemand),
    (PurchaseOption::Commitment3y, PurchaseOption::Commitment1y),
];

/// One price, as all of an item are compared.
struct Point<'a> {
    row: usize,
    region: Option<&'a Region>,
    option: PurchaseOption,
    usd: Decimal,
}

/// Find the first price that cannot be right.
pub(super) fn check(catalog: &Catalog) -> Result<(), CatalogError> {
    let prices = &catalog.document.prices;
    for (index, row) in prices.iter().enumerate() {
        let at = Row::new(&catalog.document, "prices", index);
        at.source(&row.source)?;
        item(&at, row)?;
        let limits = limits(catalog, row);
        for (region, usd) in points(row) {
            amount(&at, &limits, region, usd)?;
        }
        sold(&at, catalog, row)?;
        redundancy(&at, catalog, row)?;
    }
    let by_item = catalog.index.by_item();
    for rows in by_item.chunk_by(|&a, &b| prices[a].item == prices[b].item) {
        let mut all: Vec<Point<'_>> = (rows.iter())
            .flat_map(|&row| {
                points(&prices[row]).map(move |(region, usd)| Point {
                    row,
                    region,
                    option: prices[row].option,
                    usd,
                })
            })
            .collect();
        all.sort_unstable_by_key(|point| (point.region, point.option, point.row));
        for same in all.chunk_by(|a, b| a.region == b.region) {
            compare(catalog, same)?;
        }
    }
    Ok(())
}

fn points(row: &PriceRow) -> impl Iterator<Item = (Option<&Region>, Decimal)> {
    let regions = row.usd.iter().map(|(region, usd)| (Some(region), *usd));
    regions.chain(row.everywhere.map(|usd| (None, usd)))
}

fn item(at: &Row<'_>, row: &PriceRow) -> Result<(), CatalogError> {
    at.holds(
        points(row).next().is_some(),
        "usd",
        "nothing",
        "leave the row out where no price is known",
    )?;
    match &row.item {
        PricedItem::Shape { surface, shape } => {
            let known = matches!(
                surface,
                Surface::Compute | Surface::Vertex | Surface::HuggingFace
            );
            at.holds(
                known,
                "item.surface",
                surface.as_str(),
                "price GKE's nodes as compute, and Cloud Run by its parts",
            )?;
            at.holds(
                row.everywhere.is_none(),
                "everywhere",
                row.everywhere.unwrap_or_default(),
                format!("{shape} stands in regions; price it in each"),
            )
        }
        PricedItem::CloudRunAccelerator { accelerator, .. } => {
            at.accelerator("item.accelerator", accelerator)?;
            on_demand(at, row)
        }
        _ => on_demand(at, row),
    }
}

fn on_demand(at: &Row<'_>, row: &PriceRow) -> Result<(), CatalogError> {
    at.holds(
        row.option == PurchaseOption::OnDemand,
        "option",
        row.option.as_str(),
        "only whole shapes are bought in several ways; this is on_demand",
    )
}

/// What one unit of an item can cost at least and at most, and what that is.
struct Limits {
    least: Decimal,
    most: Decimal,
    what: &'static str,
}

fn limits(catalog: &Catalog, row: &PriceRow) -> Limits {
    let an_hour = |(least, most): (Decimal, Decimal), what| Limits {
        least: least / SECONDS_PER_HOUR,
        most: most / SECONDS_PER_HOUR,
        what,
    };
    let up_to = |most, what| Limits {
        least: Decimal::ZERO,
        most,
        what,
    };
    match &row.item {
        PricedItem::Shape { shape, .. } => {
            let shape = catalog.shape(shape);
            let eighths =
                shape.map_or(8, |shape| u64::from(shape.count) * u64::from(shape.eighths));
            let accelerators = Decimal::from(eighths) * EIGHTH;
            Limits {
                least: ACCELERATOR_HOUR.0 * accelerators,
                most: ACCELERATOR_HOUR.1 * accelerators,
                what: "its accelerators for an hour",
            }
        }
        PricedItem::CloudRunAccelerator { .. } => {
            an_hour(ACCELERATOR_HOUR, "an accelerator for a second")
        }
        PricedItem::CloudRunVcpu => an_hour((Decimal::ZERO, cents(100)), "a vCPU for a second"),
        PricedItem::CloudRunMemoryGib => an_hour((Decimal::ZERO, cents(50)), "a GiB for a second"),
        PricedItem::GkeCluster => up_to(cents(500), "a cluster for an hour"),
        PricedItem::AnywhereCacheGib => up_to(cents(10), "a GiB for an hour"),
        PricedItem::StorageGib { .. }
        | PricedItem::MultiRegionStorageGib { .. }
        | PricedItem::MultiRegionReadGib { .. }
        | PricedItem::AnywhereCacheIngestGib
        | PricedItem::AnywhereCacheReadGib
        | PricedItem::DiskGib { .. }
        | PricedItem::EgressGib { .. } => up_to(cents(500), "a GiB"),
    }
}

fn amount(
    at: &Row<'_>,
    limits: &Limits,
    region: Option<&Region>,
    usd: Decimal,
) -> Result<(), CatalogError> {
    let wrong = |problem: &str| at.holds(false, &field(region), usd, problem);
    if usd <= Decimal::ZERO {
        return wrong("leave it out where no price is known");
    }
    if usd == SENTINEL {
        return wrong("this is how some lists write that they know no price");
    }
    let Limits { least, most, what } = limits;
    if *least <= usd && usd <= *most {
        return Ok(());
    }
    let [least, most] = [least, most].map(|usd| usd.round_dp(8).normalize());
    wrong(&format!(
        "{what} cost {least} to {most}; this is a placeholder or in another unit"
    ))
}

/// What is priced must be sold: no price where no hardware stands.
fn sold(at: &Row<'_>, catalog: &Catalog, row: &PriceRow) -> Result<(), CatalogError> {
    let index = &catalog.index;
    match &row.item {
        PricedItem::Shape { surface, shape } => {
            let found = catalog.shape(shape).filter(|found| found.name == *shape);
            at.holds(
                found.is_some(),
                "item.shape",
                shape,
                "no such shape in shapes",
            )?;
            let entries = |surface| {
                let shape = index.shape(shape);
                shape.map_or(&[][..], |shape| index.block(surface, shape, row.option))
            };
            let on_gke = *surface == Surface::Compute;
            let blocks = [
                entries(*surface),
                if on_gke { entries(Surface::Gke) } else { &[] },
            ];
            for (region, _) in points(row) {
                let place = region.and_then(|region| index.region(region));
                let there = |block: &&[Entry]| {
                    let at = block.binary_search_by_key(&place, |entry| entry.region);
                    place.is_some() && at.is_ok()
                };
                if blocks.iter().any(there) {
                    continue;
                }
                let (option, surface) = (row.option.as_str(), surface.as_str());
                let problem = format!(
                    "no offer sells it there as {option} on {surface}, so nothing can be priced"
                );
                at.holds(false, &field(region), shape, problem)?;
            }
            Ok(())
        }
        PricedItem::CloudRunAccelerator { .. }
        | PricedItem::CloudRunVcpu
        | PricedItem::CloudRunMemoryGib => {
            let same = |sale: &Sale<'_>| match &row.item {
                PricedItem::CloudRunAccelerator { accelerator, .. } => {
                    *accelerator == sale.shape.accelerator
                }
                _ => true,
            };
            for (region, _) in points(row) {
                let mut sales = catalog.sales_on(Surface::CloudRun).filter(same);
                at.holds(
                    sales.any(|sale| sale.region == region),
                    &field(region),
                    region.map_or("everywhere", Region::as_str),
                    "Cloud Run has no such GPU there, so nothing can be priced",
                )?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn redundancy(at: &Row<'_>, catalog: &Catalog, row: &PriceRow) -> Result<(), CatalogError> {
    let PricedItem::CloudRunAccelerator {
        accelerator,
        zonal_redundancy: true,
    } = &row.item
    else {
        return Ok(());
    };
    let plain = PricedItem::CloudRunAccelerator {
        accelerator: accelerator.clone(),
        zonal_redundancy: false,
    };
    for (region, usd) in points(row) {
        let without = catalog.item(&plain, row.option, region);
        at.holds(
            without.is_none_or(|(without, _)| without <= usd),
            &field(region),
            usd,
            "with zonal redundancy it cannot be cheaper than without",
        )?;
    }
    Ok(())
}

/// All prices of one item in one region.
fn compare(catalog: &Catalog, same: &[Point<'_>]) -> Result<(), CatalogError> {
    for pair in same.windows(2) {
        let [earlier, later] = pair else { continue };
        let at = Row::new(&catalog.document, "prices", later.row);
        at.holds(
            earlier.option != later.option,
            &field(later.region),
            later.usd,
            format!("prices[{}] prices the same item there already", earlier.row),
        )?;
    }
    let of = |option| same.iter().find(|point| point.option == option);
    for (cheap, dear) in ORDER {
        let (Some(cheaper), Some(dearer)) = (of(cheap), of(dear)) else {
            continue;
        };
        // Spot at the price of on demand is no Spot; commitments may be rounded alike.
        let ok = match cheaper.usd.cmp(&dearer.usd) {
            Ordering::Less => true,
            Ordering::Equal => cheap != PurchaseOption::Spot,
            Ordering::Greater => false,
        };
        if ok {
            continue;
        }
        let (cheap, dear) = (cheap.as_str(), dear.as_str());
        let problem = format!(
            "{cheap} cannot cost more than {dear}, {} by prices[{}]",
            dearer.usd, dearer.row
        );
        let at = Row::new(&catalog.document, "prices", cheaper.row);
        at.holds(false, &field(cheaper.region), cheaper.usd, problem)?;
    }
    Ok(())
}

fn field(region: Option<&Region>) -> String {
    region.map_or("everywhere".to_owned(), |region| format!("usd.{region}"))
}

const fn cents(cents: u32) -> Decimal {
    Decimal::from_parts(cents, 0, 0, false, 2)
}
