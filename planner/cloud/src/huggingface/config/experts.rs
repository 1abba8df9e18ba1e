//! Mixtures of experts: how many, how wide, and in which layers.

use openmodel_schemas::model_card::Experts;

use super::ConfigError;
use super::fields::{Fields, marks, short};
use super::layers::{Kind, Stack};

const COUNT: &[&str] = &[
    "num_experts",
    "n_routed_experts",
    "num_local_experts",
    "moe_num_experts",
    "num_routed_experts",
    "n_experts",
    "num_moe_experts",
];
const PER_TOKEN: &[&str] = &[
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "moe_top_k",
    "moe_topk",
    "moe_k",
    "top_k_experts",
    "num_selected_experts",
    "n_activated_experts",
    "moe_router_topk",
    "experts_top_k",
];
const WIDTH: &[&str] = &[
    "moe_intermediate_size",
    "moe_ffn_hidden_size",
    "expert_ffn_hidden_size",
    "expert_intermediate_size",
    "expert_ffn_dim",
];
const SHARED: &[&str] = &[
    "n_shared_experts",
    "num_shared_experts",
    "moe_num_shared_experts",
    "num_shared_expert",
];
const SHARED_WIDTH: &[&str] = &[
    "shared_expert_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "shared_intermediate_size",
    "share_expert_dim",
];
const DENSE_FIRST: &[&str] = &[
    "first_k_dense_replace",
    "num_dense_layers",
    "moe_first_k_dense_replace",
    "n_dense_layers",
];

/// The experts of a model. `usual_width` is the intermediate size stated for all its layers.
pub(super) fn experts(
    fields: &Fields<'_>,
    layers: u64,
    stack: &Stack,
    usual_width: Option<u64>,
) -> Result<Option<Experts>, ConfigError> {
    let Some(count) = count(fields)? else {
        return Ok(None);
    };
    let missing = |name: &str| ConfigError::new(name, "it is missing, in a mixture of experts");
    let per_token = fields
        .positive(PER_TOKEN)?
        .ok_or_else(|| missing(PER_TOKEN[0]))?;
    if per_token > count {
        let detail = format!("{per_token} is more than the {count} experts there are");
        return Err(ConfigError::new(PER_TOKEN[0], detail));
    }
    let intermediate_size = match fields.positive(WIDTH)? {
        Some(width) => width,
        None => usual_width.ok_or_else(|| missing(WIDTH[0]))?,
    };
    let (shared, shared_intermediate_size) = shared(fields, intermediate_size)?;
    let sparse = sparse_layers(fields, layers, stack)?;
    let feed_forward = if stack.is_unbundled() {
        stack.count(Kind::Experts) + stack.count(Kind::Dense)
    } else {
        layers
    };
    Ok(Some(Experts {
        count,
        per_token,
        intermediate_size,
        latent_size: fields.positive(&["moe_latent_size", "routed_expert_hidden_size"])?,
        shared,
        shared_intermediate_size,
        layers: sparse,
        dense_layers: feed_forward.saturating_sub(sparse),
        beside_dense: fields.flag("enable_moe_block") == Some(true)
            || fields.flag("parallel_attn_mlp_res") == Some(true),
    }))
}

