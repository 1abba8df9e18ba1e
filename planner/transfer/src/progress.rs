//! How far a transfer is, in a line.

use std::time::Duration;

use openmodel_schemas::quantity::Bytes;

/// Characters of [`bar`].
const WIDTH: u64 = 24;

/// `1.20 GiB of 14.99 GiB, 412 MiB/s, 33 s left`: `there` bytes are there, of which `moved` came in the time
/// `elapsed`; the others were there before, or were copied, and say nothing of the rate.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate to read, and bytes below 8 PiB"
)]
pub fn progress(there: u64, moved: u64, all: Bytes, elapsed: Duration) -> String {
    let there = there.min(all.0);
    let rate = moved as f64 / elapsed.as_secs_f64().max(0.001);
    let left = if moved > 0 {
        format!(", {:.0} s left", (all.0 - there) as f64 / rate)
    } else {
        String::new()
    };
    let mib = rate / f64::from(1_u32 << 20);
    format!("{} of {all}, {mib:.0} MiB/s{left}", Bytes(there))
}

/// The same as a bar, for a terminal: `━━━━━━━━────────────────`.
#[must_use]
pub fn bar(there: u64, all: Bytes) -> String {
    let full = u128::from(there.min(all.0)) * u128::from(WIDTH) / u128::from(all.0.max(1));
    let full = usize::try_from(full).unwrap_or_default();
    let rest = usize::try_from(WIDTH).unwrap_or_default() - full;
    ["━".repeat(full), "─".repeat(rest)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_how_far_how_fast_and_how_long() {
        let line = |there, moved, seconds| {
            progress(there, moved, Bytes::gib(2), Duration::from_secs(seconds))
        };
        let (quarter, all) = (512 << 20, 2 << 30);
        assert_eq!(line(0, 0, 1), "0 bytes of 2.00 GiB, 0 MiB/s");
        assert_eq!(
            line(quarter, quarter, 4),
            "0.50 GiB of 2.00 GiB, 128 MiB/s, 12 s left"
        );
        // Half of it was there before this run.
        assert_eq!(
            line(quarter, quarter / 2, 4),
            "0.50 GiB of 2.00 GiB, 64 MiB/s, 24 s left"
        );
        assert_eq!(
            line(all, all, 10),
            "2.00 GiB of 2.00 GiB, 205 MiB/s, 0 s left"
        );
        assert_eq!(bar(quarter, Bytes(all)), "━━━━━━──────────────────");
        assert_eq!(bar(all, Bytes(all)), "━━━━━━━━━━━━━━━━━━━━━━━━");
        assert_eq!(bar(0, Bytes(0)), "────────────────────────");
    }
}
