//! What a command took: time, CPU and memory of it and of all that it started.
//!
//! ```text
//!   benchmark ──► itself as `measure PROGRAM …` ──► PROGRAM, its only child: getrusage tells all of it
//! ```

use std::io::{Write as _, stdout};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};

use crate::terraform::printed;

/// What a command took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Seconds.
    pub wall: f64,
    /// Seconds of user and system time, children included.
    pub cpu: f64,
    /// Largest resident size of one process, in millions of bytes.
    pub peak: f64,
}

/// `measure PROGRAM ARGUMENT…`: runs it, waits, and prints its [`Usage`] as JSON. The process that calls
/// it must have no other children.
///
/// # Errors
/// When the program cannot be started or fails; what it printed is in the text.
pub fn measure(arguments: &[String]) -> Result<()> {
    let (program, rest) = arguments
        .split_first()
        .context("usage: measure PROGRAM ARGUMENT…")?;
    let start = Instant::now();
    let output = Command::new(program).args(rest).output()?;
    let wall = start.elapsed().as_secs_f64();
    ensure!(output.status.success(), "{}", printed(&output));
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let measured = Usage {
        wall,
        cpu: seconds(usage.user_time()) + seconds(usage.system_time()),
        // Linux counts in KiB.
        peak: megabytes(u64::try_from(usage.max_rss()).unwrap_or(0) * 1024),
    };
    writeln!(stdout(), "{}", serde_json::to_string(&measured)?)?;
    Ok(())
}

/// In millions of bytes.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
#[must_use]
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a short life")]
fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}
