//! Text to tokens, for one model: [`Tokenizer`], made from tokenizer.json and from what the files beside it say about
//! the first and last tokens.
//!
//! Text is always encoded as text: the name of a control token inside it is spelt out in ordinary tokens. Control
//! tokens enter a prompt only by id, through [`Tokenizer::encode_chat`] and the fill-in-the-middle formats.

mod by_bytes;
mod bytes;
mod control;
mod ends;
mod folder;
mod marks;
mod pieces;
mod sample;
mod size;
mod unspellable;

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokenizers::AddedToken;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;

pub(crate) use self::bytes::LeadingStrip;
#[cfg(test)]
pub(crate) use self::bytes::char_of_byte;
pub(crate) use self::control::{ControlTokens, Piece, is_control};
pub(crate) use self::folder::SPECIAL_TOKENS;
pub use self::folder::TokenizerParts;
#[cfg(test)]
pub(crate) use self::sample::{byte_parts, bytes_with};

use self::by_bytes::TokensByBytes;
use self::bytes::TokenBytes;
use self::marks::TurnMarks;
use self::pieces::{Cuts, PIECE_BYTES};
use crate::chat::ChatTemplates;
use crate::constraint::Grammars;
use crate::pause::go_on;
use crate::turn::TurnFormat;
use crate::{TextError, TokenId, model_json};

/// A model's tokenizer, chat template and end tokens. It is immutable; share it in an `Arc`.
#[derive(Debug)]
pub struct Tokenizer {
    /// Encodes control tokens' names as ordinary text.
    inner: Arc<tokenizers::Tokenizer>,
    /// `inner` for text that does not begin a prompt; `None` if that makes no difference. SentencePiece tokenizers with
    /// the prepend scheme `first` put a space before the first word of the prompt only.
    inner_later: Option<Arc<tokenizers::Tokenizer>>,
    /// `inner` for text that continues in the middle of a word; `None` if that makes no difference from `inner_later`.
    /// Some SentencePiece tokenizers put a space before the first word of everything they encode.
    inner_inside: Option<Arc<tokenizers::Tokenizer>>,
    /// Where long texts can be cut without changing their tokens; `None` if that is unknown.
    cuts: Option<Cuts>,
    control: ControlTokens,
    bytes: TokenBytes,
    /// The largest number of bytes of a text that one token can stand for; `None` without a bound.
    most_bytes: Option<usize>,
    /// Put before a raw prompt, in addition to what `inner` adds by itself.
    bos: Option<TokenId>,
    templates: ChatTemplates,
    marks: TurnMarks,
    end_tokens: Vec<TokenId>,
    /// Computed when it is first needed.
    by_bytes: OnceLock<TokensByBytes>,
    /// Made when a text must first have a format.
    grammars: OnceLock<Grammars>,
}

impl Tokenizer {
    /// Reads a model folder in the layout of the Hugging Face hub. Only tokenizer.json is required.
    pub fn from_folder(dir: &Path) -> Result<Self, TextError> {
        Self::from_parts(&TokenizerParts::read(dir)?)
    }

