//! Fields whose kind of value decides how much is loaded: read as another kind they would count
//! as absent, and the estimate would be that of another model.

use serde_json::Value;

use super::ConfigError;
use super::fields::{Fields, Part, short, whole};
use super::quantization::is_algorithm;

const OBJECTS: [&str; 4] = [
    "quantization_config",
    "compression_config",
    "rope_scaling",
    "rope_parameters",
];
const LISTS: [&str; 2] = ["layer_types", "architectures"];
const TEXTS: [&str; 2] = ["torch_dtype", "model_type"];
/// Sizes of the whole model. Heads, KV heads, feed-forward sizes and experts may differ by layer.
const NUMBERS: [&str; 13] = [
    "hidden_size",
    "n_embd",
    "d_model",
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_layers",
    "num_attention_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
];
const FLAGS: [&str; 1] = ["tie_word_embeddings"];

/// Names under which formats state the bits of a weight.
pub(super) const BITS: [&str; 5] = ["bits", "w_bit", "wbits", "weight_bits", "nbits"];

/// The first field of the wrong kind, or with a value that no format of weights has.
pub(super) fn check(fields: &Fields<'_>) -> Result<(), ConfigError> {
    all_are(fields, &OBJECTS, "an object", Value::is_object)?;
    all_are(fields, &LISTS, "a list", Value::is_array)?;
    all_are(fields, &TEXTS, "a word", Value::is_string)?;
    all_are(fields, &FLAGS, "true or false", Value::is_boolean)?;
    all_are(fields, &NUMBERS, "one count for all layers", |value| {
        !value.is_array()
    })?;
    for name in ["rope_scaling", "rope_parameters"] {
        rope(fields, name)?;
    }
    dtype(fields)?;
    for name in ["quantization_config", "compression_config"] {
        if let Some(stated) = fields.part(name) {
            quantization(name, stated)?;
        }
    }
    Ok(())
}

/// Fields of rotary positions, as `transformers` reads them (`modeling_rope_utils.py`).
const ROPE: [&str; 9] = [
    "factor",
    "long_factor",
    "mrope_section",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "rope_theta",
    "rope_type",
    "short_factor",
    "type",
];

/// Rotary positions that say nothing which is read: they may reach further than the estimate knows.
fn rope(fields: &Fields<'_>, name: &str) -> Result<(), ConfigError> {
    let Some(stated) = fields.part(name) else {
        return Ok(());
    };
    // One set for each kind of layer is an object in it.
    let is_read = stated
        .iter()
        .any(|(field, value)| ROPE.contains(&field.as_str()) || value.is_object());
    if is_read || stated.is_empty() {
        return Ok(());
    }
    let shown = Value::Object(stated.clone()).to_string();
    let detail = format!("{} has no rope_type and no factor", short(&shown));
    Err(ConfigError::new(name, detail))
}

/// Types that tensors are stored in, as `PyTorch`, safetensors and their users write them.
const DTYPES: [&str; 21] = [
    "auto", "bf16", "bfloat16", "f16", "f32", "float", "float16", "float32", "float64", "fp16",
    "fp32", "fp4", "fp8", "half", "int4", "int8", "mxfp4", "nvfp4", "uint4", "uint8", "double",
];

fn dtype(fields: &Fields<'_>) -> Result<(), ConfigError> {
    let Some((name, Value::String(text))) = fields.value(&["torch_dtype", "dtype"]) else {
        return Ok(());
    };
    let lower = text.trim_start_matches("torch.").to_lowercase();
    // Of 8 bits there are several: float8_e4m3fn, float8_e5m2.
    if DTYPES.contains(&lower.as_str()) || lower.starts_with("float8") {
        return Ok(());
    }
    let detail = format!("{:?} is no type of weights such as bfloat16", short(text));
    Err(ConfigError::new(name, detail))
}

