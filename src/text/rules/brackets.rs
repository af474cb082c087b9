//! Cuts a completion before a closing bracket that is one too many.
//!
//! Of the brackets that the prefix opened, the completion may close those that the suffix does not close. Brackets that
//! it opened itself it may close anywhere inside its first line, but at the end of that line only if the suffix then
//! still finds the brackets that it closes: in `if check(|):`, the completion `a):` ends before the bracket. If the
//! rest of the cursor's line closes a bracket that is not open, as in `x = |]);`, the completion must open it: it is
//! held back until it does, and dropped if it never does.
//!
//! Brackets in strings and comments do not count, except those of code in a string. But if the cursor is in the text of
//! a string and the rest of the line closes a bracket there, as in `"{▮}"`, the completion must not close it too.
//! If a format comes before that bracket, as in `f"{▮:.2f}"`, the completion ends before it writes a format itself.

use std::cmp::Ordering;

use super::lexer::{Lexer, MAX_DEPTH, Place, opener_of, track};
use super::lines::right_of;
use super::rule::{Cursor, Rule};
use super::seen::{Seen, Verdict};
use crate::beginning::Beginning;

/// The number of bytes of the rest of a line that completions are compared with.
const MAX_REST_BYTES: usize = 256;

#[derive(Clone, Debug)]
pub(super) struct Brackets {
    /// The brackets open at the cursor, the innermost last.
    open: Vec<char>,
    /// The number of them, counted from the innermost, that the completion may close.
    n_closable: usize,
    /// The number of brackets that the suffix closes and the prefix did not open.
    n_missing_openers: usize,
    /// The closing brackets of the suffix without an opening one there, in order.
    closed_behind: Vec<char>,
    /// The beginning of the rest of the cursor's line, up to the first opening bracket or quote. Empty unless it begins
    /// with a closing bracket.
    rest: String,
    /// How much of the beginning of `rest` the completion ends with.
    rest_at_end: Beginning,
    /// The offset at which that beginning starts, as of the last character that is not whitespace.
    rest_from: Option<usize>,
    n_closed: usize,
    /// The string that the cursor is in.
    string: Option<InString>,
    /// The format that follows the cursor.
    format: Option<Format>,
    /// The brackets that the rest of the cursor's line closes, if the completion has to open them.
    awaited: Vec<char>,
    /// The length up to which the completion has opened the brackets in `awaited`.
    n_fitting: usize,
    /// Whether the completion has opened them now, and how many brackets it had opened and closed when that was
    /// computed.
    is_fitting: bool,
    counted: (usize, usize),
    /// The code in the cursor's line before the cursor.
    code: String,
}

/// A string around the cursor.
#[derive(Clone, Debug)]
struct InString {
    /// The number of strings that the cursor is in.
    n_strings: usize,
    /// The number of brackets in the string's text that must stay open, since the rest of the line closes them.
    n_kept: usize,
}

/// The format of a value in a string, if it follows the cursor: `:.2f` or `!r` in front of the brace that ends it.
#[derive(Clone, Copy, Debug)]
struct Format {
    /// Whether it begins with a conversion, as in `!r`.
    is_conversion: bool,
    /// The number of strings that the cursor is in.
    n_strings: usize,
    /// The number of brackets open in the string's text. `None` if the value is code.
    n_open: Option<usize>,
}

