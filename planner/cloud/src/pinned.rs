//! A file of the user's, by path or by address: bounded, and what an address gives is pinned by its
//! checksum.
//!
//! ```text
//!   path ───────────────────────────┐
//!   https URL ─► cache by checksum ─┴─► checksum ─► bytes
//! ```
//!
//! The plan in review and the plan in the pipeline see the same, and a file that was read once is not
//! asked for again.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::download;
use crate::transport::OnRequest;

/// Far above any catalog; the embedded one has about a mebibyte.
const LARGEST: u64 = 32 << 20;

/// How a file is read.
#[derive(Clone, Default)]
pub struct PinnedOptions<'a> {
    /// Its SHA-256 in hexadecimal; an address needs it.
    pub sha256: Option<&'a str>,
    /// Read nothing over a network.
    pub offline: bool,
    /// Where downloaded files are kept; `None` keeps none.
    pub cache: Option<&'a Path>,
    /// Told of each exchange.
    pub on_request: Option<OnRequest>,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinnedError {
    /// An address whose content nobody has pinned.
    #[error(
        "{0} may change between two runs, so its checksum is required: `curl -sL {0} | sha256sum` prints it"
    )]
    Unpinned(String),
    /// It has another checksum than was stated.
    #[error(
        "it has the SHA-256 {actual}; {stated} is stated. If the new content is meant, state its own"
    )]
    Changed {
        /// The checksum it has.
        actual: String,
        /// The one that was stated.
        stated: String,
    },
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

/// Whether it is read over a network.
#[must_use]
pub fn is_url(place: &str) -> bool {
    place.contains("://")
}

/// Reads the file at a path, or at an `https` address.
pub async fn pinned(place: &str, options: &PinnedOptions<'_>) -> Result<Vec<u8>, PinnedError> {
    let remote = is_url(place);
    let bytes = match (remote, options.sha256) {
        (true, None) => return Err(PinnedError::Unpinned(place.to_owned())),
        (true, Some(sum)) => options.fetch(place, sum).await,
        (false, _) => file(Path::new(place)),
    }
    .map_err(PinnedError::Unreadable)?;
    let actual = sha256(&bytes);
    if let Some(stated) = options
        .sha256
        .filter(|sum| !sum.eq_ignore_ascii_case(&actual))
    {
        let stated = stated.to_owned();
        return Err(PinnedError::Changed { actual, stated });
    }
    if remote {
        options.keep(&actual, &bytes);
    }
    Ok(bytes)
}

impl PinnedOptions<'_> {
    async fn fetch(&self, url: &str, sum: &str) -> Result<Vec<u8>, String> {
        let kept = self
            .kept(sum)
            .and_then(|path| file(&path).ok())
            .filter(|bytes| sha256(bytes).eq_ignore_ascii_case(sum));
        if let Some(bytes) = kept {
            return Ok(bytes);
        }
        if self.offline {
            return Err("it is not in the cache, and the provider is offline".to_owned());
        }
        download(url, LARGEST, self.on_request.clone())
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

/// Reads a file that is not larger than any that is meant.
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

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
