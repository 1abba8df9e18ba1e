//! What is asked for: all known, checked, and independent of Terraform.

mod cache;

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::name::{CommitSha, EndpointName, ModelId, ProjectId, Region};
use crate::quantity::{Bytes, Tokens};
use crate::snapshot::SnapshotUri;

pub use self::cache::{
    AnywhereCacheSpec, CachePlace, CacheSpec, TransferEngine, TransferJob, TransferSpec,
    bucket_name,
};

/// An endpoint: a model served on a surface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// Google Cloud project.
    pub project: ProjectId,
    /// Region.
    pub region: Region,
    /// Name, unique in project and region.
    pub name: EndpointName,
    /// The model.
    pub model: ModelId,
    /// The commit that is served.
    pub commit: CommitSha,
    /// Where it runs.
    pub surface: Surface,
    /// The load it must hold.
    pub workload: Workload,
    /// How weights are held in memory; `None` leaves the checkpoint as it is.
    pub quantization: Option<Quantization>,
    /// Parts of the shape the user fixes; each wins over the recommendation.
    pub shape: ShapeRequest,
    /// The serving engine.
    pub engine: EngineSpec,
    /// Replica bounds.
    pub scaling: Scaling,
    /// Who may call it.
    pub access: Access,
    /// Limits of cost.
    pub budget: Budget,
    /// What the best shape is the best at; none: the lowest cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// How the container gets a Hub token, if it gets one.
    pub token: TokenSource,
    /// Where the weights come from when a replica starts; `None`: from the Hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheBinding>,
    /// Labels of the user and the provider's defaults, merged; ours are added when lowering.
    pub labels: BTreeMap<String, String>,
}

/// Where a model is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// Cloud Run services with GPUs.
    CloudRun,
    /// Vertex AI endpoints.
    Vertex,
    /// Google Kubernetes Engine node pools.
    Gke,
    /// Compute Engine instances and TPU VMs.
    Compute,
    /// Hugging Face Inference Endpoints.
    HuggingFace,
}

impl Surface {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::CloudRun,
        Self::Vertex,
        Self::Gke,
        Self::Compute,
        Self::HuggingFace,
    ];

    /// The word used in configurations: `cloud_run`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CloudRun => "cloud_run",
            Self::Vertex => "vertex",
            Self::Gke => "gke",
            Self::Compute => "compute",
            Self::HuggingFace => "hugging_face",
        }
    }
}

/// The load an endpoint must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Longest sequence (prompt and answer) that must fit.
    pub context_length: Tokens,
    /// Sequences in flight at once, per replica.
    pub max_concurrency: u32,
    /// Prompt tokens of a typical request.
    pub input_tokens: Tokens,
    /// Answer tokens of a typical request.
    pub output_tokens: Tokens,
    /// Requests a second that all replicas together must serve; none asks for one replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<Decimal>,
    /// Starts of each replica in a month, from zero, after a pre-emption or a rollout; none: they
    /// are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_per_month: Option<u32>,
    /// Whether the context may be longer than the model was made for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extend_context: bool,
    /// Low-rank adapters kept in memory beside the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapters: Option<Adapters>,
    /// Tokens drafted ahead: by the draft model, or else by the model's own prediction layers
    /// (multi-token prediction).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft_tokens: Option<u32>,
    /// A smaller model that drafts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft_model: Option<DraftModel>,
    /// How fast it must be.
    #[serde(default, skip_serializing_if = "Goals::is_empty")]
    pub goals: Goals,
}

/// A model that drafts tokens for a larger one to check (speculative decoding).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftModel {
    /// The model.
    pub model: ModelId,
    /// The commit that is served.
    pub commit: CommitSha,
}

impl DraftModel {
    /// Tokens it drafts ahead where nothing says: as many as in vLLM's own example
    /// (<https://docs.vllm.ai/en/v0.25.0/features/speculative_decoding/draft_model/>).
    pub const TOKENS: u32 = 5;
}

/// Low-rank adapters (`LoRA`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapters {
    /// How many are in memory at once.
    pub count: u32,
    /// Their largest rank.
    pub rank: u32,
}

/// How fast an endpoint must be, at the stated concurrency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goals {
    /// Longest time to the first token, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttft_ms: Option<u32>,
    /// Longest time between tokens, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tpot_ms: Option<u32>,
}

impl Goals {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What the best shape is the best at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The lowest expected cost of a month.
    #[default]
    Cost,
    /// The lowest cost of a million tokens when it is busy.
    CostPerToken,
    /// The shortest time between tokens.
    Latency,
    /// The most tokens a second.
    Throughput,
}

impl Objective {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Cost,
        Self::CostPerToken,
        Self::Latency,
        Self::Throughput,
    ];

    /// The word used in configurations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::CostPerToken => "cost_per_token",
            Self::Latency => "latency",
            Self::Throughput => "throughput",
        }
    }
}

