//! How often drafts of one kind have been accepted recently: [`AcceptanceRate`].

/// A moving estimate of the probability that a draft is accepted. Recent drafts count most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AcceptanceRate {
    /// Accepted drafts, each weighted by its age.
    n_accepted: f64,
    /// All drafts with a known outcome, weighted in the same way.
    n_checked: f64,
}

impl AcceptanceRate {
    /// The factor for the weight of a draft with each later one: after twenty drafts a third is left.
    const DECAY: f64 = 0.95;

    /// The weight of an estimate without evidence, in drafts.
    const N_PRIOR: f64 = 4.0;

    /// An estimate from 0 to 1 that holds until drafts are checked.
    pub(crate) const fn estimated(rate: f64) -> Self {
        Self { n_accepted: Self::N_PRIOR * rate, n_checked: Self::N_PRIOR }
    }

    /// The same estimate with the weight of one without evidence, for a text that may differ from earlier ones.
    pub(crate) fn restarted(self) -> Self {
        Self::estimated(self.value())
    }

    /// Records the outcome of one draft.
    pub(crate) fn record(&mut self, is_accepted: bool) {
        self.n_accepted = self.n_accepted * Self::DECAY + f64::from(u8::from(is_accepted));
        self.n_checked = self.n_checked * Self::DECAY + 1.0;
    }

    /// Records a step that checked `n_drafted` drafts and accepted the first `n_accepted`. The first rejected one
    /// counts; nothing is known about those after it.
    pub(crate) fn record_step(&mut self, n_drafted: usize, n_accepted: usize) {
        for idx in 0..n_drafted.min(n_accepted + 1) {
            self.record(idx < n_accepted);
        }
    }

    /// The probability that the next draft is accepted, from 0 to 1.
    pub(crate) fn value(self) -> f64 {
        self.n_accepted / self.n_checked
    }
}
