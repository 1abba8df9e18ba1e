//! Secret Manager v1: requests, answers, names.

use openmodel_graph::operation::Tags;
use serde::Deserialize;
use serde_json::json;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Secret;
use crate::transport::{Api, Request, path_text};

/// Annotation with the key of the step whose version is noted.
pub(crate) const VERSION_KEY_ANNOTATION: &str = "openmodel-version-key";
/// Annotation with the number of that version.
pub(crate) const VERSION_ANNOTATION: &str = "openmodel-version";

/// A secret, without its values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct StoredSecret {
    /// `projects/NUMBER/secrets/ID`.
    pub(crate) name: String,
    pub(crate) labels: Tags,
    pub(crate) annotations: Tags,
    pub(crate) etag: String,
}

/// A version of a secret, without its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Version {
    /// `projects/NUMBER/secrets/ID/versions/N`.
    pub(crate) name: String,
    state: String,
}

impl Version {
    pub(crate) fn is_enabled(&self) -> bool {
        self.state == "ENABLED"
    }

    /// Versions count from 1 and are never reused.
    pub(crate) fn number(&self) -> Option<u64> {
        version_number(&self.name)
    }
}

/// One page of versions.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct VersionPage {
    pub(crate) versions: Vec<Version>,
    pub(crate) next_page_token: String,
}

/// Makes a secret without a version, replicated where Google chooses.
pub(crate) fn create(project: &str, secret_id: &str, labels: &Tags) -> Request {
    let body = json!({"replication": {"automatic": {}}, "labels": labels});
    Request::post(
        Api::SecretManager,
        format!("/v1/projects/{}/secrets", path_text(project)),
        body,
    )
    .query("secretId", secret_id)
}

/// Reads a secret.
pub(crate) fn get(name: &str) -> Request {
    Request::get(Api::SecretManager, path(name))
}

/// Deletes a secret with all its versions.
pub(crate) fn delete(name: &str) -> Request {
    Request::delete(Api::SecretManager, path(name))
}

/// Replaces a secret's annotations, if it has not changed since it was read.
pub(crate) fn annotate(secret: &StoredSecret, annotations: &Tags) -> Request {
    let body = json!({"etag": secret.etag, "annotations": annotations});
    Request::patch(Api::SecretManager, path(&secret.name), body).query("updateMask", "annotations")
}

/// Adds a version.
pub(crate) fn add_version(name: &str, value: &Secret) -> Request {
    let body = json!({"payload": {"data": STANDARD.encode(value.expose())}});
    Request::post(
        Api::SecretManager,
        format!("{}:addVersion", path(name)),
        body,
    )
    .sensitive()
}

/// Reads a version's state, not its value.
pub(crate) fn get_version(name: &str) -> Request {
    Request::get(Api::SecretManager, path(name))
}

/// Lists versions, newest first.
pub(crate) fn list_versions(name: &str, page_token: &str) -> Request {
    let request = Request::get(Api::SecretManager, format!("{}/versions", path(name)))
        .query("pageSize", "100");
    if page_token.is_empty() {
        request
    } else {
        request.query("pageToken", page_token)
    }
}

/// Destroys a version's value for good. Harmless twice: the second time it is refused.
pub(crate) fn destroy_version(name: &str) -> Request {
    Request::post(
        Api::SecretManager,
        format!("{}:destroy", path(name)),
        json!({}),
    )
    .repeatable()
}

/// `projects/P/secrets/S` of `projects/P/secrets/S/versions/V`.
pub(crate) fn secret_of_version(version: &str) -> Option<(&str, &str)> {
    version.rsplit_once("/versions/")
}

/// The number at the end of a version's name.
pub(crate) fn version_number(name: &str) -> Option<u64> {
    secret_of_version(name)?.1.parse().ok()
}

/// The project in a secret's name, which is its number where the API wrote the name.
pub(crate) fn project_of(name: &str) -> Option<&str> {
    name.strip_prefix("projects/")?.split('/').next()
}

fn path(name: &str) -> String {
    format!("/v1/{}", path_text(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "projects/123/secrets/openmodel-us-central1-chat-hugging-face-token";

    #[test]
    fn requests() {
        let labels = Tags::from([("team".to_owned(), "ml".to_owned())]);
        let secret = StoredSecret {
            name: NAME.to_owned(),
            etag: "\"e\"".to_owned(),
            ..StoredSecret::default()
        };
        let text = [
            create("acme-ml", "openmodel-token", &labels),
            get(NAME),
            annotate(&secret, &labels),
            list_versions(NAME, ""),
            list_versions(NAME, "next"),
            get_version(&format!("{NAME}/versions/3")),
            destroy_version(&format!("{NAME}/versions/3")),
            delete(NAME),
        ]
        .map(|request| request.to_string())
        .join("\n");
        insta::assert_snapshot!(text, @r#"
        POST secret_manager /v1/projects/acme-ml/secrets?secretId=openmodel-token
        {
          "labels": {
            "team": "ml"
          },
          "replication": {
            "automatic": {}
          }
        }
        GET secret_manager /v1/projects/123/secrets/openmodel-us-central1-chat-hugging-face-token
        PATCH secret_manager /v1/projects/123/secrets/openmodel-us-central1-chat-hugging-face-token?updateMask=annotations
        {
          "annotations": {
            "team": "ml"
          },
          "etag": "\"e\""
        }
        GET secret_manager /v1/projects/123/secrets/openmodel-us-central1-chat-hugging-face-token/versions?pageSize=100
        GET secret_manager /v1/projects/123/secrets/openmodel-us-central1-chat-hugging-face-token/versions?pageSize=100&pageToken=next
        GET secret_manager /v1/projects/123/secrets/openmodel-us-central1-chat-hugging-face-token/versions/3
        POST secret_manager /v1/projects/123/secrets/openmodel-us-central1-chat-hugging-face-token/versions/3:destroy
        {}
        DELETE secret_manager /v1/projects/123/secrets/openmodel-us-central1-chat-hugging-face-token
        "#);
    }

    #[test]
    fn a_value_leaves_in_base64_and_is_never_shown() {
        let request = add_version(NAME, &Secret::new("hf_token"));
        let body = request.body_bytes().expect("a body");
        assert_eq!(body.as_ref(), br#"{"payload":{"data":"aGZfdG9rZW4="}}"#);
        let shown = format!("{request} {request:?}");
        assert!(
            !shown.contains("aGZ") && !shown.contains("hf_token"),
            "{shown}"
        );
    }

    #[test]
    fn names() {
        assert_eq!(version_number("projects/1/secrets/s/versions/12"), Some(12));
        assert_eq!(version_number("projects/1/secrets/s/versions/latest"), None);
        assert_eq!(project_of(NAME), Some("123"));
    }
}
