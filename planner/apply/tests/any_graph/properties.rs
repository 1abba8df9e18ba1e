//! What holds for any graph and any misbehaviour of the cloud.

use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::sync::Mutex;
use std::time::Duration;

use openmodel_apply::backoff::Backoff;
use openmodel_apply::executor::{Options, apply};
use openmodel_apply::report::{End, Interruption, Report};
use openmodel_apply::run::Run;
use openmodel_graph::graph::{ExecutionGraph, StepId};
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::time::{sleep, timeout};

use crate::fake::{Fake, Inventory, Script};
use crate::graphs::any_graph;

/// How a graph is executed in one case of a property.
#[derive(Debug, Clone)]
struct Way {
    width: usize,
    seed: u64,
    /// Milliseconds after which the executor is dropped, once for each.
    cuts: Vec<u64>,
    /// Whether the run is kept over a cut, through JSON, or a new one is begun.
    keep: bool,
}

fn any_way() -> impl Strategy<Value = Way> {
    (
        1_usize..=8,
        any::<u64>(),
        proptest::collection::vec(0_u64..300, 0..4),
        any::<bool>(),
    )
        .prop_map(|(width, seed, cuts, keep)| Way {
            width,
            seed,
            cuts,
            keep,
        })
}

fn options(way: &Way) -> Options {
    Options {
        width: way.width,
        retry: Backoff {
            base: Duration::from_millis(20),
            cap: Duration::from_millis(100),
            attempts: 6,
        },
        seed: way.seed,
        ..Options::default()
    }
}

fn script(seed: u64) -> Script {
    Script {
        seed,
        trouble: 40,
        slow: 20,
        ..Script::default()
    }
}

/// Runs a future on a clock that jumps to whatever is waited for.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs no more than memory")
        .block_on(future)
}

/// Executes against the cloud, cut down as often as the way says, then undisturbed.
async fn execute(fake: &Fake, way: &Way) -> Report {
    let mut run = Run::new(fake.graph().clone());
    for cut in &way.cuts {
        fake.begin();
        let cut = Duration::from_millis(*cut);
        let undisturbed = apply(&mut run, fake, options(way), pending(), &|_| {});
        // Whether it was cut or had ended: the next one must cope.
        drop(timeout(cut, undisturbed).await);
        run = if way.keep {
            through_json(&run)
        } else {
            Run::new(fake.graph().clone())
        };
    }
    fake.begin();
    apply(&mut run, fake, options(way), pending(), &|_| {}).await
}

/// Executes until the time is up, by the caller's wish or by the deadline.
async fn interrupt(fake: &Fake, way: &Way, after: Duration, by_deadline: bool) -> Report {
    fake.begin();
    let mut run = Run::new(fake.graph().clone());
    if by_deadline {
        let options = Options {
            deadline: after,
            ..options(way)
        };
        apply(&mut run, fake, options, pending(), &|_| {}).await
    } else {
        apply(&mut run, fake, options(way), sleep(after), &|_| {}).await
    }
}

fn through_json(run: &Run) -> Run {
    let text = serde_json::to_string(run).expect("a run can be written");
    serde_json::from_str(&text).expect("what was written can be read")
}

/// What an undisturbed run, step by step, leaves in a cloud that behaves.
fn expected(graph: &ExecutionGraph) -> Inventory {
    let fake = Fake::new(graph.clone(), Script::default());
    let way = Way {
        width: 1,
        seed: 0,
        cuts: vec![],
        keep: false,
    };
    let report = block_on(execute(&fake, &way));
    assert_eq!(report.end, End::Completed);
    fake.inventory()
}

/// Chooses steps of a graph.
fn choose(graph: &ExecutionGraph, choices: &[Index]) -> BTreeSet<StepId> {
    let steps: Vec<StepId> = graph.steps().map(|(step, _)| step).collect();
    choices.iter().map(|choice| *choice.get(&steps)).collect()
}

fn no_offences(fake: &Fake, way: &Way) -> Result<(), TestCaseError> {
    let world = fake.world();
    prop_assert_eq!(&world.offences, &Vec::<String>::new());
    prop_assert!(world.widest <= way.width, "{} calls at once", world.widest);
    Ok(())
}

