//! How a checkpoint is stored: `quantization_config`, and the like in `hf_quant_config.json`.

use openmodel_schemas::model_card::StoredQuantization;
use serde_json::Value;

use super::fields::{Fields, Part, part, whole};
use super::kept;
use super::kinds::BITS;

/// Bits and form of a weight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Scheme {
    bits: Option<u64>,
    float: Option<bool>,
    group_size: Option<u64>,
}

/// Reads `quantization_config`; `None` where the checkpoint is not quantised.
pub(super) fn quantization(
    fields: &Fields<'_>,
    layers: u64,
    has_experts: bool,
) -> Option<StoredQuantization> {
    let stated = ["quantization_config", "compression_config"]
        .iter()
        .find_map(|name| fields.part(name))
        .filter(|stated| !stated.is_empty())?;
    let own = stated.get("expert_dtype").and_then(Value::as_str);
    let expert_dtype = own.or_else(|| fields.text(&["expert_dtype"]));
    Some(read(stated, layers, has_experts, expert_dtype))
}

/// Reads what is stated; `expert_dtype` stands beside it.
pub(super) fn read(
    stated: &Part,
    layers: u64,
    has_experts: bool,
    expert_dtype: Option<&str>,
) -> StoredQuantization {
    let method = method(stated);
    let (rest, experts) = schemes(stated, &method);
    let experts = experts.or_else(|| expert_dtype.and_then(named));
    let attention_kept = kept::attention(stated, layers);
    let expert_bits = experts
        .and_then(|scheme| scheme.bits)
        .filter(|bits| has_experts && Some(*bits) != rest.bits);
    let experts_only =
        has_experts && expert_bits.is_none() && (attention_kept || method == "mxfp4");
    StoredQuantization {
        bits: rest.bits,
        expert_bits,
        float: rest.float,
        group_size: rest.group_size,
        kv_bits: kv_bits(stated),
        experts_only,
        attention_kept,
        method,
    }
}

fn method(stated: &Part) -> String {
    let word = |name: &str| stated.get(name).and_then(Value::as_str);
    let on = |name: &str| stated.get(name).and_then(Value::as_bool) == Some(true);
    let producer = part(stated, "producer").and_then(|producer| producer.get("name")?.as_str());
    if let Some(method) = word("quant_method") {
        return method
            .to_lowercase()
            .replace("compressed_tensors", "compressed-tensors");
    }
    let method = match producer {
        Some(producer) => producer,
        None if stated.contains_key("quant_algo") => "modelopt",
        None if on("load_in_4bit") || on("load_in_8bit") => "bitsandbytes",
        None if stated.contains_key("config_groups") => "compressed-tensors",
        None => "",
    };
    method.to_lowercase()
}

/// The scheme of most weights, and that of the experts where it is stated apart.
fn schemes(stated: &Part, method: &str) -> (Scheme, Option<Scheme>) {
    let (mut rest, mut experts) = (own(stated, method), None);
    let algorithm = |name: &str| stated.get(name).and_then(Value::as_str).and_then(named);
    if let Some(scheme) = algorithm("moe_quant_algo") {
        // What stands beside it is about the experts too.
        return (rest, Some(scheme));
    }
    if let Some(groups) = part(stated, "config_groups") {
        let (of_rest, of_experts) = grouped(groups);
        experts = of_experts;
        rest = of_rest.map_or(rest, |group| group.or(rest));
    } else if let Some(layers) = part(stated, "quantized_layers") {
        let (of_rest, of_experts) = layered(layers);
        experts = of_experts;
        rest = of_rest.map_or(rest, |layer| layer.or(rest));
    }
    if rest.bits.is_none() {
        // All that is quantised is experts.
        rest = experts.map_or(rest, |experts| experts.or(rest));
    }
    if let Some(scheme) = algorithm("quant_algo") {
        rest = rest.or(scheme);
    }
    (rest, experts)
}

impl Scheme {
    fn or(self, other: Self) -> Self {
        Self {
            bits: self.bits.or(other.bits),
            float: self.float.or(other.float),
            group_size: self.group_size.or(other.group_size),
        }
    }
}

/// What is stated outside of any group, with what the method implies.
fn own(stated: &Part, method: &str) -> Scheme {
    let number = |name: &str| {
        stated
            .get(name)
            .and_then(whole)
            .filter(|number| *number > 0)
    };
    let on = |name: &str| stated.get(name).and_then(Value::as_bool) == Some(true);
    let word = |name: &str| stated.get(name).and_then(Value::as_str).unwrap_or_default();
    let blocks = stated.get("weight_block_size").and_then(product);
    let implied = match method {
        "fp8" | "fbgemm_fp8" => Scheme::new(8, Some(true), None),
        "mxfp4" => Scheme::new(4, Some(true), Some(32)),
        "nvfp4" => Scheme::new(4, Some(true), Some(16)),
        "bitnet" => Scheme::new(2, Some(false), None),
        "bitsandbytes" if on("load_in_4bit") => {
            let float = word("bnb_4bit_quant_type")
                .starts_with("fp")
                .then_some(true);
            Scheme::new(4, float, Some(64))
        }
        "bitsandbytes" if on("load_in_8bit") => Scheme::new(8, Some(false), None),
        "awq" | "gptq" | "auto-round" => Scheme {
            float: Some(false),
            ..Scheme::default()
        },
        "quanto" | "eetq" | "torchao" => ["weights", "quant_type"]
            .iter()
            .find_map(|name| named(word(name)))
            .unwrap_or_default(),
        _ => Scheme::default(),
    };
    let explicit = Scheme {
        bits: BITS.iter().find_map(|name| number(name)),
        float: None,
        group_size: ["group_size", "q_group_size"]
            .iter()
            .find_map(|name| number(name))
            .or(blocks),
    };
    explicit.or(implied)
}

