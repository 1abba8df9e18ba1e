//! The linear programme over the loads known so far: a revised simplex method in floats.
//!
//! ```text
//!   minimise cost · x    subject to    row · x ≥ or ≤ right side,    x ≥ 0
//! ```
//!
//! What comes out is advice: duals to bound with, sums to split at. Nothing is believed.

const SMALL: f64 = 1e-9;

/// A column: its cost and its entries by row.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) cost: f64,
    pub(super) entries: Vec<(usize, f64)>,
}

/// Which side of a row is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    AtLeast,
    AtMost,
}

#[derive(Debug)]
pub(super) struct Master {
    rows: Vec<(Sense, f64)>,
    /// The price of a row that is not met, for each unit.
    penalty: f64,
    pub(super) columns: Vec<Column>,
    basis: Vec<Variable>,
    inverse: Vec<f64>,
    amounts: Vec<f64>,
    pub(super) work: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    Column(usize),
    Slack(usize),
    Missing(usize),
}

impl Master {
    /// A programme without columns; no right side is negative.
    pub(super) fn new(rows: Vec<(Sense, f64)>, penalty: f64) -> Self {
        let count = rows.len();
        let mut inverse = vec![0.0; count * count];
        let mut basis = Vec::with_capacity(count);
        for (row, &(sense, _)) in rows.iter().enumerate() {
            inverse[row * count + row] = 1.0;
            basis.push(match sense {
                Sense::AtLeast => Variable::Missing(row),
                Sense::AtMost => Variable::Slack(row),
            });
        }
        Self {
            amounts: rows.iter().map(|row| row.1).collect(),
            rows,
            penalty,
            columns: Vec::new(),
            basis,
            inverse,
            work: 0,
        }
    }

    /// Go on from the last solution to the best one; the duals by row, and the cost.
    pub(super) fn solve(&mut self) -> (Vec<f64>, f64) {
        let mut duals = self.duals();
        // More steps than any programme of this size takes, unless it goes in circles.
        for step in 0..2_000 {
            let Some(entering) = self.entering(&duals, step > 500) else {
                break;
            };
            if !self.pivot(entering) {
                break;
            }
            duals = self.duals();
        }
        let costs = self.basis.iter().zip(&self.amounts);
        let cost = costs.map(|(&one, amount)| self.cost(one) * amount).sum();
        (duals, cost)
    }

    /// How much of each column is in the solution.
    pub(super) fn amounts(&self) -> Vec<f64> {
        let mut amounts = vec![0.0; self.columns.len()];
        for (one, amount) in self.basis.iter().zip(&self.amounts) {
            if let Variable::Column(index) = *one {
                amounts[index] = *amount;
            }
        }
        amounts
    }

    fn cost(&self, one: Variable) -> f64 {
        match one {
            Variable::Column(index) => self.columns[index].cost,
            Variable::Slack(_) => 0.0,
            Variable::Missing(_) => self.penalty,
        }
    }

    fn duals(&mut self) -> Vec<f64> {
        let count = self.rows.len();
        let mut duals = vec![0.0; count];
        for (row, &one) in self.basis.iter().enumerate() {
            let cost = self.cost(one);
            if cost != 0.0 {
                let line = &self.inverse[row * count..(row + 1) * count];
                for (dual, value) in duals.iter_mut().zip(line) {
                    *dual += cost * value;
                }
            }
        }
        self.work += (count * count) as u64 / 4;
        duals
    }

    /// The variable that lowers the cost fastest; or, against circles, the first that lowers it.
    fn entering(&mut self, duals: &[f64], first: bool) -> Option<Variable> {
        let mut best = (-1e-7, None);
        for (index, column) in self.columns.iter().enumerate() {
            let worth: f64 = column
                .entries
                .iter()
                .map(|&(row, value)| duals[row] * value)
                .sum();
            let reduced = column.cost - worth;
            if reduced < best.0 {
                best = (reduced, Some(Variable::Column(index)));
                if first {
                    break;
                }
            }
        }
        self.work += self.columns.len() as u64 * 4;
        if first && best.1.is_some() {
            return best.1;
        }
        for (row, &(sense, _)) in self.rows.iter().enumerate() {
            let reduced = match sense {
                Sense::AtLeast => duals[row],
                Sense::AtMost => -duals[row],
            };
            if reduced < best.0 {
                best = (reduced, Some(Variable::Slack(row)));
            }
        }
        best.1
    }

    fn pivot(&mut self, entering: Variable) -> bool {
        let count = self.rows.len();
        let mut direction = vec![0.0; count];
        let entries = match entering {
            Variable::Column(index) => self.columns[index].entries.clone(),
            Variable::Slack(row) if self.rows[row].0 == Sense::AtLeast => vec![(row, -1.0)],
            Variable::Slack(row) | Variable::Missing(row) => vec![(row, 1.0)],
        };
        for (line, value) in direction.iter_mut().enumerate() {
            let inverse = &self.inverse[line * count..(line + 1) * count];
            *value = entries
                .iter()
                .map(|&(row, entry)| inverse[row] * entry)
                .sum();
        }
        let mut leaving: Option<(f64, usize)> = None;
        for (line, &value) in direction.iter().enumerate() {
            if value > SMALL {
                let ratio = self.amounts[line].max(0.0) / value;
                let better = leaving.is_none_or(|(best, other)| {
                    ratio < best - SMALL || (ratio < best + SMALL && value > direction[other])
                });
                if better {
                    leaving = Some((ratio, line));
                }
            }
        }
        let Some((ratio, line)) = leaving else {
            return false;
        };
        let pivot = direction[line];
        let (start, end) = (line * count, (line + 1) * count);
        for value in &mut self.inverse[start..end] {
            *value /= pivot;
        }
        let pivots: Vec<f64> = self.inverse[start..end].to_vec();
        for (other, &factor) in direction.iter().enumerate() {
            if other != line && factor != 0.0 {
                let target = &mut self.inverse[other * count..(other + 1) * count];
                for (value, by) in target.iter_mut().zip(&pivots) {
                    *value -= factor * by;
                }
                self.amounts[other] = (self.amounts[other] - factor * ratio).max(0.0);
            }
        }
        self.amounts[line] = ratio;
        self.basis[line] = entering;
        self.work += (count * count) as u64;
        true
    }
}
