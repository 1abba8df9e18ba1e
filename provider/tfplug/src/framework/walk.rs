//! Walking a value beside its schema, its configuration and its prior state.
//!
//! Lists are followed by position, maps by key. Elements of a set have no name, so an element is
//! followed to the one that says the same wherever it says anything (see [`partner`]).

use std::collections::BTreeMap;

use crate::schema::{
    Attribute, AttributeKind, Block, BlockNesting, NestedBlock, NestedObject, Nesting,
};
use crate::value::{Dynamic, Path, Step};

/// A part of a schema that stands under a name of its own.
#[derive(Clone, Copy)]
pub(super) enum Node<'s> {
    Attribute(&'s Attribute),
    Block(&'s NestedBlock),
}

/// A place in a plan that may be changed.
pub(super) struct Place<'a> {
    pub(super) path: &'a Path,
    /// Null where there is no configuration at this place.
    pub(super) config: &'a Dynamic,
    /// `None` where the object around it was not there before.
    pub(super) prior: Option<&'a Dynamic>,
    pub(super) planned: &'a mut Dynamic,
}

/// A place in a plan and in the state before it; null where there is none.
pub(super) struct Pair<'a> {
    pub(super) path: &'a Path,
    pub(super) config: &'a Dynamic,
    pub(super) prior: &'a Dynamic,
    pub(super) planned: &'a Dynamic,
}

/// How the objects under a node nest; blocks and nested attributes alike.
#[derive(Clone, Copy)]
enum Shape {
    One,
    List,
    Set,
    Map,
}

/// What an object is made of.
#[derive(Clone, Copy)]
struct Parts<'s> {
    attributes: &'s [Attribute],
    blocks: &'s [NestedBlock],
}

static NULL: Dynamic = Dynamic::Null;

/// Visits every attribute and block of `planned`, the outer before the inner; goes inside where
/// `visit` says so.
pub(super) fn walk(
    block: &Block,
    config: &Dynamic,
    prior: Option<&Dynamic>,
    planned: &mut Dynamic,
    visit: &mut impl FnMut(Node<'_>, Place<'_>) -> bool,
) {
    walk_object(
        Parts::of(block),
        &mut Path::root(),
        config,
        prior,
        planned,
        visit,
    );
}

/// Visits every attribute and block that `prior` or `planned` has, the outer before the inner;
/// goes inside where `visit` says so.
pub(super) fn pairs(
    block: &Block,
    config: &Dynamic,
    prior: &Dynamic,
    planned: &Dynamic,
    visit: &mut impl FnMut(Node<'_>, Pair<'_>) -> bool,
) {
    pair_object(
        Parts::of(block),
        &mut Path::root(),
        config,
        prior,
        planned,
        visit,
    );
}

/// Visits every attribute and block of a configuration: [`pairs`] with itself, where `prior` and
/// `planned` are the configured value.
pub(super) fn visit_config(
    block: &Block,
    config: &Dynamic,
    visit: &mut impl FnMut(Node<'_>, Pair<'_>) -> bool,
) {
    pairs(block, config, config, config, visit);
}

fn walk_object(
    parts: Parts<'_>,
    path: &mut Path,
    config: &Dynamic,
    prior: Option<&Dynamic>,
    planned: &mut Dynamic,
    visit: &mut impl FnMut(Node<'_>, Place<'_>) -> bool,
) {
    let Dynamic::Object(values) = planned else {
        return;
    };
    let prior = prior.filter(|prior| matches!(prior, Dynamic::Object(_)));
    for node in parts.nodes() {
        let Some(planned) = values.get_mut(node.name()) else {
            continue;
        };
        let config = config.attribute(node.name()).unwrap_or(inherited(config));
        let prior = prior.and_then(|prior| prior.attribute(node.name()));
        path.0.push(Step::Attribute(node.name().to_owned()));
        let inside = visit(
            node,
            Place {
                path,
                config,
                prior,
                planned: &mut *planned,
            },
        );
        if inside && let Some((shape, parts)) = node.inside() {
            walk_elements(shape, parts, path, config, prior, planned, visit);
        }
        path.0.pop();
    }
}

