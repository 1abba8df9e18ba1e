//! Between [`Dynamic`] and model structs: a serde format of our own, in which null and unknown
//! survive at any depth.
//!
//! A model is a plain struct that derives `Serialize` and `Deserialize`, each field a
//! [`Value<T>`](super::Value) with `T` = `String`, `bool`, an integer, `f64`, [`Number`](super::Number),
//! [`Dynamic`], an enum of strings, another such struct, `Vec<Value<_>>` or
//! `BTreeMap<String, Value<_>>`.

mod carry;
mod de;
mod impls;
mod ser;

use serde::{Serialize, de::DeserializeOwned};

use super::{Dynamic, Path, Step, Type};

/// A value as a model.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tfplug::value::{Dynamic, Type, Value, from_dynamic, to_dynamic};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Note {
///     text: Value<String>,
///     id: Value<String>,
/// }
/// let ty = Type::object([("text", Type::String), ("id", Type::String)]);
/// let note = Note { text: Value::from("hello"), id: Value::unknown_with("note-") };
/// let value = to_dynamic(&note, &ty).expect("the struct is of the type");
/// assert!(value.attribute("id").is_some_and(Dynamic::is_unknown));
/// assert_eq!(from_dynamic::<Note>(value), Ok(note));
/// ```
pub fn from_dynamic<M: DeserializeOwned>(value: Dynamic) -> Result<M, ConvertError> {
    M::deserialize(de::FromDynamic(value))
}

/// A model as a value of `ty`.
///
/// Fails where struct and type disagree: a missing attribute, one too many, another type.
pub fn to_dynamic<M: Serialize + ?Sized>(model: &M, ty: &Type) -> Result<Dynamic, ConvertError> {
    model.serialize(ser::ToDynamic(ty))
}

/// Why a value and a model do not fit each other.
///
/// Never carries the offending value: values may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", path.as_prefix())]
pub struct ConvertError {
    /// Where in the value.
    pub path: Path,
    /// What was required and what was found.
    pub message: String,
}

impl ConvertError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            path: Path::root(),
            message: message.into(),
        }
    }

    fn under(mut self, step: Step) -> Self {
        self.path.prepend(step);
        self
    }
}

impl From<super::CodecError> for ConvertError {
    fn from(error: super::CodecError) -> Self {
        Self {
            path: error.path,
            message: error.message,
        }
    }
}

impl serde::ser::Error for ConvertError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

impl serde::de::Error for ConvertError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    // The default names the value itself; a value may be secret.
    fn invalid_type(found: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::new(format!("{expected} is required, found {}", kind(found)))
    }

    fn invalid_value(found: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::new(format!(
            "{expected} is required, found another {}",
            kind(found)
        ))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("one of {} is required", expected.join(", ")))
    }
}

