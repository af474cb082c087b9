//! Tells code from strings and comments, one character at a time.
//!
//! This is just enough of a lexer to count brackets, and the same for all languages of the table. Code in a string, as
//! in `f"{name}"`, counts as code, and so do the brackets around it. Regular expressions, raw strings and nested
//! comments are not known and read as ordinary strings and code. A string of one line ends with its line, whatever is
//! open in it, so that the effect of a mistake is limited to the line.

use super::language::{Brace, Interpolation, Language};

/// What the text read so far ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Code,
    /// In a string that ends with this quote or with its line.
    String(char),
    /// In a string that may have several lines, and ends with this quote.
    LongString(char),
    LineComment,
    BlockComment,
}

#[derive(Clone, Debug)]
pub(crate) struct Lexer {
    language: &'static Language,
    place: Place,
    /// Whether the next character is escaped.
    is_escaped: bool,
    /// A run of quotes in code, or at the end of a string with triple quotes: the quote, and how many.
    quotes: Option<(char, usize)>,
    /// The string that the text ends in, if any.
    string: Literal,
    /// Whether the last quote in code followed a mark of strings that contain code.
    is_marked: bool,
    /// The strings around the code that the text ends in, the innermost last.
    around: Vec<Around>,
    /// Whether the last character was a lone brace, so that the next one tells whether it begins code.
    is_brace_fresh: bool,
    /// The number of brackets that counted as open code before the last character and no longer do.
    n_dropped: usize,
    /// The number of characters after a `'`, as long as it may begin a character or a lifetime.
    char_quote: Option<usize>,
    /// The last characters of code or of a comment, as many as a marker can have.
    recent: String,
}

/// What has to be known about a string until it ends.
#[derive(Clone, Debug, Default)]
struct Literal {
    /// Whether it has triple quotes.
    is_triple: bool,
    /// How it contains code, if it does.
    interpolation: Option<&'static Interpolation>,
    /// The brackets open in its text, which do not count as code.
    open: Vec<char>,
}

/// A string that contains the code being read.
#[derive(Clone, Debug)]
struct Around {
    place: Place,
    string: Literal,
    /// The brackets open in the code, including the one that it begins with.
    open: Vec<char>,
    /// Whether the code has more than one line.
    has_lines: bool,
}

/// The number of open brackets that are tracked, the innermost of them: more than code written by hand has.
pub(super) const MAX_DEPTH: usize = 256;
/// The number of strings nested in each other's code that are tracked: more than code written by hand has.
const MAX_AROUND: usize = 16;
/// The greatest length of a marker, in characters, of a comment or of code in a string.
const MAX_MARKER: usize = 4;

