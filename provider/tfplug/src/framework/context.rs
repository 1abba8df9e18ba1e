//! What a call may use besides its request: the configured client, the stop signal, warnings.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::{Diagnostic, Diagnostics};

/// Given to every call of a resource, data source or ephemeral resource.
pub struct Context<C> {
    client: Option<Arc<C>>,
    stop: Stop,
    warnings: Mutex<Diagnostics>,
}

impl<C> Context<C> {
    pub(crate) fn new(client: Option<Arc<C>>, stop: Stop) -> Self {
        Self {
            client,
            stop,
            warnings: Mutex::default(),
        }
    }

    /// What [`Provider::configure`](super::Provider::configure) made. It is an error to ask for
    /// it before Terraform has configured the provider.
    pub fn client(&self) -> Result<&Arc<C>, Diagnostic> {
        self.client.as_ref().ok_or_else(|| {
            Diagnostic::error("Provider is not configured").detail(
                "Terraform asked for work that needs the provider's configuration before it sent \
                 one. Run `terraform init -upgrade` and try again; if it stays, report it as a bug \
                 of the provider.",
            )
        })
    }

    /// The user's wish to stop; hand it to whatever waits.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Shows a warning beside whatever the call returns.
    pub fn warn(&self, diagnostic: Diagnostic) {
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(diagnostic);
    }

    pub(crate) fn into_warnings(self) -> Diagnostics {
        self.warnings
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The user's wish to stop: Ctrl-C, passed on by Terraform.
///
/// It asks for an early, orderly end: a call that has changed something still returns what it
/// changed.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Was it asked for?
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is asked for; for ever where it never is. For `tokio::select!`.
    pub async fn requested(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The sending end of [`Stop`].
///
/// A process in debug mode serves one Terraform run after the other, so each configuration starts
/// anew.
#[derive(Debug)]
pub(crate) struct Stopper(Mutex<watch::Sender<bool>>);

impl Stopper {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(watch::Sender::new(false)))
    }

    /// A signal for a new call.
    pub(crate) fn signal(&self) -> Stop {
        Stop(
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .subscribe(),
        )
    }

    /// Stops every call that runs now.
    pub(crate) fn stop(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send_replace(true);
    }

    /// Later calls are not stopped by what went before.
    pub(crate) fn renew(&self) {
        let mut sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *sender.borrow() {
            *sender = watch::Sender::new(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_reaches_running_calls_and_not_those_of_the_next_run() {
        let stopper = Stopper::new();
        let running = stopper.signal();
        assert!(!running.is_requested());
        stopper.stop();
        running.requested().await;
        assert!(running.is_requested());

        stopper.renew();
        assert!(!stopper.signal().is_requested());
        assert!(running.is_requested());
    }

    #[test]
    fn asking_for_the_client_of_an_unconfigured_provider_is_an_error_with_a_next_move() {
        let context = Context::<String>::new(None, Stopper::new().signal());
        let error = context.client().expect_err("there is no client");
        assert!(error.detail.contains("terraform init"), "{error}");
    }
}
