//! The market as its users meet it: published prices, what is sold and what is not, broken files.

use std::fmt::Write as _;

use openmodel_schemas::quantity::Bytes;

use super::*;

fn catalog() -> &'static Catalog {
    Catalog::embedded()
}

/// A purchase as a text: `compute g2-standard-12 on_demand us-central1`.
#[track_caller]
fn sale(text: &str) -> Option<Sale<'static>> {
    let words: Vec<&str> = text.split(' ').collect();
    let [surface, shape, option, region] = words[..] else {
        panic!("{text:?} has four words")
    };
    let surface = Surface::ALL.into_iter().find(|s| s.as_str() == surface);
    let option = PurchaseOption::ALL
        .into_iter()
        .find(|o| o.as_str() == option);
    catalog().sale(
        surface.expect("a surface"),
        catalog().shape(shape).expect("a shape"),
        option.expect("an option"),
        &region.parse().expect("a region"),
    )
}

#[track_caller]
fn costs(text: &str, usd: &str) {
    let sale = sale(text).unwrap_or_else(|| panic!("{text} is sold"));
    let hourly = sale.hourly.map(|usd| usd.0.to_string());
    assert_eq!(hourly.as_deref(), Some(usd), "{text}");
    let priced = catalog().hourly(&sale.into()).expect("it is priced");
    assert_eq!(Some(priced.hourly), sale.hourly, "{text}");
    assert_eq!(priced.confidence, sale.confidence, "{text}");
}

#[track_caller]
fn unpriced(text: &str) {
    let sale = sale(text).unwrap_or_else(|| panic!("{text} is sold"));
    assert_eq!(sale.hourly, None, "{text}");
    assert_eq!(catalog().hourly(&sale.into()), None, "{text}");
}

#[track_caller]
fn not_sold(text: &str) {
    assert_eq!(sale(text), None, "{text}");
}

#[test]
fn prices_are_the_published_ones() {
    costs("compute a3-highgpu-8g on_demand us-central1", "88.49");
    costs("gke a3-highgpu-8g on_demand us-central1", "88.49");
    costs("compute g2-standard-12 on_demand us-central1", "1.000416");
    costs("compute g4-standard-48 on_demand us-central1", "4.49993");
    costs("compute g4-standard-6 on_demand us-central1", "0.64688");
    costs("compute a4-highgpu-8g flex_start us-central1", "64.44");
    costs("compute a4-highgpu-8g calendar us-central1", "90.22");
    costs("compute a4-highgpu-8g spot us-central1", "39.63");
    costs("compute a3-highgpu-1g spot us-central1", "6.571");
    costs("compute ct6e-standard-1t on_demand us-central1", "2.7");
    costs("gke ct6e-standard-4t/4x4 on_demand us-central1", "43.2");
    costs("gke ct6e-standard-8t commitment_3y us-central1", "9.76");
    costs("compute tpu7x-standard-1t on_demand us-central1", "12");
    costs(
        "hugging_face hugging-face/nvidia-l4/x4 on_demand us-east4",
        "3.8",
    );
    costs(
        "cloud_run cloud-run/nvidia-l4/4x16 on_demand us-central1",
        "1.04652",
    );
    costs(
        "cloud_run cloud-run/nvidia-l4/8x32 on_demand us-central1",
        "1.42092",
    );
    // The rule of 1.15, where the result is published.
    costs("vertex a3-highgpu-8g on_demand us-west1", "101.007336");
}

#[test]
fn components_are_summed_where_both_are_known() {
    let n1 = sale("compute n1-standard-8+nvidia-v100x1 on_demand asia-east1").expect("sold");
    assert_eq!(
        n1.hourly.map(|usd| usd.to_string()).as_deref(),
        Some("$2.9200/h")
    );
    assert_eq!(n1.confidence, Confidence::Medium);
    // An accelerator's price without a host's is none.
    unpriced("compute a3-ultragpu-8g spot us-south1");
    unpriced("compute a3-ultragpu-8g flex_start us-central1");
}

