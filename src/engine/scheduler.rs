//! Who runs next.
//!
//! [`admit`] names the waiting job that gets the next slot, [`plan`] says which tokens of which sequences the
//! next step feeds; both are pure functions from plain state. A step is one ragged batch: every sequence that
//! generates gets its token, prompts get what is left of the step's tokens, in order of arrival. Interactive
//! work goes before background work, which meanwhile keeps the share that [`Ration`] counts out. A sequence
//! keeps its slot while others run, so one that was overtaken goes on at its very next token.
//!
//! Knows nothing of models, text or time.

mod admission;
mod ration;

use std::{cmp::Reverse, ops::Range};

use crate::job::{JobId, Priority};
pub(crate) use admission::{Applicant, Occupant, Room, admit};
pub(crate) use ration::Ration;

/// The least that the first prompt in line gets of a step, however many sequences generate beside it.
const MIN_CHUNK: usize = 8;

/// What the scheduler sees of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) id: JobId,
    pub(crate) priority: Priority,
    /// Tokens that its slot holds.
    pub(crate) n_fed: usize,
    /// Tokens that it has: the prompt and what was generated. Once the slot holds them all, the next is drawn
    /// if the job `draws`.
    pub(crate) n_known: usize,
    pub(crate) draws: bool,
    /// Guesses behind the last known token that are worth checking.
    pub(crate) n_drafted: usize,
    /// When it was last fed, counted in steps.
    pub(crate) last_step: u64,
}

/// What the next step may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Tokens of the whole step. Sequences that generate are served beyond it.
    pub(crate) n_tokens: usize,
    /// Tokens that background work gets beside interactive work.
    pub(crate) n_background: usize,
}

/// The spans of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) spans: Vec<PlannedSpan>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedSpan {
    pub(crate) job: JobId,
    pub(crate) priority: Priority,
    /// Positions in the sequence, of known tokens; never empty.
    pub(crate) range: Range<usize>,
    /// So many guesses follow them.
    pub(crate) n_drafted: usize,
    /// Whether the token after the span is drawn.
    pub(crate) sample: bool,
}

impl Candidate {
    /// Known tokens that the slot does not hold yet.
    fn n_left(&self) -> usize {
        self.n_known - self.n_fed
    }

    /// Whether it is one token from its next draw, as all that generate are.
    fn generates(&self) -> bool {
        self.n_left() == 1
    }

    fn span(&self, n_tokens: usize, n_drafted: usize) -> PlannedSpan {
        let end = self.n_fed + n_tokens.min(self.n_left());
        PlannedSpan {
            job: self.id,
            priority: self.priority,
            range: self.n_fed..end,
            n_drafted,
            sample: self.draws && end == self.n_known,
        }
    }
}

impl PlannedSpan {
    /// Rows of the batch.
    pub(crate) fn n_tokens(&self) -> usize {
        self.range.len() + self.n_drafted
    }
}

impl Plan {
    pub(crate) fn n_tokens(&self) -> usize {
        self.spans.iter().map(PlannedSpan::n_tokens).sum()
    }

    pub(crate) fn n_tokens_of(&self, priority: Priority) -> usize {
        self.spans.iter().filter(|it| it.priority == priority).map(PlannedSpan::n_tokens).sum()
    }
}

/// The next step. Empty when there is nothing to feed.
pub(crate) fn plan(candidates: &[Candidate], budget: Budget) -> Plan {
    let of = |priority| candidates.iter().filter(move |it| it.priority == priority && it.n_left() > 0);
    let mut plan = Plan::default();
    if of(Priority::Interactive).next().is_none() {
        serve(&mut plan, of(Priority::Background), budget.n_tokens);
    } else {
        serve(&mut plan, of(Priority::Interactive), budget.n_tokens);
        // What was saved up comes bit by bit: a step stays short for whoever is first.
        let n_at_once = (plan.n_tokens() / Ration::N_INTERACTIVE_PER_TOKEN).max(MIN_CHUNK);
        ration(&mut plan, of(Priority::Background), budget.n_background.min(n_at_once));
    }
    plan
}

/// A token for each that generates, guesses as far as they fit, and the rest for prompts.
fn serve<'a>(plan: &mut Plan, candidates: impl Iterator<Item = &'a Candidate>, n_tokens: usize) {
    let mut candidates: Vec<&Candidate> = candidates.collect();
    candidates.sort_by_key(|it| it.id);
    let (generating, prompts): (Vec<&Candidate>, Vec<&Candidate>) =
        candidates.into_iter().partition(|it| it.generates());
    let mut n_left = n_tokens.saturating_sub(generating.len());
    for it in generating {
        let n_drafted = if it.draws { it.n_drafted.min(n_left) } else { 0 };
        n_left -= n_drafted;
        plan.spans.push(it.span(1, n_drafted));
    }
    let mut n_left = n_left.max(MIN_CHUNK.min(n_tokens).max(1));
    for it in prompts {
        if n_left == 0 {
            break;
        }
        let span = it.span(n_left, 0);
        n_left -= span.range.len();
        plan.spans.push(span);
    }
}

