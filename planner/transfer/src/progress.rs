//! How far a transfer is, in a line.

use std::time::Duration;

use openmodel_schemas::quantity::Bytes;

use crate::file::Meter;

/// `1.20 GiB of 14.99 GiB, 412 MiB/s, 33 s left`.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate to read, and bytes below 8 PiB"
)]
pub fn progress(meter: &Meter, all: Bytes, elapsed: Duration) -> String {
    let there = meter.moved().min(all.0);
    let rate = there as f64 / elapsed.as_secs_f64().max(0.001);
    let left = if rate > 0.0 {
        format!(", {:.0} s left", (all.0 - there) as f64 / rate)
    } else {
        String::new()
    };
    let mib = rate / f64::from(1_u32 << 20);
    format!("{} of {all}, {mib:.0} MiB/s{left}", Bytes(there))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(there: u64, seconds: u64, expect: &str) {
        let elapsed = Duration::from_secs(seconds);
        let line = progress(&Meter::having(there), Bytes::gib(2), elapsed);
        assert_eq!(line, expect);
    }

    #[test]
    fn progress_says_how_far_how_fast_and_how_long() {
        check(0, 1, "0 bytes of 2.00 GiB, 0 MiB/s");
        check(512 << 20, 4, "0.50 GiB of 2.00 GiB, 128 MiB/s, 12 s left");
        check(2 << 30, 10, "2.00 GiB of 2.00 GiB, 205 MiB/s, 0 s left");
    }
}
