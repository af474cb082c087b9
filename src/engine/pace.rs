//! How fast the model has been lately, how many tokens a step may have, and what one more costs.
//!
//! While a step runs, nobody can cancel or overtake; so a step should take no longer than a target. A step's
//! time is taken to be `fixed + per_token * n`: reading the weights, then the arithmetic. Steps of a single
//! token show the fixed part, wider ones the other. Where the fixed part alone passes the target (a slow CPU),
//! the target cannot be met, and tiny chunks would only multiply that part; the chunk then grows until a step
//! takes twice a single token's.

mod curve;

use std::{collections::VecDeque, time::Duration};

use crate::{
    speculation::{costs::GuessCosts, draft_length::Cost, lookup::MAX_DRAFT},
    status::Speed,
};
use curve::Curve;

/// Steps that are remembered, of each kind.
const WINDOW: usize = 16;

/// The shortest chunk, and the first one, when nothing is measured yet. Even at 5 tokens a second, MLX's own
/// kernels on an x86 CPU, a cancel is then seen within two seconds.
const MIN_CHUNK: usize = 8;

/// A chunk is at most this many times the longest one measured: a short step says little about a long one.
/// From the first chunk to 512 tokens takes three steps.
const MAX_GROWTH: usize = 4;

/// What a token of a prompt costs, as a part of one that is generated, while nothing is measured.
const TYPICAL_READ: f64 = 0.05;

/// A guess must promise this many times what it costs: so a wrong estimate costs little, and the guesses that
/// hardly pay are left.
const MARGIN: f64 = 1.25;

/// A draft model makes so many guesses, or about that.
const TYPICAL_DRAFT: usize = 4;

/// Durations of the last steps.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// With tokens of prompts.
    prefill: VecDeque<StepCost>,
    /// Of a single token, generated.
    single: VecDeque<StepCost>,
    /// Of several tokens, generated or guessed.
    wide: Curve,
    /// Without tokens of prompts; for their speed.
    decode: VecDeque<StepCost>,
    /// Of the draft model: a guess for each of some sequences,
    guesses: VecDeque<StepCost>,
    /// and tokens that the model knows already.
    reads: VecDeque<StepCost>,
}

#[derive(Clone, Copy, Debug)]
struct StepCost {
    n_tokens: usize,
    /// Those of them that got somebody on: of prompts, or drawn.
    n_useful: usize,
    elapsed: Duration,
}

impl Pace {
    /// A step of `n_tokens`, of which `n_prompt` belonged to prompts.
    pub(crate) fn record_prefill(&mut self, n_tokens: usize, n_prompt: usize, elapsed: Duration) {
        remember(&mut self.prefill, StepCost { n_tokens, n_useful: n_prompt, elapsed });
    }

    /// A step of `n_tokens` that were generated or guessed, and yielded `n_drawn`; a draft model was asked for
    /// guesses before it for so long.
    pub(crate) fn record_decode(
        &mut self,
        n_tokens: usize,
        n_drawn: usize,
        elapsed: Duration,
        drafting: Duration,
    ) {
        let cost = StepCost { n_tokens, n_useful: n_drawn, elapsed };
        remember(&mut self.decode, StepCost { elapsed: elapsed + drafting, ..cost });
        if n_tokens == 1 {
            remember(&mut self.single, cost);
        }
        if let Some(single) = self.single_step().filter(|it| *it > 0.0) {
            self.wide.record(n_tokens, elapsed.as_secs_f64() / single);
        }
        if self.wide.is_empty() {
            // What guesses took is as old, and may be why there were none.
            self.guesses.clear();
        }
    }

    /// A draft model made `n_guesses`.
    pub(crate) fn record_guesses(&mut self, n_guesses: usize, elapsed: Duration) {
        remember(&mut self.guesses, StepCost { n_tokens: n_guesses, n_useful: n_guesses, elapsed });
    }

    /// A draft model read `n_tokens`.
    pub(crate) fn record_read(&mut self, n_tokens: usize, elapsed: Duration) {
        remember(&mut self.reads, StepCost { n_tokens, n_useful: n_tokens, elapsed });
    }

    pub(crate) fn speed(&self) -> Speed {
        Speed {
            prefill_tokens_per_second: tokens_per_second(&self.prefill),
            decode_tokens_per_second: tokens_per_second(&self.decode),
        }
    }

