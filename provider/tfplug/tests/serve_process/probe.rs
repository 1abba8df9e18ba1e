//! The provider under test: just enough to be called.

use tfplug::log;
use tfplug::wire::provider_server::Provider;
use tfplug::wire::{
    Schema, configure_provider, get_provider_schema, read_data_source, read_resource, schema,
    stop_provider, validate_data_resource_config, validate_provider_config,
};
use tonic::{Request, Response, Status, async_trait};

/// The provider.
pub(crate) struct Probe;

#[async_trait]
impl Provider for Probe {
    async fn get_provider_schema(
        &self,
        _: Request<get_provider_schema::Request>,
    ) -> Result<Response<get_provider_schema::Response>, Status> {
        log::info(
            "probe",
            "the schema was asked for",
            &[("answer", &"probe_panic")],
        );
        let empty = Schema {
            block: Some(schema::Block::default()),
            ..Schema::default()
        };
        Ok(Response::new(get_provider_schema::Response {
            provider: Some(empty.clone()),
            data_source_schemas: [("probe_panic".to_owned(), empty)].into(),
            ..Default::default()
        }))
    }

    async fn validate_provider_config(
        &self,
        _: Request<validate_provider_config::Request>,
    ) -> Result<Response<validate_provider_config::Response>, Status> {
        Ok(Response::new(validate_provider_config::Response::default()))
    }

    async fn validate_data_resource_config(
        &self,
        _: Request<validate_data_resource_config::Request>,
    ) -> Result<Response<validate_data_resource_config::Response>, Status> {
        Ok(Response::new(
            validate_data_resource_config::Response::default(),
        ))
    }

    async fn read_data_source(
        &self,
        _: Request<read_data_source::Request>,
    ) -> Result<Response<read_data_source::Response>, Status> {
        panic!("the probe panics whenever it is read");
    }

    /// Gives the state back; panics on request.
    async fn read_resource(
        &self,
        request: Request<read_resource::Request>,
    ) -> Result<Response<read_resource::Response>, Status> {
        let request = request.into_inner();
        assert_ne!(
            request.type_name, "probe_panic",
            "the probe was asked to panic with hf_secret"
        );
        Ok(Response::new(read_resource::Response {
            new_state: request.current_state,
            ..Default::default()
        }))
    }

    async fn configure_provider(
        &self,
        _: Request<configure_provider::Request>,
    ) -> Result<Response<configure_provider::Response>, Status> {
        log::debug("probe", "configured with hf_secret", &[("attempt", &1)]);
        log::trace("probe", "every detail", &[]);
        Ok(Response::new(configure_provider::Response::default()))
    }

    async fn stop_provider(
        &self,
        _: Request<stop_provider::Request>,
    ) -> Result<Response<stop_provider::Response>, Status> {
        Ok(Response::new(stop_provider::Response {
            error: "the probe was told".into(),
        }))
    }
}
