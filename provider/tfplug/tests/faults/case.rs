//! What a case is: a fault at a moment, and what both sides must say to it.

use std::collections::BTreeMap;

use tfplug::check::Rule;
use tfplug::value::{Dynamic, Type};

/// When the provider is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    /// The first plan of an object that is not there.
    Plan,
    /// The plan that Terraform asks for once more while it applies.
    FinalPlan,
    /// The plan of a change.
    UpdatePlan,
    /// The plan of a change, asked for once more while it applies.
    FinalUpdatePlan,
    /// The second half of a replacement, planned as a creation.
    ReplacePlan,
    DestroyPlan,
    Create,
    Destroy,
    Read,
    Upgrade,
    Import,
    /// The reading of a data source.
    Data,
    /// The opening of an ephemeral resource.
    Open,
    /// The first call of a function with an argument, and the next ones.
    Call,
    CallAgain,
}

/// What the provider does wrong, or unusually, with its answer.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// Changes the value.
    Value(fn(&mut Dynamic)),
    /// Changes the type that the value is written by, and the value with it.
    Shape(fn(&mut Type, &mut Dynamic)),
    /// Leaves the value out.
    Missing,
    /// Says "deferred".
    Deferred,
    /// Says that the change at an attribute needs a replacement.
    Replace(&'static str),
    /// Adds an error of its own to the answer.
    Error,
    /// Gives an error in place of an answer.
    ErrorAlone,
}

/// A fault, or something unusual that is none.
pub(crate) struct Case {
    /// Also the name of the block in the configuration.
    pub(crate) name: &'static str,
    faults: [Option<(Moment, Fault)>; 2],
    /// Arguments of [`BODY`] that its block does not have.
    without: &'static [&'static str],
    pub(crate) expect: Expect,
}

/// What must come of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// Neither side minds.
    Accepted,
    /// Terraform's error holds the text; our violation is of the rule.
    Refused(&'static str, Rule),
}

