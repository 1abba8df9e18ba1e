//! Whether a plan is one that the configuration allows.
//!
//! A provider may plan for each attribute what is configured, or what was there before where the
//! two mean the same; it decides freely only where the attribute is computed and not configured.
//! Blocks are as many as configured. Objects in a set have no address by which to compare them, so
//! the core trusts the provider about them, and so must this.

use super::report::{Fields, Report, child, element, entry, is_secret, nesting, show};
use super::{Rule, Violation};
use crate::{
    schema::{Attribute, AttributeKind, NestedBlock, Nesting, Schema},
    value::{Dynamic, Refinement, Step},
};

/// The three values of one place.
#[derive(Clone, Copy)]
struct Place<'v> {
    prior: &'v Dynamic,
    config: &'v Dynamic,
    planned: &'v Dynamic,
    sensitive: bool,
}

pub(super) fn check(
    schema: &Schema,
    prior: &Dynamic,
    config: &Dynamic,
    planned: &Dynamic,
) -> Vec<Violation> {
    // The core compares without promises: what is unknown may promise more than the configuration.
    let [prior, config, planned] = [prior, config, planned].map(without_promises);
    let place = Place {
        prior: &prior,
        config: &config,
        planned: &planned,
        sensitive: false,
    };
    let mut report = Report::new(Rule::PlanMatchesConfig);
    object(&mut report, (&schema.block).into(), place);
    report.into_violations()
}

impl<'v> Place<'v> {
    fn with(self, pick: impl Fn(&'v Dynamic) -> &'v Dynamic) -> Self {
        Self {
            prior: pick(self.prior),
            config: pick(self.config),
            planned: pick(self.planned),
            sensitive: self.sensitive,
        }
    }

    /// What is wrong about presence alone; `None` where both are present and known.
    fn presence(self) -> Option<Result<(), &'static str>> {
        if self.planned == self.config {
            return Some(Ok(()));
        }
        let problem = if self.planned.is_null() {
            "planned to be absent, but configured"
        } else if self.config.is_null() {
            "planned to be present, but not configured"
        } else if self.config.is_unknown() {
            "planned to be known, but the configuration is not known yet"
        } else if self.planned.is_unknown() {
            "planned to be unknown, but configured; make attributes inside it unknown instead"
        } else {
            return None;
        };
        Some(Err(problem))
    }
}

fn object(report: &mut Report, fields: Fields<'_>, place: Place<'_>) {
    match place.presence() {
        Some(Ok(())) => {}
        Some(Err(problem)) => report.say(problem),
        None => {
            for field in fields.attributes {
                report.under(Step::Attribute(field.name.clone()), |report| {
                    attribute(report, field, place.with(|value| child(value, &field.name)));
                });
            }
            for field in fields.blocks {
                report.under(Step::Attribute(field.name.clone()), |report| {
                    block(report, field, place.with(|value| child(value, &field.name)));
                });
            }
        }
    }
}

fn attribute(report: &mut Report, attribute: &Attribute, place: Place<'_>) {
    let place = Place {
        sensitive: place.sensitive || attribute.sensitive,
        ..place
    };
    let Place {
        prior,
        config,
        planned,
        sensitive,
    } = place;
    if planned == config {
        return;
    }
    if attribute.write_only {
        if !planned.is_null() {
            report.say(format!("null is required, found {}", planned.kind()));
        }
        return;
    }
    // The provider says that the new value means the same as the one before.
    let kept = planned == prior && !prior.is_null() && !config.is_null();
    let free = attribute.computed && (config.is_null() || !attribute.is_configurable());
    if kept || free {
        return;
    }
    let shown = |value| show(value, sensitive || is_secret(attribute));
    if config.is_null() {
        let planned = shown(planned);
        return report.say(format!(
            "planned {planned}, but it is neither configured nor computed"
        ));
    }
    if let AttributeKind::Nested(nested) = &attribute.kind {
        return collection(report, nested.into(), nested.nesting, place);
    }
    let before = if prior.is_null() {
        String::new()
    } else {
        format!(", and {} before", shown(prior))
    };
    report.say(format!(
        "planned {}, but configured {}{before}",
        shown(planned),
        shown(config)
    ));
}