impl Lexer {
    pub(crate) fn new(language: &'static Language) -> Self {
        Self {
            language,
            place: Place::Code,
            is_escaped: false,
            quotes: None,
            string: Literal::default(),
            is_marked: false,
            around: Vec::new(),
            is_brace_fresh: false,
            n_dropped: 0,
            char_quote: None,
            recent: String::new(),
        }
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// A lexer for the same language that begins in code.
    pub(crate) fn in_code(&self) -> Self {
        Self::new(self.language)
    }

    /// A copy of this lexer, after the end of the code in the innermost string.
    pub(crate) fn behind_interpolation(&self) -> Self {
        let mut behind = self.clone();
        behind.end_interpolation();
        behind
    }

    /// A copy of this lexer, after the brackets that were opened within the code in the innermost string are closed.
    pub(crate) fn at_end_of_interpolation(&self) -> Self {
        let mut at_end = self.clone();
        if let Some(around) = at_end.around.last_mut() {
            around.open.truncate(1);
        }
        at_end
    }

    /// The number of strings that the text ends in. A string in the code of another one counts as two.
    pub(crate) fn n_strings(&self) -> usize {
        self.around.len() + usize::from(matches!(self.place, Place::String(_) | Place::LongString(_)))
    }

    /// The innermost string around the code that the text ends in.
    pub(crate) fn string_around(&self) -> Option<Place> {
        self.around.last().map(|it| it.place)
    }

    /// Whether the text ends in the code of a string, in no other bracket than the lone brace that the code begins with.
    pub(crate) fn is_at_brace_of_string(&self) -> bool {
        self.around.last().is_some_and(|it| {
            it.open == ['{'] && it.string.interpolation.is_some_and(|it| it.brace == Brace::Doubled)
        })
    }

    /// Whether the text ends in the code of a string, and that code began in this line.
    pub(crate) fn is_in_line_of_string(&self) -> bool {
        self.around.last().is_some_and(|it| !it.has_lines)
    }

    /// The brackets open in the text of the string that the text ends in.
    pub(crate) fn open_in_string(&self) -> &[char] {
        &self.string.open
    }

    /// The number of brackets that counted as open code before the last character and no longer do: that character was
    /// the second of a double brace, or ended the line and with it the string around them.
    pub(crate) fn n_dropped(&self) -> usize {
        self.n_dropped
    }

    /// Decides at the cursor what otherwise the next character would decide: one quote begins a string, not triple
    /// quotes.
    pub(crate) fn settle(&mut self) {
        if let Some((quote, 1)) = self.quotes.filter(|_| self.place == Place::Code) {
            self.begin_string(quote, false);
        }
        self.is_brace_fresh = false;
    }

    /// Reads the next character. Returns whether it is code: in no string or comment, and not a quote.
    pub(crate) fn push(&mut self, next: char) -> bool {
        self.n_dropped = 0;
        if std::mem::take(&mut self.is_brace_fresh) && self.is_brace_of_text(next) {
            self.end_interpolation();
            self.n_dropped = 1;
            if next == '{' {
                return false;
            }
        }
        if next == '\n' && !self.is_escaped {
            self.end_strings_of_line();
        }
        self.push_at_place(next)
    }

    fn push_at_place(&mut self, next: char) -> bool {
        match self.place {
            Place::Code => {
                let n_around = self.around.len();
                let is_code = self.push_code(next);
                // The bracket that code in a string begins with is counted where that code begins.
                if is_code && self.around.len() == n_around {
                    self.count(next);
                }
                is_code
            }
            Place::String(quote) => {
                if next == '\n' && !self.is_escaped {
                    self.place = Place::Code;
                    return true;
                }
                self.push_string(quote, next)
            }
            Place::LongString(quote) => self.push_string(quote, next),
            Place::LineComment => {
                if next == '\n' {
                    self.place = Place::Code;
                    self.recent.clear();
                    return true;
                }
                // In Lua, `--[[` begins a block comment and `--` a line comment.
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
            // `'x'` and `'
            // '` are characters. `'a` without a second quote is a lifetime, and code goes on.
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
                    return self.push_at_place(next);
                }
                // An empty string, followed by code.
                (false, _) => {}
            }
        }
        if next == '\'' && self.language.has_char_quotes {
            self.char_quote = Some(0);
            return false;
        }
        let is_long = self.language.long_quotes.contains(&next);
        if is_long || self.language.quotes.contains(&next) {
            self.is_marked = self.has_mark();
            if self.language.has_triple_quotes {
                self.quotes = Some((next, 1));
            } else {
                self.begin_string(next, false);
            }
            self.recent.clear();
            return false;
        }
        self.remember(next);
        if self.is_in_line_of_string() {
            // In `f"{n:#x}"`, the `#` does not begin a comment.
            return true;
        }
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
        let holds_code =
            |it: &&Interpolation| it.quotes.contains(&quote) && (it.marks.is_empty() || self.is_marked);
        let interpolation = self.language.interpolation.as_ref().filter(holds_code);
        self.string = Literal { is_triple, interpolation, open: Vec::new() };
        self.is_escaped = false;
        self.quotes = None;
        self.recent.clear();
    }

