//! A cache decided: what it takes to make, change and remove one, what it costs, and how fast its
//! files load.

mod cost;
mod load;
pub mod lowering;

pub use self::cost::{AnywhereCacheLoad, CacheLoad, Origin, Place, cache_cost};
pub use self::load::load_times;
