//! Step keys: what an object is marked with, so that any later run knows it as its own.
//!
//! ```text
//!  identity ┐
//!  operation├─► canonical JSON ─► SHA-256 ─► first 32 hexadecimal digits
//!  keys of the steps its inputs come from ┘
//! ```
//!
//! The key is known before anything runs, and does not depend on where in the graph a step
//! stands. Ordering edges (`after`) say when, not what: they are no part of it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::{self, Write as _};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::graph::StepId;
use crate::operation::{Input, Operation};

/// Names the recipe: a change of it must not make old keys mean something new.
const RECIPE: &str = "openmodel-step/1";

/// Key of one step: 32 lower-case hexadecimal digits, so that it is a valid label value in
/// Google Cloud (at most 63 of `[a-z0-9_-]`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct StepKey(String);

impl StepKey {
    /// The key of an operation of the resource `identity`, given the keys of the steps its
    /// inputs come from.
    pub(crate) fn new(
        identity: &str,
        operation: &Operation,
        keys: &BTreeMap<StepId, StepKey>,
    ) -> Self {
        // Step ids depend on the order of building, keys must not: an input is replaced by its
        // position among the operation's inputs, and the list of their keys is hashed beside.
        let mut sources: Vec<&str> = Vec::new();
        let placed: Result<Operation, Infallible> = operation.with_inputs(|step| {
            sources.push(keys.get(&step).map_or("", StepKey::as_str));
            let position = u32::try_from(sources.len()).unwrap_or(u32::MAX);
            Ok(Input::OutputOf(StepId(position)))
        });
        let Ok(placed) = placed;
        let mut body = serde_json::to_value(placed).expect("an operation is plain data");
        if let Some(fields) = body.as_object_mut() {
            fields.remove("after");
        }
        let mut text = String::new();
        write_canonical(
            &serde_json::json!([RECIPE, identity, body, sources]),
            &mut text,
        );
        let digest = Sha256::digest(text.as_bytes());
        Self(hex::encode(&digest[..16]))
    }

    /// The 32 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// JSON without spaces and with sorted names, whatever the features of `serde_json` that other
/// crates of a build switch on.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            text.push('{');
            for (position, (name, value)) in sorted.into_iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                let _ = write!(text, "{}:", Value::from(name.as_str()));
                write_canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        plain => {
            let _ = write!(text, "{plain}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{ExecutionGraph, GraphBuilder};
    use crate::operation::SecretSlot;

    fn secret(id: &str) -> Operation {
        Operation::CreateSecret {
            project: "acme-ml".parse().expect("a project id"),
            secret_id: id.to_owned(),
            labels: [
                ("team".to_owned(), "nlp".to_owned()),
                ("env".to_owned(), "dev".to_owned()),
            ]
            .into(),
        }
    }

    fn version(secret: Input, version: i64) -> Operation {
        Operation::AddSecretVersion {
            secret,
            payload: SecretSlot("hugging_face_token".to_owned()),
            version,
        }
    }

    fn graph(identity: &str, operations: impl IntoIterator<Item = Operation>) -> ExecutionGraph {
        let mut builder = GraphBuilder::new(identity);
        for operation in operations {
            builder.step(operation);
        }
        builder.freeze().expect("a graph")
    }

    fn key(graph: &ExecutionGraph, step: u32) -> &str {
        graph
            .key(StepId(step))
            .expect("a step of the graph")
            .as_str()
    }

    fn from(step: u32) -> Input {
        Input::OutputOf(StepId(step))
    }

    #[test]
    fn keys_are_the_same_in_every_build() {
        // Worked out apart from this code, with Python's json and hashlib.
        let graph = graph(
            "acme-ml/us-central1/chat",
            [secret("token"), version(from(0), 1)],
        );
        assert_eq!(key(&graph, 0), "aa041f9c3bbfdef401056a0ca2defed2");
        assert_eq!(key(&graph, 1), "4c32054f0431bf3187c8cc063b30ef84");
    }

    #[test]
    fn the_place_in_the_graph_does_not_matter() {
        let one = graph("x", [secret("a"), version(from(0), 1)]);
        let other = graph("x", [secret("b"), version(from(2), 1), secret("a")]);
        assert_eq!(key(&one, 0), key(&other, 2));
        assert_eq!(key(&one, 1), key(&other, 1));
    }

    #[test]
    fn identity_fields_and_sources_all_matter() {
        let base = graph("x", [secret("a"), version(from(0), 1)]);
        let renamed = graph("y", [secret("a"), version(from(0), 1)]);
        let newer = graph("x", [secret("a"), version(from(0), 2)]);
        let elsewhere = graph("x", [secret("b"), version(from(0), 1)]);
        let known = graph("x", [version(Input::Known(key(&base, 0).to_owned()), 1)]);
        assert_ne!(key(&base, 0), key(&renamed, 0));
        assert_ne!(key(&base, 1), key(&renamed, 1));
        assert_ne!(key(&base, 1), key(&newer, 1));
        assert_ne!(key(&base, 1), key(&elsewhere, 1));
        assert_ne!(key(&base, 1), key(&known, 0));
    }

    #[test]
    fn an_ordering_edge_does_not_matter() {
        let ready = |after: &[u32]| Operation::MarkReady {
            service: Input::Known("services/chat".to_owned()),
            after: after.iter().copied().map(StepId).collect(),
        };
        let free = graph("x", [secret("a"), ready(&[])]);
        let ordered = graph("x", [secret("a"), ready(&[0])]);
        assert_eq!(key(&free, 1), key(&ordered, 1));
    }

    #[test]
    fn canonical_json_sorts_names_at_every_depth() {
        let value: Value = serde_json::from_str(r#"{"b": [{"d": 1, "c": "ü\""}], "a": null}"#)
            .expect("valid JSON");
        let mut text = String::new();
        write_canonical(&value, &mut text);
        assert_eq!(text, r#"{"a":null,"b":[{"c":"ü\"","d":1}]}"#);
    }
}
