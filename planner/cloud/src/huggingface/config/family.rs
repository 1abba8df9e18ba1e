//! What the classes of `transformers` assume: defaults that a configuration leaves out, and shapes
//! that no field of it states.

use openmodel_schemas::model_card::ModelKind;

use super::fields::Fields;

/// Families that read a text in one step, in both directions.
const ENCODERS: [&str; 42] = [
    "albert",
    "bert",
    "big_bird",
    "bigbird",
    "camembert",
    "canine",
    "convbert",
    "data2vec-text",
    "deberta",
    "deberta-v2",
    "distilbert",
    "electra",
    "ernie",
    "ernie_m",
    "esm",
    "eurobert",
    "flaubert",
    "fnet",
    "funnel",
    "gte",
    "ibert",
    "jina_embeddings_v3",
    "layoutlm",
    "layoutlmv3",
    "longformer",
    "luke",
    "megatron-bert",
    "mobilebert",
    "modernbert",
    "mpnet",
    "mra",
    "neobert",
    "new",
    "nomic_bert",
    "nystromformer",
    "rembert",
    "roberta",
    "roberta-prelayernorm",
    "roformer",
    "squeezebert",
    "xlm-roberta",
    "xlm-roberta-xl",
];

/// Encoders with gated feed-forward layers.
const GATED_ENCODERS: [&str; 7] = [
    "eurobert",
    "gte",
    "modernbert",
    "neobert",
    "new",
    "nomic_bert",
    "jina_embeddings_v3",
];

/// Families with an encoder and a decoder that do not all say so.
const ENCODER_DECODERS: [&str; 24] = [
    "bart",
    "bigbird_pegasus",
    "blenderbot",
    "blenderbot-small",
    "led",
    "longt5",
    "m2m_100",
    "marian",
    "mbart",
    "moonshine",
    "mt5",
    "mvp",
    "nllb-moe",
    "pegasus",
    "pegasus_x",
    "plbart",
    "prophetnet",
    "seamless_m4t",
    "speech_to_text",
    "switch_transformers",
    "t5",
    "umt5",
    "fsmt",
    "whisper",
];

/// What a class is called that reads in both directions, whatever its family. One that answers
/// with a verdict (`ForSequenceClassification`, `RewardModel`) may be a decoder with another head.
const BIDIRECTIONAL: [&str; 2] = ["ForMaskedLM", "EncoderModel"];

/// Families whose feed-forward layers have two matrices.
const PLAIN_FEED_FORWARD: [&str; 29] = [
    "apertus",
    "arcee",
    "biogpt",
    "bloom",
    "codegen",
    "falcon",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox",
    "gpt_neox_japanese",
    "gptj",
    "jais2",
    "modernbert-decoder",
    "mpt",
    "nanochat",
    "nemotron",
    "nemotron_h",
    "nemotron_h_puzzle",
    "NemotronH_Nano_VL_V2",
    "opt",
    "persimmon",
    "phi",
    "phi-msft",
    "RefinedWeb",
    "RefinedWebModel",
    "starcoder2",
    "xglm",
    "fuyu",
];

/// Families whose class ties the embeddings where the configuration does not say.
const TIED_BY_DEFAULT: [&str; 38] = [
    "bart",
    "bloom",
    "cohere",
    "cohere2",
    "falcon",
    "falcon_mamba",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "gemma3n",
    "gemma3n_text",
    "gemma4",
    "gemma4_text",
    "gemma4_unified",
    "gemma4_unified_text",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "lfm2",
    "lfm2_moe",
    "m2m_100",
    "mamba",
    "marian",
    "mbart",
    "mpt",
    "mt5",
    "opt",
    "pegasus",
    "recurrent_gemma",
    "smollm3",
    "starcoder2",
    "t5",
    "vaultgemma",
    "whisper",
    "xglm",
    "zamba",
    "zamba2",
];

/// Families whose feed-forward layers are four times as wide as the rest where nothing is stated.
const FOUR_TIMES_AS_WIDE: [&str; 15] = [
    "bloom",
    "codegen",
    "falcon",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox_japanese",
    "gptj",
    "mpt",
    "nomic_bert",
    "openai-gpt",
    "phi-msft",
    "RefinedWeb",
    "RefinedWebModel",
    "zamba2",
];

