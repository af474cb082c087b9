//! Finds places to cut a long text so that its pieces, each encoded by itself, have the tokens of the whole.
//!
//! Byte-pair tokenizers first split a text, from left to right, by the characters around each place, and then merge
//! within the parts. A place between two characters is a cut if
//! - no token of the vocabulary has the two next to each other, so that nothing is ever merged across the cut, and
//! - a word, a number or a run of signs ends there in every split in use, so that neither side of the cut affects how
//!   the other is split.
//!
//! Everything else that could matter (prefixes, suffixes, normalizers, splits of another kind) is tested when the
//! tokenizer is loaded, with a text full of cuts. A tokenizer that fails has no cuts, and its texts are encoded whole.

use tokenizers::ModelWrapper;

use super::bytes::TokenBytes;
use crate::TokenId;

/// The size in bytes from which on a text is cut at the next possible place. Encoding a piece takes about 30 ms.
pub(super) const PIECE_BYTES: usize = 32 * 1024;

/// A text with a cut of every kind, and with what splits depend on around them.
const TRIAL: &str = "fn main() {\n    let total_sum = first(a, b)[0] + 42;\r\n\tprintln!(\"it's {}\", x.y);\n\n\n}\n\
    // We've \u{4f60}\u{597d} \u{4e16}\u{754c}\n caf\u{e9} \u{2014} 3.14159 1234567 <b>e-mail</b>  two   three\n\
    x_1=2;y<3\nZ\tq \u{1F355} (ok) don\u{2019}t I'll\n";

/// The cuts of one tokenizer.
#[derive(Debug)]
pub(super) struct Cuts {
    /// For each byte, one bit for each ASCII character that follows it in some token.
    followers: Box<[u128; 256]>,
}

impl Cuts {
    /// `None` if no place is known to be a cut. `encode` encodes a text that begins in the middle of another one.
    pub(super) fn of(
        inner: &tokenizers::Tokenizer,
        bytes: &TokenBytes,
        encode: impl Fn(&str) -> Vec<TokenId>,
    ) -> Option<Self> {
        if !matches!(inner.get_model(), ModelWrapper::BPE(_)) {
            return None;
        }
        let mut followers = Box::new([0_u128; 256]);
        for token in (0..bytes.n_tokens()).filter_map(|it| TokenId::try_from(it).ok()) {
            for pair in bytes.of(token).windows(2) {
                if pair[1].is_ascii() {
                    followers[usize::from(pair[0])] |= 1 << pair[1];
                }
            }
        }
        let cuts = Self { followers };
        cuts.hold_for(&encode).then_some(cuts)
    }

    /// Whether the pieces of the trial text have the tokens of the whole.
    fn hold_for(&self, encode: &impl Fn(&str) -> Vec<TokenId>) -> bool {
        // Starts at the first cut, since the beginning of a text may be encoded differently.
        let Some(start) = self.next(TRIAL, 1) else { return false };
        let (mut tokens, mut rest) = (Vec::new(), &TRIAL[start..]);
        while let Some(at) = self.next(rest, 1) {
            let (piece, later) = rest.split_at(at);
            tokens.extend(encode(piece));
            rest = later;
        }
        tokens.extend(encode(rest));
        tokens == encode(&TRIAL[start..])
    }

    /// The first cut at or after the offset `from`; never 0.
    pub(super) fn next(&self, text: &str, from: usize) -> Option<usize> {
        let from = text.ceil_char_boundary(from.max(1));
        let mut before = text.get(..from)?.chars().next_back()?;
        for (at, it) in text[from..].char_indices() {
            if self.is_cut(before, it, text.as_bytes()[from + at - 1]) {
                return Some(from + at);
            }
            before = it;
        }
        None
    }

    /// `last_byte` is the last byte of `before`.
    fn is_cut(&self, before: char, after: char, last_byte: u8) -> bool {
        let ends = match after {
            ' ' | '\t' => !before.is_whitespace() && !before.is_control(),
            // Some splits keep signs together with the line breaks after them.
            '\n' | '\r' => is_word(before),
            // Some splits keep words together with what an apostrophe joins to them.
            '\'' => false,
            _ => after.is_ascii_punctuation() && is_word(before),
        };
        ends && self.followers[usize::from(last_byte)] & (1 << u32::from(after)) == 0
    }
}

/// Letters and digits that every split treats as such.
fn is_word(it: char) -> bool {
    it.is_ascii_alphanumeric() || matches!(it, '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Tokenizer;

    /// The cuts of a tokenizer whose tokens are the single bytes, so that no token spans any place.
    fn cuts() -> Cuts {
        Cuts { followers: Box::new([0; 256]) }
    }

    fn pieces<'a>(cuts: &Cuts, mut text: &'a str) -> Vec<&'a str> {
        let mut pieces = Vec::new();
        while let Some(at) = cuts.next(text, 1) {
            let (piece, rest) = text.split_at(at);
            pieces.push(piece);
            text = rest;
        }
        pieces.push(text);
        pieces
    }

    #[test]
    fn a_text_is_cut_behind_words_and_before_spaces() {
        assert_eq!(pieces(&cuts(), "if a1 == b;"), ["if", " a1", " ==", " b", ";"]);
        assert_eq!(pieces(&cuts(), "x\n\n9\t.\r\n\u{4f60}\n"), ["x", "\n\n9", "\t.\r\n\u{4f60}", "\n"]);
        // A sign may keep the line break after it, a word what an apostrophe joins to it, and whitespace is one run.
        assert_eq!(pieces(&cuts(), ";\n;  \ny's"), [";\n;", "  \ny's"]);
    }

    #[test]
    fn what_some_token_joins_is_not_cut() {
        let mut cuts = cuts();
        cuts.followers[usize::from(b'a')] |= 1 << b'(';
        assert_eq!(pieces(&cuts, "a(b(a b"), ["a(b", "(a", " b"]);
    }

    #[test]
    fn the_next_cut_is_looked_for_at_any_byte() {
        let text = "\u{e9}\u{e9} x";
        for from in 0..=4 {
            assert_eq!(cuts().next(text, from), Some(4), "{from}");
        }
        assert_eq!(cuts().next(text, 5), None);
        assert_eq!(cuts().next(text, 100), None);
    }

    #[test]
    fn pieces_of_any_size_have_the_tokens_of_the_whole() {
        let tokenizer = Tokenizer::bytes_for_tests();
        assert!(tokenizer.cuts.is_some());
        for piece_bytes in 1..100 {
            assert_eq!(
                tokenizer.encode_in_pieces(TRIAL, piece_bytes),
                tokenizer.encode_in_pieces(TRIAL, usize::MAX)
            );
        }
    }

    #[test]
    fn a_long_text_is_given_up_at_the_next_piece() {
        let tokenizer = Tokenizer::bytes_for_tests();
        let text = "word ".repeat(PIECE_BYTES);
        let mut n_asked = 0;
        let may_go_on = move || {
            n_asked += 1;
            n_asked <= 2
        };
        let tokens = crate::interruptible(may_go_on, || tokenizer.encode_text(&text));
        assert_eq!(tokens.len(), 2 * PIECE_BYTES + 3, "two pieces, up to the end of a word each");
        assert_eq!(tokenizer.encode_prompt(&text).len(), text.len());
    }
}
