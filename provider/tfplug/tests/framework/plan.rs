//! The plan pipeline: (schema, configuration, prior, proposed) → planned, paths to replace for.

use proptest::prelude::*;
use tfplug::check;
use tfplug::framework::plan::{Proposal, propose};
use tfplug::schema::{Attribute, BlockNesting, NestedBlock, PlanModifier, Schema};
use tfplug::value::{Dynamic, Type};
use tfplug::{Diagnostic, Diagnostics};

/// Plans with what Terraform would propose, and holds the answer to Terraform's rules.
#[track_caller]
fn plan(schema: &Schema, config: &Dynamic, prior: &Dynamic) -> Proposal {
    let proposed = check::proposed_new(schema, prior, config);
    let proposal = propose(schema, config, prior, proposed);
    assert_eq!(check::plan(schema, prior, config, &proposal.planned), []);
    assert_eq!(
        check::replace_paths(prior, &proposal.planned, &proposal.requires_replace),
        []
    );
    proposal
}

#[track_caller]
fn check(schema: &Schema, config: &Dynamic, prior: &Dynamic, planned: &str, replace: &[&str]) {
    let found = plan(schema, config, prior);
    let paths: Vec<String> = found
        .requires_replace
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        (found.planned.to_string().as_str(), paths),
        (planned, replace.iter().map(ToString::to_string).collect())
    );
    assert_eq!(found.diagnostics, Diagnostics::new());
}

fn object(values: &[(&str, Dynamic)]) -> Dynamic {
    Dynamic::object(values.iter().cloned())
}

const NULL: Dynamic = Dynamic::Null;

/// An endpoint, with one attribute of each kind.
fn endpoint() -> Schema {
    Schema::new("")
        .attribute(
            Attribute::string("id")
                .computed_prefix("projects/")
                .use_state_for_unknown(),
        )
        .attribute(Attribute::string("name").required().requires_replace())
        .attribute(Attribute::string("region").optional().default("us"))
        .attribute(Attribute::string("shape").optional().computed())
        .attribute(Attribute::string("token").optional().write_only())
        .attribute(
            Attribute::string("url")
                .computed()
                .use_non_null_state_for_unknown(),
        )
}

fn endpoint_value(
    id: Dynamic,
    name: &str,
    region: Dynamic,
    shape: Dynamic,
    url: Dynamic,
) -> Dynamic {
    let (name, token) = (name.into(), NULL);
    object(&[
        ("id", id),
        ("name", name),
        ("region", region),
        ("shape", shape),
        ("token", token),
        ("url", url),
    ])
}

fn endpoint_config(name: &str, region: Dynamic, shape: Dynamic) -> Dynamic {
    endpoint_value(NULL, name, region, shape, NULL)
}

#[test]
fn a_create_knows_what_is_configured_or_has_a_default() {
    let mut config = endpoint_config("chat", NULL, NULL);
    *config.attribute_mut("token").expect("it is there") = "s3cr3t".into();
    let unknown = "(known after apply)";
    let expect = format!(
        r#"{{ id = {unknown}, name = "chat", region = "us", shape = {unknown}, token = null, url = {unknown} }}"#
    );
    check(&endpoint(), &config, &NULL, &expect, &[]);

    let planned = plan(&endpoint(), &config, &NULL).planned;
    let Some(Dynamic::Unknown(id)) = planned.attribute("id") else {
        panic!("the id is unknown")
    };
    assert_eq!((id.prefix(), id.is_not_null()), (Some("projects/"), true));
}

#[test]
fn nothing_to_change_stays_so() {
    let prior = endpoint_value("projects/1".into(), "chat", "us".into(), "l4".into(), NULL);
    let proposal = plan(&endpoint(), &endpoint_config("chat", NULL, NULL), &prior);
    assert_eq!(proposal.planned, prior);
    assert!(proposal.requires_replace.is_empty());
}

