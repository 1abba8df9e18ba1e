//! Google's APIs: find the method in its Discovery document, check the request, then answer it.
//!
//!   host or path ─► Api ─► Method ─► bearer? ─► query and body by schema ─► handler
//!
//! What is not in the documents under `data/discovery` is answered with 404 in Google's shape.

mod discovery;
mod error;
mod identity;
mod policy;
pub(crate) mod run;
mod schema;
pub(crate) mod secret_manager;
pub(crate) mod storage;
pub(crate) mod transfer;

use axum::http::Method as Verb;
use serde_json::Value;

pub(crate) use error::Error;

use crate::http::{Reply, Request};
use crate::world::{Answer, Call, World};
use discovery::{Document, Method, Route};

/// What handlers return.
pub(crate) type Outcome = Result<Value, Error>;

/// One of Google's APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    Run,
    SecretManager,
    Storage,
    StorageTransfer,
    IamCredentials,
    Sts,
    OAuth,
    ResourceManager,
    Metadata,
    Unknown,
}

/// First parts of paths that are no buckets: of APIs that the sandbox does not have, and its own.
const NOT_BUCKETS: [&str; 5] = ["batch", "bigquery", "compute", "sandbox", "v1beta1"];

impl Api {
    /// By the host of the real service; regional hosts too.
    pub(crate) fn of_host(host: &str) -> Option<Self> {
        if matches!(
            host,
            "metadata.google.internal" | "169.254.169.254" | "metadata"
        ) {
            return Some(Self::Metadata);
        }
        let name = host.strip_suffix(".googleapis.com")?;
        if name == "storage" || name.ends_with(".storage") {
            return Some(Self::Storage);
        }
        Some(match name.split('.').next().unwrap_or_default() {
            "secretmanager" => Self::SecretManager,
            "storagetransfer" => Self::StorageTransfer,
            "iamcredentials" => Self::IamCredentials,
            "sts" => Self::Sts,
            "oauth2" => Self::OAuth,
            "cloudresourcemanager" => Self::ResourceManager,
            run if run == "run" || run.ends_with("-run") => Self::Run,
            _ => Self::Unknown,
        })
    }

    /// By path, for clients that are pointed at this port by a base URL.
    pub(crate) fn of_path(request: &Request) -> Self {
        let parts: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["computeMetadata", ..] => Self::Metadata,
            ["storage" | "upload" | "download" | "resumable", ..] => Self::Storage,
            [] if request.header("metadata-flavor").is_some() => Self::Metadata,
            ["v2", "projects", ..] => Self::Run,
            ["v1", "projects", _, "serviceAccounts", ..] => Self::IamCredentials,
            ["v1", "projects", _, "secrets", ..]
            | ["v1", "projects", _, "locations", _, "secrets", ..] => Self::SecretManager,
            [
                "v1",
                "googleServiceAccounts" | "transferJobs" | "transferOperations",
                ..,
            ] => Self::StorageTransfer,
            ["v1", "token"] => Self::Sts,
            ["token"] | ["o", "oauth2", "token"] | ["oauth2", "v4", "token"] => Self::OAuth,
            ["v1" | "v3", "projects", _] => Self::ResourceManager,
            // The last, because any two words are a bucket and an object of the XML API.
            [first, ..]
                if !NOT_BUCKETS.contains(first) && storage::is_object_path(&request.segments) =>
            {
                Self::Storage
            }
            _ => Self::Unknown,
        }
    }

    /// Name in the log, as in Discovery.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::SecretManager => "secretmanager",
            Self::Storage => "storage",
            Self::StorageTransfer => "storagetransfer",
            Self::IamCredentials => "iamcredentials",
            Self::Sts => "sts",
            Self::OAuth => "oauth2",
            Self::ResourceManager => "cloudresourcemanager",
            Self::Metadata => "metadata",
            Self::Unknown => "unknown",
        }
    }

    fn document(self) -> Option<&'static Document> {
        match self {
            Self::Run => discovery::document("run.v2"),
            Self::SecretManager => discovery::document("secretmanager.v1"),
            Self::Storage => discovery::document("storage.v1"),
            Self::StorageTransfer => discovery::document("storagetransfer.v1"),
            Self::IamCredentials => discovery::document("iamcredentials.v1"),
            Self::Sts => discovery::document("sts.v1"),
            _ => None,
        }
    }
}

