//! What the engine has generated lately, for the drafts of all sequences: [`KnownTexts`].
//!
//! A text that is generated again, in part or as a whole, is common: while somebody types, most suggestions repeat the
//! end of the one before; an agent asks twice; several files get the same lines. Bounded in memory: the oldest texts are
//! forgotten. Pure: it knows only tokens.

use std::{collections::HashMap, iter};

use runabout_text::TokenId;

use super::match_rates::{KEY, MatchRates};

/// At most twice this many tokens are kept, which takes about 5 MB with the index.
const N_KEPT: usize = 32 * 1024;

/// Ends each text. No vocabulary is that large.
const END: TokenId = TokenId::MAX;

/// Where each sequence of [`KEY`] tokens has occurred in a text that grows.
#[derive(Debug)]
pub(super) struct KeyIndex {
    /// The position after the last occurrence of each key.
    last: HashMap<[TokenId; KEY], usize>,
    /// For each position, the position before it with the same key.
    before: Vec<Option<usize>>,
}

/// Texts that were generated, and how well they have predicted later ones.
#[derive(Debug)]
pub(crate) struct KnownTexts {
    /// All texts, one after the other, each followed by [`END`].
    tokens: Vec<TokenId>,
    index: KeyIndex,
    /// The number of tokens that were forgotten. Positions are counted with them, so that they stay valid.
    n_forgotten: usize,
    pub(super) rates: MatchRates,
}

impl KeyIndex {
    /// The index of a text.
    pub(super) fn of(text: &[TokenId]) -> Self {
        let mut index = Self { last: HashMap::new(), before: Vec::with_capacity(text.len() + 1) };
        for n in 0..=text.len() {
            index.push(&text[..n]);
        }
        index
    }

    /// Records the position after `tokens`, which is one further than the last that was recorded.
    pub(super) fn push(&mut self, tokens: &[TokenId]) {
        let key = tokens.last_chunk::<KEY>().filter(|it| !it.contains(&END));
        let before = key.and_then(|it| self.last.insert(*it, tokens.len()));
        self.before.push(before);
    }

    /// The positions before the last one that follow the same key as that does, the latest first.
    pub(super) fn before_last(&self) -> impl Iterator<Item = usize> {
        self.chain(self.before.last().copied().flatten())
    }

    /// The positions that follow the last tokens of `text`, the latest first.
    fn positions(&self, text: &[TokenId]) -> impl Iterator<Item = usize> {
        self.chain(text.last_chunk::<KEY>().and_then(|it| self.last.get(it).copied()))
    }

    fn chain(&self, newest: Option<usize>) -> impl Iterator<Item = usize> {
        iter::successors(newest, |it| self.before.get(*it).copied().flatten())
    }
}

impl Default for KnownTexts {
    fn default() -> Self {
        Self { tokens: Vec::new(), index: KeyIndex::of(&[]), n_forgotten: 0, rates: MatchRates::estimated() }
    }
}

impl KnownTexts {
    /// Adds a text: what was generated, after as much of the text before it as shall find it.
    pub(crate) fn add(&mut self, text: &[TokenId]) {
        let text = &text[text.len().saturating_sub(N_KEPT - 1)..];
        if self.tokens.len() + text.len() >= 2 * N_KEPT {
            let n_old = self.tokens.len().saturating_sub(N_KEPT);
            self.tokens.drain(..n_old);
            self.n_forgotten += n_old;
            self.index = KeyIndex::of(&self.tokens);
        }
        for token in text.iter().copied().chain([END]) {
            self.tokens.push(token);
            self.index.push(&self.tokens);
        }
    }

    /// The positions that follow the last tokens of `text`, the latest first.
    pub(super) fn positions(&self, text: &[TokenId]) -> impl Iterator<Item = usize> {
        self.index.positions(text).map(|it| it + self.n_forgotten)
    }

    /// What is before a position; none if it was forgotten.
    pub(super) fn before(&self, position: usize) -> &[TokenId] {
        position.checked_sub(self.n_forgotten).map_or(&[], |it| &self.tokens[..it])
    }

    /// What follows at a position in the same text, at most `max` tokens; none if it was forgotten.
    pub(super) fn after(&self, position: usize, max: usize) -> &[TokenId] {
        let at = position.checked_sub(self.n_forgotten);
        let rest = at.and_then(|it| self.tokens.get(it..)).unwrap_or_default();
        let n = rest.iter().take(max).take_while(|it| **it != END).count();
        &rest[..n]
    }
}
