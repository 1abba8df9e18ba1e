//! Random types, values and schemas, all drawn from one string of bytes.
//!
//! proptest draws and shrinks the bytes; what they mean is decided here. Without bytes left every
//! choice is the first, simplest one, so that shrinking leads to small cases.

use std::{collections::BTreeMap, fmt};

use proptest::prelude::*;
use tfplug::{
    schema::{Attribute, AttributeKind, BlockNesting, NestedBlock, Nesting, Schema},
    value::{Dynamic, Number, Refinement, Type},
};

/// The source of choices, for `proptest!`.
pub(crate) fn choices() -> impl Strategy<Value = Choices> {
    proptest::collection::vec(any::<u8>(), 0..1500).prop_map(|bytes| Choices {
        bytes: bytes.into_iter(),
    })
}

/// A sequence of choices that are made already.
#[derive(Clone)]
pub(crate) struct Choices {
    bytes: std::vec::IntoIter<u8>,
}

/// Short, because a failing case is printed.
impl fmt::Debug for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes
            .as_slice()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a value may contain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allow {
    pub(crate) nulls: bool,
    pub(crate) unknowns: bool,
}

impl Allow {
    pub(crate) const ALL: Self = Self {
        nulls: true,
        unknowns: true,
    };
    pub(crate) const KNOWN: Self = Self {
        nulls: true,
        unknowns: false,
    };
}

