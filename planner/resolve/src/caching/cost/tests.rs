//! Costs reckoned by hand, and what is said where a price is missing.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;

const FIXTURE: &[u8] = include_bytes!("../../../fixtures/catalog-2026-11-20.json");

/// The fixture with these prices alone of storage and what leaves it.
fn priced(rows: &[Value]) -> Catalog {
    let mut document: Value = serde_json::from_slice(FIXTURE).expect("the fixture is JSON");
    let prices = document["prices"].as_array_mut().expect("it has prices");
    prices.retain(|row| {
        let kind = row["item"]["kind"].as_str().expect("a kind");
        !["storage", "cache", "egress"]
            .iter()
            .any(|word| kind.contains(word))
    });
    prices.extend_from_slice(rows);
    Catalog::parse(document.to_string().as_bytes()).expect("it is sound")
}

/// Prices of a few places: each item with its units, where the list has them from, how sure it is.
fn catalog() -> &'static Catalog {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
        let rows = json!([
            [{"kind": "storage_gib", "class": "STANDARD"}, "billing-catalog", "high", {
                "us-central1": "0.02", "us-east1": "0.02", "europe-west1": "0.02", "europe-west4": "0.02",
                "asia-east1": "0.02", "asia-southeast1": "0.02", "australia-southeast1": "0.023"
            }],
            [{"kind": "storage_gib", "class": "NEARLINE"}, "billing-catalog", "high", {"us-central1": "0.01"}],
            [{"kind": "multi_region_storage_gib", "location": "us"}, "billing-catalog", "high", "0.026"],
            [{"kind": "multi_region_storage_gib", "location": "eu"}, "billing-catalog", "high", "0.026"],
            [{"kind": "multi_region_storage_gib", "location": "nam4"}, "billing-catalog", "high", "0.044"],
            [{"kind": "multi_region_read_gib", "location": "us"}, "from-memory", "low", "0.02"],
            [{"kind": "egress_gib", "to": "same-continent"}, "from-memory", "low", {
                "us-central1": "0.02", "us-east1": "0.02", "europe-west1": "0.02", "asia-east1": "0.08"
            }],
            [{"kind": "egress_gib", "to": "europe"}, "from-memory", "low", {"us-central1": "0.05"}],
            [{"kind": "egress_gib", "to": "asia"}, "from-memory", "low", {"europe-west4": "0.08"}],
            [{"kind": "anywhere_cache_gib"}, "storage-page", "medium", {"us-central1": "0.0003", "us-east1": "0.0003"}],
            [{"kind": "anywhere_cache_ingest_gib"}, "storage-page", "medium", {"us-central1": "0.0032", "us-east1": "0.0032"}],
            [{"kind": "anywhere_cache_read_gib"}, "storage-page", "medium", {"us-central1": "0.0006", "us-east1": "0.0006"}],
        ]);
        let row = |row: &Value| {
            let (item, usd) = (&row[0], &row[3]);
            let field = if usd.is_string() { "everywhere" } else { "usd" };
            json!({"item": item, "option": "on_demand", field: usd, "confidence": row[2], "source": row[1]})
        };
        let rows: Vec<Value> = rows.as_array().expect("rows").iter().map(row).collect();
        priced(&rows)
    });
    &CATALOG
}

fn load(bytes: Bytes, places: &[(&str, &str)]) -> CacheLoad {
    let place = |(location, class): &(&str, &str)| Place {
        location: (*location).to_owned(),
        storage_class: (*class).to_owned(),
        earlier: Vec::new(),
    };
    CacheLoad {
        bytes,
        places: places.iter().map(place).collect(),
        anywhere_cache: None,
        from: Origin::Hub,
    }
}

fn standard(locations: &[&str]) -> CacheLoad {
    let places: Vec<_> = locations.iter().map(|name| (*name, "STANDARD")).collect();
    load(Bytes::gib(100), &places)
}

fn with_anywhere(load: CacheLoad, zones: &[&str]) -> CacheLoad {
    let zone = |name: &&str| name.parse().expect("a zone");
    CacheLoad {
        anywhere_cache: Some(AnywhereCacheLoad {
            zones: zones.iter().map(zone).collect(),
            bytes: load.bytes,
        }),
        ..load
    }
}

