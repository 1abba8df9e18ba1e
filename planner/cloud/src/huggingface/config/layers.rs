//! What each layer of a model is, from whichever of a dozen fields says so.
//!
//! ```text
//!   a list or pattern of layers ─┐
//!   an interval, a period        ├─► Vec<Kind>, one per layer ─► counted: LayerKinds
//!   what the family assumes     ─┘        └─ the last ones share another's keys and values
//! ```

use openmodel_schemas::model_card::{LayerKinds, ModelKind};

use super::ConfigError;
use super::fields::{Fields, by_layer, counts, marks};
use super::{intervals, searched};

/// What one layer is, as far as its memory is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Full,
    Windowed,
    Recurrent,
    /// Full attention and a state, side by side.
    Both,
    Cross,
    Shared,
    /// Nothing but a dense feed-forward part.
    Dense,
    /// Nothing but experts.
    Experts,
    /// Nothing that keeps anything.
    Nothing,
}

/// The layers of a model.
pub(super) struct Stack {
    pub(super) kinds: Vec<Kind>,
    /// The window of the windowed layers.
    pub(super) window: Option<u64>,
    /// Tokens per entry of the cache, by layer.
    pub(super) ratios: Vec<u64>,
    /// The field that names a kind of layer nobody knows.
    pub(super) unknown: Option<&'static str>,
    /// Whether a field lists them.
    pub(super) is_listed: bool,
}

/// Fields that hold a word per layer.
const WORDS: [&str; 5] = [
    "layer_types",
    "layers_block_type",
    "layer_block_types",
    "block_types",
    "attention_layers",
];

/// Reads the layers. `layers` is their number, which is sane.
pub(super) fn stack(
    fields: &Fields<'_>,
    layers: u64,
    kind: ModelKind,
    positions: Option<u64>,
) -> Result<Stack, ConfigError> {
    let mut unknown = None;
    let ratios = ratios(fields, layers)?;
    let listed = stated(fields, layers, &ratios, &mut unknown)?;
    let is_listed = listed.is_some();
    let mut kinds = match listed {
        Some(kinds) => kinds,
        None => intervals::assumed(fields, layers, kind)?,
    };
    let window = match fields.number_or_family(&[
        "sliding_window",
        "sliding_window_size",
        "attention_chunk_size",
        "local_attention",
        "window_size",
    ]) {
        // A list of two is the window to the left and to the right.
        Err(_) if fields.list("window_size").is_some() => None,
        window => window?.filter(|window| *window > 0),
    };
    // A window as long as the longest context cuts nothing off, unless its layers also have heads
    // of their own; a window of no length is none.
    let own_heads = ["swa_head_dim", "swa_num_key_value_heads", "global_head_dim"]
        .iter()
        .any(|name| fields.is_set(name));
    let cuts = window.is_some_and(|window| positions.is_none_or(|longest| window < longest));
    let window = window.or(positions.filter(|_| own_heads));
    if !cuts && !own_heads {
        for kind in &mut kinds {
            if *kind == Kind::Windowed {
                *kind = Kind::Full;
            }
        }
    }
    share(fields, layers, &mut kinds)?;
    let windowed = kinds.contains(&Kind::Windowed) || !ratios.is_empty();
    Ok(Stack {
        kinds,
        window: window.filter(|_| windowed),
        ratios,
        unknown,
        is_listed,
    })
}

impl Stack {
    pub(super) fn count(&self, wanted: Kind) -> u64 {
        self.kinds.iter().filter(|kind| **kind == wanted).count() as u64
    }

    pub(super) fn counted(&self) -> LayerKinds {
        let both = self.count(Kind::Both);
        LayerKinds {
            full: self.count(Kind::Full) + both,
            windowed: self.count(Kind::Windowed),
            recurrent: self.count(Kind::Recurrent) + both,
            shared: self.count(Kind::Shared),
            cross: self.count(Kind::Cross),
            both,
        }
    }

    /// Whether any layer keeps a state.
    pub(super) fn is_recurrent(&self) -> bool {
        self.kinds
            .iter()
            .any(|kind| matches!(kind, Kind::Recurrent | Kind::Both))
    }

