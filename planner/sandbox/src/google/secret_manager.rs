//! Secret Manager API v1: secrets, their versions, their payloads, IAM.
//!
//! Global secrets (`projects/*/secrets/*`) and regional ones (`projects/*/locations/*/secrets/*`).
//! Answers name projects by number, as the real service does. Facts: Discovery secretmanager.v1.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::policy::{self, Policy};
use super::{Checked, Error, Outcome, discovery, page, schema};
use crate::clock::Time;
use crate::ids;
use crate::world::{World, asset, number_of};

/// Largest payload in bytes.
const PAYLOAD: usize = 64 << 10;

/// All secrets of a sandbox.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Secrets {
    /// By full name with the project's id.
    secrets: BTreeMap<String, Secret>,
}

#[derive(Serialize, Deserialize)]
struct Secret {
    /// What a client may set.
    spec: Value,
    created: Time,
    versions: BTreeMap<u64, Version>,
    policy: Policy,
    writes: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Version {
    state: State,
    created: Time,
    destroyed: Option<Time>,
    /// Base64; gone once destroyed.
    data: Option<String>,
    checksum: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Enabled,
    Disabled,
    Destroyed,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::Disabled => "DISABLED",
            Self::Destroyed => "DESTROYED",
        }
    }
}

/// Where a request points, with the project's id.
struct Place {
    /// `projects/p` or `projects/p/locations/l`
    parent: String,
    secret: String,
    version: String,
}

impl Place {
    fn of(world: &mut World, request: &Checked<'_>) -> Self {
        let regional = request
            .call
            .request
            .segments
            .get(3)
            .is_some_and(|part| part == "locations");
        let mut parts = request.path.iter().cloned();
        let mut next = || parts.next().unwrap_or_default();
        let mut parent = format!("projects/{}", world.projects.id(&next()));
        if regional {
            parent = format!("{parent}/locations/{}", next());
        }
        Self {
            parent,
            secret: next(),
            version: next(),
        }
    }

    fn name(&self) -> String {
        format!("{}/secrets/{}", self.parent, self.secret)
    }
}

/// A name as answers have it, with the project's number.
fn shown(name: &str) -> String {
    let mut parts: Vec<String> = name.split('/').map(str::to_owned).collect();
    if let Some(project) = parts.get_mut(1) {
        *project = number_of(project);
    }
    parts.join("/")
}

/// Answer a checked request.
pub(super) fn answer(world: &mut World, request: &Checked<'_>) -> Outcome {
    let now = world.now();
    world.secrets.expire(now);
    let place = Place::of(world, request);
    let secrets = &mut world.secrets;
    match request.method {
        "secrets.create" => secrets.create(request, place, now),
        "secrets.list" => secrets.list(request, &place),
        "secrets.get" => Ok(secrets.find(&place)?.view(&place.name())),
        "secrets.patch" => secrets.patch(request, &place),
        "secrets.delete" => secrets.delete(request, &place),
        "secrets.addVersion" => secrets.add_version(request, &place, now),
        "secrets.getIamPolicy" => Ok(secrets.find(&place)?.policy.view()),
        "secrets.setIamPolicy" => secrets.find_mut(&place)?.policy.set(&request.body),
        "secrets.testIamPermissions" => policy::test(&request.body),
        "versions.list" => secrets.list_versions(request, &place),
        "versions.get" => {
            let (number, version) = secrets.version(&place)?;
            Ok(version.view(&place.name(), number))
        }
        "versions.access" => secrets.access(&place),
        "versions.enable" => secrets.set_state(request, &place, State::Enabled, now),
        "versions.disable" => secrets.set_state(request, &place, State::Disabled, now),
        "versions.destroy" => secrets.set_state(request, &place, State::Destroyed, now),
        _ => Err(Error::no_route()),
    }
}

impl Secrets {
    fn find(&self, place: &Place) -> Result<&Secret, Error> {
        self.secrets
            .get(&place.name())
            .ok_or_else(|| missing(&place.name()))
    }

    fn find_mut(&mut self, place: &Place) -> Result<&mut Secret, Error> {
        self.secrets
            .get_mut(&place.name())
            .ok_or_else(|| missing(&place.name()))
    }

    /// Drop the secrets whose `expireTime` has come.
    fn expire(&mut self, now: Time) {
        let now = now.rfc3339();
        self.secrets.retain(|_, secret| {
            secret.spec["expireTime"]
                .as_str()
                .is_none_or(|expiry| expiry > now.as_str())
        });
    }

