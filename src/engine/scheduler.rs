//! Who runs next.
//!
//! Two pure functions from plain state: [`admit`] names a waiting job that is to get a slot, [`plan`] says
//! which tokens of which sequences the next step feeds. Interactive before background, first come first
//! served within each. A sequence keeps its slot while others run, so one that was overtaken goes on at its
//! very next token.
//!
//! A plan is a ragged batch already; for now it holds one span at most. Knows nothing of models, text or
//! time.

use std::{cmp::Reverse, ops::Range};

use crate::job::{JobId, Priority};

/// What the scheduler sees of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) id: JobId,
    pub(crate) priority: Priority,
    pub(crate) stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Has no slot yet.
    Waiting,
    /// Has a slot that holds `n_fed` of the `n_known` tokens; once it holds them all, the next is drawn if it
    /// `draws`.
    Running { n_fed: usize, n_known: usize, draws: bool },
}

/// The spans of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) spans: Vec<PlannedSpan>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedSpan {
    pub(crate) job: JobId,
    /// Positions in the sequence; never empty.
    pub(crate) range: Range<usize>,
    /// Whether the token after the span is drawn.
    pub(crate) sample: bool,
}

/// The waiting job that must have a slot before the next step can be planned, if there is one.
pub(crate) fn admit(candidates: &[Candidate]) -> Option<JobId> {
    next_up(candidates).filter(|next| next.stage == Stage::Waiting).map(|next| next.id)
}

/// The next step. A span has at most `chunk` tokens. Empty when nothing can run.
pub(crate) fn plan(candidates: &[Candidate], chunk: usize) -> Plan {
    let span = next_up(candidates).and_then(|next| match next.stage {
        Stage::Waiting => None,
        Stage::Running { n_fed, n_known, draws } => {
            let end = n_known.min(n_fed + chunk.max(1));
            (n_fed < end).then_some(PlannedSpan {
                job: next.id,
                range: n_fed..end,
                sample: draws && end == n_known,
            })
        }
    });
    Plan { spans: span.into_iter().collect() }
}

/// Ids count up in order of arrival.
fn next_up(candidates: &[Candidate]) -> Option<&Candidate> {
    candidates.iter().max_by_key(|candidate| (candidate.priority, Reverse(candidate.id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Background, Interactive};

    const fn waiting(id: u64, priority: Priority) -> Candidate {
        Candidate { id: JobId(id), priority, stage: Stage::Waiting }
    }

    const fn running(id: u64, priority: Priority, n_fed: usize, n_known: usize) -> Candidate {
        Candidate { id: JobId(id), priority, stage: Stage::Running { n_fed, n_known, draws: true } }
    }

    #[test]
    fn interactive_goes_before_background_and_the_older_before_the_newer() {
        let table: &[(&[Candidate], Option<u64>)] = &[
            (&[], None),
            (&[waiting(1, Background)], Some(1)),
            (&[waiting(2, Background), waiting(1, Background)], Some(1)),
            (&[waiting(1, Background), waiting(2, Interactive)], Some(2)),
            (&[waiting(1, Background), waiting(3, Interactive), waiting(2, Interactive)], Some(2)),
            // Who runs already needs no slot.
            (&[running(1, Background, 4, 9)], None),
            (&[running(1, Background, 4, 9), waiting(2, Background)], None),
            (&[running(1, Interactive, 4, 9), waiting(2, Interactive)], None),
            (&[running(2, Interactive, 4, 9), waiting(1, Background)], None),
            // Overtaken between two tokens.
            (&[running(1, Background, 4, 9), waiting(2, Interactive)], Some(2)),
        ];
        for (candidates, admitted) in table {
            assert_eq!(admit(candidates), admitted.map(JobId), "{candidates:?}");
        }
    }

    #[test]
    fn a_plan_feeds_the_next_in_line_by_chunks_and_draws_only_after_the_last() {
        let span = |job, range, sample| Some(PlannedSpan { job: JobId(job), range, sample });
        let table: &[(&[Candidate], usize, Option<PlannedSpan>)] = &[
            (&[], 4, None),
            (&[running(1, Background, 0, 9)], 4, span(1, 0..4, false)),
            (&[running(1, Background, 4, 9)], 4, span(1, 4..8, false)),
            (&[running(1, Background, 8, 9)], 4, span(1, 8..9, true)),
            // The chunk that just reaches the end draws.
            (&[running(1, Background, 0, 4)], 4, span(1, 0..4, true)),
            // A chunk of nothing would never end.
            (&[running(1, Background, 0, 4)], 0, span(1, 0..1, false)),
            (&[running(1, Background, 9, 10), running(2, Interactive, 3, 10)], 4, span(2, 3..7, false)),
            // Goes on where it was overtaken.
            (&[running(1, Background, 9, 10), running(3, Background, 3, 10)], 4, span(1, 9..10, true)),
        ];
        for (candidates, chunk, expected) in table {
            let expected = Plan { spans: expected.iter().cloned().collect() };
            assert_eq!(plan(candidates, *chunk), expected, "{candidates:?}");
        }
    }

    #[test]
    fn prefill_alone_never_draws() {
        let stage = Stage::Running { n_fed: 0, n_known: 4, draws: false };
        let plan = plan(&[Candidate { id: JobId(1), priority: Background, stage }], 8);
        assert_eq!(plan.spans, [PlannedSpan { job: JobId(1), range: 0..4, sample: false }]);
    }

    #[test]
    fn nothing_is_planned_for_a_job_without_a_slot() {
        assert_eq!(plan(&[waiting(1, Interactive), running(2, Background, 0, 4)], 8), Plan::default());
    }
}
