//! Fields whose kind of value decides how much is loaded: read as another kind they would count
//! as absent, and the estimate would be that of another model.

use serde_json::Value;

use super::ConfigError;
use super::fields::{Fields, short};

const OBJECTS: [&str; 4] = [
    "quantization_config",
    "compression_config",
    "rope_scaling",
    "rope_parameters",
];
const LISTS: [&str; 2] = ["layer_types", "architectures"];
const TEXTS: [&str; 2] = ["torch_dtype", "model_type"];
const FLAGS: [&str; 1] = ["tie_word_embeddings"];

/// Names under which formats state the bits of a weight.
pub(super) const BITS: [&str; 5] = ["bits", "w_bit", "wbits", "weight_bits", "nbits"];

/// The first field of the wrong kind, or with a number of bits that no weight has.
pub(super) fn check(fields: &Fields<'_>) -> Result<(), ConfigError> {
    all_are(fields, &OBJECTS, "an object", Value::is_object)?;
    all_are(fields, &LISTS, "a list", Value::is_array)?;
    all_are(fields, &TEXTS, "a word", Value::is_string)?;
    all_are(fields, &FLAGS, "true or false", Value::is_boolean)?;
    let Some(stated) = fields.part("quantization_config") else {
        return Ok(());
    };
    for name in BITS {
        let value = stated.get(name).filter(|value| !value.is_null());
        // EXL2 has fractions of bits.
        let sensible = |value: &Value| {
            value
                .as_f64()
                .is_some_and(|bits| bits > 0.0 && bits <= 32.0)
        };
        if let Some(value) = value.filter(|value| !sensible(value)) {
            return Err(ConfigError::new(
                &format!("quantization_config.{name}"),
                format!(
                    "{} is no number of bits from 1 to 32",
                    short(&value.to_string())
                ),
            ));
        }
    }
    Ok(())
}

fn all_are(
    fields: &Fields<'_>,
    names: &[&str],
    kind: &str,
    is: impl Fn(&Value) -> bool,
) -> Result<(), ConfigError> {
    let mut stated = names.iter().filter_map(|name| fields.value(&[name]));
    match stated.find(|(_, value)| !is(value)) {
        None => Ok(()),
        Some((name, value)) => {
            let detail = format!("{} is not {kind}", short(&value.to_string()));
            Err(ConfigError::new(name, detail))
        }
    }
}