    /// How many tokens the next step may feed, `max` at most, for it to take about `target`.
    pub(crate) fn step_tokens(&self, target: Duration, max: usize) -> usize {
        let min = MIN_CHUNK.min(max).max(1);
        // Shorter steps tell the fixed part, not the cost of a token.
        let measured = || self.prefill.iter().filter(|cost| cost.n_tokens >= min);
        let Some(longest) = measured().map(|cost| cost.n_tokens).max() else {
            return min;
        };
        let single = self.single_step();
        // A single token's step is the fixed part with one token.
        let n_free = usize::from(single.is_some());
        let fixed = single.unwrap_or_default();
        let (excess, n_more) = excess(measured(), fixed, n_free);
        let budget = target.as_secs_f64().max(2.0 * fixed) - fixed;
        let affordable = n_free as f64 + budget * n_more / excess;
        let cap = max.min(longest.saturating_mul(MAX_GROWTH));
        if affordable >= cap as f64 {
            cap
        } else {
            // Not a number where no time was measured and none is to be spent; that becomes 0.
            whole(affordable.round()).max(min)
        }
    }

    /// What guesses cost in a step that serves `n_rows` sequences.
    pub(crate) fn guess_costs(&self, n_rows: usize) -> GuessCosts {
        let (line, n_rows) = (self.wide.line(), n_rows.max(1));
        let without = line.at(n_rows);
        let cost = |n_guesses| 1.0 + MARGIN * (line.at(n_rows + n_guesses) / without - 1.0);
        GuessCosts::new(n_rows, (1..=MAX_DRAFT).map(cost).collect())
    }

    /// What a guess of a draft model costs, which has to be made first. Where nothing is measured, it is taken to be
    /// faster by its `share` of the weights.
    pub(crate) fn draft_cost(&self, n_rows: usize, share: f64) -> Cost {
        let (token, row) = self.token_and_row(n_rows);
        let guess = per_token(&self.guesses).unwrap_or(share * token);
        let read = per_token(&self.reads)
            .or_else(|| per_token(&self.prefill).map(|it| it * share))
            .unwrap_or(TYPICAL_READ * share * token);
        Cost { guess: MARGIN * (row + guess) / token, read: read / token }
    }

    /// How many guesses of a draft model, one after the other, take about `target`, or as long as a step does.
    pub(crate) fn n_guesses_within(&self, target: Duration) -> usize {
        let target = target.as_secs_f64().max(self.single_step().unwrap_or_default());
        match per_token(&self.guesses) {
            Some(guess) => whole(target / guess).max(1),
            None => usize::MAX,
        }
    }

    /// What a token costs in a step that serves `n_rows` sequences, and a row more in it. In seconds, or in steps where
    /// nothing is measured.
    fn token_and_row(&self, n_rows: usize) -> (f64, f64) {
        let single = self.single_step().filter(|it| *it > 0.0).unwrap_or(1.0);
        let (line, n_rows) = (self.wide.line(), n_rows.max(1));
        let step = line.at(n_rows);
        let row = (line.at(n_rows + TYPICAL_DRAFT) - step) / TYPICAL_DRAFT as f64;
        (single * step / n_rows as f64, single * row)
    }

    /// Seconds that a step of one token takes: the median, since the first steps after a pause are slow.
    fn single_step(&self) -> Option<f64> {
        let mut steps: Vec<Duration> = self.single.iter().map(|cost| cost.elapsed).collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).map(Duration::as_secs_f64)
    }
}

/// Seconds beyond the fixed part, and tokens beyond those that it covers, of these steps together.
fn excess<'a>(steps: impl Iterator<Item = &'a StepCost>, fixed: f64, n_free: usize) -> (f64, f64) {
    steps.fold((0.0, 0.0), |(excess, n_more), cost| {
        let n_tokens = cost.n_tokens.saturating_sub(n_free) as f64;
        (excess + (cost.elapsed.as_secs_f64() - fixed).max(0.0), n_more + n_tokens)
    })
}

fn remember(steps: &mut VecDeque<StepCost>, cost: StepCost) {
    if steps.len() == WINDOW {
        steps.pop_front();
    }
    steps.push_back(cost);
}

/// Seconds per token: the median, for the reason that other medians have. `None` where no time was measured.
fn per_token(steps: &VecDeque<StepCost>) -> Option<f64> {
    let cost = |it: &StepCost| it.elapsed.as_secs_f64() / it.n_tokens.max(1) as f64;
    let mut costs: Vec<f64> = steps.iter().map(cost).collect();
    costs.sort_by(f64::total_cmp);
    costs.get(costs.len() / 2).copied().filter(|it| *it > 0.0)
}

