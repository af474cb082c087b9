//! The speed of the model, and how many tokens a step may feed: [`Pace`].
//!
//! While a step runs, no job can be cancelled or overtaken, so a step should not take longer than a target. The model
//! for its time is `fixed + per_token * n`: reading the weights, then the arithmetic. Steps of a single token show the
//! fixed part, longer ones the other. If the fixed part alone exceeds the target (on a slow CPU), the target cannot be
//! met, and tiny chunks would only pay that part more often; then the chunk grows until a step takes twice as long as a
//! single token's.

mod step_times;

use std::time::Duration;

use crate::status::Speed;
pub(crate) use step_times::{StepTime, StepTimes};

/// The shortest chunk, and the first one, before anything is measured. Even at 5 tokens per second (MLX's own kernels
/// on an x86 CPU), a cancel is noticed within two seconds.
const MIN_CHUNK: usize = 8;

/// A chunk is at most this many times the longest one measured, since a short step says little about a long one.
/// Growing from the first chunk to 512 tokens takes three steps.
const MAX_GROWTH: usize = 4;

/// The durations of the last steps.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Steps that fed prompt tokens.
    prefill: StepTimes,
    /// Steps that fed a single generated token.
    single: StepTimes,
    /// Steps that fed only generated tokens and drafts; the time to make those drafts is included.
    decode: StepTimes,
}

impl Pace {
    /// Records a step of `n_tokens`, of which `n_prompt` belonged to prompts.
    pub(crate) fn record_prefill(&mut self, n_tokens: usize, n_prompt: usize, elapsed: Duration) {
        self.prefill.record(StepTime { n_tokens, n_useful: n_prompt, elapsed });
    }

    /// Records a step that fed `n_tokens`, generated ones and drafts, and yielded `n_drawn`. Making the drafts before
    /// it took `drafting`.
    pub(crate) fn record_decode(
        &mut self,
        n_tokens: usize,
        n_drawn: usize,
        elapsed: Duration,
        drafting: Duration,
    ) {
        let step = StepTime { n_tokens, n_useful: n_drawn, elapsed };
        self.decode.record(StepTime { elapsed: elapsed + drafting, ..step });
        if n_tokens == 1 {
            self.single.record(step);
        }
    }

    pub(crate) fn speed(&self) -> Speed {
        Speed {
            prefill_tokens_per_second: self.prefill.tokens_per_second(),
            decode_tokens_per_second: self.decode.tokens_per_second(),
        }
    }

    /// The seconds that a step of one token takes; `None` before there was one.
    pub(crate) fn seconds_per_single_step(&self) -> Option<f64> {
        self.single.seconds_per_step()
    }

    /// The seconds per prompt token; `None` if no time was measured.
    pub(crate) fn seconds_per_prompt_token(&self) -> Option<f64> {
        self.prefill.seconds_per_token()
    }

    /// The number of tokens, at most `max`, that the next step may feed so that it takes about `target`.
    pub(crate) fn step_tokens(&self, target: Duration, max: usize) -> usize {
        let min = MIN_CHUNK.min(max).max(1);
        // Shorter steps show the fixed part and not the time per token.
        let measured = || self.prefill.iter().filter(|step| step.n_tokens >= min);
        let Some(longest) = measured().map(|step| step.n_tokens).max() else {
            return min;
        };
        let single = self.seconds_per_single_step();
        // A step of a single token is the fixed part, with one token included.
        let n_free = usize::from(single.is_some());
        let fixed = single.unwrap_or_default();
        let (excess, n_more) = excess(measured(), fixed, n_free);
        let budget = target.as_secs_f64().max(2.0 * fixed) - fixed;
        let affordable = n_free as f64 + budget * n_more / excess;
        let cap = max.min(longest.saturating_mul(MAX_GROWTH));
        if affordable >= cap as f64 {
            cap
        } else {
            // NaN if no time was measured and none is available; that becomes 0.
            to_count(affordable.round()).max(min)
        }
    }
}

