//! The `openmodel` command line as a library, so that the acceptance tests drive Terraform the
//! very way the quickstart does.
//!
//! | module | what it does |
//! |---|---|
//! | [`terraform`] | finds the real `terraform`, builds the provider, lays a mirror, runs commands |
//! | [`recommend`] | which machine holds a model under a load, as a page or as JSON |
//! | [`evaluate`] | our estimates beside measured rows, one JSON line a row |
//! | [`transfer`] | a model's files from the Hub into a folder, verified |
//! | [`snapshots`] | what lies in Cloud Storage, what it costs, and what no Terraform state has |
//! | [`terminal`] | how wide the terminal is, and whether it wants colours |
//! | [`quickstart`] | the whole way on the sandbox, each command shown with its output |

pub mod evaluate;
pub mod hub;
pub mod models_file;
mod page;
pub mod quickstart;
pub mod recommend;
pub mod snapshots;
pub mod terminal;
pub mod terraform;
pub mod transfer;
