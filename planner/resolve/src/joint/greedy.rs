//! Good mixes, fast: buy the machine with the most value for its price until all have a seat.
//!
//! ```text
//!   values ─► best load of each machine ─► most value per dollar ─► again ─► drop, shrink
//! ```

use super::pricing::{Groups, Load, Part};
use super::problem::Problem;
use super::room::Filled;

/// A mix that is being filled.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) filled: Vec<Filled>,
    /// Replicas without a seat, by class.
    pub(super) waiting: Vec<u32>,
    /// What can still be bought, by machine.
    left: Vec<u32>,
}

impl Draft {
    pub(super) fn new(problem: &Problem) -> Self {
        Self {
            filled: Vec::new(),
            waiting: problem.classes.iter().map(|class| class.replicas).collect(),
            left: problem
                .machines
                .iter()
                .map(|machine| machine.limit)
                .collect(),
        }
    }

    /// Buy a machine and seat what fits of a load.
    pub(super) fn buy(&mut self, problem: &Problem, machine: usize, load: &[Part]) {
        if self.left[machine] > 0 {
            let mut waiting = self.waiting.clone();
            let filled = fill(problem, machine, load, &mut waiting);
            if !filled.seats.is_empty() {
                self.left[machine] -= 1;
                self.waiting = waiting;
                self.filled.push(filled);
            }
        }
    }

    /// Do so many wait that each seat of a load is taken?
    pub(super) fn wants(&self, problem: &Problem, load: &[Part]) -> bool {
        let mut waiting = self.waiting.clone();
        load.iter().all(|part| {
            let waits = &mut waiting[problem.cells[part.cell].class];
            let enough = *waits >= part.count;
            *waits = waits.saturating_sub(part.count);
            enough
        })
    }

    /// Seat everybody; false if the limits do not let this way do it.
    pub(super) fn finish(
        &mut self,
        problem: &Problem,
        groups: &Groups,
        values: &[i64],
        work: &mut u64,
    ) -> bool {
        // Who has no value still needs a seat.
        let values: Vec<i64> = values.iter().map(|&value| value.max(1)).collect();
        let dense = by_density(problem, &values);
        while self.waiting.iter().any(|&count| count > 0) {
            let caps: Vec<u32> = problem
                .cells
                .iter()
                .map(|cell| self.waiting[cell.class])
                .collect();
            let mut best: Option<(i64, i64, Filled, Vec<u32>)> = None;
            let mut prices = groups.price(problem, &values, &caps);
            for (machine, kept) in problem.machines.iter().enumerate() {
                if self.left[machine] == 0 {
                    continue;
                }
                let promising = best.as_ref().is_none_or(|(worth, price, ..)| {
                    let most = i128::from(prices.at_most(machine));
                    most * i128::from(*price) > i128::from(*worth) * i128::from(kept.price)
                });
                if !promising {
                    continue;
                }
                let mut waiting = self.waiting.clone();
                let (_, load) = prices.load(machine);
                let mut filled = fill(problem, machine, &load, &mut waiting);
                for &cell in &dense {
                    let class = problem.cells[cell].class;
                    while waiting[class] > 0 && filled.seat(problem, cell) {
                        waiting[class] -= 1;
                    }
                }
                let worth = filled
                    .seats
                    .iter()
                    .fold(0_i64, |sum, seat| sum.saturating_add(values[seat.0]));
                let better = best.as_ref().is_none_or(|(other, price, ..)| {
                    let (a, b) = (i128::from(worth), i128::from(*other));
                    a * i128::from(*price) > b * i128::from(kept.price)
                });
                if worth > 0 && better {
                    best = Some((worth, kept.price, filled, waiting));
                }
            }
            *work = work.saturating_sub(prices.work + 100 * problem.machines.len() as u64);
            let Some((_, _, filled, mut waiting)) = best else {
                return false;
            };
            // The same again, while there are as many who wait.
            let machine = filled.machine;
            let seated: Vec<u32> = self
                .waiting
                .iter()
                .zip(&waiting)
                .map(|(a, b)| a - b)
                .collect();
            self.waiting.clone_from(&waiting);
            self.left[machine] -= 1;
            while self.left[machine] > 0
                && waiting
                    .iter()
                    .zip(&seated)
                    .all(|(waits, takes)| waits >= takes)
            {
                for (waits, takes) in waiting.iter_mut().zip(&seated) {
                    *waits -= takes;
                }
                self.waiting.clone_from(&waiting);
                self.left[machine] -= 1;
                self.filled.push(filled.clone());
            }
            self.filled.push(filled);
        }
        self.shrink(problem);
        self.drop_some(problem);
        self.shrink(problem);
        let machines = self.filled.len() as u64;
        let seats: usize = self.filled.iter().map(|one| one.seats.len()).sum();
        *work = work.saturating_sub(10 * machines * (seats + problem.machines.len()) as u64);
        true
    }

