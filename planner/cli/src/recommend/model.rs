//! The facts of the model that is asked about.

use anyhow::{Context as _, Result, bail};
use openmodel_cloud::huggingface::HubOptions;
use openmodel_cloud::transport::{self, Api, Endpoints};
use openmodel_cloud::{Hub, Secret, Transport};
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

/// The card as the Hub has it, from its cache where it was read before. The environment says
/// which Hub (`OPENMODEL_SANDBOX`, `HF_ENDPOINT`) and as whom (`HF_TOKEN`).
async fn from_hub(asked: &Recommend) -> Result<ModelCard> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut endpoints = match variable("OPENMODEL_SANDBOX") {
        Some(url) => Endpoints::sandbox(&url).context("OPENMODEL_SANDBOX")?,
        None => Endpoints::default(),
    };
    if let (None, Some(url)) = (variable("OPENMODEL_SANDBOX"), variable("HF_ENDPOINT")) {
        endpoints.set(Api::Hub, &url).context("HF_ENDPOINT")?;
    }
    let transport = Transport::new(transport::Options {
        endpoints,
        hugging_face_token: variable("HF_TOKEN").map(Secret::new),
        ..transport::Options::default()
    });
    let hub = Hub::new(transport, HubOptions::default());
    let revision = asked.revision.clone();
    let card = hub.card(&asked.model, &revision).await.with_context(|| {
        "facts of a model that the Hub does not give can be given with --config config.json or \
         --models FILE"
            .to_owned()
    })?;
    Ok(ModelCard::clone(&card))
}

/// Names of a file that could have been meant.
fn similar(file: &ModelsFile, name: &str) -> String {
    super::names::nearest(name, file.names())
        .map_or_else(String::new, |name| format!("; did you mean {name}?"))
}
