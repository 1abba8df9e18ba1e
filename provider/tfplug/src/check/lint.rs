//! Whether a schema is one that Terraform can use. The core does not look before it trips over it.

use std::collections::BTreeSet;

use super::report::{Fields, Report, nesting};
use super::{Rule, Violation};
use crate::{
    schema::{Attribute, AttributeKind, BlockNesting, NestedBlock, Nesting, Schema},
    value::{Step, Type},
};

/// Names that Terraform's language takes for itself in every resource.
const RESERVED: [&str; 7] = [
    "connection",
    "count",
    "depends_on",
    "for_each",
    "lifecycle",
    "provider",
    "provisioner",
];

/// What surrounds an attribute.
#[derive(Clone, Copy, Default)]
struct Inside {
    /// Objects in a set are told apart by content, so all of it must be in the value.
    set: bool,
    /// All objects of a collection have one type.
    collection: bool,
}

/// Check a schema: names, who sets each attribute, what sets and collections can hold, numbers of
/// blocks, defaults.
pub fn schema(schema: &Schema) -> Vec<Violation> {
    let mut report = Report::new(Rule::Schema);
    if schema.version < 0 {
        report.say("a version is 0 or more");
    }
    let fields = Fields::from(&schema.block);
    let names = fields.attributes.iter().map(|attribute| &attribute.name);
    for name in names.chain(fields.blocks.iter().map(|block| &block.name)) {
        if RESERVED.contains(&name.as_str()) {
            report.under(Step::Attribute(name.clone()), |report| {
                report.say("Terraform's language reserves this name");
            });
        }
    }
    object(&mut report, fields, Inside::default());
    report.into_violations()
}

fn object(report: &mut Report, fields: Fields<'_>, inside: Inside) {
    let mut names = BTreeSet::new();
    for field in fields.attributes {
        report.under(Step::Attribute(field.name.clone()), |report| {
            name(report, &mut names, &field.name);
            attribute(report, field, inside);
        });
    }
    for field in fields.blocks {
        report.under(Step::Attribute(field.name.clone()), |report| {
            name(report, &mut names, &field.name);
            block(report, field, inside);
        });
    }
}

fn name<'s>(report: &mut Report, names: &mut BTreeSet<&'s str>, name: &'s str) {
    let starts = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !starts || !name.chars().all(allowed) {
        report.say("a name has only a to z, 0 to 9 and _, and does not start with a digit");
    }
    if !names.insert(name) {
        report.say("the name is used twice");
    }
}

fn attribute(report: &mut Report, attribute: &Attribute, inside: Inside) {
    let Attribute {
        required,
        optional,
        computed,
        write_only,
        ..
    } = *attribute;
    if !required && !optional && !computed {
        report.say("one of required, optional and computed is needed");
    }
    if required && (optional || computed) {
        report.say("required excludes optional and computed");
    }
    if write_only && computed {
        report.say("write-only excludes computed: nothing computed is kept");
    }
    if write_only && inside.set {
        report.say("write-only is not possible inside a set");
    }
    if let Some(default) = &attribute.default {
        if !(optional && computed) {
            report.say(
                "a default needs optional and computed: the plan differs from a null configuration",
            );
        }
        if let Err(error) = default.conforms_to(&attribute.implied_type()) {
            report.say(format!("the default does not fit: {error}"));
        }
    }
    match &attribute.kind {
        AttributeKind::Type(ty) => types(report, ty, inside),
        AttributeKind::Nested(nested) => {
            object(report, nested.into(), inside.with(nested.nesting));
        }
    }
}

fn types(report: &mut Report, ty: &Type, inside: Inside) {
    if (inside.set || inside.collection) && ty.has_dynamic() {
        report.say(
            "a dynamic type is not possible inside a collection, whose elements have one type",
        );
        return;
    }
    match ty {
        Type::Bool | Type::Number | Type::String | Type::Dynamic => {}
        Type::List(element) | Type::Set(element) | Type::Map(element) => {
            types(
                report,
                element,
                Inside {
                    collection: true,
                    ..inside
                },
            );
        }
        Type::Tuple(elements) => {
            for element in elements {
                types(report, element, inside);
            }
        }
        Type::Object(attributes) => {
            for attribute in attributes.values() {
                types(report, attribute, inside);
            }
        }
    }
}

fn block(report: &mut Report, block: &NestedBlock, inside: Inside) {
    let (fewest, most) = (block.min_items, block.max_items);
    match block.nesting {
        BlockNesting::List | BlockNesting::Set => {
            if fewest < 0 || most < 0 {
                report.say("numbers of blocks are 0 or more");
            } else if most > 0 && fewest > most {
                report.say(format!(
                    "at least {fewest} and at most {most} blocks exclude each other"
                ));
            }
        }
        BlockNesting::Single => {
            if fewest != most || !(0..=1).contains(&fewest) {
                report.say("a single block has min_items and max_items both 0, or both 1");
            }
        }
        BlockNesting::Group | BlockNesting::Map => {
            if fewest != 0 || most != 0 {
                report.say("numbers of blocks are for lists and sets only");
            }
        }
    }
    object(report, (&block.block).into(), inside.with(nesting(block)));
}

