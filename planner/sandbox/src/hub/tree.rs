//! Listing the files of a commit: trees with pages, and chosen paths.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::repo::{self, Commit, File, Repo};
use super::{error, no_entry, no_revision};
use crate::http::{Reply, Request};
use crate::ids;
use crate::world::Call;

/// Items per page; fewer where each is told in full.
const PAGE: usize = 1_000;
const PAGE_EXPANDED: usize = 50;

/// `GET /api/{kind}/{id}/tree/{rev}[/{path}]?recursive&expand&limit&cursor`
pub(super) fn tree(
    repo: &Repo,
    revision: &str,
    path: &str,
    call: &Call<'_>,
) -> Result<Reply, Reply> {
    let request = call.request;
    let commit = repo
        .resolve(revision)
        .ok_or_else(|| no_revision(revision))?;
    let (recursive, expand) = (request.flag("recursive"), request.flag("expand"));
    let mut items = items(repo, commit, path, recursive);
    if items.is_empty() && !path.is_empty() {
        return Err(no_entry());
    }
    if let Some(cursor) = request.query("cursor") {
        items = items.split_off(cursor);
        items.remove(cursor);
    }
    let most = if expand { PAGE_EXPANDED } else { PAGE };
    let size = request
        .query("limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(most)
        .clamp(1, most);
    let last = items
        .keys()
        .nth(size - 1)
        .filter(|_| items.len() > size)
        .cloned();
    let page = items.into_iter().take(size).map(|(path, file)| {
        let item = match &file {
            Some(file) => repo::describe(repo, &path, file),
            None => json!({"type": "directory", "oid": directory_id(commit, &path), "size": 0, "path": path}),
        };
        if expand { expanded(repo, commit, &path, item) } else { item }
    });
    let reply = Reply::ok(page.collect());
    Ok(match last {
        Some(last) => reply.with("link", &next_page(call, &last)),
        None => reply,
    })
}

/// Files and directories below a path; only the next level unless recursive. `None` is a directory.
fn items(
    repo: &Repo,
    commit: &Commit,
    path: &str,
    recursive: bool,
) -> BTreeMap<String, Option<File>> {
    let base = if path.is_empty() {
        String::new()
    } else {
        format!("{path}/")
    };
    let mut items = BTreeMap::new();
    for (name, file) in repo.files(commit) {
        let Some(rest) = name.strip_prefix(&base) else {
            continue;
        };
        let directories = rest
            .match_indices('/')
            .map(|(at, _)| format!("{base}{}", &rest[..at]));
        let depth = if recursive { usize::MAX } else { 1 };
        for directory in directories.take(depth) {
            items.insert(directory, None);
        }
        if recursive || !rest.contains('/') {
            items.insert(name, Some(file));
        }
    }
    items
}

fn next_page(call: &Call<'_>, cursor: &str) -> String {
    let pairs = call
        .request
        .query
        .iter()
        .filter(|(name, _)| name != "cursor");
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .append_pair("cursor", cursor)
        .finish();
    format!("<{}{}?{query}>; rel=\"next\"", call.base, call.request.path)
}

/// `POST /api/{kind}/{id}/paths-info/{rev}` with `paths` and `expand`; what is not there is left out.
pub(super) fn paths_info(repo: &Repo, revision: &str, request: &Request) -> Result<Reply, Reply> {
    let commit = repo
        .resolve(revision)
        .ok_or_else(|| no_revision(revision))?;
    let fields = request.fields();
    let paths: Vec<&str> = match fields.get("paths") {
        Some(Value::String(path)) => vec![path],
        Some(Value::Array(paths)) => paths.iter().filter_map(Value::as_str).collect(),
        _ => {
            return Err(error(
                StatusCode::BAD_REQUEST,
                None,
                "\"paths\" is required",
            ));
        }
    };
    let expand = match fields.get("expand") {
        Some(Value::Bool(expand)) => *expand,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    };
    let found = paths.into_iter().filter_map(|path| {
        let path = path.trim_matches('/');
        let item = match repo.file(commit, path) {
            Some(file) => repo::describe(repo, path, &file),
            None if items(repo, commit, path, true).is_empty() => return None,
            None => json!({"type": "directory", "oid": directory_id(commit, path), "size": 0, "path": path}),
        };
        Some(if expand { expanded(repo, commit, path, item) } else { item })
    });
    Ok(Reply::ok(found.collect()))
}

/// An item with its last commit and what the scanners say of it.
fn expanded(repo: &Repo, commit: &Commit, path: &str, mut item: Value) -> Value {
    item["lastCommit"] = json!({"id": commit.sha, "title": commit.title, "date": commit.date});
    if item["type"] == "file" {
        let scan = &repo.card.scan;
        let issue = scan.issues.iter().find(|issue| issue.path == path);
        let clean = if scan.done { "safe" } else { "queued" };
        let status = issue.map_or(clean, |issue| issue.level.as_str());
        item["securityFileStatus"] = json!({
            "status": status,
            "jFrogScan": {"status": "unscanned"},
            "protectAiScan": {"status": clean},
            "avScan": {"status": status, "version": "1.4.4"},
            "pickleImportScan": {"status": clean, "pickleImports": []},
            "virusTotalScan": {"status": clean},
        });
        for (name, value) in scan.files.get(path).into_iter().flatten() {
            item["securityFileStatus"][name] = value.clone();
        }
    }
    item
}

fn directory_id(commit: &Commit, path: &str) -> String {
    ids::hex(&ids::digest(0, &["tree", &commit.sha, path]))[..40].to_owned()
}
