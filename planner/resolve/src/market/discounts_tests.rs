//! A user's terms: what they take off, in which order, and what no terms are.

use openmodel_schemas::catalog::PurchaseOption;
use openmodel_schemas::quantity::UsdPerHour;
use openmodel_schemas::spec::Surface;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::Catalog;
use crate::testing::catalog;

fn with(terms: &Value) -> Catalog {
    let catalog = catalog().clone();
    catalog
        .with_discounts(terms.to_string().as_bytes())
        .expect("the terms are sound")
}

/// What replicas of a shape add to an hour's bill, with the lines that say why.
fn added(
    terms: &Value,
    (surface, shape, option): (Surface, &str, PurchaseOption),
    replicas: u32,
) -> String {
    let catalog = with(terms);
    let shape = catalog.shape(shape).expect("a shape");
    let region = "us-central1".parse().expect("a region");
    let sale = catalog
        .sale(surface, shape, option, &region)
        .expect("it is sold");
    let hourly = sale.hourly.expect("it is priced");
    let rest = catalog
        .added(&sale, hourly, replicas)
        .expect("there are terms");
    let lines = catalog.taken_off(&sale, hourly, replicas);
    // What is left and what is taken off are the whole.
    let off: Decimal = lines
        .iter()
        .map(|line| line.hourly.expect("an amount").0)
        .sum();
    assert_eq!(rest.0 - off, (hourly * replicas).0);
    let head = format!("{} -> {rest}", hourly * replicas);
    let lines = lines.iter().map(|line| {
        let usd = line.hourly.expect("an amount");
        format!("  {usd}  {} ({})", line.item, line.source)
    });
    let lines: Vec<String> = std::iter::once(head).chain(lines).collect();
    lines.join("\n")
}

const A3: (Surface, &str, PurchaseOption) =
    (Surface::Gke, "a3-highgpu-8g", PurchaseOption::OnDemand);

fn all_terms() -> Value {
    json!({
        "version": 1,
        "discounts": [
            {"name": "list", "percent": "5"},
            {"name": "h100", "percent": "12.5", "accelerators": ["H100"], "regions": ["us-central1"]},
        ],
        "paid": [
            {"name": "prod", "kind": "reservation", "shape": "a3-highgpu-8g", "region": "us-central1", "free": 2},
        ],
        "committed_spending": [
            {"name": "flex", "unused_hourly": "7.2", "percent": "28", "surfaces": ["compute", "gke"]},
        ],
    })
}

