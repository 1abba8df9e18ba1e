//! Equality as Terraform means it, and the order that it rests on.

use std::cmp::Ordering;

use super::Dynamic;

/// Sort a set and drop equal elements. An unknown is equal to nothing, not even to itself, so
/// elements that are not wholly known all stay.
pub(crate) fn normalize_set(elements: &mut Vec<Dynamic>) {
    elements.sort();
    elements.dedup_by(|later, earlier| later == earlier && earlier.is_wholly_known());
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

impl Dynamic {
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
}
