//! What the client's person has changed recently, for predicting what comes next: [`History`].
//!
//! Editors send a change for each keystroke. Changes of the same or neighbouring lines, one after the other, are one
//! edit, with its lines as they were before the first of them and as they are now.

use std::collections::VecDeque;
use std::ops::Range;

use ropey::Rope;

use super::document::Replaced;

/// The number of edits that are remembered.
const MAX_EDITS: usize = 8;
/// An edit of more lines or bytes is a paste or the work of a formatter, which says little about what comes next.
const MAX_LINES: usize = 40;
const MAX_BYTES: usize = 8 << 10;

/// The recent edits of all documents of a client.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The oldest first.
    before: VecDeque<Edit>,
    latest: Option<Latest>,
}

/// Lines that took the place of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) uri: String,
    pub(super) original: String,
    pub(super) updated: String,
    /// Where it is in its document now: the index of its first line. Known of the latest edit only.
    pub(super) line: Option<usize>,
}

/// The latest edit, which further changes may continue.
#[derive(Debug)]
struct Latest {
    uri: String,
    original: String,
    /// The lines that are changed, as they are in `text`.
    rows: Range<usize>,
    /// The document after the last change. A rope shares its parts with the document's own.
    text: Rope,
}

impl History {
    /// Records a change of a document from `before` to `after`. `replaced` is `None` if it replaced all of it.
    pub(super) fn changed(&mut self, uri: &str, before: &Rope, after: &Rope, replaced: Option<Replaced>) {
        let (chars, n_inserted) =
            replaced.map_or_else(|| difference(before, after), |it| (it.chars, it.n_inserted));
        if chars.is_empty() && n_inserted == 0 {
            return;
        }
        let old = before.char_to_line(chars.start)..before.char_to_line(chars.end) + 1;
        let new = after.char_to_line(chars.start)..after.char_to_line(chars.start + n_inserted) + 1;
        let continues = self
            .latest
            .as_ref()
            .is_some_and(|it| it.uri == uri && it.rows.start <= old.end && old.start <= it.rows.end);
        // An LF behind a CR makes one line end of two; what that changes is not recorded.
        let latest = if old.start != new.start {
            self.finish();
            None
        } else if continues {
            self.latest.take().and_then(|it| it.continued(before, &old, new.len()))
        } else {
            self.finish();
            lines(before, old).map(|original| (original, new))
        };
        self.latest = latest.filter(|(_, rows)| rows.len() <= MAX_LINES).map(|(original, rows)| Latest {
            uri: uri.to_owned(),
            original,
            rows,
            text: after.clone(),
        });
    }

    /// Records that a document was closed. If it is opened again, it may have other lines.
    pub(super) fn closed(&mut self, uri: &str) {
        if self.latest.as_ref().is_some_and(|it| it.uri == uri) {
            self.finish();
        }
    }

    /// The recent edits, the latest one last.
    pub(super) fn edits(&self) -> Vec<Edit> {
        self.before.iter().cloned().chain(self.latest.as_ref().and_then(Latest::edit)).collect()
    }

    /// Lets no further change continue the latest edit.
    fn finish(&mut self) {
        let edit = self.latest.take().and_then(|it| it.edit());
        self.before.extend(edit.map(|it| Edit { line: None, ..it }));
        while self.before.len() > MAX_EDITS {
            self.before.pop_front();
        }
    }
}

impl Latest {
    /// The lines before and after this edit and a change of the lines `old` of `before`, which became `n_new`; `None` if
    /// they are too many.
    fn continued(self, before: &Rope, old: &Range<usize>, n_new: usize) -> Option<(String, Range<usize>)> {
        let rows = self.rows.start.min(old.start)..self.rows.end.max(old.end).min(before.len_lines());
        let above = lines(before, rows.start..self.rows.start)?;
        let below = lines(before, self.rows.end.min(rows.end)..rows.end)?;
        let original = [above, self.original, below].concat();
        let is_small = original.len() <= MAX_BYTES && original.lines().count() <= MAX_LINES;
        is_small.then(|| (original, rows.start..rows.end - old.len() + n_new))
    }

