//! Checks on configured values, with messages that say what would be right.
//!
//! A check sees only what is known: an unknown value is passed over and looked at again when it is
//! known. Null is passed over too, except by the checks that are about presence
//! ([`exactly_one_of`]). No check may use the network: Terraform runs them in `validate`.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::Schema;
use crate::value::{Dynamic, Number, Path, Step};
use crate::{Diagnostic, Diagnostics};

/// What a check looks at.
#[derive(Clone, Copy)]
pub struct ValidatorArgs<'a> {
    /// Where the value is.
    pub path: &'a Path,
    /// The value; never unknown itself, though parts of it may be.
    pub value: &'a Dynamic,
    /// The whole configuration that it is part of.
    pub config: &'a Dynamic,
    pub(crate) schema: &'a Schema,
}

/// A check on a configured value, with its rule in words.
#[derive(Clone)]
pub struct Validator {
    description: String,
    sees_null: bool,
    example: Option<String>,
    check: Check,
}

type Check = Arc<dyn Fn(&ValidatorArgs<'_>, &mut Diagnostics) + Send + Sync>;

impl Validator {
    /// A check of your own on values that are neither null nor unknown.
    ///
    /// The description is a Markdown sentence of the rule, for the documentation. The check pushes
    /// what is wrong, with `path`.
    pub fn new(
        description: impl Into<String>,
        check: impl Fn(&ValidatorArgs<'_>, &mut Diagnostics) + Send + Sync + 'static,
    ) -> Self {
        Self {
            description: description.into(),
            sees_null: false,
            example: None,
            check: Arc::new(check),
        }
    }

    /// Lets the check see null as well.
    #[must_use]
    pub fn on_null_too(mut self) -> Self {
        self.sees_null = true;
        self
    }

    /// A text that passes, where the check knows one.
    pub(crate) fn example(&self) -> Option<&str> {
        self.example.as_deref()
    }

    /// The rule as a Markdown sentence.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Runs the check where the value is known.
    pub fn run(&self, args: &ValidatorArgs<'_>, found: &mut Diagnostics) {
        if args.value.is_unknown() || (args.value.is_null() && !self.sees_null) {
            return;
        }
        (self.check)(args, found);
    }
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Validator").field(&self.description).finish()
    }
}

impl ValidatorArgs<'_> {
    /// The value of another attribute: a dotted name that starts in the object around this one.
    /// `None` where there is no such place.
    pub fn sibling(&self, name: &str) -> Option<&Dynamic> {
        self.config.get(&self.sibling_path(name))
    }

    /// The value for a message; a sensitive one is not shown.
    pub fn shown(&self) -> String {
        if self.schema.is_sensitive(self.path) {
            "a sensitive value".to_owned()
        } else {
            self.value.to_string()
        }
    }

    fn sibling_path(&self, name: &str) -> Path {
        let parent = self
            .path
            .steps()
            .split_last()
            .map_or(&[][..], |(_, parent)| parent);
        name.split('.')
            .fold(Path(parent.to_vec()), Path::with_attribute)
    }

    fn is_set(&self, name: &str) -> Presence {
        match self.sibling(name) {
            None => Presence::Absent,
            Some(value) if value.is_unknown() => Presence::Unknown,
            Some(value) if value.is_null() => Presence::Absent,
            Some(_) => Presence::Present,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Absent,
    Present,
    Unknown,
}

/// One of these words, exactly as written.
pub fn one_of(words: &[&str]) -> Validator {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let (listed, example) = (list(&words), words.first().cloned());
    let validator = Validator::new(format!("One of {listed}."), move |args, found| {
        let Some(text) = args.value.as_str() else {
            return;
        };
        if !words.iter().any(|word| word == text) {
            found.push(
                Diagnostic::error("Value is not one of the allowed")
                    .at(args.path.clone())
                    .detail(format!(
                        "{} must be one of {listed}, not {}.",
                        quote(args.path),
                        args.shown()
                    )),
            );
        }
    });
    Validator {
        example,
        ..validator
    }
}

/// A number from `least` to `most`, both included.
pub fn between(least: impl Into<Number>, most: impl Into<Number>) -> Validator {
    let (least, most) = (least.into(), most.into());
    let rule = format!("between {least} and {most}");
    number(rule, move |number| *number >= least && *number <= most)
}

/// A number not below `least`.
pub fn at_least(least: impl Into<Number>) -> Validator {
    let least = least.into();
    number(format!("at least {least}"), move |number| *number >= least)
}

/// A number not above `most`.
pub fn at_most(most: impl Into<Number>) -> Validator {
    let most = most.into();
    number(format!("at most {most}"), move |number| *number <= most)
}

fn number(rule: String, holds: impl Fn(&Number) -> bool + Send + Sync + 'static) -> Validator {
    Validator::new(format!("Must be {rule}."), move |args, found| {
        let Dynamic::Number(number) = args.value else {
            return;
        };
        if !holds(number) {
            found.push(
                Diagnostic::error("Number is out of range")
                    .at(args.path.clone())
                    .detail(format!(
                        "{} must be {rule}, not {}.",
                        quote(args.path),
                        args.shown()
                    )),
            );
        }
    })
}

/// Text of `least` to `most` characters.
pub fn length(least: usize, most: usize) -> Validator {
    Validator::new(
        format!("Between {least} and {most} characters."),
        move |args, found| {
            let Some(text) = args.value.as_str() else {
                return;
            };
            let count = text.chars().count();
            if count < least || count > most {
                found.push(
                    Diagnostic::error("Text has the wrong length")
                        .at(args.path.clone())
                        .detail(format!(
                            "{} must have {least} to {most} characters, it has {count}.",
                            quote(args.path)
                        )),
                );
            }
        },
    )
}

/// A list, set or map of `least` to `most` elements.
pub fn item_count(least: usize, most: usize) -> Validator {
    Validator::new(
        format!("Between {least} and {most} elements."),
        move |args, found| {
            let count = match args.value {
                Dynamic::List(items) | Dynamic::Set(items) => items.len(),
                Dynamic::Map(items) => items.len(),
                _ => return,
            };
            // A set with unknown elements may shrink when they turn out equal.
            let may_shrink = matches!(args.value, Dynamic::Set(_)) && !args.value.is_wholly_known();
            if count < least || (count > most && !may_shrink) {
                found.push(
                    Diagnostic::error("Wrong number of elements")
                        .at(args.path.clone())
                        .detail(format!(
                            "{} must have {least} to {most} elements, it has {count}.",
                            quote(args.path)
                        )),
                );
            }
        },
    )
}

/// Text that matches a regular expression somewhere; anchor it with `^…$` for the whole text.
///
/// The rule completes "must …" in words: `regex("^[a-z]+$", "consist of lower-case letters")`.
pub fn regex(pattern: &'static str, rule: impl Into<String>) -> Validator {
    let rule = rule.into();
    // Compiled at the first use: the schema is built in every process, the check runs in few.
    let compiled: OnceLock<Result<regex::Regex, regex::Error>> = OnceLock::new();
    Validator::new(format!("Must {rule}."), move |args, found| {
        let Some(text) = args.value.as_str() else {
            return;
        };
        match compiled.get_or_init(|| regex::Regex::new(pattern)) {
            Ok(expression) if expression.is_match(text) => {}
            Ok(_) => found.push(
                Diagnostic::error("Text has the wrong form")
                    .at(args.path.clone())
                    .detail(format!(
                        "{} must {rule}; {} does not.",
                        quote(args.path),
                        args.shown()
                    )),
            ),
            Err(error) => found.push(
                Diagnostic::error("Provider has an invalid pattern")
                    .at(args.path.clone())
                    .detail(format!(
                        "This is a bug in the provider, please report it: {error}"
                    )),
            ),
        }
    })
}

/// Runs a check on each element of a list, set or map.
pub fn each(validator: Validator) -> Validator {
    Validator::new(
        format!("Each element: {}", validator.description),
        move |args, found| {
            let mut run = |step: Step, value: &Dynamic| {
                let path = args.path.clone().with(step);
                validator.run(
                    &ValidatorArgs {
                        path: &path,
                        value,
                        config: args.config,
                        schema: args.schema,
                    },
                    found,
                );
            };
            match args.value {
                Dynamic::List(items) => {
                    for (index, item) in (0..).zip(items) {
                        run(Step::Index(index), item);
                    }
                }
                Dynamic::Set(items) => items
                    .iter()
                    .for_each(|item| run(Step::Element(item.clone()), item)),
                Dynamic::Map(items) => {
                    for (key, item) in items {
                        run(Step::Key(key.clone()), item);
                    }
                }
                _ => {}
            }
        },
    )
}

/// May not be set together with any of the others.
///
/// The others are dotted names that start in the object around this attribute.
pub fn conflicts_with(others: &[&str]) -> Validator {
    let others: Vec<String> = others.iter().map(|&other| other.to_owned()).collect();
    Validator::new(
        format!("Conflicts with {}.", list(&others)),
        move |args, found| {
            for other in others
                .iter()
                .filter(|other| args.is_set(other) == Presence::Present)
            {
                found.push(
                    Diagnostic::error("Conflicting attributes")
                        .at(args.path.clone())
                        .detail(format!(
                            "{} cannot be set together with {}. Remove one of them.",
                            quote(args.path),
                            quote(&args.sibling_path(other)),
                        )),
                );
            }
        },
    )
}

/// Where this is set, each of the others must be set too.
///
/// The others are dotted names that start in the object around this attribute.
pub fn required_with(others: &[&str]) -> Validator {
    let others: Vec<String> = others.iter().map(|&other| other.to_owned()).collect();
    Validator::new(
        format!("Requires {}.", list(&others)),
        move |args, found| {
            for other in others
                .iter()
                .filter(|other| args.is_set(other) == Presence::Absent)
            {
                found.push(
                    Diagnostic::error("Missing attribute")
                        .at(args.path.clone())
                        .detail(format!(
                            "{} needs {} beside it. Set it, or remove {}.",
                            quote(args.path),
                            quote(&args.sibling_path(other)),
                            quote(args.path),
                        )),
                );
            }
        },
    )
}

/// Exactly one of this attribute and the others must be set. Put it on one of them only.
///
/// The others are dotted names that start in the object around this attribute.
pub fn exactly_one_of(others: &[&str]) -> Validator {
    let others: Vec<String> = others.iter().map(|&other| other.to_owned()).collect();
    let rule = format!("Exactly one of this and {} must be set.", list(&others));
    Validator::new(rule, move |args, found| {
        let mine = if args.value.is_null() {
            Presence::Absent
        } else {
            Presence::Present
        };
        let all: Vec<Presence> = others
            .iter()
            .map(|other| args.is_set(other))
            .chain([mine])
            .collect();
        let present = all
            .iter()
            .filter(|&&presence| presence == Presence::Present)
            .count();
        let may_be_one = present == 1 || (present == 0 && all.contains(&Presence::Unknown));
        if !may_be_one {
            let names: Vec<String> = others
                .iter()
                .map(|other| args.sibling_path(other).to_string())
                .collect();
            found.push(
                Diagnostic::error("Exactly one must be set")
                    .at(args.path.clone())
                    .detail(format!(
                        "Exactly one of {} and {} must be set, {present} are.",
                        quote(args.path),
                        list(&names),
                    )),
            );
        }
    })
    .on_null_too()
}

fn quote(path: &Path) -> String {
    format!("`{path}`")
}

fn list(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}
