//! Tokens to text, one token at a time.
//!
//! A token is a few bytes, not text: an emoji may take four of them. [`Detokenizer::push`] gives out what is
//! final and keeps an incomplete character back; all pushes and the flush together equal [`Tokenizer::decode`]
//! of all tokens, wherever the stream is cut.

use std::sync::Arc;

use crate::TokenId;
use crate::tokenizer::{LeadingStrip, Tokenizer};

/// Incremental decoding of one text. Control tokens are not text and vanish.
#[derive(Debug)]
pub struct Detokenizer {
    tokenizer: Arc<Tokenizer>,
    /// The beginning of a character that is not complete yet; at most 3 bytes between pushes.
    pending: Vec<u8>,
    leading: LeadingStrip,
}

impl Detokenizer {
    /// For a text that stands for itself, a chat turn: where the tokenizer puts a space before the first word, it is
    /// taken away again.
    pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
        let leading = tokenizer.leading_strip();
        Self { tokenizer, pending: Vec::new(), leading }
    }

    /// For a text that goes on where a prompt stopped, a completion: the first word's space is part of it.
    pub fn continuing(tokenizer: Arc<Tokenizer>) -> Self {
        Self { tokenizer, pending: Vec::new(), leading: LeadingStrip::Nothing }
    }

    /// The text that became final with this token; empty while a character is incomplete. Bytes that can never
    /// become a character are U+FFFD.
    pub fn push(&mut self, token: TokenId) -> String {
        let bytes = self.tokenizer.token_bytes(token);
        strip_leading(&mut self.leading, bytes, &mut self.pending);
        take_final(&mut self.pending)
    }

    /// What is left when no more tokens come: U+FFFD for an incomplete character.
    pub fn flush(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

impl Tokenizer {
    /// The whole text of a chat turn's tokens, as [`Detokenizer::new`] gives it out in pieces.
    pub fn decode(&self, tokens: &[TokenId]) -> String {
        let mut leading = self.leading_strip();
        let mut bytes = Vec::new();
        for &token in tokens {
            strip_leading(&mut leading, self.token_bytes(token), &mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Appends a token's bytes, less what the start of a text loses.
fn strip_leading(leading: &mut LeadingStrip, mut bytes: &[u8], text: &mut Vec<u8>) {
    // A control token neither is text nor ends the start of it.
    if bytes.is_empty() {
        return;
    }
    match *leading {
        LeadingStrip::Nothing => text.extend(bytes),
        LeadingStrip::SpacesOfFirstToken => {
            text.extend(bytes.iter().filter(|&&byte| byte != b' '));
            *leading = LeadingStrip::Nothing;
        }
        LeadingStrip::Char { content, mut count } => {
            let mut buffer = [0; 4];
            let content_bytes = content.encode_utf8(&mut buffer).as_bytes();
            while count > 0
                && let Some(rest) = bytes.strip_prefix(content_bytes)
            {
                bytes = rest;
                count -= 1;
            }
            let over = count == 0 || !bytes.is_empty();
            *leading = if over { LeadingStrip::Nothing } else { LeadingStrip::Char { content, count } };
            text.extend(bytes);
        }
    }
}

/// Takes all but an incomplete character at the end, with the replacement characters of lossy decoding.
fn take_final(pending: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut n_taken = 0;
    for chunk in pending.utf8_chunks() {
        text.push_str(chunk.valid());
        n_taken += chunk.valid().len();
        let invalid = chunk.invalid();
        let at_end = n_taken + invalid.len() == pending.len();
        if invalid.is_empty() || (at_end && is_incomplete(invalid)) {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        n_taken += invalid.len();
    }
    pending.drain(..n_taken);
    text
}

/// Whether more bytes could still make this a character.
fn is_incomplete(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|err| err.valid_up_to() == 0 && err.error_len().is_none())
}