#[test]
fn a_change_makes_unknown_what_the_provider_decides_and_no_modifier_keeps() {
    let config = endpoint_config("chat", "eu".into(), NULL);
    let prior = endpoint_value(
        "projects/1".into(),
        "chat",
        "us".into(),
        "l4".into(),
        "u".into(),
    );
    check(
        &endpoint(),
        &config,
        &prior,
        r#"{ id = "projects/1", name = "chat", region = "eu", shape = (known after apply), token = null, url = "u" }"#,
        &[],
    );
    // Not there yet, so it may still appear.
    let prior = endpoint_value("projects/1".into(), "chat", "us".into(), "l4".into(), NULL);
    let planned = plan(&endpoint(), &config, &prior).planned;
    assert!(planned.attribute("url").is_some_and(Dynamic::is_unknown));
}

#[test]
fn a_value_removed_from_the_configuration_goes_back_to_its_default() {
    let prior = endpoint_value("projects/1".into(), "chat", "eu".into(), "l4".into(), NULL);
    let planned = plan(&endpoint(), &endpoint_config("chat", NULL, NULL), &prior).planned;
    assert_eq!(planned.attribute("region"), Some(&"us".into()));
}

#[test]
fn a_change_that_cannot_be_made_in_place_replaces() {
    let prior = endpoint_value("projects/1".into(), "chat", "us".into(), "l4".into(), NULL);
    let found = plan(&endpoint(), &endpoint_config("talk", NULL, NULL), &prior);
    assert_eq!(found.requires_replace, ["name".into()]);
    // Terraform then plans the new object, with no prior: everything is decided anew.
    let second = plan(&endpoint(), &endpoint_config("talk", NULL, NULL), &NULL);
    assert!(
        second
            .planned
            .attribute("id")
            .is_some_and(Dynamic::is_unknown)
    );
    assert!(second.requires_replace.is_empty());
}

#[test]
fn a_value_unknown_in_the_configuration_is_the_users_to_decide() {
    let schema = Schema::new("").attribute(
        Attribute::string("a")
            .optional()
            .computed()
            .use_state_for_unknown()
            .requires_replace(),
    );
    let config = object(&[("a", Dynamic::unknown())]);
    check(
        &schema,
        &config,
        &object(&[("a", "x".into())]),
        "{ a = (known after apply) }",
        &["a"],
    );
}

#[test]
fn a_condition_decides_which_changes_replace() {
    let shrinks = |args: &tfplug::schema::ReplaceArgs<'_>| matches!((args.prior.as_number(), args.planned.as_number()), (Some(before), Some(after)) if after < before);
    let size = Attribute::number("size")
        .required()
        .requires_replace_if("where it shrinks", shrinks);
    assert_eq!(
        size.documentation(),
        "Changing this replaces the resource where it shrinks."
    );
    let schema = Schema::new("").attribute(size);
    let sized = |size: i64| object(&[("size", size.into())]);
    check(&schema, &sized(3), &sized(2), "{ size = 3 }", &[]);
    check(&schema, &sized(1), &sized(2), "{ size = 1 }", &["size"]);
}

#[test]
fn a_modifier_of_ones_own_sees_whether_anything_changes_and_can_refuse() {
    let guard = PlanModifier::new("Only grows.", |args| {
        if args.resource_changes && args.prior.is_some_and(|prior| *prior != *args.planned) {
            args.diagnostics
                .push(Diagnostic::error("No").at(args.path.clone()));
        }
    });
    let schema = Schema::new("").attribute(Attribute::number("size").required().modify(guard));
    let sized = |size: i64| object(&[("size", size.into())]);
    check(&schema, &sized(2), &sized(2), "{ size = 2 }", &[]);
    let found = plan(&schema, &sized(3), &sized(2));
    assert_eq!(
        found.diagnostics,
        Diagnostics::from(Diagnostic::error("No").at("size"))
    );
}

