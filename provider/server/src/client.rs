//! What the provider block makes: settings from configuration and environment, and the clients
//! they lead to, each made when first needed. Terraform configures a provider several times per
//! command, so nothing here connects, except for a catalog at a URL that is not in the cache yet.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use openmodel_cloud::huggingface::HubOptions;
use openmodel_cloud::transport::{self, Api, Endpoints, Exchange};
use openmodel_cloud::virus_total::VirusTotal;
use openmodel_cloud::{GoogleCloud, Hub, HubError, Secret, Transport, auth};
use openmodel_graph::operation::SecretSlot;
use openmodel_resolve::Catalog;
use openmodel_schemas::name::{CommitSha, Revision};
use openmodel_schemas::snapshot::Repository;
use tfplug::serve::log;
use tfplug::value::{Refinement, Value};
use tfplug::{Diagnostic, Diagnostics};

use crate::catalog;
use crate::gates::Lookups;
use crate::provider::{EndpointsModel, ProviderModel};

/// Labels by key.
type Labels = BTreeMap<String, Value<String>>;

/// The configured provider.
pub(crate) struct Client {
    /// Default project.
    pub(crate) project: Value<String>,
    /// Default region.
    pub(crate) region: Value<String>,
    /// Labels of every object.
    pub(crate) default_labels: Value<BTreeMap<String, Value<String>>>,
    /// Whether the Hub is asked without a token only because the token is not known yet.
    pub(crate) hub_token_is_unknown: bool,
    /// Whether it is not known yet where the Hub is: an unknown `sandbox` is not the public Hub.
    pub(crate) hub_is_unknown: bool,
    /// Arguments without which no cloud can be called, and which are not known yet.
    waiting: Vec<&'static str>,
    offline: bool,
    lookups: Lookups,
    transport: Transport,
    cache: Option<PathBuf>,
    catalog: catalog::Choice,
    hub: OnceLock<Hub>,
}

impl Client {
    /// Merges the provider block with the environment. Values may be unknown while planning.
    pub(crate) async fn configure(
        config: ProviderModel,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Diagnostics> {
        let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
        let or = |value: Value<String>, names: &[&str]| match value {
            Value::Null => names.iter().find_map(|name| environment(name)).into(),
            value => value,
        };
        let mut waiting = Vec::new();
        let mut known = |name: &'static str, value: &Value<String>| {
            if value.is_unknown() {
                waiting.push(name);
            }
            value.as_known().cloned()
        };

        let sandbox = or(config.sandbox, &["OPENMODEL_SANDBOX"]);
        let credentials = or(config.credentials, &["GOOGLE_CREDENTIALS"]);
        let access_token = or(config.access_token, &["GOOGLE_OAUTH_ACCESS_TOKEN"]);
        let impersonate = or(
            config.impersonate_service_account,
            &["GOOGLE_IMPERSONATE_SERVICE_ACCOUNT"],
        );
        let billing = or(config.billing_project, &["GOOGLE_BILLING_PROJECT"]);
        let hub_token = or(config.hugging_face_token, &["HF_TOKEN"]);
        let virus_total_key = or(config.virus_total_api_key, &["VTCLI_APIKEY"]);
        let zone = or(config.zone, &["GOOGLE_ZONE"]);
        let region = or(config.region, &["GOOGLE_REGION"]);
        let region = if region.is_null() {
            zone.map(|zone| region_of(&zone))
        } else {
            region
        };

        let hub_is_unknown = sandbox.is_unknown();
        let sandbox = known("sandbox", &sandbox);
        let auth = auth::Options {
            credentials: known("credentials", &credentials).map(Secret::new),
            access_token: known("access_token", &access_token).map(Secret::new),
            impersonate_service_account: known("impersonate_service_account", &impersonate),
            quota_project: known("billing_project", &billing),
            sandbox: sandbox.is_some(),
        };
        let virus_total_is_elsewhere = hub_is_unknown
            || config.endpoints.is_unknown()
            || config
                .endpoints
                .as_known()
                .is_some_and(|urls| urls.virus_total.is_unknown());
        let endpoints = endpoints(
            config.endpoints,
            sandbox.as_deref(),
            environment("HF_ENDPOINT"),
            &mut waiting,
        )?;
        let hub_token_is_unknown = hub_token.is_unknown();
        for secret in [
            credentials,
            access_token,
            hub_token.clone(),
            virus_total_key.clone(),
        ]
        .iter()
        .filter_map(Value::as_known)
        {
            log::conceal(secret);
        }
        let offline = config.offline.as_known().copied().unwrap_or(false);
        let cache = cache_folder(environment);
        let catalog = catalog::Source {
            catalog: &config.catalog,
            sha256: &config.catalog_sha256,
            discounts: &config.discounts,
            offline,
            cache: cache.as_deref(),
            on_request: Arc::new(log_exchange),
        };
        let catalog = catalog.read().await?;
        let transport = Transport::new(transport::Options {
            endpoints,
            auth,
            hugging_face_token: hub_token.into_known().map(Secret::new),
            virus_total_key: virus_total_key.as_known().cloned().map(Secret::new),
            on_request: Some(Arc::new(log_exchange)),
            ..transport::Options::default()
        });
        Ok(Self {
            project: or(
                config.project,
                &["GOOGLE_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"],
            ),
            region,
            default_labels: config.default_labels,
            hub_token_is_unknown,
            hub_is_unknown,
            waiting,
            offline,
            lookups: match &virus_total_key {
                Value::Null => Lookups::No,
                Value::Known(_) if virus_total_is_elsewhere => {
                    Lookups::NotNow("where it is asked is not known yet")
                }
                Value::Known(_) if !offline => Lookups::With(VirusTotal::new(transport.clone())),
                Value::Known(_) => Lookups::NotNow("the provider has offline = true"),
                Value::Unknown(_) => {
                    Lookups::NotNow("the provider's virus_total_api_key is not known yet")
                }
            },
            transport,
            cache,
            catalog,
            hub: OnceLock::new(),
        })
    }

