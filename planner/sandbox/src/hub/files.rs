//! Serving files: the resolver, which answers or redirects, and the store behind it.

use std::time::Duration;

use axum::http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::repo::{Kind, Repo};
use super::{access, moved, no_entry, no_revision, no_route, resolve_route};
use crate::clock::Time;
use crate::http::{self, Reply};
use crate::ids;
use crate::world::{Call, World};

/// How the store's signed URLs are made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Links {
    /// Virtual seconds that one is good for.
    lifetime_seconds: u64,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            lifetime_seconds: 3_600,
        }
    }
}

/// What a path may hold as it is (RFC 3986, unreserved).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// `GET|HEAD /{id}/resolve/{rev}/{path}`: small files at once, LFS files by a redirect.
pub(super) fn resolve(world: &mut World, call: &Call<'_>) -> Result<Reply, Reply> {
    let request = call.request;
    let route = resolve_route(&request.segments)
        .filter(|_| request.is_read())
        .ok_or_else(no_route)?;
    let token = world.hub.tokens.of(request)?;
    let repo = world.hub.repo(route.kind, &route.id);
    access::may_see(repo, token.as_ref())?;
    let repo = repo.ok_or_else(no_route)?;
    if let Some(to) = &repo.card.moved_to {
        return Ok(moved(request, &route.id, to));
    }
    access::may_read(repo, token.as_ref())?;
    let commit = repo
        .resolve(route.revision)
        .ok_or_else(|| no_revision(route.revision))?;
    let file = repo.file(commit, &route.path).ok_or_else(no_entry)?;
    let etag = format!("\"{}\"", file.etag());
    let name = route.path.rsplit('/').next().unwrap_or_default();
    let reply = if file.lfs.is_some() {
        let place = format!(
            "{}/{}/{}/{}",
            repo.kind.name(),
            repo.id,
            commit.sha,
            route.path
        );
        let lifetime = Duration::from_secs(world.hub.links.lifetime_seconds);
        let location = signed(world.seed, call, &place, world.now().plus(lifetime));
        let reply = Reply::empty(StatusCode::FOUND)
            .with("location", &location)
            .with("x-linked-etag", &etag)
            .with("x-linked-size", &file.size().to_string())
            .with("etag", &etag)
            .with("accept-ranges", "bytes");
        match repo.xet_hash(&file) {
            Some(hash) => with_xet(reply, call, repo, &commit.sha, &hash),
            None => reply,
        }
    } else {
        http::serve(request, file.source, &etag)
            .with("content-type", "text/plain; charset=utf-8")
            .with(
                "content-disposition",
                &format!("inline; filename=\"{name}\""),
            )
    };
    Ok(reply
        .with("x-repo-commit", &commit.sha)
        .with("vary", "Origin, Accept"))
}

/// What tells a client that it may fetch a file by the Xet protocol instead.
fn with_xet(reply: Reply, call: &Call<'_>, repo: &Repo, sha: &str, hash: &str) -> Reply {
    let kind = repo.kind.name();
    let route = format!("{}/api/{kind}/{}/xet-read-token/{sha}", call.base, repo.id);
    reply
        .with("x-xet-hash", hash)
        .with("x-xet-refresh-route", &route)
        .with("link", &format!("<{route}>; rel=\"xet-auth\""))
}

/// A URL that opens one file without a token, until it expires. It is of another origin than the request's, as the
/// real store is: clients stop there when they ask for metadata, and must not send their token.
fn signed(seed: u64, call: &Call<'_>, place: &str, expires: Time) -> String {
    let expires = (expires.micros() / 1_000_000).to_string();
    let parts: Vec<String> = place
        .split('/')
        .map(|part| utf8_percent_encode(part, PLAIN).to_string())
        .collect();
    let (_, port) = call.base.rsplit_once(':').unwrap_or_default();
    let host = if call.request.host == "localhost" {
        "127.0.0.1"
    } else {
        "localhost"
    };
    format!(
        "http://{host}:{port}/_cdn/{}?Expires={expires}&Signature={}",
        parts.join("/"),
        signature(seed, place, &expires)
    )
}

fn signature(seed: u64, place: &str, expires: &str) -> String {
    ids::hex(&ids::digest(seed, &["cdn", place, expires]))
}

/// `GET|HEAD /_cdn/{kind}/{ns}/{name}/{sha}/{path}?Expires=…&Signature=…`
pub(super) fn cdn(world: &World, call: &Call<'_>) -> Reply {
    let request = call.request;
    let denied = |message: &str| {
        let text = format!("<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>");
        Reply::text(StatusCode::FORBIDDEN, "application/xml", text)
    };
    let forbidden = || denied("Access Denied");
    let place = request.segments[1..].join("/");
    let expires = request.query("Expires").unwrap_or_default();
    if request.query("Signature") != Some(signature(world.seed, &place, expires).as_str())
        || !request.is_read()
    {
        return forbidden();
    }
    let end = expires.parse::<i64>().unwrap_or(0);
    if world.now().micros() / 1_000_000 >= end {
        return denied("Request has expired");
    }
    if request.header("authorization").is_some() {
        let text = "<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>";
        return Reply::text(StatusCode::BAD_REQUEST, "application/xml", text);
    }
    let [_, kind, id @ ..] = request.segments.as_slice() else {
        return forbidden();
    };
    let found = Kind::of(kind).and_then(|kind| {
        // The commit is where forty hexadecimal digits stand, after one or two parts of an id.
        let at = id.iter().take(3).position(|part| part.len() == 40)?;
        let repo = world.hub.repo(kind, &id[..at].join("/"))?;
        repo.file(repo.resolve(&id[at])?, &id[at + 1..].join("/"))
    });
    let Some(file) = found else {
        let text = "<Error><Code>NoSuchKey</Code><Message>Not Found</Message></Error>";
        return Reply::text(StatusCode::NOT_FOUND, "application/xml", text);
    };
    let etag = format!("\"{}\"", file.etag());
    http::serve(request, file.source, &etag).with("content-type", "application/octet-stream")
}
