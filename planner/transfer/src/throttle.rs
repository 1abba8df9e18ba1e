//! A limit of bytes a second, shared by all that moves.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// So many bytes a second.
#[derive(Debug)]
pub struct Throttle {
    bytes_per_second: u64,
    /// When all that was taken so far may have passed.
    free: Mutex<Instant>,
}

impl Throttle {
    /// A limit, which is at least one byte a second.
    #[must_use]
    pub fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1),
            free: Mutex::new(Instant::now()),
        }
    }

    /// Waits until so many bytes may pass.
    #[expect(clippy::cast_precision_loss, reason = "seconds, of bytes below 8 PiB")]
    pub async fn take(&self, bytes: u64) {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let until = {
            let mut free = self.free.lock().await;
            // Time that nobody used does not count: a burst later would be above the limit.
            let from = (*free).max(Instant::now());
            *free = from + takes;
            from
        };
        tokio::time::sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_together_move_no_more_than_the_limit() {
        let throttle = Throttle::new(1000);
        let start = Instant::now();
        let all = (0..10).map(|_| throttle.take(500));
        futures::future::join_all(all).await;
        throttle.take(0).await;
        assert_eq!(start.elapsed().as_secs(), 5);
    }
}
