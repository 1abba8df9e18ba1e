//! The wire's encoding of values: `MessagePack`, read and written by a type.
//!
//! | value | bytes |
//! |---|---|
//! | null | nil |
//! | unknown | extension 0, or 12 with what is promised; any extension is read as unknown |
//! | number | integer, float, or decimal text; the shortest that is exact |
//! | place of a dynamic type | array of the type's JSON and the value |
//! | list, set, tuple / map, object | array / map |
//!
//! Bytes may come from anybody: every length is checked against what is there before memory is
//! taken for it, and depth is bounded.

mod bytes;
mod read;
mod write;

use super::{CodecError, Dynamic, Type};

/// Extension code of an unknown value with promises.
const REFINED: i8 = 12;
/// A longer payload of promises is not read by Terraform.
const MAX_REFINEMENT_BYTES: usize = 1024;
/// A longer prefix is shortened before it is sent, as Terraform does.
const MAX_PREFIX_BYTES: usize = 256;
/// Levels of nesting; only values of dynamic type within each other can exceed a type's own.
const MAX_DEPTH: u32 = 128;

/// Keys of the payload of a refined unknown.
mod promise {
    pub(super) const IS_NULL: u64 = 1;
    pub(super) const PREFIX: u64 = 2;
    pub(super) const LOWER: u64 = 3;
    pub(super) const UPPER: u64 = 4;
    pub(super) const MIN_LENGTH: u64 = 5;
    pub(super) const MAX_LENGTH: u64 = 6;
}

/// Read one value of `ty`; all of `bytes` must belong to it.
///
/// ```
/// use tfplug::value::{Dynamic, Type, decode_msgpack, encode_msgpack};
///
/// let value = Dynamic::object([("name", Dynamic::from("chat")), ("id", Dynamic::unknown())]);
/// let ty = Type::object([("name", Type::String), ("id", Type::String)]);
/// let bytes = encode_msgpack(&value, &ty).expect("the value is of its type");
/// assert_eq!(decode_msgpack(&bytes, &ty), Ok(value));
/// ```
pub fn decode_msgpack(bytes: &[u8], ty: &Type) -> Result<Dynamic, CodecError> {
    let mut reader = bytes::Reader::new(bytes);
    let value = reader.value(ty)?;
    if reader.rest.is_empty() {
        return Ok(value);
    }
    Err(CodecError::new(format!(
        "{} bytes follow the value",
        reader.rest.len()
    )))
}

