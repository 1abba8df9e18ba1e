//! The names that rows give to models, and the facts they mean.
//!
//! ```text
//!   as it stands ─► without what quantising adds ─► without what tuning adds ─► families of one shape
//! ```
//!
//! Quantising, tuning and renaming leave the layers of a model as they are, so the facts of the
//! model it was made from hold; only the format of the weights is read from the name.

use std::borrow::Cow;

use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::spec::Quantization;

use super::context::{stated, unreadable};
use super::rows::Row;
use crate::models_file::ModelsFile;

/// A model a row names, and the format its name says it is stored in.
#[derive(Debug, Clone)]
pub(crate) struct Named<'a> {
    pub(crate) card: Cow<'a, ModelCard>,
    /// The format that the name or the row says, where the facts are those of the model it was
    /// made from.
    pub(crate) quantization: Option<Quantization>,
}

/// Find a model by the name a row gives it: as it stands, then as the model it was made from by
/// quantising, tuning or renaming.
pub(super) fn named<'a>(models: &'a ModelsFile, name: &str, format: &str) -> Option<Named<'a>> {
    let name = plain(name);
    Some(as_stored(find(models, &name)?, &name, format))
}

/// A model in the format of a row, or of the name it gives.
pub(super) fn as_stored<'a>(card: &'a ModelCard, name: &str, format: &str) -> Named<'a> {
    let asked = quantization_in(format).or_else(|| quantization_in(name));
    let Some(own) = stored_bits(card) else {
        return Named {
            card: Cow::Borrowed(card),
            quantization: asked,
        };
    };
    // Weights of 8 bits that someone else brought to 4; other formats beside a quantised
    // checkpoint are those of activations.
    if own > 4 && asked.is_some_and(|asked| bits(asked) < 6) {
        let mut card = card.clone();
        card.weights = None;
        if let Some(config) = &mut card.config {
            config.quantization = None;
        }
        return Named {
            card: Cow::Owned(card),
            quantization: asked,
        };
    }
    Named {
        card: Cow::Borrowed(card),
        quantization: None,
    }
}

/// Whether a row's format of weights is one: a quantisation, or words for an unquantised model.
pub(crate) fn check_format(row: &Row) -> Result<(), String> {
    let column = "dtype_quant";
    let Some(text) = stated(row, column) else {
        return Ok(());
    };
    let lower = text.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    if quantization_in(text).is_some() || words.any(|word| PLAIN.contains(&word)) {
        return Ok(());
    }
    let expected =
        "bf16, fp16, fp32, fp8, int8, awq, gptq, int4, mxfp4, nvfp4, bnb and gguf are read";
    Err(unreadable(column, text, expected))
}

/// Words for weights as they are in the checkpoint, and for a cache that is quantised alone.
const PLAIN: [&str; 16] = [
    "bf16",
    "bfloat16",
    "fp16",
    "float16",
    "f16",
    "half",
    "fp32",
    "float32",
    "f32",
    "native",
    "original",
    "unquantized",
    "compressed",
    "modelopt",
    "mixed",
    "kv",
];

/// A model whose parameters are known: the one a row names, or the one it was made from.
pub(super) fn with_parameters<'a>(models: &'a ModelsFile, name: &str) -> Option<&'a ModelCard> {
    let name = plain(name);
    let counted = |card: &&ModelCard| card.parameters.is_some();
    models
        .find(&name)
        .filter(counted)
        .or_else(|| {
            let mut bases = Vec::new();
            bases.extend(by_base(models, &name));
            bases.extend(released(models, &name));
            bases.extend(like(models, &name));
            bases.into_iter().find(counted)
        })
        .or_else(|| find(models, &name))
}

/// A name without what stands in brackets behind it.
pub(super) fn plain(name: &str) -> String {
    name.split(" (")
        .next()
        .unwrap_or(name)
        .trim()
        .replace(' ', "-")
}

