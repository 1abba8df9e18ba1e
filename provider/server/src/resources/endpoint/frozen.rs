//! What was decided, kept beside the state: as long as its inputs are the same it is not decided
//! again, so money that was planned stays as it was planned.

use std::collections::BTreeMap;

use openmodel_schemas::report::{Loading, Serving, Shape};
use openmodel_schemas::spec::{DraftModel, EndpointSpec, TokenSource};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tfplug::Diagnostic;
use tfplug::framework::Private;

use super::model::EndpointModel;

/// Where the placement lies in private state.
const PLACEMENT: &str = "placement";

/// What was decided, with the fingerprint of the inputs it was made from. Memory, speed,
/// cost and recommendation are in the state itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Frozen {
    /// Of [`fingerprint`].
    pub(crate) inputs: String,
    /// The shape of one replica.
    pub(crate) shape: Shape,
    /// The container.
    pub(crate) serving: Serving,
    /// How the weights are loaded from a snapshot, where there is one.
    pub(crate) loading: Option<Loading>,
    /// The draft model: it keeps the commit that it was first planned with.
    pub(crate) draft_model: Option<DraftModel>,
    /// `engine.args` as configured.
    pub(crate) args: Option<Vec<String>>,
    /// `engine.env` as configured.
    pub(crate) env: Option<BTreeMap<String, String>>,
    /// Of the memory, speed, time, cost and recommendation that go with it: state and private state part
    /// where an update fails before it has begun.
    pub(crate) advice: String,
    /// Whether a token secret of ours may exist: set before one is made, and taken back only
    /// when one is certainly gone.
    pub(crate) has_secret: bool,
    /// Whether the apply waits for scanners before it serves.
    #[serde(default)]
    pub(crate) waits: bool,
}

impl Frozen {
    /// What was put aside, if anything.
    pub(crate) fn read(private: &Private) -> Result<Option<Self>, Diagnostic> {
        private.get(PLACEMENT)
    }

    /// Puts it aside for apply and for the next plan.
    pub(crate) fn write(&self, private: &mut Private) -> Result<(), Diagnostic> {
        private.set(PLACEMENT, self)
    }
}

/// Of all inputs that have a part in the placement; the rest may change without new advice.
pub(crate) fn fingerprint(spec: &EndpointSpec) -> String {
    let inputs = serde_json::json!([
        spec.region,
        spec.model,
        spec.commit,
        spec.surface,
        spec.workload,
        spec.quantization,
        spec.shape,
        spec.engine,
        spec.scaling,
        spec.budget,
        spec.objective,
        spec.token != TokenSource::None,
        spec.cache,
    ]);
    short_hash(&inputs.to_string())
}

/// Of what the state shows of a placement.
pub(crate) fn digest(model: &EndpointModel) -> String {
    let shown = serde_json::to_string(&(
        &model.memory,
        &model.performance,
        &model.load_time,
        &model.cost,
        &model.recommendation,
    ));
    // Unknown values have no JSON, and no placement either.
    shown.map_or_else(|_| String::new(), |shown| short_hash(&shown))
}

fn short_hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let head = digest
        .iter()
        .take(16)
        .fold(0_u128, |head, byte| head << 8 | u128::from(*byte));
    format!("{head:032x}")
}
