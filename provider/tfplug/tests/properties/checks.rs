//! Properties of the checked layer, over random schemas, configurations, states and unknowns.

use crate::arbitrary::{Choices, choices};
use proptest::prelude::*;
use tfplug::{
    check::{self, Action, Rule, Violation},
    schema::{Attribute, AttributeKind, Nesting, Schema},
    value::{Dynamic, Path, Step, Type},
};

/// A schema, what is there and what is asked for.
fn scene(choices: &mut Choices) -> (Schema, Dynamic, Dynamic) {
    let schema = choices.schema();
    let prior = if choices.one_in(3) {
        Dynamic::Null
    } else {
        choices.state(&schema)
    };
    let config = choices.config(&schema);
    (schema, prior, config)
}

/// What a provider without ideas of its own plans: the proposal without write-only values.
fn plain_plan(schema: &Schema, prior: &Dynamic, config: &Dynamic) -> Dynamic {
    without_write_only(schema, check::proposed_new(schema, prior, config))
}

/// What a provider answers whose cloud keeps every promise of the plan.
fn result(choices: &mut Choices, schema: &Schema, planned: &Dynamic) -> Dynamic {
    without_write_only(schema, choices.fill(planned, &schema.implied_type()))
}

fn without_write_only(schema: &Schema, mut value: Dynamic) -> Dynamic {
    for place in places(schema, &value) {
        if place.attribute.write_only {
            *value
                .get_mut(&place.path)
                .expect("the place was found there") = Dynamic::Null;
        }
    }
    value
}

/// What a provider plans that decides everything computed at apply.
fn late_plan(choices: &mut Choices, schema: &Schema, config: &Dynamic) -> Dynamic {
    let mut planned = plain_plan(schema, &Dynamic::Null, config);
    for place in places(schema, config) {
        let absent = config.get(&place.path).is_some_and(Dynamic::is_null);
        if place.attribute.computed && absent {
            let unknown = choices.unknown(&place.attribute.implied_type());
            *planned
                .get_mut(&place.path)
                .expect("a plan has the places of its configuration") = unknown;
        }
    }
    planned
}

/// An attribute of a value, with its path.
struct Place<'s> {
    path: Path,
    attribute: &'s Attribute,
    /// A nested attribute that holds others.
    outer: bool,
}

/// All attributes of a value but those in sets, outer ones before those inside.
fn places<'s>(schema: &'s Schema, value: &Dynamic) -> Vec<Place<'s>> {
    let mut found = Vec::new();
    walk_block(&schema.block, value, &Path::root(), &mut found);
    found
}

fn walk_block<'s>(
    block: &'s tfplug::schema::Block,
    value: &Dynamic,
    path: &Path,
    found: &mut Vec<Place<'s>>,
) {
    walk(&block.attributes, value, path, found);
    for block in &block.blocks {
        let path = path.clone().with_attribute(&block.name);
        for (path, object) in objects(value.attribute(&block.name), &path) {
            walk_block(&block.block, object, &path, found);
        }
    }
}

fn walk<'s>(attributes: &'s [Attribute], value: &Dynamic, path: &Path, found: &mut Vec<Place<'s>>) {
    for attribute in attributes {
        let path = path.clone().with_attribute(&attribute.name);
        let inside = match &attribute.kind {
            AttributeKind::Nested(nested) if nested.nesting != Nesting::Set => Some(nested),
            _ => None,
        };
        let objects = objects(value.attribute(&attribute.name), &path);
        let outer = inside.is_some() && !objects.is_empty();
        found.push(Place {
            path,
            attribute,
            outer,
        });
        for (path, object) in objects {
            if let Some(nested) = inside {
                walk(&nested.attributes, object, &path, found);
            }
        }
    }
}

