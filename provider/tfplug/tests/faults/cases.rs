//! The cases, by the stage in which Terraform meets them; numbers are the core's checks, in its order.
//!
//! A table each, one case per line: name, moment, fault, what both sides say.

use tfplug::check::Rule::{
    Deferral, DestroyPlan, DestroyResult, FinalAction, FinalPlan, FunctionPure, PlanMatchesConfig,
    ReplacePath, ResultMatchesPlan, ResultPresent, Type, WhollyKnown, WriteOnly,
};
use tfplug::value::{Dynamic, Number, Type as ValueType};

use crate::case::Expect::{self, Accepted, Refused};
use crate::case::Fault::{Deferred, Error, ErrorAlone, Missing, Replace, Shape, Value};
use crate::case::Moment;
use crate::case::{
    Case, at, entries, extra_attribute, fault, fine, lengthen, missing_attribute, put, rename_key,
    shorten, value, wrong_primitive,
};

const PLAN: Expect = Refused("Provider produced invalid plan", PlanMatchesConfig);
const RESULT: Expect = Refused(
    "Provider produced inconsistent result after apply",
    ResultMatchesPlan,
);
const FINAL: Expect = Refused("Provider produced inconsistent final plan", FinalPlan);
/// Bytes that hold another object than the schema's.
const COUNT: Expect = Refused("attributes is required", Type);
/// A write-only attribute in a plan.
const PLAN_LEAKS: Expect = Refused("Provider produced invalid plan", WriteOnly);
/// The same in a state.
const STATE_LEAKS: Expect = Refused("Provider produced invalid object", WriteOnly);

const NULL: Dynamic = Dynamic::Null;

