//! `ephemeral.openmodel_access_token`: a short-lived token to call an endpoint, in no plan and no
//! state.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tfplug::framework::{Context, EphemeralResource, Opened};
use tfplug::schema::{Attribute, Schema};
use tfplug::serve::log;
use tfplug::value::Value;
use tfplug::{Diagnostic, Diagnostics};
use tokio::time::Instant;

use crate::client::Client;
use crate::errors;

/// Longest wait for a token.
const PATIENCE: Duration = Duration::from_mins(1);

/// `ephemeral "openmodel_access_token"`.
pub(crate) struct AccessToken;

/// Its attributes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct AccessTokenModel {
    pub(crate) audience: Value<String>,
    pub(crate) token: Value<String>,
}

impl EphemeralResource for AccessToken {
    const TYPE: &'static str = "access_token";
    type Client = Client;
    type Model = AccessTokenModel;

    fn schema(&self) -> Schema {
        Schema::new(
            "A short-lived token of the provider's own identity, to call an endpoint that is not public \
             (`Authorization: Bearer …`). It lives for at most an hour and is in no plan and no state.",
        )
        .attributes([
            Attribute::string("audience").optional().description(
                "URL of the endpoint: the token is then an OpenID Connect identity token for it, which is what \
                 Cloud Run asks for. Unset: an OAuth access token for Google's APIs.",
            ),
            Attribute::string("token").computed().sensitive().description("The token."),
        ])
    }

    async fn open(
        &self,
        context: &Context<Client>,
        config: AccessTokenModel,
    ) -> Result<Opened<AccessTokenModel>, Diagnostics> {
        let google = context.client()?.google(BTreeMap::new())?;
        let (transport, deadline) = (google.transport(), Instant::now() + PATIENCE);
        let token = match config.audience.as_known() {
            Some(audience) => {
                transport
                    .auth()
                    .id_token(transport, audience, deadline)
                    .await
            }
            None => transport.auth().access_token().await,
        };
        let token = token.map_err(|error| {
            Diagnostic::error("No token could be made").detail(errors::sentence(&error.to_string()))
        })?;
        log::conceal(token.expose());
        Ok(Opened::from(AccessTokenModel {
            token: Value::from(token.expose()),
            ..config
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn struct_and_schema_agree() {
        tfplug::testing::assert_model_matches::<AccessTokenModel>(&AccessToken.schema());
    }
}
