//! Doing what a graph says, on any cloud: look, then perform, then look again.
//!
//! ```text
//!   ExecutionGraph ──► Run ──ready──► executor ──observe, perform, undo──► Cloud
//!                       ▲                                                    │
//!                       └──────────────────── Event ◄────────────────────────┘
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`cloud`] | the door out: the [`Cloud`](cloud::Cloud) trait and its answers |
//! | [`event`] | what can happen to a run |
//! | [`run`] | the state of executing one graph: a pure fold over events |
//! | [`state`] | where each step of it stands |
//! | [`executor`] | [`apply`](executor::apply): does what the run asks for, in parallel, with time |
//! | [`backoff`] | how long to wait between two tries |
//! | [`report`] | how it ended, and what exists |

pub mod backoff;
pub mod cloud;
pub mod event;
pub mod executor;
mod forward;
pub mod report;
pub mod run;
#[cfg(test)]
mod scene;
pub mod state;
mod unwind;
