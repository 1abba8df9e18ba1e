//! Where a cache lies: defaults, places that exist, buckets that may be used.

use openmodel_apply::cloud::Failure;
use openmodel_cloud::google::{Bucket, MANAGED_LABEL};
use openmodel_resolve::Catalog;
use openmodel_resolve::caching::lowering::STORAGE_CLASS;
use openmodel_resolve::caching::{Earlier, Place, storage_locations};
use openmodel_schemas::snapshot::SnapshotUri;
use openmodel_schemas::spec::CacheSpec;
use openmodel_transfer::snapshot::find;
use tfplug::value::{Path, Value};
use tfplug::{Diagnostic, Diagnostics};

use super::model::CacheModel;
use super::read;
use crate::client::Client;
use crate::errors;

/// Project and first place: the configuration's, the bucket's, the provider's.
pub(crate) async fn fill(
    client: &Client,
    config: &CacheModel,
    prior: Option<&CacheModel>,
    planned: &mut CacheModel,
    requires_replace: &mut Vec<Path>,
) -> Result<(), Diagnostics> {
    if config.project.is_null() {
        planned.project = client.project.clone();
    }
    if planned.project.is_null() {
        return Err(errors::unset("project").into());
    }
    if config.location.is_null() {
        planned.location = match &config.bucket {
            Value::Null => client.region.clone(),
            Value::Unknown(_) => Value::unknown(),
            Value::Known(bucket) => {
                let known = prior.filter(|prior| prior.bucket == config.bucket);
                match known {
                    Some(prior) => prior.location.clone(),
                    None => location_of(client, bucket).await?,
                }
            }
        };
        if planned.location.is_null() {
            return Err(unset_location());
        }
    }
    if let Some(prior) = prior {
        for (name, config, before, now) in [
            ("project", &config.project, &prior.project, &planned.project),
            (
                "location",
                &config.location,
                &prior.location,
                &planned.location,
            ),
        ] {
            if config.is_null() && before != now {
                requires_replace.push(Path::from(name));
            }
        }
    }
    Ok(())
}

/// Whether a key may encrypt a bucket in a place: it must lie in the same one. Multi-regions have other names in
/// Cloud KMS (`europe` for `eu`), so of them only a single region is refused.
/// <https://cloud.google.com/storage/docs/encryption/customer-managed-keys#restrictions>
fn holds(key: &str, place: &str) -> bool {
    let location = key.split('/').nth(3).unwrap_or_default();
    let is_region = |place: &str| place.contains('-');
    let is_larger = |place: &str| !is_region(place) && place != "global";
    location == place || !is_region(place) && is_larger(location)
}

/// Places that nobody has.
pub(crate) fn check(spec: &CacheSpec, catalog: &Catalog) -> Result<(), Diagnostics> {
    let mut found = Diagnostics::new();
    let known = storage_locations(catalog);
    let mut wrong = |path: &str, location: &str| {
        let alike = |place: &&String| strsim::jaro_winkler(place, location);
        let near = known.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
        let near = near.map_or("", String::as_str);
        found.push(Diagnostic::error("Place is not known").at(path).detail(format!(
            "Cloud Storage has no place {location:?} that this provider knows; the nearest name is {near:?}. One that \
             is newer than the provider's catalog of {} needs a newer catalog.",
            catalog.date()
        )));
    };
    let is_known = |place: &str| known.is_empty() || known.contains(place);
    // Where a bucket of the user's lies is for Cloud Storage to say.
    if spec.bucket.is_none() && !is_known(&spec.location) {
        wrong("location", &spec.location);
    }
    for region in spec
        .regions
        .iter()
        .filter(|region| !is_known(region.as_str()))
    {
        wrong("regions", region.as_str());
    }
    if spec
        .regions
        .iter()
        .any(|region| region.as_str() == spec.location)
    {
        found.push(Diagnostic::error("Place is named twice").at("regions").detail(format!(
            "{} is the first place already, by location, the bucket or the provider's region. `regions` are those \
             beside it.",
            spec.location
        )));
    }
    let key = spec.kms_key.as_ref();
    if let Some(key) = key.filter(|key| !holds(key, &spec.location)) {
        found.push(Diagnostic::error("Key lies elsewhere").at("kms_key").detail(format!(
            "{key} does not lie in {}, and Cloud Storage encrypts a bucket only with a key of its own location. Name a \
             key there, or set location to where the key is.",
            spec.location
        )));
    }
    let places = spec.places();
    let alone = places.len() == 1 && !spec.location.contains('-');
    for zone in spec.anywhere_cache.iter().flat_map(|near| &near.zones) {
        let region = zone.region();
        let inside = places.iter().any(|place| place.location == region.as_str());
        if !inside && !alone {
            found.push(
                Diagnostic::error("Zone lies outside of the cache")
                    .at("anywhere_cache.zones")
                    .detail(format!(
                        "{zone} lies in {region}, and the cache has no bucket there. Add {region} to regions, or leave \
                         the zone out."
                    )),
            );
        }
    }
    if found.has_errors() {
        Err(found)
    } else {
        Ok(())
    }
}