/// Groups of modules: those whose targets are experts apart from the others. Of several others,
/// the one of feed-forward layers counts, which are most of a model.
fn grouped(groups: &Part) -> (Option<Scheme>, Option<Scheme>) {
    let (mut rest, mut experts): (Option<(bool, Scheme)>, _) = (None, None);
    for group in groups.values().filter_map(Value::as_object) {
        let Some(scheme) = part(group, "weights").map(weights) else {
            continue;
        };
        let targets = group.get("targets").and_then(Value::as_array);
        let names = |word: &str| {
            let all = targets.into_iter().flatten().filter_map(Value::as_str);
            all.map(str::to_lowercase)
                .any(|target| target.contains(word))
        };
        if names("experts") && !names("linear") {
            experts = Some(scheme);
            continue;
        }
        let main = names("mlp") || names("linear") && !names("linear_attn");
        let better = match rest {
            None => true,
            Some((was_main, was)) => (main, scheme.bits) > (was_main, was.bits),
        };
        if better {
            rest = Some((main, scheme));
        }
    }
    (rest.map(|(_, scheme)| scheme), experts)
}

/// Layers one by one (`ModelOpt`'s mixed precision): the widest of those that are no experts.
fn layered(layers: &Part) -> (Option<Scheme>, Option<Scheme>) {
    let (mut rest, mut experts): (Option<Scheme>, Option<Scheme>) = (None, None);
    for (name, layer) in layers {
        let Some(mut scheme) = layer
            .get("quant_algo")
            .and_then(Value::as_str)
            .and_then(named)
        else {
            continue;
        };
        scheme.group_size = layer
            .get("group_size")
            .and_then(whole)
            .or(scheme.group_size);
        let place = if name.contains("expert") && !name.contains("shared_expert") {
            &mut experts
        } else {
            &mut rest
        };
        if place.is_none_or(|was| scheme.bits > was.bits) {
            *place = Some(scheme);
        }
    }
    (rest, experts)
}

fn weights(stated: &Part) -> Scheme {
    let number = |name: &str| {
        stated
            .get(name)
            .and_then(whole)
            .filter(|number| *number > 0)
    };
    Scheme {
        bits: number("num_bits"),
        float: stated
            .get("type")
            .and_then(Value::as_str)
            .map(|kind| kind == "float"),
        // -1 is one scale for a whole channel.
        group_size: number("group_size")
            .or_else(|| stated.get("block_structure").and_then(product)),
    }
}

/// What `ModelOpt` calls a checkpoint whose layers differ (`quantized_layers`), and one that is not
/// quantised.
const OTHER_ALGORITHMS: [&str; 3] = ["mixed_precision", "no_quant", "none"];

/// Whether a `quant_algo` is one of `ModelOpt`'s, or of the like.
pub(super) fn is_algorithm(name: &str) -> bool {
    OTHER_ALGORITHMS.contains(&name.to_lowercase().as_str()) || named(name).is_some()
}

/// The scheme that a name stands for: `NVFP4`, `W4A16_AWQ`, `FP8_PB_WO`, `fp4`, `int8_weight_only`.
fn named(name: &str) -> Option<Scheme> {
    let name = name.to_lowercase();
    let has = |word: &str| name.contains(word);
    Some(match () {
        () if has("nvfp4") => Scheme::new(4, Some(true), Some(16)),
        () if has("mxfp4") => Scheme::new(4, Some(true), Some(32)),
        () if has("fp4") => Scheme::new(4, Some(true), None),
        () if has("w4a") || has("int4") => Scheme::new(4, Some(false), None),
        () if has("mxfp8") => Scheme::new(8, Some(true), Some(32)),
        () if has("fp8") || has("float8") => Scheme::new(8, Some(true), None),
        () if has("w8a") || has("int8") => Scheme::new(8, Some(false), None),
        () if has("int2") => Scheme::new(2, Some(false), None),
        () => return None,
    })
}

impl Scheme {
    const fn new(bits: u64, float: Option<bool>, group_size: Option<u64>) -> Self {
        Self {
            bits: Some(bits),
            float,
            group_size,
        }
    }
}

/// Bits of the KV cache, where the checkpoint asks for some.
fn kv_bits(stated: &Part) -> Option<u64> {
    let scheme = stated.get("kv_cache_scheme").or_else(|| {
        let algorithm = stated.get("kv_cache_quant_algo");
        algorithm.filter(|value| !value.is_null())
    })?;
    match scheme {
        Value::String(name) => named(name)?.bits,
        Value::Object(scheme) => scheme.get("num_bits").and_then(whole),
        _ => None,
    }
}

fn product(sizes: &Value) -> Option<u64> {
    let sizes = sizes.as_array()?;
    let product = sizes
        .iter()
        .try_fold(1_u64, |product, size| product.checked_mul(whole(size)?));
    product.filter(|product| *product > 0 && !sizes.is_empty())
}
