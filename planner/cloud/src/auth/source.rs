//! Where Google credentials come from: a file, its text, an access token, the environment.

use google_cloud_auth::build_errors::Error as BuildError;
use google_cloud_auth::credentials::{
    self as google, AccessTokenCredentials, CacheableResource, CredentialsProvider,
    external_account, impersonated, service_account, user_account,
};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap, HeaderValue, header};
use serde_json::Value;

use super::{Auth, AuthError, Tokens, bearer, not_built};
use crate::Secret;

/// The one scope that all APIs we call accept; IAM decides what is allowed.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

impl Auth {
    /// What the options give, without impersonation.
    pub(super) fn source(&self) -> Result<Tokens, AuthError> {
        if let Some(token) = &self.options.access_token {
            return Ok(Tokens::Fixed(token.clone()));
        }
        let quota = self.options.quota_project.as_deref();
        let built = match &self.options.credentials {
            None => {
                let mut builder = google::Builder::default().with_scopes([SCOPE]);
                if let Some(project) = quota {
                    builder = builder.with_quota_project_id(project);
                }
                builder.build_access_token_credentials()
            }
            Some(given) => build(read_credentials(given)?, quota)?,
        };
        built
            .map(Tokens::Refreshed)
            .map_err(|error| not_built(&error))
    }

    /// Short-lived tokens of another account.
    pub(super) fn impersonate(
        &self,
        source: &Tokens,
        account: &str,
    ) -> Result<AccessTokenCredentials, AuthError> {
        let source: google::Credentials = match source {
            Tokens::Refreshed(credentials) => credentials.clone().into(),
            Tokens::Fixed(token) => Fixed(bearer(token)?).into(),
        };
        let mut builder = impersonated::Builder::from_source_credentials(source)
            .with_target_principal(account)
            .with_scopes([SCOPE]);
        if let Some(project) = &self.options.quota_project {
            builder = builder.with_quota_project_id(project);
        }
        builder
            .build_access_token_credentials()
            .map_err(|error| not_built(&error))
    }
}

/// A given access token, as `google-cloud-auth` wants the source of an impersonation.
#[derive(Debug)]
struct Fixed(HeaderValue);

impl CredentialsProvider for Fixed {
    async fn headers(
        &self,
        _: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let data = HeaderMap::from_iter([(header::AUTHORIZATION, self.0.clone())]);
        Ok(CacheableResource::New {
            entity_tag: google::EntityTag::new(),
            data,
        })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

type Built = Result<AccessTokenCredentials, BuildError>;

fn build((kind, json): (String, Value), quota: Option<&str>) -> Result<Built, AuthError> {
    macro_rules! with_quota {
        ($builder:expr) => {{
            let builder = $builder;
            match quota {
                Some(project) => builder.with_quota_project_id(project),
                None => builder,
            }
            .build_access_token_credentials()
        }};
    }
    Ok(match kind.as_str() {
        "service_account" => with_quota!(
            service_account::Builder::new(json)
                .with_access_specifier(service_account::AccessSpecifier::from_scopes([SCOPE]))
        ),
        "authorized_user" => with_quota!(user_account::Builder::new(json).with_scopes([SCOPE])),
        "external_account" => {
            with_quota!(external_account::Builder::new(json).with_scopes([SCOPE]))
        }
        "impersonated_service_account" => {
            with_quota!(impersonated::Builder::new(json).with_scopes([SCOPE]))
        }
        _ => {
            return Err(AuthError::lasting(format!(
                "`credentials` has the type {kind:?}, which is not supported"
            )));
        }
    })
}

/// The file's `type`, and the file.
pub(super) fn read_credentials(given: &Secret) -> Result<(String, Value), AuthError> {
    let given = given.expose().trim();
    let text = if given.starts_with('{') {
        given.to_owned()
    } else {
        std::fs::read_to_string(given).map_err(|error| {
            // What does not look like a path may be a key or a token, and is not repeated.
            let is_path = given.starts_with(['/', '.', '~']) && !given.contains('\n');
            let name = if is_path { given } else { "`credentials`" };
            AuthError::lasting(format!(
                "{name} is neither the text nor the path of a credentials file: {error}"
            ))
        })?
    };
    // serde's messages name line and column, never the content.
    let json: Value = serde_json::from_str(&text)
        .map_err(|error| AuthError::lasting(format!("`credentials` is not JSON: {error}")))?;
    let kind = json
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    Ok((kind, json))
}