    /// The commit that a revision stands for now. What is there keeps the one it has (`before`) when the Hub cannot
    /// be asked: a plan that changes nothing must not fail because the Hub is down.
    pub(crate) async fn commit(
        &self,
        repository: &Repository,
        revision: &Revision,
        before: Option<CommitSha>,
    ) -> Result<CommitSha, HubError> {
        if let Some(commit) = revision.as_commit() {
            return Ok(commit);
        }
        match (self.hub().resolve(repository, revision).await, before) {
            (Err(error), Some(commit)) if error.is_passing() => {
                let id = &repository.id;
                let text = format!("{id}@{revision} keeps its commit: {error}");
                log::warn("hub", &text, &[]);
                Ok(commit)
            }
            (resolved, _) => resolved,
        }
    }

    /// The Hub.
    pub(crate) fn hub(&self) -> &Hub {
        self.hub.get_or_init(|| {
            Hub::new(
                self.transport.clone(),
                HubOptions {
                    cache: self.cache.clone(),
                    offline: self.offline,
                },
            )
        })
    }

    /// Whether and how `VirusTotal` is asked.
    pub(crate) const fn lookups(&self) -> &Lookups {
        &self.lookups
    }

    /// Google Cloud, with the secrets that the operations of one apply name.
    pub(crate) fn google(
        &self,
        secrets: BTreeMap<SecretSlot, Secret>,
    ) -> Result<GoogleCloud, Diagnostic> {
        if let Some(arguments) = self.waits_for() {
            return Err(Diagnostic::error("Provider configuration is not known yet").detail(format!(
                "Google Cloud cannot be called before these arguments of the provider block are known: {arguments}. \
                 Apply what they come from first, with -target."
            )));
        }
        Ok(GoogleCloud::new(self.transport.clone(), secrets))
    }

    /// The arguments without which no cloud can be called, where they are not known yet.
    pub(crate) fn waits_for(&self) -> Option<String> {
        (!self.waiting.is_empty()).then(|| self.waiting.join(", "))
    }

