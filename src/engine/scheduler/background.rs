//! The share of background work while interactive work runs: [`BackgroundShare`].
//!
//! It is counted in tokens, which cost about the same for either: of all tokens computed while there is interactive
//! work, one in eight is for background work. An additional token in a step costs about a third of a step (measured: 2
//! rows take 1.3 times as long). So a completion beside a chat gets its tokens about 4 % later, and a chat beside a
//! user who types all the time runs at an eighth of its speed but never stops.

/// The most unused tokens that accumulate: enough for one token for each sequence that generates.
const MAX_TOKENS: usize = 32;

/// The tokens due to background work. Initially there are none, so an interactive job has its first step to itself.
#[derive(Debug, Default)]
pub(crate) struct BackgroundShare {
    /// In fractions of a background token: each interactive token adds one part.
    n_parts: usize,
}

impl BackgroundShare {
    /// Background work gets one token for this many interactive tokens.
    pub(crate) const N_INTERACTIVE_PER_TOKEN: usize = 7;

    /// The number of tokens that background work may have in the next step.
    pub(crate) fn n_tokens(&self) -> usize {
        self.n_parts / Self::N_INTERACTIVE_PER_TOKEN
    }

    /// Counts a step. After a step without interactive work, nothing is due.
    pub(crate) fn count(&mut self, n_interactive: usize, n_background: usize) {
        if n_interactive == 0 {
            self.n_parts = 0;
        } else {
            let n_parts = (self.n_parts + n_interactive).min(MAX_TOKENS * Self::N_INTERACTIVE_PER_TOKEN);
            self.n_parts = n_parts.saturating_sub(n_background * Self::N_INTERACTIVE_PER_TOKEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `n_steps` steps of `n_interactive` tokens, and returns the number of background tokens in each.
    fn run(n_steps: usize, n_interactive: usize, n_wanted: usize) -> Vec<usize> {
        let mut share = BackgroundShare::default();
        (0..n_steps)
            .map(|_| {
                let n_background = share.n_tokens().min(n_wanted);
                share.count(n_interactive, n_background);
                n_background
            })
            .collect()
    }

    #[test]
    fn one_token_in_eight_is_for_the_background() {
        assert_eq!(run(15, 1, 1), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
        let n_background: usize = run(700, 1, 8).iter().sum();
        assert_eq!(n_background, 99);
        // A prompt of 70 tokens in a step leaves room for ten beside the next.
        assert_eq!(run(3, 70, 100), [0, 10, 10]);
    }

    #[test]
    fn unused_tokens_are_limited_and_expire_without_interactive_work() {
        let mut share = BackgroundShare::default();
        for _ in 0..1000 {
            share.count(100, 0);
        }
        assert_eq!(share.n_tokens(), MAX_TOKENS);
        share.count(0, 5);
        assert_eq!(share.n_tokens(), 0);
    }
}
