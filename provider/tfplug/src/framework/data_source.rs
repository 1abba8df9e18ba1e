//! A data source: something that Terraform reads and does not manage.

use std::future::Future;

use futures::future::BoxFuture;

use super::codec::{of_model, to_model};
use super::erased::{Erased, Shape};
use super::plan::apply_defaults;
use super::validate::validate;
use super::{Context, Model, rules};
use crate::Diagnostics;
use crate::schema::Schema;
use crate::value::Dynamic;

/// A data source. Write `read` as `async fn`.
pub trait DataSource: Send + Sync + 'static {
    /// The name without the provider's: `"note"` is `data.example_note` in Terraform.
    const TYPE: &'static str;
    /// What the provider's `configure` makes.
    type Client: Send + Sync + 'static;
    /// Configuration and result as a struct.
    type Model: Model;

    /// Attributes and their rules. Called once per process, when first needed.
    fn schema(&self) -> Schema;

    /// Checks across attributes, beyond the validators of the schema. Values may be unknown; no
    /// network.
    fn validate(&self, _config: &Self::Model) -> Diagnostics {
        Diagnostics::new()
    }

    /// Reads it. The configuration is wholly known, defaults filled in; the result is that and
    /// the computed attributes. Not to be found is an error.
    fn read(
        &self,
        context: &Context<Self::Client>,
        config: Self::Model,
    ) -> impl Future<Output = Result<Self::Model, Diagnostics>> + Send;
}

pub(super) trait AnyDataSource<C>: Send + Sync {
    fn name(&self) -> &'static str;
    fn shape(&self) -> &Shape;
    fn validate(&self, config: Dynamic) -> Diagnostics;
    fn read<'a>(
        &'a self,
        context: &'a Context<C>,
        config: Dynamic,
    ) -> BoxFuture<'a, Result<Dynamic, Diagnostics>>;
}

impl<D: DataSource> AnyDataSource<D::Client> for Erased<D> {
    fn name(&self) -> &'static str {
        D::TYPE
    }

    fn shape(&self) -> &Shape {
        self.shape(DataSource::schema)
    }

    fn validate(&self, config: Dynamic) -> Diagnostics {
        let mut found = validate(&AnyDataSource::shape(self).schema, &config, true);
        match to_model(config) {
            Ok(model) => found.extend(self.inner.validate(&model)),
            Err(error) => found.push(error),
        }
        found
    }

    fn read<'a>(
        &'a self,
        context: &'a Context<D::Client>,
        mut config: Dynamic,
    ) -> BoxFuture<'a, Result<Dynamic, Diagnostics>> {
        Box::pin(async move {
            let Shape { schema, r#type } = AnyDataSource::shape(self);
            apply_defaults(&schema.block, &config.clone(), &mut config);
            let state = self.inner.read(context, to_model(config)?).await?;
            let state = of_model(&state, r#type)?;
            rules::data(schema, &state)?;
            Ok(state)
        })
    }
}
