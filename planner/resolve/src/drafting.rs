//! Drafting by the model's own prediction layers (multi-token prediction): what it takes.
//!
//! ```text
//!   weights      a layer of the model and a projection for each      where the files hold none
//!   KV cache     full attention in each, every token                 Cache::drafting
//!   states       one for each drafted token beside the sequence's    Cache::drafting
//!   activations  logits of the drafted tokens                        Footprint
//! ```
//!
//! How much faster a model becomes depends on how many drafted tokens its users' text lets stand,
//! which nobody knows before: speed is estimated without drafting.

use openmodel_schemas::model_card::{Experts, LayerKinds, ModelCard, ModelConfig, ModelKind};

use crate::architecture::{Architecture, ParameterCount, product};
use crate::error::{Fault, Field};

/// Bytes for each logit that checking drafted tokens adds to the sampler's warm-up: a second row
/// in 16 bits for each sequence, and the checked row in 32 (`_dummy_sampler_run` and
/// `rejection_sampler.py` of vLLM 0.27.1).
pub(crate) const CHECK_BYTES_PER_LOGIT: f64 = 6.0;

/// What is wrong with drafting so many tokens with a model.
pub(crate) fn check(card: &ModelCard, tokens: u32) -> Result<(), Fault> {
    let fault = |code, summary, detail| {
        Err(Fault {
            field: Field::DraftTokens,
            code,
            summary,
            detail,
        })
    };
    let predicts = card
        .config
        .as_ref()
        .is_some_and(|config| config.mtp_layers > 0);
    if !predicts {
        let detail = format!(
            "{} has no layers that predict further tokens (num_nextn_predict_layers), so it cannot draft. Leave \
             draft_tokens out.",
            card.id
        );
        return fault("no_prediction_layers", "Model cannot draft tokens", detail);
    }
    if !(1..=16).contains(&tokens) {
        let detail = format!(
            "draft_tokens = {tokens}: 1 to 16 tokens can be drafted ahead, 1 to 3 are usual."
        );
        return fault(
            "invalid_load",
            "Number of drafted tokens cannot be used",
            detail,
        );
    }
    Ok(())
}

impl Architecture<'_> {
    /// Parameters of the layers that predict further tokens: each a layer of the model with full
    /// attention (and experts where the model has some), and a projection of two hidden states to
    /// one that every rank holds whole. Embeddings and head are the model's own (vLLM's
    /// `deepseek_mtp.py`, `qwen3_5_mtp.py`). `None` without such layers.
    pub(crate) fn prediction_parameters(self) -> Option<ParameterCount> {
        let c = self.config;
        let layers = c.mtp_layers;
        if layers == 0 || c.kind != ModelKind::Decoder {
            return None;
        }
        let alone = ModelConfig {
            layers,
            layer_kinds: LayerKinds {
                full: layers,
                ..LayerKinds::default()
            },
            kv_heads_total: None,
            intermediate_total: None,
            recurrent: None,
            experts: c.experts.clone().map(|experts| Experts {
                layers: 0,
                dense_layers: 0,
                ..experts
            }),
            ..c.clone()
        };
        let count = Architecture {
            config: &alone,
            once: false,
        }
        .parameters()?;
        let projection = product(&[2, c.hidden_size, c.hidden_size, layers]);
        Some(ParameterCount {
            embedding: 0,
            head: 0,
            replicated: count.replicated.saturating_add(projection),
            ..count
        })
    }
}
