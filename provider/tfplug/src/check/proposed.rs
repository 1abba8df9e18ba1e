//! What Terraform proposes to a provider as its plan: the configuration, and the prior value where
//! an attribute is computed and not configured.
//!
//! Objects in lists and maps are matched with their prior by position and key. Those in a set have
//! no address: each takes the first prior object that could have come from it, that is, one that
//! differs only in what is computed and not configured.

use std::collections::BTreeMap;

use super::report::{Fields, child, element, entry, nesting};
use crate::{
    schema::{Attribute, AttributeKind, Nesting, Schema},
    value::{Dynamic, Type, normalize_set},
};

/// The proposed new state of a plan. `prior` is null on create, `config` and the proposal on
/// destroy; write-only attributes are as configured, it is for the provider to make them null.
pub fn proposed_new(schema: &Schema, prior: &Dynamic, config: &Dynamic) -> Dynamic {
    object((&schema.block).into(), prior, config)
}

fn object(fields: Fields<'_>, prior: &Dynamic, config: &Dynamic) -> Dynamic {
    if config.is_null() || config.is_unknown() {
        return config.clone();
    }
    let attributes = fields.attributes.iter().map(|field| {
        let (prior, config) = (child(prior, &field.name), child(config, &field.name));
        (field.name.clone(), attribute(field, prior, config))
    });
    let blocks = fields.blocks.iter().map(|field| {
        let (prior, config) = (child(prior, &field.name), child(config, &field.name));
        (
            field.name.clone(),
            collection((&field.block).into(), nesting(field), prior, config),
        )
    });
    Dynamic::Object(attributes.chain(blocks).collect())
}

fn attribute(attribute: &Attribute, prior: &Dynamic, config: &Dynamic) -> Dynamic {
    if attribute.computed && config.is_null() {
        return if was_configured(attribute, prior) {
            Dynamic::Null
        } else {
            prior.clone()
        };
    }
    match &attribute.kind {
        AttributeKind::Type(_) => config.clone(),
        AttributeKind::Nested(nested) => collection(nested.into(), nested.nesting, prior, config),
    }
}

fn collection(fields: Fields<'_>, nesting: Nesting, prior: &Dynamic, config: &Dynamic) -> Dynamic {
    match (nesting, config) {
        (Nesting::Single, config) => object(fields, prior, config),
        (Nesting::List, Dynamic::List(configs)) => {
            let merged = configs.iter().enumerate();
            Dynamic::List(
                merged
                    .map(|(index, config)| object(fields, element(prior, index), config))
                    .collect(),
            )
        }
        (Nesting::Map, Dynamic::Map(configs)) => {
            let merged = configs
                .iter()
                .map(|(key, config)| (key.clone(), object(fields, entry(prior, key), config)));
            Dynamic::Map(merged.collect::<BTreeMap<_, _>>())
        }
        (Nesting::Set, Dynamic::Set(configs)) => {
            let mut left: Vec<&Dynamic> = prior.as_sequence().unwrap_or_default().iter().collect();
            let mut merged = configs
                .iter()
                .map(
                    |config| match left.iter().position(|prior| fits(fields, prior, config)) {
                        Some(index) => object(fields, left.remove(index), config),
                        None => object(fields, &Dynamic::Null, config),
                    },
                )
                .collect();
            normalize_set(&mut merged);
            Dynamic::Set(merged)
        }
        // Null, unknown, or a collection with types of its own, which has no one schema.
        (_, config) => config.clone(),
    }
}

/// Whether a prior value must have come from a configuration: it holds something that only a
/// configuration can set. Taking the whole away must then be proposed, not keeping it.
fn was_configured(attribute: &Attribute, prior: &Dynamic) -> bool {
    match &attribute.kind {
        AttributeKind::Nested(nested) if attribute.optional => {
            holds_configured(&nested.attributes, prior)
        }
        _ => false,
    }
}

fn holds_configured(attributes: &[Attribute], value: &Dynamic) -> bool {
    match value.untyped() {
        Dynamic::List(values) | Dynamic::Set(values) | Dynamic::Tuple(values) => values
            .iter()
            .any(|value| holds_configured(attributes, value)),
        Dynamic::Map(values) => values
            .values()
            .any(|value| holds_configured(attributes, value)),
        Dynamic::Object(_) => attributes.iter().any(|attribute| {
            let value = child(value, &attribute.name);
            !value.is_null()
                && match &attribute.kind {
                    _ if !attribute.computed => true,
                    AttributeKind::Nested(nested) => holds_configured(&nested.attributes, value),
                    AttributeKind::Type(_) => false,
                }
        }),
        _ => false,
    }
}

