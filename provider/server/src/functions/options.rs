//! The options of a function: an object whose attributes are all optional, as a configuration
//! writes it. Terraform's functions have no optional arguments, so one object holds them.

use openmodel_schemas::name::Region;
use tfplug::framework::FunctionError;
use tfplug::value::Dynamic;

/// The name of the parameter.
pub(crate) const OPTIONS: &str = "options";

/// What was given, with the names that are known.
pub(crate) struct Options<'a> {
    given: &'a Dynamic,
    known: &'static [&'static str],
}

impl<'a> Options<'a> {
    /// Refuses what is no object, and names that are not known: a slip must not be passed over.
    pub(crate) fn read(
        given: &'a Dynamic,
        known: &'static [&'static str],
    ) -> Result<Self, FunctionError> {
        let Some(attributes) = given.as_mapping() else {
            return Err(error(format!(
                "An object is required, such as {{ {} = … }}.",
                known.first().copied().unwrap_or_default()
            )));
        };
        let stranger = attributes
            .keys()
            .find(|name| !known.contains(&name.as_str()));
        match stranger {
            Some(name) => Err(error(format!(
                "There is no option {name:?}; known are {}.",
                known.join(", ")
            ))),
            None => Ok(Self { given, known }),
        }
    }

    /// Text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, FunctionError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        value
            .as_str()
            .map(Some)
            .ok_or_else(|| error(format!("{name} must be text.")))
    }

    /// Text that is one of these words.
    pub(crate) fn word<T: Copy>(
        &self,
        name: &str,
        all: &[T],
        word_of: fn(T) -> &'static str,
    ) -> Result<Option<T>, FunctionError> {
        let Some(word) = self.text(name)? else {
            return Ok(None);
        };
        crate::schema_parts::named(all, word_of, word)
            .map(Some)
            .ok_or_else(|| {
                let words: Vec<&str> = all.iter().map(|value| word_of(*value)).collect();
                error(format!(
                    "{name} must be one of {}, not {word:?}.",
                    words.join(", ")
                ))
            })
    }

    /// A region.
    pub(crate) fn region(&self, name: &str) -> Result<Option<Region>, FunctionError> {
        self.text(name)?
            .map(|text| text.parse().map_err(|why| error(format!("{name}: {why}."))))
            .transpose()
    }

    /// A whole number from 1.
    pub(crate) fn count(&self, name: &str) -> Result<Option<u64>, FunctionError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        value
            .as_number()
            .and_then(tfplug::value::Number::to_u64)
            .filter(|count| *count > 0)
            .map(Some)
            .ok_or_else(|| error(format!("{name} must be a whole number from 1.")))
    }

    /// The same, where no machine has more than some thousands.
    pub(crate) fn small(&self, name: &str) -> Result<Option<u32>, FunctionError> {
        const MOST: u32 = 100_000;
        let Some(count) = self.count(name)? else {
            return Ok(None);
        };
        u32::try_from(count)
            .ok()
            .filter(|count| *count <= MOST)
            .map(Some)
            .ok_or_else(|| error(format!("{name} must be at most {MOST}, not {count}.")))
    }

    /// True or false; false where it is not given.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, FunctionError> {
        let Some(value) = self.value(name) else {
            return Ok(false);
        };
        value
            .as_bool()
            .ok_or_else(|| error(format!("{name} must be true or false.")))
    }

    fn value(&self, name: &str) -> Option<&'a Dynamic> {
        debug_assert!(self.known.contains(&name), "{name} is an option");
        self.given
            .as_mapping()?
            .get(name)
            .filter(|value| !value.is_null())
    }
}

/// An error on the options.
pub(crate) fn error(text: impl Into<String>) -> FunctionError {
    FunctionError::new(text).at(OPTIONS)
}