fn tokens_per_second(steps: &VecDeque<StepCost>) -> Option<f64> {
    let elapsed: Duration = steps.iter().map(|cost| cost.elapsed).sum();
    let n_tokens: usize = steps.iter().map(|cost| cost.n_useful).sum();
    (!elapsed.is_zero()).then(|| n_tokens as f64 / elapsed.as_secs_f64())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is out of range is clamped"
)]
fn whole(n_tokens: f64) -> usize {
    n_tokens as usize
}

#[cfg(test)]
mod tests {
    use super::{curve::TYPICAL_ROW, *};

    const TARGET: Duration = Duration::from_millis(50);
    const MAX: usize = 512;

    /// Lets a machine whose steps take `fixed + per_token * n` prefill with the chunks it is given, and gives
    /// back the last.
    fn settle(fixed: Duration, per_token: Duration, decode_first: bool) -> usize {
        let mut pace = Pace::default();
        let step = |n: usize| fixed + per_token * u32::try_from(n).unwrap_or(u32::MAX);
        if decode_first {
            pace.record_decode(1, 1, step(1), Duration::ZERO);
        }
        for _ in 0..40 {
            let chunk = pace.step_tokens(TARGET, MAX);
            pace.record_prefill(chunk, chunk, step(chunk));
        }
        pace.step_tokens(TARGET, MAX)
    }

    #[test]
    fn the_chunk_settles_where_a_step_takes_the_target() {
        let (ms, us) = (Duration::from_millis, Duration::from_micros);
        let table = [
            // A fast GPU is bounded by the largest chunk alone.
            (ms(5), us(20), MAX..=MAX),
            // 15 + 0.2 * 175 = 50 ms.
            (ms(15), us(200), 170..=176),
            // No fixed part to speak of.
            (ms(0), us(500), 98..=101),
            // A CPU without kernels: the shortest chunk there is.
            (ms(0), ms(200), MIN_CHUNK..=MIN_CHUNK),
            // The target is out of reach: 60 + 0.3 * 200 = 2 * 60 ms.
            (ms(60), us(300), 190..=202),
        ];
        for (fixed, per_token, expected) in table {
            let chunk = settle(fixed, per_token, true);
            assert!(expected.contains(&chunk), "{fixed:?} + {per_token:?} a token: {chunk}");
        }
    }

    #[test]
    fn without_a_decode_step_the_target_is_met_all_the_same() {
        let chunk = settle(Duration::from_millis(15), Duration::from_micros(200), false);
        assert!((160..=176).contains(&chunk), "{chunk}");
    }

    #[test]
    fn the_first_chunk_is_a_careful_one_and_never_above_the_largest_allowed() {
        assert_eq!(Pace::default().step_tokens(TARGET, MAX), MIN_CHUNK);
        assert_eq!(Pace::default().step_tokens(TARGET, 4), 4);
        assert_eq!(Pace::default().step_tokens(TARGET, 0), 1);
    }

    #[test]
    fn a_chunk_grows_by_steps_and_not_at_once() {
        let mut pace = Pace::default();
        pace.record_prefill(32, 32, Duration::from_nanos(1));
        assert_eq!(pace.step_tokens(TARGET, 4096), 32 * MAX_GROWTH);
    }

    #[test]
    fn short_prefills_of_somebody_typing_do_not_shrink_the_next_long_one() {
        let mut pace = Pace::default();
        pace.record_decode(1, 1, Duration::from_millis(15), Duration::ZERO);
        pace.record_prefill(160, 160, Duration::from_millis(47));
        let before = pace.step_tokens(TARGET, MAX);
        for _ in 0..4 {
            pace.record_prefill(2, 2, Duration::from_millis(15));
        }
        assert_eq!(pace.step_tokens(TARGET, MAX), before);
    }

    #[test]
    fn a_clock_that_stands_still_asks_for_no_absurd_chunk() {
        let mut pace = Pace::default();
        pace.record_prefill(32, 32, Duration::ZERO);
        assert_eq!(pace.step_tokens(TARGET, MAX), 32 * MAX_GROWTH);
        assert_eq!(pace.step_tokens(Duration::ZERO, MAX), MIN_CHUNK);
        assert!(pace.speed().prefill_tokens_per_second.is_none());
    }

