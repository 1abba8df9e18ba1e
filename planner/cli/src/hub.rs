//! The Hub that the environment names.

use anyhow::{Context as _, Result};
use openmodel_cloud::huggingface::{HubError, HubOptions};
use openmodel_cloud::transport::{self, Api, Endpoints};
use openmodel_cloud::{Hub, Secret, Transport, auth};

/// The Hub that the environment says. What was read is kept as long as the process lives.
///
/// # Errors
///
/// A variable that is no URL, by its name.
pub fn of_environment() -> Result<Hub> {
    Ok(Hub::new(transport_of_environment()?, HubOptions::default()))
}

/// Reaches the Hub that the environment says (`OPENMODEL_SANDBOX`, else `HF_ENDPOINT`), as whom it
/// says (`HF_TOKEN`).
pub(crate) fn transport_of_environment() -> Result<Transport> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut endpoints = match variable("OPENMODEL_SANDBOX") {
        Some(url) => Endpoints::sandbox(&url).context("OPENMODEL_SANDBOX")?,
        None => Endpoints::default(),
    };
    if let (None, Some(url)) = (variable("OPENMODEL_SANDBOX"), variable("HF_ENDPOINT")) {
        endpoints.set(Api::Hub, &url).context("HF_ENDPOINT")?;
    }
    let auth = auth::Options {
        sandbox: variable("OPENMODEL_SANDBOX").is_some(),
        ..auth::Options::default()
    };
    Ok(Transport::new(transport::Options {
        endpoints,
        auth,
        hugging_face_token: variable("HF_TOKEN").map(Secret::new),
        ..transport::Options::default()
    }))
}

/// Why the Hub does not give something, in the words of the command line.
pub(crate) fn in_flags(error: &HubError) -> String {
    // The token's other name is an argument of the Terraform provider.
    error
        .to_string()
        .replace("hugging_face_token or HF_TOKEN", "HF_TOKEN")
}

/// Why the Hub does not give a model, in the words of the command line, with the other way: `flags`
/// take the facts.
pub(crate) fn refusal(error: &HubError, flags: &str) -> String {
    let why = in_flags(error);
    format!("{why}. Facts that the Hub does not give can be given with {flags}")
}
