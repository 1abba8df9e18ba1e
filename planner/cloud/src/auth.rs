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

mod id_token;
mod source;

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use google_cloud_auth::build_errors::Error as BuildError;
use google_cloud_auth::credentials::{
    AccessTokenCredentials, CacheableResource, CredentialsProvider as _,
};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap, HeaderValue, header};
use tokio::time::Instant;

use crate::Secret;
use crate::transport::{ApiError, Credential, Request, install_tls_provider};

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
}
