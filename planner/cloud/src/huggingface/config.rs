//! What a `config.json` says of a model, in the terms of the sizing formulas.
//!
//! ```text
//!   config.json ─► Fields ─► sizes, kind     (older names, nested models, families' defaults)
//!                       ├──► Stack           what each layer is
//!                       ├──► heads, latent attention, state, experts
//!                       ├──► quantisation, stretched positions
//!                       └──► special         what no formula covers, by the field that shows it
//! ```
//!
//! | file | reads |
//! |---|---|
//! | `config/fields.rs` | a field, wherever it stands and whatever it is called |
//! | `config/family.rs` | what the classes of `transformers` assume |
//! | `config/layers.rs`, `config/intervals.rs`, `config/searched.rs` | what each layer is |
//! | `config/attention.rs`, `config/recurrent.rs` | what a layer keeps of a sequence |
//! | `config/experts.rs`, `config/widths.rs` | mixtures of experts, dense feed-forward layers |
//! | `config/stacks.rs` | encoder-decoders: which of the two a field is about |
//! | `config/kinds.rs`, `config/contradictions.rs` | what is refused: values of no meaning, and fields that contradict |
//! | `config/quantization.rs`, `config/kept.rs`, `config/rope.rs` | how it is stored, and stretched |
//!
//! What is not understood is not guessed at: its field is listed in [`ModelConfig::special`]. What
//! contradicts itself is a [`ConfigError`].

use openmodel_schemas::model_card::{
    LatentAttention, LayerKinds, ModelConfig, ModelKind, StoredQuantization,
};
use serde_json::Value;

use self::attention::Heads;
use self::fields::Fields;
use self::layers::Kind;
use self::stacks::Names;

mod attention;
mod contradictions;
mod experts;
mod family;
mod fields;
mod intervals;
mod kept;
mod kinds;
mod layers;
mod quantization;
mod recurrent;
mod rope;
mod searched;
mod stacks;
mod widths;

/// A field without which, or with whose value, a model cannot be sized.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct ConfigError {
    /// The field, or `the file`.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

impl ConfigError {
    pub(crate) fn new(field: &str, detail: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            detail: detail.into(),
        }
    }
}

const VOCABULARY: &[&str] = &["vocab_size", "padded_vocab_size"];
const POSITIONS: &[&str] = &[
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "max_sequence_length",
    "model_max_length",
    "n_ctx",
];

/// The most that any field of its kind may be: far above every model, far below what would make
/// arithmetic wrong.
const MOST: [(&str, u64); 8] = [
    ("hidden_size", 1 << 20),
    ("num_hidden_layers", 1 << 13),
    ("num_attention_heads", 1 << 16),
    ("num_key_value_heads", 1 << 16),
    ("head_dim", 1 << 16),
    ("intermediate_size", 1 << 24),
    ("vocab_size", 1 << 28),
    ("num_experts", 1 << 16),
];

