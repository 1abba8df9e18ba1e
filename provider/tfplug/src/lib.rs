//! Terraform providers in Rust: the plugin protocol (version 6) and a typed framework on it.
//!
//! ```text
//!            Terraform
//!                │ go-plugin handshake, mutual TLS, gRPC
//!   serve ───────┤
//!   wire         │ messages, generated
//!                ▼
//!   framework: Service ──► Resource, DataSource, EphemeralResource, Function   ◄── you
//!                │             models: structs of value::Value<T>
//!                │ pipeline by schema; every answer held to check
//!   value, schema, check ── pure, shared by all
//! ```
//!
//! Start with [`framework::Provider`] and [`framework::Resource`]; `use tfplug::prelude::*` brings
//! what a resource file needs. The README has a tutorial, and `examples/note.rs` a provider of
//! under 100 lines that real Terraform runs. Tests of a provider start with [`testing`].
//!
//! Rules that hold everywhere: an unknown value is not null; every failure is a [`Diagnostic`] for
//! the user and never a gRPC error, which would lose the state of an apply; a panic ends one call
//! and not the process; nothing is built before Terraform asks for it.

pub mod check;
mod diagnostics;
pub mod framework;
pub mod prelude;
pub mod schema;
pub mod serve;
pub mod value;
pub mod wire;

pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use framework::testing;
pub use serve::log;

/// The code of the README, compiled with the tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
