//! The `provider` block: where, as whom, and against which clouds. Every argument is optional.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tfplug::Diagnostics;
use tfplug::framework::{ConfigureRequest, Context, Parts, Provider};
use tfplug::schema::{Attribute, Schema, Validator, conflicts_with, length, regex, required_with};
use tfplug::value::{Dynamic, Type, Value};

use crate::catalog;
use crate::client::Client;
use crate::data_sources::model::ModelDataSource;
use crate::data_sources::shapes::ShapesDataSource;
use crate::data_sources::snapshot::SnapshotDataSource;
use crate::ephemeral::access_token::AccessToken;
use crate::functions::memory_estimate::MemoryEstimate;
use crate::functions::monthly_cost::MonthlyCost;
use crate::functions::parse_model_id::ParseModelId;
use crate::functions::parse_shape::ParseShape;
use crate::resources::cache::Cache;
use crate::resources::endpoint::Endpoint;
use crate::schema_parts::{checked, labels};
use openmodel_cloud::is_url;
use openmodel_schemas::name::{ProjectId, Region};

/// The provider `openmodel`.
pub(crate) struct OpenModel;

/// The `provider` block.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ProviderModel {
    pub(crate) project: Value<String>,
    pub(crate) region: Value<String>,
    pub(crate) zone: Value<String>,
    pub(crate) credentials: Value<String>,
    pub(crate) access_token: Value<String>,
    pub(crate) impersonate_service_account: Value<String>,
    pub(crate) billing_project: Value<String>,
    pub(crate) hugging_face_token: Value<String>,
    pub(crate) virus_total_api_key: Value<String>,
    pub(crate) default_labels: Value<BTreeMap<String, Value<String>>>,
    pub(crate) catalog: Value<String>,
    pub(crate) catalog_sha256: Value<String>,
    pub(crate) discounts: Value<String>,
    pub(crate) endpoints: Value<EndpointsModel>,
    pub(crate) sandbox: Value<String>,
    pub(crate) offline: Value<bool>,
}

/// `endpoints`: base URLs, for private gateways and tests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct EndpointsModel {
    pub(crate) run: Value<String>,
    pub(crate) secret_manager: Value<String>,
    pub(crate) storage: Value<String>,
    pub(crate) storage_transfer: Value<String>,
    pub(crate) iam_credentials: Value<String>,
    pub(crate) resource_manager: Value<String>,
    pub(crate) hub: Value<String>,
    pub(crate) virus_total: Value<String>,
}

impl Provider for OpenModel {
    const NAME: &'static str = "openmodel";
    type Model = ProviderModel;
    type Client = Client;