impl Brackets {
    /// Reads the text around the cursor. Afterwards, the lexer is at the cursor.
    pub(super) fn read(lexer: &mut Lexer, cursor: &Cursor<'_>) -> Self {
        let (mut open, mut code) = (Vec::new(), String::new());
        for next in cursor.prefix.chars() {
            let is_code = lexer.push(next);
            open.truncate(open.len().saturating_sub(lexer.n_dropped()));
            if is_code {
                track(next, &mut open);
                if !lexer.is_in_line_of_string() {
                    code.push(next);
                }
            }
            if next == '\n' {
                code.clear();
            }
        }
        lexer.settle();
        let rest = right_of(cursor.suffix);
        let is_closing = rest.starts_with([')', ']', '}']);
        let string = InString::find(lexer, rest);
        let format = Format::find(lexer, rest);
        // A string that the rest of the line does not end must be ended by the completion; one of several lines may go
        // on.
        let is_text_to_end_string = match lexer.place() {
            Place::String(quote) => !rest.contains(quote),
            Place::LongString(quote) => is_closing && !rest.contains(quote),
            _ => false,
        };
        // If a bracket of another kind closes what is open in the string's code, the completion has to close what is
        // open.
        let first_closer = unmatched_closers(lexer.clone(), rest).first().copied();
        let around = match first_closer.and_then(opener_of) {
            Some(opener) if open.last() != Some(&opener) => lexer.at_end_of_interpolation(),
            _ => lexer.clone(),
        };
        let behind = match lexer.string_around() {
            _ if is_text_to_end_string => lexer.in_code(),
            Some(string) if is_text_to_end_interpolation(&around, string, rest) => {
                lexer.behind_interpolation()
            }
            _ => around,
        };
        let mut awaited = Vec::new();
        if lexer.place() == Place::Code {
            awaited = unmatched_closers(behind.clone(), rest);
            if !has_other_kind(open.iter().rev().copied(), &awaited) {
                awaited.clear();
            }
        }
        let closed = unmatched_closers(behind, cursor.suffix);
        let n_closable = n_closable(&open, &closed);
        let n_missing_openers = closed.len().saturating_sub(open.len() - n_closable);
        let rest = if is_closing { without_openers(rest) } else { "" };
        let is_fitting = awaited.is_empty();
        Self {
            open,
            n_closable,
            n_missing_openers,
            closed_behind: closed,
            rest: rest.to_owned(),
            rest_at_end: Beginning::of(rest),
            rest_from: None,
            n_closed: 0,
            string,
            format,
            awaited,
            n_fitting: 0,
            is_fitting,
            counted: (0, 0),
            code,
        }
    }

    /// The code in the cursor's line before the cursor, without comments and strings.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// As [`Self::code`], but moves it out, for when it is no longer needed.
    pub(super) fn take_code(&mut self) -> String {
        std::mem::take(&mut self.code)
    }

    pub(super) fn n_closable(&self) -> usize {
        self.n_closable
    }

    /// The number of brackets that the completion is expected to open and not to close.
    pub(super) fn n_missing_openers(&self) -> usize {
        self.n_missing_openers
    }

    pub(super) fn judge(&mut self, seen: &Seen) -> Verdict {
        let counted = (seen.opened.len(), seen.n_closed_outer);
        if !self.awaited.is_empty() && self.counted != counted {
            self.counted = counted;
            self.is_fitting = !has_other_kind(self.still_open(seen), &self.awaited);
        }
        if self.is_fitting {
            self.n_fitting = seen.text.len();
        }
        self.follow_rest(seen);
        if let Some(at) = self.format.and_then(|it| it.repeated_at(seen)) {
            return Verdict::Cut(at, Rule::Bracket);
        }
        if self.format.is_some_and(|it| it.may_begin(seen)) {
            return Verdict::Hold(self.n_fitting.min(seen.text.len() - 1));
        }
        if self.closes_in_string(seen) {
            let closer = seen.last().map_or(0, char::len_utf8);
            return Verdict::Cut(seen.text.len() - closer, Rule::Bracket);
        }
        match self.judge_closers(seen) {
            Verdict::Clear if self.n_fitting < seen.text.len() => Verdict::Hold(self.n_fitting),
            verdict => verdict,
        }
    }

    /// The maximum length of a completion that is cut now: up to there, it has opened what the rest of the line closes.
    pub(super) fn limit(&self) -> usize {
        self.n_fitting
    }

    fn judge_closers(&mut self, seen: &Seen) -> Verdict {
        if seen.n_closed_outer == self.n_closed {
            return self.judge_rest(seen);
        }
        self.n_closed = seen.n_closed_outer;
        let closer = seen.last().unwrap_or_default();
        let opener = self.open.len().checked_sub(self.n_closed).and_then(|idx| self.open.get(idx));
        let is_right = self.n_closed <= self.n_closable && opener.copied() == opener_of(closer);
        if is_right {
            self.judge_rest(seen)
        } else {
            Verdict::Cut(seen.text.len() - closer.len_utf8(), Rule::Bracket)
        }
    }

