//! serde for [`Value`], [`Dynamic`] and [`Number`]: whole in our own format, ordinary in others.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{self, Serialize, Serializer};

use super::super::{Dynamic, Number, Refinement, Value};
use super::carry;

impl<T: Serialize> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(value) => value.serialize(serializer),
            Self::Null => serializer.serialize_none(),
            Self::Unknown(refinement) => {
                serializer.serialize_newtype_struct(carry::WHOLE, &Carried::Unknown(refinement))
            }
        }
    }
}

impl Serialize for Dynamic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(carry::WHOLE, &Carried::Whole(self))
    }
}

/// In ordinary formats an integer of 64 bits is a number, any other is its decimal text.
impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(carry::WHOLE, &Carried::Number(self))
    }
}

enum Carried<'a> {
    Whole(&'a Dynamic),
    Number(&'a Number),
    Unknown(&'a Refinement),
}

impl Serialize for Carried<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let carried = carry::put(|| match *self {
            Self::Whole(value) => value.clone(),
            Self::Number(number) => Dynamic::Number(number.clone()),
            Self::Unknown(refinement) => Dynamic::Unknown(refinement.clone()),
        });
        if carried {
            return serializer.serialize_unit();
        }
        match *self {
            Self::Whole(value) => serialize_ordinary(value, serializer),
            Self::Number(number) => match number.to_i64() {
                Some(int) => serializer.serialize_i64(int),
                None => serializer.collect_str(number),
            },
            Self::Unknown(_) => Err(unknown()),
        }
    }
}

fn serialize_ordinary<S: Serializer>(value: &Dynamic, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Dynamic::Null => serializer.serialize_none(),
        Dynamic::Unknown(_) => Err(unknown()),
        Dynamic::Bool(value) => serializer.serialize_bool(*value),
        Dynamic::Number(number) => match (number.to_i64(), number.to_f64()) {
            (Some(int), _) => serializer.serialize_i64(int),
            (None, Some(float)) => serializer.serialize_f64(float),
            (None, None) => serializer.collect_str(number),
        },
        Dynamic::String(text) => serializer.serialize_str(text),
        Dynamic::List(values) | Dynamic::Set(values) | Dynamic::Tuple(values) => {
            serializer.collect_seq(values)
        }
        Dynamic::Map(values) | Dynamic::Object(values) => serializer.collect_map(values),
        Dynamic::Typed(_, value) => serialize_ordinary(value, serializer),
    }
}

fn unknown<E: ser::Error>() -> E {
    E::custom("a value that is not known yet cannot be written")
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(carry::FIELD, FieldVisitor(PhantomData))
    }
}

struct FieldVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FieldVisitor<T> {
    type Value = Value<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, null or unknown")
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    /// Null, unless our format left an unknown.
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        match carry::take() {
            Some(Dynamic::Unknown(refinement)) => Ok(Value::Unknown(refinement)),
            _ => Ok(Value::Null),
        }
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        Option::<T>::deserialize(inner).map(Value::from)
    }
}

impl<'de> Deserialize<'de> for Dynamic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(carry::WHOLE, WholeVisitor)
    }
}

struct WholeVisitor;

impl<'de> Visitor<'de> for WholeVisitor {
    type Value = Dynamic;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Dynamic, E> {
        Ok(carry::take().unwrap_or(Dynamic::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Dynamic, E> {
        Ok(Dynamic::Null)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Dynamic, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Dynamic, E> {
        Ok(Dynamic::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Dynamic, E> {
        Ok(Dynamic::Number(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Dynamic, E> {
        Ok(Dynamic::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Dynamic, E> {
        Number::try_from(value)
            .map(Dynamic::Number)
            .map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Dynamic, E> {
        Ok(Dynamic::from(value))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Dynamic, E> {
        Ok(Dynamic::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Dynamic, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element()? {
            values.push(value);
        }
        Ok(Dynamic::Tuple(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Dynamic, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry()? {
            values.insert(name, value);
        }
        Ok(Dynamic::Object(values))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Dynamic::deserialize(deserializer)? {
            Dynamic::Number(number) => Ok(number),
            Dynamic::String(text) => text.parse().map_err(de::Error::custom),
            other => Err(de::Error::custom(format!(
                "a number is required, found {}",
                other.kind()
            ))),
        }
    }
}
