//! The most valuable load of each machine, when each replica has a value.
//!
//! ```text
//!   shares ─► best accelerator (knapsack of 100 %) ─► g of them ─┐
//!   wholes ─► best A - g accelerators (knapsack of A) ───────────┴─► best over g
//! ```
//!
//! The value is never too low, so a bound made of it holds. It can be too high: the accelerators of
//! a machine are shared one by one, so a replica may count on several of them, and host memory is
//! counted in coarse steps, rounded down.

use super::Takes;
use super::knapsack::{Item, Knapsack};
use super::problem::{Problem, gcd};

/// Steps of host memory, where it matters.
const STEPS: u64 = 24;

/// Machines with one set of tables: of one kind, and of one host memory where that matters.
#[derive(Debug)]
struct Group {
    units: usize,
    steps: usize,
    whole: Vec<Item>,
    share: Vec<Item>,
    /// The size of an accelerator, in what divides all shares.
    accelerator: usize,
}

/// The tables of a group under given values.
#[derive(Debug)]
struct Priced<'a> {
    group: &'a Group,
    caps: &'a [u32],
    whole: Knapsack,
    one: Knapsack,
    /// `shared[g][h]`: value of `g` shared accelerators, and the host steps of the last.
    shared: Vec<Vec<(i64, usize)>>,
    /// A second bound on that value: all in one large accelerator, each replica once.
    merged: Vec<i64>,
    work: u64,
}

/// Replicas of a cell in a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) cell: usize,
    pub(super) count: u32,
    /// How many the load was allowed to have, at least: those on one accelerator.
    pub(super) at_once: u32,
}

/// What is in a machine.
pub(super) type Load = Vec<Part>;

/// All groups: one for each kind that leaves host memory out of account, and those that do not.
#[derive(Debug)]
pub(super) struct Groups {
    loose: Vec<Group>,
    tight: Vec<Group>,
    /// By machine.
    tight_of: Vec<Option<usize>>,
}

/// Loads and their values, of all machines; the tables of tight groups are made when wanted.
#[derive(Debug)]
pub(super) struct Prices<'a> {
    problem: &'a Problem,
    groups: &'a Groups,
    values: &'a [i64],
    caps: &'a [u32],
    loose: Vec<Priced<'a>>,
    tight: Vec<Option<Priced<'a>>>,
    pub(super) work: u64,
}

impl Groups {
    /// Sort the machines into groups.
    pub(super) fn all(problem: &Problem) -> Self {
        let mut keys: Vec<(usize, u64)> = Vec::new();
        let mut tight_of = Vec::new();
        for machine in &problem.machines {
            let binds = problem.cells.iter().any(|cell| {
                let needs = u128::from(cell.host) * u128::from(machine.units) * 100;
                cell.kind == machine.kind
                    && needs > u128::from(machine.host) * u128::from(cell.takes.size())
            });
            let key = (machine.kind, machine.host);
            if binds && !keys.contains(&key) {
                keys.push(key);
            }
            let found = keys.iter().position(|one| *one == key);
            tight_of.push(found.filter(|_| binds));
        }
        let machines = |belongs: &dyn Fn(usize) -> bool| {
            let units = (0..tight_of.len()).filter(|&one| belongs(one));
            units
                .map(|one| problem.machines[one].units)
                .max()
                .unwrap_or(0)
        };
        let loose = |kind| {
            let units = machines(&|one| problem.machines[one].kind == kind);
            Group::of(problem, kind, None, units)
        };
        let tight = |(index, &(kind, host)): (usize, &(usize, u64))| {
            let units = machines(&|one| tight_of[one] == Some(index));
            Group::of(problem, kind, Some(host), units)
        };
        Self {
            loose: (0..problem.kinds).map(loose).collect(),
            tight: keys.iter().enumerate().map(tight).collect(),
            tight_of,
        }
    }