/// Met by `terraform plan` where nothing exists.
#[rustfmt::skip]
pub(crate) static CREATE_PLANS: &[Case] = &[
    // 1: decoding.
    fault("plan_missing", Moment::Plan, Shape(missing_attribute), COUNT),
    fault("plan_surplus", Moment::Plan, Shape(extra_attribute), COUNT),
    fault("plan_primitive", Moment::Plan, Shape(wrong_primitive), Refused("number is required", Type)),
    // 2: deferral.
    fault("plan_deferred", Moment::Plan, Deferred, Refused("Provider deferred changes when Terraform did not allow deferrals", Deferral)),
    // 3: write-only.
    value("plan_leaks", Moment::Plan, |v| put(v, &["secret"], "s"), PLAN_LEAKS),
    // 5: attributes.
    value("plan_null", Moment::Plan, |v| *v = NULL, PLAN),
    fault("plan_missing_answer", Moment::Plan, Missing, PLAN),
    value("plan_invented", Moment::Plan, |v| put(v, &["name"], "b"), PLAN).without(&["name"]),
    value("plan_unknown_invented", Moment::Plan, |v| put(v, &["name"], Dynamic::unknown()), PLAN).without(&["name"]),
    value("plan_overridden", Moment::Plan, |v| put(v, &["size"], 7), PLAN),
    value("plan_dropped", Moment::Plan, |v| put(v, &["name"], NULL), PLAN),
    value("plan_unknown", Moment::Plan, |v| put(v, &["name"], Dynamic::unknown()), PLAN),
    value("plan_map_changed", Moment::Plan, |v| put(v, &["tags", "a"], "y"), PLAN),
    value("plan_map_unknown", Moment::Plan, |v| put(v, &["tags"], Dynamic::unknown()), PLAN),
    // 5: nested attributes.
    value("plan_object_dropped", Moment::Plan, |v| put(v, &["one"], NULL), PLAN),
    value("plan_object_invented", Moment::Plan, |v| put(v, &["one"], nothing_inside()), PLAN).without(&["one"]),
    value("plan_object_changed", Moment::Plan, |v| put(v, &["one", "text"], "u"), PLAN),
    value("plan_object_unknown", Moment::Plan, |v| put(v, &["one"], Dynamic::unknown()), PLAN),
    value("plan_list_longer", Moment::Plan, |v| lengthen(v, "many"), PLAN),
    value("plan_list_shorter", Moment::Plan, |v| shorten(v, "many"), PLAN),
    value("plan_list_dropped", Moment::Plan, |v| put(v, &["many"], NULL), PLAN),
    value("plan_list_changed", Moment::Plan, |v| put(v, &["many", "1", "text"], "x"), PLAN),
    value("plan_list_unknown", Moment::Plan, |v| put(v, &["many"], Dynamic::unknown()), PLAN),
    value("plan_map_key", Moment::Plan, |v| rename_key(at(v, &["keyed"]), "k", "other"), PLAN),
    value("plan_map_element", Moment::Plan, |v| put(v, &["keyed", "k", "text"], "u"), PLAN),
    value("plan_set_dropped", Moment::Plan, |v| put(v, &["some"], NULL), PLAN),
    value("plan_set_shorter", Moment::Plan, |v| shorten(v, "some"), PLAN),
    value("plan_set_unknown", Moment::Plan, |v| put(v, &["some"], Dynamic::unknown()), PLAN),
    // 5: blocks.
    value("plan_blocks_longer", Moment::Plan, |v| lengthen(v, "rule"), PLAN),
    value("plan_blocks_shorter", Moment::Plan, |v| shorten(v, "rule"), PLAN),
    value("plan_blocks_null", Moment::Plan, |v| put(v, &["rule"], NULL), PLAN),
    value("plan_blocks_unknown", Moment::Plan, |v| put(v, &["rule"], Dynamic::unknown()), PLAN),
    value("plan_block_changed", Moment::Plan, |v| put(v, &["rule", "0", "text"], "u"), PLAN),
    value("plan_single_dropped", Moment::Plan, |v| put(v, &["seal"], NULL), PLAN),
    value("plan_single_invented", Moment::Plan, |v| put(v, &["seal"], nothing_inside()), PLAN).without(&["seal"]),
    value("plan_single_changed", Moment::Plan, |v| put(v, &["seal", "text"], "u"), PLAN),
    value("plan_single_unknown", Moment::Plan, |v| put(v, &["seal"], Dynamic::unknown()), PLAN),
    value("plan_mark_null", Moment::Plan, |v| put(v, &["mark"], NULL), PLAN),
    value("plan_mark_unknown", Moment::Plan, |v| put(v, &["mark"], Dynamic::unknown()), PLAN),
    // What is allowed. Elements of sets are not correlated, so nobody can say that one is new; nor is
    // the number of blocks of a set looked at.
    fine("plan_honest"),
    fine("plan_bare").without(&["size", "name", "tags", "secret", "one", "many", "keyed", "some", "rule", "seal", "mark"]),
    value("plan_computed_known", Moment::Plan, computed_known, Accepted),
    value("plan_computed_null", Moment::Plan, |v| put(v, &["id"], NULL), Accepted),
    value("plan_set_longer", Moment::Plan, |v| lengthen(v, "some"), Accepted),
    value("plan_set_changed", Moment::Plan, |v| put(v, &["some", "0", "text"], "x"), Accepted),
    value("plan_mark_longer", Moment::Plan, |v| lengthen(v, "mark"), Accepted),
    value("plan_mark_shorter", Moment::Plan, |v| shorten(v, "mark"), Accepted),
    value("plan_mark_changed", Moment::Plan, |v| put(v, &["mark", "0", "text"], "x"), Accepted),
    fault("plan_replace_of_nothing", Moment::Plan, Replace("nowhere"), Accepted),
];

