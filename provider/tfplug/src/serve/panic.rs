//! A panic hook that writes in the form that Terraform shows as a crash of the plugin.
//!
//! Terraform keeps what follows a line that starts with `panic: ` on standard error, and shows it at
//! the end of a run that failed. The process lives on: the framework answers the call with a
//! diagnostic, so what the call had made so far is not lost.

use std::any::Any;
use std::backtrace::Backtrace;
use std::io::Write;
use std::panic::PanicHookInfo;

use super::log;

/// Installs the hook for the whole process.
pub(super) fn install() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let text = report(
            info.payload(),
            &place,
            &Backtrace::force_capture().to_string(),
        );
        // Nobody is left to tell where standard error is closed.
        let _closed = std::io::stderr().lock().write_all(text.as_bytes());
    }));
}

/// What to write: the message first, on one line, without registered secrets.
fn report(payload: &(dyn Any + Send), place: &str, backtrace: &str) -> String {
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(a payload that is not text)");
    let message = log::mask(message).replace('\n', " ");
    let message = log::clip(&message, 4096);
    format!("panic: {message}\n\nat {place}\n{backtrace}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_what_terraform_looks_for() {
        log::conceal("hf_panicked");
        let text = report(
            &"no room\nfor hf_panicked".to_owned(),
            "src/a.rs:1:2",
            "0: main",
        );
        assert_eq!(
            text,
            "panic: no room for (hidden)\n\nat src/a.rs:1:2\n0: main\n"
        );
        assert!(report(&"plain", "", "").starts_with("panic: plain\n"));
        assert!(report(&7_u8, "", "").starts_with("panic: (a payload"));
    }
}
