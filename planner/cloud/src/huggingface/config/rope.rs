//! Rotary position embeddings that were stretched (`rope_scaling`, `rope_parameters`).

use openmodel_schemas::model_card::RopeScaling;
use serde_json::Value;

use super::ConfigError;
use super::fields::{Fields, Part, part, whole};

/// Kinds that turn positions differently and reach no further for it.
const NOT_STRETCHED: [&str; 5] = ["", "default", "mrope", "proportional", "axial"];

/// How the positions were stretched; `None` where they were not.
pub(super) fn scaling(fields: &Fields<'_>) -> Result<Option<RopeScaling>, ConfigError> {
    let stated = ["rope_scaling", "rope_parameters"]
        .iter()
        .filter_map(|name| {
            fields
                .part(name)
                .map(|part| (*name, by_kind_of_layer(part)))
        });
    for (field, stated) in stated {
        let kind = ["rope_type", "type"]
            .iter()
            .find_map(|name| stated.get(*name).and_then(Value::as_str))
            .unwrap_or_default();
        if NOT_STRETCHED.contains(&kind) {
            continue;
        }
        let factor = stated.get("factor").and_then(Value::as_f64);
        if let Some(factor) = factor.filter(|factor| !factor.is_finite() || *factor <= 0.0) {
            let detail = format!("a factor of {factor} stretches nothing");
            return Err(ConfigError::new(field, detail));
        }
        let original = match stated.get("original_max_position_embeddings") {
            Some(value) => whole(value),
            None => fields.number(&["original_max_position_embeddings"])?,
        };
        // "su" is the older name of Phi's.
        let kind = if kind == "su" { "longrope" } else { kind };
        return Ok(Some(RopeScaling {
            kind: kind.to_owned(),
            factor,
            original_positions: original.filter(|positions| *positions > 0),
        }));
    }
    Ok(None)
}

/// Newer files have one set for each kind of layer; those with full attention reach furthest.
fn by_kind_of_layer(stated: &Part) -> &Part {
    ["full_attention", "main"]
        .iter()
        .find_map(|kind| part(stated, kind))
        .unwrap_or(stated)
}