    /// Whether any layer attends.
    pub(super) fn attends(&self) -> bool {
        self.kinds.iter().any(|kind| {
            matches!(
                kind,
                Kind::Full | Kind::Windowed | Kind::Both | Kind::Cross | Kind::Shared
            )
        })
    }

    /// Whether feed-forward parts are layers of their own (Nemotron-H).
    pub(super) fn is_unbundled(&self) -> bool {
        self.kinds
            .iter()
            .any(|kind| matches!(kind, Kind::Dense | Kind::Experts))
    }
}

/// The layers as a field lists them; `None` where none does.
fn stated(
    fields: &Fields<'_>,
    layers: u64,
    ratios: &[u64],
    unknown: &mut Option<&'static str>,
) -> Result<Option<Vec<Kind>>, ConfigError> {
    if fields.list("block_configs").is_some() {
        return searched::kinds(fields, layers).map(Some);
    }
    if !ratios.is_empty() {
        let of = |ratio: &u64| {
            if *ratio > 0 {
                Kind::Full
            } else {
                Kind::Windowed
            }
        };
        return Ok(Some(ratios.iter().map(of).collect()));
    }
    if let Some(pattern) = fields.text(&["hybrid_override_pattern"]) {
        return lettered(pattern, layers).map(Some);
    }
    for field in WORDS {
        if fields.list(field).is_some() {
            return worded(fields, field, layers, unknown).map(Some);
        }
    }
    let choose = |marked: Vec<bool>, yes: Kind, no: Kind| -> Vec<Kind> {
        let of = |mark| if mark { yes } else { no };
        marked.into_iter().map(of).collect()
    };
    if let Some(linear) = fields.part("linear_attn_config") {
        // Kimi counts its layers from 1.
        let list = |name: &str| linear.get(name).and_then(serde_json::Value::as_array);
        if let Some(full) = list("full_attn_layers") {
            let full = counts("full_attn_layers", full)?;
            let marked = marks("full_attn_layers", &full, 1, layers)?;
            return Ok(Some(choose(marked, Kind::Full, Kind::Recurrent)));
        }
    }
    for (field, yes, no) in [
        ("full_attn_idxs", Kind::Full, Kind::Recurrent),
        ("attn_layer_indices", Kind::Full, Kind::Recurrent),
        ("hybrid_layer_ids", Kind::Both, Kind::Recurrent),
        ("cross_attention_layers", Kind::Cross, Kind::Full),
    ] {
        if let Some(marked) = fields.marked(field, 0, layers)? {
            return Ok(Some(choose(marked, yes, no)));
        }
    }
    for (field, one, zero) in [
        ("hybrid_layer_pattern", Kind::Windowed, Kind::Full),
        ("attn_type_list", Kind::Full, Kind::Recurrent),
    ] {
        if let Some(ones) = fields.numbers(field, layers)? {
            let of = |value| if value == 0 { zero } else { one };
            return Ok(Some(ones.into_iter().map(of).collect()));
        }
    }
    if fields.is_set("attention_chunk_size")
        && let Some(rope) = fields.numbers("no_rope_layers", layers)?
    {
        // Llama 4: what has no rotary embedding attends to everything.
        let of = |rope| {
            if rope == 0 {
                Kind::Full
            } else {
                Kind::Windowed
            }
        };
        return Ok(Some(rope.into_iter().map(of).collect()));
    }
    Ok(None)
}

/// A letter per layer: Nemotron-H.
fn lettered(pattern: &str, layers: u64) -> Result<Vec<Kind>, ConfigError> {
    const FIELD: &str = "hybrid_override_pattern";
    let of = |letter: char| {
        Ok(match letter {
            'M' => Kind::Recurrent,
            '*' => Kind::Full,
            '-' => Kind::Dense,
            'E' => Kind::Experts,
            other => {
                let detail = format!("{other:?} is not a kind of layer: M, *, - or E");
                return Err(ConfigError::new(FIELD, detail));
            }
        })
    };
    // Bars mark the stages of a pipeline.
    let letters = pattern.chars().filter(|letter| *letter != '|');
    let kinds = letters.map(of).collect::<Result<_, _>>()?;
    by_layer(FIELD, kinds, layers)
}

