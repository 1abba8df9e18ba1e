//! Whether a value is of a type; and the type of a value that nobody declared.

use std::collections::BTreeMap;

use super::{CodecError, Dynamic, Step, Type};

impl Dynamic {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
