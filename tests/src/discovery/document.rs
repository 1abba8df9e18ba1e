//! One Discovery document: its methods, and the checks of path, query and bodies.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::schema::{Direction, Schemas};

/// A document, its methods ready to be matched.
#[derive(Debug)]
pub(super) struct Document {
    name: String,
    revision: String,
    methods: Vec<Method>,
    /// Query parameters that every method takes: `alt`, `fields`, …
    common: BTreeMap<String, Parameter>,
    schemas: Schemas,
}

/// One method.
#[derive(Debug)]
pub(super) struct Method {
    /// `run.projects.locations.services.create`.
    pub(super) id: String,
    /// Name of the request's schema.
    pub(super) request: Option<String>,
    /// Name of the response's schema.
    pub(super) response: Option<String>,
    verb: String,
    /// Which paths are this method's (`flatPath`: every segment a wildcard or literal).
    route: Regex,
    /// How many characters of the route are literal: the longest wins, so that `…/s:getIamPolicy`
    /// is not taken for a service of that name.
    literal: usize,
    /// What such a path must look like (`path` with the patterns of its parameters).
    path: Regex,
    query: BTreeMap<String, Parameter>,
}

#[derive(Debug, Clone, Deserialize)]
struct Parameter {
    location: String,
    #[serde(rename = "type")]
    kind: String,
    format: Option<String>,
    pattern: Option<String>,
    #[serde(rename = "enum")]
    values: Option<Vec<String>>,
    #[serde(default)]
    repeated: bool,
    #[serde(default)]
    required: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    revision: String,
    service_path: String,
    parameters: BTreeMap<String, Parameter>,
    schemas: Map<String, Value>,
    #[serde(flatten)]
    root: RawCollection,
}

#[derive(Deserialize)]
struct RawCollection {
    #[serde(default)]
    methods: BTreeMap<String, RawMethod>,
    #[serde(default)]
    resources: BTreeMap<String, RawCollection>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMethod {
    id: String,
    http_method: String,
    path: String,
    flat_path: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    request: Option<Reference>,
    response: Option<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "$ref")]
    name: String,
}

impl Document {
    pub(super) fn parse(name: &str, text: &str) -> Result<Self> {
        let raw: RawDocument = serde_json::from_str(text).context("a Discovery document")?;
        let mut methods = Vec::new();
        collect(&raw.root, &raw.service_path, &mut methods)?;
        Ok(Self {
            name: name.to_owned(),
            revision: raw.revision,
            methods,
            common: raw.parameters,
            schemas: Schemas::new(raw.schemas),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn revision(&self) -> &str {
        &self.revision
    }

    /// The method of a verb and path, if the document has one.
    pub(super) fn find(&self, verb: &str, path: &str) -> Option<&Method> {
        let fits = |method: &&Method| method.verb == verb && method.route.is_match(path);
        self.methods
            .iter()
            .filter(fits)
            .max_by_key(|method| method.literal)
    }

    /// What is wrong with a query.
    pub(super) fn check_query(&self, method: &Method, query: &[(String, String)]) -> Vec<String> {
        let mut found = Vec::new();
        let times = |name: &str| query.iter().filter(|(given, _)| given == name).count();
        for (name, value) in query {
            match method.query.get(name).or_else(|| self.common.get(name)) {
                None => found.push(format!("{} has no parameter {name:?}", method.id)),
                Some(parameter) if !parameter.takes(value) => {
                    found.push(format!("{name}={value} is no {parameter}"));
                }
                Some(parameter) if !parameter.repeated && times(name) > 1 => {
                    found.push(format!("{name} is given more than once"));
                }
                Some(_) => {}
            }
        }
        for (name, parameter) in &method.query {
            if parameter.required && times(name) == 0 {
                found.push(format!("{name} is required and missing"));
            }
        }
        found
    }

    /// What is wrong with a body, each with its place in it.
    pub(super) fn check_body(
        &self,
        schema: Option<&str>,
        body: Option<&Value>,
        direction: Direction,
    ) -> Vec<(String, String)> {
        match (schema, body) {
            (Some(schema), Some(body)) => self.schemas.check(schema, body, direction),
            (None, None) => Vec::new(),
            (None, Some(_)) => vec![("/".to_owned(), "the method takes no body".to_owned())],
            // Without a body a request is the empty message, an answer is not JSON.
            (Some(_), None) if direction == Direction::Request => Vec::new(),
            (Some(schema), None) => {
                vec![("/".to_owned(), format!("empty, where a {schema} should be"))]
            }
        }
    }
}

impl Method {
    /// What is wrong with the parameters in a path.
    pub(super) fn check_path(&self, path: &str) -> Option<String> {
        (!self.path.is_match(path)).then(|| format!("{} wants {}", self.id, self.path))
    }

    /// Whether its API is older than Google's design guide.
    pub(super) fn is_legacy(&self) -> bool {
        self.id.starts_with("storage.")
    }

    /// Whether its errors have the shape of RFC 6749 instead of Google's.
    pub(super) fn speaks_oauth(&self) -> bool {
        matches!(
            self.id.as_str(),
            "sts.token" | "sts.oauthtoken" | "sts.introspect"
        )
    }
}

impl Parameter {
    fn takes(&self, value: &str) -> bool {
        match (self.kind.as_str(), self.format.as_deref()) {
            // Google's own storage client sends `True`.
            ("boolean", _) => matches!(value, "true" | "false" | "True" | "False"),
            ("integer", Some("uint32")) => value.parse::<u32>().is_ok(),
            ("integer", _) => value.parse::<i32>().is_ok(),
            ("number", _) => value.parse::<f64>().is_ok(),
            ("string", Some("int64")) => value.parse::<i64>().is_ok(),
            ("string", Some("uint64")) => value.parse::<u64>().is_ok(),
            _ => self
                .values
                .as_ref()
                .is_none_or(|values| values.iter().any(|known| known == value)),
        }
    }
}

impl std::fmt::Display for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.values {
            Some(values) => write!(f, "one of {}", values.join(", ")),
            None => write!(
                f,
                "{} {}",
                self.kind,
                self.format.as_deref().unwrap_or_default()
            ),
        }
    }
}

/// An OAuth form, which Google's token endpoints take as well as JSON, as the message that
/// Discovery describes: the same fields, named `grantType` for `grant_type`.
pub(super) fn form_as_message(form: Value) -> Value {
    match form {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (camel_case(&name), value))
            .collect(),
        other => other,
    }
}

