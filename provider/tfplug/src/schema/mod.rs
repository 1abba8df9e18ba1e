//! Schemas: what a resource, data source, provider or ephemeral resource is made of.
//!
//! ```text
//! Schema ─ version
//!    └── Block ─┬─ Attribute ─┬─ Type          name = "chat"
//!               │             └─ NestedObject  workload = { … }
//!               └─ NestedBlock ── Block        timeouts { … }
//! ```
//!
//! One description serves everything: the type on the wire, the text of the documentation, the
//! validators, the defaults and the plan modifiers. Prefer nested attributes to nested blocks;
//! blocks are here for schemas that must keep the shape of an older provider.

use std::collections::BTreeMap;

use crate::value::{Path, Step, Type};

mod attribute;
mod modifiers;
mod validators;
mod wire;

pub(crate) use wire::type_json;

pub use attribute::{Attribute, AttributeKind, NestedObject, Nesting};
pub use modifiers::{ModifyArgs, PlanModifier, ReplaceArgs};
pub use validators::{Validator, ValidatorArgs, between, conflicts_with, each, exactly_one_of};
pub use validators::{at_least, at_most, item_count, length, one_of, regex, required_with};

/// The schema of one resource, data source, ephemeral resource or provider.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Version of the stored state; raise it when old state must be rewritten, see
    /// [`Resource::upgrade_state`](crate::framework::Resource::upgrade_state).
    pub version: i64,
    /// What is inside.
    pub block: Block,
}

/// Attributes and nested blocks that stand together.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// The arguments, in the order in which the documentation shows them.
    pub attributes: Vec<Attribute>,
    /// The nested blocks, in the same order.
    pub blocks: Vec<NestedBlock>,
    /// Markdown.
    pub description: String,
    /// Why and in favour of what it is deprecated; `None` while it is not.
    pub deprecation: Option<String>,
}

/// A block type inside another block: `name { … }`.
#[derive(Clone, Debug)]
pub struct NestedBlock {
    /// The word before the brace.
    pub name: String,
    /// What is inside each block.
    pub block: Block,
    /// How many there may be, and how they are told apart.
    pub nesting: BlockNesting,
    /// Fewest blocks allowed (list and set only; single: 1 means required).
    pub min_items: i64,
    /// Most blocks allowed; 0 is no limit (list and set only).
    pub max_items: i64,
    /// Checks on the whole collection of blocks.
    pub validators: Vec<Validator>,
    /// Run on the whole collection of blocks when a change is planned.
    pub plan_modifiers: Vec<PlanModifier>,
}

/// How many blocks of a type there may be, and how they are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockNesting {
    /// None or one; absent is null.
    Single,
    /// Always one; absent is a block of nulls.
    Group,
    /// Any number, by position.
    List,
    /// Any number, by content.
    Set,
    /// Any number, by label.
    Map,
}

impl Schema {
    /// An empty schema at version 0 with its Markdown description.
    pub fn new(description: impl Into<String>) -> Self {
        Self {
            version: 0,
            block: Block {
                description: description.into(),
                ..Block::default()
            },
        }
    }

    /// Sets the version of the stored state.
    #[must_use]
    pub fn version(mut self, version: i64) -> Self {
        self.version = version;
        self
    }

    /// Adds one attribute.
    #[must_use]
    pub fn attribute(mut self, attribute: Attribute) -> Self {
        self.block.attributes.push(attribute);
        self
    }

    /// Adds several attributes.
    #[must_use]
    pub fn attributes(mut self, attributes: impl IntoIterator<Item = Attribute>) -> Self {
        self.block.attributes.extend(attributes);
        self
    }

    /// Adds a nested block type.
    #[must_use]
    pub fn block(mut self, block: NestedBlock) -> Self {
        self.block.blocks.push(block);
        self
    }

    /// Marks the whole resource deprecated; the message says what to use in its place.
    #[must_use]
    pub fn deprecated(mut self, message: impl Into<String>) -> Self {
        self.block.deprecation = Some(message.into());
        self
    }

    /// The object type of a value of this schema.
    pub fn implied_type(&self) -> Type {
        self.block.implied_type()
    }

    /// The attribute that the value at a path belongs to; keys, positions and set elements on the
    /// way are passed over, and a path into a plain value ends at its attribute.
    pub fn attribute_at(&self, path: &Path) -> Option<&Attribute> {
        attribute_at(&self.block.attributes, &self.block.blocks, path.steps())
    }

