//! The way forward: what follows from each look and each answer, and when a run turns around.

use std::mem;

use openmodel_graph::graph::StepId;

use crate::cloud::{Failure, Outcome, Seen};
use crate::report::Interruption;
use crate::run::{Run, index};
use crate::state::{Answer, Cause, Move, Phase, Setback, StepState, Try};

impl Run {
    pub(crate) fn start(&mut self, step: StepId) {
        if self.state(step) == Some(&StepState::Ready) && self.begins_steps() {
            self.set(step, StepState::Running(Try::look(self.is_unwinding())));
        }
    }

    pub(crate) fn looked(&mut self, step: StepId, seen: Seen) {
        let Some(mut attempt) = self.take_try(step) else {
            return;
        };
        attempt.blind = None;
        let broken = match seen {
            Seen::Ours(output) => return self.set(step, StepState::Done(output)),
            Seen::Conflict(failure) => {
                let cause = Cause::Conflict;
                return self.set(
                    step,
                    StepState::Failed {
                        failure,
                        cause,
                        remains: None,
                    },
                );
            }
            Seen::Absent => None,
            Seen::Broken(output, failure) => Some((output, failure)),
        };
        let next = match (attempt.last, attempt.answer, broken) {
            (true, Some(Answer { failure, certain }), broken) => StepState::Failed {
                failure,
                cause: if certain {
                    Cause::Refused
                } else {
                    Cause::Unanswered
                },
                remains: broken.map(|(output, _)| output),
            },
            (false, answer, broken) if self.phase == Phase::Forward => {
                self.performs[index(step)] += 1;
                StepState::Running(Try {
                    next: Move::Perform,
                    answer,
                    remains: broken.map(|(output, _)| output),
                    ..attempt
                })
            }
            (_, _, Some((output, failure))) => StepState::Failed {
                failure,
                cause: Cause::Refused,
                remains: Some(output),
            },
            (true, None, None) => StepState::Undone,
            (false, _, None) => StepState::Ready,
        };
        self.set(step, next);
    }

    pub(crate) fn blind(&mut self, step: StepId, failure: Failure) {
        let Some(mut attempt) = self.take_try(step) else {
            return;
        };
        let next = if failure.transient {
            attempt.setbacks += 1;
            attempt.blind = Some(failure);
            StepState::Running(attempt)
        } else {
            // Where nothing was performed, being refused a look is being refused the step.
            let cause = match &attempt.answer {
                None if attempt.last => Cause::Unanswered,
                None => Cause::Refused,
                Some(answer) if answer.certain => Cause::Refused,
                Some(_) => Cause::Unanswered,
            };
            let failure = attempt.answer.map_or(failure, |answer| answer.failure);
            StepState::Failed {
                failure,
                cause,
                remains: attempt.remains,
            }
        };
        self.set(step, next);
    }

    pub(crate) fn answered(&mut self, step: StepId, outcome: Outcome) {
        let Some(mut attempt) = self.take_try(step) else {
            return;
        };
        if attempt.next != Move::Perform {
            return self.set(step, StepState::Running(attempt));
        }
        let (failure, certain) = match outcome {
            Outcome::Done(output) => return self.set(step, StepState::Done(output)),
            Outcome::Refused(failure) => (failure, true),
            Outcome::Unknown(failure) => (failure, false),
        };
        attempt.next = Move::Look;
        if certain && !failure.transient {
            attempt.last = true;
            attempt.setbacks = 0;
        } else {
            attempt.setbacks += 1;
        }
        attempt.answer = Some(Answer { failure, certain });
        self.set(step, StepState::Running(attempt));
    }

    pub(crate) fn given_up(&mut self, step: StepId) {
        if let Some(mut attempt) = self.take_try(step) {
            let next = match attempt.blind.take() {
                None => {
                    attempt.last = true;
                    attempt.setbacks = 0;
                    StepState::Running(attempt)
                }
                Some(blind) => StepState::Failed {
                    failure: attempt.answer.map_or(blind, |answer| answer.failure),
                    cause: Cause::Unanswered,
                    remains: attempt.remains,
                },
            };
            self.set(step, next);
        } else if let Some(StepState::Undoing {
            output,
            setback: Some(failure),
            ..
        }) = self.state(step).cloned()
        {
            self.set(step, StepState::Left { output, failure });
        }
    }

    pub(crate) fn stop(&mut self, why: Interruption) {
        if self.end().is_none() {
            self.stop_unwinding(&why);
            self.stopped = Some(why);
        }
    }

    /// Forgets what was under way: the cloud knows better. What is done stays done as long as
    /// all that it stands on does.
    pub(crate) fn resume(&mut self) {
        self.phase = Phase::Forward;
        self.stopped = None;
        for step in self.graph().order().to_vec() {
            if self.at(step) == &StepState::Undone {
                self.performs[index(step)] = 0;
            }
            let stays = matches!(self.at(step), StepState::Done(_)) && self.needs_are_done(step);
            if !stays {
                self.set(step, StepState::Waiting);
            }
        }
    }

    /// Draws the conclusions from what has just been taken in.
    pub(crate) fn advance(&mut self) {
        if self.stopped.is_some() {
            return;
        }
        if self.phase == Phase::Forward {
            self.turn_around();
        }
        if !self.any_running() {
            match self.phase.clone() {
                Phase::Settling(refused) => self.begin_unwinding(refused),
                Phase::Stopping(Setback { step, failure }) => {
                    self.stopped = Some(Interruption::Unanswered { step, failure });
                }
                Phase::Forward | Phase::Unwinding(_) => {}
            }
        }
        match self.phase {
            Phase::Forward => self.wake(),
            Phase::Unwinding(_) => self.advance_unwinding(),
            Phase::Settling(_) | Phase::Stopping(_) => {}
        }
    }

