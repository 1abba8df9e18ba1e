//! The catalog: what can be bought where and for how much, each row with its source and date.
//!
//! ```text
//!   sources ◄─ accelerators ◄─ shapes (machines, slices) ◄─ offers (surface × shape × option)
//!      ▲                          │ places                        ▲
//!      │                          └► place lists                  └─ prices (no row: unpriced)
//! ```
//!
//! These are the rows as they are written down. The planner's `Catalog` is made from them
//! after the cross-checks that no schema can express. `catalog/build/from_facts.py` writes the
//! embedded one.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

#[cfg(test)]
use crate::fresh::SurfaceWord;
use crate::name::{Region, Zone};
use crate::spec::Surface;

/// The catalog that ships in the binary.
pub const EMBEDDED_CATALOG: &str = include_str!("../catalog/catalog.json");

/// The JSON Schema of a catalog, for a user's own file.
pub const CATALOG_SCHEMA: &str = include_str!("../json/catalog.schema.json");

/// A catalog as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CatalogDocument {
    /// Where the schema of this document lies.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Version of this format; 2.
    #[cfg_attr(test, schemars(range(min = 2, max = 2)))]
    pub version: u32,
    /// The day the catalog was put together, as `2026-11-20`.
    #[cfg_attr(
        test,
        schemars(regex(pattern = r"^20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"))
    )]
    pub date: String,
    /// ISO currency code of all prices; `USD`.
    #[cfg_attr(test, schemars(regex(pattern = "^USD$")))]
    pub currency: String,
    /// Where facts come from, by the id that rows name.
    pub sources: BTreeMap<String, Source>,
    /// Accelerators.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub accelerators: Vec<AcceleratorRow>,
    /// Where hardware stands, by the id that shapes name.
    pub places: BTreeMap<String, PlacesRow>,
    /// Machines and slices.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub shapes: Vec<ShapeRow>,
    /// What surfaces sell.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub offers: Vec<OfferRow>,
    /// Prices. What has no row here is unpriced.
    pub prices: Vec<PriceRow>,
}

/// Where a fact comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What it is.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub name: String,
    /// Its address: a URL, or a repository with a path.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub at: String,
    /// The day it was read or made, as exactly as known: `2026`, `2026-08` or `2026-08-21`.
    #[cfg_attr(
        test,
        schemars(regex(pattern = r"^20\d\d(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$"))
    )]
    pub date: String,
}

/// What an accelerator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AcceleratorKind {
    /// An NVIDIA GPU.
    Gpu,
    /// A Google TPU.
    Tpu,
}

/// An accelerator. Figures are of one *device*, which is what an engine sees: a GPU, a TPU chip,
/// or one of the two devices of an Ironwood chip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AcceleratorRow {
    /// Its one name here: `nvidia-l4`, `tpu-v6e`.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub name: String,
    /// Other names that surfaces and users give it: `L4`, `NVIDIA_L4`, `v6e`, `tpu-v6e-slice`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// GPU or TPU.
    pub kind: AcceleratorKind,
    /// Devices an engine sees in one accelerator; 2 for an Ironwood chip.
    #[cfg_attr(test, schemars(range(min = 1, max = 2)))]
    pub devices: u32,
    /// Memory by the data sheet, in GiB.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub nominal_gib: f64,
    /// Memory that an engine can see, in GiB; less than nominal.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub usable_gib: f64,
    /// Whether `usable_gib` is an estimate and no measurement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub usable_estimated: bool,
    /// NVIDIA compute capability without its dot: 89 for 8.9. None on TPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(range(min = 10, max = 999)))]
    pub compute_capability: Option<u32>,
    /// Memory bandwidth, in GB/s (10^9).
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub bandwidth_gb_s: f64,
    /// Dense arithmetic speed.
    pub tflops: TflopsRow,
    /// How devices of one host talk to each other.
    pub interconnect: InterconnectRow,
    /// Value of GKE's node label (`cloud.google.com/gke-accelerator` for GPUs,
    /// `cloud.google.com/gke-tpu-accelerator` for TPUs), where GKE has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gke_label: Option<String>,
    /// Vertex AI's `AcceleratorType`, where Vertex names it (TPUs go by machine type).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vertex_type: Option<String>,
    /// Id of the source.
    pub source: String,
}

/// Dense arithmetic speed of one device in TFLOP/s (TOP/s for integers); 0 where the hardware
/// has no such unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TflopsRow {
    /// bfloat16; 0 on GPUs before Ampere.
    pub bf16: f64,
    /// IEEE half precision.
    pub fp16: f64,
    /// 8-bit floating point.
    pub fp8: f64,
    /// 4-bit floating point.
    pub fp4: f64,
    /// 8-bit integers.
    pub int8: f64,
}

