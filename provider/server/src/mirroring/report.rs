//! How far a transfer is, in the log: every few seconds, whoever moves the files.

use std::time::Duration;

use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::snapshot::SnapshotUri;
use openmodel_transfer::file::Meter;
use openmodel_transfer::mirror::Mirror;
use openmodel_transfer::progress::progress;
use openmodel_transfer::repository::Moved;
use tfplug::serve::log;
use tokio::time::Instant;

use super::Mirroring;

/// How often a running transfer says how far it is.
const REPORT: Duration = Duration::from_secs(5);

/// How often the folder is listed that others move files to.
const LOOK: Duration = Duration::from_secs(30);

/// Drive a transfer of this process.
pub(super) async fn reported<T>(
    snapshot: &SnapshotUri,
    mirror: &Mirror,
    moving: impl Future<Output = T>,
) -> T {
    let all = mirror.files.iter().map(|file| file.size).sum();
    let (meter, before) = (&mirror.meter, mirror.meter.read());
    let seen = || std::future::ready(Some((meter.moved(), meter.read() - before)));
    driven(snapshot, all, REPORT, seen, moving).await
}

/// Wait for others who move files: as far as whole files are there.
pub(super) async fn watched<T>(
    cloud: &Mirroring,
    snapshot: &SnapshotUri,
    all: Bytes,
    performing: impl Future<Output = T>,
) -> T {
    let there = || async move {
        let store = cloud.open(snapshot).await.ok()?;
        Some(store.bytes().0)
    };
    let before = there().await.unwrap_or_default();
    let seen = || {
        let there = there();
        async move {
            let now = there.await?;
            Some((now, now.saturating_sub(before)))
        }
    };
    driven(snapshot, all, LOOK, seen, performing).await
}

/// Log now and then how far it is: bytes that are there, and those of them that came since it began. What is not
/// seen now is seen the next time.
async fn driven<T, S: Future<Output = Option<(u64, u64)>>>(
    snapshot: &SnapshotUri,
    all: Bytes,
    every: Duration,
    seen: impl Fn() -> S,
    moving: impl Future<Output = T>,
) -> T {
    let started = Instant::now();
    tokio::pin!(moving);
    loop {
        tokio::select! {
            done = &mut moving => return done,
            () = tokio::time::sleep(every) => {}
        }
        if let Some((there, moved)) = seen().await {
            let line = progress(there, moved, all, started.elapsed());
            log::info("cache", &format!("{snapshot}: {line}"), &[]);
        }
    }
}

/// What a transfer came to.
pub(super) fn said(snapshot: &SnapshotUri, meter: &Meter, moved: &[Moved]) {
    let all: Bytes = moved.iter().map(|one| one.file.size).sum();
    log::info(
        "cache",
        &format!(
            "{snapshot}: {} files, {}, verified; {} read from the Hub",
            moved.len(),
            all,
            Bytes(meter.read())
        ),
        &[],
    );
}
