//! How cheap can a node be, and what is its best guess?
//!
//! ```text
//!   loads known ─► master ─► duals = values of replicas ─► pricing ─► better loads ─► again
//!                                          └─► bound, narrower ranges
//! ```
//!
//! The bound is Lagrange's. Give each replica a value; a machine then costs its price less the
//! value of its best load, and each class costs the value of its seats. Their least sum within the
//! ranges is never more than the cheapest mix, whatever the values are. The master programme only
//! finds values for which it is high.

use super::master::{Column, Master, Sense};
use super::pricing::{Load, Part};
use super::problem::Problem;
use super::search::{Node, Search};

/// A float closer than this to a whole number means that number.
pub(super) const CLOSE: f64 = 1e-6;

/// The best solution of the master in a node.
pub(super) struct Relaxed {
    pub(super) machines: Vec<f64>,
    pub(super) cells: Vec<f64>,
    pub(super) values: Vec<i64>,
    /// Loads that are in it in full, and how often.
    pub(super) sure: Vec<(usize, u32)>,
    /// Loads that are in it in part, the larger part first.
    pub(super) likely: Vec<usize>,
}

/// What a node can still give.
pub(super) enum Left {
    Nothing,
    Some(Relaxed),
}

impl Search<'_> {
    /// Solve the master in a node's ranges, and narrow them. `None`: out of work.
    pub(super) fn relax(&mut self, node: &mut Node) -> Option<Left> {
        let problem = self.problem;
        let (rows, ranges) = rows(problem, node);
        let mut master = Master::new(rows, 100.0);
        let caps: Vec<u32> = node.cells.iter().map(|range| range.1).collect();
        let factor = self.dearest * to_float(self.scale);
        let mut used = Vec::new();
        let mut next = 0;
        loop {
            while next < self.loads.len() {
                let (machine, load) = &self.loads[next];
                let mut parts = load.iter();
                if node.machines[*machine].1 > 0
                    && parts.all(|part| part.at_once <= caps[part.cell])
                {
                    let column = ranges.column(problem, *machine, load, self.dearest);
                    master.columns.push(column);
                    used.push(next);
                }
                next += 1;
            }
            let (duals, cost) = master.solve();
            self.work = self.work.checked_sub(std::mem::take(&mut master.work))?;
            let values: Vec<i64> = (0..problem.cells.len())
                .map(|cell| integer(ranges.cell_dual(problem, cell, &duals) * factor))
                .collect();
            let mut reduced = vec![0_i64; problem.machines.len()];
            let mut fresh = Vec::new();
            let mut prices = self.groups.price(problem, &values, &caps);
            for (machine, kept) in problem.machines.iter().enumerate() {
                let price = kept.price.saturating_mul(self.scale);
                let dual = ranges.machine_dual(machine, &duals) * factor;
                let gains = |reduced: i64| dual - to_float(reduced) > factor * 1e-10;
                reduced[machine] = price.saturating_sub(prices.at_most(machine));
                if node.machines[machine].1 == 0 || !gains(reduced[machine]) {
                    continue;
                }
                let (value, load) = prices.load(machine);
                reduced[machine] = price.saturating_sub(value);
                // Cut to what a node can seat, a load is closer to the truth, if it still gains.
                let cap = |part: &Part| Part {
                    count: part.count.min(caps[part.cell]),
                    ..*part
                };
                let cut: Load = load.iter().map(cap).collect();
                let worth = cut.iter().fold(0_i64, |sum, part| {
                    sum.saturating_add(values[part.cell].saturating_mul(part.count.into()))
                });
                if gains(price.saturating_sub(worth)) {
                    fresh.push((machine, cut));
                } else if gains(reduced[machine]) {
                    fresh.push((machine, load));
                }
            }
            self.work = self.work.saturating_sub(prices.work);
            let mut grown = false;
            for (machine, load) in fresh {
                grown |= self.learn(machine, load);
            }
            let sum = self.narrow(node, &reduced, &values);
            let scale = i128::from(self.scale);
            let bound = sum.div_euclid(scale) + i128::from(sum.rem_euclid(scale) > 0);
            let bound = bound.clamp(0, i64::MAX.into());
            node.bound = node.bound.max(i64::try_from(bound).unwrap_or(i64::MAX));
            let empty = node.machines.iter().any(|range| range.0 > range.1);
            if node.bound >= self.upper || empty {
                return Some(Left::Nothing);
            }
            let reached = (cost * self.dearest - 1e-6).ceil() <= to_float(node.bound);
            if !grown || reached {
                return Some(Left::Some(self.relaxed(&master, &used, values)));
            }
        }
    }

    /// Lagrange's bound, in fractions of a price; and what of the ranges is too dear to be better.
    fn narrow(&self, node: &mut Node, reduced: &[i64], values: &[i64]) -> i128 {
        let mut sum: i128 = 0;
        for (&cost, &(low, high)) in reduced.iter().zip(&node.machines) {
            let count = if cost < 0 { high } else { low };
            sum += i128::from(cost) * i128::from(count);
        }
        for class in &self.problem.classes {
            let mut left = i128::from(class.replicas);
            let mut cells: Vec<(i64, u32)> = Vec::new();
            for &cell in &class.cells {
                let (low, high) = node.cells[cell];
                left -= i128::from(low);
                sum += i128::from(values[cell]) * i128::from(low);
                cells.push((values[cell], high.saturating_sub(low)));
            }
            cells.sort_unstable();
            for (value, room) in cells {
                let count = left.clamp(0, room.into());
                sum += i128::from(value) * count;
                left -= count;
            }
            if left != 0 {
                return i128::from(self.upper) * i128::from(self.scale);
            }
        }
        let slack = i128::from(self.upper - 1) * i128::from(self.scale) - sum;
        if slack >= 0 {
            for (&cost, range) in reduced.iter().zip(&mut node.machines) {
                let more = slack
                    .checked_div(i128::from(cost).abs())
                    .unwrap_or(i128::MAX);
                let more = u32::try_from(more).unwrap_or(u32::MAX);
                if cost > 0 {
                    range.1 = range.1.min(range.0.saturating_add(more));
                } else {
                    range.0 = range.0.max(range.1.saturating_sub(more));
                }
            }
        }
        sum
    }

    fn relaxed(&self, master: &Master, used: &[usize], values: Vec<i64>) -> Relaxed {
        let mut relaxed = Relaxed {
            machines: vec![0.0; self.problem.machines.len()],
            cells: vec![0.0; self.problem.cells.len()],
            values,
            sure: Vec::new(),
            likely: Vec::new(),
        };
        let mut parts = Vec::new();
        for (amount, &load) in master.amounts().into_iter().zip(used) {
            let (machine, counts) = &self.loads[load];
            relaxed.machines[*machine] += amount;
            for &Part { cell, count, .. } in counts {
                relaxed.cells[cell] += amount * f64::from(count);
            }
            let sure = whole(amount + CLOSE);
            if sure > 0 {
                relaxed.sure.push((load, sure));
            }
            if amount - f64::from(sure) > CLOSE {
                parts.push((amount - f64::from(sure), load));
            }
        }
        parts.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        relaxed.likely = parts.into_iter().map(|part| part.1).collect();
        relaxed
    }
}

