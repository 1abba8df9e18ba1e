//! How long a replica takes from nothing to its first answer: that time is paid and serves nobody.
//!
//! ```text
//!   seconds = start of container and engine + weight files / rate of where they come from
//! ```
//!
//! The wait for a machine that is not there yet is not in it: nobody knows it beforehand, and it
//! is not billed.

use openmodel_schemas::quantity::{Bytes, UsdPerHour};
use openmodel_schemas::report::Range;
use rust_decimal::Decimal;

/// Seconds until an engine begins to load: the container takes 6 to 7 s and the engine 5 to 15 s on
/// Cloud Run ("A guide to AI cold starts on Cloud Run", Google Cloud, 2026); one that compiles and
/// captures graphs takes up to two minutes.
const ENGINE: (f64, f64) = (11.0, 120.0);

/// Where the weights come from when a replica starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The Hugging Face Hub, or Hugging Face's own copy.
    Hub,
    /// A bucket in the region, whatever reads it.
    Bucket,
    /// A bucket in the region, mounted.
    Fuse,
    /// A bucket in the region, read by the engine's streamer.
    Streamer,
    /// Anywhere Cache in the zone, filled.
    AnywhereCache,
    /// The machine's local SSDs, which hold the files already.
    LocalSsd,
}

impl Origin {
    /// Bytes a second, the slowest and the fastest that is usual.
    ///
    /// Hub: 40 to 600 MB/s as users measured (hiyouga/LlamaFactory#6750, 2025-01). Bucket: 15 GB in
    /// 48 s by one thread, as the usual loader reads (Run:ai's benchmark, 2024-10), to the 1.5
    /// GiB/s that parallel copies reach (rclone). The streamer reads as much or more at once; it was
    /// seen at 319 to 390 MB/s too (vllm-project/vllm#3090, 2025-05). Mounted: from 7.2 GB in 67 s,
    /// one stream as Cloud Run mounts a bucket without more (a public deployment's measurement,
    /// 2026), to the same copies, as the file cache downloads in parallel. Anywhere Cache: no slower
    /// than the bucket behind it, up to the 100 Gbit/s that an empty one gives to all who read it
    /// (<https://docs.cloud.google.com/storage/docs/rapid/rapid-cache>). Local SSD: the 660 MiB/s of one
    /// disk (<https://cloud.google.com/compute/docs/disks/local-ssd>, as
    /// scylladb/scylla-machine-image#1003 has it, 2026-08) to the 4.3 GB/s at which a
    /// streamer read an a2-highgpu-4g's four (anyscale/ai-infra-cookbook#57, 2026-04).
    const fn rate(self) -> (f64, f64) {
        match self {
            Self::Hub => (40e6, 600e6),
            Self::Bucket | Self::Streamer => (312e6, 1610e6),
            Self::Fuse => (107e6, 1610e6),
            Self::AnywhereCache => (312e6, 12.5e9),
            Self::LocalSsd => (692e6, 4.3e9),
        }
    }

    /// In a sentence.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Hub => "the Hub at 0.04 to 0.6 GB/s",
            Self::Bucket => "Cloud Storage at 0.3 to 1.6 GB/s",
            Self::Fuse => "a mounted bucket at 0.1 to 1.6 GB/s",
            Self::Streamer => "the streamer at 0.3 to 1.6 GB/s",
            Self::AnywhereCache => "Anywhere Cache at 0.3 to 12.5 GB/s",
            Self::LocalSsd => "local SSD at 0.7 to 4.3 GB/s",
        }
    }
}

/// The start of a replica.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Start {
    pub(crate) seconds: Range,
    origin: Origin,
}

impl Start {
    /// Of a replica that loads so many bytes.
    pub(crate) fn of(files: Bytes, origin: Origin) -> Self {
        Self {
            seconds: seconds(ENGINE, files, origin),
            origin,
        }
    }

    /// Whole seconds of the estimate, to reckon with.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, positive, and far below the most"
    )]
    pub(crate) const fn whole(self) -> u32 {
        self.seconds.estimate as u32
    }

    /// What so many starts cost at a price; `None` where it is beyond all numbers.
    pub(crate) fn cost(self, hourly: UsdPerHour, starts: u64) -> Option<Decimal> {
        let hours =
            Decimal::from(starts).checked_mul(self.whole().into())? / Decimal::from(3600_u32);
        hourly.0.checked_mul(hours).map(|usd| usd.round_dp(6))
    }

    /// How the seconds were estimated.
    pub(crate) fn basis(self) -> String {
        format!(
            "weights from {}; a wait for the machine is not counted",
            self.origin.words()
        )
    }
}

/// Seconds that so many bytes take to load, without container and engine.
pub(crate) fn load(files: Bytes, origin: Origin) -> Range {
    seconds((0.0, 0.0), files, origin)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the size of files, to divide by a rate"
)]
fn seconds(before: (f64, f64), files: Bytes, origin: Origin) -> Range {
    let (slow, fast) = origin.rate();
    let bytes = files.0 as f64;
    let low = (before.0 + bytes / fast).round();
    let high = (before.1 + bytes / slow).round();
    Range {
        low,
        // The middle of a range that spans decades.
        estimate: (low * high).sqrt().round(),
        high,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_takes_as_long_as_its_files_at_the_rate_of_their_origin() {
        let hub = Start::of(Bytes(15_000_000_000), Origin::Hub);
        // 15 GB at 600 MB/s are 25 s, at 40 MB/s 375 s.
        assert_eq!((hub.seconds.low, hub.seconds.high), (36.0, 495.0));
        assert_eq!(hub.whole(), 133);
        let bucket = Start::of(Bytes(15_000_000_000), Origin::Bucket);
        assert!(bucket.whole() < hub.whole());
        // What loads is what remains without container and engine.
        let alone = load(Bytes(15_000_000_000), Origin::Hub);
        assert_eq!((alone.low, alone.high), (25.0, 375.0));
    }

    #[test]
    fn starts_cost_the_hours_they_take() {
        let hub = Start::of(Bytes(15_000_000_000), Origin::Hub);
        // 100 starts of 133 s are 3.694444 h.
        let usd = hub.cost(UsdPerHour(Decimal::from(2)), 100);
        assert_eq!(usd, Some(Decimal::new(7_388_889, 6)));
        assert_eq!(
            hub.cost(UsdPerHour(Decimal::from(2)), 0),
            Some(Decimal::ZERO)
        );
    }
}
