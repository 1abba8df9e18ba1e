//! The endpoint as Terraform sees it: one field for each attribute of the schema.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tfplug::framework::TimeoutsModel;
use tfplug::value::{Number, Value};

/// Text values by key.
pub type StringMap = BTreeMap<String, Value<String>>;

/// `openmodel_endpoint`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EndpointModel {
    pub id: Value<String>,
    pub name: Value<String>,
    pub project: Value<String>,
    pub region: Value<String>,
    pub surface: Value<String>,
    pub model: Value<String>,
    pub revision: Value<String>,
    pub resolved_revision: Value<String>,
    pub workload: Value<WorkloadModel>,
    pub quantization: Value<String>,
    pub shape: Value<ShapeModel>,
    pub engine: Value<EngineModel>,
    pub scaling: Value<ScalingModel>,
    pub access: Value<AccessModel>,
    pub budget: Value<BudgetModel>,
    pub hugging_face_token_wo: Value<String>,
    pub hugging_face_token_wo_version: Value<i64>,
    pub hugging_face_token_secret: Value<String>,
    pub labels: Value<StringMap>,
    pub deletion_policy: Value<String>,
    pub timeouts: Value<TimeoutsModel>,
    pub url: Value<String>,
    pub openai_base_url: Value<String>,
    pub status: Value<String>,
    pub memory: Value<MemoryModel>,
    pub cost: Value<CostModel>,
    pub recommendation: Value<RecommendationModel>,
    pub effective_labels: Value<StringMap>,
}

/// `workload`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkloadModel {
    pub context_length: Value<i64>,
    pub max_concurrency: Value<i64>,
    pub input_tokens: Value<i64>,
    pub output_tokens: Value<i64>,
}

/// `shape`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShapeModel {
    pub accelerator: Value<String>,
    pub accelerator_count: Value<i64>,
    pub cpu: Value<i64>,
    pub memory_gib: Value<i64>,
}

/// `engine`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineModel {
    pub name: Value<String>,
    pub image: Value<String>,
    pub args: Value<Vec<Value<String>>>,
    pub env: Value<StringMap>,
}

/// `scaling`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScalingModel {
    pub min_replicas: Value<i64>,
    pub max_replicas: Value<i64>,
}

/// `access`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AccessModel {
    pub public: Value<bool>,
    pub invokers: Value<Vec<Value<String>>>,
}

/// `budget`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BudgetModel {
    pub max_hourly_cost: Value<String>,
    pub max_monthly_cost: Value<String>,
}

/// `memory`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryModel {
    pub usable_gib: Value<Number>,
    pub weights_gib: Value<Number>,
    pub kv_cache_gib: Value<Number>,
    pub activations_gib: Value<Number>,
    pub overhead_gib: Value<Number>,
    pub headroom_gib: Value<Number>,
    pub kv_capacity_tokens: Value<i64>,
    pub basis: Value<String>,
}

/// `cost`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    pub currency: Value<String>,
    pub hourly: Value<String>,
    pub monthly_min: Value<String>,
    pub monthly_max: Value<String>,
    pub price_date: Value<String>,
    pub lines: Value<Vec<Value<CostLineModel>>>,
}

/// One element of `cost.lines`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CostLineModel {
    pub item: Value<String>,
    pub hourly: Value<String>,
    pub source: Value<String>,
}

/// `recommendation`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecommendationModel {
    pub chosen: Value<String>,
    pub reason: Value<String>,
    pub runners_up: Value<Vec<Value<CandidateModel>>>,
    pub rejected: Value<Vec<Value<CandidateModel>>>,
}

/// One element of `recommendation.runners_up` and `.rejected`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CandidateModel {
    pub shape: Value<String>,
    pub hourly: Value<String>,
    pub code: Value<String>,
    pub reason: Value<String>,
}
