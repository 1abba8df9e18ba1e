//! A cache decided: what it takes to make, change and remove one.

pub mod lowering;
