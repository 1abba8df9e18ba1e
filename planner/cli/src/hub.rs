//! The Hub that the environment names.

use anyhow::{Context as _, Result};
use openmodel_cloud::huggingface::HubOptions;
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
