//! Everything that is sold, with its verdict: it holds the need at a price, or why not.
//!
//! ```text
//!   shapes of the surfaces ─► fits? ─► host? ─► sold there, so? ─► replicas ─► price ─► Choice
//!                               └────────┴───────────┴───────────────┴──────────┴───► Rejection
//! ```
//!
//! Nothing is left out and the order is fixed: the objective, then the price, then the size,
//! then the catalog's own order.

mod checks;
mod score;

use std::cmp::Ordering;

use openmodel_schemas::catalog::{PurchaseOption, ShapeRow};
use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::{Bytes, Usd, UsdPerHour};
use openmodel_schemas::spec::{Budget, CacheBinding, Objective, Scaling, ShapeRequest, Surface};
use rust_decimal::Decimal;

pub(crate) use self::score::{cluster_fee, per_million, storage};

use self::checks::{host, mismatch, within};
use self::score::{Month, Score, Storage, pico, replicas, score, starting};
use crate::fit::{Fit, fit};
use crate::loader::{self, choose};
use crate::market::{Catalog, Purchase, Sale};
use crate::need::Need;
use crate::pace::pace;
use crate::reason::Reason;
use crate::start::{Origin, Start};

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
    /// The snapshot that the weights come from, where there is one already; its owner pays for it.
    pub(crate) cache: Option<&'s CacheBinding>,
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
    /// Weights that are kept in Cloud Storage, for a month.
    pub(crate) kept: Option<Decimal>,
    /// A month of all that is paid whatever runs: the weights and the cluster.
    pub(crate) fixed: Decimal,
    /// How long a replica takes to start.
    pub(crate) start: Start,
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
    /// Where each of the fits loads from, where a snapshot is there.
    cached: Vec<Origin>,
    /// Starts of a replica in a month.
    starts: u32,
    files: Vec<Bytes>,
    least: u32,
    needed: Vec<u32>,
    /// The fee of a GKE cluster, in picodollars a month.
    cluster: i128,
}

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
            cached: Vec::new(),
            starts: need.workload.starts_per_month.unwrap_or(0),
            files: (0..need.variants.len())
                .map(|variant| need.files(variant))
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

    /// How many are as well known as the best: bought the way that is asked for, priced, and
    /// confirmed to stand there. The others come after them, whatever they cost.
    pub(crate) fn peers(&self) -> usize {
        let Some(best) = self.feasible.first() else {
            return 0;
        };
        let alike = |candidate: &&Candidate| candidate.score.flags == best.score.flags;
        self.feasible.iter().filter(alike).count()
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
        let kept = self
            .stored
            .then(|| storage(self.catalog, files, sale.surface, sale.region))
            .flatten();
        let fixed =
            kept.unwrap_or_default() + cluster_fee(self.catalog, sale.surface).unwrap_or_default();
        Choice {
            sale,
            cpu: sale.shape.cpu,
            memory,
            fit,
            replicas,
            hourly,
            kept,
            fixed,
            start: Start::of(files, self.origin(fit, sale.surface)),
        }
    }

    /// Where a replica loads from; Hugging Face keeps a copy of its own.
    fn origin(&self, fit: usize, surface: Surface) -> Origin {
        match self.cached.get(fit) {
            _ if surface == Surface::HuggingFace => Origin::Hub,
            Some(origin) => *origin,
            None if self.stored => Origin::Bucket,
            None => Origin::Hub,
        }
    }

    /// A month of the replicas that the load needs, as it is ranked: what it adds to the bill where
    /// the user's terms are known, the list price elsewhere.
    pub(crate) fn month(&self, choice: &Choice) -> Option<Usd> {
        let hourly = choice.hourly?;
        let added = self.catalog.added(&choice.sale, hourly, choice.replicas);
        choice.month_at(added.unwrap_or(hourly * choice.replicas), self.starts)
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
                let files = self.files[self.fits[index].variant];
                let stored = if scope.stored {
                    storage.of(scope.catalog, files, sale)
                } else {
                    0
                };
                let cluster = if sale.surface == Surface::Gke {
                    self.cluster
                } else {
                    0
                };
                let month = Month {
                    fixed: stored.saturating_add(cluster),
                    starting: starting(need, files, self.origin(index, sale.surface)),
                };
                if let Err(reason) = within(scope.budget, hourly, most, month, sale.region) {
                    self.reject(reject(reason, hourly));
                    continue;
                }
                let fallback = scope.options.is_empty() && sale.option != PurchaseOption::OnDemand;
                let score = score(
                    scope,
                    sale,
                    hourly,
                    &self.fits[index],
                    needed,
                    month,
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
            if let Some(cache) = scope.cache {
                // What cannot be loaded is said of the choice; until then it counts as mounted.
                self.cached.extend(fits.iter().map(|fit| {
                    choose(need, fit, cache.loader).map_or(Origin::Fuse, loader::origin)
                }));
            }
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