    fn schema(&self) -> Schema {
        let text = |name: &str, description: &str| {
            Attribute::string(name).optional().description(description)
        };
        let url = |name: &str| {
            Attribute::string(name)
                .optional()
                .validate(checked_url())
                .description(format!("Base URL of `{name}`."))
        };
        Schema::new(
            "Plan and run open models on Google Cloud. Every argument is optional and falls back to the \
             environment variable it names.",
        )
        .attributes([
            text("project", "Default Google Cloud project. Environment: `GOOGLE_PROJECT`, `GOOGLE_CLOUD_PROJECT`.")
                .validate(checked::<ProjectId>("A Google Cloud project id.")),
            text("region", "Default region. Environment: `GOOGLE_REGION`.")
                .validate(checked::<Region>("A region such as `us-central1`.")),
            text("zone", "Default zone; its region is used where none is set. Environment: `GOOGLE_ZONE`."),
            text(
                "credentials",
                "Path or text of a JSON credentials file: service account key, authorized user, workload identity \
                 federation. Environment: `GOOGLE_CREDENTIALS`. Default: Application Default Credentials.",
            )
            .sensitive()
            .validate(conflicts_with(&["access_token"])),
            text("access_token", "An OAuth access token, used as it is. Environment: `GOOGLE_OAUTH_ACCESS_TOKEN`.")
                .sensitive(),
            text(
                "impersonate_service_account",
                "Service account to act as. Environment: `GOOGLE_IMPERSONATE_SERVICE_ACCOUNT`.",
            ),
            text("billing_project", "Project charged for quota. Environment: `GOOGLE_BILLING_PROJECT`."),
            text(
                "hugging_face_token",
                "Token with which the plan reads gated and private models on the Hub. It is not given to \
                 endpoints. Environment: `HF_TOKEN`.",
            )
            .sensitive(),
            text(
                "virus_total_api_key",
                "Key of your VirusTotal account. With it the plan looks the SHA-256 of weight files up, and caches and \
                 endpoints treat what VirusTotal says as they treat the Hub's scanners; no file is sent. A free key \
                 is good for four files a minute: what a minute does not suffice for is named. Environment: \
                 `VTCLI_APIKEY`, as in VirusTotal's own `vt`.",
            )
            .sensitive(),
            Attribute::map_of("default_labels", Type::String)
                .optional()
                .validate(labels())
                .description("Labels of every object, under those of the object itself."),
            text(
                "catalog",
                "Path or `https://` URL of a newer catalog of shapes and prices; a URL needs `catalog_sha256`, is read \
                 once and kept. `terraform validate` does not read it. Default: the one in the provider. The plan shows \
                 the date of the prices it used, and keeps them until an input of the endpoint changes.",
            )
            .validate(length(1, 4096))
            .validate(pinned()),
            text("catalog_sha256", "SHA-256 of the catalog, in hexadecimal. Another content is an error.")
                .validate(regex(r"^[0-9a-fA-F]{64}$", "be a SHA-256 of 64 hexadecimal digits"))
                .validate(required_with(&["catalog"])),
            text(
                "discounts",
                "Path of a JSON file with your own terms: percentages off the list price, machines that a reservation \
                 or a commitment pays for and nothing else uses, committed spending that is left over. What a shape \
                 adds to the bill then decides, and is shown beside the list price; budgets stay gross. Each endpoint \
                 counts on all that the file says is free. What was planned keeps its figures until an input of the \
                 endpoint changes, as with prices. Format: `schemas/json/discounts.schema.json`.",
            )
            .validate(length(1, 4096)),
            Attribute::object(
                "endpoints",
                [
                    "run",
                    "secret_manager",
                    "storage",
                    "storage_transfer",
                    "iam_credentials",
                    "resource_manager",
                    "hub",
                    "virus_total",
                ]
                .map(url),
            )
            .optional()
            .description("Base URLs of the APIs in place of the public ones. `hub`: environment `HF_ENDPOINT`."),
            text(
                "sandbox",
                "URL of `openmodel sandbox`; sets all of `endpoints` and needs no credentials. Environment: \
                 `OPENMODEL_SANDBOX`.",
            )
            .validate(checked_url()),
            Attribute::bool("offline")
                .optional()
                .description("Plan from the cache of the Hub alone; a model that is not in it is an error."),
        ])
    }

    fn parts(&self) -> Parts<Client> {
        Parts::new()
            .resource(Cache)
            .resource(Endpoint)
            .data_source(ModelDataSource)
            .data_source(ShapesDataSource)
            .data_source(SnapshotDataSource)
            .ephemeral_resource(AccessToken)
            .function(MemoryEstimate)
            .function(MonthlyCost)
            .function(ParseModelId)
            .function(ParseShape)
    }

    async fn configure(
        &self,
        _context: &Context<()>,
        request: ConfigureRequest<ProviderModel>,
    ) -> Result<Client, Diagnostics> {
        Client::configure(request.config, |name| std::env::var(name).ok()).await
    }
}

/// A catalog from a network is pinned.
fn pinned() -> Validator {
    Validator::new("", |args, found| {
        let place = args.value.as_str().unwrap_or_default();
        let unpinned = args.sibling("catalog_sha256").is_none_or(Dynamic::is_null);
        if is_url(place) && unpinned {
            found.push(catalog::unpinned(place));
        }
    })
}

fn checked_url() -> Validator {
    regex(
        r"^https?://[^\s]+$",
        "be a URL that starts with `https://` or `http://`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn struct_and_schema_agree() {
        tfplug::testing::assert_model_matches::<ProviderModel>(&OpenModel.schema());
    }
}
