//! What `VirusTotal` says of a file, by its SHA-256 and with the user's own key: no byte is sent.
//!
//! Its word stands beside those of the Hub's scanners, so that the same gate judges it. Files without a
//! SHA-256 (the small ones that the Hub keeps in Git) are not known there under a name that we have.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use openmodel_schemas::repository::{FileScan, RepoFile, RepositoryCard, ScanState, ScannerReport};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Transport;
use crate::transport::{Api, ApiError, Request};

/// How its word is told from that which the Hub passes on.
pub const SCANNER: &str = "VirusTotal (your key)";

/// Bound of a description: 100 engines, and what each of them says.
const LARGEST: u64 = 4 << 20;

/// How long it is waited after a 429: a free key is good for four questions a minute.
const PAUSE: Duration = Duration::from_secs(15);

/// Asks `VirusTotal`. Its key is the transport's. Clones share what was said, and ask one after the other.
#[derive(Debug, Clone)]
pub struct VirusTotal {
    transport: Transport,
    /// By SHA-256.
    said: Arc<Mutex<HashMap<String, ScannerReport>>>,
}

/// A card with `VirusTotal`'s word.
#[derive(Debug, Clone, PartialEq)]
pub struct LookedUp {
    /// The card.
    pub card: RepositoryCard,
    /// Files that were not looked up before the deadline; none: all that have a SHA-256 were.
    pub missed: Vec<String>,
    /// Why not.
    pub why: Option<ApiError>,
}

impl VirusTotal {
    /// `VirusTotal` behind a transport that has a key for it.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            said: Arc::default(),
        }
    }

    /// The card with `VirusTotal`'s word on each of these files that has a SHA-256, until a deadline. One
    /// after the other; where too much was asked (429) it waits, and goes on.
    ///
    /// # Errors
    /// A key that is not accepted (401, 403). Whatever else is in the way ends the questions, and is
    /// [said](LookedUp::why).
    pub async fn add_to(
        &self,
        card: RepositoryCard,
        files: &[RepoFile],
        deadline: Instant,
    ) -> Result<LookedUp, ApiError> {
        let mut answer = LookedUp {
            card,
            missed: Vec::new(),
            why: None,
        };
        for file in files {
            let Some(sha256) = &file.sha256 else {
                continue;
            };
            if answer.why.is_some() {
                answer.missed.push(file.path.clone());
                continue;
            }
            match self.patiently(sha256, deadline).await {
                Ok(report) => note(&mut answer.card, &file.path, report),
                Err(error) if is_of_key(&error) => return Err(error),
                Err(error) => {
                    answer.missed.push(file.path.clone());
                    answer.why = Some(error);
                }
            }
        }
        Ok(answer)
    }

    /// Its word as it was said before, or asked for until there is an answer or no time.
    async fn patiently(&self, sha256: &str, deadline: Instant) -> Result<ScannerReport, ApiError> {
        let Ok(mut said) = tokio::time::timeout_at(deadline, self.said.lock()).await else {
            let message = "the time was up before it was asked".to_owned();
            return Err(ApiError::lost(&look_up(sha256), false, true, message));
        };
        if let Some(report) = said.get(sha256) {
            return Ok(report.clone());
        }
        loop {
            match self.report(sha256, deadline).await {
                Ok(report) => {
                    said.insert(sha256.to_owned(), report.clone());
                    return Ok(report);
                }
                Err(error) => {
                    let pause = error.retry_after.unwrap_or(PAUSE);
                    let limited = error.status == Some(StatusCode::TOO_MANY_REQUESTS);
                    if !limited || Instant::now() + pause >= deadline {
                        return Err(error);
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Its word on the content with this SHA-256, in hexadecimal.
    ///
    /// # Errors
    /// A question that is not answered. That it has not seen the content is no error.
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

/// Puts a report beside those of the Hub's scanners. Of a file that it has never seen it says nothing, so
/// the Hub's word on the repository stands for it.
fn note(card: &mut RepositoryCard, path: &str, report: ScannerReport) {
    if report.state == ScanState::Unscanned && !card.scans.contains_key(path) {
        return;
    }
    let scan = card.scans.entry(path.to_owned());
    let scan = scan.or_insert_with(|| FileScan {
        state: report.state,
        scanners: Vec::new(),
        imports: Vec::new(),
    });
    scan.scanners.retain(|known| known.scanner != SCANNER);
    scan.scanners.push(report);
}

fn is_of_key(error: &ApiError) -> bool {
    let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
    error.status.is_some_and(|status| refused.contains(&status))
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

    fn asked(files: &[&str]) -> (RepositoryCard, Vec<RepoFile>) {
        let file = |path: &&str| RepoFile {
            path: (*path).to_owned(),
            size: openmodel_schemas::quantity::Bytes(1),
            sha256: Some(format!("sha-of-{path}")),
            git_oid: String::new(),
        };
        let files: Vec<RepoFile> = files.iter().map(file).collect();
        let card = json!({"repository": {"type": "model", "id": "acme/tiny"},
            "commit": "0e9e39f249a16976918f6564b8830bc894c89659", "last_modified": null, "files": files,
            "licence": {"ids": [], "name": null, "link": null}, "gating": "none", "private": false,
            "scan": {"status": "safe"}, "scans": {}, "library": null, "pipeline_tag": null,
            "base_models": [], "custom_code": false});
        (serde_json::from_value(card).expect("a card"), files)
    }

    fn too_many() -> script::Answer {
        let error = json!({"error": {"code": "QuotaExceededError", "message": "Quota exceeded"}});
        script::json(429, error)
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_questions_are_waited_for_within_a_bound_and_no_answer_is_asked_for_twice() {
        let mut answers: Vec<_> = (0..5).map(|_| too_many()).collect();
        answers.push(found(&json!({"malicious": 1, "undetected": 9})));
        answers.push(script::json(404, json!({})));
        answers.extend((0..60).map(|_| too_many()));
        let (transport, seen) = script::with_options(Options::default(), answers);
        let virus_total = VirusTotal::new(transport);
        let (card, files) = asked(&["a.bin", "b.bin", "c.bin", "d.bin"]);
        let minute = || Instant::now() + Duration::from_mins(1);
        let looked = virus_total.add_to(card.clone(), &files, minute()).await;
        let looked = looked.expect("the key is good");
        assert_eq!(looked.missed, ["c.bin", "d.bin"]);
        let why = looked.why.expect("a reason").to_string();
        assert!(why.contains("Quota exceeded"), "{why}");
        assert_eq!(looked.card.scans["a.bin"].worst(), ScanState::Unsafe);
        // What it has never seen is as the Hub says.
        assert!(!looked.card.scans.contains_key("b.bin"));
        let before = seen.lines().len();
        let again = virus_total
            .clone()
            .add_to(card, &files[..2], minute())
            .await;
        assert_eq!(again.expect("the key is good").missed, [""; 0]);
        assert_eq!(seen.lines().len(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_refused_is_an_error() {
        let wrong = json!({"error": {"code": "WrongCredentialsError", "message": "Wrong API key"}});
        let (transport, _) =
            script::with_options(Options::default(), vec![script::json(401, wrong)]);
        let (card, files) = asked(&["a.bin"]);
        let deadline = Instant::now() + Duration::from_secs(9);
        let refused = VirusTotal::new(transport)
            .add_to(card, &files, deadline)
            .await;
        let refused = refused.expect_err("the key is refused").to_string();
        assert!(refused.contains("Wrong API key"), "{refused}");
    }
}
