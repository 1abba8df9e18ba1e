//! From a repository's name to its commit, and to a model's card.
//!
//! ```text
//!   id, revision ──► commit ──► cached card? ──► described ─┐ (repository.rs: info, tree)
//!                      │            │               config ─┼─► ModelCard ──► cache
//!     If-None-Match ───┘            └─► done         index ─┘   (side by side)
//!     (a commit needs no question)  then, where the tree has it: a pipeline's index, or how the
//!                                   checkpoint was quantised, if `config.json` does not say
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::{CommitSha, ModelId, Revision};
use openmodel_schemas::repository::RepositoryCard;
use openmodel_schemas::snapshot::Repository;
use serde_json::Value;
use tokio::time::Instant;

use super::cache::{Cache, Reference};
use super::calls::{self, CommitOnly, LARGEST_FILE, LARGEST_LISTING, WeightIndex};
use super::card::{self, INDEX_FILE};
use super::config::{ConfigError, parse_config, parse_hf_quant_config, parse_model_index};
use super::error::{Asked, HubError};
use super::json;
use super::memo::Memo;
use super::repository::Described;
use crate::Transport;
use crate::transport::{Api, ApiError, Request, Response};

/// What a model says of itself.
const CONFIG_FILE: &str = "config.json";

/// What a pipeline of several models says of itself, where there is no [`CONFIG_FILE`].
const PIPELINE_FILE: &str = "model_index.json";

/// Where `ModelOpt` says how it quantised a model.
const QUANTIZATION_FILE: &str = "hf_quant_config.json";

/// Bound of reading one repository.
const TIMEOUT: Duration = Duration::from_secs(90);

/// How the Hub is read.
#[derive(Debug, Clone, Default)]
pub struct HubOptions {
    /// Directory of the user's for what was read; `None` keeps nothing between runs.
    ///
    /// It can hold the facts of gated and private repositories that the user's token could read,
    /// and gives them again without asking: the directory is the user's, and so is the access.
    pub cache: Option<PathBuf>,
    /// Answer from the cache alone, and never ask.
    pub offline: bool,
}

/// The Hugging Face Hub. Cheap to clone; clones share what was read.
#[derive(Clone)]
pub struct Hub(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) transport: Transport,
    pub(super) offline: bool,
    pub(super) cache: Option<Cache>,
    commits: Memo<(Repository, Revision), CommitSha, HubError>,
    pub(super) described: Memo<(Repository, CommitSha), Arc<Described>, HubError>,
    repositories: Memo<(Repository, CommitSha), Arc<RepositoryCard>, HubError>,
    cards: Memo<(Repository, CommitSha), Arc<ModelCard>, HubError>,
    /// By the digest or Git id that the Hub lists.
    pub(super) contents: Memo<(Repository, String), Bytes, HubError>,
    pub(super) digests: Memo<(Repository, String), String, HubError>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("transport", &self.0.transport)
            .field("offline", &self.0.offline)
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// A Hub behind a transport. Reads nothing yet.
    #[must_use]
    pub fn new(transport: Transport, options: HubOptions) -> Self {
        let url = transport.endpoints().url(Api::Hub).to_owned();
        let cache = options.cache.map(|directory| Cache::new(&directory, &url));
        Self(Arc::new(Inner {
            transport,
            offline: options.offline,
            cache,
            commits: Memo::default(),
            described: Memo::default(),
            repositories: Memo::default(),
            cards: Memo::default(),
            contents: Memo::default(),
            digests: Memo::default(),
        }))
    }

    /// The card of a model at a branch, tag or commit. Within one process a branch is one
    /// commit: it is looked up once.
    pub async fn card(
        &self,
        id: &ModelId,
        revision: &Revision,
    ) -> Result<Arc<ModelCard>, HubError> {
        let repository = Repository::model(id.clone());
        let commit = self.resolve(&repository, revision).await?;
        let at = At::new(repository, revision, commit);
        let inner = Arc::clone(&self.0);
        let question = at.question();
        let read = move || async move { inner.read_card(&at).await.map(Arc::new) }.boxed();
        self.0.cards.get(question, read).await
    }

    /// The facts of a repository of any kind at a branch, tag or commit, with what scanners say of its
    /// files now. Each process asks for them anew; offline they are as they were read, but for the
    /// scanners: a verdict of then says nothing of now.
    pub async fn repository(
        &self,
        repository: &Repository,
        revision: &Revision,
    ) -> Result<Arc<RepositoryCard>, HubError> {
        let commit = self.resolve(repository, revision).await?;
        let at = At::new(repository.clone(), revision, commit);
        let inner = Arc::clone(&self.0);
        let question = at.question();
        let read = move || async move { inner.scanned(&at).await.map(Arc::new) }.boxed();
        self.0.repositories.get(question, read).await
    }

    /// The same repository with what scanners say of it now: for who waits for them.
    pub async fn rescan(&self, card: &RepositoryCard) -> Result<RepositoryCard, HubError> {
        let at = At::of(card);
        let again = self.0.describe(&at).await?;
        self.0.with_scans(&at, again.card).await
    }

    /// Whether the caller may read the repository's files, by the first byte of one. What is listed can
    /// still be refused: the Hub lists gated repositories to everyone. Nothing is asked about one that
    /// is open, nor offline.
    pub async fn can_read(&self, card: &RepositoryCard) -> Result<(), HubError> {
        self.0.can_read(&At::of(card), card).await
    }

    /// The commit that a branch or tag stands for now. A commit stands for itself, unasked.
    pub async fn resolve(
        &self,
        repository: &Repository,
        revision: &Revision,
    ) -> Result<CommitSha, HubError> {
        if let Some(commit) = revision.as_commit() {
            return Ok(commit);
        }
        let (inner, asked, revision) = (Arc::clone(&self.0), repository.clone(), revision.clone());
        let question = (asked.clone(), revision.clone());
        let look_up = move || async move { inner.look_up(&asked, &revision).await }.boxed();
        self.0.commits.get(question, look_up).await
    }
}