fn disk(name: &str, size: Dynamic, id: Dynamic) -> Dynamic {
    object(&[("id", id), ("name", name.into()), ("size", size)])
}

fn disk_attributes() -> [Attribute; 3] {
    [
        Attribute::string("id").computed().use_state_for_unknown(),
        Attribute::string("name").required().requires_replace(),
        Attribute::number("size").optional().default(10),
    ]
}

#[test]
fn elements_of_lists_and_maps_are_followed_by_position_and_key() {
    let schema = Schema::new("")
        .attribute(Attribute::list_of_objects("list", disk_attributes()).optional())
        .attribute(Attribute::map_of_objects("map", disk_attributes()).optional());
    let value = |list: Vec<Dynamic>, map: Vec<(&str, Dynamic)>| {
        let map = map
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        object(&[("list", Dynamic::List(list)), ("map", Dynamic::Map(map))])
    };
    let prior = value(
        vec![disk("a", 10.into(), "1".into())],
        vec![
            ("gone", disk("g", 10.into(), "2".into())),
            ("kept", disk("k", 10.into(), "3".into())),
        ],
    );
    let config = value(
        vec![disk("a", NULL, NULL), disk("b", 20.into(), NULL)],
        vec![("kept", disk("renamed", NULL, NULL))],
    );
    check(
        &schema,
        &config,
        &prior,
        concat!(
            r#"{ list = [{ id = "1", name = "a", size = 10 }, "#,
            r#"{ id = (known after apply), name = "b", size = 20 }], "#,
            r#"map = { "kept" = { id = "3", name = "renamed", size = 10 } } }"#
        ),
        &["list[1].name", r#"map["gone"].name"#, r#"map["kept"].name"#],
    );
}

#[test]
fn elements_of_sets_are_followed_by_what_they_say() {
    let schema =
        Schema::new("").attribute(Attribute::set_of_objects("disks", disk_attributes()).optional());
    let value = |disks: Vec<Dynamic>| object(&[("disks", Dynamic::Set(disks))]);
    let prior = value(vec![
        disk("b", 10.into(), "2".into()),
        disk("a", 10.into(), "1".into()),
    ]);
    let config = value(vec![disk("a", NULL, NULL), disk("b", NULL, NULL)]);
    assert_eq!(plan(&schema, &config, &prior).planned, prior);

    let config = value(vec![
        disk("a", NULL, NULL),
        disk("b", NULL, NULL),
        disk("c", NULL, NULL),
    ]);
    let found = plan(&schema, &config, &prior);
    let new = disk("c", 10.into(), Dynamic::unknown());
    let expect = vec![
        disk("a", 10.into(), "1".into()),
        disk("b", 10.into(), "2".into()),
        new,
    ];
    assert_eq!(found.planned, value(expect));
    // The wire has no path into a set.
    assert_eq!(found.requires_replace, ["disks".into()]);
}

#[test]
fn a_nested_object_that_comes_or_goes_changes_what_is_in_it() {
    let schema = Schema::new("").attribute(Attribute::object("disk", disk_attributes()).optional());
    let with = object(&[("disk", disk("a", 10.into(), "1".into()))]);
    let without = object(&[("disk", NULL)]);
    check(&schema, &without, &with, "{ disk = null }", &["disk.name"]);
    let config = object(&[("disk", disk("a", NULL, NULL))]);
    let planned = r#"{ disk = { id = (known after apply), name = "a", size = 10 } }"#;
    check(&schema, &config, &without, planned, &["disk.name"]);
}

#[test]
fn a_computed_object_is_unknown_as_a_whole_until_configured() {
    let inner = [
        Attribute::number("count").optional().computed(),
        Attribute::string("kind").optional().default("a"),
    ];
    let schema = Schema::new("")
        .attribute(Attribute::string("name").required())
        .attribute(Attribute::object("o", inner).optional().computed());
    let value = |name: &str, o: Dynamic| object(&[("name", name.into()), ("o", o)]);
    let o = |count: Dynamic, kind: Dynamic| object(&[("count", count), ("kind", kind)]);
    let prior = value("x", o(1.into(), "b".into()));
    check(
        &schema,
        &value("y", NULL),
        &prior,
        r#"{ name = "y", o = (known after apply) }"#,
        &[],
    );
    assert_eq!(plan(&schema, &value("x", NULL), &prior).planned, prior);
    let planned = r#"{ name = "y", o = { count = (known after apply), kind = "a" } }"#;
    check(&schema, &value("y", o(NULL, NULL)), &prior, planned, &[]);
}

#[test]
fn blocks_are_walked_like_objects() {
    let schema = Schema::new("")
        .block(NestedBlock::new(
            "group",
            BlockNesting::Group,
            "",
            disk_attributes(),
        ))
        .block(NestedBlock::new(
            "list",
            BlockNesting::List,
            "",
            disk_attributes(),
        ))
        .block(NestedBlock::new(
            "set",
            BlockNesting::Set,
            "",
            disk_attributes(),
        ))
        .block(NestedBlock::new(
            "single",
            BlockNesting::Single,
            "",
            disk_attributes(),
        ));
    let (list, set) = (vec![disk("l", NULL, NULL)], vec![disk("s", NULL, NULL)]);
    let config = object(&[
        ("group", disk("g", NULL, NULL)),
        ("list", Dynamic::List(list)),
        ("set", Dynamic::Set(set)),
        ("single", NULL),
    ]);
    let planned =
        |name: &str| format!(r#"{{ id = (known after apply), name = "{name}", size = 10 }}"#);
    let expect = format!(
        "{{ group = {}, list = [{}], set = [{}], single = null }}",
        planned("g"),
        planned("l"),
        planned("s")
    );
    check(&schema, &config, &NULL, &expect, &[]);
}

/// Everything that the pipeline treats differently, in one schema.
fn everything() -> Schema {
    Schema::new("")
        .attribute(
            Attribute::string("id")
                .computed_prefix("p/")
                .use_state_for_unknown(),
        )
        .attribute(Attribute::string("name").required().requires_replace())
        .attribute(Attribute::string("size").optional().default("small"))
        .attribute(Attribute::string("shape").optional().computed())
        .attribute(Attribute::string("token").optional().write_only())
        .attribute(Attribute::map_of("labels", Type::String).optional())
        .attribute(Attribute::list_of_objects("list", disk_attributes()).optional())
        .attribute(
            Attribute::map_of_objects("map", disk_attributes())
                .optional()
                .computed(),
        )
        .attribute(Attribute::set_of_objects("set", disk_attributes()).optional())
        .attribute(Attribute::object("one", disk_attributes()).optional())
        .block(NestedBlock::new(
            "rule",
            BlockNesting::List,
            "",
            disk_attributes(),
        ))
}

fn text() -> impl Strategy<Value = Dynamic> {
    prop_oneof![
        Just(NULL),
        Just(Dynamic::unknown()),
        "[ab]".prop_map(Dynamic::from)
    ]
}

fn any_disk() -> impl Strategy<Value = Dynamic> {
    let size = prop_oneof![
        Just(NULL),
        Just(Dynamic::unknown()),
        (1..3_i64).prop_map(Dynamic::from)
    ];
    ("[ab]", size).prop_map(|(name, size)| disk(&name, size, NULL))
}

fn any_config() -> impl Strategy<Value = Dynamic> {
    let disks = || proptest::collection::vec(any_disk(), 0..3);
    let named = || proptest::collection::btree_map("[ab]", any_disk(), 0..3);
    let labels = proptest::collection::btree_map("[ab]", text(), 0..3);
    let texts = ("[ab]", text(), text(), text(), proptest::option::of(labels));
    let nested = (
        proptest::option::of(disks()),
        proptest::option::of(named()),
        proptest::option::of(disks()),
        proptest::option::of(any_disk()),
        disks(),
    );
    (texts, nested).prop_map(
        |((name, size, shape, token, labels), (list, map, set, one, rule))| {
            let set = set.map(|mut set| {
                set.sort();
                set.dedup();
                Dynamic::Set(set)
            });
            object(&[
                ("id", NULL),
                ("name", name.into()),
                ("size", size),
                ("shape", shape),
                ("token", token),
                ("labels", labels.map_or(NULL, Dynamic::Map)),
                ("list", list.map_or(NULL, Dynamic::List)),
                ("map", map.map_or(NULL, Dynamic::Map)),
                ("set", set.unwrap_or(NULL)),
                ("one", one.unwrap_or(NULL)),
                ("rule", Dynamic::List(rule)),
            ])
        },
    )
}

/// What apply makes of a plan: something for everything unknown.
fn apply(planned: Dynamic, counter: &mut i64) -> Dynamic {
    let mut all = |values: Vec<Dynamic>| {
        values
            .into_iter()
            .map(|value| apply(value, counter))
            .collect()
    };
    match planned {
        Dynamic::List(values) => Dynamic::List(all(values)),
        Dynamic::Set(values) => Dynamic::Set(all(values)),
        Dynamic::Map(values) => Dynamic::Map(
            values
                .into_iter()
                .map(|(key, value)| (key, apply(value, counter)))
                .collect(),
        ),
        Dynamic::Object(values) => {
            let unknown = |name: &str, counter: &mut i64| {
                *counter += 1;
                match name {
                    "size" => 7.into(),
                    "map" => NULL,
                    _ => format!("p/{counter}").into(),
                }
            };
            let values = values.into_iter().map(|(name, value)| {
                let is_text = name != "size" || matches!(value, Dynamic::String(_));
                let value = match value {
                    Dynamic::Unknown(_) if is_text => unknown(&name, counter),
                    Dynamic::Unknown(_) => unknown("size", counter),
                    value => apply(value, counter),
                };
                (name, value)
            });
            Dynamic::Object(values.collect())
        }
        Dynamic::Unknown(_) => "x".into(),
        known => known,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is configured, planned before and unknown: Terraform takes the plan, a second plan
    /// of the same says the same, and after apply there is nothing left to do.
    #[test]
    fn any_plan_is_valid_deterministic_and_settles(first in any_config(), second in any_config()) {
        let schema = everything();
        let mut counter = 0;
        let created = plan(&schema, &first, &NULL);
        let first_known = known(&first);
        let state = apply(plan(&schema, &first_known, &NULL).planned, &mut counter);
        prop_assert!(created.requires_replace.is_empty());
        prop_assert_eq!(&plan(&schema, &first_known, &state).planned, &state);

        let changed = plan(&schema, &second, &state);
        prop_assert_eq!(&changed, &plan(&schema, &second, &state));
        let replaces = changed.requires_replace.contains(&"name".into());
        prop_assert_eq!(replaces, first.attribute("name") != second.attribute("name"));
    }
}

/// A configuration in which everything is known.
fn known(config: &Dynamic) -> Dynamic {
    match config {
        Dynamic::Unknown(_) => NULL,
        Dynamic::List(values) => Dynamic::List(values.iter().map(known).collect()),
        Dynamic::Set(values) => {
            let mut values: Vec<Dynamic> = values.iter().map(known).collect();
            values.sort();
            values.dedup();
            Dynamic::Set(values)
        }
        Dynamic::Map(values) => Dynamic::Map(
            values
                .iter()
                .map(|(key, value)| (key.clone(), known(value)))
                .collect(),
        ),
        Dynamic::Object(values) => Dynamic::Object(
            values
                .iter()
                .map(|(name, value)| (name.clone(), known(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}
