//! Files that are no sound catalogs: each refused with row, field, value and reason; no panic.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn the_embedded_catalog_passes_every_check_of_a_users_catalog() {
    let parsed =
        Catalog::parse(EMBEDDED_CATALOG.as_bytes()).expect("the embedded catalog is sound");
    assert_eq!(&parsed, Catalog::embedded());
}

/// The embedded catalog with a few shapes, so that a test can read it many times.
static SMALL: LazyLock<Value> = LazyLock::new(|| {
    let keep = [
        "n1-standard-4+nvidia-t4x1",
        "g2-standard-4",
        "g2-standard-12",
        "g4-standard-6",
        "a2-highgpu-1g",
        "a3-highgpu-1g",
        "ct6e-standard-4t/4x4",
        "cloud-run/nvidia-l4/4x16",
        "cloud-run/nvidia-l4/8x32",
        "hugging-face/nvidia-l4/x1",
    ];
    let kept = |name: &Value| name.as_str().is_some_and(|name| keep.contains(&name));
    let mut document: Value = serde_json::from_str(EMBEDDED_CATALOG).expect("JSON");
    let list = |document: &mut Value, list: &str, keep: &dyn Fn(&mut Value) -> bool| {
        let rows = document[list].as_array_mut().expect("a list");
        rows.retain_mut(|row| keep(row));
    };
    list(&mut document, "shapes", &|row| kept(&row["name"]));
    list(&mut document, "offers", &|row| {
        let shapes = row["shapes"].as_array_mut().expect("a list");
        shapes.retain(kept);
        !shapes.is_empty()
    });
    list(&mut document, "prices", &|row| {
        row["item"].get("shape").is_none_or(kept)
    });
    document
});

#[track_caller]
fn broken(pointer: &str, value: Value, expect: &str) {
    let mut document = SMALL.clone();
    *document
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("{pointer} is there")) = value;
    let error = Catalog::parse(document.to_string().as_bytes());
    let error = error.expect_err(expect).to_string();
    assert!(
        error.contains(expect),
        "{error:?} should contain {expect:?}"
    );
}

/// The place of a row in the small catalog: `prices` `{"kind":"gke_cluster"}` → `/prices/7`.
#[track_caller]
fn row(list: &str, wanted: &Value) -> usize {
    let rows = SMALL[list].as_array().expect("a list");
    let holds = |row: &Value| {
        let wanted = wanted.as_object().expect("fields");
        wanted.iter().all(|(field, value)| row[field] == *value)
    };
    rows.iter()
        .position(holds)
        .unwrap_or_else(|| panic!("{list} has {wanted}"))
}

/// The place of the row that prices a machine in us-central1.
#[track_caller]
fn price(shape: &str, option: &str) -> usize {
    let item = json!({"kind": "shape", "surface": "compute", "shape": shape});
    let rows = SMALL["prices"].as_array().expect("a list");
    let holds = |row: &Value| {
        let here = row.pointer("/usd/us-central1").is_some();
        here && row["item"] == item && row["option"] == option
    };
    (rows.iter().position(holds)).unwrap_or_else(|| panic!("{shape} has a price {option}"))
}

#[test]
fn a_broken_accelerator_or_shape_is_named_with_field_and_value() {
    broken(
        "/accelerators/2/usable_gib",
        json!(25),
        "accelerators[2]: usable_gib = 25: more than the nominal 24",
    );
    broken(
        "/accelerators/1/name",
        json!("NVIDIA-T4"),
        "accelerators[1]: name = NVIDIA-T4: nvidia-t4 has this name",
    );
    broken(
        "/accelerators/1/aliases/0",
        json!("t4"),
        "accelerators[1]: aliases = t4: nvidia-t4 has this name",
    );
    broken(
        "/accelerators/1/source",
        json!("hearsay"),
        "accelerators[1]: source = hearsay",
    );
    broken(
        "/accelerators/0/compute_capability",
        json!(null),
        "accelerators[0]: compute_capability = none",
    );
    broken(
        "/accelerators/0/devices",
        json!(3),
        "accelerators[0]: devices = 3",
    );
    let machine = row("shapes", &json!({"name": "g2-standard-12"}));
    let at = |field: &str| format!("/shapes/{machine}/{field}");
    let text = |rest: &str| format!("shapes[{machine}]: {rest}");
    broken(
        &at("accelerator"),
        json!("L4"),
        &text("accelerator = L4: no such accelerator"),
    );
    broken(
        &at("name"),
        json!("G2-standard-4"),
        &text("name = G2-standard-4: it is there twice"),
    );
    broken(&at("places"), json!("moon"), &text("places = moon"));
    broken(&at("hosts"), json!(2), &text("hosts = 2"));
    broken(&at("count"), json!(0), &text("count = 0"));
    let slice = row("shapes", &json!({"name": "ct6e-standard-4t/4x4"}));
    broken(
        &format!("/shapes/{slice}/topology"),
        json!("4x8"),
        &format!("shapes[{slice}]: topology = 4x8: its sides multiplied are not the count, 16"),
    );
    broken(
        &format!("/shapes/{slice}/topology"),
        json!("4"),
        &format!("shapes[{slice}]: topology = \"4\""),
    );
    broken(
        &format!("/shapes/{slice}/topology"),
        json!(null),
        &format!("shapes[{slice}]: topology = none"),
    );
    let part = row("shapes", &json!({"name": "g4-standard-6"}));
    broken(
        &format!("/shapes/{part}/count"),
        json!(2),
        &format!("shapes[{part}]: eighths = 1: a part of an accelerator comes alone"),
    );
    broken(
        "/places/g2/zones/0",
        json!("us-central1"),
        "places.g2: zones.0 = \"us-central1\"",
    );
    broken(
        "/places/g2/source",
        json!("hearsay"),
        "places.g2: source = hearsay",
    );
}

