//! The secret that holds an endpoint's Hub token.
//!
//! A version carries no mark of ours, so the secret's annotations say which version belongs to
//! which step: its number is noted *before* it is added (versions count from 1). A run that is
//! cut between the two adds it then; one whose answer was lost finds it, and adds no second. The
//! version that a service still reads stays until the service reads the next
//! ([`Secrets::sweep`]).

use openmodel_apply::cloud::{Failure, Outcome, Output, Seen};
use openmodel_graph::key::StepKey;
use openmodel_graph::operation::{EndpointIdentity, Tags};
use tokio::time::Instant;

use super::failure::{self, Obstacle};
use super::marks::{self, Phase};
use super::run::Service;
use super::secret_manager::{
    self, StoredSecret, VERSION_ANNOTATION, VERSION_KEY_ANNOTATION, Version, VersionPage,
    secret_of_version,
};
use super::services::Services;
use crate::Secret;
use crate::transport::Transport;

/// The Secret Manager part of the adapter.
#[derive(Clone, Copy)]
pub(crate) struct Secrets<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) deadline: Instant,
}

impl Secrets<'_> {
    /// Looks whether our secret is there. One that a finished endpoint reads is in use, whoever
    /// asks: two configurations that are alike have the same keys.
    pub(crate) async fn observe_created(
        &self,
        project: &str,
        secret_id: &str,
        key: &StepKey,
    ) -> Result<Seen, Failure> {
        let name = format!("projects/{project}/secrets/{secret_id}");
        let Some(secret) = self.find(&name).await? else {
            return Ok(Seen::Absent);
        };
        if !marks::bears(&secret.labels, key) {
            return Ok(Seen::Conflict(taken(
                &name,
                marks::is_managed(&secret.labels),
            )));
        }
        if let Some(identity) = endpoint_of(project, secret_id) {
            let services = Services {
                transport: self.transport,
                deadline: self.deadline,
            };
            let service = services.find(&identity.service()).await?;
            if service.is_some_and(|service| is_in_use(&service, secret_id)) {
                return Ok(Seen::Conflict(failure::taken(
                    &identity,
                    Obstacle::Finished,
                )));
            }
        }
        Ok(Seen::Ours(Output::named(secret.name)))
    }

    /// Makes the secret, without a version.
    pub(crate) async fn create(
        &self,
        project: &str,
        secret_id: &str,
        labels: &Tags,
        key: &StepKey,
    ) -> Outcome {
        let request = secret_manager::create(project, secret_id, &marks::labels(labels, None, key));
        match self
            .transport
            .json::<StoredSecret>(&request, self.deadline)
            .await
        {
            Ok(secret) => Outcome::Done(Output::named(secret.name)),
            // It was not there a moment ago: an answer of ours was lost, or somebody was faster.
            Err(error) if error.already_exists() => Outcome::Unknown(Failure {
                transient: true,
                ..failure::failure(&error)
            }),
            Err(error) => failure::outcome(&error),
        }
    }

    /// Looks whether this step's version is there.
    pub(crate) async fn observe_version(&self, name: &str, key: &StepKey) -> Result<Seen, Failure> {
        let Some(secret) = self.find(name).await? else {
            return Ok(Seen::Absent);
        };
        let Some(number) = noted_version(&secret, key) else {
            return Ok(Seen::Absent);
        };
        let request = secret_manager::get_version(&format!("{}/versions/{number}", secret.name));
        match self
            .transport
            .json::<Version>(&request, self.deadline)
            .await
        {
            Ok(version) if version.is_enabled() => Ok(Seen::Ours(Output::named(version.name))),
            Ok(_) => Ok(Seen::Absent),
            Err(error) if error.is_not_found() => Ok(Seen::Absent),
            Err(error) => Err(failure::failure(&error)),
        }
    }

    /// Notes the number that this step's version will have, then adds it.
    pub(crate) async fn add_version(&self, name: &str, value: &Secret, key: &StepKey) -> Outcome {
        let (secret, number) = match self.find_with_next_number(name).await {
            Ok(Some(found)) => found,
            Ok(None) => return Outcome::Refused(failure::gone(name)),
            Err(failure) => return Outcome::Refused(failure),
        };
        if noted_version(&secret, key) != Some(number)
            && let Err(failure) = self.note(&secret, key, number).await
        {
            return Outcome::Unknown(failure);
        }
        let request = secret_manager::add_version(&secret.name, value);
        let added: Version = match self.transport.json(&request, self.deadline).await {
            Ok(added) => added,
            Err(error) => return failure::outcome(&error),
        };
        // Somebody else added a version in between: the number that was noted is theirs.
        if added.number() != Some(number)
            && let Err(failure) = self.note_again(name, key, &added).await
        {
            return Outcome::Unknown(failure);
        }
        Outcome::Done(Output::named(added.name))
    }

    /// Destroys the versions of an endpoint's own secret that its service does not read.
    pub(crate) async fn sweep(
        &self,
        identity: &EndpointIdentity,
        service: &Service,
    ) -> Result<(), Failure> {
        let own = format!("/secrets/{}", identity.token_secret_id());
        let read = service.secret_env();
        let read = read
            .values()
            .filter_map(|version| secret_of_version(version));
        let read: Vec<(&str, &str)> = read.filter(|(secret, _)| secret.ends_with(&own)).collect();
        let Some((secret, _)) = read.first() else {
            return Ok(());
        };
        let in_use: Result<Vec<u64>, _> = read.iter().map(|(_, number)| number.parse()).collect();
        // `latest` or an alias, which we never write: then it is not ours to say what is unused.
        let Ok(in_use) = in_use else {
            return Ok(());
        };
        let unused = |version: &Version| {
            version
                .number()
                .is_some_and(|number| !in_use.contains(&number))
        };
        self.destroy(secret, unused).await
    }

    /// Looks whether the secret is gone.
    pub(crate) async fn observe_deleted(&self, name: &str) -> Result<Seen, Failure> {
        let found = self.find(name).await?;
        Ok(if found.is_some() {
            Seen::Absent
        } else {
            Seen::Ours(Output::named(name.to_owned()))
        })
    }

    /// Deletes the secret with all its versions.
    pub(crate) async fn delete(&self, name: &str) -> Outcome {
        match self
            .transport
            .send(&secret_manager::delete(name), self.deadline)
            .await
        {
            Ok(_) => Outcome::Done(Output::named(name.to_owned())),
            Err(error) if error.is_not_found() => Outcome::Done(Output::named(name.to_owned())),
            Err(error) => failure::outcome(&error),
        }
    }

    /// Deletes the secret if this step made it.
    pub(crate) async fn undo(&self, project: &str, secret_id: &str, key: &StepKey) -> Outcome {
        let name = format!("projects/{project}/secrets/{secret_id}");
        match self.find(&name).await {
            Err(failure) => Outcome::Refused(failure),
            Ok(Some(secret)) if marks::bears(&secret.labels, key) => self.delete(&name).await,
            Ok(_) => Outcome::Done(Output::named(name)),
        }
    }

    /// A secret, by its full name.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<StoredSecret>, Failure> {
        match self
            .transport
            .json(&secret_manager::get(name), self.deadline)
            .await
        {
            Ok(secret) => Ok(Some(secret)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(failure::failure(&error)),
        }
    }

    /// The secret, and the number that its next version will have.
    async fn find_with_next_number(
        &self,
        name: &str,
    ) -> Result<Option<(StoredSecret, u64)>, Failure> {
        let Some(secret) = self.find(name).await? else {
            return Ok(None);
        };
        // The newest come first.
        let request = secret_manager::list_versions(&secret.name, "");
        let page: VersionPage = self
            .transport
            .json(&request, self.deadline)
            .await
            .map_err(|error| failure::failure(&error))?;
        let newest = page
            .versions
            .iter()
            .filter_map(Version::number)
            .max()
            .unwrap_or(0);
        Ok(Some((secret, newest + 1)))
    }

    async fn note_again(&self, name: &str, key: &StepKey, added: &Version) -> Result<(), Failure> {
        let secret = self.find(name).await?.ok_or_else(|| failure::gone(name))?;
        let number = added.number().ok_or_else(|| {
            Failure::lasting(
                "DATA_LOSS",
                format!("{:?} is no name of a secret version", added.name),
            )
        })?;
        self.note(&secret, key, number).await
    }

    async fn note(&self, secret: &StoredSecret, key: &StepKey, number: u64) -> Result<(), Failure> {
        let mut annotations = secret.annotations.clone();
        annotations.insert(VERSION_KEY_ANNOTATION.to_owned(), key.to_string());
        annotations.insert(VERSION_ANNOTATION.to_owned(), number.to_string());
        let request = secret_manager::annotate(secret, &annotations);
        match self.transport.send(&request, self.deadline).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure {
                transient: error.transient || error.is_conflict(),
                ..failure::failure(&error)
            }),
        }
    }

    /// Destroys the enabled versions that `which` picks.
    async fn destroy(
        &self,
        name: &str,
        which: impl Fn(&Version) -> bool + Send,
    ) -> Result<(), Failure> {
        let mut page = VersionPage::default();
        loop {
            let request = secret_manager::list_versions(name, &page.next_page_token);
            page = self
                .transport
                .json(&request, self.deadline)
                .await
                .map_err(|error| failure::failure(&error))?;
            for version in page
                .versions
                .iter()
                .filter(|version| version.is_enabled() && which(version))
            {
                self.destroy_one(version).await?;
            }
            if page.next_page_token.is_empty() {
                return Ok(());
            }
        }
    }

    async fn destroy_one(&self, version: &Version) -> Result<(), Failure> {
        let request = secret_manager::destroy_version(&version.name);
        let Err(error) = self.transport.send(&request, self.deadline).await else {
            return Ok(());
        };
        // A version that is destroyed already is refused: the first answer may have been lost.
        let look = secret_manager::get_version(&version.name);
        match self.transport.json::<Version>(&look, self.deadline).await {
            Ok(now) if !now.is_enabled() => Ok(()),
            _ => Err(failure::failure(&error)),
        }
    }
}

