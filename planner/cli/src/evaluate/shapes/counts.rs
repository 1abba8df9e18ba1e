//! How many verdicts agree with what is documented.

use serde_json::{Value, json};

use super::{Answer, Row};

/// How verdicts agree with what is documented, over rows of high or medium confidence.
#[derive(Debug, Default)]
pub(super) struct Counts {
    working: (u32, u32),
    failing: (u32, u32),
    dearer: u32,
    compared: u32,
    unknown: u32,
}

impl Counts {
    pub(super) fn add(&mut self, row: &Row, answer: &Answer) {
        if row.text("confidence") == "low" {
            return;
        }
        let Some(feasible) = answer.feasible else {
            self.unknown += 1;
            return;
        };
        let fits = row.text("fits");
        if fits.starts_with("yes") || fits == "tight" {
            self.working.1 += 1;
            self.working.0 += u32::from(feasible);
        } else if fits == "no" {
            self.failing.1 += 1;
            self.failing.0 += u32::from(!feasible);
        }
        if let (Some(documented), Some(chosen), true) =
            (answer.documented, &answer.chosen, feasible)
        {
            self.compared += 1;
            self.dearer += u32::from(chosen.hourly > documented);
        }
    }

    pub(super) fn summary(&self) -> Value {
        json!({ "summary": {
            "working_that_are_feasible": { "rows": self.working.1, "right": self.working.0 },
            "failing_that_are_rejected": { "rows": self.failing.1, "right": self.failing.0 },
            "choices_compared": self.compared,
            "choices_that_cost_more": self.dearer,
            "rows_without_an_answer": self.unknown,
        }})
    }
}
