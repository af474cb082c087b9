//! How fast a person types, compared with how fast the model answers: [`Rhythm`] decides how long an automatic
//! completion waits before it begins.
//!
//! If the first token usually comes before the next key, waiting would only delay it. If it comes later, a completion
//! begun at each key would never end, and the step that it is in would hold up the next; then only a pause is worth a
//! completion.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use runabout_assist::Outcome;

/// The number of measurements that count.
const N_KEPT: usize = 16;
/// A longer time between two changes is a pause and no interval of typing.
const MAX_INTERVAL: Duration = Duration::from_secs(1);
/// Until the person has typed a little: 60 words per minute are 5 keys per second.
const FIRST_INTERVAL: Duration = Duration::from_millis(200);
/// The longest wait.
const MAX_WAIT: Duration = Duration::from_millis(300);

/// The times between changes of documents, and those from a completion's beginning to its first token.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    last_change: Option<Instant>,
    intervals: VecDeque<Duration>,
    first_tokens: VecDeque<Duration>,
}

impl Rhythm {
    pub(super) fn changed(&mut self, now: Instant) {
        let interval = self.last_change.map(|it| now.saturating_duration_since(it));
        if let Some(interval) = interval.filter(|it| *it <= MAX_INTERVAL) {
            keep(&mut self.intervals, interval);
        }
        self.last_change = Some(now);
    }

    /// Records how long a completion took to its first token, if it computed one.
    pub(super) fn completed(&mut self, outcome: &Outcome) {
        let Some(finish) = outcome.finishes.first().filter(|it| it.usage.completion_tokens > 0) else {
            return;
        };
        if let Some(first_token) = finish.timing.first_token {
            self.had_first_token(outcome.waited + first_token);
        }
    }

    fn had_first_token(&mut self, after: Duration) {
        keep(&mut self.first_tokens, after);
    }

    /// How long an automatic completion that continues no other one should wait.
    pub(super) fn wait(&self) -> Duration {
        let first_token = median(&self.first_tokens).unwrap_or_default();
        let interval = median(&self.intervals).unwrap_or(FIRST_INTERVAL);
        if first_token < interval { Duration::ZERO } else { interval.min(MAX_WAIT) }
    }
}

fn keep(times: &mut VecDeque<Duration>, time: Duration) {
    if times.len() == N_KEPT {
        times.pop_front();
    }
    times.push_back(time);
}

fn median(times: &VecDeque<Duration>) -> Option<Duration> {
    let mut sorted: Vec<_> = times.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rhythm(interval_ms: u64, first_token_ms: u64) -> Rhythm {
        let mut rhythm = Rhythm::default();
        let start = Instant::now();
        for idx in 0..10 {
            rhythm.changed(start + Duration::from_millis(idx * interval_ms));
            rhythm.had_first_token(Duration::from_millis(first_token_ms));
        }
        rhythm
    }

    #[test]
    fn a_model_that_is_faster_than_the_keys_does_not_wait() {
        assert_eq!(rhythm(150, 40).wait(), Duration::ZERO);
        assert_eq!(Rhythm::default().wait(), Duration::ZERO, "nothing is known yet");
    }

    #[test]
    fn a_model_that_is_slower_than_the_keys_waits_for_a_pause_but_not_long() {
        assert_eq!(rhythm(150, 400).wait(), Duration::from_millis(150));
        assert_eq!(rhythm(800, 5000).wait(), MAX_WAIT);
    }

    #[test]
    fn a_pause_is_no_interval_and_old_times_are_forgotten() {
        assert_eq!(rhythm(60_000, 500).wait(), FIRST_INTERVAL);
        let mut rhythm = rhythm(150, 400);
        for _ in 0..N_KEPT {
            rhythm.had_first_token(Duration::from_millis(20));
        }
        assert_eq!(rhythm.wait(), Duration::ZERO);
    }
}