/// The number of this step's version, as the annotations note it.
fn noted_version(secret: &StoredSecret, key: &StepKey) -> Option<u64> {
    if secret.annotations.get(VERSION_KEY_ANNOTATION)? != key.as_str() {
        return None;
    }
    secret.annotations.get(VERSION_ANNOTATION)?.parse().ok()
}

/// Whether a finished service reads this secret.
fn is_in_use(service: &Service, secret_id: &str) -> bool {
    let reads = |version: &String| {
        secret_of_version(version)
            .is_some_and(|(secret, _)| secret.ends_with(&format!("/secrets/{secret_id}")))
    };
    Phase::of(&service.labels) == Some(Phase::Ready) && service.secret_env().values().any(reads)
}

/// The endpoint whose token secret has this id: the id is made of region and name, and a region
/// has exactly one dash.
fn endpoint_of(project: &str, secret_id: &str) -> Option<EndpointIdentity> {
    let inner = secret_id
        .strip_prefix("openmodel-")?
        .strip_suffix("-hugging-face-token")?;
    let (second_dash, _) = inner.match_indices('-').nth(1)?;
    let identity = EndpointIdentity {
        project: project.parse().ok()?,
        region: inner[..second_dash].parse().ok()?,
        name: inner[second_dash + 1..].parse().ok()?,
    };
    (identity.token_secret_id() == secret_id).then_some(identity)
}

