//! A provider of one's own, driven through every call, with Terraform's rules applied to each
//! answer.

use tfplug::check::Action;
use tfplug::framework::{MoveRequest, TimeoutsModel};
use tfplug::testing::Harness;
use tfplug::value::Value;

use crate::boxes::{BoxModel, Boxes, Lid, Shelf, behaving, boxes, harness, named};

#[tokio::test]
async fn a_box_lives_through_create_update_replace_and_destroy() {
    let (harness, shelf) = harness().await;
    let boxes = boxes(&harness);
    let lids = Value::from(vec![Value::from(Lid::default())]);
    let config = BoxModel { lids, ..named("a") };

    let planned = boxes.plan(None, &config).await.expect("it can be planned");
    assert_eq!(planned.action, Action::Create);
    let model = planned.planned.expect("it is not a delete");
    assert_eq!(model.id, Value::unknown_with("box/"));
    assert_eq!((model.size, model.weight), (1.into(), 10.into()));

    let saved = boxes.apply(None, &config).await.expect("it can be created");
    assert_eq!(saved.model.id.as_known().map(String::as_str), Some("box/a"));
    let lid = Lid {
        color: "red".into(),
        lock: "lock-0".into(),
    };
    assert_eq!(saved.model.lids, vec![Value::from(lid)].into());
    boxes.assert_settled(&saved, &config).await;

    let config = BoxModel {
        size: 3.into(),
        ..config
    };
    assert_eq!(
        boxes
            .plan(Some(&saved), &config)
            .await
            .expect("planned")
            .action,
        Action::Update
    );
    let saved = boxes
        .apply(Some(&saved), &config)
        .await
        .expect("it can be changed");
    assert_eq!(saved.model.weight, 30.into());
    boxes.assert_settled(&saved, &config).await;

    let config = BoxModel {
        name: "b".into(),
        ..config
    };
    let planned = boxes
        .plan(Some(&saved), &config)
        .await
        .expect("it can be planned");
    assert_eq!(
        (planned.action, planned.requires_replace),
        (Action::Replace, vec!["name".into()])
    );
    let saved = boxes
        .apply(Some(&saved), &config)
        .await
        .expect("it can be replaced");
    assert_eq!(shelf.names(), ["b"]);
    boxes.assert_settled(&saved, &config).await;

    boxes.destroy(&saved).await.expect("it can be destroyed");
    assert!(shelf.names().is_empty());
}

#[tokio::test]
async fn what_changed_or_went_behind_our_back_is_planned_again() {
    let (harness, shelf) = harness().await;
    let boxes = boxes(&harness);
    let saved = boxes
        .apply(None, &named("a"))
        .await
        .expect("it can be created");
    shelf.put(BoxModel {
        size: 7.into(),
        ..saved.model.clone()
    });
    let read = boxes
        .read(&saved)
        .await
        .expect("readable")
        .expect("it is there");
    let planned = boxes.plan(Some(&read), &named("a")).await.expect("planned");
    assert_eq!(
        (planned.action, read.model.size),
        (Action::Update, 7.into())
    );
    shelf.remove("a");
    assert!(boxes.read(&saved).await.expect("readable").is_none());
}

#[tokio::test]
async fn a_create_that_did_nothing_leaves_no_state_and_one_that_did_does() {
    let (harness, shelf) = harness().await;
    let boxes = boxes(&harness);
    let failed = boxes
        .apply(None, &behaving("a", "refuse"))
        .await
        .expect_err("it refuses");
    assert!(failed.saved.is_none() && shelf.names().is_empty());

    let failed = boxes
        .apply(None, &behaving("a", "break"))
        .await
        .expect_err("it breaks");
    assert!(failed.diagnostics.to_string().contains("Label fell off"));
    let saved = failed.saved.expect("the box is there");
    assert_eq!(saved.model.id, "box/a".into());
    boxes
        .destroy(&saved)
        .await
        .expect("the next apply can clean up");
    assert!(shelf.names().is_empty());
}

