//! Whitespace at the end of a completion, and completions of nothing else.
//!
//! Whitespace is held back until something follows it. At the end it is dropped, except where code follows the cursor
//! in its line: there, spaces at the end of the completion separate it from that code.

use super::lines::right_of;
use super::rule::{Cursor, Rule};
use super::seen::{Seen, Verdict};

/// A completion that begins with this many newlines is cut: it is unlikely to lead to anything.
const MAX_LEADING_NEWLINES: usize = 3;
/// The same limit after some text. It is higher, since Python code has three newlines between two functions.
const MAX_NEWLINES: usize = 4;

#[derive(Clone, Debug)]
pub(super) struct Blank {
    /// Whether code follows the cursor in its line.
    is_followed: bool,
}

impl Blank {
    pub(super) fn new(cursor: &Cursor<'_>) -> Self {
        Self { is_followed: !right_of(cursor.suffix).is_empty() }
    }

    pub(super) fn judge(seen: &Seen) -> Verdict {
        if seen.last() != Some('\n') {
            return Verdict::Clear;
        }
        let kept = seen.without_trailing(seen.text.len());
        if seen.n_blank_newlines >= if kept == 0 { MAX_LEADING_NEWLINES } else { MAX_NEWLINES } {
            return Verdict::Cut(kept, Rule::Blank);
        }
        Verdict::Clear
    }

    /// The length of a completion that ends here, without the trailing whitespace that is to be dropped.
    pub(super) fn trim_at_end(&self, text: &str) -> usize {
        let kept = without_trailing(text);
        if self.is_followed && !text[kept..].contains('\n') { text.len() } else { kept }
    }
}

/// The offset of the trailing whitespace.
pub(super) fn without_trailing(text: &str) -> usize {
    text.trim_end().len()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_whole};
    use super::*;

    #[test]
    fn white_space_at_the_end_is_dropped_unless_code_follows() {
        check_whole("a.py", "x = 1", "\ny\n", " + 2  ", " + 2");
        check_whole("a.py", "x = ", " + y\n", "a ", "a ");
        check_whole("a.py", "x = ", "", "a\t", "a");
    }

    #[test]
    fn a_text_of_white_space_is_no_text() {
        check_whole("a.py", "if x:\n    ", "\n", "  \n \t", "");
        check("a.py", "def f():\n    x()\n", "\n", "\n\n\n    y()", "", Some(Rule::Blank));
        check("a.py", "if x:\n    ", "", "x()\n\n\n\n    y()", "x()", Some(Rule::Blank));
    }
}