fn walk_elements(
    shape: Shape,
    parts: Parts<'_>,
    path: &mut Path,
    config: &Dynamic,
    prior: Option<&Dynamic>,
    planned: &mut Dynamic,
    visit: &mut impl FnMut(Node<'_>, Place<'_>) -> bool,
) {
    match (shape, planned) {
        (Shape::One, planned) => walk_object(parts, path, config, prior, planned, visit),
        (Shape::List, Dynamic::List(elements)) => {
            for (index, planned) in elements.iter_mut().enumerate() {
                let config = item_or(config, index);
                let prior = prior.and_then(|prior| item(prior, index));
                path.0
                    .push(Step::Index(i64::try_from(index).unwrap_or(i64::MAX)));
                walk_object(parts, path, config, prior, planned, visit);
                path.0.pop();
            }
        }
        (Shape::Map, Dynamic::Map(elements)) => {
            for (key, planned) in elements {
                let config = entry_or(config, key);
                let prior = prior.and_then(|prior| entry(prior, key));
                path.0.push(Step::Key(key.clone()));
                walk_object(parts, path, config, prior, planned, visit);
                path.0.pop();
            }
        }
        (Shape::Set, Dynamic::Set(elements)) => {
            let (mut configs, mut priors) = (
                Candidates::of(config),
                Candidates::of(prior.unwrap_or(&NULL)),
            );
            for planned in elements {
                let config_element = configs.take(|candidate| says_same(candidate, planned));
                let said = config_element.unwrap_or(&NULL);
                let prior = priors.take(|candidate| says_same(said, candidate));
                path.0.push(Step::Element(planned.clone()));
                walk_object(
                    parts,
                    path,
                    config_element.unwrap_or(inherited(config)),
                    prior,
                    planned,
                    visit,
                );
                path.0.pop();
            }
        }
        _ => {}
    }
}

fn pair_object(
    parts: Parts<'_>,
    path: &mut Path,
    config: &Dynamic,
    prior: &Dynamic,
    planned: &Dynamic,
    visit: &mut impl FnMut(Node<'_>, Pair<'_>) -> bool,
) {
    if !matches!(prior, Dynamic::Object(_)) && !matches!(planned, Dynamic::Object(_)) {
        return;
    }
    for node in parts.nodes() {
        let config = config.attribute(node.name()).unwrap_or(inherited(config));
        let prior = prior.attribute(node.name()).unwrap_or(inherited(prior));
        let planned = planned.attribute(node.name()).unwrap_or(inherited(planned));
        path.0.push(Step::Attribute(node.name().to_owned()));
        let inside = visit(
            node,
            Pair {
                path,
                config,
                prior,
                planned,
            },
        );
        if inside && let Some((shape, parts)) = node.inside() {
            pair_elements(shape, parts, path, config, prior, planned, visit);
        }
        path.0.pop();
    }
}

fn pair_elements(
    shape: Shape,
    parts: Parts<'_>,
    path: &mut Path,
    config: &Dynamic,
    prior: &Dynamic,
    planned: &Dynamic,
    visit: &mut impl FnMut(Node<'_>, Pair<'_>) -> bool,
) {
    match shape {
        Shape::One => pair_object(parts, path, config, prior, planned, visit),
        Shape::List => {
            for index in 0..items(prior).len().max(items(planned).len()) {
                path.0
                    .push(Step::Index(i64::try_from(index).unwrap_or(i64::MAX)));
                let (config, prior, planned) = (
                    item_or(config, index),
                    item_or(prior, index),
                    item_or(planned, index),
                );
                pair_object(parts, path, config, prior, planned, visit);
                path.0.pop();
            }
        }
        Shape::Map => {
            let empty = BTreeMap::new();
            let (before, after) = (
                entries(prior).unwrap_or(&empty),
                entries(planned).unwrap_or(&empty),
            );
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                path.0.push(Step::Key(key.clone()));
                let (config, prior, planned) = (
                    entry_or(config, key),
                    entry_or(prior, key),
                    entry_or(planned, key),
                );
                pair_object(parts, path, config, prior, planned, visit);
                path.0.pop();
            }
        }
        Shape::Set => {
            let (mut configs, mut priors) = (Candidates::of(config), Candidates::of(prior));
            for planned in items(planned) {
                let config = configs.take(|candidate| says_same(candidate, planned));
                let prior =
                    priors.take(|candidate| says_same(config.unwrap_or(planned), candidate));
                path.0.push(Step::Element(planned.clone()));
                pair_object(
                    parts,
                    path,
                    config.unwrap_or(&NULL),
                    prior.unwrap_or(&NULL),
                    planned,
                    visit,
                );
                path.0.pop();
            }
            for prior in priors.rest() {
                path.0.push(Step::Element(prior.clone()));
                pair_object(parts, path, &NULL, prior, &NULL, visit);
                path.0.pop();
            }
        }
    }
}

impl<'s> Parts<'s> {
    fn of(block: &'s Block) -> Self {
        Self {
            attributes: &block.attributes,
            blocks: &block.blocks,
        }
    }

    fn nodes(self) -> impl Iterator<Item = Node<'s>> {
        self.attributes
            .iter()
            .map(Node::Attribute)
            .chain(self.blocks.iter().map(Node::Block))
    }
}