fn find<'a>(models: &'a ModelsFile, name: &str) -> Option<&'a ModelCard> {
    // "(unknown)" is no name.
    if name.is_empty() || name.starts_with('(') {
        return None;
    }
    models
        .find(name)
        .or_else(|| by_base(models, name))
        .or_else(|| released(models, name))
        .or_else(|| like(models, name).next())
}

/// The release with the same layers as one whose name states no size.
fn released<'a>(models: &'a ModelsFile, name: &str) -> Option<&'a ModelCard> {
    let base = strip(name);
    RELEASES
        .iter()
        .find(|(release, _)| *release == base)
        .and_then(|(_, same)| models.find(same))
}

/// The model of the usual names of the base of a quantised model.
fn by_base<'a>(models: &'a ModelsFile, name: &str) -> Option<&'a ModelCard> {
    let stripped = strip(name);
    let bare = stripped.trim_start_matches("meta-");
    [
        stripped.clone(),
        format!("{stripped}-instruct"),
        format!("{stripped}-it"),
        format!("meta-{stripped}"),
        format!("{stripped}-hf"),
        format!("{stripped}-bf16"),
        bare.to_owned(),
        format!("{bare}-instruct"),
        stripped.trim_end_matches("-instruct").to_owned(),
        stripped.trim_end_matches("-it").to_owned(),
    ]
    .iter()
    .find_map(|base| models.find(base))
}

/// A name without what quantising adds to its end.
fn strip(name: &str) -> String {
    let name = name.to_lowercase();
    let mut words: Vec<&str> = name
        .rsplit('/')
        .next()
        .unwrap_or(&name)
        .split('-')
        .collect();
    while words.len() > 1
        && words
            .last()
            .is_some_and(|word| is_format(word) || *word == "v2")
    {
        words.pop();
    }
    words.join("-")
}

/// Models of the same family, size and generation, those stored in 16 bits first.
fn like<'a>(models: &'a ModelsFile, name: &str) -> impl Iterator<Item = &'a ModelCard> + use<'a> {
    let wanted = skeleton(name);
    let sized = wanted.iter().any(|word| is_size(word));
    let other = [
        "eagle",
        "eagle3",
        "draft",
        "speculator",
        "embedding",
        "reranker",
        "reward",
        "lora",
    ];
    let usable = sized && !wanted.iter().any(|word| other.contains(&word.as_str()));
    let score = move |card: &ModelCard| -> Option<u32> {
        let has = skeleton(card.id.as_str());
        let same = has == wanted;
        // A tuned model often carries the whole name of its base: Hermes-3-Llama-3.1-8B.
        let inside = has.len() > 1
            && has.iter().any(|word| is_size(word))
            && wanted.windows(has.len()).any(|words| words == has);
        (same || inside).then(|| {
            let size = u32::try_from(has.len()).unwrap_or(0);
            // The longest name first, then what is stored in 16 bits.
            1000 - 10 * size.min(50)
                + u32::from(stored_bits(card).is_some())
                + u32::from(!same) * 500
        })
    };
    let mut found: Vec<(u32, &ModelCard)> = models
        .cards()
        .iter()
        .filter(|_| usable)
        .filter_map(|card| Some((score(card)?, card)))
        .collect();
    found.sort_by_key(|(score, _)| *score);
    found.into_iter().map(|(_, card)| card)
}

/// The words of a name that say which layers a model has.
fn skeleton(name: &str) -> Vec<String> {
    let lower = name.to_lowercase();
    let last = lower.rsplit('/').next().unwrap_or(&lower);
    let mut joined = last.replace(['_', ':', ' '], "-");
    for (family, shape) in SAME_SHAPE {
        if let Some(rest) = joined.strip_prefix(family) {
            joined = format!("{shape}{rest}");
            break;
        }
    }
    let mut words: Vec<String> = Vec::new();
    for word in joined.split('-').filter(|word| !word.is_empty()) {
        let sized = words.iter().any(|word| is_size(word));
        let dated = matches!(word.len(), 4 | 6) && word.chars().all(|c| c.is_ascii_digit());
        let version = sized
            && word
                .strip_prefix('v')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if !(is_format(word) || TUNING.contains(&word) || dated && !words.is_empty() || version) {
            words.push(word.to_owned());
        }
    }
    words
}

