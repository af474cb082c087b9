//! Closing brackets that are one too many.
//!
//! Those that the text may close are the ones that the prefix opened and the suffix does not close. What the text opened
//! itself it may close in the middle of its first line; at the line's end only if the suffix then still finds what it
//! closes: in `if check(|):`, `a):` ends before the bracket. And where the rest of the line closes what is not open, as in
//! `x = |]);`, a text that does not open it contradicts the suffix: it is held until it does, and dropped if it does not.
//! Brackets in strings and comments do not count.

use super::lexer::{Lexer, Place};
use super::lines::right_of;
use super::{Cursor, Rule, Seen, Verdict};

#[derive(Clone, Debug)]
pub(super) struct Brackets {
    /// Open at the cursor, the innermost last.
    open: Vec<char>,
    /// How many of them, from the innermost on, the text may close.
    n_closable: usize,
    /// Closed behind the cursor, and opened nowhere before it.
    n_missing_openers: usize,
    /// Closed behind the cursor, one after the other.
    closed_behind: Vec<char>,
    /// The rest of the cursor's line, if it begins with a closing bracket.
    rest: String,
    n_closed: usize,
    /// What the rest of the cursor's line closes, if the text has to open it.
    awaited: Vec<char>,
    /// Up to where the text has opened it.
    n_fitting: usize,
    /// The code that the cursor's line begins with.
    code: String,
}

impl Brackets {
    /// Reads the text around the cursor, and leaves the lexer at the cursor.
    pub(super) fn read(lexer: &mut Lexer, cursor: &Cursor<'_>) -> Self {
        let (mut open, mut code) = (Vec::new(), String::new());
        for next in cursor.prefix.chars() {
            if lexer.push(next) {
                track(next, &mut open);
                code.push(next);
            }
            if next == '\n' {
                code.clear();
            }
        }
        lexer.settle();
        let rest = right_of(cursor.suffix);
        let is_closing = rest.starts_with([')', ']', '}']);
        // A string that the rest of the line does not end is the text's to end; one of several lines may go on.
        let is_text_to_end_string = match lexer.place() {
            Place::String(quote) => !rest.contains(quote),
            Place::LongString(quote) => is_closing && !rest.contains(quote),
            _ => false,
        };
        let behind = if is_text_to_end_string { lexer.in_code() } else { lexer.clone() };
        let mut awaited = Vec::new();
        if lexer.place() == Place::Code {
            awaited = unmatched_closers(behind.clone(), rest);
            if !has_other_kind(&open, &awaited) {
                awaited.clear();
            }
        }
        let closed = unmatched_closers(behind, cursor.suffix);
        let n_closable = n_closable(&open, &closed);
        let n_missing_openers = closed.len().saturating_sub(open.len() - n_closable);
        let rest = if is_closing { rest.to_owned() } else { String::new() };
        Self {
            open,
            n_closable,
            n_missing_openers,
            closed_behind: closed,
            rest,
            n_closed: 0,
            awaited,
            n_fitting: 0,
            code,
        }
    }

    /// The code that the cursor's line begins with: no comments, no strings.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    pub(super) fn n_closable(&self) -> usize {
        self.n_closable
    }

    /// How many brackets the text is expected to open and not to close.
    pub(super) fn n_missing_openers(&self) -> usize {
        self.n_missing_openers
    }

    pub(super) fn judge(&mut self, seen: &Seen) -> Verdict {
        if self.awaited.is_empty() || !has_other_kind(&self.still_open(seen), &self.awaited) {
            self.n_fitting = seen.text.len();
        }
        match self.judge_closers(seen) {
            Verdict::Clear if self.n_fitting < seen.text.len() => Verdict::Hold(self.n_fitting),
            verdict => verdict,
        }
    }

    /// Where a text must end that ends now.
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

    /// Open behind the text.
    fn still_open(&self, seen: &Seen) -> Vec<char> {
        let n_outer = self.open.len().saturating_sub(seen.n_closed_outer);
        self.open.iter().take(n_outer).chain(&seen.opened).copied().collect()
    }

    /// Holds what may be the rest of the cursor's line until the text's first line is over.
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
        let text = seen.text.trim_end();
        let held = self.beginnings().find(|it| text.ends_with(it));
        held.map_or(Verdict::Clear, |it| Verdict::Hold(text.len() - it.len()))
    }

    /// The length of the text's first line without what the rest of the cursor's line has too, if the suffix then closes
    /// more of what is open.
    fn without_rest(&self, seen: &Seen, line: &str, code: &str) -> Option<usize> {
        let open = self.still_open(seen);
        let n_closed = n_matching(&open, &self.closed_behind);
        let (line, code) = (line.trim_end(), code.trim_end());
        let written_twice =
            self.beginnings().filter(|it| line.ends_with(it) && code.ends_with(it)).find(|it| {
                let reopened = it.chars().rev().filter_map(opener_of);
                let open: Vec<char> = open.iter().copied().chain(reopened).collect();
                n_matching(&open, &self.closed_behind) > n_closed
            });
        written_twice.map(|it| line.len() - it.len())
    }

    /// What the rest of the line begins with, as far as nothing opens in it, the longest first.
    fn beginnings(&self) -> impl Iterator<Item = &str> {
        let n = self.rest.find(['(', '[', '{', '"', '\'', '`']).unwrap_or(self.rest.len());
        let ends = self.rest[..n].char_indices().map(|(at, it)| at + it.len_utf8()).rev();
        ends.map(|end| &self.rest[..end])
    }
}

