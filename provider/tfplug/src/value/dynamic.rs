//! A value of any type, null or unknown at any depth: what every part of the crate passes on.

use std::{collections::BTreeMap, fmt};

use super::{Number, Path, Refinement, Step, Type};

/// A value as Terraform sees it.
///
/// Equality is Terraform's: sets have no order, `1.0 == 1`, unknowns are equal where they promise
/// the same. The order ([`Ord`]) only serves to sort and to search; it has no other meaning.
///
/// ```
/// use tfplug::value::Dynamic;
///
/// let a = Dynamic::Set(vec![Dynamic::from("x"), Dynamic::from("y")]);
/// let b = Dynamic::Set(vec![Dynamic::from("y"), Dynamic::from("x")]);
/// assert_eq!(a, b);
/// ```
#[derive(Debug, Clone)]
pub enum Dynamic {
    /// Not set.
    Null,
    /// Decided only at apply.
    Unknown(Refinement),
    /// True or false.
    Bool(bool),
    /// A decimal number.
    Number(Number),
    /// Text.
    String(String),
    /// Elements of one type, in order.
    List(Vec<Dynamic>),
    /// Different elements of one type, without order.
    Set(Vec<Dynamic>),
    /// Elements of one type under strings.
    Map(BTreeMap<String, Dynamic>),
    /// Elements in order, each with a type of its own.
    Tuple(Vec<Dynamic>),
    /// Named attributes.
    Object(BTreeMap<String, Dynamic>),
    /// A value at a place of [`Type::Dynamic`], with the type that it brings. Null and unknown
    /// without a type of their own stand there bare.
    Typed(Box<Type>, Box<Dynamic>),
}

impl Dynamic {
    /// An unknown of which nothing is promised.
    pub fn unknown() -> Self {
        Self::Unknown(Refinement::default())
    }

