//! The gates before a byte is moved or served: licences, formats, scans, signatures; those of a cache and of
//! an endpoint are the same.
//!
//! ```text
//!   plan     card, files ─► VirusTotal, with a key ─► judge ─► signature ─► errors, warnings; what is waited for
//!   apply    the same again, every 30 s, until nothing is waited for
//! ```

mod signature;

use std::sync::Arc;
use std::time::Duration;

use openmodel_cloud::HubError;
use openmodel_cloud::transport::ApiError;
use openmodel_cloud::virus_total::VirusTotal;
use openmodel_resolve::gates::{
    Asker, FORMATS, Finding, Gates, OnUnsafe, OnUnscanned, ScanGate, Unasked, Verdict, is_format,
    judge,
};
use openmodel_schemas::repository::{RepoFile, RepositoryCard};
use serde::{Deserialize, Serialize};
use tfplug::framework::Context;
use tfplug::schema::{Attribute, Validator, each, item_count, one_of};
use tfplug::serve::log;
use tfplug::value::{Type, Value};
use tfplug::{Diagnostic, Diagnostics};
use tokio::time::Instant;

use crate::client::Client;
use crate::errors;
use crate::schema_parts::no_nulls;
use crate::workload::known;

pub(crate) use self::signature::SignatureModel;

/// How often scanners are asked again whether they are done.
const ASK: Duration = Duration::from_secs(30);

/// How long a plan asks `VirusTotal`: a free key is good for four files a minute.
const LOOK_UP: Duration = Duration::from_mins(1);

/// A list of texts.
pub(crate) type Texts = Vec<Value<String>>;

/// `scan`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScanModel {
    pub(crate) on_unsafe: Value<String>,
    pub(crate) on_unscanned: Value<String>,
}

/// Whether and how `VirusTotal` is asked.
pub(crate) enum Lookups {
    /// There is no key.
    No,
    /// There is one, and it is not used: why, as a part of a sentence.
    NotNow(&'static str),
    /// With the key.
    With(VirusTotal),
}

/// What a resource says of its gates.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) asker: Asker,
    pub(crate) licenses: &'a Value<Texts>,
    pub(crate) formats: &'a Value<Texts>,
    pub(crate) scan: &'a Value<ScanModel>,
    pub(crate) signature: &'a Value<SignatureModel>,
}

impl Asked<'_> {
    /// What is allowed.
    pub(crate) fn gates(&self, waiting: &mut Option<&'static str>) -> Gates {
        let mut list = |value: &Value<Texts>, path| {
            let items = known(value, path, waiting)?;
            let items = items.iter().filter_map(|item| known(item, path, waiting));
            Some(items.cloned().collect())
        };
        let (licenses, formats) = (
            list(self.licenses, "licenses"),
            list(self.formats, "formats"),
        );
        let signature = signature::gate(self.signature, waiting);
        let scan = known(self.scan, "scan", waiting)
            .cloned()
            .unwrap_or_default();
        let mut word =
            |value: &Value<String>, path| known(value, path, waiting).cloned().unwrap_or_default();
        Gates {
            asker: self.asker,
            licenses,
            formats,
            scan: ScanGate {
                on_unsafe: match word(&scan.on_unsafe, "scan.on_unsafe").as_str() {
                    "warn" => OnUnsafe::Warn,
                    _ => OnUnsafe::Fail,
                },
                on_unscanned: match word(&scan.on_unscanned, "scan.on_unscanned").as_str() {
                    "fail" => OnUnscanned::Fail,
                    "wait" => OnUnscanned::Wait,
                    _ => OnUnscanned::Warn,
                },
            },
            signature,
        }
    }
}

/// `licenses`, `formats`, `scan` and `require_signature`.
pub(crate) fn attributes() -> [Attribute; 4] {
    [
        Attribute::set_of("licenses", Type::String)
            .optional()
            .validate(item_count(1, 200))
            .validate(no_nulls())
            .description(
                "Licences that are allowed, by the Hub's identifiers (`apache-2.0`, `llama3.1`), or the name of an \
                 `other` one. Another or an unknown one is an error of the plan.",
            ),
        Attribute::set_of("formats", Type::String)
            .optional()
            .validate(item_count(1, 50))
            .validate(no_nulls())
            .validate(each(format()))
            .description(
                "Formats that are allowed: `safetensors`, `gguf`, `onnx`, …, or endings such as `bin`. Unset: all but \
                 pickles, which run code when they are loaded; `pickle` lets them in.",
            ),
        Attribute::object(
            "scan",
            [
                Attribute::string("on_unsafe")
                    .default("fail")
                    .validate(one_of(&["fail", "warn"]))
                    .description("Where a scanner says `unsafe` or `suspicious` of a file."),
                Attribute::string("on_unscanned")
                    .default("warn")
                    .validate(one_of(&["fail", "wait", "warn"]))
                    .description("Where the scanners have said nothing yet: `wait` asks again during the apply."),
            ],
        )
        .optional()
        .description(
            "What the verdicts of scanners lead to, before a byte is moved: those of the Hub, and with the provider's \
             `virus_total_api_key` that of VirusTotal.",
        ),
        signature::attribute(),
    ]
}

/// Judges files while planning: warnings are shown, what is against them is the error. Whether the apply
/// has to wait for scanners. `is_there`: the resource is; Terraform plans before it destroys, so a refusal stops
/// that too.
pub(crate) async fn pass(
    context: &Context<Client>,
    gates: &Gates,
    card: &RepositoryCard,
    files: &[RepoFile],
    is_there: bool,
    unread: impl Fn(HubError) -> Diagnostics,
) -> Result<bool, Diagnostics> {
    let deadline = Instant::now() + LOOK_UP;
    let verdict = verdict(context.client()?, gates, card, files, unread, deadline).await?;
    for warning in &verdict.warnings {
        context.warn(on(Diagnostic::warning(warning.summary), warning));
    }
    if is_there && !verdict.refused.is_empty() {
        context.warn(can_go());
    }
    against(&verdict.refused)?;
    Ok(!verdict.waiting.is_empty())
}

