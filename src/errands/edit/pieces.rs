//! The parts of a file that an instruction concerns: [`choose`] cuts the file along its definitions.

use std::ops::Range;

use super::instruction::{excepted, has_word, tokens};
use crate::check::{Source, words};

/// A part of a file that is rewritten by itself: whole lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The definition's name, or where it is.
    pub(crate) name: String,
    pub(crate) range: Range<usize>,
    /// How many of its lines come before its body.
    pub(crate) n_head: usize,
}

/// The parts to rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) pieces: Vec<Piece>,
    /// Whether the instruction goes for all functions rather than for those it names. Then each is a change of its own.
    pub(crate) is_pass: bool,
}

/// Words of an instruction that goes for everything in a file.
const WORDS_FOR_ALL: [&str; 12] = [
    "all",
    "every",
    "each",
    "everywhere",
    "functions",
    "methods",
    "docstrings",
    "comments",
    "hints",
    "annotations",
    "parameters",
    "types",
];

/// The parts of a file that an instruction concerns; `None` if it names none and does not go for all functions, or if the
/// file has no definitions.
pub(crate) fn choose(source: &Source, instruction: &str) -> Option<Chosen> {
    let all = pieces(source);
    if !all.iter().any(|it| it.is_definition) {
        return None;
    }
    let names: Vec<&str> =
        named(instruction).into_iter().filter(|it| contains_word(&source.text, it)).collect();
    let goes_for_all = words(instruction).any(|it| WORDS_FOR_ALL.contains(&it.to_lowercase().as_str()));
    let chosen = |wanted: &dyn Fn(&Part) -> bool, is_pass: bool| {
        let pieces: Vec<Piece> = all.iter().filter(|it| wanted(it)).map(|it| it.piece.clone()).collect();
        (!pieces.is_empty()).then_some(Chosen { pieces, is_pass })
    };
    let text = |part: &Part| &source.text[part.piece.range.clone()];
    let except: Vec<String> = excepted(&tokens(instruction)).into_iter().map(str::to_owned).collect();
    let is_named = |part: &Part| part.is_function && names.contains(&part.piece.name.as_str());
    if !goes_for_uses(instruction) && all.iter().any(is_named) {
        return chosen(&|part| is_named(part) && !except.contains(&part.piece.name), false);
    }
    if !names.is_empty() {
        return chosen(&|part| names.iter().any(|name| contains_word(text(part), name)), false);
    }
    if goes_for_all {
        return chosen(&|part| part.is_function, true);
    }
    chosen(&|part| part.is_definition && words(instruction).any(|it| it == part.piece.name), false)
}

/// Whether an instruction means the places where something is used too.
fn goes_for_uses(instruction: &str) -> bool {
    has_word(instruction, &["everywhere", "caller", "calls", "uses", "usage", "renam"])
}

struct Part {
    piece: Piece,
    is_definition: bool,
    is_function: bool,
}

/// The whole file in pieces: its definitions without members, and what is between them.
fn pieces(source: &Source) -> Vec<Part> {
    let text = &source.text;
    let definitions = source.syntax.iter().flat_map(|it| &it.definitions).filter(|it| !it.is_type);
    let mut parts: Vec<Part> = Vec::new();
    let mut end = 0;
    for definition in definitions {
        let range = whole_lines(text, &definition.range);
        if range.start < end {
            // On the same line, or inside, the one before takes it along.
            if range.end > end
                && let Some(last) = parts.last_mut()
            {
                last.piece.range.end = range.end;
                end = range.end;
            }
            continue;
        }
        between(text, end..range.start, &mut parts);
        end = range.end;
        let n_head = text[range.start..definition.head.end.clamp(range.start, range.end)].lines().count();
        let piece = Piece { name: definition.name.clone(), range, n_head };
        parts.push(Part { piece, is_definition: true, is_function: definition.is_function });
    }
    between(text, end..text.len(), &mut parts);
    parts
}