/// The Discovery method that a request calls.
pub(crate) fn method_id(api: Api, request: &Request) -> Option<String> {
    if api == Api::Storage {
        return storage::method_id(request);
    }
    let route = api.document()?.route(&request.method, &request.segments)?;
    Some(route.method.id.clone())
}

/// A request that is known to a Discovery document and has passed its checks.
struct Checked<'a> {
    call: &'a Call<'a>,
    document: &'static Document,
    discovered: &'static Method,
    /// Last part of the method id with its collection: `services.create`.
    method: &'static str,
    /// Values of the path's variables, in order.
    path: Vec<String>,
    /// The body without read-only members, in canonical JSON: 64-bit integers as strings.
    body: Value,
}

/// Answer a request to one of Google's APIs.
pub(crate) fn answer(world: &mut World, api: Api, call: &Call<'_>) -> Answer {
    match api {
        Api::Metadata => return Answer::Reply(identity::metadata(world, call)),
        Api::OAuth => return Answer::Reply(identity::oauth_token(world, call)),
        Api::Storage => return Answer::Reply(storage::answer(world, call)),
        Api::Sts => return Answer::Reply(identity::sts_token(world, call)),
        Api::ResourceManager => {
            let answer = authorised(world, call).and_then(|()| identity::project(world, call));
            return Answer::Reply(reply(answer));
        }
        _ => {}
    }
    let checked = match check(world, api, call) {
        Ok(checked) => checked,
        Err(error) => return Answer::Reply(error.reply()),
    };
    let outcome = match api {
        Api::Run => match run::answer(world, &checked) {
            Ok(run::Progress::Done(value)) => Ok(value),
            Ok(run::Progress::Wait(longest)) => return Answer::Later(longest),
            Err(error) => Err(error),
        },
        Api::SecretManager => secret_manager::answer(world, &checked),
        Api::StorageTransfer => transfer::answer(world, &checked),
        Api::IamCredentials => identity::credentials(world, &checked),
        _ => Err(Error::no_route()),
    };
    Answer::Reply(reply(outcome.and_then(|answer| {
        schema::check_answer(checked.document, checked.discovered, &answer)?;
        Ok(answer)
    })))
}

fn reply(outcome: Outcome) -> Reply {
    outcome.map_or_else(Error::reply, Reply::ok)
}

fn check<'a>(world: &World, api: Api, call: &'a Call<'a>) -> Result<Checked<'a>, Error> {
    let request = call.request;
    let document = api.document().ok_or_else(Error::no_route)?;
    let Route { method, path } = document
        .route(&request.method, &request.segments)
        .ok_or_else(Error::no_route)?;
    authorised(world, call)?;
    schema::check_query(method, &request.query)?;
    let body = if request.method == Verb::GET || request.method == Verb::DELETE {
        Value::Null
    } else {
        schema::check_body(document, method, &request.body)?
    };
    Ok(Checked {
        call,
        document,
        discovered: method,
        method: method.short(),
        path,
        body,
    })
}

/// Any bearer will do; none will not, unless the sandbox was told so.
fn authorised(world: &World, call: &Call<'_>) -> Result<(), Error> {
    if world.anonymous || call.request.token().is_some() {
        Ok(())
    } else {
        Err(Error::unauthenticated())
    }
}

/// The page that `pageSize` and `pageToken` ask for, and the token of the next one.
/// `items` are sorted by their name, which is what a token holds.
fn page<T>(
    call: &Call<'_>,
    items: Vec<(String, T)>,
    largest: usize,
) -> Result<(Vec<T>, Option<String>), Error> {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::URL_SAFE;
    let size = match call.request.query("pageSize").map(str::parse::<i64>) {
        None | Some(Ok(0)) => largest,
        Some(Ok(size)) if size > 0 => usize::try_from(size).unwrap_or(largest).min(largest),
        Some(_) => return Err(Error::invalid("page_size must not be negative.")),
    };
    let after = match call
        .request
        .query("pageToken")
        .filter(|token| !token.is_empty())
    {
        None => None,
        Some(token) => {
            let bytes = base64
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            Some(bytes.ok_or_else(|| Error::invalid("The page token is invalid."))?)
        }
    };
    let mut rest: Vec<(String, T)> = items
        .into_iter()
        .filter(|(name, _)| after.as_ref().is_none_or(|after| name > after))
        .collect();
    let more = rest.len() > size;
    rest.truncate(size);
    let next = rest
        .last()
        .filter(|_| more)
        .map(|(name, _)| base64.encode(name));
    Ok((rest.into_iter().map(|(_, item)| item).collect(), next))
}
