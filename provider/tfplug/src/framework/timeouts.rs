//! Timeouts: how long each operation may take, for the user to set.
//!
//! ```
//! use std::time::Duration;
//! use tfplug::framework::{Timeouts, TimeoutsModel};
//! use tfplug::value::Value;
//!
//! const TIMEOUTS: Timeouts = Timeouts::new(&[
//!     ("create", Duration::from_mins(30)),
//!     ("delete", Duration::from_mins(10)),
//! ]);
//! // In the schema: `.attribute(TIMEOUTS.attribute())`, in the model:
//! let timeouts: Value<TimeoutsModel> = Value::Null;
//! assert_eq!(TIMEOUTS.of(&timeouts, "create"), Duration::from_secs(1800));
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use crate::schema::{Attribute, Validator, ValidatorArgs};
use crate::value::Value;
use crate::{Diagnostic, Diagnostics};

/// The operations whose time is limited, with their defaults.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts(&'static [(&'static str, Duration)]);

/// The model of the `timeouts` attribute: operation to duration, such as `create = "1h30m"`.
pub type TimeoutsModel = BTreeMap<String, Value<String>>;

impl Timeouts {
    /// Operations (`create`, `read`, `update`, `delete`) with their default limits.
    pub const fn new(defaults: &'static [(&'static str, Duration)]) -> Self {
        Self(defaults)
    }

    /// The attribute `timeouts = { create = "20m", … }`.
    pub fn attribute(self) -> Attribute {
        let operations = self.0.iter().map(|(operation, default)| {
            Attribute::string(*operation)
                .optional()
                .description(format!(
                    "Time limit of {operation}. Default: `{}`.",
                    in_words(*default)
                ))
                .validate(time_limit())
        });
        Attribute::object("timeouts", operations)
            .optional()
            .description("How long each operation may take, such as `30m` or `1h30m`.")
    }

    /// The limit of an operation: the user's, else the default, else (no such operation) none.
    pub fn of(self, timeouts: &Value<TimeoutsModel>, operation: &str) -> Duration {
        let users = timeouts
            .as_known()
            .and_then(|timeouts| timeouts.get(operation))
            .and_then(Value::as_known)
            .and_then(|text| parse_duration(text));
        let default = self
            .0
            .iter()
            .find(|(name, _)| *name == operation)
            .map(|(_, default)| *default);
        users.or(default).unwrap_or(Duration::MAX)
    }
}

/// Checks that a text is a duration, and one in which something can be done.
fn time_limit() -> Validator {
    Validator::new(
        "A duration such as `90s`, `20m` or `1h30m`.",
        |args, found| {
            let limit = args.value.as_str().and_then(parse_duration);
            if limit == Some(Duration::ZERO) {
                found.push(
                    Diagnostic::error("No time at all")
                        .at(args.path.clone())
                        .detail(format!(
                            "`{}` is 0, in which nothing can be done. Leave it out for its default.",
                            args.path
                        )),
                );
            } else {
                check_duration(args, found);
            }
        },
    )
}

/// Checks that a text is a duration such as `90s`, `20m` or `1h30m`.
pub fn duration() -> Validator {
    Validator::new(
        "A duration such as `90s`, `20m` or `1h30m`.",
        check_duration,
    )
}

fn check_duration(args: &ValidatorArgs<'_>, found: &mut Diagnostics) {
    let Some(text) = args.value.as_str() else {
        return;
    };
    if parse_duration(text).is_none() {
        found.push(
            Diagnostic::error("Not a duration")
                .at(args.path.clone())
                .detail(format!(
                    "`{}` must be whole numbers with the units h, m, s or ms, such as `90s`, `20m` or `1h30m`; {} is \
                     not.",
                    args.path,
                    args.shown(),
                )),
        );
    }
}

/// Reads `1h30m`, `20m`, `90s`, `250ms` and their sums; `None` for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let part = match &rest[..unit] {
            "h" => Duration::from_secs(count.checked_mul(3600)?),
            "m" => Duration::from_secs(count.checked_mul(60)?),
            "s" => Duration::from_secs(count),
            "ms" => Duration::from_millis(count),
            _ => return None,
        };
        rest = &rest[unit..];
        total = total.checked_add(part)?;
    }
    (!text.is_empty()).then_some(total)
}

fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let text = parts
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect::<Vec<_>>()
        .concat();
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_whole_units() {
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(
                parse_duration(text),
                seconds.map(Duration::from_secs),
                "{text:?}"
            );
        };
        check("1h30m", Some(5400));
        check("20m", Some(1200));
        check("90s", Some(90));
        check("1000ms", Some(1));
        check("", None);
        check("20", None);
        check("20 m", None);
        check("-1m", None);
        check("1.5h", None);
        check("99999999999999999999h", None);
        check("9999999999999999999h", None);
    }

    #[test]
    fn the_users_limit_wins_over_the_default() {
        const TIMEOUTS: Timeouts = Timeouts::new(&[("create", Duration::from_secs(5430))]);
        let users = TimeoutsModel::from([("create".to_owned(), Value::Known("5m".to_owned()))]);
        assert_eq!(
            TIMEOUTS.of(&Value::Known(users), "create"),
            Duration::from_mins(5)
        );
        assert_eq!(
            TIMEOUTS.of(&Value::Null, "create"),
            Duration::from_secs(5430)
        );
        assert!(
            TIMEOUTS
                .attribute()
                .kind_attribute("create")
                .description
                .contains("1h30m30s")
        );
    }

    impl Attribute {
        fn kind_attribute(&self, name: &str) -> &Attribute {
            let crate::schema::AttributeKind::Nested(object) = &self.kind else {
                panic!("timeouts is an object");
            };
            object.attribute(name).expect("the operation is there")
        }
    }
}
