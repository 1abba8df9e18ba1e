//! The constants of the throughput model: what was learned from measured rows, with its source.
//!
//! ```text
//!   peaks of the hardware ──► terms of a step ──×factors──► + ──► milliseconds
//!                                                  ▲
//!              base × adjustments (engine, device, …) × model × its accelerator × its setup
//! ```
//!
//! All factors and adjustments are natural logarithms; those that apply are added. The file is
//! made by `planner/resolve/fit/throughput.py`.

use serde::{Deserialize, Serialize};

use crate::catalog::Source;

/// The constants that ship in the binary.
pub const EMBEDDED_THROUGHPUT: &str = include_str!("../catalog/throughput.json");

/// Terms of the time per output token.
pub const TPOT_TERMS: usize = 11;
/// Terms of the time to the first token.
pub const TTFT_TERMS: usize = 7;
/// Bundles of terms that a model's own adjustments move: what a step costs anyway, what a
/// sequence adds, and what prompts add. For the time to the first token: what it costs anyway,
/// the prompt itself, and the prompts before it.
pub const BUNDLES: usize = 3;

/// The constants as they are written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThroughputDocument {
    /// Version of this format; 1.
    pub version: u32,
    /// The day they were fitted, as `2026-11-25`.
    pub date: String,
    /// Where the measured rows come from.
    pub sources: Vec<Source>,
    /// Requests that start together meet fewer foreign prompts: added to the output's length.
    pub lockstep_tokens: f64,
    /// How far a load may be from a measured one and still be known from it: logs of prompt,
    /// answer and batch, added up.
    pub near_load: f64,
    /// The loads that were measured at all.
    pub extent: Extent,
    /// Time per output token.
    pub tpot: TimeModel<TPOT_TERMS>,
    /// Time to the first token.
    pub ttft: TimeModel<TTFT_TERMS>,
    /// What engines, devices, families and number formats change.
    pub adjustments: Vec<Adjustment>,
    /// What measured models change.
    pub models: Vec<MeasuredModel>,
}

/// The least and the most that was measured of each part of a load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extent {
    /// Sequences in flight.
    pub batch: [f64; 2],
    /// Tokens of a prompt.
    pub input: [f64; 2],
    /// Tokens of an answer.
    pub output: [f64; 2],
}

/// What is common to all predictions of one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeModel<const N: usize> {
    /// The name of each term, in order.
    pub terms: Vec<String>,
    /// The log of each term's factor.
    #[serde(with = "array")]
    pub factors: [f64; N],
    /// How far measured values lie from the estimate, by what is known of the setup.
    pub spread: Spread,
}

/// Where six of seven left-out values lay, as logs of their ratio to the estimate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// The same setup was measured.
    pub measured: [f64; 2],
    /// The same model, engine, accelerator and number format was measured, spread otherwise.
    pub near: [f64; 2],
    /// Only the accelerator and the engine were measured.
    pub fitted: [f64; 2],
    /// The accelerator or the engine was not measured.
    pub roofline: [f64; 2],
    /// What each e-fold of a load away from the measured ones adds to both sides.
    pub beyond: f64,
}

/// An adjustment of every term, where all its conditions hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adjustment {
    /// `vllm`, `sglang` or `trtllm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Name of an accelerator, as `nvidia-h100-80gb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// `hopper` or `blackwell`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
    /// `dense`, `moe`, `mla` or `hybrid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// `bf16`, `fp8` or `fp4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arithmetic: Option<String>,
    /// `one` accelerator, `tp`, `ep` (experts apart) or `dp` (attention apart).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<String>,
    /// The logs to add, by term.
    #[serde(with = "array")]
    pub tpot: [f64; TPOT_TERMS],
    /// The logs to add, by term.
    #[serde(with = "array")]
    pub ttft: [f64; TTFT_TERMS],
}

/// A model that was measured. It is known by its shape, so its fine-tunes are it too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredModel {
    /// A name for readers.
    pub name: String,
    /// Number of layers.
    pub layers: u64,
    /// Width of the residual stream.
    pub hidden: u64,
    /// Number of routed experts; 0 for a dense model.
    pub experts: u64,
    /// By engine.
    pub engines: Vec<MeasuredEngine>,
}

/// A measured model on one engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredEngine {
    /// `vllm`, `sglang` or `trtllm`.
    pub engine: String,
    /// The logs to add, by bundle.
    pub tpot: [f64; BUNDLES],
    /// The logs to add, by bundle.
    pub ttft: [f64; BUNDLES],
    /// By accelerator and number format.
    pub accelerators: Vec<MeasuredAccelerator>,
}

/// A measured model on one engine and accelerator, in one number format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredAccelerator {
    /// Name of the accelerator.
    pub device: String,
    /// `bf16`, `fp8` or `fp4`.
    pub arithmetic: String,
    /// The logs to add, by bundle.
    pub tpot: [f64; BUNDLES],
    /// The logs to add, by bundle.
    pub ttft: [f64; BUNDLES],
    /// Where five of six measured values lie, if enough are known to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpot_spread: Option<[f64; 2]>,
    /// Where five of six measured values lie, if enough are known to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_spread: Option<[f64; 2]>,
    /// By how the model was spread over accelerators.
    pub setups: Vec<MeasuredSetup>,
}

/// One way in which a measured model was spread over accelerators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredSetup {
    /// Accelerators in all.
    pub accelerators: u32,
    /// Ways of attention data parallelism.
    pub data: u32,
    /// Ways of expert parallelism.
    pub expert: u32,
    /// What was measured: tokens of the prompt and of the answer, and with them the least and
    /// the most sequences in flight.
    pub loads: Vec<[f64; 4]>,
    /// The logs to add, by bundle.
    pub tpot: [f64; BUNDLES],
    /// The logs to add, by bundle.
    pub ttft: [f64; BUNDLES],
}

/// Arrays whose length is a parameter, which serde does not know.
mod array {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer, const N: usize>(
        values: &[f64; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        values.as_slice().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[f64; N], D::Error> {
        let values = Vec::deserialize(deserializer)?;
        let found = values.len();
        values
            .try_into()
            .map_err(|_| D::Error::custom(format!("{N} numbers expected, {found} found")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_constants_are_sound() {
        let document: ThroughputDocument =
            serde_json::from_str(EMBEDDED_THROUGHPUT).expect("the constants are readable");
        assert_eq!(document.version, 1);
        assert!(!document.sources.is_empty() && !document.models.is_empty());
        assert_eq!(document.tpot.terms.len(), TPOT_TERMS);
        assert_eq!(document.ttft.terms.len(), TTFT_TERMS);
        for spread in [document.tpot.spread, document.ttft.spread] {
            let [measured, near, fitted, roofline] =
                [spread.measured, spread.near, spread.fitted, spread.roofline];
            for [low, high] in [measured, near, fitted, roofline] {
                assert!(low < 0.0 && high > 0.0, "an estimate lies in its range");
            }
            for (more, less) in [(measured, near), (near, fitted), (fitted, roofline)] {
                assert!(less[0] <= more[0] && more[1] <= less[1], "less is known");
            }
            assert!(spread.beyond > 0.0);
        }
    }

    #[test]
    fn a_missing_term_is_refused() {
        let short = r#"{"terms": [], "factors": [1.0], "spread": {"measured": [-1, 1],
            "near": [-1, 1], "fitted": [-1, 1], "roofline": [-1, 1], "beyond": 1}}"#;
        let error = serde_json::from_str::<TimeModel<2>>(short).expect_err("too short");
        assert!(error.to_string().contains("2 numbers expected, 1 found"));
    }
}