    /// Is the value at a path, or one around it, hidden from output?
    pub fn is_sensitive(&self, path: &Path) -> bool {
        is_sensitive(&self.block.attributes, &self.block.blocks, path.steps())
    }
}

impl Block {
    /// The attribute of this name, of this block only.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }

    /// The block type of this name, of this block only.
    pub fn nested(&self, name: &str) -> Option<&NestedBlock> {
        self.blocks.iter().find(|block| block.name == name)
    }

    /// The object type of a value of this block.
    pub fn implied_type(&self) -> Type {
        let attributes = self
            .attributes
            .iter()
            .map(|attribute| (attribute.name.clone(), attribute.implied_type()));
        let blocks = self
            .blocks
            .iter()
            .map(|block| (block.name.clone(), block.implied_type()));
        Type::Object(attributes.chain(blocks).collect::<BTreeMap<_, _>>())
    }
}

impl NestedBlock {
    /// A block type with its Markdown description and its attributes.
    pub fn new(
        name: impl Into<String>,
        nesting: BlockNesting,
        description: impl Into<String>,
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> Self {
        Self {
            name: name.into(),
            block: Block {
                attributes: attributes.into_iter().collect(),
                description: description.into(),
                ..Block::default()
            },
            nesting,
            min_items: 0,
            max_items: 0,
            validators: Vec::new(),
            plan_modifiers: Vec::new(),
        }
    }

    /// Adds a block type inside this one.
    #[must_use]
    pub fn block(mut self, block: NestedBlock) -> Self {
        self.block.blocks.push(block);
        self
    }

    /// Sets the fewest and the most blocks allowed; a `most` of 0 is no limit.
    #[must_use]
    pub fn items(mut self, fewest: i64, most: i64) -> Self {
        self.min_items = fewest;
        self.max_items = most;
        self
    }

    /// Adds a check on the whole collection.
    #[must_use]
    pub fn validate(mut self, validator: Validator) -> Self {
        self.validators.push(validator);
        self
    }

    /// Adds a plan modifier on the whole collection.
    #[must_use]
    pub fn modify(mut self, modifier: PlanModifier) -> Self {
        self.plan_modifiers.push(modifier);
        self
    }

    /// The type of the value under this block's name.
    ///
    /// A list or map of blocks that contain a dynamically typed attribute has itself a dynamic
    /// type, because its elements may differ.
    pub fn implied_type(&self) -> Type {
        let element = self.block.implied_type();
        match self.nesting {
            BlockNesting::Single | BlockNesting::Group => element,
            BlockNesting::List => attribute::collection(Type::list, element),
            BlockNesting::Map => attribute::collection(Type::map, element),
            BlockNesting::Set => Type::set(element),
        }
    }
}

fn attribute_at<'s>(
    attributes: &'s [Attribute],
    blocks: &'s [NestedBlock],
    steps: &[Step],
) -> Option<&'s Attribute> {
    let (step, rest) = steps.split_first()?;
    let Step::Attribute(name) = step else {
        return attribute_at(attributes, blocks, rest);
    };
    if let Some(attribute) = attributes.iter().find(|attribute| attribute.name == *name) {
        let goes_on = rest.iter().any(|step| matches!(step, Step::Attribute(_)));
        return match &attribute.kind {
            AttributeKind::Nested(object) if goes_on => attribute_at(&object.attributes, &[], rest),
            AttributeKind::Nested(_) | AttributeKind::Type(_) => Some(attribute),
        };
    }
    let block = blocks.iter().find(|block| block.name == *name)?;
    attribute_at(&block.block.attributes, &block.block.blocks, rest)
}

fn is_sensitive(attributes: &[Attribute], blocks: &[NestedBlock], steps: &[Step]) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        return false;
    };
    let Step::Attribute(name) = step else {
        return is_sensitive(attributes, blocks, rest);
    };
    if let Some(attribute) = attributes.iter().find(|attribute| attribute.name == *name) {
        return attribute.sensitive
            || attribute.write_only
            || match &attribute.kind {
                AttributeKind::Nested(object) => is_sensitive(&object.attributes, &[], rest),
                AttributeKind::Type(_) => false,
            };
    }
    let block = blocks.iter().find(|block| block.name == *name);
    block.is_some_and(|block| is_sensitive(&block.block.attributes, &block.block.blocks, rest))
}
