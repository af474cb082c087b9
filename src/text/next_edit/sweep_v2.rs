//! The format of the second version of Sweep's models: like the first, but the model sees more of the document, the lines
//! are numbered, and the prompt ends with the lines above the cursor's, so that the answer begins with that line.
//!
//! Source: the code published with the model (`inference.py` beside sweepai/sweep-next-edit-v2-7B). Its demonstration has
//! no window before the latest change; the model's card says that there is one.

use std::ops::Range;

use super::lines::Lines;
use super::place::Place;
use super::recent::RecentEdit;
use super::rejoin::rejoined;
use super::rewrite::Rewrite;
use super::sweep::{FILE_SEP, LINES_AROUND, joined};
use super::writer::Writer;
use crate::ContextFile;

pub(super) const CURSOR: &str = "<|cursor|>";

/// The model sees this number of lines before the cursor's, and as many from it on.
const LINES_VISIBLE: usize = 150;

/// The visible lines; with a greater `size`, fewer of them.
pub(super) fn visible(lines: &Lines<'_>, at: usize, size: usize) -> Range<usize> {
    let n_around = (LINES_VISIBLE / size).max(LINES_AROUND + 1);
    at.saturating_sub(n_around)..(at + n_around).min(lines.n_lines())
}

pub(super) fn write(
    to: &mut Writer<'_>,
    place: &Place<'_>,
    context: &[ContextFile<'_>],
    edits: &[RecentEdit<'_>],
) {
    let (path, whole) = (place.path(), place.edited.text);
    // Its last line has its end, if there is one.
    let with_end = |range: Range<usize>| &whole[range.start..(range.end + 1).min(whole.len())];
    to.mark(FILE_SEP);
    for text in [path, "\n", with_end(place.around.clone())] {
        to.text(text);
    }
    for file in context {
        to.text("\n");
        to.mark(FILE_SEP);
        for text in [file.path, "\n", file.text, "\n"] {
            to.text(text);
        }
    }
    to.text("\n");
    for (idx, edit) in edits.iter().enumerate() {
        if idx > 0 {
            to.text("\n");
        }
        to.mark(FILE_SEP);
        let (original, updated) = (joined(edit.original), joined(edit.updated));
        let first = edit.line.unwrap_or(0) + 1;
        let last = edit.line.unwrap_or(0) + edit.updated.lines().count().max(1);
        let head = format!("{}:{first}:{last}\n", edit.path.unwrap_or(path));
        for text in [&*head, "original:\n", &original, "\nupdated:\n", &updated] {
            to.text(text);
        }
    }
    to.text("\n");
    let (window, rows) = (place.window, &place.rows);
    let now = with_end(window.range.clone());
    let end = &now[window.text.len()..];
    let before = window.before.as_ref().map_or_else(|| now.to_owned(), |it| format!("{it}{end}"));
    let (above, below) = now.split_at(place.cursor());
    let begin = |to: &mut Writer<'_>, which: &str| {
        to.mark(FILE_SEP);
        to.text(&format!("{which}/{path}:{}:{}\n", rows.start + 1, rows.end));
    };
    begin(to, "original");
    to.text(&before);
    to.text("\n");
    begin(to, "current");
    to.text(above);
    to.mark(CURSOR);
    to.text(below);
    to.text("\n");
    begin(to, "updated");
    to.text(&now[..window.n_kept]);
}

/// The rewritten window of an answer, which continues the first `n_kept` bytes of the window.
pub(super) fn read(answer: &str, window: &str, n_kept: usize, is_complete: bool) -> Option<Rewrite> {
    if answer.trim().is_empty() {
        return None;
    }
    let mut rewrite = Rewrite::default();
    rewrite.push_kept(&window[..n_kept]);
    rewrite.push_without(CURSOR, answer, 0);
    if !is_complete {
        return rejoined(rewrite, window);
    }
    rewrite.end_like(window);
    Some(rewrite)
}
