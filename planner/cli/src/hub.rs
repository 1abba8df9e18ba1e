//! The Hub that the environment names.

use anyhow::{Context as _, Result};
use openmodel_cloud::huggingface::{HubError, HubOptions};
use openmodel_cloud::transport::{self, Api, Endpoints};
use openmodel_cloud::{Hub, Secret, Transport};

/// The Hub that the environment says (`OPENMODEL_SANDBOX`, else `HF_ENDPOINT`), read as whom it
/// says (`HF_TOKEN`). What was read is kept as long as the process lives.
///
/// # Errors
///
/// A variable that is no URL, by its name.
pub fn of_environment() -> Result<Hub> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut endpoints = match variable("OPENMODEL_SANDBOX") {
        Some(url) => Endpoints::sandbox(&url).context("OPENMODEL_SANDBOX")?,
        None => Endpoints::default(),
    };
    if let (None, Some(url)) = (variable("OPENMODEL_SANDBOX"), variable("HF_ENDPOINT")) {
        endpoints.set(Api::Hub, &url).context("HF_ENDPOINT")?;
    }
    let transport = Transport::new(transport::Options {
        endpoints,
        hugging_face_token: variable("HF_TOKEN").map(Secret::new),
        ..transport::Options::default()
    });
    Ok(Hub::new(transport, HubOptions::default()))
}

/// Why the Hub does not give a model, in the words of the command line, with the other way: `flags`
/// take the facts.
pub(crate) fn refusal(error: &HubError, flags: &str) -> String {
    // The token's other name is an argument of the Terraform provider.
    let why = error
        .to_string()
        .replace("hugging_face_token or HF_TOKEN", "HF_TOKEN");
    format!("{why}. Facts that the Hub does not give can be given with {flags}")
}