    /// Makes a tokenizer from the files' contents. An error if tokenizer.json is invalid or has an unsupported decoder.
    pub fn from_parts(parts: &TokenizerParts) -> Result<Self, TextError> {
        let refused = |err: tokenizers::Error| TextError::BadTokenizer { reason: err.to_string() };
        let mut inner = read(&parts.tokenizer_json)?;
        inner.with_truncation(None).map_err(refused)?.with_padding(None);
        let bytes = TokenBytes::new(&inner)?;
        let marked_control = inner
            .get_added_tokens_decoder()
            .into_values()
            .filter(control::is_control)
            .map(|token| token.special(true))
            .collect::<Vec<_>>();
        let names: Vec<String> = marked_control.iter().map(|it| it.content.clone()).collect();
        inner.add_special_tokens(marked_control).map_err(refused)?;
        inner.set_encode_special_tokens(true);
        unspellable::make(&mut inner, &names)?;
        // A vocabulary that cannot encode unknown characters fails here, and not in the middle of a request.
        inner.encode_fast("\u{10FFFD}\u{0} a", false).map_err(refused)?;

        let added = inner.get_added_tokens_decoder().into_iter();
        let control = ControlTokens::new(added.filter(|(_, token)| control::is_control(token)));
        let inner_later = later_variant(&inner).map(Arc::new);
        let inner_inside = inside_variant(&inner)?.map(Arc::new);
        let templates = ChatTemplates::new(parts);
        let marks = TurnMarks::new(&templates, &inner, &control);
        let mut tokenizer = Self {
            inner: Arc::new(inner),
            inner_later,
            inner_inside,
            cuts: None,
            control,
            bytes,
            most_bytes: None,
            bos: None,
            templates,
            marks,
            end_tokens: Vec::new(),
            by_bytes: OnceLock::new(),
            grammars: OnceLock::new(),
        };
        tokenizer.cuts =
            Cuts::of(&tokenizer.inner, &tokenizer.bytes, |it| encode(tokenizer.inside(), it, false));
        tokenizer.most_bytes = size::most_bytes_of_a_token(&tokenizer.inner, &tokenizer.bytes);
        tokenizer.bos = tokenizer.missing_bos(parts);
        tokenizer.end_tokens = ends::find(&tokenizer.inner, &tokenizer.control, &tokenizer.templates, parts);
        Ok(tokenizer)
    }

    /// The tokens of a user's text, without control tokens and without a beginning-of-sequence token.
    pub fn encode_text(&self, text: &str) -> Vec<TokenId> {
        self.encode_in_pieces(text, PIECE_BYTES)
    }

    /// Like [`Self::encode_text`], but encodes a long text in pieces of about `piece_bytes`. The tokens do not depend
    /// on that size.
    pub fn encode_in_pieces(&self, text: &str, piece_bytes: usize) -> Vec<TokenId> {
        self.encode_by(&self.inner, text, piece_bytes)
    }

    /// A lower bound for the number of tokens of a text, computed from its size alone. If even that is too many, the
    /// text need not be encoded.
    pub fn least_tokens(&self, text: &str) -> usize {
        self.most_bytes.map_or(0, |most| text.len().div_ceil(most))
    }

    /// The tokens of a raw prompt: like [`Self::encode_text`], plus the beginning-of-sequence token if the model's
    /// tokenizer adds one.
    pub fn encode_prompt(&self, text: &str) -> Vec<TokenId> {
        if text.len() <= PIECE_BYTES {
            return self.bos.into_iter().chain(encode(&self.inner, text, true)).collect();
        }
        // The tokens that are put around a text do not depend on it.
        let (bare, mut around) = (encode(&self.inner, "a", false), encode(&self.inner, "a", true));
        let start = around.windows(bare.len().max(1)).position(|it| it == bare).unwrap_or(0);
        around.splice(start..start + bare.len(), self.encode_text(text));
        self.bos.into_iter().chain(around).collect()
    }

    /// The tokens of a rendered prompt. Control tokens in it become control tokens; the text between them is passed
    /// through `unmark` and encoded as text.
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

    /// The tokens of a user's text that is not at the beginning of its prompt.
    pub(crate) fn encode_later(&self, text: &str) -> Vec<TokenId> {
        self.encode_by(self.inner_later.as_ref().unwrap_or(&self.inner), text, PIECE_BYTES)
    }

    /// The tokens of a text that continues a word or line, so no space is put before it, whatever it begins with.
    pub(crate) fn encode_inside(&self, text: &str) -> Vec<TokenId> {
        self.encode_by(self.inside(), text, PIECE_BYTES)
    }

    fn inside(&self) -> &Arc<tokenizers::Tokenizer> {
        self.inner_inside.as_ref().or(self.inner_later.as_ref()).unwrap_or(&self.inner)
    }

    /// Encodes a text piece by piece, the first piece with `first`. If the caller interrupts it, only the tokens of the
    /// pieces so far are returned.
    fn encode_by(&self, first: &tokenizers::Tokenizer, text: &str, piece_bytes: usize) -> Vec<TokenId> {
        let (mut tokens, mut rest, mut inner) = (Vec::new(), text, first);
        while go_on() {
            let cut = self.cuts.as_ref().and_then(|it| it.next(rest, piece_bytes));
            let (piece, later) = rest.split_at(cut.unwrap_or(rest.len()));
            let piece = encode(inner, piece, false);
            if later.is_empty() {
                // Most texts are one piece.
                if tokens.is_empty() {
                    return piece;
                }
                tokens.extend(piece);
                break;
            }
            tokens.extend(piece);
            (rest, inner) = (later, self.inside());
        }
        tokens
    }

