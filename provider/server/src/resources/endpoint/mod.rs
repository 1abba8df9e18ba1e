//! `openmodel_endpoint`: an open model, served.
//!
//! ```text
//! schema.rs   attributes        inputs.rs  configuration ─► EndpointSpec
//! model.rs    their values      plan.rs    the planned values      advice.rs  placement ─► values
//! apply.rs    create, update, delete         read.rs   live service ─► state
//! gate.rs     may the engine's files be loaded?
//! frozen.rs   what was decided, kept until an input changes
//! ```

mod advice;
mod apply;
mod frozen;
mod gate;
mod inputs;
mod model;
mod plan;
mod read;
mod schema;

use std::collections::BTreeMap;

use openmodel_graph::operation::EndpointIdentity;
use openmodel_schemas::name::{EndpointName, ProjectId, Region};
use tfplug::framework::{
    Context, CreateRequest, DeleteRequest, Failed, Plan, PlanRequest, ReadRequest, Resource, State,
    UpdateRequest,
};
use tfplug::schema::Schema;
use tfplug::serve::log;
use tfplug::value::Value;
use tfplug::{Diagnostic, Diagnostics};

use self::frozen::Frozen;
use self::model::EndpointModel;
use crate::client::Client;
use crate::deletion;
use crate::errors;

/// `resource "openmodel_endpoint"`.
#[derive(Default)]
pub(crate) struct Endpoint;

impl Resource for Endpoint {
    const TYPE: &'static str = "endpoint";
    type Client = Client;
    type Model = EndpointModel;

    fn schema(&self) -> Schema {
        schema::schema()
    }

    fn validate(&self, config: &EndpointModel) -> Diagnostics {
        inputs::validate(config)
    }

    async fn plan(
        &self,
        context: &Context<Client>,
        request: PlanRequest<EndpointModel>,
    ) -> Result<Plan<EndpointModel>, Diagnostics> {
        let prior = request.prior.clone();
        // Large, as it holds all that is asked of the Hub and of the bucket.
        let plan = Box::pin(plan::plan(context, request)).await?;
        if let Some(prior) = prior
            && moves(&prior, &plan.planned)
        {
            deletion::allow(&prior.deletion_policy, &prior.name)?;
        }
        Ok(plan)
    }

    async fn plan_destroy(
        &self,
        _context: &Context<Client>,
        request: &DeleteRequest<EndpointModel>,
    ) -> Result<(), Diagnostics> {
        let state = &request.state;
        Ok(deletion::allow(&state.deletion_policy, &state.name)?)
    }

    async fn create(
        &self,
        context: &Context<Client>,
        request: CreateRequest<EndpointModel>,
    ) -> Result<State<EndpointModel>, Failed<EndpointModel>> {
        Box::pin(apply::create(context, request)).await
    }

    async fn read(
        &self,
        context: &Context<Client>,
        request: ReadRequest<EndpointModel>,
    ) -> Result<Option<State<EndpointModel>>, Diagnostics> {
        let identity = identity(&request.state)?;
        let client = context.client()?;
        if let Some(arguments) = client.waits_for() {
            // A plan must be possible before these are known; what is remembered is shown.
            log::warn(
                "endpoint",
                &format!("{identity} is not read: {arguments} of the provider is not known yet"),
                &[],
            );
            return Ok(Some(request.state.into()));
        }
        let google = client.google(BTreeMap::new())?;
        let deadline = apply::read_deadline();
        let unreadable = |failure| apply::unreadable(&identity, &failure);
        let live = google
            .read_endpoint(&identity, deadline)
            .await
            .map_err(unreadable)?;
        let frozen = Frozen::read(&request.private)?;
        let Some(live) = live else {
            let may_have_secret = frozen.is_some_and(|frozen| frozen.has_secret);
            let has_secret = may_have_secret
                && google
                    .has_token_secret(&identity, deadline)
                    .await
                    .map_err(unreadable)?;
            return Ok(has_secret.then(|| read::without_service(request.state).into()));
        };
        if let Some(frozen) = frozen {
            return Ok(Some(read::overlay(request.state, &frozen, &live).into()));
        }
        let (state, frozen) = read::from_record(&live)?;
        let mut private = request.private;
        frozen.write(&mut private)?;
        Ok(Some(State::with_private(state, private)))
    }

    async fn update(
        &self,
        context: &Context<Client>,
        request: UpdateRequest<EndpointModel>,
    ) -> Result<State<EndpointModel>, Failed<EndpointModel>> {
        Box::pin(apply::update(context, request)).await
    }

