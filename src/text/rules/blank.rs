//! White space at the end of a text, and texts of nothing else.
//!
//! White space is held until something follows it. At the end it is dropped, unless code goes on behind the cursor:
//! there the last spaces separate the two.

use super::lines::right_of;
use super::rule::{Cursor, Rule};
use super::seen::{Seen, Verdict};

/// A text that is nothing but so many ends of lines will not come to anything,
const MAX_LEADING_NEWLINES: usize = 3;
/// nor will one with so many in it: between two functions Python has three.
const MAX_NEWLINES: usize = 4;

#[derive(Clone, Debug)]
pub(super) struct Blank {
    /// Whether code goes on in the cursor's line.
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

    /// Where a text that ends here should end.
    pub(super) fn trim_at_end(&self, text: &str) -> usize {
        let kept = without_trailing(text);
        if self.is_followed && !text[kept..].contains('\n') { text.len() } else { kept }
    }
}

/// Where the white space at the end begins.
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
