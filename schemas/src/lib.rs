//! Every document that crosses a boundary of openmodel, as types: serde, checked names and
//! quantities, and no decisions.
//!
//! | module | document |
//! |---|---|
//! | [`spec`] | what is asked for: an endpoint and its workload |
//! | [`model_card`] | what sizing needs to know of a model at one commit |
//! | [`repository`] | the facts of any Hub repository at one commit: files, terms, scans |
//! | [`catalog`] | shapes and prices, and where each fact comes from |
//! | [`discounts`] | a user's own terms: discounts, paid capacity, committed spending |
//! | [`engine`] | serving engines: images, command lines, constants of their memory |
//! | [`gguf`] | the models that a repository's GGUF files hold, by their names |
//! | [`report`] | what is shown and frozen: placement, memory, cost, recommendation |
//! | [`snapshot`] | a repository's files in Cloud Storage: where they lie, and their manifest |
//! | [`throughput`] | constants of the throughput model, fitted to measured rows |
//! | [`name`], [`quantity`] | checked names and quantities that must not mix |

pub mod catalog;
pub mod discounts;
pub mod engine;
#[cfg(test)]
mod fresh;
pub mod gguf;
pub mod model_card;
pub mod name;
pub mod quantity;
pub mod report;
pub mod repository;
pub mod snapshot;
pub mod spec;
pub mod throughput;
