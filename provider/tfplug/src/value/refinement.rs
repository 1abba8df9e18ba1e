//! What is known about a value that is not known yet.

use super::{Dynamic, Number};

/// Promises about an unknown value: whatever it becomes keeps them.
///
/// They let Terraform decide more at plan time: with a known prefix, `startswith(id, "projects/")`
/// is true before the object exists. Terraform refuses an apply result outside of them.
/// The default promises nothing and takes no memory on the heap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Refinement(Option<Box<Promises>>);

/// One end of a range of numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bound {
    /// The number at this end.
    pub number: Number,
    /// Whether the number itself is in the range.
    pub inclusive: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
struct Promises {
    not_null: bool,
    prefix: Option<String>,
    lower: Option<Bound>,
    upper: Option<Bound>,
    min_length: Option<u64>,
    max_length: Option<u64>,
}

impl Refinement {
    /// It will not be null.
    #[must_use]
    pub fn with_not_null(self) -> Self {
        self.with(|promises| promises.not_null = true)
    }

    /// A string that starts with `prefix`.
    #[must_use]
    pub fn with_prefix(self, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        self.with(|promises| promises.prefix = Some(prefix))
    }

    /// A number above `number`, or equal to it where `inclusive`.
    #[must_use]
    pub fn with_lower(self, number: Number, inclusive: bool) -> Self {
        self.with(|promises| promises.lower = Some(Bound { number, inclusive }))
    }

    /// A number below `number`, or equal to it where `inclusive`.
    #[must_use]
    pub fn with_upper(self, number: Number, inclusive: bool) -> Self {
        self.with(|promises| promises.upper = Some(Bound { number, inclusive }))
    }

    /// A list, set or map of at least this many elements.
    #[must_use]
    pub fn with_min_length(self, elements: u64) -> Self {
        self.with(|promises| promises.min_length = Some(elements))
    }

    /// A list, set or map of at most this many elements.
    #[must_use]
    pub fn with_max_length(self, elements: u64) -> Self {
        self.with(|promises| promises.max_length = Some(elements))
    }

    /// Whether nothing is promised.
    pub fn is_unrefined(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it will certainly not be null.
    pub fn is_not_null(&self) -> bool {
        self.0.as_ref().is_some_and(|promises| promises.not_null)
    }

    /// What the string will start with.
    pub fn prefix(&self) -> Option<&str> {
        self.0.as_ref()?.prefix.as_deref()
    }

    /// The lower end of the range of the number.
    pub fn lower(&self) -> Option<&Bound> {
        self.0.as_ref()?.lower.as_ref()
    }

    /// The upper end of the range of the number.
    pub fn upper(&self) -> Option<&Bound> {
        self.0.as_ref()?.upper.as_ref()
    }

    /// The fewest elements of the collection.
    pub fn min_length(&self) -> Option<u64> {
        self.0.as_ref()?.min_length
    }

    /// The most elements of the collection.
    pub fn max_length(&self) -> Option<u64> {
        self.0.as_ref()?.max_length
    }

    /// Whether `value` keeps every promise. An unknown value may still do so, hence does.
    pub fn admits(&self, value: &Dynamic) -> bool {
        let Some(promises) = &self.0 else { return true };
        match value.untyped() {
            Dynamic::Null => !promises.not_null,
            Dynamic::String(text) => promises
                .prefix
                .as_ref()
                .is_none_or(|prefix| text.starts_with(prefix.as_str())),
            Dynamic::Number(number) => promises.holds_number(number),
            Dynamic::List(elements) => promises.holds_length(elements.len()),
            // Unknown elements may turn out equal, so such a set can still shrink.
            Dynamic::Set(elements) if value.is_wholly_known() => {
                promises.holds_length(elements.len())
            }
            Dynamic::Map(elements) => promises.holds_length(elements.len()),
            Dynamic::Unknown(_)
            | Dynamic::Bool(_)
            | Dynamic::Set(_)
            | Dynamic::Tuple(_)
            | Dynamic::Object(_)
            | Dynamic::Typed(..) => true,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Promises)) -> Self {
        change(self.0.get_or_insert_default());
        self
    }
}

impl Promises {
    fn holds_number(&self, number: &Number) -> bool {
        let above =
            |bound: &Bound| *number > bound.number || (bound.inclusive && *number == bound.number);
        let below =
            |bound: &Bound| *number < bound.number || (bound.inclusive && *number == bound.number);
        self.lower.as_ref().is_none_or(above) && self.upper.as_ref().is_none_or(below)
    }

    fn holds_length(&self, elements: usize) -> bool {
        let elements = elements as u64;
        self.min_length.is_none_or(|least| elements >= least)
            && self.max_length.is_none_or(|most| elements <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_promised_admits_everything() {
        assert!(Refinement::default().admits(&Dynamic::Null));
        assert!(Refinement::default().is_unrefined());
    }

    #[test]
    fn a_prefixed_id_admits_only_ids_with_the_prefix() {
        let id = Refinement::default()
            .with_not_null()
            .with_prefix("projects/");
        assert!(id.admits(&Dynamic::from("projects/a")));
        assert!(!id.admits(&Dynamic::from("locations/a")));
        assert!(!id.admits(&Dynamic::Null));
        assert!(id.admits(&Dynamic::Unknown(Refinement::default())));
    }

    #[test]
    fn ends_of_a_range_are_in_it_only_where_inclusive() {
        let range = Refinement::default()
            .with_lower(Number::from(1), true)
            .with_upper(Number::from(5), false);
        let admitted: Vec<i64> = (0..7)
            .filter(|n| range.admits(&Dynamic::from(*n)))
            .collect();
        assert_eq!(admitted, [1, 2, 3, 4]);
    }

    #[test]
    fn lengths_bind_collections() {
        let pair = Refinement::default().with_min_length(2).with_max_length(2);
        assert!(pair.admits(&Dynamic::List(vec![Dynamic::Null, Dynamic::Null])));
        assert!(!pair.admits(&Dynamic::List(vec![Dynamic::Null])));
        assert!(!pair.admits(&Dynamic::Set(vec![])));
    }
}
