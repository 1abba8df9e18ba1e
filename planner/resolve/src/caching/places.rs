//! The places where Cloud Storage keeps objects.

use std::collections::BTreeSet;

use openmodel_schemas::catalog::PricedItem;

use crate::market::Catalog;

/// Multi-regions, and the dual-regions that Google chose
/// (<https://cloud.google.com/storage/docs/locations>, 2026).
const LARGE: [&str; 9] = [
    "asia", "eu", "us", "asia1", "eur4", "eur5", "eur7", "eur8", "nam4",
];

/// Every place by its name in small letters: the regions with a price of storage, and the larger places.
/// Empty where the catalog has no prices of storage: then nobody knows which regions there are.
#[must_use]
pub fn storage_locations(catalog: &Catalog) -> BTreeSet<String> {
    let rows = catalog.document().prices.iter();
    let storage = rows.filter(|row| matches!(row.item, PricedItem::StorageGib { .. }));
    let mut places: BTreeSet<String> = storage
        .flat_map(|row| row.usd.keys())
        .map(ToString::to_string)
        .collect();
    if !places.is_empty() {
        places.extend(LARGE.map(str::to_owned));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_and_larger_places_are_known() {
        let places = storage_locations(Catalog::embedded());
        for place in ["us-central1", "europe-west4", "us", "nam4"] {
            assert!(places.contains(place), "{place}");
        }
        assert!(!places.contains("us-central9"));
    }
}
