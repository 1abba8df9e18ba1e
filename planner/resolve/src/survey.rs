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
use crate::pace::pace;
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
    /// How many of those that hold the need are put in order; 0: all.
    pub(crate) most: usize,
    /// Limits of cost; a shape over them is rejected.
    pub(crate) budget: &'s Budget,
}

/// A shape that holds the need, as it would be bought. Thousands are compared, so it is small; a
/// [`Choice`] says all of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    score: Score,
    /// Place of the sale in the catalog's list.
    sale: u32,
    /// Place of the fit in the survey's list.
    fit: u32,
}

/// A candidate with everything that is shown of it.
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
#[derive(Debug, Clone)]
pub(crate) struct Survey<'a> {
    /// Those that hold the need: the best `scope.most` first and in order, the others after them.
    feasible: Vec<Candidate>,
    pub(crate) rejected: Vec<Rejection<'a>>,
    /// How the shapes hold it.
    pub(crate) fits: Vec<Fit>,
    catalog: &'a Catalog,
    memory: Option<Bytes>,
    stored: bool,
    files: Vec<Bytes>,
    least: u32,
    needed: Vec<u32>,
    /// The fee of a GKE cluster, in picodollars a month.
    cluster: i128,
}

/// The order of candidates. Compared field by field; the catalog's own order breaks ties.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Score {
    /// Bought otherwise than asked for by default, unpriced, or nobody but one list says that the
    /// hardware stands there: each is worse than what follows can make good.
    flags: u8,
    /// What the objective compares, in picodollars or as it is.
    money: i128,
    number: f64,
    /// Picodollars an hour.
    hourly: i128,
    /// Bytes of accelerator memory, in GiB.
    size: f32,
    cpu: u32,
}

/// Amounts are compared as whole picodollars: prices have at most nine decimals.
fn pico(amount: Decimal) -> i128 {
    let scale = amount.scale();
    let mantissa = amount.mantissa();
    match 12_u32.checked_sub(scale) {
        Some(up) => mantissa.saturating_mul(10_i128.pow(up)),
        None => mantissa / 10_i128.pow(scale - 12),
    }
}

/// Hours of a month.
const MONTH: i128 = 730;

/// Of how many the speed is told where all are in order.
const SHOWN: usize = 64;

impl<'a> Survey<'a> {
    /// Look at everything the surfaces sell that agrees with the scope.
    pub(crate) fn of(need: &Need, scope: &Scope<'a, '_>) -> Self {
        let mut survey = Self {
            feasible: Vec::new(),
            rejected: Vec::new(),
            fits: Vec::new(),
            catalog: scope.catalog,
            memory: scope.fixed.memory,
            stored: scope.stored,
            files: need
                .variants
                .iter()
                .map(|variant| variant.weights.files)
                .collect(),
            least: scope
                .scaling
                .map_or(1, |scaling| scaling.min_replicas.max(1)),
            needed: Vec::new(),
            cluster: cluster_fee(scope.catalog, Surface::Gke).map_or(0, pico),
        };
        let mut known: Vec<Known<'a>> = Vec::new();
        let mut storage = Storage::default();
        let mut of_shape = Vec::new();
        for surface in scope.surfaces {
            let mut sales = scope.catalog.numbered_sales_on(*surface).peekable();
            while let Some((_, first)) = sales.peek() {
                let shape = first.shape;
                of_shape.clear();
                while let Some(sale) = sales.next_if(|(_, sale)| std::ptr::eq(sale.shape, shape)) {
                    of_shape.push(sale);
                }
                survey.look_at(need, scope, &of_shape, &mut known, &mut storage);
            }
        }
        survey.drop_what_is_not_meant();
        survey.order(scope.most);
        survey.tell_pace(need, scope.most);
        survey
    }

    /// How many hold the need.
    pub(crate) fn count(&self) -> usize {
        self.feasible.len()
    }

