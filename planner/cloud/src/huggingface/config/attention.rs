//! Heads, and what a layer with attention keeps of a token.

use openmodel_schemas::model_card::{Indexer, LatentAttention};

use super::ConfigError;
use super::fields::Fields;
use super::layers::{Kind, Stack};
use super::searched;

const KV_HEADS: &[&str] = &[
    "num_key_value_heads",
    "num_kv_heads",
    "n_head_kv",
    "kv_n_heads",
    "multi_query_group_num",
    "num_attention_groups",
    "num_key_value_heads_per_layer",
    "n_kv_heads",
];
pub(super) const HEAD_DIM: &[&str] = &[
    "head_dim",
    "kv_channels",
    "d_kv",
    "attention_head_dim",
    "head_size",
];

/// The heads of the layers that attend.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of `ModelConfig`"
)]
pub(super) struct Heads {
    pub(super) kv_heads: u64,
    pub(super) kv_heads_total: Option<u64>,
    pub(super) head_dim: u64,
    pub(super) global_kv_heads: Option<u64>,
    pub(super) global_head_dim: Option<u64>,
    pub(super) value_head_dim: Option<u64>,
    pub(super) shared_key_value: bool,
}

/// Reads heads. `attention_heads` is 0 in a model without attention.
pub(super) fn heads(
    fields: &Fields<'_>,
    layers: u64,
    hidden_size: u64,
    attention_heads: u64,
    stack: &Stack,
) -> Result<Heads, ConfigError> {
    let by_layer = match searched::kv_heads(fields, layers, attention_heads)? {
        None => fields.varying(KV_HEADS, layers)?,
        searched => searched,
    };
    let mut heads = Heads {
        kv_heads: kv_heads(fields)?.unwrap_or(attention_heads),
        head_dim: match stated(fields, HEAD_DIM)? {
            Some(stated) => stated,
            None => hidden_size.checked_div(attention_heads).unwrap_or(0),
        },
        ..Heads::default()
    };
    if fields.model_type().starts_with("zamba") && !fields.is_set("attention_head_dim") {
        // Its attention is over the input beside the hidden state: twice as wide.
        heads.head_dim = hidden_size
            .saturating_mul(2)
            .checked_div(attention_heads)
            .unwrap_or(0);
    }
    if let Some(by_layer) = by_layer {
        let keeps = |kind: &Kind| matches!(kind, Kind::Full | Kind::Windowed | Kind::Both);
        let own = by_layer
            .iter()
            .zip(&stack.kinds)
            .filter(|(_, kind)| keeps(kind));
        let own: Vec<u64> = own.map(|(heads, _)| *heads).collect();
        heads.kv_heads = own.iter().copied().max().unwrap_or(0);
        if own.windows(2).any(|pair| pair[0] != pair[1]) {
            heads.kv_heads_total =
                Some(own.iter().fold(0, |sum, heads| sum.saturating_add(*heads)));
        }
    }
    if stack.count(Kind::Windowed) + stack.count(Kind::Shared) > 0 {
        differing(fields, &mut heads)?;
    }
    let value_dim = fields
        .positive(&["swa_v_head_dim", "v_head_dim"])?
        .filter(|_| latent_rank(fields).is_ok_and(|rank| rank.is_none()));
    heads.value_head_dim = value_dim.filter(|dim| *dim != heads.head_dim);
    heads.shared_key_value =
        fields.flag("attention_k_eq_v") == Some(true) || !stack.ratios.is_empty();
    Ok(heads)
}

/// Multi-head latent attention, where the model has it.
pub(super) fn latent(
    fields: &Fields<'_>,
    value_dim: u64,
) -> Result<Option<LatentAttention>, ConfigError> {
    let Some(kv_rank) = latent_rank(fields)? else {
        return Ok(None);
    };
    let dim = |name: &str| Ok(fields.number_or_family(&[name])?.unwrap_or(0));
    let (rope_dim, nope_dim) = (dim("qk_rope_head_dim")?, dim("qk_nope_head_dim")?);
    if rope_dim.saturating_add(nope_dim) == 0 {
        let detail = "it is missing, in latent attention";
        return Err(ConfigError::new("qk_nope_head_dim", detail));
    }
    Ok(Some(LatentAttention {
        kv_rank,
        q_rank: fields.positive(&["q_lora_rank"])?,
        rope_dim,
        nope_dim,
        value_dim: fields
            .number_or_family(&["v_head_dim"])?
            .filter(|dim| *dim > 0)
            .unwrap_or(value_dim),
    }))
}

