//! From a model card to the attributes of `data.openmodel_model`.

use std::collections::BTreeMap;

use openmodel_resolve::memory::{MemoryAnswer, MemoryQuery, memory_of};
use openmodel_resolve::weights_by_dtype;
use openmodel_schemas::catalog::AcceleratorKind;
use openmodel_schemas::model_card::{
    Experts, ModelCard, ModelConfig, ModelKind, StoredQuantization,
};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::repository::{Gating, RepoFile, ScanStatus};
use tfplug::value::Value;

use super::{AttentionModel, ExpertsModel, FileModel, ModelModel, QuantizationModel};
use crate::facts;
use crate::show::number;

/// The configuration with the card's facts, and what scanners say now.
pub(super) fn show(given: ModelModel, card: &ModelCard, scan: &ScanStatus) -> ModelModel {
    let config = card.config.as_ref();
    let cache = cache(card);
    let (scan_status, unsafe_files) = match scan {
        ScanStatus::Safe => ("safe", &[][..]),
        ScanStatus::Unsafe { files } => ("unsafe", files.as_slice()),
        ScanStatus::Pending => ("pending", &[][..]),
        ScanStatus::Unknown => ("unknown", &[][..]),
    };
    let of = |fact: fn(&ModelConfig) -> u64| positive(config.map(fact));
    ModelModel {
        id: Value::Known(format!("{}@{}", card.id, card.commit)),
        resolved_revision: Value::Known(card.commit.to_string()),
        architecture: text(config.map(|config| config.architecture.as_str())),
        model_type: text(config.map(|config| config.model_type.as_str())),
        library: text(card.library.as_deref()),
        pipeline_tag: text(card.pipeline_tag.as_deref()),
        parameters: number(card.parameters.map(|parameters| parameters.0)),
        active_parameters: number(card.active_parameters.map(|parameters| parameters.0)),
        parameters_by_dtype: counts(
            card.parameters_by_dtype
                .iter()
                .map(|(dtype, count)| (dtype.as_str(), *count)),
        ),
        weight_bytes: number(card.weights.as_ref().map(|weights| weights.bytes.0)),
        weight_bytes_by_dtype: counts(
            weights_by_dtype(card)
                .iter()
                .map(|weights| (weights.dtype, weights.bytes.0)),
        ),
        max_context_length: number(config.and_then(|config| config.max_positions)),
        dtype: text(config.and_then(|config| config.dtype.as_deref())),
        quantization: config
            .and_then(|config| config.quantization.as_ref())
            .map(quantization)
            .into(),
        kind: text(config.map(|config| kind(config.kind))),
        layers: of(|config| config.layers),
        hidden_size: of(|config| config.hidden_size),
        intermediate_size: of(|config| config.intermediate_size),
        vocabulary_size: of(|config| config.vocab_size),
        tied_embeddings: config.map(|config| config.tied_embeddings).into(),
        attention: config.map(attention).into(),
        experts: config
            .and_then(|config| config.experts.as_ref())
            .map(experts)
            .into(),
        draft_layers: number(config.map(|config| config.mtp_layers)),
        vision: config.map(|config| config.vision).into(),
        audio: config.map(|config| config.audio).into(),
        kv_cache_bytes_per_token: number(cache.as_ref().map(|cache| cache.kv_per_token.0)),
        state_bytes_per_sequence: number(cache.as_ref().map(|cache| cache.state_per_sequence.0)),
        facts: Value::Known(facts::to_text(card)),
        licence: text(card.licence.as_deref()),
        gated: Value::from(match card.gating {
            Gating::None => "none",
            Gating::Auto => "auto",
            Gating::Manual => "manual",
        }),
        private: Value::Known(card.private),
        scan_status: Value::from(scan_status),
        unsafe_files: Value::Known(
            unsafe_files
                .iter()
                .map(|path| Value::from(path.as_str()))
                .collect(),
        ),
        files: Value::Known(card.files.iter().map(file).collect()),
        ..given
    }
}

/// What a token and a sequence keep, whatever the device.
fn cache(card: &ModelCard) -> Option<MemoryAnswer> {
    memory_of(card, &MemoryQuery::on(AcceleratorKind::Gpu, Bytes::gib(80))).ok()
}

fn quantization(stored: &StoredQuantization) -> QuantizationModel {
    QuantizationModel {
        method: text(Some(&stored.method)),
        bits: number(stored.bits),
        group_size: number(stored.group_size),
        kv_cache_bits: number(stored.kv_bits),
    }
}

fn attention(config: &ModelConfig) -> AttentionModel {
    let kinds = &config.layer_kinds;
    AttentionModel {
        heads: positive(Some(config.attention_heads)),
        kv_heads: positive(Some(config.kv_heads)),
        head_dim: positive(Some(config.head_dim)),
        window: number(config.window),
        latent_rank: number(config.latent.map(|latent| latent.kv_rank)),
        full_layers: number(Some(kinds.full)),
        windowed_layers: number(Some(kinds.windowed)),
        recurrent_layers: number(Some(kinds.recurrent)),
        shared_layers: number(Some(kinds.shared)),
    }
}

fn experts(experts: &Experts) -> ExpertsModel {
    ExpertsModel {
        count: number(Some(experts.count)),
        per_token: number(Some(experts.per_token)),
        shared: number(Some(experts.shared)),
        intermediate_size: number(Some(experts.intermediate_size)),
        layers: number(Some(experts.layers)),
    }
}

fn file(file: &RepoFile) -> Value<FileModel> {
    Value::Known(FileModel {
        path: file.path.as_str().into(),
        size_bytes: number(Some(file.size.0)),
        sha256: file.sha256.clone().into(),
    })
}

const fn kind(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Decoder => "decoder",
        ModelKind::Encoder => "encoder",
        ModelKind::EncoderDecoder => "encoder_decoder",
        ModelKind::Diffusion => "diffusion",
    }
}

fn text(text: Option<&str>) -> Value<String> {
    Value::from(text.filter(|text| !text.is_empty()).map(str::to_owned))
}

/// A fact that a configuration leaves at 0 is one that it does not have.
fn positive(fact: Option<u64>) -> Value<i64> {
    number(fact.filter(|fact| *fact > 0))
}

fn counts<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> Value<BTreeMap<String, Value<i64>>> {
    Value::Known(
        counts
            .map(|(name, count)| (name.to_owned(), number(Some(count))))
            .collect(),
    )
}
