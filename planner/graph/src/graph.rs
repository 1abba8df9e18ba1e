//! The execution graph: operations in the order that their inputs demand.
//!
//! ```text
//!  GraphBuilder ── step, step, step ──► freeze ──► ExecutionGraph ──► shown, executed, unwound
//!                                         └──► GraphError: unknown step, cycle, step given twice
//! ```
//!
//! A frozen graph does not change: each step has its place, its [`StepKey`] and its neighbours.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use petgraph::Direction;
use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};
use serde::{Deserialize, Serialize};

use crate::key::StepKey;
use crate::operation::Operation;

/// Version of the document that a graph is written as.
const DOCUMENT_VERSION: u32 = 1;

/// One node of a graph, by its position: `s0`, `s1`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u32);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// Collects steps; the edges draw themselves from the operations' inputs.
///
/// ```
/// use openmodel_graph::graph::GraphBuilder;
/// use openmodel_graph::operation::{Input, Operation, SecretSlot};
///
/// let mut builder = GraphBuilder::new("acme-ml/us-central1/chat");
/// let secret = builder.step(Operation::CreateSecret {
///     project: "acme-ml".parse()?,
///     secret_id: "token".to_owned(),
///     labels: [].into(),
/// });
/// builder.step(Operation::GrantSecretAccess { secret: Input::OutputOf(secret) });
/// let graph = builder.freeze()?;
/// assert_eq!(
///     graph.to_string(),
///     "s0 = CreateSecret(acme-ml, token)\n\
///      s1 = GrantSecretAccess(s0.id)\n"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct GraphBuilder {
    identity: String,
    operations: Vec<Operation>,
}

impl GraphBuilder {
    /// An empty graph of the resource with this identity. The identity is part of every step's
    /// key, so it must name the resource wherever and whenever it is planned:
    /// `project/region/name`.
    pub fn new(identity: impl Into<String>) -> Self {
        Self {
            identity: identity.into(),
            operations: Vec::new(),
        }
    }

    /// Adds a step, and gives its id to be used as another step's input.
    pub fn step(&mut self, operation: Operation) -> StepId {
        self.operations.push(operation);
        step_id(self.operations.len() - 1)
    }

    /// Closes the graph. Refuses a step that waits for one that is not there or, around a
    /// circle, for itself, and two steps that are the same.
    pub fn freeze(self) -> Result<ExecutionGraph, GraphError> {
        let mut graph = DiGraph::with_capacity(self.operations.len(), self.operations.len());
        let needs: Vec<Vec<StepId>> = self.operations.iter().map(Operation::needs).collect();
        for operation in self.operations {
            graph.add_node(operation);
        }
        for (position, needed) in needs.iter().enumerate() {
            let step = step_id(position);
            for &missing in needed {
                if graph.node_weight(node(missing)).is_none() {
                    return Err(GraphError::UnknownStep {
                        step,
                        operation: graph[node(step)].name(),
                        missing,
                    });
                }
                graph.update_edge(node(missing), node(step), ());
            }
        }
        let order: Vec<StepId> = match toposort(&graph, None) {
            Ok(order) => order
                .into_iter()
                .map(|node| step_id(node.index()))
                .collect(),
            Err(cycle) => return Err(cycle_error(&graph, cycle.node_id())),
        };
        let keys = keys(&self.identity, &graph, &order)?;
        Ok(ExecutionGraph {
            identity: self.identity,
            graph,
            order,
            keys,
        })
    }
}

/// Why operations make no graph. A defect of the code or document they come from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// An input or `after` names a step that the graph does not have.
    #[error("{step} ({operation}) waits for {missing}, which is not a step of this graph")]
    UnknownStep {
        /// The step that waits.
        step: StepId,
        /// Its operation's name.
        operation: &'static str,
        /// What it waits for.
        missing: StepId,
    },
    /// Steps wait for each other, so that none of them could ever start.
    #[error(
        "these steps wait for each other and could never start: {}",
        list(steps)
    )]
    Cycle {
        /// All of them, in order of id.
        steps: Vec<StepId>,
    },
    /// Two steps do the same with the same inputs: the cloud could not tell one from the other.
    #[error("{first} and {second} are the same {operation}; use the output of the first twice")]
    SameStep {
        /// The first of them.
        first: StepId,
        /// The other.
        second: StepId,
        /// Their operation's name.
        operation: &'static str,
    },
    /// The document was written by another version of openmodel.
    #[error(
        "the graph document has version {found}, but this openmodel reads version {DOCUMENT_VERSION}; make the graph anew"
    )]
    Version {
        /// The document's version.
        found: u32,
    },
}