/// Reads a `config.json`.
///
/// ```
/// let config = serde_json::json!({
///     "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
///     "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
///     "num_key_value_heads": 8, "vocab_size": 128_256,
/// });
/// let config = openmodel_cloud::parse_config(&config)?;
/// assert_eq!((config.head_dim, config.layer_kinds.full), (128, 32));
/// # Ok::<(), openmodel_cloud::ConfigError>(())
/// ```
pub fn parse_config(config: &Value) -> Result<ModelConfig, ConfigError> {
    let fields = Fields::new(config)?;
    kinds::check(&fields)?;
    contradictions::of_class(&fields)?;
    let kind = family::kind(&fields);
    if kind == ModelKind::Diffusion {
        return parse_model_index(config);
    }
    let names = Names::of(&fields, kind);
    let mut special = family::special(&fields);
    let needed = |names: &[&str]| -> Result<u64, ConfigError> {
        match fields.number_or_family(names)? {
            Some(0) => Err(ConfigError::new(
                names[0],
                "0 is none: it must be at least 1",
            )),
            Some(number) => Ok(number),
            None => Err(ConfigError::new(names[0], "it is missing")),
        }
    };
    let hidden_size = bounded("hidden_size", needed(names.hidden)?)?;
    let layers = bounded("num_hidden_layers", number_of_layers(&fields, &names)?)?;
    let max_positions = fields
        .number_or_family(names.positions.unwrap_or(POSITIONS))?
        .filter(|longest| *longest > 0);

    let stack = layers::stack(&fields, layers, kind, max_positions)?;
    special.extend(stack.unknown.map(str::to_owned));
    let attention_heads = if stack.attends() {
        let stated = fields
            .number_or_family(names.heads)?
            .filter(|heads| *heads > 0);
        match stated {
            Some(heads) => bounded("num_attention_heads", heads)?,
            None if special.is_empty() => needed(names.heads)?,
            None => 0,
        }
    } else {
        0
    };
    let mut heads = if stack.attends() {
        attention::heads(&fields, layers, hidden_size, attention_heads, &stack)?
    } else {
        Heads::default()
    };
    let latent = attention::latent(&fields, heads.head_dim)?;
    if let Some(latent) = &latent {
        // What is stated is now this part of a head and now that.
        heads.head_dim = latent.nope_dim.saturating_add(latent.rope_dim);
    }
    if stack.attends() && special.is_empty() {
        check_heads(&fields, attention_heads, &heads, latent.as_ref())?;
        contradictions::of_heads(&fields, hidden_size, attention_heads, latent.as_ref())?;
    }
    if stack.attends() {
        contradictions::of_positions(&fields, names.positions.unwrap_or(POSITIONS))?;
    }

    let state_widths = recurrent::Widths {
        hidden_size,
        attention_heads,
        head_dim: heads.head_dim,
    };
    let recurrent = if stack.is_recurrent() {
        let state = recurrent::state(&fields, &state_widths)?;
        if state.is_none() && special.is_empty() {
            special.push(recurrent::sign(&fields).unwrap_or("layer_types").to_owned());
        }
        state
    } else {
        // A state without a layer to keep it: a layout that is not understood.
        let sign = recurrent::sign(&fields).filter(|_| !stack.is_listed);
        special.extend(sign.map(str::to_owned));
        None
    };

    let usual_width = widths::usual(&fields, &names, layers, hidden_size)?;
    let experts = experts::experts(&fields, layers, &stack, usual_width)?;
    if experts.is_some() {
        special.extend(experts::varying(&fields).map(str::to_owned));
    }
    let (intermediate_size, intermediate_total) = widths::dense(
        &fields,
        layers,
        hidden_size,
        &stack,
        usual_width,
        experts.is_some(),
    )?;
    let without_width = experts
        .as_ref()
        .is_some_and(|experts| experts.dense_layers == 0)
        || !special.is_empty()
        || kind == ModelKind::EncoderDecoder
        || stack.kinds.iter().all(|kind| *kind == Kind::Recurrent);
    if intermediate_size == 0 && !without_width {
        return Err(none_of(&fields, &["intermediate_size"]));
    }
    let stated = fields
        .number_or_family(VOCABULARY)?
        .filter(|size| *size > 0);
    let vocab_size = match stated {
        Some(size) => bounded("vocab_size", size)?,
        None if special.is_empty() => needed(VOCABULARY)?,
        None => 0,
    };
    let (vision, audio) = family::towers(&fields);
    let layer_kinds = stack.counted();
    special.dedup();
    let parsed = ModelConfig {
        architecture: fields.architecture().to_owned(),
        model_type: fields.model_type().to_owned(),
        hidden_size,
        layers,
        attention_heads,
        kv_heads: heads.kv_heads,
        kv_heads_total: heads.kv_heads_total,
        head_dim: heads.head_dim,
        intermediate_size: bounded("intermediate_size", intermediate_size)?,
        intermediate_total,
        vocab_size,
        per_layer_embeddings: widths::per_layer_embeddings(&fields, layers, vocab_size)?,
        tied_embeddings: family::tied_embeddings(&fields, kind),
        max_positions,
        dtype: fields
            .text(&["torch_dtype", "dtype"])
            .map(|dtype| dtype.trim_start_matches("torch.").to_owned()),
        quantization: quantization::quantization(&fields, layers, experts.is_some()),
        rope_scaling: rope::scaling(&fields)?,
        layer_kinds,
        window: stack.window,
        global_kv_heads: heads.global_kv_heads,
        global_head_dim: heads.global_head_dim,
        value_head_dim: heads.value_head_dim,
        shared_key_value: heads.shared_key_value,
        latent,
        indexer: attention::indexer(&fields, layers, &stack)?,
        compress_ratios: stack.ratios,
        recurrent,
        encoder: stacks::encoder(&fields, kind)?,
        kind,
        mtp_layers: mtp_layers(&fields)?,
        plain_feed_forward: family::plain_feed_forward(&fields, kind),
        experts,
        special,
        vision,
        audio,
    };
    check_layers(&parsed)?;
    Ok(parsed)
}

/// Reads a `model_index.json`: the pipeline of a `diffusers` repository, whose parts have
/// configurations of their own.
pub fn parse_model_index(index: &Value) -> Result<ModelConfig, ConfigError> {
    const CLASS: &str = "_class_name";
    let fields = index
        .as_object()
        .ok_or_else(|| ConfigError::new("the file", "it is not a JSON object"))?;
    let class = match fields.get(CLASS) {
        // A pipeline that the repository brings itself: its file, and its class.
        Some(Value::Array(names)) => names.last().and_then(Value::as_str),
        class => class.and_then(Value::as_str),
    };
    let class = class.ok_or_else(|| ConfigError::new(CLASS, "it is missing"))?;
    Ok(ModelConfig {
        architecture: class.to_owned(),
        kind: ModelKind::Diffusion,
        ..ModelConfig::default()
    })
}

