//! Text that is there already, behind the cursor.
//!
//! In the cursor's own line that is the rest of the line, or the quote that ends the string which the cursor is in.
//! Further down it is one of the next lines, as it is or with other spaces and punctuation: such a line is held
//! until it is complete.

use super::lexer::Place;
use super::lines::{indentation, left_of, lines_below, right_of, words};
use super::{Cursor, Rule, Seen, Verdict};

/// Lines below the cursor that the text may run into. The first must be met as it is; it may be a lone bracket.
const N_LINES: usize = 3;
/// Letters and digits of a line that says enough to be met further down, or in a form of its own.
const MIN_WORDS: usize = 10;
/// Letters and digits of a rest of a line that ends the text wherever it comes up.
const MIN_REST_WORDS: usize = 3;
/// Of the length of a line, how far another may be from it, in edits. They differ in spaces and punctuation alone.
const NEAR_SHARE: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Suffix {
    /// The rest of the cursor's line, with the space it begins with. Empty where it begins with a bracket, of which
    /// only counting tells whether it is one too many.
    rest: String,
    /// Whether the rest says enough by itself.
    is_rest_telling: bool,
    below: Vec<String>,
    /// The cursor's indentation where it stands in a line of its own, so that the first line of the text is a whole
    /// one.
    indentation: Option<usize>,
    /// The quote of the string that the cursor is in and that ends in the rest of the line.
    quote: Option<Place>,
}

impl Suffix {
    pub(super) fn new(cursor: &Cursor<'_>, place: Place) -> Self {
        let (left, rest) = (left_of(cursor.prefix), right_of(cursor.suffix));
        let with_space = &cursor.suffix[..cursor.suffix.find(rest).unwrap_or(0) + rest.len()];
        let quote = match place {
            Place::String(quote) | Place::LongString(quote) => rest.contains(quote).then_some(place),
            _ => None,
        };
        Self {
            rest: if rest.starts_with([')', ']', '}']) { String::new() } else { with_space.to_owned() },
            is_rest_telling: words(rest).count() >= MIN_REST_WORDS,
            below: lines_below(cursor.suffix).take(N_LINES).map(str::to_owned).collect(),
            indentation: (left.trim().is_empty() && rest.is_empty()).then(|| indentation(left)),
            quote,
        }
    }

    pub(super) fn judge(&mut self, seen: &Seen) -> Verdict {
        if seen.n_newlines == 0 || (seen.n_newlines == 1 && seen.last() == Some('\n')) {
            let verdict = self.judge_rest(seen);
            if verdict != Verdict::Clear {
                return verdict;
            }
        }
        if seen.line_start == 0 && self.indentation.is_none() {
            return Verdict::Clear;
        }
        if seen.last() == Some('\n') {
            return if self.is_below(seen, seen.ended_line()) {
                Verdict::Cut(seen.line_start, Rule::Suffix)
            } else {
                Verdict::Clear
            };
        }
        if self.may_be_below(seen.line()) { Verdict::Hold(seen.line_start) } else { Verdict::Clear }
    }

    pub(super) fn at_end(&self, seen: &Seen) -> Option<usize> {
        let line = seen.line();
        if seen.n_newlines == 0 {
            let kept = self.without_rest(line);
            if kept < line.len() {
                return Some(kept);
            }
        }
        let is_whole = seen.line_start > 0 || self.indentation.is_some();
        (is_whole && !line.ends_with('\n') && self.is_below(seen, line)).then_some(seen.line_start)
    }

    /// In the first line, and at its end.
    fn judge_rest(&mut self, seen: &Seen) -> Verdict {
        if let Some(place) = self.quote
            && !seen.is_string_at(place)
        {
            self.quote = None;
            let quote = seen.last().map_or(0, char::len_utf8);
            return Verdict::Cut(seen.text.len() - quote, Rule::Suffix);
        }
        if self.rest.is_empty() {
            return Verdict::Clear;
        }
        if seen.last() == Some('\n') {
            let line = seen.ended_line();
            let kept = self.without_rest(line);
            return if kept < line.len() { Verdict::Cut(kept, Rule::Suffix) } else { Verdict::Clear };
        }
        let text = &seen.text;
        if self.is_rest_telling && text.ends_with(&self.rest) {
            return Verdict::Cut(text.len() - self.rest.len(), Rule::Suffix);
        }
        let mut beginnings = self.rest.char_indices().map(|(at, it)| at + it.len_utf8()).rev();
        let held = beginnings.find(|&n| text.trim_end().ends_with(&self.rest[..n]));
        held.map_or(Verdict::Clear, |n| Verdict::Hold(text.trim_end().len() - n))
    }