/// Operations and their order, frozen: no cycle, no missing input, no step twice.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub struct ExecutionGraph {
    identity: String,
    /// An edge leads from a step to one that waits for it.
    graph: DiGraph<Operation, ()>,
    order: Vec<StepId>,
    keys: Vec<StepKey>,
}

impl ExecutionGraph {
    /// Identity of the resource that the graph is of.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// All steps, by id.
    pub fn steps(&self) -> impl Iterator<Item = (StepId, &Operation)> {
        (0..).map(StepId).zip(self.graph.node_weights())
    }

    /// What a step does; `None` where the graph has no such step.
    pub fn operation(&self, step: StepId) -> Option<&Operation> {
        self.graph.node_weight(node(step))
    }

    /// What a step's object is marked with; `None` where the graph has no such step.
    pub fn key(&self, step: StepId) -> Option<&StepKey> {
        self.keys.get(node(step).index())
    }

    /// The steps that must be done before this one, by id.
    pub fn dependencies(&self, step: StepId) -> Vec<StepId> {
        self.neighbours(step, Direction::Incoming)
    }

    /// The steps that wait for this one, by id.
    pub fn dependents(&self, step: StepId) -> Vec<StepId> {
        self.neighbours(step, Direction::Outgoing)
    }

    /// All steps, each after those it waits for. Backwards it is the order of unwinding.
    pub fn order(&self) -> &[StepId] {
        &self.order
    }

    /// Whether all that the graph touches is new: no step changes or removes something that was
    /// there before. Then what an interrupted run of the same graph left behind belongs to it.
    pub fn is_creation(&self) -> bool {
        !self.graph.node_weights().any(Operation::presupposes)
    }

    /// The graph in Graphviz's language, for `dot -Tsvg`.
    pub fn dot(&self) -> String {
        let mut text = String::from("digraph {\n  rankdir = LR;\n  node [shape = box];\n");
        for (step, operation) in self.steps() {
            // Rust's escapes of a quoted text are Graphviz's, as far as operations use them.
            let label = format!("{step} = {operation}");
            let _ = writeln!(text, "  {step} [label = {label:?}];");
            for needed in self.dependencies(step) {
                let _ = writeln!(text, "  {needed} -> {step};");
            }
        }
        text.push_str("}\n");
        text
    }

    fn neighbours(&self, step: StepId, direction: Direction) -> Vec<StepId> {
        let mut steps: Vec<StepId> = self
            .graph
            .neighbors_directed(node(step), direction)
            .map(|node| step_id(node.index()))
            .collect();
        steps.sort_unstable();
        steps
    }
}

/// A line a step: `s2 = SetInvokers(s0.id, ["allUsers"])`. The same graph gives the same text.
impl fmt::Display for ExecutionGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps()
            .try_for_each(|(step, operation)| writeln!(f, "{step} = {operation}"))
    }
}

impl PartialEq for ExecutionGraph {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity && self.graph.node_weights().eq(other.graph.node_weights())
    }
}

/// A graph as it is written. Order, edges and keys follow from the operations, so they are
/// derived again when it is read, never trusted.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    identity: String,
    steps: Vec<Operation>,
}

impl From<ExecutionGraph> for Document {
    fn from(graph: ExecutionGraph) -> Self {
        let (nodes, _) = graph.graph.into_nodes_edges();
        Self {
            version: DOCUMENT_VERSION,
            identity: graph.identity,
            steps: nodes.into_iter().map(|node| node.weight).collect(),
        }
    }
}

impl TryFrom<Document> for ExecutionGraph {
    type Error = GraphError;

    fn try_from(document: Document) -> Result<Self, GraphError> {
        if document.version != DOCUMENT_VERSION {
            return Err(GraphError::Version {
                found: document.version,
            });
        }
        GraphBuilder {
            identity: document.identity,
            operations: document.steps,
        }
        .freeze()
    }
}

