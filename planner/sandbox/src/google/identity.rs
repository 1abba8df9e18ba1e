//! Who a client is: OAuth and STS tokens, impersonation, the metadata server, project numbers.
//!
//! Tokens are made up and any is accepted later, but requests must be well formed. Expiry is by
//! the wall clock, with which clients compare it.

use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{Checked, Error, Outcome};
use crate::clock::wall_clock_in;
use crate::http::{Reply, Request};
use crate::ids;
use crate::world::{Call, World, number_of};

/// The project and account of the emulated metadata server.
const PROJECT: &str = "sandbox-project";
const ACCOUNT: &str = "sandbox@sandbox-project.iam.gserviceaccount.com";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// `oauth2.googleapis.com/token`: refresh tokens, signed assertions.
pub(super) fn oauth_token(world: &mut World, call: &Call<'_>) -> Reply {
    if call.request.is_read() || !call.request.path.ends_with("/token") {
        return Error::no_route().reply();
    }
    let fields = call.request.fields();
    let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let needs: &[&str] = match field("grant_type") {
        "refresh_token" => &["refresh_token", "client_id", "client_secret"],
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => &["assertion"],
        "" => {
            return oauth_error(
                "invalid_request",
                "Required parameter is missing: grant_type",
            );
        }
        _ => return oauth_error("unsupported_grant_type", "Invalid grant_type"),
    };
    if let Some(missing) = needs.iter().find(|name| field(name).is_empty()) {
        return oauth_error(
            "invalid_request",
            &format!("Missing required parameter: {missing}"),
        );
    }
    Reply::ok(json!({
        "access_token": access_token(world, "oauth"),
        "expires_in": 3599,
        "scope": SCOPE,
        "token_type": "Bearer",
        "id_token": id_token(ACCOUNT, "https://oauth2.googleapis.com"),
    }))
}

/// `sts.googleapis.com/v1/token`, in form or in JSON, by either spelling of the names.
pub(super) fn sts_token(world: &mut World, call: &Call<'_>) -> Reply {
    const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
    if call.request.is_read() || call.request.path != "/v1/token" {
        return Error::no_route().reply();
    }
    let fields = call.request.fields();
    let field = |snake: &str, camel: &str| -> String {
        let value = fields
            .get(snake)
            .or_else(|| fields.get(camel))
            .and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let grant = field("grant_type", "grantType");
    if grant != EXCHANGE {
        return oauth_error(
            "unsupported_grant_type",
            &format!("grant_type must be {EXCHANGE}"),
        );
    }
    for (snake, camel) in [
        ("audience", "audience"),
        ("subject_token", "subjectToken"),
        ("subject_token_type", "subjectTokenType"),
        ("requested_token_type", "requestedTokenType"),
    ] {
        if field(snake, camel).is_empty() {
            return oauth_error(
                "invalid_request",
                &format!("Missing required parameter: {snake}"),
            );
        }
    }
    Reply::ok(json!({
        "access_token": access_token(world, "sts"),
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": 3599,
    }))
}

/// `iamcredentials`: tokens of a service account for somebody else.
pub(super) fn credentials(world: &mut World, request: &Checked<'_>) -> Outcome {
    let account = request.path.get(1).map(String::as_str).unwrap_or_default();
    if !account.contains('@') && !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::not_found("Unknown service account"));
    }
    let body = &request.body;
    if request.method == "serviceAccounts.generateIdToken" {
        let audience = body["audience"]
            .as_str()
            .filter(|audience| !audience.is_empty());
        let audience = audience.ok_or_else(|| Error::invalid("audience is required"))?;
        return Ok(json!({"token": id_token(account, audience)}));
    }
    if body["scope"].as_array().is_none_or(Vec::is_empty) {
        return Err(Error::invalid("Scope required."));
    }
    let lifetime = body["lifetime"].as_str().unwrap_or("3600s");
    let seconds = lifetime
        .strip_suffix('s')
        .and_then(|number| number.parse::<u64>().ok());
    let seconds = seconds.filter(|seconds| (1..=43_200).contains(seconds));
    let seconds =
        seconds.ok_or_else(|| Error::invalid("The lifetime must be from 1s to 43200s."))?;
    Ok(json!({
        "accessToken": access_token(world, account),
        "expireTime": wall_clock_in(Duration::from_secs(seconds)),
    }))
}

