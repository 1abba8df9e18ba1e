//! Buckets that hold snapshots, and their Anywhere Caches: made, looked at and taken away.
//!
//! A bucket is shared by all caches of a project in a place, so it goes only when nothing is in it. An Anywhere
//! Cache has no labels and is of the whole bucket: the manifest of each snapshot notes the zones that it was made
//! with, and what another one names, or one that is still being made may name, stays.

use openmodel_apply::cloud::{Failure, Outcome, Output, Seen};
use openmodel_graph::key::StepKey;
use openmodel_graph::operation::BucketSpec;
use openmodel_schemas::name::Zone;
use openmodel_schemas::snapshot::{MANIFEST, SnapshotUri};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::anywhere::{self, AnywhereCache, AnywherePage};
use super::buckets::{Bucket, NewBucket, delete_bucket, get_bucket, insert_bucket};
use super::failure;
use super::lro::{self, End, Lro, Pause};
use super::marks::{self, NEAR_LABEL, Phase};
use super::storage::{Exact, Object, ObjectPage, list_matching, list_objects, patch_metadata};
use crate::transport::{ApiError, Request, Transport};

/// The caches' part of the adapter.
#[derive(Clone, Copy)]
pub(crate) struct Caches<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) deadline: Instant,
}

/// The fact that an Anywhere Cache was not there before.
const MADE: &str = "made";

/// How often an empty bucket is looked at whose Anywhere Cache runs on.
const LOOKS: u32 = 6;

/// How an Anywhere Cache shall be.
#[derive(Clone, Copy)]
pub(crate) struct Near<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) zone: &'a Zone,
    pub(crate) ttl_seconds: u64,
    pub(crate) policy: &'a str,
}

