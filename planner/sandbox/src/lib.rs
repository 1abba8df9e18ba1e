//! Emulator of the clouds' HTTP APIs: Hugging Face Hub, Cloud Run, Cloud Storage, Secret Manager,
//! IAM.
//!
//! ```text
//!             ┌ Host: run.googleapis.com, huggingface.co, *.run.app …
//! one port ───┤
//!             └ else by path: /v2/projects/…, /storage/v1/…, /v1/projects/*/secrets, /api/models/…,
//!                             /run.app/…; what is left is /{bucket}/{object} of the XML API
//!
//! /sandbox/…   the sandbox's own side: clock, faults, requests, inventory, hub, storage, reset
//! ```
//!
//! It imports no crate of ours, so that it cannot share their mistakes. What it knows of the APIs
//! it has from Google's Discovery documents (`data/discovery`) and from the Hub's published
//! behaviour. State is in memory, or in a file when asked; time is virtual; ids follow from a seed.
//! Contents of more than 256 KiB lie in temporary files without a name: they are gone with the
//! sandbox, and after a restart from a state file only the size and checksums of such an object are
//! left. Resumable uploads that are under way do not outlive it either.
//!
//! ```
//! use openmodel_sandbox::{Options, Sandbox};
//!
//! let sandbox = Sandbox::start(Options::default())?;
//! assert!(sandbox.url().starts_with("http://127.0.0.1:"));
//! assert_eq!(sandbox.inventory(), serde_json::json!([]));
//! sandbox.shutdown();
//! # Ok::<(), std::io::Error>(())
//! ```

mod admin;
mod blob;
mod clock;
mod faults;
mod google;
mod http;
mod hub;
mod ids;
mod log;
mod run_app;
mod server;
mod store;
mod virus_total;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

pub use clock::ClockMode;
pub use log::Entry;

use http::{Door, Line};
use server::Shared;
use store::Store;
use world::World;

/// How a sandbox is set up. All of it can be changed later over HTTP, but the port and the file.
#[derive(Debug, Clone)]
pub struct Options {
    /// TCP port on 127.0.0.1; 0 takes any that is free.
    pub port: u16,
    /// Keep the state in this file, and continue from it when it exists; its seed, clock and
    /// switches then stand, not those given here. Holds secrets: readable by its owner only.
    /// Contents of Cloud Storage are in it up to 256 KiB each; of longer ones, size and checksums.
    pub state_file: Option<PathBuf>,
    /// Ids and draws of chance follow from this.
    pub seed: u64,
    /// How virtual time moves.
    pub clock: ClockMode,
    /// Virtual time at the start, RFC 3339.
    pub start: String,
    /// Virtual time that a long-running operation takes.
    pub operation_time: Duration,
    /// Virtual time that one look at an unfinished operation takes, with [`ClockMode::Auto`].
    pub poll_time: Duration,
    /// Answer Google's APIs without a bearer token too, for clients with anonymous credentials.
    pub allow_anonymous: bool,
    /// Refuse a Cloud Run revision whose service account may not read the secrets it names.
    /// Off by default: the sandbox knows the policy of a secret, but not that of its project.
    pub strict_secret_access: bool,
}

impl Default for Options {
    /// Any port, in memory, operations that are done at the first look.
    fn default() -> Self {
        Self {
            port: 0,
            state_file: None,
            seed: 1,
            clock: ClockMode::Auto,
            start: "2026-01-01T00:00:00Z".to_owned(),
            operation_time: Duration::from_secs(20),
            poll_time: Duration::from_secs(20),
            allow_anonymous: false,
            strict_secret_access: false,
        }
    }
}

/// A running sandbox, on a thread of its own; it stops when dropped.
pub struct Sandbox {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Bind the port and serve. Fails when the port is taken, or the state file is not ours.
    pub fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stored = match &options.state_file {
            Some(path) => store::load(path)?,
            None => None,
        };
        let world = stored.unwrap_or_else(|| World::new(&options));
        let store = options.state_file.clone().map(Store::new);
        let base = format!("http://{address}");
        let shared = Arc::new(Shared::new(options, base, world, store));

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("openmodel-sandbox")
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(serve(listener, serving, stopped));
            // Whatever still holds a connection open has had its time.
            runtime.shutdown_timeout(Duration::from_millis(200));
        });
        Ok(Self {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Base URL: `http://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.shared.base
    }

    /// Address of the one port.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Everything that clients have made: an array of `{type, name, data}`, sorted, without times,
    /// ids and etags. Two runs that end the same have the same inventory; `[]` is nothing left.
    pub fn inventory(&self) -> Value {
        self.shared.world().inventory()
    }

    /// The requests so far and their answers, oldest first, without secrets.
    pub fn log(&self) -> Vec<Entry> {
        self.shared.log().entries().cloned().collect()
    }

    /// Stop: no new connections, a short time for requests under way.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The other end is gone only when the server has ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Sandbox")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let writing = Arc::clone(&shared);
    let writer = tokio::spawn(async move {
        if let Some(store) = &writing.store {
            store.run(|| writing.snapshot()).await;
        }
    });
    let router = axum::Router::new()
        .fallback(server::handle)
        .with_state(shared);
    let service = router.into_make_service_with_connect_info::<Line>();
    let (finish, finished) = oneshot::channel::<()>();
    let server = axum::serve(Door(listener), service).with_graceful_shutdown(async {
        drop(finished.await);
    });
    let server = tokio::spawn(async move { server.await });
    drop(stopped.await);
    drop(finish);
    drop(tokio::time::timeout(Duration::from_secs(2), server).await);
    writer.abort();
}
