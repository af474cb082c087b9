//! Ends completions that begin to repeat the suffix.
//!
//! In the cursor's own line, the completion ends before the rest of the line, or before the quote that ends the string
//! that the cursor is in. In later lines, it ends before one of the next lines of the suffix, even if spaces and
//! punctuation differ; a line that may become one of them is held back until it is complete.

use super::lexer::{Lexer, Place};
use super::lines::{MAX_LINE_BYTES, indentation, is_of_word, left_of, lines_below, right_of, words};
use super::rule::{Cursor, Rule};
use super::seen::{Seen, Verdict};
use crate::beginning::Beginning;

/// The number of lines below the cursor that the completion is compared with. Only the first may be short, such as a
/// lone bracket; then it must match exactly and have the same indentation.
const N_LINES: usize = 3;
/// The number of letters, digits and `_` that a line needs to match as a later line, or with other spaces and
/// punctuation.
const MIN_WORDS: usize = 10;
/// The number of letters, digits and `_` with which the rest of a line ends the completion wherever it occurs.
const MIN_REST_WORDS: usize = 3;
/// The number of bytes of the rest of a line that are compared.
const MAX_REST_BYTES: usize = 256;
/// The limit in bytes for comparing lines by edit distance, which takes time proportional to the product of their
/// lengths.
const MAX_NEAR_BYTES: usize = 400;
/// Similar lines differ in spaces and punctuation alone. Their edit distance is at most their length divided by this.
const NEAR_SHARE: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Suffix {
    /// The rest of the cursor's line, with the space it begins with. Empty if it begins with a closing bracket: whether
    /// that is one too many can only be told by counting.
    rest: String,
    /// How much of the beginning of `rest` the completion ends with.
    rest_at_end: Beginning,
    /// The offset at which that beginning starts, as of the last character that is not whitespace.
    rest_from: Option<usize>,
    /// Whether the rest is long enough to end the completion wherever it occurs.
    is_rest_telling: bool,
    below: Vec<Below>,
    /// The cursor's indentation if there is nothing else in its line, so that the first line of the completion is a
    /// whole line.
    indentation: Option<usize>,
    /// The number of strings that the cursor is in, if the rest of the line has the quote that ends the innermost.
    n_quoted: Option<usize>,
}

/// A line below the cursor.
#[derive(Clone, Debug)]
struct Below {
    /// `None`: the line is so long that it is taken for data.
    line: Option<String>,
    words: Vec<char>,
    /// How many of them the completion's last line has so far. `None`: its words differ.
    n_met: Option<usize>,
}

impl Below {
    fn new(line: &str) -> Self {
        let is_data = line.len() > MAX_LINE_BYTES;
        let words = if is_data { Vec::new() } else { words(line).collect() };
        Self { line: (!is_data).then(|| line.to_owned()), words, n_met: Some(0) }
    }
}

impl Suffix {
    pub(super) fn new(cursor: &Cursor<'_>, lexer: &Lexer) -> Self {
        let (left, rest) = (left_of(cursor.prefix), right_of(cursor.suffix));
        let n_space = cursor.suffix.len() - cursor.suffix.trim_start().len();
        let n_rest =
            if rest.starts_with([')', ']', '}']) || rest.is_empty() { 0 } else { n_space + rest.len() };
        let rest = &cursor.suffix[..cursor.suffix.floor_char_boundary(n_rest.min(MAX_REST_BYTES))];
        let rest = rest.trim_end();
        let string = match lexer.place() {
            Place::Code => lexer.string_around(),
            place => Some(place),
        };
        let has_quote = match string {
            Some(Place::String(quote) | Place::LongString(quote)) => right_of(cursor.suffix).contains(quote),
            _ => false,
        };
        let is_own_line = left.trim().is_empty() && right_of(cursor.suffix).is_empty();
        Self {
            rest: rest.to_owned(),
            rest_at_end: Beginning::of(rest),
            rest_from: None,
            is_rest_telling: words(rest).count() >= MIN_REST_WORDS,
            below: lines_below(cursor.suffix).take(N_LINES).map(Below::new).collect(),
            indentation: is_own_line.then(|| indentation(left)),
            n_quoted: has_quote.then(|| lexer.n_strings()),
        }
    }

    pub(super) fn judge(&mut self, seen: &Seen) -> Verdict {
        if seen.n_newlines == 0 || (seen.n_newlines == 1 && seen.last() == Some('\n')) {
            let verdict = self.judge_rest(seen);
            if verdict != Verdict::Clear {
                return verdict;
            }
        }
        if seen.last() == Some('\n') {
            self.below.iter_mut().for_each(|it| it.n_met = Some(0));
            let is_whole = seen.line_start > 0 || self.indentation.is_some();
            return if is_whole && self.is_below(seen, seen.ended_line()) {
                Verdict::Cut(seen.line_start, Rule::Suffix)
            } else {
                Verdict::Clear
            };
        }
        if seen.line_start == 0 && self.indentation.is_none() {
            return Verdict::Clear;
        }
        if self.may_be_below(seen) { Verdict::Hold(seen.line_start) } else { Verdict::Clear }
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

    /// Judges a character of the first line, or the newline at its end.
    fn judge_rest(&mut self, seen: &Seen) -> Verdict {
        if self.n_quoted.is_some_and(|it| seen.n_strings() < it) {
            self.n_quoted = None;
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
        let Some(next) = seen.last() else { return Verdict::Clear };
        self.rest_at_end.push_char(next);
        if self.is_rest_telling && self.rest_at_end.is_whole() {
            return Verdict::Cut(seen.text.len() - self.rest.len(), Rule::Suffix);
        }
        if !next.is_whitespace() {
            let n = self.rest_at_end.matched();
            self.rest_from = (n > 0).then(|| seen.text.len() - n);
        }
        self.rest_from.map_or(Verdict::Clear, Verdict::Hold)
    }

    /// The length of the completion's first line without the rest of the cursor's line, if it ends with that.
    fn without_rest(&self, line: &str) -> usize {
        if self.rest.is_empty() {
            return line.len();
        }
        line.trim_end().strip_suffix(&self.rest).map_or(line.len(), str::len)
    }

    /// Whether a line of the completion is one of those below the cursor.
    fn is_below(&self, seen: &Seen, line: &str) -> bool {
        let line = line.trim_end();
        let before = if seen.line_start == 0 { self.indentation.unwrap_or(0) } else { 0 };
        self.below.iter().enumerate().any(|(idx, it)| {
            let Some(below) = &it.line else { return false };
            let is_same = line.trim_start() == below.trim_start();
            let is_telling = it.words.len() >= MIN_WORDS;
            // A short line is the one below only if it has the same indentation.
            if is_same && (is_telling || (idx == 0 && before + indentation(line) == indentation(below))) {
                return true;
            }
            let is_short = line.len().max(below.len()) <= MAX_NEAR_BYTES;
            is_telling && is_short && words(line).eq(it.words.iter().copied()) && {
                let n_edits = strsim::levenshtein(line.trim_start(), below.trim_start());
                n_edits <= below.len() / NEAR_SHARE
            }
        })
    }

    /// Compares the last character of a line. Returns whether the line may still become one of those below.
    fn may_be_below(&mut self, seen: &Seen) -> bool {
        let word = seen.last().filter(|it| is_of_word(*it));
        for below in &mut self.below {
            below.n_met = match (below.n_met, word) {
                (Some(n), Some(word)) => (below.words.get(n) == Some(&word)).then_some(n + 1),
                (n_met, _) => n_met,
            };
        }
        self.below.iter().any(|it| it.n_met.is_some())
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
