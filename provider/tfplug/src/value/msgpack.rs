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

use std::collections::BTreeMap;

use rmp::{Marker, encode as put};

use super::dynamic::{a_value, normalize_set, require_attributes, require_length};
use super::{Bound, CodecError, Dynamic, Number, Refinement, Step, Type};

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
    let mut reader = Reader {
        rest: bytes,
        depth: 0,
    };
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
    write_value(&mut out, value, ty)?;
    Ok(out)
}

struct Reader<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl<'a> Reader<'a> {
    fn value(&mut self, ty: &Type) -> Result<Dynamic, CodecError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(CodecError::new(format!(
                "a value of at most {MAX_DEPTH} levels is required"
            )));
        }
        let value = self.value_here(ty);
        self.depth -= 1;
        value
    }

    fn value_here(&mut self, ty: &Type) -> Result<Dynamic, CodecError> {
        let marker = self.marker()?;
        if let Some(length) = self.extension_length(marker)? {
            return self.unknown(length, ty);
        }
        if marker == Marker::Null {
            return Ok(Dynamic::Null);
        }
        match ty {
            Type::Bool => match marker {
                Marker::True => Ok(Dynamic::Bool(true)),
                Marker::False => Ok(Dynamic::Bool(false)),
                _ => Err(wrong(ty)),
            },
            Type::Number => self.number(marker).map(Dynamic::Number),
            Type::String => self
                .text(marker)
                .map(|text| Dynamic::String(text.to_owned())),
            Type::Dynamic => self.typed(marker),
            Type::List(element) => self.elements(marker, element, ty).map(Dynamic::List),
            Type::Set(element) => {
                let mut elements = self.elements(marker, element, ty)?;
                normalize_set(&mut elements);
                Ok(Dynamic::Set(elements))
            }
            Type::Tuple(types) => {
                require_length(types.len(), self.array_length(marker, ty)?)?;
                let elements = (0..).zip(types).map(|(index, element)| {
                    self.value(element)
                        .map_err(|error| error.under(Step::Index(index)))
                });
                Ok(Dynamic::Tuple(elements.collect::<Result<_, _>>()?))
            }
            Type::Map(element) => {
                let mut values = BTreeMap::new();
                for _ in 0..self.map_length(marker, ty)? {
                    let key = self.key()?;
                    let value = self
                        .value(element)
                        .map_err(|e| e.under(Step::Key(key.to_owned())))?;
                    values.insert(key.to_owned(), value);
                }
                Ok(Dynamic::Map(values))
            }
            Type::Object(attributes) => {
                let length = self.map_length(marker, ty)?;
                let mut values = BTreeMap::new();
                for _ in 0..length {
                    let name = self.key()?;
                    let Some(ty) = attributes.get(name) else {
                        let (required, given) = (attributes.len(), length);
                        return Err(CodecError::new(format!(
                            "an object with {required} attributes is required ({given} given): there is no {name:?}"
                        )));
                    };
                    let value = self
                        .value(ty)
                        .map_err(|e| e.under(Step::Attribute(name.to_owned())))?;
                    values.insert(name.to_owned(), value);
                }
                require_attributes(attributes, &values)?;
                Ok(Dynamic::Object(values))
            }
        }
    }

    fn elements(
        &mut self,
        marker: Marker,
        element: &Type,
        ty: &Type,
    ) -> Result<Vec<Dynamic>, CodecError> {
        let length = self.array_length(marker, ty)?;
        let mut elements = Vec::with_capacity(length.min(1024));
        for index in (0_i64..).take(length) {
            let value = self
                .value(element)
                .map_err(|error| error.under(Step::Index(index)))?;
            elements.push(value);
        }
        Ok(elements)
    }

    fn typed(&mut self, marker: Marker) -> Result<Dynamic, CodecError> {
        if self.array_length(marker, &Type::Dynamic)? != 2 {
            return Err(wrong(&Type::Dynamic));
        }
        let marker = self.marker()?;
        let json = self.bytes(marker)?;
        let own = Type::from_json(json).map_err(|error| CodecError::new(error.to_string()))?;
        let value = self.value(&own)?;
        // Without a type of its own it says no more than a bare null or unknown.
        if own == Type::Dynamic {
            return Ok(value);
        }
        Ok(Dynamic::Typed(Box::new(own), Box::new(value)))
    }

    fn unknown(&mut self, length: usize, ty: &Type) -> Result<Dynamic, CodecError> {
        let [code] = self.array()?;
        let payload = self.take(length)?;
        if i8::from_be_bytes([code]) != REFINED
            || length > MAX_REFINEMENT_BYTES
            || *ty == Type::Dynamic
        {
            return Ok(Dynamic::unknown());
        }
        let mut reader = Reader {
            rest: payload,
            depth: self.depth,
        };
        reader.refinement().map_err(|error| {
            CodecError::new(format!(
                "unknown value with unreadable promises: {}",
                error.message
            ))
        })
    }

    /// A promise to be null makes the value null; unknown keys are promises of a later protocol.
    fn refinement(&mut self) -> Result<Dynamic, CodecError> {
        let marker = self.marker()?;
        let mut refinement = Refinement::default();
        let mut is_null = false;
        for _ in 0..self.map_length(marker, &Type::map(Type::Dynamic))? {
            let key = self.length()?;
            match key {
                promise::IS_NULL => match self.marker()? {
                    Marker::True => is_null = true,
                    Marker::False => refinement = refinement.with_not_null(),
                    _ => return Err(wrong(&Type::Bool)),
                },
                promise::PREFIX => {
                    let marker = self.marker()?;
                    refinement = refinement.with_prefix(self.text(marker)?);
                }
                promise::LOWER => {
                    let Bound { number, inclusive } = self.bound()?;
                    refinement = refinement.with_lower(number, inclusive);
                }
                promise::UPPER => {
                    let Bound { number, inclusive } = self.bound()?;
                    refinement = refinement.with_upper(number, inclusive);
                }
                promise::MIN_LENGTH => refinement = refinement.with_min_length(self.length()?),
                promise::MAX_LENGTH => refinement = refinement.with_max_length(self.length()?),
                _ => self.skip()?,
            }
        }
        Ok(if is_null {
            Dynamic::Null
        } else {
            Dynamic::Unknown(refinement)
        })
    }

    fn bound(&mut self) -> Result<Bound, CodecError> {
        let marker = self.marker()?;
        if self.array_length(marker, &Type::list(Type::Dynamic))? != 2 {
            return Err(CodecError::new("a bound is a number and a bool"));
        }
        let marker = self.marker()?;
        let number = self.number(marker)?;
        let inclusive = match self.marker()? {
            Marker::True => true,
            Marker::False => false,
            _ => return Err(wrong(&Type::Bool)),
        };
        Ok(Bound { number, inclusive })
    }

    /// A whole number that is not negative.
    fn length(&mut self) -> Result<u64, CodecError> {
        let marker = self.marker()?;
        self.number(marker)?
            .to_u64()
            .ok_or_else(|| CodecError::new("a length of 0 or more is required"))
    }

    fn number(&mut self, marker: Marker) -> Result<Number, CodecError> {
        let number = match marker {
            Marker::FixPos(value) => Ok(Number::from(i64::from(value))),
            Marker::FixNeg(value) => Ok(Number::from(i64::from(value))),
            Marker::U8 => Ok(Number::from(u64::from(u8::from_be_bytes(self.array()?)))),
            Marker::U16 => Ok(Number::from(u64::from(u16::from_be_bytes(self.array()?)))),
            Marker::U32 => Ok(Number::from(u64::from(u32::from_be_bytes(self.array()?)))),
            Marker::U64 => Ok(Number::from(u64::from_be_bytes(self.array()?))),
            Marker::I8 => Ok(Number::from(i64::from(i8::from_be_bytes(self.array()?)))),
            Marker::I16 => Ok(Number::from(i64::from(i16::from_be_bytes(self.array()?)))),
            Marker::I32 => Ok(Number::from(i64::from(i32::from_be_bytes(self.array()?)))),
            Marker::I64 => Ok(Number::from(i64::from_be_bytes(self.array()?))),
            Marker::F32 => Number::from_wire_f64(f64::from(f32::from_be_bytes(self.array()?))),
            Marker::F64 => Number::from_wire_f64(f64::from_be_bytes(self.array()?)),
            _ => match self.text_length(marker)? {
                Some(length) => utf8(self.take(length)?)?.parse(),
                None => return Err(wrong(&Type::Number)),
            },
        };
        number.map_err(|error| CodecError::new(error.to_string()))
    }

    fn key(&mut self) -> Result<&'a str, CodecError> {
        let marker = self.marker()?;
        self.text(marker)
    }

    fn text(&mut self, marker: Marker) -> Result<&'a str, CodecError> {
        utf8(self.bytes(marker)?)
    }

    /// Text, or bytes: Go's decoder does not tell them apart either.
    fn bytes(&mut self, marker: Marker) -> Result<&'a [u8], CodecError> {
        match self.text_length(marker)? {
            Some(length) => self.take(length),
            None => Err(wrong(&Type::String)),
        }
    }

    /// Read and forget one item of any kind.
    fn skip(&mut self) -> Result<(), CodecError> {
        // A count instead of recursion: the payload bounds it, since each item takes a byte.
        let mut items = 1_usize;
        while items > 0 {
            items -= 1;
            let marker = self.marker()?;
            if let Some(length) = self.extension_length(marker)? {
                self.take(length + 1)?;
            } else if let Some(length) = self.text_length(marker)? {
                self.take(length)?;
            } else if let Some(length) = self.sequence_length(marker)? {
                items = items.saturating_add(length);
            } else if let Some(length) = self.mapping_length(marker)? {
                items = items.saturating_add(length.saturating_mul(2));
            } else {
                let width = match marker {
                    Marker::U8 | Marker::I8 => 1,
                    Marker::U16 | Marker::I16 => 2,
                    Marker::U32 | Marker::I32 | Marker::F32 => 4,
                    Marker::U64 | Marker::I64 | Marker::F64 => 8,
                    _ => 0,
                };
                self.take(width)?;
            }
        }
        Ok(())
    }

    fn array_length(&mut self, marker: Marker, ty: &Type) -> Result<usize, CodecError> {
        let length = self.sequence_length(marker)?.ok_or_else(|| wrong(ty))?;
        self.require(length)
    }

    fn map_length(&mut self, marker: Marker, ty: &Type) -> Result<usize, CodecError> {
        let length = self.mapping_length(marker)?.ok_or_else(|| wrong(ty))?;
        self.require(length.saturating_mul(2))?;
        Ok(length)
    }

    /// Each item takes at least a byte, so a length beyond the bytes that are left is a lie.
    fn require(&self, items: usize) -> Result<usize, CodecError> {
        if items > self.rest.len() {
            Err(truncated())
        } else {
            Ok(items)
        }
    }

    fn sequence_length(&mut self, marker: Marker) -> Result<Option<usize>, CodecError> {
        Ok(Some(match marker {
            Marker::FixArray(length) => usize::from(length),
            Marker::Array16 => self.length16()?,
            Marker::Array32 => self.length32()?,
            _ => return Ok(None),
        }))
    }

    fn mapping_length(&mut self, marker: Marker) -> Result<Option<usize>, CodecError> {
        Ok(Some(match marker {
            Marker::FixMap(length) => usize::from(length),
            Marker::Map16 => self.length16()?,
            Marker::Map32 => self.length32()?,
            _ => return Ok(None),
        }))
    }

    fn text_length(&mut self, marker: Marker) -> Result<Option<usize>, CodecError> {
        Ok(Some(match marker {
            Marker::FixStr(length) => usize::from(length),
            Marker::Str8 | Marker::Bin8 => self.length8()?,
            Marker::Str16 | Marker::Bin16 => self.length16()?,
            Marker::Str32 | Marker::Bin32 => self.length32()?,
            _ => return Ok(None),
        }))
    }

    fn extension_length(&mut self, marker: Marker) -> Result<Option<usize>, CodecError> {
        Ok(Some(match marker {
            Marker::FixExt1 => 1,
            Marker::FixExt2 => 2,
            Marker::FixExt4 => 4,
            Marker::FixExt8 => 8,
            Marker::FixExt16 => 16,
            Marker::Ext8 => self.length8()?,
            Marker::Ext16 => self.length16()?,
            Marker::Ext32 => self.length32()?,
            _ => return Ok(None),
        }))
    }

    fn length8(&mut self) -> Result<usize, CodecError> {
        Ok(usize::from(u8::from_be_bytes(self.array()?)))
    }

    fn length16(&mut self) -> Result<usize, CodecError> {
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    fn length32(&mut self) -> Result<usize, CodecError> {
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| truncated())
    }

    fn marker(&mut self) -> Result<Marker, CodecError> {
        let [byte] = self.array()?;
        Ok(Marker::from_u8(byte))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(head)
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, CodecError> {
    std::str::from_utf8(bytes).map_err(|_| CodecError::new("text in UTF-8 is required"))
}

fn wrong(ty: &Type) -> CodecError {
    CodecError::new(format!("{} is required", a_value(ty)))
}

fn truncated() -> CodecError {
    CodecError::new("the value ends too early")
}

fn write_value(out: &mut Vec<u8>, value: &Dynamic, ty: &Type) -> Result<(), CodecError> {
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

#[cfg(test)]
mod tests {
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
