//! Shapes and prices: those in the binary or the user's own, with the user's terms beside them.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use openmodel_cloud::{PinnedError, PinnedOptions, pinned};
use openmodel_resolve::market::Catalog;

use super::arguments::Recommend;

/// The catalog that the flags name; `None` is the one in the binary.
pub(super) async fn read(asked: &Recommend) -> Result<Option<Catalog>> {
    let own = match &asked.catalog {
        Some(place) => Some(catalog(place, asked.catalog_sha256.as_deref()).await?),
        None => None,
    };
    let Some(path) = &asked.discounts else {
        return Ok(own);
    };
    let prices = own.unwrap_or_else(|| Catalog::embedded().clone());
    discounted(prices, path).map(Some)
}

async fn catalog(place: &str, sha256: Option<&str>) -> Result<Catalog> {
    let options = PinnedOptions {
        sha256,
        ..PinnedOptions::default()
    };
    let bytes = pinned(place, &options).await.map_err(|error| match error {
        PinnedError::Unpinned(_) => anyhow!("--catalog: {error}. Add --catalog-sha256 with it"),
        PinnedError::Changed { .. } => anyhow!("--catalog-sha256: {place}: {error}"),
        PinnedError::Unreadable(_) => anyhow!("--catalog: {place} cannot be read: {error}"),
    })?;
    Catalog::parse(&bytes).with_context(|| format!("--catalog: {place}"))
}

fn discounted(catalog: Catalog, path: &Path) -> Result<Catalog> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("--discounts: {} cannot be read", path.display()))?;
    catalog
        .with_discounts(&bytes)
        .with_context(|| format!("--discounts: {}", path.display()))
}
