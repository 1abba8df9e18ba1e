//! Who may call a service, and who may read a secret.

use openmodel_apply::cloud::{Failure, Outcome, Output, Seen};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::failure;
use super::policy::{self, Resource};
use super::resource_manager::{self, Project};
use super::run::{self, INVOKER};
use super::secret_manager::project_of;
use crate::transport::{Api, Transport};

/// Who may read a secret's value holds this role.
const SECRET_ACCESSOR: &str = "roles/secretmanager.secretAccessor";

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
            Seen::Ours(output(service))
        })
    }

    /// Lets exactly these members call the service.
    pub(crate) async fn set_invokers(&self, service: &str, members: &[String]) -> Outcome {
        let change = |policy: &Value| policy::with_members(policy, INVOKER, members);
        match run::policy(service)
            .change(self.transport, self.deadline, change)
            .await
        {
            Ok(()) => Outcome::Done(output(service)),
            Err(outcome) => outcome,
        }
    }

    /// Looks whether the project's default compute account may read the secret.
    pub(crate) async fn observe_grant(&self, secret: &str) -> Result<Seen, Failure> {
        let member = self.default_account(secret).await?;
        let policy = self.read(&secret_policy(secret)).await?;
        let differs = policy::with_member(&policy, SECRET_ACCESSOR, &member).is_some();
        Ok(if differs {
            Seen::Absent
        } else {
            Seen::Ours(output(secret))
        })
    }

    /// Lets the project's default compute account read the secret.
    pub(crate) async fn grant(&self, secret: &str) -> Outcome {
        let member = match self.default_account(secret).await {
            Ok(member) => member,
            Err(failure) => return Outcome::Refused(failure),
        };
        let change = |policy: &Value| policy::with_member(policy, SECRET_ACCESSOR, &member);
        match secret_policy(secret)
            .change(self.transport, self.deadline, change)
            .await
        {
            Ok(()) => Outcome::Done(output(secret)),
            Err(outcome) => outcome,
        }
    }

    /// The account that Cloud Run services run as by default. It is named by the project's
    /// number, which the API writes into the secret's name; an id is looked up.
    async fn default_account(&self, secret: &str) -> Result<String, Failure> {
        let project = project_of(secret).unwrap_or_default();
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

fn output(name: &str) -> Output {
    Output {
        id: name.to_owned(),
        facts: json!(null),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        assert_eq!(
            access.default_account("projects/7/secrets/s").await,
            account(7)
        );
        assert!(seen.lines().is_empty());
        assert_eq!(
            access.default_account("projects/acme-ml/secrets/s").await,
            account(42)
        );
        assert_eq!(
            seen.lines(),
            ["GET https://cloudresourcemanager.googleapis.com/v3/projects/acme-ml"]
        );
    }
}
