//! Fields that contradict each other: the estimate would be that of one of two models, and nobody
//! could say of which.

use openmodel_schemas::model_card::LatentAttention;

use super::ConfigError;
use super::attention::HEAD_DIM;
use super::fields::Fields;

/// Families of `transformers` (`model_type`), and what the names of their classes begin with. Many
/// repositories serve a family of their own with a class of these, or the other way round; two
/// families of this list are two models.
const CLASSES: [(&str, &str); 42] = [
    ("bloom", "Bloom"),
    ("cohere", "Cohere"),
    ("cohere2", "Cohere2"),
    ("deepseek_v2", "DeepseekV2"),
    ("deepseek_v3", "DeepseekV3"),
    ("falcon", "Falcon"),
    ("gemma", "Gemma"),
    ("gemma2", "Gemma2"),
    ("gemma3", "Gemma3"),
    ("gemma3_text", "Gemma3"),
    ("glm4", "Glm4"),
    ("glm4_moe", "Glm4Moe"),
    ("gpt2", "GPT2"),
    ("gpt_bigcode", "GPTBigCode"),
    ("gpt_neox", "GPTNeoX"),
    ("gpt_oss", "GptOss"),
    ("gptj", "GPTJ"),
    ("granite", "Granite"),
    ("jamba", "Jamba"),
    ("llama", "Llama"),
    ("llama4", "Llama4"),
    ("mamba", "Mamba"),
    ("mamba2", "Mamba2"),
    // The layers of Llama, and a window that is read from its own field.
    ("mistral", "Llama"),
    ("mistral", "Mistral"),
    ("llama", "Mistral"),
    ("mixtral", "Mixtral"),
    ("mpt", "MPT"),
    ("mpt", "Mpt"),
    ("nemotron_h", "NemotronH"),
    ("olmo", "Olmo"),
    ("olmo2", "Olmo2"),
    ("opt", "OPT"),
    ("phi", "Phi"),
    ("phi3", "Phi3"),
    ("qwen2", "Qwen2"),
    ("qwen2_moe", "Qwen2Moe"),
    ("qwen3", "Qwen3"),
    ("qwen3_moe", "Qwen3Moe"),
    ("qwen3_next", "Qwen3Next"),
    ("starcoder2", "Starcoder2"),
    ("stablelm", "StableLm"),
];

/// What the name of such a class ends with.
const ENDS: [&str; 6] = [
    "ForCausalLM",
    "ForConditionalGeneration",
    "ForSequenceClassification",
    "ForTokenClassification",
    "LMHeadModel",
    "Model",
];

/// `model_type` names one family, `architectures` a class of another.
pub(super) fn of_class(fields: &Fields<'_>) -> Result<(), ConfigError> {
    let Some((family, class)) = fields.own_family_and_class() else {
        return Ok(());
    };
    let Some(stem) = ENDS.iter().find_map(|end| class.strip_suffix(end)) else {
        return Ok(());
    };
    let mut families = CLASSES.iter().filter(|(_, begin)| *begin == stem);
    let Some((other, _)) = families.clone().next() else {
        return Ok(());
    };
    let is_known = CLASSES.iter().any(|(name, _)| *name == family);
    if !is_known || families.any(|(name, _)| *name == family) {
        return Ok(());
    }
    let detail = format!(
        "{family:?} contradicts architectures, which is {class}, a class of {other:?}: the two are loaded \
         as different models"
    );
    Err(ConfigError::new("model_type", detail))
}

/// Heads that do not share the hidden size out, where no field says how wide one is.
pub(super) fn of_heads(
    fields: &Fields<'_>,
    hidden_size: u64,
    attention_heads: u64,
    latent: Option<&LatentAttention>,
) -> Result<(), ConfigError> {
    let is_free = latent.is_some()
        || fields.number_or_family(HEAD_DIM)?.is_some()
        || fields.model_type().starts_with("zamba");
    if is_free || attention_heads == 0 || hidden_size.is_multiple_of(attention_heads) {
        return Ok(());
    }
    let detail = format!(
        "{hidden_size} is not a multiple of num_attention_heads, which is {attention_heads}, and no head_dim is \
         stated"
    );
    Err(ConfigError::new("hidden_size", detail))
}

/// A limit of positions that leaves no room for a prompt and its answer.
pub(super) fn of_positions(fields: &Fields<'_>, names: &[&str]) -> Result<(), ConfigError> {
    match (fields.value(names), fields.number(names)?) {
        (Some((name, _)), Some(longest)) if longest < 2 => {
            let detail = format!("{longest} leaves no room for a token and its answer");
            Err(ConfigError::new(name, detail))
        }
        _ => Ok(()),
    }
}