    fn create(&mut self, request: &Checked<'_>, mut place: Place, now: Time) -> Outcome {
        let id = request.call.request.query("secretId");
        id.unwrap_or_default().clone_into(&mut place.secret);
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if place.secret.is_empty() || place.secret.len() > 255 || !place.secret.chars().all(fits) {
            return Err(Error::invalid(
                "The secret id must have 1 to 255 letters, digits, hyphens and underscores.",
            ));
        }
        let name = place.name();
        if self.secrets.contains_key(&name) {
            return Err(Error::exists(format!(
                "Secret [{}] already exists.",
                shown(&name)
            )));
        }
        let regional = place.parent.contains("/locations/");
        let replication = request.body["replication"]
            .as_object()
            .is_some_and(|r| r.len() == 1);
        if replication == regional {
            let rule = if regional {
                "must not have"
            } else {
                "must have one"
            };
            return Err(Error::invalid(format!(
                "A secret of this kind {rule} replication policy."
            )));
        }
        let spec = spec(request.body.clone(), now)?;
        let secret = Secret {
            spec,
            created: now,
            versions: BTreeMap::new(),
            policy: Policy::default(),
            writes: 0,
        };
        let view = secret.view(&name);
        self.secrets.insert(name, secret);
        Ok(view)
    }

    fn list(&self, request: &Checked<'_>, place: &Place) -> Outcome {
        let start = format!("{}/secrets/", place.parent);
        let found = self
            .secrets
            .iter()
            .filter(|(name, _)| name.starts_with(&start));
        let wanted = request.call.request.query("filter").unwrap_or_default();
        let found = found.filter(|(name, secret)| secret.matches(name, wanted));
        let found: Vec<_> = found
            .map(|(name, secret)| (name.clone(), (name, secret)))
            .collect();
        let total = found.len();
        let (secrets, next) = page(request.call, found, 25_000)?;
        let views: Vec<Value> = secrets
            .iter()
            .map(|(name, secret)| secret.view(name))
            .collect();
        Ok(listing("secrets", views, total, next))
    }

    fn patch(&mut self, request: &Checked<'_>, place: &Place) -> Outcome {
        let mask = request.call.request.query("updateMask").unwrap_or_default();
        if mask.is_empty() {
            return Err(Error::invalid("The update mask must not be empty."));
        }
        let name = place.name();
        let secret = self.find_mut(place)?;
        check_etag(request.body["etag"].as_str(), &secret.etag(&name))?;
        for path in mask.split(',').map(str::trim) {
            let known = discovery::document("secretmanager.v1")
                .and_then(|document| schema::field_path(document, "Secret", path));
            let Some([member, ..]) = known.as_deref() else {
                return Err(Error::invalid(format!(
                    "The update mask has an unknown field: {path}."
                )));
            };
            if matches!(member.as_str(), "name" | "replication" | "createTime") {
                return Err(Error::invalid(format!(
                    "The field {path} cannot be updated."
                )));
            }
            let members = secret.spec.as_object_mut();
            let members = members.ok_or_else(|| Error::internal("a secret has no members"))?;
            match request.body.get(member) {
                Some(value) => drop(members.insert(member.clone(), value.clone())),
                None => drop(members.remove(member)),
            }
        }
        secret.writes += 1;
        Ok(secret.view(&name))
    }

    fn delete(&mut self, request: &Checked<'_>, place: &Place) -> Outcome {
        let name = place.name();
        check_etag(
            request.call.request.query("etag"),
            &self.find(place)?.etag(&name),
        )?;
        self.secrets.remove(&name);
        Ok(json!({}))
    }

    fn add_version(&mut self, request: &Checked<'_>, place: &Place, now: Time) -> Outcome {
        let payload = &request.body["payload"];
        let data = payload["data"]
            .as_str()
            .and_then(schema::decode_base64)
            .unwrap_or_default();
        if data.is_empty() || data.len() > PAYLOAD {
            return Err(Error::invalid(
                "The secret payload must have 1 to 65536 bytes.",
            ));
        }
        let checksum = payload["dataCrc32c"].as_str();
        if checksum.is_some_and(|sum| sum != crc32c::crc32c(&data).to_string()) {
            return Err(Error::invalid(
                "The data_crc32c does not match the payload.",
            ));
        }
        let name = place.name();
        let secret = self.find_mut(place)?;
        let number = secret.versions.keys().last().copied().unwrap_or(0) + 1;
        let version = Version {
            state: State::Enabled,
            created: now,
            destroyed: None,
            data: Some(STANDARD.encode(&data)),
            checksum: checksum.is_some(),
        };
        let view = version.view(&name, number);
        secret.versions.insert(number, version);
        Ok(view)
    }

