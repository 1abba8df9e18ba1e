//! Lookups that do not search: names to rows, and a flat list of everything that is sold.
//!
//! Made from rows that may be broken (the embedded catalog is not checked at each start), so a
//! reference that leads nowhere is left out here; the guards name it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use openmodel_schemas::catalog::{
    CatalogDocument, Confidence, OfferRow, PlacesRow, PriceRow, PricedItem, PurchaseOption,
    ShapeRow,
};
use openmodel_schemas::name::Region;
use openmodel_schemas::spec::Surface;
use rust_decimal::Decimal;

/// What Cloud Run bills by, in seconds, is compared by the hour.
pub(super) const SECONDS_PER_HOUR: Decimal = Decimal::from_parts(3600, 0, 0, false, 0);

/// One way to buy one shape, as places in the catalog's lists.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) surface: Surface,
    pub(super) shape: usize,
    pub(super) option: PurchaseOption,
    pub(super) region: Option<usize>,
    pub(super) accelerator: usize,
    pub(super) offer: usize,
    pub(super) confirmed: bool,
    pub(super) hourly: Option<Decimal>,
    pub(super) confidence: Confidence,
    pub(super) price: Option<usize>,
}

/// The lookups of a catalog.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Index {
    /// Every region that is named anywhere, sorted.
    pub(super) regions: Vec<Region>,
    /// All sales, sorted by surface, shape, option and region.
    pub(super) entries: Vec<Entry>,
    accelerators: HashMap<String, usize>,
    shapes: HashMap<String, usize>,
    /// Rows of `prices`, sorted by item and option.
    prices: Vec<usize>,
}

impl Index {
    pub(super) fn new(document: &CatalogDocument) -> Self {
        let mut prices: Vec<usize> = (0..document.prices.len()).collect();
        prices.sort_by(|&a, &b| {
            let (a, b) = (&document.prices[a], &document.prices[b]);
            (&a.item, a.option).cmp(&(&b.item, b.option))
        });
        let accelerators = document.accelerators.iter().enumerate();
        let mut index = Self {
            regions: regions(document),
            entries: Vec::new(),
            accelerators: accelerators
                .flat_map(|(at, row)| {
                    let names = std::iter::once(&row.name).chain(&row.aliases);
                    names.map(move |name| (name.to_ascii_lowercase(), at))
                })
                .collect(),
            shapes: (document.shapes.iter().enumerate())
                .map(|(at, row)| (row.name.to_ascii_lowercase(), at))
                .collect(),
            prices,
        };
        index.entries = index.sold(document);
        index.price_shapes(document);
        index.price_cloud_run(document);
        index
    }

    pub(super) fn accelerator(&self, name: &str) -> Option<usize> {
        get(&self.accelerators, name)
    }

    pub(super) fn shape(&self, name: &str) -> Option<usize> {
        get(&self.shapes, name)
    }

    pub(super) fn region(&self, region: &Region) -> Option<usize> {
        self.regions.binary_search(region).ok()
    }

    /// Rows of `prices`, sorted by item and option.
    pub(super) fn by_item(&self) -> &[usize] {
        &self.prices
    }

    pub(super) fn on(&self, surface: Surface) -> &[Entry] {
        self.run(|entry| entry.surface.cmp(&surface))
    }

    /// The entries of a surface, and the place of the first.
    pub(super) fn range_on(&self, surface: Surface) -> (u32, &[Entry]) {
        let start = self
            .entries
            .partition_point(|entry| entry.surface < surface);
        (u32::try_from(start).unwrap_or(u32::MAX), self.on(surface))
    }

    pub(super) fn of(&self, surface: Surface, shape: usize) -> &[Entry] {
        self.run(|entry| (entry.surface, entry.shape).cmp(&(surface, shape)))
    }

    pub(super) fn block(&self, surface: Surface, shape: usize, option: PurchaseOption) -> &[Entry] {
        let key = (surface, shape, option);
        self.run(|entry| (entry.surface, entry.shape, entry.option).cmp(&key))
    }