    /// An object of these attributes.
    pub fn object<N: Into<String>>(attributes: impl IntoIterator<Item = (N, Self)>) -> Self {
        Self::Object(
            attributes
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }

    /// The value itself, without the type that it may bring.
    pub fn untyped(&self) -> &Self {
        match self {
            Self::Typed(_, value) => value.untyped(),
            other => other,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.untyped(), Self::Null)
    }

    /// Whether it is unknown itself; its parts may be while it is not.
    pub fn is_unknown(&self) -> bool {
        matches!(self.untyped(), Self::Unknown(_))
    }

    /// Whether there is no unknown at any depth.
    pub fn is_wholly_known(&self) -> bool {
        match self {
            Self::Unknown(_) => false,
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => true,
            Self::List(elements) | Self::Set(elements) | Self::Tuple(elements) => {
                elements.iter().all(Self::is_wholly_known)
            }
            Self::Map(elements) | Self::Object(elements) => {
                elements.values().all(Self::is_wholly_known)
            }
            Self::Typed(_, value) => value.is_wholly_known(),
        }
    }

    /// The boolean, if it is one and known.
    pub fn as_bool(&self) -> Option<bool> {
        match self.untyped() {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is one and known.
    pub fn as_number(&self) -> Option<&Number> {
        match self.untyped() {
            Self::Number(value) => Some(value),
            _ => None,
        }
    }

    /// The text, if it is text and known.
    pub fn as_str(&self) -> Option<&str> {
        match self.untyped() {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// The elements of a list, set or tuple.
    pub fn as_sequence(&self) -> Option<&[Self]> {
        match self.untyped() {
            Self::List(elements) | Self::Set(elements) | Self::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    /// The elements of a map, or the attributes of an object.
    pub fn as_mapping(&self) -> Option<&BTreeMap<String, Self>> {
        match self.untyped() {
            Self::Map(elements) | Self::Object(elements) => Some(elements),
            _ => None,
        }
    }

    /// The attribute of an object.
    pub fn attribute(&self, name: &str) -> Option<&Self> {
        match self.untyped() {
            Self::Object(attributes) => attributes.get(name),
            _ => None,
        }
    }

    /// The attribute of an object, to change.
    pub fn attribute_mut(&mut self, name: &str) -> Option<&mut Self> {
        match self {
            Self::Object(attributes) => attributes.get_mut(name),
            Self::Typed(_, value) => value.attribute_mut(name),
            _ => None,
        }
    }

    /// The value at `path`; `None` where there is no such place (below null or unknown too).
    pub fn get(&self, path: &Path) -> Option<&Self> {
        path.steps()
            .iter()
            .try_fold(self, |value, step| match (value.untyped(), step) {
                (Self::Object(attributes), Step::Attribute(name)) => attributes.get(name),
                (Self::Map(elements), Step::Key(key)) => elements.get(key),
                (Self::List(elements) | Self::Tuple(elements), Step::Index(index)) => {
                    elements.get(usize::try_from(*index).ok()?)
                }
                (Self::Set(elements), Step::Element(wanted)) => {
                    elements.iter().find(|element| *element == wanted)
                }
                _ => None,
            })
    }

    /// The value at `path`, to change. An element of a set that changes is no longer at its path.
    pub fn get_mut(&mut self, path: &Path) -> Option<&mut Self> {
        path.steps()
            .iter()
            .try_fold(self, |value, step| match (value.untyped_mut(), step) {
                (Self::Object(attributes), Step::Attribute(name)) => attributes.get_mut(name),
                (Self::Map(elements), Step::Key(key)) => elements.get_mut(key),
                (Self::List(elements) | Self::Tuple(elements), Step::Index(index)) => {
                    elements.get_mut(usize::try_from(*index).ok()?)
                }
                (Self::Set(elements), Step::Element(wanted)) => {
                    elements.iter_mut().find(|element| *element == wanted)
                }
                _ => None,
            })
    }

    /// What it is, in a word, without its content.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Unknown(_) => "unknown",
            Self::Bool(_) => "a bool",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Set(_) => "a set",
            Self::Map(_) => "a map",
            Self::Tuple(_) => "a tuple",
            Self::Object(_) => "an object",
            Self::Typed(..) => "a value with a type of its own",
        }
    }

    fn untyped_mut(&mut self) -> &mut Self {
        match self {
            Self::Typed(_, value) => value.untyped_mut(),
            other => other,
        }
    }
}

impl From<bool> for Dynamic {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Dynamic {
    fn from(value: i64) -> Self {
        Self::Number(value.into())
    }
}

impl From<Number> for Dynamic {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Dynamic {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Dynamic {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

/// As an expression of Terraform's language; what is unknown shows as in a plan.
impl fmt::Display for Dynamic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Unknown(_) => f.write_str("(known after apply)"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::String(value) => write!(f, "{value:?}"),
            Self::List(values) | Self::Set(values) | Self::Tuple(values) => {
                f.write_str("[")?;
                for (position, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if position == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Map(values) => {
                f.write_str("{")?;
                for (position, (key, value)) in values.iter().enumerate() {
                    write!(
                        f,
                        "{}{key:?} = {value}",
                        if position == 0 { " " } else { ", " }
                    )?;
                }
                f.write_str(if values.is_empty() { "}" } else { " }" })
            }
            Self::Object(values) => {
                f.write_str("{")?;
                for (position, (name, value)) in values.iter().enumerate() {
                    write!(
                        f,
                        "{}{name} = {value}",
                        if position == 0 { " " } else { ", " }
                    )?;
                }
                f.write_str(if values.is_empty() { "}" } else { " }" })
            }
            Self::Typed(_, value) => value.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_at_a_path() {
        let mut value = Dynamic::object([
            ("list", Dynamic::List(vec![Dynamic::from(1), Dynamic::Null])),
            (
                "env",
                Dynamic::Map([("A".to_owned(), Dynamic::from("x"))].into()),
            ),
            (
                "any",
                Dynamic::Typed(Box::new(Type::String), Box::new(Dynamic::from("y"))),
            ),
            ("set", Dynamic::Set(vec![Dynamic::from("z")])),
        ]);
        let at = |value: &Dynamic, path: &Path| value.get(path).map(ToString::to_string);
        assert_eq!(
            at(&value, &Path::attribute("list").with_index(0)).as_deref(),
            Some("1")
        );
        assert_eq!(
            at(&value, &Path::attribute("env").with_key("A")).as_deref(),
            Some("\"x\"")
        );
        assert_eq!(
            at(&value, &Path::attribute("any")).as_deref(),
            Some("\"y\"")
        );
        let element = Path::attribute("set").with(Step::Element(Dynamic::from("z")));
        assert_eq!(at(&value, &element).as_deref(), Some("\"z\""));
        assert_eq!(at(&value, &Path::attribute("list").with_index(-1)), None);
        assert_eq!(
            at(&value, &Path::attribute("env").with_attribute("A")),
            None
        );
        let second = Path::attribute("list").with_index(1);
        *value.get_mut(&second).expect("there is a second") = Dynamic::from(2);
        assert_eq!(at(&value, &second).as_deref(), Some("2"));
    }

    #[test]
    fn shows_itself_as_an_expression() {
        let value = Dynamic::object([
            ("a", Dynamic::List(vec![Dynamic::from(1), Dynamic::Null])),
            (
                "b",
                Dynamic::Map([("k".to_owned(), Dynamic::unknown())].into()),
            ),
            ("c", Dynamic::Map(BTreeMap::new())),
        ]);
        assert_eq!(
            value.to_string(),
            r#"{ a = [1, null], b = { "k" = (known after apply) }, c = {} }"#
        );
    }
}