fn camel_case(snake: &str) -> String {
    let mut words = snake.split('_');
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}

fn collect(
    collection: &RawCollection,
    service_path: &str,
    methods: &mut Vec<Method>,
) -> Result<()> {
    for raw in collection.methods.values() {
        methods.push(method(raw, service_path).with_context(|| raw.id.clone())?);
    }
    collection
        .resources
        .values()
        .try_for_each(|inner| collect(inner, service_path, methods))
}

fn method(raw: &RawMethod, service_path: &str) -> Result<Method> {
    let any = |_: &str| "[^/]+".to_owned();
    let as_said = |name: &str| match raw
        .parameters
        .get(name)
        .and_then(|parameter| parameter.pattern.as_deref())
    {
        Some(pattern) => format!(
            "(?:{})",
            pattern.trim_start_matches('^').trim_end_matches('$')
        ),
        None => "[^/]+".to_owned(),
    };
    let (route, literal) = template(
        service_path,
        raw.flat_path.as_ref().unwrap_or(&raw.path),
        any,
    )?;
    let (path, _) = template(service_path, &raw.path, as_said)?;
    let query = raw
        .parameters
        .iter()
        .filter(|(_, parameter)| parameter.location == "query");
    Ok(Method {
        id: raw.id.clone(),
        request: raw.request.as_ref().map(|reference| reference.name.clone()),
        response: raw
            .response
            .as_ref()
            .map(|reference| reference.name.clone()),
        verb: raw.http_method.clone(),
        route,
        literal,
        path,
        query: query
            .map(|(name, parameter)| (name.clone(), parameter.clone()))
            .collect(),
    })
}

/// A path template (`v2/{+name}:cancel`) as a regular expression, each parameter by the text
/// that `parameter` gives for it; and how many of its characters are literal.
fn template(
    service_path: &str,
    template: &str,
    parameter: impl Fn(&str) -> String,
) -> Result<(Regex, usize)> {
    let mut expression = format!("^/{}", regex::escape(service_path));
    let mut literal = 0;
    let mut rest = template;
    while let Some((before, from)) = rest.split_once('{') {
        let (name, after) = from
            .split_once('}')
            .context("a path template with an open brace")?;
        write!(
            expression,
            "{}{}",
            regex::escape(before),
            parameter(name.trim_start_matches('+'))
        )?;
        literal += before.len();
        rest = after;
    }
    write!(expression, "{}$", regex::escape(rest))?;
    Ok((Regex::new(&expression)?, literal + rest.len()))
}
