//! Making an endpoint and deleting it: undisturbed, with lost answers, cut, refused.

use openmodel_apply::cloud::{Cloud as _, Outcome, Seen};
use openmodel_apply::report::End;
use openmodel_apply::run::Run;
use openmodel_cloud::google::{Phase, Readiness};
use openmodel_graph::graph::{ExecutionGraph, GraphBuilder};
use openmodel_graph::operation::Operation;
use serde_json::{Value, json};

use super::world::{
    World, container_fails, creation, creation_with, deletion, identity, service_spec, soon,
};

#[tokio::test]
async fn an_endpoint_is_made_read_and_deleted() {
    let world = World::new();
    let report = world.apply(&creation(service_spec())).await;
    assert_eq!(report.end, End::Completed);

    let live = world
        .cloud
        .read_endpoint(&identity(), soon())
        .await
        .expect("read")
        .expect("there");
    let spec = service_spec();
    assert_eq!(
        (live.image, live.args, live.env),
        (spec.image, spec.args, spec.env)
    );
    assert_eq!((live.cpu, live.memory), (Some(spec.cpu), Some(spec.memory)));
    assert_eq!(
        (live.accelerator, live.accelerator_count),
        (Some(spec.accelerator), 1)
    );
    assert_eq!(
        (live.concurrency, live.min_replicas, live.max_replicas),
        (16, 0, 2)
    );
    assert!(
        live.secret_env["HF_TOKEN"]
            .ends_with("/secrets/openmodel-us-central1-chat-hugging-face-token/versions/1")
    );
    assert_eq!(
        (live.phase, live.readiness),
        (Some(Phase::Ready), Readiness::Serving)
    );
    assert_eq!(live.invokers, ["allUsers"]);
    assert_eq!(live.annotations["openmodel.dev/spec"], "{}");
    assert!(live.uri.is_some_and(|uri| uri.starts_with("http")));

    assert_eq!(world.apply(&deletion()).await.end, End::Completed);
    assert_eq!(world.sandbox.inventory(), json!([]));
    assert_eq!(
        world.cloud.read_endpoint(&identity(), soon()).await,
        Ok(None)
    );
    // What is gone can be deleted again.
    assert_eq!(world.apply(&deletion()).await.end, End::Completed);
}

#[tokio::test]
async fn a_finished_endpoint_is_not_taken_over_by_its_like() {
    let world = World::new();
    world.apply(&creation(service_spec())).await;
    let before = world.sandbox.inventory();
    // The same with the same token, and with another.
    for token_version in [1, 2] {
        let end = world
            .apply(&creation_with(service_spec(), token_version))
            .await
            .end;
        let End::Refused { failure, .. } = end else {
            panic!("it should be refused: {end:?}");
        };
        assert_eq!(failure.code, "ALREADY_EXISTS");
        let hint = failure.hint.expect("a hint");
        assert!(
            hint.contains("import {") && hint.contains(&identity().service()),
            "{hint}"
        );
        assert_eq!(world.sandbox.inventory(), before);
    }
}

#[tokio::test]
async fn somebody_elses_service_is_left_alone() {
    let world = World::new();
    let mut graph = GraphBuilder::new("elsewhere");
    graph.step(Operation::CreateService {
        identity: identity(),
        service: Box::new(service_spec()),
        after: Vec::new(),
    });
    world.apply(&graph.freeze().expect("a graph")).await;
    let before = world.sandbox.inventory();
    let End::Refused { failure, .. } = world.apply(&creation(service_spec())).await.end else {
        panic!("it should be refused");
    };
    assert!(
        failure.message.contains("begun with another configuration"),
        "{failure}"
    );
    assert_eq!(world.sandbox.inventory(), before);
}

/// The requests of an undisturbed run that change something.
async fn changes(graph: &ExecutionGraph) -> (Vec<(String, String)>, Vec<Value>) {
    let world = World::new();
    assert_eq!(world.apply(graph).await.end, End::Completed);
    let requests = world
        .sandbox
        .log()
        .into_iter()
        .filter(|entry| entry.method != "GET");
    (
        requests.map(|entry| (entry.method, entry.path)).collect(),
        world.inventory(),
    )
}

