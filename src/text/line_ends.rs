//! Line endings: texts are LF for the model and the rules, and in the file's own form for the editor.
//!
//! Models are trained on LF, and their completions are shorter and worse after CRs. So a file is converted to LF before
//! anything else reads it, generated text is converted to LF before stop strings and rules see it, and each LF becomes
//! the file's own line ending where the text is sent out. An LF is always converted as a whole, so no delta splits or
//! doubles a line ending.
//!
//! Invariant: a text in LF has no `\r` before a `\n`. A lone `\r` is an ordinary character, except in a file that has
//! no other line endings.

use std::borrow::Cow;

use crate::Trimmed;

/// The line ending of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEnd {
    #[default]
    Lf,
    CrLf,
    /// Used by old Macs. Chosen only if the text has no LF at all.
    Cr,
}

impl LineEnd {
    /// The line ending of most lines of a text, which is given in pieces, such as the text before and after a cursor.
    /// LF if LF and CRLF are equally frequent, or if there is only one line.
    pub fn of(pieces: &[&str]) -> Self {
        let count = |end: &str| pieces.iter().map(|it| it.matches(end).count()).sum::<usize>();
        let (n_all, n_with_return) = (count("\n"), count("\r\n"));
        if n_all == 0 {
            return if pieces.iter().any(|it| it.contains('\r')) { Self::Cr } else { Self::Lf };
        }
        if n_with_return > n_all - n_with_return { Self::CrLf } else { Self::Lf }
    }

    /// Converts a text of such a file to LF. If several `\r` precede a `\n`, all of them belong to the line ending.
    pub fn to_lf(self, text: &str) -> Cow<'_, str> {
        if !text.contains('\r') {
            return Cow::Borrowed(text);
        }
        if self == Self::Cr {
            return Cow::Owned(text.replace('\r', "\n"));
        }
        let mut lf = ToLf::default();
        let mut output = lf.push(text);
        output.push_str(lf.flush());
        Cow::Owned(output)
    }

    /// Converts a stop string to LF. A `\r` at its end counts as a line ending, unless the file is LF.
    pub fn stop_to_lf(self, stop: &str) -> Cow<'_, str> {
        match stop.strip_suffix('\r') {
            Some(before) if self != Self::Lf => Cow::Owned(self.to_lf(before).into_owned() + "\n"),
            _ => self.to_lf(stop),
        }
    }

    /// Converts a text from LF to the form of such a file.
    pub fn from_lf(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Lf => Cow::Borrowed(text),
            Self::CrLf => Cow::Owned(text.replace('\n', "\r\n")),
            Self::Cr => Cow::Owned(text.replace('\n', "\r")),
        }
    }

    /// The number of characters of `text`, a text of such a file, that its first `n_lf` characters in LF correspond to.
    pub fn chars_of(self, text: &str, n_lf: usize) -> usize {
        if self == Self::Cr || !text.contains('\r') {
            return n_lf;
        }
        let (mut n_returns, mut n_chars, mut n_left) = (0, 0, n_lf);
        for next in text.chars() {
            if next == '\r' {
                n_returns += 1;
                continue;
            }
            // The `\r` before an LF are part of it, not characters of the LF text.
            let n_before = if next == '\n' { 0 } else { n_returns };
            if n_left <= n_before {
                break;
            }
            n_left -= n_before + 1;
            n_chars += n_returns + 1;
            n_returns = 0;
        }
        n_chars + n_left
    }
}

/// The text around a cursor, in LF.
#[derive(Clone, Debug)]
pub struct InLf<'a> {
    pub line_end: LineEnd,
    pub prefix: Cow<'a, str>,
    pub suffix: Cow<'a, str>,
    /// Prefix and suffix as the client sent them.
    clients: (&'a str, &'a str),
}

impl<'a> InLf<'a> {
    pub fn new(prefix: &'a str, suffix: &'a str) -> Self {
        let line_end = LineEnd::of(&[prefix, suffix]);
        // A cursor inside a line ending is moved before it.
        let before = if suffix.starts_with('\n') { prefix.trim_end_matches('\r') } else { prefix };
        Self {
            line_end,
            prefix: line_end.to_lf(before),
            suffix: line_end.to_lf(suffix),
            clients: (prefix, suffix),
        }
    }

