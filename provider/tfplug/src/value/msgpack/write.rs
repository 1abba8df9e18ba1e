//! Bytes out of values.

use rmp::encode as put;

use super::super::conform::{a_value, require_attributes, require_length};
use super::super::{CodecError, Dynamic, Number, Refinement, Step, Type};
use super::{MAX_PREFIX_BYTES, MAX_REFINEMENT_BYTES, REFINED, promise};

pub(super) fn write_value(out: &mut Vec<u8>, value: &Dynamic, ty: &Type) -> Result<(), CodecError> {
    match (ty, value) {
        (_, Dynamic::Null) => put::write_nil(out).map_err(io),
        (Type::Dynamic, Dynamic::Unknown(_)) => write_bare_unknown(out),
        (_, Dynamic::Unknown(refinement)) => write_unknown(out, refinement),
        (Type::Bool, Dynamic::Bool(value)) => put::write_bool(out, *value).map_err(io),
        (Type::Number, Dynamic::Number(value)) => write_number(out, value),
        (Type::String, Dynamic::String(value)) => write_text(out, value),
        (Type::Dynamic, Dynamic::Typed(own, value)) => {
            put::write_array_len(out, 2).map_err(io)?;
            put::write_bin(out, own.to_json().as_bytes()).map_err(io)?;
            write_value(out, value, own)
        }
        (Type::List(element), Dynamic::List(values))
        | (Type::Set(element), Dynamic::Set(values)) => {
            put::write_array_len(out, length(values.len())?).map_err(io)?;
            for (index, value) in (0..).zip(values) {
                write_value(out, value, element).map_err(|error| match value {
                    _ if matches!(ty, Type::List(_)) => error.under(Step::Index(index)),
                    element => error.under(Step::Element(element.clone())),
                })?;
            }
            Ok(())
        }
        (Type::Tuple(elements), Dynamic::Tuple(values)) => {
            require_length(elements.len(), values.len())?;
            put::write_array_len(out, length(values.len())?).map_err(io)?;
            (0..)
                .zip(elements.iter().zip(values))
                .try_for_each(|(index, (element, value))| {
                    write_value(out, value, element)
                        .map_err(|error| error.under(Step::Index(index)))
                })
        }
        (Type::Map(element), Dynamic::Map(values)) => {
            put::write_map_len(out, length(values.len())?).map_err(io)?;
            values.iter().try_for_each(|(key, value)| {
                write_text(out, key)?;
                write_value(out, value, element).map_err(|e| e.under(Step::Key(key.clone())))
            })
        }
        (Type::Object(attributes), Dynamic::Object(values)) => {
            require_attributes(attributes, values)?;
            put::write_map_len(out, length(values.len())?).map_err(io)?;
            attributes
                .iter()
                .zip(values.values())
                .try_for_each(|((name, ty), value)| {
                    write_text(out, name)?;
                    write_value(out, value, ty).map_err(|e| e.under(Step::Attribute(name.clone())))
                })
        }
        _ => Err(CodecError::new(format!(
            "{} is required, found {}",
            a_value(ty),
            value.kind()
        ))),
    }
}

fn write_bare_unknown(out: &mut Vec<u8>) -> Result<(), CodecError> {
    // One byte of payload because the format has no empty extension of a fixed size.
    put::write_ext_meta(out, 1, 0).map_err(io)?;
    out.push(0);
    Ok(())
}

fn write_unknown(out: &mut Vec<u8>, refinement: &Refinement) -> Result<(), CodecError> {
    if refinement.is_unrefined() {
        return write_bare_unknown(out);
    }
    let mut payload = promises(refinement, true)?;
    if payload.len() > MAX_REFINEMENT_BYTES {
        // Only bounds of hundreds of digits are so long; the other promises still hold.
        payload = promises(refinement, false)?;
    }
    put::write_ext_meta(out, length(payload.len())?, REFINED).map_err(io)?;
    out.extend_from_slice(&payload);
    Ok(())
}

fn promises(refinement: &Refinement, with_bounds: bool) -> Result<Vec<u8>, CodecError> {
    let mut entries = 0;
    let mut out = Vec::new();
    let mut key = |out: &mut Vec<u8>, key: u64| {
        entries += 1;
        put::write_uint(out, key).map(|_| ()).map_err(io)
    };
    if refinement.is_not_null() {
        key(&mut out, promise::IS_NULL)?;
        put::write_bool(&mut out, false).map_err(io)?;
    }
    if let Some(prefix) = refinement.prefix() {
        key(&mut out, promise::PREFIX)?;
        write_text(
            &mut out,
            &prefix[..prefix.floor_char_boundary(MAX_PREFIX_BYTES)],
        )?;
    }
    let bounds = [
        (promise::LOWER, refinement.lower()),
        (promise::UPPER, refinement.upper()),
    ];
    for (name, bound) in bounds {
        if let (Some(bound), true) = (bound, with_bounds) {
            key(&mut out, name)?;
            put::write_array_len(&mut out, 2).map_err(io)?;
            write_number(&mut out, &bound.number)?;
            put::write_bool(&mut out, bound.inclusive).map_err(io)?;
        }
    }
    let lengths = [
        (promise::MIN_LENGTH, refinement.min_length()),
        (promise::MAX_LENGTH, refinement.max_length()),
    ];
    for (name, length) in lengths {
        if let Some(length) = length {
            key(&mut out, name)?;
            put::write_uint(&mut out, length).map_err(io)?;
        }
    }
    let mut payload = Vec::with_capacity(out.len() + 1);
    put::write_map_len(&mut payload, entries).map_err(io)?;
    payload.append(&mut out);
    Ok(payload)
}

fn write_number(out: &mut Vec<u8>, number: &Number) -> Result<(), CodecError> {
    if let Some(int) = number.to_i64() {
        put::write_sint(out, int).map(|_| ()).map_err(io)
    } else if let Some(float) = number.to_wire_f64() {
        put::write_f64(out, float).map_err(io)
    } else {
        write_text(out, &number.to_string())
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) -> Result<(), CodecError> {
    length(text.len())?;
    put::write_str(out, text).map_err(io)
}

fn length(elements: usize) -> Result<u32, CodecError> {
    u32::try_from(elements).map_err(|_| CodecError::new("more than 4 GiB or 4294967295 elements"))
}

/// Writing to memory does not fail; the type of the writer still says that it may.
fn io(error: impl std::fmt::Display) -> CodecError {
    CodecError::new(error.to_string())
}