    fn list_versions(&self, request: &Checked<'_>, place: &Place) -> Outcome {
        let name = place.name();
        let wanted = request.call.request.query("filter").unwrap_or_default();
        let versions = self.find(place)?.versions.iter().filter(|(_, version)| {
            wanted.is_empty()
                || wanted
                    .to_ascii_uppercase()
                    .contains(&format!("STATE:{}", version.state.name()))
        });
        // Newest first; the key is what a page token holds and must grow.
        let found: Vec<_> = versions
            .rev()
            .map(|(number, version)| (format!("{:020}", u64::MAX - number), (*number, version)))
            .collect();
        let total = found.len();
        let (versions, next) = page(request.call, found, 25_000)?;
        let views: Vec<Value> = versions
            .iter()
            .map(|(number, version)| version.view(&name, *number))
            .collect();
        Ok(listing("versions", views, total, next))
    }

    /// The version of a place; `latest` and aliases resolved.
    fn version(&self, place: &Place) -> Result<(u64, &Version), Error> {
        let secret = self.find(place)?;
        let missing = || missing(&format!("{}/versions/{}", place.name(), place.version));
        let number = secret.number(&place.version).ok_or_else(missing)?;
        Ok((number, secret.versions.get(&number).ok_or_else(missing)?))
    }

    fn access(&self, place: &Place) -> Outcome {
        let (number, version) = self.version(place)?;
        let name = shown(&format!("{}/versions/{number}", place.name()));
        let Some(data) = version
            .data
            .as_ref()
            .filter(|_| version.state == State::Enabled)
        else {
            return Err(Error::precondition(format!(
                "Secret Version [{name}] is in {} state.",
                version.state.name()
            )));
        };
        let bytes = schema::decode_base64(data).unwrap_or_default();
        Ok(json!({
            "name": name,
            "payload": {"data": data, "dataCrc32c": crc32c::crc32c(&bytes).to_string()},
        }))
    }

    fn set_state(
        &mut self,
        request: &Checked<'_>,
        place: &Place,
        state: State,
        now: Time,
    ) -> Outcome {
        let (number, version) = self.version(place)?;
        let name = place.name();
        check_etag(request.body["etag"].as_str(), &version.etag(&name, number))?;
        let full = shown(&format!("{name}/versions/{number}"));
        if version.state == State::Destroyed {
            return Err(Error::precondition(format!(
                "Secret Version [{full}] is in DESTROYED state."
            )));
        }
        let mut changed = version.clone();
        changed.state = state;
        if state == State::Destroyed {
            changed.data = None;
            changed.destroyed = Some(now);
        }
        let view = changed.view(&name, number);
        self.find_mut(place)?.versions.insert(number, changed);
        Ok(view)
    }

    /// Whether a Cloud Run revision can read a version; with an account, whether that may.
    pub(super) fn check_reference(
        &self,
        project: &str,
        secret: &str,
        version: &str,
        account: Option<&str>,
    ) -> Result<(), String> {
        let (full, secret, _) = self.referenced(project, secret, version)?;
        let Some(account) = account else {
            return Ok(());
        };
        if secret.policy.grants(
            "roles/secretmanager.secretAccessor",
            &format!("serviceAccount:{account}"),
        ) {
            return Ok(());
        }
        Err(format!(
            "Permission denied on secret: {full} for Revision service account {account}. The service \
             account used must be granted the 'Secret Manager Secret Accessor' role \
             (roles/secretmanager.secretAccessor) at the secret, project or higher level."
        ))
    }

    /// The payload of a version that Cloud Run puts into a variable.
    pub(super) fn payload(
        &self,
        project: &str,
        secret: &str,
        version: &str,
    ) -> Result<String, String> {
        let (full, _, version) = self.referenced(project, secret, version)?;
        let bytes = version.data.as_deref().and_then(schema::decode_base64);
        String::from_utf8(bytes.unwrap_or_default())
            .map_err(|_| format!("Secret {full} is not UTF-8, which a variable must be"))
    }

    /// A version that Cloud Run refers to, by the names it takes, and its full name.
    fn referenced(
        &self,
        project: &str,
        secret: &str,
        version: &str,
    ) -> Result<(String, &Secret, &Version), String> {
        let (project, id) = match secret.split('/').collect::<Vec<_>>().as_slice() {
            ["projects", other, "secrets", id] => (number_of(other), *id),
            _ => (number_of(project), secret),
        };
        let shown_name = format!("projects/{project}/secrets/{id}");
        let found = self
            .secrets
            .iter()
            .find(|(name, _)| shown(name) == shown_name);
        let full = format!("{shown_name}/versions/{version}");
        let known = found.and_then(|(_, secret)| secret.versions.get(&secret.number(version)?));
        let (Some((_, secret)), Some(known)) = (found, known) else {
            return Err(format!("Secret {full} was not found"));
        };
        if known.state != State::Enabled {
            return Err(format!("Secret {full} is in {} state", known.state.name()));
        }
        Ok((full, secret, known))
    }

