//! One attribute, and the builder that reads like its documentation.
//!
//! ```
//! use tfplug::schema::{Attribute, length};
//!
//! let name = Attribute::string("name")
//!     .required()
//!     .description("Name of the endpoint.")
//!     .requires_replace()
//!     .validate(length(1, 63));
//! assert!(name.required);
//! ```

use std::collections::BTreeMap;

use super::{PlanModifier, ReplaceArgs, Validator};
use crate::value::{Dynamic, Refinement, Type};

/// An argument or a result: one name with its type and its rules.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the flags are Terraform's and independent on the wire"
)]
pub struct Attribute {
    /// `[a-z0-9_]+`, starting with a letter.
    pub name: String,
    /// A plain type, or an object with attributes of its own.
    pub kind: AttributeKind,
    /// The user must set it.
    pub required: bool,
    /// The user may set it.
    pub optional: bool,
    /// The provider sets it where the user did not.
    pub computed: bool,
    /// Terraform hides the value in its output; it is still in the state.
    pub sensitive: bool,
    /// Passed to the provider in the configuration only: never in plan or state.
    pub write_only: bool,
    /// Why and in favour of what it is deprecated; `None` while it is not.
    pub deprecation: Option<String>,
    /// Markdown, without what [`Attribute::documentation`] adds by itself.
    pub description: String,
    /// Planned where the configuration is null.
    pub default: Option<Dynamic>,
    /// What is promised of the value while it is unknown.
    pub refinement: Refinement,
    /// Checks on the configured value.
    pub validators: Vec<Validator>,
    /// Run on the planned value, in order.
    pub plan_modifiers: Vec<PlanModifier>,
}

/// The two kinds of attribute.
#[derive(Clone, Debug)]
pub enum AttributeKind {
    /// A value of a plain type.
    Type(Type),
    /// An object, or a collection of objects, with a schema of its own.
    Nested(NestedObject),
}

/// The schema of an object inside an attribute.
#[derive(Clone, Debug)]
pub struct NestedObject {
    /// The attributes of one object.
    pub attributes: Vec<Attribute>,
    /// One object, or which collection of them.
    pub nesting: Nesting,
}

/// How objects nest in an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// One object.
    Single,
    /// A list of objects.
    List,
    /// A set of objects.
    Set,
    /// A map of objects by string keys.
    Map,
}

