//! The answer as a page: the model, the load, what holds it, the first in full, and the rest.

use std::fmt::Write as _;

use openmodel_resolve::market::Catalog;
use openmodel_resolve::memory::{MemoryQuery, memory_of};
use openmodel_resolve::ranking::Question;
use openmodel_schemas::catalog::AcceleratorKind;
use openmodel_schemas::model_card::{ModelCard, ModelKind};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::report::Ranking;
use openmodel_schemas::spec::{Objective, Workload};

use super::arguments::Recommend;
use super::figures::whole;
use super::groups::{Group, Refusals, groups, refusals};
use super::rows::{mark, rows, weights};
use super::{advice, chosen};
use crate::page::{FAINT, NAME, PLAIN, Page, STRONG, Text, WARN};

/// What was asked, and the answer.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) asked: &'a Recommend,
    pub(super) card: &'a ModelCard,
    pub(super) question: &'a Question,
    pub(super) catalog: &'a Catalog,
    pub(super) ranking: &'a Ranking,
}

impl Answer<'_> {
    /// The page, `width` columns wide.
    pub(super) fn page(&self, width: usize) -> String {
        let mut page = Page::new(width);
        self.heading(&mut page);
        page.gap();
        if let Some(best) = &self.ranking.chosen {
            self.choices(&mut page);
            page.gap();
            let load = &self.question.workload;
            chosen::section(&mut page, best, self.ranking, load, self.images());
        } else {
            page.entry("Chosen", &Text::new(WARN, &self.ranking.reason));
            for help in advice::advice(self.card, self.question, self.catalog) {
                page.entry("", &help);
            }
        }
        let refusals = refusals(self.ranking);
        if !refusals.is_empty() {
            page.gap();
            self.rejected(&mut page, &refusals);
        }
        page.finish()
    }

    fn heading(&self, page: &mut Page) {
        page.entry("Model", &self.model());
        if let Some(draft) = self.draft() {
            page.entry("Draft", &draft);
        }
        if let Some(cache) = self.cache() {
            page.entry("KV cache", &Text::plain(cache));
        }
        page.entry(
            "Load",
            &load(&self.question.workload, self.asked, self.images()),
        );
        if let Some(limits) = self.limits() {
            page.entry("Limits", &limits);
        }
        page.entry(
            "Ranked by",
            &Text::plain(
                if self.catalog.has_discounts() && self.question.objective == Objective::Cost {
                    "what a month adds to the bill, by your terms"
                } else {
                    objective(self.question.objective)
                },
            )
            .and(
                FAINT,
                format!(
                    " · catalog of {}, list prices in {}",
                    self.ranking.catalog_date, self.ranking.currency
                ),
            ),
        );
    }

    fn model(&self) -> Text {
        let mut facts = Vec::new();
        if let Some(parameters) = self.card.parameters {
            facts.push(format!("{parameters} parameters"));
        }
        if let Some(memory) = self.on_one_device() {
            let format = self.ranking.chosen.as_ref().map(weights);
            facts.push(match format {
                Some(format) => format!("{} as {format}", memory.weights),
                None => format!("{} of weights", memory.weights),
            });
        }
        let longest = self
            .card
            .config
            .as_ref()
            .and_then(|config| config.max_positions);
        if let Some(longest) = longest {
            facts.push(format!("up to {} tokens", whole(longest)));
        }
        if let Some(licence) = &self.card.licence {
            facts.push(licence.clone());
        }
        let mut text = Text::new(STRONG, &self.card.id);
        for fact in facts {
            text = text.and(FAINT, " · ").and(PLAIN, fact);
        }
        text
    }

    /// The model that drafts.
    fn draft(&self) -> Option<Text> {
        let draft = self.question.draft.as_ref()?;
        let parameters = draft.parameters;
        let parameters = parameters.map(|parameters| format!("{parameters} parameters"));
        let files = draft.weights.as_ref();
        let files = files.map(|files| format!("{} of files", files.bytes));
        let mut text = Text::plain(&draft.id);
        for fact in [parameters, files, draft.licence.clone()]
            .into_iter()
            .flatten()
        {
            text = text.and(FAINT, " · ").and(PLAIN, fact);
        }
        Some(text.and(
            FAINT,
            "; counted in the memory, not in the speed: what it gains is not known",
        ))
    }

    /// Weights and cache, whatever the machine; those of the model alone.
    fn on_one_device(&self) -> Option<openmodel_resolve::memory::MemoryAnswer> {
        let best = self.ranking.chosen.as_ref();
        let query = MemoryQuery {
            quantization: best
                .and_then(|best| best.quantization.as_deref())
                .and_then(|word| word.parse().ok()),
            context_length: Some(self.question.workload.context_length),
            kv_bits: self.question.kv_bits,
            draft_tokens: self
                .question
                .workload
                .draft_tokens
                .filter(|_| self.question.draft.is_none()),
            ..MemoryQuery::on(AcceleratorKind::Gpu, Bytes::gib(1024))
        };
        memory_of(self.card, &query).ok()
    }

    fn images(&self) -> bool {
        makes_images(self.card)
    }

    fn cache(&self) -> Option<String> {
        let kind = self.card.config.as_ref().map(|config| config.kind);
        let chosen = self.ranking.chosen.as_ref();
        let cacheless = chosen.is_some_and(|best| best.memory.kv_capacity.0 == 0);
        if kind != Some(ModelKind::Decoder) || cacheless {
            return None;
        }
        let memory = self.on_one_device()?;
        let context = whole(self.question.workload.context_length.0);
        let (least, most) = memory.sequence;
        let sequence = if least == most {
            most.to_string()
        } else {
            format!("{least} to {most}")
        };
        let mut text = format!(
            "{} a token, {sequence} for a sequence of {context} tokens",
            memory.kv_per_token
        );
        if memory.state_per_sequence > Bytes(0) {
            let _ = write!(text, ", {} of state in it", memory.state_per_sequence);
        }
        Some(text)
    }

    /// What it must keep to, and whether that could be checked.
    fn limits(&self) -> Option<Text> {
        let (goals, budget) = (self.question.workload.goals, &self.question.budget);
        let speed = [
            goals.max_ttft_ms.map(|ms| format!("TTFT at most {ms} ms")),
            goals.max_tpot_ms.map(|ms| format!("TPOT at most {ms} ms")),
        ];
        let money = [
            budget
                .max_hourly_cost
                .map(|usd| format!("at most ${usd} an hour")),
            budget
                .max_monthly_cost
                .map(|usd| format!("at most ${usd} a month")),
        ];
        let all: Vec<String> = speed.into_iter().chain(money).flatten().collect();
        let text = Text::plain(all.join(" · "));
        let best = self.ranking.chosen.as_ref();
        let unchecked = best.is_some_and(|best| best.performance.is_none())
            && (!goals.is_empty() || self.question.workload.requests_per_second.is_some());
        if unchecked {
            let before = if all.is_empty() { "" } else { " · " };
            let words = "no speed of this model is known: goals and replicas are not checked";
            return Some(text.and(FAINT, before).and(WARN, words));
        }
        (!all.is_empty()).then_some(text)
    }

    fn choices(&self, page: &mut Page) {
        let each = self.asked.all || self.asked.region.len() > 1;
        let groups = groups(self.ranking, each);
        let limit = if self.asked.all {
            usize::MAX
        } else {
            self.asked.most()
        };
        let shown: Vec<&Group> = groups.iter().take(limit).collect();
        let by_token = self.question.objective == Objective::CostPerToken;
        let (table, footnotes) = rows(&shown, by_token, page.width());
        page.table(&table);
        let more = groups.len() - shown.len();
        if more > 0 {
            let hold = if more == 1 {
                "machine holds"
            } else {
                "machines hold"
            };
            let text = format!("{more} more {hold} it: --limit N, or --all for every region");
            page.entry("", &Text::new(FAINT, text));
        }
        if shown
            .iter()
            .any(|group| !group.best.confirmed && group.best.region.is_some())
        {
            let text = "the vendor does not confirm that it stands there";
            page.entry("", &Text::new(WARN, "? ").and(FAINT, text));
        }
        for (index, note) in footnotes.iter().enumerate() {
            page.entry(
                "",
                &Text::new(WARN, mark(index)).and(FAINT, format!(" {note}")),
            );
        }
    }

    fn rejected(&self, page: &mut Page, all: &[Refusals]) {
        let count: usize = all.iter().map(|refusals| refusals.shapes.len()).sum();
        let each = self.asked.all;
        let hint = if each { "" } else { " (--all lists each)" };
        page.entry(
            "Rejected",
            &Text::plain(format!("{count} shapes")).and(FAINT, hint),
        );
        for refusals in all {
            let (number, code) = (refusals.shapes.len(), refusals.code);
            if each {
                let heading = Text::new(NAME, code).and(FAINT, format!(" {number}"));
                page.under(0, &heading);
                for shape in &refusals.shapes {
                    let surface = shape.surface.as_str();
                    let line = Text::new(FAINT, format!("{surface} "));
                    let line = line.and(PLAIN, format!("{}: {}", shape.shape, shape.reason));
                    page.under(2, &line);
                }
                continue;
            }
            let list = refusals.accelerators().join(", ");
            page.under(
                0,
                &Text::new(NAME, code)
                    .and(FAINT, format!(" {number}  "))
                    .and(PLAIN, list),
            );
            if let Some(example) = refusals.example() {
                let word = if number == 1 {
                    ""
                } else if example.needs.is_some() {
                    "closest: "
                } else {
                    "such as "
                };
                let surface = example.surface.as_str();
                let example = format!("{word}{surface} {}: {}", example.shape, example.reason);
                page.under(2, &Text::new(FAINT, example));
            }
        }
    }
}

