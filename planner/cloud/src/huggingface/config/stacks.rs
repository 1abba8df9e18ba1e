//! Encoder-decoders: which of the two stacks a field is about. What is generated from is the
//! decoder; the encoder's output is what its layers attend to besides.

use openmodel_schemas::model_card::{EncoderStack, ModelKind};

use super::ConfigError;
use super::fields::Fields;

/// The names of sizes, in the order in which they count.
pub(super) struct Names {
    pub(super) hidden: &'static [&'static str],
    pub(super) layers: &'static [&'static str],
    pub(super) heads: &'static [&'static str],
    /// Before the usual names.
    pub(super) intermediate: Option<&'static [&'static str]>,
    pub(super) positions: Option<&'static [&'static str]>,
}

impl Names {
    pub(super) fn of(fields: &Fields<'_>, kind: ModelKind) -> Self {
        // DistilBERT has the name that others give a feed-forward layer.
        let layers: &[&str] = &[
            "num_hidden_layers",
            "n_layer",
            "n_layers",
            "num_layers",
            "num_transformer_layers",
        ];
        let heads: &[&str] = &[
            "num_attention_heads",
            "n_head",
            "n_heads",
            "num_heads",
            "num_query_heads",
            "attention_heads",
        ];
        let hidden: &[&str] = &["hidden_size", "n_embd", "d_model", "dim", "model_dim"];
        if kind == ModelKind::EncoderDecoder {
            return Self {
                hidden: &["d_model", "hidden_size"],
                layers: &[
                    "num_decoder_layers",
                    "decoder_layers",
                    "decoder_num_hidden_layers",
                    "num_hidden_layers",
                    "num_layers",
                ],
                heads: &[
                    "decoder_attention_heads",
                    "decoder_num_attention_heads",
                    "num_attention_heads",
                    "num_heads",
                ],
                intermediate: Some(&["decoder_ffn_dim", "d_ff", "intermediate_size", "ffn_dim"]),
                positions: Some(&[
                    "max_target_positions",
                    "max_position_embeddings",
                    "n_positions",
                ]),
            };
        }
        Self {
            hidden,
            layers: if fields.is_set("num_encoder_layers") {
                &["num_encoder_layers"]
            } else {
                layers
            },
            heads,
            intermediate: None,
            positions: None,
        }
    }
}

/// The encoder, where there is one beside a decoder.
pub(super) fn encoder(
    fields: &Fields<'_>,
    kind: ModelKind,
) -> Result<Option<EncoderStack>, ConfigError> {
    if kind != ModelKind::EncoderDecoder {
        return Ok(None);
    }
    let layers = fields
        .positive(&[
            "encoder_layers",
            "num_encoder_layers",
            "encoder_num_hidden_layers",
            "num_layers",
            "num_hidden_layers",
        ])?
        .ok_or_else(|| {
            ConfigError::new("encoder_layers", "it is missing, in an encoder-decoder")
        })?;
    let positions = fields
        .positive(&[
            "max_source_positions",
            "max_position_embeddings",
            "n_positions",
        ])?
        // T5 knows no longest text; this is what it was trained with.
        .unwrap_or(512);
    Ok(Some(EncoderStack { layers, positions }))
}
