//! Google credentials: found or given, made on the first request, never shown.
//!
//! | given | becomes |
//! |---|---|
//! | a sandbox | the fixed token `sandbox` |
//! | `access_token` | that token, as it is |
//! | `credentials` | service-account key, authorized user, workload identity federation, or impersonation, by the file's `type` |
//! | nothing | application default credentials: the environment's file, gcloud's file, the metadata server |
//! | + `impersonate_service_account` | short-lived tokens of that account, asked for as the above |
//!
//! `google-cloud-auth` does the flows and keeps tokens fresh. It alone reads the environment.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use google_cloud_auth::build_errors::Error as BuildError;
use google_cloud_auth::credentials::{
    self as google, AccessTokenCredentials, CacheableResource, CredentialsProvider,
    external_account, idtoken, impersonated, service_account, user_account,
};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap, HeaderValue, header};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Secret;
use crate::transport::{
    Api, ApiError, Credential, Request, Transport, install_tls_provider, path_text,
};

/// The one scope that all APIs we call accept; IAM decides what is allowed.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Longest wait for a token: the metadata server of a machine that has none never answers.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(20);

const HOW_TO_SIGN_IN: &str = "Run `gcloud auth application-default login`, or set `credentials`, `access_token` or \
                              GOOGLE_APPLICATION_CREDENTIALS.";

/// Which Google credentials to use.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The text of a credentials file, or its path.
    pub credentials: Option<Secret>,
    /// An access token; wins over `credentials`.
    pub access_token: Option<Secret>,
    /// Email of the service account to act as.
    pub impersonate_service_account: Option<String>,
    /// Project that quota is charged to, where it is not the credential's own.
    pub quota_project: Option<String>,
    /// All APIs are a sandbox's: no credentials are looked for, and none leave.
    pub sandbox: bool,
}

/// Why there is no credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}. {hint}")]
pub struct AuthError {
    /// What happened.
    pub message: String,
    /// The next move.
    pub hint: String,
    /// Whether trying again may help.
    pub transient: bool,
}

impl AuthError {
    fn lasting(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: HOW_TO_SIGN_IN.to_owned(),
            transient: false,
        }
    }

    fn with_hint(self, hint: &str) -> Self {
        Self {
            hint: hint.to_owned(),
            ..self
        }
    }

    pub(crate) fn into_api_error(self, request: &Request) -> ApiError {
        let transient = self.transient;
        ApiError {
            transient,
            ..ApiError::local(request, "UNAUTHENTICATED", self.to_string())
        }
    }
}

/// The credentials of one transport.
pub struct Auth {
    options: Options,
    made: OnceLock<Result<Made, AuthError>>,
}

/// Credentials ready to give tokens.
struct Made {
    caller: Tokens,
    /// Behind an impersonation; the caller itself where there is none.
    source: Tokens,
}

