//! What the Hub says of a repository, and of the caller.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::access::Token;
use super::repo::{File, Kind, Repo};
use super::{Hub, error, no_revision};
use crate::http::{Reply, Request};
use crate::ids;
use crate::world::World;

/// Members that are there without being asked for.
const USUAL: [&str; 21] = [
    "author",
    "sha",
    "lastModified",
    "private",
    "gated",
    "disabled",
    "downloads",
    "likes",
    "tags",
    "pipeline_tag",
    "library_name",
    "createdAt",
    "config",
    "cardData",
    "transformersInfo",
    "safetensors",
    "siblings",
    "spaces",
    "usedStorage",
    "modelId",
    "description",
];

/// `GET /api/{kind}/{id}[/revision/{rev}]`
pub(super) fn info(repo: &Repo, revision: Option<&str>, request: &Request) -> Result<Reply, Reply> {
    let name = revision.unwrap_or("main");
    let commit = repo.resolve(name).ok_or_else(|| no_revision(name))?;
    let files = repo.files(commit);
    let blobs = request.flag("blobs");
    let expand: Vec<&str> = request
        .query
        .iter()
        .filter(|(name, _)| name == "expand[]" || name == "expand")
        .map(|(_, value)| value.as_str())
        .collect();
    if !expand.is_empty() && (blobs || request.flag("securityStatus")) {
        let text = "The `expand` parameter cannot be used with `blobs` or `securityStatus`.";
        return Err(error(StatusCode::BAD_REQUEST, None, text));
    }
    let mut all = describe(repo);
    all.insert("sha".into(), commit.sha.clone().into());
    all.insert("lastModified".into(), commit.date.clone().into());
    let siblings = files.iter().map(|(path, file)| sibling(path, file, blobs));
    all.insert("siblings".into(), siblings.collect());
    all.insert(
        "usedStorage".into(),
        files.values().map(File::size).sum::<u64>().into(),
    );
    if let Some(config) = repo
        .file(commit, "config.json")
        .and_then(|file| summary(&file))
    {
        all.insert("config".into(), config);
    }
    let issues: Vec<Value> = repo
        .card
        .scan
        .issues
        .iter()
        .map(|issue| json!(issue))
        .collect();
    let scan = json!({"scansDone": repo.card.scan.done, "filesWithIssues": issues});
    all.insert("securityRepoStatus".into(), scan);

    let mut shown = Map::new();
    for always in ["_id", "id"] {
        shown.extend(all.remove_entry(always));
    }
    if expand.is_empty() {
        shown.extend(USUAL.iter().filter_map(|name| all.remove_entry(*name)));
        if request.flag("securityStatus") {
            shown.extend(all.remove_entry("securityRepoStatus"));
        }
        return Ok(Reply::ok(Value::Object(shown)));
    }
    for wanted in expand {
        let name = if wanted == "securityStatus" {
            "securityRepoStatus"
        } else {
            wanted
        };
        match all.remove_entry(name) {
            Some(entry) => drop(shown.insert(entry.0, entry.1)),
            // A member that this repository does not have is left out; an unknown one is an error.
            None if USUAL.contains(&name) || shown.contains_key(name) => {}
            None => {
                let text = format!("\"expand\" has an unknown member: {wanted}");
                return Err(error(StatusCode::BAD_REQUEST, None, &text));
            }
        }
    }
    Ok(Reply::ok(Value::Object(shown)))
}

fn describe(repo: &Repo) -> Map<String, Value> {
    let card = &repo.card;
    let mut data = Map::new();
    let mut tags = card.tags.clone();
    for (name, value) in [
        ("license", &card.license),
        ("license_name", &card.license_name),
        ("license_link", &card.license_link),
        ("base_model", &card.base_model),
        ("library_name", &card.library_name),
        ("pipeline_tag", &card.pipeline_tag),
    ] {
        if let Some(value) = value {
            data.insert(name.to_owned(), value.clone().into());
        }
    }
    tags.extend(card.library_name.clone());
    tags.extend(card.pipeline_tag.clone());
    tags.extend(
        card.base_model
            .iter()
            .map(|base| format!("base_model:{base}")),
    );
    tags.extend(
        card.license
            .iter()
            .map(|license| format!("license:{license}")),
    );
    let mut all = Map::new();
    all.insert(
        "_id".into(),
        ids::hex(&ids::digest(0, &["repository", &repo.id]))[..24].into(),
    );
    all.insert("id".into(), repo.id.clone().into());
    all.insert(
        "author".into(),
        repo.id.split('/').next().unwrap_or_default().into(),
    );
    all.insert("private".into(), card.private.into());
    all.insert("gated".into(), card.gated.view());
    all.insert("disabled".into(), card.disabled.into());
    all.insert("downloads".into(), 0.into());
    all.insert("likes".into(), 0.into());
    all.insert("tags".into(), tags.into());
    all.insert("cardData".into(), Value::Object(data));
    all.insert("createdAt".into(), "2026-01-01T00:00:00.000Z".into());
    if repo.kind != Kind::Models {
        return all;
    }
    all.insert("modelId".into(), repo.id.clone().into());
    all.insert("spaces".into(), json!([]));
    for (name, value) in [
        ("pipeline_tag", &card.pipeline_tag),
        ("library_name", &card.library_name),
    ] {
        if let Some(value) = value {
            all.insert(name.to_owned(), value.clone().into());
        }
    }
    if !card.parameters.is_empty() {
        let total: u64 = card.parameters.values().sum();
        all.insert(
            "safetensors".into(),
            json!({"parameters": card.parameters, "total": total}),
        );
    }
    all
}

