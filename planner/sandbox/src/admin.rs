//! The sandbox's own side, under `/sandbox`: look in, move time, break things, start over.

use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

use crate::clock::ClockMode;
use crate::faults::Rule;
use crate::google::run::Quota;
use crate::google::storage;
use crate::http::{Reply, Request};
use crate::hub;
use crate::server::Shared;
use crate::world::World;

/// Every route, as `GET /sandbox` lists them.
const ROUTES: [(&str, &str); 20] = [
    ("GET /sandbox", "this list"),
    (
        "GET /sandbox/inventory",
        "everything that clients have made, sorted, without times and ids",
    ),
    (
        "GET /sandbox/requests",
        "requests and answers, without secrets; ?api=run filters",
    ),
    ("DELETE /sandbox/requests", "forget them"),
    (
        "GET /sandbox/faults",
        "the fault rules, with how often each matched and fired",
    ),
    (
        "POST /sandbox/faults",
        "add a rule: {match, nth, times, probability, seed, then}",
    ),
    ("DELETE /sandbox/faults[/{id}]", "remove one rule, or all"),
    ("GET /sandbox/clock", "virtual time and how it moves"),
    ("POST /sandbox/clock/advance", "{seconds}: let time pass"),
    (
        "PUT /sandbox/clock",
        "{mode: auto|manual|real}: how time moves from now on",
    ),
    ("PUT /sandbox/auth", "{allowAnonymous, strictSecretAccess}"),
    (
        "PUT /sandbox/run/quotas",
        "[{region, accelerator, zonalRedundancy, limit}]: GPU quotas",
    ),
    (
        "GET|PUT /sandbox/storage",
        "{discardContent, rewriteBytesPerCall, uploadSeconds}: how Cloud Storage works",
    ),
    (
        "PUT /sandbox/storage/foreign/{bucket}",
        "the bucket belongs to somebody else",
    ),
    (
        "PUT|PATCH|POST /sandbox/hub/{models|datasets|spaces}/{id}",
        "add, change, commit to a repository",
    ),
    (
        "PUT /sandbox/hub/tokens",
        "{token: {name, gated, private}}: what Hub tokens may read",
    ),
    (
        "PUT /sandbox/hub/limits",
        "{api, resolvers, windowSeconds}: requests per window, of five minutes; {} lifts them",
    ),
    (
        "PUT /sandbox/hub/links",
        "{lifetimeSeconds}: how long the signed URLs of large files are good for",
    ),
    (
        "PUT /sandbox/virus-total",
        "{sha256: {malicious, suspicious, undetected, harmless}}: the files that VirusTotal knows",
    ),
    (
        "POST /sandbox/reset",
        "start over: nothing made, no rules, time at its start",
    ),
];

/// Answer a request under `/sandbox`.
pub(crate) fn answer(shared: &Shared, request: &Request) -> Reply {
    let path: Vec<&str> = request
        .segments
        .iter()
        .skip(1)
        .map(String::as_str)
        .collect();
    let outcome = match (request.method.as_str(), path.as_slice()) {
        ("GET", ["requests"]) => Ok(requests(shared, request.query("api"))),
        ("DELETE", ["requests"]) => {
            shared.log().clear();
            Ok(json!({}))
        }
        ("POST", ["reset"]) => {
            reset(shared);
            Ok(json!({}))
        }
        ("GET", []) => Ok(routes()),
        ("GET", ["health"]) => Ok(json!({"status": "ok", "url": shared.base})),
        (verb, path) => {
            let mut world = shared.world();
            world.version += u64::from(verb != "GET");
            change(&mut world, verb, path, request)
        }
    };
    match outcome {
        Ok(value) => Reply::ok(value),
        Err(Refusal::NoRoute) => {
            let text = format!(
                "{} {} is not a route of the sandbox; GET /sandbox lists them",
                request.method, request.path
            );
            Reply::json(StatusCode::NOT_FOUND, json!({"error": text}))
        }
        Err(Refusal::Bad(text)) => Reply::json(StatusCode::BAD_REQUEST, json!({"error": text})),
    }
}

/// Why an administrative request is not carried out.
pub(crate) enum Refusal {
    NoRoute,
    Bad(String),
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self::Bad(text)
    }
}

/// The JSON body of a request as a `T`.
pub(crate) fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Refusal> {
    serde_json::from_slice(&request.body)
        .map_err(|error| Refusal::Bad(format!("the body: {error}")))
}

fn change(
    world: &mut World,
    verb: &str,
    path: &[&str],
    request: &Request,
) -> Result<Value, Refusal> {
    match (verb, path) {
        ("GET", ["inventory"]) => Ok(world.inventory()),
        ("GET", ["faults"]) => Ok(json!(world.faults.list())),
        ("POST", ["faults"]) => {
            let rule = body::<Rule>(request)?;
            Ok(json!(world.faults.add(rule)?))
        }
        ("DELETE", ["faults"]) => {
            world.faults.clear();
            Ok(json!({}))
        }
        ("DELETE", ["faults", id]) if world.faults.remove(id) => Ok(json!({})),
        ("GET", ["clock"]) => Ok(clock(world)),
        ("POST", ["clock", "advance"]) => {
            let Advance { seconds } = body(request)?;
            let span = Duration::try_from_secs_f64(seconds)
                .map_err(|_| Refusal::Bad("seconds must not be negative".to_owned()))?;
            world.clock.advance(span);
            Ok(clock(world))
        }
        ("PUT", ["clock"]) => {
            let SetClock { mode } = body(request)?;
            world.clock.set_mode(mode);
            Ok(clock(world))
        }
        ("PUT", ["auth"]) => {
            let auth: Auth = body(request)?;
            world.anonymous = auth.allow_anonymous.unwrap_or(world.anonymous);
            world.strict_secret_access = auth
                .strict_secret_access
                .unwrap_or(world.strict_secret_access);
            Ok(json!({}))
        }
        ("PUT", ["run", "quotas"]) => {
            world.run.quotas = body::<Vec<Quota>>(request)?;
            Ok(json!(world.run.quotas))
        }
        ("PUT", ["virus-total"]) => {
            world.virus_total.set(body(request)?);
            Ok(json!({}))
        }
        (verb, ["storage", path @ ..]) => storage::administer(world, verb, path, request),
        (verb, ["hub", path @ ..]) => hub::administer(world, verb, path, request),
        _ => Err(Refusal::NoRoute),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetClock {
    mode: ClockMode,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Auth {
    allow_anonymous: Option<bool>,
    strict_secret_access: Option<bool>,
}

fn clock(world: &World) -> Value {
    json!({"now": world.now().rfc3339(), "mode": world.clock.mode()})
}

fn routes() -> Value {
    let routes = ROUTES
        .iter()
        .map(|(route, what)| ((*route).to_owned(), Value::from(*what)));
    json!({"sandbox": "openmodel", "routes": routes.collect::<serde_json::Map<_, _>>()})
}

fn requests(shared: &Shared, api: Option<&str>) -> Value {
    let log = shared.log();
    let wanted = log
        .entries()
        .filter(|entry| api.is_none_or(|api| api == entry.api));
    json!(wanted.collect::<Vec<_>>())
}

fn reset(shared: &Shared) {
    let mut world = shared.world();
    let version = world.version + 1;
    *world = World::new(&shared.options);
    world.version = version;
    drop(world);
    shared.log().clear();
}
