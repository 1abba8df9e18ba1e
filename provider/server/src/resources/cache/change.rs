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
    let (mut buckets, mut zoned) = (made(before), near(before));
    buckets.extend(cut.iter().flat_map(made));
    zoned.extend(cut.iter().flat_map(near));
    let (near_now, made_now) =
        now.map_or_else(Default::default, |(_, spec)| (near(spec), made(spec)));
    // That of this update is gone when its files are there.
    let wanted = now.and_then(|(_, spec)| transfer_job(spec));
    let mut jobs = Vec::new();
    for job in cut.iter().chain([before]).filter_map(transfer_job) {
        if wanted.as_ref() != Some(&job) && !jobs.contains(&job) {
            jobs.push(job);
        }
    }
    Leaving {
        jobs,
        snapshots,
        unfinished,
        anywhere_caches: zoned.difference(&near_now).cloned().collect(),
        staying: stay.iter().filter_map(|uri| uri.parse().ok()).collect(),
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
    let now = identities(card.repository.kind, &card.files, include, exclude);
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

#[cfg(test)]
mod tests {
    use openmodel_schemas::snapshot::{Repository, RepositoryType};
    use openmodel_schemas::spec::{TransferEngine, TransferJob, TransferSpec};

    use super::*;

    fn spec(commit: &str, by_job: bool) -> CacheSpec {
        let engine = if by_job {
            TransferEngine::CloudRunJob(TransferJob {
                region: "us-central1".parse().expect("a region"),
                image: "openmodel:1".to_owned(),
                tasks: 2,
                service_account: None,
                token_secret: None,
            })
        } else {
            TransferEngine::Local
        };
        CacheSpec {
            project: "acme-ml".parse().expect("a project"),
            repository: Repository {
                kind: RepositoryType::Model,
                id: "org/name".parse().expect("an id"),
            },
            commit: commit.repeat(40).parse().expect("a commit"),
            include: Vec::new(),
            exclude: Vec::new(),
            selection: None,
            digest: String::new(),
            bucket: Some("acme".to_owned()),
            prefix: String::new(),
            location: "us-central1".to_owned(),
            regions: Vec::new(),
            storage_class: None,
            kms_key: None,
            anywhere_cache: None,
            transfer: TransferSpec {
                parallelism: 8,
                max_bandwidth_mib: None,
                engine,
            },
            labels: BTreeMap::new(),
        }
    }

    fn model(commit: &str) -> CacheModel {
        let uri = spec(commit, false).places().swap_remove(0).uri;
        CacheModel {
            snapshots: show::list([uri.to_string()]),
            ..CacheModel::default()
        }
    }

    /// Jobs, then snapshots that were begun, each by the first digit of its commit.
    fn left(leaving: &Leaving) -> (String, String) {
        let digit = |uri: &SnapshotUri| uri.commit().to_string().chars().next();
        let jobs = leaving.jobs.iter().map(|job| digit(&job.snapshot));
        let begun = leaving.unfinished.iter().map(digit);
        (jobs.flatten().collect(), begun.flatten().collect())
    }

    #[test]
    fn what_cut_updates_began_is_remembered_once_and_what_is_wanted_stays() {
        let (before, cut) = (spec("1", true), [spec("1", true), spec("2", true)]);
        let gone = leaving(&model("1"), &before, &cut, None);
        assert_eq!(left(&gone), ("12".to_owned(), "2".to_owned()));
        // On to the commit that was begun, by the same job: that is wanted.
        let (planned, now) = (model("2"), spec("2", true));
        let next = leaving(&model("1"), &before, &cut, Some((&planned, &now)));
        assert_eq!(left(&next), ("1".to_owned(), String::new()));
        // By the process itself: no job is.
        let now = spec("2", false);
        let next = leaving(&model("1"), &before, &cut, Some((&planned, &now)));
        assert_eq!(left(&next), ("12".to_owned(), String::new()));
    }
}
