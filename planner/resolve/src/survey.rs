//! Everything that is sold, with its verdict: it holds the need at a price, or why not.
//!
//! ```text
//!   shapes of the surfaces ─► fits? ─► host? ─► sold there, so? ─► replicas ─► price ─► Choice
//!                               └────────┴───────────┴───────────────┴──────────┴───► Rejection
//! ```
//!
//! Nothing is left out and the order is fixed: the objective, then the price, then the size,
//! then the catalog's own order.

use std::cmp::Ordering;

use openmodel_schemas::catalog::{PurchaseOption, ShapeRow};
use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::{Bytes, Usd, UsdPerHour};
use openmodel_schemas::spec::{Budget, Objective, Scaling, ShapeRequest, Surface};
use rust_decimal::Decimal;

use crate::fit::{Fit, fit};
use crate::market::{Catalog, Purchase, Sale};
use crate::need::Need;
use crate::reason::Reason;

/// Where to look, and what must hold of what is found.
#[derive(Debug, Clone)]
pub(crate) struct Scope<'a, 's> {
    pub(crate) catalog: &'a Catalog,
    /// Surfaces, in the order that breaks ties.
    pub(crate) surfaces: &'s [Surface],
    /// Regions; none: everywhere.
    pub(crate) regions: &'s [Region],
    /// Ways to buy. None: on demand, and what is not sold so in the ways it is, after all that
    /// is.
    pub(crate) options: &'s [PurchaseOption],
    /// Accelerators, by their catalog names; none: all.
    pub(crate) accelerators: &'s [String],
    /// The parts of a shape the user fixes.
    pub(crate) fixed: &'s ShapeRequest,
    /// Bounds of replicas; `None` allows any number.
    pub(crate) scaling: Option<Scaling>,
    pub(crate) objective: Objective,
    /// Whether the weights are kept in Cloud Storage, which costs too; without it they come from
    /// the Hub at each start.
    pub(crate) stored: bool,
    /// Limits of cost; a shape over them is rejected.
    pub(crate) budget: &'s Budget,
}

/// A shape that holds the need, as it would be bought.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice<'a> {
    pub(crate) sale: Sale<'a>,
    pub(crate) cpu: u32,
    pub(crate) memory: Bytes,
    /// Place of the fit in the survey's list.
    pub(crate) fit: usize,
    /// Replicas the requested load needs.
    pub(crate) replicas: u32,
    /// One replica for an hour.
    pub(crate) hourly: Option<UsdPerHour>,
    /// The need's replicas for a month, with storage.
    pub(crate) expected: Option<Usd>,
    /// What the objective compares: the smaller, the better.
    score: Score,
}

/// A shape that does not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rejection<'a> {
    pub(crate) surface: Surface,
    pub(crate) shape: &'a ShapeRow,
    pub(crate) cpu: u32,
    pub(crate) memory: Bytes,
    pub(crate) hourly: Option<UsdPerHour>,
    pub(crate) reason: Reason,
}

/// All verdicts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Survey<'a> {
    /// Those that hold the need, the best first.
    pub(crate) feasible: Vec<Choice<'a>>,
    pub(crate) rejected: Vec<Rejection<'a>>,
    /// How the shapes hold it.
    pub(crate) fits: Vec<Fit>,
}

/// The order of choices. Compared field by field.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Score {
    /// Bought otherwise than asked for by default.
    fallback: bool,
    unpriced: bool,
    /// Nobody but one list says that the hardware stands there.
    unconfirmed: bool,
    money: Option<Decimal>,
    number: f64,
    hourly: Option<UsdPerHour>,
    size: f64,
    cpu: u32,
    memory: Bytes,
}

impl<'a> Survey<'a> {
    /// Look at everything the surfaces sell that agrees with the scope.
    pub(crate) fn of(need: &Need, scope: &Scope<'a, '_>) -> Self {
        let mut survey = Self {
            feasible: Vec::new(),
            rejected: Vec::new(),
            fits: Vec::new(),
        };
        let mut known: Vec<Known<'a>> = Vec::new();
        for surface in scope.surfaces {
            let mut sales = scope.catalog.sales_on(*surface).peekable();
            while let Some(first) = sales.peek().copied() {
                let shape = first.shape;
                let mut of_shape = Vec::new();
                while let Some(sale) =
                    sales.next_if(|sale| std::ptr::eq(sale.shape, shape))
                {
                    of_shape.push(sale);
                }
                survey.look_at(need, scope, &of_shape, &mut known);
            }
        }
        survey.drop_what_is_not_meant();
        // A stable sort: the catalog's order breaks ties.
        survey.feasible.sort_by(|a, b| a.score.order(&b.score));
        survey
    }

