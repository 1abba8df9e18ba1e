//! What is decided, shown in the plan, and frozen with the endpoint.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::quantity::{Bytes, Tokens, Usd, UsdPerHour};
use crate::spec::Surface;

/// Where and how a model runs, with the reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// The surface.
    pub surface: Surface,
    /// The shape of one replica.
    pub shape: Shape,
    /// Memory of one replica.
    pub memory: Memory,
    /// What it costs.
    pub cost: Cost,
    /// Why this, and why not the others.
    pub recommendation: Recommendation,
    /// The container that serves it.
    pub serving: Serving,
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

/// What an endpoint costs, gross of credits and discounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// ISO currency code: `USD`.
    pub currency: String,
    /// One replica for an hour; `None` where no price is known.
    pub hourly: Option<UsdPerHour>,
    /// 730 hours at the smallest number of replicas: the cost without traffic.
    pub monthly_min: Option<Usd>,
    /// 730 hours at the largest number of replicas.
    pub monthly_max: Option<Usd>,
    /// The parts, each with its price and source.
    pub lines: Vec<CostLine>,
    /// The day the prices were read.
    pub price_date: String,
}

/// One priced part of a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// The container that serves a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}
