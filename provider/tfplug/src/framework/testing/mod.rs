//! For tests of a provider: drive it as Terraform does, without Terraform.
//!
//! ```text
//! Harness ──► ResourceHarness   validate · plan · apply · read · import · destroy · assert_settled
//!         ├─► data · ephemeral · call
//! ```
//!
//! Every step goes through the wire encoding, and every answer is held to the rules of Terraform's
//! core ([`crate::check`]): what passes here, Terraform takes.

mod model;
mod resource;

use std::marker::PhantomData;

use bytes::Bytes;
use tonic::Request;

pub use model::{assert_model_matches, assert_model_matches_schema};
pub use resource::{Interrupted, Planned, ResourceHarness, Saved};

use super::codec::{decode, diagnostics_from_wire, encode, of_model, to_model};
use super::erased::Shape;
use super::{DataSource, EphemeralResource, Function, FunctionError, Provider, Resource, Service};
use crate::check::{self, Violation};
use crate::value::{Dynamic, Type, decode_msgpack, encode_msgpack};
use crate::wire::provider_server::Provider as _;
use crate::wire::{
    self, call_function, configure_provider, open_ephemeral_resource, read_data_source,
};
use crate::{Diagnostic, Diagnostics};

/// A provider in a test.
pub struct Harness<P: Provider> {
    service: Service<P>,
}

impl<P: Provider> Harness<P> {
    /// A provider that is not configured yet.
    pub fn new(provider: P) -> Self {
        Self {
            service: Service::new(provider),
        }
    }

    /// Configures it; gives the warnings.
    pub async fn configure(&self, config: &P::Model) -> Result<Diagnostics, Diagnostics> {
        let Shape { r#type, .. } = self.service.shape();
        let request = configure_provider::Request {
            terraform_version: "1.11.4".to_owned(),
            config: Some(encode(&of_model(config, r#type)?, r#type)?),
            client_capabilities: None,
        };
        let answer = answered(self.service.configure_provider(Request::new(request)).await)?;
        passed(answer.diagnostics)
    }

    /// Tells every running call to stop, as Ctrl-C does.
    pub async fn stop(&self) -> Result<(), Diagnostics> {
        let request = wire::stop_provider::Request {};
        answered(self.service.stop_provider(Request::new(request)).await).map(|_| ())
    }

    /// One of its resource types.
    pub fn resource<R: Resource<Client = P::Client>>(&self) -> ResourceHarness<'_, P, R> {
        let name = format!("{}_{}", P::NAME, R::TYPE);
        ResourceHarness {
            service: &self.service,
            name,
            resource: PhantomData,
        }
    }

    /// Reads a data source.
    pub async fn data<D: DataSource<Client = P::Client>>(
        &self,
        config: &D::Model,
    ) -> Result<D::Model, Diagnostics> {
        let type_name = format!("{}_{}", P::NAME, D::TYPE);
        let Shape { schema, r#type } = self.service.data_source(&type_name)?.shape();
        let config = Some(encode(&of_model(config, r#type)?, r#type)?);
        let request = read_data_source::Request {
            type_name,
            config,
            ..Default::default()
        };
        let answer = answered(self.service.read_data_source(Request::new(request)).await)?;
        passed(answer.diagnostics)?;
        let state = decode(answer.state.as_ref(), r#type)?;
        kept(check::data(schema, &state))?;
        Ok(to_model(state)?)
    }

    /// Opens an ephemeral resource and closes it again; gives its result.
    pub async fn ephemeral<E: EphemeralResource<Client = P::Client>>(
        &self,
        config: &E::Model,
    ) -> Result<E::Model, Diagnostics> {
        let type_name = format!("{}_{}", P::NAME, E::TYPE);
        let Shape { schema, r#type } = self.service.ephemeral_resource(&type_name)?.shape();
        let config = of_model(config, r#type)?;
        let request = open_ephemeral_resource::Request {
            type_name: type_name.clone(),
            config: Some(encode(&config, r#type)?),
            client_capabilities: None,
        };
        let opened = answered(
            self.service
                .open_ephemeral_resource(Request::new(request))
                .await,
        )?;
        passed(opened.diagnostics)?;
        let result = decode(opened.result.as_ref(), r#type)?;
        kept(check::ephemeral(schema, &config, &result))?;
        let private = opened.private;
        let request = wire::close_ephemeral_resource::Request { type_name, private };
        let closed = answered(
            self.service
                .close_ephemeral_resource(Request::new(request))
                .await,
        )?;
        passed(closed.diagnostics)?;
        Ok(to_model(result)?)
    }

    /// Calls a function, twice: equal arguments must give equal results.
    pub async fn call<F: Function>(
        &self,
        function: &F,
        arguments: &[Dynamic],
    ) -> Result<Dynamic, FunctionError> {
        let signature = function.signature();
        let other = |text: String| FunctionError::new(text);
        let mut encoded = Vec::new();
        for (index, argument) in arguments.iter().enumerate() {
            let r#type = signature
                .parameter_at(index)
                .map_or(Type::Dynamic, |it| it.r#type.clone());
            let msgpack =
                encode_msgpack(argument, &r#type).map_err(|error| other(error.to_string()))?;
            encoded.push(wire::DynamicValue {
                msgpack: msgpack.into(),
                json: Bytes::new(),
            });
        }
        let mut results = Vec::new();
        for _ in 0..2 {
            let request = call_function::Request {
                name: F::NAME.to_owned(),
                arguments: encoded.clone(),
            };
            let answer = self.service.call_function(Request::new(request)).await;
            let answer = answer
                .map_err(|status| other(status.to_string()))?
                .into_inner();
            if let Some(error) = answer.error {
                return Err(signature.error_from_wire(error));
            }
            let msgpack = answer.result.unwrap_or_default().msgpack;
            let result = decode_msgpack(&msgpack, &signature.returns);
            results.push(result.map_err(|error| other(error.to_string()))?);
        }
        let (last, first) = (
            results.pop().unwrap_or(Dynamic::Null),
            results.pop().unwrap_or(Dynamic::Null),
        );
        match check::function(&signature.returns, &first, &last).first() {
            Some(violation) => Err(other(violation.to_string())),
            None => Ok(first),
        }
    }
}

/// What Terraform 1.11 says of itself.
fn capabilities() -> wire::ClientCapabilities {
    wire::ClientCapabilities {
        write_only_attributes_allowed: true,
        ..Default::default()
    }
}

fn answered<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> Result<T, Diagnostics> {
    let answer = answer.map(tonic::Response::into_inner);
    answer.map_err(|status| {
        Diagnostic::error("Call failed")
            .detail(status.to_string())
            .into()
    })
}

/// The warnings, where there is no error.
fn passed(found: Vec<wire::Diagnostic>) -> Result<Diagnostics, Diagnostics> {
    let found = diagnostics_from_wire(found);
    if found.has_errors() {
        Err(found)
    } else {
        Ok(found)
    }
}

fn kept(violations: Vec<Violation>) -> Result<(), Diagnostics> {
    let diagnostics: Diagnostics = violations
        .into_iter()
        .map(
            |Violation {
                 rule,
                 path,
                 message,
             }| {
                Diagnostic::error("Provider breaks a rule of Terraform")
                    .at(path)
                    .detail(format!("{rule}: {message}"))
            },
        )
        .collect();
    if diagnostics.is_empty() {
        Ok(())
    } else {
        Err(diagnostics)
    }
}