    /// Reads the next character in a string. Returns whether it is the bracket that code in the string begins with.
    fn push_string(&mut self, quote: char, next: char) -> bool {
        let was_escaped = std::mem::take(&mut self.is_escaped);
        if was_escaped || next != quote {
            self.quotes = None;
            self.remember(next);
            let begins = |it: &&str| self.recent.ends_with(*it) && was_escaped == it.starts_with('\\');
            let start = self.string.interpolation.and_then(|it| it.starts.iter().rfind(|it| begins(it)));
            if let Some(start) = start.filter(|_| self.around.len() < MAX_AROUND) {
                self.begin_interpolation(next, *start == "{");
                return true;
            }
            if was_escaped {
                self.recent.clear();
            } else if next == '\\' {
                self.is_escaped = true;
            } else {
                track(next, &mut self.string.open);
            }
            return false;
        }
        let n_quotes = self.quotes.map_or(0, |(_, n_quotes)| n_quotes) + 1;
        if n_quotes == if self.string.is_triple { 3 } else { 1 } {
            self.place = Place::Code;
            self.quotes = None;
            self.string = Literal::default();
            self.recent.clear();
        } else {
            self.quotes = Some((quote, n_quotes));
        }
        false
    }

    /// Whether the code before a quote ends with a mark of strings that contain code: `f` or `rf` as a word of its own.
    fn has_mark(&self) -> bool {
        let Some(interpolation) = &self.language.interpolation else { return false };
        let is_of_word = |it: char| it.is_alphanumeric() || "_$@".contains(it);
        let word = self.recent.rsplit(|it| !is_of_word(it)).next().unwrap_or_default();
        word.contains(interpolation.marks)
            && word.chars().all(|it| interpolation.marks.contains(&it) || "rR@".contains(it))
    }

    /// Whether the lone brace before `next` turns out to be text instead of the beginning of code.
    fn is_brace_of_text(&self, next: char) -> bool {
        let interpolation = self.around.last().and_then(|it| it.string.interpolation);
        interpolation.is_some_and(|it| match it.brace {
            Brace::Code => false,
            Brace::Doubled => next == '{',
            Brace::BeforeDollar => next != '$',
        })
    }

    fn begin_interpolation(&mut self, bracket: char, is_brace: bool) {
        self.around.push(Around {
            place: self.place,
            string: std::mem::take(&mut self.string),
            open: vec![bracket],
            has_lines: false,
        });
        self.place = Place::Code;
        self.is_brace_fresh = is_brace;
        self.recent.clear();
    }

    fn end_interpolation(&mut self) {
        let Some(around) = self.around.pop() else { return };
        self.place = around.place;
        self.string = around.string;
        self.is_escaped = false;
        self.quotes = None;
        self.char_quote = None;
        self.recent.clear();
    }

    /// Counts the brackets of code in a string; the last closing one ends that code.
    fn count(&mut self, next: char) {
        let Some(around) = self.around.last_mut() else { return };
        track(next, &mut around.open);
        if around.open.is_empty() {
            self.end_interpolation();
        }
    }

    /// At the end of a line, ends strings of one line and drops the brackets open in the code they contain.
    fn end_strings_of_line(&mut self) {
        let first = self.around.iter().position(|it| matches!(it.place, Place::String(_)));
        if let Some(n_kept) = first {
            self.n_dropped += self.around[n_kept..].iter().map(|it| it.open.len()).sum::<usize>();
            self.around.truncate(n_kept + 1);
            self.end_interpolation();
        }
        if let Some(around) = self.around.last_mut() {
            around.has_lines = true;
        }
    }

    fn remember(&mut self, next: char) {
        if self.recent.chars().count() == MAX_MARKER {
            self.recent.remove(0);
        }
        self.recent.push(next);
    }
}

/// Adds an opening bracket to `open`, or removes the one that a closing bracket closes.
pub(super) fn track(next: char, open: &mut Vec<char>) {
    match next {
        '(' | '[' | '{' => {
            if open.len() == MAX_DEPTH {
                open.remove(0);
            }
            open.push(next);
        }
        // A bracket that is not open was opened before the text that was read.
        ')' | ']' | '}' if open.last().copied() == opener_of(next) => {
            open.pop();
        }
        _ => {}
    }
}