    /// The best.
    pub(crate) fn first(&self) -> Option<Choice<'a>> {
        self.feasible
            .first()
            .map(|candidate| self.choice(candidate))
    }

    /// Those that hold the need, the best first as far as they are in order.
    pub(crate) fn choices(&self) -> impl Iterator<Item = Choice<'a>> + use<'_, 'a> {
        self.feasible.iter().map(|candidate| self.choice(candidate))
    }

    /// Put the best in order; the rest stays as it comes.
    fn order(&mut self, most: usize) {
        let compare = |a: &Candidate, b: &Candidate| {
            a.score
                .partial_cmp(&b.score)
                .unwrap_or(Ordering::Equal)
                .then((a.sale, a.fit).cmp(&(b.sale, b.fit)))
        };
        if most > 0 && most < self.feasible.len() {
            self.feasible.select_nth_unstable_by(most - 1, compare);
            self.feasible[..most].sort_unstable_by(compare);
        } else {
            self.feasible.sort_unstable_by(compare);
        }
    }

    /// The speed of what is shown, where nothing asked for it before.
    fn tell_pace(&mut self, need: &Need, most: usize) {
        let shown = if most == 0 { SHOWN } else { most };
        for candidate in self.feasible.iter().take(shown) {
            let fit = &mut self.fits[candidate.fit as usize];
            if fit.pace.is_none()
                && let Some(sale) = self.catalog.sale_at(candidate.sale)
            {
                fit.pace = pace(
                    need,
                    &need.variants[fit.variant],
                    fit.engine,
                    fit.parallelism,
                    sale.accelerator,
                    sale.shape.eighths,
                );
            }
        }
    }

    /// Everything of a candidate.
    fn choice(&self, candidate: &Candidate) -> Choice<'a> {
        let sale = self
            .catalog
            .sale_at(candidate.sale)
            .expect("it came from the catalog's list");
        let fit = candidate.fit as usize;
        let memory = self
            .memory
            .unwrap_or(Bytes::gib(sale.shape.memory_gib.into()));
        let hourly = price(self.catalog, self.memory, &sale);
        let replicas = self.needed[fit].max(self.least);
        let files = self.files[self.fits[fit].variant];
        let expected = hourly.and_then(|hourly| {
            let stored = self
                .stored
                .then(|| storage(self.catalog, files, sale.surface, sale.region))
                .flatten();
            (hourly * replicas)
                .per_month()
                .0
                .checked_add(stored.unwrap_or_default())?
                .checked_add(cluster_fee(self.catalog, sale.surface).unwrap_or_default())
                .map(Usd)
        });
        Choice {
            sale,
            cpu: sale.shape.cpu,
            memory,
            fit,
            replicas,
            hourly,
            expected,
        }
    }

    /// All ways to buy one shape on one surface.
    fn look_at(
        &mut self,
        need: &Need,
        scope: &Scope<'a, '_>,
        sales: &[(u32, Sale<'a>)],
        known: &mut Vec<Known<'a>>,
        storage: &mut Storage,
    ) {
        let Some((_, first)) = sales.first().copied() else {
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
        let here = |(_, sale): &&(u32, Sale<'a>)| {
            scope.regions.is_empty()
                || sale
                    .region
                    .is_some_and(|region| scope.regions.contains(region))
        };
        let Some(_) = sales.iter().find(here) else {
            let mut regions: Vec<Region> = sales
                .iter()
                .filter_map(|(_, sale)| sale.region.cloned())
                .collect();
            regions.sort();
            regions.dedup();
            let region = scope.regions[0].clone();
            return self.reject(reject(Reason::NotInRegion { region, regions }, None));
        };
        let on_demand = sales
            .iter()
            .any(|(_, sale)| sale.option == PurchaseOption::OnDemand);
        let bought = |(_, sale): &&(u32, Sale<'a>)| match (scope.options, on_demand) {
            ([], true) => sale.option == PurchaseOption::OnDemand,
            ([], false) => true,
            (options, _) => options.contains(&sale.option),
        };
        if !sales.iter().any(|sale| bought(&sale)) {
            let mut sold: Vec<PurchaseOption> = sales.iter().map(|(_, sale)| sale.option).collect();
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
        let chosen = || sales.iter().filter(here).filter(bought);
        for index in fits {
            let host = host(need, surface, shape, memory, &self.fits[index]);
            if let Err(reason) = host {
                let hourly = chosen()
                    .filter_map(|(_, sale)| price(scope.catalog, fixed.memory, sale))
                    .min();
                self.reject(reject(reason, hourly));
                continue;
            }
            let needed = self.needed[index].max(self.least);
            if let Some(scaling) = scope
                .scaling
                .filter(|scaling| needed > scaling.max_replicas)
            {
                let most = scaling.max_replicas;
                self.reject(reject(Reason::TooManyReplicas { needed, most }, None));
                continue;
            }
            for (place, sale) in chosen() {
                let hourly = price(scope.catalog, fixed.memory, sale);
                let most = scope.scaling.map_or(needed, |scaling| scaling.max_replicas);
                if let Err(reason) = within(scope.budget, hourly, most, sale.region) {
                    self.reject(reject(reason, hourly));
                    continue;
                }
                let fallback = scope.options.is_empty() && sale.option != PurchaseOption::OnDemand;
                let files = self.files[self.fits[index].variant];
                let stored = if scope.stored {
                    storage.of(scope.catalog, files, sale)
                } else {
                    0
                };
                let score = score(
                    scope,
                    sale,
                    hourly,
                    &self.fits[index],
                    needed,
                    (stored, self.cluster),
                    fallback,
                );
                self.feasible.push(Candidate {
                    score,
                    sale: *place,
                    fit: u32::try_from(index).unwrap_or(u32::MAX),
                });
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
        let verdict = fit(
            need,
            shape,
            accelerator,
            scope.objective,
            paced(need, scope),
        )
        .map(|fits| {
            self.needed
                .extend(fits.iter().map(|fit| replicas(need, fit)));
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
        if !self
            .rejected
            .iter()
            .any(|rejection| picks(&rejection.reason))
        {
            return;
        }
        let mut meant: Vec<(Surface, &str)> = self
            .choices()
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
    if let Some(asked) = fixed
        .accelerator_count
        .filter(|count| *count != shape.count)
    {
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

/// Whether speed has a part in the verdict or the order.
fn paced(need: &Need, scope: &Scope) -> bool {
    scope.objective != Objective::Cost
        || need.workload.requests_per_second.is_some()
        || !need.workload.goals.is_empty()
}

/// One replica for an hour, with the host memory that the user fixes.
fn price(catalog: &Catalog, memory: Option<Bytes>, sale: &Sale) -> Option<UsdPerHour> {
    match memory {
        None => sale.hourly,
        Some(memory) => {
            let purchase = Purchase {
                memory,
                ..Purchase::from(*sale)
            };
            catalog.hourly(&purchase).map(|priced| priced.hourly)
        }
    }
}

/// Storage of weights by region, in picodollars a month, looked up once for each.
#[derive(Debug, Default)]
struct Storage {
    known: Vec<(*const Region, Bytes, Surface, i128)>,
}

impl Storage {
    fn of(&mut self, catalog: &Catalog, files: Bytes, sale: &Sale) -> i128 {
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

fn score(
    scope: &Scope,
    sale: &Sale,
    hourly: Option<UsdPerHour>,
    fit: &Fit,
    needed: u32,
    (stored, cluster): (i128, i128),
    fallback: bool,
) -> Score {
    let hour = hourly.map(|hourly| pico(hourly.0));
    let tokens = fit.pace.map(|pace| pace.output_tokens_per_second.estimate);
    // What is not known comes after all that is.
    let unknown = i128::MAX;
    let money = match (scope.objective, hour) {
        (Objective::Cost, Some(hour)) => {
            let cluster = if sale.surface == Surface::Gke {
                cluster
            } else {
                0
            };
            hour.saturating_mul(MONTH)
                .saturating_mul(needed.into())
                .saturating_add(stored)
                .saturating_add(cluster)
        }
        (Objective::CostPerToken, _) => {
            per_million(hourly, tokens).map_or(unknown, |usd| pico(usd.0))
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
        flags: u8::from(fallback) * 4 + u8::from(hour.is_none()) * 2 + u8::from(!sale.confirmed),
        money,
        number,
        hourly: hour.unwrap_or(unknown),
        size,
        cpu: shape.cpu,
    }
}

/// Replicas that the requested load needs: requests a second over what one serves at its
/// concurrency.
fn replicas(need: &Need, fit: &Fit) -> u32 {
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
fn cluster_fee(catalog: &Catalog, surface: Surface) -> Option<Decimal> {
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
    if let Some(most) = budget
        .max_hourly_cost
        .filter(|most| all.0.round_dp(4) > *most)
    {
        return Err(Reason::OverHourly {
            costs: all,
            most: UsdPerHour(most),
        });
    }
    let month = all.per_month();
    if let Some(most) = budget
        .max_monthly_cost
        .filter(|most| month.0.round_dp(2) > *most)
    {
        return Err(Reason::OverMonthly {
            costs: month,
            most: Usd(most),
        });
    }
    Ok(())
}