/// A field whose values differ by expert or by layer in a way that one number cannot say.
pub(super) fn varying(fields: &Fields<'_>) -> Option<&'static str> {
    let differ = |names: &[&'static str]| {
        let items = fields.value(names).and_then(|(_, value)| value.as_array());
        items
            .is_some_and(|items| items.windows(2).any(|pair| pair[0] != pair[1]))
            .then(|| names[0])
    };
    differ(COUNT)
        .or_else(|| differ(WIDTH))
        .or_else(|| differ(PER_TOKEN))
}

fn count(fields: &Fields<'_>) -> Result<Option<u64>, ConfigError> {
    if fields.flag("enable_moe_block") == Some(false) {
        return Ok(None);
    }
    Ok(fields.number(COUNT)?.filter(|count| *count > 1))
}

/// How many shared experts there are, and their width together.
fn shared(fields: &Fields<'_>, width: u64) -> Result<(u64, u64), ConfigError> {
    if fields.model_type().starts_with("llama4") {
        return Ok((1, width));
    }
    let stated = fields.number(SHARED)?;
    let wide = fields.number(SHARED_WIDTH)?;
    Ok(match (stated, wide) {
        (Some(0), _) | (None, None | Some(0)) => (0, 0),
        (Some(count), None | Some(0)) => (count, count.saturating_mul(width)),
        (Some(count), Some(wide)) => (count, wide),
        // Qwen's MoE states one wide shared expert: as many of the usual width.
        (None, Some(wide)) => (wide.div_ceil(width.max(1)), wide),
    })
}

/// How many layers have experts.
fn sparse_layers(fields: &Fields<'_>, layers: u64, stack: &Stack) -> Result<u64, ConfigError> {
    if stack.is_unbundled() {
        return Ok(stack.count(Kind::Experts));
    }
    let marked = |marks: Vec<bool>| marks.into_iter().filter(|mark| *mark).count() as u64;
    let having =
        |chosen: &dyn Fn(u64) -> bool| (0..layers).filter(|layer| chosen(*layer)).count() as u64;
    if let Some(words) = fields.words("mlp_layer_types", layers)? {
        return Ok(words.iter().filter(|word| **word != "dense").count() as u64);
    }
    if fields.list("moe_layer_freq").is_some() {
        let flags = fields
            .numbers("moe_layer_freq", layers)?
            .unwrap_or_default();
        return Ok(flags.iter().filter(|flag| **flag > 0).count() as u64);
    }
    if let Some(marks) = fields.marked("moe_layers", 0, layers)? {
        return Ok(marked(marks));
    }
    if let Some(text) = fields.text(&["moe_layers_enum"]) {
        return Ok(marked(enumerated(text, layers)?));
    }
    if let Some(period) = fields.positive(&["expert_layer_period"])? {
        let offset = fields.number(&["expert_layer_offset"])?.unwrap_or(0);
        if offset >= period {
            let detail = format!("{offset} is not below expert_layer_period, which is {period}");
            return Err(ConfigError::new("expert_layer_offset", detail));
        }
        return Ok(having(&|layer| layer % period == offset));
    }
    let dense_only = fields.marked("mlp_only_layers", 0, layers)?;
    let is_dense_only = |layer: u64| {
        let marks = dense_only.as_deref().unwrap_or_default();
        usize::try_from(layer).is_ok_and(|layer| marks.get(layer) == Some(&true))
    };
    let first = fields.number(DENSE_FIRST)?.unwrap_or(0);
    let start = fields.number(&["moe_layer_start_index"])?.unwrap_or(first);
    let end = fields.number(&["moe_layer_end_index"])?.unwrap_or(layers);
    let last_of = fields
        .positive(&[
            "interleave_moe_layer_step",
            "decoder_sparse_step",
            "moe_layer_interval",
        ])?
        .unwrap_or(1);
    let first_of = fields.positive(&["moe_layer_freq"])?.unwrap_or(1);
    Ok(having(&|layer| {
        (start..=end).contains(&layer)
            && (layer + 1).is_multiple_of(last_of)
            && layer.is_multiple_of(first_of)
            && !is_dense_only(layer)
    }))
}

/// `"4,5,6"`, as Step writes it.
fn enumerated(text: &str, layers: u64) -> Result<Vec<bool>, ConfigError> {
    const FIELD: &str = "moe_layers_enum";
    let numbers = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| {
            item.parse()
                .map_err(|_| ConfigError::new(FIELD, format!("{:?} is not a layer", short(item))))
        })
        .collect::<Result<Vec<u64>, _>>()?;
    marks(FIELD, &numbers, 0, layers)
}
