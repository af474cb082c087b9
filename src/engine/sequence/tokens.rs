//! The tokens of one sequence: its prompt, what was generated, and drafts after that.

use runabout_text::TokenId;

/// `[prompt | generated | drafts]` in one list, so that a span of any of them is a slice.
///
/// Prompt and generated tokens are *known*. A draft becomes known when the model draws the same token.
#[derive(Debug)]
pub(super) struct Tokens {
    all: Vec<TokenId>,
    n_prompt: usize,
    n_known: usize,
}

impl Tokens {
    pub(super) fn new(prompt: Vec<TokenId>) -> Self {
        let n_prompt = prompt.len();
        Self { all: prompt, n_prompt, n_known: n_prompt }
    }

    pub(super) fn n_prompt(&self) -> usize {
        self.n_prompt
    }

    pub(super) fn n_known(&self) -> usize {
        self.n_known
    }

    pub(super) fn n_generated(&self) -> usize {
        self.n_known - self.n_prompt
    }

    pub(super) fn n_drafts(&self) -> usize {
        self.all.len() - self.n_known
    }

    pub(super) fn prompt(&self) -> &[TokenId] {
        &self.all[..self.n_prompt]
    }

    /// The prompt and what was generated.
    pub(super) fn known(&self) -> &[TokenId] {
        &self.all[..self.n_known]
    }

    pub(super) fn generated(&self) -> &[TokenId] {
        &self.all[self.n_prompt..self.n_known]
    }

    /// All tokens, known ones and then drafts.
    pub(super) fn all(&self) -> &[TokenId] {
        &self.all
    }

    /// Replaces the drafts.
    pub(super) fn set_drafts(&mut self, drafts: &[TokenId]) {
        self.clear_drafts();
        self.all.extend_from_slice(drafts);
    }

    pub(super) fn drafts(&self) -> &[TokenId] {
        &self.all[self.n_known..]
    }

    /// Removes all but the first `n` drafts.
    pub(super) fn keep_drafts(&mut self, n: usize) {
        self.all.truncate(self.n_known + n);
    }

    pub(super) fn clear_drafts(&mut self) {
        self.all.truncate(self.n_known);
    }

    /// Appends a generated token and removes the drafts, which were for its position and later ones.
    pub(super) fn push(&mut self, token: TokenId) {
        self.clear_drafts();
        self.all.push(token);
        self.n_known += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_follow_known_tokens_and_are_removed_when_a_token_is_drawn() {
        let mut tokens = Tokens::new(vec![1, 2]);
        tokens.push(3);
        tokens.set_drafts(&[8, 9]);
        assert_eq!((tokens.n_known(), tokens.n_generated(), tokens.n_drafts()), (3, 1, 2));
        assert_eq!(
            (tokens.prompt(), tokens.generated(), tokens.known()),
            (&[1, 2][..], &[3][..], &[1, 2, 3][..])
        );
        assert_eq!(tokens.all(), [1, 2, 3, 8, 9]);
        tokens.set_drafts(&[7]);
        assert_eq!(tokens.all(), [1, 2, 3, 7]);
        tokens.push(4);
        assert_eq!((tokens.all(), tokens.n_drafts()), (&[1, 2, 3, 4][..], 0));
    }
}