/// Whether a model makes images, which have no length in tokens.
pub(super) fn makes_images(card: &ModelCard) -> bool {
    let config = card.config.as_ref();
    config.is_some_and(|config| config.kind == ModelKind::Diffusion)
}

/// The load, with a star on what nobody stated.
pub(super) fn load(load: &Workload, asked: &Recommend, images: bool) -> Text {
    let assumed = [
        asked.concurrency.is_none(),
        asked.context.is_none() && !images,
        asked.input_tokens.is_none() && !images,
        asked.output_tokens.is_none() && !images && load.output_tokens.0 > 0,
        asked.draft_tokens.is_none() && load.draft_tokens.is_some(),
    ]
    .contains(&true);
    let mut text = Text::default();
    let mut part = |value: String, stated: bool| {
        let before = if text.width() == 0 { "" } else { " · " };
        text = std::mem::take(&mut text)
            .and(FAINT, before)
            .and(PLAIN, value);
        if !stated {
            text = std::mem::take(&mut text).and(WARN, "*");
        }
    };
    part(
        format!("{} requests at once", load.max_concurrency),
        asked.concurrency.is_some(),
    );
    if !images {
        part(
            format!("context of {} tokens", whole(load.context_length.0)),
            asked.context.is_some(),
        );
        part(
            format!("{} tokens in", whole(load.input_tokens.0)),
            asked.input_tokens.is_some(),
        );
        // A vector or a score has no length.
        if load.output_tokens.0 > 0 {
            part(
                format!("{} out", whole(load.output_tokens.0)),
                asked.output_tokens.is_some(),
            );
        }
    }
    let more = [
        load.requests_per_second
            .map(|rate| format!("{rate} requests a second")),
        load.starts_per_month
            .map(|starts| format!("{starts} starts of a replica a month")),
        load.adapters
            .map(|lora| format!("{} adapters of rank {}", lora.count, lora.rank)),
    ];
    for value in more.into_iter().flatten() {
        part(value, true);
    }
    if let Some(tokens) = load.draft_tokens {
        let stated = asked.draft_tokens.is_some();
        part(format!("{tokens} tokens drafted ahead"), stated);
    }
    if text.width() > 0 && assumed {
        text = text.and(WARN, "  * ").and(FAINT, "assumed");
    }
    text
}

fn objective(objective: Objective) -> &'static str {
    match objective {
        Objective::Cost => "the expected cost of a month",
        Objective::CostPerToken => "the cost of a million tokens",
        Objective::Latency => "the time between tokens",
        Objective::Throughput => "the tokens a second",
    }
}
