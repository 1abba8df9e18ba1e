//! Serving files: the resolver, which answers or redirects, and the store behind it.

use axum::http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::repo::{Kind, Repo};
use super::{access, moved, no_entry, no_revision, no_route, resolve_route};
use crate::http::{self, Reply};
use crate::ids;
use crate::world::{Call, World};

/// How long a signed URL says it is good for, in seconds. It does not end.
const SIGNED_FOR: u64 = 3_600;
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
        let location = signed(world.seed, call, repo, &commit.sha, &route.path);
        Reply::empty(StatusCode::FOUND)
            .with("location", &location)
            .with("x-linked-etag", &etag)
            .with("x-linked-size", &file.size().to_string())
            .with("etag", &etag)
            .with("accept-ranges", "bytes")
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

/// A URL that opens one file without a token. It is of another origin than the request's, as the
/// real store is: clients stop there when they ask for metadata, and must not send their token.
fn signed(seed: u64, call: &Call<'_>, repo: &Repo, sha: &str, path: &str) -> String {
    let place = format!("{}/{}/{sha}/{path}", repo.kind.name(), repo.id);
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
        "http://{host}:{port}/_cdn/{}?Expires={SIGNED_FOR}&Signature={}",
        parts.join("/"),
        signature(seed, &place)
    )
}

fn signature(seed: u64, place: &str) -> String {
    ids::hex(&ids::digest(seed, &["cdn", place]))
}

/// `GET|HEAD /_cdn/{kind}/{ns}/{name}/{sha}/{path}?Signature=…`
pub(super) fn cdn(world: &World, call: &Call<'_>) -> Reply {
    let request = call.request;
    let forbidden = || {
        let text = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
        Reply::text(StatusCode::FORBIDDEN, "application/xml", text)
    };
    let place = request.segments[1..].join("/");
    if request.query("Signature") != Some(signature(world.seed, &place).as_str())
        || !request.is_read()
    {
        return forbidden();
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
