//! Tells code from strings and comments, one character at a time.
//!
//! As much of a lexer as counting brackets needs, for every language of the table alike. What it does not know (regular
//! expressions, raw strings, nested comments) it reads as ordinary strings and code; a string of one line ends with
//! its line, so that a mistake does not last.

use super::language::Language;

/// Where the text so far ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Code,
    /// In a string that ends with this quote, or its line.
    String(char),
    /// In a string that goes on over lines.
    LongString(char),
    LineComment,
    BlockComment,
}

#[derive(Clone, Debug)]
pub(crate) struct Lexer {
    language: &'static Language,
    place: Place,
    /// The next character is escaped.
    is_escaped: bool,
    /// A run of quotes in code or at the end of a string of three quotes: which, and how many.
    quotes: Option<(char, usize)>,
    /// Whether the string has three quotes at either end.
    is_triple: bool,
    /// `'` and what followed it, where it may be a character or a lifetime.
    char_quote: Option<usize>,
    /// The last characters of code or of a comment, as long as a marker of one is.
    recent: String,
}

/// The longest marker of a comment.
const MAX_MARKER: usize = 4;

impl Lexer {
    pub(crate) fn new(language: &'static Language) -> Self {
        Self {
            language,
            place: Place::Code,
            is_escaped: false,
            quotes: None,
            is_triple: false,
            char_quote: None,
            recent: String::new(),
        }
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// One for the same language that begins in code.
    pub(crate) fn in_code(&self) -> Self {
        Self::new(self.language)
    }

    /// Decides at the cursor what more text would decide: one quote begins a string, not three of them.
    pub(crate) fn settle(&mut self) {
        if let Some((quote, 1)) = self.quotes.filter(|_| self.place == Place::Code) {
            self.begin_string(quote, false);
        }
    }

    /// Takes the next character. Says whether it is code: neither in a string or comment, nor a quote.
    pub(crate) fn push(&mut self, next: char) -> bool {
        match self.place {
            Place::Code => self.push_code(next),
            Place::String(quote) => {
                if next == '\n' && !self.is_escaped {
                    self.place = Place::Code;
                    return true;
                }
                self.push_string(quote, next);
                false
            }
            Place::LongString(quote) => {
                self.push_string(quote, next);
                false
            }
            Place::LineComment => {
                if next == '\n' {
                    self.place = Place::Code;
                    self.recent.clear();
                    return true;
                }
                // Lua's `--[[` begins with its `--`.
                self.remember(next);
                let is_longer = |start: &str| {
                    self.language.line_comments.iter().any(|it| start.starts_with(it))
                        && self.recent.ends_with(start)
                };
                if self.language.block_comment.is_some_and(|(start, _)| is_longer(start)) {
                    self.place = Place::BlockComment;
                }
                false
            }
            Place::BlockComment => {
                self.remember(next);
                if self.language.block_comment.is_some_and(|(_, end)| self.recent.ends_with(end)) {
                    self.place = Place::Code;
                    self.recent.clear();
                }
                false
            }
        }
    }

    fn push_code(&mut self, next: char) -> bool {
        if let Some(n_inside) = self.char_quote.take() {
            // `'x'`, `'\n'`; `'a` without a second quote is a lifetime, and code goes on.
            if self.is_escaped {
                self.is_escaped = false;
                self.char_quote = Some(n_inside + 1);
                return false;
            }
            match next {
                '\\' if n_inside == 0 => {
                    self.is_escaped = true;
                    self.char_quote = Some(0);
                    return false;
                }
                '\'' => return false,
                '\n' => {}
                _ if n_inside == 0 => {
                    self.char_quote = Some(1);
                    return false;
                }
                _ => {}
            }
        }
        if let Some((quote, n_quotes)) = self.quotes.take() {
            match (next == quote, n_quotes) {
                (true, 1) => {
                    self.quotes = Some((quote, 2));
                    return false;
                }
                (true, _) => {
                    self.begin_string(quote, true);
                    return false;
                }
                (false, 1) => {
                    self.begin_string(quote, false);
                    return self.push(next);
                }
                // An empty string, and code behind it.
                (false, _) => {}
            }
        }
        if next == '\'' && self.language.has_char_quotes {
            self.char_quote = Some(0);
            return false;
        }
        let is_long = self.language.long_quotes.contains(&next);
        if is_long || self.language.quotes.contains(&next) {
            if self.language.has_triple_quotes {
                self.quotes = Some((next, 1));
            } else {
                self.begin_string(next, false);
            }
            self.recent.clear();
            return false;
        }
        self.remember(next);
        if self.language.block_comment.is_some_and(|(start, _)| self.recent.ends_with(start)) {
            self.place = Place::BlockComment;
            self.recent.clear();
            return false;
        }
        if self.language.line_comments.iter().any(|it| self.recent.ends_with(it)) {
            self.place = Place::LineComment;
            return false;
        }
        true
    }

    fn begin_string(&mut self, quote: char, is_triple: bool) {
        let is_long = is_triple || self.language.long_quotes.contains(&quote);
        self.place = if is_long { Place::LongString(quote) } else { Place::String(quote) };
        self.is_triple = is_triple;
        self.is_escaped = false;
        self.quotes = None;
        self.recent.clear();
    }

    fn push_string(&mut self, quote: char, next: char) {
        if self.is_escaped {
            self.is_escaped = false;
            self.quotes = None;
            return;
        }
        if next == '\\' {
            self.is_escaped = true;
            self.quotes = None;
            return;
        }
        if next != quote {
            self.quotes = None;
            return;
        }
        let n_quotes = self.quotes.map_or(0, |(_, n_quotes)| n_quotes) + 1;
        if n_quotes == if self.is_triple { 3 } else { 1 } {
            self.place = Place::Code;
            self.quotes = None;
        } else {
            self.quotes = Some((quote, n_quotes));
        }
    }

    fn remember(&mut self, next: char) {
        if self.recent.chars().count() == MAX_MARKER {
            self.recent.remove(0);
        }
        self.recent.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The characters that are code, and where the text ends. The first one of a marker is taken for code: it may be one.
    fn read(language: &str, text: &str) -> (String, Place) {
        let mut lexer = Lexer::new(Language::find(Some(language), None));
        let code = text.chars().filter(|&it| lexer.push(it)).collect();
        (code, lexer.place())
    }

    #[test]
    fn strings_and_comments_are_not_code() {
        let table: [(&str, &str, &str, Place); 21] = [
            ("python", "f('(', \"[\") # {\ng", "f(, ) \ng", Place::Code),
            ("python", "x = \"\"\"a\n(\"'\n", "x = ", Place::LongString('"')),
            ("python", "x = '''('''+1", "x = +1", Place::Code),
            ("python", "x = \"\" + (", "x =  + (", Place::Code),
            ("python", "x = \"\\\"(\" + 1", "x =  + 1", Place::Code),
            ("python", "x = 'unclosed (\ny = (", "x = \ny = (", Place::Code),
            ("python", "print(\"a", "print(", Place::String('"')),
            ("python", "# a (", "", Place::LineComment),
            ("rust", "fn f<'a>(x: &'a str) -> char { '(' }", "fn f<>(x: & str) -> char {  }", Place::Code),
            ("rust", "'\\'' + '\"' + \"(\n)\" + b'{'", " +  +  + b", Place::Code),
            ("rust", "/* ( */ { // [", "/ { /", Place::LineComment),
            ("rust", "/* (", "/", Place::BlockComment),
            ("rust", "a / b // (\n* c", "a / b /\n* c", Place::Code),
            ("javascript", "`a ${b} (\n` + '}'", " + ", Place::Code),
            ("javascript", "\"it's\" // don't\n(", " /\n(", Place::Code),
            ("go", "x := `(\n[`\n{", "x := \n{", Place::Code),
            ("lua", "--[[ ( \n ]] x -- (", "- x -", Place::LineComment),
            ("shell", "echo 'a\n(' # b", "echo  ", Place::LineComment),
            ("html", "<a href=\"x\"> don't <!-- ( -->", "<a href=\"x\"> don't <!-", Place::Code),
            ("sql", "select ';' -- (", "select ';' -", Place::LineComment),
            ("nothing known", "it's # (1", "it's # (1", Place::Code),
        ];
        for (language, text, code, place) in table {
            let (got, at) = read(language, text);
            assert_eq!(at, place, "{language}: {text}");
            assert_eq!(got, code, "{language}: {text}");
        }
    }
}
