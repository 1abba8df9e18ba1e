//! IAM policies of resources: read, replace with an etag, ask for permissions.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Outcome;
use super::error::Error;
use crate::ids;

/// The policy of one resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Policy {
    bindings: Vec<Value>,
    writes: u64,
}

impl Policy {
    /// The policy as the API shows it.
    pub(crate) fn view(&self) -> Value {
        let mut view = json!({"version": 1, "etag": self.etag()});
        if !self.bindings.is_empty() {
            view["bindings"] = Value::from(self.bindings.clone());
        }
        view
    }

    /// Replace it by the `policy` of a `setIamPolicy` body, when its etag is empty or right.
    pub(crate) fn set(&mut self, body: &Value) -> Outcome {
        let policy = body.get("policy").cloned().unwrap_or_default();
        let etag = policy["etag"].as_str().unwrap_or_default();
        if !etag.is_empty() && etag != self.etag() {
            return Err(Error::aborted(
                "There were concurrent policy changes. Please retry the whole read-modify-write \
                 with exponential backoff.",
            ));
        }
        let mut bindings: Vec<Value> = Vec::new();
        for binding in policy["bindings"].as_array().into_iter().flatten() {
            let role = role(binding)?;
            let members = members(binding)?;
            if members.is_empty() {
                continue;
            }
            let mut kept = Map::new();
            kept.insert("role".to_owned(), role.into());
            kept.insert("members".to_owned(), members.into());
            if let Some(condition) = binding.get("condition") {
                kept.insert("condition".to_owned(), condition.clone());
            }
            bindings.push(Value::Object(kept));
        }
        bindings.sort_by_key(ToString::to_string);
        self.bindings = bindings;
        self.writes += 1;
        Ok(self.view())
    }

    /// Whether a member holds a role here.
    pub(crate) fn grants(&self, role: &str, member: &str) -> bool {
        self.bindings.iter().any(|binding| {
            binding["role"] == role
                && binding["members"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|m| m == member))
        })
    }

    /// The bindings, for the inventory.
    pub(crate) fn bindings(&self) -> Value {
        Value::from(self.bindings.clone())
    }

    fn etag(&self) -> String {
        use base64::Engine as _;
        if self.writes == 0 {
            // What IAM answers for a policy that was never set.
            return "ACAB".to_owned();
        }
        let text = format!("{:?}", self.bindings);
        let bytes = ids::digest(self.writes, &["policy", &text]);
        base64::engine::general_purpose::STANDARD.encode(&bytes[..9])
    }
}

/// `testIamPermissions`: in the sandbox the caller may do everything.
pub(crate) fn test(body: &Value) -> Outcome {
    let asked = body["permissions"].as_array().cloned().unwrap_or_default();
    if asked
        .iter()
        .any(|permission| permission.as_str().is_some_and(|text| text.contains('*')))
    {
        return Err(Error::invalid(
            "Permissions with wildcards are not allowed.",
        ));
    }
    Ok(if asked.is_empty() {
        json!({})
    } else {
        json!({"permissions": asked})
    })
}

fn role(binding: &Value) -> Result<&str, Error> {
    let role = binding["role"].as_str().unwrap_or_default();
    let known = ["roles/", "projects/", "organizations/"]
        .iter()
        .any(|start| role.starts_with(start));
    if known {
        Ok(role)
    } else {
        Err(Error::invalid(format!(
            "Role {role} is not supported for this resource."
        )))
    }
}

/// Members in order and once each.
fn members(binding: &Value) -> Result<Vec<String>, Error> {
    let given = binding["members"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let mut members: Vec<String> = given.map(str::to_owned).collect();
    if let Some(bad) = members.iter().find(|member| !is_member(member)) {
        return Err(Error::invalid(format!(
            "The member {bad} is of an unknown type. Please set a valid type prefix for the member."
        )));
    }
    members.sort();
    members.dedup();
    Ok(members)
}

/// <https://cloud.google.com/iam/docs/principal-identifiers>
fn is_member(member: &str) -> bool {
    if matches!(member, "allUsers" | "allAuthenticatedUsers") {
        return true;
    }
    match member.split_once(':') {
        Some(("user" | "serviceAccount" | "group" | "deleted", name)) => name.contains('@'),
        Some(("domain", name)) => name.contains('.'),
        Some(("principal" | "principalSet", name)) => name.starts_with("//"),
        Some(("projectOwner" | "projectEditor" | "projectViewer", name)) => !name.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(etag: &str, member: &str) -> Value {
        json!({"policy": {"etag": etag, "bindings": [{"role": "roles/run.invoker", "members": [member]}]}})
    }

    #[test]
    fn a_stale_etag_is_refused_and_changes_nothing() {
        let mut policy = Policy::default();
        policy
            .set(&body("ACAB", "allUsers"))
            .expect("the etag of an empty policy");
        let before = policy.clone();
        policy
            .set(&body("ACAB", "user:a@example.com"))
            .expect_err("stale");
        assert_eq!(policy, before);
        assert!(policy.grants("roles/run.invoker", "allUsers"));
        policy
            .set(&body("", "user:a@example.com"))
            .expect("no etag overwrites");
        assert!(!policy.grants("roles/run.invoker", "allUsers"));
    }

    #[test]
    fn members_and_roles_must_be_well_formed() {
        let mut policy = Policy::default();
        policy
            .set(&body("", "everybody"))
            .expect_err("no such member");
        policy
            .set(&body("", "user:nobody"))
            .expect_err("no address");
        policy
            .set(&json!({"policy": {"bindings": [{"role": "invoker", "members": ["allUsers"]}]}}))
            .expect_err("no such role");
    }
}