    pub(super) fn at_end(&self, seen: &Seen) -> usize {
        let end = (seen.n_newlines == 0).then(|| self.without_rest(seen, &seen.text, &seen.code)).flatten();
        end.unwrap_or(seen.text.len()).min(self.n_fitting)
    }

    /// The brackets open after the completion, the innermost first.
    fn still_open<'a>(&'a self, seen: &'a Seen) -> impl ExactSizeIterator<Item = char> + Clone {
        let n_outer = self.open.len().saturating_sub(seen.n_closed_outer);
        let (outer, own) = (&self.open[..n_outer], seen.opened.as_slice());
        let at = |idx: usize| {
            idx.checked_sub(own.len())
                .map_or_else(|| own[own.len() - 1 - idx], |idx| outer[outer.len() - 1 - idx])
        };
        (0..own.len() + outer.len()).map(at)
    }

    /// Whether the last character closes a bracket in the text of the cursor's string that the rest of the line closes
    /// too.
    fn closes_in_string(&mut self, seen: &Seen) -> bool {
        let Some(string) = &self.string else { return false };
        match seen.n_strings().cmp(&string.n_strings) {
            Ordering::Greater => false,
            Ordering::Less => {
                self.string = None;
                false
            }
            // Code in the string has its own brackets.
            Ordering::Equal => seen.open_in_string().is_some_and(|it| it.len() < string.n_kept),
        }
    }

    /// Compares the last character with `rest`, if it is in the first line.
    fn follow_rest(&mut self, seen: &Seen) {
        let Some(next) = seen.last().filter(|_| seen.n_newlines == 0 && !self.rest_at_end.is_empty()) else {
            return;
        };
        self.rest_at_end.push_char(next);
        if !next.is_whitespace() {
            let n = self.rest_at_end.matched();
            self.rest_from = (n > 0).then(|| seen.text.len() - n);
        }
    }

    /// Holds back what may be the rest of the cursor's line until the first line of the completion is complete.
    fn judge_rest(&self, seen: &Seen) -> Verdict {
        if self.rest.is_empty() {
            return Verdict::Clear;
        }
        if seen.n_newlines == 1 && seen.last() == Some('\n') {
            let kept = self.without_rest(seen, seen.ended_line(), &seen.ended_code);
            return kept.map_or(Verdict::Clear, |it| Verdict::Cut(it, Rule::Bracket));
        }
        if seen.n_newlines > 0 {
            return Verdict::Clear;
        }
        self.rest_from.map_or(Verdict::Clear, Verdict::Hold)
    }

    /// The length of the completion's first line without the part that repeats the rest of the cursor's line. `None` if
    /// there is no such part, or if the suffix would close no more of the open brackets without it.
    fn without_rest(&self, seen: &Seen, line: &str, code: &str) -> Option<usize> {
        let n_closed = n_matching(self.still_open(seen), &self.closed_behind);
        let (line, code) = (line.trim_end(), code.trim_end());
        let written_twice =
            self.beginnings().filter(|it| line.ends_with(it) && code.ends_with(it)).find(|it| {
                let reopened = it.chars().filter_map(opener_of);
                n_matching(reopened.chain(self.still_open(seen)), &self.closed_behind) > n_closed
            });
        written_twice.map(|it| line.len() - it.len())
    }

    /// The beginnings of the rest of the line, the longest first.
    fn beginnings(&self) -> impl Iterator<Item = &str> {
        let ends = self.rest.char_indices().map(|(at, it)| at + it.len_utf8()).rev();
        ends.map(|end| &self.rest[..end])
    }
}

impl InString {
    /// The string that the text read by the lexer ends in, if the rest of the line closes brackets in that string's
    /// text.
    fn find(lexer: &Lexer, rest: &str) -> Option<Self> {
        let n_strings = lexer.n_strings();
        let is_text = matches!(lexer.place(), Place::String(_) | Place::LongString(_));
        if !is_text || lexer.open_in_string().is_empty() {
            return None;
        }
        let mut behind = lexer.clone();
        let n_kept = lexer.open_in_string().len();
        for next in rest.chars() {
            behind.push(next);
            if behind.n_strings() < n_strings {
                break;
            }
            if behind.place() == lexer.place() && behind.open_in_string().len() < n_kept {
                return Some(Self { n_strings, n_kept });
            }
        }
        None
    }
}