/// A repository at a commit, as it was asked for, being read.
pub(super) struct At {
    pub(super) repository: Repository,
    pub(super) revision: Revision,
    pub(super) commit: CommitSha,
    pub(super) deadline: Instant,
}

impl At {
    fn new(repository: Repository, revision: &Revision, commit: CommitSha) -> Self {
        Self {
            repository,
            revision: revision.clone(),
            commit,
            deadline: deadline(),
        }
    }

    pub(super) fn of(card: &RepositoryCard) -> Self {
        let revision = card.commit.clone().into();
        Self::new(card.repository.clone(), &revision, card.commit.clone())
    }

    pub(super) fn question(&self) -> (Repository, CommitSha) {
        (self.repository.clone(), self.commit.clone())
    }

    pub(super) fn again(&self) -> Self {
        Self::new(self.repository.clone(), &self.revision, self.commit.clone())
    }
}

impl Inner {
    async fn look_up(
        &self,
        repository: &Repository,
        revision: &Revision,
    ) -> Result<CommitSha, HubError> {
        let known = self
            .cache
            .as_ref()
            .and_then(|cache| cache.reference(repository, revision));
        if self.offline {
            return known
                .map(|known| known.commit)
                .ok_or_else(|| not_read(repository, revision));
        }
        let asked = self.asked(repository, revision, "the revision", LARGEST_LISTING);
        let etag = known.as_ref().and_then(|known| known.etag.as_deref());
        let request = calls::commit(repository, revision, etag);
        let response = match self.send(&request, &asked, deadline()).await {
            Ok(response) => response,
            Err(error) => return Err(self.with_nearest(error).await),
        };
        match known {
            Some(known) if response.status.as_u16() == 304 => Ok(known.commit),
            _ => {
                let answer: CommitOnly = parse(&response, &asked)?;
                let etag = response.header("etag").map(str::to_owned);
                let reference = Reference {
                    commit: answer.sha,
                    etag,
                };
                if let Some(cache) = &self.cache {
                    cache.keep_reference(repository, revision, &reference);
                }
                Ok(reference.commit)
            }
        }
    }

