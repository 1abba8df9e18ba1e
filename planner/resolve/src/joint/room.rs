//! What is left in a machine, and whether replicas fit into given machines.
//!
//! ```text
//!   [ whole whole | share 40 + 35, 25 left | free | free ]   host: 12 GiB left
//! ```

use super::Takes;
use super::problem::{Cell, Problem};

/// Where in a machine a replica sits: its first accelerator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) first: u32,
}

/// A machine with replicas in it.
#[derive(Debug, Clone)]
pub(super) struct Filled {
    pub(super) machine: usize,
    pub(super) seats: Vec<(usize, Place)>,
    room: Room,
}

/// What a machine has left.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Room {
    /// The first accelerator that nobody uses; all after it are free too.
    next: u32,
    units: u32,
    host: u64,
    /// Shared accelerators, and the percentage left of each.
    shared: Vec<(u32, u32)>,
}

/// Where there is room for a replica.
#[derive(Debug, Clone, Copy)]
enum Seat {
    /// On a shared accelerator.
    Beside(usize),
    Free,
}

impl Filled {
    pub(super) fn empty(problem: &Problem, machine: usize) -> Self {
        let kept = &problem.machines[machine];
        let room = Room {
            next: 0,
            units: kept.units,
            host: kept.host,
            shared: Vec::new(),
        };
        Self {
            machine,
            seats: Vec::new(),
            room,
        }
    }

    /// Give a replica the tightest seat, if there is one.
    pub(super) fn seat(&mut self, problem: &Problem, index: usize) -> bool {
        let seat = self.tightest(problem, index);
        if let Some(slot) = seat {
            self.put(&problem.cells[index], index, slot);
        }
        seat.is_some()
    }

    /// How it is now, if there is a seat for a replica.
    pub(super) fn clone_if(&self, problem: &Problem, index: usize) -> Option<Self> {
        self.tightest(problem, index).map(|_| self.clone())
    }

    /// The shared accelerator with the least room that is enough, or free ones.
    fn tightest(&self, problem: &Problem, index: usize) -> Option<Seat> {
        let cell = &problem.cells[index];
        if problem.machines[self.machine].kind != cell.kind || self.room.host < cell.host {
            return None;
        }
        let tightest = match cell.takes {
            Takes::Whole(_) => None,
            Takes::Share(percent) => (0..self.room.shared.len())
                .filter(|&slot| self.room.shared[slot].1 >= percent)
                .min_by_key(|&slot| self.room.shared[slot].1),
        };
        match tightest {
            Some(slot) => Some(Seat::Beside(slot)),
            None if self.free() >= cell.takes.units() => Some(Seat::Free),
            None => None,
        }
    }

    fn free(&self) -> u32 {
        self.room.units - self.room.next
    }

    /// Seat a replica on a shared accelerator, or on free ones. There must be room.
    fn put(&mut self, cell: &Cell, index: usize, seat: Seat) {
        let room = &mut self.room;
        room.host -= cell.host;
        let first = match (cell.takes, seat) {
            (Takes::Share(percent), Seat::Beside(slot)) => {
                room.shared[slot].1 -= percent;
                room.shared[slot].0
            }
            (takes, _) => {
                let first = room.next;
                room.next += takes.units();
                if let Takes::Share(percent) = takes {
                    room.shared.push((first, 100 - percent));
                }
                first
            }
        };
        self.seats.push((index, Place { first }));
    }
}

/// Can these replicas sit in these machines?
#[derive(Debug)]
pub(super) enum Packed {
    Yes(Vec<Filled>),
    No,
    /// The work ran out first.
    Unknown,
}

/// Seat `counts[cell]` replicas of each cell in the machines, all of one kind.
pub(super) fn pack(
    problem: &Problem,
    machines: &[usize],
    counts: &[(usize, u32)],
    work: &mut u64,
) -> Packed {
    let mut items: Vec<usize> = counts
        .iter()
        .flat_map(|&(cell, count)| std::iter::repeat_n(cell, count as usize))
        .collect();
    let hardest = |&cell: &usize| {
        let Cell { takes, host, .. } = problem.cells[cell];
        (std::cmp::Reverse((takes.size(), host)), cell)
    };
    items.sort_by_key(hardest);
    let mut packing = Packing {
        problem,
        items,
        filled: Vec::new(),
        work,
    };
    let empty = |&machine: &usize| Filled::empty(problem, machine);
    packing.filled = machines.iter().map(empty).collect();
    packing.filled.sort_by_key(|one| {
        let kept = &problem.machines[one.machine];
        (kept.units, kept.host, one.machine)
    });
    match packing.rest(0, (0, 0)) {
        Some(true) => Packed::Yes(packing.filled),
        Some(false) => Packed::No,
        None => Packed::Unknown,
    }
}

struct Packing<'a> {
    problem: &'a Problem,
    items: Vec<usize>,
    filled: Vec<Filled>,
    work: &'a mut u64,
}

impl Packing<'_> {
    /// Seat the items from `item` on; equal ones from the position `from` on. `None`: out of work.
    fn rest(&mut self, item: usize, from: (usize, usize)) -> Option<bool> {
        let Some(&index) = self.items.get(item) else {
            return Some(true);
        };
        let step = 20 * (self.filled.len() + self.items.len() - item) as u64;
        *self.work = self.work.checked_sub(step)?;
        if !self.may_fit(item) {
            return Some(false);
        }
        let cell = &self.problem.cells[index];
        let same = |next: &usize| *next == index;
        let next_same = self.items.get(item + 1).is_some_and(same);
        for machine in from.0..self.filled.len() {
            let seen = (0..machine).any(|before| {
                let (a, b) = (&self.filled[before], &self.filled[machine]);
                before >= from.0 && a.seats.is_empty() && b.seats.is_empty() && a.room == b.room
            });
            if seen || self.filled[machine].room.host < cell.host {
                continue;
            }
            let slots = self.filled[machine].room.shared.len();
            let first = if machine == from.0 { from.1 } else { 0 };
            for slot in first..=slots {
                let room = &self.filled[machine].room;
                let target = match (cell.takes, room.shared.get(slot)) {
                    (Takes::Share(percent), Some(&(_, left))) if left >= percent => {
                        Seat::Beside(slot)
                    }
                    (_, None) if self.filled[machine].free() >= cell.takes.units() => Seat::Free,
                    _ => continue,
                };
                if let Seat::Beside(target) = target
                    && room.shared[..target]
                        .iter()
                        .any(|one| one.1 == room.shared[target].1)
                    && first == 0
                {
                    continue;
                }
                let before = room.clone();
                self.filled[machine].put(cell, index, target);
                let position = if next_same { (machine, slot) } else { (0, 0) };
                let done = self.rest(item + 1, position)?;
                if done {
                    return Some(true);
                }
                self.filled[machine].room = before;
                self.filled[machine].seats.pop();
            }
        }
        Some(false)
    }

    /// By area: is there as much left as the rest takes?
    fn may_fit(&self, item: usize) -> bool {
        let (mut size, mut host) = (0, 0_u64);
        for &index in &self.items[item..] {
            let cell = &self.problem.cells[index];
            size += cell.takes.size();
            host = host.saturating_add(cell.host);
        }
        let (mut left, mut host_left) = (0, 0_u64);
        for one in &self.filled {
            left += u64::from(one.free()) * 100;
            left += one
                .room
                .shared
                .iter()
                .map(|slot| u64::from(slot.1))
                .sum::<u64>();
            host_left = host_left.saturating_add(one.room.host);
        }
        size <= left && host <= host_left
    }
}
