//! Requests to the Hub, and its answers as far as we read them.

use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, IF_NONE_MATCH, RANGE};
use openmodel_schemas::name::{CommitSha, ModelId, Revision};
use openmodel_schemas::snapshot::{Repository, RepositoryType};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::transport::{Api, Request, segment};

/// Bound of a listing page and of a repository's description, in bytes.
pub(crate) const LARGEST_LISTING: u64 = 16 << 20;

/// Bound of `config.json` and of an index file: the largest known index has 4 MB.
pub(crate) const LARGEST_FILE: u64 = 32 << 20;

/// Asks for the commit of a revision, and nothing else: small, and its `ETag` stays the same
/// until the revision moves.
pub(crate) fn commit(repository: &Repository, revision: &Revision, etag: Option<&str>) -> Request {
    let request = Request::get(Api::Hub, revision_path(repository, revision.as_str()))
        .query("expand[]", "sha")
        .at_most(LARGEST_LISTING);
    match etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
        Some(etag) => request.header(IF_NONE_MATCH, etag),
        None => request,
    }
}

/// Asks what the repository is at a commit, with the scanners' verdict.
pub(crate) fn info(repository: &Repository, commit: &CommitSha) -> Request {
    Request::get(Api::Hub, revision_path(repository, commit.as_str()))
        .query("securityStatus", "true")
        .at_most(LARGEST_LISTING)
}

/// Lists the files at a commit: a thousand a page.
pub(crate) fn tree(repository: &Repository, commit: &CommitSha) -> Request {
    Request::get(Api::Hub, format!("/api/{repository}/tree/{commit}"))
        .query("recursive", "true")
        .at_most(LARGEST_LISTING)
}

/// The next page of a listing, from its `Link` header; the same path with a cursor.
pub(crate) fn next_page(
    repository: &Repository,
    commit: &CommitSha,
    link: &str,
) -> Option<Request> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let url = next.trim().strip_prefix('<')?.split('>').next()?;
    let query = url.split_once('?')?.1;
    let cursor = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "cursor")?
        .1;
    Some(tree(repository, commit).query("cursor", cursor))
}

/// Asks what scanners say of files at a commit. A listing says the same at fifty files a page, one page
/// after the other; of chosen files it can be asked side by side.
pub(crate) fn scans(repository: &Repository, commit: &CommitSha, paths: &[&str]) -> Request {
    let path = format!("/api/{repository}/paths-info/{commit}");
    Request::post(Api::Hub, path, json!({"paths": paths, "expand": true}))
        .repeatable()
        .at_most(LARGEST_LISTING)
}

/// Searches repositories of a kind by a part of their name, the most used first.
pub(crate) fn search(kind: RepositoryType, part: &str) -> Request {
    found(kind).query("search", part)
}

/// Lists the repositories of an organisation or a user, the most used first.
pub(crate) fn of_author(kind: RepositoryType, author: &str) -> Request {
    found(kind).query("author", author)
}

fn found(kind: RepositoryType) -> Request {
    Request::get(Api::Hub, format!("/api/{}", kind.plural()))
        .query("sort", "downloads")
        .query("limit", "100")
        .at_most(LARGEST_LISTING)
}

/// Reads a small file at a commit.
pub(crate) fn file(repository: &Repository, commit: &CommitSha, path: &str) -> Request {
    Request::get(Api::Hub, address(repository, commit, path))
        .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
        .at_most(LARGEST_FILE)
}

/// Reads a file at a commit from an offset to its end. Files in large-file storage answer from another
/// host, at an address that is signed for a while.
pub fn content(repository: &Repository, commit: &CommitSha, path: &str, offset: u64) -> Request {
    let request = whole(repository, commit, path);
    if offset == 0 {
        return request;
    }
    let range = HeaderValue::try_from(format!("bytes={offset}-"));
    request.header(RANGE, range.expect("digits are a header value"))
}

/// Reads the first byte of a file.
pub(crate) fn first_byte(repository: &Repository, commit: &CommitSha, path: &str) -> Request {
    whole(repository, commit, path).header(RANGE, HeaderValue::from_static("bytes=0-0"))
}

fn whole(repository: &Repository, commit: &CommitSha, path: &str) -> Request {
    Request::get(Api::Hub, address(repository, commit, path))
        .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
        .at_most(LARGEST_LISTING)
}

/// The path of a repository's page, which its files lie under: those of models have no word before
/// them.
pub(crate) fn page(repository: &Repository) -> String {
    match repository.kind {
        RepositoryType::Model => format!("/{}", repository.id),
        RepositoryType::Dataset | RepositoryType::Space => format!("/{repository}"),
    }
}

/// The address of a file at a commit, below that of the Hub: `/ORG/NAME/resolve/COMMIT/PATH`, each part of it
/// percent-encoded.
#[must_use]
pub fn address(repository: &Repository, commit: &CommitSha, path: &str) -> String {
    let segments: Vec<String> = path.split('/').map(segment).collect();
    format!(
        "{}/resolve/{commit}/{}",
        page(repository),
        segments.join("/")
    )
}

fn revision_path(repository: &Repository, revision: &str) -> String {
    format!("/api/{repository}/revision/{}", segment(revision))
}

/// Answer to [`commit`].
#[derive(Debug, Deserialize)]
pub(crate) struct CommitOnly {
    pub(crate) sha: CommitSha,
}