#[test]
fn a_broken_offer_is_named_with_field_and_value() {
    let run = row("offers", &json!({"surface": "cloud_run"}));
    let shapes = format!("/offers/{run}/shapes/0");
    broken(
        &shapes,
        json!("g2-standard-13"),
        &format!("offers[{run}]: shapes = g2-standard-13: no such shape"),
    );
    broken(
        &shapes,
        json!("g2-standard-4"),
        "cloud_run hides its machines",
    );
    broken(
        &shapes,
        json!("cloud-run/nvidia-l4/8x32"),
        "the surface offers it twice",
    );
    broken(&shapes, json!("hugging-face/nvidia-l4/x4"), "no such shape");
    broken(
        &format!("/offers/{run}/options/0"),
        json!("spot"),
        &format!("offers[{run}]: options = spot: cloud_run sells on demand only"),
    );
    broken(
        &format!("/offers/{run}/source"),
        json!("hearsay"),
        "source = hearsay",
    );
    let gke = row("offers", &json!({"surface": "gke"}));
    broken(
        &format!("/offers/{gke}/options/1"),
        json!("on_demand"),
        "options = on_demand, on_demand: one of them is there twice",
    );
    let vertex = row(
        "offers",
        &json!({"surface": "vertex", "shapes": ["a3-highgpu-1g"]}),
    );
    broken(
        &format!("/offers/{vertex}/regions"),
        json!({"us-east7": null}),
        &format!("offers[{vertex}]: regions = us-east7: a3-highgpu-1g has no zone there"),
    );
    let host = row("shapes", &json!({"name": "cloud-run/nvidia-l4/8x32"}));
    broken(
        &format!("/shapes/{host}/count"),
        json!(2),
        "has exactly one GPU",
    );
    broken(
        &format!("/shapes/{host}/min_memory_gib"),
        json!(33),
        &format!("shapes[{host}]: min_memory_gib = 33"),
    );
}

