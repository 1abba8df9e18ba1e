//! Serving a provider to Terraform: the go-plugin handshake and the gRPC server behind it.
//!
//! ```text
//!  terraform                               provider
//!     │  exec, cookie, versions, certificate  │   handshake.rs   who is asking?
//!     │ ────────────────────────────────────► │   listen.rs      unix socket, or TCP
//!     │  1|6|unix|/tmp/…/s|grpc|MIIB…         │   tls.rs         mutual TLS, both ends pinned
//!     │ ◄──────────────────────────────────── │
//!     │  gRPC: Provider, health, stdio, …     │   connection.rs, companion.rs
//!     │ ◄───────────────────────────────────► │
//!     │  Shutdown                             │   lifetime.rs    drain, remove the socket, exit
//!     │ ────────────────────────────────────► │
//! ```
//!
//! A provider's `main` is one call of [`serve_blocking`]. Terraform starts the process three to five
//! times per command, so nothing here is made before it is needed. Standard output belongs to the
//! handshake; logs go through [`crate::log`].

mod command;
mod companion;
mod connection;
pub mod debug;
mod handshake;
mod lifetime;
mod listen;
pub mod log;
mod panic;
mod tls;

use std::io::{self, Write};
use std::time::Duration;

use futures::Stream;
use tonic::transport::Server;

pub use handshake::{Host, Refusal};

use crate::wire::health::health_server::HealthServer;
use crate::wire::plugin::grpc_broker_server::GrpcBrokerServer;
use crate::wire::plugin::grpc_controller_server::GrpcControllerServer;
use crate::wire::plugin::grpc_stdio_server::GrpcStdioServer;
use crate::wire::provider_server::{Provider, ProviderServer};
use command::Command;
use companion::{Broker, Controller, Health, Stdio};
use connection::Connection;
use lifetime::Stop;

/// Largest message in either direction, in bytes: the limit of Terraform's own Go providers.
const MESSAGE_LIMIT: usize = 256 << 20;

/// Calls at once on one connection. Above any `-parallelism` in use.
const STREAM_LIMIT: u32 = 4096;

/// How long a call in flight may still run once the end was asked for. Terraform waits 2 s for the
/// process to go, and every millisecond of it is paid three to five times per command.
const DRAIN: Duration = Duration::from_millis(20);

/// Who the provider is.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// The full source address, for instance `registry.terraform.io/openmodel/openmodel`.
    pub address: &'static str,
    /// The version without a `v`, for instance `0.1.0`.
    pub version: &'static str,
}

impl ServeOptions {
    /// The provider's type: the last part of its address, for instance `openmodel`.
    pub fn name(&self) -> &'static str {
        self.address.rsplit('/').next().unwrap_or(self.address)
    }
}

