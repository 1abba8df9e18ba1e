//! IAM policies: read, changed in one role, written back with their etag.

use openmodel_apply::cloud::{Failure, Outcome};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::buckets::{get_bucket_policy, set_bucket_policy};
use super::failure;
use crate::transport::{Api, ApiError, Request, Transport, path_text};

/// How often a policy that others change at the same time is read and written again.
const MOST_CONFLICTS: u32 = 5;

/// A resource with a policy. A bucket's stands at an address of its own form, and has no version.
pub(crate) struct Resource<'a> {
    pub(crate) api: Api,
    /// `v1` or `v2`.
    pub(crate) version: &'static str,
    pub(crate) name: &'a str,
}

impl Resource<'_> {
    /// Reads the policy, conditions included.
    pub(crate) fn get_policy(&self) -> Request {
        if self.api == Api::Storage {
            return get_bucket_policy(self.name);
        }
        Request::get(self.api, self.path("getIamPolicy"))
            .query("options.requestedPolicyVersion", "3")
    }

    fn set_policy(&self, policy: &Value) -> Request {
        if self.api == Api::Storage {
            return set_bucket_policy(self.name, policy);
        }
        Request::post(
            self.api,
            self.path("setIamPolicy"),
            json!({"policy": policy}),
        )
    }

    fn path(&self, verb: &str) -> String {
        format!("/{}/{}:{verb}", self.version, path_text(self.name))
    }

    /// Reads the policy.
    pub(crate) async fn read(
        &self,
        transport: &Transport,
        deadline: Instant,
    ) -> Result<Value, ApiError> {
        transport.json(&self.get_policy(), deadline).await
    }

    /// Changes the policy by a function that answers `None` where nothing is to change.
    pub(crate) async fn change(
        &self,
        transport: &Transport,
        deadline: Instant,
        change: impl Fn(&Value) -> Option<Value> + Send,
    ) -> Result<(), Outcome> {
        for _ in 0..MOST_CONFLICTS {
            let policy = self
                .read(transport, deadline)
                .await
                .map_err(|error| failure::outcome(&error))?;
            let Some(wanted) = change(&policy) else {
                return Ok(());
            };
            match transport.send(&self.set_policy(&wanted), deadline).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(failure::outcome(&error)),
            }
        }
        let message = format!(
            "the IAM policy of {} was changed by others {MOST_CONFLICTS} times in a row",
            self.name
        );
        Err(Outcome::Refused(Failure::passing("ABORTED", message)))
    }
}

/// The members that hold a role, sorted; conditional bindings included.
pub(crate) fn members(policy: &Value, role: &str) -> Vec<String> {
    let mut members: Vec<String> = bindings(policy)
        .filter(|binding| binding["role"] == role)
        .flat_map(|binding| binding["members"].as_array().into_iter().flatten())
        .filter_map(|member| member.as_str().map(str::to_owned))
        .collect();
    members.sort();
    members.dedup();
    members
}

/// The policy in which exactly these members hold the role, or `None` where they do already.
pub(crate) fn with_members(policy: &Value, role: &str, wanted: &[String]) -> Option<Value> {
    let mut wanted = wanted.to_vec();
    wanted.sort();
    wanted.dedup();
    let conditional =
        bindings(policy).any(|binding| binding["role"] == role && !binding["condition"].is_null());
    if members(policy, role) == wanted && !conditional {
        return None;
    }
    let mut kept: Vec<Value> = bindings(policy)
        .filter(|binding| binding["role"] != role)
        .cloned()
        .collect();
    if !wanted.is_empty() {
        kept.push(json!({"role": role, "members": wanted}));
    }
    Some(with_bindings(policy, kept))
}

/// The policy in which this member holds the role too, or `None` where it does already.
pub(crate) fn with_member(policy: &Value, role: &str, member: &str) -> Option<Value> {
    let unconditional = |binding: &Value| binding["role"] == role && binding["condition"].is_null();
    let mut all: Vec<Value> = bindings(policy).cloned().collect();
    match all.iter_mut().find(|binding| unconditional(binding)) {
        Some(binding) => {
            let members = binding["members"].as_array_mut()?;
            if members.iter().any(|each| each == member) {
                return None;
            }
            members.push(Value::from(member));
        }
        None => all.push(json!({"role": role, "members": [member]})),
    }
    Some(with_bindings(policy, all))
}

