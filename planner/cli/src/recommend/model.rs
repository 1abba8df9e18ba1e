//! The facts of the models that are asked about.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use openmodel_cloud::Hub;
use openmodel_resolve::check_facts;
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::{ModelId, Revision};

use super::arguments::Recommend;
use super::config_file;
use crate::hub;
use crate::models_file::ModelsFile;

/// Where facts of models are found.
pub(super) enum Facts<'a> {
    /// In a file of facts.
    File(&'a Path, ModelsFile),
    /// In the model's config.json.
    Config(&'a Path, &'a Recommend),
    /// On the Hub.
    Hub(Box<Hub>),
}

impl<'a> Facts<'a> {
    /// Where the flags say.
    pub(super) fn of(asked: &'a Recommend) -> Result<Self> {
        Ok(if let Some(path) = &asked.models {
            Self::File(path, ModelsFile::read(path).context("--models")?)
        } else if let Some(path) = &asked.config {
            Self::Config(path, asked)
        } else {
            Self::Hub(Box::new(hub::of_environment()?))
        })
    }

    /// The card of a model, on the Hub at a revision.
    pub(super) async fn card(&self, id: &ModelId, revision: &Revision) -> Result<ModelCard> {
        match self {
            Self::File(path, file) => match file.find(id.as_str()) {
                Some(card) => {
                    file.check(card)
                        .with_context(|| format!("--models: {}", path.display()))?;
                    Ok(card.clone())
                }
                None => bail!(
                    "--models: {} has no model {id}{}",
                    path.display(),
                    similar(file, id.as_str())
                ),
            },
            Self::Config(path, asked) => {
                let card = config_file::card(id, path, asked.parameters, asked.weights_bytes)
                    .context("--config")?;
                check_facts(&card).map_err(|error| {
                    let flag = if error.of_bytes {
                        "--weights-bytes"
                    } else {
                        "--parameters"
                    };
                    anyhow!("{flag}: {error}")
                })?;
                Ok(card)
            }
            Self::Hub(hub) => {
                let card = hub.card(id, revision).await.map_err(|error| {
                    anyhow!(hub::refusal(
                        &error,
                        "--config config.json or --models FILE"
                    ))
                })?;
                Ok(ModelCard::clone(&card))
            }
        }
    }
}

/// Names of a file that could have been meant.
fn similar(file: &ModelsFile, name: &str) -> String {
    super::names::nearest(name, file.names())
        .map_or_else(String::new, |name| format!("; did you mean {name}?"))
}
