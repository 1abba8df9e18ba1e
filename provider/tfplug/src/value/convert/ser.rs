//! Our serde format, writing: a model becomes a [`Dynamic`] of a given type.

use std::collections::BTreeMap;

use serde::ser::{
    Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple,
    SerializeTupleStruct, Serializer,
};

use super::super::conform::{a_value, require_attributes, require_length};
use super::super::order::normalize_set;
use super::super::{Dynamic, Number, Step, Type};
use super::{ConvertError, carry};

/// Serializes to a value of this type.
#[derive(Clone, Copy)]
pub(super) struct ToDynamic<'t>(pub(super) &'t Type);

impl ToDynamic<'_> {
    /// `value`, where it is of the type; at a place of dynamic type it brings its own.
    fn done(self, value: Dynamic) -> Result<Dynamic, ConvertError> {
        match (self.0, value) {
            (Type::Dynamic, value @ (Dynamic::Typed(..) | Dynamic::Null | Dynamic::Unknown(_))) => {
                value.conforms_to(self.0)?;
                Ok(value)
            }
            (Type::Dynamic, value) => {
                let own = value.inferred_type();
                Ok(Dynamic::Typed(Box::new(own), Box::new(value)))
            }
            (ty, value) => {
                value.conforms_to(ty)?;
                Ok(value)
            }
        }
    }

    fn number(self, number: impl Into<Number>) -> Result<Dynamic, ConvertError> {
        self.done(Dynamic::Number(number.into()))
    }

    fn wrong<T>(self, found: &str) -> Result<T, ConvertError> {
        Err(ConvertError::new(format!(
            "{} is required, found {found}",
            a_value(self.0)
        )))
    }
}

impl<'t> Serializer for ToDynamic<'t> {
    type Ok = Dynamic;
    type Error = ConvertError;
    type SerializeSeq = Sequence<'t>;
    type SerializeTuple = Sequence<'t>;
    type SerializeTupleStruct = Sequence<'t>;
    type SerializeTupleVariant = Impossible<Dynamic, ConvertError>;
    type SerializeMap = Mapping<'t>;
    type SerializeStruct = Mapping<'t>;
    type SerializeStructVariant = Impossible<Dynamic, ConvertError>;

    fn serialize_bool(self, value: bool) -> Result<Dynamic, ConvertError> {
        self.done(Dynamic::Bool(value))
    }

    fn serialize_i8(self, value: i8) -> Result<Dynamic, ConvertError> {
        self.number(i64::from(value))
    }

    fn serialize_i16(self, value: i16) -> Result<Dynamic, ConvertError> {
        self.number(i64::from(value))
    }

    fn serialize_i32(self, value: i32) -> Result<Dynamic, ConvertError> {
        self.number(i64::from(value))
    }

    fn serialize_i64(self, value: i64) -> Result<Dynamic, ConvertError> {
        self.number(value)
    }

    fn serialize_u8(self, value: u8) -> Result<Dynamic, ConvertError> {
        self.number(i64::from(value))
    }

    fn serialize_u16(self, value: u16) -> Result<Dynamic, ConvertError> {
        self.number(i64::from(value))
    }

    fn serialize_u32(self, value: u32) -> Result<Dynamic, ConvertError> {
        self.number(i64::from(value))
    }

    fn serialize_u64(self, value: u64) -> Result<Dynamic, ConvertError> {
        self.number(value)
    }

    fn serialize_f32(self, value: f32) -> Result<Dynamic, ConvertError> {
        // By its text: 0.1_f32 is 0.1, not the nearest f32 with the digits of an f64.
        let number: Number = value
            .to_string()
            .parse()
            .map_err(|_| ConvertError::new("a finite number is required"))?;
        self.number(number)
    }

    fn serialize_f64(self, value: f64) -> Result<Dynamic, ConvertError> {
        let number =
            Number::try_from(value).map_err(|error| ConvertError::new(error.to_string()))?;
        self.number(number)
    }

    fn serialize_char(self, value: char) -> Result<Dynamic, ConvertError> {
        self.done(Dynamic::String(value.to_string()))
    }

