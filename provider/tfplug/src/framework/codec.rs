//! Between the wire and the framework: values, paths and diagnostics.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::schema::Schema;
use crate::value::{self, Dynamic, Path, Step, Type, decode_json, decode_msgpack, encode_msgpack};
use crate::wire::{self, attribute_path::step::Selector, diagnostic::Severity as WireSeverity};
use crate::{Diagnostic, Diagnostics, Severity};

/// Reads a value of a type; an absent one is null.
pub(super) fn decode(
    value: Option<&wire::DynamicValue>,
    r#type: &Type,
) -> Result<Dynamic, Diagnostic> {
    let Some(value) = value else {
        return Ok(Dynamic::Null);
    };
    let decoded = if !value.msgpack.is_empty() {
        decode_msgpack(&value.msgpack, r#type)
    } else if !value.json.is_empty() {
        decode_json(&value.json, r#type)
    } else {
        return Ok(Dynamic::Null);
    };
    decoded.map_err(|error| {
        Diagnostic::error("Value from Terraform is unreadable").detail(format!(
            "{error}. Terraform and the provider disagree about the schema; run `terraform init \
             -upgrade`, and if it stays, report it as a bug of the provider."
        ))
    })
}

/// Writes a value of a type.
pub(super) fn encode(value: &Dynamic, r#type: &Type) -> Result<wire::DynamicValue, Diagnostic> {
    let msgpack = encode_msgpack(value, r#type).map_err(|error| bug(&error.to_string()))?;
    Ok(wire::DynamicValue {
        msgpack: msgpack.into(),
        ..wire::DynamicValue::default()
    })
}

/// Makes a model of a value. What the user configured can be at fault (a fraction for an
/// integer), so the message speaks to the user.
pub(super) fn to_model<M: DeserializeOwned>(value: Dynamic) -> Result<M, Diagnostic> {
    value::from_dynamic(value).map_err(|error| {
        Diagnostic::error("Invalid value")
            .at(error.path.clone())
            .detail(format!("{error}."))
    })
}

/// Makes a value of a model.
pub(super) fn of_model<M: Serialize>(model: &M, r#type: &Type) -> Result<Dynamic, Diagnostic> {
    value::to_dynamic(model, r#type).map_err(|error| bug(&error.to_string()))
}

fn bug(what: &str) -> Diagnostic {
    Diagnostic::error("Provider made an invalid value").detail(format!(
        "A value does not fit the provider's own schema: {what}. This is a bug in the provider, \
         please report it."
    ))
}

/// The same messages, each at a place that Terraform can find in the configuration.
///
/// It follows a path through nested blocks only: of one that goes on inside an attribute it takes
/// the last name and looks for it among the attributes around, where another may have that name.
/// So a path ends at the first attribute; the text of the message has the whole of it.
pub(super) fn located(schema: &Schema, diagnostics: Diagnostics) -> Diagnostics {
    let locate = |mut diagnostic: Diagnostic| {
        diagnostic.path = diagnostic.path.map(|path| {
            let mut block = &schema.block;
            for (position, step) in path.steps().iter().enumerate() {
                let Step::Attribute(name) = step else {
                    continue;
                };
                match block.nested(name) {
                    Some(nested) => block = &nested.block,
                    None => return Path::from(path.steps()[..=position].to_vec()),
                }
            }
            path
        });
        diagnostic
    };
    diagnostics.into_iter().map(locate).collect()
}

pub(super) fn diagnostics_to_wire(diagnostics: Diagnostics) -> Vec<wire::Diagnostic> {
    diagnostics
        .into_iter()
        .map(|diagnostic| wire::Diagnostic {
            severity: match diagnostic.severity {
                Severity::Error => WireSeverity::Error,
                Severity::Warning => WireSeverity::Warning,
            }
            .into(),
            summary: diagnostic.summary,
            detail: diagnostic.detail,
            attribute: diagnostic
                .path
                .as_ref()
                .map(path_to_wire)
                .filter(|path| !path.steps.is_empty()),
        })
        .collect()
}

/// A path as far as the wire can say it: it has no step into a set.
pub(super) fn path_to_wire(path: &Path) -> wire::AttributePath {
    let selectors = path.steps().iter().map_while(|step| match step {
        Step::Attribute(name) => Some(Selector::AttributeName(name.clone())),
        Step::Key(key) => Some(Selector::ElementKeyString(key.clone())),
        Step::Index(index) => Some(Selector::ElementKeyInt(*index)),
        Step::Element(_) => None,
    });
    let steps = selectors.map(|selector| wire::attribute_path::Step {
        selector: Some(selector),
    });
    wire::AttributePath {
        steps: steps.collect(),
    }
}

/// The other way, for tests of providers.
pub(super) fn diagnostics_from_wire(diagnostics: Vec<wire::Diagnostic>) -> Diagnostics {
    diagnostics
        .into_iter()
        .map(|diagnostic| Diagnostic {
            severity: match diagnostic.severity() {
                WireSeverity::Warning => Severity::Warning,
                WireSeverity::Error | WireSeverity::Invalid => Severity::Error,
            },
            summary: diagnostic.summary,
            detail: diagnostic.detail,
            path: diagnostic.attribute.as_ref().map(path_from_wire),
        })
        .collect()
}

pub(super) fn path_from_wire(path: &wire::AttributePath) -> Path {
    let selectors = path.steps.iter().filter_map(|step| step.selector.as_ref());
    let steps = selectors.map(|selector| match selector {
        Selector::AttributeName(name) => Step::Attribute(name.clone()),
        Selector::ElementKeyString(key) => Step::Key(key.clone()),
        Selector::ElementKeyInt(index) => Step::Index(*index),
    });
    Path(steps.collect())
}
