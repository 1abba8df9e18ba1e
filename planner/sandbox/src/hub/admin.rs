//! Changing the Hub from outside: add repositories, commit to them, gate them, rename them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Limits;
use super::access::Token;
use super::repo::{Blob, Card, Kind, Repo};
use crate::admin::{Refusal, body};
use crate::http::Request;
use crate::world::World;

/// `PUT`: a whole repository.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Put {
    #[serde(default)]
    card: Card,
    files: BTreeMap<String, Blob>,
}

/// `POST`: a commit on top of a branch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Post {
    #[serde(default = "main")]
    branch: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    files: BTreeMap<String, Blob>,
    #[serde(default)]
    remove: Vec<String>,
}

fn main() -> String {
    "main".to_owned()
}

/// Requests under `/sandbox/hub`.
pub(crate) fn administer(
    world: &mut World,
    verb: &str,
    path: &[&str],
    request: &Request,
) -> Result<Value, Refusal> {
    match (verb, path) {
        ("PUT", ["tokens"]) => {
            world
                .hub
                .tokens
                .set(body::<BTreeMap<String, Token>>(request)?);
            Ok(json!({}))
        }
        ("PUT", ["limits"]) => {
            world.hub.limits = body::<Limits>(request)?;
            world.hub.windows = super::Windows::default();
            Ok(json!({}))
        }
        ("PUT", ["links"]) => {
            world.hub.links = body(request)?;
            Ok(json!({}))
        }
        (verb, [kind, id @ ..]) if (1..=2).contains(&id.len()) => {
            let kind = Kind::of(kind).ok_or(Refusal::NoRoute)?;
            repository(world, verb, kind, &id.join("/"), request)
        }
        _ => Err(Refusal::NoRoute),
    }
}

fn repository(
    world: &mut World,
    verb: &str,
    kind: Kind,
    id: &str,
    request: &Request,
) -> Result<Value, Refusal> {
    let date = world.clock.tick().rfc3339();
    let missing = || {
        Refusal::Bad(format!(
            "the sandbox's Hub has no {} {id}: PUT it first",
            kind.name()
        ))
    };
    let known = world.hub.repo(kind, id).cloned();
    let repo = match verb {
        "PUT" => {
            let put: Put = body(request)?;
            check(&put.files)?;
            Repo::new(kind, id, put.card, put.files, &date)
        }
        "POST" => {
            let post: Post = body(request)?;
            check(&post.files)?;
            let mut repo = known.ok_or_else(missing)?;
            let base = repo.resolve(&post.branch).or_else(|| repo.resolve("main"));
            let mut files = base.map(super::repo::Commit::blobs).unwrap_or_default();
            files.retain(|path, _| !post.remove.contains(path));
            files.extend(post.files);
            repo.commit(&post.branch, &post.title, files, &date);
            repo
        }
        "PATCH" => {
            let mut repo = known.ok_or_else(missing)?;
            let mut card = json!(repo.card);
            let changes: BTreeMap<String, Value> = body(request)?;
            if let Some(members) = card.as_object_mut() {
                members.extend(changes);
            }
            repo.card = serde_json::from_value(card)
                .map_err(|error| Refusal::Bad(format!("the card: {error}")))?;
            repo
        }
        _ => return Err(Refusal::NoRoute),
    };
    let answer = json!({"id": id, "branches": repo.branches, "card": repo.card});
    world
        .hub
        .changed
        .insert(format!("{}/{id}", kind.name()), repo);
    Ok(answer)
}

fn check(files: &BTreeMap<String, Blob>) -> Result<(), Refusal> {
    for (path, blob) in files {
        let odd = path
            .split('/')
            .any(|part| part.is_empty() || part == "." || part == "..");
        if odd {
            return Err(Refusal::Bad(format!(
                "{path:?} is not a path inside a repository"
            )));
        }
        if let Some(fault) = blob.fault() {
            return Err(Refusal::Bad(format!("{path} {fault}")));
        }
    }
    Ok(())
}
