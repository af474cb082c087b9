//! The part of the file at the cursor that goes into the prompt: [`window`].
//!
//! It must not move while a person types, since everything behind the place where a prompt changes is computed again.
//! So it begins at one of a few lines, counted from the beginning of the file, and ends at one of a few, counted from
//! its end.

use std::ops::Range;

/// At least this many lines above the cursor's are shown, and at least this many below.
const MIN_LINES: (usize, usize) = (40, 16);
/// The window moves by this many lines at a time.
const STEP: (usize, usize) = (32, 16);
/// The most bytes on either side. Lines of data can be of any length.
const MAX_BYTES: (usize, usize) = (8_192, 3_072);

/// The range of `text` around `at` that is shown.
pub(crate) fn window(text: &str, at: usize) -> Range<usize> {
    let (before, behind) = text.split_at(at);
    let n_above = memchr::memchr_iter(b'\n', before.as_bytes()).count();
    let n_cut = n_above.saturating_sub(MIN_LINES.0) / STEP.0 * STEP.0;
    let start = nth_line(before, n_cut);
    let n_below = memchr::memchr_iter(b'\n', behind.as_bytes()).count();
    let n_cut = n_below.saturating_sub(MIN_LINES.1) / STEP.1 * STEP.1;
    let end = at + if n_cut == 0 { behind.len() } else { nth_line(behind, n_below - n_cut + 1) };
    limited(text, start.max(step_above(at, MAX_BYTES.0))..at, end.min(at + MAX_BYTES.1))
}

/// The least multiple of half of `most` that is less than `most` below `at`.
fn step_above(at: usize, most: usize) -> usize {
    at.saturating_sub(most).next_multiple_of(most / 2)
}

/// The range from the beginning of `before` to `end`, moved inwards to whole characters.
fn limited(text: &str, before: Range<usize>, end: usize) -> Range<usize> {
    let start = (before.start..=before.end).find(|it| text.is_char_boundary(*it)).unwrap_or(before.end);
    let end = (before.end..=end).rev().find(|it| text.is_char_boundary(*it)).unwrap_or(before.end);
    start..end
}

/// The offset of line `n`, counted from 0.
fn nth_line(text: &str, n: usize) -> usize {
    let Some(n) = n.checked_sub(1) else { return 0 };
    memchr::memchr_iter(b'\n', text.as_bytes()).nth(n).map_or(text.len(), |it| it + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_file_is_shown_whole() {
        let text = "a\nb\nc\n";
        for at in 0..=text.len() {
            assert_eq!(window(text, at), 0..text.len());
        }
    }

    #[test]
    fn typing_moves_the_window_at_most_every_thirty_two_lines() {
        let mut text = "let value = compute(first, second);\n".repeat(300);
        let mut at = 5_000;
        let mut moves = 0;
        let mut last: Option<(usize, usize)> = None;
        for i in 0..2_000 {
            text.insert(at, if i % 20 == 0 { '\n' } else { 'x' });
            at += 1;
            let range = window(&text, at);
            assert!(range.start <= at && at <= range.end);
            let now = (range.start, text.len() - range.end);
            moves += usize::from(last.is_some_and(|it| it != now));
            last = Some(now);
        }
        assert!(moves <= 2_000 / 20 / 32 + 1, "{moves} moves");
    }

    #[test]
    fn a_long_line_is_cut_at_whole_characters() {
        let text = "é".repeat(100_000);
        for at in [0, 2, 50_000, 100_002, 200_000] {
            let range = window(&text, at);
            assert!(text.get(range.clone()).is_some(), "{range:?}");
            assert!(at - range.start <= MAX_BYTES.0 && range.end - at <= MAX_BYTES.1);
        }
    }
}
