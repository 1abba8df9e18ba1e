//! Our errors as Terraform's diagnostics: a short summary, full sentences, the attribute.

use openmodel_apply::cloud::Failure;
use openmodel_cloud::huggingface::HubError;
use openmodel_resolve::{Field, ResolveError};
use tfplug::{Diagnostic, Diagnostics};

use crate::client::Client;
use crate::workload::DRAFT_MODEL;

/// An endpoint that cannot be placed, on the attribute at fault.
pub(crate) fn resolve(error: &ResolveError) -> Diagnostics {
    Diagnostic::error(error.summary)
        .at(path(error.field))
        .detail(with_move(error.code, &error.detail))
        .into()
}

/// With the move that only an attribute of ours makes possible.
pub(crate) fn with_move(code: &str, detail: &str) -> String {
    match code {
        "context_too_long" => {
            format!("{detail} To go beyond that all the same, set workload.extend_context = true.")
        }
        _ => detail.to_owned(),
    }
}

/// The attribute of an endpoint that a planner's input comes from.
pub(crate) const fn path(field: Field) -> &'static str {
    match field {
        Field::Model | Field::Licence => "model",
        Field::Region => "region",
        Field::ContextLength => "workload.context_length",
        Field::MaxConcurrency => "workload.max_concurrency",
        Field::InputTokens => "workload.input_tokens",
        Field::OutputTokens => "workload.output_tokens",
        Field::RequestsPerSecond => "workload.requests_per_second",
        Field::MaxTtft => "workload.max_ttft_ms",
        Field::MaxTpot => "workload.max_tpot_ms",
        Field::Adapters => "workload.adapter_rank",
        Field::DraftTokens => "workload.draft_tokens",
        Field::DraftModel => DRAFT_MODEL,
        Field::Quantization => "quantization",
        Field::Shape => "shape",
        Field::ShapeAccelerator => "shape.accelerator",
        Field::ShapeAcceleratorCount => "shape.accelerator_count",
        Field::ShapeCpu => "shape.cpu",
        Field::ShapeMemory => "shape.memory_gib",
        Field::Engine | Field::KvCache => "engine",
        Field::Scaling => "scaling.max_replicas",
        Field::BudgetHourly => "budget.max_hourly_cost",
        Field::BudgetMonthly => "budget.max_monthly_cost",
        Field::Token => "hugging_face_token_wo",
        Field::Cache => "cache",
        Field::Loader => "loader",
    }
}

/// The model's repository that cannot be read, on the attribute that names it.
pub(crate) fn hub(client: &Client, error: &HubError) -> Diagnostics {
    let path = match error {
        HubError::RevisionNotFound { .. } => "revision",
        _ => "model",
    };
    unread(client, error, path)
}

/// The same of the draft model.
pub(crate) fn hub_of_draft(client: &Client, error: &HubError) -> Diagnostics {
    unread(client, error, DRAFT_MODEL)
}

/// The same of the repository of a cache.
pub(crate) fn hub_of_cache(client: &Client, error: &HubError) -> Diagnostics {
    let path = match error {
        HubError::RevisionNotFound { .. } => "revision",
        _ => "repository",
    };
    unread(client, error, path)
}

fn unread(client: &Client, error: &HubError, path: &str) -> Diagnostics {
    let summary = match error {
        HubError::NotFound { .. } if path == "repository" => "Repository not found",
        HubError::NotFound { .. } => "Model not found",
        HubError::RevisionNotFound { .. } => "Revision not found",
        HubError::Gated { .. } if path == "repository" => "Repository is gated",
        HubError::Gated { .. } => "Model is gated",
        HubError::Disabled { .. } => "Repository is disabled",
        HubError::Unauthorized { .. } => "Hub refused the token",
        HubError::RateLimited { .. } => "Hub limits the rate of requests",
        HubError::Malformed { .. } | HubError::TooLarge { .. } => "Repository cannot be understood",
        HubError::Altered { .. } => "Hub serves other bytes than it lists",
        HubError::Unreachable { .. } => "Hub cannot be reached",
        HubError::Offline { .. } => "Model is not in the cache",
    };
    let mut detail = sentence(&error.to_string());
    if client.hub_token_is_unknown {
        detail.push_str(
            " The provider's hugging_face_token is not known yet, so the Hub was asked without it; a value that \
             is known while planning would be used.",
        );
    }
    Diagnostic::error(summary).at(path).detail(detail).into()
}

/// A snapshot that cannot serve an endpoint.
pub(crate) fn snapshot(failure: &Failure) -> Diagnostic {
    let hint = failure.hint.as_deref().unwrap_or_default();
    let mut message = failure.message.clone();
    // An address stays one that can be copied.
    let is_word = !message.starts_with("gs://");
    if let Some(first) = message.get_mut(..1).filter(|_| is_word) {
        first.make_ascii_uppercase();
    }
    Diagnostic::error("Snapshot cannot serve the endpoint")
        .at("cache")
        .detail(format!("{} {hint}", sentence(&message)).trim().to_owned())
}

/// An argument that neither the resource, the provider nor the environment sets.
pub(crate) fn unset(name: &'static str) -> Diagnostic {
    let variable = name.to_uppercase();
    Diagnostic::error("Argument is not set").at(name).detail(format!(
        "No {name} is known. Set {name} here or in the provider block, or GOOGLE_{variable} in the environment."
    ))
}

/// Something that only a mistake of ours can cause.
pub(crate) fn bug(what: &str) -> Diagnostic {
    Diagnostic::error("Provider bug").detail(format!(
        "{what}. This is a bug in the provider, please report it."
    ))
}

/// With a full stop, as Terraform shows details.
pub(crate) fn sentence(text: &str) -> String {
    let end = if text.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{text}{end}")
}
