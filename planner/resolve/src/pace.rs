//! How fast a model is on the devices of a shape, in the words of a need.

use openmodel_schemas::catalog::AcceleratorRow;
use openmodel_schemas::engine::EngineRow;
use openmodel_schemas::report::Range;

use crate::need::{Need, Variant};
use crate::parallel::Parallelism;

/// Latency and throughput of one replica at the need's concurrency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    pub(crate) ttft_ms: Range,
    pub(crate) tpot_ms: Range,
    pub(crate) output_tokens_per_second: Range,
    pub(crate) requests_per_second: Range,
    /// `measured`, `fitted` or `roofline`.
    pub(crate) basis: &'static str,
}

pub(crate) fn pace(
    _need: &Need,
    _variant: &Variant,
    _engine: &EngineRow,
    _parallelism: Parallelism,
    _accelerator: &AcceleratorRow,
) -> Option<Pace> {
    None
}
