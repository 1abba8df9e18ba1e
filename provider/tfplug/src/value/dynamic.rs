//! A value of any type, null or unknown at any depth: what every part of the crate passes on.

use std::{cmp::Ordering, collections::BTreeMap, fmt};

use super::{CodecError, Number, Path, Refinement, Step, Type};

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

    /// Whether this is a value of `ty`: the error says where not, and what is required there.
    pub fn conforms_to(&self, ty: &Type) -> Result<(), CodecError> {
        match (ty, self) {
            (_, Self::Null | Self::Unknown(_))
            | (Type::Bool, Self::Bool(_))
            | (Type::Number, Self::Number(_))
            | (Type::String, Self::String(_)) => Ok(()),
            (Type::Dynamic, Self::Typed(own, value)) => value.conforms_to(own),
            (Type::List(element), Self::List(values)) => {
                all_conform(values, element, |index, _| Step::Index(index))
            }
            (Type::Set(element), Self::Set(values)) => {
                all_conform(values, element, |_, value| Step::Element(value.clone()))
            }
            (Type::Map(element), Self::Map(values)) => {
                values.iter().try_for_each(|(key, value)| {
                    value
                        .conforms_to(element)
                        .map_err(|e| e.under(Step::Key(key.clone())))
                })
            }
            (Type::Tuple(elements), Self::Tuple(values)) => {
                require_length(elements.len(), values.len())?;
                (0..)
                    .zip(elements.iter().zip(values))
                    .try_for_each(|(index, (element, value))| {
                        value
                            .conforms_to(element)
                            .map_err(|e| e.under(Step::Index(index)))
                    })
            }
            (Type::Object(attributes), Self::Object(values)) => {
                require_attributes(attributes, values)?;
                attributes
                    .iter()
                    .zip(values.values())
                    .try_for_each(|((name, ty), value)| {
                        value
                            .conforms_to(ty)
                            .map_err(|e| e.under(Step::Attribute(name.clone())))
                    })
            }
            _ => Err(CodecError::new(format!(
                "{} is required, found {}",
                a_value(ty),
                self.kind()
            ))),
        }
    }

    /// The type of a value that nobody declared: sequences are tuples and mappings are objects,
    /// unless they say otherwise; a null or unknown can be of any type.
    pub fn inferred_type(&self) -> Type {
        fn common<'a>(mut values: impl Iterator<Item = &'a Dynamic>) -> Type {
            let first = values.find(|value| !matches!(value, Dynamic::Null | Dynamic::Unknown(_)));
            first.map_or(Type::Dynamic, Dynamic::inferred_type)
        }
        match self {
            Self::Null | Self::Unknown(_) => Type::Dynamic,
            Self::Bool(_) => Type::Bool,
            Self::Number(_) => Type::Number,
            Self::String(_) => Type::String,
            Self::List(values) => Type::list(common(values.iter())),
            Self::Set(values) => Type::set(common(values.iter())),
            Self::Map(values) => Type::map(common(values.values())),
            Self::Tuple(values) => Type::Tuple(values.iter().map(Self::inferred_type).collect()),
            Self::Object(values) => Type::Object(
                values
                    .iter()
                    .map(|(name, value)| (name.clone(), value.inferred_type()))
                    .collect(),
            ),
            Self::Typed(ty, _) => ty.as_ref().clone(),
        }
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

    /// Variants apart, for [`Ord`].
    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Unknown(_) => 1,
            Self::Bool(_) => 2,
            Self::Number(_) => 3,
            Self::String(_) => 4,
            Self::List(_) => 5,
            Self::Set(_) => 6,
            Self::Map(_) => 7,
            Self::Tuple(_) => 8,
            Self::Object(_) => 9,
            Self::Typed(..) => 10,
        }
    }
}

/// Sort a set and drop equal elements. An unknown is equal to nothing, not even to itself, so
/// elements that are not wholly known all stay.
pub(crate) fn normalize_set(elements: &mut Vec<Dynamic>) {
    elements.sort();
    elements.dedup_by(|later, earlier| later == earlier && earlier.is_wholly_known());
}

/// `a string`, `a list(string)`, `any`: what a message says that a type requires.
pub(crate) fn a_value(ty: &Type) -> String {
    match ty {
        Type::Object(_) => "an object".to_owned(),
        Type::Tuple(elements) => format!("a tuple of {} elements", elements.len()),
        Type::Dynamic => "a value with a type of its own".to_owned(),
        other => format!("a {other}"),
    }
}

pub(crate) fn require_length(required: usize, given: usize) -> Result<(), CodecError> {
    if required == given {
        return Ok(());
    }
    Err(CodecError::new(format!(
        "a tuple of {required} elements is required ({given} given)"
    )))
}

