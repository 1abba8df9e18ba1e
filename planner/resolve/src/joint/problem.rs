//! The same question in small integers: kinds, classes, cells, machines.
//!
//! ```text
//!   Tenant  ─► class   tenants with the same fits are one, with more replicas
//!   Fit     ─► cell    (class, kind, takes, host memory); a fit that another one betters is left out
//!   Machine ─► Kept    price in multiples of what divides all prices; bettered ones are left out
//! ```

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::{Fit, JointError, Machine, Takes, Tenant};

const MOST_REPLICAS: u64 = 2_000;
const MOST_ACCELERATORS: u64 = 1_024;
/// Of a price as an integer: sums of thousands stay far from the ends of `i64`.
const MOST_PRICE: i128 = 10_000_000_000_000;

/// Tenants that cannot be told apart.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) tenants: Vec<usize>,
    pub(super) replicas: u32,
    pub(super) cells: Vec<usize>,
}

/// One way in which a replica of a class runs.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) class: usize,
    pub(super) kind: usize,
    pub(super) takes: Takes,
    pub(super) host: u64,
}

/// A machine type worth a look.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) kind: usize,
    /// Accelerators, no more than all cells of the kind together take.
    pub(super) units: u32,
    pub(super) host: u64,
    pub(super) hourly: Decimal,
    pub(super) price: i64,
    /// The most that can be bought, or be of use.
    pub(super) limit: u32,
}

#[derive(Debug)]
pub(super) struct Problem {
    pub(super) classes: Vec<Class>,
    pub(super) cells: Vec<Cell>,
    pub(super) machines: Vec<Kept>,
    pub(super) kinds: usize,
    /// What a price of 1 is.
    unit: Decimal,
}

impl Takes {
    /// In hundredths of an accelerator.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::Whole(count) => u64::from(count) * 100,
            Self::Share(percent) => u64::from(percent),
        }
    }

    pub(super) fn units(self) -> u32 {
        match self {
            Self::Whole(count) => count,
            Self::Share(_) => 1,
        }
    }
}

impl Problem {
    /// Translate; `tenants` come in order of name.
    pub(super) fn of(tenants: &[&Tenant], machines: &[Machine]) -> Result<Self, JointError> {
        let (machines, prices, unit) = sorted(machines)?;
        twice(tenants.iter().map(|tenant| &tenant.name))?;
        let replicas: u64 = tenants.iter().map(|one| u64::from(one.replicas)).sum();
        at_most("replicas", replicas, MOST_REPLICAS)?;
        let mut ways = BTreeMap::new();
        for (index, tenant) in tenants.iter().enumerate() {
            let fits = held(tenant, &machines)?;
            if tenant.replicas > 0 {
                ways.entry(fits).or_insert_with(Vec::new).push(index);
            }
        }
        let mut ways: Vec<_> = ways.into_iter().collect();
        ways.sort_by_key(|(_, tenants)| tenants.first().copied());
        let kinds: BTreeSet<&str> = ways
            .iter()
            .flat_map(|(fits, _)| fits.iter().map(|fit| fit.0))
            .collect();
        let kinds: Vec<&str> = kinds.into_iter().collect();
        let mut problem = Self {
            classes: Vec::new(),
            cells: Vec::new(),
            machines: Vec::new(),
            kinds: kinds.len(),
            unit,
        };
        for (fits, members) in ways {
            let class = problem.classes.len();
            let first = problem.cells.len();
            for (name, takes, host) in fits {
                let kind = kinds.binary_search(&name).unwrap_or_default();
                problem.cells.push(Cell {
                    class,
                    kind,
                    takes,
                    host,
                });
            }
            problem.classes.push(Class {
                replicas: members.iter().map(|&index| tenants[index].replicas).sum(),
                tenants: members,
                cells: (first..problem.cells.len()).collect(),
            });
        }
        problem.keep(&machines, &prices, &kinds)?;
        Ok(problem)
    }

    /// The machines that are of use, none of them bettered by another.
    fn keep(
        &mut self,
        machines: &[&Machine],
        prices: &[i64],
        kinds: &[&str],
    ) -> Result<(), JointError> {
        let mut kept = Vec::new();
        for (machine, &price) in machines.iter().zip(prices) {
            let Ok(kind) = kinds.binary_search(&machine.accelerator.as_str()) else {
                continue;
            };
            let (mut units, mut host, mut replicas) = (0, 0_u64, 0);
            for cell in self.cells.iter().filter(|cell| cell.kind == kind) {
                let count = self.classes[cell.class].replicas;
                units += u64::from(count) * u64::from(cell.takes.units());
                host = host.saturating_add(u64::from(count).saturating_mul(cell.host));
                replicas += count;
            }
            let limit = machine.limit.unwrap_or(u32::MAX).min(replicas);
            let units = units.min(u64::from(machine.accelerators));
            at_most("accelerators of one machine", units, MOST_ACCELERATORS)?;
            if limit > 0 && units > 0 {
                kept.push(Kept {
                    name: machine.name.clone(),
                    kind,
                    units: u32::try_from(units).unwrap_or(u32::MAX),
                    host: host.min(machine.memory.0),
                    hourly: machine.hourly,
                    price,
                    limit: if limit == replicas { u32::MAX } else { limit },
                });
            }
        }
        let replicas: u32 = self.classes.iter().map(|class| class.replicas).sum();
        for index in 0..kept.len() {
            let bettered = (0..kept.len()).any(|other| betters(&kept, other, index));
            if !bettered {
                let one = &kept[index];
                self.machines.push(Kept {
                    name: one.name.clone(),
                    limit: one.limit.min(replicas),
                    ..*one
                });
            }
        }
        Ok(())
    }