fn block(report: &mut Report, block: &NestedBlock, place: Place<'_>) {
    let nesting = nesting(block);
    if nesting != Nesting::Single && place.planned.is_null() && !place.config.is_unknown() {
        return report.say("planned null; no blocks are an empty collection");
    }
    if nesting != Nesting::Set {
        return collection(report, (&block.block).into(), nesting, place);
    }
    match place.presence() {
        Some(Ok(())) => {}
        Some(Err(problem)) => report.say(problem),
        None => {
            if place
                .planned
                .as_sequence()
                .unwrap_or_default()
                .iter()
                .any(Dynamic::is_unknown)
            {
                report.say(
                    "a block is planned to be unknown; make attributes inside it unknown instead",
                );
            }
        }
    }
}

fn collection(report: &mut Report, fields: Fields<'_>, nesting: Nesting, place: Place<'_>) {
    if nesting == Nesting::Single {
        return object(report, fields, place);
    }
    match place.presence() {
        Some(Ok(())) => return,
        Some(Err(problem)) => return report.say(problem),
        None => {}
    }
    match nesting {
        Nesting::Single => {}
        Nesting::List => {
            let (planned, config) = (length(place.planned), length(place.config));
            if planned != config {
                return report.say(format!(
                    "planned {planned} elements, but configured {config}"
                ));
            }
            for (step, index) in (0..).zip(0..config) {
                report.under(Step::Index(step), |report| {
                    object(report, fields, place.with(|value| element(value, index)));
                });
            }
        }
        Nesting::Map => {
            let keys = |value: &Dynamic| -> Vec<String> {
                value
                    .as_mapping()
                    .map(|map| map.keys().cloned().collect())
                    .unwrap_or_default()
            };
            let (planned, config) = (keys(place.planned), keys(place.config));
            for key in config.iter().filter(|key| !planned.contains(key)) {
                report.say(format!("key {key:?} is configured, but not planned"));
            }
            for key in planned.iter().filter(|key| !config.contains(key)) {
                report.say(format!("key {key:?} is planned, but not configured"));
            }
            for key in config.iter().filter(|key| planned.contains(key)) {
                report.under(Step::Key(key.clone()), |report| {
                    object(report, fields, place.with(|value| entry(value, key)));
                });
            }
        }
        Nesting::Set => {
            let (planned, config) = (length(place.planned), length(place.config));
            // Elements that are not known yet may turn out equal.
            let fewest = if place.planned.is_wholly_known() {
                planned
            } else {
                planned.min(1)
            };
            if place.config.is_wholly_known() && !(fewest..=planned).contains(&config) {
                report.say(format!(
                    "planned {planned} elements, but configured {config}"
                ));
            }
        }
    }
}

fn length(value: &Dynamic) -> usize {
    value.as_sequence().map_or(0, <[_]>::len)
}

