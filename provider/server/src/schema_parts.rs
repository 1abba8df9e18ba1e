//! What several schemas share: the checked names of `openmodel-schemas` as validators, and words.

use std::str::FromStr;

use openmodel_schemas::name::{ModelId, NameError};
use openmodel_schemas::snapshot::SnapshotUri;
use tfplug::Diagnostic;
use tfplug::schema::{Validator, regex};
use tfplug::value::Dynamic;

/// Money: digits, with at most four after the point.
const MONEY: &str = r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,4})?$";

/// Full name of a version of a Secret Manager secret.
pub(crate) const SECRET_VERSION: &str =
    r"^projects/[^/]+/secrets/[A-Za-z0-9_-]{1,255}/versions/(latest|[0-9]+)$";

/// Accepts what parses as `T`; the error is the name's own rule.
pub(crate) fn checked<T: FromStr<Err = NameError> + 'static>(rule: &'static str) -> Validator {
    Validator::new(rule, |args, found| {
        let Some(text) = args.value.as_str() else {
            return;
        };
        if let Err(error) = text.parse::<T>() {
            found.push(
                Diagnostic::error("Invalid value")
                    .at(args.path.clone())
                    .detail(format!("{error}.")),
            );
        }
    })
}

/// The value that a word of a configuration stands for; the schema has checked the word.
pub(crate) fn named<T: Copy>(all: &[T], word_of: fn(T) -> &'static str, word: &str) -> Option<T> {
    all.iter().copied().find(|value| word_of(*value) == word)
}

/// Labels as Google Cloud takes them, and none of those by which openmodel knows its own.
pub(crate) fn labels() -> Validator {
    let rule = "Keys and values of lower-case letters, digits, `_` and `-`, at most 63 characters; keys start with a \
                letter, and not with `openmodel-`.";
    Validator::new(rule, |args, found| {
        let Dynamic::Map(labels) = args.value else {
            return;
        };
        let body = |text: &str| {
            text.chars().count() <= 63
                && text.chars().all(|c| {
                    c.is_lowercase() || c.is_numeric() || c == '_' || c == '-' || !c.is_ascii()
                })
        };
        for (key, value) in labels {
            let wrong = if key.starts_with("openmodel-") {
                "keys that start with `openmodel-` are openmodel's own"
            } else if !key.starts_with(char::is_lowercase) || !body(key) {
                "a key is made of lower-case letters, digits, `_` and `-`, starts with a letter, and has at most 63 \
                 characters"
            } else if value.as_str().is_some_and(|value| !body(value)) {
                "a value is made of lower-case letters, digits, `_` and `-`, and has at most 63 characters"
            } else {
                continue;
            };
            let path = args.path.clone().with_key(key);
            found.push(
                Diagnostic::error("Invalid label")
                    .at(path)
                    .detail(format!("The label {key:?}: {wrong}.")),
            );
        }
    })
}

/// No element is null: such an element is nothing that a service could have.
pub(crate) fn no_nulls() -> Validator {
    Validator::new("Elements must not be null.", |args, found| {
        let has_null = match args.value {
            Dynamic::Map(items) => items.values().any(Dynamic::is_null),
            Dynamic::List(items) | Dynamic::Set(items) => items.iter().any(Dynamic::is_null),
            _ => false,
        };
        if has_null {
            found.push(
                Diagnostic::error("Element is null")
                    .at(args.path.clone())
                    .detail(format!(
                        "`{}` has an element that is null. Leave it out, for instance with \
                 `{{ for key, value in … : key => value if value != null }}`.",
                        args.path
                    )),
            );
        }
    })
}

/// A model id of the Hub.
pub(crate) fn model_id() -> Validator {
    checked::<ModelId>("`organisation/name`, as in the model's address on the Hub.")
}

/// An address of a snapshot.
pub(crate) fn snapshot() -> Validator {
    Validator::new(
        "The `id` or a `uri` of an `openmodel_cache`.",
        |args, found| {
            let Some(text) = args.value.as_str() else {
                return;
            };
            if let Err(error) = text.parse::<SnapshotUri>() {
                found.push(
                    Diagnostic::error("Not a snapshot")
                        .at(args.path.clone())
                        .detail(format!("{error}.")),
                );
            }
        },
    )
}

/// An amount of US dollars, as decimal text.
pub(crate) fn money() -> Validator {
    regex(
        MONEY,
        "be an amount of US dollars in quotes, such as `\"900.00\"`",
    )
}
