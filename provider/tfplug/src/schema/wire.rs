//! Schemas as Terraform reads them.

use bytes::Bytes;

use super::{Attribute, AttributeKind, Block, BlockNesting, NestedBlock, Nesting, Schema};
use crate::value::Type;
use crate::wire::{self, StringKind};

impl From<&Schema> for wire::Schema {
    fn from(schema: &Schema) -> Self {
        Self {
            version: schema.version,
            block: Some((&schema.block).into()),
        }
    }
}

impl From<&Block> for wire::schema::Block {
    fn from(block: &Block) -> Self {
        Self {
            version: 0,
            attributes: block.attributes.iter().map(Into::into).collect(),
            block_types: block.blocks.iter().map(Into::into).collect(),
            description: block.description.clone(),
            description_kind: StringKind::Markdown.into(),
            deprecated: block.deprecation.is_some(),
            deprecation_message: block.deprecation.clone().unwrap_or_default(),
            computed: false,
        }
    }
}

impl From<&NestedBlock> for wire::schema::NestedBlock {
    fn from(block: &NestedBlock) -> Self {
        use wire::schema::nested_block::NestingMode;
        let nesting = match block.nesting {
            BlockNesting::Single => NestingMode::Single,
            BlockNesting::Group => NestingMode::Group,
            BlockNesting::List => NestingMode::List,
            BlockNesting::Set => NestingMode::Set,
            BlockNesting::Map => NestingMode::Map,
        };
        Self {
            type_name: block.name.clone(),
            block: Some((&block.block).into()),
            nesting: nesting.into(),
            min_items: block.min_items,
            max_items: block.max_items,
        }
    }
}

impl From<&Attribute> for wire::schema::Attribute {
    fn from(attribute: &Attribute) -> Self {
        use wire::schema::object::NestingMode;
        let (r#type, nested_type) = match &attribute.kind {
            AttributeKind::Type(r#type) => (type_json(r#type), None),
            AttributeKind::Nested(object) => {
                let nesting = match object.nesting {
                    Nesting::Single => NestingMode::Single,
                    Nesting::List => NestingMode::List,
                    Nesting::Set => NestingMode::Set,
                    Nesting::Map => NestingMode::Map,
                };
                let attributes = object.attributes.iter().map(Into::into).collect();
                let nested = wire::schema::Object {
                    attributes,
                    nesting: nesting.into(),
                    ..wire::schema::Object::default()
                };
                (Bytes::new(), Some(nested))
            }
        };
        Self {
            name: attribute.name.clone(),
            r#type,
            nested_type,
            description: attribute.documentation(),
            description_kind: StringKind::Markdown.into(),
            required: attribute.required,
            optional: attribute.optional,
            computed: attribute.computed,
            sensitive: attribute.sensitive,
            deprecated: attribute.deprecation.is_some(),
            write_only: attribute.write_only,
            deprecation_message: attribute.deprecation.clone().unwrap_or_default(),
        }
    }
}

/// A type in the notation that the protocol uses wherever a type is sent.
pub(crate) fn type_json(r#type: &Type) -> Bytes {
    Bytes::from(r#type.to_json())
}
