//! How far a completion should go: a line, a statement, or a block.
//!
//! If the client does not ask for one of them, the place of the cursor decides, as in the best completion plugins. In
//! the middle of a line, in a string or in a comment, it is the line. In an empty line, or after something that opens a
//! block, it is the block. Elsewhere it is the statement, which is one line unless brackets are open.

use super::brackets::Brackets;
use super::language::Language;
use super::lexer::{Lexer, Place};
use super::lines::{indentation, left_of, lines_below, right_of};
use super::rule::{Cursor, Goal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Line,
    Statement {
        /// The number of brackets that the statement should leave open, since the suffix closes them.
        n_left_open: usize,
        /// The number of brackets open in the cursor's line that the statement should close.
        n_to_close: usize,
    },
    Block(Block),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The indentation of its lines, in columns. `None`: that of its first line, which is not known yet.
    pub(super) indentation: Option<usize>,
    /// The least indentation of a line that closes it. `None`: no such line is expected.
    pub(super) outer: Option<usize>,
    /// Whether an empty line ends it, if the line after that is not indented deeper than the block's first line.
    pub(super) ends_at_gap: bool,
}

impl Extent {
    pub(super) fn choose(
        cursor: &Cursor<'_>,
        goal: Goal,
        language: &Language,
        lexer: &Lexer,
        brackets: &Brackets,
    ) -> Self {
        let (left, right) = (left_of(cursor.prefix), right_of(cursor.suffix));
        let is_auto = match goal {
            Goal::Line => return Self::Line,
            Goal::Block => false,
            Goal::Auto => true,
        };
        let is_code = lexer.place() == Place::Code && !lexer.is_in_line_of_string();
        if is_auto && (!is_code || !right.is_empty()) {
            return Self::Line;
        }
        let code = brackets.code();
        let of_line = indentation(left);
        if left.trim().is_empty() {
            // Some editors leave it to the completion to indent an empty line.
            let indentation = (of_line > 0).then_some(of_line);
            let outer = (brackets.n_closable() > 0).then_some(0);
            return Self::Block(Block { indentation, outer, ends_at_gap: is_auto || of_line == 0 });
        }
        if code.trim_end().ends_with('{') || language.opens_block(code) {
            return Self::Block(Block { indentation: None, outer: Some(of_line), ends_at_gap: is_auto });
        }
        if is_auto {
            let n_to_close = n_open(code).min(brackets.n_closable());
            return Self::Statement { n_left_open: brackets.n_missing_openers(), n_to_close };
        }
        Self::Block(Block { indentation: Some(of_line), outer: None, ends_at_gap: false })
    }
}

/// The block that a line of the completion opens, unless the suffix already has that block. `below` is the indentation
/// of the next line in the suffix.
pub(super) fn block_below(
    code: &str,
    line_indentation: usize,
    language: &Language,
    below: Option<usize>,
) -> Option<Block> {
    let is_there = below.is_some_and(|it| it > line_indentation);
    (language.opens_block(code) && !is_there).then_some(Block {
        indentation: None,
        outer: Some(line_indentation),
        ends_at_gap: true,
    })
}

/// The indentation of the next line of the suffix that is not blank.
pub(super) fn indentation_below(suffix: &str) -> Option<usize> {
    lines_below(suffix).next().map(indentation)
}

/// The number of brackets that a line opens and does not close.
fn n_open(code: &str) -> usize {
    code.chars().fold(0_usize, |n_open, next| match next {
        '(' | '[' | '{' => n_open + 1,
        ')' | ']' | '}' => n_open.saturating_sub(1),
        _ => n_open,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(path: &str, prefix: &str, suffix: &str, goal: Goal) -> Extent {
        let cursor = Cursor { prefix, suffix, language: None, path: Some(path) };
        let language = Language::find(None, Some(path));
        let mut lexer = Lexer::new(language);
        let brackets = Brackets::read(&mut lexer, &cursor);
        Extent::choose(&cursor, goal, language, &lexer, &brackets)
    }

    #[test]
    fn the_place_decides() {
        let statement = |n_left_open, n_to_close| Extent::Statement { n_left_open, n_to_close };
        let block = |indentation, outer| Extent::Block(Block { indentation, outer, ends_at_gap: true });
        let table = [
            ("a.py", "x = foo(", ")\n", Extent::Line),
            ("a.py", "x = ", " + 1\n", Extent::Line),
            ("a.py", "x = 'ab", "\n", Extent::Line),
            ("a.py", "# the ", "\n", Extent::Line),
            ("a.py", "x = f'{", "\n", Extent::Line),
            ("a.js", "x = `${f(() => {\n  ", "\n})}`\n", block(Some(2), None)),
            ("a.py", "\"\"\"Gives\n", "\n", Extent::Line),
            ("a.py", "x = ", "\ny = 2\n", statement(0, 0)),
            ("a.py", "x = f(1, ", "\ny = 2\n", statement(0, 1)),
            ("a.js", "items.forEach", "\n  x();\n});\n", statement(2, 0)),
            ("a.py", "def f(x):\n    ", "\n", block(Some(4), None)),
            ("a.py", "def f(x):\n", "\n", block(None, None)),
            ("a.py", "def f(x):  # why", "\n", Extent::Line),
            ("a.py", "def f(x):", "\n", block(None, Some(0))),
            ("a.rs", "    if x {", "\n    }\n", block(None, Some(4))),
            ("a.rs", "fn f() {\n\t", "", block(Some(4), Some(0))),
            ("a.rs", "fn f() {\n\t", "\n}\n", block(Some(4), None)),
        ];
        for (path, prefix, suffix, expected) in table {
            assert_eq!(choose(path, prefix, suffix, Goal::Auto), expected, "{prefix:?}|{suffix:?}");
        }
    }

    #[test]
    fn what_the_client_asks_for_goes_before_what_the_place_suggests() {
        assert_eq!(choose("a.rs", "fn f() {", "\n}\n", Goal::Line), Extent::Line);
        let block = Block { indentation: Some(2), outer: None, ends_at_gap: false };
        assert_eq!(choose("a.rs", "  let x", " = 1;\n", Goal::Block), Extent::Block(block));
    }
}
