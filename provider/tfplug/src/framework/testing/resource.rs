//! A resource type in a test: every call that Terraform makes, in Terraform's order.

use std::future::Future;
use std::marker::PhantomData;

use bytes::Bytes;
use tonic::Request;

use super::{answered, capabilities, kept, passed};
use crate::check::{self, Action};
use crate::framework::codec::{
    decode, diagnostics_from_wire, encode, of_model, path_from_wire, to_model,
};
use crate::framework::erased::Shape;
use crate::framework::{Model, MoveRequest, Provider, Resource, Service};
use crate::value::{Dynamic, Path};
use crate::wire::provider_server::Provider as _;
use crate::wire::{
    self, apply_resource_change, import_resource_state, move_resource_state, plan_resource_change,
    read_resource, upgrade_resource_state, validate_resource_config,
};
use crate::{Diagnostic, Diagnostics};

/// A resource type in a test.
pub struct ResourceHarness<'h, P: Provider, R> {
    pub(super) service: &'h Service<P>,
    pub(super) name: String,
    pub(super) resource: PhantomData<R>,
}

/// A state that Terraform would have saved.
#[derive(Clone, Debug)]
pub struct Saved<M> {
    /// The state.
    pub model: M,
    /// Warnings of the call that made it.
    pub warnings: Diagnostics,
    state: Dynamic,
    private: Bytes,
}

/// A plan as Terraform would show it.
#[derive(Clone, Debug)]
pub struct Planned<M> {
    /// What would be done.
    pub action: Action,
    /// The planned values; `None` for a delete.
    pub planned: Option<M>,
    /// What requires replacement.
    pub requires_replace: Vec<Path>,
    /// Warnings.
    pub warnings: Diagnostics,
    state: Dynamic,
    private: Bytes,
}

/// An apply that did not succeed.
#[derive(Debug)]
pub struct Interrupted<M> {
    /// Why.
    pub diagnostics: Diagnostics,
    /// What Terraform would have saved nevertheless.
    pub saved: Option<Box<Saved<M>>>,
}

impl<M> From<Diagnostics> for Interrupted<M> {
    fn from(diagnostics: Diagnostics) -> Self {
        Self {
            diagnostics,
            saved: None,
        }
    }
}

impl<M> From<Diagnostic> for Interrupted<M> {
    fn from(diagnostic: Diagnostic) -> Self {
        Self {
            diagnostics: diagnostic.into(),
            saved: None,
        }
    }
}

