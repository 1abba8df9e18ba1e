//! What a model's configuration says of its size: parameters and KV cache by formula.
//!
//! The formulas hold for decoder-only transformers with grouped-query attention and gated
//! three-matrix feed-forward layers, dense or mixture of experts. Whatever else a configuration
//! shows is said to be unknown, with the field that shows it; it is never guessed.

use openmodel_schemas::model_card::{ModelCard, ModelConfig};
use openmodel_schemas::quantity::Bytes;

use crate::error::{Fault, Field};

/// Architectures the formulas describe: their published configurations were checked against
/// parameter counts of their checkpoints. Sorted.
const KNOWN: &[&str] = &[
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "Gemma3ForConditionalGeneration",
    "GemmaForCausalLM",
    "Glm4MoeForCausalLM",
    "GptOssForCausalLM",
    "GraniteForCausalLM",
    "LlamaForCausalLM",
    "MiMoForCausalLM",
    "MiniMaxM2ForCausalLM",
    "Mistral3ForConditionalGeneration",
    "MistralForCausalLM",
    "MixtralForCausalLM",
    "Olmo2ForCausalLM",
    "Phi3ForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen2MoeForCausalLM",
    "Qwen2_5_VLForConditionalGeneration",
    "Qwen3ForCausalLM",
    "Qwen3MoeForCausalLM",
    "Qwen3VLForConditionalGeneration",
    "Qwen3VLMoeForConditionalGeneration",
    "SmolLM3ForCausalLM",
];

/// Bytes of one element of the KV cache and of unquantised weights: bf16 or fp16.
const ELEMENT: u64 = 2;

/// A configuration whose size the formulas describe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Architecture<'a> {
    pub(crate) config: &'a ModelConfig,
}

/// Parameters by formula, split by what quantisation does to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParameterCount {
    /// Weights of linear layers: attention projections, feed-forward layers, experts.
    pub(crate) linear: u64,
    /// Embeddings, output head, norms, routers: they stay in 16 bits.
    pub(crate) other: u64,
}

impl ParameterCount {
    pub(crate) const fn total(self) -> u64 {
        self.linear.saturating_add(self.other)
    }
}

impl<'a> Architecture<'a> {
    /// Read a card's configuration, or say which field is beyond the formulas.
    pub(crate) fn of(card: &'a ModelCard) -> Result<Self, Fault> {
        let Some(config) = &card.config else {
            return Err(unknown(card, "config.json", "the repository has none"));
        };
        if let Some(field) = config.special.first() {
            return Err(unknown(
                card,
                field,
                "this mechanism has no memory formula here yet",
            ));
        }
        if KNOWN.binary_search(&config.architecture.as_str()).is_err() {
            let why = format!(
                "{:?} is none of the architectures with a formula",
                config.architecture
            );
            return Err(unknown(card, "architectures", &why));
        }
        for (field, value) in [
            ("hidden_size", config.hidden_size),
            ("num_hidden_layers", config.layers),
            ("num_attention_heads", config.attention_heads),
            ("num_key_value_heads", config.kv_heads),
            ("head_dim", config.head_dim),
            ("vocab_size", config.vocab_size),
        ] {
            if value == 0 {
                return Err(unknown(card, field, "it is missing or zero"));
            }
        }
        if !config.attention_heads.is_multiple_of(config.kv_heads) {
            let why = format!(
                "{} does not divide num_attention_heads = {}",
                config.kv_heads, config.attention_heads
            );
            return Err(unknown(card, "num_key_value_heads", &why));
        }
        if config.experts.is_none() && config.intermediate_size == 0 {
            return Err(unknown(card, "intermediate_size", "it is missing or zero"));
        }
        Ok(Self { config })
    }

    /// KV cache of one token: key and value for each KV head of each layer, in 16 bits.
    ///
    /// Layers with a sliding window count as full ones. That is an upper bound; engines reach
    /// it when their hybrid cache manager is off, or the window is as long as the context.
    pub(crate) fn kv_per_token(self) -> Bytes {
        let c = self.config;
        Bytes(product(&[2, c.kv_heads, c.head_dim, ELEMENT, c.layers]))
    }

    /// Parameters, by the formula of decoder-only transformers:
    /// `V·H·(1|2) + L·(H·d·(q+2·kv) + q·d·H + 3·H·I + 2·H)`; in a layer of experts, `3·H·I`
    /// becomes `3·H·Iₑ·(E + shared) + H·E`.
    pub(crate) fn parameters(self) -> ParameterCount {
        let c = self.config;
        let qkv = product(&[
            c.hidden_size,
            c.head_dim,
            c.attention_heads
                .saturating_add(c.kv_heads.saturating_mul(2)),
        ]);
        let attention =
            qkv.saturating_add(product(&[c.attention_heads, c.head_dim, c.hidden_size]));
        let dense = product(&[3, c.hidden_size, c.intermediate_size]);
        let (experts, router, dense_layers) = match &c.experts {
            None => (0, 0, c.layers),
            Some(e) => (
                product(&[
                    3,
                    c.hidden_size,
                    e.intermediate_size,
                    e.count.saturating_add(e.shared),
                ]),
                product(&[c.hidden_size, e.count]),
                e.dense_layers.min(c.layers),
            ),
        };
        let expert_layers = c.layers - dense_layers;
        let linear = product(&[c.layers, attention])
            .saturating_add(product(&[dense_layers, dense]))
            .saturating_add(product(&[expert_layers, experts]));
        let embeddings = product(&[
            c.vocab_size,
            c.hidden_size,
            if c.tied_embeddings { 1 } else { 2 },
        ]);
        let norms = product(&[2, c.hidden_size, c.layers]);
        let other = embeddings
            .saturating_add(norms)
            .saturating_add(product(&[expert_layers, router]));
        ParameterCount { linear, other }
    }
}

