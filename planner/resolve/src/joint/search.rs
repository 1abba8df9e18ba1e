//! Branch and bound over two sets of counts: machines bought, replicas by fit.
//!
//! ```text
//!   node = a range for each count ─► bound ≥ best mix? ──yes──► done with it
//!     ▲                                   │ no
//!     └── split a range ◄── a count is a fraction, or the counts do not pack
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::greedy::Draft;
use super::pricing::{Groups, Load, Part};
use super::problem::{Cell, Class, Kept, Problem};
use super::relax::{CLOSE, Left, Relaxed, to_float, whole};
use super::room::{Filled, Packed, pack};

/// What the search ends with.
#[derive(Debug)]
pub(super) enum Found {
    /// The cheapest mix seen, and what none is below.
    Mix { filled: Vec<Filled>, bound: i64 },
    /// There is none.
    None,
    /// The work ran out before one was found.
    Undecided,
}

/// Look for the cheapest mix.
pub(super) fn search(problem: &Problem, work: u64) -> Found {
    Search::new(problem, work).found()
}

/// The same without help from greed, so that tests see the search itself.
#[cfg(test)]
pub(super) fn search_alone(problem: &Problem, work: u64) -> Found {
    let mut search = Search::new(problem, work);
    search.greedy = false;
    search.found()
}

/// Ranges of the counts, both ends in.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) machines: Vec<(u32, u32)>,
    pub(super) cells: Vec<(u32, u32)>,
    /// Upper ends that the master must be told; it keeps the others by itself.
    pub(super) told: Vec<bool>,
    pub(super) bound: i64,
}

/// The state of a search.
pub(super) struct Search<'a> {
    pub(super) problem: &'a Problem,
    pub(super) groups: Groups,
    /// Loads known so far.
    pub(super) loads: Vec<(usize, Load)>,
    known: BTreeSet<(usize, Load)>,
    /// Values are in fractions of a price: so many make 1.
    pub(super) scale: i64,
    /// The dearest machine: 1.0 to the master.
    pub(super) dearest: f64,
    best: Option<Vec<Filled>>,
    /// The cost of the best mix; more than any costs, before there is one.
    pub(super) upper: i64,
    /// Whether greedy mixes are made.
    greedy: bool,
    visits: u32,
    pub(super) work: u64,
}

impl<'a> Search<'a> {
    fn new(problem: &'a Problem, work: u64) -> Self {
        let dearest = problem.machines.iter().map(|one| one.price).max();
        let dearest = dearest.unwrap_or(1).max(1);
        let replicas: u32 = problem.classes.iter().map(|class| class.replicas).sum();
        Self {
            problem,
            groups: Groups::all(problem),
            loads: Vec::new(),
            known: BTreeSet::new(),
            scale: (1_000_000_000_000 / dearest).max(1),
            dearest: to_float(dearest),
            best: None,
            upper: dearest
                .saturating_mul(i64::from(replicas))
                .saturating_add(1),
            greedy: true,
            visits: 0,
            work,
        }
    }

    fn found(mut self) -> Found {
        let bound = self.run();
        match self.best {
            Some(filled) => Found::Mix {
                filled,
                bound: bound.min(self.upper),
            },
            None if bound >= self.upper => Found::None,
            None => Found::Undecided,
        }
    }

    /// The bound that holds at the end: of the nodes that were not looked at.
    fn run(&mut self) -> i64 {
        let replicas = |cell: &Cell| (0, self.problem.classes[cell.class].replicas);
        let root = Node {
            machines: self
                .problem
                .machines
                .iter()
                .map(|one| (0, one.limit))
                .collect(),
            cells: self.problem.cells.iter().map(replicas).collect(),
            told: self
                .problem
                .machines
                .iter()
                .map(|one| one.limit < self.useful(one.kind))
                .collect(),
            bound: 0,
        };
        let start = self.first_values();
        self.draft(&start, &[], &[]);
        let mut nodes = vec![root];
        let mut open = BinaryHeap::from([Reverse((0, Reverse(0)))]);
        let mut unproven = i64::MAX;
        while let Some(Reverse((bound, Reverse(index)))) = open.pop() {
            if bound >= self.upper {
                break;
            }
            let Some(children) = self.visit(&mut nodes[index], &mut unproven) else {
                // Out of work: what is open stays unproven.
                let next = open.peek().map_or(i64::MAX, |Reverse((bound, _))| *bound);
                return nodes[index].bound.min(next).min(unproven);
            };
            for child in children {
                open.push(Reverse((child.bound, Reverse(nodes.len()))));
                nodes.push(child);
            }
            let done = &mut nodes[index];
            (done.machines, done.cells, done.told) = Default::default();
        }
        self.upper.min(unproven)
    }

