//! A catalog of the user's: a file, or a URL that is pinned by its checksum, by the same rules as
//! the provider's argument `catalog`.

use std::fmt::Write as _;
use std::io::Read as _;

use anyhow::{Context as _, Result, bail};
use openmodel_cloud::download;
use openmodel_resolve::market::Catalog;
use sha2::{Digest as _, Sha256};

/// Far above any catalog; the embedded one has about a mebibyte.
const LARGEST: u64 = 32 << 20;

/// Reads and checks it.
pub(super) async fn read(place: &str, sum: Option<&str>) -> Result<Catalog> {
    let bytes = if place.contains("://") {
        if sum.is_none() {
            bail!(
                "--catalog: {place} may change between two runs, so its checksum is required. Add \
                 --catalog-sha256 with what `curl -sL {place} | sha256sum` prints"
            );
        }
        let got = download(place, LARGEST, None).await;
        got.map_err(|why| anyhow::anyhow!("--catalog: {place}: {why}"))?
            .to_vec()
    } else {
        file(place).with_context(|| format!("--catalog: {place} cannot be read"))?
    };
    let actual = hex(&bytes);
    if let Some(sum) = sum.filter(|sum| !sum.eq_ignore_ascii_case(&actual)) {
        bail!(
            "--catalog-sha256: {place} has the SHA-256 {actual}, and {sum} is stated. If the new content is \
             meant, state its own"
        );
    }
    Catalog::parse(&bytes).with_context(|| format!("--catalog: {place}"))
}

/// Reads a file that is not larger than any catalog.
fn file(path: &str) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    if read as u64 > LARGEST {
        return Err(std::io::ErrorKind::FileTooLarge.into());
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
