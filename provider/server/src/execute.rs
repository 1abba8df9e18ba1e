//! An execution graph, run within the time limit of a Terraform operation until it ends or is stopped.

use std::time::Duration;

use openmodel_apply::cloud::{Cloud, Failure};
use openmodel_apply::event::Event;
use openmodel_apply::executor::{Options, apply};
use openmodel_apply::report::Report;
use openmodel_apply::run::Run;
use openmodel_graph::graph::ExecutionGraph;
use openmodel_graph::operation::Operation;
use tfplug::Diagnostic;
use tfplug::framework::Context;
use tfplug::serve::log;

use crate::client::Client;

/// Operations of one resource that may run at once; no graph is much wider.
const WIDTH: usize = 4;

/// Time for the way back where an Anywhere Cache is on it: users saw them go after 62 to 80 minutes.
const FAR_BACK: Duration = Duration::from_hours(2);

/// Longest time limit that is taken as it is.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// Runs a graph against a cloud.
pub(crate) async fn execute<C: Cloud>(
    context: &Context<Client>,
    cloud: &C,
    graph: &ExecutionGraph,
    limit: Duration,
) -> Report {
    let mut run = Run::new(graph.clone());
    let usual = Options::default();
    let slow = |operation: &Operation| {
        matches!(operation, Operation::SetAnywhereCache { take: false, .. })
    };
    let unwind_deadline = if graph.steps().any(|(_, operation)| slow(operation)) {
        FAR_BACK
    } else {
        usual.unwind_deadline
    };
    let options = Options {
        width: WIDTH,
        unwind_deadline,
        // A clock cannot count further than some centuries; nobody waits longer than a week.
        deadline: limit.min(LONGEST),
        // It only spreads retries; the keys in the graph differ from resource to resource.
        seed: u64::from(std::process::id()),
        ..usual
    };
    let stop = context.stop().clone();
    let progress = |event: &Event| log::info("apply", &event.to_string(), &[]);
    apply(
        &mut run,
        cloud,
        options,
        async move { stop.requested().await },
        &progress,
    )
    .await
}

/// A failure of the cloud, and what it leaves behind.
pub(crate) fn refused(summary: &str, failure: &Failure, after: &str) -> Diagnostic {
    Diagnostic::error(summary).detail(format!("{failure}\n{after}"))
}
