//! Cross-checks of a catalog that its JSON Schema cannot express: rows must agree.

use std::collections::BTreeSet;
use std::fmt::Display;

use openmodel_schemas::shape::{CatalogDocument, EngineRow, OfferRow, PriceRow, PricedItem};
use openmodel_schemas::spec::Surface;
use rust_decimal::Decimal;

use crate::catalog::CatalogError;

/// Dearer than this for one unit is a "no price" sentinel of some list (700.0 is a known
/// one), not a price: the dearest accelerator sold costs about a tenth of it.
const DEAREST_USD_PER_HOUR: i64 = 100;

/// Find the first row that contradicts another one or common sense.
pub(crate) fn check(document: &CatalogDocument) -> Result<(), CatalogError> {
    accelerators(document)?;
    for (index, offer) in document.offers.iter().enumerate() {
        self::offer(document, index, offer)?;
    }
    for (index, price) in document.prices.iter().enumerate() {
        self::price(document, index, price)?;
    }
    for (index, engine) in document.engines.iter().enumerate() {
        self::engine(document, index, engine)?;
    }
    Ok(())
}

/// A row under examination, to write its errors short.
struct Row<'a> {
    document: &'a CatalogDocument,
    list: &'static str,
    index: usize,
}

impl Row<'_> {
    fn holds(
        &self,
        ok: bool,
        field: &str,
        value: impl Display,
        problem: impl Into<String>,
    ) -> Result<(), CatalogError> {
        if ok {
            return Ok(());
        }
        Err(CatalogError {
            row: format!("{}[{}]", self.list, self.index),
            field: field.to_owned(),
            value: value.to_string(),
            problem: problem.into(),
        })
    }

    fn source(&self, id: &str) -> Result<(), CatalogError> {
        let known = self.document.sources.contains_key(id);
        self.holds(
            known,
            "source",
            id,
            "no such id in sources; every row names its source",
        )
    }

    fn accelerator(&self, field: &str, name: &str) -> Result<(), CatalogError> {
        let known = self
            .document
            .accelerators
            .iter()
            .any(|row| row.name == name);
        self.holds(known, field, name, "no such accelerator in accelerators")
    }
}

fn accelerators(document: &CatalogDocument) -> Result<(), CatalogError> {
    let mut names = BTreeSet::new();
    for (index, accelerator) in document.accelerators.iter().enumerate() {
        let row = Row {
            document,
            list: "accelerators",
            index,
        };
        row.source(&accelerator.source)?;
        row.holds(
            names.insert(&accelerator.name),
            "name",
            &accelerator.name,
            "it is there twice",
        )?;
        row.holds(
            accelerator.usable_gib <= accelerator.nominal_gib,
            "usable_gib",
            accelerator.usable_gib,
            format!("more than the nominal {} GiB", accelerator.nominal_gib),
        )?;
    }
    Ok(())
}

fn offer(document: &CatalogDocument, index: usize, offer: &OfferRow) -> Result<(), CatalogError> {
    let row = Row {
        document,
        list: "offers",
        index,
    };
    row.source(&offer.source)?;
    row.accelerator("accelerator", &offer.accelerator)?;
    let earlier = document.offers[..index]
        .iter()
        .any(|other| other.surface == offer.surface && other.accelerator == offer.accelerator);
    row.holds(
        !earlier,
        "accelerator",
        &offer.accelerator,
        "the surface offers it in two rows",
    )?;
    let counts = format!("{:?}", offer.counts);
    match offer.surface {
        Surface::CloudRun => row.holds(
            offer.counts == [1],
            "counts",
            counts,
            "an instance has exactly one GPU",
        )?,
        _ => {}
    }
    for host in &offer.hosts {
        row.holds(
            host.min_memory_gib <= host.max_memory_gib,
            "hosts",
            format!(
                "{} vCPU, {} to {} GiB",
                host.cpu, host.min_memory_gib, host.max_memory_gib
            ),
            "the least memory is more than the most",
        )?;
    }
    Ok(())
}

fn price(document: &CatalogDocument, index: usize, price: &PriceRow) -> Result<(), CatalogError> {
    let row = Row {
        document,
        list: "prices",
        index,
    };
    row.source(&price.source)?;
    let usd = price.usd_per_second;
    row.holds(
        usd > Decimal::ZERO,
        "usd_per_second",
        usd,
        "leave the row out where no price is known",
    )?;
    let hourly = usd.checked_mul(Decimal::from(3600));
    row.holds(
        hourly.is_some_and(|hourly| hourly <= Decimal::from(DEAREST_USD_PER_HOUR)),
        "usd_per_second",
        usd,
        format!("above {DEAREST_USD_PER_HOUR} USD an hour it is a placeholder, not a price"),
    )?;
    let sold = document.offers.iter().any(|offer| {
        let item = match &price.item {
            PricedItem::Accelerator { accelerator, .. } => *accelerator == offer.accelerator,
            PricedItem::Vcpu | PricedItem::MemoryGib => true,
        };
        item && offer.surface == price.surface
            && offer
                .regions
                .iter()
                .any(|place| place.region == price.region)
    });
    row.holds(
        sold,
        "region",
        &price.region,
        "no offer has this hardware there, so nothing can be priced",
    )?;
    let same_place =
        |other: &&PriceRow| other.surface == price.surface && other.region == price.region;
    let earlier = document.prices[..index]
        .iter()
        .filter(same_place)
        .any(|other| other.item == price.item);
    row.holds(
        !earlier,
        "item",
        format!("{:?}", price.item),
        "it is priced twice at this place",
    )?;
    if let PricedItem::Accelerator {
        accelerator,
        zonal_redundancy: true,
    } = &price.item
    {
        let plain = PricedItem::Accelerator {
            accelerator: accelerator.clone(),
            zonal_redundancy: false,
        };
        let cheaper = document
            .prices
            .iter()
            .filter(same_place)
            .find(|other| other.item == plain);
        row.holds(
            cheaper.is_none_or(|plain| plain.usd_per_second <= usd),
            "usd_per_second",
            usd,
            "with zonal redundancy it cannot be cheaper than without",
        )?;
    }
    Ok(())
}

fn engine(
    document: &CatalogDocument,
    index: usize,
    engine: &EngineRow,
) -> Result<(), CatalogError> {
    let row = Row {
        document,
        list: "engines",
        index,
    };
    for id in [&engine.memory.source, &engine.host.source] {
        row.source(id)?;
    }
    for quantization in &engine.quantizations {
        row.source(&quantization.source)?;
    }
    for image in &engine.images {
        row.source(&image.source)?;
        for name in &image.accelerators {
            row.accelerator("images", name)?;
        }
    }
    for offer in &document.offers {
        let name = &offer.accelerator;
        let image = engine
            .images
            .iter()
            .any(|image| image.accelerators.contains(name));
        row.holds(
            image,
            "images",
            name,
            "it is offered, but no image of the engine runs on it",
        )?;
    }
    let mut from = None;
    for tokens in &engine.memory.batched_tokens {
        let next = tokens.from_gib;
        let ascending = from.map_or(next == 0.0, |from| next > from);
        row.holds(
            ascending,
            "batched_tokens",
            next,
            "from_gib starts at 0 and ascends",
        )?;
        from = Some(next);
    }
    Ok(())
}
