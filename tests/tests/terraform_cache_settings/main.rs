//! Settings of `openmodel_cache` with the real terraform: what is kept and where, for how long, what the gates
//! stop, and what happens when Cloud Storage says no or two runs want the same.

mod gates;
mod history;
mod kinds;
mod others;
mod trouble;
mod world;