/// A product that stops at the largest number: nonsense in a configuration must not panic.
pub(crate) fn product(factors: &[u64]) -> u64 {
    factors
        .iter()
        .fold(1, |product, factor| product.saturating_mul(*factor))
}

fn unknown(card: &ModelCard, field: &str, why: &str) -> Fault {
    Fault {
        field: Field::Model,
        code: "unknown_architecture",
        summary: "Memory need of the model is unknown",
        detail: format!(
            "The memory that {} needs cannot be computed: {field}: {why}. \
             Formulas exist for decoder-only transformers with grouped-query attention, dense or \
             mixture of experts, such as Llama, Qwen, Gemma and Mistral. Choose such a model.",
            card.id
        ),
    }
}

#[cfg(test)]
mod tests {
    use openmodel_schemas::model_card::Experts;

    use super::*;
    use crate::testing;

    #[test]
    fn the_list_of_known_architectures_is_sorted_for_binary_search() {
        assert!(KNOWN.is_sorted());
    }

    #[test]
    fn parameters_by_formula_are_those_of_the_checkpoints() {
        let count = |card: &ModelCard| Architecture::of(card).expect("known").parameters().total();
        // The Hub's own counts; the formula leaves out biases and the last norm.
        for (card, billions) in [
            (testing::llama_8b(), 8.030),
            (testing::llama_70b(), 70.554),
            (testing::gemma_9b(), 9.242),
            (testing::qwen_7b(), 7.616),
            (testing::qwen3_30b_moe(), 30.532),
        ] {
            #[expect(clippy::cast_precision_loss, reason = "compared to four digits")]
            let got = count(&card) as f64 / 1e9;
            assert!(
                (got - billions).abs() / billions < 0.001,
                "{}: {got} B",
                card.id
            );
        }
    }

    #[test]
    fn kv_bytes_per_token_are_exact() {
        let kv = |card: &ModelCard| Architecture::of(card).expect("known").kv_per_token().0;
        assert_eq!(kv(&testing::llama_8b()), 131_072);
        assert_eq!(kv(&testing::llama_70b()), 327_680);
        assert_eq!(kv(&testing::gemma_9b()), 344_064);
        assert_eq!(kv(&testing::qwen_7b()), 57_344);
        assert_eq!(kv(&testing::qwen3_30b_moe()), 98_304);
    }

    #[test]
    fn leading_dense_layers_of_a_mixture_are_dense() {
        let mut card = testing::qwen3_30b_moe();
        let all_experts = Architecture::of(&card).expect("known").parameters().total();
        let config = card.config.as_mut().expect("it has one");
        config.experts = config.experts.take().map(|e| Experts {
            dense_layers: 1,
            ..e
        });
        let one_dense = Architecture::of(&card).expect("known").parameters().total();
        // One layer swaps 128 experts of 768 and their router for one of 6,144.
        assert_eq!(
            all_experts - one_dense,
            3 * 2048 * (128 * 768 - 6144) + 2048 * 128
        );
    }

    #[test]
    fn what_is_beyond_the_formulas_is_said_with_its_field() {
        #[track_caller]
        fn check(change: impl FnOnce(&mut ModelCard), field: &str) {
            let mut card = testing::llama_8b();
            change(&mut card);
            let fault = Architecture::of(&card).expect_err("beyond the formulas");
            assert_eq!(
                (fault.code, fault.field),
                ("unknown_architecture", Field::Model)
            );
            assert!(fault.detail.contains(field), "{}", fault.detail);
        }
        fn config(card: &mut ModelCard) -> &mut ModelConfig {
            card.config.as_mut().expect("it has one")
        }
        check(
            |card| card.config = None,
            "config.json: the repository has none",
        );
        check(
            |card| config(card).special = vec!["kv_lora_rank".to_owned()],
            "kv_lora_rank: this mechanism",
        );
        check(
            |card| config(card).architecture = "BertModel".to_owned(),
            "\"BertModel\"",
        );
        check(
            |card| config(card).kv_heads = 0,
            "num_key_value_heads: it is missing",
        );
        check(
            |card| config(card).kv_heads = 7,
            "7 does not divide num_attention_heads = 32",
        );
        check(|card| config(card).layers = 0, "num_hidden_layers");
        check(
            |card| config(card).intermediate_size = 0,
            "intermediate_size",
        );
    }
}