    /// The length of the first line without the rest of the cursor's line.
    fn without_rest(&self, line: &str) -> usize {
        if self.rest.is_empty() {
            return line.len();
        }
        line.trim_end().strip_suffix(&self.rest).map_or(line.len(), str::len)
    }

    /// Whether a line of the text stands below the cursor.
    fn is_below(&self, seen: &Seen, line: &str) -> bool {
        let line = line.trim_end();
        let before = if seen.line_start == 0 { self.indentation.unwrap_or(0) } else { 0 };
        self.below.iter().enumerate().any(|(idx, below)| {
            let is_same = line.trim_start() == below.trim_start();
            let is_telling = words(below).count() >= MIN_WORDS;
            // A line that says little is the one below only if it stands where that does.
            if is_same && (is_telling || (idx == 0 && before + indentation(line) == indentation(below))) {
                return true;
            }
            is_telling && words(line).eq(words(below)) && {
                let n_edits = strsim::levenshtein(line.trim_start(), below.trim_start());
                n_edits <= below.len() / NEAR_SHARE
            }
        })
    }

    /// Whether the line so far may become one of those below.
    fn may_be_below(&self, line: &str) -> bool {
        self.below.iter().any(|below| {
            let mut rest = words(below);
            words(line).all(|it| rest.next() == Some(it))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_whole};
    use super::*;

    #[test]
    fn the_rest_of_the_line_is_not_written_again() {
        let suffix = Some(Rule::Suffix);
        check("a.py", "x = foo(", ", timeout=10)\n", "a, b, timeout=10)\ny", "a, b", suffix);
        check("a.py", "if x", ":\n    pass\n", " > 1:\n    y", " > 1", suffix);
        check("a.rs", "let x", ";\n", " = 1;\nlet", " = 1", suffix);
        check_whole("a.rs", "let x", ";\n", " = 1;", " = 1");
        check("a.rs", "let x = a", " + b;\n", ".c() + b;\n", ".c()", suffix);
    }

    #[test]
    fn a_rest_that_says_little_may_come_up_inside_the_line() {
        check("a.py", "x = a[1", ",\n", ", 2, 3,\n", ", 2, 3", Some(Rule::Suffix));
        check_whole("a.py", "f(x", ", y)\n", ", z", ", z");
    }

    #[test]
    fn the_quote_that_is_there_ends_the_text() {
        let suffix = Some(Rule::Suffix);
        check("a.py", "open(\"", "\")\n", "name.txt\", \"r\")", "name.txt", suffix);
        check("a.js", "x = `", "`;\n", "it's ${a}`", "it's ${a}", suffix);
        check_whole("a.py", "open(\"", "\n", "name\", 'r')", "name\", 'r')");
    }

    #[test]
    fn the_next_line_is_not_written_again() {
        let suffix = Some(Rule::Suffix);
        let below = "\n    return total / count\n";
        check("a.py", "def f():\n    ", below, "x()\n    return total / count\n", "x()", suffix);
        check("a.py", "def f():\n    ", below, "x()\n    return total/count;\n", "x()", suffix);
        check_whole("a.py", "def f():\n    ", below, "return total / count", "");
        check_whole("a.py", "def f():\n    ", below, "x()\n    return total", "x()\n    return total");
    }

    #[test]
    fn further_lines_are_met_only_if_they_say_enough() {
        let below = "\n    a = 1\n    self.second_line = 2\n";
        let suffix = Some(Rule::Suffix);
        check("a.py", "if x:\n    ", below, "b()\n    self.second_line = 2\n", "b()", suffix);
        check(
            "a.py",
            "if x:\n    ",
            "\n    y()\n    a = 1\n",
            "b()\n    a = 1\n    c",
            "b()\n    a = 1\n    c",
            None,
        );
    }

    #[test]
    fn a_lone_bracket_is_the_next_line_only_at_its_own_indentation() {
        let prefix = "fn f() {\n    if x {\n        ";
        let text = "if a {\n            b();\n        }";
        check(
            "a.rs",
            prefix,
            "\n    }\n}\n",
            &format!("{text}\n        c()"),
            &format!("{text}\n        c()"),
            None,
        );
    }
}
