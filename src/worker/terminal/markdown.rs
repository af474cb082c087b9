//! Styles Markdown while it streams: [`Markdown`].
//!
//! Every character of the source is shown, so a copied answer is still Markdown; headings, code and bold text only get a
//! style. So nothing has to be known about what comes later, and a piece is held back only while it may still become a
//! mark, such as the first backtick of a fence. Control characters are replaced: a model must not steer the terminal.

use std::io::{self, Write};

use super::show::Sink;

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const CODE: &str = "\x1b[36m";
/// Marks of a fence are at least this many.
const FENCE: usize = 3;
/// Levels of headings.
const LEVELS: usize = 6;

/// Writes Markdown with styles to a terminal.
pub(super) struct Markdown<W> {
    out: W,
    /// The start of a line, or asterisks, of which it is not clear yet what they are.
    held: String,
    place: Place,
    /// The mark of the open fence.
    fence: Option<(char, usize)>,
    is_bold: bool,
    is_code: bool,
    is_reasoning: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    LineStart,
    /// In a line whose style is settled, such as a heading.
    Styled,
    Text,
}

impl<W: Write> Markdown<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            held: String::new(),
            place: Place::LineStart,
            fence: None,
            is_bold: false,
            is_code: false,
            is_reasoning: false,
        }
    }

    /// Writes what was held back, and ends all styles.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let mut shown = String::new();
        self.settle(&mut shown);
        shown.push_str(RESET);
        self.write(&shown)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    fn push(&mut self, it: char, shown: &mut String) {
        if it == '\n' {
            self.settle(shown);
            if self.place != Place::LineStart {
                shown.push_str(RESET);
            }
            shown.push('\n');
            (self.place, self.is_bold, self.is_code) = (Place::LineStart, false, false);
            return;
        }
        if self.place == Place::LineStart {
            self.held.push(it);
            if !may_be_mark(&self.held) {
                let held = std::mem::take(&mut self.held);
                self.begin_line(&held, shown);
            }
            return;
        }
        self.push_inline(it, shown);
    }

    fn push_inline(&mut self, it: char, shown: &mut String) {
        if self.place == Place::Styled {
            shown.push(it);
            return;
        }
        if it == '*' && !self.is_code {
            self.held.push(it);
            if self.held.len() == 2 {
                self.held.clear();
                self.toggle(|it| &mut it.is_bold, "**", shown);
            }
            return;
        }
        shown.push_str(&std::mem::take(&mut self.held));
        if it == '`' {
            self.toggle(|it| &mut it.is_code, "`", shown);
        } else {
            shown.push(it);
        }
    }

    /// Shows a mark in the style that it begins or ends.
    fn toggle(&mut self, flag: fn(&mut Self) -> &mut bool, mark: &str, shown: &mut String) {
        let flag = flag(self);
        *flag = !*flag;
        let begins = *flag;
        if !begins {
            shown.push_str(mark);
        }
        shown.push_str(RESET);
        if self.is_bold {
            shown.push_str(BOLD);
        }
        if self.is_code {
            shown.push_str(CODE);
        }
        if begins {
            shown.push_str(mark);
        }
    }

    /// Decides what is held back, since nothing will follow it in its line.
    fn settle(&mut self, shown: &mut String) {
        let held = std::mem::take(&mut self.held);
        if self.place == Place::LineStart && !held.is_empty() {
            self.begin_line(&held, shown);
            shown.push_str(&std::mem::take(&mut self.held));
        } else {
            shown.push_str(&held);
        }
    }

    /// Shows the start of a line in its style.
    fn begin_line(&mut self, start: &str, shown: &mut String) {
        let mark = fence_mark(start);
        let style = match (self.fence, mark) {
            (Some((mark, n)), Some((other, m))) if mark == other && m >= n => {
                self.fence = None;
                Some(DIM)
            }
            (Some(_), _) => Some(CODE),
            (None, Some(mark)) => {
                self.fence = Some(mark);
                Some(DIM)
            }
            (None, None) if is_heading(start) => Some(BOLD),
            (None, None) => None,
        };
        if let Some(style) = style {
            self.place = Place::Styled;
            shown.push_str(style);
            shown.push_str(start);
        } else {
            self.place = Place::Text;
            start.chars().for_each(|it| self.push_inline(it, shown));
        }
    }
}

