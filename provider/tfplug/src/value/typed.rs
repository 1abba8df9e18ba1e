//! The field type of a model struct: a value that may be null or not known yet.

use super::Refinement;

/// A field of a model: known, null, or not known before apply.
///
/// Terraform's unknown is not null, and a model that cannot tell them apart plans wrongly;
/// hence three variants and no `Option`. The default is null.
///
/// ```
/// use tfplug::value::Value;
///
/// let replicas: Value<i64> = Value::from(3);
/// assert_eq!(replicas.map(|n| n * 2), Value::Known(6));
/// assert_eq!(Value::<i64>::Null.known_or(1), 1);
/// assert!(Value::<String>::unknown().is_unknown());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Value<T> {
    /// A known value.
    Known(T),
    /// Not set.
    #[default]
    Null,
    /// Decided only at apply.
    Unknown(Refinement),
}

impl<T> Value<T> {
    /// Decided only at apply; perhaps null then.
    pub fn unknown() -> Self {
        Self::Unknown(Refinement::default())
    }

    /// Decided only at apply: a string that starts with `prefix`, and not null.
    pub fn unknown_with(prefix: impl Into<String>) -> Self {
        Self::Unknown(Refinement::default().with_not_null().with_prefix(prefix))
    }

    /// The known value changed by `change`; null and unknown as they are.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Value<U> {
        match self {
            Self::Known(value) => Value::Known(change(value)),
            Self::Null => Value::Null,
            Self::Unknown(refinement) => Value::Unknown(refinement),
        }
    }

    /// The same, borrowed.
    pub fn as_ref(&self) -> Value<&T> {
        match self {
            Self::Known(value) => Value::Known(value),
            Self::Null => Value::Null,
            Self::Unknown(refinement) => Value::Unknown(refinement.clone()),
        }
    }

    /// The value, where it is known.
    pub fn as_known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Null | Self::Unknown(_) => None,
        }
    }

    /// The value, where it is known.
    pub fn into_known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Null | Self::Unknown(_) => None,
        }
    }

    /// The value where it is known, else `fallback`.
    pub fn known_or(self, fallback: T) -> T {
        self.into_known().unwrap_or(fallback)
    }

    /// Whether it is known and not null.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether it is decided only at apply.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

impl<T> From<T> for Value<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T> From<Option<T>> for Value<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::Known)
    }
}

impl From<&str> for Value<String> {
    fn from(text: &str) -> Self {
        Self::Known(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_not_null() {
        let unknown = Value::<i64>::unknown();
        assert!(unknown.is_unknown() && !unknown.is_null() && !unknown.is_known());
        assert_ne!(unknown, Value::Null);
        assert_eq!(unknown.map(|n| n + 1), Value::unknown());
    }

    #[test]
    fn an_unknown_with_a_prefix_is_not_null() {
        let Value::Unknown(refinement) = Value::<String>::unknown_with("projects/") else {
            unreachable!("it was made unknown")
        };
        assert_eq!(
            (refinement.prefix(), refinement.is_not_null()),
            (Some("projects/"), true)
        );
    }

    #[test]
    fn options_become_null_or_known() {
        assert_eq!(Value::from(Some(1)), Value::Known(1));
        assert_eq!(Value::<i64>::from(None), Value::Null);
        assert_eq!(
            Value::<String>::from("a").as_known().map(String::as_str),
            Some("a")
        );
    }
}
