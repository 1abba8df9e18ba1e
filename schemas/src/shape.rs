//! The catalog: what can be bought where and for how much, each row with its source and date.
//!
//! ```text
//!   sources ◄── accelerators ◄── offers (surface × accelerator: hosts, regions)
//!      ▲             ▲               ▲
//!      └── engines ──┴── prices ─────┘   (no row: unpriced, never zero)
//! ```
//!
//! These are the rows as they are written down. The planner's `Catalog` is made from them
//! after the cross-checks that no schema can express.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::name::Region;
use crate::spec::Surface;

/// The catalog that ships in the binary.
pub const EMBEDDED_CATALOG: &str = include_str!("../catalog/cloud_run.json");

/// The JSON Schema of a catalog, for a user's own file.
pub const CATALOG_SCHEMA: &str = include_str!("../json/catalog-1.schema.json");

/// A catalog as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CatalogDocument {
    /// Where the schema of this document lies.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Version of this format; 1.
    #[cfg_attr(test, schemars(range(min = 1, max = 1)))]
    pub version: u32,
    /// The day the catalog was put together, as `2026-11-20`.
    #[cfg_attr(test, schemars(regex(pattern = DATE)))]
    pub date: String,
    /// ISO currency code of all prices; `USD`.
    #[cfg_attr(test, schemars(regex(pattern = "^USD$")))]
    pub currency: String,
    /// Where facts come from, by the id that rows name.
    pub sources: BTreeMap<String, Source>,
    /// Accelerators.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub accelerators: Vec<AcceleratorRow>,
    /// What a surface sells of an accelerator.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub offers: Vec<OfferRow>,
    /// Prices. What has no row here is unpriced.
    pub prices: Vec<PriceRow>,
    /// Serving engines, the default one first.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub engines: Vec<EngineRow>,
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
    /// The day it was read or made, as exactly as known: `2026-08` or `2026-08-21`.
    #[cfg_attr(
        test,
        schemars(regex(pattern = r"^20\d\d-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?$"))
    )]
    pub date: String,
}

/// An accelerator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AcceleratorRow {
    /// Its name on the surfaces: `nvidia-l4`.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub name: String,
    /// Memory by the data sheet, in GiB.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub nominal_gib: f64,
    /// Memory that an engine can see, in GiB; less than nominal.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub usable_gib: f64,
    /// NVIDIA compute capability without its dot: 89 for 8.9.
    #[cfg_attr(test, schemars(range(min = 10, max = 999)))]
    pub compute_capability: u32,
    /// Id of the source.
    pub source: String,
}

/// What a surface sells of an accelerator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OfferRow {
    /// The surface.
    #[cfg_attr(test, schemars(with = "SurfaceWord"))]
    pub surface: Surface,
    /// The accelerator's name.
    pub accelerator: String,
    /// Numbers of accelerators one replica may have.
    #[cfg_attr(test, schemars(length(min = 1), inner(range(min = 1))))]
    pub counts: Vec<u32>,
    /// Host sizes.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub hosts: Vec<HostRow>,
    /// Regions that have it.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub regions: Vec<RegionRow>,
    /// Most requests an instance takes at once.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub max_concurrency: u32,
    /// Id of the source.
    pub source: String,
}

/// A host size: any whole GiB of memory from the least to the most is sold with these vCPUs.
/// The planner proposes the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HostRow {
    /// vCPUs.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub cpu: u32,
    /// Least memory, in GiB.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub min_memory_gib: u32,
    /// Most memory, in GiB.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub max_memory_gib: u32,
}

/// A region that has an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RegionRow {
    /// The region.
    #[cfg_attr(test, schemars(with = "String"))]
    pub region: Region,
    /// What a buyer must know, such as `by invitation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The price of one unit of one item at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PriceRow {
    /// The surface.
    #[cfg_attr(test, schemars(with = "SurfaceWord"))]
    pub surface: Surface,
    /// The region.
    #[cfg_attr(test, schemars(with = "String"))]
    pub region: Region,
    /// What is bought.
    pub item: PricedItem,
    /// US dollars for one unit for one second, as a decimal text.
    #[cfg_attr(
        test,
        schemars(with = "String", regex(pattern = r"^[0-9]+(\.[0-9]+)?$"))
    )]
    pub usd_per_second: Decimal,
    /// Id of the source.
    pub source: String,
}

