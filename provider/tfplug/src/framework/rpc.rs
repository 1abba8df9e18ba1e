//! The calls of protocol 6.8, one by one: decode, guard, delegate, encode.
//!
//! Calls that came later (identity, lists, actions, state stores) keep the generated answer
//! `Unimplemented`, which Terraform takes from an older provider.

use bytes::Bytes;
use tonic::{Request, Response, Status};

use super::codec::{decode, diagnostics_to_wire, encode, located, path_to_wire, to_model};
use super::erased::{AnyApplied, AnyApply, AnyPlan, AnyPlanned, AnyState, Shape, known_part};
use super::function::fail;
use super::guard::{guard, guard_sync};
use super::provider::ConfigureRequest;
use super::resource::{MoveRequest, UpgradeRequest};
use super::validate::validate;
use super::{Context, Provider, Service, stored};
use crate::value::Type;
use crate::wire::{
    self, DynamicValue, RawState, apply_resource_change, call_function, close_ephemeral_resource,
    configure_provider, get_functions, get_metadata, get_provider_schema, import_resource_state,
    move_resource_state, open_ephemeral_resource, plan_resource_change, provider_server,
    read_data_source, read_resource, renew_ephemeral_resource, stop_provider,
    upgrade_resource_state, validate_data_resource_config, validate_ephemeral_resource_config,
    validate_provider_config, validate_resource_config,
};
use crate::{Diagnostic, Diagnostics};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl<P: Provider> provider_server::Provider for Service<P> {
    async fn get_metadata(
        &self,
        _: Request<get_metadata::Request>,
    ) -> Answer<get_metadata::Response> {
        Ok(Response::new(self.metadata()))
    }

    async fn get_provider_schema(
        &self,
        _: Request<get_provider_schema::Request>,
    ) -> Answer<get_provider_schema::Response> {
        let schemas = guard_sync("describing", P::NAME, || self.schemas().clone());
        Ok(Response::new(schemas.unwrap_or_else(|error| {
            get_provider_schema::Response {
                diagnostics: diagnostics_to_wire(error.into()),
                ..get_provider_schema::Response::default()
            }
        })))
    }

    async fn get_functions(
        &self,
        _: Request<get_functions::Request>,
    ) -> Answer<get_functions::Response> {
        let functions = guard_sync("describing the functions of", P::NAME, || {
            self.definitions()
        });
        let (functions, diagnostics) = split(functions.map_err(Into::into));
        let functions = functions.unwrap_or_default();
        Ok(Response::new(get_functions::Response {
            functions,
            diagnostics,
        }))
    }

    async fn validate_provider_config(
        &self,
        request: Request<validate_provider_config::Request>,
    ) -> Answer<validate_provider_config::Response> {
        let request = request.into_inner();
        let found = collect(guard_sync("validating", P::NAME, || {
            let Shape { schema, r#type } = self.shape();
            let config = decode(request.config.as_ref(), r#type)?;
            let mut found = validate(schema, &config, true);
            match to_model(config) {
                Ok(model) => found.extend(self.provider.validate(&model)),
                Err(error) => found.push(error),
            }
            Ok(located(schema, found))
        }));
        Ok(Response::new(validate_provider_config::Response {
            diagnostics: found,
        }))
    }

    async fn configure_provider(
        &self,
        request: Request<configure_provider::Request>,
    ) -> Answer<configure_provider::Response> {
        let request = request.into_inner();
        self.stopper.renew();
        let context = Context::new(None, self.stopper.signal());
        let outcome = guard("configuring", P::NAME, async {
            let config = decode(request.config.as_ref(), &self.shape().r#type)?;
            let terraform_version = request.terraform_version;
            let request = ConfigureRequest {
                config: to_model(config)?,
                terraform_version,
            };
            self.provider.configure(&context, request).await
        });
        let (client, diagnostics) = finish(flatten(outcome.await), context);
        if let Some(client) = client {
            self.configured(client);
        }
        Ok(Response::new(configure_provider::Response { diagnostics }))
    }

    async fn stop_provider(
        &self,
        _: Request<stop_provider::Request>,
    ) -> Answer<stop_provider::Response> {
        self.stopper.stop();
        Ok(Response::new(stop_provider::Response::default()))
    }

    async fn validate_resource_config(
        &self,
        request: Request<validate_resource_config::Request>,
    ) -> Answer<validate_resource_config::Response> {
        let request = request.into_inner();
        let name = request.type_name;
        let diagnostics = collect(guard_sync("validating", &name, || {
            let resource = self.resource(&name)?;
            let config = decode(request.config.as_ref(), &resource.shape().r#type)?;
            let client = request.client_capabilities.unwrap_or_default();
            let found = resource.validate(config, client.write_only_attributes_allowed);
            Ok(located(&resource.shape().schema, found))
        }));
        Ok(Response::new(validate_resource_config::Response {
            diagnostics,
        }))
    }

    async fn validate_data_resource_config(
        &self,
        request: Request<validate_data_resource_config::Request>,
    ) -> Answer<validate_data_resource_config::Response> {
        let request = request.into_inner();
        let name = request.type_name;
        let diagnostics = collect(guard_sync("validating the data source", &name, || {
            let source = self.data_source(&name)?;
            let found = source.validate(decode(request.config.as_ref(), &source.shape().r#type)?);
            Ok(located(&source.shape().schema, found))
        }));
        Ok(Response::new(validate_data_resource_config::Response {
            diagnostics,
        }))
    }

    async fn validate_ephemeral_resource_config(
        &self,
        request: Request<validate_ephemeral_resource_config::Request>,
    ) -> Answer<validate_ephemeral_resource_config::Response> {
        let request = request.into_inner();
        let name = request.type_name;
        let diagnostics = collect(guard_sync(
            "validating the ephemeral resource",
            &name,
            || {
                let resource = self.ephemeral_resource(&name)?;
                let config = decode(request.config.as_ref(), &resource.shape().r#type)?;
                Ok(located(&resource.shape().schema, resource.validate(config)))
            },
        ));
        Ok(Response::new(
            validate_ephemeral_resource_config::Response { diagnostics },
        ))
    }

    async fn upgrade_resource_state(
        &self,
        request: Request<upgrade_resource_state::Request>,
    ) -> Answer<upgrade_resource_state::Response> {
        let request = request.into_inner();
        let name = request.type_name;
        let outcome = guard("upgrading the state of", &name, async {
            let resource = self.resource(&name)?;
            let Shape { schema, r#type } = resource.shape();
            let json = raw_json(request.raw_state)?;
            if request.version == schema.version {
                let json =
                    stored::with_blocks(json, &schema.block).map_err(|error| unreadable(&error))?;
                return Ok(DynamicValue {
                    json,
                    ..DynamicValue::default()
                });
            }
            let upgraded = resource
                .upgrade(UpgradeRequest {
                    version: request.version,
                    json,
                })
                .await?;
            Ok(encode(&upgraded, r#type)?)
        });
        let (upgraded_state, diagnostics) = split(flatten(outcome.await));
        Ok(Response::new(upgrade_resource_state::Response {
            upgraded_state,
            diagnostics,
        }))
    }

    async fn read_resource(
        &self,
        request: Request<read_resource::Request>,
    ) -> Answer<read_resource::Response> {
        let read_resource::Request {
            type_name: name,
            current_state,
            private,
            ..
        } = request.into_inner();
        let context = self.context();
        let outcome = guard("reading", &name, async {
            let resource = self.resource(&name)?;
            let r#type = &resource.shape().r#type;
            let state = decode(current_state.as_ref(), r#type)?;
            let current = AnyState {
                state,
                private: private.clone(),
            };
            encode_state(resource.read(&context, current).await?, r#type)
        });
        let (read, diagnostics) = finish(flatten(outcome.await), context);
        let (new_state, private) = read.unwrap_or((current_state, private));
        Ok(Response::new(read_resource::Response {
            new_state,
            private,
            diagnostics,
            ..read_resource::Response::default()
        }))
    }

    async fn plan_resource_change(
        &self,
        request: Request<plan_resource_change::Request>,
    ) -> Answer<plan_resource_change::Response> {
        let request = request.into_inner();
        let name = request.type_name;
        let context = self.context();
        let outcome = guard("planning", &name, async {
            let resource = self.resource(&name)?;
            let r#type = &resource.shape().r#type;
            let change = AnyPlan {
                config: decode(request.config.as_ref(), r#type)?,
                prior: decode(request.prior_state.as_ref(), r#type)?,
                proposed: decode(request.proposed_new_state.as_ref(), r#type)?,
                private: request.prior_private,
            };
            let AnyPlanned {
                planned,
                requires_replace,
                private,
            } = resource
                .plan(&context, change)
                .await
                .map_err(|found| located(&resource.shape().schema, found))?;
            Ok(plan_resource_change::Response {
                planned_state: Some(encode(&planned, r#type)?),
                requires_replace: requires_replace.iter().map(path_to_wire).collect(),
                planned_private: private,
                ..plan_resource_change::Response::default()
            })
        });
        let (planned, diagnostics) = finish(flatten(outcome.await), context);
        let planned = planned.unwrap_or_default();
        Ok(Response::new(plan_resource_change::Response {
            diagnostics,
            ..planned
        }))
    }

    async fn apply_resource_change(
        &self,
        request: Request<apply_resource_change::Request>,
    ) -> Answer<apply_resource_change::Response> {
        let request = request.into_inner();
        let context = self.context();
        let outcome = guard("applying", &request.type_name, async {
            let resource = self.resource(&request.type_name)?;
            let r#type = &resource.shape().r#type;
            let change = AnyApply {
                config: decode(request.config.as_ref(), r#type)?,
                prior: decode(request.prior_state.as_ref(), r#type)?,
                planned: decode(request.planned_state.as_ref(), r#type)?,
                private: request.planned_private.clone(),
            };
            let AnyApplied { state, diagnostics } = resource.apply(&context, change).await;
            Ok::<_, Diagnostics>((encode_state(state, r#type)?, diagnostics))
        });
        let (state, mut found) = match outcome.await {
            Ok(Ok((state, found))) => (state, found),
            // Nothing was begun, or the new state cannot be written: the old one stands.
            Ok(Err(errors)) => ((request.prior_state, request.planned_private), errors),
            Err(panic) => (self.after_panic(&request), panic.into()),
        };
        found.extend(context.into_warnings());
        let (new_state, private) = state;
        Ok(Response::new(apply_resource_change::Response {
            new_state,
            private,
            diagnostics: diagnostics_to_wire(found),
            ..apply_resource_change::Response::default()
        }))
    }

    async fn import_resource_state(
        &self,
        request: Request<import_resource_state::Request>,
    ) -> Answer<import_resource_state::Response> {
        let import_resource_state::Request { type_name, id, .. } = request.into_inner();
        let context = self.context();
        let outcome = guard("importing", &type_name, async {
            let resource = self.resource(&type_name)?;
            let state = resource.import(&context, id).await?;
            encode_state(state, &resource.shape().r#type)
        });
        let (imported, diagnostics) = finish(flatten(outcome.await), context);
        let imported = imported.map(|(state, private)| import_resource_state::ImportedResource {
            type_name,
            state,
            private,
            ..import_resource_state::ImportedResource::default()
        });
        Ok(Response::new(import_resource_state::Response {
            imported_resources: imported.into_iter().collect(),
            diagnostics,
            ..import_resource_state::Response::default()
        }))
    }

    async fn move_resource_state(
        &self,
        request: Request<move_resource_state::Request>,
    ) -> Answer<move_resource_state::Response> {
        let request = request.into_inner();
        let (from, to) = (request.source_type_name, request.target_type_name);
        let context = self.context();
        let outcome = guard("moving state to", &to, async {
            let resource = self.resource(&to)?;
            let from = MoveRequest {
                provider: request.source_provider_address,
                type_name: from.clone(),
                version: request.source_schema_version,
                json: raw_json(request.source_state)?,
                private: request.source_private,
            };
            let moved = resource.take_over(&context, from).await?;
            encode_state(
                moved.ok_or_else(|| not_movable(&to))?,
                &resource.shape().r#type,
            )
        });
        let (moved, diagnostics) = finish(flatten(outcome.await), context);
        let (target_state, target_private) = moved.unwrap_or_default();
        Ok(Response::new(move_resource_state::Response {
            target_state,
            target_private,
            diagnostics,
            ..move_resource_state::Response::default()
        }))
    }

    async fn read_data_source(
        &self,
        request: Request<read_data_source::Request>,
    ) -> Answer<read_data_source::Response> {
        let request = request.into_inner();
        let name = request.type_name;
        let context = self.context();
        let outcome = guard("reading the data source", &name, async {
            let source = self.data_source(&name)?;
            let r#type = &source.shape().r#type;
            let config = decode(request.config.as_ref(), r#type)?;
            Ok(encode(&source.read(&context, config).await?, r#type)?)
        });
        let (state, diagnostics) = finish(flatten(outcome.await), context);
        let deferred = None;
        Ok(Response::new(read_data_source::Response {
            state,
            diagnostics,
            deferred,
        }))
    }

    async fn open_ephemeral_resource(
        &self,
        request: Request<open_ephemeral_resource::Request>,
    ) -> Answer<open_ephemeral_resource::Response> {
        let request = request.into_inner();
        let name = request.type_name;
        let context = self.context();
        let outcome = guard("opening the ephemeral resource", &name, async {
            let resource = self.ephemeral_resource(&name)?;
            let r#type = &resource.shape().r#type;
            let opened = resource
                .open(&context, decode(request.config.as_ref(), r#type)?)
                .await?;
            Ok(open_ephemeral_resource::Response {
                result: Some(encode(&opened.result, r#type)?),
                renew_at: opened.renew_at.map(Into::into),
                private: Some(opened.private),
                ..open_ephemeral_resource::Response::default()
            })
        });
        let (opened, diagnostics) = finish(flatten(outcome.await), context);
        let opened = opened.unwrap_or_default();
        Ok(Response::new(open_ephemeral_resource::Response {
            diagnostics,
            ..opened
        }))
    }

    async fn renew_ephemeral_resource(
        &self,
        request: Request<renew_ephemeral_resource::Request>,
    ) -> Answer<renew_ephemeral_resource::Response> {
        let renew_ephemeral_resource::Request {
            type_name: name,
            private,
        } = request.into_inner();
        let context = self.context();
        let outcome = guard("renewing the ephemeral resource", &name, async {
            let private = private.clone().unwrap_or_default();
            self.ephemeral_resource(&name)?
                .renew(&context, private)
                .await
        });
        let (renewed, diagnostics) = finish(flatten(outcome.await), context);
        Ok(Response::new(renew_ephemeral_resource::Response {
            renew_at: renewed
                .as_ref()
                .and_then(|renewed| renewed.renew_at)
                .map(Into::into),
            private: renewed.map(|renewed| renewed.private).or(private),
            diagnostics,
        }))
    }

    async fn close_ephemeral_resource(
        &self,
        request: Request<close_ephemeral_resource::Request>,
    ) -> Answer<close_ephemeral_resource::Response> {
        let close_ephemeral_resource::Request {
            type_name: name,
            private,
        } = request.into_inner();
        let context = self.context();
        let outcome = guard("closing the ephemeral resource", &name, async {
            self.ephemeral_resource(&name)?
                .close(&context, private.unwrap_or_default())
                .await
        });
        let (_, diagnostics) = finish(flatten(outcome.await), context);
        Ok(Response::new(close_ephemeral_resource::Response {
            diagnostics,
        }))
    }

    async fn call_function(
        &self,
        request: Request<call_function::Request>,
    ) -> Answer<call_function::Response> {
        let call_function::Request { name, arguments } = request.into_inner();
        let called = guard_sync("calling", &name, || {
            let function = self
                .function(&name)
                .map_err(|error| fail(error.detail, None))?;
            function.call(&arguments)
        });
        let (result, error) = match called {
            Ok(Ok(result)) => (Some(result), None),
            Ok(Err(error)) => (None, Some(error)),
            Err(panic) => (None, Some(fail(panic.detail, None))),
        };
        Ok(Response::new(call_function::Response { result, error }))
    }
}

impl<P: Provider> Service<P> {
    /// The state to save when an apply panicked. A create may have made the object, so what the
    /// plan knew of it is kept, and Terraform marks it tainted; otherwise the prior state stands,
    /// and the next read finds what is true.
    fn after_panic(
        &self,
        request: &apply_resource_change::Request,
    ) -> (Option<DynamicValue>, Bytes) {
        let prior = (request.prior_state.clone(), request.planned_private.clone());
        let Ok(resource) = self.resource(&request.type_name) else {
            return prior;
        };
        let r#type = &resource.shape().r#type;
        let is_create =
            decode(request.prior_state.as_ref(), r#type).is_ok_and(|prior| prior.is_null());
        if !is_create {
            return prior;
        }
        let planned = decode(request.planned_state.as_ref(), r#type);
        match planned.and_then(|planned| encode(&known_part(planned), r#type)) {
            Ok(known) => (Some(known), request.planned_private.clone()),
            Err(_) => prior,
        }
    }
}

/// A panic is an error like the others.
fn flatten<T>(outcome: Result<Result<T, Diagnostics>, Diagnostic>) -> Result<T, Diagnostics> {
    outcome.unwrap_or_else(|panic| Err(panic.into()))
}

fn split<T>(outcome: Result<T, Diagnostics>) -> (Option<T>, Vec<wire::Diagnostic>) {
    match outcome {
        Ok(value) => (Some(value), Vec::new()),
        Err(errors) => (None, diagnostics_to_wire(errors)),
    }
}

/// The outcome of a call, with the warnings of its context.
fn finish<T, C>(
    outcome: Result<T, Diagnostics>,
    context: Context<C>,
) -> (Option<T>, Vec<wire::Diagnostic>) {
    let warnings = diagnostics_to_wire(context.into_warnings());
    let (value, mut diagnostics) = split(outcome);
    diagnostics.extend(warnings);
    (value, diagnostics)
}

/// All findings of a validation, whichever way it ended.
fn collect(outcome: Result<Result<Diagnostics, Diagnostic>, Diagnostic>) -> Vec<wire::Diagnostic> {
    diagnostics_to_wire(outcome.and_then(|found| found).unwrap_or_else(Into::into))
}

fn encode_state(
    state: AnyState,
    r#type: &Type,
) -> Result<(Option<DynamicValue>, Bytes), Diagnostics> {
    let AnyState { state, private } = state;
    Ok((Some(encode(&state, r#type)?), private))
}

fn raw_json(state: Option<RawState>) -> Result<Bytes, Diagnostic> {
    let json = state.unwrap_or_default().json;
    if json.is_empty() {
        return Err(Diagnostic::error("Stored state is too old").detail(
            "The state was written by a Terraform before 0.12. Apply once with Terraform 0.12 or \
             1.x and an older version of the provider, then try again.",
        ));
    }
    Ok(json)
}

fn unreadable(error: &serde_json::Error) -> Diagnostic {
    Diagnostic::error("Stored state is unreadable").detail(format!(
        "The state is not the JSON that this resource type has: {error}. If it was edited by hand, \
         undo that; otherwise report it as a bug of the provider."
    ))
}

fn not_movable(to: &str) -> Diagnostic {
    Diagnostic::error("Resource cannot be moved to this type").detail(format!(
        "`{to}` does not take over the state of that resource type. Remove the `moved` block, \
         import the object into `{to}`, and remove the old resource from the state."
    ))
}