    /// Replicas that can sit on a kind.
    fn useful(&self, kind: usize) -> u32 {
        let can = |class: &&Class| {
            let mut cells = class.cells.iter();
            cells.any(|&cell| self.problem.cells[cell].kind == kind)
        };
        let classes = self.problem.classes.iter().filter(can);
        classes.map(|class| class.replicas).sum()
    }

    /// To begin with, a replica is worth its part of the cheapest machine.
    fn first_values(&self) -> Vec<i64> {
        let mut values = vec![0; self.problem.cells.len()];
        for class in &self.problem.classes {
            let parts = class.cells.iter().flat_map(|&index| {
                let cell = &self.problem.cells[index];
                let size = i64::try_from(cell.takes.size()).unwrap_or(i64::MAX);
                let holds = move |one: &&Kept| {
                    let wide = one.units >= cell.takes.units();
                    one.kind == cell.kind && wide && one.host >= cell.host
                };
                let part = move |one: &Kept| {
                    one.price.saturating_mul(self.scale) / 100 / i64::from(one.units) * size
                };
                self.problem.machines.iter().filter(holds).map(part)
            });
            let value = parts.min().unwrap_or(0);
            for &cell in &class.cells {
                values[cell] = value;
            }
        }
        values
    }

    /// Make a mix of loads and what greed adds; keep it if it is the best.
    fn draft(&mut self, values: &[i64], sure: &[(usize, u32)], likely: &[usize]) {
        if !self.greedy {
            return;
        }
        let mut draft = Draft::new(self.problem);
        for &(load, count) in sure {
            let (machine, load) = &self.loads[load];
            for _ in 0..count {
                draft.buy(self.problem, *machine, load);
            }
        }
        for &load in likely {
            let (machine, load) = &self.loads[load];
            if draft.wants(self.problem, load) {
                draft.buy(self.problem, *machine, load);
            }
        }
        if draft.finish(self.problem, &self.groups, values, &mut self.work) {
            let cost = draft.cost(self.problem);
            for one in &draft.filled {
                let mut load = Load::new();
                let mut cells: Vec<usize> = one.seats.iter().map(|seat| seat.0).collect();
                cells.sort_unstable();
                for same in cells.chunk_by(|a, b| a == b) {
                    let count = u32::try_from(same.len()).unwrap_or(u32::MAX);
                    load.push(Part {
                        cell: same[0],
                        count,
                        at_once: count,
                    });
                }
                self.learn(one.machine, load);
            }
            self.offer(draft.filled, cost);
        }
    }

    fn offer(&mut self, filled: Vec<Filled>, cost: i64) {
        if cost < self.upper {
            self.upper = cost;
            self.best = Some(filled);
        }
    }

    /// Keep a load; false if it is known.
    pub(super) fn learn(&mut self, machine: usize, load: Load) -> bool {
        let new = self.known.insert((machine, load.clone()));
        if new {
            self.loads.push((machine, load));
        }
        new
    }

    /// Bound a node; give what is left of it as smaller nodes. `None`: out of work.
    fn visit(&mut self, node: &mut Node, unproven: &mut i64) -> Option<Vec<Node>> {
        let relaxed = match self.relax(node)? {
            Left::Nothing => return Some(Vec::new()),
            Left::Some(relaxed) => relaxed,
        };
        // A mix is worth the work at the beginning, and now and then.
        self.visits += 1;
        if self.visits <= 10 || self.visits.is_multiple_of(8) {
            self.draft(&relaxed.values, &relaxed.sure, &relaxed.likely);
            self.draft(&relaxed.values, &relaxed.sure, &[]);
            self.draft(&relaxed.values, &[], &[]);
        }
        if node.bound >= self.upper {
            return Some(Vec::new());
        }
        if let Some(children) = self.halves(node, &relaxed) {
            return Some(children);
        }
        Some(self.packed(node, &relaxed, unproven))
    }

