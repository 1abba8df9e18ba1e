//! The pieces that values are made of: markers, lengths, numbers and text.

use rmp::Marker;

use super::super::conform::a_value;
use super::super::{CodecError, Number, Type};

/// Bytes that are not read yet.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
    /// Levels of nesting around them.
    pub(super) depth: u32,
}
impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            depth: 0,
        }
    }

    pub(super) fn number(&mut self, marker: Marker) -> Result<Number, CodecError> {
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

    pub(super) fn key(&mut self) -> Result<&'a str, CodecError> {
        let marker = self.marker()?;
        self.text(marker)
    }

    pub(super) fn text(&mut self, marker: Marker) -> Result<&'a str, CodecError> {
        utf8(self.bytes(marker)?)
    }

    /// Text, or bytes: Go's decoder does not tell them apart either.
    pub(super) fn bytes(&mut self, marker: Marker) -> Result<&'a [u8], CodecError> {
        match self.text_length(marker)? {
            Some(length) => self.take(length),
            None => Err(wrong(&Type::String)),
        }
    }

    /// Read and forget one item of any kind.
    pub(super) fn skip(&mut self) -> Result<(), CodecError> {
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

    pub(super) fn array_length(&mut self, marker: Marker, ty: &Type) -> Result<usize, CodecError> {
        let length = self.sequence_length(marker)?.ok_or_else(|| wrong(ty))?;
        self.require(length)
    }

    pub(super) fn map_length(&mut self, marker: Marker, ty: &Type) -> Result<usize, CodecError> {
        let length = self.mapping_length(marker)?.ok_or_else(|| wrong(ty))?;
        self.require(length.saturating_mul(2))?;
        Ok(length)
    }

    /// Each item takes at least a byte, so a length beyond the bytes that are left is a lie.
    pub(super) fn require(&self, items: usize) -> Result<usize, CodecError> {
        if items > self.rest.len() {
            Err(truncated())
        } else {
            Ok(items)
        }
    }

    pub(super) fn sequence_length(&mut self, marker: Marker) -> Result<Option<usize>, CodecError> {
        Ok(Some(match marker {
            Marker::FixArray(length) => usize::from(length),
            Marker::Array16 => self.length16()?,
            Marker::Array32 => self.length32()?,
            _ => return Ok(None),
        }))
    }

    pub(super) fn mapping_length(&mut self, marker: Marker) -> Result<Option<usize>, CodecError> {
        Ok(Some(match marker {
            Marker::FixMap(length) => usize::from(length),
            Marker::Map16 => self.length16()?,
            Marker::Map32 => self.length32()?,
            _ => return Ok(None),
        }))
    }

    pub(super) fn text_length(&mut self, marker: Marker) -> Result<Option<usize>, CodecError> {
        Ok(Some(match marker {
            Marker::FixStr(length) => usize::from(length),
            Marker::Str8 | Marker::Bin8 => self.length8()?,
            Marker::Str16 | Marker::Bin16 => self.length16()?,
            Marker::Str32 | Marker::Bin32 => self.length32()?,
            _ => return Ok(None),
        }))
    }

    pub(super) fn extension_length(&mut self, marker: Marker) -> Result<Option<usize>, CodecError> {
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

    pub(super) fn length8(&mut self) -> Result<usize, CodecError> {
        Ok(usize::from(u8::from_be_bytes(self.array()?)))
    }

    pub(super) fn length16(&mut self) -> Result<usize, CodecError> {
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    pub(super) fn length32(&mut self) -> Result<usize, CodecError> {
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| truncated())
    }

    pub(super) fn marker(&mut self) -> Result<Marker, CodecError> {
        let [byte] = self.array()?;
        Ok(Marker::from_u8(byte))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(head)
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, CodecError> {
    std::str::from_utf8(bytes).map_err(|_| CodecError::new("text in UTF-8 is required"))
}

pub(super) fn wrong(ty: &Type) -> CodecError {
    CodecError::new(format!("{} is required", a_value(ty)))
}

fn truncated() -> CodecError {
    CodecError::new("the value ends too early")
}