    #[test]
    fn speed_is_that_of_the_last_steps_only() {
        let mut pace = Pace::default();
        assert!(pace.speed().decode_tokens_per_second.is_none());
        pace.record_decode(1, 1, Duration::from_secs(100), Duration::ZERO);
        for _ in 0..WINDOW {
            pace.record_decode(1, 1, Duration::from_millis(100), Duration::ZERO);
        }
        assert!(pace.speed().decode_tokens_per_second.is_some_and(|speed| (speed - 10.0).abs() < 1e-9));
    }

    #[test]
    fn the_cost_of_guesses_is_that_of_steps_with_so_many_rows() {
        let ms = Duration::from_millis;
        let mut pace = Pace::default();
        let cost = |pace: &Pace, n_rows, n_guesses| pace.guess_costs(n_rows).step(n_guesses);
        // Nothing is measured: what is typical.
        assert!((cost(&pace, 1, 2) - (1.0 + MARGIN * 2.0 * TYPICAL_ROW)).abs() < 1e-9);
        pace.record_decode(1, 1, ms(10), Duration::ZERO);
        for _ in 0..3 {
            pace.record_decode(4, 2, ms(13), Duration::ZERO);
            pace.record_decode(8, 2, ms(26), Duration::ZERO);
        }
        assert!((cost(&pace, 1, 3) - (1.0 + MARGIN * 0.3)).abs() < 1e-9);
        // Four sequences share a step of 13 ms.
        assert!((cost(&pace, 4, 4) - (1.0 + MARGIN)).abs() < 1e-9);
        // Where rows cost nothing, any guess is worth it.
        let mut gpu = Pace::default();
        gpu.record_decode(1, 1, ms(10), Duration::ZERO);
        for _ in 0..3 {
            gpu.record_decode(25, 1, ms(10), Duration::ZERO);
        }
        assert_eq!(gpu.guess_costs(1).n_worthwhile(std::iter::repeat(0.5)), MAX_DRAFT);
    }

    #[test]
    fn a_machine_that_was_busy_for_a_while_does_not_end_guessing_for_ever() {
        let ms = Duration::from_millis;
        let mut pace = Pace::default();
        pace.record_decode(1, 1, ms(10), Duration::ZERO);
        for _ in 0..WINDOW {
            pace.record_guesses(3, ms(500));
            pace.record_decode(4, 1, ms(500), Duration::ZERO);
        }
        let sure = || std::iter::repeat(1.0);
        assert_eq!(pace.guess_costs(1).n_worthwhile(sure()), 0);
        assert!(pace.draft_cost(1, 0.25).guess > 1.0);
        for _ in 0..1000 {
            pace.record_decode(1, 1, ms(10), Duration::ZERO);
        }
        assert_eq!(pace.guess_costs(1).n_worthwhile(sure()), MAX_DRAFT);
        assert!(pace.draft_cost(1, 0.25).guess < 1.0);
    }

    #[test]
    fn a_draft_model_costs_its_share_of_a_step_until_it_is_measured() {
        let ms = Duration::from_millis;
        let mut pace = Pace::default();
        let typical = pace.draft_cost(1, 0.25);
        assert!((typical.guess - MARGIN * 0.6).abs() < 1e-9, "{typical:?}");
        assert_eq!(pace.n_guesses_within(TARGET), usize::MAX);
        pace.record_decode(1, 1, ms(40), Duration::ZERO);
        pace.record_prefill(10, 10, ms(40));
        // A tenth of a token's time for a token of the prompt, and a quarter of that for the draft model.
        assert!((pace.draft_cost(1, 0.25).read - 0.025).abs() < 1e-9);
        for _ in 0..3 {
            pace.record_guesses(4, ms(80));
            pace.record_read(20, ms(40));
        }
        let measured = pace.draft_cost(1, 0.25);
        assert!((measured.guess - MARGIN * (0.35 + 0.5)).abs() < 1e-9, "{measured:?}");
        assert!((measured.read - 0.05).abs() < 1e-9, "{measured:?}");
        // 50 ms, at 20 ms for each.
        assert_eq!(pace.n_guesses_within(TARGET), 2);
    }

    #[test]
    fn the_time_of_a_draft_model_counts_for_the_speed_and_not_for_the_rows() {
        let ms = Duration::from_millis;
        let mut pace = Pace::default();
        pace.record_decode(1, 1, ms(10), ms(10));
        assert_eq!(pace.speed().decode_tokens_per_second, Some(50.0));
        assert_eq!(pace.single_step(), Some(0.01));
    }
}
