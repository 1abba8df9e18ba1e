//! The execution graph: the one thing `resolve` and `apply` share.
//!
//! | module | holds |
//! |---|---|
//! | [`operation`] | the primitive cloud calls, as data |
//! | [`graph`] | the steps and their order: [`GraphBuilder`](graph::GraphBuilder), [`ExecutionGraph`](graph::ExecutionGraph) |
//! | [`key`] | what a step's object is marked with in the cloud: [`StepKey`](key::StepKey) |

pub mod graph;
pub mod key;
pub mod operation;
