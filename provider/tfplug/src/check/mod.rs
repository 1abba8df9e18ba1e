//! The checked layer: what Terraform's core enforces on a provider's answers, enforced by us first.
//!
//! ```text
//!   plan ──► plan()   replace_paths()   action()
//!   apply's second plan ──► final_plan()
//!   apply ──► applied()          read, import, … ──► read()  imported()  upgraded()  data()
//!   and what the core sends:     proposed_new()
//! ```
//!
//! Each function gives the rules that an answer breaks, with the place and both values (masked
//! where the schema says sensitive). No answer that passes here is refused by Terraform with
//! "Provider produced …". The framework runs it on every answer in debug builds and tests; it can
//! be run on millions of random plans without Terraform.

mod compatible;
mod lint;
mod planned;
mod proposed;
mod replace;
mod report;

use std::fmt;

use crate::{
    schema::Schema,
    value::{CodecError, Dynamic, Path, Type},
};

pub use lint::schema;
pub use proposed::proposed_new;
pub use replace::{Action, action, final_plan, replace_paths};

use report::write_only_nulls;

/// A rule that an answer breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// Where in the value (or in the schema, for [`Rule::Schema`]).
    pub path: Path,
    /// What is there and what is allowed. Sensitive values are masked.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}{}",
            self.rule,
            self.path.as_prefix(),
            self.message
        )
    }
}

/// What Terraform's core enforces, rule by rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// A value has the type that its schema implies: all attributes and blocks, no others.
    Type,
    /// A change is deferred only where the client allows it.
    Deferral,
    /// Write-only attributes are null in every plan and state.
    WriteOnly,
    /// A plan is what is configured, or unchanged; the provider decides only what is computed and
    /// not configured.
    PlanMatchesConfig,
    /// A path that requires replacement is in the prior or in the planned value.
    ReplacePath,
    /// The plan of a destroy is null.
    DestroyPlan,
    /// The plan made again at apply has the action of the first.
    FinalAction,
    /// The plan made again at apply keeps what the first knew.
    FinalPlan,
    /// A result has no unknowns.
    WhollyKnown,
    /// A result is what was planned; an unknown becomes what it promised.
    ResultMatchesPlan,
    /// After a destroy nothing is left.
    DestroyResult,
    /// After a create or an update, an import, a data source's reading, there is an object.
    ResultPresent,
    /// A function gives equal results for equal arguments.
    FunctionPure,
    /// A schema is one that Terraform can use.
    Schema,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "value of another type than the schema's",
            Self::Deferral => "deferral that the client does not allow",
            Self::WriteOnly => "write-only attribute that is not null",
            Self::PlanMatchesConfig => "plan that disagrees with the configuration",
            Self::ReplacePath => "replacement for a path that does not exist",
            Self::DestroyPlan => "plan of a destroy that is not null",
            Self::FinalAction => "final plan with another action",
            Self::FinalPlan => "final plan that disagrees with the first",
            Self::WhollyKnown => "result that is not wholly known",
            Self::ResultMatchesPlan => "result that disagrees with the plan",
            Self::DestroyResult => "result of a destroy that is not null",
            Self::ResultPresent => "no result",
            Self::FunctionPure => "function with different results for equal arguments",
            Self::Schema => "schema that Terraform cannot use",
        })
    }
}

/// Check the answer to a plan: `planned` for `config`, where `prior` is the state before (null on
/// create). A null `config` is a destroy.
///
/// Terraform stops at the first kind of fault, and so does this: type, write-only, then content.
pub fn plan(
    schema: &Schema,
    prior: &Dynamic,
    config: &Dynamic,
    planned: &Dynamic,
) -> Vec<Violation> {
    if config.is_null() {
        return destroyed(Rule::DestroyPlan, planned);
    }
    let found = replacement(schema, planned);
    if found.is_empty() {
        planned::check(schema, prior, config, planned)
    } else {
        found
    }
}

/// Check the second plan of a replacement, with a null prior: Terraform looks only at its type and
/// at its write-only attributes.
pub fn replacement(schema: &Schema, planned: &Dynamic) -> Vec<Violation> {
    let found = of_type(&schema.implied_type(), planned);
    if found.is_empty() {
        write_only_nulls(schema, planned)
    } else {
        found
    }
}

