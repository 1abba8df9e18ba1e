//! How long to wait between two tries: exponential, capped, with full jitter.
//!
//! A pause is drawn evenly from zero to the cap of its try, so that many callers who were
//! refused at once do not come back at once.

use std::time::Duration;

/// When to try again, and when to give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest pause after the first setback; doubles with each further one.
    pub base: Duration,
    /// Longest pause of all, before a vendor's own wish is added.
    pub cap: Duration,
    /// Setbacks of one step after which it is given up. At least 1.
    pub attempts: u32,
}

impl Default for Backoff {
    /// Six tries within about a minute.
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(30),
            attempts: 6,
        }
    }
}

impl Backoff {
    /// The pause after the setback with this number (from 1). A vendor's `retry_after` is
    /// waited out in full, and the jitter comes on top of it.
    pub fn pause(
        &self,
        setback: u32,
        retry_after: Option<Duration>,
        jitter: &mut Jitter,
    ) -> Duration {
        let doubled = 2_u32.saturating_pow(setback.saturating_sub(1));
        let longest = self.base.saturating_mul(doubled).min(self.cap);
        retry_after
            .unwrap_or_default()
            .saturating_add(jitter.up_to(longest))
    }
}

/// Evenly spread pauses from a seed: `SplitMix64` (Steele, Lea and Flood, 2014). Good enough to
/// keep callers apart; not for secrets.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// The same seed gives the same pauses. Callers that must not move in step need seeds of
    /// their own.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn up_to(&mut self, longest: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(mixed % micros.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(1),
        cap: Duration::from_secs(10),
        attempts: 5,
    };

    /// The longest and shortest of many pauses after this setback.
    fn range(setback: u32, retry_after: Option<Duration>) -> (Duration, Duration) {
        let mut jitter = Jitter::new(7);
        let pauses: Vec<Duration> = (0..2000)
            .map(|_| BACKOFF.pause(setback, retry_after, &mut jitter))
            .collect();
        let shortest = pauses.iter().min().copied().unwrap_or_default();
        (shortest, pauses.iter().max().copied().unwrap_or_default())
    }

    #[track_caller]
    fn check(setback: u32, longest: u64) {
        let (shortest_drawn, longest_drawn) = range(setback, None);
        let longest = Duration::from_secs(longest);
        assert!(longest_drawn <= longest, "{longest_drawn:?}");
        assert!(longest_drawn > longest.mul_f64(0.95), "{longest_drawn:?}");
        assert!(shortest_drawn < longest.mul_f64(0.05), "{shortest_drawn:?}");
    }

    #[test]
    fn pauses_double_up_to_the_cap_and_are_spread_over_all_of_it() {
        check(1, 1);
        check(2, 2);
        check(4, 8);
        check(5, 10);
        check(u32::MAX, 10);
    }

    #[test]
    fn a_vendors_wish_is_waited_out_even_beyond_the_cap() {
        let (shortest, longest) = range(1, Some(Duration::from_mins(1)));
        assert!(shortest >= Duration::from_mins(1), "{shortest:?}");
        assert!(longest <= Duration::from_secs(61), "{longest:?}");
    }

    #[test]
    fn the_first_draws_are_those_of_the_published_generator() {
        // SplitMix64 with seed 1234567, as listed by Rosetta Code: 6457827717110365317, …
        let mut jitter = Jitter::new(1_234_567);
        let all = Duration::from_micros(u64::MAX - 1);
        assert_eq!(
            jitter.up_to(all),
            Duration::from_micros(6_457_827_717_110_365_317)
        );
        assert_eq!(
            jitter.up_to(all),
            Duration::from_micros(3_203_168_211_198_807_973)
        );
    }
}
