//! A panic in one call becomes an error of that call; the process and the other calls live on.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures::FutureExt;

use crate::Diagnostic;
use crate::log::{self, Level};

/// Runs a call; `doing` completes "the provider crashed while …", and `name` is what it is done to.
pub(super) async fn guard<T>(
    doing: &str,
    name: &str,
    call: impl Future<Output = T>,
) -> Result<T, Diagnostic> {
    let began = log::enabled(Level::Debug).then(Instant::now);
    // Unwind safety: what the call shares with others is behind locks that ignore poison, or
    // belongs to the provider's client, as in any server that outlives a panic of a request.
    let outcome = AssertUnwindSafe(call).catch_unwind().await;
    if let Some(began) = began {
        let milliseconds = began.elapsed().as_secs_f64() * 1e3;
        log::debug(
            "framework",
            &format!("done {doing}"),
            &[("of", &name), ("milliseconds", &milliseconds)],
        );
    }
    outcome.map_err(|panic| crashed(doing, name, panic.as_ref()))
}

/// As [`guard`], for a call that does not wait.
pub(super) fn guard_sync<T>(
    doing: &str,
    name: &str,
    call: impl FnOnce() -> T,
) -> Result<T, Diagnostic> {
    std::panic::catch_unwind(AssertUnwindSafe(call))
        .map_err(|panic| crashed(doing, name, panic.as_ref()))
}

fn crashed(doing: &str, name: &str, panic: &(dyn Any + Send)) -> Diagnostic {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it left no message");
    Diagnostic::error("The provider crashed").detail(format!(
        "The provider crashed while {doing} `{name}`: {message}. This is a bug in the provider, please \
         report it with the lines above that start with \"panic\"."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_diagnostic_with_its_message() {
        let found = guard("reading", "example_note", async { panic!("index {}", 7) }).await;
        let error: Diagnostic = found.expect_err("it panicked");
        assert!(
            error
                .detail
                .contains("while reading `example_note`: index 7."),
            "{error}"
        );
        assert_eq!(guard_sync("adding", "1", || 1 + 1), Ok(2));
        assert!(guard_sync("adding", "1", || panic!("no")).is_err());
    }
}