#[test]
fn what_is_not_sold_has_no_sale_and_what_has_no_price_no_zero() {
    not_sold("compute a4-highgpu-8g on_demand us-central1");
    not_sold("gke a3-ultragpu-8g on_demand us-central1");
    not_sold("gke a3-highgpu-1g on_demand us-west1");
    costs("vertex a3-highgpu-1g on_demand us-west1", "12.625917");
    not_sold("vertex a3-highgpu-1g spot us-west1");
    not_sold("compute tpu7x-standard-1t on_demand europe-west2");
    not_sold("cloud_run cloud-run/nvidia-l4/4x16 on_demand us-west1");
    unpriced("cloud_run cloud-run/nvidia-rtx-pro-6000/20x80 on_demand us-central1");
    unpriced("cloud_run cloud-run/nvidia-l4/4x16 on_demand europe-west4");
    unpriced("vertex a3-ultragpu-8g on_demand us-central1");
}

#[test]
fn machines_are_found_by_their_parts() {
    let l4 = catalog().accelerator("L4");
    let found = |machine, count| -> Vec<&str> {
        let shapes = catalog().shapes_with(machine, l4, count);
        shapes.map(|shape| shape.name.as_str()).collect()
    };
    assert_eq!(found(Some("g2-standard-48"), Some(4)), ["g2-standard-48"]);
    assert_eq!(found(None, Some(2)), ["g2-standard-24"]);
    assert_eq!(found(Some("n1-standard-8"), None), [""; 0]);
}

#[test]
fn what_is_known_less_surely_says_so() {
    let sure = |text| sale(text).expect("sold").confidence;
    assert_eq!(
        sure("gke g2-standard-4 on_demand us-east4"),
        Confidence::High
    );
    assert_eq!(sure("gke g2-standard-4 spot us-east4"), Confidence::Medium);
    assert_eq!(
        sure("vertex g2-standard-4 on_demand us-east4"),
        Confidence::Medium
    );
    assert_eq!(
        sure("gke g4-standard-48 on_demand us-east4"),
        Confidence::Medium
    );
    assert_eq!(
        sure("gke g4-standard-6 on_demand us-east4"),
        Confidence::Low
    );
    assert_eq!(
        sure("gke g4-standard-6 on_demand us-central1"),
        Confidence::High
    );
    let v6e = |region: &str| sale(&format!("gke ct6e-standard-1t on_demand {region}"));
    assert!(v6e("us-east5").expect("sold").confirmed);
    assert!(!v6e("us-west1").expect("sold").confirmed);
    let l4 = sale("cloud_run cloud-run/nvidia-l4/4x16 on_demand us-central1").expect("sold");
    assert_eq!(l4.note(), Some("by invitation"));
    // Sold, but nobody says where.
    let a4x = catalog().shape("a4x-highgpu-4g").expect("a machine");
    let sales: Vec<_> = catalog().sales_of(Surface::Gke, a4x).collect();
    assert_eq!((sales.len(), sales[0].region), (1, None));
    assert_eq!(catalog().regions_of(Surface::Gke, a4x).count(), 0);
}

#[test]
fn memory_and_speed_are_those_of_one_device() {
    let ironwood = catalog().accelerator("v7x").expect("Ironwood");
    assert_eq!((ironwood.devices, ironwood.usable_gib), (2, 94.75));
    assert_eq!(ironwood.tflops.bf16.to_string(), "1153.5");
    assert_eq!(ironwood.bandwidth_gb_s.to_string(), "3685");
    let fraction = catalog().shape("g4-standard-6").expect("a machine");
    assert_eq!((fraction.count, fraction.eighths), (1, 1));
    for (alias, name) in [
        ("NVIDIA_TESLA_A100", "nvidia-a100-40gb"),
        ("nvidia-tesla-t4", "nvidia-t4"),
        ("h100m", "nvidia-h100-mega-80gb"),
        ("H100", "nvidia-h100-80gb"),
        ("tpu-v5-lite-podslice", "tpu-v5e"),
        ("RTXPRO6000", "nvidia-rtx-pro-6000"),
    ] {
        let found = catalog().accelerator(alias).map(|row| row.name.as_str());
        assert_eq!(found, Some(name), "{alias}");
    }
    assert_eq!(catalog().accelerator("P100"), None);
}

