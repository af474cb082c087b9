//! Which lines around the cursor belong to a region of a given size: [`around_cursor`] and [`grown`].
//!
//! Zeta's models were trained on regions of whole lines that grow on both sides of the cursor, with their size counted
//! as a third of their bytes.

use std::ops::Range;

use super::lines::Lines;

/// The cursor's line and as many lines on both sides as fit into `n_bytes`.
pub(super) fn around_cursor(lines: &Lines<'_>, at: usize, n_bytes: usize) -> Range<usize> {
    grown(lines, at..at + 1, n_bytes.saturating_sub(lines.line(at).len()))
}

/// These lines and further ones that take at most `n_bytes`, in turn below and above. A side ends at the first line that
/// no longer fits.
pub(super) fn grown(lines: &Lines<'_>, rows: Range<usize>, n_bytes: usize) -> Range<usize> {
    let Range { mut start, mut end } = rows;
    let mut n_left = n_bytes;
    let mut take = |row: usize| {
        // An empty line is not free.
        let left = n_left.checked_sub(lines.line(row).len().max(1));
        n_left = left.unwrap_or(n_left);
        left.is_some()
    };
    let (mut grows_down, mut grows_up) = (true, true);
    while grows_down || grows_up {
        grows_down = grows_down && end < lines.n_lines() && take(end);
        end += usize::from(grows_down);
        grows_up = grows_up && start > 0 && take(start - 1);
        start -= usize::from(grows_up);
    }
    start..end
}