impl Caches<'_> {
    /// A bucket; `None` where there is none.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Bucket>, Failure> {
        match self.transport.json(&get_bucket(name), self.deadline).await {
            Ok(bucket) => Ok(Some(bucket)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(of_bucket(name, &error)),
        }
    }

    /// Looks whether a bucket of ours is there: any that openmodel made in this place is.
    pub(crate) async fn observe_bucket(&self, wanted: &BucketSpec) -> Result<Seen, Failure> {
        let name = &wanted.name;
        let Some(bucket) = self.find(name).await? else {
            return Ok(Seen::Absent);
        };
        if !marks::is_managed(&bucket.labels) {
            return Ok(Seen::Conflict(taken(
                name,
                "was not made by openmodel",
                &format!(
                    "To use it, write bucket = {name:?}; or choose another project or location."
                ),
            )));
        }
        if !bucket.location.eq_ignore_ascii_case(&wanted.location) {
            return Ok(Seen::Conflict(taken(
                name,
                &format!("lies in {}, not in {}", bucket.location, wanted.location),
                "Write bucket = with another name, or that location.",
            )));
        }
        let key = bucket.encryption.map(|key| key.default_kms_key_name);
        if wanted.kms_key.is_some() && key != wanted.kms_key {
            return Ok(Seen::Conflict(taken(
                name,
                "has another encryption key",
                "Write bucket = with the name of a bucket that has it, or leave kms_key out.",
            )));
        }
        Ok(Seen::Ours(Output::named(name)))
    }

    /// Makes a bucket.
    pub(crate) async fn create_bucket(
        &self,
        project: &str,
        wanted: &BucketSpec,
        key: &StepKey,
    ) -> Outcome {
        let mut labels = marks::labels(&wanted.labels, None, key);
        // It is made at once, or not at all.
        let ready = marks::Phase::Ready.as_str().to_owned();
        labels.insert(marks::PHASE_LABEL.to_owned(), ready);
        let request = insert_bucket(&NewBucket {
            project,
            name: &wanted.name,
            location: &wanted.location,
            storage_class: &wanted.storage_class,
            labels: &labels,
            kms_key: wanted.kms_key.as_deref(),
        });
        match self.transport.send(&request, self.deadline).await {
            Ok(_) => Outcome::Done(Output::named(&wanted.name)),
            // Made by an answer that was lost, by another run, or by a stranger: a look tells.
            Err(error) if error.is_conflict() || error.already_exists() => {
                Outcome::Unknown(Failure {
                    transient: true,
                    ..of_bucket(&wanted.name, &error)
                })
            }
            Err(error) => failure::outcome(&error),
        }
    }

    /// Takes back the bucket that this step made, if nobody has put anything into it.
    pub(crate) async fn undo_bucket(&self, name: &str, key: &StepKey) -> Outcome {
        match self.find(name).await {
            Err(failure) => Outcome::Refused(failure),
            Ok(Some(bucket)) if marks::bears(&bucket.labels, key) => self.remove_bucket(name).await,
            Ok(_) => Outcome::Done(Output::named(name)),
        }
    }

    /// Deletes a bucket that openmodel made, if it is empty.
    pub(crate) async fn delete_bucket(&self, name: &str) -> Outcome {
        match self.find(name).await {
            Err(failure) => Outcome::Refused(failure),
            Ok(Some(bucket)) if marks::is_managed(&bucket.labels) => self.remove_bucket(name).await,
            Ok(_) => Outcome::Done(Output::named(name)),
        }
    }

    async fn remove_bucket(&self, name: &str) -> Outcome {
        match self.has_any(&list_objects(name, "", "")).await {
            Ok(true) => return Outcome::Done(Output::named(name)),
            Ok(false) => {}
            Err(error) => return Outcome::Refused(failure::failure(&error)),
        }
        let (mut pause, mut looks) = (Pause::new(), 0);
        loop {
            let deleted = self
                .transport
                .send(&delete_bucket(name), self.deadline)
                .await;
            let error = match deleted {
                Ok(_) => return Outcome::Done(Output::named(name)),
                Err(error) if error.is_not_found() => return Outcome::Done(Output::named(name)),
                Err(error) => error,
            };
            // Something came into it meanwhile: it stays.
            let any = self.has_any(&list_objects(name, "", "")).await;
            if any.is_ok_and(|any| any) {
                return Outcome::Done(Output::named(name));
            }
            let request = anywhere::list_caches(name);
            let near: Result<AnywherePage, _> = self.transport.json(&request, self.deadline).await;
            let near = near.unwrap_or_default().items;
            let Some(first) = near.first() else {
                return failure::outcome(&error);
            };
            // Those that are disabled go within the hour. Whoever has just removed the last snapshot may be about
            // to disable one.
            let running = near.iter().any(|cache| cache.state != "disabled");
            looks += 1;
            if running && looks > LOOKS {
                return Outcome::Refused(blocked(name, &near));
            }
            if !pause.sleep(self.transport, self.deadline).await {
                let zone = &first.zone;
                return Outcome::Unknown(late(name, zone, "keeps the bucket from going"));
            }
        }
    }

    /// Looks whether an Anywhere Cache is as it shall be; waits while it is being made.
    pub(crate) async fn observe_near(&self, near: Near<'_>) -> Result<Seen, Failure> {
        let mut pause = Pause::new();
        loop {
            let Some(cache) = self.cache(near.bucket, near.zone).await? else {
                return Ok(Seen::Absent);
            };
            let same = cache.ttl == format!("{}s", near.ttl_seconds)
                && cache.admission_policy == near.policy;
            match cache.state.as_str() {
                "creating" => {}
                "running" if same => return Ok(Seen::Ours(output_near(near.bucket, near.zone))),
                _ => return Ok(Seen::Absent),
            }
            if !pause.sleep(self.transport, self.deadline).await {
                return Err(late(near.bucket, near.zone.as_str(), "is still being made"));
            }
        }
    }

    /// Makes an Anywhere Cache, or changes the one that is there.
    pub(crate) async fn set_near(&self, near: Near<'_>) -> Outcome {
        let Near {
            bucket,
            zone,
            ttl_seconds,
            policy,
        } = near;
        let mut pause = Pause::new();
        loop {
            let there = match self.cache(bucket, zone).await {
                Ok(there) => there,
                Err(failure) => return Outcome::Refused(failure),
            };
            let request = match there.as_ref().map(|cache| cache.state.as_str()) {
                // It goes within the hour, and then another can be made.
                Some("disabled") => {
                    if pause.sleep(self.transport, self.deadline).await {
                        continue;
                    }
                    return Outcome::Unknown(late(
                        bucket,
                        zone.as_str(),
                        "was disabled, and is not gone yet",
                    ));
                }
                Some(_) => anywhere::patch(bucket, zone.as_str(), ttl_seconds, policy),
                None => anywhere::insert(bucket, zone.as_str(), ttl_seconds, policy),
            };
            let mut outcome = self.operate(&request, bucket, zone).await;
            if let (Outcome::Done(output), None) = (&mut outcome, there) {
                output.facts[MADE] = Value::Bool(true);
            }
            return outcome;
        }
    }

    /// Takes back an Anywhere Cache, unless it was there before or another snapshot needs it. `output`: what was
    /// said when it was made or found.
    pub(crate) async fn undo_near(
        &self,
        snapshot: &SnapshotUri,
        zone: &Zone,
        output: &Output,
    ) -> Outcome {
        let bucket = snapshot.bucket();
        let look = async {
            // In a bucket that openmodel made nobody else makes one.
            let ours = output.facts[MADE] == true
                || self
                    .find(bucket)
                    .await?
                    .is_some_and(|bucket| marks::is_managed(&bucket.labels));
            let own = std::slice::from_ref(snapshot);
            Ok(ours && !serves_others(&self.manifests(bucket).await?, zone, own))
        };
        match look.await {
            Ok(true) => self.disable(bucket, zone).await,
            Ok(false) => Outcome::Done(output.clone()),
            Err(failure) => Outcome::Refused(failure),
        }
    }

    /// Looks whether an Anywhere Cache is gone, or may stay for others than `own`.
    pub(crate) async fn observe_far(
        &self,
        bucket: &str,
        zone: &Zone,
        own: &[SnapshotUri],
    ) -> Result<Seen, Failure> {
        let manifests = self.manifests(bucket).await?;
        let noted = own_notes(&manifests, own, zone).next().is_some();
        let gone = !noted
            && (serves_others(&manifests, zone, own) || self.cache(bucket, zone).await?.is_none());
        Ok(if gone {
            Seen::Ours(output_near(bucket, zone))
        } else {
            Seen::Absent
        })
    }

    /// Notes that snapshots of `own` do without an Anywhere Cache, and takes it away where no other was made with it.
    pub(crate) async fn remove_near(
        &self,
        bucket: &str,
        zone: &Zone,
        own: &[SnapshotUri],
    ) -> Outcome {
        let noted = async {
            let manifests = self.manifests(bucket).await?;
            for manifest in own_notes(&manifests, own, zone) {
                let mut notes = manifest.metadata.clone();
                let left: Vec<&str> = zones_of(manifest)
                    .filter(|near| *near != zone.as_str())
                    .collect();
                notes.insert(NEAR_LABEL.to_owned(), marks::near(&left));
                let exact = Exact {
                    bucket,
                    name: &manifest.name,
                    generation: manifest.generation,
                };
                let request = patch_metadata(exact, &notes);
                let sent = self.transport.send(&request, self.deadline).await;
                sent.map_err(|error| failure::failure(&error))?;
            }
            let there = self.cache(bucket, zone).await?.is_some();
            Ok(there && !serves_others(&manifests, zone, own))
        };
        match noted.await {
            Ok(true) => self.disable(bucket, zone).await,
            Ok(false) => Outcome::Done(output_near(bucket, zone)),
            Err(failure) => Outcome::Refused(failure),
        }
    }

    /// Disables an Anywhere Cache, and waits until it is gone.
    async fn disable(&self, bucket: &str, zone: &Zone) -> Outcome {
        let request = anywhere::disable(bucket, zone.as_str());
        match self.transport.send(&request, self.deadline).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() => {
                return Outcome::Done(output_near(bucket, zone));
            }
            Err(error) => return failure::outcome(&error),
        }
        let mut pause = Pause::new();
        loop {
            match self.cache(bucket, zone).await {
                Ok(None) => return Outcome::Done(output_near(bucket, zone)),
                Ok(Some(_)) => {}
                Err(failure) if failure.transient => {}
                Err(failure) => return Outcome::Unknown(failure),
            }
            if !pause.sleep(self.transport, self.deadline).await {
                return Outcome::Unknown(late(
                    bucket,
                    zone.as_str(),
                    "is disabled, and goes within the hour",
                ));
            }
        }
    }

    /// The manifests of all snapshots in a bucket.
    async fn manifests(&self, bucket: &str) -> Result<Vec<Object>, Failure> {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let listing = list_matching(bucket, &format!("**/{MANIFEST}"), &token);
            let page: ObjectPage = match self.transport.json(&listing, self.deadline).await {
                Ok(page) => page,
                Err(error) if error.is_not_found() => return Ok(all),
                Err(error) => return Err(failure::failure(&error)),
            };
            all.extend(page.items);
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(all);
            }
        }
    }

    async fn has_any(&self, listing: &Request) -> Result<bool, ApiError> {
        let page: ObjectPage = match self.transport.json(listing, self.deadline).await {
            Ok(page) => page,
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(!page.items.is_empty())
    }

    async fn cache(&self, bucket: &str, zone: &Zone) -> Result<Option<AnywhereCache>, Failure> {
        let request = anywhere::get(bucket, zone.as_str());
        match self.transport.json(&request, self.deadline).await {
            Ok(cache) => Ok(Some(cache)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(failure::failure(&error)),
        }
    }

    async fn operate(&self, request: &Request, bucket: &str, zone: &Zone) -> Outcome {
        let lro: Lro = match self.transport.json(request, self.deadline).await {
            Ok(lro) => lro,
            Err(error) => return failure::outcome(&error),
        };
        match lro::wait(self.transport, lro, self.deadline).await {
            Ok(End::Done) => Outcome::Done(output_near(bucket, zone)),
            Ok(End::Failed(failure)) => Outcome::Refused(failure),
            Err(error) => Outcome::Unknown(failure::failure(&error)),
        }
    }
}

/// Whether a snapshot that is not one of `own` was made with an Anywhere Cache in a zone, or is being made and
/// may be.
fn serves_others(manifests: &[Object], zone: &Zone, own: &[SnapshotUri]) -> bool {
    let mut others = manifests.iter().filter(|manifest| !is_of(manifest, own));
    others.any(|manifest| {
        Phase::of(&manifest.metadata) == Some(Phase::Provisioning) || notes(manifest, zone)
    })
}

/// The manifests of `own` that note a zone.
fn own_notes<'a>(
    manifests: &'a [Object],
    own: &[SnapshotUri],
    zone: &Zone,
) -> impl Iterator<Item = &'a Object> {
    let noted = |manifest: &&Object| is_of(manifest, own) && notes(manifest, zone);
    manifests.iter().filter(noted)
}

