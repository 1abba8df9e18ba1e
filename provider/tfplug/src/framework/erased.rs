//! A resource without its model type: the generic work around every call of [`Resource`].
//!
//! Between [`Service`](super::Service), which speaks the wire, and the typed resource stand the
//! plan pipeline, the conversion to and from the model, and, in debug builds and tests, our port
//! of the rules that Terraform's core will apply ([`crate::check`]).

use std::sync::OnceLock;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::codec::{of_model, to_model};
use super::plan::{propose, push_replace, remove_write_only, requires_replace};
use super::resource::{
    CreateRequest, DeleteRequest, Failed, MoveRequest, Plan, PlanRequest, ReadRequest, State,
    UpdateRequest, UpgradeRequest,
};
use super::validate::validate;
use super::{Context, Private, Resource, rules};
use crate::check;
use crate::schema::Schema;
use crate::value::{Dynamic, Path, Type};
use crate::{Diagnostic, Diagnostics};

/// A resource, data source or ephemeral resource with its schema, built when first needed.
pub(super) struct Erased<T> {
    pub(super) inner: T,
    shape: OnceLock<Shape>,
}

/// A schema and the type that it implies.
pub(super) struct Shape {
    pub(super) schema: Schema,
    pub(super) r#type: Type,
}

impl<T> Erased<T> {
    pub(super) fn new(inner: T) -> Self {
        Self {
            inner,
            shape: OnceLock::new(),
        }
    }

    pub(super) fn shape(&self, schema: impl FnOnce(&T) -> Schema) -> &Shape {
        self.shape.get_or_init(|| Shape::new(schema(&self.inner)))
    }
}

impl Shape {
    pub(super) fn new(schema: Schema) -> Self {
        let r#type = schema.implied_type();
        Self { schema, r#type }
    }
}

/// A change to plan; null for what is not there.
pub(super) struct AnyPlan {
    pub(super) config: Dynamic,
    pub(super) prior: Dynamic,
    pub(super) proposed: Dynamic,
    pub(super) private: Bytes,
}

/// A planned change.
pub(super) struct AnyPlanned {
    pub(super) planned: Dynamic,
    pub(super) requires_replace: Vec<Path>,
    pub(super) private: Bytes,
}

/// A change to make; null for what is not there.
pub(super) struct AnyApply {
    pub(super) config: Dynamic,
    pub(super) prior: Dynamic,
    pub(super) planned: Dynamic,
    pub(super) private: Bytes,
}

/// A state, null for none, and what is kept beside it.
pub(super) struct AnyState {
    pub(super) state: Dynamic,
    pub(super) private: Bytes,
}

/// How an apply ended: errors and state do not exclude each other.
pub(super) struct AnyApplied {
    pub(super) state: AnyState,
    pub(super) diagnostics: Diagnostics,
}

pub(super) trait AnyResource<C>: Send + Sync {
    fn name(&self) -> &'static str;
    fn shape(&self) -> &Shape;
    fn validate(&self, config: Dynamic, write_only_allowed: bool) -> Diagnostics;
    fn plan<'a>(
        &'a self,
        context: &'a Context<C>,
        request: AnyPlan,
    ) -> BoxFuture<'a, Result<AnyPlanned, Diagnostics>>;
    fn apply<'a>(&'a self, context: &'a Context<C>, request: AnyApply)
    -> BoxFuture<'a, AnyApplied>;
    fn read<'a>(
        &'a self,
        context: &'a Context<C>,
        current: AnyState,
    ) -> BoxFuture<'a, Result<AnyState, Diagnostics>>;
    fn import<'a>(
        &'a self,
        context: &'a Context<C>,
        id: String,
    ) -> BoxFuture<'a, Result<AnyState, Diagnostics>>;
    fn upgrade(&self, request: UpgradeRequest) -> BoxFuture<'_, Result<Dynamic, Diagnostics>>;
    fn take_over<'a>(
        &'a self,
        context: &'a Context<C>,
        request: MoveRequest,
    ) -> BoxFuture<'a, Result<Option<AnyState>, Diagnostics>>;
}