/// Families whose members have the layers of another one, by their makers' reports: further
/// trained, or released again.
const SAME_SHAPE: [(&str, &str); 38] = [
    ("meta-llama-3.3-", "llama-3.1-"),
    ("meta-llama-3.1-", "llama-3.1-"),
    ("meta-llama-3-", "llama-3.1-"),
    ("llama-3.3-", "llama-3.1-"),
    ("llama-3-", "llama-3.1-"),
    ("llama3.3-", "llama-3.1-"),
    ("llama3.1-", "llama-3.1-"),
    ("llama3-", "llama-3.1-"),
    ("llama-guard-3-8b", "llama-3.1-8b"),
    // Code Llama 7B is Llama 2 7B, trained on.
    ("meta-llama-2-7b", "codellama-7b"),
    ("llama-2-7b", "codellama-7b"),
    ("llama2-7b", "codellama-7b"),
    ("gemma-1.1-", "gemma-"),
    ("codegemma-1.1-", "gemma-"),
    ("codegemma-", "gemma-"),
    ("shieldgemma-", "gemma-2-"),
    ("txgemma-", "gemma-2-"),
    ("medgemma-", "gemma-3-"),
    ("mistral-small-3.2-", "mistral-small-3.1-"),
    ("mistral-small-24b", "mistral-small-3.1-24b"),
    ("magistral-small", "devstral-small"),
    ("qwen2.5-math-", "qwen2.5-"),
    ("qwen2.5-coder-", "qwen2.5-"),
    ("qwen2-", "qwen2.5-"),
    ("qwq-32b", "qwen2.5-32b"),
    ("qwen3-coder-30b", "qwen3-30b"),
    ("deepseek-r1-distill-llama-", "llama-3.1-"),
    ("deepseek-r1-distill-qwen-", "qwen2.5-"),
    ("deepseek-r1-8b", "llama-3.1-8b"),
    ("deepseek-r1-70b", "llama-3.1-70b"),
    ("deepseek-r1-1.5b", "qwen2.5-1.5b"),
    ("deepseek-r1-7b", "qwen2.5-7b"),
    ("deepseek-r1-14b", "qwen2.5-14b"),
    ("deepseek-r1-32b", "qwen2.5-32b"),
    ("granite-3.0-8b", "granite-3.1-8b"),
    ("granite-3.2-8b", "granite-3.1-8b"),
    ("granite-3.3-8b", "granite-3.1-8b"),
    ("nvidia-nemotron-", "nemotron-"),
];

/// Releases whose size is not in their name, and the release with the same layers.
const RELEASES: [(&str, &str); 11] = [
    ("deepseek-v3.1", "deepseek-v3"),
    ("deepseek-v3.1-base", "deepseek-v3"),
    ("deepseek-v3.1-terminus", "deepseek-v3"),
    ("deepseek-v3.2-exp", "deepseek-v3.2"),
    ("deepseek-v3.2-speciale", "deepseek-v3.2"),
    ("flux.1-schnell", "flux.1-dev"),
    ("minimax-m2.1", "minimax-m2"),
    ("glm-4.6", "glm-4.5"),
    ("glm-4.7", "glm-4.5"),
    ("kimi-k2-thinking", "kimi-k2.5"),
    ("kimi-k2-instruct-0905", "kimi-k2-instruct"),
];

/// Words that tuning adds to a name.
const TUNING: [&str; 27] = [
    "instruct",
    "it",
    "chat",
    "base",
    "hf",
    "pt",
    "reasoning",
    "thinking",
    "python",
    "exp",
    "preview",
    "meta",
    "plus",
    "sft",
    "dpo",
    "rlhf",
    "abliterated",
    "uncensored",
    "merged",
    "mlx",
    "latest",
    "text",
    "original",
    "128k",
    "4k",
    "8k",
    "16k",
];