/// What `quant_method` may be: the methods of `transformers`, vLLM and `SGLang`.
const METHODS: [&str; 53] = [
    "aqlm",
    "auto-round",
    "auto_round",
    "autoround",
    "awq",
    "awq_marlin",
    "bitblas",
    "bitnet",
    "bitsandbytes",
    "blockwise_int8",
    "bnb",
    "compressed-tensors",
    "compressed_tensors",
    "deepspeedfp",
    "eetq",
    "exl2",
    "exl3",
    "experts_int8",
    "fbgemm_fp8",
    "finegrained_fp8",
    "fouroversix",
    "fp4",
    "fp8",
    "fp_quant",
    "gguf",
    "gptq",
    "gptq_marlin",
    "gptqmodel",
    "higgs",
    "hqq",
    "int4",
    "int8",
    "intel/auto-round",
    "ipex",
    "marlin",
    "modelopt",
    "moe_wna16",
    "mxfp4",
    "mxfp8",
    "neuron_quant",
    "nf4",
    "nvfp4",
    "petit_nvfp4",
    "ptpc_fp8",
    "qoq",
    "qqq",
    "quanto",
    "quark",
    "rtn",
    "spqr",
    "torchao",
    "tpu_int8",
    "vptq",
];

/// The formats with fractions of bits.
const FRACTIONS: [&str; 2] = ["exl2", "exl3"];

/// The first field of a quantisation that no format has; `field` is what states it.
pub(super) fn quantization(field: &str, stated: &Part) -> Result<(), ConfigError> {
    let fails =
        |name: &str, detail: String| Err(ConfigError::new(&format!("{field}.{name}"), detail));
    let method = stated.get("quant_method").filter(|value| !value.is_null());
    let word = method.and_then(Value::as_str).map(str::to_lowercase);
    // Vendors put their own word before or behind a known one: modelopt_fp4, w8a8_fp8.
    let known = word.as_ref().is_some_and(|word| {
        METHODS.contains(&word.as_str())
            || word.split(['_', '-', '/']).any(|part| {
                METHODS.contains(&part) || part.starts_with("w4a") || part.starts_with("w8a")
            })
    });
    if let Some(method) = method.filter(|_| !known) {
        return fails("quant_method", unknown(method, "method"));
    }
    // ModelOpt names the algorithm beside its own name.
    let algorithm = stated.get("quant_algo").filter(|value| !value.is_null());
    let known = algorithm.and_then(Value::as_str).is_some_and(is_algorithm);
    if let Some(algorithm) = algorithm.filter(|_| !known) {
        return fails("quant_algo", unknown(algorithm, "algorithm"));
    }
    let fractions = word.is_some_and(|word| FRACTIONS.contains(&word.as_str()));
    for name in BITS {
        let value = stated.get(name).filter(|value| !value.is_null());
        let sensible = |value: &Value| {
            value.as_f64().is_some_and(|bits| {
                bits > 0.0 && bits <= 32.0 && (fractions || bits.fract() == 0.0)
            })
        };
        if let Some(value) = value.filter(|value| !sensible(value)) {
            let shown = short(&value.to_string());
            return fails(name, format!("{shown} is no number of bits from 1 to 32"));
        }
    }
    for name in ["group_size", "q_group_size"] {
        // -1 is one group for a whole channel.
        let sensible =
            |value: &Value| value.as_i64() == Some(-1) || whole(value).is_some_and(|size| size > 0);
        let value = stated.get(name).filter(|value| !value.is_null());
        if let Some(value) = value.filter(|value| !sensible(value)) {
            let shown = short(&value.to_string());
            let detail =
                format!("{shown} is no number of weights from 1, nor -1 for a whole channel");
            return fails(name, detail);
        }
    }
    Ok(())
}

fn unknown(stated: &Value, what: &str) -> String {
    format!(
        "{} is no known {what}, so the size of a weight is not known. To size it by its files, give its config.json \
         without quantization_config, and the bytes of its weight files",
        short(&stated.to_string())
    )
}

fn all_are(
    fields: &Fields<'_>,
    names: &[&str],
    kind: &str,
    is: impl Fn(&Value) -> bool,
) -> Result<(), ConfigError> {
    let mut stated = names.iter().filter_map(|name| fields.value(&[name]));
    match stated.find(|(_, value)| !is(value)) {
        None => Ok(()),
        Some((name, value)) => {
            let detail = format!("{} is not {kind}", short(&value.to_string()));
            Err(ConfigError::new(name, detail))
        }
    }
}
