//! State as it lies in the state file, when it was written by the schema version of today.
//!
//! It goes back to Terraform as the JSON it is: nothing is decoded, so that a plan of a thousand
//! resources does not pay for it. Terraform itself drops attributes that are gone and fills new
//! ones with null; only blocks, of which an absent one is empty and not null, are filled in here.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::schema::{Block, BlockNesting};

/// The state with every block there.
pub(super) fn with_blocks(json: Bytes, block: &Block) -> Result<Bytes, serde_json::Error> {
    if block.blocks.is_empty() {
        return Ok(json);
    }
    let state: &RawValue = serde_json::from_slice(&json)?;
    Ok(Bytes::from(complete(state, block)?.get().to_owned()))
}

fn complete(object: &RawValue, block: &Block) -> Result<Box<RawValue>, serde_json::Error> {
    if block.blocks.is_empty() || object.get() == "null" {
        return Ok(object.to_owned());
    }
    let mut values: BTreeMap<String, Box<RawValue>> = serde_json::from_str(object.get())?;
    for nested in &block.blocks {
        let inside = &nested.block;
        let value = values.remove(&nested.name);
        let value = value.as_deref().filter(|value| value.get() != "null");
        let completed = match (nested.nesting, value) {
            (BlockNesting::Single, None) => continue,
            (BlockNesting::Group, None) => complete(raw("{}")?, inside)?,
            (BlockNesting::Single | BlockNesting::Group, Some(value)) => complete(value, inside)?,
            (BlockNesting::List | BlockNesting::Set, value) => {
                let items: Vec<&RawValue> =
                    value.map_or(Ok(Vec::new()), |value| serde_json::from_str(value.get()))?;
                let items = items.into_iter().map(|item| complete(item, inside));
                serde_json::value::to_raw_value(&items.collect::<Result<Vec<_>, _>>()?)?
            }
            (BlockNesting::Map, value) => {
                let items: BTreeMap<String, &RawValue> = value
                    .map_or(Ok(BTreeMap::new()), |value| {
                        serde_json::from_str(value.get())
                    })?;
                let items = items
                    .into_iter()
                    .map(|(key, item)| Ok((key, complete(item, inside)?)));
                serde_json::value::to_raw_value(
                    &items.collect::<Result<BTreeMap<_, _>, serde_json::Error>>()?,
                )?
            }
        };
        values.insert(nested.name.clone(), completed);
    }
    serde_json::value::to_raw_value(&values)
}

fn raw(text: &str) -> Result<&RawValue, serde_json::Error> {
    serde_json::from_str(text)
}

#[cfg(test)]
mod tests {
    use crate::schema::{Attribute, NestedBlock, Schema};

    use super::*;

    fn block(name: &str, nesting: BlockNesting) -> NestedBlock {
        NestedBlock::new(name, nesting, "", [Attribute::number("n").optional()])
    }

    #[track_caller]
    fn check(schema: &Schema, before: &str, after: &str) {
        let json = Bytes::copy_from_slice(before.as_bytes());
        let found = with_blocks(json, &schema.block).expect("JSON");
        assert_eq!(std::str::from_utf8(&found).expect("UTF-8"), after);
    }

    #[test]
    fn state_without_blocks_goes_back_byte_for_byte() {
        let schema = Schema::new("").attribute(Attribute::number("n").optional());
        check(
            &schema,
            r#"{ "n": 1.00000000000000000000000000000000001 }"#,
            r#"{ "n": 1.00000000000000000000000000000000001 }"#,
        );
    }

    #[test]
    fn absent_blocks_become_empty_and_not_null() {
        let schema = Schema::new("")
            .block(block("g", BlockNesting::Group))
            .block(block("l", BlockNesting::List).block(block("m", BlockNesting::Map)))
            .block(block("o", BlockNesting::Single))
            .block(block("s", BlockNesting::Set));
        check(
            &schema,
            r#"{"l":[{"n":0.10000000000000000000000000000000001}],"s":null}"#,
            r#"{"g":{},"l":[{"m":{},"n":0.10000000000000000000000000000000001}],"s":[]}"#,
        );
    }
}