fn objects<'v>(value: Option<&'v Dynamic>, path: &Path) -> Vec<(Path, &'v Dynamic)> {
    let mut found = match value {
        Some(value @ Dynamic::Object(_)) => vec![(path.clone(), value)],
        Some(Dynamic::List(values)) => (0..)
            .zip(values)
            .map(|(index, v)| (path.clone().with_index(index), v))
            .collect(),
        Some(Dynamic::Map(values)) => values
            .iter()
            .map(|(key, v)| (path.clone().with_key(key), v))
            .collect(),
        _ => Vec::new(),
    };
    found.retain(|(_, value)| matches!(value, Dynamic::Object(_)));
    found
}

fn rules(found: &[Violation]) -> Vec<Rule> {
    let mut rules: Vec<_> = found.iter().map(|violation| violation.rule).collect();
    rules.dedup();
    rules
}

/// Another value of the same type, never equal to `value`.
fn another(value: &Dynamic) -> Dynamic {
    match value {
        Dynamic::Bool(value) => Dynamic::Bool(!value),
        Dynamic::String(text) => Dynamic::String(format!("{text}!")),
        _ => Dynamic::Null,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_global_rejects: 65_536, ..Default::default() })]

    #[test]
    fn random_schemas_are_good_and_values_are_of_their_type(mut choices in choices()) {
        let (schema, prior, config) = scene(&mut choices);
        prop_assert_eq!(check::schema(&schema), []);
        let ty: Type = schema.implied_type();
        prop_assert_eq!(prior.conforms_to(&ty), Ok(()));
        prop_assert_eq!(config.conforms_to(&ty), Ok(()));
        prop_assert_eq!(check::proposed_new(&schema, &prior, &config).conforms_to(&ty), Ok(()));
    }

    #[test]
    fn what_terraform_proposes_may_be_planned(mut choices in choices()) {
        let (schema, prior, config) = scene(&mut choices);
        let planned = plain_plan(&schema, &prior, &config);
        prop_assert_eq!(check::plan(&schema, &prior, &config, &planned), []);
    }

    #[test]
    fn what_terraform_proposes_is_stable(mut choices in choices()) {
        let (schema, prior, config) = scene(&mut choices);
        let once = check::proposed_new(&schema, &prior, &config);
        let twice = check::proposed_new(&schema, &once, &config);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn a_configured_attribute_cannot_be_planned_otherwise(mut choices in choices()) {
        let (schema, prior, config) = scene(&mut choices);
        let mut planned = plain_plan(&schema, &prior, &config);
        let configured: Vec<_> = places(&schema, &config)
            .into_iter()
            .filter(|place| {
                let value = config.get(&place.path);
                !place.outer
                    && !place.attribute.write_only
                    && value.is_some_and(|value| !value.is_null() && !value.is_unknown())
            })
            .collect();
        prop_assume!(!configured.is_empty());
        let place = &configured[choices.pick(configured.len())];
        let other = another(config.get(&place.path).expect("it is configured"));
        prop_assume!(prior.get(&place.path) != Some(&other));
        *planned.get_mut(&place.path).expect("a plan has what is configured") = other;
        prop_assert_eq!(
            rules(&check::plan(&schema, &prior, &config, &planned)),
            [Rule::PlanMatchesConfig]
        );
    }

    #[test]
    fn write_only_values_are_found_wherever_they_are(mut choices in choices()) {
        let (schema, prior, config) = scene(&mut choices);
        let proposed = check::proposed_new(&schema, &prior, &config);
        let leaks = places(&schema, &proposed)
            .iter()
            .any(|place| {
                place.attribute.write_only
                    && proposed.get(&place.path).is_some_and(|value| !value.is_null())
            });
        let expected = if leaks { vec![Rule::WriteOnly] } else { vec![] };
        prop_assert_eq!(rules(&check::plan(&schema, &prior, &config, &proposed)), expected);
    }

    #[test]
    fn unknowns_become_what_they_promised(mut choices in choices()) {
        let (schema, _, config) = scene(&mut choices);
        let planned = late_plan(&mut choices, &schema, &config);
        prop_assert_eq!(check::plan(&schema, &Dynamic::Null, &config, &planned), []);
        let new = result(&mut choices, &schema, &planned);
        prop_assert_eq!(check::applied(&schema, &planned, &new), []);
        prop_assert_eq!(check::read(&schema, &new), []);
        let create = Action::Create;
        prop_assert_eq!(check::final_plan(&schema, (create, &planned), (create, &new)), []);
        let back = check::final_plan(&schema, (create, &new), (create, &planned));
        prop_assert_eq!(back.is_empty(), planned.is_wholly_known());
    }

    #[test]
    fn a_broken_promise_is_found(mut choices in choices()) {
        let (schema, _, config) = scene(&mut choices);
        let planned = late_plan(&mut choices, &schema, &config);
        let mut new = result(&mut choices, &schema, &planned);
        let promising: Vec<_> = places(&schema, &planned)
            .into_iter()
            .filter(|place| match planned.get(&place.path) {
                Some(Dynamic::Unknown(refinement)) => !refinement.admits(&Dynamic::Null),
                _ => false,
            })
            .collect();
        prop_assume!(!promising.is_empty());
        let place = &promising[choices.pick(promising.len())];
        *new.get_mut(&place.path).expect("a result has the places of its plan") = Dynamic::Null;
        prop_assert_eq!(
            rules(&check::applied(&schema, &planned, &new)),
            [Rule::ResultMatchesPlan]
        );
    }

    #[test]
    fn a_planned_value_cannot_change(mut choices in choices()) {
        let (schema, _, config) = scene(&mut choices);
        let planned = late_plan(&mut choices, &schema, &config);
        let mut new = result(&mut choices, &schema, &planned);
        let known: Vec<_> = places(&schema, &planned)
            .into_iter()
            .filter(|place| {
                !place.outer
                    && planned.get(&place.path).is_some_and(|v| !v.is_null() && !v.is_unknown())
            })
            .collect();
        prop_assume!(!known.is_empty());
        let place = &known[choices.pick(known.len())];
        let other = another(planned.get(&place.path).expect("it is planned"));
        *new.get_mut(&place.path).expect("a result has the places of its plan") = other;
        prop_assert_eq!(
            rules(&check::applied(&schema, &planned, &new)),
            [Rule::ResultMatchesPlan]
        );
    }

    #[test]
    fn every_state_is_compatible_with_itself(mut choices in choices()) {
        let schema = choices.schema();
        let state = choices.state(&schema);
        prop_assert_eq!(check::applied(&schema, &state, &state), []);
        prop_assert_eq!(check::imported(&schema, &state), []);
        prop_assert_eq!(check::upgraded(&schema, &state), []);
        prop_assert_eq!(check::data(&schema, &state), []);
        prop_assert_eq!(check::action(&schema, &state, &state, &[]), Action::NoOp);
    }

    #[test]
    fn a_missing_attribute_is_of_another_type(mut choices in choices()) {
        let schema = choices.schema();
        let mut state = choices.state(&schema);
        if let Dynamic::Object(attributes) = &mut state {
            attributes.pop_first();
        }
        prop_assert_eq!(rules(&check::read(&schema, &state)), [Rule::Type]);
    }

    #[test]
    fn any_attribute_that_is_there_may_require_replacement(mut choices in choices()) {
        let (schema, prior, config) = scene(&mut choices);
        let planned = plain_plan(&schema, &prior, &config);
        let paths: Vec<_> = places(&schema, &planned).into_iter().map(|place| place.path).collect();
        prop_assert_eq!(check::replace_paths(&prior, &planned, &paths), []);
        let nowhere = [Path(vec![Step::Attribute("nowhere".to_owned())])];
        let found = check::replace_paths(&prior, &planned, &nowhere);
        prop_assert_eq!(found.is_empty(), prior.is_null());
    }
}
