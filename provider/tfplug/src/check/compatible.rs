//! Whether a later value keeps what an earlier one promised: the result of an apply its plan, the
//! plan made at apply the one that was approved.
//!
//! All that was known stays equal; what was unknown becomes anything within its promises.

use super::report::{
    Fields, Report, child, element, entry, holds_secret, is_secret, nesting, show,
};
use super::{Rule, Violation};
use crate::{
    schema::{NestedBlock, Nesting, Schema},
    value::{Dynamic, Step},
};

pub(super) fn check(
    rule: Rule,
    schema: &Schema,
    planned: &Dynamic,
    actual: &Dynamic,
) -> Vec<Violation> {
    let mut report = Report::new(rule);
    object(&mut report, (&schema.block).into(), planned, actual);
    report.into_violations()
}

fn object(report: &mut Report, fields: Fields<'_>, planned: &Dynamic, actual: &Dynamic) {
    if planned.is_unknown() || (planned.is_null() && actual.is_null()) {
        return;
    }
    if planned.is_null() {
        return report.say("was absent, is now present");
    }
    if actual.is_null() {
        return report.say("was present, is now absent");
    }
    if actual.is_unknown() {
        return report.say("was known, is now unknown");
    }
    for attribute in fields.attributes {
        let (planned, actual) = (
            child(planned, &attribute.name),
            child(actual, &attribute.name),
        );
        report.under(Step::Attribute(attribute.name.clone()), |report| {
            if attribute.sensitive {
                // Not even the keys inside may be told.
                if !Report::passes(|report| value(report, planned, actual)) {
                    let (planned, actual) = (show(planned, true), show(actual, true));
                    report.say(format!("was {planned}, is now {actual}"));
                }
            } else if is_secret(attribute) {
                report.hiding(|report| value(report, planned, actual));
            } else {
                value(report, planned, actual);
            }
        });
    }
    for field in fields.blocks {
        let (planned, actual) = (child(planned, &field.name), child(actual, &field.name));
        report.under(Step::Attribute(field.name.clone()), |report| {
            block(report, field, planned, actual);
        });
    }
}

fn block(report: &mut Report, block: &NestedBlock, planned: &Dynamic, actual: &Dynamic) {
    let fields = Fields::from(&block.block);
    if nesting(block) == Nesting::Single {
        return object(report, fields, planned, actual);
    }
    // A dynamic block whose number was unknown becomes any number of blocks.
    if planned.is_unknown() {
        return;
    }
    if actual.is_unknown() {
        return report.say("was known, is now unknown");
    }
    match nesting(block) {
        Nesting::Single => {}
        Nesting::List => {
            let (before, after) = (elements(planned).len(), elements(actual).len());
            if before != after {
                return report.say(format!("was {before} blocks, is now {after}"));
            }
            for (step, index) in (0..).zip(0..before) {
                report.under(Step::Index(step), |report| {
                    object(
                        report,
                        fields,
                        element(planned, index),
                        element(actual, index),
                    );
                });
            }
        }
        Nesting::Map => same_keys(report, planned, actual, |report, planned, actual| {
            object(report, fields, planned, actual);
        }),
        Nesting::Set => {
            let sets = |report: &mut Report| {
                correlate(report, planned, actual, |report, planned, actual| {
                    object(report, fields, planned, actual);
                });
            };
            if holds_secret(fields) {
                report.hiding(sets);
            } else {
                sets(report);
            }
        }
    }
}