    /// A resource's labels over the provider's.
    pub(crate) fn effective_labels(&self, labels: &Value<Labels>) -> Value<Labels> {
        let unknown = || Value::Unknown(Refinement::default().with_not_null());
        let set = |labels: &Labels| -> Labels {
            labels
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        let mut merged: Labels = match &self.default_labels {
            Value::Known(defaults) => set(defaults),
            Value::Null => Labels::new(),
            Value::Unknown(_) => return unknown(),
        };
        match labels {
            Value::Known(labels) => merged.extend(set(labels)),
            Value::Null => {}
            Value::Unknown(_) => return unknown(),
        }
        Value::Known(merged)
    }

    /// Shapes and prices; none while it is not known yet which.
    pub(crate) fn catalog(&self) -> Option<&Catalog> {
        self.catalog.known()
    }
}

fn log_exchange(exchange: &Exchange<'_>) {
    if !log::enabled(log::Level::Debug) {
        return;
    }
    let outcome = exchange.status.map_or_else(
        || exchange.lost.unwrap_or("lost").to_owned(),
        |status| status.to_string(),
    );
    log::debug(
        "http",
        &format!("{} {}", exchange.method, exchange.url),
        &[
            ("outcome", &outcome),
            ("attempt", &exchange.attempt),
            ("elapsed_ms", &exchange.elapsed.as_millis()),
        ],
    );
}

fn endpoints(
    config: Value<EndpointsModel>,
    sandbox: Option<&str>,
    hf_endpoint: Option<String>,
    waiting: &mut Vec<&'static str>,
) -> Result<Endpoints, Diagnostic> {
    let refuse = |path: &str, why: &dyn std::fmt::Display| {
        Diagnostic::error("Invalid base URL")
            .at(path)
            .detail(format!("{why}."))
    };
    let mut endpoints = match sandbox {
        Some(url) => Endpoints::sandbox(url).map_err(|why| refuse("sandbox", &why))?,
        None => Endpoints::default(),
    };
    if let (None, Some(url)) = (sandbox, hf_endpoint) {
        endpoints
            .set(Api::Hub, &url)
            .map_err(|why| refuse("endpoints.hub", &format!("HF_ENDPOINT: {why}")))?;
    }
    if config.is_unknown() {
        waiting.push("endpoints");
    }
    let config = config.into_known().unwrap_or_default();
    for (api, url) in [
        (Api::Run, config.run),
        (Api::SecretManager, config.secret_manager),
        (Api::Storage, config.storage),
        (Api::StorageTransfer, config.storage_transfer),
        (Api::IamCredentials, config.iam_credentials),
        (Api::ResourceManager, config.resource_manager),
        (Api::Hub, config.hub),
        (Api::VirusTotal, config.virus_total),
    ] {
        match url {
            Value::Known(url) => {
                let path = format!("endpoints.{}", api.name());
                endpoints
                    .set(api, &url)
                    .map_err(|why| refuse(&path, &why))?;
            }
            Value::Null => {}
            // The Hub is asked at its usual place until then, VirusTotal not at all; for Google's credentials
            // the usual would be the wrong place.
            Value::Unknown(_) if matches!(api, Api::Hub | Api::VirusTotal) => {}
            Value::Unknown(_) => waiting.push("endpoints"),
        }
    }
    Ok(endpoints)
}

/// `us-central1-a` lies in `us-central1`.
fn region_of(zone: &str) -> String {
    zone.rsplit_once('-')
        .map_or_else(|| zone.to_owned(), |(region, _)| region.to_owned())
}

/// Where model cards are kept between runs: `OPENMODEL_CACHE_DIR`, else the system's place for
/// caches; none where there is none.
fn cache_folder(environment: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let folder = |name: &str| environment(name).map(PathBuf::from);
    folder("OPENMODEL_CACHE_DIR").or_else(|| {
        let caches = folder("XDG_CACHE_HOME")
            .or_else(|| folder("LOCALAPPDATA"))
            .or_else(|| folder("HOME").map(|home| home.join(".cache")));
        caches.map(|caches| caches.join("openmodel"))
    })
}
