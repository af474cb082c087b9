//! The form of the file: indentation by tabs or by spaces.
//!
//! Models indent as most files do, even if the prompt does otherwise, so generated text is converted to the file's form
//! before the rules see it. Only whitespace at the beginning of lines changes, and only if the file is consistent;
//! strings of several lines stay as generated. Line endings are LF here, in the file and in the completion.

use super::lexer::{Lexer, Place};
use super::lines::left_of;
use super::rule::Cursor;

/// A form is the file's if more than this many times as many lines have it as have the other.
const MAJORITY: usize = 4;
/// The widths of one level of indentation by spaces that are recognized, the most usual first.
const UNITS: [usize; 4] = [4, 2, 8, 3];

#[derive(Clone, Debug)]
pub(super) struct Form {
    indentation: Option<Indentation>,
    /// The number of tabs that the cursor's line begins with.
    n_tabs: usize,
    /// Reads the prefix and the completion so far.
    lexer: Lexer,
    /// The whitespace that the line begins with, as long as nothing else has come. `None`: something else has.
    lead: Option<String>,
    /// Whether `lead` follows whitespace of the prefix.
    is_behind_lead: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Indentation {
    /// `n_spaces` is the number of spaces that the model writes for a tab, once that is known.
    Tabs {
        n_spaces: Option<usize>,
    },
    Spaces {
        unit: usize,
    },
}

impl Form {
    /// The form of the file around the cursor. `lexer` has read the prefix.
    pub(super) fn new(cursor: &Cursor<'_>, lexer: Lexer) -> Self {
        let left = left_of(cursor.prefix);
        // An empty line does not tell how deep it is; the line above does.
        let line = if left.is_empty() { last_line(cursor.prefix) } else { left };
        Self {
            indentation: Indentation::find(cursor),
            n_tabs: line.chars().take_while(|it| *it == '\t').count(),
            lexer,
            lead: left.trim().is_empty().then(String::new),
            is_behind_lead: !left.is_empty(),
        }
    }

    pub(super) fn push(&mut self, text: &str) -> String {
        let mut output = String::new();
        for next in text.chars() {
            match (next, &mut self.lead) {
                ('\n', _) => self.end_line(&mut output),
                (' ' | '\t', Some(lead)) => lead.push(next),
                _ => {
                    self.begin_line(&mut output);
                    self.put(next, &mut output);
                }
            }
        }
        output
    }

    /// The whitespace that was held back until something would follow it.
    pub(super) fn flush(&mut self) -> String {
        let mut output = String::new();
        self.begin_line(&mut output);
        output
    }

    fn end_line(&mut self, output: &mut String) {
        // Whitespace in a line without anything else is not indentation.
        output.push_str(&self.lead.take().unwrap_or_default());
        self.put('\n', output);
        self.lead = Some(String::new());
        self.is_behind_lead = false;
    }

    fn begin_line(&mut self, output: &mut String) {
        let Some(lead) = self.lead.take() else { return };
        output.push_str(&if self.is_in_string() { lead } else { self.indented(lead) });
    }

    /// Converts whitespace at the beginning of a line to the file's form.
    fn indented(&mut self, lead: String) -> String {
        match self.indentation {
            Some(Indentation::Spaces { unit }) => lead.replace('\t', &" ".repeat(unit)),
            // A single space is not indentation: it aligns a comment with the line above.
            Some(Indentation::Tabs { n_spaces }) if lead.len() > 1 && !lead.contains('\t') => {
                let n_spaces = n_spaces.unwrap_or_else(|| self.guess_spaces(lead.len()));
                self.indentation = Some(Indentation::Tabs { n_spaces: Some(n_spaces) });
                "\t".repeat(lead.len() / n_spaces) + &" ".repeat(lead.len() % n_spaces)
            }
            _ => lead,
        }
    }

    /// The number of spaces that the model writes for a tab, judged from `n`, those of the first line that it indented.
    fn guess_spaces(&self, n: usize) -> usize {
        let fits = |unit: &usize| {
            if self.is_behind_lead {
                n.is_multiple_of(*unit)
            } else {
                [self.n_tabs, self.n_tabs + 1].contains(&(n / unit)) && n.is_multiple_of(*unit)
            }
        };
        UNITS.into_iter().find(fits).unwrap_or(UNITS[0])
    }

    fn is_in_string(&self) -> bool {
        matches!(self.lexer.place(), Place::LongString(_))
    }