fn bindings(policy: &Value) -> impl Iterator<Item = &Value> {
    policy["bindings"].as_array().into_iter().flatten()
}

/// Everything else of the policy stays, the etag and audit settings above all.
fn with_bindings(policy: &Value, bindings: Vec<Value>) -> Value {
    let mut policy = if policy.is_object() {
        policy.clone()
    } else {
        json!({})
    };
    policy["bindings"] = Value::Array(bindings);
    policy
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::transport::script;

    const ROLE: &str = "roles/run.invoker";

    fn policy() -> Value {
        json!({"version": 1, "etag": "BwX=", "bindings": [
            {"role": "roles/viewer", "members": ["user:a@x"]},
            {"role": ROLE, "members": ["user:b@x", "allUsers"]}
        ]})
    }

    #[test]
    fn exactly_these_members_hold_the_role_and_other_roles_stay() {
        assert_eq!(members(&policy(), ROLE), ["allUsers", "user:b@x"]);
        let same = ["user:b@x", "allUsers"].map(str::to_owned);
        assert_eq!(with_members(&policy(), ROLE, &same), None);
        let wanted = with_members(&policy(), ROLE, &["user:c@x".to_owned()]).expect("a change");
        assert_eq!(
            wanted,
            json!({"version": 1, "etag": "BwX=", "bindings": [
                {"role": "roles/viewer", "members": ["user:a@x"]},
                {"role": ROLE, "members": ["user:c@x"]}
            ]})
        );
        let none = with_members(&policy(), ROLE, &[]).expect("a change");
        assert_eq!(none["bindings"].as_array().map(Vec::len), Some(1));
        assert_eq!(with_members(&json!({"etag": "x"}), ROLE, &[]), None);
    }

    #[test]
    fn a_conditional_holder_is_not_an_unconditional_one() {
        let conditional = json!({"bindings": [
            {"role": ROLE, "members": ["allUsers"], "condition": {"expression": "false"}}
        ]});
        assert!(with_members(&conditional, ROLE, &["allUsers".to_owned()]).is_some());
        let wanted = with_member(&conditional, ROLE, "allUsers").expect("a change");
        assert_eq!(wanted["bindings"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn a_member_is_added_once() {
        assert_eq!(with_member(&policy(), ROLE, "user:b@x"), None);
        let wanted = with_member(&policy(), ROLE, "user:c@x").expect("a change");
        assert_eq!(members(&wanted, ROLE), ["allUsers", "user:b@x", "user:c@x"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_that_moved_is_read_and_written_again() {
        let conflict = || {
            script::json(
                409,
                json!({"error": {"status": "ABORTED", "message": "etag"}}),
            )
        };
        let (transport, seen) = script::transport(vec![
            script::json(200, policy()),
            conflict(),
            script::json(200, policy()),
            script::json(200, json!({})),
        ]);
        let resource = Resource {
            api: Api::Run,
            version: "v2",
            name: "projects/p/locations/r/services/s",
        };
        let deadline = Instant::now() + Duration::from_mins(1);
        let done = resource
            .change(&transport, deadline, |policy| {
                with_members(policy, ROLE, &[])
            })
            .await;
        assert_eq!(done, Ok(()));
        insta::assert_snapshot!(seen.lines().join("\n"), @"
        GET https://run.googleapis.com/v2/projects/p/locations/r/services/s:getIamPolicy?options.requestedPolicyVersion=3
        POST https://run.googleapis.com/v2/projects/p/locations/r/services/s:setIamPolicy
        GET https://run.googleapis.com/v2/projects/p/locations/r/services/s:getIamPolicy?options.requestedPolicyVersion=3
        POST https://run.googleapis.com/v2/projects/p/locations/r/services/s:setIamPolicy
        ");
    }
}
