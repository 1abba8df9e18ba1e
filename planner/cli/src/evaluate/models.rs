//! Where the facts of the models that rows name come from: a file of facts, or the Hub.
//!
//! In a file a model is found as the one it was made from too: it is the user's list. On the Hub a
//! name is one repository, so an answer does not depend on which other rows a file has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use futures::StreamExt as _;
use openmodel_cloud::Hub;
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::{ModelId, Revision};

use super::names::{self, Named, as_stored, plain};
use super::rows::RowsFile;
use crate::hub::refusal;
use crate::models_file::ModelsFile;

/// Repositories that are read side by side: a few, as the Hub counts the requests of five minutes.
const SIDE_BY_SIDE: usize = 8;

/// The facts of the models that rows name.
#[derive(Debug)]
pub enum Models {
    /// Those of a file.
    File(ModelsFile),
    /// Those that the Hub gave, or why it did not, by name.
    Hub(BTreeMap<String, Result<Arc<ModelCard>, String>>),
}

impl Models {
    /// Asks the Hub for each model of a column once. What cannot be read costs its own rows alone.
    ///
    /// # Errors
    ///
    /// A file without that column.
    pub async fn on_hub(file: &RowsFile, column: &str, hub: &Hub) -> Result<Self> {
        let rows = file.rows(&[column])?;
        let names: BTreeSet<String> = rows.iter().map(|row| plain(row.text(column))).collect();
        let read = |name: String| async move {
            let card = card(hub, &name).await;
            (name, card)
        };
        let cards = futures::stream::iter(names).map(read);
        Ok(Self::Hub(
            cards.buffer_unordered(SIDE_BY_SIDE).collect().await,
        ))
    }

    /// The model that a column of a row names, in the format of the row; else why there are no
    /// facts of it.
    pub(super) fn named(
        &self,
        column: &str,
        name: &str,
        format: &str,
    ) -> Result<Named<'_>, String> {
        let found = match self {
            Self::File(file) => names::named(file, name, format).ok_or(NOT_IN_FILE),
            Self::Hub(cards) => {
                let name = plain(name);
                read(cards, &name).map(|card| as_stored(card, &name, format))
            }
        };
        let named = found.map_err(|why| unknown(column, name, why))?;
        self.check(&named.card)?;
        Ok(named)
    }

    /// The same, rather with the facts of the model it was made from than without the number of
    /// its parameters.
    pub(super) fn with_parameters(&self, column: &str, name: &str) -> Result<&ModelCard, String> {
        let found = match self {
            Self::File(file) => names::with_parameters(file, name).ok_or(NOT_IN_FILE),
            Self::Hub(cards) => read(cards, &plain(name)),
        };
        let card = found.map_err(|why| unknown(column, name, why))?;
        self.check(card)?;
        Ok(card)
    }

    /// The Hub's facts are checked as they are read.
    fn check(&self, card: &ModelCard) -> Result<(), String> {
        match self {
            Self::Hub(_) => Ok(()),
            Self::File(file) => file
                .check(card)
                .map_err(|error| format!("contradictory_facts: {error}")),
        }
    }
}

const NOT_IN_FILE: &str = "no facts of it are known";

fn unknown(column: &str, name: &str, why: &str) -> String {
    format!("unknown_model: {column} is {name:?}; {why}")
}

fn read<'a>(
    cards: &'a BTreeMap<String, Result<Arc<ModelCard>, String>>,
    name: &str,
) -> Result<&'a ModelCard, &'a str> {
    match cards.get(name) {
        Some(Ok(card)) => Ok(card),
        Some(Err(why)) => Err(why),
        None => Err("the Hub was not asked for it"),
    }
}

/// The card of a repository's newest commit.
async fn card(hub: &Hub, name: &str) -> Result<Arc<ModelCard>, String> {
    let id: ModelId = name.parse().map_err(|error| format!("{error}"))?;
    if id.namespace().is_none() {
        return Err(
            "it names no organisation, so the Hub cannot be asked: write organisation/name, or \
             give its facts with --models FILE"
                .to_owned(),
        );
    }
    let main: Revision = "main".parse().map_err(|error| format!("{error}"))?;
    let card = hub.card(&id, &main).await;
    card.map_err(|error| refusal(&error, "--models FILE"))
}
