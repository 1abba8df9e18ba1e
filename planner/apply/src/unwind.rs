//! The way back: which objects a refused run takes away again, and in which order.
//!
//! ```text
//!  s0 CreateSecret ◄── s1 AddSecretVersion ◄── s3 CreateService ◄── s4 SetInvokers (refused)
//!     undone second       gone with s0            undone first
//! ```
//!
//! - Gone must be what this run made. In a graph that only creates, what an earlier,
//!   interrupted run of it left must go too, so every step not yet looked at is looked at first.
//! - If something that is not ours stood in the way, what was only *found* stays: it may belong
//!   to the same stranger, a finished endpoint of that name.
//! - Nothing is pulled away beneath something that stays.

use std::collections::BTreeMap;

use openmodel_graph::graph::StepId;
use openmodel_graph::operation::{Input, Operation};

use crate::cloud::{Failure, Outcome, Output};
use crate::report::{Interruption, Left};
use crate::run::Run;
use crate::state::{Cause, Phase, Setback, StepState, Try};

/// What stands on a step, in the way of undoing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Above {
    /// Nothing any more.
    Nothing,
    /// Something that is still to be undone.
    Leaving,
    /// Something that stays.
    Staying(StepId),
}

impl Run {
    /// Whether what was found, not made, belongs to this run.
    pub(crate) fn owns_what_it_found(&self) -> bool {
        let conflict = |state| {
            matches!(
                state,
                &StepState::Failed {
                    cause: Cause::Conflict,
                    ..
                }
            )
        };
        self.graph().is_creation() && !self.steps.iter().any(conflict)
    }

    /// Objects of this graph that exist, and that the run made or owns.
    pub(crate) fn left(&self) -> Vec<Left> {
        let left = |step| match self.at(step) {
            StepState::Left { output, failure } => Some(Left {
                step,
                output: output.clone(),
                failure: Some(failure.clone()),
            }),
            StepState::Running(Try {
                remains: Some(output),
                ..
            })
            | StepState::Undoing { output, .. } => Some(Left {
                step,
                output: output.clone(),
                failure: None,
            }),
            StepState::Failed {
                remains: Some(output),
                cause: Cause::Unanswered,
                ..
            } if self.is(step, Operation::creates) => Some(Left {
                step,
                output: output.clone(),
                failure: None,
            }),
            _ => self.claim(step).map(|output| Left {
                step,
                output,
                failure: None,
            }),
        };
        self.ids().filter_map(left).collect()
    }

    /// The steps that can be undone now, each with what is to go.
    pub(crate) fn undoable(&self) -> Vec<(StepId, Output)> {
        if !self.looks_are_over() {
            return vec![];
        }
        let free = self
            .above()
            .into_iter()
            .filter(|(_, above)| *above == Above::Nothing);
        free.filter_map(|(step, _)| Some((step, self.claim(step)?)))
            .collect()
    }

    pub(crate) fn begin_unwinding(&mut self, refused: Setback) {
        self.phase = Phase::Unwinding(refused);
        for step in self.ids().collect::<Vec<_>>() {
            // Whatever could not be seen on the way forward deserves another look.
            if matches!(
                self.at(step),
                StepState::Failed {
                    cause: Cause::Unanswered,
                    ..
                }
            ) {
                self.set(step, StepState::Running(Try::look(true)));
            }
        }
    }

    pub(crate) fn advance_unwinding(&mut self) {
        if self.owns_what_it_found() {
            self.wake();
        }
        for step in self.graph().order().to_vec() {
            if self.is_gone_with_others(step) {
                self.set(step, StepState::Undone);
            }
        }
        if self.looks_are_over() {
            for (step, above) in self.above() {
                if let (Above::Staying(user), Some(output)) = (above, self.claim(step)) {
                    let name = self.graph().operation(user).map_or("", Operation::name);
                    let failure = Failure::lasting(
                        "FAILED_PRECONDITION",
                        format!(
                            "{} is kept: {user} ({name}), which uses it, stays",
                            output.id
                        ),
                    );
                    self.set(step, StepState::Left { output, failure });
                }
            }
        }
    }

    pub(crate) fn start_undo(&mut self, step: StepId) {
        if let Some((_, output)) = self.undoable().into_iter().find(|(id, _)| *id == step) {
            self.set(
                step,
                StepState::Undoing {
                    output,
                    setbacks: 0,
                    setback: None,
                },
            );
        }
    }