/// Fields that show a mechanism no formula covers.
const SPECIAL: [&str; 14] = [
    // RWKV, xLSTM, Griffin, Hyena, RetNet.
    "attention_hidden_size",
    "qk_dim_factor",
    "lru_width",
    "hyena_layer_idxs",
    "decoder_retention_heads",
    // Keys and values by groups of layers; a second cache.
    "kv_reuse_group",
    "mb_per_layer",
    "landmark_frequency",
    // Two attentions per layer, and experts that do nothing (LongCat).
    "zero_expert_num",
    // Convolutions over keys and values (Zaya), and widths by layer (OpenELM).
    "cca",
    "ffn_multipliers",
    // Two whole models in one.
    "encoder_decoder",
    "is_mixture_of_depths",
    "num_recurrent_steps",
];

/// Families, a field, and what their classes take for it.
type Assumption = (&'static [&'static str], &'static str, u64);

/// What even a flat configuration leaves out.
const ALWAYS_ASSUMED: [Assumption; 2] = [
    (
        &[
            "gemma",
            "gemma2",
            "gemma3_text",
            "gemma3n_text",
            "gemma4_text",
            "qwen3_next",
        ],
        "head_dim",
        256,
    ),
    (&["qwen3", "qwen3_moe"], "head_dim", 128),
];

/// A configuration inside another is written without the values that are the defaults of its class.
const ASSUMED_OF_A_PART: [Assumption; 26] = [
    (
        &["gemma3_text", "gemma3n_text", "gemma4_text"],
        "num_attention_heads",
        8,
    ),
    (&["gemma3_text", "gemma4_text"], "num_key_value_heads", 4),
    (&["gemma3n_text"], "num_key_value_heads", 2),
    (&["gemma", "gemma2"], "vocab_size", 256_000),
    (&["gemma3_text"], "vocab_size", 262_208),
    (&["gemma3n_text"], "vocab_size", 262_400),
    (&["gemma4_text"], "vocab_size", 262_144),
    (
        &["gemma3_text", "gemma4_text"],
        "max_position_embeddings",
        131_072,
    ),
    (&["gemma3_text"], "sliding_window", 4096),
    (&["gemma3n_text", "gemma4_text"], "sliding_window", 512),
    (&["llama", "mistral", "qwen2"], "hidden_size", 4096),
    (&["llama", "mistral", "qwen2"], "num_hidden_layers", 32),
    (&["llama", "mistral", "qwen2"], "num_attention_heads", 32),
    (&["mistral", "mixtral"], "num_key_value_heads", 8),
    (&["qwen2"], "num_key_value_heads", 32),
    (&["llama", "mistral", "mixtral"], "vocab_size", 32_000),
    (&["qwen2"], "vocab_size", 151_936),
    (&["llama"], "intermediate_size", 11_008),
    (&["mistral", "mixtral"], "intermediate_size", 14_336),
    (&["qwen2"], "intermediate_size", 22_016),
    (&["mixtral"], "hidden_size", 4096),
    (&["mixtral"], "num_hidden_layers", 32),
    (&["deepseek_v2"], "kv_lora_rank", 512),
    (&["deepseek_v2"], "qk_rope_head_dim", 64),
    (&["deepseek_v2"], "qk_nope_head_dim", 128),
    (&["deepseek_v2"], "v_head_dim", 128),
];

/// What kind of model it is.
pub(super) fn kind(fields: &Fields<'_>) -> ModelKind {
    let (family, class) = (fields.model_type(), fields.architecture());
    if family.is_empty() && fields.is_set("_class_name") {
        return ModelKind::Diffusion;
    }
    let reads_once = BIDIRECTIONAL.iter().any(|name| class.ends_with(name))
        || class.contains("Bidirec")
        || fields.flag("use_bidirectional_attention") == Some(true)
        || fields.text(&["use_bidirectional_attention"]) == Some("all");
    if reads_once || (ENCODERS.contains(&family) && fields.flag("is_decoder") != Some(true)) {
        return ModelKind::Encoder;
    }
    if fields.flag("is_encoder_decoder") == Some(true) || ENCODER_DECODERS.contains(&family) {
        ModelKind::EncoderDecoder
    } else {
        ModelKind::Decoder
    }
}

