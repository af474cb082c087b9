//! The vocabulary in the order of its bytes: [`TokensByBytes`].

use super::bytes::TokenBytes;
use super::control::ControlTokens;
use crate::TokenId;

/// All tokens that stand for bytes, in the order of their bytes: those that begin alike stand together.
#[derive(Debug)]
pub(crate) struct TokensByBytes {
    ids: Vec<TokenId>,
}

impl TokensByBytes {
    /// `bytes` are those of all tokens, here and in every later call.
    pub(crate) fn new(bytes: &TokenBytes, control: &ControlTokens) -> Self {
        let n_tokens = TokenId::try_from(bytes.n_tokens()).unwrap_or(TokenId::MAX);
        let mut ids: Vec<TokenId> =
            (0..n_tokens).filter(|&it| !bytes.of(it).is_empty() && !control.contains(it)).collect();
        ids.sort_by_key(|&it| bytes.of(it));
        Self { ids }
    }

    /// Tokens whose bytes begin with `start`.
    pub(crate) fn beginning_with(&self, bytes: &TokenBytes, start: &[u8]) -> &[TokenId] {
        let from = self.ids.partition_point(|&it| bytes.of(it) < start);
        let n = self.ids[from..].partition_point(|&it| bytes.of(it).starts_with(start));
        &self.ids[from..from + n]
    }

    /// Tokens whose bytes `text` begins with, itself left out.
    pub(crate) fn beginning(&self, bytes: &TokenBytes, text: &[u8]) -> Vec<TokenId> {
        let shorter = (1..text.len()).flat_map(|n| {
            let start = &text[..n];
            let same = self.beginning_with(bytes, start).iter();
            same.take_while(move |&&it| bytes.of(it) == start)
        });
        shorter.copied().collect()
    }
}