    pub(crate) fn undo_answered(&mut self, step: StepId, outcome: Outcome) {
        let Some(StepState::Undoing {
            output, setbacks, ..
        }) = self.state(step).cloned()
        else {
            return;
        };
        let next = match outcome {
            Outcome::Done(_) => StepState::Undone,
            Outcome::Refused(failure) if !failure.transient => StepState::Left { output, failure },
            Outcome::Refused(failure) | Outcome::Unknown(failure) => StepState::Undoing {
                output,
                setbacks: setbacks + 1,
                setback: Some(failure),
            },
        };
        self.set(step, next);
    }

    /// Names what a stopped unwinding leaves behind.
    pub(crate) fn stop_unwinding(&mut self, why: &Interruption) {
        if !matches!(self.phase, Phase::Settling(_) | Phase::Unwinding(_)) {
            return;
        }
        for step in self.ids().collect::<Vec<_>>() {
            let output = match self.at(step) {
                StepState::Undoing { output, .. } => Some(output.clone()),
                _ => self.claim(step),
            };
            if let Some(output) = output {
                self.set(
                    step,
                    StepState::Left {
                        output,
                        failure: why.into(),
                    },
                );
            }
        }
    }

    /// Whether everything has been looked at that must be before the first step is undone.
    fn looks_are_over(&self) -> bool {
        let ready = || self.steps.contains(&StepState::Ready);
        matches!(self.phase, Phase::Unwinding(_))
            && !self.any_running()
            && !(self.owns_what_it_found() && ready())
    }

    /// What a step made that unwinding must take away.
    fn claim(&self, step: StepId) -> Option<Output> {
        let (StepState::Done(output)
        | StepState::Failed {
            remains: Some(output),
            cause: Cause::Refused,
            ..
        }) = self.at(step)
        else {
            return None;
        };
        let ours = self.performed(step) > 0 || self.owns_what_it_found();
        (ours && self.is(step, Operation::creates)).then(|| output.clone())
    }

    /// What stands on each step, backwards through the graph.
    fn above(&self) -> Vec<(StepId, Above)> {
        let mut found = vec![Above::Nothing; self.graph().len()];
        let mut above = Vec::with_capacity(found.len());
        let order = self.graph().order();
        let place: BTreeMap<StepId, usize> = order
            .iter()
            .enumerate()
            .map(|(place, &step)| (step, place))
            .collect();
        for (here, &step) in order.iter().enumerate().rev() {
            let dependents = self.graph().dependents(step);
            let highest = dependents
                .iter()
                .filter_map(|dependent| place.get(dependent))
                .map(|&place| found[place])
                .max()
                .unwrap_or(Above::Nothing);
            found[here] = highest.max(self.stands(step, highest));
            above.push((step, highest));
        }
        above
    }

    /// What a step itself is in the way of those it stands on.
    fn stands(&self, step: StepId, above: Above) -> Above {
        match self.at(step) {
            StepState::Undoing { .. } => Above::Leaving,
            StepState::Left { .. }
            | StepState::Failed {
                cause: Cause::Unanswered,
                ..
            } => Above::Staying(step),
            _ if self.claim(step).is_some() => match above {
                Above::Staying(_) => Above::Staying(step),
                Above::Nothing | Above::Leaving => Above::Leaving,
            },
            // An object that stays: found and kept, or changed in a way that is not undone.
            StepState::Done(_)
            | StepState::Failed {
                remains: Some(_), ..
            } if self.is(step, Operation::creates) || self.is(step, Operation::presupposes) => {
                Above::Staying(step)
            }
            _ => Above::Nothing,
        }
    }