#[test]
fn the_cheapest_region_is_the_cheapest() {
    let shape = catalog().shape("g2-standard-12").expect("a machine");
    let best = catalog().cheapest(Surface::Gke, shape, PurchaseOption::OnDemand);
    let best = best.expect("priced somewhere");
    for sale in catalog().sales_of(Surface::Gke, shape) {
        if sale.option == PurchaseOption::OnDemand {
            assert!(sale.hourly.is_none_or(|usd| best.hourly <= Some(usd)));
        }
    }
    let rtx = catalog()
        .shape("cloud-run/nvidia-rtx-pro-6000/20x80")
        .expect("it");
    let none = catalog().cheapest(Surface::CloudRun, rtx, PurchaseOption::OnDemand);
    assert_eq!(none, None);
    let regions: Vec<_> = catalog().regions_of(Surface::CloudRun, rtx).collect();
    assert_eq!(regions.len(), 4);
    assert!(regions.is_sorted());
}

#[test]
fn regional_and_global_items_have_prices() {
    let region: Region = "europe-west4".parse().expect("a region");
    let price = |item: PricedItem| {
        let found = catalog().item(&item, PurchaseOption::OnDemand, Some(&region));
        found.map(|(usd, _)| usd.to_string())
    };
    let class = |class: &str| PricedItem::StorageGib {
        class: class.to_owned(),
    };
    assert_eq!(price(PricedItem::GkeCluster).as_deref(), Some("0.1"));
    assert_eq!(price(class("STANDARD")).as_deref(), Some("0.02"));
    assert_eq!(price(class("ARCHIVE")), None);
    assert_eq!(price(PricedItem::AnywhereCacheGib), None);
    let disk = "pd-balanced".to_owned();
    assert_eq!(price(PricedItem::DiskGib { disk }).as_deref(), Some("0.11"));
}

#[track_caller]
fn lines(text: &str) -> String {
    let purchase = Purchase::from(sale(text).expect("it is sold"));
    shown(&purchase)
}

fn shown(purchase: &Purchase<'_>) -> String {
    let mut text = String::new();
    for line in catalog().lines(purchase) {
        let hourly = line
            .hourly
            .map_or("unknown".to_owned(), |usd| usd.to_string());
        writeln!(text, "{} | {hourly} | {}", line.item, line.source).expect("a string");
    }
    text + catalog().price_date(purchase)
}

