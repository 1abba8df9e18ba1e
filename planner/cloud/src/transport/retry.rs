//! When to try again: full jitter, and the waits that servers ask for.

use std::time::Duration;

use http::{HeaderMap, header};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// How a request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Bound of the first wait; it doubles with each attempt.
    pub base: Duration,
    /// Bound of every wait.
    pub cap: Duration,
    /// Attempts in all, the first one counted.
    pub attempts: u32,
}

impl Default for Backoff {
    /// Five attempts, waits of up to 0.5, 1, 2 and 4 seconds.
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            cap: Duration::from_secs(20),
            attempts: 5,
        }
    }
}

impl Backoff {
    /// The wait before attempt `next` (2 is the first repetition): anything between zero and a
    /// bound that doubles, so that clients that failed together do not return together.
    pub(crate) fn wait(&self, next: u32, random: &mut Random) -> Duration {
        let doublings = next.saturating_sub(2).min(20);
        let bound = self.base.saturating_mul(1 << doublings).min(self.cap);
        bound.mul_f64(random.unit())
    }
}

/// A small generator (`SplitMix64`) for jitter; nothing secret depends on it.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number in `0.0..1.0`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// How long the server asks to wait: the Hub's `RateLimit: "api";r=0;t=42`, whose window has passed
/// `t + 1` seconds from now, else `Retry-After` in seconds or as a date.
///
/// The window comes first, as in Hugging Face's own client: it is the Hub's own count, where a
/// `Retry-After` may be that of a proxy on the way.
pub(crate) fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let window = text("ratelimit").and_then(used_up);
    window.or_else(|| {
        retry_after(
            text(header::RETRY_AFTER.as_str())?,
            OffsetDateTime::now_utc(),
        )
    })
}

/// When the last of the windows that are used up ends (draft-ietf-httpapi-ratelimit-headers-09: a list of
/// policies, each with what remains of it and the seconds to its end). One with something left is not
/// what refused the request.
fn used_up(limits: &str) -> Option<Duration> {
    let of = |limit: &str, name: &str| -> Option<u64> {
        let mut parameters = limit.split(';').filter_map(|part| part.split_once('='));
        let (_, value) = parameters.find(|(each, _)| each.trim() == name)?;
        value.trim().parse().ok()
    };
    limits
        .split(',')
        .filter(|limit| of(limit, "r") == Some(0))
        .filter_map(|limit| of(limit, "t"))
        .max()
        .map(|seconds| Duration::from_secs(seconds.saturating_add(1)))
}

fn retry_after(asked: &str, now: OffsetDateTime) -> Option<Duration> {
    if let Ok(seconds) = asked.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(asked.trim(), &Rfc2822).ok()?;
    Some(Duration::try_from(date - now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_as_a_date() {
        let now = datetime!(2026-11-21 07:27:30 UTC);
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        let date = "Sat, 21 Nov 2026 07:28:00 GMT";
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(30)));
        assert_eq!(
            retry_after(date, now + Duration::from_mins(1)),
            Some(Duration::ZERO)
        );
        assert_eq!(retry_after("soon", now), None);
    }

    #[test]
    fn the_hubs_window_is_waited_out() {
        let wait = |headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().expect("a header value"));
            }
            asked_wait(&map).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("ratelimit", "\"api\";r=0;t=42")]), Some(43));
        assert_eq!(wait(&[("ratelimit", "\"api\" ; r = 0 ; t = 42")]), Some(43));
        let both = "\"api\";r=0;t=42, \"resolvers\";r=7;t=200";
        assert_eq!(wait(&[("ratelimit", both)]), Some(43));
        // The window, not the proxy's guess; and the guess where the window is not what is used up.
        assert_eq!(
            wait(&[("ratelimit", "\"api\";r=0;t=42"), ("retry-after", "1")]),
            Some(43)
        );
        assert_eq!(
            wait(&[("ratelimit", "\"api\";r=9;t=42"), ("retry-after", "7")]),
            Some(7)
        );
        assert_eq!(wait(&[("ratelimit", "\"api\";r=9;t=42")]), None);
    }

    #[test]
    fn waits_are_spread_below_a_bound_that_doubles() {
        let backoff = Backoff {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(3),
            attempts: 9,
        };
        let mut random = Random::new(7);
        for (next, bound) in [(2, 1), (3, 2), (4, 3), (40, 3)] {
            let waits: Vec<_> = (0..200).map(|_| backoff.wait(next, &mut random)).collect();
            let bound = Duration::from_secs(bound);
            assert!(waits.iter().all(|wait| *wait < bound));
            assert!(waits.iter().any(|wait| *wait > bound.mul_f64(0.9)));
            assert!(waits.iter().any(|wait| *wait < bound.mul_f64(0.1)));
        }
    }
}