    async fn delete(
        &self,
        context: &Context<Client>,
        request: DeleteRequest<EndpointModel>,
    ) -> Result<(), Failed<EndpointModel>> {
        deletion::allow(&request.state.deletion_policy, &request.state.name)?;
        apply::delete(context, request).await
    }

    async fn import(
        &self,
        context: &Context<Client>,
        id: String,
    ) -> Result<State<EndpointModel>, Diagnostics> {
        let client = context.client()?;
        let defaults = (client.project.as_known(), client.region.as_known());
        let identity = parse_import_id(&id, defaults).map_err(|why| {
            Diagnostic::error("Import id is not understood").detail(format!(
                "{id:?}: {why}. Write projects/{{project}}/locations/{{region}}/services/{{name}}, \
                 {{project}}/{{region}}/{{name}}, {{region}}/{{name}} or {{name}}."
            ))
        })?;
        Ok(EndpointModel {
            id: Value::Known(identity.service()),
            project: Value::Known(identity.project.to_string()),
            region: Value::Known(identity.region.to_string()),
            name: Value::Known(identity.name.to_string()),
            ..EndpointModel::default()
        }
        .into())
    }
}

/// Whether the change is one that only a new endpoint can take.
fn moves(prior: &EndpointModel, planned: &EndpointModel) -> bool {
    let place = |model: &EndpointModel| {
        [&model.project, &model.region, &model.name, &model.surface].map(Clone::clone)
    };
    place(prior) != place(planned)
}

/// Where an endpoint of the state lives.
fn identity(state: &EndpointModel) -> Result<EndpointIdentity, Diagnostic> {
    let text = |value: &Value<String>| value.as_known().cloned().unwrap_or_default();
    let parts = (|| {
        Ok::<_, openmodel_schemas::name::NameError>(EndpointIdentity {
            project: text(&state.project).parse()?,
            region: text(&state.region).parse()?,
            name: text(&state.name).parse()?,
        })
    })();
    parts.map_err(|error| {
        errors::bug(&format!(
            "the state of an endpoint does not say where it is: {error}"
        ))
    })
}

fn parse_import_id(
    id: &str,
    defaults: (Option<&String>, Option<&String>),
) -> Result<EndpointIdentity, String> {
    let parts: Vec<&str> = id.split('/').collect();
    let project = || {
        defaults
            .0
            .map(String::as_str)
            .ok_or("the provider has no default project")
    };
    let region = || {
        defaults
            .1
            .map(String::as_str)
            .ok_or("the provider has no default region")
    };
    let (project, region, name) = match parts.as_slice() {
        ["projects", project, "locations", region, "services", name] | [project, region, name] => {
            (*project, *region, *name)
        }
        [region, name] => (project()?, *region, *name),
        [name] => (project()?, region()?, *name),
        _ => return Err("it has the wrong number of parts".to_owned()),
    };
    Ok(EndpointIdentity {
        project: project
            .parse::<ProjectId>()
            .map_err(|error| error.to_string())?,
        region: region
            .parse::<Region>()
            .map_err(|error| error.to_string())?,
        name: name
            .parse::<EndpointName>()
            .map_err(|error| error.to_string())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_before_signatures_is_read() {
        let mut record = serde_json::to_value(EndpointModel::default()).expect("JSON");
        let members = record.as_object_mut().expect("an object");
        assert!(members.remove("require_signature").is_some());
        let read: EndpointModel = serde_json::from_value(record).expect("a model");
        assert_eq!(read, EndpointModel::default());
    }

    #[test]
    fn struct_and_schema_agree() {
        tfplug::testing::assert_model_matches_schema::<Endpoint>();
    }

    #[test]
    fn every_way_to_write_an_import_id_names_the_same_endpoint() {
        let defaults = (Some(&"acme-ml".to_owned()), Some(&"us-central1".to_owned()));
        for id in [
            "projects/acme-ml/locations/us-central1/services/chat",
            "acme-ml/us-central1/chat",
            "us-central1/chat",
            "chat",
        ] {
            let identity = parse_import_id(id, (defaults.0, defaults.1)).expect(id);
            assert_eq!(identity.to_string(), "acme-ml/us-central1/chat");
        }
        assert!(parse_import_id("a/b/c/d", defaults).is_err());
        assert!(parse_import_id("chat", (None, None)).is_err());
        assert!(parse_import_id("acme-ml/us-central1/Chat", defaults).is_err());
    }
}
