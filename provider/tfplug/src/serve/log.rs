//! Logs for Terraform: hclog's JSON, one object per line on standard error.
//!
//! ```text
//! {"@level":"debug","@message":"request","@module":"hub","@timestamp":"2026-11-20T…Z","path":"/api"}
//! ```
//!
//! Terraform panics if `@level`, `@message` or `@timestamp` is not a string, and splits lines of
//! 64 KiB; neither can happen here. What is written follows `TF_LOG_PROVIDER_<NAME>`,
//! `TF_LOG_PROVIDER` and `TF_LOG`, the first that is set; without any, nothing. Secrets that were
//! handed to [`conceal`] never appear.
//!
//! ```
//! use tfplug::log;
//! log::conceal("hf_abc");
//! log::debug("hub", "request", &[("path", &"/api/models"), ("attempt", &2)]);
//! ```

use std::fmt::Display;
use std::io::Write;
use std::sync::{OnceLock, PoisonError, RwLock};

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Longest line, in bytes. Terraform reads lines of up to 64 KiB.
const LONGEST_LINE: usize = 60 << 10;

/// What stands in place of a secret.
const HIDDEN: &str = "(hidden)";

/// Go's `2006-01-02T15:04:05.000000Z07:00`: with other than six decimals the line is not understood.
const TIMESTAMP: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

static LEVEL: OnceLock<Option<Level>> = OnceLock::new();
static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// What helps to find a fault, such as each request.
    Debug,
    /// What happened, once per change.
    Info,
    /// It goes on, yet someone should look.
    Warn,
    /// It does not go on.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Names and values beside the message.
pub type Fields<'a> = &'a [(&'a str, &'a dyn Display)];

/// Writes at level trace.
pub fn trace(module: &str, message: &str, fields: Fields<'_>) {
    write(Level::Trace, module, message, fields);
}

/// Writes at level debug.
pub fn debug(module: &str, message: &str, fields: Fields<'_>) {
    write(Level::Debug, module, message, fields);
}

/// Writes at level info.
pub fn info(module: &str, message: &str, fields: Fields<'_>) {
    write(Level::Info, module, message, fields);
}

/// Writes at level warn.
pub fn warn(module: &str, message: &str, fields: Fields<'_>) {
    write(Level::Warn, module, message, fields);
}

/// Writes at level error.
pub fn error(module: &str, message: &str, fields: Fields<'_>) {
    write(Level::Error, module, message, fields);
}

/// Whether a line of this level would be written; spares the work of making one that would not.
pub fn enabled(level: Level) -> bool {
    LEVEL
        .get()
        .copied()
        .flatten()
        .is_some_and(|lowest| level >= lowest)
}