#[test]
fn a_broken_price_is_named_with_field_and_value() {
    let on_demand = price("g2-standard-12", "on_demand");
    let usd = |row: usize| format!("/prices/{row}/usd/us-central1");
    let text = |row: usize, rest: &str| format!("prices[{row}]: {rest}");
    for (value, expect) in [
        (json!("-1"), "usd.us-central1 = \"-1\""),
        (json!(1.0), "usd.us-central1 = 1.0"),
        (
            json!("0"),
            "usd.us-central1 = 0: leave it out where no price is known",
        ),
        (
            json!("700.0"),
            "usd.us-central1 = 700.0: this is how some lists write",
        ),
        (
            json!("41"),
            "usd.us-central1 = 41: its accelerators for an hour cost 0.01 to 40; this is a placeholder",
        ),
        (
            json!("0.0002"),
            "usd.us-central1 = 0.0002: its accelerators for an hour cost",
        ),
    ] {
        broken(&usd(on_demand), value, &text(on_demand, expect));
    }
    let spot = price("g2-standard-12", "spot");
    for value in ["1.000416", "1.1"] {
        broken(
            &usd(spot),
            json!(value),
            &text(
                spot,
                &format!("usd.us-central1 = {value}: spot cannot cost more than on_demand"),
            ),
        );
    }
    let year = price("g2-standard-12", "commitment_1y");
    broken(
        &usd(year),
        json!("1.1"),
        &text(
            year,
            "usd.us-central1 = 1.1: commitment_1y cannot cost more than on_demand",
        ),
    );
    let three = price("g2-standard-12", "commitment_3y");
    broken(
        &usd(three),
        json!("0.7"),
        &text(
            three,
            "usd.us-central1 = 0.7: commitment_3y cannot cost more than commitment_1y",
        ),
    );
    let at = |field: &str| format!("/prices/{on_demand}/{field}");
    broken(
        &at("usd"),
        json!({"us-east7": "1"}),
        &text(
            on_demand,
            "usd.us-east7 = g2-standard-12: no offer sells it there",
        ),
    );
    broken(&at("usd"), json!({}), &text(on_demand, "usd = nothing"));
    broken(
        &at("option"),
        json!("calendar"),
        "no offer sells it there as calendar on compute",
    );
    broken(
        &at("option"),
        json!("spot"),
        "prices the same item there already",
    );
    broken(
        &at("source"),
        json!("hearsay"),
        &text(on_demand, "source = hearsay"),
    );
    broken(
        &at("item/surface"),
        json!("gke"),
        "item.surface = gke: price GKE's nodes as compute",
    );
    broken(
        &at("item/surface"),
        json!("vertex"),
        "prices the same item there already",
    );
    broken(
        &at("item/shape"),
        json!("g2"),
        &text(on_demand, "item.shape = g2: no such shape"),
    );
    // The unit counts: a slice of 16 chips may cost what one accelerator must not.
    let slice = price("ct6e-standard-4t/4x4", "on_demand");
    broken(
        &usd(slice),
        json!("641"),
        "usd.us-central1 = 641: its accelerators for an hour cost 0.16 to 640",
    );
    // A part of an accelerator is compared by the whole one.
    let part = price("g4-standard-6", "on_demand");
    broken(
        &usd(part),
        json!("5.1"),
        "usd.us-central1 = 5.1: its accelerators for an hour cost 0.00125 to 5",
    );
    let gpu = json!({"kind": "cloud_run_accelerator", "accelerator": "nvidia-l4", "zonal_redundancy": true});
    let gpu = row("prices", &json!({"item": gpu}));
    broken(
        &usd(gpu),
        json!("0.0001"),
        &text(gpu, "usd.us-central1 = 0.0001: with zonal redundancy"),
    );
    broken(
        &format!("/prices/{gpu}/item/accelerator"),
        json!("nvidia-t4"),
        "Cloud Run has no such GPU there",
    );
    broken(
        &format!("/prices/{gpu}/usd"),
        json!({"us-west1": "0.0003"}),
        &text(
            gpu,
            "usd.us-west1 = us-west1: Cloud Run has no such GPU there",
        ),
    );
    broken(
        &format!("/prices/{gpu}/option"),
        json!("spot"),
        &text(gpu, "option = spot"),
    );
    let fee = row("prices", &json!({"item": {"kind": "gke_cluster"}}));
    broken(
        &format!("/prices/{fee}/everywhere"),
        json!("73"),
        &text(fee, "everywhere = 73"),
    );
}

#[test]
fn text_that_is_no_catalog_is_refused_with_a_place() {
    let error = Catalog::parse(b"{ \"version\": }").expect_err("not JSON");
    assert!(error.to_string().contains("line 1, column 14"), "{error}");
    assert!(Catalog::parse(b"{}").is_err());
    broken("/version", json!(1), "document: version = 1");
    // A region by the pattern of the schema, but longer than any: the type refuses it.
    let long = format!("us-{}1", "a".repeat(40));
    broken("/places/g4/regions/0", json!(long), "line 1, column");
}

/// Every place of a document that holds a value.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    let mut under = |key: &str, value: &Value| {
        let key = key.replace('~', "~0").replace('/', "~1");
        pointers(value, &format!("{at}/{key}"), all);
    };
    match value {
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(i, v)| under(&i.to_string(), v)),
        Value::Object(map) => map.iter().for_each(|(key, v)| under(key, v)),
        _ => {}
    }
    all.push(at.to_owned());
}

static POINTERS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut all = Vec::new();
    pointers(&SMALL, "", &mut all);
    all
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever a user's file holds, it is read or refused in words.
    #[test]
    fn no_catalog_makes_the_reader_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..8_u8), 1..4),
    ) {
        let mut document = SMALL.clone();
        for (to, from, how) in changes {
            let other = POINTERS[from.index(POINTERS.len())].as_str();
            let new = match how {
                0 => json!(null),
                1 => json!(""),
                2 => json!("99999999999999999999999999999999"),
                3 => json!(u64::MAX),
                4 => json!({}),
                5 => json!([]),
                // Of the right kind, more often than not: another value of the document.
                _ => SMALL.pointer(other).cloned().unwrap_or_default(),
            };
            if let Some(place) = document.pointer_mut(&POINTERS[to.index(POINTERS.len())]) {
                *place = new;
            }
        }
        match Catalog::parse(document.to_string().as_bytes()) {
            Ok(catalog) => {
                for sale in catalog.sales() {
                    prop_assert!(!catalog.lines(&sale.into()).is_empty());
                }
            }
            Err(error) => prop_assert!(!error.problem.is_empty()),
        }
    }

    /// Nor does any text that should be a shape.
    #[test]
    fn no_text_makes_the_shape_reader_panic(text in "[a-z0-9 x:/+*×.-]{0,24}|(H100|L4|v6e|tpu7x|g2-standard-4)[ :x/-]{0,2}[0-9x]{0,12}") {
        if let Err(error) = Catalog::embedded().parse_shape(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
