//! A repository of any kind: its description and listing, what scanners say, whether it can be read, and
//! what is near a name that does not exist.
//!
//! ```text
//!   info ─┐                     ┌─► scans of 50 files ─┐
//!   tree ─┴─► RepositoryCard ───┼─► scans of 50 files ─┼─► RepositoryCard with scans
//!    └─ by commit, from disk    └─► …                  ┘   (never kept: verdicts change)
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use openmodel_schemas::repository::{FileScan, Gating, RepoFile, RepositoryCard, ScanStatus};
use openmodel_schemas::snapshot::{Repository, RepositoryType};

use super::calls::{self, Found, Info, LARGEST_LISTING, Safetensors, Scanned, TreeEntry};
use super::error::HubError;
use super::facts;
use super::hub::{At, Inner, deadline, not_read, parse};
use crate::transport::Request;

/// Most pages of a listing; the Hub advises at most 100 of a thousand files.
const MOST_PAGES: usize = 200;

/// Files of one question about scans: as many as an expanded listing has on a page.
const SCANS_AT_ONCE: usize = 50;

/// Most files that the scanners are asked about: 40 of the 500 requests that the Hub grants an anonymous
/// caller in five minutes. Those that can do the most harm are asked about first; of the others the
/// verdict on the repository as a whole is known.
const MOST_SCANNED: usize = 2_000;

/// Questions about scans in flight at once.
const SCANNING: usize = 4;

/// What a mirror answers that does not know the question.
const NO_SUCH_CALL: [StatusCode; 3] = [
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_IMPLEMENTED,
];

/// How alike two names are that may have been mistaken for each other (0 to 1), and how many are named.
const ALIKE: f64 = 0.5;
const MOST_NEAREST: usize = 3;

/// Files that the Hub gives to everyone, also of a gated repository.
const OPEN_FILES: [&str; 2] = ["README.md", ".gitattributes"];

/// A repository's description: its card but for the scans, and what else of it makes a model's card.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) card: RepositoryCard,
    pub(super) safetensors: Safetensors,
}

impl Inner {
    /// The description of a repository, read once per process.
    pub(super) async fn described(self: &Arc<Self>, at: &At) -> Result<Arc<Described>, HubError> {
        let (inner, again) = (Arc::clone(self), at.again());
        let read = move || async move { inner.describe(&again).await.map(Arc::new) }.boxed();
        self.described.get(at.question(), read).await
    }

    /// The description of a repository as it is now. Its listing is that of the commit, for ever.
    pub(super) async fn describe(&self, at: &At) -> Result<Described, HubError> {
        let cache = self.cache.as_ref();
        let known = cache.and_then(|cache| cache.repository(&at.repository, &at.commit));
        if self.offline {
            return known
                .map(|card| Described {
                    card,
                    safetensors: Safetensors::default(),
                })
                .ok_or_else(|| not_read(&at.repository, &at.revision));
        }
        let about = self.asked(
            &at.repository,
            &at.revision,
            "the description",
            LARGEST_LISTING,
        );
        let (info, files) = futures::join!(
            async {
                let request = calls::info(&at.repository, &at.commit);
                parse::<Info>(&self.send(&request, &about, at.deadline).await?, &about)
            },
            async {
                match known {
                    Some(known) => Ok(known.files),
                    None => self.tree(at).await.map(facts::files),
                }
            },
        );
        let info = match info {
            Ok(info) => info,
            Err(error) => return Err(self.with_nearest(error).await),
        };
        let card = facts::repository_card(&at.repository, &info, files?);
        if let Some(cache) = cache {
            cache.keep_repository(&at.repository, &card);
        }
        Ok(Described {
            card,
            safetensors: info.safetensors.unwrap_or_default(),
        })
    }

    /// Every entry of the repository, page after page.
    async fn tree(&self, at: &At) -> Result<Vec<TreeEntry>, HubError> {
        let what = "the list of files";
        let asked = self.asked(&at.repository, &at.revision, what, LARGEST_LISTING);
        let mut entries = Vec::new();
        let mut next = Some(calls::tree(&at.repository, &at.commit));
        for _ in 0..MOST_PAGES {
            let Some(request) = next else {
                return Ok(entries);
            };
            let response = self.send(&request, &asked, at.deadline).await?;
            entries.extend(parse::<Vec<TreeEntry>>(&response, &asked)?);
            next = response
                .header("link")
                .and_then(|link| calls::next_page(&at.repository, &at.commit, link));
        }
        Err(HubError::TooLarge {
            id: at.repository.id.clone(),
            what: what.to_owned(),
            limit: LARGEST_LISTING,
        })
    }

    /// The card with what scanners say now.
    pub(super) async fn scanned(self: &Arc<Self>, at: &At) -> Result<RepositoryCard, HubError> {
        let described = self.described(at).await?;
        self.with_scans(at, described.card.clone()).await
    }