/// Write a value of `ty`.
///
/// Fails where the value is not of the type: `an object with 10 attributes is required (9 given)`.
pub fn encode_msgpack(value: &Dynamic, ty: &Type) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::with_capacity(256);
    write::write_value(&mut out, value, ty)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::{Number, Refinement};
    use super::*;

    #[track_caller]
    fn reads(bytes: &[u8], ty: &Type, value: Dynamic) {
        assert_eq!(decode_msgpack(bytes, ty), Ok(value));
    }

    #[track_caller]
    fn refuses(bytes: &[u8], ty: &Type, message: &str) {
        assert_eq!(
            decode_msgpack(bytes, ty).map_err(|error| error.to_string()),
            Err(message.to_owned())
        );
    }

    #[test]
    fn reads_every_form_of_a_number() {
        reads(b"\x07", &Type::Number, Dynamic::from(7));
        reads(b"\xff", &Type::Number, Dynamic::from(-1));
        reads(b"\xcc\xff", &Type::Number, Dynamic::from(255));
        reads(b"\xd1\x80\x00", &Type::Number, Dynamic::from(-32_768));
        reads(
            b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
            &Type::Number,
            Number::from(u64::MAX).into(),
        );
        reads(
            b"\xca\x3f\x00\x00\x00",
            &Type::Number,
            "0.5".parse::<Number>().expect("0.5").into(),
        );
        reads(
            b"\xa30.1",
            &Type::Number,
            "0.1".parse::<Number>().expect("0.1").into(),
        );
        refuses(b"\xa3abc", &Type::Number, "a decimal number is required");
        refuses(
            b"\xcb\x7f\xf0\0\0\0\0\0\0",
            &Type::Number,
            "a finite number is required",
        );
    }

    #[test]
    fn any_extension_is_an_unknown() {
        for bytes in [
            &b"\xd4\x00\x00"[..],
            b"\xd5\x63ab",
            b"\xc7\x00\x05",
            b"\xc7\x03\x0cabc",
        ] {
            reads(bytes, &Type::Dynamic, Dynamic::unknown());
        }
        reads(b"\xd4\x00\x00", &Type::Bool, Dynamic::unknown());
    }

    #[test]
    fn writes_an_unknown_as_terraform_does() {
        let written = |value: Dynamic| encode_msgpack(&value, &Type::String);
        assert_eq!(written(Dynamic::unknown()), Ok(b"\xd4\x00\x00".to_vec()));
        let id = Refinement::default().with_not_null().with_prefix("id-");
        let bytes = b"\xd7\x0c\x82\x01\xc2\x02\xa3id-".to_vec();
        assert_eq!(written(Dynamic::Unknown(id.clone())), Ok(bytes.clone()));
        reads(&bytes, &Type::String, Dynamic::Unknown(id));
    }

    #[test]
    fn a_promise_of_null_is_null_and_later_promises_are_skipped() {
        reads(b"\xc7\x03\x0c\x81\x01\xc3", &Type::String, Dynamic::Null);
        reads(
            b"\xc7\x0c\x0c\x82\x63\x92\x81\xa1a\xcd\x01\x02\xc0\x05\x02",
            &Type::list(Type::Bool),
            Dynamic::Unknown(Refinement::default().with_min_length(2)),
        );
    }

    #[test]
    fn long_promises_are_shortened_and_never_lost_altogether() {
        let digits: Number = "7".repeat(900).parse().expect("a number");
        let refinement = Refinement::default()
            .with_not_null()
            .with_lower(digits.clone(), true)
            .with_upper(digits, true);
        let bytes = encode_msgpack(&Dynamic::Unknown(refinement), &Type::Number).expect("writes");
        reads(
            &bytes,
            &Type::Number,
            Dynamic::Unknown(Refinement::default().with_not_null()),
        );

        let long = Refinement::default().with_prefix("ä".repeat(400));
        let bytes = encode_msgpack(&Dynamic::Unknown(long), &Type::String).expect("writes");
        let kept = Refinement::default().with_prefix("ä".repeat(128));
        reads(&bytes, &Type::String, Dynamic::Unknown(kept));
    }

    #[test]
    fn an_object_has_exactly_its_attributes() {
        let ty = Type::object([("a", Type::Bool), ("b", Type::Bool)]);
        refuses(
            b"\x81\xa1a\xc3",
            &ty,
            "an object with 2 attributes is required (1 given): \"b\" is missing",
        );
        refuses(
            b"\x83\xa1a\xc3\xa1b\xc3\xa1c\xc3",
            &ty,
            "an object with 2 attributes is required (3 given): there is no \"c\"",
        );
        refuses(b"\x82\xa1a\xc3\xa1b\x01", &ty, "b: a bool is required");
    }

    #[test]
    fn a_value_of_dynamic_type_brings_its_type() {
        let bytes = b"\x92\xc4\x08\"string\"\xa1x";
        let value = Dynamic::Typed(Box::new(Type::String), Box::new(Dynamic::from("x")));
        reads(bytes, &Type::Dynamic, value.clone());
        assert_eq!(encode_msgpack(&value, &Type::Dynamic), Ok(bytes.to_vec()));
        reads(b"\xc0", &Type::Dynamic, Dynamic::Null);
    }

    #[test]
    fn lies_about_lengths_cost_nothing() {
        refuses(
            b"\xdd\xff\xff\xff\xff",
            &Type::list(Type::Bool),
            "the value ends too early",
        );
        refuses(
            b"\xdf\xff\xff\xff\xff",
            &Type::map(Type::Bool),
            "the value ends too early",
        );
        refuses(
            b"\xdb\xff\xff\xff\xff",
            &Type::String,
            "the value ends too early",
        );
        refuses(
            b"\xc9\xff\xff\xff\xff\x00",
            &Type::String,
            "the value ends too early",
        );
        refuses(b"", &Type::String, "the value ends too early");
        refuses(b"\xc3\xc3", &Type::Bool, "1 bytes follow the value");
    }

    #[test]
    fn endless_nesting_of_types_is_refused() {
        let nested = b"\x92\xc4\x09\"dynamic\"".repeat(100_000);
        refuses(
            &nested,
            &Type::Dynamic,
            "a value of at most 128 levels is required",
        );
    }

    #[test]
    fn a_set_is_read_without_its_duplicates() {
        reads(
            b"\x93\xa1b\xa1a\xa1b",
            &Type::set(Type::String),
            Dynamic::Set(vec![Dynamic::from("a"), Dynamic::from("b")]),
        );
    }
}