/// The seconds beyond the fixed part, and the tokens beyond those included in it, of all these steps together.
fn excess<'a>(steps: impl Iterator<Item = &'a StepTime>, fixed: f64, n_free: usize) -> (f64, f64) {
    steps.fold((0.0, 0.0), |(excess, n_more), step| {
        let n_tokens = step.n_tokens.saturating_sub(n_free) as f64;
        (excess + (step.elapsed.as_secs_f64() - fixed).max(0.0), n_more + n_tokens)
    })
}

/// A number as a count: without its fraction, at least 0, and at most the largest count. NaN becomes 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
pub(crate) fn to_count(n: f64) -> usize {
    n as usize
}

#[cfg(test)]
mod tests {
    use super::{step_times::WINDOW, *};

    const TARGET: Duration = Duration::from_millis(50);
    const MAX: usize = 512;

    /// Runs prefill on a machine whose steps take `fixed + per_token * n`, with the chunks that `Pace` chooses, and
    /// returns the last one.
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
    fn the_chunk_settles_where_a_step_takes_the_target_time() {
        let (ms, us) = (Duration::from_millis, Duration::from_micros);
        let table = [
            // A fast GPU is limited only by the largest chunk.
            (ms(5), us(20), MAX..=MAX),
            // 15 + 0.2 * 175 = 50 ms.
            (ms(15), us(200), 170..=176),
            // Almost no fixed part.
            (ms(0), us(500), 98..=101),
            // A CPU without kernels gets the shortest chunk.
            (ms(0), ms(200), MIN_CHUNK..=MIN_CHUNK),
            // The target cannot be met: 60 + 0.3 * 200 = 2 * 60 ms.
            (ms(60), us(300), 190..=202),
        ];
        for (fixed, per_token, expected) in table {
            let chunk = settle(fixed, per_token, true);
            assert!(expected.contains(&chunk), "{fixed:?} + {per_token:?} a token: {chunk}");
        }
    }

    #[test]
    fn without_a_decode_step_the_target_is_met_nevertheless() {
        let chunk = settle(Duration::from_millis(15), Duration::from_micros(200), false);
        assert!((160..=176).contains(&chunk), "{chunk}");
    }

    #[test]
    fn the_first_chunk_is_short_and_never_above_the_limit() {
        assert_eq!(Pace::default().step_tokens(TARGET, MAX), MIN_CHUNK);
        assert_eq!(Pace::default().step_tokens(TARGET, 4), 4);
        assert_eq!(Pace::default().step_tokens(TARGET, 0), 1);
    }

    #[test]
    fn a_chunk_grows_in_several_steps() {
        let mut pace = Pace::default();
        pace.record_prefill(32, 32, Duration::from_nanos(1));
        assert_eq!(pace.step_tokens(TARGET, 4096), 32 * MAX_GROWTH);
    }

    #[test]
    fn short_prefills_while_typing_do_not_shrink_the_next_long_one() {
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
    fn without_measured_time_the_chunk_stays_reasonable() {
        let mut pace = Pace::default();
        pace.record_prefill(32, 32, Duration::ZERO);
        assert_eq!(pace.step_tokens(TARGET, MAX), 32 * MAX_GROWTH);
        assert_eq!(pace.step_tokens(Duration::ZERO, MAX), MIN_CHUNK);
        assert!(pace.speed().prefill_tokens_per_second.is_none());
    }

    #[test]
    fn the_speed_is_that_of_the_last_steps_only() {
        let mut pace = Pace::default();
        assert!(pace.speed().decode_tokens_per_second.is_none());
        pace.record_decode(1, 1, Duration::from_secs(100), Duration::ZERO);
        for _ in 0..WINDOW {
            pace.record_decode(1, 1, Duration::from_millis(100), Duration::ZERO);
        }
        assert!(pace.speed().decode_tokens_per_second.is_some_and(|speed| (speed - 10.0).abs() < 1e-9));
    }

    #[test]
    fn drafting_time_counts_for_the_speed_but_not_for_the_row_costs() {
        let ms = Duration::from_millis;
        let mut pace = Pace::default();
        pace.record_decode(1, 1, ms(10), ms(10));
        assert_eq!(pace.speed().decode_tokens_per_second, Some(50.0));
        assert_eq!(pace.seconds_per_single_step(), Some(0.01));
    }
}
