//! The chance that a guess is right, from the guesses before it.

/// How often guesses of one kind were right lately.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance {
    n_right: f64,
    n_all: f64,
}

impl Chance {
    /// Older guesses count less: what happened twenty guesses ago counts a third.
    const FADE: f64 = 0.95;

    /// As if `n_right` of 4 guesses had been right already.
    pub(crate) const fn of_four(n_right: f64) -> Self {
        Self { n_right, n_all: 4.0 }
    }

    /// The same chance, known as little as at the beginning.
    pub(crate) fn afresh(self) -> Self {
        Self::of_four(4.0 * self.value())
    }

    pub(crate) fn note(&mut self, is_right: bool) {
        self.n_right = self.n_right * Self::FADE + f64::from(u8::from(is_right));
        self.n_all = self.n_all * Self::FADE + 1.0;
    }

    /// Notes a draft of which only the first `n_right` guesses were right. Those behind the first wrong one say nothing.
    pub(crate) fn note_draft(&mut self, n_drafted: usize, n_right: usize) {
        for idx in 0..n_drafted.min(n_right + 1) {
            self.note(idx < n_right);
        }
    }

    pub(crate) fn value(self) -> f64 {
        self.n_right / self.n_all
    }
}
