//! Cards by commit and branches by name, on disk.
//!
//! ```text
//!   ROOT/hub-3/HOST/models/ORGANISATION--NAME/cards/COMMIT.json     a model's card: never asked again
//!                                            /commits/COMMIT.json   files: never asked again; terms as they were
//!                                            /refs/REVISION.json    commit and ETag: asked again, cheaply
//!                                            /digests/ID.json       SHA-256 of what Git calls so
//!                                            /signatures/ID.json    who signed what, by its digest or Git id
//! ```
//!
//! What scanners say is not kept: what was safe yesterday may be known as unsafe today, and a gate that
//! trusts an old verdict is none. It costs a run one request, and one for each fifty files.
//!
//! `hub-3` is the version of the entries' form. The cache belongs to the user whose directory it
//! is: it is made readable for them alone, because it can hold the facts (of the files only signatures) of a
//! gated or private repository that their token could read. It only ever helps: an entry that is
//! damaged or cannot be written is as good as none.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::{CommitSha, ModelId, Revision};
use openmodel_schemas::repository::{RepositoryCard, ScanStatus};
use openmodel_schemas::snapshot::Repository;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::transport::segment;

/// The form of the entries; a change of it starts a new folder, and what other versions of this
/// program have kept is not seen. It is raised when a field of [`ModelCard`] changes its name or its
/// meaning, or one of [`RepositoryCard`] (a test below knows the names), and when `config.rs` reads from the same file what it
/// did not read before.
const FORM: &str = "hub-3";

/// A revision that was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) commit: CommitSha,
    /// What to ask with, whether it moved.
    pub(crate) etag: Option<String>,
}

/// A folder of entries, for one Hub.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

/// What is kept of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kept {
    /// Its SHA-256.
    Digest,
    /// All of it: a signature.
    Signature,
}

impl Kept {
    const fn folder(self) -> &'static str {
        match self {
            Self::Digest => "digests",
            Self::Signature => "signatures",
        }
    }
}

/// What is on disk, with what it is about: two names may share a file where case does not count.
#[derive(Serialize, Deserialize)]
struct Entry<T> {
    about: String,
    value: T,
}

impl Cache {
    /// The cache of the Hub at `url`, in a directory of the user's.
    pub(crate) fn new(directory: &Path, url: &str) -> Self {
        let host = url.split_once("://").map_or(url, |(_, rest)| rest);
        Self {
            root: directory.join(FORM).join(segment(host)),
        }
    }

    pub(crate) fn card(&self, id: &ModelId, commit: &CommitSha) -> Option<ModelCard> {
        let repository = Repository::model(id.clone());
        let path = self.path(&repository, "cards", commit.as_str());
        let card: ModelCard = read(&path, &about(&repository, commit.as_str()))?;
        (card.commit == *commit).then_some(card)
    }

    pub(crate) fn keep_card(&self, id: &ModelId, card: &ModelCard) {
        let repository = Repository::model(id.clone());
        let commit = card.commit.as_str();
        let path = self.path(&repository, "cards", commit);
        write(&path, &about(&repository, commit), card);
    }

    /// A repository's card, without what scanners said.
    pub(crate) fn repository(
        &self,
        repository: &Repository,
        commit: &CommitSha,
    ) -> Option<RepositoryCard> {
        let path = self.path(repository, "commits", commit.as_str());
        let card: RepositoryCard = read(&path, &about(repository, commit.as_str()))?;
        (card.commit == *commit).then_some(card)
    }

    /// Keeps a repository's card, without what scanners say.
    pub(crate) fn keep_repository(&self, repository: &Repository, card: &RepositoryCard) {
        let card = RepositoryCard {
            scan: ScanStatus::Unknown,
            scans: BTreeMap::new(),
            ..card.clone()
        };
        let commit = card.commit.as_str();
        let path = self.path(repository, "commits", commit);
        write(&path, &about(repository, commit), &card);
    }

    pub(crate) fn reference(
        &self,
        repository: &Repository,
        revision: &Revision,
    ) -> Option<Reference> {
        let path = self.path(repository, "refs", revision.as_str());
        read(&path, &about(repository, revision.as_str()))
    }

    pub(crate) fn keep_reference(
        &self,
        repository: &Repository,
        revision: &Revision,
        reference: &Reference,
    ) {
        let path = self.path(repository, "refs", revision.as_str());
        write(&path, &about(repository, revision.as_str()), reference);
    }