/// A word per layer.
fn worded(
    fields: &Fields<'_>,
    field: &'static str,
    layers: u64,
    unknown: &mut Option<&'static str>,
) -> Result<Vec<Kind>, ConfigError> {
    // Griffin's pattern is repeated.
    let words = match (field, fields.list(field)) {
        ("block_types", Some(items)) => {
            let words: Vec<&str> = items.iter().filter_map(|item| item.as_str()).collect();
            words
                .into_iter()
                .cycle()
                .zip(0..layers)
                .map(|(word, _)| word)
                .collect()
        }
        _ => fields.words(field, layers)?.unwrap_or_default(),
    };
    let mut of = |word: &str| match word {
        "full_attention" | "attention" | "attn" | "global" | "global_attention" | "full"
        | "indexed_attention" | "softmax_attention" => Kind::Full,
        "sliding_attention" | "chunked_attention" | "local" | "local_attention" | "sliding"
        | "window_attention" | "swa" => Kind::Windowed,
        "linear_attention"
        | "mamba"
        | "mamba2"
        | "recurrent"
        | "conv"
        | "kda"
        | "linear"
        | "lightning_attention"
        | "gated_deltanet" => Kind::Recurrent,
        "hybrid" | "hybrid_mamba" => Kind::Both,
        "cross_attention" | "cross" => Kind::Cross,
        "mlp" | "dense" => Kind::Dense,
        "moe" | "experts" => Kind::Experts,
        "noop" | "identity" => Kind::Nothing,
        // Sparse attention chooses among the keys of all tokens, which are all kept.
        sparse if sparse.contains("sparse") && !sparse.contains("compress") => Kind::Full,
        _ => {
            *unknown = Some(field);
            Kind::Full
        }
    };
    Ok(words.into_iter().map(&mut of).collect())
}

/// Tokens per entry of `DeepSeek` V4's cache, by layer: 0 keeps a window alone.
fn ratios(fields: &Fields<'_>, layers: u64) -> Result<Vec<u64>, ConfigError> {
    if let Some(ratios) = fields.numbers("compress_ratios", layers)? {
        return Ok(ratios);
    }
    let rate = |name: &str| {
        let rates = fields.part("compress_rates")?;
        super::fields::whole(rates.get(name)?)
    };
    let words = match fields.list("layer_types") {
        Some(items)
            if items
                .iter()
                .any(|item| item == "compressed_sparse_attention") =>
        {
            fields.words("layer_types", layers)?.unwrap_or_default()
        }
        _ => return Ok(Vec::new()),
    };
    let of = |word: &&str| match *word {
        "compressed_sparse_attention" => rate(word).unwrap_or(4),
        "heavily_compressed_attention" => rate(word).unwrap_or(128),
        _ => 0,
    };
    Ok(words.iter().map(of).collect())
}

/// Marks the layers that attend to another's keys and values.
fn share(fields: &Fields<'_>, layers: u64, kinds: &mut [Kind]) -> Result<(), ConfigError> {
    if let Some(last) = fields.number_or_family(&["num_kv_shared_layers"])? {
        if last > layers {
            let detail = format!("{last} is more than num_hidden_layers, which is {layers}");
            return Err(ConfigError::new("num_kv_shared_layers", detail));
        }
        for kind in kinds
            .iter_mut()
            .skip(usize::try_from(layers - last).unwrap_or(0))
        {
            *kind = Kind::Shared;
        }
    }
    let attends = |kind: Kind| matches!(kind, Kind::Full | Kind::Windowed);
    if let Some(sources) = fields.numbers("kv_source_layers", layers)? {
        for ((layer, source), kind) in (0..).zip(sources).zip(kinds.iter_mut()) {
            if source != layer && attends(*kind) {
                *kind = Kind::Shared;
            }
        }
    }
    if fields.flag("use_cla") == Some(true) {
        let group = fields.positive(&["cla_share_factor"])?.unwrap_or(2);
        for (layer, kind) in (0_u64..).zip(kinds.iter_mut()) {
            if layer % group != 0 && attends(*kind) {
                *kind = Kind::Shared;
            }
        }
    }
    Ok(())
}
