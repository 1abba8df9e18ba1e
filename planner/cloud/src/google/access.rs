//! Who may call a service, and who may read a secret or a bucket.

use openmodel_apply::cloud::{Failure, Outcome, Output, Seen};
use serde_json::Value;
use tokio::time::Instant;

use super::failure;
use super::policy::{self, Resource};
use super::resource_manager::{self, Project};
use super::run::{self, INVOKER};
use super::secret_manager::project_of;
use crate::transport::{Api, Transport};

/// Who may read a secret's value holds this role.
const SECRET_ACCESSOR: &str = "roles/secretmanager.secretAccessor";

/// Who may read a bucket's objects holds this role; it is what Cloud Run asks for to mount one.
/// <https://docs.cloud.google.com/run/docs/configuring/services/cloud-storage-volume-mounts>
const OBJECT_VIEWER: &str = "roles/storage.objectViewer";

/// The IAM part of the adapter.
#[derive(Clone, Copy)]
pub(crate) struct Access<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) deadline: Instant,
}

impl Access<'_> {
    /// The members that may call a service, sorted.
    pub(crate) async fn invokers(&self, service: &str) -> Result<Vec<String>, Failure> {
        let policy = self.read(&run::policy(service)).await?;
        Ok(policy::members(&policy, INVOKER))
    }

    /// Looks whether exactly these members may call the service.
    pub(crate) async fn observe_invokers(
        &self,
        service: &str,
        members: &[String],
    ) -> Result<Seen, Failure> {
        let policy = self.read(&run::policy(service)).await?;
        let differs = policy::with_members(&policy, INVOKER, members).is_some();
        Ok(if differs {
            Seen::Absent
        } else {
            Seen::Ours(Output::named(service))
        })
    }

    /// Lets exactly these members call the service.
    pub(crate) async fn set_invokers(&self, service: &str, members: &[String]) -> Outcome {
        let change = |policy: &Value| policy::with_members(policy, INVOKER, members);
        match run::policy(service)
            .change(self.transport, self.deadline, change)
            .await
        {
            Ok(()) => Outcome::Done(Output::named(service)),
            Err(outcome) => outcome,
        }
    }

    /// Looks whether the project's default compute account may read the secret.
    pub(crate) async fn observe_grant(&self, secret: &str) -> Result<Seen, Failure> {
        let project = project_of(secret).unwrap_or_default();
        self.observe_role(&secret_policy(secret), SECRET_ACCESSOR, project)
            .await
    }

    /// Lets the project's default compute account read the secret.
    pub(crate) async fn grant(&self, secret: &str) -> Outcome {
        let project = project_of(secret).unwrap_or_default();
        self.grant_role(&secret_policy(secret), SECRET_ACCESSOR, project)
            .await
    }

    /// Looks whether a project's default compute account may read a bucket's objects.
    pub(crate) async fn observe_bucket(
        &self,
        bucket: &str,
        project: &str,
    ) -> Result<Seen, Failure> {
        self.observe_role(&bucket_policy(bucket), OBJECT_VIEWER, project)
            .await
    }

    /// Lets a project's default compute account read a bucket's objects.
    pub(crate) async fn grant_bucket(&self, bucket: &str, project: &str) -> Outcome {
        self.grant_role(&bucket_policy(bucket), OBJECT_VIEWER, project)
            .await
    }

    async fn observe_role(
        &self,
        resource: &Resource<'_>,
        role: &str,
        project: &str,
    ) -> Result<Seen, Failure> {
        let member = self.default_account(project).await?;
        let policy = self.read(resource).await?;
        let differs = policy::with_member(&policy, role, &member).is_some();
        Ok(if differs {
            Seen::Absent
        } else {
            Seen::Ours(Output::named(resource.name))
        })
    }

    async fn grant_role(&self, resource: &Resource<'_>, role: &str, project: &str) -> Outcome {
        let member = match self.default_account(project).await {
            Ok(member) => member,
            Err(failure) => return Outcome::Refused(failure),
        };
        let change = |policy: &Value| policy::with_member(policy, role, &member);
        match resource.change(self.transport, self.deadline, change).await {
            Ok(()) => Outcome::Done(Output::named(resource.name)),
            Err(outcome) => outcome,
        }
    }

    /// The account that a project's Cloud Run services run as by default. It is named by the project's
    /// number, which the API writes into a secret's name; an id is looked up.
    async fn default_account(&self, project: &str) -> Result<String, Failure> {
        let number = if project.bytes().all(|byte| byte.is_ascii_digit()) {
            project.to_owned()
        } else {
            let request = resource_manager::get_project(project);
            let found: Result<Project, _> = self.transport.json(&request, self.deadline).await;
            let found = found.map_err(|error| failure::failure(&error))?;
            found.name.trim_start_matches("projects/").to_owned()
        };
        Ok(format!(
            "serviceAccount:{number}-compute@developer.gserviceaccount.com"
        ))
    }

    async fn read(&self, resource: &Resource<'_>) -> Result<Value, Failure> {
        resource
            .read(self.transport, self.deadline)
            .await
            .map_err(|error| failure::failure(&error))
    }
}

fn secret_policy(secret: &str) -> Resource<'_> {
    Resource {
        api: Api::SecretManager,
        version: "v1",
        name: secret,
    }
}

/// The policy of a bucket.
pub(crate) fn bucket_policy(bucket: &str) -> Resource<'_> {
    Resource {
        api: Api::Storage,
        version: "v1",
        name: bucket,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::transport::script;

    #[tokio::test(start_paused = true)]
    async fn an_account_is_named_by_the_projects_number() {
        let (transport, seen) =
            script::transport(vec![script::json(200, json!({"name": "projects/42"}))]);
        let access = Access {
            transport: &transport,
            deadline: Instant::now() + Duration::from_mins(1),
        };
        let account = |number| {
            Ok(format!(
                "serviceAccount:{number}-compute@developer.gserviceaccount.com"
            ))
        };
        assert_eq!(access.default_account("7").await, account(7));
        assert!(seen.lines().is_empty());
        assert_eq!(access.default_account("acme-ml").await, account(42));
        assert_eq!(
            seen.lines(),
            ["GET https://cloudresourcemanager.googleapis.com/v3/projects/acme-ml"]
        );
    }
}
