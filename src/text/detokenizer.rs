//! Tokens to text, one token at a time.
//!
//! A token is a few bytes, not necessarily whole characters: an emoji may take four tokens. [`Detokenizer::push`]
//! returns the text that is final, and holds back an incomplete character. The results of all pushes and the flush
//! together equal [`Tokenizer::decode`] of all tokens, wherever the stream is cut.

use std::sync::Arc;

use crate::TokenId;
use crate::tokenizer::{LeadingStrip, Tokenizer};

/// Decodes the tokens of one text incrementally. Other special tokens than the marks of a turn produce no text.
#[derive(Debug)]
pub struct Detokenizer {
    tokenizer: Arc<Tokenizer>,
    /// The bytes of a character that is not complete yet; at most 3 between pushes.
    pending: Vec<u8>,
    leading: LeadingStrip,
    /// Whether the tokens that mark parts of a turn are text.
    is_turn: bool,
}

impl Detokenizer {
    /// Decodes a text of its own, such as a chat turn: if the tokenizer puts a space before the first word, that space
    /// is removed. The tokens that mark reasoning and calls of tools are text, as [`crate::TurnReader`] needs them.
    pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
        let leading = tokenizer.leading_strip();
        Self { tokenizer, pending: Vec::new(), leading, is_turn: true }
    }

    /// Decodes a text that continues a prompt, a completion: a space before the first word is part of it.
    pub fn continuing(tokenizer: Arc<Tokenizer>) -> Self {
        Self { tokenizer, pending: Vec::new(), leading: LeadingStrip::Nothing, is_turn: false }
    }

    /// The text that became final with this token; empty while a character is incomplete. Bytes that cannot be part of
    /// a character become U+FFFD.
    pub fn push(&mut self, token: TokenId) -> String {
        let bytes =
            if self.is_turn { turn_bytes(&self.tokenizer, token) } else { self.tokenizer.token_bytes(token) };
        strip_leading(&mut self.leading, bytes, &mut self.pending);
        take_final(&mut self.pending)
    }

    /// The text that is left when there are no more tokens: U+FFFD for an incomplete character, else nothing.
    pub fn flush(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

impl Tokenizer {
    /// The whole text of a chat turn's tokens, equal to the pieces that [`Detokenizer::new`] returns.
    pub fn decode(&self, tokens: &[TokenId]) -> String {
        let mut leading = self.leading_strip();
        let mut bytes = Vec::new();
        for &token in tokens {
            strip_leading(&mut leading, turn_bytes(self, token), &mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The bytes of a token in a model's turn, where the tokens that mark its parts are text, too.
fn turn_bytes(tokenizer: &Tokenizer, token: TokenId) -> &[u8] {
    match tokenizer.token_bytes(token) {
        [] => tokenizer.marks().text(token),
        bytes => bytes,
    }
}

/// Appends a token's bytes to `text`, without those that are stripped from the start of a text.
fn strip_leading(leading: &mut LeadingStrip, mut bytes: &[u8], text: &mut Vec<u8>) {
    // A special token is not text, and does not end the start of the text either.
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

/// Removes and returns everything except an incomplete character at the end. Invalid bytes become replacement
/// characters, as in lossy decoding.
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

/// Whether more bytes could complete these to a character.
fn is_incomplete(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|err| err.valid_up_to() == 0 && err.error_len().is_none())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::TokenizerParts;

    fn pieces(mut detokenizer: Detokenizer, tokens: &[TokenId]) -> Vec<String> {
        let mut pieces: Vec<String> = tokens.iter().map(|&token| detokenizer.push(token)).collect();
        pieces.push(detokenizer.flush());
        pieces
    }

    fn bytes() -> Arc<Tokenizer> {
        Arc::new(Tokenizer::bytes_for_tests())
    }

    fn ids(bytes: &[u8]) -> Vec<TokenId> {
        bytes.iter().map(|&byte| byte.into()).collect()
    }

    /// A tokenizer in the style of SentencePiece: tokens 0 to 255 are bytes, followed by words.
    fn sentence_piece(decoder: &Value) -> Arc<Tokenizer> {
        let bytes = (0..=u8::MAX).map(|byte| format!("<0x{byte:02X}>"));
        let words = ["▁Hello", "▁", "▁▁▁", "world", "日", "</s>"].map(str::to_owned);
        let vocabulary: serde_json::Map<String, Value> =
            bytes.chain(words).zip(0..).map(|(token, id)| (token, json!(id))).collect();
        let json = json!({
            "version": "1.0",
            "added_tokens": [{
                "id": 261, "content": "</s>", "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            }],
            "decoder": decoder,
            "model": {"type": "BPE", "vocab": vocabulary, "merges": [], "byte_fallback": true},
        });
        let parts =
            TokenizerParts { tokenizer_json: json.to_string().into_bytes(), ..TokenizerParts::default() };
        Arc::new(Tokenizer::from_parts(&parts).unwrap())
    }

    fn llama_decoder() -> Value {
        json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]})
    }

    const HELLO: TokenId = 256;
    const SPACE: TokenId = 257;
    const THREE_SPACES: TokenId = 258;
    const WORLD: TokenId = 259;
    const SUN: TokenId = 260;
    const END: TokenId = 261;

    #[test]
    fn a_character_of_four_bytes_comes_out_with_its_last_byte() {
        assert_eq!(pieces(Detokenizer::new(bytes()), &ids("a🦀".as_bytes())), ["a", "", "", "", "🦀", ""]);
    }

    #[test]
    fn bytes_that_never_become_a_character_come_out_as_soon_as_that_is_known() {
        assert_eq!(
            pieces(Detokenizer::new(bytes()), &ids(b"\xFFa\xE6\x97b")),
            ["\u{FFFD}", "a", "", "", "\u{FFFD}b", ""]
        );
    }

    #[test]
    fn an_incomplete_character_at_the_end_is_flushed_as_one_replacement() {
        assert_eq!(pieces(Detokenizer::new(bytes()), &ids(b"\xF0\x9F\xA6")), ["", "", "", "\u{FFFD}"]);
    }

    #[test]
    fn special_tokens_and_unknown_ids_are_no_text() {
        assert_eq!(bytes().decode(&[97, 258, 98, 256, 999_999]), "ab");
    }

    #[test]
    fn the_marks_of_a_turn_are_text_in_a_turn_only() {
        let mut parts = crate::tokenizer::byte_parts();
        let mut json: Value = serde_json::from_slice(&parts.tokenizer_json).unwrap();
        json["model"]["vocab"]["[THINK]"] = json!(265);
        let mut added = json["added_tokens"][0].clone();
        added["id"] = json!(265);
        added["content"] = json!("[THINK]");
        json["added_tokens"].as_array_mut().unwrap().push(added);
        parts.tokenizer_json = json.to_string().into_bytes();
        parts.chat_template = Some(json!("{{ messages }}[THINK][/THINK]"));
        let tokenizer = Arc::new(Tokenizer::from_parts(&parts).unwrap());
        assert_eq!(tokenizer.decode(&[258, 265, 97]), "[THINK]a");
        assert_eq!(pieces(Detokenizer::new(Arc::clone(&tokenizer)), &[258, 265, 97]).concat(), "[THINK]a");
        assert_eq!(pieces(Detokenizer::continuing(tokenizer), &[258, 265, 97]).concat(), "a");
    }

    #[test]
    fn the_first_words_space_is_taken_away_from_a_turn_and_kept_in_a_continuation() {
        let tokenizer = sentence_piece(&llama_decoder());
        let tokens = [END, HELLO, SPACE, WORLD, THREE_SPACES, SUN];
        assert_eq!(tokenizer.decode(&tokens), "Hello world   日");
        assert_eq!(pieces(Detokenizer::continuing(tokenizer), &tokens).concat(), " Hello world   日");
    }

    #[test]
    fn only_one_space_is_stripped_by_strip_and_all_of_the_first_token_by_metaspace() {
        let strip = sentence_piece(&llama_decoder());
        assert_eq!(strip.decode(&[THREE_SPACES, WORLD]), "  world");
        let metaspace =
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
        assert_eq!(sentence_piece(&metaspace).decode(&[THREE_SPACES, SPACE, WORLD]), " world");
        let never =
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": true});
        assert_eq!(sentence_piece(&never).decode(&[HELLO]), " Hello");
    }

    #[test]
    fn byte_tokens_join_into_characters() {
        let tokenizer = sentence_piece(&llama_decoder());
        let tokens = [HELLO, 0xF0, 0x9F, 0xA6, 0x80, 0x0A, 0xC3, WORLD];
        assert_eq!(
            pieces(Detokenizer::new(tokenizer), &tokens),
            ["Hello", "", "", "", "🦀", "\n", "", "\u{FFFD}world", ""]
        );
    }

    #[test]
    fn a_decoder_that_no_language_model_has_is_refused() {
        for decoder in [json!({"type": "WordPiece", "prefix": "##", "cleanup": true}), Value::Null] {
            let vocabulary = json!({"a": 0, "[UNK]": 1});
            let json = json!({
                "version": "1.0", "added_tokens": [], "decoder": decoder,
                "model": {"type": "WordPiece", "vocab": vocabulary, "unk_token": "[UNK]",
                    "continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
            });
            let parts =
                TokenizerParts { tokenizer_json: json.to_string().into_bytes(), ..TokenizerParts::default() };
            let err = Tokenizer::from_parts(&parts).unwrap_err();
            assert!(matches!(err, crate::TextError::UnsupportedDecoder { .. }), "{err}");
        }
    }

    fn byte_level_decoder() -> Value {
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false})
    }

    /// A byte-level vocabulary combined with any decoder, and with some tokens of several bytes. Like that of SmolLM2,
    /// it lacks 21 bytes.
    fn byte_level(decoder: &Value) -> Tokenizer {
        let mut vocabulary: serde_json::Map<String, Value> = (0..=u8::MAX)
            .filter(|byte| !matches!(byte, 1..=8 | 0xC0 | 0xC1 | 0xF5..))
            .map(|byte| (crate::tokenizer::char_of_byte(byte).to_string(), json!(byte)))
            .collect();
        vocabulary.insert("ĉyĠ=Ġ".to_owned(), json!(256));
        vocabulary.insert("Ċ".to_owned() + "Ġ", json!(257));
        let json = json!({
            "version": "1.0", "added_tokens": [], "decoder": decoder,
            "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
        });
        let parts =
            TokenizerParts { tokenizer_json: json.to_string().into_bytes(), ..TokenizerParts::default() };
        Tokenizer::from_parts(&parts).unwrap()
    }

    #[test]
    fn a_byte_level_vocabulary_is_decoded_as_one_whatever_the_decoder_says() {
        let metaspace =
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
        for decoder in [llama_decoder(), metaspace, Value::Null, byte_level_decoder()] {
            let tokenizer = byte_level(&decoder);
            assert_eq!(tokenizer.decode(&[32, 256, 257, 0xC3, 0xA9]), " \ty = \n é");
        }
    }

    #[test]
    fn a_sentence_piece_vocabulary_is_decoded_as_one_whatever_the_decoder_says() {
        let tokenizer = sentence_piece(&byte_level_decoder());
        assert_eq!(tokenizer.decode(&[HELLO, SPACE, WORLD, 0x0A, SUN]), "Hello world\n日");
    }

    proptest! {
        #[test]
        fn all_pieces_together_are_the_lossy_text_of_any_bytes(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let tokenizer = bytes();
            let expected = String::from_utf8_lossy(&text);
            prop_assert_eq!(tokenizer.decode(&ids(&text)), expected.as_ref());
            prop_assert_eq!(pieces(Detokenizer::new(tokenizer), &ids(&text)).concat(), expected.as_ref());
        }

        #[test]
        fn a_valid_text_is_never_given_out_in_broken_characters(text in "\\PC{0,20}") {
            let mut so_far = String::new();
            for piece in pieces(Detokenizer::new(bytes()), &ids(text.as_bytes())) {
                so_far.push_str(&piece);
                prop_assert!(text.starts_with(&so_far));
            }
            prop_assert_eq!(so_far, text);
        }

        #[test]
        fn pieces_equal_the_whole_with_byte_fallback_too(
            tokens in prop::collection::vec(prop_oneof![0_u32..262, 256_u32..262], 0..30),
        ) {
            let tokenizer = sentence_piece(&llama_decoder());
            let expected = tokenizer.decode(&tokens);
            prop_assert_eq!(pieces(Detokenizer::new(tokenizer), &tokens).concat(), expected);
        }
    }
}
