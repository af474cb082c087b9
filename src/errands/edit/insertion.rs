//! Texts that are put into a file without changing what is there: [`Insertion`].

use std::ops::Range;

use runabout_context::Defined;

use super::instruction::{Token, excepted};
use crate::check::Source;

/// A text for a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Insertion {
    /// In bytes of the text.
    pub(crate) at: usize,
    pub(crate) text: String,
}

/// The text with all insertions. Those for the same place come in their order.
pub(crate) fn inserted(text: &str, mut insertions: Vec<Insertion>) -> String {
    insertions.sort_by_key(|it| it.at);
    let mut new = String::with_capacity(text.len());
    let mut end = 0;
    for Insertion { at, text: more } in insertions {
        new.push_str(&text[end..at]);
        new.push_str(&more);
        end = at;
    }
    new + &text[end..]
}

/// The definitions of a kind that an instruction goes for: those it names, or else all. Each has a body.
pub(crate) fn targets<'s>(
    source: &'s Source,
    tokens: &[Token],
    is_wanted: impl Fn(&Defined) -> bool,
) -> Vec<&'s Defined> {
    let except = excepted(tokens);
    let all: Vec<&Defined> = source.syntax.iter().flat_map(|it| &it.definitions).collect();
    let is_excepted = |it: &Defined| except.contains(&it.name.as_str());
    let is_named = |it: &Defined| {
        tokens.iter().any(|token| token.text == it.name && (token.is_name || is_alone(&all, it, tokens)))
    };
    let named: Vec<&Defined> = all.iter().copied().filter(|it| is_named(it) && !is_excepted(it)).collect();
    let chosen = if named.iter().any(|it| it.is_function || it.is_type) { named } else { all };
    chosen.into_iter().filter(|it| has_body(it) && !is_excepted(it) && is_wanted(it)).collect()
}

/// Whether a plain word can only mean this definition, since none is surely named.
fn is_alone(all: &[&Defined], definition: &Defined, tokens: &[Token]) -> bool {
    definition.name.len() > 2
        && !all.iter().any(|it| tokens.iter().any(|token| token.is_name && token.text == it.name))
}

fn has_body(definition: &Defined) -> bool {
    definition.head.end < definition.range.end
}

/// The line that a place is in, without its end.
pub(crate) fn line_range(text: &str, at: usize) -> Range<usize> {
    let start = text[..at].rfind('\n').map_or(0, |it| it + 1);
    let end = text[at..].find('\n').map_or(text.len(), |it| at + it);
    start..end
}

/// The white space that a line begins with.
pub(crate) fn margin(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}