    /// Takes the state out of a step that is under way, to be replaced by what comes next.
    fn take_try(&mut self, step: StepId) -> Option<Try> {
        match self.steps.get_mut(index(step)) {
            Some(state @ StepState::Running(_)) => match mem::replace(state, StepState::Waiting) {
                StepState::Running(attempt) => Some(attempt),
                _ => None,
            },
            _ => None,
        }
    }

    /// Leaves the way forward once a step has failed.
    fn turn_around(&mut self) {
        let failed = self.ids().find_map(|step| match self.at(step) {
            StepState::Failed { failure, cause, .. } => Some((
                Setback {
                    step,
                    failure: failure.clone(),
                },
                *cause,
            )),
            _ => None,
        });
        match failed {
            Some((setback, Cause::Unanswered)) => self.phase = Phase::Stopping(setback),
            Some((setback, Cause::Refused | Cause::Conflict)) => {
                self.phase = Phase::Settling(setback);
            }
            None => {}
        }
    }

    /// Makes ready what waits for nothing any more.
    pub(crate) fn wake(&mut self) {
        for step in self.ids().collect::<Vec<_>>() {
            if self.at(step) == &StepState::Waiting && self.needs_are_done(step) {
                self.set(step, StepState::Ready);
            }
        }
    }

    /// Whether steps that are ready may begin: always forwards; backwards, where they are only
    /// looked at, for what an earlier run left.
    pub(crate) fn begins_steps(&self) -> bool {
        match self.phase {
            Phase::Forward => true,
            Phase::Unwinding(_) => self.owns_what_it_found(),
            Phase::Settling(_) | Phase::Stopping(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::report::End;
    use crate::scene::{S0, S1, S2, lasting, output, passing, secrets_and_a_grant};
    use crate::state::Action;

    #[test]
    fn after_a_refusal_what_is_under_way_ends_and_nothing_new_is_performed() {
        let mut run = secrets_and_a_grant(2);
        run.apply(Event::Started(S1));
        run.refuse(S0);
        assert!(!run.is_unwinding(), "s1 is under way");
        assert_eq!(run.can(), [(S1, Action::Look)]);
        run.look(S1, Seen::Absent);
        assert_eq!(run.performed(S1), 0);
        assert!(run.is_unwinding());
    }

    #[test]
    fn a_refused_step_that_is_there_after_all_is_done() {
        let mut run = secrets_and_a_grant(1);
        run.perform(S0);
        run.answer(
            S0,
            Outcome::Refused(Failure::lasting("ALREADY_EXISTS", "there is one")),
        );
        assert_eq!(run.can(), [(S0, Action::Look)]);
        run.look(S0, Seen::Ours(output(S0)));
        assert_eq!(run.can(), [(S1, Action::Look)]);
    }

    #[test]
    fn being_refused_a_look_is_being_refused_the_step() {
        let mut run = secrets_and_a_grant(1);
        run.apply(Event::Started(S0));
        run.apply(Event::Blind {
            step: S0,
            failure: lasting(),
        });
        assert!(matches!(
            run.is_at(S0),
            StepState::Failed {
                cause: Cause::Refused,
                ..
            }
        ));
    }

    #[test]
    fn being_refused_a_look_after_a_lost_answer_leaves_the_step_unsettled() {
        let mut run = secrets_and_a_grant(1);
        run.perform(S0);
        run.answer(S0, Outcome::Unknown(passing()));
        run.apply(Event::Blind {
            step: S0,
            failure: lasting(),
        });
        let why = Interruption::Unanswered {
            step: S0,
            failure: passing(),
        };
        assert_eq!(run.end(), Some(End::Interrupted { why }));
        assert_eq!(run.unsettled(), [S0]);
    }

    #[test]
    fn a_step_given_up_while_it_could_not_be_seen_is_unsettled() {
        let mut run = secrets_and_a_grant(1);
        run.apply(Event::Started(S0));
        run.apply(Event::Blind {
            step: S0,
            failure: passing(),
        });
        run.apply(Event::GivenUp(S0));
        let why = Interruption::Unanswered {
            step: S0,
            failure: passing(),
        };
        assert_eq!(run.end(), Some(End::Interrupted { why }));
    }

    #[test]
    fn a_step_refused_until_given_up_is_refused() {
        let mut run = secrets_and_a_grant(1);
        run.perform(S0);
        run.answer(S0, Outcome::Refused(passing()));
        run.apply(Event::GivenUp(S0));
        run.look(S0, Seen::Absent);
        assert_eq!(
            run.end(),
            Some(End::Refused {
                step: S0,
                failure: passing()
            })
        );
    }

    #[test]
    fn a_run_taken_up_again_keeps_what_is_done_and_looks_for_the_rest() {
        let mut run = secrets_and_a_grant(2);
        run.make(S0);
        run.perform(S1);
        run.apply(Event::Resumed);
        assert_eq!(run.is_at(S0), &StepState::Done(output(S0)));
        assert_eq!(run.can(), [(S1, Action::Look), (S2, Action::Look)]);
    }
}