/// Hides a secret in every later line, and in the report of a panic. An empty one is no secret.
pub fn conceal(secret: &str) {
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    if !secret.is_empty() && !secrets.iter().any(|known| known == secret) {
        secrets.push(secret.to_owned());
        // The longest first, so that one that holds another is hidden as a whole.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }
}

/// Sets the level of this process from the environment; `provider` is its type, such as `openmodel`.
pub(super) fn init(provider: &str) {
    LEVEL.get_or_init(|| level(provider, |name| std::env::var(name).ok()));
}

/// The text without the secrets that are known.
pub(super) fn mask(text: &str) -> String {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    secrets.iter().fold(text.to_owned(), |text, secret| {
        text.replace(secret.as_str(), HIDDEN)
    })
}

/// At most `limit` bytes of the text, and a mark where something was cut.
pub(super) fn clip(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!(
        "{}… ({} bytes)",
        &text[..text.floor_char_boundary(limit)],
        text.len()
    )
}

/// The lowest level to write, by the first variable that is set. As in Terraform, `JSON` and words it
/// does not know mean everything.
fn level(provider: &str, get: impl Fn(&str) -> Option<String>) -> Option<Level> {
    let own = format!(
        "TF_LOG_PROVIDER_{}",
        provider.to_uppercase().replace('-', "_")
    );
    let value = [own.as_str(), "TF_LOG_PROVIDER", "TF_LOG"]
        .into_iter()
        .find_map(|name| get(name).filter(|value| !value.is_empty()))?;
    match value.to_uppercase().as_str() {
        "OFF" => None,
        "ERROR" => Some(Level::Error),
        "WARN" => Some(Level::Warn),
        "INFO" => Some(Level::Info),
        "DEBUG" => Some(Level::Debug),
        _ => Some(Level::Trace),
    }
}

fn write(level: Level, module: &str, message: &str, fields: Fields<'_>) {
    if enabled(level) {
        let line = line(level, OffsetDateTime::now_utc(), module, message, fields);
        // Nobody is left to tell where standard error is closed. One call, so that lines stay whole.
        let _closed = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// One line, its newline included, of at most [`LONGEST_LINE`] bytes.
fn line(
    level: Level,
    now: OffsetDateTime,
    module: &str,
    message: &str,
    fields: Fields<'_>,
) -> String {
    let message = mask(message);
    let fields: Vec<(&str, String)> = fields
        .iter()
        .map(|(name, value)| (*name, mask(&value.to_string())))
        .collect();

    // Escapes make a text longer by what it holds, so the limit for each is found by trying.
    let mut limit = LONGEST_LINE;
    loop {
        let kept = if limit == 0 { &[] } else { fields.as_slice() };
        let line = render(level, now, module, &message, kept, limit);
        if line.len() <= LONGEST_LINE || limit == 0 {
            return line;
        }
        limit /= 2;
    }
}

fn render(
    level: Level,
    now: OffsetDateTime,
    module: &str,
    message: &str,
    fields: &[(&str, String)],
    limit: usize,
) -> String {
    let mut object = Map::new();
    let mut put = |name: &str, text: &str| {
        object.insert(clip(name, limit.min(256)), Value::String(text.to_owned()));
    };
    for (name, value) in fields {
        put(name, &clip(value, limit));
    }
    // After the fields: none of them may take the place of these.
    let mut own = |name: &str, text: String| object.insert(name.to_owned(), Value::String(text));
    own("@level", level.name().to_owned());
    own("@module", clip(module, 256));
    own("@message", clip(message, limit));
    own("@timestamp", now.format(TIMESTAMP).unwrap_or_default());
    let mut line = Value::Object(object).to_string();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const NOON: OffsetDateTime = datetime!(2026-11-20 12:00:00.0000421 UTC);

    #[test]
    fn a_line_is_what_terraform_parses() {
        conceal("hf_logged");
        conceal("hf_logged_longer");
        let fields: Fields<'_> = &[("path", &"/api?token=hf_logged_longer"), ("attempt", &2)];
        assert_eq!(
            line(Level::Debug, NOON, "hub", "with \"hf_logged\"\n", fields),
            "{\"@level\":\"debug\",\"@message\":\"with \\\"(hidden)\\\"\\n\",\"@module\":\"hub\",\
             \"@timestamp\":\"2026-11-20T12:00:00.000042Z\",\"attempt\":\"2\",\
             \"path\":\"/api?token=(hidden)\"}\n"
        );
    }

    #[track_caller]
    fn check_level(variables: &[(&str, &str)], expect: Option<Level>) {
        let get = |name: &str| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(level("open-model", get), expect);
    }

    #[test]
    fn the_level_comes_from_the_most_specific_variable() {
        check_level(&[], None);
        check_level(&[("TF_LOG", "debug")], Some(Level::Debug));
        check_level(&[("TF_LOG", "JSON")], Some(Level::Trace));
        check_level(&[("TF_LOG", "1")], Some(Level::Trace));
        check_level(
            &[("TF_LOG", "trace"), ("TF_LOG_PROVIDER", "WARN")],
            Some(Level::Warn),
        );
        check_level(&[("TF_LOG", "trace"), ("TF_LOG_PROVIDER", "off")], None);
        check_level(
            &[("TF_LOG", "error"), ("TF_LOG_PROVIDER", "")],
            Some(Level::Error),
        );
        check_level(
            &[
                ("TF_LOG_PROVIDER", "off"),
                ("TF_LOG_PROVIDER_OPEN_MODEL", "info"),
            ],
            Some(Level::Info),
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_line_can_hurt_terraform(
            message in ".{0,50}",
            repeats in 0_usize..3000,
            fields in proptest::collection::vec((".{0,300}", ".{0,40}", 0_usize..4000), 0..40),
        ) {
            conceal("hf_anywhere");
            let message = format!("{message}hf_anywhere\u{1}").repeat(repeats);
            let values: Vec<(String, String)> =
                fields.into_iter().map(|(name, value, times)| (name, value.repeat(times))).collect();
            let fields: Vec<(&str, &dyn Display)> =
                values.iter().map(|(name, value)| (name.as_str(), value as &dyn Display)).collect();
            let line = line(Level::Info, NOON, "module", &message, &fields);

            prop_assert!(line.len() <= LONGEST_LINE);
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(!line.contains("hf_anywhere"));
            let object: Map<String, Value> = serde_json::from_str(&line).expect("it is JSON");
            prop_assert!(object.values().all(Value::is_string));
            prop_assert_eq!(object["@level"].as_str(), Some("info"));
            prop_assert_eq!(object["@timestamp"].as_str(), Some("2026-11-20T12:00:00.000042Z"));
        }
    }
}