    /// The id of a control token; `None` for an ordinary token, even if it is in the vocabulary.
    pub(crate) fn control_token(&self, token: &str) -> Option<TokenId> {
        self.control.named(token)
    }

    /// The id of any token of the vocabulary, by its name.
    pub fn token_to_id(&self, token: &str) -> Option<TokenId> {
        self.inner.token_to_id(token)
    }

    /// The largest token id plus one. The model's logits may be padded beyond it.
    pub fn vocabulary_size(&self) -> usize {
        self.bytes.n_tokens()
    }

    /// The first id that both tokenizers have and to which they give different names. If there is none, the models can
    /// exchange token ids; what only one of them has are control tokens that were added later.
    pub fn first_difference(&self, other: &Self) -> Option<TokenId> {
        let n_common = self.vocabulary_size().min(other.vocabulary_size());
        let differs = |id: &TokenId| self.inner.id_to_token(*id) != other.inner.id_to_token(*id);
        (0..TokenId::try_from(n_common).unwrap_or(TokenId::MAX)).find(differs)
    }

    /// Every token that ends a chat turn or a text, in ascending order: `eos_token_id` of config.json and
    /// generation_config.json, the tokenizer's `eos_token`, and what the chat template puts after an answer.
    pub fn end_tokens(&self) -> &[TokenId] {
        &self.end_tokens
    }

    /// The positions in a prompt at which its parts begin or end, such as messages, files and the text behind a cursor:
    /// those of its control tokens.
    pub fn borders(&self, prompt: &[TokenId]) -> Vec<usize> {
        self.control.positions(prompt)
    }

    pub(crate) fn control(&self) -> &ControlTokens {
        &self.control
    }

    pub(crate) fn templates(&self) -> &ChatTemplates {
        &self.templates
    }

    /// The tokens whose bytes begin with `start`.
    pub(crate) fn tokens_beginning_with(&self, start: &[u8]) -> &[TokenId] {
        self.by_bytes().beginning_with(&self.bytes, start)
    }

    /// The tokens whose bytes are a beginning of `text`, shorter than all of it.
    pub(crate) fn tokens_beginning(&self, text: &[u8]) -> Vec<TokenId> {
        self.by_bytes().beginning(&self.bytes, text)
    }

    fn by_bytes(&self) -> &TokensByBytes {
        self.by_bytes.get_or_init(|| TokensByBytes::new(&self.bytes, &self.control))
    }

    /// What follows grammars over this vocabulary. Takes up to a second at the first call.
    pub(crate) fn grammars(&self) -> &Grammars {
        self.grammars.get_or_init(|| {
            let n_tokens = TokenId::try_from(self.bytes.n_tokens()).unwrap_or(TokenId::MAX);
            let words = (0..n_tokens)
                .map(|it| if self.control.contains(it) { Vec::new() } else { self.bytes.of(it).to_vec() });
            let inner = Arc::clone(self.inside());
            Grammars::new(words.collect(), Box::new(move |text| encode(&inner, text, false)))
        })
    }

    pub(crate) fn token_bytes(&self, token: TokenId) -> &[u8] {
        self.bytes.of(token)
    }

    pub(crate) fn marks(&self) -> &TurnMarks {
        &self.marks
    }

    /// What the model's turns look like.
    pub fn turn_format(&self) -> TurnFormat {
        self.marks.format
    }

    pub(crate) fn leading_strip(&self) -> LeadingStrip {
        self.bytes.leading
    }

    /// The `bos_token`, if tokenizer_config.json asks for one that tokenizer.json's post-processor does not add.
    fn missing_bos(&self, parts: &TokenizerParts) -> Option<TokenId> {
        let wants_bos = folder::truth(parts.tokenizer_config.as_ref()?.get("add_bos_token")?)?;
        let bos = self.token_to_id(&parts.special_token("bos_token")?)?;
        (wants_bos && !encode(&self.inner, "", true).contains(&bos)).then_some(bos)
    }
}

