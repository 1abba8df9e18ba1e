//! Weaker limits that would hold a load that nothing holds: which flag, and to what.
//!
//! ```text
//!   a limit ─► left out, asked again ─► the least that any offer takes ─► set, asked again ─► hint
//!   no single one helps ─► all left out ─► what the best offer takes of each ─► set, asked again
//! ```

use openmodel_resolve::market::Catalog;
use openmodel_resolve::ranking::{Question, rank};
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::quantity::Usd;
use openmodel_schemas::report::RankedShape;
use rust_decimal::prelude::ToPrimitive as _;
use rust_decimal::{Decimal, RoundingStrategy};

/// Limits that would do.
pub(super) struct Weaker {
    /// The flags, with their amounts.
    pub(super) words: String,
    /// What then fits.
    pub(super) best: RankedShape,
    /// Its cost of a month, where the limit is one of a month.
    pub(super) monthly: Option<Usd>,
}

/// A limit of the question: its flag, what it is, how it is changed, and what an offer takes of it.
struct Limit {
    flag: &'static str,
    stated: fn(&Question) -> Option<Decimal>,
    set: fn(&mut Question, Option<Decimal>),
    takes: fn(&RankedShape) -> Option<Decimal>,
}

/// The flag whose limit is in US dollars a month.
const MONTHLY: &str = "--max-monthly-cost";

const LIMITS: [Limit; 4] = [
    Limit {
        flag: "--max-hourly-cost",
        stated: |question| question.budget.max_hourly_cost,
        set: |question, most| question.budget.max_hourly_cost = most,
        takes: |shape| Some(cents((shape.cost.hourly? * shape.replicas).0)),
    },
    Limit {
        flag: MONTHLY,
        stated: |question| question.budget.max_monthly_cost,
        set: |question, most| question.budget.max_monthly_cost = most,
        takes: |shape| month(shape).map(|month| cents(month.0)),
    },
    Limit {
        flag: "--max-ttft-ms",
        stated: |question| question.workload.goals.max_ttft_ms.map(Decimal::from),
        set: |question, most| {
            question.workload.goals.max_ttft_ms = most.and_then(|most| most.to_u32());
        },
        takes: |shape| milliseconds(shape.performance.as_ref()?.ttft_ms.estimate),
    },
    Limit {
        flag: "--max-tpot-ms",
        stated: |question| question.workload.goals.max_tpot_ms.map(Decimal::from),
        set: |question, most| {
            question.workload.goals.max_tpot_ms = most.and_then(|most| most.to_u32());
        },
        takes: |shape| milliseconds(shape.performance.as_ref()?.tpot_ms.estimate),
    },
];

/// Each limit that, weakened alone, lets something fit; else all of them together.
pub(super) fn weaker(card: &ModelCard, question: &Question, catalog: &Catalog) -> Vec<Weaker> {
    let stated: Vec<&Limit> = LIMITS
        .iter()
        .filter(|limit| (limit.stated)(question).is_some())
        .collect();
    let alone = stated.iter().filter_map(|limit| {
        let least = all(card, &without(question, &[limit]), catalog)
            .iter()
            .filter_map(limit.takes)
            .min()?;
        answered(card, question, catalog, &[(limit, least)])
    });
    let alone: Vec<Weaker> = alone.collect();
    if !alone.is_empty() || stated.len() < 2 {
        return alone;
    }
    let together = || {
        let offers = all(card, &without(question, &stated), catalog);
        let best = offers.first()?;
        let amounts = stated
            .iter()
            .map(|limit| Some((*limit, (limit.takes)(best)?)));
        answered(
            card,
            question,
            catalog,
            &amounts.collect::<Option<Vec<_>>>()?,
        )
    };
    together().into_iter().collect()
}

/// The hint, once the question with these amounts has an answer.
fn answered(
    card: &ModelCard,
    question: &Question,
    catalog: &Catalog,
    amounts: &[(&Limit, Decimal)],
) -> Option<Weaker> {
    let mut changed = question.clone();
    let mut words = Vec::new();
    let mut of_a_month = false;
    for (limit, amount) in amounts {
        // A limit that the offer keeps stays as it was typed.
        if (limit.stated)(question).is_some_and(|stated| *amount > stated) {
            (limit.set)(&mut changed, Some(*amount));
            words.push(format!("{} {amount}", limit.flag));
            of_a_month |= limit.flag == MONTHLY;
        }
    }
    let best = rank(card, &changed, catalog, 1).ok()?.chosen?;
    let monthly = if of_a_month { month(&best) } else { None };
    Some(Weaker {
        words: words.join(" and "),
        best,
        monthly,
    })
}

fn without(question: &Question, limits: &[&Limit]) -> Question {
    let mut changed = question.clone();
    for limit in limits {
        (limit.set)(&mut changed, None);
    }
    changed
}

/// Every offer that holds it, the best first.
fn all(card: &ModelCard, question: &Question, catalog: &Catalog) -> Vec<RankedShape> {
    rank(card, question, catalog, usize::MAX).map_or_else(
        |_| Vec::new(),
        |ranking| {
            ranking
                .chosen
                .into_iter()
                .chain(ranking.runners_up)
                .collect()
        },
    )
}

/// What a month costs at most: a limit holds for that.
fn month(shape: &RankedShape) -> Option<Usd> {
    let (expected, most) = (shape.cost.monthly_expected?, shape.cost.monthly_max?);
    Some(if expected.0 > most.0 { expected } else { most })
}

/// Up to whole cents, and shown with both.
fn cents(amount: Decimal) -> Decimal {
    let mut amount = amount.round_dp_with_strategy(2, RoundingStrategy::ToPositiveInfinity);
    amount.rescale(2);
    amount
}

/// Up to whole milliseconds, as the flags are.
fn milliseconds(estimate: f64) -> Option<Decimal> {
    Some(Decimal::try_from(estimate).ok()?.ceil())
}