/// What a user would see of it.
fn picture(load: &CacheLoad) -> String {
    let cost = cache_cost(catalog(), load);
    let usd = |usd: Option<Usd>| usd.map_or("unknown".to_owned(), |usd| format!("${}", usd.0));
    let lines: Vec<String> = (cost.lines.iter())
        .map(|line| {
            format!(
                "{} | {} | {} | {}",
                line.per.as_str(),
                usd(line.usd),
                line.item,
                line.source
            )
        })
        .collect();
    format!(
        "{}\nmonthly {} (at least {}), one-time {} (at least {})",
        lines.join("\n"),
        usd(cost.monthly),
        usd(Some(cost.monthly_at_least)),
        usd(cost.one_time),
        usd(Some(cost.one_time_at_least)),
    )
}

#[track_caller]
fn check(load: &CacheLoad, monthly: Option<&str>, one_time: Option<&str>) {
    let cost = cache_cost(catalog(), load);
    let text = |usd: Option<Usd>| usd.map(|usd| usd.0.to_string());
    let found = (text(cost.monthly), text(cost.one_time));
    let expect = (monthly.map(str::to_owned), one_time.map(str::to_owned));
    assert_eq!(found, expect, "{:#?}", cost.lines);
}

#[test]
fn storage_is_bytes_in_gib_times_the_price_of_the_place() {
    // 16,060,522,496 B / 2^30 = 14.957527 GiB; x $0.02 = $0.29915, to four places.
    let llama = load(Bytes(16_060_522_496), &[("us-central1", "STANDARD")]);
    check(&llama, Some("0.2992"), Some("0"));
    // 100 GiB: x 0.01 nearline; 0.026 and 0.044 in several regions, whose replication has no price.
    check(
        &load(Bytes::gib(100), &[("US-CENTRAL1", "nearline")]),
        Some("1"),
        Some("0"),
    );
    check(&standard(&["EU"]), Some("2.6"), None);
    check(&standard(&["NAM4"]), Some("4.4"), None);
    check(&standard(&[]), Some("0"), Some("0"));
}

#[test]
fn earlier_snapshots_cost_their_storage_again_where_their_size_is_known() {
    let mut load = standard(&["us-central1"]);
    let earlier = |bytes| Earlier {
        commit: "0e9e39f".to_owned(),
        bytes,
    };
    load.places[0].earlier.push(earlier(Some(Bytes::gib(50))));
    // $2 of the newest, $1 of the earlier.
    check(&load, Some("3"), Some("0"));
    let cost = cache_cost(catalog(), &load);
    assert_eq!(cost.locations[0].monthly, cost.monthly);
    load.places[0].earlier.push(earlier(None));
    check(&load, None, Some("0"));
    let known = cache_cost(catalog(), &load).monthly_at_least;
    assert_eq!(known.0.to_string(), "3");
}

#[test]
fn copies_cost_by_the_pair_of_continents() {
    // 100 GiB x $0.02 within America, 0.05 over the Atlantic, 0.08 to Asia and within it.
    check(
        &standard(&["us-central1", "us-east1"]),
        Some("4"),
        Some("2"),
    );
    check(
        &standard(&["us-central1", "europe-west4"]),
        Some("4"),
        Some("5"),
    );
    check(
        &standard(&["europe-west4", "asia-east1"]),
        Some("4"),
        Some("8"),
    );
    check(
        &standard(&["asia-east1", "asia-southeast1"]),
        Some("4"),
        Some("8"),
    );
    // Two copies of the first: 2 + 5. 100 x (0.02 + 0.02 + 0.02) a month.
    check(
        &standard(&["us-central1", "us-east1", "europe-west4"]),
        Some("6"),
        Some("7"),
    );
    // Nobody states what leaves Asia, nor what Sydney costs to reach; its storage is 0.023.
    check(&standard(&["asia-east1", "us-central1"]), Some("4"), None);
    check(
        &standard(&["us-central1", "australia-southeast1"]),
        Some("4.3"),
        None,
    );
}

