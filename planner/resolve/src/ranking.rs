//! Rank every shape that is sold for a model under a load, on any surface.
//!
//! This is the free question, without an endpoint: which machines, where, how bought, how fast,
//! for how much. An endpoint asks the same of its one surface and region (`placement`).

use openmodel_schemas::catalog::{AcceleratorRow, Confidence, PurchaseOption};
use openmodel_schemas::engine::EngineRow;
use openmodel_schemas::model_card::ModelCard;
use openmodel_schemas::name::Region;
use openmodel_schemas::report::{RankedShape, Ranking, Serving};
use openmodel_schemas::spec::{
    Budget, EngineSpec, Objective, Quantization, Scaling, ShapeRequest, Surface, Workload,
};

use crate::behind::behind;
use crate::engines::other_version;
use crate::error::{Fault, Field};
use crate::format::Format;
use crate::market::Catalog;
use crate::memory::MemoryError;
use crate::need::Need;
use crate::reason::list;
use crate::serving::{lacks_bf16, serving};
use crate::show::{basis, option, performance};
use crate::survey::{Choice, Rejection, Scope, Survey};

/// What is asked. Lists that are empty leave the choice open.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The load.
    pub workload: Workload,
    /// Facts of the draft model, where the load names one.
    pub draft: Option<ModelCard>,
    /// Surfaces; none: all.
    pub surfaces: Vec<Surface>,
    /// Regions; none: everywhere.
    pub regions: Vec<Region>,
    /// Ways to buy; none: on demand, then what is sold otherwise only.
    pub options: Vec<PurchaseOption>,
    /// Accelerators, by any of their names; none: all.
    pub accelerators: Vec<String>,
    /// Formats of weights, `None` for the checkpoint's own; none: the checkpoint's own.
    pub quantizations: Vec<Option<Quantization>>,
    /// The engine; none leaves the choice.
    pub engine: Option<String>,
    /// Its version; none is the newest known.
    pub engine_version: Option<String>,
    /// Bits of an element of the KV cache; none takes the checkpoint's.
    pub kv_bits: Option<u64>,
    /// Licences that are allowed; none: all.
    pub licences: Vec<String>,
    /// What the best is the best at.
    pub objective: Objective,
    /// Bounds of replicas; none allows what the load needs.
    pub scaling: Option<Scaling>,
    /// Limits of cost.
    pub budget: Budget,
}

impl Question {
    /// A load, with every choice open.
    #[must_use]
    pub fn of(workload: Workload) -> Self {
        Self {
            workload,
            draft: None,
            surfaces: Vec::new(),
            regions: Vec::new(),
            options: Vec::new(),
            accelerators: Vec::new(),
            quantizations: Vec::new(),
            engine: None,
            engine_version: None,
            kv_bits: None,
            licences: Vec::new(),
            objective: Objective::Cost,
            scaling: None,
            budget: Budget::default(),
        }
    }
}

/// Rank every shape of the catalog for a model, keeping at most `most` of those that hold it.
pub fn rank(
    card: &ModelCard,
    question: &Question,
    catalog: &Catalog,
    most: usize,
) -> Result<Ranking, MemoryError> {
    let ranked = Ranked::of(card, question, catalog, most)?;
    Ok(ranked.report(card, question, catalog, most))
}

/// What a question asks to be placed.
pub(crate) fn need<'a>(card: &'a ModelCard, question: &'a Question) -> Result<Need<'a>, Fault> {
    let draft = question.draft.as_ref();
    for card in [Some(card), draft].into_iter().flatten() {
        licensed(card, &question.licences)?;
    }
    let as_stored = [None];
    let quantizations = if question.quantizations.is_empty() {
        &as_stored[..]
    } else {
        &question.quantizations
    };
    Need::of(
        card,
        draft,
        &question.workload,
        question.engine.as_deref(),
        quantizations,
        question.kv_bits,
    )?
    .at_version(question.engine_version.as_deref())
}

/// The survey behind a ranking.
struct Ranked<'a> {
    need: Need<'a>,
    survey: Survey<'a>,
}

