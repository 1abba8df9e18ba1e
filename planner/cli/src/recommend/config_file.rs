//! A model's `config.json` as it lies on a disk: for private models, and without a network.

use std::path::Path;

use anyhow::{Context as _, Result};
use openmodel_cloud::huggingface::json;
use openmodel_cloud::parse_config;
use openmodel_schemas::model_card::{ModelCard, WeightBasis, WeightBytes};
use openmodel_schemas::name::ModelId;
use openmodel_schemas::quantity::{Bytes, Parameters};

/// The card of a model whose configuration is in a file.
pub(super) fn card(
    id: &ModelId,
    path: &Path,
    parameters: Option<Parameters>,
    weights: Option<Bytes>,
) -> Result<ModelCard> {
    let text = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let value =
        json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    let config = parse_config(&value)
        .with_context(|| format!("{} is no config.json that can be sized", path.display()))?;
    Ok(ModelCard {
        parameters,
        weights: weights.map(|bytes| WeightBytes {
            bytes,
            basis: WeightBasis::SafetensorsIndex,
        }),
        ..ModelCard::of_config(id.clone(), config)
    })
}
