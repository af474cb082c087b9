//! Control tokens: the tokens that structure a prompt, and that text from a user must never be encoded as.
//!
//! A token is a control token if tokenizer.json marks it as `special`, and also if it merely looks like one: Qwen's
//! `<|fim_suffix|>` and `<|file_sep|>` are not marked as special, yet a source file that mentions them must stay text.
//! Added tokens such as `<tool_call>` or runs of spaces are ordinary tokens.

use std::collections::HashSet;

use tokenizers::AddedToken;

use crate::TokenId;

/// Fill-in-the-middle tokens whose names do not have the `<|...|>` form.
const FIM_NAMES: [&str; 28] = [
    "<fim_prefix>",
    "<fim_middle>",
    "<fim_suffix>",
    "<fim_pad>",
    "<fim-prefix>",
    "<fim-middle>",
    "<fim-suffix>",
    "<fim-pad>",
    "<repo_name>",
    "<reponame>",
    "<file_sep>",
    "<filename>",
    "<gh_stars>",
    "[PREFIX]",
    "[SUFFIX]",
    "[MIDDLE]",
    "<[fim-prefix]>",
    "<[fim-suffix]>",
    "<[fim-middle]>",
    "<PRE>",
    "<SUF>",
    "<MID>",
    "<EOT>",
    "▁<PRE>",
    "▁<SUF>",
    "▁<MID>",
    "▁<EOT>",
    "<[end▁of▁sentence]>",
];

/// Whether an added token counts as a control token here.
pub(crate) fn is_control(token: &AddedToken) -> bool {
    let text = token.content.as_str();
    token.special
        || (text.starts_with("<|") && text.ends_with("|>"))
        || (text.starts_with("<｜") && text.ends_with("｜>"))
        || FIM_NAMES.contains(&text)
}

#[derive(Debug)]
struct ControlToken {
    id: TokenId,
    text: String,
    /// Whether whitespace before it in a rendered prompt is dropped.
    lstrip: bool,
    /// Whether whitespace after it in a rendered prompt is dropped.
    rstrip: bool,
    single_word: bool,
}

/// All control tokens of a vocabulary, the longest first.
#[derive(Debug, Default)]
pub(crate) struct ControlTokens {
    tokens: Vec<ControlToken>,
    /// The first characters of all control tokens, so that searching code takes only a comparison or so per character.
    first_chars: Vec<char>,
}

/// A part of a rendered prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Control(TokenId),
}

impl ControlTokens {
    /// Tokens of a single character are left out, since they cannot be told from text. No model has any.
    pub(crate) fn new(tokens: impl Iterator<Item = (TokenId, AddedToken)>) -> Self {
        let mut tokens: Vec<_> = tokens
            .filter(|(_, token)| token.content.chars().nth(1).is_some())
            .map(|(id, AddedToken { content, lstrip, rstrip, single_word, .. })| ControlToken {
                id,
                text: content,
                lstrip,
                rstrip,
                single_word,
            })
            .collect();
        tokens.sort_by(|a, b| b.text.len().cmp(&a.text.len()).then_with(|| a.text.cmp(&b.text)));
        let mut first_chars: Vec<char> = tokens.iter().filter_map(|it| it.text.chars().next()).collect();
        first_chars.sort_unstable();
        first_chars.dedup();
        Self { tokens, first_chars }
    }

    /// The longest control token that `text` begins with.
    fn at_start_of(&self, text: &str) -> Option<&ControlToken> {
        self.tokens.iter().find(|it| text.starts_with(&it.text))
    }

    pub(crate) fn begins_with_one(&self, text: &str) -> bool {
        self.at_start_of(text).is_some()
    }

    /// The positions of control tokens in a prompt.
    pub(crate) fn positions(&self, prompt: &[TokenId]) -> Vec<usize> {
        let ids: HashSet<TokenId> = self.tokens.iter().map(|it| it.id).collect();
        prompt.iter().enumerate().filter(|(_, it)| ids.contains(it)).map(|(at, _)| at).collect()
    }

    pub(crate) fn contains(&self, id: TokenId) -> bool {
        self.tokens.iter().any(|it| it.id == id)
    }

    pub(crate) fn named(&self, text: &str) -> Option<TokenId> {
        self.tokens.iter().find(|it| it.text == text).map(|it| it.id)
    }

    /// The id of the control token that `text` begins with.
    pub(crate) fn leading(&self, text: &str) -> Option<TokenId> {
        self.at_start_of(text).map(|it| it.id)
    }

    /// Whether `text` is the beginning of a control token, but not all of it.
    pub(crate) fn continues(&self, text: &str) -> bool {
        self.tokens.iter().any(|it| it.text.len() > text.len() && it.text.starts_with(text))
    }

    /// Whether `text` begins with the end of a control token, so that the token's beginning could come before it.
    pub(crate) fn ends_at_start_of(&self, text: &str) -> bool {
        self.tokens.iter().any(|it| {
            it.text
                .char_indices()
                .skip(1)
                .any(|(at, _)| it.text.get(at..).is_some_and(|end| text.starts_with(end)))
        })
    }

    pub(crate) fn may_begin_with(&self, first: char) -> bool {
        self.first_chars.contains(&first)
    }

    /// Splits a prompt at its control tokens as the tokenizer would: the leftmost first, and of several there the
    /// longest.
    pub(crate) fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut start = 0;
        let mut from = 0;
        while let Some((at, token)) = self.find(text, from) {
            let end = at + token.text.len();
            from = end;
            if token.single_word && is_within_word(text, at, end) {
                continue;
            }
            let before = &text[start..at];
            let before = if token.lstrip { before.trim_end() } else { before };
            if !before.is_empty() {
                pieces.push(Piece::Text(before));
            }
            pieces.push(Piece::Control(token.id));
            let after = &text[end..];
            start = if token.rstrip { text.len() - after.trim_start().len() } else { end };
            from = start;
        }
        if start < text.len() {
            pieces.push(Piece::Text(&text[start..]));
        }
        pieces
    }

    fn find(&self, text: &str, from: usize) -> Option<(usize, &ControlToken)> {
        text[from..]
            .char_indices()
            .filter(|&(_, first)| self.may_begin_with(first))
            .find_map(|(at, _)| Some((from + at, self.at_start_of(&text[from + at..])?)))
    }
}

fn is_within_word(text: &str, start: usize, end: usize) -> bool {
    let is_word = |it: char| it.is_alphanumeric() || it == '_';
    text[..start].chars().next_back().is_some_and(is_word) || text[end..].chars().next().is_some_and(is_word)
}