/// What a price row prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PricedItem {
    /// One accelerator.
    Accelerator {
        /// Its name.
        accelerator: String,
        /// Whether instances are spread over zones.
        zonal_redundancy: bool,
    },
    /// One vCPU, billed as long as the instance lives.
    Vcpu,
    /// One GiB of host memory, billed as long as the instance lives.
    MemoryGib,
}

/// A serving engine at one version, and the constants its memory is computed with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EngineRow {
    /// Its name: `vllm`.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub name: String,
    /// The version its images hold and its constants were measured on.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub version: String,
    /// Images; the first that lists the accelerator is taken.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub images: Vec<ImageRow>,
    /// Port it listens on.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub port: u16,
    /// Path that answers 200 once the model is loaded.
    #[cfg_attr(test, schemars(regex(pattern = "^/")))]
    pub health_path: String,
    /// Environment every container gets.
    pub env: BTreeMap<String, String>,
    /// Accelerator memory.
    pub memory: EngineMemoryRow,
    /// Host memory.
    pub host: EngineHostRow,
    /// Stored quantisations it can load, by `quantization_config.quant_method`.
    pub quantizations: Vec<QuantizationRow>,
}

/// An image of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ImageRow {
    /// Accelerators whose driver runs it.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub accelerators: Vec<String>,
    /// Image reference with a fixed tag.
    #[cfg_attr(test, schemars(regex(pattern = "^[^ ]+[:@][^ :]+$")))]
    pub image: String,
    /// Id of the source.
    pub source: String,
}

/// Constants of an engine's use of accelerator memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EngineMemoryRow {
    /// Share of the usable memory the engine takes, in percent.
    #[cfg_attr(test, schemars(range(min = 1, max = 99)))]
    pub utilization_percent: u32,
    /// What weights take beyond their files when loaded, in thousandths.
    #[cfg_attr(test, schemars(range(max = 100)))]
    pub load_overhead_permille: u32,
    /// Bytes the sampler's warm-up takes for each logit (sequence × vocabulary).
    pub sampler_bytes_per_logit: u32,
    /// CUDA context and libraries, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub runtime_gib: f64,
    /// CUDA graphs.
    pub graphs: GraphMemoryRow,
    /// What a vision or audio tower adds to activations, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub tower_gib: f64,
    /// Tokens of one step, by the accelerator's usable memory; the last row that applies counts.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub batched_tokens: Vec<BatchedTokensRow>,
    /// Id of the source.
    pub source: String,
}

/// Memory of captured CUDA graphs: `floor + (base + per_layer × layers − floor) × captured /
/// measured_sizes`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GraphMemoryRow {
    /// The least, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub floor_gib: f64,
    /// With all sizes captured, independent of the model, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub base_gib: f64,
    /// With all sizes captured, for each layer, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub per_layer_gib: f64,
    /// Number of batch sizes captured when the other figures were measured.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub measured_sizes: u32,
}

/// Tokens an engine processes in one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BatchedTokensRow {
    /// Applies from this much usable accelerator memory, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub from_gib: f64,
    /// Tokens.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub tokens: u64,
}

/// Constants of an engine's use of host memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EngineHostRow {
    /// Resident memory of the engine's processes beside the weight files, in GiB.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub runtime_gib: f64,
    /// Id of the source.
    pub source: String,
}

/// A stored quantisation an engine can load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct QuantizationRow {
    /// `quantization_config.quant_method`.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub method: String,
    /// Least compute capability, without its dot.
    pub min_compute_capability: u32,
    /// Id of the source.
    pub source: String,
}

#[cfg(test)]
const DATE: &str = r"^20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$";

/// The words of [`Surface`], for the schema.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[schemars(rename = "Surface", rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum SurfaceWord {
    CloudRun,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_SCHEMAS=1 cargo test -p openmodel-schemas` writes it anew.
    #[test]
    fn the_checked_in_schema_is_the_one_these_types_generate() {
        let schema = schemars::schema_for!(CatalogDocument);
        let fresh = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/json/catalog-1.schema.json");
            std::fs::write(path, &fresh).expect("the schema can be written");
        } else {
            assert!(
                fresh == CATALOG_SCHEMA,
                "schemas/json/catalog-1.schema.json is stale: run UPDATE_SCHEMAS=1 cargo test -p openmodel-schemas"
            );
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
