//! JSON as Terraform keeps state: read and written by a type, numbers without loss.
//!
//! A place of dynamic type is `{"type": …, "value": …}`. Reading is as lenient as Terraform is
//! with state of an older schema: an absent attribute is null, `"1"` may be a number, `true` a
//! string. Writing is exact, and knows no unknown.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::value::RawValue;

use super::conform::{a_value, require_attributes, require_length};
use super::order::normalize_set;
use super::{CodecError, Dynamic, Number, Step, Type};

/// Levels of nesting; only values of dynamic type within each other can exceed a type's own.
const MAX_DEPTH: u32 = 128;

/// Read one JSON value of `ty`.
///
/// ```
/// use tfplug::value::{Dynamic, Type, decode_json};
///
/// let ty = Type::object([("size", Type::Number), ("name", Type::String)]);
/// let value = decode_json(br#"{"size": 12345678901234567890}"#, &ty).expect("state");
/// assert_eq!(value.to_string(), "{ name = null, size = 12345678901234567890 }");
/// ```
pub fn decode_json(bytes: &[u8], ty: &Type) -> Result<Dynamic, CodecError> {
    let raw: &RawValue = serde_json::from_slice(bytes)
        .map_err(|e| CodecError::new(format!("JSON is required: {e}")))?;
    read_value(raw, ty, 0)
}

/// Write a value of `ty`. Fails where the value is not of the type, and on unknowns, which
/// JSON state cannot hold.
pub fn encode_json(value: &Dynamic, ty: &Type) -> Result<Vec<u8>, CodecError> {
    let mut out = String::with_capacity(256);
    write_value(&mut out, value, ty)?;
    Ok(out.into_bytes())
}

fn read_value(raw: &RawValue, ty: &Type, depth: u32) -> Result<Dynamic, CodecError> {
    if depth > MAX_DEPTH {
        return Err(CodecError::new(format!(
            "a value of at most {MAX_DEPTH} levels is required"
        )));
    }
    let depth = depth + 1;
    let text = raw.get();
    if text == "null" {
        return Ok(Dynamic::Null);
    }
    match ty {
        Type::Bool => match text {
            "true" | "\"true\"" => Ok(Dynamic::Bool(true)),
            "false" | "\"false\"" => Ok(Dynamic::Bool(false)),
            _ => Err(wrong(ty)),
        },
        Type::Number => {
            let digits = text
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            let number: Number = digits.unwrap_or(text).parse().map_err(|_| wrong(ty))?;
            Ok(Dynamic::Number(number))
        }
        Type::String => match text.as_bytes().first() {
            Some(b'"') => parse(raw, ty).map(Dynamic::String),
            Some(b'{' | b'[') => Err(wrong(ty)),
            _ => Ok(Dynamic::from(text)),
        },
        Type::Dynamic => read_typed(raw, depth),
        Type::List(element) => read_elements(raw, element, ty, depth).map(Dynamic::List),
        Type::Set(element) => {
            let mut elements = read_elements(raw, element, ty, depth)?;
            normalize_set(&mut elements);
            Ok(Dynamic::Set(elements))
        }
        Type::Tuple(types) => {
            let elements: Vec<&RawValue> = parse(raw, ty)?;
            require_length(types.len(), elements.len())?;
            let elements = (0..)
                .zip(types.iter().zip(elements))
                .map(|(index, (ty, element))| {
                    read_value(element, ty, depth).map_err(|error| error.under(Step::Index(index)))
                });
            Ok(Dynamic::Tuple(elements.collect::<Result<_, _>>()?))
        }
        Type::Map(element) => {
            let elements: BTreeMap<String, &RawValue> = parse(raw, ty)?;
            let elements =
                elements
                    .into_iter()
                    .map(|(key, value)| match read_value(value, element, depth) {
                        Ok(value) => Ok((key, value)),
                        Err(error) => Err(error.under(Step::Key(key))),
                    });
            Ok(Dynamic::Map(elements.collect::<Result<_, _>>()?))
        }
        Type::Object(attributes) => {
            let given: BTreeMap<String, &RawValue> = parse(raw, ty)?;
            if let Some(name) = given.keys().find(|name| !attributes.contains_key(*name)) {
                return Err(CodecError::new(format!("there is no attribute {name:?}")));
            }
            let values = attributes.iter().map(|(name, ty)| match given.get(name) {
                None => Ok((name.clone(), Dynamic::Null)),
                Some(value) => match read_value(value, ty, depth) {
                    Ok(value) => Ok((name.clone(), value)),
                    Err(error) => Err(error.under(Step::Attribute(name.clone()))),
                },
            });
            Ok(Dynamic::Object(values.collect::<Result<_, _>>()?))
        }
    }
}

