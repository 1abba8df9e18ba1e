//! Shapes and prices: those in the binary, or a newer file or URL that the provider block names; and
//! the user's own terms beside them.

use std::path::Path;

use openmodel_cloud::transport::OnRequest;
use openmodel_cloud::{PinnedError, PinnedOptions, pinned};
use openmodel_resolve::Catalog;
use tfplug::Diagnostic;
use tfplug::value::Value;

/// The catalog of a configured provider.
pub(crate) enum Choice {
    /// The one that ships in the binary.
    Embedded,
    /// The user's.
    Own(Box<Catalog>),
    /// It is not known yet which.
    Unknown,
}

impl Choice {
    /// The catalog, once it is known.
    pub(crate) fn known(&self) -> Option<&Catalog> {
        match self {
            Self::Embedded => Some(Catalog::embedded()),
            Self::Own(catalog) => Some(catalog),
            Self::Unknown => None,
        }
    }
}

/// What the provider block says of it.
pub(crate) struct Source<'a> {
    pub(crate) catalog: &'a Value<String>,
    pub(crate) sha256: &'a Value<String>,
    pub(crate) discounts: &'a Value<String>,
    pub(crate) offline: bool,
    /// Where downloaded catalogs are kept.
    pub(crate) cache: Option<&'a Path>,
    pub(crate) on_request: OnRequest,
}

impl Source<'_> {
    /// Reads and checks it, with the user's terms.
    pub(crate) async fn read(self) -> Result<Choice, Diagnostic> {
        let catalog = self.catalog().await?;
        let path = match self.discounts {
            Value::Null => return Ok(catalog),
            Value::Unknown(_) => return Ok(Choice::Unknown),
            Value::Known(path) => path,
        };
        let catalog = match catalog {
            Choice::Embedded => Catalog::embedded().clone(),
            Choice::Own(catalog) => *catalog,
            Choice::Unknown => return Ok(Choice::Unknown),
        };
        let refuse = |why: &dyn std::fmt::Display| {
            Diagnostic::error("Discounts cannot be used")
                .at("discounts")
                .detail(format!(
                    "{path}: {why}. Remove discounts to plan with list prices alone."
                ))
        };
        let bytes = std::fs::read(path).map_err(|why| refuse(&why))?;
        catalog
            .with_discounts(&bytes)
            .map(|catalog| Choice::Own(Box::new(catalog)))
            .map_err(|why| refuse(&why))
    }

    async fn catalog(&self) -> Result<Choice, Diagnostic> {
        let place = match (self.catalog, self.sha256) {
            (Value::Null, _) => return Ok(Choice::Embedded),
            (Value::Unknown(_), _) | (_, Value::Unknown(_)) => return Ok(Choice::Unknown),
            (Value::Known(place), _) => place,
        };
        let options = PinnedOptions {
            sha256: self.sha256.as_known().map(String::as_str),
            offline: self.offline,
            cache: self.cache,
            on_request: Some(self.on_request.clone()),
        };
        let refuse = |why: &dyn std::fmt::Display| {
            Diagnostic::error("Catalog cannot be used")
                .at("catalog")
                .detail(format!(
                    "{place}: {why}. Remove catalog to use the one in the provider."
                ))
        };
        let bytes = pinned(place, &options).await.map_err(|error| match &error {
            PinnedError::Unpinned(_) => unpinned(place),
            PinnedError::Changed { actual, stated } => {
                Diagnostic::error("Catalog has another checksum")
                    .at("catalog_sha256")
                    .detail(format!(
                        "{place} has the SHA-256 {actual}; catalog_sha256 is {stated}. If the new content is meant, \
                         set catalog_sha256 = \"{actual}\"."
                    ))
            }
            PinnedError::Unreadable(why) => refuse(why),
        })?;
        Catalog::parse(&bytes)
            .map(|catalog| Choice::Own(Box::new(catalog)))
            .map_err(|why| refuse(&why))
    }
}

/// A catalog from a network whose content nobody has pinned.
pub(crate) fn unpinned(url: &str) -> Diagnostic {
    Diagnostic::error("Catalog is not pinned").at("catalog").detail(format!(
        "{url} may change between two plans, so its checksum is required. Set catalog_sha256 to what \
         `curl -sL {url} | sha256sum` prints."
    ))
}