fn keys(
    identity: &str,
    graph: &DiGraph<Operation, ()>,
    order: &[StepId],
) -> Result<Vec<StepKey>, GraphError> {
    let mut keys: BTreeMap<StepId, StepKey> = BTreeMap::new();
    let mut owners: BTreeMap<StepKey, StepId> = BTreeMap::new();
    for &step in order {
        let operation = &graph[node(step)];
        let key = StepKey::new(identity, operation, &keys);
        if let Some(&other) = owners.get(&key) {
            return Err(GraphError::SameStep {
                first: other.min(step),
                second: other.max(step),
                operation: operation.name(),
            });
        }
        owners.insert(key.clone(), step);
        keys.insert(step, key);
    }
    Ok(keys.into_values().collect())
}

fn cycle_error(graph: &DiGraph<Operation, ()>, on_cycle: NodeIndex) -> GraphError {
    let circle = tarjan_scc(graph)
        .into_iter()
        .find(|circle| circle.contains(&on_cycle));
    let mut steps: Vec<StepId> = circle
        .into_iter()
        .flatten()
        .map(|node| step_id(node.index()))
        .collect();
    steps.sort_unstable();
    GraphError::Cycle { steps }
}

fn list(steps: &[StepId]) -> String {
    steps
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn node(step: StepId) -> NodeIndex {
    NodeIndex::from(step.0)
}

fn step_id(position: usize) -> StepId {
    StepId(u32::try_from(position).expect("a graph has fewer than 2^32 steps"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{EndpointIdentity, Input, SecretSlot, ServiceSpec};
    use openmodel_schemas::quantity::Bytes;

    fn chat() -> EndpointIdentity {
        EndpointIdentity {
            project: "acme-ml".parse().expect("a project id"),
            region: "us-central1".parse().expect("a region"),
            name: "chat".parse().expect("an endpoint name"),
        }
    }

    fn vllm(token: Input) -> Box<ServiceSpec> {
        Box::new(ServiceSpec {
            image: "vllm/vllm-openai:v0.11.0".to_owned(),
            command: vec![],
            args: vec!["--model".to_owned(), "google/gemma-2-9b-it".to_owned()],
            env: [("HF_HOME".to_owned(), "/models".to_owned())].into(),
            secret_env: [("HF_TOKEN".to_owned(), token)].into(),
            volumes: Vec::new(),
            cpu: 8,
            memory: Bytes::gib(32),
            accelerator: "nvidia-l4".to_owned(),
            accelerator_count: 1,
            zonal_redundancy: false,
            port: 8000,
            health_path: "/health".to_owned(),
            concurrency: 8,
            min_replicas: 0,
            max_replicas: 2,
            labels: [("team".to_owned(), "nlp".to_owned())].into(),
            annotations: [].into(),
        })
    }

    /// The graph that creates a gated endpoint with a token of its own.
    fn creation() -> GraphBuilder {
        let mut builder = GraphBuilder::new(chat().to_string());
        let secret = builder.step(Operation::CreateSecret {
            project: chat().project,
            secret_id: chat().token_secret_id(),
            labels: [].into(),
        });
        let version = builder.step(Operation::AddSecretVersion {
            secret: Input::OutputOf(secret),
            payload: SecretSlot("hugging_face_token".to_owned()),
            version: 1,
        });
        let grant = builder.step(Operation::GrantSecretAccess {
            secret: Input::OutputOf(secret),
        });
        let service = builder.step(Operation::CreateService {
            identity: chat(),
            service: vllm(Input::OutputOf(version)),
            after: Vec::new(),
        });
        let invokers = builder.step(Operation::SetInvokers {
            service: Input::OutputOf(service),
            members: vec!["allUsers".to_owned()],
        });
        builder.step(Operation::MarkReady {
            service: Input::OutputOf(service),
            after: vec![grant, invokers],
        });
        builder
    }

    #[test]
    fn a_graph_reads_as_a_line_a_step() {
        let graph = creation().freeze().expect("no cycle");
        insta::assert_snapshot!(graph, @r#"
        s0 = CreateSecret(acme-ml, openmodel-us-central1-chat-hugging-face-token)
        s1 = AddSecretVersion(s0.id, hugging_face_token v1)
        s2 = GrantSecretAccess(s0.id)
        s3 = CreateService(acme-ml/us-central1/chat, nvidia-l4 x 1, 8 vCPU, 32.00 GiB, vllm/vllm-openai:v0.11.0, HF_TOKEN = s1.id)
        s4 = SetInvokers(s3.id, ["allUsers"])
        s5 = MarkReady(s3.id) after s2, s4
        "#);
    }

    #[test]
    fn a_removal_takes_the_service_before_the_secret_it_reads() {
        let mut builder = GraphBuilder::new(chat().to_string());
        let service = builder.step(Operation::DeleteService { identity: chat() });
        builder.step(Operation::DeleteSecret {
            secret: chat().token_secret(),
            after: vec![service],
        });
        let graph = builder.freeze().expect("no cycle");
        insta::assert_snapshot!(graph, @r#"
        s0 = DeleteService(acme-ml/us-central1/chat)
        s1 = DeleteSecret(projects/acme-ml/secrets/openmodel-us-central1-chat-hugging-face-token) after s0
        "#);
        assert_eq!(graph.dependencies(StepId(1)), [service]);
        assert!(!graph.is_creation());
    }

    #[test]
    fn edges_come_from_inputs_and_after() {
        let graph = creation().freeze().expect("no cycle");
        let needs: Vec<_> = graph
            .steps()
            .map(|(step, _)| graph.dependencies(step))
            .collect();
        let ids = |ids: &[u32]| ids.iter().copied().map(StepId).collect::<Vec<_>>();
        assert_eq!(
            needs,
            [
                ids(&[]),
                ids(&[0]),
                ids(&[0]),
                ids(&[1]),
                ids(&[3]),
                ids(&[2, 3, 4])
            ]
        );
        assert_eq!(graph.dependents(StepId(0)), ids(&[1, 2]));
        assert!(graph.is_creation());
        for (step, _) in graph.steps() {
            let place = |step| graph.order().iter().position(|&other| other == step);
            for needed in graph.dependencies(step) {
                assert!(place(needed) < place(step), "{needed} comes before {step}");
            }
        }
    }

    #[test]
    fn graphviz_gets_every_step_and_edge() {
        let mut builder = GraphBuilder::new("x");
        let service = builder.step(Operation::DeleteService { identity: chat() });
        builder.step(Operation::SetInvokers {
            service: Input::OutputOf(service),
            members: vec!["allUsers".to_owned()],
        });
        insta::assert_snapshot!(builder.freeze().expect("no cycle").dot(), @r#"
        digraph {
          rankdir = LR;
          node [shape = box];
          s0 [label = "s0 = DeleteService(acme-ml/us-central1/chat)"];
          s1 [label = "s1 = SetInvokers(s0.id, [\"allUsers\"])"];
          s0 -> s1;
        }
        "#);
    }

    #[test]
    fn a_graph_survives_being_written_and_read() {
        let graph = creation().freeze().expect("no cycle");
        let text = serde_json::to_string(&graph).expect("a graph can be written");
        let back: ExecutionGraph = serde_json::from_str(&text).expect("what was written is read");
        assert_eq!(back, graph);
        assert_eq!(back.key(StepId(5)), graph.key(StepId(5)));
        assert_eq!(back.order(), graph.order());
    }

    #[track_caller]
    fn check_document(text: &str, expect: &str) {
        let error = serde_json::from_str::<ExecutionGraph>(text).expect_err("a bad document");
        assert!(error.to_string().contains(expect), "{error}");
    }

    #[test]
    fn a_document_is_checked_like_a_builder() {
        check_document(
            r#"{"version": 2, "identity": "x", "steps": []}"#,
            "the graph document has version 2, but this openmodel reads version 1",
        );
        check_document(
            r#"{"version": 1, "identity": "x", "steps": [
                {"operation": "GrantSecretAccess", "secret": {"output_of": 7}}]}"#,
            "s0 (GrantSecretAccess) waits for s7, which is not a step of this graph",
        );
        check_document(
            r#"{"version": 1, "identity": "x", "steps": [
                {"operation": "GrantSecretAccess", "secret": {"known": "a"}},
                {"operation": "GrantSecretAccess", "secret": {"output_of": 2}},
                {"operation": "DeleteSecret", "secret": "a", "after": [1]}]}"#,
            "these steps wait for each other and could never start: s1, s2",
        );
        check_document(
            r#"{"version": 1, "identity": "x", "steps": [
                {"operation": "GrantSecretAccess", "secret": {"output_of": 0}}]}"#,
            "could never start: s0",
        );
        check_document(
            r#"{"version": 1, "identity": "x", "steps": [
                {"operation": "DeleteSecret", "secret": "a", "after": []},
                {"operation": "GrantSecretAccess", "secret": {"known": "a"}},
                {"operation": "DeleteSecret", "secret": "a", "after": [1]}]}"#,
            "s0 and s2 are the same DeleteSecret",
        );
    }
}