/// What the Hub shows of a `config.json`, also of a gated one.
fn summary(file: &File) -> Option<Value> {
    let config: Value = serde_json::from_slice(&file.source.read(0..file.size())).ok()?;
    let mut kept = Map::new();
    for name in ["architectures", "model_type"] {
        kept.extend(
            config
                .get(name)
                .map(|value| (name.to_owned(), value.clone())),
        );
    }
    if let Some(method) = config["quantization_config"].get("quant_method") {
        kept.insert(
            "quantization_config".into(),
            json!({"quant_method": method}),
        );
    }
    Some(Value::Object(kept))
}

fn sibling(path: &str, file: &File, blobs: bool) -> Value {
    let mut sibling = json!({"rfilename": path});
    if blobs {
        sibling["size"] = file.size().into();
        sibling["blobId"] = file.oid.clone().into();
        if let Some((sha256, pointer)) = &file.lfs {
            sibling["lfs"] = json!({"sha256": sha256, "size": file.size(), "pointerSize": pointer});
        }
    }
    sibling
}

/// `GET /api/{kind}?search&author&limit`: in the order of their names, as all were downloaded as often.
/// Private ones are left out, as they are of searches by others.
pub(super) fn list(hub: &Hub, kind: Kind, request: &Request) -> Reply {
    let text = |name: &str| request.query(name).map(str::to_lowercase);
    let (search, author) = (text("search"), text("author"));
    let limit = request.query("limit").and_then(|text| text.parse().ok());
    let found = hub.ids(kind).into_iter().filter(|id| {
        let lower = id.to_lowercase();
        let by = lower.split_once('/').map_or("", |(author, _)| author);
        search.as_ref().is_none_or(|part| lower.contains(part))
            && author.as_ref().is_none_or(|author| by == author)
    });
    let seen = found
        .filter_map(|id| hub.repo(kind, &id))
        .filter(|repo| !repo.card.private && repo.card.moved_to.is_none());
    Reply::ok(
        seen.take(limit.unwrap_or(1_000))
            .map(|repo| Value::Object(brief(repo)))
            .collect(),
    )
}

/// What a search shows of a repository.
fn brief(repo: &Repo) -> Map<String, Value> {
    let mut all = describe(repo);
    for long in [
        "author",
        "gated",
        "disabled",
        "cardData",
        "safetensors",
        "spaces",
    ] {
        all.remove(long);
    }
    all
}

/// `GET /api/{kind}/{id}/refs`
pub(super) fn refs(repo: &Repo) -> Reply {
    let list = |names: &std::collections::BTreeMap<String, String>, kind: &str| -> Value {
        let refs = names.iter().map(|(name, sha)| {
            json!({"name": name, "ref": format!("refs/{kind}/{name}"), "targetCommit": sha})
        });
        refs.collect()
    };
    Reply::ok(json!({
        "branches": list(&repo.branches, "heads"),
        "tags": list(&repo.tags, "tags"),
        "converts": [],
    }))
}

/// `GET /api/whoami-v2`
pub(super) fn whoami(world: &World, request: &Request) -> Result<Reply, Reply> {
    let Some(Token { name, .. }) = world.hub.tokens.of(request)? else {
        return Err(error(
            StatusCode::UNAUTHORIZED,
            None,
            "Invalid username or password.",
        ));
    };
    Ok(Reply::ok(json!({
        "type": "user",
        "id": &ids::hex(&ids::digest(0, &["user", &name]))[..24],
        "name": name,
        "fullname": name,
        "isPro": false,
        "orgs": [],
        "auth": {"type": "access_token", "accessToken": {"displayName": name, "role": "read"}},
    })))
}
