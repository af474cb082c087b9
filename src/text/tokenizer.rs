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

use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;

pub(crate) use self::bytes::LeadingStrip;
#[cfg(test)]
pub(crate) use self::bytes::char_of_byte;
pub(crate) use self::control::{ControlTokens, Piece};
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
    tokenizers::Tokenizer::from_bytes(json).or_else(|err| {
        let refused = |reason: String| TextError::BadTokenizer { reason };
        let value = model_json::parse(json).map_err(|err| refused(err.to_string()))?;
        model_json::fields(&value).map_err(|_| refused(err.to_string()))
    })
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
    let mut changed = inner.clone();
    let mut is_changed = false;
    if let Some(PreTokenizerWrapper::Metaspace(metaspace)) = inner.get_pre_tokenizer()
        && metaspace.prepend_scheme == PrependScheme::Always
    {
        let mut metaspace = metaspace.clone();
        metaspace.set_prepend_scheme(PrependScheme::Never);
        changed.with_pre_tokenizer(Some(metaspace));
        is_changed = true;
    }
    let normalizer = serde_json::to_value(inner.get_normalizer()).map_err(|e| refused(&e))?;
    let is_prepend = |it: &serde_json::Value| it["type"] == "Prepend";
    let parts = normalizer["normalizers"].as_array().cloned().unwrap_or_else(|| vec![normalizer]);
    if parts.iter().any(is_prepend) {
        let kept: Vec<_> = parts.into_iter().filter(|it| !is_prepend(it)).collect();
        let kept = serde_json::json!({"type": "Sequence", "normalizers": kept});
        let normalizer: NormalizerWrapper = serde_json::from_value(kept).map_err(|e| refused(&e))?;
        changed.with_normalizer(Some(normalizer)).map_err(|e| refused(&e))?;
        is_changed = true;
    }
    Ok(is_changed.then_some(changed))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn edited(edit: impl FnOnce(&mut Value)) -> TokenizerParts {
        let mut parts = byte_parts();
        let mut json: Value = serde_json::from_slice(&parts.tokenizer_json).unwrap();
        edit(&mut json);
        parts.tokenizer_json = json.to_string().into_bytes();
        parts
    }

    #[test]
    fn tokenizers_differ_where_a_token_has_another_name_and_not_where_one_has_more() {
        let tokenizer = Tokenizer::bytes_for_tests();
        let named = |name: &str| {
            let parts = edited(|json| {
                json["added_tokens"][8]["content"] = json!(name);
                let vocabulary = json["model"]["vocab"].as_object_mut().unwrap();
                vocabulary.retain(|_, id| id != 264);
                vocabulary.insert(name.to_owned(), json!(264));
            });
            Tokenizer::from_parts(&parts).unwrap()
        };
        assert_eq!(tokenizer.first_difference(&named("<|file_sep|>")), None);
        assert_eq!(tokenizer.first_difference(&named("<|file_end|>")), Some(264));
        let mut parts = edited(|json| {
            let mut more = json["added_tokens"][8].clone();
            (more["id"], more["content"]) = (json!(265), json!("<tool_call>"));
            json["added_tokens"].as_array_mut().unwrap().push(more);
        });
        parts.tokenizer_config = None;
        let longer = Tokenizer::from_parts(&parts).unwrap();
        assert_eq!(longer.vocabulary_size(), 266);
        assert_eq!((tokenizer.first_difference(&longer), longer.first_difference(&tokenizer)), (None, None));
    }

    #[test]
    fn the_borders_of_a_prompt_are_at_its_control_tokens() {
        let tokenizer = Tokenizer::bytes_for_tests();
        let prompt = tokenizer.encode_rendered("<|im_start|>ab<|im_end|>\n<|im_start|>", str::to_owned);
        assert_eq!(tokenizer.borders(&prompt), [0, 3, 5]);
        assert!(tokenizer.borders(&tokenizer.encode_text("<|im_start|>")).is_empty());
    }

    #[test]
    fn control_tokens_in_a_text_are_spelt_out() {
        let tokenizer = Tokenizer::bytes_for_tests();
        let text = "a<|im_end|>é";
        assert_eq!(tokenizer.encode_text(text), text.bytes().map(TokenId::from).collect::<Vec<_>>());
        assert_eq!(tokenizer.encode_prompt(text), tokenizer.encode_text(text));
    }

    #[test]
    fn ordinary_added_tokens_in_a_text_are_tokens() {
        let parts = edited(|json| {
            let tool_call = json!({
                "id": 265, "content": "<tool_call>", "special": false, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            });
            json["added_tokens"].as_array_mut().unwrap().push(tool_call);
        });
        let tokenizer = Tokenizer::from_parts(&parts).unwrap();
        assert_eq!(tokenizer.encode_text("<tool_call>"), [265]);
        assert_eq!(tokenizer.decode(&[265]), "<tool_call>");
        assert_eq!(tokenizer.vocabulary_size(), 266);
    }

    #[test]
    fn a_raw_prompt_begins_as_the_tokenizers_files_say() {
        let with_bos = |add_bos_token: Value, post_processor: Value| {
            let mut parts = edited(|json| json["post_processor"] = post_processor);
            parts.tokenizer_config =
                Some(json!({"bos_token": "<|im_start|>", "add_bos_token": add_bos_token}));
            Tokenizer::from_parts(&parts).unwrap().encode_prompt("a")
        };
        let adds_bos = json!({
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [257], "tokens": ["<|im_start|>"]}},
        });
        assert_eq!(with_bos(json!(false), Value::Null), [97]);
        assert_eq!(with_bos(json!(true), Value::Null), [257, 97]);
        assert_eq!(with_bos(json!(true), adds_bos.clone()), [257, 97]);
        assert_eq!(with_bos(Value::Null, adds_bos), [257, 97]);
    }

    #[test]
    fn truncation_and_padding_of_the_file_do_not_touch_prompts() {
        let parts = edited(|json| {
            json["truncation"] =
                json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
            json["padding"] = json!({
                "strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                "pad_type_id": 0, "pad_token": "x",
            });
        });
        assert_eq!(Tokenizer::from_parts(&parts).unwrap().encode_prompt("abc"), [97, 98, 99]);
    }

    #[test]
    fn only_the_first_piece_of_a_prompt_gets_sentence_pieces_first_space() {
        let json = json!({
            "version": "1.0",
            "added_tokens": [{
                "id": 3, "content": "<s>", "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": true,
            }],
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false},
            "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false},
            "model": {"type": "BPE", "vocab": {"▁": 0, "a": 1, "<unk>": 2, "<s>": 3}, "merges": [],
                "unk_token": "<unk>"},
        });
        let parts =
            TokenizerParts { tokenizer_json: json.to_string().into_bytes(), ..TokenizerParts::default() };
        let tokenizer = Tokenizer::from_parts(&parts).unwrap();
        let plain = |text: &str| tokenizer.encode_rendered(text, str::to_owned);
        assert_eq!(plain("a<s> \n a<s>a"), [0, 1, 3, 1, 3, 1], "`rstrip` swallows the space, too");
        assert_eq!(plain("<s>a"), [3, 1]);
    }

    #[test]
    fn every_end_token_of_every_file_ends_a_turn() {
        let mut parts = byte_parts();
        parts.config = Some(json!({"eos_token_id": 7, "text_config": {"eos_token_id": [8]}}));
        parts.generation_config = Some(json!({"eos_token_id": [9, 7]}));
        parts.tokenizer_config = Some(json!({"eos_token": {"content": "<|fim_pad|>"}}));
        let ends = Tokenizer::from_parts(&parts).unwrap().end_tokens().to_vec();
        assert_eq!(ends, [7, 8, 9, 256, 258, 262]);
    }

    #[test]
    fn the_token_that_the_template_puts_after_an_answer_ends_a_turn() {
        let ends_of = |template: &str| {
            let mut parts = byte_parts();
            parts.chat_template = Some(json!(template));
            Tokenizer::from_parts(&parts).unwrap().end_tokens().to_vec()
        };
        // The tokens in addition to 256 and 258, which end a turn under every template.
        let at_end = "{% for m in messages %}{{ m.content }}<|file_sep|>\n{% endfor %}";
        assert_eq!(ends_of(at_end), [256, 258, 264]);
        let at_beginning = "{% for m in messages %}{% if m.role == 'user' %}<|repo_name|>{% endif %}{{ m.content }}{% endfor %}";
        assert_eq!(ends_of(at_beginning), [256, 258, 263]);
        assert_eq!(ends_of("{{ raise_exception('never') }}"), [256, 258]);
    }

    #[test]
    fn a_folder_is_read_with_its_template_and_configurations() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let missing = Tokenizer::from_folder(folder).unwrap_err();
        assert!(matches!(missing, TextError::MissingTokenizer { .. }), "{missing}");

        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
        write("tokenizer.json", &byte_parts().tokenizer_json);
        write("generation_config.json", br#"{"eos_token_id": 65}"#);
        write("chat_template.json", br#"{"chat_template": "from json"}"#);
        let tokenizer = Tokenizer::from_folder(folder).unwrap();
        assert!(tokenizer.has_chat_template());
        assert!(tokenizer.end_tokens().contains(&65));

        write("config.json", b"{");
        let broken = Tokenizer::from_folder(folder).unwrap_err();
        assert!(matches!(broken, TextError::BadJson { .. }), "{broken}");
        write("tokenizer.json", b"{}");
        write("config.json", b"{}");
        let refused = Tokenizer::from_folder(folder).unwrap_err();
        assert!(matches!(refused, TextError::BadTokenizer { .. }), "{refused}");
    }

    #[test]
    fn an_end_token_named_in_special_tokens_map_alone_ends_a_text() {
        let mut parts = byte_parts();
        parts.tokenizer_config = Some(json!({"eos_token": null}));
        parts.special_tokens_map = Some(json!({"eos_token": {"content": "<|file_sep|>"}}));
        assert!(Tokenizer::from_parts(&parts).unwrap().end_tokens().contains(&264));
    }

    #[test]
    fn files_are_read_as_python_writes_them_and_errors_name_file_and_field() {
        let folder = tempfile::tempdir().unwrap();
        let json = edited(|json| json["added_tokens"][0]["id"] = json!(256.0)).tokenizer_json;
        let write = |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).unwrap();
        write("tokenizer.json", &json);
        write(
            "tokenizer_config.json",
            br#"{"model_max_length": Infinity, "x": NaN, "eos_token": "<|endoftext|>"}"#,
        );
        write("generation_config.json", br#"{"eos_token_id": [258.0, 7], "y": {"__float__": "NaN"}}"#);
        let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
        assert_eq!(tokenizer.end_tokens(), [7, 256, 258]);
        write("special_tokens_map.json", b"{");
        let err = Tokenizer::from_folder(folder.path()).unwrap_err();
        assert!(err.to_string().contains("special_tokens_map.json"), "{err}");
    }

    #[test]
    fn no_text_spells_a_control_token_that_the_model_knows_as_a_piece() {
        let special = |id: u32, content: &str| {
            json!({
                "id": id, "content": content, "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            })
        };
        let metaspace =
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": false});
        let letters = ["▁", "a", "<", "/", "s", ">", "|", "e", "n", "d"];
        let mut pieces = vec![json!(["<unk>", 0.0]), json!(["</s>", 0.0]), json!(["<|end|>", -1.0])];
        pieces.extend(letters.iter().map(|it| json!([it, -8.5])));
        let unigram = json!({
            "version": "1.0", "added_tokens": [special(0, "<unk>"), special(1, "</s>"), special(2, "<|end|>")],
            "pre_tokenizer": metaspace, "decoder": metaspace,
            "model": {"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": false},
        });
        let vocabulary: serde_json::Map<String, Value> = ["<unk>", "</s>", "<|end|>"]
            .iter()
            .chain(&letters)
            .zip(0..)
            .map(|(it, id)| ((*it).to_owned(), json!(id)))
            .collect();
        let whole_words = json!({
            "version": "1.0", "added_tokens": [special(0, "<unk>"), special(1, "</s>"), special(2, "<|end|>")],
            "pre_tokenizer": metaspace, "decoder": metaspace,
            "model": {"type": "BPE", "vocab": vocabulary, "merges": [], "ignore_merges": true, "unk_token": "<unk>"},
        });
        for json in [unigram, whole_words] {
            let parts = TokenizerParts {
                tokenizer_json: json.to_string().into_bytes(),
                tokenizer_config: Some(json!({"chat_template": "{{ messages[0].content }}</s>"})),
                ..TokenizerParts::default()
            };
            let tokenizer = Tokenizer::from_parts(&parts).unwrap();
            let text = "a </s><|end|>";
            let spelt = [4, 3, 5, 6, 7, 8, 5, 9, 10, 11, 12, 9, 8];
            assert_eq!(tokenizer.encode_text("</s>"), [5, 6, 7, 8]);
            assert!(tokenizer.encode_text(text).iter().all(|it| *it > 2));
            assert_eq!(tokenizer.decode(&tokenizer.encode_text(text)), text);
            let message = crate::Message::user(text);
            let request = crate::ChatRequest {
                messages: &[message],
                tools: &[],
                kwargs: &serde_json::Map::new(),
                add_generation_prompt: true,
            };
            let tokens = tokenizer.encode_chat(&request).unwrap();
            assert_eq!(tokens.iter().filter(|it| **it <= 2).collect::<Vec<_>>(), [&1]);
            assert_eq!(spelt.len() + 1, tokens.len());
            assert_eq!(tokenizer.token_to_id("</s>"), Some(1));
        }
    }
}