/// Met by `terraform apply` where nothing exists.
#[rustfmt::skip]
pub(crate) static CREATES: &[Case] = &[
    // 9: the plan that is made again, with more known.
    value("final_changed", Moment::Plan, |v| put(v, &["zone"], "a"), FINAL)
        .and(Moment::FinalPlan, Value(|v| put(v, &["zone"], "b"))),
    value("final_unknown_again", Moment::Plan, |v| put(v, &["zone"], "a"), FINAL),
    value("final_outside_promise", Moment::FinalPlan, |v| put(v, &["id"], "other-1"), FINAL),
    value("final_list_longer", Moment::FinalPlan, |v| lengthen(v, "many"), Refused("Provider produced inv", PlanMatchesConfig)),
    value("final_known_now", Moment::FinalPlan, |v| put(v, &["id"], "thing-1"), Accepted),
    // 10: decoding and write-only; nothing is saved.
    fault("new_surplus", Moment::Create, Shape(extra_attribute), COUNT),
    value("new_leaks", Moment::Create, |v| put(v, &["secret"], "s"), STATE_LEAKS),
    // 11: unknowns.
    value("new_unknown", Moment::Create, |v| put(v, &["id"], Dynamic::unknown()), Refused("Provider returned invalid result object after apply", WhollyKnown)),
    // 12: the plan is kept.
    value("new_changed", Moment::Create, |v| put(v, &["size"], 7), RESULT),
    value("new_dropped", Moment::Create, |v| put(v, &["name"], NULL), RESULT),
    value("new_invented", Moment::Create, |v| put(v, &["name"], "b"), RESULT).without(&["name"]),
    value("new_outside_promise", Moment::Create, |v| put(v, &["id"], "other-1"), RESULT),
    value("new_promise_null", Moment::Create, |v| put(v, &["id"], NULL), RESULT),
    value("new_map_element", Moment::Create, |v| put(v, &["tags", "a"], "y"), RESULT),
    value("new_map_key", Moment::Create, |v| rename_key(at(v, &["tags"]), "a", "c"), RESULT),
    value("new_map_lost", Moment::Create, |v| entries(at(v, &["tags"])).clear(), RESULT),
    value("new_object_lost", Moment::Create, |v| put(v, &["one"], NULL), RESULT),
    value("new_object_changed", Moment::Create, |v| put(v, &["one", "text"], "u"), RESULT),
    value("new_list_longer", Moment::Create, |v| lengthen(v, "many"), RESULT),
    value("new_list_shorter", Moment::Create, |v| shorten(v, "many"), RESULT),
    value("new_list_changed", Moment::Create, |v| put(v, &["many", "0", "text"], "x"), RESULT),
    value("new_keyed_key", Moment::Create, |v| rename_key(at(v, &["keyed"]), "k", "other"), RESULT),
    value("new_set_longer", Moment::Create, |v| lengthen(v, "some"), RESULT),
    value("new_set_shorter", Moment::Create, |v| shorten(v, "some"), RESULT),
    value("new_set_changed", Moment::Create, |v| put(v, &["some", "0", "text"], "x"), RESULT),
    value("new_blocks_longer", Moment::Create, |v| lengthen(v, "rule"), RESULT),
    value("new_blocks_shorter", Moment::Create, |v| shorten(v, "rule"), RESULT),
    value("new_block_changed", Moment::Create, |v| put(v, &["rule", "0", "text"], "u"), RESULT),
    value("new_single_lost", Moment::Create, |v| put(v, &["seal"], NULL), RESULT),
    value("new_mark_longer", Moment::Create, |v| lengthen(v, "mark"), RESULT),
    value("new_mark_shorter", Moment::Create, |v| shorten(v, "mark"), RESULT),
    value("new_mark_changed", Moment::Create, |v| put(v, &["mark", "0", "text"], "u"), RESULT),
    // 13: presence.
    value("new_null", Moment::Create, |v| *v = NULL, Refused("Provider produced inconsistent result after apply", ResultPresent)),
    // What is allowed.
    fine("new_honest"),
    value("new_unpromised_null", Moment::Create, |v| put(v, &["zone"], NULL), Accepted),
    value("new_nested_null", Moment::Create, |v| put(v, &["one", "made"], NULL), Accepted),
    value("new_promise_kept", Moment::Create, |v| put(v, &["id"], "thing-of-mine"), Accepted),
    value("new_number_otherwise_written", Moment::Create, |v| put(v, &["size"], "1.0".parse::<Number>().expect("a number")), Accepted),
    value("new_set_made_apart", Moment::Create, |v| put(v, &["some", "0", "made"], "apart"), Accepted),
];

