//! A provider: its configuration, the client made of it, and what it offers.

use std::future::Future;

use serde::{Deserialize, Serialize};

use super::data_source::{AnyDataSource, DataSource};
use super::ephemeral::{AnyEphemeralResource, EphemeralResource};
use super::erased::{AnyResource, Erased};
use super::function::{AnyFunction, Function};
use super::{Context, Model, Resource};
use crate::Diagnostics;
use crate::schema::Schema;

/// A provider. Serve it with [`Service`](super::Service).
pub trait Provider: Send + Sync + 'static {
    /// The start of every type name: `"example"` makes `example_note`.
    const NAME: &'static str;
    /// The `provider` block as a struct.
    type Model: Model;
    /// What resources work with: usually a client of the remote API.
    type Client: Send + Sync + 'static;

    /// The attributes of the `provider` block.
    fn schema(&self) -> Schema;

    /// What the provider offers. Called once, at start: it only lists.
    fn parts(&self) -> Parts<Self::Client>;

    /// Checks across attributes of the `provider` block. Values may be unknown; no network.
    fn validate(&self, _config: &Self::Model) -> Diagnostics {
        Diagnostics::new()
    }

    /// Makes the client. While planning, values may be unknown: make what can be made, and let
    /// the calls that need the missing value say so. Connect lazily: Terraform configures a
    /// provider several times per command.
    fn configure(
        &self,
        context: &Context<()>,
        request: ConfigureRequest<Self::Model>,
    ) -> impl Future<Output = Configured<Self::Client>> + Send;
}

/// How a configuration ends.
pub type Configured<C> = Result<C, Diagnostics>;

/// The model of a provider without attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoSettings {}

/// The configuration of a provider.
#[derive(Clone, Debug)]
pub struct ConfigureRequest<M> {
    /// The `provider` block.
    pub config: M,
    /// Terraform's own version, for a user agent.
    pub terraform_version: String,
}

/// The resources, data sources, functions and ephemeral resources of a provider.
pub struct Parts<C> {
    pub(super) resources: Vec<Box<dyn AnyResource<C>>>,
    pub(super) data_sources: Vec<Box<dyn AnyDataSource<C>>>,
    pub(super) ephemeral_resources: Vec<Box<dyn AnyEphemeralResource<C>>>,
    pub(super) functions: Vec<Box<dyn AnyFunction>>,
}

impl<C: Send + Sync + 'static> Parts<C> {
    /// None yet.
    pub fn new() -> Self {
        Self {
            resources: Vec::new(),
            data_sources: Vec::new(),
            ephemeral_resources: Vec::new(),
            functions: Vec::new(),
        }
    }

    /// Adds a resource type.
    #[must_use]
    pub fn resource<R: Resource<Client = C>>(mut self, resource: R) -> Self {
        self.resources.push(Box::new(Erased::new(resource)));
        self
    }

    /// Adds a data source.
    #[must_use]
    pub fn data_source<D: DataSource<Client = C>>(mut self, data_source: D) -> Self {
        self.data_sources.push(Box::new(Erased::new(data_source)));
        self
    }

    /// Adds an ephemeral resource type.
    #[must_use]
    pub fn ephemeral_resource<E: EphemeralResource<Client = C>>(mut self, ephemeral: E) -> Self {
        self.ephemeral_resources
            .push(Box::new(Erased::new(ephemeral)));
        self
    }

    /// Adds a function, called `provider::<name>::<function>`.
    #[must_use]
    pub fn function<F: Function>(mut self, function: F) -> Self {
        self.functions.push(Box::new(function));
        self
    }
}

impl<C: Send + Sync + 'static> Default for Parts<C> {
    fn default() -> Self {
        Self::new()
    }
}