fn notes(manifest: &Object, zone: &Zone) -> bool {
    zones_of(manifest).any(|near| near == zone.as_str())
}

fn is_of(manifest: &Object, own: &[SnapshotUri]) -> bool {
    own.iter()
        .any(|snapshot| snapshot.object(MANIFEST) == manifest.name)
}

/// The zones that a manifest notes.
fn zones_of(manifest: &Object) -> impl Iterator<Item = &str> {
    let near = manifest.metadata.get(NEAR_LABEL).map(String::as_str);
    near.unwrap_or_default().split(',')
}

/// The names of buckets are one space for all the world: what may not be read is mostly a stranger's.
fn of_bucket(name: &str, error: &ApiError) -> Failure {
    let mut failure = failure::failure(error);
    if error.status.is_some_and(|status| status.as_u16() == 403) {
        failure.hint = Some(format!(
            "The bucket {name} belongs to somebody else, or you may not read it. Choose another name, or ask its owner \
             for roles/storage.admin on it."
        ));
    }
    failure
}

fn taken(name: &str, why: &str, next: &str) -> Failure {
    Failure {
        hint: Some(next.to_owned()),
        ..Failure::lasting(
            "ALREADY_EXISTS",
            format!("the bucket {name} exists already, and {why}"),
        )
    }
}

