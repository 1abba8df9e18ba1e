//! An ephemeral resource: a value that exists only while Terraform runs, such as a short-lived
//! token. It is in no plan and in no state.
//!
//! ```text
//! open ──► result ──(renew_at)──► renew ──► … ──► close
//! ```

use std::future::Future;
use std::time::SystemTime;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::codec::{of_model, to_model};
use super::erased::{Erased, Shape};
use super::plan::apply_defaults;
use super::validate::validate;
use super::{Context, Model, Private, rules};
use crate::schema::Schema;
use crate::value::Dynamic;
use crate::{Diagnostic, Diagnostics};

/// An ephemeral resource type. Write the calls as `async fn`.
pub trait EphemeralResource: Send + Sync + 'static {
    /// The name without the provider's: `"token"` is `ephemeral.example_token` in Terraform.
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

    /// Makes the value. The configuration is wholly known, defaults filled in.
    fn open(
        &self,
        context: &Context<Self::Client>,
        config: Self::Model,
    ) -> impl Future<Output = Result<Opened<Self::Model>, Diagnostics>> + Send;

    /// Keeps the value alive; called at [`Opened::renew_at`]. It cannot change the result. The
    /// default does nothing and asks for no further renewal.
    fn renew(
        &self,
        _context: &Context<Self::Client>,
        private: Private,
    ) -> impl Future<Output = Result<Renewed, Diagnostics>> + Send {
        async {
            Ok(Renewed {
                renew_at: None,
                private,
            })
        }
    }

    /// Gives the value back, with what `open` kept. The default does nothing: right where it ends
    /// by itself.
    fn close(
        &self,
        _context: &Context<Self::Client>,
        _private: Private,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send {
        async { Ok(()) }
    }
}

/// An ephemeral value.
#[derive(Clone, Debug)]
pub struct Opened<M> {
    /// The configuration and the computed attributes.
    pub result: M,
    /// When to renew it; `None`: never.
    pub renew_at: Option<SystemTime>,
    /// Handed to `renew` and `close`.
    pub private: Private,
}

impl<M> From<M> for Opened<M> {
    fn from(result: M) -> Self {
        Self {
            result,
            renew_at: None,
            private: Private::new(),
        }
    }
}

/// An ephemeral value kept alive.
#[derive(Clone, Debug)]
pub struct Renewed {
    /// When to renew it again; `None`: never.
    pub renew_at: Option<SystemTime>,
    /// Handed to the next `renew`.
    pub private: Private,
}

/// An ephemeral value without its model.
pub(super) struct AnyOpened {
    pub(super) result: Dynamic,
    pub(super) renew_at: Option<SystemTime>,
    pub(super) private: Bytes,
}

/// A renewal without its model.
pub(super) struct AnyRenewed {
    pub(super) renew_at: Option<SystemTime>,
    pub(super) private: Bytes,
}

pub(super) trait AnyEphemeralResource<C>: Send + Sync {
    fn name(&self) -> &'static str;
    fn shape(&self) -> &Shape;
    fn validate(&self, config: Dynamic) -> Diagnostics;
    fn open<'a>(
        &'a self,
        context: &'a Context<C>,
        config: Dynamic,
    ) -> BoxFuture<'a, Result<AnyOpened, Diagnostics>>;
    fn renew<'a>(
        &'a self,
        context: &'a Context<C>,
        private: Bytes,
    ) -> BoxFuture<'a, Result<AnyRenewed, Diagnostics>>;
    fn close<'a>(
        &'a self,
        context: &'a Context<C>,
        private: Bytes,
    ) -> BoxFuture<'a, Result<(), Diagnostics>>;
}

impl<E: EphemeralResource> AnyEphemeralResource<E::Client> for Erased<E> {
    fn name(&self) -> &'static str {
        E::TYPE
    }

    fn shape(&self) -> &Shape {
        self.shape(EphemeralResource::schema)
    }

    fn validate(&self, config: Dynamic) -> Diagnostics {
        let mut found = validate(&AnyEphemeralResource::shape(self).schema, &config, true);
        match to_model(config) {
            Ok(model) => found.extend(self.inner.validate(&model)),
            Err(error) => found.push(error),
        }
        found
    }

    fn open<'a>(
        &'a self,
        context: &'a Context<E::Client>,
        mut config: Dynamic,
    ) -> BoxFuture<'a, Result<AnyOpened, Diagnostics>> {
        Box::pin(async move {
            let Shape { schema, r#type } = AnyEphemeralResource::shape(self);
            let given = config.clone();
            apply_defaults(&schema.block, &given, &mut config);
            let Opened {
                result,
                renew_at,
                private,
            } = self.inner.open(context, to_model(config)?).await?;
            let result = of_model(&result, r#type)?;
            if let Err(violations) = rules::ephemeral(schema, &given, &result) {
                // Terraform will not close what it never got.
                let closed = self.inner.close(context, private).await;
                return Err(violations
                    .into_iter()
                    .chain(closed.err().unwrap_or_default())
                    .collect());
            }
            Ok(AnyOpened {
                result,
                renew_at,
                private: private.to_bytes(),
            })
        })
    }

    fn renew<'a>(
        &'a self,
        context: &'a Context<E::Client>,
        private: Bytes,
    ) -> BoxFuture<'a, Result<AnyRenewed, Diagnostics>> {
        Box::pin(async move {
            let Renewed { renew_at, private } = self
                .inner
                .renew(context, Private::from_bytes(&private)?)
                .await?;
            Ok(AnyRenewed {
                renew_at,
                private: private.to_bytes(),
            })
        })
    }

    fn close<'a>(
        &'a self,
        context: &'a Context<E::Client>,
        private: Bytes,
    ) -> BoxFuture<'a, Result<(), Diagnostics>> {
        Box::pin(async move {
            let private: Result<Private, Diagnostic> = Private::from_bytes(&private);
            self.inner.close(context, private?).await
        })
    }
}
