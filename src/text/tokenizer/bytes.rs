//! The bytes that each token stands for, worked out once from the vocabulary and the tokenizer's decoder.
//!
//! Where the two contradict each other the vocabulary is right: converted models have byte-level vocabularies with a
//! SentencePiece decoder, which would show every space as `Ġ`.
//!
//! Decoding is then concatenation, which is what makes it incremental. What a decoder does to the whole text
//! (strip a leading space) is kept apart in [`LeadingStrip`]. Byte tokens (`<0xE5>`) become plain bytes, as in
//! mlx_lm; `tokenizers` would turn a whole run of them into U+FFFD when one is invalid.

use std::collections::HashMap;

use serde_json::Value;

use crate::{TextError, TokenId};

/// What disappears at the start of a decoded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeadingStrip {
    Nothing,
    /// Up to `count` times this character: SentencePiece puts a space before the first word.
    Char {
        content: char,
        count: usize,
    },
    /// Every space of the first token, as the `Metaspace` decoder has it.
    SpacesOfFirstToken,
}

/// Memory is taken for each id up to the greatest. The largest vocabularies have a quarter of a million tokens.
const MAX_TOKENS: TokenId = 1 << 24;

/// Bytes of all tokens, end to end.
#[derive(Debug)]
pub(crate) struct TokenBytes {
    bytes: Vec<u8>,
    /// `ends[id]` is where the token's bytes end in `bytes`; they begin where the previous ones end.
    ends: Vec<u32>,
    pub(crate) leading: LeadingStrip,
}

impl TokenBytes {
    /// Special tokens have no bytes: those that the file calls special, as in transformers, which is fewer than we
    /// refuse to read from text.
    pub(crate) fn new(inner: &tokenizers::Tokenizer) -> Result<Self, TextError> {
        let decoder = serde_json::to_value(inner.get_decoder())
            .map_err(|err| TextError::BadTokenizer { reason: err.to_string() })?;
        let added = inner.get_added_tokens_decoder();
        let alphabet = Alphabet::of(&inner.get_vocab(false));
        let rules = Rules::new(&decoder, alphabet)?;
        let greatest = inner.get_vocab(true).into_values().max();
        if let Some(id) = greatest.filter(|it| *it >= MAX_TOKENS) {
            let reason = format!("token ids must be below {MAX_TOKENS}, got {id}");
            return Err(TextError::BadTokenizer { reason });
        }
        let n_tokens = greatest.map_or(0, |it| it + 1);
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for id in 0..n_tokens {
            let silent = added.get(&id).is_some_and(|token| token.special);
            if let Some(token) = inner.id_to_token(id).filter(|_| !silent) {
                rules.append(&token, &mut bytes);
            }
            let end = u32::try_from(bytes.len()).map_err(|_| TextError::BadTokenizer {
                reason: "the vocabulary's text is larger than 4 GiB".to_owned(),
            })?;
            ends.push(end);
        }
        Ok(Self { bytes, ends, leading: rules.leading })
    }

    /// The token's bytes; none for special tokens and ids outside the vocabulary.
    pub(crate) fn of(&self, token: TokenId) -> &[u8] {
        let Some(idx) = usize::try_from(token).ok().filter(|&idx| idx < self.ends.len()) else { return &[] };
        let start = idx.checked_sub(1).map_or(0, |previous| self.ends[previous] as usize);
        &self.bytes[start..self.ends[idx] as usize]
    }

    pub(crate) fn n_tokens(&self) -> usize {
        self.ends.len()
    }
}

/// How a vocabulary writes bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    /// In GPT-2's printable alphabet.
    ByteLevel,
    /// As themselves, with `▁` for a space and `<0x0A>` for what no token has.
    SentencePiece,
    Unknown,
}

impl Alphabet {
    /// Vocabularies have nearly all bytes as tokens of their own in one of the two ways: SmolLM2's lacks 21 of those that
    /// its training text did not have. Some have a stray token in the other way.
    fn of(vocabulary: &HashMap<String, TokenId>) -> Self {
        let n_named = (0..=u8::MAX).filter(|it| vocabulary.contains_key(&format!("<0x{it:02X}>"))).count();
        let n_written = (0..=u8::MAX)
            .filter(|&it| vocabulary.contains_key(char_of_byte(it).to_string().as_str()))
            .count();
        match (n_written >= MOST_BYTES, n_named >= MOST_BYTES) {
            (true, false) => Self::ByteLevel,
            (false, true) => Self::SentencePiece,
            _ => Self::Unknown,
        }
    }
}

/// Seven of eight bytes. Of the 256 characters that stand for bytes, 188 stand for themselves, so that a vocabulary of
/// another kind may have them, too; with this many it has most of those that stand for other bytes.
const MOST_BYTES: usize = 224;