/// Which rows of the master belong to which count: at least, at most.
struct Ranges {
    machines: Vec<(Option<usize>, Option<usize>)>,
    cells: Vec<(Option<usize>, Option<usize>)>,
}

fn rows(problem: &Problem, node: &Node) -> (Vec<(Sense, f64)>, Ranges) {
    let mut rows: Vec<(Sense, f64)> = Vec::new();
    for class in &problem.classes {
        rows.push((Sense::AtLeast, f64::from(class.replicas)));
    }
    let mut add = |wanted: bool, sense, side: u32| {
        wanted.then(|| {
            rows.push((sense, f64::from(side)));
            rows.len() - 1
        })
    };
    let mut ranges = Ranges {
        machines: Vec::new(),
        cells: Vec::new(),
    };
    for (&(low, high), &told) in node.machines.iter().zip(&node.told) {
        let at_least = add(low > 0, Sense::AtLeast, low);
        let at_most = add(told && high > 0, Sense::AtMost, high);
        ranges.machines.push((at_least, at_most));
    }
    for (cell, &(low, high)) in problem.cells.iter().zip(&node.cells) {
        let at_least = add(low > 0, Sense::AtLeast, low);
        let bound = high > 0 && high < problem.classes[cell.class].replicas;
        ranges
            .cells
            .push((at_least, add(bound, Sense::AtMost, high)));
    }
    (rows, ranges)
}

impl Ranges {
    fn column(&self, problem: &Problem, machine: usize, counts: &[Part], dearest: f64) -> Column {
        let mut entries: Vec<(usize, f64)> = Vec::new();
        let mut add = |row: Option<usize>, value: f64| {
            if let Some(row) = row {
                match entries.iter_mut().find(|entry| entry.0 == row) {
                    Some(entry) => entry.1 += value,
                    None => entries.push((row, value)),
                }
            }
        };
        add(self.machines[machine].0, 1.0);
        add(self.machines[machine].1, 1.0);
        for &Part { cell, count, .. } in counts {
            add(Some(problem.cells[cell].class), f64::from(count));
            add(self.cells[cell].0, f64::from(count));
            add(self.cells[cell].1, f64::from(count));
        }
        Column {
            cost: to_float(problem.machines[machine].price) / dearest,
            entries,
        }
    }

    fn cell_dual(&self, problem: &Problem, cell: usize, duals: &[f64]) -> f64 {
        duals[problem.cells[cell].class] + pair(self.cells[cell], duals)
    }

    fn machine_dual(&self, machine: usize, duals: &[f64]) -> f64 {
        pair(self.machines[machine], duals)
    }
}

fn pair(rows: (Option<usize>, Option<usize>), duals: &[f64]) -> f64 {
    let dual = |row: Option<usize>| row.map_or(0.0, |row| duals[row]);
    dual(rows.0) + dual(rows.1)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "what becomes a float is advice only"
)]
pub(super) fn to_float(value: i64) -> f64 {
    value as f64
}

/// A value from a dual: never negative, never so large that sums leave `i64`.
#[expect(clippy::cast_possible_truncation, reason = "clamped; NaN becomes zero")]
fn integer(value: f64) -> i64 {
    value.clamp(0.0, 1e15) as i64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float casts saturate; counts are small"
)]
pub(super) fn whole(value: f64) -> u32 {
    value as u32
}
