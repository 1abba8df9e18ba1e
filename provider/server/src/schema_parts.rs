//! Checks that several schemas share: the checked names of `openmodel-schemas`, as validators.

use std::str::FromStr;

use openmodel_schemas::name::{ModelId, NameError};
use tfplug::Diagnostic;
use tfplug::schema::Validator;

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

/// A model id of the Hub.
pub(crate) fn model_id() -> Validator {
    checked::<ModelId>("`organisation/name`, as in the model's address on the Hub.")
}