proptest! {
    // 256 cases each; PROPTEST_CASES=20000 for a long night.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cut_and_troubled_runs_end_like_an_undisturbed_one(
        graph in any_graph(), way in any_way(), seed in any::<u64>(),
    ) {
        let fake = Fake::new(graph.clone(), script(seed));
        let report = block_on(execute(&fake, &way));
        prop_assert_eq!(&report.end, &End::Completed);
        prop_assert_eq!(fake.inventory(), expected(&graph));
        prop_assert_eq!(report.outputs.len(), graph.len());
        prop_assert_eq!((report.left, report.unsettled), (vec![], vec![]));
        prop_assert!(fake.world().effects.values().all(|times| *times == 1));
        no_offences(&fake, &way)?;
    }

    #[test]
    fn a_run_is_the_fold_of_its_events(
        graph in any_graph(), way in any_way(), refused in proptest::option::of(any::<Index>()),
    ) {
        let refused = choose(&graph, refused.as_slice());
        let refused = refused.into_iter().map(|step| (step, true)).collect();
        let fake = Fake::new(graph.clone(), Script { refused, ..script(way.seed) });
        let written = Mutex::new(Vec::new());
        let mut run = Run::new(graph.clone());
        block_on(apply(&mut run, &fake, options(&way), pending(), &|event| {
            let text = serde_json::to_string(event).expect("an event can be written");
            written.lock().expect("no writer panics").push(text);
        }));
        let mut again = Run::new(graph);
        for text in written.into_inner().expect("no writer panics") {
            again.apply(serde_json::from_str(&text).expect("what was written can be read"));
        }
        prop_assert_eq!(&again, &run);
        prop_assert_eq!(through_json(&run), run);
    }

    #[test]
    fn executing_twice_changes_nothing(graph in any_graph(), way in any_way()) {
        let fake = Fake::new(graph.clone(), script(way.seed));
        block_on(execute(&fake, &way));
        let again = block_on(execute(&fake, &Way { cuts: vec![], ..way.clone() }));
        prop_assert_eq!(&again.end, &End::Completed);
        prop_assert_eq!(fake.inventory(), expected(&graph));
        prop_assert!(again.attempts.values().all(|performed| *performed == 0));
        no_offences(&fake, &way)?;
    }

    #[test]
    fn a_refusal_leaves_nothing(
        graph in any_graph(), way in any_way(), seed in any::<u64>(),
        refused in proptest::collection::vec((any::<Index>(), any::<bool>()), 1..3),
    ) {
        let refused = refused.iter().flat_map(|(choice, broken)| {
            let broken = *broken;
            choose(&graph, &[*choice]).into_iter().map(move |step| (step, broken))
        });
        let refused = Script { refused: refused.collect(), ..script(seed) };
        let fake = Fake::new(graph, refused);
        let report = block_on(execute(&fake, &way));
        prop_assert!(
            matches!(&report.end, End::Refused { step, failure }
                if fake.script.refused.contains_key(step) && failure.message == "never"),
            "{:?}", report.end
        );
        prop_assert_eq!(fake.inventory(), Inventory::new());
        prop_assert_eq!((report.left, report.unsettled), (vec![], vec![]));
        prop_assert!(report.outputs.is_empty(), "{:?}", report.outputs);
        no_offences(&fake, &way)?;
    }

    #[test]
    fn what_cannot_be_undone_is_named(
        graph in any_graph(), way in any_way(), seed in any::<u64>(),
        refused in any::<Index>(), stuck in proptest::collection::vec(any::<Index>(), 1..4),
    ) {
        let refused = choose(&graph, &[refused]).into_iter().map(|step| (step, true)).collect();
        let stuck = choose(&graph, &stuck);
        let fake = Fake::new(graph, Script { refused, stuck, ..script(seed) });
        let report = block_on(execute(&fake, &way));
        let left: BTreeSet<StepId> = report.left.iter().map(|left| left.step).collect();
        prop_assert_eq!(&left, &fake.created());
        for left in &report.left {
            let code = left.failure.as_ref().map(|failure| failure.code.as_str());
            // Refused itself, or kept beneath one that was: never for want of time.
            prop_assert!(matches!(code, Some("PERMISSION_DENIED" | "FAILED_PRECONDITION")));
        }
        match &report.end {
            End::Refused { .. } => prop_assert!(left.is_empty()),
            End::UndoFailed { .. } => prop_assert!(!left.is_empty()),
            other => prop_assert!(false, "{other:?}"),
        }
        no_offences(&fake, &way)?;
    }

    #[test]
    fn a_conflict_takes_back_what_was_made_and_keeps_what_was_found(
        graph in any_graph(), way in any_way(), seed in any::<u64>(),
        taken in proptest::collection::vec(any::<Index>(), 1..3),
    ) {
        let mut fake = Fake::new(graph.clone(), script(seed));
        // An earlier run is cut; then a stranger comes, where that run had not yet been.
        block_on(async {
            for cut in &way.cuts {
                fake.begin();
                let mut run = Run::new(graph.clone());
                let cut = Duration::from_millis(*cut);
                let earlier = apply(&mut run, &fake, options(&way), pending(), &|_| {});
                drop(timeout(cut, earlier).await);
            }
        });
        let absent: Vec<StepId> =
            graph.steps().map(|(step, _)| step).filter(|step| !fake.has(*step)).collect();
        if absent.is_empty() {
            return Ok(());
        }
        let taken = taken.iter().map(|choice| *choice.get(&absent)).collect();
        let before = fake.created();
        fake.script.taken = taken;
        let report = block_on(execute(&fake, &Way { cuts: vec![], ..way.clone() }));
        prop_assert!(
            matches!(&report.end, End::Refused { step, failure }
                if fake.script.taken.contains(step) && failure.code == "ALREADY_EXISTS"),
            "{:?}", report.end
        );
        prop_assert_eq!(fake.created(), before);
        no_offences(&fake, &way)?;
    }

    #[test]
    fn an_interrupted_run_says_what_exists_and_the_next_completes_it(
        graph in any_graph(), way in any_way(), seed in any::<u64>(),
        after in 0_u64..300, by_deadline in any::<bool>(),
    ) {
        let fake = Fake::new(graph.clone(), script(seed));
        let after = Duration::from_millis(after);
        let report = block_on(interrupt(&fake, &way, after, by_deadline));
        let why = if by_deadline { Interruption::Deadline } else { Interruption::Cancelled };
        if report.end != End::Completed {
            prop_assert_eq!(&report.end, &End::Interrupted { why });
            for (step, operation) in graph.steps() {
                let known = report.outputs.contains_key(&step);
                if fake.has(step) {
                    prop_assert!(known || report.unsettled.contains(&step), "{step} is not named");
                } else {
                    prop_assert!(!known, "{step} is not there");
                }
                let left = report.left.iter().any(|left| left.step == step);
                prop_assert_eq!(left, known && operation.creates());
            }
        }
        let report = block_on(execute(&fake, &way));
        prop_assert_eq!(&report.end, &End::Completed);
        prop_assert_eq!(fake.inventory(), expected(&graph));
        no_offences(&fake, &way)?;
    }

    #[test]
    fn interrupted_on_the_way_back_it_says_what_exists_and_the_next_removes_it(
        graph in any_graph(), way in any_way(), seed in any::<u64>(),
        after in 0_u64..600, refused in any::<Index>(),
    ) {
        let refused = choose(&graph, &[refused]).into_iter().map(|step| (step, true)).collect();
        let fake = Fake::new(graph, Script { refused, ..script(seed) });
        let report = block_on(interrupt(&fake, &way, Duration::from_millis(after), false));
        let left: BTreeSet<StepId> = report.left.iter().map(|left| left.step).collect();
        for step in fake.created() {
            let named = left.contains(&step) || report.unsettled.contains(&step);
            prop_assert!(named, "{step} is there, but {report:?}");
        }
        if matches!(report.end, End::UndoFailed { .. }) {
            prop_assert!(!left.is_empty() || !report.unsettled.is_empty());
        }
        let report = block_on(execute(&fake, &way));
        prop_assert!(matches!(report.end, End::Refused { .. }), "{:?}", report.end);
        prop_assert_eq!(fake.inventory(), Inventory::new());
        no_offences(&fake, &way)?;
    }
}
