//! Choices and rejections in the words and documents that a reader sees.

use openmodel_schemas::catalog::{AcceleratorKind, PurchaseOption, ShapeRow};
use openmodel_schemas::model_card::ModelKind;
use openmodel_schemas::quantity::{Bytes, Usd, UsdPerHour};
use openmodel_schemas::report::{
    Candidate, ColdStart, Cost, Marginal, Performance, RejectedShape, Shape,
};
use openmodel_schemas::spec::{Scaling, Surface};
use rust_decimal::Decimal;

use crate::engines::{doubt, memory};
use crate::fit::Fit;
use crate::market::{Catalog, Purchase};
use crate::memory::NO_ACTIVATIONS;
use crate::need::Need;
use crate::pace::Pace;
use crate::reason::Reason;
use crate::survey::{Choice, Rejection, per_million};

/// A shape in one line: `nvidia-l4 x1, 4 vCPU, 16 GiB` where the surface hides its machines,
/// `g2-standard-12 (nvidia-l4 x1)` where not.
pub(crate) fn line(surface: Surface, shape: &ShapeRow, cpu: u32, memory: Bytes) -> String {
    let accelerators = accelerators(shape);
    match (surface, &shape.machine_type) {
        (Surface::CloudRun, _) => {
            format!("{accelerators}, {cpu} vCPU, {} GiB", memory.as_gib())
        }
        (_, Some(_)) => format!("{} ({accelerators})", shape.name),
        (_, None) => accelerators,
    }
}

/// `nvidia-l4 x2`; `nvidia-rtx-pro-6000 x1/8` for a part of one.
pub(crate) fn accelerators(shape: &ShapeRow) -> String {
    let (name, count) = (&shape.accelerator, shape.count);
    match shape.eighths {
        8 => format!("{name} x{count}"),
        4 => format!("{name} x1/2"),
        2 => format!("{name} x1/4"),
        eighths => format!("{name} x{eighths}/8"),
    }
}

/// A price in words; `price not known` is one.
pub(crate) fn price(hourly: Option<UsdPerHour>) -> String {
    hourly.map_or_else(|| "price not known".to_owned(), |hourly| hourly.to_string())
}

impl Choice<'_> {
    /// In one line.
    pub(crate) fn line(&self) -> String {
        line(self.sale.surface, self.sale.shape, self.cpu, self.memory)
    }

    /// As a surface that sells hosts by the vCPU knows it.
    pub(crate) fn shape(&self) -> Shape {
        Shape {
            accelerator: self.sale.accelerator.name.clone(),
            accelerator_count: self.sale.shape.count,
            cpu: self.cpu,
            memory: self.memory,
        }
    }

    /// As it is bought.
    pub(crate) fn purchase(&self) -> Purchase<'_> {
        Purchase {
            memory: self.memory,
            cpu: self.cpu,
            ..Purchase::from(self.sale)
        }
    }

    /// A month of what costs so much an hour, with its starts and what is paid whatever runs; `None`
    /// where it is beyond all numbers.
    pub(crate) fn month_at(&self, hour: UsdPerHour, starts: u32) -> Option<Usd> {
        let starting = self.start.cost(hour, starts.into())?;
        let running = hour.per_month().0.checked_add(self.fixed)?;
        running.checked_add(starting).map(Usd)
    }

    /// What replicas of it cost. Where no bounds are given, the load's replicas are the least
    /// and the most.
    pub(crate) fn cost(
        &self,
        catalog: &Catalog,
        need: &Need,
        fit: &Fit,
        scaling: Option<Scaling>,
    ) -> Cost {
        let purchase = self.purchase();
        // A month of so many replicas whose hour costs so much.
        let starts = need.workload.starts_per_month.unwrap_or(0);
        let month = |replicas: u32, hour: Option<UsdPerHour>| match replicas {
            0 => Some(Usd(self.fixed)),
            _ => self.month_at(hour?, starts),
        };
        let gross = |replicas: u32| month(replicas, self.hourly.map(|hourly| hourly * replicas));
        let added = |replicas: u32| {
            let hour = self
                .hourly
                .and_then(|hourly| catalog.added(&self.sale, hourly, replicas));
            month(replicas, hour)
        };
        let (least, most) = scaling.map_or((self.replicas, self.replicas), |scaling| {
            (scaling.min_replicas, scaling.max_replicas)
        });
        let output = fit.pace.map(|pace| pace.output_tokens_per_second.estimate);
        let input = fit
            .pace
            .map(|pace| pace.requests_per_second.estimate * tokens(need.workload.input_tokens.0));
        let mut lines = catalog.lines(&purchase);
        if let Some(month) = self.kept {
            let files = need.files(fit.variant);
            let hour = month
                .checked_div(Decimal::from(730))
                .map(|usd| UsdPerHour(usd.round_dp(6)));
            lines.push(openmodel_schemas::report::CostLine {
                item: format!("{files} of weights in Cloud Storage"),
                hourly: hour,
                source: format!("{} a month, not in hourly", Usd(month)),
            });
        }
        Cost {
            currency: catalog.document().currency.clone(),
            hourly: self.hourly,
            monthly_min: gross(least),
            monthly_expected: gross(self.replicas),
            monthly_max: gross(most),
            per_million_output_tokens: per_million(self.hourly, output),
            per_million_input_tokens: per_million(self.hourly, input),
            marginal: catalog.has_discounts().then(|| Marginal {
                monthly_min: added(least),
                monthly_expected: added(self.replicas),
                monthly_max: added(most),
                lines: self.hourly.map_or_else(Vec::new, |hourly| {
                    catalog.taken_off(&self.sale, hourly, self.replicas)
                }),
            }),
            cold_start: Some(ColdStart {
                seconds: self.start.seconds,
                usd: self
                    .hourly
                    .and_then(|hourly| self.start.cost(hourly, 1))
                    .map(Usd),
                basis: self.start.basis(),
            }),
            price_date: catalog.price_date(&purchase).to_owned(),
            lines,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a request has at most millions of tokens"
)]
const fn tokens(count: u64) -> f64 {
    count as f64
}