/// Reads an `hf_quant_config.json`, which `ModelOpt` writes beside a `config.json` that may not say
/// that the checkpoint is quantised; `None` where it says that it is not. `config` is what was read
/// of the latter.
///
/// # Errors
///
/// What would be one in a `quantization_config`: the first field that no format has.
pub fn parse_hf_quant_config(
    file: &Value,
    config: &ModelConfig,
) -> Result<Option<StoredQuantization>, ConfigError> {
    const FIELD: &str = "quantization";
    let stated = match file.get(FIELD).filter(|value| !value.is_null()) {
        Some(stated) => stated
            .as_object()
            .ok_or_else(|| ConfigError::new(FIELD, "it is not an object"))?,
        None => file
            .as_object()
            .ok_or_else(|| ConfigError::new("the file", "it is not a JSON object"))?,
    };
    kinds::quantization(FIELD, stated)?;
    // What is not quantised has a file too, which says so.
    let is_stated = stated
        .get("quant_algo")
        .and_then(Value::as_str)
        .is_some_and(|name| !["no_quant", "none"].contains(&name.to_lowercase().as_str()));
    let read = || quantization::read(stated, config.layers, config.experts.is_some(), None);
    Ok(is_stated.then(read))
}

/// Something there must be at least one of: it is missing, or 0.
fn none_of(fields: &Fields<'_>, names: &[&str]) -> ConfigError {
    match fields.value(names) {
        Some((name, _)) => ConfigError::new(name, "0 is none: it must be at least 1"),
        None => ConfigError::new(names[0], "it is missing"),
    }
}

fn bounded(field: &str, number: u64) -> Result<u64, ConfigError> {
    let most = MOST.iter().find(|(name, _)| *name == field);
    match most {
        Some((_, most)) if number > *most => {
            let detail = format!("{number} is more than any model has");
            Err(ConfigError::new(field, detail))
        }
        _ => Ok(number),
    }
}

/// The number of layers; where it is not stated, that of the layers that are listed.
fn number_of_layers(fields: &Fields<'_>, names: &Names) -> Result<u64, ConfigError> {
    if let Some(layers) = fields
        .number_or_family(names.layers)?
        .filter(|layers| *layers > 0)
    {
        return Ok(layers);
    }
    let listed = ["layers_block_type", "layer_types"]
        .iter()
        .find_map(|name| fields.list(name))
        .map(Vec::len);
    let lettered = fields.text(&["hybrid_override_pattern"]).map(str::len);
    listed
        .or(lettered)
        .filter(|layers| *layers > 0)
        .map(|layers| layers as u64)
        .ok_or_else(|| none_of(fields, names.layers))
}

fn mtp_layers(fields: &Fields<'_>) -> Result<u64, ConfigError> {
    let names = [
        "num_nextn_predict_layers",
        "mtp_num_hidden_layers",
        "num_mtp_layers",
        "num_mtp_modules",
        "mtp_num_layers",
    ];
    Ok(fields.number(&names)?.unwrap_or(0))
}

fn check_heads(
    fields: &Fields<'_>,
    attention_heads: u64,
    heads: &Heads,
    latent: Option<&LatentAttention>,
) -> Result<(), ConfigError> {
    if latent.is_some() {
        return Ok(());
    }
    let head_dim = bounded("head_dim", heads.head_dim)?;
    if head_dim == 0 {
        let detail = format!("{attention_heads} heads leave nothing for one");
        return Err(ConfigError::new("head_dim", detail));
    }
    let by_layer = fields
        .varying(&["num_attention_heads", "num_query_heads"], 0)?
        .is_some();
    for heads in [Some(heads.kv_heads), heads.global_kv_heads]
        .into_iter()
        .flatten()
    {
        let heads = bounded("num_key_value_heads", heads)?;
        if !by_layer && (heads == 0 || !attention_heads.is_multiple_of(heads)) {
            let detail =
                format!("{heads} does not divide num_attention_heads, which is {attention_heads}");
            return Err(ConfigError::new("num_key_value_heads", detail));
        }
    }
    Ok(())
}

/// What the rest of the planner takes for granted.
fn check_layers(config: &ModelConfig) -> Result<(), ConfigError> {
    if let Some(experts) = &config.experts {
        bounded("num_experts", experts.count)?;
        bounded("intermediate_size", experts.intermediate_size)?;
        bounded("intermediate_size", experts.shared_intermediate_size)?;
    }
    let LayerKinds {
        full,
        windowed,
        recurrent,
        shared,
        cross,
        both,
    } = config.layer_kinds;
    debug_assert!(full + windowed + recurrent + shared + cross - both <= config.layers);
    if windowed > 0 && config.window.is_none() {
        let detail = "it is missing, and there are windowed layers";
        return Err(ConfigError::new("sliding_window", detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