impl Choices {
    /// One of `0..count`.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        usize::from(self.bytes.next().unwrap_or(0)) % count
    }

    /// True in one of `of` cases.
    pub(crate) fn one_in(&mut self, of: usize) -> bool {
        self.pick(of) == of - 1
    }

    pub(crate) fn text(&mut self) -> String {
        const PARTS: [&str; 7] = ["", "a", "b", "projects/", "ä", "\u{1f600}", "\"\n"];
        let (first, second) = (self.pick(PARTS.len()), self.pick(PARTS.len()));
        format!("{}{}", PARTS[first], PARTS[second])
    }

    pub(crate) fn number(&mut self) -> Number {
        let small = i64::from(self.bytes.next().unwrap_or(0)) - 100;
        let text = match self.pick(6) {
            0 => small.to_string(),
            1 => format!("{small}.5"),
            2 => format!("{small}.1"),
            3 => format!("{}{}", i64::MAX, small.abs()),
            4 => format!(
                "-{}.{}7",
                "9".repeat(self.pick(200) + 1),
                "3".repeat(self.pick(100))
            ),
            _ => format!("{small}e{}", self.pick(200)),
        };
        text.parse().expect("the text is a number")
    }

    /// A type of at most `depth` levels.
    pub(crate) fn ty(&mut self, depth: usize, dynamic: bool) -> Type {
        let kinds = if depth == 0 { 4 } else { 9 };
        match self.pick(kinds) {
            1 => Type::Bool,
            2 => Type::Number,
            3 if dynamic => Type::Dynamic,
            0 | 3 => Type::String,
            4 => Type::list(self.ty(depth - 1, false)),
            5 => Type::set(self.ty(depth - 1, false)),
            6 => Type::map(self.ty(depth - 1, false)),
            7 => {
                let length = self.pick(3);
                Type::Tuple((0..length).map(|_| self.ty(depth - 1, dynamic)).collect())
            }
            _ => {
                let length = self.pick(4);
                Type::object((0..length).map(|n| (format!("a{n}"), self.ty(depth - 1, dynamic))))
            }
        }
    }

    pub(crate) fn value(&mut self, ty: &Type, allow: Allow) -> Dynamic {
        match self.pick(8) {
            6 if allow.nulls => Dynamic::Null,
            7 if allow.unknowns => self.unknown(ty),
            _ => self.known(ty, allow),
        }
    }

    /// A value that is itself known and not null.
    pub(crate) fn known(&mut self, ty: &Type, allow: Allow) -> Dynamic {
        match ty {
            Type::Bool => Dynamic::Bool(self.pick(2) == 1),
            Type::Number => Dynamic::Number(self.number()),
            Type::String => Dynamic::String(self.text()),
            Type::Dynamic => {
                let own = self.ty(2, false);
                let value = self.value(&own, allow);
                Dynamic::Typed(Box::new(own), Box::new(value))
            }
            Type::List(element) => {
                let length = self.pick(4);
                Dynamic::List((0..length).map(|_| self.value(element, allow)).collect())
            }
            Type::Set(element) => {
                let length = self.pick(4);
                set((0..length).map(|_| self.value(element, allow)))
            }
            Type::Map(element) => {
                let length = self.pick(4);
                let mut entry = |_| (self.text(), self.value(element, allow));
                Dynamic::Map((0..length).map(&mut entry).collect())
            }
            Type::Tuple(elements) => Dynamic::Tuple(
                elements
                    .iter()
                    .map(|element| self.value(element, allow))
                    .collect(),
            ),
            Type::Object(attributes) => Dynamic::object(
                attributes
                    .iter()
                    .map(|(name, ty)| (name.clone(), self.value(ty, allow))),
            ),
        }
    }

    pub(crate) fn unknown(&mut self, ty: &Type) -> Dynamic {
        if *ty == Type::Dynamic || self.pick(2) == 0 {
            return Dynamic::unknown();
        }
        let mut refinement = Refinement::default();
        if self.pick(2) == 0 {
            refinement = refinement.with_not_null();
        }
        match ty {
            Type::String => refinement = refinement.with_prefix(self.text()),
            Type::Number => {
                let lower = self.number();
                refinement = refinement.with_lower(lower, self.pick(2) == 0);
            }
            Type::List(_) | Type::Set(_) | Type::Map(_) => {
                refinement = refinement.with_max_length(2 + self.pick(3) as u64);
            }
            _ => {}
        }
        Dynamic::Unknown(refinement)
    }

    /// The value with every unknown become something that it promised to become.
    pub(crate) fn fill(&mut self, value: &Dynamic, ty: &Type) -> Dynamic {
        match (value, ty) {
            (Dynamic::Unknown(refinement), _) => {
                let wanted = if refinement.is_not_null() {
                    self.known(ty, Allow::KNOWN)
                } else {
                    self.value(ty, Allow::KNOWN)
                };
                if refinement.admits(&wanted) {
                    wanted
                } else {
                    least(refinement, ty)
                }
            }
            (Dynamic::Typed(own, value), _) => {
                Dynamic::Typed(own.clone(), Box::new(self.fill(value, own)))
            }
            (Dynamic::List(values), Type::List(element)) => Dynamic::List(
                values
                    .iter()
                    .map(|value| self.fill(value, element))
                    .collect(),
            ),
            (Dynamic::Set(values), Type::Set(element)) => {
                set(values.iter().map(|value| self.fill(value, element)))
            }
            (Dynamic::Tuple(values), Type::Tuple(elements)) => Dynamic::Tuple(
                values
                    .iter()
                    .zip(elements)
                    .map(|(value, ty)| self.fill(value, ty))
                    .collect(),
            ),
            (Dynamic::Map(values), Type::Map(element)) => Dynamic::Map(
                values
                    .iter()
                    .map(|(key, v)| (key.clone(), self.fill(v, element)))
                    .collect(),
            ),
            (Dynamic::Object(values), Type::Object(types)) => Dynamic::object(
                values
                    .iter()
                    .zip(types.values())
                    .map(|((name, value), ty)| (name.clone(), self.fill(value, ty))),
            ),
            (other, _) => other.clone(),
        }
    }

    /// A schema without faults.
    pub(crate) fn schema(&mut self) -> Schema {
        let mut schema = Schema::new("").attributes(self.attributes(2, false, true));
        for number in 0..self.pick(3) {
            schema = schema.block(self.block(number, 1, false));
        }
        schema
    }

    fn attributes(&mut self, depth: usize, in_set: bool, root: bool) -> Vec<Attribute> {
        let count = self.pick(4) + usize::from(root);
        let mut attributes: Vec<_> = (0..count)
            .map(|number| self.attribute(number, depth, in_set, root))
            .collect();
        // Objects of a set stay different from each other, whatever is computed in them.
        if in_set {
            attributes.push(Attribute::string("key").required());
        }
        attributes
    }

    fn attribute(&mut self, number: usize, depth: usize, in_set: bool, root: bool) -> Attribute {
        let name = format!("a{number}");
        let nested = depth > 0 && self.one_in(3);
        let attribute = if nested {
            match self.pick(4) {
                0 => Attribute::object(name, self.attributes(depth - 1, in_set, false)),
                1 => Attribute::list_of_objects(name, self.attributes(depth - 1, in_set, false)),
                2 => Attribute::map_of_objects(name, self.attributes(depth - 1, in_set, false)),
                _ => Attribute::set_of_objects(name, self.attributes(depth - 1, true, false)),
            }
        } else {
            // A dynamic type only where nothing around it is a collection.
            Attribute::of(name, self.ty(2, root))
        };
        let attribute = if self.one_in(6) {
            attribute.sensitive()
        } else {
            attribute
        };
        match self.pick(5) {
            0 => attribute.optional(),
            1 => attribute.required(),
            2 => attribute.computed(),
            3 if !in_set && !nested => attribute.optional().write_only(),
            _ => attribute.optional().computed(),
        }
    }

    fn block(&mut self, number: usize, depth: usize, in_set: bool) -> NestedBlock {
        let nesting = [
            BlockNesting::List,
            BlockNesting::Single,
            BlockNesting::Group,
            BlockNesting::Set,
            BlockNesting::Map,
        ][self.pick(5)];
        let in_set = in_set || nesting == BlockNesting::Set;
        let attributes = self.attributes(1, in_set, false);
        let mut block = NestedBlock::new(format!("b{number}"), nesting, "", attributes);
        if depth > 0 && self.pick(2) == 1 {
            block = block.block(self.block(0, depth - 1, in_set));
        }
        block
    }

    /// A configuration of the schema.
    pub(crate) fn config(&mut self, schema: &Schema) -> Dynamic {
        self.block_object(&schema.block.attributes, &schema.block.blocks, Role::Config)
    }

    /// A state of the schema.
    pub(crate) fn state(&mut self, schema: &Schema) -> Dynamic {
        self.block_object(&schema.block.attributes, &schema.block.blocks, Role::State)
    }

    fn block_object(
        &mut self,
        attributes: &[Attribute],
        blocks: &[NestedBlock],
        role: Role,
    ) -> Dynamic {
        let mut values = BTreeMap::new();
        for attribute in attributes {
            values.insert(
                attribute.name.clone(),
                self.attribute_value(attribute, role),
            );
        }
        for block in blocks {
            let (attributes, blocks) = (&block.block.attributes, &block.block.blocks);
            let value = match block.nesting {
                BlockNesting::Single if self.pick(3) == 0 => Dynamic::Null,
                BlockNesting::Single | BlockNesting::Group => {
                    self.block_object(attributes, blocks, role)
                }
                _ if role == Role::Config && self.one_in(8) => Dynamic::unknown(),
                nesting => {
                    let nesting = match nesting {
                        BlockNesting::Set => Nesting::Set,
                        BlockNesting::Map => Nesting::Map,
                        _ => Nesting::List,
                    };
                    self.collection(nesting, |choices| {
                        choices.block_object(attributes, blocks, role)
                    })
                }
            };
            values.insert(block.name.clone(), value);
        }
        Dynamic::Object(values)
    }

    fn attribute_value(&mut self, attribute: &Attribute, role: Role) -> Dynamic {
        let configurable = attribute.required || attribute.optional;
        if (role == Role::Config && !configurable) || (role == Role::State && attribute.write_only)
        {
            return Dynamic::Null;
        }
        if !attribute.required && self.pick(3) == 0 {
            return Dynamic::Null;
        }
        if attribute.name == "key" {
            return Dynamic::String(self.text());
        }
        if role == Role::Config && self.one_in(6) {
            return self.unknown(&attribute.implied_type());
        }
        let unknowns = role == Role::Config;
        match &attribute.kind {
            AttributeKind::Type(ty) => self.known(
                ty,
                Allow {
                    nulls: true,
                    unknowns,
                },
            ),
            AttributeKind::Nested(nested) => self.collection(nested.nesting, |choices| {
                choices.block_object(&nested.attributes, &[], role)
            }),
        }
    }

    fn collection(
        &mut self,
        nesting: Nesting,
        mut object: impl FnMut(&mut Self) -> Dynamic,
    ) -> Dynamic {
        if nesting == Nesting::Single {
            return object(self);
        }
        let count = self.pick(4);
        match nesting {
            Nesting::Single | Nesting::List => {
                Dynamic::List((0..count).map(|_| object(self)).collect())
            }
            Nesting::Map => {
                let mut entry = |_| (self.text(), object(self));
                Dynamic::Map((0..count).map(&mut entry).collect())
            }
            Nesting::Set => {
                // One object for each key, see `attributes`.
                let mut keys = Vec::new();
                let mut objects: Vec<_> = (0..count).map(|_| object(self)).collect();
                objects.retain(|object| {
                    let key = object.attribute("key").cloned();
                    let new = !keys.contains(&key);
                    keys.push(key);
                    new
                });
                Dynamic::Set(objects)
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Config,
    State,
}

/// A set as Terraform keeps it: elements that are known and equal are one.
pub(crate) fn set(elements: impl Iterator<Item = Dynamic>) -> Dynamic {
    let mut kept: Vec<Dynamic> = Vec::new();
    for element in elements {
        if !element.is_wholly_known() || !kept.contains(&element) {
            kept.push(element);
        }
    }
    Dynamic::Set(kept)
}

/// The plainest value that keeps the promises.
fn least(refinement: &Refinement, ty: &Type) -> Dynamic {
    if !refinement.is_not_null() {
        return Dynamic::Null;
    }
    match ty {
        Type::String => Dynamic::from(refinement.prefix().unwrap_or_default()),
        Type::Number => Dynamic::Number(format!("1{}", "0".repeat(400)).parse().expect("a number")),
        Type::List(_) => Dynamic::List(Vec::new()),
        Type::Set(_) => Dynamic::Set(Vec::new()),
        Type::Map(_) => Dynamic::Map(BTreeMap::new()),
        _ => unreachable!("no other type promises more than not to be null"),
    }
}