    /// All ways to buy one shape on one surface.
    fn look_at(
        &mut self,
        need: &Need,
        scope: &Scope<'a, '_>,
        sales: &[Sale<'a>],
        known: &mut Vec<Known<'a>>,
    ) {
        let Some(first) = sales.first().copied() else {
            return;
        };
        let (surface, shape) = (first.surface, first.shape);
        let fixed = scope.fixed;
        let wanted = (scope.accelerators.is_empty()
            || scope.accelerators.contains(&first.accelerator.name))
            && fixed.accelerator.as_ref().is_none_or(|name| {
                *name == first.accelerator.name || first.accelerator.aliases.contains(name)
            });
        if !wanted {
            return;
        }
        let memory = fixed.memory.unwrap_or(Bytes::gib(shape.memory_gib.into()));
        let reject = |reason, hourly| Rejection {
            surface,
            shape,
            cpu: shape.cpu,
            memory,
            hourly,
            reason,
        };
        if let Some(reason) = mismatch(scope, surface, shape) {
            return self.reject(reject(reason, None));
        }
        let here = |sale: &&Sale<'a>| {
            scope.regions.is_empty()
                || sale
                    .region
                    .is_some_and(|region| scope.regions.contains(region))
        };
        let Some(_) = sales.iter().find(here) else {
            let mut regions: Vec<Region> =
                sales.iter().filter_map(|sale| sale.region.cloned()).collect();
            regions.sort();
            regions.dedup();
            let region = scope.regions[0].clone();
            return self.reject(reject(Reason::NotInRegion { region, regions }, None));
        };
        let on_demand = sales
            .iter()
            .any(|sale| sale.option == PurchaseOption::OnDemand);
        let bought = |sale: &&Sale<'a>| match (scope.options, on_demand) {
            ([], true) => sale.option == PurchaseOption::OnDemand,
            ([], false) => true,
            (options, _) => options.contains(&sale.option),
        };
        if !sales.iter().any(|sale| bought(&sale)) {
            let mut sold: Vec<PurchaseOption> = sales.iter().map(|sale| sale.option).collect();
            sold.sort();
            sold.dedup();
            let asked = scope.options.to_vec();
            return self.reject(reject(Reason::NotSoldSo { asked, sold }, None));
        }
        let most = first.offer.max_concurrency.unwrap_or(u32::MAX);
        if need.workload.max_concurrency > most {
            let asked = need.workload.max_concurrency;
            return self.reject(reject(Reason::SurfaceLimit { asked, most }, None));
        }
        let fits = match self.fits_on(need, scope, &first, known) {
            Ok(fits) => fits,
            Err(reason) => {
                return self.reject(reject(reason, None));
            }
        };
        let price = |sale: &Sale<'a>| {
            if fixed.memory.is_some() {
                let purchase = Purchase {
                    memory,
                    ..Purchase::from(*sale)
                };
                scope.catalog.hourly(&purchase).map(|priced| priced.hourly)
            } else {
                sale.hourly
            }
        };
        let chosen = || sales.iter().filter(here).filter(bought);
        for index in fits {
            let host = host(need, surface, shape, memory, &self.fits[index]);
            if let Err(reason) = host {
                let hourly = chosen().filter_map(price).min();
                self.reject(reject(reason, hourly));
                continue;
            }
            for sale in chosen() {
                let hourly = price(sale);
                let fallback =
                    scope.options.is_empty() && sale.option != PurchaseOption::OnDemand;
                match choice(need, scope, *sale, memory, hourly, index, &self.fits[index], fallback)
                {
                    Ok(choice) => self.feasible.push(choice),
                    Err(reason) => self.reject(reject(reason, hourly)),
                }
            }
        }
    }

    /// The ways the devices of a shape hold the need; the same devices are looked at once.
    fn fits_on(
        &mut self,
        need: &Need,
        scope: &Scope,
        sale: &Sale<'a>,
        known: &mut Vec<Known<'a>>,
    ) -> Result<std::ops::Range<usize>, Reason> {
        let (shape, accelerator) = (sale.shape, sale.accelerator);
        let key = (accelerator.name.as_str(), shape.count, shape.eighths);
        if let Some(found) = known.iter().find(|known| known.devices == key) {
            return found.verdict.clone();
        }
        let start = self.fits.len();
        let verdict = fit(need, shape, accelerator, scope.objective).map(|fits| {
            self.fits.extend(fits);
            start..self.fits.len()
        });
        known.push(Known {
            devices: key,
            verdict: verdict.clone(),
        });
        verdict
    }

    /// A part of a shape that the user fixes picks machines; those it does not pick are news only
    /// where it picks none with that accelerator.
    fn drop_what_is_not_meant(&mut self) {
        let picks = |reason: &Reason| {
            matches!(
                reason,
                Reason::CountUnsupported { .. }
                    | Reason::CpuUnsupported { .. }
                    | Reason::MemoryUnsupported { .. }
            )
        };
        let mut meant: Vec<(Surface, &str)> = self
            .feasible
            .iter()
            .map(|choice| (choice.sale.surface, choice.sale.accelerator.name.as_str()))
            .collect();
        meant.extend(
            self.rejected
                .iter()
                .filter(|rejection| !picks(&rejection.reason))
                .map(|rejection| (rejection.surface, rejection.shape.accelerator.as_str())),
        );
        self.rejected.retain(|rejection| {
            let key = (rejection.surface, rejection.shape.accelerator.as_str());
            !picks(&rejection.reason) || !meant.contains(&key)
        });
    }

    /// Keep a rejection; those about an accelerator are said once, not for each host size that a
    /// surface without machines sells with it.
    fn reject(&mut self, rejection: Rejection<'a>) {
        let same = self.rejected.last().is_some_and(|last| {
            last.surface == rejection.surface
                && last.shape.machine_type.is_none()
                && last.shape.accelerator == rejection.shape.accelerator
                && last.shape.count == rejection.shape.count
                && last.reason.of_accelerator()
                && last.reason.code() == rejection.reason.code()
        });
        if same {
            // What the hosts sell together is one list.
            if let (
                Some(Rejection {
                    reason: Reason::CpuUnsupported { sold, .. },
                    ..
                }),
                Reason::CpuUnsupported { sold: more, .. },
            ) = (self.rejected.last_mut(), &rejection.reason)
            {
                sold.extend(more);
            } else if let (
                Some(Rejection {
                    reason: Reason::MemoryUnsupported { sold, .. },
                    ..
                }),
                Reason::MemoryUnsupported { sold: more, .. },
            ) = (self.rejected.last_mut(), &rejection.reason)
            {
                sold.extend(more);
            }
        } else {
            self.rejected.push(rejection);
        }
    }
}