    /// Converts the numbers of characters left out of these texts from LF to the client's form.
    pub fn trimmed(&self, in_lf: Trimmed) -> Trimmed {
        let (prefix, suffix) = self.clients;
        let n_chars = |text: &str| text.chars().count();
        let suffix_chars = match in_lf.suffix_chars {
            0 => 0,
            n => n_chars(suffix) - self.line_end.chars_of(suffix, n_chars(&self.suffix).saturating_sub(n)),
        };
        Trimmed { prefix_chars: self.line_end.chars_of(prefix, in_lf.prefix_chars), suffix_chars, ..in_lf }
    }
}

/// Converts a stream of text to LF. The result does not depend on how the stream is split.
#[derive(Clone, Debug, Default)]
pub struct ToLf {
    /// The `\r` at the end of the text so far. The next character decides whether they belong to a line ending.
    held: String,
}

impl ToLf {
    /// Takes the next piece of text, and returns what is final of it, in LF.
    pub fn push(&mut self, text: &str) -> String {
        let mut output = String::with_capacity(text.len());
        for (at, piece) in text.split('\r').enumerate() {
            if at > 0 {
                self.held.push('\r');
            }
            if piece.is_empty() {
                continue;
            }
            if !piece.starts_with('\n') {
                output.push_str(&self.held);
            }
            self.held.clear();
            output.push_str(piece);
        }
        output
    }