fn value(report: &mut Report, planned: &Dynamic, actual: &Dynamic) {
    // Without a type of its own, a planned null promises nothing about a place of dynamic type.
    if matches!((planned, actual), (Dynamic::Null, Dynamic::Typed(..))) {
        return;
    }
    if let Dynamic::Typed(before, _) = planned {
        let same = match actual {
            Dynamic::Typed(after, _) => before == after || before.has_dynamic(),
            _ => false,
        };
        if !same {
            return report.say(format!("was of type {before}, is now of another"));
        }
    }
    match (planned.untyped(), actual.untyped()) {
        (Dynamic::Unknown(refinement), actual) => {
            if !refinement.admits(actual) {
                report.say(format!(
                    "is now {actual}, which is outside of what the plan promised"
                ));
            }
        }
        (_, Dynamic::Unknown(_)) => report.say("was known, is now unknown"),
        (Dynamic::List(before), Dynamic::List(after))
        | (Dynamic::Tuple(before), Dynamic::Tuple(after)) => {
            if before.len() != after.len() {
                let (before, after) = (before.len(), after.len());
                return report.say(format!("was {before} elements, is now {after}"));
            }
            for (index, (before, after)) in (0..).zip(before.iter().zip(after)) {
                report.under(Step::Index(index), |report| value(report, before, after));
            }
        }
        (Dynamic::Set(_), Dynamic::Set(_)) => correlate(report, planned, actual, value),
        (Dynamic::Map(_), Dynamic::Map(_)) => same_keys(report, planned, actual, value),
        (Dynamic::Object(before), Dynamic::Object(_)) => {
            for (name, before) in before {
                report.under(Step::Attribute(name.clone()), |report| {
                    value(report, before, child(actual, name));
                });
            }
        }
        (before, after) => {
            if before != after {
                report.say(format!("was {before}, is now {after}"));
            }
        }
    }
}

fn same_keys(
    report: &mut Report,
    planned: &Dynamic,
    actual: &Dynamic,
    check: impl Fn(&mut Report, &Dynamic, &Dynamic),
) {
    let (Some(before), Some(after)) = (planned.as_mapping(), actual.as_mapping()) else {
        return;
    };
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        report.say(format!("key {key:?} has vanished"));
    }
    for key in after.keys().filter(|key| !before.contains_key(*key)) {
        report.say(format!("key {key:?} has appeared"));
    }
    for key in before.keys().filter(|key| after.contains_key(*key)) {
        report.under(Step::Key(key.clone()), |report| {
            check(report, entry(planned, key), entry(actual, key));
        });
    }
}

/// Each planned element becomes some actual one, and each actual one comes from a planned one.
/// Elements that turn out equal become one, so a set may shrink; it never grows.
fn correlate(
    report: &mut Report,
    planned: &Dynamic,
    actual: &Dynamic,
    check: impl Fn(&mut Report, &Dynamic, &Dynamic),
) {
    let (before, after) = (elements(planned), elements(actual));
    let fits = |planned: &Dynamic, actual: &Dynamic| {
        Report::passes(|report| check(report, planned, actual))
    };
    for element in before
        .iter()
        .filter(|before| !after.iter().any(|after| fits(before, after)))
    {
        report.say(format!("planned element {element} has vanished"));
    }
    for element in after
        .iter()
        .filter(|after| !before.iter().any(|before| fits(before, after)))
    {
        report.say(format!("element {element} was not planned"));
    }
    if after.len() > before.len() {
        report.say(format!(
            "was {} elements, is now {}",
            before.len(),
            after.len()
        ));
    }
}