/// A verdict on devices.
struct Known<'a> {
    devices: (&'a str, u32, u32),
    verdict: Result<std::ops::Range<usize>, Reason>,
}

/// The part of a shape that the user fixes and this one has not.
fn mismatch(scope: &Scope, surface: Surface, shape: &ShapeRow) -> Option<Reason> {
    let fixed = scope.fixed;
    if let Some(asked) = fixed.accelerator_count.filter(|count| *count != shape.count) {
        let mut sold: Vec<u32> = scope
            .catalog
            .sales_on(surface)
            .filter(|sale| sale.shape.accelerator == shape.accelerator)
            .map(|sale| sale.shape.count)
            .collect();
        sold.sort_unstable();
        sold.dedup();
        // Another machine with this accelerator has the number: this one is just not meant.
        return Some(Reason::CountUnsupported { asked, sold });
    }
    if let Some(asked) = fixed.cpu.filter(|cpu| *cpu != shape.cpu) {
        return Some(Reason::CpuUnsupported {
            asked,
            sold: vec![shape.cpu],
        });
    }
    let least = shape.min_memory_gib.unwrap_or(shape.memory_gib);
    let range = Bytes::gib(least.into())..=Bytes::gib(shape.memory_gib.into());
    fixed
        .memory
        .filter(|memory| !range.contains(memory))
        .map(|asked| Reason::MemoryUnsupported {
            asked,
            sold: vec![(shape.cpu, least, shape.memory_gib)],
        })
}

/// Whether the host holds the engine's processes; and on Cloud Run, whose file system is memory,
/// the files of the weights too.
fn host(
    need: &Need,
    surface: Surface,
    shape: &ShapeRow,
    memory: Bytes,
    fit: &Fit,
) -> Result<(), Reason> {
    let files = need.variants[fit.variant].weights.files;
    let needs = if surface == Surface::CloudRun {
        fit.footprint.host
    } else {
        fit.footprint.host.saturating_sub(files)
    };
    // Hugging Face says nothing of the memory of its hosts beyond what the instance is made for.
    let has = if surface == Surface::HuggingFace {
        memory.max(needs)
    } else {
        memory * u64::from(shape.hosts.max(1))
    };
    if needs <= has {
        return Ok(());
    }
    Err(Reason::HostMemory { needs, files, has })
}

