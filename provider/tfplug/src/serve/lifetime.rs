//! When a provider process ends: on `Shutdown`, on SIGTERM, and when its Terraform is gone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::log;

/// How often to look whether the parent is still there. Terraform that was killed leaves its plugins
/// behind, and no signal or closed pipe tells them.
const PARENT_CHECK: Duration = Duration::from_millis(500);

/// The wish that the server end; shared by everyone who may have it and everyone who heeds it.
#[derive(Clone)]
pub(super) struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Asks for the end. Asking twice is asking once.
    pub(super) fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Waits until someone asks.
    pub(super) async fn asked(self) {
        let mut asked = self.0.subscribe();
        // The error "no sender is left" cannot be: `self` is one.
        let _asked = asked.wait_for(|asked| *asked).await;
    }

    /// Waits until someone asks, and for `grace` after it.
    pub(super) async fn asked_and(self, grace: Duration) {
        self.asked().await;
        tokio::time::sleep(grace).await;
    }
}

/// Takes SIGTERM as a wish to end, and takes SIGINT from the default action, which would kill us in
/// the middle of an apply.
pub(super) fn stop_on_signals(stop: &Stop) -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupts = signal(SignalKind::interrupt())?;
        tokio::spawn(async move { while interrupts.recv().await.is_some() {} });

        let mut ends = signal(SignalKind::terminate())?;
        let stop = stop.clone();
        tokio::spawn(async move {
            if ends.recv().await.is_some() {
                stop.ask();
            }
        });
    }
    #[cfg(not(unix))]
    {
        let _no_terminate_here = stop;
        tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    }
    Ok(())
}

/// Ends with the parent. A process whose parent dies is given to another one, so the parent's id is
/// not what it was. That it is 1 says nothing: in a container Terraform itself is process 1.
pub(super) fn stop_with_parent(stop: &Stop) {
    #[cfg(unix)]
    {
        use std::os::unix::process::parent_id;
        let parent = parent_id();
        let stop = stop.clone();
        tokio::spawn(async move {
            while parent_id() == parent {
                tokio::time::sleep(PARENT_CHECK).await;
            }
            log::warn(
                "serve",
                "Terraform is gone, so this provider ends",
                &[("parent", &parent)],
            );
            stop.ask();
        });
    }
    #[cfg(not(unix))]
    let _unknown_here = stop;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_reaches_who_waits_and_who_comes_late() {
        let stop = Stop::default();
        let waiting = tokio::spawn(stop.clone().asked());
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        stop.ask();
        stop.ask();
        waiting.await.expect("the waiting task ends");
        stop.asked().await;
    }
}