/// Anywhere Caches that keep an empty bucket from going: nobody's, as far as openmodel knows.
fn blocked(name: &str, near: &[AnywhereCache]) -> Failure {
    let zones: Vec<&str> = near.iter().map(|cache| cache.zone.as_str()).collect();
    let first = zones.first().copied().unwrap_or_default();
    Failure {
        hint: Some(format!(
            "If nobody else needs it: gcloud storage buckets anywhere-caches disable {name}/{first}. It is gone about an \
             hour later, and the bucket can go then."
        )),
        ..Failure::lasting(
            "FAILED_PRECONDITION",
            format!(
                "the bucket {name} is empty, and an Anywhere Cache in {} keeps it from going",
                zones.join(", ")
            ),
        )
    }
}

fn late(bucket: &str, zone: &str, state: &str) -> Failure {
    Failure {
        hint: Some(
            "Google needs about an hour for it: raise the timeout, or apply again.".to_owned(),
        ),
        ..Failure::passing(
            "DEADLINE_EXCEEDED",
            format!("the Anywhere Cache of {bucket} in {zone} {state}"),
        )
    }
}

fn output_near(bucket: &str, zone: &Zone) -> Output {
    Output {
        id: format!("{bucket}/{zone}"),
        facts: json!({}),
    }
}
