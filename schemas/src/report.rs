//! What is decided, shown in the plan, and frozen with the endpoint.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[cfg(test)]
use crate::fresh::SurfaceWord;
use crate::quantity::{Bytes, Tokens, Usd, UsdPerHour};
use crate::spec::{Loader, Surface};

mod cache;
mod pool;

pub use self::cache::{
    AnywhereCacheCost, CacheCost, CacheCostLine, LoadEstimate, LoadTimes, LocationCost, Per,
};
pub use self::pool::{POOL_SCHEMA, PoolMachine, PoolModel, PoolReport, PoolSeat};

/// The JSON Schema of a [`Ranking`].
pub const RANKING_SCHEMA: &str = include_str!("../json/ranking.schema.json");

/// Where and how a model runs, with the reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// The surface.
    pub surface: Surface,
    /// The shape of one replica.
    pub shape: Shape,
    /// Memory of one replica.
    pub memory: Memory,
    /// How fast it is.
    pub performance: Option<Performance>,
    /// What it costs.
    pub cost: Cost,
    /// Why this, and why not the others.
    pub recommendation: Recommendation,
    /// The container that serves it.
    pub serving: Serving,
    /// How its weights are loaded from a snapshot; `None` where they come from the Hub.
    pub loading: Option<Loading>,
    /// How long its weights take to load, by the way they can come.
    pub load_time: LoadTime,
}

/// How weights are loaded from a snapshot in Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loading {
    /// The way.
    pub loader: Loader,
    /// Paths of the files that the engine needs of the snapshot, in order.
    pub files: Vec<String>,
}

/// Seconds that the weights of one replica take to load, without the start of container and engine
/// that [`ColdStart`] has too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadTime {
    /// From the Hub.
    pub hub: Range,
    /// From a mounted bucket of the region; `None` where the engine cannot load so.
    pub fuse: Option<Range>,
    /// By the engine's streamer from such a bucket; `None` where the engine cannot load so.
    pub streamer: Option<Range>,
    /// Which way is taken and why, or what a snapshot would save.
    pub reason: String,
    /// How the seconds were estimated.
    pub basis: String,
}

/// The shape of one replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Accelerator by the surface's name: `nvidia-l4`.
    pub accelerator: String,
    /// Number of accelerators.
    pub accelerator_count: u32,
    /// vCPUs.
    pub cpu: u32,
    /// Host memory.
    pub memory: Bytes,
}

/// Accelerator memory of one replica: `weights + kv_cache + activations + overhead + headroom =
/// usable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Memory {
    /// What an engine can see of the accelerator, below its nominal size.
    pub usable: Bytes,
    /// The weights as loaded.
    pub weights: Bytes,
    /// The KV cache the workload needs.
    pub kv_cache: Bytes,
    /// Peak activations.
    pub activations: Bytes,
    /// CUDA context and graphs, allocator and runtime.
    pub overhead: Bytes,
    /// What is left, in the engine's share and outside of it.
    pub headroom: Bytes,
    /// Tokens the KV cache can hold with the headroom the engine will use.
    pub kv_capacity: Tokens,
    /// How the figures were made: formula, engine version, what they were fitted on.
    pub basis: String,
}

/// How fast one replica is at the stated concurrency: an estimate with its range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Performance {
    /// Time to the first token.
    pub ttft_ms: Range,
    /// Time between tokens.
    pub tpot_ms: Range,
    /// Tokens of answers in a second.
    pub output_tokens_per_second: Range,
    /// Requests in a second.
    pub requests_per_second: Range,
    /// `measured`: anchored to measurements of this model on this accelerator; `fitted`:
    /// constants fitted on its family; `roofline`: physics, on an accelerator nobody measured.
    pub basis: String,
}

/// An estimate and the range that holds four of five measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Range {
    /// The lower end.
    pub low: f64,
    /// The estimate.
    pub estimate: f64,
    /// The upper end.
    pub high: f64,
}