/// Met by `terraform apply`. 14: errors of the provider's own.
pub(crate) static FAILURES: &[Case] = &[
    fault("fail_with_state", Moment::Create, Error, Accepted),
    fault("fail_without_state", Moment::Create, ErrorAlone, Accepted),
    fine("fail_not"),
];

/// Met by `terraform plan` of a change of `size` from 1 to 2.
#[rustfmt::skip]
pub(crate) static UPDATE_PLANS: &[Case] = &[
    // 5: neither what is configured nor what was.
    value("change_third", Moment::UpdatePlan, |v| put(v, &["size"], 7), PLAN),
    value("change_to_nothing", Moment::UpdatePlan, |v| *v = NULL, PLAN),
    value("change_unknown", Moment::UpdatePlan, |v| put(v, &["size"], Dynamic::unknown()), PLAN),
    // 6: paths of replacements.
    fault("change_replaces_nowhere", Moment::UpdatePlan, Replace("nowhere"), Refused("non-existent attribute path", ReplacePath)),
    // 7: the second half of a replacement goes through fewer checks.
    fault("change_replaces_and_leaks", Moment::UpdatePlan, Replace("size"), PLAN_LEAKS)
        .and(Moment::ReplacePlan, Value(|v| put(v, &["secret"], "s"))),
    fault("change_replaces_and_overrides", Moment::UpdatePlan, Replace("size"), Accepted)
        .and(Moment::ReplacePlan, Value(|v| put(v, &["name"], "b"))),
    // What is allowed.
    fine("change_honest"),
    value("change_kept_prior", Moment::UpdatePlan, |v| put(v, &["size"], 1), Accepted),
    value("change_of_computed", Moment::UpdatePlan, |v| put(v, &["id"], Dynamic::unknown()), Accepted),
    value("change_computed_to_null", Moment::UpdatePlan, |v| put(v, &["zone"], NULL), Accepted),
    fault("change_replaces", Moment::UpdatePlan, Replace("size"), Accepted),
    fault("change_replaces_for_no_change", Moment::UpdatePlan, Replace("name"), Accepted),
];

/// Met by `terraform apply` of the same change.
#[rustfmt::skip]
pub(crate) static UPDATES: &[Case] = &[
    // 9: another action than was planned, or another value.
    fault("again_replaces", Moment::FinalUpdatePlan, Replace("size"), Refused("Provider produced inconsistent final plan", FinalAction)),
    value("again_nothing_to_do", Moment::FinalUpdatePlan, |v| put(v, &["size"], 1), FINAL),
    value("again_computed_lost", Moment::FinalUpdatePlan, |v| put(v, &["zone"], NULL), FINAL),
    fine("again_honest"),
];

/// Met by `terraform plan` over what exists.
#[rustfmt::skip]
pub(crate) static READS: &[Case] = &[
    fault("read_surplus", Moment::Read, Shape(extra_attribute), COUNT),
    value("read_unknown", Moment::Read, |v| put(v, &["name"], Dynamic::unknown()), Refused("Provider produced invalid object", WhollyKnown)),
    value("read_leaks", Moment::Read, |v| put(v, &["secret"], "s"), STATE_LEAKS),
    value("read_drift", Moment::Read, |v| put(v, &["name"], "drifted"), Accepted),
    fault("read_gone", Moment::Read, Missing, Accepted),
    fault("upgrade_surplus", Moment::Upgrade, Shape(extra_attribute), COUNT),
    value("upgrade_unknown", Moment::Upgrade, |v| put(v, &["name"], Dynamic::unknown()), Refused("Invalid resource state upgrade", WhollyKnown)),
    fine("upgrade_honest"),
];

