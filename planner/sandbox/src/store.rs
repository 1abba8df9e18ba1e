//! The state file: a sandbox that is asked to be durable answers only what it has written.
//!
//! Changes are written in groups: a request waits until a file that contains its change lies in
//! place, and many requests may wait for the same file. Readable by its owner only, because the
//! payload of secrets is in it.

use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::{Notify, watch};

use crate::world::World;

/// Where the writer and the requests meet.
pub(crate) struct Store {
    path: PathBuf,
    wake: Notify,
    written: watch::Sender<Written>,
}

#[derive(Clone, Default)]
struct Written {
    version: u64,
    failure: Option<String>,
}

impl Store {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            wake: Notify::new(),
            written: watch::Sender::new(Written::default()),
        }
    }

    /// Wait until the change of this version is on disk.
    pub(crate) async fn wait_for(&self, version: u64) -> Result<(), String> {
        let mut written = self.written.subscribe();
        self.wake.notify_one();
        match written.wait_for(|written| written.version >= version).await {
            Ok(written) => written.failure.clone().map_or(Ok(()), Err),
            Err(_) => Err("the sandbox is shutting down".to_owned()),
        }
    }

    /// Write again and again, each time somebody waits. `snapshot` gives version and bytes.
    pub(crate) async fn run(&self, snapshot: impl Fn() -> (u64, Vec<u8>)) {
        loop {
            self.wake.notified().await;
            let (version, bytes) = snapshot();
            let failure = replace(&self.path, &bytes).await.err().map(|error| {
                format!(
                    "the sandbox cannot write its state file {}: {error}",
                    self.path.display()
                )
            });
            self.written.send_replace(Written { version, failure });
        }
    }
}

/// Put a file in place in one step, so that a reader sees the old one or the new one.
async fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("writing");
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(&beside).await?;
    tokio::io::AsyncWriteExt::write_all(&mut file, bytes).await?;
    file.sync_data().await?;
    tokio::fs::rename(&beside, path).await
}

/// The world in a state file; nothing when there is none yet.
pub(crate) fn load(path: &Path) -> io::Result<Option<World>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut world: World = serde_json::from_slice(&bytes).map_err(|error| {
        let text = format!(
            "{} is not a state file of this sandbox ({error}); remove it or name another",
            path.display()
        );
        io::Error::new(io::ErrorKind::InvalidData, text)
    })?;
    world.clock.anchor();
    world.interrupt();
    Ok(Some(world))
}