pub(super) fn opener_of(closer: char) -> Option<char> {
    match closer {
        ')' => Some('('),
        ']' => Some('['),
        '}' => Some('{'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The characters that are code, and where the text ends. The first character of a marker still counts as code.
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
            ("javascript", "`a ${b} (\n` + '}'", "{b} + ", Place::Code),
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

    #[test]
    fn code_in_strings_is_code() {
        let table: [(&str, &str, &str, Place); 26] = [
            ("python", "f\"a (b) {c[0]} (\" + d", "f{c[0]} + d", Place::Code),
            ("python", "f\"{{a}} {b}\"", "f{{b}", Place::Code),
            ("python", "rf'{a} (' + (", "rf{a} + (", Place::Code),
            ("python", "f'{d[\"k\"]}' (", "f{d[]} (", Place::Code),
            ("python", "f\"{d[\"k\"]}\" (", "f{d[]} (", Place::Code),
            ("python", "f'''{a}\n{b", "f{a}{b", Place::Code),
            ("python", "f\"{n:#x} {m}\"", "f{n:#x}{m}", Place::Code),
            ("python", "self(\"{a}\", of\"{b}\")", "self(, of)", Place::Code),
            ("python", "f\"{a\nb = (", "f{a\nb = (", Place::Code),
            ("javascript", "`a ${f(`b ${c} d`)} e`", "{f({c})}", Place::Code),
            ("javascript", "`\\${a} $b {c}`;", ";", Place::Code),
            ("javascript", "\"${a}\" + '${b}'", " + ", Place::Code),
            ("javascript", "`${a.map((b) => {\n  (", "{a.map((b) => {\n  (", Place::Code),
            ("kotlin", "\"$a ${b[\"c\"]} d\" (", "{b[]} (", Place::Code),
            ("swift", "\"a \\(b.map { $0 }) \\n(\" + c", "(b.map { $0 }) + c", Place::Code),
            ("ruby", "\"#{a} #b\" '#{c}'", "{a} ", Place::Code),
            ("csharp", "$\"{a:0.00} {{b}}\" + \"{c}\"", "${a:0.00}{ + ", Place::Code),
            ("csharp", "$@\"{a}\"", "$@{a}", Place::Code),
            ("php", "\"{$a['b']} {c} ${d}\"", "{$a[]}{{d}", Place::Code),
            ("shell", "\"${a} $(b \"c\") $d\" (", "{a}(b ) (", Place::Code),
            ("shell", "'${a}' \"${b#c}\"", " {b#c}", Place::Code),
            ("dart", "'${a}' \"${b}\"", "{a} {b}", Place::Code),
            ("elixir", "\"#{a |> b(1)}\"", "{a |> b(1)}", Place::Code),
            ("perl", "\"@{[ a ]} ${b}\"", "{[ a ]}{b}", Place::Code),
            ("julia", "\"$(a + 1)\"", "(a + 1)", Place::Code),
            ("rust", "println!(\"{a} {\", b)", "println!(, b)", Place::Code),
        ];
        for (language, text, code, place) in table {
            let (got, at) = read(language, text);
            assert_eq!(at, place, "{language}: {text}");
            assert_eq!(got, code, "{language}: {text}");
        }
    }

    #[test]
    fn a_line_ends_the_strings_of_one_line_with_the_code_in_them_and_tells_what_that_drops() {
        let mut lexer = Lexer::new(Language::find(Some("python"), None));
        "x = f\"{a[f'{(".chars().for_each(|it| {
            lexer.push(it);
        });
        assert_eq!(lexer.n_strings(), 2);
        assert!(lexer.push('\n'));
        assert_eq!((lexer.n_strings(), lexer.n_dropped(), lexer.place()), (0, 4, Place::Code));
        assert_eq!((lexer.push('x'), lexer.n_dropped()), (true, 0));
        let mut lexer = Lexer::new(Language::find(Some("csharp"), None));
        "$\"{{".chars().for_each(|it| {
            lexer.push(it);
        });
        assert_eq!((lexer.n_dropped(), lexer.place()), (1, Place::String('"')));
    }
}
