//! What is worth most within a size and a number of host steps.
//!
//! ```text
//!   item x5 ─► parts of 1, 2, 2 ─► each taken or not ─► value[size][host], and the way back
//! ```

/// A replica of a cell: its size, and its host memory in steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) cell: usize,
    pub(super) size: usize,
    pub(super) host: usize,
}

/// A bounded knapsack over size and host steps, with the way back to its items.
#[derive(Debug, Default)]
pub(super) struct Knapsack {
    width: usize,
    values: Vec<i64>,
    /// Items in binary parts: cell, size, host, how many.
    parts: Vec<(usize, usize, usize, u32)>,
    taken: Vec<bool>,
    pub(super) work: u64,
}

impl Knapsack {
    /// Fill the table. `values` and `caps` by cell.
    pub(super) fn fill(
        size: usize,
        steps: usize,
        items: &[Item],
        values: &[i64],
        caps: &[u32],
    ) -> Self {
        let width = steps + 1;
        let states = (size + 1) * width;
        let mut table = Self {
            width,
            values: vec![0; states],
            ..Self::default()
        };
        for item in items {
            let most = size.checked_div(item.size).unwrap_or(0);
            let mut left = caps[item.cell].min(u32::try_from(most).unwrap_or(u32::MAX));
            let mut part = 1;
            while left > 0 && values[item.cell] > 0 {
                let count = part.min(left);
                table.add(size, *item, count, values[item.cell]);
                left -= count;
                part *= 2;
            }
        }
        table
    }

    fn add(&mut self, size: usize, item: Item, count: u32, value: i64) {
        let times = count as usize;
        let (needs, host) = (item.size * times, item.host.saturating_mul(times));
        if host >= self.width {
            return;
        }
        let value = value.saturating_mul(count.into());
        let base = self.taken.len();
        self.taken.resize(base + self.values.len(), false);
        let back = needs * self.width + host;
        for s in (needs..=size).rev() {
            let row = s * self.width;
            for state in (row + host..row + self.width).rev() {
                let with = self.values[state - back] + value;
                if with > self.values[state] {
                    self.values[state] = with;
                    self.taken[base + state] = true;
                }
            }
        }
        self.work += ((size + 1 - needs) * (self.width - host)) as u64;
        self.parts.push((item.cell, needs, host, count));
    }

    /// The most that fits into a size and so many host steps.
    pub(super) fn value(&self, size: usize, host: usize) -> i64 {
        self.values[size * self.width + host]
    }

    /// What that is: cells with counts; a cell may come more than once.
    pub(super) fn load(&self, mut size: usize, mut host: usize, counts: &mut Vec<(usize, u32)>) {
        for (index, &(cell, needs, steps, count)) in self.parts.iter().enumerate().rev() {
            if self.taken[index * self.values.len() + size * self.width + host] {
                counts.push((cell, count));
                size -= needs;
                host -= steps;
            }
        }
    }
}
