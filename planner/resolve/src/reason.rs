//! Why a shape does not serve a load: a stable code, and the figures in words.

use std::fmt;

use openmodel_schemas::catalog::PurchaseOption;
use openmodel_schemas::name::Region;
use openmodel_schemas::quantity::{Bytes, Usd, UsdPerHour};

use crate::footprint::Footprint;
use crate::parallel::{Indivisible, Parallelism};

/// Why not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reason {
    /// The surface does not have it in the region.
    NotInRegion {
        region: Region,
        regions: Vec<Region>,
    },
    /// The surface does not sell it in the way asked for.
    NotSoldSo {
        asked: Vec<PurchaseOption>,
        sold: Vec<PurchaseOption>,
    },
    /// So many in one replica are not sold.
    CountUnsupported { asked: u32, sold: Vec<u32> },
    /// No kernel multiplies the weights' format on it.
    DtypeUnsupported {
        format: &'static str,
        needs: u32,
        has: u32,
    },
    /// It has no units for the weights' format, and no kernels that widen it.
    NoHardware { format: &'static str },
    /// No engine serves the model on it.
    EngineLacksIt { engine: String, what: String },
    /// The model does not split over its devices.
    Indivisible(Indivisible),
    /// The draft model does not split over as many devices as the model.
    DraftIndivisible(Indivisible),
    /// Its devices do not hold it.
    TooSmall {
        footprint: Box<Footprint>,
        parallelism: Parallelism,
    },
    /// So many vCPUs are not sold with it.
    CpuUnsupported { asked: u32, sold: Vec<u32> },
    /// So much host memory is not sold with it.
    MemoryUnsupported {
        asked: Bytes,
        sold: Vec<(u32, u32, u32)>,
    },
    /// The host does not hold what lies in its memory.
    HostMemory {
        needs: Bytes,
        files: Bytes,
        has: Bytes,
    },
    /// More requests at once than the surface hands to a replica.
    SurfaceLimit { asked: u32, most: u32 },
    /// It is too slow.
    MissesGoal {
        goal: &'static str,
        asked_ms: u32,
        estimate_ms: f64,
    },
    /// More replicas than allowed.
    TooManyReplicas { needed: u32, most: u32 },
    /// It costs more than the limit.
    OverHourly { costs: UsdPerHour, most: UsdPerHour },
    /// It costs more than the limit.
    OverMonthly { costs: Usd, most: Usd },
    /// A limit is set and its price is not known.
    Unpriced { region: Option<Region> },
}