#[tokio::test]
async fn an_update_that_failed_keeps_the_state_before() {
    let (harness, _) = harness().await;
    let boxes = boxes(&harness);
    let saved = boxes
        .apply(None, &named("a"))
        .await
        .expect("it can be created");
    for (behaviour, error) in [("refuse", "No space"), ("panic", "a hole in the shelf")] {
        let config = BoxModel {
            size: 2.into(),
            ..behaving("a", behaviour)
        };
        let failed = boxes
            .apply(Some(&saved), &config)
            .await
            .expect_err("it fails");
        assert!(
            failed.diagnostics.to_string().contains(error),
            "{}",
            failed.diagnostics
        );
        assert_eq!(failed.saved.expect("the old state").model, saved.model);
    }
}

#[tokio::test]
async fn a_panic_in_create_orphans_nothing_and_the_provider_lives_on() {
    let (harness, shelf) = harness().await;
    let boxes = boxes(&harness);
    let failed = boxes
        .apply(None, &behaving("a", "panic"))
        .await
        .expect_err("it panics");
    let text = failed.diagnostics.to_string();
    assert!(
        text.contains("The provider crashed") && text.contains("a hole in the shelf"),
        "{text}"
    );
    let saved = failed.saved.expect("what the plan knew");
    assert_eq!(
        (&saved.model.name, &saved.model.id),
        (&"a".into(), &Value::Null)
    );
    boxes
        .destroy(&saved)
        .await
        .expect("the next apply can clean up");
    assert!(shelf.names().is_empty());
}

#[tokio::test]
async fn an_answer_that_terraform_would_refuse_is_refused_here_with_the_rule() {
    let (harness, shelf) = harness().await;
    let failed = boxes(&harness)
        .apply(None, &behaving("a", "lie"))
        .await
        .expect_err("it lies");
    let text = failed.diagnostics.to_string();
    assert!(
        text.contains("error at size: Provider produced an inconsistent result"),
        "{text}"
    );
    assert!(
        failed.saved.is_some() && shelf.names() == ["a"],
        "the box is there, so it is saved"
    );
}

#[tokio::test]
async fn a_deletion_can_be_refused_while_it_is_only_planned() {
    let (harness, shelf) = harness().await;
    let boxes = boxes(&harness);
    let config = BoxModel {
        policy: "PREVENT".into(),
        ..named("a")
    };
    let saved = boxes.apply(None, &config).await.expect("it can be created");
    let refused = boxes.plan_destroy(&saved).await.expect_err("it is refused");
    assert!(
        refused
            .to_string()
            .starts_with("error at policy: Deletion is prevented"),
        "{refused}"
    );
    let saved = boxes
        .apply(Some(&saved), &named("a"))
        .await
        .expect("the policy can be changed");
    boxes
        .destroy(&saved)
        .await
        .expect("now it can be destroyed");
    assert!(shelf.names().is_empty());
}

#[tokio::test]
async fn a_write_only_value_reaches_the_provider_and_stays_out_of_plan_and_state() {
    let (harness, _) = harness().await;
    let boxes = boxes(&harness);
    let config = BoxModel {
        secret_wo: "s3cr3t".into(),
        secret_wo_version: 1.into(),
        ..named("a")
    };
    let planned = boxes.plan(None, &config).await.expect("it can be planned");
    let saved = boxes.apply(None, &config).await.expect("it can be created");
    assert!(!format!("{planned:?} {saved:?}").contains("s3cr3t"));
    assert_eq!(saved.model.secret_length, 6.into());
    boxes.assert_settled(&saved, &config).await;

    let config = BoxModel {
        secret_wo: "longer s3cr3t".into(),
        secret_wo_version: 2.into(),
        ..config
    };
    let saved = boxes
        .apply(Some(&saved), &config)
        .await
        .expect("it can be changed");
    assert_eq!(saved.model.secret_length, 13.into());
}

#[tokio::test]
async fn the_users_time_limit_reaches_the_call_and_is_checked() {
    let (harness, _) = harness().await;
    let boxes = boxes(&harness);
    let limited = |limit: &str| {
        let limits: TimeoutsModel = [("create".to_owned(), limit.into())].into();
        BoxModel {
            timeouts: limits.into(),
            ..named("a")
        }
    };
    let saved = boxes
        .apply(None, &limited("1m30s"))
        .await
        .expect("it can be created");
    assert!(
        format!("{saved:?}").contains("90"),
        "the limit is kept beside the state: {saved:?}"
    );
    let found = boxes.validate(&limited("soon")).await.expect("it answers");
    assert!(
        found
            .to_string()
            .starts_with("error at timeouts: Not a duration"),
        "{found}"
    );
}

