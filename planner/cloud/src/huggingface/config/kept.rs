//! Which modules a quantised checkpoint leaves as they were: whether attention is among them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::fields::Part;

/// Fields that hold the names of modules.
const LISTS: [&str; 6] = [
    "modules_to_not_convert",
    "ignore",
    "exclude_modules",
    "ignored_layers",
    "llm_int8_skip_modules",
    "modules_to_not_quantize",
];

/// Parts of a model whose attention is not the language model's.
const ELSEWHERE: [&str; 8] = [
    "visual",
    "vision",
    "image",
    "audio",
    "mtp",
    "encoder",
    "projector",
    "vit.",
];

/// Parts of an attention module that are never quantised, so that their names say nothing.
const SMALL: [&str; 7] = ["norm", "index", "gate", "bias", "rotary", "conv1d", "scale"];

/// Whether the projections of attention are left as they were, in half of the layers or more.
pub(super) fn attention(stated: &Part, layers: u64) -> bool {
    let names = LISTS
        .iter()
        .filter_map(|list| stated.get(*list).and_then(Value::as_array))
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_lowercase);
    let mut found = BTreeSet::new();
    for name in names.filter(|name| is_attention(name)) {
        match layer_of(&name) {
            Some(layer) => found.insert(layer),
            None => return true,
        };
    }
    !found.is_empty() && found.len() as u64 >= layers.div_ceil(2)
}

/// `model.layers.*.self_attn`, `re:.*self_attn.*`, `model.layers.3.linear_attn.out_proj`.
fn is_attention(name: &str) -> bool {
    let about = ["attn", "attention", "q_proj", "qkv_proj", "q_a_proj"]
        .iter()
        .any(|word| name.contains(word));
    let any = |words: &[&str]| words.iter().any(|word| name.contains(word));
    about && !any(&ELSEWHERE) && !any(&SMALL)
}

/// The number in the name; `None` where it is about all layers.
fn layer_of(name: &str) -> Option<u64> {
    name.split(|letter: char| !letter.is_ascii_alphanumeric())
        .find_map(|word| word.parse().ok())
}
