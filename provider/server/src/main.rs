//! The Terraform provider `openmodel`: open models on Google Cloud.
//!
//! ```text
//! provider.rs        the provider block          client.rs    what its settings make
//! resources/         openmodel_cache, openmodel_endpoint   data_sources/  openmodel_model, openmodel_shapes
//! functions/         parse_shape, memory_estimate, … ephemeral/     openmodel_access_token
//! catalog.rs         shapes and prices
//! execute.rs         graphs, run                 mirroring.rs  the hands that move files
//! errors.rs          our errors as diagnostics on attributes
//! workload.rs        the load, wherever it is asked for      show.rs      figures as text
//! engines.rs         names of serving engines
//! ```

mod catalog;
mod client;
mod data_sources;
mod deletion;
mod engines;
mod ephemeral;
mod errors;
mod execute;
mod facts;
mod functions;
mod gates;
mod mirroring;
mod provider;
mod resources;
mod schema_parts;
mod show;
mod workload;

use tfplug::framework::Service;
use tfplug::serve::{ServeOptions, serve_blocking};

fn main() {
    serve_blocking(
        Service::new(provider::OpenModel),
        ServeOptions {
            address: "registry.terraform.io/openmodel/openmodel",
            version: env!("CARGO_PKG_VERSION"),
        },
    )
}
