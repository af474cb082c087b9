//! How much memory a model takes: [`Footprint`].

use serde::Serialize;

/// The memory that a model takes while it works on one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Footprint {
    pub weight_bytes: u64,
    /// What attention keeps for each token of the text.
    pub bytes_per_token: u64,
    pub n_tokens: u64,
}

impl Footprint {
    /// What the program, its tokenizer and the results of a step take besides.
    pub const OTHER_BYTES: u64 = 200 << 20;

    /// All of it together.
    pub fn bytes(&self) -> u64 {
        let state = self.bytes_per_token.saturating_mul(self.n_tokens);
        self.weight_bytes.saturating_add(state).saturating_add(Self::OTHER_BYTES)
    }
}