    /// The edit so far, without the lines at its beginning and end that have not changed; `None` if nothing has.
    fn edit(&self) -> Option<Edit> {
        let updated = lines(&self.text, self.rows.clone())?;
        let (mut old, mut new) = (pieces(&self.original), pieces(&updated));
        let n_same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
        (old, new) = (old.split_off(n_same), new.split_off(n_same));
        while old.last().is_some_and(|it| Some(it) == new.last()) {
            old.pop();
            new.pop();
        }
        if old.is_empty() && new.is_empty() {
            return None;
        }
        Some(Edit {
            uri: self.uri.clone(),
            original: old.concat(),
            updated: new.concat(),
            line: Some(self.rows.start + n_same),
        })
    }
}

/// The text of these lines, with their ends; `None` if they are too many.
fn lines(text: &Rope, rows: Range<usize>) -> Option<String> {
    let chars = text.line_to_char(rows.start)..text.line_to_char(rows.end.min(text.len_lines()));
    let slice = text.slice(chars);
    (rows.len() <= MAX_LINES && slice.len_bytes() <= MAX_BYTES).then(|| slice.to_string())
}

fn pieces(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Where two texts differ: the characters of the first, and how many of the second took their place.
fn difference(before: &Rope, after: &Rope) -> (Range<usize>, usize) {
    let n_same = before.chars().zip(after.chars()).take_while(|(a, b)| a == b).count();
    let n_most = before.len_chars().min(after.len_chars()) - n_same;
    let (mut from_end, mut from_new_end) =
        (before.chars_at(before.len_chars()).reversed(), after.chars_at(after.len_chars()).reversed());
    let is_same = |_: &usize| from_end.next() == from_new_end.next();
    let n_same_at_end = (0..n_most).take_while(is_same).count();
    let n_inserted = after.len_chars() - n_same_at_end - n_same;
    (n_same..before.len_chars() - n_same_at_end, n_inserted)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use gen_lsp_types::{Position, Range as LspRange};
    use proptest::prelude::*;

    use super::super::document::{Change, Document};
    use super::super::positions::Encoding;
    use super::*;

    /// A document whose changes are recorded.
    struct Recorded {
        uri: &'static str,
        document: Document,
    }

    impl Recorded {
        fn of(uri: &'static str, text: &str) -> Self {
            Self { uri, document: Document::new(text, String::new(), None) }
        }

        fn change(&mut self, history: &mut History, from: (u32, u32), to: (u32, u32), text: &str) {
            let range = LspRange::new(Position::new(from.0, from.1), Position::new(to.0, to.1));
            self.apply(history, &Change { range: Some(range), text: text.to_owned() });
        }

        fn apply(&mut self, history: &mut History, change: &Change) {
            let before = self.document.text.clone();
            let replaced = self.document.apply(change, Encoding::Utf16);
            history.changed(self.uri, &before, &self.document.text, replaced);
        }
    }

    /// The edits as `(uri, original, updated, line)`.
    fn edits(history: &History) -> Vec<(String, String, String, Option<usize>)> {
        history.edits().into_iter().map(|it| (it.uri, it.original, it.updated, it.line)).collect()
    }

    fn edit(
        uri: &str,
        original: &str,
        updated: &str,
        line: Option<usize>,
    ) -> (String, String, String, Option<usize>) {
        (uri.to_owned(), original.to_owned(), updated.to_owned(), line)
    }

    #[test]
    fn keystrokes_at_one_place_are_one_edit() {
        let mut history = History::default();
        let mut file = Recorded::of("a", "one\ntwo\nthree\n");
        for (column, key) in (3..).zip(["!", "?", "\n"]) {
            file.change(&mut history, (1, column), (1, column), key);
        }
        file.change(&mut history, (2, 0), (2, 0), "new");
        assert_eq!(edits(&history), [edit("a", "two\n", "two!?\nnew\n", Some(1))]);
        file.change(&mut history, (1, 3), (1, 5), "");
        assert_eq!(edits(&history), [edit("a", "", "new\n", Some(2))], "what was taken back is no edit");
        file.change(&mut history, (2, 0), (3, 0), "");
        assert_eq!(edits(&history), []);
    }

    #[test]
    fn changes_at_another_place_or_in_another_document_are_edits_of_their_own() {
        let mut history = History::default();
        let mut file = Recorded::of("a", "1\n2\n3\n4\n5\n");
        let mut other = Recorded::of("b", "x\n");
        file.change(&mut history, (0, 0), (0, 1), "one");
        file.change(&mut history, (4, 0), (4, 1), "five");
        other.change(&mut history, (0, 0), (0, 1), "y");
        file.change(&mut history, (0, 0), (1, 0), "");
        assert_eq!(
            edits(&history),
            [
                edit("a", "1\n", "one\n", None),
                edit("a", "5\n", "five\n", None),
                edit("b", "x\n", "y\n", None),
                edit("a", "one\n", "", Some(0)),
            ]
        );
        other.change(&mut history, (0, 0), (0, 1), "z");
        history.closed("b");
        other.change(&mut history, (0, 0), (0, 1), "w");
        assert_eq!(edits(&history)[4..], [edit("b", "y\n", "z\n", None), edit("b", "z\n", "w\n", Some(0))]);
    }

    #[test]
    fn what_replaces_the_whole_document_is_an_edit_of_the_lines_that_differ() {
        let mut history = History::default();
        let mut file = Recorded::of("a", "1\n2\n3\n");
        file.apply(&mut history, &Change { range: None, text: "1\ntwo\n3\n".to_owned() });
        assert_eq!(edits(&history), [edit("a", "2\n", "two\n", Some(1))]);
        file.apply(&mut history, &Change { range: None, text: "1\ntwo\n3\n".to_owned() });
        assert_eq!(edits(&history), [edit("a", "2\n", "two\n", Some(1))], "nothing has changed");
    }

    #[test]
    fn a_paste_is_no_edit_and_only_the_last_edits_are_remembered() {
        let mut history = History::default();
        let mut file = Recorded::of("a", &"x\n".repeat(100));
        file.change(&mut history, (0, 0), (0, 0), &"y\n".repeat(MAX_LINES + 1));
        file.change(&mut history, (99, 0), (99, 0), &"y".repeat(MAX_BYTES + 1));
        assert_eq!(edits(&history), []);
        for row in 0..20 {
            file.change(&mut history, (row * 5, 0), (row * 5, 0), "z");
        }
        assert_eq!(edits(&history).len(), MAX_EDITS + 1);
        assert_eq!(edits(&history)[MAX_EDITS].3, Some(95));
    }

    proptest! {
        #[test]
        fn an_edit_says_what_became_of_what(
            start in "[a\n]{0,12}",
            changes in prop::collection::vec(((0..5_u32, 0..4_u32), (0..5_u32, 0..4_u32), "[b\n]{0,3}"), 1..8),
        ) {
            let mut history = History::default();
            let mut file = Recorded::of("a", &start);
            for (from, to, text) in changes {
                file.change(&mut history, from, to, &text);
            }
            // Each edit is undone in turn, the latest first; all but the latest are looked for.
            if let Some(Edit { original, updated, line: Some(line), .. }) = history.edits().pop() {
                let text = file.document.text.to_string();
                let lines: Vec<&str> = text.split_inclusive('\n').collect();
                let n_lines = updated.split_inclusive('\n').count();
                prop_assert_eq!(lines[line..line + n_lines].concat(), updated.as_str());
                prop_assert_ne!(original, updated);
            }
        }
    }
}