/// What a decoder does to one token.
enum Step {
    /// GPT-2's printable alphabet back to bytes.
    ByteLevel,
    ByteFallback,
    Replace {
        pattern: String,
        content: String,
    },
}

struct Rules {
    steps: Vec<Step>,
    leading: LeadingStrip,
    /// Whether the steps from here on see the whole text.
    fused: bool,
}

impl Rules {
    /// The decoder's rules, or those of its vocabulary where they contradict each other.
    fn new(decoder: &Value, alphabet: Alphabet) -> Result<Self, TextError> {
        let mut rules = Self { steps: Vec::new(), leading: LeadingStrip::Nothing, fused: false };
        let read = rules.read(decoder);
        let is_byte_level = rules.steps.iter().any(|it| matches!(it, Step::ByteLevel));
        match alphabet {
            Alphabet::ByteLevel if !is_byte_level => {
                rules.steps = vec![Step::ByteLevel];
                rules.leading = LeadingStrip::Nothing;
            }
            Alphabet::SentencePiece if is_byte_level => {
                let space = Step::Replace { pattern: "▁".to_owned(), content: " ".to_owned() };
                rules.steps = vec![space, Step::ByteFallback];
                rules.leading = LeadingStrip::Char { content: ' ', count: 1 };
            }
            _ => read?,
        }
        Ok(rules)
    }

    fn read(&mut self, decoder: &Value) -> Result<(), TextError> {
        let kind = decoder["type"].as_str().unwrap_or("null");
        let unsupported = || TextError::UnsupportedDecoder { decoder: kind.to_owned() };
        match kind {
            "Sequence" => {
                for part in decoder["decoders"].as_array().ok_or_else(unsupported)? {
                    self.read(part)?;
                }
            }
            "ByteLevel" => {
                self.steps.push(Step::ByteLevel);
                self.fused = true;
            }
            "ByteFallback" => self.steps.push(Step::ByteFallback),
            "Fuse" => self.fused = true,
            "Metaspace" => {
                let pattern = decoder["replacement"].as_str().ok_or_else(unsupported)?.to_owned();
                self.steps.push(Step::Replace { pattern, content: " ".to_owned() });
                if decoder["prepend_scheme"] != "never" {
                    self.leading = LeadingStrip::SpacesOfFirstToken;
                }
            }
            "Replace" => {
                let pattern = decoder["pattern"]["String"].as_str().ok_or_else(unsupported)?.to_owned();
                let content = decoder["content"].as_str().ok_or_else(unsupported)?.to_owned();
                self.steps.push(Step::Replace { pattern, content });
            }
            "Strip" => {
                let content = decoder["content"].as_str().and_then(|it| it.chars().next());
                let count = decoder["start"].as_u64().and_then(|it| usize::try_from(it).ok());
                let (Some(content), Some(count)) = (content, count) else { return Err(unsupported()) };
                // Stripping at the end of a text is not known before the text ends, stripping each token is
                // not what any language model does.
                if decoder["stop"] != 0 || !self.fused {
                    return Err(unsupported());
                }
                self.leading = LeadingStrip::Char { content, count };
            }
            _ => return Err(unsupported()),
        }
        Ok(())
    }

    fn append(&self, token: &str, bytes: &mut Vec<u8>) {
        let mut text = token.to_owned();
        for step in &self.steps {
            match step {
                Step::Replace { pattern, content } => text = text.replace(pattern, content),
                Step::ByteFallback => {
                    if let Some(byte) = byte_token(&text) {
                        bytes.push(byte);
                        return;
                    }
                }
                Step::ByteLevel => {
                    // Added tokens are not written in the alphabet: one character outside it, and the token
                    // stands for itself.
                    match text.chars().map(byte_of_char).collect::<Option<Vec<u8>>>() {
                        Some(decoded) => bytes.extend(decoded),
                        None => bytes.extend(text.as_bytes()),
                    }
                    return;
                }
            }
        }
        bytes.extend(text.as_bytes());
    }
}

/// The byte of a token such as `<0x0A>`.
fn byte_token(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// Whether GPT-2's alphabet writes a byte as the character of the same number.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The character that GPT-2's byte-level alphabet writes for a byte.
pub(crate) fn char_of_byte(byte: u8) -> char {
    if is_plain(byte) {
        return char::from(byte);
    }
    let nth = (0..byte).filter(|&other| !is_plain(other)).count();
    // At most 68 bytes are not plain, so this stays far below the surrogates.
    u32::try_from(nth).ok().and_then(|nth| char::from_u32(256 + nth)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn byte_of_char(written: char) -> Option<u8> {
    match u8::try_from(u32::from(written)) {
        Ok(byte) => is_plain(byte).then_some(byte),
        Err(_) => (0..=u8::MAX).filter(|&byte| !is_plain(byte)).nth((u32::from(written) - 256) as usize),
    }
}