/// Buckets of others, found out before anything is made. What is there already is not looked at again. Gives the
/// user's bucket, where it was read.
pub(crate) async fn look(
    client: &Client,
    prior: Option<&CacheModel>,
    spec: &CacheSpec,
) -> Result<Option<Bucket>, Diagnostics> {
    if client.waits_for().is_some() {
        return Ok(None);
    }
    let google = client.google(std::collections::BTreeMap::new())?;
    let known = prior.and_then(|prior| prior.uri.as_known());
    let (mut found, mut theirs) = (Diagnostics::new(), None);
    for place in spec.places() {
        if known.is_some_and(|known| known.contains_key(&place.location)) {
            continue;
        }
        let path = match (place.makes_bucket, place.location == spec.location) {
            (false, _) => "bucket",
            (true, true) => "location",
            (true, false) => "regions",
        };
        let name = place.uri.bucket();
        match google.read_bucket(name, super::read_deadline()).await {
            // One of the user's may be made by the same apply.
            Ok(None) => {}
            Ok(Some(bucket)) => {
                if let Some(why) = unfit(&bucket, place.makes_bucket, &place.location, name) {
                    found.push(
                        Diagnostic::error("Bucket cannot be used")
                            .at(path)
                            .detail(why),
                    );
                }
                if !place.makes_bucket {
                    theirs = Some(bucket);
                }
            }
            Err(failure) => found.push(unreadable(path, &failure)),
        }
    }
    if found.has_errors() {
        Err(found)
    } else {
        Ok(theirs)
    }
}

/// The places with what decides their cost: the class of their objects, and earlier snapshots of `retained`.
/// `None`: a bucket of the user's, whose class it is, is not there yet; Terraform plans again when it is. `theirs`:
/// that bucket, where it was just read.
pub(crate) async fn priced(
    client: &Client,
    spec: &CacheSpec,
    theirs: Option<&Bucket>,
    retained: &[String],
) -> Result<Option<Vec<Place>>, Diagnostics> {
    let google = match client.waits_for() {
        None => Some(client.google(std::collections::BTreeMap::new())?),
        Some(_) => None,
    };
    let mut places = Vec::new();
    for place in spec.places() {
        let storage_class = match (&spec.storage_class, theirs) {
            (Some(class), _) => class.clone(),
            (None, _) if place.makes_bucket => STORAGE_CLASS.to_owned(),
            (None, Some(bucket)) => bucket.storage_class.clone(),
            (None, None) => {
                let Some(google) = &google else {
                    return Ok(None);
                };
                let bucket = google.read_bucket(place.uri.bucket(), super::read_deadline());
                match bucket.await {
                    Ok(Some(bucket)) => bucket.storage_class,
                    Ok(None) => return Ok(None),
                    Err(failure) => return Err(unreadable("bucket", &failure).into()),
                }
            }
        };
        let mut earlier = Vec::new();
        for uri in retained
            .iter()
            .filter_map(|uri| uri.parse::<SnapshotUri>().ok())
        {
            if uri == place.uri || uri.bucket() != place.uri.bucket() {
                continue;
            }
            let Some(google) = &google else {
                return Ok(None);
            };
            let manifest = find(google.transport(), &uri).await;
            let manifest =
                manifest.map_err(|trouble| read::unreadable(&uri.to_string(), &trouble))?;
            earlier.push(Earlier {
                commit: uri.commit().to_string().chars().take(7).collect(),
                bytes: manifest.map(|manifest| manifest.bytes()),
            });
        }
        places.push(Place {
            location: place.location,
            storage_class,
            earlier,
        });
    }
    Ok(Some(places))
}

fn unfit(bucket: &Bucket, made: bool, location: &str, name: &str) -> Option<String> {
    if made && bucket.labels.get(MANAGED_LABEL).map(String::as_str) != Some("true") {
        return Some(format!(
            "The bucket {name}, which openmodel would make, exists already, and openmodel did not make it. To use it, \
             set bucket = {name:?}."
        ));
    }
    (!bucket.location.eq_ignore_ascii_case(location)).then(|| {
        format!(
            "The bucket {name} lies in {}, not in {location}. Set location = {:?}, or leave it out.",
            bucket.location,
            bucket.location.to_ascii_lowercase()
        )
    })
}

/// The place of a bucket of the user's.
async fn location_of(client: &Client, name: &str) -> Result<Value<String>, Diagnostics> {
    if client.waits_for().is_some() {
        return Ok(Value::unknown());
    }
    let google = client.google(std::collections::BTreeMap::new())?;
    match google.read_bucket(name, super::read_deadline()).await {
        Ok(Some(bucket)) => Ok(Value::Known(bucket.location.to_ascii_lowercase())),
        Ok(None) => Err(Diagnostic::error("Bucket is not there")
            .at("bucket")
            .detail(format!(
                "There is no bucket {name}. If this very apply makes it, set location to its place, so that the plan \
                 can go on without it; else make it first, or leave bucket out and openmodel makes one."
            ))
            .into()),
        Err(failure) => Err(unreadable("bucket", &failure).into()),
    }
}

fn unreadable(path: &str, failure: &Failure) -> Diagnostic {
    Diagnostic::error("Bucket cannot be used")
        .at(path)
        .detail(failure.to_string())
}

fn unset_location() -> Diagnostics {
    Diagnostic::error("Argument is not set")
        .at("location")
        .detail(
            "No place is known. Set location here, region in the provider block, or GOOGLE_REGION in the environment.",
        )
        .into()
}
