//! How many guesses are worth what they cost.
//!
//! Pure: knows neither where guesses come from nor time.

/// What a step costs by the number of its guesses, as a multiple of the step without; with the margin.
#[derive(Clone, Debug)]
pub(crate) struct GuessCosts {
    /// Sequences that the step serves: so many tokens come of it without guesses.
    n_sequences: f64,
    /// With one guess, two, and so on.
    steps: Vec<f64>,
}

impl GuessCosts {
    pub(crate) fn new(n_sequences: usize, steps: Vec<f64>) -> Self {
        Self { n_sequences: n_sequences as f64, steps }
    }

    /// How many guesses to make that are right with these chances, each if those before it are: as many as let tokens
    /// come fastest.
    pub(crate) fn n_worthwhile(&self, chances: impl Iterator<Item = f64>) -> usize {
        let (mut all_right, mut n_right) = (1.0, 0.0);
        let (mut n_best, mut best) = (0, 1.0);
        for (n, (chance, step)) in chances.zip(&self.steps).enumerate() {
            all_right *= chance;
            n_right += all_right;
            let speed_up = (1.0 + n_right / self.n_sequences) / step;
            if speed_up > best {
                (n_best, best) = (n + 1, speed_up);
            }
        }
        n_best
    }

    /// With `n_guesses`, at least one.
    #[cfg(test)]
    pub(crate) fn step(&self, n_guesses: usize) -> f64 {
        self.steps[n_guesses - 1]
    }

    /// Where each guess costs this part of a step.
    #[cfg(test)]
    pub(crate) fn each(cost: f64) -> Self {
        Self::new(1, (1..=24).map(|n| 1.0 + cost * f64::from(n)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_must_be_worth_its_row() {
        let costs = GuessCosts::each(0.4);
        let n_of = |chances: &[f64]| costs.n_worthwhile(chances.iter().copied());
        assert_eq!(n_of(&[]), 0);
        assert_eq!(n_of(&[0.3, 0.9]), 0);
        assert_eq!(n_of(&[0.5]), 1);
        assert_eq!(n_of(&[0.9, 0.9, 0.1, 0.1]), 2);
        // What is guessed in front makes a dear token of one that is not sure.
        assert_eq!(n_of(&[1.0, 1.0, 1.0, 0.5]), 3);
        assert_eq!(n_of(&[1.0; 40]), 24);
        // The first does not pay, but those behind it cost nothing more.
        let costs = GuessCosts::new(1, vec![1.5; 4]);
        assert_eq!(costs.n_worthwhile([0.4, 1.0, 1.0, 0.0].into_iter()), 3);
    }
}
