//! Measures how long a call takes: [`best`].

use std::time::Instant;

/// A measurement is the best of this many rounds.
const ROUNDS: usize = 50;
/// The length of a round: as short as gives a clear reading, since long rounds are rarely undisturbed on a shared
/// machine.
const ROUND_S: f64 = 1e-3;

/// The shortest time per call, in seconds, over all rounds.
pub(crate) fn best(mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    run();
    let n_calls = ((ROUND_S / start.elapsed().as_secs_f64()) as usize).max(1);
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..n_calls).for_each(|_| run());
            start.elapsed().as_secs_f64() / n_calls as f64
        })
        .fold(f64::INFINITY, f64::min)
}
