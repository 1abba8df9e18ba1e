//! Where buckets lie: regions, pairs of regions, continents.
//!
//! Source: <https://cloud.google.com/storage/docs/locations> (2026).

use super::Error;

const CONTINENTS: [&str; 3] = ["ASIA", "EU", "US"];
const PAIRS: [&str; 6] = ["ASIA1", "EUR4", "EUR5", "EUR7", "EUR8", "NAM4"];
const REGIONS: [&str; 43] = [
    "AFRICA-SOUTH1",
    "ASIA-EAST1",
    "ASIA-EAST2",
    "ASIA-NORTHEAST1",
    "ASIA-NORTHEAST2",
    "ASIA-NORTHEAST3",
    "ASIA-SOUTH1",
    "ASIA-SOUTH2",
    "ASIA-SOUTHEAST1",
    "ASIA-SOUTHEAST2",
    "AUSTRALIA-SOUTHEAST1",
    "AUSTRALIA-SOUTHEAST2",
    "EUROPE-CENTRAL2",
    "EUROPE-NORTH1",
    "EUROPE-NORTH2",
    "EUROPE-SOUTHWEST1",
    "EUROPE-WEST1",
    "EUROPE-WEST10",
    "EUROPE-WEST12",
    "EUROPE-WEST2",
    "EUROPE-WEST3",
    "EUROPE-WEST4",
    "EUROPE-WEST6",
    "EUROPE-WEST8",
    "EUROPE-WEST9",
    "ME-CENTRAL1",
    "ME-CENTRAL2",
    "ME-WEST1",
    "NORTHAMERICA-NORTHEAST1",
    "NORTHAMERICA-NORTHEAST2",
    "NORTHAMERICA-SOUTH1",
    "SOUTHAMERICA-EAST1",
    "SOUTHAMERICA-WEST1",
    "US-CENTRAL1",
    "US-EAST1",
    "US-EAST4",
    "US-EAST5",
    "US-SOUTH1",
    "US-WEST1",
    "US-WEST2",
    "US-WEST3",
    "US-WEST4",
    "US-WEST8",
];

/// A location in capitals, as the API shows it.
pub(super) fn check(name: &str) -> Result<String, Error> {
    let name = name.to_ascii_uppercase();
    let known = [CONTINENTS.as_slice(), &PAIRS, &REGIONS].concat();
    if known.contains(&name.as_str()) {
        return Ok(name);
    }
    let text = format!("The specified location constraint is not valid: {name}");
    Err(Error::legacy(400, None, &text))
}

/// `locationType` of a location.
pub(super) fn kind(name: &str) -> &'static str {
    match name {
        name if CONTINENTS.contains(&name) => "multi-region",
        name if PAIRS.contains(&name) => "dual-region",
        _ => "region",
    }
}

/// Whether a zone lies in a location. Of a pair it is not known which regions it has: any will do.
pub(super) fn holds(location: &str, zone: &str) -> bool {
    let zone = zone.to_ascii_uppercase();
    let Some((region, _)) = zone
        .rsplit_once('-')
        .filter(|(region, _)| REGIONS.contains(region))
    else {
        return false;
    };
    match location {
        "US" => region.starts_with("US-"),
        "EU" => region.starts_with("EUROPE-"),
        "ASIA" => region.starts_with("ASIA-"),
        pair if PAIRS.contains(&pair) => true,
        one => one == region,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_lies_in_its_region_and_continent() {
        assert!(holds("US-CENTRAL1", "us-central1-a") && holds("US", "us-central1-a"));
        assert!(!holds("US-EAST1", "us-central1-a") && !holds("EU", "us-central1-a"));
        assert!(!holds("US", "us-central1") && !holds("US", "us-nowhere9-a"));
        assert_eq!(check("us-central1").expect("a region"), "US-CENTRAL1");
        assert_eq!(check("mars").expect_err("none").code(), 400);
        assert_eq!(
            (kind("US"), kind("NAM4"), kind("US-EAST1")),
            ("multi-region", "dual-region", "region")
        );
    }
}
