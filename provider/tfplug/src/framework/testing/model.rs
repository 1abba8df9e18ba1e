//! Do a model struct and a schema say the same? Found out by example, both ways: a sample value of
//! the schema's type must become a model, and that model the same value again.

use crate::check;
use crate::framework::{Model, Resource};
use crate::schema::{
    Attribute, AttributeKind, Block, BlockNesting, NestedObject, Nesting, Schema, Validator,
};
use crate::value::{Dynamic, Type, from_dynamic, to_dynamic};

/// Asserts that a resource's schema is one that Terraform can use, and that its model has exactly
/// the attributes and blocks of it, at every depth, each of the right type and able to be null and
/// unknown.
///
/// # Panics
///
/// Where they differ, with the place.
#[track_caller]
pub fn assert_model_matches_schema<R: Resource + Default>() {
    assert_model_matches::<R::Model>(&R::default().schema());
}

/// As [`assert_model_matches_schema`], for any model and schema.
///
/// # Panics
///
/// Where they differ, with the place.
#[track_caller]
pub fn assert_model_matches<M: Model>(schema: &Schema) {
    let faults = check::schema(schema);
    assert!(
        faults.is_empty(),
        "the schema is not one that Terraform can use: {faults:?}"
    );
    let r#type = schema.implied_type();
    for leaf in [Leaf::Known, Leaf::Null, Leaf::Unknown] {
        for depth in [Depth::Leaves, Depth::Top] {
            if let Err(difference) =
                compare::<M>(&sample_block(&schema.block, leaf, depth), &r#type)
            {
                panic!("model and schema differ where values are {leaf:?}: {difference}");
            }
        }
    }
}

fn compare<M: Model>(sample: &Dynamic, r#type: &Type) -> Result<(), String> {
    let model: M =
        from_dynamic(sample.clone()).map_err(|error| format!("the model cannot hold {error}"))?;
    let back =
        to_dynamic(&model, r#type).map_err(|error| format!("the schema cannot hold {error}"))?;
    if back == *sample {
        Ok(())
    } else {
        Err(format!("{sample} became {back}"))
    }
}

/// What the sample has at its ends.
#[derive(Clone, Copy, Debug)]
enum Leaf {
    Known,
    Null,
    Unknown,
}

/// Where the ends are: in the innermost objects, or right below the root.
#[derive(Clone, Copy)]
enum Depth {
    Leaves,
    Top,
}

fn sample_block(block: &Block, leaf: Leaf, depth: Depth) -> Dynamic {
    let attributes = block.attributes.iter().map(|attribute| {
        (
            attribute.name.clone(),
            sample_attribute(attribute, leaf, depth),
        )
    });
    let blocks = block.blocks.iter().map(|nested| {
        let inside = sample_block(&nested.block, leaf, depth);
        let value = match nested.nesting {
            BlockNesting::Single | BlockNesting::Group => inside,
            BlockNesting::List => Dynamic::List(vec![inside]),
            BlockNesting::Set => Dynamic::Set(vec![inside]),
            BlockNesting::Map => Dynamic::Map([("key".to_owned(), inside)].into()),
        };
        (nested.name.clone(), value)
    });
    Dynamic::Object(attributes.chain(blocks).collect())
}

fn sample_attribute(attribute: &Attribute, leaf: Leaf, depth: Depth) -> Dynamic {
    match (leaf, depth, &attribute.kind) {
        (Leaf::Null, Depth::Top, _) | (Leaf::Null, _, AttributeKind::Type(_)) => Dynamic::Null,
        (Leaf::Unknown, Depth::Top, _) | (Leaf::Unknown, _, AttributeKind::Type(_)) => {
            Dynamic::unknown()
        }
        (_, _, AttributeKind::Nested(object)) => sample_object(object, leaf, depth),
        (Leaf::Known, _, AttributeKind::Type(r#type)) => {
            let word = attribute.validators.iter().find_map(Validator::example);
            sample_value(r#type, word.unwrap_or("text"))
        }
    }
}

fn sample_object(object: &NestedObject, leaf: Leaf, depth: Depth) -> Dynamic {
    let attributes = object.attributes.iter();
    let inside = Dynamic::object(attributes.map(|attribute| {
        (
            attribute.name.clone(),
            sample_attribute(attribute, leaf, depth),
        )
    }));
    match object.nesting {
        Nesting::Single => inside,
        Nesting::List => Dynamic::List(vec![inside]),
        Nesting::Set => Dynamic::Set(vec![inside]),
        Nesting::Map => Dynamic::Map([("key".to_owned(), inside)].into()),
    }
}

fn sample_value(r#type: &Type, word: &str) -> Dynamic {
    match r#type {
        Type::Bool => true.into(),
        Type::Number => 1.into(),
        Type::String => word.into(),
        Type::Dynamic => Dynamic::Typed(Box::new(Type::String), Box::new(word.into())),
        Type::List(element) => Dynamic::List(vec![sample_value(element, word)]),
        Type::Set(element) => Dynamic::Set(vec![sample_value(element, word)]),
        Type::Map(element) => {
            Dynamic::Map([("key".to_owned(), sample_value(element, word))].into())
        }
        Type::Tuple(elements) => Dynamic::Tuple(
            elements
                .iter()
                .map(|element| sample_value(element, word))
                .collect(),
        ),
        Type::Object(attributes) => Dynamic::Object(
            attributes
                .iter()
                .map(|(name, inner)| (name.clone(), sample_value(inner, word)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::framework::{Timeouts, TimeoutsModel};
    use crate::schema::{NestedBlock, one_of};
    use crate::value::Value;

    #[derive(Clone, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Small,
        Large,
    }

    #[derive(Clone, Serialize, Deserialize)]
    struct Inner {
        count: Value<i64>,
    }

    #[derive(Clone, Serialize, Deserialize)]
    struct Outer {
        kind: Value<Kind>,
        many: Value<Vec<Value<Inner>>>,
        env: Value<BTreeMap<String, Value<String>>>,
        rule: Value<Vec<Value<Inner>>>,
        timeouts: Value<TimeoutsModel>,
    }

    fn schema(count: Attribute) -> Schema {
        const TIMEOUTS: Timeouts = Timeouts::new(&[("create", std::time::Duration::from_mins(1))]);
        let inner = [Attribute::number("count").required()];
        Schema::new("")
            .attribute(
                Attribute::string("kind")
                    .optional()
                    .validate(one_of(&["small", "large"])),
            )
            .attribute(Attribute::list_of_objects("many", [count]).optional())
            .attribute(Attribute::map_of("env", Type::String).optional())
            .attribute(TIMEOUTS.attribute())
            .block(NestedBlock::new("rule", BlockNesting::Set, "", inner))
    }

    #[test]
    fn a_model_that_matches_passes() {
        assert_model_matches::<Outer>(&schema(Attribute::number("count").optional()));
    }

    #[test]
    #[should_panic(expected = "many[0].count")]
    fn a_field_of_another_type_is_found_at_any_depth() {
        assert_model_matches::<Outer>(&schema(Attribute::bool("count").optional()));
    }

    #[test]
    #[should_panic(expected = "extra")]
    fn an_attribute_without_a_field_is_found() {
        let schema = schema(Attribute::number("count").optional());
        assert_model_matches::<Outer>(&schema.attribute(Attribute::string("extra").optional()));
    }

    #[test]
    #[should_panic(expected = "missing field `count`")]
    fn a_field_without_an_attribute_is_found() {
        assert_model_matches::<Outer>(&schema(Attribute::number("total").optional()));
    }

    #[derive(Clone, Serialize, Deserialize)]
    struct Plain {
        name: String,
    }

    #[test]
    #[should_panic(expected = "where values are Null")]
    fn a_field_that_cannot_be_null_is_found() {
        assert_model_matches::<Plain>(
            &Schema::new("").attribute(Attribute::string("name").optional()),
        );
    }
}
