//! `openmodel recommend`: which machine holds a model under a load, where, for how much; and
//! which machines hold several models together.
//!
//! ```text
//!   flags ─► model ─► card ─┐
//!     └────► names ─► question ─► rank ─► Ranking ─► page (text) or JSON
//!                └─► of several: pool ─► PoolReport ─► page or JSON
//! ```

mod advice;
mod arguments;
mod catalog;
mod chosen;
mod config_file;
mod figures;
mod groups;
mod limits;
mod model;
mod names;
mod page;
mod pool;
mod pool_page;
mod rows;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result};
use openmodel_resolve::market::Catalog;
use openmodel_resolve::ranking::rank;
use openmodel_schemas::name::Revision;

pub use self::arguments::{ENVIRONMENT, EXIT_CODES, Recommend, Wanted};
use self::model::Facts;
use self::page::Answer;
use crate::terminal;

/// Answer on the standard output. `false` where nothing holds the load.
pub async fn run(asked: &Recommend) -> Result<bool> {
    let own = catalog::read(asked).await?;
    let catalog = own.as_ref().unwrap_or_else(|| Catalog::embedded());
    names::check(asked, catalog)?;
    let Some(id) = asked.only() else {
        pool::run(asked, catalog).await?;
        return Ok(true);
    };
    let facts = Facts::of(asked)?;
    let card = facts.card(id, &asked.revision).await?;
    let draft = match &asked.draft_model {
        Some(id) => {
            let card = facts.card(id, &Revision::main()).await;
            Some(card.context("--draft-model")?)
        }
        None => None,
    };
    let question = asked.question(&card, draft.as_ref());
    // The page groups all that there is, and counts it.
    let most = if asked.all || !asked.json {
        usize::MAX
    } else {
        asked.most()
    };
    let ranking = rank(&card, &question, catalog, most)
        .map_err(|error| names::in_flags(&error, &asked.assumed(&question.workload)))?;
    let text = if asked.json {
        serde_json::to_string_pretty(&ranking)? + "\n"
    } else {
        let answer = Answer {
            asked,
            card: &card,
            question: &question,
            catalog,
            ranking: &ranking,
        };
        answer.page(terminal::width())
    };
    terminal::print(&text, asked.color)?;
    Ok(ranking.chosen.is_some())
}