#[tokio::test]
async fn any_one_answer_may_be_lost_before_or_after_its_effect() {
    let graph = creation(service_spec());
    let (requests, expected) = changes(&graph).await;
    assert!(requests.len() >= 7, "{requests:?}");
    let disturbed = requests
        .iter()
        .flat_map(|request| ["before", "after"].map(|when| (request, when)));
    let runs = disturbed.map(async |((method, path), when)| {
        let world = World::new();
        let rule =
            json!({"match": {"method": method, "path": path}, "nth": 1, "then": {"lose": when}});
        world.fault(rule).await;
        let report = world.apply(&graph).await;
        assert_eq!(report.end, End::Completed, "{method} {path} lost {when}");
        assert_eq!(world.inventory(), expected, "{method} {path} lost {when}");
        assert_eq!(world.enabled_versions(), 1, "{method} {path} lost {when}");
    });
    futures::future::join_all(runs).await;
}

#[tokio::test]
async fn a_run_may_be_cut_anywhere_and_the_next_one_finishes_it() {
    let graph = creation(service_spec());
    let (_, expected) = changes(&graph).await;
    let runs = (1..40).map(async |events| {
        let world = World::new();
        if !world.apply_and_cut(&graph, events).await {
            return false;
        }
        let report = world.apply(&graph).await;
        let was_finished =
            matches!(&report.end, End::Refused { failure, .. } if failure.code == "ALREADY_EXISTS");
        assert!(
            report.end == End::Completed || was_finished,
            "cut after {events}: {:?}",
            report.end
        );
        assert_eq!(world.inventory(), expected, "cut after {events}");
        true
    });
    let cut = futures::future::join_all(runs).await;
    assert!(cut.iter().filter(|cut| **cut).count() > 15, "{cut:?}");
}

#[tokio::test]
async fn a_container_that_does_not_start_is_refused_and_nothing_is_left() {
    let world = World::new();
    world.fault(container_fails("POST")).await;
    let End::Refused { failure, .. } = world.apply(&creation(service_spec())).await.end else {
        panic!("it should be refused");
    };
    assert!(
        failure.message.contains("HEALTH_CHECK_CONTAINER_ERROR"),
        "{failure}"
    );
    assert!(failure.hint.is_some_and(|hint| hint.contains("log")));
    assert_eq!(world.sandbox.inventory(), json!([]));
}

#[tokio::test]
async fn a_broken_service_of_ours_is_brought_to_life_by_the_next_run() {
    let world = World::new();
    world.fault(container_fails("POST")).await;
    let mut graph = GraphBuilder::new(identity().to_string());
    let step = graph.step(Operation::CreateService {
        identity: identity(),
        service: Box::new(service_spec()),
        after: Vec::new(),
    });
    let graph = graph.freeze().expect("a graph");
    let call = Run::new(graph.clone()).call(step).expect("a call");

    let first = world.cloud.perform(&call, soon()).await;
    assert!(matches!(first, Outcome::Refused(_)), "{first:?}");
    let seen = world.cloud.observe(&call, soon()).await.expect("a look");
    assert!(matches!(seen, Seen::Broken(..)), "{seen:?}");

    assert_eq!(world.apply(&graph).await.end, End::Completed);
    let seen = world.cloud.observe(&call, soon()).await.expect("a look");
    assert!(matches!(seen, Seen::Ours(_)), "{seen:?}");
}

#[tokio::test]
async fn a_missing_quota_is_refused_with_the_way_to_raise_it_and_nothing_is_left() {
    let world = World::new();
    let quota = json!([{"region": "us-central1", "accelerator": "nvidia-l4", "zonalRedundancy": false, "limit": 0}]);
    world.tell("PUT", "run/quotas", &quota).await;
    let End::Refused { failure, .. } = world.apply(&creation(service_spec())).await.end else {
        panic!("it should be refused");
    };
    assert!(
        failure
            .hint
            .as_ref()
            .is_some_and(|hint| hint.contains("iam-admin/quotas")),
        "{failure}"
    );
    assert_eq!(world.sandbox.inventory(), json!([]));
}

#[tokio::test]
async fn a_busy_api_is_waited_for() {
    let world = World::new();
    let busy = json!({"respond": {"status": 429, "headers": {"Retry-After": "0"}}});
    world
        .fault(json!({"match": {"method": "POST"}, "times": 2, "then": busy}))
        .await;
    assert_eq!(
        world.apply(&creation(service_spec())).await.end,
        End::Completed
    );
}

#[tokio::test]
async fn tokens_are_given_for_the_apis_and_for_the_endpoint() {
    let world = World::new();
    let transport = world.cloud.transport();
    let access = transport.auth().access_token().await.expect("a token");
    let id = transport
        .auth()
        .id_token(transport, "https://chat.run.app", soon())
        .await
        .expect("a token");
    assert_eq!((access.expose(), id.expose()), ("sandbox", "sandbox"));
}