/// The indexer of sparse attention, where the model has one.
pub(super) fn indexer(
    fields: &Fields<'_>,
    layers: u64,
    stack: &Stack,
) -> Result<Option<Indexer>, ConfigError> {
    if let Some(sparse) = fields.part("sparse_attention_config") {
        let dim = sparse
            .get("sparse_index_dim")
            .and_then(super::fields::whole);
        let flags = sparse
            .get("sparse_attention_freq")
            .and_then(|freq| freq.as_array());
        let on = |flags: &Vec<serde_json::Value>| flags.iter().filter(|flag| **flag == 1).count();
        let layers = flags.map_or(layers, |flags| layers.min(on(flags) as u64));
        return Ok(dim.filter(|dim| *dim > 0).map(|dim| Indexer {
            dim,
            layers,
            topk: None,
        }));
    }
    let Some(dim) = fields.positive(&["index_head_dim"])? else {
        return Ok(None);
    };
    let own = if let Some(types) = fields.words("indexer_types", layers)? {
        let full = types.iter().zip(&stack.kinds);
        full.filter(|(kind, layer)| **kind == "full" && **layer == Kind::Full)
            .count() as u64
    } else if stack.ratios.is_empty() {
        stack.count(Kind::Full)
    } else {
        let ratios = &stack.ratios;
        // DeepSeek V4 looks for entries where they are many: where few tokens are in one.
        let least = ratios.iter().copied().filter(|ratio| *ratio > 0).min();
        ratios.iter().filter(|ratio| Some(**ratio) == least).count() as u64
    };
    Ok(Some(Indexer {
        dim,
        layers: own,
        topk: fields.positive(&["index_topk"])?,
    }))
}

fn kv_heads(fields: &Fields<'_>) -> Result<Option<u64>, ConfigError> {
    // Falcon's first architecture, and StarCoder: one for all, whatever else is stated.
    let one_for_all = fields.flag("multi_query") == Some(true)
        && fields.flag("new_decoder_architecture") != Some(true);
    if one_for_all && fields.value(&["multi_query_group_num"]).is_none() {
        return Ok(Some(1));
    }
    // ChatGLM states a number of groups that it may not use.
    if fields.flag("multi_query_attention") == Some(false) {
        return Ok(None);
    }
    stated(fields, KV_HEADS)
}

/// A number that is stated, and is at least 1: 0 would be read as if nothing were stated.
fn stated(fields: &Fields<'_>, names: &[&str]) -> Result<Option<u64>, ConfigError> {
    let number = fields.number_or_family(names)?;
    match fields.value(names) {
        Some((name, _)) if number == Some(0) => {
            Err(ConfigError::new(name, "0 is none: it must be at least 1"))
        }
        _ => Ok(number),
    }
}

/// Heads of full attention that differ from those of the windowed layers.
fn differing(fields: &Fields<'_>, heads: &mut Heads) -> Result<(), ConfigError> {
    let (all_heads, all_dim) = (heads.kv_heads, heads.head_dim);
    // MiMo states full attention's and, apart, the window's.
    if let Some(windowed) = fields.positive(&["swa_num_key_value_heads"])? {
        heads.kv_heads = windowed;
        heads.global_kv_heads = Some(all_heads).filter(|full| *full != windowed);
    }
    if let Some(windowed) = fields.positive(&["swa_head_dim"])? {
        heads.head_dim = windowed;
        heads.global_head_dim = Some(all_dim).filter(|full| *full != windowed);
    }
    // Gemma states the window's and, apart, full attention's; its heads count only where key and
    // value are one.
    let global_dim = match fields.positive(&["global_head_dim"])? {
        None if fields.model_type().starts_with("gemma4") => Some(512),
        stated => stated,
    };
    if let Some(full) = global_dim {
        heads.global_head_dim = Some(full).filter(|full| *full != heads.head_dim);
    }
    if let Some(full) = fields.positive(&["num_global_key_value_heads"])?
        && fields.flag("attention_k_eq_v") != Some(false)
    {
        heads.global_kv_heads = Some(full).filter(|full| *full != heads.kv_heads);
    }
    Ok(())
}

fn latent_rank(fields: &Fields<'_>) -> Result<Option<u64>, ConfigError> {
    if fields.flag("use_mla") == Some(false) {
        return Ok(None);
    }
    // An explicit null means none, where a family's default would mean some.
    let family = fields.number_or_family(&["kv_lora_rank"])?;
    Ok(family.filter(|rank| *rank > 0))
}
