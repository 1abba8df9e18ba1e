//! What the acceptance tests share.
//!
//! | module | what it does |
//! |---|---|
//! | [`python`] | a private Python with Google's and Hugging Face's own clients |
//! | [`discovery`] | checks HTTP exchanges against Google's published Discovery documents |
//! | [`http`] | a client that is somebody else's |
//! | [`terraform`] | the real `terraform` with our provider against a sandbox |
//! | [`usage`] | what a command took: time, CPU and memory |

use openmodel_sandbox::Sandbox;
use serde_json::Value;

pub mod discovery;
pub mod http;
pub mod python;
pub mod terraform;
pub mod usage;

/// A client for the sandbox's own side: plain HTTP on loopback.
///
/// # Panics
/// When no HTTP client can be made, which needs neither network nor files.
#[must_use]
pub fn http_client() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .expect("ring has the default protocol versions")
    .with_root_certificates(rustls::RootCertStore::empty())
    .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .build()
        .expect("a client without files")
}

/// What exists in the sandbox, without the marks that differ between two equal runs: times, and
/// what counts how often something was written.
#[must_use]
pub fn inventory_without_times(sandbox: &Sandbox) -> Value {
    let mut inventory = sandbox.inventory();
    strip(&mut inventory);
    inventory
}

/// The lines in which two documents differ, `-` for the first and `+` for the second.
#[must_use]
pub fn difference(first: &Value, second: &Value) -> String {
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let (first, second) = (pretty(first), pretty(second));
    let only = |sign: char, these: &str, those: &str| -> Vec<String> {
        let lines = these
            .lines()
            .filter(|line| !those.lines().any(|other| other == *line));
        lines.map(|line| format!("{sign} {line}")).collect()
    };
    [only('-', &first, &second), only('+', &second, &first)]
        .concat()
        .join("\n")
}

fn strip(value: &mut Value) {
    const COUNTS: [&str; 4] = ["etag", "generation", "observedGeneration", "uid"];
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !name.ends_with("Time") && !COUNTS.contains(&name.as_str()));
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}
