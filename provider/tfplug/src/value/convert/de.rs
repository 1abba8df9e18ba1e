//! Our serde format, reading: a [`Dynamic`] is taken apart into a model.

use std::{collections::btree_map, vec};

use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::super::{Dynamic, Number, Step};
use super::{ConvertError, carry};

/// Deserializes by moving out of the value: text is not copied.
pub(super) struct FromDynamic(pub(super) Dynamic);

impl FromDynamic {
    fn number(self) -> Result<Number, Self> {
        match self.0 {
            Dynamic::Number(number) => Ok(number),
            Dynamic::Typed(_, value) => FromDynamic(*value).number(),
            other => Err(FromDynamic(other)),
        }
    }
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
            let number = match self.number() {
                Ok(number) => number,
                Err(other) => return other.deserialize_any(visitor),
            };
            match (number.to_i64(), number.to_u64()) {
                (Some(int), _) => visitor.visit_i64(int),
                (None, Some(int)) => visitor.visit_u64(int),
                (None, None) => {
                    Err(ConvertError::new("a whole number of at most 64 bits is required"))
                }
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for FromDynamic {
    type Error = ConvertError;

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.0 {
            Dynamic::Null => Err(ConvertError::new("a value that is not null is required")),
            Dynamic::Unknown(_) => Err(ConvertError::new("a value that is known now is required")),
            Dynamic::Bool(value) => visitor.visit_bool(value),
            Dynamic::Number(number) => match (number.to_i64(), number.to_u64(), number.to_f64()) {
                (Some(int), ..) => visitor.visit_i64(int),
                (None, Some(int), _) => visitor.visit_u64(int),
                (None, None, Some(float)) => visitor.visit_f64(float),
                (None, None, None) => Err(lossy()),
            },
            Dynamic::String(text) => visitor.visit_string(text),
            Dynamic::List(values) | Dynamic::Set(values) | Dynamic::Tuple(values) => visitor
                .visit_seq(Elements {
                    values: values.into_iter(),
                    index: 0,
                }),
            Dynamic::Map(values) => visitor.visit_map(Entries::new(values, Step::Key)),
            Dynamic::Object(values) => visitor.visit_map(Entries::new(values, Step::Attribute)),
            Dynamic::Typed(_, value) => FromDynamic(*value).deserialize_any(visitor),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.number() {
            Ok(number) => visitor.visit_f64(number.to_f64().ok_or_else(lossy)?),
            Err(other) => other.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConvertError> {
        match self.0 {
            Dynamic::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ConvertError> {
        match (name, self.0) {
            (carry::FIELD, Dynamic::Null) => visitor.visit_none(),
            (carry::FIELD, unknown @ Dynamic::Unknown(_)) | (carry::WHOLE, unknown) => {
                carry::leave(unknown);
                let visited = visitor.visit_unit();
                // A visitor that is not ours would leave it behind.
                carry::take();
                visited
            }
            (_, value) => visitor.visit_newtype_struct(FromDynamic(value)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConvertError> {
        match self.0 {
            Dynamic::String(text) => visitor.visit_enum(Word(text)),
            Dynamic::Typed(_, value) => {
                FromDynamic(*value).deserialize_enum(name, variants, visitor)
            }
            Dynamic::Null | Dynamic::Unknown(_) => self.deserialize_any(visitor),
            other => Err(ConvertError::new(format!(
                "a string is required, found {}",
                other.kind()
            ))),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(
        self,
        visitor: V,
    ) -> Result<V::Value, ConvertError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier
    }
}

fn lossy() -> ConvertError {
    ConvertError::new(
        "a number that a 64-bit float holds without loss is required; give fewer digits",
    )
}

struct Elements {
    values: vec::IntoIter<Dynamic>,
    index: i64,
}

impl<'de> SeqAccess<'de> for Elements {
    type Error = ConvertError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ConvertError> {
        let Some(value) = self.values.next() else {
            return Ok(None);
        };
        let step = Step::Index(self.index);
        self.index += 1;
        seed.deserialize(FromDynamic(value))
            .map(Some)
            .map_err(|error| error.under(step))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.values.len())
    }
}

struct Entries {
    values: btree_map::IntoIter<String, Dynamic>,
    pending: Option<(String, Dynamic)>,
    step: fn(String) -> Step,
}

impl Entries {
    fn new(values: std::collections::BTreeMap<String, Dynamic>, step: fn(String) -> Step) -> Self {
        Self {
            values: values.into_iter(),
            pending: None,
            step,
        }
    }
}

impl<'de> MapAccess<'de> for Entries {
    type Error = ConvertError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ConvertError> {
        let Some(entry) = self.values.next() else {
            return Ok(None);
        };
        let (name, _) = self.pending.insert(entry);
        seed.deserialize(name.as_str().into_deserializer())
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, ConvertError> {
        let (name, value) = self
            .pending
            .take()
            .ok_or_else(|| ConvertError::new("a value was read before its key"))?;
        seed.deserialize(FromDynamic(value))
            .map_err(|error| error.under((self.step)(name)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.values.len())
    }
}

/// A string as a unit variant of an enum.
struct Word(String);

impl<'de> EnumAccess<'de> for Word {
    type Error = ConvertError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self), ConvertError> {
        let text: StringDeserializer<ConvertError> = self.0.into_deserializer();
        Ok((seed.deserialize(text)?, Self(String::new())))
    }
}

impl<'de> VariantAccess<'de> for Word {
    type Error = ConvertError;

    fn unit_variant(self) -> Result<(), ConvertError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, ConvertError> {
        Err(not_a_word())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, ConvertError> {
        Err(not_a_word())
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, ConvertError> {
        Err(not_a_word())
    }
}

fn not_a_word() -> ConvertError {
    ConvertError::new("the model's enum has a variant with content; Terraform has only words")
}
