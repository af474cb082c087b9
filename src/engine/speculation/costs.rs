//! What drafts cost in the next step, and how many are worth it: [`DraftCosts`], for both kinds of drafts.
//!
//! A draft from the text costs an additional row in the step that checks it. A draft from a draft model also costs the
//! time to make it, and before the first one the draft model must read the text. Pure: it knows neither tokens nor
//! time.

/// The most that reading with a draft model may cost, as a fraction of the time spent on generation so far. Drafts can
/// be expected to save as much, which is a speed-up of a third.
const MAX_READ_PART: f64 = 0.25;

/// The current costs of drafts, with a safety margin.
#[derive(Clone, Debug)]
pub(crate) struct DraftCosts {
    /// The number of sequences in the step, and so the number of tokens it yields without drafts.
    n_sequences: f64,
    /// The time of a step with one draft, with two, and so on, as a multiple of a step without drafts.
    steps: Vec<f64>,
    model: ModelDraftCosts,
}

/// The costs of a draft model's work, as fractions of the time per token without drafts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ModelDraftCosts {
    /// For making a draft and checking it.
    pub(crate) draft: f64,
    /// For reading a token that is already known.
    pub(crate) read: f64,
}

impl ModelDraftCosts {
    /// Without a draft model its work is infinitely expensive.
    pub(crate) const UNAVAILABLE: Self = Self { draft: f64::INFINITY, read: f64::INFINITY };
}

impl DraftCosts {
    pub(crate) fn new(n_sequences: usize, steps: Vec<f64>, model: ModelDraftCosts) -> Self {
        Self { n_sequences: n_sequences as f64, steps, model }
    }

    /// The number of drafts from the text with which the most tokens per second are generated.
    ///
    /// `rates` are, for each draft in turn, the probability that it is accepted if all before it are.
    pub(crate) fn n_worth_checking(&self, rates: impl Iterator<Item = f64>) -> usize {
        let (mut all_accepted, mut n_accepted) = (1.0, 0.0);
        let (mut n_best, mut best) = (0, 1.0);
        for (n, (rate, step)) in rates.zip(&self.steps).enumerate() {
            all_accepted *= rate;
            n_accepted += all_accepted;
            let speed_up = (1.0 + n_accepted / self.n_sequences) / step;
            if speed_up > best {
                (n_best, best) = (n + 1, speed_up);
            }
        }
        n_best
    }

    /// The number of drafts that a draft model should make, at most `max`: as long as the probability that all of them
    /// are accepted is greater than the cost of one. Each is accepted with probability `rate` if those before it are.
    pub(crate) fn n_worth_making(&self, rate: f64, max: usize) -> usize {
        let mut all_accepted = 1.0;
        let pays = |_: &usize| {
            all_accepted *= rate;
            all_accepted > self.model.draft
        };
        (0..max).take_while(pays).count()
    }

    /// Whether drafts of a draft model pay off if all of them are accepted.
    pub(crate) fn making_can_pay(&self) -> bool {
        self.model.draft < 1.0
    }

    /// Whether a draft model should read `n_unread` tokens in order to draft, after `n_generated` were generated. Thus
    /// a short answer does not wait until a long prompt has been read a second time.
    pub(crate) fn reading_pays(&self, n_unread: usize, n_generated: usize) -> bool {
        n_unread <= 1 || n_unread as f64 * self.model.read <= n_generated as f64 * MAX_READ_PART
    }

    /// Costs with which each draft adds this fraction of a step, without a draft model.
    #[cfg(test)]
    pub(crate) fn per_draft(part: f64) -> Self {
        let steps = (1..=24).map(|n| 1.0 + part * f64::from(n)).collect();
        Self::new(1, steps, ModelDraftCosts::UNAVAILABLE)
    }

    /// Costs with which only a draft model drafts.
    #[cfg(test)]
    pub(crate) fn of_model(draft: f64, read: f64) -> Self {
        Self::new(1, Vec::new(), ModelDraftCosts { draft, read })
    }

    #[cfg(test)]
    pub(crate) fn step(&self, n_drafts: usize) -> f64 {
        self.steps[n_drafts - 1]
    }

    #[cfg(test)]
    pub(crate) fn model(&self) -> ModelDraftCosts {
        self.model
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_must_be_worth_its_row() {
        let costs = DraftCosts::per_draft(0.4);
        let n_of = |rates: &[f64]| costs.n_worth_checking(rates.iter().copied());
        assert_eq!(n_of(&[]), 0);
        assert_eq!(n_of(&[0.3, 0.9]), 0);
        assert_eq!(n_of(&[0.5]), 1);
        assert_eq!(n_of(&[0.9, 0.9, 0.1, 0.1]), 2);
        // Many accepted drafts make the step long, so another doubtful one is not worth it.
        assert_eq!(n_of(&[1.0, 1.0, 1.0, 0.5]), 3);
        assert_eq!(n_of(&[1.0; 40]), 24);
        // The first one does not pay off, but those after it cost nothing more.
        let costs = DraftCosts::new(1, vec![1.5; 4], ModelDraftCosts::UNAVAILABLE);
        assert_eq!(costs.n_worth_checking([0.4, 1.0, 1.0, 0.0].into_iter()), 3);
    }

    #[test]
    fn a_long_prompt_is_read_only_once_that_can_pay_off() {
        let costs = DraftCosts::of_model(0.4, 0.04);
        assert!(costs.reading_pays(1, 0));
        assert!(!costs.reading_pays(1000, 100));
        assert!(costs.reading_pays(1000, 160));
    }

    #[test]
    fn without_a_draft_model_its_drafts_never_pay_off() {
        let costs = DraftCosts::per_draft(0.1);
        assert_eq!(costs.n_worth_making(1.0, 8), 0);
        assert!(!costs.making_can_pay() && !costs.reading_pays(2, 1000));
    }
}
