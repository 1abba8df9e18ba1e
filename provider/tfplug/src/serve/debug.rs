//! Serving without a Terraform above us: `--debug` for people with a debugger, [`attach`] for tests.
//!
//! The provider listens first, and Terraform is told by `TF_REATTACH_PROVIDERS` where. No cookie, no
//! TLS; the socket is for the user alone. Terraform does not end such a provider, so one process
//! serves any number of commands. `terraform init` skips it.

use std::io::{self, Write};

use serde_json::json;
use tokio::task::JoinHandle;

use super::companion::Controller;
use super::lifetime::Stop;
use super::listen::{self, Listener};
use super::{ServeError, ServeOptions, connection, run};
use crate::wire::provider_server::Provider;

/// Name of the variable that tells Terraform of providers that run already.
pub const REATTACH: &str = "TF_REATTACH_PROVIDERS";

/// A provider that is served by this process; it ends when this is dropped.
pub struct Attached {
    reattach: String,
    stop: Stop,
    server: JoinHandle<Result<(), ServeError>>,
}

impl Attached {
    /// The value of [`REATTACH`] for Terraform.
    pub fn reattach(&self) -> &str {
        &self.reattach
    }

    /// Ends the server and waits for the end.
    pub async fn stop(mut self) -> Result<(), ServeError> {
        self.stop.ask();
        match (&mut self.server).await {
            Ok(ended) => ended,
            Err(_) => Ok(()), // The runtime goes down, and the task with it.
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.stop.ask();
    }
}

/// Serves a provider from within this process, on a runtime that is there: for tests that run
/// Terraform against a provider in the test itself.
pub fn attach<P: Provider>(service: P, options: &ServeOptions) -> Result<Attached, ServeError> {
    let (listener, file) = listen::bind_anywhere().map_err(ServeError::Listen)?;
    let reattach = reattach(&listener, options);
    let stop = Stop::default();
    let server = tokio::spawn({
        let stop = stop.clone();
        async move {
            let _removed_at_the_end = file;
            run(
                service,
                connection::incoming(listener, None),
                &stop,
                Controller::staying(),
            )
            .await
        }
    });
    Ok(Attached {
        reattach,
        stop,
        server,
    })
}

/// Serves until Ctrl-C, and says on standard output how to attach.
pub(super) async fn serve<P: Provider>(
    service: P,
    options: &ServeOptions,
) -> Result<(), ServeError> {
    let attached = attach(service, options)?;
    let text = format!(
        "The provider runs, until Ctrl-C. To have Terraform use it, set in its shell:\n\n\
         {REATTACH}='{}'\n",
        attached.reattach()
    );
    let mut stdout = io::stdout();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(ServeError::Handshake)?;
    tokio::signal::ctrl_c().await.map_err(ServeError::Listen)?;
    attached.stop().await
}

/// The reattach value for one provider, as go-plugin's client reads it.
fn reattach(listener: &Listener, options: &ServeOptions) -> String {
    let address = listener.address();
    json!({
        options.address: {
            "Protocol": "grpc",
            "ProtocolVersion": 6,
            "Pid": std::process::id(),
            "Test": true,
            "Addr": { "Network": address.network(), "String": address.text() },
        }
    })
    .to_string()
}