    /// Secrets and versions that exist, without payloads, times and ids.
    pub(crate) fn inventory(&self) -> Vec<Value> {
        let mut assets = Vec::new();
        for (name, secret) in &self.secrets {
            let mut data = secret.spec.clone();
            data["bindings"] = secret.policy.bindings();
            assets.push(asset("secretmanager.googleapis.com/Secret", name, &data));
            for (number, version) in &secret.versions {
                let name = format!("{name}/versions/{number}");
                let data = json!({"state": version.state.name()});
                assets.push(asset(
                    "secretmanager.googleapis.com/SecretVersion",
                    &name,
                    &data,
                ));
            }
        }
        assets
    }
}

impl Secret {
    fn view(&self, name: &str) -> Value {
        let mut view = self.spec.clone();
        view["name"] = shown(name).into();
        view["createTime"] = self.created.rfc3339().into();
        view["etag"] = self.etag(name).into();
        view
    }

    fn etag(&self, name: &str) -> String {
        ids::etag(self.writes, &["secret", name, &self.created.rfc3339()])
    }

    fn number(&self, version: &str) -> Option<u64> {
        if version == "latest" {
            return self.versions.keys().last().copied();
        }
        let alias = self.spec["versionAliases"][version].as_str();
        alias.unwrap_or(version).parse().ok()
    }

    /// A filter of terms `name:text` and `labels.key=value`, all of which must hold.
    fn matches(&self, name: &str, filter: &str) -> bool {
        filter
            .split(" AND ")
            .flat_map(str::split_whitespace)
            .all(|term| {
                if let Some(text) = term.strip_prefix("name:") {
                    return name.contains(text.trim_matches('"'));
                }
                match term
                    .strip_prefix("labels.")
                    .and_then(|rest| rest.split_once('='))
                {
                    Some((key, value)) => self.spec["labels"][key] == value.trim_matches('"'),
                    None => name.contains(term),
                }
            })
    }
}

impl Version {
    fn view(&self, secret: &str, number: u64) -> Value {
        let mut view = json!({
            "name": shown(&format!("{secret}/versions/{number}")),
            "createTime": self.created.rfc3339(),
            "state": self.state.name(),
            "etag": self.etag(secret, number),
        });
        if !secret.contains("/locations/") {
            view["replicationStatus"] = json!({"automatic": {}});
        }
        if let Some(destroyed) = self.destroyed {
            view["destroyTime"] = destroyed.rfc3339().into();
        }
        if self.checksum {
            view["clientSpecifiedPayloadChecksum"] = true.into();
        }
        view
    }

    fn etag(&self, secret: &str, number: u64) -> String {
        ids::etag(
            number,
            &[
                "version",
                secret,
                self.state.name(),
                &self.created.rfc3339(),
            ],
        )
    }
}

/// What is kept of a body; a time to live becomes an expiry.
fn spec(body: Value, now: Time) -> Outcome {
    let mut members = match body {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    members.remove("name");
    members.remove("etag");
    if let Some(ttl) = members.remove("ttl") {
        let seconds = ttl
            .as_str()
            .and_then(|text| text.strip_suffix('s')?.parse::<f64>().ok());
        let span = seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok());
        let span = span.ok_or_else(|| Error::invalid("The ttl must not be negative."))?;
        members.insert("expireTime".to_owned(), now.plus(span).rfc3339().into());
    }
    Ok(Value::Object(members))
}

fn check_etag(given: Option<&str>, current: &str) -> Result<(), Error> {
    match given.filter(|etag| !etag.is_empty()) {
        Some(given) if given != current => Err(Error::precondition(format!(
            "The etag {given} does not match the current one, {current}."
        ))),
        _ => Ok(()),
    }
}

fn missing(name: &str) -> Error {
    let kind = if name.contains("/versions/") {
        "Secret Version"
    } else {
        "Secret"
    };
    Error::not_found(format!(
        "{kind} [{}] not found or has no versions.",
        shown(name)
    ))
}

fn listing(member: &str, items: Vec<Value>, total: usize, next: Option<String>) -> Value {
    let mut page = json!({"totalSize": total});
    if !items.is_empty() {
        page[member] = items.into();
    }
    if let Some(next) = next {
        page["nextPageToken"] = next.into();
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_with_the_projects_number() {
        let name = shown("projects/acme-ml/secrets/a");
        assert_eq!(
            name,
            format!("projects/{}/secrets/a", ids::project_number("acme-ml"))
        );
    }
}
