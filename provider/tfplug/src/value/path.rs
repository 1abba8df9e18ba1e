//! A path to a place in a value, in the notation of Terraform's messages.

use std::fmt;

use super::Dynamic;

/// Steps from the root of a value to a place in it.
///
/// ```
/// use tfplug::value::Path;
///
/// let path = Path::attribute("workload").with_attribute("context_length");
/// assert_eq!(path.to_string(), "workload.context_length");
/// assert_eq!(Path::attribute("env").with_key("A").to_string(), r#"env["A"]"#);
/// assert_eq!(Path::attribute("list").with_index(0).to_string(), "list[0]");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Path(pub Vec<Step>);

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Into an attribute or block of an object.
    Attribute(String),
    /// To a key of a map.
    Key(String),
    /// To a position in a list or tuple, from 0.
    Index(i64),
    /// To the element of a set that has this value: sets have no other address.
    Element(Dynamic),
}

impl Path {
    /// The value itself.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// The path of one attribute of the root object.
    pub fn attribute(name: impl Into<String>) -> Self {
        Self(vec![Step::Attribute(name.into())])
    }

    /// This path, then into an attribute.
    #[must_use]
    pub fn with_attribute(self, name: impl Into<String>) -> Self {
        self.with(Step::Attribute(name.into()))
    }

    /// This path, then to a key of a map.
    #[must_use]
    pub fn with_key(self, key: impl Into<String>) -> Self {
        self.with(Step::Key(key.into()))
    }

    /// This path, then to a position of a list or tuple.
    #[must_use]
    pub fn with_index(self, index: i64) -> Self {
        self.with(Step::Index(index))
    }

    /// This path and one step more.
    #[must_use]
    pub fn with(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether this is the value itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn prepend(&mut self, step: Step) {
        self.0.insert(0, step);
    }

    /// `path: `, or nothing at the root; what error messages start with.
    pub(crate) fn as_prefix(&self) -> String {
        if self.is_root() {
            String::new()
        } else {
            format!("{self}: ")
        }
    }
}

/// Attribute names joined by dots: `workload.context_length`.
impl From<&str> for Path {
    fn from(names: &str) -> Self {
        Self(
            names
                .split('.')
                .map(|name| Step::Attribute(name.to_owned()))
                .collect(),
        )
    }
}

impl From<Vec<Step>> for Path {
    fn from(steps: Vec<Step>) -> Self {
        Self(steps)
    }
}

/// As Terraform writes it. An element of a set shows as `[…]`: its value may be secret.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Attribute(name) if position == 0 => f.write_str(name)?,
                Step::Attribute(name) => write!(f, ".{name}")?,
                Step::Key(key) => write!(f, "[{key:?}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Element(_) => f.write_str("[…]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_terraform_writes_it() {
        let path = Path::attribute("rule")
            .with(Step::Element(Dynamic::from("secret")))
            .with_attribute("ports")
            .with_index(2)
            .with_key("a\"b");
        assert_eq!(path.to_string(), r#"rule[…].ports[2]["a\"b"]"#);
        assert_eq!(Path::root().to_string(), "");
    }
}
