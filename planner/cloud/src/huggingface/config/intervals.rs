//! What the layers of a model are where no field lists them: by an interval, a period, or what the
//! family does.

use openmodel_schemas::model_card::ModelKind;
use serde_json::Value;

use super::ConfigError;
use super::fields::Fields;
use super::layers::Kind;

/// Families that slide in all layers where a window is stated and nothing else. Others are taken
/// to attend to everything: too much memory is a dearer plan, too little is a crash.
const ALL_SLIDE: [&str; 8] = [
    "ministral",
    "mistral",
    "mixtral",
    "phi3",
    "phi3_v",
    "phi4mm",
    "phimoe",
    "starcoder2",
];

/// The layers as an interval or the family gives them.
pub(super) fn assumed(
    fields: &Fields<'_>,
    layers: u64,
    kind: ModelKind,
) -> Result<Vec<Kind>, ConfigError> {
    let family = fields.model_type();
    let every = |interval: u64, offset: u64, yes: Kind, no: Kind| -> Vec<Kind> {
        let of = |layer| if layer % interval == offset { yes } else { no };
        (0..layers).map(of).collect()
    };
    let all = |kind: Kind| every(1, 0, kind, kind);
    let last_of = |interval: u64, no: Kind| every(interval, interval - 1, Kind::Full, no);
    if let Some(period) = fields.positive(&["attn_layer_period"])? {
        let offset = fields.number(&["attn_layer_offset"])?.unwrap_or(0);
        if offset >= period {
            let detail = format!("{offset} is not below attn_layer_period, which is {period}");
            return Err(ConfigError::new("attn_layer_offset", detail));
        }
        let attends = if family == "zamba" {
            Kind::Both
        } else {
            Kind::Full
        };
        return Ok(every(period, offset, attends, Kind::Recurrent));
    }
    let linear = ["linear_num_value_heads", "linear_num_key_heads"]
        .iter()
        .any(|name| fields.is_set(name));
    if let Some(interval) = fields.positive(&["full_attention_interval", "layer_group_size"])? {
        return Ok(last_of(interval, Kind::Recurrent));
    }
    match family {
        _ if linear => return Ok(last_of(4, Kind::Recurrent)),
        "mamba" | "mamba2" | "falcon_mamba" | "granitemoehybrid" | "bamba" => {
            return Ok(all(Kind::Recurrent));
        }
        "falcon_h1" => return Ok(all(Kind::Both)),
        _ => {}
    }
    if fields.is_set("ssm_cfg") || (family.is_empty() && fields.value(&["ssm_cfg"]).is_some()) {
        return Ok(all(Kind::Recurrent));
    }
    if kind == ModelKind::Encoder
        && let Some(interval) = fields.positive(&["global_attn_every_n_layers"])?
    {
        return Ok(every(interval, 0, Kind::Full, Kind::Windowed));
    }
    if fields.flag("use_sliding_window") == Some(false) {
        return Ok(all(Kind::Full));
    }
    if let Some(pattern) = fields
        .text(&["sliding_window_pattern"])
        .filter(|pattern| !pattern.is_empty())
    {
        let of = |letter| {
            if letter == b'G' {
                Kind::Full
            } else {
                Kind::Windowed
            }
        };
        let letters = pattern.bytes().cycle().zip(0..layers);
        return Ok(letters.map(|(letter, _)| of(letter)).collect());
    }
    let interval = match fields.value(&["sliding_window_pattern"]) {
        Some((_, Value::String(_))) => None,
        _ => fields.positive(&[
            "sliding_window_pattern",
            "_sliding_window_pattern",
            "global_attn_every_n_layers",
        ])?,
    };
    let interval = interval.or(match family {
        "gemma2" | "gpt_oss" | "vaultgemma" => Some(2),
        "cohere2" | "exaone4" | "llama4_text" | "olmo3" | "afmoe" => Some(4),
        "gemma3n_text" => Some(5),
        "gemma3" | "gemma3_text" | "gemma4_text" | "gemma4_unified_text" | "mimo_v2_flash" => {
            Some(6)
        }
        _ => None,
    });
    if let Some(interval) = interval {
        let mut kinds = last_of(interval, Kind::Windowed);
        if family == "mimo_v2_flash"
            && let Some(first) = kinds.first_mut()
        {
            *first = Kind::Full;
        }
        return Ok(kinds);
    }
    // Qwen's first layers are full where it says that it slides at all.
    let full = match fields.flag("use_sliding_window") {
        Some(true) => fields.number(&["max_window_layers"])?.unwrap_or(0),
        _ if ALL_SLIDE.contains(&family) => 0,
        _ => layers,
    };
    let of = |layer| {
        if layer < full {
            Kind::Full
        } else {
            Kind::Windowed
        }
    };
    Ok((0..layers).map(of).collect())
}