    /// Whether a step's effect has gone with that of another: it was made on an object that is
    /// undone, or never, because something that it needs is not there.
    fn is_gone_with_others(&self, step: StepId) -> bool {
        let undone = |step: StepId| self.at(step) == &StepState::Undone;
        match self.at(step) {
            StepState::Waiting => {
                let never = |step: StepId| {
                    let refused = [Cause::Refused, Cause::Conflict];
                    undone(step)
                        || matches!(self.at(step), StepState::Failed { cause, .. } if refused.contains(cause))
                };
                self.owns_what_it_found() && self.graph().dependencies(step).into_iter().any(never)
            }
            StepState::Done(_) => {
                let operation = self.graph().operation(step);
                let part = operation.filter(|it| !it.creates() && !it.presupposes());
                let sources = part.into_iter().flat_map(Operation::inputs);
                sources.filter_map(Input::source).any(undone)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Seen;
    use crate::event::Event;
    use crate::report::End;
    use crate::scene::{S0, S1, S2, lasting, output, passing, secrets_and_a_grant};
    use crate::state::Action;

    /// Two secrets and a grant on the first; the first is made, the second under way with an
    /// answer lost, the grant refused. Then a look at the second fails for good.
    fn unsettled_and_refused() -> Run {
        let mut run = secrets_and_a_grant(2);
        run.make(S0);
        run.perform(S1);
        run.refuse(S2);
        run.answer(S1, Outcome::Unknown(passing()));
        run.apply(Event::Blind {
            step: S1,
            failure: lasting(),
        });
        run
    }

    #[test]
    fn what_could_not_be_seen_is_looked_at_again_before_anything_is_undone() {
        let mut run = unsettled_and_refused();
        assert_eq!(run.can(), [(S1, Action::Look)]);
        run.look(S1, Seen::Ours(output(S1)));
        assert_eq!(
            run.can(),
            [
                (S0, Action::Undo(output(S0))),
                (S1, Action::Undo(output(S1)))
            ]
        );
    }

    #[test]
    fn what_still_cannot_be_seen_is_named() {
        let mut run = unsettled_and_refused();
        run.apply(Event::Blind {
            step: S1,
            failure: lasting(),
        });
        run.apply(Event::UndoStarted(S0));
        run.apply(Event::UndoAnswered {
            step: S0,
            outcome: Outcome::Done(output(S0)),
        });
        assert_eq!(
            run.end(),
            Some(End::UndoFailed {
                step: S2,
                failure: lasting()
            })
        );
        assert_eq!((run.left(), run.unsettled()), (vec![], vec![S1]));
    }

    #[test]
    fn an_earlier_runs_leavings_are_looked_for() {
        let mut run = secrets_and_a_grant(2);
        run.refuse(S1);
        assert_eq!(run.can(), [(S0, Action::Look)]);
        run.apply(Event::Started(S0));
        run.look(S0, Seen::Ours(output(S0)));
        assert_eq!(run.can(), [(S2, Action::Look)]);
        run.apply(Event::Started(S2));
        run.look(S2, Seen::Absent);
        assert_eq!(run.can(), [(S0, Action::Undo(output(S0)))]);
    }

    /// The first of two secrets refuses to go.
    fn stuck(outcome: Outcome) -> Run {
        let mut run = secrets_and_a_grant(2);
        run.make(S0);
        run.make(S2);
        run.refuse(S1);
        run.apply(Event::UndoStarted(S0));
        run.apply(Event::UndoAnswered { step: S0, outcome });
        run
    }

    #[test]
    fn an_undo_refused_for_good_is_not_tried_again() {
        let run = stuck(Outcome::Refused(lasting()));
        assert_eq!(
            run.end(),
            Some(End::UndoFailed {
                step: S1,
                failure: lasting()
            })
        );
        assert_eq!(
            run.left(),
            [Left {
                step: S0,
                output: output(S0),
                failure: Some(lasting())
            }]
        );
        assert_eq!(
            run.outputs().into_keys().collect::<Vec<_>>(),
            [S2],
            "the grant is still there"
        );
    }

    #[test]
    fn an_undo_without_an_answer_is_tried_again_until_given_up() {
        let mut run = stuck(Outcome::Unknown(passing()));
        let [task] = run.ready().try_into().expect("one task");
        assert_eq!(
            (task.action, task.setback),
            (Action::Undo(output(S0)), Some((1, passing())))
        );
        run.apply(Event::GivenUp(S0));
        assert_eq!(
            run.is_at(S0),
            &StepState::Left {
                output: output(S0),
                failure: passing()
            }
        );
    }

    #[test]
    fn what_was_made_on_an_object_goes_with_it() {
        let run = stuck(Outcome::Done(output(S0)));
        assert_eq!(
            run.end(),
            Some(End::Refused {
                step: S1,
                failure: lasting()
            })
        );
        assert_eq!(run.is_at(S2), &StepState::Undone);
        assert!(run.outputs().is_empty());
    }

    #[test]
    fn a_step_can_be_called_after_the_one_it_stands_on_is_given_up() {
        let mut run = secrets_and_a_grant(1);
        run.make(S0);
        run.set(
            S0,
            StepState::Left {
                output: output(S0),
                failure: lasting(),
            },
        );
        let call = run
            .call(S1)
            .expect("what is left is still there, and its name known");
        assert_eq!(call.operation.inputs(), [&Input::Known(output(S0).id)]);
    }
}