impl<'s> Node<'s> {
    fn name(self) -> &'s str {
        match self {
            Self::Attribute(attribute) => &attribute.name,
            Self::Block(block) => &block.name,
        }
    }

    fn inside(self) -> Option<(Shape, Parts<'s>)> {
        match self {
            Self::Attribute(Attribute {
                kind: AttributeKind::Type(_),
                ..
            }) => None,
            Self::Attribute(Attribute {
                kind: AttributeKind::Nested(object),
                ..
            }) => {
                let NestedObject {
                    attributes,
                    nesting,
                } = object;
                let shape = match nesting {
                    Nesting::Single => Shape::One,
                    Nesting::List => Shape::List,
                    Nesting::Set => Shape::Set,
                    Nesting::Map => Shape::Map,
                };
                Some((
                    shape,
                    Parts {
                        attributes,
                        blocks: &[],
                    },
                ))
            }
            Self::Block(block) => {
                let shape = match block.nesting {
                    BlockNesting::Single | BlockNesting::Group => Shape::One,
                    BlockNesting::List => Shape::List,
                    BlockNesting::Set => Shape::Set,
                    BlockNesting::Map => Shape::Map,
                };
                Some((shape, Parts::of(&block.block)))
            }
        }
    }
}

/// Elements of a set that have not found their partner yet.
struct Candidates<'a>(Vec<&'a Dynamic>);

impl<'a> Candidates<'a> {
    fn of(set: &'a Dynamic) -> Self {
        Self(items(set).iter().collect())
    }

    /// Takes the candidate that fits and says most: a fuller one is the surer partner.
    fn take(&mut self, fits: impl Fn(&Dynamic) -> bool) -> Option<&'a Dynamic> {
        let fitting = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, candidate)| fits(candidate));
        let (index, _) = fitting.max_by_key(|(_, candidate)| said(candidate))?;
        Some(self.0.remove(index))
    }

    fn rest(self) -> Vec<&'a Dynamic> {
        self.0
    }
}

/// Does `other` say the same as `config`, wherever `config` says anything?
fn says_same(config: &Dynamic, other: &Dynamic) -> bool {
    match (config, other) {
        (Dynamic::Null | Dynamic::Unknown(_), _) | (_, Dynamic::Unknown(_)) => true,
        (Dynamic::Object(config), Dynamic::Object(other)) => config
            .iter()
            .all(|(name, value)| other.get(name).is_some_and(|other| says_same(value, other))),
        (Dynamic::Map(config), Dynamic::Map(other)) => {
            config.len() == other.len()
                && config
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|other| says_same(value, other)))
        }
        (Dynamic::List(config), Dynamic::List(other)) => {
            config.len() == other.len() && config.iter().zip(other).all(|(a, b)| says_same(a, b))
        }
        (Dynamic::Set(config), Dynamic::Set(other)) => {
            config.len() == other.len()
                && config
                    .iter()
                    .all(|value| other.iter().any(|other| says_same(value, other)))
        }
        (config, other) => config == other,
    }
}

/// How many values an element says.
fn said(value: &Dynamic) -> usize {
    match value {
        Dynamic::Null | Dynamic::Unknown(_) => 0,
        Dynamic::Object(values) | Dynamic::Map(values) => {
            1 + values.values().map(said).sum::<usize>()
        }
        Dynamic::List(values) | Dynamic::Set(values) | Dynamic::Tuple(values) => {
            1 + values.iter().map(said).sum::<usize>()
        }
        Dynamic::Bool(_) | Dynamic::Number(_) | Dynamic::String(_) | Dynamic::Typed(..) => 1,
    }
}

/// What is inside a value that has no inside: an unknown one has unknown parts, any other none.
fn inherited(value: &Dynamic) -> &'static Dynamic {
    if matches!(value, Dynamic::Unknown(_)) {
        &UNKNOWN_PART
    } else {
        &NULL
    }
}

static UNKNOWN_PART: std::sync::LazyLock<Dynamic> = std::sync::LazyLock::new(Dynamic::unknown);

fn items(value: &Dynamic) -> &[Dynamic] {
    match value {
        Dynamic::List(items) | Dynamic::Set(items) => items,
        _ => &[],
    }
}

fn item(value: &Dynamic, index: usize) -> Option<&Dynamic> {
    items(value).get(index)
}

fn item_or(value: &Dynamic, index: usize) -> &Dynamic {
    item(value, index).unwrap_or(inherited(value))
}

fn entries(value: &Dynamic) -> Option<&BTreeMap<String, Dynamic>> {
    match value {
        Dynamic::Map(entries) => Some(entries),
        _ => None,
    }
}

fn entry<'a>(value: &'a Dynamic, key: &str) -> Option<&'a Dynamic> {
    entries(value)?.get(key)
}

fn entry_or<'a>(value: &'a Dynamic, key: &str) -> &'a Dynamic {
    entry(value, key).unwrap_or(inherited(value))
}
