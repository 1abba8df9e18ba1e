//! Doing what a run asks for: in parallel, with pauses, within a time, until it ends.
//!
//! The executor decides nothing about steps: it takes the tasks that [`Run::ready`] lists, keeps
//! at most `width` steps under way, and hands each answer back as an [`Event`]. Only time is
//! its own: pauses, the deadline, cancellation, and when a step has been set back too often.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use openmodel_graph::graph::StepId;
use tokio::time::{Instant, sleep, sleep_until};

use crate::backoff::{Backoff, Jitter};
use crate::cloud::{Call, Cloud};
use crate::event::Event;
use crate::report::{Interruption, Report};
use crate::run::Run;
use crate::state::{Action, Task};

/// How a run is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many steps may be under way at once; 0 counts as 1.
    pub width: usize,
    /// Time for the way forward, from now. When it is up the run is interrupted.
    pub deadline: Duration,
    /// Time for the way back, from the moment when it begins, so that a refusal late in the run
    /// does not leave behind what a little more time would have removed.
    pub unwind_deadline: Duration,
    /// When a step is tried again, and when it is given up.
    pub retry: Backoff,
    /// Where the jitter of the pauses starts.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            width: 8,
            deadline: Duration::from_mins(30),
            unwind_deadline: Duration::from_mins(10),
            retry: Backoff::default(),
            seed: 0,
        }
    }
}

/// Executes a run to its end: completed, refused and unwound, or interrupted.
///
/// - `cancel`: when this future completes, the run is interrupted: calls under way are dropped,
///   nothing is unwound. A caller without cancellation passes [`std::future::pending`].
/// - `on_event` hears of each event before it is taken in, for a progress log.
///
/// The future may be dropped at any await. `run` is then what it was at the last event; it, or
/// a new run of the same graph, continues against the cloud as it is.
pub async fn apply<C: Cloud>(
    run: &mut Run,
    cloud: &C,
    options: Options,
    cancel: impl Future<Output = ()> + Send,
    on_event: &(dyn Fn(&Event) + Sync),
) -> Report {
    let mut cancel = pin!(cancel);
    let mut jitter = Jitter::new(options.seed);
    let mut deadline = Instant::now() + options.deadline;
    let mut unwinding = false;
    let mut calls = FuturesUnordered::new();
    let mut busy = BTreeSet::new();

    let take_in = |run: &mut Run, event: Event| {
        on_event(&event);
        run.apply(event);
    };
    take_in(run, Event::Resumed);
    loop {
        if let Some(end) = run.end() {
            return Report::new(run, end);
        }
        if run.is_unwinding() && !unwinding {
            unwinding = true;
            deadline = Instant::now() + options.unwind_deadline;
        }
        while let Some((task, call)) = next(run, &busy, options.width) {
            let step = task.step;
            match &task.action {
                Action::Undo(_) if task.fresh => take_in(run, Event::UndoStarted(step)),
                _ if task.fresh => take_in(run, Event::Started(step)),
                _ => {}
            }
            let pause = match &task.setback {
                None => Duration::ZERO,
                Some((setbacks, _)) if *setbacks >= options.retry.attempts => {
                    take_in(run, Event::GivenUp(step));
                    continue;
                }
                Some((setbacks, failure)) => {
                    let pause = options
                        .retry
                        .pause(*setbacks, failure.retry_after, &mut jitter);
                    take_in(run, Event::Paused { step, pause });
                    pause
                }
            };
            busy.insert(step);
            calls.push(act(cloud, call, task.action, pause, deadline));
        }
        let event = tokio::select! {
            biased;
            () = &mut cancel => Event::Stopped(Interruption::Cancelled),
            () = sleep_until(deadline) => Event::Stopped(Interruption::Deadline),
            Some(event) = calls.next(), if !calls.is_empty() => event,
        };
        if let Some(step) = event.step() {
            busy.remove(&step);
        }
        take_in(run, event);
    }
}

/// The next task that is not being done, if there is room for it.
fn next(run: &Run, busy: &BTreeSet<StepId>, width: usize) -> Option<(Task, Call)> {
    if busy.len() >= width.max(1) {
        return None;
    }
    let task = run
        .ready()
        .into_iter()
        .find(|task| !busy.contains(&task.step))?;
    let call = run.call(task.step)?;
    Some((task, call))
}

async fn act<C: Cloud>(
    cloud: &C,
    call: Call,
    action: Action,
    pause: Duration,
    deadline: Instant,
) -> Event {
    let step = call.step;
    if !pause.is_zero() {
        sleep(pause).await;
    }
    match action {
        Action::Look => match cloud.observe(&call, deadline).await {
            Ok(seen) => Event::Looked { step, seen },
            Err(failure) => Event::Blind { step, failure },
        },
        Action::Perform => Event::Answered {
            step,
            outcome: cloud.perform(&call, deadline).await,
        },
        Action::Undo(output) => Event::UndoAnswered {
            step,
            outcome: cloud.undo(&call, &output, deadline).await,
        },
    }
}
