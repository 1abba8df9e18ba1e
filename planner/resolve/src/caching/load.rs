//! How long files take from each place they can lie in, and what that rests on.

use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::report::{LoadEstimate, LoadTimes};

use crate::start::{Origin, load};

/// Seconds to get so many bytes into the host of an engine, by the way they come.
///
/// A range is wide where the machine is not known: its network, its disks and its engine's loader
/// decide. What nobody measured or documents has no seconds.
///
/// ```
/// use openmodel_resolve::caching::load_times;
/// use openmodel_schemas::quantity::Bytes;
///
/// let times = load_times(Bytes(15_000_000_000));
/// let hub = times.hub.seconds.expect("users measured it");
/// assert_eq!((hub.low, hub.high), (25.0, 375.0));
/// assert_eq!(times.hyperdisk_ml.seconds, None);
/// ```
#[must_use]
pub fn load_times(bytes: Bytes) -> LoadTimes {
    let of = |origin: Origin, evidence: &str| LoadEstimate {
        seconds: Some(load(bytes, origin)),
        basis: format!("{bytes} from {}; {evidence}", origin.words()),
    };
    LoadTimes {
        hub: of(
            Origin::Hub,
            "measured by users (hiyouga/LlamaFactory#6750, 2025-01)",
        ),
        fuse: of(
            Origin::Fuse,
            "measured: one stream of a plain mount on Cloud Run (2026), parallel copies by rclone as a file cache makes them",
        ),
        streamer: of(
            Origin::Streamer,
            "measured: one thread (Run:ai's benchmark, 2024-10), the streamer (vllm-project/vllm#3090, 2025-05), parallel copies by rclone",
        ),
        anywhere_cache: of(
            Origin::AnywhereCache,
            "no engine's load was measured: from the slowest of the bucket behind it to the documented \
             100 Gbit/s that all readers of an empty cache share (20 Gbit/s more for each TiB it holds, \
             docs.cloud.google.com/storage/docs/rapid/rapid-cache); the machine's network may allow \
             less; the first read fills it at the bucket's speed",
        ),
        hyperdisk_ml: LoadEstimate {
            seconds: None,
            basis: "not known: a volume reads at the 400 to 2,097,152 MiB/s that are provisioned for it \
                    (Compute Engine release notes, 2026-03-31), all its readers share them, each machine \
                    has a limit of its own, and no measured load of an engine is known"
                .to_owned(),
        },
        local_ssd: of(
            Origin::LocalSsd,
            "one disk as documented (660 MiB/s, cloud.google.com/compute/docs/disks/local-ssd), four as \
             an engine's streamer read them (anyscale/ai-infra-cookbook#57, 2026-04); the files must be \
             copied there first, and are lost when the machine stops",
        ),
    }
}

#[cfg(test)]
mod tests {
    use openmodel_schemas::report::Range;

    use super::*;

    #[track_caller]
    fn check(estimate: &LoadEstimate, low: f64, middle: f64, high: f64) {
        let range = Range {
            low,
            estimate: middle,
            high,
        };
        assert_eq!(estimate.seconds, Some(range), "{}", estimate.basis);
    }

    #[test]
    fn a_range_is_the_bytes_over_the_fastest_and_the_slowest_rate() {
        let times = load_times(Bytes(140_000_000_000));
        // 140 GB / 0.6 GB/s = 233.3 s, / 0.04 = 3500; sqrt(233 x 3500) = 903.0.
        check(&times.hub, 233.0, 903.0, 3500.0);
        // / 1.61 = 86.96, / 0.107 = 1308.4; sqrt(87 x 1308) = 337.3.
        check(&times.fuse, 87.0, 337.0, 1308.0);
        // / 1.61 = 86.96, / 0.312 = 448.7; sqrt(87 x 449) = 197.6.
        check(&times.streamer, 87.0, 198.0, 449.0);
        // / 12.5 = 11.2, / 0.312 = 448.7; sqrt(11 x 449) = 70.3.
        check(&times.anywhere_cache, 11.0, 70.0, 449.0);
        // / 4.3 = 32.6, / 0.692 = 202.3; sqrt(33 x 202) = 81.6.
        check(&times.local_ssd, 33.0, 82.0, 202.0);
    }

    #[test]
    fn what_nobody_measured_has_no_seconds_but_the_reason() {
        let hyperdisk = load_times(Bytes::gib(15)).hyperdisk_ml;
        assert_eq!(hyperdisk.seconds, None);
        assert!(
            hyperdisk.basis.starts_with("not known: "),
            "{}",
            hyperdisk.basis
        );
    }

    #[test]
    fn each_estimate_says_how_much_comes_from_where() {
        let times = load_times(Bytes::gib(15));
        insta::assert_snapshot!(times.local_ssd.basis, @"15.00 GiB from local SSD at 0.7 to 4.3 GB/s; one disk as documented (660 MiB/s, cloud.google.com/compute/docs/disks/local-ssd), four as an engine's streamer read them (anyscale/ai-infra-cookbook#57, 2026-04); the files must be copied there first, and are lost when the machine stops");
    }
}
