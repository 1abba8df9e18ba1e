//! What a file with a resource starts with: `use tfplug::prelude::*;`.

pub use crate::framework::{
    Action, Applied, ConfigureRequest, Configured, Context, CreateRequest, DataSource,
    DeleteRequest, Deleted, EphemeralResource, Failed, Found, Function, FunctionError, Imported,
    NoSettings, Opened, Parameter, Parts, Plan, PlanRequest, Private, Provider, ReadRequest,
    Renewed, Resource, Service, Signature, State, Timeouts, TimeoutsModel, UpdateRequest,
};
pub use crate::schema::{Attribute, PlanModifier, Schema, Validator};
pub use crate::value::{Dynamic, Path, Type, Value};
pub use crate::{Diagnostic, Diagnostics};
