//! The snapshots as they lie in Cloud Storage: what is missing, altered or foreign shows.

use std::collections::BTreeMap;

use openmodel_cloud::GoogleCloud;
use openmodel_schemas::snapshot::SnapshotUri;
use openmodel_transfer::bucket::BucketStore;
use openmodel_transfer::ports::{Kind, Trouble};
use serde::{Deserialize, Serialize};
use tfplug::framework::{Context, Private};
use tfplug::value::Value;
use tfplug::{Diagnostic, Diagnostics};

use super::inputs::texts;
use super::model::CacheModel;
use super::plan::Decided;
use super::show;
use crate::client::Client;

/// What is written beside the manifest: enough to import a cache with an empty plan. No secrets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Raised when older records can no longer be read.
    version: u32,
    /// The state.
    model: CacheModel,
    /// What was decided.
    decided: Decided,
}

impl Record {
    const VERSION: u32 = 1;

    /// Of a planned cache.
    pub(crate) fn new(planned: &CacheModel, decided: &Decided) -> Self {
        Self {
            version: Self::VERSION,
            model: planned.clone(),
            decided: Decided {
                spec: decided.spec.clone(),
                before: None,
                cut: Vec::new(),
            },
        }
    }

    /// As bytes.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

/// The state with what is there now; `None`: nothing of it is. What is wrong with an earlier snapshot is warned
/// of: nothing mends it, as its commit is kept no more.
pub(crate) async fn overlay(
    context: &Context<Client>,
    google: &GoogleCloud,
    mut state: CacheModel,
) -> Result<Option<CacheModel>, Diagnostics> {
    let uris: BTreeMap<String, String> = state
        .uri
        .as_known()
        .into_iter()
        .flatten()
        .filter_map(|(place, uri)| Some((place.clone(), uri.as_known()?.clone())))
        .collect();
    let several = uris.len() > 1;
    let (mut drift, mut foreign, mut any) = (Vec::new(), Vec::new(), false);
    for (place, uri) in &uris {
        let mut found = look(google, uri)
            .await
            .map_err(|trouble| unreadable(uri, &trouble))?;
        let digest = state.manifest_digest.as_known();
        if let (Some(there), Some(written)) = (&found.digest, digest)
            && there != written
        {
            let line = "the manifest is another than the one that was written";
            found.drift.push(line.to_owned());
        }
        let named = |line: String| {
            if several {
                format!("{place}: {line}")
            } else {
                line
            }
        };
        any |= found.any;
        drift.extend(found.drift.into_iter().map(named));
        foreign.extend(found.foreign.into_iter().map(named));
    }
    let mut kept = Vec::new();
    for uri in texts(&state.snapshots, "snapshots", &mut None) {
        if uris.values().any(|newest| *newest == uri) {
            kept.push(uri);
            continue;
        }
        let found = look(google, &uri)
            .await
            .map_err(|trouble| unreadable(&uri, &trouble))?;
        if !found.any {
            continue;
        }
        any = true;
        if !found.drift.is_empty() {
            context.warn(damaged(&uri, &found.drift));
        }
        kept.push(uri);
    }
    if !any {
        return Ok(None);
    }
    state.drift = show::list(drift);
    state.foreign_objects = show::list(foreign);
    state.snapshots = show::list(kept);
    Ok(Some(state))
}

/// The state of a snapshot from its own record.
pub(crate) async fn from_record(
    google: &GoogleCloud,
    uri: &SnapshotUri,
    private: &mut Private,
) -> Result<CacheModel, Diagnostics> {
    let refuse = |why: &str| {
        Diagnostic::error("Snapshot cannot be imported").detail(format!(
            "{uri} {why}. A snapshot that `openmodel transfer` made can be served from as it is; to manage it here, \
             remove it and let openmodel_cache make it: what is in the bucket under another prefix is copied, not \
             fetched again."
        ))
    };
    let store = BucketStore::open(google.transport().clone(), uri.clone()).await;
    let store = store.map_err(|trouble| refuse(&format!("cannot be read: {trouble}")))?;
    let record = store.record().await;
    let record = record.map_err(|trouble| refuse(&format!("cannot be read: {trouble}")))?;
    let record = record.ok_or_else(|| refuse("was not made by openmodel_cache"))?;
    let record: Record = serde_json::from_slice(&record)
        .map_err(|error| refuse(&format!("has a damaged record: {error}")))?;
    if record.version != Record::VERSION {
        return Err(refuse("was made by another version of openmodel").into());
    }
    record.decided.write(private)?;
    Ok(record.model)
}

struct Found {
    any: bool,
    /// Of the manifest.
    digest: Option<String>,
    drift: Vec<String>,
    foreign: Vec<String>,
}

async fn look(google: &GoogleCloud, uri: &str) -> Result<Found, Trouble> {
    let uri: SnapshotUri = uri
        .parse()
        .map_err(|error| Trouble::last(format!("{error}")))?;
    let mut found = Found {
        any: false,
        digest: None,
        drift: Vec::new(),
        foreign: Vec::new(),
    };
    let store = match BucketStore::open(google.transport().clone(), uri.clone()).await {
        Ok(store) => store,
        Err(trouble) if trouble.kind == Kind::NoBucket => {
            found.drift.push("the bucket is gone".to_owned());
            return Ok(found);
        }
        Err(trouble) => return Err(trouble),
    };
    let Some(marked) = store.marked().await? else {
        found.any = !store.is_gone();
        found
            .drift
            .push("the manifest is missing or damaged".to_owned());
        return Ok(found);
    };
    found.any = true;
    found.digest = Some(marked.manifest.digest.clone());
    // An import goes by it.
    let record = store.record().await?;
    let sound = record.is_some_and(|record| serde_json::from_slice::<Record>(&record).is_ok());
    if !sound {
        found
            .drift
            .push("the record beside the manifest is missing or damaged".to_owned());
    }
    for difference in store.compare(&marked.manifest) {
        if difference.is_mendable() {
            found.drift.push(difference.to_string());
        } else {
            found.foreign.push(difference.path().to_owned());
        }
    }
    Ok(found)
}

fn damaged(uri: &str, drift: &[String]) -> Diagnostic {
    Diagnostic::warning("Earlier snapshot is damaged")
        .at("snapshots")
        .detail(format!(
            "{uri}: {}. It is not mended, as its commit is kept no more: bring what serves from it to the newest \
             snapshot. It goes when retention says so.",
            drift.join("; ")
        ))
}

pub(crate) fn unreadable(uri: &str, trouble: &Trouble) -> Diagnostic {
    Diagnostic::error("Snapshot cannot be read")
        .detail(crate::errors::sentence(&format!("{uri}: {trouble}")))
}

/// An address and nothing else, for a first look.
pub(crate) fn only(id: &str) -> CacheModel {
    CacheModel {
        id: Value::from(id),
        ..CacheModel::default()
    }
}
