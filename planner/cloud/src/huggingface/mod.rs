//! The Hugging Face Hub: a repository at a revision, read into a
//! [`ModelCard`](openmodel_schemas::model_card::ModelCard).
//!
//! | file | holds |
//! |---|---|
//! | `hub.rs` | [`Hub`]: from revision to commit to card, with cache and single flight |
//! | `calls.rs` | requests and answers |
//! | `card.rs` | answers put together into a card |
//! | `config.rs`, `config/` | [`parse_config`]: what a `config.json` says |
//! | `json.rs` | JSON as Python writes it |
//! | `cache.rs` | cards by commit and branches by name, on disk |
//! | `memo.rs` | each question once per process |
//! | `error.rs` | [`HubError`], each with the next move |

mod cache;
mod calls;
mod card;
mod config;
mod error;
mod hub;
pub mod json;
mod memo;

pub use calls::content;
pub use config::{ConfigError, parse_config, parse_hf_quant_config, parse_model_index};
pub use error::HubError;
pub use hub::{Hub, HubOptions};