    async fn read_card(self: &Arc<Self>, at: &At) -> Result<ModelCard, HubError> {
        let id = &at.repository.id;
        if let Some(card) = self
            .cache
            .as_ref()
            .and_then(|cache| cache.card(id, &at.commit))
        {
            return Ok(card);
        }
        if self.offline {
            return Err(not_read(&at.repository, &at.revision));
        }
        let card = self.fetch(at).await?;
        if let Some(cache) = &self.cache {
            cache.keep_card(id, &card);
        }
        Ok(card)
    }

    async fn fetch(self: &Arc<Self>, at: &At) -> Result<ModelCard, HubError> {
        let (described, config, index) = futures::join!(
            self.described(at),
            self.read_as(at, CONFIG_FILE, parse_config),
            self.file::<WeightIndex>(at, INDEX_FILE),
        );
        // In the order of what explains most: a repository that is not there has no files either.
        let (described, mut config, index) = (described?, config?, index?);
        let has = |path: &str| described.card.files.iter().any(|file| file.path == path);
        if config.is_none() && has(PIPELINE_FILE) {
            config = self.read_as(at, PIPELINE_FILE, parse_model_index).await?;
        }
        if let Some(config) = &mut config
            && config.quantization.is_none()
            && has(QUANTIZATION_FILE)
        {
            let read = |file: &Value| parse_hf_quant_config(file, config);
            config.quantization = self.read_as(at, QUANTIZATION_FILE, read).await?.flatten();
        }
        card::assemble(
            described.card.clone(),
            described.safetensors.clone(),
            config,
            index.as_ref(),
        )
        .map_err(|detail| HubError::Malformed {
            id: at.repository.id.clone(),
            field: INDEX_FILE.to_owned(),
            detail,
        })
    }

    /// A file of the repository, read by `read`; `None` where it has none of that name.
    async fn read_as<T>(
        &self,
        at: &At,
        path: &str,
        read: impl FnOnce(&Value) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, HubError> {
        let file = self.file::<Value>(at, path).await?;
        let value = file.as_ref().map(read).transpose();
        value.map_err(|error| HubError::Malformed {
            id: at.repository.id.clone(),
            field: format!("{path}: {}", error.field),
            detail: error.detail,
        })
    }

    /// A JSON file of the repository; `None` where it has none of that name.
    async fn file<T: serde::de::DeserializeOwned>(
        &self,
        at: &At,
        path: &str,
    ) -> Result<Option<T>, HubError> {
        let asked = self.asked(&at.repository, &at.revision, path, LARGEST_FILE);
        let request = calls::file(&at.repository, &at.commit, path);
        match self.transport.send(&request, at.deadline).await {
            Ok(response) => json::from_slice(&response.body)
                .map(Some)
                .map_err(|error| asked.malformed(&error.to_string())),
            Err(error) if is_no_such_file(&error) => Ok(None),
            Err(error) => Err(asked.explain(&error)),
        }
    }

    pub(super) async fn send(
        &self,
        request: &Request,
        asked: &Asked<'_>,
        deadline: Instant,
    ) -> Result<Response, HubError> {
        self.transport
            .send(request, deadline)
            .await
            .map_err(|error| asked.explain(&error))
    }

    pub(super) fn asked<'a>(
        &'a self,
        repository: &'a Repository,
        revision: &'a Revision,
        what: &'a str,
        limit: u64,
    ) -> Asked<'a> {
        let has_token = self.transport.has_hugging_face_token();
        Asked {
            repository,
            revision,
            what,
            hub: self.transport.endpoints().url(Api::Hub),
            has_token,
            limit,
        }
    }
}

pub(super) fn not_read(repository: &Repository, revision: &Revision) -> HubError {
    HubError::Offline {
        id: repository.id.clone(),
        revision: revision.clone(),
    }
}

/// A mirror may answer 404 without a word; then it is the file that is missing, for the
/// repository's description came from the same place.
fn is_no_such_file(error: &ApiError) -> bool {
    error.is_not_found() && matches!(error.reason.as_deref(), None | Some("EntryNotFound"))
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(
    response: &Response,
    asked: &Asked<'_>,
) -> Result<T, HubError> {
    response
        .json()
        .map_err(|error| asked.malformed(&error.to_string()))
}

pub(super) fn deadline() -> Instant {
    Instant::now() + TIMEOUT
}

#[cfg(test)]
mod tests;
