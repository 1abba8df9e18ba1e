//! Hugging Face Hub: models, datasets and spaces, their metadata, their trees, their files.
//!
//!   /api/{models|datasets|spaces}?search&author&limit
//!   /api/{models|datasets|spaces}/{id}[/revision/{rev} | /tree/{rev}/{path} | /paths-info/{rev} | /refs]
//!   /{id}/resolve/{rev}/{path}   /datasets|spaces/{id}/resolve/{rev}/{path}   ─302─►  /_cdn/…
//!
//! Source: the client `huggingface_hub` 2.4.0 and the Hub's documentation (2026).

mod access;
mod admin;
mod catalog;
mod files;
mod info;
mod repo;
mod tensors;
mod tree;
mod weights;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::http::{Content, Reply, Request};
use crate::ids;
use crate::world::{Call, World};
use access::{Bucket, Limits, Tokens, Windows};
pub(crate) use admin::administer;
use files::Links;
use repo::{Kind, Repo};

/// What a sandbox has changed or added on its Hub.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Hub {
    /// By `models/ns/name`; these stand before the catalog's.
    changed: BTreeMap<String, Repo>,
    tokens: Tokens,
    limits: Limits,
    #[serde(default)]
    links: Links,
    #[serde(skip)]
    windows: Windows,
}

impl Hub {
    fn repo(&self, kind: Kind, id: &str) -> Option<&Repo> {
        let changed = self.changed.get(&format!("{}/{id}", kind.name()));
        changed.or_else(|| catalog::repo(kind, id))
    }

    /// The ids of all repositories of a kind, in their order.
    fn ids(&self, kind: Kind) -> BTreeSet<String> {
        let folder = format!("{}/", kind.name());
        let changed = self.changed.keys();
        changed
            .filter_map(|key| key.strip_prefix(&folder).map(str::to_owned))
            .chain(catalog::ids(kind))
            .collect()
    }
}

/// Whether a path is one of the Hub's.
pub(crate) fn is_hub_path(request: &Request) -> bool {
    request
        .segments
        .first()
        .is_some_and(|first| first == "api" || first == "_cdn")
        || resolve_route(&request.segments).is_some()
}

/// Answer a request to the Hub.
pub(crate) fn answer(world: &mut World, call: &Call<'_>) -> Reply {
    let request = call.request;
    let is_file = request.segments.first().is_some_and(|first| first != "api");
    if request
        .segments
        .first()
        .is_some_and(|first| first == "_cdn")
    {
        return files::cdn(world, call);
    }
    let bucket = if is_file {
        Bucket::Resolvers
    } else {
        Bucket::Api
    };
    let (headers, refused) = world.hub.count(bucket, request);
    let reply = refused.unwrap_or_else(|| {
        let answer = if is_file {
            files::resolve(world, call)
        } else {
            api(world, call)
        };
        let reply = answer.unwrap_or_else(|refusal| refusal);
        if is_file {
            reply
        } else {
            revalidated(reply, request)
        }
    });
    let id = ids::uuid(world.seed, &["hub request", &request.path]);
    let reply = reply.with("x-request-id", &format!("Root=1-{id}"));
    headers
        .iter()
        .fold(reply, |reply, (name, value)| reply.with(name, value))
}

/// What may follow the id of a repository.
const VERBS: [&str; 4] = ["revision", "tree", "paths-info", "refs"];

