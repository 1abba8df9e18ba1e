//! From one commit to the next: what differs, and which snapshots stay.

use std::collections::{BTreeMap, BTreeSet};

use openmodel_resolve::caching::lowering::{Leaving, transfer_job, zones};
use openmodel_schemas::snapshot::{Manifest, SnapshotUri};
use openmodel_schemas::spec::CacheSpec;
use openmodel_transfer::mirror::identities;
use openmodel_transfer::snapshot::find;
use tfplug::Diagnostics;
use tfplug::serve::log;
use tfplug::value::Value;

use super::inputs::texts;
use super::model::{CacheModel, ChangeModel};
use super::show;
use crate::client::Client;
use crate::errors;

/// The snapshots that are there after this plan: the newest of each place, and so many of those before it.
pub(crate) fn retained(
    prior: Option<&CacheModel>,
    planned: &CacheModel,
    spec: &CacheSpec,
) -> Vec<String> {
    let keep = planned.retention.as_known().copied().unwrap_or(0);
    let keep = usize::try_from(keep).unwrap_or(0);
    let earlier = prior.map_or_else(Vec::new, |prior| {
        texts(&prior.snapshots, "snapshots", &mut None)
    });
    let mut all = Vec::new();
    for place in spec.places() {
        let newest = place.uri.to_string();
        let bucket = format!("gs://{}/", place.uri.bucket());
        let here = earlier
            .iter()
            .filter(|uri| uri.starts_with(&bucket) && **uri != newest);
        let stay: Vec<String> = here.take(keep).cloned().collect();
        all.push(newest);
        all.extend(stay);
    }
    all
}

/// What is no longer wanted after an update, or after all of it is removed (`now` is none). `cut`: what updates
/// were cut on their way to.
pub(crate) fn leaving(
    prior: &CacheModel,
    before: &CacheSpec,
    cut: &[CacheSpec],
    now: Option<(&CacheModel, &CacheSpec)>,
) -> Leaving {
    let set = |model: &CacheModel| -> BTreeSet<String> {
        texts(&model.snapshots, "snapshots", &mut None)
            .into_iter()
            .collect()
    };
    let stay = now.map_or_else(BTreeSet::new, |(planned, _)| set(planned));
    let gone = set(prior);
    let begun = cut
        .iter()
        .flat_map(CacheSpec::places)
        .map(|place| place.uri);
    let known = |uri: &SnapshotUri| {
        let uri = uri.to_string();
        gone.contains(&uri) || stay.contains(&uri)
    };
    let mut unfinished: Vec<SnapshotUri> = begun.filter(|uri| !known(uri)).collect();
    unfinished.sort();
    unfinished.dedup();
    let snapshots: Vec<SnapshotUri> = gone
        .difference(&stay)
        .filter_map(|uri| uri.parse().ok())
        .collect();
    let near = |spec: &CacheSpec| -> BTreeSet<_> {
        let places = spec.places();
        let alone = places.len() == 1;
        places
            .iter()
            .flat_map(|place| {
                let bucket = place.uri.bucket().to_owned();
                zones(spec, place, alone)
                    .into_iter()
                    .map(move |zone| (bucket.clone(), zone))
            })
            .collect()
    };
    let made = |spec: &CacheSpec| -> BTreeSet<String> {
        let places = spec.places().into_iter().filter(|place| place.makes_bucket);
        places.map(|place| place.uri.bucket().to_owned()).collect()
    };
    let mut buckets = made(before);
    buckets.extend(cut.iter().flat_map(made));
    let (near_now, made_now) =
        now.map_or_else(Default::default, |(_, spec)| (near(spec), made(spec)));
    // That of an update is gone when its files are there.
    let own = Some(before).filter(|_| now.is_none());
    let mut jobs: Vec<_> = cut.iter().chain(own).filter_map(transfer_job).collect();
    jobs.retain(|job| !stay.contains(&job.snapshot.to_string()));
    Leaving {
        jobs,
        snapshots,
        unfinished,
        anywhere_caches: near(before).difference(&near_now).cloned().collect(),
        buckets: buckets.difference(&made_now).cloned().collect(),
    }
}

/// The move to another commit: the files that differ. Null where there was none before.
pub(crate) async fn last(
    client: &Client,
    prior: Option<&CacheModel>,
    before: Option<&CacheSpec>,
    spec: &CacheSpec,
) -> Result<Value<ChangeModel>, Diagnostics> {
    let (Some(prior), Some(before)) = (prior, before) else {
        return Ok(Value::Null);
    };
    if before.commit == spec.commit {
        return Ok(prior.last_change.clone());
    }
    let revision = spec.commit.clone().into();
    let card = client.hub().repository(&spec.repository, &revision).await;
    let card = card.map_err(|error| errors::hub_of_cache(client, &error))?;
    let (include, exclude) = (&spec.include, &spec.exclude);
    let now = identities(&card.files, include, exclude);
    let old = match before.places().first() {
        Some(place) if client.waits_for().is_none() => {
            let google = client.google(BTreeMap::new())?;
            find(google.transport(), &place.uri).await
        }
        _ => Ok(None),
    };
    let files = match old {
        Ok(Some(old)) => show::list(differences(&old, &now)),
        Ok(None) => Value::Null,
        Err(trouble) => {
            log::warn(
                "cache",
                &format!("what differs is not known: {trouble}"),
                &[],
            );
            Value::Null
        }
    };
    Ok(Value::Known(ChangeModel {
        from: Value::Known(before.commit.to_string()),
        to: Value::Known(spec.commit.to_string()),
        files,
    }))
}

fn differences(old: &Manifest, now: &BTreeMap<String, String>) -> Vec<String> {
    let old: BTreeMap<&str, &str> = old
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.identity.as_str()))
        .collect();
    let paths: BTreeSet<&str> = old
        .keys()
        .copied()
        .chain(now.keys().map(String::as_str))
        .collect();
    let line = |path: &str| match (old.get(path), now.get(path)) {
        (None, _) => Some(format!("+ {path}")),
        (_, None) => Some(format!("- {path}")),
        (Some(old), Some(now)) => (*old != now.as_str()).then(|| format!("~ {path}")),
    };
    paths.into_iter().filter_map(line).collect()
}