#[derive(Clone)]
enum Tokens {
    Fixed(Secret),
    Refreshed(AccessTokenCredentials),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Auth {
    /// Credentials by these options. Looks for nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            made: OnceLock::new(),
        }
    }

    /// A token for Google's APIs, good for some minutes at least.
    pub async fn access_token(&self) -> Result<Secret, AuthError> {
        match &self.made()?.caller {
            Tokens::Fixed(token) => Ok(token.clone()),
            Tokens::Refreshed(credentials) => {
                let token = in_time(credentials.access_token()).await?;
                Ok(Secret::new(token.token))
            }
        }
    }

    /// A token that proves who calls to the service with the URL `audience`: what a private
    /// Cloud Run service asks for.
    ///
    /// Service accounts can have one (by key, metadata server or impersonation); a user, a
    /// federated identity or a bare access token cannot, and the error says so.
    pub async fn id_token(
        &self,
        transport: &Transport,
        audience: &str,
        deadline: Instant,
    ) -> Result<Secret, AuthError> {
        if let Some(account) = &self.options.impersonate_service_account {
            return impersonated_id_token(transport, account, audience, deadline).await;
        }
        if self.options.sandbox {
            return Ok(Secret::new("sandbox"));
        }
        if self.options.access_token.is_some() {
            let error =
                AuthError::lasting("an access token cannot be exchanged for an identity token");
            return Err(error.with_hint(HOW_TO_IMPERSONATE));
        }
        install_tls_provider();
        let built = match &self.options.credentials {
            None => idtoken::Builder::new(audience).with_include_email().build(),
            Some(given) => {
                let (kind, json) = read_credentials(given)?;
                match kind.as_str() {
                    "service_account" => {
                        idtoken::service_account::Builder::new(audience, json).build()
                    }
                    "impersonated_service_account" => {
                        idtoken::impersonated::Builder::new(audience, json)
                            .with_include_email()
                            .build()
                    }
                    _ => {
                        let message =
                            format!("credentials of type {kind} cannot make an identity token");
                        return Err(AuthError::lasting(message).with_hint(HOW_TO_IMPERSONATE));
                    }
                }
            }
        };
        let credentials = built.map_err(|error| {
            let hint = if error.is_not_supported() {
                HOW_TO_IMPERSONATE
            } else {
                HOW_TO_SIGN_IN
            };
            not_built(&error).with_hint(hint)
        })?;
        in_time(credentials.id_token()).await.map(Secret::new)
    }

    /// The headers that carry a credential.
    pub(crate) async fn headers(
        &self,
        credential: Credential,
        deadline: Instant,
    ) -> Result<HeaderMap, AuthError> {
        let made = self.made()?;
        let tokens = match credential {
            Credential::Caller => &made.caller,
            Credential::Source => &made.source,
        };
        match tokens {
            Tokens::Refreshed(credentials) => {
                let headers = credentials.headers(Extensions::new());
                let found = tokio::time::timeout_at(deadline, in_time(headers)).await;
                match found.map_err(|_| too_slow())?? {
                    CacheableResource::New { data, .. } => Ok(data),
                    CacheableResource::NotModified => Err(AuthError::lasting("no token was given")),
                }
            }
            Tokens::Fixed(token) => {
                let mut headers = HeaderMap::new();
                headers.insert(header::AUTHORIZATION, bearer(token)?);
                if let Some(project) = &self.options.quota_project {
                    let value = HeaderValue::try_from(project).map_err(|_| {
                        AuthError::lasting(format!("{project:?} is not a project id"))
                    })?;
                    headers.insert("x-goog-user-project", value);
                }
                Ok(headers)
            }
        }
    }

    fn made(&self) -> Result<&Made, AuthError> {
        self.made
            .get_or_init(|| self.make())
            .as_ref()
            .map_err(Clone::clone)
    }

    fn make(&self) -> Result<Made, AuthError> {
        if self.options.sandbox {
            let fixed = Tokens::Fixed(Secret::new("sandbox"));
            return Ok(Made {
                caller: fixed.clone(),
                source: fixed,
            });
        }
        install_tls_provider();
        let source = self.source()?;
        let caller = match &self.options.impersonate_service_account {
            None => source.clone(),
            Some(account) => Tokens::Refreshed(self.impersonate(&source, account)?),
        };
        Ok(Made { caller, source })
    }

    fn source(&self) -> Result<Tokens, AuthError> {
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

    fn impersonate(
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

const HOW_TO_IMPERSONATE: &str = "Set `impersonate_service_account` to an account that may call the endpoint; you need \
                                  roles/iam.serviceAccountTokenCreator on it.";

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

/// An identity token of an account that the source credential may impersonate. Asked for here,
/// not by `google-cloud-auth`, so that the address of IAM Credentials can be overridden.
async fn impersonated_id_token(
    transport: &Transport,
    account: &str,
    audience: &str,
    deadline: Instant,
) -> Result<Secret, AuthError> {
    #[derive(serde::Deserialize)]
    struct Answer {
        token: String,
    }
    let request = generate_id_token(account, audience);
    let answer: Answer = transport
        .json(&request, deadline)
        .await
        .map_err(|error| AuthError {
            message: error.to_string(),
            hint: HOW_TO_IMPERSONATE.to_owned(),
            transient: error.transient,
        })?;
    Ok(Secret::new(answer.token))
}

fn generate_id_token(account: &str, audience: &str) -> Request {
    let path = format!(
        "/v1/projects/-/serviceAccounts/{}:generateIdToken",
        path_text(account)
    );
    let body = json!({"audience": audience, "includeEmail": true});
    Request::post(Api::IamCredentials, path, body)
        .repeatable()
        .sensitive()
        .with_source_credential()
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
fn read_credentials(given: &Secret) -> Result<(String, Value), AuthError> {
    let given = given.expose().trim();
    let text = if given.starts_with('{') {
        given.to_owned()
    } else {
        std::fs::read_to_string(given).map_err(|error| {
            // A text that is neither JSON nor a file may be a key with a broken first line.
            let name = if given.len() > 300 || given.contains('\n') {
                "`credentials`"
            } else {
                given
            };
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

fn bearer(token: &Secret) -> Result<HeaderValue, AuthError> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose().trim()))
        .map_err(|_| AuthError::lasting("`access_token` has characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn in_time<T>(
    work: impl Future<Output = Result<T, CredentialsError>>,
) -> Result<T, AuthError> {
    let done = tokio::time::timeout(TOKEN_TIMEOUT, work)
        .await
        .map_err(|_| too_slow())?;
    done.map_err(|error| {
        let mut message = format!("Google gave no token: {error}");
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            let next_text = next.to_string();
            if !message.contains(&next_text) {
                message = format!("{message}: {next_text}");
            }
            cause = next.source();
        }
        AuthError {
            transient: error.is_transient(),
            ..AuthError::lasting(message)
        }
    })
}

fn too_slow() -> AuthError {
    AuthError {
        transient: true,
        ..AuthError::lasting("no token came in time; is there a metadata server here?")
    }
}

fn not_built(error: &BuildError) -> AuthError {
    AuthError::lasting(format!("the Google credentials cannot be used: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    async fn authorization(options: Options) -> Result<HeaderMap, AuthError> {
        Auth::new(options).headers(Credential::Caller, soon()).await
    }

    #[tokio::test]
    async fn a_sandbox_gets_a_fixed_token_and_never_the_users() {
        let options = Options {
            sandbox: true,
            access_token: Some(Secret::new("ya29.real")),
            ..Options::default()
        };
        let headers = authorization(options).await.expect("headers");
        assert_eq!(headers["authorization"], "Bearer sandbox");
    }

    #[tokio::test]
    async fn an_access_token_is_sent_with_the_quota_project_and_stays_hidden() {
        let options = Options {
            access_token: Some(Secret::new("ya29.real")),
            quota_project: Some("billing-me".to_owned()),
            ..Options::default()
        };
        let shown = format!("{:?}", Auth::new(options.clone()));
        assert!(!shown.contains("ya29"), "{shown}");
        let headers = authorization(options).await.expect("headers");
        assert_eq!(headers["authorization"], "Bearer ya29.real");
        assert_eq!(headers["x-goog-user-project"], "billing-me");
        assert!(!format!("{headers:?}").contains("ya29"));
    }

    #[tokio::test]
    async fn credentials_that_cannot_be_read_say_why_without_showing_them() {
        let fails = async |text: &str| {
            let options = Options {
                credentials: Some(Secret::new(text)),
                ..Options::default()
            };
            authorization(options)
                .await
                .expect_err("cannot be used")
                .to_string()
        };
        assert!(
            fails("/no/such/key.json")
                .await
                .contains("/no/such/key.json is neither the text nor the path")
        );
        assert!(fails("{\"type\": \"x").await.contains("is not JSON"));
        assert!(
            fails("{\"type\": \"gdch\"}")
                .await
                .contains("type \"gdch\", which is not supported")
        );
        let key = fails("-----BEGIN PRIVATE KEY-----\nMIIEvQ").await;
        assert!(!key.contains("MIIEvQ"), "{key}");
    }

    #[tokio::test]
    async fn what_cannot_prove_who_calls_says_what_to_do() {
        let transport = Transport::new(crate::transport::Options::default());
        for options in [
            Options {
                access_token: Some(Secret::new("ya29.x")),
                ..Options::default()
            },
            Options {
                credentials: Some(Secret::new(r#"{"type": "authorized_user"}"#)),
                ..Options::default()
            },
        ] {
            let auth = Auth::new(options);
            let error = auth
                .id_token(&transport, "https://chat.run.app", soon())
                .await
                .expect_err("cannot");
            assert!(
                error
                    .to_string()
                    .contains("Set `impersonate_service_account`"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_impersonated_identity_token_is_asked_for_as_the_source() {
        let request =
            generate_id_token("ci@acme-ml.iam.gserviceaccount.com", "https://chat.run.app");
        assert_eq!(request.credential, Credential::Source);
        insta::assert_snapshot!(request, @"
        POST iam_credentials /v1/projects/-/serviceAccounts/ci@acme-ml.iam.gserviceaccount.com:generateIdToken
        (hidden)
        ");
    }
}
