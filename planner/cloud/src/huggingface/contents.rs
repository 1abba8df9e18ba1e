//! Small files of a repository, whole, and the SHA-256 of those that the Hub keeps in Git: read once, and
//! held against the listing.
//!
//! ```text
//!   RepoFile ─► asked before, or on disk? ─yes─► done
//!                  │no
//!                  └─► read ─► as long as listed, and of the listed digest or Git id? ─► kept
//! ```
//!
//! Each is kept by that digest or id, not by commit: the next commit reads what it changed, and no more.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use openmodel_schemas::repository::{RepoFile, RepositoryCard};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::cache::Kept;
use super::calls::{self, LARGEST_FILE};
use super::error::HubError;
use super::hub::{At, Hub, Inner, not_read};

/// Files read at once.
const READING: usize = 8;

impl Hub {
    /// The content of a repository's signature. Up to 32 MiB, as every small file; the caller knows a better
    /// bound and has the size.
    pub async fn signature(
        &self,
        card: &RepositoryCard,
        file: &RepoFile,
    ) -> Result<Bytes, HubError> {
        let (inner, at, file) = (Arc::clone(&self.0), At::of(card), file.clone());
        let question = (card.repository.clone(), id(&file).to_owned());
        let read = move || async move { inner.signature(&at, &file).await }.boxed();
        self.0.contents.get(question, read).await
    }

    /// SHA-256, in hexadecimal and by Git id, of files that the Hub keeps in Git, where it knows none: their
    /// content is read for it. Up to 32 MiB each; how many there are is the caller's to bound.
    pub async fn digests(
        &self,
        card: &RepositoryCard,
        files: &[&RepoFile],
    ) -> Result<BTreeMap<String, String>, HubError> {
        let reading = files.iter().map(|file| self.digest(card, (*file).clone()));
        let reading: Vec<_> = reading.collect();
        futures::stream::iter(reading)
            .buffer_unordered(READING)
            .try_collect()
            .await
    }

    async fn digest(
        &self,
        card: &RepositoryCard,
        file: RepoFile,
    ) -> Result<(String, String), HubError> {
        let (inner, at, oid) = (Arc::clone(&self.0), At::of(card), file.git_oid.clone());
        let question = (card.repository.clone(), oid.clone());
        let read = move || async move { inner.digest(&at, &file).await }.boxed();
        let digest = self.0.digests.get(question, read).await?;
        Ok((oid, digest))
    }
}

impl Inner {
    async fn signature(&self, at: &At, file: &RepoFile) -> Result<Bytes, HubError> {
        let (cache, repository) = (self.cache.as_ref(), &at.repository);
        let known = cache.and_then(|cache| cache.of_file(repository, Kept::Signature, id(file)));
        if let Some(text) = known {
            return Ok(text.into());
        }
        let content = self.content(at, file).await?;
        // One that is no text is no signature either.
        if let (Some(cache), Ok(text)) = (cache, std::str::from_utf8(&content)) {
            cache.keep_of_file(repository, Kept::Signature, id(file), text);
        }
        Ok(content)
    }

    async fn digest(&self, at: &At, file: &RepoFile) -> Result<String, HubError> {
        let (cache, repository) = (self.cache.as_ref(), &at.repository);
        let known = cache.and_then(|cache| cache.of_file(repository, Kept::Digest, &file.git_oid));
        if let Some(digest) = known {
            return Ok(digest);
        }
        let digest = hex::encode(Sha256::digest(self.content(at, file).await?));
        if let Some(cache) = cache {
            cache.keep_of_file(repository, Kept::Digest, &file.git_oid, &digest);
        }
        Ok(digest)
    }

    /// A file's bytes, if they are those that are listed.
    async fn content(&self, at: &At, file: &RepoFile) -> Result<Bytes, HubError> {
        if self.offline {
            return Err(not_read(&at.repository, &at.revision));
        }
        let asked = self.asked(&at.repository, &at.revision, &file.path, LARGEST_FILE);
        let request = calls::file(&at.repository, &at.commit, &file.path);
        let content = self.send(&request, &asked, at.again().deadline).await?.body;
        if is_listed(file, &content) {
            Ok(content)
        } else {
            Err(HubError::Altered {
                id: at.repository.id.clone(),
                path: file.path.clone(),
            })
        }
    }
}

/// What tells a file's content from any other.
fn id(file: &RepoFile) -> &str {
    file.sha256.as_deref().unwrap_or(&file.git_oid)
}

fn is_listed(file: &RepoFile, content: &[u8]) -> bool {
    let digest = if file.sha256.is_some() {
        hex::encode(Sha256::digest(content))
    } else {
        let mut blob = Sha1::new();
        blob.update(format!("blob {}\0", content.len()));
        blob.update(content);
        hex::encode(blob.finalize())
    };
    file.size.0 == content.len() as u64 && digest.eq_ignore_ascii_case(id(file))
}
