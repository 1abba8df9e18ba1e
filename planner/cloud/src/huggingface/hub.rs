//! From a repository's name to its model card.
//!
//! ```text
//!   id, revision ──► commit ──► cached card? ──► info ─┐
//!                      │            │            tree ─┼─► ModelCard ──► cache
//!     If-None-Match ───┘            └─► done   config ─┤
//!     (a commit needs no question)              index ─┘   (side by side)
//!                                   then, where the tree has it: a pipeline's index, or how the
//!                                   checkpoint was quantised, if `config.json` does not say
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::{CommitSha, ModelId, Revision};
use serde_json::Value;
use tokio::time::Instant;

use super::cache::{Cache, Reference};
use super::calls::{self, CommitOnly, Info, LARGEST_FILE, LARGEST_LISTING, TreeEntry, WeightIndex};
use super::card::{self, INDEX_FILE};
use super::config::{ConfigError, parse_config, parse_hf_quant_config, parse_model_index};
use super::error::{Asked, HubError};
use super::json;
use super::memo::Memo;
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

/// Most pages of a listing: a repository of a million files is no model.
const MOST_PAGES: usize = 200;

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
pub struct Hub(Arc<Inner>);

struct Inner {
    transport: Transport,
    offline: bool,
    cache: Option<Cache>,
    commits: Memo<(ModelId, Revision), CommitSha, HubError>,
    cards: Memo<(ModelId, CommitSha), Arc<ModelCard>, HubError>,
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
        let (commits, cards) = (Memo::default(), Memo::default());
        Self(Arc::new(Inner {
            transport,
            offline: options.offline,
            cache,
            commits,
            cards,
        }))
    }

    /// The card of a repository at a branch, tag or commit. Within one process a branch is one
    /// commit: it is looked up once.
    pub async fn card(
        &self,
        id: &ModelId,
        revision: &Revision,
    ) -> Result<Arc<ModelCard>, HubError> {
        let commit = self.resolve(id, revision).await?;
        let (inner, id, revision) = (Arc::clone(&self.0), id.clone(), revision.clone());
        let question = (id.clone(), commit.clone());
        let read = move || {
            async move { inner.read_card(&id, &revision, &commit).await.map(Arc::new) }.boxed()
        };
        self.0.cards.get(question, read).await
    }

    /// The commit that a branch or tag stands for now. A commit stands for itself, unasked.
    pub async fn resolve(&self, id: &ModelId, revision: &Revision) -> Result<CommitSha, HubError> {
        if let Some(commit) = revision.as_commit() {
            return Ok(commit);
        }
        let (inner, id, revision) = (Arc::clone(&self.0), id.clone(), revision.clone());
        let question = (id.clone(), revision.clone());
        let look_up = move || async move { inner.look_up(&id, &revision).await }.boxed();
        self.0.commits.get(question, look_up).await
    }
}

