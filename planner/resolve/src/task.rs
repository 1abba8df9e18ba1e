//! What a model is asked for: text token after token, or one answer to what it reads (a vector, a
//! score). A decoder does either, and only the repository says which.

use openmodel_schemas::model_card::{ModelCard, ModelConfig, ModelKind};

/// Hub tasks of models that answer with a vector or a score. `text-classification` is left to the
/// class: guard models of that tag generate their verdict.
const TAGS: [&str; 3] = ["feature-extraction", "sentence-similarity", "text-ranking"];

/// The file that Sentence Transformers writes beside a model: its pooling.
const POOLING_FILE: &str = "modules.json";

/// What classes without a head for the next token are called (vLLM's `_SUFFIX_TO_DEFAULTS`).
const SUFFIXES: [&str; 7] = [
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForTextEncoding",
    "ForRewardModeling",
    "EmbeddingModel",
    "RewardModel",
    "Model",
];

/// Classes with such a head whose name ends in `Model` all the same.
const GENERATING: [&str; 10] = [
    "ChatModel",
    "LMHeadModel",
    "AquilaModel",
    "BloomModel",
    "ChatGLMModel",
    "KimiLinearModel",
    "MiDashengLMModel",
    "MossAudioModel",
    "Qwen2_5OmniModel",
    "UltravoxModel",
];

/// Whether a model answers once with a vector or a score.
pub(crate) fn answers_once(card: &ModelCard, config: &ModelConfig) -> bool {
    match config.kind {
        ModelKind::Encoder => true,
        ModelKind::EncoderDecoder | ModelKind::Diffusion => false,
        ModelKind::Decoder => {
            base(&config.architecture).is_some()
                || card
                    .pipeline_tag
                    .as_deref()
                    .is_some_and(|tag| TAGS.contains(&tag))
                || card.library.as_deref() == Some("sentence-transformers")
                || card.files.iter().any(|file| file.path == POOLING_FILE)
        }
    }
}

/// Whether a model answers token after token; what else answers once, with a vector, a score or an
/// image, has no length of answers. A model without a configuration is taken to.
#[must_use]
pub fn generates(card: &ModelCard) -> bool {
    card.config
        .as_ref()
        .is_none_or(|config| config.kind != ModelKind::Diffusion && !answers_once(card, config))
}

/// A class that has no head for the next token, without its suffix: `Qwen3` of `Qwen3Model`.
pub(crate) fn base(class: &str) -> Option<&str> {
    if GENERATING.iter().any(|name| class.ends_with(name)) {
        return None;
    }
    SUFFIXES
        .iter()
        .find_map(|suffix| class.strip_suffix(suffix))
        .filter(|base| !base.is_empty())
}

/// Whether a model ranks passages by the odds of one word against another, in a class made for
/// text: Qwen3-Reranker as published.
pub(crate) fn ranks_by_words(card: &ModelCard, config: &ModelConfig) -> bool {
    card.pipeline_tag.as_deref() == Some("text-ranking")
        && config.architecture == "Qwen3ForCausalLM"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[track_caller]
    fn once(class: &str, tag: Option<&str>, library: Option<&str>) -> bool {
        let mut card = testing::llama_8b();
        card.pipeline_tag = tag.map(str::to_owned);
        card.library = library.map(str::to_owned);
        let mut config = card.config.clone().expect("it has one");
        class.clone_into(&mut config.architecture);
        answers_once(&card, &config)
    }

    #[test]
    fn the_class_the_tag_or_the_library_says_so() {
        for class in [
            "MistralModel",
            "Qwen3ForSequenceClassification",
            "InternLM2ForRewardModel",
        ] {
            assert!(once(class, None, None), "{class}");
        }
        for tag in TAGS {
            assert!(once("Qwen3ForCausalLM", Some(tag), None), "{tag}");
        }
        assert!(once(
            "Qwen2ForCausalLM",
            None,
            Some("sentence-transformers")
        ));
    }

    #[test]
    fn vectors_and_images_are_no_tokens() {
        let of = |kind, class: &str| {
            let mut card = testing::llama_8b();
            let config = card.config.as_mut().expect("it has one");
            config.kind = kind;
            class.clone_into(&mut config.architecture);
            generates(&card)
        };
        assert!(of(ModelKind::Decoder, "LlamaForCausalLM"));
        assert!(of(
            ModelKind::EncoderDecoder,
            "WhisperForConditionalGeneration"
        ));
        assert!(!of(ModelKind::Decoder, "Qwen3ForSequenceClassification"));
        assert!(!of(ModelKind::Encoder, "XLMRobertaModel"));
        assert!(!of(ModelKind::Diffusion, "FluxPipeline"));
    }

    #[test]
    fn what_generates_is_not_taken_for_it() {
        for (class, tag) in [
            ("LlamaForCausalLM", Some("text-generation")),
            ("Qwen3ForCausalLM", Some("text-classification")),
            ("GPT2LMHeadModel", None),
            ("ChatGLMModel", None),
            ("InternVLChatModel", Some("image-text-to-text")),
        ] {
            assert!(!once(class, tag, Some("transformers")), "{class}");
        }
    }
}
