//! Text to tokens, for one model: tokenizer.json and what its neighbours say about beginnings and ends.
//!
//! Text is always encoded as text: a control token's name inside it is spelt out in ordinary tokens. Control tokens
//! enter a prompt only by their id, through [`Tokenizer::encode_chat`] and the fill-in-the-middle formats.

mod bytes;
mod control;
mod ends;
mod folder;
mod sample;

use std::path::Path;

use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;

pub(crate) use self::bytes::LeadingStrip;
pub(crate) use self::control::{ControlTokens, Piece};
pub use self::folder::TokenizerParts;
#[cfg(test)]
pub(crate) use self::sample::byte_parts;

use self::bytes::TokenBytes;
use crate::chat::ChatTemplates;
use crate::{TextError, TokenId};

/// A model's tokenizer, chat template and end tokens. Immutable; share it in an `Arc`.
#[derive(Debug)]
pub struct Tokenizer {
    /// Parses no control tokens.
    inner: tokenizers::Tokenizer,
    /// The same for text that does not begin a prompt, where that makes a difference: SentencePiece tokenizers
    /// of the `first` scheme put a space before the first word of the prompt only.
    inner_later: Option<tokenizers::Tokenizer>,
    control: ControlTokens,
    bytes: TokenBytes,
    /// Put before a raw prompt, on top of what `inner` adds by itself.
    bos: Option<TokenId>,
    templates: ChatTemplates,
    end_tokens: Vec<TokenId>,
}

impl Tokenizer {
    /// Reads a model folder in the layout of the Hugging Face hub. Only tokenizer.json must be there.
    pub fn from_folder(dir: &Path) -> Result<Self, TextError> {
        Self::from_parts(&TokenizerParts::read(dir)?)
    }

    pub fn from_parts(parts: &TokenizerParts) -> Result<Self, TextError> {
        let refused = |err: tokenizers::Error| TextError::BadTokenizer { reason: err.to_string() };
        let mut inner = tokenizers::Tokenizer::from_bytes(&parts.tokenizer_json).map_err(refused)?;
        inner.with_truncation(None).map_err(refused)?.with_padding(None);
        let marked_control = inner
            .get_added_tokens_decoder()
            .into_values()
            .filter(control::is_control)
            .map(|token| token.special(true))
            .collect::<Vec<_>>();
        inner.add_special_tokens(marked_control).map_err(refused)?;
        inner.set_encode_special_tokens(true);
        // A vocabulary without a way out for unknown characters fails here, not in the middle of a request.
        inner.encode_fast("\u{10FFFD}\u{0} a", false).map_err(refused)?;

        let added = inner.get_added_tokens_decoder().into_iter();
        let control = ControlTokens::new(added.filter(|(_, token)| control::is_control(token)));
        let bytes = TokenBytes::new(&inner)?;
        let inner_later = later_variant(&inner);
        let templates = ChatTemplates::new(parts)?;
        let mut tokenizer =
            Self { inner, inner_later, control, bytes, bos: None, templates, end_tokens: Vec::new() };
        tokenizer.bos = tokenizer.missing_bos(parts);
        tokenizer.end_tokens = ends::find(&tokenizer, parts);
        Ok(tokenizer)
    }

    /// Tokens of a text from a user: no control tokens, no beginning-of-sequence token.
    pub fn encode_text(&self, text: &str) -> Vec<TokenId> {
        encode(&self.inner, text, false)
    }

    /// Tokens of a raw prompt: as [`Self::encode_text`], with the beginning-of-sequence token where the model's
    /// tokenizer adds one.
    pub fn encode_prompt(&self, text: &str) -> Vec<TokenId> {
        self.bos.into_iter().chain(encode(&self.inner, text, true)).collect()
    }

    /// Tokens of a rendered prompt in which control tokens are control tokens. `unmark` turns the text between them
    /// into what is encoded.
    pub(crate) fn encode_rendered(&self, rendered: &str, unmark: impl Fn(&str) -> String) -> Vec<TokenId> {
        let mut tokens = Vec::new();
        for (idx, piece) in self.control.split(rendered).into_iter().enumerate() {
            match piece {
                Piece::Control(token) => tokens.push(token),
                Piece::Text(text) if idx == 0 => tokens.extend(self.encode_text(&unmark(text))),
                Piece::Text(text) => tokens.extend(self.encode_later(&unmark(text))),
            }
        }
        tokens
    }

    /// Tokens of a text from a user that does not begin its prompt.
    pub(crate) fn encode_later(&self, text: &str) -> Vec<TokenId> {
        encode(self.inner_later.as_ref().unwrap_or(&self.inner), text, false)
    }

    /// The id of a control token; `None` for text, even if it is in the vocabulary.
    pub(crate) fn control_token(&self, token: &str) -> Option<TokenId> {
        self.control.named(token)
    }

    pub fn token_to_id(&self, token: &str) -> Option<TokenId> {
        self.inner.token_to_id(token)
    }

    /// One more than the largest token id. The model's logits may be padded beyond it.
    pub fn vocabulary_size(&self) -> usize {
        self.bytes.n_tokens()
    }

    /// Every token that ends a chat turn or a text, in ascending order: `eos_token_id` of config.json and
    /// generation_config.json, the tokenizer's `eos_token`, and what the chat template puts after an answer.
    pub fn end_tokens(&self) -> &[TokenId] {
        &self.end_tokens
    }

    pub(crate) fn control(&self) -> &ControlTokens {
        &self.control
    }

    pub(crate) fn templates(&self) -> &ChatTemplates {
        &self.templates
    }

    pub(crate) fn token_bytes(&self, token: TokenId) -> &[u8] {
        self.bytes.of(token)
    }

    pub(crate) fn leading_strip(&self) -> LeadingStrip {
        self.bytes.leading
    }

    /// The `bos_token` of a configuration that asks for one which tokenizer.json's post-processor does not add.
    fn missing_bos(&self, parts: &TokenizerParts) -> Option<TokenId> {
        let wants_bos = parts.tokenizer_config.as_ref()?.get("add_bos_token")?.as_bool()?;
        let bos = self.token_to_id(&parts.special_token("bos_token")?)?;
        (wants_bos && !encode(&self.inner, "", true).contains(&bos)).then_some(bos)
    }
}

fn encode(inner: &tokenizers::Tokenizer, text: &str, add_special_tokens: bool) -> Vec<TokenId> {
    inner
        .encode_fast(text, add_special_tokens)
        .expect("encoding fails only for a vocabulary without unknown or byte tokens, which loading refuses")
        .get_ids()
        .to_vec()
}

/// The tokenizer for all but the first piece of a prompt; `None` where position makes no difference.
fn later_variant(inner: &tokenizers::Tokenizer) -> Option<tokenizers::Tokenizer> {
    let Some(PreTokenizerWrapper::Metaspace(metaspace)) = inner.get_pre_tokenizer() else { return None };
    if metaspace.prepend_scheme != PrependScheme::First {
        return None;
    }
    let mut metaspace = metaspace.clone();
    metaspace.set_prepend_scheme(PrependScheme::Never);
    let mut later = inner.clone();
    later.with_pre_tokenizer(Some(metaspace));
    Some(later)
}
