//! The facts of the model that is asked about.

use anyhow::{Context as _, Result, bail};
use openmodel_schemas::model_card::ModelCard;

use super::arguments::Recommend;
use super::config_file;
use crate::models_file::ModelsFile;

/// The card of the model: from a file of facts, from its config.json, or from the Hub.
pub(super) async fn card(asked: &Recommend) -> Result<ModelCard> {
    if let Some(path) = &asked.models {
        let file = ModelsFile::read(path).context("--models")?;
        let Some(card) = file.find(asked.model.as_str()) else {
            bail!(
                "--models: {} has no model {}{}",
                path.display(),
                asked.model,
                similar(&file, asked.model.as_str())
            );
        };
        return Ok(card.clone());
    }
    if let Some(path) = &asked.config {
        return config_file::card(&asked.model, path, asked.parameters, asked.weights_bytes)
            .context("--config");
    }
    from_hub(asked).await
}

/// The card as the Hub has it. It is not read yet.
#[expect(clippy::unused_async, reason = "the Hub is asked here")]
async fn from_hub(asked: &Recommend) -> Result<ModelCard> {
    bail!(
        "facts of {} are not read from the Hugging Face Hub yet: give its config.json with \
         --config FILE, or a file with facts of models with --models FILE",
        asked.model
    )
}

/// Names of a file that could have been meant.
fn similar(file: &ModelsFile, name: &str) -> String {
    super::names::nearest(name, file.names())
        .map_or_else(String::new, |name| format!("; did you mean {name}?"))
}
