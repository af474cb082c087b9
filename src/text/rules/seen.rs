//! The text of a completion so far, as the rules see it: [`Seen`], and what a rule answers: [`Verdict`].

use super::lexer::{Lexer, Place};
use super::rule::Rule;

/// The text so far, and what all rules want to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) text: String,
    /// Where the last line begins.
    pub(crate) line_start: usize,
    /// Ends of lines so far.
    pub(crate) n_newlines: usize,
    /// Whether the last line has anything but white space, and whether the last character is the first of that.
    is_line_begun: bool,
    is_first_of_line: bool,
    /// Ends of lines in the white space at the end.
    pub(crate) n_blank_newlines: usize,
    /// Where white space begins and ends, one after the other.
    blanks: Vec<(usize, usize)>,
    lexer: Lexer,
    /// Whether the last character is neither in a string nor in a comment.
    pub(crate) is_code: bool,
    /// Brackets that the text opened and has not closed.
    pub(crate) opened: Vec<char>,
    /// The last line's code, without its comment.
    pub(crate) code: String,
    /// The same of the line before the last character, which is a newline.
    pub(crate) ended_code: String,
    /// Brackets of the prefix that the text has closed.
    pub(crate) n_closed_outer: usize,
}

/// What a rule thinks of the text so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Clear,
    /// What begins here may still be cut.
    Hold(usize),
    Cut(usize, Rule),
}

impl Seen {
    /// No text yet; `lexer` has read the prefix.
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
            // A string stands for something that is there.
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

    /// Where the white space begins that the text before `end` ends with.
    pub(crate) fn without_trailing(&self, end: usize) -> usize {
        let n_before = self.blanks.partition_point(|(start, _)| *start < end);
        let last = n_before.checked_sub(1).and_then(|idx| self.blanks.get(idx));
        last.filter(|it| end <= it.1).map_or(end, |it| it.0)
    }

    /// Whether the last character is the first one in its line that is not white space.
    pub(crate) fn is_first_of_line(&self) -> bool {
        self.is_first_of_line
    }

    /// How many strings the text ends in; see [`Lexer::n_strings`].
    pub(crate) fn n_strings(&self) -> usize {
        self.lexer.n_strings()
    }

    /// Brackets that are open in the text of the string that the text ends in, if it does.
    pub(crate) fn open_in_string(&self) -> Option<&[char]> {
        let is_text = matches!(self.lexer.place(), Place::String(_) | Place::LongString(_));
        is_text.then(|| self.lexer.open_in_string())
    }

    /// Whether the text ends in code or in a string or comment of one line.
    pub(crate) fn is_line_over(&self) -> bool {
        !matches!(self.lexer.place(), Place::LongString(_) | Place::BlockComment)
    }

    /// The last character.
    pub(crate) fn last(&self) -> Option<char> {
        self.text.chars().next_back()
    }

    /// The line that the last character, a newline, ended.
    pub(crate) fn ended_line(&self) -> &str {
        self.text[self.line_start..].strip_suffix('\n').unwrap_or_default()
    }

    /// The last line.
    pub(crate) fn line(&self) -> &str {
        &self.text[self.line_start..]
    }
}