    /// Split at the count furthest from a whole number; machines first.
    fn halves(&self, node: &Node, relaxed: &Relaxed) -> Option<Vec<Node>> {
        let far = |value: f64| (value - value.round()).abs();
        let (mut pick, mut most) = (None, 0.0);
        for (index, &value) in relaxed.machines.iter().enumerate() {
            let weight = far(value) * to_float(self.problem.machines[index].price);
            let (low, high) = node.machines[index];
            let below = whole(value.floor());
            if far(value) > CLOSE
                && low <= below
                && below < high
                && (pick.is_none() || weight > most)
            {
                (pick, most) = (Some((index, below)), weight);
            }
        }
        if let Some((index, below)) = pick {
            return Some(split_machine(node, index, below));
        }
        most = CLOSE;
        for (index, &value) in relaxed.cells.iter().enumerate() {
            let (low, high) = node.cells[index];
            let below = whole(value.floor());
            if far(value) > most && low <= below && below < high {
                (pick, most) = (Some((index, below)), far(value));
            }
        }
        pick.map(|(index, below)| split_cell(node, index, below))
    }

    /// The counts are whole. If they pack, only cheaper counts are left; if not, those with a
    /// machine more or a replica less on the kind that does not pack.
    fn packed(&mut self, node: &Node, relaxed: &Relaxed, unproven: &mut i64) -> Vec<Node> {
        let problem = self.problem;
        let counts = |values: &[f64], ranges: &[(u32, u32)]| -> Vec<u32> {
            let pairs = values.iter().zip(ranges);
            pairs
                .map(|(value, &(low, high))| whole(value.round()).clamp(low, high))
                .collect()
        };
        let machines = counts(&relaxed.machines, &node.machines);
        let mut cells = counts(&relaxed.cells, &node.cells);
        for class in &problem.classes {
            // The master may seat some twice, or none at a penalty.
            let mut seats: u32 = class.cells.iter().map(|&cell| cells[cell]).sum();
            for &cell in class.cells.iter().rev() {
                let (low, high) = node.cells[cell];
                let extra = seats.saturating_sub(class.replicas).min(cells[cell] - low);
                let missing = class.replicas.saturating_sub(seats).min(high - cells[cell]);
                cells[cell] = cells[cell] - extra + missing;
                seats = seats - extra + missing;
            }
        }
        let mut filled = Vec::new();
        for kind in 0..problem.kinds {
            let bought: Vec<usize> = (0..machines.len())
                .filter(|&index| problem.machines[index].kind == kind)
                .flat_map(|index| std::iter::repeat_n(index, machines[index] as usize))
                .collect();
            let counts: Vec<(usize, u32)> = (0..cells.len())
                .filter(|&cell| problem.cells[cell].kind == kind && cells[cell] > 0)
                .map(|cell| (cell, cells[cell]))
                .collect();
            let allowed = self.work / 10;
            let mut left = allowed;
            let packed = pack(problem, &bought, &counts, &mut left);
            self.work -= allowed - left;
            match packed {
                Packed::Yes(some) => filled.extend(some),
                Packed::No => return repack(problem, node, &machines, &cells, kind),
                Packed::Unknown => {
                    *unproven = node.bound.min(*unproven);
                    return repack(problem, node, &machines, &cells, kind);
                }
            }
        }
        filled.retain(|one| !one.seats.is_empty());
        let price = |one: &Filled| problem.machines[one.machine].price;
        let cost = filled.iter().map(price).sum();
        self.offer(filled, cost);
        cheaper(node, &machines)
    }
}

impl Node {
    fn at_most(&mut self, machine: usize, count: u32) {
        self.machines[machine].1 = count;
        self.told[machine] = true;
    }
}

fn split_machine(node: &Node, index: usize, below: u32) -> Vec<Node> {
    let (mut less, mut more) = (node.clone(), node.clone());
    less.at_most(index, below);
    more.machines[index].0 = below.saturating_add(1);
    vec![less, more]
}

fn split_cell(node: &Node, index: usize, below: u32) -> Vec<Node> {
    let (mut less, mut more) = (node.clone(), node.clone());
    less.cells[index].1 = below;
    more.cells[index].0 = below.saturating_add(1);
    vec![less, more]
}

