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

/// Drive a transfer, and log now and then how far it is.
pub(super) async fn reported<T>(
    snapshot: &SnapshotUri,
    mirror: &Mirror,
    moving: impl Future<Output = T>,
) -> T {
    let all: Bytes = mirror.files.iter().map(|file| file.size).sum();
    let (started, before) = (Instant::now(), mirror.meter.read());
    let mut ticks = tokio::time::interval_at(started + REPORT, REPORT);
    tokio::pin!(moving);
    loop {
        tokio::select! {
            done = &mut moving => return done,
            _ = ticks.tick() => {
                let meter = &mirror.meter;
                let line = progress(meter.moved(), meter.read() - before, all, started.elapsed());
                log::info("cache", &format!("{snapshot}: {line}"), &[]);
            }
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

/// Wait for others who move files, and log now and then how far they are, as far as whole files are there.
pub(super) async fn watched<T>(
    cloud: &Mirroring,
    snapshot: &SnapshotUri,
    all: Bytes,
    performing: impl Future<Output = T>,
) -> T {
    let there = || async { cloud.open(snapshot).await.map(|store| store.bytes().0) };
    let watching = async {
        let (started, mut before) = (Instant::now(), there().await.ok());
        loop {
            tokio::time::sleep(LOOK).await;
            // What is not seen now is seen the next time.
            let Ok(now) = there().await else { continue };
            let moved = now.saturating_sub(*before.get_or_insert(now));
            let line = progress(now, moved, all, started.elapsed());
            log::info("cache", &format!("{snapshot}: {line}"), &[]);
        }
    };
    let watching: std::convert::Infallible = tokio::select! {
        done = performing => return done,
        never = watching => never,
    };
    match watching {}
}
