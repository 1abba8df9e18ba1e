//! What candidates are compared by: whole picodollars of what a month costs, or speed.

use openmodel_schemas::catalog::PurchaseOption;
use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::{Bytes, Usd, UsdPerHour};
use openmodel_schemas::spec::{Objective, Surface};
use rust_decimal::Decimal;

use super::Scope;
use crate::fit::Fit;
use crate::market::{Catalog, Sale};
use crate::need::Need;
use crate::start::{Origin, Start};

/// The order of candidates. Compared field by field; the catalog's own order breaks ties.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct Score {
    /// Unpriced, bought otherwise than asked for by default, or nobody but one list says that the
    /// hardware stands there: each is worse than what follows can make good.
    pub(super) flags: u8,
    /// What the objective compares, in picodollars or as it is.
    pub(super) money: i128,
    pub(super) number: f64,
    /// Picodollars an hour.
    pub(super) hourly: i128,
    /// Bytes of accelerator memory, in GiB.
    pub(super) size: f32,
    pub(super) cpu: u32,
}

/// Amounts are compared as whole picodollars: prices have at most nine decimals.
pub(super) fn pico(amount: Decimal) -> i128 {
    let scale = amount.scale();
    let mantissa = amount.mantissa();
    match 12_u32.checked_sub(scale) {
        Some(up) => mantissa.saturating_mul(10_i128.pow(up)),
        None => mantissa / 10_i128.pow(scale - 12),
    }
}

/// The amount of so many picodollars.
pub(super) fn dollars(pico: i128) -> Decimal {
    Decimal::try_from_i128_with_scale(pico, 12).unwrap_or(Decimal::MAX)
}

/// Hours of a month.
pub(super) const MONTH: i128 = 730;

/// Storage of weights by region, in picodollars a month, looked up once for each.
#[derive(Debug, Default)]
pub(super) struct Storage {
    known: Vec<(*const Region, Bytes, Surface, i128)>,
}

impl Storage {
    pub(super) fn of(&mut self, catalog: &Catalog, files: Bytes, sale: &Sale) -> i128 {
        let region = sale.region.map_or(std::ptr::null(), std::ptr::from_ref);
        let kind = if sale.surface == Surface::HuggingFace {
            Surface::HuggingFace
        } else {
            Surface::Compute
        };
        let found = self
            .known
            .iter()
            .find(|(at, bytes, of, _)| *at == region && *bytes == files && *of == kind);
        if let Some((.., month)) = found {
            return *month;
        }
        let month = storage(catalog, files, sale.surface, sale.region).map_or(0, pico);
        self.known.push((region, files, kind, month));
        month
    }
}

/// What a month of replicas is made of, beside their hours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Month {
    /// Picodollars that are paid whatever runs.
    pub(super) fixed: i128,
    /// Seconds that each replica spends starting.
    pub(super) starting: u32,
}

impl Month {
    /// A month of what costs so many picodollars an hour.
    pub(super) const fn of(self, hour: i128) -> i128 {
        hour.saturating_mul(MONTH)
            .saturating_add(self.starts(hour))
            .saturating_add(self.fixed)
    }

    /// What its starts cost.
    pub(super) const fn starts(self, hour: i128) -> i128 {
        hour.saturating_mul(self.starting as i128) / 3600
    }
}

/// Seconds of a month that a replica spends starting, where the load says how often.
pub(super) fn starting(need: &Need, files: Bytes, origin: Origin) -> u32 {
    need.workload.starts_per_month.map_or(0, |starts| {
        Start::of(files, origin).whole().saturating_mul(starts)
    })
}