impl Rejection<'_> {
    /// In one line; a reason about an accelerator names no host.
    pub(crate) fn line(&self) -> String {
        if let Reason::CountUnsupported { .. } = self.reason {
            return self.shape.accelerator.clone();
        }
        if self.surface == Surface::CloudRun && self.reason.of_accelerator() {
            return accelerators(self.shape);
        }
        line(self.surface, self.shape, self.cpu, self.memory)
    }

    pub(crate) fn candidate(&self) -> Candidate {
        Candidate {
            shape: self.line(),
            hourly: self.hourly,
            code: self.reason.code().to_owned(),
            reason: self.reason.to_string(),
        }
    }

    pub(crate) fn report(&self) -> RejectedShape {
        RejectedShape {
            surface: self.surface,
            shape: self.line(),
            hourly: self.hourly,
            code: self.reason.code().to_owned(),
            reason: self.reason.to_string(),
            needs: self.reason.shortfall().map(|(needs, _)| needs),
            has: self.reason.shortfall().map(|(_, has)| has),
        }
    }
}

/// Latency and throughput as they are shown.
pub(crate) fn performance(pace: Pace) -> Performance {
    Performance {
        ttft_ms: pace.ttft_ms,
        tpot_ms: pace.tpot_ms,
        output_tokens_per_second: pace.output_tokens_per_second,
        requests_per_second: pace.requests_per_second,
        basis: pace.basis.to_owned(),
    }
}

/// How the memory of a fit was computed.
pub(crate) fn basis(need: &Need, fit: &Fit) -> String {
    let architecture = need.architecture;
    let kinds = architecture.layers();
    let engine = fit.engine;
    let constants = memory(engine, need.version(engine));
    let dated = crate::engines::engines()
        .sources
        .get(&constants.source)
        .map_or("an unknown date", |source| source.date.as_str());
    let kept = if architecture.config.kind == ModelKind::Diffusion {
        "one image of 1,024 by 1,024 pixels at a time".to_owned()
    } else if fit.footprint.keeps() {
        let kv = if kinds.windowed > 0 || !architecture.config.compress_ratios.is_empty() {
            "KV cache as the engine allocates it for windowed layers"
        } else if kinds.recurrent > 0 {
            "KV cache and recurrent state as the engine allocates them"
        } else {
            "KV cache exact"
        };
        if engine.accelerator == AcceleratorKind::Tpu {
            format!("{kv}{NO_ACTIVATIONS}")
        } else {
            format!("{kv}; activations and graphs fitted on start-up logs of {dated}")
        }
    } else {
        format!("nothing kept between requests; activations estimated by formula, {dated}")
    };
    let load = &need.workload;
    let adapters = match load.adapters {
        Some(_) => "; adapters at the largest rank on every linear layer, as vLLM reserves them",
        None => "",
    };
    let image = if need.own_image {
        "; sized for this version, whichever the image of the configuration has"
    } else {
        ""
    };
    let drafting = match (need.draft, load.draft_tokens) {
        (Some(draft), _) => format!(
            "; weights and cache with those of the draft model {}, by {}; speed without drafting, whose gain is \
             not known",
            draft.card.id, draft.weights.basis
        ),
        (None, Some(_)) => "; speed without drafting, whose gain is not known".to_owned(),
        (None, None) => String::new(),
    };
    format!(
        "{} {} at {:.0} % of usable memory; weights by {}; {kept}{adapters}{drafting}{image}{}",
        engine.name,
        need.version(engine),
        fit.footprint.utilization * 100.0,
        need.variants[fit.variant].weights.basis,
        doubt(engine, need.version(engine), architecture),
    )
}

/// Purchase options in words: `spot`, `on demand`.
pub(crate) fn option(option: PurchaseOption) -> &'static str {
    match option {
        PurchaseOption::OnDemand => "on demand",
        PurchaseOption::Spot => "spot",
        PurchaseOption::FlexStart => "flex-start",
        PurchaseOption::Calendar => "calendar",
        PurchaseOption::Commitment1y => "1-year commitment",
        PurchaseOption::Commitment3y => "3-year commitment",
    }
}
