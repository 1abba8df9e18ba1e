//! Facts and figures of a cache as Terraform shows them.

use std::collections::BTreeMap;

use openmodel_resolve::Catalog;
use openmodel_resolve::caching::{
    AnywhereCacheLoad, CacheLoad, Origin, Place, cache_cost, load_times,
};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::report::{CacheCost, LoadEstimate, LoadTimes, Per};
use openmodel_schemas::repository::{RepositoryCard, ScanStatus};
use openmodel_schemas::spec::CacheSpec;
use openmodel_transfer::select::{Selection, Why};
use tfplug::value::{Refinement, Value};

use super::model::{CacheModel, CostModel, LoadTimeModel, StringMap, Texts};
use crate::show::amount;

/// What the Hub says of the files that are kept.
pub(crate) fn facts(card: &RepositoryCard, selection: &Selection, planned: &mut CacheModel) {
    planned.files = Value::Known(i64::try_from(selection.files.len()).unwrap_or(i64::MAX));
    planned.bytes = Value::Known(i64::try_from(selection.bytes().0).unwrap_or(i64::MAX));
    planned.left_out = left_out(selection);
    planned.license = card.licence.id().map(str::to_owned).into();
    // Scanners may be done before the apply, which plans again: until then only their last word is known.
    planned.scan_status = match card.scan {
        ScanStatus::Safe | ScanStatus::Unsafe { .. } => scan_status(card).into(),
        ScanStatus::Pending | ScanStatus::Unknown => {
            Value::Unknown(Refinement::default().with_not_null())
        }
    };
}

/// What the Hub's scanners say.
pub(crate) const fn scan_status(card: &RepositoryCard) -> &'static str {
    match card.scan {
        ScanStatus::Safe => "safe",
        ScanStatus::Unsafe { .. } => "unsafe",
        ScanStatus::Pending => "pending",
        ScanStatus::Unknown => "unknown",
    }
}

/// What it costs, where the places are known, and how fast it loads.
pub(crate) fn figures(
    spec: &CacheSpec,
    places: Option<Vec<Place>>,
    bytes: Bytes,
    catalog: &Catalog,
    planned: &mut CacheModel,
) {
    let near = spec.anywhere_cache.as_ref();
    planned.cost = places.map_or_else(
        || Value::Unknown(Refinement::default().with_not_null()),
        |places| {
            let load = CacheLoad {
                bytes,
                places,
                anywhere_cache: near.map(|near| AnywhereCacheLoad {
                    zones: near.zones.clone(),
                    bytes,
                }),
                from: Origin::Hub,
            };
            Value::Known(cost(&cache_cost(catalog, &load)))
        },
    );
    planned.load_time = Value::Known(load_time(&load_times(bytes)));
}

/// Addresses by place.
pub(crate) fn uris(spec: &CacheSpec) -> StringMap {
    let places = spec.places();
    places
        .into_iter()
        .map(|place| (place.location, Value::Known(place.uri.to_string())))
        .collect()
}

/// A list of texts.
pub(crate) fn list(items: impl IntoIterator<Item = String>) -> Value<Texts> {
    Value::Known(items.into_iter().map(Value::Known).collect())
}

/// `9 files, 16.07 GiB: the same weights in another format (7), configures Git (2)`.
fn left_out(selection: &Selection) -> Value<String> {
    let mut counts: BTreeMap<String, (Why, usize)> = BTreeMap::new();
    for file in &selection.left_out {
        let entry = counts.entry(file.why.to_string()).or_insert((file.why, 0));
        entry.1 += 1;
    }
    if counts.is_empty() {
        return Value::Null;
    }
    let bytes: Bytes = selection.left_out.iter().map(|file| file.size).sum();
    let whys: Vec<String> = counts
        .iter()
        .map(|(why, (_, count))| format!("{why} ({count})"))
        .collect();
    let files = selection.left_out.len();
    let word = if files == 1 { "file" } else { "files" };
    Value::Known(format!("{files} {word}, {}: {}", bytes, whys.join(", ")))
}

fn cost(cost: &CacheCost) -> CostModel {
    let near = cost.anywhere_cache.as_ref();
    CostModel {
        currency: cost.currency.as_str().into(),
        monthly: amount(cost.monthly),
        monthly_known: amount(Some(cost.monthly_at_least)),
        one_time: amount(cost.one_time),
        one_time_known: amount(Some(cost.one_time_at_least)),
        monthly_by_place: Value::Known(
            cost.locations
                .iter()
                .filter(|place| place.monthly.is_some())
                .map(|place| (place.location.clone(), amount(place.monthly)))
                .collect(),
        ),
        anywhere_cache_monthly: near.map_or(Value::Null, |near| amount(near.monthly)),
        price_date: cost.price_date.as_str().into(),
        basis: cost.basis.as_str().into(),
        lines: list(cost.lines.iter().map(|line| {
            let price = line
                .usd
                .map_or_else(|| "unknown".to_owned(), |usd| usd.to_string());
            let per = match line.per {
                Per::Once => "once",
                Per::Month => "a month",
                Per::Load => "each load",
            };
            format!("{}: {price} {per} ({})", line.item, line.source)
        })),
    }
}

fn load_time(times: &LoadTimes) -> LoadTimeModel {
    let ways = [
        ("hub", &times.hub),
        ("fuse", &times.fuse),
        ("streamer", &times.streamer),
        ("anywhere_cache", &times.anywhere_cache),
        ("hyperdisk_ml", &times.hyperdisk_ml),
        ("local_ssd", &times.local_ssd),
    ];
    LoadTimeModel {
        hub: seconds(&times.hub),
        fuse: seconds(&times.fuse),
        streamer: seconds(&times.streamer),
        anywhere_cache: seconds(&times.anywhere_cache),
        hyperdisk_ml: seconds(&times.hyperdisk_ml),
        local_ssd: seconds(&times.local_ssd),
        basis: Value::Known(
            ways.iter()
                .map(|(way, estimate)| ((*way).to_owned(), estimate.basis.as_str().into()))
                .collect(),
        ),
    }
}

fn seconds(estimate: &LoadEstimate) -> Value<String> {
    let range = estimate
        .seconds
        .map(|range| format!("{:.0} to {:.0} s", range.low, range.high));
    range.into()
}
