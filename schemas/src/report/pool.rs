//! Several models in one pool of machines: what `openmodel recommend MODEL MODEL…` says.

use serde::{Deserialize, Serialize};

use super::{CostLine, RejectedShape, Serving};
#[cfg(test)]
use crate::fresh::SurfaceWord;
use crate::quantity::{Bytes, Usd, UsdPerHour};
use crate::spec::Surface;

/// The JSON Schema of a [`PoolReport`].
pub const POOL_SCHEMA: &str = include_str!("../../json/pool.schema.json");

/// The cheapest machines that hold some models together, and who sits where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct PoolReport {
    /// The surface.
    #[cfg_attr(test, schemars(with = "SurfaceWord"))]
    pub surface: Surface,
    /// The region.
    pub region: String,
    /// `on_demand`, `spot`, …
    pub purchase_option: String,
    /// The machines to buy, by name.
    pub machines: Vec<PoolMachine>,
    /// The models, by name.
    pub models: Vec<PoolModel>,
    /// All machines for an hour.
    pub hourly: UsdPerHour,
    /// All machines for 730 hours.
    pub monthly: Usd,
    /// The fee of the cluster around them for 730 hours, in no other figure; `None` where there
    /// is none.
    pub cluster_monthly: Option<Usd>,
    /// No pool of these machines costs less an hour.
    pub at_least: UsdPerHour,
    /// Whether none is cheaper: `hourly` is `at_least`.
    pub optimal: bool,
    /// What the replicas cost an hour when each has the cheapest machine to itself.
    pub separate_hourly: UsdPerHour,
    /// The same for 730 hours.
    pub separate_monthly: Usd,
    /// `separate_monthly` less `monthly`.
    pub saving_monthly: Usd,
    /// What the machines add to the bill of 730 hours where the user's terms are known; `None`
    /// without a discount file. The fee of the cluster is not in it. The machines are chosen by their
    /// list prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marginal_monthly: Option<Usd>,
    /// What each of the user's terms takes off an hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_off: Vec<CostLine>,
    /// Machines that were not looked at, with the reason.
    pub left_out: Vec<RejectedShape>,
    /// ISO currency code of all costs: `USD`.
    pub currency: String,
    /// The day the catalog was put together.
    pub catalog_date: String,
}

/// A machine type of the pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct PoolMachine {
    /// The shape's name in the catalog: `g2-standard-12`.
    pub shape: String,
    /// Compute Engine machine type.
    pub machine_type: Option<String>,
    /// Accelerator.
    pub accelerator: String,
    /// Accelerators of one machine.
    pub accelerator_count: u32,
    /// Eighths of one accelerator, where the machine has a part of it; 8 is a whole one.
    pub accelerator_eighths: u32,
    /// vCPUs of one machine.
    pub cpu: u32,
    /// Memory of one machine.
    pub host_memory: Bytes,
    /// How many to buy.
    pub count: u32,
    /// One for an hour.
    pub hourly: UsdPerHour,
    /// What a buyer must know.
    pub note: Option<String>,
    /// Who sits there, by machine and accelerator.
    pub seats: Vec<PoolSeat>,
}

/// A replica's place on a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct PoolSeat {
    /// Which machine of this type, from 0.
    pub instance: u32,
    /// The accelerators in it, from 0.
    pub accelerators: Vec<u32>,
    /// Percent of the one accelerator's memory, beside others, with its part of what is left free;
    /// `None` is alone on all of them.
    pub share_percent: Option<u32>,
    /// The model.
    pub model: String,
    /// Which of its replicas, from 0.
    pub replica: u32,
    /// Its part of the machine's price, by what it takes of the accelerators in use.
    pub hourly: UsdPerHour,
    /// Host memory it needs.
    pub host_memory: Bytes,
    /// Format of the linear weights in memory.
    pub weights: String,
    /// What the engine is asked to make of the checkpoint; `None` leaves it as it is.
    pub quantization: Option<String>,
    /// Engine name.
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
    /// The engine's share of accelerator memory, as a fraction.
    pub memory_utilization: f64,
    /// The container; `None` where the engine has no image for the accelerator.
    pub serving: Option<Serving>,
}

/// A model of the pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct PoolModel {
    /// The model.
    pub model: String,
    /// Replicas that have a seat.
    pub replicas: u32,
    /// Their part of the pool's price.
    pub hourly: UsdPerHour,
    /// The cheapest machine that holds one replica; `None` where none is asked for nor held.
    pub separate_shape: Option<String>,
    /// What its replicas cost an hour, each on such a machine.
    pub separate_hourly: UsdPerHour,
    /// Accelerators that do not hold it, with the reason.
    pub rejected: Vec<RejectedShape>,
}