impl<'a> Ranked<'a> {
    fn of(
        card: &'a ModelCard,
        question: &'a Question,
        catalog: &'a Catalog,
        most: usize,
    ) -> Result<Self, Fault> {
        let need = need(card, question)?;
        let accelerators = question
            .accelerators
            .iter()
            .map(|name| accelerator(catalog, name))
            .collect::<Result<Vec<_>, _>>()?;
        let surfaces = if question.surfaces.is_empty() {
            &Surface::ALL[..]
        } else {
            &question.surfaces
        };
        let survey = Survey::of(
            &need,
            &Scope {
                catalog,
                surfaces,
                regions: &question.regions,
                options: &question.options,
                accelerators: &accelerators,
                fixed: &ShapeRequest::default(),
                scaling: question.scaling,
                objective: question.objective,
                stored: true,
                cache: None,
                most,
                budget: &question.budget,
            },
        );
        Ok(Self { need, survey })
    }

    fn report(
        &self,
        card: &ModelCard,
        question: &Question,
        catalog: &Catalog,
        most: usize,
    ) -> Ranking {
        let best = self.survey.first();
        let best = best.as_ref();
        let shown =
            |choice: &Choice, first: Option<&Choice>| self.shown(choice, first, question, catalog);
        Ranking {
            model: card.id.to_string(),
            objective: question.objective.as_str().to_owned(),
            chosen: best.map(|best| shown(best, None)),
            reason: self.reason(question, catalog),
            serving: best.and_then(|best| self.serving(card, best)),
            runners_up: self
                .survey
                .choices()
                .skip(1)
                .take(most.saturating_sub(1))
                .map(|choice| shown(&choice, best))
                .collect(),
            rejected: self.survey.rejected.iter().map(Rejection::report).collect(),
            currency: catalog.document().currency.clone(),
            catalog_date: catalog.date().to_owned(),
        }
    }

    /// How a choice is served; none where the engine has no image for the accelerator.
    fn serving(&self, card: &ModelCard, choice: &Choice) -> Option<Serving> {
        let fit = &self.survey.fits[choice.fit];
        let commit = Some(&card.commit).filter(|commit| !commit.is_null());
        let accelerator = choice.sale.accelerator;
        serving(
            &self.need,
            fit,
            accelerator,
            commit,
            &EngineSpec::default(),
            None,
        )
        .ok()
    }

    fn reason(&self, question: &Question, catalog: &Catalog) -> String {
        let Some(best) = self.survey.first() else {
            return format!(
                "Nothing holds the load: all {} offers are rejected.",
                self.survey.rejected.len()
            );
        };
        let (count, peers) = (self.survey.count(), self.survey.peers());
        let timed = self.survey.fits[best.fit].pace.is_some();
        let what = match (question.objective, best.hourly) {
            (Objective::Latency, _) if timed => "the shortest time between tokens",
            (Objective::Throughput, _) if timed => "the most tokens a second",
            (Objective::CostPerToken, Some(_)) if timed => "the lowest cost of a token",
            (Objective::Cost, Some(_)) if catalog.has_discounts() => {
                "the lowest addition to the bill"
            }
            (Objective::Cost, Some(_)) => "the lowest expected cost",
            (_, Some(_)) => "the lowest price, because no speed is known,",
            (_, None) => "the smallest size, because no price is known,",
        };
        let mut words = vec![if count == 1 {
            "It is the only offer that holds the load.".to_owned()
        } else {
            format!("It has {what} of {peers} offers that hold the load.")
        }];
        if count > peers {
            words.push(format!(
                "{} more come after these whatever they cost: not confirmed to stand there, not \
                 priced, or bought in another way.",
                count - peers
            ));
        }
        if best.sale.option != PurchaseOption::OnDemand && question.options.is_empty() {
            words.push(format!(
                "Nothing that holds the load is sold on demand there at a known price; this is {}.",
                option(best.sale.option)
            ));
        }
        if !best.sale.confirmed {
            words.push("That the hardware stands there is not confirmed by the vendor.".to_owned());
        }
        if best.hourly.is_some() && best.sale.confidence == Confidence::Low {
            words.push("Its price is inferred, not read from a list.".to_owned());
        }
        let engine = self.survey.fits[best.fit].engine;
        if let Some(unknown) = other_version(engine, self.need.version(engine)) {
            words.push(format!("Its {unknown}."));
        }
        words.join(" ")
    }

