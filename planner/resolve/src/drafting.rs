//! Drafting ahead (speculative decoding), by the model's own prediction layers (multi-token
//! prediction) or by a smaller model beside it: what it takes.
//!
//! ```text
//!                prediction layers                       draft model
//!   weights      a layer and a projection for each,      all of them, as stored, split over as
//!                where the files hold none               many ranks
//!   KV cache     full attention in each, every token     that of all its layers, every token
//!   states       one for each drafted token beside the sequence's, of the checking model
//!   activations  logits of the drafted tokens            the same; its own step comes after
//!   files        none                                    downloaded beside the model's
//! ```
//!
//! How much faster a model becomes depends on how many drafted tokens its users' text lets stand,
//! which nobody knows before: speed is estimated without drafting.

use openmodel_schemas::model_card::{Experts, LayerKinds, ModelCard, ModelConfig, ModelKind};
use openmodel_schemas::quantity::Parameters;
use openmodel_schemas::spec::{DraftModel, Workload};

use crate::architecture::{Architecture, ParameterCount, product};
use crate::error::{Fault, Field};
use crate::parallel::Parallelism;
use crate::weights::Weights;

/// Bytes for each logit that checking drafted tokens adds to the sampler's warm-up: a second row
/// in 16 bits for each sequence, and the checked row in 32 (`_dummy_sampler_run` and
/// `rejection_sampler.py` of vLLM 0.27.1).
pub(crate) const CHECK_BYTES_PER_LOGIT: f64 = 6.0;

/// A model that drafts for another, which can.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draft<'a> {
    pub(crate) card: &'a ModelCard,
    pub(crate) architecture: Architecture<'a>,
    /// As stored: what is asked of the model's own weights is not asked of these
    /// (`quantization` of vLLM's `SpeculativeConfig` is a word of its own).
    pub(crate) weights: Weights,
}

impl<'a> Draft<'a> {
    /// The draft model that a load names, from its facts, if it can draft for `model`. The rules
    /// are vLLM's: `verify_equal_vocab_size_if_draft_model` of `config/speculative.py`;
    /// `_raise_if_multimodal` and `validate_same_kv_cache_group` of `v1/spec_decode`.
    pub(crate) fn of(
        named: &DraftModel,
        card: Option<&'a ModelCard>,
        model: &ModelCard,
        target: Architecture,
        load: &Workload,
    ) -> Result<Self, Fault> {
        let name = &named.model;
        let Some(tokens) = load.draft_tokens else {
            let detail = format!(
                "{name} is to draft, and draft_tokens does not say how many tokens ahead. Set draft_tokens; {} are usual.",
                DraftModel::TOKENS
            );
            return Err(fault(Field::DraftTokens, "invalid_load", detail));
        };
        count(tokens)?;
        let same = |card: &&ModelCard| card.id == *name && card.commit == named.commit;
        let Some(card) = card.filter(same) else {
            let detail = format!(
                "{name} at commit {} was not read from the Hub. Read its card first.",
                named.commit
            );
            return Err(fault(Field::DraftModel, "unknown_model", detail));
        };
        let its_own = |fault: Fault| Fault {
            field: Field::DraftModel,
            ..fault
        };
        let architecture = Architecture::of(card).map_err(its_own)?;
        if let Some((code, why)) = unfit((card, architecture), (model, target), load) {
            let detail = format!("{name} cannot draft for {}: {why}", model.id);
            return Err(fault(Field::DraftModel, code, detail));
        }
        Ok(Self {
            card,
            architecture,
            weights: Weights::of(card, architecture, None).map_err(its_own)?,
        })
    }

    /// The ranks it is spread over: those that split the model's layers, and no others
    /// (`create_draft_parallel_config` of vLLM, whose proposer refuses fewer).
    pub(crate) const fn spread(of_model: Parallelism) -> Parallelism {
        Parallelism::tensor(of_model.tensor)
    }
}

