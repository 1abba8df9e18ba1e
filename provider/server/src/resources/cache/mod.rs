//! `openmodel_cache`: a repository of the Hub, kept as snapshots in Cloud Storage.
//!
//! ```text
//! schema.rs   attributes        inputs.rs  configuration ─► CacheSpec, gates
//! model.rs    their values      plan.rs    the planned values       place.rs   buckets and regions
//! apply.rs    create, update, delete       change.rs  from commit to commit    show.rs  figures
//! engine.rs   who moves the files
//! read.rs     what lies in Cloud Storage ─► drift
//! ```

mod apply;
mod change;
mod engine;
mod inputs;
mod model;
mod place;
mod plan;
mod read;
mod schema;
mod show;

use std::collections::BTreeMap;
use std::time::Duration;

use openmodel_schemas::snapshot::SnapshotUri;
use tfplug::framework::{
    Context, CreateRequest, DeleteRequest, Failed, Plan, PlanRequest, ReadRequest, Resource, State,
    UpdateRequest,
};
use tfplug::schema::Schema;
use tfplug::serve::log;
use tfplug::{Diagnostic, Diagnostics};
use tokio::time::Instant;

use self::model::CacheModel;
use self::plan::Decided;
use crate::client::Client;
use crate::deletion;

/// `resource "openmodel_cache"`.
#[derive(Default)]
pub(crate) struct Cache;

impl Resource for Cache {
    const TYPE: &'static str = "cache";
    type Client = Client;
    type Model = CacheModel;

    fn schema(&self) -> Schema {
        schema::schema()
    }

    fn validate(&self, config: &CacheModel) -> Diagnostics {
        inputs::validate(config)
    }

    async fn plan(
        &self,
        context: &Context<Client>,
        request: PlanRequest<CacheModel>,
    ) -> Result<Plan<CacheModel>, Diagnostics> {
        let prior = request.prior.clone();
        // Large, as it holds all that is asked of the Hub and of the buckets.
        let plan = Box::pin(plan::plan(context, request)).await?;
        if let Some(prior) = prior
            && moves(&prior, &plan.planned)
        {
            deletion::allow(&prior.deletion_policy, &prior.id)?;
        }
        Ok(plan)
    }

    async fn plan_destroy(
        &self,
        _context: &Context<Client>,
        request: &DeleteRequest<CacheModel>,
    ) -> Result<(), Diagnostics> {
        let state = &request.state;
        Ok(deletion::allow(&state.deletion_policy, &state.id)?)
    }

    async fn create(
        &self,
        context: &Context<Client>,
        request: CreateRequest<CacheModel>,
    ) -> Result<State<CacheModel>, Failed<CacheModel>> {
        apply::create(context, request).await
    }

    async fn read(
        &self,
        context: &Context<Client>,
        request: ReadRequest<CacheModel>,
    ) -> Result<Option<State<CacheModel>>, Diagnostics> {
        let client = context.client()?;
        let id = request.state.id.as_known().cloned().unwrap_or_default();
        if let Some(arguments) = client.waits_for() {
            // A plan must be possible before these are known; what is remembered is shown.
            log::warn(
                "cache",
                &format!("{id} is not read: {arguments} of the provider is not known yet"),
                &[],
            );
            return Ok(Some(request.state.into()));
        }
        let google = client.google(BTreeMap::new())?;
        let mut private = request.private;
        let imported = Decided::read(&private)?.is_none();
        let state = if imported {
            let uri: SnapshotUri = id.parse().map_err(|error| not_an_id(&error))?;
            read::from_record(&google, &uri, &mut private).await?
        } else {
            request.state
        };
        let state = read::overlay(context, &google, state).await?;
        Ok(state.map(|state| State::with_private(state, private)))
    }

    async fn update(
        &self,
        context: &Context<Client>,
        request: UpdateRequest<CacheModel>,
    ) -> Result<State<CacheModel>, Failed<CacheModel>> {
        apply::update(context, request).await
    }

    async fn delete(
        &self,
        context: &Context<Client>,
        request: DeleteRequest<CacheModel>,
    ) -> Result<(), Failed<CacheModel>> {
        deletion::allow(&request.state.deletion_policy, &request.state.id)?;
        apply::delete(context, request).await
    }

    async fn import(
        &self,
        _context: &Context<Client>,
        id: String,
    ) -> Result<State<CacheModel>, Diagnostics> {
        id.parse::<SnapshotUri>()
            .map_err(|error| not_an_id(&error))?;
        Ok(read::only(id.trim_end_matches('/')).into())
    }
}

/// When a single look must have answered.
fn read_deadline() -> Instant {
    Instant::now() + Duration::from_mins(2)
}

/// Whether the change is one that only a new cache can take.
fn moves(prior: &CacheModel, planned: &CacheModel) -> bool {
    let place = |model: &CacheModel| {
        [
            &model.repository,
            &model.repository_type,
            &model.project,
            &model.bucket,
            &model.prefix,
            &model.location,
            &model.storage_class,
            &model.kms_key,
        ]
        .map(Clone::clone)
    };
    place(prior) != place(planned)
}

fn not_an_id(why: &dyn std::fmt::Display) -> Diagnostic {
    Diagnostic::error("Import id is not understood")
        .detail(crate::errors::sentence(&why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_before_signatures_is_read() {
        let mut record = serde_json::to_value(CacheModel::default()).expect("JSON");
        let members = record.as_object_mut().expect("an object");
        assert!(members.remove("require_signature").is_some());
        let read: CacheModel = serde_json::from_value(record).expect("a model");
        assert_eq!(read, CacheModel::default());
    }

    #[test]
    fn struct_and_schema_agree() {
        tfplug::testing::assert_model_matches_schema::<Cache>();
    }
}