    fn shown(
        &self,
        choice: &Choice,
        first: Option<&Choice>,
        question: &Question,
        catalog: &Catalog,
    ) -> RankedShape {
        let fit = &self.survey.fits[choice.fit];
        let variant = &self.need.variants[fit.variant];
        let shape = choice.sale.shape;
        let (code, why) = first.map_or_else(
            || ("chosen", String::new()),
            |first| behind(&self.survey, choice, first, question.objective),
        );
        RankedShape {
            surface: choice.sale.surface,
            shape: shape.name.clone(),
            machine_type: shape.machine_type.clone(),
            accelerator: choice.sale.accelerator.name.clone(),
            accelerator_count: shape.count,
            accelerator_eighths: shape.eighths,
            cpu: choice.cpu,
            host_memory: choice.memory,
            region: choice.sale.region.map(ToString::to_string),
            confirmed: choice.sale.confirmed,
            purchase_option: choice.sale.option.as_str().to_owned(),
            note: choice.sale.note().map(str::to_owned),
            price_confidence: choice.hourly.map(|_| {
                match choice.sale.confidence {
                    Confidence::High => "high",
                    Confidence::Medium => "medium",
                    Confidence::Low => "low",
                }
                .to_owned()
            }),
            weights: held_in(variant.weights.format, choice.sale.accelerator, fit.engine)
                .to_owned(),
            quantization: variant
                .quantization
                .map(|quantization| quantization.as_str().to_owned()),
            engine: fit.engine.name.clone(),
            engine_version: self.need.version(fit.engine).to_owned(),
            tensor_parallel: fit.parallelism.tensor,
            pipeline_parallel: fit.parallelism.pipeline,
            data_parallel: fit.parallelism.data,
            expert_parallel: fit.parallelism.expert,
            max_model_len: fit.footprint.context,
            max_num_seqs: fit.footprint.sequences,
            max_num_batched_tokens: fit.footprint.batched_tokens,
            kv_cache_bits: self.need.kv_element * 8,
            memory_utilization: fit.footprint.utilization,
            memory: fit.footprint.memory(basis(&self.need, fit)),
            sequence_bounds: fit.footprint.cache.bounds(fit.footprint.context),
            performance: fit.pace.map(performance),
            replicas: choice.replicas,
            cost: choice.cost(catalog, &self.need, fit, question.scaling),
            code: code.to_owned(),
            why,
        }
    }
}

/// The word for a format on an accelerator: without bf16 it is held as fp16, and some engines hold
/// it so everywhere.
pub(crate) fn held_in<'a>(
    format: Format,
    accelerator: &AcceleratorRow,
    engine: &'a EngineRow,
) -> &'a str {
    if format == Format::Bf16 && lacks_bf16(accelerator) {
        return Format::Fp16.as_str();
    }
    let word = format.as_str();
    engine.words.dtype.get(word).map_or(word, String::as_str)
}

fn licensed(card: &ModelCard, licences: &[String]) -> Result<(), Fault> {
    if licences.is_empty() {
        return Ok(());
    }
    let allowed = card
        .licence
        .as_ref()
        .is_some_and(|licence| licences.contains(licence));
    if allowed {
        return Ok(());
    }
    let has = card.licence.as_deref().unwrap_or("none that is known");
    Err(Fault {
        field: Field::Licence,
        code: "licence",
        summary: "Licence is not allowed",
        detail: format!(
            "The licence of {} is {has}; allowed are {}. Choose another model, or allow its licence.",
            card.id,
            list(licences)
        ),
    })
}

/// The catalog's name of an accelerator.
pub(crate) fn accelerator(catalog: &Catalog, name: &str) -> Result<String, Fault> {
    if let Some(row) = catalog.accelerator(name) {
        return Ok(row.name.clone());
    }
    let known: Vec<&str> = catalog
        .document()
        .accelerators
        .iter()
        .map(|row| row.name.as_str())
        .collect();
    Err(Fault {
        field: Field::ShapeAccelerator,
        code: "unknown_accelerator",
        summary: "Unknown accelerator",
        detail: format!(
            "There is no accelerator {name:?}; known are {}. Choose one of these.",
            list(&known)
        ),
    })
}

#[cfg(test)]
mod tests;