/// Beside an error of a plan: Terraform plans before it destroys.
pub(crate) fn can_go() -> Diagnostic {
    Diagnostic::warning("What is there can be destroyed all the same")
        .detail("`terraform destroy -refresh=false` removes it without judging it first.")
}

/// Judges files while applying, until the scanners have said what the gates wait for. Gives the card with
/// what they say now.
pub(crate) async fn wait(
    client: &Client,
    gates: &Gates,
    card: Arc<RepositoryCard>,
    files: &[RepoFile],
    unread: impl Fn(HubError) -> Diagnostics,
    deadline: Instant,
) -> Result<Arc<RepositoryCard>, Diagnostics> {
    let mut card = card;
    let patience = match gates.scan.on_unscanned {
        OnUnscanned::Wait => deadline,
        OnUnscanned::Fail | OnUnscanned::Warn => deadline.min(Instant::now() + LOOK_UP),
    };
    loop {
        let verdict = verdict(client, gates, &card, files, &unread, patience).await?;
        against(&verdict.refused)?;
        if verdict.waiting.is_empty() {
            return Ok(card);
        }
        if Instant::now() + ASK >= deadline {
            let mut waited = verdict.waiting;
            for finding in &mut waited {
                finding.detail.push_str(
                    " The time is up: apply again later, raise timeouts, or do not wait (scan.on_unscanned).",
                );
            }
            against(&waited)?;
        }
        let text = format!(
            "{}: the scanners are not done: asking again",
            card.repository.id
        );
        log::info("gates", &text, &[]);
        tokio::time::sleep(ASK).await;
        card = Arc::new(client.hub().rescan(&card).await.map_err(&unread)?);
    }
}

async fn verdict(
    client: &Client,
    gates: &Gates,
    card: &RepositoryCard,
    files: &[RepoFile],
    unread: impl Fn(HubError) -> Diagnostics,
    deadline: Instant,
) -> Result<Verdict, Diagnostics> {
    let mut verdict = scanned(client, gates, card, files, deadline).await?;
    if let Some(gate) = &gates.signature {
        let found = signature::judge(client, gate, gates.asker, card, files, unread).await?;
        verdict.refused.extend(found);
    }
    Ok(verdict)
}

/// What is seen in the card, with the word of `VirusTotal`.
async fn scanned(
    client: &Client,
    gates: &Gates,
    card: &RepositoryCard,
    files: &[RepoFile],
    deadline: Instant,
) -> Result<Verdict, Diagnostics> {
    // Small files run nothing, and a free key is good for few questions.
    let weights: Vec<RepoFile> = files
        .iter()
        .filter(|file| file.sha256.is_some() && has_format(&file.path))
        .cloned()
        .collect();
    let missed = |paths, why: &str| Unasked {
        paths,
        why: why.to_owned(),
    };
    let (card, unasked) = match client.lookups() {
        _ if weights.is_empty() => return Ok(judge(gates, card, files)),
        Lookups::No => return Ok(judge(gates, card, files)),
        Lookups::NotNow(why) => {
            let paths = weights.into_iter().map(|file| file.path).collect();
            (card.clone(), Some(missed(paths, why)))
        }
        Lookups::With(virus_total) => {
            let looked = virus_total.add_to(card.clone(), &weights, deadline).await;
            let looked = looked.map_err(|error| wrong_key(&error))?;
            let unasked = looked.why.as_ref();
            let unasked = unasked.map(|why| missed(looked.missed, &why.to_string()));
            (looked.card, unasked)
        }
    };
    let mut verdict = judge(gates, &card, files);
    if let Some(unasked) = &unasked {
        verdict.unasked(gates, unasked);
    }
    Ok(verdict)
}

fn against(findings: &[Finding]) -> Result<(), Diagnostics> {
    let mut found = Diagnostics::new();
    for finding in findings {
        found.push(on(Diagnostic::error(finding.summary), finding));
    }
    if found.has_errors() {
        Err(found)
    } else {
        Ok(())
    }
}

/// A finding on its attribute.
fn on(diagnostic: Diagnostic, finding: &Finding) -> Diagnostic {
    diagnostic
        .at(finding.attribute)
        .detail(finding.detail.clone())
}

fn wrong_key(error: &ApiError) -> Diagnostic {
    Diagnostic::error("VirusTotal refused the key").detail(format!(
        "{} Correct the provider's virus_total_api_key or VTCLI_APIKEY, or leave it out: the Hub's scanners are \
         listened to without it.",
        errors::sentence(&error.to_string())
    ))
}

fn has_format(path: &str) -> bool {
    let ending = path.rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| {
        let ending = ending.to_ascii_lowercase();
        FORMATS
            .iter()
            .any(|(_, endings)| endings.contains(&ending.as_str()))
    })
}

fn format() -> Validator {
    Validator::new("A format, or an ending without its dot.", |args, found| {
        let Some(word) = args.value.as_str() else {
            return;
        };
        if !is_format(word) {
            let known: Vec<&str> = FORMATS.iter().map(|(format, _)| *format).collect();
            found.push(
                Diagnostic::error("Unknown format")
                    .at(args.path.clone())
                    .detail(format!("{word:?} is none. Known are {}.", known.join(", "))),
            );
        }
    })
}