/// Check that a deferral is allowed by the client.
pub fn deferral(client_allows: bool, deferred: bool) -> Vec<Violation> {
    if deferred && !client_allows {
        return vec![at_root(
            Rule::Deferral,
            "the change is deferred; give an error instead",
        )];
    }
    Vec::new()
}

/// Check the answer to an apply that gave no error: `new` for `planned`. A null plan is a destroy.
pub fn applied(schema: &Schema, planned: &Dynamic, new: &Dynamic) -> Vec<Violation> {
    if planned.is_null() {
        return destroyed(Rule::DestroyResult, new);
    }
    if new.is_null() {
        return vec![at_root(
            Rule::ResultPresent,
            "an object was planned, the result is null",
        )];
    }
    let found = stored(schema, new);
    if !found.is_empty() {
        return found;
    }
    compatible::check(Rule::ResultMatchesPlan, schema, planned, new)
}

/// Check a refreshed state; null says that the object is gone.
pub fn read(schema: &Schema, new: &Dynamic) -> Vec<Violation> {
    stored(schema, new)
}

/// Check an imported state, before it is read.
pub fn imported(schema: &Schema, state: &Dynamic) -> Vec<Violation> {
    if state.is_null() {
        return vec![at_root(
            Rule::ResultPresent,
            "an import gives an object or an error",
        )];
    }
    replacement(schema, state)
}

/// Check a state that was upgraded, or moved from another type.
pub fn upgraded(schema: &Schema, state: &Dynamic) -> Vec<Violation> {
    stored(schema, state)
}

/// Check what a data source read.
pub fn data(schema: &Schema, result: &Dynamic) -> Vec<Violation> {
    if result.is_null() {
        return vec![at_root(
            Rule::ResultPresent,
            "a data source gives an object or an error",
        )];
    }
    stored(schema, result)
}

/// Check what an ephemeral resource opened with `config`.
pub fn ephemeral(schema: &Schema, config: &Dynamic, result: &Dynamic) -> Vec<Violation> {
    let found = of_type(&schema.implied_type(), result);
    if found.is_empty() {
        planned::check(schema, &Dynamic::Null, config, result)
    } else {
        found
    }
}

/// Check two results of one function for equal arguments.
pub fn function(result: &Type, first: &Dynamic, again: &Dynamic) -> Vec<Violation> {
    let found = [of_type(result, first), of_type(result, again)].concat();
    if found.is_empty() && first != again {
        return vec![at_root(
            Rule::FunctionPure,
            "the second result is not the first",
        )];
    }
    found
}

/// What every state is: of its type, with null for write-only attributes, without unknowns.
fn stored(schema: &Schema, state: &Dynamic) -> Vec<Violation> {
    let found = replacement(schema, state);
    if found.is_empty() {
        report::wholly_known(state)
    } else {
        found
    }
}

fn of_type(ty: &Type, value: &Dynamic) -> Vec<Violation> {
    match value.conforms_to(ty) {
        Ok(()) => Vec::new(),
        Err(CodecError { path, message }) => vec![Violation {
            rule: Rule::Type,
            path,
            message,
        }],
    }
}

fn destroyed(rule: Rule, value: &Dynamic) -> Vec<Violation> {
    if value.is_null() {
        return Vec::new();
    }
    vec![at_root(
        rule,
        format!("null is required, found {}", value.kind()),
    )]
}

