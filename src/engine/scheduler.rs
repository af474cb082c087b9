//! Which jobs run next, and what the next step feeds.
//!
//! [`admit`] chooses the waiting job that gets the next slot, [`plan`] the tokens of each sequence that the next step
//! feeds. Both are pure functions from plain state, and return indices into the lists they were given. A step is one
//! ragged batch: every sequence that generates gets its token, and prompts get the rest of the step's tokens, in order
//! of arrival, but each client's first prompt before any client's second. Interactive work goes before background work, which in the meantime gets the share that [`BackgroundShare`]
//! computes. A sequence keeps its slot while others run, so after being overtaken it continues with its very next
//! token.
//!
//! It knows nothing about models, text or time.

mod admission;
mod background;

use std::{cmp::Reverse, ops::Range};

use crate::job::{ClientId, JobId, Priority};
pub(crate) use admission::{AdmissionLimits, SlotRequest, SlotUse, admit};
pub(crate) use background::BackgroundShare;

/// The fewest tokens of a step that the first prompt in line gets, however many sequences generate.
const MIN_CHUNK: usize = 8;

/// The facts about a sequence that the scheduler uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Older jobs have smaller ids and go first.
    pub(crate) id: JobId,
    pub(crate) client: ClientId,
    pub(crate) priority: Priority,
    /// The number of tokens that its slot holds.
    pub(crate) n_fed: usize,
    /// The number of tokens that it can be fed: the prompt and what was generated.
    pub(crate) n_known: usize,
    /// Whether the next token is drawn once the slot holds all known ones.
    pub(crate) draws: bool,
    /// The number of drafts after the last known token that are worth checking.
    pub(crate) n_drafted: usize,
    /// The next place at which a span must end, so that a checkpoint is made there.
    pub(crate) border: Option<usize>,
    /// If a span ends here or later, a checkpoint is made at its end.
    pub(crate) checkpoint_from: usize,
    /// The number of the last step that fed it.
    pub(crate) last_step: u64,
    /// Whether it took part in a failed step together with others, and so may be the cause. It then runs alone until it
    /// has drawn a token, so that if another step fails, it is the cause.
    pub(crate) is_suspect: bool,
}

/// How many tokens the next step may feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// For all together. Sequences that generate get a token each even beyond this number.
    pub(crate) n_tokens: usize,
    /// For background work while there is interactive work.
    pub(crate) n_background: usize,
}

/// The spans of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) spans: Vec<PlannedSpan>,
}

/// The span of one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedSpan {
    /// The sequence's index among the candidates.
    pub(crate) idx: usize,
    pub(crate) priority: Priority,
    /// The known tokens to feed, as positions in the sequence; never empty.
    pub(crate) range: Range<usize>,
    /// The number of drafts that are fed after them.
    pub(crate) n_drafted: usize,
    /// Whether the token after the span is drawn.
    pub(crate) sample: bool,
    /// Whether a checkpoint is made at its end.
    pub(crate) checkpoint: bool,
}

impl Candidate {
    /// The number of known tokens that the slot does not hold yet.
    fn n_left(&self) -> usize {
        self.n_known - self.n_fed
    }

    /// Whether a single token remains before its next draw, as for all that generate.
    fn generates(&self) -> bool {
        self.n_left() == 1
    }

    /// A span of at most `n_tokens` known tokens; `idx` is the candidate's index.
    fn span(&self, idx: usize, n_tokens: usize, n_drafted: usize) -> PlannedSpan {
        let last = self.border.map_or(self.n_known, |it| it.clamp(self.n_fed + 1, self.n_known));
        let end = last.min(self.n_fed + n_tokens);
        PlannedSpan {
            idx,
            priority: self.priority,
            range: self.n_fed..end,
            n_drafted,
            sample: self.draws && end == self.n_known,
            checkpoint: self.has_checkpoint_at(end),
        }
    }

