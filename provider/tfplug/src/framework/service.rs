//! A provider as the service that Terraform calls.
//!
//! ```text
//! Terraform ── wire ──► Service ──► Erased<R> ──► R: Resource
//!                        │  decode, guard, encode    pipeline, model, rules
//!                        └─ schemas, client, stop
//! ```
//!
//! Every call answers `Ok` with diagnostics; a gRPC error would lose the state of an apply. The
//! calls themselves are in `rpc.rs`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::context::Stopper;
use super::data_source::AnyDataSource;
use super::ephemeral::AnyEphemeralResource;
use super::erased::{AnyResource, Shape};
use super::function::AnyFunction;
use super::provider::Parts;
use super::{Context, Provider};
use crate::Diagnostic;
use crate::wire;

/// A provider to serve: hand it to [`serve_blocking`](crate::serve::serve_blocking).
///
/// Nothing is built before Terraform asks for it: schemas one by one when first needed, the
/// client when the provider is configured.
pub struct Service<P: Provider> {
    pub(super) provider: P,
    pub(super) stopper: Stopper,
    shape: OnceLock<Shape>,
    schemas: OnceLock<wire::get_provider_schema::Response>,
    client: RwLock<Option<Arc<P::Client>>>,
    resources: BTreeMap<String, Box<dyn AnyResource<P::Client>>>,
    data_sources: BTreeMap<String, Box<dyn AnyDataSource<P::Client>>>,
    ephemeral_resources: BTreeMap<String, Box<dyn AnyEphemeralResource<P::Client>>>,
    functions: BTreeMap<String, Box<dyn AnyFunction>>,
}

impl<P: Provider> Service<P> {
    /// The service of a provider.
    pub fn new(provider: P) -> Self {
        let Parts {
            resources,
            data_sources,
            ephemeral_resources,
            functions,
        } = provider.parts();
        let full = |name: &str| format!("{}_{name}", P::NAME);
        Self {
            resources: resources
                .into_iter()
                .map(|part| (full(part.name()), part))
                .collect(),
            data_sources: data_sources
                .into_iter()
                .map(|part| (full(part.name()), part))
                .collect(),
            ephemeral_resources: ephemeral_resources
                .into_iter()
                .map(|part| (full(part.name()), part))
                .collect(),
            functions: functions
                .into_iter()
                .map(|part| (part.name().to_owned(), part))
                .collect(),
            provider,
            stopper: Stopper::new(),
            shape: OnceLock::new(),
            schemas: OnceLock::new(),
            client: RwLock::new(None),
        }
    }

    /// The schema of the `provider` block.
    pub(super) fn shape(&self) -> &Shape {
        self.shape
            .get_or_init(|| Shape::new(self.provider.schema()))
    }

    pub(super) fn context(&self) -> Context<P::Client> {
        let client = self
            .client
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Context::new(client, self.stopper.signal())
    }

    pub(super) fn configured(&self, client: P::Client) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(client));
    }

    pub(super) fn resource(&self, name: &str) -> Result<&dyn AnyResource<P::Client>, Diagnostic> {
        self.resources
            .get(name)
            .map(AsRef::as_ref)
            .ok_or_else(|| unknown("resource type", name))
    }

    pub(super) fn data_source(
        &self,
        name: &str,
    ) -> Result<&dyn AnyDataSource<P::Client>, Diagnostic> {
        self.data_sources
            .get(name)
            .map(AsRef::as_ref)
            .ok_or_else(|| unknown("data source", name))
    }

    pub(super) fn ephemeral_resource(
        &self,
        name: &str,
    ) -> Result<&dyn AnyEphemeralResource<P::Client>, Diagnostic> {
        let found = self.ephemeral_resources.get(name).map(AsRef::as_ref);
        found.ok_or_else(|| unknown("ephemeral resource type", name))
    }

    pub(super) fn function(&self, name: &str) -> Result<&dyn AnyFunction, Diagnostic> {
        self.functions
            .get(name)
            .map(AsRef::as_ref)
            .ok_or_else(|| unknown("function", name))
    }

    pub(super) fn definitions(&self) -> HashMap<String, wire::Function> {
        self.functions
            .iter()
            .map(|(name, function)| (name.clone(), function.definition()))
            .collect()
    }

    /// What the provider offers, in full; built once.
    pub(super) fn schemas(&self) -> &wire::get_provider_schema::Response {
        self.schemas.get_or_init(|| {
            let schema = |shape: &Shape| wire::Schema::from(&shape.schema);
            wire::get_provider_schema::Response {
                provider: Some(schema(self.shape())),
                resource_schemas: self
                    .resources
                    .iter()
                    .map(|(name, part)| (name.clone(), schema(part.shape())))
                    .collect(),
                data_source_schemas: self
                    .data_sources
                    .iter()
                    .map(|(name, part)| (name.clone(), schema(part.shape())))
                    .collect(),
                ephemeral_resource_schemas: self
                    .ephemeral_resources
                    .iter()
                    .map(|(name, part)| (name.clone(), schema(part.shape())))
                    .collect(),
                functions: self.definitions(),
                server_capabilities: Some(capabilities()),
                ..wire::get_provider_schema::Response::default()
            }
        })
    }

    /// What the provider offers, by name only.
    pub(super) fn metadata(&self) -> wire::get_metadata::Response {
        use wire::get_metadata::{
            DataSourceMetadata, EphemeralMetadata, FunctionMetadata, ResourceMetadata, Response,
        };
        Response {
            server_capabilities: Some(capabilities()),
            resources: self
                .resources
                .keys()
                .map(|name| ResourceMetadata {
                    type_name: name.clone(),
                })
                .collect(),
            data_sources: self
                .data_sources
                .keys()
                .map(|name| DataSourceMetadata {
                    type_name: name.clone(),
                })
                .collect(),
            ephemeral_resources: self
                .ephemeral_resources
                .keys()
                .map(|name| EphemeralMetadata {
                    type_name: name.clone(),
                })
                .collect(),
            functions: self
                .functions
                .keys()
                .map(|name| FunctionMetadata { name: name.clone() })
                .collect(),
            ..Response::default()
        }
    }
}

fn capabilities() -> wire::ServerCapabilities {
    wire::ServerCapabilities {
        plan_destroy: true,
        get_provider_schema_optional: true,
        move_resource_state: true,
        generate_resource_config: false,
    }
}

fn unknown(kind: &str, name: &str) -> Diagnostic {
    Diagnostic::error("Provider does not have this").detail(format!(
        "This version of the provider has no {kind} `{name}`. Check the name, or run `terraform \
         init -upgrade` for a newer version."
    ))
}
