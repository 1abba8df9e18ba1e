//! What a cache of a repository costs, and how fast each loader gets its files into an engine.

use serde::{Deserialize, Serialize};

use super::Range;
use crate::quantity::Usd;

/// What a snapshot's files cost in Cloud Storage, gross of credits and discounts. A total is known
/// only where each of its parts is; beside it stands the sum of those that are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheCost {
    /// ISO currency code: `USD`.
    pub currency: String,
    /// Each place that keeps the files, in the order asked for.
    pub locations: Vec<LocationCost>,
    /// Anywhere Cache in all of its zones; `None` where none is asked for.
    pub anywhere_cache: Option<AnywhereCacheCost>,
    /// A month of all places, and of Anywhere Cache while it is full; `None` where the price of a
    /// part is not known.
    pub monthly: Option<Usd>,
    /// The known parts of `monthly`: it costs at least this.
    pub monthly_at_least: Usd,
    /// What moving the files there costs once, with the first fill of Anywhere Cache; `None` where
    /// the price of a part is not known.
    pub one_time: Option<Usd>,
    /// The known parts of `one_time`: it costs at least this.
    pub one_time_at_least: Usd,
    /// The parts, each with its price and source, or with the reason that there is none.
    pub lines: Vec<CacheCostLine>,
    /// How it was reckoned, and what is not counted.
    pub basis: String,
    /// The day the oldest of the prices was read; the catalog's where none is known.
    pub price_date: String,
}

/// What the files cost in one place. `None` is "not known", never "free".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocationCost {
    /// The region, multi-region or dual-region, in small letters: `us-central1`, `eu`, `nam4`.
    pub location: String,
    /// Storage class: `STANDARD`.
    pub storage_class: String,
    /// A month of storage, of earlier snapshots too.
    pub monthly: Option<Usd>,
    /// Moving the files there, once.
    pub transfer: Option<Usd>,
    /// Reading them once from a machine of this place, as each start of a replica does.
    pub load: Option<Usd>,
}

/// What Anywhere Cache costs in all of its zones together. `None` is "not known", never "free".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnywhereCacheCost {
    /// The zones.
    pub zones: Vec<String>,
    /// 730 hours while each of the zones holds all files.
    pub monthly: Option<Usd>,
    /// Filling it once in each of the zones.
    pub fill: Option<Usd>,
    /// Reading the files once from the dearest of the zones.
    pub load: Option<Usd>,
}

/// How often a part of a cache is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Each month of 730 hours.
    Month,
    /// Once.
    Once,
    /// Each time that a machine reads the files.
    Load,
}

impl Per {
    /// The word of documents: `month`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Once => "once",
            Self::Load => "load",
        }
    }
}

/// One priced part of a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheCostLine {
    /// What it is: `14.96 GiB of STANDARD storage in us-central1`.
    pub item: String,
    /// How often it is paid.
    pub per: Per,
    /// What it costs each time; `None` where no price is known.
    pub usd: Option<Usd>,
    /// Unit price and where it stands, or why there is none.
    pub source: String,
}

/// How long it takes to get the files from each place they can lie in into the host of an engine,
/// without the start of container and engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadTimes {
    /// From the Hub.
    pub hub: LoadEstimate,
    /// From a mounted bucket of the region.
    pub fuse: LoadEstimate,
    /// From such a bucket by the engine's streamer.
    pub streamer: LoadEstimate,
    /// From Anywhere Cache in the zone, once it is filled.
    pub anywhere_cache: LoadEstimate,
    /// From a Hyperdisk ML volume that holds them already.
    pub hyperdisk_ml: LoadEstimate,
    /// From the machine's local SSDs that hold them already.
    pub local_ssd: LoadEstimate,
}

/// Seconds of one way, with what they rest on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadEstimate {
    /// Seconds; `None` where nobody measured or documents how fast it is.
    pub seconds: Option<Range>,
    /// The rates and who measured or documents them, or why there are none.
    pub basis: String,
}