    /// Fill the tables: `values` and `caps` by cell; no load has more of a cell than its cap.
    pub(super) fn price<'a>(
        &'a self,
        problem: &'a Problem,
        values: &'a [i64],
        caps: &'a [u32],
    ) -> Prices<'a> {
        let loose: Vec<_> = self
            .loose
            .iter()
            .map(|group| group.price(values, caps))
            .collect();
        Prices {
            problem,
            groups: self,
            values,
            caps,
            work: loose.iter().map(|one| one.work).sum(),
            loose,
            tight: self.tight.iter().map(|_| None).collect(),
        }
    }
}

impl Prices<'_> {
    /// No load is worth more: quick, without host memory.
    pub(super) fn at_most(&self, machine: usize) -> i64 {
        let kept = &self.problem.machines[machine];
        self.loose[kept.kind].value(kept.units)
    }

    /// No load is worth more, and the load that may be worth as much.
    pub(super) fn load(&mut self, machine: usize) -> (i64, Load) {
        let kept = &self.problem.machines[machine];
        let loose = &self.loose[kept.kind];
        let load = loose.load(kept.units);
        let value = loose.value(kept.units);
        let host = load.iter().fold(0_u64, |sum, part| {
            let host = self.problem.cells[part.cell].host;
            sum.saturating_add(host.saturating_mul(part.count.into()))
        });
        self.work += 100;
        match self.groups.tight_of[machine] {
            Some(index) if host > kept.host => {
                let tight = self.tight[index].get_or_insert_with(|| {
                    let priced = self.groups.tight[index].price(self.values, self.caps);
                    self.work += priced.work;
                    priced
                });
                (tight.value(kept.units).min(value), tight.load(kept.units))
            }
            _ => (value, load),
        }
    }
}

impl Group {
    fn of(problem: &Problem, kind: usize, host: Option<u64>, units: u32) -> Self {
        let of_kind = || {
            let cells = problem.cells.iter().enumerate();
            cells.filter(|(_, cell)| cell.kind == kind && host.is_none_or(|host| cell.host <= host))
        };
        let common = of_kind().fold(host.unwrap_or(0), |all, (_, cell)| gcd(all, cell.host));
        let steps = host.map_or(0, |host| match host.checked_div(common) {
            Some(exact) if exact <= STEPS + 8 => exact,
            _ => STEPS,
        });
        let step = |needs: u64| match host {
            Some(host) if host > 0 => u128::from(needs) * u128::from(steps) / u128::from(host),
            _ => 0,
        };
        let shares = of_kind().filter_map(|(_, cell)| match cell.takes {
            Takes::Share(percent) => Some(u64::from(percent)),
            Takes::Whole(_) => None,
        });
        let divisor = shares.fold(100, gcd);
        let (mut whole, mut share) = (Vec::new(), Vec::new());
        for (cell, one) in of_kind() {
            let host = usize::try_from(step(one.host)).unwrap_or(usize::MAX);
            match one.takes {
                Takes::Whole(count) => whole.push(Item {
                    cell,
                    size: count as usize,
                    host,
                }),
                Takes::Share(percent) => {
                    let size = usize::try_from(u64::from(percent) / divisor).unwrap_or(1);
                    share.push(Item { cell, size, host });
                }
            }
        }
        Self {
            units: units as usize,
            steps: usize::try_from(steps).unwrap_or(0),
            whole,
            share,
            accelerator: usize::try_from(100 / divisor).unwrap_or(100),
        }
    }

    fn price<'a>(&'a self, values: &[i64], caps: &'a [u32]) -> Priced<'a> {
        let whole = Knapsack::fill(self.units, self.steps, &self.whole, values, caps);
        let one = if self.share.is_empty() {
            Knapsack::default()
        } else {
            Knapsack::fill(self.accelerator, self.steps, &self.share, values, caps)
        };
        let mut priced = Priced {
            group: self,
            caps,
            work: whole.work + one.work,
            whole,
            one,
            shared: vec![vec![(0, 0); self.steps + 1]],
            merged: Vec::new(),
        };
        if !self.share.is_empty() {
            priced.share();
            priced.merge(values);
        }
        priced
    }
}