#[expect(clippy::too_many_arguments, reason = "one call, right above")]
fn choice<'a>(
    need: &Need,
    scope: &Scope<'a, '_>,
    sale: Sale<'a>,
    memory: Bytes,
    hourly: Option<UsdPerHour>,
    index: usize,
    fit: &Fit,
    fallback: bool,
) -> Result<Choice<'a>, Reason> {
    let least = scope.scaling.map_or(1, |scaling| scaling.min_replicas.max(1));
    let needed = replicas(need, fit).max(least);
    if let Some(scaling) = scope.scaling
        && needed > scaling.max_replicas
    {
        return Err(Reason::TooManyReplicas {
            needed,
            most: scaling.max_replicas,
        });
    }
    let most = scope.scaling.map_or(needed, |scaling| scaling.max_replicas);
    within(scope.budget, hourly, most, sale.region)?;
    let files = need.variants[fit.variant].weights.files;
    let stored = scope
        .stored
        .then(|| storage(scope.catalog, files, sale.surface, sale.region))
        .flatten();
    let cluster = cluster_fee(scope.catalog, sale.surface);
    let expected = hourly.and_then(|hourly| {
        let month = (hourly * needed).per_month();
        month
            .0
            .checked_add(stored.unwrap_or_default())
            .and_then(|usd| usd.checked_add(cluster.unwrap_or_default()))
            .map(Usd)
    });
    let tokens = fit
        .pace
        .map(|pace| pace.output_tokens_per_second.estimate);
    let money = match scope.objective {
        Objective::Cost => expected.map(|usd| usd.0),
        Objective::CostPerToken => per_million(hourly, tokens).map(|usd| usd.0),
        Objective::Latency | Objective::Throughput => None,
    };
    let number = match scope.objective {
        Objective::Latency => fit.pace.map_or(f64::MAX, |pace| pace.tpot_ms.estimate),
        Objective::Throughput => fit
            .pace
            .map_or(0.0, |pace| -pace.output_tokens_per_second.estimate),
        Objective::Cost | Objective::CostPerToken => 0.0,
    };
    Ok(Choice {
        sale,
        cpu: sale.shape.cpu,
        memory,
        fit: index,
        replicas: needed,
        hourly,
        expected,
        score: Score {
            fallback,
            unpriced: hourly.is_none(),
            unconfirmed: !sale.confirmed,
            money,
            number,
            hourly,
            size: sale.accelerator.usable_gib
                * f64::from(sale.accelerator.devices)
                * f64::from(sale.shape.count)
                * f64::from(sale.shape.eighths),
            cpu: sale.shape.cpu,
            memory,
        },
    })
}

/// Replicas that the requested load needs: requests a second over what one serves at its
/// concurrency.
fn replicas(need: &Need, fit: &Fit) -> u32 {
    let Some(asked) = need.workload.requests_per_second else {
        return 1;
    };
    let one = fit.pace.map_or(0.0, |pace| pace.requests_per_second.estimate);
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
pub(crate) fn per_million(hourly: Option<UsdPerHour>, tokens_per_second: Option<f64>) -> Option<Usd> {
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

/// Limits of cost hold for the most replicas, gross of credits and discounts.
fn within(
    budget: &Budget,
    hourly: Option<UsdPerHour>,
    replicas: u32,
    region: Option<&Region>,
) -> Result<(), Reason> {
    if budget.max_hourly_cost.is_none() && budget.max_monthly_cost.is_none() {
        return Ok(());
    }
    let Some(hourly) = hourly else {
        return Err(Reason::Unpriced {
            region: region.cloned(),
        });
    };
    let all = hourly * replicas;
    if let Some(most) = budget.max_hourly_cost.filter(|most| all.0.round_dp(4) > *most) {
        return Err(Reason::OverHourly {
            costs: all,
            most: UsdPerHour(most),
        });
    }
    let month = all.per_month();
    if let Some(most) = budget.max_monthly_cost.filter(|most| month.0.round_dp(2) > *most) {
        return Err(Reason::OverMonthly {
            costs: month,
            most: Usd(most),
        });
    }
    Ok(())
}

impl Score {
    fn order(&self, other: &Self) -> Ordering {
        let by_number = self.number.total_cmp(&other.number);
        // A score that is not known comes after all that are.
        let by_money = match (self.money, other.money) {
            (Some(a), Some(b)) => a.cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        let by_hourly = match (self.hourly, other.hourly) {
            (Some(a), Some(b)) => a.cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        (self.fallback, self.unpriced, self.unconfirmed)
            .cmp(&(other.fallback, other.unpriced, other.unconfirmed))
            .then(by_money)
            .then(by_number)
            .then(by_hourly)
            .then(self.size.total_cmp(&other.size))
            .then((self.cpu, self.memory).cmp(&(other.cpu, other.memory)))
    }
}