    /// The end of the text: the `\r` held back until now, which belong to the text after all.
    pub fn flush(&mut self) -> &str {
        &self.held
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::{CompletionPrompt, Cursor, FimFormat, Goal, Rules, Surroundings, Tokenizer};

    #[test]
    fn a_cursor_within_an_end_of_a_line_stands_before_it() {
        let file = InLf::new("a\r\nb\r", "\nc\r\n");
        assert_eq!((&*file.prefix, &*file.suffix), ("a\nb", "\nc\n"));
        assert_eq!(InLf::new("a\r\nb\r", "c").prefix, "a\nb\r");
    }

    #[test]
    fn what_was_left_out_is_counted_in_the_clients_text() {
        let file = InLf::new("a\r\nb\r\nc", "d\r\ne\r\n");
        let in_lf = Trimmed { prefix_chars: 4, suffix_chars: 2, context_files: 1 };
        assert_eq!(file.trimmed(in_lf), Trimmed { prefix_chars: 6, suffix_chars: 3, context_files: 1 });
        assert_eq!(file.trimmed(Trimmed::default()), Trimmed::default());
    }

    /// The prompt of a byte-level model, and the completion made from the generated pieces, as `complete` does it.
    fn completed(prefix: &str, suffix: &str, limit: usize, pieces: &[String]) -> (CompletionPrompt, String) {
        let tokenizer = Tokenizer::bytes_for_tests();
        let file = InLf::new(prefix, suffix);
        let whole = Surroundings { prefix: &file.prefix, suffix: &file.suffix, ..Surroundings::default() };
        let prompt = FimFormat::detect(&tokenizer).unwrap().prompt(&tokenizer, &whole, limit);
        let trimmed = file.trimmed(prompt.trimmed);
        let cursor =
            Cursor { prefix: &file.prefix, suffix: &file.suffix, language: Some("python"), path: None };
        let mut rules = Rules::new(&cursor, Goal::Auto, &[]);
        let mut lf = ToLf::default();
        let mut text = String::new();
        for piece in pieces {
            text.push_str(&file.line_end.from_lf(&rules.push(&lf.push(piece)).emit));
        }
        text.push_str(&file.line_end.from_lf(&rules.push(lf.flush()).emit));
        text.push_str(&file.line_end.from_lf(&rules.flush()));
        (CompletionPrompt { trimmed, ..prompt }, text)
    }

    #[test]
    fn a_file_ends_its_lines_as_most_of_them_do() {
        let table: [(&[&str], LineEnd); 9] = [
            (&["a\nb", "c\n"], LineEnd::Lf),
            (&["a\r\nb", "c\r\n"], LineEnd::CrLf),
            (&["a\r\nb\r\nc\n", ""], LineEnd::CrLf),
            (&["a\r\nb\nc\n", ""], LineEnd::Lf),
            (&["a\r\nb\n", ""], LineEnd::Lf),
            (&["a\rb", "c\r"], LineEnd::Cr),
            (&["a\rb", "c\n"], LineEnd::Lf),
            (&["a", "b"], LineEnd::Lf),
            (&[], LineEnd::Lf),
        ];
        for (pieces, expected) in table {
            assert_eq!(LineEnd::of(pieces), expected, "of {pieces:?}");
        }
    }

    #[test]
    fn only_what_ends_a_line_becomes_an_lf() {
        assert_eq!(LineEnd::CrLf.to_lf("a\r\nb\nc\rd\r\r\n\re\r"), "a\nb\nc\rd\n\re\r");
        assert_eq!(LineEnd::Cr.to_lf("a\r\rb\r"), "a\n\nb\n");
        assert!(matches!(LineEnd::CrLf.to_lf("a\nb"), Cow::Borrowed("a\nb")));
    }

    #[test]
    fn a_stop_string_means_the_same_end_of_a_line_however_it_is_written() {
        for stop in ["}\n", "}\r\n", "}\r"] {
            assert_eq!(LineEnd::CrLf.stop_to_lf(stop), "}\n");
        }
        assert_eq!(LineEnd::Lf.stop_to_lf("a\r"), "a\r", "in an LF file it is a character");
        assert_eq!(LineEnd::Cr.stop_to_lf("\r\r"), "\n\n");
    }

    #[test]
    fn characters_are_counted_in_the_clients_text() {
        let text = "a\r\né\r\r\nb\rc";
        // The indices count characters of "a\né\nb\rc".
        for (n_lf, n_chars) in [(0, 0), (1, 1), (2, 3), (3, 4), (4, 7), (5, 8), (6, 9), (7, 10)] {
            assert_eq!(LineEnd::CrLf.chars_of(text, n_lf), n_chars, "of {n_lf}");
        }
        assert_eq!(LineEnd::Cr.chars_of("a\rb", 2), 2);
    }

    proptest! {
        #[test]
        fn a_text_goes_into_lf_and_back(text in "[a\né]{0,20}") {
            for line_end in [LineEnd::Lf, LineEnd::CrLf, LineEnd::Cr] {
                let written = line_end.from_lf(&text);
                prop_assert_eq!(line_end.to_lf(&written), text.as_str());
                prop_assert_eq!(line_end.chars_of(&written, text.chars().count()), written.chars().count());
                if text.contains('\n') {
                    prop_assert_eq!(LineEnd::of(&[&written]), line_end);
                }
            }
        }

        #[test]
        fn a_crlf_file_has_the_prompt_of_its_lf_form_and_its_text_in_crlf(
            prefix in "([ab (:\n]|    ){0,12}",
            suffix in "([ab ):\n]|    ){0,12}",
            pieces in prop::collection::vec("([ab ():\n\"]|\r\n|\n    ab){0,5}", 0..8),
            limit in 10..60_usize,
        ) {
            let crlf = |text: &str| LineEnd::CrLf.from_lf(text).into_owned();
            // Makes sure that the text has a line ending to detect.
            let suffix = suffix + "\n";
            let (in_lf, text) = completed(&prefix, &suffix, limit, &pieces);
            let (in_crlf, text_in_crlf) = completed(&crlf(&prefix), &crlf(&suffix), limit, &pieces);
            prop_assert_eq!(&in_crlf.tokens, &in_lf.tokens);
            prop_assert_eq!(text_in_crlf, crlf(&text));
            let n_lines = |text: &str| text.matches('\n').count();
            let cut = &prefix[..prefix.char_indices().nth(in_lf.trimmed.prefix_chars).map_or(prefix.len(), |it| it.0)];
            prop_assert_eq!(in_crlf.trimmed.prefix_chars, in_lf.trimmed.prefix_chars + n_lines(cut));
        }

        #[test]
        fn every_chunking_gives_the_same_lf(pieces in prop::collection::vec("[a\r\né]{0,4}", 0..8)) {
            let mut lf = ToLf::default();
            let mut output: String = pieces.iter().map(|it| lf.push(it)).collect();
            output.push_str(lf.flush());
            prop_assert!(!output.contains("\r\n"));
            let whole = pieces.concat();
            prop_assert_eq!(output, LineEnd::CrLf.to_lf(&whole));
        }
    }
}
