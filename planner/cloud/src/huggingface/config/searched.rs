//! Architectures found by search (Nemotron Super and Ultra, DeciLM): a block of its own for each
//! layer, some without attention.

use serde_json::Value;

use super::ConfigError;
use super::fields::{Fields, Part, by_layer, part, short, whole};
use super::layers::Kind;

const FIELD: &str = "block_configs";

/// The KV heads of each layer; 0 where it keeps none. `None` where the model is not a searched one.
pub(super) fn kv_heads(
    fields: &Fields<'_>,
    layers: u64,
    attention_heads: u64,
) -> Result<Option<Vec<u64>>, ConfigError> {
    if fields.list(FIELD).is_none() {
        return Ok(None);
    }
    let heads = |block: &Part| {
        let Some(attention) = attention(block) else {
            return Ok(0);
        };
        if let Some(heads) = attention.get("num_key_value_heads").and_then(whole) {
            return Ok(heads);
        }
        let group = attention.get("n_heads_in_group").unwrap_or(&Value::Null);
        whole(group)
            .filter(|group| *group > 0 && attention_heads.is_multiple_of(*group))
            .map(|group| attention_heads / group)
            .ok_or_else(|| {
                let group = short(&group.to_string());
                let detail =
                    format!("n_heads_in_group {group} does not divide {attention_heads} heads");
                ConfigError::new(FIELD, detail)
            })
    };
    let blocks = blocks(fields, layers)?;
    blocks
        .into_iter()
        .map(heads)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// The intermediate size of each layer. `None` where the model is not a searched one.
pub(super) fn intermediate_sizes(
    fields: &Fields<'_>,
    layers: u64,
    hidden_size: u64,
) -> Result<Option<Vec<u64>>, ConfigError> {
    if fields.list(FIELD).is_none() {
        return Ok(None);
    }
    let size = |block: &Part| {
        let Some(ffn) = part(block, "ffn").or_else(|| part(block, "mlp")) else {
            return 0;
        };
        if is_absent(ffn) {
            return 0;
        }
        if let Some(size) = ffn.get("intermediate_size").and_then(whole) {
            return size;
        }
        ffn.get("ffn_mult")
            .and_then(Value::as_f64)
            .map_or(0, |times| widened(times, hidden_size))
    };
    Ok(Some(
        blocks(fields, layers)?.into_iter().map(size).collect(),
    ))
}

/// What the layers are.
pub(super) fn kinds(fields: &Fields<'_>, layers: u64) -> Result<Vec<Kind>, ConfigError> {
    let kind = |block: &Part| match attention(block) {
        None => Kind::Nothing,
        Some(attention) if attention.get("window_length").is_some_and(Value::is_u64) => {
            Kind::Windowed
        }
        Some(_) => Kind::Full,
    };
    Ok(blocks(fields, layers)?.into_iter().map(kind).collect())
}

fn blocks<'a>(fields: &Fields<'a>, layers: u64) -> Result<Vec<&'a Part>, ConfigError> {
    let block = |item: &'a Value| {
        item.as_object()
            .ok_or_else(|| ConfigError::new(FIELD, "a block is not a JSON object"))
    };
    let items = fields.list(FIELD).into_iter().flatten();
    let blocks = items.map(block).collect::<Result<_, _>>()?;
    by_layer(FIELD, blocks, layers)
}

/// The attention of a block, where it has one.
fn attention(block: &Part) -> Option<&Part> {
    part(block, "attention").filter(|attention| !is_absent(attention))
}

fn is_absent(layer: &Part) -> bool {
    ["no_op", "replace_with_linear"]
        .iter()
        .any(|name| layer.get(*name) == Some(&Value::Bool(true)))
}

/// `DeciLM`'s rule: two thirds of so many times the hidden size, rounded up to a multiple of 256.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "bounded before, and the class rounds the same way"
)]
fn widened(times: f64, hidden_size: u64) -> u64 {
    let size = 2.0 * times.clamp(0.0, 1e6) * hidden_size as f64 / 3.0;
    (size as u64).next_multiple_of(256)
}