    pub(super) fn find(
        &self,
        surface: Surface,
        shape: usize,
        option: PurchaseOption,
        region: Option<usize>,
    ) -> Option<&Entry> {
        let key = (surface, shape, option, region);
        let at = self.entries.binary_search_by_key(&key, key_of).ok()?;
        self.entries.get(at)
    }

    /// The price of one unit of an item: the region's own, or else the one of everywhere.
    pub(super) fn item<'a>(
        &self,
        prices: &'a [PriceRow],
        item: &PricedItem,
        option: PurchaseOption,
        region: Option<&Region>,
    ) -> Option<(Decimal, &'a PriceRow)> {
        self.item_at(prices, item, option, region)
            .map(|(usd, at)| (usd, &prices[at]))
    }

    fn item_at(
        &self,
        prices: &[PriceRow],
        item: &PricedItem,
        option: PurchaseOption,
        region: Option<&Region>,
    ) -> Option<(Decimal, usize)> {
        let key = |at: &usize| (&prices[*at].item, prices[*at].option);
        let start = self.prices.partition_point(|at| key(at) < (item, option));
        let rows = self.prices[start..]
            .iter()
            .take_while(|at| key(at) == (item, option));
        let mut everywhere = None;
        for &at in rows {
            let row = &prices[at];
            if let Some(usd) = region.and_then(|region| row.usd.get(region)) {
                return Some((*usd, at));
            }
            everywhere = everywhere.or(row.everywhere.map(|usd| (usd, at)));
        }
        everywhere
    }

    /// Entries that an order calls equal; it must agree with that of the list.
    fn run(&self, order: impl Fn(&Entry) -> Ordering) -> &[Entry] {
        let start = self.entries.partition_point(|e| order(e).is_lt());
        let end = self.entries.partition_point(|e| order(e).is_le());
        &self.entries[start..end]
    }

    /// Everything that is sold, not yet priced.
    fn sold(&self, document: &CatalogDocument) -> Vec<Entry> {
        let places: HashMap<&str, Vec<(usize, bool)>> = (document.places.iter())
            .map(|(id, row)| (id.as_str(), self.places(row)))
            .collect();
        let mut entries = Vec::new();
        for (offer, row) in document.offers.iter().enumerate() {
            let narrower: Vec<(usize, bool)> = (row.regions.keys())
                .filter_map(|region| Some((self.region(region)?, true)))
                .collect();
            for name in &row.shapes {
                let Some(shape) = self.shape(name) else {
                    continue;
                };
                let Some(accelerator) = self.accelerator(&document.shapes[shape].accelerator)
                else {
                    continue;
                };
                let regions = regions_of(row, &document.shapes[shape], &narrower, &places);
                let nowhere = regions.is_empty().then_some((None, false));
                let somewhere = regions.iter().map(|&(region, sure)| (Some(region), sure));
                for (region, confirmed) in somewhere.chain(nowhere) {
                    entries.extend(row.options.iter().map(|&option| Entry {
                        surface: row.surface,
                        shape,
                        option,
                        region,
                        accelerator,
                        offer,
                        confirmed,
                        hourly: None,
                        confidence: Confidence::default(),
                        price: None,
                    }));
                }
            }
        }
        entries.sort_unstable_by_key(key_of);
        entries
    }

    /// The regions of a list of places, each with whether the vendor names it.
    fn places(&self, row: &PlacesRow) -> Vec<(usize, bool)> {
        let mut found = BTreeMap::new();
        let unconfirmed = row.unconfirmed.iter().map(|zone| (zone.region(), false));
        let zones = row.zones.iter().map(|zone| (zone.region(), true));
        let regions = row.regions.iter().map(|region| (region.clone(), true));
        // The sure ones last: they win.
        for (region, sure) in unconfirmed.chain(zones).chain(regions) {
            if let Some(region) = self.region(&region) {
                found.insert(region, sure);
            }
        }
        found.into_iter().collect()
    }

    fn price_shapes(&mut self, document: &CatalogDocument) {
        for (at, row) in document.prices.iter().enumerate() {
            let PricedItem::Shape { surface, shape } = &row.item else {
                continue;
            };
            let Some(shape) = self.shape(shape) else {
                continue;
            };
            let surfaces: &[Surface] = match surface {
                Surface::Compute => &[Surface::Compute, Surface::Gke],
                other => std::slice::from_ref(other),
            };
            for &surface in surfaces {
                let key = (surface, shape, row.option);
                let start = self
                    .entries
                    .partition_point(|e| (e.surface, e.shape, e.option) < key);
                // Both are sorted by region: they are merged.
                let mut usd = row.usd.iter().peekable();
                for entry in self.entries[start..]
                    .iter_mut()
                    .take_while(|e| (e.surface, e.shape, e.option) == key)
                {
                    let Some(region) = entry.region.map(|region| &self.regions[region]) else {
                        continue;
                    };
                    while usd.next_if(|(other, _)| *other < region).is_some() {}
                    if let Some((_, usd)) = usd.next_if(|(other, _)| *other == region) {
                        entry.hourly = Some(*usd);
                        entry.confidence = row.confidence;
                        entry.price = Some(at);
                    }
                }
            }
        }
    }

    fn price_cloud_run(&mut self, document: &CatalogDocument) {
        let mut entries = std::mem::take(&mut self.entries);
        let on_cloud_run = |entry: &&mut Entry| entry.surface == Surface::CloudRun;
        for entry in entries.iter_mut().filter(on_cloud_run) {
            let shape = &document.shapes[entry.shape];
            let region = entry.region.map(|region| &self.regions[region]);
            let parts = cloud_run_parts(
                &shape.accelerator,
                shape.count,
                shape.cpu,
                Decimal::from(shape.memory_gib),
                false,
            );
            entry.hourly = parts
                .iter()
                .try_fold(Decimal::ZERO, |sum, (item, quantity)| {
                    let (usd, at) = self.item_at(&document.prices, item, entry.option, region)?;
                    entry.confidence = entry.confidence.max(document.prices[at].confidence);
                    entry.price = entry.price.or(Some(at));
                    let hour = usd.checked_mul(SECONDS_PER_HOUR)?.checked_mul(*quantity)?;
                    sum.checked_add(hour.normalize())
                });
            if entry.hourly.is_none() {
                entry.price = None;
                entry.confidence = Confidence::default();
            }
        }
        self.entries = entries;
    }
}

