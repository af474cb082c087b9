//! The special tokens that mark parts of a model's turn: [`TurnMarks`].
//!
//! Special tokens are no text. In a turn, those that mark reasoning and calls of tools have to be, since
//! [`crate::TurnReader`] tells the parts apart by them.

use std::collections::HashMap;

use super::control::ControlTokens;
use crate::TokenId;
use crate::chat::ChatTemplates;
use crate::turn::TurnFormat;

/// What a model's turns look like, and the texts of the special tokens in them.
#[derive(Debug)]
pub(crate) struct TurnMarks {
    pub(super) format: TurnFormat,
    texts: HashMap<TokenId, Vec<u8>>,
}

impl TurnMarks {
    pub(super) fn new(
        templates: &ChatTemplates,
        inner: &tokenizers::Tokenizer,
        control: &ControlTokens,
    ) -> Self {
        let format = TurnFormat::detect(&templates.sources(), |it| inner.token_to_id(it).is_some());
        let texts = format.marks().into_iter().filter_map(|it| Some((control.named(it)?, it.into())));
        Self { format, texts: texts.collect() }
    }

    /// The text of a special token; empty if it is no mark.
    pub(crate) fn text(&self, token: TokenId) -> &[u8] {
        self.texts.get(&token).map_or(&[], Vec::as_slice)
    }
}
