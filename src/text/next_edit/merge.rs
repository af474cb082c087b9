//! The window of Zeta 2: between merge markers, as in a conflict of git. The answer is the other side of the conflict.

use super::rejoin::rejoined;
use super::rewrite::Rewrite;
use super::seed_coder::CURSOR;
use super::writer::Writer;

const CURRENT: &str = "<<<<<<< CURRENT";
const SEPARATOR: &str = "=======";
pub(super) const UPDATED: &str = ">>>>>>> UPDATED";
/// The whole answer of a model that changes nothing.
const NO_EDITS: &str = "NO_EDITS";

/// Whether one of the markers is a line of the text.
pub(super) fn has_mark(text: &str) -> bool {
    text.lines().any(|it| [CURRENT, SEPARATOR, UPDATED].contains(&it))
}

pub(super) fn write(to: &mut Writer<'_>, window: &str, cursor: usize) {
    let (before, after) = window.split_at(cursor);
    to.text(CURRENT);
    to.text("\n");
    to.text(before);
    to.mark(CURSOR);
    to.text(after);
    to.end_line();
    to.text(SEPARATOR);
    to.text("\n");
}

/// The rewritten window of an answer.
pub(super) fn read(answer: &str, window: &str, is_complete: bool) -> Option<Rewrite> {
    let (body, is_complete) = match answer.split_once(UPDATED) {
        Some((body, _)) => (body, true),
        None => (answer, is_complete),
    };
    if body.trim() == NO_EDITS || has_mark(body) {
        return None;
    }
    let mut rewrite = Rewrite::default();
    rewrite.push_without(CURSOR, body, 0);
    if !is_complete {
        return rejoined(rewrite, window);
    }
    rewrite.end_like(window);
    Some(rewrite)
}