/// Reads tokenizer.json. If the tokenizers library rejects it, it is read again in the manner of Python's JSON reader.
fn read(json: &[u8]) -> Result<tokenizers::Tokenizer, TextError> {
    let refused = |reason: String| TextError::BadTokenizer { reason };
    let read = || {
        read_in_parts(json).map_or_else(|| tokenizers::Tokenizer::from_bytes(json), Ok).or_else(|err| {
            let value = model_json::parse(json).map_err(|err| refused(err.to_string()))?;
            model_json::fields(&value).map_err(|_| refused(err.to_string()))
        })
    };
    // For some malformed files, the library has no error but a panic.
    catch_unwind(read).unwrap_or_else(|_| Err(refused("the tokenizers library cannot read it".to_owned())))
}

/// Reads tokenizer.json as the library does, if its model is one of byte pairs. The library copies such a file twice, as
/// generic values, before it makes a model of it, which takes long for a large vocabulary. `None` if the file is anything
/// else.
fn read_in_parts(json: &[u8]) -> Option<tokenizers::Tokenizer> {
    #[derive(Deserialize)]
    struct Added {
        #[expect(dead_code, reason = "the library insists on it, though it gives the ids itself")]
        id: TokenId,
        #[serde(flatten)]
        token: AddedToken,
    }
    let mut parts: BTreeMap<&str, &RawValue> = serde_json::from_slice(json).ok()?;
    let model: BPE = serde_json::from_str(parts.remove("model")?.get()).ok()?;
    let added: Vec<Added> =
        parts.remove("added_tokens").map_or(Some(Vec::new()), |it| serde_json::from_str(it.get()).ok())?;
    let empty: Box<RawValue> = serde_json::value::to_raw_value(&BPE::default()).ok()?;
    parts.insert("model", &empty);
    let mut inner = tokenizers::Tokenizer::from_bytes(serde_json::to_vec(&parts).ok()?).ok()?;
    inner.with_model(model).add_tokens(added.into_iter().map(|it| it.token)).ok()?;
    Some(inner)
}

/// Encodes a text in one go.
fn encode(inner: &tokenizers::Tokenizer, text: &str, add_special_tokens: bool) -> Vec<TokenId> {
    inner
        .encode_fast(text, add_special_tokens)
        .expect("encoding fails only for a vocabulary without unknown or byte tokens, which loading refuses")
        .get_ids()
        .to_vec()
}

/// The tokenizer for all but the first piece of a prompt; `None` if the position makes no difference.
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

/// The tokenizer for text in the middle of a word; `None` if it does not differ from that of [`later_variant`].
fn inside_variant(inner: &tokenizers::Tokenizer) -> Result<Option<tokenizers::Tokenizer>, TextError> {
    let refused = |err: &dyn std::fmt::Display| TextError::BadTokenizer { reason: err.to_string() };
    // A copy of a tokenizer takes a while, so it is made only if something changes.
    let mut changed: Option<tokenizers::Tokenizer> = None;
    if let Some(PreTokenizerWrapper::Metaspace(metaspace)) = inner.get_pre_tokenizer()
        && metaspace.prepend_scheme == PrependScheme::Always
    {
        let mut metaspace = metaspace.clone();
        metaspace.set_prepend_scheme(PrependScheme::Never);
        changed.get_or_insert_with(|| inner.clone()).with_pre_tokenizer(Some(metaspace));
    }
    let normalizer = serde_json::to_value(inner.get_normalizer()).map_err(|e| refused(&e))?;
    let is_prepend = |it: &serde_json::Value| it["type"] == "Prepend";
    let parts = normalizer["normalizers"].as_array().cloned().unwrap_or_else(|| vec![normalizer]);
    if parts.iter().any(is_prepend) {
        let kept: Vec<_> = parts.into_iter().filter(|it| !is_prepend(it)).collect();
        let kept = serde_json::json!({"type": "Sequence", "normalizers": kept});
        let normalizer: NormalizerWrapper = serde_json::from_value(kept).map_err(|e| refused(&e))?;
        let changed = changed.get_or_insert_with(|| inner.clone());
        changed.with_normalizer(Some(normalizer)).map_err(|e| refused(&e))?;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests;