    fn has_checkpoint_at(&self, end: usize) -> bool {
        self.border == Some(end) || end >= self.checkpoint_from
    }
}

impl PlannedSpan {
    /// The number of tokens fed, including drafts; these are the span's rows in the batch.
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

/// Plans the next step. The plan is empty if there is nothing to feed.
pub(crate) fn plan(candidates: &[Candidate], budget: Budget) -> Plan {
    let suspects = candidates.iter().filter(|it| it.is_suspect);
    let alone = suspects.max_by_key(|it| (it.priority, Reverse(it.id))).map(|it| it.id);
    let may_run = |it: &Candidate| it.n_left() > 0 && alone.is_none_or(|id| it.id == id);
    let of = |priority| {
        let indexed = candidates.iter().enumerate();
        indexed.filter(move |(_, it)| it.priority == priority && may_run(it))
    };
    let mut plan = Plan::default();
    if of(Priority::Interactive).next().is_none() {
        serve(&mut plan, of(Priority::Background), budget.n_tokens);
    } else {
        serve(&mut plan, of(Priority::Interactive), budget.n_tokens);
        // Background work's accumulated share is spread over several steps, so that interactive steps stay short.
        let n_at_once = (plan.n_tokens() / BackgroundShare::N_INTERACTIVE_PER_TOKEN).max(MIN_CHUNK);
        serve_ration(&mut plan, of(Priority::Background), budget.n_background.min(n_at_once));
    }
    plan
}

/// Gives a token and fitting drafts to each sequence that generates, and the rest of `n_tokens` to prompts.
fn serve<'a>(plan: &mut Plan, candidates: impl Iterator<Item = (usize, &'a Candidate)>, n_tokens: usize) {
    let mut candidates: Vec<(usize, &Candidate)> = candidates.collect();
    candidates.sort_by_key(|(_, it)| it.id);
    let (generating, prompts): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|(_, it)| it.generates());
    let mut n_left = n_tokens.saturating_sub(generating.len());
    for (idx, it) in generating {
        // A checkpoint is made after known tokens only.
        let takes_drafts = it.draws && !it.has_checkpoint_at(it.n_known);
        let n_drafted = if takes_drafts { it.n_drafted.min(n_left) } else { 0 };
        n_left -= n_drafted;
        plan.spans.push(it.span(idx, 1, n_drafted));
    }
    let mut n_left = n_left.max(MIN_CHUNK.min(n_tokens).max(1));
    for (idx, it) in by_turns(prompts, |(_, it)| it.client) {
        if n_left == 0 {
            break;
        }
        let span = it.span(idx, n_left, 0);
        n_left -= span.range.len();
        plan.spans.push(span);
    }
}

/// The items in their order, but the first one of each client before the second one of any.
fn by_turns<T>(items: Vec<T>, client: impl Fn(&T) -> ClientId) -> impl Iterator<Item = T> {
    let mut seen: Vec<(ClientId, usize)> = Vec::new();
    let mut with_turns: Vec<(usize, T)> = items
        .into_iter()
        .map(|item| {
            let client = client(&item);
            let n_before = if let Some((_, n)) = seen.iter_mut().find(|it| it.0 == client) {
                *n += 1;
                *n
            } else {
                seen.push((client, 0));
                0
            };
            (n_before, item)
        })
        .collect();
    // Keeps the order of equals.
    with_turns.sort_by_key(|it| it.0);
    with_turns.into_iter().map(|it| it.1)
}