/// Exactly the attributes of the type; no more, no less.
pub(crate) fn require_attributes<V>(
    required: &BTreeMap<String, Type>,
    given: &BTreeMap<String, V>,
) -> Result<(), CodecError> {
    if required.len() == given.len() && required.keys().eq(given.keys()) {
        return Ok(());
    }
    let missing = required.keys().find(|name| !given.contains_key(*name));
    let extra = given.keys().find(|name| !required.contains_key(*name));
    let missing = missing.map_or_else(String::new, |name| format!(": {name:?} is missing"));
    let extra = extra.map_or_else(String::new, |name| format!(": there is no {name:?}"));
    let (required, given) = (required.len(), given.len());
    Err(CodecError::new(format!(
        "an object with {required} attributes is required ({given} given){missing}{extra}"
    )))
}

fn all_conform(
    values: &[Dynamic],
    element: &Type,
    step: impl Fn(i64, &Dynamic) -> Step,
) -> Result<(), CodecError> {
    (0..).zip(values).try_for_each(|(index, value)| {
        value
            .conforms_to(element)
            .map_err(|error| error.under(step(index, value)))
    })
}

impl PartialEq for Dynamic {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Dynamic {}

impl PartialOrd for Dynamic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Dynamic {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Unknown(left), Self::Unknown(right)) => left.cmp(right),
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Number(left), Self::Number(right)) => left.cmp(right),
            (Self::String(left), Self::String(right)) => left.cmp(right),
            (Self::List(left), Self::List(right)) | (Self::Tuple(left), Self::Tuple(right)) => {
                left.cmp(right)
            }
            (Self::Set(left), Self::Set(right)) => {
                // Sets are mostly kept sorted, so that this is mostly all.
                if left == right {
                    return Ordering::Equal;
                }
                let (mut left, mut right) = (
                    left.iter().collect::<Vec<_>>(),
                    right.iter().collect::<Vec<_>>(),
                );
                left.sort();
                right.sort();
                left.cmp(&right)
            }
            (Self::Map(left), Self::Map(right)) | (Self::Object(left), Self::Object(right)) => {
                left.cmp(right)
            }
            (Self::Typed(left_type, left), Self::Typed(right_type, right)) => {
                left_type.cmp(right_type).then_with(|| left.cmp(right))
            }
            _ => self.rank().cmp(&other.rank()),
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

    fn set(texts: &[&str]) -> Dynamic {
        Dynamic::Set(texts.iter().copied().map(Dynamic::from).collect())
    }

    #[test]
    fn sets_have_no_order_and_lists_have() {
        assert_eq!(set(&["a", "b"]), set(&["b", "a"]));
        assert_ne!(set(&["a", "b"]), set(&["a", "c"]));
        let list = |set| match set {
            Dynamic::Set(elements) => Dynamic::List(elements),
            other => other,
        };
        assert_ne!(list(set(&["a", "b"])), list(set(&["b", "a"])));
    }

    #[test]
    fn a_set_in_an_object_in_a_set_has_no_order_either() {
        let nest = |inner| Dynamic::Set(vec![Dynamic::object([("s", inner)]), Dynamic::Null]);
        let other = |inner| Dynamic::Set(vec![Dynamic::Null, Dynamic::object([("s", inner)])]);
        assert_eq!(nest(set(&["a", "b"])), other(set(&["b", "a"])));
    }

    #[test]
    fn equal_elements_of_a_set_are_one_but_unknowns_are_not() {
        let mut elements = vec![
            Dynamic::from("a"),
            Dynamic::unknown(),
            Dynamic::from("a"),
            Dynamic::unknown(),
        ];
        normalize_set(&mut elements);
        assert_eq!(
            elements,
            [Dynamic::unknown(), Dynamic::unknown(), Dynamic::from("a")]
        );
    }

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
            ("set", set(&["z"])),
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
    fn says_where_a_value_is_not_of_its_type() {
        let ty = Type::object([("a", Type::list(Type::Number)), ("b", Type::Bool)]);
        let wrong = |value: Dynamic| value.conforms_to(&ty).map_err(|error| error.to_string());
        let object = |list: Vec<Dynamic>| {
            Dynamic::object([("a", Dynamic::List(list)), ("b", Dynamic::Null)])
        };
        assert_eq!(
            wrong(object(vec![Dynamic::from(1), Dynamic::unknown()])),
            Ok(())
        );
        assert_eq!(
            wrong(object(vec![Dynamic::from(1), Dynamic::from("2")])),
            Err("a[1]: a number is required, found a string".to_owned())
        );
        assert_eq!(
            wrong(Dynamic::object([("a", Dynamic::Null)])),
            Err("an object with 2 attributes is required (1 given): \"b\" is missing".to_owned())
        );
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
