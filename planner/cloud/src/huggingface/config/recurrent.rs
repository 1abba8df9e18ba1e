//! The state that recurrent layers keep: Mamba, delta nets, lightning attention, short convolutions.

use openmodel_schemas::model_card::Recurrent;
use serde_json::Value;

use super::ConfigError;
use super::fields::{Fields, whole};

/// Fields that show a state, the first of which is named where it is not understood.
const SIGNS: [&str; 10] = [
    "mamba_d_state",
    "mamba_num_heads",
    "mamba_n_heads",
    "ssm_state_size",
    "state_size",
    "n_mamba_heads",
    "linear_attn_config",
    "linear_num_value_heads",
    "conv_L_cache",
    "linear_num_key_heads",
];

/// Widths that a state's formula needs.
pub(super) struct Widths {
    pub(super) hidden_size: u64,
    pub(super) attention_heads: u64,
    pub(super) head_dim: u64,
}

/// The field that shows a state, where there is one.
pub(super) fn sign(fields: &Fields<'_>) -> Option<&'static str> {
    SIGNS.into_iter().find(|name| fields.is_set(name))
}

/// The state of the recurrent layers; `None` where no formula here covers it.
pub(super) fn state(
    fields: &Fields<'_>,
    widths: &Widths,
) -> Result<Option<Recurrent>, ConfigError> {
    if let Some(state) = delta_net(fields, widths)? {
        return Ok(Some(state));
    }
    if let Some(conv) = fields.positive(&["conv_L_cache"])? {
        let inner = fields
            .positive(&["conv_dim"])?
            .unwrap_or(widths.hidden_size);
        let state_bytes = 2;
        return Ok(Some(Recurrent::Mamba1 {
            inner,
            state: 0,
            conv,
            state_bytes,
        }));
    }
    mamba(fields, widths)
}

fn delta_net(fields: &Fields<'_>, widths: &Widths) -> Result<Option<Recurrent>, ConfigError> {
    let family = fields.model_type();
    // Kimi's state is kept in 32 bits whatever the model's type is.
    let kimi = |heads: u64, dim: u64, conv: u64| Recurrent::DeltaNet {
        key_heads: heads,
        value_heads: heads,
        key_dim: dim,
        value_dim: dim,
        conv,
        state_bytes: 4,
    };
    if let Some(linear) = fields.part("linear_attn_config") {
        let number = |name: &str| {
            linear
                .get(name)
                .and_then(whole)
                .filter(|number| *number > 0)
        };
        let (Some(heads), Some(dim)) = (number("num_heads"), number("head_dim")) else {
            return Ok(None);
        };
        return Ok(Some(kimi(
            heads,
            dim,
            number("short_conv_kernel_size").unwrap_or(4),
        )));
    }
    let heads = fields.positive(&["linear_num_heads"])?;
    if let (Some(heads), Some(dim)) = (heads, fields.positive(&["linear_head_dim"])?) {
        let conv = fields.positive(&["linear_conv_kernel_dim"])?.unwrap_or(4);
        return Ok(Some(kimi(heads, dim, conv)));
    }
    if fields.is_set("layer_group_size") && fields.is_set("short_conv_kernel_size") {
        let conv = fields.number(&["short_conv_kernel_size"])?.unwrap_or(4);
        return Ok(Some(kimi(widths.attention_heads, widths.head_dim, conv)));
    }
    if family.starts_with("minimax") || fields.list("attn_type_list").is_some() {
        return Ok(Some(Recurrent::DeltaNet {
            key_heads: widths.attention_heads,
            value_heads: widths.attention_heads,
            key_dim: widths.head_dim,
            value_dim: widths.head_dim,
            conv: 0,
            state_bytes: state_bytes(fields),
        }));
    }
    let gated = family.starts_with("qwen3_next") || family.starts_with("qwen3_5");
    let value_heads = fields.positive(&["linear_num_value_heads"])?;
    let key_heads = fields.positive(&["linear_num_key_heads"])?;
    if value_heads.or(key_heads).is_none() && !gated {
        return Ok(None);
    }
    let dim = |name: &str| Ok(fields.positive(&[name])?.unwrap_or(128));
    Ok(Some(Recurrent::DeltaNet {
        key_heads: key_heads.unwrap_or(16),
        value_heads: value_heads.unwrap_or(32),
        key_dim: dim("linear_key_head_dim")?,
        value_dim: dim("linear_value_head_dim")?,
        conv: fields.positive(&["linear_conv_kernel_dim"])?.unwrap_or(4),
        state_bytes: state_bytes(fields),
    }))
}

fn mamba(fields: &Fields<'_>, widths: &Widths) -> Result<Option<Recurrent>, ConfigError> {
    let family = fields.model_type();
    let state = fields.positive(&["ssm_state_size", "mamba_d_state", "state_size", "d_state"])?;
    let conv = fields.positive(&["conv_kernel", "mamba_d_conv", "d_conv"])?;
    let of_its_own = fields.value(&["ssm_cfg"]).is_some();
    let of_its_own_2 = of_its_own && fields.text(&["layer"]) == Some("Mamba2");
    if state.is_none() && !of_its_own {
        return Ok(None);
    }
    let conv = conv.unwrap_or(4);
    let expand = fields.positive(&["expand", "mamba_expand"])?.unwrap_or(2);
    let inner = match fields.positive(&["mamba_d_ssm", "mamba_intermediate_size", "d_inner"])? {
        Some(inner) => inner,
        None => match (family, fields.positive(&["intermediate_size"])?) {
            ("mamba" | "falcon_mamba", Some(inner)) => inner,
            _ => expand.saturating_mul(widths.hidden_size),
        },
    };
    let mut names = vec!["mamba_num_heads", "mamba_n_heads"];
    match family {
        "mamba2" => names.push("num_heads"),
        "zamba2" => names.push("n_mamba_heads"),
        _ => {}
    }
    let heads = match fields.positive(&names)? {
        None if of_its_own_2 => Some(inner / 64),
        heads => heads,
    };
    let Some(heads) = heads.filter(|heads| *heads > 0) else {
        // Zamba's heads are ways to split the channels; the state is a channel's all the same.
        return Ok(Some(Recurrent::Mamba1 {
            inner,
            state: state.unwrap_or(16),
            conv,
            state_bytes: state_bytes(fields),
        }));
    };
    let mut names = vec!["mamba_head_dim", "mamba_d_head", "mamba_headdim"];
    if family == "mamba2" {
        names.push("head_dim");
    }
    // `"auto"`, as Bamba has it, is what remains for a head.
    let head_dim = match fields.value(&names) {
        Some((_, Value::String(text))) if text == "auto" => None,
        _ => fields.positive(&names)?,
    };
    let head_dim = head_dim.unwrap_or(inner / heads);
    let groups = fields.positive(&["n_groups", "mamba_n_groups", "mamba_ngroups", "ngroups"])?;
    Ok(Some(Recurrent::Mamba2 {
        heads,
        head_dim,
        groups: groups.unwrap_or(1),
        state: state.unwrap_or(128),
        conv,
        state_bytes: state_bytes(fields),
    }))
}

/// Bytes of an element of the state: as the configuration asks, or else those of the weights,
/// which an engine loads in 16 bits.
fn state_bytes(fields: &Fields<'_>) -> u64 {
    let stated = fields.text(&["mamba_ssm_cache_dtype", "mamba_ssm_dtype"]);
    if stated.is_some_and(|dtype| dtype.ends_with("float32")) {
        4
    } else {
        2
    }
}
