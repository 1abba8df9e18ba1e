//! Changing an endpoint: a new revision, a new token, other callers; and when that goes wrong.

use openmodel_apply::report::End;
use openmodel_cloud::google::{Phase, Readiness};
use openmodel_graph::operation::ServiceSpec;
use serde_json::json;

use super::world::{TOKEN, World, container_fails, creation, identity, service_spec, soon, update};

fn changed() -> ServiceSpec {
    let mut spec = service_spec();
    "vllm/vllm-openai:v0.20.0".clone_into(&mut spec.image);
    spec.max_replicas = 3;
    spec.labels = [("tier".to_owned(), "gold".to_owned())].into();
    spec
}

async fn made() -> World {
    let world = World::new();
    assert_eq!(
        world.apply(&creation(service_spec())).await.end,
        End::Completed
    );
    world
}

#[tokio::test]
async fn an_endpoint_is_changed_and_its_old_token_destroyed() {
    let world = made().await;
    let graph = update(changed(), 2, &["user:a@example.com"]);
    assert_eq!(world.apply(&graph).await.end, End::Completed);
    let live = world
        .cloud
        .read_endpoint(&identity(), soon())
        .await
        .expect("read")
        .expect("there");
    assert_eq!(
        (live.image.as_str(), live.max_replicas),
        ("vllm/vllm-openai:v0.20.0", 3)
    );
    assert_eq!(live.invokers, ["user:a@example.com"]);
    assert_eq!(
        (live.phase, live.readiness),
        (Some(Phase::Ready), Readiness::Serving)
    );
    assert!(
        live.labels.contains_key("tier") && !live.labels.contains_key("team"),
        "{:?}",
        live.labels
    );
    assert!(live.secret_env["HF_TOKEN"].ends_with("/versions/2"));
    assert_eq!(world.enabled_versions(), 1);
    // The same again changes nothing.
    let before = world.sandbox.inventory();
    assert_eq!(world.apply(&graph).await.end, End::Completed);
    assert_eq!(world.sandbox.inventory(), before);
}

#[tokio::test]
async fn any_one_answer_of_an_update_may_be_lost() {
    let graph = update(changed(), 2, &["user:a@example.com"]);
    let world = made().await;
    let before = world.sandbox.log().len();
    world.apply(&graph).await;
    let expected = world.inventory();
    let log = world.sandbox.log();
    let requests = log[before..].iter().filter(|entry| entry.method != "GET");
    let runs = requests
        .flat_map(|entry| ["before", "after"].map(|when| (entry, when)))
        .map(async |(entry, when)| {
            let world = made().await;
            let to = json!({"method": entry.method, "path": entry.path});
            world
                .fault(json!({"match": to, "nth": 1, "then": {"lose": when}}))
                .await;
            let report = world.apply(&graph).await;
            assert_eq!(
                report.end,
                End::Completed,
                "{} {} lost {when}",
                entry.method,
                entry.path
            );
            assert_eq!(
                world.inventory(),
                expected,
                "{} {} lost {when}",
                entry.method,
                entry.path
            );
        });
    assert!(futures::future::join_all(runs).await.len() >= 12);
}

#[tokio::test]
async fn a_service_that_others_change_too_is_read_and_written_again() {
    let world = made().await;
    let body = json!({"error": {"code": 409, "status": "ABORTED", "message": "Conflict for resource 'chat'"}});
    let conflict = json!({"respond": {"status": 409, "body": body}});
    world
        .fault(json!({"match": {"method": "PATCH"}, "times": 3, "then": conflict}))
        .await;
    assert_eq!(
        world.apply(&update(changed(), 1, &["allUsers"])).await.end,
        End::Completed
    );
}

#[tokio::test]
async fn a_revision_that_does_not_start_is_refused_and_tried_anew_next_time() {
    let world = made().await;
    world.fault(container_fails("PATCH")).await;
    let graph = update(changed(), 1, &["allUsers"]);
    let End::Refused { failure, .. } = world.apply(&graph).await.end else {
        panic!("it should be refused");
    };
    assert!(
        failure.message.contains("HEALTH_CHECK_CONTAINER_ERROR"),
        "{failure}"
    );
    let live = world
        .cloud
        .read_endpoint(&identity(), soon())
        .await
        .expect("read")
        .expect("still there");
    assert!(
        matches!(live.readiness, Readiness::Failed { .. }),
        "{:?}",
        live.readiness
    );

    assert_eq!(world.apply(&graph).await.end, End::Completed);
    let live = world
        .cloud
        .read_endpoint(&identity(), soon())
        .await
        .expect("read")
        .expect("there");
    assert_eq!(
        (live.readiness, live.phase),
        (Readiness::Serving, Some(Phase::Ready))
    );
    // Nothing in the template changed, so a new revision has to be asked for.
    let forced = ("forceNewRevision".to_owned(), "true".to_owned());
    let log = world.sandbox.log().into_iter();
    let patches = log.filter(|entry| entry.method == "PATCH" && entry.api == "run");
    let forced: Vec<bool> = patches.map(|entry| entry.query.contains(&forced)).collect();
    // Ready after the creation, the update that failed, the one that did not, ready again.
    assert_eq!(forced, [false, false, true, false]);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_not_made_by_an_update() {
    let world = World::new();
    let mut graph = openmodel_graph::graph::GraphBuilder::new(identity().to_string());
    graph.step(openmodel_graph::operation::Operation::UpdateService {
        identity: identity(),
        service: Box::new(changed()),
        after: Vec::new(),
    });
    let End::Refused { failure, .. } = world.apply(&graph.freeze().expect("a graph")).await.end
    else {
        panic!("it should be refused");
    };
    assert_eq!(failure.code, "NOT_FOUND");
    assert_eq!(world.sandbox.inventory(), json!([]));
}

#[tokio::test]
async fn the_token_is_nowhere_to_be_seen() {
    let world = made().await;
    let shown = format!(
        "{:?} {:?} {}",
        world.cloud,
        world.sandbox.log(),
        world.sandbox.inventory()
    );
    assert!(!shown.contains(TOKEN));
}
