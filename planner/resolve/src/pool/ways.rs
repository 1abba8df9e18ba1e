//! The ways in which a replica of a model runs on what a place sells.
//!
//! ```text
//!   kind ─► 1? 2? 4? … alone: the fewest that hold it ─┐
//!     └───► a share of one, by vLLM? ──────────────────┴─► ways, or a Rejection
//! ```

use openmodel_schemas::catalog::AcceleratorRow;
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::report::RejectedShape;
use openmodel_schemas::spec::Objective;

use super::Place;
use super::stock::{Kind, Stock};
use crate::error::Fault;
use crate::fit::{Fit, came_closer, fit};
use crate::joint::{self, Takes, Tenant};
use crate::market::Catalog;
use crate::need::Need;
use crate::ranking::{Question, accelerator, need};
use crate::reason::{Reason, list};
use crate::show;

/// The engine that keeps to a share of a GPU's memory beside others.
const SHARES: &str = "vllm";

/// The largest share, in percent: beside a larger one there is room for nobody.
const MOST_SHARE: u64 = 90;

/// A model, with all ways in which it runs there.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) card: &'a ModelCard,
    pub(super) need: Need<'a>,
    pub(super) replicas: u32,
    pub(super) ways: Vec<Way<'a>>,
    pub(super) rejected: Vec<RejectedShape>,
    /// What is to be said where there is no kind to reject.
    why_not: Option<String>,
}

/// One way.
#[derive(Debug)]
pub(super) struct Way<'a> {
    /// The name of the kind.
    pub(super) kind: String,
    pub(super) accelerator: &'a AcceleratorRow,
    pub(super) takes: Takes,
    pub(super) fit: Fit,
    /// Host memory beside it.
    pub(super) host: Bytes,
}

impl<'a> Candidate<'a> {
    pub(super) fn of(
        card: &'a ModelCard,
        question: &'a Question,
        replicas: u32,
        place: &Place,
        stock: &Stock<'a>,
        catalog: &Catalog,
    ) -> Result<Self, Fault> {
        let allowed = question
            .accelerators
            .iter()
            .map(|name| accelerator(catalog, name))
            .collect::<Result<Vec<_>, _>>()?;
        let mut candidate = Self {
            card,
            need: need(card, question)?,
            replicas,
            ways: Vec::new(),
            rejected: Vec::new(),
            why_not: None,
        };
        for kind in &stock.kinds {
            if allowed.is_empty() || allowed.contains(&kind.accelerator.name) {
                candidate.look_at(kind, place);
            }
        }
        if candidate.ways.is_empty() && candidate.rejected.is_empty() {
            candidate.why_not = Some(format!(
                "none of its accelerators ({}) is sold there at a known price",
                list(&allowed)
            ));
        }
        Ok(candidate)
    }

    fn look_at(&mut self, kind: &Kind<'a>, place: &Place) {
        match alone(&self.need, kind) {
            Ok((count, fit)) => self.ways.push(self.way(kind, Takes::Whole(count), fit)),
            Err((count, reason)) => self.rejected.push(RejectedShape {
                surface: place.surface,
                shape: show::accelerators(&kind.shape(count)),
                hourly: None,
                code: reason.code().to_owned(),
                reason: reason.to_string(),
                needs: reason.shortfall().map(|(needs, _)| needs),
                has: reason.shortfall().map(|(_, has)| has),
            }),
        }
        if let Some((percent, fit)) = beside(&self.need, kind) {
            self.ways.push(self.way(kind, Takes::Share(percent), fit));
        }
    }

    fn way(&self, kind: &Kind<'a>, takes: Takes, fit: Fit) -> Way<'a> {
        let files = self.need.files(fit.variant);
        Way {
            kind: kind.name.clone(),
            accelerator: kind.accelerator,
            takes,
            host: fit.footprint.host.saturating_sub(files),
            fit,
        }
    }

    /// As the search knows it.
    pub(super) fn tenant(&self) -> Tenant {
        let fit = |way: &Way| joint::Fit {
            accelerator: way.kind.clone(),
            takes: way.takes,
            memory: way.host,
        };
        let rejected = |shape: &RejectedShape| format!("{}: {}", shape.shape, shape.reason);
        Tenant {
            name: self.card.id.to_string(),
            replicas: self.replicas,
            fits: self.ways.iter().map(fit).collect(),
            why_not: self
                .rejected
                .iter()
                .map(rejected)
                .chain(self.why_not.clone())
                .collect(),
        }
    }
}

/// The fewest of a kind that hold a replica alone; or the number that came closest, and why not.
fn alone(need: &Need, kind: &Kind) -> Result<(u32, Fit), (u32, Reason)> {
    let mut closest: Option<(u32, Reason)> = None;
    for count in kind.counts() {
        match fit(
            need,
            &kind.shape(count),
            kind.accelerator,
            Objective::Cost,
            true,
        ) {
            // The formats come in the order of preference.
            Ok(fits) => {
                if let Some(fit) = fits.into_iter().next() {
                    return Ok((count, fit));
                }
            }
            Err(reason) => {
                let closer = closest
                    .as_ref()
                    .is_none_or(|(_, other)| came_closer(&reason, other));
                if closer {
                    closest = Some((count, reason));
                }
            }
        }
    }
    Err(closest.unwrap_or_else(|| {
        let what = format!("models on {}", kind.name);
        let engine = "no engine here".to_owned();
        (1, Reason::EngineLacksIt { engine, what })
    }))
}

/// The smallest share of one that holds a replica, with the engine's part of it as its share.
fn beside(need: &Need, kind: &Kind) -> Option<(u32, Fit)> {
    // How fast a model is beside others is not known.
    let free = need.workload.goals.is_empty() && need.workload.requests_per_second.is_none();
    let able = need.able.iter().find(|able| able.engine.name == SHARES);
    let able = able.filter(|_| free && kind.shared())?;
    let need = Need {
        able: vec![*able],
        ..need.clone()
    };
    let fits = fit(
        &need,
        &kind.shape(1),
        kind.accelerator,
        Objective::Cost,
        true,
    )
    .ok()?;
    let (percent, inside, mut fit) = fits
        .into_iter()
        .map(|fit| {
            let footprint = &fit.footprint;
            let inside = percent(footprint.needs(), footprint.usable);
            let outside = percent(footprint.outside().0, footprint.usable);
            // What the engine leaves free when it is alone, all together leave free.
            let usual = (footprint.share * 100 + Bytes(footprint.usable.0 / 2)).0
                / footprint.usable.0.max(1);
            let share = ((inside + outside) * 100).div_ceil(usual.max(1));
            (share, inside, fit)
        })
        .min_by_key(|(percent, ..)| *percent)
        .filter(|(percent, ..)| (1..=MOST_SHARE).contains(percent))?;
    let part = u32::try_from(inside).ok()?;
    fit.footprint.utilization = f64::from(part) / 100.0;
    fit.footprint.share = Bytes(fit.footprint.usable.0 / 100 * inside);
    Some((u32::try_from(percent).ok()?, fit))
}

/// A part of a whole, rounded up.
fn percent(part: Bytes, whole: Bytes) -> u64 {
    (part * 100).0.div_ceil(whole.0.max(1))
}
