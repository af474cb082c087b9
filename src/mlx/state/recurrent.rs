//! The state of a layer whose memory of a sequence has a fixed size: [`Recurrent`].

use mlx_rs::Array;

/// What a recurrent layer knows of the tokens so far. It cannot be cut; it returns to its checkpoints, and to before
/// the drafts of the last step.
#[derive(Default)]
pub(crate) struct Recurrent {
    n_tokens: usize,
    now: Moment,
    /// By the number of tokens, ascending.
    checkpoints: Vec<(usize, Moment)>,
    /// What it was after each number of drafts of the last step, none included.
    before_drafts: Vec<Moment>,
}

/// The state after some token. Arrays are values, so a copy takes no memory until the state changes.
#[derive(Clone, Default)]
pub(crate) struct Moment {
    /// The last inputs of the convolution; `None` before the first token.
    pub(crate) inputs: Option<Array>, // [n_kernel - 1, n_channels]
    /// `None` before the first token.
    pub(crate) memory: Option<Array>, // [n_value_heads, value_dim, key_dim]
}

impl Recurrent {
    pub(crate) fn now(&self) -> &Moment {
        &self.now
    }

    /// Continues with `n_tokens` more. `after` are the states after the known tokens, then after each draft.
    pub(crate) fn advance(&mut self, n_tokens: usize, mut after: Vec<Moment>) {
        self.n_tokens += n_tokens;
        self.now = after.pop().unwrap_or_default();
        self.before_drafts = after;
    }

    /// Removes the last `n_tokens`, which are drafts of the last step.
    pub(crate) fn forget(&mut self, n_tokens: usize) {
        let kept = self.before_drafts.len().checked_sub(n_tokens);
        if n_tokens > 0
            && let Some(moment) = kept.and_then(|it| self.before_drafts.get(it))
        {
            self.now = moment.clone();
            self.n_tokens -= n_tokens;
        }
        self.before_drafts.clear();
    }

    /// Keeps the present state as a checkpoint.
    pub(crate) fn keep(&mut self) {
        self.checkpoints.retain(|it| it.0 < self.n_tokens);
        self.checkpoints.push((self.n_tokens, self.now.clone()));
    }

    pub(crate) fn drop_checkpoint(&mut self, n_tokens: usize) {
        self.checkpoints.retain(|it| it.0 != n_tokens);
    }

    /// The greatest length, at most `n_tokens`, to which it can return.
    pub(crate) fn resume_point(&self, n_tokens: usize) -> usize {
        if n_tokens >= self.n_tokens {
            return self.n_tokens;
        }
        self.checkpoints.iter().rev().map(|it| it.0).find(|it| *it <= n_tokens).unwrap_or(0)
    }

    /// Returns to a length that is a resume point.
    pub(crate) fn rewind(&mut self, n_tokens: usize) {
        if n_tokens < self.n_tokens {
            *self = Self { checkpoints: std::mem::take(&mut self.checkpoints), ..self.copy(n_tokens) };
            self.checkpoints.retain(|it| it.0 <= n_tokens);
        }
    }

    /// A copy as of a length that is a resume point, without checkpoints.
    pub(crate) fn copy(&self, n_tokens: usize) -> Self {
        let at = self.checkpoints.iter().find(|it| it.0 == n_tokens).map(|it| &it.1);
        let now = if n_tokens == self.n_tokens { Some(&self.now) } else { at };
        Self { n_tokens, now: now.cloned().unwrap_or_default(), ..Self::default() }
    }

    /// The arrays to evaluate so that it holds what it was given.
    pub(crate) fn arrays(&self) -> impl Iterator<Item = &Array> {
        [&self.now.inputs, &self.now.memory].into_iter().flatten()
    }
}
