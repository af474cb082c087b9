//! A set of tokens of a vocabulary: [`TokenSet`].

use std::fmt::{self, Debug};

use serde::{Deserialize, Serialize};

use crate::TokenId;

/// A set of tokens, with one bit for each token of the vocabulary.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSet {
    words: Vec<u32>,
}

impl TokenSet {
    /// The set whose bit `id % 32` of word `id / 32` says whether it has the token `id`.
    pub(crate) fn from_words(words: &[u32]) -> Self {
        Self { words: words.to_vec() }
    }

    pub fn contains(&self, token: TokenId) -> bool {
        self.words.get(token as usize / 32).is_some_and(|it| it & bit(token) != 0)
    }

    pub fn insert(&mut self, token: TokenId) {
        let idx = token as usize / 32;
        if idx >= self.words.len() {
            self.words.resize(idx + 1, 0);
        }
        self.words[idx] |= bit(token);
    }

    pub(crate) fn remove(&mut self, token: TokenId) {
        if let Some(word) = self.words.get_mut(token as usize / 32) {
            *word &= !bit(token);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|it| *it == 0)
    }

    /// The tokens of the set, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = TokenId> {
        let words = (0..).step_by(32).zip(&self.words).filter(|(_, word)| **word != 0);
        words.flat_map(|(first, &word)| (first..first + 32).filter(move |it| word & bit(*it) != 0))
    }

    /// Calls `edit` with each of the `values`, one for each token of the vocabulary, whose token is not in the set.
    pub fn for_each_other<T>(&self, values: &mut [T], mut edit: impl FnMut(&mut T)) {
        for (idx, values) in values.chunks_mut(32).enumerate() {
            match self.words.get(idx).copied().unwrap_or(0) {
                u32::MAX => {}
                0 => values.iter_mut().for_each(&mut edit),
                word => {
                    let others = values.iter_mut().enumerate().filter(|(bit, _)| word >> bit & 1 == 0);
                    others.for_each(|(_, it)| edit(it));
                }
            }
        }
    }
}

fn bit(token: TokenId) -> u32 {
    1 << (token % 32)
}

impl FromIterator<TokenId> for TokenSet {
    fn from_iter<I: IntoIterator<Item = TokenId>>(tokens: I) -> Self {
        let mut set = Self::default();
        for token in tokens {
            set.insert(token);
        }
        set
    }
}

impl Debug for TokenSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_tokens_that_were_put_in_and_not_removed() {
        let mut set: TokenSet = [70, 0, 31, 32, 70].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 31, 32, 70]);
        set.remove(31);
        set.remove(1000);
        assert!(set.contains(70) && !set.contains(31) && !set.contains(1000) && !set.is_empty());
        for token in [0, 32, 70] {
            set.remove(token);
        }
        assert!(set.is_empty());
    }

    #[test]
    fn the_values_of_all_other_tokens_are_edited() {
        let set: TokenSet = (32..64).chain([1, 65]).collect();
        let mut values = vec![0; 100];
        set.for_each_other(&mut values, |it| *it += 1);
        let kept: Vec<_> = (0..100).filter(|it| values[*it] == 0).collect();
        assert_eq!(kept, [1].into_iter().chain(32..64).chain([65]).collect::<Vec<_>>());
    }
}