impl<R: Resource> AnyResource<R::Client> for Erased<R> {
    fn name(&self) -> &'static str {
        R::TYPE
    }

    fn shape(&self) -> &Shape {
        self.shape(Resource::schema)
    }

    fn validate(&self, config: Dynamic, write_only_allowed: bool) -> Diagnostics {
        let shape = AnyResource::shape(self);
        let mut found = validate(&shape.schema, &config, write_only_allowed);
        match to_model(config) {
            Ok(model) => found.extend(self.inner.validate(&model)),
            Err(error) => found.push(error),
        }
        found
    }

    fn plan<'a>(
        &'a self,
        context: &'a Context<R::Client>,
        request: AnyPlan,
    ) -> BoxFuture<'a, Result<AnyPlanned, Diagnostics>> {
        Box::pin(async move {
            if request.proposed.is_null() {
                self.plan_destroy(context, request).await
            } else {
                self.plan_change(context, request).await
            }
        })
    }

    fn apply<'a>(
        &'a self,
        context: &'a Context<R::Client>,
        request: AnyApply,
    ) -> BoxFuture<'a, AnyApplied> {
        Box::pin(async move {
            let prior = AnyState {
                state: request.prior.clone(),
                private: request.private.clone(),
            };
            let planned = request.planned.clone();
            let outcome = self.apply_change(context, request).await;
            self.applied(prior, &planned, outcome)
        })
    }

    fn read<'a>(
        &'a self,
        context: &'a Context<R::Client>,
        current: AnyState,
    ) -> BoxFuture<'a, Result<AnyState, Diagnostics>> {
        Box::pin(async move {
            let private = Private::from_bytes(&current.private)?;
            let state = to_model(current.state)?;
            match self
                .inner
                .read(context, ReadRequest { state, private })
                .await?
            {
                None => Ok(AnyState {
                    state: Dynamic::Null,
                    private: Bytes::new(),
                }),
                Some(state) => self.stored(state, current.private, rules::read),
            }
        })
    }

    fn import<'a>(
        &'a self,
        context: &'a Context<R::Client>,
        id: String,
    ) -> BoxFuture<'a, Result<AnyState, Diagnostics>> {
        Box::pin(async move {
            let state = self.inner.import(context, id).await?;
            self.stored(state, Bytes::new(), rules::imported)
        })
    }

    fn upgrade(&self, request: UpgradeRequest) -> BoxFuture<'_, Result<Dynamic, Diagnostics>> {
        Box::pin(async move {
            let model = self.inner.upgrade_state(request).await?;
            Ok(self
                .stored(model.into(), Bytes::new(), rules::upgraded)?
                .state)
        })
    }

    fn take_over<'a>(
        &'a self,
        context: &'a Context<R::Client>,
        request: MoveRequest,
    ) -> BoxFuture<'a, Result<Option<AnyState>, Diagnostics>> {
        Box::pin(async move {
            let Some(state) = self.inner.move_state(context, request).await? else {
                return Ok(None);
            };
            self.stored(state, Bytes::new(), rules::upgraded).map(Some)
        })
    }
}