fn at_root(rule: Rule, message: impl Into<String>) -> Violation {
    Violation {
        rule,
        path: Path::root(),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Attribute;

    fn note() -> Schema {
        Schema::new("A note.")
            .attribute(Attribute::string("text").required())
            .attribute(Attribute::string("token").optional().write_only())
            .attribute(Attribute::string("id").computed())
    }

    fn value(text: &str, token: Dynamic, id: Dynamic) -> Dynamic {
        Dynamic::object([("text", Dynamic::from(text)), ("token", token), ("id", id)])
    }

    #[track_caller]
    fn broken(found: &[Violation], expected: &[(Rule, &str)]) {
        let found: Vec<_> = found.iter().map(|v| (v.rule, v.path.to_string())).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(rule, path)| (*rule, (*path).to_owned()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_life_of_a_resource_without_fault() {
        let config = value("a", Dynamic::from("secret"), Dynamic::Null);
        let planned = value("a", Dynamic::Null, Dynamic::unknown());
        let state = value("a", Dynamic::Null, Dynamic::from("n1"));
        let null = Dynamic::Null;
        let schema = note();
        broken(&plan(&schema, &null, &config, &planned), &[]);
        broken(&applied(&schema, &planned, &state), &[]);
        broken(&read(&schema, &state), &[]);
        broken(&read(&schema, &null), &[]);
        broken(&plan(&schema, &state, &null, &null), &[]);
        broken(&applied(&schema, &null, &null), &[]);
        broken(&imported(&schema, &state), &[]);
        broken(&upgraded(&schema, &state), &[]);
        broken(&data(&schema, &state), &[]);
    }

    #[test]
    fn each_fault_of_a_result_breaks_its_rule() {
        let schema = note();
        let null = Dynamic::Null;
        let planned = value("a", Dynamic::Null, Dynamic::unknown());
        let leaky = value("a", Dynamic::from("secret"), Dynamic::from("n1"));
        let vague = value("a", Dynamic::Null, Dynamic::unknown());
        let other = value("b", Dynamic::Null, Dynamic::from("n1"));
        let short = Dynamic::object([("text", Dynamic::from("a"))]);
        broken(&applied(&schema, &planned, &short), &[(Rule::Type, "")]);
        broken(
            &applied(&schema, &planned, &leaky),
            &[(Rule::WriteOnly, "token")],
        );
        broken(
            &applied(&schema, &planned, &vague),
            &[(Rule::WhollyKnown, "id")],
        );
        broken(
            &applied(&schema, &planned, &other),
            &[(Rule::ResultMatchesPlan, "text")],
        );
        broken(
            &applied(&schema, &planned, &null),
            &[(Rule::ResultPresent, "")],
        );
        broken(
            &applied(&schema, &null, &other),
            &[(Rule::DestroyResult, "")],
        );
        broken(
            &plan(&schema, &other, &null, &other),
            &[(Rule::DestroyPlan, "")],
        );
        broken(&read(&schema, &vague), &[(Rule::WhollyKnown, "id")]);
        broken(&imported(&schema, &null), &[(Rule::ResultPresent, "")]);
        broken(&imported(&schema, &leaky), &[(Rule::WriteOnly, "token")]);
        broken(&upgraded(&schema, &short), &[(Rule::Type, "")]);
        broken(&data(&schema, &null), &[(Rule::ResultPresent, "")]);
    }

    #[test]
    fn an_ephemeral_result_keeps_its_configuration() {
        let schema = note();
        let config = value("a", Dynamic::Null, Dynamic::Null);
        let good = value("a", Dynamic::Null, Dynamic::from("n1"));
        let bad = value("b", Dynamic::Null, Dynamic::from("n1"));
        broken(&ephemeral(&schema, &config, &good), &[]);
        broken(
            &ephemeral(&schema, &config, &bad),
            &[(Rule::PlanMatchesConfig, "text")],
        );
    }

    #[test]
    fn functions_are_pure_and_deferrals_are_allowed_first() {
        let (a, b) = (Dynamic::from("a"), Dynamic::from("b"));
        broken(&function(&Type::String, &a, &a), &[]);
        broken(
            &function(&Type::String, &a, &b),
            &[(Rule::FunctionPure, "")],
        );
        broken(
            &function(&Type::Bool, &a, &a),
            &[(Rule::Type, ""), (Rule::Type, "")],
        );
        broken(&deferral(true, true), &[]);
        broken(&deferral(false, true), &[(Rule::Deferral, "")]);
    }

    #[test]
    fn a_violation_reads_as_one_line() {
        let found = read(&note(), &value("a", Dynamic::from("secret"), Dynamic::Null));
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["write-only attribute that is not null: token: null is required, found a string"]
        );
    }
}