/// Met by `terraform plan` with import blocks.
#[rustfmt::skip]
pub(crate) static IMPORTS: &[Case] = &[
    value("import_null", Moment::Import, |v| *v = NULL, Refused("Import returned null resource", ResultPresent)),
    value("import_leaks", Moment::Import, |v| put(v, &["secret"], "s"), Refused("Import returned a non-null value for a write-only attribute", WriteOnly)),
    fine("import_honest"),
];

/// Met by `terraform plan -destroy`.
#[rustfmt::skip]
pub(crate) static DESTROY_PLANS: &[Case] = &[
    // 8.
    value("destroy_kept", Moment::DestroyPlan, |v| *v = existing(), Refused("planned a non-null destroy value", DestroyPlan)),
    fine("destroy_honest"),
];

/// Met by `terraform destroy`.
#[rustfmt::skip]
pub(crate) static DESTROYS: &[Case] = &[
    // 13.
    value("gone_not", Moment::Destroy, |v| *v = existing(), Refused("Destroying should always produce a null value", DestroyResult)),
    fine("gone_honest"),
];

/// Met by `terraform plan`: data sources.
#[rustfmt::skip]
pub(crate) static DATA: &[Case] = &[
    fault("data_surplus", Moment::Data, Shape(extra_attribute), COUNT),
    value("data_null", Moment::Data, |v| *v = NULL, Refused("Provider produced null object", ResultPresent)),
    value("data_unknown", Moment::Data, |v| put(v, &["id"], Dynamic::unknown()), Refused("Provider produced invalid object", WhollyKnown)),
    value("data_overrides", Moment::Data, |v| put(v, &["text"], "u"), Accepted),
    fine("data_honest"),
];

/// Met by `terraform plan`: ephemeral resources.
#[rustfmt::skip]
pub(crate) static LOANS: &[Case] = &[
    fault("loan_surplus", Moment::Open, Shape(extra_attribute), COUNT),
    value("loan_overrides", Moment::Open, |v| put(v, &["text"], "u"), Refused("Provider produced invalid ephemeral resource instance", PlanMatchesConfig)),
    value("loan_null", Moment::Open, |v| *v = NULL, Refused("Provider produced invalid ephemeral resource instance", PlanMatchesConfig)),
    value("loan_unknown", Moment::Open, |v| put(v, &["id"], Dynamic::unknown()), Accepted),
    fine("loan_honest"),
];

/// Met by `terraform plan`: functions, each called twice with the same argument.
#[rustfmt::skip]
pub(crate) static CALLS: &[Case] = &[
    fault("call_type", Moment::Call, Shape(|shape, value| (*shape, *value) = (ValueType::Bool, true.into())), Refused("string is required", Type)),
    value("call_impure", Moment::CallAgain, |v| *v = "another".into(), Refused("provider function returned an inconsistent result", FunctionPure)),
    value("call_unknown", Moment::Call, |v| *v = Dynamic::unknown(), Accepted)
        .and(Moment::CallAgain, Value(|v| *v = Dynamic::unknown())),
    fine("call_honest"),
];

/// Every computed attribute with a value of the provider's choice.
fn computed_known(value: &mut Dynamic) {
    let places: [&[&str]; 7] = [
        &["id"],
        &["zone"],
        &["one", "made"],
        &["many", "0", "made"],
        &["keyed", "k", "made"],
        &["rule", "0", "made"],
        &["mark", "0", "made"],
    ];
    for place in places {
        put(value, place, "made up");
    }
}

/// An inner object without values.
fn nothing_inside() -> Dynamic {
    Dynamic::object([("text", NULL), ("made", NULL)])
}

/// An object where there should be none; only its shape matters.
fn existing() -> Dynamic {
    let mut object = Dynamic::object(
        [
            "case", "id", "size", "name", "zone", "tags", "secret", "one", "many", "keyed", "some",
            "seal",
        ]
        .map(|name| (name, NULL)),
    );
    entries(&mut object).insert("rule".to_owned(), Dynamic::List(Vec::new()));
    entries(&mut object).insert("mark".to_owned(), Dynamic::Set(Vec::new()));
    object
}
