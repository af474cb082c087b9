//! The vocabulary sorted by the bytes of its tokens: [`TokensByBytes`].

use super::bytes::TokenBytes;
use super::control::ControlTokens;
use crate::TokenId;

/// All tokens that stand for bytes, sorted by their bytes, so that tokens with a common beginning are adjacent. Control
/// tokens are left out.
#[derive(Debug)]
pub(crate) struct TokensByBytes {
    ids: Vec<TokenId>,
}

impl TokensByBytes {
    /// `bytes` has the bytes of all tokens. Every later call needs the same.
    pub(crate) fn new(bytes: &TokenBytes, control: &ControlTokens) -> Self {
        let n_tokens = TokenId::try_from(bytes.n_tokens()).unwrap_or(TokenId::MAX);
        let mut ids: Vec<TokenId> =
            (0..n_tokens).filter(|&it| !bytes.of(it).is_empty() && !control.contains(it)).collect();
        ids.sort_by_key(|&it| bytes.of(it));
        Self { ids }
    }

    /// The tokens whose bytes begin with `start`.
    pub(crate) fn beginning_with(&self, bytes: &TokenBytes, start: &[u8]) -> &[TokenId] {
        let from = self.ids.partition_point(|&it| bytes.of(it) < start);
        let n = self.ids[from..].partition_point(|&it| bytes.of(it).starts_with(start));
        &self.ids[from..from + n]
    }

    /// The tokens whose bytes are a beginning of `text`, but not all of it.
    pub(crate) fn beginning(&self, bytes: &TokenBytes, text: &[u8]) -> Vec<TokenId> {
        let shorter = (1..text.len()).flat_map(|n| {
            let start = &text[..n];
            let same = self.beginning_with(bytes, start).iter();
            same.take_while(move |&&it| bytes.of(it) == start)
        });
        shorter.copied().collect()
    }
}
