//! Google's Discovery documents, cut down to names and types, and the routes they describe.
//!
//! `data/prune_discovery.py` makes them from the `PyPI` package google-api-python-client.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use axum::http::Method as Verb;
use serde::Deserialize;

/// One API.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    /// Name and version: `run.v2`.
    api: String,
    methods: Vec<Method>,
    schemas: HashMap<String, Field>,
}

/// One method of an API.
#[derive(Debug, Deserialize)]
pub(crate) struct Method {
    /// `run.projects.locations.services.create`
    pub(crate) id: String,
    verb: String,
    /// `flatPath` of the document: `v2/projects/{projectsId}/…/services/{servicesId}:verb`;
    /// Cloud Storage has only `path`, which is as flat: `storage/v1/b/{bucket}/o/{object}`
    path: String,
    /// Query parameters and their types.
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) request: Option<String>,
    /// The member of the request message that the body is; the whole message when absent.
    pub(crate) body: Option<String>,
    /// Absent where the answer is empty, or is the bytes of a file.
    pub(crate) response: Option<String>,
}

/// A type in a schema.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Field {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) format: Option<String>,
    #[serde(rename = "enum")]
    pub(crate) names: Option<Vec<String>>,
    #[serde(rename = "$ref")]
    pub(crate) reference: Option<String>,
    #[serde(default)]
    pub(crate) read_only: bool,
    pub(crate) items: Option<Box<Field>>,
    pub(crate) additional_properties: Option<Box<Field>>,
    #[serde(default)]
    pub(crate) properties: BTreeMap<String, Field>,
}

/// A method, and what its path's variables are.
pub(crate) struct Route {
    pub(crate) method: &'static Method,
    pub(crate) path: Vec<String>,
}

static DOCUMENTS: LazyLock<Vec<Document>> = LazyLock::new(|| {
    let texts = [
        include_str!("../../data/discovery/run.v2.json"),
        include_str!("../../data/discovery/secretmanager.v1.json"),
        include_str!("../../data/discovery/iamcredentials.v1.json"),
        include_str!("../../data/discovery/sts.v1.json"),
        include_str!("../../data/discovery/storage.v1.json"),
        include_str!("../../data/discovery/storagetransfer.v1.json"),
    ];
    // A document that does not parse is caught by the test below, before anything is shipped.
    texts
        .into_iter()
        .filter_map(|text| serde_json::from_str(text).ok())
        .collect()
});

/// The document of an API by name and version.
pub(crate) fn document(api: &str) -> Option<&'static Document> {
    DOCUMENTS.iter().find(|document| document.api == api)
}

impl Document {
    /// The method of a verb and a path.
    pub(crate) fn route(&'static self, verb: &Verb, segments: &[String]) -> Option<Route> {
        let verbs = !self.is_legacy();
        let methods = self
            .methods
            .iter()
            .filter(|method| method.verb == verb.as_str());
        methods.into_iter().find_map(|method| {
            let path = variables(&method.path, segments, verbs)?;
            Some(Route { method, path })
        })
    }

    /// Whether the API is older than Google's design guide: no `:verb` in its paths, so that a
    /// name may hold a colon; a null in a patch removes a member; errors have a reason.
    pub(crate) fn is_legacy(&self) -> bool {
        self.api == "storage.v1"
    }

    /// A schema by name.
    pub(crate) fn schema(&self, name: &str) -> Option<&Field> {
        self.schemas.get(name)
    }
}

impl Method {
    /// The id from its last collection on: `services.create`, `versions.access`.
    pub(crate) fn short(&self) -> &str {
        let start = self
            .id
            .rmatch_indices('.')
            .nth(1)
            .map_or(0, |(at, _)| at + 1);
        &self.id[start..]
    }
}

/// The variables of a path that fits the template, whose last one may have a custom verb.
fn variables(template: &str, segments: &[String], verbs: bool) -> Option<Vec<String>> {
    let parts: Vec<&str> = template.split('/').collect();
    if parts.len() != segments.len() {
        return None;
    }
    let mut found = Vec::new();
    for (part, segment) in parts.iter().zip(segments) {
        let Some(variable) = part.strip_prefix('{') else {
            if part != segment {
                return None;
            }
            continue;
        };
        let (_, custom) = variable.split_once('}')?;
        let (value, verb) = segment
            .split_once(':')
            .filter(|_| verbs)
            .unwrap_or((segment.as_str(), ""));
        if verb != custom.trim_start_matches(':') || value.is_empty() {
            return None;
        }
        found.push(value.to_owned());
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(api: &str, verb: &Verb, path: &str) -> Option<(String, Vec<String>)> {
        let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
        let route = document(api).expect("a document").route(verb, &segments)?;
        Some((route.method.short().to_owned(), route.path))
    }

    #[test]
    fn every_document_is_there() {
        assert_eq!(DOCUMENTS.len(), 6);
        for document in DOCUMENTS.iter() {
            assert!(!document.methods.is_empty());
            for name in document
                .methods
                .iter()
                .flat_map(|m| m.request.iter().chain(&m.response))
            {
                assert!(document.schema(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn paths_lead_to_methods() {
        let service = "v2/projects/p/locations/l/services/s";
        assert_eq!(
            route("run.v2", &Verb::GET, service),
            Some((
                "services.get".to_owned(),
                vec!["p".into(), "l".into(), "s".into()]
            ))
        );
        let policy = route("run.v2", &Verb::POST, &format!("{service}:setIamPolicy"));
        assert_eq!(policy.expect("a method").0, "services.setIamPolicy");
        assert_eq!(
            route("run.v2", &Verb::POST, &format!("{service}:frobnicate")),
            None
        );
        assert_eq!(route("run.v2", &Verb::PUT, service), None);
        let version = route(
            "secretmanager.v1",
            &Verb::GET,
            "v1/projects/p/secrets/s/versions/latest:access",
        );
        assert_eq!(version.expect("a method").0, "versions.access");
        let object = "storage/v1/b/models/o/a:b";
        assert_eq!(
            route("storage.v1", &Verb::GET, object),
            Some((
                "objects.get".to_owned(),
                vec!["models".into(), "a:b".into()]
            ))
        );
    }
}
