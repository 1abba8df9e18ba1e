//! What the provider has, and what it answers where no fault is asked for.

use std::collections::BTreeMap;

use tfplug::schema::{Attribute, BlockNesting, NestedBlock, Schema};
use tfplug::value::{Dynamic, Refinement, Type};

/// Each kind of attribute and block, as [`crate::case::BODY`] sets them.
pub(crate) fn thing() -> Schema {
    let inner = || {
        [
            Attribute::string("text").optional(),
            Attribute::string("made").computed(),
        ]
    };
    Schema::new("")
        .attributes([
            Attribute::string("case").required(),
            Attribute::string("id").computed(),
            Attribute::number("size").optional(),
            Attribute::string("name").optional(),
            Attribute::string("zone").optional().computed(),
            Attribute::map_of("tags", Type::String).optional(),
            Attribute::string("secret").optional().write_only(),
            Attribute::object("one", inner()).optional(),
            Attribute::list_of_objects("many", inner()).optional(),
            Attribute::map_of_objects("keyed", inner()).optional(),
            Attribute::set_of_objects("some", inner()).optional(),
        ])
        .block(NestedBlock::new("rule", BlockNesting::List, "", inner()))
        .block(NestedBlock::new("seal", BlockNesting::Single, "", inner()))
        .block(NestedBlock::new("mark", BlockNesting::Set, "", inner()))
}

pub(crate) fn source() -> Schema {
    Schema::new("").attributes([
        Attribute::string("case").required(),
        Attribute::string("text").optional(),
        Attribute::string("id").computed(),
    ])
}

pub(crate) fn loan() -> Schema {
    source()
}

/// What the computed attribute of a name is planned as: an id with a promise, the others without.
pub(crate) fn computed_while_unknown(name: &str) -> Dynamic {
    match name {
        "id" => Dynamic::Unknown(Refinement::default().with_not_null().with_prefix("thing-")),
        _ => Dynamic::unknown(),
    }
}

/// Fills every computed attribute that has no value, at any depth, and every unknown.
pub(crate) fn complete(value: &mut Dynamic, fill: &mut impl FnMut(&str) -> Dynamic) {
    match value {
        Dynamic::Object(attributes) => {
            for (name, attribute) in attributes {
                let computed = matches!(name.as_str(), "id" | "zone" | "made");
                if attribute.is_unknown() || (computed && attribute.is_null()) {
                    // An unknown of the configuration stays one while planning.
                    *attribute = fill(name);
                } else {
                    complete(attribute, fill);
                }
            }
        }
        Dynamic::List(elements) | Dynamic::Set(elements) => {
            for element in elements {
                complete(element, fill);
            }
        }
        Dynamic::Map(elements) => {
            for element in elements.values_mut() {
                complete(element, fill);
            }
        }
        _ => {}
    }
}

/// Every attribute null, every collection of blocks empty.
pub(crate) fn nothing_set(schema: &Schema) -> BTreeMap<String, Dynamic> {
    let attributes = schema
        .block
        .attributes
        .iter()
        .map(|attribute| (attribute.name.clone(), Dynamic::Null));
    let blocks = schema.block.blocks.iter().map(|block| {
        let empty = match block.nesting {
            BlockNesting::List => Dynamic::List(Vec::new()),
            BlockNesting::Set => Dynamic::Set(Vec::new()),
            _ => Dynamic::Null,
        };
        (block.name.clone(), empty)
    });
    attributes.chain(blocks).collect()
}
