//! An open document: its text as a rope, kept equal to the client's by its changes.

use std::collections::VecDeque;

use gen_lsp_types::Range;
use ropey::Rope;

use super::positions::Encoding;

/// The number of places that a document remembers.
const MAX_MARKS: usize = 32;

/// A document that the client has open.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) text: Rope,
    /// The language as the client names it, such as `rust`.
    pub(super) language: String,
    pub(super) version: Option<i64>,
    /// The index of the character behind the last change; `None` before there was one.
    last_changed: Option<usize>,
    /// Where texts were offered: a name, and the index of the character. They move with the text.
    marks: VecDeque<(u64, usize)>,
}

/// A change of a document.
#[derive(Debug)]
pub(super) struct Change {
    /// What the text replaces; `None` stands for the whole document.
    pub(super) range: Option<Range>,
    pub(super) text: String,
}

/// What a change did to a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replaced {
    /// The characters of the document before the change that it removed.
    pub(super) chars: std::ops::Range<usize>,
    /// The same in bytes.
    pub(super) bytes: std::ops::Range<usize>,
    /// How many characters took their place.
    pub(super) n_inserted: usize,
}

impl Document {
    pub(super) fn new(text: &str, language: String, version: Option<i64>) -> Self {
        Self { text: Rope::from_str(text), language, version, last_changed: None, marks: VecDeque::new() }
    }

    /// The index of the character where the cursor probably is: behind the last change. In a document that has not been
    /// changed it can be anywhere; then it is the end, since what is computed for that place is of use in front of it
    /// too. But not if there is more than `n_bytes` in front of it, of which only the last part would be computed.
    pub(super) fn likely_cursor(&self, n_bytes: usize) -> Option<usize> {
        let end = (self.text.len_bytes() <= n_bytes).then(|| self.text.len_chars());
        self.last_changed.or(end)
    }

    /// Remembers the place of a text that was offered.
    pub(super) fn mark(&mut self, name: u64, char_idx: usize) {
        if self.marks.len() == MAX_MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back((name, char_idx));
    }

    /// Whether a text still stands at the place marked with `name`, but for white space, which formatters change; `None`
    /// if the place is forgotten.
    pub(super) fn still_has(&self, name: u64, text: &str) -> Option<bool> {
        let (_, at) = *self.marks.iter().find(|it| it.0 == name)?;
        let mut there = self.text.chars_at(at.min(self.text.len_chars())).filter(|it| !it.is_whitespace());
        Some(text.chars().filter(|it| !it.is_whitespace()).all(|it| there.next() == Some(it)))
    }

    /// Applies a change, and returns what it replaced; `None` stands for the whole document. Takes time for the change,
    /// not for the document, unless it replaces all of it.
    pub(super) fn apply(&mut self, change: &Change, encoding: Encoding) -> Option<Replaced> {
        let Some(range) = change.range else {
            self.text = Rope::from_str(&change.text);
            self.last_changed = None;
            self.marks.clear();
            return None;
        };
        let chars = encoding.chars_of(&self.text, range);
        let start = chars.start;
        let n_inserted = change.text.chars().count();
        for (_, at) in &mut self.marks {
            if *at >= chars.end && *at > start {
                *at = *at - chars.len() + n_inserted;
            } else {
                *at = (*at).min(start);
            }
        }
        let bytes = self.text.char_to_byte(start)..self.text.char_to_byte(chars.end);
        self.text.remove(chars.clone());
        self.text.insert(start, &change.text);
        self.last_changed = Some(start + n_inserted);
        Some(Replaced { chars, bytes, n_inserted })
    }
}

#[cfg(test)]
mod tests {
    use gen_lsp_types::Position;
    use proptest::prelude::*;

    use super::*;

    fn change(from: (u32, u32), to: (u32, u32), text: &str) -> Change {
        let range = Range::new(Position::new(from.0, from.1), Position::new(to.0, to.1));
        Change { range: Some(range), text: text.to_owned() }
    }

    #[test]
    fn changes_insert_replace_and_remove() {
        let mut document = Document::new("one\r\ntwo 😀\r\n", "text".to_owned(), None);
        document.apply(&change((1, 4), (1, 6), "three"), Encoding::Utf16);
        assert_eq!(document.text, "one\r\ntwo three\r\n");
        assert_eq!(document.likely_cursor(0), Some(14));
        document.apply(&change((0, 3), (1, 0), " "), Encoding::Utf16);
        assert_eq!(document.text, "one two three\r\n");
        document.apply(&change((0, 0), (0, 4), ""), Encoding::Utf16);
        assert_eq!(document.text, "two three\r\n");
        document.apply(&Change { range: None, text: "all".to_owned() }, Encoding::Utf16);
        assert_eq!(document.text, "all");
    }

    #[test]
    fn a_marked_text_is_found_after_edits_around_it() {
        let mut document = Document::new("fn f() {\n    \n}\n", String::new(), None);
        document.mark(7, 13);
        document.apply(&change((1, 4), (1, 4), "let x = 1;"), Encoding::Utf16);
        assert_eq!(document.still_has(7, "let x = 1;"), Some(true), "inserted at the mark");
        document.apply(&change((0, 0), (0, 0), "// One\n"), Encoding::Utf16);
        document.apply(&change((2, 0), (2, 4), "\t"), Encoding::Utf16);
        document.apply(&change((2, 11), (2, 11), "\n"), Encoding::Utf16);
        assert_eq!(document.still_has(7, "let x = 1;"), Some(true));
        document.apply(&change((2, 5), (2, 6), "y"), Encoding::Utf16);
        assert_eq!(document.still_has(7, "let x = 1;"), Some(false));
        assert_eq!(document.still_has(8, ""), None);
        document.apply(&change((0, 0), (9, 0), ""), Encoding::Utf16);
        assert_eq!(document.still_has(7, "let"), Some(false));
        document.apply(&Change { range: None, text: "let".to_owned() }, Encoding::Utf16);
        assert_eq!(document.still_has(7, "let"), None);
    }

    /// What a client does with a change, without a rope: lines and columns are looked up in a string.
    fn apply_to_string(text: &mut String, from: (u32, u32), to: (u32, u32), inserted: &str) {
        let at = |(line, column): (u32, u32)| {
            let mut start = 0;
            for _ in 0..line {
                let rest = &text[start..];
                let Some(end) = rest.find(['\n', '\r']) else { return text.len() };
                start += end + if rest[end..].starts_with("\r\n") { 2 } else { 1 };
            }
            let line = text[start..].split(['\n', '\r']).next().unwrap_or_default();
            let (mut units, mut bytes) = (0, 0);
            for c in line.chars() {
                units += u32::try_from(c.len_utf16()).unwrap_or(2);
                if units > column {
                    break;
                }
                bytes += c.len_utf8();
            }
            start + bytes
        };
        let (a, b) = (at(from), at(to));
        text.replace_range(a.min(b)..a.max(b), inserted);
    }

    proptest! {
        #[test]
        fn any_changes_give_the_text_that_a_client_has(
            start in "[a😀é\r\n\u{2028}]{0,40}",
            changes in prop::collection::vec(((0..6_u32, 0..9_u32), (0..6_u32, 0..9_u32), "[b😀\r\n]{0,4}"), 0..12),
        ) {
            let mut document = Document::new(&start, String::new(), None);
            let mut text = start;
            for (from, to, inserted) in changes {
                document.apply(&change(from, to, &inserted), Encoding::Utf16);
                apply_to_string(&mut text, from, to, &inserted);
                prop_assert_eq!(document.text.to_string(), text.as_str());
            }
        }
    }
}