impl Format {
    /// The format that the rest of the cursor's line begins with.
    fn find(lexer: &Lexer, rest: &str) -> Option<Self> {
        let is_conversion = rest.starts_with('!') && !rest.starts_with("!=");
        let end = rest.find(['(', ')', '[', ']', '{', '}', '"', '\'', '`'])?;
        if !(is_conversion || rest.starts_with(':')) || !rest[end..].starts_with('}') {
            return None;
        }
        let n_open = match lexer.place() {
            Place::Code if lexer.is_at_brace_of_string() => None,
            Place::String(_) | Place::LongString(_) if lexer.open_in_string().last() == Some(&'{') => {
                Some(lexer.open_in_string().len())
            }
            _ => return None,
        };
        Some(Self { is_conversion, n_strings: lexer.n_strings(), n_open })
    }

    /// The offset at which the completion begins a format itself, outside brackets of its own.
    fn repeated_at(self, seen: &Seen) -> Option<usize> {
        let last = seen.last().filter(|_| self.is_in_value(seen))?;
        let before = seen.text.strip_suffix(last)?;
        let is_behind_mark = self.is_conversion && before.ends_with('!') && last != '=';
        (last == ':' || is_behind_mark).then(|| before.len() - usize::from(is_behind_mark))
    }

    /// Whether the last character begins a conversion, unless it is half of `!=`.
    fn may_begin(self, seen: &Seen) -> bool {
        self.is_conversion && seen.last() == Some('!') && self.is_in_value(seen)
    }

    /// Whether the completion ends in the value, outside brackets of its own.
    fn is_in_value(self, seen: &Seen) -> bool {
        let is_outside = match self.n_open {
            None => seen.opened.is_empty() && seen.n_closed_outer == 0 && seen.open_in_string().is_none(),
            Some(n_open) => seen.open_in_string().is_some_and(|it| it.len() == n_open),
        };
        is_outside && seen.n_strings() == self.n_strings && seen.n_newlines == 0
    }
}

/// Whether the completion has to end the code in a string: the rest of the cursor's line ends the string, but not that
/// code.
fn is_text_to_end_interpolation(lexer: &Lexer, string: Place, rest: &str) -> bool {
    let (Place::String(quote) | Place::LongString(quote)) = string else { return false };
    if lexer.place() != Place::Code || !rest.contains(quote) {
        return false;
    }
    let mut behind = lexer.clone();
    // As long as the code goes on, a string in it makes `n_strings` greater.
    !rest.chars().any(|next| {
        behind.push(next);
        behind.n_strings() == lexer.n_strings() && behind.place() == string
    })
}

/// The beginning of a text up to its first opening bracket or quote, at most [`MAX_REST_BYTES`].
fn without_openers(text: &str) -> &str {
    let n = text.find(['(', '[', '{', '"', '\'', '`']).unwrap_or(text.len());
    &text[..text.floor_char_boundary(n.min(MAX_REST_BYTES))]
}

/// How many of `closers`, from the first on, match the open brackets, the innermost first.
fn n_matching(open: impl Iterator<Item = char>, closers: &[char]) -> usize {
    let pairs = closers.iter().zip(open);
    pairs.take_while(|(closer, opener)| opener_of(**closer) == Some(*opener)).count()
}

/// Whether one of `closers` meets an open bracket of another kind. A closer without an open bracket is no conflict: its
/// opening bracket may be before the text that was read.
fn has_other_kind(open: impl ExactSizeIterator<Item = char>, closers: &[char]) -> bool {
    let n_both = closers.len().min(open.len());
    n_matching(open, closers) < n_both
}

fn unmatched_closers(mut lexer: Lexer, suffix: &str) -> Vec<char> {
    let (mut open, mut closed) = (Vec::new(), Vec::new());
    for next in suffix.chars() {
        let is_code = lexer.push(next);
        open.truncate(open.len().saturating_sub(lexer.n_dropped()));
        match next {
            _ if !is_code => {}
            ')' | ']' | '}' if open.is_empty() => closed.push(next),
            _ => track(next, &mut open),
        }
        if closed.len() == MAX_DEPTH {
            break;
        }
    }
    closed
}

