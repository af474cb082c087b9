//! Token healing: completes a word at the cursor with the tokens that the model would use for the whole word.
//!
//! A user often stops typing inside a word, and a prompt that ends there shows the model a sequence of tokens that it
//! has not seen in training: `return` is one token, so `ret` and `u` are never followed by its rest. So
//! [`healing_start`] removes the last piece of the prefix from the prompt, and [`Healing`] restricts the first
//! generated tokens to those that spell the piece again; what they spell beyond it is the completion. The same is done
//! for the space after `return`, which belongs to the next word's token.
//!
//! With greedy sampling, the result is what the model says after the shortened prompt, if that begins with the piece,
//! and otherwise the most likely continuation that does, token by token.

use std::ops::Range;
use std::sync::Arc;

use crate::rules::left_of;
use crate::{TokenId, Tokenizer};

/// The maximum length in bytes of a word that is taken back. A longer one is unlikely to be half typed; it may be data.
const MAX_WORD_BYTES: usize = 48;
/// Only this many bytes before the cursor, within its line, are encoded: text farther away does not affect how the last
/// tokens are cut.
const MAX_LINE_BYTES: usize = 400;

/// The byte offset in `prefix` of the piece to remove from the prompt; the length of `prefix` if there is none.
///
/// The piece is the word before the cursor. If no word has begun yet, it is the token before the cursor, provided that
/// a longer token begins with it: `print(` is often followed by `("`, and the next character typed may be that quote.
/// The piece also includes what the tokenizer puts into the same token as the beginning of the word: the space before
/// it, a point or a bracket. It never extends to the lines above the cursor's.
pub fn healing_start(tokenizer: &Tokenizer, prefix: &str) -> usize {
    let line = left_of(prefix);
    let mut far = line.len().saturating_sub(MAX_LINE_BYTES)..line.len();
    let line = far.find_map(|at| line.get(at..)).unwrap_or_default();
    let word = line.trim_end_matches(|it: char| it.is_alphanumeric() || it == '_').len();
    let n_word = line.len() - word;
    if n_word > MAX_WORD_BYTES || line.is_empty() {
        return prefix.len();
    }
    // Appends an arbitrary word, to see what would be in one token with it.
    let with_word = if n_word > 0 { line.to_owned() } else { format!("{line}a") };
    let mut start = token_around(tokenizer, &with_word, word).map_or(word, |it| it.start);
    if n_word == 0
        && let Some(last) = token_around(tokenizer, line, line.len() - 1)
        && tokenizer.tokens_beginning_with(&line.as_bytes()[last.start..]).len() > 1
    {
        start = start.min(last.start);
    }
    while !line.is_char_boundary(start) {
        start -= 1;
    }
    prefix.len() - line.len() + start
}

/// The range of the token of `text` that contains the byte `at`. `None` if the tokens do not spell the text byte by
/// byte.
fn token_around(tokenizer: &Tokenizer, text: &str, at: usize) -> Option<Range<usize>> {
    let mut ranges = Vec::new();
    let mut end = 0;
    for token in tokenizer.encode_inside(text) {
        let bytes = tokenizer.token_bytes(token);
        let range = end..end + bytes.len();
        if text.as_bytes().get(range.clone()) != Some(bytes) {
            return None;
        }
        end = range.end;
        ranges.push(range);
    }
    ranges.into_iter().find(|it| it.contains(&at))
}

/// Restricts the first generated tokens to those that spell the text removed from the prompt.
#[derive(Clone, Debug)]
pub struct Healing {
    tokenizer: Arc<Tokenizer>,
    text: String,
    /// The number of bytes of `text` generated so far. It exceeds the length of `text` if the last token goes on beyond
    /// it.
    n_drawn: usize,
    /// The tokens that may come next; empty once all of `text` was generated.
    allowed: Vec<TokenId>,
}

impl Healing {
    /// Makes the generated text begin with `text`. `None` if `text` is empty, or if no token can begin it.
    pub fn new(tokenizer: Arc<Tokenizer>, text: &str) -> Option<Self> {
        let mut healing = Self { tokenizer, text: text.to_owned(), n_drawn: 0, allowed: Vec::new() };
        healing.allow();
        (!healing.allowed.is_empty()).then_some(healing)
    }

    /// The text that was removed from the prompt and is generated again.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The only tokens that may be sampled next; `None` once all of the text was generated.
    pub fn allowed(&self) -> Option<&[TokenId]> {
        (!self.allowed.is_empty()).then_some(self.allowed.as_slice())
    }

    /// Whether the tokens so far spell nothing beyond the text.
    pub fn is_within(&self) -> bool {
        self.n_drawn <= self.text.len()
    }

    /// Takes the next sampled token, which must be one of the allowed ones.
    pub fn push(&mut self, token: TokenId) {
        self.n_drawn += self.tokenizer.token_bytes(token).len();
        self.allow();
    }