/// Distributes exactly `n_tokens`, first to the sequences that have waited longest.
fn serve_ration<'a>(
    plan: &mut Plan,
    candidates: impl Iterator<Item = (usize, &'a Candidate)>,
    mut n_tokens: usize,
) {
    let mut candidates: Vec<(usize, &Candidate)> = candidates.collect();
    candidates.sort_by_key(|(_, it)| (it.last_step, Reverse(it.generates()), it.id));
    for (idx, it) in candidates {
        if n_tokens == 0 {
            break;
        }
        let span = it.span(idx, n_tokens, 0);
        n_tokens -= span.range.len();
        plan.spans.push(span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Background, Interactive};

    const fn running(id: u64, priority: Priority, n_fed: usize, n_known: usize) -> Candidate {
        Candidate {
            id: JobId(id),
            client: ClientId(0),
            priority,
            n_fed,
            n_known,
            draws: true,
            n_drafted: 0,
            border: None,
            checkpoint_from: usize::MAX,
            last_step: 0,
            is_suspect: false,
        }
    }

    fn drafting(n_drafted: usize, it: Candidate) -> Candidate {
        Candidate { n_drafted, ..it }
    }

    /// Each span as job, start, end, number of drafts, and whether it draws.
    type Row = (u64, usize, usize, usize, bool);

    fn check(candidates: &[Candidate], n_tokens: usize, n_background: usize, expected: &[Row]) {
        let got: Vec<Row> = plan(candidates, Budget { n_tokens, n_background })
            .spans
            .iter()
            .map(|it| (candidates[it.idx].id.0, it.range.start, it.range.end, it.n_drafted, it.sample))
            .collect();
        assert_eq!(got, expected, "{candidates:?} with {n_tokens} and {n_background} tokens");
    }

    #[test]
    fn a_prompt_is_fed_in_chunks_and_draws_only_after_the_last_one() {
        check(&[], 16, 0, &[]);
        check(&[running(1, Background, 0, 40)], 16, 0, &[(1, 0, 16, 0, false)]);
        check(&[running(1, Background, 16, 40)], 16, 0, &[(1, 16, 32, 0, false)]);
        check(&[running(1, Background, 32, 40)], 16, 0, &[(1, 32, 40, 0, true)]);
        // The chunk that just reaches the end draws.
        check(&[running(1, Background, 0, 16)], 16, 0, &[(1, 0, 16, 0, true)]);
        // An empty chunk would never end.
        check(&[running(1, Background, 0, 4)], 0, 0, &[(1, 0, 1, 0, false)]);
        // Prefill only, and done: nothing to feed.
        check(&[running(1, Background, 4, 4)], 16, 0, &[]);
    }

    #[test]
    fn all_sequences_that_generate_share_a_step_with_the_first_prompts_in_line() {
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
        // Even if the step is full, a prompt makes progress.
        check(&candidates, 2, 0, &[(1, 9, 10, 0, true), (2, 4, 5, 0, true), (3, 0, 2, 0, false)]);
        check(&candidates, 9, 0, &[(1, 9, 10, 0, true), (2, 4, 5, 0, true), (3, 0, 8, 0, false)]);
    }

    #[test]
    fn the_first_prompt_of_each_client_goes_before_the_second_of_any() {
        let of = |client, it| Candidate { client: ClientId(client), ..it };
        let candidates = [
            of(1, running(1, Background, 0, 20)),
            of(1, running(2, Background, 0, 20)),
            of(2, running(3, Background, 0, 10)),
            of(2, running(4, Background, 0, 10)),
            of(1, running(5, Background, 4, 5)),
        ];
        let first = [(5, 4, 5, 0, true), (1, 0, 20, 0, true), (3, 0, 10, 0, true)];
        check(&candidates, 31, 0, &first);
        check(&candidates, 36, 0, &[first.as_slice(), &[(2, 0, 5, 0, false)]].concat());
    }

    #[test]
    fn interactive_work_goes_first_and_background_work_gets_its_share() {
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
    fn the_accumulated_share_of_background_work_is_spread_over_steps() {
        let reading = running(1, Background, 0, 100);
        check(&[reading, running(2, Interactive, 7, 8)], 16, 30, &[(2, 7, 8, 0, true), (1, 0, 8, 0, false)]);
        let prompt = running(2, Interactive, 0, 300);
        check(&[reading, prompt], 210, 40, &[(2, 0, 210, 0, false), (1, 0, 30, 0, false)]);
    }

    #[test]
    fn background_sequences_take_turns_in_their_share() {
        let served = Candidate { last_step: 7, ..running(1, Background, 9, 10) };
        let waited = Candidate { last_step: 3, ..running(2, Background, 9, 10) };
        let interactive = running(3, Interactive, 7, 8);
        check(&[served, waited, interactive], 16, 1, &[(3, 7, 8, 0, true), (2, 9, 10, 0, true)]);
    }

    #[test]
    fn drafts_are_checked_if_they_fit_and_never_within_the_background_share() {
        let drafts = drafting(6, running(1, Background, 9, 10));
        check(&[drafts], 16, 0, &[(1, 9, 10, 6, true)]);
        check(&[drafts], 4, 0, &[(1, 9, 10, 3, true)]);
        check(&[drafts], 1, 0, &[(1, 9, 10, 0, true)]);
        check(&[drafts, running(2, Background, 5, 6)], 5, 0, &[(1, 9, 10, 3, true), (2, 5, 6, 0, true)]);
        check(&[drafts, running(2, Interactive, 5, 6)], 16, 4, &[(2, 5, 6, 0, true), (1, 9, 10, 0, true)]);
    }

    #[test]
    fn after_a_failed_step_its_sequences_run_alone_interactive_ones_and_older_ones_first() {
        let suspect = |it| Candidate { is_suspect: true, ..it };
        let candidates = [
            running(1, Background, 9, 10),
            suspect(running(2, Background, 0, 5)),
            suspect(running(4, Interactive, 0, 3)),
            suspect(running(3, Interactive, 0, 4)),
        ];
        check(&candidates, 16, 8, &[(3, 0, 4, 0, true)]);
        check(&candidates[..2], 16, 8, &[(2, 0, 5, 0, true)]);
    }

    #[test]
    fn a_prefill_only_job_never_draws() {
        let warm = Candidate { draws: false, ..running(1, Background, 0, 4) };
        check(&[warm], 8, 0, &[(1, 0, 4, 0, false)]);
        check(&[Candidate { n_fed: 3, ..warm }], 8, 0, &[(1, 3, 4, 0, false)]);
    }

    #[test]
    fn a_span_ends_at_a_border_and_has_a_checkpoint_there() {
        let spans = |it: Candidate, n_tokens| {
            let plan = plan(&[it], Budget { n_tokens, n_background: 0 });
            plan.spans.into_iter().map(|it| (it.range, it.sample, it.checkpoint)).collect::<Vec<_>>()
        };
        let prompt = Candidate { border: Some(25), ..running(1, Background, 10, 40) };
        assert_eq!(spans(prompt, 64), [(10..25, false, true)]);
        assert_eq!(spans(prompt, 8), [(10..18, false, false)]);
        let at_end = Candidate { border: Some(40), ..prompt };
        assert_eq!(spans(at_end, 64), [(10..40, true, true)]);
        // Beyond what is known, as while tokens are moved.
        assert_eq!(spans(Candidate { border: Some(50), ..prompt }, 64), [(10..40, true, false)]);
        // The end of a chunk that is far enough from the last one.
        let long = Candidate { checkpoint_from: 30, ..running(1, Background, 10, 40) };
        assert_eq!(spans(long, 8), [(10..18, false, false)]);
        assert_eq!(spans(long, 24), [(10..34, false, true)]);
    }

    #[test]
    fn a_step_with_a_checkpoint_checks_no_drafts() {
        let drafts = drafting(6, running(1, Background, 9, 10));
        check(&[Candidate { checkpoint_from: 11, ..drafts }], 16, 0, &[(1, 9, 10, 6, true)]);
        check(&[Candidate { checkpoint_from: 10, ..drafts }], 16, 0, &[(1, 9, 10, 0, true)]);
    }
}
