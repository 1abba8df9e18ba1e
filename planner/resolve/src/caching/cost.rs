//! What a cache costs: storage by the month, transfer once, Anywhere Cache while it is full.
//!
//! ```text
//!   Hub ──free──► places[0] ──inter-region──► places[1..]      once
//!                    │ storage                  │ storage      a month
//!                    └──ingest──► Anywhere Cache, by zone       once; a month
//! ```
//!
//! A part whose price the catalog does not have is not known, and neither is the sum it is in; what
//! is known of that sum is said beside it.

use openmodel_schemas::catalog::{PriceRow, PricedItem, PurchaseOption};
use openmodel_schemas::name::{Region, Zone};
use openmodel_schemas::quantity::{Bytes, Usd, UsdPerHour};
use openmodel_schemas::report::{AnywhereCacheCost, CacheCost, CacheCostLine, LocationCost, Per};
use rust_decimal::Decimal;

use crate::market::Catalog;

/// What a cache keeps, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheLoad {
    /// The snapshot's files.
    pub bytes: Bytes,
    /// Where they are kept; all but the first are copies of the first.
    pub places: Vec<Place>,
    /// Anywhere Cache before them, where it is asked for.
    pub anywhere_cache: Option<AnywhereCacheLoad>,
    /// Where the first place has them from.
    pub from: Origin,
}

/// A bucket's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Region, multi-region or dual-region, in capitals or not: `us-central1`, `EU`, `nam4`.
    pub location: String,
    /// Storage class, in capitals or not: `STANDARD`.
    pub storage_class: String,
    /// Earlier snapshots of the cache that stay there.
    pub earlier: Vec<Earlier>,
}

/// An earlier snapshot: a copy of its own, whatever it shares with the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// The beginning of its commit.
    pub commit: String,
    /// Its files; none where its manifest is gone.
    pub bytes: Option<Bytes>,
}

/// What Anywhere Cache is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnywhereCacheLoad {
    /// Its zones.
    pub zones: Vec<Zone>,
    /// What each of them holds when it is full.
    pub bytes: Bytes,
}

/// Where the first place has the files from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The Hub, or anywhere outside of Google Cloud.
    Hub,
    /// A bucket in this location, which has them already.
    Bucket(String),
}

/// What a cache costs, by the prices of a catalog.
///
/// ```
/// use openmodel_resolve::Catalog;
/// use openmodel_resolve::caching::{CacheLoad, Origin, Place, cache_cost};
/// use openmodel_schemas::quantity::Bytes;
///
/// let place = |location: &str| Place {
///     location: location.to_owned(),
///     storage_class: "STANDARD".to_owned(),
///     earlier: Vec::new(),
/// };
/// let load = CacheLoad {
///     bytes: Bytes::gib(100),
///     places: vec![place("us-central1"), place("europe-west4")],
///     anywhere_cache: None,
///     from: Origin::Hub,
/// };
/// let cost = cache_cost(Catalog::embedded(), &load);
/// // 100 GiB x 2 x $0.02 a month; one copy over the Atlantic at $0.05 a GiB.
/// assert_eq!(cost.monthly.expect("priced").to_string(), "$4.00");
/// assert_eq!(cost.one_time.expect("priced").to_string(), "$5.00");
/// ```
#[must_use]
pub fn cache_cost(catalog: &Catalog, load: &CacheLoad) -> CacheCost {
    let mut bill = Bill {
        catalog,
        lines: Vec::new(),
        oldest: None,
    };
    let locations: Vec<LocationCost> = (load.places.iter().enumerate())
        .map(|(index, place)| {
            let from = match (&load.from, load.places.first()) {
                (Origin::Bucket(location), _) if index == 0 => Some(location),
                (_, Some(first)) if index > 0 => Some(&first.location),
                _ => None,
            };
            bill.place(
                load.bytes,
                place,
                from.map(|location| location.to_lowercase()),
            )
        })
        .collect();
    let anywhere_cache = (load.anywhere_cache.as_ref()).map(|cache| bill.anywhere(cache));
    let (monthly, monthly_at_least) = sum(&bill.lines, Per::Month);
    let (one_time, one_time_at_least) = sum(&bill.lines, Per::Once);
    CacheCost {
        currency: catalog.document().currency.clone(),
        locations,
        monthly,
        monthly_at_least,
        one_time,
        one_time_at_least,
        basis: basis(load, anywhere_cache.is_some()),
        anywhere_cache,
        price_date: bill.oldest.unwrap_or_else(|| catalog.date()).to_owned(),
        lines: bill.lines,
    }
}

/// The sum of the lines of a kind, where all are known, and of those that are.
fn sum(lines: &[CacheCostLine], per: Per) -> (Option<Usd>, Usd) {
    let mine = || lines.iter().filter(|line| line.per == per);
    let known = Usd(mine().filter_map(|line| line.usd).map(|usd| usd.0).sum());
    let all = mine().all(|line| line.usd.is_some());
    (all.then_some(known), known)
}