fn read_elements(
    raw: &RawValue,
    element: &Type,
    ty: &Type,
    depth: u32,
) -> Result<Vec<Dynamic>, CodecError> {
    let elements: Vec<&RawValue> = parse(raw, ty)?;
    let elements = (0..).zip(elements).map(|(index, value)| {
        read_value(value, element, depth).map_err(|error| error.under(Step::Index(index)))
    });
    elements.collect()
}

fn read_typed(raw: &RawValue, depth: u32) -> Result<Dynamic, CodecError> {
    let parts: BTreeMap<String, &RawValue> = parse(raw, &Type::Dynamic)?;
    let (Some(own), Some(value), 2) = (parts.get("type"), parts.get("value"), parts.len()) else {
        return Err(CodecError::new(
            "an object of \"type\" and \"value\" is required",
        ));
    };
    let own = Type::from_json(own.get().as_bytes())
        .map_err(|error| CodecError::new(error.to_string()))?;
    let value = read_value(value, &own, depth)?;
    // Without a type of its own it says no more than a bare null.
    if own == Type::Dynamic {
        return Ok(value);
    }
    Ok(Dynamic::Typed(Box::new(own), Box::new(value)))
}

fn parse<'a, T: serde::Deserialize<'a>>(raw: &'a RawValue, ty: &Type) -> Result<T, CodecError> {
    serde_json::from_str(raw.get()).map_err(|_| wrong(ty))
}

fn wrong(ty: &Type) -> CodecError {
    CodecError::new(format!("{} is required", a_value(ty)))
}

fn write_value(out: &mut String, value: &Dynamic, ty: &Type) -> Result<(), CodecError> {
    match (ty, value) {
        (_, Dynamic::Null) => out.push_str("null"),
        (_, Dynamic::Unknown(_)) => {
            return Err(CodecError::new(
                "a known value is required, JSON holds no unknown",
            ));
        }
        (Type::Bool, Dynamic::Bool(value)) => out.push_str(if *value { "true" } else { "false" }),
        (Type::Number, Dynamic::Number(value)) => write!(out, "{value}").map_err(memory)?,
        (Type::String, Dynamic::String(value)) => write_text(out, value)?,
        (Type::Dynamic, Dynamic::Typed(own, value)) => {
            write!(out, "{{\"type\":{},\"value\":", own.to_json()).map_err(memory)?;
            write_value(out, value, own)?;
            out.push('}');
        }
        (Type::List(element), Dynamic::List(values))
        | (Type::Set(element), Dynamic::Set(values)) => {
            let types = std::iter::repeat_n(element.as_ref(), values.len());
            write_elements(out, values.iter().zip(types))?;
        }
        (Type::Tuple(types), Dynamic::Tuple(values)) => {
            require_length(types.len(), values.len())?;
            write_elements(out, values.iter().zip(types))?;
        }
        (Type::Map(element), Dynamic::Map(values)) => {
            let entries = values
                .iter()
                .map(|(key, value)| (key, value, element.as_ref()));
            write_entries(out, entries, |key| Step::Key(key.to_owned()))?;
        }
        (Type::Object(attributes), Dynamic::Object(values)) => {
            require_attributes(attributes, values)?;
            let entries = attributes
                .iter()
                .zip(values)
                .map(|((name, ty), (_, value))| (name, value, ty));
            write_entries(out, entries, |name| Step::Attribute(name.to_owned()))?;
        }
        _ => {
            let (required, found) = (a_value(ty), value.kind());
            return Err(CodecError::new(format!(
                "{required} is required, found {found}"
            )));
        }
    }
    Ok(())
}

fn write_elements<'a>(
    out: &mut String,
    elements: impl Iterator<Item = (&'a Dynamic, &'a Type)>,
) -> Result<(), CodecError> {
    out.push('[');
    for (index, (value, ty)) in (0_i64..).zip(elements) {
        if index > 0 {
            out.push(',');
        }
        write_value(out, value, ty).map_err(|error| error.under(Step::Index(index)))?;
    }
    out.push(']');
    Ok(())
}