impl<W: Write> Sink for Markdown<W> {
    fn text(&mut self, text: &str) -> io::Result<()> {
        let mut shown = String::new();
        if std::mem::take(&mut self.is_reasoning) {
            shown.push_str(RESET);
            shown.push_str("\n\n");
        }
        text.chars().filter_map(harmless).for_each(|it| self.push(it, &mut shown));
        self.write(&shown)
    }

    fn reasoning(&mut self, text: &str) -> io::Result<()> {
        let begin = if self.is_reasoning { "" } else { DIM };
        self.is_reasoning = true;
        let text: String = text.chars().filter_map(harmless).collect();
        self.write(&format!("{begin}{text}"))
    }
}

/// The character as a terminal may get it. The line ends of other systems lose their carriage return.
fn harmless(it: char) -> Option<char> {
    match it {
        '\r' => None,
        '\n' | '\t' => Some(it),
        it if it.is_control() => Some(char::REPLACEMENT_CHARACTER),
        it => Some(it),
    }
}

/// Whether more characters are needed to tell a mark at the start of a line.
fn may_be_mark(start: &str) -> bool {
    let mark = start.trim_start_matches(' ');
    match mark.chars().next() {
        None => start.len() <= LEVELS,
        // A fence ends with at least as many marks as it began with, so all of them count.
        Some(it @ ('`' | '~')) => mark.chars().all(|other| other == it),
        Some('#') => mark.len() <= LEVELS && mark.chars().all(|it| it == '#'),
        Some(_) => false,
    }
}

/// The character of a fence's mark and its number, as far as `start` goes.
fn fence_mark(start: &str) -> Option<(char, usize)> {
    let mark = start.trim_start_matches(' ');
    let first = mark.chars().next().filter(|it| matches!(it, '`' | '~'))?;
    let n = mark.chars().take_while(|it| *it == first).count();
    (n >= FENCE).then_some((first, n))
}

fn is_heading(start: &str) -> bool {
    let rest = start.trim_start_matches('#');
    (1..=LEVELS).contains(&(start.len() - rest.len())) && rest.starts_with(' ')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// What is shown of a text that arrives in pieces of `n` characters, with names for the styles.
    fn shown(text: &str, n: usize) -> String {
        let mut out = Vec::new();
        let mut markdown = Markdown::new(&mut out);
        let chars: Vec<char> = text.chars().collect();
        for piece in chars.chunks(n) {
            markdown.text(&piece.iter().collect::<String>()).unwrap();
        }
        markdown.finish().unwrap();
        let shown = String::from_utf8(out).unwrap();
        [(RESET, "/"), (DIM, "<dim>"), (BOLD, "<bold>"), (CODE, "<code>")]
            .into_iter()
            .fold(shown, |it, (code, name)| it.replace(code, name))
    }

    #[test]
    fn marks_get_a_style_however_the_text_is_cut() {
        let cases = [
            ("plain * text", "plain * text/"),
            ("a `b*c` d", "a /<code>`b*c`/ d/"),
            ("a **b** *c*", "a /<bold>**b**/ *c*/"),
            ("# One\ntwo", "<bold># One/\ntwo/"),
            ("#one\n####### seven", "#one/\n####### seven/"),
            (
                "```rust\nlet a = \"`\";\n```\n`b`",
                "<dim>```rust/\n<code>let a = \"`\";/\n<dim>```/\n/<code>`b`//",
            ),
            ("~~~~\n~~~\n~~~~\n", "<dim>~~~~/\n<code>~~~/\n<dim>~~~~/\n/"),
            ("an open `code\nends", "an open /<code>`code/\nends/"),
            ("``", "/<code>``//"),
            ("    deep", "    deep/"),
        ];
        for (text, expected) in cases {
            for n in [1, 2, 3, text.len()] {
                assert_eq!(shown(text, n), expected, "{text:?} in pieces of {n}");
            }
        }
    }

    #[test]
    fn a_model_cannot_steer_the_terminal() {
        assert_eq!(shown("a\x1b[2Jb\x07\tc\r\n", 1), "a\u{FFFD}[2Jb\u{FFFD}\tc/\n/");
    }
}