impl Priced<'_> {
    fn share(&mut self) {
        for g in 1..=self.group.units {
            let mut row = Vec::with_capacity(self.group.steps + 1);
            for h in 0..=self.group.steps {
                let mut best = (-1, 0);
                for last in 0..=h {
                    let value = self.shared[g - 1][h - last].0;
                    let value = value.saturating_add(self.one.value(self.group.accelerator, last));
                    if value > best.0 {
                        best = (value, last);
                    }
                }
                self.work += h as u64 + 1;
                row.push(best);
            }
            self.shared.push(row);
        }
    }

    /// The densest first, the last one in part.
    fn merge(&mut self, values: &[i64]) {
        let mut dense: Vec<(i64, i64, i64)> = self
            .group
            .share
            .iter()
            .filter(|item| values[item.cell] > 0)
            .filter_map(|item| {
                let size = i64::try_from(item.size).ok()?;
                Some((values[item.cell], size, i64::from(self.caps[item.cell])))
            })
            .collect();
        dense.sort_by(|a, b| {
            (i128::from(b.0) * i128::from(a.1)).cmp(&(i128::from(a.0) * i128::from(b.1)))
        });
        let mut capacity = 0;
        for _ in 0..=self.group.units {
            let (mut left, mut sum) = (capacity, 0_i64);
            for &(value, size, count) in &dense {
                let fits = count.min(left / size);
                sum = sum.saturating_add(value.saturating_mul(fits));
                left -= fits * size;
                if fits < count {
                    let part = i128::from(value) * i128::from(left) / i128::from(size) + 1;
                    sum = sum.saturating_add(i64::try_from(part).unwrap_or(i64::MAX));
                    break;
                }
            }
            self.merged.push(sum);
            capacity += i64::try_from(self.group.accelerator).unwrap_or(100);
            self.work += dense.len() as u64;
        }
    }

    /// No load of a machine with so many accelerators is worth more.
    fn value(&self, units: u32) -> i64 {
        self.best(units as usize).0
    }

    /// The value, the shared accelerators, the host steps of the whole ones.
    fn best(&self, units: usize) -> (i64, usize, usize) {
        let steps = self.group.steps;
        let mut best = (-1, 0, 0);
        for g in 0..=units.min(self.shared.len() - 1) {
            for host in 0..=steps {
                let mut shared = self.shared[g][steps - host].0;
                if let Some(&merged) = self.merged.get(g) {
                    shared = shared.min(merged);
                }
                let value = shared.saturating_add(self.whole.value(units - g, host));
                if value > best.0 {
                    best = (value, g, host);
                }
            }
        }
        best
    }

    /// That load: how many of which cell, none more often than its cap.
    fn load(&self, units: u32) -> Load {
        let units = units as usize;
        let (_, g, host) = self.best(units);
        let mut parts = Vec::new();
        self.whole.load(units - g, host, &mut parts);
        let mut load = Load::new();
        add(&mut load, &mut parts);
        let mut left = self.group.steps - host;
        for g in (1..=g).rev() {
            let last = self.shared[g][left].1;
            self.one.load(self.group.accelerator, last, &mut parts);
            add(&mut load, &mut parts);
            left -= last;
        }
        load.sort_unstable();
        load
    }
}

/// Add an accelerator, or all whole ones, to a load.
fn add(load: &mut Load, parts: &mut Vec<(usize, u32)>) {
    parts.sort_unstable();
    for same in parts.chunk_by(|a, b| a.0 == b.0) {
        let (cell, count) = (same[0].0, same.iter().map(|part| part.1).sum());
        match load.iter_mut().find(|part| part.cell == cell) {
            Some(part) => {
                part.count += count;
                part.at_once = part.at_once.max(count);
            }
            None => load.push(Part {
                cell,
                count,
                at_once: count,
            }),
        }
    }
    parts.clear();
}