/// Adds the text between two definitions, if there is any.
fn between(text: &str, range: Range<usize>, parts: &mut Vec<Part>) {
    if text[range.clone()].trim().is_empty() {
        return;
    }
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    let name = format!("lines {} to {}", line(range.start), line(range.end.saturating_sub(1)));
    parts.push(Part { piece: Piece { name, range, n_head: 0 }, is_definition: false, is_function: false });
}

fn whole_lines(text: &str, range: &Range<usize>) -> Range<usize> {
    let start = text[..range.start].rfind('\n').map_or(0, |it| it + 1);
    // The range may end with its line.
    let last = range.end.max(range.start + 1) - 1;
    let end =
        text.as_bytes()[last..].iter().position(|it| *it == b'\n').map_or(text.len(), |it| last + it + 1);
    start..end
}

/// The names in an instruction that are surely names: in quotes, called, or spelled as no English word is.
fn named(instruction: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for quote in ['`', '\'', '"'] {
        // Every second part is in quotes. An apostrophe makes nonsense of that, which then occurs in no file.
        let parts: Vec<&str> = instruction.split(quote).collect();
        let quoted = parts.iter().skip(1).step_by(2).take(parts.len().saturating_sub(1) / 2);
        names.extend(quoted.filter(|it| it.len() < 100 && words(it).count() <= 3).flat_map(|it| words(it)));
    }
    let mut rest = instruction;
    while let Some(word) = words(rest).next() {
        let at = word.as_ptr() as usize - rest.as_ptr() as usize + word.len();
        rest = &rest[at..];
        let inner_upper = word
            .chars()
            .zip(word.chars().skip(1))
            .any(|(one, next)| one.is_lowercase() && next.is_uppercase());
        if rest.starts_with('(') || word.contains('_') || inner_upper {
            names.push(word);
        }
    }
    names.retain(|it| it.len() > 1 && !it.starts_with(|it: char| it.is_ascii_digit()));
    names
}

fn contains_word(text: &str, word: &str) -> bool {
    words(text).any(|it| it == word)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const CODE: &str = "\
import os

LIMIT = 3


class Box:
    size = 1

    def open_it(self):
        return LIMIT

    @property
    def closed(self):
        return not self.open_it()


def add(a, b):
    return a + b
";

    fn chosen(instruction: &str) -> Option<(Vec<String>, bool)> {
        let source = Source::new("m.py", CODE.to_owned());
        let chosen = choose(&source, instruction)?;
        Some((chosen.pieces.into_iter().map(|it| it.name).collect(), chosen.is_pass))
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    #[test]
    fn a_name_chooses_every_part_that_contains_it() {
        assert_eq!(chosen("Rename `LIMIT` to `MOST`."), Some((names(&["LIMIT", "open_it"]), false)));
        assert_eq!(chosen("Rename `open_it` in all its uses."), Some((names(&["open_it", "closed"]), false)));
    }

    #[test]
    fn of_a_function_that_is_named_its_uses_are_not_meant() {
        assert_eq!(chosen("Make open_it return 2"), Some((names(&["open_it"]), false)));
    }

    #[test]
    fn an_instruction_for_all_chooses_all_functions() {
        let all = names(&["open_it", "closed", "add"]);
        assert_eq!(
            chosen("Add docstrings to all functions, so that one can add to them."),
            Some((all, true))
        );
    }

    #[test]
    fn a_plain_word_chooses_a_definition_only_if_nothing_else_does() {
        assert_eq!(chosen("The function add should multiply."), Some((names(&["add"]), false)));
        assert_eq!(chosen("Fix the bug."), None);
    }

    #[test]
    fn the_pieces_are_the_whole_file() {
        let source = Source::new("m.py", CODE.to_owned());
        let mut end = 0;
        for part in pieces(&source) {
            assert!(CODE[end..part.piece.range.start].trim().is_empty());
            end = part.piece.range.end;
        }
        assert_eq!(end, CODE.len());
        let property = pieces(&source).into_iter().find(|it| it.piece.name == "closed").unwrap();
        assert!(CODE[property.piece.range].starts_with("    @property\n"));
    }
}