    /// A card with what scanners say now of each file.
    pub(super) async fn with_scans(
        &self,
        at: &At,
        card: RepositoryCard,
    ) -> Result<RepositoryCard, HubError> {
        if self.offline {
            return Ok(card);
        }
        let paths = worth_asking(&card);
        // By the name it has now: a question with a body is not redirected.
        let requests: Vec<Request> = paths
            .chunks(SCANS_AT_ONCE)
            .map(|paths| calls::scans(&card.repository, &card.commit, paths))
            .collect();
        let asking = requests
            .into_iter()
            .map(|request| self.ask_scanners(at, request));
        let answers: Vec<Vec<Scanned>> = futures::stream::iter(asking)
            .buffered(SCANNING)
            .try_collect()
            .await?;
        let scans: BTreeMap<String, FileScan> = answers
            .into_iter()
            .flatten()
            .filter_map(|file| Some((file.path, facts::file_scan(&file.security_file_status)?)))
            .collect();
        Ok(RepositoryCard { scans, ..card })
    }

    async fn ask_scanners(&self, at: &At, request: Request) -> Result<Vec<Scanned>, HubError> {
        let what = "what scanners say";
        let asked = self.asked(&at.repository, &at.revision, what, LARGEST_LISTING);
        match self.transport.send(&request, at.deadline).await {
            Ok(response) => parse(&response, &asked),
            // A mirror that cannot tell.
            Err(error)
                if error
                    .status
                    .is_some_and(|status| NO_SUCH_CALL.contains(&status)) =>
            {
                Ok(Vec::new())
            }
            Err(error) => Err(asked.explain(&error)),
        }
    }

    pub(super) async fn can_read(&self, at: &At, card: &RepositoryCard) -> Result<(), HubError> {
        let closed = card.private || card.gating != Gating::None;
        if self.offline || !closed {
            return Ok(());
        }
        let shut = |file: &&RepoFile| file.size.0 > 0 && !OPEN_FILES.contains(&file.path.as_str());
        let smallest = card.files.iter().filter(shut).min_by_key(|file| file.size);
        let Some(file) = smallest else {
            return Ok(());
        };
        let asked = self.asked(&at.repository, &at.revision, &file.path, LARGEST_LISTING);
        let request = calls::first_byte(&at.repository, &at.commit, &file.path);
        self.send(&request, &asked, at.deadline).await.map(|_| ())
    }

    /// The error, with what there is of nearly the same name where nothing has this one.
    pub(super) async fn with_nearest(&self, error: HubError) -> HubError {
        let HubError::NotFound {
            repository,
            has_token,
            ..
        } = error
        else {
            return error;
        };
        let nearest = self.nearest(&repository).await;
        HubError::NotFound {
            repository,
            nearest,
            has_token,
        }
    }

    /// Repositories whose name may have been meant. It only helps: where the Hub does not answer, there
    /// are none.
    async fn nearest(&self, missing: &Repository) -> Vec<Repository> {
        let (kind, id) = (missing.kind, &missing.id);
        let namesake = RepositoryType::ALL.into_iter().filter(|each| *each != kind);
        let namesakes = namesake.map(|kind| (kind, calls::search(kind, id.as_str())));
        // The Hub finds parts of names: a slip in one part leaves the others.
        let part = id
            .name()
            .split(['-', '_', '.'])
            .max_by_key(|part| part.len())
            .unwrap_or_default();
        let requests = [
            Some(calls::search(kind, id.name())),
            Some(calls::search(kind, part)),
            id.namespace().map(|author| calls::of_author(kind, author)),
        ];
        let alike = requests
            .into_iter()
            .flatten()
            .map(|request| (kind, request));
        let asking = namesakes.chain(alike).map(|(kind, request)| async move {
            let found = self.transport.send(&request, deadline()).await.ok();
            let found = found.and_then(|response| response.json::<Vec<Found>>().ok());
            found.into_iter().flatten().filter_map(move |found| {
                Some(Repository {
                    kind,
                    id: found.id.parse().ok()?,
                })
            })
        });
        let found = futures::future::join_all(asking).await;
        nearest_of(missing, found.into_iter().flatten().collect())
    }
}

/// The same name of another kind first, then names of this kind that are alike.
fn nearest_of(missing: &Repository, mut found: Vec<Repository>) -> Vec<Repository> {
    let name = |repository: &Repository| repository.id.as_str().to_lowercase();
    let wanted = name(missing);
    let alike = |repository: &Repository| strsim::sorensen_dice(&name(repository), &wanted);
    found.retain(|repository| {
        if repository.kind == missing.kind {
            alike(repository) >= ALIKE
        } else {
            name(repository) == wanted
        }
    });
    found.sort_by(|one, other| {
        let nearer = alike(other).total_cmp(&alike(one));
        nearer.then_with(|| one.cmp(other))
    });
    found.dedup();
    found.truncate(MOST_NEAREST);
    found
}

/// The paths that the scanners are asked about: all, or of a repository of very many files those with
/// issues, then the large ones.
fn worth_asking(card: &RepositoryCard) -> Vec<&str> {
    let mut files: Vec<&RepoFile> = card.files.iter().collect();
    if files.len() > MOST_SCANNED {
        let issues = match &card.scan {
            ScanStatus::Unsafe { files } => files.as_slice(),
            _ => &[],
        };
        files.sort_by_key(|file| (!issues.contains(&file.path), std::cmp::Reverse(file.size)));
        files.truncate(MOST_SCANNED);
    }
    files.iter().map(|file| file.path.as_str()).collect()
}