/// Whether a word of a name says how many parameters: `8b`, `0.5b`, `8x7b`, `270m`.
fn is_size(word: &str) -> bool {
    word.strip_suffix(['b', 'm']).is_some_and(|number| {
        !number.is_empty()
            && number.starts_with(|c: char| c.is_ascii_digit())
            && number
                .chars()
                .all(|c| c.is_ascii_digit() || c == '.' || c == 'x')
    })
}

/// Whether a word of a name says how weights are stored.
fn is_format(word: &str) -> bool {
    const WORDS: [&str; 24] = [
        "bf16",
        "fp16",
        "fp32",
        "bfloat16",
        "float16",
        "dynamic",
        "static",
        "pertensor",
        "per",
        "tensor",
        "block",
        "quantized",
        "awq",
        "gptq",
        "bnb",
        "bitsandbytes",
        "marlin",
        "g128",
        "g32",
        "torchao",
        "autoround",
        "auto",
        "round",
        "unsloth",
    ];
    WORDS.contains(&word)
        || word.starts_with("quantized.")
        || word.starts_with("gguf")
        || (word.starts_with('q') && word.contains("_k"))
        || quantization_in(word).is_some()
}

/// The format a text names, if it names one.
pub(crate) fn quantization_in(text: &str) -> Option<Quantization> {
    let text = text.to_lowercase();
    // What is said of the cache is not said of the weights: "fp8 + fp8 KV".
    text.split(['+', ',', ';', '(', ')'])
        .filter(|part| {
            let words = part.split(|c: char| !c.is_ascii_alphanumeric());
            !words
                .into_iter()
                .any(|word| matches!(word, "kv" | "kvcache" | "cache"))
        })
        .find_map(of_weights)
}

fn of_weights(text: &str) -> Option<Quantization> {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let bits = |bits: &str| {
        ["bit", "-bit", " bit", "_bit", "bits", "-bits"]
            .iter()
            .any(|end| text.contains(&format!("{bits}{end}")))
    };
    let gguf = [
        ("q8_0", Quantization::GgufQ8_0),
        ("q6_k", Quantization::GgufQ6K),
        ("q5_k", Quantization::GgufQ5KM),
        ("q4_k", Quantization::GgufQ4KM),
        ("q4_0", Quantization::GgufQ4KM),
        ("iq4_xs", Quantization::GgufIq4Xs),
        ("q3_k", Quantization::GgufQ3KM),
        ("q2_k", Quantization::GgufQ2K),
        ("gguf", Quantization::GgufQ4KM),
    ];
    if let Some((_, quantization)) = gguf.iter().find(|(word, _)| text.contains(word)) {
        return Some(*quantization);
    }
    if has(&["nvfp4"]) {
        Some(Quantization::Nvfp4)
    } else if has(&["mxfp4"]) {
        Some(Quantization::Mxfp4)
    } else if has(&["bnb", "nf4", "bitsandbytes", "qlora"]) {
        let eight = (bits("8") || has(&["int8"])) && !bits("4") && !text.contains("4/8");
        Some(if eight {
            Quantization::Bnb8
        } else {
            Quantization::Bnb4
        })
    } else if has(&["w8a8-fp8", "w8a8_fp8", "w8a8-fp"]) {
        Some(Quantization::Fp8)
    } else if has(&["w8a8", "w8a16", "int8", "smoothquant"]) || bits("8") && !has(&["fp8"]) {
        Some(Quantization::Int8)
    } else if has(&["w4a16", "awq"]) {
        Some(Quantization::Awq)
    } else if has(&["gptq", "w4a8", "int4", "autoround", "auto-round", "uint4"]) {
        Some(Quantization::Gptq)
    } else if has(&["fp8", "e4m3", "e5m2", "float8"]) {
        Some(Quantization::Fp8)
    } else if has(&["fp4"]) {
        Some(Quantization::Nvfp4)
    } else if bits("4") {
        Some(Quantization::Gptq)
    } else {
        None
    }
}