/// How many of `closers`, from the first on, close what is open.
fn n_matching(open: &[char], closers: &[char]) -> usize {
    let pairs = closers.iter().zip(open.iter().rev());
    pairs.take_while(|(closer, opener)| opener_of(**closer) == Some(**opener)).count()
}

/// Whether one of `closers` meets an open bracket of another kind. What is not open may have been opened before the text
/// that we were given.
fn has_other_kind(open: &[char], closers: &[char]) -> bool {
    n_matching(open, closers) < closers.len().min(open.len())
}

/// Opens or closes a bracket.
fn track(next: char, open: &mut Vec<char>) {
    match next {
        '(' | '[' | '{' => open.push(next),
        // What is not open was opened before the text that we were given.
        ')' | ']' | '}' if open.last().copied() == opener_of(next) => {
            open.pop();
        }
        _ => {}
    }
}

fn unmatched_closers(mut lexer: Lexer, suffix: &str) -> Vec<char> {
    let (mut open, mut closed) = (Vec::new(), Vec::new());
    for next in suffix.chars() {
        if !lexer.push(next) {
            continue;
        }
        match next {
            ')' | ']' | '}' if open.is_empty() => closed.push(next),
            _ => track(next, &mut open),
        }
    }
    closed
}

/// How many of the `open` brackets stay open for the text to close: with the next one, those `closed` behind the
/// cursor begin.
fn n_closable(open: &[char], closed: &[char]) -> usize {
    let surplus = open.len().saturating_sub(closed.len());
    let Some(first) = closed.first() else { return open.len() };
    let of_other_kind = open.iter().rev().take_while(|it| Some(**it) != opener_of(*first)).count();
    if of_other_kind == open.len() { surplus } else { surplus.max(of_other_kind) }
}

fn opener_of(closer: char) -> Option<char> {
    match closer {
        ')' => Some('('),
        ']' => Some('['),
        '}' => Some('{'),
        _ => None,
    }
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
        // Not at the line's end.
        check("a.py", "if ", "):\n", "check(a) and g(b\n", "check(a) and g(b", Some(Rule::Line));
    }

    #[test]
    fn a_text_that_does_not_open_what_the_rest_of_the_line_closes_is_dropped() {
        let bracket = Some(Rule::Bracket);
        check("a.js", "f(() => {\n  x = ", "]);\n});\n", "this.error(1);\ny", "", bracket);
        check_whole("a.js", "f(() => {\n  x = ", "]);\n});\n", "this.error(1)", "");
        check_whole("a.js", "f(() => {\n  x = ", "]);\n});\n", "this.error([1", "this.error([1");
        // It ends where it last fitted.
        check("a.js", "f(() => {\n  x = ", "]);\n});\n", "g([1, 2]) + 3;\ny", "g([1, 2", bracket);
        check(
            "a.js",
            "f(() => {\n  x = ",
            "]);\n});\n",
            "g([1]) + h([2\ny",
            "g([1]) + h([2",
            Some(Rule::Line),
        );
        // What is closed may have been opened before the text that is known.
        check("a.js", "  x, ", ")]\n", "a\n", "a", Some(Rule::Line));
        check("a.py", "f(", ")]\n", "a\n", "a", Some(Rule::Line));
        // Not of this line, and in a string.
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
    fn what_is_open_and_nowhere_closed_may_be_closed() {
        check("a.js", "const f = (x) => { g(", "", "x) }", "x) }", None);
        assert_eq!(n_closable(&['{', '('], &['}']), 1);
        assert_eq!(n_closable(&['{', '{'], &['}']), 1);
        assert_eq!(n_closable(&['{', '('], &[')', '}']), 0);
        assert_eq!(n_closable(&['('], &['}']), 0, "the suffix belongs to something larger");
    }
}