/// How devices of one host talk to each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InterconnectRow {
    /// The link.
    pub kind: InterconnectKind,
    /// Bandwidth of one device, in GB/s; 0 where it stands alone.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub gb_s: f64,
}

/// A link between devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum InterconnectKind {
    /// The host's PCI Express.
    Pcie,
    /// NVIDIA's own link between GPUs.
    Nvlink,
    /// The TPUs' inter-chip interconnect.
    Ici,
}

/// A machine with its accelerators, or a TPU slice of several hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ShapeRow {
    /// Its one name here: the machine type where that says it all (`g2-standard-12`), with the
    /// accelerators (`n1-standard-8+nvidia-t4x1`) or topology (`ct6e-standard-4t/4x4`) where not,
    /// and `cloud-run/nvidia-l4/4x16`, `hugging-face/nvidia-l4/x1` where a surface hides its
    /// machines.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub name: String,
    /// Compute Engine machine type; none where the surface hides its machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<String>,
    /// The accelerator's name.
    pub accelerator: String,
    /// Accelerators (GPUs or TPU chips) in all hosts together.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub count: u32,
    /// Eighths of one accelerator where the machine has only a part of it; 8 is a whole one.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    #[cfg_attr(test, schemars(range(min = 1, max = 8)))]
    pub eighths: u32,
    /// Hosts.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub hosts: u32,
    /// TPU topology: `2x4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        test,
        schemars(regex(pattern = "^[1-9][0-9]{0,2}(x[1-9][0-9]{0,2}){1,2}$"))
    )]
    pub topology: Option<String>,
    /// vCPUs of one host.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub cpu: u32,
    /// Most memory of one host, in GiB.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub memory_gib: u32,
    /// Least memory of one host, in GiB, where the surface lets one choose (Cloud Run).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_memory_gib: Option<u32>,
    /// Local SSD of one host, in GiB, whose price is in the machine's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub local_ssd_gib: u32,
    /// Id in `places` of the zones that have it. None: no list of its zones is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places: Option<String>,
    /// Id of the source.
    pub source: String,
}

const fn whole() -> u32 {
    8
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_whole(eighths: &u32) -> bool {
    *eighths == 8
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(gib: &u32) -> bool {
    *gib == 0
}

/// Where hardware stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PlacesRow {
    /// Zones that have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(with = "Vec<ZoneText>"))]
    pub zones: Vec<Zone>,
    /// Zones that one unofficial list names and the vendor's does not: there may be none, or it
    /// may take an invitation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(with = "Vec<ZoneText>"))]
    pub unconfirmed: Vec<Zone>,
    /// Regions that have it where their zones are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(with = "Vec<RegionText>"))]
    pub regions: Vec<Region>,
    /// Id of the source.
    pub source: String,
}

/// How capacity is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PurchaseOption {
    /// By the second, for as long as wanted.
    OnDemand,
    /// Spare capacity that can be taken back.
    Spot,
    /// Dynamic Workload Scheduler, flex-start: up to seven days, when there is capacity.
    FlexStart,
    /// Dynamic Workload Scheduler, calendar mode: booked days.
    Calendar,
    /// One-year commitment.
    #[serde(rename = "commitment_1y")]
    Commitment1y,
    /// Three-year commitment.
    #[serde(rename = "commitment_3y")]
    Commitment3y,
}

impl PurchaseOption {
    /// All of them, the plainest first.
    pub const ALL: [Self; 6] = [
        Self::OnDemand,
        Self::Spot,
        Self::FlexStart,
        Self::Calendar,
        Self::Commitment1y,
        Self::Commitment3y,
    ];

    /// The word used in configurations: `on_demand`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnDemand => "on_demand",
            Self::Spot => "spot",
            Self::FlexStart => "flex_start",
            Self::Calendar => "calendar",
            Self::Commitment1y => "commitment_1y",
            Self::Commitment3y => "commitment_3y",
        }
    }
}

/// What a surface sells of shapes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OfferRow {
    /// The surface.
    #[cfg_attr(test, schemars(with = "SurfaceWord"))]
    pub surface: Surface,
    /// Names of shapes that are sold alike.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub shapes: Vec<String>,
    /// The ways to buy them here.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub options: Vec<PurchaseOption>,
    /// Regions the surface has them in, where that is narrower than the shape's places. The note
    /// says what a buyer must know, such as `by invitation`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(test, schemars(with = "BTreeMap<RegionText, Option<String>>"))]
    pub regions: BTreeMap<Region, Option<String>>,
    /// Most requests one replica takes at once, where the surface limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub max_concurrency: Option<u32>,
    /// Vertex AI's or Inference Endpoints' own name of it: TPU topology, instance type and size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// What a buyer must know of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Id of the source.
    pub source: String,
}

