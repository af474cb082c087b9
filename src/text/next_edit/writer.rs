//! Builds the tokens of a prompt: [`Writer`]. Text between two control tokens is encoded in one go.

use crate::{TokenId, Tokenizer};

/// A prompt that is being written.
pub(super) struct Writer<'t> {
    tokenizer: &'t Tokenizer,
    tokens: Vec<TokenId>,
    /// Text that is still to be encoded.
    text: String,
}

impl<'t> Writer<'t> {
    pub(super) fn new(tokenizer: &'t Tokenizer) -> Self {
        Self { tokenizer, tokens: tokenizer.encode_prompt(""), text: String::new() }
    }

    /// Writes text, in which nothing is read as a control token.
    pub(super) fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Writes a mark of the format: the control token of this name, or its text in a vocabulary without that.
    pub(super) fn mark(&mut self, name: &str) {
        match self.tokenizer.control_token(name) {
            Some(token) => {
                self.flush();
                self.tokens.push(token);
            }
            None => self.text.push_str(name),
        }
    }

    /// Ends the line, unless the text since the last control token ends with a line end already.
    pub(super) fn end_line(&mut self) {
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    pub(super) fn into_tokens(mut self) -> Vec<TokenId> {
        self.flush();
        self.tokens
    }

    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        self.tokens.extend(self.tokenizer.encode_later(&text));
    }
}
