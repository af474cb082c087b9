//! Closing brackets that are one too many.
//!
//! Those that the text may close are the ones that the prefix opened and the suffix does not close. Brackets in
//! strings and comments do not count.

use super::lexer::Lexer;
use super::{Cursor, Rule, Seen, Verdict};

#[derive(Clone, Debug)]
pub(super) struct Brackets {
    /// Open at the cursor, the innermost last.
    open: Vec<char>,
    /// How many of them, from the innermost on, the text may close.
    n_closable: usize,
    /// Closed behind the cursor, and opened nowhere before it.
    n_missing_openers: usize,
    n_closed: usize,
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
        let closed = unmatched_closers(lexer.clone(), cursor.suffix);
        let n_closable = n_closable(&open, &closed);
        let n_missing_openers = closed.len().saturating_sub(open.len() - n_closable);
        Self { open, n_closable, n_missing_openers, n_closed: 0, code }
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
        if seen.n_closed_outer == self.n_closed {
            return Verdict::Clear;
        }
        self.n_closed = seen.n_closed_outer;
        let closer = seen.last().unwrap_or_default();
        let opener = self.open.len().checked_sub(self.n_closed).and_then(|idx| self.open.get(idx));
        let is_right = self.n_closed <= self.n_closable && opener.copied() == opener_of(closer);
        if is_right {
            Verdict::Clear
        } else {
            Verdict::Cut(seen.text.len() - closer.len_utf8(), Rule::Bracket)
        }
    }
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
    use super::super::testing::check;
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