fn taken(name: &str, managed: bool) -> Failure {
    let whose = if managed {
        "belongs to another openmodel endpoint or configuration"
    } else {
        "was not made by openmodel"
    };
    let mut failure = Failure::lasting(
        "ALREADY_EXISTS",
        format!("the secret {name} exists already; it {whose}"),
    );
    failure.hint = Some(format!(
        "Delete it if nothing uses it (gcloud secrets delete {name}), or set hugging_face_token_secret to a version of it."
    ));
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secrets_id_names_its_endpoint() {
        let id = "openmodel-northamerica-northeast1-my-chat-hugging-face-token";
        let identity = endpoint_of("acme-ml", id).expect("an endpoint");
        assert_eq!(
            (identity.region.as_str(), identity.name.as_str()),
            ("northamerica-northeast1", "my-chat")
        );
        assert_eq!(endpoint_of("acme-ml", "openmodel-other"), None);
        assert_eq!(
            endpoint_of("acme-ml", "mine-us-central1-chat-hugging-face-token"),
            None
        );
    }

    #[test]
    fn a_version_is_noted_for_one_step() {
        let key = crate::google::testing::call(crate::google::testing::create_service()).key;
        let mut secret = StoredSecret::default();
        assert_eq!(noted_version(&secret, &key), None);
        secret
            .annotations
            .insert(VERSION_ANNOTATION.to_owned(), "4".to_owned());
        secret
            .annotations
            .insert(VERSION_KEY_ANNOTATION.to_owned(), "other".to_owned());
        assert_eq!(noted_version(&secret, &key), None);
        secret
            .annotations
            .insert(VERSION_KEY_ANNOTATION.to_owned(), key.to_string());
        assert_eq!(noted_version(&secret, &key), Some(4));
    }
}