#[tokio::test]
async fn validation_collects_everything_and_needs_no_configuration() {
    let harness = Harness::new(Boxes {
        shelf: Shelf::default(),
    });
    let config = BoxModel {
        size: 101.into(),
        ..behaving("a", "dance")
    };
    let found = boxes(&harness).validate(&config).await.expect("it answers");
    let places: Vec<String> = found
        .iter()
        .filter_map(|it| it.path.as_ref())
        .map(ToString::to_string)
        .collect();
    assert_eq!(places, ["behaviour", "size"]);
    let missing = boxes(&harness)
        .validate(&BoxModel::default())
        .await
        .expect("it answers");
    assert!(
        missing
            .to_string()
            .starts_with("error at name: Missing required attribute"),
        "{missing}"
    );
}

#[tokio::test]
async fn an_import_reads_the_rest_and_settles() {
    let (harness, shelf) = harness().await;
    let boxes = boxes(&harness);
    boxes
        .apply(None, &named("a"))
        .await
        .expect("it can be created");
    let saved = boxes.import("box/a").await.expect("it can be imported");
    boxes.assert_settled(&saved, &named("a")).await;
    boxes
        .destroy(&saved)
        .await
        .expect("private state came with the import");
    assert!(shelf.names().is_empty());

    let gone = boxes.import("box/a").await.expect_err("it is gone");
    assert!(gone.to_string().contains("does not exist"), "{gone}");
    let wrong = boxes.import("a").await.expect_err("it is not an id");
    assert!(wrong.to_string().contains("box/<name>"), "{wrong}");
}

#[tokio::test]
async fn state_of_an_older_version_is_rewritten_and_of_this_one_passed_on() {
    let (harness, _) = harness().await;
    let boxes = boxes(&harness);
    let upgraded = boxes
        .upgrade(1, r#"{"title":"a"}"#)
        .await
        .expect("it can be upgraded");
    assert_eq!(
        upgraded,
        BoxModel {
            id: "box/a".into(),
            ..named("a")
        }
    );
    let same = boxes
        .upgrade(2, r#"{"id":"box/a","name":"a","size":5}"#)
        .await
        .expect("it is of today");
    assert_eq!(
        same,
        BoxModel {
            id: "box/a".into(),
            size: 5.into(),
            ..named("a")
        }
    );
    let broken = boxes
        .upgrade(1, r#"{"name":"a"}"#)
        .await
        .expect_err("it is not of version 1");
    assert!(
        broken.to_string().contains("missing field `title`"),
        "{broken}"
    );
}

#[tokio::test]
async fn state_of_another_type_is_taken_over_where_the_resource_knows_it() {
    let (harness, _) = harness().await;
    let boxes = boxes(&harness);
    let from = |type_name: &str| MoveRequest {
        provider: "registry.terraform.io/other/other".to_owned(),
        type_name: type_name.to_owned(),
        version: 0,
        json: br#"{"label":"a"}"#.as_slice().into(),
        private: bytes::Bytes::new(),
    };
    let saved = boxes
        .take_over(from("other_crate"))
        .await
        .expect("it is known");
    assert_eq!(saved.model.id, "box/a".into());
    let refused = boxes
        .take_over(from("other_bag"))
        .await
        .expect_err("it is not known");
    assert!(
        refused
            .to_string()
            .contains("`test_box` does not take over"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_stop_reaches_a_running_create() {
    let (harness, _) = harness().await;
    let config = behaving("a", "wait");
    let boxes = boxes(&harness);
    let stop = async {
        tokio::task::yield_now().await;
        harness.stop().await.expect("it answers");
    };
    let (failed, ()) = tokio::join!(boxes.apply(None, &config), stop);
    assert!(
        failed
            .expect_err("it stops")
            .diagnostics
            .to_string()
            .contains("Stopped")
    );
}