fn write_entries<'a>(
    out: &mut String,
    entries: impl Iterator<Item = (&'a String, &'a Dynamic, &'a Type)>,
    step: impl Fn(&str) -> Step,
) -> Result<(), CodecError> {
    out.push('{');
    for (position, (key, value, ty)) in entries.enumerate() {
        if position > 0 {
            out.push(',');
        }
        write_text(out, key)?;
        out.push(':');
        write_value(out, value, ty).map_err(|error| error.under(step(key)))?;
    }
    out.push('}');
    Ok(())
}

fn write_text(out: &mut String, text: &str) -> Result<(), CodecError> {
    out.push_str(&serde_json::to_string(text).map_err(memory)?);
    Ok(())
}

/// Writing to memory does not fail; the type of the writer still says that it may.
fn memory(error: impl std::fmt::Display) -> CodecError {
    CodecError::new(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(json: &str, ty: &Type, shown: &str) {
        let value = decode_json(json.as_bytes(), ty);
        assert_eq!(
            value.map(|value| value.to_string()),
            Ok(shown.to_owned()),
            "{json}"
        );
    }

    #[track_caller]
    fn refuses(json: &str, ty: &Type, message: &str) {
        let value = decode_json(json.as_bytes(), ty);
        assert_eq!(
            value.map_err(|error| error.to_string()),
            Err(message.to_owned()),
            "{json}"
        );
    }

    #[test]
    fn state_of_an_older_schema_is_read_as_terraform_reads_it() {
        let ty = Type::object([("n", Type::Number), ("b", Type::Bool), ("s", Type::String)]);
        reads(
            r#"{"n": "12", "b": "true", "s": 7.50}"#,
            &ty,
            "{ b = true, n = 12, s = \"7.50\" }",
        );
        reads(
            r#"{"s": true}"#,
            &ty,
            "{ b = null, n = null, s = \"true\" }",
        );
        refuses(r#"{"x": 1}"#, &ty, "there is no attribute \"x\"");
        refuses(r#"{"n": "a"}"#, &ty, "n: a number is required");
        refuses(r#"{"s": []}"#, &ty, "s: a string is required");
        refuses("[]", &ty, "an object is required");
    }

    #[test]
    fn numbers_keep_every_digit() {
        let digits = format!("-{}.{}1", "9".repeat(200), "3".repeat(100));
        let value = decode_json(digits.as_bytes(), &Type::Number).expect("a number");
        assert_eq!(encode_json(&value, &Type::Number), Ok(digits.into_bytes()));
    }

    #[test]
    fn dynamic_values_carry_their_type() {
        let json = br#"{"type":["list","bool"],"value":[true,null]}"#;
        let value = decode_json(json, &Type::Dynamic).expect("reads");
        assert_eq!(value.to_string(), "[true, null]");
        assert_eq!(encode_json(&value, &Type::Dynamic), Ok(json.to_vec()));
        refuses(
            "[true]",
            &Type::Dynamic,
            "a value with a type of its own is required",
        );
    }

    #[test]
    fn unknowns_cannot_be_written() {
        let ty = Type::object([("a", Type::list(Type::Bool))]);
        let value = Dynamic::object([("a", Dynamic::List(vec![Dynamic::unknown()]))]);
        assert_eq!(
            encode_json(&value, &ty).map_err(|error| error.to_string()),
            Err("a[0]: a known value is required, JSON holds no unknown".to_owned())
        );
    }

    #[test]
    fn endless_nesting_is_refused() {
        let opening = r#"{"type":"dynamic","value":"#.repeat(300);
        let json = format!("{opening}null{}", "}".repeat(300));
        assert!(decode_json(json.as_bytes(), &Type::Dynamic).is_err());
    }

    #[test]
    fn text_is_escaped() {
        let value = Dynamic::Map([("a\"\n".to_owned(), Dynamic::from("\u{1}ä"))].into());
        let json = encode_json(&value, &Type::map(Type::String)).expect("writes");
        assert_eq!(String::from_utf8_lossy(&json), r#"{"a\"\n":"\u0001ä"}"#);
    }
}
