//! The only crate that knows the vendors' HTTP: one transport, and an adapter for each vendor.
//!
//! ```text
//!   GoogleCloud (implements `openmodel_apply::Cloud`)      Hub (repository → ModelCard)
//!        │ google/run, secret_manager, policy, lro              │ huggingface/hub, config, cache
//!        └──────────────► Request ──► Transport ◄───────────────┘
//!                                        │ credentials, retries, deadlines, errors, redaction
//!                                        ▼
//!                                      reqwest
//! ```
//!
//! A call is a pure function that returns a [`transport::Request`]; tests look at that value and
//! need no socket. The transport alone decides what may be sent twice: see [`transport`].
//!
//! Secrets travel as [`Secret`], which neither `Debug` nor an error nor a log can print.

pub mod auth;
mod download;
pub mod google;
pub mod huggingface;
mod pinned;
mod secret;
pub mod transport;
pub mod virus_total;

use download::download;
pub use google::GoogleCloud;
pub use huggingface::{ConfigError, Hub, HubError, parse_config};
pub use pinned::{PinnedError, PinnedOptions, is_url, pinned};
pub use secret::Secret;
pub use transport::Transport;