/// What an endpoint costs, gross of credits and discounts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Cost {
    /// ISO currency code: `USD`.
    pub currency: String,
    /// One replica for an hour; `None` where no price is known.
    pub hourly: Option<UsdPerHour>,
    /// 730 hours at the smallest number of replicas: the cost without traffic.
    pub monthly_min: Option<Usd>,
    /// 730 hours at the number of replicas that the requested load needs, with storage of the
    /// weights and the time that the stated starts take.
    pub monthly_expected: Option<Usd>,
    /// 730 hours at the largest number of replicas.
    pub monthly_max: Option<Usd>,
    /// A million tokens of answers, when all replicas are busy; the prompts are in it.
    pub per_million_output_tokens: Option<Usd>,
    /// A million tokens of prompts, when all replicas are busy; the answers are in it.
    pub per_million_input_tokens: Option<Usd>,
    /// What it adds to the bill where the user's terms are known; `None` without a discount file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marginal: Option<Marginal>,
    /// One start of one replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_start: Option<ColdStart>,
    /// The parts, each with its price and source.
    pub lines: Vec<CostLine>,
    /// The day the prices were read.
    pub price_date: String,
}

/// What replicas add to the bill: the gross cost less what is paid for already and what is
/// discounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Marginal {
    /// As [`Cost::monthly_min`].
    pub monthly_min: Option<Usd>,
    /// As [`Cost::monthly_expected`].
    pub monthly_expected: Option<Usd>,
    /// As [`Cost::monthly_max`].
    pub monthly_max: Option<Usd>,
    /// What is taken off an hour of the expected replicas, and by which term; empty where none
    /// matches.
    pub lines: Vec<CostLine>,
}

/// How long a replica takes from nothing to its first answer, and what that time costs: it is paid
/// and serves nobody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct ColdStart {
    /// Seconds.
    pub seconds: Range,
    /// What the estimate costs, gross; `None` where no price is known.
    pub usd: Option<Usd>,
    /// Where the weights come from, and how the seconds were estimated.
    pub basis: String,
}

/// One priced part of a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct CostLine {
    /// What it is: `1 x nvidia-l4 (no zonal redundancy)`.
    pub item: String,
    /// Its cost per hour; `None` where no price is known.
    pub hourly: Option<UsdPerHour>,
    /// Unit price and where it stands, or why there is none.
    pub source: String,
}

/// The choice explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    /// The recommended shape in one line; differs from the endpoint's shape where the user
    /// fixed one.
    pub chosen: String,
    /// Why.
    pub reason: String,
    /// Candidates that hold the load too, cheapest first.
    pub runners_up: Vec<Candidate>,
    /// Candidates that do not, each with its reason.
    pub rejected: Vec<Candidate>,
}

/// One candidate that was not chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The shape in one line: `nvidia-l4 x1, 4 vCPU, 16 GiB`.
    pub shape: String,
    /// Cost of one replica per hour; `None` where no price is known.
    pub hourly: Option<UsdPerHour>,
    /// Reason code: `costs_more`, `too_small`, `not_in_region`, …
    pub code: String,
    /// The reason in words, with the figures.
    pub reason: String,
}

/// Shapes for a model under a load, ranked: what `openmodel recommend --json` prints and
/// `openmodel_shapes` reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Ranking {
    /// The model.
    pub model: String,
    /// What it was ranked by: `cost`, `cost_per_token`, `latency`, `throughput`.
    pub objective: String,
    /// The best; `None` where nothing holds the load.
    pub chosen: Option<RankedShape>,
    /// Why it is the best, in sentences.
    pub reason: String,
    /// The container that serves the model on it.
    pub serving: Option<Serving>,
    /// The others that hold the load, the best first.
    pub runners_up: Vec<RankedShape>,
    /// What does not, with the reason.
    pub rejected: Vec<RejectedShape>,
    /// ISO currency code of all costs: `USD`.
    pub currency: String,
    /// The day the catalog was put together.
    pub catalog_date: String,
}

