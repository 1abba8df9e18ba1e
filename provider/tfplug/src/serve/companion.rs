//! The services that a go-plugin host expects beside the provider: controller, stdio, broker, health.
//!
//! Terraform opens the streams of stdio and broker at once and holds them; ours stay silent and end
//! when the server does.

use futures::stream::{self, StreamExt};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::lifetime::Stop;
use crate::wire::health::health_check_response::ServingStatus;
use crate::wire::health::{HealthCheckRequest, HealthCheckResponse, health_server};
use crate::wire::plugin::{
    ConnInfo, Empty, StdioData, grpc_broker_server, grpc_controller_server, grpc_stdio_server,
};

/// Ends the process when the host asks for it.
pub(super) struct Controller(Option<Stop>);

impl Controller {
    /// `Shutdown` stops the server.
    pub(super) fn ending(stop: Stop) -> Self {
        Self(Some(stop))
    }

    /// `Shutdown` is answered and nothing more: the server outlives each of its clients.
    pub(super) fn staying() -> Self {
        Self(None)
    }
}

#[async_trait]
impl grpc_controller_server::GrpcController for Controller {
    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        if let Some(stop) = &self.0 {
            stop.ask();
        }
        Ok(Response::new(Empty {}))
    }
}

/// Carries no output: logs go to the real standard error.
pub(super) struct Stdio(Stop);

impl Stdio {
    pub(super) fn new(stop: Stop) -> Self {
        Self(stop)
    }
}

#[async_trait]
impl grpc_stdio_server::GrpcStdio for Stdio {
    async fn stream_stdio(&self, _: Request<()>) -> Result<Response<BoxStream<StdioData>>, Status> {
        Ok(Response::new(silence(&self.0)))
    }
}

/// Arranges no further connections.
pub(super) struct Broker(Stop);

impl Broker {
    pub(super) fn new(stop: Stop) -> Self {
        Self(stop)
    }
}

#[async_trait]
impl grpc_broker_server::GrpcBroker for Broker {
    async fn start_stream(
        &self,
        _: Request<Streaming<ConnInfo>>,
    ) -> Result<Response<BoxStream<ConnInfo>>, Status> {
        Ok(Response::new(silence(&self.0)))
    }
}

/// Healthy for as long as it answers.
pub(super) struct Health(Stop);

impl Health {
    pub(super) fn new(stop: Stop) -> Self {
        Self(stop)
    }

    /// go-plugin asks for "plugin", others for the server as a whole.
    fn status(request: &Request<HealthCheckRequest>) -> Option<HealthCheckResponse> {
        matches!(request.get_ref().service.as_str(), "" | "plugin").then(|| HealthCheckResponse {
            status: ServingStatus::Serving.into(),
        })
    }
}

#[async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let known = Self::status(&request).map(Response::new);
        known.ok_or_else(|| Status::not_found("this server knows the services \"plugin\" and \"\""))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<BoxStream<HealthCheckResponse>>, Status> {
        // By the definition of Watch an unknown service is a status to wait on, not an error.
        let status = Self::status(&request).unwrap_or(HealthCheckResponse {
            status: ServingStatus::ServiceUnknown.into(),
        });
        let first = stream::once(async move { Ok(status) });
        Ok(Response::new(Box::pin(first.chain(silence(&self.0)))))
    }
}

/// A stream that says nothing and ends with the server.
fn silence<T: Send + 'static>(stop: &Stop) -> BoxStream<T> {
    Box::pin(stream::pending().take_until(Box::pin(stop.clone().asked())))
}