/// Why a provider could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The host is none that we can serve.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No socket could be opened.
    #[error("no socket for Terraform to connect to: {0}")]
    Listen(#[source] io::Error),
    /// The certificate of this process could not be made.
    #[error("no TLS for the connection to Terraform: {0}")]
    Tls(String),
    /// The handshake line could not be written.
    #[error("the handshake line could not be written to standard output: {0}")]
    Handshake(#[source] io::Error),
    /// The gRPC server ended with an error.
    #[error("the gRPC server ended: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves a provider as this process's whole life; to be called from `main`.
///
/// Answers `--version` and `--help`, serves `--debug`, explains itself when it was run by hand, and
/// otherwise serves the Terraform that started it until that one asks for the end or is gone.
/// Installs the panic hook and the logger. Ends the process: 0 after an orderly end, 1 otherwise.
pub fn serve_blocking<P: Provider>(service: P, options: ServeOptions) -> ! {
    let code = match Command::parse(std::env::args_os().skip(1)) {
        Command::Version => say(io::stdout(), &command::version(&options), 0),
        Command::Help => say(io::stdout(), &command::help(&options), 0),
        Command::Unknown(argument) => say(io::stderr(), &command::unknown(&options, &argument), 1),
        Command::Debug => blocking(&options, debug::serve(service, &options)),
        Command::Serve => match Host::read(|name| std::env::var(name).ok()) {
            Ok(host) => blocking(&options, serve(service, host)),
            Err(Refusal::ByHand) => say(io::stderr(), &command::by_hand(&options), 1),
            Err(refusal) => say(io::stderr(), &format!("{refusal}\n"), 1),
        },
    };
    // Without waiting for the runtime: a blocking thread must not hold Terraform up.
    std::process::exit(code)
}

/// Serves the host that started this process, over one socket, until it asks for the end, its process
/// is gone, or SIGTERM arrives. SIGINT is ignored: Ctrl-C reaches the whole process group, and it is
/// Terraform that decides what it means (`StopProvider`).
///
/// Writes the handshake line to standard output and then closes that for good. The socket is removed
/// when this returns; calls that still run get 20 ms, so the caller should exit at once.
pub async fn serve<P: Provider>(service: P, host: Host) -> Result<(), ServeError> {
    let tls = host
        .client_certificate()
        .map(tls::mutual)
        .transpose()
        .map_err(ServeError::Tls)?;
    let (listener, _removed_at_the_end) = listen::bind(&host).map_err(ServeError::Listen)?;

    let stop = Stop::default();
    lifetime::stop_on_signals(&stop).map_err(ServeError::Listen)?;
    lifetime::stop_with_parent(&stop);

    let (acceptor, certificate) = tls.unzip();
    let line = handshake::line(listener.address(), certificate.as_deref(), host.multiplex());
    let incoming = connection::incoming(listener, acceptor);
    announce(&line).map_err(ServeError::Handshake)?;
    run(service, incoming, &stop, Controller::ending(stop.clone())).await
}

/// Runs the gRPC server until `stop`, and for at most [`DRAIN`] after it.
async fn run<P: Provider>(
    service: P,
    incoming: impl Stream<Item = io::Result<Connection>>,
    stop: &Stop,
    controller: Controller,
) -> Result<(), ServeError> {
    let server = Server::builder()
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_frame_size(1 << 20)
        .max_concurrent_streams(STREAM_LIMIT)
        // Ctrl-C resets every call in flight at once; that is no attack.
        .http2_max_pending_accept_reset_streams(Some(STREAM_LIMIT as usize))
        .add_service(
            ProviderServer::new(service)
                .max_decoding_message_size(MESSAGE_LIMIT)
                .max_encoding_message_size(MESSAGE_LIMIT),
        )
        .add_service(GrpcControllerServer::new(controller))
        .add_service(GrpcStdioServer::new(Stdio::new(stop.clone())))
        .add_service(GrpcBrokerServer::new(Broker::new(stop.clone())))
        .add_service(HealthServer::new(Health::new(stop.clone())))
        .serve_with_incoming_shutdown(incoming, stop.clone().asked());

    tokio::select! {
        ended = server => Ok(ended?),
        () = stop.clone().asked_and(DRAIN) => Ok(()),
    }
}

/// Writes the handshake line, then points standard output at nothing: one stray line of a dependency
/// that is long enough would block this process for ever, since Terraform stops reading there.
fn announce(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()?;
    #[cfg(unix)]
    rustix::stdio::dup2_stdout(std::fs::File::options().write(true).open("/dev/null")?)?;
    Ok(())
}

/// Most threads of the runtime: a provider waits for others more than it computes.
const MOST_THREADS: usize = 8;

/// Runs a server on a runtime of its own; gives the exit code.
fn blocking(options: &ServeOptions, server: impl Future<Output = Result<(), ServeError>>) -> i32 {
    panic::install();
    log::init(options.name());
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, MOST_THREADS))
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            return say(
                io::stderr(),
                &format!("no threads to serve with: {error}\n"),
                1,
            );
        }
    };
    let ended = runtime.block_on(server);
    // Dropping it would wait for blocking threads; the process is about to end.
    std::mem::forget(runtime);
    match ended {
        Ok(()) => 0,
        Err(error) => say(io::stderr(), &format!("{error}\n"), 1),
    }
}

/// Writes a text for a person and passes the exit code on. A closed stream is no reason to fail.
fn say(mut stream: impl Write, text: &str, code: i32) -> i32 {
    let _closed = stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush());
    code
}