/// Cloud Resource Manager, `projects.get` of v1 and v3.
pub(super) fn project(world: &mut World, call: &Call<'_>) -> Outcome {
    let parts: Vec<&str> = call.request.segments.iter().map(String::as_str).collect();
    let (version, project) = match parts.as_slice() {
        [version, "projects", project] if call.request.is_read() => (*version, *project),
        _ => return Err(Error::no_route()),
    };
    let id = world.projects.id(project);
    let number = number_of(&id);
    Ok(if version == "v1" {
        json!({"projectNumber": number, "projectId": id, "lifecycleState": "ACTIVE", "name": id})
    } else {
        json!({"name": format!("projects/{number}"), "projectId": id, "state": "ACTIVE", "displayName": id})
    })
}

/// The metadata server of a virtual machine.
pub(super) fn metadata(world: &mut World, call: &Call<'_>) -> Reply {
    let request = call.request;
    if request.header("metadata-flavor") != Some("Google") {
        return Reply::text(
            StatusCode::FORBIDDEN,
            "text/html",
            "Missing Metadata-Flavor:Google header.",
        );
    }
    let reply = match metadata_value(world, request) {
        Some(Value::String(text)) => Reply::text(StatusCode::OK, "application/text", text),
        Some(value) => Reply::ok(value),
        None => Reply::text(StatusCode::NOT_FOUND, "text/html", "Not Found"),
    };
    reply.with("metadata-flavor", "Google")
}

fn metadata_value(world: &mut World, request: &Request) -> Option<Value> {
    let parts: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let path = match parts.as_slice() {
        [] => return Some("computeMetadata/".into()),
        ["computeMetadata", "v1", path @ ..] => path,
        _ => return None,
    };
    Some(match path {
        ["project", "project-id"] => PROJECT.into(),
        ["project", "numeric-project-id"] => number_of(PROJECT).into(),
        ["instance", "zone"] => {
            format!("projects/{}/zones/us-central1-a", number_of(PROJECT)).into()
        }
        ["universe", "universe-domain" | "universe_domain"] => "googleapis.com".into(),
        [
            "instance",
            "service-accounts",
            "default" | ACCOUNT,
            rest @ ..,
        ] => match rest {
            [] => json!({"aliases": ["default"], "email": ACCOUNT, "scopes": [SCOPE]}),
            ["email"] => ACCOUNT.into(),
            ["scopes"] => SCOPE.into(),
            ["identity"] => id_token(ACCOUNT, request.query("audience")?).into(),
            ["token"] => json!({
                "access_token": access_token(world, "metadata"),
                "expires_in": 3599,
                "token_type": "Bearer",
            }),
            _ => return None,
        },
        _ => return None,
    })
}

fn oauth_error(error: &str, description: &str) -> Reply {
    let body = json!({"error": error, "error_description": description});
    Reply::json(StatusCode::BAD_REQUEST, body)
}

fn access_token(world: &mut World, whose: &str) -> String {
    format!("ya29.sandbox-{}", world.fresh("access token", whose))
}

/// A JSON Web Token in form; its signature is no signature.
fn id_token(account: &str, audience: &str) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let mut claims = Map::new();
    claims.insert("iss".into(), "https://accounts.google.com".into());
    claims.insert("aud".into(), audience.into());
    claims.insert(
        "sub".into(),
        ids::project_number(account).to_string().into(),
    );
    claims.insert("email".into(), account.into());
    claims.insert("email_verified".into(), true.into());
    claims.insert("iat".into(), now.into());
    claims.insert("exp".into(), (now + 3600).into());
    let header = part(json!({"alg": "RS256", "kid": "sandbox", "typ": "JWT"}));
    format!(
        "{header}.{}.{}",
        part(Value::Object(claims)),
        URL_SAFE_NO_PAD.encode("not a signature")
    )
}