/// Why one model cannot draft for another, with the next move.
fn unfit(
    (draft, its): (&ModelCard, Architecture),
    (model, own): (&ModelCard, Architecture),
    load: &Workload,
) -> Option<(&'static str, String)> {
    if draft.id == model.id {
        let why =
            "it is the same model. Name a smaller one of its family, or leave draft_model out.";
        return Some(("same_model", why.to_owned()));
    }
    for (card, architecture) in [(model, own), (draft, its)] {
        let c = architecture.config;
        let kinds = architecture.layers();
        let what = if architecture.role() != ModelKind::Decoder {
            "does not generate token after token"
        } else if c.vision || c.audio {
            "reads more than text, beside which vLLM takes no draft model"
        } else if kinds.full != c.layers || !c.compress_ratios.is_empty() {
            "has layers that do not keep every token, beside which vLLM takes no draft model"
        } else {
            continue;
        };
        let why = format!("{} {what}. Leave draft_model out.", card.id);
        return Some(("draft_unsupported", why));
    }
    if own.config.latent.is_some() != its.config.latent.is_some() {
        let why = "one of them keeps compressed keys and values, the other does not. Name a draft model of the \
                   same kind, or leave draft_model out.";
        return Some(("draft_unsupported", why.to_owned()));
    }
    let (ours, theirs) = (own.config.vocab_size, its.config.vocab_size);
    if ours != theirs || ours == 0 {
        let size = |size: u64| match size {
            0 => "a vocabulary of a size that its configuration does not state".to_owned(),
            size => format!("a vocabulary of {size} tokens"),
        };
        let why = format!(
            "it has {}, and the model has {}; they must be the same. Name a draft model of the same family, or leave \
             draft_model out.",
            size(theirs),
            size(ours)
        );
        return Some(("other_vocabulary", why));
    }
    let parameters = |card: &ModelCard, architecture: Architecture| {
        let counted = card.parameters.map(|parameters| parameters.0);
        counted.or(architecture.parameters().map(ParameterCount::total))
    };
    if let (Some(theirs), Some(ours)) = (parameters(draft, its), parameters(model, own))
        && theirs >= ours
    {
        let why = format!(
            "it has {}, and the model has {}: drafting by it takes longer than answering. Name a smaller one, or \
             leave draft_model out.",
            Parameters(theirs),
            Parameters(ours)
        );
        return Some(("draft_too_large", why));
    }
    let context = load.context_length.0;
    let most = its.config.max_positions.filter(|most| *most < context)?;
    let why = format!(
        "it was made for sequences of at most {most} tokens (max_position_embeddings), and context_length = {context} \
         is longer. Set context_length to at most {most}, or name another draft model."
    );
    Some(("draft_context_too_short", why))
}

/// What is wrong with drafting so many tokens by a model's own prediction layers.
pub(crate) fn check(card: &ModelCard, tokens: u32) -> Result<(), Fault> {
    let predicts = card
        .config
        .as_ref()
        .is_some_and(|config| config.mtp_layers > 0);
    if predicts {
        return count(tokens);
    }
    let detail = format!(
        "{} has no layers that predict further tokens (num_nextn_predict_layers), so it cannot draft. Leave \
         draft_tokens out, or name a smaller model that drafts (draft_model).",
        card.id
    );
    Err(Fault {
        summary: "Model cannot draft tokens",
        ..fault(Field::DraftTokens, "no_prediction_layers", detail)
    })
}

/// What is wrong with a number of drafted tokens.
fn count(tokens: u32) -> Result<(), Fault> {
    if (1..=16).contains(&tokens) {
        return Ok(());
    }
    let detail =
        format!("draft_tokens = {tokens}: 1 to 16 tokens can be drafted ahead, 1 to 5 are usual.");
    Err(fault(Field::DraftTokens, "invalid_load", detail))
}

const fn fault(field: Field, code: &'static str, detail: String) -> Fault {
    let summary = match field {
        Field::DraftTokens => "Number of drafted tokens cannot be used",
        _ => "Draft model cannot be used",
    };
    Fault {
        field,
        code,
        summary,
        detail,
    }
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

#[cfg(test)]
mod tests;