impl Inner {
    async fn look_up(&self, id: &ModelId, revision: &Revision) -> Result<CommitSha, HubError> {
        let known = self
            .cache
            .as_ref()
            .and_then(|cache| cache.reference(id, revision));
        if self.offline {
            let missing = || HubError::Offline {
                id: id.clone(),
                revision: revision.clone(),
            };
            return known.map(|known| known.commit).ok_or_else(missing);
        }
        let asked = self.asked(id, revision, "the revision", LARGEST_LISTING);
        let etag = known.as_ref().and_then(|known| known.etag.as_deref());
        let response = self
            .send(&calls::commit(id, revision, etag), &asked, deadline())
            .await?;
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
                    cache.keep_reference(id, revision, &reference);
                }
                Ok(reference.commit)
            }
        }
    }

    async fn read_card(
        &self,
        id: &ModelId,
        revision: &Revision,
        commit: &CommitSha,
    ) -> Result<ModelCard, HubError> {
        if let Some(card) = self.cache.as_ref().and_then(|cache| cache.card(id, commit)) {
            return Ok(card);
        }
        if self.offline {
            return Err(HubError::Offline {
                id: id.clone(),
                revision: revision.clone(),
            });
        }
        let card = self.fetch(id, revision, commit).await?;
        if let Some(cache) = &self.cache {
            cache.keep_card(id, &card);
        }
        Ok(card)
    }

    async fn fetch(
        &self,
        id: &ModelId,
        revision: &Revision,
        commit: &CommitSha,
    ) -> Result<ModelCard, HubError> {
        let deadline = deadline();
        let about = self.asked(id, revision, "the description", LARGEST_LISTING);
        let (info, tree, config, index) = futures::join!(
            async {
                parse::<Info>(
                    &self
                        .send(&calls::info(id, commit), &about, deadline)
                        .await?,
                    &about,
                )
            },
            self.tree(id, revision, commit, deadline),
            self.read_as(id, revision, commit, CONFIG_FILE, deadline, parse_config),
            self.file::<WeightIndex>(id, revision, commit, INDEX_FILE, deadline),
        );
        // In the order of what explains most: a repository that is not there has no files either.
        let (info, tree, mut config, index) = (info?, tree?, config?, index?);
        let has = |path: &str| tree.iter().any(|entry| entry.path == path);
        if config.is_none() && has(PIPELINE_FILE) {
            config = self
                .read_as(
                    id,
                    revision,
                    commit,
                    PIPELINE_FILE,
                    deadline,
                    parse_model_index,
                )
                .await?;
        }
        if let Some(config) = &mut config
            && config.quantization.is_none()
            && has(QUANTIZATION_FILE)
        {
            let read = |file: &Value| parse_hf_quant_config(file, config);
            config.quantization = self
                .read_as(id, revision, commit, QUANTIZATION_FILE, deadline, read)
                .await?
                .flatten();
        }
        card::assemble(id, info, tree, config, index.as_ref()).map_err(|detail| {
            HubError::Malformed {
                id: id.clone(),
                field: INDEX_FILE.to_owned(),
                detail,
            }
        })
    }

    /// Every file of the repository, page after page.
    async fn tree(
        &self,
        id: &ModelId,
        revision: &Revision,
        commit: &CommitSha,
        deadline: Instant,
    ) -> Result<Vec<TreeEntry>, HubError> {
        let asked = self.asked(id, revision, "the list of files", LARGEST_LISTING);
        let mut entries = Vec::new();
        let mut next = Some(calls::tree(id, commit));
        for _ in 0..MOST_PAGES {
            let Some(request) = next else {
                return Ok(entries);
            };
            let response = self.send(&request, &asked, deadline).await?;
            entries.extend(parse::<Vec<TreeEntry>>(&response, &asked)?);
            next = response
                .header("link")
                .and_then(|link| calls::next_page(id, commit, link));
        }
        Err(HubError::TooLarge {
            id: id.clone(),
            what: "the list of files".to_owned(),
            limit: LARGEST_LISTING,
        })
    }

    /// A file of the repository, read by `read`; `None` where it has none of that name.
    async fn read_as<T>(
        &self,
        id: &ModelId,
        revision: &Revision,
        commit: &CommitSha,
        path: &str,
        deadline: Instant,
        read: impl FnOnce(&Value) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, HubError> {
        let file = self
            .file::<Value>(id, revision, commit, path, deadline)
            .await?;
        let value = file.as_ref().map(read).transpose();
        value.map_err(|error| HubError::Malformed {
            id: id.clone(),
            field: format!("{path}: {}", error.field),
            detail: error.detail,
        })
    }

    /// A JSON file of the repository; `None` where it has none of that name.
    async fn file<T: serde::de::DeserializeOwned>(
        &self,
        id: &ModelId,
        revision: &Revision,
        commit: &CommitSha,
        path: &str,
        deadline: Instant,
    ) -> Result<Option<T>, HubError> {
        let asked = self.asked(id, revision, path, LARGEST_FILE);
        match self
            .transport
            .send(&calls::file(id, commit, path), deadline)
            .await
        {
            Ok(response) => json::from_slice(&response.body)
                .map(Some)
                .map_err(|error| asked.malformed(&error.to_string())),
            Err(error) if is_no_such_file(&error) => Ok(None),
            Err(error) => Err(asked.explain(&error)),
        }
    }

    async fn send(
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

    fn asked<'a>(
        &'a self,
        id: &'a ModelId,
        revision: &'a Revision,
        what: &'a str,
        limit: u64,
    ) -> Asked<'a> {
        let has_token = self.transport.has_hugging_face_token();
        Asked {
            id,
            revision,
            what,
            hub: self.transport.endpoints().url(Api::Hub),
            has_token,
            limit,
        }
    }
}

/// A mirror may answer 404 without a word; then it is the file that is missing, for the
/// repository's description came from the same place.
fn is_no_such_file(error: &ApiError) -> bool {
    error.is_not_found() && matches!(error.reason.as_deref(), None | Some("EntryNotFound"))
}

