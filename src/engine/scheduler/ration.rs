//! The share of background work while interactive work runs.
//!
//! Counted in tokens, which cost about the same whoever they are for: of all that is computed while there is
//! interactive work, one token in eight is for the background. A token that rides along in a step costs
//! about a third of a step (measured: 1.3 times the time for 2 rows), so somebody who completes beside a chat
//! waits about 4 % longer for each token, and a chat beside somebody who never stops typing goes on at an
//! eighth of the pace. Nothing here stands still.

/// A share that was not taken up is kept for so many tokens at most: enough for a round of all that generate.
const MAX_TOKENS: usize = 32;

/// What is owed to background work. Starts at nothing, so that an interactive job's first step is its own.
#[derive(Debug, Default)]
pub(crate) struct Ration {
    /// In parts of a background token: each interactive token is one part.
    n_parts: usize,
}

impl Ration {
    /// For so many interactive tokens there is one of the background.
    pub(crate) const N_INTERACTIVE_PER_TOKEN: usize = 7;

    /// Tokens that background work may have of the next step.
    pub(crate) fn n_tokens(&self) -> usize {
        self.n_parts / Self::N_INTERACTIVE_PER_TOKEN
    }

    /// Counts a step. One without interactive work settles everything.
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

    /// Lets `n_steps` steps of `n_interactive` tokens go by and gives the background's tokens in each.
    fn run(n_steps: usize, n_interactive: usize, n_wanted: usize) -> Vec<usize> {
        let mut ration = Ration::default();
        (0..n_steps)
            .map(|_| {
                let n_background = ration.n_tokens().min(n_wanted);
                ration.count(n_interactive, n_background);
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
    fn what_is_not_taken_up_does_not_pile_up_and_quiet_settles_it() {
        let mut ration = Ration::default();
        for _ in 0..1000 {
            ration.count(100, 0);
        }
        assert_eq!(ration.n_tokens(), MAX_TOKENS);
        ration.count(0, 5);
        assert_eq!(ration.n_tokens(), 0);
    }
}
