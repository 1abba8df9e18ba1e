//! What a user would see in the log of runs that do not go smoothly, event by event.

use std::fmt::Write as _;
use std::future::pending;
use std::sync::Mutex;
use std::time::Duration;

use openmodel_apply::backoff::Backoff;
use openmodel_apply::cloud::{Cloud, Failure, Outcome};
use openmodel_apply::event::Event;
use openmodel_apply::executor::{Options, apply};
use openmodel_apply::report::{End, Interruption, Report};
use openmodel_apply::run::Run;
use openmodel_graph::graph::{ExecutionGraph, StepId};
use tokio::sync::Notify;

use crate::fake::{Fake, Lost, Script};
use crate::graphs::{creation, update};

const OPTIONS: Options = Options {
    width: 4,
    deadline: Duration::from_mins(30),
    unwind_deadline: Duration::from_mins(10),
    retry: Backoff {
        base: Duration::from_secs(1),
        cap: Duration::from_secs(1),
        attempts: 2,
    },
    seed: 0,
};

const SECRET: StepId = StepId(0);
const SERVICE: StepId = StepId(2);
const INVOKERS: StepId = StepId(3);

fn refused(step: StepId, broken: bool) -> Script {
    Script {
        refused: [(step, broken)].into(),
        ..Script::default()
    }
}

/// Executes, and gives the log as text beside the report.
async fn log_of(fake: &Fake) -> (String, Report) {
    fake.begin();
    let log = Mutex::new(String::new());
    let mut run = Run::new(fake.graph().clone());
    let report = apply(&mut run, fake, OPTIONS, pending(), &|event| {
        let mut log = log.lock().expect("no writer panics");
        writeln!(log, "{event}").expect("a string takes all text");
    })
    .await;
    assert_eq!(fake.world().offences, Vec::<String>::new());
    (log.into_inner().expect("no writer panics"), report)
}

async fn log(graph: ExecutionGraph, script: Script) -> (String, Report, Fake) {
    let fake = Fake::new(graph, script);
    let (text, report) = log_of(&fake).await;
    (text, report, fake)
}

