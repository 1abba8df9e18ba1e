//! The endpoint as Terraform sees it: one field for each attribute of the schema.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tfplug::framework::TimeoutsModel;
use tfplug::value::Value;

use crate::gates::{ScanModel, SignatureModel, Texts};
use crate::show::PerformanceModel;
use crate::workload::WorkloadModel;

/// Text values by key.
pub(crate) type StringMap = BTreeMap<String, Value<String>>;

/// `openmodel_endpoint`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct EndpointModel {
    pub(crate) id: Value<String>,
    pub(crate) name: Value<String>,
    pub(crate) project: Value<String>,
    pub(crate) region: Value<String>,
    pub(crate) surface: Value<String>,
    pub(crate) model: Value<String>,
    pub(crate) revision: Value<String>,
    pub(crate) resolved_revision: Value<String>,
    pub(crate) workload: Value<WorkloadModel>,
    pub(crate) objective: Value<String>,
    pub(crate) quantization: Value<String>,
    pub(crate) cache: Value<String>,
    pub(crate) loader: Value<String>,
    pub(crate) licenses: Value<Texts>,
    pub(crate) formats: Value<Texts>,
    pub(crate) scan: Value<ScanModel>,
    /// Older records do not have it.
    #[serde(default)]
    pub(crate) require_signature: Value<SignatureModel>,
    pub(crate) shape: Value<ShapeModel>,
    pub(crate) engine: Value<EngineModel>,
    pub(crate) scaling: Value<ScalingModel>,
    pub(crate) access: Value<AccessModel>,
    pub(crate) budget: Value<BudgetModel>,
    pub(crate) hugging_face_token_wo: Value<String>,
    pub(crate) hugging_face_token_wo_version: Value<i64>,
    pub(crate) hugging_face_token_secret: Value<String>,
    pub(crate) labels: Value<StringMap>,
    pub(crate) deletion_policy: Value<String>,
    pub(crate) timeouts: Value<TimeoutsModel>,
    pub(crate) url: Value<String>,
    pub(crate) openai_base_url: Value<String>,
    pub(crate) status: Value<String>,
    pub(crate) memory: Value<MemoryModel>,
    pub(crate) performance: Value<PerformanceModel>,
    pub(crate) load_time: Value<LoadTimeModel>,
    pub(crate) cost: Value<CostModel>,
    pub(crate) recommendation: Value<RecommendationModel>,
    pub(crate) effective_labels: Value<StringMap>,
}

/// `shape`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShapeModel {
    pub(crate) accelerator: Value<String>,
    pub(crate) accelerator_count: Value<i64>,
    pub(crate) cpu: Value<i64>,
    pub(crate) memory_gib: Value<i64>,
}

/// `engine`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct EngineModel {
    pub(crate) name: Value<String>,
    pub(crate) image: Value<String>,
    pub(crate) args: Value<Vec<Value<String>>>,
    pub(crate) env: Value<StringMap>,
}

/// `scaling`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScalingModel {
    pub(crate) min_replicas: Value<i64>,
    pub(crate) max_replicas: Value<i64>,
}

/// `access`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct AccessModel {
    pub(crate) public: Value<bool>,
    pub(crate) invokers: Value<Vec<Value<String>>>,
}

/// `budget`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct BudgetModel {
    pub(crate) max_hourly_cost: Value<String>,
    pub(crate) max_monthly_cost: Value<String>,
}

/// `memory`: sizes in GiB as decimal text, see `docs/decisions/0005-flat-advice.md`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MemoryModel {
    pub(crate) usable_gib: Value<String>,
    pub(crate) weights_gib: Value<String>,
    pub(crate) kv_cache_gib: Value<String>,
    pub(crate) activations_gib: Value<String>,
    pub(crate) overhead_gib: Value<String>,
    pub(crate) headroom_gib: Value<String>,
    pub(crate) kv_capacity_tokens: Value<i64>,
    pub(crate) basis: Value<String>,
}

/// `load_time`: ranges of seconds as text, see `docs/decisions/0005-flat-advice.md`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoadTimeModel {
    pub(crate) hub: Value<String>,
    pub(crate) fuse: Value<String>,
    pub(crate) streamer: Value<String>,
    pub(crate) reason: Value<String>,
    pub(crate) basis: Value<String>,
}

/// `cost`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CostModel {
    pub(crate) currency: Value<String>,
    pub(crate) hourly: Value<String>,
    pub(crate) monthly_min: Value<String>,
    pub(crate) monthly_expected: Value<String>,
    pub(crate) monthly_max: Value<String>,
    pub(crate) per_million_output_tokens: Value<String>,
    pub(crate) per_million_input_tokens: Value<String>,
    pub(crate) price_date: Value<String>,
    pub(crate) lines: Value<Vec<Value<String>>>,
    pub(crate) marginal: Value<MarginalModel>,
    pub(crate) cold_start: Value<String>,
}

/// `cost.marginal`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MarginalModel {
    pub(crate) monthly_min: Value<String>,
    pub(crate) monthly_expected: Value<String>,
    pub(crate) monthly_max: Value<String>,
    pub(crate) lines: Value<Vec<Value<String>>>,
}

/// `recommendation`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecommendationModel {
    pub(crate) chosen: Value<String>,
    pub(crate) reason: Value<String>,
    pub(crate) runners_up: Value<StringMap>,
    pub(crate) rejected: Value<StringMap>,
}
