//! Terraform's types, and their two notations: JSON for the wire, text for people.

use std::{collections::BTreeMap, fmt};

use serde_json::Value as Json;

/// A type of Terraform's value system.
///
/// ```
/// use tfplug::value::Type;
///
/// let ports = Type::List(Box::new(Type::Number));
/// assert_eq!(ports.to_json(), r#"["list","number"]"#);
/// assert_eq!(ports.to_string(), "list(number)");
/// assert_eq!(Type::from_json(br#"["list","number"]"#).as_ref(), Ok(&ports));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A decimal number of any size.
    Number,
    /// Unicode text.
    String,
    /// Of any type; a value brings its own with it.
    Dynamic,
    /// A sequence of elements of one type.
    List(Box<Type>),
    /// Different elements of one type, without order.
    Set(Box<Type>),
    /// Elements of one type, each under a string.
    Map(Box<Type>),
    /// A sequence of a fixed length, each element with a type of its own.
    Tuple(Vec<Type>),
    /// Named attributes, each with a type of its own.
    Object(BTreeMap<String, Type>),
}

/// Why some JSON is not a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a type in Terraform's JSON notation is required: {0}")]
pub struct TypeError(String);

impl Type {
    /// A list of elements of this type.
    pub fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    /// A set of elements of this type.
    pub fn set(element: Self) -> Self {
        Self::Set(Box::new(element))
    }

    /// A map with elements of this type.
    pub fn map(element: Self) -> Self {
        Self::Map(Box::new(element))
    }

    /// An object with these attributes.
    pub fn object<N: Into<String>>(attributes: impl IntoIterator<Item = (N, Self)>) -> Self {
        Self::Object(
            attributes
                .into_iter()
                .map(|(name, ty)| (name.into(), ty))
                .collect(),
        )
    }

    /// The JSON notation of the wire: `"string"`, `["list","string"]`,
    /// `["object",{"a":"bool"}]`.
    pub fn to_json(&self) -> String {
        self.as_json().to_string()
    }

    /// Read the JSON notation of the wire.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TypeError> {
        // serde_json refuses more than 128 levels, which bounds every recursion over a type.
        let json = serde_json::from_slice(bytes).map_err(|error| TypeError(error.to_string()))?;
        Self::of_json(&json)
    }

    /// Whether a value of this type can bring a part of its type with it.
    pub fn has_dynamic(&self) -> bool {
        match self {
            Self::Dynamic => true,
            Self::Bool | Self::Number | Self::String => false,
            Self::List(element) | Self::Set(element) | Self::Map(element) => element.has_dynamic(),
            Self::Tuple(elements) => elements.iter().any(Self::has_dynamic),
            Self::Object(attributes) => attributes.values().any(Self::has_dynamic),
        }
    }

    fn as_json(&self) -> Json {
        match self {
            Self::Bool => "bool".into(),
            Self::Number => "number".into(),
            Self::String => "string".into(),
            Self::Dynamic => "dynamic".into(),
            Self::List(element) => Json::Array(vec!["list".into(), element.as_json()]),
            Self::Set(element) => Json::Array(vec!["set".into(), element.as_json()]),
            Self::Map(element) => Json::Array(vec!["map".into(), element.as_json()]),
            Self::Tuple(elements) => {
                let elements = elements.iter().map(Self::as_json).collect();
                Json::Array(vec!["tuple".into(), Json::Array(elements)])
            }
            Self::Object(attributes) => {
                let attributes = attributes
                    .iter()
                    .map(|(name, ty)| (name.clone(), ty.as_json()))
                    .collect();
                Json::Array(vec!["object".into(), Json::Object(attributes)])
            }
        }
    }

    fn of_json(json: &Json) -> Result<Self, TypeError> {
        match json {
            Json::String(name) => match name.as_str() {
                "bool" => Ok(Self::Bool),
                "number" => Ok(Self::Number),
                "string" => Ok(Self::String),
                "dynamic" => Ok(Self::Dynamic),
                other => Err(TypeError(format!("there is no type {other:?}"))),
            },
            Json::Array(parts) => Self::of_json_parts(parts),
            _ => Err(TypeError("found neither a string nor an array".to_owned())),
        }
    }

    fn of_json_parts(parts: &[Json]) -> Result<Self, TypeError> {
        let [Json::String(kind), inner] = parts else {
            return Err(TypeError(
                "an array holds a kind and what it is made of".to_owned(),
            ));
        };
        match (kind.as_str(), inner) {
            ("list", element) => Ok(Self::list(Self::of_json(element)?)),
            ("set", element) => Ok(Self::set(Self::of_json(element)?)),
            ("map", element) => Ok(Self::map(Self::of_json(element)?)),
            ("tuple", Json::Array(elements)) => Ok(Self::Tuple(
                elements
                    .iter()
                    .map(Self::of_json)
                    .collect::<Result<_, _>>()?,
            )),
            ("object", Json::Object(attributes)) => {
                let attributes = attributes
                    .iter()
                    .map(|(name, ty)| Ok((name.clone(), Self::of_json(ty)?)))
                    .collect::<Result<_, _>>()?;
                Ok(Self::Object(attributes))
            }
            _ => Err(TypeError(format!(
                "there is no type of kind {kind:?} made like this"
            ))),
        }
    }
}

/// As written in a `variable` block: `list(string)`, `object({a=bool})`, `any`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Number => f.write_str("number"),
            Self::String => f.write_str("string"),
            Self::Dynamic => f.write_str("any"),
            Self::List(element) => write!(f, "list({element})"),
            Self::Set(element) => write!(f, "set({element})"),
            Self::Map(element) => write!(f, "map({element})"),
            Self::Tuple(elements) => {
                f.write_str("tuple([")?;
                for (position, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if position == 0 { "" } else { "," })?;
                }
                f.write_str("])")
            }
            Self::Object(attributes) => {
                f.write_str("object({")?;
                for (position, (name, ty)) in attributes.iter().enumerate() {
                    write!(f, "{}{name}={ty}", if position == 0 { "" } else { "," })?;
                }
                f.write_str("})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_of_a_nested_type() {
        let ty = Type::object([
            ("a", Type::Tuple(vec![Type::Bool, Type::Dynamic])),
            ("b", Type::map(Type::set(Type::String))),
        ]);
        let json = r#"["object",{"a":["tuple",["bool","dynamic"]],"b":["map",["set","string"]]}]"#;
        assert_eq!(ty.to_json(), json);
        assert_eq!(Type::from_json(json.as_bytes()), Ok(ty.clone()));
        assert_eq!(
            ty.to_string(),
            "object({a=tuple([bool,any]),b=map(set(string))})"
        );
        assert!(ty.has_dynamic());
    }

    #[test]
    fn refuses_what_is_not_a_type() {
        for json in [
            r#""text""#,
            "[]",
            "7",
            r#"["list"]"#,
            r#"["object",[]]"#,
            "{",
            "null",
        ] {
            assert!(Type::from_json(json.as_bytes()).is_err(), "{json}");
        }
        let deep = format!(
            "{}\"bool\"{}",
            r#"["list","#.repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(Type::from_json(deep.as_bytes()).is_err());
    }
}
