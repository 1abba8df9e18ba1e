//! What belongs together on a page: a machine in all its regions, refusals for one reason.

use std::collections::BTreeMap;

use openmodel_schemas::quantity::Usd;
use openmodel_schemas::report::{RankedShape, Ranking, RejectedShape};
use openmodel_schemas::spec::Surface;

/// A machine as it is bought on a surface, where it is best.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// Its place in the ranking, from one.
    pub(super) rank: usize,
    pub(super) best: &'a RankedShape,
    /// Surfaces that sell the same machine in the same place for the same.
    pub(super) surfaces: Vec<Surface>,
    /// More regions that have it.
    pub(super) others: usize,
}

/// The choices in their order: each machine once, or each as often as it stands in the ranking.
pub(super) fn groups(ranking: &Ranking, each: bool) -> Vec<Group<'_>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut known = BTreeMap::new();
    for best in ranking.chosen.iter().chain(&ranking.runners_up) {
        let key = (
            best.surface,
            &best.shape,
            &best.purchase_option,
            &best.quantization,
        );
        if let (false, Some(index)) = (each, known.get(&key)) {
            let group: &mut Group = &mut groups[*index];
            group.others += 1;
        } else {
            known.insert(key, groups.len());
            groups.push(Group {
                rank: 0,
                best,
                surfaces: vec![best.surface],
                others: 0,
            });
        }
    }
    if !each {
        groups = on_several_surfaces(groups);
    }
    for (index, group) in groups.iter_mut().enumerate() {
        group.rank = index + 1;
    }
    groups
}

/// What the replicas add to the bill of a month, where the user's terms are known.
pub(super) fn added(best: &RankedShape) -> Option<Usd> {
    best.cost.marginal.as_ref()?.monthly_expected
}

/// The groups, with those that a reader could not tell apart but by the surface in one.
fn on_several_surfaces(groups: Vec<Group<'_>>) -> Vec<Group<'_>> {
    let mut kept: Vec<Group> = Vec::new();
    let mut known = BTreeMap::new();
    for group in groups {
        let best = group.best;
        let key = (
            (&best.shape, &best.purchase_option, &best.quantization),
            (&best.region, group.others, &best.note),
            (best.cost.hourly, best.cost.monthly_expected, added(best)),
        );
        if let Some(index) = known.get(&key) {
            let first: &mut Group = &mut kept[*index];
            first.surfaces.extend(group.surfaces);
        } else {
            known.insert(key, kept.len());
            kept.push(group);
        }
    }
    kept
}

/// What is rejected for one reason.
#[derive(Debug)]
pub(super) struct Refusals<'a> {
    pub(super) code: &'a str,
    /// Each machine once.
    pub(super) shapes: Vec<&'a RejectedShape>,
}

/// Codes, from those that came closest to holding the load to those that were never meant.
const ORDER: [&str; 15] = [
    "over_budget",
    "too_many_replicas",
    "misses_goal",
    "unpriced",
    "host_memory",
    "surface_limit",
    "too_small",
    "indivisible",
    "dtype_unsupported",
    "engine_lacks_it",
    "count_unsupported",
    "cpu_unsupported",
    "memory_unsupported",
    "not_sold_so",
    "not_in_region",
];

/// The refusals by reason, the closest first.
pub(super) fn refusals(ranking: &Ranking) -> Vec<Refusals<'_>> {
    let mut by_code: BTreeMap<&str, Refusals> = BTreeMap::new();
    for rejected in &ranking.rejected {
        let code = rejected.code.as_str();
        let refusals = by_code.entry(code).or_insert_with(|| Refusals {
            code,
            shapes: Vec::new(),
        });
        let same = refusals
            .shapes
            .iter_mut()
            .find(|other| (other.surface, &other.shape) == (rejected.surface, &rejected.shape));
        match same {
            // The cheapest region speaks for a machine.
            Some(other) => {
                if let (Some(own), Some(least)) = (rejected.hourly, other.hourly)
                    && own < least
                {
                    *other = rejected;
                }
            }
            None => refusals.shapes.push(rejected),
        }
    }
    let mut all: Vec<Refusals> = by_code.into_values().collect();
    let place = |code: &str| ORDER.iter().position(|known| *known == code);
    all.sort_by_key(|refusals| place(refusals.code).unwrap_or(ORDER.len()));
    all
}

impl Refusals<'_> {
    /// The one that tells most: what lacks least, then what costs least, then the first.
    pub(super) fn example(&self) -> Option<&RejectedShape> {
        let lack = |shape: &RejectedShape| match (shape.needs, shape.has) {
            (Some(needs), Some(has)) if has.as_gib() > 0.0 => needs.as_gib() / has.as_gib(),
            _ => f64::MAX,
        };
        let price = |shape: &RejectedShape| shape.hourly.map_or((1, None), |usd| (0, Some(usd)));
        self.shapes.iter().copied().min_by(|a, b| {
            lack(a)
                .total_cmp(&lack(b))
                .then_with(|| price(a).cmp(&price(b)))
        })
    }

    /// Accelerators with their counts, in the catalog's order: `l4 x1 x2`.
    pub(super) fn accelerators(&self) -> Vec<String> {
        let mut names: Vec<(&str, Vec<&str>)> = Vec::new();
        for shape in &self.shapes {
            let (name, count) = devices(&shape.shape);
            match names.iter_mut().find(|(known, _)| *known == name) {
                Some((_, counts)) if counts.contains(&count) => {}
                Some((_, counts)) => counts.push(count),
                None => names.push((name, vec![count])),
            }
        }
        names
            .into_iter()
            .map(|(name, mut counts)| {
                counts.sort_by_key(|count| {
                    let number = count.trim_start_matches('x').parse::<u32>();
                    number.unwrap_or(0)
                });
                format!("{} {}", short(name), counts.join(" "))
            })
            .collect()
    }
}

/// Name and count in a shape's line: of `g2-standard-24 (nvidia-l4 x2)` or
/// `nvidia-l4 x1, 4 vCPU, 16 GiB`.
fn devices(line: &str) -> (&str, &str) {
    let inner = line
        .rsplit_once('(')
        .map_or(line, |(_, inner)| inner.trim_end_matches(')'));
    let inner = inner.split(',').next().unwrap_or(inner);
    inner.rsplit_once(' ').unwrap_or((inner, ""))
}

/// An accelerator's name without its maker's; `--accelerator` takes it too.
pub(super) fn short(name: &str) -> &str {
    name.strip_prefix("nvidia-").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accelerators_are_read_from_a_line() {
        assert_eq!(
            devices("g2-standard-24 (nvidia-l4 x2)"),
            ("nvidia-l4", "x2")
        );
        assert_eq!(devices("nvidia-l4 x1, 4 vCPU, 16 GiB"), ("nvidia-l4", "x1"));
        assert_eq!(devices("nvidia-a100-80gb x4"), ("nvidia-a100-80gb", "x4"));
    }
}