/// The arguments of a `fault_thing`, one for each kind of attribute and block.
pub(crate) const BODY: [(&str, &str); 11] = [
    ("size", "size = var.size"),
    ("name", "name = local.name"),
    ("tags", r#"tags = { a = "x", b = "y" }"#),
    ("secret", r#"secret = "s""#),
    ("one", r#"one = { text = "t" }"#),
    ("many", r#"many = [{ text = "t" }, { text = "u" }]"#),
    ("keyed", r#"keyed = { k = { text = "t" } }"#),
    ("some", r#"some = [{ text = "t" }, { text = "u" }]"#),
    ("rule", r#"rule { text = "t" }"#),
    ("seal", r#"seal { text = "t" }"#),
    ("mark", r#"mark { text = "t" }"#),
];

/// A case with one fault and the whole body.
pub(crate) const fn fault(
    name: &'static str,
    moment: Moment,
    fault: Fault,
    expect: Expect,
) -> Case {
    Case {
        name,
        faults: [Some((moment, fault)), None],
        without: &[],
        expect,
    }
}

/// A case whose fault is a changed value.
pub(crate) const fn value(
    name: &'static str,
    moment: Moment,
    change: fn(&mut Dynamic),
    expect: Expect,
) -> Case {
    fault(name, moment, Fault::Value(change), expect)
}

/// A case without fault.
pub(crate) const fn fine(name: &'static str) -> Case {
    Case {
        name,
        faults: [None, None],
        without: &[],
        expect: Expect::Accepted,
    }
}

impl Case {
    /// Adds a second fault.
    pub(crate) const fn and(mut self, moment: Moment, fault: Fault) -> Self {
        self.faults[1] = Some((moment, fault));
        self
    }

    /// Leaves arguments out.
    pub(crate) const fn without(mut self, without: &'static [&'static str]) -> Self {
        self.without = without;
        self
    }

    /// Terraform's error about bytes that it cannot decode says nothing of where they came from, so
    /// such a case needs a run of its own.
    pub(crate) fn needs_own_run(&self) -> bool {
        matches!(self.expect, Expect::Refused(_, Rule::Type))
    }

    pub(crate) fn fault_at(&self, moment: Moment) -> Option<Fault> {
        self.faults
            .iter()
            .flatten()
            .find(|(when, _)| *when == moment)
            .map(|(_, fault)| *fault)
    }

    /// Its block in the configuration, of a resource.
    pub(crate) fn resource(&self) -> String {
        let kept = BODY.iter().filter(|(name, _)| !self.without.contains(name));
        let lines: Vec<&str> = kept.map(|(_, line)| *line).collect();
        let name = self.name;
        format!(
            "resource \"fault_thing\" \"{name}\" {{\n  case = \"{name}\"\n  {}\n}}\n",
            lines.join("\n  ")
        )
    }
}

/// The value at a place: names of attributes, keys of maps, positions in lists and sets.
pub(crate) fn at<'a>(value: &'a mut Dynamic, steps: &[&str]) -> &'a mut Dynamic {
    steps.iter().fold(value, |value, step| match value {
        Dynamic::Object(inner) | Dynamic::Map(inner) => {
            inner.get_mut(*step).expect("a name of the case")
        }
        Dynamic::List(inner) | Dynamic::Set(inner) => {
            &mut inner[step.parse::<usize>().expect("a position of the case")]
        }
        other => panic!("the case goes to {step:?} in {other}"),
    })
}

/// Puts a value at a place.
pub(crate) fn put(value: &mut Dynamic, steps: &[&str], new: impl Into<Dynamic>) {
    *at(value, steps) = new.into();
}

/// Doubles the last element of a list or set, with another text in it.
pub(crate) fn lengthen(value: &mut Dynamic, name: &str) {
    let (Dynamic::List(elements) | Dynamic::Set(elements)) = at(value, &[name]) else {
        panic!("{name} is no list or set");
    };
    let mut last = elements.last().expect("the body has one").clone();
    put(&mut last, &["text"], "more");
    elements.push(last);
}

/// Removes the last element of a list or set.
pub(crate) fn shorten(value: &mut Dynamic, name: &str) {
    let (Dynamic::List(elements) | Dynamic::Set(elements)) = at(value, &[name]) else {
        panic!("{name} is no list or set");
    };
    elements.pop().expect("the body has one");
}

/// The elements of a map or the attributes of an object.
pub(crate) fn entries(value: &mut Dynamic) -> &mut BTreeMap<String, Dynamic> {
    match value {
        Dynamic::Object(inner) | Dynamic::Map(inner) => inner,
        other => panic!("no map or object: {other}"),
    }
}

/// Moves an element of a map to another key.
pub(crate) fn rename_key(value: &mut Dynamic, from: &str, to: &str) {
    let element = entries(value).remove(from).expect("of the body");
    entries(value).insert(to.to_owned(), element);
}

/// Gives the object one attribute more than its schema has.
pub(crate) fn extra_attribute(shape: &mut Type, value: &mut Dynamic) {
    let Type::Object(attributes) = shape else {
        panic!("the case changes an object")
    };
    attributes.insert("surplus".to_owned(), Type::String);
    entries(value).insert("surplus".to_owned(), "x".into());
}

/// Takes an attribute away that the schema has.
pub(crate) fn missing_attribute(shape: &mut Type, value: &mut Dynamic) {
    let Type::Object(attributes) = shape else {
        panic!("the case changes an object")
    };
    attributes.remove("id");
    entries(value).remove("id");
}

/// Writes text where the schema has a number.
pub(crate) fn wrong_primitive(shape: &mut Type, value: &mut Dynamic) {
    let Type::Object(attributes) = shape else {
        panic!("the case changes an object")
    };
    attributes.insert("size".to_owned(), Type::Bool);
    put(value, &["size"], true);
}