/// All with fewer of some machine: the others are no cheaper. Without overlap.
fn cheaper(node: &Node, machines: &[u32]) -> Vec<Node> {
    let mut children = Vec::new();
    let mut rest = node.clone();
    for (index, &count) in machines.iter().enumerate() {
        if count > rest.machines[index].0 {
            let mut child = rest.clone();
            child.at_most(index, count - 1);
            children.push(child);
            rest.machines[index].0 = count;
        }
    }
    children
}

/// All with a machine more or a replica less on a kind: the others do not pack. Without overlap.
fn repack(
    problem: &Problem,
    node: &Node,
    machines: &[u32],
    cells: &[u32],
    kind: usize,
) -> Vec<Node> {
    let mut children = Vec::new();
    let mut rest = node.clone();
    for (index, &count) in machines.iter().enumerate() {
        if problem.machines[index].kind == kind && count < rest.machines[index].1 {
            let mut child = rest.clone();
            child.machines[index].0 = count + 1;
            children.push(child);
            rest.at_most(index, count);
        }
    }
    for (index, &count) in cells.iter().enumerate() {
        if problem.cells[index].kind == kind && count > rest.cells[index].0 {
            let mut child = rest.clone();
            child.cells[index].1 = count - 1;
            children.push(child);
            rest.cells[index].0 = count;
        }
    }
    children
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::{Fit, Machine, Takes, Tenant};

    /// Two machines and two cells on the first kind, one of each on the second.
    fn problem() -> Problem {
        let fit = |accelerator: &str, percent| Fit {
            accelerator: accelerator.to_owned(),
            takes: Takes::Share(percent),
            memory: openmodel_schemas::quantity::Bytes::gib(1),
        };
        let tenant = |name: &str, fits| Tenant {
            name: name.to_owned(),
            replicas: 2,
            fits,
            why_not: Vec::new(),
        };
        let machine = |name: &str, accelerator: &str, accelerators| Machine {
            name: name.to_owned(),
            accelerator: accelerator.to_owned(),
            accelerators,
            memory: openmodel_schemas::quantity::Bytes::gib(64),
            hourly: accelerators.into(),
            limit: None,
        };
        let tenants = [
            tenant("x", vec![fit("a", 30), fit("b", 40)]),
            tenant("y", vec![fit("a", 50)]),
        ];
        let machines = [
            machine("a1", "a", 1),
            machine("a2", "a", 2),
            machine("b1", "b", 1),
        ];
        Problem::of(&tenants.each_ref(), &machines).expect("a problem")
    }

    /// The points of three ranges of 0, 1, 2, twice.
    fn points() -> impl Iterator<Item = [u32; 6]> {
        (0..729).map(|number| [1, 3, 9, 27, 81, 243].map(|place| number / place % 3))
    }

    fn holders(children: &[Node], point: [u32; 6]) -> usize {
        let holds = |child: &&Node| {
            let ranges = child.machines.iter().chain(&child.cells);
            ranges
                .zip(point)
                .all(|(range, at)| (range.0..=range.1).contains(&at))
        };
        children.iter().filter(holds).count()
    }

    fn node() -> Node {
        Node {
            machines: vec![(0, 2); 3],
            cells: vec![(0, 2); 3],
            told: vec![false; 3],
            bound: 0,
        }
    }

    #[test]
    fn what_does_not_pack_leaves_all_but_less_room_for_more() {
        let problem = problem();
        let kinds: Vec<usize> = problem.machines.iter().map(|one| one.kind).collect();
        assert_eq!(kinds, [0, 1, 0], "by price and name: a1, b1, a2");
        let kinds: Vec<usize> = problem.cells.iter().map(|cell| cell.kind).collect();
        assert_eq!(kinds, [0, 1, 0], "x on a, x on b, y on a");
        let children = repack(&problem, &node(), &[1, 1, 0], &[1, 1, 2], 0);
        for point in points() {
            let [a1, _, a2, xa, _, ya] = point;
            let worse = a1 <= 1 && a2 == 0 && xa >= 1 && ya >= 2;
            assert_eq!(holders(&children, point), usize::from(!worse), "{point:?}");
        }
    }

    #[test]
    fn what_packs_leaves_all_but_as_many_machines() {
        let children = cheaper(&node(), &[1, 0, 2]);
        for point in points() {
            let no_cheaper = point[0] >= 1 && point[2] >= 2;
            assert_eq!(
                holders(&children, point),
                usize::from(!no_cheaper),
                "{point:?}"
            );
        }
    }
}