    fn put(&mut self, next: char, output: &mut String) {
        self.lexer.push(next);
        output.push(next);
    }
}

impl Indentation {
    /// The indentation that most lines around the cursor have. `None` if neither form has a clear majority.
    fn find(cursor: &Cursor<'_>) -> Option<Self> {
        let (mut n_by_tabs, mut n_by_spaces) = (0_usize, 0_usize);
        let mut steps = [0_usize; UNITS.len()];
        let mut above = 0;
        // The cursor divides its line; the part after it is not the beginning of a line.
        let below = cursor.suffix.split('\n').skip(1);
        for line in cursor.prefix.split('\n').chain(below).filter(|it| !it.trim().is_empty()) {
            let n_spaces = line.chars().take_while(|it| *it == ' ').count();
            if line.starts_with('\t') {
                n_by_tabs += 1;
            } else if n_spaces > 1 {
                n_by_spaces += 1;
            }
            if let Some(idx) = UNITS.iter().position(|it| above + it == n_spaces) {
                steps[idx] += 1;
            }
            above = n_spaces;
        }
        if n_by_tabs > MAJORITY * n_by_spaces {
            Some(Self::Tabs { n_spaces: None })
        } else if n_by_spaces > MAJORITY * n_by_tabs {
            // Of equally frequent widths, the most usual one.
            let most = steps.iter().max().copied().unwrap_or_default();
            let unit = UNITS.into_iter().zip(steps).find(|(_, n)| *n == most).map_or(UNITS[0], |(it, _)| it);
            Some(Self::Spaces { unit })
        } else {
            None
        }
    }
}

/// The last line that is not blank.
fn last_line(prefix: &str) -> &str {
    prefix.rsplit('\n').find(|it| !it.trim().is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::language::Language;
    use super::*;

    fn form(prefix: &str, suffix: &str) -> Form {
        let language = Language::find(Some("python"), None);
        let mut lexer = Lexer::new(language);
        prefix.chars().for_each(|it| {
            lexer.push(it);
        });
        lexer.settle();
        Form::new(&Cursor { prefix, suffix, language: Some("python"), path: None }, lexer)
    }

    fn formed(prefix: &str, suffix: &str, text: &str) -> String {
        let mut whole = form(prefix, suffix);
        let whole = whole.push(text) + &whole.flush();
        let mut by_character = form(prefix, suffix);
        let mut pieces: String =
            text.chars().map(|it| by_character.push(it.encode_utf8(&mut [0; 4]))).collect();
        pieces.push_str(&by_character.flush());
        assert_eq!(whole, pieces);
        whole
    }

    #[test]
    fn spaces_become_tabs_in_a_file_of_tabs() {
        let table = [
            // (prefix, generated text, converted text)
            ("if a:\n\tb()\nif c:", "\n    d()\n        e()\n", "\n\td()\n\t\te()\n"),
            ("if a:\n\tif b:", "\n    c()\n  d", "\n\tc()\n  d"),
            ("if a:\n\tb()\nif c:", "\n  d()\n    e()", "\n\td()\n\t\te()"),
            ("if a:\n\tb()\nif c:", "\n        d()", "\n\td()"),
            ("if a:\n\tif b:\n\t\t", "c()\n        d()\n    e()", "c()\n\t\td()\n\te()"),
            ("if a:\n\tif b:\n\t", "    c()", "\tc()"),
            ("if a:\n\tb(x,", "\n\t  y)", "\n\t  y)"),
            ("if a:\n\tb()\n/*", "\n * c", "\n * c"),
        ];
        for (prefix, text, expected) in table {
            assert_eq!(formed(prefix, "\n", text), expected, "after {prefix:?}");
        }
    }

    #[test]
    fn tabs_become_the_spaces_that_the_file_indents_by() {
        assert_eq!(formed("if a:\n  b()\nif c:", "\n", "\n\td()\n\t\te()"), "\n  d()\n    e()");
        assert_eq!(formed("if a:\n    b()\nif c:", "\n", "\n\td('\t')"), "\n    d('\t')");
        assert_eq!(formed("if a:\n   b()\nif c:", "\n   e()\n", "\n\td()"), "\n   d()");
    }

    #[test]
    fn where_the_file_has_no_form_of_its_own_none_is_made() {
        for prefix in ["x = [", "if a:\n\tb()\nif c:\n    d()\nif e:"] {
            assert_eq!(formed(prefix, "", "\n    1,\n\t2"), "\n    1,\n\t2");
        }
    }

    #[test]
    fn a_string_of_several_lines_stays_as_it_was_drawn() {
        let text = "\"\"\"\n    a\n    \"\"\"\n    b";
        assert_eq!(formed("if a:\n\tx = ", "\n", text), "\"\"\"\n    a\n    \"\"\"\n\tb");
    }

    #[test]
    fn the_rest_of_the_cursors_line_is_not_its_beginning() {
        assert_eq!(formed("if a:\n\tb =", "\n", "    1"), "    1");
    }
}
