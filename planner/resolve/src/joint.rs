//! Place several models into one pool: the cheapest machines that hold all of them.
//!
//! ```text
//!   tenants ─┐            ┌─► bound ◄── duals ◄── master ◄──┐
//!            ├─► problem ─┤   (exact)            (floats)   pricing
//!   machines ┘            └─► greedy ─► room ─► mix (exact) ──┘
//!                               search: split the counts until bound = mix
//! ```
//!
//! A replica lies within one machine. It takes whole accelerators, or a share of one; the shares
//! on an accelerator sum to 100 % at most. Replicas of one tenant may lie on different kinds.
//!
//! **Exact.** Floats only propose: which duals to bound with, where to split. Each bound is
//! computed from the proposed duals in integers, each mix is packed and summed in integers, so
//! `optimal` is a proof. A search that ends at its limit says so and gives what it has.
//!
//! **Ties.** Cost alone decides. A machine that another one replaces at no higher price is left
//! out (of equals, the first by name stays). Between mixes of one cost the first that the search
//! meets stays, and the search sees tenants by name and machines by price, then name: the order
//! of the arguments, and time, change nothing. See `docs/decisions/0006`.

mod greedy;
mod knapsack;
mod master;
mod pricing;
mod problem;
mod relax;
mod room;
mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use openmodel_schemas::quantity::Bytes;
use rust_decimal::Decimal;
use thiserror::Error;

use crate::joint::problem::Problem;
use crate::joint::room::{Filled, Place};
use crate::joint::search::{Found, search};

/// A machine type that can be bought any number of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name, the only one: `g2-standard-24`.
    pub name: String,
    /// The kind of its accelerators.
    pub accelerator: String,
    /// How many it has.
    pub accelerators: u32,
    /// Host memory that replicas can have together.
    pub memory: Bytes,
    /// The price of an hour.
    pub hourly: Decimal,
    /// The most that can be bought: quota or stock.
    pub limit: Option<u32>,
}

/// What a replica takes of a machine's accelerators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Takes {
    /// So many accelerators, alone on them.
    Whole(u32),
    /// This percentage of one accelerator's memory, beside others.
    Share(u32),
}

/// One way in which a replica runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// The kind of accelerator.
    pub accelerator: String,
    /// How much of it.
    pub takes: Takes,
    /// Host memory beside it.
    pub memory: Bytes,
}

/// A model to be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its name, the only one.
    pub name: String,
    /// How many replicas must have a seat. None is no error.
    pub replicas: u32,
    /// The ways in which one can run, any of them.
    pub fits: Vec<Fit>,
    /// Why it does not run in other ways, in words: shown when nothing holds it.
    pub why_not: Vec<String>,
}

/// How long the search may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Units of work, some nanoseconds each. A count, not a time, so that a slow computer gets
    /// the same answer.
    pub work: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { work: 200_000_000 }
    }
}

/// The machines to buy and who sits where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    /// Machine types with their counts, by name.
    pub machines: Vec<(String, u32)>,
    /// A seat for each replica, by tenant and replica.
    pub seats: Vec<Seat>,
    /// The price of an hour.
    pub hourly: Decimal,
    /// No mix costs less than this.
    pub at_least: Decimal,
    /// Whether it is proven that none is cheaper: `hourly` is `at_least`.
    pub optimal: bool,
}

/// Where a replica sits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The tenant.
    pub tenant: String,
    /// Which of its replicas, from 0.
    pub replica: u32,
    /// The machine type.
    pub machine: String,
    /// Which machine of this type, from 0.
    pub instance: u32,
    /// The accelerators in it, from 0. One, if shared.
    pub accelerators: Vec<u32>,
    /// What it takes of them.
    pub takes: Takes,
}

/// Why there is no mix.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JointError {
    /// A name appears twice.
    #[error("{0} is named twice")]
    Twice(String),
    /// A price that cannot be added up.
    #[error(
        "the price of {machine}, {hourly} per hour, is negative, or finer or larger than prices are"
    )]
    Price {
        /// The machine.
        machine: String,
        /// Its price.
        hourly: Decimal,
    },
    /// More than the search is made for.
    #[error("{what} are more than one pool is planned for ({most})")]
    TooLarge {
        /// What there is too much of, with the number.
        what: String,
        /// The most that is accepted.
        most: u64,
    },
    /// No machine holds a replica of this tenant, even alone.
    #[error("no machine holds {tenant}: {}", reasons.join("; "))]
    NothingHolds {
        /// The tenant.
        tenant: String,
        /// Why, for each of its fits; then the tenant's own reasons.
        reasons: Vec<String>,
    },
    /// The limits of the machines do not hold all.
    #[error("{}", full(tenant, with, limits))]
    Full {
        /// The first tenant, by name, for which there is no room beside those before it.
        tenant: String,
        /// Those before it.
        with: Vec<String>,
        /// The limits that bind its kinds: machine and count.
        limits: Vec<(String, u32)>,
    },
    /// No mix was found within the work allowed, and none is ruled out.
    #[error(
        "no mix was found for all {tenants} models within the work allowed; raise the limits of the machines"
    )]
    Undecided {
        /// How many tenants there are.
        tenants: usize,
    },
}