/// The number of `open` brackets, counted from the innermost, that the completion may close. The brackets `closed`
/// after the cursor begin with the next one outwards.
fn n_closable(open: &[char], closed: &[char]) -> usize {
    let n_met = |n_closed: usize| n_matching(open.iter().rev().skip(n_closed).copied(), closed);
    let most = (0..=open.len()).map(n_met).max().unwrap_or(0);
    if most == 0 {
        return open.len().saturating_sub(closed.len());
    }
    (0..=open.len()).rfind(|n_closed| n_met(*n_closed) == most).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_whole};
    use super::*;

    #[test]
    fn a_bracket_that_is_closed_behind_the_cursor_is_not_closed_again() {
        let bracket = Some(Rule::Bracket);
        check("a.rs", "f(", ")\n", "a, g(b))", "a, g(b)", bracket);
        check("a.rs", "let x = [", "];\n", "1, 2];\nlet", "1, 2", bracket);
        check("a.py", "f(g(", "))\n", "x))", "x", bracket);
        check("a.py", "f(g(", ")\n", "x), y)", "x), y", bracket);
        check("a.py", "x = (a + ", "\ny = 1\n", "b))", "b)", bracket);
    }

    #[test]
    fn a_bracket_of_another_kind_or_that_nobody_opened_ends_the_text() {
        let bracket = Some(Rule::Bracket);
        check("a.rs", "let x = ", "\n", "1);", "1", bracket);
        check("a.rs", "let x = f(", "\n", "1];", "1", bracket);
    }

    #[test]
    fn at_the_end_of_the_line_what_the_suffix_closes_stays_open() {
        let bracket = Some(Rule::Bracket);
        check("a.py", "if ", "):\n    b()\n", "check(a):\n    c", "check(a", bracket);
        check_whole("a.py", "if ", "):\n    b()\n", "check(a)", "check(a");
        check("a.ts", "if (a) {\n\t", "])\n}\n", "x = f([i])\n", "x = f([i", bracket);
        check("a.rs", "a!(\n    f(\"1", "),\n    b);\n", "2\").get(),\n", "2\"", bracket);
        check("a.rs", "a!(\n    f(", "),\n    b);\n", "2.g(),\n", "2.g(),", Some(Rule::Line));
        // The prefix opened it.
        check("a.py", "x = f(", ")\ny = g()\n", "g(a)\n", "g(a)", Some(Rule::Line));
        check("a.js", "a(() => { f(", ");\n});\n", "g(b)\n", "g(b)", Some(Rule::Line));
        // The bracket is not at the end of the line.
        check("a.py", "if ", "):\n", "check(a) and g(b\n", "check(a) and g(b", Some(Rule::Line));
    }

    #[test]
    fn a_text_that_does_not_open_what_the_rest_of_the_line_closes_is_dropped() {
        let bracket = Some(Rule::Bracket);
        check("a.js", "f(() => {\n  x = ", "]);\n});\n", "this.error(1);\ny", "", bracket);
        check_whole("a.js", "f(() => {\n  x = ", "]);\n});\n", "this.error(1)", "");
        check_whole("a.js", "f(() => {\n  x = ", "]);\n});\n", "this.error([1", "this.error([1");
        // The completion ends at the last point at which the rest of the line fitted.
        check("a.js", "f(() => {\n  x = ", "]);\n});\n", "g([1, 2]) + 3;\ny", "g([1, 2", bracket);
        check(
            "a.js",
            "f(() => {\n  x = ",
            "]);\n});\n",
            "g([1]) + h([2\ny",
            "g([1]) + h([2",
            Some(Rule::Line),
        );
        // What is closed may have been opened before the text that was read.
        check("a.js", "  x, ", ")]\n", "a\n", "a", Some(Rule::Line));
        check("a.py", "f(", ")]\n", "a\n", "a", Some(Rule::Line));
        // The bracket is closed in another line, or the cursor is in a string.
        check("a.js", "f(() => {\n  x = ", "\n  ]);\n", "a;\n", "a;", Some(Rule::Line));
        check("a.js", "f(() => {\n  x = 'a", "]);\n", "b', g\n", "b', g", Some(Rule::Line));
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        check("a.py", "f(", ")\n", "\")\", ')' + g()", "\")\", ')' + g()", None);
        check("a.py", "f('(', ", "\n", "x))", "x)", Some(Rule::Bracket));
        check("a.rs", "let x = 1; // (", "\n", " a) b)", " a) b)", None);
        check("a.rs", "f(')', ", ")\n", "'(')", "'('", Some(Rule::Bracket));
    }

    #[test]
    fn code_in_a_string_ends_before_the_sign_that_is_there() {
        let table = [
            ("a.py", "print(f\"Hello {", "}\")\n", "name}, {items[0]}", "name"),
            ("a.py", "x = f'{a} {", "} b' + c\n", "d['e']} {f}", "d['e']"),
            ("a.py", "print(f\"{d[", "]}\")\n", "0]} {e}", "0"),
            ("a.py", "x = f\"\"\"a\n{", "}\n\"\"\"\n", "b}, {c}", "b"),
            ("a.py", "print(f\"{a:", "}\")\n", ".2f} {b}", ".2f"),
            ("a.py", "print(f\"{{{", "}\")\n", "a} b", "a"),
            ("a.js", "log(`Hello ${", "}`);\n", "name}! ${a[0]}", "name"),
            ("a.ts", "x = `${a.map((b) => `<b>${", "}</b>`)}`;\n", "b.c}</b> ${d}", "b.c"),
            ("a.ts", "x = `${", "}`;\n", "a.map((b) => `${b}`)} ${c}", "a.map((b) => `${b}`)"),
            ("a.kt", "println(\"Hello ${", "}\")\n", "a[\"b\"]}, ${c}", "a[\"b\"]"),
            ("a.swift", "print(\"Hello \\(", ")\")\n", "a.b(c)), \\(d)", "a.b(c)"),
            ("a.rb", "puts \"Hello #{", "}\"\n", "a.map { |b| b }}, #{c}", "a.map { |b| b }"),
            ("a.py", "print(f\"id={user[", "}\")\n", "'id']}, name={name}\")", "'id']"),
            ("a.js", "const s = `${items.map(", "}`;\n", "it => it.name)}`;", "it => it.name)"),
            ("a.py", "print(f\"{max(", ")}\")\n", "a, b)}, {c}", "a, b"),
            ("a.php", "echo \"Hello {$", "}\";\n", "a['b']} {$c}", "a['b']"),
            ("a.cs", "var x = $\"Hello {", "}\";\n", "name:0.0} {b}", "name:0.0"),
            ("a.sh", "echo \"Hello ${", "}\"\n", "name:-x} ${y}", "name:-x"),
            ("a.sh", "echo \"Hello $(", ")\"\n", "date \"+%Y\") $(x)", "date \"+%Y\""),
            ("a.scala", "println(s\"Hello ${", "}\")\n", "name} ${b}", "name"),
            ("a.groovy", "println \"Hello ${", "}\"\n", "name} ${b}", "name"),
            ("a.dart", "print('Hello ${", "}');\n", "name} ${b}", "name"),
            ("a.ex", "IO.puts(\"Hello #{", "}\")\n", "name} #{b}", "name"),
            ("a.pl", "print \"Hello @{[ ", " ]}\";\n", "join(',', @a) ]}", "join(',', @a) "),
            ("a.jl", "println(\"Hello $(", ")\")\n", "f(a)) $(b)", "f(a)"),
            ("a.scss", "@import \"a/#{", "}\";\n", "$b}/#{c}", "$b"),
            ("a.kt", "fun f() {\n    println(\"Hello ${", "}\")\n", "name}, ${a[0]}", "name"),
            // The code goes on in the same line.
            ("a.js", "log(`${a ? ", " : b}`);\n", "c}` + `${", "c"),
        ];
        for (path, prefix, suffix, drawn, text) in table {
            check(path, prefix, suffix, drawn, text, Some(Rule::Bracket));
        }
    }

    #[test]
    fn a_format_behind_the_cursor_is_not_written_twice() {
        let table = [
            ("a.py", "print(f\"{", ":.2f}\")\n", "total:.2f}\")", "total"),
            ("a.py", "print(f\"{", ":.2f} ms\")\n", "d[1:2][0]:.3f}", "d[1:2][0]"),
            ("a.py", "print(f\"{", "!r}\")\n", "a != b!r}", "a != b"),
            ("a.py", "print(f\"{", "!r:>10}\")\n", "name:>10}", "name"),
            ("a.py", "print(f\"{", ":>10}\")\n", "name!r:>10}", "name!r"),
            ("a.py", "\"{", ":.2f}\".format(x)\n", "0:.2f}", "0"),
            ("a.rs", "println!(\"{", ":?}\");\n", "name:?}", "name"),
            ("a.cs", "var x = $\"{", ":F2}\";\n", "price:F2}", "price"),
        ];
        for (path, prefix, suffix, drawn, text) in table {
            check(path, prefix, suffix, drawn, text, Some(Rule::Bracket));
        }
        // No format, or not of this value.
        check("a.js", "log(`${a ? b", " : c}`);\n", " ? d : e", " ? d : e", None);
        check("a.py", "x = {", ": 1}\n", "a[b:c]", "a[b:c]", None);
        check("a.py", "f\"{", ":.2f}\"\n", "{1: 2}[1]", "{1: 2}[1]", None);
    }

    #[test]
    fn in_a_string_the_text_does_not_close_what_the_rest_of_it_closes() {
        let table = [
            ("a.rs", "println!(\"Hello {", "}\");\n", "name}, {}", "name"),
            ("a.rs", "println!(\"{a} {", "}\", b);\n", ":?} {c}", ":?"),
            ("a.rs", "format!(\"{{{", "}}}\")\n", "name} {}", "name"),
            ("a.py", "\"Hello {", "}\".format(x)\n", "0}, {1}", "0"),
            ("a.java", "log.info(\"Loaded {", "} files\", n);\n", "} of {", ""),
            ("a.cpp", "std::format(\"{", "}\", a);\n", ":.2f} {}", ":.2f"),
            ("a.py", "re.match(r\"(a|", ")$\", b)\n", "[b)]|(c))+", "[b)]|(c)"),
        ];
        for (path, prefix, suffix, drawn, text) in table {
            check(path, prefix, suffix, drawn, text, Some(Rule::Bracket));
        }
        // The rest of the line does not close the bracket, or the completion is in another string.
        check("a.rs", "f(\"{", "\");\n", "a} b\"", "a} b", Some(Rule::Suffix));
        check("a.rs", "f(\"{", ");\n", "a}\", \"}\"", "a}\", \"}\"", None);
        check("a.py", "f(\":", ")\")\n", "-) :", "-) :", None);
    }

    #[test]
    fn code_in_a_string_that_the_text_is_to_end_is_ended() {
        let suffix = Some(Rule::Suffix);
        check("a.py", "print(f\"Hello {", "\")\n", "name}!\", a)", "name}!", suffix);
        check("a.js", "log(`Hello ${", "`);\n", "name}!`, a)", "name}!", suffix);
        check("a.py", "print(f\"Hello {", "\n", "name}!\")\nx", "name}!\")", Some(Rule::Line));
        check("a.py", "print(f\"{d['", "']}\")\n", "k']} {e", "k", suffix);
        check("a.py", "print(f\"{a}", "\")\n", " {b}!\")", " {b}!", suffix);
    }

    #[test]
    fn what_is_open_and_nowhere_closed_may_be_closed() {
        check("a.js", "const f = (x) => { g(", "", "x) }", "x) }", None);
        assert_eq!(n_closable(&['{', '('], &['}']), 1);
        assert_eq!(n_closable(&['{', '{'], &['}']), 1);
        assert_eq!(n_closable(&['{', '('], &[')', '}']), 0);
        assert_eq!(n_closable(&['{', '(', '{'], &['}', ')']), 0, "the outermost is nowhere closed");
        assert_eq!(n_closable(&['('], &['}']), 0, "the suffix belongs to something larger");
    }
}
