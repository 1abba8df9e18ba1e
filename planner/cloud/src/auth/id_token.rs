//! Tokens that prove who calls: what a private Cloud Run service asks for.

use google_cloud_auth::credentials::idtoken;
use serde_json::json;
use tokio::time::Instant;

use super::source::read_credentials;
use super::{Auth, AuthError, HOW_TO_SIGN_IN, in_time, not_built};
use crate::Secret;
use crate::transport::{Api, Request, Transport, install_tls_provider, path_text};

const HOW_TO_IMPERSONATE: &str = "Set `impersonate_service_account` to an account that may call the endpoint; you need \
                                  roles/iam.serviceAccountTokenCreator on it.";

impl Auth {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::Options;
    use crate::transport::Credential;

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
                .id_token(
                    &transport,
                    "https://chat.run.app",
                    Instant::now() + Duration::from_secs(5),
                )
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