/// A shape that holds a load, as it would be bought and used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct RankedShape {
    /// The surface.
    #[cfg_attr(test, schemars(with = "SurfaceWord"))]
    pub surface: Surface,
    /// The shape's name in the catalog: `g2-standard-12`.
    pub shape: String,
    /// Compute Engine machine type, where the surface shows its machines.
    pub machine_type: Option<String>,
    /// Accelerator.
    pub accelerator: String,
    /// Accelerators of one replica.
    pub accelerator_count: u32,
    /// Eighths of one accelerator, where the machine has a part of it; 8 is a whole one.
    pub accelerator_eighths: u32,
    /// vCPUs of one host.
    pub cpu: u32,
    /// Memory of one host.
    pub host_memory: Bytes,
    /// Region; `None` where the seller lists none.
    pub region: Option<String>,
    /// Whether the vendor says that the hardware stands there. That the surface offers it there may
    /// still be unknown; then `note` says so.
    pub confirmed: bool,
    /// `on_demand`, `spot`, …
    pub purchase_option: String,
    /// What a buyer must know.
    pub note: Option<String>,
    /// How sure the price is: `high` (a vendor's list), `medium` (derived by a documented rule, or
    /// changing monthly), `low` (inferred); `None` where none is known.
    pub price_confidence: Option<String>,
    /// Format of the linear weights in memory.
    pub weights: String,
    /// What the engine is asked to make of the checkpoint; `None` leaves it as it is.
    pub quantization: Option<String>,
    /// Engine name and version.
    pub engine: String,
    /// Engine version the sizing assumed.
    pub engine_version: String,
    /// Ranks that split each layer.
    pub tensor_parallel: u32,
    /// Stages that split the layers.
    pub pipeline_parallel: u32,
    /// Ranks with attention and a cache of their own.
    pub data_parallel: u32,
    /// Whether experts are whole on their ranks.
    pub expert_parallel: bool,
    /// Longest sequence.
    pub max_model_len: u64,
    /// Most sequences of one step.
    pub max_num_seqs: u64,
    /// Most tokens of one step.
    pub max_num_batched_tokens: u64,
    /// Bits of an element of the KV cache.
    pub kv_cache_bits: u64,
    /// The engine's share of accelerator memory, as a fraction.
    pub memory_utilization: f64,
    /// Memory of the fullest device.
    pub memory: Memory,
    /// Least and most memory of the longest sequence, where layers keep a window or a state.
    pub sequence_bounds: (Bytes, Bytes),
    /// How fast one replica is.
    pub performance: Option<Performance>,
    /// Replicas the requested load needs.
    pub replicas: u32,
    /// What it costs.
    pub cost: Cost,
    /// `chosen`, `costs_more`, `slower`, `unpriced`, …
    pub code: String,
    /// Why it is not the first, in words.
    pub why: String,
}

/// A shape that does not hold a load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct RejectedShape {
    /// The surface.
    #[cfg_attr(test, schemars(with = "SurfaceWord"))]
    pub surface: Surface,
    /// The shape in one line.
    pub shape: String,
    /// The cheapest it is sold for there, where a price is known.
    pub hourly: Option<UsdPerHour>,
    /// Reason code.
    pub code: String,
    /// The reason in words, with the figures.
    pub reason: String,
    /// What is needed of the memory that does not suffice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Bytes>,
    /// What there is of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has: Option<Bytes>,
}

/// The container that serves a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Serving {
    /// Engine name: `vllm`.
    pub engine: String,
    /// Engine version the sizing assumed.
    pub engine_version: String,
    /// Image reference.
    pub image: String,
    /// Entrypoint; empty keeps the image's own.
    pub command: Vec<String>,
    /// Arguments, generated ones first, the user's after them.
    pub args: Vec<String>,
    /// How many of `args` are generated.
    pub generated_args: usize,
    /// Environment, without secrets.
    pub env: BTreeMap<String, String>,
    /// Port the engine listens on.
    pub port: u16,
    /// Path that answers 200 once the model is loaded.
    pub health_path: String,
    /// What is mounted, in the order of the names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
}

/// A volume of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Volume {
    /// Its name, unique in the service.
    pub name: String,
    /// Folder of the container where it is seen.
    pub mount_path: String,
    /// What is in it.
    pub source: VolumeSource,
}

impl Volume {
    /// What the names of our volumes begin with: others are somebody else's.
    pub const PREFIX: &str = "openmodel-";
}

/// What is in a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum VolumeSource {
    /// A bucket's objects, read-only.
    Bucket {
        /// Its name.
        bucket: String,
        /// Options of Cloud Storage FUSE, without the dashes before them.
        mount_options: Vec<String>,
    },
    /// Memory of the instance, as a file system.
    Memory {
        /// The most it takes.
        size: Bytes,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::check;

    #[test]
    fn the_checked_in_schemas_are_those_that_these_types_generate() {
        check(
            &schemars::schema_for!(Ranking),
            "ranking.schema.json",
            RANKING_SCHEMA,
        );
        check(
            &schemars::schema_for!(PoolReport),
            "pool.schema.json",
            POOL_SCHEMA,
        );
    }
}