    fn serialize_str(self, value: &str) -> Result<Dynamic, ConvertError> {
        self.done(Dynamic::from(value))
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<Dynamic, ConvertError> {
        self.wrong("bytes")
    }

    fn serialize_none(self) -> Result<Dynamic, ConvertError> {
        Ok(Dynamic::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Dynamic, ConvertError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Dynamic, ConvertError> {
        Ok(Dynamic::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Dynamic, ConvertError> {
        Ok(Dynamic::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Dynamic, ConvertError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Dynamic, ConvertError> {
        if name != carry::WHOLE {
            return value.serialize(self);
        }
        carry::open();
        let ordinary = value.serialize(self);
        match carry::take() {
            Some(Dynamic::Set(mut elements)) => {
                normalize_set(&mut elements);
                self.done(Dynamic::Set(elements))
            }
            Some(whole) => self.done(whole),
            None => ordinary,
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Dynamic, ConvertError> {
        self.wrong("an enum variant with content")
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Sequence<'t>, ConvertError> {
        match self.0 {
            Type::List(_) | Type::Set(_) | Type::Tuple(_) | Type::Dynamic => Ok(Sequence {
                ty: self.0,
                values: Vec::with_capacity(length.unwrap_or(0)),
            }),
            _ => self.wrong("a list"),
        }
    }

    fn serialize_tuple(self, length: usize) -> Result<Sequence<'t>, ConvertError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        length: usize,
    ) -> Result<Sequence<'t>, ConvertError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, ConvertError> {
        self.wrong("an enum variant with content")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Mapping<'t>, ConvertError> {
        match self.0 {
            Type::Map(_) | Type::Object(_) | Type::Dynamic => Ok(Mapping {
                ty: self.0,
                values: BTreeMap::new(),
                key: String::new(),
            }),
            _ => self.wrong("an object"),
        }
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Mapping<'t>, ConvertError> {
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, ConvertError> {
        self.wrong("an enum variant with content")
    }
}

pub(super) struct Sequence<'t> {
    ty: &'t Type,
    values: Vec<Dynamic>,
}

impl Sequence<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ConvertError> {
        let index = self.values.len();
        let element = match self.ty {
            Type::List(element) | Type::Set(element) => element,
            Type::Tuple(elements) => match elements.get(index) {
                Some(element) => element,
                None => {
                    return Err(require_length(elements.len(), index + 1).err().map_or_else(
                        || ConvertError::new("a shorter tuple is required"),
                        ConvertError::from,
                    ));
                }
            },
            _ => &Type::Dynamic,
        };
        let step = || Step::Index(i64::try_from(index).unwrap_or(i64::MAX));
        let value = value
            .serialize(ToDynamic(element))
            .map_err(|error| error.under(step()))?;
        self.values.push(value);
        Ok(())
    }

    fn finish(mut self) -> Result<Dynamic, ConvertError> {
        match self.ty {
            Type::List(_) => Ok(Dynamic::List(self.values)),
            Type::Set(_) => {
                normalize_set(&mut self.values);
                Ok(Dynamic::Set(self.values))
            }
            Type::Tuple(elements) => {
                require_length(elements.len(), self.values.len())?;
                Ok(Dynamic::Tuple(self.values))
            }
            _ => ToDynamic(self.ty).done(Dynamic::Tuple(bare(self.values))),
        }
    }
}

/// The elements of an inferred type stand in places of their own type, not of dynamic type.
fn bare(values: Vec<Dynamic>) -> Vec<Dynamic> {
    values.into_iter().map(without_type).collect()
}

fn without_type(value: Dynamic) -> Dynamic {
    match value {
        Dynamic::Typed(_, value) => *value,
        other => other,
    }
}

impl SerializeSeq for Sequence<'_> {
    type Ok = Dynamic;
    type Error = ConvertError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ConvertError> {
        self.push(value)
    }

    fn end(self) -> Result<Dynamic, ConvertError> {
        self.finish()
    }
}

impl SerializeTuple for Sequence<'_> {
    type Ok = Dynamic;
    type Error = ConvertError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ConvertError> {
        self.push(value)
    }

    fn end(self) -> Result<Dynamic, ConvertError> {
        self.finish()
    }
}

impl SerializeTupleStruct for Sequence<'_> {
    type Ok = Dynamic;
    type Error = ConvertError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ConvertError> {
        self.push(value)
    }

    fn end(self) -> Result<Dynamic, ConvertError> {
        self.finish()
    }
}

pub(super) struct Mapping<'t> {
    ty: &'t Type,
    values: BTreeMap<String, Dynamic>,
    /// The key whose value comes next.
    key: String,
}

impl Mapping<'_> {
    fn insert<T: Serialize + ?Sized>(
        &mut self,
        name: String,
        value: &T,
    ) -> Result<(), ConvertError> {
        let (element, step): (_, fn(String) -> Step) = match self.ty {
            Type::Map(element) => (element.as_ref(), Step::Key),
            // One too many is found at the end, with the whole picture.
            Type::Object(attributes) => (
                attributes.get(&name).unwrap_or(&Type::Dynamic),
                Step::Attribute,
            ),
            _ => (&Type::Dynamic, Step::Attribute),
        };
        match value.serialize(ToDynamic(element)) {
            Ok(value) => {
                self.values.insert(name, value);
                Ok(())
            }
            Err(error) => Err(error.under(step(name))),
        }
    }

    fn finish(self) -> Result<Dynamic, ConvertError> {
        match self.ty {
            Type::Map(_) => Ok(Dynamic::Map(self.values)),
            Type::Object(attributes) => {
                require_attributes(attributes, &self.values)?;
                Ok(Dynamic::Object(self.values))
            }
            ty => {
                let values = self
                    .values
                    .into_iter()
                    .map(|(name, value)| (name, without_type(value)));
                ToDynamic(ty).done(Dynamic::Object(values.collect()))
            }
        }
    }
}

impl SerializeMap for Mapping<'_> {
    type Ok = Dynamic;
    type Error = ConvertError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ConvertError> {
        match key.serialize(ToDynamic(&Type::String))? {
            Dynamic::String(key) => {
                self.key = key;
                Ok(())
            }
            other => Err(ConvertError::new(format!(
                "a key is a string, found {}",
                other.kind()
            ))),
        }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ConvertError> {
        let key = std::mem::take(&mut self.key);
        self.insert(key, value)
    }

    fn end(self) -> Result<Dynamic, ConvertError> {
        self.finish()
    }
}

impl SerializeStruct for Mapping<'_> {
    type Ok = Dynamic;
    type Error = ConvertError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ConvertError> {
        self.insert(name.to_owned(), value)
    }

    fn end(self) -> Result<Dynamic, ConvertError> {
        self.finish()
    }
}
