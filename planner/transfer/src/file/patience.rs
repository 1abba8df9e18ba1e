//! How long is waited before a step is tried again, and when it is given up.
//!
//! ```text
//!   nothing is said of it     about twice as long each time, eight tries in all
//!   the other side says how   as long as it says and our own wait, which parts those that were refused
//!     long                    together; not counted, for half an hour in all
//! ```

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::{Kind, Trouble};

/// How often a step is tried without any progress.
const ATTEMPTS: u32 = 8;

/// The longest wait that another side is believed: two windows of the Hub's limits.
const LONGEST_TOLD: Duration = Duration::from_mins(10);

/// How long a step is tried whose other side says each time how long to wait.
const TOLD: Duration = Duration::from_mins(30);

/// Waits between attempts.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Bound of the first wait; that of each that follows is twice as long.
    pub first: Duration,
    /// Bound of every wait that the other side does not ask for.
    pub longest: Duration,
}

/// The tries of a step since it last got on.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// All of them.
    all: u32,
    /// Those after which the other side did not say how long to wait.
    untold: u32,
    /// Those that were refused.
    refused: u32,
    /// When the other side first said how long to wait.
    told: Option<Instant>,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_mins(1),
        }
    }
}

impl Patience {
    /// Wait before the next try, or give up.
    pub(super) async fn wait(&self, trouble: &Trouble, tries: &mut Tries) -> Result<(), Trouble> {
        let said = match trouble.kind {
            Kind::Final | Kind::Denied | Kind::NoBucket | Kind::Spent => {
                return Err(trouble.clone());
            }
            Kind::Passing(said) => said,
            Kind::Doubtful => None,
        };
        tries.all += 1;
        if trouble.kind == Kind::Doubtful {
            tries.refused += 1;
            if tries.refused >= ATTEMPTS {
                return Err(Trouble::last(format!(
                    "{}; refused {ATTEMPTS} times",
                    trouble.message
                )));
            }
        }
        if said.is_some() {
            let since = tries.told.get_or_insert_with(Instant::now);
            if since.elapsed() >= TOLD {
                let minutes = TOLD.as_secs() / 60;
                return Err(spent(trouble, &format!("waited for {minutes} minutes")));
            }
        } else {
            tries.untold += 1;
            if tries.untold >= ATTEMPTS {
                return Err(spent(trouble, &format!("tried {ATTEMPTS} times")));
            }
        }
        let told = said.unwrap_or_default().min(LONGEST_TOLD);
        tokio::time::sleep(told + self.own(tries.all)).await;
        Ok(())
    }

    /// From half of a bound that doubles to all of it, so that files that failed together do not return together.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    fn own(&self, tried: u32) -> Duration {
        let doubled = self
            .first
            .saturating_mul(2_u32.saturating_pow(tried.saturating_sub(1)));
        // Each has keys of its own.
        let random = RandomState::new().hash_one(tried) >> 11;
        let share = random as f64 / (1_u64 << 53) as f64;
        doubled.min(self.longest).mul_f64(0.5 + share / 2.0)
    }
}

fn spent(trouble: &Trouble, how: &str) -> Trouble {
    Trouble {
        kind: Kind::Spent,
        message: format!("{}; {how}", trouble.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(seconds: u64) -> Trouble {
        Trouble {
            kind: Kind::Passing(Some(Duration::from_secs(seconds))),
            message: "busy".to_owned(),
        }
    }

    /// How long each wait is of a step that never gets on, in seconds, and why it is given up.
    async fn waits(trouble: &Trouble) -> (Vec<f64>, String) {
        let (patience, mut tries, mut waits) = (Patience::default(), Tries::default(), Vec::new());
        loop {
            let before = Instant::now();
            match patience.wait(trouble, &mut tries).await {
                Ok(()) => waits.push(before.elapsed().as_secs_f64()),
                Err(trouble) => return (waits, trouble.message),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_and_no_two_are_alike() {
        let (one, why) = waits(&Trouble::passing("busy")).await;
        let (other, _) = waits(&Trouble::passing("busy")).await;
        assert_eq!(why, "busy; tried 8 times");
        assert_eq!(one.len(), 7);
        for (wait, bound) in one.iter().zip([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]) {
            // The clock of tests goes in milliseconds.
            assert!((bound / 2.0..bound + 0.002).contains(wait), "{one:?}");
        }
        assert_ne!(one, other);
    }

    #[tokio::test(start_paused = true)]
    async fn as_long_as_a_server_says_is_waited_and_no_try_is_lost() {
        // The Hub's window of five minutes, until it is clear that it does not help.
        let (waited, why) = waits(&told(300)).await;
        assert_eq!(why, "busy; waited for 30 minutes");
        assert!(waited.iter().all(|wait| *wait > 300.0), "{waited:?}");
        assert!(waited[0] < 301.0, "{waited:?}");
        assert_eq!(waited.len(), 6);
        // Many short ones do not end it either.
        let (waited, _) = waits(&told(1)).await;
        assert!(waited.len() > 20, "{waited:?}");
        // What no server means.
        let (waited, _) = waits(&told(86_400)).await;
        assert!(waited.iter().all(|wait| *wait < 700.0), "{waited:?}");
    }
}
