//! What all checks share: collecting violations with their paths, and walking a schema.

use super::{Rule, Violation};
use crate::{
    schema::{
        Attribute, AttributeKind, Block, BlockNesting, NestedBlock, NestedObject, Nesting, Schema,
    },
    value::{Dynamic, Path, Step},
};

static NULL: Dynamic = Dynamic::Null;

/// Violations of one rule, found on a walk.
pub(super) struct Report {
    rule: Rule,
    path: Path,
    found: Vec<Violation>,
}

impl Report {
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            rule,
            path: Path::root(),
            found: Vec::new(),
        }
    }

    /// Run a check one step deeper.
    pub(super) fn under(&mut self, step: Step, check: impl FnOnce(&mut Self)) {
        self.path.0.push(step);
        check(self);
        self.path.0.pop();
    }

    /// A violation at this place.
    pub(super) fn say(&mut self, message: impl Into<String>) {
        let (rule, path) = (self.rule, self.path.clone());
        self.found.push(Violation {
            rule,
            path,
            message: message.into(),
        });
    }

    /// Run a check whose messages may tell secrets, and tell only where they are.
    pub(super) fn hiding(&mut self, check: impl FnOnce(&mut Self)) {
        let before = self.found.len();
        check(self);
        for violation in &mut self.found[before..] {
            "is not what it was; the values hold something sensitive"
                .clone_into(&mut violation.message);
        }
    }

    /// Whether a check would find nothing.
    pub(super) fn passes(check: impl FnOnce(&mut Self)) -> bool {
        let mut report = Self::new(Rule::Type);
        check(&mut report);
        report.found.is_empty()
    }

    pub(super) fn into_violations(self) -> Vec<Violation> {
        self.found
    }
}

/// The attributes and blocks of an object: of a block, or of a nested attribute.
#[derive(Clone, Copy)]
pub(super) struct Fields<'s> {
    pub(super) attributes: &'s [Attribute],
    pub(super) blocks: &'s [NestedBlock],
}

impl<'s> From<&'s Block> for Fields<'s> {
    fn from(block: &'s Block) -> Self {
        Self {
            attributes: &block.attributes,
            blocks: &block.blocks,
        }
    }
}

impl<'s> From<&'s NestedObject> for Fields<'s> {
    fn from(object: &'s NestedObject) -> Self {
        Self {
            attributes: &object.attributes,
            blocks: &[],
        }
    }
}

/// Whether a value of this attribute must not be shown: it is a secret, or holds one.
pub(super) fn is_secret(attribute: &Attribute) -> bool {
    attribute.sensitive
        || attribute.write_only
        || match &attribute.kind {
            AttributeKind::Nested(nested) => holds_secret(nested.into()),
            AttributeKind::Type(_) => false,
        }
}

/// Whether an object with these fields holds something that must not be shown.
pub(super) fn holds_secret(fields: Fields<'_>) -> bool {
    fields.attributes.iter().any(is_secret)
        || fields
            .blocks
            .iter()
            .any(|block| holds_secret((&block.block).into()))
}

/// The nesting of the blocks, in the words of nested attributes.
pub(super) fn nesting(block: &NestedBlock) -> Nesting {
    match block.nesting {
        BlockNesting::Single | BlockNesting::Group => Nesting::Single,
        BlockNesting::List => Nesting::List,
        BlockNesting::Set => Nesting::Set,
        BlockNesting::Map => Nesting::Map,
    }
}

/// The attribute of an object; null below null, as Terraform's prior values are.
pub(super) fn child<'a>(value: &'a Dynamic, name: &str) -> &'a Dynamic {
    value.attribute(name).unwrap_or(&NULL)
}

/// An element of a list; null where there is none.
pub(super) fn element(value: &Dynamic, index: usize) -> &Dynamic {
    value
        .as_sequence()
        .and_then(|elements| elements.get(index))
        .unwrap_or(&NULL)
}

/// An element of a map; null where there is none.
pub(super) fn entry<'a>(value: &'a Dynamic, key: &str) -> &'a Dynamic {
    value
        .as_mapping()
        .and_then(|elements| elements.get(key))
        .unwrap_or(&NULL)
}

/// A value for a message, masked where it is sensitive.
pub(super) fn show(value: &Dynamic, sensitive: bool) -> String {
    if sensitive && !value.is_null() && !value.is_unknown() {
        return "(sensitive value)".to_owned();
    }
    value.to_string()
}

/// Every unknown in a value that must have none.
pub(super) fn wholly_known(value: &Dynamic) -> Vec<Violation> {
    let mut report = Report::new(Rule::WhollyKnown);
    unknowns(&mut report, value);
    report.into_violations()
}

fn unknowns(report: &mut Report, value: &Dynamic) {
    match value.untyped() {
        Dynamic::Unknown(_) => report.say("a known value is required"),
        Dynamic::List(values) | Dynamic::Tuple(values) => {
            for (index, value) in (0..).zip(values) {
                report.under(Step::Index(index), |report| unknowns(report, value));
            }
        }
        Dynamic::Set(values) => {
            for value in values {
                report.under(Step::Element(value.clone()), |report| {
                    unknowns(report, value);
                });
            }
        }
        Dynamic::Map(values) => {
            for (key, value) in values {
                report.under(Step::Key(key.clone()), |report| unknowns(report, value));
            }
        }
        Dynamic::Object(values) => {
            for (name, value) in values {
                report.under(Step::Attribute(name.clone()), |report| {
                    unknowns(report, value);
                });
            }
        }
        _ => {}
    }
}

/// Every write-only attribute that is not null, by the schema.
pub(super) fn write_only_nulls(schema: &Schema, value: &Dynamic) -> Vec<Violation> {
    let mut report = Report::new(Rule::WriteOnly);
    write_only(&mut report, (&schema.block).into(), value);
    report.into_violations()
}

fn write_only(report: &mut Report, fields: Fields<'_>, object: &Dynamic) {
    for attribute in fields.attributes {
        let value = child(object, &attribute.name);
        report.under(Step::Attribute(attribute.name.clone()), |report| {
            if attribute.write_only && !value.is_null() {
                report.say(format!("null is required, found {}", value.kind()));
            } else if let AttributeKind::Nested(nested) = &attribute.kind {
                each_object(report, value, |report, object| {
                    write_only(report, nested.into(), object);
                });
            }
        });
    }
    for block in fields.blocks {
        let value = child(object, &block.name);
        report.under(Step::Attribute(block.name.clone()), |report| {
            each_object(report, value, |report, object| {
                write_only(report, (&block.block).into(), object);
            });
        });
    }
}

/// The objects under a nested attribute or block, whatever the nesting.
fn each_object(report: &mut Report, value: &Dynamic, mut check: impl FnMut(&mut Report, &Dynamic)) {
    match value.untyped() {
        Dynamic::Object(_) => check(report, value),
        Dynamic::List(values) | Dynamic::Tuple(values) => {
            for (index, value) in (0..).zip(values) {
                report.under(Step::Index(index), |report| check(report, value));
            }
        }
        Dynamic::Set(values) => {
            for value in values {
                report.under(Step::Element(value.clone()), |report| check(report, value));
            }
        }
        Dynamic::Map(values) => {
            for (key, value) in values {
                report.under(Step::Key(key.clone()), |report| check(report, value));
            }
        }
        _ => {}
    }
}