/// Whether a prior object could have come from this configuration. What the prior does not have
/// says nothing against it; sets that differ, inside of a set, always do.
fn fits(fields: Fields<'_>, prior: &Dynamic, config: &Dynamic) -> bool {
    if prior == config || prior.is_null() {
        return true;
    }
    if !matches!((prior, config), (Dynamic::Object(_), Dynamic::Object(_))) {
        return false;
    }
    fields.attributes.iter().all(|attribute| {
        let (prior, config) = (
            child(prior, &attribute.name),
            child(config, &attribute.name),
        );
        prior == config
            || match &attribute.kind {
                AttributeKind::Type(Type::Set(_)) => false,
                AttributeKind::Type(_) => attribute.computed && config.is_null(),
                AttributeKind::Nested(nested) => {
                    all_fit(nested.into(), nested.nesting, prior, config)
                }
            }
    }) && fields.blocks.iter().all(|block| {
        let (prior, config) = (child(prior, &block.name), child(config, &block.name));
        prior == config || all_fit((&block.block).into(), nesting(block), prior, config)
    })
}

fn all_fit(fields: Fields<'_>, nesting: Nesting, prior: &Dynamic, config: &Dynamic) -> bool {
    match (nesting, prior, config) {
        (Nesting::Set, ..) => false,
        (Nesting::Single, ..) => fits(fields, prior, config),
        (_, Dynamic::Null, _) => true,
        (Nesting::List, Dynamic::List(priors), Dynamic::List(configs)) => {
            priors.len() <= configs.len()
                && priors
                    .iter()
                    .zip(configs)
                    .all(|(prior, config)| fits(fields, prior, config))
        }
        (Nesting::Map, Dynamic::Map(priors), Dynamic::Map(configs)) => priors
            .iter()
            .all(|(key, prior)| configs.get(key).is_some_and(|c| fits(fields, prior, c))),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Dynamic {
        Dynamic::from(text)
    }

    #[track_caller]
    fn proposes(attribute: Attribute, prior: Dynamic, config: Dynamic, proposed: Dynamic) {
        let name = attribute.name.clone();
        let schema = Schema::new("").attribute(attribute);
        let of = |value| Dynamic::object([(name.as_str(), value)]);
        assert_eq!(proposed_new(&schema, &of(prior), &of(config)), of(proposed));
    }

    fn item(a: Dynamic, id: Dynamic) -> Dynamic {
        Dynamic::object([("a", a), ("id", id)])
    }

    fn inner() -> [Attribute; 2] {
        [
            Attribute::string("a").optional(),
            Attribute::string("id").optional().computed(),
        ]
    }

    #[test]
    fn computed_keeps_what_was_where_nothing_is_configured() {
        let a = || Attribute::string("a").optional().computed();
        proposes(a(), text("old"), Dynamic::Null, text("old"));
        proposes(a(), text("old"), text("new"), text("new"));
        proposes(a(), text("old"), Dynamic::unknown(), Dynamic::unknown());
        proposes(
            Attribute::string("a").optional(),
            text("old"),
            Dynamic::Null,
            Dynamic::Null,
        );
    }

    #[test]
    fn on_create_and_on_destroy_nothing_is_kept() {
        let schema = Schema::new("").attributes(inner());
        let config = item(text("x"), Dynamic::Null);
        assert_eq!(proposed_new(&schema, &Dynamic::Null, &config), config);
        let prior = item(text("x"), text("1"));
        assert_eq!(proposed_new(&schema, &prior, &Dynamic::Null), Dynamic::Null);
    }

    #[test]
    fn lists_match_by_position() {
        proposes(
            Attribute::list_of_objects("l", inner()).optional(),
            Dynamic::List(vec![item(text("x"), text("1"))]),
            Dynamic::List(vec![
                item(text("y"), Dynamic::Null),
                item(text("x"), Dynamic::Null),
            ]),
            Dynamic::List(vec![
                item(text("y"), text("1")),
                item(text("x"), Dynamic::Null),
            ]),
        );
    }

    #[test]
    fn sets_match_by_what_is_configured() {
        proposes(
            Attribute::set_of_objects("s", inner()).optional(),
            Dynamic::Set(vec![item(text("x"), text("1")), item(text("y"), text("2"))]),
            Dynamic::Set(vec![
                item(text("z"), Dynamic::Null),
                item(text("y"), Dynamic::Null),
                item(text("x"), text("9")),
            ]),
            Dynamic::Set(vec![
                item(text("z"), Dynamic::Null),
                item(text("y"), text("2")),
                item(text("x"), text("9")),
            ]),
        );
    }

    #[test]
    fn an_object_that_was_configured_is_taken_away_with_its_configuration() {
        let object = || Attribute::object("o", inner()).optional().computed();
        proposes(
            object(),
            item(text("x"), text("1")),
            Dynamic::Null,
            Dynamic::Null,
        );
        let computed = || item(Dynamic::Null, text("1"));
        proposes(object(), computed(), Dynamic::Null, computed());
    }
}
