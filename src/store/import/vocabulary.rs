//! The vocabulary of a GGUF file, checked: tokens, their kinds, and the ids of special tokens.
//!
//! [`super::tokenizer`] turns it into tokenizer.json.

use std::collections::HashMap;

use super::keys;
use crate::error::StoreError;
use crate::gguf::{GgufFile, Metadata, Value};

/// The texts of control tokens that end a turn or a document in the supported models. A file often names only one of
/// them, and a model that generates past the others goes on until the limit. llama.cpp's vocabulary loader does the
/// same.
const END_TEXTS: [&str; 9] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<|EOT|>",
    "<end_of_turn>",
    "</s>",
];

/// What a token is, as `tokenizer.ggml.token_type` numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Normal,
    Unknown,
    /// Has a special meaning for the model and is never part of a text.
    Control,
    /// Matched as a whole before the text is split, such as `<tool_call>`.
    UserDefined,
    Unused,
    /// One byte, for characters without a token of their own, such as `<0x0A>`.
    Byte,
}

impl TokenKind {
    fn from_code(code: &Value) -> Option<Self> {
        Some(match code.as_count()? {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => return None,
        })
    }
}

pub(super) struct Vocabulary<'a> {
    /// Indexed by id.
    pub(super) tokens: Vec<(&'a str, TokenKind)>,
    pub(super) ids: HashMap<&'a str, u32>,
    pub(super) bos: Option<u32>,
    pub(super) unknown: Option<u32>,
    pub(super) padding: Option<u32>,
    /// All ids that end generation; the `eos` of the file comes first.
    pub(super) ends: Vec<u32>,
}

impl<'a> Vocabulary<'a> {
    /// Reads and checks the vocabulary. `n_rows` is the number of rows of the embedding; every id needs one.
    pub(super) fn read(gguf: &'a GgufFile, n_rows: usize) -> Result<Self, StoreError> {
        let metadata = &gguf.metadata;
        let texts = metadata
            .array("tokenizer.ggml.tokens")
            .ok_or_else(|| gguf.bad("it has no vocabulary (`tokenizer.ggml.tokens`)"))?;
        if texts.len() > n_rows {
            return Err(gguf.bad(format!(
                "`tokenizer.ggml.tokens` must have at most {n_rows} tokens, one for each row of \
                 `token_embd.weight`, got {}",
                texts.len()
            )));
        }
        let kinds = metadata.array("tokenizer.ggml.token_type");
        if kinds.is_some_and(|it| it.len() != texts.len()) {
            return Err(gguf.bad("`tokenizer.ggml.token_type` is not as long as the vocabulary"));
        }
        let mut tokens = Vec::with_capacity(texts.len());
        let mut ids = HashMap::with_capacity(texts.len());
        for (id, text) in (0_u32..).zip(texts) {
            let text = text.as_text().ok_or_else(|| gguf.bad(format!("token {id} is not a text")))?;
            let kind = match kinds.and_then(|it| it.get(id as usize)) {
                None => TokenKind::Normal,
                Some(kind) => TokenKind::from_code(kind).ok_or_else(|| {
                    let key = format!("tokenizer.ggml.token_type[{id}]");
                    keys::refusal(gguf, &key, "a whole number from 1 to 6", kind)
                })?,
            };
            tokens.push((text, kind));
            // llama.cpp's converter names the rows that the tokenizer does not use `[PADn]`; they are not tokens.
            if kind == TokenKind::Unused && text == format!("[PAD{id}]") {
                continue;
            }
            if ids.insert(text, id).is_some() {
                return Err(gguf.bad(format!("token `{text}` occurs twice in its vocabulary")));
            }
        }

        let role = |key: &str| -> Result<Option<u32>, StoreError> {
            let Some(value) = metadata.value(key) else { return Ok(None) };
            match (value, value.as_count().filter(|it| *it < tokens.len())) {
                (_, Some(id)) => Ok(u32::try_from(id).ok()),
                // Some converters write -1 for "none", some of them as an unsigned number.
                (Value::Signed(-1), _) => Ok(None),
                (Value::Unsigned(it), _) if *it == u64::from(u32::MAX) => Ok(None),
                _ => {
                    let expected = format!("a token's id, below {}", tokens.len());
                    Err(keys::refusal(gguf, key, &expected, value))
                }
            }
        };
        let mut ends = Vec::new();
        for key in ["eos", "eot", "eom"] {
            ends.extend(role(&format!("tokenizer.ggml.{key}_token_id"))?);
        }
        ends.extend(END_TEXTS.iter().filter_map(|text| {
            ids.get(text).copied().filter(|id| tokens[*id as usize].1 == TokenKind::Control)
        }));
        let mut seen = std::collections::HashSet::new();
        ends.retain(|id| seen.insert(*id));

        Ok(Self {
            bos: role("tokenizer.ggml.bos_token_id")?,
            unknown: role("tokenizer.ggml.unknown_token_id")?,
            padding: role("tokenizer.ggml.padding_token_id")?,
            tokens,
            ids,
            ends,
        })
    }

    /// The text of an id of this vocabulary.
    pub(super) fn text(&self, id: u32) -> &'a str {
        self.tokens[id as usize].0
    }

    /// The tokens that are matched in a text before it is split, in order of their ids.
    pub(super) fn added(&self) -> impl Iterator<Item = (u32, &'a str, TokenKind)> {
        (0_u32..).zip(&self.tokens).filter_map(|(id, &(text, kind))| {
            matches!(kind, TokenKind::Control | TokenKind::UserDefined | TokenKind::Unknown)
                .then_some((id, text, kind))
        })
    }
}

/// Whether texts get the bos token in front and the eos token at the end. `default_bos` applies if the file does not
/// say.
pub(super) fn adds_bos_and_eos(metadata: &Metadata, default_bos: bool) -> (bool, bool) {
    (
        metadata.flag("tokenizer.ggml.add_bos_token").unwrap_or(default_bos),
        metadata.flag("tokenizer.ggml.add_eos_token").unwrap_or(false),
    )
}
