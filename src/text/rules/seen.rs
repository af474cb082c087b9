//! The completion so far, as the rules see it ([`Seen`]), and what a rule answers ([`Verdict`]).

use super::lexer::{Lexer, Place};
use super::rule::Rule;

/// The completion so far, and what several rules need to know about it. Offsets are in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) text: String,
    /// The offset of the last line.
    pub(crate) line_start: usize,
    /// The number of newlines so far.
    pub(crate) n_newlines: usize,
    /// Whether the last line has anything but whitespace, and whether the last character is the first that is not.
    is_line_begun: bool,
    is_first_of_line: bool,
    /// The number of newlines in the whitespace at the end.
    pub(crate) n_blank_newlines: usize,
    /// The offsets at which each stretch of whitespace begins and ends, in order.
    blanks: Vec<(usize, usize)>,
    lexer: Lexer,
    /// Whether the last character is neither in a string nor in a comment.
    pub(crate) is_code: bool,
    /// The brackets that the completion opened and has not closed.
    pub(crate) opened: Vec<char>,
    /// The code of the last line, without its comment. Strings appear as quotes.
    pub(crate) code: String,
    /// The code of the line that the last character, a newline, ended.
    pub(crate) ended_code: String,
    /// The number of brackets of the prefix that the completion has closed.
    pub(crate) n_closed_outer: usize,
}

/// A rule's answer to the completion so far. Offsets are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Clear,
    /// The text from this offset on may still be cut.
    Hold(usize),
    Cut(usize, Rule),
}

impl Seen {
    /// An empty completion. `lexer` has read the prefix.
    pub(super) fn new(lexer: Lexer) -> Self {
        Self {
            text: String::new(),
            line_start: 0,
            n_newlines: 0,
            is_line_begun: false,
            is_first_of_line: false,
            n_blank_newlines: 0,
            blanks: Vec::new(),
            is_code: true,
            lexer,
            opened: Vec::new(),
            code: String::new(),
            ended_code: String::new(),
            n_closed_outer: 0,
        }
    }

    pub(super) fn push(&mut self, next: char) {
        if self.text.ends_with('\n') {
            self.line_start = self.text.len();
        }
        self.text.push(next);
        self.note_blank(next);
        self.is_code = self.lexer.push(next);
        self.opened.truncate(self.opened.len().saturating_sub(self.lexer.n_dropped()));
        if next == '\n' {
            self.n_newlines += 1;
            self.ended_code = std::mem::take(&mut self.code);
        } else if self.is_code && !self.lexer.is_in_line_of_string() {
            self.code.push(next);
        } else if !matches!(self.lexer.place(), Place::LineComment | Place::BlockComment) {
            // A placeholder: the line has something there that is not code.
            self.code.push('"');
        }
        if !self.is_code {
            return;
        }
        match next {
            '(' | '[' | '{' => self.opened.push(next),
            ')' | ']' | '}' if self.opened.pop().is_none() => self.n_closed_outer += 1,
            _ => {}
        }
    }

    fn note_blank(&mut self, next: char) {
        let is_blank = next.is_whitespace();
        self.is_first_of_line = !is_blank && !self.is_line_begun;
        self.is_line_begun = next != '\n' && (self.is_line_begun || !is_blank);
        if !is_blank {
            self.n_blank_newlines = 0;
            return;
        }
        self.n_blank_newlines += usize::from(next == '\n');
        let end = self.text.len();
        let before = end - next.len_utf8();
        match self.blanks.last_mut() {
            Some(last) if last.1 == before => last.1 = end,
            _ => self.blanks.push((before, end)),
        }
    }

    /// The offset of the trailing whitespace of the text before `end`.
    pub(crate) fn without_trailing(&self, end: usize) -> usize {
        let n_before = self.blanks.partition_point(|(start, _)| *start < end);
        let last = n_before.checked_sub(1).and_then(|idx| self.blanks.get(idx));
        last.filter(|it| end <= it.1).map_or(end, |it| it.0)
    }

    /// Whether the last character is the first one in its line that is not whitespace.
    pub(crate) fn is_first_of_line(&self) -> bool {
        self.is_first_of_line
    }

    /// The number of strings that the text ends in; see [`Lexer::n_strings`].
    pub(crate) fn n_strings(&self) -> usize {
        self.lexer.n_strings()
    }

    /// The brackets open in the text of the string that the completion ends in, if it ends in one.
    pub(crate) fn open_in_string(&self) -> Option<&[char]> {
        let is_text = matches!(self.lexer.place(), Place::String(_) | Place::LongString(_));
        is_text.then(|| self.lexer.open_in_string())
    }

    /// Whether a newline would end what the completion ends in: code, or a string or comment of one line.
    pub(crate) fn is_line_over(&self) -> bool {
        !matches!(self.lexer.place(), Place::LongString(_) | Place::BlockComment)
    }

    /// The last character.
    pub(crate) fn last(&self) -> Option<char> {
        self.text.chars().next_back()
    }

    /// The line that the last character ended, without that character. Empty if it is not a newline.
    pub(crate) fn ended_line(&self) -> &str {
        self.text[self.line_start..].strip_suffix('\n').unwrap_or_default()
    }

    /// The last line.
    pub(crate) fn line(&self) -> &str {
        &self.text[self.line_start..]
    }
}
