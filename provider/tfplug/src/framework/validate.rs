//! Validation of a configuration by its schema: what must be set, what is deprecated, and every
//! validator. All findings are collected; none needs a client or the network.

use super::walk::{Node, Pair, visit_config};
use crate::schema::{Attribute, Schema, ValidatorArgs};
use crate::value::Dynamic;
use crate::{Diagnostic, Diagnostics};

/// Checks a configuration. `write_only_allowed`: does this Terraform know write-only attributes?
/// An older one would store their values.
pub(super) fn validate(schema: &Schema, config: &Dynamic, write_only_allowed: bool) -> Diagnostics {
    let mut found = Diagnostics::new();
    if let Some(message) = &schema.block.deprecation {
        found.push(Diagnostic::warning("Deprecated").detail(message.clone()));
    }
    visit_config(&schema.block, config, &mut |node, place| {
        let validators = match node {
            Node::Attribute(attribute) => {
                check_attribute(attribute, &place, write_only_allowed, &mut found);
                &attribute.validators
            }
            Node::Block(block) => &block.validators,
        };
        let args = ValidatorArgs {
            path: place.path,
            value: place.config,
            config,
            schema,
        };
        for validator in validators {
            validator.run(&args, &mut found);
        }
        true
    });
    found
}

fn check_attribute(
    attribute: &Attribute,
    place: &Pair<'_>,
    write_only_allowed: bool,
    found: &mut Diagnostics,
) {
    let path = place.path;
    if place.config.is_null() {
        if attribute.required {
            found.push(
                Diagnostic::error("Missing required attribute")
                    .at(path.clone())
                    .detail(format!("`{path}` must be set, and not to null.")),
            );
        }
        return;
    }
    if let Some(message) = &attribute.deprecation {
        found.push(
            Diagnostic::warning("Deprecated attribute")
                .at(path.clone())
                .detail(message.clone()),
        );
    }
    if attribute.write_only && !write_only_allowed {
        found.push(Diagnostic::error("Write-only attribute is not supported").at(path.clone()).detail(
            format!("`{path}` needs Terraform 1.11 or later, which keeps it out of the state. Upgrade."),
        ));
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::{
        Attribute, at_least, at_most, between, conflicts_with, each, exactly_one_of, item_count,
        length, one_of, regex, required_with,
    };
    use crate::value::Type;

    use super::*;

    #[track_caller]
    fn check(schema: &Schema, config: &[(&str, Dynamic)], expect: &[&str]) {
        let names = schema
            .block
            .attributes
            .iter()
            .map(|attribute| &attribute.name);
        let config = names.map(|name| {
            let given = config.iter().find(|(given, _)| given == name);
            (
                name.clone(),
                given.map_or(Dynamic::Null, |(_, value)| value.clone()),
            )
        });
        let found = validate(schema, &Dynamic::object(config), true);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expect);
    }

    fn one(attribute: Attribute) -> Schema {
        Schema::new("").attribute(attribute)
    }

    fn strings(items: &[&str]) -> Dynamic {
        Dynamic::List(items.iter().map(|&item| item.into()).collect())
    }

    #[test]
    fn words_ranges_lengths_and_patterns_say_what_would_be_right() {
        let schema = one(Attribute::string("a")
            .optional()
            .validate(one_of(&["x", "y"])));
        check(&schema, &[("a", "x".into())], &[]);
        check(
            &schema,
            &[("a", "z".into())],
            &[
                "error at a: Value is not one of the allowed: `a` must be one of `x`, `y`, not \"z\".",
            ],
        );

        let schema = one(Attribute::number("a").optional().validate(between(1, 3)));
        check(&schema, &[("a", 3.into())], &[]);
        check(
            &schema,
            &[("a", 4.into())],
            &["error at a: Number is out of range: `a` must be between 1 and 3, not 4."],
        );
        let schema = one(Attribute::number("a")
            .optional()
            .validate(at_least(1))
            .validate(at_most(2)));
        check(&schema, &[("a", 1.into())], &[]);
        check(
            &schema,
            &[("a", 0.into())],
            &["error at a: Number is out of range: `a` must be at least 1, not 0."],
        );
        check(
            &schema,
            &[("a", 3.into())],
            &["error at a: Number is out of range: `a` must be at most 2, not 3."],
        );

        let schema = one(Attribute::string("a").optional().validate(length(1, 2)));
        check(&schema, &[("a", "é€".into())], &[]);
        check(
            &schema,
            &[("a", "abc".into())],
            &["error at a: Text has the wrong length: `a` must have 1 to 2 characters, it has 3."],
        );

        let rule = "start with a letter";
        let schema = one(Attribute::string("a")
            .optional()
            .validate(regex("^[a-z]", rule)));
        check(&schema, &[("a", "a1".into())], &[]);
        check(
            &schema,
            &[("a", "1a".into())],
            &[
                "error at a: Text has the wrong form: `a` must start with a letter; \"1a\" does not.",
            ],
        );
    }

    #[test]
    fn elements_are_checked_each_and_counted() {
        let element = each(one_of(&["x"]));
        let attribute = Attribute::list_of("a", Type::String).optional();
        let schema = one(attribute.validate(element).validate(item_count(1, 2)));
        check(&schema, &[("a", strings(&["x", "x"]))], &[]);
        check(
            &schema,
            &[("a", strings(&["x", "z", "x"]))],
            &[
                "error at a[1]: Value is not one of the allowed: `a[1]` must be one of `x`, not \"z\".",
                "error at a: Wrong number of elements: `a` must have 1 to 2 elements, it has 3.",
            ],
        );
        let unknown = Dynamic::List(vec![Dynamic::unknown()]);
        check(&schema, &[("a", unknown)], &[]);
    }

    #[test]
    fn a_set_that_may_still_shrink_is_not_too_long_yet() {
        let attribute = Attribute::set_of("a", Type::String)
            .optional()
            .validate(item_count(0, 1));
        let schema = one(attribute);
        check(
            &schema,
            &[("a", Dynamic::Set(vec!["x".into(), Dynamic::unknown()]))],
            &[],
        );
        check(
            &schema,
            &[("a", Dynamic::Set(vec!["x".into(), "y".into()]))],
            &["error at a: Wrong number of elements: `a` must have 0 to 1 elements, it has 2."],
        );
    }

    #[test]
    fn unknown_values_are_judged_when_they_are_known() {
        let schema = Schema::new("")
            .attribute(Attribute::string("a").required().validate(one_of(&["x"])))
            .attribute(
                Attribute::string("b")
                    .optional()
                    .validate(conflicts_with(&["a"])),
            )
            .attribute(
                Attribute::string("c")
                    .optional()
                    .validate(required_with(&["a"])),
            )
            .attribute(
                Attribute::string("d")
                    .optional()
                    .validate(exactly_one_of(&["a"])),
            );
        let unknown = Dynamic::unknown();
        check(
            &schema,
            &[("a", unknown), ("b", "1".into()), ("c", "1".into())],
            &[],
        );
    }

    #[test]
    fn presence_of_one_can_forbid_or_demand_another() {
        let schema = Schema::new("")
            .attribute(Attribute::string("a").optional())
            .attribute(
                Attribute::string("b")
                    .optional()
                    .validate(conflicts_with(&["a"])),
            );
        check(&schema, &[("b", "1".into())], &[]);
        check(
            &schema,
            &[("a", "1".into()), ("b", "1".into())],
            &[
                "error at b: Conflicting attributes: `b` cannot be set together with `a`. Remove one of them.",
            ],
        );

        let schema = Schema::new("")
            .attribute(Attribute::string("a").optional())
            .attribute(
                Attribute::string("b")
                    .optional()
                    .validate(required_with(&["a"])),
            );
        check(&schema, &[("a", "1".into())], &[]);
        check(
            &schema,
            &[("b", "1".into())],
            &["error at b: Missing attribute: `b` needs `a` beside it. Set it, or remove `b`."],
        );

        let schema = Schema::new("")
            .attribute(Attribute::string("a").optional())
            .attribute(
                Attribute::string("b")
                    .optional()
                    .validate(exactly_one_of(&["a"])),
            );
        check(&schema, &[("a", "1".into())], &[]);
        check(&schema, &[("b", "1".into())], &[]);
        let none =
            "error at b: Exactly one must be set: Exactly one of `b` and `a` must be set, 0 are.";
        check(&schema, &[], &[none]);
        let both =
            "error at b: Exactly one must be set: Exactly one of `b` and `a` must be set, 2 are.";
        check(&schema, &[("a", "1".into()), ("b", "1".into())], &[both]);
    }

    #[test]
    fn names_of_others_start_in_the_object_around() {
        let rule = conflicts_with(&["from.file"]);
        let from = Attribute::object("from", [Attribute::string("file").optional()]).optional();
        let inner = [from, Attribute::string("text").optional().validate(rule)];
        let schema = one(Attribute::list_of_objects("note", inner).optional());
        let note = Dynamic::object([
            ("from", Dynamic::object([("file", "f".into())])),
            ("text", Dynamic::from("t")),
        ]);
        check(
            &schema,
            &[("note", Dynamic::List(vec![note]))],
            &[
                "error at note[0].text: Conflicting attributes: `note[0].text` cannot be set together \
               with `note[0].from.file`. Remove one of them.",
            ],
        );
    }

    #[test]
    fn required_attributes_of_nested_objects_must_be_there() {
        let inner = [
            Attribute::string("b").required(),
            Attribute::string("c").optional(),
        ];
        let schema = one(Attribute::object("a", inner).optional());
        check(&schema, &[], &[]);
        let object = Dynamic::object([("b", Dynamic::Null), ("c", Dynamic::Null)]);
        check(
            &schema,
            &[("a", object)],
            &["error at a.b: Missing required attribute: `a.b` must be set, and not to null."],
        );
    }

    #[test]
    fn deprecated_attributes_warn_when_set() {
        let schema =
            one(Attribute::string("a").optional().deprecated("Use `b`.")).deprecated("Use `y`.");
        check(&schema, &[], &["warning: Deprecated: Use `y`."]);
        check(
            &schema,
            &[("a", "1".into())],
            &[
                "warning: Deprecated: Use `y`.",
                "warning at a: Deprecated attribute: Use `b`.",
            ],
        );
    }

    #[test]
    fn secrets_are_not_in_messages() {
        let plain = Attribute::string("a").optional().validate(one_of(&["x"]));
        for attribute in [plain.clone().sensitive(), plain.write_only()] {
            check(
                &one(attribute),
                &[("a", "s3cr3t".into())],
                &[
                    "error at a: Value is not one of the allowed: `a` must be one of `x`, not a \
                   sensitive value.",
                ],
            );
        }
    }

    #[test]
    fn an_old_terraform_may_not_store_write_only_values() {
        let schema = one(Attribute::string("secret").optional().write_only());
        let config =
            Dynamic::object([("secret", "s3cr3t")].map(|(name, value)| (name, value.into())));
        assert!(validate(&schema, &config, true).is_empty());
        let found = validate(&schema, &config, false);
        assert!(
            found.has_errors() && !found.to_string().contains("s3cr3t"),
            "{found}"
        );
    }
}