    /// A sum of prices in money.
    pub(super) fn money(&self, sum: i64) -> Decimal {
        Decimal::from(sum) * self.unit
    }
}

/// Does one replace the other at no higher price, as often as one likes?
fn betters(kept: &[Kept], one: usize, other: usize) -> bool {
    let (a, b) = (&kept[one], &kept[other]);
    let holds = a.kind == b.kind && a.units >= b.units && a.host >= b.host;
    let equal = a.units == b.units && a.host == b.host && a.price == b.price;
    let also = equal && b.limit == u32::MAX;
    holds && a.price <= b.price && a.limit == u32::MAX && (!also || one < other) && one != other
}

/// The machines by price and name, their prices as small integers, and what 1 of these is.
fn sorted(machines: &[Machine]) -> Result<(Vec<&Machine>, Vec<i64>, Decimal), JointError> {
    twice(machines.iter().map(|machine| &machine.name))?;
    let mut machines: Vec<&Machine> = machines.iter().collect();
    machines.sort_by(|a, b| (a.hourly, &a.name).cmp(&(b.hourly, &b.name)));
    let scale = |machine: &&Machine| machine.hourly.normalize().scale();
    let finest = machines.iter().map(scale).max().unwrap_or_default();
    let mut prices = Vec::with_capacity(machines.len());
    for machine in &machines {
        let normal = machine.hourly.normalize();
        let price = 10_i128
            .checked_pow(finest - normal.scale())
            .and_then(|factor| normal.mantissa().checked_mul(factor))
            .filter(|price| (0..=MOST_PRICE).contains(price))
            .and_then(|price| i64::try_from(price).ok())
            .ok_or_else(|| JointError::Price {
                machine: machine.name.clone(),
                hourly: machine.hourly,
            })?;
        prices.push(price);
    }
    let divisor = prices.iter().fold(0, |a, b: &i64| gcd(a, b.unsigned_abs()));
    let divisor = i64::try_from(divisor).unwrap_or(1).max(1);
    for price in &mut prices {
        *price /= divisor;
    }
    // The scale is at most 28: it came from a decimal.
    let unit = Decimal::try_from_i128_with_scale(divisor.into(), finest).unwrap_or_default();
    Ok((machines, prices, unit))
}

/// The greatest common divisor.
pub(super) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn twice<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), JointError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(JointError::Twice(name.clone()));
        }
    }
    Ok(())
}

fn at_most(what: &str, count: u64, most: u64) -> Result<(), JointError> {
    if count > most {
        let what = format!("{count} {what}");
        return Err(JointError::TooLarge { what, most });
    }
    Ok(())
}

type Way<'a> = (&'a str, Takes, u64);

/// The fits that some machine holds and no other fit betters, or why none is held.
fn held<'a>(tenant: &'a Tenant, machines: &[&Machine]) -> Result<Vec<Way<'a>>, JointError> {
    let mut ways: Vec<Way> = Vec::new();
    let mut reasons = Vec::new();
    for fit in &tenant.fits {
        match refused(fit, machines) {
            Some(reason) => reasons.push(reason),
            None => ways.push((&fit.accelerator, fit.takes, fit.memory.0)),
        }
    }
    if ways.is_empty() && tenant.replicas > 0 {
        reasons.extend(tenant.why_not.iter().cloned());
        if reasons.is_empty() {
            reasons.push("it has no way to run".to_owned());
        }
        return Err(JointError::NothingHolds {
            tenant: tenant.name.clone(),
            reasons,
        });
    }
    ways.sort_unstable();
    ways.dedup();
    let all = ways.clone();
    let better = |a: &Way, b: &Way| {
        let (small, large) = (a.1.size(), b.1.size());
        a != b
            && a.0 == b.0
            && small <= large
            && a.2 <= b.2
            && (small, a.2, a.1) < (large, b.2, b.1)
    };
    ways.retain(|way| !all.iter().any(|other| better(other, way)));
    Ok(ways)
}

fn refused(fit: &Fit, machines: &[&Machine]) -> Option<String> {
    let name = &fit.accelerator;
    let sound = match fit.takes {
        Takes::Whole(count) => count > 0,
        Takes::Share(percent) => (1..=100).contains(&percent),
    };
    if !sound {
        return Some(format!("{} of {name} is no amount", fit.takes));
    }
    let of_kind = || machines.iter().filter(|one| one.accelerator == *name);
    let wide = || of_kind().filter(|one| one.accelerators >= fit.takes.units());
    let roomy = || wide().filter(|one| one.memory >= fit.memory);
    if roomy().any(|one| one.limit != Some(0)) {
        return None;
    }
    Some(
        match (
            of_kind().map(|one| one.accelerators).max(),
            wide().map(|one| one.memory).max(),
        ) {
            (None, _) => format!("no machine has {name}"),
            (Some(most), None) => {
                let units = fit.takes.units();
                format!("it needs {units} {name} in one machine, the largest has {most}")
            }
            (_, Some(most)) if most < fit.memory => {
                format!(
                    "it needs {} of host memory beside {name} {}, the largest has {most}",
                    fit.memory, fit.takes
                )
            }
            _ => format!(
                "none of the machines with {name} that hold it can be bought: their limits are 0"
            ),
        },
    )
}
