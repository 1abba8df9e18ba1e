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
mod chosen;
mod config_file;
mod figures;
mod groups;
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

pub use self::arguments::{Recommend, Wanted};
use self::model::Facts;
use self::page::Answer;
use crate::terminal;

/// Answer on the standard output. `false` where nothing holds the load.
pub async fn run(asked: &Recommend) -> Result<bool> {
    let mut own = asked.catalog.as_deref().map(catalog).transpose()?;
    if let Some(path) = &asked.discounts {
        let prices = own.unwrap_or_else(|| Catalog::embedded().clone());
        own = Some(discounted(prices, path)?);
    }
    let catalog = own.as_ref().unwrap_or_else(|| Catalog::embedded());
    names::check(asked, catalog)?;
    let Some(id) = asked.only() else {
        pool::run(asked, catalog).await?;
        return Ok(true);
    };
    let card = Facts::of(asked)?.card(id).await?;
    let question = asked.question(&card);
    // The page groups all that there is, and counts it.
    let most = if asked.all || !asked.json {
        usize::MAX
    } else {
        asked.most()
    };
    let ranking = rank(&card, &question, catalog, most).map_err(|error| names::in_flags(&error))?;
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

/// The catalog with the user's own terms.
fn discounted(catalog: Catalog, path: &std::path::Path) -> Result<Catalog> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("--discounts: {} cannot be read", path.display()))?;
    catalog
        .with_discounts(&bytes)
        .with_context(|| format!("--discounts: {}", path.display()))
}

/// A catalog of the user's.
fn catalog(path: &std::path::Path) -> Result<Catalog> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("--catalog: {} cannot be read", path.display()))?;
    Catalog::parse(&bytes).with_context(|| format!("--catalog: {}", path.display()))
}