/// The price of one unit of an item, by region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PriceRow {
    /// What is bought.
    pub item: PricedItem,
    /// The way it is bought.
    pub option: PurchaseOption,
    /// US dollars for one unit, as decimal texts, by region.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(test, schemars(with = "BTreeMap<RegionText, UsdText>"))]
    pub usd: BTreeMap<Region, Decimal>,
    /// US dollars for one unit wherever `usd` does not say otherwise, for what costs the same
    /// everywhere or belongs to no one region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<UsdText>"))]
    pub everywhere: Option<Decimal>,
    /// How sure it is.
    #[serde(default, skip_serializing_if = "Confidence::is_high")]
    pub confidence: Confidence,
    /// Id of the source.
    pub source: String,
}

/// How sure a price is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Read from the vendor's list.
    #[default]
    High,
    /// Derived by a documented rule, or changing monthly as Spot prices do.
    Medium,
    /// Inferred.
    Low,
}

impl Confidence {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    const fn is_high(&self) -> bool {
        matches!(self, Self::High)
    }
}

/// What a price row prices, with its unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PricedItem {
    /// A whole shape (all hosts, bundled SSD) for an hour on a surface; `compute` stands for
    /// Compute Engine and GKE nodes alike.
    Shape {
        /// The surface.
        #[cfg_attr(test, schemars(with = "SurfaceWord"))]
        surface: Surface,
        /// The shape's name.
        shape: String,
    },
    /// Cloud Run: one accelerator for a second.
    CloudRunAccelerator {
        /// Its name.
        accelerator: String,
        /// Whether instances are spread over zones.
        zonal_redundancy: bool,
    },
    /// Cloud Run, instance-based billing: one vCPU for a second.
    CloudRunVcpu,
    /// Cloud Run, instance-based billing: one GiB of memory for a second.
    CloudRunMemoryGib,
    /// GKE: the management fee of one cluster for an hour.
    GkeCluster,
    /// Cloud Storage: one GiB for a month.
    StorageGib {
        /// `STANDARD`, `NEARLINE`, …
        class: String,
    },
    /// Cloud Storage, Standard class: one GiB for a month in a multi-region or dual-region.
    MultiRegionStorageGib {
        /// `us`, `eu`, `nam4`, …
        location: String,
    },
    /// Cloud Storage: one GiB read from a multi-region or dual-region by a machine in one of its
    /// regions.
    MultiRegionReadGib {
        /// `us`, …
        location: String,
    },
    /// Anywhere Cache: one GiB for an hour.
    AnywhereCacheGib,
    /// Anywhere Cache: one GiB that it takes from the bucket.
    AnywhereCacheIngestGib,
    /// Anywhere Cache: one GiB that is read from it.
    AnywhereCacheReadGib,
    /// A persistent disk or Hyperdisk: one GiB for a month.
    DiskGib {
        /// `pd-balanced`, `hyperdisk-ml`, …
        disk: String,
    },
    /// Data out of a region, one GiB; the region is the one it leaves.
    EgressGib {
        /// Where to: `same-continent`, `internet`, …
        to: String,
    },
}

/// A [`Region`], for the schema; the type is stricter.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[schemars(rename = "Region", extend("pattern" = "^[a-z]+-[a-z0-9-]*[0-9]$"))]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct RegionText(String);

/// A [`Zone`], for the schema; the type is stricter.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[schemars(rename = "Zone", extend("pattern" = "^[a-z]+-[a-z0-9-]*[0-9]-[a-z][a-z0-9]*$"))]
#[expect(dead_code, reason = "only its schema is used")]
struct ZoneText(String);

/// An amount, for the schema.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[schemars(rename = "Usd", extend("pattern" = r"^[0-9]{1,6}(\.[0-9]{1,12})?$"))]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct UsdText(String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::check;

    #[test]
    fn the_checked_in_schema_is_the_one_these_types_generate() {
        check(
            &schemars::schema_for!(CatalogDocument),
            "catalog.schema.json",
            CATALOG_SCHEMA,
        );
    }

    #[test]
    fn options_have_the_words_they_are_written_with() {
        for option in PurchaseOption::ALL {
            let written = serde_json::to_value(option).expect("serialises");
            assert_eq!(written, option.as_str());
        }
    }

    #[test]
    fn a_catalog_survives_a_round_trip() {
        let document: CatalogDocument =
            serde_json::from_str(EMBEDDED_CATALOG).expect("the embedded catalog is readable");
        let text = serde_json::to_string(&document).expect("serialises");
        assert_eq!(
            serde_json::from_str::<CatalogDocument>(&text).expect("reads back"),
            document
        );
    }
}