/// How linear weights are held in accelerator memory, where that differs from the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantization {
    /// 8-bit floating point.
    Fp8,
    /// 8-bit integers.
    Int8,
    /// 4-bit integers with activation-aware scales.
    Awq,
    /// 4-bit integers, post-training.
    Gptq,
    /// 4-bit floating point in blocks of 32 (OCP microscaling).
    Mxfp4,
    /// 4-bit floating point in blocks of 16 (NVIDIA).
    Nvfp4,
    /// bitsandbytes NF4.
    Bnb4,
    /// bitsandbytes 8-bit.
    Bnb8,
    /// llama.cpp `Q8_0`.
    GgufQ8_0,
    /// llama.cpp `Q6_K`.
    GgufQ6K,
    /// llama.cpp `Q5_K_M`.
    GgufQ5KM,
    /// llama.cpp `Q4_K_M`.
    GgufQ4KM,
    /// llama.cpp `IQ4_XS`.
    GgufIq4Xs,
    /// llama.cpp `Q3_K_M`.
    GgufQ3KM,
    /// llama.cpp `Q2_K`.
    GgufQ2K,
}

impl Quantization {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Fp8,
        Self::Int8,
        Self::Awq,
        Self::Gptq,
        Self::Mxfp4,
        Self::Nvfp4,
        Self::Bnb4,
        Self::Bnb8,
        Self::GgufQ8_0,
        Self::GgufQ6K,
        Self::GgufQ5KM,
        Self::GgufQ4KM,
        Self::GgufIq4Xs,
        Self::GgufQ3KM,
        Self::GgufQ2K,
    ];

    /// The word used in configurations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fp8 => "fp8",
            Self::Int8 => "int8",
            Self::Awq => "awq",
            Self::Gptq => "gptq",
            Self::Mxfp4 => "mxfp4",
            Self::Nvfp4 => "nvfp4",
            Self::Bnb4 => "bitsandbytes",
            Self::Bnb8 => "bitsandbytes-8bit",
            Self::GgufQ8_0 => "gguf-q8_0",
            Self::GgufQ6K => "gguf-q6_k",
            Self::GgufQ5KM => "gguf-q5_k_m",
            Self::GgufQ4KM => "gguf-q4_k_m",
            Self::GgufIq4Xs => "gguf-iq4_xs",
            Self::GgufQ3KM => "gguf-q3_k_m",
            Self::GgufQ2K => "gguf-q2_k",
        }
    }

    /// llama.cpp's name of the type, as the names of files have it: `Q4_K_M`; none for other formats.
    #[must_use]
    pub fn gguf(self) -> Option<String> {
        let label = self.as_str().strip_prefix("gguf-")?;
        Some(label.to_ascii_uppercase())
    }
}

impl std::str::FromStr for Quantization {
    type Err = String;

    /// Reads the word used in configurations; the error lists all of them.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|quantization| quantization.as_str() == text)
            .ok_or_else(|| {
                let known: Vec<&str> = Self::ALL.iter().map(|known| known.as_str()).collect();
                format!(
                    "{text:?} is not a quantization; known are {}",
                    known.join(", ")
                )
            })
    }
}

/// The parts of a shape a user may fix. Empty: the planner chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapeRequest {
    /// Accelerator by the surface's name: `nvidia-l4`.
    pub accelerator: Option<String>,
    /// Number of accelerators.
    pub accelerator_count: Option<u32>,
    /// vCPUs.
    pub cpu: Option<u32>,
    /// Host memory.
    pub memory: Option<Bytes>,
}

/// The serving engine and what the user adds to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineSpec {
    /// Engine name; `None` lets the planner choose.
    pub name: Option<String>,
    /// Container image; `None` takes the catalog's image of the engine.
    pub image: Option<String>,
    /// Arguments after the generated ones.
    pub args: Vec<String>,
    /// Environment variables beside the generated ones.
    pub env: BTreeMap<String, String>,
}

/// Replica bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// Replicas kept without traffic; 0 scales to zero.
    pub min_replicas: u32,
    /// Most replicas.
    pub max_replicas: u32,
}

/// Who may call an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Everyone, without credentials.
    pub public: bool,
    /// IAM members such as `serviceAccount:app@acme-ml.iam.gserviceaccount.com`.
    pub invokers: Vec<String>,
}

/// Limits of cost, gross of credits and discounts, at the largest number of replicas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// US dollars per hour.
    pub max_hourly_cost: Option<Decimal>,
    /// US dollars per month of 730 hours.
    pub max_monthly_cost: Option<Decimal>,
}

/// A snapshot in Cloud Storage that an endpoint serves from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheBinding {
    /// The snapshot.
    pub uri: SnapshotUri,
    /// How it is loaded; `None` lets the planner choose.
    pub loader: Option<Loader>,
}

/// How an engine reads weights that lie in Cloud Storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loader {
    /// As files: the bucket is mounted (Cloud Storage FUSE).
    Fuse,
    /// As objects: the engine's own streamer reads them in parallel.
    Streamer,
}

impl Loader {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Fuse, Self::Streamer];

    /// The word used in configurations: `fuse`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fuse => "fuse",
            Self::Streamer => "streamer",
        }
    }
}

/// How the container gets a Hub token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum TokenSource {
    /// It gets none.
    #[default]
    None,
    /// A secret of ours, filled from a write-only attribute; the version counts its changes.
    Managed {
        /// `hugging_face_token_wo_version`.
        version: i64,
    },
    /// A Secret Manager secret version of the user's:
    /// `projects/P/secrets/S/versions/V` (`V` may be `latest`).
    Secret {
        /// Its full name.
        version: String,
    },
}