/// Answer to [`info`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Info {
    /// The name the repository has now.
    pub(crate) id: Option<ModelId>,
    pub(crate) sha: CommitSha,
    /// `false`, `"auto"` or `"manual"`.
    #[serde(default)]
    pub(crate) gated: Value,
    #[serde(default)]
    pub(crate) private: bool,
    #[serde(default)]
    pub(crate) last_modified: Option<String>,
    #[serde(default)]
    pub(crate) card_data: Option<CardData>,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    #[serde(default, rename = "library_name")]
    pub(crate) library_name: Option<String>,
    #[serde(default, rename = "pipeline_tag")]
    pub(crate) pipeline_tag: Option<String>,
    #[serde(default)]
    pub(crate) safetensors: Option<Safetensors>,
    #[serde(default)]
    pub(crate) security_repo_status: Option<SecurityStatus>,
}

/// The model card's metadata.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct CardData {
    /// A text, or a list of them.
    #[serde(default)]
    pub(crate) license: Value,
    #[serde(default, rename = "license_name")]
    pub(crate) license_name: Value,
    #[serde(default, rename = "license_link")]
    pub(crate) license_link: Value,
    /// A text, or a list of them.
    #[serde(default, rename = "base_model")]
    pub(crate) base_model: Value,
}

/// Parameters by the headers of the safetensors files.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Safetensors {
    #[serde(default)]
    pub(crate) parameters: std::collections::BTreeMap<String, u64>,
    #[serde(default)]
    pub(crate) total: Option<u64>,
}

/// The scanners' verdict on a repository.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecurityStatus {
    #[serde(default)]
    pub(crate) scans_done: bool,
    /// Objects with `path` and `level`.
    #[serde(default)]
    pub(crate) files_with_issues: Vec<Value>,
}

/// One entry of [`tree`].
#[derive(Debug, Deserialize)]
pub(crate) struct TreeEntry {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) oid: String,
    #[serde(default)]
    pub(crate) size: u64,
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) lfs: Option<Lfs>,
}

/// One entry of the answer to [`scans`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Scanned {
    pub(crate) path: String,
    /// An object: `status`, and one object for each scanner.
    #[serde(default)]
    pub(crate) security_file_status: Value,
}

/// One entry of the answers to [`search`] and [`of_author`].
#[derive(Debug, Deserialize)]
pub(crate) struct Found {
    pub(crate) id: String,
}

/// A file in large-file storage.
#[derive(Debug, Deserialize)]
pub(crate) struct Lfs {
    /// SHA-256 of the content.
    pub(crate) oid: String,
    pub(crate) size: u64,
}

/// `model.safetensors.index.json`.
#[derive(Debug, Deserialize)]
pub(crate) struct WeightIndex {
    /// Tensor name to file name.
    pub(crate) weight_map: std::collections::BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(kind: RepositoryType, id: &str) -> Repository {
        Repository {
            kind,
            id: id.parse().expect("an id"),
        }
    }

    #[test]
    fn requests() {
        let id = repository(RepositoryType::Model, "Qwen/Qwen3-8B");
        let data = repository(RepositoryType::Dataset, "acme/prompts");
        let sha: CommitSha = "0e9e39f249a16976918f6564b8830bc894c89659"
            .parse()
            .expect("a commit");
        let revision: Revision = "refs/pr/7".parse().expect("a revision");
        let link = format!(
            "<https://huggingface.co/api/{id}/tree/{sha}?recursive=true&cursor=Zm9v%3D>; rel=\"next\""
        );
        let text = [
            commit(&id, &revision, None),
            info(&id, &sha),
            tree(&id, &sha),
            next_page(&id, &sha, &link).expect("a next page"),
            scans(&data, &sha, &["a.bin"]),
            search(RepositoryType::Space, "Qwen3"),
            of_author(RepositoryType::Model, "Qwen"),
            file(&id, &sha, "config.json"),
            content(&id, &sha, "a b/c#.bin", 4096),
            first_byte(&data, &sha, "train.parquet"),
        ]
        .map(|request| request.to_string())
        .join("\n");
        insta::assert_snapshot!(text, @r#"
        GET hub /api/models/Qwen/Qwen3-8B/revision/refs%2Fpr%2F7?expand%5B%5D=sha
        GET hub /api/models/Qwen/Qwen3-8B/revision/0e9e39f249a16976918f6564b8830bc894c89659?securityStatus=true
        GET hub /api/models/Qwen/Qwen3-8B/tree/0e9e39f249a16976918f6564b8830bc894c89659?recursive=true
        GET hub /api/models/Qwen/Qwen3-8B/tree/0e9e39f249a16976918f6564b8830bc894c89659?recursive=true&cursor=Zm9v%3D
        POST hub /api/datasets/acme/prompts/paths-info/0e9e39f249a16976918f6564b8830bc894c89659
        {
          "expand": true,
          "paths": [
            "a.bin"
          ]
        }
        GET hub /api/spaces?sort=downloads&limit=100&search=Qwen3
        GET hub /api/models?sort=downloads&limit=100&author=Qwen
        GET hub /Qwen/Qwen3-8B/resolve/0e9e39f249a16976918f6564b8830bc894c89659/config.json
        GET hub /Qwen/Qwen3-8B/resolve/0e9e39f249a16976918f6564b8830bc894c89659/a%20b/c%23.bin
        GET hub /datasets/acme/prompts/resolve/0e9e39f249a16976918f6564b8830bc894c89659/train.parquet
        "#);
        assert!(next_page(&id, &sha, "<https://x/?cursor=1>; rel=\"prev\"").is_none());
    }

    #[test]
    fn a_known_etag_is_sent() {
        let id = repository(RepositoryType::Model, "gpt2");
        let revision: Revision = "main".parse().expect("a revision");
        let request = commit(&id, &revision, Some("W/\"a\""));
        assert_eq!(request.headers[IF_NONE_MATCH], "W/\"a\"");
    }
}