/// Which attribute: its name and type.
impl Attribute {
    /// An attribute of any plain type.
    pub fn of(name: impl Into<String>, r#type: Type) -> Self {
        Self::new(name, AttributeKind::Type(r#type))
    }

    /// Text.
    pub fn string(name: impl Into<String>) -> Self {
        Self::of(name, Type::String)
    }

    /// True or false.
    pub fn bool(name: impl Into<String>) -> Self {
        Self::of(name, Type::Bool)
    }

    /// A number; Terraform does not tell integers from fractions, the model's field does.
    pub fn number(name: impl Into<String>) -> Self {
        Self::of(name, Type::Number)
    }

    /// A value whose type the user chooses.
    pub fn dynamic(name: impl Into<String>) -> Self {
        Self::of(name, Type::Dynamic)
    }

    /// A list with elements of a plain type.
    pub fn list_of(name: impl Into<String>, element: Type) -> Self {
        Self::of(name, Type::list(element))
    }

    /// A set with elements of a plain type.
    pub fn set_of(name: impl Into<String>, element: Type) -> Self {
        Self::of(name, Type::set(element))
    }

    /// A map from strings to a plain type.
    pub fn map_of(name: impl Into<String>, element: Type) -> Self {
        Self::of(name, Type::map(element))
    }

    /// An object with attributes of its own.
    pub fn object(
        name: impl Into<String>,
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> Self {
        Self::nested(name, Nesting::Single, attributes)
    }

    /// A list of objects.
    pub fn list_of_objects(
        name: impl Into<String>,
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> Self {
        Self::nested(name, Nesting::List, attributes)
    }

    /// A set of objects.
    pub fn set_of_objects(
        name: impl Into<String>,
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> Self {
        Self::nested(name, Nesting::Set, attributes)
    }

    /// A map from strings to objects.
    pub fn map_of_objects(
        name: impl Into<String>,
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> Self {
        Self::nested(name, Nesting::Map, attributes)
    }

    fn nested(
        name: impl Into<String>,
        nesting: Nesting,
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> Self {
        let attributes = attributes.into_iter().collect();
        Self::new(
            name,
            AttributeKind::Nested(NestedObject {
                attributes,
                nesting,
            }),
        )
    }

    fn new(name: impl Into<String>, kind: AttributeKind) -> Self {
        Self {
            name: name.into(),
            kind,
            required: false,
            optional: false,
            computed: false,
            sensitive: false,
            write_only: false,
            deprecation: None,
            description: String::new(),
            default: None,
            refinement: Refinement::default(),
            validators: Vec::new(),
            plan_modifiers: Vec::new(),
        }
    }
}

/// Who sets it, and how it is shown.
impl Attribute {
    /// The user must set it.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The user may set it.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The provider sets it; with [`optional`](Self::optional): where the user did not.
    #[must_use]
    pub fn computed(mut self) -> Self {
        self.computed = true;
        self
    }

    /// Markdown: what it does, its format, an example.
    #[must_use]
    pub fn description(mut self, markdown: impl Into<String>) -> Self {
        self.description = markdown.into();
        self
    }

    /// Terraform hides the value in its output. It is still in the state: for secrets prefer
    /// [`write_only`](Self::write_only).
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// The value reaches the provider in the configuration and is never in plan or state.
    #[must_use]
    pub fn write_only(mut self) -> Self {
        self.write_only = true;
        self
    }

    /// Warns whoever sets it; the message says what to use in its place.
    #[must_use]
    pub fn deprecated(mut self, message: impl Into<String>) -> Self {
        self.deprecation = Some(message.into());
        self
    }

    /// The value planned where the user sets none; makes the attribute optional and computed.
    #[must_use]
    pub fn default(mut self, value: impl Into<Dynamic>) -> Self {
        self.default = Some(value.into());
        self.optional().computed()
    }

    /// Promises that the value, while unknown, will not be null.
    #[must_use]
    pub fn never_null(mut self) -> Self {
        self.refinement = std::mem::take(&mut self.refinement).with_not_null();
        self
    }

    /// Promises that the value, while unknown, will be text with this start, so that
    /// `startswith(x.id, "projects/")` is already known in the plan.
    #[must_use]
    pub fn computed_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.refinement = std::mem::take(&mut self.refinement).with_prefix(prefix);
        self.never_null().computed()
    }
}

/// What is checked, and what a change means.
impl Attribute {
    /// Adds a check on the configured value.
    #[must_use]
    pub fn validate(mut self, validator: Validator) -> Self {
        self.validators.push(validator);
        self
    }

    /// Adds a plan modifier.
    #[must_use]
    pub fn modify(mut self, modifier: PlanModifier) -> Self {
        self.plan_modifiers.push(modifier);
        self
    }

    /// A change of the value replaces the resource. When to use: the remote object cannot take
    /// the new value in place.
    #[must_use]
    pub fn requires_replace(self) -> Self {
        self.modify(PlanModifier::requires_replace())
    }

    /// As [`requires_replace`](Self::requires_replace), but only where `condition` holds. The
    /// `reason` completes "Changing this replaces the resource …" in the documentation.
    #[must_use]
    pub fn requires_replace_if(
        self,
        reason: impl Into<String>,
        condition: impl Fn(&ReplaceArgs<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.modify(PlanModifier::requires_replace_if(reason, condition))
    }

    /// Plans the prior value where the plan would say "known after apply". When to use: the value
    /// is fixed at creation, such as an id.
    #[must_use]
    pub fn use_state_for_unknown(self) -> Self {
        self.modify(PlanModifier::use_state_for_unknown())
    }

    /// As [`use_state_for_unknown`](Self::use_state_for_unknown), but a null prior value stays
    /// unknown. When to use: the value may appear later, and is fixed from then on.
    #[must_use]
    pub fn use_non_null_state_for_unknown(self) -> Self {
        self.modify(PlanModifier::use_non_null_state_for_unknown())
    }
}

/// What others ask of it.
impl Attribute {
    /// The type of its value.
    pub fn implied_type(&self) -> Type {
        match &self.kind {
            AttributeKind::Type(r#type) => r#type.clone(),
            AttributeKind::Nested(object) => object.implied_type(),
        }
    }

    /// May the user set it?
    pub fn is_configurable(&self) -> bool {
        self.required || self.optional
    }

    /// The description with what the rules say by themselves: allowed values, default, and
    /// whether a change replaces the resource. Markdown; this is what Terraform gets.
    pub fn documentation(&self) -> String {
        let mut sentences = vec![self.description.trim().to_owned()];
        sentences.extend(
            self.validators
                .iter()
                .map(|validator| validator.description().to_owned()),
        );
        if let Some(default) = &self.default {
            sentences.push(format!("Default: `{default}`."));
        }
        sentences.extend(
            self.plan_modifiers
                .iter()
                .filter_map(PlanModifier::description),
        );
        sentences.retain(|sentence| !sentence.is_empty());
        sentences.join(" ")
    }
}

impl NestedObject {
    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }

    /// The type of one object.
    pub fn object_type(&self) -> Type {
        let attributes = self
            .attributes
            .iter()
            .map(|attribute| (attribute.name.clone(), attribute.implied_type()));
        Type::Object(attributes.collect::<BTreeMap<_, _>>())
    }

    /// The type of the attribute: one object or a collection of them.
    pub fn implied_type(&self) -> Type {
        let object = self.object_type();
        match self.nesting {
            Nesting::Single => object,
            Nesting::List => collection(Type::list, object),
            Nesting::Map => collection(Type::map, object),
            Nesting::Set => Type::set(object),
        }
    }
}

/// A list or map of `element`, or a dynamic type where elements may differ in type.
pub(super) fn collection(make: fn(Type) -> Type, element: Type) -> Type {
    if element.has_dynamic() {
        Type::Dynamic
    } else {
        make(element)
    }
}
