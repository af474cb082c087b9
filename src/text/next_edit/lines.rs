//! The lines of a text in LF: [`Lines`].

use std::ops::Range;

/// Where the lines of a text are. A text has one more line than it has line ends; the last one may be empty.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    /// The offset at which each line begins.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    pub(super) fn n_lines(&self) -> usize {
        self.starts.len()
    }

    /// The index of the line that contains this offset.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.starts.partition_point(|it| *it <= offset) - 1
    }

    /// The bytes of these lines, without the end of the last one.
    pub(super) fn bytes(&self, rows: Range<usize>) -> Range<usize> {
        let start = self.starts.get(rows.start).copied().unwrap_or(self.text.len());
        let end = self.starts.get(rows.end).map_or(self.text.len(), |it| it - 1);
        start..end.max(start)
    }

    pub(super) fn line(&self, row: usize) -> &'a str {
        &self.text[self.bytes(row..row + 1)]
    }
}
