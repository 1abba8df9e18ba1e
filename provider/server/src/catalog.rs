//! Shapes and prices: those in the binary, or a newer file or URL that the provider block names; and
//! the user's own terms beside them.
//!
//! ```text
//!   path ──────────────────────────┐
//!   https URL ─► cache by checksum ─┴─► checksum ─► Catalog::parse (schema, guards) ─► discounts
//! ```
//!
//! What a URL gives is pinned by its checksum: the plan in review and the plan in the pipeline see
//! the same prices, and a file that was read once is not asked for again.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use openmodel_cloud::download;
use openmodel_cloud::transport::OnRequest;
use openmodel_resolve::Catalog;
use sha2::{Digest, Sha256};
use tfplug::Diagnostic;
use tfplug::value::Value;

/// Far above any catalog; the embedded one has a quarter of a mebibyte.
const LARGEST: u64 = 32 << 20;

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

/// Whether it is read over a network.
pub(crate) fn is_url(place: &str) -> bool {
    place.contains("://")
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
        file(Path::new(path))
            .and_then(|bytes| {
                catalog
                    .with_discounts(&bytes)
                    .map_err(|why| why.to_string())
            })
            .map(|catalog| Choice::Own(Box::new(catalog)))
            .map_err(|why| {
                Diagnostic::error("Discounts cannot be used")
                    .at("discounts")
                    .detail(format!(
                        "{path}: {why}. Remove discounts to plan with list prices alone."
                    ))
            })
    }

    async fn catalog(&self) -> Result<Choice, Diagnostic> {
        let place = match (self.catalog, self.sha256) {
            (Value::Null, _) => return Ok(Choice::Embedded),
            (Value::Unknown(_), _) | (_, Value::Unknown(_)) => return Ok(Choice::Unknown),
            (Value::Known(place), _) => place,
        };
        let sum = self.sha256.as_known().map(String::as_str);
        let refuse = |why: &dyn std::fmt::Display| {
            Diagnostic::error("Catalog cannot be used")
                .at("catalog")
                .detail(format!(
                    "{place}: {why}. Remove catalog to use the one in the provider."
                ))
        };
        let bytes = if is_url(place) {
            let Some(sum) = sum else {
                return Err(unpinned(place));
            };
            self.fetch(place, sum).await.map_err(|why| refuse(&why))?
        } else {
            file(Path::new(place)).map_err(|why| refuse(&why))?
        };
        let actual = hex(&bytes);
        if let Some(sum) = sum.filter(|sum| !sum.eq_ignore_ascii_case(&actual)) {
            return Err(Diagnostic::error("Catalog has another checksum")
                .at("catalog_sha256")
                .detail(format!(
                    "{place} has the SHA-256 {actual}; catalog_sha256 is {sum}. If the new content is meant, set \
                     catalog_sha256 = \"{actual}\"."
                )));
        }
        if is_url(place) {
            self.keep(&actual, &bytes);
        }
        Catalog::parse(&bytes)
            .map(|catalog| Choice::Own(Box::new(catalog)))
            .map_err(|why| refuse(&why))
    }

    async fn fetch(&self, url: &str, sum: &str) -> Result<Vec<u8>, String> {
        let kept = self
            .kept(sum)
            .and_then(|path| file(&path).ok())
            .filter(|bytes| hex(bytes).eq_ignore_ascii_case(sum));
        if let Some(bytes) = kept {
            return Ok(bytes);
        }
        if self.offline {
            return Err("it is not in the cache, and the provider is offline".to_owned());
        }
        download(url, LARGEST, Some(self.on_request.clone()))
            .await
            .map(|bytes| bytes.to_vec())
    }

    fn kept(&self, sum: &str) -> Option<PathBuf> {
        let name = format!("{}.json", sum.to_ascii_lowercase());
        Some(self.cache?.join("catalogs").join(name))
    }

    /// Keeps it for the next time; that it cannot be kept is no failure.
    fn keep(&self, sum: &str, bytes: &[u8]) {
        let Some(path) = self.kept(sum).filter(|path| !path.exists()) else {
            return;
        };
        let Some(folder) = path.parent() else { return };
        let part = path.with_extension(format!("{}.part", std::process::id()));
        // Renamed when whole: another process sees all of it or nothing.
        let kept = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&part, bytes))
            .and_then(|()| std::fs::rename(&part, &path));
        if kept.is_err() {
            let _ = std::fs::remove_file(&part);
        }
    }
}

/// A catalog from a network whose content nobody has pinned.
pub(crate) fn unpinned(url: &str) -> Diagnostic {
    Diagnostic::error("Catalog is not pinned").at("catalog").detail(format!(
        "{url} may change between two plans, so its checksum is required. Set catalog_sha256 to what \
         `curl -sL {url} | sha256sum` prints."
    ))
}

/// Reads a file that is not larger than any catalog.
fn file(path: &Path) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let read = file
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if read as u64 > LARGEST {
        return Err(format!("it is larger than {LARGEST} bytes"));
    }
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
