//! Every shape that is sold, with its verdict: it holds the load at a price, or why not.
//!
//! ```text
//!   offer ─► region? ─► count? ─► data type? ─► accelerator memory? ─► host? ─► Choice
//!               └─────────┴───────────┴───────────────┴──────────────────┴────► Rejection
//! ```

use std::fmt;

use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::{Bytes, UsdPerHour};
use openmodel_schemas::report::{Candidate, Shape};
use openmodel_schemas::shape::{AcceleratorRow, EngineRow, HostRow, OfferRow};
use openmodel_schemas::spec::{ShapeRequest, Workload};

use crate::architecture::Architecture;
use crate::estimate::Place;
use crate::footprint::Footprint;
use crate::weights::Weights;

/// What is to be placed, and where.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) engine: &'a EngineRow,
    pub(crate) architecture: Architecture<'a>,
    pub(crate) weights: Weights,
    pub(crate) workload: Workload,
}

/// A shape that holds the load.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice<'a> {
    pub(crate) accelerator: &'a AcceleratorRow,
    pub(crate) offer: &'a OfferRow,
    pub(crate) shape: Shape,
    pub(crate) footprint: Footprint,
    pub(crate) hourly: Option<UsdPerHour>,
}

/// A shape that does not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rejection {
    pub(crate) shape: String,
    pub(crate) hourly: Option<UsdPerHour>,
    pub(crate) reason: Reason,
}

/// Why a shape does not hold the load.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reason {
    NotInRegion {
        region: Region,
        regions: Vec<Region>,
    },
    CountUnsupported {
        asked: u32,
        sold: Vec<u32>,
    },
    DtypeUnsupported {
        needs: u32,
        has: u32,
    },
    TooSmall(Box<Footprint>),
    CpuUnsupported {
        asked: u32,
        sold: Vec<u32>,
    },
    MemoryUnsupported {
        asked: Bytes,
        sold: Vec<HostRow>,
    },
    HostMemory {
        needs: Bytes,
        files: Bytes,
        has: Bytes,
    },
}

/// All verdicts. Those that hold the load stand cheapest first, unpriced ones after all
/// priced ones and smallest first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Survey<'a> {
    pub(crate) feasible: Vec<Choice<'a>>,
    pub(crate) rejected: Vec<Rejection>,
}

impl<'a> Survey<'a> {
    /// Look at everything the surface sells that agrees with what the user fixed.
    pub(crate) fn of(request: &Request<'a>, fixed: &ShapeRequest) -> Self {
        let mut survey = Self {
            feasible: Vec::new(),
            rejected: Vec::new(),
        };
        let catalog = request.place.catalog;
        for offer in catalog.offers(request.place.surface) {
            let wanted = fixed
                .accelerator
                .as_ref()
                .is_none_or(|name| *name == offer.accelerator);
            if let (true, Some(accelerator)) = (wanted, catalog.accelerator(&offer.accelerator)) {
                survey.look_at(request, fixed, offer, accelerator);
            }
        }
        survey.feasible.sort_by(|a, b| {
            rank(a)
                .partial_cmp(&rank(b))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        survey
    }

    fn look_at(
        &mut self,
        request: &Request<'a>,
        fixed: &ShapeRequest,
        offer: &'a OfferRow,
        accelerator: &'a AcceleratorRow,
    ) {
        let count = fixed
            .accelerator_count
            .unwrap_or_else(|| offer.counts.first().copied().unwrap_or(1));
        let line = format!("{} x{count}", offer.accelerator);
        let footprint = match footprint(request, offer, accelerator, count) {
            Ok(footprint) => footprint,
            Err(reason) => {
                return self.rejected.push(Rejection {
                    shape: line,
                    hourly: None,
                    reason,
                });
            }
        };
        let hosts = match hosts(offer, fixed) {
            Ok(hosts) => hosts,
            Err(reason) => {
                return self.rejected.push(Rejection {
                    shape: line,
                    hourly: None,
                    reason,
                });
            }
        };
        for (cpu, memory) in hosts {
            let accelerator_name = offer.accelerator.clone();
            let shape = Shape {
                accelerator: accelerator_name,
                accelerator_count: count,
                cpu,
                memory,
            };
            let hourly = request.place.hourly(&shape);
            if footprint.host <= memory {
                self.feasible.push(Choice {
                    accelerator,
                    offer,
                    shape,
                    footprint: footprint.clone(),
                    hourly,
                });
            } else {
                let files = request.weights.files;
                let reason = Reason::HostMemory {
                    needs: footprint.host,
                    files,
                    has: memory,
                };
                self.rejected.push(Rejection {
                    shape: show(&shape),
                    hourly,
                    reason,
                });
            }
        }
    }
}

/// A shape in one line: `nvidia-l4 x1, 4 vCPU, 16 GiB`.
pub(crate) fn show(shape: &Shape) -> String {
    let Shape {
        accelerator,
        accelerator_count,
        cpu,
        memory,
    } = shape;
    let memory = memory.as_gib();
    format!("{accelerator} x{accelerator_count}, {cpu} vCPU, {memory} GiB")
}

/// Priced before unpriced, then the price, then the smaller one, then the name.
fn rank<'c>(choice: &'c Choice) -> impl PartialOrd + use<'c> {
    let shape = &choice.shape;
    let size = (choice.accelerator.usable_gib, shape.cpu, shape.memory);
    (
        choice.hourly.is_none(),
        choice.hourly,
        size,
        &shape.accelerator,
    )
}