pub(super) fn score(
    scope: &Scope,
    sale: &Sale,
    hourly: Option<UsdPerHour>,
    fit: &Fit,
    needed: u32,
    month: Month,
    fallback: bool,
) -> Score {
    let hour = hourly.map(|hourly| pico(hourly.0));
    let tokens = fit.pace.map(|pace| pace.output_tokens_per_second.estimate);
    // With a user's terms, what counts is what is added to the bill.
    let added = hourly.and_then(|hourly| scope.catalog.added(sale, hourly, needed));
    // What is not known comes after all that is.
    let unknown = i128::MAX;
    let money = match (scope.objective, hour) {
        (Objective::Cost, Some(hour)) => month
            .of(added.map_or_else(|| hour.saturating_mul(needed.into()), |added| pico(added.0))),
        (Objective::CostPerToken, _) => {
            let one = match added {
                Some(added) => added
                    .0
                    .checked_div(Decimal::from(needed.max(1)))
                    .map(UsdPerHour),
                None => hourly,
            };
            per_million(one, tokens).map_or(unknown, |usd| pico(usd.0))
        }
        (Objective::Cost, None) => unknown,
        (Objective::Latency | Objective::Throughput, _) => 0,
    };
    let number = match scope.objective {
        Objective::Latency => fit.pace.map_or(f64::MAX, |pace| pace.tpot_ms.estimate),
        Objective::Throughput => fit
            .pace
            .map_or(0.0, |pace| -pace.output_tokens_per_second.estimate),
        Objective::Cost | Objective::CostPerToken => 0.0,
    };
    let shape = sale.shape;
    #[expect(clippy::cast_possible_truncation, reason = "GiB, to compare")]
    let size = (sale.accelerator.usable_gib
        * f64::from(sale.accelerator.devices)
        * f64::from(shape.count)
        * f64::from(shape.eighths)) as f32;
    Score {
        flags: u8::from(hour.is_none()) * 4 + u8::from(fallback) * 2 + u8::from(!sale.confirmed),
        money,
        number,
        hourly: hour.unwrap_or(unknown),
        size,
        cpu: shape.cpu,
    }
}

/// Replicas that the requested load needs: requests a second over what one serves at its
/// concurrency.
pub(super) fn replicas(need: &Need, fit: &Fit) -> u32 {
    let Some(asked) = need.workload.requests_per_second else {
        return 1;
    };
    let one = fit
        .pace
        .map_or(0.0, |pace| pace.requests_per_second.estimate);
    let asked: f64 = asked.try_into().unwrap_or(f64::MAX);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "float casts saturate"
    )]
    if one > 0.0 {
        ((asked / one).ceil() as u32).max(1)
    } else {
        1
    }
}

/// What a million tokens cost when a replica is busy.
pub(crate) fn per_million(
    hourly: Option<UsdPerHour>,
    tokens_per_second: Option<f64>,
) -> Option<Usd> {
    let hour = tokens_per_second.filter(|tokens| *tokens > 0.0)? * 3600.0;
    let hour = Decimal::try_from(hour).ok()?;
    let million = Decimal::from(1_000_000);
    hourly?
        .0
        .checked_mul(million)?
        .checked_div(hour)
        .map(|usd| Usd(usd.round_dp(6)))
}

/// Storage of the weights for a month, in the region's bucket; Inference Endpoints keep their own
/// copy.
pub(crate) fn storage(
    catalog: &Catalog,
    files: Bytes,
    surface: Surface,
    region: Option<&Region>,
) -> Option<Decimal> {
    if surface == Surface::HuggingFace {
        return None;
    }
    let item = openmodel_schemas::catalog::PricedItem::StorageGib {
        class: "STANDARD".to_owned(),
    };
    let (usd, _) = catalog.item(&item, PurchaseOption::OnDemand, region)?;
    let gib = Decimal::from(files.0).checked_div(Decimal::from(1_u64 << 30))?;
    usd.checked_mul(gib).map(|usd| usd.round_dp(4))
}

/// The management fee of the one GKE cluster that all replicas share, for a month.
pub(crate) fn cluster_fee(catalog: &Catalog, surface: Surface) -> Option<Decimal> {
    if surface != Surface::Gke {
        return None;
    }
    let item = openmodel_schemas::catalog::PricedItem::GkeCluster;
    let (usd, _) = catalog.item(&item, PurchaseOption::OnDemand, None)?;
    Some(UsdPerHour(usd).per_month().0)
}
