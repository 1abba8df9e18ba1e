//! What `VirusTotal` says of a file, by its SHA-256 and with the user's own key: no byte is sent.
//!
//! Its word stands beside those of the Hub's scanners, so that the same gate judges it. Files without a
//! SHA-256 (the small ones that the Hub keeps in Git) are not known there under a name that we have.

use openmodel_schemas::repository::{FileScan, RepoFile, RepositoryCard, ScanState, ScannerReport};
use serde::Deserialize;
use tokio::time::Instant;

use crate::Transport;
use crate::transport::{Api, ApiError, Request};

/// How its word is told from that which the Hub passes on.
pub const SCANNER: &str = "VirusTotal (your key)";

/// Bound of a description: 100 engines, and what each of them says.
const LARGEST: u64 = 4 << 20;

/// Asks `VirusTotal`. Its key is the transport's.
#[derive(Debug, Clone)]
pub struct VirusTotal {
    transport: Transport,
}

impl VirusTotal {
    /// `VirusTotal` behind a transport that has a key for it.
    #[must_use]
    pub const fn new(transport: Transport) -> Self {
        Self { transport }
    }

    /// The card with `VirusTotal`'s word on each of these files that has a SHA-256, until a deadline. One
    /// after the other: a free key is good for four questions a minute.
    ///
    /// # Errors
    /// The first question that is not answered: a key that is not accepted (401), a quota that is used
    /// up (429), no connection.
    pub async fn add_to(
        &self,
        card: RepositoryCard,
        files: &[RepoFile],
        deadline: Instant,
    ) -> Result<RepositoryCard, ApiError> {
        let mut card = card;
        for file in files {
            let Some(sha256) = &file.sha256 else {
                continue;
            };
            let report = self.report(sha256, deadline).await?;
            let unknown = FileScan {
                state: ScanState::Unscanned,
                scanners: Vec::new(),
                imports: Vec::new(),
            };
            let scan = card.scans.entry(file.path.clone()).or_insert(unknown);
            scan.scanners.retain(|known| known.scanner != SCANNER);
            scan.scanners.push(report);
        }
        Ok(card)
    }

    /// Its word on the content with this SHA-256, in hexadecimal.
    ///
    /// # Errors
    /// See [`VirusTotal::add_to`]. That it has not seen the content is no error.
    pub async fn report(&self, sha256: &str, deadline: Instant) -> Result<ScannerReport, ApiError> {
        let request = look_up(sha256);
        let (state, message) = match self.transport.send(&request, deadline).await {
            Ok(response) => {
                let found = response.json::<Answer>();
                let stats = found
                    .map_err(|error| ApiError::malformed(&request, response.status, &error))?
                    .data
                    .attributes
                    .last_analysis_stats;
                (stats.state(), stats.words())
            }
            Err(error) if error.is_not_found() => {
                (ScanState::Unscanned, "never seen there".to_owned())
            }
            Err(error) => return Err(error),
        };
        Ok(ScannerReport {
            scanner: SCANNER.to_owned(),
            state,
            message: Some(message),
        })
    }
}

fn look_up(sha256: &str) -> Request {
    Request::get(Api::VirusTotal, format!("/api/v3/files/{sha256}")).at_most(LARGEST)
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    last_analysis_stats: Stats,
}

/// How many engines say what; those that cannot read the file are not counted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stats {
    malicious: u64,
    suspicious: u64,
    undetected: u64,
    harmless: u64,
}

impl Stats {
    fn state(&self) -> ScanState {
        if self.malicious > 0 {
            ScanState::Unsafe
        } else if self.suspicious > 0 {
            ScanState::Suspicious
        } else if self.undetected + self.harmless > 0 {
            ScanState::Safe
        } else {
            ScanState::Unscanned
        }
    }

    fn words(&self) -> String {
        let against = self.malicious + self.suspicious;
        let all = against + self.undetected + self.harmless;
        format!("{against} of {all} engines report it")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::Secret;
    use crate::transport::{Options, script};

    fn found(stats: &Value) -> script::Answer {
        let attributes = json!({"last_analysis_stats": stats, "type_tag": "pickle"});
        script::json(
            200,
            json!({"data": {"type": "file", "attributes": attributes}}),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn counts_become_a_verdict_and_the_key_goes_where_it_belongs() {
        let options = Options {
            virus_total_key: Some(Secret::new("vt-key")),
            ..Options::default()
        };
        let answers = vec![
            found(
                &json!({"malicious": 2, "suspicious": 1, "undetected": 57, "type-unsupported": 15}),
            ),
            found(&json!({"suspicious": 1, "undetected": 59})),
            found(&json!({"undetected": 60})),
            found(&json!({"type-unsupported": 75})),
            script::json(
                404,
                json!({"error": {"code": "NotFoundError", "message": "not found"}}),
            ),
            script::json(
                401,
                json!({"error": {"code": "WrongCredentialsError", "message": "Wrong API key"}}),
            ),
        ];
        let (transport, seen) = script::with_options(options, answers);
        let virus_total = VirusTotal::new(transport);
        let deadline = Instant::now() + Duration::from_secs(9);
        let mut said = Vec::new();
        for _ in 0..6 {
            said.push(match virus_total.report("ab12", deadline).await {
                Ok(report) => format!("{}: {}", report.state, report.message.unwrap_or_default()),
                Err(error) => error.to_string(),
            });
        }
        insta::assert_snapshot!(said.join("\n"), @"
        unsafe: 3 of 60 engines report it
        suspicious: 1 of 60 engines report it
        safe: 0 of 60 engines report it
        unscanned: 0 of 0 engines report it
        unscanned: never seen there
        VirusTotal: Wrong API key (UNAUTHENTICATED, HTTP 401; GET /api/v3/files/ab12)
        ");
        assert_eq!(
            seen.lines()[0],
            "GET https://www.virustotal.com/api/v3/files/ab12"
        );
        assert_eq!(seen.header("x-apikey")[0].as_deref(), Some("vt-key"));
        assert_eq!(seen.header("authorization")[0], None);
    }
}
