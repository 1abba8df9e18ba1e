//! The cache as Terraform sees it: one field for each attribute of the schema.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tfplug::framework::TimeoutsModel;
use tfplug::value::Value;

pub(crate) use crate::gates::{ScanModel, SignatureModel, Texts};

/// Text values by key.
pub(crate) type StringMap = BTreeMap<String, Value<String>>;

/// `openmodel_cache`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CacheModel {
    pub(crate) id: Value<String>,
    pub(crate) repository: Value<String>,
    pub(crate) repository_type: Value<String>,
    pub(crate) revision: Value<String>,
    pub(crate) resolved_revision: Value<String>,
    pub(crate) tracking: Value<String>,
    pub(crate) include: Value<Texts>,
    pub(crate) exclude: Value<Texts>,
    pub(crate) project: Value<String>,
    pub(crate) bucket: Value<String>,
    pub(crate) prefix: Value<String>,
    pub(crate) location: Value<String>,
    pub(crate) regions: Value<Texts>,
    pub(crate) storage_class: Value<String>,
    pub(crate) kms_key: Value<String>,
    pub(crate) anywhere_cache: Value<AnywhereCacheModel>,
    pub(crate) transfer: Value<TransferModel>,
    pub(crate) licenses: Value<Texts>,
    pub(crate) formats: Value<Texts>,
    pub(crate) scan: Value<ScanModel>,
    /// Older records do not have it.
    #[serde(default)]
    pub(crate) require_signature: Value<SignatureModel>,
    pub(crate) retention: Value<i64>,
    pub(crate) labels: Value<StringMap>,
    pub(crate) deletion_policy: Value<String>,
    pub(crate) timeouts: Value<TimeoutsModel>,
    pub(crate) uri: Value<StringMap>,
    pub(crate) files: Value<i64>,
    pub(crate) bytes: Value<i64>,
    pub(crate) left_out: Value<String>,
    pub(crate) manifest_digest: Value<String>,
    pub(crate) license: Value<String>,
    pub(crate) scan_status: Value<String>,
    pub(crate) drift: Value<Texts>,
    pub(crate) foreign_objects: Value<Texts>,
    pub(crate) snapshots: Value<Texts>,
    pub(crate) last_change: Value<ChangeModel>,
    pub(crate) effective_labels: Value<StringMap>,
    pub(crate) cost: Value<CostModel>,
    pub(crate) load_time: Value<LoadTimeModel>,
}

/// `anywhere_cache`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct AnywhereCacheModel {
    pub(crate) zones: Value<Texts>,
    pub(crate) ttl_hours: Value<i64>,
    pub(crate) admission_policy: Value<String>,
}

/// `transfer`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TransferModel {
    pub(crate) parallelism: Value<i64>,
    pub(crate) max_bandwidth_mib: Value<i64>,
    pub(crate) engine: Value<String>,
    pub(crate) image: Value<String>,
    pub(crate) tasks: Value<i64>,
    pub(crate) service_account: Value<String>,
    pub(crate) hugging_face_token_secret: Value<String>,
    pub(crate) reason: Value<String>,
}

/// `last_change`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChangeModel {
    pub(crate) from: Value<String>,
    pub(crate) to: Value<String>,
    pub(crate) files: Value<Texts>,
}

/// `cost`: amounts as decimal text, see `docs/decisions/0005-flat-advice.md`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CostModel {
    pub(crate) currency: Value<String>,
    pub(crate) monthly: Value<String>,
    pub(crate) monthly_known: Value<String>,
    pub(crate) one_time: Value<String>,
    pub(crate) one_time_known: Value<String>,
    pub(crate) monthly_by_place: Value<StringMap>,
    pub(crate) anywhere_cache_monthly: Value<String>,
    pub(crate) price_date: Value<String>,
    pub(crate) basis: Value<String>,
    pub(crate) lines: Value<Texts>,
}

/// `load_time`: ranges of seconds as text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoadTimeModel {
    pub(crate) hub: Value<String>,
    pub(crate) fuse: Value<String>,
    pub(crate) streamer: Value<String>,
    pub(crate) anywhere_cache: Value<String>,
    pub(crate) hyperdisk_ml: Value<String>,
    pub(crate) local_ssd: Value<String>,
    pub(crate) basis: Value<StringMap>,
}