fn footprint(
    request: &Request,
    offer: &OfferRow,
    accelerator: &AcceleratorRow,
    count: u32,
) -> Result<Footprint, Reason> {
    let region = request.place.region;
    if !offer.regions.iter().any(|row| row.region == *region) {
        let regions = offer.regions.iter().map(|row| row.region.clone()).collect();
        return Err(Reason::NotInRegion {
            region: region.clone(),
            regions,
        });
    }
    if !offer.counts.contains(&count) {
        return Err(Reason::CountUnsupported {
            asked: count,
            sold: offer.counts.clone(),
        });
    }
    let (needs, has) = (
        request.weights.min_compute_capability,
        accelerator.compute_capability,
    );
    if has < needs {
        return Err(Reason::DtypeUnsupported { needs, has });
    }
    let footprint = Footprint::of(
        request.architecture,
        &request.weights,
        &request.workload,
        request.engine,
        accelerator,
    );
    if footprint.fits() {
        Ok(footprint)
    } else {
        Err(Reason::TooSmall(Box::new(footprint)))
    }
}

/// Host sizes that agree with what the user fixed.
fn hosts(offer: &OfferRow, fixed: &ShapeRequest) -> Result<Vec<(u32, Bytes)>, Reason> {
    let gib = |count: u32| Bytes::gib(u64::from(count));
    let rows = || {
        offer
            .hosts
            .iter()
            .filter(|row| fixed.cpu.is_none_or(|cpu| cpu == row.cpu))
    };
    if let (Some(asked), None) = (fixed.cpu, rows().next()) {
        return Err(Reason::CpuUnsupported {
            asked,
            sold: offer.hosts.iter().map(|row| row.cpu).collect(),
        });
    }
    let Some(asked) = fixed.memory else {
        return Ok(rows()
            .map(|row| (row.cpu, gib(row.max_memory_gib)))
            .collect());
    };
    let fits =
        |row: &&HostRow| (gib(row.min_memory_gib)..=gib(row.max_memory_gib)).contains(&asked);
    let hosts: Vec<(u32, Bytes)> = rows().filter(fits).map(|row| (row.cpu, asked)).collect();
    if hosts.is_empty() {
        return Err(Reason::MemoryUnsupported {
            asked,
            sold: rows().copied().collect(),
        });
    }
    Ok(hosts)
}

impl Reason {
    /// Stable code of the reason.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::NotInRegion { .. } => "not_in_region",
            Self::CountUnsupported { .. } => "count_unsupported",
            Self::DtypeUnsupported { .. } => "dtype_unsupported",
            Self::TooSmall(_) => "too_small",
            Self::CpuUnsupported { .. } => "cpu_unsupported",
            Self::MemoryUnsupported { .. } => "memory_unsupported",
            Self::HostMemory { .. } => "host_memory",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInRegion { region, regions } => {
                write!(f, "not sold in {region}; it is in {}", list(regions))
            }
            Self::CountUnsupported { asked, sold } => {
                write!(
                    f,
                    "{asked} in one instance are not sold, only {}",
                    list(sold)
                )
            }
            Self::DtypeUnsupported { needs, has } => {
                let dotted = |capability: &u32| format!("{}.{}", capability / 10, capability % 10);
                let (needs, has) = (dotted(needs), dotted(has));
                write!(
                    f,
                    "the weights' data type needs compute capability {needs}, it has {has}"
                )
            }
            Self::TooSmall(footprint) => {
                let (needs, share, usable) = (footprint.needs(), footprint.share, footprint.usable);
                write!(f, "needs {needs}, the engine has {share} of its {usable}")
            }
            Self::CpuUnsupported { asked, sold } => {
                write!(f, "{asked} vCPU are not sold with it, only {}", list(sold))
            }
            Self::MemoryUnsupported { asked, sold } => {
                let sold: Vec<String> = sold.iter().map(host_words).collect();
                write!(
                    f,
                    "{asked} of host memory are not sold, only {}",
                    list(&sold)
                )
            }
            Self::HostMemory { needs, files, has } => {
                write!(
                    f,
                    "needs {needs} of host memory ({files} of weight files lie in it), has {has}"
                )
            }
        }
    }
}

fn host_words(row: &HostRow) -> String {
    let HostRow {
        cpu,
        min_memory_gib: least,
        max_memory_gib: most,
    } = row;
    if least == most {
        format!("{most} GiB with {cpu} vCPU")
    } else {
        format!("{least} to {most} GiB with {cpu} vCPU")
    }
}

impl Rejection {
    pub(crate) fn candidate(&self) -> Candidate {
        let (code, reason) = (self.reason.code().to_owned(), self.reason.to_string());
        Candidate {
            shape: self.shape.clone(),
            hourly: self.hourly,
            code,
            reason,
        }
    }
}

/// Items in words: `a, b, c`.
pub(crate) fn list<T: fmt::Display>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
