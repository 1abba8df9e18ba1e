//! `data.openmodel_shapes` as Terraform sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tfplug::value::Value;

use crate::workload::WorkloadModel;

/// Texts in order.
pub(crate) type Texts = Value<Vec<Value<String>>>;

/// `openmodel_shapes`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ShapesModel {
    pub(crate) id: Value<String>,
    pub(crate) model: Value<String>,
    pub(crate) revision: Value<String>,
    pub(crate) facts: Value<String>,
    pub(crate) parameters: Value<i64>,
    pub(crate) weight_bytes: Value<i64>,
    pub(crate) workload: Value<WorkloadModel>,
    pub(crate) surfaces: Texts,
    pub(crate) regions: Texts,
    pub(crate) purchase_options: Texts,
    pub(crate) accelerators: Texts,
    pub(crate) quantizations: Texts,
    pub(crate) engine: Value<String>,
    pub(crate) objective: Value<String>,
    pub(crate) allowed_licenses: Texts,
    pub(crate) max_hourly_cost: Value<String>,
    pub(crate) max_monthly_cost: Value<String>,
    pub(crate) limit: Value<i64>,
    pub(crate) resolved_revision: Value<String>,
    pub(crate) chosen: Value<ShapeModel>,
    pub(crate) shapes: Value<Vec<Value<ShapeModel>>>,
    pub(crate) rejected: Value<BTreeMap<String, Value<String>>>,
    pub(crate) reason: Value<String>,
    pub(crate) image: Value<String>,
    pub(crate) args: Texts,
    pub(crate) currency: Value<String>,
    pub(crate) price_date: Value<String>,
}

/// `chosen`, and an element of `shapes`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ShapeModel {
    pub(crate) surface: Value<String>,
    pub(crate) shape: Value<String>,
    pub(crate) machine_type: Value<String>,
    pub(crate) accelerator: Value<String>,
    pub(crate) accelerator_count: Value<i64>,
    pub(crate) accelerator_part: Value<String>,
    pub(crate) cpu: Value<i64>,
    pub(crate) memory_gib: Value<i64>,
    pub(crate) region: Value<String>,
    pub(crate) region_confirmed: Value<bool>,
    pub(crate) purchase_option: Value<String>,
    pub(crate) note: Value<String>,
    pub(crate) replicas: Value<i64>,
    pub(crate) engine: Value<String>,
    pub(crate) engine_version: Value<String>,
    pub(crate) weights_format: Value<String>,
    pub(crate) quantization: Value<String>,
    pub(crate) tensor_parallel: Value<i64>,
    pub(crate) pipeline_parallel: Value<i64>,
    pub(crate) data_parallel: Value<i64>,
    pub(crate) expert_parallel: Value<bool>,
    pub(crate) max_model_len: Value<i64>,
    pub(crate) max_num_seqs: Value<i64>,
    pub(crate) max_num_batched_tokens: Value<i64>,
    pub(crate) kv_cache_bits: Value<i64>,
    pub(crate) memory_utilization: Value<String>,
    pub(crate) usable_gib: Value<String>,
    pub(crate) weights_gib: Value<String>,
    pub(crate) kv_cache_gib: Value<String>,
    pub(crate) activations_gib: Value<String>,
    pub(crate) overhead_gib: Value<String>,
    pub(crate) headroom_gib: Value<String>,
    pub(crate) kv_capacity_tokens: Value<i64>,
    pub(crate) ttft_ms: Value<String>,
    pub(crate) ttft_ms_range: Value<String>,
    pub(crate) tpot_ms: Value<String>,
    pub(crate) tpot_ms_range: Value<String>,
    pub(crate) output_tokens_per_second: Value<String>,
    pub(crate) requests_per_second: Value<String>,
    pub(crate) performance_basis: Value<String>,
    pub(crate) hourly: Value<String>,
    pub(crate) monthly_expected: Value<String>,
    pub(crate) marginal_monthly_expected: Value<String>,
    pub(crate) cold_start: Value<String>,
    pub(crate) per_million_output_tokens: Value<String>,
    pub(crate) per_million_input_tokens: Value<String>,
    pub(crate) price_confidence: Value<String>,
    pub(crate) code: Value<String>,
    pub(crate) reason: Value<String>,
}