    pub(super) fn cost(&self, problem: &Problem) -> i64 {
        self.filled
            .iter()
            .map(|one| problem.machines[one.machine].price)
            .sum()
    }

    /// Put loads into cheaper machines that hold them too.
    fn shrink(&mut self, problem: &Problem) {
        for one in &mut self.filled {
            let old = &problem.machines[one.machine];
            let part = |seat: &(usize, _)| Part {
                cell: seat.0,
                count: 1,
                at_once: 1,
            };
            let load: Load = one.seats.iter().map(part).collect();
            // Machines come by price.
            for (machine, kept) in problem.machines.iter().enumerate() {
                if kept.price >= old.price {
                    break;
                }
                if kept.kind != old.kind || self.left[machine] == 0 {
                    continue;
                }
                let mut waiting = vec![u32::MAX; problem.classes.len()];
                let filled = fill(problem, machine, &load, &mut waiting);
                if filled.seats.len() == load.len() {
                    self.left[machine] -= 1;
                    self.left[one.machine] += 1;
                    *one = filled;
                    break;
                }
            }
        }
    }

    /// Seat all replicas of a machine in the others, where they have room; the dearest first.
    fn drop_some(&mut self, problem: &Problem) {
        self.filled
            .sort_by_key(|one| (problem.machines[one.machine].price, one.machine));
        for index in (0..self.filled.len()).rev() {
            let dropped = self.filled.remove(index);
            let mut before: Vec<(usize, Filled)> = Vec::new();
            let all = dropped.seats.iter().all(|&(cell, _)| {
                let cells = &problem.classes[problem.cells[cell].class].cells;
                cells.iter().any(|&cell| {
                    self.filled.iter_mut().enumerate().any(|(other, one)| {
                        let kept = one.clone_if(problem, cell);
                        kept.is_some_and(|kept| {
                            before.push((other, kept));
                            one.seat(problem, cell)
                        })
                    })
                })
            });
            if all {
                self.left[dropped.machine] += 1;
            } else {
                for (other, kept) in before.into_iter().rev() {
                    self.filled[other] = kept;
                }
                self.filled.insert(index, dropped);
            }
        }
    }
}

/// A machine with what fits of a load, the largest first.
fn fill(problem: &Problem, machine: usize, load: &[Part], waiting: &mut [u32]) -> Filled {
    let mut filled = Filled::empty(problem, machine);
    let mut load = load.to_vec();
    load.sort_by_key(|&Part { cell, .. }| {
        (std::cmp::Reverse(problem.cells[cell].takes.size()), cell)
    });
    for Part { cell, count, .. } in load {
        let class = problem.cells[cell].class;
        for _ in 0..count {
            if waiting[class] > 0 && filled.seat(problem, cell) {
                waiting[class] -= 1;
            }
        }
    }
    filled
}

fn by_density(problem: &Problem, values: &[i64]) -> Vec<usize> {
    let mut cells: Vec<usize> = (0..values.len()).collect();
    let size = |cell: usize| i128::from(problem.cells[cell].takes.size());
    cells.sort_by(|&a, &b| {
        let left = i128::from(values[b]) * size(a);
        left.cmp(&(i128::from(values[a]) * size(b))).then(a.cmp(&b))
    });
    cells
}
