//! The sandbox over HTTP, as clients use it.

mod common;
mod hub;
mod run;
mod world;
