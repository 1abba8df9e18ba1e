//! A cache decided: what it takes to make, change and remove one, what it costs, and how fast its
//! files load.

mod cost;
pub mod engine;
mod load;
pub mod lowering;
mod places;

pub use self::cost::{AnywhereCacheLoad, CacheLoad, Earlier, Origin, Place, cache_cost};
pub use self::load::load_times;
pub use self::places::storage_locations;