fn kind(found: serde::de::Unexpected<'_>) -> &'static str {
    use serde::de::Unexpected;
    match found {
        Unexpected::Bool(_) => "bool",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "number",
        Unexpected::Char(_) | Unexpected::Str(_) => "string",
        Unexpected::Option | Unexpected::Unit => "null",
        Unexpected::Seq => "list",
        Unexpected::Map | Unexpected::StructVariant => "object",
        _ => "value",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::super::{Number, Refinement, Value};
    use super::*;

    #[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
    struct Everything {
        text: Value<String>,
        flag: Value<bool>,
        count: Value<i64>,
        small: Value<u16>,
        ratio: Value<f64>,
        exact: Value<Number>,
        any: Value<Dynamic>,
        level: Value<Level>,
        nested: Value<Nested>,
        list: Value<Vec<Value<Nested>>>,
        set: Value<Vec<Value<String>>>,
        map: Value<BTreeMap<String, Value<f64>>>,
        pair: Value<(Value<bool>, Value<String>)>,
        open: Value<BTreeMap<String, Value<String>>>,
    }

    #[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
    struct Nested {
        name: Value<String>,
        size: Value<i64>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Level {
        Low,
        VeryHigh,
    }

    fn ty() -> Type {
        let nested = Type::object([("name", Type::String), ("size", Type::Number)]);
        Type::object([
            ("text", Type::String),
            ("flag", Type::Bool),
            ("count", Type::Number),
            ("small", Type::Number),
            ("ratio", Type::Number),
            ("exact", Type::Number),
            ("any", Type::Dynamic),
            ("level", Type::String),
            ("nested", nested.clone()),
            ("list", Type::list(nested)),
            ("set", Type::set(Type::String)),
            ("map", Type::map(Type::Number)),
            ("pair", Type::Tuple(vec![Type::Bool, Type::String])),
            (
                "open",
                Type::object([("a", Type::String), ("b", Type::String)]),
            ),
        ])
    }

    fn everything() -> Everything {
        let unknown_length = Refinement::default().with_min_length(1);
        Everything {
            text: Value::from("t"),
            flag: Value::from(true),
            count: Value::from(-7),
            small: Value::from(7),
            ratio: Value::from(0.1),
            exact: Value::from("1e200".parse::<Number>().expect("a number")),
            any: Value::from(Dynamic::Typed(
                Box::new(Type::set(Type::Bool)),
                Box::new(Dynamic::Set(vec![Dynamic::from(true)])),
            )),
            level: Value::from(Level::VeryHigh),
            nested: Value::from(Nested {
                name: Value::Null,
                size: Value::unknown(),
            }),
            list: Value::from(vec![
                Value::unknown(),
                Value::Null,
                Value::from(Nested::default()),
            ]),
            set: Value::from(vec![Value::from("b"), Value::from("a")]),
            map: Value::from(BTreeMap::from([
                ("x".to_owned(), Value::from(1.5)),
                (
                    "y".to_owned(),
                    Value::Unknown(Refinement::default().with_not_null()),
                ),
            ])),
            pair: Value::from((Value::from(false), Value::unknown_with("p"))),
            open: Value::Unknown(unknown_length),
        }
    }

    #[test]
    fn null_and_unknown_survive_at_any_depth() {
        let value = to_dynamic(&everything(), &ty()).expect("it is of the type");
        value.conforms_to(&ty()).expect("it is of the type");
        assert_eq!(
            value.get(&Path::from("nested.size")),
            Some(&Dynamic::unknown()),
            "unknown in an object"
        );
        let back: Everything = from_dynamic(value).expect("it fits the struct");
        let mut expected = everything();
        expected.set = Value::from(vec![Value::from("a"), Value::from("b")]);
        assert_eq!(back, expected);
    }

    #[test]
    fn an_empty_model_is_all_null() {
        let value = to_dynamic(&Everything::default(), &ty()).expect("it is of the type");
        let attributes = value.as_mapping().expect("an object");
        assert!(attributes.values().all(Dynamic::is_null));
        assert_eq!(from_dynamic(value), Ok(Everything::default()));
    }

    #[test]
    fn a_model_that_is_unknown_as_a_whole() {
        let value = to_dynamic(&Value::<Nested>::unknown(), &ty()).expect("fits any type");
        assert_eq!(from_dynamic::<Value<Nested>>(value), Ok(Value::unknown()));
    }

    #[track_caller]
    fn refuses<M: DeserializeOwned + std::fmt::Debug>(value: Dynamic, message: &str) {
        let error = from_dynamic::<M>(value).expect_err("it must not fit");
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn says_where_a_value_does_not_fit() {
        let nested = |size| Dynamic::object([("name", Dynamic::Null), ("size", size)]);
        refuses::<Vec<Value<Nested>>>(
            Dynamic::List(vec![nested(Dynamic::Null), nested(Dynamic::from("secret"))]),
            "[1].size: i64 is required, found string",
        );
        refuses::<BTreeMap<String, Value<u16>>>(
            Dynamic::Map([("k".to_owned(), Dynamic::from(70_000))].into()),
            "[\"k\"]: u16 is required, found another number",
        );
        refuses::<Value<Level>>(Dynamic::from("secret"), "one of low, very_high is required");
        refuses::<Nested>(
            Dynamic::object([("name", Dynamic::Null)]),
            "missing field `size`",
        );
        refuses::<Value<i64>>(
            Dynamic::Number("1.5".parse().expect("a number")),
            "a whole number of at most 64 bits is required",
        );
        refuses::<Value<f64>>(
            Dynamic::Number("0.12345678901234567890123".parse().expect("a number")),
            "a number that a 64-bit float holds without loss is required; give fewer digits",
        );
        refuses::<Nested>(Dynamic::unknown(), "a value that is known now is required");
        refuses::<String>(Dynamic::Null, "a value that is not null is required");
    }

    #[test]
    fn says_where_a_model_does_not_fit() {
        let wrong = Type::object([("name", Type::String), ("size", Type::String)]);
        let model = Nested {
            name: Value::Null,
            size: Value::from(1),
        };
        let error = |ty: &Type| {
            to_dynamic(&model, ty)
                .expect_err("it must not fit")
                .to_string()
        };
        assert_eq!(error(&wrong), "size: a string is required, found a number");
        assert_eq!(
            error(&Type::object([("name", Type::String)])),
            "an object with 1 attributes is required (2 given): there is no \"size\""
        );
        assert_eq!(error(&Type::Bool), "a bool is required, found an object");
        assert!(to_dynamic(&Value::from(f64::NAN), &Type::Number).is_err());
    }

    #[test]
    fn a_place_of_dynamic_type_infers_it() {
        let model = Value::from(Nested {
            name: Value::from("a"),
            size: Value::Null,
        });
        let value = to_dynamic(&model, &Type::Dynamic).expect("anything fits");
        let own = Type::object([("name", Type::String), ("size", Type::Dynamic)]);
        assert!(
            matches!(&value, Dynamic::Typed(ty, _) if **ty == own),
            "{value:?}"
        );
        assert_eq!(from_dynamic(value), Ok(model));
    }

    #[test]
    fn ordinary_formats_see_values_and_nulls_but_never_unknowns() {
        let nested = Nested {
            name: Value::Null,
            size: Value::from(3),
        };
        let json = serde_json::to_string(&nested).expect("JSON");
        assert_eq!(json, r#"{"name":null,"size":3}"#);
        assert_eq!(serde_json::from_str::<Nested>(&json).expect("JSON"), nested);

        let unknown = Nested {
            name: Value::unknown(),
            size: Value::Null,
        };
        let error = serde_json::to_string(&unknown).expect_err("JSON has no unknown");
        assert!(error.to_string().contains("not known yet"), "{error}");

        let any: Dynamic = serde_json::from_str(r#"{"a":[1,"x",0.5,null,true]}"#).expect("JSON");
        assert_eq!(any.to_string(), r#"{ a = [1, "x", 0.5, null, true] }"#);
        assert_eq!(
            serde_json::to_string(&any).expect("JSON"),
            r#"{"a":[1,"x",0.5,null,true]}"#
        );
        let number: Number = serde_json::from_str("\"1e30\"").expect("JSON");
        assert_eq!(
            serde_json::to_string(&number).expect("JSON"),
            format!("\"1{}\"", "0".repeat(30))
        );
    }
}
