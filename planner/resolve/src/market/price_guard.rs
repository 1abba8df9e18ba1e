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
use super::index::SECONDS_PER_HOUR;
use super::{Catalog, CatalogError};

/// One accelerator costs between these an hour. The dearest sold is about 16, the cheapest Spot
/// about 0.2; what lies outside is a placeholder of some list or in another unit.
const ACCELERATOR_HOUR: (Decimal, Decimal) = (cents(1), cents(4000));

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
    item: &'a PricedItem,
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
        for (region, usd) in points(row) {
            amount(&at, catalog, row, region, usd)?;
            sold(&at, catalog, row, region)?;
        }
        redundancy(&at, catalog, row)?;
    }
    let mut all: Vec<Point<'_>> = (prices.iter().enumerate())
        .flat_map(|(index, row)| {
            points(row).map(move |(region, usd)| Point {
                row: index,
                item: &row.item,
                region,
                option: row.option,
                usd,
            })
        })
        .collect();
    all.sort_unstable_by(|a, b| {
        let key = (a.item, a.region, a.option).cmp(&(b.item, b.region, b.option));
        key.then(a.row.cmp(&b.row))
    });
    for same in all.chunk_by(|a, b| (a.item, a.region) == (b.item, b.region)) {
        compare(catalog, same)?;
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

fn amount(
    at: &Row<'_>,
    catalog: &Catalog,
    row: &PriceRow,
    region: Option<&Region>,
    usd: Decimal,
) -> Result<(), CatalogError> {
    let field = field(region);
    at.holds(
        usd > Decimal::ZERO,
        &field,
        usd,
        "leave it out where no price is known",
    )?;
    at.holds(
        usd != SENTINEL,
        &field,
        usd,
        "this is how some lists write that they know no price",
    )?;
    let hour = usd.checked_mul(SECONDS_PER_HOUR);
    let accelerator = "USD for an accelerator and hour";
    let (what, amount, (least, most)) = match &row.item {
        PricedItem::Shape { shape, .. } => {
            let share = catalog.shape(shape).and_then(|shape| {
                let eighths = Decimal::from(shape.count) * Decimal::from(shape.eighths);
                usd.checked_mul(Decimal::from(8))?.checked_div(eighths)
            });
            (accelerator, share, ACCELERATOR_HOUR)
        }
        PricedItem::CloudRunAccelerator { .. } => (accelerator, hour, ACCELERATOR_HOUR),
        PricedItem::CloudRunVcpu => ("USD for a vCPU and hour", hour, (Decimal::ZERO, cents(100))),
        PricedItem::CloudRunMemoryGib => {
            ("USD for a GiB and hour", hour, (Decimal::ZERO, cents(50)))
        }
        PricedItem::AnywhereCacheGib => (
            "USD for a GiB and hour",
            Some(usd),
            (Decimal::ZERO, cents(10)),
        ),
        PricedItem::GkeCluster
        | PricedItem::StorageGib { .. }
        | PricedItem::MultiRegionStorageGib { .. }
        | PricedItem::DiskGib { .. }
        | PricedItem::EgressGib { .. } => ("USD for one", Some(usd), (Decimal::ZERO, cents(500))),
    };
    at.holds(
        amount.is_none_or(|amount| least <= amount && amount <= most),
        &field,
        usd,
        format!(
            "{} {what} is not between {least} and {most}: a placeholder or another unit",
            amount.unwrap_or_default().round_dp(6).normalize()
        ),
    )
}

/// What is priced must be sold: no price where no hardware stands.
fn sold(
    at: &Row<'_>,
    catalog: &Catalog,
    row: &PriceRow,
    region: Option<&Region>,
) -> Result<(), CatalogError> {
    let field = field(region);
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
            let known = |surface| {
                let region = index.region(region?)?;
                index.find(surface, index.shape(shape)?, row.option, Some(region))
            };
            let on_gke = || known(Surface::Gke).filter(|_| *surface == Surface::Compute);
            at.holds(
                known(*surface).or_else(on_gke).is_some(),
                &field,
                shape,
                format!(
                    "no offer sells it there as {} on {}, so nothing can be priced",
                    row.option.as_str(),
                    surface.as_str()
                ),
            )
        }
        PricedItem::CloudRunAccelerator { .. }
        | PricedItem::CloudRunVcpu
        | PricedItem::CloudRunMemoryGib => {
            let there = catalog.sales_on(Surface::CloudRun).any(|sale| {
                let same = match &row.item {
                    PricedItem::CloudRunAccelerator { accelerator, .. } => {
                        *accelerator == sale.shape.accelerator
                    }
                    _ => true,
                };
                same && sale.region == region
            });
            at.holds(
                there,
                &field,
                region.map_or("everywhere", Region::as_str),
                "Cloud Run has no such GPU there, so nothing can be priced",
            )
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
        let at = Row::new(&catalog.document, "prices", cheaper.row);
        // Spot at the price of on demand is no Spot; commitments may be rounded alike.
        let ok = match cheaper.usd.cmp(&dearer.usd) {
            Ordering::Less => true,
            Ordering::Equal => cheap != PurchaseOption::Spot,
            Ordering::Greater => false,
        };
        at.holds(
            ok,
            &field(cheaper.region),
            cheaper.usd,
            format!(
                "{} cannot cost more than {}, {} by prices[{}]",
                cheap.as_str(),
                dear.as_str(),
                dearer.usd,
                dearer.row
            ),
        )?;
    }
    Ok(())
}

fn field(region: Option<&Region>) -> String {
    region.map_or("everywhere".to_owned(), |region| format!("usd.{region}"))
}

const fn cents(cents: u32) -> Decimal {
    Decimal::from_parts(cents, 0, 0, false, 2)
}