#[test]
fn what_a_bucket_has_is_copied_from_there() {
    let from = |location: &str, places: &[&str]| CacheLoad {
        from: Origin::Bucket(location.to_owned()),
        ..standard(places)
    };
    check(&from("us-central1", &["us-central1"]), Some("2"), Some("0"));
    check(&from("US-EAST1", &["us-central1"]), Some("2"), Some("2"));
    // From Iowa to Belgium 5, and from there on to the Netherlands 2.
    check(
        &from("us-central1", &["europe-west1", "europe-west4"]),
        Some("4"),
        Some("7"),
    );
    // 100 x 0.02 from several regions to one of them; to another continent nobody says.
    check(&from("US", &["us-central1"]), Some("2"), Some("2"));
    check(&from("us", &["europe-west4"]), Some("2"), None);
}

#[test]
fn anywhere_cache_is_full_for_a_month_in_each_zone() {
    // 100 GiB x $0.0003 x 730 h = $21.90 a zone, x 2 = 43.80, with 2 x 2 for storage = 47.80.
    // Filling: 100 x 0.0032 x 2 = 0.64, and the copy 2. Reading one zone: 100 x 0.0006 = 0.06.
    let load = with_anywhere(
        standard(&["us-central1", "us-east1"]),
        &["us-central1-a", "us-east1-b"],
    );
    insta::assert_snapshot!(picture(&load), @"
    month | $2 | 100.00 GiB of STANDARD storage in us-central1 | $0.02 per GiB and month (Cyclenerd/google-cloud-pricing-cost-calculator:pricing.yml@fd66b26, 2026-07-30)
    once | $0 | 100.00 GiB from the Hub to us-central1 | data into Cloud Storage is without charge
    load | $0 | 100.00 GiB read from us-central1 by a machine in it | machines of its region read it without charge
    month | $2 | 100.00 GiB of STANDARD storage in us-east1 | $0.02 per GiB and month (Cyclenerd/google-cloud-pricing-cost-calculator:pricing.yml@fd66b26, 2026-07-30)
    once | $2 | 100.00 GiB from us-central1 to us-east1 | $0.02 per GiB (Remembered from Google's network price page, in no source at hand, 2026; low confidence)
    load | $0 | 100.00 GiB read from us-east1 by a machine in it | machines of its region read it without charge
    month | $21.9 | 100.00 GiB in Anywhere Cache in us-central1-a, full for 730 hours | $0.0003 per GiB and hour (Cloud Storage price page, stored copy; US prices, 2026; medium confidence)
    once | $0.32 | 100.00 GiB into Anywhere Cache in us-central1-a | $0.0032 per GiB (Cloud Storage price page, stored copy; US prices, 2026; medium confidence)
    load | $0.06 | 100.00 GiB read from Anywhere Cache in us-central1-a | $0.0006 per GiB (Cloud Storage price page, stored copy; US prices, 2026; medium confidence)
    month | $21.9 | 100.00 GiB in Anywhere Cache in us-east1-b, full for 730 hours | $0.0003 per GiB and hour (Cloud Storage price page, stored copy; US prices, 2026; medium confidence)
    once | $0.32 | 100.00 GiB into Anywhere Cache in us-east1-b | $0.0032 per GiB (Cloud Storage price page, stored copy; US prices, 2026; medium confidence)
    load | $0.06 | 100.00 GiB read from Anywhere Cache in us-east1-b | $0.0006 per GiB (Cloud Storage price page, stored copy; US prices, 2026; medium confidence)
    monthly $47.8 (at least $47.8), one-time $2.64 (at least $2.64)
    ");
    let cost = cache_cost(catalog(), &load);
    let anywhere = cost.anywhere_cache.expect("it is asked for");
    let usd = |cents| Some(Usd(Decimal::new(cents, 2)));
    assert_eq!(
        (anywhere.monthly, anywhere.fill, anywhere.load),
        (usd(4380), usd(64), usd(6))
    );
}

#[test]
fn a_total_with_an_unknown_part_is_unknown_and_says_what_is_known() {
    // Anywhere Cache has prices in the US alone.
    let load = with_anywhere(
        standard(&["us", "europe-west4"]),
        &["us-central1-a", "europe-west4-a"],
    );
    insta::assert_snapshot!(picture(&load), @"
    month | $2.6 | 100.00 GiB of STANDARD storage in us | $0.026 per GiB and month (Cyclenerd/google-cloud-pricing-cost-calculator:pricing.yml@fd66b26, 2026-07-30)
    once | unknown | 100.00 GiB from the Hub to us | no price known of the replication between the regions of us (catalog of 2026-11-20)
    load | $2 | 100.00 GiB read from us by a machine in it | $0.02 per GiB (Remembered from Google's network price page, in no source at hand, 2026; low confidence)
    month | $2 | 100.00 GiB of STANDARD storage in europe-west4 | $0.02 per GiB and month (Cyclenerd/google-cloud-pricing-cost-calculator:pricing.yml@fd66b26, 2026-07-30)
    once | unknown | 100.00 GiB from us to europe-west4 | no price known of data from us to europe-west4 (catalog of 2026-11-20)
    load | $0 | 100.00 GiB read from europe-west4 by a machine in it | machines of its region read it without charge
    month | $21.9 | 100.00 GiB in Anywhere Cache in us-central1-a, full for 730 hours | $0.0003 per GiB and hour (Cloud Storage price page, stored copy; US prices, 2026; medium confidence)
    once | $0.32 | 100.00 GiB into Anywhere Cache in us-central1-a | $0.0032 per GiB (Cloud Storage price page, stored copy; US prices, 2026; medium confidence)
    load | $0.06 | 100.00 GiB read from Anywhere Cache in us-central1-a | $0.0006 per GiB (Cloud Storage price page, stored copy; US prices, 2026; medium confidence)
    month | unknown | 100.00 GiB in Anywhere Cache in europe-west4-a, full for 730 hours | no price known of storage of Anywhere Cache in europe-west4 (catalog of 2026-11-20)
    once | unknown | 100.00 GiB into Anywhere Cache in europe-west4-a | no price known of the ingest of Anywhere Cache in europe-west4 (catalog of 2026-11-20)
    load | unknown | 100.00 GiB read from Anywhere Cache in europe-west4-a | no price known of reads from Anywhere Cache in europe-west4 (catalog of 2026-11-20)
    monthly unknown (at least $26.5), one-time unknown (at least $0.32)
    ");
}

#[test]
fn a_catalog_without_prices_of_storage_knows_none() {
    let bare = priced(&[]);
    let load = with_anywhere(standard(&["us-central1", "us-east1"]), &["us-central1-a"]);
    let cost = cache_cost(&bare, &load);
    assert_eq!(
        (cost.monthly, cost.monthly_at_least),
        (None, Usd::default())
    );
    assert_eq!(cost.one_time, None);
    assert_eq!(cost.price_date, bare.date());
    for line in cost.lines.iter().filter(|line| line.usd.is_none()) {
        assert!(line.source.starts_with("no price known of "), "{line:?}");
    }
}

#[test]
fn a_place_or_class_that_has_no_price_is_named() {
    let load = load(
        Bytes::gib(1),
        &[
            ("us-central1", "ARCHIVE"),
            ("moon-north1", "STANDARD"),
            ("eu", "NEARLINE"),
        ],
    );
    let cost = cache_cost(catalog(), &load);
    let why: Vec<&str> = (cost.lines.iter())
        .filter(|line| line.per == Per::Month)
        .map(|line| line.source.as_str())
        .collect();
    insta::assert_snapshot!(why.join("\n"), @"
    no price known of ARCHIVE storage in us-central1 (catalog of 2026-11-20)
    no price known of STANDARD storage in moon-north1 (catalog of 2026-11-20)
    no price known of NEARLINE storage in eu (catalog of 2026-11-20)
    ");
    assert!(
        cost.basis.contains("a least time of storage"),
        "{}",
        cost.basis
    );
}

#[test]
fn the_embedded_catalog_prices_a_cache_in_full() {
    let load = with_anywhere(standard(&["us-central1"]), &["us-central1-a"]);
    let cost = cache_cost(Catalog::embedded(), &load);
    assert!(
        cost.monthly.is_some() && cost.one_time.is_some(),
        "{:#?}",
        cost.lines
    );
    let reads = cache_cost(Catalog::embedded(), &standard(&["us"]));
    assert!(reads.locations[0].load.is_some(), "{:#?}", reads.lines);
}

#[test]
fn deleted_snapshots_are_billed_for_a_week_and_the_oldest_price_dates_it() {
    let cost = cache_cost(catalog(), &standard(&["us-central1", "us-east1"]));
    insta::assert_snapshot!(format!("{}\n{}", cost.basis, cost.price_date), @"
    100.00 GiB in each place, before credits and discounts. Operations are not counted. A bucket with soft delete bills deleted snapshots for 7 more days, by default.
    2026
    ");
}