fn elements(value: &Dynamic) -> &[Dynamic] {
    value.as_sequence().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        schema::{Attribute, BlockNesting},
        value::{Refinement, Type},
    };

    fn messages(planned: Dynamic, actual: Dynamic) -> Vec<String> {
        let schema = Schema::new("").attribute(Attribute::dynamic("a").computed());
        let [planned, actual] = [planned, actual].map(|value| Dynamic::object([("a", value)]));
        check(Rule::ResultMatchesPlan, &schema, &planned, &actual)
            .iter()
            .map(|violation| format!("{}: {}", violation.path, violation.message))
            .collect()
    }

    fn texts(texts: &[&str]) -> Vec<Dynamic> {
        texts.iter().copied().map(Dynamic::from).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn what_was_known_stays() {
        let list = |items: &[&str]| Dynamic::List(texts(items));
        assert_eq!(messages(list(&["x"]), list(&["x"])), NONE);
        assert_eq!(
            messages(list(&["x"]), list(&["y"])),
            [r#"a[0]: was "x", is now "y""#]
        );
        assert_eq!(
            messages(list(&["x"]), list(&["x", "y"])),
            ["a: was 1 elements, is now 2"]
        );
        assert_eq!(
            messages(list(&["x"]), Dynamic::Null),
            [r#"a: was ["x"], is now null"#]
        );
        assert_eq!(
            messages(Dynamic::Null, list(&["x"])),
            [r#"a: was null, is now ["x"]"#]
        );
        assert_eq!(
            messages(list(&["x"]), Dynamic::unknown()),
            ["a: was known, is now unknown"]
        );
        let map = |key: &str| Dynamic::Map([(key.to_owned(), Dynamic::Null)].into());
        assert_eq!(
            messages(map("k"), map("j")),
            [r#"a: key "k" has vanished"#, r#"a: key "j" has appeared"#]
        );
    }

    #[test]
    fn an_unknown_becomes_what_it_promised() {
        let id = || Dynamic::Unknown(Refinement::default().with_not_null().with_prefix("id-"));
        assert_eq!(messages(id(), Dynamic::from("id-7")), NONE);
        assert_eq!(messages(id(), Dynamic::unknown()), NONE);
        assert_eq!(
            messages(id(), Dynamic::from("x")),
            [r#"a: is now "x", which is outside of what the plan promised"#]
        );
        assert_eq!(
            messages(id(), Dynamic::Null),
            ["a: is now null, which is outside of what the plan promised"]
        );
        let typed = |ty: Type, value| Dynamic::Typed(Box::new(ty), Box::new(value));
        assert_eq!(
            messages(
                typed(Type::String, Dynamic::unknown()),
                typed(Type::Bool, Dynamic::Null)
            ),
            ["a: was of type string, is now of another"]
        );
    }

    #[test]
    fn a_set_may_shrink_but_not_grow() {
        let set = Dynamic::Set;
        let two = || set(vec![Dynamic::unknown(), Dynamic::unknown()]);
        assert_eq!(messages(two(), set(texts(&["x"]))), NONE);
        assert_eq!(messages(two(), set(texts(&["x", "y"]))), NONE);
        assert_eq!(
            messages(two(), set(texts(&["x", "y", "z"]))),
            ["a: was 2 elements, is now 3"]
        );
        assert_eq!(
            messages(set(texts(&["x"])), set(texts(&["y"]))),
            [
                r#"a: planned element "x" has vanished"#,
                r#"a: element "y" was not planned"#
            ]
        );
    }

    #[test]
    fn sensitive_values_stay_out_of_messages() {
        let schema = Schema::new("").attribute(Attribute::string("a").computed().sensitive());
        let value = |text: &str| Dynamic::object([("a", Dynamic::from(text))]);
        let found = check(Rule::ResultMatchesPlan, &schema, &value("s1"), &value("s2"));
        let messages: Vec<_> = found
            .iter()
            .map(|violation| violation.message.as_str())
            .collect();
        assert_eq!(
            messages,
            ["was (sensitive value), is now (sensitive value)"]
        );
    }

    #[test]
    fn a_secret_inside_an_object_or_a_set_stays_out_too() {
        let inner = || {
            [
                Attribute::string("a").optional(),
                Attribute::string("s").optional().sensitive(),
            ]
        };
        let schema = Schema::new("")
            .attribute(Attribute::list_of_objects("l", inner()).optional())
            .block(NestedBlock::new("b", BlockNesting::Set, "", inner()));
        let value = |secret: &str| {
            let item = || Dynamic::object([("a", Dynamic::Null), ("s", Dynamic::from(secret))]);
            Dynamic::object([
                ("l", Dynamic::List(vec![item()])),
                ("b", Dynamic::Set(vec![item()])),
            ])
        };
        let found = check(Rule::ResultMatchesPlan, &schema, &value("s1"), &value("s2"));
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert!(shown[0].contains("l[0].s: "), "{shown:?}");
        assert!(
            !shown
                .iter()
                .any(|line| line.contains("s1") || line.contains("s2")),
            "{shown:?}"
        );
    }

    #[test]
    fn blocks_keep_their_number() {
        let inner = NestedBlock::new(
            "b",
            BlockNesting::List,
            "",
            [Attribute::string("a").optional()],
        );
        let schema = Schema::new("").block(inner);
        let item = || Dynamic::object([("a", Dynamic::Null)]);
        let of = |value| Dynamic::object([("b", value)]);
        let found =
            |planned, actual| check(Rule::FinalPlan, &schema, &of(planned), &of(actual)).len();
        let list = Dynamic::List;
        assert_eq!(found(list(vec![item()]), list(vec![item()])), 0);
        assert_eq!(found(list(vec![item()]), list(vec![])), 1);
        assert_eq!(found(Dynamic::unknown(), list(vec![item(), item()])), 0);
        assert_eq!(found(list(vec![item()]), Dynamic::unknown()), 1);
    }
}