/// Exactly so many tokens, for those first that were not served for longest.
fn ration<'a>(plan: &mut Plan, candidates: impl Iterator<Item = &'a Candidate>, mut n_tokens: usize) {
    let mut candidates: Vec<&Candidate> = candidates.collect();
    candidates.sort_by_key(|it| (it.last_step, Reverse(it.generates()), it.id));
    for it in candidates {
        if n_tokens == 0 {
            break;
        }
        let span = it.span(n_tokens, 0);
        n_tokens -= span.range.len();
        plan.spans.push(span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Background, Interactive};

    const fn running(id: u64, priority: Priority, n_fed: usize, n_known: usize) -> Candidate {
        Candidate { id: JobId(id), priority, n_fed, n_known, draws: true, n_drafted: 0, last_step: 0 }
    }

    fn drafting(n_drafted: usize, it: Candidate) -> Candidate {
        Candidate { n_drafted, ..it }
    }

    /// Each span as job, start, end, guesses and whether it draws.
    type Row = (u64, usize, usize, usize, bool);

    fn check(candidates: &[Candidate], n_tokens: usize, n_background: usize, expected: &[Row]) {
        let got: Vec<Row> = plan(candidates, Budget { n_tokens, n_background })
            .spans
            .iter()
            .map(|it| (it.job.0, it.range.start, it.range.end, it.n_drafted, it.sample))
            .collect();
        assert_eq!(got, expected, "{candidates:?} with {n_tokens} and {n_background} tokens");
    }

    #[test]
    fn a_prompt_is_fed_by_chunks_and_draws_only_after_the_last() {
        check(&[], 16, 0, &[]);
        check(&[running(1, Background, 0, 40)], 16, 0, &[(1, 0, 16, 0, false)]);
        check(&[running(1, Background, 16, 40)], 16, 0, &[(1, 16, 32, 0, false)]);
        check(&[running(1, Background, 32, 40)], 16, 0, &[(1, 32, 40, 0, true)]);
        // The chunk that just reaches the end draws.
        check(&[running(1, Background, 0, 16)], 16, 0, &[(1, 0, 16, 0, true)]);
        // A chunk of nothing would never end.
        check(&[running(1, Background, 0, 4)], 0, 0, &[(1, 0, 1, 0, false)]);
        // Nothing to feed: prefill only, and done.
        check(&[running(1, Background, 4, 4)], 16, 0, &[]);
    }

    #[test]
    fn all_that_generate_share_a_step_with_the_first_prompts_in_line() {
        let candidates = [
            running(5, Background, 0, 9),
            running(1, Background, 9, 10),
            running(3, Background, 0, 20),
            running(2, Background, 4, 5),
        ];
        check(
            &candidates,
            24,
            0,
            &[(1, 9, 10, 0, true), (2, 4, 5, 0, true), (3, 0, 20, 0, true), (5, 0, 2, 0, false)],
        );
        // However full the step is, a prompt gets on.
        check(&candidates, 2, 0, &[(1, 9, 10, 0, true), (2, 4, 5, 0, true), (3, 0, 2, 0, false)]);
        check(&candidates, 9, 0, &[(1, 9, 10, 0, true), (2, 4, 5, 0, true), (3, 0, 8, 0, false)]);
    }

    #[test]
    fn interactive_goes_first_and_background_gets_its_ration() {
        let candidates = [
            running(1, Background, 9, 10),
            running(2, Background, 0, 30),
            running(3, Interactive, 0, 40),
            running(4, Interactive, 7, 8),
        ];
        check(&candidates, 16, 0, &[(4, 7, 8, 0, true), (3, 0, 15, 0, false)]);
        check(&candidates, 16, 1, &[(4, 7, 8, 0, true), (3, 0, 15, 0, false), (1, 9, 10, 0, true)]);
        check(
            &candidates,
            16,
            6,
            &[(4, 7, 8, 0, true), (3, 0, 15, 0, false), (1, 9, 10, 0, true), (2, 0, 5, 0, false)],
        );
    }

    #[test]
    fn what_background_work_saved_up_comes_bit_by_bit() {
        let reading = running(1, Background, 0, 100);
        check(&[reading, running(2, Interactive, 7, 8)], 16, 30, &[(2, 7, 8, 0, true), (1, 0, 8, 0, false)]);
        let prompt = running(2, Interactive, 0, 300);
        check(&[reading, prompt], 210, 40, &[(2, 0, 210, 0, false), (1, 0, 30, 0, false)]);
    }

    #[test]
    fn a_ration_goes_round_among_those_that_get_it() {
        let served = Candidate { last_step: 7, ..running(1, Background, 9, 10) };
        let waited = Candidate { last_step: 3, ..running(2, Background, 9, 10) };
        let interactive = running(3, Interactive, 7, 8);
        check(&[served, waited, interactive], 16, 1, &[(3, 7, 8, 0, true), (2, 9, 10, 0, true)]);
    }

    #[test]
    fn guesses_are_checked_as_far_as_they_fit_and_never_on_a_ration() {
        let drafts = drafting(6, running(1, Background, 9, 10));
        check(&[drafts], 16, 0, &[(1, 9, 10, 6, true)]);
        check(&[drafts], 4, 0, &[(1, 9, 10, 3, true)]);
        check(&[drafts], 1, 0, &[(1, 9, 10, 0, true)]);
        check(&[drafts, running(2, Background, 5, 6)], 5, 0, &[(1, 9, 10, 3, true), (2, 5, 6, 0, true)]);
        check(&[drafts, running(2, Interactive, 5, 6)], 16, 4, &[(2, 5, 6, 0, true), (1, 9, 10, 0, true)]);
    }

    #[test]
    fn prefill_alone_never_draws() {
        let warm = Candidate { draws: false, ..running(1, Background, 0, 4) };
        check(&[warm], 8, 0, &[(1, 0, 4, 0, false)]);
        check(&[Candidate { n_fed: 3, ..warm }], 8, 0, &[(1, 3, 4, 0, false)]);
    }
}