/// Bits of a weight, about.
const fn bits(quantization: Quantization) -> u64 {
    match quantization {
        Quantization::Fp8 | Quantization::Int8 | Quantization::Bnb8 | Quantization::GgufQ8_0 => 8,
        Quantization::GgufQ6K => 6,
        Quantization::GgufQ5KM => 5,
        Quantization::GgufQ3KM => 3,
        Quantization::GgufQ2K => 2,
        _ => 4,
    }
}

/// Bits of a weight of a quantised checkpoint.
fn stored_bits(card: &ModelCard) -> Option<u64> {
    let stored = card.config.as_ref()?.quantization.as_ref()?;
    Some(stored.bits.unwrap_or(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn format(text: &str, expect: Option<Quantization>) {
        assert_eq!(quantization_in(text), expect, "{text}");
    }

    #[test]
    fn formats_are_read_from_the_texts_of_rows() {
        format("bfloat16", None);
        format("bfloat16+compressed-tensors", None);
        format("kv fp8", None);
        format(" fp8_e5m2 KV", None);
        format("fp8 kv cache", None);
        format("bf16, fp8 KV", None);
        format("fp8 + fp8 KV", Some(Quantization::Fp8));
        format("fp8-block", Some(Quantization::Fp8));
        format("mxfp4 + fp8 KV", Some(Quantization::Mxfp4));
        format("bfloat16+mxfp4", Some(Quantization::Mxfp4));
        format("w4a16", Some(Quantization::Awq));
        format("AWQ", Some(Quantization::Awq));
        format("int4", Some(Quantization::Gptq));
        format("GPTQ", Some(Quantization::Gptq));
        format("GPTQ-Int8", Some(Quantization::Int8));
        format("4-bit", Some(Quantization::Gptq));
        format("bnb 8-bit", Some(Quantization::Bnb8));
        format(
            "bnb 4/8-bit (inferred: bf16 would not fit)",
            Some(Quantization::Bnb4),
        );
        format("bitsandbytes-nf4", Some(Quantization::Bnb4));
        format("gguf Q8_0", Some(Quantization::GgufQ8_0));
        format("nvfp4", Some(Quantization::Nvfp4));
    }

    #[test]
    fn tuned_and_quantised_models_have_the_layers_of_their_base() {
        for (name, base) in [
            (
                "neuralmagic/Meta-Llama-3.1-8B-Instruct-quantized.w4a16",
                "Llama-3.1-8B",
            ),
            ("Meta-Llama-3-8B", "Llama-3.1-8B-Instruct"),
            (
                "NousResearch/Meta-Llama-3.1-8B-Instruct-FP8-dynamic",
                "llama-3.1-8b",
            ),
            ("mistralai/Mistral-7B-v0.1", "Mistral-7B-Instruct-v0.3"),
            ("Qwen3-235B-A22B-Instruct-2507-FP8", "Qwen3-235B-A22B"),
            ("Qwen2.5-Math-1.5B", "Qwen2.5-1.5B-Instruct"),
            ("deepseek-r1:14b", "Qwen2.5-14B"),
        ] {
            assert_eq!(skeleton(name), skeleton(base), "{name}");
        }
        for (name, other) in [
            ("Qwen2.5-VL-7B-Instruct", "Qwen2.5-7B"),
            ("DeepSeek-V3.2", "DeepSeek-V3"),
            ("gemma-3-27b-it", "gemma-2-27b-it"),
            ("whisper-large-v3-turbo", "whisper-large-v2"),
            ("Qwen3-30B-A3B", "Qwen3-30B"),
        ] {
            assert_ne!(skeleton(name), skeleton(other), "{name}");
        }
    }
}