#[test]
fn paid_machines_come_first_then_committed_spending_then_the_largest_discount() {
    insta::assert_snapshot!(added(&all_terms(), A3, 3), @"
    $265.4700/h -> $68.6788/h
      -$176.9800/h  reservation prod: 2 of 2 free a3-highgpu-8g (paid whether used or not, by the discount file)
      -$10.0000/h  committed spending flex (paid whether used or not, by the discount file)
      -$9.8113/h  discount h100: 12.5 % of $78.4900/h (by the discount file)
    ");
    insta::assert_snapshot!(added(&all_terms(), A3, 1), @"
    $88.4900/h -> $0.0000/h
      -$88.4900/h  reservation prod: 1 of 2 free a3-highgpu-8g (paid whether used or not, by the discount file)
    ");
}

#[test]
fn machines_are_paid_on_demand_on_compute_engine_and_gke_alone() {
    let spot = (A3.0, A3.1, PurchaseOption::Spot);
    insta::assert_snapshot!(added(&all_terms(), spot, 1), @"
    $50.6095/h -> $44.2833/h
      -$6.3262/h  discount h100: 12.5 % of $50.6095/h (by the discount file)
    ");
    let vertex = (Surface::Vertex, A3.1, PurchaseOption::OnDemand);
    insta::assert_snapshot!(added(&all_terms(), vertex, 1), @"
    $101.0073/h -> $88.3814/h
      -$12.6259/h  discount h100: 12.5 % of $101.0073/h (by the discount file)
    ");
}

#[test]
fn terms_of_other_places_and_machines_take_nothing_off() {
    let other = json!({
        "version": 1,
        "discounts": [
            {"name": "tpu", "percent": "50", "accelerators": ["v6e"]},
            {"name": "east", "percent": "50", "regions": ["us-east4"]},
            {"name": "spot", "percent": "50", "options": ["spot"]},
            {"name": "run", "percent": "50", "surfaces": ["cloud_run"]},
        ],
        "paid": [
            {"name": "east", "kind": "commitment", "shape": "a3-highgpu-8g", "region": "europe-west4", "free": 9},
            {"name": "used", "kind": "commitment", "shape": "a3-highgpu-8g", "region": "us-central1", "free": 0},
        ],
    });
    insta::assert_snapshot!(added(&other, A3, 1), @"$88.4900/h -> $88.4900/h");
}

#[test]
fn no_committed_dollar_is_spent_on_two_machines() {
    let catalog = with(&json!({
        "version": 1,
        "committed_spending": [
            {"name": "flex", "unused_hourly": "1", "percent": "50", "surfaces": ["compute"]},
        ],
    }));
    let region = "us-central1".parse().expect("a region");
    let sale = |name| {
        let shape = catalog.shape(name).expect("a shape");
        let option = PurchaseOption::OnDemand;
        catalog
            .sale(Surface::Compute, shape, option, &region)
            .expect("it is sold")
    };
    let (l4, two) = (sale("g2-standard-12"), sale("g2-standard-24"));
    let hourly = |sale: &super::Sale| sale.hourly.expect("it is priced");
    let machines = [(&l4, hourly(&l4), 1), (&two, hourly(&two), 1)];
    let (rest, lines) = catalog.bill(&machines).expect("there are terms");
    // A dollar of the commitment covers two of the list, and no more.
    let all = hourly(&l4).0 + hourly(&two).0;
    assert_eq!(rest.0, all - Decimal::from(2));
    assert_eq!(lines.len(), 2);
}

#[test]
fn without_a_file_nothing_is_said_of_the_bill() {
    let catalog = catalog();
    let sale = catalog.sales_on(Surface::Gke).next().expect("a sale");
    assert_eq!(catalog.added(&sale, UsdPerHour(Decimal::ONE), 1), None);
    assert!(!catalog.has_discounts());
}

#[test]
fn broken_terms_are_refused_with_row_field_and_value() {
    let refused = |terms: Value| {
        let catalog = catalog().clone();
        let error = catalog.with_discounts(terms.to_string().as_bytes());
        error.expect_err("broken").to_string()
    };
    let discount = |field: &str, value: Value| {
        let mut row = json!({"name": "edp", "percent": "10"});
        row[field] = value;
        refused(json!({"version": 1, "discounts": [row]}))
    };
    let paid = |shape: &str| {
        let row = json!({"name": "r", "kind": "reservation", "shape": shape, "region": "us-central1", "free": 1});
        refused(json!({"version": 1, "paid": [row]}))
    };
    let all = [
        discount("percent", json!("0")),
        discount("percent", json!("101")),
        discount("percent", json!(10)),
        discount("percent", json!("-3")),
        discount("accelerators", json!(["H101"])),
        discount("regions", json!(["moon"])),
        discount("surfaces", json!(["lambda"])),
        discount("coupon", json!(true)),
        discount("regions", json!(["us-central9"])),
        paid("a3-highgpu-9g"),
        paid("v6e 2x4"),
        refused(json!({"version": 1, "paid": [
            {"name": "r", "kind": "reservation", "shape": "a3-highgpu-8g", "region": "us-east4", "free": 1}
        ]})),
        refused(json!({"version": 1, "paid": [
            {"name": "r", "kind": "reservation", "shape": "a3-highgpu-8g", "region": "us-central1", "free": 1},
            {"name": "r", "kind": "reservation", "shape": "a3-highgpu-8g", "region": "us-central1", "free": 1}
        ]})),
        refused(json!({"version": 1, "committed_spending": [
            {"name": "flex", "unused_hourly": "1", "percent": "100", "surfaces": ["gke"]}
        ]})),
        refused(json!({"version": 2})),
        refused(json!([])),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    the discount file is broken at discounts[0]: percent = 0: a discount is above 0 and at most 100 percent
    the discount file is broken at discounts[0]: percent = 101: a discount is above 0 and at most 100 percent
    the discount file is broken at discounts[0]: percent = 10: 10 is not of type "string"
    the discount file is broken at discounts[0]: percent = "-3": "-3" does not match "^[0-9]{1,6}(\.[0-9]{1,12})?$"
    the discount file is broken at discounts[0]: accelerators = H101: the catalog has no accelerator of this name
    the discount file is broken at discounts[0]: regions.0 = "moon": "moon" does not match "^[a-z]+-[a-z0-9-]*[0-9]$"
    the discount file is broken at discounts[0]: surfaces.0 = "lambda": "lambda" is not one of "cloud_run", "vertex" or 3 other candidates
    the discount file is broken at discounts[0]: discounts/0 = {"coupon":true,"name":"edp","percent":"10"}: Additional properties are not allowed ('coupon' was unexpected)
    the discount file is broken at discounts[0]: regions = us-central9: the catalog sells nothing in a region of this name
    the discount file is broken at paid[0]: shape = a3-highgpu-9g: "a3-highgpu-9g" is no shape: write a machine type such as g2-standard-12, accelerators such as "nvidia-l4 x4", or a TPU slice such as "v6e 2x4"; did you mean a3-highgpu-1g, a3-highgpu-2g or a3-highgpu-4g?
    the discount file is broken at paid[0]: shape = v6e 2x4: it means several shapes: name one of ct6e-standard-8t, ct6e-standard-4t/2x4
    the discount file is broken at paid[0]: region = us-east4: a3-highgpu-8g is not there
    the discount file is broken at paid[1]: name = r: it is stated twice; add up what is free in one row
    the discount file is broken at committed_spending[0]: percent = 100: committed usage still costs something: below 100 percent
    the discount file is broken at document: version = 2: 2 is greater than the maximum of 1
    the discount file is broken at document: document = []: [] is not of type "object"
    "#);
}
