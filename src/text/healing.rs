//! Tokens across the cursor.
//!
//! Who types stops inside a word, and a prompt that ends there shows the model tokens that it never saw before such a
//! text: after `ret` and `u` comes nothing, where `return` would be one token. So the last piece of the prefix is
//! taken back from the prompt, and the first tokens that are drawn are held to those that spell it again; what they
//! say beyond it is the text. The same holds for the space behind `return`, which belongs to the next word's token. Greedy text is then what the model says after the shortened prompt, if that goes on with the
//! piece at all, and else the likeliest that does, token by token.

use std::ops::Range;
use std::sync::Arc;

use crate::rules::left_of;
use crate::{TokenId, Tokenizer};

/// Of a longer word, nobody stops in the middle; it may be data.
const MAX_WORD_BYTES: usize = 48;
/// What stands farther from the cursor in its line has no say in how its last tokens are cut.
const MAX_LINE_BYTES: usize = 400;

/// Where the piece begins that is to be taken back of a prefix; its end where nothing is.
///
/// That is the word that the cursor stands behind, and where no word has begun yet, the token before the cursor if
/// there are longer ones that begin like it: after `print(` comes `("`, and what is typed next may be that. The tokenizer
/// says what else belongs to the word's first token: the space before it, or a point, or a bracket. Lines above the
/// cursor's are never taken back.
pub fn healing_start(tokenizer: &Tokenizer, prefix: &str) -> usize {
    let line = left_of(prefix);
    let mut far = line.len().saturating_sub(MAX_LINE_BYTES)..line.len();
    let line = far.find_map(|at| line.get(at..)).unwrap_or_default();
    let word = line.trim_end_matches(|it: char| it.is_alphanumeric() || it == '_').len();
    let n_word = line.len() - word;
    if n_word > MAX_WORD_BYTES || line.is_empty() {
        return prefix.len();
    }
    // Any word, to see what would belong to it.
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

/// The bytes of the token of `text` that has the byte `at`. `None` where tokens do not spell the text byte by byte.
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

/// Holds the first tokens of a text to what was taken back from its prompt.
#[derive(Clone, Debug)]
pub struct Healing {
    tokenizer: Arc<Tokenizer>,
    text: String,
    /// How much of `text` was drawn again.
    n_drawn: usize,
    /// The tokens that may come next; none once all of `text` was drawn.
    allowed: Vec<TokenId>,
}

impl Healing {
    /// Holds a text to begin with `text`. `None` for no text, and where no token begins so.
    pub fn new(tokenizer: Arc<Tokenizer>, text: &str) -> Option<Self> {
        let mut healing = Self { tokenizer, text: text.to_owned(), n_drawn: 0, allowed: Vec::new() };
        healing.allow();
        (!healing.allowed.is_empty()).then_some(healing)
    }

    /// What was taken back, and comes again before the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The only tokens that may be drawn next; `None` once all of it was drawn.
    pub fn allowed(&self) -> Option<&[TokenId]> {
        (!self.allowed.is_empty()).then_some(self.allowed.as_slice())
    }

    /// Takes a drawn token, which was one of the allowed.
    pub fn push(&mut self, token: TokenId) {
        self.n_drawn += self.tokenizer.token_bytes(token).len();
        self.allow();
    }

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

    /// Bytes, and from 300 on the words.
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

    /// Bytes, and tokens of two of them.
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
            // No word has begun.
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
