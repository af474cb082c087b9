//! Recent edits: what a person has changed, and how a document was before the latest change.

use std::ops::Range;

use super::lines::Lines;

/// One change of a file, in LF. Both texts are whole lines; the end of the last line may be missing, and an empty text
/// is no line at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecentEdit<'a> {
    /// The file that was changed; `None` stands for the document that is being edited.
    pub path: Option<&'a str>,
    /// The lines before the change.
    pub original: &'a str,
    /// The lines after it.
    pub updated: &'a str,
    /// The index of the line in the document that is now the first of `updated`; `None` if it is not known.
    pub line: Option<usize>,
}

impl RecentEdit<'_> {
    /// Where a person who has made this edit of `text` is: at the cursor, if that is among the lines of the edit, else at
    /// their end. `None` if they cannot be found.
    pub fn place(&self, text: &str, cursor: usize) -> Option<usize> {
        let lines = Lines::of(text);
        let rows = self.rows(&lines, cursor)?;
        if rows.is_empty() {
            return None;
        }
        let is_there = rows.contains(&lines.line_of(cursor));
        Some(if is_there { cursor } else { lines.bytes(rows).end })
    }

    /// The lines of the document that this edit has changed, as they are now. If the line is not known, it is the place
    /// nearest to the cursor at which the document has the lines.
    fn rows(&self, lines: &Lines<'_>, cursor: usize) -> Option<Range<usize>> {
        if self.path.is_some() {
            return None;
        }
        let updated: Vec<&str> = self.updated.lines().collect();
        let last_start = lines.n_lines().checked_sub(updated.len())?;
        let is_at = |row: &usize| {
            *row <= last_start && updated.iter().enumerate().all(|(idx, it)| lines.line(row + idx) == *it)
        };
        let at = lines.line_of(cursor);
        let nearest = || (0..=last_start).filter(is_at).min_by_key(|row| row.abs_diff(at));
        let known = self.line.filter(is_at);
        let start = known.or_else(|| (!updated.is_empty()).then(nearest).flatten())?;
        Some(start..start + updated.len())
    }
}

/// The lines `rows` as they were before the latest edit, if that edit changed this document, and among these lines.
pub(super) fn before_latest(
    edits: &[RecentEdit<'_>],
    lines: &Lines<'_>,
    rows: Range<usize>,
    cursor: usize,
) -> Option<String> {
    let latest = edits.iter().rev().find(|it| it.path.is_none())?;
    let changed = latest.rows(lines, cursor)?;
    if !rows.contains(&changed.start) {
        return None;
    }
    let above = rows.start..changed.start;
    let below = changed.end.min(rows.end)..rows.end;
    let kept_above = above.map(|row| lines.line(row));
    let kept_below = below.map(|row| lines.line(row));
    Some(kept_above.chain(latest.original.lines()).chain(kept_below).collect::<Vec<_>>().join("\n"))
}