fn basis(load: &CacheLoad, anywhere: bool) -> String {
    let mut said = format!(
        "{} in each place, before credits and discounts. Operations are not counted. A bucket with \
         soft delete bills deleted snapshots for 7 more days, by default.",
        load.bytes
    );
    let standard = |place: &Place| place.storage_class.eq_ignore_ascii_case("STANDARD");
    if !load.places.iter().all(standard) {
        said +=
            " Classes other than STANDARD bill a least time of storage too, which is not counted.";
    }
    if anywhere {
        said += " Anywhere Cache bills what it holds: a month is one that is full throughout, and what \
                 was dropped after its time to live is paid for again when it is filled again.";
    }
    said
}

/// The lines so far.
struct Bill<'a> {
    catalog: &'a Catalog,
    lines: Vec<CacheCostLine>,
    /// The day of the oldest price.
    oldest: Option<&'a str>,
}

/// What a part costs for a GiB.
enum Price<'a> {
    /// By a row of the catalog; so many units of it.
    Row(Decimal, &'a PriceRow),
    /// Nothing, and why.
    Free(&'static str),
    /// Not known, and why.
    Unknown(String),
}

impl<'a> Bill<'a> {
    /// A place with what it costs; the files come from a bucket in another one, or else the Hub.
    fn place(&mut self, bytes: Bytes, place: &Place, from: Option<String>) -> LocationCost {
        let location = place.location.to_lowercase();
        let class = place.storage_class.to_uppercase();
        let region: Option<Region> = location.parse().ok();
        let standard = class == "STANDARD";

        let storage = |bill: &Self| match &region {
            Some(region) => {
                let item = PricedItem::StorageGib {
                    class: class.clone(),
                };
                bill.price(
                    &item,
                    Some(region),
                    &format!("{class} storage in {location}"),
                )
            }
            None if standard => {
                let item = PricedItem::MultiRegionStorageGib {
                    location: location.clone(),
                };
                bill.price(&item, None, &format!("storage in {location}"))
            }
            None => bill.unknown(&format!("{class} storage in {location}")),
        };
        let unit = ("GiB and month", Decimal::ONE);
        let what = format!("{bytes} of {class} storage in {location}");
        let price = storage(self);
        let mut monthly = self.line(Per::Month, what, bytes, price, unit);
        for earlier in &place.earlier {
            let (what, price) = match earlier.bytes {
                Some(bytes) => (bytes.to_string(), storage(self)),
                None => (
                    "what is left".to_owned(),
                    Price::Unknown("its manifest is gone".to_owned()),
                ),
            };
            let what = format!(
                "{what} of {class} storage in {location}: the earlier snapshot {}",
                earlier.commit
            );
            let usd = self.line(
                Per::Month,
                what,
                earlier.bytes.unwrap_or_default(),
                price,
                unit,
            );
            monthly = monthly.zip(usd).map(|(all, usd)| Usd(all.0 + usd.0));
        }

        let (what, transfer) = self.transfer(bytes, &location, region.as_ref(), from);
        let transfer = self.line(Per::Once, what, bytes, transfer, ("GiB", Decimal::ONE));

        let reading = match &region {
            _ if !standard => self.unknown(&format!("the retrieval of {class} from {location}")),
            Some(_) => Price::Free("machines of its region read it without charge"),
            None => {
                let item = PricedItem::MultiRegionReadGib {
                    location: location.clone(),
                };
                self.price(&item, None, &format!("reads from {location}"))
            }
        };
        let what = format!("{bytes} read from {location} by a machine in it");
        let load = self.line(Per::Load, what, bytes, reading, ("GiB", Decimal::ONE));
        LocationCost {
            location,
            storage_class: class,
            monthly,
            transfer,
            load,
        }
    }

    /// What moves the files to a place, and its price.
    fn transfer(
        &self,
        bytes: Bytes,
        to: &str,
        region: Option<&Region>,
        from: Option<String>,
    ) -> (String, Price<'a>) {
        let Some(from) = from else {
            let what = format!("{bytes} from the Hub to {to}");
            // What is written to several regions is replicated between them, for a fee.
            let price = match region {
                Some(_) => Price::Free("data into Cloud Storage is without charge"),
                None => self.unknown(&format!("the replication between the regions of {to}")),
            };
            return (what, price);
        };
        let what = format!("{bytes} from {from} to {to}");
        if from == to {
            return (
                what,
                Price::Free("copies within a location are without charge"),
            );
        }
        let pair = format!("data from {from} to {to}");
        let Some(region) = region else {
            return (what, self.unknown(&pair));
        };
        let price = match from.parse::<Region>() {
            Ok(source) => match (continent(&source), continent(region)) {
                (Some(here), Some(there)) => {
                    let to = if here == there {
                        "same-continent"
                    } else {
                        there
                    };
                    let item = PricedItem::EgressGib { to: to.to_owned() };
                    self.price(&item, Some(&source), &pair)
                }
                _ => self.unknown(&pair),
            },
            Err(_) if from == "us" && region.as_str().starts_with("us-") => {
                let item = PricedItem::MultiRegionReadGib { location: from };
                self.price(&item, None, &pair)
            }
            Err(_) => self.unknown(&pair),
        };
        (what, price)
    }

    fn anywhere(&mut self, cache: &AnywhereCacheLoad) -> AnywhereCacheCost {
        let bytes = cache.bytes;
        let month = UsdPerHour(Decimal::ONE).per_month().0;
        let (mut monthly, mut fill, mut loads) = (Vec::new(), Vec::new(), Vec::new());
        for zone in &cache.zones {
            let region = zone.region();
            let at = |what: &str| format!("{what} Anywhere Cache in {region}");
            let storage = self.price(
                &PricedItem::AnywhereCacheGib,
                Some(&region),
                &at("storage of"),
            );
            let ingest = self.price(
                &PricedItem::AnywhereCacheIngestGib,
                Some(&region),
                &at("the ingest of"),
            );
            let read = self.price(
                &PricedItem::AnywhereCacheReadGib,
                Some(&region),
                &at("reads from"),
            );
            let what = format!("{bytes} in Anywhere Cache in {zone}, full for 730 hours");
            monthly.push(self.line(Per::Month, what, bytes, storage, ("GiB and hour", month)));
            let what = format!("{bytes} into Anywhere Cache in {zone}");
            fill.push(self.line(Per::Once, what, bytes, ingest, ("GiB", Decimal::ONE)));
            let what = format!("{bytes} read from Anywhere Cache in {zone}");
            loads.push(self.line(Per::Load, what, bytes, read, ("GiB", Decimal::ONE)));
        }
        let total = |parts: Vec<Option<Usd>>| {
            parts
                .into_iter()
                .try_fold(Usd::default(), |sum, part| Some(Usd(sum.0 + part?.0)))
        };
        AnywhereCacheCost {
            zones: cache.zones.iter().map(Zone::to_string).collect(),
            monthly: total(monthly),
            fill: total(fill),
            load: loads
                .into_iter()
                .collect::<Option<Vec<Usd>>>()
                .and_then(|all| all.into_iter().max()),
        }
    }

    /// The catalog's price of an item, called `what` where there is none.
    fn price(&self, item: &PricedItem, region: Option<&Region>, what: &str) -> Price<'a> {
        match self.catalog.item(item, PurchaseOption::OnDemand, region) {
            Some((usd, row)) => Price::Row(usd, row),
            None => self.unknown(what),
        }
    }

    fn unknown(&self, what: &str) -> Price<'a> {
        let date = self.catalog.date();
        Price::Unknown(format!("no price known of {what} (catalog of {date})"))
    }

    /// Write a line, and say what it comes to. `unit` names what the price is of, and how many of it a GiB
    /// takes.
    fn line(
        &mut self,
        per: Per,
        item: String,
        bytes: Bytes,
        price: Price<'a>,
        unit: (&str, Decimal),
    ) -> Option<Usd> {
        let (usd, source) = match price {
            Price::Row(usd, row) => {
                let date = self
                    .catalog
                    .source(&row.source)
                    .map(|source| source.date.as_str());
                self.oldest = [self.oldest, date].into_iter().flatten().min();
                let source = format!(
                    "${} per {} ({})",
                    usd.normalize(),
                    unit.0,
                    self.catalog.whence(row)
                );
                let gib = Decimal::from(bytes.0) / Decimal::from(1_u64 << 30);
                // As the endpoint's storage is rounded.
                let usd = usd.checked_mul(unit.1).and_then(|usd| usd.checked_mul(gib));
                (usd.map(|usd| Usd(usd.round_dp(4).normalize())), source)
            }
            Price::Free(why) => (Some(Usd::default()), why.to_owned()),
            Price::Unknown(why) => (None, why),
        };
        self.lines.push(CacheCostLine {
            item,
            per,
            usd,
            source,
        });
        usd
    }
}

/// The continent of a region, by the word that prices of transfer have for it; `None` where they have
/// none.
fn continent(region: &Region) -> Option<&'static str> {
    let (area, _) = region.as_str().split_once('-')?;
    Some(match area {
        "us" | "northamerica" => "north-america",
        "southamerica" => "south-america",
        "europe" => "europe",
        "asia" => "asia",
        "australia" => "australia",
        "africa" => "africa",
        "me" => "middle-east",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