#[tokio::test(start_paused = true)]
async fn each_step_is_looked_at_then_performed() {
    let (text, report, _) = log(creation(), Script::default()).await;
    assert_eq!(report.end, End::Completed);
    insta::assert_snapshot!(text, @"
    begin
    s0 started
    s0 looked: absent
    s0 done: CreateSecret-s0
    s1 started
    s1 looked: absent
    s1 done: CreateSecret-s0/AddSecretVersion-s1
    s2 started
    s2 looked: absent
    s2 done: CreateService-s2
    s3 started
    s3 looked: absent
    s3 done: CreateService-s2/SetInvokers-s3
    ");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_up_not_repeated() {
    let silent = [(SERVICE, Lost::After)].into();
    let (text, report, fake) = log(
        creation(),
        Script {
            silent,
            ..Script::default()
        },
    )
    .await;
    assert_eq!(report.end, End::Completed);
    assert_eq!(report.attempts[&SERVICE], 1);
    assert!(fake.has(SERVICE));
    insta::assert_snapshot!(text, @"
    begin
    s0 started
    s0 looked: absent
    s0 done: CreateSecret-s0
    s1 started
    s1 looked: absent
    s1 done: CreateSecret-s0/AddSecretVersion-s1
    s2 started
    s2 looked: absent
    s2 answer unknown: UNAVAILABLE: the answer was lost
    s2 waits 485.1ms
    s2 looked: ours, CreateService-s2
    s3 started
    s3 looked: absent
    s3 done: CreateService-s2/SetInvokers-s3
    ");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_start_is_removed_with_its_secret() {
    let (text, report, fake) = log(creation(), refused(SERVICE, true)).await;
    assert!(
        matches!(report.end, End::Refused { step: SERVICE, .. }),
        "{:?}",
        report.end
    );
    assert!(fake.inventory().is_empty());
    insta::assert_snapshot!(text, @"
    begin
    s0 started
    s0 looked: absent
    s0 done: CreateSecret-s0
    s1 started
    s1 looked: absent
    s1 done: CreateSecret-s0/AddSecretVersion-s1
    s2 started
    s2 looked: absent
    s2 refused: PERMISSION_DENIED: never
    s2 looked: broken, CreateService-s2: FAILED_PRECONDITION: it does not start
    s2 is taken back
    s2 undone: CreateService-s2
    s0 is taken back
    s0 undone: CreateSecret-s0
    ");
}

#[tokio::test(start_paused = true)]
async fn a_cloud_that_never_answers_interrupts_and_nothing_is_unwound() {
    let silent = [(SERVICE, Lost::Before)].into();
    let (text, report, fake) = log(
        creation(),
        Script {
            silent,
            ..Script::default()
        },
    )
    .await;
    assert!(
        matches!(
            report.end,
            End::Interrupted {
                why: Interruption::Unanswered { step: SERVICE, .. }
            }
        ),
        "{:?}",
        report.end
    );
    assert_eq!(report.unsettled, [SERVICE]);
    assert_eq!(
        report.left.iter().map(|left| left.step).collect::<Vec<_>>(),
        [SECRET]
    );
    assert!(fake.has(SECRET));
    insta::assert_snapshot!(text, @"
    begin
    s0 started
    s0 looked: absent
    s0 done: CreateSecret-s0
    s1 started
    s1 looked: absent
    s1 done: CreateSecret-s0/AddSecretVersion-s1
    s2 started
    s2 looked: absent
    s2 answer unknown: UNAVAILABLE: the answer was lost
    s2 waits 485.1ms
    s2 looked: absent
    s2 answer unknown: UNAVAILABLE: the answer was lost
    s2 given up
    s2 looked: absent
    ");
}

#[tokio::test(start_paused = true)]
async fn a_vendors_wish_to_wait_is_granted() {
    let mut granted = 0;
    for seed in 0..20 {
        let script = Script {
            trouble: 100,
            seed,
            ..Script::default()
        };
        let fake = Fake::new(creation(), script);
        let retry = Backoff {
            base: Duration::from_millis(1),
            attempts: 9,
            ..OPTIONS.retry
        };
        let options = Options { retry, ..OPTIONS };
        let events = Mutex::new(Vec::new());
        let mut run = Run::new(creation());
        apply(&mut run, &fake, options, pending(), &|event| {
            events.lock().expect("no writer panics").push(event.clone());
        })
        .await;
        for pair in events.into_inner().expect("no writer panics").windows(2) {
            if let [
                Event::Answered {
                    outcome: Outcome::Refused(failure),
                    ..
                },
                next,
            ] = pair
            {
                let asked = failure.retry_after.expect("the fake names a time");
                assert!(
                    matches!(next, Event::Paused { pause, .. } if *pause >= asked),
                    "{next}"
                );
                granted += 1;
            }
        }
    }
    assert!(granted > 10, "only {granted} refusals were seen");
}

#[tokio::test(start_paused = true)]
async fn cancelling_names_the_step_that_was_under_way() {
    let fake = Fake::new(creation(), Script::default());
    let performing = Notify::new();
    let mut run = Run::new(creation());
    let report = apply(&mut run, &fake, OPTIONS, performing.notified(), &|event| {
        if matches!(event, Event::Looked { step: SERVICE, .. }) {
            performing.notify_one();
        }
    })
    .await;
    let why = Interruption::Cancelled;
    assert_eq!(report.end, End::Interrupted { why });
    assert_eq!(report.unsettled, [SERVICE]);
    assert_eq!(
        report.left.iter().map(|left| left.step).collect::<Vec<_>>(),
        [SECRET]
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_update_keeps_the_secret_that_the_service_now_reads() {
    let (_, report, fake) = log(update(), refused(INVOKERS, false)).await;
    assert!(
        matches!(report.end, End::UndoFailed { step: INVOKERS, .. }),
        "{:?}",
        report.end
    );
    assert!(fake.has(SECRET));
    let [left] = report.left.as_slice() else {
        panic!("one object is left: {:?}", report.left)
    };
    assert_eq!(
        left.failure
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        "FAILED_PRECONDITION: CreateSecret-s0 is kept: s2 (UpdateService), which uses it, stays"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_update_removes_the_secret_it_made_and_keeps_one_it_found() {
    let (_, report, mut fake) = log(update(), refused(SERVICE, false)).await;
    assert!(
        matches!(report.end, End::Refused { step: SERVICE, .. }),
        "{:?}",
        report.end
    );
    assert!(fake.inventory().is_empty());

    fake.script = Script::default();
    assert_eq!(log_of(&fake).await.1.end, End::Completed);
    fake.world()
        .objects
        .retain(|_, (id, _)| id.starts_with("CreateSecret"));
    fake.script = refused(SERVICE, false);
    let (_, report) = log_of(&fake).await;
    assert!(
        matches!(report.end, End::Refused { step: SERVICE, .. }),
        "{:?}",
        report.end
    );
    assert!(fake.has(SECRET), "an update does not own what it found");
    assert!(report.left.is_empty());
}

#[tokio::test(start_paused = true)]
async fn unwinding_has_a_time_of_its_own() {
    let fake = Fake::new(
        creation(),
        Script {
            slow: 1000,
            ..refused(SERVICE, false)
        },
    );
    let options = Options {
        unwind_deadline: Duration::from_millis(1),
        ..OPTIONS
    };
    let mut run = Run::new(fake.graph().clone());
    let report = apply(&mut run, &fake, options, pending(), &|_| {}).await;
    assert!(
        matches!(report.end, End::UndoFailed { step: SERVICE, .. }),
        "{:?}",
        report.end
    );
    let [left] = report.left.as_slice() else {
        panic!("one object is left: {:?}", report.left)
    };
    assert_eq!((left.step, fake.has(SECRET)), (SECRET, true));
    assert_eq!(
        left.failure,
        Some(Failure::passing("DEADLINE_EXCEEDED", "its time was up"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_graph_without_steps_is_done() {
    let graph = openmodel_graph::graph::GraphBuilder::new("x")
        .freeze()
        .expect("no steps");
    let (_, report, _) = log(graph, Script::default()).await;
    assert_eq!(report.end, End::Completed);
}

#[test]
fn the_executors_future_can_move_between_threads() {
    fn assert_send(_: impl Send) {}
    fn execute<C: Cloud>(cloud: &C) {
        let mut run = Run::new(creation());
        assert_send(apply(&mut run, cloud, OPTIONS, pending(), &|_| {}));
    }
    execute(&Fake::new(creation(), Script::default()));
}