/// Whether feed-forward layers have two matrices instead of a gated three.
pub(super) fn plain_feed_forward(fields: &Fields<'_>, kind: ModelKind) -> bool {
    let family = fields.model_type();
    let gates = |text: &str| {
        ["glu", "gated", "gelu_gated"]
            .iter()
            .any(|word| text.contains(word))
    };
    let stated = fields
        .text(&[
            "feed_forward_proj",
            "feed_forward_type",
            "activation_function",
            "mlp_activation_function",
            "ffn_type",
        ])
        .map(str::to_lowercase);
    if stated.is_some_and(|stated| gates(&stated)) {
        return false;
    }
    match kind {
        ModelKind::Encoder if ENCODERS.contains(&family) => !GATED_ENCODERS.contains(&family),
        // A T5 whose projection is not said to be gated is plain.
        ModelKind::EncoderDecoder => true,
        _ => PLAIN_FEED_FORWARD.contains(&family),
    }
}

pub(super) fn tied_embeddings(fields: &Fields<'_>, kind: ModelKind) -> bool {
    fields
        .flag_of_all("tie_word_embeddings")
        .or_else(|| fields.flag("tie_embedding"))
        .unwrap_or_else(|| {
            kind == ModelKind::Encoder || TIED_BY_DEFAULT.contains(&fields.model_type())
        })
}

pub(super) fn four_times_as_wide(fields: &Fields<'_>) -> bool {
    FOUR_TIMES_AS_WIDE.contains(&fields.model_type())
}

/// The fields that show a mechanism no formula covers.
pub(super) fn special(fields: &Fields<'_>) -> Vec<String> {
    SPECIAL
        .into_iter()
        .filter(|name| {
            // Zamba has this field too, for the width of an attention the formulas cover.
            fields.is_set(name)
                && !(*name == "attention_hidden_size" && fields.model_type().starts_with("zamba"))
        })
        .map(str::to_owned)
        .collect()
}

/// Whether there is a tower for images or video, and one for sound.
pub(super) fn towers(fields: &Fields<'_>) -> (bool, bool) {
    let any = |names: &[&str]| names.iter().any(|name| fields.is_set(name));
    (
        any(&[
            "vision_config",
            "visual",
            "mm_vision_tower",
            "vision_tower",
            "vit_config",
            "perceiver_config",
            "img_processor",
            "embd_layer",
        ]),
        any(&[
            "audio_config",
            "speech_config",
            "audio_encoder_config",
            "audio_processor",
            "encoder_config",
            "sound_config",
        ]) || fields.model_type() == "whisper",
    )
}

/// What a class assumes where a configuration is silent.
pub(super) fn assumed(family: &str, field: &str, nested: bool) -> Option<u64> {
    let find = |table: &[Assumption]| {
        table
            .iter()
            .find(|(families, name, _)| *name == field && families.contains(&family))
            .map(|(_, _, value)| *value)
    };
    find(&ALWAYS_ASSUMED).or_else(|| find(&ASSUMED_OF_A_PART).filter(|_| nested))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_verdict_does_not_make_a_decoder_an_encoder() {
        let kind = |class: &str, family: &str| {
            let config = json!({
                "architectures": [class], "model_type": family, "hidden_size": 4096,
                "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
                "num_key_value_heads": 8, "vocab_size": 128_256,
            });
            crate::parse_config(&config).expect("a model").kind
        };
        for (class, family, expected) in [
            (
                "LlamaForSequenceClassification",
                "llama",
                ModelKind::Decoder,
            ),
            ("Qwen2ForRewardModel", "qwen2", ModelKind::Decoder),
            ("MistralModel", "mistral", ModelKind::Decoder),
            (
                "XLMRobertaForSequenceClassification",
                "xlm-roberta",
                ModelKind::Encoder,
            ),
            ("FooForMaskedLM", "foo", ModelKind::Encoder),
            (
                "LlamaBidirectionalForSequenceClassification",
                "llama_bidirec",
                ModelKind::Encoder,
            ),
        ] {
            assert_eq!(kind(class, family), expected, "{class}");
        }
    }
}