impl<P: Provider, R: Resource<Client = P::Client>> ResourceHarness<'_, P, R> {
    /// Validates a configuration; gives errors and warnings.
    pub async fn validate(&self, config: &R::Model) -> Result<Diagnostics, Diagnostics> {
        let Shape { r#type, .. } = self.shape()?;
        let request = validate_resource_config::Request {
            type_name: self.name.clone(),
            config: Some(encode(&of_model(config, r#type)?, r#type)?),
            client_capabilities: Some(capabilities()),
        };
        let answer = answered(
            self.service
                .validate_resource_config(Request::new(request))
                .await,
        )?;
        Ok(diagnostics_from_wire(answer.diagnostics))
    }

    /// Plans a create (`prior` is `None`) or a change. A replacement is planned in both halves.
    pub async fn plan(
        &self,
        prior: Option<&Saved<R::Model>>,
        config: &R::Model,
    ) -> Result<Planned<R::Model>, Diagnostics> {
        let Shape { r#type, .. } = self.shape()?;
        let config = of_model(config, r#type)?;
        self.plan_both(prior, &config).await
    }

    /// Plans the deletion.
    pub async fn plan_destroy(
        &self,
        saved: &Saved<R::Model>,
    ) -> Result<Planned<R::Model>, Diagnostics> {
        self.plan_once(Some(saved), &saved.private, &Dynamic::Null)
            .await
    }

    /// Validates, plans, plans again as Terraform does at apply, and applies. Where nothing
    /// changes, nothing is called.
    pub async fn apply(
        &self,
        prior: Option<&Saved<R::Model>>,
        config: &R::Model,
    ) -> Result<Saved<R::Model>, Interrupted<R::Model>> {
        let Shape { schema, r#type } = self.shape()?;
        let found = self.validate(config).await?;
        if found.has_errors() {
            return Err(found.into());
        }
        let config = of_model(config, r#type)?;
        let first = self.plan_both(prior, &config).await?;
        let second = self.plan_both(prior, &config).await?;
        kept(check::final_plan(
            schema,
            (first.action, &first.state),
            (second.action, &second.state),
        ))?;
        match (second.action, prior) {
            (Action::NoOp, Some(prior)) => Ok(prior.clone()),
            (Action::Replace, Some(prior)) => {
                self.destroy(prior).await?;
                self.change(&Dynamic::Null, &config, second).await
            }
            (_, prior) => {
                let prior = prior.map_or(Dynamic::Null, |prior| prior.state.clone());
                self.change(&prior, &config, second).await
            }
        }
    }

    /// Plans and applies the deletion.
    pub async fn destroy(&self, saved: &Saved<R::Model>) -> Result<(), Interrupted<R::Model>> {
        let Shape { schema, r#type } = self.shape()?;
        let planned = self.plan_destroy(saved).await?;
        let answer = self
            .send_change(&saved.state, &Dynamic::Null, &planned)
            .await?;
        let state = decode(answer.new_state.as_ref(), r#type)?;
        let found = diagnostics_from_wire(answer.diagnostics);
        if found.has_errors() {
            return Err(interrupted(found, state, answer.private)?);
        }
        Ok(kept(check::applied(schema, &Dynamic::Null, &state))?)
    }

    /// Reads the object; `None`: it is gone.
    pub async fn read(
        &self,
        saved: &Saved<R::Model>,
    ) -> Result<Option<Saved<R::Model>>, Diagnostics> {
        let Shape { schema, r#type } = self.shape()?;
        let request = read_resource::Request {
            type_name: self.name.clone(),
            current_state: Some(encode(&saved.state, r#type)?),
            private: saved.private.clone(),
            ..Default::default()
        };
        let answer = answered(self.service.read_resource(Request::new(request)).await)?;
        let warnings = passed(answer.diagnostics)?;
        let state = decode(answer.new_state.as_ref(), r#type)?;
        kept(check::read(schema, &state))?;
        saved_state(state, answer.private, warnings)
    }

    /// Imports by id, and reads, as `terraform import` does.
    pub async fn import(&self, id: &str) -> Result<Saved<R::Model>, Diagnostics> {
        let Shape { schema, r#type } = self.shape()?;
        let (type_name, id) = (self.name.clone(), id.to_owned());
        let request = import_resource_state::Request {
            type_name,
            id,
            ..Default::default()
        };
        let answer = answered(
            self.service
                .import_resource_state(Request::new(request))
                .await,
        )?;
        let warnings = passed(answer.diagnostics)?;
        let imported = answer
            .imported_resources
            .into_iter()
            .next()
            .unwrap_or_default();
        let state = decode(imported.state.as_ref(), r#type)?;
        kept(check::imported(schema, &state))?;
        let nothing = || Diagnostic::error("Cannot import a remote object that does not exist");
        let first = saved_state(state, imported.private, warnings)?.ok_or_else(nothing)?;
        Ok(self.read(&first).await?.ok_or_else(nothing)?)
    }

    /// Upgrades a stored state, given as JSON.
    pub async fn upgrade(&self, version: i64, json: &str) -> Result<R::Model, Diagnostics> {
        let Shape { schema, r#type } = self.shape()?;
        let json = Bytes::copy_from_slice(json.as_bytes());
        let request = upgrade_resource_state::Request {
            type_name: self.name.clone(),
            version,
            raw_state: Some(wire::RawState {
                json,
                ..Default::default()
            }),
        };
        let answer = answered(
            self.service
                .upgrade_resource_state(Request::new(request))
                .await,
        )?;
        passed(answer.diagnostics)?;
        let state = decode(answer.upgraded_state.as_ref(), r#type)?;
        kept(check::upgraded(schema, &state))?;
        Ok(to_model(state)?)
    }

    /// Takes over the state of another resource type, as a `moved` block does.
    pub async fn take_over(&self, from: MoveRequest) -> Result<Saved<R::Model>, Diagnostics> {
        let Shape { schema, r#type } = self.shape()?;
        let request = move_resource_state::Request {
            source_provider_address: from.provider,
            source_type_name: from.type_name,
            source_schema_version: from.version,
            source_state: Some(wire::RawState {
                json: from.json,
                ..Default::default()
            }),
            target_type_name: self.name.clone(),
            source_private: from.private,
            ..Default::default()
        };
        let answer = answered(
            self.service
                .move_resource_state(Request::new(request))
                .await,
        )?;
        let warnings = passed(answer.diagnostics)?;
        let state = decode(answer.target_state.as_ref(), r#type)?;
        kept(check::upgraded(schema, &state))?;
        let nothing = || Diagnostic::error("Nothing was taken over");
        Ok(saved_state(state, answer.target_private, warnings)?.ok_or_else(nothing)?)
    }

    /// Reads, and asserts that the next plan is empty.
    #[track_caller]
    pub fn assert_settled<'a>(
        &'a self,
        saved: &'a Saved<R::Model>,
        config: &'a R::Model,
    ) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let planned = async {
                let gone = || Diagnostic::error("The object is gone");
                let read = self.read(saved).await?.ok_or_else(gone)?;
                Ok::<_, Diagnostics>((self.plan(Some(&read), config).await?, read))
            };
            match planned.await {
                Ok((planned, read)) => assert!(
                    planned.action == Action::NoOp,
                    "{caller}: the second plan is not empty but {:?}:\nstate {}\nplan  {}",
                    planned.action,
                    read.state,
                    planned.state,
                ),
                Err(errors) => panic!("{caller}: the second plan fails: {errors}"),
            }
        }
    }

    fn shape(&self) -> Result<&Shape, Diagnostic> {
        Ok(self.service.resource(&self.name)?.shape())
    }

    async fn plan_both(
        &self,
        prior: Option<&Saved<R::Model>>,
        config: &Dynamic,
    ) -> Result<Planned<R::Model>, Diagnostics> {
        let private = prior.map_or(Bytes::new(), |prior| prior.private.clone());
        let planned = self.plan_once(prior, &private, config).await?;
        if planned.action != Action::Replace {
            return Ok(planned);
        }
        let created = self.plan_once(None, &planned.private, config).await?;
        let (action, requires_replace) = (planned.action, planned.requires_replace);
        Ok(Planned {
            action,
            requires_replace,
            ..created
        })
    }

    async fn plan_once(
        &self,
        prior: Option<&Saved<R::Model>>,
        private: &Bytes,
        config: &Dynamic,
    ) -> Result<Planned<R::Model>, Diagnostics> {
        let Shape { schema, r#type } = self.shape()?;
        let prior = prior.map_or(&Dynamic::Null, |prior| &prior.state);
        let proposed = if config.is_null() {
            Dynamic::Null
        } else {
            check::proposed_new(schema, prior, config)
        };
        let request = plan_resource_change::Request {
            type_name: self.name.clone(),
            prior_state: Some(encode(prior, r#type)?),
            proposed_new_state: Some(encode(&proposed, r#type)?),
            config: Some(encode(config, r#type)?),
            prior_private: private.clone(),
            client_capabilities: Some(capabilities()),
            ..Default::default()
        };
        let answer = answered(
            self.service
                .plan_resource_change(Request::new(request))
                .await,
        )?;
        let warnings = passed(answer.diagnostics)?;
        let state = decode(answer.planned_state.as_ref(), r#type)?;
        let requires_replace: Vec<Path> =
            answer.requires_replace.iter().map(path_from_wire).collect();
        kept(check::plan(schema, prior, config, &state))?;
        kept(check::replace_paths(prior, &state, &requires_replace))?;
        Ok(Planned {
            action: check::action(schema, prior, &state, &requires_replace),
            planned: if state.is_null() {
                None
            } else {
                Some(to_model(state.clone())?)
            },
            requires_replace,
            warnings,
            state,
            private: answer.planned_private,
        })
    }

    async fn change(
        &self,
        prior: &Dynamic,
        config: &Dynamic,
        planned: Planned<R::Model>,
    ) -> Result<Saved<R::Model>, Interrupted<R::Model>> {
        let Shape { schema, r#type } = self.shape()?;
        let answer = self.send_change(prior, config, &planned).await?;
        let state = decode(answer.new_state.as_ref(), r#type)?;
        let found = diagnostics_from_wire(answer.diagnostics);
        if found.has_errors() {
            return Err(interrupted(found, state, answer.private)?);
        }
        kept(check::applied(schema, &planned.state, &state))?;
        let nothing = || Diagnostic::error("Nothing was created");
        Ok(saved_state(state, answer.private, found)?.ok_or_else(nothing)?)
    }

    async fn send_change(
        &self,
        prior: &Dynamic,
        config: &Dynamic,
        planned: &Planned<R::Model>,
    ) -> Result<apply_resource_change::Response, Diagnostics> {
        let Shape { r#type, .. } = self.shape()?;
        let request = apply_resource_change::Request {
            type_name: self.name.clone(),
            prior_state: Some(encode(prior, r#type)?),
            planned_state: Some(encode(&planned.state, r#type)?),
            config: Some(encode(config, r#type)?),
            planned_private: planned.private.clone(),
            ..Default::default()
        };
        answered(
            self.service
                .apply_resource_change(Request::new(request))
                .await,
        )
    }
}

fn saved_state<M: Model>(
    state: Dynamic,
    private: Bytes,
    warnings: Diagnostics,
) -> Result<Option<Saved<M>>, Diagnostics> {
    if state.is_null() {
        return Ok(None);
    }
    let model = to_model(state.clone())?;
    Ok(Some(Saved {
        model,
        warnings,
        state,
        private,
    }))
}

fn interrupted<M: Model>(
    diagnostics: Diagnostics,
    state: Dynamic,
    private: Bytes,
) -> Result<Interrupted<M>, Diagnostics> {
    Ok(Interrupted {
        diagnostics,
        saved: saved_state(state, private, Diagnostics::new())?.map(Box::new),
    })
}