#[test]
fn cost_lines_name_unit_price_and_source() {
    insta::assert_snapshot!(lines("cloud_run cloud-run/nvidia-l4/4x16 on_demand us-central1"), @r"
    1 x nvidia-l4 (no zonal redundancy) | $0.6721/h | $0.0001867 per second (cloud.google.com/run/pricing, 2026-08)
    4 vCPU | $0.2592/h | $0.000018 per vCPU-second (cloud.google.com/run/pricing, 2026-08)
    16 GiB memory | $0.1152/h | $0.000002 per GiB-second (cloud.google.com/run/pricing, 2026-08)
    2026-08
    ");
    insta::assert_snapshot!(lines("cloud_run cloud-run/nvidia-rtx-pro-6000/20x80 on_demand us-central1"), @r"
    1 x nvidia-rtx-pro-6000 (no zonal redundancy) | unknown | no price known in us-central1 (catalog of 2026-11-20)
    20 vCPU | $1.2960/h | $0.000018 per vCPU-second (cloud.google.com/run/pricing, 2026-08)
    80 GiB memory | $0.5760/h | $0.000002 per GiB-second (cloud.google.com/run/pricing, 2026-08)
    2026-08
    ");
    insta::assert_snapshot!(lines("compute g2-standard-12 spot us-central1"), @r"
    1 x g2-standard-12 (Spot) | $0.5624/h | $0.562408 per hour (Cloud Billing Catalog, as exported by Cyclenerd, 2026-07-30; medium confidence)
    2026-07-30
    ");
    insta::assert_snapshot!(lines("gke n1-standard-16+nvidia-t4x2 on_demand us-central1"), @r"
    1 x n1-standard-16 with 2 x nvidia-t4 (on demand) | $1.4600/h | $1.459996 per hour (the n1 host's price in the Cloud Billing Catalog plus its accelerators' in SkyPilot's catalog, 2026-07-30; medium confidence)
    management of the GKE cluster | $0.1000/h | $0.1 per cluster and hour (cloud.google.com/kubernetes-engine/pricing, 2026-09-07); one for the whole cluster, in no replica's cost
    2026-07-30
    ");
    insta::assert_snapshot!(lines("gke ct6e-standard-4t/4x4 commitment_1y us-central1"), @r"
    4 x ct6e-standard-4t, topology 4x4 (1-year commitment) | $30.2400/h | $1.89 per chip-hour (cloud.google.com/tpu/pricing, 2026-09-07)
    management of the GKE cluster | $0.1000/h | $0.1 per cluster and hour (cloud.google.com/kubernetes-engine/pricing, 2026-09-07); one for the whole cluster, in no replica's cost
    2026-09-07
    ");
    insta::assert_snapshot!(lines("vertex g2-standard-12 on_demand us-central1"), @r"
    1 x g2-standard-12 (on demand) | $1.1505/h | $1.150479 per node-hour (1.15 x the Compute Engine price without bundled local SSD, the rule behind Vertex AI's published prices of n1-standard-4 and a3-highgpu-8g, 2026-07-30; medium confidence)
    2026-07-30
    ");
    insta::assert_snapshot!(lines("vertex ct6e-standard-1t on_demand us-central1"), @r"
    1 x ct6e-standard-1t (on demand) | $3.1050/h | $3.105 per node-hour (1.15 x the TPU chip-hour; that the rule of 1.15 holds for TPUs is not known, 2026-09-07; low confidence)
    2026-09-07
    ");
    insta::assert_snapshot!(lines("hugging_face hugging-face/nvidia-a100-80gb/x2 on_demand us-east4"), @r"
    1 replica with 2 x nvidia-a100-80gb (on demand) | $7.2000/h | $7.2 per replica-hour (huggingface/hf-endpoints-documentation:pricing.md@6b7307a, 2026-05-19)
    2026-05-19
    ");
}

#[test]
fn a_cloud_run_host_of_another_size_is_priced_by_its_parts() {
    let sale = sale("cloud_run cloud-run/nvidia-l4/8x32 on_demand us-central1").expect("sold");
    let purchase = Purchase {
        cpu: 8,
        memory: Bytes::gib(16),
        zonal_redundancy: true,
        ..sale.into()
    };
    let priced = catalog().hourly(&purchase).expect("priced");
    assert_eq!(priced.hourly.0.to_string(), "1.68084");
    let extra = catalog().zonal_redundancy(&purchase).expect("priced");
    assert_eq!(extra.0.to_string(), "0.37512");
    insta::assert_snapshot!(shown(&purchase), @r"
    1 x nvidia-l4 (zonal redundancy) | $1.0472/h | $0.0002909 per second (cloud.google.com/run/pricing, 2026-08)
    8 vCPU | $0.5184/h | $0.000018 per vCPU-second (cloud.google.com/run/pricing, 2026-08)
    16 GiB memory | $0.1152/h | $0.000002 per GiB-second (cloud.google.com/run/pricing, 2026-08)
    2026-08
    ");
}

#[test]
fn a_sum_is_as_old_as_its_oldest_part_and_no_surer_than_its_least_sure() {
    let mut document = catalog().document().clone();
    let vcpu = |row: &&mut PriceRow| row.item == PricedItem::CloudRunVcpu;
    let row = document.prices.iter_mut().find(vcpu).expect("a price");
    "hf-prices".clone_into(&mut row.source);
    row.confidence = Confidence::Low;
    let catalog = Catalog::new(document);
    let sale = sale("cloud_run cloud-run/nvidia-l4/4x16 on_demand us-central1").expect("sold");
    let priced = catalog.hourly(&sale.into()).expect("priced");
    assert_eq!(priced.confidence, Confidence::Low);
    let date = priced.source.map(|source| source.date.as_str());
    assert_eq!(date, Some("2026-05-19"));
    assert_eq!(catalog.price_date(&sale.into()), "2026-05-19");
}

#[test]
fn every_price_is_at_a_sale_and_every_sale_is_found_again() {
    let mut shapes = 0;
    for row in &catalog().document().prices {
        if let PricedItem::Shape { surface, .. } = row.item {
            // Compute Engine's stand for GKE's too.
            shapes += row.usd.len() * if surface == Surface::Compute { 2 } else { 1 };
        }
    }
    let priced = |sale: &Sale<'_>| sale.hourly.is_some() && sale.surface != Surface::CloudRun;
    assert_eq!(catalog().sales().filter(priced).count(), shapes);
    for sale in catalog().sales() {
        if let Some(region) = sale.region {
            let again = catalog().sale(sale.surface, sale.shape, sale.option, region);
            assert_eq!(again, Some(sale));
        }
    }
}