impl Reason {
    /// Stable code of the reason.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::NotInRegion { .. } => "not_in_region",
            Self::NotSoldSo { .. } => "not_sold_so",
            Self::CountUnsupported { .. } => "count_unsupported",
            Self::DtypeUnsupported { .. } | Self::NoHardware { .. } => "dtype_unsupported",
            Self::EngineLacksIt { .. } => "engine_lacks_it",
            Self::Indivisible(_) | Self::DraftIndivisible(_) => "indivisible",
            Self::TooSmall { .. } => "too_small",
            Self::CpuUnsupported { .. } => "cpu_unsupported",
            Self::MemoryUnsupported { .. } => "memory_unsupported",
            Self::HostMemory { .. } => "host_memory",
            Self::SurfaceLimit { .. } => "surface_limit",
            Self::MissesGoal { .. } => "misses_goal",
            Self::TooManyReplicas { .. } => "too_many_replicas",
            Self::OverHourly { .. } | Self::OverMonthly { .. } => "over_budget",
            Self::Unpriced { .. } => "unpriced",
        }
    }

    /// What is needed of the memory that does not suffice, and what there is of it.
    pub(crate) fn shortfall(&self) -> Option<(Bytes, Bytes)> {
        match self {
            Self::TooSmall { footprint, .. } if footprint.needs() <= footprint.share => {
                Some(footprint.outside())
            }
            Self::TooSmall { footprint, .. } => Some((footprint.needs(), footprint.share)),
            Self::HostMemory { needs, has, .. } => Some((*needs, *has)),
            _ => None,
        }
    }

    /// Whether it is about the accelerator, whatever the host around it.
    pub(crate) const fn of_accelerator(&self) -> bool {
        matches!(
            self,
            Self::NotInRegion { .. }
                | Self::NotSoldSo { .. }
                | Self::CountUnsupported { .. }
                | Self::DtypeUnsupported { .. }
                | Self::NoHardware { .. }
                | Self::EngineLacksIt { .. }
                | Self::Indivisible(_)
                | Self::DraftIndivisible(_)
                | Self::TooSmall { .. }
                | Self::CpuUnsupported { .. }
                | Self::MemoryUnsupported { .. }
                | Self::MissesGoal { .. }
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInRegion { region, regions } if regions.is_empty() => {
                write!(
                    f,
                    "not known to be sold in {region}, nor in which regions it is"
                )
            }
            Self::NotInRegion { region, regions } => {
                write!(f, "not sold in {region}; it is in {}", list(regions))
            }
            Self::NotSoldSo { asked, sold } => {
                write!(f, "not sold {}, only {}", options(asked), options(sold))
            }
            Self::CountUnsupported { asked, sold } => write!(
                f,
                "{asked} in one instance are not sold, only {}",
                list(sold)
            ),
            Self::DtypeUnsupported { format, needs, has } => {
                let dotted = |capability: &u32| format!("{}.{}", capability / 10, capability % 10);
                let (needs, has) = (dotted(needs), dotted(has));
                write!(
                    f,
                    "weights in {format} need compute capability {needs}, it has {has}"
                )
            }
            Self::NoHardware { format } => write!(f, "it has no units for weights in {format}"),
            Self::EngineLacksIt { engine, what } => write!(f, "{engine} does not serve {what}"),
            Self::Indivisible(why) => write!(f, "{why}"),
            Self::DraftIndivisible(why) => write!(f, "the draft model: {why}"),
            Self::TooSmall {
                footprint,
                parallelism,
            } => {
                let each = if parallelism.devices() > 1 {
                    " on each device"
                } else {
                    ""
                };
                if footprint.needs() <= footprint.share {
                    let (needs, has) = footprint.outside();
                    return write!(
                        f,
                        "needs {needs}{each} outside of the engine's share, {has} is there"
                    );
                }
                write!(
                    f,
                    "needs {}{each}, the engine has {} of its {}",
                    footprint.needs(),
                    footprint.share,
                    footprint.usable
                )
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
            Self::HostMemory { needs, files, has } => write!(
                f,
                "needs {needs} of host memory ({files} of weight files lie in it), has {has}"
            ),
            Self::SurfaceLimit { asked, most } => write!(
                f,
                "{asked} requests at once are asked for, a replica there takes {most}"
            ),
            Self::MissesGoal {
                goal,
                asked_ms,
                estimate_ms,
            } => write!(
                f,
                "{goal} is about {estimate_ms:.0} ms, at most {asked_ms} ms is asked for"
            ),
            Self::TooManyReplicas { needed, most } => {
                write!(
                    f,
                    "the load needs {needed} replicas, at most {most} are allowed"
                )
            }
            Self::OverHourly { costs, most } => {
                write!(f, "costs {costs}, at most {most} is allowed")
            }
            Self::OverMonthly { costs, most } => {
                write!(f, "costs {costs} a month, at most {most} is allowed")
            }
            Self::Unpriced { region } => match region {
                Some(region) => write!(
                    f,
                    "its price in {region} is not known, so no limit of cost can be checked"
                ),
                None => write!(
                    f,
                    "its price is not known, so no limit of cost can be checked"
                ),
            },
        }
    }
}

fn host_words((cpu, least, most): &(u32, u32, u32)) -> String {
    if least == most {
        format!("{most} GiB with {cpu} vCPU")
    } else {
        format!("{least} to {most} GiB with {cpu} vCPU")
    }
}

fn options(options: &[PurchaseOption]) -> String {
    let words: Vec<&str> = options.iter().map(|option| option.as_str()).collect();
    words.join(", ")
}

/// Items in words: `a, b, c`.
pub(crate) fn list<T: fmt::Display>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
