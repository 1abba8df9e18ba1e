//! What can be wrong with a request: which input, why, and the next move.

use std::fmt;

use openmodel_schemas::name::EndpointName;

/// The input of an endpoint that an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The model or its repository.
    Model,
    /// The licences that are allowed.
    Licence,
    /// The region.
    Region,
    /// The longest sequence.
    ContextLength,
    /// The sequences in flight at once.
    MaxConcurrency,
    /// The prompt of the typical request.
    InputTokens,
    /// The answer of the typical request.
    OutputTokens,
    /// The requests a second of all replicas together.
    RequestsPerSecond,
    /// The longest time to the first token.
    MaxTtft,
    /// The longest time between tokens.
    MaxTpot,
    /// The low-rank adapters.
    Adapters,
    /// The tokens drafted ahead.
    DraftTokens,
    /// The model that drafts them.
    DraftModel,
    /// The format of the KV cache.
    KvCache,
    /// The quantisation.
    Quantization,
    /// The shape as a whole.
    Shape,
    /// The accelerator of the shape.
    ShapeAccelerator,
    /// The number of accelerators of the shape.
    ShapeAcceleratorCount,
    /// The vCPUs of the shape.
    ShapeCpu,
    /// The host memory of the shape.
    ShapeMemory,
    /// The serving engine.
    Engine,
    /// The replica bounds.
    Scaling,
    /// The limit of cost per hour.
    BudgetHourly,
    /// The limit of cost per month.
    BudgetMonthly,
    /// How the container gets a Hub token.
    Token,
    /// The snapshot it serves from.
    Cache,
    /// How the snapshot is loaded.
    Loader,
}

/// Why an endpoint cannot be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveError {
    /// The endpoint.
    pub endpoint: EndpointName,
    /// The input at fault.
    pub field: Field,
    /// Reason code, stable: `too_small`, `over_budget`, `unknown_architecture`, …
    pub code: &'static str,
    /// A few words without variable parts.
    pub summary: &'static str,
    /// Full sentences: who, what, the figures, and the next move.
    pub detail: String,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.endpoint, self.summary, self.detail)
    }
}

impl std::error::Error for ResolveError {}

/// A [`ResolveError`] before the endpoint's name is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) field: Field,
    pub(crate) code: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn of(self, endpoint: &EndpointName) -> ResolveError {
        let Self {
            field,
            code,
            summary,
            detail,
        } = self;
        ResolveError {
            endpoint: endpoint.clone(),
            field,
            code,
            summary,
            detail,
        }
    }
}