impl<R: Resource> Erased<R> {
    async fn plan_change(
        &self,
        context: &Context<R::Client>,
        request: AnyPlan,
    ) -> Result<AnyPlanned, Diagnostics> {
        let Shape { schema, r#type } = AnyResource::shape(self);
        let AnyPlan {
            config,
            prior,
            proposed,
            private,
        } = request;
        let proposal = propose(schema, &config, &prior, proposed);
        if proposal.diagnostics.has_errors() {
            return Err(proposal.diagnostics);
        }
        proposal
            .diagnostics
            .into_iter()
            .for_each(|warning| context.warn(warning));
        let action = check::action(
            schema,
            &prior,
            &proposal.planned,
            &proposal.requires_replace,
        );
        let request = PlanRequest {
            action,
            prior: if prior.is_null() {
                None
            } else {
                Some(to_model(prior.clone())?)
            },
            config: to_model(config.clone())?,
            proposed: to_model(proposal.planned)?,
            private: Private::from_bytes(&private)?,
        };
        let Plan {
            planned,
            requires_replace: named,
            private: kept,
        } = self.inner.plan(context, request).await?;
        let mut planned = of_model(&planned, r#type)?;
        remove_write_only(&schema.block, &mut planned);
        // Once more, because the resource may have changed values that carry such a rule.
        let mut replace = requires_replace(schema, &config, &prior, &planned);
        for path in &named {
            push_replace(&mut replace, path);
        }
        rules::plan(schema, &prior, &config, &planned, &replace)?;
        Ok(AnyPlanned {
            planned,
            requires_replace: replace,
            private: kept.map_or(private, |kept| kept.to_bytes()),
        })
    }

    async fn plan_destroy(
        &self,
        context: &Context<R::Client>,
        request: AnyPlan,
    ) -> Result<AnyPlanned, Diagnostics> {
        let private = Private::from_bytes(&request.private)?;
        let delete = DeleteRequest {
            state: to_model(request.prior)?,
            private,
        };
        self.inner.plan_destroy(context, &delete).await?;
        Ok(AnyPlanned {
            planned: Dynamic::Null,
            requires_replace: Vec::new(),
            private: request.private,
        })
    }

    async fn apply_change(
        &self,
        context: &Context<R::Client>,
        request: AnyApply,
    ) -> Result<Option<State<R::Model>>, Failed<R::Model>> {
        let private = Private::from_bytes(&request.private)?;
        if request.planned.is_null() {
            let state = to_model(request.prior)?;
            self.inner
                .delete(context, DeleteRequest { state, private })
                .await?;
            return Ok(None);
        }
        let (planned, config) = (to_model(request.planned)?, to_model(request.config)?);
        if request.prior.is_null() {
            self.inner
                .create(
                    context,
                    CreateRequest {
                        planned,
                        config,
                        private,
                    },
                )
                .await
                .map(Some)
        } else {
            let prior = to_model(request.prior)?;
            let request = UpdateRequest {
                prior,
                planned,
                config,
                private,
            };
            self.inner.update(context, request).await.map(Some)
        }
    }

    /// What Terraform gets to save. After an error without state that is the prior state.
    fn applied(
        &self,
        prior: AnyState,
        planned: &Dynamic,
        outcome: Result<Option<State<R::Model>>, Failed<R::Model>>,
    ) -> AnyApplied {
        let Shape { schema, r#type } = AnyResource::shape(self);
        let encode = |state: State<R::Model>| -> Result<AnyState, Diagnostic> {
            let mut model = of_model(&state.model, r#type)?;
            remove_write_only(&schema.block, &mut model);
            let private = state
                .private
                .map_or(prior.private.clone(), |private| private.to_bytes());
            Ok(AnyState {
                state: model,
                private,
            })
        };
        match outcome {
            Ok(None) => AnyApplied {
                state: AnyState {
                    state: Dynamic::Null,
                    private: Bytes::new(),
                },
                diagnostics: Diagnostics::new(),
            },
            Ok(Some(state)) => match encode(state) {
                Ok(state) => match rules::applied(schema, planned, &state.state) {
                    Ok(()) => AnyApplied {
                        state,
                        diagnostics: Diagnostics::new(),
                    },
                    Err(diagnostics) => {
                        let state = AnyState {
                            state: known_part(state.state),
                            ..state
                        };
                        AnyApplied { state, diagnostics }
                    }
                },
                // The object is there, so the plan is remembered as its state.
                Err(error) => {
                    let state = AnyState {
                        state: known_part(planned.clone()),
                        private: prior.private,
                    };
                    AnyApplied {
                        state,
                        diagnostics: error.into(),
                    }
                }
            },
            Err(Failed {
                mut diagnostics,
                state,
            }) => {
                let state = match state.map(|state| encode(*state)) {
                    None => prior,
                    Some(Ok(state)) => AnyState {
                        state: known_part(state.state),
                        private: state.private,
                    },
                    Some(Err(error)) => {
                        diagnostics.push(error);
                        AnyState {
                            state: known_part(planned.clone()),
                            private: prior.private,
                        }
                    }
                };
                AnyApplied { state, diagnostics }
            }
        }
    }

    /// A state outside of apply: read, imported, upgraded or taken over.
    fn stored(
        &self,
        state: State<R::Model>,
        private: Bytes,
        rule: fn(&Schema, &Dynamic) -> Result<(), Diagnostics>,
    ) -> Result<AnyState, Diagnostics> {
        let Shape { schema, r#type } = AnyResource::shape(self);
        let mut model = of_model(&state.model, r#type)?;
        remove_write_only(&schema.block, &mut model);
        rule(schema, &model)?;
        Ok(AnyState {
            state: model,
            private: state.private.map_or(private, |private| private.to_bytes()),
        })
    }
}

/// A value with null in place of everything unknown: what can be saved of a plan.
pub(super) fn known_part(value: Dynamic) -> Dynamic {
    match value {
        Dynamic::Unknown(_) => Dynamic::Null,
        Dynamic::List(values) => Dynamic::List(values.into_iter().map(known_part).collect()),
        Dynamic::Set(values) => Dynamic::Set(values.into_iter().map(known_part).collect()),
        Dynamic::Tuple(values) => Dynamic::Tuple(values.into_iter().map(known_part).collect()),
        Dynamic::Map(values) => Dynamic::Map(
            values
                .into_iter()
                .map(|(key, value)| (key, known_part(value)))
                .collect(),
        ),
        Dynamic::Object(values) => Dynamic::Object(
            values
                .into_iter()
                .map(|(name, value)| (name, known_part(value)))
                .collect(),
        ),
        Dynamic::Typed(r#type, value) => Dynamic::Typed(r#type, Box::new(known_part(*value))),
        known @ (Dynamic::Null | Dynamic::Bool(_) | Dynamic::Number(_) | Dynamic::String(_)) => {
            known
        }
    }
}