fn without_promises(value: &Dynamic) -> Dynamic {
    let all = |values: &[Dynamic]| values.iter().map(without_promises).collect();
    let each = |values: &std::collections::BTreeMap<String, Dynamic>| {
        values
            .iter()
            .map(|(name, value)| (name.clone(), without_promises(value)))
            .collect()
    };
    match value {
        Dynamic::Unknown(_) => Dynamic::Unknown(Refinement::default()),
        Dynamic::List(values) => Dynamic::List(all(values)),
        Dynamic::Set(values) => Dynamic::Set(all(values)),
        Dynamic::Tuple(values) => Dynamic::Tuple(all(values)),
        Dynamic::Map(values) => Dynamic::Map(each(values)),
        Dynamic::Object(values) => Dynamic::Object(each(values)),
        Dynamic::Typed(ty, value) => Dynamic::Typed(ty.clone(), Box::new(without_promises(value))),
        Dynamic::Null | Dynamic::Bool(_) | Dynamic::Number(_) | Dynamic::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::BlockNesting;

    /// The messages for a schema of one attribute or block.
    fn messages(schema: &Schema, name: &str, values: [Dynamic; 3]) -> Vec<String> {
        let [prior, config, planned] = values.map(|value| Dynamic::object([(name, value)]));
        check(schema, &prior, &config, &planned)
            .iter()
            .map(|violation| format!("{}: {}", violation.path, violation.message))
            .collect()
    }

    #[track_caller]
    fn attribute_check(attribute: Attribute, values: [Dynamic; 3], expected: &[&str]) {
        let name = attribute.name.clone();
        assert_eq!(
            messages(&Schema::new("").attribute(attribute), &name, values),
            expected
        );
    }

    fn text(text: &str) -> Dynamic {
        Dynamic::from(text)
    }

    #[test]
    fn what_is_configured_is_planned_or_kept() {
        let a = || Attribute::string("a").optional();
        attribute_check(a(), [text("old"), text("new"), text("new")], &[]);
        attribute_check(a(), [text("NEW"), text("new"), text("NEW")], &[]);
        attribute_check(
            a(),
            [text("old"), text("new"), text("other")],
            &[r#"a: planned "other", but configured "new", and "old" before"#],
        );
        attribute_check(
            a(),
            [Dynamic::Null, text("new"), Dynamic::unknown()],
            &[r#"a: planned (known after apply), but configured "new""#],
        );
        attribute_check(
            a(),
            [text("old"), Dynamic::Null, text("old")],
            &[r#"a: planned "old", but it is neither configured nor computed"#],
        );
    }

    #[test]
    fn a_computed_value_is_free_only_where_not_configured() {
        let a = || Attribute::string("a").optional().computed();
        attribute_check(a(), [Dynamic::Null, Dynamic::Null, text("any")], &[]);
        attribute_check(a(), [text("old"), Dynamic::Null, Dynamic::unknown()], &[]);
        attribute_check(a(), [text("old"), Dynamic::Null, Dynamic::Null], &[]);
        attribute_check(
            a(),
            [Dynamic::Null, text("a"), text("b")],
            &[r#"a: planned "b", but configured "a""#],
        );
    }

    #[test]
    fn an_unknown_may_promise_more_than_the_configuration() {
        let refined = Dynamic::Unknown(Refinement::default().with_prefix("x"));
        attribute_check(
            Attribute::string("a").optional(),
            [Dynamic::Null, Dynamic::unknown(), refined],
            &[],
        );
    }

    #[test]
    fn sensitive_values_stay_out_of_messages() {
        attribute_check(
            Attribute::object("o", [Attribute::string("a").optional()])
                .optional()
                .sensitive(),
            [
                Dynamic::Null,
                Dynamic::object([("a", text("s1"))]),
                Dynamic::object([("a", text("s2"))]),
            ],
            &["o.a: planned (sensitive value), but configured (sensitive value)"],
        );
    }

    #[test]
    fn nested_attributes_are_compared_one_by_one() {
        let list = || {
            Attribute::list_of_objects(
                "l",
                [
                    Attribute::string("a").optional(),
                    Attribute::string("id").computed(),
                ],
            )
            .optional()
        };
        let item = |a: &str, id| Dynamic::object([("a", text(a)), ("id", id)]);
        let config = || Dynamic::List(vec![item("x", Dynamic::Null), item("y", Dynamic::Null)]);
        let good = Dynamic::List(vec![item("x", Dynamic::unknown()), item("y", text("2"))]);
        attribute_check(list(), [Dynamic::Null, config(), good], &[]);
        let bad = Dynamic::List(vec![item("x", Dynamic::Null), item("z", Dynamic::Null)]);
        attribute_check(
            list(),
            [Dynamic::Null, config(), bad],
            &[r#"l[1].a: planned "z", but configured "y""#],
        );
        let short = Dynamic::List(vec![item("x", Dynamic::Null)]);
        attribute_check(
            list(),
            [Dynamic::Null, config(), short],
            &["l: planned 1 elements, but configured 2"],
        );
        attribute_check(
            list(),
            [Dynamic::Null, config(), Dynamic::unknown()],
            &[
                "l: planned to be unknown, but configured; make attributes inside it unknown instead",
            ],
        );
    }

    #[test]
    fn a_set_of_objects_has_as_many_as_configured() {
        let set = || Attribute::set_of_objects("s", [Attribute::string("a").optional()]).optional();
        let of = |items: Vec<Dynamic>| {
            Dynamic::Set(
                items
                    .into_iter()
                    .map(|a| Dynamic::object([("a", a)]))
                    .collect(),
            )
        };
        let one = || of(vec![text("x")]);
        let two = || of(vec![text("x"), text("y")]);
        let vague = || of(vec![Dynamic::unknown(), text("y")]);
        attribute_check(set(), [Dynamic::Null, one(), one()], &[]);
        attribute_check(
            set(),
            [Dynamic::Null, one(), two()],
            &["s: planned 2 elements, but configured 1"],
        );
        attribute_check(set(), [Dynamic::Null, vague(), one()], &[]);
        attribute_check(set(), [Dynamic::Null, one(), vague()], &[]);
    }

    #[test]
    fn keys_of_a_map_are_those_configured() {
        let map = Attribute::map_of_objects("m", [Attribute::string("a").optional()]).optional();
        let of = |key: &str| {
            Dynamic::Map([(key.to_owned(), Dynamic::object([("a", text("x"))]))].into())
        };
        attribute_check(
            map,
            [Dynamic::Null, of("k"), of("j")],
            &[
                r#"m: key "k" is configured, but not planned"#,
                r#"m: key "j" is planned, but not configured"#,
            ],
        );
    }

    #[test]
    fn blocks_are_as_many_as_configured_and_never_null() {
        let inner = || {
            [
                Attribute::string("a").optional(),
                Attribute::string("id").computed(),
            ]
        };
        let schema = |nesting| Schema::new("").block(NestedBlock::new("b", nesting, "", inner()));
        let item = |a: &str| Dynamic::object([("a", text(a)), ("id", Dynamic::Null)]);
        let list = |items: &[&str]| Dynamic::List(items.iter().map(|a| item(a)).collect());
        let set = |items: &[&str]| Dynamic::Set(items.iter().map(|a| item(a)).collect());
        let on_list = |config, planned| {
            messages(
                &schema(BlockNesting::List),
                "b",
                [list(&[]), config, planned],
            )
        };
        let on_set = |config, planned| {
            messages(&schema(BlockNesting::Set), "b", [set(&[]), config, planned])
        };
        assert_eq!(on_list(list(&["x"]), list(&["x"])), [""; 0]);
        assert_eq!(
            on_list(list(&["x"]), list(&["x", "y"])),
            ["b: planned 2 elements, but configured 1"]
        );
        assert_eq!(
            on_list(list(&[]), Dynamic::Null),
            ["b: planned null; no blocks are an empty collection"]
        );
        assert_eq!(
            on_list(Dynamic::unknown(), list(&[])),
            ["b: planned to be known, but the configuration is not known yet"]
        );
        assert_eq!(on_set(set(&["x"]), set(&["y"])), [""; 0], "not correlated");
        let vague = Dynamic::Set(vec![Dynamic::unknown()]);
        assert_eq!(
            on_set(set(&["x"]), vague),
            ["b: a block is planned to be unknown; make attributes inside it unknown instead"]
        );
        assert_eq!(
            messages(
                &schema(BlockNesting::Single),
                "b",
                [Dynamic::Null, Dynamic::Null, item("x")]
            ),
            ["b: planned to be present, but not configured"]
        );
    }
}