    /// Computes the tokens that may come next.
    fn allow(&mut self) {
        let left = self.text.as_bytes().get(self.n_drawn..).unwrap_or_default();
        if left.is_empty() {
            self.allowed = Vec::new();
            return;
        }
        let mut allowed = self.tokenizer.tokens_beginning_with(left).to_vec();
        allowed.extend(self.tokenizer.tokens_beginning(left));
        self.allowed = allowed;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::tokenizer::byte_parts;

    /// A byte-level tokenizer with `words` as further tokens, from id 300 on.
    fn with_words(words: &[&str]) -> Arc<Tokenizer> {
        let mut parts = byte_parts();
        let mut json: serde_json::Value = serde_json::from_slice(&parts.tokenizer_json).unwrap();
        for (word, id) in words.iter().zip(300..) {
            json["model"]["vocab"][*word] = json!(id);
        }
        parts.tokenizer_json = json.to_string().into_bytes();
        Arc::new(Tokenizer::from_parts(&parts).unwrap())
    }

    fn allowed(healing: &Healing) -> Vec<TokenId> {
        let mut tokens = healing.allowed().unwrap_or_default().to_vec();
        tokens.sort_unstable();
        tokens
    }

    #[test]
    fn the_first_token_begins_with_the_text_or_the_text_with_it() {
        let tokenizer = with_words(&["return", "re", "retu", "ret", "returned", "rex", "turn"]);
        let healing = Healing::new(tokenizer, "retu").unwrap();
        assert_eq!(allowed(&healing), [u32::from(b'r'), 300, 301, 302, 303, 304]);
    }

    #[test]
    fn it_goes_on_until_all_of_the_text_was_drawn() {
        let tokenizer = with_words(&["return", "re", "tu", "turn"]);
        let mut healing = Healing::new(tokenizer, "retu").unwrap();
        healing.push(301);
        assert_eq!(allowed(&healing), [u32::from(b't'), 302, 303]);
        healing.push(u32::from(b't'));
        assert_eq!(allowed(&healing), [u32::from(b'u')]);
        healing.push(u32::from(b'u'));
        assert_eq!(healing.allowed(), None);
        healing.push(300);
        assert_eq!(healing.allowed(), None);
    }

    #[test]
    fn a_character_may_come_byte_by_byte() {
        let mut healing = Healing::new(with_words(&[]), "é").unwrap();
        assert_eq!(allowed(&healing), [0xC3]);
        healing.push(0xC3);
        assert_eq!(allowed(&healing), [0xA9]);
    }

    /// A byte-level tokenizer with tokens of two bytes, from id 300 on.
    fn with_pairs(pairs: &[(char, char)]) -> Arc<Tokenizer> {
        let mut parts = byte_parts();
        let mut json: serde_json::Value = serde_json::from_slice(&parts.tokenizer_json).unwrap();
        for ((first, second), id) in pairs.iter().zip(300..) {
            json["model"]["vocab"][format!("{first}{second}")] = json!(id);
            json["model"]["merges"].as_array_mut().unwrap().push(json!(format!("{first} {second}")));
        }
        parts.tokenizer_json = json.to_string().into_bytes();
        Arc::new(Tokenizer::from_parts(&parts).unwrap())
    }

    #[test]
    fn what_is_taken_back_is_the_word_and_what_belongs_to_its_first_token() {
        let tokenizer = with_pairs(&[('Ġ', 'f'), ('Ġ', 'a'), ('.', 'f'), ('(', '"')]);
        let table = [
            ("x = foo", "x ="),
            ("x = bar", "x = "),
            ("x.foo", "x"),
            ("x.bar", "x."),
            ("    foo", "   "),
            ("\nfoo", "\n"),
            ("foo", ""),
            ("é été", "é "),
            // In the following, no word has begun.
            ("x = ", "x ="),
            ("    ", "   "),
            ("x(", "x"),
            ("x)", "x)"),
            ("x\n", "x\n"),
            ("", ""),
        ];
        for (prefix, kept) in table {
            assert_eq!(&prefix[..healing_start(&tokenizer, prefix)], kept, "of {prefix:?}");
        }
        let data = "a".repeat(MAX_WORD_BYTES + 1);
        assert_eq!(healing_start(&tokenizer, &data), data.len());
        let long = "é".repeat(MAX_LINE_BYTES) + " foo";
        assert_eq!(healing_start(&tokenizer, &long), long.len() - 4);
    }

    #[test]
    fn control_tokens_never_spell_a_text() {
        let healing = Healing::new(with_words(&[]), "<").unwrap();
        assert_eq!(allowed(&healing), [u32::from(b'<')]);
        assert!(Healing::new(with_words(&[]), "").is_none());
    }
}