fn api(world: &mut World, call: &Call<'_>) -> Result<Reply, Reply> {
    let request = call.request;
    let parts: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    if parts == ["api", "whoami-v2"] {
        return info::whoami(world, request);
    }
    if let ["api", kind] = parts.as_slice()
        && let Some(kind) = Kind::of(kind)
        && request.is_read()
    {
        world.hub.tokens.of(request)?;
        return Ok(info::list(&world.hub, kind, request));
    }
    let (kind, rest) = match parts.as_slice() {
        ["api", kind, rest @ ..] if !rest.is_empty() => (Kind::of(kind), rest),
        _ => (None, [].as_slice()),
    };
    let kind = kind.ok_or_else(no_route)?;
    // Old repositories have no namespace: `gpt2`.
    let plain = rest.len() == 1 || VERBS.contains(&rest[1]);
    let (id, rest) = if plain {
        (rest[0].to_owned(), &rest[1..])
    } else {
        (rest[..2].join("/"), &rest[2..])
    };

    let token = world.hub.tokens.of(request)?;
    let repo = world.hub.repo(kind, &id);
    access::may_see(repo, token.as_ref())?;
    let repo = repo.ok_or_else(no_route)?;
    if let Some(to) = &repo.card.moved_to {
        return Ok(moved(request, &id, to));
    }
    match (request.method.as_str(), rest) {
        ("GET" | "HEAD", []) => info::info(repo, None, request),
        ("GET" | "HEAD", ["revision", revision]) => info::info(repo, Some(revision), request),
        ("GET" | "HEAD", ["refs"]) => Ok(info::refs(repo)),
        ("GET" | "HEAD", ["tree", revision, path @ ..]) => {
            tree::tree(repo, revision, &path.join("/"), call)
        }
        ("POST", ["paths-info", revision]) => tree::paths_info(repo, revision, request),
        _ => Err(no_route()),
    }
}

/// Give an answer of the API its entity tag, and leave its body out when the client has it.
fn revalidated(reply: Reply, request: &Request) -> Reply {
    let Content::Json(body) = &reply.content else {
        return reply;
    };
    if reply.status != StatusCode::OK || request.method == Method::POST {
        return reply;
    }
    let etag = catalog::etag(body.to_string().as_bytes());
    if request
        .header("if-none-match")
        .is_some_and(|known| known.split(", ").any(|tag| tag == etag))
    {
        return Reply::empty(StatusCode::NOT_MODIFIED).with("etag", &etag);
    }
    reply.with("etag", &etag)
}

/// The parts of `/{id}/resolve/{rev}/{path}`.
struct ResolveRoute<'a> {
    kind: Kind,
    id: String,
    revision: &'a str,
    path: String,
}

fn resolve_route(segments: &[String]) -> Option<ResolveRoute<'_>> {
    let (kind, rest) = match segments.first().map(String::as_str) {
        Some("datasets") => (Kind::Datasets, &segments[1..]),
        Some("spaces") => (Kind::Spaces, &segments[1..]),
        _ => (Kind::Models, segments),
    };
    let at = rest.iter().take(3).position(|part| part == "resolve")?;
    let [revision, path @ ..] = rest.get(at + 1..)? else {
        return None;
    };
    let named = (1..=2).contains(&at) && !path.is_empty();
    named.then(|| ResolveRoute {
        kind,
        id: rest[..at].join("/"),
        revision,
        path: path.join("/"),
    })
}

/// A repository that has another name now; relative, so that clients keep their token.
fn moved(request: &Request, from: &str, to: &str) -> Reply {
    let mut location = request.path.replacen(from, to, 1);
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&request.query)
        .finish();
    if !query.is_empty() {
        location = format!("{location}?{query}");
    }
    Reply::empty(StatusCode::TEMPORARY_REDIRECT).with("location", &location)
}

/// An error as the Hub has it: JSON, and the same in headers, which is what its client reads.
pub(crate) fn error(status: StatusCode, code: Option<&str>, text: &str) -> Reply {
    let reply = Reply::json(status, json!({"error": text})).with("x-error-message", text);
    match code {
        Some(code) => reply.with("x-error-code", code),
        None => reply,
    }
}

fn no_route() -> Reply {
    error(
        StatusCode::NOT_FOUND,
        None,
        "Sorry, we can't find the page you are looking for.",
    )
}

fn no_revision(revision: &str) -> Reply {
    let text = format!("Invalid rev id: {revision}");
    error(StatusCode::NOT_FOUND, Some("RevisionNotFound"), &text)
}

fn no_entry() -> Reply {
    error(
        StatusCode::NOT_FOUND,
        Some("EntryNotFound"),
        "Entry not found",
    )
}