    /// What was kept of a file by the id that the Hub lists.
    pub(crate) fn of_file(&self, repository: &Repository, kept: Kept, id: &str) -> Option<String> {
        let path = self.path(repository, kept.folder(), id);
        read(&path, &about(repository, id))
    }

    pub(crate) fn keep_of_file(&self, repository: &Repository, kept: Kept, id: &str, value: &str) {
        let path = self.path(repository, kept.folder(), id);
        write(&path, &about(repository, id), &value);
    }

    /// `--` is not allowed in an id, so it can stand for the slash.
    fn path(&self, repository: &Repository, what: &str, name: &str) -> PathBuf {
        self.root
            .join(repository.kind.plural())
            .join(repository.id.as_str().replace('/', "--"))
            .join(what)
            .join(format!("{}.json", segment(name)))
    }
}

fn about(repository: &Repository, what: &str) -> String {
    format!("{repository} {what}")
}

fn read<T: DeserializeOwned>(path: &Path, about: &str) -> Option<T> {
    let bytes = std::fs::read(path).ok()?;
    let entry: Entry<T> = serde_json::from_slice(&bytes).ok()?;
    (entry.about == about).then_some(entry.value)
}

/// Writes beside the entry, then renames: a reader sees the old entry or the new one, whole.
fn write<T: Serialize>(path: &Path, about: &str, value: &T) {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let Some(folder) = path.parent() else { return };
    let Ok(bytes) = serde_json::to_vec(&Entry {
        about: about.to_owned(),
        value,
    }) else {
        return;
    };
    let unique = COUNTER.fetch_add(1, Ordering::Relaxed);
    let beside = folder.join(format!(".new-{}-{unique}", std::process::id()));
    let written = make_folder(folder)
        .and_then(|()| std::fs::File::create(&beside))
        .and_then(|mut file| file.write_all(&bytes))
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // A full disk must not fail a plan; what is left of the attempt is of no use.
        let _ = std::fs::remove_file(&beside);
    }
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use openmodel_schemas::model_card::{
        EncoderStack, Experts, Indexer, LatentAttention, ModelConfig, RopeScaling,
        StoredQuantization, WeightBasis, WeightBytes,
    };
    use openmodel_schemas::quantity::Bytes;
    use openmodel_schemas::repository::{FileScan, RepoFile, ScanState};
    use openmodel_schemas::snapshot::RepositoryType;
    use serde_json::{Value, json};

    use super::super::facts::tests::of_files;
    use super::*;

    fn card() -> ModelCard {
        let id = "a/b".parse().expect("an id");
        ModelCard {
            commit: "0e9e39f249a16976918f6564b8830bc894c89659"
                .parse()
                .expect("a commit"),
            config: None,
            ..ModelCard::of_config(id, ModelConfig::default())
        }
    }

    #[test]
    fn what_is_kept_is_found_again_and_for_that_hub_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path(), "https://huggingface.co");
        let card = card();
        assert_eq!(cache.card(&card.id, &card.commit), None);
        cache.keep_card(&card.id, &card);
        assert_eq!(cache.card(&card.id, &card.commit), Some(card.clone()));
        assert_eq!(
            Cache::new(folder.path(), "http://127.0.0.1:1").card(&card.id, &card.commit),
            None
        );
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &std::fs::metadata(&cache.root)
                    .expect("the folder")
                    .permissions(),
            );
            assert_eq!(mode & 0o777, 0o700);
        }
    }

    #[test]
    fn what_an_older_version_kept_is_not_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path(), "https://huggingface.co");
        let card = card();
        cache.keep_card(&card.id, &card);
        std::fs::rename(folder.path().join(FORM), folder.path().join("hub-1")).expect("renamed");
        assert_eq!(cache.card(&card.id, &card.commit), None);
    }

    /// Where this test fails, an entry that is on disk would be read as something it is not, or
    /// with facts missing: raise [`FORM`], then accept the new names here.
    #[test]
    fn the_form_is_raised_with_the_names_of_what_is_kept() {
        let mut card = card();
        card.config = Some(ModelConfig {
            quantization: Some(StoredQuantization::default()),
            rope_scaling: Some(RopeScaling::default()),
            experts: Some(Experts::default()),
            latent: Some(LatentAttention::default()),
            indexer: Some(Indexer::default()),
            encoder: Some(EncoderStack::default()),
            ..ModelConfig::default()
        });
        card.weights = Some(WeightBytes {
            bytes: Bytes(1),
            basis: WeightBasis::SafetensorsIndex,
        });
        card.files = vec![RepoFile {
            path: "a".to_owned(),
            size: Bytes(1),
            sha256: None,
            git_oid: "b".to_owned(),
        }];
        let facts = RepositoryCard {
            base_models: vec![card.id.clone()],
            ..of_files(&[("a.bin", 1)])
        };
        let value = json!({"model": card, "repository": facts});
        insta::assert_snapshot!(format!("{FORM}\n{}", names(&value)), @"
        hub-3
        (model(commit config(architecture attention_heads audio compress_ratios dtype encoder(layers positions) experts(beside_dense count dense_layers intermediate_size latent_size layers per_token shared shared_intermediate_size) global_head_dim global_kv_heads head_dim hidden_size indexer(dim layers topk) intermediate_size intermediate_total kind kv_heads kv_heads_total latent(kv_rank nope_dim q_rank rope_dim value_dim) layer_kinds(both cross full recurrent shared windowed) layers max_positions model_type mtp_layers per_layer_embeddings plain_feed_forward quantization(attention_kept bits expert_bits experts_only float group_size kv_bits method) recurrent rope_scaling(factor kind original_positions) shared_key_value special tied_embeddings value_head_dim vision vocab_size window) files(git_oid path sha256 size) gating id library licence parameters parameters_by_dtype() pipeline_tag private weights(basis bytes)) repository(base_models commit custom_code files(git_oid path sha256 size) gating last_modified library licence(ids link name) pipeline_tag private repository(id type) scan(status) scans()))
        ");
    }

    /// The names of fields, and in brackets those of the fields inside.
    fn names(value: &Value) -> String {
        match value {
            Value::Object(fields) => {
                let name = |(name, value): (&String, &Value)| format!("{name}{}", names(value));
                let mut all: Vec<String> = fields.iter().map(name).collect();
                all.sort();
                format!("({})", all.join(" "))
            }
            Value::Array(items) => items.first().map(names).unwrap_or_default(),
            _ => String::new(),
        }
    }

    #[test]
    fn a_revision_may_have_slashes() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path(), "https://huggingface.co");
        let card = card();
        let revision: Revision = "refs/pr/7".parse().expect("a revision");
        let reference = Reference {
            commit: card.commit,
            etag: Some("W/\"x\"".to_owned()),
        };
        let repository = Repository::model(card.id);
        cache.keep_reference(&repository, &revision, &reference);
        assert_eq!(cache.reference(&repository, &revision), Some(reference));
    }

    #[test]
    fn a_damaged_or_mistaken_entry_is_a_miss() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path(), "https://huggingface.co");
        let card = card();
        cache.keep_card(&card.id, &card);
        let path = cache.path(
            &Repository::model(card.id.clone()),
            "cards",
            card.commit.as_str(),
        );
        let whole = std::fs::read(&path).expect("an entry");
        std::fs::write(&path, &whole[..whole.len() / 2]).expect("cut in half");
        assert_eq!(cache.card(&card.id, &card.commit), None);
        let other = String::from_utf8(whole)
            .expect("text")
            .replace("models/a/b 0e9e", "models/A/B 0e9e");
        std::fs::write(&path, other).expect("about another");
        assert_eq!(cache.card(&card.id, &card.commit), None);
    }

    #[test]
    fn verdicts_are_not_kept_and_each_kind_has_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(folder.path(), "https://huggingface.co");
        let safe = FileScan {
            state: ScanState::Safe,
            scanners: Vec::new(),
            imports: Vec::new(),
        };
        let mut card = of_files(&[("a.bin", 1)]);
        card.scan = ScanStatus::Safe;
        card.scans = BTreeMap::from([("a.bin".to_owned(), safe)]);
        cache.keep_repository(&card.repository, &card);
        let kept = cache
            .repository(&card.repository, &card.commit)
            .expect("it was kept");
        assert_eq!(kept.files, card.files);
        assert_eq!((kept.scan, kept.scans.len()), (ScanStatus::Unknown, 0));
        let data_set = Repository {
            kind: RepositoryType::Dataset,
            ..card.repository
        };
        assert_eq!(cache.repository(&data_set, &card.commit), None);
    }

    #[test]
    fn a_cache_that_cannot_be_written_does_no_harm() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let cache = Cache::new(file.path(), "https://huggingface.co");
        let card = card();
        cache.keep_card(&card.id, &card);
        assert_eq!(cache.card(&card.id, &card.commit), None);
    }
}
