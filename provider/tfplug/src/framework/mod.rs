//! The framework: a provider as typed Rust, by the vocabulary that provider authors know.
//!
//! | to write | implement |
//! |---|---|
//! | a provider | [`Provider`], served by [`Service`] |
//! | a resource | [`Resource`] |
//! | a data source | [`DataSource`] |
//! | a function | [`Function`] |
//! | an ephemeral resource | [`EphemeralResource`] |
//!
//! What is the same for all of them is done here: defaults, validators, plan modifiers, values
//! known after apply, write-only values, encoding, warnings, panics. An error in a call is a
//! [`Diagnostic`](crate::Diagnostic), and `?` works on it.

mod codec;
mod context;
mod data_source;
mod ephemeral;
mod erased;
mod function;
mod guard;
pub mod plan;
mod private;
mod provider;
mod resource;
mod rpc;
mod rules;
mod service;
mod stored;
pub mod testing;
mod timeouts;
mod validate;
mod walk;

pub use crate::check::Action;
pub use context::{Context, Stop};
pub use data_source::DataSource;
pub use ephemeral::{EphemeralResource, Opened, Renewed};
pub use function::{Function, FunctionError, Parameter, Signature};
pub use private::Private;
pub use provider::{ConfigureRequest, Configured, NoSettings, Parts, Provider};
pub use resource::{
    Applied, CreateRequest, DeleteRequest, Deleted, Failed, Found, Imported, Model, MoveRequest,
    Plan, PlanRequest, ReadRequest, Resource, State, UpdateRequest, UpgradeRequest,
};
pub use service::Service;
pub use timeouts::{Timeouts, TimeoutsModel, duration, parse_duration};
