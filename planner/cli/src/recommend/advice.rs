//! What would hold a load that nothing holds: each a question that was changed and asked again.

use openmodel_resolve::market::Catalog;
use openmodel_resolve::ranking::{Question, rank};
use openmodel_schemas::catalog::PurchaseOption;
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::quantity::Tokens;
use openmodel_schemas::report::RankedShape;
use openmodel_schemas::spec::Quantization;

use super::chosen::line;
use super::figures::{hourly, monthly};
use super::limits::weaker;
use crate::page::{FAINT, NAME, PLAIN, Text};

/// Changes that help, one line each, the smallest first.
pub(super) fn advice(card: &ModelCard, question: &Question, catalog: &Catalog) -> Vec<Text> {
    let best = |changed: &Question| rank(card, changed, catalog, 1).ok()?.chosen;
    let found = changes(question)
        .into_iter()
        .filter_map(|(words, changed)| Some((words, best(&changed)?)));
    let hourly_price = |best: &RankedShape| {
        best.cost.hourly.map_or_else(
            || "for an unknown price".to_owned(),
            |usd| format!("for {} an hour", hourly(usd)),
        )
    };
    let found = found.chain(less(question, &best)).map(|(words, best)| {
        let price = hourly_price(&best);
        (words, best, price)
    });
    let weaker = weaker(card, question, catalog).into_iter().map(|weaker| {
        let price = weaker.monthly.map_or_else(
            || hourly_price(&weaker.best),
            |usd| format!("for {} a month", monthly(usd)),
        );
        (weaker.words, weaker.best, price)
    });
    let lines = found.chain(weaker).map(|(words, best, price)| {
        Text::new(FAINT, "With ")
            .and(NAME, words)
            .and(FAINT, " it fits ")
            .and(PLAIN, line(&best))
            .and(FAINT, format!(", {price}."))
    });
    lines.collect()
}

/// What is asked, but for one thing.
fn changes(question: &Question) -> Vec<(String, Question)> {
    let mut all = Vec::new();
    let mut change = |when: bool, words: &str, with: &dyn Fn(&mut Question)| {
        if when {
            let mut changed = question.clone();
            with(&mut changed);
            all.push((words.to_owned(), changed));
        }
    };
    let fp8 = Some(Quantization::Fp8);
    change(
        !question.quantizations.contains(&fp8),
        "--quantization fp8",
        &|changed| changed.quantizations = vec![fp8],
    );
    change(
        question.options.is_empty() || question.options == [PurchaseOption::OnDemand],
        "--option spot",
        &|changed| changed.options = vec![PurchaseOption::Spot],
    );
    change(question.engine.is_some(), "another --engine", &|changed| {
        changed.engine = None;
    });
    change(question.draft.is_some(), "no --draft-model", &|changed| {
        changed.draft = None;
        changed.workload.draft_model = None;
        changed.workload.draft_tokens = None;
    });
    change(
        !question.accelerators.is_empty(),
        "another --accelerator",
        &|changed| changed.accelerators.clear(),
    );
    change(
        !question.regions.is_empty(),
        "another --region",
        &|changed| {
            changed.regions.clear();
        },
    );
    change(
        !question.surfaces.is_empty(),
        "another --surface",
        &|changed| {
            changed.surfaces.clear();
        },
    );
    all
}

/// The largest halves of the load that fit: shorter sequences, then fewer at once.
fn less(
    question: &Question,
    best: &dyn Fn(&Question) -> Option<RankedShape>,
) -> Vec<(String, RankedShape)> {
    let load = &question.workload;
    let typical = load.input_tokens.0.saturating_add(load.output_tokens.0);
    let shorter = halves(load.context_length.0)
        .take_while(|context| *context >= typical)
        .find_map(|context| {
            let mut changed = question.clone();
            changed.workload.context_length = Tokens(context);
            Some((format!("--context {context}"), best(&changed)?))
        });
    let fewer = halves(load.max_concurrency.into()).find_map(|sequences| {
        let mut changed = question.clone();
        changed.workload.max_concurrency = u32::try_from(sequences).ok()?;
        Some((format!("--concurrency {sequences}"), best(&changed)?))
    });
    shorter.into_iter().chain(fewer).collect()
}

/// `number / 2`, `number / 4`, … down to 1.
pub(super) fn halves(number: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(number / 2), |number| Some(number / 2))
        .take_while(|number| *number > 0)
}