fn parse<T: serde::de::DeserializeOwned>(
    response: &Response,
    asked: &Asked<'_>,
) -> Result<T, HubError> {
    response
        .json()
        .map_err(|error| asked.malformed(&error.to_string()))
}

fn deadline() -> Instant {
    Instant::now() + TIMEOUT
}

#[cfg(test)]
mod tests {
    use openmodel_schemas::model_card::{ModelKind, StoredQuantization};
    use openmodel_schemas::quantity::Bytes;
    use serde_json::json;

    use super::*;
    use crate::transport::script::{self, Answer, with_headers};

    const SHA: &str = "0e9e39f249a16976918f6564b8830bc894c89659";

    fn id() -> ModelId {
        "acme/tiny".parse().expect("an id")
    }

    fn main() -> Revision {
        "main".parse().expect("a revision")
    }

    fn hub(options: HubOptions, answers: Vec<Answer>) -> (Hub, script::Seen) {
        let (transport, seen) = script::transport(answers);
        (Hub::new(transport, options), seen)
    }

    fn moved() -> Answer {
        with_headers(
            200,
            &[("etag", "W/\"1\"")],
            json!({"id": "acme/tiny", "sha": SHA}),
        )
    }

    /// In the order in which they are asked for side by side.
    fn repository() -> Vec<Answer> {
        let link = "<https://huggingface.co/x?cursor=2>; rel=\"next\"";
        let file =
            |path: &str, size: u64| json!({"type": "file", "oid": "o", "path": path, "size": size});
        vec![
            script::json(200, json!({"id": "acme/tiny", "sha": SHA, "gated": false})),
            with_headers(200, &[("link", link)], json!([file("config.json", 10)])),
            script::json(200, json!([file("model.safetensors", 1000)])),
            script::json(
                200,
                json!({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64,
                "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 100}),
            ),
            with_headers(
                404,
                &[("x-error-code", "EntryNotFound")],
                json!({"error": "Entry not found"}),
            ),
        ]
    }

    #[tokio::test(start_paused = true)]
    async fn a_branch_is_resolved_and_read_at_its_commit() {
        let mut answers = vec![moved()];
        answers.extend(repository());
        let (hub, seen) = hub(HubOptions::default(), answers);
        let card = hub.card(&id(), &main()).await.expect("a card");
        assert_eq!(card.commit.as_str(), SHA);
        assert_eq!(card.files.len(), 2);
        assert_eq!(
            card.weights.as_ref().map(|weights| weights.bytes),
            Some(Bytes(1000))
        );
        assert_eq!(card.config.as_ref().map(|config| config.layers), Some(2));
        insta::assert_snapshot!(seen.lines().join("\n"), @"
        GET https://huggingface.co/api/models/acme/tiny/revision/main?expand%5B%5D=sha
        GET https://huggingface.co/api/models/acme/tiny/revision/0e9e39f249a16976918f6564b8830bc894c89659?securityStatus=true
        GET https://huggingface.co/api/models/acme/tiny/tree/0e9e39f249a16976918f6564b8830bc894c89659?recursive=true
        GET https://huggingface.co/api/models/acme/tiny/tree/0e9e39f249a16976918f6564b8830bc894c89659?recursive=true&cursor=2
        GET https://huggingface.co/acme/tiny/resolve/0e9e39f249a16976918f6564b8830bc894c89659/config.json
        GET https://huggingface.co/acme/tiny/resolve/0e9e39f249a16976918f6564b8830bc894c89659/model.safetensors.index.json
        ");
        // Asked once per process.
        hub.card(&id(), &main()).await.expect("a card");
        assert_eq!(seen.lines().len(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_run_asks_only_whether_the_branch_moved_and_offline_not_even_that() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = |offline| HubOptions {
            cache: Some(folder.path().to_owned()),
            offline,
        };
        let mut answers = vec![moved()];
        answers.extend(repository());
        let first = hub(options(false), answers)
            .0
            .card(&id(), &main())
            .await
            .expect("a card");

        let (again, seen) = hub(options(false), vec![script::json(304, json!({}))]);
        assert_eq!(again.card(&id(), &main()).await, Ok(Arc::clone(&first)));
        assert_eq!(seen.header("if-none-match"), [Some("W/\"1\"".to_owned())]);

        let (offline, seen) = hub(options(true), vec![]);
        assert_eq!(offline.card(&id(), &main()).await, Ok(Arc::clone(&first)));
        let commit: Revision = SHA.parse().expect("a revision");
        assert_eq!(offline.card(&id(), &commit).await, Ok(first));
        assert!(seen.lines().is_empty());
        let other = offline
            .card(&"acme/other".parse().expect("an id"), &main())
            .await;
        assert!(matches!(other, Err(HubError::Offline { .. })), "{other:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_gated_repository_without_access_says_where_to_get_it() {
        let refused = || {
            with_headers(
                401,
                &[("x-error-code", "GatedRepo")],
                json!({"error": "Access is restricted"}),
            )
        };
        let (hub, _) = hub(
            HubOptions::default(),
            vec![
                moved(),
                script::json(
                    200,
                    json!({"id": "acme/tiny", "sha": SHA, "gated": "manual"}),
                ),
                script::json(200, json!([])),
                refused(),
                refused(),
            ],
        );
        let error = hub.card(&id(), &main()).await.expect_err("gated");
        let url = "https://huggingface.co/acme/tiny".to_owned();
        assert_eq!(
            error,
            HubError::Gated {
                id: id(),
                url,
                has_token: false
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_config_that_is_no_models_names_its_field() {
        let mut answers = vec![moved()];
        answers.extend(repository());
        answers[4] = script::json(200, json!({"hidden_size": "wide"}));
        let error = hub(HubOptions::default(), answers)
            .0
            .card(&id(), &main())
            .await
            .expect_err("no model");
        let HubError::Malformed { field, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(field, "config.json: hidden_size");
    }

    fn no_such_file() -> Answer {
        with_headers(
            404,
            &[("x-error-code", "EntryNotFound")],
            json!({"error": "Entry not found"}),
        )
    }

    /// A repository of these files, whose `config.json` is this or is missing.
    fn repository_of(files: &[&str], config: Option<Value>) -> Vec<Answer> {
        let file = |path: &&str| json!({"type": "file", "oid": "o", "path": path, "size": 10});
        let files: Vec<Value> = files.iter().map(file).collect();
        vec![
            moved(),
            script::json(200, json!({"id": "acme/tiny", "sha": SHA, "gated": false})),
            script::json(200, Value::Array(files)),
            config.map_or_else(no_such_file, |config| script::json(200, config)),
            no_such_file(),
        ]
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipeline_is_read_from_its_index() {
        let mut answers = repository_of(&["model_index.json"], None);
        answers.push(script::json(200, json!({"_class_name": "FluxPipeline"})));
        let (hub, seen) = hub(HubOptions::default(), answers);
        let card = hub.card(&id(), &main()).await.expect("a card");
        let config = card.config.as_ref().expect("a pipeline");
        assert_eq!(
            (config.architecture.as_str(), config.kind),
            ("FluxPipeline", ModelKind::Diffusion)
        );
        let asked = format!("GET https://huggingface.co/acme/tiny/resolve/{SHA}/model_index.json");
        assert_eq!(seen.lines().last(), Some(&asked));

        let answers = repository_of(&["model.gguf"], None);
        let (hub, seen) = super::tests::hub(HubOptions::default(), answers);
        let card = hub.card(&id(), &main()).await.expect("a card");
        assert_eq!((card.config.as_ref(), seen.lines().len()), (None, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_quantisation_that_the_configuration_does_not_state() {
        let config = json!({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 100});
        let mut answers = repository_of(&["hf_quant_config.json"], Some(config));
        let stated = json!({"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "group_size": 16,
            "exclude_modules": ["lm_head"]});
        answers.push(script::json(
            200,
            json!({"producer": {"name": "modelopt"}, "quantization": stated}),
        ));
        let (hub, _) = hub(HubOptions::default(), answers);
        let card = hub.card(&id(), &main()).await.expect("a card");
        let config = card.config.as_ref().expect("a model");
        let expected = StoredQuantization {
            method: "modelopt".to_owned(),
            bits: Some(4),
            float: Some(true),
            group_size: Some(16),
            kv_bits: Some(8),
            ..StoredQuantization::default()
        };
        assert_eq!(config.quantization, Some(expected));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hub_that_does_not_answer_is_asked_once_by_many() {
        let (hub, seen) = hub(
            HubOptions::default(),
            (0..5).map(|_| Answer::Lost(false)).collect(),
        );
        for _ in 0..3 {
            let error = hub.resolve(&id(), &main()).await.expect_err("no answer");
            assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
        }
        assert_eq!(seen.lines().len(), 5);
    }
}
