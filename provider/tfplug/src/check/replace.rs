//! What Terraform does with a plan: create, update, replace or nothing; and whether the plan made
//! again at apply still says so.

use super::{Rule, Violation, compatible, report::Report, report::show};
use crate::{
    schema::Schema,
    value::{Dynamic, Path},
};

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// There was none.
    Create,
    /// Nothing changes.
    NoOp,
    /// It changes in place.
    Update,
    /// It is destroyed and created anew, in whichever order.
    Replace,
    /// It is destroyed.
    Delete,
}

/// Check that every path that requires replacement is in the prior or in the planned value.
/// Terraform does not look at them on create.
pub fn replace_paths(prior: &Dynamic, planned: &Dynamic, paths: &[Path]) -> Vec<Violation> {
    if prior.is_null() {
        return Vec::new();
    }
    paths
        .iter()
        .filter(|path| !exists(prior, path) && !exists(planned, path))
        .map(|path| Violation {
            rule: Rule::ReplacePath,
            path: path.clone(),
            message: "neither the prior nor the planned value has this path".to_owned(),
        })
        .collect()
}

/// What Terraform does with a plan. A path that requires replacement counts only where the value
/// differs, is not known yet, or is of a write-only attribute.
pub fn action(schema: &Schema, prior: &Dynamic, planned: &Dynamic, replace: &[Path]) -> Action {
    let counts = |path: &&Path| {
        let write_only = || {
            schema
                .attribute_at(path)
                .is_some_and(|attribute| attribute.write_only)
        };
        match (prior.get(path), planned.get(path)) {
            (Some(prior), Some(planned)) => {
                prior != planned || !planned.is_wholly_known() || write_only()
            }
            (None, None) => false,
            _ => true,
        }
    };
    if prior.is_null() {
        Action::Create
    } else if planned.is_null() {
        Action::Delete
    } else if replace.iter().any(|path| counts(&path)) {
        Action::Replace
    } else if prior == planned && planned.is_wholly_known() {
        Action::NoOp
    } else {
        Action::Update
    }
}

/// Check the plan that is made again at apply, when the configuration is known, against the first:
/// the same action (an update may turn out to be nothing), and all that was known stays.
pub fn final_plan(
    schema: &Schema,
    first: (Action, &Dynamic),
    second: (Action, &Dynamic),
) -> Vec<Violation> {
    if first.0 != second.0 && (first.0, second.0) != (Action::Update, Action::NoOp) {
        let mut report = Report::new(Rule::FinalAction);
        report.say(format!("was {:?}, is now {:?}", first.0, second.0));
        return report.into_violations();
    }
    if first.1.is_null() != second.1.is_null() {
        let mut report = Report::new(Rule::FinalPlan);
        report.say(format!(
            "was {}, is now {}",
            show(first.1, true),
            show(second.1, true)
        ));
        return report.into_violations();
    }
    compatible::check(Rule::FinalPlan, schema, first.1, second.1)
}

/// Whether a value has a path; what is not known yet may have any.
fn exists(value: &Dynamic, path: &Path) -> bool {
    let known = (0..path.steps().len())
        .map(|length| Path(path.steps()[..length].to_vec()))
        .all(|outer| !value.get(&outer).is_some_and(Dynamic::is_unknown));
    !known || value.get(path).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Attribute;

    fn schema() -> Schema {
        Schema::new("")
            .attribute(Attribute::string("a").optional())
            .attribute(Attribute::string("w").optional().write_only())
            .attribute(Attribute::object("o", [Attribute::string("b").optional()]).optional())
    }

    fn value(a: &str, o: Dynamic) -> Dynamic {
        Dynamic::object([("a", Dynamic::from(a)), ("w", Dynamic::Null), ("o", o)])
    }

    #[test]
    fn a_path_exists_before_or_after_or_nowhere() {
        let with = || value("x", Dynamic::object([("b", Dynamic::Null)]));
        let without = || value("x", Dynamic::Null);
        let paths = [Path::from("o.b")];
        assert_eq!(replace_paths(&with(), &without(), &paths), []);
        assert_eq!(replace_paths(&without(), &with(), &paths), []);
        assert_eq!(
            replace_paths(&without(), &value("x", Dynamic::unknown()), &paths),
            []
        );
        assert_eq!(replace_paths(&Dynamic::Null, &without(), &paths), []);
        let found = replace_paths(&without(), &without(), &paths);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].rule, found[0].path.to_string().as_str()),
            (Rule::ReplacePath, "o.b")
        );
    }

    #[test]
    fn the_action_follows_from_the_values() {
        let act = |prior: &Dynamic, planned: &Dynamic, replace: &[Path]| {
            action(&schema(), prior, planned, replace)
        };
        let (x, y, null) = (
            value("x", Dynamic::Null),
            value("y", Dynamic::Null),
            Dynamic::Null,
        );
        let a = [Path::from("a")];
        assert_eq!(act(&null, &x, &a), Action::Create);
        assert_eq!(act(&x, &null, &[]), Action::Delete);
        assert_eq!(act(&x, &x, &a), Action::NoOp);
        assert_eq!(act(&x, &y, &[]), Action::Update);
        assert_eq!(act(&x, &y, &a), Action::Replace);
        assert_eq!(act(&x, &x, &[Path::from("w")]), Action::Replace);
        assert_eq!(
            act(&x, &value("x", Dynamic::unknown()), &[]),
            Action::Update
        );
    }

    #[test]
    fn the_final_plan_keeps_action_and_values() {
        let first = value("x", Dynamic::unknown());
        let second = value("x", Dynamic::Null);
        let other = value("y", Dynamic::Null);
        let rules = |first, second| -> Vec<Rule> {
            final_plan(&schema(), first, second)
                .iter()
                .map(|found| found.rule)
                .collect()
        };
        assert_eq!(
            rules((Action::Update, &first), (Action::Update, &second)),
            []
        );
        assert_eq!(rules((Action::Update, &first), (Action::NoOp, &second)), []);
        let back = rules((Action::Update, &second), (Action::Update, &first));
        assert_eq!(back, [Rule::FinalPlan]);
        let moved = rules((Action::Update, &first), (Action::Update, &other));
        assert_eq!(moved, [Rule::FinalPlan]);
        let replaced = rules((Action::Update, &first), (Action::Replace, &second));
        assert_eq!(replaced, [Rule::FinalAction]);
        let woke = rules((Action::NoOp, &second), (Action::Update, &second));
        assert_eq!(woke, [Rule::FinalAction]);
    }
}
