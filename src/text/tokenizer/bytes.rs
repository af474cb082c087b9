//! The bytes that each token stands for, computed once from the vocabulary and the tokenizer's decoder.
//!
//! If the two contradict each other, the vocabulary is right: some converted models have a byte-level vocabulary with a
//! SentencePiece decoder, which would show every space as `Ġ`.
//!
//! Decoding is then concatenation, and so can be incremental. What a decoder does to the whole text (strip a leading
//! space) is kept separately, in [`LeadingStrip`]. Byte tokens (`<0xE5>`) become plain bytes, as in mlx_lm;
//! `tokenizers` would turn a whole run of them into U+FFFD if one is invalid.

use std::collections::HashMap;

use serde_json::Value;

use crate::{TextError, TokenId};

/// What is removed at the start of a decoded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeadingStrip {
    Nothing,
    /// This character, up to `count` times: SentencePiece puts a space before the first word.
    Char {
        content: char,
        count: usize,
    },
    /// All spaces of the first token, as in the `Metaspace` decoder.
    SpacesOfFirstToken,
}

/// The limit for token ids, since memory is taken for each id up to the greatest. The largest vocabularies have a
/// quarter of a million tokens.
const MAX_TOKENS: TokenId = 1 << 24;

/// The bytes of all tokens, one after the other.
#[derive(Debug)]
pub(crate) struct TokenBytes {
    bytes: Vec<u8>,
    /// `ends[id]` is the offset in `bytes` where the token's bytes end. They begin where those of the previous token
    /// end.
    ends: Vec<u32>,
    pub(crate) leading: LeadingStrip,
}

impl TokenBytes {
    /// Computes the bytes of all tokens. Tokens that tokenizer.json marks as special have none, as in transformers.
    /// These are fewer than the control tokens, which are never read from text.
    pub(crate) fn new(inner: &tokenizers::Tokenizer) -> Result<Self, TextError> {
        let decoder = serde_json::to_value(inner.get_decoder())
            .map_err(|err| TextError::BadTokenizer { reason: err.to_string() })?;
        let added = inner.get_added_tokens_decoder();
        // Copies all names, so it is done once.
        let vocabulary = inner.get_vocab(false);
        let rules = Rules::new(&decoder, Alphabet::of(&vocabulary))?;
        let greatest = vocabulary.values().chain(added.keys()).copied().max();
        if let Some(id) = greatest.filter(|it| *it >= MAX_TOKENS) {
            let reason = format!("token ids must be below {MAX_TOKENS}, got {id}");
            return Err(TextError::BadTokenizer { reason });
        }
        let n_tokens = greatest.map_or(0, |it| it + 1);
        let mut names: Vec<Option<&str>> = vec![None; n_tokens as usize];
        for (name, &id) in &vocabulary {
            names[id as usize] = Some(name);
        }
        for (&id, token) in &added {
            names[id as usize] = Some(&token.content).filter(|_| !token.special).map(String::as_str);
        }
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(names.len());
        for name in names {
            if let Some(name) = name {
                rules.append(name, &mut bytes);
            }
            let end = u32::try_from(bytes.len()).map_err(|_| TextError::BadTokenizer {
                reason: "the vocabulary's text is larger than 4 GiB".to_owned(),
            })?;
            ends.push(end);
        }
        Ok(Self { bytes, ends, leading: rules.leading })
    }

    /// The token's bytes; empty for special tokens and ids outside the vocabulary.
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
    /// In the printable alphabet of GPT-2.
    ByteLevel,
    /// As themselves, with `▁` for a space, and `<0x0A>` for a byte that no other token has.
    SentencePiece,
    Unknown,
}

impl Alphabet {
    /// Recognizes the alphabet. In one of the two ways, vocabularies have nearly all bytes as tokens of their own:
    /// SmolLM2's lacks the 21 that did not occur in its training text. Some vocabularies have a stray token in the
    /// other way.
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

/// Seven of eight bytes. Of the 256 characters that stand for bytes, 188 stand for the byte of their own number, so a
/// vocabulary of another kind may have those, too. With this many, it also has most of the others.
const MOST_BYTES: usize = 224;

/// What a decoder does to one token.
enum Step {
    /// Converts GPT-2's printable alphabet back to bytes.
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
    /// Whether the steps from here on apply to the whole text.
    fused: bool,
}

impl Rules {
    /// The rules of the decoder, or those of the vocabulary if they contradict each other. Fails if a decoder that is
    /// needed is not supported.
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
                // What to strip at the end of a text is not known before the text ends, and no language model strips
                // every token.
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
                    // Added tokens are not written in the alphabet: if a character is not in it, the token stands for
                    // itself.
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

/// The character for a byte in GPT-2's byte-level alphabet.
pub(crate) fn char_of_byte(byte: u8) -> char {
    if is_plain(byte) {
        return char::from(byte);
    }
    let nth = (0..byte).filter(|&other| !is_plain(other)).count();
    // At most 68 bytes are not plain, so the number stays far below the surrogates.
    u32::try_from(nth).ok().and_then(|nth| char::from_u32(256 + nth)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn byte_of_char(written: char) -> Option<u8> {
    match u8::try_from(u32::from(written)) {
        Ok(byte) => is_plain(byte).then_some(byte),
        Err(_) => (0..=u8::MAX).filter(|&byte| !is_plain(byte)).nth((u32::from(written) - 256) as usize),
    }
}