/// The parts of a Cloud Run instance that have a price of their own, with their quantities.
pub(super) fn cloud_run_parts(
    accelerator: &str,
    count: u32,
    cpu: u32,
    memory_gib: Decimal,
    zonal_redundancy: bool,
) -> [(PricedItem, Decimal); 3] {
    let gpu = PricedItem::CloudRunAccelerator {
        accelerator: accelerator.to_owned(),
        zonal_redundancy,
    };
    [
        (gpu, Decimal::from(count)),
        (PricedItem::CloudRunVcpu, Decimal::from(cpu)),
        (PricedItem::CloudRunMemoryGib, memory_gib),
    ]
}

fn key_of(entry: &Entry) -> (Surface, usize, PurchaseOption, Option<usize>) {
    (entry.surface, entry.shape, entry.option, entry.region)
}

fn get(names: &HashMap<String, usize>, name: &str) -> Option<usize> {
    // Rows name each other in the spelling of the list; only users' texts need the fold.
    names
        .get(name)
        .or_else(|| names.get(&name.to_ascii_lowercase()))
        .copied()
}

fn regions_of<'a>(
    offer: &OfferRow,
    shape: &ShapeRow,
    narrower: &'a [(usize, bool)],
    places: &'a HashMap<&str, Vec<(usize, bool)>>,
) -> &'a [(usize, bool)] {
    if !offer.regions.is_empty() {
        return narrower;
    }
    let places = shape.places.as_deref().and_then(|id| places.get(id));
    places.map_or(&[], Vec::as_slice)
}

fn regions(document: &CatalogDocument) -> Vec<Region> {
    let places = document.places.values().flat_map(|row| {
        let zones = row.zones.iter().chain(&row.unconfirmed);
        zones
            .map(openmodel_schemas::name::Zone::region)
            .chain(row.regions.iter().cloned())
    });
    let offers = (document.offers.iter()).flat_map(|row| row.regions.keys().cloned());
    let mut regions: Vec<Region> = places.chain(offers).collect();
    regions.sort_unstable();
    regions.dedup();
    regions
}
