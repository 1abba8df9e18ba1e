//! The Hugging Face Hub: a repository at a revision, read into a
//! [`RepositoryCard`](openmodel_schemas::repository::RepositoryCard), and a model into a
//! [`ModelCard`](openmodel_schemas::model_card::ModelCard).
//!
//! | file | holds |
//! |---|---|
//! | `hub.rs` | [`Hub`]: from revision to commit to card, with cache and single flight |
//! | `repository.rs` | repositories of any kind: description, listing, scans, access, nearest names |
//! | `contents.rs` | small files whole, and the SHA-256 of those in Git |
//! | `calls.rs` | requests and answers |
//! | `facts.rs`, `card.rs` | answers put together into a repository's card, and into a model's |
//! | `config.rs`, `config/` | [`parse_config`]: what a `config.json` says |
//! | `json.rs` | JSON as Python writes it |
//! | `cache.rs` | cards by commit and branches by name, on disk |
//! | `memo.rs` | each question once per process |
//! | `error.rs` | [`HubError`], each with the next move |

mod cache;
mod calls;
mod card;
mod config;
mod contents;
mod error;
mod facts;
mod hub;
pub mod json;
mod memo;
mod repository;

pub use calls::{address, content};
pub use config::{ConfigError, parse_config, parse_hf_quant_config, parse_model_index};
pub use error::HubError;
pub use hub::{Hub, HubOptions};