impl Inside {
    fn with(self, nesting: Nesting) -> Self {
        Self {
            set: self.set || nesting == Nesting::Set,
            collection: self.collection || nesting != Nesting::Single,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Dynamic;

    #[track_caller]
    fn finds(found: &Schema, expected: &[&str]) {
        let found: Vec<_> = schema(found)
            .iter()
            .map(|violation| format!("{}: {}", violation.path, violation.message))
            .collect();
        assert_eq!(found, expected);
    }

    fn one(attribute: Attribute) -> Schema {
        Schema::new("").attribute(attribute)
    }

    #[test]
    fn a_good_schema_has_no_faults() {
        let good = Schema::new("")
            .version(2)
            .attribute(Attribute::string("name").required())
            .attribute(Attribute::dynamic("any").optional())
            .attribute(Attribute::string("token_wo").optional().write_only())
            .attribute(
                Attribute::list_of("zones", Type::String)
                    .optional()
                    .computed(),
            )
            .attribute(Attribute::set_of_objects("s", [Attribute::bool("b").optional()]).optional())
            .block(
                NestedBlock::new(
                    "b",
                    BlockNesting::List,
                    "",
                    [Attribute::string("id").computed()],
                )
                .items(1, 2),
            );
        finds(&good, &[]);
    }

    #[test]
    fn names_are_plain_and_unique() {
        let twice =
            one(Attribute::string("a").optional()).attribute(Attribute::bool("a").optional());
        finds(&twice, &["a: the name is used twice"]);
        let rule = "a name has only a to z, 0 to 9 and _, and does not start with a digit";
        for bad in ["aB", "1a", "", "a-b", "ä"] {
            finds(
                &one(Attribute::string(bad).optional()),
                &[&format!("{bad}: {rule}")],
            );
        }
        finds(
            &one(Attribute::number("count").optional()),
            &["count: Terraform's language reserves this name"],
        );
    }

    #[test]
    fn somebody_sets_each_attribute() {
        let a = || Attribute::string("a");
        finds(
            &one(a()),
            &["a: one of required, optional and computed is needed"],
        );
        finds(
            &one(a().required().computed()),
            &["a: required excludes optional and computed"],
        );
        finds(
            &one(a().optional().computed().write_only()),
            &["a: write-only excludes computed: nothing computed is kept"],
        );
    }

    #[test]
    fn collections_hold_one_type_and_sets_hold_all_they_are() {
        let dynamic =
            "a dynamic type is not possible inside a collection, whose elements have one type";
        finds(
            &one(Attribute::list_of("l", Type::Dynamic).optional()),
            &[&format!("l: {dynamic}")],
        );
        finds(
            &one(Attribute::map_of_objects("m", [Attribute::dynamic("d").optional()]).optional()),
            &[&format!("m.d: {dynamic}")],
        );
        let secret = Attribute::string("w").optional().write_only();
        finds(
            &one(Attribute::set_of_objects("s", [secret]).optional()),
            &["s.w: write-only is not possible inside a set"],
        );
    }

    #[test]
    fn defaults_fit_and_can_be_planned() {
        let mut wrong = Attribute::string("a").optional().computed();
        wrong.default = Some(Dynamic::from(true));
        finds(
            &one(wrong),
            &["a: the default does not fit: a string is required, found a bool"],
        );
        let mut unplannable = Attribute::string("a").optional();
        unplannable.default = Some(Dynamic::from("x"));
        finds(
            &one(unplannable),
            &[
                "a: a default needs optional and computed: the plan differs from a null configuration",
            ],
        );
    }

    #[test]
    fn numbers_of_blocks_are_possible() {
        let block = |nesting, fewest, most| {
            let block = NestedBlock::new("b", nesting, "", [Attribute::string("a").optional()]);
            Schema::new("").block(block.items(fewest, most))
        };
        finds(
            &block(BlockNesting::List, 3, 2),
            &["b: at least 3 and at most 2 blocks exclude each other"],
        );
        finds(
            &block(BlockNesting::Single, 0, 1),
            &["b: a single block has min_items and max_items both 0, or both 1"],
        );
        finds(
            &block(BlockNesting::Map, 1, 0),
            &["b: numbers of blocks are for lists and sets only"],
        );
        finds(&block(BlockNesting::Single, 1, 1), &[]);
    }
}
