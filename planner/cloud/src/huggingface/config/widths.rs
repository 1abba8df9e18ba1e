//! Widths of dense feed-forward layers, and of embeddings that each layer looks up.

use super::ConfigError;
use super::family;
use super::fields::Fields;
use super::layers::{Kind, Stack};
use super::searched;
use super::stacks::Names;

const INTERMEDIATE: &[&str] = &[
    "intermediate_size",
    "n_inner",
    "ffn_hidden_size",
    "d_ff",
    "ffn_dim",
    "block_ff_dim",
    "hidden_dim",
    "ffn_intermediate_size",
];
/// The intermediate size stated for all layers.
pub(super) fn usual(
    fields: &Fields<'_>,
    names: &Names,
    layers: u64,
    hidden_size: u64,
) -> Result<Option<u64>, ConfigError> {
    if let Some(sizes) = searched::intermediate_sizes(fields, layers, hidden_size)? {
        return Ok(sizes.into_iter().max().filter(|most| *most > 0));
    }
    let stated = fields
        .number_or_family(names.intermediate.unwrap_or(INTERMEDIATE))?
        .filter(|width| *width > 0);
    Ok(match stated {
        // Qwen's first class counts both halves of its gate.
        Some(both) if fields.model_type() == "qwen" => Some(both / 2),
        // LFM2 states what a plain layer would have; a gated one has two thirds of it.
        Some(plain) if adjusted(fields) => {
            let multiple = fields.positive(&["block_multiple_of"])?.unwrap_or(256);
            Some(
                (plain.saturating_mul(2) / 3)
                    .div_ceil(multiple)
                    .saturating_mul(multiple),
            )
        }
        Some(width) => Some(width),
        None if family::four_times_as_wide(fields) => Some(hidden_size.saturating_mul(4)),
        None => None,
    })
}

/// The intermediate size of a dense layer, and the sum over these layers where they differ.
pub(super) fn dense(
    fields: &Fields<'_>,
    layers: u64,
    hidden_size: u64,
    stack: &Stack,
    usual: Option<u64>,
    has_experts: bool,
) -> Result<(u64, Option<u64>), ConfigError> {
    // Where the usual width is an expert's, a dense layer's has a name of its own.
    let apart = fields.positive(&["dense_intermediate_size", "intermediate_size_mlp"])?;
    let shared = match fields.model_type() {
        "granitemoehybrid" if !has_experts => fields.positive(&["shared_intermediate_size"])?,
        _ => None,
    };
    let width = apart
        .filter(|_| has_experts)
        .or(shared)
        .or(usual)
        .unwrap_or(0);
    let by_layer = match searched::intermediate_sizes(fields, layers, hidden_size)? {
        None => fields.varying(INTERMEDIATE, layers)?,
        sizes => sizes,
    };
    let mut total = by_layer.map(|sizes| {
        sizes
            .iter()
            .fold(0, |sum: u64, size| sum.saturating_add(*size))
    });
    if fields.flag("use_double_wide_mlp") == Some(true) {
        // Gemma 4: layers without keys and values of their own are twice as wide.
        let wide = layers.saturating_add(stack.count(Kind::Shared));
        total = Some(width.saturating_mul(wide));
    }
    Ok((
        width,
        total.filter(|total| *total != width.saturating_mul(layers)),
    ))
}

pub(super) fn per_layer_embeddings(
    fields: &Fields<'_>,
    layers: u64,
    vocab_size: u64,
) -> Result<u64, ConfigError> {
    let width = fields
        .number(&["hidden_size_per_layer_input"])?
        .unwrap_or(0);
    let words = fields
        .positive(&["vocab_size_per_layer_input"])?
        .unwrap_or(vocab_size);
    Ok(width.saturating_mul(words).saturating_mul(layers))
}

/// Whether the stated width is that of a layer without a gate.
fn adjusted(fields: &Fields<'_>) -> bool {
    fields.model_type() == "lfm2" && fields.flag("block_auto_adjust_ff_dim") != Some(false)
}