fn full(tenant: &str, with: &[String], limits: &[(String, u32)]) -> String {
    let limits: Vec<String> = limits
        .iter()
        .map(|(name, count)| format!("{count} of {name}"))
        .collect();
    let beside = if with.is_empty() {
        String::new()
    } else {
        format!(" beside {}", with.join(", "))
    };
    let limits = limits.join(", ");
    format!("no room is left for {tenant}{beside}: at most {limits} can be bought")
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(count) => write!(f, "x{count}"),
            Self::Share(percent) => write!(f, "{percent} % of one"),
        }
    }
}

/// The cheapest mix of machines that has a seat for each replica of each tenant.
///
/// ```
/// use openmodel_resolve::joint::{Fit, Limits, Machine, Takes, Tenant, pool};
/// use openmodel_schemas::quantity::Bytes;
///
/// let l4 = Machine {
///     name: "g2-standard-8".to_owned(),
///     accelerator: "nvidia-l4".to_owned(),
///     accelerators: 1,
///     memory: Bytes::gib(32),
///     hourly: "0.85".parse()?,
///     limit: None,
/// };
/// let tenant = |name: &str, percent| Tenant {
///     name: name.to_owned(),
///     replicas: 1,
///     fits: vec![Fit {
///         accelerator: "nvidia-l4".to_owned(),
///         takes: Takes::Share(percent),
///         memory: Bytes::gib(8),
///     }],
///     why_not: Vec::new(),
/// };
/// let mix = pool(&[tenant("chat", 70), tenant("embed", 30)], &[l4], Limits::default())?;
/// assert_eq!(mix.machines, [("g2-standard-8".to_owned(), 1)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pool(tenants: &[Tenant], machines: &[Machine], limits: Limits) -> Result<Mix, JointError> {
    let mut ordered: Vec<&Tenant> = tenants.iter().collect();
    ordered.sort_by(|a, b| a.name.cmp(&b.name));
    let problem = Problem::of(&ordered, machines)?;
    match search(&problem, limits.work) {
        Found::Mix { filled, bound } => Ok(mix(&problem, &ordered, &filled, bound)),
        Found::None => Err(first_without_room(&ordered, machines, limits)),
        Found::Undecided => Err(JointError::Undecided {
            tenants: tenants.len(),
        }),
    }
}

/// Write the filled machines out in names, and add the prices up as they came.
fn mix(problem: &Problem, tenants: &[&Tenant], filled: &[Filled], bound: i64) -> Mix {
    let mut order: Vec<&Filled> = filled.iter().collect();
    order.sort_by_key(|one| (&problem.machines[one.machine].name, one.machine));
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut hourly = Decimal::ZERO;
    let mut waiting: Vec<_> = problem
        .classes
        .iter()
        .map(|class| {
            let replicas = |&tenant: &usize| {
                (0..tenants[tenant].replicas).map(move |replica| (tenant, replica))
            };
            class.tenants.iter().flat_map(replicas)
        })
        .collect();
    let mut seats = Vec::new();
    for one in order {
        let machine = &problem.machines[one.machine];
        hourly += machine.hourly;
        let count = counts.entry(&machine.name).or_default();
        for &(cell, place) in &one.seats {
            let cell = &problem.cells[cell];
            if let Some((tenant, replica)) = waiting[cell.class].next() {
                let seat = Seat {
                    tenant: tenants[tenant].name.clone(),
                    replica,
                    machine: machine.name.clone(),
                    instance: *count,
                    accelerators: accelerators(place, cell.takes),
                    takes: cell.takes,
                };
                seats.push((tenant, replica, seat));
            }
        }
        *count += 1;
    }
    seats.sort_by_key(|&(tenant, replica, _)| (tenant, replica));
    let at_least = problem.money(bound);
    Mix {
        machines: counts
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count))
            .collect(),
        seats: seats.into_iter().map(|(_, _, seat)| seat).collect(),
        optimal: at_least == hourly,
        hourly,
        at_least,
    }
}

fn accelerators(place: Place, takes: Takes) -> Vec<u32> {
    match takes {
        Takes::Whole(count) => (place.first..place.first + count).collect(),
        Takes::Share(_) => vec![place.first],
    }
}

/// Who is it that the limits leave without a seat? More tenants never need less, so halving finds
/// the first; a search that does not end counts as room.
fn first_without_room(tenants: &[&Tenant], machines: &[Machine], limits: Limits) -> JointError {
    let fits = |count: usize| {
        Problem::of(&tenants[..count], machines)
            .is_ok_and(|problem| !matches!(search(&problem, limits.work / 8), Found::None))
    };
    let (mut held, mut not) = (0, tenants.len());
    while not - held > 1 {
        let middle = usize::midpoint(held, not);
        if fits(middle) {
            held = middle;
        } else {
            not = middle;
        }
    }
    let tenant = tenants[held];
    let mut limited: Vec<(String, u32)> = machines
        .iter()
        .filter(|machine| {
            let takes = |fit: &Fit| fit.accelerator == machine.accelerator;
            tenant.fits.iter().any(takes)
        })
        .filter_map(|machine| Some((machine.name.clone(), machine.limit?)))
        .collect();
    limited.sort();
    JointError::Full {
        tenant: tenant.name.clone(),
        with: tenants[..held]
            .iter()
            .map(|other| other.name.clone())
            .collect(),
        limits: limited,
    }
}
